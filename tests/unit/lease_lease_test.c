/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing a process's part in the leases, and the figures for people. */
#include "lease/lease_impl.h"
#include "support/stores.h"

#include <string.h>

static struct store *store;

static void setup(void)
{
    store = stores_make(NULL);
}

static void teardown(void)
{
    stores_close(store);
}

TestSuite(lease, .init = setup, .fini = teardown);

static struct lease_use take(struct leases *l, uint64_t table, uint64_t begun_ns)
{
    struct lease_use use;
    must(lease_acquire(l, table, 1, store_schema_lsn(store), begun_ns, &use, &test_err));
    return use;
}

/* Closing gives all grants back, so that nobody waits for them. */
Test(lease, closing_gives_all_back)
{
    struct leases *l;
    must(lease_open(store, &l, &test_err));
    uint32_t seen = store_event_seen(store, STORE_EVENT_LEASE);
    struct lease_use use = take(l, 7, 1000);
    struct lease_slot *slot = &l->slots[use.slot];
    lease_release(l, &use);
    cr_assert(lease_word_live(lease_word_load(slot)));
    lease_close(l);
    cr_assert_not(lease_word_live(lease_word_load(slot)));
    cr_assert_neq(store_event_seen(store, STORE_EVENT_LEASE), seen);
}

/* Of others' grants none: also not of one that has the same place, or had it before. */
Test(lease, closing_leaves_others_alone)
{
    struct leases *l;
    must(lease_open(store, &l, &test_err));
    struct lease_use ours = take(l, 7, 1000);
    struct lease_use another = take(l, 8, 1000);
    struct lease_use earlier = take(l, 9, 1000);
    struct lease_slot *slots = l->slots;
    atomic_fetch_add(&slots[another.slot].node, 1);
    atomic_fetch_add(&slots[earlier.slot].nonce, 1);
    lease_close(l);
    cr_assert_not(lease_word_live(lease_word_load(&slots[ours.slot])));
    cr_assert(lease_word_live(lease_word_load(&slots[another.slot])));
    cr_assert(lease_word_live(lease_word_load(&slots[earlier.slot])));
}

/* Figures count this node's live grants, uses, and the oldest transaction. */
Test(lease, figures_of_a_node)
{
    struct leases *l;
    struct lease_node_stat stat;
    must(lease_open(store, &l, &test_err));
    uint64_t now_ns = os_now_ns();
    struct lease_use one = take(l, 7, now_ns - 5000);
    struct lease_use two = take(l, 8, now_ns - 9000);
    struct lease_use three = take(l, 8, now_ns - 1000);
    lease_node_stat(l, l->node, l->nonce, &stat);
    cr_assert_eq(stat.leases, 2);
    cr_assert_eq(stat.uses, 3);
    cr_assert_geq(stat.oldest_ns, 9000);
    lease_release(l, &two);
    lease_release(l, &three);
    lease_node_stat(l, l->node, l->nonce, &stat);
    cr_assert_eq(stat.uses, 1);
    lease_node_stat(l, l->node, l->nonce + 1, &stat);
    cr_assert_eq(stat.leases, 0);
    lease_release(l, &one);
    lease_node_stat(l, l->node, l->nonce, &stat);
    cr_assert_eq(stat.oldest_ns, 0);
    lease_close(l);
}

/* Slots of another layout, left by another release, are not touched. */
Test(lease, another_layout_is_refused)
{
    struct leases *l;
    size_t size;
    struct lease_head *head = store_shared_area(store, STORE_AREA_LEASE, &size);
    cr_assert_eq(size % sizeof(struct lease_slot), 0);
    atomic_store(&head->signature, LEASE_SIGNATURE + 1);
    must_fail(lease_open(store, &l, &test_err), INSTAR_EVERSION);
    cr_assert(l == NULL);
}

/* A transaction that seems to begin in the future, by a clock that went back, has no age; and
 * grants of other nodes, also of one that had the same number before, are not counted. */
Test(lease, figures_are_of_one_node_and_never_negative)
{
    struct leases *l;
    struct lease_node_stat stat;
    must(lease_open(store, &l, &test_err));
    struct lease_use use = take(l, 7, os_now_ns() + UINT64_C(3600000000000));
    lease_node_stat(l, l->node, l->nonce, &stat);
    cr_assert_eq(stat.leases, 1);
    cr_assert_eq(stat.oldest_ns, 0);
    lease_node_stat(l, l->node + 1, l->nonce, &stat);
    cr_assert_eq(stat.leases, 0);
    lease_release(l, &use);
    lease_close(l);
}

/* Each node that has a use of an older version counts once, however many it has. */
Test(lease, nodes_that_are_behind_are_counted_once)
{
    struct leases *l;
    struct lease_use uses[3];
    must(lease_open(store, &l, &test_err));
    cr_assert_eq(lease_nodes_below(l, 7, 2), 0);
    for (uint32_t i = 0; i < BASE_ARRAY_LEN(uses); i++) {
        must(lease_acquire(l, 7, 1 + i, store_schema_lsn(store), 1, &uses[i], &test_err));
    }
    cr_assert_eq(lease_nodes_below(l, 7, 1), 0);
    cr_assert_eq(lease_nodes_below(l, 7, 2), 1);
    cr_assert_eq(lease_nodes_below(l, 7, 4), 1);
    cr_assert_eq(lease_nodes_below(l, 8, 4), 0);
    /* The first is of a node that is not there any more. */
    _Atomic uint32_t *node = &l->slots[uses[0].slot].node;
    atomic_fetch_add(node, 1);
    cr_assert_eq(lease_nodes_below(l, 7, 2), 0);
    cr_assert_eq(lease_nodes_below(l, 7, 4), 1);
    atomic_fetch_sub(node, 1);
    lease_release(l, &uses[0]);
    cr_assert_eq(lease_nodes_below(l, 7, 2), 0);
    cr_assert_eq(lease_nodes_below(l, 7, 4), 1);
    lease_close(l);
}

/* Without its thread it would lose its leases: it is not opened. */
Test(lease, opening_without_a_thread_fails_cleanly)
{
    struct leases *l = NULL;
    test_threads_refuse(true);
    must_fail(lease_open(store, &l, &test_err), INSTAR_EIO);
    cr_assert(strstr(test_err.text, "starting the lease thread") != NULL, "%s", test_err.text);
    cr_assert_null(l);
    test_threads_refuse(false);
    must(lease_open(store, &l, &test_err));
    lease_close(l);
    lease_close(NULL);
}

/* Without memory nothing is left behind. */
Test(lease, opening_without_memory_fails_cleanly)
{
    struct leases *l = NULL;
    int rc = INSTAR_ENOMEM;
    for (uint64_t n = 1; rc != INSTAR_OK; n++) {
        test_shortage_set(&(struct test_shortage){.nth = n});
        rc = lease_open(store, &l, &test_err);
        test_shortage_set(NULL);
        cr_assert(rc == INSTAR_OK || rc == INSTAR_ENOMEM);
        cr_assert_leq(n, 20);
    }
    lease_close(l);
}
