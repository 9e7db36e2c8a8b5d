/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A soak: processes that write, read and scan for a long time, with a schema change every few
 * seconds. Their private memory, their descriptors, the log and the trees must be as large at the
 * end as they were before; and nothing may be wrong.
 *
 * The changes are a cycle, after which the schema is as it was. A quarter of the time is some whole
 * cycles, with a sample behind each change, so that the same stages are held against each other.
 * The first quarter fills what is bounded; then the second is held against the last, and what the
 * options bound, against that.
 *
 * Of the process that runs the changes and folds, what it has of the allocator is looked at, too:
 * but for the pages that LMDB keeps from its largest transaction, it must not grow at all. And so
 * that its private memory tells the same, the allocator is told to keep little of what was freed:
 * with a heap for each thread that comes and goes, and large pieces in those heaps, it went from
 * 12 to 17 MiB in an hour while 5 were in use all the time.
 *
 * And how long steps take, in the windows between samples. p99 by the clock says what other
 * programs do: beside compilers and campaigns, two cores with a load of 6 to 20, its median over
 * the windows of a quarter was 37, 35, 30 and 51 us of the updater and 0.2, 2.1, 0.08 and 0.06 ms
 * of the reader (7 minutes); by that of a yardstick in the same process, which is preempted as
 * often, it came to 6.6, 5.1, 5.0 and 8.6, of the updater. So these are printed in short runs, and
 * judged in those of an hour, which want a machine of their own: a drift of the engine's would be
 * seen by the clock and by the yardstick, so one that only one of them shows is not one. What nine
 * of ten steps take of the processor, by what nine of ten yardsticks take, was 4.37, 4.79, 4.52
 * and 4.37. That is judged: in the last quarter it is not a fourth more than in the second. Who
 * waits longer, or one step in a hundred that takes more, is not seen by that.
 *
 * The reader's yardstick reads memory that the processor's nearer caches hold. With a MiB in place
 * of 64 KiB it told how many others used those caches: two hours were stopped by it while the
 * reader's own time fell by 5 %, as the yardstick's had fallen from 30 to 16 us; and within 20
 * seconds on a machine of its own the quotient was 0.51, 0.46, 0.32 and 0.31. Now it is 1.72, 1.76,
 * 1.69 and 1.69, and 1.77, 1.70, 1.68 and 1.62 with an index of 5 M rows built beside the last two.
 *
 * INSTAR_SECONDS says how long. Where changes take too long for that, it takes longer.
 */
#include "support/hooks.h"
#include "support/sqls.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 8
#define CHANGE_S 10 /* from one change to the next, at most */
#define CYCLES 2    /* in a quarter, at least */
#define KEYS 20000
#define OLD_CYCLES 12 /* of 11 or 12 versions of each table */
#define WARM_ROWS 18000
#define WARM_STRIDE 7919 /* a prime */
#define WARM_BYTES 130   /* of a row's text */
#define WARM_BATCH 1000
#define WARM_KEPT (UINT64_C(7) << 19) /* bytes of pages; the soak alone came to 3.2 MiB */
#define WARM_ROUNDS 100
#define READY 1
#define PIECE_BYTES (128 << 10) /* larger ones are mapped, and go when freed */
#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* Not enough to call it growth: of private memory, an hour, of which half lies between the quarters
 * that are compared, and an amount where the run is too short for that; of what is in use. */
#define MEMORY_PERMILLE_HOUR 10
#define MEMORY_JUDGED_S 3600
#define SLACK_KIB 1024
#define USE_KIB 256
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_IS_OURS 0 /* the sanitizer keeps what was freed; the release build is judged */
#else
#define MEMORY_IS_OURS 1
#endif
/* data.mdb: rows and entries are some 4 MB; pages of what was dropped or replaced are free when no
 * snapshot is left that sees them, and the file never shrinks. So it may reach this at any time,
 * and more while it is filled on a busy machine. A change leaves its record. */
