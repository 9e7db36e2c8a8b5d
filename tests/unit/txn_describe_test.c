/* SPDX-License-Identifier: Apache-2.0 */
/* Keys in words. */
#include "support/tables.h"
#include "txn/txn.h"

#include <string.h>

static struct catalog_table *table;
static struct base_buf text;

static void setup(void)
{
    table = tables_make("t", "id int8, path text, at date, n int8", "id");
    tables_add_index(table, "i", "path, at desc, n", false);
    must(catalog_table_finish(table, &test_err));
}

static void teardown(void)
{
    base_buf_free(&text);
    catalog_table_free(table);
}

TestSuite(txn_describe, .init = setup, .fini = teardown);

static const char *words(void)
{
    cr_assert(base_buf_add_u8(&text, 0));
    return (const char *)text.data;
}

static struct base_buf entry_of(const char *path, size_t size)
{
    struct base_buf key = {0};
    instar_value values[4] = {{.type = INSTAR_INT8, .i = 4},
                              {.type = INSTAR_TEXT, .bytes = {path, size}},
                              {.type = INSTAR_DATE, .i = 0},
                              {.type = INSTAR_NULL}};
    tables_entry_key(table, &table->indexes[0], values, &key);
    return key;
}

/* An entry names its columns' values and its row. */
Test(txn_describe, an_entry_in_words)
{
    struct base_buf key = entry_of("/etc/passwd", 11);
    txn_describe_entry(table, &table->indexes[0], base_buf_slice(&key), &text);
    cr_assert_str_eq(words(), "(path='/etc/passwd', at='1970-01-01', n=null) of row (id=4)");
    base_buf_free(&key);
}

/* What a terminal would act on is shown, not sent. */
Test(txn_describe, control_characters_are_escaped)
{
    struct base_buf key = entry_of("a\033[2Jb\nc", 8);
    txn_describe_entry(table, &table->indexes[0], base_buf_slice(&key), &text);
    for (size_t i = 0; i < text.size; i++) {
        cr_assert_geq(text.data[i], 0x20);
    }
    cr_assert(strstr(words(), "\\x1b") != NULL, "%s", (const char *)text.data);
    base_buf_free(&key);
}

/* A long value is cut. */
Test(txn_describe, long_values_are_cut)
{
    char path[400];
    memset(path, 'p', sizeof(path));
    struct base_buf key = entry_of(path, sizeof(path));
    txn_describe_entry(table, &table->indexes[0], base_buf_slice(&key), &text);
    cr_assert_lt(text.size, 250);
    cr_assert(strstr(words(), "'...") != NULL);
    base_buf_free(&key);
}

/* Bytes that are no key are said to be none. */
Test(txn_describe, rubbish_is_called_unreadable)
{
    txn_describe_entry(table, &table->indexes[0], base_slice("\x01\x02", 2), &text);
    txn_describe_key(table, base_slice("\xff", 1), &text);
    cr_assert_str_eq(words(), "(unreadable key)(unreadable key)");
}
