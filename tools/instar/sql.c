/* SPDX-License-Identifier: Apache-2.0 */
/* sql: a script of schema changes; schema --sql: the script that makes a schema anew. */
#include "cli.h"
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <instar_sql.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the text ----------------------------------------------------------------------------- */

struct text {
    char *bytes;
    size_t size;
};

/* All of a file, up to one byte over what a script may have: the library says that it is too much.
 */
static int read_file(struct cli *cli, const char *path, size_t bytes_max, struct text *text)
{
    struct input in;
    FILE *file = input_open(path, &in);
    size_t got;

    if (file == NULL) {
        return cli_error(cli, "see whether the path is right", "%s: %s", path, strerror(errno));
    }
    text->bytes = malloc(bytes_max + 1);
    if (text->bytes == NULL) {
        (void)fclose(file);
        return cli_fail(cli, INSTAR_ENOMEM, "sql");
    }
    do {
        errno = 0;
        got = fread(text->bytes + text->size, 1, bytes_max + 1 - text->size, file);
        text->size += got;
    } while (got > 0 && cli_interrupted == 0);
    int failed = ferror(file) != 0 ? errno : 0;

    (void)fclose(file);
    if (cli_interrupted != 0) {
        return CLI_INTERRUPTED;
    }
    return failed == 0
               ? CLI_OK
               : cli_error(cli, "see whether it is a file", "%s: %s", path, strerror(failed));
}

static int get_text(struct cli *cli, size_t bytes_max, struct text *text)
{
    const char *path = cli_option(cli, "file");

    if (cli->argc > 0 && path != NULL) {
        return cli_usage(cli, "the text and --file exclude each other");
    }
    if (cli->argc > 0) {
        text->size = strlen(cli->argv[0]);
        text->bytes = strdup(cli->argv[0]);
        return text->bytes != NULL ? CLI_OK : cli_fail(cli, INSTAR_ENOMEM, "sql");
    }
    return read_file(cli, path != NULL ? path : "-", bytes_max, text);
}

/* ---- one statement ------------------------------------------------------------------------ */

/* "line 3, column 14" goes before what is wrong. */
static int fail_at(const struct cli *cli, const instar_sql_error *error)
{
    if (cli->json) {
        fprintf(stderr,
                "{\"error\": \"%s\", \"line\": %" PRIu32 ", \"column\": %" PRIu32
                ", \"offset\": %zu, \"text\": ",
                instar_error_name(error->code), error->line, error->column, error->offset);
        out_json_string(stderr, error->text, strlen(error->text));
        fprintf(stderr, ", \"remedy\": ");
        out_json_string(stderr, instar_error_remedy(error->code),
                        strlen(instar_error_remedy(error->code)));
        fprintf(stderr, "}\n");
        return CLI_FAILED;
    }
    fprintf(stderr, "instar: sql: ");
    if (error->line != 0) {
        fprintf(stderr, "line %" PRIu32 ", column %" PRIu32 ": ", error->line, error->column);
    }
    out_printable(stderr, error->text, strlen(error->text));
    fprintf(stderr, "\n  %s: %s\n", instar_error_name(error->code),
            instar_error_remedy(error->code));
    return CLI_FAILED;
}

static int print_line(void *arg, const char *line)
{
    const struct cli *cli = arg;

    if (cli->json) {
        printf("{\"explain\": ");
        out_json_string(stdout, line, strlen(line));
        printf("}\n");
    } else {
        out_printable(stdout, line, strlen(line));
        putchar('\n');
    }
    return 0;
}

/* A change that was submitted and came to nothing; its verdict is printed. */
static int stopped_at(const struct cli *cli, const instar_sql_statement *s)
{
    if (cli->json) {
        fprintf(stderr, "{\"stopped\": true, \"line\": %" PRIu32 ", \"column\": %" PRIu32 "}\n",
                s->line, s->column);
    } else {
        fprintf(stderr,
                "instar: sql: stopped at the statement of line %" PRIu32 ", column %" PRIu32 "\n",
                s->line, s->column);
    }
    return CLI_FAILED;
}

static int run_statement(struct cli *cli, const instar_sql *sql, size_t at)
{
    const instar_sql_statement *s = instar_sql_at(sql, at);
    instar_sql_error error;
    uint64_t change = 0;
    int rc;

    if (s->explain) {
        rc = instar_sql_explain(cli->db, sql, at, print_line, cli, &error);
        return rc == INSTAR_OK ? CLI_OK : fail_at(cli, &error);
    }
    if (s->verb == INSTAR_SQL_SHOW_CHANGES) {
        return cli_list_changes(cli);
    }
    rc = instar_sql_submit(cli->db, sql, at, &change, &error);
    if (rc != INSTAR_OK) {
        return fail_at(cli, &error);
    }
    if (s->verb >= INSTAR_SQL_PAUSE_CHANGE) {
        return cli_steered(cli, s->change);
    }
    rc = s->verb == INSTAR_SQL_CANCEL_CHANGE ? cli_follow_cancel(cli, change)
                                             : cli_follow(cli, change);
    return rc == CLI_FAILED ? stopped_at(cli, s) : rc;
}

int command_sql(struct cli *cli)
{
    instar_sql_options options;
    instar_sql_error error;
    struct text text = {NULL, 0};
    instar_sql *sql = NULL;
    int rc;

    instar_sql_options_init(&options);
    rc = cli_number_u32(cli, "statement-bytes", &options.statement_bytes_max);
    rc = rc == CLI_OK ? get_text(cli, options.script_bytes_max, &text) : rc;
    if (rc == CLI_OK &&
        instar_sql_read(text.bytes, text.size, &options, &sql, &error) != INSTAR_OK) {
        rc = fail_at(cli, &error);
    }
    free(text.bytes);
    for (size_t i = 0; rc == CLI_OK && i < instar_sql_count(sql); i++) {
        rc = cli_interrupted == 0 ? run_statement(cli, sql, i) : CLI_INTERRUPTED;
    }
    instar_sql_free(sql);
    return rc;
}

/* ---- schema --sql ------------------------------------------------------------------------- */

static int print_sql(size_t (*format)(const instar_table_info *info, char *text, size_t size),
                     const instar_table_info *info)
{
    size_t size = format(info, NULL, 0);
    char *text = malloc(size + 1);

    if (text == NULL) {
        return INSTAR_ENOMEM;
    }
    (void)format(info, text, size + 1);
    fwrite(text, 1, size, stdout);
    free(text);
    return 0;
}

int cli_print_sql(void *arg, const instar_table_info *info)
{
    (void)arg;
    return print_sql(instar_sql_format_table, info);
}

int cli_print_fkeys(void *arg, const instar_table_info *info)
{
    (void)arg;
    return print_sql(instar_sql_format_fkeys, info);
}
