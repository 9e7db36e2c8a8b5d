/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instar tool: what its files share. Each command is one entry of a table: its name, arguments,
 * options and function; help and parsing come from there.
 */
#ifndef INSTAR_CLI_H
#define INSTAR_CLI_H

#include <instar.h>

#include <signal.h>
#include <stdio.h>

/* Exit codes. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 };

#define CLI_OPTIONS_MAX 20

struct cli_option {
    const char *name;     /* without the dashes; NULL ends a list */
    const char *argument; /* its name in the help, or NULL for a switch */
    const char *help;
};

struct cli;
struct cli_command {
    const char *name;
    const char *arguments; /* for the help */
    const char *what;      /* one line */
    const char *more;      /* more lines for --help, or NULL */
    const struct cli_option *options;
    int min_arguments, max_arguments; /* after STORE; max -1: any number */
    int (*run)(struct cli *cli);
    bool runs_changes; /* this process helps running changes while it waits */
    bool no_store;     /* STORE is not opened beforehand */
};

/* One run of the tool. */
struct cli {
    const struct cli_command *command;
    const char *store;
    int argc; /* arguments after STORE */
    char **argv;
    const char
        *values[CLI_OPTIONS_MAX]; /* per option; "" for a switch that is set, NULL: not given */
    bool json;
    bool csv; /* rows as import reads them */
    bool header;
    instar *db;
};

/* An option by name: NULL when not given. */
const char *cli_option(const struct cli *cli, const char *name);
bool cli_switch(const struct cli *cli, const char *name);
/* A number up to `max` with an optional suffix K, M, G, T (of 1024) from an option: CLI_OK, or
 * CLI_USAGE with a message. *value_out is left alone when the option was not given. */
int cli_number(const struct cli *cli, const char *name, uint64_t max, uint64_t *value_out);
int cli_number_u32(const struct cli *cli, const char *name, uint32_t *value_out);

/* Run the program of that name; returns only when there is none. argv[0] is "torture". */
int cli_torture(char **argv);

