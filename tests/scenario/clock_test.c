/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks that are wrong, under load. Two processes write, one holds transactions open, one changes
 * the schema; each of them may see a time since the start that is an hour ahead of the others', or
 * behind. Meanwhile the machine sleeps for an hour, the wall clock is set forward or back by one,
 * and time runs slowly, again and again. Nothing may come of it but delays:
 *
 *   each commit is there, and nothing else; index and table agree
 *   each change ends with the verdict that its rows give
 *   no grant that counts is two versions behind another
 *   and when the clocks are right again, no call is held up
 *
 * INSTAR_CLOCK_RUNS gives the number of runs, INSTAR_SEED the seed.
 */
#include "api/api_impl.h"
#include "support/clocks.h"
#include "support/grants.h"
#include "support/compounds.h"
#include "support/sqls.h"

#include <stdatomic.h>
#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__)
#define RUNS 2
#else
#define RUNS 3
#endif
#define WRITERS 2
#define KEYS 40 /* of each writer */
#define READY 1
#define EVENTS_HELD 400                         /* while a transaction is held open, at most */
#define TWINS 1000000                           /* keys of two rows with one value */
#define PATIENCE_NS (UINT64_C(60) * 1000000000) /* real time, for one change */
#define TICK_NS 10000000
#define ABSENT INT64_MIN

struct shared {
    _Atomic bool stop;
    _Atomic uint32_t events; /* commits and verdicts: something to look at */
    _Atomic uint32_t verdicts;
    _Atomic uint64_t delays;              /* calls that a deadline has ended */
    _Atomic int64_t rows[WRITERS * KEYS]; /* b, or ABSENT: what was acknowledged */
};

struct run {
    struct shared *shared;
    struct clocks *clocks;
    uint64_t seed;
    uint32_t lease_ms;
    uint32_t fence_ms;
};

struct part {
    const struct run *run;
    int number;
    int64_t ahead_ns;
};

static void tell(struct shared *shared)
{
    atomic_fetch_add(&shared->events, 1);
    os_futex_wake_all(&shared->events);
}

/* What a clock may do to a call. */
static bool is_delay(int code)
{
    return instar_error_class(code) == INSTAR_CLASS_RETRY || code == INSTAR_ECOMMIT_UNKNOWN;
}

static instar *open_here(const struct part *p, uint32_t flags)
{
    instar_options o = dbs_options();
    instar *db = NULL;
    clocks_attach(p->run->clocks, p->ahead_ns);
    o.flags = flags;
    o.lease_ms = p->run->lease_ms;
    ok(instar_open(dbs_path(), &o, &db));
    return db;
}

/* ---- writers ------------------------------------------------------------------------------ */

struct write {
    instar_projection *t;
    int64_t key, before, after; /* b, or ABSENT */
};

static int write_row(instar_txn *txn, void *arg)
{
    const struct write *w = arg;
    instar_value row[2] = {{.type = INSTAR_INT8, .i = w->key},
                           {.type = INSTAR_INT8, .i = w->after}};
    if (w->after == ABSENT) {
        return instar_delete(txn, w->t, row);
    }
    return w->before == ABSENT ? instar_insert(txn, w->t, row) : instar_update(txn, w->t, row, row);
}

static int read_row(instar_txn *txn, void *arg)
{
    struct write *w = arg;
    instar_value key = {.type = INSTAR_INT8, .i = w->key}, row[2];
    int rc = instar_get(txn, w->t, &key, row);
    w->before = rc == 0 ? row[1].i : ABSENT;
    return rc == INSTAR_ENOTFOUND ? 0 : rc;
}

/* Whether an append became durable is not known, or the call gave up: what is there now? */
static int64_t read_back(instar *db, const struct write *w)
{
    struct write look = *w;
    int rc;
    do {
        rc = instar_run(db, 0, read_row, &look);
        expect(rc == 0 || is_delay(rc));
    } while (rc != 0);
    expect(look.before == w->before || look.before == w->after);
    return look.before;
}

