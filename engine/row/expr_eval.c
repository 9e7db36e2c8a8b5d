/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluating an expression: a walk over its tree, from left to right, with the rules of PostgreSQL.
 * It sees the inputs and nothing else - no clock, no locale, no zone - so what held when a row was
 * written holds when it is read. Types were settled when the tree was made: what is met here
 * otherwise is our mistake.
 */
#include "row/expr_impl.h"

#include <math.h>

static int eval(struct expr_eval *e, const struct expr_node *node, instar_value *out);

static const instar_value null = {.type = INSTAR_NULL};

static bool is_null(const instar_value *v)
{
    return v->type == INSTAR_NULL;
}

static instar_value truth(bool b)
{
    return (instar_value){.type = INSTAR_BOOL, .b = b};
}

/* ---- numbers ------------------------------------------------------------------------------ */

static double to_double(const instar_value *v)
{
    return v->type == INSTAR_FLOAT8    ? v->f
           : v->type == INSTAR_NUMERIC ? row_numeric_to_double(v)
                                       : (double)v->i;
}

/* Where several types meet, what they have in common. */
void expr_widen(unsigned type, instar_value *v)
{
    if (is_null(v) || v->type == type) {
        return;
    }
    base_assert(expr_is_number(v->type) && expr_width(v->type) < expr_width(type));
    *v = type == INSTAR_FLOAT8    ? (instar_value){.type = INSTAR_FLOAT8, .f = to_double(v)}
         : type == INSTAR_NUMERIC ? row_numeric_of_integer(v->i)
                                  : (instar_value){.type = (uint8_t)type, .i = v->i};
}

static int compare(const instar_value *a, const instar_value *b)
{
    instar_value x = *a;
    instar_value y = *b;
    if (x.type != y.type && expr_is_number(x.type)) {
        unsigned type = expr_wider(x.type, y.type);
        expr_widen(type, &x);
        expr_widen(type, &y);
    }
    return row_value_cmp(&x, &y);
}

static int divide_by_zero(struct expr_eval *e)
{
    return base_err_set(e->err, INSTAR_ERANGE, "division by zero");
}

static int divide_integers(struct expr_eval *e, unsigned op, const instar_value args[2],
                           int64_t *out, bool *overflow)
{
    int64_t a = args[0].i;
    int64_t b = args[1].i;
    if (b == 0) {
        return divide_by_zero(e);
    }
    if (b == -1) { /* the processor traps where the quotient has no room */
        *overflow = op == EXPR_DIV && __builtin_sub_overflow(0, a, out);
        *out = op == EXPR_DIV ? *out : 0;
    } else {
        *out = op == EXPR_DIV ? a / b : a % b;
    }
    return 0;
}

static int arith_integer(struct expr_eval *e, const struct expr_node *node,
                         const instar_value args[2], instar_value *out)
{
    int64_t i = 0;
    bool overflow = false;
    int rc = 0;
    switch (node->op) {
    case EXPR_ADD:
        overflow = __builtin_add_overflow(args[0].i, args[1].i, &i);
        break;
    case EXPR_SUB:
        overflow = __builtin_sub_overflow(args[0].i, args[1].i, &i);
        break;
    case EXPR_MUL:
        overflow = __builtin_mul_overflow(args[0].i, args[1].i, &i);
        break;
    default:
        rc = divide_integers(e, node->op, args, &i, &overflow);
        break;
    }
    if (rc == 0 && overflow) {
        rc = base_err_set(e->err, INSTAR_ERANGE, "bigint out of range");
    }
    return rc == 0 ? expr_integer(node->type, i, out, e->err) : rc;
}

