/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unique indexes. Entries never collide in the tree, because each ends in its row's primary key; so
 * uniqueness is a question to be asked: is there another entry with the same columns? It is asked
 * at commit, of what the transaction leaves behind, so that two rows may swap their values. The
 * read is a probe: even a snapshot transaction is refused when another commit has changed the
 * answer.
 *
 * Only entries that this transaction wrote are asked about. While the index is not validated yet
 * there may be older duplicates, and they are not this transaction's fault; nor is an entry that it
 * wrote and took back. Columns with a null are equal to nothing.
 */
#include "txn/txn_impl.h"

int txn_probe_note(struct txn *t, struct txn_table *table, const struct catalog_index *index,
                   struct base_slice key, size_t prefix_size, struct base_err *err)
{
    struct txn_probe probe = {.table = table,
                              .index = index,
                              .key_at = t->probe_keys.size,
                              .key_size = (uint32_t)key.size,
                              .prefix_size = (uint32_t)prefix_size};
    if (row_key_has_null(index->key_parts, index->part_count, key)) {
        return INSTAR_OK;
    }
    if (!base_buf_add(&t->probe_keys, key.data, key.size) ||
        !base_buf_add(&t->probes, &probe, sizeof(probe))) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to check index %s", index->name);
    }
    return INSTAR_OK;
}

static int duplicate(const struct txn_probe *probe, struct base_slice ours, struct base_slice other,
                     struct base_err *err)
{
    char values[TXN_TEXT_MAX];
    char our_row[TXN_TEXT_MAX];
    char other_row[TXN_TEXT_MAX];
    const struct catalog_table *table = probe->table->codec.table;
    size_t prefix = probe->prefix_size;
    txn_prefix_text(table, probe->index, ours, values);
    txn_suffix_text(table, probe->index,
                    base_slice((const uint8_t *)ours.data + prefix, ours.size - prefix), our_row);
    txn_suffix_text(table, probe->index,
                    base_slice((const uint8_t *)other.data + prefix, other.size - prefix),
                    other_row);
    return base_err_set(
        err, INSTAR_EUNIQUE, "unique index %s of table %s: row %s has %s, which row %s has already",
        catalog_index_called(table, probe->index), table->name, our_row, values, other_row);
}

static int probe_one(struct txn *t, const struct txn_probe *probe, struct base_slice key,
                     struct base_buf *upper, struct base_err *err)
{
    struct base_slice prefix = base_slice(key.data, probe->prefix_size);
    struct base_slice found;
    struct base_slice value;
    struct store_cursor *cursor;
    int rc = store_txn_get(t->store, probe->index->tree, key, STORE_READ_UNTRACKED, &value, err);
    if (rc != INSTAR_OK) {
        return rc == INSTAR_ENOTFOUND ? INSTAR_OK : rc; /* taken back */
    }
    base_buf_clear(upper);
    if (!base_buf_add(upper, prefix.data, prefix.size)) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to check index %s", probe->index->name);
    }
    struct store_range range = {.lower = prefix};
    if (row_key_successor(upper)) {
        range.upper = base_buf_slice(upper);
    }
    rc = store_cursor_open(t->store, probe->index->tree, &range, STORE_READ_PROBE, &cursor, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    do {
        rc = store_cursor_next(cursor, &found, &value, err);
    } while (rc == INSTAR_OK && base_slice_eq(found, key));
    if (rc == INSTAR_OK) {
        rc = duplicate(probe, key, found, err);
    } else if (rc == INSTAR_END) {
        rc = INSTAR_OK;
    }
    store_cursor_close(cursor);
    return rc;
}

/* ---- rows by another primary key ---------------------------------------------------------- */

/* The tree of rows by the columns of a unique index that came with it, as its witness. */
static const struct catalog_index *rows_by(const struct catalog_table *table,
                                           const struct catalog_index *unique)
{
    for (uint32_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *rows = &table->indexes[i];
        bool same = rows->rows && catalog_may_write(rows) && rows->change == unique->change &&
                    unique->keyed_by == 0 && rows->part_count == unique->part_count;
        for (uint32_t k = 0; same && k < rows->part_count; k++) {
            same = rows->parts[k].column == unique->parts[k].column &&
                   rows->parts[k].descending == unique->parts[k].descending;
        }
        if (same) {
            return rows;
        }
    }
    return NULL;
}

/* The row that the unique index has under these values, in the transaction's final state. END:
 * there is none. */
static int find_row(struct txn *t, const struct txn_probe *probe, struct base_slice prefix,
                    struct base_buf *key_out, struct base_err *err)
{
    struct store_range range = {.lower = prefix};
    struct store_cursor *cursor;
    struct base_slice found;
    struct base_slice value;
    base_buf_clear(key_out);
    if (!base_buf_add(key_out, prefix.data, prefix.size)) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to check index %s", probe->index->name);
    }
    if (row_key_successor(key_out)) {
        range.upper = base_buf_slice(key_out);
    }
    int rc =
        store_cursor_open(t->store, probe->index->tree, &range, STORE_READ_UNTRACKED, &cursor, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = store_cursor_next(cursor, &found, &value, err);
    base_buf_clear(key_out);
    if (rc == INSTAR_OK && !base_buf_add(key_out, (const uint8_t *)found.data + prefix.size,
                                         found.size - prefix.size)) {
        rc = base_err_set(err, INSTAR_ENOMEM, "no memory to check index %s", probe->index->name);
    }
    store_cursor_close(cursor);
    return rc;
}

