/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows between bytes and values, as one version of a table sees them.
 *
 * A record's tag leads to the layout that wrote it. When that is not the own version's layout, the
 * whole record is decoded by its own and brought to ours: what is missing is filled, what we do not
 * have is skipped, what had another type is cast. A tag above the own version cannot be
 * (schema.md's lemma: no transaction sees a row that was tagged later than its version), so it is
 * reported as corruption.
 */
#include "txn/txn_impl.h"

#include <string.h>

#define FEW_COLUMNS 32 /* that need no memory on the way */

static uint32_t place_of(const struct row_layout *layout, uint32_t id)
{
    for (uint32_t i = 0; i < layout->column_count; i++) {
        if (layout->columns[i].id == id) {
            return i;
        }
    }
    return TXN_NO_COLUMN;
}

int txn_codec_init(struct txn_codec *c, const struct catalog_table *table,
                   const struct catalog_table *newest, size_t row_bytes_max,
                   struct base_arena *arena, struct base_err *err)
{
    *c = (struct txn_codec){.table = table,
                            .newest = newest,
                            .layout = catalog_table_layout(table, table->version),
                            .since = catalog_table_layout_since(table),
                            .row_bytes_max = row_bytes_max,
                            .forced = newest != NULL};
    if (c->layout == NULL) {
        return base_err_set(err, INSTAR_ECORRUPT, "table %s has no layout for its version %" PRIu32,
                            table->name, table->version);
    }
    bool same = true;
    for (uint32_t i = 0; i < table->column_count; i++) {
        same =
            same && i < c->layout->column_count && c->layout->columns[i].id == table->columns[i].id;
    }
    if (same) {
        return INSTAR_OK;
    }
    uint32_t *places = base_arena_alloc(arena, sizeof(*places) * table->column_count);
    if (places == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", table->name);
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        places[i] = place_of(c->layout, table->columns[i].id);
        if (places[i] == TXN_NO_COLUMN) {
            return base_err_set(err, INSTAR_ECORRUPT,
                                "table %s: column %s is not in the layout of version %" PRIu32,
                                table->name, table->columns[i].name, table->version);
        }
    }
    c->places = places;
    return INSTAR_OK;
}

int txn_row_error(const struct catalog_table *table, struct base_slice key, uint32_t version,
                  int code, struct base_err *err)
{
    char text[TXN_TEXT_MAX];
    if (code == INSTAR_ECORRUPT && err != NULL) {
        txn_key_text(table, key, text);
        base_err_prefix(err, "table %s, row %s, written by schema version %" PRIu32, table->name,
                        text, version);
    }
    return code;
}

static inline bool is_own(const struct txn_codec *c, uint32_t version)
{
    return version >= c->since && version <= c->table->version;
}

static int find_layout(const struct txn_codec *c, struct base_slice key, uint32_t version,
                       const struct row_layout **layout_out, struct base_err *err)
{
    *layout_out = is_own(c, version) ? c->layout : catalog_table_layout(c->table, version);
    if (*layout_out == NULL && c->forced) {
        *layout_out = catalog_table_layout(c->newest, version);
        if (*layout_out == NULL) {
            *layout_out = c->layout; /* of another forced version, which no descriptor knows */
        }
    }
    if (*layout_out != NULL) {
        return INSTAR_OK;
    }
    base_err_set(err, INSTAR_ECORRUPT,
                 "the tag is newer than the table's version %" PRIu32 ", or was never one",
                 c->table->version);
    return txn_row_error(c->table, key, version, INSTAR_ECORRUPT, err);
}

/* By a layout that is not ours. */
static int decode_foreign(const struct txn_codec *c, const struct row_layout *layout,
                          const struct row_found *row, instar_value *image_out,
                          struct base_err *err)
{
    struct base_arena *arena = row->arena;
    instar_value *values = base_arena_alloc(arena, sizeof(*values) * (layout->column_count + 1));
    if (values == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", c->table->name);
    }
    int rc = row_decode(layout, row, values, err);
    return rc == INSTAR_OK ? row_convert(layout, values, c->layout, arena, image_out, err) : rc;
}

int txn_codec_decode(const struct txn_codec *c, struct base_slice key, struct base_slice record,
                     struct base_arena *arena, instar_value *image_out, uint32_t *version_out,
                     struct base_err *err)
{
    struct row_found row = {key, record, c->row_bytes_max, arena, {0}};
    const struct row_layout *layout = NULL;
    int rc = row_header(record, &row.header, err);
    if (version_out != NULL) {
        *version_out = row.header.version;
    }
    if (rc != INSTAR_OK) {
        return txn_row_error(c->table, key, row.header.version, rc, err);
    }
    rc = find_layout(c, key, row.header.version, &layout, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (layout == c->layout) {
        rc = row_decode(layout, &row, image_out, err);
    } else {
        rc = decode_foreign(c, layout, &row, image_out, err);
    }
    return txn_row_error(c->table, key, row.header.version, rc, err);
}

/* Some columns by a layout that is not ours. Ids ascend in both, so one walk finds their places. */
static int decode_some_foreign(const struct txn_codec *c, const struct row_layout *layout,
                               const struct row_found *row, const struct row_wanted *want,
                               struct base_err *err)
{
    const uint32_t *positions = want->positions;
    size_t count = want->count;
    uint32_t few_places[FEW_COLUMNS] = {0};
    instar_value few[FEW_COLUMNS];
    uint32_t *places = few_places;
    instar_value *values = few;
    size_t found = 0;
    uint32_t at = 0;
    if (count > FEW_COLUMNS) {
        places = base_arena_alloc(row->arena, sizeof(*places) * count);
        values = base_arena_alloc(row->arena, sizeof(*values) * count);
        if (places == NULL || values == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", c->table->name);
        }
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t id = c->layout->columns[positions[i]].id;
        while (at < layout->column_count && layout->columns[at].id < id) {
            at++;
        }
        if (at < layout->column_count && layout->columns[at].id == id) {
            places[found++] = at;
        }
    }
    int rc = row_decode_some(layout, row, &(struct row_wanted){places, found, values}, err);
    for (size_t i = count; i > 0 && rc == INSTAR_OK; i--) {
        const struct row_column *column = &c->layout->columns[positions[i - 1]];
        const struct row_column *there = found > 0 ? &layout->columns[places[found - 1]] : NULL;
        if (there == NULL || there->id != column->id) {
            want->values[i - 1] = column->missing;
        } else if (there->form == column->form) {
            want->values[i - 1] = values[--found];
        } else {
            rc = row_column_cast(there, column, &values[--found], row->arena, &want->values[i - 1],
                                 err);
        }
    }
    return rc;
}

/* A version that is not the own layout's. */
BASE_APART static int decode_some_other(const struct txn_codec *c, const struct row_found *row,
                                        const struct row_wanted *want, struct base_err *err)
{
    const struct row_layout *layout;
    int rc = find_layout(c, row->key, row->header.version, &layout, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = layout == c->layout ? row_decode_some(layout, row, want, err)
                             : decode_some_foreign(c, layout, row, want, err);
    return txn_row_error(c->table, row->key, row->header.version, rc, err);
}

int txn_codec_decode_some(const struct txn_codec *c, struct row_found *row,
                          const struct row_wanted *want, struct base_err *err)
{
    row->bytes_max = c->row_bytes_max;
    int rc = row_header(row->record, &row->header, err);
    if (rc == INSTAR_OK && !is_own(c, row->header.version)) {
        return decode_some_other(c, row, want, err);
    }
    rc = rc == INSTAR_OK ? row_decode_some(c->layout, row, want, err) : rc;
    return rc == INSTAR_OK ? rc : txn_row_error(c->table, row->key, row->header.version, rc, err);
}

bool txn_codec_within(const struct txn_codec *c, struct base_slice key, struct base_slice record,
                      const struct row_bound *bounds, size_t count)
{
    struct row_header header;
    return row_header(record, &header, NULL) == 0 && is_own(c, header.version) &&
           row_within(c->layout, &header, key, record, bounds, count);
}

int txn_codec_encode(const struct txn_codec *c, struct base_slice key, const instar_value *image,
                     struct base_buf *out, struct base_err *err)
{
    size_t size = row_size(c->layout, image);
    if (size > c->row_bytes_max) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "table %s: a row of %zu bytes; the limit is %zu (row_bytes_max)",
                            c->table->name, size, c->row_bytes_max);
    }
    int rc = row_encode(c->layout, c->table->version, key, image, out, err);
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "table %s", c->table->name);
    }
    return rc;
}

