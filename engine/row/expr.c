/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions: trees of typed nodes. What an operation takes and gives is decided here alone, for a
 * text that is compiled and for bytes that are read: so evaluation meets no operand of another
 * type.
 *
 *   u8 format (1) | node
 *   node:  u8 operation, then
 *     constant   u8 type | value, or null
 *     column     v id | u8 type
 *     cast       u8 type | node
 *     else       v count of operands, where it may differ | that many nodes
 *
 * v is a varint, values are as in row_value_put.
 */
#include "row/expr_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define FORMAT 1

enum rule {
    NO_RULE,
    LEAF,
    BOOLS,
    ANY,
    COMPARE,
    ARITH,
    NUMBER,
    BYTES,
    TEXTS,
    CASE,
    CASE_OF,
    CAST,
    FIT,
    COMMON,
    NULLIF,
    LENGTH,
    CHARS,
    TEXT,
    SUBSTR
};

static const struct {
    enum rule rule;
    uint32_t min, max;
    const char *syntax;
} ops[EXPR_OP_COUNT] = {
#define X(name, number, rule, min, max, syntax, words) [EXPR_##name] = {rule, min, max, syntax},
#include "row/expr.def"
#undef X
};

static bool is_op(unsigned op)
{
    return op < EXPR_OP_COUNT && ops[op].rule != NO_RULE;
}

const char *expr_op_syntax(unsigned op)
{
    base_assert(is_op(op));
    return ops[op].syntax;
}

/* Other names that PostgreSQL has for the same. */
static const struct {
    const char *name;
    unsigned op;
} synonyms[] = {{"character_length", EXPR_CHAR_LENGTH}, {"substring", EXPR_SUBSTR}};

unsigned expr_op_of_function(const char *name, size_t size)
{
    for (unsigned op = 0; op < EXPR_OP_COUNT; op++) {
        const char *syntax = ops[op].rule != NO_RULE ? ops[op].syntax : "";
        if (syntax[0] == 'f' && strlen(syntax + 1) == size && memcmp(syntax + 1, name, size) == 0) {
            return op;
        }
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(synonyms); i++) {
        if (strlen(synonyms[i].name) == size && memcmp(synonyms[i].name, name, size) == 0) {
            return synonyms[i].op;
        }
    }
    return 0;
}

const char *row_expr_function(size_t at)
{
    for (unsigned op = 0; op < EXPR_OP_COUNT; op++) {
        if (ops[op].rule != NO_RULE && ops[op].syntax[0] == 'f' && at-- == 0) {
            return ops[op].syntax + 1;
        }
    }
    return at < BASE_ARRAY_LEN(synonyms) ? synonyms[at].name : NULL;
}

/* ---- types -------------------------------------------------------------------------------- */

static bool is_comparable(unsigned a, unsigned b)
{
    return a == b || (expr_is_number(a) && expr_is_number(b));
}

unsigned expr_common_type(struct expr_node *const *args, size_t count, size_t *bad_out)
{
    unsigned type = args[0]->type;
    *bad_out = count;
    for (size_t i = 1; i < count && *bad_out == count; i++) {
        if (!is_comparable(type, args[i]->type)) {
            *bad_out = i;
        } else {
            type = expr_wider(type, args[i]->type);
        }
    }
    return type;
}
_Static_assert(INSTAR_INT2 < INSTAR_INT4 && INSTAR_INT4 < INSTAR_INT8 &&
                   INSTAR_INT8 < INSTAR_FLOAT8,
               "expr_width: a greater number is a wider type, and numeric comes before float8");

bool expr_cast_exists(unsigned from, unsigned to)
{
    bool from_plain = from == INSTAR_BOOL || expr_is_number(from) || from == INSTAR_UUID;
    bool to_plain = to == INSTAR_BOOL || expr_is_number(to) || to == INSTAR_UUID;
    return from == to || (expr_is_number(from) && expr_is_number(to)) ||
           (from == INSTAR_INT4 && to == INSTAR_BOOL) ||
           (from == INSTAR_BOOL && to == INSTAR_INT4) || (from_plain && to == INSTAR_TEXT) ||
           (from == INSTAR_TEXT && to_plain);
}

