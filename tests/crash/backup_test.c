/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups at random moments of a store that several processes write to, while another one makes and
 * drops indexes. What each writer does is decided by its number and the count of its commits, so a
 * restored store can be told to hold exactly what came of a number of commits; and each commit says
 * in its row how many of the others' were acknowledged before it began, so that a store which lacks
 * one of those holds no prefix. INSTAR_BACKUPS sets how many; INSTAR_SEED which.
 */
#include "support/dbs.h"
#include "store/store_impl.h"
#include "support/stores.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITERS 4
#define SLOTS 200 /* rows of a writer beside its first, which counts its commits */
#define WRITES 6  /* of a commit */
#define BACKUPS 12
#define CHECKS 60

struct world {
    _Atomic uint64_t acknowledged[WRITERS];
    _Atomic uint32_t events; /* a futex */
    _Atomic bool stop;
};

struct job {
    struct world *world;
    uint32_t writer;
    uint64_t number; /* of the commit */
    instar_projection *table;
};

static int64_t row_of(uint32_t writer, uint64_t slot)
{
    return (int64_t)(writer * 1000000u + slot);
}

/* What the nth commit of a writer does to its slots: which, and 0 for a delete. */
static void draw(uint32_t writer, uint64_t number, uint64_t slots[WRITES], int64_t values[WRITES])
{
    struct test_random r = test_random(1000 + writer * UINT64_C(1000003) + number * 17);
    for (int i = 0; i < WRITES; i++) {
        slots[i] = 1 + test_random_below(&r, SLOTS);
        values[i] = test_random_chance(&r, 25) ? 0 : (int64_t)(number * WRITES + (uint64_t)i + 1);
    }
}

static int write_once(instar_txn *txn, void *arg)
{
    struct job *job = arg;
    uint64_t slots[WRITES];
    int64_t values[WRITES];
    char seen[128];
    int at = 0;
    for (int w = 0; w < WRITERS; w++) {
        at += snprintf(seen + at, sizeof(seen) - (size_t)at, "%llu ",
                       (unsigned long long)atomic_load(&job->world->acknowledged[w]));
    }
    draw(job->writer, job->number, slots, values);
    instar_value row[] = {{.type = INSTAR_INT8, .i = row_of(job->writer, 0)},
                          {.type = INSTAR_INT8, .i = (int64_t)job->number},
                          {.type = INSTAR_TEXT, .bytes = {seen, (size_t)at}}};
    int rc = instar_upsert(txn, job->table, row);
    for (int i = 0; i < WRITES && rc == INSTAR_OK; i++) {
        row[0].i = row_of(job->writer, slots[i]);
        row[1].i = values[i];
        if (values[i] != 0) {
            rc = instar_upsert(txn, job->table, row);
        } else {
            rc = instar_delete(txn, job->table, row);
            rc = rc == INSTAR_ENOTFOUND ? INSTAR_OK : rc;
        }
    }
    return rc;
}

static void write_on(struct test_child *self, void *arg)
{
    struct job job = *(struct job *)arg;
    instar *db = dbs_open(0);
    (void)self;
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &job.table));
    while (!atomic_load(&job.world->stop)) {
        job.number = atomic_load(&job.world->acknowledged[job.writer]) + 1;
        /* Half of them by the flusher's time. */
        ok(instar_run(db, job.writer % 2 != 0 ? INSTAR_TXN_ASYNC : 0, write_once, &job));
        atomic_store(&job.world->acknowledged[job.writer], job.number);
        atomic_fetch_add(&job.world->events, 1);
        os_futex_wake_all(&job.world->events);
    }
    instar_projection_free(job.table);
    ok(instar_close(db));
}

static void change_on(struct test_child *self, void *arg)
{
    struct world *world = arg;
    instar *db = dbs_open(0);
    (void)self;
    while (!atomic_load(&world->stop)) {
        ok(dbs_index(db, "t_b", "t", "b", false, NULL));
        ok(dbs_drop_index(db, "t_b"));
    }
    ok(instar_close(db));
}

static uint64_t acknowledged(const struct world *world)
{
    uint64_t sum = 0;
    for (int w = 0; w < WRITERS; w++) {
        sum += atomic_load(&world->acknowledged[w]);
    }
    return sum;
}

