/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text before the grammar sees it: where statements begin and end, and whether they keep to the
 * limits. Words are told apart the way PostgreSQL's scanner does it, as far as that matters here: a
 * semicolon or a parenthesis inside a string, a name or a comment is none.
 *
 * The limits bound the depth of the tree, which libpg_query walks recursively. Parentheses are one
 * way to depth; chains such as NOT NOT … or 1 + 1 + … are the other, without any. So each open
 * parenthesis counts the tokens since its last comma, and the tallest closed group among these;
 * their sum over the open ones is what the tree's depth cannot exceed by more than a small factor.
 */
#include "ddl/ddl_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NESTING_ROOM 1001 /* the highest nesting_max, and the outermost level */

/* ---- places ------------------------------------------------------------------------------- */

/* Asked for places that mostly come one after the other: each goes on from the last one. */
void ddl_place(instar_sql *sql, size_t offset, uint32_t *line_out, uint32_t *column_out)
{
    struct ddl_spot *spot = &sql->spot;

    if (offset < spot->offset || spot->line == 0) {
        *spot = (struct ddl_spot){0, 1, 1};
    }
    for (; spot->offset < offset; spot->offset++) {
        if (sql->text[spot->offset] == '\n') {
            spot->line++;
            spot->column = 1;
        } else if (((unsigned char)sql->text[spot->offset] & 0xc0) != 0x80) {
            spot->column++;
        }
    }
    *line_out = spot->line;
    *column_out = spot->column;
}

int ddl_cut(const char *text, size_t size, size_t most)
{
    if (size > most) {
        for (size = most; size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80;) {
            size--;
        }
    }
    return (int)size;
}

