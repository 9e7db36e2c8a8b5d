/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letting old layouts go. When every row has been rewritten into the newest layout, since a drain
 * of all versions before it, no tag leads to an older one any more: not in what a snapshot at or
 * after the version without them can see. A snapshot from before it has the descriptor of its own
 * time, with all of them.
 */
#include "catalog/catalog_impl.h"

uint32_t catalog_newest_since(const struct catalog_table *table)
{
    return table->layout_map[table->layout_map_count - 1].first_version;
}

bool catalog_has_old_layouts(const struct catalog_table *table)
{
    return table->layout_count > 1;
}

int catalog_prune_layouts(struct catalog_table *copy, struct base_err *err)
{
    uint32_t since = catalog_newest_since(copy);
    struct row_layout newest = *catalog_table_layout(copy, copy->version);
    struct row_column *columns =
        base_arena_copy(&copy->arena, newest.columns, newest.column_count * sizeof(*columns));
    if (columns == NULL) {
        return catalog_no_memory(err);
    }
    for (uint32_t i = 0; i < newest.column_count; i++) {
        columns[i].is_made = false;
        columns[i].made_by = NULL;
    }
    newest.columns = columns;
    copy->layouts[0] = newest;
    copy->layout_count = 1;
    copy->layout_map[0] = (struct catalog_layout_map){.first_version = since, .layout = 0};
    copy->layout_map_count = 1;
    copy->version++;
    return catalog_table_finish(copy, err);
}

bool catalog_is_pruned(const struct catalog_table *from, const struct catalog_table *to)
{
    const struct row_layout *old = &from->layouts[from->layout_count - 1];
    const struct row_layout *new = &to->layouts[0];
    if (to->layout_count != 1 || from->layout_count == 1 || to->layout_map_count != 1 ||
        to->layout_map[0].first_version != catalog_newest_since(from) ||
        new->number != old->number || new->column_count != old->column_count) {
        return false;
    }
    for (uint32_t i = 0; i < new->column_count; i++) {
        if (new->columns[i].id != old->columns[i].id ||
            new->columns[i].type != old->columns[i].type) {
            return false;
        }
    }
    return true;
}
