/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that every reader of a descriptor relies on, checked in one place: before one is
 * written and after one is read. Bytes from disk that break a rule are corruption; ours never do.
 *
 * CAT-1  ids of columns and indexes are unique in the table and below its counters.
 * CAT-2  names are names, unique among the columns and among the indexes; aliases are names that
 * nothing beside them bears.
 * CAT-3  key columns exist, none twice, those of the primary key are NOT NULL; so do included ones
 * and those of predicates.
 * CAT-4  every index is in a state of stage.c.
 * CAT-5  every version from the first of the map to the table's own leads to a layout; layouts list
 * columns by ascending id; from one layout to the next a column keeps type and missing value, or
 * both are cast; the newest has every column of the table. CAT-6  defaults and missing values fit
 * their columns. CAT-10 a check is a truth value made of columns of the table; ids and names of
 * checks are as those of indexes, but one that is enforcing may have the name of one that goes when
 * it comes. CAT-11 whole rows are entries of an index without anything else, and of no public one;
 * entries end with the key of such an index of the table, or with the table's; what sees columns in
 * types that are not theirs is not public either. CAT-12 a dropped
 * column that is kept is in the newest layout, and none of the columns but a hidden one. CAT-13
 * (fkey.c) foreign keys are of columns that are there, once each, and have their indexes; ids and
 * names are as those of checks.
 */
#include "catalog/catalog_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct problem {
    char *text;
};

static bool bad(struct problem *p, const char *fmt, ...) BASE_PRINTF(2, 3);

static bool bad(struct problem *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->text, CATALOG_PROBLEM_MAX, fmt, args);
    va_end(args);
    return false;
}

/* A name or an id with the place it stands in, to find what occurs twice by sorting. */
struct label {
    const char *name;
    uint32_t id;
    bool nameless; /* its name leads nowhere, so another may bear it */
};

/* The nameless ones before the others of their name. */
static int by_name(const void *a, const void *b)
{
    const struct label *x = a;
    const struct label *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (int)y->nameless - (int)x->nameless;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const struct label *)a)->id;
    uint32_t y = ((const struct label *)b)->id;
    return (x > y) - (x < y);
}

static bool check_labels(struct label *labels, size_t count, const char *what, uint32_t next_id,
                         struct problem *p)
{
    for (size_t i = 0; i < count; i++) {
        if (catalog_name_check(what, labels[i].name, NULL) != 0) {
            return bad(p, "%s %zu has no proper name", what, i + 1);
        }
        if (labels[i].id == 0 || labels[i].id >= next_id) {
            return bad(p, "%s \"%s\" has id %u, the next is %u", what, labels[i].name, labels[i].id,
                       next_id);
        }
    }
    qsort(labels, count, sizeof(*labels), by_name);
    for (size_t i = 1; i < count; i++) {
        if (!labels[i - 1].nameless && !labels[i].nameless &&
            strcmp(labels[i - 1].name, labels[i].name) == 0) {
            return bad(p, "%s \"%s\" occurs twice", what, labels[i].name);
        }
    }
    qsort(labels, count, sizeof(*labels), by_id);
    for (size_t i = 1; i < count; i++) {
        if (labels[i - 1].id == labels[i].id) {
            return bad(p, "%s id %u occurs twice", what, labels[i].id);
        }
    }
    return true;
}

/* Null allowed; bytes within the limit. */
static bool fits(enum instar_type type, const instar_value *v)
{
    bool is_bytes = v->type == INSTAR_TEXT || v->type == INSTAR_BYTEA;
    return row_value_check(type, v, NULL) == 0 &&
           !(is_bytes && v->bytes.size > CATALOG_DEFAULT_BYTES_MAX);
}

/* Limits of texts, and a type that is on its way. */
static bool check_lengths(const struct catalog_column *c)
{
    bool comes = c->type_coming != INSTAR_NULL;
    struct row_column own = {.id = c->id, .type = c->type};
    if (c->made_by != NULL ? !comes || row_type_name(c->type_coming) == NULL ||
                                 !catalog_type_makes(c->made_by, &own, c->type_coming)
                           : comes && row_cast_kind(c->type, c->type_coming) == ROW_CAST_NONE) {
        return false;
    }
    if ((comes && c->hidden) ||
        (c->type_past != INSTAR_NULL ? row_type_name(c->type_past) == NULL : c->length_past != 0)) {
        return false;
    }
    return (comes || c->length_coming == 0) &&
           catalog_length_check("", c->type, c->length_max, NULL) == 0 &&
           catalog_length_check("", comes ? c->type_coming : INSTAR_TEXT, c->length_coming, NULL) ==
               0;
}

