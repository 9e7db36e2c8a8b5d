/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekeys: an application that knows the rows of table t by column a alone, and finds them by the
 * unique index t_a, whatever the primary key is at the time. Columns a and b are int8; a column d
 * of a key is 3 in every row.
 */
#ifndef INSTAR_TEST_REKEYS_H
#define INSTAR_TEST_REKEYS_H

#include "support/scenes.h"

struct rekeys {
    instar_projection *p;    /* a, b, and the row id where that is the key */
    instar_projection *by_a; /* the same by the index on a */
    char key[256];           /* "a", "b,a" … */
};
/* The columns of the key, with commas. Valid until the next call. */
const char *rekeys_key(instar *db);
void rekeys_open(instar *db, struct rekeys *x);
void rekeys_close(struct rekeys *x);
/* In a transaction: the call's code; INSTAR_END: there is no such row. */
int rekeys_find(instar_txn *txn, struct rekeys *x, int64_t a, instar_value values[3]);
int rekeys_insert(instar_txn *txn, struct rekeys *x, int64_t a, int64_t b);
int rekeys_update(instar_txn *txn, struct rekeys *x, int64_t a, int64_t b);
int rekeys_delete(instar_txn *txn, struct rekeys *x, int64_t a);
/* In a transaction of its own, by whatever key the table has then; x is opened again when it has
 * another one. b 0: delete. */
enum rekeys_verb { REKEYS_INSERT, REKEYS_UPDATE, REKEYS_DELETE };
int rekeys_run(instar *db, struct rekeys *x, enum rekeys_verb verb, int64_t a, int64_t b);

struct rekeys_kind {
    const char *name;
    const char *key;    /* in CREATE TABLE */
    const char *change; /* the statement */
    const char *after;  /* the key then */
    bool numbers;       /* the plan is that to row ids */
};
enum { REKEYS_ADD, REKEYS_ALTER, REKEYS_DROP, REKEYS_KINDS };
extern const struct rekeys_kind rekeys_kinds[REKEYS_KINDS];
/* The key of the table before that change. */
const char *rekeys_key_before(const struct rekeys_kind *kind);
/* A new store with the table, with so many rows (i, i + 10), and three indexes. */
void rekeys_make_t(const struct rekeys_kind *kind, int64_t rows);
/* These are there, public, and no others. */
void rekeys_expect_indexes(instar *db);

#define REKEYS_MODEL_MAX 512
/* What the table is to hold: b of each a, 0: no such row. */
extern int64_t rekeys_model[REKEYS_MODEL_MAX];
/* As rekeys_run, and remembered in the model. */
int rekeys_call(instar *db, enum rekeys_verb verb, int64_t a, int64_t b);

#endif
