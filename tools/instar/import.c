/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import: rows from CSV, a batch per transaction. When a batch fails as a whole (a unique index, a
 * limit), its rows are tried one by one, so that the offending line can be named.
 */
#include "cli.h"
#include "csv.h"
#include "input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One row that waits in the batch. */
struct pending {
    uint64_t line;
    instar_value *values;
    char *text; /* what the values point into */
};

struct import {
    struct cli *cli;
    struct cli_table table;
    struct csv csv;
    bool upsert, skip;
    struct pending *batch;
    size_t batch_count, batch_max;
    size_t failed_at;  /* row of the batch that failed */
    size_t bad_column; /* of the record that did not parse */
    uint64_t imported, skipped;
    bool stop;
    struct input input;
    struct cli_progress progress; /* in bytes of the file */
};

/* ---- reports ------------------------------------------------------------------------------ */

/* A bad line: told with its number; under --on-error stop it ends the import. */
static void bad_line(struct import *im, uint64_t line, const char *text)
{
    if (im->cli->json) {
        fprintf(stderr, "{\"line\": %" PRIu64 ", \"text\": ", line);
        out_json_string(stderr, text, strlen(text));
        fprintf(stderr, "}\n");
    } else {
        fprintf(stderr, "instar: import: line %" PRIu64 ": ", line);
        out_printable(stderr, text, strlen(text));
        fprintf(stderr, "\n");
    }
    if (im->skip) {
        im->skipped++;
    } else {
        im->stop = true;
    }
}

/* Is it the row's fault, not the store's? A table that was dropped meanwhile is not. */
static bool blames_row(int code)
{
    enum instar_class class = instar_error_class(code);

    return class == INSTAR_CLASS_RESULT ||
           (class == INSTAR_CLASS_CALLER && code != INSTAR_EUNKNOWN);
}

/* ---- writing ------------------------------------------------------------------------------ */

static int write_rows(struct import *im, instar_txn *txn, size_t from, size_t to)
{
    int rc = INSTAR_OK;

    for (size_t i = from; rc == INSTAR_OK && i < to; i++) {
        im->failed_at = i;
        rc = im->upsert ? instar_upsert(txn, im->table.projection, im->batch[i].values)
                        : instar_insert(txn, im->table.projection, im->batch[i].values);
    }
    return rc;
}

static int write_batch(instar_txn *txn, void *arg)
{
    struct import *im = arg;

    return write_rows(im, txn, 0, im->batch_count);
}

static int write_one(instar_txn *txn, void *arg)
{
    struct import *im = arg;

    return write_rows(im, txn, im->failed_at, im->failed_at + 1);
}

static int write_one_by_one(struct import *im)
{
    for (size_t i = 0; i < im->batch_count && !im->stop; i++) {
        int rc;

        im->failed_at = i;
        rc = instar_run(im->cli->db, 0, write_one, im);
        if (rc == INSTAR_OK) {
            im->imported++;
        } else if (blames_row(rc)) {
            bad_line(im, im->batch[i].line, instar_error_text());
        } else {
            return rc;
        }
    }
    return INSTAR_OK;
}

