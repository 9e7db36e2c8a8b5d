/* SPDX-License-Identifier: Apache-2.0 */
/* Types, constants and options: the leaves of a statement. */
#include "ddl/ddl_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TYPES                                                                                    \
    "bool, int2, int4, int8, numeric(p,s), float8, text, varchar(n), bytea, timestamptz, date, " \
    "time, uuid"

/* Of a default that is an expression; far beyond what a table takes. */
#define COMPUTED_BYTES_MAX 65536

/* ---- types -------------------------------------------------------------------------------- */

/* The n of varchar(n). */
static int take_length(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                       uint32_t *length_out)
{
    struct ddl_node *constant = ddl_take(node, "typmods");
    struct ddl_node *integer =
        constant != NULL && ddl_node_is(constant, "A_Const") ? ddl_take(constant, "ival") : NULL;
    struct ddl_node *digits = integer != NULL ? ddl_take(integer, "ival") : NULL;

    if (constant == NULL) {
        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, node),
                        "not supported: varchar without a length (write text)");
    }
    if (digits == NULL || digits->integer < 1 || digits->integer > INSTAR_LENGTH_MAX ||
        ddl_count(node, "typmods") != 1) {
        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, constant),
                        "the length of a varchar is a number from 1 to %d", INSTAR_LENGTH_MAX);
    }
    *length_out = (uint32_t)digits->integer;
    return INSTAR_OK;
}

/* A whole number among the digits of a numeric; -1: something else. */
static int64_t whole_number(struct ddl_node *constant)
{
    struct ddl_node *integer =
        constant != NULL && ddl_node_is(constant, "A_Const") ? ddl_take(constant, "ival") : NULL;
    struct ddl_node *digits = integer != NULL ? ddl_take(integer, "ival") : NULL;

    return integer == NULL ? -1 : digits != NULL ? digits->integer : 0;
}

/* The p and s of numeric(p,s); s is 0 where it is not said. */
static int take_digits(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                       uint32_t *digits_out)
{
    struct ddl_node *first = ddl_take(node, "typmods");
    struct ddl_node *second = first != NULL ? ddl_take_next(first) : NULL;
    int64_t precision = whole_number(first);
    int64_t scale = second != NULL ? whole_number(second) : 0;

    if (first == NULL) {
        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, node),
                        "not supported: numeric without its digits (write numeric(p,s): p digits, "
                        "at most %d, and s of them behind the point)",
                        INSTAR_DIGITS_MAX);
    }
    if (precision < 1 || precision > INSTAR_DIGITS_MAX || scale < 0 || scale > precision ||
        ddl_count(node, "typmods") > 2) {
        bool known = precision < 1 || precision > INSTAR_DIGITS_MAX;

        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, known ? first : second),
                        "not supported: such digits of a numeric: numeric(p,s) has p digits, 1 to "
                        "%d, and s of them behind the point, 0 to p",
                        INSTAR_DIGITS_MAX);
    }
    *digits_out = INSTAR_DIGITS(precision, scale);
    return INSTAR_OK;
}

int ddl_cast_type(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                  enum instar_type *type_out, uint32_t *digits_out)
{
    uint32_t none = 0;
    bool digits = ddl_count(node, "typmods") > 0;
    int rc = ddl_type(sql, piece, node, type_out, digits ? &none : NULL);

    *digits_out = 0;
    if (rc == INSTAR_OK && digits && *type_out != INSTAR_NUMERIC) {
        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, node),
                        "not supported: a cast to varchar(n)");
    }
    *digits_out = none;
    return rc;
}

int ddl_type(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
             enum instar_type *type_out, uint32_t *length_out)
{
    size_t count;
    const char *text = ddl_take_qualified(node, "names", &count);

    (void)ddl_take(node, "typemod"); /* always -1 in what was parsed: typmods has them */
    *type_out = text != NULL && count == 1 ? instar_type_from_name(text) : INSTAR_NULL;
    if (text != NULL && count == 1 && strcmp(text, "varchar") == 0 && length_out != NULL) {
        int rc = take_length(sql, piece, node, length_out);

        *type_out = INSTAR_TEXT;
        return rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
    }
    if (*type_out == INSTAR_NUMERIC && strcmp(text, "numeric") == 0 && length_out != NULL) {
        int rc = take_digits(sql, piece, node, length_out);

        return rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
    }
    /* The names that PostgreSQL's catalog has, not those that a command line may use. */
    if (*type_out == INSTAR_NULL || strcmp(instar_type_name(*type_out), text) != 0) {
        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, node),
                        "not supported: the type %s (there are " TYPES ")",
                        text != NULL && count == 1 ? text : "of another schema");
    }
    return ddl_refuse_untaken(sql, piece, node);
}

