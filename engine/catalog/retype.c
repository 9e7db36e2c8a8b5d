/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another type for a column. Rows are not touched: the version with the new type has a layout of
 * its own, and what was written before is cast whenever it is read (row/cast.c), once for each
 * change of type since, in order. The missing value is cast once for each layout, the default once.
 *
 *     v        int8
 *     v + 1    int8, int4 on its way    only where a value may be lost, or a check is about the
 *                                       column: writers refuse what cannot be cast, rows are
 *                                       validated, checks hold for what they become
 *     v + 2    int4                     all at once
 *
 * Two versions side by side. What a writer of v + 1 writes in the old form after v + 2 is there is
 * read through its tag like all that is older, and it can be cast, for v + 1 has seen to that. What
 * a writer of v + 2 writes, an int8 that has no room in int4, say, no transaction of v + 1 meets:
 * by schema.md's lemma, a tag is never above the version of who reads it. For that snapshot is from
 * before the version was there, and a commit that would overwrite such a row is in conflict. So no
 * type needs a stage in which both forms are written.
 *
 * USING gives an expression over the column in place of the cast; it is kept with the layout that
 * it makes. Whatever it makes must be validated, and has other keys.
 *
 * A numeric of another scale is another form too: values are rounded to it when they are read. More
 * digits in all, of the same scale, are no more than a greater limit.
 *
 * Indexes hold the code of the value. Where that is the same for both types no index takes notice,
 * not even the primary key: the integers have one code. Where it is not, all indexes on the column
 * are made anew beside those that stand, and where it is of the primary key the rows, too
 * (sight.c): only after what may be lost is known not to be, for they are built of cast values.
 */
#include "catalog/catalog_impl.h"

#include <inttypes.h>
#include <stdio.h>

const char *catalog_type_text(enum instar_type type, uint32_t length_max,
                              char text[CATALOG_TYPE_TEXT_MAX])
{
    row_type_format(type, length_max, text, CATALOG_TYPE_TEXT_MAX);
    return text;
}

int catalog_length_check(const char *column, enum instar_type type, uint32_t length_max,
                         struct base_err *err)
{
    uint32_t precision = INSTAR_DIGITS_PRECISION(length_max);
    if (type == INSTAR_NUMERIC) {
        bool can_be = precision >= 1 && precision <= INSTAR_DIGITS_MAX &&
                      INSTAR_DIGITS_SCALE(length_max) <= precision;
        return can_be ? 0
                      : base_err_set(err, length_max == 0 ? INSTAR_EINVALID : INSTAR_ELIMIT,
                                     "column \"%s\": a numeric is numeric(p,s), of p digits, 1 to "
                                     "%d, and s of them behind the point",
                                     column, INSTAR_DIGITS_MAX);
    }
    if (length_max != 0 && type != INSTAR_TEXT) {
        return base_err_set(err, INSTAR_EINVALID, "column \"%s\": %s has no length to be limited",
                            column, row_type_name(type));
    }
    if (length_max > INSTAR_LENGTH_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "column \"%s\": a limit of %" PRIu32 " characters, at most %d", column,
                            length_max, INSTAR_LENGTH_MAX);
    }
    return 0;
}

/* ---- values ------------------------------------------------------------------------------- */

static int fit(instar_value *value, uint32_t length_max, struct base_err *err)
{
    if (value->type == INSTAR_NUMERIC) {
        return row_numeric_fit(value, length_max, err);
    }
    if (length_max == 0 || row_text_within(value, length_max)) {
        return 0;
    }
    return base_err_set(err, INSTAR_ERANGE, "value too long for varchar(%" PRIu32 ")", length_max);
}

int catalog_column_fit(const struct catalog_column *column, instar_value *value,
                       struct base_err *err)
{
    return fit(value, column->length_max, err);
}

