/* SPDX-License-Identifier: Apache-2.0 */
/* scan and export: rows in the order of the primary key or an index. */
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Types of the key that a scan follows: the index's own columns, or the primary key's. */
struct scan_key {
    const char *index;
    char names[INSTAR_INDEX_COLUMNS_MAX][INSTAR_NAME_BYTES_MAX + 1];
    enum instar_type types[INSTAR_INDEX_COLUMNS_MAX];
    size_t count;
};

/* What is scanned, and how far it is. */
struct scan {
    struct cli *cli;
    struct cli_table table;
    struct scan_key key;
    struct parsed from, to;
    uint64_t limit, printed;
    uint64_t rows; /* of the table, an estimate */
};

static int take_scan_key(void *arg, const instar_table_info *info)
{
    struct scan *s = arg;
    struct scan_key *key = &s->key;
    const instar_key_column *columns = info->key;

    s->rows = info->rows;
    key->count = info->key_count;
    for (size_t i = 0; key->index != NULL && i < info->index_count; i++) {
        if (strcmp(info->indexes[i].name, key->index) == 0) {
            columns = info->indexes[i].columns;
            key->count = info->indexes[i].column_count;
        }
    }
    for (size_t i = 0; i < key->count; i++) {
        (void)snprintf(key->names[i], sizeof(key->names[i]), "%s",
                       columns[i].name != NULL ? columns[i].name : columns[i].expression);
        key->types[i] = columns[i].type;
    }
    return INSTAR_OK;
}

/* The last column takes the rest of the text, so that a text key may hold commas. */
static int parse_bound(struct cli *cli, const char *option, const struct scan_key *key,
                       struct parsed *bound)
{
    const char *text = cli_option(cli, option);

    while (text != NULL && bound->count < key->count) {
        const char *comma = bound->count + 1 < key->count ? strchr(text, ',') : NULL;
        size_t size = comma != NULL ? (size_t)(comma - text) : strlen(text);
        int rc = cli_value(key->types[bound->count], text, size, &bound->values[bound->count],
                           &bound->owned[bound->count]);

        if (rc != INSTAR_OK) {
            char doing[INSTAR_NAME_BYTES_MAX + 128];

            (void)snprintf(doing, sizeof(doing), "--%s: %s=%.*s", option, key->names[bound->count],
                           (int)(size < 100 ? size : 100), text);
            return cli_fail(cli, rc, doing);
        }
        bound->count++;
        text = comma != NULL ? comma + 1 : NULL;
    }
    return CLI_OK;
}

static int scan_rows(struct scan *s, instar_txn *txn, const instar_range *range,
                     struct row_printer *printer, instar_value *values)
{
    struct cli_progress progress;
    instar_cursor *cursor = NULL;
    int rc = instar_scan(txn, s->table.projection, range, &cursor);

    cli_progress_begin(&progress, s->cli, s->rows < s->limit ? s->rows : s->limit);
    while (rc == INSTAR_OK && s->printed < s->limit && cli_interrupted == 0 &&
           ferror(stdout) == 0) {
        rc = instar_cursor_next(cursor, values);
        if (rc == INSTAR_OK) {
            printer_row(printer, values);
            s->printed++;
        }
        if (s->cli->csv && s->printed % 256 == 0) {
            cli_progress_to(&progress, s->printed, s->printed);
        }
    }
    cli_progress_end(&progress);
    instar_cursor_close(cursor);
    return rc;
}

static int print_scan(struct scan *s)
{
    instar_range range = {.lower = s->from.values,
                          .lower_count = s->from.count,
                          .upper = s->to.values,
                          .upper_count = s->to.count,
                          .reverse = cli_switch(s->cli, "reverse")};
    struct row_printer printer = {0};
    instar_value *values = calloc(s->table.column_count, sizeof(*values));
    instar_txn *txn = NULL;
    int rc_out;
    int rc = values == NULL || !printer_open(s->cli, &s->table, &printer)
                 ? INSTAR_ENOMEM
                 : instar_begin(s->cli->db, INSTAR_TXN_READONLY, &txn);

    rc = rc ? rc : scan_rows(s, txn, &range, &printer, values);
    rc_out = out_end(printer.out);
    if (rc != INSTAR_OK && rc != INSTAR_END) {
        rc_out = cli_fail(s->cli, rc, s->cli->command->name);
    } else if (cli_interrupted != 0) {
        rc_out = CLI_INTERRUPTED;
    }
    instar_abort(txn);
    printer_close(&printer);
    free(values);
    return rc_out;
}