static bool all_are(struct expr_node *const *args, size_t count, unsigned type)
{
    size_t n = 0;
    while (n < count && args[n]->type == type) {
        n++;
    }
    return n == count;
}

static unsigned common_or_none(struct expr_node *const *args, size_t count)
{
    size_t bad;
    unsigned type = expr_common_type(args, count, &bad);
    return bad == count ? type : 0;
}

static unsigned arith_type(unsigned op, unsigned a, unsigned b)
{
    bool a_days = a == INSTAR_INT2 || a == INSTAR_INT4;
    bool b_days = b == INSTAR_INT2 || b == INSTAR_INT4;
    if (expr_is_number(a) && expr_is_number(b)) {
        unsigned type = expr_wider(a, b);
        return op == EXPR_MOD && type == INSTAR_FLOAT8 ? 0 : type;
    }
    if (a == INSTAR_DATE && b_days && (op == EXPR_ADD || op == EXPR_SUB)) {
        return INSTAR_DATE;
    }
    if (a_days && b == INSTAR_DATE && op == EXPR_ADD) {
        return INSTAR_DATE;
    }
    return a == INSTAR_DATE && b == INSTAR_DATE && op == EXPR_SUB ? INSTAR_INT4 : 0;
}

/* CASE: pairs of a condition (or a value to be compared with `of`) and a value, and an ELSE when
 * one is left over. */
static unsigned case_type(const struct expr_node *of, struct expr_node *const *args, size_t count)
{
    unsigned type = args[1]->type;
    for (size_t i = 0; i < count; i++) {
        bool condition = i % 2 == 0 && i + 1 < count;
        if (condition &&
            (of != NULL ? !is_comparable(of->type, args[i]->type) : args[i]->type != INSTAR_BOOL)) {
            return 0;
        }
        if (!condition && !is_comparable(type, args[i]->type)) {
            return 0;
        }
        type = !condition ? expr_wider(type, args[i]->type) : type;
    }
    return type;
}

static unsigned substr_type(struct expr_node *const *args, size_t count)
{
    unsigned type = args[0]->type;
    bool ok = type == INSTAR_TEXT || type == INSTAR_BYTEA;
    for (size_t i = 1; i < count; i++) {
        ok = ok && (args[i]->type == INSTAR_INT2 || args[i]->type == INSTAR_INT4);
    }
    return ok ? type : 0;
}

bool expr_fit_digits(struct expr_node *const *args, uint32_t *digits_out)
{
    const struct expr_node *p = args[1];
    const struct expr_node *s = args[2];
    *digits_out = 0;
    if (p->op != EXPR_CONST || s->op != EXPR_CONST || p->value.type != INSTAR_INT4 ||
        s->value.type != INSTAR_INT4 || p->value.i < 1 || p->value.i > INSTAR_DIGITS_MAX ||
        s->value.i < 0 || s->value.i > p->value.i) {
        return false;
    }
    *digits_out = INSTAR_DIGITS(p->value.i, s->value.i);
    return true;
}

