/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in bulk, for builds, validation and the checker: decode, and make entries. An entry's key is
 * the code of the index's columns followed by the row's own key, which is at hand; so only the
 * columns of the index, of its predicate and those that it includes are decoded. What to decode is
 * planned once for each index.
 */
#include "txn/txn_impl.h"

#include <stdlib.h>
#include <string.h>

struct txn_rows {
    struct txn_codec codec;
    struct base_arena arena; /* lives as long */
    struct base_arena row;   /* of the row at hand */
    instar_value *image;
    instar_value *values;
    uint32_t *columns; /* places of the columns that were asked for */
    const struct row_bound *expected;
    size_t expected_count;
    /* The plan for the index that was asked for last. */
    const struct catalog_index *index;
    uint32_t *positions; /* ascending, distinct */
    size_t position_count;
    uint32_t *picks; /* what it needs -> which of these */
    size_t pick_count;
    bool straight; /* what it needs is in that order already */
    bool plain;    /* it sees the columns as they are */
    instar_value *decoded, *ordered;
};

/* What an entry of the index needs: the predicate's inputs, then needs[]. */
static size_t needs_of(const struct catalog_index *index)
{
    return (size_t)index->input_count + index->need_count;
}

static size_t most_needs(const struct catalog_table *table)
{
    size_t most = 0;
    for (uint32_t i = 0; i < table->index_count; i++) {
        size_t needs = needs_of(&table->indexes[i]);
        most = needs > most ? needs : most;
    }
    return most;
}

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
        size_t needs = most_needs(table) + 1;
        r->positions = base_arena_alloc(&r->arena, sizeof(*r->positions) * needs);
        r->picks = base_arena_alloc(&r->arena, sizeof(*r->picks) * needs);
        r->decoded = base_arena_alloc(&r->arena, size * needs);
        r->ordered = base_arena_alloc(&r->arena, size * needs);
        if (r->image == NULL || r->values == NULL || r->columns == NULL || r->positions == NULL ||
            r->picks == NULL || r->decoded == NULL || r->ordered == NULL) {
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
        struct row_found row = {.key = key, .record = record, .arena = &r->row};
        struct row_wanted want = {r->columns, count, values_out};
        return txn_codec_decode_some(&r->codec, &row, &want, err);
    }
    int rc = txn_rows_decode(r, key, record, &all, NULL, err);
    for (size_t i = 0; rc == INSTAR_OK && i < count; i++) {
        values_out[i] = all[columns[i]];
    }
    return rc;
}

static int by_position(const void *a, const void *b)
{
    const struct row_bound *x = a;
    const struct row_bound *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

int txn_rows_expect(struct txn_rows *r, const struct row_bound *bounds, size_t count,
                    struct base_err *err)
{
    struct row_bound *mine = base_arena_alloc(&r->arena, sizeof(*mine) * (count + 1));
    if (mine == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "rows of table %s: no memory",
                            r->codec.table->name);
    }
    for (size_t i = 0; i < count; i++) {
        mine[i] = bounds[i];
        mine[i].position = txn_place(&r->codec, bounds[i].position);
    }
    qsort(mine, count, sizeof(*mine), by_position);
    r->expected = mine;
    r->expected_count = count;
    return INSTAR_OK;
}

bool txn_rows_as_expected(const struct txn_rows *r, struct base_slice key, struct base_slice record)
{
    return txn_codec_within(&r->codec, key, record, r->expected, r->expected_count);
}

/* The column that is needed at this place. */
static uint32_t needed(const struct catalog_index *index, size_t at)
{
    return at < index->input_count ? index->inputs[at] : index->needs[at - index->input_count];
}

