/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories: processes run transactions on one table beside schema changes, and are killed at named
 * points, most of them in a commit. All that each saw and did is written down outside the store.
 * Two judges who know nothing of each other say whether an order explains it: one tries the log's,
 * the other looks for somebody who comes before himself.
 *
 * INSTAR_HISTORY_TXNS sets how many transactions a worker does.
 */
#define _GNU_SOURCE
#include "support/history.h"
#include "support/sqls.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__)
#define TXNS 800
#else
#define TXNS 3000
#endif

/* Where workers die. `often`: reached by every transaction. */
static const struct point {
    const char *name;
    bool often;
} points[] = {
    {"snapshot.begun", true},        {"txn.lsn_chosen", true},      {"commit.mark_set", true},
    {"commit.record_written", true}, {"commit.nodes_filled", true}, {"commit.nodes_linked", true},
    {"commit.chain_set", true},      {"commit.tail_set", true},     {"commit.appended", true},
    {"commit.durable", true},        {"flush.synced", true},        {"flush.durable_set", true},
    {"apply.batch_written", false},  {"change.published", false},   {"fold.batch_written", false},
};

struct shared {
    _Atomic bool stop;
    _Atomic uint64_t changes;
};

static void make_store(struct test_child *self, void *arg)
{
    instar *db = dbs_open(0);

    (void)self;
    (void)arg;
    history_make_t(db);
    ok(instar_close(db));
}

/* Changes of the schema under all that: versions and leases move. */
static void change_schema(struct test_child *self, void *arg)
{
    static const char *const statements[] = {"CREATE INDEX t_w ON t (b)",
                                             "ALTER TABLE t ADD COLUMN x int8 DEFAULT 7",
                                             "DROP INDEX t_w", "ALTER TABLE t DROP COLUMN x"};
    struct shared *shared = arg;
    instar *db = dbs_open(0);

    (void)self;
    for (size_t i = 0; !atomic_load(&shared->stop); i++) {
        ok(sqls_run(db, statements[i % BASE_ARRAY_LEN(statements)]));
        atomic_fetch_add(&shared->changes, 1);
    }
    ok(instar_close(db));
}

static void look_at_all(struct test_child *self, void *arg)
{
    struct history *h = arg;
    instar *db = dbs_open(0);

    (void)self;
    for (uint32_t i = 0; i < HISTORY_WORKERS; i++) {
        history_settle(db, h, i);
    }
    dbs_end(db);
}

static void start(struct test_child *child, struct history_job *job, struct test_random *r)
{
    const struct point *point = &points[test_random_below(r, BASE_ARRAY_LEN(points))];

    job->stream = test_random_next(r);
    job->point = test_random_chance(r, 85) ? point->name : NULL;
    job->nth = 1 + test_random_below(r, point->often ? 100 : 2);
    test_fork(child, history_work, job);
}

/* Until each has done its part; whoever is killed is started again. How many were. */
static uint64_t work(struct history *h, struct test_random *r)
{
    struct test_child children[HISTORY_WORKERS];
    struct history_job jobs[HISTORY_WORKERS];
    uint64_t kills = 0;

    for (uint32_t i = 0; i < HISTORY_WORKERS; i++) {
        jobs[i] = (struct history_job){.history = h, .worker = i};
        start(&children[i], &jobs[i], r);
    }
    for (uint32_t i = 0; i < HISTORY_WORKERS; i++) {
        int status;
        while ((status = test_wait(&children[i])) == -SIGKILL) {
            kills++;
            start(&children[i], &jobs[i], r);
        }
        expect(status == 0);
    }
    return kills;
}

static void run(bool snapshot, uint64_t stream)
{
    struct history *h = test_shared(sizeof(*h));
    struct test_random r = test_random(stream + 1000 * test_seed());
    struct shared *shared = test_shared(sizeof(*shared));
    struct test_child child, changer;
    char words[HISTORY_WORDS];

    h->snapshot = snapshot;
    h->limit = (uint32_t)test_env_u64("INSTAR_HISTORY_TXNS", TXNS);
    cr_assert(h->limit <= HISTORY_TXNS_MAX);
    test_remove(dbs_path());
    test_fork(&child, make_store, NULL);
    test_wait_ok(&child);
    test_fork(&changer, change_schema, shared);
    uint64_t kills = work(h, &r);
    atomic_store(&shared->stop, true);
    test_wait_ok(&changer);
    test_fork(&child, look_at_all, h);
    test_wait_ok(&child);
    history_judge_order(h, words);
    cr_assert_str_eq(words, "", "by the log's order: %s", words);
    history_judge_graph(h, words);
    cr_assert_str_eq(words, "", "by who saw whom: %s", words);
    fprintf(stderr, "%u transactions, %llu of them committed, beside %llu changes and %llu kills\n",
            HISTORY_WORKERS * h->limit, (unsigned long long)atomic_load(&h->commits),
            (unsigned long long)atomic_load(&shared->changes), (unsigned long long)kills);
    expect(atomic_load(&h->commits) > h->limit);
    munmap(shared, sizeof(*shared));
    munmap(h, sizeof(*h));
}

Test(history, is_serializable, .timeout = 1800)
{
    run(false, 1);
}

Test(history, is_of_snapshots, .timeout = 1800)
{
    run(true, 2);
}

/* ---- the judges themselves ----------------------------------------------------------------- */

static struct history *book;
static uint64_t now;

/* The next transaction of a worker, committed behind all before it, which it saw. */
static struct history_txn *add(uint32_t worker, uint32_t flags)
{
    uint32_t n = atomic_load(&book->count[worker]);
    struct history_txn *t = &book->txns[worker][n];

