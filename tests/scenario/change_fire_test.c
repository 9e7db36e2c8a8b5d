/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schema changes under fire: several processes write, two can run changes, and something goes wrong
 * at a moment that the seed decides: a runner or a writer is killed, a writer is stopped past its
 * lease, the change is cancelled or made to stand still, another one is submitted. Whatever
 * happens: the verdict is one that the case allows, the checker finds nothing, and scan by table =
 * scan by index.
 *
 * INSTAR_FIRE_RUNS gives the number of runs, INSTAR_SEED which of them: with 1 run, that one.
 */
#include "support/compounds.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define READY 1
#define WRITERS 2
#define ROWS 300
#define LEASE_MS 300 /* of every second run: a stopped writer's ends; else it is fenced before */
#define LONG_LEASE_MS 5000
#define FENCE_MS 100
#define UNTOUCHED 100000 /* keys from here on are written by nobody */
#define PAUSE_MS 30
/* All that a writer of a and b need not notice; one step has to look at the rows. */
#define ALTERATION "add d int8 not-null default 5 , set-not-null b , drop c"

enum operation {
    PLAIN,
    UNIQUE,
    UNIQUE_DUPLICATES,
    DROP,
    DROP_TABLE,
    ALTER,
    CONSTRAINT,
    PARTIAL,
    PARTIAL_DUPLICATES,
    COVERING,
    VACUUM,
    UNDO,
    COMPOUND,
    COMPOUND_DUPLICATES,
    OPERATIONS
};
enum trouble { NONE, KILL_RUNNER, KILL_WRITER, STOP_WRITER, CANCEL, PAUSE, SECOND, TROUBLES };

static const char *const operation_names[] = {"create index",
                                              "create unique index",
                                              "create unique index over duplicates",
                                              "drop index",
                                              "drop table",
                                              "alter table",
                                              "add unique",
                                              "create unique partial index",
                                              "create unique partial index over duplicates",
                                              "create covering index",
                                              "vacuum",
                                              "undo drop column",
                                              "compound",
                                              "compound over duplicates"};
static const char *const trouble_names[] = {"nothing",        "runner killed", "writer killed",
                                            "writer stopped", "cancelled",     "paused",
                                            "second change"};

/* Where a runner may be killed. */
static const char *const points[] = {
    "change.claimed",     "change.published",  "change.delete_only", "change.write_only",
    "change.cut",         "build.snapshot",    "build.scanned",      "build.loaded",
    "build.folded",       "change.fold_end",   "change.validated",   "change.public",
    "change.waiting",     "change.enforcing",  "change.withdrawn",   "change.absent",
    "change.lowered",     "change.altered",    "change.retired",     "change.turned_back",
    "change.restored",    "change.settled",    "change.rewritten",   "change.pruned",
    "vacuum.read",        "vacuum.batch",      "change.purged",      "commit.record_written",
    "bulk.batch_written", "fold.batch_written"};

struct shared {
    _Atomic bool stop;
    _Atomic uint64_t commits;
    _Atomic int64_t writers; /* that have begun */
};

struct run {
    uint64_t number;
    struct test_random chance;
    enum operation operation;
    enum trouble trouble;
    const char *point;
    uint64_t nth;
    struct shared *shared;
    struct test_child runners[2];
    struct test_child writers[WRITERS];
    int stopped;   /* so many of them */
    uint64_t drop; /* that is to be undone */
};

static uint32_t lease_ms = LEASE_MS; /* of this run, also in the processes that it forks */

static instar *open_store(uint32_t flags)
{
    instar_options o = dbs_options();
    instar *db = NULL;

    o.flags |= flags;
    o.lease_ms = lease_ms;
    o.durability = INSTAR_ASYNC;
    ok(instar_open(dbs_path(), &o, &db));
    return db;
}

/* ---- processes ---------------------------------------------------------------------------- */

static void run_changes(struct test_child *self, void *arg)
{
    const struct run *r = arg;

    if (r != NULL) {
        test_kill_at_point(r->point, r->nth);
    }
    instar *db = open_store(0);
    test_send(self, READY);
    test_until_told(self);
    ok(instar_close(db));
}

