/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in bulk: decoding, and entry keys by two ways that must agree. */
#include "support/txns.h"
#include "support/values.h"

#include <stdio.h>
#include <string.h>

static struct catalog_table *table;

static void setup(void)
{
    table = tables_make("t", "a int8, b text, c int8, d bool", "c desc, a");
    table->version = 3;
    table->layout_map[0].first_version = 1;
}

static void teardown(void)
{
    catalog_table_free(table);
}

TestSuite(txn_rows, .init = setup, .fini = teardown);

struct row {
    instar_value values[4];
    struct base_buf key, record;
};

static void make_row(struct row *row, int64_t a, const char *b, int64_t c)
{
    instar_value key[2];
    *row = (struct row){.values = {{.type = INSTAR_INT8, .i = a},
                                   {.type = INSTAR_TEXT, .bytes = {b, b != NULL ? strlen(b) : 0}},
                                   {.type = INSTAR_INT8, .i = c},
                                   {.type = INSTAR_BOOL, .b = true}}};
    if (b == NULL) {
        row->values[1].type = INSTAR_NULL;
    }
    key[0] = row->values[2];
    key[1] = row->values[0];
    must(row_key_encode(table->key_parts, key, 2, &row->key, &test_err));
    must(row_encode(catalog_table_layout(table, 3), 3, base_buf_slice(&row->key), row->values,
                    &row->record, &test_err));
}

static void free_row(struct row *row)
{
    base_buf_free(&row->key);
    base_buf_free(&row->record);
}

/* All columns, in the table's order, with the tag. */
Test(txn_rows, decode_gives_all_columns)
{
    struct txn_rows *rows;
    struct row row;
    const instar_value *values;
    uint32_t version;
    make_row(&row, 1, "word", 2);
    must(txn_rows_open(table, 10000, &rows, &test_err));
    must(txn_rows_decode(rows, base_buf_slice(&row.key), base_buf_slice(&row.record), &values,
                         &version, &test_err));
    cr_assert_eq(version, 3);
    for (size_t i = 0; i < 4; i++) {
        cr_assert(test_value_same(&values[i], &row.values[i]), "column %zu", i);
    }
    free_row(&row);
    txn_rows_close(rows);
}

/* For indexes of any columns, in any order, some named by the primary key too: the key from the
 * record equals the key from the values. */
Test(txn_rows, both_ways_to_an_entry_key_agree)
{
    static const char *const indexes[] = {
        "b", "c", "d desc, b", "c desc, a", "a, b desc, c, d", "d, c, b, a"};
    struct test_random r = test_random(4);
    struct txn_rows *rows;
    for (size_t i = 0; i < BASE_ARRAY_LEN(indexes); i++) {
        char name[16];
        snprintf(name, sizeof(name), "i%zu", i);
        tables_add_index(table, name, indexes[i], false);
    }
    must(catalog_table_finish(table, &test_err));
    must(txn_rows_open(table, 10000, &rows, &test_err));
    for (int n = 0; n < 2000; n++) {
        struct row row;
        struct base_buf one = {0}, two = {0};
        char text[40] = "";
        const struct catalog_index *index =
            &table->indexes[test_random_below(&r, table->index_count)];
        for (size_t at = 0; at < test_random_below(&r, 30); at++) {
            text[at] = (char)(1 + test_random_below(&r, 100));
        }
        make_row(&row, (int64_t)test_random_next(&r), test_random_chance(&r, 20) ? NULL : text,
                 (int64_t)test_random_below(&r, 5));
        must(txns_entry_key(rows, index, base_buf_slice(&row.key), base_buf_slice(&row.record),
                            &one, &test_err));
        tables_entry_key(table, index, row.values, &two);
        cr_assert(base_slice_eq(base_buf_slice(&one), base_buf_slice(&two)), "%s", index->name);
        base_buf_free(&one);
        base_buf_free(&two);
        free_row(&row);
    }
    txn_rows_close(rows);
}