static int arith_float(struct expr_eval *e, unsigned op, const instar_value args[2],
                       instar_value *out)
{
    double a = to_double(&args[0]);
    double b = to_double(&args[1]);
    if (op == EXPR_DIV && b == 0 && !isnan(a)) {
        return divide_by_zero(e);
    }
    double f = op == EXPR_ADD ? a + b : op == EXPR_SUB ? a - b : op == EXPR_MUL ? a * b : a / b;
    bool product = op == EXPR_MUL || op == EXPR_DIV;
    bool finite = !isinf(a) && (op == EXPR_DIV || !isinf(b));
    if (isinf(f) && finite) {
        return base_err_set(e->err, INSTAR_ERANGE, "value out of range: overflow");
    }
    if (f == 0 && product && a != 0 && (op == EXPR_MUL ? b != 0 : !isinf(b))) {
        return base_err_set(e->err, INSTAR_ERANGE, "value out of range: underflow");
    }
    *out = (instar_value){.type = INSTAR_FLOAT8, .f = f};
    return 0;
}

static int arith_numeric(struct expr_eval *e, unsigned op, const instar_value args[2],
                         instar_value *out)
{
    static const char signs[] = {[EXPR_ADD - EXPR_ADD] = '+',
                                 [EXPR_SUB - EXPR_ADD] = '-',
                                 [EXPR_MUL - EXPR_ADD] = '*',
                                 [EXPR_DIV - EXPR_ADD] = '/',
                                 [EXPR_MOD - EXPR_ADD] = '%'};
    instar_value a = args[0];
    instar_value b = args[1];
    expr_widen(INSTAR_NUMERIC, &a);
    expr_widen(INSTAR_NUMERIC, &b);
    return row_numeric_arith(signs[op - EXPR_ADD], &a, &b, out, e->err);
}

/* - and abs. */
static int change_sign(struct expr_eval *e, const struct expr_node *node, const instar_value *arg,
                       instar_value *out)
{
    bool is_abs = node->op == EXPR_ABS;
    if (arg->type == INSTAR_FLOAT8) {
        *out = *arg;
        out->f = is_abs ? fabs(arg->f) : -arg->f;
        return 0;
    }
    if (arg->type == INSTAR_NUMERIC) {
        row_i128 number = row_numeric_get(arg);
        *out = row_numeric_make(is_abs && number >= 0 ? number : -number, arg->scale);
        return 0;
    }
    if (is_abs && arg->i >= 0) {
        *out = *arg;
        return 0;
    }
    if (arg->i == INT64_MIN) {
        return base_err_set(e->err, INSTAR_ERANGE, "bigint out of range");
    }
    return expr_integer(node->type, -arg->i, out, e->err);
}

/* ---- three values ------------------------------------------------------------------------- */

/* AND ends at the first false, OR at the first true; after that a null counts. */
static int eval_and_or(struct expr_eval *e, const struct expr_node *node, instar_value *out)
{
    bool ends = node->op == EXPR_OR;
    bool any_null = false;
    for (size_t i = 0; i < node->arg_count; i++) {
        int rc = eval(e, node->args[i], out);
        if (rc != 0 || (!is_null(out) && out->b == ends)) {
            return rc;
        }
        any_null = any_null || is_null(out);
    }
    *out = any_null ? null : truth(!ends);
    return 0;
}

static bool is_test(unsigned op, const instar_value *v)
{
    switch (op) {
    case EXPR_IS_NULL:
        return is_null(v);
    case EXPR_IS_NOT_NULL:
        return !is_null(v);
    case EXPR_IS_TRUE:
        return !is_null(v) && v->b;
    case EXPR_IS_NOT_TRUE:
        return is_null(v) || !v->b;
    case EXPR_IS_FALSE:
        return !is_null(v) && !v->b;
    default:
        return is_null(v) || v->b;
    }
}