static int scan_open(struct cli *cli, struct scan *s)
{
    struct cli_names columns;
    int rc;

    *s = (struct scan){.cli = cli, .key.index = cli_option(cli, "index"), .limit = UINT64_MAX};
    rc = cli_number(cli, "limit", UINT64_MAX, &s->limit);
    rc = rc == CLI_OK ? cli_names_option(cli, "columns", &columns) : rc;
    if (rc != CLI_OK) {
        return rc;
    }
    rc = cli_table_open(cli, cli->argv[0], &columns, s->key.index, &s->table);
    cli_names_free(&columns);
    if (rc != INSTAR_OK) {
        return CLI_FAILED;
    }
    cli_catch_interrupts();
    rc = instar_table_list(cli->db, cli->argv[0], take_scan_key, s);
    rc = rc == INSTAR_OK ? parse_bound(cli, "from", &s->key, &s->from)
                         : cli_fail(cli, rc, cli->command->name);
    return rc == CLI_OK ? parse_bound(cli, "to", &s->key, &s->to) : rc;
}

static void scan_close(struct scan *s)
{
    parsed_free(&s->from);
    parsed_free(&s->to);
    cli_table_close(&s->table);
}

int command_scan(struct cli *cli)
{
    struct scan s;
    int rc = scan_open(cli, &s);

    rc = rc == CLI_OK ? print_scan(&s) : rc;
    scan_close(&s);
    return rc;
}

/* ---- export ------------------------------------------------------------------------------- */

/* Standard output becomes a new file; *before_out is what it was. */
static int redirect(const struct cli *cli, const char *path, int *before_out)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        return cli_error(cli,
                         errno == EEXIST ? "remove the file, or give another path"
                                         : "give the path of a new file, or - for standard output",
                         "'%s': %s", path, strerror(errno));
    }
    (void)fflush(stdout);
    *before_out = dup(STDOUT_FILENO);
    if (*before_out < 0 || dup2(fd, STDOUT_FILENO) < 0) {
        int rc = cli_error(cli, "see the limit of open files", "'%s': %s", path, strerror(errno));

        (void)close(fd);
        (void)unlink(path);
        return rc;
    }
    (void)close(fd);
    return CLI_OK;
}

/* Standard output is itself again. A file is whole and on the disk, or gone. */
static int direct_back(const struct cli *cli, const char *path, int before, int rc)
{
    if (rc == CLI_OK && fsync(STDOUT_FILENO) != 0) {
        rc = cli_error(cli, "see whether there is room", "'%s': %s", path, strerror(errno));
    } else if (rc != CLI_OK && ferror(stdout) != 0) {
        (void)cli_error(cli, "see whether there is room", "'%s': writing failed", path);
    }
    clearerr(stdout);
    (void)dup2(before, STDOUT_FILENO);
    (void)close(before);
    if (rc != CLI_OK) {
        (void)unlink(path);
    }
    return rc;
}

static int export_to(struct scan *s, const char *path)
{
    int before = -1;
    int rc = redirect(s->cli, path, &before);

    if (rc != CLI_OK) {
        return rc;
    }
    s->cli->csv = true;
    rc = direct_back(s->cli, path, before, print_scan(s));
    s->cli->csv = false;
    if (rc == CLI_OK) {
        printf(s->cli->json ? "{\"exported\": %" PRIu64 "}\n" : "%" PRIu64 " rows exported\n",
               s->printed);
    }
    return rc;
}

int command_export(struct cli *cli)
{
    const char *path = cli->argc > 1 ? cli->argv[1] : "-";
    struct scan s;
    int rc;

    if (cli->json && strcmp(path, "-") == 0) {
        return cli_usage(cli, "CSV is not JSON: give a FILE, or use scan --json");
    }
    rc = scan_open(cli, &s);
    if (rc == CLI_OK && strcmp(path, "-") != 0) {
        rc = export_to(&s, path);
    } else if (rc == CLI_OK) {
        cli->csv = true;
        rc = print_scan(&s);
    }
    scan_close(&s);
    return rc;
}
