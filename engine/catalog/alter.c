/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Altering a table's descriptor: from the version that stands to the one that is wanted.
 *
 *     v        as it stands
 *     v + 1    enforce    only where a NOT NULL or a check is new, or a type has no room for all
 *                         values: writers obey it, validation follows
 *     v + 2    alter      all steps at once
 *     v + 3    retire     only where the step before left something: aliases, hidden columns
 *
 * A version whose columns differ in form from those before gets a layout of its own, one more entry
 * in the map; rows are not touched. What a version drops stays in its layout, because the version
 * before still reads it; the layout without it belongs to `retire`, which is published when nobody
 * is left who could. Its rows have the column's bytes no more, and those before are skipped.
 */
#include "catalog/catalog_impl.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- names -------------------------------------------------------------------------------- */

static void set_name(char to[INSTAR_NAME_BYTES_MAX + 1], const char *name)
{
    memcpy(to, name, strlen(name) + 1); /* checked before */
}

/* The new name of a rename is a name, and not the old one: that would be a slip. */
static int check_rename(const char *what, const char *name, const char *new_name,
                        struct base_err *err)
{
    int rc = catalog_name_check(what, new_name, err);
    if (rc == 0 && strcmp(name, new_name) == 0) {
        rc = base_err_set(err, INSTAR_EEXISTS, "%s \"%s\" has that name already", what, name);
    }
    return rc;
}

static int rename_table(struct catalog_table *table, const instar_alteration *step,
                        struct base_err *err)
{
    int rc = check_rename("table", table->name, step->new_name, err);
    if (rc == 0) {
        set_name(table->name, step->new_name);
    }
    return rc;
}

static int rename_column(struct catalog_table *table, struct catalog_column *column,
                         const instar_alteration *step, struct base_err *err)
{
    int rc = check_rename("column", column->name, step->new_name, err);
    rc = rc == 0 ? catalog_column_name_check(step->new_name, err) : rc;
    if (rc == 0 && catalog_table_column(table, step->new_name) >= 0) {
        rc = base_err_set(err, INSTAR_EEXISTS, "table \"%s\" has a column \"%s\" already",
                          table->name, step->new_name);
    }
    if (rc == 0) {
        set_name(column->name, step->new_name);
    }
    return rc;
}

static int unknown_index(const struct catalog_table *table, const char *name, struct base_err *err)
{
    const char *names[CATALOG_INDEXES_MAX];
    char hint[CATALOG_HINT_MAX];
    for (uint32_t i = 0; i < table->index_count; i++) {
        names[i] = table->indexes[i].name;
    }
    const char *nearest = base_nearest_name(name, names, table->index_count);
    return base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" has no index \"%s\"%s", table->name,
                        name, catalog_hint(nearest, hint));
}