static bool check_columns(const struct catalog_table *table, struct problem *p)
{
    struct label labels[INSTAR_COLUMNS_MAX];
    if (table->column_count == 0 || table->column_count > INSTAR_COLUMNS_MAX) {
        return bad(p, "%u columns", table->column_count);
    }
    if (table->row_id != 0 && catalog_table_column_by_id(table, table->row_id) < 0) {
        return bad(p, "no column has the row ids");
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *c = &table->columns[i];
        labels[i] = (struct label){c->name, c->id, c->hidden};
        bool row_id = c->id == table->row_id;
        if (row_id && (!c->hidden || c->type != INSTAR_INT8 || c->has_default ||
                       (i > 0 && table->columns[i - 1].hidden))) {
            return bad(p, "column %u has the row ids, and cannot", i + 1);
        }
        if (c->hidden ? c->alias[0] != 0 || (c->enforcing && !row_id)
                      : i > 0 && table->columns[i - 1].hidden) {
            return bad(p, "column %u stands among the hidden ones, or with what they have not",
                       i + 1);
        }
        if (row_type_name(c->type) == NULL) {
            return bad(p, "column %u has type %u", i + 1, (unsigned)c->type);
        }
        if (!check_lengths(c)) {
            return bad(p, "column %u has a limit that its type has not", i + 1);
        }
        if (c->enforcing && c->not_null) {
            return bad(p, "column %u enforces what holds already", i + 1);
        }
        if (!fits(c->type, &c->default_value) ||
            (c->type == INSTAR_NUMERIC && catalog_column_holds(c, &c->default_value, NULL) != 0) ||
            c->has_default != (c->default_value.type != INSTAR_NULL)) {
            return bad(p, "column %u has a default that does not fit", i + 1);
        }
    }
    return check_labels(labels, table->column_count, "column", table->next_column_id, p);
}

static bool check_parts(const struct catalog_table *table, const struct catalog_key_part *parts,
                        uint32_t count, const struct catalog_index *index, struct problem *p)
{
    const char *what = index != NULL ? "index" : "primary key";
    enum catalog_sight sight = index != NULL ? index->sight : CATALOG_SIGHT_NOW;
    if (count == 0 || count > INSTAR_INDEX_COLUMNS_MAX) {
        return bad(p, "%s of %u columns", what, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].expr != NULL) {
            if (parts[i].column != CATALOG_NO_COLUMN ||
                row_type_name(row_expr_type(parts[i].expr)) == NULL ||
                !catalog_expr_stands(table, parts[i].expr, sight)) {
                return bad(p, "%s has an expression, part %u, not on columns that are there", what,
                           i + 1);
            }
            continue;
        }
        if (parts[i].column >= table->column_count) {
            return bad(p, "%s names column %u of %u", what, parts[i].column + 1,
                       table->column_count);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (parts[j].column == parts[i].column) {
                return bad(p, "%s names a column twice", what);
            }
        }
    }
    return true;
}

static bool check_key(const struct catalog_table *table, struct problem *p)
{
    if (!check_parts(table, table->key, table->key_count, NULL, p)) {
        return false;
    }
    for (uint32_t i = 0; i < table->key_count; i++) {
        if (table->key[i].expr != NULL) {
            return bad(p, "primary key of an expression");
        }
        if (table->columns[table->key[i].column].hidden && !catalog_keyed_by_row_id(table)) {
            return bad(p, "primary key column %u is hidden", table->key[i].column + 1);
        }
        if (!table->columns[table->key[i].column].not_null) {
            return bad(p, "primary key column %u may be null", table->key[i].column + 1);
        }
        if (table->key[i].nulls_swapped) {
            return bad(p, "primary key column %u orders nulls", table->key[i].column + 1);
        }
    }
    return true;
}

/* What it has besides its key: columns that are there once, and a condition; a constraint is
 * unique for all rows. */
