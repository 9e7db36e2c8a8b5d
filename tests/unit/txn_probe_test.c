/* SPDX-License-Identifier: Apache-2.0 */
/* Unique indexes: what is refused at commit, what is not, and between whom. */
#include "support/txns.h"

#include <string.h>

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all;

static void setup(void)
{
    env = txns_open_t(NULL, "a int8, b int8, c int8", &table);
    txns_index(env, table, "t_b", "b", true, "public");
    all = txns_projection(env, "t", NULL);
}

static void teardown(void)
{
    txn_projection_free(all);
    txns_close(env);
}

TestSuite(txn_probe, .init = setup, .fini = teardown);

static struct txn *begin(unsigned flags)
{
    return txns_begin(env, INSTAR_TXN_ASYNC | flags);
}

static void expect_duplicate(struct txn *t)
{
    must_fail(txn_commit(t, &test_err), INSTAR_EUNIQUE);
}

/* A second row with the same value is refused; the text names index, value, and both rows. */
Test(txn_probe, a_duplicate_is_refused_and_named)
{
    txns_put_row(env, all, "1,10,0");
    struct txn *t = begin(0);
    must(txns_insert(t, all, "2,10,0"));
    expect_duplicate(t);
    cr_assert(strstr(test_err.text, "index t_b of table t") != NULL, "%s", test_err.text);
    cr_assert(strstr(test_err.text, "row (a=2) has (b=10), which row (a=1) has already") != NULL,
              "%s", test_err.text);
    cr_assert_str_eq(txns_dump(env, all), "1,10,0 ");
}

/* Two rows of one transaction with the same value are refused too. */
Test(txn_probe, duplicates_within_a_transaction_are_refused)
{
    struct txn *t = begin(0);
    must(txns_insert(t, all, "1,10,0"));
    must(txns_insert(t, all, "2,10,0"));
    expect_duplicate(t);
}

/* An update into a value that is taken is refused. */
Test(txn_probe, an_update_to_a_taken_value_is_refused)
{
    txns_put_row(env, all, "1,10,0");
    txns_put_row(env, all, "2,20,0");
    struct txn *t = begin(0);
    must(txns_update(t, all, "2", "2,10,0"));
    expect_duplicate(t);
}

/* Only what the transaction leaves behind counts: rows may swap their values, a value may be freed
 * after it was taken, and a row may be deleted and made again. */
Test(txn_probe, only_the_final_state_counts)
{
    txns_put_row(env, all, "1,10,0");
    txns_put_row(env, all, "2,20,0");
    struct txn *t = begin(0);
    must(txns_update(t, all, "1", "1,20,0"));
    must(txns_update(t, all, "2", "2,10,0"));
    must(txns_insert(t, all, "3,10,0"));
    must(txns_delete(t, all, "3"));
    must(txn_commit(t, &test_err));
    cr_assert_str_eq(txns_dump(env, all), "1,20,0 2,10,0 ");
    t = begin(0);
    must(txns_delete(t, all, "1"));
    must(txns_insert(t, all, "1,20,1"));
    must(txns_insert(t, all, "4,10,0"));
    must(txns_delete(t, all, "2"));
    must(txn_commit(t, &test_err));
    cr_assert_str_eq(txns_dump(env, all), "1,20,1 4,10,0 ");
}

/* Nulls are equal to nothing, in any column of the index. */
Test(txn_probe, nulls_do_not_collide)
{
    txns_index(env, table, "t_bc", "c, b", true, "public");
    txns_put_row(env, all, "1,null,7");
    txns_put_row(env, all, "2,null,7");
    txns_put_row(env, all, "3,1,null");
    txns_put_row(env, all, "4,2,null");
    struct txn *t = begin(0);
    must(txns_insert(t, all, "5,1,null"));
    expect_duplicate(t); /* by t_b: the null is in c */
    cr_assert(strstr(test_err.text, "t_b of") != NULL, "%s", test_err.text);
}

/* With several columns all must be equal. */
Test(txn_probe, all_columns_must_be_equal)
{
    txns_table(env, "u", "a int8, b int8, c int8", "a");
    struct txn_projection *p = txns_projection(env, "u", NULL);
    uint64_t id = 0;
    struct store_txn *st = stores_begin(env->store, STORE_TXN_READONLY);
    struct catalog_name name;
    must(catalog_name_get(st, "u", &name, &test_err));
    id = name.table;
    store_txn_abort(st);
    txns_index(env, id, "u_bc", "b, c desc", true, "public");
    txns_put_row(env, p, "1,1,1");
    txns_put_row(env, p, "2,1,2");
    txns_put_row(env, p, "3,2,1");
    struct txn *t = begin(0);
    must(txns_insert(t, p, "4,1,2"));
    expect_duplicate(t);
    cr_assert(strstr(test_err.text, "(b=1, c=2)") != NULL, "%s", test_err.text);
    txn_projection_free(p);
}

/* Two transactions that write the same value side by side: the second to commit loses, under both
 * isolations, although neither saw the other. */
Test(txn_probe, the_slower_of_two_equal_inserts_loses)
{
    static const unsigned flags[] = {0, INSTAR_TXN_SNAPSHOT};
    const char *rows[2][2] = {{"1,10,0", "2,10,0"}, {"3,30,0", "4,30,0"}};
    for (size_t i = 0; i < 2; i++) {
        struct txn *first = begin(flags[i]);
        struct txn *second = begin(flags[i]);
        must(txns_insert(first, all, rows[i][0]));
        must(txns_insert(second, all, rows[i][1]));
        must(txn_commit(first, &test_err));
        must_fail(txn_commit(second, &test_err), INSTAR_ECONFLICT);
    }
    cr_assert_str_eq(txns_dump(env, all), "1,10,0 3,30,0 ");
}

/* An index that does not enforce yet is not asked. From enforcing on it is; but a row that was a
 * duplicate before may be changed elsewhere. */
Test(txn_probe, enforcing_begins_with_its_version)
{
    txns_index(env, table, "t_c", "c", true, "write-only");
    txns_put_row(env, all, "1,1,7");
    txns_put_row(env, all, "2,2,7");
    txns_index(env, table, "t_c", "c", true, "enforcing");
    struct txn *t = begin(0);
    must(txns_insert(t, all, "3,3,7"));
    expect_duplicate(t);
    txns_change_row(env, all, "2", "2,22,7");
    t = begin(0); /* written and taken back: the old duplicates are not this one's */
    must(txns_insert(t, all, "3,3,7"));
    must(txns_delete(t, all, "3"));
    must(txn_commit(t, &test_err));
    txns_change_row(env, all, "2", "2,22,8");
    cr_assert_str_eq(txns_dump(env, all), "1,1,7 2,22,8 ");
}

/* A primary key moved within one transaction is no duplicate of itself. */
Test(txn_probe, a_moved_row_is_no_duplicate_of_itself)
{
    txns_put_row(env, all, "1,10,0");
    struct txn *t = begin(0);
    must(txns_update(t, all, "1", "2,10,0"));
    must(txn_commit(t, &test_err));
    cr_assert_str_eq(txns_dump(env, all), "2,10,0 ");
}
