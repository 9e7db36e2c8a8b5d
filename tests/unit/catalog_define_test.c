/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions: what is accepted, what is refused and with which words. */
#include "support/tables.h"

#include <stdio.h>
#include <string.h>

static const instar_column_def two_columns[] = {
    {.name = "id", .type = INSTAR_INT8},
    {.name = "path", .type = INSTAR_TEXT, .not_null = true},
};
static const instar_key_column key_id[] = {{.name = "id"}};

static instar_table_def good_def(void)
{
    return (instar_table_def){
        .name = "files", .columns = two_columns, .column_count = 2, .key = key_id, .key_count = 1};
}

static void refused(const instar_table_def *def, int code, const char *words)
{
    struct catalog_table *table = (struct catalog_table *)-1;
    int rc = catalog_table_from_def(def, &table, &test_err);
    cr_assert_eq(rc, code, "%s: %s", base_error_name(rc), test_err.text);
    cr_assert_null(table);
    cr_assert_not_null(strstr(test_err.text, words), "'%s' in '%s'", words, test_err.text);
}

/* A definition becomes version 1: ids from 1, key columns NOT NULL, one layout of all columns. */
Test(catalog_define, table_becomes_version_one)
{
    instar_table_def def = good_def();
    struct catalog_table *t;
    must(catalog_table_from_def(&def, &t, &test_err));
    cr_assert_str_eq(t->name, "files");
    expect_u64(t->version, 1);
    expect_u64(t->id, 0);
    expect_u64(t->column_count, 2);
    expect_u64(t->columns[0].id, 1);
    expect_u64(t->columns[1].id, 2);
    expect_u64(t->next_column_id, 3);
    expect(t->columns[0].not_null);
    expect(t->columns[1].not_null);
    expect_u64(t->key_count, 1);
    cr_assert_eq(t->key_parts[0].type, INSTAR_INT8);
    const struct row_layout *layout = catalog_table_layout(t, 1);
    cr_assert_not_null(layout);
    expect_u64(layout->column_count, 2);
    expect_u64(layout->columns[1].id, 2);
    cr_assert_eq(layout->columns[1].type, INSTAR_TEXT);
    catalog_table_free(t);
}

/* Names must be there, short enough, and UTF-8. */
Test(catalog_define, names_are_checked)
{
    char longest[65];
    memset(longest, 'n', sizeof(longest));
    longest[64] = 0;
    instar_table_def def = good_def();
    def.name = NULL;
    refused(&def, INSTAR_EINVALID, "table has no name");
    def.name = "";
    refused(&def, INSTAR_EINVALID, "table has no name");
    def.name = longest;
    refused(&def, INSTAR_EINVALID, "longer than 63");
    def.name = "a\xff";
    refused(&def, INSTAR_EINVALID, "UTF-8");
    longest[63] = 0;
    must(catalog_name_check("table", longest, &test_err));
    instar_column_def columns[] = {{.name = "", .type = INSTAR_INT4}};
    def = good_def();
    def.columns = columns;
    def.column_count = 1;
    refused(&def, INSTAR_EINVALID, "column has no name");
}

/* Columns: at least one, at most 1000, no name twice, a type that exists. */
Test(catalog_define, columns_are_checked)
{
    instar_table_def def = good_def();
    def.column_count = 0;
    refused(&def, INSTAR_EINVALID, "no columns");
    def = good_def();
    def.columns = NULL;
    refused(&def, INSTAR_EINVALID, "no columns");
    instar_column_def twice[] = {two_columns[0], two_columns[1], two_columns[0]};
    def.columns = twice;
    def.column_count = 3;
    refused(&def, INSTAR_EINVALID, "\"id\" is given twice");
    twice[2] = (instar_column_def){.name = "x", .type = INSTAR_NULL};
    refused(&def, INSTAR_EINVALID, "no type 0");
    twice[2].type = (enum instar_type)INSTAR_TYPE_COUNT;
    refused(&def, INSTAR_EINVALID, "no type 13");

    static instar_column_def many[INSTAR_COLUMNS_MAX + 1];
    static char names[INSTAR_COLUMNS_MAX + 1][8];
    for (size_t i = 0; i < BASE_ARRAY_LEN(many); i++) {
        snprintf(names[i], sizeof(names[i]), "c%zu", i);
        many[i] = (instar_column_def){.name = names[i], .type = INSTAR_BOOL};
    }
    many[0].name = "id";
    def.columns = many;
    def.column_count = INSTAR_COLUMNS_MAX + 1;
    refused(&def, INSTAR_ELIMIT, "1001 columns, at most 1000");
    def.column_count = INSTAR_COLUMNS_MAX;
    struct catalog_table *t;
    must(catalog_table_from_def(&def, &t, &test_err));
    catalog_table_free(t);
}

