/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions as the caller gives them, checked word by word, and turned into descriptors. Nothing
 * is guessed: what is refused names the place and the limit, or the nearest name.
 */
#include "catalog/catalog_impl.h"

#include <stdio.h>

int catalog_name_check(const char *what, const char *name, struct base_err *err)
{
    if (name == NULL || name[0] == 0) {
        return base_err_set(err, INSTAR_EINVALID, "the %s has no name", what);
    }
    size_t size = strnlen(name, INSTAR_NAME_BYTES_MAX + 1);
    if (size > INSTAR_NAME_BYTES_MAX) {
        return base_err_set(err, INSTAR_EINVALID, "%s name is longer than %d bytes", what,
                            INSTAR_NAME_BYTES_MAX);
    }
    if (!base_utf8_valid(name, size)) {
        return base_err_set(err, INSTAR_EINVALID, "%s name is not valid UTF-8", what);
    }
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------- */

int catalog_define_default(struct catalog_table *table, struct catalog_column *column,
                           const instar_value *value, struct base_err *err)
{
    instar_value v = {.type = INSTAR_NULL};
    v = value != NULL ? *value : v;
    int rc = row_value_check(column->type, &v, err);
    if (rc == 0) {
        rc = catalog_column_fit(column, &v, err);
    }
    if (rc != 0) {
        base_err_prefix(err, "column \"%s\": default", column->name);
        return rc;
    }
    bool is_bytes = v.type == INSTAR_TEXT || v.type == INSTAR_BYTEA;
    if (is_bytes && v.bytes.size > CATALOG_DEFAULT_BYTES_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "column \"%s\": default of %zu bytes, at most %d",
                            column->name, v.bytes.size, CATALOG_DEFAULT_BYTES_MAX);
    }
    if (!row_value_copy(&table->arena, &v, &column->default_value)) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a default");
    }
    column->has_default = v.type != INSTAR_NULL;
    return 0;
}

int catalog_define_column(struct catalog_table *table, const instar_column_def *def,
                          struct catalog_column *column_out, struct base_err *err)
{
    int rc = catalog_column_name_check(def->name, err);
    if (rc != 0) {
        return rc;
    }
    if (catalog_table_column(table, def->name) >= 0) {
        return base_err_set(err, INSTAR_EINVALID, "column \"%s\" is given twice", def->name);
    }
    if (row_type_name(def->type) == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "column \"%s\": there is no type %u", def->name,
                            (unsigned)def->type);
    }
    rc = catalog_length_check(def->name, def->type, def->length_max, err);
    if (rc != 0) {
        return rc;
    }
    *column_out = (struct catalog_column){.id = table->next_column_id,
                                          .type = def->type,
                                          .length_max = def->length_max,
                                          .not_null = def->not_null};
    snprintf(column_out->name, sizeof(column_out->name), "%s", def->name);
    rc = catalog_define_default(table, column_out, def->default_value, err);
    if (rc == 0) {
        table->next_column_id++;
    }
    return rc;
}

static int define_columns(struct catalog_table *table, const instar_table_def *def,
                          struct base_err *err)
{
    if (def->column_count == 0 || def->columns == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "no columns");
    }
    if (def->column_count > INSTAR_COLUMNS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "%zu columns, at most %d", def->column_count,
                            INSTAR_COLUMNS_MAX);
    }
    table->columns = base_arena_alloc(&table->arena, def->column_count * sizeof(*table->columns));
    if (table->columns == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a table's descriptor");
    }
    for (size_t i = 0; i < def->column_count; i++) {
        int rc = catalog_define_column(table, &def->columns[i], &table->columns[i], err);
        if (rc != 0) {
            return rc;
        }
        table->column_count++;
    }
    return 0;
}

int catalog_unknown_column(const struct catalog_table *table, const char *what, const char *name,
                           struct base_err *err)
{
    const char *names[INSTAR_COLUMNS_MAX];
    char hint[CATALOG_HINT_MAX];
    uint32_t count = catalog_visible_columns(table);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = table->columns[i].name;
    }
    const char *nearest = base_nearest_name(name, names, count);
    return base_err_set(err, INSTAR_EUNKNOWN, "%s: no column \"%s\"%s", what, name,
                        catalog_hint(nearest, hint));
}

/* Nulls are last when ascending and first when descending, unless it says otherwise. */
static bool is_swapped(const instar_key_column *column)
{
    return column->nulls == (column->descending ? INSTAR_NULLS_LAST : INSTAR_NULLS_FIRST);
}

