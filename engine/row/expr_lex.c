/* SPDX-License-Identifier: Apache-2.0 */
/* The words of an expression's text, as SQL parts them. */
#include "row/expr_impl.h"

/* Words that have a meaning of their own wherever they stand; a column of such a name is quoted. */
static const char *const reserved[] = {
    "and", "as", "between", "case", "cast", "distinct", "else", "end",  "false", "from",
    "in",  "is", "like",    "not",  "null", "or",       "then", "true", "when"};

bool expr_is_reserved(const char *word, size_t size)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(reserved); i++) {
        if (strlen(reserved[i]) == size && memcmp(reserved[i], word, size) == 0) {
            return true;
        }
    }
    return false;
}

static int char_at(const struct expr_lexer *l, size_t at)
{
    return at < l->size ? (unsigned char)l->text[at] : 0;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_start(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static int no_memory(struct expr_lexer *l)
{
    return base_err_set(l->err, INSTAR_ENOMEM, "an expression: no memory");
}

/* Small letters, as PostgreSQL makes them of what is not quoted. */
static int word(struct expr_lexer *l, struct expr_token *t)
{
    size_t end = l->next;
    while (is_word_start(char_at(l, end)) || is_digit(char_at(l, end)) || char_at(l, end) == '$') {
        end++;
    }
    t->kind = EXPR_WORD;
    t->size = end - t->at;
    char *text = base_arena_alloc(l->arena, t->size + 1);
    if (text == NULL) {
        return no_memory(l);
    }
    for (size_t i = 0; i < t->size; i++) {
        char c = l->text[t->at + i];
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    text[t->size] = 0;
    t->text = text;
    l->next = end;
    return 0;
}

static int number(struct expr_lexer *l, struct expr_token *t)
{
    size_t end = l->next;
    t->kind = EXPR_NUMBER;
    while (is_digit(char_at(l, end))) {
        end++;
    }
    if (char_at(l, end) == '.') {
        t->decimal = true;
        for (end++; is_digit(char_at(l, end)); end++) {
        }
    }
    size_t sign = char_at(l, end + 1) == '+' || char_at(l, end + 1) == '-' ? 1 : 0;
    if ((char_at(l, end) == 'e' || char_at(l, end) == 'E') &&
        is_digit(char_at(l, end + 1 + sign))) {
        t->decimal = true;
        for (end += 1 + sign; is_digit(char_at(l, end)); end++) {
        }
    }
    if (is_word_start(char_at(l, end))) {
        return base_err_set(l->err, INSTAR_EINVALID, "a number ends in letters");
    }
    t->text = l->text + t->at;
    t->size = end - t->at;
    l->next = end;
    return 0;
}

static int hex_value(int c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The character behind a backslash of E'…'; -1: there is no such escape. */
static int escaped(struct expr_lexer *l, size_t *at)
{
    static const char from[] = "bfnrt\\'";
    static const char to[] = "\b\f\n\r\t\\'";
    int c = char_at(l, (*at)++);
    const char *found = c != 0 ? strchr(from, c) : NULL;
    if (found != NULL) {
        return to[found - from];
    }
    int high = c == 'x' ? hex_value(char_at(l, *at)) : -1;
    int low = high >= 0 ? hex_value(char_at(l, *at + 1)) : -1;
    *at += 2;
    return low < 0 || high * 16 + low == 0 ? -1 : high * 16 + low;
}

/* 'it''s', "a name", E'\n'. */
static int quoted(struct expr_lexer *l, struct expr_token *t, char quote, bool escapes)
{
    char *text = base_arena_alloc(l->arena, l->size - l->next + 1);
    size_t at = l->next + 1;
    if (text == NULL) {
        return no_memory(l);
    }
    t->kind = quote == '"' ? EXPR_QUOTED : EXPR_STRING;
    for (;;) {
        int c = char_at(l, at++);
        if (at > l->size) {
            return base_err_set(l->err, INSTAR_EINVALID, "a quote has no end");
        }
        if (c == quote && char_at(l, at) != quote) {
            break;
        }
        at += c == quote ? 1 : 0;
        if (c == '\\' && escapes) {
            c = escaped(l, &at);
        }
        if (c <= 0) {
            return base_err_set(l->err, INSTAR_EINVALID, "an escape that is not known");
        }
        text[t->size++] = (char)c;
    }
    text[t->size] = 0;
    t->text = text;
    l->next = at;
    return base_utf8_valid(text, t->size)
               ? 0
               : base_err_set(l->err, INSTAR_EENCODING, "text is not valid UTF-8");
}

static int sign(struct expr_lexer *l, struct expr_token *t)
{
    static const char *const two[] = {"<=", ">=", "<>", "!=", "||", "::"};
    t->kind = EXPR_SIGN;
    t->text = l->text + t->at;
    t->size = 1;
    for (size_t i = 0; i < BASE_ARRAY_LEN(two); i++) {
        if (char_at(l, t->at) == two[i][0] && char_at(l, t->at + 1) == two[i][1]) {
            t->size = 2;
        }
    }
    l->next += t->size;
    if (t->size == 1 && (*t->text == 0 || strchr("()+-*/%<>=,", *t->text) == NULL)) {
        return base_err_set(l->err, INSTAR_EINVALID, "there is no operator %c",
                            *t->text > ' ' && *t->text < 0x7f ? *t->text : '?');
    }
    return 0;
}

int expr_next(struct expr_lexer *l, struct expr_token *t)
{
    while (char_at(l, l->next) != 0 && strchr(" \t\r\n\f\v", char_at(l, l->next)) != NULL) {
        l->next++;
    }
    *t = (struct expr_token){.at = l->next, .text = ""};
    int c = char_at(l, l->next);
    int behind = char_at(l, l->next + 1);
    if (l->next >= l->size) {
        return 0;
    }
    if ((c == 'e' || c == 'E') && behind == '\'') {
        l->next++;
        return quoted(l, t, '\'', true);
    }
    if (c == '\'' || c == '"') {
        return quoted(l, t, (char)c, false);
    }
    if (is_word_start(c)) {
        return word(l, t);
    }
    return is_digit(c) || (c == '.' && is_digit(behind)) ? number(l, t) : sign(l, t);
}