/* What the operation gives for operands of these types; 0: it does not take them. */
static unsigned result_type(unsigned op, unsigned given, struct expr_node *const *args,
                            size_t count)
{
    unsigned first = args[0]->type;
    bool is_bytes = first == INSTAR_TEXT || first == INSTAR_BYTEA;
    uint32_t digits;
    switch (ops[op].rule) {
    case BOOLS:
        return all_are(args, count, INSTAR_BOOL) ? INSTAR_BOOL : 0;
    case ANY:
        return INSTAR_BOOL;
    case COMPARE:
        return common_or_none(args, count) != 0 ? INSTAR_BOOL : 0;
    case ARITH:
        return arith_type(op, first, args[1]->type);
    case NUMBER:
        return expr_is_number(first) ? first : 0;
    case BYTES:
        return is_bytes && all_are(args, count, first) ? first : 0;
    case TEXTS:
        return all_are(args, count, INSTAR_TEXT) ? INSTAR_BOOL : 0;
    case CASE:
        return case_type(NULL, args, count);
    case CASE_OF:
        return case_type(args[0], args + 1, count - 1);
    case CAST:
        return row_type_is_column(given) && expr_cast_exists(first, given) ? given : 0;
    case FIT:
        return first == INSTAR_NUMERIC && expr_fit_digits(args, &digits) ? INSTAR_NUMERIC : 0;
    case COMMON:
        return common_or_none(args, count);
    case NULLIF:
        return common_or_none(args, count) != 0 ? first : 0;
    case LENGTH:
        return is_bytes ? INSTAR_INT4 : 0;
    case CHARS:
        return first == INSTAR_TEXT ? INSTAR_INT4 : 0;
    case TEXT:
        return first == INSTAR_TEXT ? INSTAR_TEXT : 0;
    case SUBSTR:
        return substr_type(args, count);
    case NO_RULE:
    case LEAF:
        break;
    }
    return 0;
}

/* ---- nodes -------------------------------------------------------------------------------- */

static void *no_memory(struct expr_build *b)
{
    base_err_set(b->err, INSTAR_ENOMEM, "an expression: no memory");
    return NULL;
}

static int wrong_types(unsigned op, unsigned given, struct expr_node *const *args, size_t count,
                       struct base_err *err)
{
    static const char *const others[EXPR_OP_COUNT] = {
        [EXPR_NOT] = "NOT",   [EXPR_NEG] = "-",         [EXPR_BETWEEN] = "BETWEEN",
        [EXPR_IN] = "IN",     [EXPR_NOT_IN] = "NOT IN", [EXPR_NOT_BETWEEN] = "NOT BETWEEN",
        [EXPR_CASE] = "CASE", [EXPR_CASE_OF] = "CASE",  [EXPR_FIT] = "numeric(p,s)"};
    char types[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && i < 4; i++) {
        int n = snprintf(types + used, sizeof(types) - used, "%s%s", i > 0 ? ", " : "",
                         expr_type_words(args[i]->type));
        used += (size_t)n;
    }
    if (op == EXPR_CAST) {
        const char *to = row_type_name((enum instar_type)given);
        return base_err_set(err, INSTAR_ETYPE, "there is no cast of %s to %s", types,
                            to != NULL ? to : "that");
    }
    const char *name = others[op] != NULL ? others[op] : ops[op].syntax + 1;
    return base_err_set(err, INSTAR_ETYPE, "%s does not take %s%s", name, types,
                        count > 4 ? ", …" : "");
}

int expr_check_count(unsigned op, size_t count, struct base_err *err)
{
    bool ok = count >= ops[op].min && count <= ops[op].max;
    return ok ? 0
              : base_err_set(err, INSTAR_ETYPE, "%s does not take %zu operands",
                             ops[op].syntax[0] == 'f' ? ops[op].syntax + 1 : "it", count);
}

struct expr_node *expr_leaf(struct expr_build *b, unsigned op, unsigned type)
{
    if (b->expr->node_count >= EXPR_NODES_MAX) {
        base_err_set(b->err, INSTAR_ELIMIT, "an expression has at most %d parts", EXPR_NODES_MAX);
        return NULL;
    }
    struct expr_node *node = base_arena_alloc(b->arena, sizeof(*node));
    if (node == NULL) {
        return no_memory(b);
    }
    b->expr->node_count++;
    *node = (struct expr_node){.op = (uint8_t)op, .type = (uint8_t)type, .depth = 1};
    return node;
}

