/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Get by primary key, and scans over the table or an index.
 *
 * A scan's bounds are the codes of the first values of a key. A code of fewer values is a prefix of
 * all keys that begin with it, so a bound stands for all of them: the successor of the code is the
 * first key behind them.
 *
 *     lower inclusive   from code           upper inclusive   before successor(code)
 *     lower exclusive   from successor      upper exclusive   before code
 *
 * A scan over an index takes the primary key from each entry and reads the row: both reads are
 * part of what is validated. An entry without its row is corruption, and named. Where the entries
 * have all that the projection names (the index's columns, those that it includes, the primary key)
 * the row is not read. What is read then says the same: whoever changes one of these columns
 * changes the entry. Only a zero of float8 is looked up, since its sign is not in the key code.
 *
 * A partial index has entries of the rows for which its predicate is true, and so has a scan.
 *
 * While the primary key is becoming one of other types every row that is read is also looked for by
 * that one, to be in conflict with whoever writes it by then (catalog/sight.c).
 */
#include "txn/txn_impl.h"

#include <string.h>

#define FEW_VALUES 32 /* that need no memory on the way */

/* What stands between a record and the caller's values. */
struct reader {
    const struct txn *t;
    const struct txn_bound *bound;
    struct base_arena *arena;
};

struct txn_cursor {
    struct txn *t;
    const struct txn_bound *bound;     /* until the transaction ends */
    const struct catalog_index *index; /* NULL: the primary key */
    struct store_cursor *store;        /* NULL: the range is empty */
    struct base_arena arena;           /* of the row that was handed out last */
    struct reader reader;
    /* Rows of the primary key that are handed out as they are decoded, as most are; in a
     * transaction that writes nothing, so none of its statements can have failed half way. */
    bool straight;
    struct row_found row;
    struct row_wanted want;
};

/* ---- values ------------------------------------------------------------------------------- */

/* In a transaction that writes, what the store handed out may go with the next write. */
static bool keep_bytes(const struct txn *t, struct base_arena *arena, instar_value *value)
{
    bool has_bytes = value->type == INSTAR_TEXT || value->type == INSTAR_BYTEA;
    return txn_read_only(t) || !has_bytes || row_value_copy(arena, value, value);
}

/* What is found there is not asked: the tree may not be complete. */
static int meet_coming(const struct reader *reader, const struct catalog_index *rows,
                       struct base_slice key, struct base_slice record, struct base_err *err)
{
    const struct txn_codec *codec = &reader->bound->table->codec;
    struct base_buf bytes = {0};
    struct txn_entry_to to = {.bytes = &bytes, .scratch = reader->arena};
    struct base_slice ignored;
    instar_value *image =
        base_arena_alloc(reader->arena, sizeof(*image) * (codec->layout->column_count + (size_t)1));
    if (image == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", codec->table->name);
    }
    int rc = txn_codec_decode(codec, key, record, reader->arena, image, NULL, err);
    if (rc == INSTAR_OK && txn_codec_entry(codec, rows, image, &to, NULL) == INSTAR_OK) {
        rc = store_txn_get(reader->t->store, rows->tree, base_buf_slice(&bytes), STORE_READ_NORMAL,
                           &ignored, err);
        rc = rc == INSTAR_ENOTFOUND ? INSTAR_OK : rc;
    }
    base_buf_free(&bytes);
    return rc;
}

static int hand_out(const struct reader *reader, struct base_slice key, struct base_slice record,
                    instar_value *values_out, struct base_err *err)
{
    const struct txn_projection *p = reader->bound->projection;
    const struct txn_resolution *r = reader->bound->resolution;
    const struct txn_codec *codec = &reader->bound->table->codec;
    struct base_arena *arena = reader->arena;
    instar_value few[FEW_VALUES];
    instar_value *decoded = r->straight ? values_out : few;
    if (!r->straight && p->count > FEW_VALUES) {
        decoded = base_arena_alloc(arena, sizeof(*decoded) * p->count);
        if (decoded == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", p->table);
        }
    }
    const struct catalog_index *coming =
        txn_read_only(reader->t) ? NULL : catalog_coming_rows(codec->table);
    int rc = coming != NULL ? meet_coming(reader, coming, key, record, err) : INSTAR_OK;
    if (rc == INSTAR_OK) {
        struct row_found row = {.key = key, .record = record, .arena = arena};
        rc = txn_codec_decode_some(codec, &row,
                                   &(struct row_wanted){r->positions, p->count, decoded}, err);
    }
    bool as_decoded = r->straight && txn_read_only(reader->t);
    for (size_t i = 0; i < p->count && rc == INSTAR_OK && !as_decoded; i++) {
        if (!r->straight) {
            values_out[i] = decoded[r->picks[i]];
        }
        if (!keep_bytes(reader->t, arena, &values_out[i])) {
            rc = base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", p->table);
        }
    }
    return rc;
}

BASE_SELDOM static void clear_values(const struct txn_projection *p, instar_value *values_out)
{
    memset(values_out, 0, sizeof(*values_out) * p->count);
}

/* ---- get ---------------------------------------------------------------------------------- */

static int check_key_value(const struct catalog_table *table, uint32_t column, const char *what,
                           instar_value *value, struct base_err *err)
{
    *value = txn_as_integer(table->columns[column].type, value);
    int rc = row_value_check(table->columns[column].type, value, err);
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "%s, column %s of table %s", what, table->columns[column].name,
                        table->name);
    }
    return rc;
}

