/* SPDX-License-Identifier: Apache-2.0 */
/* Get, and scans over the table and over indexes: bounds, directions, order, what they see. */
#include "support/txns.h"

#include <stdio.h>
#include <string.h>

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all, *by_bc, *by_b_desc;

static void setup(void)
{
    env = txns_open_t(NULL, "a int8, b int8, c text", &table);
    txns_index(env, table, "t_bc", "b, c", false, "public");
    txns_index(env, table, "t_b_desc", "b desc", false, "public");
    all = txns_projection(env, "t", NULL);
    by_bc = txns_projection(env, "t", "t_bc");
    by_b_desc = txns_projection(env, "t", "t_b_desc");
}

static void teardown(void)
{
    txn_projection_free(all);
    txn_projection_free(by_bc);
    txn_projection_free(by_b_desc);
    txns_close(env);
}

TestSuite(txn_read, .init = setup, .fini = teardown);

static void fill(void)
{
    static const char *const rows[] = {"1,10,x", "2,20,x",   "3,20,y",   "4,30,x",
                                       "5,30,y", "6,null,x", "7,20,null"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(rows); i++) {
        txns_put_row(env, all, rows[i]);
    }
}

#define expect_scan(p, lower, upper, reverse, text)                        \
    do {                                                                   \
        struct txn *scan_txn = txns_begin(env, INSTAR_TXN_READONLY);       \
        const char *found = txns_scan(scan_txn, p, lower, upper, reverse); \
        cr_assert_str_eq(found, text);                                     \
        txn_abort(scan_txn);                                               \
    } while (0)

/* ---- get ---------------------------------------------------------------------------------- */

/* A row is found by its key, and only the projection's columns are given, in its order. */
Test(txn_read, get_gives_the_projections_columns)
{
    struct txn_projection *ca = txns_columns(env, "t", "c, a", NULL);
    fill();
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY);
    cr_assert_str_eq(txns_get(t, all, "3"), "3,20,y");
    cr_assert_str_eq(txns_get(t, ca, "3"), "y,3");
    cr_assert_str_eq(txns_get(t, all, "9"), "INSTAR_ENOTFOUND");
    cr_assert(strstr(test_err.text, "(a=9)") != NULL, "%s", test_err.text);
    txn_abort(t);
    txn_projection_free(ca);
}

/* A key of the wrong type is refused, naming the column. */
Test(txn_read, get_checks_the_type_of_the_key)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY);
    cr_assert_str_eq(txns_get(t, all, "word"), "INSTAR_ETYPE");
    cr_assert(strstr(test_err.text, "column a") != NULL, "%s", test_err.text);
    txn_abort(t);
}

/* Values from a get are good until the transaction ends, also when it then changes that row. */
Test(txn_read, values_of_a_get_outlive_a_write_of_the_row)
{
    instar_value key = {.type = INSTAR_INT8, .i = 1};
    instar_value values[3];
    fill();
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_update(t, all, "1", "1,10,before"));
    must(txn_get(t, all, &key, values, &test_err));
    must(txns_update(t, all, "1", "1,10,after-"));
    cr_assert_eq(values[2].bytes.size, 6);
    cr_assert(memcmp(values[2].bytes.data, "before", 6) == 0);
    txn_abort(t);
}

/* ---- scans of the table ------------------------------------------------------------------- */

/* Without bounds: all rows in the order of the key, and the other way round. */
Test(txn_read, a_scan_of_the_table_goes_both_ways)
{
    fill();
    expect_scan(all, NULL, NULL, false, "1,10,x 2,20,x 3,20,y 4,30,x 5,30,y 6,null,x 7,20,null ");
    expect_scan(all, NULL, NULL, true, "7,20,null 6,null,x 5,30,y 4,30,x 3,20,y 2,20,x 1,10,x ");
}

/* Each bound is inclusive or exclusive; beyond the ends, and crossed, there is nothing. */
Test(txn_read, bounds_of_the_key)
{
    fill();
    expect_scan(all, "2", "4", false, "2,20,x 3,20,y 4,30,x ");
    expect_scan(all, "(2", "4)", false, "3,20,y ");
    expect_scan(all, "(2", "4)", true, "3,20,y ");
    expect_scan(all, "6", NULL, false, "6,null,x 7,20,null ");
    expect_scan(all, NULL, "2)", true, "1,10,x ");
    expect_scan(all, "4", "2", false, "");
    expect_scan(all, "(3", "3)", false, "");
    expect_scan(all, "3", "3", false, "3,20,y ");
    expect_scan(all, "100", NULL, false, "");
}

