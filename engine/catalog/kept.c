/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns that were dropped and may come back: the undo window of DROP COLUMN.
 *
 *     a column --- drop, kept ---> kept --- the window is over ---> gone from the layout
 *        ^                          |  ^
 *        +--------- undo -----------+  +--- the undo failed
 *
 * A kept column stays in every layout, and nothing else of the table speaks of it: no name leads to
 * it, no index and no check is about it. So whoever updates a row carries along what it holds, as
 * of any column of the layout that a version does not have; an insert gives it its missing value.
 *
 * It comes back where it stood (columns stand in the order of their ids), with its default and its
 * limit. Rows that were inserted meanwhile
 * hold its missing value; where that is null, NOT NULL may not hold any more: so it comes back as a
 * column that is enforcing, and holds again when the rows have been validated.
 */
#include "catalog/catalog_impl.h"

#include <stdio.h>

const struct catalog_kept *catalog_table_kept(const struct catalog_table *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->kept_count; i++) {
        if (table->kept[i].column.id == id) {
            return &table->kept[i];
        }
    }
    return NULL;
}

uint32_t catalog_kept_by(const struct catalog_table *table, uint64_t change)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->kept_count; i++) {
        count += table->kept[i].change == change;
    }
    return count;
}

static int copy_column(const struct catalog_column *from, struct catalog_column *to,
                       struct base_arena *arena, struct base_err *err)
{
    *to = *from;
    to->missing = (instar_value){.type = INSTAR_NULL};
    return row_value_copy(arena, &from->default_value, &to->default_value) ? 0
                                                                           : catalog_no_memory(err);
}

int catalog_kept_copy(const struct catalog_table *from, struct catalog_table *to,
                      struct base_err *err)
{
    int rc = 0;
    to->kept = base_arena_alloc(&to->arena, (from->kept_count + 1) * sizeof(*to->kept));
    if (to->kept == NULL) {
        return catalog_no_memory(err);
    }
    for (uint32_t i = 0; rc == 0 && i < from->kept_count; i++) {
        to->kept[i] = from->kept[i];
        rc = copy_column(&from->kept[i].column, &to->kept[i].column, &to->arena, err);
    }
    return rc;
}

/* ---- dropping ----------------------------------------------------------------------------- */

/* NOT NULL that was only on its way is as good: it is validated when the column comes back. */
static int keep(struct catalog_table *to, const struct catalog_table *from, uint32_t at,
                uint64_t change, struct base_err *err)
{
    struct catalog_kept *kept =
        base_arena_alloc(&to->arena, (to->kept_count + 1) * sizeof(*to->kept));
    if (kept == NULL) {
        return catalog_no_memory(err);
    }
    if (to->kept_count != 0) {
        memcpy(kept, to->kept, to->kept_count * sizeof(*kept));
    }
    struct catalog_kept *last = &kept[to->kept_count];
    *last = (struct catalog_kept){.change = change};
    int rc = copy_column(&from->columns[at], &last->column, &to->arena, err);
    if (rc != 0) {
        return rc;
    }
    last->column.not_null = catalog_must_refuse_null(&from->columns[at]);
    last->column.enforcing = false;
    last->column.alias[0] = 0;
    last->column.type_coming = INSTAR_NULL;
    last->column.length_coming = 0;
    last->column.made_by = NULL;
    to->kept = kept;
    to->kept_count++;
    return 0;
}

int catalog_keep_dropped(const struct catalog_table *from, struct catalog_table *to,
                         uint64_t change, bool *any_out, struct base_err *err)
{
    uint32_t visible = catalog_visible_columns(from);
    int rc = 0;
    *any_out = false;
    for (uint32_t i = 0; rc == 0 && i < visible; i++) {
        int at = catalog_table_column_by_id(to, from->columns[i].id);
        if (at < 0 || to->columns[at].hidden) {
            rc = keep(to, from, i, change, err);
            *any_out = true;
        }
    }
    return rc;
}

/* ---- coming back -------------------------------------------------------------------------- */

static void remove_kept(struct catalog_table *table, uint32_t at)
{
    memmove(&table->kept[at], &table->kept[at + 1],
            (table->kept_count - at - 1) * sizeof(*table->kept));
    table->kept_count--;
}

static void shift_key(struct catalog_table *table, uint32_t from, int by)
{
    for (uint32_t i = 0; i < table->key_count; i++) {
        table->key[i].column += table->key[i].column >= from ? (uint32_t)by : 0;
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        catalog_index_shift(&table->indexes[i], from, by);
    }
}

static int restore_one(struct catalog_table *table, const struct catalog_kept *kept,
                       const char *name, bool binds, struct base_err *err)
{
    if (catalog_table_column(table, name) >= 0) {
        return base_err_set(err, INSTAR_EEXISTS,
                            "table \"%s\" has a column \"%s\" now: undo with another name (RENAME "
                            "TO)",
                            table->name, name);
    }
    int rc = catalog_table_reserve_column(table, err);
    if (rc != 0) {
        return rc;
    }
    uint32_t at = 0;
    uint32_t visible = catalog_visible_columns(table);
    while (at < visible && table->columns[at].id < kept->column.id) {
        at++;
    }
    struct catalog_column *column = &table->columns[at];
    memmove(column + 1, column, (table->column_count - at) * sizeof(*column));
    *column = kept->column;
    snprintf(column->name, sizeof(column->name), "%s", name);
    column->enforcing = binds && kept->column.not_null;
    column->not_null = false;
    table->column_count++;
    shift_key(table, at, 1);
    return 0;
}