static int rename_index(struct catalog_table *table, const instar_alteration *step,
                        bool *changed_out, struct base_err *err)
{
    int rc = catalog_name_check("index", step->name, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_index *index = catalog_table_index(table, step->name);
    if (index == NULL) {
        *changed_out = false;
        return (step->flags & INSTAR_ALTER_IF_EXISTS) != 0 ? 0
                                                           : unknown_index(table, step->name, err);
    }
    rc = check_rename("index", index->name, step->new_name, err);
    if (rc == 0 && catalog_table_index(table, step->new_name) != NULL) {
        rc = base_err_set(err, INSTAR_EEXISTS, "table \"%s\" has an index \"%s\" already",
                          table->name, step->new_name);
    }
    if (rc == 0 && index->constraint && catalog_has_constraint(table, step->new_name)) {
        rc = base_err_set(err, INSTAR_EEXISTS, "table \"%s\" has a constraint \"%s\" already",
                          table->name, step->new_name);
    }
    if (rc == 0) {
        set_name(index->name, step->new_name);
    }
    return rc;
}

/* ---- columns ------------------------------------------------------------------------------ */

/* IF NOT EXISTS, and there is one of that name: is it the one that is wanted? */
static int same_column(struct catalog_table *table, const struct catalog_column *found,
                       const instar_column_def *def, struct base_err *err)
{
    static const instar_value null = {.type = INSTAR_NULL};
    instar_value value = def->default_value != NULL ? *def->default_value : null;
    char what[64] = "";
    char type[CATALOG_TYPE_TEXT_MAX];
    if (found->type != def->type || found->length_max != def->length_max) {
        snprintf(what, sizeof(what), "it is %s",
                 catalog_type_text(found->type, found->length_max, type));
    } else if (found->not_null != def->not_null) {
        snprintf(what, sizeof(what), "it %s", found->not_null ? "is NOT NULL" : "may be null");
    } else if (row_value_check(found->type, &value, NULL) != 0 ||
               catalog_column_fit(found, &value, NULL) != 0 ||
               row_value_cmp(&found->default_value, &value) != 0) {
        snprintf(what, sizeof(what), "it has another default");
    }
    return what[0] == 0 ? 0
                        : base_err_set(err, INSTAR_EDEFINITION,
                                       "column \"%s\" of table \"%s\" exists with another "
                                       "definition: %s",
                                       found->name, table->name, what);
}

/* At the end, but before the hidden ones, which another change is at work on. */
static void insert_column(struct catalog_table *table, const struct catalog_column *column)
{
    uint32_t at = catalog_visible_columns(table);
    memmove(&table->columns[at + 1], &table->columns[at],
            (table->column_count - at) * sizeof(*table->columns));
    table->columns[at] = *column;
    table->column_count++;
    for (uint32_t i = 0; i < table->key_count; i++) {
        table->key[i].column += table->key[i].column >= at; /* the row id */
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        catalog_index_shift(&table->indexes[i], at, 1);
    }
}

static int add_column(struct catalog_table *table, const instar_alteration *step, bool *changed_out,
                      struct base_err *err)
{
    const instar_column_def *def = step->column;
    if (def == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "add column: no definition");
    }
    int rc = catalog_name_check("column", def->name, err);
    int at = rc == 0 ? catalog_table_column(table, def->name) : -1;
    if (at >= 0 && (step->flags & INSTAR_ALTER_IF_NOT_EXISTS) != 0) {
        *changed_out = false;
        return same_column(table, &table->columns[at], def, err);
    }
    if (at >= 0) {
        return base_err_set(err, INSTAR_EEXISTS, "table \"%s\" has a column \"%s\" already",
                            table->name, def->name);
    }
    struct catalog_column column;
    if (rc == 0) {
        rc = catalog_table_reserve_column(table, err);
    }
    if (rc == 0) {
        rc = catalog_define_column(table, def, &column, err);
    }
    if (rc == 0) {
        column.missing = column.default_value;
        insert_column(table, &column);
    }
    return rc;
}

static bool part_uses(const struct catalog_key_part *parts, uint32_t count, uint32_t column)
{
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].column == column) {
            return true;
        }
    }
    return false;
}

/* The columns behind one that has gone move up. */
static void close_gap(struct catalog_key_part *parts, uint32_t count, uint32_t column)
{
    for (uint32_t i = 0; i < count; i++) {
        parts[i].column -= parts[i].column > column;
    }
}

static int drop_column(struct catalog_table *table, uint32_t at, struct base_err *err)
{
    const char *name = table->columns[at].name;
    if (part_uses(table->key, table->key_count, at)) {
        return base_err_set(err, INSTAR_ESTATE,
                            "column \"%s\" of table \"%s\": it is of the primary key", name,
                            table->name);
    }
    const struct catalog_fkey *fkey = catalog_fkey_using(table, table->columns[at].id);
    if (fkey != NULL) {
        return base_err_set(err, INSTAR_ESTATE,
                            "column \"%s\" of table \"%s\": foreign key \"%s\" is about it; drop "
                            "that first",
                            name, table->name, fkey->name);
    }
    for (uint32_t i = 0; i < table->check_count; i++) {
        if (catalog_check_uses(&table->checks[i], table->columns[at].id)) {
            return base_err_set(
                err, INSTAR_ESTATE,
                "column \"%s\" of table \"%s\": check \"%s\" mentions it; drop that "
                "first",
                name, table->name, table->checks[i].name);
        }
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        if (catalog_index_uses(table, &table->indexes[i], at)) {
            return base_err_set(err, INSTAR_ESTATE,
                                "column \"%s\" of table \"%s\": %s \"%s\" uses it; drop that "
                                "first",
                                name, table->name,
                                table->indexes[i].constraint ? "constraint" : "index",
                                table->indexes[i].name);
        }
    }
    memmove(&table->columns[at], &table->columns[at + 1],
            (table->column_count - at - 1) * sizeof(*table->columns));
    table->column_count--;
    close_gap(table->key, table->key_count, at);
    for (uint32_t i = 0; i < table->index_count; i++) {
        catalog_index_shift(&table->indexes[i], at + 1, -1);
    }
    return 0;
}

