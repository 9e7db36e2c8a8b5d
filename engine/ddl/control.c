/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements that PostgreSQL's grammar does not have, known by their first words:
 *
 *     SHOW CHANGES
 *     WAIT CHANGE id
 *     CANCEL | PAUSE | RESUME | HOLD | RELEASE CHANGE id
 *     RETUNE CHANGE id WITH (option = value, …)
 *     UNDO CHANGE id [RENAME TO name] [DROP NOT NULL]
 *     EXPLAIN statement
 *
 * EXPLAIN is taken off the front of the piece; what follows is read as if it stood alone.
 */
#include "ddl/ddl_impl.h"

#include <stdlib.h>
#include <string.h>

static size_t offset_of(const instar_sql *sql, const struct ddl_token *token)
{
    return (size_t)(token->at - sql->text);
}

int ddl_expected(instar_sql *sql, struct ddl_lexer *lexer, const char *what)
{
    struct ddl_token token;

    if (!ddl_next(lexer, &token)) {
        return ddl_fail(sql, INSTAR_EINVALID, (size_t)(lexer->end - sql->text),
                        "syntax error at end of statement: expected %s", what);
    }
    return ddl_fail(sql, INSTAR_EINVALID, offset_of(sql, &token),
                    "syntax error at or near \"%.*s\": expected %s",
                    ddl_cut(token.at, token.size, 80), token.at, what);
}

static int at_end(instar_sql *sql, struct ddl_lexer *lexer)
{
    struct ddl_lexer ahead = *lexer;
    struct ddl_token token;

    return ddl_next(&ahead, &token) ? ddl_expected(sql, lexer, "the end of the statement")
                                    : INSTAR_OK;
}

/* CHANGE id */
static int read_change(instar_sql *sql, struct ddl_lexer *lexer, uint64_t *change_out)
{
    struct ddl_lexer before = *lexer;
    struct ddl_token token;
    char digits[24] = "";

    if (!ddl_next(lexer, &token) || !ddl_is(&token, "CHANGE")) {
        return ddl_expected(sql, &before, "CHANGE");
    }
    before = *lexer;
    if (!ddl_next(lexer, &token) || token.kind != DDL_NUMBER || token.size > 19 ||
        memchr(token.at, '.', token.size) != NULL) {
        return ddl_expected(sql, &before, "the number of a change");
    }
    memcpy(digits, token.at, token.size);
    *change_out = strtoull(digits, NULL, 10);
    return INSTAR_OK;
}

/* REASON 'words', or nothing. */
static int read_reason(instar_sql *sql, struct ddl_lexer *lexer, const char **reason_out)
{
    struct ddl_lexer ahead = *lexer;
    struct ddl_token token;
    size_t size = 0;

    if (!ddl_next(&ahead, &token) || !ddl_is(&token, "REASON")) {
        return INSTAR_OK;
    }
    *lexer = ahead;
    if (!ddl_next(&ahead, &token) || token.kind != DDL_STRING || token.at[0] != '\'') {
        return ddl_expected(sql, lexer, "words between single quotes");
    }
    char *reason = ddl_copy(&sql->arena, token.at + 1, token.size - 2);
    if (reason == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, offset_of(sql, &token), "out of memory");
    }
    /* A quote within is doubled. */
    for (const char *at = reason; *at != '\0'; at += at[0] == '\'' ? 2 : 1) {
        reason[size++] = *at;
    }
    reason[size] = '\0';
    *reason_out = reason;
    *lexer = ahead;
    return INSTAR_OK;
}

/* ---- steering ----------------------------------------------------------------------------- */

/* Those flags that have no verb of their own. */
#define RETUNED (INSTAR_CHANGE_HURRY | INSTAR_CHANGE_KEEP_WAITING | INSTAR_CHANGE_GIVE_UP)

int ddl_read_number(instar_sql *sql, struct ddl_lexer *lexer, uint64_t max, uint64_t *number_out)
{
    struct ddl_lexer before = *lexer;
    struct ddl_token token;
    char digits[24] = "";

    if (!ddl_next(lexer, &token) || token.kind != DDL_NUMBER || token.size > 19 ||
        memchr(token.at, '.', token.size) != NULL) {
        return ddl_expected(sql, &before, "a whole number");
    }
    memcpy(digits, token.at, token.size);
    *number_out = strtoull(digits, NULL, 10);
    return *number_out <= max ? INSTAR_OK : ddl_expected(sql, &before, "a smaller number");
}

