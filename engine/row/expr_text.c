/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What expressions do to texts and bytes, and casts. Texts are UTF-8; upper and lower case are
 * those of the C collation, which has none beyond ASCII. Every byte that is touched is paid for in
 * steps, so that a large row cannot make an expression take long.
 */
#include "row/expr_impl.h"

#include <math.h>

#define BYTES_PER_STEP 16

int expr_spend(struct expr_eval *e, uint64_t steps)
{
    if (steps > e->steps) {
        return base_err_set(e->err, INSTAR_ELIMIT, "an expression takes more than %llu steps",
                            (unsigned long long)ROW_EXPR_STEPS_MAX);
    }
    e->steps -= steps;
    return 0;
}

/* Room for a value on the way. */
static int take_room(struct expr_eval *e, size_t size, char **room_out)
{
    *room_out = NULL;
    if (size > ROW_EXPR_VALUE_BYTES_MAX) {
        return base_err_set(e->err, INSTAR_ELIMIT,
                            "an expression makes a text of %zu bytes, at most %zu", size,
                            ROW_EXPR_VALUE_BYTES_MAX);
    }
    int rc = expr_spend(e, size / BYTES_PER_STEP);
    if (rc == 0) {
        *room_out = base_arena_alloc(e->arena, size + 1);
        rc =
            *room_out != NULL ? 0 : base_err_set(e->err, INSTAR_ENOMEM, "an expression: no memory");
    }
    return rc;
}

static instar_value bytes_value(unsigned type, const void *data, size_t size)
{
    return (instar_value){.type = (uint8_t)type, .bytes = {size != 0 ? data : "", size}};
}

int expr_concat(struct expr_eval *e, const instar_value args[2], instar_value *out)
{
    size_t a = args[0].bytes.size;
    size_t b = args[1].bytes.size;
    char *room;
    int rc = take_room(e, a + b, &room); /* no overflow: both are values */
    if (rc != 0) {
        return rc;
    }
    if (a != 0) {
        memcpy(room, args[0].bytes.data, a);
    }
    if (b != 0) {
        memcpy(room + a, args[1].bytes.data, b);
    }
    *out = bytes_value(args[0].type, room, a + b);
    return 0;
}

int expr_fold(struct expr_eval *e, const instar_value *arg, bool upper, instar_value *out)
{
    const char *from = arg->bytes.data;
    char first = upper ? 'a' : 'A';
    char last = upper ? 'z' : 'Z';
    char *room;
    int rc = take_room(e, arg->bytes.size, &room);
    for (size_t i = 0; rc == 0 && i < arg->bytes.size; i++) {
        room[i] = from[i] >= first && from[i] <= last ? (char)(from[i] ^ 0x20) : from[i];
    }
    if (rc == 0) {
        *out = bytes_value(INSTAR_TEXT, room, arg->bytes.size);
    }
    return rc;
}

/* Does a character of UTF-8 begin here? */
static bool begins(const uint8_t *at)
{
    return (*at & 0xc0) != 0x80;
}

static size_t count_characters(const uint8_t *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += begins(text + i) ? 1 : 0;
    }
    return count;
}

int expr_length(struct expr_eval *e, const instar_value *arg, bool bytes, instar_value *out)
{
    size_t size = arg->bytes.size;
    int rc = expr_spend(e, size / BYTES_PER_STEP);
    if (rc == 0 && !bytes) {
        size = count_characters(arg->bytes.data, size);
    }
    return rc == 0 ? expr_integer(INSTAR_INT4, (int64_t)size, out, e->err) : rc;
}

/* Where the character of that number (from 1 on) begins; the end when there are fewer. */
static size_t find_character(const uint8_t *text, size_t size, int64_t number)
{
    size_t at = 0;
    while (at < size && (!begins(text + at) || --number > 0)) {
        at++;
    }
    return at;
}