int txn_codec_key(const struct txn_codec *c, const instar_value *image, struct base_buf *out,
                  struct base_err *err)
{
    instar_value values[INSTAR_INDEX_COLUMNS_MAX];
    size_t begin = out->size;
    for (uint32_t i = 0; i < c->table->key_count; i++) {
        values[i] = image[txn_place(c, c->table->key[i].column)];
    }
    int rc = row_key_encode(c->table->key_parts, values, c->table->key_count, out, err);
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "primary key of table %s", c->table->name);
    } else if (out->size - begin > INSTAR_KEY_BYTES_MAX) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "primary key of table %s: a key of %zu bytes; the limit is %d",
                          c->table->name, out->size - begin, INSTAR_KEY_BYTES_MAX);
    }
    return rc;
}

/* Some columns, by their positions. */
struct look {
    const uint32_t *columns;
    uint32_t count;
    struct base_arena *scratch;
};

/* Their values from an image, as the index sees them. */
static int look(const struct txn_codec *c, const struct catalog_index *index,
                const instar_value *image, const struct look *at, instar_value *values_out,
                struct base_err *err)
{
    int rc = INSTAR_OK;
    for (uint32_t i = 0; i < at->count && rc == INSTAR_OK; i++) {
        const instar_value *value = &image[txn_place(c, at->columns[i])];
        if (index->sight == CATALOG_SIGHT_NOW) {
            values_out[i] = *value;
        } else {
            rc = catalog_index_see(c->table, index, at->columns[i], value, at->scratch,
                                   &values_out[i], err);
        }
    }
    return rc;
}