static int drop_not_null(struct catalog_table *table, uint32_t at, struct base_err *err)
{
    if (part_uses(table->key, table->key_count, at)) {
        return base_err_set(err, INSTAR_ESTATE,
                            "column \"%s\" of table \"%s\": it is of the primary key, which is "
                            "never null",
                            table->columns[at].name, table->name);
    }
    table->columns[at].not_null = false;
    table->columns[at].enforcing = false;
    return 0;
}

/* What is done to one column that must be there. */
static int alter_column(struct catalog_table *table, const instar_alteration *step,
                        bool *changed_out, struct base_err *err)
{
    int rc = catalog_name_check("column", step->name, err);
    int at = rc == 0 ? catalog_table_column(table, step->name) : -1;
    if (rc == 0 && at < 0 && (step->flags & INSTAR_ALTER_IF_EXISTS) != 0) {
        *changed_out = false;
        return 0;
    }
    if (rc == 0 && at < 0) {
        char what[INSTAR_NAME_BYTES_MAX + 16];
        snprintf(what, sizeof(what), "table \"%s\"", table->name);
        rc = catalog_unknown_column(table, what, step->name, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct catalog_column *column = &table->columns[at];
    switch (step->kind) {
    case INSTAR_ALTER_SET_TYPE:
        return catalog_alter_type(table, (uint32_t)at, step, changed_out, err);
    case INSTAR_ALTER_RENAME_COLUMN:
        return rename_column(table, column, step, err);
    case INSTAR_ALTER_DROP_COLUMN:
        return drop_column(table, (uint32_t)at, err);
    case INSTAR_ALTER_SET_DEFAULT:
        return catalog_define_default(table, column, step->value, err);
    case INSTAR_ALTER_DROP_DEFAULT:
        return catalog_define_default(table, column, NULL, err);
    case INSTAR_ALTER_SET_NOT_NULL:
        column->not_null = true;
        column->enforcing = false;
        return 0;
    default:
        return drop_not_null(table, (uint32_t)at, err);
    }
}

int catalog_alter(struct catalog_table *table, const instar_alteration *step, bool *changed_out,
                  struct base_err *err)
{
    const uint32_t known =
        INSTAR_ALTER_IF_NOT_EXISTS | INSTAR_ALTER_IF_EXISTS | INSTAR_ALTER_EXPLICIT;
    *changed_out = true;
    if ((step->flags & ~known) != 0) {
        return base_err_set(err, INSTAR_EINVALID, "there are no flags 0x%" PRIx32, step->flags);
    }
    switch (step->kind) {
    case INSTAR_ALTER_RENAME_TABLE:
        return rename_table(table, step, err);
    case INSTAR_ALTER_RENAME_INDEX:
        return rename_index(table, step, changed_out, err);
    case INSTAR_ALTER_ADD_COLUMN:
        return add_column(table, step, changed_out, err);
    case INSTAR_ALTER_RENAME_COLUMN:
    case INSTAR_ALTER_DROP_COLUMN:
    case INSTAR_ALTER_SET_DEFAULT:
    case INSTAR_ALTER_DROP_DEFAULT:
    case INSTAR_ALTER_SET_NOT_NULL:
    case INSTAR_ALTER_DROP_NOT_NULL:
    case INSTAR_ALTER_SET_TYPE:
        return alter_column(table, step, changed_out, err);
    case INSTAR_ALTER_ADD_FOREIGN_KEY:
        return catalog_alter_add_fkey(table, step, err);
    case INSTAR_ALTER_ADD_CHECK:
    case INSTAR_ALTER_DROP_CONSTRAINT:
    case INSTAR_ALTER_RENAME_CONSTRAINT:
    case INSTAR_ALTER_VALIDATE_CONSTRAINT:
        return catalog_alter_constraint(table, step, changed_out, err);
    case INSTAR_ALTER_COMMENT_TABLE:
    case INSTAR_ALTER_COMMENT_COLUMN:
    case INSTAR_ALTER_COMMENT_INDEX:
    case INSTAR_ALTER_COMMENT_CONSTRAINT:
        return catalog_alter_comment(table, step, changed_out, err);
    case INSTAR_ALTER_ADD_PRIMARY_KEY:
    case INSTAR_ALTER_DROP_PRIMARY_KEY:
        return base_err_set(err, INSTAR_EINVALID,
                            "table \"%s\": its primary key is in its CREATE TABLE", table->name);
    default:
        return base_err_set(err, INSTAR_EINVALID, "there is no alteration %" PRIu32, step->kind);
    }
}

/* ---- layouts ------------------------------------------------------------------------------ */

/* One more layout, for the table's version and those after it. */
static int add_layout(struct catalog_table *table, const struct row_column *columns, uint32_t count,
                      struct base_err *err)
{
    struct base_arena *arena = &table->arena;
    uint32_t number = table->layouts[table->layout_count - 1].number + 1;
    if (count > INSTAR_COLUMNS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "table \"%s\": %" PRIu32 " columns, with those that are being dropped; "
                            "at most %d",
                            table->name, count, INSTAR_COLUMNS_MAX);
    }
    struct row_layout *layouts =
        base_arena_alloc(arena, (table->layout_count + 1) * sizeof(*layouts));
    struct catalog_layout_map *map =
        base_arena_alloc(arena, (table->layout_map_count + 1) * sizeof(*map));
    const struct row_column *kept = base_arena_copy(arena, columns, count * sizeof(*columns));
    if (layouts == NULL || map == NULL || kept == NULL) {
        return catalog_no_memory(err);
    }
    memcpy(layouts, table->layouts, table->layout_count * sizeof(*layouts));
    memcpy(map, table->layout_map, table->layout_map_count * sizeof(*map));
    layouts[table->layout_count] =
        (struct row_layout){.number = number, .column_count = count, .columns = kept};
    map[table->layout_map_count] =
        (struct catalog_layout_map){.first_version = table->version, .layout = table->layout_count};
    table->layouts = layouts;
    table->layout_map = map;
    table->layout_count++;
    table->layout_map_count++;
    return 0;
}

/* The column of another type than the newest layout has. */
static int retype_column(struct catalog_table *table, struct row_column *form,
                         const struct catalog_column *column, struct base_err *err)
{
    instar_value cast;
    int rc =
        column->made_by != NULL
            ? row_cast_by(column->made_by, &form->missing, column->type, &table->arena, &cast, err)
            : row_cast(&form->missing, column->type, &table->arena, &cast, err);
    if (rc == 0) {
        rc = catalog_column_fit(column, &cast, err);
    }
    if (rc != 0) {
        base_err_prefix(err, "column \"%s\" of table \"%s\": its value in rows from before it was",
                        column->name, table->name);
        return rc;
    }
    form->type = column->type;
    form->scale = (uint8_t)row_type_scale(column->type, column->length_max);
    form->made_by = column->made_by;
    form->is_made = column->made_by != NULL;
    return row_value_copy(&table->arena, &cast, &form->missing) ? 0 : catalog_no_memory(err);
}

static int add_new_column(struct catalog_table *table, struct row_column *form,
                          const struct catalog_column *column, struct base_err *err)
{
    *form = (struct row_column){.id = column->id,
                                .type = column->type,
                                .scale = (uint8_t)row_type_scale(column->type, column->length_max),
                                .missing = column->missing};
    if (column->not_null && column->missing.type == INSTAR_NULL) {
        return base_err_set(err, INSTAR_EINVALID,
                            "column \"%s\" of table \"%s\": NOT NULL needs a default, which the "
                            "rows that are there get",
                            column->name, table->name);
    }
    return 0;
}

/* What comes is limited. What goes is not, for it may be the way back of a change, which must be
 * able to end; it is bounded all the same, by what has come. */
static int check_layouts(const struct catalog_table *table, struct base_err *err)
{
    return table->layout_count < CATALOG_LAYOUTS_MAX
               ? 0
               : base_err_set(err, INSTAR_ELIMIT,
                              "table \"%s\": its columns came, went or got other types %" PRIu32
                              " times, the most there may be until it is vacuumed",
                              table->name, table->layout_count);
}

/* A layout with the columns that the newest one lacks, or has in another type. */
static int add_new_forms(struct catalog_table *table, struct base_err *err)
{
    const struct row_layout *newest = catalog_table_layout(table, table->version);
    size_t room = (size_t)newest->column_count + table->column_count;
    struct row_column *columns = base_alloc_zero(room, sizeof(*columns));
    uint32_t count = newest->column_count;
    bool any = false;
    int rc = 0;
    if (columns == NULL) {
        return catalog_no_memory(err);
    }
    memcpy(columns, newest->columns, count * sizeof(*columns));
    for (uint32_t i = 0; i < count; i++) {
        columns[i].is_made = false;
    }
    for (uint32_t i = 0; rc == 0 && i < table->column_count; i++) {
        struct catalog_column *c = &table->columns[i];
        const struct row_column *form = catalog_layout_column(newest, c->id);
        if (form == NULL) {
            rc = add_new_column(table, &columns[count++], c, err);
            any = true;
        } else if (!catalog_has_form(form, c) || c->made_by != NULL) {
            rc = retype_column(table, &columns[form - newest->columns], c, err);
            any = true;
        }
        c->made_by = NULL;
    }
    rc = rc == 0 && any ? check_layouts(table, err) : rc;
    if (rc == 0 && any) {
        rc = add_layout(table, columns, count, err);
    }
    base_free(columns);
    return rc;
}

/* ---- versions ----------------------------------------------------------------------------- */

static void set_alias(char alias[INSTAR_NAME_BYTES_MAX + 1], const char *old, const char *new)
{
    alias[0] = 0;
    if (strcmp(old, new) != 0) {
        set_name(alias, old);
    }
}

/* The old names of what has a new one, where nothing else bears them now. */
static void set_aliases(const struct catalog_table *from, struct catalog_table *to)
{
    set_alias(to->alias, from->name, to->name);
    for (uint32_t i = 0; i < to->column_count; i++) {
        struct catalog_column *c = &to->columns[i];
        int at = catalog_table_column_by_id(from, c->id);
        const char *old = at >= 0 ? from->columns[at].name : c->name;
        set_alias(c->alias, catalog_table_column(to, old) < 0 ? old : c->name, c->name);
    }
    for (uint32_t i = 0; i < to->index_count; i++) {
        struct catalog_index *x = &to->indexes[i];
        const struct catalog_index *before = catalog_table_index_by_id(from, x->id);
        const char *old = before != NULL ? before->name : x->name;
        set_alias(x->alias, catalog_table_index(to, old) == NULL ? old : x->name, x->name);
    }
}

/* A NOT NULL that is new must have been enforced, and so validated, before it holds. */
static int settle_not_null(const struct catalog_table *from, struct catalog_table *to,
                           struct base_err *err)
{
    for (uint32_t i = 0; i < to->column_count; i++) {
        struct catalog_column *c = &to->columns[i];
        int at = catalog_table_column_by_id(from, c->id);
        if (c->not_null && at >= 0 && !catalog_must_refuse_null(&from->columns[at])) {
            return base_err_set(err, INSTAR_ESTATE,
                                "column \"%s\" of table \"%s\" may be null since this change was "
                                "submitted; ask for it again",
                                c->name, to->name);
        }
        c->enforcing = false;
    }
    return 0;
}

int catalog_alter_finish(const struct catalog_table *from, struct catalog_table *to,
                         struct base_err *err)
{
    to->version = from->version + 1;
    set_aliases(from, to);
    int rc = settle_not_null(from, to, err);
    if (rc == 0) {
        rc = catalog_types_settle(from, to, err);
    }
    if (rc == 0) {
        rc = catalog_checks_settle(from, to, err);
    }
    if (rc == 0) {
        rc = catalog_fkeys_settle(from, to, err);
    }
    if (rc == 0) {
        rc = add_new_forms(to, err);
    }
    return rc == 0 ? catalog_table_finish(to, err) : rc;
}

int catalog_alter_enforce(struct catalog_table *copy, const struct catalog_table *target,
                          bool *any_out, struct base_err *err)
{
    bool any = false;
    for (uint32_t i = 0; i < copy->column_count; i++) {
        struct catalog_column *c = &copy->columns[i];
        int at = catalog_table_column_by_id(target, c->id);
        if (at >= 0 && target->columns[at].not_null && !catalog_must_refuse_null(c)) {
            c->enforcing = true;
            any = true;
        }
    }
    int rc = catalog_types_enforce(copy, target, &any, err);
    if (rc == 0) {
        rc = catalog_checks_enforce(copy, target, &any, err);
    }
    if (rc == 0) {
        rc = catalog_fkeys_enforce(copy, target, &any, err);
    }
    copy->version += any;
    *any_out = any;
    return rc == 0 ? catalog_table_finish(copy, err) : rc;
}

void catalog_alter_relax(struct catalog_table *copy)
{
    for (uint32_t i = 0; i < copy->column_count; i++) {
        copy->columns[i].enforcing = false;
    }
    catalog_types_relax(copy);
    catalog_checks_relax(copy);
    catalog_fkeys_relax(copy);
    copy->version++;
}

/* Kept columns that are not among the columns, hidden for an index that goes with them. */
static uint32_t only_kept(const struct catalog_table *table)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->kept_count; i++) {
        count += catalog_table_column_by_id(table, table->kept[i].column.id) < 0;
    }
    return count;
}

