/* SPDX-License-Identifier: Apache-2.0 */
/* What insert, upsert, update and delete do to a table and its indexes, and what they refuse. */
#include "support/txns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all;

static void setup(void)
{
    env = txns_open_t(NULL, "a int8, b int8, c text", &table);
    txns_index(env, table, "t_b", "b", false, "public");
    all = txns_projection(env, "t", NULL);
}

static void teardown(void)
{
    txn_projection_free(all);
    txns_close(env);
}

TestSuite(txn_write, .init = setup, .fini = teardown);

static const char *entries_of(const char *index)
{
    struct catalog_table *now = txns_current(env, table);
    const char *text = txns_entries(env, now, index);
    catalog_table_free(now);
    return text;
}

static const char *entries(void)
{
    return entries_of("t_b");
}

static struct txn *begin(void)
{
    return txns_begin(env, INSTAR_TXN_ASYNC);
}

static void commit(struct txn *t)
{
    must(txn_commit(t, &test_err));
}

static void expect_text(const char *part)
{
    cr_assert(strstr(test_err.text, part) != NULL, "\"%s\" is not in: %s", part, test_err.text);
}

/* ---- plain -------------------------------------------------------------------------------- */

/* An inserted row is there after the commit, with its entry. */
Test(txn_write, insert_writes_row_and_entry)
{
    txns_put_row(env, all, "1,10,one");
    txns_put_row(env, all, "2,20,null");
    cr_assert_str_eq(txns_dump(env, all), "1,10,one 2,20,null ");
    cr_assert_str_eq(entries(), "10:1 20:2 ");
}

/* Before the commit others see nothing, the transaction itself sees its row, by table and index. */
Test(txn_write, a_transaction_sees_its_own_writes_and_nobody_else_does)
{
    struct txn_projection *by_b = txns_projection(env, "t", "t_b");
    struct txn *t = begin();
    must(txns_insert(t, all, "1,10,x"));
    cr_assert_str_eq(txns_get(t, all, "1"), "1,10,x");
    cr_assert_str_eq(txns_scan(t, by_b, "10", "10", false), "1,10,x ");
    cr_assert_str_eq(txns_dump(env, all), "");
    txn_abort(t);
    cr_assert_str_eq(txns_dump(env, all), "");
    cr_assert_str_eq(entries(), "");
    txn_projection_free(by_b);
}

/* An insert where the key exists is refused, names the row, and changes nothing. */
Test(txn_write, insert_of_an_existing_key_is_refused)
{
    txns_put_row(env, all, "1,10,x");
    struct txn *t = begin();
    must_fail(txns_insert(t, all, "1,11,y"), INSTAR_EEXISTS);
    expect_text("table t");
    expect_text("(a=1)");
    must(txns_insert(t, all, "2,20,y")); /* and the transaction goes on */
    commit(t);
    cr_assert_str_eq(txns_dump(env, all), "1,10,x 2,20,y ");
    cr_assert_str_eq(entries(), "10:1 20:2 ");
}

/* Columns that a projection does not name get their default, here null. */
Test(txn_write, insert_fills_columns_that_are_not_named)
{
    struct txn_projection *some = txns_columns(env, "t", "c, a", NULL);
    txns_put_row(env, some, "x,1");
    cr_assert_str_eq(txns_dump(env, all), "1,null,x ");
    cr_assert_str_eq(entries(), "null:1 ");
    txn_projection_free(some);
}

/* An update of an indexed column moves the entry. */
Test(txn_write, update_moves_the_entry)
{
    txns_put_row(env, all, "1,10,x");
    txns_change_row(env, all, "1", "1,11,y");
    cr_assert_str_eq(txns_dump(env, all), "1,11,y ");
    cr_assert_str_eq(entries(), "11:1 ");
}

