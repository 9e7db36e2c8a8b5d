/* SPDX-License-Identifier: Apache-2.0 */
/* Which grants are renewed, and which are left to expire. Time stands still but for these tests. */
#include "lease/lease_impl.h"
#include "support/stores.h"

static struct store *store;
static struct leases *leases;

#define SECOND UINT64_C(1000000000)
#define BEGIN (1000 * SECOND)

static void setup(void)
{
    test_clock_start(BEGIN);
    store = stores_make(NULL);
    must(lease_open(store, &leases, &test_err));
    cr_assert_eq(leases->lease_ns, 60 * SECOND);
}

static void teardown(void)
{
    lease_close(leases);
    stores_close(store);
    test_clock_stop();
}

TestSuite(lease_renew, .init = setup, .fini = teardown);

static struct lease_use take(void)
{
    struct lease_use use;
    must(lease_acquire(leases, 7, 1, store_schema_lsn(store), os_now_ns(), &use, &test_err));
    return use;
}

static uint64_t expiry(const struct lease_use *use)
{
    return atomic_load(&leases->slots[use->slot].expiry_ns);
}

static void pass(uint64_t seconds)
{
    test_clock_advance(seconds * SECOND);
    must(lease_renew(leases, &test_err));
}

/* In use: renewed for ever, as long as somebody does it in time. */
Test(lease_renew, a_grant_in_use_is_renewed)
{
    struct lease_use use = take();
    cr_assert_eq(expiry(&use), BEGIN + 60 * SECOND);
    for (uint64_t i = 1; i <= 20; i++) {
        pass(30);
        cr_assert_eq(expiry(&use), BEGIN + 30 * i * SECOND + 60 * SECOND);
    }
    lease_release(leases, &use);
}

/* Expired: not renewed, be it by one nanosecond; neither in use. */
Test(lease_renew, an_expired_grant_is_not_renewed)
{
    struct lease_use use = take();
    pass(60);
    cr_assert_eq(expiry(&use), BEGIN + 60 * SECOND);
    struct store_fence f;
    lease_fence(leases, &use, &f);
    cr_assert_geq(os_now_ns(), *f.expiry_ns);
    lease_release(leases, &use);
}

/* One nanosecond before its end it is. */
Test(lease_renew, an_expiring_grant_is_renewed)
{
    struct lease_use use = take();
    test_clock_advance(60 * SECOND - 1);
    must(lease_renew(leases, &test_err));
    cr_assert_eq(expiry(&use), BEGIN + 120 * SECOND - 1);
    lease_release(leases, &use);
}

/* Idle, but used lately: renewed until it was idle for one duration. */
Test(lease_renew, an_idle_grant_is_renewed_for_a_while)
{
    struct lease_use use = take();
    lease_release(leases, &use);
    pass(30);
    cr_assert_eq(expiry(&use), BEGIN + 90 * SECOND);
    pass(30);
    cr_assert_eq(expiry(&use), BEGIN + 90 * SECOND, "idle for a whole duration");
}

/* Idle on a version that is not the latest: not renewed. In use there: renewed. */
Test(lease_renew, the_older_version_is_renewed_only_in_use)
{
    struct lease_use use = take();
    atomic_fetch_or(&leases->slots[use.slot].word, LEASE_WANTED);
    pass(30);
    cr_assert_eq(expiry(&use), BEGIN + 90 * SECOND);
    /* Idle and wanted, as a publication leaves it. */
    atomic_fetch_sub(&leases->slots[use.slot].word, 1);
    pass(10);
    cr_assert_eq(expiry(&use), BEGIN + 90 * SECOND);
}

/* Revoked grants and those of other nodes are not this node's to renew. */
Test(lease_renew, only_own_live_grants_are_renewed)
{
    struct lease_use use = take();
    atomic_store(&leases->slots[use.slot].nonce, leases->nonce + 1);
    pass(30);
    cr_assert_eq(expiry(&use), BEGIN + 60 * SECOND);
    atomic_store(&leases->slots[use.slot].nonce, leases->nonce);
    lease_slot_revoke(&leases->slots[use.slot]);
    pass(10);
    cr_assert_eq(expiry(&use), BEGIN + 60 * SECOND);
    lease_release(leases, &use);
}

/* The thread does it by itself, twice in each duration: real time, a short lease. */
Test(lease_renew_alone, a_thread_renews)
{
    instar_options options = stores_options();
    options.lease_ms = 50;
    store = stores_make(&options);
    must(lease_open(store, &leases, &test_err));
    struct lease_use use = take();
    uint64_t first = expiry(&use);
    uint64_t deadline = os_now_ns() + 20 * SECOND;
    uint32_t never = store_event_seen(store, STORE_EVENT_LEASE);
    while (expiry(&use) == first && os_now_ns() < deadline) {
        store_event_wait(store, STORE_EVENT_LEASE, never, UINT64_C(5) * 1000000);
    }
    cr_assert_gt(expiry(&use), first);
    lease_release(leases, &use);
    lease_close(leases);
    stores_close(store);
}