int catalog_column_holds(const struct catalog_column *column, const instar_value *value,
                         struct base_err *err)
{
    instar_value fitted = *value;
    int rc = fit(&fitted, column->length_max, err);
    if (rc == 0 && fitted.scale != value->scale) {
        rc = base_err_set(err, INSTAR_ERANGE, "%u digits behind the point, not %u", value->scale,
                          fitted.scale);
    }
    return rc;
}

int catalog_column_foresees(const struct catalog_column *column, const instar_value *value,
                            struct base_arena *scratch, struct base_err *err)
{
    instar_value cast;
    if (column->type_coming == INSTAR_NULL) {
        return 0;
    }
    int rc = column->made_by != NULL
                 ? row_cast_by(column->made_by, value, column->type_coming, scratch, &cast, err)
                 : row_cast(value, column->type_coming, scratch, &cast, err);
    if (rc == 0 && cast.type == INSTAR_NULL && value->type != INSTAR_NULL &&
        catalog_must_refuse_null(column)) {
        rc = base_err_set(err, INSTAR_ERANGE, "it would become null");
    }
    return rc == 0 ? fit(&cast, column->length_coming, err) : rc;
}

/* ---- what may become what ----------------------------------------------------------------- */

/* Have all numbers of that type room before the point of a numeric? Those that are rounded may grow
 * by a digit: 9.5 has two without its fraction. */
static bool has_room(const struct catalog_column *from, uint32_t digits)
{
    uint32_t scale = INSTAR_DIGITS_SCALE(digits);
    uint32_t room = INSTAR_DIGITS_PRECISION(digits) - scale;
    uint32_t own = INSTAR_DIGITS_SCALE(from->length_max);
    switch (from->type) {
    case INSTAR_INT2:
        return room >= 5;
    case INSTAR_INT4:
        return room >= 10;
    case INSTAR_INT8:
        return room >= 19;
    default:
        return from->type == INSTAR_NUMERIC &&
               room >= INSTAR_DIGITS_PRECISION(from->length_max) - own + (scale < own ? 1 : 0);
    }
}

bool catalog_type_narrows(const struct catalog_column *from, const struct catalog_column *to)
{
    if (to->type == INSTAR_NUMERIC) {
        return !has_room(from, to->length_max);
    }
    if (to->length_max != 0 &&
        (from->type != INSTAR_TEXT || from->length_max == 0 || from->length_max > to->length_max)) {
        return true;
    }
    return row_cast_may_fail(from->type, to->type);
}

/* Whether an index is in the way is asked elsewhere: positions are not known here. */
bool catalog_type_step_allowed(const struct catalog_column *from, const struct catalog_column *to)
{
    bool enforced = from->type_coming == to->type && from->length_coming == to->length_max;
    return row_cast_kind(from->type, to->type) != ROW_CAST_NONE &&
           (enforced || !catalog_type_narrows(from, to));
}

enum instar_type catalog_type_of_keys(const struct catalog_column *from,
                                      const struct catalog_column *to, bool made)
{
    bool rounded = from->type == INSTAR_NUMERIC && to->type == INSTAR_NUMERIC &&
                   INSTAR_DIGITS_SCALE(from->length_max) != INSTAR_DIGITS_SCALE(to->length_max);
    return made || rounded ? INSTAR_NULL : to->type;
}

static bool is_among(const struct catalog_key_part *parts, uint32_t count, uint32_t column)
{
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].column == column) {
            return true;
        }
    }
    return false;
}

/* Entries carry what is included in the form of its type, and expressions are made for their
 * columns' types: they allow no other one, even where keys would stay the same. */
bool catalog_index_binds(const struct catalog_table *table, const struct catalog_index *index,
                         uint32_t at)
{
    bool bound = catalog_index_computes(table, index, at);
    for (uint32_t i = 0; i < index->include_count; i++) {
        bound = bound || index->includes[i] == at;
    }
    return bound;
}

static bool keeps_keys(const struct catalog_table *table, uint32_t at, enum instar_type other)
{
    return other != INSTAR_NULL && row_cast_keeps_keys(table->columns[at].type, other);
}

