/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills by role: processes that run transactions, and one that changes the schema, on one store.
 * Each is killed with SIGKILL at a named point of a role that it may have then (committer, flusher,
 * applier, bulk loader, runner of a change, renewer of leases, reader), or by chance; some are
 * stopped for longer than their lease, and go on. Each start has other options.
 *
 * What the transactions saw and what they were told is written down outside the store
 * (support/history.h). After each kill somebody commits within a second; when all have been killed,
 * what was begun ends, the checker finds nothing, and an order explains the history.
 *
 * INSTAR_KILLS sets how many; the last lines say how often each point of each role was died at.
 */
#define _GNU_SOURCE
#include "support/history.h"
#include "support/sqls.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__)
#define KILLS 100
#define NEXT_COMMIT_S 10 /* sanitized, and beside other tests */
#else
#define KILLS 120
#define NEXT_COMMIT_S 1
#endif
#define KILLS_A_ROUND 40
#define CHANGER HISTORY_WORKERS /* its place among the processes */
#define PROCESSES (HISTORY_WORKERS + 1)
#define PATIENCE_MS 60000
#define COMMITS_A_CHANGE 10
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

enum role { COMMITTER, FLUSHER, APPLIER, LOADER, RUNNER, RENEWER, READER, ROLES };

static const char *const role_names[ROLES] = {
    "committer", "flusher", "applier", "bulk loader", "runner", "lease renewer", "reader"};

/* `often`: reached by every transaction; those wait for one of many hits. */
static const struct point {
    enum role role;
    const char *name;
    bool often;
} points[] = {{COMMITTER, "commit.mark_set", true},     {COMMITTER, "commit.record_written", true},
              {COMMITTER, "commit.nodes_linked", true}, {COMMITTER, "commit.chain_set", true},
              {COMMITTER, "commit.tail_set", true},     {COMMITTER, "commit.appended", true},
              {FLUSHER, "flush.loaded", true},          {FLUSHER, "flush.synced", true},
              {FLUSHER, "flush.durable_set", true},     {APPLIER, "apply.batch_written", false},
              {APPLIER, "apply.committed", false},      {APPLIER, "apply.delta_folded", false},
              {APPLIER, "apply.tree_op", false},        {APPLIER, "apply.tree_op_committed", false},
              {APPLIER, "purge.batch_written", false},  {LOADER, "bulk.batch_written", false},
              {LOADER, "bulk.committed", false},        {LOADER, "fold.batch_written", false},
              {LOADER, "fold.committed", false},        {LOADER, "ahead.looked", false},
              {LOADER, "ahead.written", false},         {LOADER, "ahead.committed", false},
              {RUNNER, "change.claimed", false},        {RUNNER, "change.published", false},
              {RUNNER, "change.waiting", false},        {RUNNER, "change.cut", false},
              {RUNNER, "build.snapshot", false},        {RUNNER, "build.scanned", false},
              {RUNNER, "build.loaded", false},          {RUNNER, "build.folded", false},
              {RUNNER, "validate.snapshot", false},     {RUNNER, "change.purged", false},
              {RENEWER, "lease.slot_taken", false},     {RENEWER, "lease.renewed", false},
              {READER, "txn.lsn_chosen", true},         {READER, "snapshot.begun", true}};

struct shared {
    _Atomic uint64_t changes;
};

struct process {
    struct test_child child;
    struct history *history;
    struct shared *shared;
    uint32_t number;
    uint64_t stream;
    instar_options options;
    const struct point *point; /* to be killed at, or NULL */
    uint64_t nth;
};

struct campaign {
    struct test_random random;
    struct history *history;
    struct shared *shared;
    struct process processes[PROCESSES];
    uint64_t segment_bytes;
    size_t next_point;
    uint64_t kills, stops, changes, commits;
    uint64_t hits[BASE_ARRAY_LEN(points)];
    uint64_t slowest_ns;
    char last[80]; /* what was done last, in words */
};

/* ---- what processes do --------------------------------------------------------------------- */