/* One row of a key: the values of two keys never meet. */
struct write {
    instar_projection *p;
    int64_t a, b;
    uint64_t verb;
};

static int write_row(instar_txn *txn, void *arg)
{
    const struct write *w = arg;
    instar_value row[2] = {{.type = INSTAR_INT8, .i = w->a}, {.type = INSTAR_INT8, .i = w->b}};
    int rc = w->verb == 0 ? instar_delete(txn, w->p, row) : instar_upsert(txn, w->p, row);

    return rc == INSTAR_ENOTFOUND ? 0 : rc;
}

static void write_rows(struct test_child *self, void *arg)
{
    const struct run *r = arg;
    const char *columns[] = {"a", "b"};
    struct test_random chance = test_random(r->number * 16 + (uint64_t)self->out);
    instar *db = open_store(INSTAR_OPEN_NO_RUNNER);
    int64_t number = 1 + atomic_fetch_add(&r->shared->writers, 1);
    struct write w;
    int rc = 0;

    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &w.p));
    test_send(self, READY);
    while (!atomic_load(&r->shared->stop) && rc != INSTAR_EUNKNOWN) {
        /* Half of them on keys of its own: when it is stopped in one of these, and wakes up with a
         * version that is long gone, no conflict ends it but only its lease. */
        w.a = 1 + (int64_t)test_random_below(&chance, ROWS);
        w.a += test_random_chance(&chance, 50) ? number * ROWS : 0;
        w.b = w.a * 1000 + (int64_t)test_random_below(&chance, 5);
        w.verb = test_random_below(&chance, 4);
        rc = instar_run(db, 0, write_row, &w);
        /* The table may have been dropped: then there is nothing to write any more. */
        expect(rc == 0 || rc == INSTAR_EUNKNOWN);
        atomic_fetch_add(&r->shared->commits, rc == 0);
    }
    instar_projection_free(w.p);
    ok(instar_close(db));
}

/* ---- one run ------------------------------------------------------------------------------ */

static void choose(struct run *r, uint64_t number)
{
    *r = (struct run){.number = number, .chance = test_random(number)};
    r->operation = (enum operation)test_random_below(&r->chance, OPERATIONS);
    r->trouble = (enum trouble)test_random_below(&r->chance, TROUBLES);
    lease_ms = number % 2 == 0 ? LEASE_MS : LONG_LEASE_MS;
    if (r->trouble == KILL_RUNNER) {
        r->point = points[test_random_below(&r->chance, BASE_ARRAY_LEN(points))];
        r->nth = 1 + test_random_below(&r->chance, 3);
    }
    r->shared = test_shared(sizeof(*r->shared));
}

static int64_t thousand(int64_t i)
{
    return i * 1000;
}

static int64_t same(int64_t i)
{
    (void)i;
    return -1;
}

static bool over_duplicates(const struct run *r)
{
    return r->operation == UNIQUE_DUPLICATES || r->operation == PARTIAL_DUPLICATES ||
           r->operation == COMPOUND_DUPLICATES;
}

/* The table as it is before the change, made by a process that is gone when others start. */
static void prepare(struct run *r)
{
    test_remove(dbs_path());
    instar *db = open_store(0);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, ROWS, thousand);
    if (over_duplicates(r) || r->operation == PARTIAL) {
        scene_fill(db, "t", UNTOUCHED, UNTOUCHED + 3, same);
    }
    if (r->operation == DROP) {
        ok(dbs_index(db, "t_b", "t", "b", true, NULL));
    }
    if (r->operation >= COMPOUND) {
        ok(dbs_index(db, "t_old", "t", "b", false, NULL));
    }
    if (r->operation == VACUUM) {
        ok(dbs_index(db, "t_b", "t", "b", false, NULL));
        ok(alters_run(db, "t", "add d int8 default 1 , drop c"));
    }
    if (r->operation == UNDO) { /* what rows of meanwhile have in it is not null */
        instar_change_options o = scene_options(FENCE_MS);
        o.undo_window_s = 3600;
        ok(alters_run(db, "t", "add d int8 not-null default 5"));
        ok(alters_submit(db, "t", "drop d", &o, &r->drop));
        scene_await(db, r->drop, INSTAR_OK, NULL);
    }
    ok(instar_close(db));
}

