/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the text of an expression to its tree. The operators bind as in PostgreSQL; from loose to
 * tight:
 *
 *   1 OR   2 AND   3 NOT   4 IS   5 < > = <= >= <>   6 BETWEEN IN LIKE   7 ||   8 + -   9 * / %
 *   10 the sign -   11 ::
 *
 * Those of 5 and 6 do not stand beside each other without parentheses. A list of ANDs (or ORs) is
 * one node, so that a long one is not deep.
 */
#include "row/expr_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define TOP 12
#define LEVEL_NOT 3
#define LEVEL_IS 4
#define LEVEL_COMPARE 5
#define LEVEL_LIST 6
#define LEVEL_SIGN 10
#define LEVEL_CAST 11
/* A level of the tree is at most two here: what stands in parentheses, and an operator's right. */
#define CALLS_MAX (2 * ROW_EXPR_DEPTH_MAX + 4)

struct parser {
    struct expr_build b;
    struct expr_lexer lexer;
    struct expr_token token; /* the next one */
    const struct row_expr_scope *scope;
    size_t at; /* of what is being worked on, for errors */
    unsigned calls;
};

/* Operands in growing number. */
struct operands {
    struct expr_node **list;
    size_t count, room;
};

static struct expr_node *parse(struct parser *p, int level);

/* ---- words -------------------------------------------------------------------------------- */

static bool next(struct parser *p)
{
    int rc = expr_next(&p->lexer, &p->token);
    if (rc != 0) {
        p->at = p->token.at;
    }
    return rc == 0;
}

static bool is_text(const struct expr_token *t, enum expr_token_kind kind, const char *text)
{
    return t->kind == kind && strlen(text) == t->size && memcmp(t->text, text, t->size) == 0;
}

static bool is_word(const struct parser *p, const char *word)
{
    return is_text(&p->token, EXPR_WORD, word);
}

static bool is_sign(const struct parser *p, const char *sign)
{
    return is_text(&p->token, EXPR_SIGN, sign);
}

/* Go behind it where it is there. An error of the lexer shows at the next look. */
static bool skip_word(struct parser *p, const char *word)
{
    return is_word(p, word) && next(p);
}

static struct expr_node *unexpected(struct parser *p)
{
    const struct expr_token *t = &p->token;
    if (p->b.err->code != 0) {
        return NULL; /* the lexer said more, and there is no token */
    }
    size_t size = t->size < 40 ? t->size : 40;
    while (size < t->size && size > 0 && ((unsigned char)t->text[size] & 0xc0) == 0x80) {
        size--;
    }
    p->at = t->at;
    if (t->kind == EXPR_END) {
        base_err_set(p->b.err, INSTAR_EINVALID, "it ends too early");
    } else {
        base_err_set(p->b.err, INSTAR_EINVALID, "syntax error at \"%.*s\"", (int)size, t->text);
    }
    return NULL;
}

static bool need_word(struct parser *p, const char *word)
{
    return skip_word(p, word) || unexpected(p) != NULL;
}

static bool need_sign(struct parser *p, const char *sign)
{
    return (is_sign(p, sign) && next(p)) || unexpected(p) != NULL;
}

static bool push(struct parser *p, struct operands *o, struct expr_node *node)
{
    if (node == NULL) {
        return false;
    }
    if (o->count == EXPR_NODES_MAX) {
        base_err_set(p->b.err, INSTAR_ELIMIT, "an expression has at most %d parts", EXPR_NODES_MAX);
        return false;
    }
    if (o->count == o->room) {
        size_t room = o->room == 0 ? 4 : o->room * 2;
        struct expr_node **list = base_arena_alloc(p->b.arena, room * sizeof(struct expr_node *));
        if (list == NULL) {
            base_err_set(p->b.err, INSTAR_ENOMEM, "an expression: no memory");
            return false;
        }
        if (o->count != 0) {
            memcpy(list, o->list, o->count * sizeof(struct expr_node *));
        }
        o->list = list;
        o->room = room;
    }
    o->list[o->count++] = node;
    return true;
}