bool catalog_alter_leaves(const struct catalog_table *table)
{
    bool any = table->alias[0] != 0 || catalog_table_layout(table, table->version)->column_count !=
                                           table->column_count + only_kept(table);
    for (uint32_t i = 0; i < table->column_count; i++) {
        any = any || table->columns[i].alias[0] != 0;
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        any = any || table->indexes[i].alias[0] != 0;
    }
    return any;
}

int catalog_alter_retire(struct catalog_table *copy, struct base_err *err)
{
    const struct row_layout *newest = catalog_table_layout(copy, copy->version);
    struct row_column *columns = base_alloc_zero(newest->column_count, sizeof(*columns));
    uint32_t count = 0;
    int rc = 0;
    if (columns == NULL) {
        return catalog_no_memory(err);
    }
    copy->version++;
    copy->alias[0] = 0;
    for (uint32_t i = 0; i < copy->index_count; i++) {
        copy->indexes[i].alias[0] = 0;
    }
    for (uint32_t i = 0; i < copy->column_count; i++) {
        copy->columns[i].alias[0] = 0;
    }
    /* In the order of ids, whatever that of the columns is. */
    for (uint32_t i = 0; i < newest->column_count; i++) {
        if (catalog_table_column_by_id(copy, newest->columns[i].id) >= 0 ||
            catalog_table_kept(copy, newest->columns[i].id) != NULL) {
            columns[count] = newest->columns[i];
            columns[count++].is_made = false;
        }
    }
    base_assert(count == copy->column_count + only_kept(copy));
    if (newest->column_count != count) {
        rc = add_layout(copy, columns, count, err);
    }
    base_free(columns);
    return rc;
}
