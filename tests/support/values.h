/* SPDX-License-Identifier: Apache-2.0 */
/* values: random values and rows for property tests, rich in the ones where codes go wrong. */
#ifndef INSTAR_TEST_VALUES_H
#define INSTAR_TEST_VALUES_H

#include "row/row.h"
#include "support/test.h"

/* A column type, any of them. */
enum instar_type test_random_type(struct test_random *r);
/* A value of the type, never null; bytes lie in the arena, at most bytes_max of them. Often near
 * the ends of its range, or close to the last one in order. */
instar_value test_random_value(struct test_random *r, enum instar_type type, size_t bytes_max,
                               struct base_arena *arena);
/* Equal as stored: the same bits, NaN and -0 too. */
bool test_value_same(const instar_value *a, const instar_value *b);
/* A layout of so many columns of random types, ids ascending with gaps. In the arena. */
struct row_layout test_random_layout(struct test_random *r, uint32_t columns,
                                     struct base_arena *arena);
/* Values for a layout; each is null with the chance in percent. In the arena. */
instar_value *test_random_row(struct test_random *r, const struct row_layout *layout,
                              unsigned null_percent, size_t bytes_max, struct base_arena *arena);

/* Columns that an expression may name, the last one without a name; their ids count from 1. find of
 * a scope, whose arg is the list. */
struct test_column {
    const char *name;
    enum instar_type type;
    const char *text; /* of a value; the test's own */
};
bool test_column_find(void *arg, const char *name, struct row_expr_column *column_out,
                      struct base_err *err);

#endif