/* The row's entry in an index that ends with the new key, if it has one. */
static int settle_entry(struct txn *t, const struct txn_codec *codec,
                        const struct catalog_index *index, const instar_value *image,
                        struct base_err *err)
{
    static const uint8_t front[ROW_ENTRY_SIZE];
    struct txn_entry_to to = {.bytes = &t->from_key, .scratch = &t->scratch};
    struct base_buf *value = &t->to_key;
    bool inside;
    base_buf_clear(to.bytes);
    base_buf_clear(value);
    int rc = txn_codec_inside(codec, index, image, &t->scratch, &inside, err);
    if (rc != INSTAR_OK || !inside) {
        return rc;
    }
    rc = txn_codec_entry(codec, index, image, &to, err);
    if (rc == INSTAR_OK && !base_buf_add(value, front, sizeof(front))) {
        rc = base_err_set(err, INSTAR_ENOMEM, "no memory to check index %s", index->name);
    }
    if (rc == INSTAR_OK && index->include_count > 0) {
        struct txn_entry_to included = {.bytes = value, .scratch = &t->scratch};
        rc = txn_codec_include(codec, index, image, &included, err);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    row_entry_encode(codec->table->version, base_buf_slice(to.bytes),
                     row_entry_include(base_buf_slice(value)), value->data);
    return store_txn_put(t->store, index->tree, base_buf_slice(to.bytes), base_buf_slice(value),
                         err);
}

/* The row in its tree, and its entries. */
static int settle_row(struct txn *t, const struct txn_codec *codec,
                      const struct catalog_index *rows, struct base_slice key,
                      const instar_value *image, struct base_err *err)
{
    const struct catalog_table *table = codec->table;
    base_buf_clear(&t->to_key);
    int rc = txn_codec_encode(codec, key, image, &t->to_key, err);
    if (rc == INSTAR_OK) {
        rc = store_txn_put(t->store, rows->tree, key, base_buf_slice(&t->to_key), err);
    }
    for (uint32_t i = 0; rc == INSTAR_OK && i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        if (index->keyed_by == rows->id && catalog_may_write(index)) {
            rc = settle_entry(t, codec, index, image, err);
        }
    }
    return rc;
}

/* On the way to its end the transaction may have had two rows with one value of the new key. In the
 * tree of rows by that key, and in indexes that end with it, they took each other's place, and
 * whoever left it last left nobody there. Now that each value is one row's, that row is put under
 * it. */
static int settle(struct txn *t, const struct txn_probe *probe, struct base_slice prefix,
                  struct base_buf *bytes, struct base_err *err)
{
    const struct txn_codec *codec = &probe->table->codec;
    const struct catalog_index *rows = rows_by(codec->table, probe->index);
    struct base_slice record;
    if (rows == NULL) {
        return INSTAR_OK;
    }
    int rc = find_row(t, probe, prefix, bytes, err);
    if (rc != INSTAR_OK) {
        return rc == INSTAR_END ? INSTAR_OK : rc;
    }
    base_arena_reset(&t->scratch);
    instar_value *image =
        base_arena_alloc(&t->scratch, sizeof(*image) * (codec->layout->column_count + (size_t)1));
    if (image == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", codec->table->name);
    }
    rc = store_txn_get(t->store, codec->table->tree, base_buf_slice(bytes), STORE_READ_UNTRACKED,
                       &record, err);
    if (rc == INSTAR_OK) {
        rc = txn_codec_decode(codec, base_buf_slice(bytes), record, &t->scratch, image, NULL, err);
    }
    return rc == INSTAR_OK ? settle_row(t, codec, rows, prefix, image, err) : rc;
}

int txn_probe_all(struct txn *t, struct base_err *err)
{
    const struct txn_probe *probes = (const struct txn_probe *)(const void *)t->probes.data;
    size_t count = t->probes.size / sizeof(*probes);
    struct base_buf bytes = {0};
    int rc = INSTAR_OK;
    for (size_t i = 0; i < count && rc == INSTAR_OK; i++) {
        struct base_slice key =
            base_slice(t->probe_keys.data + probes[i].key_at, probes[i].key_size);
        rc = probe_one(t, &probes[i], key, &bytes, err);
    }
    for (size_t i = 0; i < count && rc == INSTAR_OK; i++) {
        rc = settle(t, &probes[i],
                    base_slice(t->probe_keys.data + probes[i].key_at, probes[i].prefix_size),
                    &bytes, err);
    }
    base_buf_free(&bytes);
    return rc;
}
