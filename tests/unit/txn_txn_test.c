/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a transaction: snapshots, isolation, versions, leases, the end. */
#include "lease/lease_impl.h"
#include "support/txns.h"
#include "txn/txn_impl.h"

#include <string.h>

#define KEPT 4096 /* bytes of a buffer, at most */

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all;

static void setup(void)
{
    env = txns_open_t(NULL, "a int8, b int8", &table);
    all = txns_projection(env, "t", NULL);
}

static void teardown(void)
{
    txn_projection_free(all);
    txns_close(env);
}

TestSuite(txn, .init = setup, .fini = teardown);

static void publish(bool fence)
{
    struct catalog_table *next = txns_current(env, table);
    next->version++;
    must(txns_publish(env, next, 0, fence, NULL, &test_err));
}

static struct lease_node_stat leases(void)
{
    struct lease_node_stat stat;
    lease_node_stat(env->leases, store_node_self(env->store), store_node_nonce(env->store), &stat);
    return stat;
}

/* One that has ended serves the next one, and keeps little; nothing of it is seen there. */
Test(txn, memory_is_used_again)
{
    static char text[1 << 16];
    instar_value row[2] = {{.type = INSTAR_INT8, .i = 1},
                           {.type = INSTAR_TEXT, .bytes = {text, sizeof(text)}}};
    txns_table(env, "u", "a int8, c text", "a");
    struct txn_projection *u = txns_projection(env, "u", NULL);
    struct txn *first = txns_begin(env, INSTAR_TXN_ASYNC);
    struct txn *beside = txns_begin(env, INSTAR_TXN_ASYNC);
    expect(first != beside && atomic_load(&env->idle) == NULL);
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + i * i * i % 23); /* not to be compressed to nothing */
    }
    must(txn_insert(first, u, row, &test_err));
    expect(first->plan_bytes.capacity > KEPT && first->tables != NULL);
    must(txn_commit(first, &test_err));
    expect(atomic_load(&env->idle) == first);
    txn_abort(beside);
    expect(atomic_load(&env->idle) == first);
    expect(first->plan_bytes.capacity <= KEPT && first->plan_steps.capacity > 0);
    expect(first->tables == NULL && first->bounds == NULL && first->store == NULL);
    struct txn *second = txns_begin(env, INSTAR_TXN_ASYNC);
    expect(second == first && atomic_load(&env->idle) == NULL);
    must(txns_insert(second, all, "1,10"));
    must(txn_commit(second, &test_err));
    cr_assert_str_eq(txns_dump(env, all), "1,10 ");
    txn_projection_free(u);
}

/* ---- snapshots and isolation --------------------------------------------------------------- */

/* A transaction sees what was committed before it began, and nothing later. */
Test(txn, a_snapshot_stands_still)
{
    txns_put_row(env, all, "1,10");
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY | INSTAR_TXN_ASYNC);
    txns_change_row(env, all, "1", "1,11");
    txns_put_row(env, all, "2,20");
    cr_assert_str_eq(txns_scan(t, all, NULL, NULL, false), "1,10 ");
    cr_assert_leq(txn_lsn(t), store_tail(env->store));
    must(txn_commit(t, &test_err));
    cr_assert_str_eq(txns_dump(env, all), "1,11 2,20 ");
}

/* Two that change one row: the second to commit loses, under both isolations. */
Test(txn, the_first_committer_wins)
{
    static const unsigned flags[] = {INSTAR_TXN_ASYNC, INSTAR_TXN_ASYNC | INSTAR_TXN_SNAPSHOT};
    txns_put_row(env, all, "1,10");
    for (size_t i = 0; i < 2; i++) {
        struct txn *one = txns_begin(env, flags[i]);
        struct txn *two = txns_begin(env, flags[i]);
        must(txns_update(one, all, "1", "1,11"));
        must(txns_update(two, all, "1", "1,12"));
        must(txn_commit(two, &test_err));
        must_fail(txn_commit(one, &test_err), INSTAR_ECONFLICT);
    }
    cr_assert_str_eq(txns_dump(env, all), "1,12 ");
}

/* Write skew: two rows are read by both, and each changes another one. Serializable refuses it,
 * snapshot isolation lets it pass. */
