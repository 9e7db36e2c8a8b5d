/* SPDX-License-Identifier: Apache-2.0 */
/* The door for new versions: what it proves, what it refuses, what it leaves behind. */
#include "lease/lease_impl.h"
#include "support/txns.h"

#include <string.h>

static struct txn_env *env;
static uint64_t table;

static void setup(void)
{
    env = txns_open_t(NULL, "a int8, b int8", &table);
}

static void teardown(void)
{
    txns_close(env);
}

TestSuite(lease_publish, .init = setup, .fini = teardown);

static struct lease_use use_of(uint32_t version)
{
    struct lease_use use;
    must(lease_acquire(env->leases, table, version, store_schema_lsn(env->store), os_now_ns(), &use,
                       &test_err));
    return use;
}

static struct catalog_table *next_version(void)
{
    struct catalog_table *next = txns_current(env, table);
    next->version++;
    return next;
}

static void publish(void)
{
    must(txns_publish(env, next_version(), 0, false, NULL, &test_err));
}

static uint32_t version(void)
{
    struct catalog_table *now = txns_current(env, table);
    uint32_t number = now->version;
    catalog_table_free(now);
    return number;
}

static bool fence_holds(const struct lease_use *use)
{
    struct store_fence f;
    lease_fence(env->leases, use, &f);
    return (*f.word & f.mask) == f.expect;
}

/* A publication moves the schema LSN to its own end, and is durable when it returns. */
Test(lease_publish, a_publication_is_durable_and_moves_the_schema)
{
    uint64_t before = store_schema_lsn(env->store);
    publish();
    cr_assert_gt(store_schema_lsn(env->store), before);
    cr_assert_geq(store_durable(env->store), store_schema_lsn(env->store));
    cr_assert_eq(version(), 2);
}

/* A use of v lets v + 1 through and holds v + 2 up; nothing of the refused commit is there. */
Test(lease_publish, two_versions_and_no_more)
{
    struct lease_blockers blockers;
    struct lease_use use = use_of(1);
    publish();
    must_fail(txns_publish(env, next_version(), 0, false, &blockers, &test_err), INSTAR_EBLOCKED);
    cr_assert_eq(version(), 2);
    cr_assert_eq(blockers.total, 1);
    cr_assert_eq(blockers.count, 1);
    cr_assert_eq(blockers.list[0].node, store_node_self(env->store));
    cr_assert_eq(blockers.list[0].version, 1);
    cr_assert_leq(blockers.list[0].expires_ns, UINT64_C(60) * 1000000000);
    cr_assert_gt(blockers.list[0].expires_ns, UINT64_C(30) * 1000000000);
    lease_release(env->leases, &use);
    publish();
    cr_assert_eq(version(), 3);
}

/* Other tables are nobody's business. */
Test(lease_publish, leases_on_other_tables_do_not_matter)
{
    uint64_t other = txns_table(env, "u", "a int8", "a");
    struct lease_use use;
    must(lease_acquire(env->leases, other, 1, store_schema_lsn(env->store), 1, &use, &test_err));
    publish();
    publish();
    cr_assert(fence_holds(&use));
    lease_release(env->leases, &use);
}

/* More blockers than the list has room for are counted. */
Test(lease_publish, blockers_beyond_the_list_are_counted)
{
    struct lease_use uses[LEASE_BLOCKERS_MAX + 3];
    struct lease_blockers blockers;
    uint64_t lsn = store_schema_lsn(env->store);
    for (size_t i = 0; i < BASE_ARRAY_LEN(uses); i++) {
        must(lease_grant(env->leases, table, 1, lsn, 1, &uses[i], &test_err));
        /* As if each were another node's. */
        atomic_store(&env->leases->slots[uses[i].slot].pid, 1000 + (uint32_t)i);
        env->leases->nonce++;
    }
    env->leases->nonce -= BASE_ARRAY_LEN(uses);
    for (size_t i = 0; i < BASE_ARRAY_LEN(uses); i++) {
        atomic_store(&env->leases->slots[uses[i].slot].nonce, env->leases->nonce);
    }
    cr_assert_not(lease_drained(env->leases, table, 2, &blockers));
    cr_assert_eq(blockers.total, BASE_ARRAY_LEN(uses));
    cr_assert_eq(blockers.count, LEASE_BLOCKERS_MAX);
    for (size_t i = 0; i < BASE_ARRAY_LEN(uses); i++) {
        lease_release(env->leases, &uses[i]);
    }
    cr_assert(lease_drained(env->leases, table, 2, &blockers));
    cr_assert_eq(blockers.total, 0);
}

