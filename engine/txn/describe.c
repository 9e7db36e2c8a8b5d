/* SPDX-License-Identifier: Apache-2.0 */
/* Keys in words, for errors and reports: "(path='/etc/passwd') of row (id=4)". */
#include "txn/txn_impl.h"

#include <string.h>

#define VALUE_TEXT_MAX 96 /* longer values are cut */

static bool is_quoted(const instar_value *value)
{
    return value->type == INSTAR_TEXT || value->type == INSTAR_BYTEA ||
           value->type == INSTAR_TIMESTAMPTZ || value->type == INSTAR_DATE ||
           value->type == INSTAR_UUID || value->type == INSTAR_TIME;
}

/* As the text came out of the format function: control characters are shown escaped. */
static void add_value(struct base_buf *out, const instar_value *value)
{
    char text[VALUE_TEXT_MAX];
    if (value->type == INSTAR_NULL) {
        base_buf_add(out, "null", 4);
        return;
    }
    size_t size = row_value_format(value, text, sizeof(text));
    bool cut = size >= sizeof(text);
    const char *quote = is_quoted(value) ? "'" : "";
    base_buf_add(out, quote, strlen(quote));
    base_buf_add_printable(out, text, cut ? sizeof(text) - 1 : size);
    base_buf_add(out, quote, strlen(quote));
    if (cut) {
        base_buf_add(out, "...", 3);
    }
}

static void add_name(struct base_buf *out, const struct catalog_table *table,
                     const struct catalog_key_part *part)
{
    if (part->expr == NULL) {
        const char *name = table->columns[part->column].name;
        base_buf_add_printable(out, name, strlen(name));
        return;
    }
    struct base_buf text = {0};
    if (catalog_index_print_part(table, part, &text)) {
        base_buf_add_printable(out, (const char *)text.data, text.size);
    }
    base_buf_free(&text);
}

/* "(a=1, b='x')" of the first values of a key. Returns the bytes they took, 0: unreadable. */
static size_t add_tuple(struct base_buf *out, const struct catalog_table *table,
                        const struct row_key_part *parts, const struct catalog_key_part *names,
                        size_t count, struct base_slice key)
{
    instar_value values[INSTAR_INDEX_COLUMNS_MAX * 2];
    struct base_arena arena = {0};
    struct base_slice rest = key;
    size_t used = 0;
    if (row_key_decode(parts, count, &rest, &arena, values, NULL) != INSTAR_OK) {
        base_buf_add(out, "(unreadable key)", 16);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        base_buf_add(out, i == 0 ? "(" : ", ", i == 0 ? 1 : 2);
        add_name(out, table, &names[i]);
        base_buf_add(out, "=", 1);
        add_value(out, &values[i]);
    }
    base_buf_add(out, ")", 1);
    used = key.size - rest.size;
done:
    base_arena_free(&arena);
    return used;
}

void txn_describe_key(const struct catalog_table *table, struct base_slice key,
                      struct base_buf *text_out)
{
    add_tuple(text_out, table, table->key_parts, table->key, table->key_count, key);
}

/* The row of an entry, by whatever key the entry ends with. */
static void describe_row(const struct catalog_table *table, const struct catalog_index *index,
                         struct base_slice key, struct base_buf *text_out)
{
    const struct catalog_index *other =
        index->keyed_by != 0 ? catalog_table_index_by_id(table, index->keyed_by) : NULL;
    add_tuple(text_out, table, index->key_parts + index->part_count,
              other != NULL ? other->parts : table->key, index->key_part_count - index->part_count,
              key);
}

void txn_describe_prefix(const struct catalog_table *table, const struct catalog_index *index,
                         struct base_slice key, struct base_buf *text_out)
{
    add_tuple(text_out, table, index->key_parts, index->parts, index->part_count, key);
}

void txn_describe_entry(const struct catalog_table *table, const struct catalog_index *index,
                        struct base_slice key, struct base_buf *text_out)
{
    size_t used =
        add_tuple(text_out, table, index->key_parts, index->parts, index->part_count, key);
    if (used == 0) {
        return;
    }
    base_buf_add(text_out, " of row ", 8);
    describe_row(table, index, base_slice((const uint8_t *)key.data + used, key.size - used),
                 text_out);
}

void txn_describe_reference(const struct catalog_table *child, const struct catalog_fkey *fkey,
                            struct base_slice key, struct base_buf *text_out)
{
    struct catalog_key_part columns[INSTAR_INDEX_COLUMNS_MAX];
    struct catalog_fkey_path path;
    size_t used = 0;
    if (!catalog_fkey_path(child, fkey, &path)) {
        return;
    }
    for (uint32_t i = 0; i < fkey->column_count; i++) {
        columns[i] = (struct catalog_key_part){.column = fkey->columns[path.order[i]]};
    }
    if (add_tuple(text_out, child, path.key_parts, columns, fkey->column_count, key) == 0 ||
        (path.index != NULL &&
         row_key_skip(path.key_parts, path.index->part_count, key, &used, NULL) != INSTAR_OK)) {
        return;
    }
    base_buf_add(text_out, " of row ", 8);
    txn_describe_key(child, base_slice((const uint8_t *)key.data + used, key.size - used),
                     text_out);
}

static void cut_to(struct base_buf *b, char text[TXN_TEXT_MAX])
{
    size_t size = b->size < TXN_TEXT_MAX ? b->size : TXN_TEXT_MAX - 1;
    if (size > 0) {
        memcpy(text, b->data, size);
    }
    text[size] = '\0';
    base_buf_free(b);
}

void txn_key_text(const struct catalog_table *table, struct base_slice key, char text[TXN_TEXT_MAX])
{
    struct base_buf b = {0};
    txn_describe_key(table, key, &b);
    cut_to(&b, text);
}

void txn_entry_text(const struct catalog_table *table, const struct catalog_index *index,
                    struct base_slice key, char text[TXN_TEXT_MAX])
{
    struct base_buf b = {0};
    txn_describe_entry(table, index, key, &b);
    cut_to(&b, text);
}

void txn_prefix_text(const struct catalog_table *table, const struct catalog_index *index,
                     struct base_slice key, char text[TXN_TEXT_MAX])
{
    struct base_buf b = {0};
    txn_describe_prefix(table, index, key, &b);
    cut_to(&b, text);
}

void txn_suffix_text(const struct catalog_table *table, const struct catalog_index *index,
                     struct base_slice key, char text[TXN_TEXT_MAX])
{
    struct base_buf b = {0};
    describe_row(table, index, key, &b);
    cut_to(&b, text);
}
