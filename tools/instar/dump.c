/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump: save what can be read of a store that is damaged, as schema.sql and a CSV file for each
 * table; and foreign-keys.sql, if there are any, for when the rows are there again. Each table is
 * read by a child process of its own, which a damaged page may end; then another one reads the
 * table from its end, up to where the first one came or as far as it can. Rows that do not read are
 * left out and named. What is written is of the latest commit, and of one snapshot for each table.
 */
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY_TEXT_MAX 4096
#define NAMED_MAX 20      /* rows that were left out, told one by one */
#define SKIPPED_MAX 10000 /* in a row: then the table's end is not in sight */

/* Shared with the child. */
struct saved {
    uint64_t rows, skipped;
    bool ended;               /* the scan came to its end, or to `last` */
    char last[KEY_TEXT_MAX];  /* key of the row that was written last */
    char words[KEY_TEXT_MAX]; /* why the scan ended before its end */
};

struct dump {
    struct cli *cli;
    const char *folder;
    struct cli_names tables;
    bool refers; /* a table has foreign keys */
    struct saved *saved;
};

static int open_store(struct cli *cli)
{
    instar_options options;

    instar_options_init(&options);
    options.flags |= INSTAR_OPEN_SALVAGE;
    return instar_open(cli->store, &options, &cli->db);
}

/* A name that is one on every file system: what is not a letter, digit, - or _ as %XX. */
static void path_of(const struct dump *d, const char *table, const char *ending, char out[1024])
{
    size_t at = (size_t)snprintf(out, 1024, "%.600s/", d->folder);

    for (const char *c = table; *c != '\0' && at < 1000; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '-' || *c == '_';

        at += (size_t)snprintf(out + at, 1024 - at, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    (void)snprintf(out + at, 1024 - at, "%s", ending);
}

/* ---- a table, in a child ------------------------------------------------------------------ */

static void key_text(const struct cli_table *table, const instar_value *values,
                     char out[KEY_TEXT_MAX])
{
    size_t at = 0;

    for (size_t i = 0; i < table->key_count && at < KEY_TEXT_MAX; i++) {
        const instar_value *value = &values[table->key[i]];

        at += instar_value_format(value, out + at, KEY_TEXT_MAX - at);
        if (at + 1 < KEY_TEXT_MAX) {
            out[at++] = '\x1f';
            out[at] = '\0';
        }
    }
}

/* One row after the other; those that do not read are passed over. */
static void save_rows(struct dump *d, const struct cli_table *table, instar_cursor *cursor,
                      struct row_printer *printer, instar_value *values, const char *until)
{
    struct saved *s = d->saved;
    static char key[KEY_TEXT_MAX];
    uint64_t in_a_row = 0;

    while (in_a_row < SKIPPED_MAX) {
        int rc = instar_cursor_next(cursor, values);

        if (rc == INSTAR_END) {
            s->ended = true;
            return;
        }
        if (rc != INSTAR_OK) {
            (void)snprintf(s->words, sizeof(s->words), "%s", instar_error_text());
            if (rc != INSTAR_ECORRUPT || in_a_row++ == SKIPPED_MAX) {
                return;
            }
            if (s->skipped++ < NAMED_MAX) {
                fprintf(stderr, "instar: left out: ");
                out_printable(stderr, s->words, strlen(s->words));
                fprintf(stderr, "\n");
            }
            continue;
        }
        in_a_row = 0;
        key_text(table, values, key);
        if (until[0] != '\0' && strcmp(key, until) == 0) {
            s->ended = true;
            return;
        }
        printer_row(printer, values);
        if (fflush(stdout) != 0) {
            (void)snprintf(s->words, sizeof(s->words), "writing failed: %s", strerror(errno));
            return;
        }
        memcpy(s->last, key, sizeof(key));
        s->rows++;
    }
}

/* All columns, and the row id behind them where that is the key: it tells rows apart, and is not
 * written. */
static int open_whole(struct cli *cli, const char *name, struct cli_table *table)
{
    struct cli_names names = {NULL, 0};
    int rc = cli_table_open(cli, name, NULL, NULL, table);
    bool ok = true;

    if (rc != INSTAR_OK || table->missing_key[0] == '\0') {
        return rc;
    }
    for (size_t i = 0; ok && i < table->column_count; i++) {
        const char *column = instar_projection_column(table->projection, i);

        ok = cli_names_add(&names, column, strlen(column));
    }
    ok = ok && cli_names_add(&names, table->missing_key, strlen(table->missing_key));
    cli_table_close(table);
    rc = ok ? cli_table_open(cli, name, &names, NULL, table) : INSTAR_ENOMEM;
    cli_names_free(&names);
    if (rc == INSTAR_OK) {
        table->column_count--;
    }
    return rc;
}

static int save(struct dump *d, const char *name, const char *path, bool reverse, const char *until)
{
    struct cli *cli = d->cli;
    instar_range range = {.reverse = reverse};
    struct row_printer printer = {0};
    struct cli_table table;
    instar_cursor *cursor = NULL;
    instar_txn *txn = NULL;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_APPEND | (reverse ? 0 : O_CREAT | O_EXCL), 0600);
    int rc;

    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) {
        return cli_error(cli, "see whether there is room", "%s: %s", path, strerror(errno));
    }
    cli->csv = true;
    cli->json = false;
    cli->header = !reverse;
    rc = open_store(cli);
    if (rc != INSTAR_OK || open_whole(cli, name, &table) != INSTAR_OK) {
        return rc != INSTAR_OK ? cli_fail(cli, rc, "opening the store") : CLI_FAILED;
    }
    instar_value *values = calloc(table.column_count + 1, sizeof(*values));

    rc = values == NULL || !printer_open(cli, &table, &printer)
             ? INSTAR_ENOMEM
             : instar_begin(cli->db, INSTAR_TXN_READONLY, &txn);
    rc = rc == INSTAR_OK ? instar_scan(txn, table.projection, &range, &cursor) : rc;
    if (rc != INSTAR_OK) {
        (void)snprintf(d->saved->words, sizeof(d->saved->words), "%s", instar_error_text());
        return CLI_FAILED;
    }
    save_rows(d, &table, cursor, &printer, values, until);
    (void)out_end(printer.out);
    (void)fsync(STDOUT_FILENO);
    return CLI_OK; /* the child ends here; the store needs no more */
}

