/* SPDX-License-Identifier: Apache-2.0 */
/* Types, constants and options: the leaves of a statement. */
#include "ddl/ddl_impl.h"

#include <stdlib.h>
#include <string.h>

#define TYPES "bool, int2, int4, int8, float8, text, bytea, timestamptz, date, uuid"

/* ---- types -------------------------------------------------------------------------------- */

int ddl_type(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
             enum instar_type *type_out)
{
    size_t count = ddl_count(node, "names");
    struct ddl_node *name = ddl_take(node, "names");
    const char *text = name != NULL ? ddl_take_text(name, "sval") : NULL;

    /* The grammar itself writes pg_catalog before the types that it knows by keyword. */
    if (count == 2 && text != NULL && strcmp(text, "pg_catalog") == 0) {
        name = ddl_take_next(name);
        text = ddl_take_text(name, "sval");
        count = 1;
    }
    (void)ddl_take(node, "typemod"); /* always -1 in what was parsed: typmods has them */
    *type_out = text != NULL && count == 1 ? instar_type_from_name(text) : INSTAR_NULL;
    /* The names that PostgreSQL's catalog has, not those that a command line may use. */
    if (*type_out == INSTAR_NULL || strcmp(instar_type_name(*type_out), text) != 0) {
        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, node),
                        "not supported: the type %s (there are " TYPES ")",
                        text != NULL && count == 1 ? text : "of another schema");
    }
    return ddl_refuse_untaken(sql, piece, node);
}

/* ---- constants ---------------------------------------------------------------------------- */

static bool is_number(enum instar_type type)
{
    return type == INSTAR_INT2 || type == INSTAR_INT4 || type == INSTAR_INT8 ||
           type == INSTAR_FLOAT8;
}

/* Text as a value of the type; it goes on living in the arena. */
static int parse_text(instar_sql *sql, size_t offset, enum instar_type type, const char *text,
                      instar_value *value)
{
    size_t size = strlen(text);
    char *scratch = ddl_alloc(&sql->arena, size + 1);
    int rc;

    if (scratch == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, offset, "out of memory");
    }
    rc = instar_value_parse(type, text, size, scratch, size + 1, value);
    return rc == INSTAR_OK ? rc
                           : ddl_fail(sql, rc, offset, "'%.60s' as %s: %s", text,
                                      instar_type_name(type), instar_error_text());
}

/* The text of a number of the grammar. */
static const char *number_text(instar_sql *sql, struct ddl_node *node)
{
    struct ddl_node *integer = ddl_take(node, "ival"), *number = ddl_take(node, "fval");

    if (integer != NULL) {
        struct ddl_node *digits = ddl_take(integer, "ival"); /* not there: zero */
        instar_value value = {.type = INSTAR_INT8, .i = digits != NULL ? digits->integer : 0};
        char *text = ddl_alloc(&sql->arena, 32);

        if (text != NULL) {
            (void)instar_value_format(&value, text, 32);
        }
        return text;
    }
    return number != NULL ? ddl_take_text(number, "fval") : NULL;
}

/* What was written must be what is meant: 'x' for any type, numbers for numbers, true and false for
 * bool. PostgreSQL would cast some of the others, by rules that are not here. */
static int convert(instar_sql *sql, size_t offset, struct ddl_node *node, enum instar_type type,
                   instar_value *value)
{
    struct ddl_node *boolean = ddl_take(node, "boolval"), *string = ddl_take(node, "sval");
    const char *text;

    if (boolean != NULL && type == INSTAR_BOOL) {
        *value = (instar_value){.type = INSTAR_BOOL, .b = ddl_take_flag(boolean, "boolval")};
        return INSTAR_OK;
    }
    if (string != NULL) {
        text = ddl_take_text(string, "sval");
        return parse_text(sql, offset, type, text != NULL ? text : "", value);
    }
    if (boolean == NULL && is_number(type) && ddl_take(node, "bsval") == NULL) {
        text = number_text(sql, node);
        return text != NULL ? parse_text(sql, offset, type, text, value)
                            : ddl_fail(sql, INSTAR_ENOMEM, offset, "out of memory");
    }
    return ddl_fail(sql, INSTAR_ETYPE, offset, "the constant is no %s; write it as a string: '…'",
                    instar_type_name(type));
}

/* 'x'::type with the type that is wanted anyway. */
static int strip_cast(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node **node,
                      enum instar_type wanted)
{
    struct ddl_node *name = ddl_take(*node, "type_name");
    enum instar_type type = INSTAR_NULL;
    int rc = name != NULL ? ddl_type(sql, piece, name, &type) : INSTAR_OK;

    if (rc == INSTAR_OK && type != wanted) {
        rc = ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, *node),
                      "not supported: a cast to another type than %s", instar_type_name(wanted));
    }
    *node = ddl_take(*node, "arg");
    return rc;
}

int ddl_constant(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                 enum instar_type type, const instar_value **value_out)
{
    instar_value *value;
    int rc = INSTAR_OK;

    *value_out = NULL;
    if (ddl_node_is(node, "TypeCast")) {
        rc = strip_cast(sql, piece, &node, type);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (node == NULL || !ddl_node_is(node, "A_Const")) {
        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, node),
                        "not supported: a default that is no constant");
    }
    if (ddl_take_flag(node, "isnull")) {
        return ddl_refuse_untaken(sql, piece, node);
    }
    value = ddl_alloc(&sql->arena, sizeof(*value));
    if (value == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
    }
    *value_out = value;
    rc = convert(sql, ddl_offset(piece, node), node, type, value);
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

static int set_option(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                      instar_change_options *options)
{
    const char *name = ddl_take_text(node, "defname");
    struct ddl_node *arg = ddl_take(node, "arg");
    size_t offset = ddl_offset(piece, node);
    uint64_t number = 0;
    int rc;

    (void)ddl_take_name(node, "defaction", "DEFELEM_UNSPEC");
    if (name != NULL && strcmp(name, "backfill_workers") == 0) {
        rc = option_number(sql, offset, name, arg, UINT32_MAX, &number);
        options->workers = (uint32_t)number;
    } else if (name != NULL && strcmp(name, "rows_per_second") == 0) {
        rc = option_number(sql, offset, name, arg, UINT64_MAX, &options->rows_per_second_max);
    } else if (name != NULL && strcmp(name, "sort_memory_bytes") == 0) {
        rc = option_number(sql, offset, name, arg, UINT64_MAX, &options->sort_memory_bytes);
    } else if (name != NULL && strcmp(name, "fence_after_ms") == 0) {
        rc = option_number(sql, offset, name, arg, UINT32_MAX, &number);
        options->fence_after_ms = (uint32_t)number;
    } else {
        return ddl_fail(sql, INSTAR_EINVALID, offset,
                        "not supported: the option %s (there are backfill_workers, "
                        "rows_per_second, sort_memory_bytes, fence_after_ms)",
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