static void write_some(struct test_child *self, void *arg)
{
    const struct part *p = arg;
    struct shared *shared = p->run->shared;
    struct test_random r = test_random(p->run->seed * 100 + (uint64_t)p->number);
    const char *columns[] = {"a", "b"};
    struct write w = {0};
    instar *db = open_here(p, INSTAR_OPEN_NO_RUNNER);
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &w.t));
    test_send(self, READY);
    for (int64_t n = 1; !atomic_load(&shared->stop); n++) {
        size_t at = (size_t)p->number * KEYS + test_random_below(&r, KEYS);
        w.key = (int64_t)at;
        w.before = atomic_load(&shared->rows[at]);
        w.after = w.before != ABSENT && test_random_chance(&r, 25) ? ABSENT : n;
        unsigned flags = test_random_chance(&r, 50) ? INSTAR_TXN_ASYNC : 0;
        int rc = instar_run(db, flags, write_row, &w);
        if (rc != 0 && !is_delay(rc)) {
            test_fail(__FILE__, __LINE__, "row %lld: %s: %s", (long long)w.key,
                      instar_error_name(rc), instar_error_text());
        }
        atomic_fetch_add(&shared->delays, rc != 0);
        atomic_store(&shared->rows[at], rc == INSTAR_ECOMMIT_UNKNOWN ? read_back(db, &w)
                                        : rc == 0                    ? w.after
                                                                     : w.before);
        tell(shared);
    }
    instar_projection_free(w.t);
    ok(instar_close(db));
}

/* Transactions that live for a while: what they are, and what they wait for, is fenced or waited
 * for. Their row is nobody else's. */
static void hold_open(struct test_child *self, void *arg)
{
    const struct part *p = arg;
    struct shared *shared = p->run->shared;
    const char *columns[] = {"a", "b"};
    struct write w = {.key = TWINS + 10, .before = 0};
    struct test_random r = test_random(p->run->seed * 100 + 40);
    instar *db = open_here(p, INSTAR_OPEN_NO_RUNNER);
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &w.t));
    test_send(self, READY);
    while (!atomic_load(&shared->stop)) {
        instar_txn *txn = NULL;
        int rc = instar_begin(db, 0, &txn);
        uint64_t events = test_random_below(&r, EVENTS_HELD);
        for (uint64_t i = 0; rc == 0 && i < events && !atomic_load(&shared->stop); i++) {
            uint32_t seen = atomic_load(&shared->events);
            w.after++;
            rc = write_row(txn, &w);
            (void)os_futex_wait(&shared->events, seen, TICK_NS);
        }
        if (rc == 0) {
            rc = instar_commit(txn);
        } else {
            instar_abort(txn);
        }
        expect(rc == 0 || is_delay(rc));
        atomic_fetch_add(&shared->delays, rc != 0);
    }
    instar_projection_free(w.t);
    ok(instar_close(db));
}

/* ---- changes ------------------------------------------------------------------------------ */

/* One after the other; each leaves what the next one of its kind expects. */
static const struct {
    const char *sql;
    int verdict;
} changes[] = {{"CREATE INDEX i ON t (b, a DESC)", 0},
               {"CREATE UNIQUE INDEX u ON t (d)", INSTAR_EFAILED},
               {"ALTER TABLE t ADD COLUMN e bigint DEFAULT 5, ALTER COLUMN c TYPE varchar(30)", 0},
               {"DROP INDEX i", 0},
               {"ALTER TABLE t DROP COLUMN e, ALTER COLUMN c TYPE text", 0},
               {"CREATE INDEX i ON t (b) WHERE b > 0", 0},
               {"ALTER TABLE t ADD CONSTRAINT k CHECK (a >= 0)", 0},
               {"DROP INDEX i", 0},
               {"ALTER TABLE t DROP CONSTRAINT k", 0}};

static int print_finding(void *arg, const instar_finding *finding)
{
    (void)arg;
    fprintf(stderr, "finding: %s\n", finding->text);
    return 0;
}

