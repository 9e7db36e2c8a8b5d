/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the scheduler gets in: the calls of libc by which base/os and LMDB wait, wake, look at the
 * clock and make threads, bent at link time (--wrap) in this one program. File operations and
 * points come through the seam of base/os as for all other tests.
 *
 * A lock is really taken, so that the kernel passes it on when its holder dies; only waiting for
 * it is the scheduler's. Threads that are not scheduled get the call itself.
 */
#define _GNU_SOURCE
#include "sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAPS_MAX 256
#define REALTIME_S 1700000000 /* - the clock's beginning: some time in 2023 */

/* What is bent, and itself. */
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *at);
int __wrap_pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *at);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __real_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                                  const struct timespec *at);
int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                                  const struct timespec *at);
int __real_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __real_pthread_join(pthread_t t, void **result);
int __wrap_pthread_join(pthread_t t, void **result);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __real_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                           struct timespec *left);
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                           struct timespec *left);
ssize_t __real_getrandom(void *buf, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t size, unsigned flags);
pid_t __real_getpid(void);
pid_t __wrap_getpid(void);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
void *__real_mmap(void *addr, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t size);
int __wrap_munmap(void *addr, size_t size);

/* ---- places -------------------------------------------------------------------------------- */

/* Files that this process sees as memory: a word in one has the same key in all processes. */
struct map {
    uintptr_t from, to;
    uint64_t file;
    uint64_t offset;
};
static struct map maps[MAPS_MAX];

static void forget_map(uintptr_t from, uintptr_t to)
{
    for (size_t i = 0; i < MAPS_MAX; i++) {
        if (maps[i].from >= from && maps[i].to <= to) {
            maps[i] = (struct map){0};
        }
    }
}

static void note_map(uintptr_t from, size_t size, int fd, off_t offset)
{
    struct stat st;

    forget_map(from, from + size);
    if (fstat(fd, &st) != 0) {
        return;
    }
    for (size_t i = 0; i < MAPS_MAX; i++) {
        if (maps[i].to == 0) {
            maps[i] = (struct map){from, from + size, (uint64_t)st.st_ino << 8 | SIM_SHARED,
                                   (uint64_t)offset};
            return;
        }
    }
    sim_fail("more than %d maps", MAPS_MAX);
}

static struct sim_key key_of(const void *word)
{
    uintptr_t at = (uintptr_t)word;

    for (size_t i = 0; i < MAPS_MAX; i++) {
        if (at >= maps[i].from && at < maps[i].to) {
            return (struct sim_key){maps[i].file, at - maps[i].from + maps[i].offset};
        }
    }
    return (struct sim_key){(uint64_t)(sim_node() + 1) << 8, at};
}

static uint64_t ns_of(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * SIM_NS_PER_S + (uint64_t)t->tv_nsec;
}

void *__wrap_mmap(void *addr, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *at = __real_mmap(addr, size, protection, flags, fd, offset);

    if (sim_is_scheduled() && at != MAP_FAILED && fd >= 0 && (flags & MAP_SHARED) != 0) {
        note_map((uintptr_t)at, size, fd, offset);
    } else if (sim_is_scheduled() && at != MAP_FAILED) {
        forget_map((uintptr_t)at, (uintptr_t)at + size);
    }
    return at;
}

int __wrap_munmap(void *addr, size_t size)
{
    if (sim_is_scheduled()) {
        forget_map((uintptr_t)addr, (uintptr_t)addr + size);
    }
    return __real_munmap(addr, size);
}

/* ---- locks --------------------------------------------------------------------------------- */

static int lock_until(pthread_mutex_t *m, uint64_t until_ns)
{
    int rc;

    while ((rc = pthread_mutex_trylock(m)) == EBUSY) {
        if (until_ns <= sim->now_ns) {
            return ETIMEDOUT;
        }
        (void)sim_wait(key_of(m), UINT32_MAX, until_ns);
    }
    return rc;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
    if (!sim_is_scheduled()) {
        return __real_pthread_mutex_lock(m);
    }
    sim_step("lock", 0);
    return lock_until(m, SIM_NEVER);
}

int __wrap_pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *at)
{
    if (!sim_is_scheduled()) {
        return __real_pthread_mutex_clocklock(m, clock, at);
    }
    sim_step("timed lock", 0);
    return lock_until(m, ns_of(at));
}

static int unlock(pthread_mutex_t *m)
{
    int rc = __real_pthread_mutex_unlock(m);

    (void)sim_wake(key_of(m), UINT32_MAX, INT32_MAX);
    return rc;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
    if (!sim_is_scheduled()) {
        return __real_pthread_mutex_unlock(m);
    }
    int rc = unlock(m);
    sim_step("unlock", 0);
    return rc;
}

static int cond_until(pthread_cond_t *c, pthread_mutex_t *m, uint64_t until_ns)
{
    (void)unlock(m);
    bool woken = sim_wait(key_of(c), UINT32_MAX, until_ns);
    int rc = lock_until(m, SIM_NEVER);
    return rc != 0 ? rc : woken ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    return sim_is_scheduled() ? cond_until(c, m, SIM_NEVER) : __real_pthread_cond_wait(c, m);
}

