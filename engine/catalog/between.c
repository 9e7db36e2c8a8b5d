/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions between the one that stands and the one that is wanted, when indexes come or go together
 * with columns. An index may never be further than its columns: so a column that is new comes
 * first, hidden, with the index in its first stage, and a column that is dropped stays, hidden,
 * until the index has gone. Nobody can name a hidden column; every row has its missing value in it
 * while it is on its way in, and whoever updates a row carries along what it holds.
 */
#include "catalog/catalog_impl.h"

int catalog_hide_column(struct catalog_table *to, const struct catalog_table *from, uint32_t id,
                        bool binds, struct base_err *err)
{
    int at = catalog_table_column_by_id(from, id);
    base_assert(at >= 0);
    if (catalog_table_column_by_id(to, id) >= 0) {
        return 0;
    }
    int rc = catalog_table_reserve_column(to, err);
    if (rc != 0) {
        return rc;
    }
    const struct catalog_column *column = &from->columns[at];
    struct catalog_column *hidden = &to->columns[to->column_count];
    /* A column that the newest layout has got its missing value there. */
    const struct row_column *form =
        catalog_layout_column(catalog_table_layout(to, to->version), column->id);
    const instar_value *missing = form != NULL ? &form->missing : &column->missing;
    *hidden = *column;
    hidden->hidden = true;
    hidden->enforcing = false;
    hidden->type_coming = INSTAR_NULL;
    hidden->length_coming = 0;
    hidden->made_by = NULL;
    hidden->not_null = binds && column->not_null;
    hidden->alias[0] = 0;
    if (!row_value_copy(&to->arena, missing, &hidden->missing)) {
        return catalog_no_memory(err);
    }
    hidden->default_value = hidden->missing;
    hidden->has_default = hidden->missing.type != INSTAR_NULL;
    to->column_count++;
    to->next_column_id = to->next_column_id > id ? to->next_column_id : id + 1;
    return 0;
}

int catalog_adopt_index(struct catalog_table *to, const struct catalog_table *from, uint32_t id,
                        bool binds, struct catalog_index **index_out, struct base_err *err)
{
    const struct catalog_index *index = catalog_table_index_by_id(from, id);
    int rc = 0;
    *index_out = NULL;
    base_assert(index != NULL);
    for (uint32_t i = 0; rc == 0 && i < from->column_count; i++) {
        if (catalog_index_uses(from, index, i)) {
            rc = catalog_hide_column(to, from, from->columns[i].id, binds, err);
        }
    }
    if (rc == 0) {
        rc = catalog_table_reserve_index(to, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct catalog_index *adopted = &to->indexes[to->index_count];
    *adopted = *index;
    rc = catalog_index_adopt_expr(adopted, &to->arena, err);
    if (rc != 0) {
        return rc;
    }
    to->index_count++;
    for (uint32_t i = 0; i < index->part_count; i++) {
        if (index->parts[i].expr != NULL) {
            continue;
        }
        uint32_t column = from->columns[index->parts[i].column].id;
        adopted->parts[i].column = (uint32_t)catalog_table_column_by_id(to, column);
    }
    for (uint32_t i = 0; i < index->include_count; i++) {
        uint32_t column = from->columns[index->includes[i]].id;
        adopted->includes[i] = (uint32_t)catalog_table_column_by_id(to, column);
    }
    to->next_index_id = to->next_index_id > id ? to->next_index_id : id + 1;
    *index_out = adopted;
    return 0;
}

struct catalog_index *catalog_table_index_by_tree(const struct catalog_table *table, uint64_t tree)
{
    for (uint32_t i = 0; i < table->index_count; i++) {
        if (table->indexes[i].tree == tree) {
            return &table->indexes[i];
        }
    }
    return NULL;
}

uint32_t catalog_visible_columns(const struct catalog_table *table)
{
    uint32_t count = table->column_count;
    while (count > 0 && table->columns[count - 1].hidden) {
        count--;
    }
    return count;
}

void catalog_remove_hidden(struct catalog_table *table)
{
    uint32_t count = catalog_visible_columns(table);
    for (uint32_t i = count; i < table->column_count; i++) {
        if (table->columns[i].id == table->row_id) {
            table->columns[count++] = table->columns[i]; /* where it stands already */
        }
    }
    table->column_count = count;
}
