/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases between processes: two versions and no more, whoever races, sleeps, or has a wrong clock.
 * A and B are nodes; the test itself is the publisher P.
 */
#include "lease/lease_impl.h"
#include "support/nodes.h"

#include <signal.h>
#include <string.h>

static struct node a, b;
static struct txn_env *env;
static uint64_t table;
static instar_options options;

#define HOUR_NS (INT64_C(3600) * 1000000000)

static void start(uint32_t lease_ms)
{
    options = stores_options();
    options.lease_ms = lease_ms;
    nodes_start(&a, &options);
    nodes_start(&b, &options);
    env = txns_open_t(&options, "a int8, b int8, c int8", &table);
}

static void setup(void)
{
    start(60000);
}

static void teardown(void)
{
    nodes_end(&a);
    nodes_end(&b);
    txns_close(env);
}

TestSuite(leases, .init = setup, .fini = teardown);

/* P publishes a version that only raises the number. */
static int publish(bool fence, struct lease_blockers *blockers)
{
    struct catalog_table *next = txns_current(env, table);
    next->version++;
    return txns_publish(env, next, 0, fence, blockers, &test_err);
}

static uint32_t version(void)
{
    struct catalog_table *now = txns_current(env, table);
    uint32_t number = now->version;
    catalog_table_free(now);
    return number;
}

/* Publish as the runner of a change does: blocked, it sleeps until a lease is given up. */
static void publish_when_free(bool *was_blocked)
{
    *was_blocked = false;
    for (;;) {
        uint32_t seen = store_event_seen(env->store, STORE_EVENT_LEASE);
        int rc = publish(false, NULL);
        if (rc == INSTAR_OK) {
            return;
        }
        must_fail(rc, INSTAR_EBLOCKED);
        *was_blocked = true;
        store_event_wait(env->store, STORE_EVENT_LEASE, seen, UINT64_C(20) * 1000000);
    }
}

static struct lease_node_stat stat_of_a(void)
{
    struct store_node nodes[8];
    struct lease_node_stat stat = {0};
    size_t count = store_node_list(env->store, nodes, 8);
    for (size_t i = 0; i < count && i < 8; i++) {
        if (nodes[i].pid == (uint32_t)a.child.pid) {
            lease_node_stat(env->leases, nodes[i].index, nodes[i].nonce, &stat);
        }
    }
    return stat;
}

/* ---- sharing and waiting ------------------------------------------------------------------ */

/* L1: two uses in one process share one lease; the version that a lease is asked for must be the
 * latest, or leased already. */
Test(leases, uses_of_one_version_share_a_lease)
{
    struct lease_use one, two, three;
    struct lease_node_stat stat;
    uint64_t lsn = store_schema_lsn(env->store);
    must(lease_acquire(env->leases, table, 1, lsn, os_now_ns(), &one, &test_err));
    must(lease_acquire(env->leases, table, 1, lsn, os_now_ns(), &two, &test_err));
    cr_assert_eq(one.slot, two.slot);
    cr_assert_eq(one.grant, two.grant);
    lease_node_stat(env->leases, store_node_self(env->store), store_node_nonce(env->store), &stat);
    cr_assert_eq(stat.leases, 1);
    cr_assert_eq(stat.uses, 2);
    must(publish(false, NULL));
    must_fail(lease_acquire(env->leases, table, 3, lsn, os_now_ns(), &three, &test_err),
              INSTAR_ESCHEMA_CHANGED);
    lease_release(env->leases, &one);
    lease_release(env->leases, &two);
}

/* L1: with v1 in use v2 is published and both are leased; the last use of v1 drops its lease at
 * once.
 */
Test(leases, the_last_use_of_the_older_version_drops_it)
{
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 1));
    must(publish(false, NULL));
    cr_assert_eq(stat_of_a().leases, 1);
    cr_assert_eq(stat_of_a().uses, 1);
    must(nodes_commit(&a));
    cr_assert_eq(stat_of_a().leases, 0);
    nodes_close(&a);
}

/* Whoever waits for a version to be gone is told by whom it is held. */
Test(leases, who_holds_a_version_is_named)
{
    struct lease_blockers blockers;
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 1));
    must(publish(false, NULL));
    cr_assert_not(lease_drained(env->leases, table, 2, &blockers));
    cr_assert_eq(blockers.total, 1);
    cr_assert_eq(blockers.list[0].pid, (uint32_t)a.child.pid);
    cr_assert_eq(blockers.list[0].version, 1);
    must(nodes_commit(&a));
    cr_assert(lease_drained(env->leases, table, 2, NULL));
    nodes_close(&a);
}

/* L1: A and B use v2. v3 is published at once; v4 waits for both of them, and is refused, naming
 * them, as long as one is left. */
