/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moves: what a transaction does to several tables, from a line of text:
 *
 *     "insert c 1,5 ; update p 5 6,null ; delete p 7"
 *
 * Rows are of all columns, keys are one int8. For tests about tables that refer to each other.
 */
#ifndef INSTAR_TEST_MOVES_H
#define INSTAR_TEST_MOVES_H

#include "support/sqls.h"

/* In a transaction that is open: the code of the first that fails. */
int moves_do(instar *db, instar_txn *txn, const char *text);
/* In one of its own, not run again: that of the commit, if all else went well. */
int moves_commit(instar *db, unsigned flags, const char *text);
/* The same, run again as instar_run does. */
int moves_run(instar *db, const char *text);

#endif