/* The same for an expression of an index. */
static int check_computed_value(const struct catalog_index *index, size_t at, const char *what,
                                instar_value *value, struct base_err *err)
{
    *value = txn_as_integer(index->key_parts[at].type, value);
    int rc = row_value_check(index->key_parts[at].type, value, err);
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "%s, expression %zu of index %s", what, at + 1, index->name);
    }
    return rc;
}

static int get_bound(struct txn *t, const struct txn_bound *b, const instar_value *key,
                     instar_value *values_out, struct base_err *err)
{
    const struct catalog_table *table = b->table->codec.table;
    struct reader reader = {.t = t, .bound = b, .arena = &t->arena};
    struct base_buf *bytes = &t->from_key;
    instar_value values[INSTAR_INDEX_COLUMNS_MAX];
    struct base_slice record;
    char text[TXN_TEXT_MAX];
    int rc = txn_same_key(b, err);
    base_buf_clear(bytes);
    for (uint32_t i = 0; i < table->key_count && rc == INSTAR_OK; i++) {
        values[i] = key[i];
        rc = check_key_value(table, table->key[i].column, "key", &values[i], err);
    }
    if (rc == INSTAR_OK) {
        rc = row_key_encode(table->key_parts, values, table->key_count, bytes, err);
    }
    if (rc == INSTAR_OK && bytes->size > INSTAR_KEY_BYTES_MAX) {
        rc = INSTAR_ENOTFOUND; /* no row can have it */
    } else if (rc == INSTAR_OK) {
        rc = store_txn_get(t->store, table->tree, base_buf_slice(bytes), STORE_READ_NORMAL, &record,
                           err);
    }
    if (rc == INSTAR_ENOTFOUND) {
        txn_key_text(table, base_buf_slice(bytes), text);
        base_err_set(err, rc, "table %s has no row %s", table->name, text);
    }
    if (rc == INSTAR_OK) {
        rc = hand_out(&reader, base_buf_slice(bytes), record, values_out, err);
    }
    return rc;
}

int txn_get(struct txn *t, struct txn_projection *p, const instar_value *key,
            instar_value *values_out, struct base_err *err)
{
    struct txn_bound *b;
    int rc = txn_bind(t, p, &b, err);
    if (rc == INSTAR_OK) {
        t->used = true;
        rc = get_bound(t, b, key, values_out, err);
    }
    if (rc != INSTAR_OK) {
        clear_values(p, values_out);
    }
    return rc;
}

/* ---- bounds ------------------------------------------------------------------------------- */

/* The key that is scanned: an index's columns and then the primary key's, or these alone. */
struct scanned {
    const struct catalog_table *table;
    const struct catalog_index *index;
    const struct row_key_part *parts;
    size_t count;
};

