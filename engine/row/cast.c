/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one type to another: what a column's values become when its type changes. A cast sees the
 * value alone, no clock, zone or setting (ROW-4), for rows are cast whenever they are read, by any
 * process, and must come out as their index entries say.
 *
 * Which cast needs no word, which one is made of an assignment, and which one must be asked for is
 * PostgreSQL's catalog. Casts that depend on the time zone there do not exist here; texts of dates
 * and times are those of ISO 8601.
 *
 *              int2  int4  int8  numeric float8 bool  text  date  time  uuid
 *   int2       .     never never never   never  .     never
 *   int4       may   .     never never   never  may*  never
 *   int8       may   may   .     never   never  .     never
 *   numeric    may   may   may   .       never  .     never
 *   float8     may   may   may   may     .      .     never
 *   bool             never*                     .     never
 *   text       may*  may*  may*  may*    may*   may*  .     may*  may*  may*
 *   date, time, uuid                                  never
 *
 *   never, may: fails; *: only when it is asked for
 *
 * The digits of a column numeric(p,s) are more than the type: a form has its scale, to which values
 * are rounded on the way; that they have no more than p digits is the catalog's to see to.
 */
#include "row/expr_impl.h"

static bool has_iso_text(unsigned type)
{
    return type == INSTAR_DATE || type == INSTAR_TIME;
}

static bool cast_exists(unsigned from, unsigned to)
{
    return expr_cast_exists(from, to) || (from == INSTAR_TEXT && has_iso_text(to)) ||
           (to == INSTAR_TEXT && has_iso_text(from));
}

enum row_cast row_cast_kind(enum instar_type from, enum instar_type to)
{
    if (!row_type_is_column(from) || !row_type_is_column(to) || !cast_exists(from, to)) {
        return ROW_CAST_NONE;
    }
    bool asked = from == INSTAR_TEXT || (from == INSTAR_BOOL && to != INSTAR_TEXT) ||
                 (to == INSTAR_BOOL && from != INSTAR_TEXT);
    return asked && from != to ? ROW_CAST_EXPLICIT : ROW_CAST_ASSIGNMENT;
}

bool row_cast_may_fail(enum instar_type from, enum instar_type to)
{
    bool widens = expr_is_number(from) && expr_is_number(to) && expr_width(from) < expr_width(to);
    bool truth = (from == INSTAR_BOOL || to == INSTAR_BOOL) && from != INSTAR_TEXT;
    return from != to && to != INSTAR_TEXT && !widens && !truth;
}

bool row_cast_keeps_keys(enum instar_type from, enum instar_type to)
{
    return from == to || (expr_is_integer(from) && expr_is_integer(to));
}

/* Blanks around it do not matter, as around a number. */
static int read_iso(const instar_value *value, enum instar_type to, instar_value *out,
                    struct base_err *err)
{
    const char *at = value->bytes.data;
    size_t size = value->bytes.size;
    while (size > 0 && *at == ' ') {
        at++;
        size--;
    }
    while (size > 0 && at[size - 1] == ' ') {
        size--;
    }
    return row_value_parse(to, base_slice(at, size), NULL, 0, out, err);
}

static int write_iso(const instar_value *value, struct base_arena *arena, instar_value *out,
                     struct base_err *err)
{
    char text[ROW_TIME_TEXT_MAX];
    size_t size = row_value_format(value, text, sizeof(text));
    const void *kept = base_arena_copy(arena, text, size);
    if (kept == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "casting a value: no memory");
    }
    *out = (instar_value){.type = INSTAR_TEXT, .bytes = {kept, size}};
    return 0;
}

/* What a text said, cut: it is for people. */
static void prefix_with(const instar_value *value, struct base_err *err)
{
    char text[64];
    size_t size;
    if (value->type == INSTAR_TEXT) {
        size = row_value_format(value, text, sizeof(text));
        base_err_prefix(err, "'%s%s'", text, size >= sizeof(text) ? "…" : "");
    }
}

