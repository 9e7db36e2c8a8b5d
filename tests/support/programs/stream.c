/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does what it is told to a store, for tests/differential/stream.py: schema changes as SQL text,
 * rows through the library.
 *
 * Argument: where to make the store. Input, a line each, fields between tabs:
 *
 *     ddl     SQL                             one change, to its verdict; UNDO LAST: of the last
 *     insert  table  columns  values …        columns between commas, \N for null
 *     update  table  key  columns  values …   key: its columns between commas, whose values come
 *     delete  table  key  values …            first
 *     dump    table                           all rows in the order of the primary key
 *     scan    table  index  columns           these columns, in the order of the index
 *     comments table                          what COMMENT ON has said of it and all it has
 *     check                                   the checker
 *
 * Output, a line each: "ok", rows (values between commas, rows between tabs), or "!" and the name
 * of the error.
 */
#include "instar.h"
#include "instar_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 65536
#define FIELDS_MAX 64
#define COLUMNS_MAX 24
#define VALUE_BYTES 512

static instar *db;
static char *fields[FIELDS_MAX];
static size_t field_count;

static void die(const char *what)
{
    fprintf(stderr, "stream: %s: %s\n", what, instar_error_text());
    exit(1);
}

static void say(int rc)
{
    printf(rc == INSTAR_OK ? "ok\n" : "!%s %s\n", instar_error_name(rc), instar_error_text());
}

static size_t split(char *text, const char *between, char **parts, size_t room)
{
    size_t count = 0;
    char *part;

    while ((part = strsep(&text, between)) != NULL) {
        if (count == room) {
            die("a line with too many fields");
        }
        parts[count++] = part;
    }
    return count;
}

/* ---- schema ------------------------------------------------------------------------------- */

static void run_ddl(const char *text)
{
    static uint64_t last;
    instar_change_info info;
    instar_sql_error error;
    instar_sql *sql;
    uint64_t change = 0;
    char undo[64];

    if (strcmp(text, "UNDO LAST") == 0) {
        (void)snprintf(undo, sizeof(undo), "UNDO CHANGE %" PRIu64, last);
        text = undo;
    }
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &error);

    if (rc == INSTAR_OK) {
        rc = instar_sql_submit(db, sql, 0, &change, &error);
        instar_sql_free(sql);
        last = change;
    }
    if (rc != INSTAR_OK) {
        printf("!%s %s\n", instar_error_name(rc), error.text);
        return;
    }
    rc = instar_change_wait(db, change, 60000, &info);
    if (rc == INSTAR_EFAILED) {
        printf("!%s %s\n", instar_error_name(info.error), info.reason);
    } else {
        say(rc);
    }
}

/* ---- rows --------------------------------------------------------------------------------- */

/* Columns of a table, and values for them. */
struct tuple {
    instar_projection *projection;
    instar_value values[COLUMNS_MAX];
    char scratch[COLUMNS_MAX][VALUE_BYTES];
};

/* Takes the values from `fields`, at *at. */
static int read_tuple(struct tuple *t, const char *table, char *names, size_t *at)
{
    char *columns[COLUMNS_MAX];
    size_t count = split(names, ",", columns, COLUMNS_MAX);
    int rc = instar_projection_prepare(db, table, (const char *const *)columns, count, NULL,
                                       &t->projection);

    for (size_t i = 0; rc == INSTAR_OK && i < count; i++) {
        const char *text = fields[(*at)++];
        t->values[i] = (instar_value){.type = INSTAR_NULL};
        if (text == NULL) {
            die("a line with too few values");
        }
        if (strcmp(text, "\\N") != 0) {
            rc = instar_value_parse(instar_projection_type(t->projection, i), text, strlen(text),
                                    t->scratch[i], VALUE_BYTES, &t->values[i]);
        }
    }
    return rc;
}

struct write {
    struct tuple key;
    struct tuple row;
    char verb; /* i, u, d */
};

static int write_row(instar_txn *txn, void *arg)
{
    struct write *w = arg;

    switch (w->verb) {
    case 'i':
        return instar_insert(txn, w->row.projection, w->row.values);
    case 'u':
        return instar_update(txn, w->row.projection, w->key.values, w->row.values);
    default:
        return instar_delete(txn, w->key.projection, w->key.values);
    }
}

static void run_write(void)
{
    static struct write w;
    size_t at = fields[0][0] == 'u' ? 4 : 3;
    int rc = INSTAR_OK;

    w = (struct write){.verb = fields[0][0]};
    if (w.verb != 'i') {
        rc = read_tuple(&w.key, fields[1], fields[2], &at);
    }
    if (rc == INSTAR_OK && w.verb != 'd') {
        rc = read_tuple(&w.row, fields[1], fields[w.verb == 'i' ? 2 : 3], &at);
    }
    if (rc == INSTAR_OK) {
        rc = instar_run(db, INSTAR_TXN_ASYNC, write_row, &w);
    }
    say(rc);
    instar_projection_free(w.key.projection);
    instar_projection_free(w.row.projection);
}