/* An update changes the columns that the projection names, and no others. */
Test(txn_write, update_changes_only_what_is_named)
{
    struct txn_projection *c = txns_columns(env, "t", "c", NULL);
    txns_put_row(env, all, "1,10,x");
    txns_change_row(env, c, "1", "y");
    cr_assert_str_eq(txns_dump(env, all), "1,10,y ");
    txn_projection_free(c);
}

/* An update of a row that is not there is refused and names it. */
Test(txn_write, update_and_delete_of_no_row_are_refused)
{
    struct txn *t = begin();
    must_fail(txns_update(t, all, "7", "7,1,x"), INSTAR_ENOTFOUND);
    expect_text("(a=7)");
    must_fail(txns_delete(t, all, "7"), INSTAR_ENOTFOUND);
    expect_text("(a=7)");
    txn_abort(t);
}

/* A new primary key moves the row and all its entries. */
Test(txn_write, update_of_the_primary_key_moves_row_and_entries)
{
    txns_put_row(env, all, "1,10,x");
    txns_change_row(env, all, "1", "5,10,x");
    cr_assert_str_eq(txns_dump(env, all), "5,10,x ");
    cr_assert_str_eq(entries(), "10:5 ");
}

/* A primary key cannot be moved onto another row. */
Test(txn_write, update_to_a_taken_primary_key_is_refused)
{
    txns_put_row(env, all, "1,10,x");
    txns_put_row(env, all, "2,20,y");
    struct txn *t = begin();
    must_fail(txns_update(t, all, "1", "2,10,x"), INSTAR_EEXISTS);
    commit(t);
    cr_assert_str_eq(txns_dump(env, all), "1,10,x 2,20,y ");
    cr_assert_str_eq(entries(), "10:1 20:2 ");
}

/* A deleted row takes its entry along. */
Test(txn_write, delete_removes_row_and_entry)
{
    txns_put_row(env, all, "1,10,x");
    txns_put_row(env, all, "2,20,y");
    txns_delete_row(env, all, "1");
    cr_assert_str_eq(txns_dump(env, all), "2,20,y ");
    cr_assert_str_eq(entries(), "20:2 ");
}

/* An upsert inserts where there is no row, and else sets what it names. */
Test(txn_write, upsert_inserts_or_updates)
{
    struct txn_projection *ab = txns_columns(env, "t", "b, a", NULL);
    struct txn *t = begin();
    must(txns_upsert(t, all, "1,10,x"));
    must(txns_upsert(t, ab, "11,1"));
    must(txns_upsert(t, ab, "20,2"));
    commit(t);
    cr_assert_str_eq(txns_dump(env, all), "1,11,x 2,20,null ");
    cr_assert_str_eq(entries(), "11:1 20:2 ");
    txn_projection_free(ab);
}

/* An upsert that does not name the key cannot know the row. */
Test(txn_write, upsert_without_the_key_is_refused)
{
    struct txn_projection *b = txns_columns(env, "t", "b", NULL);
    struct txn *t = begin();
    must_fail(txns_upsert(t, b, "1"), INSTAR_EINVALID);
    txn_abort(t);
    txn_projection_free(b);
}

/* Many statements on one row in one transaction leave what the last one says. */
Test(txn_write, writes_of_one_row_are_netted)
{
    struct txn *t = begin();
    must(txns_insert(t, all, "1,10,x"));
    must(txns_update(t, all, "1", "1,11,x"));
    must(txns_delete(t, all, "1"));
    must(txns_insert(t, all, "1,12,y"));
    commit(t);
    cr_assert_str_eq(txns_dump(env, all), "1,12,y ");
    cr_assert_str_eq(entries(), "12:1 ");
    t = begin();
    must(txns_delete(t, all, "1"));
    must(txns_insert(t, all, "1,12,z"));
    commit(t);
    cr_assert_str_eq(txns_dump(env, all), "1,12,z ");
    cr_assert_str_eq(entries(), "12:1 ");
}

/* ---- an entry that does not change is left alone ------------------------------------------- */

static uint64_t position_after_update(struct txn_projection *p, const char *row)
{
    struct txn *t = begin();
    uint64_t before = store_tail(env->store);
    must(txns_update(t, p, "1", row));
    commit(t);
    return store_tail(env->store) - before;
}

