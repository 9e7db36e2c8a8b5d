/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The versions of a table whose primary key becomes another.
 *
 *              the new key           rows by the new    indexes that end    the old tree, and the
 *                                    key                with the new key    indexes that end with
 * it add        witness delete-only raise      witness write-only (cut, build, fold) enforce
 * witness enforcing, NOT NULL enforcing (drain, validate) add rows delete-only        delete-only
 * public raise                            write-only         write-only          public (cut,
 * build, fold) enforce                          write-only         enforcing           public swap
 * NOT NULL              the table's        public              write-only lower delete-only remove
 * absent
 *
 * The witness is a unique index on the new key, with entries that end in the old one: so two rows
 * with the same new key are found, where the tree of rows would have one overwrite the other. It
 * goes with the old tree.
 *
 * Row ids need no witness. The column comes first, and whoever writes a row gives it one; the rows
 * that nobody writes get theirs from the change. The rest is the same.
 */
#include "change/rekey_impl.h"

#include <stdio.h>
#include <string.h>

/* ---- parts -------------------------------------------------------------------------------- */

int rekey_parts(struct catalog_table *table, const struct rekey_request *request,
                struct catalog_key_part parts[INSTAR_INDEX_COLUMNS_MAX], uint32_t *count_out,
                struct base_err *err)
{
    int rc = 0;

    *count_out = (uint32_t)request->key_count;
    if (request->key_count != 0) {
        rc = catalog_define_key(table, request->key, request->key_count, parts, err);
        return rc == 0 ? 0 : base_err_prefix(err, "table \"%s\"", table->name);
    }
    base_assert(table->row_id != 0);
    parts[0] = (struct catalog_key_part){.column = table->row_id_at};
    *count_out = 1;
    return 0;
}

/* ---- the versions ------------------------------------------------------------------------- */

static int begin(const struct rekey_edit *e, struct catalog_table **next, struct base_err *err)
{
    return catalog_table_copy(e->now, next, err);
}

/* The indexes lie in an arena, where no sanitizer sees a step behind the last one. */
static struct catalog_index *index_at(struct catalog_table *table, uint32_t i)
{
    base_assert(i < table->index_count);
    return &table->indexes[i];
}

static bool is_ours(const struct rekey_edit *e, const struct catalog_index *index)
{
    return index->change == e->change;
}

static int give_tree(const struct rekey_edit *e, struct catalog_index *index, struct base_err *err)
{
    index->change = e->change;
    if (e->t == NULL) {
        index->tree = UINT64_MAX - index->id; /* one that nothing else has */
        return 0;
    }
    return catalog_next_id(e->t, CATALOG_COUNTER_TREE, &index->tree, err);
}

static int add_index(const struct rekey_edit *e, struct catalog_table *next, const char *name,
                     struct catalog_index **index_out, struct base_err *err)
{
    struct catalog_index *index;
    int rc = catalog_index_add(next, name, &index, err);

    *index_out = index;
    if (rc == 0) {
        rc = rekey_parts(next, e->request, index->parts, &index->part_count, err);
    }
    return rc == 0 ? give_tree(e, index, err) : rc;
}

int rekey_add_witness(const struct rekey_edit *e, struct catalog_table **next_out,
                      struct base_err *err)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];
    struct catalog_table *next = NULL;
    struct catalog_index *index;
    int rc = begin(e, &next, err);

    if (rc == 0) {
        catalog_key_name(next->name, 0, name);
        rc = add_index(e, next, name, &index, err);
    }
    if (rc == 0) {
        index->unique = true;
    }
    return edit_ready(rc, true, next, next_out, err);
}

int rekey_add_ids(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    int rc = begin(e, &next, err);

    if (rc == 0) {
        rc = catalog_add_row_id(next, err);
    }
    if (rc == 0) {
        rc = catalog_alter_finish(e->now, next, err);
    }
    return edit_ready(rc, false, next, next_out, err);
}

/* An index of the table once more, under another name, to end with the new key. */
static int add_double(const struct rekey_edit *e, struct catalog_table *next, uint32_t id,
                      uint32_t rows, struct base_err *err)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];
    struct catalog_index *named;
    struct catalog_index *index;
    int rc = catalog_index_add(next, catalog_table_index_by_id(e->now, id)->name, &named, err);

    if (rc != 0) {
        return rc;
    }
    snprintf(name, sizeof(name), "%s", named->name);
    catalog_index_remove(next, name); /* it was for the name */
    rc = catalog_adopt_index(next, e->now, id, true, &index, err);
    if (rc != 0) {
        return rc;
    }
    index->id = next->next_index_id++;
    snprintf(index->name, sizeof(index->name), "%s", name);
    index->alias[0] = 0;
    index->stage = INSTAR_STAGE_DELETE_ONLY;
    index->enforcing = false;
    index->keyed_by = rows;
    index->replaces = id;
    return give_tree(e, index, err);
}

int rekey_add_rows(const struct rekey_edit *e, struct catalog_table **next_out,
                   struct base_err *err)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];
    struct catalog_table *next = NULL;
    struct catalog_index *index = NULL;
    int rc = begin(e, &next, err);

    if (rc == 0) {
        catalog_key_name(next->name, 0, name);
        rc = add_index(e, next, name, &index, err);
    }
    uint32_t rows = rc == 0 ? index->id : 0;
    if (rc == 0) {
        index->rows = true;
    }
    for (uint32_t i = 0; rc == 0 && i < e->now->index_count; i++) {
        if (!is_ours(e, &e->now->indexes[i])) {
            rc = add_double(e, next, e->now->indexes[i].id, rows, err);
        }
    }
    return edit_ready(rc, true, next, next_out, err);
}