bool catalog_index_minds(const struct catalog_table *table, const struct catalog_index *index,
                         uint32_t at, enum instar_type other)
{
    return (!keeps_keys(table, at, other) && is_among(index->parts, index->part_count, at)) ||
           (table->columns[at].type != other && catalog_index_binds(table, index, at));
}

bool catalog_key_minds(const struct catalog_table *table, uint32_t at, enum instar_type other)
{
    return !keeps_keys(table, at, other) && is_among(table->key, table->key_count, at);
}

bool catalog_type_makes(const struct row_expr *expr, const struct row_column *from,
                        enum instar_type to)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(expr, &columns);
    return row_expr_type(expr) == to && (count == 0 || (count == 1 && columns[0].id == from->id &&
                                                        columns[0].type == from->type));
}

bool catalog_type_made_as(const struct catalog_column *from, const struct catalog_table *table)
{
    const struct row_layout *newest = catalog_table_layout(table, table->version);
    const struct row_column *form = catalog_layout_column(newest, from->id);
    return form != NULL && form->is_made && from->type_coming == form->type &&
           catalog_expr_same(from->made_by, form->made_by);
}

bool catalog_form_follows(const struct row_column *a, const struct row_column *b)
{
    struct base_arena scratch = {0};
    instar_value cast = {0};
    bool follows = true;
    if (b->is_made) {
        follows = catalog_type_makes(b->made_by, a, b->type) &&
                  row_cast_by(b->made_by, &a->missing, b->type, &scratch, &cast, NULL) == 0;
    } else {
        follows = row_cast_kind(a->type, b->type) != ROW_CAST_NONE &&
                  row_cast(&a->missing, b->type, &scratch, &cast, NULL) == 0;
    }
    if (follows && cast.type == INSTAR_NUMERIC) {
        follows = row_numeric_round(&cast, b->scale, NULL) == 0;
    }
    follows = follows && row_value_cmp(&cast, &b->missing) == 0;
    base_arena_free(&scratch);
    return follows;
}

/* ---- the step ----------------------------------------------------------------------------- */

int catalog_type_refuse_key(const struct catalog_table *table, const struct catalog_column *column,
                            const char *type, struct base_err *err)
{
    return base_err_set(err, INSTAR_ESTATE,
                        "column \"%s\" of table \"%s\": it is of the primary key since this "
                        "change was submitted, whose keys would be others as %s; ask for it again",
                        column->name, table->name, type);
}

static int refuse_cast(const struct catalog_table *table, const struct catalog_column *column,
                       enum instar_type type, struct base_err *err)
{
    bool zoned = column->type == INSTAR_TIMESTAMPTZ || type == INSTAR_TIMESTAMPTZ;
    bool exists = row_cast_kind(column->type, type) != ROW_CAST_NONE;
    return base_err_set(err, INSTAR_ETYPE,
                        "column \"%s\" of table \"%s\": %s cannot become %s%s%s%s%s%s",
                        column->name, table->name, row_type_name(column->type), row_type_name(type),
                        exists ? " by itself: say USING " : "", exists ? column->name : "",
                        exists ? "::" : "", exists ? row_type_name(type) : "",
                        zoned && !exists ? ": that would depend on a time zone" : "");
}

/* Is nothing in the way of values that an expression makes? */
static int check_made(const struct catalog_table *table, uint32_t at, const struct row_column *form,
                      struct base_err *err)
{
    const struct catalog_column *column = &table->columns[at];
    if (form == NULL) {
        return base_err_set(
            err, INSTAR_EINVALID,
            "column \"%s\" of table \"%s\": USING an expression of a column that the "
            "same change adds",
            column->name, table->name);
    }
    for (uint32_t i = 0; i < table->check_count; i++) {
        if (catalog_check_uses(&table->checks[i], column->id)) {
            return base_err_set(
                err, INSTAR_ESTATE,
                "column \"%s\" of table \"%s\": check \"%s\" is about it, and USING "
                "makes other values; drop the check and add it again afterwards",
                column->name, table->name, table->checks[i].name);
        }
    }
    return 0;
}