/* Values of an index's own parts from an image. */
static int own_parts(const struct txn_codec *c, const struct catalog_index *index,
                     const instar_value *image, struct base_arena *scratch,
                     instar_value values_out[INSTAR_INDEX_COLUMNS_MAX], struct base_err *err)
{
    if (!index->computed) {
        return look(c, index, image, &(struct look){index->key_columns, index->part_count, scratch},
                    values_out, err);
    }
    instar_value *needs = base_arena_alloc(scratch, sizeof(*needs) * (index->need_count + 1u));
    if (needs == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", c->table->name);
    }
    int rc =
        look(c, index, image, &(struct look){index->needs, index->need_count, scratch}, needs, err);
    return rc == INSTAR_OK ? catalog_index_parts(c->table, index, needs, scratch, values_out, err)
                           : rc;
}

/* Those of the key in which its entries end. */
static int key_behind(const struct txn_codec *c, const struct catalog_index *index,
                      const instar_value *image, struct base_arena *scratch,
                      instar_value *values_out, struct base_err *err)
{
    const struct catalog_index *keyer = catalog_index_keyer(c->table, index);
    const struct look at = {index->key_columns + index->part_count,
                            index->key_part_count - index->part_count, scratch};
    if (keyer != NULL) {
        return look(c, keyer, image, &at, values_out, err);
    }
    for (uint32_t i = 0; i < at.count; i++) {
        values_out[i] = image[txn_place(c, at.columns[i])];
    }
    return INSTAR_OK;
}

int txn_codec_entry(const struct txn_codec *c, const struct catalog_index *index,
                    const instar_value *image, struct txn_entry_to *to, struct base_err *err)
{
    struct base_buf *out = to->bytes;
    instar_value values[INSTAR_INDEX_COLUMNS_MAX * 2];
    size_t begin = out->size;
    uint32_t own = index->part_count;
    int rc = own_parts(c, index, image, to->scratch, values, err);
    if (rc == INSTAR_OK && !index->rows) {
        rc = key_behind(c, index, image, to->scratch, values + own, err);
    }
    if (rc != INSTAR_OK) {
        return rc; /* the words name the index */
    }
    rc = row_key_encode(index->key_parts, values, own, out, err);
    to->prefix_size = out->size - begin;
    if (rc == INSTAR_OK && !index->rows) {
        rc = row_key_encode(index->key_parts + own, values + own, index->key_part_count - own, out,
                            err);
    }
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "index %s of table %s", catalog_index_called(c->table, index),
                        c->table->name);
    } else if (out->size - begin > INSTAR_KEY_BYTES_MAX) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "index %s of table %s: an entry of %zu bytes, columns and primary key "
                          "together; the limit is %d",
                          catalog_index_called(c->table, index), c->table->name, out->size - begin,
                          INSTAR_KEY_BYTES_MAX);
    }
    return rc;
}

int txn_codec_inside(const struct txn_codec *c, const struct catalog_index *index,
                     const instar_value *image, struct base_arena *scratch, bool *inside_out,
                     struct base_err *err)
{
    *inside_out = index->predicate == NULL;
    if (*inside_out) {
        return INSTAR_OK;
    }
    instar_value *inputs = base_arena_alloc(scratch, sizeof(*inputs) * (index->input_count + 1u));
    if (inputs == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", c->table->name);
    }
    int rc = look(c, index, image, &(struct look){index->inputs, index->input_count, scratch},
                  inputs, err);
    return rc == INSTAR_OK ? catalog_index_inside(c->table, index, inputs, scratch, inside_out, err)
                           : rc;
}

int txn_include_encode(const struct catalog_table *table, const struct catalog_index *index,
                       const instar_value *values, struct base_buf *out, struct base_err *err)
{
    size_t begin = out->size;
    int rc = row_key_encode(index->include_parts, values, index->include_count, out, err);
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "index %s of table %s", catalog_index_called(table, index),
                        table->name);
    } else if (out->size - begin > INSTAR_INCLUDE_BYTES_MAX) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "index %s of table %s: included columns of %zu bytes; the limit is %d",
                          catalog_index_called(table, index), table->name, out->size - begin,
                          INSTAR_INCLUDE_BYTES_MAX);
    }
    return rc;
}

int txn_codec_include(const struct txn_codec *c, const struct catalog_index *index,
                      const instar_value *image, struct txn_entry_to *to, struct base_err *err)
{
    instar_value values[INSTAR_INDEX_COLUMNS_MAX];
    int rc = look(c, index, image,
                  &(struct look){index->includes, index->include_count, to->scratch}, values, err);
    return rc == INSTAR_OK ? txn_include_encode(c->table, index, values, to->bytes, err) : rc;
}
