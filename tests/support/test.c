/* SPDX-License-Identifier: Apache-2.0 */
/* Checked calls, and the seed. */
#define _GNU_SOURCE
#include "support/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Thread_local struct base_err test_err;

/* Criterion runs each test in a process of its own; in that one, only the main thread may leave a
 * test early. */
static pid_t main_pid;

__attribute__((constructor)) static void remember_main(void)
{
    main_pid = getpid();
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
    char text[2 * BASE_ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fprintf(stderr, "%s:%d: %s\n", file, line, text);
    if (getpid() == main_pid && gettid() == main_pid) {
        cr_assert_fail("%s:%d: %s", file, line, text);
    }
    _exit(TEST_FAILED);
}

/* A program that is linked without the api layer has no text from there. */
__attribute__((weak)) extern const char *instar_error_text(void);

static const char *words(void)
{
    if (test_err.text[0] != '\0') {
        return test_err.text;
    }
    return instar_error_text != NULL ? instar_error_text() : "";
}

void test_must(const char *file, int line, const char *what, int got, int wanted)
{
    if (got != wanted) {
        test_fail(file, line, "%s: %s (%d) in place of %s (%d): %s", what, base_error_name(got),
                  got, base_error_name(wanted), wanted, words());
    }
}

void test_expect_u64(const char *file, int line, const char *what, uint64_t got, uint64_t wanted)
{
    if (got != wanted) {
        test_fail(file, line, "%s: %llu, not %llu", what, (unsigned long long)got,
                  (unsigned long long)wanted);
    }
}

uint64_t test_env_u64(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t test_seed(void)
{
    static _Atomic uint64_t seed;
    static _Atomic bool known;
    if (!known) {
        seed = test_env_u64("INSTAR_SEED", 1);
        known = true;
        fprintf(stderr, "seed: INSTAR_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

/* ---- texts -------------------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *test_sorted(char *text, const char *separator)
{
    char *rest = NULL, *out = NULL;
    char **pieces = calloc(strlen(text) / 2 + 1, sizeof(*pieces));
    size_t count = 0, size = 0;
    FILE *memory = open_memstream(&out, &size);

    expect(pieces != NULL && memory != NULL);
    for (char *p = strtok_r(text, separator, &rest); p != NULL;
         p = strtok_r(NULL, separator, &rest)) {
        pieces[count++] = p;
    }
    qsort(pieces, count, sizeof(*pieces), compare_texts);
    for (size_t i = 0; i < count; i++) {
        fprintf(memory, "%s%s", pieces[i], separator);
    }
    (void)fclose(memory);
    free(pieces);
    free(text);
    return out;
}

void test_needs_root(const char *what_for)
{
    if (geteuid() != 0) {
        cr_skip_test("needs root: %s", what_for);
    }
}