/* An idle lease on the version that becomes second-latest stays, so that a transaction with an
 * older snapshot can still use it; the next publication takes it. */
Test(lease_publish, an_idle_lease_serves_old_snapshots_once_more)
{
    struct lease_use use = use_of(1);
    lease_release(env->leases, &use);
    publish();
    cr_assert(fence_holds(&use));
    publish();
    cr_assert_not(fence_holds(&use));
}

/* A fenced use is over, whatever it still does. */
Test(lease_publish, fencing_revokes)
{
    struct lease_use use = use_of(1);
    publish();
    must(txns_publish(env, next_version(), 0, true, NULL, &test_err));
    cr_assert_not(fence_holds(&use));
    lease_release(env->leases, &use);
}

/* Fencing takes only what must go. */
Test(lease_publish, fencing_spares_the_version_before)
{
    struct lease_use use = use_of(1);
    must(txns_publish(env, next_version(), 0, true, NULL, &test_err));
    cr_assert(fence_holds(&use));
    lease_release(env->leases, &use);
}

/* An expired use is revoked in passing. */
Test(lease_publish, an_expired_lease_is_revoked)
{
    struct lease_use use = use_of(1);
    publish();
    atomic_store(&env->leases->slots[use.slot].expiry_ns, os_now_ns());
    publish();
    cr_assert_not(fence_holds(&use));
    lease_release(env->leases, &use);
}

/* A publisher whose descriptor is not the next version was too slow: nothing is written. */
Test(lease_publish, the_slower_publisher_gets_a_conflict)
{
    struct catalog_table *slow = next_version();
    publish();
    must_fail(txns_publish(env, slow, 0, false, NULL, &test_err), INSTAR_ECONFLICT);
    cr_assert_eq(version(), 2);
}

/* A step that skips a stage is refused, whoever asks. */
Test(lease_publish, a_skipped_stage_is_refused)
{
    struct catalog_table *next = next_version();
    struct catalog_index *index = tables_add_index(next, "i", "b", false);
    index->tree = 40;
    txns_set_state(index, "write-only");
    must(catalog_table_finish(next, &test_err));
    must_fail(txns_publish(env, next, 0, false, NULL, &test_err), INSTAR_ESTATE);
    cr_assert(strstr(test_err.text, "skips a stage") != NULL, "%s", test_err.text);
    cr_assert_eq(version(), 1);
    txns_index(env, table, "i", "b", false, "write-only");
    next = next_version();
    catalog_index_remove(next, "i");
    must(catalog_table_finish(next, &test_err));
    must_fail(txns_publish(env, next, 0, false, NULL, &test_err), INSTAR_ESTATE);
}

static int drain_only(uint32_t below)
{
    struct store_txn *t = stores_begin(env->store, STORE_TXN_SYNC);
    must(store_txn_put(t, CATALOG_CHANGE_TREE, stores_text("k"), stores_text("v"), &test_err));
    struct lease_publication what = {.table = table, .drained_below = below};
    return lease_publish(env->leases, t, &what, NULL, NULL, &test_err);
}

/* A commit without a new version proves a drain only: it waits for the uses of the version before
 * too, and leaves the schema LSN alone. */
Test(lease_publish, a_commit_may_prove_a_drain_alone)
{
    struct lease_use use = use_of(1);
    publish();
    uint64_t schema = store_schema_lsn(env->store);
    must_fail(drain_only(2), INSTAR_EBLOCKED);
    stores_read(env->store, CATALOG_CHANGE_TREE, "k", NULL);
    lease_release(env->leases, &use);
    must(drain_only(2));
    stores_read(env->store, CATALOG_CHANGE_TREE, "k", "v");
    cr_assert_eq(store_schema_lsn(env->store), schema);
    use = use_of(2);
    must(drain_only(2));
    cr_assert(fence_holds(&use));
    must_fail(drain_only(3), INSTAR_EBLOCKED);
    lease_release(env->leases, &use);
}

static int remove_table(uint32_t current)
{
    struct store_txn *t = stores_begin(env->store, STORE_TXN_SYNC);
    must(catalog_name_delete(t, "t", &test_err));
    struct lease_publication what = {.table = table, .remove = true, .drained_below = current};
    return lease_publish(env->leases, t, &what, NULL, NULL, &test_err);
}

/* Removing a table is the version after its last one: uses of the last one go on, older ones hold
 * it up. */