static void print_value(const instar_value *value)
{
    char text[VALUE_BYTES];

    if (instar_value_format(value, text, sizeof(text)) >= sizeof(text)) {
        die("a value that is too long");
    }
    fputs(value->type == INSTAR_NULL ? "\\N" : text, stdout);
}

/* names: the columns, or NULL for all. */
static void run_scan(const char *table, const char *index, char *names)
{
    char *columns[COLUMNS_MAX];
    size_t count = names != NULL ? split(names, ",", columns, COLUMNS_MAX) : 0;
    instar_value values[COLUMNS_MAX];
    instar_projection *p;
    instar_cursor *cursor = NULL;
    instar_txn *txn;
    int rc = instar_projection_prepare(db, table, (const char *const *)columns, count, index, &p);

    if (rc != INSTAR_OK) {
        say(rc);
        return;
    }
    if (instar_begin(db, INSTAR_TXN_READONLY, &txn) != INSTAR_OK ||
        instar_scan(txn, p, NULL, &cursor) != INSTAR_OK) {
        die("scan");
    }
    for (size_t row = 0; (rc = instar_cursor_next(cursor, values)) == INSTAR_OK; row++) {
        fputs(row > 0 ? "\t" : "", stdout);
        for (size_t i = 0; i < instar_projection_count(p); i++) {
            fputs(i > 0 ? "," : "", stdout);
            print_value(&values[i]);
        }
    }
    if (rc != INSTAR_END) {
        die("reading");
    }
    putchar('\n');
    instar_cursor_close(cursor);
    instar_abort(txn);
    instar_projection_free(p);
}

static void put_comment(const char *kind, const char *name, const char *comment)
{
    if (comment != NULL) {
        printf("%s%s=%s\t", kind, name, comment);
    }
}

static int put_comments(void *arg, const instar_table_info *info)
{
    (void)arg;
    put_comment("t", "", info->comment);
    for (size_t i = 0; i < info->column_count; i++) {
        put_comment("c ", info->columns[i].name, info->columns[i].comment);
    }
    for (size_t i = 0; i < info->index_count; i++) {
        const instar_index_info *index = &info->indexes[i];
        put_comment(index->constraint ? "k " : "i ", index->name, index->comment);
    }
    for (size_t i = 0; i < info->check_count; i++) {
        put_comment("k ", info->checks[i].name, info->checks[i].comment);
    }
    for (size_t i = 0; i < info->fkey_count; i++) {
        put_comment("k ", info->fkeys[i].name, info->fkeys[i].comment);
    }
    return 0;
}

static void run_comments(const char *table)
{
    if (instar_table_list(db, table, put_comments, NULL) != INSTAR_OK) {
        die("comments");
    }
    putchar('\n');
}

static int print_finding(void *arg, const instar_finding *finding)
{
    (void)arg;
    fprintf(stderr, "stream: %s\n", finding->text);
    return 0;
}

static void run_check(void)
{
    instar_check_summary summary;

    say(instar_check(db, print_finding, NULL, &summary));
}

static void obey(void)
{
    const char *verb = fields[0];

    if (strcmp(verb, "ddl") == 0 && field_count == 2) {
        run_ddl(fields[1]);
    } else if ((strcmp(verb, "insert") == 0 || strcmp(verb, "update") == 0 ||
                strcmp(verb, "delete") == 0) &&
               field_count >= 4) {
        run_write();
    } else if (strcmp(verb, "dump") == 0 && field_count == 2) {
        run_scan(fields[1], NULL, NULL);
    } else if (strcmp(verb, "scan") == 0 && field_count == 4) {
        run_scan(fields[1], fields[2], fields[3]);
    } else if (strcmp(verb, "comments") == 0 && field_count == 2) {
        run_comments(fields[1]);
    } else if (strcmp(verb, "check") == 0) {
        run_check();
    } else {
        die(verb);
    }
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES];

    instar_options o;

    instar_options_init(&o);
    o.flags |= INSTAR_OPEN_CREATE;
    if (argc != 2 || instar_open(argv[1], &o, &db) != INSTAR_OK) {
        die("open");
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        memset(fields, 0, sizeof(fields));
        field_count = split(line, "\t", fields, FIELDS_MAX);
        obey();
        if (fflush(stdout) != 0) {
            return 1;
        }
    }
    return instar_close(db) == INSTAR_OK ? 0 : 1;
}
