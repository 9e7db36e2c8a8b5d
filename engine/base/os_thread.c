/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library. They take no signals: those are the application's. But what a fault
 * raises is for whoever it happens to; blocked, it would end the process past any handler. */
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

static void all_but_faults(sigset_t *set)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    (void)sigfillset(set);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        (void)sigdelset(set, faults[i]);
    }
}

int os_thread_start(struct os_thread *t, const char *name, void *(*fn)(void *), void *arg)
{
    sigset_t blocked;
    sigset_t before;
    all_but_faults(&blocked);
    /* A new thread inherits the mask, so it never runs without it. */
    int rc = -pthread_sigmask(SIG_SETMASK, &blocked, &before);
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
