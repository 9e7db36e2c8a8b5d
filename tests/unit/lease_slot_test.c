/* SPDX-License-Identifier: Apache-2.0 */
/* One slot: the word and what its owner and the holder of the mutex may do to it. */
#include "lease/lease_impl.h"
#include "support/stores.h"

static struct store *store;
static struct leases *leases;
static struct lease_use first;

/* A grant of this node on (table 7, version 3), used once. */
static void setup(void)
{
    store = stores_make(NULL);
    must(lease_open(store, &leases, &test_err));
    must(lease_grant(leases, 7, 3, store_schema_lsn(store), 1000, &first, &test_err));
}

static void teardown(void)
{
    lease_close(leases);
    stores_close(store);
}

TestSuite(lease_slot, .init = setup, .fini = teardown);

static struct lease_slot *slot(void)
{
    return &leases->slots[first.slot];
}

static uint64_t uses(void)
{
    return lease_word_uses(lease_word_load(slot()));
}

static bool live(void)
{
    return lease_word_live(lease_word_load(slot()));
}

static bool share(uint64_t table, uint32_t version, uint64_t now_ns)
{
    struct lease_use use;
    return lease_slot_share(leases, first.slot, table, version, now_ns, 2000, &use);
}

static bool fence_holds(const struct lease_use *use)
{
    struct store_fence f;
    lease_fence(leases, use, &f);
    return (*f.word & f.mask) == f.expect;
}

/* A use is counted, and given back once. */
Test(lease_slot, uses_are_counted)
{
    cr_assert_eq(uses(), 1);
    cr_assert(share(7, 3, 2000));
    cr_assert_eq(uses(), 2);
    lease_release(leases, &first);
    cr_assert_eq(uses(), 1);
    cr_assert(live(), "an idle grant stays");
}

/* Only the same table and version of this node, and only before the expiry. */
Test(lease_slot, sharing_is_for_the_same_version_in_time)
{
    uint64_t expiry_ns = atomic_load(&slot()->expiry_ns);
    cr_assert_not(share(7, 4, 2000));
    cr_assert_not(share(8, 3, 2000));
    cr_assert_not(share(7, 3, expiry_ns));
    cr_assert(share(7, 3, expiry_ns - 1));
    leases->nonce++;
    cr_assert_not(share(7, 3, 2000));
    leases->nonce--;
    cr_assert_eq(uses(), 2);
}

/* A revoked grant is shared no more, and its fence does not hold. */
Test(lease_slot, revoked_is_revoked)
{
    cr_assert(fence_holds(&first));
    lease_slot_revoke(slot());
    cr_assert_not(fence_holds(&first));
    cr_assert_not(share(7, 3, 2000));
    lease_release(leases, &first);
    cr_assert_eq(uses(), 0);
    cr_assert_not(live());
}

/* Sharing and asking for the grant leave the fence of others alone. */
Test(lease_slot, the_fence_ignores_count_and_wish)
{
    cr_assert(share(7, 3, 2000));
    cr_assert_not(lease_slot_want(slot()));
    cr_assert(fence_holds(&first));
}

/* Asked for, an idle grant goes at once; one in use goes with its last use, which wakes the
 * waiters. */
Test(lease_slot, a_wanted_grant_goes_with_its_last_use)
{
    struct lease_use second;
    cr_assert(lease_slot_share(leases, first.slot, 7, 3, 2000, 2000, &second));
    cr_assert_not(lease_slot_want(slot()));
    uint32_t seen = store_event_seen(store, STORE_EVENT_LEASE);
    lease_release(leases, &second);
    cr_assert(live());
    cr_assert_eq(store_event_seen(store, STORE_EVENT_LEASE), seen);
    lease_release(leases, &first);
    cr_assert_not(live());
    cr_assert_neq(store_event_seen(store, STORE_EVENT_LEASE), seen);
}

Test(lease_slot, a_wanted_grant_goes_at_once_when_idle)
{
    lease_release(leases, &first);
    cr_assert(lease_slot_want(slot()));
    cr_assert_not(live());
}

/* When the slot has become somebody else's, the end of an old use does not touch it. */
Test(lease_slot, an_old_release_does_not_touch_a_new_grant)
{
    struct lease_use second;
    lease_slot_revoke(slot());
    must(lease_grant(leases, 7, 4, store_schema_lsn(store), 3000, &second, &test_err));
    cr_assert_eq(second.slot, first.slot);
    cr_assert_neq(second.grant, first.grant);
    lease_release(leases, &first);
    cr_assert_eq(uses(), 1);
    cr_assert(fence_holds(&second));
    cr_assert_not(fence_holds(&first));
}

