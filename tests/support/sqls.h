/* SPDX-License-Identifier: Apache-2.0 */
/* sqls: schema changes as SQL text, and scans as text, through the public interface. */
#ifndef INSTAR_TEST_SQLS_H
#define INSTAR_TEST_SQLS_H

#include "support/alters.h"

/* Run a script and wait for each change; the code of the first that fails, in reading, submission
 * or verdict. sqls_words() then says why: the error's text or the change's reason. */
int sqls_run(instar *db, const char *text);
/* Submit one statement, or BEGIN … COMMIT, and do not wait. *change_out 0: there is nothing to do,
 * or it failed; sqls_words() says why. */
int sqls_submit(instar *db, const char *text, uint64_t *change_out);
/* How long each change is waited for, in milliseconds; two minutes unless told otherwise. */
void sqls_patience(uint32_t ms);
/* After how long each change, from now on, fences whoever holds it up; UINT32_MAX: as it would. */
void sqls_fence(uint32_t ms);
const char *sqls_words(void);
bool sqls_say(const char *words);
/* What EXPLAIN of one statement says, a line after the other. Valid until the next call. */
const char *sqls_explain(instar *db, const char *text);
/* The statements that make the table anew, or all tables (NULL). Valid until the next call. */
#define SQLS_SCHEMA 8192 /* bytes, at most */
const char *sqls_schema(instar *db, const char *table);

/* Rows "1,2;3,null" of these columns ("a,b") by an index (NULL: the primary key) in a range (NULL:
 * all). Valid until the next call. */
const char *sqls_scan(instar *db, const char *table, const char *columns, const char *index,
                      const instar_range *range);

/* An index i of t that divides by b: from write-only on a write is held to that, and not before; a
 * row from before the index that breaks it may go away in any stage. */
void sqls_errors_from_write_only_on(const instar_index_def *def);

#endif
