/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child: other processes of a test, and talking with them over pipes, so that nobody sleeps. A
 * child is killed when its parent ends.
 */
#ifndef INSTAR_TEST_CHILD_H
#define INSTAR_TEST_CHILD_H

#include <stdint.h>
#include <sys/types.h>

/* On either side: a pair of pipe ends to the other side. In the child, pid is 0. */
struct test_child {
    pid_t pid;
    int in;
    int out;
};

/* Memory of zeros that this process shares with the children that it forks from now on. munmap. */
void *test_shared(size_t size);

/* Run fn in a fork; it ends with status 0 when fn returns. */
void test_fork(struct test_child *c, void (*fn)(struct test_child *self, void *arg), void *arg);
/* Run tests/support/programs/<program>.c with these arguments (the last one NULL; argv[0] is
 * added). It calls test_child_self(). */
void test_spawn(struct test_child *c, const char *program, const char *const *args);
struct test_child test_child_self(void);

/* Words over the pipe. Receiving fails the test after TEST_AWAIT_S seconds, or when the other side
 * is gone. */
#define TEST_AWAIT_S 60
void test_send(struct test_child *c, uint64_t word);
uint64_t test_receive(struct test_child *c);
/* In a child that has nothing to do until it is told what, or to end: receive, for as long as the
 * parent lives. */
uint64_t test_until_told(struct test_child *self);
/* Receive, and it must be this word. */
void test_await(struct test_child *c, uint64_t word);

/* Send a signal; SIGKILL also waits for the end. */
void test_kill(struct test_child *c, int signal);
/* Wait for the end. The exit status; -n when signal n ended it. */
int test_wait(struct test_child *c);
/* Wait, and it must have been status 0. */
void test_wait_ok(struct test_child *c);

#endif