/* An entry over the limit names index and row, both ways. */
Test(txn_rows, an_entry_over_the_limit_is_named)
{
    char text[600];
    struct txn_rows *rows;
    struct row row;
    struct base_buf key = {0};
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    tables_add_index(table, "i", "b", false);
    must(catalog_table_finish(table, &test_err));
    make_row(&row, 1, text, 2);
    must(txn_rows_open(table, 10000, &rows, &test_err));
    must_fail(txns_entry_key(rows, &table->indexes[0], base_buf_slice(&row.key),
                             base_buf_slice(&row.record), &key, &test_err),
              INSTAR_ELIMIT);
    cr_assert(strstr(test_err.text, "index i of table t") != NULL, "%s", test_err.text);
    cr_assert(strstr(test_err.text, "(c=2, a=1)") != NULL, "%s", test_err.text);
    base_buf_clear(&key);
    struct base_arena scratch = {0};
    must_fail(txn_entry_key(table, &table->indexes[0], row.values, &scratch, &key, &test_err),
              INSTAR_ELIMIT);
    base_arena_free(&scratch);
    base_buf_free(&key);
    free_row(&row);
    txn_rows_close(rows);
}

/* Every flipped bit of a record is found, whichever columns are asked for. */
Test(txn_rows, damage_is_found_by_both)
{
    struct txn_rows *rows;
    struct row row;
    const instar_value *values;
    struct base_buf key = {0};
    tables_add_index(table, "i", "d", false);
    must(catalog_table_finish(table, &test_err));
    make_row(&row, 1, "word", 2);
    must(txn_rows_open(table, 10000, &rows, &test_err));
    for (size_t bit = 0; bit < row.record.size * 8; bit++) {
        row.record.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        must_fail(txn_rows_decode(rows, base_buf_slice(&row.key), base_buf_slice(&row.record),
                                  &values, NULL, &test_err),
                  INSTAR_ECORRUPT);
        cr_assert(values == NULL);
        must_fail(txns_entry_key(rows, &table->indexes[0], base_buf_slice(&row.key),
                                 base_buf_slice(&row.record), &key, &test_err),
                  INSTAR_ECORRUPT);
        row.record.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    base_buf_free(&key);
    free_row(&row);
    txn_rows_close(rows);
}

/* ---- rewriting ---------------------------------------------------------------------------- */

static int rewrite(struct txn_rows *rows, const struct row *row, bool *old, struct base_buf *out)
{
    base_buf_clear(out);
    return txn_rows_rewrite(rows, base_buf_slice(&row->key), base_buf_slice(&row->record), old, out,
                            &test_err);
}

/* A row of an older layout becomes one of the newest, under the version's tag, with the same
 * values; one of the newest is left alone. One that cannot be cast is named. */
Test(txn_rows, rewrite_brings_old_rows_to_the_newest_layout)
{
    instar_column_def number = {.type = INSTAR_INT8};
    instar_alteration step = {.kind = INSTAR_ALTER_SET_TYPE,
                              .flags = INSTAR_ALTER_EXPLICIT,
                              .name = "b",
                              .column = &number};
    struct catalog_table *to, *enforced;
    struct row old_row, bad_row;
    struct base_buf out = {0};
    struct row_header header;
    const instar_value *values;
    struct txn_rows *rows;
    bool old;

    make_row(&old_row, 1, "42", 2);
    make_row(&bad_row, 2, "word", 3);
    must(catalog_table_copy(table, &to, &test_err));
    must(catalog_table_copy(table, &enforced, &test_err));
    must(catalog_alter(to, &step, &old, &test_err));
    must(catalog_alter_enforce(enforced, to, &old, &test_err));
    must(catalog_alter_finish(enforced, to, &test_err));
    must(txn_rows_open(to, 10000, &rows, &test_err));
    must(rewrite(rows, &old_row, &old, &out));
    expect(old);
    must(row_header(base_buf_slice(&out), &header, &test_err));
    expect_u64(header.version, to->version);
    must(txn_rows_decode(rows, base_buf_slice(&old_row.key), base_buf_slice(&out), &values, NULL,
                         &test_err));
    expect(values[0].i == 1 && values[1].type == INSTAR_INT8 && values[1].i == 42);
    /* Its record is that one now. */
    base_buf_free(&old_row.record);
    old_row.record = out;
    out = (struct base_buf){0};
    must(rewrite(rows, &old_row, &old, &out));
    expect(!old && out.size == 0);
    must_fail(rewrite(rows, &bad_row, &old, &out), INSTAR_ECORRUPT);
    expect(!old && strstr(test_err.text, "(c=3, a=2)") != NULL);
    bad_row.record.data[bad_row.record.size - 1] ^= 1;
    must_fail(rewrite(rows, &bad_row, &old, &out), INSTAR_ECORRUPT);
    txn_rows_close(rows);
    base_buf_free(&out);
    free_row(&old_row);
    free_row(&bad_row);
    catalog_table_free(to);
    catalog_table_free(enforced);
}
