/* SPDX-License-Identifier: Apache-2.0 */
/* A script: read in full before anything is done, then submitted statement by statement. */
#include "ddl/ddl_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint32_t)1 << 20)

/* ---- limits ------------------------------------------------------------------------------- */

static const struct limit {
    const char *name;
    size_t field;
    uint32_t otherwise, max;
} limits[] = {
    {"script_bytes_max", offsetof(instar_sql_options, script_bytes_max), 16 * MIB, 256 * MIB},
    {"statement_bytes_max", offsetof(instar_sql_options, statement_bytes_max), MIB / 16, 16 * MIB},
    {"statements_max", offsetof(instar_sql_options, statements_max), 10000, 1000000},
    {"nesting_max", offsetof(instar_sql_options, nesting_max), 100, 1000},
    {"expression_tokens_max", offsetof(instar_sql_options, expression_tokens_max), 1000, 10000},
};
#define LIMIT_COUNT (sizeof(limits) / sizeof(limits[0]))

static uint32_t *limit_field(instar_sql_options *options, const struct limit *limit)
{
    return (uint32_t *)(void *)((char *)options + limit->field);
}

void instar_sql_options_init(instar_sql_options *options)
{
    if (options == NULL) {
        return;
    }
    *options = (instar_sql_options){.struct_size = sizeof(*options)};
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        *limit_field(options, &limits[i]) = limits[i].otherwise;
    }
}

static int take_limits(instar_sql *sql, const instar_sql_options *options)
{
    instar_sql_options_init(&sql->limits);
    if (options == NULL) {
        return INSTAR_OK;
    }
    if (options->struct_size < sizeof(uint32_t) || options->struct_size > 4096) {
        return ddl_fail(sql, INSTAR_EINVALID, 0, "struct_size: use instar_sql_options_init()");
    }
    memcpy(&sql->limits, options,
           options->struct_size < sizeof(sql->limits) ? options->struct_size : sizeof(sql->limits));
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        uint32_t value = *limit_field(&sql->limits, &limits[i]);

        if (value < 1 || value > limits[i].max) {
            return ddl_fail(sql, INSTAR_EINVALID, 0, "%s is %u: it goes from 1 to %u",
                            limits[i].name, value, limits[i].max);
        }
    }
    return INSTAR_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

int ddl_add(instar_sql *sql, const struct ddl_piece *piece, const instar_sql_statement *info)
{
    struct ddl_statement *statement = ddl_alloc(&sql->arena, sizeof(*statement));

    if (statement == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
    }
    if (sql->count == sql->limits.statements_max) {
        return ddl_fail(sql, INSTAR_ELIMIT, piece->offset, "more than %u statements in one script",
                        sql->limits.statements_max);
    }
    statement->info = *info;
    statement->info.text = sql->text + piece->offset;
    statement->info.text_size = piece->size;
    statement->info.offset = piece->offset;
    ddl_place(sql, piece->offset, &statement->info.line, &statement->info.column);
    *sql->end = statement;
    sql->end = &statement->next;
    sql->last = statement;
    sql->count++;
    return INSTAR_OK;
}

static int read_piece(instar_sql *sql, struct ddl_piece *piece)
{
    struct ddl_node *node = NULL;
    instar_change_options options;
    size_t before = sql->count, begin = piece->offset;
    bool explain, known = false, with = false, grouped = sql->grouped;
    int rc = ddl_explain(sql, piece, &explain);
    size_t end = piece->offset + piece->size;

    rc = rc == INSTAR_OK ? ddl_trailing(sql, piece, &options, &with) : rc;
    rc = rc == INSTAR_OK ? ddl_control(sql, piece, &known) : rc;
    if (rc == INSTAR_OK && !known) {
        rc = ddl_parse(sql, piece, &node);
        rc = rc == INSTAR_OK && node != NULL ? ddl_map(sql, piece, node) : rc;
    }
    if (rc == INSTAR_OK && with && sql->count > before) {
        sql->last->info.text_size = end - piece->offset;
        rc = ddl_apply_trailing(sql, piece, &options);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (explain && sql->grouped && !grouped) {
        sql->group_explain = true; /* EXPLAIN BEGIN: of all that follows */
        return INSTAR_OK;
    }
    if (explain && (sql->count == before || sql->last->info.verb >= INSTAR_SQL_SHOW_CHANGES)) {
        return ddl_fail(sql, INSTAR_EINVALID, begin, "not supported: EXPLAIN of what is no change");
    }
    if (sql->count > before) {
        sql->last->info.explain = explain;
    }
    return sql->count > before && grouped ? ddl_group(sql, piece) : INSTAR_OK;
}

static int list_statements(instar_sql *sql)
{
    size_t count = 0;

    sql->list = ddl_alloc(&sql->arena, (sql->count + 1) * sizeof(struct ddl_statement *));
    if (sql->list == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, 0, "out of memory");
    }
    for (struct ddl_statement *s = sql->first; s != NULL; s = s->next) {
        sql->list[count++] = s;
    }
    return INSTAR_OK;
}

