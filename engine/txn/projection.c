/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projections: the names of the columns that a piece of code uses. Names are resolved in the
 * version of the transaction that comes along (a table may be at two versions at once), so a
 * projection keeps the resolutions of the two versions that were used last. A resolution is never
 * changed and is counted, because threads share a projection; it holds positions, not pointers into
 * a descriptor, because descriptors come and go.
 */
#include "txn/txn_impl.h"

#include <stdlib.h>
#include <string.h>

/* ---- resolving ---------------------------------------------------------------------------- */

static int unknown_column(const struct catalog_table *table, const char *name, struct base_err *err)
{
    const char **names = base_alloc_zero(table->column_count + 1, sizeof(*names));
    const char *nearest = NULL;
    if (names != NULL) {
        uint32_t count = catalog_visible_columns(table);
        for (uint32_t i = 0; i < count; i++) {
            names[i] = table->columns[i].name;
        }
        nearest = base_nearest_name(name, names, count);
    }
    base_err_set(err, INSTAR_EUNKNOWN, "table %s has no column %s%s%s%s", table->name, name,
                 nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                 nearest != NULL ? "?" : "");
    base_free(names);
    return INSTAR_EUNKNOWN;
}

static int unknown_index(const struct catalog_table *table, const char *name, struct base_err *err)
{
    const char **names = base_alloc_zero(table->index_count + 1, sizeof(*names));
    const char *nearest = NULL;
    if (names != NULL) {
        for (uint32_t i = 0; i < table->index_count; i++) {
            names[i] = table->indexes[i].name;
        }
        nearest = base_nearest_name(name, names, table->index_count);
    }
    base_err_set(err, INSTAR_EUNKNOWN, "table %s has no index %s%s%s%s", table->name, name,
                 nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                 nearest != NULL ? "?" : "");
    base_free(names);
    return INSTAR_EUNKNOWN;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* What reading must decode, in the layout's order, and where each value is among it. Columns of a
 * projection are distinct, so there are as many positions as values. */
static void plan_reading(const struct txn_projection *p, const struct txn_codec *codec,
                         struct txn_resolution *r)
{
    for (size_t i = 0; i < p->count; i++) {
        r->positions[i] = txn_place(codec, r->columns[i]);
    }
    qsort(r->positions, p->count, sizeof(*r->positions), compare_u32);
    r->straight = true;
    for (size_t i = 0; i < p->count; i++) {
        uint32_t place = txn_place(codec, r->columns[i]);
        uint32_t at = 0;
        while (r->positions[at] != place) {
            at++;
        }
        r->picks[i] = at;
        r->straight = r->straight && at == i;
    }
}

/* The part of an index's entry that has a column, or TXN_NO_COLUMN. */
static uint32_t source_of(const struct catalog_index *index, uint32_t column)
{
    for (uint32_t i = 0; i < index->key_part_count; i++) {
        if (index->key_columns[i] == column) {
            return i;
        }
    }
    for (uint32_t i = 0; i < index->include_count; i++) {
        if (index->includes[i] == column) {
            return index->key_part_count + i;
        }
    }
    return TXN_NO_COLUMN;
}

/* Do the entries of the index have all that is asked for? */
static void plan_covering(const struct txn_projection *p, const struct catalog_table *table,
                          const struct catalog_index *index, struct txn_resolution *r)
{
    r->covered = !catalog_index_fades(table, index);
    for (size_t i = 0; i < p->count && r->covered; i++) {
        r->sources[i] = source_of(index, r->columns[i]);
        r->covered = r->sources[i] != TXN_NO_COLUMN;
        r->wanted |= r->covered ? UINT64_C(1) << r->sources[i] : 0;
    }
}

int txn_same_key(const struct txn_bound *b, struct base_err *err)
{
    if (b->resolution->same_key) {
        return INSTAR_OK;
    }
    return base_err_set(err, INSTAR_EUNKNOWN,
                        "the primary key of table %s is not that for which this projection was "
                        "prepared: prepare it anew, and give the keys that rows have now",
                        b->projection->table);
}

static int fill(const struct txn_projection *p, const struct txn_codec *codec,
                struct txn_resolution *r, struct base_err *err)
{
    const struct catalog_table *table = codec->table;
    r->table = table->id;
    r->version = table->version;
    r->index = TXN_PRIMARY;
    r->names_key = true;
    for (uint32_t i = 0; i < table->column_count; i++) {
        r->values[i] = TXN_NO_COLUMN;
    }
    for (size_t i = 0; i < p->count; i++) {
        int at = catalog_table_find_column(table, p->columns[i]);
        if (at < 0) {
            return unknown_column(table, p->columns[i], err);
        }
        /* One of them has gone, and the other was renamed to its name. */
        if (r->values[at] != TXN_NO_COLUMN) {
            return base_err_set(err, INSTAR_EUNKNOWN,
                                "table %s has one column for the names %s and %s now", table->name,
                                p->columns[r->values[at]], p->columns[i]);
        }
        r->columns[i] = (uint32_t)at;
        r->values[at] = (uint32_t)i;
    }
    for (uint32_t i = 0; i < table->key_count; i++) {
        r->names_key = r->names_key && r->values[table->key[i].column] != TXN_NO_COLUMN;
    }
    r->same_key = p->key_tree == table->tree || p->key_table != table->id;
    if (p->index[0] != '\0') {
        const struct catalog_index *index = catalog_table_find_index(table, p->index);
        if (index == NULL) {
            return unknown_index(table, p->index, err);
        }
        r->index = (uint32_t)(index - table->indexes);
        if (!codec->forced) { /* else the entries are what is in question */
            plan_covering(p, table, index, r);
        }
    }
    plan_reading(p, codec, r);
    return INSTAR_OK;
}

/* One block of memory. */
static int make(const struct txn_projection *p, const struct txn_codec *codec,
                struct txn_resolution **out, struct base_err *err)
{
    size_t words = p->count * 4 + codec->table->column_count;
    struct txn_resolution *r = base_alloc_zero(1, sizeof(*r) + words * sizeof(uint32_t));
    if (r == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "projection of %s: no memory", p->table);
    }
    r->refs = 1;
    r->columns = (uint32_t *)(r + 1);
    r->positions = r->columns + p->count;
    r->picks = r->positions + p->count;
    r->sources = r->picks + p->count;
    r->values = r->sources + p->count;
    int rc = fill(p, codec, r, err);
    if (rc != INSTAR_OK) {
        base_free(r);
        return rc;
    }
    *out = r;
    return INSTAR_OK;
}