/* A primary key is of columns that are there (the nearest is named), each once. */
Test(catalog_define, key_is_checked)
{
    instar_table_def def = good_def();
    def.key = NULL;
    refused(&def, INSTAR_EINVALID, "primary key: no columns");
    instar_key_column slip[] = {{.name = "pth"}};
    def.key = slip;
    refused(&def, INSTAR_EUNKNOWN, "no column \"pth\"; did you mean \"path\"?");
    instar_key_column strange[] = {{.name = "owner"}};
    def.key = strange;
    refused(&def, INSTAR_EUNKNOWN, "no column \"owner\"");
    cr_assert_null(strstr(test_err.text, "mean"));
    instar_key_column twice[] = {{.name = "id"}, {.name = "path"}, {.name = "id"}};
    def.key = twice;
    def.key_count = 3;
    refused(&def, INSTAR_EINVALID, "\"id\" is given twice");
    def.key_count = 17;
    refused(&def, INSTAR_ELIMIT, "17 columns, at most 16");
}

/* A default has its column's type, and a size. */
Test(catalog_define, defaults_are_checked)
{
    static char large[CATALOG_DEFAULT_BYTES_MAX + 1];
    instar_value number = {.type = INSTAR_INT4, .i = 5};
    instar_value text = {.type = INSTAR_TEXT};
    instar_value null = {0};
    instar_column_def columns[] = {two_columns[0], {.name = "b", .type = INSTAR_TEXT}};
    instar_table_def def = good_def();
    struct catalog_table *t;
    def.columns = columns;
    columns[1].default_value = &number;
    refused(&def, INSTAR_ETYPE, "column \"b\": default: int4 value where text is expected");
    text.bytes.data = large;
    text.bytes.size = sizeof(large);
    columns[1].default_value = &text;
    refused(&def, INSTAR_ELIMIT, "at most 4096");
    text.bytes.size--;
    must(catalog_table_from_def(&def, &t, &test_err));
    expect(t->columns[1].has_default);
    expect(t->columns[1].default_value.bytes.data != large);
    catalog_table_free(t);
    columns[1].default_value = &null;
    must(catalog_table_from_def(&def, &t, &test_err));
    expect(!t->columns[1].has_default);
    catalog_table_free(t);
}

/* An index gets the table's next id, begins absent, and its entry key ends with the primary key. */
Test(catalog_define, index_begins_absent)
{
    struct catalog_table *t = tables_make("t", "a int8, b text, c int4", "c, a desc");
    struct catalog_index *x = tables_add_index(t, "first", "b desc", true);
    cr_assert_eq(x->stage, INSTAR_STAGE_ABSENT);
    expect_u64(x->id, 1);
    expect(x->unique);
    expect(!x->enforcing);
    x = tables_add_index(t, "second", "b, c desc", false);
    expect_u64(x->id, 2);
    expect_u64(t->next_index_id, 3);
    expect_u64(x->key_part_count, 4);
    static const uint32_t columns[] = {1, 2, 2, 0};
    static const bool descending[] = {false, true, false, true};
    static const enum instar_type types[] = {INSTAR_TEXT, INSTAR_INT4, INSTAR_INT4, INSTAR_INT8};
    for (uint32_t i = 0; i < 4; i++) {
        expect_u64(x->key_columns[i], columns[i]);
        cr_assert_eq(x->key_parts[i].type, types[i]);
        cr_assert_eq(x->key_parts[i].descending, descending[i]);
    }
    cr_assert_eq(catalog_table_index(t, "first"), &t->indexes[0]);
    cr_assert_eq(catalog_table_index_by_id(t, 2), &t->indexes[1]);
    catalog_index_remove(t, "none");
    expect_u64(t->index_count, 2);
    catalog_index_remove(t, "first");
    expect_u64(t->index_count, 1);
    cr_assert_null(catalog_table_index(t, "first"));
    cr_assert_str_eq(t->indexes[0].name, "second");
    cr_assert_null(catalog_table_index_by_id(t, 1));
    expect_u64(tables_add_index(t, "third", "a", false)->id, 3);
    catalog_table_free(t);
}