static bool check_index_more(const struct catalog_table *table, const struct catalog_index *index,
                             struct problem *p)
{
    if (index->include_count > INSTAR_INDEX_COLUMNS_MAX) {
        return bad(p, "index with INCLUDE of %u columns", index->include_count);
    }
    struct catalog_index before = *index;
    for (before.include_count = 0; before.include_count < index->include_count;
         before.include_count++) {
        uint32_t column = index->includes[before.include_count];
        if (column >= table->column_count || catalog_index_has(&before, column)) {
            return bad(p, "index includes column %u of %u, or twice", column + 1,
                       table->column_count);
        }
    }
    if (index->predicate != NULL && !catalog_expr_valid(table, index->predicate, index->sight)) {
        return bad(p, "index with a predicate that is no condition on columns that are there");
    }
    if (index->constraint && (!index->unique || index->predicate != NULL)) {
        return bad(p, "a constraint that is not unique, or not for all rows");
    }
    return true;
}

/* CAT-11. Only a change has them, and nobody reads them. */
static bool check_rekeyed(const struct catalog_table *table, const struct catalog_index *index,
                          struct problem *p)
{
    const struct catalog_index *key =
        index->keyed_by != 0 ? catalog_table_index_by_id(table, index->keyed_by) : NULL;
    bool plain = index->include_count == 0 && index->predicate == NULL && !index->unique &&
                 index->keyed_by == 0 && index->replaces == 0;
    if (index->rows && (!plain || index->change == 0 || catalog_may_read(index))) {
        return bad(p, "index with whole rows, and more than that");
    }
    if (index->keyed_by != 0 &&
        (key == NULL || !key->rows || index->change == 0 || catalog_may_read(index))) {
        return bad(p, "index keyed by what has no rows");
    }
    if (index->sight > CATALOG_SIGHT_PAST ||
        (index->sight != CATALOG_SIGHT_NOW && (index->change == 0 || catalog_may_read(index)))) {
        return bad(p, "index that sees columns in other types, and is read");
    }
    if (index->replaces != 0 && catalog_table_index_by_id(table, index->replaces) == NULL) {
        return bad(p, "index that replaces none");
    }
    return true;
}

static bool check_indexes(const struct catalog_table *table, struct problem *p)
{
    struct label labels[CATALOG_INDEXES_MAX];
    if (table->index_count > CATALOG_INDEXES_MAX) {
        return bad(p, "%u indexes", table->index_count);
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        labels[i] = (struct label){index->name, index->id, false};
        if (!check_parts(table, index->parts, index->part_count, index, p) ||
            !check_index_more(table, index, p)) {
            return false;
        }
        if (!check_rekeyed(table, index, p)) {
            return false;
        }
        if (!catalog_state_exists(index)) {
            return bad(p, "index %u: stage %u with unique %d and enforcing %d is no state", i + 1,
                       (unsigned)index->stage, index->unique, index->enforcing);
        }
    }
    return check_labels(labels, table->index_count, "index", table->next_index_id, p);
}

static bool check_check(const struct catalog_table *table, uint32_t at, struct problem *p)
{
    const struct catalog_check *c = &table->checks[at];
    return catalog_expr_valid(table, c->expr,
                              c->state == CATALOG_CHECK_ENFORCING ? CATALOG_SIGHT_EITHER
                                                                  : CATALOG_SIGHT_NOW) ||
           bad(p, "check %u is no condition on columns that are there in that type", at + 1);
}

static bool check_checks(const struct catalog_table *table, struct problem *p)
{
    struct label labels[CATALOG_CHECKS_MAX];
    struct label coming[CATALOG_CHECKS_MAX];
    size_t standing = 0;
    size_t count = 0;
    if (table->check_count > CATALOG_CHECKS_MAX) {
        return bad(p, "%u checks", table->check_count);
    }
    for (uint32_t i = 0; i < table->check_count; i++) {
        const struct catalog_check *c = &table->checks[i];
        if (!check_check(table, i, p)) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (table->checks[j].id == c->id) {
                return bad(p, "check id %u occurs twice", c->id);
            }
        }
        if (c->state == CATALOG_CHECK_ENFORCING) {
            coming[count++] = (struct label){c->name, c->id, false};
        } else {
            labels[standing++] = (struct label){c->name, c->id, false};
        }
    }
    return check_labels(labels, standing, "check", table->next_check_id, p) &&
           check_labels(coming, count, "check", table->next_check_id, p);
}

