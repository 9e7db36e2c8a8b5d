/* SPDX-License-Identifier: Apache-2.0 */
/* Who is granted a lease, in which slot, and what is given up for it. */
#include "lease/lease_impl.h"
#include "support/stores.h"

#include <signal.h>
#include <string.h>

static struct store *store;
static struct leases *leases;
static instar_options options;

static void setup(void)
{
    options = stores_options();
    options.lease_slots = 64; /* one of them is the head */
    store = stores_make(&options);
    must(lease_open(store, &leases, &test_err));
}

static void teardown(void)
{
    lease_close(leases);
    stores_close(store);
}

TestSuite(lease_grant, .init = setup, .fini = teardown);

#define GRANTS 63

static struct lease_use take(uint64_t table, uint64_t begun_ns)
{
    struct lease_use use;
    must(lease_acquire(leases, table, 1, store_schema_lsn(store), begun_ns, &use, &test_err));
    return use;
}

static bool fence_holds(const struct lease_use *use)
{
    struct store_fence f;
    lease_fence(leases, use, &f);
    return (*f.word & f.mask) == f.expect;
}

/* What a caller gets when the schema moved on since its view: no grant, and no slot is taken. */
Test(lease_grant, only_the_latest_version_is_granted)
{
    struct lease_use use;
    must_fail(lease_acquire(leases, 7, 1, store_schema_lsn(store) + 1, 1, &use, &test_err),
              INSTAR_ESCHEMA_CHANGED);
    cr_assert_eq(use.grant, 0);
    cr_assert_eq(lease_high(leases), 0);
}

static void publish(struct test_child *self, void *arg)
{
    struct store *s = stores_open(&options);
    struct store_txn *t = stores_begin(s, 0);
    struct store_commit how = {.publication = true};
    (void)self;
    (void)arg;
    stores_put(t, 1, "a", "1");
    must(store_txn_commit(t, &how, NULL, &test_err));
    stores_close(s);
}

/* A version that the disk may still forget is leased to nobody (LEASE-3). */
Test(lease_grant_alone, only_a_durable_version_is_granted)
{
    struct test_hold hold;
    struct test_child child;
    struct lease_use use;
    options = stores_options();
    store = stores_make_tree(&options, 1);
    stores_close(store);
    test_hold_set(&hold, "flush.loaded", 1);
    test_fork(&child, publish, NULL);
    test_hooks_clear(); /* the child's own are left */
    test_hold_await(&hold);
    store = stores_open(&options);
    must(lease_open(store, &leases, &test_err));
    cr_assert_lt(store_durable(store), store_schema_lsn(store));
    must_fail(lease_acquire(leases, 7, 1, store_schema_lsn(store), 1, &use, &test_err),
              INSTAR_ESCHEMA_CHANGED);
    test_hold_release(&hold);
    test_wait_ok(&child);
    test_hold_end(&hold);
    use = take(7, 1);
    lease_release(leases, &use);
    teardown();
}

/* A grant that the node has may be shared whatever the latest version is. */
Test(lease_grant, a_grant_that_is_there_is_shared_anyway)
{
    struct lease_use one = take(7, 1);
    struct lease_use two;
    must(lease_acquire(leases, 7, 1, store_schema_lsn(store) + 1, 1, &two, &test_err));
    cr_assert_eq(one.grant, two.grant);
    /* Also by one that has no hint: another thread took the grant a moment ago. */
    memset((void *)leases->hints, 0, sizeof(*leases->hints) * (leases->hint_mask + 1));
    must(lease_acquire(leases, 7, 1, store_schema_lsn(store) + 1, 1, &two, &test_err));
    cr_assert_eq(one.grant, two.grant);
    cr_assert_eq(lease_word_uses(lease_word_load(&leases->slots[one.slot])), 3);
}

/* An expired grant is not shared: a new one is made, and only on the latest version; the fence of
 * the old one does not hold any more. */
Test(lease_grant, after_expiry_a_new_grant_is_made)
{
    struct lease_use old = take(7, 1);
    struct lease_use new;
    atomic_store(&leases->slots[old.slot].expiry_ns, os_now_ns());
    must_fail(
        lease_acquire(leases, 7, 1, store_schema_lsn(store) + 1, os_now_ns(), &new, &test_err),
        INSTAR_ESCHEMA_CHANGED);
    must(lease_acquire(leases, 7, 1, store_schema_lsn(store), os_now_ns(), &new, &test_err));
    cr_assert_neq(old.grant, new.grant);
    cr_assert_not(fence_holds(&old));
    cr_assert(fence_holds(&new));
    lease_release(leases, &old);
    cr_assert_eq(lease_word_uses(lease_word_load(&leases->slots[new.slot])), 1);
}