static bool is_for(const struct txn_resolution *r, const struct catalog_table *table)
{
    return r != NULL && r->table == table->id && r->version == table->version;
}

int txn_resolve(struct txn_projection *p, const struct txn_codec *codec,
                struct txn_resolution **out, struct base_err *err)
{
    /* A forced descriptor may say anything under its version number: nobody else's. */
    if (codec->forced) {
        return make(p, codec, out, err);
    }
    os_plain_lock(&p->lock);
    for (size_t i = 0; i < BASE_ARRAY_LEN(p->cached); i++) {
        if (is_for(p->cached[i], codec->table)) {
            p->cached[i]->refs++;
            *out = p->cached[i];
            os_plain_unlock(&p->lock);
            return INSTAR_OK;
        }
    }
    os_plain_unlock(&p->lock);
    int rc = make(p, codec, out, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    os_plain_lock(&p->lock);
    struct txn_resolution *oldest = p->cached[1];
    p->cached[1] = p->cached[0];
    p->cached[0] = *out;
    (*out)->refs++;
    os_plain_unlock(&p->lock);
    if (oldest != NULL) {
        txn_resolution_release(p, oldest);
    }
    return INSTAR_OK;
}

void txn_resolution_release(struct txn_projection *p, struct txn_resolution *r)
{
    os_plain_lock(&p->lock);
    base_assert(r->refs > 0);
    bool last = --r->refs == 0;
    os_plain_unlock(&p->lock);
    if (last) {
        base_free(r);
    }
}

void txn_projection_hold(struct txn_projection *p)
{
    os_plain_lock(&p->lock);
    p->refs++;
    os_plain_unlock(&p->lock);
}

/* ---- preparing ---------------------------------------------------------------------------- */

static int add_names(struct txn_projection *p, const struct catalog_table *table,
                     const char *const *columns, size_t count, struct txn_naming *what,
                     struct base_err *err)
{
    bool named[INSTAR_COLUMNS_MAX] = {false};
    p->count = columns != NULL && count > 0 ? count : catalog_visible_columns(table);
    p->columns = base_alloc_zero(p->count, sizeof(*p->columns));
    p->types = base_alloc_zero(p->count, sizeof(*p->types));
    if (p->columns == NULL || p->types == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "projection of %s: no memory", p->table);
    }
    for (size_t i = 0; i < p->count; i++) {
        const char *name = count > 0 ? columns[i] : table->columns[i].name;
        if (name == NULL) {
            return base_err_set(err, INSTAR_EINVALID, "projection of %s: name %zu is NULL",
                                p->table, i + 1);
        }
        int at = catalog_table_find_column(table, name);
        if (at < 0) {
            return unknown_column(table, name, err);
        }
        if (named[at]) {
            return base_err_set(err, INSTAR_EINVALID, "projection of %s: column %s is named twice",
                                p->table, name);
        }
        named[at] = true;
        what->columns |= txn_named_bit(table->columns[at].id);
        p->types[i] = table->columns[at].type;
        p->columns[i] = base_strdup(name);
        if (p->columns[i] == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "projection of %s: no memory", p->table);
        }
    }
    return INSTAR_OK;
}