static struct expr_node *apply(struct parser *p, size_t at, unsigned op, struct operands *o)
{
    struct expr_node *node = expr_apply(&p->b, op, o->list, o->count);
    if (node == NULL) {
        p->at = at;
    }
    return node;
}

/* ---- constants ---------------------------------------------------------------------------- */

/* Whole numbers are int4, or int8 where that has no room; what has a point, or no room there
 * either, is open. */
static bool set_number(struct parser *p, struct expr_node *node, const char *text, size_t size,
                       bool decimal)
{
    int64_t i;
    bool whole = !decimal && row_integer_parse(INSTAR_INT8, text, size, &i, NULL) == 0;
    node->slot = 1; /* as it was written: a sign before it is part of it */
    if (whole) {
        node->type = row_integer_in_range(INSTAR_INT4, i) ? INSTAR_INT4 : INSTAR_INT8;
        node->value = (instar_value){.type = node->type, .i = i};
        return true;
    }
    char *copy = base_arena_copy(p->b.arena, text, size);
    node->type = EXPR_DECIMAL;
    node->value = (instar_value){.type = INSTAR_TEXT, .bytes = {copy, size}};
    if (copy == NULL) {
        base_err_set(p->b.err, INSTAR_ENOMEM, "an expression: no memory");
    }
    return copy != NULL;
}

static struct expr_node *literal(struct parser *p)
{
    struct expr_token t = p->token;
    struct expr_node *node = expr_leaf(&p->b, EXPR_CONST, EXPR_UNKNOWN);
    if (node == NULL) {
        return NULL;
    }
    if (t.kind == EXPR_NUMBER) {
        if (!set_number(p, node, t.text, t.size, t.decimal)) {
            return NULL;
        }
    } else if (t.kind == EXPR_STRING) {
        node->value = (instar_value){.type = INSTAR_TEXT, .bytes = {t.text, t.size}};
    } else if (is_word(p, "true") || is_word(p, "false")) {
        node->type = INSTAR_BOOL;
        node->value = (instar_value){.type = INSTAR_BOOL, .b = is_word(p, "true")};
    }
    return next(p) ? node : NULL;
}

static struct expr_node *negate(struct parser *p, size_t at, struct expr_node *node)
{
    char text[64];
    struct operands o = {0};
    if (node != NULL && node->op == EXPR_CONST && node->slot == 1) {
        const char *digits = text + 1;
        size_t size = sizeof(text) - 1;
        if (node->type == EXPR_DECIMAL) {
            digits = node->value.bytes.data;
            size = node->value.bytes.size;
        } else {
            size = (size_t)snprintf(text + 1, size, "%" PRId64, node->value.i);
        }
        char *both = base_arena_alloc(p->b.arena, size + 1);
        if (both == NULL) {
            base_err_set(p->b.err, INSTAR_ENOMEM, "an expression: no memory");
            return NULL;
        }
        both[0] = '-';
        memcpy(both + 1, digits, size);
        bool minus = both[1] == '-'; /* two make none */
        return set_number(p, node, both + (minus ? 2 : 0), size + 1 - (minus ? 2 : 0),
                          memchr(digits, '.', size) != NULL || memchr(digits, 'e', size) != NULL ||
                              memchr(digits, 'E', size) != NULL)
                   ? node
                   : NULL;
    }
    return push(p, &o, node) ? apply(p, at, EXPR_NEG, &o) : NULL;
}

/* ---- what stands alone -------------------------------------------------------------------- */

static struct expr_node *name_column(struct parser *p)
{
    struct row_expr_column column;
    uint32_t slot;
    const struct row_expr_scope *s = p->scope;
    p->at = p->token.at;
    if (s->find == NULL || !s->find(s->arg, p->token.text, &column, p->b.err)) {
        if (p->b.err->code == 0) {
            base_err_set(p->b.err, INSTAR_EUNKNOWN, "no column \"%.*s\"",
                         p->token.size < 64 ? (int)p->token.size : 63, p->token.text);
        }
        return NULL;
    }
    if (!expr_slot(&p->b, column.id, column.type, &slot)) {
        base_err_set(p->b.err, INSTAR_ENOMEM, "an expression: no memory");
        return NULL;
    }
    struct expr_node *node = expr_leaf(&p->b, EXPR_COLUMN, column.type);
    if (node == NULL || !next(p)) {
        return NULL;
    }
    node->slot = slot;
    return node;
}