static void await_commits(struct world *world, uint64_t more)
{
    uint64_t wanted = acknowledged(world) + more;
    uint64_t deadline = os_now_ns() + UINT64_C(60000000000);
    for (;;) {
        uint32_t seen = atomic_load(&world->events);
        if (acknowledged(world) >= wanted) {
            return;
        }
        expect(os_now_ns() < deadline);
        os_futex_wait(&world->events, seen, 100000000);
    }
}

/* ---- what a restored store must hold ------------------------------------------------------ */

struct looked {
    instar_projection *table;
    uint64_t commits[WRITERS];
    uint64_t before[WRITERS]; /* acknowledged before one of the commits that are there began */
    int64_t slots[WRITERS][SLOTS + 1];
};

static int look_at_all(instar_txn *txn, void *arg)
{
    struct looked *l = arg;
    instar_cursor *cursor = NULL;
    instar_value row[3];
    int rc = instar_scan(txn, l->table, NULL, &cursor);
    while (rc == INSTAR_OK && (rc = instar_cursor_next(cursor, row)) == INSTAR_OK) {
        uint64_t writer = (uint64_t)row[0].i / 1000000u, slot = (uint64_t)row[0].i % 1000000u;
        expect(writer < WRITERS && slot <= SLOTS);
        l->slots[writer][slot] = row[1].i;
        if (slot == 0) {
            unsigned long long n[WRITERS];
            char text[128];
            (void)snprintf(text, sizeof(text), "%.*s", (int)row[2].bytes.size,
                           (const char *)row[2].bytes.data);
            expect(sscanf(text, "%llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3]) == WRITERS);
            for (int w = 0; w < WRITERS; w++) {
                l->before[w] = n[w] > l->before[w] ? n[w] : l->before[w];
            }
            l->commits[writer] = (uint64_t)row[1].i;
        }
    }
    instar_cursor_close(cursor);
    return rc == INSTAR_END ? INSTAR_OK : rc;
}

static int await_change(void *arg, const instar_change_info *info)
{
    uint64_t *running = arg;
    if (info->state == INSTAR_CHANGE_RUNNING || info->state == INSTAR_CHANGE_REVERTING) {
        *running = info->id;
    }
    return 0;
}

static void finish_changes(instar *db)
{
    for (uint64_t running = 1; running != 0;) {
        running = 0;
        ok(instar_change_list(db, await_change, &running));
        if (running != 0) {
            int rc = instar_change_wait(db, running, 60000, NULL);
            expect(rc == INSTAR_OK || rc == INSTAR_ECANCELLED);
        }
    }
}

/* least: what was acknowledged before the backup began, or NULL. */
static void check_restored(const char *path, const uint64_t least[WRITERS])
{
    static struct looked l;
    static int64_t model[SLOTS + 1];
    instar *db = NULL;
    memset(&l, 0, sizeof(l));
    ok(instar_open(path, NULL, &db));
    finish_changes(db);
    dbs_check_clean(db);
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &l.table));
    ok(instar_run(db, INSTAR_TXN_READONLY, look_at_all, &l));
    for (uint32_t w = 0; w < WRITERS; w++) {
        expect(least == NULL || l.commits[w] >= least[w]);
        expect(l.commits[w] >= l.before[w]);
        memset(model, 0, sizeof(model));
        for (uint64_t n = 1; n <= l.commits[w]; n++) {
            uint64_t slots[WRITES];
            int64_t values[WRITES];
            draw(w, n, slots, values);
            for (int i = 0; i < WRITES; i++) {
                model[slots[i]] = values[i];
            }
        }
        for (uint64_t slot = 1; slot <= SLOTS; slot++) {
            expect_u64((uint64_t)l.slots[w][slot], (uint64_t)model[slot]);
        }
    }
    instar_projection_free(l.table);
    ok(instar_close(db));
}

/* ---- the campaign ------------------------------------------------------------------------- */

struct scene {
    struct world *world;
    struct test_child writers[WRITERS], changer;
    struct job jobs[WRITERS];
    char backup[300], restored[300];
};

static void make_store(struct test_child *self, void *arg)
{
    instar *db = dbs_open(0);
    (void)self;
    (void)arg;
    dbs_make_table(db, "t");
    ok(instar_close(db));
}