static void at_point(void *arg, const char *name)
{
    (void)arg;
    history_at_point(name);
}

static instar *open_store(const struct process *p)
{
    static const struct test_listener listener = {.point = at_point};
    instar *db = NULL;

    test_listener_set(&listener);
    if (p->point != NULL) {
        test_kill_at_point(p->point->name, p->nth);
    }
    ok(instar_open(dbs_path(), &p->options, &db));
    return db;
}

static void transact(struct test_child *self, void *arg)
{
    struct process *p = arg;
    instar *db = open_store(p);
    struct history_worker *w =
        history_worker_open(db, p->history, p->number, test_random(p->stream));

    (void)self;
    while (history_worker_next(w)) {
    }
    test_fail(__FILE__, __LINE__, "worker %u has nothing left to do", p->number);
}

/* What its predecessor had begun goes on: then it is done, or in the way. */
static bool is_allowed(int rc)
{
    return rc == INSTAR_OK || rc == INSTAR_ESTATE || rc == INSTAR_ECANCELLED ||
           rc == INSTAR_EEXISTS || rc == INSTAR_EUNKNOWN || rc == INSTAR_EFAILED;
}

static void change_schema(struct test_child *self, void *arg)
{
    static const char *const statements[] = {
        "CREATE INDEX IF NOT EXISTS t_w ON t (b)",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS x int8 DEFAULT 7",
        "CREATE UNIQUE INDEX IF NOT EXISTS t_q ON t (u, a)",
        "DROP INDEX IF EXISTS t_w",
        "ALTER TABLE t DROP COLUMN IF EXISTS x",
        "DROP INDEX IF EXISTS t_q",
        "VACUUM t"};
    struct process *p = arg;
    struct test_random r = test_random(p->stream);
    instar *db = open_store(p);

    (void)self;
    sqls_patience(PATIENCE_MS);
    for (;;) {
        const char *text = statements[test_random_below(&r, BASE_ARRAY_LEN(statements))];
        int rc = sqls_run(db, text);
        if (!is_allowed(rc)) {
            test_fail(__FILE__, __LINE__, "%s: %s: %s", text, instar_error_name(rc), sqls_words());
        }
        atomic_fetch_add(&p->shared->changes, rc == INSTAR_OK);
        /* Each publication refuses some transactions: let others through before the next. */
        uint64_t before = atomic_load(&p->history->commits);
        while (atomic_load(&p->history->commits) < before + COMMITS_A_CHANGE) {
            os_sleep_ns(NS_PER_MS);
        }
    }
}

static void make_store(struct test_child *self, void *arg)
{
    const struct process *p = arg;
    instar *db = NULL;

    (void)self;
    ok(instar_open(dbs_path(), &p->options, &db));
    history_make_t(db);
    ok(instar_close(db));
}

static int await_its_end(void *arg, const instar_change_info *info)
{
    uint64_t *open = arg;

    if (info->state == INSTAR_CHANGE_RUNNING || info->state == INSTAR_CHANGE_REVERTING) {
        *open = info->id;
    }
    return 0;
}

static void look_at_all(struct test_child *self, void *arg)
{
    const struct process *p = arg;
    instar *db = NULL;
    uint64_t open;

    (void)self;
    ok(instar_open(dbs_path(), &p->options, &db));
    for (uint32_t i = 0; i < HISTORY_WORKERS; i++) {
        history_settle(db, p->history, i);
    }
    do {
        open = 0;
        ok(instar_change_list(db, await_its_end, &open));
        if (open != 0) {
            int rc = instar_change_wait(db, open, PATIENCE_MS, NULL);
            expect(rc == INSTAR_OK || rc == INSTAR_EFAILED || rc == INSTAR_ECANCELLED);
        }
    } while (open != 0);
    dbs_end(db);
}

/* ---- who dies, and who stands still -------------------------------------------------------- */

static uint64_t below(struct campaign *c, uint64_t limit)
{
    return test_random_below(&c->random, limit);
}

