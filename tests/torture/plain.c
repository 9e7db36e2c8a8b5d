/* SPDX-License-Identifier: Apache-2.0 */
/* What the recorder and the walk of the tests need of a test program, where there is none. */
#include "torture/torture.h"

#include "support/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

uint64_t torture_seed = 1;

uint64_t test_seed(void)
{
    return torture_seed;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list args;
    (void)fprintf(stderr, "instar: torture: ");
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fprintf(stderr, " (%s:%d)\n", file, line);
    _exit(TORTURE_BROKEN);
}