int catalog_restore_kept(struct catalog_table *copy, uint64_t change, const char *new_name,
                         bool binds, struct base_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < copy->kept_count;) {
        /* The list is edited: a copy of the one at hand. */
        struct catalog_kept kept = copy->kept[i];
        if (kept.change != change) {
            i++;
            continue;
        }
        rc = restore_one(copy, &kept, new_name != NULL ? new_name : kept.column.name, binds, err);
        remove_kept(copy, i);
    }
    copy->version++;
    return rc == 0 ? catalog_table_finish(copy, err) : rc;
}

int catalog_settle_restored(struct catalog_table *copy, const uint32_t *ids, size_t count,
                            struct base_err *err)
{
    for (size_t i = 0; i < count; i++) {
        int at = catalog_table_column_by_id(copy, ids[i]);
        if (at >= 0 && copy->columns[at].enforcing) {
            copy->columns[at].enforcing = false;
            copy->columns[at].not_null = true;
        }
    }
    copy->version++;
    return catalog_table_finish(copy, err);
}

/* Nothing may be about it: no index and no check was made since, for the change that brought it
 * back has not ended. */
static void remove_column(struct catalog_table *table, uint32_t at)
{
    memmove(&table->columns[at], &table->columns[at + 1],
            (table->column_count - at - 1) * sizeof(*table->columns));
    table->column_count--;
    shift_key(table, at + 1, -1);
}

int catalog_keep_again(const struct catalog_table *now, struct catalog_table *copy,
                       const struct catalog_kept_name *names, size_t count, uint64_t change,
                       struct base_err *err)
{
    bool any;
    for (size_t i = 0; i < count; i++) {
        int at = catalog_table_column_by_id(copy, names[i].id);
        if (at >= 0) {
            remove_column(copy, (uint32_t)at);
        }
    }
    int rc = catalog_keep_dropped(now, copy, change, &any, err);
    for (uint32_t i = 0; rc == 0 && i < copy->kept_count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (copy->kept[i].column.id == names[k].id) {
                snprintf(copy->kept[i].column.name, sizeof(copy->kept[i].column.name), "%s",
                         names[k].name);
            }
        }
    }
    copy->version++;
    return rc == 0 ? catalog_table_finish(copy, err) : rc;
}

/* ---- the end of the window ---------------------------------------------------------------- */

bool catalog_forget_kept(struct catalog_table *copy, uint64_t change)
{
    uint32_t before = copy->kept_count;
    for (uint32_t i = copy->kept_count; i > 0; i--) {
        if (copy->kept[i - 1].change == change) {
            remove_kept(copy, i - 1);
        }
    }
    return copy->kept_count != before;
}

/* ---- rules -------------------------------------------------------------------------------- */

/* CAT-12 */
const char *catalog_kept_problem(const struct catalog_table *table)
{
    const struct row_layout *newest = catalog_table_layout(table, table->version);
    if (table->kept_count > INSTAR_COLUMNS_MAX) {
        return "too many";
    }
    for (uint32_t i = 0; i < table->kept_count; i++) {
        const struct catalog_column *c = &table->kept[i].column;
        const struct row_column *form = catalog_layout_column(newest, c->id);
        int at = catalog_table_column_by_id(table, c->id);
        if (catalog_name_check("column", c->name, NULL) != 0 || table->kept[i].change == 0) {
            return "has no name, or no change";
        }
        if (form == NULL || !catalog_has_form(form, c)) {
            return "is not in the newest layout";
        }
        if (at >= 0 && !table->columns[at].hidden) {
            return "is a column too";
        }
        for (uint32_t k = 0; k < i; k++) {
            if (table->kept[k].column.id == c->id) {
                return "occurs twice";
            }
        }
        if (c->hidden || c->enforcing || c->alias[0] != 0 || c->type_coming != INSTAR_NULL) {
            return "has what only a column has";
        }
    }
    return NULL;
}

/* One version may keep what it drops, bring back what was kept, or forget it. */
bool catalog_kept_step_allowed(const struct catalog_table *from, const struct catalog_table *to)
{
    for (uint32_t i = 0; i < to->kept_count; i++) {
        const struct catalog_column *c = &to->kept[i].column;
        int at = catalog_table_column_by_id(from, c->id);
        if (catalog_table_kept(from, c->id) == NULL && (at < 0 || from->columns[at].hidden)) {
            return false;
        }
    }
    return true;
}

bool catalog_is_restored(const struct catalog_table *from, const struct catalog_column *column)
{
    const struct catalog_kept *kept = catalog_table_kept(from, column->id);
    return kept != NULL && !column->not_null && kept->column.type == column->type &&
           kept->column.length_max == column->length_max;
}