/* Print the failure of a library call to standard error; returns CLI_FAILED. */
int cli_fail(const struct cli *cli, int code, const char *doing);
/* The same of a value that a column of this name refuses. */
int cli_fail_value(const struct cli *cli, int code, const char *column, const char *text);
/* A failure of our own with its remedy (CLI_FAILED), and a wrong call (CLI_USAGE). */
int cli_error(const struct cli *cli, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* After cli_catch_interrupts() Ctrl-C and SIGTERM set this: for commands that look at it. */
extern volatile sig_atomic_t cli_interrupted;
void cli_catch_interrupts(void);

/* ---- the call (parse.c) ------------------------------------------------------------------- */

/* NULL when there is none. */
const struct cli_command *cli_find_command(const char *name);
/* The options and arguments after the command's name. -1 when the command is to run, else the exit
 * code: help was printed, or the call is wrong and it was said how. */
int cli_parse(struct cli *cli, int argc, char **argv);
/* "; did you mean ...?" of the command that is nearest, or "". */
#define CLI_HINT_MAX 160
const char *cli_command_hint(const char *name, char hint[CLI_HINT_MAX]);
void cli_print_help(const struct cli_command *command);

/* ---- output (out.c) ----------------------------------------------------------------------- */

/* Details are left out on a terminal. */
enum out_kind { OUT_TEXT, OUT_NUMBER, OUT_BOOL, OUT_TEXT_DETAIL, OUT_NUMBER_DETAIL };

struct out_column {
    const char *name;
    enum out_kind kind;
};
/* A cell; text NULL is null. */
struct out_cell {
    const char *text;
    size_t size;
};

/* A table of rows: aligned on a terminal, tab-separated in a pipe (escapes as in PostgreSQL's COPY:
 * \t \n \r \\, null is \N), an array of objects with --json. */
struct out;
struct out *out_begin(const struct cli *cli, const struct out_column *columns, size_t count);
void out_row(struct out *out, const struct out_cell *cells);
/* Flush; CLI_FAILED when standard output failed. */
int out_end(struct out *out);

/* What a command says that prints nothing otherwise: with --json {"WHAT": 1}. CLI_OK. */
int cli_written(const struct cli *cli, const char *what);

/* A cell of a string, and of a number that is formatted into `buffer`. */
#define OUT_NUMBER_SIZE 32
struct out_cell out_text(const char *text);
struct out_cell out_u64(uint64_t value, char buffer[OUT_NUMBER_SIZE]);
struct out_cell out_bool(bool value);
/* Strings for JSON, with quotes; and for a terminal, control characters shown as \xNN. */
void out_json_string(FILE *file, const char *text, size_t size);
void out_printable(FILE *file, const char *text, size_t size);

/* ---- progress (progress.c) ---------------------------------------------------------------- */

/* On a clock that only runs forward. */
uint64_t cli_now_ms(void);
/* A line that the next one is drawn over; nothing unless a person looks on. */
void cli_draw_line(const struct cli *cli, const char *text);
void cli_clear_line(const struct cli *cli);

/* How far a command has come, drawn when it takes over two seconds. Of what `total` counts is the
 * command's to say; 0: it is not known. */
struct cli_progress {
    const struct cli *cli;
    uint64_t total;
    uint64_t began_ms, drawn_ms;
    bool drawn;
    bool bytes; /* what counts is bytes, not rows: to be set after it has begun */
};
void cli_progress_begin(struct cli_progress *p, const struct cli *cli, uint64_t total);
void cli_progress_to(struct cli_progress *p, uint64_t done, uint64_t rows);
void cli_progress_end(struct cli_progress *p);

/* ---- rows (rows.c) ------------------------------------------------------------------------ */

/* A list of names (names.c). */
struct cli_names {
    const char **list;
    size_t count;
};
/* A copy of a name at the end; false: out of memory. */
bool cli_names_add(struct cli_names *names, const char *name, size_t size);
/* "a,b" of an option, empty when it was not given. CLI_OK, or CLI_USAGE with a message. */
int cli_names_option(const struct cli *cli, const char *option, struct cli_names *names_out);
void cli_names_free(struct cli_names *names);

/* A table as a command sees it. */
struct cli_table {
    const char *name;
    instar_projection *projection;
    size_t column_count;
    size_t key_count;
    size_t *key; /* column positions of the primary key, in key order */
    char missing_key[INSTAR_NAME_BYTES_MAX + 1]; /* a key column that is not among them, or "" */
};
/* All columns (or the named ones), by the named index or the primary key. */
int cli_table_open(struct cli *cli, const char *name, const struct cli_names *columns,
                   const char *index, struct cli_table *table_out);
void cli_table_close(struct cli_table *table);
/* Parse one text as a value of a type; the bytes lie in memory that *owned_out holds. */
#define CLI_TYPES                                                                                \
    "bool, int2, int4, int8, numeric(p,s), float8, text, varchar(n), bytea, timestamptz, date, " \
    "time, uuid"
/* "int4", "varchar(20)", "numeric(10,2)": false for no type. */
bool cli_type(const char *text, enum instar_type *type_out, uint32_t *length_max_out);
int cli_value(enum instar_type type, const char *text, size_t size, instar_value *value_out,
              char **owned_out);

/* ---- commands ----------------------------------------------------------------------------- */

extern const struct cli_command cli_commands[];

int command_init(struct cli *cli);
int command_tables(struct cli *cli);
int command_schema(struct cli *cli);
int command_create_table(struct cli *cli);
int command_drop_table(struct cli *cli);
int command_create_index(struct cli *cli);
int command_drop_index(struct cli *cli);
int command_alter_table(struct cli *cli);
int command_rename_index(struct cli *cli);
int command_put(struct cli *cli);
int command_get(struct cli *cli);
int command_delete(struct cli *cli);
int command_scan(struct cli *cli);
int command_import(struct cli *cli);
int command_changes(struct cli *cli);
int command_failure(struct cli *cli);
int command_wait(struct cli *cli);
int command_pause(struct cli *cli);
int command_resume(struct cli *cli);
int command_hold(struct cli *cli);
int command_release(struct cli *cli);
int command_retune(struct cli *cli);
int command_cancel(struct cli *cli);
int command_nodes(struct cli *cli);
int command_check(struct cli *cli);
int command_stat(struct cli *cli);
int command_metrics(struct cli *cli);
int command_export(struct cli *cli);
int command_backup(struct cli *cli);
int command_restore(struct cli *cli);
int command_repair(struct cli *cli);
int command_dump(struct cli *cli);
int command_sql(struct cli *cli);
int command_undo(struct cli *cli);
int command_vacuum(struct cli *cli);

int cli_change_id(const struct cli *cli, uint64_t *id_out); /* the first argument; CLI_USAGE */
int cli_steered(const struct cli *cli, uint64_t change);    /* print how it is steered now */
/* Wait for a change with a progress line on a terminal (wait.c); what all commands that submit one
 * end with, unless --no-wait was given. */
int cli_follow(struct cli *cli, uint64_t change);
/* The same of one whose end was asked for: CLI_OK when it was cancelled. */
int cli_follow_cancel(struct cli *cli, uint64_t change);
/* The list of all changes. */
int cli_list_changes(struct cli *cli);

/* For instar_table_list(): the statements that make a table (sql.c). */
int cli_print_sql(void *arg, const instar_table_info *info);
/* Its foreign keys, behind all tables. */
int cli_print_fkeys(void *arg, const instar_table_info *info);
/* "a" or "b:desc", or with ":nulls-first" behind it: a key column. The name is cut out of `text` in
 * place, when it is one. An expression stands in parentheses. */
bool cli_key_column(char *text, instar_key_column *column);
/* What the options of a command say of a change, the rest as it is by default (schema.c). CLI_OK,
 * or CLI_USAGE with a message. */
int cli_change_options(const struct cli *cli, instar_change_options *options);
/* After a submission that gave rc: follow it, or print its id. */
int cli_submitted(struct cli *cli, int rc, uint64_t change);
/* The same of a change that takes a name, the command's first argument, and nothing else. */
int cli_change_named(struct cli *cli,
                     int (*submit)(instar *db, const char *name,
                                   const instar_change_options *options, uint64_t *change_out));

#endif
