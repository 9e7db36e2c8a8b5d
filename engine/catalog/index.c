/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an index has besides its key: a predicate, which says what rows are inside, columns that its
 * entries carry along, and whether it is a UNIQUE constraint.
 */
#include "catalog/catalog_impl.h"

#include <stdio.h>

bool catalog_index_has(const struct catalog_index *index, uint32_t column)
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
    return false;
}

bool catalog_index_computes(const struct catalog_table *table, const struct catalog_index *index,
                            uint32_t column)
{
    uint32_t id = table->columns[column].id;
    for (uint32_t i = 0; i < index->part_count; i++) {
        if (index->parts[i].expr != NULL && catalog_expr_uses(index->parts[i].expr, id)) {
            return true;
        }
    }
    return index->predicate != NULL && catalog_expr_uses(index->predicate, id);
}

bool catalog_index_uses(const struct catalog_table *table, const struct catalog_index *index,
                        uint32_t column)
{
    return catalog_index_has(index, column) || catalog_index_computes(table, index, column);
}

void catalog_index_shift(struct catalog_index *index, uint32_t from, int by)
{
    for (uint32_t i = 0; i < index->part_count; i++) {
        uint32_t *column = &index->parts[i].column;
        *column += *column >= from && *column != CATALOG_NO_COLUMN ? (uint32_t)by : 0;
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
        base_err_prefix(err, "predicate of index %s of table %s",
                        catalog_index_called(table, index), table->name);
        return rc;
    }
    *inside_out = value.type != INSTAR_NULL && value.b;
    return 0;
}

int catalog_index_parts(const struct catalog_table *table, const struct catalog_index *index,
                        const instar_value *needs, struct base_arena *scratch,
                        instar_value values_out[INSTAR_INDEX_COLUMNS_MAX], struct base_err *err)
{
    for (uint32_t i = 0; i < index->part_count; i++) {
        const struct row_expr *expr = index->parts[i].expr;
        const struct row_expr_column *columns;
        if (expr == NULL) {
            values_out[i] = *needs++;
            continue;
        }
        int rc = row_expr_eval(expr, needs, scratch, &values_out[i], err);
        if (rc != 0) {
            base_err_prefix(err, "expression %u of index %s of table %s", i + 1,
                            catalog_index_called(table, index), table->name);
            return rc;
        }
        needs += row_expr_columns(expr, &columns);
    }
    return 0;
}

bool catalog_index_print_part(const struct catalog_table *table,
                              const struct catalog_key_part *part, struct base_buf *out)
{
    if (part->expr == NULL) {
        return catalog_name_add(out, table->columns[part->column].name);
    }
    return base_buf_add_u8(out, '(') && catalog_expr_print(table, part->expr, out) &&
           base_buf_add_u8(out, ')');
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
        if (catalog_index_has(index, (uint32_t)at)) {
            return base_err_set(err, INSTAR_EINVALID,
                                "%s: column \"%s\" of INCLUDE is there already", what,
                                def->include[i]);
        }
        index->includes[index->include_count++] = (uint32_t)at;
    }
    return 0;
}

/* What PostgreSQL's UNIQUE cannot say it cannot be. */
static int define_constraint(const struct catalog_table *table, const instar_index_def *def,
                             struct catalog_index *index, struct base_err *err)
{
    bool plain = def->unique && def->predicate == NULL;
    for (uint32_t i = 0; i < index->part_count; i++) {
        plain = plain && !index->parts[i].descending && !index->parts[i].nulls_swapped &&
                index->parts[i].expr == NULL;
    }
    if (!plain) {
        return base_err_set(
            err, INSTAR_EINVALID,
            "constraint \"%s\": a UNIQUE is unique, of all rows, of columns, and ascending",
            def->name);
    }
    if (catalog_has_constraint(table, def->name)) {
        return base_err_set(err, INSTAR_EEXISTS, "table \"%s\" has a constraint \"%s\" already",
                            table->name, def->name);
    }
    index->constraint = true;
    return 0;
}