static int read_all(instar_sql *sql)
{
    size_t at = 0;

    for (;;) {
        struct ddl_piece piece = {0, 0};
        int rc = ddl_next_piece(sql, &at, &piece);

        if (rc == INSTAR_END) {
            break;
        }
        rc = rc == INSTAR_OK ? read_piece(sql, &piece) : rc;
        if (rc != INSTAR_OK) {
            return rc;
        }
    }
    if (sql->grouped) {
        return ddl_fail(sql, INSTAR_EINVALID, sql->group_offset, "BEGIN without COMMIT");
    }
    return list_statements(sql);
}

/* In the thread of libpg_query. A failure is in sql->error. */
static void run_read_all(void *arg)
{
    (void)read_all(arg);
}

/* A text is UTF-8 without a zero byte, as every text value is. */
static int check_text(instar_sql *sql)
{
    const char *zero = memchr(sql->text, '\0', sql->size);
    instar_value value;
    int rc;

    if (zero != NULL) {
        return ddl_fail(sql, INSTAR_EENCODING, (size_t)(zero - sql->text),
                        "a zero byte in the text");
    }
    rc = instar_value_parse(INSTAR_TEXT, sql->text, sql->size, NULL, 0, &value);
    return rc == INSTAR_OK ? rc : ddl_fail(sql, rc, 0, "%s", instar_error_text());
}

