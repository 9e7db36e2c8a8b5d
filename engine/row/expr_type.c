/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants whose type is open: 'x' and NULL take the type of what stands beside them, as in
 * PostgreSQL. A number with a point is a numeric. Beside a float8 it becomes one, and does so here
 * and now: so 1e300, which has too many digits for a numeric, may stand there. A constant that is a
 * numeric already does the same, so that it need not be made a float8 for each row.
 */
#include "row/expr_impl.h"

#include <stdio.h>

static bool is_open(const struct expr_node *node)
{
    return node->type == EXPR_UNKNOWN || node->type == EXPR_DECIMAL;
}

const char *expr_type_words(unsigned type)
{
    return type == EXPR_UNKNOWN   ? "a constant without type"
           : type == EXPR_DECIMAL ? "a number with a point"
                                  : row_type_name((enum instar_type)type);
}

/* The value of 'x' as a constant of that type. */
static int read_constant(struct expr_build *b, const instar_value *text, unsigned type,
                         instar_value *out)
{
    struct expr_eval e = {.arena = b->arena, .steps = ROW_EXPR_STEPS_MAX, .err = b->err};
    size_t size = text->bytes.size;
    int rc;
    if (expr_cast_exists(INSTAR_TEXT, type)) {
        rc = expr_cast(&e, text, type, out);
    } else {
        char *scratch = base_arena_alloc(b->arena, size + 1);
        rc = scratch == NULL
                 ? base_err_set(b->err, INSTAR_ENOMEM, "no memory")
                 : row_value_parse((enum instar_type)type, base_slice(text->bytes.data, size),
                                   scratch, size, out, b->err);
    }
    if (rc != 0) {
        base_err_prefix(b->err, "'%.*s' as %s", size < 60 ? (int)size : 60,
                        (const char *)text->bytes.data, row_type_name((enum instar_type)type));
    }
    return rc;
}

int expr_settle(struct expr_build *b, struct expr_node *node, unsigned type)
{
    instar_value value = {.type = INSTAR_NULL};
    instar_value text = node->value;
    int rc = 0;
    if (node->op == EXPR_CONST && node->type == INSTAR_NUMERIC && type == INSTAR_FLOAT8) {
        expr_widen(type, &node->value);
        node->type = INSTAR_FLOAT8;
    }
    if (!is_open(node)) {
        return 0;
    }
    if (node->type == EXPR_DECIMAL && type != INSTAR_FLOAT8) {
        type = INSTAR_NUMERIC; /* if that does not fit, it is said later */
    }
    if (text.type != INSTAR_NULL) {
        rc = read_constant(b, &text, type, &value);
    }
    if (rc == 0) {
        node->type = (uint8_t)type;
        node->value = value;
    }
    return rc;
}

/* What an open constant is beside one of that type. */
static unsigned type_beside(const struct expr_node *open, unsigned type)
{
    bool widens = open->type == EXPR_DECIMAL && (expr_is_number(type) || type == EXPR_UNKNOWN);
    return widens && type != INSTAR_FLOAT8 ? INSTAR_NUMERIC : type;
}

/* Give all of them the type of those that have one; text when there is none. */
static int unify(struct expr_build *b, struct expr_node **args, size_t count)
{
    struct expr_node *known[EXPR_NODES_MAX];
    unsigned type = EXPR_UNKNOWN;
    size_t known_count = 0;
    size_t bad;
    int rc = 0;
    for (size_t i = 0; i < count && known_count < EXPR_NODES_MAX; i++) {
        if (!is_open(args[i])) {
            known[known_count++] = args[i];
        }
    }
    if (known_count != 0) {
        type = expr_common_type(known, known_count, &bad);
    }
    for (size_t i = 0; i < count; i++) {
        type = is_open(args[i]) ? type_beside(args[i], type) : type;
    }
    type = type == EXPR_UNKNOWN ? INSTAR_TEXT : type;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = expr_settle(b, args[i], type);
    }
    return rc;
}

static int settle_all(struct expr_build *b, struct expr_node **args, size_t count, unsigned type)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = expr_settle(b, args[i], type);
    }
    return rc;
}

/* Every second operand, and the last where it is an ELSE. */
static int unify_case(struct expr_build *b, unsigned op, struct expr_node **args, size_t count)
{
    struct expr_node *some[EXPR_NODES_MAX];
    size_t first = op == EXPR_CASE_OF ? 1 : 0;
    size_t n = 0;
    int rc = 0;
    if (op == EXPR_CASE_OF) {
        some[n++] = args[0];
    }
    for (size_t i = first; i + 1 < count && n < EXPR_NODES_MAX; i += 2) {
        some[n++] = args[i];
    }
    rc = op == EXPR_CASE ? settle_all(b, some, n, INSTAR_BOOL) : unify(b, some, n);
    n = 0;
    for (size_t i = first; i < count && n < EXPR_NODES_MAX; i++) {
        bool is_value = (i - first) % 2 == 1 || i + 1 == count;
        some[n] = args[i];
        n += is_value ? 1 : 0;
    }
    return rc == 0 ? unify(b, some, n) : rc;
}