int catalog_index_define(struct catalog_table *table, const instar_index_def *def,
                         struct catalog_index *index, struct base_err *err)
{
    char what[INSTAR_NAME_BYTES_MAX + 32];
    snprintf(what, sizeof(what), "index \"%s\"", def->name);
    int rc = def->constraint ? define_constraint(table, def, index, err) : 0;
    if (rc == 0) {
        rc = define_includes(table, what, def, index, err);
    }
    if (rc == 0 && def->predicate != NULL) {
        snprintf(what, sizeof(what), "index \"%s\": predicate", def->name);
        rc = catalog_expr_compile(table, what, def->predicate, INSTAR_BOOL, &index->predicate, err);
    }
    return rc;
}

/* ---- copies, and what is derived ---------------------------------------------------------- */

int catalog_index_adopt_expr(struct catalog_index *index, struct base_arena *arena,
                             struct base_err *err)
{
    index->input_count = index->need_count = 0;
    index->inputs = index->needs = NULL;
    for (uint32_t i = 0; i < index->part_count; i++) {
        struct catalog_key_part *part = &index->parts[i];
        if (part->expr != NULL) {
            part->expr = catalog_expr_copy(part->expr, arena);
            if (part->expr == NULL) {
                return catalog_no_memory(err);
            }
        }
    }
    if (index->predicate != NULL) {
        index->predicate = catalog_expr_copy(index->predicate, arena);
        if (index->predicate == NULL) {
            return catalog_no_memory(err);
        }
    }
    return 0;
}

static uint32_t tail_of(const struct catalog_index *index)
{
    return index->keyed_by != 0 ? index->key_part_count - index->part_count : 0;
}

static uint32_t count_needs(const struct catalog_index *index)
{
    const struct row_expr_column *columns;
    size_t count = (size_t)index->include_count + tail_of(index);
    for (uint32_t i = 0; i < index->part_count; i++) {
        const struct row_expr *expr = index->parts[i].expr;
        count += expr != NULL ? row_expr_columns(expr, &columns) : 1;
    }
    return (uint32_t)count;
}

/* The parts are there: table.c has looked. */
static int derive_needs(struct catalog_table *table, struct catalog_index *index)
{
    uint32_t count = count_needs(index);
    uint32_t at = 0;
    if (index->needs == NULL || index->need_count != count) {
        index->needs = base_arena_alloc(&table->arena, (count + 1) * sizeof(*index->needs));
        index->need_count = index->needs != NULL ? count : 0;
    }
    if (index->needs == NULL) {
        return INSTAR_ENOMEM;
    }
    index->computed = false;
    for (uint32_t i = 0; i < index->part_count; i++) {
        const struct row_expr *expr = index->parts[i].expr;
        if (expr == NULL) {
            index->needs[at++] = index->parts[i].column;
            continue;
        }
        int rc = catalog_expr_places(table, expr, index->sight, &index->needs[at], &at);
        if (rc != 0) {
            return rc;
        }
        index->computed = true;
    }
    for (uint32_t i = 0; i < tail_of(index); i++) {
        index->needs[at++] = index->key_columns[index->part_count + i];
    }
    for (uint32_t i = 0; i < index->include_count; i++) {
        index->needs[at++] = index->includes[i];
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
        index->include_parts[i] = (struct row_key_part){.type = INSTAR_NULL};
        if (rc == 0) {
            catalog_part_of_column(table, index, column, &index->include_parts[i]);
        }
    }
    if (rc == 0 && index->predicate != NULL) {
        rc = catalog_expr_inputs(table, index->predicate, index->sight, &index->input_count,
                                 &index->inputs);
    }
    rc = rc == 0 ? derive_needs(table, index) : rc;
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

/* ---- UNIQUE ------------------------------------------------------------------------------- */

struct catalog_index *catalog_table_unique(const struct catalog_table *table, const char *name)
{
    struct catalog_index *index = catalog_table_index(table, name);
    return index != NULL && index->constraint ? index : NULL;
}

bool catalog_has_unique(const struct catalog_table *table)
{
    for (uint32_t i = 0; i < table->index_count; i++) {
        if (table->indexes[i].constraint) {
            return true;
        }
    }
    return false;
}

/* Columns as far as a name can hold them. */
static void add_columns(char *text, size_t size, const char *const *columns, size_t count)
{
    size_t used = strlen(text);
    for (size_t i = 0;
         columns != NULL && i < count && columns[i] != NULL && used < INSTAR_NAME_BYTES_MAX; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%.*s", used > 0 ? "_" : "",
                                 INSTAR_NAME_BYTES_MAX, columns[i]);
    }
}

