/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A soak: processes that write, read and scan for a long time, with a schema change every few
 * seconds. Their private memory, their descriptors, the log and the trees must be as large at the
 * end as they were before; and nothing may be wrong.
 *
 * Samples are taken by the clock; the second quarter of the time is held against the last, since
 * the first fills what is bounded. INSTAR_SECONDS says how long, INSTAR_SOAK_CHANGE_MS how often
 * the schema changes.
 */
#include "support/sqls.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECONDS 8
#define CHANGE_MS 100
#define KEYS 20000
#define SAMPLES 400 /* of each figure */
#define QUARTER (SAMPLES / 4)
#define READY 1
#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* Not enough to call it growth: the first hundreds of changes still fill what is bounded. */
#define SLACK_KIB 1024
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_IS_OURS 0 /* the sanitizer keeps what was freed; the release build is judged */
#else
#define MEMORY_IS_OURS 1
#endif
/* Times of steps: eight for each power of two of ns. */
#define TIMES 512

enum { UPDATER, INSERTER, READER, WORKERS };
static const char *const names[WORKERS] = {"updater", "inserter", "reader"};

static struct shared {
    _Atomic bool stop;
    _Atomic uint64_t done[WORKERS];
    _Atomic uint32_t quarter;
    _Atomic uint64_t times[WORKERS][4][TIMES]; /* how long steps took, by quarters */
} * shared;

static void note_time(int worker, uint64_t ns)
{
    uint32_t quarter = atomic_load(&shared->quarter);
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns | 8);
    atomic_fetch_add(&shared->times[worker][quarter][octave * 8 + (ns >> (octave - 3) & 7)], 1);
    atomic_fetch_add(&shared->done[worker], 1);
}

/* ---- the workers -------------------------------------------------------------------------- */

struct step {
    instar_projection *p;
    struct test_random chance;
    int64_t next;
};

static int update(instar_txn *txn, void *arg)
{
    struct step *s = arg;
    instar_value key = {.type = INSTAR_INT8, .i = (int64_t)test_random_below(&s->chance, KEYS)};
    instar_value row;
    int rc = instar_get(txn, s->p, &key, &row);

    if (rc == INSTAR_OK) {
        row.i++;
        rc = instar_update(txn, s->p, &key, &row);
    }
    return rc == INSTAR_ENOTFOUND ? INSTAR_OK : rc;
}

/* A row comes, an old one goes. */
static int insert(instar_txn *txn, void *arg)
{
    struct step *s = arg;
    instar_value row[2] = {{.type = INSTAR_INT8, .i = s->next}, {.type = INSTAR_INT8, .i = 1}};
    instar_value old = {.type = INSTAR_INT8, .i = s->next - KEYS};
    int rc = instar_insert(txn, s->p, row);

    return rc == INSTAR_OK ? instar_delete(txn, s->p, &old) : rc;
}

static int look(instar_txn *txn, void *arg)
{
    struct step *s = arg;
    instar_value from = {.type = INSTAR_INT8, .i = (int64_t)test_random_below(&s->chance, KEYS)};
    instar_range range = {.lower = &from, .lower_count = 1};
    instar_cursor *cursor;
    instar_value row;
    int rc = instar_scan(txn, s->p, &range, &cursor);

    for (int n = 0; rc == INSTAR_OK && n < 100; n++) {
        rc = instar_cursor_next(cursor, &row);
    }
    if (rc == INSTAR_OK || rc == INSTAR_END) {
        instar_cursor_close(cursor);
        rc = INSTAR_OK;
    }
    return rc;
}

static void work(struct test_child *self, void *arg)
{
    static const unsigned flags[WORKERS] = {0, INSTAR_TXN_ASYNC,
                                            INSTAR_TXN_READONLY | INSTAR_TXN_ASYNC};
    static const char *const columns[] = {"b", "a"};
    int worker = *(int *)arg;
    struct step s = {.chance = test_random((uint64_t)worker + 1), .next = KEYS};
    const char *both[] = {"a", "b"};

    test_until_told(self);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    ok(instar_projection_prepare(db, worker == INSERTER ? "u" : "t",
                                 worker == INSERTER ? both : columns, worker == INSERTER ? 2 : 1,
                                 NULL, &s.p));
    test_send(self, READY);
    while (!atomic_load(&shared->stop)) {
        uint64_t began = os_now_ns();
        ok(instar_run(db, flags[worker],
                      worker == UPDATER    ? update
                      : worker == INSERTER ? insert
                                           : look,
                      &s));
        s.next++;
        note_time(worker, os_now_ns() - began);
    }
    instar_projection_free(s.p);
    ok(instar_close(db));
}

/* ---- what is looked at -------------------------------------------------------------------- */