/* A limit of time that has passed at once is passed again; real time has one. */
static int wait_for(instar *db, uint64_t change, uint32_t timeout_ms, struct shared *shared)
{
    struct timespec began, now;
    int rc;
    clock_gettime(CLOCK_MONOTONIC, &began);
    do {
        rc = instar_change_wait(db, change, timeout_ms, NULL);
        atomic_fetch_add(&shared->delays, rc == INSTAR_EBUSY);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((uint64_t)(now.tv_sec - began.tv_sec) * 1000000000 > PATIENCE_NS) {
            test_fail(__FILE__, __LINE__, "no verdict: %s", instar_error_text());
        }
    } while (is_delay(rc));
    return rc;
}

static void change_schema(struct test_child *self, void *arg)
{
    const struct part *p = arg;
    struct shared *shared = p->run->shared;
    struct test_random r = test_random(p->run->seed * 100 + 50);
    instar *db = open_here(p, 0);
    test_send(self, READY);
    test_until_told(self);
    for (size_t i = 0; i < BASE_ARRAY_LEN(changes); i++) {
        instar_change_options o = scene_options(p->run->fence_ms);
        uint64_t change = 0;
        int rc;
        do {
            rc = compounds_submit(db, changes[i].sql, &o, &change);
        } while (is_delay(rc));
        if (rc != 0) {
            test_fail(__FILE__, __LINE__, "%s: %s", changes[i].sql, compounds_error());
        }
        rc = wait_for(db, change, test_random_chance(&r, 50) ? 1 : 60000, shared);
        if (rc != changes[i].verdict) {
            test_fail(__FILE__, __LINE__, "%s: %s: %s", changes[i].sql, instar_error_name(rc),
                      instar_error_text());
        }
        rc = instar_check(db, print_finding, NULL, NULL);
        if (rc != 0 && !is_delay(rc)) {
            test_fail(__FILE__, __LINE__, "after %s: %s", changes[i].sql, instar_error_text());
        }
        atomic_fetch_add(&shared->verdicts, 1);
        tell(shared);
    }
    test_send(self, READY);
    test_until_told(self);
    ok(instar_close(db));
}

/* ---- the machine -------------------------------------------------------------------------- */

static void move_clocks(struct clocks *c, struct test_random *r)
{
    switch (test_random_below(r, 5)) {
    case 0:
        clocks_sleep(c, CLOCKS_HOUR_NS);
        break;
    case 1:
        clocks_set_wall(c, CLOCKS_HOUR_NS);
        break;
    case 2:
        clocks_set_wall(c, -CLOCKS_HOUR_NS);
        break;
    case 3:
        clocks_slow(c, 1 + (unsigned)test_random_below(r, 6));
        break;
    default:
        clocks_slow(c, 0);
        break;
    }
}

/* Until all changes have their verdict: after each few commits the clocks do something else. */
static uint64_t play(const struct run *run, instar *db, struct test_random *r)
{
    struct shared *shared = run->shared;
    uint64_t moves = 0;
    while (atomic_load(&shared->verdicts) < BASE_ARRAY_LEN(changes)) {
        uint32_t seen = atomic_load(&shared->events), until = seen + 1;
        until += (uint32_t)test_random_below(r, 60);
        while (seen < until && os_futex_wait(&shared->events, seen, 4 * TICK_NS) == 0) {
            seen = atomic_load(&shared->events);
        }
        struct grants_apart apart;
        int rc = grants_look_locked(db->env.leases, &apart, &test_err);
        expect(rc == 0 || is_delay(rc));
        if (apart.table != 0) {
            test_fail(__FILE__, __LINE__, "LEASE-2: valid grants on versions %u and %u", apart.low,
                      apart.high);
        }
        move_clocks(run->clocks, r);
        moves++;
    }
    clocks_slow(run->clocks, 0);
    return moves;
}

