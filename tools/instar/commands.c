/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: help, parsing and completion come from here. */
#include "cli.h"

static const struct cli_option no_options[] = {{NULL, NULL, NULL}};

static const struct cli_option init_options[] = {
    {"segment-bytes", "N", "size of a log segment [64M]"},
    {"map-bytes", "N", "largest size of the trees [1024G]"},
    {"trees", "N", "tables plus indexes at most [4096]"},
    {"nodes", "N", "processes at once at most [256]"},
    {NULL, NULL, NULL}};

static const struct cli_option create_table_options[] = {
    {"key", "COL[:desc],...", "the primary key; without it rows go by a number, @row_id"},
    {"if-not-exists", NULL, "succeed when an equal table exists, join a change that creates it"},
    {"no-wait", NULL, "print the change's id and return"},
    {NULL, NULL, NULL}};

static const struct cli_option drop_options[] = {
    {"if-exists", NULL, "succeed when it does not exist"},
    {"fence-after", "MS", "a transaction that holds the change up longer loses its lease [30000]"},
    {"no-wait", NULL, "print the change's id and return"},
    {NULL, NULL, NULL}};

static const struct cli_option drop_table_options[] = {
    {"if-exists", NULL, "succeed when it does not exist"},
    {"undo-window", "S", "keep it for so many seconds: `instar undo` brings it back [0]"},
    {"fence-after", "MS", "a transaction that holds the change up longer loses its lease [30000]"},
    {"no-wait", NULL, "print the change's id and return"},
    {NULL, NULL, NULL}};

static const struct cli_option undo_options[] = {
    {"as", "NAME", "another name for the table, or for the column"},
    {"nullable", NULL, "a column that was NOT NULL comes back without that"},
    {"fence-after", "MS", "a transaction that holds the change up longer loses its lease [30000]"},
    {"no-wait", NULL, "print the change's id and return"},
    {NULL, NULL, NULL}};

static const struct cli_option vacuum_options[] = {
    {"overwrite", NULL, "of the whole store: zeros in place of all that was deleted"},
    {"rate", "ROWS", "read at most so many rows per second"},
    {"bytes-rate", "BYTES", "read at most so many bytes of rows per second"},
    {"latency-target", "MS", "stand back more while durable commits take longer than that"},
    {"hurry", NULL, "do not stand back for commits: done sooner, writers suffer"},
    {"fence-after", "MS", "a transaction that holds the change up longer loses its lease [30000]"},
    {"no-wait", NULL, "print the change's id and return"},
    {NULL, NULL, NULL}};

static const struct cli_option create_index_options[] = {
    {"unique", NULL, "no two rows may have equal values (nulls are never equal)"},
    {"where", "EXPR", "a partial index: only of rows for which this SQL expression is true"},
    {"include", "A,B", "columns that the index carries along: scans that name no others are fast"},
    {"if-not-exists", NULL, "join a change that creates the same index, or succeed at once"},
    {"rate", "ROWS", "build at most so many rows per second"},
    {"bytes-rate", "BYTES", "read at most so many bytes of rows per second"},
    {"latency-target", "MS", "stand back more while durable commits take longer than that"},
    {"workers", "N", "threads of the build [one per core]"},
    {"sort-memory", "N", "memory for sorting [256M]"},
    {"fence-after", "MS", "a transaction that holds the change up longer loses its lease [30000]"},
    {"hurry", NULL, "do not stand back for commits: done sooner, writers suffer"},
    {"keep-waiting", NULL, "wait for transactions that hold it up, however long"},
    {"give-up", NULL, "fail and undo all when they hold it up longer than --fence-after"},
    {"hold", NULL, "stop before the last step; `instar release` lets it end"},
    {"no-wait", NULL, "print the change's id and return"},
    {NULL, NULL, NULL}};

static const struct cli_option schema_options[] = {
    {"sql", NULL, "print statements that make the same schema in another store"},
    {NULL, NULL, NULL}};

static const struct cli_option sql_options[] = {
    {"file", "FILE", "read the script from this file [standard input]"},
    {"statement-bytes", "N", "length of a statement at most [64K]"},
    {NULL, NULL, NULL}};