static int define_column_part(const struct catalog_table *table, const char *what, const char *name,
                              struct catalog_key_part *part, struct base_err *err)
{
    int rc = catalog_name_check("column", name, err);
    if (rc != 0) {
        base_err_prefix(err, "%s", what);
        return rc;
    }
    int at = catalog_table_column(table, name);
    if (at < 0) {
        return catalog_unknown_column(table, what, name, err);
    }
    part->column = (uint32_t)at;
    return 0;
}

static bool is_given(const struct catalog_key_part *parts, size_t count, uint32_t column)
{
    for (size_t i = 0; i < count; i++) {
        if (parts[i].column == column) {
            return true;
        }
    }
    return false;
}

static int given_twice(const struct catalog_table *table, const char *what, uint32_t column,
                       struct base_err *err)
{
    return base_err_set(err, INSTAR_EINVALID, "%s: column \"%s\" is given twice", what,
                        table->columns[column].name);
}

static int define_part(const struct catalog_table *table, const char *what,
                       const instar_key_column *column, struct catalog_key_part *part,
                       struct base_err *err)
{
    *part = (struct catalog_key_part){.column = CATALOG_NO_COLUMN,
                                      .descending = column->descending,
                                      .nulls_swapped = is_swapped(column)};
    if ((unsigned)column->nulls > INSTAR_NULLS_LAST) {
        return base_err_set(err, INSTAR_EINVALID, "%s: column \"%s\": no order of nulls %u", what,
                            column->name != NULL ? column->name : column->expression,
                            (unsigned)column->nulls);
    }
    if (column->name != NULL && column->expression != NULL) {
        return base_err_set(err, INSTAR_EINVALID,
                            "%s: column \"%s\" and an expression (%s) at once", what, column->name,
                            column->expression);
    }
    return column->expression != NULL ? 0
                                      : define_column_part(table, what, column->name, part, err);
}

