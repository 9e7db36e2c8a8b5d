/* SPDX-License-Identifier: Apache-2.0 */
/* Locks on files and in shared memory, between threads and processes, also when a holder dies. */
#define _GNU_SOURCE
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS ((uint64_t)1000000)

enum { HELD = 1, GO };

static const char *lock_path(void)
{
    return test_path("lock");
}

static int open_lock(void)
{
    int dir;
    int fd;
    cr_assert_eq(os_open_dir(test_dir(), &dir), 0);
    cr_assert_eq(os_openat(dir, "lock", O_RDWR | O_CREAT, &fd), 0);
    os_close(dir);
    return fd;
}

/* A lock excludes other descriptors, of the same process too; shared locks go together. */
Test(base_os_lock, file_locks_exclude_other_descriptors)
{
    int a = open_lock();
    int b = open_lock();
    cr_expect_eq(os_lock_exclusive(a), 0);
    cr_expect_eq(os_lock_exclusive(b), -EAGAIN);
    cr_expect_eq(os_lock_shared(b), -EAGAIN);
    cr_expect_eq(os_lock_shared(a), 0, "from exclusive to shared");
    cr_expect_eq(os_lock_shared(b), 0);
    cr_expect_eq(os_lock_exclusive(a), -EAGAIN);
    cr_expect_eq(os_unlock(b), 0);
    cr_expect_eq(os_lock_exclusive(a), 0);
    os_close(a);
    os_close(b);
}

/* Closing another descriptor of the file does not drop the lock. */
Test(base_os_lock, file_lock_survives_another_close)
{
    int a = open_lock();
    cr_assert_eq(os_lock_exclusive(a), 0);
    os_close(open_lock());
    int b = open_lock();
    cr_expect_eq(os_lock_shared(b), -EAGAIN);
    os_close(a);
    cr_expect_eq(os_lock_shared(b), 0);
    os_close(b);
}

static void hold_file(struct test_child *self, void *arg)
{
    (void)arg;
    int fd = open(lock_path(), O_RDWR | O_CLOEXEC);
    expect(os_lock_exclusive(fd) == 0);
    test_send(self, HELD);
    test_receive(self);
}

/* A file lock ends with its process. */
Test(base_os_lock, file_lock_ends_with_its_process)
{
    int fd = open_lock();
    struct test_child child;
    test_fork(&child, hold_file, NULL);
    test_await(&child, HELD);
    cr_expect_eq(os_lock_exclusive(fd), -EAGAIN);
    test_kill(&child, SIGKILL);
    cr_expect_eq(os_lock_exclusive(fd), 0);
    os_close(fd);
}

struct shared {
    struct os_mutex mutex;
    _Atomic uint32_t word;
    uint64_t counter;
};

static struct shared *make_shared(void)
{
    struct shared *s = test_shared(sizeof(*s));
    cr_assert_eq(os_mutex_init_shared(&s->mutex), 0);
    return s;
}

static void hold_mutex(struct test_child *self, void *arg)
{
    struct shared *s = arg;
    expect(os_mutex_lock(&s->mutex, UINT64_MAX) == 0);
    test_send(self, HELD);
    test_receive(self);
    os_mutex_unlock(&s->mutex);
}

/* While another process holds the mutex, a limited wait ends; without one it is at once. */
Test(base_os_lock, mutex_wait_has_a_limit)
{
    struct shared *s = make_shared();
    struct test_child child;
    test_fork(&child, hold_mutex, s);
    test_await(&child, HELD);
    cr_expect_eq(os_mutex_lock(&s->mutex, 0), -ETIMEDOUT);
    uint64_t began = os_now_ns();
    cr_expect_eq(os_mutex_lock(&s->mutex, 20 * MS), -ETIMEDOUT);
    cr_expect_geq(os_now_ns() - began, 19 * MS);
    test_send(&child, GO);
    cr_expect_eq(os_mutex_lock(&s->mutex, 60000 * MS), 0);
    os_mutex_unlock(&s->mutex);
    test_wait_ok(&child);
}