static void begin(struct scene *s)
{
    struct test_child child;
    (void)dbs_path(); /* the same for all of them */
    s->world = test_shared(sizeof(*s->world));
    test_fork(&child, make_store, NULL);
    test_wait_ok(&child);
    for (uint32_t w = 0; w < WRITERS; w++) {
        s->jobs[w] = (struct job){.world = s->world, .writer = w};
        test_fork(&s->writers[w], write_on, &s->jobs[w]);
    }
    test_fork(&s->changer, change_on, s->world);
    (void)snprintf(s->backup, sizeof(s->backup), "%s/backup", test_fast_dir());
    (void)snprintf(s->restored, sizeof(s->restored), "%s/restored", test_fast_dir());
}

static void end(struct scene *s)
{
    atomic_store(&s->world->stop, true);
    for (uint32_t w = 0; w < WRITERS; w++) {
        test_wait_ok(&s->writers[w]);
    }
    test_wait_ok(&s->changer);
    munmap(s->world, sizeof(*s->world));
}

static void restore_and_check(struct scene *s, const instar_restore_options *options,
                              const uint64_t *least)
{
    ok(instar_restore(s->backup, s->restored, options));
    check_restored(s->restored, least);
    test_remove(s->restored);
}

/* All that was acknowledged before a backup is in it, and nothing without what came before it; also
 * when it is restored to a position or a time in between. */
Test(backup, holds_a_prefix_of_what_was_committed)
{
    struct test_random r = test_random(7);
    uint64_t count = test_env_u64("INSTAR_BACKUPS", BACKUPS), positions = 0;
    struct scene s = {0};
    begin(&s);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    for (uint64_t i = 0; i < count; i++) {
        instar_restore_options part;
        instar_backup_info info, again;
        uint64_t least[WRITERS];
        await_commits(s.world, 1 + test_random_below(&r, 400));
        for (int w = 0; w < WRITERS; w++) {
            least[w] = atomic_load(&s.world->acknowledged[w]);
        }
        ok(instar_backup(db, s.backup, NULL, &info));
        ok(instar_backup_look(s.backup, &again));
        expect(memcmp(&info, &again, sizeof(info)) == 0);
        restore_and_check(&s, NULL, least);

        instar_restore_options_init(&part);
        part.to_lsn = info.first_lsn + test_random_below(&r, info.last_lsn - info.first_lsn + 1);
        positions += info.last_lsn - info.first_lsn;
        restore_and_check(&s, &part, NULL);
        instar_restore_options_init(&part);
        part.to_us = info.first_us +
                     (int64_t)test_random_below(&r, (uint64_t)(info.last_us - info.first_us) + 1);
        restore_and_check(&s, &part, NULL);
        test_remove(s.backup);
    }
    ok(instar_close(db));
    fprintf(stderr, "%llu commits, %llu backups, %llu bytes of log to choose from\n",
            (unsigned long long)acknowledged(s.world), (unsigned long long)count,
            (unsigned long long)positions);
    end(&s);
}

static int fail_finding(void *arg, const instar_finding *finding)
{
    (void)arg;
    test_fail(__FILE__, __LINE__, "found in a whole store: %s", finding->text);
    return 0;
}

/* The checker sees one snapshot of pages and rows, whatever is folded, built and dropped meanwhile.
 */
Test(backup, checks_beside_writers_find_nothing)
{
    struct scene s = {0};
    begin(&s);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    for (int i = 0; i < CHECKS; i++) {
        instar_check_summary sum;
        await_commits(s.world, 50);
        ok(i % 2 == 0 ? instar_check(db, fail_finding, NULL, &sum)
                      : instar_check_fast(db, fail_finding, NULL, &sum));
        expect(sum.pages > 2);
        fails(instar_check_files(dbs_path(), NULL, NULL, NULL), INSTAR_EBUSY);
    }
    ok(instar_close(db));
    end(&s);
    ok(instar_check_files(dbs_path(), fail_finding, NULL, NULL));
}

struct killed {
    const char *path;
    const char *point;
};

static void back_up(struct test_child *self, void *arg)
{
    struct killed *k = arg;
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    (void)self;
    test_kill_at_point(k->point, 1);
    ok(instar_backup(db, k->path, NULL, NULL));
    ok(instar_close(db));
}