struct expr_node *expr_make(struct expr_build *b, unsigned op, unsigned type,
                            struct expr_node **args, size_t count)
{
    uint8_t deepest = 0;
    if (expr_check_count(op, count, b->err) != 0) {
        return NULL;
    }
    unsigned result = result_type(op, type, args, count);
    if (result == 0) {
        wrong_types(op, type, args, count, b->err);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        deepest = args[i]->depth > deepest ? args[i]->depth : deepest;
    }
    if (deepest >= ROW_EXPR_DEPTH_MAX) {
        base_err_set(b->err, INSTAR_ELIMIT, "an expression is at most %d deep", ROW_EXPR_DEPTH_MAX);
        return NULL;
    }
    struct expr_node *node = expr_leaf(b, op, result);
    if (node == NULL) {
        return NULL;
    }
    node->args = base_arena_copy(b->arena, args, count * sizeof(*args));
    if (node->args == NULL) {
        return no_memory(b);
    }
    node->arg_count = (uint16_t)count;
    node->depth = (uint8_t)(deepest + 1);
    return node;
}

bool expr_slot(struct expr_build *b, uint32_t id, enum instar_type type, uint32_t *slot_out)
{
    struct row_expr *e = b->expr;
    *slot_out = 0;
    while (*slot_out < e->column_count && e->columns[*slot_out].id != id) {
        (*slot_out)++;
    }
    if (*slot_out < e->column_count) {
        return true;
    }
    struct row_expr_column *columns =
        base_arena_alloc(b->arena, (e->column_count + 1) * sizeof(*columns));
    if (columns == NULL) {
        return false;
    }
    if (e->column_count != 0) {
        memcpy(columns, e->columns, e->column_count * sizeof(*columns));
    }
    columns[e->column_count++] = (struct row_expr_column){id, type};
    e->columns = columns;
    return true;
}

enum instar_type row_expr_type(const struct row_expr *expr)
{
    return (enum instar_type)expr->root->type;
}

static bool is_same_node(const struct row_expr *in_a, const struct expr_node *a,
                         const struct row_expr *in_b, const struct expr_node *b)
{
    bool same = a->op == b->op && a->type == b->type && a->arg_count == b->arg_count;
    if (same && a->op == EXPR_CONST) {
        return row_value_same(&a->value, &b->value);
    }
    if (same && a->op == EXPR_COLUMN) {
        return in_a->columns[a->slot].id == in_b->columns[b->slot].id;
    }
    for (size_t i = 0; same && i < a->arg_count; i++) {
        same = is_same_node(in_a, a->args[i], in_b, b->args[i]);
    }
    return same;
}

bool row_expr_same(const struct row_expr *a, const struct row_expr *b)
{
    return is_same_node(a, a->root, b, b->root);
}

bool row_expr_is_column(const struct row_expr *expr)
{
    return expr->root->op == EXPR_COLUMN;
}

size_t row_expr_columns(const struct row_expr *expr, const struct row_expr_column **columns_out)
{
    *columns_out = expr->columns;
    return expr->column_count;
}

/* ---- bytes -------------------------------------------------------------------------------- */

static bool put_node(const struct row_expr *expr, const struct expr_node *node,
                     struct base_buf *out)
{
    bool ok = base_buf_add_u8(out, node->op);
    if (node->op == EXPR_CONST) {
        return ok && base_buf_add_u8(out, node->type) && row_value_put(out, &node->value);
    }
    if (node->op == EXPR_COLUMN) {
        return ok && base_buf_add_varint(out, expr->columns[node->slot].id) &&
               base_buf_add_u8(out, node->type);
    }
    if (node->op == EXPR_CAST) {
        ok = ok && base_buf_add_u8(out, node->type);
    } else if (ops[node->op].min != ops[node->op].max) {
        ok = ok && base_buf_add_varint(out, node->arg_count);
    }
    for (size_t i = 0; ok && i < node->arg_count; i++) {
        ok = put_node(expr, node->args[i], out);
    }
    return ok;
}

bool row_expr_encode(const struct row_expr *expr, struct base_buf *out)
{
    return base_buf_add_u8(out, FORMAT) && put_node(expr, expr->root, out);
}

