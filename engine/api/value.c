/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text, for programs that read and print them. */
#include "api/api_impl.h"

#include <string.h>

const char *instar_type_name(enum instar_type type)
{
    return row_type_name(type);
}

size_t instar_type_format(enum instar_type type, uint32_t length_max, char *text_out, size_t size)
{
    return row_type_format(type, length_max, text_out, text_out != NULL ? size : 0);
}

enum instar_type instar_type_from_name(const char *name)
{
    return name == NULL ? INSTAR_NULL : row_type_from_name(name);
}

int instar_value_parse(enum instar_type type, const char *text, size_t text_size, char *scratch,
                       size_t scratch_size, instar_value *value_out)
{
    int rc = api_need(value_out, "value_out");

    if (rc == INSTAR_OK && text_size > 0) {
        rc = api_need(text, "text");
    }
    if (rc == INSTAR_OK) {
        rc = row_value_parse(type, base_slice(text, text_size), scratch, scratch_size, value_out,
                             api_err());
    }
    return rc;
}

size_t instar_value_format(const instar_value *value, char *text_out, size_t size)
{
    return value == NULL ? 0 : row_value_format(value, text_out, size);
}

/* ---- constant expressions ----------------------------------------------------------------- */

static bool refuse_column(void *arg, const char *name, struct row_expr_column *column_out,
                          struct base_err *err)
{
    (void)arg;
    (void)column_out;
    base_err_set(err, INSTAR_EUNKNOWN, "the column %s: there is no row here", name);
    return false;
}

static int keep_bytes(instar_value *v, char *scratch, size_t scratch_size)
{
    if (v->type != INSTAR_TEXT && v->type != INSTAR_BYTEA) {
        return INSTAR_OK;
    }
    if (v->bytes.size > scratch_size) {
        return base_err_set(api_err(), INSTAR_EINVALID, "scratch has %zu bytes, %zu are needed",
                            scratch_size, v->bytes.size);
    }
    if (v->bytes.size > 0) {
        memcpy(scratch, v->bytes.data, v->bytes.size);
    }
    v->bytes.data = v->bytes.size > 0 ? scratch : "";
    return INSTAR_OK;
}

int instar_expression_value(const char *expression, char *scratch, size_t scratch_size,
                            instar_value *value_out)
{
    struct row_expr_scope scope = {.wanted = INSTAR_NULL, .find = refuse_column};
    struct base_arena arena = {0};
    struct row_expr *expr = NULL;
    instar_value v = {0};
    size_t at = 0;
    int rc = api_need(value_out, "value_out");

    if (rc == INSTAR_OK) {
        *value_out = v;
        rc = api_need(expression, "expression");
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = row_expr_compile(base_slice(expression, strlen(expression)), &scope, &arena, &expr, &at,
                          api_err());
    if (rc != INSTAR_OK) {
        base_err_prefix(api_err(), "byte %zu", at + 1);
    } else {
        rc = row_expr_eval(expr, NULL, &arena, &v, api_err());
    }
    if (rc == INSTAR_OK) {
        rc = keep_bytes(&v, scratch, scratch != NULL ? scratch_size : 0);
    }
    if (rc == INSTAR_OK) {
        *value_out = v;
    }
    base_arena_free(&arena);
    return rc;
}
