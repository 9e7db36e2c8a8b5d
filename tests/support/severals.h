/* SPDX-License-Identifier: Apache-2.0 */
/*
 * severals: changes of several tables for tests of their stages. Each begins with p(id, v), c(id, p
 * REFERENCES p, w) with an index on w, d(id, p REFERENCES p), and some rows.
 */
#ifndef INSTAR_TEST_SEVERALS_H
#define INSTAR_TEST_SEVERALS_H

#include "support/moves.h"

/* A change, and the points that it passes in order, those in front of the one that shows all, and
 * that one and those behind it. */
struct several_case {
    const char *sql; /* what stands between BEGIN and COMMIT */
    const char *before[10];
    const char *after[6];
};
extern const struct several_case severals_cases[];
extern const size_t severals_count;

void severals_make_tables(instar *db);
/* What stands between BEGIN and COMMIT; the change's id. */
uint64_t severals_submit(instar *db, const char *sql);
/* All of the schema as statements, and of the rows of p, c and d the columns from before. Valid
 * until the next call. */
const char *severals_schema(instar *db);
const char *severals_rows(instar *db);
/* How many tables can be seen. */
size_t severals_tables(instar *db);

#endif