static struct scanned scanned_key(const struct catalog_table *table,
                                  const struct catalog_index *index)
{
    if (index != NULL) {
        return (struct scanned){table, index, index->key_parts, index->key_part_count};
    }
    return (struct scanned){table, NULL, table->key_parts, table->key_count};
}

static uint32_t column_at(const struct scanned *s, size_t at)
{
    return s->index != NULL ? s->index->key_columns[at] : s->table->key[at].column;
}

static int encode_bound(const struct scanned *s, const char *what, const instar_value *values,
                        size_t count, struct base_buf *out, struct base_err *err)
{
    if (count > s->count) {
        return base_err_set(err, INSTAR_EINVALID,
                            "%s of %zu values; the key of %s %s has %zu columns", what, count,
                            s->index != NULL ? "index" : "table",
                            s->index != NULL ? s->index->name : s->table->name, s->count);
    }
    instar_value bound[INSTAR_INDEX_COLUMNS_MAX * 2];
    for (size_t i = 0; i < count; i++) {
        bound[i] = values[i];
        uint32_t column = column_at(s, i);
        int rc = column == CATALOG_NO_COLUMN
                     ? check_computed_value(s->index, i, what, &bound[i], err)
                     : check_key_value(s->table, column, what, &bound[i], err);
        if (rc != INSTAR_OK) {
            return rc;
        }
    }
    int rc = row_key_encode(s->parts, bound, count, out, err);
    if (rc == INSTAR_OK && out->size > INSTAR_KEY_BYTES_MAX) {
        rc = base_err_set(err, INSTAR_ELIMIT, "%s of %zu bytes; the limit of %s %s is %d", what,
                          out->size, s->index != NULL ? "index" : "table",
                          s->index != NULL ? s->index->name : s->table->name, INSTAR_KEY_BYTES_MAX);
    }
    return rc;
}

/* Store bounds from those of the caller. *empty_out: nothing lies between them. */
static int make_range(const struct scanned *s, const instar_range *range, struct base_buf *lower,
                      struct base_buf *upper, struct store_range *out, bool *empty_out,
                      struct base_err *err)
{
    static const uint8_t first = 0;
    bool has_lower = range->lower != NULL && range->lower_count > 0;
    bool has_upper = range->upper != NULL && range->upper_count > 0;
    int rc = INSTAR_OK;
    *empty_out = false;
    *out = (struct store_range){.lower = base_slice(&first, 0), .reverse = range->reverse};
    if (has_lower) {
        rc = encode_bound(s, "lower bound", range->lower, range->lower_count, lower, err);
        if (rc != INSTAR_OK) {
            return rc;
        }
        *empty_out = range->lower_exclusive && !row_key_successor(lower);
        out->lower = base_buf_slice(lower);
    }
    if (has_upper) {
        rc = encode_bound(s, "upper bound", range->upper, range->upper_count, upper, err);
        if (rc != INSTAR_OK) {
            return rc;
        }
        if (range->upper_exclusive || row_key_successor(upper)) {
            out->upper = base_buf_slice(upper);
        }
    }
    if (out->upper.data != NULL && base_slice_cmp(out->lower, out->upper) >= 0) {
        *empty_out = true;
    }
    return INSTAR_OK;
}

/* ---- scan --------------------------------------------------------------------------------- */

static int open_store_cursor(struct txn_cursor *c, const instar_range *range, struct base_err *err)
{
    const struct catalog_table *table = c->bound->table->codec.table;
    struct scanned s = scanned_key(table, c->index);
    size_t own = c->index != NULL ? c->index->part_count : 0;
    bool by_key = range->lower_count > own || range->upper_count > own;
    struct base_buf lower = {0};
    struct base_buf upper = {0};
    struct store_range store_range;
    bool empty;
    int rc = by_key ? txn_same_key(c->bound, err) : INSTAR_OK;
    rc = rc == INSTAR_OK ? make_range(&s, range, &lower, &upper, &store_range, &empty, err) : rc;
    if (rc == INSTAR_OK && !empty) {
        rc = store_cursor_open(c->t->store, c->index != NULL ? c->index->tree : table->tree,
                               &store_range, STORE_READ_NORMAL, &c->store, err);
    }
    base_buf_free(&lower);
    base_buf_free(&upper);
    return rc;
}

