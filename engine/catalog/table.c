/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table's descriptor in memory: one arena holds all of it, so that a version is dropped at once.
 * Versions in a view are immutable and shared; to publish the next one, copy, edit, finish,
 * publish.
 */
#include "catalog/catalog_impl.h"

#include <stdio.h>

struct catalog_table *catalog_table_new(void)
{
    return base_alloc_zero(1, sizeof(struct catalog_table));
}

void catalog_table_free(struct catalog_table *table)
{
    if (table != NULL) {
        base_arena_free(&table->arena);
        base_free(table);
    }
}

int catalog_no_memory(struct base_err *err)
{
    return base_err_set(err, INSTAR_ENOMEM, "no memory for a table's descriptor");
}

/* ---- copies ------------------------------------------------------------------------------- */

static bool copy_columns(const struct catalog_table *from, struct catalog_table *to)
{
    to->columns =
        base_arena_copy(&to->arena, from->columns, from->column_count * sizeof(*from->columns));
    for (uint32_t i = 0; to->columns != NULL && i < from->column_count; i++) {
        if (!row_value_copy(&to->arena, &from->columns[i].default_value,
                            &to->columns[i].default_value)) {
            return false;
        }
        if (to->columns[i].made_by != NULL) {
            to->columns[i].made_by = catalog_expr_copy(to->columns[i].made_by, &to->arena);
            if (to->columns[i].made_by == NULL) {
                return false;
            }
        }
    }
    return to->columns != NULL;
}

static bool copy_layout(const struct row_layout *from, struct row_layout *to,
                        struct base_arena *arena)
{
    struct row_column *columns =
        base_arena_copy(arena, from->columns, from->column_count * sizeof(*from->columns));
    if (columns == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < from->column_count; i++) {
        if (!row_value_copy(arena, &from->columns[i].missing, &columns[i].missing)) {
            return false;
        }
        if (columns[i].is_made) {
            columns[i].made_by = catalog_expr_copy(columns[i].made_by, arena);
            if (columns[i].made_by == NULL) {
                return false;
            }
        }
    }
    to->columns = columns;
    return true;
}

static bool copy_layouts(const struct catalog_table *from, struct catalog_table *to)
{
    to->layouts =
        base_arena_copy(&to->arena, from->layouts, from->layout_count * sizeof(*from->layouts));
    to->layout_map = base_arena_copy(&to->arena, from->layout_map,
                                     from->layout_map_count * sizeof(*from->layout_map));
    if (to->layouts == NULL || to->layout_map == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < from->layout_count; i++) {
        if (!copy_layout(&from->layouts[i], &to->layouts[i], &to->arena)) {
            return false;
        }
    }
    catalog_layouts_link(to);
    return true;
}

/* The places of the predicates' inputs, as the original has them. */
static bool derive_inputs(struct catalog_table *to)
{
    for (uint32_t i = 0; i < to->index_count; i++) {
        if (catalog_index_derive(to, &to->indexes[i], NULL) != 0) {
            return false;
        }
    }
    return true;
}

int catalog_table_copy(const struct catalog_table *from, struct catalog_table **copy_out,
                       struct base_err *err)
{
    *copy_out = NULL;
    struct catalog_table *to = catalog_table_new();
    if (to == NULL) {
        return catalog_no_memory(err);
    }
    *to = *from;
    to->arena = (struct base_arena){0};
    to->indexes =
        base_arena_copy(&to->arena, from->indexes, from->index_count * sizeof(*from->indexes));
    bool ok = to->indexes != NULL;
    for (uint32_t i = 0; ok && i < from->index_count; i++) {
        ok = catalog_index_adopt_expr(&to->indexes[i], &to->arena, NULL) == 0;
    }
    if (!ok || !copy_columns(from, to) || !copy_layouts(from, to) ||
        catalog_checks_copy(from, to, NULL) != 0 || catalog_kept_copy(from, to, NULL) != 0 ||
        catalog_fkeys_copy(from, to, NULL) != 0 || catalog_comments_copy(from, to, NULL) != 0 ||
        !derive_inputs(to)) {
        catalog_table_free(to);
        return catalog_no_memory(err);
    }
    *copy_out = to;
    return 0;
}

int catalog_table_reserve_column(struct catalog_table *table, struct base_err *err)
{
    if (table->column_count >= INSTAR_COLUMNS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "table \"%s\" has %u columns, the most there may be", table->name,
                            table->column_count);
    }
    struct catalog_column *columns =
        base_arena_alloc(&table->arena, (table->column_count + 1) * sizeof(*columns));
    if (columns == NULL) {
        return catalog_no_memory(err);
    }
    memcpy(columns, table->columns, table->column_count * sizeof(*columns));
    table->columns = columns;
    return 0;
}

