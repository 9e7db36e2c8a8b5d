/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operations: what can be done to a schema, one line each. All tests in this folder are about each
 * of them; a new operation gets them by a line here and a golden file, see README.md.
 */
#ifndef INSTAR_TEST_OPERATIONS_H
#define INSTAR_TEST_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>

/* What each begins with. Tables get WORLD_FIRST_ROWS rows as soon as they are made, and one more
 * with each further statement. */
#define OPERATIONS_TABLE                                                             \
    "CREATE TABLE t (a int8 PRIMARY KEY, b int8, c text, d int8 DEFAULT 2, e text);" \
    "CREATE INDEX t_b ON t (b)"

struct operation {
    const char *name;
    const char *setup; /* further statements before it, or NULL */
    const char *sql;   /* the change; %llu in it is the number of the one before */
    int error;         /* rows fail it with that code, or 0 */
    bool rewrites;     /* it writes rows itself: a transaction of the user's may lose to it */
    bool keyless;      /* the table is made without a primary key */
    bool alone;        /* it is refused beside others in one change */
};

extern const struct operation operations[];
extern const size_t operations_count;

#endif
