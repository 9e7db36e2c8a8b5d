/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test: what every test program has at hand: checked calls, a directory that goes away, seeds.
 * child.h has processes, hooks.h faults, kill points, held threads and virtual time.
 */
#ifndef INSTAR_TEST_H
#define INSTAR_TEST_H

#include <criterion/criterion.h>

#include "base/base.h"
#include "base/os.h"
#include "support/child.h"
#include "support/hooks.h"

/* ---- checked calls ------------------------------------------------------------------------ */

/* Tests give &test_err to the calls they check; one for each thread. */
extern _Thread_local struct base_err test_err;

/* The call must return 0. On failure its text is shown: that of test_err, or of the public API. */
#define must(call) test_must(__FILE__, __LINE__, #call, (base_err_clear(&test_err), (call)), 0)
/* The call must return this code. */
#define must_fail(call, code) \
    test_must(__FILE__, __LINE__, #call, (base_err_clear(&test_err), (call)), (code))
/* A condition; unlike cr_assert, also usable in child processes and in other threads. */
#define expect(condition) \
    ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, "%s", "does not hold: " #condition))
#define expect_u64(a, b) test_expect_u64(__FILE__, __LINE__, #a " == " #b, (a), (b))

void test_must(const char *file, int line, const char *what, int got, int wanted);
void test_expect_u64(const char *file, int line, const char *what, uint64_t got, uint64_t wanted);
/* Ends the test: in the test's own main thread as a failed assertion, elsewhere by ending the
 * process with status TEST_FAILED. */
void test_fail(const char *file, int line, const char *fmt, ...) BASE_PRINTF(3, 4)
    __attribute__((noreturn));
#define TEST_FAILED 99
/* Without root this test is skipped, which tests/run tells with the reason, as a failure. */
void test_needs_root(const char *what_for);

/* ---- places ------------------------------------------------------------------------------- */

/* A fresh empty directory of this test, below $TMPDIR or /tmp, removed when it ends. The same one
 * on each call, in its children too. */
const char *test_dir(void);
/* The same in shared memory, where files cost little: no place to test what a disk does. */
const char *test_fast_dir(void);
/* A path in test_dir(). Valid until the test ends. */
const char *test_path(const char *fmt, ...) BASE_PRINTF(1, 2);
/* Remove a file, or a directory with all that is in it. It need not exist. */
void test_remove(const char *path);
/* A whole file. size_out may be NULL. Free with base_free. */
uint8_t *test_read_file(const char *path, size_t *size_out);
void test_write_file(const char *path, const void *data, size_t size);
/* The pieces of a text in order, each with the separator behind it. Frees the text; to be freed. */
char *test_sorted(char *text, const char *separator);
/* Descriptors that this process has open, for comparing. */
size_t test_descriptors(void);

/* ---- chance ------------------------------------------------------------------------------- */

/* The seed of this run: 1, or what INSTAR_SEED says. Printed once. */
uint64_t test_seed(void);

struct test_random {
    uint64_t state;
};
/* A stream of its own for each purpose. */
struct test_random test_random(uint64_t stream);
uint64_t test_random_next(struct test_random *r);
uint64_t test_random_below(struct test_random *r, uint64_t limit); /* 0 … limit - 1 */
bool test_random_chance(struct test_random *r, unsigned percent);
void test_random_fill(struct test_random *r, void *data, size_t size);

/* A number from the environment: how long a campaign is to be. */
uint64_t test_env_u64(const char *name, uint64_t otherwise);

#endif