void catalog_unique_name(const char *table, const instar_unique_def *def, unsigned number,
                         char name[INSTAR_NAME_BYTES_MAX + 1])
{
    char columns[2 * INSTAR_NAME_BYTES_MAX + 2] = "";
    add_columns(columns, sizeof(columns), def->columns, def->column_count);
    add_columns(columns, sizeof(columns), def->include, def->include_count);
    catalog_make_name(table, columns, "key", number, name);
}

int catalog_unique_index(const instar_unique_def *def, const char *name, const char *table,
                         instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX],
                         instar_index_def *index_out, struct base_err *err)
{
    *index_out = (instar_index_def){.name = name,
                                    .table = table,
                                    .columns = columns,
                                    .column_count = def->column_count,
                                    .unique = true,
                                    .include = def->include,
                                    .include_count = def->include_count,
                                    .constraint = true};
    if (def->column_count > INSTAR_INDEX_COLUMNS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "constraint \"%s\" of %zu columns, at most %d",
                            name, def->column_count, INSTAR_INDEX_COLUMNS_MAX);
    }
    if (def->column_count != 0 && def->columns == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "constraint \"%s\": no columns", name);
    }
    for (size_t i = 0; i < def->column_count; i++) {
        columns[i] = (instar_key_column){.name = def->columns[i]};
    }
    return 0;
}

static int define_unique(struct catalog_table *table, const instar_unique_def *def,
                         struct base_err *err)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];
    instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX];
    instar_index_def index_def;
    struct catalog_index *index;
    unsigned number = 0;
    int rc = 0;
    if (def->name != NULL) {
        rc = catalog_name_check("constraint", def->name, err);
        snprintf(name, sizeof(name), "%s", rc == 0 ? def->name : "");
    } else {
        do {
            catalog_unique_name(table->name, def, number++, name);
        } while (catalog_table_index(table, name) != NULL || catalog_has_constraint(table, name) ||
                 strcmp(name, table->name) == 0);
    }
    if (rc == 0) {
        rc = catalog_unique_index(def, name, table->name, columns, &index_def, err);
    }
    if (rc == 0 && strcmp(name, table->name) == 0) {
        rc = base_err_set(err, INSTAR_EEXISTS, "constraint \"%s\" has the name of its table", name);
    }
    if (rc == 0) {
        rc = catalog_index_from_def(table, &index_def, &index, err);
    }
    if (rc == 0) { /* there are no rows, and nobody knows the table yet */
        index->stage = INSTAR_STAGE_PUBLIC;
        index->enforcing = true;
    }
    return rc;
}

int catalog_define_uniques(struct catalog_table *table, const instar_table_def *def,
                           struct base_err *err)
{
    int rc = 0;
    if (def->unique_count != 0 && def->uniques == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "no UNIQUE constraints");
    }
    if (def->unique_count > INSTAR_TABLE_UNIQUES_MAX) {
        return base_err_set(
            err, INSTAR_ELIMIT,
            "%zu UNIQUE constraints with the table, at most %d; add the others to it",
            def->unique_count, INSTAR_TABLE_UNIQUES_MAX);
    }
    for (size_t i = 0; rc == 0 && i < def->unique_count; i++) {
        rc = define_unique(table, &def->uniques[i], err);
    }
    return rc;
}

/* ---- primary keys that change ------------------------------------------------------------- */

void catalog_key_name(const char *table, unsigned number, char name[INSTAR_NAME_BYTES_MAX + 1])
{
    catalog_make_name(table, "", "pkey", number, name);
}

int catalog_index_add(struct catalog_table *table, const char *name,
                      struct catalog_index **index_out, struct base_err *err)
{
    char chosen[INSTAR_NAME_BYTES_MAX + 1];
    unsigned number = 0;
    *index_out = NULL;
    int rc = catalog_table_reserve_index(table, err);
    if (rc != 0) {
        return rc;
    }
    snprintf(chosen, sizeof(chosen), "%s", name);
    while (catalog_table_index(table, chosen) != NULL) {
        catalog_make_name(name, "", "new", number++, chosen);
    }
    struct catalog_index *index = &table->indexes[table->index_count++];
    index->id = table->next_index_id++;
    index->stage = INSTAR_STAGE_DELETE_ONLY;
    snprintf(index->name, sizeof(index->name), "%s", chosen);
    *index_out = index;
    return 0;
}
