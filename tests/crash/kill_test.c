/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kill campaign: processes work on one store and are killed with SIGKILL, by chance and at
 * named points, as committer inside the critical section, as flusher, applier, bulk loader,
 * preparer of segments and recovering opener. What they were promised is recorded outside the
 * store.
 *
 * After each kill: somebody commits again within a second, and the victim's successor finds what
 * was promised, and of an interrupted commit all or nothing. After all were killed: recovery finds
 * the same of everybody, and the counter that all add to is the sum of what each was promised. Each
 * start has other options. INSTAR_KILLS sets how many; 5000 is a long run.
 */
#define _GNU_SOURCE
#include "support/kill.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__)
#define KILLS 200
#define NEXT_COMMIT_S 10 /* sanitized, and beside other tests */
#else
#define KILLS 240
#define NEXT_COMMIT_S 1
#endif
#define KILLS_A_ROUND 12
#define ROUNDS_A_STORE 3
#define NS_PER_S UINT64_C(1000000000)

/* Where workers die. `often`: reached by every commit; those wait for one of many hits. */
static const struct point {
    const char *name;
    bool often;
} points[] = {
    {"commit.mark_set", true},     {"commit.record_written", true}, {"commit.nodes_filled", true},
    {"commit.nodes_linked", true}, {"commit.chain_set", true},      {"commit.tail_set", true},
    {"commit.appended", true},     {"commit.durable", true},        {"flush.loaded", true},
    {"flush.synced", true},        {"flush.durable_set", true},     {"rotate.prepare", false},
    {"segment.made", false},       {"rotate.made", false},          {"rotate.prepared", false},
    {"rotate.sealed", false},      {"node.signing", false},         {"node.reaped", false},
    {"snapshot.begun", true},      {"txn.lsn_chosen", true},        {"turn.taken", false},
    {"commit.overdue", false}};
/* Those of the applier: whoever opens the store first in a round takes that role. */
static const struct point applier_points[] = {
    {"retire.floor_set", false}, {"retire.removed", false}, {"apply.batch_written", false},
    {"apply.committed", false},  {"apply.tree_op", false},  {"apply.tree_op_committed", false}};
#define BUILDER 0
#define APPLIER 1 /* in the first moments of a round */
/* Reached only when another one has died inside: a successor that dies as well. */
static const struct point successor_points[] = {{"commit.void_written", false},
                                                {"control.owner_dead", false},
                                                {"flush.taken_over", false},
                                                {"flush.written_back", false}};
/* Those of the worker that builds trees. */
static const struct point builder_points[] = {
    {"bulk.batch_written", false}, {"bulk.committed", false}, {"fold.batch_written", false},
    {"fold.committed", false},     {"ahead.looked", false},   {"ahead.written", false},
    {"ahead.committed", false}};
#define POINTS                                                                                    \
    (BASE_ARRAY_LEN(points) + BASE_ARRAY_LEN(applier_points) + BASE_ARRAY_LEN(successor_points) + \
     BASE_ARRAY_LEN(builder_points))
static const char *const opener_points[] = {
    "recovery.judged",   "recovery.written_back", "recovery.zeroed", "recovery.removed",
    "recovery.repaired", "control.built",         "control.ready"};

struct campaign {
    struct kill_world *world;
    struct test_random random;
    instar_options options;
    uint32_t workers;
    struct test_child children[KILL_WORKERS_MAX];
    struct kill_job jobs[KILL_WORKERS_MAX];
    uint64_t starts;
    uint64_t kills;
    uint64_t at_points;
    uint64_t commits;
    size_t next_point, next_applier_point;
    uint64_t hits[POINTS];
    uint64_t slowest_ns;
};

static instar_options store_options_by_chance(struct test_random *r)
{
    instar_options o;
    instar_options_init(&o);
    o.segment_bytes = (uint64_t)(64 << 10) << (2 * test_random_below(r, 3));
    o.map_bytes = (uint64_t)256 << 20;
    o.trees_max = 1024;
    o.nodes_max = 32;
    o.lease_slots = 64;
    o.readers_max = 256;
    return o;
}

static void options_by_chance(struct campaign *c, instar_options *o)
{
    *o = c->options;
    o->segments_pending = 2 + (uint32_t)test_random_below(&c->random, 4);
    o->segments_retained = 1 + (uint32_t)test_random_below(&c->random, 4);
    o->txn_bytes_max = o->segment_bytes / 4;
    o->row_bytes_max = o->txn_bytes_max / 2;
}

static void start_worker(struct campaign *c, uint32_t i)
{
    struct kill_job *job = &c->jobs[i];
    *job = (struct kill_job){.world = c->world, .worker = i, .stream = 100 + c->starts++};
    options_by_chance(c, &job->options);
    job->builder = i == BUILDER;
    const struct point *point = &points[c->next_point++ % BASE_ARRAY_LEN(points)];
    if (test_random_chance(&c->random, 30)) {
        point = &successor_points[c->next_point % BASE_ARRAY_LEN(successor_points)];
    }
    if (job->builder && test_random_chance(&c->random, 70)) {
        point = &builder_points[c->next_point % BASE_ARRAY_LEN(builder_points)];
    }
    if (test_random_chance(&c->random, 85)) {
        job->point = point->name;
        job->nth = 1 + test_random_below(&c->random, point->often ? 300 : 2);
    }
    test_fork(&c->children[i], kill_work, job);
}