static uint64_t submit(const struct run *r, instar *db)
{
    instar_change_options o = scene_options(FENCE_MS);
    uint64_t change = 0;

    o.sort_memory_bytes = 1 << 20;
    switch (r->operation) {
    case DROP:
        ok(instar_drop_index(db, "t_b", &o, &change));
        break;
    case DROP_TABLE:
        ok(instar_drop_table(db, "t", &o, &change));
        break;
    case ALTER:
        ok(alters_submit(db, "t", ALTERATION, &o, &change));
        break;
    case VACUUM:
        ok(instar_vacuum(db, "t", &o, &change));
        break;
    case UNDO:
        ok(instar_change_undo(db, r->drop, NULL, &o, &change));
        break;
    case COMPOUND:
    case COMPOUND_DUPLICATES:
        ok(compounds_submit(
            db,
            "CREATE UNIQUE INDEX t_b ON t (b); DROP INDEX t_old; CREATE INDEX t_c "
            "ON t (b DESC); CREATE INDEX t_e ON t (c) INCLUDE (b); ALTER TABLE t ADD COLUMN d int8 "
            "DEFAULT 1; CREATE INDEX t_d ON t (d, b) WHERE b % 3 > 0 AND d = 1",
            &o, &change));
        break;
    case CONSTRAINT:
        ok(compounds_submit(db,
                            "ALTER TABLE t ADD CONSTRAINT t_b UNIQUE (b) INCLUDE (c), ALTER "
                            "COLUMN b SET NOT NULL, ADD COLUMN d int8 DEFAULT 1",
                            &o, &change));
        break;
    case PARTIAL: /* rows come and go, and all that have one value stay outside */
    case PARTIAL_DUPLICATES:
    case COVERING:
        ok(compounds_submit(db,
                            r->operation == PARTIAL
                                ? "CREATE UNIQUE INDEX t_b ON t (b) WHERE b % 2 = 0"
                            : r->operation == COVERING
                                ? "CREATE INDEX t_b ON t (c) INCLUDE (b)"
                                : "CREATE UNIQUE INDEX t_b ON t (b) WHERE b % 2 = 0 OR b < 0",
                            &o, &change));
        break;
    default:
        change = dbs_submit_index(db, "t_b", "t", "b", r->operation != PLAIN, &o);
        break;
    }
    return change;
}

/* The other processes are at work. */
static void start(struct run *r)
{
    for (int i = 0; i < WRITERS; i++) {
        test_fork(&r->writers[i], write_rows, r);
    }
    test_fork(&r->runners[0], run_changes, r->trouble == KILL_RUNNER ? r : NULL);
    test_fork(&r->runners[1], run_changes, NULL);
    for (int i = 0; i < WRITERS; i++) {
        test_await(&r->writers[i], READY);
    }
    test_await(&r->runners[1], READY);
    if (r->trouble != KILL_RUNNER) {
        test_await(&r->runners[0], READY);
    }
}

static void signal_stopped(struct run *r, int number)
{
    for (int i = 0; i < r->stopped; i++) {
        test_kill(&r->writers[i], number);
    }
}

static void steer(instar *db, uint64_t change, uint32_t set, uint32_t clear)
{
    int rc = scene_steer(db, change, set, clear);
    expect(rc == 0 || rc == INSTAR_ESTATE); /* it may have ended */
}

