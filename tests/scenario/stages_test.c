/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each stage of an index does with a write, statement by statement. The versions of the
 * transactions are forced, so that stages that would never meet in one store do meet.
 */
#include "support/txns.h"

#include <string.h>

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all;
static struct catalog_table *delete_only, *write_only, *public;

/* Table t(c1, c2) with an index i on c2, in three versions at once. */
static void setup(void)
{
    txns_make(NULL);
    env = txns_open(NULL);
    table = txns_table(env, "t", "c1 int8, c2 int8", "c1");
    all = txns_projection(env, "t", NULL);
}

static void force_stages(void)
{
    struct catalog_table *now = txns_current(env, table);
    uint32_t version = now->version;
    catalog_table_free(now);
    delete_only = txns_forced(env, table, version + 1, "i", "delete-only");
    write_only = txns_forced(env, table, version + 2, "i", "write-only");
    public = txns_forced(env, table, version + 3, "i", "public");
}

static void teardown(void)
{
    catalog_table_free(delete_only);
    catalog_table_free(write_only);
    catalog_table_free(public);
    txn_projection_free(all);
    txns_close(env);
}

TestSuite(stages, .init = setup, .fini = teardown);

static struct txn *as(const struct catalog_table *version)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    txn_force_version(t, version);
    return t;
}

static void insert(const struct catalog_table *version, const char *row)
{
    struct txn *t = as(version);
    must(txns_insert(t, all, row));
    must(txn_commit(t, &test_err));
}

static void update(const struct catalog_table *version, const char *key, const char *row)
{
    struct txn *t = as(version);
    must(txns_update(t, all, key, row));
    must(txn_commit(t, &test_err));
}

static void delete (const struct catalog_table *version, const char *key)
{
    struct txn *t = as(version);
    must(txns_delete(t, all, key));
    must(txn_commit(t, &test_err));
}

#define expect_entries(text) cr_assert_str_eq(txns_entries(env, public, "i"), text)

/* An index is added on c2 of rows (1,1)(2,2)(3,3), which it does not have entries of yet. */
Test(stages, an_index_that_is_added)
{
    txns_put_row(env, all, "1,1");
    txns_put_row(env, all, "2,2");
    txns_put_row(env, all, "3,3");
    txns_index(env, table, "i", "c2", false, "delete-only");
    force_stages();
    insert(delete_only, "4,4");
    expect_entries("");
    insert(write_only, "5,5");
    expect_entries("5:5 ");
    update(write_only, "4", "4,1");
    expect_entries("1:4 5:5 ");
    update(delete_only, "4", "4,3");
    expect_entries("5:5 ");
    update(write_only, "4", "4,9");
    expect_entries("5:5 9:4 ");
    delete (write_only, "4");
    expect_entries("5:5 ");
    delete (delete_only, "5");
    expect_entries("");
    insert(write_only, "6,6");
    insert(public, "7,7");
    expect_entries("6:6 7:7 ");
    update(write_only, "7", "7,5");
    expect_entries("5:7 6:6 ");
    cr_assert_str_eq(txns_wrong(env, public, NULL), "");
}

/* An index is dropped, the stages backwards: what write-only wrote a public reader sees;
 * delete-only adds nothing and takes away what it changes. When nobody writes any more, only
 * entries of rows that nobody touched are left, for the purge. */
Test(stages, an_index_that_is_dropped)
{
    txns_index(env, table, "i", "c2", false, "public");
    struct txn_projection *by_i = txns_projection(env, "t", "i");
    force_stages();
    insert(public, "8,8");
    insert(write_only, "9,9");
    struct txn *t = as(public);
    cr_assert_str_eq(txns_scan(t, by_i, NULL, NULL, false), "8,8 9,9 ");
    txn_abort(t);
    insert(delete_only, "10,10");
    expect_entries("8:8 9:9 ");
    update(delete_only, "9", "9,10");
    expect_entries("8:8 ");
    delete (delete_only, "10");
    delete (delete_only, "9");
    expect_entries("8:8 ");
    cr_assert_str_eq(txns_wrong(env, public, NULL), "");
    /* The purge: the version that names the tree no more, its drain, the drop. */
    uint64_t tree = public->indexes[0].tree;
    txns_index(env, table, "i", "c2", false, "absent");
    struct catalog_table *now = txns_current(env, table);
    uint64_t lsn = txns_tree_op(env, table, now->version, STORE_TREE_DROP, tree);
    must(store_wait_applied(env->store, lsn, STORE_URGE_SOON, STORE_FOREVER, &test_err));
    expect_entries("");
    catalog_table_free(now);
    txn_projection_free(by_i);
}

/* A delete-only writer that changes another column leaves the entry that a write-only writer made:
 * the row still has that value. */
Test(stages, an_unchanged_value_keeps_its_entry)
{
    table = txns_table(env, "u", "c1 int8, c2 int8, c3 int8", "c1");
    struct txn_projection *p = txns_projection(env, "u", NULL);
    txns_index(env, table, "i", "c2", false, "delete-only");
    force_stages();
    struct txn *t = as(write_only);
    must(txns_insert(t, p, "1,1,1"));
    must(txn_commit(t, &test_err));
    t = as(delete_only);
    must(txns_update(t, p, "1", "1,1,2"));
    must(txn_commit(t, &test_err));
    expect_entries("1:1 ");
    txn_projection_free(p);
}

/* A row comes and goes by the predicate, and its entry is written anew with what it includes, from
 * write-only on; delete-only takes away what it changes, and adds nothing. */
Test(stages, a_partial_index_that_includes_a_column)
{
    struct txn_projection *t_all = all;
    table = txns_table(env, "u", "c1 int8, c2 int8, c3 int8, c4 int8", "c1");
    all = txns_projection(env, "u", NULL);
    txns_index(env, table, "i", "c2 include c3 where c4 > 0", false, "delete-only");
    force_stages();
    insert(delete_only, "5,5,5,5");
    expect_entries("");
    insert(write_only, "1,1,1,1");
    insert(write_only, "2,2,2,0");
    insert(write_only, "3,3,3,null");
    expect_entries("1:1 ");
    update(write_only, "2", "2,2,2,5");
    expect_entries("1:1 2:2 ");
    update(delete_only, "2", "2,2,2,6"); /* the same entry */
    expect_entries("1:1 2:2 ");
    update(delete_only, "1", "1,1,9,1");
    expect_entries("2:2 ");
    update(delete_only, "2", "2,2,2,0");
    update(delete_only, "2", "2,2,2,5");
    expect_entries("");
    update(write_only, "1", "1,1,8,1");
    insert(public, "4,4,4,4");
    expect_entries("1:1 4:4 ");
    update(public, "4", "4,4,4,-1");
    expect_entries("1:1 ");
    delete (delete_only, "1");
    expect_entries("");
    txn_projection_free(all);
    all = t_all;
}