static bool check_fkey(const struct catalog_table *table, uint32_t at, struct problem *p)
{
    const struct catalog_fkey *f = &table->fkeys[at];
    struct catalog_fkey_path path;
    if (f->parent == 0 || f->column_count == 0 || f->column_count > INSTAR_INDEX_COLUMNS_MAX) {
        return bad(p, "foreign key %u refers to nothing", at + 1);
    }
    for (uint32_t i = 0; i < f->column_count; i++) {
        int column = catalog_table_column_by_id(table, f->column_ids[i]);
        if (column < 0 || (table->columns[column].hidden && f->state != CATALOG_CHECK_ENFORCING)) {
            return bad(p, "foreign key %u of columns that are not there", at + 1);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (f->column_ids[k] == f->column_ids[i]) {
                return bad(p, "foreign key %u of one column twice", at + 1);
            }
        }
    }
    return catalog_fkey_path(table, f, &path) || bad(p, "foreign key %u has no index", at + 1);
}

static bool check_fkeys(const struct catalog_table *table, struct problem *p)
{
    struct label labels[CATALOG_FKEYS_MAX];
    struct label coming[CATALOG_FKEYS_MAX];
    struct catalog_parent_key key;
    size_t standing = 0;
    size_t count = 0;
    if (table->fkey_count > CATALOG_FKEYS_MAX || table->referrer_count > CATALOG_REFERRERS_MAX) {
        return bad(p, "%u foreign keys, referred to by %u", table->fkey_count,
                   table->referrer_count);
    }
    for (uint32_t i = 0; i < table->fkey_count; i++) {
        const struct catalog_fkey *f = &table->fkeys[i];
        if (!check_fkey(table, i, p)) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (table->fkeys[k].id == f->id) {
                return bad(p, "foreign key id %u occurs twice", f->id);
            }
        }
        if (f->state == CATALOG_CHECK_ENFORCING) {
            coming[count++] = (struct label){f->name, f->id, false};
        } else {
            labels[standing++] = (struct label){f->name, f->id, false};
        }
    }
    for (uint32_t i = 0; i < table->referrer_count; i++) {
        const struct catalog_referrer *r = &table->referrers[i];
        if (r->child == 0 || r->fkey == 0 || !catalog_parent_key_of(table, r->index, &key)) {
            return bad(p, "a foreign key refers to key %u, which is none", r->index);
        }
    }
    return check_labels(labels, standing, "foreign key", table->next_fkey_id, p) &&
           check_labels(coming, count, "foreign key", table->next_fkey_id, p);
}

static bool check_aliases(const struct catalog_table *table, struct problem *p)
{
    for (uint32_t i = 0; i < table->column_count; i++) {
        const char *alias = table->columns[i].alias;
        if (alias[0] != 0 && (catalog_name_check("column", alias, NULL) != 0 ||
                              catalog_table_column(table, alias) >= 0 ||
                              catalog_table_find_column(table, alias) != (int)i)) {
            return bad(p, "column %u has an alias that is no name, or another's", i + 1);
        }
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        const char *alias = table->indexes[i].alias;
        if (alias[0] != 0 && (catalog_name_check("index", alias, NULL) != 0 ||
                              catalog_table_index(table, alias) != NULL ||
                              catalog_table_find_index(table, alias) != &table->indexes[i])) {
            return bad(p, "index %u has an alias that is no name, or another's", i + 1);
        }
    }
    if (table->alias[0] != 0 && (catalog_name_check("table", table->alias, NULL) != 0 ||
                                 strcmp(table->alias, table->name) == 0)) {
        return bad(p, "the table has an alias that is no name, or its own");
    }
    return true;
}

/* ---- layouts ------------------------------------------------------------------------------ */

static bool check_layout(const struct catalog_table *table, const struct row_layout *layout,
                         struct problem *p)
{
    if (layout->column_count == 0 || layout->column_count > INSTAR_COLUMNS_MAX) {
        return bad(p, "layout %u of %u columns", layout->number, layout->column_count);
    }
    uint32_t last = 0;
    for (uint32_t i = 0; i < layout->column_count; i++) {
        const struct row_column *c = &layout->columns[i];
        if (c->id <= last || c->id >= table->next_column_id) {
            return bad(p, "layout %u: column id %u behind %u", layout->number, c->id, last);
        }
        last = c->id;
        bool rounded = c->missing.type != INSTAR_NUMERIC || c->missing.scale == c->scale;
        if (row_type_name(c->type) == NULL || c->scale > INSTAR_DIGITS_MAX ||
            !fits(c->type, &c->missing) || !rounded) {
            return bad(p,
                       "layout %u: column id %u has no type, or a missing value that does not fit",
                       layout->number, c->id);
        }
    }
    return true;
}

