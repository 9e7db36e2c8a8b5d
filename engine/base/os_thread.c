/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library. They take no signals: those are the application's. */
#define _GNU_SOURCE
#include "base/os_impl.h"

#include <signal.h>
#include <string.h>

#define NAME_SIZE 16 /* what the kernel keeps */

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
    rc = -pthread_create(&t->t, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        char shown[NAME_SIZE] = {0};
        memcpy(shown, name, strnlen(name, NAME_SIZE - 1));
        pthread_setname_np(t->t, shown);
    }
    return rc;
}

void os_thread_join(struct os_thread *t)
{
    pthread_join(t->t, NULL);
}