/* Columns of a key by name; of an expression the column is missing. */
static int define_parts(const struct catalog_table *table, const char *what,
                        const instar_key_column *columns, size_t count,
                        struct catalog_key_part parts[INSTAR_INDEX_COLUMNS_MAX],
                        struct base_err *err)
{
    if (count == 0 || columns == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "%s: no columns", what);
    }
    if (count > INSTAR_INDEX_COLUMNS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "%s of %zu columns, at most %d", what, count,
                            INSTAR_INDEX_COLUMNS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        int rc = define_part(table, what, &columns[i], &parts[i], err);
        if (rc == 0 && columns[i].expression == NULL && is_given(parts, i, parts[i].column)) {
            rc = given_twice(table, what, parts[i].column, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Expressions, and columns that are written as such. */
static int define_exprs(struct catalog_table *table, const char *what, const instar_index_def *def,
                        struct catalog_key_part *parts, struct base_err *err)
{
    for (size_t i = 0; i < def->column_count; i++) {
        const char *text = def->columns[i].expression;
        const struct row_expr_column *columns;
        if (text == NULL) {
            continue;
        }
        int rc = catalog_expr_compile(table, what, text, INSTAR_NULL, &parts[i].expr, err);
        if (rc != 0) {
            return rc;
        }
        if (row_expr_is_column(parts[i].expr)) {
            (void)row_expr_columns(parts[i].expr, &columns);
            uint32_t column = (uint32_t)catalog_table_column_by_id(table, columns[0].id);
            if (is_given(parts, def->column_count, column)) {
                return given_twice(table, what, column, err);
            }
            parts[i].column = column;
            parts[i].expr = NULL;
        }
    }
    return 0;
}

int catalog_define_key(struct catalog_table *table, const instar_key_column *key, size_t count,
                       struct catalog_key_part parts[INSTAR_INDEX_COLUMNS_MAX],
                       struct base_err *err)
{
    int rc = define_parts(table, "primary key", key, count, parts, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (key[i].expression != NULL) {
            rc = base_err_set(err, INSTAR_EINVALID, "primary key: (%s) is no column",
                              key[i].expression);
        } else if (parts[i].nulls_swapped) {
            rc = base_err_set(err, INSTAR_EINVALID,
                              "primary key: column \"%s\" is never null: it has no order of nulls",
                              key[i].name);
        }
    }
    return rc;
}

/* Without one, the table has row ids. */
static int define_key(struct catalog_table *table, const instar_table_def *def,
                      struct base_err *err)
{
    table->key_count = (uint32_t)def->key_count;
    int rc = 0;
    if (def->key_count == 0) {
        rc = catalog_add_row_id(table, err);
        table->key_count = 1;
        table->key[0] = (struct catalog_key_part){.column = table->column_count - 1};
    } else {
        rc = catalog_define_key(table, def->key, def->key_count, table->key, err);
    }
    for (uint32_t i = 0; rc == 0 && i < table->key_count; i++) {
        table->columns[table->key[i].column].not_null = true;
    }
    return rc;
}

/* The first layout: all columns as they stand. No row is older than it, so nothing is missing. */
static int define_layout(struct catalog_table *table, struct base_err *err)
{
    struct base_arena *arena = &table->arena;
    struct row_column *columns = base_arena_alloc(arena, table->column_count * sizeof(*columns));
    table->layouts = base_arena_alloc(arena, sizeof(*table->layouts));
    table->layout_map = base_arena_alloc(arena, sizeof(*table->layout_map));
    if (columns == NULL || table->layouts == NULL || table->layout_map == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a table's descriptor");
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *c = &table->columns[i];
        columns[i] = (struct row_column){
            .id = c->id, .type = c->type, .scale = (uint8_t)row_type_scale(c->type, c->length_max)};
    }
    table->layouts[0] =
        (struct row_layout){.number = 1, .column_count = table->column_count, .columns = columns};
    table->layout_count = 1;
    table->layout_map[0] = (struct catalog_layout_map){.first_version = 1, .layout = 0};
    table->layout_map_count = 1;
    return 0;
}

int catalog_table_from_def(const instar_table_def *def, struct catalog_table **table_out,
                           struct base_err *err)
{
    *table_out = NULL;
    int rc = catalog_name_check("table", def->name, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_table *table = catalog_table_new();
    if (table == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a table's descriptor");
    }
    snprintf(table->name, sizeof(table->name), "%s", def->name);
    table->version = 1;
    table->next_column_id = 1;
    table->next_index_id = 1;
    table->next_check_id = 1;
    table->next_fkey_id = 1;
    rc = define_columns(table, def, err);
    if (rc == 0) {
        rc = define_key(table, def, err);
    }
    if (rc == 0 && def->check_count != 0 && def->checks == NULL) {
        rc = base_err_set(err, INSTAR_EINVALID, "no checks");
    }
    for (size_t i = 0; rc == 0 && i < def->check_count; i++) {
        rc = catalog_check_define(table, &def->checks[i], CATALOG_CHECK_VALID, err);
    }
    if (rc == 0) {
        rc = define_layout(table, err);
    }
    if (rc == 0) {
        rc = catalog_table_finish(table, err);
    }
    if (rc == 0) {
        rc = catalog_define_uniques(table, def, err);
    }
    if (rc != 0) {
        base_err_prefix(err, "table \"%s\"", def->name);
        catalog_table_free(table);
        return rc;
    }
    *table_out = table;
    return 0;
}

/* ---- indexes ------------------------------------------------------------------------------ */

int catalog_index_from_def(struct catalog_table *table, const instar_index_def *def,
                           struct catalog_index **index_out, struct base_err *err)
{
    struct catalog_index index = {.unique = def->unique, .stage = INSTAR_STAGE_ABSENT};
    char what[INSTAR_NAME_BYTES_MAX + 16];
    *index_out = NULL;
    int rc = catalog_name_check("index", def->name, err);
    if (rc != 0) {
        return rc;
    }
    if (catalog_table_index(table, def->name) != NULL) {
        return base_err_set(err, INSTAR_EEXISTS, "table \"%s\" has an index \"%s\" already",
                            table->name, def->name);
    }
    snprintf(index.name, sizeof(index.name), "%s", def->name);
    snprintf(what, sizeof(what), "index \"%s\"", def->name);
    rc = define_parts(table, what, def->columns, def->column_count, index.parts, err);
    rc = rc == 0 ? define_exprs(table, what, def, index.parts, err) : rc;
    if (rc == 0) {
        index.part_count = (uint32_t)def->column_count;
        rc = catalog_index_define(table, def, &index, err);
    }
    if (rc == 0) {
        rc = catalog_table_reserve_index(table, err);
    }
    if (rc != 0) {
        return rc;
    }
    index.id = table->next_index_id;
    table->indexes[table->index_count++] = index;
    rc = catalog_table_finish(table, err);
    if (rc != 0) {
        table->index_count--;
        return rc;
    }
    table->next_index_id++;
    *index_out = &table->indexes[table->index_count - 1];
    return 0;
}