Test(lease_publish, removing_a_table_is_a_version)
{
    struct catalog_table *gone;
    struct lease_use old = use_of(1);
    publish();
    must_fail(remove_table(1), INSTAR_ECONFLICT);
    must_fail(remove_table(2), INSTAR_EBLOCKED);
    struct lease_use last = use_of(2);
    lease_release(env->leases, &old);
    must(remove_table(2));
    cr_assert(fence_holds(&last));
    must_fail(drain_only(3), INSTAR_EBLOCKED);
    lease_release(env->leases, &last);
    must(drain_only(3));
    struct store_txn *t = stores_begin(env->store, STORE_TXN_READONLY);
    must_fail(catalog_get_table(t, table, &gone, &test_err), INSTAR_ENOTFOUND);
    store_txn_abort(t);
}

/* Fences of the caller (the runner's token) are tested too. */
Test(lease_publish, further_fences_hold)
{
    _Atomic uint64_t token = 5;
    struct store_fence fence = {
        .word = &token, .mask = UINT64_MAX, .expect = 6, .code = INSTAR_ESTATE};
    struct catalog_table *next = next_version();
    struct lease_publication what = {
        .table = table, .descriptor = next, .drained_below = 1, .fences = &fence, .fence_count = 1};
    must_fail(lease_publish(env->leases, stores_begin(env->store, STORE_TXN_SYNC), &what, NULL,
                            NULL, &test_err),
              INSTAR_ESTATE);
    token = 6;
    must(lease_publish(env->leases, stores_begin(env->store, STORE_TXN_SYNC), &what, NULL, NULL,
                       &test_err));
    catalog_table_free(next);
    cr_assert_eq(version(), 2);
}

/* After many versions the slots are used again: leases do not pile up. */
Test(lease_publish, versions_do_not_use_slots_up)
{
    for (uint32_t v = 1; v < 200; v++) {
        struct lease_use use = use_of(v);
        lease_release(env->leases, &use);
        publish();
    }
    cr_assert_leq(lease_high(env->leases), 4);
}

/* Several tables in one commit, as foreign keys need it: what holds one of them up holds all up,
 * and then none has its next version. A proof alone may be of several, too. */
Test(lease_publish, several_tables_at_once)
{
    uint64_t other = txns_table(env, "u", "a int8", "a");
    struct lease_blockers blockers;
    struct lease_use use;

    must(lease_acquire(env->leases, other, 1, store_schema_lsn(env->store), 1, &use, &test_err));
    for (int i = 0; i < 3; i++) {
        struct catalog_table *next = next_version();
        struct catalog_table *also = txns_current(env, other);
        also->version++;
        const struct lease_also list[] = {
            {.table = other, .descriptor = also, .drained_below = also->version - 1}};
        const struct lease_publication what = {.table = table,
                                               .descriptor = next,
                                               .drained_below = next->version - 1,
                                               .also = list,
                                               .also_count = 1};
        struct store_txn *t;
        must(store_txn_begin(env->store, STORE_TXN_SYNC, &t, &test_err));
        int rc = lease_publish(env->leases, t, &what, NULL, &blockers, &test_err);
        cr_assert_eq(rc, i == 1 ? INSTAR_EBLOCKED : 0, "%d: %s", i, test_err.text);
        catalog_table_free(next);
        catalog_table_free(also);
        also = txns_current(env, other);
        cr_assert_eq(version(), i == 0 || i == 1 ? 2 : 3);
        cr_assert_eq(also->version, version());
        catalog_table_free(also);
        if (i == 1) {
            cr_assert_eq(blockers.list[0].version, 1);
            const struct lease_also drain[] = {{.table = other, .drained_below = 2}};
            const struct lease_publication proof = {
                .table = table, .drained_below = 2, .also = drain, .also_count = 1};
            uint64_t id; /* a commit without writes proves nothing */
            must(store_txn_begin(env->store, STORE_TXN_SYNC, &t, &test_err));
            must(catalog_next_id(t, CATALOG_COUNTER_CHANGE, &id, &test_err));
            must_fail(lease_publish(env->leases, t, &proof, NULL, NULL, &test_err),
                      INSTAR_EBLOCKED);
            lease_release(env->leases, &use);
            must(store_txn_begin(env->store, STORE_TXN_SYNC, &t, &test_err));
            must(catalog_next_id(t, CATALOG_COUNTER_CHANGE, &id, &test_err));
            must(lease_publish(env->leases, t, &proof, NULL, NULL, &test_err));
        }
    }
}