static void plan_for(struct txn_rows *r, const struct catalog_index *index)
{
    r->index = index;
    r->position_count = 0;
    r->pick_count = needs_of(index);
    for (size_t i = 0; i < r->pick_count; i++) {
        uint32_t place = txn_place(&r->codec, needed(index, i));
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
    const struct catalog_index *keyer = catalog_index_keyer(r->codec.table, index);
    r->plain =
        index->sight == CATALOG_SIGHT_NOW && (keyer == NULL || keyer->sight == CATALOG_SIGHT_NOW);
    r->straight = r->position_count == r->pick_count;
    for (size_t i = 0; i < r->pick_count; i++) {
        uint32_t at = 0;
        while (r->positions[at] != txn_place(&r->codec, needed(index, i))) {
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
                        catalog_index_called(table, index), table->name, text, size,
                        INSTAR_KEY_BYTES_MAX);
}

/* Which row it is goes before what is wrong with its entry. */
static int row_fault(const struct txn_rows *r, struct base_slice key, int code,
                     struct base_err *err)
{
    char text[TXN_TEXT_MAX];
    if (code != INSTAR_ENOMEM && err != NULL) {
        txn_key_text(r->codec.table, key, text);
        base_err_prefix(err, "row %s", text);
    }
    return code;
}

/* The entry ends with another key than the row's own: its columns stand in front of the included
 * ones. values: from needs[] on. */
static int add_other_key(const struct catalog_index *index, const instar_value *values,
                         struct base_buf *out, struct base_err *err)
{
    uint32_t own = index->part_count;
    uint32_t rest = index->key_part_count - own;
    return row_key_encode(index->key_parts + own,
                          values + index->need_count - index->include_count - rest, rest, out, err);
}

/* From what the index needs, in that order. */
static int make_entry(struct txn_rows *r, struct base_slice key, const instar_value *values,
                      struct txn_entry *entry, struct base_err *err)
{
    const struct catalog_index *index = r->index;
    const struct catalog_table *table = r->codec.table;
    int rc = INSTAR_OK;
    entry->inside = index->predicate == NULL;
    if (!entry->inside) {
        rc = catalog_index_inside(table, index, values, &r->row, &entry->inside, err);
    }
    if (rc != INSTAR_OK) {
        return row_fault(r, key, rc, err);
    }
    if (!entry->inside) {
        return INSTAR_OK;
    }
    size_t begin = entry->key->size;
    instar_value computed[INSTAR_INDEX_COLUMNS_MAX];
    values += index->input_count;
    const instar_value *parts = values;
    if (index->computed) {
        rc = catalog_index_parts(table, index, values, &r->row, computed, err);
        if (rc != INSTAR_OK) {
            return row_fault(r, key, rc, err);
        }
        parts = computed;
    }
    rc = row_key_encode(index->key_parts, parts, index->part_count, entry->key, err);
    if (rc == INSTAR_OK && index->rows) { /* what follows is not of the tree's key */
        rc = check_size(table, index, key, entry->key->size - begin, err);
    }
    if (rc == INSTAR_OK && index->keyed_by != 0) {
        rc = add_other_key(index, values, entry->key, err);
    } else if (rc == INSTAR_OK && !base_buf_add(entry->key, key.data, key.size)) {
        rc = base_err_set(err, INSTAR_ENOMEM, "index %s: no memory", index->name);
    }
    if (rc == INSTAR_OK && !index->rows) {
        rc = check_size(table, index, key, entry->key->size - begin, err);
    }
    if (rc == INSTAR_OK && entry->include != NULL && index->include_count > 0) {
        values += index->need_count - index->include_count;
        rc = txn_include_encode(table, index, values, entry->include, err);
        rc = rc != INSTAR_OK ? row_fault(r, key, rc, err) : rc;
    }
    return rc;
}

/* What it needs as it sees it. The values are ours. */
static int see_all(struct txn_rows *r, struct base_slice key, instar_value *values,
                   struct base_err *err)
{
    int rc = INSTAR_OK;
    const struct catalog_index *index = r->index;
    const struct catalog_index *keyer = catalog_index_keyer(r->codec.table, index);
    size_t end = r->pick_count - index->include_count;
    size_t behind = keyer != NULL ? end - (index->key_part_count - index->part_count) : end;
    for (size_t i = 0; i < r->pick_count && rc == INSTAR_OK; i++) {
        const struct catalog_index *by = i >= behind && i < end ? keyer : index;
        instar_value seen;
        rc = catalog_index_see(r->codec.table, by, needed(index, i), &values[i], &r->row, &seen,
                               err);
        values[i] = rc == INSTAR_OK ? seen : values[i];
    }
    return rc == INSTAR_OK ? rc : row_fault(r, key, rc, err);
}

int txn_rows_entry(struct txn_rows *r, const struct catalog_index *index, struct base_slice key,
                   struct base_slice record, struct txn_entry *entry, struct base_err *err)
{
    instar_value *values = r->decoded;
    next_row(r);
    if (index != r->index) {
        plan_for(r, index);
    }
    entry->inside = false;
    struct row_found row = {.key = key, .record = record, .arena = &r->row};
    struct row_wanted want = {r->positions, r->position_count, r->decoded};
    int rc = txn_codec_decode_some(&r->codec, &row, &want, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (!r->straight) {
        for (size_t i = 0; i < r->pick_count; i++) {
            r->ordered[i] = r->decoded[r->picks[i]];
        }
        values = r->ordered;
    }
    if (!r->plain) {
        rc = see_all(r, key, values, err);
        if (rc != INSTAR_OK) {
            return rc;
        }
    }
    return make_entry(r, key, values, entry, err);
}

int txn_entry_key(const struct catalog_table *table, const struct catalog_index *index,
                  const instar_value *values, struct base_arena *scratch, struct base_buf *key_out,
                  struct base_err *err)
{
    instar_value parts[INSTAR_INDEX_COLUMNS_MAX * 2];
    size_t begin = key_out->size;
    instar_value *needs = base_arena_alloc(scratch, sizeof(*needs) * (index->need_count + 1u));
    if (needs == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "index %s: no memory", index->name);
    }
    for (uint32_t i = 0; i < index->need_count; i++) {
        needs[i] = values[index->needs[i]];
    }
    int rc = catalog_index_parts(table, index, needs, scratch, parts, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    for (uint32_t i = index->part_count; i < index->key_part_count; i++) {
        parts[i] = values[index->key_columns[i]];
    }
    rc = row_key_encode(index->key_parts, parts, index->key_part_count, key_out, err);
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "index %s of table %s", catalog_index_called(table, index),
                        table->name);
    } else if (key_out->size - begin > INSTAR_KEY_BYTES_MAX) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "index %s of table %s: an entry of %zu bytes; the limit is %d",
                          catalog_index_called(table, index), table->name, key_out->size - begin,
                          INSTAR_KEY_BYTES_MAX);
    }
    return rc;
}