/* When the holder dies the next owner has the mutex, is told so, and can make it whole. */
Test(base_os_lock, mutex_of_a_dead_owner_is_passed_on)
{
    struct shared *s = make_shared();
    struct test_child child;
    test_fork(&child, hold_mutex, s);
    test_await(&child, HELD);
    test_kill(&child, SIGKILL);
    cr_assert_eq(os_mutex_lock(&s->mutex, 60000 * MS), -EOWNERDEAD);
    cr_expect_eq(os_mutex_lock(&s->mutex, 0), -ETIMEDOUT, "it is held now");
    cr_expect_eq(os_mutex_consistent(&s->mutex), 0);
    os_mutex_unlock(&s->mutex);
    cr_expect_eq(os_mutex_lock(&s->mutex, 0), 0);
    os_mutex_unlock(&s->mutex);
}

/* Given up without being made whole, the mutex is lost, and everybody is told. */
Test(base_os_lock, mutex_not_made_whole_is_lost)
{
    struct shared *s = make_shared();
    struct test_child child;
    test_fork(&child, hold_mutex, s);
    test_await(&child, HELD);
    test_kill(&child, SIGKILL);
    cr_assert_eq(os_mutex_lock(&s->mutex, UINT64_MAX), -EOWNERDEAD);
    os_mutex_unlock(&s->mutex);
    cr_expect_eq(os_mutex_lock(&s->mutex, 0), -ENOTRECOVERABLE);
}

#define ROUNDS 2000

static void count_up(struct test_child *self, void *arg)
{
    struct shared *s = arg;
    (void)self;
    for (int i = 0; i < ROUNDS; i++) {
        expect(os_mutex_lock(&s->mutex, 60000 * MS) == 0);
        s->counter++;
        os_mutex_unlock(&s->mutex);
    }
}

/* Processes that add to a number under the mutex lose no addition. */
Test(base_os_lock, mutex_excludes_processes)
{
    struct shared *s = make_shared();
    struct test_child children[3];
    for (int i = 0; i < 3; i++) {
        test_fork(&children[i], count_up, s);
    }
    for (int i = 0; i < 3; i++) {
        test_wait_ok(&children[i]);
    }
    cr_expect_eq(s->counter, 3 * ROUNDS);
}

static void wait_for_change(struct test_child *self, void *arg)
{
    struct shared *s = arg;
    test_send(self, HELD);
    while (atomic_load(&s->word) == 0) {
        expect(os_futex_wait(&s->word, 0, 60000 * MS) == 0);
    }
}

/* One call wakes every process that waits on the word. */
Test(base_os_lock, futex_wakes_all_processes)
{
    struct shared *s = make_shared();
    struct test_child children[3];
    for (int i = 0; i < 3; i++) {
        test_fork(&children[i], wait_for_change, s);
        test_await(&children[i], HELD);
    }
    atomic_store(&s->word, 1);
    os_futex_wake_all(&s->word);
    for (int i = 0; i < 3; i++) {
        test_wait_ok(&children[i]);
    }
}

/* Sleeps until it is its turn, as a waiter of a flush does: only a wake-up of its own group, or the
 * word that moved before it slept, makes it look again. */
static void wait_in_group(struct test_child *self, void *arg)
{
    struct shared *s = arg;
    uint32_t group = (uint32_t)test_receive(self);
    for (;;) {
        uint32_t seen = atomic_load(&s->word);
        if ((seen & group) != 0) {
            return;
        }
        expect(os_futex_wait_group(&s->word, seen, group, 60000 * MS) == 0);
    }
}

/* A wake-up of one group reaches those who wait in it, and no other. */
Test(base_os_lock, futex_wakes_a_group)
{
    struct shared *s = make_shared();
    struct test_child children[3];
    for (int i = 0; i < 3; i++) {
        test_fork(&children[i], wait_in_group, s);
        test_send(&children[i], UINT64_C(1) << i);
    }
    for (int i = 2; i >= 0; i--) {
        uint32_t group = UINT32_C(1) << i;
        atomic_fetch_or(&s->word, group);
        /* None when it has not slept yet: then the word has moved before it does. */
        cr_expect_leq(os_futex_wake_group(&s->word, group, INT32_MAX), 1);
        test_wait_ok(&children[i]);
        cr_expect_eq(os_futex_wake_group(&s->word, UINT32_C(1) << 3, INT32_MAX), 0);
    }
}