/* A process that dies in a backup leaves none, and its pin of the log goes with it. */
Test(backup, death_in_a_backup)
{
    static const char *const points[] = {"backup.begun", "backup.trees_copied",
                                         "backup.log_copied"};
    struct scene s = {0};
    begin(&s);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        struct killed k = {s.backup, points[i]};
        struct test_child child;
        await_commits(s.world, 100);
        test_fork(&child, back_up, &k);
        expect(test_wait(&child) == -SIGKILL);
        fails(instar_restore(s.backup, s.restored, NULL), INSTAR_ENOSTORE);
        fails(instar_backup(db, s.backup, NULL, NULL), INSTAR_EEXISTS);
        expect(access(s.restored, F_OK) != 0);
        test_remove(s.backup);
    }
    /* The log goes on being given back. */
    instar_stats stats = {.struct_size = sizeof(stats)};
    uint64_t deadline = os_now_ns() + UINT64_C(60000000000);
    uint64_t from = 0;
    do {
        await_commits(s.world, 200);
        ok(instar_stat(db, &stats));
        from = from == 0 ? stats.log_tail : from;
        expect(os_now_ns() < deadline);
    } while (stats.log_tail < from + 4 * dbs_options().segment_bytes);
    expect(stats.log_segments <= dbs_log_segments_bound());
    ok(instar_close(db));
    end(&s);
}

/* ---- one process -------------------------------------------------------------------------- */

static instar *filled(int64_t rows)
{
    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    for (int64_t i = 1; i <= rows; i++) {
        ok(dbs_insert(db, "t", i, i * 10));
    }
    ok(dbs_index(db, "t_b", "t", "b", true, NULL));
    return db;
}

static void fold_and_be_held(struct test_child *self, void *arg)
{
    instar *db = dbs_open(0);
    (void)arg;
    ok(dbs_insert(db, "t", 1, 1)); /* the applier is held as it writes this to the trees */
    test_await(self, 1);
    ok(instar_close(db));
}

static void back_up_in_vain(struct test_child *self, void *arg)
{
    instar_options o = dbs_options();
    instar *db = NULL;
    (void)self;
    o.lock_timeout_ms = 300;
    o.flags = INSTAR_OPEN_NO_RUNNER;
    ok(instar_open(dbs_path(), &o, &db));
    fails(instar_backup(db, arg, NULL, NULL), INSTAR_EBUSY);
    expect(strstr(instar_error_text(), "gate") != NULL);
    expect(access(arg, F_OK) != 0);
    ok(instar_close(db));
}

/* A process that stands still while it writes to the trees does not hold a backup up for ever: it
 * is named. */
Test(backup, a_writer_that_is_stopped)
{
    struct test_child writer, other;
    struct test_hold hold;
    char to[300];
    (void)snprintf(to, sizeof(to), "%s/backup", test_fast_dir());
    (void)dbs_path();
    test_fork(&writer, make_store, NULL);
    test_wait_ok(&writer);
    test_hold_set(&hold, "apply.batch_written", 1);
    test_fork(&writer, fold_and_be_held, NULL);
    test_hold_await(&hold);
    test_fork(&other, back_up_in_vain, to);
    test_wait_ok(&other);
    test_hold_release(&hold);
    test_send(&writer, 1);
    test_wait_ok(&writer);
    test_hold_end(&hold);
}

struct meanwhile {
    instar *db;
    bool done;
};

static int keep_last(void *arg, const instar_change_info *info)
{
    memcpy(arg, info, sizeof(*info));
    return 0;
}

static int build_meanwhile(void *arg, uint64_t done, uint64_t total)
{
    struct meanwhile *m = arg;
    (void)done;
    (void)total;
    if (!m->done) {
        m->done = true;
        ok(dbs_insert(m->db, "t", 7000, 1));
        ok(dbs_index(m->db, "t_again", "t", "b", false, NULL));
        ok(dbs_insert(m->db, "t", 8000, 2));
    }
    return 0;
}

/* An index that is completed while the trees are copied is in neither the copy nor, as a whole, in
 * the log: the backup ends before that, and the restored store builds it itself. */