static const struct cli_option alter_options[] = {
    {"if-exists", NULL, "leave out what does not exist: steps, or all when it is the table"},
    {"if-not-exists", NULL, "leave out add-column when it is there as defined"},
    {"undo-window", "S", "keep dropped columns for so many seconds: see `instar undo` [0]"},
    {"fence-after", "MS", "a transaction that holds the change up longer loses its lease [30000]"},
    {"no-wait", NULL, "print the change's id and return"},
    {NULL, NULL, NULL}};

static const struct cli_option put_options[] = {
    {"insert", NULL, "fail when the row exists"},
    {"update", NULL, "fail when the row does not exist"},
    {NULL, NULL, NULL}};

static const struct cli_option get_options[] = {{"columns", "A,B", "only these columns"},
                                                {NULL, NULL, NULL}};

static const struct cli_option scan_options[] = {
    {"index", "NAME", "in the order of this index [the primary key]"},
    {"from", "V[,V]", "first key in that order, inclusive; a prefix of its columns will do"},
    {"to", "V[,V]", "last key, inclusive"},
    {"limit", "N", "at most so many rows"},
    {"reverse", NULL, "from the end"},
    {"columns", "A,B", "only these columns"},
    {NULL, NULL, NULL}};

static const struct cli_option import_options[] = {
    {"on-error", "stop|skip", "what to do with a bad line [stop]"},
    {"upsert", NULL, "replace rows that exist"},
    {"batch", "N", "rows per transaction [1000]"},
    {NULL, NULL, NULL}};

static const struct cli_option changes_options[] = {
    {"running", NULL, "only those that have not ended"}, {NULL, NULL, NULL}};

static const struct cli_option retune_options[] = {
    {"rate", "ROWS", "build at most so many rows per second; 0: no limit"},
    {"bytes-rate", "BYTES", "the same in bytes of rows; 0: no limit"},
    {"latency-target", "MS", "stand back more while durable commits take longer; 0: no target"},
    {"workers", "N", "threads of the build, from its next checkpoint on; 0: one per core"},
    {"fence-after", "MS", "a transaction that holds the change up longer loses its lease"},
    {"hurry", NULL, "do not stand back for commits"},
    {"no-hurry", NULL, "stand back for commits again"},
    {"keep-waiting", NULL, "wait for transactions that hold it up, however long"},
    {"give-up", NULL, "fail and undo all when they hold it up longer than --fence-after"},
    {"fence", NULL, "fence them then, after all"},
    {NULL, NULL, NULL}};

static const struct cli_option wait_options[] = {
    {"timeout", "MS", "wait at most so long [for ever]"},
    {"stage", "NAME", "only until it has come to that stage, such as build"},
    {NULL, NULL, NULL}};

static const struct cli_option cancel_options[] = {
    {"no-wait", NULL, "do not wait until it is undone"},
    {"reason", "WORDS", "why; kept with the change"},
    {NULL, NULL, NULL}};

static const struct cli_option repair_options[] = {
    {"cut-log", NULL,
     "where the middle of the log is damaged: let it end at its last\n"
     "                             whole record, and lose all commits behind that"},
    {NULL, NULL, NULL}};

static const struct cli_option check_options[] = {
    {"fast", NULL, "pages and log alone, no rows"},
    {"full", NULL, "everything [this]"},
    {"after-io-error", NULL,
     "read what was promised past the page cache; if it is there, the\n"
     "                             store that has stopped opens again"},
    {"untrusted", NULL,
     "do not open the store: look at its files, in a process that can\n"
     "                             write nothing and is limited"},
    {"time-limit", "S", "seconds that an untrusted store may take [600]"},
    {NULL, NULL, NULL}};

static const struct cli_option restore_options[] = {
    {"to", "LSN|TIME", "up to this position or time [all that is in the backup]"},
    {NULL, NULL, NULL}};