/* ---- constants ---------------------------------------------------------------------------- */

static bool is_integer(enum instar_type type)
{
    return type == INSTAR_INT2 || type == INSTAR_INT4 || type == INSTAR_INT8;
}

/* A number with a point as an integer: to the nearest, as PostgreSQL assigns it. */
static int round_number(const char *text, enum instar_type type, instar_value *value_out,
                        const char **why_out)
{
    char expression[128];
    const char *why;
    int rc;

    (void)snprintf(expression, sizeof(expression), "CAST(CAST('%.60s' AS numeric) AS %s)", text,
                   instar_type_name(type));
    rc = instar_expression_value(expression, NULL, 0, value_out);
    why = strstr(instar_error_text(), ": "); /* behind the place in a text that nobody wrote */
    *why_out = why != NULL ? why + 2 : instar_error_text();
    return rc;
}

int ddl_fit(const struct ddl_constant *constant, enum instar_type type, char *scratch,
            instar_value *value_out, char words[DDL_WORDS_SIZE])
{
    const instar_value *v = &constant->value;
    char number[64];
    const char *text = number, *why;
    size_t size;
    int rc;

    if (v->type == type) {
        *value_out = *v; /* the bytes stay where they are */
        return INSTAR_OK;
    }
    if (constant->cast) {
        (void)snprintf(words, DDL_WORDS_SIZE, "not supported: a cast to another type than %s",
                       instar_type_name(type));
        return INSTAR_EINVALID;
    }
    if (constant->computed && (v->type == INSTAR_TEXT || v->type == INSTAR_BOOL)) {
        (void)snprintf(words, DDL_WORDS_SIZE, "the default is a %s, the column a %s; cast it",
                       instar_type_name((enum instar_type)v->type), instar_type_name(type));
        return INSTAR_ETYPE;
    }
    if (v->type == INSTAR_TEXT) {
        text = v->bytes.data;
        size = v->bytes.size;
    } else if ((is_integer((enum instar_type)v->type) || v->type == INSTAR_NUMERIC) &&
               (is_integer(type) || type == INSTAR_FLOAT8 || type == INSTAR_NUMERIC)) {
        size = instar_value_format(v, number, sizeof(number));
    } else {
        (void)snprintf(words, DDL_WORDS_SIZE, "the constant is no %s; write it as a string: '…'",
                       instar_type_name(type));
        return INSTAR_ETYPE;
    }
    if (v->type == INSTAR_NUMERIC && is_integer(type)) {
        rc = round_number(text, type, value_out, &why);
    } else {
        rc = instar_value_parse(type, text, size, scratch, size, value_out);
        why = instar_error_text();
    }
    if (rc != INSTAR_OK) {
        (void)snprintf(words, DDL_WORDS_SIZE, "'%.*s' as %s: %s", ddl_cut(text, size, 60), text,
                       instar_type_name(type), why);
    }
    return rc;
}

/* The digits of a number as int8, or where that has no room or there is a point, as numeric; what
 * has too many digits for that is a float8. */
static int number_value(instar_sql *sql, size_t offset, struct ddl_node *node, instar_value *value)
{
    struct ddl_node *integer = ddl_take(node, "ival"), *number = ddl_take(node, "fval");
    const char *text = number != NULL ? ddl_take_text(number, "fval") : NULL;
    int rc;

    if (integer != NULL) {
        struct ddl_node *digits = ddl_take(integer, "ival"); /* not there: zero */

        *value = (instar_value){.type = INSTAR_INT8, .i = digits != NULL ? digits->integer : 0};
        return INSTAR_OK;
    }
    if (text == NULL) {
        return ddl_fail(sql, INSTAR_EINVALID, offset, "not supported: a constant of bits");
    }
    if (instar_value_parse(INSTAR_INT8, text, strlen(text), NULL, 0, value) == INSTAR_OK) {
        return INSTAR_OK;
    }
    if (instar_value_parse(INSTAR_NUMERIC, text, strlen(text), NULL, 0, value) == INSTAR_OK) {
        return INSTAR_OK;
    }
    rc = instar_value_parse(INSTAR_FLOAT8, text, strlen(text), NULL, 0, value);
    return rc == INSTAR_OK ? rc
                           : ddl_fail(sql, rc, offset, "'%.60s': %s", text, instar_error_text());
}

