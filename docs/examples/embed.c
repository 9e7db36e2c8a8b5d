/* SPDX-License-Identifier: Apache-2.0 */
/* Embed the store: create a table, write two rows in one transaction, read them back in order. */
#include <instar.h>

#include <stdio.h>

static int add_people(instar_txn *txn, void *arg)
{
    instar_value ada[] = {{.type = INSTAR_INT8, .i = 1},
                          {.type = INSTAR_TEXT, .bytes = {"Ada", 3}}};
    instar_value bob[] = {{.type = INSTAR_INT8, .i = 2},
                          {.type = INSTAR_TEXT, .bytes = {"Bob", 3}}};
    int rc = instar_upsert(txn, arg, ada);

    return rc ? rc : instar_upsert(txn, arg, bob);
}

static int print_people(instar_txn *txn, void *arg)
{
    instar_cursor *cursor;
    instar_value row[2];
    int rc = instar_scan(txn, arg, NULL, &cursor);

    while (rc == INSTAR_OK && (rc = instar_cursor_next(cursor, row)) == INSTAR_OK)
        printf("%lld %.*s\n", (long long)row[0].i, (int)row[1].bytes.size,
               (const char *)row[1].bytes.data);
    return rc == INSTAR_END ? INSTAR_OK : rc;
}

int main(int argc, char **argv)
{
    instar_column_def columns[] = {{.name = "id", .type = INSTAR_INT8, .not_null = true},
                                   {.name = "name", .type = INSTAR_TEXT}};
    instar_table_def people = {.name = "people",
                               .columns = columns,
                               .column_count = 2,
                               .key = &(instar_key_column){.name = "id"},
                               .key_count = 1};
    instar_change_options once;
    instar_options options;
    instar_projection *p = NULL;
    instar *db = NULL;
    uint64_t change;
    int rc;

    instar_options_init(&options);
    options.flags = INSTAR_OPEN_CREATE;
    instar_change_options_init(&once);
    once.flags = INSTAR_CHANGE_IF_NOT_EXISTS;
    rc = instar_open(argc > 1 ? argv[1] : "people.db", &options, &db);
    rc = rc ? rc : instar_create_table(db, &people, &once, &change);
    rc = rc ? rc : instar_change_wait(db, change, 10000, NULL);
    rc = rc ? rc : instar_projection_prepare(db, "people", NULL, 0, NULL, &p);
    rc = rc ? rc : instar_run(db, 0, add_people, p);
    rc = rc ? rc : instar_run(db, INSTAR_TXN_READONLY, print_people, p);
    if (rc != INSTAR_OK)
        fprintf(stderr, "embed: %s (%s)\n", instar_error_text(), instar_error_name(rc));
    instar_projection_free(p);
    return instar_close(db) == INSTAR_OK && rc == INSTAR_OK ? 0 : 1;
}