/* A word that has moved on already is not waited for; one that stays is, for the limit. */
Test(base_os_lock, futex_wait_ends_by_change_or_limit)
{
    _Atomic uint32_t word = 7;
    cr_expect_eq(os_futex_wait(&word, 6, UINT64_MAX), 0);
    uint64_t began = os_now_ns();
    cr_expect_eq(os_futex_wait(&word, 7, 20 * MS), -ETIMEDOUT);
    cr_expect_geq(os_now_ns() - began, 19 * MS);
    cr_expect_eq(os_futex_wait(&word, 7, 0), -ETIMEDOUT);
}

struct meeting {
    struct os_plain_mutex mutex;
    struct os_cond cond;
    int phase;
    sigset_t mask;
    char name[16];
};

static void *meet(void *arg)
{
    struct meeting *m = arg;
    pthread_getname_np(pthread_self(), m->name, sizeof(m->name));
    os_plain_lock(&m->mutex);
    pthread_sigmask(SIG_BLOCK, NULL, &m->mask);
    m->phase = 1;
    os_cond_wake_all(&m->cond);
    while (m->phase != 2) {
        os_cond_wait(&m->cond, &m->mutex, 60000 * MS);
    }
    os_plain_unlock(&m->mutex);
    return NULL;
}

/* Threads block all signals but those of faults, leave their starter's mask alone, and meet at a
 * condition. */
Test(base_os_lock, threads_block_signals_and_meet)
{
    struct meeting m = {.phase = 0};
    struct os_thread thread;
    sigset_t before;
    sigset_t after;
    os_plain_init(&m.mutex);
    os_cond_init(&m.cond);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    cr_assert_eq(os_thread_start(&thread, "a name that is too long", meet, &m), 0);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    os_plain_lock(&m.mutex);
    while (m.phase != 1) {
        os_cond_wait(&m.cond, &m.mutex, 60000 * MS);
    }
    m.phase = 2;
    os_cond_wake_all(&m.cond);
    os_plain_unlock(&m.mutex);
    os_thread_join(&thread);
    cr_expect(sigismember(&m.mask, SIGINT) == 1);
    cr_expect(sigismember(&m.mask, SIGSEGV) == 0);
    cr_expect(sigismember(&m.mask, SIGTERM) == 1);
    cr_expect_eq(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
    os_plain_lock(&m.mutex);
    cr_expect_eq(os_cond_wait(&m.cond, &m.mutex, 5 * MS), -ETIMEDOUT);
    os_plain_unlock(&m.mutex);
    os_cond_destroy(&m.cond);
    os_plain_destroy(&m.mutex);
}

/* ---- a lock across forks ------------------------------------------------------------------- */

static struct os_plain_mutex guarded = {PTHREAD_MUTEX_INITIALIZER};
static _Atomic bool guard_done;
static sem_t guard_begun;

__attribute__((constructor)) static void guard(void)
{
    os_plain_guard_fork(&guarded);
}

static void *hold_it_often(void *arg)
{
    _Atomic uint32_t work = 0;
    sem_post(&guard_begun);
    while (!atomic_load(&guard_done)) {
        os_plain_lock(&guarded);
        for (int i = 0; i < 1000; i++) {
            atomic_fetch_add(&work, 1);
        }
        os_plain_unlock(&guarded);
    }
    return arg;
}

/* A guarded lock is free in the child of a fork, though another thread takes it all the time. */
Test(base_os_lock, guarded_lock_is_free_after_a_fork)
{
    struct os_thread thread;
    cr_assert_eq(sem_init(&guard_begun, 0, 0), 0);
    cr_assert_eq(os_thread_start(&thread, "holder", hold_it_often, NULL), 0);
    cr_assert_eq(sem_wait(&guard_begun), 0);
    for (int i = 0; i < 30; i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(5); /* instead of waiting for ever */
            os_plain_lock(&guarded);
            os_plain_unlock(&guarded);
            _exit(0);
        }
        cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
    }
    atomic_store(&guard_done, true);
    os_thread_join(&thread);
}