int catalog_table_reserve_index(struct catalog_table *table, struct base_err *err)
{
    if (table->index_count >= CATALOG_INDEXES_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "table \"%s\" has %u indexes, the most there may be", table->name,
                            table->index_count);
    }
    struct catalog_index *indexes =
        base_arena_alloc(&table->arena, (table->index_count + 1) * sizeof(*indexes));
    if (indexes == NULL) {
        return catalog_no_memory(err);
    }
    if (table->index_count != 0) {
        memcpy(indexes, table->indexes, table->index_count * sizeof(*indexes));
    }
    indexes[table->index_count] = (struct catalog_index){0};
    table->indexes = indexes;
    return 0;
}

void catalog_index_remove(struct catalog_table *table, const char *name)
{
    struct catalog_index *index = catalog_table_index(table, name);
    if (index == NULL) {
        return;
    }
    size_t behind = (size_t)(table->indexes + table->index_count - (index + 1));
    memmove(index, index + 1, behind * sizeof(*index));
    table->index_count--;
}

/* ---- what is derived ---------------------------------------------------------------------- */

/* Types and directions of key parts whose positions are good: in the types that the columns have,
 * or, of an index, in those in which it sees them. */
static bool derive_parts(const struct catalog_table *table, const struct catalog_index *index,
                         const struct catalog_key_part *parts, uint32_t count,
                         struct row_key_part *out, uint32_t *columns_out)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t column = parts[i].column;
        const struct row_expr *expr = parts[i].expr;
        if (expr == NULL && column >= table->column_count) {
            return false;
        }
        out[i] = (struct row_key_part){.descending = parts[i].descending,
                                       .nulls_swapped = parts[i].nulls_swapped};
        if (expr != NULL) {
            out[i].type = row_expr_type(expr);
        } else {
            catalog_part_of_column(table, index, column, &out[i]);
        }
        if (columns_out != NULL) {
            columns_out[i] = column;
        }
    }
    return true;
}

/* The entry's key is the index's own columns, then the whole primary key exactly as the row has it:
 * so entries never collide, and the row's key is found by skipping the own columns. While the
 * primary key changes there are some that end in the other one. Whole rows have only the own
 * columns as their key: the rest is how they are found while the tree is built. */
static bool derive_index(const struct catalog_table *table, struct catalog_index *index)
{
    const struct catalog_index *other =
        index->keyed_by != 0 ? catalog_table_index_by_id(table, index->keyed_by) : NULL;
    const struct catalog_key_part *key = other != NULL ? other->parts : table->key;
    uint32_t own = index->part_count;
    uint32_t rest = other != NULL ? other->part_count : table->key_count;
    if (own == 0 || own > INSTAR_INDEX_COLUMNS_MAX || rest > INSTAR_INDEX_COLUMNS_MAX ||
        (index->keyed_by != 0 && (other == NULL || !other->rows))) {
        return false;
    }
    index->key_part_count = own + rest;
    return derive_parts(table, index, index->parts, own, index->key_parts, index->key_columns) &&
           derive_parts(table, other, key, rest, index->key_parts + own, index->key_columns + own);
}

/* A layout's columns from those of the layout before. Both are in the order of ids. */
static void link_layout(const struct row_layout *before, const struct row_layout *layout)
{
    struct row_column *columns = (struct row_column *)(uintptr_t)layout->columns; /* the table's */
    uint32_t at = 0;
    for (uint32_t i = 0; i < layout->column_count; i++) {
        struct row_column *c = &columns[i];
        c->form = 0;
        c->before = NULL;
        c->made_by = c->is_made ? c->made_by : NULL;
        while (before != NULL && at < before->column_count && before->columns[at].id < c->id) {
            at++;
        }
        if (before == NULL || at == before->column_count || before->columns[at].id != c->id) {
            continue;
        }
        const struct row_column *old = &before->columns[at];
        bool same = old->type == c->type && old->scale == c->scale && !c->is_made;
        c->form = same ? old->form : old->form + 1;
        c->before = same ? old->before : old;
        if (!c->is_made) {
            c->made_by = same ? old->made_by : NULL;
        }
    }
}

void catalog_layouts_link(struct catalog_table *table)
{
    for (uint32_t i = 0; i < table->layout_count; i++) {
        link_layout(i > 0 ? &table->layouts[i - 1] : NULL, &table->layouts[i]);
    }
}