Test(txn, write_skew_is_refused_unless_asked_for)
{
    static const unsigned flags[] = {INSTAR_TXN_ASYNC, INSTAR_TXN_ASYNC | INSTAR_TXN_SNAPSHOT};
    txns_put_row(env, all, "1,1");
    txns_put_row(env, all, "2,1");
    for (size_t i = 0; i < 2; i++) {
        struct txn *one = txns_begin(env, flags[i]);
        struct txn *two = txns_begin(env, flags[i]);
        txns_get(one, all, "2");
        txns_get(two, all, "1");
        must(txns_update(one, all, "1", "1,0"));
        must(txns_update(two, all, "2", "2,0"));
        must(txn_commit(one, &test_err));
        must_fail(txn_commit(two, &test_err), i == 0 ? INSTAR_ECONFLICT : INSTAR_OK);
    }
}

/* A range that was scanned is read as a whole: a row that comes into it is a conflict, by the table
 * and by an index; a row beside it is none. */
Test(txn, phantoms_are_conflicts)
{
    txns_index(env, table, "i", "b", false, "public");
    struct txn_projection *by_b = txns_projection(env, "t", "i");
    struct txn_projection *by[] = {all, by_b};
    txns_put_row(env, all, "1,1");
    for (size_t i = 0; i < 2; i++) {
        struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
        txns_scan(t, by[i], "1", "100", false);
        must(txns_insert(t, all, "1000,1000"));
        txns_put_row(env, all, i == 0 ? "50,500" : "300,50");
        must_fail(txn_commit(t, &test_err), INSTAR_ECONFLICT);
        t = txns_begin(env, INSTAR_TXN_ASYNC);
        txns_scan(t, by[i], "1", "100", false);
        must(txns_insert(t, all, i == 0 ? "2000,2000" : "2001,2001"));
        txns_put_row(env, all, i == 0 ? "200,200" : "201,201");
        must(txn_commit(t, &test_err));
    }
    txn_projection_free(by_b);
}

/* An insert that found its key taken has read it: if it goes, the outcome would be another. */
Test(txn, a_refused_insert_is_a_read)
{
    txns_put_row(env, all, "1,1");
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must_fail(txns_insert(t, all, "1,2"), INSTAR_EEXISTS);
    must(txns_insert(t, all, "2,2"));
    txns_delete_row(env, all, "1");
    must_fail(txn_commit(t, &test_err), INSTAR_ECONFLICT);
}

/* Flags that exclude each other, or that are none. */
Test(txn, bad_flags_are_refused)
{
    struct txn *t;
    must_fail(txn_begin(env, INSTAR_TXN_SYNC | INSTAR_TXN_ASYNC, &t, &test_err), INSTAR_EINVALID);
    must_fail(txn_begin(env, 1u << 20, &t, &test_err), INSTAR_EINVALID);
    cr_assert(t == NULL);
}

/* A sync commit is durable when it returns; async ones follow. */
Test(txn, sync_commits_are_durable)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_SYNC);
    must(txns_insert(t, all, "1,1"));
    must(txn_commit(t, &test_err));
    cr_assert_geq(store_durable(env->store), store_tail(env->store));
}

/* The owner's pointer is kept, and the environment is known. */
Test(txn, the_owner_is_kept)
{
    struct txn *t = txns_begin(env, 0);
    cr_assert(txn_owner(t) == NULL);
    txn_set_owner(t, &table);
    cr_assert(txn_owner(t) == &table);
    cr_assert(txn_env_of(t) == env);
    txn_abort(t);
    txn_abort(NULL);
}

/* ---- versions and leases ------------------------------------------------------------------- */

/* A writing transaction takes a lease at the first touch of a table, one for all its touches, and
 * gives it back at its end; a reading one takes none. */
Test(txn, leases_come_with_the_first_touch)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    cr_assert_eq(leases().uses, 0);
    txns_get(t, all, "1");
    must(txns_insert(t, all, "1,1"));
    cr_assert_eq(leases().uses, 1);
    must(txn_commit(t, &test_err));
    cr_assert_eq(leases().uses, 0);
    t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_insert(t, all, "2,1"));
    txn_abort(t);
    cr_assert_eq(leases().uses, 0);
    t = txns_begin(env, INSTAR_TXN_READONLY);
    txns_get(t, all, "1");
    cr_assert_eq(leases().uses, 0);
    txn_abort(t);
}

/* The schema moves on between begin and the first touch: a transaction that has read nothing
 * follows it silently, however many versions. */
Test(txn, a_transaction_that_read_nothing_follows_the_schema)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    uint64_t lsn = txn_lsn(t);
    publish(false);
    txns_put_row(env, all, "7,7"); /* also gives the node a lease on the newer version */
    publish(false);
    publish(false);
    cr_assert_str_eq(txns_get(t, all, "7"), "7,7");
    cr_assert_gt(txn_lsn(t), lsn);
    must(txns_insert(t, all, "1,1"));
    must(txn_commit(t, &test_err));
}