Test(backup, an_index_is_completed_meanwhile)
{
    char to[300], again[300];
    instar_change_info info = {0};
    instar *db = filled(500);
    struct meanwhile m = {db, false};
    instar_backup_options o = {.struct_size = sizeof(o), .progress = build_meanwhile, .arg = &m};
    (void)snprintf(to, sizeof(to), "%s/backup", test_fast_dir());
    (void)snprintf(again, sizeof(again), "%s/again", test_fast_dir());
    ok(instar_backup(db, to, &o, NULL));
    ok(instar_close(db));
    ok(instar_restore(to, again, NULL));
    ok(instar_open(again, NULL, &db));
    finish_changes(db);
    dbs_check_clean(db);
    fails(dbs_insert(db, "t", 7000, 1), INSTAR_EEXISTS);
    fails(dbs_delete(db, "t", 8000), INSTAR_ENOTFOUND);
    expect(strstr(dbs_dump(db, "t", "t_again"), "7000:1 ") != NULL);
    ok(instar_change_list(db, keep_last, &info));
    expect(info.state == INSTAR_CHANGE_DONE && strcmp(info.object, "t_again") == 0);
    ok(instar_close(db));
}

struct folding {
    struct store *s;
    bool done;
};

/* Three segments and more, and all of them folded: but for the backup they would go. */
static int fold_meanwhile(void *arg, uint64_t done, uint64_t total)
{
    static char value[60000];
    struct folding *f = arg;
    (void)done;
    (void)total;
    memset(value, 'x', sizeof(value) - 1);
    for (int i = 0; !f->done && i < 4; i++) {
        for (int k = 0; k < 20; k++) {
            stores_write(f->s, 1, "key", value);
        }
        stores_fold(f->s);
    }
    f->done = true;
    return 0;
}

/* The log from where the trees stood when the backup began stays until it has been copied. */
Test(backup, log_is_folded_meanwhile)
{
    char to[300];
    instar_backup_info info;
    struct folding f = {stores_make(NULL), false};
    instar_backup_options o = {.struct_size = sizeof(o), .progress = fold_meanwhile, .arg = &f};
    (void)snprintf(to, sizeof(to), "%s/backup", test_fast_dir());
    stores_tree_op(f.s, STORE_TREE_CREATE, 1);
    must(store_backup(f.s, to, &o, &info, &test_err));
    expect(info.last_lsn - info.first_lsn > 3 * store_options(f.s)->segment_bytes);
    /* What is made of it goes on with the same log, but is another store. */
    char again[300];
    instar_options stored = stores_options();
    instar_restore_options all;
    struct store *other;
    instar_restore_options_init(&all);
    (void)snprintf(again, sizeof(again), "%s/again", test_fast_dir());
    must(store_restore(to, again, &stored, &all, &test_err));
    must(store_open(again, &stored, &other, &test_err));
    expect(memcmp(other->log_id, f.s->log_id, sizeof(f.s->log_id)) == 0);
    expect(memcmp(other->instance_id, f.s->instance_id, sizeof(f.s->instance_id)) != 0);
    stores_close(other);
    stores_close(f.s);
}

static int give_up_after(void *arg, uint64_t done, uint64_t total)
{
    uint64_t *left = arg;
    expect(total > 0 && done > 0);
    return (*left)-- == 0 ? 1 : 0;
}

/* Given up at any moment, a backup and a restore leave nothing; and the pin is gone. */
Test(backup, given_up)
{
    char to[300], again[300];
    instar *db = filled(300);
    uint64_t left = 0;
    int rc = INSTAR_ECANCELLED;
    (void)snprintf(to, sizeof(to), "%s/backup", test_fast_dir());
    (void)snprintf(again, sizeof(again), "%s/again", test_fast_dir());
    for (uint64_t n = 0; rc == INSTAR_ECANCELLED; n += 1 + n / 2) {
        instar_backup_options o = {
            .struct_size = sizeof(o), .progress = give_up_after, .arg = &left};
        left = n;
        rc = instar_backup(db, to, &o, NULL);
        expect(rc == INSTAR_ECANCELLED || n > 0);
        expect((access(to, F_OK) == 0) == (rc == INSTAR_OK));
    }
    ok(rc);
    ok(instar_close(db));
    rc = INSTAR_ECANCELLED;
    for (uint64_t n = 0; rc == INSTAR_ECANCELLED; n++) {
        instar_restore_options o;
        instar_restore_options_init(&o);
        o.progress = give_up_after;
        o.arg = &left;
        left = n;
        rc = instar_restore(to, again, &o);
        expect(rc == INSTAR_ECANCELLED || n > 0);
        expect((access(again, F_OK) == 0) == (rc == INSTAR_OK));
    }
    ok(rc);
    ok(instar_open(again, NULL, &db));
    dbs_end(db);
}