static int choose_index(const struct txn_bound *b, const struct catalog_index **index_out,
                        struct base_err *err)
{
    const struct catalog_table *table = b->table->codec.table;
    *index_out = NULL;
    if (b->resolution->index == TXN_PRIMARY) {
        return INSTAR_OK;
    }
    const struct catalog_index *index = &table->indexes[b->resolution->index];
    if (!catalog_may_read(index)) {
        return base_err_set(err, INSTAR_EUNKNOWN,
                            "index %s of table %s cannot be read yet, or no more: it is %s",
                            index->name, table->name, catalog_stage_name(index->stage));
    }
    *index_out = index;
    return INSTAR_OK;
}

int txn_scan(struct txn *t, struct txn_projection *p, const instar_range *range,
             struct txn_cursor **cursor_out, struct base_err *err)
{
    static const instar_range everything;
    struct txn_bound *b;
    const struct catalog_index *index;
    *cursor_out = NULL;
    int rc = txn_bind(t, p, &b, err);
    if (rc == INSTAR_OK) {
        rc = choose_index(b, &index, err);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    t->used = true;
    struct txn_cursor *c = base_alloc_zero(1, sizeof(*c));
    if (c == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "scan of table %s: no memory", p->table);
    }
    *c = (struct txn_cursor){.t = t, .bound = b, .index = index};
    c->reader = (struct reader){.t = t, .bound = b, .arena = &c->arena};
    c->row.arena = &c->arena;
    c->want = (struct row_wanted){.positions = b->resolution->positions, .count = p->count};
    rc = open_store_cursor(c, range != NULL ? range : &everything, err);
    if (rc != INSTAR_OK) {
        txn_cursor_close(c);
        return rc;
    }
    c->straight = c->store != NULL && index == NULL && b->resolution->straight && txn_read_only(t);
    *cursor_out = c;
    return INSTAR_OK;
}

static int bad_entry(const struct txn_cursor *c, struct base_slice key, const char *what,
                     struct base_err *err)
{
    char text[TXN_TEXT_MAX];
    const struct catalog_table *table = c->bound->table->codec.table;
    txn_entry_text(table, c->index, key, text);
    return base_err_set(err, INSTAR_ECORRUPT, "index %s of table %s, entry %s: %s", c->index->name,
                        table->name, text, what);
}

/* Checksum and tag of an entry. */
static int open_entry(struct txn_cursor *c, struct base_slice entry, struct base_slice value,
                      struct base_err *err)
{
    const struct txn_codec *codec = &c->bound->table->codec;
    struct base_err inner = {0};
    uint32_t version;
    if (row_entry_decode(entry, value, &version, &inner) != INSTAR_OK) {
        return bad_entry(c, entry, inner.text, err);
    }
    if (version > codec->table->version && !codec->forced) {
        return bad_entry(c, entry, "its tag is newer than the table's version", err);
    }
    return INSTAR_OK;
}

/* From an entry to its row. */
static int follow_entry(struct txn_cursor *c, struct base_slice entry, struct base_slice *key_out,
                        struct base_slice *record_out, struct base_err *err)
{
    struct base_err inner = {0};
    size_t used;
    if (row_key_skip(c->index->key_parts, c->index->part_count, entry, &used, &inner) !=
        INSTAR_OK) {
        return bad_entry(c, entry, inner.text, err);
    }
    *key_out = base_slice((const uint8_t *)entry.data + used, entry.size - used);
    int rc = store_txn_get(c->t->store, c->bound->table->codec.table->tree, *key_out,
                           STORE_READ_NORMAL, record_out, err);
    return rc == INSTAR_ENOTFOUND ? bad_entry(c, entry, "it has no row", err) : rc;
}

