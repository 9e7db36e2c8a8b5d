/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr: what the files of expressions share.
 *
 * expr.c         nodes, what each operation takes and gives, bytes
 * expr_lex.c     words of a text
 * expr_parse.c   from a text to nodes
 * expr_type.c    types of constants that stand beside others
 * expr_eval.c    from nodes and a row to a value; expr_text.c: what is done to texts and casts
 * expr_bounds.c  what bounds of single columns say the same
 * expr_print.c   from nodes back to a text
 */
#ifndef INSTAR_ROW_EXPR_IMPL_H
#define INSTAR_ROW_EXPR_IMPL_H

#include "row/row_impl.h"

#define EXPR_NODES_MAX ROW_EXPR_NODES_MAX

enum expr_op {
#define X(name, number, rule, min, max, syntax, words) EXPR_##name = (number),
#include "row/expr.def"
#undef X
    EXPR_OP_COUNT
};

/* While a text is read: types that constants have until something beside them gives them one. */
#define EXPR_UNKNOWN 32 /* 'x' and NULL */
/* 1.5, and whole numbers beyond int8: a numeric, but a float8 beside one, which has room for 1e300;
 * its digits are in the value's bytes */
#define EXPR_DECIMAL 33

struct expr_node {
    uint8_t op;
    uint8_t type; /* enum instar_type, of what it gives */
    uint8_t depth;
    uint16_t arg_count;
    uint32_t slot; /* of a column: position in the expression's columns */
    struct expr_node **args;
    instar_value value; /* of a constant */
};

struct row_expr {
    const struct expr_node *root;
    uint32_t node_count;
    uint32_t column_count;
    struct row_expr_column *columns; /* in the order in which they occur */
};

/* A text or bytes on their way to nodes. */
struct expr_build {
    struct base_arena *arena;
    struct base_err *err;
    struct row_expr *expr;
};

static inline bool expr_is_integer(unsigned type)
{
    return type >= INSTAR_INT2 && type <= INSTAR_INT8;
}
static inline bool expr_is_number(unsigned type)
{
    return (type >= INSTAR_INT2 && type <= INSTAR_FLOAT8) || type == INSTAR_NUMERIC;
}
/* The types of numbers in the order of their width: two become the wider one. */
static inline unsigned expr_width(unsigned type)
{
    return type == INSTAR_NUMERIC  ? INSTAR_FLOAT8
           : type == INSTAR_FLOAT8 ? INSTAR_FLOAT8 + 1
                                   : type;
}
static inline unsigned expr_wider(unsigned a, unsigned b)
{
    return expr_width(a) < expr_width(b) ? b : a;
}

/* ---- expr.c ------------------------------------------------------------------------------- */

/* "substr", "AND", …; "" for those without. */
const char *expr_op_syntax(unsigned op);
unsigned expr_op_of_function(const char *name, size_t size); /* 0: there is none */
/* Does it have so many operands? ETYPE with words. */
int expr_check_count(unsigned op, size_t count, struct base_err *err);
/* A node whose operands have their types already. *type is that of a CAST; else it is found. ETYPE,
 * ELIMIT, ENOMEM. */
struct expr_node *expr_make(struct expr_build *b, unsigned op, unsigned type,
                            struct expr_node **args, size_t count);
struct expr_node *expr_leaf(struct expr_build *b, unsigned op, unsigned type);
/* The type that all can be brought to, and the position of the first that cannot (or count). */
unsigned expr_common_type(struct expr_node *const *args, size_t count, size_t *bad_out);
/* Digits that a FIT has; false: they are none. */
bool expr_fit_digits(struct expr_node *const *args, uint32_t *digits_out);
/* The slot of a column, which is a new one where it was not used before. False: no memory. */
bool expr_slot(struct expr_build *b, uint32_t id, enum instar_type type, uint32_t *slot_out);
bool expr_cast_exists(unsigned from, unsigned to);

/* ---- expr_type.c -------------------------------------------------------------------------- */

/* As expr_make, for operands whose types may still be open; steals args. NULL: failed. */
struct expr_node *expr_apply(struct expr_build *b, unsigned op, struct expr_node **args,
                             size_t count);
/* A cast as it is written: one of a constant is done at once. */
struct expr_node *expr_apply_cast(struct expr_build *b, struct expr_node *arg, unsigned type);
/* A numeric as a column of these digits would hold it. */
struct expr_node *expr_apply_fit(struct expr_build *b, struct expr_node *arg, uint32_t digits);
/* Give an open constant this type. */
int expr_settle(struct expr_build *b, struct expr_node *node, unsigned type);
const char *expr_type_words(unsigned type);

/* ---- expr_lex.c --------------------------------------------------------------------------- */

enum expr_token_kind { EXPR_END, EXPR_WORD, EXPR_QUOTED, EXPR_STRING, EXPR_NUMBER, EXPR_SIGN };
struct expr_token {
    enum expr_token_kind kind;
    size_t at;        /* where it begins */
    const char *text; /* without quotes and escapes, words in small letters */
    size_t size;
    bool decimal;
};
struct expr_lexer {
    const char *text;
    size_t size, next;
    struct base_arena *arena;
    struct base_err *err;
};
int expr_next(struct expr_lexer *lexer, struct expr_token *token_out);
/* Does a plain word of this name mean something else than a column? */
bool expr_is_reserved(const char *word, size_t size);

/* ---- expr_text.c -------------------------------------------------------------------------- */

struct expr_eval {
    const instar_value *inputs;
    struct base_arena *arena;
    uint64_t steps; /* that are left */
    struct base_err *err;
};
/* Take steps off: ELIMIT when there are none left. */
int expr_spend(struct expr_eval *e, uint64_t steps);
/* Values of operands that are not null. */
int expr_concat(struct expr_eval *e, const instar_value args[2], instar_value *out);
int expr_like(struct expr_eval *e, const instar_value args[2], bool *out);
int expr_fold(struct expr_eval *e, const instar_value *arg, bool upper, instar_value *out);
int expr_length(struct expr_eval *e, const instar_value *arg, bool bytes, instar_value *out);
int expr_substr(struct expr_eval *e, const instar_value *args, size_t count, instar_value *out);
int expr_cast(struct expr_eval *e, const instar_value *arg, unsigned type, instar_value *out);
int expr_integer(unsigned type, int64_t i, instar_value *out, struct base_err *err);
/* A number of a type as one of a wider type. */
void expr_widen(unsigned type, instar_value *v);

#endif
