/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ddl: what the files of libinstar-sql share.
 *
 * text.c      where statements and words begin and end, limits, places in the text
 * grammar.c   the one file that knows libpg_query: a statement becomes a tree of nodes
 * heap.c      its memory; worker.c: the thread in which it runs
 * tree.c      taking a tree apart, so that nothing in it is overlooked
 * map.c       nodes -> the requests of instar.h; alter.c: ALTER; type.c: types and constants
 * group.c     what stands between BEGIN and COMMIT
 * fkey.c      foreign keys; comment.c: COMMENT ON
 * expr.c      expressions; clause.c: the names of what is refused
 * control.c   SHOW, WAIT, CANCEL, UNDO, EXPLAIN: what PostgreSQL's grammar does not have
 * trailing.c  WITH (…) at the end of statements for which it has none
 * script.c    the public functions that read and submit
 * explain.c, explain_table.c, explain_several.c, print.c
 */
#ifndef INSTAR_DDL_IMPL_H
#define INSTAR_DDL_IMPL_H

#include <instar_sql.h>
#include <pthread.h>

/* ---- memory ------------------------------------------------------------------------------- */

#if defined(INSTAR_TEST)
/* Called before each request, libpg_query's too; false makes it fail. NULL: not used. */
extern bool (*_Atomic ddl_alloc_hook)(size_t size);
#endif
/* As in the C library, whose free() takes it back. */
void *ddl_malloc(size_t size);
void *ddl_calloc(size_t count, size_t size);
void *ddl_realloc(void *p, size_t size);

/* Everything of one script lies in one arena and goes with it. */
struct ddl_arena {
    struct ddl_block *blocks;
};

/* Zeroed; NULL when out of memory. */
void *ddl_alloc(struct ddl_arena *arena, size_t size);
/* A copy with a final zero. */
char *ddl_copy(struct ddl_arena *arena, const char *text, size_t size);
void ddl_arena_free(struct ddl_arena *arena);

/* ---- words of the text -------------------------------------------------------------------- */

enum ddl_token_kind {
    DDL_WORD,   /* a keyword or a plain name */
    DDL_QUOTED, /* "a name" */
    DDL_STRING, /* '…', $$…$$ and their like, with their quotes */
    DDL_NUMBER,
    DDL_SIGN /* one character */
};

struct ddl_token {
    enum ddl_token_kind kind;
    const char *at;
    size_t size;
};

struct ddl_lexer {
    const char *at;
    const char *end;
    const char *open; /* a comment that has no end */
};

/* The next word, comments and blanks left out; false at the end. */
bool ddl_next(struct ddl_lexer *lexer, struct ddl_token *token_out);
/* Is it this keyword, in whatever case? */
bool ddl_is(const struct ddl_token *token, const char *word);

/* ---- a script that is being read ---------------------------------------------------------- */

struct ddl_statement {
    instar_sql_statement info;            /* what the caller sees */
    const struct ddl_constant *constants; /* of ALTER TABLE, for each step: what SET DEFAULT says */
    struct ddl_statement **parts;         /* of a COMPOUND */
    size_t part_room;
    struct ddl_statement *next;
};

/* Line and column of an offset. */
struct ddl_spot {
    size_t offset;
    uint32_t line, column;
};

struct instar_sql {
    struct ddl_arena arena;
    const char *text; /* a copy */
    size_t size;
    instar_sql_options limits;
    instar_sql_error error;
    struct ddl_spot spot; /* the last one that was asked for */
    struct ddl_statement *first;
    struct ddl_statement **end; /* where the next one is hung in */
    struct ddl_statement *last;
    size_t count;
    struct ddl_statement **list; /* the same by number, made when all is read */
    /* An open BEGIN. */
    bool grouped;
    size_t group_offset;
    bool group_explain;                /* EXPLAIN stood before it */
    struct ddl_statement *group_first; /* the first change in it, or all of them as one */
};

/* One statement of the text, from its first word to its last. */
struct ddl_piece {
    size_t offset;
    size_t size;
};