/* What is wrong with an index definition is named; the table stays as it was. */
Test(catalog_define, index_is_checked)
{
    struct catalog_table *t = tables_make("t", "size int8, path text", "size");
    tables_add_index(t, "taken", "path", false);
    instar_key_column columns[17] = {{.name = "sise"}, {.name = "path"}, {.name = "path"}};
    instar_index_def def = {.name = "i", .table = "t", .columns = columns, .column_count = 1};
    struct catalog_index *x;
    must_fail(catalog_index_from_def(t, &def, &x, &test_err), INSTAR_EUNKNOWN);
    cr_assert_str_eq(test_err.text, "index \"i\": no column \"sise\"; did you mean \"size\"?");
    columns[0].name = "size";
    def.column_count = 3;
    must_fail(catalog_index_from_def(t, &def, &x, &test_err), INSTAR_EINVALID);
    def.column_count = 0;
    must_fail(catalog_index_from_def(t, &def, &x, &test_err), INSTAR_EINVALID);
    def.column_count = 17;
    must_fail(catalog_index_from_def(t, &def, &x, &test_err), INSTAR_ELIMIT);
    def.column_count = 1;
    def.name = "taken";
    must_fail(catalog_index_from_def(t, &def, &x, &test_err), INSTAR_EEXISTS);
    def.name = NULL;
    must_fail(catalog_index_from_def(t, &def, &x, &test_err), INSTAR_EINVALID);
    cr_assert_null(x);
    expect_u64(t->index_count, 1);
    expect_u64(t->next_index_id, 2);
    catalog_table_free(t);
}

/* A table takes so many indexes and no more. */
Test(catalog_define, indexes_are_limited)
{
    struct catalog_table *t = tables_make("t", "a int8", "a");
    instar_key_column column = {.name = "a"};
    char name[16];
    struct catalog_index *x;
    for (int i = 0; i < CATALOG_INDEXES_MAX; i++) {
        snprintf(name, sizeof(name), "i%d", i);
        tables_add_index(t, name, "a", false);
    }
    instar_index_def def = {.name = "more", .columns = &column, .column_count = 1};
    must_fail(catalog_index_from_def(t, &def, &x, &test_err), INSTAR_ELIMIT);
    catalog_table_free(t);
}

/* The words for people: SQL, with quotes where PostgreSQL would want them. */
Test(catalog_define, index_is_described_in_sql)
{
    struct catalog_table *t = tables_make("t", "a int8, Big text, b text", "a");
    char text[80];
    catalog_index_describe(t, tables_add_index(t, "i", "a, b desc", true), text, sizeof(text));
    cr_assert_str_eq(text, "CREATE UNIQUE INDEX i ON t (a, b DESC)");
    catalog_index_describe(t, tables_add_index(t, "we\"ird", "Big", false), text, sizeof(text));
    cr_assert_str_eq(text, "CREATE INDEX \"we\"\"ird\" ON t (\"Big\")");
    catalog_index_describe(t, &t->indexes[0], text, 10);
    cr_assert_str_eq(text, "CREATE UN");
    catalog_table_free(t);
}

