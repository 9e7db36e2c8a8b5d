/* SPDX-License-Identifier: Apache-2.0 */
/* compounds: changes of several statements, from a line of SQL. */
#ifndef INSTAR_TEST_COMPOUNDS_H
#define INSTAR_TEST_COMPOUNDS_H

#include "support/alters.h"

/* Submit what stands between BEGIN and COMMIT ("CREATE INDEX …; DROP INDEX …"): the code of reading
 * or submitting. options, when not NULL, are those of the change. */
int compounds_submit(instar *db, const char *text, const instar_change_options *options,
                     uint64_t *change);
/* Submit and wait: the code of the call or the verdict. */
int compounds_run(instar *db, const char *text);
/* The words of the last refusal. */
const char *compounds_error(void);
/* The table's indexes in words: "t_b public; t_c unique write-only". Valid until the next call. */
const char *compounds_indexes(instar *db, const char *table);

#endif