/* The statement at or after *at, which moves behind its semicolon. INSTAR_END when none is left;
 * ELIMIT, EINVALID (a name that is too long: PostgreSQL's scanner would cut it) with a place. */
int ddl_next_piece(instar_sql *sql, size_t *at, struct ddl_piece *piece_out);

/* The length of what an error shows of a text: at most so many bytes, and whole characters. */
int ddl_cut(const char *text, size_t size, size_t most);
/* Fail at an offset of the text: fills the error and returns the code. */
int ddl_fail(instar_sql *sql, int code, size_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void ddl_place(instar_sql *sql, size_t offset, uint32_t *line_out, uint32_t *column_out);

/* Why a call failed: the engine's words, which a want of memory need not have. Until the next call.
 */
const char *ddl_reason(int code);
/* The failure of a statement as a whole: returns the code. error_out may be NULL. */
int ddl_fail_statement(const instar_sql_statement *s, int code, const char *text,
                       instar_sql_error *error_out);

/* ---- trees -------------------------------------------------------------------------------- */

enum ddl_value { DDL_MESSAGE, DDL_TEXT, DDL_INTEGER, DDL_FLAG, DDL_NAME };

/* A node of a statement's tree: a message of PostgreSQL's grammar with its fields as children, or
 * the value of a field. Fields that are not set are not there. A list is several children with
 * the same field name. */
struct ddl_node {
    enum ddl_value value;
    const char *kind;  /* of a message: "CreateStmt"; otherwise NULL */
    const char *field; /* its name in the parent */
    const char *text;  /* DDL_TEXT; the name of an enum's value */
    int64_t integer;
    bool has_place;
    size_t offset; /* in the script */
    bool taken;    /* somebody has looked at it */
    struct ddl_node *parent, *first, *next;
};

/* Parse one statement. NULL when it is empty. The tree lies in the script's arena. In ddl_run()
 * only. */
int ddl_parse(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node **node_out);
/* Is a plain name a word of PostgreSQL's grammar that cannot name a thing everywhere? */
bool ddl_needs_quotes(const char *name);

/* Call fn(arg), which calls libpg_query and holds nothing else meanwhile. False: a request for
 * memory was refused, and it was left half way; or one was earlier in the same errand. */
bool ddl_heap_run(void (*fn)(void *arg), void *arg);
/* At the end of an errand. True: libpg_query was left half way, so it must not be called again in
 * this thread; its memory is given back. */
bool ddl_heap_clear(void);
/* In the child of a fork(): the thread is gone, and wherever it was with its memory. */
void ddl_heap_forget(void);

/* What our copy of libpg_query calls in place of the C library's functions. */
void *ddl_libc_malloc(size_t size);
void *ddl_libc_realloc(void *p, size_t size);
void ddl_libc_free(void *p);
char *ddl_libc_strdup(const char *text);
int ddl_libc_pthread_key_create(pthread_key_t *key, void (*end)(void *value));
int ddl_libc_pthread_setspecific(pthread_key_t key, const void *value);

/* Call fn(arg) in the thread of libpg_query and wait for its end; false: there is no such thread,
 * nothing was done. Any thread but that one. */
bool ddl_run(void (*fn)(void *arg), void *arg);

/* Look at a field: the (first) child of that name, marked as taken, or NULL. */
struct ddl_node *ddl_take(struct ddl_node *node, const char *field);
/* The same without marking it. */
const struct ddl_node *ddl_peek(const struct ddl_node *node, const char *field);
/* The next element of the same list, or NULL. */
struct ddl_node *ddl_take_next(struct ddl_node *node);
const char *ddl_take_text(struct ddl_node *node, const char *field); /* NULL: not set */
/* The first part of a name with its schema, and how many parts there are. pg_catalog, which the
 * grammar itself writes before what it knows by keyword, is none. */
const char *ddl_take_qualified(struct ddl_node *node, const char *field, size_t *parts_out);
bool ddl_take_flag(struct ddl_node *node, const char *field);
/* Take an enum when its value has this name; another value stays for the refusal. */
bool ddl_take_name(struct ddl_node *node, const char *field, const char *value);
size_t ddl_count(const struct ddl_node *node, const char *field);
bool ddl_node_is(const struct ddl_node *node, const char *kind);
/* The names in a field, a list. NULL: no memory. */
const char *const *ddl_take_names(instar_sql *sql, struct ddl_node *node, const char *field,
                                  size_t *count_out);

#define DDL_WORDS_SIZE 320

/* ---- mapping ------------------------------------------------------------------------------ */

/* Refuse this node: "not supported: CLAUSE", at its place or at the clause's own word. */
int ddl_refuse(instar_sql *sql, const struct ddl_piece *piece, const struct ddl_node *node);
/* Refuse the first node that nobody took; 0 when there is none. */
int ddl_refuse_untaken(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node);
/* Where the node begins, or else the statement. */
size_t ddl_offset(const struct ddl_piece *piece, const struct ddl_node *node);

/* The request of a statement other than those of control.c. */
int ddl_map(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node);
/* EXPLAIN is taken off the front of the piece. */
int ddl_explain(instar_sql *sql, struct ddl_piece *piece, bool *explain_out);
/* A statement that PostgreSQL's grammar does not have: *known_out says so. */
int ddl_control(instar_sql *sql, const struct ddl_piece *piece, bool *known_out);
/* WITH (…) at the end of the piece, which then ends in front of it. *found_out: false when there is
 * none. */
int ddl_trailing(instar_sql *sql, struct ddl_piece *piece, instar_change_options *options,
                 bool *found_out);
/* It belongs to the statement that was read last. */
int ddl_apply_trailing(instar_sql *sql, const struct ddl_piece *piece,
                       const instar_change_options *options);
/* Fail at the next word, or at the end of the statement. */
int ddl_expected(instar_sql *sql, struct ddl_lexer *lexer, const char *what);
/* A whole number, at most max. */
int ddl_read_number(instar_sql *sql, struct ddl_lexer *lexer, uint64_t max, uint64_t *number_out);
/* on or true, off or false. */
int ddl_read_switch(instar_sql *sql, struct ddl_lexer *lexer, bool *on_out);
/* Append a statement. */
int ddl_add(instar_sql *sql, const struct ddl_piece *piece, const instar_sql_statement *info);

/* An expression as the text that the engine compiles. */
int ddl_expression(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                   const char **text_out);
/* CHECK and UNIQUE constraints and foreign keys, in growing number. */
struct ddl_checks {
    instar_check_def *list;
    size_t count;
    instar_unique_def *uniques;
    size_t unique_count;
    instar_fkey_def *fkeys;
    size_t fkey_count;
    const char *table; /* that the statement is about */
};
/* Take a constraint of which the type PRIMARY KEY was taken. */
struct ddl_key_of {
    const char *table;  /* its name */
    const char *column; /* behind which it stands, or NULL */
};
int ddl_key(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *constraint,
            const struct ddl_key_of *of, const instar_key_column **key_out, size_t *count_out);
/* Take a constraint of which the type FOREIGN was taken (fkey.c); column as below. */
int ddl_fkey(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *constraint,
             const char *column, struct ddl_checks *checks);
/* Take a constraint of which the type UNIQUE was taken; column: behind which it stands, or NULL. */
int ddl_unique(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *constraint,
               const char *column, struct ddl_checks *checks);
/* Take a constraint of which the type CHECK was taken. */
int ddl_check(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *constraint,
              struct ddl_checks *checks);
/* A column definition, and the checks behind it. *key_out is what said PRIMARY KEY there, or NULL.
 */
int ddl_column(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
               instar_column_def *column, struct ddl_node **key_out, struct ddl_checks *checks);
/* The name of the table that a statement is about: NULL with a failure for ONLY and its like. */
int ddl_table_name(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *statement,
                   const char **name_out);
/* ALTER TABLE (alter.c). */
int ddl_map_alter_table(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node);
int ddl_map_rename(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node);
/* COMMENT ON (comment.c). */
int ddl_map_comment(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node);
/* The name that the table has after the steps of an ALTER TABLE. */
const char *ddl_name_after(const instar_sql_statement *info);
/* Why both cannot be one statement (NULL: they can; "": they are parts of one change; else the end
 * of a sentence: not even that), and making them one: the second one's steps go behind the first
 * one's. */
const char *ddl_cannot_join(const struct ddl_statement *first, const struct ddl_statement *second);
int ddl_join(instar_sql *sql, struct ddl_statement *first, const struct ddl_statement *second);
/* The statement that was read last stands between BEGIN and COMMIT (group.c): it becomes one with
 * those before it, or is refused. */
int ddl_group(instar_sql *sql, const struct ddl_piece *piece);
/* Which of the parts it was that the text says failed; the text then is without its number. The
 * group itself when it does not say. */
const instar_sql_statement *ddl_failed_part(const instar_sql_statement *group, const char **text);
int ddl_submit_group(instar *db, const struct ddl_statement *s, uint64_t *change_out,
                     char words[DDL_WORDS_SIZE]);
instar_change_options *ddl_new_options(instar_sql *sql, uint32_t flags);
/* A TypeName. length_out: of a varchar(n) or numeric(p,s), left as it is for others; NULL: those
 * are refused, and numeric alone is taken. */
int ddl_type(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
             enum instar_type *type_out, uint32_t *length_out);
/* The type of a cast; the digits of a numeric(p,s), or 0. */
int ddl_cast_type(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                  enum instar_type *type_out, uint32_t *digits_out);
/* Can each value of the column be one of the new type? */
bool ddl_type_widens(const instar_column_info *from, const instar_column_def *to);
/* Is it another type for those who check its values? */
bool ddl_type_is_other(const instar_column_info *from, const instar_column_def *to);
/* A constant as it was written: text, int8, numeric, float8 or bool, null, or the type of its cast.
 */
struct ddl_constant {
    instar_value value;
    bool cast;     /* has the type of its cast */
    bool computed; /* is what an expression came to, of its type */
    size_t offset;
};
int ddl_constant(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                 struct ddl_constant *constant_out);
/* The same as a value of a column of that type; not for null. What was written must be what is
 * meant: a string for any type, a number for the number types, true and false for bool. PostgreSQL
 * would cast some of the others, by rules that are not here. The bytes are in the constant or in
 * `scratch`, which has room for those of a text. Fills `words` when it fails. */
int ddl_fit(const struct ddl_constant *constant, enum instar_type type, char *scratch,
            instar_value *value_out, char words[DDL_WORDS_SIZE]);
/* With the arena as scratch, and failing at the offset. */
int ddl_fit_here(instar_sql *sql, size_t offset, const struct ddl_constant *constant,
                 enum instar_type type, instar_value *value_out);
/* The steps of an ALTER TABLE as a store wants them. */
struct ddl_alteration {
    instar_alteration *steps;
    instar_value *values;
    char **rooms; /* of texts and bytes in the values */
    size_t count;
};
/* Zeroed before; to be freed after a failure too. words are "" where the engine has its own. */
int ddl_alteration_make(instar *db, const struct ddl_statement *s,
                        struct ddl_alteration *alteration_out, char words[DDL_WORDS_SIZE]);
void ddl_alteration_free(struct ddl_alteration *alteration);

/* WITH (name = value, …), the children "options" of a node. */
/* INSTAR_CHANGE_… of an option that is on or off; 0: there is none of that name. */
uint32_t ddl_change_flag(const char *name, size_t size);
/* One with a number: where it goes, and the most that it may be. */
struct ddl_number {
    const char *name;
    size_t field, size;
    uint64_t max;
};
const struct ddl_number *ddl_change_number(const char *name, size_t size); /* NULL: there is none */
unsigned ddl_number_rank(const struct ddl_number *number);                 /* from 0 on, below 16 */
void ddl_set_number(instar_change_options *options, const struct ddl_number *number,
                    uint64_t value);
/* What there is for every change, in words. */
#define DDL_CHANGE_OPTIONS                                                     \
    "backfill_workers, rows_per_second, bytes_per_second, sort_memory_bytes, " \
    "latency_target_ms, fence_after_ms, pause, hold, hurry, keep_waiting, give_up"
int ddl_change_options(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                       instar_change_options *options);

#endif