#define TREE_BYTES (UINT64_C(16) << 20)
#define CHANGE_BYTES UINT64_C(1024)
/* Times are counted by size: so many for each power of two of ns, which is 1.6 %. */
#define TIMES_BITS 6
#define TIMES (40u << TIMES_BITS)
#define YARD_EVERY 8    /* steps */
#define YARD_BYTES 128  /* what a step of the updater has for a record */
#define YARD_FILE 65536 /* of which the file grows to so many */
#define YARD_MEMORY (1u << 16)
#define YARD_READS 1600 /* about as long as a step of the reader */
/* Of nine of ten steps' processor time by the yardstick's, in runs of so long. */
#define DRIFT_PERCENT 25
#define TIMES_JUDGED_S 300
/* Of p99 by the clock and by the yardstick. */
#define P99_DRIFT_PERCENT 10
#define P99_JUDGED_S 3600

enum { UPDATER, INSERTER, READER, WORKERS };
static const char *const names[WORKERS] = {"updater", "inserter", "reader"};

/* How often which time was taken, since it was looked at last. */
struct times {
    _Atomic uint32_t count[TIMES];
};

/* By the clock, and by the processor that it took. */
struct pair {
    struct times wall, cpu;
};

static struct shared {
    _Atomic bool stop;
    _Atomic uint64_t done[WORKERS];
    struct pair steps[WORKERS], yards[WORKERS];
} * shared;

static void note_time(struct times *t, uint64_t ns)
{
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns | (1u << TIMES_BITS));
    uint64_t within = ns >> (octave - TIMES_BITS) & ((1u << TIMES_BITS) - 1);
    uint64_t at = ((uint64_t)(octave - TIMES_BITS) << TIMES_BITS) + within;
    atomic_fetch_add(&t->count[at < TIMES ? at : TIMES - 1], 1);
}

struct moment {
    uint64_t wall, cpu;
};

static struct moment now(void)
{
    struct timespec cpu;
    expect(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) == 0);
    return (struct moment){os_now_ns(), (uint64_t)cpu.tv_sec * NS_PER_S + (uint64_t)cpu.tv_nsec};
}

static void note_since(struct pair *p, struct moment began)
{
    struct moment ended = now();
    note_time(&p->wall, ended.wall - began.wall);
    note_time(&p->cpu, ended.cpu - began.cpu);
}

/* In how many ns so many of 100 were done; and begin anew. Where none was: as before. */
static uint64_t take_percentile(struct times *t, unsigned percent, uint64_t before)
{
    uint32_t counts[TIMES];
    uint64_t total = 0, slower = 0;
    unsigned at = TIMES - 1;

    for (unsigned i = 0; i < TIMES; i++) {
        counts[i] = atomic_exchange(&t->count[i], 0);
        total += counts[i];
    }
    while (at > 0 && (slower += counts[at]) * 100 < total * (100 - percent)) {
        at--;
    }
    uint64_t within = (1u << TIMES_BITS) + (at & ((1u << TIMES_BITS) - 1));
    return total == 0 ? before : within << (at >> TIMES_BITS);
}

/* ---- yardsticks --------------------------------------------------------------------------- */

/* What takes as long as the machine makes it take, whatever the engine does: for who writes as
 * many bytes behind others in a file beside the store, and a sync; for who only reads, arithmetic
 * and reads of memory. */
struct yard {
    int fd;
    uint64_t at;
    uint8_t *memory;
    uint64_t x;
};

static void yard_begin(struct yard *y, int worker)
{
    char path[320];

    (void)snprintf(path, sizeof(path), "%s.yard%d", dbs_path(), worker);
    y->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    y->memory = malloc(YARD_MEMORY);
    expect(y->fd >= 0 && y->memory != NULL);
    memset(y->memory, 7, YARD_MEMORY);
}

static void yard_step(struct yard *y, int worker)
{
    struct moment began = now();

    if (worker != READER) {
        expect(pwrite(y->fd, y->memory, YARD_BYTES, (off_t)y->at) == YARD_BYTES);
        expect(fdatasync(y->fd) == 0);
        y->at += YARD_BYTES;
    } else {
        for (int i = 0; i < YARD_READS; i++) {
            y->x = y->x * 6364136223846793005u + y->memory[y->x >> 48] + 1;
        }
    }
    note_since(&shared->yards[worker], began);
    if (y->at >= YARD_FILE) {
        expect(ftruncate(y->fd, 0) == 0);
        y->at = 0;
    }
}