static bool operand_list(struct parser *p, struct operands *o)
{
    if (!is_sign(p, ")")) {
        do {
            if (!push(p, o, parse(p, 1))) {
                return false;
            }
        } while (is_sign(p, ",") && next(p));
    }
    return need_sign(p, ")");
}

static struct expr_node *call(struct parser *p, const struct expr_token *name)
{
    struct operands o = {0};
    unsigned op = expr_op_of_function(name->text, name->size);
    if (op == 0) {
        p->at = name->at;
        base_err_set(p->b.err, INSTAR_EUNKNOWN, "there is no function %.*s",
                     name->size < 64 ? (int)name->size : 63, name->text);
        return NULL;
    }
    return next(p) && operand_list(p, &o) ? apply(p, name->at, op, &o) : NULL;
}

/* "int4", "double precision": all the words that are there. */
static bool type_name(struct parser *p, unsigned *type_out)
{
    char name[64] = "";
    size_t used = 0;
    p->at = p->token.at;
    while (p->token.kind == EXPR_WORD && used + p->token.size + 2 < sizeof(name) &&
           (used == 0 || !expr_is_reserved(p->token.text, p->token.size))) {
        int n =
            snprintf(name + used, sizeof(name) - used, "%s%s", used > 0 ? " " : "", p->token.text);
        used += (size_t)n;
        if (!next(p)) {
            return false;
        }
        if (row_type_from_name(name) != INSTAR_NULL && !is_word(p, "precision")) {
            break;
        }
    }
    *type_out = row_type_from_name(name);
    if (*type_out == INSTAR_NULL) {
        base_err_set(p->b.err, INSTAR_ETYPE, "there is no type %s", name);
    }
    return *type_out != INSTAR_NULL;
}

/* A whole number, and the sign behind it. */
static bool digit_count(struct parser *p, const char *sign, uint32_t *count_out)
{
    int64_t i = 0;
    if (p->token.kind != EXPR_NUMBER || p->token.decimal ||
        row_integer_parse(INSTAR_INT4, p->token.text, p->token.size, &i, NULL) != 0 ||
        i > INSTAR_DIGITS_MAX) {
        p->at = p->token.at;
        base_err_set(p->b.err, INSTAR_EINVALID, "the digits of a numeric are at most %d",
                     INSTAR_DIGITS_MAX);
        return false;
    }
    *count_out = (uint32_t)i;
    return next(p) && (sign == NULL || need_sign(p, sign));
}

/* (p,s) or (p) behind numeric. *digits_out: 0 where there is none. */
static bool type_digits(struct parser *p, uint32_t *digits_out)
{
    uint32_t precision;
    uint32_t scale = 0;
    size_t at = p->token.at;
    *digits_out = 0;
    if (!is_sign(p, "(")) {
        return true;
    }
    if (!next(p) || !digit_count(p, NULL, &precision)) {
        return false;
    }
    if (is_sign(p, ",") ? !next(p) || !digit_count(p, ")", &scale) : !need_sign(p, ")")) {
        return false;
    }
    if (precision == 0 || scale > precision) {
        p->at = at;
        base_err_set(p->b.err, INSTAR_EINVALID,
                     "numeric(p,s): p from 1 to %d digits, s of them behind the point",
                     INSTAR_DIGITS_MAX);
        return false;
    }
    *digits_out = INSTAR_DIGITS(precision, scale);
    return true;
}

static struct expr_node *cast_to_name(struct parser *p, struct expr_node *node)
{
    unsigned type;
    uint32_t digits = 0;
    size_t at = p->token.at;
    if (!type_name(p, &type) || (type == INSTAR_NUMERIC && !type_digits(p, &digits))) {
        return NULL;
    }
    node = expr_apply_cast(&p->b, node, type);
    if (node != NULL && digits != 0) {
        node = expr_apply_fit(&p->b, node, digits);
    }
    if (node == NULL) {
        p->at = at;
    } else {
        node->slot = node->op == EXPR_CONST ? 0 : node->slot;
    }
    return node;
}