static void make_t(const struct run *run)
{
    const struct part own = {.run = run};
    instar *db = open_here(&own, INSTAR_OPEN_CREATE);
    ok(sqls_run(db, "CREATE TABLE t (a bigint PRIMARY KEY, b bigint, c varchar(20), d bigint);"));
    for (int64_t i = 0; i < 2; i++) {
        char row[64];
        (void)snprintf(row, sizeof(row), "%lld,0,x,7", (long long)(TWINS + i));
        ok(alters_insert(db, "t", NULL, row));
    }
    ok(alters_insert(db, "t", "a,b", "1000010,0"));
    ok(instar_close(db));
    for (size_t i = 0; i < WRITERS * KEYS; i++) {
        atomic_store(&run->shared->rows[i], ABSENT);
    }
}

/* The rows that were acknowledged, the checker's word, and that nothing is held up for good. */
static void look_back(const struct run *run, instar *db)
{
    struct write w = {0};
    const char *columns[] = {"a", "b"};
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &w.t));
    for (size_t i = 0; i < WRITERS * KEYS; i++) {
        int64_t b = atomic_load(&run->shared->rows[i]);
        w.key = (int64_t)i;
        ok(instar_run(db, 0, read_row, &w));
        if (w.before != b) {
            test_fail(__FILE__, __LINE__, "row %zu is %lld, not %lld", i, (long long)w.before,
                      (long long)b);
        }
    }
    instar_projection_free(w.t);
    ok(sqls_run(db, "CREATE INDEX last ON t (b); ALTER TABLE t ADD COLUMN f int;"));
    dbs_check_clean(db);
}

static struct run new_run(uint64_t seed, struct test_random *r)
{
    static const uint32_t leases[] = {100, 1000, 60000}, fences[] = {0, 50, 30000};
    struct run run = {.seed = seed,
                      .clocks = clocks_new(),
                      .lease_ms = leases[test_random_below(r, BASE_ARRAY_LEN(leases))],
                      .fence_ms = fences[test_random_below(r, BASE_ARRAY_LEN(fences))]};
    run.shared = test_shared(sizeof(*run.shared));
    return run;
}

/* All together; the last one changes the schema. */
static void run_once(uint64_t seed)
{
    static const int64_t aheads[] = {0, 0, CLOCKS_HOUR_NS, -CLOCKS_HOUR_NS};
    void (*const jobs[])(struct test_child *, void *) = {write_some, write_some, hold_open,
                                                         change_schema};
    struct test_child children[BASE_ARRAY_LEN(jobs)];
    struct part parts[BASE_ARRAY_LEN(jobs)];
    struct test_random r = test_random(seed);
    struct run run = new_run(seed, &r);
    const struct part own = {.run = &run};
    make_t(&run);
    for (size_t i = 0; i < BASE_ARRAY_LEN(jobs); i++) {
        parts[i] = (struct part){&run, (int)i, aheads[test_random_below(&r, 4)]};
        test_fork(&children[i], jobs[i], &parts[i]);
        test_await(&children[i], READY);
    }
    instar *db = open_here(&own, INSTAR_OPEN_NO_RUNNER);
    struct test_child *changer = &children[BASE_ARRAY_LEN(jobs) - 1];
    test_send(changer, 0);
    uint64_t moves = play(&run, db, &r);
    atomic_store(&run.shared->stop, true);
    tell(run.shared);
    test_await(changer, READY);
    for (size_t i = 0; i + 1 < BASE_ARRAY_LEN(jobs); i++) {
        test_wait_ok(&children[i]);
    }
    look_back(&run, db);
    test_send(changer, 0);
    test_wait_ok(changer);
    ok(instar_close(db));
    fprintf(stderr, "run %llu: leases of %u ms, %llu moves, %u commits, %llu delays\n",
            (unsigned long long)seed, run.lease_ms, (unsigned long long)moves,
            atomic_load(&run.shared->events), (unsigned long long)atomic_load(&run.shared->delays));
    test_remove(dbs_path());
}

Test(clock, wrong_clocks_only_delay, .timeout = 1800)
{
    uint64_t runs = test_env_u64("INSTAR_CLOCK_RUNS", RUNS);
    dbs_path(); /* shared by all */
    for (uint64_t i = 0; i < runs; i++) {
        run_once((test_seed() - 1) * runs + i);
    }
    fprintf(stderr, "%llu runs\n", (unsigned long long)runs);
}
