/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instar_sql.h - schema changes of Instar as SQL text.
 *
 * The text is read by PostgreSQL's own grammar and becomes the requests of instar.h: what can be
 * said there can be said here, and the other way round. A clause that is not supported is refused
 * by name and place; none is ignored. docs/ddl.md lists the statements and types.
 *
 *     instar_sql *sql;
 *     instar_sql_error error;
 *     uint64_t change;
 *
 *     if (instar_sql_read(text, size, NULL, &sql, &error) != INSTAR_OK) … error.line, error.text
 *     for (size_t i = 0; i < instar_sql_count(sql); i++) {
 *         if (instar_sql_submit(db, sql, i, &change, &error) != INSTAR_OK) …
 *         instar_change_wait(db, change, UINT32_MAX, NULL);
 *     }
 *     instar_sql_free(sql);
 *
 * The conventions of instar.h hold here too, with one difference: the words of a failure are in the
 * instar_sql_error, together with their place in the text.
 */
#ifndef INSTAR_SQL_H
#define INSTAR_SQL_H

#include <instar.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ------------------------------------------------------------------------------- */

typedef struct instar_sql_error {
    int code;        /* as returned */
    uint32_t line;   /* counted from 1; 0: the failure has no place in the text */
    uint32_t column; /* in characters, from 1 */
    size_t offset;   /* in bytes, from 0 */
    char text[1024]; /* what was refused, and why */
} instar_sql_error;

/* ---- reading a script --------------------------------------------------------------------- */

typedef struct instar_sql instar_sql; /* a script that has been read */

/* What a text may ask for. Lower them for text that you do not trust; beyond the brackets
 * instar_sql_read gives EINVALID and names the field. */
typedef struct instar_sql_options {
    uint32_t struct_size;           /* set by instar_sql_options_init */
    uint32_t script_bytes_max;      /* [16 MiB; 1 … 256 MiB] */
    uint32_t statement_bytes_max;   /* [64 KiB; 1 … 16 MiB] */
    uint32_t statements_max;        /* [10000; 1 … 1000000] */
    uint32_t nesting_max;           /* parentheses and brackets open at once [100; 1 … 1000] */
    uint32_t expression_tokens_max; /* words and signs of one expression [1000; 1 … 10000] */
} instar_sql_options;
INSTAR_API void instar_sql_options_init(instar_sql_options *options);

/* Read a whole script: statements separated by semicolons. The text need not end in a zero and is
 * not kept. options may be NULL. Nothing is done yet; a script with an error anywhere gives none.
 * The script belongs to the caller; free it with instar_sql_free. It holds no store and may be used
 * for several, by one thread at a time.
 * Errors: EINVALID (a syntax error; a statement, clause, type or constant that is not supported:
 * named), EENCODING (no UTF-8, or a zero byte), ELIMIT (names the limit), ERANGE and ETYPE (a
 * default that its column cannot hold), ENOMEM. error_out may be NULL. */
INSTAR_API int instar_sql_read(const char *text, size_t size, const instar_sql_options *options,
                               instar_sql **sql_out, instar_sql_error *error_out);
INSTAR_API void instar_sql_free(instar_sql *sql);

/* ---- what it says ------------------------------------------------------------------------- */

enum instar_sql_verb {
    INSTAR_SQL_CREATE_TABLE = 1,
    INSTAR_SQL_DROP_TABLE = 2,
    INSTAR_SQL_CREATE_INDEX = 3,
    INSTAR_SQL_DROP_INDEX = 4,
    INSTAR_SQL_ALTER_TABLE = 5,
    INSTAR_SQL_RENAME_INDEX = 6,
    INSTAR_SQL_COMPOUND = 7, /* several, between BEGIN and COMMIT */
    INSTAR_SQL_VACUUM = 8,
    INSTAR_SQL_UNDO_CHANGE = 9,
    INSTAR_SQL_COMMENT_INDEX = 10,
    INSTAR_SQL_SHOW_CHANGES = 20,
    INSTAR_SQL_WAIT_CHANGE = 21,
    INSTAR_SQL_CANCEL_CHANGE = 22,
    INSTAR_SQL_PAUSE_CHANGE = 23,
    INSTAR_SQL_RESUME_CHANGE = 24,
    INSTAR_SQL_HOLD_CHANGE = 25,
    INSTAR_SQL_RELEASE_CHANGE = 26,
    INSTAR_SQL_RETUNE_CHANGE = 27
};