    atomic_store(&book->count[worker], n + 1);
    t->flags = flags;
    t->begun_ns = ++now;
    t->snapshot = ++now;
    atomic_store(&t->lsn, ++now);
    t->ended_ns = ++now;
    atomic_store(&t->state, HISTORY_COMMITTED);
    return t;
}

static uint32_t number_of(const struct history_txn *t)
{
    return (uint32_t)(t - &book->txns[0][0]) + 1;
}

static void op(struct history_txn *t, enum history_verb verb, uint8_t key,
               const struct history_txn *version)
{
    t->ops[t->op_count++] = (struct history_op){
        .verb = (uint8_t)verb, .key = key, .version = version != NULL ? number_of(version) : 0};
}

static void rewrite(struct history_txn *t, uint8_t key, const struct history_txn *version)
{
    op(t, HISTORY_READ, key, version);
    op(t, HISTORY_WRITE, key, version);
}

/* By whom it is noticed. */
static void expect_noticed(bool by_order, bool by_graph)
{
    char words[HISTORY_WORDS];

    history_judge_order(book, words);
    cr_assert_eq(words[0] != '\0', by_order, "order: \"%s\"", words);
    history_judge_graph(book, words);
    cr_assert_eq(words[0] != '\0', by_graph, "graph: \"%s\"", words);
}

static void begin(void)
{
    book = test_shared(sizeof(*book));
    now = 0;
}

static void end(void)
{
    munmap(book, sizeof(*book));
}

TestSuite(judges, .init = begin, .fini = end);

Test(judges, find_nothing_in_a_good_history)
{
    struct history_txn *a = add(0, 0), *b, *c, *d;

    rewrite(a, 1, NULL);
    b = add(1, 0);
    rewrite(b, 1, a);
    c = add(2, HISTORY_READONLY);
    op(c, HISTORY_READ, 1, b);
    op(c, HISTORY_READ, 2, NULL);
    d = add(0, 0);
    op(d, HISTORY_READ, 1, b);
    op(d, HISTORY_REMOVE, 1, b);
    rewrite(add(1, 0), 1, NULL);
    expect_noticed(false, false);
}

Test(judges, find_a_lost_update)
{
    struct history_txn *a = add(0, 0);

    rewrite(a, 1, NULL);
    rewrite(add(1, 0), 1, a);
    rewrite(add(2, 0), 1, a);
    expect_noticed(true, true);
}

Test(judges, find_a_write_skew)
{
    struct history_txn *a = add(0, 0), *b, *c;

    rewrite(a, 1, NULL);
    rewrite(a, 2, NULL);
    b = add(1, 0);
    c = add(2, 0);
    op(b, HISTORY_READ, 1, a);
    rewrite(b, 2, a);
    op(c, HISTORY_READ, 2, a);
    rewrite(c, 1, a);
    expect_noticed(true, true);
}

/* Snapshot isolation allows that, when each saw what was there when it began. */
Test(judges, allow_a_write_skew_of_snapshots)
{
    struct history_txn *a = add(0, HISTORY_SNAPSHOT), *b, *c;

    book->snapshot = true;
    rewrite(a, 1, NULL);
    rewrite(a, 2, NULL);
    b = add(1, HISTORY_SNAPSHOT);
    c = add(2, HISTORY_SNAPSHOT);
    c->snapshot = b->snapshot;
    c->begun_ns = b->begun_ns;
    op(b, HISTORY_READ, 1, a);
    rewrite(b, 2, a);
    op(c, HISTORY_READ, 2, a);
    rewrite(c, 1, a);
    expect_noticed(false, false);
}

Test(judges, find_a_read_of_what_was_aborted)
{
    struct history_txn *a = add(0, 0);

    rewrite(a, 1, NULL);
    op(add(1, HISTORY_READONLY), HISTORY_READ, 1, a);
    atomic_store(&a->state, HISTORY_ABORTED);
    expect_noticed(true, true);
}

/* Two rows of one commit, of which a reader sees one. */
Test(judges, find_half_a_commit)
{
    struct history_txn *a = add(0, 0), *b, *c;

    rewrite(a, 1, NULL);
    rewrite(a, 2, NULL);
    b = add(1, 0);
    rewrite(b, 1, a);
    rewrite(b, 2, a);
    c = add(2, HISTORY_READONLY);
    op(c, HISTORY_READ, 1, b);
    op(c, HISTORY_READ, 2, a);
    expect_noticed(true, true);
}

/* Only the log's order tells that somebody has read what was there before. */
Test(judges, find_a_stale_read_after_an_acknowledgement)
{
    struct history_txn *a = add(0, 0), *b;

    rewrite(a, 1, NULL);
    b = add(1, HISTORY_READONLY);
    op(b, HISTORY_READ, 1, NULL);
    b->snapshot = atomic_load(&a->lsn) - 1;
    expect_noticed(true, false);
}

/* A scan that misses a row: its key is in no version that was seen. */
Test(judges, find_a_phantom)
{
    struct history_txn *a = add(0, 0), *b;

    rewrite(a, 1, NULL);
    a->ops[1].g = 3;
    b = add(1, 0);
    op(b, HISTORY_SCAN, 0, NULL);
    b->ops[0].g = 3;
    rewrite(b, 2, NULL);
    expect_noticed(true, false);
}

Test(judges, find_a_unique_value_twice)
{
    struct history_txn *a = add(0, 0), *b;

    rewrite(a, 1, NULL);
    a->ops[1].u = 5;
    b = add(1, 0);
    rewrite(b, 2, NULL);
    b->ops[1].u = 5;
    expect_noticed(true, false);
}