static void yard_end(struct yard *y)
{
    expect(y->x != 0); /* so that it is not left out */
    (void)close(y->fd);
    free(y->memory);
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
    struct yard yard = {.x = 1};

    test_until_told(self);
    yard_begin(&yard, worker);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    ok(instar_projection_prepare(db, worker == INSERTER ? "u" : "t",
                                 worker == INSERTER ? both : columns, worker == INSERTER ? 2 : 1,
                                 NULL, &s.p));
    test_send(self, READY);
    while (!atomic_load(&shared->stop)) {
        struct moment began = now();
        ok(instar_run(db, flags[worker],
                      worker == UPDATER    ? update
                      : worker == INSERTER ? insert
                                           : look,
                      &s));
        s.next++;
        note_since(&shared->steps[worker], began);
        if (atomic_fetch_add(&shared->done[worker], 1) % YARD_EVERY == 0) {
            yard_step(&yard, worker);
        }
    }
    yard_end(&yard);
    test_send(self, READY);
    test_until_told(self);
    instar_projection_free(s.p);
    ok(instar_close(db));
}

/* ---- what is looked at -------------------------------------------------------------------- */

struct sample {
    uint64_t memory_kib[WORKERS + 1]; /* private, ours last */
    uint64_t in_use_kib;              /* ours, without what LMDB keeps */
    uint64_t kept_kib;                /* by LMDB, ours: the pages of its largest transaction */
    uint64_t descriptors[WORKERS + 1];
    uint64_t segments[WORKERS + 1]; /* that are mapped: a descriptor each, not counted above */
    uint64_t files, memtables;      /* of the log */
    uint64_t tree_bytes;
    /* Of the time since the sample before: ns, and thousandths of the yardstick's. */
    uint64_t p99[WORKERS], yard_p99[WORKERS], by_p99[WORKERS];
    uint64_t p90[WORKERS], yard_p90[WORKERS], by_p90[WORKERS]; /* of processor time */
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

static void look_at_descriptors(pid_t pid, uint64_t *others_out, uint64_t *segments_out)
{
    char path[64], file[512];
    struct dirent *entry;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    expect(dir != NULL);
    *others_out = *segments_out = 0;
    while ((entry = readdir(dir)) != NULL) {
        ssize_t size = readlinkat(dirfd(dir), entry->d_name, file, sizeof(file) - 1);
        file[size > 0 ? size : 0] = '\0';
        *(strstr(file, ".seg") != NULL ? segments_out : others_out) += 1;
    }
    (void)closedir(dir);
}

static uint64_t files_in(const char *path, const char *ending)
{
    uint64_t count = 0;
    struct dirent *entry;
    DIR *dir = opendir(path);

    expect(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        count += strstr(entry->d_name, ending) != NULL;
    }
    (void)closedir(dir);
    return count;
}

static struct sample *samples;
static size_t per_quarter;

static void take(instar *db, const struct test_child *workers, struct sample *out)
{
    instar_stats stats = {.struct_size = sizeof(stats)};
    char path[320];

    (void)malloc_trim(0); /* what is free amid what is not goes, too */
    for (int i = 0; i <= WORKERS; i++) {
        pid_t pid = i < WORKERS ? workers[i].pid : getpid();
        out->memory_kib[i] = private_kib(pid);
        look_at_descriptors(pid, &out->descriptors[i], &out->segments[i]);
    }
    struct mallinfo2 heap = mallinfo2();
    out->in_use_kib = (heap.uordblks + heap.hblkhd - test_lmdb_kept()) / 1024;
    out->kept_kib = test_lmdb_kept() / 1024;
    ok(instar_stat(db, &stats));
    (void)snprintf(path, sizeof(path), "%s/log", dbs_path());
    out->files = files_in(path, ".seg");
    out->memtables = files_in(stats.runtime_path, ".mem");
    out->tree_bytes = stats.tree_bytes;
    for (int i = 0; i < WORKERS; i++) {
        struct pair *steps = &shared->steps[i], *yards = &shared->yards[i];
        const struct sample *before = out > samples ? out - 1 : out;
        out->p99[i] = take_percentile(&steps->wall, 99, before->p99[i]);
        out->yard_p99[i] = take_percentile(&yards->wall, 99, before->yard_p99[i]);
        out->p90[i] = take_percentile(&steps->cpu, 90, before->p90[i]);
        out->yard_p90[i] = take_percentile(&yards->cpu, 90, before->yard_p90[i]);
        out->by_p99[i] = out->p99[i] * 1000 / (out->yard_p99[i] + 1);
        out->by_p90[i] = out->p90[i] * 1000 / (out->yard_p90[i] + 1);
    }
}

/* ---- judging ------------------------------------------------------------------------------ */

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

struct spread {
    uint64_t median, most;
};

static struct spread of_quarter(const struct figure *f, size_t quarter)
{
    uint64_t *list = calloc(per_quarter, sizeof(list[0]));