/* In the view of a transaction that has just begun. *what_out: what it names. */
static int prepare_in(struct txn_projection *p, const struct catalog_view *view,
                      const char *const *columns, size_t count, struct txn_naming *what_out,
                      struct base_err *err)
{
    const struct catalog_table *table;
    int rc = catalog_view_find_table(view, p->table, &table, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    p->key_table = table->id;
    what_out->table = table->id;
    p->key_tree = table->tree;
    rc = add_names(p, table, columns, count, what_out, err);
    if (rc != INSTAR_OK || p->index[0] == '\0') {
        return rc;
    }
    const struct catalog_index *index = catalog_table_find_index(table, p->index);
    if (index == NULL) {
        return unknown_index(table, p->index, err);
    }
    if (!catalog_may_read(index)) {
        return base_err_set(err, INSTAR_EUNKNOWN,
                            "index %s of table %s cannot be read yet, or no more: it is %s",
                            p->index, table->name, catalog_stage_name(index->stage));
    }
    what_out->index = index->id;
    return INSTAR_OK;
}

static int copy_name(char to[INSTAR_NAME_BYTES_MAX + 1], const char *what, const char *name,
                     struct base_err *err)
{
    int rc = catalog_name_check(what, name, err);
    if (rc == INSTAR_OK) {
        memcpy(to, name, strlen(name) + 1);
    }
    return rc;
}

int txn_projection_prepare(struct txn_env *env, const char *table, const char *const *columns,
                           size_t count, const char *index, struct txn_projection **out,
                           struct base_err *err)
{
    struct txn *t = NULL;
    struct txn_naming what = {0};
    *out = NULL;
    if (count > INSTAR_COLUMNS_MAX) {
        return base_err_set(err, INSTAR_EINVALID, "projection of %zu columns; the limit is %d",
                            count, INSTAR_COLUMNS_MAX);
    }
    struct txn_projection *p = base_alloc_zero(1, sizeof(*p));
    if (p == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "projection of %s: no memory", table);
    }
    os_plain_init(&p->lock);
    p->refs = 1;
    int rc = copy_name(p->table, "table", table, err);
    if (rc == INSTAR_OK && index != NULL) {
        rc = copy_name(p->index, "index", index, err);
    }
    /* Of what is durable: a version that is not yet so would not be seen by a sync transaction that
     * begins next, and the projection might name what that one has not. */
    if (rc == INSTAR_OK) {
        rc = txn_begin(env, INSTAR_TXN_READONLY | INSTAR_TXN_SYNC, &t, err);
    }
    if (rc == INSTAR_OK) {
        rc = prepare_in(p, t->view, columns, count, &what, err);
        txn_abort(t);
    }
    if (rc != INSTAR_OK) {
        txn_projection_free(p);
        return rc;
    }
    if (env->named != NULL) {
        p->noted = txn_named_note(env->named, &what);
        p->named = env->named;
    }
    *out = p;
    return INSTAR_OK;
}

static void destroy(struct txn_projection *p)
{
    if (p->named != NULL) {
        txn_named_forget(p->named, p->noted);
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(p->cached); i++) {
        if (p->cached[i] != NULL) {
            base_assert(p->cached[i]->refs == 1);
            txn_resolution_release(p, p->cached[i]);
        }
    }
    for (size_t i = 0; i < p->count && p->columns != NULL; i++) {
        base_free(p->columns[i]);
    }
    base_free(p->columns);
    base_free(p->types);
    os_plain_destroy(&p->lock);
    base_free(p);
}

void txn_projection_free(struct txn_projection *p)
{
    if (p == NULL) {
        return;
    }
    os_plain_lock(&p->lock);
    base_assert(p->refs > 0);
    bool last = --p->refs == 0;
    os_plain_unlock(&p->lock);
    if (last) {
        destroy(p);
    }
}

size_t txn_projection_count(const struct txn_projection *p)
{
    return p->count;
}

const char *txn_projection_column(const struct txn_projection *p, size_t at)
{
    return at < p->count ? p->columns[at] : NULL;
}

enum instar_type txn_projection_type(const struct txn_projection *p, size_t at)
{
    return at < p->count ? p->types[at] : INSTAR_NULL;
}
