/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign keys. A statement notes what it is answerable for, and the commit asks, of what the
 * transaction leaves behind:
 *
 *     a row of the child came, or changed      is the row still so? Then the parent must have
 *     its columns, none of them null           the key
 *     a row of the parent went, or changed     no row of the child may refer to the key; with NO
 *     the key, nothing in it null              ACTION one may, when the key is there again
 *
 * The questions are probes, validated under any isolation. So of a child and a delete of its parent
 * that run side by side one fails: had the delete committed first, the child's probe found a key
 * that has changed since; had the child, the delete's probe of the child's index found a range in
 * which an entry has come. Each of them holds a lease on both tables (TXN-2), for what it asks of
 * the other one is asked as that one's version has it.
 *
 * A write that changes no column of the foreign key is not answerable for it: a row from before
 * that breaks it, while it is not valid, may change elsewhere. But the row is asked for by the key
 * under which it was noted; when that changes, and the transaction itself wrote the one before, the
 * question moves along, or nobody would ask it.
 */
#include "txn/txn_impl.h"

#include <string.h>

/* ---- asking ------------------------------------------------------------------------------- */

/* Append the code of values as parts of a key: of whatever integer type they are, for the codes are
 * alike. */
static int encode(const struct row_key_part *parts, const instar_value *values, uint32_t count,
                  struct base_buf *out, struct base_err *err)
{
    struct row_key_part own[INSTAR_INDEX_COLUMNS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        own[i] = parts[i];
        own[i].type = (enum instar_type)values[i].type;
    }
    return row_key_encode(own, values, count, out, err);
}

/* The first key that begins with these bytes; ENOTFOUND without words. */
static int find_first(struct store_txn *t, uint64_t tree, struct base_slice prefix,
                      enum store_read how, struct base_buf *key_out, struct base_err *err)
{
    struct base_buf upper = {0};
    struct store_range range = {.lower = prefix};
    struct store_cursor *cursor = NULL;
    struct base_slice key;
    struct base_slice value;
    int rc = base_buf_add(&upper, prefix.data, prefix.size)
                 ? INSTAR_OK
                 : base_err_set(err, INSTAR_ENOMEM, "no memory to check a foreign key");
    if (rc == INSTAR_OK && row_key_successor(&upper)) {
        range.upper = base_buf_slice(&upper);
    }
    if (rc == INSTAR_OK) {
        rc = store_cursor_open(t, tree, &range, how, &cursor, err);
    }
    if (rc == INSTAR_OK) {
        rc = store_cursor_next(cursor, &key, &value, err);
        if (rc == INSTAR_OK && key_out != NULL && !base_buf_add(key_out, key.data, key.size)) {
            rc = base_err_set(err, INSTAR_ENOMEM, "no memory to check a foreign key");
        }
        store_cursor_close(cursor);
    }
    base_buf_free(&upper);
    return rc == INSTAR_END ? INSTAR_ENOTFOUND : rc;
}

/* Is there a row with that key? A primary key is all of a row's key. */
static int has_key(struct store_txn *t, const struct catalog_parent_key *key,
                   struct base_slice bytes, enum store_read how, bool *has_out,
                   struct base_err *err)
{
    struct base_slice value;
    int rc = key->index != NULL ? find_first(t, key->tree, bytes, how, NULL, err)
                                : store_txn_get(t, key->tree, bytes, how, &value, err);
    *has_out = rc == INSTAR_OK;
    return rc == INSTAR_ENOTFOUND ? INSTAR_OK : rc;
}

int txn_parent_has(struct store_txn *t, const struct catalog_table *parent,
                   const struct catalog_fkey *fkey, const instar_value *values, bool *has_out,
                   struct base_err *err)
{
    struct catalog_parent_key key;
    struct base_buf bytes = {0};
    *has_out = false;
    if (!catalog_parent_key_of(parent, fkey->parent_index, &key)) {
        return base_err_set(err, INSTAR_ECORRUPT, "table %s has no key for foreign key %s",
                            parent->name, fkey->name);
    }
    int rc = encode(key.key_parts, values, key.count, &bytes, err);
    if (rc == INSTAR_OK) {
        rc = has_key(t, &key, base_buf_slice(&bytes), STORE_READ_UNTRACKED, has_out, err);
    }
    base_buf_free(&bytes);
    return rc;
}

/* ---- noting ------------------------------------------------------------------------------- */

static struct base_slice bytes_at(const struct txn *t, size_t at, uint32_t size)
{
    return base_slice(t->reference_keys.data + at, size);
}

static int no_memory(const struct catalog_fkey *fkey, struct base_err *err)
{
    return base_err_set(err, INSTAR_ENOMEM, "no memory to check foreign key %s", fkey->name);
}

static bool differ(const struct txn_codec *codec, const struct txn_move *move, uint32_t column)
{
    uint32_t place = txn_place(codec, column);
    return row_value_cmp(&move->from[place], &move->to[place]) != 0;
}

