/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schema changes as SQL text: read a script, do it, and print the schema as SQL.
 *
 *   cc sql.c -o sql $(pkg-config --cflags --libs instar-sql) && ./sql people.db
 */
#include <instar_sql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char script[] = "CREATE TABLE IF NOT EXISTS towns (\n"
                             "    name text PRIMARY KEY,\n"
                             "    people int8 NOT NULL DEFAULT 0\n"
                             ");\n"
                             "CREATE INDEX IF NOT EXISTS towns_by_size ON towns (people DESC);\n";

static int print_table(void *arg, const instar_table_info *info)
{
    size_t size = instar_sql_format_table(info, NULL, 0) + 1;
    char *text = malloc(size);

    (void)arg;
    if (text == NULL) {
        return INSTAR_ENOMEM;
    }
    instar_sql_format_table(info, text, size);
    fputs(text, stdout);
    free(text);
    return 0;
}

/* Each statement becomes a change with an id; its verdict is waited for like that of any other. */
static int run_script(instar *db, const instar_sql *sql, instar_sql_error *error)
{
    int rc = INSTAR_OK;

    for (size_t i = 0; rc == INSTAR_OK && i < instar_sql_count(sql); i++) {
        uint64_t change;

        rc = instar_sql_submit(db, sql, i, &change, error);
        if (rc == INSTAR_OK) {
            rc = instar_change_wait(db, change, UINT32_MAX, NULL);
        }
    }
    return rc;
}

int main(int argc, char **argv)
{
    instar_sql_error error = {0};
    instar_options options;
    instar_sql *sql = NULL;
    instar *db = NULL;
    int rc, closed;

    /* Nothing is open yet: a mistake in the text, with line and column, costs nothing. */
    rc = instar_sql_read(script, strlen(script), NULL, &sql, &error);
    if (rc != INSTAR_OK) {
        fprintf(stderr, "%u:%u: %s\n", error.line, error.column, error.text);
        return 1;
    }
    instar_options_init(&options);
    options.flags = INSTAR_OPEN_CREATE;
    rc = instar_open(argc > 1 ? argv[1] : "people.db", &options, &db);
    if (rc == INSTAR_OK) {
        rc = run_script(db, sql, &error);
    }
    if (rc == INSTAR_OK) {
        rc = instar_table_list(db, NULL, print_table, NULL);
    }
    if (rc != INSTAR_OK) {
        fprintf(stderr, "%s\n", instar_error_text());
    }
    instar_sql_free(sql);
    closed = instar_close(db);
    return rc == INSTAR_OK && closed == INSTAR_OK ? 0 : 1;
}