/* 'x' is a text, true and false are bools, and numbers are numbers, until a type is known. */
static int constant_value(instar_sql *sql, size_t offset, struct ddl_node *node,
                          instar_value *value)
{
    struct ddl_node *boolean = ddl_take(node, "boolval"), *string = ddl_take(node, "sval");

    if (boolean != NULL) {
        *value = (instar_value){.type = INSTAR_BOOL, .b = ddl_take_flag(boolean, "boolval")};
        return INSTAR_OK;
    }
    if (string != NULL) {
        const char *text = ddl_take_text(string, "sval");

        *value = (instar_value){.type = INSTAR_TEXT};
        value->bytes.data = text != NULL ? text : "";
        value->bytes.size = text != NULL ? strlen(text) : 0;
        return INSTAR_OK;
    }
    return number_value(sql, offset, node, value);
}

int ddl_fit_here(instar_sql *sql, size_t offset, const struct ddl_constant *constant,
                 enum instar_type type, instar_value *value_out)
{
    size_t size = constant->value.type == INSTAR_TEXT ? constant->value.bytes.size : 64;
    char *scratch = ddl_alloc(&sql->arena, size + 1);
    char words[DDL_WORDS_SIZE];
    int rc;

    if (scratch == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, offset, "out of memory");
    }
    rc = ddl_fit(constant, type, scratch, value_out, words);
    return rc == INSTAR_OK ? rc : ddl_fail(sql, rc, offset, "%s", words);
}

/* An expression of constants, worked out now: so it is a constant as well. */
static int compute(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                   struct ddl_constant *constant_out)
{
    char *scratch = ddl_alloc(&sql->arena, COMPUTED_BYTES_MAX);
    size_t offset = ddl_offset(piece, node);
    const char *text = NULL;
    int rc = ddl_expression(sql, piece, node, &text);

    if (rc != INSTAR_OK) {
        return rc;
    }
    if (scratch == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, offset, "out of memory");
    }
    constant_out->computed = true;
    rc = instar_expression_value(text, scratch, COMPUTED_BYTES_MAX, &constant_out->value);
    return rc == INSTAR_OK ? rc
                           : ddl_fail(sql, rc, offset,
                                      "not supported: a default that is no "
                                      "constant: %s",
                                      instar_error_text());
}

/* 'x'::type, which is read as the type's own form; more than that, 'x'::numeric(3,1) too, is an
 * expression. */
static bool is_constant(const struct ddl_node *node)
{
    bool cast = node != NULL && ddl_node_is(node, "TypeCast");
    const struct ddl_node *arg = cast ? ddl_peek(node, "arg") : node;
    const struct ddl_node *type = cast ? ddl_peek(node, "type_name") : NULL;

    return arg != NULL && ddl_node_is(arg, "A_Const") &&
           (type == NULL || ddl_peek(type, "typmods") == NULL);
}