static struct expr_node *cast(struct parser *p)
{
    if (!next(p) || !need_sign(p, "(")) {
        return NULL;
    }
    struct expr_node *node = parse(p, 1);
    if (node == NULL || !need_word(p, "as")) {
        return NULL;
    }
    node = cast_to_name(p, node);
    return node != NULL && need_sign(p, ")") ? node : NULL;
}

static struct expr_node *case_when(struct parser *p)
{
    struct operands o = {0};
    size_t at = p->token.at;
    unsigned op = EXPR_CASE;
    if (!next(p)) {
        return NULL;
    }
    if (!is_word(p, "when")) {
        op = EXPR_CASE_OF;
        if (!push(p, &o, parse(p, 1))) {
            return NULL;
        }
    }
    if (!is_word(p, "when")) {
        return unexpected(p);
    }
    while (skip_word(p, "when")) {
        if (!push(p, &o, parse(p, 1)) || !need_word(p, "then") || !push(p, &o, parse(p, 1))) {
            return NULL;
        }
    }
    if (skip_word(p, "else") && !push(p, &o, parse(p, 1))) {
        return NULL;
    }
    return need_word(p, "end") ? apply(p, at, op, &o) : NULL;
}

static struct expr_node *sign_or_not(struct parser *p)
{
    struct operands o = {0};
    size_t at = p->token.at;
    bool is_not = is_word(p, "not");
    bool minus = is_sign(p, "-");
    struct expr_node *node = next(p) ? parse(p, is_not ? LEVEL_NOT : LEVEL_SIGN) : NULL;
    if (is_not) {
        return push(p, &o, node) ? apply(p, at, EXPR_NOT, &o) : NULL;
    }
    return minus ? negate(p, at, node) : node;
}

static struct expr_node *word(struct parser *p)
{
    struct expr_token name = p->token;
    struct expr_lexer ahead = p->lexer;
    struct expr_token behind;
    if (is_word(p, "case")) {
        return case_when(p);
    }
    if (is_word(p, "cast")) {
        return cast(p);
    }
    if (is_word(p, "true") || is_word(p, "false") || is_word(p, "null")) {
        return literal(p);
    }
    if (expr_is_reserved(name.text, name.size)) {
        return unexpected(p);
    }
    ahead.err = NULL;
    if (expr_next(&ahead, &behind) == 0 && is_text(&behind, EXPR_SIGN, "(")) {
        return next(p) ? call(p, &name) : NULL;
    }
    return name_column(p);
}

static struct expr_node *primary(struct parser *p)
{
    if (is_sign(p, "-") || is_sign(p, "+") || is_word(p, "not")) {
        return sign_or_not(p);
    }
    switch (p->token.kind) {
    case EXPR_NUMBER:
    case EXPR_STRING:
        return literal(p);
    case EXPR_QUOTED:
        return name_column(p);
    case EXPR_WORD:
        return word(p);
    default:
        break;
    }
    if (!is_sign(p, "(")) {
        return unexpected(p);
    }
    struct expr_node *node = next(p) ? parse(p, 1) : NULL;
    return node != NULL && need_sign(p, ")") ? node : NULL;
}

/* ---- what stands between ------------------------------------------------------------------ */

static const struct infix {
    const char *text;
    int level;
    unsigned op;
} infixes[] = {{"or", 1, EXPR_OR}, {"and", 2, EXPR_AND},   {"is", LEVEL_IS, 0},
               {"<", 5, EXPR_LT},  {"<=", 5, EXPR_LE},     {"=", 5, EXPR_EQ},
               {">", 5, EXPR_GT},  {">=", 5, EXPR_GE},     {"<>", 5, EXPR_NE},
               {"!=", 5, EXPR_NE}, {"not", LEVEL_LIST, 0}, {"between", LEVEL_LIST, EXPR_BETWEEN},
               {"in", 6, EXPR_IN}, {"like", 6, EXPR_LIKE}, {"||", 7, EXPR_CONCAT},
               {"+", 8, EXPR_ADD}, {"-", 8, EXPR_SUB},     {"*", 9, EXPR_MUL},
               {"/", 9, EXPR_DIV}, {"%", 9, EXPR_MOD},     {"::", LEVEL_CAST, EXPR_CAST}};