/* Run by a child: false when it was ended by what it read. */
static bool save_in_child(struct dump *d, const char *name, bool reverse)
{
    char path[1024], until[KEY_TEXT_MAX];
    int status = 0;
    pid_t child;

    path_of(d, name, ".csv", path);
    memcpy(until, d->saved->last, sizeof(until));
    d->saved->ended = false;
    d->saved->words[0] = '\0';
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        _exit(save(d, name, path, reverse, reverse ? until : ""));
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child < 0 || WIFSIGNALED(status)) {
        (void)snprintf(d->saved->words, sizeof(d->saved->words),
                       "a damaged page ended the process that read it (%s)",
                       child < 0 ? strerror(errno) : strsignal(WTERMSIG(status)));
    }
    return d->saved->ended;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int take_table(void *arg, const instar_table_info *info)
{
    struct dump *d = arg;

    (void)cli_print_sql(NULL, info);
    d->refers = d->refers || info->fkey_count > 0;
    return cli_names_add(&d->tables, info->name, strlen(info->name)) ? 0 : INSTAR_ENOMEM;
}

/* What is printed goes to a new file from now on. */
static int print_into(const struct dump *d, const char *name)
{
    char path[1024];
    int fd;

    path_of(d, name, ".sql", path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0
               ? CLI_OK
               : cli_error(d->cli, "see whether there is room", "%s: %s", path, strerror(errno));
}

/* The schema into its file, and the names of the tables, through a pipe, to the parent. */
static int save_schema(struct dump *d, int names)
{
    int rc = print_into(d, "schema");

    if (rc != CLI_OK) {
        return rc;
    }
    rc = open_store(d->cli);
    rc = rc == INSTAR_OK ? instar_table_list(d->cli->db, NULL, take_table, d) : rc;
    if (rc == INSTAR_OK && d->refers) {
        if (fflush(stdout) != 0 || fsync(STDOUT_FILENO) != 0) {
            return CLI_FAILED;
        }
        if (print_into(d, "foreign-keys") != CLI_OK) {
            return CLI_FAILED;
        }
        rc = instar_table_list(d->cli->db, NULL, cli_print_fkeys, NULL);
    }
    if (rc != INSTAR_OK) {
        return cli_fail(d->cli, rc, "reading the schema");
    }
    for (size_t i = 0; i < d->tables.count; i++) {
        size_t size = strlen(d->tables.list[i]) + 1;

        if (write(names, d->tables.list[i], size) != (ssize_t)size) {
            return CLI_FAILED;
        }
    }
    return fflush(stdout) == 0 && fsync(STDOUT_FILENO) == 0 ? CLI_OK : CLI_FAILED;
}

static int read_names(struct dump *d, int fd)
{
    char name[INSTAR_NAME_BYTES_MAX + 1], c;
    size_t size = 0;
    ssize_t got;

    while ((got = read(fd, &c, 1)) == 1 || (got < 0 && errno == EINTR)) {
        if (got == 1 && c == '\0') {
            if (!cli_names_add(&d->tables, name, size)) {
                return INSTAR_ENOMEM;
            }
            size = 0;
        } else if (got == 1 && size < INSTAR_NAME_BYTES_MAX) {
            name[size++] = c;
        }
    }
    return INSTAR_OK;
}

static int get_tables(struct dump *d)
{
    int ends[2], status = 0, rc;
    pid_t child;

    (void)fflush(NULL);
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        return cli_error(d->cli, "see the limits of processes and open files", "%s",
                         strerror(errno));
    }
    if (child == 0) {
        (void)close(ends[0]);
        _exit(save_schema(d, ends[1]));
    }
    (void)close(ends[1]);
    rc = read_names(d, ends[0]);
    (void)close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        return cli_error(d->cli, "repair it first, or restore it from a backup",
                         "the catalog cannot be read: %s", strsignal(WTERMSIG(status)));
    }
    return rc == INSTAR_OK && WEXITSTATUS(status) == 0 ? CLI_OK : CLI_FAILED;
}