/* ---- scans of an index -------------------------------------------------------------------- */

/* In the order of the index, nulls last; rows of equal columns in the order of their keys. */
Test(txn_read, an_index_gives_its_order)
{
    fill();
    expect_scan(by_bc, NULL, NULL, false, "1,10,x 2,20,x 3,20,y 7,20,null 4,30,x 5,30,y 6,null,x ");
    expect_scan(by_bc, NULL, NULL, true, "6,null,x 5,30,y 4,30,x 7,20,null 3,20,y 2,20,x 1,10,x ");
}

/* A bound of fewer columns stands for all keys that begin with it. */
Test(txn_read, a_short_bound_is_a_prefix)
{
    fill();
    expect_scan(by_bc, "20", "20", false, "2,20,x 3,20,y 7,20,null ");
    expect_scan(by_bc, "(20", NULL, false, "4,30,x 5,30,y 6,null,x ");
    expect_scan(by_bc, NULL, "20)", false, "1,10,x ");
    expect_scan(by_bc, NULL, "20", true, "7,20,null 3,20,y 2,20,x 1,10,x ");
    expect_scan(by_bc, "20,y", "30,x", false, "3,20,y 7,20,null 4,30,x ");
    expect_scan(by_bc, "(20,y", "30,x)", false, "7,20,null ");
    expect_scan(by_bc, "null", NULL, false, "6,null,x ");
    expect_scan(by_bc, NULL, "null)", false, "1,10,x 2,20,x 3,20,y 7,20,null 4,30,x 5,30,y ");
}

/* In a descending index the lower bound is what comes first, the greater value; nulls come first.
 */
Test(txn_read, a_descending_index_runs_from_great_to_small)
{
    fill();
    expect_scan(by_b_desc, NULL, NULL, false,
                "6,null,x 4,30,x 5,30,y 2,20,x 3,20,y 7,20,null 1,10,x ");
    expect_scan(by_b_desc, "30", "20)", false, "4,30,x 5,30,y ");
    expect_scan(by_b_desc, "(30", "10", false, "2,20,x 3,20,y 7,20,null 1,10,x ");
    expect_scan(by_b_desc, "20", "30", false, "");
    expect_scan(by_b_desc, "30", "10", true, "1,10,x 7,20,null 3,20,y 2,20,x 5,30,y 4,30,x ");
}

/* A bound may go on into the primary key: so a reader can go on behind the last row that it saw. */
Test(txn_read, a_bound_may_end_with_the_primary_key)
{
    fill();
    expect_scan(by_b_desc, "(20,3", NULL, false, "7,20,null 1,10,x ");
}

/* A bound of too many values, of a wrong type, or too long is refused before anything is read. */
Test(txn_read, bad_bounds_are_refused)
{
    char big[700];
    struct txn_projection *by_c;
    txns_index(env, table, "t_c", "c", false, "public");
    by_c = txns_projection(env, "t", "t_c");
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY);
    cr_assert_str_eq(txns_scan(t, all, "1,2", NULL, false), "INSTAR_EINVALID");
    cr_assert_str_eq(txns_scan(t, by_bc, "word", NULL, false), "INSTAR_ETYPE");
    cr_assert(strstr(test_err.text, "column b") != NULL, "%s", test_err.text);
    cr_assert_str_eq(txns_scan(t, by_c, NULL, big, false), "INSTAR_ELIMIT");
    txn_abort(t);
    txn_projection_free(by_c);
}

/* A scan sees the transaction's own writes, also those made while it is open. */
Test(txn_read, a_scan_sees_own_writes_made_on_the_way)
{
    instar_value values[3];
    struct txn_cursor *c = NULL;
    fill();
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_delete(t, all, "2"));
    must(txn_scan(t, by_bc, NULL, &c, &test_err));
    must(txn_cursor_next(c, values, &test_err));
    cr_assert_eq(values[0].i, 1);
    must(txns_insert(t, all, "100,15,new"));
    must(txn_cursor_next(c, values, &test_err));
    cr_assert_eq(values[0].i, 100);
    must(txn_cursor_next(c, values, &test_err));
    cr_assert_eq(values[0].i, 3);
    txn_cursor_close(c);
    txn_abort(t);
}