/* A start before the first character counts: substr('abc', -1, 3) is 'a'. */
int expr_substr(struct expr_eval *e, const instar_value *args, size_t count, instar_value *out)
{
    const uint8_t *text = args[0].bytes.data;
    size_t size = args[0].bytes.size;
    bool is_text = args[0].type == INSTAR_TEXT;
    int64_t first = args[1].i;
    int64_t behind = INT64_MAX;
    if (count == 3 && args[2].i < 0) {
        return base_err_set(e->err, INSTAR_ERANGE, "negative substring length not allowed");
    }
    if (count == 3 && first + args[2].i <= INT32_MAX) {
        behind = first + args[2].i;
    }
    first = first < 1 ? 1 : first;
    behind = behind < first ? first : behind;
    int rc = expr_spend(e, size / BYTES_PER_STEP);
    if (rc != 0) {
        return rc;
    }
    size_t limit = size;
    size_t from = (uint64_t)first - 1 < size ? (size_t)first - 1 : size;
    size_t to = (uint64_t)behind - 1 < limit ? (size_t)behind - 1 : limit;
    if (is_text) {
        from = find_character(text, size, first);
        to = find_character(text, size, behind);
    }
    *out = bytes_value(args[0].type, text + from, to - from);
    return 0;
}

/* ---- LIKE --------------------------------------------------------------------------------- */

struct pattern {
    const uint8_t *at, *end;
};

static const uint8_t *next_character(const uint8_t *at, const uint8_t *end)
{
    for (at++; at < end && !begins(at); at++) {
    }
    return at;
}

/* The pattern's next byte against the text's; false: they differ. Both move. */
static int match_one(struct expr_eval *e, struct pattern *p, struct pattern *t, bool *same)
{
    bool any = *p->at == '_';
    if (*p->at == '\\' && ++p->at == p->end) {
        return base_err_set(e->err, INSTAR_ERANGE,
                            "LIKE pattern must not end with escape character");
    }
    *same = any || *p->at == *t->at;
    p->at++;
    t->at = any ? next_character(t->at, t->end) : t->at + 1;
    return 0;
}

/* Where a % was met last, the text is tried from one character further on. What was matched between
 * two % need not be looked at again: so the work is at most the product of both lengths. */
int expr_like(struct expr_eval *e, const instar_value args[2], bool *out)
{
    struct pattern t = {args[0].bytes.data, NULL};
    struct pattern p = {args[1].bytes.data, NULL};
    struct pattern again_p = {NULL, NULL};
    struct pattern again_t = {NULL, NULL};
    int rc = 0;
    t.end = t.at + args[0].bytes.size;
    p.end = p.at + args[1].bytes.size;
    *out = false;
    while (rc == 0 && t.at < t.end) {
        bool same = false;
        rc = expr_spend(e, 1);
        if (rc == 0 && p.at < p.end && *p.at == '%') {
            p.at++;
            again_p = p;
            again_t = t;
            continue;
        }
        if (rc == 0 && p.at < p.end) {
            rc = match_one(e, &p, &t, &same);
        }
        if (rc == 0 && !same) {
            if (again_p.at == NULL) {
                return 0;
            }
            again_t.at = next_character(again_t.at, again_t.end);
            t = again_t;
            p = again_p;
        }
    }
    while (p.at < p.end && *p.at == '%') {
        p.at++;
    }
    *out = p.at == p.end;
    return rc;
}

/* ---- casts -------------------------------------------------------------------------------- */

static const char *sql_name(unsigned type)
{
    return type == INSTAR_INT2   ? "smallint"
           : type == INSTAR_INT4 ? "integer"
           : type == INSTAR_INT8 ? "bigint"
                                 : row_type_name((enum instar_type)type);
}

int expr_integer(unsigned type, int64_t i, instar_value *out, struct base_err *err)
{
    if (!row_integer_in_range(type, i)) {
        return base_err_set(err, INSTAR_ERANGE, "%s out of range", sql_name(type));
    }
    *out = (instar_value){.type = (uint8_t)type, .i = i};
    return 0;
}

