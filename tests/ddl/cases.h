/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cases: which of the many are run. INSTAR_DDL_SHARE is one of how many; the seeds from 1 to that
 * number run all of them, each once. A case has a name, and INSTAR_DDL_CASE is the only one then.
 */
#ifndef INSTAR_TEST_CASES_H
#define INSTAR_TEST_CASES_H

#include "ddl/operations.h"

/* Is it this seed's turn? share: when the environment does not say. The line that repeats it is
 * printed then. */
bool cases_take(const char *name, unsigned share);
/* Points of the operation, as its golden file has them. */
size_t cases_points(const struct operation *o);
/* Which of them has this name first; 1: the first. */
size_t cases_point(const struct operation *o, const char *name);
/* How many were taken is printed. */
void cases_end(void);

#endif