Test(leases, a_third_version_waits_for_all_uses_of_the_first)
{
    struct lease_blockers blockers;
    bool blocked;
    must(publish(false, NULL));
    nodes_open(&a);
    nodes_open(&b);
    must(nodes_begin(&a, 0));
    must(nodes_begin(&b, 0));
    must(nodes_insert(&a, 1, 1));
    must(nodes_insert(&b, 2, 2));
    must(publish(false, NULL));
    must_fail(publish(false, &blockers), INSTAR_EBLOCKED);
    cr_assert_eq(blockers.total, 2);
    cr_assert(strstr(test_err.text, "table t: version 2 is still in use by process") != NULL, "%s",
              test_err.text);
    cr_assert(strstr(test_err.text, "and 1 more") != NULL, "%s", test_err.text);
    must(nodes_commit(&a));
    must_fail(publish(false, &blockers), INSTAR_EBLOCKED);
    cr_assert_eq(blockers.total, 1);
    cr_assert_eq(blockers.list[0].pid, (uint32_t)b.child.pid);
    nodes_commit_start(&b);
    publish_when_free(&blocked);
    must(nodes_answer(&b));
    cr_assert_eq(version(), 4);
    nodes_close(&a);
    nodes_close(&b);
}

/* Whoever waits is woken by the release: the wait has no limit but the test's. */
Test(leases, a_release_wakes_the_publisher)
{
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 1));
    must(publish(false, NULL));
    uint32_t seen = store_event_seen(env->store, STORE_EVENT_LEASE);
    must_fail(publish(false, NULL), INSTAR_EBLOCKED);
    nodes_commit_start(&a);
    while (store_event_seen(env->store, STORE_EVENT_LEASE) == seen) {
        store_event_wait(env->store, STORE_EVENT_LEASE, seen, STORE_FOREVER);
    }
    must(nodes_answer(&a));
    must(publish(false, NULL));
    nodes_close(&a);
}

/* A lease that no transaction uses holds nobody up, wherever it is. */
Test(leases, idle_leases_never_block)
{
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 1));
    must(nodes_commit(&a));
    cr_assert_eq(stat_of_a().leases, 1);
    for (int i = 0; i < 5; i++) {
        must(publish(false, NULL));
    }
    cr_assert_eq(stat_of_a().leases, 0);
    nodes_close(&a);
}

/* A node that dies in the middle of a transaction holds nobody up, without any waiting. */
Test(leases, a_dead_node_holds_nobody_up)
{
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 1));
    must(publish(false, NULL));
    must_fail(publish(false, NULL), INSTAR_EBLOCKED);
    test_kill(&a.child, SIGKILL);
    must(publish(false, NULL));
    nodes_start(&a, &options); /* for the teardown */
}

/* Told not to wait, the publisher takes the lease away; the transaction then fails with the
 * retryable error and has written nothing, and the next one works. */
Test(leases, a_fenced_transaction_cannot_commit)
{
    uint64_t rows;
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 1));
    must(publish(false, NULL));
    must(publish(true, NULL));
    must_fail(nodes_commit(&a), INSTAR_ESCHEMA_CHANGED);
    must(nodes_begin(&a, 0));
    must(nodes_count(&a, &rows));
    cr_assert_eq(rows, 0);
    must(nodes_insert(&a, 1, 1));
    must(nodes_commit(&a));
    nodes_close(&a);
}

/* A table that was only read is leased too. */
Test(leases, reading_in_a_writing_transaction_needs_a_lease)
{
    int64_t value;
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must_fail(nodes_get(&a, 1, &value), INSTAR_ENOTFOUND);
    must(publish(false, NULL));
    must_fail(publish(false, NULL), INSTAR_EBLOCKED);
    nodes_abort(&a);
    must(publish(false, NULL));
    nodes_close(&a);
}

/* A read-only transaction is leased nothing: versions pass it by, and it goes on reading. */
Test(leases, read_only_transactions_hold_nobody_up)
{
    uint64_t rows;
    nodes_open(&a);
    must(nodes_begin(&a, INSTAR_TXN_READONLY));
    must(nodes_count(&a, &rows));
    for (int i = 0; i < 4; i++) {
        must(publish(false, NULL));
    }
    must(nodes_count(&a, &rows));
    must(nodes_commit(&a));
    nodes_close(&a);
}

/* ---- races of publishers ------------------------------------------------------------------ */

/* L2: two publishers prepare the same next version. One wins; the other gets a conflict, sees the
 * winner's version and goes again: two versions, both edits. */
Test(leases, of_two_publishers_one_loses_and_no_edit_is_lost)
{
    nodes_open(&a);
    nodes_open(&b);
    uint32_t before = version();
    must(nodes_publish_prepare(&a, 1));
    must(nodes_publish_prepare(&b, 2));
    must(nodes_publish_commit(&a));
    must_fail(nodes_publish_commit(&b), INSTAR_ECONFLICT);
    cr_assert_eq(nodes_version(&b), before + 1);
    must(nodes_publish_prepare(&b, 2));
    must(nodes_publish_commit(&b));
    struct catalog_table *now = txns_current(env, table);
    cr_assert_eq(now->version, before + 2);
    cr_assert(catalog_table_index(now, "i1") != NULL);
    cr_assert(catalog_table_index(now, "i2") != NULL);
    catalog_table_free(now);
    nodes_close(&a);
    nodes_close(&b);
}

/* ---- sleepers and clocks ------------------------------------------------------------------ */

