/* SPDX-License-Identifier: Apache-2.0 */
/* No thread can be started: for the runner, for a change, for those who read or sort for a build.
 * What needs one fails with words, leaves nothing behind, and is done when there are threads. */
#include "support/sqls.h"
#include "support/txns.h"

#include "change/change.h"

#include <string.h>

static const char *refuse_from;

static void at_point(void *arg, const char *name)
{
    (void)arg;
    if (refuse_from != NULL && strcmp(name, refuse_from) == 0) {
        test_threads_refuse(true);
    }
}

/* A build whose threads do not start fails, and is undone. */
Test(change_threads, builders_do_not_start)
{
    static const char *const points[] = {"change.cut", "build.scanned"};
    const struct test_listener listener = {.point = at_point};
    instar *db = scene_open_t(0, 400);
    instar_change_info info;

    test_listener_set(&listener);
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        refuse_from = points[i];
        cr_assert_eq(dbs_index(db, "t_b", "t", "b", false, &info), INSTAR_EFAILED, "%s", points[i]);
        test_threads_refuse(false);
        refuse_from = NULL;
        cr_assert_eq(info.error, INSTAR_EIO, "%s: %s", points[i], info.reason);
        cr_assert(strstr(info.reason, "starting a thread") != NULL, "%s", info.reason);
        ok(dbs_index(db, "t_b", "t", "b", false, NULL));
        ok(dbs_drop_index(db, "t_b"));
    }
    test_listener_set(NULL);
    dbs_end(db);
}

/* A change for which there is no thread waits until there is one. */
Test(change_threads, a_change_waits_for_a_thread)
{
    instar *db = scene_open_t(0, 4);
    instar_change_info info;

    test_threads_refuse(true);
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b", false, NULL);
    fails(instar_change_wait(db, change, 300, &info), INSTAR_EBUSY);
    cr_assert_eq(info.state, INSTAR_CHANGE_RUNNING);
    test_threads_refuse(false);
    ok(instar_change_wait(db, change, TEST_AWAIT_S * 1000, &info));
    dbs_end(db);
}

/* A process that cannot run changes does not open the store. */
Test(change_threads, the_runner_does_not_start)
{
    struct changes *changes;
    struct txn_env *env;

    txns_make(NULL);
    env = txns_open(NULL);
    test_threads_refuse(true);
    must_fail(change_open(env, true, &changes, &test_err), INSTAR_EIO);
    cr_assert(strstr(test_err.text, "starting the runner of schema changes") != NULL);
    cr_assert_null(changes);
    must(change_open(env, false, &changes, &test_err));
    change_close(changes);
    change_close(NULL);
    test_threads_refuse(false);
    must(change_open(env, true, &changes, &test_err));
    change_close(changes);
    txns_close(env);
}

/* Nor is it opened where the threads of its log do not start. */
Test(change_threads, the_store_does_not_open)
{
    instar_options o = dbs_options();
    instar *db = dbs_open(0);
    size_t before;

    ok(instar_close(db));
    before = test_descriptors();
    test_threads_refuse(true);
    fails(instar_open(dbs_path(), &o, &db), INSTAR_EIO);
    expect(says("thread"));
    cr_assert_null(db);
    test_threads_refuse(false);
    expect_u64(test_descriptors(), before);
    ok(instar_open(dbs_path(), &o, &db));
    ok(instar_close(db));
}