/* The columns that the expression may name: this one. */
struct using
{
    const struct catalog_table *table;
    const struct catalog_column *column;
};

static bool find_own(void *arg, const char *name, struct row_expr_column *column_out,
                     struct base_err *err)
{
    const struct using *u = arg;
    if (strcmp(name, u->column->name) != 0) {
        base_err_set(err, INSTAR_EUNKNOWN,
                     "the column \"%s\": USING may mention no column but \"%s\"", name,
                     u->column->name);
        return false;
    }
    *column_out = (struct row_expr_column){u->column->id, u->column->type};
    return true;
}

static int compile(struct catalog_table *table, const struct catalog_column *column,
                   const instar_alteration *step, const struct row_expr **expr_out,
                   struct base_err *err)
{
    struct using u = {table, column};
    struct row_expr_scope scope = {.wanted = step->column->type, .find = find_own, .arg = &u};
    struct row_expr *expr;
    size_t at;
    int rc = row_expr_compile(base_slice(step->expression, strlen(step->expression)), &scope,
                              &table->arena, &expr, &at, err);
    if (rc != 0) {
        base_err_prefix(err, "column \"%s\" of table \"%s\": USING, byte %zu", column->name,
                        table->name, at + 1);
        return rc;
    }
    *expr_out = expr;
    return 0;
}

/* May this step be asked for? */
static int check_step(const struct catalog_table *table, uint32_t at, const instar_alteration *step,
                      struct base_err *err)
{
    const struct catalog_column *column = &table->columns[at];
    const struct row_column *form =
        catalog_layout_column(catalog_table_layout(table, table->version), column->id);
    enum instar_type type = step->column->type;
    enum row_cast kind = row_cast_kind(column->type, type);
    bool asked = (step->flags & INSTAR_ALTER_EXPLICIT) != 0;
    char text[CATALOG_TYPE_TEXT_MAX];
    bool made = step->expression != NULL;
    struct catalog_column wanted = {.type = type, .length_max = step->column->length_max};
    enum instar_type of_keys = catalog_type_of_keys(column, &wanted, made);
    int rc = catalog_length_check(column->name, type, step->column->length_max, err);
    if (rc != 0) {
        return rc;
    }
    if ((form != NULL && !catalog_has_form(form, column)) ||
        (column->made_by != NULL && column->type_coming == INSTAR_NULL)) {
        return base_err_set(
            err, INSTAR_EINVALID,
            "column \"%s\" of table \"%s\": its type is changed twice in one change", column->name,
            table->name);
    }
    const struct catalog_fkey *fkey = catalog_fkey_using(table, column->id);
    if (fkey != NULL && !keeps_keys(table, at, of_keys)) {
        return base_err_set(err, INSTAR_ESTATE,
                            "column \"%s\" of table \"%s\": foreign key \"%s\" is about it, and "
                            "its keys would be others as %s; drop that first, and add it again "
                            "afterwards",
                            column->name, table->name, fkey->name,
                            made ? "what USING makes of them"
                                 : catalog_type_text(type, step->column->length_max, text));
    }
    if (made) {
        return check_made(table, at, form, err);
    }
    if (kind == ROW_CAST_NONE || (kind == ROW_CAST_EXPLICIT && !asked)) {
        return refuse_cast(table, column, type, err);
    }
    return 0;
}

/* Cast what the descriptor holds of the column's values. */
static int cast_kept(struct catalog_table *table, struct catalog_column *column, const char *what,
                     instar_value *value, struct base_err *err)
{
    instar_value cast;
    int rc = row_cast(value, column->type, &table->arena, &cast, err);
    if (rc == 0) {
        rc = fit(&cast, column->length_max, err);
    }
    if (rc != 0) {
        char text[CATALOG_TYPE_TEXT_MAX];
        base_err_prefix(err, "column \"%s\" of table \"%s\": its %s as %s", column->name,
                        table->name, what,
                        catalog_type_text(column->type, column->length_max, text));
        return rc;
    }
    return row_value_copy(&table->arena, &cast, value) ? 0 : catalog_no_memory(err);
}