/* An index that is not public is not read, whoever asks for it. */
Test(txn_read, only_public_indexes_are_read)
{
    struct txn_projection *p = NULL;
    fill();
    txns_index(env, table, "t_b_desc", "b desc", false, "write-only");
    must_fail(txn_projection_prepare(env, "t", NULL, 0, "t_b_desc", &p, &test_err),
              INSTAR_EUNKNOWN);
    cr_assert(strstr(test_err.text, "write-only") != NULL, "%s", test_err.text);
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY);
    cr_assert_str_eq(txns_scan(t, by_b_desc, NULL, NULL, false), "INSTAR_EUNKNOWN");
    /* It still serves for what does not need the index. */
    cr_assert_str_eq(txns_get(t, by_b_desc, "1"), "1,10,x");
    txn_abort(t);
}

/* A snapshot goes on reading an index that was dropped after it. */
Test(txn_read, a_snapshot_keeps_its_index)
{
    fill();
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY);
    cr_assert_str_eq(txns_scan(t, by_b_desc, "10", NULL, false), "1,10,x ");
    txns_index(env, table, "t_b_desc", "b desc", false, "absent");
    txns_put_row(env, all, "8,10,late");
    cr_assert_str_eq(txns_scan(t, by_b_desc, "10", NULL, false), "1,10,x ");
    txn_abort(t);
}

/* ---- corruption --------------------------------------------------------------------------- */

/* An entry without its row is reported, naming index and entry, by a scan that needs the row. */
Test(txn_read, an_entry_without_its_row_is_corruption)
{
    instar_value values[3];
    struct base_buf key = {0};
    struct txn_cursor *c = NULL;
    struct catalog_table *now = txns_current(env, table);
    fill();
    instar_value a = {.type = INSTAR_INT8, .i = 2};
    must(row_key_encode(now->key_parts, &a, 1, &key, &test_err));
    struct store_txn *st = stores_begin(env->store, 0);
    must(store_txn_delete(st, now->tree, base_buf_slice(&key), &test_err));
    stores_commit(st);
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY);
    must(txn_scan(t, by_b_desc, NULL, &c, &test_err));
    for (int i = 0; i < 3; i++) { /* of rows 6, 4 and 5 */
        must(txn_cursor_next(c, values, &test_err));
    }
    must_fail(txn_cursor_next(c, values, &test_err), INSTAR_ECORRUPT);
    cr_assert(strstr(test_err.text, "index t_b_desc of table t, entry (b=20) of row (a=2)") != NULL,
              "%s", test_err.text);
    txn_cursor_close(c);
    txn_abort(t);
    base_buf_free(&key);
    catalog_table_free(now);
}

/* A row whose bytes do not hold their checksum is reported, naming table, key and writer. */
Test(txn_read, a_damaged_row_is_corruption)
{
    struct base_buf key = {0};
    struct base_slice record;
    uint8_t bytes[100];
    struct catalog_table *now = txns_current(env, table);
    fill();
    instar_value a = {.type = INSTAR_INT8, .i = 2};
    must(row_key_encode(now->key_parts, &a, 1, &key, &test_err));
    struct store_txn *st = stores_begin(env->store, 0);
    must(store_txn_get(st, now->tree, base_buf_slice(&key), STORE_READ_NORMAL, &record, &test_err));
    memcpy(bytes, record.data, record.size);
    bytes[record.size - 1] ^= 1;
    must(store_txn_put(st, now->tree, base_buf_slice(&key), base_slice(bytes, record.size),
                       &test_err));
    stores_commit(st);
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY);
    cr_assert_str_eq(txns_get(t, all, "2"), "INSTAR_ECORRUPT");
    cr_assert(strstr(test_err.text, "table t, row (a=2), written by schema version") != NULL, "%s",
              test_err.text);
    txn_abort(t);
    base_buf_free(&key);
    catalog_table_free(now);
}

/* A row that is tagged later than the reader's version cannot be, and is reported. */
Test(txn_read, a_tag_from_the_future_is_corruption)
{
    struct catalog_table *future = txns_forced(env, table, 1000, "t_bc", "public");
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    txn_force_version(t, future);
    must(txns_insert(t, all, "1,1,x"));
    must(txn_commit(t, &test_err));
    t = txns_begin(env, INSTAR_TXN_READONLY);
    cr_assert_str_eq(txns_get(t, all, "1"), "INSTAR_ECORRUPT");
    cr_assert(strstr(test_err.text, "version 1000") != NULL, "%s", test_err.text);
    cr_assert_str_eq(txns_scan(t, by_bc, NULL, NULL, false), "INSTAR_ECORRUPT");
    txn_abort(t);
    catalog_table_free(future);
}

