/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library. They take no signals: those are the application's. */
#define _GNU_SOURCE
#include "base/os_impl.h"

#include <signal.h>
#include <string.h>

/* It has its name before it does anything: others tell threads apart by it. */
static void *begin(void *arg)
{
    const struct os_thread *t = arg;
    pthread_setname_np(pthread_self(), t->name);
    return t->fn(t->arg);
}

int os_thread_start(struct os_thread *t, const char *name, void *(*fn)(void *), void *arg)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    /* A new thread inherits the mask, so it never runs without it. */
    int rc = -pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc != 0) {
        return rc;
    }
    *t = (struct os_thread){.fn = fn, .arg = arg};
    memcpy(t->name, name, strnlen(name, sizeof(t->name) - 1));
    rc = -pthread_create(&t->t, NULL, begin, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

void os_thread_join(struct os_thread *t)
{
    pthread_join(t->t, NULL);
}