static void start_applier(struct campaign *c)
{
    struct kill_job *job = &c->jobs[APPLIER];
    *job = (struct kill_job){.world = c->world, .worker = APPLIER, .stream = 100 + c->starts++};
    options_by_chance(c, &job->options);
    job->point = applier_points[c->next_applier_point++ % BASE_ARRAY_LEN(applier_points)].name;
    job->nth = 1 + test_random_below(&c->random, 2);
    test_fork(&c->children[APPLIER], kill_work, job);
}

static uint64_t commits(const struct campaign *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->workers; i++) {
        sum += atomic_load(&c->world->workers[i].commits);
    }
    return sum;
}

/* A worker that has ended by its own kill point, or UINT32_MAX. Any other end is a failure. */
static uint32_t find_ended(struct campaign *c)
{
    for (uint32_t i = 0; i < c->workers; i++) {
        int status;
        if (c->children[i].pid > 0 && waitpid(c->children[i].pid, &status, WNOHANG) > 0) {
            if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
                test_fail(__FILE__, __LINE__, "worker %u ended with status %x", i,
                          (unsigned)status);
            }
            c->children[i].pid = 0;
            return i;
        }
    }
    return UINT32_MAX;
}

/* Sleep until so many commits have been made, or somebody has ended. */
static uint32_t await_commits(struct campaign *c, uint64_t wanted, uint64_t limit_ns)
{
    uint64_t deadline = os_now_ns() + limit_ns;
    for (;;) {
        uint32_t seen = atomic_load(&c->world->events);
        uint32_t ended = find_ended(c);
        if (ended != UINT32_MAX || commits(c) >= wanted) {
            return ended;
        }
        if (os_now_ns() >= deadline) {
            test_fail(__FILE__, __LINE__, "no commit for %llu s",
                      (unsigned long long)(limit_ns / NS_PER_S));
        }
        os_futex_wait(&c->world->events, seen, NS_PER_S / 100);
    }
}

static const char *point_name(size_t i)
{
    if (i < BASE_ARRAY_LEN(points)) {
        return points[i].name;
    }
    i -= BASE_ARRAY_LEN(points);
    if (i < BASE_ARRAY_LEN(applier_points)) {
        return applier_points[i].name;
    }
    i -= BASE_ARRAY_LEN(applier_points);
    if (i < BASE_ARRAY_LEN(successor_points)) {
        return successor_points[i].name;
    }
    return builder_points[i - BASE_ARRAY_LEN(successor_points)].name;
}

static void count_point(struct campaign *c, const char *point)
{
    c->at_points++;
    for (size_t i = 0; i < BASE_ARRAY_LEN(c->hits); i++) {
        c->hits[i] += point != NULL && strcmp(point_name(i), point) == 0;
    }
}

/* At how many points a process has died; the others were not reached in time. */
static size_t points_died_at(const struct campaign *c)
{
    size_t count = 0;
    for (size_t i = 0; i < BASE_ARRAY_LEN(c->hits); i++) {
        count += c->hits[i] != 0;
    }
    return count;
}

/* After a kill the next commit comes soon. Whoever dies at its own point meanwhile is started
 * again, and the time counts from that kill. */
static void expect_progress(struct campaign *c, const char *how)
{
    uint64_t began = os_now_ns();
    uint64_t before = commits(c);
    while (commits(c) <= before) {
        uint32_t seen = atomic_load(&c->world->events);
        uint32_t ended = find_ended(c);
        if (ended != UINT32_MAX) {
            how = c->jobs[ended].point;
            c->kills++;
            count_point(c, how);
            start_worker(c, ended);
            began = os_now_ns();
        }
        if (os_now_ns() >= began + NEXT_COMMIT_S * NS_PER_S) {
            test_fail(__FILE__, __LINE__, "no commit within %d s of a kill: %s", NEXT_COMMIT_S,
                      how);
        }
        os_futex_wait(&c->world->events, seen, NS_PER_S / 100);
    }
    uint64_t took = os_now_ns() - began;
    c->slowest_ns = took > c->slowest_ns ? took : c->slowest_ns;
}

static void kill_one(struct campaign *c)
{
    uint64_t some = 1 + test_random_below(&c->random, 3000);
    uint32_t victim = await_commits(c, commits(c) + some, 30 * NS_PER_S);
    const char *how = "by chance";
    if (victim == UINT32_MAX) {
        victim = (uint32_t)test_random_below(&c->random, c->workers);
        test_kill(&c->children[victim], SIGKILL);
    } else {
        how = c->jobs[victim].point;
        count_point(c, how);
    }
    c->kills++;
    start_worker(c, victim);
    expect_progress(c, how);
}