/* ---- against a model ---------------------------------------------------------------------- */

#define ROWS 60

struct model_row {
    int64_t a, b;
    bool has_b;
    char c;
};

static int compare_desc(const struct model_row *x, const struct model_row *y, bool desc)
{
    int order = 0;
    if (x->has_b != y->has_b) {
        order = x->has_b ? -1 : 1;
    } else if (x->has_b) {
        order = x->b < y->b ? -1 : x->b > y->b;
    }
    return desc ? -order : order;
}

/* b desc, c, a */
static int compare_rows(const struct model_row *x, const struct model_row *y, size_t columns)
{
    int order = compare_desc(x, y, true);
    if (order == 0 && columns > 1) {
        order = x->c < y->c ? -1 : x->c > y->c;
    }
    if (order == 0 && columns > 2) {
        order = x->a < y->a ? -1 : x->a > y->a;
    }
    return order;
}

static void value_row(const struct model_row *r, instar_value *values)
{
    values[0] = (instar_value){.type = r->has_b ? INSTAR_INT8 : INSTAR_NULL, .i = r->b};
    values[1] = (instar_value){.type = INSTAR_TEXT, .bytes = {&r->c, 1}};
}

static struct model_row random_row(struct test_random *r, int64_t a)
{
    return (struct model_row){.a = a,
                              .b = (int64_t)test_random_below(r, 7) - 3,
                              .has_b = test_random_chance(r, 85),
                              .c = (char)('a' + test_random_below(r, 3))};
}

/* Random bounds over an index (b desc, c), of 0 to 2 columns, both ways: what is found is what a
 * walk over sorted rows finds. */
Test(txn_read, random_ranges_agree_with_a_model)
{
    struct model_row rows[ROWS];
    struct test_random r = test_random(1);
    txns_index(env, table, "t_m", "b desc, c", false, "public");
    struct txn_projection *p = txns_projection(env, "t", "t_m");
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    for (int64_t a = 0; a < ROWS; a++) {
        struct model_row row = random_row(&r, a);
        instar_value values[3] = {{.type = INSTAR_INT8, .i = a}};
        value_row(&row, values + 1);
        must(txn_insert(t, all, values, &test_err));
        size_t at = (size_t)a;
        while (at > 0 && compare_rows(&rows[at - 1], &row, 3) > 0) {
            rows[at] = rows[at - 1];
            at--;
        }
        rows[at] = row;
    }
    for (int i = 0; i < 3000; i++) {
        struct model_row from = random_row(&r, 0);
        struct model_row to = random_row(&r, 0);
        instar_value lower[2], upper[2], values[3];
        instar_range range = {.lower = lower,
                              .lower_count = test_random_below(&r, 3),
                              .lower_exclusive = test_random_chance(&r, 50),
                              .upper = upper,
                              .upper_count = test_random_below(&r, 3),
                              .upper_exclusive = test_random_chance(&r, 50),
                              .reverse = test_random_chance(&r, 50)};
        struct txn_cursor *c = NULL;
        value_row(&from, lower);
        value_row(&to, upper);
        must(txn_scan(t, p, &range, &c, &test_err));
        for (size_t n = 0; n < ROWS; n++) {
            const struct model_row *row = &rows[range.reverse ? ROWS - 1 - n : n];
            int low = range.lower_count == 0 ? 1 : compare_rows(row, &from, range.lower_count);
            int high = range.upper_count == 0 ? -1 : compare_rows(row, &to, range.upper_count);
            if (low < (range.lower_exclusive ? 1 : 0) || high > (range.upper_exclusive ? -1 : 0)) {
                continue;
            }
            must(txn_cursor_next(c, values, &test_err));
            cr_assert_eq(values[0].i, row->a, "range %d: %d, not %d", i, (int)values[0].i,
                         (int)row->a);
        }
        must_fail(txn_cursor_next(c, values, &test_err), INSTAR_END);
        txn_cursor_close(c);
    }
    txn_abort(t);
    txn_projection_free(p);
}