    expect(list != NULL);
    for (size_t i = 0; i < per_quarter; i++) {
        memcpy(&list[i], (const char *)&samples[quarter * per_quarter + i] + f->offset, 8);
    }
    qsort(list, per_quarter, sizeof(list[0]), by_size);
    struct spread found = {list[per_quarter / 2], list[per_quarter - 1]};
    free(list);
    return found;
}

static void tell(const struct figure *f)
{
    fprintf(stderr, "%s%s%s: median and most by quarters", f->name, f->of[0] != '\0' ? " of " : "",
            f->of);
    for (size_t i = 0; i < 4; i++) {
        struct spread found = of_quarter(f, i);
        fprintf(stderr, " %llu %llu%s", (unsigned long long)found.median,
                (unsigned long long)found.most, i < 3 ? "," : "\n");
    }
}

/* Its median at the end may be larger than the most of before by a share and by an amount. */
static void is_flat(const struct figure *f, uint64_t permille, uint64_t more)
{
    uint64_t before = of_quarter(f, 1).most, end = of_quarter(f, 3).median;

    tell(f);
    if (end > before + before * permille / 1000 + more) {
        test_fail(__FILE__, __LINE__, "%s %s: %llu at the end, at most %llu before", f->name, f->of,
                  (unsigned long long)end, (unsigned long long)before);
    }
}

static void is_bounded(const struct figure *f, uint64_t bound)
{
    tell(f);
    for (size_t i = 0; i < 4; i++) {
        if (of_quarter(f, i).most > bound) {
            test_fail(__FILE__, __LINE__, "%s: %llu, and at most %llu are needed", f->name,
                      (unsigned long long)of_quarter(f, i).most, (unsigned long long)bound);
        }
    }
}

static void judge(uint64_t seconds)
{
    for (size_t i = 0; i <= WORKERS; i++) {
        const char *of = i < WORKERS ? names[i] : "the changes' process";
        if (MEMORY_IS_OURS) {
            is_flat(&(struct figure){"private memory, KiB,", of,
                                     offsetof(struct sample, memory_kib) + 8 * i},
                    MEMORY_PERMILLE_HOUR * seconds / 2 / 3600,
                    seconds < MEMORY_JUDGED_S ? SLACK_KIB : 0);
        }
        is_flat(&(struct figure){"descriptors", of, offsetof(struct sample, descriptors) + 8 * i},
                0, 0);
        tell(&(struct figure){"mapped segments", of, offsetof(struct sample, segments) + 8 * i});
    }
    if (MEMORY_IS_OURS) {
        is_flat(&(struct figure){"memory in use, KiB,", "the changes' process",
                                 offsetof(struct sample, in_use_kib)},
                0, USE_KIB);
        tell(&(struct figure){"pages that LMDB keeps, KiB,", "the changes' process",
                              offsetof(struct sample, kept_kib)});
    }
    is_bounded(&(struct figure){"files of the log", "", offsetof(struct sample, files)},
               dbs_log_segments_bound());
    /* Fewer are needed than segments: none for those kept. */
    is_bounded(&(struct figure){"memtables", "", offsetof(struct sample, memtables)},
               dbs_log_segments_bound());
    struct figure trees = {"tree bytes", "", offsetof(struct sample, tree_bytes)};
    uint64_t before = of_quarter(&trees, 1).most;
    is_bounded(&trees, CHANGE_BYTES * 4 * per_quarter +
                           (before > TREE_BYTES ? before + before / 10 : TREE_BYTES));
}

/* How many segments a process has mapped follows the rate at which they come and go; but when
 * nothing is written any more it gives back those that have gone. */
static void await_segments_given_back(const struct test_child *workers)
{
    uint64_t until = os_now_ns() + TEST_AWAIT_S * NS_PER_S;

    for (int i = 0; i <= WORKERS; i++) {
        uint64_t others, segments;
        do {
            os_sleep_ns(NS_PER_MS);
            look_at_descriptors(i < WORKERS ? workers[i].pid : getpid(), &others, &segments);
        } while (segments > dbs_log_segments_bound() && os_now_ns() < until);
        if (segments > dbs_log_segments_bound()) {
            test_fail(__FILE__, __LINE__, "%s has %llu segments mapped, of at most %llu",
                      i < WORKERS ? names[i] : "the changes' process", (unsigned long long)segments,
                      (unsigned long long)dbs_log_segments_bound());
        }
    }
}

/* The median of the last quarter in percent of that of the second. */
static uint64_t drift_of(const struct figure *f)
{
    return of_quarter(f, 3).median * 100 / (of_quarter(f, 1).median + 1);
}

static void judge_times(uint64_t seconds)
{
    for (size_t i = 0; i < WORKERS; i++) {
        struct figure p99 = {"p99, ns,", names[i], offsetof(struct sample, p99) + 8 * i};
        struct figure p99_by = {"p99, thousandths of the yardstick's,", names[i],
                                offsetof(struct sample, by_p99) + 8 * i};
        struct figure p90 = {"p90 of processor time, ns,", names[i],
                             offsetof(struct sample, p90) + 8 * i};
        struct figure p90_by = {"p90 of processor time, thousandths of the yardstick's,", names[i],
                                offsetof(struct sample, by_p90) + 8 * i};
        fprintf(stderr, "%s: %llu steps\n", names[i],
                (unsigned long long)atomic_load(&shared->done[i]));
        tell(&p99);
        tell(&p99_by);
        tell(&p90);
        tell(&p90_by);
        uint64_t by_clock = drift_of(&p99), by_yard = drift_of(&p99_by);
        uint64_t cpu = drift_of(&p90), cpu_by_yard = drift_of(&p90_by);
        fprintf(stderr,
                "%s: at the end, in %% of the second quarter: p99 %llu, by the yardstick %llu; "
                "processor time %llu, by the yardstick %llu\n",
                names[i], (unsigned long long)by_clock, (unsigned long long)by_yard,
                (unsigned long long)cpu, (unsigned long long)cpu_by_yard);
        expect(seconds < TIMES_JUDGED_S || cpu_by_yard <= 100 + DRIFT_PERCENT);
        expect(seconds < P99_JUDGED_S || by_clock < 100 + P99_DRIFT_PERCENT ||
               by_yard < 100 + P99_DRIFT_PERCENT);
    }
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int write_wide(instar_txn *txn, void *arg)
{
    struct step *s = arg;
    char wide[WARM_BYTES + 1];
    int rc = INSTAR_OK;

    for (int64_t n = s->next; rc == INSTAR_OK && n < s->next + WARM_BATCH; n++) {
        int64_t a = n * WARM_STRIDE % WARM_ROWS;
        (void)snprintf(wide, sizeof(wide), "%0*lld", WARM_BYTES, (long long)a);
        instar_value row[] = {{.type = INSTAR_INT8, .i = a},
                              {.type = INSTAR_TEXT, .bytes = {wide, WARM_BYTES}}};
        rc = instar_upsert(txn, s->p, row);
    }
    return rc;
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

static void do_step(instar *db, const char *step)
{
    if (sqls_run(db, step) != INSTAR_OK) {
        test_fail(__FILE__, __LINE__, "%s: %s", step, sqls_words());
    }
}

/* LMDB keeps the pages of its largest transaction so far. So that those of a later one do not look
 * like growth, that comes first: a table as large as all trees of the soak, whose rows come in an
 * order in which each fold goes through all of its pages; and again, as folds are small while
 * somebody waits for the disk. They are free when it is dropped, and what fill() writes comes into
 * them. */
static void warm(instar *db)
{
    static const char *const columns[] = {"a", "c"};
    struct step s = {.next = 0};

    dbs_make_table(db, "w");
    ok(instar_projection_prepare(db, "w", columns, 2, NULL, &s.p));
    for (int rounds = 0; test_lmdb_kept() < WARM_KEPT; rounds++) {
        if (rounds == WARM_ROUNDS) {
            test_fail(__FILE__, __LINE__, "no fold of the warm-up was large: %llu bytes",
                      (unsigned long long)test_lmdb_kept());
        }
        for (s.next = 0; s.next < WARM_ROWS; s.next += WARM_BATCH) {
            ok(instar_run(db, INSTAR_TXN_ASYNC, write_wide, &s));
        }
    }
    instar_projection_free(s.p);
    do_step(db, "DROP TABLE w");
}

/* The tables are as old as those of a store in use: a row's tag takes two bytes then, until the
 * 16384th version. Where it grows amid the run each row does, and full leaves are split, once. */
static void fill(instar *db)
{
    dbs_make_table(db, "t");
    dbs_make_table(db, "u");
    for (size_t i = 0; i < OLD_CYCLES * BASE_ARRAY_LEN(steps); i++) {
        do_step(db, steps[i % BASE_ARRAY_LEN(steps)]);
    }
    for (int64_t a = 0; a < KEYS; a++) {
        ok(dbs_insert(db, "t", a, 0));
        ok(dbs_insert(db, "u", a, 0));
    }
}

static void sleep_until(uint64_t ns)
{
    uint64_t now = os_now_ns();
    if (now < ns) {
        os_sleep_ns(ns - now);
    }
}

/* Changes at their times, and a sample behind each, before the next one. */
static size_t run(instar *db, const struct test_child *workers, uint64_t seconds)
{
    uint64_t cycle_most = 4 * BASE_ARRAY_LEN(steps) * CHANGE_S;
    uint64_t cycles = (seconds + cycle_most - 1) / cycle_most;

    per_quarter = (cycles > CYCLES ? cycles : CYCLES) * BASE_ARRAY_LEN(steps);
    samples = calloc(4 * per_quarter, sizeof(samples[0]));
    expect(samples != NULL);
    uint64_t began = os_now_ns(), every = seconds * NS_PER_S / (4 * per_quarter);
    for (size_t i = 0; i < 4 * per_quarter; i++) {
        do_step(db, steps[i % BASE_ARRAY_LEN(steps)]);
        sleep_until(began + (i + 1) * every);
        take(db, workers, &samples[i]);
    }
    return 4 * per_quarter;
}

/* For this process and its children: what is in use and what is private are about the same then. */
static void give_back_what_is_freed(void)
{
    if (MEMORY_IS_OURS) {
        expect(mallopt(M_ARENA_MAX, 1) == 1 && mallopt(M_MMAP_THRESHOLD, PIECE_BYTES) == 1);
    }
}

Test(soak, nothing_grows, .timeout = 100000)
{
    static int numbers[WORKERS] = {UPDATER, INSERTER, READER};
    struct test_child workers[WORKERS];
    uint64_t seconds = test_env_u64("INSTAR_SECONDS", SECONDS);
    instar_check_summary found;

    dbs_path(); /* the same for all */
    give_back_what_is_freed();
    shared = test_shared(sizeof(*shared));
    for (int i = 0; i < WORKERS; i++) {
        test_fork(&workers[i], work, &numbers[i]);
    }
    instar *db = dbs_open(0);
    warm(db);
    fill(db);
    for (int i = 0; i < WORKERS; i++) {
        test_send(&workers[i], 0);
        test_await(&workers[i], READY);
    }
    size_t changes = run(db, workers, seconds);
    atomic_store(&shared->stop, true);
    for (int i = 0; i < WORKERS; i++) {
        test_await(&workers[i], READY);
    }
    await_segments_given_back(workers);
    for (int i = 0; i < WORKERS; i++) {
        test_send(&workers[i], 0);
        test_wait_ok(&workers[i]);
        expect(atomic_load(&shared->done[i]) > 0);
    }
    fprintf(stderr, "%llu seconds, with %zu changes\n", (unsigned long long)seconds, changes);
    judge(seconds);
    ok(instar_check(db, NULL, NULL, &found));
    ok(instar_close(db));
    judge_times(seconds);
    munmap(shared, sizeof(*shared));
    free(samples);
}
