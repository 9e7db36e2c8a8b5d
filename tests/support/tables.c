/* SPDX-License-Identifier: Apache-2.0 */
#include "support/tables.h"

#include "txn/txn.h"

#include <stdio.h>
#include <string.h>

void tables_split(struct tables_items *items, const char *text)
{
    char *rest = items->text;
    expect(strlen(text) < sizeof(items->text));
    snprintf(items->text, sizeof(items->text), "%s", text);
    items->count = 0;
    while (rest != NULL) {
        char *item = strsep(&rest, ",");
        item += strspn(item, " ");
        expect(items->count < TABLES_ITEMS_MAX);
        items->item[items->count++] = item;
    }
}

/* Cut off a last word; false when it is another. */
static bool cut_word(char *item, const char *word)
{
    size_t size = strlen(item);
    size_t end = strlen(word);
    if (size <= end || strcmp(item + size - end, word) != 0 || item[size - end - 1] != ' ') {
        return false;
    }
    item[size - end - 1] = 0;
    return true;
}

static void parse_key(struct tables_items *items, const char *text, instar_key_column *key)
{
    tables_split(items, text);
    for (size_t i = 0; i < items->count; i++) {
        key[i].descending = cut_word(items->item[i], "desc");
        key[i].name = items->item[i];
    }
}

struct catalog_table *tables_make(const char *name, const char *columns, const char *key)
{
    struct tables_items column_items;
    struct tables_items key_items;
    instar_column_def defs[TABLES_ITEMS_MAX] = {0};
    instar_key_column keys[TABLES_ITEMS_MAX] = {0};
    struct catalog_table *table = NULL;
    tables_split(&column_items, columns);
    for (size_t i = 0; i < column_items.count; i++) {
        char *item = column_items.item[i];
        defs[i].not_null = cut_word(item, "not null");
        defs[i].name = strsep(&item, " ");
        defs[i].type = row_type_from_name(item);
    }
    parse_key(&key_items, key, keys);
    instar_table_def def = {.name = name,
                            .columns = defs,
                            .column_count = column_items.count,
                            .key = keys,
                            .key_count = key_items.count};
    must(catalog_table_from_def(&def, &table, &test_err));
    return table;
}

/* What follows that word, which is cut off with it; NULL: it is not there. */
static const char *cut_before(char *text, const char *word)
{
    char *at = strstr(text, word);
    if (at == NULL) {
        return NULL;
    }
    *at = '\0';
    return at + strlen(word);
}

struct catalog_index *tables_add_index(struct catalog_table *table, const char *name,
                                       const char *columns, bool unique)
{
    struct tables_items items;
    instar_key_column keys[TABLES_ITEMS_MAX] = {0};
    struct catalog_index *index = NULL;
    char text[256];
    snprintf(text, sizeof(text), "%s", columns);
    const char *where = cut_before(text, " where ");
    const char *include = cut_before(text, " include ");
    parse_key(&items, text, keys);
    instar_index_def def = {.name = name,
                            .table = table->name,
                            .columns = keys,
                            .column_count = items.count,
                            .unique = unique,
                            .predicate = where,
                            .include = &include,
                            .include_count = include != NULL};
    must(catalog_index_from_def(table, &def, &index, &test_err));
    return index;
}

void tables_encode(const struct catalog_table *table, struct base_buf *bytes)
{
    base_buf_clear(bytes);
    must(catalog_table_encode(table, bytes, &test_err));
}

void tables_change_each_byte(const struct catalog_table *table)
{
    struct catalog_table *got;
    struct base_buf bytes = {0};
    struct base_buf again = {0};
    tables_encode(table, &bytes);
    for (size_t i = 1; i < bytes.size; i++) {
        uint8_t kept = bytes.data[i];
        for (unsigned v = 0; v < 256; v++) {
            bytes.data[i] = (uint8_t)v;
            int rc = catalog_table_decode(base_buf_slice(&bytes), &got, NULL);
            expect(rc == 0 || rc == INSTAR_ECORRUPT);
            if (rc == 0) {
                tables_encode(got, &again);
                expect(base_slice_eq(base_buf_slice(&bytes), base_buf_slice(&again)));
                catalog_table_free(got);
            }
        }
        bytes.data[i] = kept;
        must_fail(catalog_table_decode(base_slice(bytes.data, i), &got, &test_err),
                  INSTAR_ECORRUPT);
    }
    base_buf_free(&bytes);
    base_buf_free(&again);
}

void tables_entry_key(const struct catalog_table *table, const struct catalog_index *index,
                      const instar_value *values, struct base_buf *key_out)
{
    struct base_arena scratch = {0};
    must(txn_entry_key(table, index, values, &scratch, key_out, &test_err));
    base_arena_free(&scratch);
}
