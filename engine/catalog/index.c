/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an index has besides its key: a predicate, which says what rows are inside, columns that its
 * entries carry along, and whether it is a UNIQUE constraint.
 */
#include "catalog/catalog_impl.h"

#include <stdio.h>

bool catalog_index_uses(const struct catalog_table *table, const struct catalog_index *index,
                        uint32_t column)
{
    for (uint32_t i = 0; i < index->part_count; i++) {
        if (index->parts[i].column == column) {
            return true;
        }
    }
    for (uint32_t i = 0; i < index->include_count; i++) {
        if (index->includes[i] == column) {
            return true;
        }
    }
    return index->predicate != NULL &&
           catalog_expr_uses(index->predicate, table->columns[column].id);
}

void catalog_index_shift(struct catalog_index *index, uint32_t from, int by)
{
    for (uint32_t i = 0; i < index->part_count; i++) {
        uint32_t *column = &index->parts[i].column;
        *column += *column >= from ? (uint32_t)by : 0;
    }
    for (uint32_t i = 0; i < index->include_count; i++) {
        uint32_t *column = &index->includes[i];
        *column += *column >= from ? (uint32_t)by : 0;
    }
}

int catalog_index_inside(const struct catalog_table *table, const struct catalog_index *index,
                         const instar_value *inputs, struct base_arena *scratch, bool *inside_out,
                         struct base_err *err)
{
    instar_value value;
    *inside_out = index->predicate == NULL;
    if (*inside_out) {
        return 0;
    }
    int rc = row_expr_eval(index->predicate, inputs, scratch, &value, err);
    if (rc != 0) {
        base_err_prefix(err, "predicate of index %s of table %s", index->name, table->name);
        return rc;
    }
    *inside_out = value.type != INSTAR_NULL && value.b;
    return 0;
}

bool catalog_index_print_predicate(const struct catalog_table *table,
                                   const struct catalog_index *index, struct base_buf *out)
{
    return catalog_expr_print(table, index->predicate, out);
}

/* ---- making one --------------------------------------------------------------------------- */

static int define_includes(const struct catalog_table *table, const char *what,
                           const instar_index_def *def, struct catalog_index *index,
                           struct base_err *err)
{
    if (def->include_count > INSTAR_INDEX_COLUMNS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "%s: INCLUDE of %zu columns, at most %d", what,
                            def->include_count, INSTAR_INDEX_COLUMNS_MAX);
    }
    if (def->include_count != 0 && def->include == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "%s: INCLUDE without columns", what);
    }
    for (size_t i = 0; i < def->include_count; i++) {
        int rc = catalog_name_check("column", def->include[i], err);
        if (rc != 0) {
            base_err_prefix(err, "%s: INCLUDE", what);
            return rc;
        }
        int at = catalog_table_column(table, def->include[i]);
        if (at < 0) {
            return catalog_unknown_column(table, what, def->include[i], err);
        }
        if (catalog_index_uses(table, index, (uint32_t)at)) {
            return base_err_set(err, INSTAR_EINVALID,
                                "%s: column \"%s\" of INCLUDE is there already", what,
                                def->include[i]);
        }
        index->includes[index->include_count++] = (uint32_t)at;
    }
    return 0;
}

int catalog_index_define(struct catalog_table *table, const instar_index_def *def,
                         struct catalog_index *index, struct base_err *err)
{
    char what[INSTAR_NAME_BYTES_MAX + 32];
    snprintf(what, sizeof(what), "index \"%s\"", def->name);
    int rc = define_includes(table, what, def, index, err);
    if (rc == 0 && def->predicate != NULL) {
        snprintf(what, sizeof(what), "index \"%s\": predicate", def->name);
        rc = catalog_expr_compile(table, what, def->predicate, &index->predicate, err);
    }
    return rc;
}

/* ---- copies, and what is derived ---------------------------------------------------------- */

int catalog_index_adopt_expr(struct catalog_index *index, struct base_arena *arena,
                             struct base_err *err)
{
    index->input_count = 0;
    index->inputs = NULL;
    if (index->predicate != NULL) {
        index->predicate = catalog_expr_copy(index->predicate, arena);
        if (index->predicate == NULL) {
            return catalog_no_memory(err);
        }
    }
    return 0;
}

int catalog_index_derive(struct catalog_table *table, struct catalog_index *index,
                         struct base_err *err)
{
    int rc = index->include_count <= INSTAR_INDEX_COLUMNS_MAX ? 0 : INSTAR_EINVALID;
    for (uint32_t i = 0; rc == 0 && i < index->include_count; i++) {
        uint32_t column = index->includes[i];
        rc = column < table->column_count ? 0 : INSTAR_EINVALID;
        index->include_parts[i] =
            (struct row_key_part){.type = rc == 0 ? table->columns[column].type : INSTAR_NULL};
    }
    if (rc == 0 && index->predicate != NULL) {
        rc = catalog_expr_inputs(table, index->predicate, &index->input_count, &index->inputs);
    }
    if (rc == INSTAR_ENOMEM) {
        return catalog_no_memory(err);
    }
    return rc == 0 ? 0
                   : base_err_set(err, rc, "table \"%s\": index \"%s\" of columns it has not",
                                  table->name, index->name);
}

/* ---- the same one? ------------------------------------------------------------------------ */

bool catalog_index_is_same(const struct catalog_table *from, const struct catalog_index *a,
                           const struct catalog_table *to, const struct catalog_index *b)
{
    if (a->constraint != b->constraint || a->include_count != b->include_count ||
        (a->predicate == NULL) != (b->predicate == NULL)) {
        return false;
    }
    for (uint32_t i = 0; i < a->include_count; i++) {
        if (from->columns[a->includes[i]].id != to->columns[b->includes[i]].id) {
            return false;
        }
    }
    return a->predicate == NULL || catalog_expr_same(a->predicate, b->predicate);
}
