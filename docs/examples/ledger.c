/* SPDX-License-Identifier: Apache-2.0 */
/* A program that proves its own recovery, by `instar torture` (docs/torture.md): each transfer is
 * two rows in one transaction, and is acknowledged by a line once it is committed.
 *
 *   ledger run DIRECTORY             makes twelve transfers, prints the number of each
 *   ledger verify DIRECTORY OUTPUT   is every transfer there whose number was printed, and none by
 *                                    halves?
 *
 * Built with -DTOO_EARLY it prints first and commits then: torture finds that. */
#include <instar.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFERS 12

static int64_t transfer;
static int64_t rows, sum, last; /* as read */

static int add_transfer(instar_txn *txn, void *arg)
{
    instar_value from[] = {{.type = INSTAR_INT8, .i = 2 * transfer},
                           {.type = INSTAR_INT8, .i = -transfer}};
    instar_value to[] = {{.type = INSTAR_INT8, .i = 2 * transfer + 1},
                         {.type = INSTAR_INT8, .i = transfer}};
    int rc = instar_upsert(txn, arg, from);

    return rc ? rc : instar_upsert(txn, arg, to);
}

static int read_all(instar_txn *txn, void *arg)
{
    instar_cursor *cursor;
    instar_value row[2];
    int rc = instar_scan(txn, arg, NULL, &cursor);

    rows = sum = last = 0;
    while (rc == INSTAR_OK && (rc = instar_cursor_next(cursor, row)) == INSTAR_OK) {
        rows++;
        sum += row[1].i;
        last = row[0].i / 2;
    }
    return rc == INSTAR_END ? INSTAR_OK : rc;
}

static int acknowledge(void)
{
    return printf("%lld\n", (long long)transfer) < 0 || fflush(stdout) != 0 ? INSTAR_EIO : 0;
}

static int make_table(instar *db)
{
    instar_column_def columns[] = {{.name = "id", .type = INSTAR_INT8, .not_null = true},
                                   {.name = "amount", .type = INSTAR_INT8, .not_null = true}};
    instar_table_def ledger = {.name = "ledger",
                               .columns = columns,
                               .column_count = 2,
                               .key = &(instar_key_column){.name = "id"},
                               .key_count = 1};
    uint64_t change;
    int rc = instar_create_table(db, &ledger, NULL, &change);

    return rc ? rc : instar_change_wait(db, change, 10000, NULL);
}

static int run(instar *db)
{
    instar_projection *p = NULL;
    int rc = make_table(db);

    rc = rc ? rc : instar_projection_prepare(db, "ledger", NULL, 0, NULL, &p);
    for (transfer = 1; rc == INSTAR_OK && transfer <= TRANSFERS; transfer++) {
#ifdef TOO_EARLY
        rc = acknowledge();
        rc = rc ? rc : instar_run(db, 0, add_transfer, p);
#else
        rc = instar_run(db, 0, add_transfer, p);
        rc = rc ? rc : acknowledge();
#endif
    }
    instar_projection_free(p);
    return rc;
}

/* The last number that was printed whole. */
static int64_t acknowledged(const char *path)
{
    FILE *file = fopen(path, "r");
    int64_t number = 0;
    char line[32];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        number = strchr(line, '\n') != NULL ? strtoll(line, NULL, 10) : number;
    if (file != NULL)
        (void)fclose(file);
    return number;
}

static int verify(instar *db, int64_t promised)
{
    instar_projection *p = NULL;
    int rc = instar_projection_prepare(db, "ledger", NULL, 0, NULL, &p);

    if (rc == INSTAR_EUNKNOWN && promised == 0)
        return INSTAR_OK; /* the power went before there was a table */
    rc = rc ? rc : instar_run(db, INSTAR_TXN_READONLY, read_all, p);
    instar_projection_free(p);
    if (rc == INSTAR_OK && (last < promised || rows != 2 * last || sum != 0)) {
        fprintf(stderr, "%lld transfers in %lld rows, sum %lld; %lld were acknowledged\n",
                (long long)last, (long long)rows, (long long)sum, (long long)promised);
        return INSTAR_ECORRUPT;
    }
    return rc;
}

int main(int argc, char **argv)
{
    instar_options options;
    instar *db = NULL;
    int verifies = argc == 4 && strcmp(argv[1], "verify") == 0;
    int64_t promised = verifies ? acknowledged(argv[3]) : 0;
    char path[4096];
    int rc;

    if (!verifies && !(argc == 3 && strcmp(argv[1], "run") == 0)) {
        fprintf(stderr, "usage: ledger run DIRECTORY | verify DIRECTORY OUTPUT\n");
        return 2;
    }
    (void)snprintf(path, sizeof(path), "%s/store", argv[2]);
    instar_options_init(&options);
    options.flags = verifies ? 0 : INSTAR_OPEN_CREATE;
    options.segment_bytes = 1 << 20; /* small files: each state is written anew */
    options.txn_bytes_max = 1 << 16;
    options.row_bytes_max = 1 << 15;
    rc = instar_open(path, &options, &db);
    if (verifies && rc == INSTAR_ENOSTORE && promised == 0)
        return 0; /* the power went before there was a store */
    if (rc == INSTAR_OK) {
        rc = verifies ? verify(db, promised) : run(db);
        if (rc != INSTAR_OK)
            fprintf(stderr, "ledger: %s (%s)\n", instar_error_text(), instar_error_name(rc));
        rc = instar_close(db) != INSTAR_OK || rc != INSTAR_OK;
    } else {
        fprintf(stderr, "ledger: %s (%s)\n", instar_error_text(), instar_error_name(rc));
    }
    return rc != INSTAR_OK;
}
