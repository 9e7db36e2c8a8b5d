/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs for the self-test of tests/run, one for each value of CASE: each misbehaves in one way
 * that the runner must notice. Compiled by selftest.py only.
 */
#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PASSES,
    FAILS,
    CRASHES,
    SKIPS,
    DISABLED,
    EMPTY,
    LEAKS,
    OVERFLOWS,
    CHILD_OVERFLOWS,
    CHILD_LEAKS,
    CHILD_READS_FREED,
    CHILD_STAYS,
    HANGS,
    THREADED_CHILD_PASSES,
    THREADED_CHILD_LEAKS
};

int always_one = 1;

__attribute__((unused, noinline)) static int overflow(void)
{
    volatile int most = INT_MAX;

    return most + always_one;
}

__attribute__((unused, noinline)) static void leak(void)
{
    for (int i = 0; i < 100; i++) {
        volatile char *p = malloc(1000);
        p[0] = (char)i;
    }
}

/* The child hides its trouble: it ends with status 0 where it can. */
__attribute__((unused)) static void in_child(void (*body)(void))
{
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        body();
        exit(0);
    }
    waitpid(pid, NULL, 0);
}

__attribute__((unused)) static void overflow_body(void)
{
    overflow();
}

__attribute__((unused)) static void read_freed_body(void)
{
    char *p = malloc(10);

    p[0] = 1;
    free(p);
    always_one = p[always_one - 1];
}

__attribute__((unused)) static void nothing(void)
{
}

static void *wait_for_ever(void *unused)
{
    pause();
    return unused;
}

__attribute__((unused)) static void start_thread(void)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
}

#if CASE != 5 /* EMPTY */
#if CASE == 3 /* SKIPS */
Test(runner, case)
{
    cr_skip_test("not today");
}
#elif CASE == 4 /* DISABLED */
Test(runner, case, .disabled = true)
{
    cr_assert(true);
}
#else
Test(runner, case)
{
    switch (CASE) {
    case FAILS:
        cr_assert_eq(always_one, 2, "one is \"%d\"", always_one);
        break;
    case CRASHES:
        raise(SIGSEGV);
        break;
    case LEAKS:
        leak();
        break;
    case OVERFLOWS:
        overflow();
        break;
    case CHILD_OVERFLOWS:
        in_child(overflow_body);
        break;
    case CHILD_LEAKS:
        in_child(leak);
        break;
    case CHILD_READS_FREED:
        in_child(read_freed_body);
        break;
    case CHILD_STAYS:
        if (fork() == 0) {
            setsid();
            pause();
        }
        break;
    case THREADED_CHILD_PASSES:
        start_thread();
        in_child(nothing);
        break;
    case THREADED_CHILD_LEAKS:
        start_thread();
        in_child(leak);
        break;
    case HANGS:
        pause();
        break;
    default:
        break;
    }
}
#endif
Test(runner, other)
{
    cr_assert(true);
}
#endif