int rekey_raise(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    int rc = begin(e, &next, err);

    for (uint32_t i = 0; rc == 0 && i < next->index_count; i++) {
        if (is_ours(e, index_at(next, i))) {
            index_at(next, i)->stage = INSTAR_STAGE_WRITE_ONLY;
        }
    }
    return edit_ready(rc, true, next, next_out, err);
}

/* The columns of the new key refuse null, if they do not yet. */
static int enforce_columns(const struct rekey_edit *e, struct catalog_table *next, bool *any,
                           struct base_err *err)
{
    struct catalog_key_part parts[INSTAR_INDEX_COLUMNS_MAX];
    uint32_t count;
    int rc = rekey_parts(next, e->request, parts, &count, err);

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct catalog_column *column = &next->columns[parts[i].column];
        if (!catalog_must_refuse_null(column)) {
            column->enforcing = true;
            *any = true;
        }
    }
    return rc;
}

int rekey_enforce(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    bool any = false;
    int rc = begin(e, &next, err);

    if (rc == 0) {
        rc = enforce_columns(e, next, &any, err);
    }
    for (uint32_t i = 0; rc == 0 && i < next->index_count; i++) {
        struct catalog_index *index = index_at(next, i);
        if (is_ours(e, index) && index->unique && !index->enforcing) {
            index->enforcing = true;
            any = true;
        }
    }
    if (rc == 0 && !any) {
        catalog_table_free(next);
        *next_out = NULL;
        return 0;
    }
    return edit_ready(rc, true, next, next_out, err);
}

/* The tree of rows becomes the table's; in its place stands the table's until now, with an id of
 * its own. Returns that. */
static uint32_t swap_rows(const struct rekey_edit *e, struct catalog_table *next,
                          struct catalog_index *rows)
{
    const struct catalog_table *now = e->now;

    next->tree = rows->tree;
    next->key_count = rows->part_count;
    memcpy(next->key, rows->parts, sizeof(next->key));
    for (uint32_t i = 0; i < next->key_count; i++) {
        struct catalog_column *column = &next->columns[next->key[i].column];
        column->not_null = true;
        column->enforcing = false;
    }
    rows->id = next->next_index_id++;
    rows->tree = now->tree;
    rows->part_count = now->key_count;
    memcpy(rows->parts, now->key, sizeof(rows->parts));
    return rows->id;
}

/* The index that ends with the new key takes name and comment of that which it replaces. */
static int swap_index(const struct rekey_edit *e, struct catalog_table *next,
                      struct catalog_index *index, struct base_err *err)
{
    struct catalog_index *old = catalog_table_index_by_id(next, index->replaces);
    char name[INSTAR_NAME_BYTES_MAX + 1];

    base_assert(old != NULL);
    snprintf(name, sizeof(name), "%s", old->name);
    snprintf(old->name, sizeof(old->name), "%s", index->name);
    snprintf(index->name, sizeof(index->name), "%s", name);
    index->stage = INSTAR_STAGE_PUBLIC;
    index->enforcing = index->unique;
    index->change = 0;
    index->keyed_by = 0;
    index->replaces = 0;
    old->stage = INSTAR_STAGE_WRITE_ONLY;
    old->enforcing = old->unique;
    old->change = e->change;
    return catalog_comment_hand_on(next, CATALOG_COMMENT_INDEX, old->id, index->id, err);
}

int rekey_swap(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    uint32_t old_rows = 0;
    int rc = begin(e, &next, err);

    for (uint32_t i = 0; rc == 0 && i < next->index_count; i++) {
        if (is_ours(e, index_at(next, i)) && index_at(next, i)->rows) {
            old_rows = swap_rows(e, next, index_at(next, i));
        }
    }
    base_assert(rc != 0 || old_rows != 0);
    for (uint32_t i = 0; rc == 0 && i < next->index_count; i++) {
        if (index_at(next, i)->replaces != 0) {
            rc = swap_index(e, next, index_at(next, i), err);
        }
    }
    /* What is left of the change ends with the old key: the indexes until now, and the witness. */
    for (uint32_t i = 0; rc == 0 && i < next->index_count; i++) {
        if (is_ours(e, index_at(next, i)) && !index_at(next, i)->rows) {
            index_at(next, i)->keyed_by = old_rows;
        }
    }
    return edit_ready(rc, true, next, next_out, err);
}

int rekey_lower(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    int rc = begin(e, &next, err);

    for (uint32_t i = 0; rc == 0 && i < next->index_count; i++) {
        if (is_ours(e, index_at(next, i))) {
            index_at(next, i)->stage = INSTAR_STAGE_DELETE_ONLY;
            index_at(next, i)->enforcing = false;
        }
    }
    if (rc == 0) {
        catalog_alter_relax(next); /* counts the version */
    }
    return edit_ready(rc, false, next, next_out, err);
}

int rekey_remove(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    bool leaves = false;
    int rc = begin(e, &next, err);

    for (uint32_t i = 0; rc == 0 && i < next->index_count;) {
        if (is_ours(e, index_at(next, i))) {
            catalog_index_remove(next, index_at(next, i)->name);
        } else {
            i++;
        }
    }
    if (rc == 0 && next->row_id != 0 && !catalog_keyed_by_row_id(next)) {
        base_assert(next->row_id_at == next->column_count - 1);
        next->column_count--;
        next->row_id = 0;
        leaves = true;
        rc = catalog_alter_retire(next, err); /* counts the version */
    }
    return edit_ready(rc, !leaves, next, next_out, err);
}