/* What two neighbours share has one type and one missing value, or another type to which there is a
 * cast, and then the missing value is cast too. What is new in the second has an id above all
 * before it: so a column that has gone never comes back. */
static bool layouts_agree(const struct row_layout *a, const struct row_layout *b, uint32_t last_id)
{
    uint32_t i = 0;
    for (uint32_t j = 0; j < b->column_count; j++) {
        uint32_t id = b->columns[j].id;
        while (i < a->column_count && a->columns[i].id < id) {
            i++;
        }
        bool shared = i < a->column_count && a->columns[i].id == id;
        if (!shared && id <= last_id) {
            return false;
        }
        if (!shared && b->columns[j].is_made) {
            return false;
        }
        if (shared && !catalog_form_follows(&a->columns[i], &b->columns[j])) {
            return false;
        }
    }
    return true;
}

static bool check_map(const struct catalog_table *table, struct problem *p)
{
    const struct catalog_layout_map *map = table->layout_map;
    if (table->layout_map_count == 0 || map[0].first_version == 0) {
        return bad(p, "no version has a layout");
    }
    for (uint32_t i = 0; i < table->layout_map_count; i++) {
        if (map[i].layout >= table->layout_count || map[i].first_version > table->version ||
            (i != 0 && map[i].first_version <= map[i - 1].first_version)) {
            return bad(p, "version %u leads to layout %u of %u", map[i].first_version,
                       map[i].layout + 1, table->layout_count);
        }
    }
    return true;
}

static bool check_layouts(const struct catalog_table *table, struct problem *p)
{
    uint32_t last_id = 0;
    for (uint32_t i = 0; i < table->layout_count; i++) {
        const struct row_layout *layout = &table->layouts[i];
        if (!check_layout(table, layout, p)) {
            return false;
        }
        if (i != 0 &&
            (layout->number <= layout[-1].number || !layouts_agree(&layout[-1], layout, last_id))) {
            return bad(p, "layout %u does not follow layout %u", layout->number, layout[-1].number);
        }
        uint32_t highest = layout->columns[layout->column_count - 1].id;
        last_id = highest > last_id ? highest : last_id;
    }
    if (!check_map(table, p)) {
        return false;
    }
    const struct row_layout *newest = catalog_table_layout(table, table->version);
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct row_column *c = catalog_layout_column(newest, table->columns[i].id);
        if (c == NULL || !catalog_has_form(c, &table->columns[i])) {
            return bad(p, "column \"%s\" is not in the newest layout", table->columns[i].name);
        }
    }
    return true;
}

static bool check_kept(const struct catalog_table *table, struct problem *p)
{
    const char *what = catalog_kept_problem(table);
    for (uint32_t i = 0; what == NULL && i < table->kept_count; i++) {
        const struct catalog_column *c = &table->kept[i].column;
        if (c->id == 0 || c->id >= table->next_column_id || row_type_name(c->type) == NULL ||
            !fits(c->type, &c->default_value) || !check_lengths(c) ||
            c->has_default != (c->default_value.type != INSTAR_NULL)) {
            what = "is of an id, a type or a default that cannot be";
        }
    }
    return what == NULL || bad(p, "a dropped column that is kept %s", what);
}

static bool check_comments(const struct catalog_table *table, struct problem *p)
{
    const char *what = catalog_comments_problem(table);
    return what == NULL || bad(p, "%s", what);
}

bool catalog_table_valid(const struct catalog_table *table, char problem[CATALOG_PROBLEM_MAX])
{
    struct problem p = {problem};
    problem[0] = 0;
    if (catalog_name_check("table", table->name, NULL) != 0) {
        return bad(&p, "the table has no proper name");
    }
    if (table->version == 0) {
        return bad(&p, "version 0");
    }
    return check_columns(table, &p) && check_key(table, &p) && check_indexes(table, &p) &&
           check_aliases(table, &p) && check_layouts(table, &p) && check_checks(table, &p) &&
           check_kept(table, &p) && check_fkeys(table, &p) && check_comments(table, &p);
}