int ddl_fail(instar_sql *sql, int code, size_t offset, const char *format, ...)
{
    instar_sql_error *error = &sql->error;
    va_list args;

    error->code = code;
    error->offset = offset < sql->size ? offset : sql->size;
    ddl_place(sql, error->offset, &error->line, &error->column);
    va_start(args, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return code;
}

/* ---- words -------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

static bool goes_on_word(char c)
{
    return begins_word(c) || is_digit(c) || c == '$';
}

static bool looking_at(const struct ddl_lexer *lexer, const char *sign)
{
    size_t size = strlen(sign);

    return (size_t)(lexer->end - lexer->at) >= size && memcmp(lexer->at, sign, size) == 0;
}

/* Comments of this kind nest. */
static void skip_block(struct ddl_lexer *lexer)
{
    const char *begin = lexer->at;
    size_t depth = 0;

    while (lexer->at < lexer->end) {
        if (looking_at(lexer, "/*")) {
            depth++;
            lexer->at += 2;
        } else if (looking_at(lexer, "*/")) {
            depth--;
            lexer->at += 2;
            if (depth == 0) {
                return;
            }
        } else {
            lexer->at++;
        }
    }
    lexer->open = begin;
}

static void skip_blanks(struct ddl_lexer *lexer)
{
    while (lexer->at < lexer->end) {
        if (is_blank(*lexer->at)) {
            lexer->at++;
        } else if (looking_at(lexer, "--")) {
            while (lexer->at < lexer->end && *lexer->at != '\n' && *lexer->at != '\r') {
                lexer->at++;
            }
        } else if (looking_at(lexer, "/*")) {
            skip_block(lexer);
        } else {
            return;
        }
    }
}

/* Up to behind the closing quote; a doubled one stands for itself. */
static void skip_quoted(struct ddl_lexer *lexer, char quote, bool backslash)
{
    lexer->at++;
    while (lexer->at < lexer->end) {
        char c = *lexer->at++;

        if (c == '\\' && backslash && lexer->at < lexer->end) {
            lexer->at++;
        } else if (c == quote) {
            if (lexer->at == lexer->end || *lexer->at != quote) {
                return;
            }
            lexer->at++;
        }
    }
}

/* $tag$ … $tag$; false when it is no such thing. */
static bool skip_dollar(struct ddl_lexer *lexer)
{
    const char *p = lexer->at + 1;

    while (p < lexer->end && goes_on_word(*p) && *p != '$') {
        p++;
    }
    if (p == lexer->end || *p != '$' || is_digit(lexer->at[1])) {
        return false;
    }
    size_t tag = (size_t)(p + 1 - lexer->at);
    const char *opening = lexer->at;

    for (lexer->at = p + 1; lexer->at < lexer->end; lexer->at++) {
        if ((size_t)(lexer->end - lexer->at) >= tag && memcmp(lexer->at, opening, tag) == 0) {
            lexer->at += tag;
            return true;
        }
    }
    return true;
}

static enum ddl_token_kind skip_word(struct ddl_lexer *lexer)
{
    const char *begin = lexer->at;

    while (lexer->at < lexer->end && goes_on_word(*lexer->at)) {
        lexer->at++;
    }
    if (lexer->at == lexer->end) {
        return DDL_WORD;
    }
    /* E'…', B'…', X'…', N'…'; only the first knows backslashes. */
    if (lexer->at - begin == 1 && *lexer->at == '\'' && strchr("eEbBxXnN", *begin) != NULL) {
        skip_quoted(lexer, '\'', *begin == 'e' || *begin == 'E');
        return DDL_STRING;
    }
    /* U&'…' and U&"…" */
    if (lexer->at - begin == 1 && (*begin == 'u' || *begin == 'U') &&
        (looking_at(lexer, "&'") || looking_at(lexer, "&\""))) {
        lexer->at++;
        char quote = *lexer->at;

        skip_quoted(lexer, quote, false);
        return quote == '"' ? DDL_QUOTED : DDL_STRING;
    }
    return DDL_WORD;
}

bool ddl_next(struct ddl_lexer *lexer, struct ddl_token *token_out)
{
    skip_blanks(lexer);
    if (lexer->at >= lexer->end) {
        return false;
    }
    char c = *lexer->at;

    token_out->at = lexer->at;
    if (begins_word(c)) {
        token_out->kind = skip_word(lexer);
    } else if (c == '\'') {
        skip_quoted(lexer, c, false);
        token_out->kind = DDL_STRING;
    } else if (c == '"') {
        skip_quoted(lexer, c, false);
        token_out->kind = DDL_QUOTED;
    } else if (c == '$' && skip_dollar(lexer)) {
        token_out->kind = DDL_STRING;
    } else if (is_digit(c)) {
        while (lexer->at < lexer->end && (is_digit(*lexer->at) || *lexer->at == '.')) {
            lexer->at++;
        }
        token_out->kind = DDL_NUMBER;
    } else {
        lexer->at++;
        token_out->kind = DDL_SIGN;
    }
    token_out->size = (size_t)(lexer->at - token_out->at);
    return true;
}

bool ddl_is(const struct ddl_token *token, const char *word)
{
    return (token->kind == DDL_WORD || token->kind == DDL_SIGN) && token->size == strlen(word) &&
           strncasecmp(token->at, word, token->size) == 0;
}

/* ---- statements --------------------------------------------------------------------------- */

/* The open parentheses, outermost first: tokens since the last comma, and the tallest group that
 * was closed among them; the tallest part before that comma. */
struct level {
    uint32_t tokens, closed, before;
};

struct levels {
    struct level open[NESTING_ROOM];
    size_t depth;
    uint32_t height; /* tokens and closed of all that are open */
};

static void end_part(struct level *level)
{
    uint32_t height = level->tokens + level->closed;

    level->before = height > level->before ? height : level->before;
    level->tokens = level->closed = 0;
}

static void count_token(struct levels *levels)
{
    levels->open[levels->depth].tokens++;
    levels->height++;
}

static void count_comma(struct levels *levels)
{
    struct level *level = &levels->open[levels->depth];

    levels->height -= level->tokens + level->closed;
    end_part(level);
}

static void count_close(struct levels *levels)
{
    struct level *inner = &levels->open[levels->depth];

    count_comma(levels);
    levels->depth--;
    struct level *outer = &levels->open[levels->depth];

    if (inner->before > outer->closed) {
        levels->height += inner->before - outer->closed;
        outer->closed = inner->before;
    }
}

static int count(instar_sql *sql, struct levels *levels, const struct ddl_token *token)
{
    const instar_sql_options *limits = &sql->limits;
    size_t offset = (size_t)(token->at - sql->text);
    bool opens = ddl_is(token, "(") || ddl_is(token, "[");

    if ((ddl_is(token, ")") || ddl_is(token, "]")) && levels->depth > 0) {
        count_close(levels);
    } else if (ddl_is(token, ",")) {
        count_comma(levels);
    } else {
        count_token(levels);
    }
    if (levels->height > limits->expression_tokens_max) {
        return ddl_fail(sql, INSTAR_ELIMIT, offset,
                        "an expression of more than %u words and signs is over the limit",
                        limits->expression_tokens_max);
    }
    if (opens && levels->depth == limits->nesting_max) {
        return ddl_fail(sql, INSTAR_ELIMIT, offset,
                        "more than %u nested parentheses are over the limit", limits->nesting_max);
    }
    if (opens) {
        levels->depth++;
        levels->open[levels->depth] = (struct level){0};
    }
    return INSTAR_OK;
}

/* Bytes of the name between quotes. In U&"…" an escape stands for one character; a pair of
 * surrogates is counted as more than it is. */
static size_t quoted_size(const struct ddl_token *token)
{
    const char *p = (const char *)memchr(token->at, '"', token->size) + 1;
    const char *end = token->at + token->size;
    bool escapes = *token->at != '"';
    size_t size = 0;

    while (p < end) {
        if (*p == '"') {
            if (p + 1 >= end || p[1] != '"') {
                break;
            }
            p += 2;
            size++;
        } else if (escapes && *p == '\\' && p + 1 < end && p[1] != '\\') {
            size_t digits = p[1] == '+' ? 6 : 4;
            char hex[8] = "";

            p += digits == 6 ? 2 : 1;
            memcpy(hex, p, digits < (size_t)(end - p) ? digits : (size_t)(end - p));
            unsigned long code = strtoul(hex, NULL, 16);

            size += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
            p += digits;
        } else {
            p += escapes && *p == '\\' ? 2 : 1;
            size++;
        }
    }
    return size;
}

/* PostgreSQL's scanner cuts a longer name and goes on with what is left. */
static int check_name(instar_sql *sql, const struct ddl_token *token)
{
    size_t size = token->kind == DDL_WORD     ? token->size
                  : token->kind == DDL_QUOTED ? quoted_size(token)
                                              : 0;

    if (size <= INSTAR_NAME_BYTES_MAX) {
        return INSTAR_OK;
    }
    return ddl_fail(sql, INSTAR_ELIMIT, (size_t)(token->at - sql->text),
                    "the name '%.*s…' is too long: at most %d bytes",
                    ddl_cut(token->at, token->size, 60), token->at, INSTAR_NAME_BYTES_MAX);
}

int ddl_next_piece(instar_sql *sql, size_t *at, struct ddl_piece *piece_out)
{
    struct ddl_lexer lexer = {sql->text + *at, sql->text + sql->size, NULL};
    struct levels levels = {.depth = 0};
    const char *begin = NULL, *end = NULL;
    struct ddl_token token;

    while (ddl_next(&lexer, &token)) {
        if (ddl_is(&token, ";") && (begin == NULL || levels.depth > 0)) {
            if (begin == NULL) {
                continue;
            }
            /* A semicolon between parentheses ends no statement; the grammar refuses it. */
        } else if (ddl_is(&token, ";")) {
            break;
        }
        begin = begin != NULL ? begin : token.at;
        end = token.at + token.size;
        if ((size_t)(end - begin) > sql->limits.statement_bytes_max) {
            return ddl_fail(sql, INSTAR_ELIMIT, (size_t)(begin - sql->text),
                            "the statement is longer than the limit of %u bytes",
                            sql->limits.statement_bytes_max);
        }
        int rc = check_name(sql, &token);

        rc = rc == INSTAR_OK ? count(sql, &levels, &token) : rc;
        if (rc != INSTAR_OK) {
            return rc;
        }
    }
    if (lexer.open != NULL) {
        return ddl_fail(sql, INSTAR_EINVALID, (size_t)(lexer.open - sql->text),
                        "unterminated /* comment");
    }
    *at = (size_t)(lexer.at - sql->text);
    if (begin == NULL) {
        return INSTAR_END;
    }
    *piece_out = (struct ddl_piece){(size_t)(begin - sql->text), (size_t)(end - begin)};
    return INSTAR_OK;
}