/* The count has an end, and does not run over into the marks above it. */
Test(lease_slot, too_many_uses_are_refused)
{
    struct lease_use use;
    atomic_fetch_add(&slot()->word, LEASE_USES_MAX - 1);
    cr_assert_not(share(7, 3, 2000));
    cr_assert_eq(uses(), LEASE_USES_MAX);
    cr_assert(live());
    must_fail(lease_acquire(leases, 7, 3, store_schema_lsn(store), 1, &use, &test_err),
              INSTAR_ESLOTS);
}

/* The oldest transaction is known as long as it runs; more of them than marks are not all listed,
 * and go as they came. */
Test(lease_slot, the_oldest_transaction_is_known)
{
    struct lease_use use[LEASE_MARKS + 2];
    cr_assert_eq(lease_slot_oldest(slot()), 1000);
    for (uint64_t i = 0; i < BASE_ARRAY_LEN(use); i++) {
        cr_assert(lease_slot_share(leases, first.slot, 7, 3, 2000, 2000 + i, &use[i]));
    }
    lease_release(leases, &first);
    cr_assert_eq(lease_slot_oldest(slot()), 2000);
    for (uint64_t i = 0; i < BASE_ARRAY_LEN(use); i++) {
        lease_release(leases, &use[i]);
    }
    cr_assert_eq(lease_slot_oldest(slot()), 0);
    cr_assert_eq(uses(), 0);
}

/* ---- threads ------------------------------------------------------------------------------ */

#define ROUNDS 20000

static void *share_and_release(void *arg)
{
    uint64_t *shared = arg;
    struct lease_use use;
    for (int i = 0; i < ROUNDS; i++) {
        if (lease_hint_share(leases, 7, 3, 2000, &use)) {
            (*shared)++;
            expect(use.grant == first.grant);
            lease_release(leases, &use);
        }
    }
    return NULL;
}

/* Threads share and release while the grant is asked for: no use is lost and none is left over. */
Test(lease_slot, threads_lose_no_use)
{
    struct os_thread threads[3];
    uint64_t shared[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(os_thread_start(&threads[i], "share", share_and_release, &shared[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        os_thread_join(&threads[i]);
        cr_assert_eq(shared[i], ROUNDS);
    }
    cr_assert_eq(uses(), 1);
    lease_release(leases, &first);
    cr_assert_eq(uses(), 0);
    cr_assert(live());
}

static void share_what_was(void *arg, const char *name)
{
    bool *seen = arg;
    struct lease_use use;
    if (strcmp(name, "lease.slot_taken") == 0) {
        *seen = true;
        expect(!lease_slot_share(leases, first.slot, 7, 3, 2000, 2000, &use));
    }
}

/* While a slot is being given to another version it serves neither. */
Test(lease_slot, a_slot_is_nobodys_while_it_changes_hands)
{
    bool seen = false;
    struct lease_use use;
    struct test_listener listener = {.point = share_what_was, .arg = &seen};
    lease_release(leases, &first);
    lease_slot_revoke(slot());
    test_listener_set(&listener);
    must(lease_grant(leases, 7, 4, store_schema_lsn(store), 3000, &use, &test_err));
    test_listener_set(NULL);
    cr_assert_eq(use.slot, first.slot);
    expect(seen);
    lease_release(leases, &use);
}

/* Threads share while the slot changes hands again and again: whoever gets a use gets one of the
 * grant that it asked for. */
static void *share_any(void *arg)
{
    struct lease_use use;
    const _Atomic bool *stop = arg;
    while (!atomic_load(stop)) {
        for (uint32_t version = 3; version < 6; version++) {
            if (lease_slot_share(leases, first.slot, 7, version, 2000, 2000, &use)) {
                uint64_t word = lease_word_load(slot());
                /* Still the same number: then the version is what was asked for. */
                if ((word & LEASE_FENCED_BITS) == use.grant) {
                    uint32_t found = atomic_load(&slot()->version);
                    word = lease_word_load(slot());
                    expect((word & LEASE_FENCED_BITS) != use.grant || found == version);
                }
                lease_release(leases, &use);
            }
        }
    }
    return NULL;
}

Test(lease_slot, a_slot_may_change_hands_under_those_who_share_it)
{
    struct os_thread thread;
    _Atomic bool stop = false;
    lease_release(leases, &first);
    cr_assert_eq(os_thread_start(&thread, "share", share_any, &stop), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        struct lease_use use;
        lease_slot_revoke(slot());
        must(lease_grant(leases, 7, 3 + i % 3, store_schema_lsn(store), 3000, &use, &test_err));
        cr_assert_eq(use.slot, first.slot);
        lease_release(leases, &use);
    }
    atomic_store(&stop, true);
    os_thread_join(&thread);
    cr_assert_eq(uses(), 0);
}