static void options_by_chance(struct campaign *c, instar_options *o)
{
    *o = dbs_options();
    o->segment_bytes = c->segment_bytes;
    o->segments_pending = 2 + (uint32_t)below(c, 4);
    o->segments_retained = 1 + (uint32_t)below(c, 4);
    o->lease_ms = 50u << below(c, 4);
    o->build_workers = 1 + (uint32_t)below(c, 3);
    o->sort_memory_bytes = (uint64_t)1 << (20 + below(c, 6));
    o->durability = below(c, 2) == 0 ? INSTAR_SYNC : INSTAR_ASYNC;
}

static void start(struct campaign *c, uint32_t i)
{
    struct process *p = &c->processes[i];
    const struct point *point = &points[c->next_point++ % BASE_ARRAY_LEN(points)];

    *p = (struct process){.history = c->history,
                          .shared = c->shared,
                          .number = i,
                          .stream = test_random_next(&c->random)};
    options_by_chance(c, &p->options);
    if (test_random_chance(&c->random, 90)) {
        p->point = point;
        p->nth = 1 + below(c, point->often ? 100 : 2);
    }
    test_fork(&p->child, i == CHANGER ? change_schema : transact, p);
}

static uint64_t commits(const struct campaign *c)
{
    return atomic_load(&c->history->commits);
}

/* Whoever has died at its point is counted and started again; any other end is a failure. */
static bool reap(struct campaign *c)
{
    bool any = false;

    for (uint32_t i = 0; i < PROCESSES; i++) {
        int status;
        struct process *p = &c->processes[i];
        if (waitpid(p->child.pid, &status, WNOHANG) <= 0) {
            continue;
        }
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL || p->point == NULL) {
            test_fail(__FILE__, __LINE__, "process %u ended with status %x", i, (unsigned)status);
        }
        (void)snprintf(c->last, sizeof(c->last), "process %u died as %s at %s", i,
                       role_names[p->point->role], p->point->name);
        c->hits[p->point - points]++;
        c->kills++;
        any = true;
        start(c, i);
    }
    return any;
}

/* Until so many commits more are acknowledged, or somebody has died. */
static bool await_commits(struct campaign *c, uint64_t more, uint64_t limit_ns)
{
    uint64_t wanted = commits(c) + more;
    uint64_t deadline = os_now_ns() + limit_ns;

    while (!reap(c)) {
        if (commits(c) >= wanted) {
            return false;
        }
        if (os_now_ns() >= deadline) {
            test_fail(__FILE__, __LINE__, "no commit within %llu s; last, %s",
                      (unsigned long long)(limit_ns / NS_PER_S), c->last);
        }
        os_sleep_ns(NS_PER_MS);
    }
    return true;
}

/* Somebody commits soon; whoever dies meanwhile is started again, and the time counts from then. */
static void expect_progress(struct campaign *c)
{
    uint64_t began;

    do {
        began = os_now_ns();
    } while (await_commits(c, 1, NEXT_COMMIT_S * NS_PER_S));
    uint64_t took = os_now_ns() - began;
    c->slowest_ns = took > c->slowest_ns ? took : c->slowest_ns;
}

static void kill_one(struct campaign *c)
{
    if (!await_commits(c, 1 + below(c, 600), 30 * NS_PER_S)) {
        uint32_t victim = (uint32_t)below(c, PROCESSES);
        test_kill(&c->processes[victim].child, SIGKILL);
        (void)snprintf(c->last, sizeof(c->last), "process %u was killed", victim);
        c->kills++;
        start(c, victim);
    }
    expect_progress(c);
}

/* For up to two leases of its own, and a little; others may have to wait when it holds a lock. */
static void stop_one(struct campaign *c)
{
    struct process *p = &c->processes[below(c, PROCESSES)];

    test_kill(&p->child, SIGSTOP);
    os_sleep_ns(p->options.lease_ms * NS_PER_MS * (1 + below(c, 2)) + NS_PER_MS);
    test_kill(&p->child, SIGCONT);
    (void)snprintf(c->last, sizeof(c->last), "process %u stood still", p->number);
    c->stops++;
    expect_progress(c);
}