static bool save_table(struct dump *d, struct out *out, const char *name)
{
    char rows[OUT_NUMBER_SIZE], skipped[OUT_NUMBER_SIZE], path[1024], words[KEY_TEXT_MAX];
    struct saved *s = d->saved;
    bool whole;

    memset(s, 0, sizeof(*s));
    whole = save_in_child(d, name, false);
    memcpy(words, s->words, sizeof(words));
    if (!whole) {
        (void)save_in_child(d, name, true);
    } else if (s->skipped == 0) {
        words[0] = '\0';
    }
    path_of(d, name, ".csv", path);
    out_row(out,
            (struct out_cell[]){out_text(name), out_text(path), out_u64(s->rows, rows),
                                out_u64(s->skipped, skipped), out_bool(whole), out_text(words)});
    return whole && s->skipped == 0;
}

static int dump(struct dump *d)
{
    static const struct out_column columns[] = {{"table", OUT_TEXT},      {"file", OUT_TEXT},
                                                {"rows", OUT_NUMBER},     {"left_out", OUT_NUMBER},
                                                {"to_the_end", OUT_BOOL}, {"text", OUT_TEXT}};
    int rc = get_tables(d), rc_out;
    struct out *out;
    bool whole = true;

    if (rc != CLI_OK) {
        return rc;
    }
    out = out_begin(d->cli, columns, sizeof(columns) / sizeof(columns[0]));
    for (size_t i = 0; i < d->tables.count; i++) {
        whole = save_table(d, out, d->tables.list[i]) && whole;
    }
    rc_out = out_end(out);
    return whole ? rc_out : CLI_FAILED;
}

int command_dump(struct cli *cli)
{
    struct dump d = {.cli = cli, .folder = cli->argv[0]};
    int rc;

    if (mkdir(d.folder, 0700) != 0) {
        return cli_error(cli, "give the path of a new directory", "%s: %s", d.folder,
                         strerror(errno));
    }
    d.saved =
        mmap(NULL, sizeof(*d.saved), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (d.saved == MAP_FAILED) {
        return cli_error(cli, "free memory", "%s", strerror(errno));
    }
    rc = dump(&d);
    cli_names_free(&d.tables);
    (void)munmap(d.saved, sizeof(*d.saved));
    return rc;
}
