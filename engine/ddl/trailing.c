/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WITH (name = value, …) at the end of statements for which PostgreSQL's grammar has none there:
 *
 *     DROP TABLE, DROP INDEX, ALTER TABLE, ALTER INDEX, VACUUM, UNDO CHANGE
 *
 * It is taken off the end of the piece before the grammar gets it. An ALTER TABLE may end with a
 * WITH of the grammar's own, of a constraint; so it is only taken when its first word is an option
 * of a change.
 */
#include "ddl/ddl_impl.h"

#include <stdlib.h>
#include <string.h>

static const struct ddl_number *find_number(const struct ddl_token *token)
{
    return ddl_change_number(token->at, token->size);
}

static bool is_option(const struct ddl_token *token)
{
    return token->kind == DDL_WORD &&
           (find_number(token) != NULL || ddl_change_flag(token->at, token->size) != 0);
}

/* ---- finding it --------------------------------------------------------------------------- */

static bool may_have_one(struct ddl_lexer lexer)
{
    struct ddl_token first, second;

    if (!ddl_next(&lexer, &first) || !ddl_next(&lexer, &second)) {
        return false;
    }
    bool object = ddl_is(&second, "TABLE") || ddl_is(&second, "INDEX");

    return ddl_is(&first, "VACUUM") || ddl_is(&first, "UNDO") ||
           (object && (ddl_is(&first, "DROP") || ddl_is(&first, "ALTER")));
}

/* Where the options begin, behind the parenthesis, and where the statement ends in front of WITH.
 * NULL: there are none. */
static const char *find_with(struct ddl_lexer lexer, const char **end_out)
{
    struct ddl_token token, open, name;
    const char *inside = NULL, *before = lexer.at;
    int depth = 0;

    while (ddl_next(&lexer, &token)) {
        struct ddl_lexer ahead = lexer;

        /* Only its own parenthesis may follow it. */
        if (depth == 0 && (inside == NULL || token.at + token.size != inside)) {
            bool with = ddl_is(&token, "WITH") && ddl_next(&ahead, &open) && ddl_is(&open, "(") &&
                        ddl_next(&ahead, &name) && is_option(&name);

            inside = with ? open.at + open.size : NULL;
            *end_out = before;
        }
        depth += ddl_is(&token, "(") ? 1 : ddl_is(&token, ")") ? -1 : 0;
        before = token.at + token.size;
    }
    return inside;
}

/* ---- reading it --------------------------------------------------------------------------- */

static int read_value(instar_sql *sql, struct ddl_lexer *lexer, const struct ddl_token *name,
                      instar_change_options *options)
{
    const struct ddl_number *option = find_number(name);
    uint64_t number = 0;

    if (option == NULL) {
        bool on;
        int rc = ddl_read_switch(sql, lexer, &on);
        options->flags |= on ? ddl_change_flag(name->at, name->size) : 0;
        return rc;
    }
    int rc = ddl_read_number(sql, lexer, option->max, &number);
    ddl_set_number(options, option, number);
    return rc;
}

/* A name, and = with a value; a switch may stand alone. */
static int read_option(instar_sql *sql, struct ddl_lexer *lexer, uint32_t *seen,
                       instar_change_options *options)
{
    struct ddl_lexer before = *lexer;
    struct ddl_token name, equals;

    if (!ddl_next(lexer, &name)) {
        return ddl_expected(sql, &before, "an option");
    }
    size_t offset = (size_t)(name.at - sql->text);
    if (!is_option(&name)) {
        return ddl_fail(
            sql, INSTAR_EINVALID, offset,
            "not supported: the option %.*s (there are undo_window_s, " DDL_CHANGE_OPTIONS ")",
            ddl_cut(name.at, name.size, 80), name.at);
    }
    const struct ddl_number *number = find_number(&name);
    /* Flags are below 256, so numbers have the bits above. */
    uint32_t bit = number != NULL ? UINT32_C(256) << ddl_number_rank(number)
                                  : ddl_change_flag(name.at, name.size);
    if ((*seen & bit) != 0) {
        return ddl_fail(sql, INSTAR_EINVALID, offset, "the option %.*s is given twice",
                        (int)name.size, name.at);
    }
    *seen |= bit;
    before = *lexer;
    if (ddl_next(lexer, &equals) && ddl_is(&equals, "=")) {
        return read_value(sql, lexer, &name, options);
    }
    *lexer = before;
    if (number != NULL) {
        return ddl_expected(sql, lexer, "=");
    }
    options->flags |= bit;
    return INSTAR_OK;
}

int ddl_trailing(instar_sql *sql, struct ddl_piece *piece, instar_change_options *options,
                 bool *found_out)
{
    const char *begin = sql->text + piece->offset;
    struct ddl_lexer lexer = {begin, begin + piece->size, NULL};
    struct ddl_token token;
    const char *end;
    uint32_t seen = 0;
    int rc;

    instar_change_options_init(options);
    *found_out = false;
    if (!may_have_one(lexer) || (lexer.at = find_with(lexer, &end)) == NULL) {
        return INSTAR_OK;
    }
    *found_out = true;
    do {
        rc = read_option(sql, &lexer, &seen, options);
        struct ddl_lexer before = lexer;
        if (rc == INSTAR_OK &&
            (!ddl_next(&lexer, &token) || (!ddl_is(&token, ",") && !ddl_is(&token, ")")))) {
            rc = ddl_expected(sql, &before, ", or )");
        }
    } while (rc == INSTAR_OK && ddl_is(&token, ","));
    piece->size = (size_t)(end - begin);
    return rc;
}

static bool drops_column(const instar_sql_statement *s)
{
    for (size_t i = 0; i < s->step_count; i++) {
        if (s->steps[i].kind == INSTAR_ALTER_DROP_COLUMN) {
            return true;
        }
    }
    return false;
}

int ddl_apply_trailing(instar_sql *sql, const struct ddl_piece *piece,
                       const instar_change_options *options)
{
    instar_change_options none;
    instar_sql_statement *s = &sql->last->info;
    instar_change_options *to = (instar_change_options *)s->options;

    instar_change_options_init(&none);
    if (options->undo_window_s != none.undo_window_s && s->verb != INSTAR_SQL_DROP_TABLE &&
        !(s->verb == INSTAR_SQL_ALTER_TABLE && drops_column(s))) {
        return ddl_fail(sql, INSTAR_EINVALID, piece->offset,
                        "undo_window_s is for DROP TABLE and for ALTER TABLE … DROP COLUMN");
    }
    uint32_t flags = to->flags | options->flags;

    *to = *options;
    to->flags = flags;
    return INSTAR_OK;
}