static int flush_batch(struct import *im)
{
    int rc = INSTAR_OK;

    if (im->batch_count > 0) {
        rc = instar_run(im->cli->db, 0, write_batch, im);
        if (rc == INSTAR_OK) {
            im->imported += im->batch_count;
        } else if (blames_row(rc)) {
            rc = write_one_by_one(im);
        }
    }
    for (size_t i = 0; i < im->batch_count; i++) {
        free(im->batch[i].values);
        free(im->batch[i].text);
    }
    im->batch_count = 0;
    return rc;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* A line that is no row. Where it ends the import, the rows before it are written first: one of
 * them may be refused, and that is the line to name. */
static int refuse_line(struct import *im, uint64_t line, const char *text)
{
    int rc = im->skip ? INSTAR_OK : flush_batch(im);

    if (rc == INSTAR_OK && !im->stop) {
        bad_line(im, line, text);
    }
    return rc;
}

/* Copy a record's fields and parse them. Each field has as much room again behind it, where the
 * value's bytes may lie. */
static int parse_record(struct import *im, struct pending *row)
{
    const struct csv *csv = &im->csv;
    char *at;

    row->line = csv->record_line;
    row->values = calloc(csv->count, sizeof(*row->values));
    row->text = malloc((csv->size + csv->count) * 2 + 1);
    if (row->values == NULL || row->text == NULL) {
        return INSTAR_ENOMEM;
    }
    at = row->text;
    for (size_t i = 0; i < csv->count; i++) {
        const struct csv_field *field = &csv->fields[i];
        int rc;

        if (field->size == 0 && !field->quoted) {
            continue; /* null */
        }
        memcpy(at, field->text, field->size);
        rc = instar_value_parse(instar_projection_type(im->table.projection, i), at, field->size,
                                at + field->size, field->size + 1, &row->values[i]);
        if (rc != INSTAR_OK) {
            im->bad_column = i;
            return rc;
        }
        at += field->size * 2 + 1;
    }
    return INSTAR_OK;
}

/* Name the column and the value, as far as it fits. */
static int refuse_field(struct import *im)
{
    const struct csv_field *field = &im->csv.fields[im->bad_column];
    char text[512];

    (void)snprintf(text, sizeof(text), "column %s: %s: '%.*s'",
                   instar_projection_column(im->table.projection, im->bad_column),
                   instar_error_text(), (int)(field->size < 80 ? field->size : 80), field->text);
    return refuse_line(im, im->csv.record_line, text);
}

static int take_record(struct import *im)
{
    struct pending *row = &im->batch[im->batch_count];
    const struct csv *csv = &im->csv;
    int rc;

    if (csv->count != im->table.column_count) {
        bool empty = csv->count == 1 && csv->size == 0 && !csv->fields[0].quoted;
        char text[128];

        (void)snprintf(text, sizeof(text), "%s%zu field%s, the header names %zu columns",
                       empty ? "an empty line: " : "", csv->count, csv->count == 1 ? "" : "s",
                       im->table.column_count);
        return refuse_line(im, csv->record_line, text);
    }
    rc = parse_record(im, row);
    if (rc == INSTAR_OK) {
        im->batch_count++;
        return im->batch_count == im->batch_max ? flush_batch(im) : INSTAR_OK;
    }
    free(row->values);
    free(row->text);
    if (rc == INSTAR_ENOMEM) {
        return rc;
    }
    return refuse_field(im);
}

/* Reading itself failed; Ctrl-C is no failure. */
static void report_reading(struct import *im, int number)
{
    if (cli_interrupted == 0) {
        (void)cli_error(im->cli, "see that the file can be read, then import the rest of it",
                        "%s: line %" PRIu64 ": reading failed: %s", im->cli->argv[1],
                        im->csv.record_line, strerror(number));
    }
}

static int read_all(struct import *im)
{
    int rc = INSTAR_OK;

    while (rc == INSTAR_OK && !im->stop && cli_interrupted == 0) {
        enum csv_result result = csv_next(&im->csv);

        if (result == CSV_END) {
            break;
        }
        if (result == CSV_FAILED) {
            report_reading(im, errno);
            im->stop = true;
        } else if (result == CSV_BAD) {
            rc = refuse_line(im, im->csv.record_line, im->csv.problem);
        } else {
            rc = take_record(im);
        }
        if (im->batch_count == 0) {
            cli_progress_to(&im->progress, im->input.got, im->imported);
        }
    }
    cli_progress_end(&im->progress);
    /* What stands before a bad line is kept: the message says how many rows that is. */
    if (rc == INSTAR_OK) {
        bool stopped = im->stop;

        im->stop = false;
        rc = flush_batch(im);
        im->stop = im->stop || stopped;
    }
    return rc;
}

/* ---- the command -------------------------------------------------------------------------- */

/* The header's names. */
static int header_names(struct import *im, struct cli_names *names)
{
    const struct csv *csv = &im->csv;

    for (size_t i = 0; i < csv->count; i++) {
        const struct csv_field *field = &csv->fields[i];

        if (field->size == 0 || memchr(field->text, '\0', field->size) != NULL) {
            return cli_error(im->cli, "the first line of the file names a column for each field",
                             "line 1: the name of column %zu %s", i + 1,
                             field->size == 0 ? "is empty" : "holds a zero byte");
        }
        if (!cli_names_add(names, field->text, field->size)) {
            return cli_fail(im->cli, INSTAR_ENOMEM, "import");
        }
    }
    return CLI_OK;
}

/* The header line, and the table by the columns that it names. */
static int open_by_header(struct import *im)
{
    struct cli_names names = {NULL, 0};
    enum csv_result result = csv_next(&im->csv);
    int rc;

    if (result == CSV_FAILED) {
        report_reading(im, errno);
        return cli_interrupted != 0 ? CLI_INTERRUPTED : CLI_FAILED;
    }
    if (result != CSV_RECORD) {
        return cli_error(im->cli, "the first line of the file names the columns", "line 1: %s",
                         im->csv.problem != NULL ? im->csv.problem : "the header line is missing");
    }
    rc = header_names(im, &names);
    if (rc == CLI_OK) {
        rc = cli_table_open(im->cli, im->cli->argv[0], &names, NULL, &im->table) == INSTAR_OK
                 ? CLI_OK
                 : CLI_FAILED;
    }
    cli_names_free(&names);
    if (rc == CLI_OK && im->upsert && im->table.missing_key[0] != '\0') {
        rc = cli_error(im->cli, "--upsert finds rows by their whole primary key",
                       "line 1: column %s of the primary key is not named", im->table.missing_key);
        cli_table_close(&im->table);
    }
    return rc;
}

static void print_counts(const struct import *im)
{
    if (im->cli->json) {
        printf("{\"imported\": %" PRIu64 ", \"skipped\": %" PRIu64 "}\n", im->imported,
               im->skipped);
    } else {
        printf("%" PRIu64 " rows imported, %" PRIu64 " lines skipped\n", im->imported, im->skipped);
    }
}

static int import_file(struct import *im)
{
    int rc = open_by_header(im);

    if (rc != CLI_OK) {
        return rc;
    }
    cli_progress_begin(&im->progress, im->cli, im->input.size);
    rc = read_all(im);
    cli_table_close(&im->table);
    if (rc != INSTAR_OK) {
        (void)cli_fail(im->cli, rc, "import");
    }
    print_counts(im);
    if (cli_interrupted != 0) {
        return CLI_INTERRUPTED;
    }
    return rc == INSTAR_OK && !im->stop ? CLI_OK : CLI_FAILED;
}

static int parse_import_options(struct import *im)
{
    const char *on_error = cli_option(im->cli, "on-error");
    uint64_t batch = 1000;
    int rc = cli_number(im->cli, "batch", UINT64_MAX, &batch);

    if (rc != CLI_OK) {
        return rc;
    }
    if (on_error != NULL && strcmp(on_error, "stop") != 0 && strcmp(on_error, "skip") != 0) {
        return cli_usage(im->cli, "--on-error: '%s' is neither stop nor skip", on_error);
    }
    if (batch < 1 || batch > 100000) {
        return cli_usage(im->cli, "--batch must be 1 to 100000");
    }
    im->skip = on_error != NULL && strcmp(on_error, "skip") == 0;
    im->upsert = cli_switch(im->cli, "upsert");
    im->batch_max = (size_t)batch;
    im->batch = calloc(im->batch_max, sizeof(*im->batch));
    return im->batch != NULL ? CLI_OK : cli_fail(im->cli, INSTAR_ENOMEM, "import");
}

int command_import(struct cli *cli)
{
    struct import im = {.cli = cli};
    const char *path = cli->argv[1];
    FILE *file;
    int rc = parse_import_options(&im);

    if (rc != CLI_OK) {
        return rc;
    }
    cli_catch_interrupts();
    file = input_open(path, &im.input);
    if (file == NULL) {
        rc = cli_error(cli, "give the path of a CSV file, or - for standard input", "'%s': %s",
                       path, strerror(errno));
        free(im.batch);
        return rc;
    }
    csv_open(&im.csv, file);
    rc = import_file(&im);
    csv_close(&im.csv);
    free(im.batch);
    (void)fclose(file);
    return rc;
}