/* To the nearest, and to the even one of two: as PostgreSQL does. Up to 2^52 doubles have digits
 * behind the point; adding that number leaves them no room. */
static double round_even(double f)
{
    if (!(f > -0x1p52 && f < 0x1p52)) {
        return f;
    }
    return f < 0 ? (f - 0x1p52) + 0x1p52 : (f + 0x1p52) - 0x1p52;
}

static int from_float(double f, unsigned type, instar_value *out, struct base_err *err)
{
    double whole = round_even(f);
    if (type == INSTAR_FLOAT8) {
        *out = (instar_value){.type = INSTAR_FLOAT8, .f = f};
        return 0;
    }
    if (isnan(f) || whole < -0x1p63 || whole >= 0x1p63) {
        return base_err_set(err, INSTAR_ERANGE, "%s out of range", sql_name(type));
    }
    return expr_integer(type, (int64_t)whole, out, err);
}

static int to_text(struct expr_eval *e, const instar_value *arg, instar_value *out)
{
    char text[64];
    size_t size = row_value_format(arg, text, sizeof(text));
    char *room;
    int rc = take_room(e, size, &room);
    if (rc == 0) {
        memcpy(room, text, size);
        *out = bytes_value(INSTAR_TEXT, room, size);
    }
    return rc;
}

/* Blanks around a number or a truth value do not matter; those of C's isspace. */
static int from_text(struct expr_eval *e, const instar_value *arg, unsigned type, instar_value *out)
{
    const char *at = arg->bytes.data;
    size_t size = arg->bytes.size;
    bool trims = type != INSTAR_UUID;
    while (trims && size > 0 && strchr(" \t\n\v\f\r", *at) != NULL && *at != 0) {
        at++;
        size--;
    }
    while (trims && size > 0 && strchr(" \t\n\v\f\r", at[size - 1]) != NULL && at[size - 1] != 0) {
        size--;
    }
    int rc = expr_spend(e, arg->bytes.size / BYTES_PER_STEP);
    return rc == 0
               ? row_value_parse((enum instar_type)type, base_slice(at, size), NULL, 0, out, e->err)
               : rc;
}

/* Between numeric and another number. */
static int cast_numeric(struct expr_eval *e, const instar_value *arg, unsigned type,
                        instar_value *out)
{
    int64_t i;
    if (arg->type == INSTAR_FLOAT8) {
        return row_numeric_of_double(arg->f, out, e->err);
    }
    if (type == INSTAR_NUMERIC || type == INSTAR_FLOAT8) {
        *out = *arg;
        expr_widen(type, out);
        return 0;
    }
    if (!row_numeric_to_integer(arg, &i)) {
        return base_err_set(e->err, INSTAR_ERANGE, "%s out of range", sql_name(type));
    }
    return expr_integer(type, i, out, e->err);
}

int expr_cast(struct expr_eval *e, const instar_value *arg, unsigned type, instar_value *out)
{
    if (arg->type == type) {
        *out = *arg;
        return 0;
    }
    if (type == INSTAR_TEXT) {
        return to_text(e, arg, out);
    }
    if (arg->type == INSTAR_TEXT) {
        return from_text(e, arg, type, out);
    }
    if (arg->type == INSTAR_NUMERIC || type == INSTAR_NUMERIC) {
        return cast_numeric(e, arg, type, out);
    }
    if (arg->type == INSTAR_BOOL) {
        return expr_integer(type, arg->b, out, e->err);
    }
    if (type == INSTAR_BOOL) {
        *out = (instar_value){.type = INSTAR_BOOL, .b = arg->i != 0};
        return 0;
    }
    if (arg->type == INSTAR_FLOAT8) {
        return from_float(arg->f, type, out, e->err);
    }
    return type == INSTAR_FLOAT8 ? from_float((double)arg->i, type, out, e->err)
                                 : expr_integer(type, arg->i, out, e->err);
}