struct sample {
    uint64_t memory_kib[WORKERS + 1]; /* private, ours last */
    uint64_t descriptors[WORKERS + 1];
    uint64_t log_bytes, tree_bytes, shared_bytes;
};

static uint64_t private_kib(pid_t pid)
{
    char path[64], line[200];
    unsigned long long kib = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    expect(file != NULL);
    while (kib == 0 && fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "RssAnon: %llu kB", &kib);
    }
    (void)fclose(file);
    return kib;
}

static uint64_t descriptors(pid_t pid)
{
    char path[64];
    uint64_t count = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    expect(dir != NULL);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

static void take(instar *db, const struct test_child *workers, struct sample *out)
{
    instar_stats stats = {.struct_size = sizeof(stats)};

    for (int i = 0; i <= WORKERS; i++) {
        pid_t pid = i < WORKERS ? workers[i].pid : getpid();
        out->memory_kib[i] = private_kib(pid);
        out->descriptors[i] = descriptors(pid);
    }
    ok(instar_stat(db, &stats));
    out->log_bytes = stats.log_bytes;
    out->tree_bytes = stats.tree_bytes;
    out->shared_bytes = stats.shared_bytes;
}

/* ---- judging ------------------------------------------------------------------------------ */

static struct sample samples[SAMPLES];

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct figure {
    const char *name;
    const char *of;
    size_t offset; /* in a sample */
};

static void of_quarter(const struct figure *f, size_t quarter, uint64_t *median, uint64_t *most)
{
    uint64_t list[QUARTER];

    for (size_t i = 0; i < QUARTER; i++) {
        memcpy(&list[i], (const char *)&samples[quarter * QUARTER + i] + f->offset, 8);
    }
    qsort(list, QUARTER, sizeof(list[0]), by_size);
    *median = list[QUARTER / 2];
    *most = list[QUARTER - 1];
}

static void tell(const struct figure *f, uint64_t median, uint64_t most, uint64_t last_median,
                 uint64_t last_most)
{
    fprintf(stderr, "%s%s%s: median %llu, at most %llu; at the end %llu, %llu\n", f->name,
            f->of[0] != '\0' ? " of " : "", f->of, (unsigned long long)median,
            (unsigned long long)most, (unsigned long long)last_median,
            (unsigned long long)last_most);
}

/* At the end it may be larger by a share and by an amount. */
static void is_flat(const struct figure *f, uint64_t percent, uint64_t more)
{
    uint64_t median, most, last_median, last_most;

    of_quarter(f, 1, &median, &most);
    of_quarter(f, 3, &last_median, &last_most);
    tell(f, median, most, last_median, last_most);
    if (last_median > median + median * percent / 100 + more) {
        test_fail(__FILE__, __LINE__, "%s %s has grown from %llu to %llu", f->name, f->of,
                  (unsigned long long)median, (unsigned long long)last_median);
    }
}

/* They follow the rate at which segments come and go, so their median at the end is held against
 * the most of before. */
static void none_more(const struct figure *f, uint64_t percent)
{
    uint64_t median, most, last_median, last_most;

    of_quarter(f, 1, &median, &most);
    of_quarter(f, 3, &last_median, &last_most);
    tell(f, median, most, last_median, last_most);
    if (last_median > most + most * percent / 100) {
        test_fail(__FILE__, __LINE__, "%s of %s: %llu at the end, at most %llu before", f->name,
                  f->of, (unsigned long long)last_median, (unsigned long long)most);
    }
}

static void judge(uint64_t seconds)
{
    uint64_t segment = dbs_options().segment_bytes;
    /* In a short run what is bounded is still being filled: then only what grows with each
     * transaction is seen, and that is seen soon. The trees' file never shrinks, too: it is as
     * large as the most that came together until then. */
    bool is_short = seconds < 600;
    uint64_t memory_percent = is_short ? 100 : seconds / 3600 + 1;
    uint64_t percent = is_short ? 300 : 10;

    for (size_t i = 0; i <= WORKERS; i++) {
        const char *of = i < WORKERS ? names[i] : "the changes' process";
        if (MEMORY_IS_OURS) {
            is_flat(&(struct figure){"private memory, KiB,", of,
                                     offsetof(struct sample, memory_kib) + 8 * i},
                    memory_percent, SLACK_KIB);
        }
        none_more(&(struct figure){"descriptors", of, offsetof(struct sample, descriptors) + 8 * i},
                  is_short ? 100 : 0);
    }
    is_flat(&(struct figure){"log bytes", "", offsetof(struct sample, log_bytes)}, percent,
            segment);
    is_flat(&(struct figure){"tree bytes", "", offsetof(struct sample, tree_bytes)}, percent,
            segment);
    is_flat(&(struct figure){"shared bytes", "", offsetof(struct sample, shared_bytes)}, percent,
            segment);
}

/* In how many ms 99 of 100 were done. */
static double p99(int worker, size_t quarter)
{
    uint64_t total = 0, slower = 0;
    unsigned at = TIMES - 1;

    for (unsigned i = 0; i < TIMES; i++) {
        total += atomic_load(&shared->times[worker][quarter][i]);
    }
    for (; at > 24; at--) {
        slower += atomic_load(&shared->times[worker][quarter][at]);
        if (slower * 100 >= total) {
            break;
        }
    }
    return (double)((UINT64_C(9) + at % 8) << (at / 8 - 3)) / (double)NS_PER_MS;
}

static void tell_times(void)
{
    for (int i = 0; i < WORKERS; i++) {
        fprintf(stderr, "%s: %llu steps, p99 %.3f, %.3f, %.3f and %.3f ms\n", names[i],
                (unsigned long long)atomic_load(&shared->done[i]), p99(i, 0), p99(i, 1), p99(i, 2),
                p99(i, 3));
    }
}

/* ---- the whole ---------------------------------------------------------------------------- */

static void fill(instar *db)
{
    dbs_make_table(db, "t");
    dbs_make_table(db, "u");
    for (int64_t a = 0; a < KEYS; a++) {
        ok(dbs_insert(db, "t", a, 0));
        ok(dbs_insert(db, "u", a, 0));
    }
}

/* After all of them the schema is as it was. */
static const char *const steps[] = {"CREATE INDEX t_b ON t (b)",
                                    "ALTER TABLE u ADD COLUMN d int8 NOT NULL DEFAULT 5",
                                    "CREATE UNIQUE INDEX u_d ON u (d, a)",
                                    "ALTER TABLE t ALTER COLUMN c TYPE varchar(9)",
                                    "CREATE TABLE v (a int8 PRIMARY KEY)",
                                    "ALTER TABLE t ADD CONSTRAINT low CHECK (b >= 0)",
                                    "DROP INDEX u_d; ALTER TABLE u DROP COLUMN d",
                                    "ALTER TABLE t DROP CONSTRAINT low",
                                    "DROP INDEX t_b",
                                    "DROP TABLE v",
                                    "ALTER TABLE t ALTER COLUMN c TYPE text",
                                    "VACUUM t",
                                    "VACUUM u"};

/* Changes at their times, and samples at theirs, until the time is over. */
static uint64_t run(instar *db, const struct test_child *workers, uint64_t seconds)
{
    uint64_t began = os_now_ns(), every = test_env_u64("INSTAR_SOAK_CHANGE_MS", CHANGE_MS);
    uint64_t changes = 0, change_at = began;

    for (size_t taken = 0; taken < SAMPLES;) {
        uint64_t sample_at = began + (taken + 1) * seconds * NS_PER_S / SAMPLES;
        uint64_t next = change_at < sample_at ? change_at : sample_at, now = os_now_ns();
        if (now < next) {
            os_sleep_ns(next - now);
        }
        if (next == sample_at) {
            atomic_store(&shared->quarter, (uint32_t)(taken / QUARTER));
            take(db, workers, &samples[taken++]);
        } else {
            const char *step = steps[changes++ % BASE_ARRAY_LEN(steps)];
            int rc = sqls_run(db, step);
            if (rc != INSTAR_OK) {
                test_fail(__FILE__, __LINE__, "%s: %s", step, sqls_words());
            }
            change_at += every * NS_PER_MS;
        }
    }
    return changes;
}

Test(soak, nothing_grows, .timeout = 100000)
{
    static int numbers[WORKERS] = {UPDATER, INSERTER, READER};
    struct test_child workers[WORKERS];
    uint64_t seconds = test_env_u64("INSTAR_SECONDS", SECONDS);
    instar_check_summary found;

    dbs_path(); /* the same for all */
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    expect(shared != MAP_FAILED);
    for (int i = 0; i < WORKERS; i++) {
        test_fork(&workers[i], work, &numbers[i]);
    }
    instar *db = dbs_open(0);
    fill(db);
    for (int i = 0; i < WORKERS; i++) {
        test_send(&workers[i], 0);
        test_await(&workers[i], READY);
    }
    uint64_t changes = run(db, workers, seconds);
    atomic_store(&shared->stop, true);
    for (int i = 0; i < WORKERS; i++) {
        test_wait_ok(&workers[i]);
        expect(atomic_load(&shared->done[i]) > 0);
    }
    tell_times();
    fprintf(stderr, "%llu seconds, with %llu changes\n", (unsigned long long)seconds,
            (unsigned long long)changes);
    judge(seconds);
    ok(instar_check(db, NULL, NULL, &found));
    ok(instar_close(db));
    munmap(shared, sizeof(*shared));
}