static bool holds(unsigned op, int order)
{
    switch (op) {
    case EXPR_EQ:
    case EXPR_NOT_DISTINCT:
        return order == 0;
    case EXPR_NE:
    case EXPR_DISTINCT:
        return order != 0;
    case EXPR_LT:
        return order < 0;
    case EXPR_LE:
        return order <= 0;
    case EXPR_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

/* x >= a AND x <= b; the opposite is x < a OR x > b. */
static int eval_between(struct expr_eval *e, const struct expr_node *node, instar_value *out)
{
    bool negated = node->op == EXPR_NOT_BETWEEN;
    bool any_null = false;
    instar_value x;
    instar_value bound;
    int rc = eval(e, node->args[0], &x);
    for (size_t i = 1; rc == 0 && i < 3; i++) {
        rc = eval(e, node->args[i], &bound);
        if (rc == 0 && (is_null(&x) || is_null(&bound))) {
            any_null = true;
        } else if (rc == 0 && (i == 1 ? compare(&x, &bound) < 0 : compare(&x, &bound) > 0)) {
            *out = truth(negated);
            return 0;
        }
    }
    *out = any_null ? null : truth(!negated);
    return rc;
}

static int eval_in(struct expr_eval *e, const struct expr_node *node, instar_value *out)
{
    bool negated = node->op == EXPR_NOT_IN;
    bool any_null = false;
    instar_value x;
    instar_value item;
    int rc = eval(e, node->args[0], &x);
    for (size_t i = 1; rc == 0 && i < node->arg_count; i++) {
        rc = eval(e, node->args[i], &item);
        if (rc == 0 && (is_null(&x) || is_null(&item))) {
            any_null = true;
        } else if (rc == 0 && compare(&x, &item) == 0) {
            *out = truth(!negated);
            return 0;
        }
    }
    *out = any_null ? null : truth(negated);
    return rc;
}

/* ---- choices ------------------------------------------------------------------------------ */

static int eval_case(struct expr_eval *e, const struct expr_node *node, instar_value *out)
{
    size_t first = node->op == EXPR_CASE_OF ? 1 : 0;
    instar_value of = null;
    instar_value when;
    size_t i = first;
    int rc = first == 1 ? eval(e, node->args[0], &of) : 0;
    *out = null;
    for (; rc == 0 && i + 1 < node->arg_count; i += 2) {
        rc = eval(e, node->args[i], &when);
        bool found = rc == 0 && !is_null(&when) &&
                     (first == 1 ? !is_null(&of) && compare(&of, &when) == 0 : when.b);
        if (found) {
            rc = eval(e, node->args[i + 1], out);
            break;
        }
    }
    if (rc == 0 && i + 1 == node->arg_count) { /* ELSE */
        rc = eval(e, node->args[i], out);
    }
    expr_widen(node->type, out);
    return rc;
}

static int eval_common(struct expr_eval *e, const struct expr_node *node, instar_value *out)
{
    instar_value v;
    *out = null;
    for (size_t i = 0; i < node->arg_count; i++) {
        int rc = eval(e, node->args[i], &v);
        if (rc != 0) {
            return rc;
        }
        expr_widen(node->type, &v);
        bool better = !is_null(&v) &&
                      (is_null(out) || node->op == EXPR_COALESCE ||
                       (node->op == EXPR_GREATEST ? compare(&v, out) > 0 : compare(&v, out) < 0));
        if (better) {
            *out = v;
        }
        if (better && node->op == EXPR_COALESCE) {
            break;
        }
    }
    return 0;
}

/* ---- operations of which a null makes a null ---------------------------------------------- */

static int apply_strict(struct expr_eval *e, const struct expr_node *node, const instar_value *args,
                        instar_value *out)
{
    bool matches;
    int rc;
    switch (node->op) {
    case EXPR_NOT:
        *out = truth(!args[0].b);
        return 0;
    case EXPR_ADD:
    case EXPR_SUB:
    case EXPR_MUL:
    case EXPR_DIV:
    case EXPR_MOD:
        return node->type == INSTAR_FLOAT8    ? arith_float(e, node->op, args, out)
               : node->type == INSTAR_NUMERIC ? arith_numeric(e, node->op, args, out)
                                              : arith_integer(e, node, args, out);
    case EXPR_NEG:
    case EXPR_ABS:
        return change_sign(e, node, &args[0], out);
    case EXPR_CONCAT:
        return expr_concat(e, args, out);
    case EXPR_LIKE:
    case EXPR_NOT_LIKE:
        rc = expr_like(e, args, &matches);
        *out = truth(matches == (node->op == EXPR_LIKE));
        return rc;
    case EXPR_LENGTH:
    case EXPR_CHAR_LENGTH:
    case EXPR_OCTET_LENGTH:
        return expr_length(e, &args[0],
                           node->op == EXPR_OCTET_LENGTH || args[0].type == INSTAR_BYTEA, out);
    case EXPR_LOWER:
    case EXPR_UPPER:
        return expr_fold(e, &args[0], node->op == EXPR_UPPER, out);
    case EXPR_SUBSTR:
        return expr_substr(e, args, node->arg_count, out);
    case EXPR_CAST:
        return expr_cast(e, &args[0], node->type, out);
    case EXPR_FIT:
        *out = args[0];
        return row_numeric_fit(out, INSTAR_DIGITS(args[1].i, args[2].i), e->err);
    default:
        *out = truth(holds(node->op, compare(&args[0], &args[1])));
        return 0;
    }
}

static int eval_strict(struct expr_eval *e, const struct expr_node *node, instar_value *out)
{
    instar_value args[3];
    bool any_null = false;
    base_assert(node->arg_count <= BASE_ARRAY_LEN(args));
    for (size_t i = 0; i < node->arg_count; i++) {
        int rc = eval(e, node->args[i], &args[i]);
        if (rc != 0) {
            return rc;
        }
        any_null = any_null || is_null(&args[i]);
    }
    *out = null;
    return any_null ? 0 : apply_strict(e, node, args, out);
}

/* Null if both are equal, else the first. And the comparisons for which null is a value. */
static int eval_pair(struct expr_eval *e, const struct expr_node *node, instar_value *out)
{
    instar_value a;
    instar_value b;
    int rc = eval(e, node->args[0], &a);
    rc = rc == 0 ? eval(e, node->args[1], &b) : rc;
    if (rc != 0) {
        return rc;
    }
    bool both = !is_null(&a) && !is_null(&b);
    if (node->op == EXPR_NULLIF) {
        *out = both && compare(&a, &b) == 0 ? null : a;
        return 0;
    }
    int order = both ? compare(&a, &b) : is_null(&a) != is_null(&b);
    *out = truth(holds(node->op, order));
    return 0;
}

/* ---- all ---------------------------------------------------------------------------------- */

static int eval(struct expr_eval *e, const struct expr_node *node, instar_value *out)
{
    int rc = expr_spend(e, 1);
    *out = null;
    if (rc != 0) {
        return rc;
    }
    switch (node->op) {
    case EXPR_CONST:
        *out = node->value;
        return 0;
    case EXPR_COLUMN:
        *out = e->inputs[node->slot];
        base_assert(is_null(out) || out->type == node->type);
        return 0;
    case EXPR_AND:
    case EXPR_OR:
        return eval_and_or(e, node, out);
    case EXPR_IS_NULL:
    case EXPR_IS_NOT_NULL:
    case EXPR_IS_TRUE:
    case EXPR_IS_NOT_TRUE:
    case EXPR_IS_FALSE:
    case EXPR_IS_NOT_FALSE:
        rc = eval(e, node->args[0], out);
        *out = truth(is_test(node->op, out));
        return rc;
    case EXPR_DISTINCT:
    case EXPR_NOT_DISTINCT:
    case EXPR_NULLIF:
        return eval_pair(e, node, out);
    case EXPR_BETWEEN:
    case EXPR_NOT_BETWEEN:
        return eval_between(e, node, out);
    case EXPR_IN:
    case EXPR_NOT_IN:
        return eval_in(e, node, out);
    case EXPR_CASE:
    case EXPR_CASE_OF:
        return eval_case(e, node, out);
    case EXPR_COALESCE:
    case EXPR_GREATEST:
    case EXPR_LEAST:
        return eval_common(e, node, out);
    default:
        return eval_strict(e, node, out);
    }
}

int row_expr_eval(const struct row_expr *expr, const instar_value *inputs, struct base_arena *arena,
                  instar_value *value_out, struct base_err *err)
{
    struct expr_eval e = {
        .inputs = inputs, .arena = arena, .steps = ROW_EXPR_STEPS_MAX, .err = err};
    int rc = eval(&e, expr->root, value_out);
    if (rc != 0) {
        *value_out = null;
    }
    return rc;
}
