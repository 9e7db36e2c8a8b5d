/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions that are no more than bounds of single columns, as most checks are: then who reads
 * very many rows looks at these columns, and evaluates the expression only where one is outside.
 */
#include "row/expr_impl.h"

struct bounds {
    struct row_bound *list;
    size_t count, max;
};

static bool add(struct bounds *b, const struct row_bound *bound)
{
    if (b->count == b->max) {
        return false;
    }
    b->list[b->count++] = *bound;
    return true;
}

/* A column beside a constant, both with their values in .i. */
static bool are_ordered(const struct expr_node *column, const struct expr_node *constant)
{
    return column->op == EXPR_COLUMN && constant->op == EXPR_CONST &&
           row_type_is_integer(column->type) && row_type_is_integer(constant->value.type);
}

/* The operation that says the same with its operands changed over. */
static unsigned mirror(unsigned op)
{
    switch (op) {
    case EXPR_LT:
        return EXPR_GT;
    case EXPR_LE:
        return EXPR_GE;
    case EXPR_GT:
        return EXPR_LT;
    case EXPR_GE:
        return EXPR_LE;
    default:
        return op;
    }
}

static bool add_order(struct bounds *b, const struct expr_node *node)
{
    const struct expr_node *column = node->args[0];
    const struct expr_node *constant = node->args[1];
    unsigned op = node->op;
    if (column->op == EXPR_CONST) {
        column = node->args[1];
        constant = node->args[0];
        op = mirror(op);
    }
    if (!are_ordered(column, constant)) {
        return false;
    }
    int64_t i = constant->value.i;
    struct row_bound bound = {column->slot, true, INT64_MIN, INT64_MAX};
    if ((op == EXPR_LT && i == INT64_MIN) || (op == EXPR_GT && i == INT64_MAX)) {
        return false; /* no value is so */
    }
    if (op != EXPR_LT && op != EXPR_LE) {
        bound.low = op == EXPR_GT ? i + 1 : i;
    }
    if (op != EXPR_GT && op != EXPR_GE) {
        bound.high = op == EXPR_LT ? i - 1 : i;
    }
    return add(b, &bound);
}

static bool add_between(struct bounds *b, struct expr_node *const *args)
{
    return are_ordered(args[0], args[1]) && are_ordered(args[0], args[2]) &&
           add(b, &(struct row_bound){args[0]->slot, true, args[1]->value.i, args[2]->value.i});
}

static bool add_all(struct bounds *b, const struct expr_node *node)
{
    bool whole = true;
    switch (node->op) {
    case EXPR_AND:
        for (size_t i = 0; whole && i < node->arg_count; i++) {
            whole = add_all(b, node->args[i]);
        }
        return whole;
    case EXPR_EQ:
    case EXPR_LT:
    case EXPR_LE:
    case EXPR_GT:
    case EXPR_GE:
        return add_order(b, node);
    case EXPR_BETWEEN:
        return add_between(b, node->args);
    case EXPR_IS_NOT_NULL:
        return node->args[0]->op == EXPR_COLUMN &&
               add(b, &(struct row_bound){.position = node->args[0]->slot});
    default:
        return false;
    }
}

bool row_expr_bounds(const struct row_expr *expr, struct row_bound *bounds_out, size_t max,
                     size_t *count_out)
{
    struct bounds b = {.list = bounds_out, .max = max};
    bool whole = add_all(&b, expr->root);
    *count_out = b.count;
    return whole;
}
