/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread in which libpg_query runs, one for the whole process.
 *
 * It has a stack for the deepest tree that the limits let through, whatever the caller's stack is.
 * It is one, and stays, with the few KiB that libpg_query keeps between two calls. Only when that
 * was left half way for want of memory (heap.c) it ends behind its errand, and the next one has a
 * new thread.
 *
 * The thread blocks all signals. A child of fork() does not have it and starts its own.
 */
#include "ddl/ddl_impl.h"

#include <pthread.h>
#include <signal.h>

/* Reserved, not used: a page counts when it is touched. */
#define STACK_BYTES ((size_t)64 << 20)

static struct {
    pthread_mutex_t turn;  /* held by a caller for its whole errand */
    pthread_mutex_t mutex; /* guards fn and arg */
    pthread_cond_t moved;
    bool started;          /* it is there; the caller's, and during an errand the thread's */
    void (*fn)(void *arg); /* the errand; NULL: none, the caller goes on */
    void *arg;
} worker = {.turn = PTHREAD_MUTEX_INITIALIZER,
            .mutex = PTHREAD_MUTEX_INITIALIZER,
            .moved = PTHREAD_COND_INITIALIZER};

static void *work(void *arg)
{
    (void)pthread_mutex_lock(&worker.mutex);
    for (;;) {
        while (worker.fn == NULL) {
            (void)pthread_cond_wait(&worker.moved, &worker.mutex);
        }
        (void)pthread_mutex_unlock(&worker.mutex);
        worker.fn(worker.arg);
        bool ends = ddl_heap_clear();
        (void)pthread_mutex_lock(&worker.mutex);
        worker.fn = NULL;
        worker.started = !ends;
        (void)pthread_cond_broadcast(&worker.moved);
        if (ends) {
            (void)pthread_mutex_unlock(&worker.mutex);
            return arg;
        }
    }
}

/* In the child of a fork(), which has one thread: whatever the parent's were at is void. */
static void start_anew(void)
{
    (void)pthread_mutex_init(&worker.turn, NULL);
    (void)pthread_mutex_init(&worker.mutex, NULL);
    (void)pthread_cond_init(&worker.moved, NULL);
    worker.started = false;
    worker.fn = NULL;
    ddl_heap_forget();
}

static void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, start_anew);
}

static bool start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int failed;

    (void)pthread_once(&once, watch_fork);
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    failed += pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    failed = failed != 0 ? failed : pthread_create(&thread, &attributes, work, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return failed == 0;
}

bool ddl_run(void (*fn)(void *arg), void *arg)
{
    bool started;

    (void)pthread_mutex_lock(&worker.turn);
    started = worker.started = worker.started || start();
    if (started) {
        (void)pthread_mutex_lock(&worker.mutex);
        worker.fn = fn;
        worker.arg = arg;
        (void)pthread_cond_broadcast(&worker.moved);
        while (worker.fn != NULL) {
            (void)pthread_cond_wait(&worker.moved, &worker.mutex);
        }
        (void)pthread_mutex_unlock(&worker.mutex);
    }
    (void)pthread_mutex_unlock(&worker.turn);
    return started;
}