static const struct infix *infix_of(const struct parser *p)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(infixes); i++) {
        if (is_word(p, infixes[i].text) || is_sign(p, infixes[i].text)) {
            return &infixes[i];
        }
    }
    return NULL;
}

/* IS [NOT] NULL, TRUE, FALSE, UNKNOWN, DISTINCT FROM. */
static struct expr_node *is_what(struct parser *p, size_t at, struct operands *o)
{
    static const struct {
        const char *word;
        unsigned is, is_not;
    } tests[] = {{"null", EXPR_IS_NULL, EXPR_IS_NOT_NULL},
                 {"true", EXPR_IS_TRUE, EXPR_IS_NOT_TRUE},
                 {"false", EXPR_IS_FALSE, EXPR_IS_NOT_FALSE}};
    bool negated = skip_word(p, "not");
    for (size_t i = 0; i < BASE_ARRAY_LEN(tests); i++) {
        if (skip_word(p, tests[i].word)) {
            return apply(p, at, negated ? tests[i].is_not : tests[i].is, o);
        }
    }
    if (skip_word(p, "unknown")) { /* the null of a truth value */
        if (expr_settle(&p->b, o->list[0], INSTAR_BOOL) != 0) {
            return NULL;
        }
        if (o->list[0]->type != INSTAR_BOOL) {
            p->at = at;
            base_err_set(p->b.err, INSTAR_ETYPE, "IS UNKNOWN does not take %s",
                         expr_type_words(o->list[0]->type));
            return NULL;
        }
        return apply(p, at, negated ? EXPR_IS_NOT_NULL : EXPR_IS_NULL, o);
    }
    if (!need_word(p, "distinct") || !need_word(p, "from") ||
        !push(p, o, parse(p, LEVEL_COMPARE))) {
        return NULL;
    }
    return apply(p, at, negated ? EXPR_NOT_DISTINCT : EXPR_DISTINCT, o);
}

static struct expr_node *between_in_like(struct parser *p, size_t at, bool negated,
                                         struct operands *o)
{
    if (skip_word(p, "between")) {
        bool ok = push(p, o, parse(p, LEVEL_LIST + 1)) && need_word(p, "and") &&
                  push(p, o, parse(p, LEVEL_LIST + 1));
        return ok ? apply(p, at, negated ? EXPR_NOT_BETWEEN : EXPR_BETWEEN, o) : NULL;
    }
    if (skip_word(p, "in")) {
        bool ok = need_sign(p, "(") && operand_list(p, o);
        return ok ? apply(p, at, negated ? EXPR_NOT_IN : EXPR_IN, o) : NULL;
    }
    if (skip_word(p, "like")) {
        bool ok = push(p, o, parse(p, LEVEL_LIST + 1));
        return ok ? apply(p, at, negated ? EXPR_NOT_LIKE : EXPR_LIKE, o) : NULL;
    }
    return unexpected(p);
}

static struct expr_node *chain(struct parser *p, size_t at, const struct infix *infix,
                               struct operands *o)
{
    while (skip_word(p, infix->text)) {
        if (!push(p, o, parse(p, infix->level + 1))) {
            return NULL;
        }
    }
    return p->b.err->code == 0 ? apply(p, at, infix->op, o) : NULL;
}