/* The bytes behind `at` are the reference's own key up to `middle`, then what is looked for. */
static int add(struct txn *t, struct txn_reference *r, size_t at, size_t middle,
               struct base_err *err)
{
    r->own_at = at;
    r->own_size = (uint32_t)(middle - at);
    r->other_at = middle;
    r->other_size = (uint32_t)(t->reference_keys.size - middle);
    return base_buf_add(&t->references, r, sizeof(*r)) ? INSTAR_OK : no_memory(r->fkey, err);
}

/* Append the key by which a row is found on the path, and by which it is asked for at commit. */
static int add_own_key(struct txn *t, const struct txn_table *table,
                       const struct catalog_fkey_path *path, const instar_value *image,
                       struct base_slice row_key, struct base_err *err)
{
    struct txn_entry_to to = {.bytes = &t->reference_keys, .scratch = &t->scratch};
    if (path->index != NULL) {
        return txn_codec_entry(&table->codec, path->index, image, &to, err);
    }
    return base_buf_add(&t->reference_keys, row_key.data, row_key.size)
               ? INSTAR_OK
               : base_err_set(err, INSTAR_ENOMEM, "no memory to check a foreign key");
}

/* A row whose reference stays: has it got another own key, and did this transaction write the one
 * that it had? */
static int moves_along(struct txn *t, const struct txn_table *table,
                       const struct catalog_fkey_path *path, const struct txn_move *move,
                       bool *moves_out, struct base_err *err)
{
    size_t at = t->reference_keys.size;
    *moves_out = false;
    if (!store_txn_has_writes(t->store)) {
        return INSTAR_OK;
    }
    int rc = add_own_key(t, table, path, move->from, move->from_key, err);
    size_t middle = t->reference_keys.size;
    rc = rc == INSTAR_OK ? add_own_key(t, table, path, move->to, move->to_key, err) : rc;
    if (rc == INSTAR_OK) {
        struct base_slice from = bytes_at(t, at, (uint32_t)(middle - at));
        struct base_slice to = bytes_at(t, middle, (uint32_t)(t->reference_keys.size - middle));
        *moves_out = !base_slice_eq(from, to) && store_txn_has_put(t->store, path->tree, from);
    }
    t->reference_keys.size = at;
    return rc;
}

/* The image that is written refers to a key. Its own key is the one by which the row is found. */
static int note_child(struct txn *t, struct txn_table *table, const struct catalog_fkey *fkey,
                      const struct txn_move *move, struct base_err *err)
{
    struct txn_reference r = {.child = table, .fkey = fkey};
    instar_value values[INSTAR_INDEX_COLUMNS_MAX];
    struct catalog_fkey_path path;
    struct catalog_parent_key key;
    size_t at = t->reference_keys.size;
    bool changed = move->from == NULL;
    for (uint32_t i = 0; i < fkey->column_count; i++) {
        values[i] = move->to[txn_place(&table->codec, fkey->columns[i])];
        if (values[i].type == INSTAR_NULL) {
            return INSTAR_OK;
        }
        changed = changed || differ(&table->codec, move, fkey->columns[i]);
    }
    bool known = catalog_fkey_path(table->codec.table, fkey, &path);
    int rc = INSTAR_OK;
    if (known && !changed) {
        rc = moves_along(t, table, &path, move, &changed, err);
    }
    if (rc == INSTAR_OK && changed) {
        rc = txn_open_table_by_id(t, fkey->parent, &r.parent, err);
    }
    if (rc != INSTAR_OK || !changed) {
        return rc;
    }
    if (!known || !catalog_parent_key_of(r.parent->codec.table, fkey->parent_index, &key)) {
        return base_err_set(err, INSTAR_ECORRUPT, "foreign key %s of table %s has lost its key",
                            fkey->name, table->codec.table->name);
    }
    rc = add_own_key(t, table, &path, move->to, move->to_key, err);
    size_t middle = t->reference_keys.size;
    if (rc == INSTAR_OK) {
        rc = encode(key.key_parts, values, key.count, &t->reference_keys, err);
    }
    return rc == INSTAR_OK ? add(t, &r, at, middle, err) : rc;
}