/* L3: a lease expires under a transaction: insert, update and delete then fail at commit with the
 * retryable error, nothing is written, and running it again works. */
Test(leases, an_expired_lease_refuses_the_commit)
{
    uint64_t rows;
    int64_t value = 0;
    nodes_clock_start(&a, 0);
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 10));
    must(nodes_insert(&a, 2, 20));
    must(nodes_commit(&a));
    for (int i = 0; i < 3; i++) {
        must(nodes_begin(&a, 0));
        must(i == 0   ? nodes_insert(&a, 3, 30)
             : i == 1 ? nodes_update(&a, 1, 11)
                      : nodes_delete(&a, 2));
        nodes_clock_advance(&a, UINT64_C(61) * 1000000000);
        must(nodes_renew(&a)); /* too late */
        must_fail(nodes_commit(&a), INSTAR_ESCHEMA_CHANGED);
        must(nodes_begin(&a, 0));
        must(nodes_count(&a, &rows));
        must(nodes_get(&a, 1, &value));
        must(nodes_commit(&a));
        cr_assert_eq(rows, 2);
        cr_assert_eq(value, 10);
    }
    nodes_close(&a);
}

/* A transaction longer than the lease is kept alive by the renewal. */
Test(leases, renewal_carries_a_long_transaction)
{
    nodes_clock_start(&a, 0);
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 10));
    must(publish(false, NULL)); /* also on the second-latest version */
    for (int i = 0; i < 10; i++) {
        nodes_clock_advance(&a, UINT64_C(30) * 1000000000);
        must(nodes_renew(&a));
    }
    must(nodes_commit(&a));
    nodes_close(&a);
}

/* A's clock is wrong by an hour, from the start or by a jump in the middle of a transaction. P,
 * whose clock is right, publishes two versions more. Then A's transaction must not commit; as long
 * as only one was published, it may. */
static void check_wrong_clock(int64_t before_ns, uint64_t jump_ns)
{
    bool blocked;
    uint64_t rows;
    nodes_clock_start(&a, before_ns);
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 10));
    nodes_clock_advance(&a, jump_ns);
    must(nodes_renew(&a));
    must(publish(false, NULL));
    int rc = publish(false, NULL);
    bool passed = rc == INSTAR_OK;
    cr_assert(passed || rc == INSTAR_EBLOCKED, "%s", test_err.text);
    rc = nodes_commit(&a);
    cr_assert(rc == INSTAR_OK || rc == INSTAR_ESCHEMA_CHANGED);
    cr_assert(!passed || rc == INSTAR_ESCHEMA_CHANGED, "two versions apart, and both committed");
    /* Whatever was, the end is not held up. */
    publish_when_free(&blocked);
    must(nodes_begin(&a, INSTAR_TXN_READONLY));
    must(nodes_count(&a, &rows));
    cr_assert_eq(rows, rc == INSTAR_OK ? 1 : 0);
    must(nodes_commit(&a));
    nodes_close(&a);
}

/* L5: the clock of one of two is wrong, or jumps. */
Test(leases, a_clock_an_hour_ahead)
{
    check_wrong_clock(HOUR_NS, 0);
}

Test(leases, a_clock_an_hour_behind)
{
    check_wrong_clock(-HOUR_NS, 0);
}

Test(leases, a_clock_that_jumps_forward)
{
    check_wrong_clock(0, (uint64_t)HOUR_NS);
}

Test(leases, a_clock_that_jumps_back)
{
    check_wrong_clock(HOUR_NS, (uint64_t)-HOUR_NS);
}

static void setup_short(void)
{
    start(300);
}

TestSuite(short_leases, .init = setup_short, .fini = teardown);

/* L5: A is stopped in the middle of a transaction. P waits no longer than A's lease, publishes, and
 * A, when it goes on, cannot commit with the version that is gone. */
Test(short_leases, a_stopped_process_wakes_up_and_cannot_commit)
{
    bool blocked;
    uint64_t rows;
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 10));
    test_kill(&a.child, SIGSTOP);
    publish_when_free(&blocked);
    publish_when_free(&blocked);
    cr_assert(blocked, "the lease was not waited for");
    cr_assert_eq(version(), 3);
    test_kill(&a.child, SIGCONT);
    must_fail(nodes_commit(&a), INSTAR_ESCHEMA_CHANGED);
    must(nodes_begin(&a, 0));
    must(nodes_count(&a, &rows));
    cr_assert_eq(rows, 0);
    must(nodes_insert(&a, 1, 10));
    must(nodes_commit(&a));
    nodes_close(&a);
}

/* Stopped and fenced: P does not even wait for the expiry. */
Test(short_leases, a_stopped_process_can_be_fenced)
{
    nodes_open(&a);
    must(nodes_begin(&a, 0));
    must(nodes_insert(&a, 1, 10));
    test_kill(&a.child, SIGSTOP);
    must(publish(true, NULL));
    must(publish(true, NULL));
    must(publish(true, NULL));
    test_kill(&a.child, SIGCONT);
    must_fail(nodes_commit(&a), INSTAR_ESCHEMA_CHANGED);
    nodes_close(&a);
}