int ddl_read_switch(instar_sql *sql, struct ddl_lexer *lexer, bool *on_out)
{
    struct ddl_lexer before = *lexer;
    struct ddl_token token;
    bool more = ddl_next(lexer, &token);

    *on_out = more && (ddl_is(&token, "on") || ddl_is(&token, "true"));
    if (*on_out || (more && (ddl_is(&token, "off") || ddl_is(&token, "false")))) {
        return INSTAR_OK;
    }
    return ddl_expected(sql, &before, "on or off");
}

static int read_flag(instar_sql *sql, struct ddl_lexer *lexer, uint32_t flag,
                     instar_change_steering *steering)
{
    bool on;
    int rc = ddl_read_switch(sql, lexer, &on);

    if (rc == INSTAR_OK && on) {
        steering->set_flags |= flag;
    } else if (rc == INSTAR_OK) {
        steering->clear_flags |= flag;
    }
    return rc;
}

/* name = value, each name once: the highest numbers stand for "as it is". */
static int read_setting(instar_sql *sql, struct ddl_lexer *lexer, instar_change_steering *steering)
{
    struct ddl_lexer before = *lexer;
    struct ddl_token name, equals;
    uint64_t number = 0;
    int rc;

    if (!ddl_next(lexer, &name) || name.kind != DDL_WORD) {
        return ddl_expected(sql, &before, "an option");
    }
    before = *lexer;
    if (!ddl_next(lexer, &equals) || !ddl_is(&equals, "=")) {
        return ddl_expected(sql, &before, "=");
    }
    uint32_t flag = ddl_change_flag(name.at, name.size) & RETUNED;
    if (ddl_is(&name, "backfill_workers") && steering->workers == UINT32_MAX) {
        rc = ddl_read_number(sql, lexer, UINT32_MAX - 1, &number);
        steering->workers = (uint32_t)number;
    } else if (ddl_is(&name, "fence_after_ms") && steering->fence_after_ms == UINT32_MAX) {
        rc = ddl_read_number(sql, lexer, UINT32_MAX - 1, &number);
        steering->fence_after_ms = (uint32_t)number;
    } else if (ddl_is(&name, "latency_target_ms") && steering->latency_target_ms == UINT32_MAX) {
        rc = ddl_read_number(sql, lexer, UINT32_MAX - 1, &number);
        steering->latency_target_ms = (uint32_t)number;
    } else if (ddl_is(&name, "rows_per_second") && steering->rows_per_second_max == UINT64_MAX) {
        rc = ddl_read_number(sql, lexer, UINT64_MAX - 1, &steering->rows_per_second_max);
    } else if (ddl_is(&name, "bytes_per_second") && steering->bytes_per_second_max == UINT64_MAX) {
        rc = ddl_read_number(sql, lexer, UINT64_MAX - 1, &steering->bytes_per_second_max);
    } else if (flag != 0 && ((steering->set_flags | steering->clear_flags) & flag) == 0) {
        rc = read_flag(sql, lexer, flag, steering);
    } else {
        rc = ddl_fail(sql, INSTAR_EINVALID, offset_of(sql, &name),
                      "not supported, or given twice: the option %.*s (there are "
                      "backfill_workers, rows_per_second, bytes_per_second, latency_target_ms, "
                      "fence_after_ms, hurry, keep_waiting, give_up)",
                      (int)name.size, name.at);
    }
    return rc;
}

/* WITH (name = value, …) */
static int read_settings(instar_sql *sql, struct ddl_lexer *lexer, instar_change_steering *steering)
{
    struct ddl_lexer before = *lexer;
    struct ddl_token token;
    int rc;

    if (!ddl_next(lexer, &token) || !ddl_is(&token, "WITH")) {
        return ddl_expected(sql, &before, "WITH");
    }
    before = *lexer;
    if (!ddl_next(lexer, &token) || !ddl_is(&token, "(")) {
        return ddl_expected(sql, &before, "(");
    }
    do {
        rc = read_setting(sql, lexer, steering);
        before = *lexer;
        if (rc == INSTAR_OK &&
            (!ddl_next(lexer, &token) || (!ddl_is(&token, ",") && !ddl_is(&token, ")")))) {
            rc = ddl_expected(sql, &before, ", or )");
        }
    } while (rc == INSTAR_OK && ddl_is(&token, ","));
    return rc;
}