/* Any byte of a backup that is changed, and any end that is cut off, is noticed by the restore,
 * which names the file and leaves nothing. */
Test(backup, damage_is_noticed)
{
    static const char *const names[] = {"manifest", "data.mdb", "log"};
    struct test_random r = test_random(3);
    char to[300], again[300], path[400];
    instar *db = filled(50);
    (void)snprintf(to, sizeof(to), "%s/backup", test_fast_dir());
    (void)snprintf(again, sizeof(again), "%s/again", test_fast_dir());
    ok(dbs_insert(db, "t", 1000, 1));
    ok(instar_backup(db, to, NULL, NULL));
    ok(instar_close(db));
    for (size_t f = 0; f < BASE_ARRAY_LEN(names); f++) {
        size_t size;
        (void)snprintf(path, sizeof(path), "%s/%s", to, names[f]);
        uint8_t *bytes = test_read_file(path, &size);
        for (int i = 0; i < 40 && size > 0; i++) {
            size_t at = test_random_below(&r, size);
            uint8_t bit = (uint8_t)(1u << test_random_below(&r, 8));
            bytes[at] ^= bit;
            test_write_file(path, bytes, i % 4 == 3 ? at : size);
            int rc = instar_restore(to, again, NULL);
            expect(rc == INSTAR_ECORRUPT || (f == 0 && rc < 0));
            expect(strstr(instar_error_text(), names[f]) != NULL);
            expect(access(again, F_OK) != 0);
            bytes[at] ^= bit;
        }
        test_write_file(path, bytes, size);
        expect(unlink(path) == 0);
        expect(instar_restore(to, again, NULL) < 0);
        expect(access(again, F_OK) != 0);
        test_write_file(path, bytes, size);
        base_free(bytes);
    }
    ok(instar_restore(to, again, NULL));
}

/* What is there already is not touched, what is no backup is refused, and positions and times
 * outside are answered with what there is. Files are ours alone whatever the umask. */
Test(backup, refusals)
{
    char to[300], again[300], path[400];
    struct stat st;
    instar_restore_options o;
    instar_backup_info info;
    instar *db = filled(10);
    (void)snprintf(to, sizeof(to), "%s/backup", test_fast_dir());
    (void)snprintf(again, sizeof(again), "%s/again", test_fast_dir());
    fails(instar_backup(db, dbs_path(), NULL, NULL), INSTAR_EEXISTS);
    fails(instar_backup(db, "", NULL, NULL), INSTAR_EMISUSE);
    fails(instar_backup(db, "/nowhere/at/all", NULL, NULL), INSTAR_EINVALID);
    umask(0);
    ok(instar_backup(db, to, NULL, &info));
    expect(stat(to, &st) == 0 && (st.st_mode & 07777) == 0700);
    (void)snprintf(path, sizeof(path), "%s/data.mdb", to);
    expect(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    fails(instar_backup(db, to, NULL, NULL), INSTAR_EEXISTS);
    fails(instar_restore(dbs_path(), again, NULL), INSTAR_ENOSTORE);
    fails(instar_restore(to, dbs_path(), NULL), INSTAR_EEXISTS);
    instar_restore_options_init(&o);
    o.to_lsn = info.last_lsn + 1;
    fails(instar_restore(to, again, &o), INSTAR_EINVALID);
    expect(strstr(instar_error_text(), "positions from") != NULL);
    o.to_lsn = info.first_lsn - 1;
    fails(instar_restore(to, again, &o), INSTAR_EINVALID);
    instar_restore_options_init(&o);
    o.to_us = info.first_us - 1;
    fails(instar_restore(to, again, &o), INSTAR_EINVALID);
    expect(strstr(instar_error_text(), "times from") != NULL);
    /* The original stays open beside its copy: they share nothing. */
    ok(instar_restore(to, again, NULL));
    instar *copy = NULL;
    ok(instar_open(again, NULL, &copy));
    ok(dbs_insert(copy, "t", 5000, 5000));
    fails(dbs_insert(copy, "t", 5000, 5000), INSTAR_EEXISTS);
    ok(dbs_insert(db, "t", 5000, 5001));
    dbs_check_clean(copy);
    dbs_check_clean(db);
    ok(instar_close(copy));
    ok(instar_close(db));
}
