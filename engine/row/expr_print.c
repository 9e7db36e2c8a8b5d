/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An expression as a text that means the same when it is compiled again, here or by PostgreSQL.
 * Operators stand in parentheses wherever another one is outside, keywords are in capitals, and
 * names and functions in small letters: so a reader of words can tell a column.
 */
#include "row/expr_impl.h"

#include <stdio.h>

struct print {
    const struct row_expr *expr;
    const char *(*name)(void *arg, uint32_t id);
    void *arg;
    struct base_buf *out;
    bool failed;
};

static void node(struct print *p, const struct expr_node *n, bool alone);

static void put(struct print *p, const char *text, size_t size)
{
    p->failed = p->failed || !base_buf_add(p->out, text, size);
}

static void say(struct print *p, const char *text)
{
    put(p, text, strlen(text));
}

static void column(struct print *p, const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
    size_t size = strlen(name);
    if (strspn(name, plain) == size && !(name[0] >= '0' && name[0] <= '9') &&
        !expr_is_reserved(name, size)) {
        say(p, name);
        return;
    }
    say(p, "\"");
    for (size_t i = 0; i < size; i++) {
        put(p, name[i] == '"' ? "\"\"" : name + i, name[i] == '"' ? 2 : 1);
    }
    say(p, "\"");
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static void string(struct print *p, const char *text, size_t size)
{
    bool escape = false;
    for (size_t i = 0; i < size; i++) {
        escape = escape || is_control(text[i]);
    }
    say(p, escape ? "E'" : "'");
    for (size_t i = 0; i < size; i++) {
        char code[8];
        bool twice = text[i] == '\'' || (escape && text[i] == '\\');
        if (is_control(text[i])) {
            snprintf(code, sizeof(code), "\\x%02x", (unsigned char)text[i]);
            say(p, code);
            continue;
        }
        put(p, text + i, 1);
        put(p, text + i, twice ? 1 : 0);
    }
    say(p, "'");
}

static void cast_end(struct print *p, unsigned type)
{
    say(p, " AS ");
    say(p, row_type_name((enum instar_type)type));
    say(p, ")");
}

/* Is it a number as it stands, of this type? A numeric is one where int8 has no room, or with a
 * point; beside a float8 it was made one. */
static bool is_plain(const struct expr_node *n)
{
    const instar_value *v = &n->value;
    int64_t i;
    if (v->type == INSTAR_NUMERIC) {
        return v->scale > 0 || !row_numeric_to_integer(v, &i);
    }
    return v->type == INSTAR_INT4 ||
           (v->type == INSTAR_INT8 && !row_integer_in_range(INSTAR_INT4, v->i) &&
            v->i != INT64_MIN);
}

/* A constant that has this type wherever it stands. */
static void constant(struct print *p, const struct expr_node *n, bool alone)
{
    char text[64];
    const instar_value *v = &n->value;
    if (v->type == INSTAR_TEXT) {
        string(p, v->bytes.data, v->bytes.size);
        return;
    }
    if (v->type == INSTAR_BYTEA) {
        static const char digits[] = "0123456789abcdef";
        const uint8_t *bytes = v->bytes.data;
        say(p, "CAST('\\x");
        for (size_t i = 0; i < v->bytes.size; i++) {
            put(p, &digits[bytes[i] >> 4], 1);
            put(p, &digits[bytes[i] & 15], 1);
        }
        say(p, "'");
        cast_end(p, n->type);
        return;
    }
    row_value_format(v, text, sizeof(text));
    if (v->type == INSTAR_BOOL) {
        say(p, v->b ? "TRUE" : "FALSE");
    } else if (is_plain(n)) {
        bool wrapped = text[0] == '-' && !alone;
        say(p, wrapped ? "(" : "");
        say(p, text);
        say(p, wrapped ? ")" : "");
    } else {
        say(p, "CAST(");
        say(p, v->type == INSTAR_NULL ? "NULL" : "'");
        say(p, text);
        say(p, v->type == INSTAR_NULL ? "" : "'");
        cast_end(p, n->type);
    }
}

/* CAST(x AS numeric(p,s)). */
static void fit(struct print *p, const struct expr_node *n)
{
    char type[32];
    uint32_t digits;
    (void)expr_fit_digits(n->args, &digits);
    row_type_format(INSTAR_NUMERIC, digits, type, sizeof(type));
    say(p, "CAST(");
    node(p, n->args[0], true);
    say(p, " AS ");
    say(p, type);
    say(p, ")");
}

/* Operands between commas, from one on. */
static void list(struct print *p, const struct expr_node *n, size_t from)
{
    say(p, "(");
    for (size_t i = from; i < n->arg_count; i++) {
        say(p, i > from ? ", " : "");
        node(p, n->args[i], true);
    }
    say(p, ")");
}

static void operator_between(struct print *p, const struct expr_node *n, const char *words)
{
    for (size_t i = 0; i < n->arg_count; i++) {
        if (i > 0) {
            say(p, " ");
            say(p, words);
            say(p, " ");
        }
        node(p, n->args[i], false);
    }
}

static void case_when(struct print *p, const struct expr_node *n)
{
    size_t i = n->op == EXPR_CASE_OF ? 1 : 0;
    say(p, "CASE");
    if (i == 1) {
        say(p, " ");
        node(p, n->args[0], false);
    }
    for (; i + 1 < n->arg_count; i += 2) {
        say(p, " WHEN ");
        node(p, n->args[i], true);
        say(p, " THEN ");
        node(p, n->args[i + 1], true);
    }
    if (i < n->arg_count) {
        say(p, " ELSE ");
        node(p, n->args[i], true);
    }
    say(p, " END");
}

/* Operations that need parentheses beside others. */
static void open_form(struct print *p, const struct expr_node *n)
{
    const char *syntax = expr_op_syntax(n->op);
    if (syntax[0] == '2') {
        operator_between(p, n, syntax + 1);
        return;
    }
    if (syntax[0] == '1') {
        node(p, n->args[0], false);
        say(p, " ");
        say(p, syntax + 1);
        return;
    }
    switch (n->op) {
    case EXPR_NOT:
    case EXPR_NEG:
        say(p, n->op == EXPR_NOT ? "NOT " : "- ");
        node(p, n->args[0], false);
        break;
    case EXPR_BETWEEN:
    case EXPR_NOT_BETWEEN:
        node(p, n->args[0], false);
        say(p, n->op == EXPR_BETWEEN ? " BETWEEN " : " NOT BETWEEN ");
        node(p, n->args[1], false);
        say(p, " AND ");
        node(p, n->args[2], false);
        break;
    default:
        node(p, n->args[0], false);
        say(p, n->op == EXPR_IN ? " IN " : " NOT IN ");
        list(p, n, 1);
        break;
    }
}

/* alone: nothing stands beside it. */
static void node(struct print *p, const struct expr_node *n, bool alone)
{
    switch (n->op) {
    case EXPR_CONST:
        constant(p, n, alone);
        return;
    case EXPR_COLUMN:
        column(p, p->name(p->arg, p->expr->columns[n->slot].id));
        return;
    case EXPR_CASE:
    case EXPR_CASE_OF:
        case_when(p, n);
        return;
    case EXPR_CAST:
        say(p, "CAST(");
        node(p, n->args[0], true);
        cast_end(p, n->type);
        return;
    case EXPR_FIT:
        fit(p, n);
        return;
    default:
        break;
    }
    const char *syntax = expr_op_syntax(n->op);
    if (syntax[0] == 'f') {
        say(p, syntax + 1);
        list(p, n, 0);
        return;
    }
    say(p, alone ? "" : "(");
    open_form(p, n);
    say(p, alone ? "" : ")");
}

bool row_expr_print(const struct row_expr *expr, const char *(*name)(void *arg, uint32_t id),
                    void *arg, struct base_buf *out)
{
    struct print p = {.expr = expr, .name = name, .arg = arg, .out = out};
    node(&p, expr->root, true);
    return !p.failed;
}