static void kill_all(struct campaign *c)
{
    for (uint32_t i = 0; i < PROCESSES; i++) {
        test_kill(&c->processes[i].child, SIGKILL);
        c->kills++;
    }
}

/* ---- rounds -------------------------------------------------------------------------------- */

/* A history has room for so many transactions of each worker. */
static bool has_work(const struct campaign *c)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < HISTORY_WORKERS; i++) {
        uint32_t done = atomic_load(&c->history->count[i]);
        most = done > most ? done : most;
    }
    return most < HISTORY_TXNS_MAX / 2;
}

static void run_round(struct campaign *c)
{
    struct process other = {.number = CHANGER};
    struct test_child child;
    char words[HISTORY_WORDS];

    c->history = test_shared(sizeof(*c->history));
    c->history->limit = HISTORY_TXNS_MAX;
    c->history->snapshot = below(c, 2) == 0;
    c->history->think_ns = 2 * NS_PER_MS;
    c->segment_bytes = (uint64_t)(64 << 10) << (2 * below(c, 3));
    other.history = c->history;
    options_by_chance(c, &other.options);
    test_remove(dbs_path());
    test_fork(&child, make_store, &other);
    test_wait_ok(&child);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        start(c, i);
    }
    for (int i = 0; i < KILLS_A_ROUND && has_work(c); i++) {
        if (i % 4 == 3) {
            stop_one(c);
        }
        kill_one(c);
    }
    kill_all(c);
    test_fork(&child, look_at_all, &other);
    test_wait_ok(&child);
    history_judge_order(c->history, words);
    cr_assert_str_eq(words, "", "by the log's order: %s", words);
    history_judge_graph(c->history, words);
    cr_assert_str_eq(words, "", "by who saw whom: %s", words);
    c->commits += commits(c);
    munmap(c->history, sizeof(*c->history));
}

static void tell(const struct campaign *c)
{
    size_t died_at = 0;

    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        died_at += c->hits[i] != 0;
        fprintf(stderr, "  %-14s %-24s %llu\n", role_names[points[i].role], points[i].name,
                (unsigned long long)c->hits[i]);
    }
    fprintf(stderr,
            "%llu commits, %llu kills, at %zu of %zu points, %llu stops, beside %llu changes; "
            "slowest next commit after %llu ms\n",
            (unsigned long long)c->commits, (unsigned long long)c->kills, died_at,
            BASE_ARRAY_LEN(points), (unsigned long long)c->stops,
            (unsigned long long)atomic_load(&c->shared->changes),
            (unsigned long long)(c->slowest_ns / NS_PER_MS));
}

static bool died_in_each(const struct campaign *c, uint64_t by_role[ROLES])
{
    bool each = true;

    memset(by_role, 0, ROLES * sizeof(by_role[0]));
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        by_role[points[i].role] += c->hits[i];
    }
    for (int role = 0; role < ROLES; role++) {
        each = each && by_role[role] > 0;
    }
    return each;
}

/* An applier dies three times in a hundred kills on the average, so there may have to be more. */
Test(roles, promises_survive_kills_in_each, .timeout = 1800)
{
    uint64_t wanted = test_env_u64("INSTAR_KILLS", KILLS);
    struct campaign c = {.random = test_random(3)};
    uint64_t by_role[ROLES];

    c.shared = test_shared(sizeof(*c.shared));
    (void)dbs_path();
    while (c.kills < wanted ||
           (wanted >= KILLS && !died_in_each(&c, by_role) && c.kills < 10 * wanted)) {
        run_round(&c);
    }
    tell(&c);
    (void)died_in_each(&c, by_role);
    for (int role = 0; wanted >= KILLS && role < ROLES; role++) {
        cr_assert_gt(by_role[role], 0, "nobody died as %s", role_names[role]);
    }
    munmap(c.shared, sizeof(*c.shared));
}
