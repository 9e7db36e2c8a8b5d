/* SPDX-License-Identifier: Apache-2.0 */
/* Writes of a transaction to several tables, from a line of text. */
#include "support/moves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int move(instar *db, instar_txn *txn, char *text)
{
    char *verb = strsep(&text, " ");
    char *table = strsep(&text, " ");
    instar_projection *p = alters_projection(db, table, NULL);
    int rc;

    expect(text != NULL);
    if (strcmp(verb, "insert") == 0) {
        rc = alters_insert_in(txn, p, text);
    } else {
        int64_t key = strtoll(strsep(&text, " "), NULL, 10);
        instar_value value = {.type = INSTAR_INT8, .i = key};
        expect(strcmp(verb, "delete") == 0 || strcmp(verb, "update") == 0);
        rc = *verb == 'd' ? instar_delete(txn, p, &value) : alters_update_in(txn, p, key, text);
    }
    instar_projection_free(p);
    return rc;
}

int moves_do(instar *db, instar_txn *txn, const char *text)
{
    char list[512];
    char *at = list;
    int rc = 0;

    snprintf(list, sizeof(list), "%s", text);
    while (rc == 0 && at != NULL) {
        char *next = strstr(at, " ; ");
        if (next != NULL) {
            *next = 0;
            next += 3;
        }
        rc = move(db, txn, at);
        at = next;
    }
    return rc;
}

int moves_commit(instar *db, unsigned flags, const char *text)
{
    instar_txn *txn;

    ok(instar_begin(db, flags, &txn));
    int rc = moves_do(db, txn, text);
    if (rc != 0) {
        instar_abort(txn);
        return rc;
    }
    return instar_commit(txn);
}

struct run {
    instar *db;
    const char *text;
};

static int run(instar_txn *txn, void *arg)
{
    const struct run *r = arg;

    return moves_do(r->db, txn, r->text);
}

int moves_run(instar *db, const char *text)
{
    struct run r = {db, text};

    return instar_run(db, 0, run, &r);
}
