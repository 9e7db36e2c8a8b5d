/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hundred callers ask for the same index at once, IF NOT EXISTS, as many instances of an
 * application do that all start with its schema: ten processes with ten threads each. There is one
 * change, and all of them get its verdict.
 */
#include "support/scenes.h"

#include <stdatomic.h>
#include <string.h>

#define PROCESSES 10
#define THREADS 10
#define ALL_ASKED 1

struct crowd {
    uint64_t change; /* that all are to join */
    int verdict;
};

struct caller {
    instar *db;
    const struct crowd *crowd;
    struct test_child *parent;
    _Atomic int *asked;
    struct os_thread thread;
};

static uint64_t ask(instar *db)
{
    instar_change_options o = scene_options(30000);

    o.flags = INSTAR_CHANGE_IF_NOT_EXISTS;
    return dbs_submit_index(db, "t_b", "t", "b", true, &o);
}

static void *call(void *arg)
{
    struct caller *c = arg;
    instar_change_info info;
    uint64_t change = ask(c->db);

    expect_u64(change, c->crowd->change);
    if (atomic_fetch_add(c->asked, 1) + 1 == THREADS) {
        test_send(c->parent, ALL_ASKED);
    }
    int rc = instar_change_wait(c->db, change, TEST_AWAIT_S * 1000, &info);
    expect(rc == c->crowd->verdict);
    expect(rc == INSTAR_OK || strstr(info.reason, "(b=20)") != NULL);
    return NULL;
}

static void process(struct test_child *self, void *arg)
{
    struct caller callers[THREADS];
    _Atomic int asked = 0;
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);

    for (size_t i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.db = db, .crowd = arg, .parent = self, .asked = &asked};
        expect(os_thread_start(&callers[i].thread, "caller", call, &callers[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        os_thread_join(&callers[i].thread);
    }
    ok(instar_close(db));
}

/* The change stands in its build until everybody has asked. */
static void ask_all(int64_t last_b, int verdict)
{
    struct scene_held s;
    struct test_child children[PROCESSES];
    struct crowd crowd = {.verdict = verdict};

    scene_hold(&s, "build.snapshot", 1);
    instar *db = s.db;
    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 50, scene_plus_10);
    ok(dbs_insert(db, "t", 50, last_b));
    crowd.change = ask(db);
    test_hold_await(&s.hold);
    ok(instar_close(db)); /* a child opens it for itself */
    for (size_t i = 0; i < PROCESSES; i++) {
        test_fork(&children[i], process, &crowd);
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        test_await(&children[i], ALL_ASKED);
    }
    test_hold_release(&s.hold);
    for (size_t i = 0; i < PROCESSES; i++) {
        test_wait_ok(&children[i]);
    }
    s.db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    scene_held_end(&s);
}

Test(change_callers, all_get_the_index)
{
    ask_all(1000, INSTAR_OK);
}

Test(change_callers, all_are_told_of_the_duplicate)
{
    ask_all(20, INSTAR_EFAILED);
}