/* The image that goes, or changes, had a key. Its own key is that. */
static int note_parent(struct txn *t, struct txn_table *table,
                       const struct catalog_referrer *referrer, const struct txn_move *move,
                       struct base_err *err)
{
    struct txn_reference r = {.parent = table, .of_parent = true};
    instar_value values[INSTAR_INDEX_COLUMNS_MAX];
    instar_value ordered[INSTAR_INDEX_COLUMNS_MAX];
    struct catalog_fkey_path path;
    struct catalog_parent_key key;
    size_t at = t->reference_keys.size;
    bool changed = move->to == NULL;
    bool known = catalog_parent_key_of(table->codec.table, referrer->index, &key);
    for (uint32_t i = 0; known && i < key.count; i++) {
        values[i] = move->from[txn_place(&table->codec, key.parts[i].column)];
        if (values[i].type == INSTAR_NULL) {
            return INSTAR_OK;
        }
        changed = changed || differ(&table->codec, move, key.parts[i].column);
    }
    if (known && !changed) {
        return INSTAR_OK;
    }
    int rc = txn_open_table_by_id(t, referrer->child, &r.child, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    r.fkey = catalog_table_fkey_by_id(r.child->codec.table, referrer->fkey);
    if (!known || r.fkey == NULL || r.fkey->column_count != key.count ||
        r.fkey->parent_index != referrer->index ||
        !catalog_fkey_path(r.child->codec.table, r.fkey, &path)) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "tables %s and %s do not agree on a foreign key between them",
                            table->codec.table->name, r.child->codec.table->name);
    }
    r.restricts = move->to == NULL ? r.fkey->restrict_delete : r.fkey->restrict_update;
    rc = encode(key.key_parts, values, key.count, &t->reference_keys, err);
    size_t middle = t->reference_keys.size;
    for (uint32_t i = 0; i < key.count; i++) {
        ordered[i] = values[path.order[i]];
    }
    if (rc == INSTAR_OK) {
        rc = encode(path.key_parts, ordered, key.count, &t->reference_keys, err);
    }
    return rc == INSTAR_OK ? add(t, &r, at, middle, err) : rc;
}

int txn_reference_note(struct txn *t, struct txn_table *table, const struct txn_move *move,
                       struct base_err *err)
{
    const struct catalog_table *ct = table->codec.table;
    int rc = INSTAR_OK;
    for (uint32_t i = 0; rc == INSTAR_OK && move->to != NULL && i < ct->fkey_count; i++) {
        rc = note_child(t, table, &ct->fkeys[i], move, err);
    }
    for (uint32_t i = 0; rc == INSTAR_OK && move->from != NULL && i < ct->referrer_count; i++) {
        rc = note_parent(t, table, &ct->referrers[i], move, err);
    }
    return rc;
}

/* ---- at commit ---------------------------------------------------------------------------- */

static int violation(const struct txn_reference *r, struct base_slice child_key, const char *what,
                     const char *more, struct base_err *err)
{
    const struct catalog_table *child = r->child->codec.table;
    struct base_buf text = {0};
    txn_describe_reference(child, r->fkey, child_key, &text);
    int rc = base_err_set(err, INSTAR_EREFERENCE, "foreign key %s of table %s: %.*s %s table %s%s",
                          r->fkey->name, child->name, (int)text.size,
                          text.size > 0 ? (const char *)text.data : "", what,
                          r->parent->codec.table->name, more);
    base_buf_free(&text);
    return rc;
}

static int check_child(struct txn *t, const struct txn_reference *r, struct base_err *err)
{
    struct base_slice own = bytes_at(t, r->own_at, r->own_size);
    struct catalog_fkey_path path;
    struct catalog_parent_key key;
    struct base_slice value;
    bool has = false;
    bool known = catalog_fkey_path(r->child->codec.table, r->fkey, &path) &&
                 catalog_parent_key_of(r->parent->codec.table, r->fkey->parent_index, &key);
    base_assert(known); /* it was when this was noted */
    int rc = store_txn_get(t->store, path.tree, own, STORE_READ_UNTRACKED, &value, err);
    if (rc != INSTAR_OK) {
        return rc == INSTAR_ENOTFOUND ? INSTAR_OK : rc; /* taken back */
    }
    rc = has_key(t->store, &key, bytes_at(t, r->other_at, r->other_size), STORE_READ_PROBE, &has,
                 err);
    return rc == INSTAR_OK && !has ? violation(r, own, "is no key of", "", err) : rc;
}

static int check_parent(struct txn *t, const struct txn_reference *r, struct base_err *err)
{
    struct catalog_fkey_path path;
    struct catalog_parent_key key;
    struct base_buf found = {0};
    bool has = false;
    bool known = catalog_fkey_path(r->child->codec.table, r->fkey, &path) &&
                 catalog_parent_key_of(r->parent->codec.table, r->fkey->parent_index, &key);
    base_assert(known);
    int rc = INSTAR_OK;
    if (!r->restricts) {
        rc = has_key(t->store, &key, bytes_at(t, r->own_at, r->own_size), STORE_READ_PROBE, &has,
                     err);
    }
    if (rc != INSTAR_OK || has) {
        return rc;
    }
    rc = find_first(t->store, path.tree, bytes_at(t, r->other_at, r->other_size), STORE_READ_PROBE,
                    &found, err);
    if (rc == INSTAR_OK) {
        rc = violation(r, base_buf_slice(&found), "refers to", ", which loses that key", err);
    } else if (rc == INSTAR_ENOTFOUND) {
        rc = INSTAR_OK;
    }
    base_buf_free(&found);
    return rc;
}

int txn_reference_check_all(struct txn *t, struct base_err *err)
{
    const struct txn_reference *list =
        (const struct txn_reference *)(const void *)t->references.data;
    size_t count = t->references.size / sizeof(*list);
    int rc = INSTAR_OK;
    for (size_t i = 0; i < count && rc == INSTAR_OK; i++) {
        rc = list[i].of_parent ? check_parent(t, &list[i], err) : check_child(t, &list[i], err);
    }
    return rc;
}