int ddl_constant(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                 struct ddl_constant *constant_out)
{
    struct ddl_node *cast = NULL;
    enum instar_type type = INSTAR_NULL;
    int rc = INSTAR_OK;

    *constant_out = (struct ddl_constant){.offset = ddl_offset(piece, node)};
    if (node != NULL && !is_constant(node)) {
        return compute(sql, piece, node, constant_out);
    }
    if (ddl_node_is(node, "TypeCast")) {
        cast = ddl_take(node, "type_name");
        rc = cast != NULL ? ddl_type(sql, piece, cast, &type, NULL) : INSTAR_OK;
        node = ddl_take(node, "arg");
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (!ddl_take_flag(node, "isnull")) {
        rc = constant_value(sql, ddl_offset(piece, node), node, &constant_out->value);
    }
    if (rc == INSTAR_OK && cast != NULL && constant_out->value.type != INSTAR_NULL) {
        rc = ddl_fit_here(sql, ddl_offset(piece, node), constant_out, type, &constant_out->value);
        constant_out->cast = true;
    }
    return rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
}

/* ---- WITH (…) ----------------------------------------------------------------------------- */

static int option_number(instar_sql *sql, size_t offset, const char *name, struct ddl_node *arg,
                         uint64_t max, uint64_t *number_out)
{
    const char *text = NULL;
    char *end = NULL;

    if (arg != NULL && ddl_node_is(arg, "Integer")) {
        struct ddl_node *digits = ddl_take(arg, "ival");

        *number_out = digits != NULL && digits->integer > 0 ? (uint64_t)digits->integer : 0;
        if ((digits == NULL || digits->integer >= 0) && *number_out <= max) {
            return INSTAR_OK;
        }
    } else if (arg != NULL && ddl_node_is(arg, "Float")) {
        text = ddl_take_text(arg, "fval"); /* also what is too long for an int */
    }
    if (text != NULL && text[0] >= '0' && text[0] <= '9') {
        *number_out = strtoull(text, &end, 10);
        if (*end == '\0' && strlen(text) < 20 && *number_out <= max) {
            return INSTAR_OK;
        }
    }
    return ddl_fail(sql, INSTAR_EINVALID, offset, "%s is a whole number from 0 to %llu", name,
                    (unsigned long long)max);
}

/* The grammar takes reserved words and strings as such, and any other word for a type. */
static const char *option_word(struct ddl_node *arg)
{
    if (ddl_node_is(arg, "TypeName") && ddl_count(arg, "names") == 1) {
        (void)ddl_take(arg, "typemod");
        arg = ddl_take(arg, "names");
    }
    return ddl_node_is(arg, "String") ? ddl_take_text(arg, "sval") : NULL;
}

static int set_flag(instar_sql *sql, size_t offset, const char *name, struct ddl_node *arg,
                    instar_change_options *options)
{
    const char *word = arg != NULL ? option_word(arg) : "on";

    if (word != NULL && (strcmp(word, "on") == 0 || strcmp(word, "true") == 0)) {
        options->flags |= ddl_change_flag(name, strlen(name));
        return INSTAR_OK;
    }
    return word != NULL && (strcmp(word, "off") == 0 || strcmp(word, "false") == 0)
               ? INSTAR_OK
               : ddl_fail(sql, INSTAR_EINVALID, offset, "%s is on or off", name);
}

static int set_option(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                      instar_change_options *options)
{
    const char *name = ddl_take_text(node, "defname");
    struct ddl_node *arg = ddl_take(node, "arg");
    size_t offset = ddl_offset(piece, node);
    uint64_t number = 0;
    int rc;

    (void)ddl_take_name(node, "defaction", "DEFELEM_UNSPEC");
    const struct ddl_number *known = name != NULL ? ddl_change_number(name, strlen(name)) : NULL;
    /* Nothing that is made here can be undone. */
    bool about_drops = known != NULL && strcmp(known->name, "undo_window_s") == 0;
    if (known != NULL && !about_drops) {
        rc = option_number(sql, offset, name, arg, known->max, &number);
        if (rc == INSTAR_OK) {
            ddl_set_number(options, known, number);
        }
    } else if (name != NULL && ddl_change_flag(name, strlen(name)) != 0) {
        rc = set_flag(sql, offset, name, arg, options);
    } else {
        return ddl_fail(sql, INSTAR_EINVALID, offset,
                        "not supported: the option %s (there are " DDL_CHANGE_OPTIONS ")",
                        name != NULL ? name : "?");
    }
    return rc;
}

int ddl_change_options(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                       instar_change_options *options)
{
    int rc = INSTAR_OK;

    for (struct ddl_node *n = ddl_take(node, "options"); rc == INSTAR_OK && n != NULL;
         n = ddl_take_next(n)) {
        const char *name = ddl_take_text(n, "defname");

        for (struct ddl_node *o = ddl_take(node, "options"); o != n; o = ddl_take_next(o)) {
            const char *other = ddl_take_text(o, "defname");

            if (name != NULL && other != NULL && strcmp(name, other) == 0) {
                return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, n),
                                "the option %s is given twice", name);
            }
        }
        rc = set_option(sql, piece, n, options);
    }
    return rc;
}