/* When all slots are in use by transactions, the next is refused with the option's name. */
Test(lease_grant, slots_in_use_are_not_taken_away)
{
    struct lease_use uses[GRANTS];
    struct lease_use more;
    for (size_t i = 0; i < GRANTS; i++) {
        uses[i] = take(10 + i, 1000 + i);
    }
    must_fail(lease_acquire(leases, 9999, 1, store_schema_lsn(store), 1, &more, &test_err),
              INSTAR_ESLOTS);
    cr_assert(strstr(test_err.text, "lease_slots") != NULL, "%s", test_err.text);
    for (size_t i = 0; i < GRANTS; i++) {
        cr_assert(fence_holds(&uses[i]));
        lease_release(leases, &uses[i]);
    }
}

/* An idle one is given up, the one that was used longest ago. */
Test(lease_grant, the_idle_grant_used_longest_ago_is_given_up)
{
    struct lease_use uses[GRANTS];
    for (size_t i = 0; i < GRANTS; i++) {
        uses[i] = take(10 + i, 1000 + i);
        lease_release(leases, &uses[i]);
    }
    struct lease_use busy = take(10, 2000); /* the oldest slot, used again */
    struct lease_use again = take(11, 1500);
    lease_release(leases, &again);
    struct lease_use more = take(9999, 3000);
    cr_assert_eq(more.slot, uses[2].slot);
    cr_assert(fence_holds(&busy));
    cr_assert(fence_holds(&uses[1]));
    lease_release(leases, &busy);
    lease_release(leases, &more);
}

/* An expired one goes before an idle one. */
Test(lease_grant, expired_grants_go_first)
{
    struct lease_use uses[GRANTS];
    for (size_t i = 0; i < GRANTS; i++) {
        uses[i] = take(10 + i, 1000 + i);
        lease_release(leases, &uses[i]);
    }
    atomic_store(&leases->slots[uses[5].slot].expiry_ns, 1);
    struct lease_use more = take(9999, 3000);
    cr_assert_eq(more.slot, uses[5].slot);
    lease_release(leases, &more);
}

static void take_all(struct test_child *self, void *arg)
{
    struct store *s = stores_open(arg);
    struct leases *l;
    struct lease_use use;
    must(lease_open(s, &l, &test_err));
    for (uint64_t i = 0; i < GRANTS; i++) {
        must(lease_acquire(l, 10 + i, 1, store_schema_lsn(s), 1, &use, &test_err));
    }
    test_send(self, 1);
    test_receive(self); /* never comes */
}

/* A node dies with all slots in use: they are free for others as soon as its death is known. */
Test(lease_grant_alone, slots_of_the_dead_are_free)
{
    struct test_child child;
    struct lease_use use;
    options = stores_options();
    options.lease_slots = 64;
    must(store_create(stores_path(), &options, &test_err));
    test_fork(&child, take_all, &options);
    test_await(&child, 1);
    store = stores_open(&options);
    must(lease_open(store, &leases, &test_err));
    must_fail(lease_acquire(leases, 9999, 1, store_schema_lsn(store), 1, &use, &test_err),
              INSTAR_ESLOTS);
    test_kill(&child, SIGKILL);
    store_node_reap(store);
    use = take(9999, 1);
    lease_release(leases, &use);
    teardown();
}

/* Hints are only hints: many more tables than there are slots, in turns, always give the right
 * grant. */
Test(lease_grant, many_tables_take_turns)
{
    struct test_random r = test_random(2);
    for (int i = 0; i < 20000; i++) {
        uint64_t table = 1 + test_random_below(&r, 300);
        struct lease_use use = take(table, 1000 + (uint64_t)i);
        const struct lease_slot *s = &leases->slots[use.slot];
        cr_assert_eq(atomic_load(&s->table), table);
        cr_assert(fence_holds(&use));
        lease_release(leases, &use);
    }
    cr_assert_eq(lease_high(leases), GRANTS);
}
