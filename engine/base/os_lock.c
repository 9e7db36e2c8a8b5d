/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks: on files, in shared memory, and within one process.
 *
 * File locks belong to the open file description, not to the process: closing another descriptor
 * of the same file does not drop them, and they end with the last holder of the description.
 * Locks in shared memory are robust: the kernel passes them on when a holder dies.
 */
#define _GNU_SOURCE
#include "base/base.h"
#include "base/os_impl.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000u
#define GUARDED_MAX 8

/* A point of time on the given clock, timeout_ns from now; the end of time when that is too far. */
static struct timespec deadline(clockid_t clock, uint64_t timeout_ns)
{
    struct timespec now;
    clock_gettime(clock, &now);
    uint64_t ns = (uint64_t)now.tv_nsec + timeout_ns % NS_PER_S;
    uint64_t s = (uint64_t)now.tv_sec + timeout_ns / NS_PER_S + ns / NS_PER_S;
    return (struct timespec){.tv_sec = (time_t)s, .tv_nsec = (long)(ns % NS_PER_S)};
}

static int set_lock(int fd, short type)
{
    struct os_call call = {.op = OS_OP_LOCK, .fd = fd, .flags = type};
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    int rc;
    do {
        rc = os_before(&call);
        if (rc >= 0) {
            rc = os_after(&call, os_result(fcntl(fd, F_OFD_SETLK, &lock)));
        }
    } while (rc == -EINTR);
    return rc == -EACCES ? -EAGAIN : rc;
}

int os_lock_exclusive(int fd)
{
    return set_lock(fd, F_WRLCK);
}

int os_lock_shared(int fd)
{
    return set_lock(fd, F_RDLCK);
}

int os_unlock(int fd)
{
    return set_lock(fd, F_UNLCK);
}

int os_mutex_init_shared(struct os_mutex *m)
{
    pthread_mutexattr_t attr;
    int rc = -pthread_mutexattr_init(&attr);
    if (rc != 0) {
        return rc;
    }
    rc = -pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (rc == 0) {
        rc = -pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }
    if (rc == 0) {
        rc = -pthread_mutex_init(&m->m, &attr);
    }
    pthread_mutexattr_destroy(&attr);
    return rc;
}

int os_mutex_lock(struct os_mutex *m, uint64_t timeout_ns)
{
    if (timeout_ns == UINT64_MAX) {
        return -pthread_mutex_lock(&m->m);
    }
    /* First without looking at the clock: mostly it is free. */
    int rc = -pthread_mutex_trylock(&m->m);
    if (rc != -EBUSY) {
        return rc;
    }
    if (timeout_ns == 0) {
        return -ETIMEDOUT;
    }
    struct timespec until = deadline(CLOCK_MONOTONIC, timeout_ns);
    return -pthread_mutex_clocklock(&m->m, CLOCK_MONOTONIC, &until);
}

int os_mutex_consistent(struct os_mutex *m)
{
    return -pthread_mutex_consistent(&m->m);
}

void os_mutex_unlock(struct os_mutex *m)
{
    base_assert(pthread_mutex_unlock(&m->m) == 0);
}

/* Not the private kind: the word may be mapped at another address in another process. */
int os_futex_wait_group(_Atomic uint32_t *word, uint32_t seen, uint32_t group, uint64_t timeout_ns)
{
    struct timespec until;
    const struct timespec *limit = NULL;
    if (timeout_ns != UINT64_MAX) {
        until = deadline(CLOCK_MONOTONIC, timeout_ns);
        limit = &until;
    }
    for (;;) {
        if (atomic_load(word) != seen) {
            return 0;
        }
        long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, limit, NULL, group);
        if (rc == 0 || errno == EAGAIN) {
            return 0;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

int os_futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
    return os_futex_wait_group(word, seen, FUTEX_BITSET_MATCH_ANY, timeout_ns);
}

int os_futex_wake_group(_Atomic uint32_t *word, uint32_t group, int count)
{
    return (int)syscall(SYS_futex, word, FUTEX_WAKE_BITSET, count, NULL, NULL, group);
}

void os_futex_wake_all(_Atomic uint32_t *word)
{
    os_futex_wake_group(word, FUTEX_BITSET_MATCH_ANY, INT32_MAX);
}

void os_plain_init(struct os_plain_mutex *m)
{
    base_assert(pthread_mutex_init(&m->m, NULL) == 0);
}

void os_plain_destroy(struct os_plain_mutex *m)
{
    base_assert(pthread_mutex_destroy(&m->m) == 0);
}

void os_plain_lock(struct os_plain_mutex *m)
{
    base_assert(pthread_mutex_lock(&m->m) == 0);
}

void os_plain_unlock(struct os_plain_mutex *m)
{
    base_assert(pthread_mutex_unlock(&m->m) == 0);
}

/* A fork copies a lock as it stands, but not the thread that would give it back. */
static struct os_plain_mutex *guarded[GUARDED_MAX];
static size_t guarded_count;

static void lock_guarded(void)
{
    for (size_t i = 0; i < guarded_count; i++) {
        os_plain_lock(guarded[i]);
    }
}

static void unlock_guarded(void)
{
    for (size_t i = guarded_count; i > 0; i--) {
        os_plain_unlock(guarded[i - 1]);
    }
}

void os_plain_guard_fork(struct os_plain_mutex *m)
{
    base_assert(guarded_count < GUARDED_MAX);
    if (guarded_count == 0) {
        base_assert(pthread_atfork(lock_guarded, unlock_guarded, unlock_guarded) == 0);
    }
    guarded[guarded_count++] = m;
}

void os_cond_init(struct os_cond *c)
{
    base_assert(pthread_cond_init(&c->c, NULL) == 0);
}

void os_cond_destroy(struct os_cond *c)
{
    base_assert(pthread_cond_destroy(&c->c) == 0);
}

int os_cond_wait(struct os_cond *c, struct os_plain_mutex *m, uint64_t timeout_ns)
{
    struct timespec until = deadline(CLOCK_MONOTONIC, timeout_ns);
    int rc = -pthread_cond_clockwait(&c->c, &m->m, CLOCK_MONOTONIC, &until);
    base_assert(rc == 0 || rc == -ETIMEDOUT);
    return rc;
}

void os_cond_wake_all(struct os_cond *c)
{
    base_assert(pthread_cond_broadcast(&c->c) == 0);
}
