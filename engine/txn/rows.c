/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in bulk, for builds, validation and the checker: decode, and make entry keys. An entry's key
 * is the code of the index's columns followed by the row's own key, which is at hand; so only the
 * index's columns are decoded. What to decode is planned once for each index.
 */
#include "txn/txn_impl.h"

#include <string.h>

struct txn_rows {
    struct txn_codec codec;
    struct base_arena arena; /* lives as long */
    struct base_arena row;   /* of the row at hand */
    instar_value *image;
    instar_value *values;
    uint32_t *columns; /* places of the columns that were asked for */
    /* The plan for the index that was asked for last. */
    const struct catalog_index *index;
    uint32_t positions[INSTAR_INDEX_COLUMNS_MAX]; /* ascending, distinct */
    size_t position_count;
    uint32_t picks[INSTAR_INDEX_COLUMNS_MAX]; /* column of the index -> which of these */
    bool straight;                            /* in the index's order already */
};

int txn_rows_open(const struct catalog_table *table, size_t row_bytes_max, struct txn_rows **out,
                  struct base_err *err)
{
    *out = NULL;
    struct txn_rows *r = base_alloc_zero(1, sizeof(*r));
    if (r == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "rows of table %s: no memory", table->name);
    }
    int rc = txn_codec_init(&r->codec, table, NULL, row_bytes_max, &r->arena, err);
    if (rc == INSTAR_OK) {
        size_t size = sizeof(instar_value);
        r->image = base_arena_alloc(&r->arena, size * (r->codec.layout->column_count + 1));
        r->values = base_arena_alloc(&r->arena, size * (table->column_count + 1));
        r->columns = base_arena_alloc(&r->arena, sizeof(*r->columns) * (table->column_count + 1));
        if (r->image == NULL || r->values == NULL || r->columns == NULL) {
            rc = base_err_set(err, INSTAR_ENOMEM, "rows of table %s: no memory", table->name);
        }
    }
    if (rc != INSTAR_OK) {
        txn_rows_close(r);
        return rc;
    }
    *out = r;
    return INSTAR_OK;
}

void txn_rows_close(struct txn_rows *r)
{
    if (r != NULL) {
        base_arena_free(&r->row);
        base_arena_free(&r->arena);
        base_free(r);
    }
}

static void next_row(struct txn_rows *r)
{
    if (r->row.used_bytes > 0) {
        base_arena_reset(&r->row);
    }
}

int txn_rows_decode(struct txn_rows *r, struct base_slice key, struct base_slice record,
                    const instar_value **values_out, uint32_t *version_out, struct base_err *err)
{
    const struct txn_codec *c = &r->codec;
    *values_out = NULL;
    next_row(r);
    int rc = txn_codec_decode(c, key, record, &r->row, r->image, version_out, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (c->places == NULL && c->layout->column_count == c->table->column_count) {
        *values_out = r->image;
        return INSTAR_OK;
    }
    for (uint32_t i = 0; i < c->table->column_count; i++) {
        r->values[i] = r->image[txn_place(c, i)];
    }
    *values_out = r->values;
    return INSTAR_OK;
}

int txn_rows_columns(struct txn_rows *r, struct base_slice key, struct base_slice record,
                     const uint32_t *columns, size_t count, instar_value *values_out,
                     struct base_err *err)
{
    const instar_value *all;
    bool ascends = true;
    next_row(r);
    for (size_t i = 0; i < count; i++) {
        r->columns[i] = txn_place(&r->codec, columns[i]);
        ascends = ascends && (i == 0 || r->columns[i] > r->columns[i - 1]);
    }
    if (ascends) {
        return txn_codec_decode_some(&r->codec, key, record, &r->row, r->columns, count, values_out,
                                     err);
    }
    int rc = txn_rows_decode(r, key, record, &all, NULL, err);
    for (size_t i = 0; rc == INSTAR_OK && i < count; i++) {
        values_out[i] = all[columns[i]];
    }
    return rc;
}

static void plan_for(struct txn_rows *r, const struct catalog_index *index)
{
    r->index = index;
    r->position_count = 0;
    for (uint32_t i = 0; i < index->part_count; i++) {
        uint32_t place = txn_place(&r->codec, index->key_columns[i]);
        size_t at = r->position_count;
        while (at > 0 && r->positions[at - 1] >= place) {
            at--;
        }
        if (at == r->position_count || r->positions[at] != place) {
            memmove(&r->positions[at + 1], &r->positions[at],
                    sizeof(r->positions[0]) * (r->position_count - at));
            r->positions[at] = place;
            r->position_count++;
        }
    }
    r->straight = r->position_count == index->part_count;
    for (uint32_t i = 0; i < index->part_count; i++) {
        uint32_t at = 0;
        while (r->positions[at] != txn_place(&r->codec, index->key_columns[i])) {
            at++;
        }
        r->picks[i] = at;
        r->straight = r->straight && at == i;
    }
}

static int check_size(const struct catalog_table *table, const struct catalog_index *index,
                      struct base_slice key, size_t size, struct base_err *err)
{
    char text[TXN_TEXT_MAX];
    if (size <= INSTAR_KEY_BYTES_MAX) {
        return INSTAR_OK;
    }
    txn_key_text(table, key, text);
    return base_err_set(err, INSTAR_ELIMIT,
                        "index %s of table %s: the entry of row %s has %zu bytes, columns and "
                        "primary key together; the limit is %d",
                        index->name, table->name, text, size, INSTAR_KEY_BYTES_MAX);
}

int txn_rows_entry_key(struct txn_rows *r, const struct catalog_index *index, struct base_slice key,
                       struct base_slice record, struct base_buf *key_out, struct base_err *err)
{
    instar_value decoded[INSTAR_INDEX_COLUMNS_MAX];
    instar_value ordered[INSTAR_INDEX_COLUMNS_MAX];
    const instar_value *values = decoded;
    size_t begin = key_out->size;
    next_row(r);
    if (index != r->index) {
        plan_for(r, index);
    }
    int rc = txn_codec_decode_some(&r->codec, key, record, &r->row, r->positions, r->position_count,
                                   decoded, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (!r->straight) {
        for (uint32_t i = 0; i < index->part_count; i++) {
            ordered[i] = decoded[r->picks[i]];
        }
        values = ordered;
    }
    rc = row_key_encode(index->key_parts, values, index->part_count, key_out, err);
    if (rc == INSTAR_OK && !base_buf_add(key_out, key.data, key.size)) {
        rc = base_err_set(err, INSTAR_ENOMEM, "index %s: no memory", index->name);
    }
    return rc == INSTAR_OK ? check_size(r->codec.table, index, key, key_out->size - begin, err)
                           : rc;
}

int txn_entry_key(const struct catalog_table *table, const struct catalog_index *index,
                  const instar_value *values, struct base_buf *key_out, struct base_err *err)
{
    instar_value parts[INSTAR_INDEX_COLUMNS_MAX * 2];
    size_t begin = key_out->size;
    for (uint32_t i = 0; i < index->key_part_count; i++) {
        parts[i] = values[index->key_columns[i]];
    }
    int rc = row_key_encode(index->key_parts, parts, index->key_part_count, key_out, err);
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "index %s of table %s", index->name, table->name);
    } else if (key_out->size - begin > INSTAR_KEY_BYTES_MAX) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "index %s of table %s: an entry of %zu bytes; the limit is %d",
                          index->name, table->name, key_out->size - begin, INSTAR_KEY_BYTES_MAX);
    }
    return rc;
}