/* T7: an update that does not touch an index's columns writes nothing to it: its record is smaller
 * than that of one which does, by more than the difference of the values. */
Test(txn_write, update_of_another_column_leaves_the_entry_alone)
{
    struct txn_projection *c = txns_columns(env, "t", "c", NULL);
    struct txn_projection *b = txns_columns(env, "t", "b", NULL);
    txns_put_row(env, all, "1,10,x");
    uint64_t untouched = position_after_update(c, "y");
    uint64_t touched = position_after_update(b, "11");
    cr_assert_lt(untouched + 2 * ROW_ENTRY_SIZE, touched);
    cr_assert_str_eq(entries(), "11:1 ");
    txn_projection_free(b);
    txn_projection_free(c);
}

/* ---- refused input ------------------------------------------------------------------------ */

static int insert_value(struct txn *t, size_t at, instar_value value)
{
    instar_value row[3] = {{.type = INSTAR_INT8, .i = 1},
                           {.type = INSTAR_INT8, .i = 1},
                           {.type = INSTAR_TEXT, .bytes = {"x", 1}}};
    row[at] = value;
    return txn_insert(t, all, row, &test_err);
}

/* A value of the wrong type, bad UTF-8, a null in the key: refused, naming the column; the row is
 * not there afterwards and the transaction goes on. */
Test(txn_write, bad_values_name_their_column)
{
    struct txn *t = begin();
    must_fail(insert_value(t, 1, (instar_value){.type = INSTAR_TEXT, .bytes = {"x", 1}}),
              INSTAR_ETYPE);
    expect_text("column b of table t");
    must_fail(insert_value(t, 2, (instar_value){.type = INSTAR_TEXT, .bytes = {"\xff", 1}}),
              INSTAR_EENCODING);
    expect_text("column c of table t");
    must_fail(insert_value(t, 0, (instar_value){.type = INSTAR_NULL}), INSTAR_ENOT_NULL);
    expect_text("column a of table t");
    must_fail(txns_delete(t, all, "null"), INSTAR_ENOT_NULL);
    commit(t);
    cr_assert_str_eq(txns_dump(env, all), "");
}

/* A write in a read-only transaction is refused. */
Test(txn_write, read_only_transactions_cannot_write)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY);
    must_fail(txns_insert(t, all, "1,1,x"), INSTAR_EREADONLY);
    must_fail(txns_delete(t, all, "1"), INSTAR_EREADONLY);
    txn_abort(t);
}

static char long_text[5000];

static instar_value text_of(size_t size)
{
    memset(long_text, 'x', sizeof(long_text));
    cr_assert(size <= sizeof(long_text));
    return (instar_value){.type = INSTAR_TEXT, .bytes = {long_text, size}};
}

/* A row whose entry would be over the limit is refused when it is written, naming the index; it
 * does not matter in which stage the index is, as long as it writes. */
Test(txn_write, an_entry_over_the_limit_names_its_index)
{
    txns_index(env, table, "t_c", "c", false, "write-only");
    struct txn *t = begin();
    must_fail(insert_value(t, 2, text_of(600)), INSTAR_ELIMIT);
    expect_text("index t_c");
    expect_text("511");
    must(insert_value(t, 2, text_of(400)));
    commit(t);
    cr_assert_str_eq(entries(), "1:1 ");
}

/* In delete-only nothing is written to the index, so a long value passes; and the row can be
 * updated and deleted although its entry cannot be encoded. */
Test(txn_write, delete_only_does_not_mind_an_entry_over_the_limit)
{
    txns_index(env, table, "t_c", "c", false, "delete-only");
    struct txn *t = begin();
    must(insert_value(t, 2, text_of(600)));
    must(txns_update(t, all, "1", "1,2,x"));
    commit(t);
    t = begin();
    must(txns_delete(t, all, "1"));
    commit(t);
    cr_assert_str_eq(txns_dump(env, all), "");
    cr_assert_str_eq(entries_of("t_c"), "");
}