/* What the verb does to its change. */
static int fill_steering(instar_sql *sql, struct ddl_lexer *lexer, instar_sql_statement *info)
{
    instar_change_steering *s = ddl_alloc(&sql->arena, sizeof(*s));

    if (s == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, (size_t)(lexer->at - sql->text), "out of memory");
    }
    instar_change_steering_init(s);
    info->steering = s;
    switch (info->verb) {
    case INSTAR_SQL_PAUSE_CHANGE:
        s->set_flags = INSTAR_CHANGE_PAUSE;
        return INSTAR_OK;
    case INSTAR_SQL_RESUME_CHANGE:
        s->clear_flags = INSTAR_CHANGE_PAUSE;
        return INSTAR_OK;
    case INSTAR_SQL_HOLD_CHANGE:
        s->set_flags = INSTAR_CHANGE_HOLD;
        return INSTAR_OK;
    case INSTAR_SQL_RELEASE_CHANGE:
        s->clear_flags = INSTAR_CHANGE_HOLD;
        return INSTAR_OK;
    default:
        return read_settings(sql, lexer, s);
    }
}

static int read_steering(instar_sql *sql, const struct ddl_piece *piece, struct ddl_lexer *lexer,
                         enum instar_sql_verb verb)
{
    instar_sql_statement info = {.verb = verb};
    int rc = verb != INSTAR_SQL_SHOW_CHANGES ? read_change(sql, lexer, &info.change) : INSTAR_OK;

    if (rc == INSTAR_OK && verb == INSTAR_SQL_CANCEL_CHANGE) {
        rc = read_reason(sql, lexer, &info.reason);
    }
    rc = rc == INSTAR_OK && verb >= INSTAR_SQL_PAUSE_CHANGE ? fill_steering(sql, lexer, &info) : rc;
    rc = rc == INSTAR_OK ? at_end(sql, lexer) : rc;
    return rc == INSTAR_OK ? ddl_add(sql, piece, &info) : rc;
}

/* ---- undo --------------------------------------------------------------------------------- */

/* A name as the grammar would have it: folded to small letters, or what stands between quotes. */
static int read_name(instar_sql *sql, struct ddl_lexer *lexer, const char **name_out)
{
    struct ddl_lexer before = *lexer;
    struct ddl_token token;
    size_t size = 0;

    if (!ddl_next(lexer, &token) || (token.kind != DDL_WORD && token.kind != DDL_QUOTED) ||
        (token.kind == DDL_QUOTED && token.size < 3)) {
        return ddl_expected(sql, &before, "a name");
    }
    bool quoted = token.kind == DDL_QUOTED;
    char *name = quoted ? ddl_copy(&sql->arena, token.at + 1, token.size - 2)
                        : ddl_copy(&sql->arena, token.at, token.size);
    if (name == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, offset_of(sql, &token), "out of memory");
    }
    /* A quote within is doubled. */
    for (const char *at = name; *at != '\0'; at += quoted && at[0] == '"' ? 2 : 1) {
        name[size++] = *at >= 'A' && *at <= 'Z' && !quoted ? (char)(*at - 'A' + 'a') : *at;
    }
    name[size] = '\0';
    *name_out = name;
    return INSTAR_OK;
}

static int expect_word(instar_sql *sql, struct ddl_lexer *lexer, const char *word)
{
    struct ddl_lexer before = *lexer;
    struct ddl_token token;

    return ddl_next(lexer, &token) && ddl_is(&token, word) ? INSTAR_OK
                                                           : ddl_expected(sql, &before, word);
}

static int read_clauses(instar_sql *sql, struct ddl_lexer *lexer, instar_sql_statement *info,
                        instar_change_options *options)
{
    struct ddl_lexer ahead = *lexer;
    struct ddl_token token;
    int rc = INSTAR_OK;

    while (rc == INSTAR_OK && ddl_next(&ahead, &token)) {
        if (ddl_is(&token, "RENAME") && info->new_name == NULL) {
            rc = expect_word(sql, &ahead, "TO");
            rc = rc == INSTAR_OK ? read_name(sql, &ahead, &info->new_name) : rc;
        } else if (ddl_is(&token, "DROP") && (options->flags & INSTAR_CHANGE_NULLABLE) == 0) {
            rc = expect_word(sql, &ahead, "NOT");
            rc = rc == INSTAR_OK ? expect_word(sql, &ahead, "NULL") : rc;
            options->flags |= INSTAR_CHANGE_NULLABLE;
        } else {
            return ddl_expected(sql, lexer, "RENAME TO, DROP NOT NULL or the end of the statement");
        }
        *lexer = ahead;
    }
    return rc;
}