static int read_script(instar_sql *sql, const char *text, size_t size,
                       const instar_sql_options *options)
{
    int rc;

    sql->end = &sql->first;
    sql->text = "";
    rc = take_limits(sql, options);
    if (rc == INSTAR_OK && text == NULL && size > 0) {
        rc = ddl_fail(sql, INSTAR_EMISUSE, 0, "text is NULL");
    }
    if (rc == INSTAR_OK && size > sql->limits.script_bytes_max) {
        rc = ddl_fail(sql, INSTAR_ELIMIT, 0, "the script is longer than the limit of %u bytes",
                      sql->limits.script_bytes_max);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    sql->text = ddl_copy(&sql->arena, text, size);
    if (sql->text == NULL) {
        sql->text = "";
        return ddl_fail(sql, INSTAR_ENOMEM, 0, "out of memory");
    }
    sql->size = size;
    rc = check_text(sql);
    if (rc == INSTAR_OK && !ddl_run(run_read_all, sql)) {
        rc = ddl_fail(sql, INSTAR_ENOMEM, 0, "no thread to read the text in");
    }
    return rc == INSTAR_OK ? sql->error.code : rc;
}

int instar_sql_read(const char *text, size_t size, const instar_sql_options *options,
                    instar_sql **sql_out, instar_sql_error *error_out)
{
    instar_sql_error none = {.code = INSTAR_OK};
    instar_sql *sql;
    int rc;

    if (sql_out == NULL) {
        return INSTAR_EMISUSE;
    }
    *sql_out = NULL;
    sql = ddl_calloc(1, sizeof(*sql));
    if (sql == NULL) {
        none = (instar_sql_error){.code = INSTAR_ENOMEM, .text = "out of memory"};
        rc = INSTAR_ENOMEM;
    } else {
        rc = read_script(sql, text, size, options);
    }
    if (error_out != NULL) {
        *error_out = sql != NULL && rc != INSTAR_OK ? sql->error : none;
    }
    if (rc != INSTAR_OK) {
        instar_sql_free(sql);
        return rc;
    }
    *sql_out = sql;
    return INSTAR_OK;
}

void instar_sql_free(instar_sql *sql)
{
    if (sql != NULL) {
        ddl_arena_free(&sql->arena);
        free(sql);
    }
}

/* ---- looking ------------------------------------------------------------------------------ */

size_t instar_sql_count(const instar_sql *sql)
{
    return sql != NULL ? sql->count : 0;
}

const instar_sql_statement *instar_sql_at(const instar_sql *sql, size_t at)
{
    return sql != NULL && at < sql->count ? &sql->list[at]->info : NULL;
}

const char *instar_sql_verb_name(enum instar_sql_verb verb)
{
    switch (verb) {
    case INSTAR_SQL_CREATE_TABLE:
        return "create table";
    case INSTAR_SQL_DROP_TABLE:
        return "drop table";
    case INSTAR_SQL_CREATE_INDEX:
        return "create index";
    case INSTAR_SQL_DROP_INDEX:
        return "drop index";
    case INSTAR_SQL_ALTER_TABLE:
        return "alter table";
    case INSTAR_SQL_RENAME_INDEX:
        return "rename index";
    case INSTAR_SQL_COMMENT_INDEX:
        return "comment on index";
    case INSTAR_SQL_COMPOUND:
        return "compound change";
    case INSTAR_SQL_VACUUM:
        return "vacuum";
    case INSTAR_SQL_UNDO_CHANGE:
        return "undo change";
    case INSTAR_SQL_SHOW_CHANGES:
        return "show changes";
    case INSTAR_SQL_WAIT_CHANGE:
        return "wait change";
    case INSTAR_SQL_CANCEL_CHANGE:
        return "cancel change";
    case INSTAR_SQL_PAUSE_CHANGE:
        return "pause change";
    case INSTAR_SQL_RESUME_CHANGE:
        return "resume change";
    case INSTAR_SQL_HOLD_CHANGE:
        return "hold change";
    case INSTAR_SQL_RELEASE_CHANGE:
        return "release change";
    case INSTAR_SQL_RETUNE_CHANGE:
        return "retune change";
    }
    return "?";
}

/* ---- submitting --------------------------------------------------------------------------- */

/* With IF EXISTS, a table that is not there is nothing to do. */
static int submit_alter(instar *db, const struct ddl_statement *s, uint64_t *change_out,
                        char words[DDL_WORDS_SIZE])
{
    struct ddl_alteration made = {.count = 0};
    int rc = ddl_alteration_make(db, s, &made, words);

    if (rc == INSTAR_EUNKNOWN && (s->info.options->flags & INSTAR_CHANGE_IF_EXISTS) != 0) {
        rc = INSTAR_OK;
    } else if (rc == INSTAR_OK) {
        rc = instar_alter_table(db, s->info.name, made.steps, made.count, s->info.options,
                                change_out);
    }
    ddl_alteration_free(&made);
    return rc;
}

static int submit(instar *db, const instar_sql_statement *s, uint64_t *change_out)
{
    switch (s->verb) {
    case INSTAR_SQL_CREATE_TABLE:
        return instar_create_table(db, s->table, s->options, change_out);
    case INSTAR_SQL_DROP_TABLE:
        return instar_drop_table(db, s->name, s->options, change_out);
    case INSTAR_SQL_CREATE_INDEX:
        return instar_create_index(db, s->index, s->options, change_out);
    case INSTAR_SQL_DROP_INDEX:
        return instar_drop_index(db, s->name, s->options, change_out);
    case INSTAR_SQL_RENAME_INDEX:
        return instar_rename_index(db, s->name, s->steps[0].new_name, s->options, change_out);
    case INSTAR_SQL_COMMENT_INDEX:
        return instar_comment_index(db, s->name, s->steps[0].comment, s->options, change_out);
    case INSTAR_SQL_VACUUM:
        return instar_vacuum(db, s->name, s->options, change_out);
    case INSTAR_SQL_UNDO_CHANGE:
        return instar_change_undo(db, s->change, s->new_name, s->options, change_out);
    case INSTAR_SQL_CANCEL_CHANGE:
        *change_out = s->change;
        return instar_change_cancel_because(db, s->change, s->reason);
    case INSTAR_SQL_PAUSE_CHANGE:
    case INSTAR_SQL_RESUME_CHANGE:
    case INSTAR_SQL_HOLD_CHANGE:
    case INSTAR_SQL_RELEASE_CHANGE:
    case INSTAR_SQL_RETUNE_CHANGE:
        return instar_change_steer(db, s->change, s->steering);
    case INSTAR_SQL_WAIT_CHANGE:
        *change_out = s->change;
        return INSTAR_OK;
    case INSTAR_SQL_SHOW_CHANGES:
        return INSTAR_OK;
    case INSTAR_SQL_ALTER_TABLE: /* submit_alter() */
    case INSTAR_SQL_COMPOUND:    /* ddl_submit_group() */
        break;
    }
    return INSTAR_EMISUSE;
}

const char *ddl_reason(int code)
{
    return code == INSTAR_ENOMEM ? "out of memory" : instar_error_text();
}

int ddl_fail_statement(const instar_sql_statement *s, int code, const char *text,
                       instar_sql_error *error_out)
{
    if (error_out != NULL) {
        *error_out = (instar_sql_error){
            .code = code, .line = s->line, .column = s->column, .offset = s->offset};
        (void)snprintf(error_out->text, sizeof(error_out->text), "%s", text);
    }
    return code;
}

int instar_sql_submit(instar *db, const instar_sql *sql, size_t at, uint64_t *change_out,
                      instar_sql_error *error_out)
{
    const instar_sql_statement *s = instar_sql_at(sql, at);
    char words[DDL_WORDS_SIZE] = "";
    int rc;

    if (error_out != NULL) {
        *error_out = (instar_sql_error){.code = INSTAR_OK};
    }
    if (change_out == NULL) {
        return INSTAR_EMISUSE;
    }
    *change_out = 0;
    if (s == NULL) {
        return INSTAR_EINVALID;
    }
    if (s->explain) {
        return ddl_fail_statement(s, INSTAR_EINVALID, "EXPLAIN is not submitted", error_out);
    }
    rc = s->verb == INSTAR_SQL_ALTER_TABLE ? submit_alter(db, sql->list[at], change_out, words)
         : s->verb == INSTAR_SQL_COMPOUND  ? ddl_submit_group(db, sql->list[at], change_out, words)
                                           : submit(db, s, change_out);
    if (rc == INSTAR_OK) {
        return rc;
    }
    *change_out = 0;
    const char *text = words[0] != '\0' ? words : ddl_reason(rc);

    s = ddl_failed_part(s, &text);
    return ddl_fail_statement(s, rc, text, error_out);
}
