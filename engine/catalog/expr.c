/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions over the columns of a table, as checks and predicates of indexes have them. They know
 * columns by their ids; so a rename does not touch them, and an id is never another column's.
 */
#include "catalog/catalog_impl.h"

#include <stdio.h>

#define SHOWN_MAX 200 /* bytes of a text, in an error */

static bool find_column(void *arg, const char *name, struct row_expr_column *column_out,
                        struct base_err *err)
{
    const struct catalog_table *table = arg;
    char what[INSTAR_NAME_BYTES_MAX + 16];
    int at = catalog_table_column(table, name);
    if (at < 0) {
        snprintf(what, sizeof(what), "table \"%s\"", table->name);
        catalog_unknown_column(table, what, name, err);
        return false;
    }
    *column_out = (struct row_expr_column){table->columns[at].id, table->columns[at].type};
    return true;
}

int catalog_expr_compile(struct catalog_table *table, const char *what, const char *text,
                         enum instar_type wanted, const struct row_expr **expr_out,
                         struct base_err *err)
{
    struct row_expr_scope scope = {.wanted = wanted, .find = find_column, .arg = table};
    struct row_expr *expr = NULL;
    size_t size = strlen(text);
    size_t at;
    int rc = row_expr_compile(base_slice(text, size), &scope, &table->arena, &expr, &at, err);
    if (rc != 0) {
        base_err_prefix(err, "%s (%.*s%s), byte %zu", what, (int)catalog_cut(text, SHOWN_MAX), text,
                        size > SHOWN_MAX ? "…" : "", at + 1);
    }
    *expr_out = expr;
    return rc;
}

bool catalog_expr_uses(const struct row_expr *expr, uint32_t column_id)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(expr, &columns);
    for (size_t i = 0; i < count; i++) {
        if (columns[i].id == column_id) {
            return true;
        }
    }
    return false;
}

bool catalog_expr_same(const struct row_expr *a, const struct row_expr *b)
{
    return a == b || (a != NULL && b != NULL && row_expr_same(a, b));
}

static const char *column_name(void *arg, uint32_t id)
{
    const struct catalog_table *table = arg;
    int at = catalog_table_column_by_id(table, id);
    return at >= 0 ? table->columns[at].name : "?";
}

bool catalog_expr_print(const struct catalog_table *table, const struct row_expr *expr,
                        struct base_buf *out)
{
    return row_expr_print(expr, column_name, (void *)(uintptr_t)table, out);
}

const struct row_expr *catalog_expr_copy(const struct row_expr *from, struct base_arena *arena)
{
    struct base_buf bytes = {0};
    struct row_expr *copy = NULL;
    if (row_expr_encode(from, &bytes)) {
        (void)row_expr_decode(base_buf_slice(&bytes), arena, &copy, NULL);
    }
    base_buf_free(&bytes);
    return copy; /* what was compiled or decoded can be decoded: only memory may be missing */
}

int catalog_expr_places(const struct catalog_table *table, const struct row_expr *expr,
                        enum catalog_sight sight, uint32_t *places_out, uint32_t *count_inout)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(expr, &columns);
    for (size_t i = 0; i < count; i++) {
        int at = catalog_table_column_by_id(table, columns[i].id);
        if (at < 0 || !catalog_sight_takes(&table->columns[at], columns[i].type, sight)) {
            return INSTAR_EINVALID;
        }
        places_out[i] = (uint32_t)at;
    }
    *count_inout += (uint32_t)count;
    return 0;
}

int catalog_expr_inputs(struct catalog_table *table, const struct row_expr *expr,
                        enum catalog_sight sight, uint32_t *count_inout, uint32_t **inputs_inout)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(expr, &columns);
    if (*count_inout != count || count == 0) {
        *inputs_inout = base_arena_alloc(&table->arena, (count + 1) * sizeof(**inputs_inout));
        *count_inout = (uint32_t)count;
    }
    if (*inputs_inout == NULL) {
        *count_inout = 0;
        return INSTAR_ENOMEM;
    }
    uint32_t told = 0;
    return catalog_expr_places(table, expr, sight, *inputs_inout, &told);
}

bool catalog_expr_stands(const struct catalog_table *table, const struct row_expr *expr,
                         enum catalog_sight sight)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(expr, &columns);
    for (size_t i = 0; i < count; i++) {
        int found = catalog_table_column_by_id(table, columns[i].id);
        if (found < 0 || !catalog_sight_takes(&table->columns[found], columns[i].type, sight)) {
            return false;
        }
    }
    return true;
}

bool catalog_expr_valid(const struct catalog_table *table, const struct row_expr *expr,
                        enum catalog_sight sight)
{
    return row_expr_type(expr) == INSTAR_BOOL && catalog_expr_stands(table, expr, sight);
}