int catalog_table_finish(struct catalog_table *table, struct base_err *err)
{
    catalog_layouts_link(table);
    int row_id_at = table->row_id != 0 ? catalog_table_column_by_id(table, table->row_id) : 0;
    if (row_id_at < 0) {
        return base_err_set(err, INSTAR_EINVALID, "table \"%s\": no column of its row ids",
                            table->name);
    }
    table->row_id_at = (uint32_t)row_id_at;
    /* A copy may be without a key between two statements; no version is (validate.c). */
    if (table->key_count > INSTAR_INDEX_COLUMNS_MAX ||
        !derive_parts(table, NULL, table->key, table->key_count, table->key_parts, NULL)) {
        return base_err_set(err, INSTAR_EINVALID, "table \"%s\": primary key of columns it has not",
                            table->name);
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        if (!derive_index(table, &table->indexes[i])) {
            return base_err_set(err, INSTAR_EINVALID,
                                "table \"%s\": index \"%s\" of columns it has not", table->name,
                                table->indexes[i].name);
        }
        int rc = catalog_index_derive(table, &table->indexes[i], err);
        if (rc != 0) {
            return rc;
        }
    }
    catalog_comments_prune(table);
    int rc = catalog_checks_derive(table, err);
    return rc == 0 ? catalog_fkeys_derive(table, err) : rc;
}

/* ---- looking ------------------------------------------------------------------------------ */

struct catalog_index *catalog_table_index(const struct catalog_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->index_count; i++) {
        if (strcmp(table->indexes[i].name, name) == 0) {
            return &table->indexes[i];
        }
    }
    return NULL;
}

struct catalog_index *catalog_table_index_by_id(const struct catalog_table *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->index_count; i++) {
        if (table->indexes[i].id == id) {
            return &table->indexes[i];
        }
    }
    return NULL;
}

int catalog_table_column(const struct catalog_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (!table->columns[i].hidden && strcmp(table->columns[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int catalog_table_column_by_id(const struct catalog_table *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].id == id) {
            return (int)i;
        }
    }
    return -1;
}

/* Names come first: two columns that have changed places must not be taken for each other. */
int catalog_table_find_column(const struct catalog_table *table, const char *name)
{
    int at = catalog_table_column(table, name);
    for (uint32_t i = 0; at < 0 && name[0] != 0 && i < table->column_count; i++) {
        if (!table->columns[i].hidden && strcmp(table->columns[i].alias, name) == 0) {
            at = (int)i;
        }
    }
    if (at < 0 && strcmp(name, INSTAR_ROW_ID) == 0 && catalog_keyed_by_row_id(table)) {
        at = (int)table->row_id_at;
    }
    return at;
}

const struct catalog_index *catalog_table_find_index(const struct catalog_table *table,
                                                     const char *name)
{
    const struct catalog_index *index = catalog_table_index(table, name);
    for (uint32_t i = 0; index == NULL && name[0] != 0 && i < table->index_count; i++) {
        if (strcmp(table->indexes[i].alias, name) == 0) {
            index = &table->indexes[i];
        }
    }
    return index;
}

/* The last entry of the map that begins at or before the version; NULL: there is none. */
static const struct catalog_layout_map *map_entry(const struct catalog_table *table,
                                                  uint32_t version)
{
    uint32_t low = 0;
    uint32_t high = table->layout_map_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->layout_map[middle].first_version <= version) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : &table->layout_map[low - 1];
}

const struct row_layout *catalog_table_layout(const struct catalog_table *table, uint32_t version)
{
    const struct catalog_layout_map *found =
        version <= table->version ? map_entry(table, version) : NULL;
    return found != NULL ? &table->layouts[found->layout] : NULL;
}

uint32_t catalog_table_layout_since(const struct catalog_table *table)
{
    const struct catalog_layout_map *found = map_entry(table, table->version);
    return found != NULL ? found->first_version : table->version;
}

const struct row_column *catalog_layout_column(const struct row_layout *layout, uint32_t id)
{
    uint32_t low = 0;
    uint32_t high = layout->column_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (layout->columns[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < layout->column_count && layout->columns[low].id == id ? &layout->columns[low]
                                                                       : NULL;
}

const char *catalog_hint(const char *nearest, char hint[CATALOG_HINT_MAX])
{
    hint[0] = 0;
    if (nearest != NULL) {
        snprintf(hint, CATALOG_HINT_MAX, "; did you mean \"%s\"?", nearest);
    }
    return hint;
}