static struct expr_node *bad(struct base_reader *r)
{
    r->bad = true;
    return NULL;
}

static struct expr_node *get_const(struct expr_build *b, struct base_reader *r)
{
    instar_value value;
    uint8_t type = base_read_u8(r);
    if (r->bad || row_value_get(r, &value, NULL) != 0 || !row_type_is_column(type) ||
        (value.type != INSTAR_NULL && value.type != type)) {
        return bad(r);
    }
    struct expr_node *node = expr_leaf(b, EXPR_CONST, type);
    if (node != NULL && !row_value_copy(b->arena, &value, &node->value)) {
        return no_memory(b);
    }
    return node;
}

static struct expr_node *get_column(struct expr_build *b, struct base_reader *r)
{
    uint64_t id = base_read_varint(r);
    uint8_t type = base_read_u8(r);
    uint32_t slot;
    if (r->bad || id == 0 || id > UINT32_MAX || !row_type_is_column(type)) {
        return bad(r);
    }
    if (!expr_slot(b, (uint32_t)id, (enum instar_type)type, &slot)) {
        return no_memory(b);
    }
    if (b->expr->columns[slot].type != (enum instar_type)type) {
        return bad(r);
    }
    struct expr_node *node = expr_leaf(b, EXPR_COLUMN, type);
    if (node != NULL) {
        node->slot = slot;
    }
    return node;
}

static struct expr_node *get_node(struct expr_build *b, struct base_reader *r, unsigned above)
{
    uint8_t op = base_read_u8(r);
    if (r->bad || above >= ROW_EXPR_DEPTH_MAX || !is_op(op)) {
        return bad(r);
    }
    if (op == EXPR_CONST || op == EXPR_COLUMN) {
        return op == EXPR_CONST ? get_const(b, r) : get_column(b, r);
    }
    uint8_t type = op == EXPR_CAST ? base_read_u8(r) : 0;
    uint64_t count = ops[op].min == ops[op].max ? ops[op].min : base_read_varint(r);
    if (r->bad || count < ops[op].min || count > ops[op].max || count > base_reader_left(r)) {
        return bad(r);
    }
    struct expr_node **args =
        base_arena_alloc(b->arena, (size_t)count * sizeof(struct expr_node *));
    if (args == NULL) {
        return no_memory(b);
    }
    for (size_t i = 0; i < count; i++) {
        args[i] = get_node(b, r, above + 1);
        if (args[i] == NULL) {
            return NULL;
        }
    }
    return expr_make(b, op, type, args, (size_t)count);
}

int row_expr_decode(struct base_slice bytes, struct base_arena *arena, struct row_expr **expr_out,
                    struct base_err *err)
{
    struct base_reader r = base_reader(bytes);
    struct base_err own = {0};
    *expr_out = NULL;
    struct row_expr *expr = base_arena_alloc(arena, sizeof(*expr));
    if (expr == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "an expression: no memory");
    }
    *expr = (struct row_expr){0};
    struct expr_build b = {.arena = arena, .err = &own, .expr = expr};
    if (bytes.size > ROW_EXPR_BYTES_MAX || base_read_u8(&r) != FORMAT) {
        return base_err_set(err, INSTAR_ECORRUPT, "an expression of %zu bytes: no known format",
                            bytes.size);
    }
    expr->root = get_node(&b, &r, 0);
    if (own.code == INSTAR_ENOMEM) {
        return base_err_set(err, INSTAR_ENOMEM, "an expression: no memory");
    }
    if (expr->root == NULL || base_reader_left(&r) != 0) {
        return base_err_set(
            err, INSTAR_ECORRUPT, "an expression of %zu bytes: wrong near byte %zu%s%s", bytes.size,
            bytes.size - (size_t)(r.end - r.at), own.code != 0 ? ": " : "", own.text);
    }
    *expr_out = expr;
    return 0;
}