int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                                  const struct timespec *at)
{
    return sim_is_scheduled() ? cond_until(c, m, ns_of(at))
                              : __real_pthread_cond_clockwait(c, m, clock, at);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
    if (sim_is_scheduled()) {
        sim_step("broadcast", 0);
        (void)sim_wake(key_of(c), UINT32_MAX, INT32_MAX);
    }
    return __real_pthread_cond_broadcast(c);
}

/* FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET, as base/os gives them. */
static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *at,
                  uint32_t group)
{
    if (op == FUTEX_WAKE_BITSET) {
        int woken = sim_wake(key_of(word), group, (int)value);
        sim_step("wake", group);
        return woken;
    }
    if (op != FUTEX_WAIT_BITSET) {
        sim_fail("futex: operation %d is not known here", op);
    }
    sim_step("futex", group);
    if (atomic_load(word) != value) {
        errno = EAGAIN;
        return -1;
    }
    if (sim_wait(key_of(word), group, at != NULL ? ns_of(at) : SIM_NEVER)) {
        return 0;
    }
    errno = ETIMEDOUT;
    return -1;
}

long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    if (number != SYS_futex || !sim_is_scheduled()) {
        return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    return futex((_Atomic uint32_t *)a[0], (int)a[1], (uint32_t)a[2], (const struct timespec *)a[3],
                 (uint32_t)a[5]);
}

/* ---- threads ------------------------------------------------------------------------------- */

struct start {
    void *(*fn)(void *);
    void *arg;
    uint32_t thread;
};
static pthread_t handles[SIM_THREADS]; /* of this process's threads */

static void *thread_main(void *arg)
{
    struct start *start = arg;
    struct start s = *start;

    sim_thread_enter(s.thread);
    free(start);
    void *result = s.fn(s.arg);
    sim_thread_leave();
    return result;
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    if (!sim_is_scheduled()) {
        return __real_pthread_create(t, attr, fn, arg);
    }
    struct start *start = malloc(sizeof(*start));
    expect(start != NULL);
    *start = (struct start){fn, arg, sim_thread_new(sim_node())};
    int rc = __real_pthread_create(t, attr, thread_main, start);
    if (rc != 0) {
        sim_fail("no thread: %s", strerror(rc));
    }
    handles[start->thread] = *t;
    sim_step("thread", 0);
    return 0;
}

int __wrap_pthread_join(pthread_t t, void **result)
{
    uint32_t thread = 1;

    if (!sim_is_scheduled()) {
        return __real_pthread_join(t, result);
    }
    while (thread < SIM_THREADS &&
           (sim->threads[thread].state == SIM_FREE || sim->threads[thread].node != sim_node() ||
            !pthread_equal(handles[thread], t))) {
        thread++;
    }
    expect(thread < SIM_THREADS);
    while (sim->threads[thread].state != SIM_ENDED) {
        (void)sim_wait((struct sim_key){SIM_ENDS, thread}, UINT32_MAX, SIM_NEVER);
    }
    int rc = __real_pthread_join(t, result);
    sim->threads[thread].state = SIM_FREE;
    sim_step("join", 0);
    return rc;
}

/* ---- time, chance, names ------------------------------------------------------------------- */

static void time_of(uint64_t ns, struct timespec *out)
{
    *out = (struct timespec){.tv_sec = (time_t)(ns / SIM_NS_PER_S),
                             .tv_nsec = (long)(ns % SIM_NS_PER_S)};
}

/* The monotonic clock serves limits only, which is no look at the clock that matters. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!sim_is_scheduled()) {
        return __real_clock_gettime(clock, now);
    }
    if (clock != CLOCK_MONOTONIC) {
        sim_step("clock", 0);
    }
    time_of(sim->now_ns, now);
    now->tv_sec += clock == CLOCK_REALTIME ? REALTIME_S : 0;
    return 0;
}

int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                           struct timespec *left)
{
    if (!sim_is_scheduled()) {
        return __real_clock_nanosleep(clock, flags, time, left);
    }
    (void)sim_wait((struct sim_key){0, 0}, 0, sim->now_ns + ns_of(time));
    return 0;
}

ssize_t __wrap_getrandom(void *buf, size_t size, unsigned flags)
{
    if (!sim_is_scheduled()) {
        return __real_getrandom(buf, size, flags);
    }
    sim_step("random", size);
    test_random_fill(&sim->bytes, buf, size);
    return (ssize_t)size;
}

pid_t __wrap_getpid(void)
{
    return sim_is_scheduled() ? (pid_t)sim->nodes[sim_node()].pid : __real_getpid();
}

/* A lock that the kernel would wait for is asked for again, a little later. */
int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;

    va_start(args, command);
    void *arg = va_arg(args, void *);
    va_end(args);
    if (!sim_is_scheduled() || command != F_SETLKW) {
        return __real_fcntl(fd, command, arg);
    }
    for (;;) {
        sim_step("file lock", 0);
        int rc = __real_fcntl(fd, F_SETLK, arg);
        if (rc == 0 || (errno != EAGAIN && errno != EACCES)) {
            return rc;
        }
        (void)sim_wait((struct sim_key){0, 0}, 0, sim->now_ns + SIM_NS_PER_MS);
    }
}