/* One that has read something cannot: the first touch of another table is refused, retryable. */
Test(txn, a_transaction_that_read_something_must_run_again)
{
    txns_table(env, "u", "a int8", "a");
    struct txn_projection *u = txns_projection(env, "u", NULL);
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    txns_get(t, all, "1");
    publish(false);
    must_fail(txns_insert(t, u, "1"), INSTAR_ESCHEMA_CHANGED);
    cr_assert(strstr(test_err.text, "table u") != NULL, "%s", test_err.text);
    /* What it has it may still commit. */
    must(txns_insert(t, all, "1,1"));
    must(txn_commit(t, &test_err));
    txn_projection_free(u);
}

/* It shares a lease that its process has on that version. */
Test(txn, a_lease_of_the_process_serves_an_older_snapshot)
{
    txns_put_row(env, all, "7,7");
    txns_table(env, "u", "a int8", "a");
    struct txn_projection *u = txns_projection(env, "u", NULL);
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_insert(t, u, "1"));
    publish(false);
    must(txns_insert(t, all, "1,1"));
    must(txn_commit(t, &test_err));
    txn_projection_free(u);
}

/* A transaction works with the indexes of its own version to the end: the entry that it owes there
 * is written although the next version has been published meanwhile. */
Test(txn, one_version_for_its_whole_life)
{
    txns_index(env, table, "i", "b", false, "write-only");
    struct catalog_table *before = txns_current(env, table);
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_insert(t, all, "1,10"));
    txns_index(env, table, "i", "b", false, "delete-only");
    must(txns_insert(t, all, "2,20"));
    must(txn_commit(t, &test_err));
    cr_assert_str_eq(txns_entries(env, before, "i"), "10:1 20:2 ");
    txns_put_row(env, all, "3,30");
    cr_assert_str_eq(txns_entries(env, before, "i"), "10:1 20:2 ");
    catalog_table_free(before);
}

/* The lease of any table that was touched is proven at commit, also of one that was only read. */
Test(txn, every_touched_table_is_fenced)
{
    uint64_t other = txns_table(env, "u", "a int8", "a");
    struct txn_projection *u = txns_projection(env, "u", NULL);
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    txns_get(t, all, "1");
    must(txns_insert(t, u, "1"));
    publish(true);
    publish(true);
    must_fail(txn_commit(t, &test_err), INSTAR_ESCHEMA_CHANGED);
    cr_assert(strstr(test_err.text, "table t: the lease on version 1 was revoked") != NULL, "%s",
              test_err.text);
    cr_assert_str_eq(txns_dump(env, u), "");
    (void)other;
    txn_projection_free(u);
}

/* Without writes nothing is fenced: what was read was so at the snapshot. */
Test(txn, a_transaction_without_writes_always_commits)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    txns_get(t, all, "1");
    publish(true);
    publish(true);
    must(txn_commit(t, &test_err));
}

/* A dropped table is unknown to those who come later, and still there for a snapshot. */
Test(txn, a_dropped_table)
{
    txns_put_row(env, all, "1,1");
    struct txn *old = txns_begin(env, INSTAR_TXN_READONLY | INSTAR_TXN_ASYNC);
    struct store_txn *st = stores_begin(env->store, STORE_TXN_SYNC);
    struct lease_publication what = {.table = table, .remove = true, .drained_below = 1};
    must(lease_publish(env->leases, st, &what, NULL, NULL, &test_err));
    cr_assert_str_eq(txns_get(old, all, "1"), "1,1");
    txn_abort(old);
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    cr_assert_str_eq(txns_get(t, all, "1"), "INSTAR_EUNKNOWN");
    txn_abort(t);
}

/* Several tables and projections in one transaction: each table is leased once, all are fenced. */
Test(txn, many_tables_in_one_transaction)
{
    struct txn_projection *p[6];
    char name[2] = "p";
    for (size_t i = 0; i < 6; i++) {
        name[0] = (char)('e' + i);
        if (i % 2 == 0) {
            txns_table(env, name, "a int8, b int8", "a");
        } else {
            name[0]--;
        }
        p[i] = txns_projection(env, name, NULL);
    }
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_insert(t, all, "1,1"));
    for (size_t i = 0; i < 6; i++) {
        must(txns_insert(t, p[i], i % 2 == 0 ? "1,1" : "2,2"));
    }
    cr_assert_eq(leases().uses, 4);
    must(txn_commit(t, &test_err));
    cr_assert_eq(leases().uses, 0);
    for (size_t i = 0; i < 6; i++) {
        cr_assert_str_eq(txns_dump(env, p[i]), "1,1 2,2 ");
        txn_projection_free(p[i]);
    }
}