int row_cast(const instar_value *value, enum instar_type to, struct base_arena *arena,
             instar_value *value_out, struct base_err *err)
{
    struct expr_eval e = {.arena = arena, .steps = ROW_EXPR_STEPS_MAX, .err = err};
    instar_value from = *value; /* both may be one */
    instar_value out = {0};
    int rc = 0;
    *value_out = from;
    if (from.type == to || from.type == INSTAR_NULL) {
        return 0;
    }
    if (!cast_exists(from.type, to)) {
        rc = base_err_set(err, INSTAR_ETYPE, "there is no cast of %s to %s",
                          row_type_name((enum instar_type)from.type), row_type_name(to));
    } else if (expr_cast_exists(from.type, to)) {
        rc = expr_cast(&e, &from, to, &out);
    } else if (to == INSTAR_TEXT) {
        rc = write_iso(&from, arena, &out, err);
    } else {
        rc = read_iso(&from, to, &out, err);
    }
    if (rc != 0) {
        prefix_with(&from, err);
        out = (instar_value){0};
    }
    *value_out = out;
    return rc;
}

int row_cast_by(const struct row_expr *expr, const instar_value *value, enum instar_type to,
                struct base_arena *arena, instar_value *value_out, struct base_err *err)
{
    instar_value input = *value; /* both may be one */
    *value_out = (instar_value){0};
    int rc = row_expr_eval(expr, &input, arena, value_out, err);
    if (rc == 0 && value_out->type != INSTAR_NULL && value_out->type != (uint8_t)to) {
        *value_out = (instar_value){0};
        rc = base_err_set(err, INSTAR_ETYPE, "the expression gives no %s", row_type_name(to));
    }
    return rc;
}

bool row_text_within(const instar_value *value, uint32_t characters)
{
    const uint8_t *at = value->bytes.data;
    size_t count = 0;
    if (value->type != INSTAR_TEXT || value->bytes.size <= characters) {
        return true; /* no character is less than a byte */
    }
    for (size_t i = 0; i < value->bytes.size; i++) {
        count += (at[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    return count <= characters;
}

/* ---- columns of layouts ------------------------------------------------------------------- */

/* The form of that number on the way to `to`. */
static const struct row_column *find_form(const struct row_column *to, uint32_t form)
{
    while (to != NULL && to->form != form) {
        to = to->before;
    }
    return to;
}

int row_column_cast(const struct row_column *from, const struct row_column *to,
                    const instar_value *value, struct base_arena *arena, instar_value *value_out,
                    struct base_err *err)
{
    struct base_err why = {0};
    instar_value v = *value;
    int rc = 0;
    for (uint32_t form = from->form; rc == 0 && form < to->form; form++) {
        const struct row_column *next = find_form(to, form + 1);
        base_assert(next != NULL);
        rc = next->made_by != NULL ? row_cast_by(next->made_by, &v, next->type, arena, &v, &why)
                                   : row_cast(&v, next->type, arena, &v, &why);
        if (rc == 0 && v.type == INSTAR_NUMERIC) {
            rc = row_numeric_round(&v, next->scale, &why);
        }
    }
    /* Only a forced version meets a later form than its own (the lemma). */
    if (rc == 0 && from->form > to->form) {
        rc = row_cast(&v, to->type, arena, &v, &why);
        if (rc == 0 && v.type == INSTAR_NUMERIC) {
            rc = row_numeric_round(&v, to->scale, &why);
        }
    }
    if (rc != 0 && rc != INSTAR_ENOMEM) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "column id %u, written as %s, as %s: %s", from->id,
                          row_type_name(from->type), row_type_name(to->type), why.text);
    } else if (rc != 0) {
        base_err_set(err, rc, "%s", why.text);
    }
    *value_out = rc == 0 ? v : (instar_value){0};
    return rc;
}