static int settle_arith(struct expr_build *b, struct expr_node **args)
{
    bool any = args[0]->type == EXPR_DECIMAL || args[1]->type == EXPR_DECIMAL;
    if (any || (expr_is_number(args[0]->type) && expr_is_number(args[1]->type)) ||
        is_open(args[0]) != is_open(args[1])) {
        unsigned beside = is_open(args[0]) ? args[1]->type : args[0]->type;
        return any || expr_is_number(beside) ? unify(b, args, 2) : 0;
    }
    return 0; /* expr_make says what does not fit */
}

static int settle_bytes(struct expr_build *b, struct expr_node **args, size_t count)
{
    unsigned type = INSTAR_TEXT;
    for (size_t i = 0; i < count; i++) {
        type = args[i]->type == INSTAR_BYTEA ? INSTAR_BYTEA : type;
    }
    return settle_all(b, args, count, type);
}

static int settle_operands(struct expr_build *b, unsigned op, struct expr_node **args, size_t count)
{
    int rc;
    switch (op) {
    case EXPR_AND:
    case EXPR_OR:
    case EXPR_NOT:
    case EXPR_IS_TRUE:
    case EXPR_IS_NOT_TRUE:
    case EXPR_IS_FALSE:
    case EXPR_IS_NOT_FALSE:
        return settle_all(b, args, count, INSTAR_BOOL);
    case EXPR_ADD:
    case EXPR_SUB:
    case EXPR_MUL:
    case EXPR_DIV:
    case EXPR_MOD:
        return settle_arith(b, args);
    case EXPR_NEG:
    case EXPR_ABS:
        return args[0]->type == EXPR_DECIMAL ? expr_settle(b, args[0], INSTAR_NUMERIC) : 0;
    case EXPR_FIT:
        return 0;
    case EXPR_CONCAT:
        return settle_bytes(b, args, count);
    case EXPR_CASE:
    case EXPR_CASE_OF:
        return unify_case(b, op, args, count);
    case EXPR_IS_NULL:
    case EXPR_IS_NOT_NULL:
    case EXPR_LIKE:
    case EXPR_NOT_LIKE:
    case EXPR_LENGTH:
    case EXPR_CHAR_LENGTH:
    case EXPR_OCTET_LENGTH:
    case EXPR_LOWER:
    case EXPR_UPPER:
        return settle_all(b, args, count, INSTAR_TEXT);
    case EXPR_SUBSTR:
        rc = expr_settle(b, args[0], INSTAR_TEXT);
        return rc == 0 ? settle_all(b, args + 1, count - 1, INSTAR_INT4) : rc;
    default:
        return unify(b, args, count);
    }
}

/* What has no type by now has none for anybody. */
static int refuse_open(struct expr_build *b, struct expr_node *const *args, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (is_open(args[i])) {
            rc = base_err_set(b->err, INSTAR_ETYPE, "%s needs a cast here: CAST(… AS type)",
                              expr_type_words(args[i]->type));
        }
    }
    return rc;
}

struct expr_node *expr_apply(struct expr_build *b, unsigned op, struct expr_node **args,
                             size_t count)
{
    if (expr_check_count(op, count, b->err) != 0 || settle_operands(b, op, args, count) != 0 ||
        refuse_open(b, args, count) != 0) {
        return NULL;
    }
    return expr_make(b, op, 0, args, count);
}

struct expr_node *expr_apply_cast(struct expr_build *b, struct expr_node *arg, unsigned type)
{
    struct expr_eval e = {.arena = b->arena, .steps = ROW_EXPR_STEPS_MAX, .err = b->err};
    instar_value value = {.type = INSTAR_NULL};
    if (is_open(arg) && expr_settle(b, arg, type) != 0) {
        return NULL;
    }
    if (arg->type == type) {
        return arg;
    }
    if (arg->op != EXPR_CONST || !expr_cast_exists(arg->type, type)) {
        return expr_make(b, EXPR_CAST, type, &arg, 1);
    }
    if (arg->value.type != INSTAR_NULL && expr_cast(&e, &arg->value, type, &value) != 0) {
        return NULL;
    }
    arg->type = (uint8_t)type;
    arg->value = value;
    return arg;
}

static struct expr_node *whole_constant(struct expr_build *b, uint32_t i)
{
    struct expr_node *node = expr_leaf(b, EXPR_CONST, INSTAR_INT4);
    if (node != NULL) {
        node->value = (instar_value){.type = INSTAR_INT4, .i = i};
    }
    return node;
}

struct expr_node *expr_apply_fit(struct expr_build *b, struct expr_node *arg, uint32_t digits)
{
    if (arg->op == EXPR_CONST) {
        return row_numeric_fit(&arg->value, digits, b->err) == 0 ? arg : NULL;
    }
    struct expr_node *args[3] = {arg, whole_constant(b, INSTAR_DIGITS_PRECISION(digits)),
                                 whole_constant(b, INSTAR_DIGITS_SCALE(digits))};
    return args[1] != NULL && args[2] != NULL ? expr_make(b, EXPR_FIT, 0, args, 3) : NULL;
}