const struct cli_command cli_commands[] = {
    {"init", "", "make a new store", "Makes the directory STORE (mode 0700) with an empty store.",
     init_options, 0, 0, command_init, false, true},
    {"tables", "", "list the tables", NULL, no_options, 0, 0, command_tables, false, false},
    {"schema", "[TABLE]", "print tables and indexes as definitions",
     "Shows the stage of an index, NOT NULL or CHECK that a change is at work on.", schema_options,
     0, 1, command_schema, false, false},
    {"sql", "[TEXT]", "run a script of schema changes in SQL",
     "CREATE TABLE, ALTER TABLE, DROP TABLE, CREATE [UNIQUE] INDEX, ALTER INDEX, DROP INDEX,\n"
     "COMMENT ON, VACUUM, SHOW CHANGES, UNDO / WAIT / CANCEL / PAUSE / RESUME / HOLD / RELEASE /\n"
     "RETUNE CHANGE id, EXPLAIN statement; what stands between BEGIN and COMMIT, about one table\n"
     "or several, is one change. docs/ddl.md has all of it.\n"
     "The whole text is read first: a mistake in it is found before anything is done. Then each\n"
     "statement is waited for; the first that fails ends the script.\n"
     "Example: instar sql db 'CREATE UNIQUE INDEX by_size ON files (size DESC, path)'",
     sql_options, 0, 1, command_sql, true, false},
    {"create-table", "TABLE COL:TYPE[:not-null][:default=VALUE]...", "create a table",
     "Types: bool int2 int4 int8 numeric(p,s) float8 text varchar(n) bytea timestamptz date time\n"
     "uuid.\n"
     "Example: instar create-table db files path:text size:int8:not-null --key path",
     create_table_options, 2, -1, command_create_table, true, false},
    {"drop-table", "TABLE", "drop a table with its indexes", NULL, drop_table_options, 1, 1,
     command_drop_table, true, false},
    {"create-index", "INDEX TABLE COL|(EXPR)[:desc][:nulls-first|:nulls-last]...",
     "create an index while others read and write",
     "Example: instar create-index db by_size files size:desc '(lower(path))' --unique\n"
     "Ctrl-C leaves the change running; follow it with `instar wait`.",
     create_index_options, 3, 2 + INSTAR_INDEX_COLUMNS_MAX, command_create_index, true, false},
    {"drop-index", "INDEX", "drop an index", NULL, drop_options, 1, 1, command_drop_index, true,
     false},
    {"alter-table", "TABLE STEP [, STEP]...", "alter a table while others read and write",
     "Steps, all in one change, public together; each sees what those before it did:\n"
     "  add-column COL TYPE [not-null] [default VALUE]\n"
     "  drop-column COL            rename-column COL NEW\n"
     "  set-default COL VALUE      drop-default COL\n"
     "  set-not-null COL           drop-not-null COL\n"
     "  set-type COL TYPE [using]  using: also by a cast that is not made by itself\n"
     "  rename-to NEW              rename-index INDEX NEW\n"
     "A comma between two steps is an argument of its own. No row is rewritten.\n"
     "Example: instar alter-table db files add-column owner text default root , drop-column old\n"
     "A VALUE that begins with - goes after --.",
     alter_options, 2, -1, command_alter_table, true, false},
    {"rename-index", "INDEX NEW", "rename an index", NULL, drop_options, 2, 2, command_rename_index,
     true, false},
    {"undo", "ID", "bring back a dropped table or dropped columns",
     "ID is the change that dropped them with --undo-window; `instar changes` tells it. A table\n"
     "comes back with its rows and indexes, a column with what it held. Indexes and constraints\n"
     "that were dropped together with a column are named and do not come back.",
     undo_options, 1, 1, command_undo, true, false},
    {"vacuum", "[TABLE]", "rewrite rows of older layouts, while others read and write",
     "Gives the space of dropped columns back and lets the table's old layouts go. Ctrl-C leaves\n"
     "the change running; pause, resume, retune and cancel work as for an index build.\n"
     "--overwrite, without a TABLE and while nobody else has the store open, overwrites what was\n"
     "deleted with zeros, in data.mdb and the log; the manual says what that does not reach.",
     vacuum_options, 0, 1, command_vacuum, true, false},
    {"put", "TABLE COL=VALUE...", "write one row",
     "Inserts the row, or sets the given columns when its key exists. COL without = is null.",
     put_options, 2, -1, command_put, false, false},
    {"get", "TABLE KEY...", "print one row",
     "KEY: a value for each column of the primary key; after -- when one begins with -.",
     get_options, 2, 1 + INSTAR_INDEX_COLUMNS_MAX, command_get, false, false},
    {"delete", "TABLE KEY...", "delete one row",
     "KEY: a value for each column of the primary key; after -- when one begins with -.",
     no_options, 2, 1 + INSTAR_INDEX_COLUMNS_MAX, command_delete, false, false},
    {"scan", "TABLE", "print rows in order of the primary key or an index", NULL, scan_options, 1,
     1, command_scan, false, false},
    {"import", "TABLE FILE", "read rows from a CSV file",
     "The first line names the columns; quoting by RFC 4180. FILE - is standard input.\n"
     "An empty field is null, a quoted empty field is the empty text.",
     import_options, 2, 2, command_import, false, false},
    {"export", "TABLE [FILE]", "write rows as CSV",
     "What import reads: a header line, quoting by RFC 4180, nothing for null, a quoted nothing\n"
     "for the empty text. All rows are of one snapshot. FILE is made, with mode 0600, and is\n"
     "whole or not there; without it, or with -, rows go to standard output.",
     scan_options, 1, 2, command_export, false, false},
    {"changes", "[ID]", "list schema changes, running and ended",
     "A terminal shows the columns that matter most, a pipe and --json show all.", changes_options,
     0, 1, command_changes, false, false},
    {"failure", "ID", "list the rows for which a change failed",
     "At most ten, or three rows of each of ten keys; count says how many there are in all.",
     no_options, 1, 1, command_failure, false, false},
    {"wait", "ID", "follow a change until its verdict",
     "Runs the change itself when the process that ran it is gone. Exit code 0: complete.",
     wait_options, 1, 1, command_wait, true, false},
    {"cancel", "ID", "stop a change and undo it", NULL, cancel_options, 1, 1, command_cancel, true,
     false},
    {"pause", "ID", "let a change stand still",
     "It stands still within a batch of its work, whoever runs it. No reader and no writer waits\n"
     "for it, further changes of its table do. A cancel\n"
     "ends it all the same.",
     no_options, 1, 1, command_pause, false, false},
    {"resume", "ID", "let a paused change go on", NULL, no_options, 1, 1, command_resume, false,
     false},
    {"hold", "ID", "let a change stop before its last step",
     "All work is done up to the last point from which it can be undone; `release` lets it end.",
     no_options, 1, 1, command_hold, false, false},
    {"release", "ID", "let a held change take its last step", NULL, no_options, 1, 1,
     command_release, false, false},
    {"retune", "ID", "change rate, threads or patience of a running change", NULL, retune_options,
     1, 1, command_retune, false, false},
    {"nodes", "", "list the processes that have the store open", NULL, no_options, 0, 0,
     command_nodes, false, false},
    {"check", "", "verify pages, log, every row and index entry",
     "Prints one line per finding; exit code 0 only when there is none. Works beside writers, in\n"
     "a process of its own: if damage ends that, it is a finding.",
     check_options, 0, 0, command_check, false, true},
    {"backup", "TO", "copy the store while it is in use",
     "Makes the directory TO (mode 0700) with all that was committed before the call, whoever\n"
     "goes on writing meanwhile. Ctrl-C gives it up and leaves nothing.",
     no_options, 1, 1, command_backup, false, false},
    {"restore", "STORE", "make a new store from a backup",
     "Verifies every byte of the backup. TIME as 2026-01-31 12:00:00; what can be restored is\n"
     "told when LSN or TIME is outside of it.",
     restore_options, 1, 1, command_restore, false, true},
    {"repair", "", "mend what can be mended without guessing",
     "A meta page of data.mdb from the other one (the file is copied first), an index from its\n"
     "table (before-repair, in the store, is then a backup of it as it was). What else is damaged\n"
     "is told. Nobody may have the store open. --cut-log copies what it takes away to\n"
     "log.before-cut, and prints which commits are lost.",
     repair_options, 0, 0, command_repair, false, true},
    {"dump", "DIRECTORY", "save what can be read of a damaged store",
     "Makes DIRECTORY with schema.sql and a CSV file for each table. Rows that cannot be read are\n"
     "left out and named. Exit code 0 only when nothing was.",
     no_options, 1, 1, command_dump, false, true},
    {"stat", "", "print figures of the store", NULL, no_options, 0, 0, command_stat, false, false},
    {"metrics", "", "print figures for Prometheus",
     "Text format 0.0.4: the store, its tables, the processes and their leases, running changes.",
     no_options, 0, 0, command_metrics, false, false},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, false, false},
};