/* An expression of an index anew from its text, for its column is of another type now. */
static int compile_again(struct catalog_table *table, const struct catalog_index *index,
                         enum instar_type wanted, const struct row_expr **expr,
                         struct base_err *err)
{
    char what[INSTAR_NAME_BYTES_MAX + 64];
    struct base_buf text = {0};
    bool ok = catalog_expr_print(table, *expr, &text) && base_buf_add_u8(&text, 0);
    snprintf(what, sizeof(what), "index \"%s\", which is about a column of another type then",
             index->name);
    int rc = ok ? catalog_expr_compile(table, what, (const char *)text.data, wanted, expr, err)
                : catalog_no_memory(err);
    base_buf_free(&text);
    return rc;
}

static int remake_index(struct catalog_table *table, struct catalog_index *index, uint32_t id,
                        struct base_err *err)
{
    int rc = 0;
    index->remade = true;
    for (uint32_t i = 0; rc == 0 && i < index->part_count; i++) {
        struct catalog_key_part *part = &index->parts[i];
        if (part->expr != NULL && catalog_expr_uses(part->expr, id)) {
            rc = compile_again(table, index, INSTAR_NULL, &part->expr, err);
        }
    }
    if (rc == 0 && index->predicate != NULL && catalog_expr_uses(index->predicate, id)) {
        rc = compile_again(table, index, INSTAR_BOOL, &index->predicate, err);
    }
    return rc;
}

/* The column at this position has another type now, `from` before it: which indexes must have other
 * entries? */
static int remake_indexes(struct catalog_table *table, uint32_t at, enum instar_type from,
                          struct base_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        if (catalog_index_minds(table, &table->indexes[i], at, from)) {
            rc = remake_index(table, &table->indexes[i], table->columns[at].id, err);
        }
    }
    return rc;
}

int catalog_alter_type(struct catalog_table *table, uint32_t at, const instar_alteration *step,
                       bool *changed_out, struct base_err *err)
{
    struct catalog_column *column = &table->columns[at];
    const instar_column_def *def = step->column;
    if (def == NULL || row_type_name(def->type) == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "column \"%s\": there is no type %u",
                            column->name, def != NULL ? (unsigned)def->type : 0);
    }
    if (def->type == column->type && def->length_max == column->length_max &&
        step->expression == NULL) {
        *changed_out = false;
        return 0;
    }
    int rc = check_step(table, at, step, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_column before = *column;
    const struct row_expr *made_by = NULL;
    if (step->expression != NULL) {
        rc = compile(table, column, step, &made_by, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct catalog_column wanted = {.type = def->type, .length_max = def->length_max};
    enum instar_type of_keys = catalog_type_of_keys(&before, &wanted, made_by != NULL);
    table->rekeyed = table->rekeyed || catalog_key_minds(table, at, of_keys);
    column->made_by = made_by;
    column->type_coming = INSTAR_NULL; /* an earlier step's, of the same */
    column->length_coming = 0;
    column->type = def->type;
    column->length_max = def->length_max;
    rc = cast_kept(table, column, "default", &column->default_value, err);
    if (rc == 0 && column->missing.type != INSTAR_NULL) {
        rc = cast_kept(table, column, "value in rows that are there", &column->missing, err);
    }
    if (rc == 0 && catalog_type_of_keys(&before, column, false) != before.type) {
        rc = catalog_checks_retype(table, column->id, err);
    }
    return rc == 0 ? remake_indexes(table, at,
                                    catalog_type_of_keys(column, &before, made_by != NULL), err)
                   : rc;
}