/* One stretch of an entry's parts, as far as any is wanted; bytes only of those that are. */
static int decode_parts(const struct txn_cursor *c, const struct row_key_part *parts,
                        uint32_t count, uint64_t wanted, struct base_slice bytes,
                        instar_value *values, struct base_err *err)
{
    int rc = INSTAR_OK;
    for (uint32_t i = 0; i < count && wanted >> i != 0 && rc == INSTAR_OK; i++) {
        struct base_arena *arena = (wanted >> i & 1) != 0 ? c->reader.arena : NULL;
        rc = row_key_decode(&parts[i], 1, &bytes, arena, &values[i], err);
    }
    return rc;
}

/* The values from the entry alone. *known_out: false when the row must be asked after all. */
static int read_entry(struct txn_cursor *c, struct base_slice entry, struct base_slice value,
                      instar_value *values_out, bool *known_out, struct base_err *err)
{
    const struct txn_resolution *r = c->bound->resolution;
    const struct catalog_index *index = c->index;
    instar_value parts[TXN_ENTRY_PARTS_MAX];
    struct base_err inner = {0};
    uint32_t own = index->key_part_count;
    int rc = decode_parts(c, index->key_parts, own, r->wanted & ((UINT64_C(1) << own) - 1), entry,
                          parts, &inner);
    if (rc == INSTAR_OK) {
        rc = decode_parts(c, index->include_parts, index->include_count, r->wanted >> own,
                          row_entry_include(value), parts + own, &inner);
    }
    if (rc != INSTAR_OK) {
        return rc == INSTAR_ECORRUPT ? bad_entry(c, entry, inner.text, err)
                                     : base_err_set(err, rc, "%s", inner.text);
    }
    *known_out = true;
    for (size_t i = 0; i < c->bound->projection->count; i++) {
        values_out[i] = parts[r->sources[i]];
        *known_out = *known_out && (values_out[i].type != INSTAR_FLOAT8 || values_out[i].f != 0);
    }
    return INSTAR_OK;
}

static int next_of_index(struct txn_cursor *c, struct base_slice entry, struct base_slice value,
                         instar_value *values_out, struct base_err *err)
{
    struct base_slice key;
    struct base_slice record;
    bool known = false;
    int rc = open_entry(c, entry, value, err);
    if (rc == INSTAR_OK && c->bound->resolution->covered) {
        rc = read_entry(c, entry, value, values_out, &known, err);
    }
    if (rc != INSTAR_OK || known) {
        return rc;
    }
    rc = follow_entry(c, entry, &key, &record, err);
    return rc == INSTAR_OK ? hand_out(&c->reader, key, record, values_out, err) : rc;
}

BASE_APART static int next_of_any(struct txn_cursor *c, instar_value *values_out,
                                  struct base_err *err)
{
    struct base_slice key;
    struct base_slice record;
    int rc = INSTAR_END;
    if (c->t->broken != INSTAR_OK) {
        rc = base_err_set(err, c->t->broken,
                          "an earlier statement of this transaction failed half "
                          "way: abort it");
    } else if (c->store != NULL) {
        rc = store_cursor_next(c->store, &key, &record, err);
    }
    if (c->arena.used_bytes > 0) {
        base_arena_reset(&c->arena);
    }
    if (rc == INSTAR_OK) {
        rc = c->index != NULL ? next_of_index(c, key, record, values_out, err)
                              : hand_out(&c->reader, key, record, values_out, err);
    }
    if (rc != INSTAR_OK) {
        clear_values(c->bound->projection, values_out);
    }
    return rc;
}

int txn_cursor_next(struct txn_cursor *c, instar_value *values_out, struct base_err *err)
{
    if (!c->straight || c->arena.used_bytes > 0) {
        return next_of_any(c, values_out, err);
    }
    int rc = store_cursor_next(c->store, &c->row.key, &c->row.record, err);
    if (rc == INSTAR_OK) {
        c->want.values = values_out;
        rc = txn_codec_decode_some(&c->bound->table->codec, &c->row, &c->want, err);
    }
    if (rc != INSTAR_OK) {
        clear_values(c->bound->projection, values_out);
    }
    return rc;
}

void txn_cursor_close(struct txn_cursor *c)
{
    if (c == NULL) {
        return;
    }
    store_cursor_close(c->store);
    base_arena_free(&c->arena);
    base_free(c);
}
