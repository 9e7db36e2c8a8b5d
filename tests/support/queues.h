/* SPDX-License-Identifier: Apache-2.0 */
/* queues: changes that are submitted while nobody runs any, and then have their turns. */
#ifndef INSTAR_TEST_QUEUES_H
#define INSTAR_TEST_QUEUES_H

#include "support/moves.h"
#include "support/sqls.h"

/* t(a, b, c, d) with rows, an index on b and a unique constraint on c; p and q, to which d of the
 * rows can refer. Without a runner. */
instar *queues_begin(void);
/* The store again, without a runner; and with one. */
instar *queues_stop(instar *db);
instar *queues_reopen(instar *db);

/* Submit what is one change. */
uint64_t queues_submit(instar *db, const char *text);
/* It is refused with this code, and these words. */
void queues_refused(instar *db, const char *text, int code, const char *wanted);
/* Wait for the verdict: done, or failed with this code and words. */
void queues_done(instar *db, uint64_t change);
void queues_failed(instar *db, uint64_t change, int code, const char *words);
/* Until it is told to wait for something with these words. */
void queues_await_words(instar *db, uint64_t change, const char *words);
/* Does the table's definition have these words? */
bool queues_shows(instar *db, const char *table, const char *words);

#endif
