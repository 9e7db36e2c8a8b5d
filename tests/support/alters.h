/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alters: alterations of a table from a line of text, and rows of any columns as text.
 *
 *   rename-to NAME | rename-column A B | rename-index A B | add NAME TYPE [not-null] [default V]
 *   | drop NAME | set-default NAME V | drop-default NAME | set-not-null NAME | drop-not-null NAME
 *   | check NAME EXPRESSION | check-not-valid NAME EXPRESSION | drop-constraint NAME
 *   | rename-constraint A B | validate NAME | set-type NAME TYPE [using [EXPRESSION]]
 *
 * A type may be varchar(n); "using" asks for a cast that is not made by itself. The name of a check
 * may be "-": it gets one by itself.
 *
 * Steps are separated by " , ". A word "if" in front of a step sets its IF [NOT] EXISTS.
 */
#ifndef INSTAR_TEST_ALTERS_H
#define INSTAR_TEST_ALTERS_H

#include "support/scenes.h"

#define ALTERS_STEPS_MAX 16

struct alters {
    char text[1024];
    instar_alteration steps[ALTERS_STEPS_MAX];
    instar_column_def columns[ALTERS_STEPS_MAX];
    instar_value values[ALTERS_STEPS_MAX];
    instar_check_def checks[ALTERS_STEPS_MAX];
    size_t count;
};
/* Values of steps that set a default are of this type for "set-default". */
void alters_parse(struct alters *a, const char *text);
/* Submit; the code of the call. options may be NULL. */
int alters_submit(instar *db, const char *table, const char *text,
                  const instar_change_options *options, uint64_t *change);
/* Submit and wait: the code of the call or the verdict. */
int alters_run(instar *db, const char *table, const char *text);

/* Submit; the change fails. What is known of it then. */
instar_change_info alters_failure(instar *db, const char *table, const char *text);

/* A transaction that began before the alteration of t(a, b, c) writes this row, which breaks it: at
 * that stage it is waited for, and its row found. `first`: one that is done meanwhile, or NULL. */
struct alters_late {
    const char *row; /* of a, b; a is 4 */
    const char *first;
    const char *steps;
    const char *stage;
    const char *later; /* a row that goes in once the change has failed, or NULL */
};
void alters_await_late_writer(const struct alters_late *late);

/* In a transaction, by a projection of any columns: values "1,x,null". The call's code. */
int alters_insert_in(instar_txn *txn, instar_projection *p, const char *row);
int alters_update_in(instar_txn *txn, instar_projection *p, int64_t key, const char *row);
/* The same in a transaction of its own, columns "a,b" named for it; NULL: all. */
int alters_insert(instar *db, const char *table, const char *columns, const char *row);
int alters_update(instar *db, const char *table, const char *columns, int64_t key, const char *row);
/* The table's columns and checks "a int8 not null default 5; b text; check c (a > 1)", and its rows
 * "1,2;3,4" of all columns, or of those that are named. Valid until the next call. */
const char *alters_schema(instar *db, const char *table);
const char *alters_rows(instar *db, const char *table, const char *columns);
const char *alters_rows_in(instar_txn *txn, instar_projection *p);
instar_projection *alters_projection(instar *db, const char *table, const char *columns);

#endif
