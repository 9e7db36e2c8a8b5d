/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs for the self-test of tests/run, one for each value of CASE: each misbehaves in one way
 * that the runner must notice. Compiled by selftest.py only.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
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

struct sleeper {
    int pipe[2]; /* nobody writes to it */
    pid_t tid;
};

static void *wait_for_ever(void *arg)
{
    struct sleeper *s = arg;
    char byte;

    __atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
    return read(s->pipe[0], &byte, 1) < 0 ? s : NULL;
}

/* The number of the call in which this thread sleeps; -1 while it runs. */
static long call_of(pid_t tid)
{
    char path[64];
    long call = -1;

    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
    FILE *f = fopen(path, "r");
    if (f != NULL) {
        if (fscanf(f, "%ld", &call) != 1) {
            call = -1;
        }
        fclose(f);
    }
    return call;
}

/* Returns when the thread sleeps: the sanitizer does not survive a fork while one starts. */
__attribute__((unused)) static void start_thread(void)
{
    static struct sleeper s;
    pthread_t thread;
    pid_t tid;

    cr_assert_eq(pipe(s.pipe), 0);
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_ever, &s), 0);
    do {
        sched_yield();
        tid = __atomic_load_n(&s.tid, __ATOMIC_ACQUIRE);
    } while (tid == 0 || call_of(tid) != SYS_read);
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