static struct expr_node *behind(struct parser *p, const struct infix *infix, struct expr_node *left)
{
    struct operands o = {0};
    size_t at = p->token.at;
    if (!push(p, &o, left)) {
        return NULL;
    }
    if (infix->op == EXPR_AND || infix->op == EXPR_OR) {
        return chain(p, at, infix, &o);
    }
    if (infix->level == LEVEL_LIST && infix->op != 0) {
        return between_in_like(p, at, false, &o);
    }
    if (!next(p)) {
        return NULL;
    }
    if (infix->level == LEVEL_IS) {
        return is_what(p, at, &o);
    }
    if (infix->level == LEVEL_LIST) { /* NOT */
        return between_in_like(p, at, true, &o);
    }
    if (infix->level == LEVEL_CAST) {
        return cast_to_name(p, left);
    }
    return push(p, &o, parse(p, infix->level + 1)) ? apply(p, at, infix->op, &o) : NULL;
}

static struct expr_node *parse(struct parser *p, int level)
{
    int limit = TOP;
    if (p->calls >= CALLS_MAX) {
        base_err_set(p->b.err, INSTAR_ELIMIT, "an expression is at most %d deep",
                     ROW_EXPR_DEPTH_MAX);
        p->at = p->token.at;
        return NULL;
    }
    p->calls++;
    struct expr_node *node = primary(p);
    const struct infix *infix = infix_of(p);
    while (node != NULL && infix != NULL && infix->level >= level && infix->level <= limit) {
        bool alone = infix->level == LEVEL_COMPARE || infix->level == LEVEL_LIST;
        limit = alone ? infix->level - 1 : infix->level;
        node = behind(p, infix, node);
        infix = infix_of(p);
    }
    p->calls--;
    return node;
}

/* ---- all ---------------------------------------------------------------------------------- */

static struct expr_node *finish(struct parser *p, struct expr_node *root)
{
    enum instar_type wanted = p->scope->wanted;
    if (root == NULL || p->token.kind != EXPR_END) {
        return root == NULL ? NULL : unexpected(p);
    }
    p->at = 0;
    if (expr_settle(&p->b, root, wanted != INSTAR_NULL ? wanted : INSTAR_TEXT) != 0) {
        return NULL;
    }
    if (wanted == INSTAR_NULL || root->type == (uint8_t)wanted) {
        return root;
    }
    if (expr_is_number(root->type) && expr_is_number(wanted)) {
        return expr_apply_cast(&p->b, root, wanted);
    }
    base_err_set(p->b.err, INSTAR_ETYPE, "it gives %s, where %s is needed",
                 row_type_name((enum instar_type)root->type), row_type_name(wanted));
    return NULL;
}

int row_expr_compile(struct base_slice text, const struct row_expr_scope *scope,
                     struct base_arena *arena, struct row_expr **expr_out, size_t *at_out,
                     struct base_err *err)
{
    struct base_err own = {0};
    struct row_expr *expr = base_arena_alloc(arena, sizeof(*expr));
    struct base_buf bytes = {0};
    *expr_out = NULL;
    if (at_out != NULL) {
        *at_out = 0;
    }
    if (expr == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "an expression: no memory");
    }
    *expr = (struct row_expr){0};
    if (text.size > ROW_EXPR_TEXT_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "an expression of %zu bytes, at most %zu",
                            text.size, ROW_EXPR_TEXT_MAX);
    }
    struct parser p = {.b = {.arena = arena, .err = &own, .expr = expr},
                       .lexer = {.text = text.data, .size = text.size, .arena = arena, .err = &own},
                       .scope = scope};
    expr->root = next(&p) ? finish(&p, parse(&p, 1)) : NULL;
    if (expr->root != NULL && !row_expr_encode(expr, &bytes)) {
        base_err_set(&own, INSTAR_ENOMEM, "an expression: no memory");
    } else if (expr->root != NULL && bytes.size > ROW_EXPR_BYTES_MAX) {
        base_err_set(&own, INSTAR_ELIMIT, "an expression of %zu bytes when compiled, at most %zu",
                     bytes.size, ROW_EXPR_BYTES_MAX);
    }
    base_buf_free(&bytes);
    if (own.code != 0) {
        if (at_out != NULL) {
            *at_out = p.at;
        }
        return base_err_set(err, own.code, "%s", own.text);
    }
    *expr_out = expr;
    return 0;
}
