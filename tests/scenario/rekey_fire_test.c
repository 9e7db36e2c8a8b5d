/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Primary keys under fire: one change after the other gives a table another key, or none, while
 * several processes write rows of their own and remember them; runners are killed on the way. In
 * the end each finds exactly its rows, the checker finds nothing, and scan by table = scan by
 * index.
 *
 * INSTAR_FIRE_RUNS gives the number of runs, INSTAR_SEED which of them: with 1 run, that one.
 */
#include "support/compounds.h"
#include "support/rekeys.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define READY 1
#define WRITERS 3
#define EACH 200 /* values of a that are one writer's */
#define CHANGES 4

static const char *const changes[] = {
    "ALTER TABLE t DROP CONSTRAINT t_pkey",
    "ALTER TABLE t ADD PRIMARY KEY (b)",
    "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b, a)",
    "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a) WITH (a = DESC)",
    "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (d, b)",
};

static const char *const points[] = {
    "change.claimed",         "change.published", "change.cut",          "build.snapshot",
    "build.loaded",           "change.fold_end",  "change.enforcing",    "change.validated",
    "rekey.rows_delete_only", "rekey.rows_cut",   "rekey.rows_fold_end", "rekey.rows_enforcing",
    "rekey.swapped",          "change.lowered",   "change.absent",       "change.purged",
    "rekey.batch_filled",     "rekey.filled",     "bulk.batch_written",  "commit.record_written",
    "fold.batch_written",
};

struct shared {
    _Atomic bool stop;
    _Atomic int64_t writers; /* that have begun */
};

static void write_rows(struct test_child *self, void *arg)
{
    struct shared *shared = arg;
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    int64_t first = 1 + EACH * atomic_fetch_add(&shared->writers, 1);
    struct test_random chance = test_random((uint64_t)first + test_seed() * 1000);
    int64_t rows[EACH] = {0};
    struct rekeys x;
    int64_t next = first * 1000000;

    rekeys_open(db, &x);
    test_send(self, READY);
    while (!atomic_load(&shared->stop)) {
        int64_t at = (int64_t)test_random_below(&chance, EACH);
        enum rekeys_verb verb = rows[at] == 0                     ? REKEYS_INSERT
                                : test_random_chance(&chance, 33) ? REKEYS_DELETE
                                                                  : REKEYS_UPDATE;
        ok(rekeys_run(db, &x, verb, first + at, ++next));
        rows[at] = verb == REKEYS_DELETE ? 0 : next;
    }
    rekeys_close(&x); /* the key may have changed since this writer's last call */
    rekeys_open(db, &x);
    for (int64_t i = 0; i < EACH; i++) {
        instar_value values[3];
        instar_txn *txn;
        ok(instar_begin(db, INSTAR_TXN_READONLY, &txn));
        int rc = rekeys_find(txn, &x, first + i, values);
        if (rc != (rows[i] != 0 ? INSTAR_OK : INSTAR_END)) { /* not Criterion's: this is a child */
            test_fail(__FILE__, __LINE__, "row %" PRId64 ": %s, but it was %s", first + i,
                      instar_error_name(rc), rows[i] != 0 ? "written" : "deleted");
        }
        expect(rc != 0 || values[1].i == rows[i]);
        instar_abort(txn);
    }
    rekeys_close(&x);
    ok(instar_close(db));
}

struct runner {
    const char *point;
    uint64_t nth;
};

static void run_changes(struct test_child *self, void *arg)
{
    const struct runner *r = arg;

    test_kill_at_point(r->point, r->nth);
    instar *db = dbs_open(0);
    test_send(self, READY);
    test_until_told(self);
    ok(instar_close(db));
}

static unsigned changed;

static void fire(uint64_t number)
{
    struct shared *shared = test_shared(sizeof(*shared));
    struct test_random chance = test_random(number);
    struct runner victim = {points[test_random_below(&chance, BASE_ARRAY_LEN(points))],
                            1 + test_random_below(&chance, 4)};
    struct runner other = {NULL, 0};
    struct test_child writers[WRITERS];
    struct test_child runners[2];
    bool keyed = true;

    fprintf(stderr, "run %" PRIu64 ": killed at %s %" PRIu64 "\n", number, victim.point,
            victim.nth);
    test_remove(dbs_path());
    instar *db = dbs_open(0);
    ok(compounds_run(db, "CREATE TABLE t (a int8, b int8, c text, d int8 NOT NULL DEFAULT 3, "
                         "PRIMARY KEY (a), UNIQUE (b))"));
    ok(compounds_run(db, "CREATE UNIQUE INDEX t_a ON t (a)"));
    ok(compounds_run(db, "CREATE INDEX t_b ON t (c, b DESC) INCLUDE (a) WHERE b % 3 > 0"));
    scene_fill(db, "t", 100000, 100500, scene_plus_10); /* nobody's */
    ok(instar_close(db));
    for (int i = 0; i < WRITERS; i++) {
        test_fork(&writers[i], write_rows, shared);
    }
    test_fork(&runners[0], run_changes, &victim);
    test_fork(&runners[1], run_changes, &other);
    for (int i = 0; i < WRITERS; i++) {
        test_await(&writers[i], READY);
    }
    test_await(&runners[1], READY);
    db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    for (int i = 0; i < CHANGES; i++) {
        instar_change_options o = scene_options(test_random_chance(&chance, 50) ? 100 : 30000);
        size_t which = keyed ? test_random_below(&chance, BASE_ARRAY_LEN(changes)) : 1;
        bool cancels = test_random_chance(&chance, 25);
        uint64_t change;
        o.sort_memory_bytes = 1 << 20;
        which += keyed && which == 1; /* that is for a table without one */
        int rc = compounds_submit(db, changes[which], &o, &change);
        if (rc == INSTAR_EEXISTS) {
            continue; /* the same key once more */
        }
        ok(rc);
        if (cancels) {
            (void)instar_change_wait(db, change, (uint32_t)test_random_below(&chance, 300), NULL);
            rc = instar_change_cancel(db, change);
            expect(rc == 0 || rc == INSTAR_ESTATE);
        }
        rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
        cr_assert(rc == 0 || (cancels && rc == INSTAR_ECANCELLED), "%s: %s", changes[which],
                  instar_error_text());
        changed++;
        keyed = strcmp(rekeys_key(db), INSTAR_ROW_ID) != 0;
    }
    atomic_store(&shared->stop, true);
    for (int i = 0; i < WRITERS; i++) {
        test_wait_ok(&writers[i]);
    }
    scene_runner_end(&runners[1]);
    test_kill(&runners[0], SIGKILL); /* it was killed, or never came to its point */
    dbs_end(db);
    munmap(shared, sizeof(*shared));
}

Test(rekey_fire, each_finds_its_rows, .timeout = 3600)
{
    uint64_t runs = test_env_u64("INSTAR_FIRE_RUNS", 8);
    uint64_t first = 1 + (test_seed() - 1) * runs; /* two seeds have no run in common */

    for (uint64_t i = first; i < first + runs; i++) {
        fire(i);
    }
    fprintf(stderr, "%u changes of a primary key\n", changed);
}