/* The applier first: once it has committed, it has the role. */
static void start_all(struct campaign *c)
{
    start_applier(c);
    if (await_commits(c, commits(c) + 1, 30 * NS_PER_S) == APPLIER) {
        c->kills++;
        count_point(c, c->jobs[APPLIER].point);
        start_worker(c, APPLIER);
    }
    for (uint32_t i = 0; i < c->workers; i++) {
        if (i != APPLIER) {
            start_worker(c, i);
        }
    }
}

static void kill_all(struct campaign *c)
{
    for (uint32_t i = 0; i < c->workers; i++) {
        if (c->children[i].pid > 0) {
            kill(c->children[i].pid, SIGKILL);
            c->kills++;
        }
    }
    for (uint32_t i = 0; i < c->workers; i++) {
        if (c->children[i].pid > 0) {
            int status;
            waitpid(c->children[i].pid, &status, 0);
            c->children[i].pid = 0;
        }
    }
}

/* ---- recovery ----------------------------------------------------------------------------- */

static void open_and_check(struct test_child *self, void *arg)
{
    struct kill_job *job = arg;
    struct store *s;
    (void)self;
    if (job->point != NULL) {
        test_kill_at_point(job->point, 1);
    }
    must(store_open(job->world->path, &job->options, &s, &test_err));
    if (job->point == NULL) {
        kill_check_all(s, job->world);
        must(store_verify(s, NULL, NULL, &test_err));
    }
    must(store_close(s, &test_err));
}

static void recover_and_check(struct campaign *c)
{
    struct test_child child;
    struct kill_job job = {.world = c->world};
    options_by_chance(c, &job.options);
    while (test_random_chance(&c->random, 50)) {
        job.point = opener_points[test_random_below(&c->random, BASE_ARRAY_LEN(opener_points))];
        test_fork(&child, open_and_check, &job);
        int status = test_wait(&child);
        expect(status == 0 || status == -SIGKILL);
        c->kills += status == -SIGKILL;
    }
    job.point = NULL;
    for (int twice = 0; twice < 2; twice++) {
        test_fork(&child, open_and_check, &job);
        test_wait_ok(&child);
    }
}

static void make_store(struct test_child *self, void *arg)
{
    struct campaign *c = arg;
    struct store *s;
    struct store_txn *t;
    (void)self;
    must(store_create(c->world->path, &c->options, &test_err));
    must(store_open(c->world->path, &c->options, &s, &test_err));
    must(store_txn_begin(s, STORE_TXN_SYNC, &t, &test_err));
    for (uint64_t tree = KILL_TREE_OWN; tree <= KILL_TREE_PAIRS; tree++) {
        must(store_txn_tree_op(t, STORE_TREE_CREATE, tree, &test_err));
    }
    must(store_txn_commit(t, NULL, NULL, &test_err));
    must(store_close(s, &test_err));
}

static void new_store(struct campaign *c, uint64_t number)
{
    struct test_child child;
    memset(c->world, 0, sizeof(*c->world));
    c->world->next_tree = KILL_TREE_FIRST_BUILT;
    snprintf(c->world->path, sizeof(c->world->path), "%s/store-%llu", test_fast_dir(),
             (unsigned long long)number);
    c->options = store_options_by_chance(&c->random);
    c->workers = 4 + (uint32_t)test_random_below(&c->random, KILL_WORKERS_MAX - 3);
    test_fork(&child, make_store, c);
    test_wait_ok(&child);
}

Test(kill, promises_survive_kills)
{
    uint64_t wanted = test_env_u64("INSTAR_KILLS", KILLS);
    struct campaign c = {.random = test_random(1)};
    c.world = test_shared(sizeof(*c.world));
    for (uint64_t store = 0; c.kills < wanted; store++) {
        new_store(&c, store);
        for (int round = 0; round < ROUNDS_A_STORE && c.kills < wanted; round++) {
            start_all(&c);
            for (int i = 0; i < KILLS_A_ROUND; i++) {
                kill_one(&c);
            }
            kill_all(&c);
            c.commits += commits(&c);
            recover_and_check(&c);
        }
        test_remove(c.world->path);
    }
    for (size_t i = 0; i < POINTS; i++) {
        fprintf(stderr, "  %-26s %llu\n", point_name(i), (unsigned long long)c.hits[i]);
    }
    fprintf(stderr,
            "%llu commits, %llu kills, %llu of them at %zu of %u points; slowest next commit after "
            "%llu ms\n",
            (unsigned long long)c.commits, (unsigned long long)c.kills,
            (unsigned long long)c.at_points, points_died_at(&c), (unsigned)POINTS,
            (unsigned long long)(c.slowest_ns / 1000000));
    expect(points_died_at(&c) >= POINTS / 3);
    munmap(c.world, sizeof(*c.world));
}
