/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of Criterion as the tests use, for builds under tools that its processes do not bear:
 * ThreadSanitizer and Valgrind. Each test runs in a fork, one after the other; what fails ends it.
 */
#ifndef INSTAR_PLAIN_CRITERION_H
#define INSTAR_PLAIN_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plain_options {
    void (*init)(void);
    void (*fini)(void);
    double timeout; /* no test is ended here: whoever runs the program does that */
    const char *description;
};
struct plain_test {
    const char *suite;
    const char *name; /* NULL: this says what holds for the suite */
    void (*run)(void);
    struct plain_options options;
    struct plain_test *next;
};
void plain_add(struct plain_test *test);
void plain_fail(const char *file, int line, const char *what, const char *format, ...)
    __attribute__((noreturn));

#define PLAIN_ADD(id, ...)                                       \
    __attribute__((constructor)) static void id##_is_added(void) \
    {                                                            \
        static struct plain_test test = {__VA_ARGS__};           \
        plain_add(&test);                                        \
    }
#define Test(suite, name, ...)                                                    \
    static void suite##_##name(void);                                             \
    PLAIN_ADD(suite##_##name, #suite, #name, suite##_##name, {__VA_ARGS__}, NULL) \
    static void suite##_##name(void)
#define TestSuite(suite, ...) PLAIN_ADD(suite, #suite, NULL, NULL, {__VA_ARGS__}, NULL)

#define cr_assert(condition, ...) \
    ((condition) ? (void)0 : plain_fail(__FILE__, __LINE__, #condition, "" __VA_ARGS__))
#define cr_assert_fail(...) plain_fail(__FILE__, __LINE__, "", "" __VA_ARGS__)
#define cr_assert_not(condition, ...) cr_assert(!(condition), __VA_ARGS__)
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...) cr_assert((a) != (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...) cr_assert((a) < (b), __VA_ARGS__)
#define cr_assert_leq(a, b, ...) cr_assert((a) <= (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...) cr_assert((a) > (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...) cr_assert((a) >= (b), __VA_ARGS__)
#define cr_assert_null(a, ...) cr_assert((a) == NULL, __VA_ARGS__)
#define cr_assert_not_null(a, ...) cr_assert((a) != NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) cr_assert(strcmp((a), (b)) == 0, __VA_ARGS__)

/* Nothing is skipped here. */
#define cr_skip_test(...) plain_fail(__FILE__, __LINE__, "skipped", "" __VA_ARGS__)

/* A test goes on behind these in Criterion, and has failed all the same. */
#define cr_expect cr_assert
#define cr_expect_not cr_assert_not
#define cr_expect_eq cr_assert_eq
#define cr_expect_neq cr_assert_neq
#define cr_expect_leq cr_assert_leq
#define cr_expect_gt cr_assert_gt
#define cr_expect_geq cr_assert_geq
#define cr_expect_null cr_assert_null
#define cr_expect_not_null cr_assert_not_null
#define cr_expect_str_eq cr_assert_str_eq

#endif