static int read_undo(instar_sql *sql, const struct ddl_piece *piece, struct ddl_lexer *lexer)
{
    instar_sql_statement info = {.verb = INSTAR_SQL_UNDO_CHANGE};
    instar_change_options *options = ddl_new_options(sql, 0);
    struct ddl_lexer number = *lexer;
    struct ddl_token token;
    int rc = read_change(sql, lexer, &info.change);

    if (rc == INSTAR_OK && options == NULL) {
        rc = ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    (void)ddl_next(&number, &token); /* CHANGE */
    (void)ddl_next(&number, &token);
    info.name = ddl_copy(&sql->arena, token.at, token.size);
    info.options = options;
    rc = info.name != NULL ? read_clauses(sql, lexer, &info, options)
                           : ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
    return rc == INSTAR_OK ? ddl_add(sql, piece, &info) : rc;
}

/* Move the piece behind EXPLAIN. */
static int strip_explain(instar_sql *sql, struct ddl_piece *piece, struct ddl_lexer *lexer)
{
    struct ddl_lexer ahead = *lexer;
    struct ddl_token token;

    if (!ddl_next(&ahead, &token)) {
        return ddl_expected(sql, lexer, "a statement");
    }
    if (token.kind == DDL_SIGN || ddl_is(&token, "ANALYZE") || ddl_is(&token, "VERBOSE")) {
        return ddl_fail(sql, INSTAR_EINVALID, offset_of(sql, &token),
                        "not supported: an option of EXPLAIN");
    }
    piece->size -= offset_of(sql, &token) - piece->offset;
    piece->offset = offset_of(sql, &token);
    return INSTAR_OK;
}

/* A routine's body may hold semicolons that our splitting does not know: so it is refused by its
 * first words, before the grammar gets a part of it. */
static int refuse_routine(instar_sql *sql, const struct ddl_piece *piece, struct ddl_lexer lexer)
{
    struct ddl_token token = {.size = 0};

    while (ddl_next(&lexer, &token) &&
           (ddl_is(&token, "CREATE") || ddl_is(&token, "OR") || ddl_is(&token, "REPLACE"))) {
    }
    if (ddl_is(&token, "FUNCTION") || ddl_is(&token, "PROCEDURE")) {
        return ddl_refuse(sql, piece, &(struct ddl_node){.kind = "CreateFunctionStmt"});
    }
    return INSTAR_OK;
}

int ddl_explain(instar_sql *sql, struct ddl_piece *piece, bool *explain_out)
{
    const char *begin = sql->text + piece->offset;
    struct ddl_lexer lexer = {begin, begin + piece->size, NULL};
    struct ddl_token first;

    (void)ddl_next(&lexer, &first);
    *explain_out = ddl_is(&first, "EXPLAIN");
    return *explain_out ? strip_explain(sql, piece, &lexer) : INSTAR_OK;
}

int ddl_control(instar_sql *sql, const struct ddl_piece *piece, bool *known_out)
{
    const char *begin = sql->text + piece->offset;
    struct ddl_lexer lexer = {begin, begin + piece->size, NULL}, ahead;
    struct ddl_token first, second;
    static const struct {
        const char *word;
        enum instar_sql_verb verb;
    } verbs[] = {
        {"WAIT", INSTAR_SQL_WAIT_CHANGE},     {"CANCEL", INSTAR_SQL_CANCEL_CHANGE},
        {"PAUSE", INSTAR_SQL_PAUSE_CHANGE},   {"RESUME", INSTAR_SQL_RESUME_CHANGE},
        {"HOLD", INSTAR_SQL_HOLD_CHANGE},     {"RELEASE", INSTAR_SQL_RELEASE_CHANGE},
        {"RETUNE", INSTAR_SQL_RETUNE_CHANGE},
    };

    *known_out = true;
    (void)ddl_next(&lexer, &first);
    if (ddl_is(&first, "UNDO")) {
        return read_undo(sql, piece, &lexer);
    }
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        /* RELEASE is PostgreSQL's too: of a savepoint. */
        ahead = lexer;
        if (ddl_is(&first, verbs[i].word) &&
            (verbs[i].verb != INSTAR_SQL_RELEASE_CHANGE ||
             (ddl_next(&ahead, &second) && ddl_is(&second, "CHANGE")))) {
            return read_steering(sql, piece, &lexer, verbs[i].verb);
        }
    }
    ahead = lexer;
    if (ddl_is(&first, "SHOW") && ddl_next(&ahead, &second) && ddl_is(&second, "CHANGES")) {
        return read_steering(sql, piece, &ahead, INSTAR_SQL_SHOW_CHANGES);
    }
    *known_out = false;
    return ddl_is(&first, "CREATE") ? refuse_routine(sql, piece, lexer) : INSTAR_OK;
}