/* A primary key over the limit is refused. */
Test(txn_write, a_primary_key_over_the_limit_is_refused)
{
    txns_table(env, "k", "a text, b int8", "a");
    struct txn_projection *p = txns_projection(env, "k", NULL);
    struct txn *t = begin();
    instar_value row[2] = {text_of(600), {.type = INSTAR_INT8, .i = 1}};
    must_fail(txn_insert(t, p, row, &test_err), INSTAR_ELIMIT);
    expect_text("primary key of table k");
    must_fail(txn_delete(t, p, row, &test_err), INSTAR_ELIMIT);
    must_fail(txn_get(t, p, row, row, &test_err), INSTAR_ENOTFOUND);
    txn_abort(t);
    txn_projection_free(p);
}

/* A statement that the transaction has no room for changes nothing: what was written before can be
 * committed, and the row comes with the next transaction. */
Test(txn_write, a_full_transaction_refuses_a_row_and_can_be_committed)
{
    int64_t count = 0;
    struct txn *t = begin();
    int rc;
    do {
        instar_value row[3] = {
            {.type = INSTAR_INT8, .i = count}, {.type = INSTAR_INT8, .i = -count}, text_of(1000)};
        /* Not compressible: it is the record's size that fills. */
        for (size_t i = 0; i < 1000; i++) {
            long_text[i] = (char)('a' + (i * 7919 + (size_t)count * 104729) % 26);
        }
        rc = txn_insert(t, all, row, &test_err);
        count += rc == INSTAR_OK ? 1 : 0;
    } while (rc == INSTAR_OK && count < 100000);
    must_fail(rc, INSTAR_ELIMIT);
    cr_assert_gt(count, 20);
    commit(t);
    struct catalog_table *now = txns_current(env, table);
    cr_assert_str_eq(txns_wrong(env, now, "t_b"), "");
    catalog_table_free(now);
    t = begin();
    char key[32];
    snprintf(key, sizeof(key), "%lld", (long long)count - 1);
    cr_assert(strstr(txns_get(t, all, key), "INSTAR") == NULL);
    snprintf(key, sizeof(key), "%lld", (long long)count);
    cr_assert_str_eq(txns_get(t, all, key), "INSTAR_ENOTFOUND");
    txn_abort(t);
}

/* A row over row_bytes_max is refused with the limit's name, compressible or not. */
Test(txn_write, a_row_over_its_limit_is_refused)
{
    size_t size = store_options(env->store)->row_bytes_max + 1;
    char *big = calloc(1, size);
    cr_assert(big != NULL);
    memset(big, 'x', size);
    struct txn *t = begin();
    must_fail(insert_value(t, 2, (instar_value){.type = INSTAR_TEXT, .bytes = {big, size}}),
              INSTAR_ELIMIT);
    expect_text("row_bytes_max");
    txn_abort(t);
    free(big);
}

/* ---- memory ------------------------------------------------------------------------------- */

/* Without memory a statement fails with ENOMEM; the transaction then either goes on as if it had
 * not been, or refuses to be committed. Row and entry are never parted. */
Test(txn_write, without_memory_a_statement_does_all_or_nothing)
{
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct txn *t = begin();
        test_shortage_set(&(struct test_shortage){.nth = n});
        int rc = txns_insert(t, all, "1,10,x");
        test_shortage_set(NULL);
        done = rc == INSTAR_OK;
        cr_assert(done || rc == INSTAR_ENOMEM, "%s", test_err.text);
        rc = txn_commit(t, &test_err);
        cr_assert(rc == INSTAR_OK || (!done && rc == INSTAR_ENOMEM), "%s", test_err.text);
        cr_assert_str_eq(entries(), done ? "10:1 " : "");
        cr_assert_leq(n, 1000);
    }
    cr_assert_str_eq(txns_dump(env, all), "1,10,x ");
}