/* Two definitions are the same, or the first difference is told. */
Test(catalog_define, differences_are_told)
{
    struct catalog_table *t = tables_make("t", "a int8, b text, c int4", "a");
    char text[80];
    tables_add_index(t, "1", "a, b", false);
    tables_add_index(t, "2", "a, b", false);
    tables_add_index(t, "3", "a, b", true);
    tables_add_index(t, "4", "a, b desc", false);
    tables_add_index(t, "5", "a, b, c", false);
    struct catalog_index *x = t->indexes;
    expect(catalog_index_same(t, &x[0], &x[1], text, sizeof(text)));
    cr_assert_str_eq(text, "");
    expect(!catalog_index_same(t, &x[0], &x[2], text, sizeof(text)));
    cr_assert_str_eq(text, "it is not unique");
    expect(!catalog_index_same(t, &x[0], &x[3], text, sizeof(text)));
    cr_assert_str_eq(text, "column 2 is b, not b DESC");
    expect(!catalog_index_same(t, &x[4], &x[0], text, sizeof(text)));
    cr_assert_str_eq(text, "has 3 columns, not 2");

    static const struct {
        const char *columns, *key, *difference;
    } others[] = {
        {"a int8, b text, c int4", "a", NULL},
        {"a int8, b text", "a", "has 3 columns, not 2"},
        {"a int8, x text, c int4", "a", "column 2 is b, not x"},
        {"a int8, b bytea, c int4", "a", "column b is text, not bytea"},
        {"a int8, b text not null, c int4", "a", "column b may be null"},
        {"a int8, b text, c int4", "a desc", "primary key: column 1 is a, not a DESC"},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(others); i++) {
        struct catalog_table *o = tables_make("other", others[i].columns, others[i].key);
        bool same = catalog_table_same(t, o, text, sizeof(text));
        cr_assert_eq(same, others[i].difference == NULL);
        cr_assert_str_eq(text, same ? "" : others[i].difference);
        catalog_table_free(o);
    }
    catalog_table_free(t);
}

/* Each allocation of a definition may fail: an error, and nothing is lost. */
Test(catalog_define, every_allocation_may_fail)
{
    instar_value text = {.type = INSTAR_TEXT};
    text.bytes.data = "default";
    text.bytes.size = 7;
    instar_column_def columns[] = {two_columns[0], two_columns[1]};
    columns[1].default_value = &text;
    instar_table_def def = good_def();
    def.columns = columns;
    int failures = 0;
    for (size_t n = 1;; n++) {
        struct catalog_table *t = NULL;
        struct catalog_table *copy = NULL;
        test_shortage_set(&(struct test_shortage){.nth = n});
        int rc = catalog_table_from_def(&def, &t, &test_err);
        if (rc == 0) {
            rc = catalog_table_copy(t, &copy, &test_err);
        }
        test_shortage_set(NULL);
        catalog_table_free(t);
        catalog_table_free(copy);
        if (rc == 0) {
            break;
        }
        cr_assert_eq(rc, INSTAR_ENOMEM);
        failures++;
    }
    expect(failures >= 2);
}

/* A table without primary key has a hidden column more, by which its rows go; it comes last, and no
 * other may have its name. */
Test(catalog_define, no_key_is_a_row_id)
{
    instar_table_def def = good_def();
    struct catalog_table *t;
    struct catalog_table *again;
    struct base_buf bytes = {0};

    def.key = NULL;
    def.key_count = 0;
    must(catalog_table_from_def(&def, &t, &test_err));
    expect(catalog_keyed_by_row_id(t) && t->key_count == 1);
    expect_u64(t->column_count, def.column_count + 1);
    expect_u64(catalog_visible_columns(t), def.column_count);
    expect_u64(catalog_hidden_columns(t), 0);
    expect_u64(t->row_id_at, def.column_count);
    expect(catalog_table_column(t, INSTAR_ROW_ID) < 0);
    expect(catalog_table_find_column(t, INSTAR_ROW_ID) == (int)t->row_id_at);
    must(catalog_table_encode(t, &bytes, &test_err));
    must(catalog_table_decode(base_buf_slice(&bytes), &again, &test_err));
    expect(catalog_keyed_by_row_id(again) && again->columns[again->row_id_at].hidden);
    catalog_table_free(again);
    catalog_table_free(t);
    base_buf_free(&bytes);
    instar_column_def taken[] = {{.name = INSTAR_ROW_ID, .type = INSTAR_INT8}};
    def.columns = taken;
    def.column_count = 1;
    refused(&def, INSTAR_EINVALID, "row ids");
}
