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

static _Atomic uint64_t allocations_left;
static bool fail_allocation(size_t size)
{
    (void)size;
    return allocations_left-- > 0;
}

/* Without memory nothing is left behind. */
Test(lease, opening_without_memory_fails_cleanly)
{
    struct leases *l = NULL;
    int rc = INSTAR_ENOMEM;
    for (uint64_t n = 0; rc != INSTAR_OK; n++) {
        allocations_left = n;
        base_alloc_hook = fail_allocation;
        rc = lease_open(store, &l, &test_err);
        base_alloc_hook = NULL;
        cr_assert(rc == INSTAR_OK || rc == INSTAR_ENOMEM);
        cr_assert_lt(n, 20);
    }
    lease_close(l);
}
