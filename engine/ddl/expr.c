/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the tree of an expression to the text that the engine compiles. PostgreSQL's grammar has
 * decided what belongs to what: so every operator gets its parentheses, and names are quoted. What
 * the engine does not know is refused here by name and place; types are its own to judge, when the
 * table is at hand.
 */
#include "ddl/ddl_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct writer {
    instar_sql *sql;
    const struct ddl_piece *piece;
    char *text;
    size_t size, room;
    bool no_memory;
};

static int write_node(struct writer *w, struct ddl_node *node);

static void put(struct writer *w, const char *text, size_t size)
{
    if (w->size + size + 1 > w->room && !w->no_memory) {
        size_t room = (w->size + size + 64) * 2;
        char *more = ddl_alloc(&w->sql->arena, room);

        if (more == NULL) {
            w->no_memory = true;
            return;
        }
        if (w->size > 0) {
            memcpy(more, w->text, w->size);
        }
        w->text = more;
        w->room = room;
    }
    if (!w->no_memory) {
        memcpy(w->text + w->size, text, size);
        w->size += size;
    }
}

static void say(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

/* In quotes of this kind; those inside are doubled. */
static void quote(struct writer *w, const char *text, char mark)
{
    put(w, &mark, 1);
    for (const char *p = text; *p != '\0'; p++) {
        put(w, p, 1);
        put(w, p, *p == mark ? 1 : 0);
    }
    put(w, &mark, 1);
}

static int refuse(struct writer *w, const struct ddl_node *node, const char *what)
{
    return ddl_fail(w->sql, INSTAR_EINVALID, ddl_offset(w->piece, node),
                    "not supported: %s in an expression", what);
}

/* ---- leaves ------------------------------------------------------------------------------- */

static int write_number(struct writer *w, struct ddl_node *node)
{
    struct ddl_node *integer = ddl_take(node, "ival"), *number = ddl_take(node, "fval");
    struct ddl_node *digits = integer != NULL ? ddl_take(integer, "ival") : NULL;
    const char *text = number != NULL ? ddl_take_text(number, "fval") : NULL;
    char small[32];

    if (integer == NULL && text == NULL) {
        return refuse(w, node, "a constant of bits");
    }
    if (text == NULL) {
        (void)snprintf(small, sizeof(small), "%" PRId64, digits != NULL ? digits->integer : 0);
        text = small;
    }
    say(w, text[0] == '-' ? "(" : "");
    say(w, text);
    say(w, text[0] == '-' ? ")" : "");
    return INSTAR_OK;
}

static int write_constant(struct writer *w, struct ddl_node *node)
{
    struct ddl_node *boolean = ddl_take(node, "boolval"), *string = ddl_take(node, "sval");

    if (ddl_take_flag(node, "isnull")) {
        say(w, "NULL");
    } else if (boolean != NULL) {
        say(w, ddl_take_flag(boolean, "boolval") ? "TRUE" : "FALSE");
    } else if (string != NULL) {
        const char *text = ddl_take_text(string, "sval");

        quote(w, text != NULL ? text : "", '\'');
    } else {
        return write_number(w, node);
    }
    return INSTAR_OK;
}

static int write_column(struct writer *w, struct ddl_node *node)
{
    struct ddl_node *name = ddl_take(node, "fields");
    const char *text =
        name != NULL && ddl_node_is(name, "String") ? ddl_take_text(name, "sval") : NULL;

    if (text == NULL || ddl_count(node, "fields") != 1) {
        return refuse(w, node, text == NULL ? "*" : "a column with its table");
    }
    quote(w, text, '"');
    return INSTAR_OK;
}

/* ---- lists -------------------------------------------------------------------------------- */

/* All of a list, with this between them. */
static int write_list(struct writer *w, struct ddl_node *node, const char *field,
                      const char *between)
{
    int rc = INSTAR_OK;

    for (struct ddl_node *n = ddl_take(node, field), *first = n; rc == INSTAR_OK && n != NULL;
         n = ddl_take_next(n)) {
        say(w, n != first ? between : "");
        rc = write_node(w, n);
    }
    return rc;
}

static int write_call(struct writer *w, struct ddl_node *node, const char *name)
{
    int rc;

    say(w, name);
    say(w, "(");
    rc = write_list(w, node, "args", ", ");
    say(w, ")");
    return rc;
}

static bool is_function(const char *name)
{
    const char *known;

    for (size_t i = 0; (known = instar_expression_function(i)) != NULL; i++) {
        if (strcmp(known, name) == 0) {
            return true;
        }
    }
    return false;
}

static int write_function(struct writer *w, struct ddl_node *node)
{
    size_t count;
    const char *name = ddl_take_qualified(node, "funcname", &count);

    (void)ddl_take(node, "funcformat");
    if (count != 1 || name == NULL || !is_function(name)) {
        return ddl_fail(w->sql, INSTAR_EINVALID, ddl_offset(w->piece, node),
                        "not supported: the function %s", name != NULL ? name : "?");
    }
    return write_call(w, node, name);
}

static int write_bool(struct writer *w, struct ddl_node *node)
{
    int rc;

    say(w, "(");
    if (ddl_take_name(node, "boolop", "NOT_EXPR")) {
        say(w, "NOT ");
        rc = write_list(w, node, "args", " ");
    } else {
        rc = write_list(w, node, "args",
                        ddl_take_name(node, "boolop", "AND_EXPR") ? " AND " : " OR ");
        (void)ddl_take_name(node, "boolop", "OR_EXPR");
    }
    say(w, ")");
    return rc;
}

/* ---- operators ---------------------------------------------------------------------------- */

static const char *operator_name(struct ddl_node *node)
{
    struct ddl_node *name = ddl_take(node, "name");
    const char *text = name != NULL ? ddl_take_text(name, "sval") : NULL;

    return text != NULL && ddl_count(node, "name") == 1 ? text : "?";
}

static bool is_known_operator(const char *name, bool between)
{
    static const char *const known[] = {"+", "-",  "*", "/",  "%", "||",
                                        "=", "<>", "<", "<=", ">", ">="};
    size_t count = between ? sizeof(known) / sizeof(known[0]) : 2;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(known[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* (left WORDS right). */
static int write_between(struct writer *w, struct ddl_node *node, const char *words)
{
    struct ddl_node *left = ddl_take(node, "lexpr"), *right = ddl_take(node, "rexpr");
    int rc = INSTAR_OK;

    say(w, "(");
    if (left != NULL) {
        rc = write_node(w, left);
        say(w, " ");
    }
    say(w, words);
    say(w, " ");
    if (rc == INSTAR_OK && right != NULL) {
        rc = write_node(w, right);
    }
    say(w, ")");
    return rc;
}

/* The right side is a list: of two for BETWEEN, of any length for IN. */
static int write_range(struct writer *w, struct ddl_node *node, const char *words,
                       const char *between)
{
    struct ddl_node *left = ddl_take(node, "lexpr"), *right = ddl_take(node, "rexpr");
    bool in = between[0] == ',';
    int rc;

    if (left == NULL || right == NULL || !ddl_node_is(right, "List")) {
        return refuse(w, node, words);
    }
    say(w, "(");
    rc = write_node(w, left);
    say(w, words);
    say(w, in ? "(" : "");
    rc = rc == INSTAR_OK ? write_list(w, right, "items", between) : rc;
    say(w, in ? "))" : ")");
    return rc;
}

static int write_operator(struct writer *w, struct ddl_node *node)
{
    const char *name = operator_name(node);

    if (ddl_take_name(node, "kind", "AEXPR_OP")) {
        bool between = ddl_count(node, "lexpr") > 0;

        if (!is_known_operator(name, between)) {
            return ddl_fail(w->sql, INSTAR_EINVALID, ddl_offset(w->piece, node),
                            "not supported: the operator %s", name);
        }
        return write_between(w, node, name);
    }
    if (ddl_take_name(node, "kind", "AEXPR_DISTINCT")) {
        return write_between(w, node, "IS DISTINCT FROM");
    }
    if (ddl_take_name(node, "kind", "AEXPR_NOT_DISTINCT")) {
        return write_between(w, node, "IS NOT DISTINCT FROM");
    }
    if (ddl_take_name(node, "kind", "AEXPR_LIKE")) {
        return write_between(w, node, name[0] == '!' ? "NOT LIKE" : "LIKE");
    }
    if (ddl_take_name(node, "kind", "AEXPR_IN")) {
        return write_range(w, node, strcmp(name, "=") == 0 ? " IN " : " NOT IN ", ", ");
    }
    if (ddl_take_name(node, "kind", "AEXPR_BETWEEN")) {
        return write_range(w, node, " BETWEEN ", " AND ");
    }
    if (ddl_take_name(node, "kind", "AEXPR_NOT_BETWEEN")) {
        return write_range(w, node, " NOT BETWEEN ", " AND ");
    }
    if (ddl_take_name(node, "kind", "AEXPR_NULLIF")) {
        struct ddl_node *left = ddl_take(node, "lexpr"), *right = ddl_take(node, "rexpr");
        int rc;

        say(w, "nullif(");
        rc = left != NULL ? write_node(w, left) : INSTAR_OK;
        say(w, ", ");
        rc = rc == INSTAR_OK && right != NULL ? write_node(w, right) : rc;
        say(w, ")");
        return rc;
    }
    struct ddl_node *kind = ddl_take(node, "kind");
    const char *what = kind != NULL && kind->text != NULL ? kind->text : "?";

    return refuse(w, node,
                  strcmp(what, "AEXPR_ILIKE") == 0     ? "ILIKE"
                  : strcmp(what, "AEXPR_SIMILAR") == 0 ? "SIMILAR TO"
                  : strncmp(what, "AEXPR_OP_", 9) == 0 ? "ANY or ALL"
                                                       : "SYMMETRIC");
}

/* IS NULL and its like: the value of an enum gives the words. */
static int write_test(struct writer *w, struct ddl_node *node, const char *field)
{
    static const char *const tests[][2] = {
        {"IS_NULL", " IS NULL)"},       {"IS_NOT_NULL", " IS NOT NULL)"},
        {"IS_TRUE", " IS TRUE)"},       {"IS_NOT_TRUE", " IS NOT TRUE)"},
        {"IS_FALSE", " IS FALSE)"},     {"IS_NOT_FALSE", " IS NOT FALSE)"},
        {"IS_UNKNOWN", " IS UNKNOWN)"}, {"IS_NOT_UNKNOWN", " IS NOT UNKNOWN)"},
    };
    struct ddl_node *arg = ddl_take(node, "arg");
    int rc = INSTAR_OK;

    say(w, "(");
    if (arg != NULL) {
        rc = write_node(w, arg);
    }
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (ddl_take_name(node, field, tests[i][0])) {
            say(w, tests[i][1]);
        }
    }
    return rc;
}

static int write_case(struct writer *w, struct ddl_node *node)
{
    struct ddl_node *arg = ddl_take(node, "arg"), *otherwise = ddl_take(node, "defresult");
    int rc = INSTAR_OK;

    say(w, "CASE ");
    if (arg != NULL) {
        rc = write_node(w, arg);
    }
    for (struct ddl_node *n = ddl_take(node, "args"); rc == INSTAR_OK && n != NULL;
         n = ddl_take_next(n)) {
        struct ddl_node *when = ddl_take(n, "expr"), *then = ddl_take(n, "result");

        say(w, " WHEN ");
        rc = when != NULL ? write_node(w, when) : INSTAR_OK;
        say(w, " THEN ");
        rc = rc == INSTAR_OK && then != NULL ? write_node(w, then) : rc;
    }
    if (rc == INSTAR_OK && otherwise != NULL) {
        say(w, " ELSE ");
        rc = write_node(w, otherwise);
    }
    say(w, " END");
    return rc;
}

static int write_cast(struct writer *w, struct ddl_node *node)
{
    struct ddl_node *arg = ddl_take(node, "arg"), *name = ddl_take(node, "type_name");
    enum instar_type type = INSTAR_NULL;
    uint32_t digits = 0;
    char words[48];
    int rc = name != NULL ? ddl_cast_type(w->sql, w->piece, name, &type, &digits) : INSTAR_OK;

    say(w, "CAST(");
    rc = rc == INSTAR_OK && arg != NULL ? write_node(w, arg) : rc;
    say(w, " AS ");
    (void)instar_type_format(type, digits, words, sizeof(words));
    say(w, rc == INSTAR_OK && name != NULL ? words : "?");
    say(w, ")");
    return rc;
}

/* ---- all ---------------------------------------------------------------------------------- */

static int write_other(struct writer *w, struct ddl_node *node)
{
    static const char *const words[][2] = {
        {"SubLink", "a subquery"},
        {"CollateClause", "COLLATE"},
        {"RowExpr", "a row"},
        {"A_ArrayExpr", "an array"},
        {"A_Indirection", "a subscript"},
        {"ParamRef", "a parameter"},
        {"SQLValueFunction", "what differs from moment to moment"},
    };
    const char *what = node->kind;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        what = ddl_node_is(node, words[i][0]) ? words[i][1] : what;
    }
    return refuse(w, node, what != NULL ? what : "this");
}

static int write_node(struct writer *w, struct ddl_node *node)
{
    if (ddl_node_is(node, "A_Const")) {
        return write_constant(w, node);
    }
    if (ddl_node_is(node, "ColumnRef")) {
        return write_column(w, node);
    }
    if (ddl_node_is(node, "A_Expr")) {
        return write_operator(w, node);
    }
    if (ddl_node_is(node, "BoolExpr")) {
        return write_bool(w, node);
    }
    if (ddl_node_is(node, "NullTest")) {
        return write_test(w, node, "nulltesttype");
    }
    if (ddl_node_is(node, "BooleanTest")) {
        return write_test(w, node, "booltesttype");
    }
    if (ddl_node_is(node, "CaseExpr")) {
        return write_case(w, node);
    }
    if (ddl_node_is(node, "TypeCast")) {
        return write_cast(w, node);
    }
    if (ddl_node_is(node, "CoalesceExpr")) {
        return write_call(w, node, "coalesce");
    }
    if (ddl_node_is(node, "MinMaxExpr")) {
        bool greatest = ddl_take_name(node, "op", "IS_GREATEST");

        (void)ddl_take_name(node, "op", "IS_LEAST");
        return write_call(w, node, greatest ? "greatest" : "least");
    }
    return ddl_node_is(node, "FuncCall") ? write_function(w, node) : write_other(w, node);
}

int ddl_expression(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                   const char **text_out)
{
    struct writer w = {.sql = sql, .piece = piece};
    int rc = node != NULL ? write_node(&w, node) : INSTAR_OK;

    put(&w, "", 1);
    if (rc == INSTAR_OK && w.no_memory) {
        rc = ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
    }
    *text_out = w.text;
    return rc == INSTAR_OK && node != NULL ? ddl_refuse_untaken(sql, piece, node) : rc;
}

/* CHECK (…) [NOT VALID], behind a column or in a list. */
int ddl_check(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *constraint,
              struct ddl_checks *checks)
{
    instar_check_def *more = ddl_alloc(&sql->arena, (checks->count + 1) * sizeof(*more));
    instar_check_def check = {.name = ddl_take_text(constraint, "conname")};
    int rc;

    if (more == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
    }
    check.not_valid = ddl_take_flag(constraint, "skip_validation");
    (void)ddl_take_flag(constraint, "initially_valid");
    rc = ddl_expression(sql, piece, ddl_take(constraint, "raw_expr"), &check.expression);
    if (checks->count > 0) {
        memcpy(more, checks->list, checks->count * sizeof(*more));
    }
    more[checks->count] = check;
    checks->list = more;
    checks->count++;
    return rc;
}