int txn_rows_record(struct txn_rows *r, const struct catalog_index *index, struct base_slice key,
                    struct base_slice record, struct txn_copy *copy, struct base_err *err)
{
    const struct txn_codec *c = &r->codec;
    struct base_buf *out = copy->record;
    base_assert(index->rows);
    next_row(r);
    base_buf_clear(out);
    copy->moved = true;
    int rc = txn_codec_decode(c, key, record, &r->row, r->image, NULL, err);
    if (rc == INSTAR_OK) {
        struct txn_entry_to to = {.bytes = out, .scratch = &r->row};
        rc = txn_codec_entry(c, index, r->image, &to, err);
    }
    if (rc != INSTAR_OK || !base_slice_eq(base_buf_slice(out), copy->key)) {
        return rc != INSTAR_OK ? row_fault(r, key, rc, err) : rc;
    }
    copy->moved = false;
    base_buf_clear(out);
    rc = txn_codec_encode(c, copy->key, r->image, out, err);
    return rc != INSTAR_OK ? row_fault(r, key, rc, err) : rc;
}

int txn_rows_rewrite(struct txn_rows *r, struct base_slice key, struct base_slice record,
                     bool *old_out, struct base_buf *out, struct base_err *err)
{
    const struct txn_codec *c = &r->codec;
    struct row_header header = {0};
    int rc = row_header(record, &header, err);
    *old_out = false;
    if (rc != INSTAR_OK) {
        return txn_row_error(c->table, key, header.version, rc, err);
    }
    if (catalog_table_layout(c->table, header.version) == c->layout) {
        return INSTAR_OK;
    }
    next_row(r);
    rc = txn_codec_decode(c, key, record, &r->row, r->image, NULL, err);
    if (rc == INSTAR_OK) {
        rc = txn_codec_encode(c, key, r->image, out, err);
    }
    *old_out = rc == INSTAR_OK;
    return rc == INSTAR_OK || rc == INSTAR_ECORRUPT ? rc : row_fault(r, key, rc, err);
}