/* Make it go wrong. Returns the second change, or 0. */
static uint64_t make_trouble(struct run *r, instar *db, uint64_t change)
{
    instar_change_options o = scene_options(FENCE_MS);
    instar_key_column part = {.name = "b", .descending = true};
    instar_index_def def = {.name = "t_c", .table = "t", .columns = &part, .column_count = 1};
    uint64_t second = 0;
    int rc;

    switch (r->trouble) {
    case KILL_WRITER:
        test_kill(&r->writers[0], SIGKILL);
        r->writers[0].pid = 0;
        break;
    case STOP_WRITER:
        r->stopped = 1 + (int)test_random_below(&r->chance, WRITERS);
        signal_stopped(r, SIGSTOP);
        break;
    case CANCEL:
        rc = instar_change_cancel(db, change);
        expect(rc == 0 || rc == INSTAR_ESTATE);
        break;
    case PAUSE:
        steer(db, change, INSTAR_CHANGE_PAUSE, 0);
        (void)instar_change_wait(db, change, PAUSE_MS, NULL); /* it stands, the writers go on */
        steer(db, change, 0, INSTAR_CHANGE_PAUSE);
        break;
    case SECOND:
        o.flags = INSTAR_CHANGE_IF_NOT_EXISTS;
        rc = instar_create_index(db, &def, &o, &second);
        expect(rc == 0 ||
               (r->operation == DROP_TABLE && (rc == INSTAR_ESTATE || rc == INSTAR_EUNKNOWN)));
        break;
    default:
        break;
    }
    return second;
}

static int await(struct run *r, instar *db, uint64_t change, instar_change_info *info)
{
    int rc = instar_change_wait(db, change, 2000, info);

    if (rc == INSTAR_EBUSY) {
        /* One who is stopped inside the mutex holds up everybody, and can only be continued. */
        signal_stopped(r, SIGCONT);
        rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, info);
    }
    return rc;
}

static void stop(struct run *r)
{
    signal_stopped(r, SIGCONT);
    atomic_store(&r->shared->stop, true);
    for (int i = 0; i < WRITERS; i++) {
        if (r->writers[i].pid != 0) {
            test_wait_ok(&r->writers[i]);
        }
    }
    scene_runner_end(&r->runners[1]);
    if (r->trouble == KILL_RUNNER) {
        /* It was killed, or it never came to its point. */
        test_kill(&r->runners[0], SIGKILL);
    } else {
        scene_runner_end(&r->runners[0]);
    }
    munmap(r->shared, sizeof(*r->shared));
}

static bool allowed(const struct run *r, int rc)
{
    if (r->trouble == CANCEL && rc == INSTAR_ECANCELLED) {
        return true;
    }
    return rc == (over_duplicates(r) ? INSTAR_EFAILED : INSTAR_OK);
}

static void fire(uint64_t number)
{
    struct run r;
    instar_change_info info;

    choose(&r, number);
    fprintf(stderr, "run %" PRIu64 ": %s, %s %s %" PRIu64 "\n", number,
            operation_names[r.operation], trouble_names[r.trouble], r.point != NULL ? r.point : "",
            r.nth);
    prepare(&r);
    start(&r);
    instar *db = open_store(INSTAR_OPEN_NO_RUNNER);
    uint64_t change = submit(&r, db);
    uint64_t second = make_trouble(&r, db, change);
    int rc = await(&r, db, change, &info);
    if (!allowed(&r, rc)) {
        test_fail(__FILE__, __LINE__, "verdict %s: %s", instar_error_name(rc), info.reason);
    }
    if (over_duplicates(&r) && rc == INSTAR_EFAILED) {
        expect_u64(info.duplicate_count, 1);
    }
    /* A compound change that makes just that index is joined. */
    if (second != 0 && second != change) {
        rc = await(&r, db, second, &info);
        expect(rc == 0 || (rc == INSTAR_ECANCELLED && r.operation == DROP_TABLE));
    }
    stop(&r);
    dbs_end(db);
}

Test(change_fire, verdicts_and_indexes_are_right, .timeout = 3600)
{
    uint64_t runs = test_env_u64("INSTAR_FIRE_RUNS", 40);
    uint64_t first = 1 + (test_seed() - 1) * runs; /* two seeds have no run in common */

    for (uint64_t i = first; i < first + runs; i++) {
        fire(i);
    }
}