/* One statement: the request that it stands for. Fields that the verb does not need are zero. All
 * belongs to the script. */
typedef struct instar_sql_statement {
    enum instar_sql_verb verb;
    bool explain;  /* EXPLAIN stood before it: instar_sql_submit refuses it */
    uint32_t line; /* where it begins, as in instar_sql_error */
    uint32_t column;
    size_t offset;
    const char *text; /* as it was written, without the semicolon; no terminating zero */
    size_t text_size;
    const char *name;              /* the table or index that it is about; UNDO: the change */
    const instar_table_def *table; /* CREATE TABLE */
    const instar_index_def *index; /* CREATE INDEX */
    const instar_alteration
        *steps; /* ALTER TABLE, RENAME, COMMENT. A value of SET DEFAULT is here as
                 * it was written, a text, int8, float8 or bool; it gets
                 * the type of its column when it is submitted */
    size_t step_count;
    const struct instar_sql_statement *const *parts; /* COMPOUND: its statements */
    size_t part_count;
    const instar_change_options *options;   /* of a change; of a COMPOUND all of them together */
    uint64_t change;                        /* UNDO, WAIT, CANCEL, PAUSE and so on */
    const instar_change_steering *steering; /* PAUSE, RESUME, HOLD, RELEASE, RETUNE */
    const char *reason;                     /* of CANCEL, or NULL */
    const char *new_name;                   /* of UNDO, or NULL */
} instar_sql_statement;

/* How many statements there are, and one of them; NULL beyond the end. BEGIN and COMMIT are none:
 * what stands between them is one change and one statement here; several ALTER TABLE are one, other
 * statements become parts of a COMPOUND. EXPLAIN stands before BEGIN then. */
INSTAR_API size_t instar_sql_count(const instar_sql *sql);
INSTAR_API const instar_sql_statement *instar_sql_at(const instar_sql *sql, size_t at);
/* "create table" and so on; "?" for no such verb. */
INSTAR_API const char *instar_sql_verb_name(enum instar_sql_verb verb);

/* ---- doing it ----------------------------------------------------------------------------- */

/* Submit one statement: a change gets its id at once, as with the functions of instar.h; wait for
 * its verdict with instar_change_wait(). CANCEL asks for the end of its change and gives that id;
 * PAUSE, RESUME, HOLD, RELEASE and RETUNE steer theirs and give 0: there is nothing to wait for.
 * WAIT only gives the id; SHOW CHANGES does nothing here and gives 0 (call instar_change_list()).
 * Errors: those of instar_create_table() and its like; EINVALID (EXPLAIN: call
 * instar_sql_explain(); no such statement). error_out may be NULL. */
INSTAR_API int instar_sql_submit(instar *db, const instar_sql *sql, size_t at, uint64_t *change_out,
                                 instar_sql_error *error_out);
/* Say what a change would do, a line for each step, without doing it. fn returns 0 to go on;
 * another value stops and is returned.
 * Errors: EINVALID (not a schema change). */
INSTAR_API int instar_sql_explain(instar *db, const instar_sql *sql, size_t at,
                                  int (*fn)(void *arg, const char *line), void *arg,
                                  instar_sql_error *error_out);

/* ---- printing a schema -------------------------------------------------------------------- */

/* Write the statements that make a table and its indexes anew: CREATE TABLE, then one CREATE INDEX
 * for each that is public; one that a change is at work on is a comment. Its foreign keys are left
 * to the next function. Returns the length of the whole text (without the final zero), like
 * snprintf; it is cut when size is too small. */
INSTAR_API size_t instar_sql_format_table(const instar_table_info *info, char *text_out,
                                          size_t size);
/* The same for its foreign keys, an ALTER TABLE for each: to be read behind the statements of all
 * tables, so that no order of these matters. "" when it has none. */
INSTAR_API size_t instar_sql_format_fkeys(const instar_table_info *info, char *text_out,
                                          size_t size);

#ifdef __cplusplus
}
#endif

#endif
