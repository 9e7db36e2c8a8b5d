/* SPDX-License-Identifier: Apache-2.0 */
/* A runner that is led point by point. */
#define _GNU_SOURCE
#include "ddl/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <instar_sql.h>

#define READY 1
#define CLOSED 2
#define LOOK_MS 3
#define NAMES_MAX 64

struct steps_shared {
    _Atomic bool free;    /* points are passed by */
    _Atomic bool refuse;  /* the next request for memory */
    _Atomic bool refused; /* one was */
    _Atomic bool fill;    /* the disk, from the next release on */
    _Atomic uint64_t filled;
    _Atomic bool killing; /* at a call */
    _Atomic uint64_t calls;
    _Atomic uint64_t kill_at;
    char names[NAMES_MAX][STEPS_NAME]; /* of the points, in order */
    _Atomic size_t count;
    void (*task)(struct test_child *self, void *arg); /* of the guest, or NULL */
    void *arg;
    char text[STEPS_TEXT]; /* for the guest, written before it is told; "": to wait for */
    uint64_t change;       /* this one, 0: to end; and what it has submitted */
};

static struct steps *mine; /* in the runner */

/* ---- the runner ---------------------------------------------------------------------------- */

/* Points of a change, but those that tell of time: a wait, or one batch of many. */
static bool counts(const char *name)
{
    static const char *const kinds[] = {"change.", "build.", "validate.", "rekey.", "vacuum."};
    static const char *const left_out[] = {"change.published", "change.waiting",
                                           "change.submitted", "build.batch_loaded",
                                           "build.spilled",    "build.folded"};

    for (size_t i = 0; i < BASE_ARRAY_LEN(left_out); i++) {
        if (strcmp(name, left_out[i]) == 0) {
            return false;
        }
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(kinds); i++) {
        if (strncmp(name, kinds[i], strlen(kinds[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void fill_disk(struct steps_shared *shared)
{
    atomic_fetch_add(&shared->filled, test_fault_fired());
    test_fault_set(atomic_exchange(&shared->fill, false)
                       ? &(struct test_fault){.op = OS_OP_WRITE, .nth = 1, .error = ENOSPC}
                       : NULL);
}

static void stop_at(void *arg, const char *name)
{
    struct steps_shared *shared = mine->shared;
    char byte = 1;

    (void)arg;
    if (atomic_load(&shared->free) || !counts(name)) {
        return;
    }
    size_t at = atomic_load(&shared->count);
    expect(at < NAMES_MAX);
    /* Some steps say it twice. */
    if (at > 0 && strncmp(name, "change.", 7) == 0 && strcmp(shared->names[at - 1], name) == 0) {
        return;
    }
    atomic_store(&shared->count, at + 1);
    (void)snprintf(shared->names[at], STEPS_NAME, "%s", name);
    if (write(mine->reached[1], &byte, 1) == 1) {
        while (read(mine->released[0], &byte, 1) < 0 && errno == EINTR) {
        }
        fill_disk(shared);
    }
}

static void count_call(void *arg, const struct os_call *call)
{
    struct steps_shared *shared = mine->shared;

    (void)arg;
    (void)call;
    if (atomic_load(&shared->killing) &&
        atomic_fetch_add(&shared->calls, 1) + 1 == atomic_load(&shared->kill_at)) {
        kill(getpid(), SIGKILL);
    }
}

static bool allows(size_t size)
{
    char name[16] = "";
    struct steps_shared *shared = mine->shared;

    (void)size;
    if (!atomic_load(&shared->refuse) ||
        pthread_getname_np(pthread_self(), name, sizeof(name)) != 0 ||
        strcmp(name, "instar-change") != 0 || !atomic_exchange(&shared->refuse, false)) {
        return true;
    }
    atomic_store(&shared->refused, true);
    return false;
}

static void run_changes(struct test_child *self, void *arg)
{
    mine = arg;
    test_listener_set(&(struct test_listener){.before = count_call, .point = stop_at});
    base_alloc_hook = allows;
    instar *db = dbs_open(0);
    test_send(self, READY);
    test_until_told(self);
    fill_disk(mine->shared);
    ok(instar_close(db));
    test_send(self, CLOSED);
}

/* Comes to help when it is told to. */
static void run_the_rest(struct test_child *self, void *arg)
{
    (void)arg;
    if (test_until_told(self) == READY) {
        instar *db = dbs_open(0);
        test_until_told(self);
        ok(instar_close(db));
    }
}

static void submit(instar *db, struct steps_shared *shared)
{
    instar_sql_error error;
    instar_sql *sql = NULL;
    int rc = instar_sql_read(shared->text, strlen(shared->text), NULL, &sql, &error);

    rc = rc == INSTAR_OK ? instar_sql_submit(db, sql, 0, &shared->change, &error) : rc;
    if (rc != INSTAR_OK) {
        test_fail(__FILE__, __LINE__, "%s: %s", shared->text, error.text);
    }
    instar_sql_free(sql);
}

static void be_guest(struct test_child *self, void *arg)
{
    struct steps_shared *shared = ((struct steps *)arg)->shared;

    test_until_told(self);
    if (shared->task != NULL) {
        shared->task(self, shared->arg);
        return;
    }
    if (shared->text[0] == '\0' && shared->change == 0) {
        return;
    }
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    if (shared->text[0] != '\0') {
        submit(db, shared);
    }
    test_send(self, READY);
    (void)instar_change_wait(db, shared->change, TEST_AWAIT_S * 1000, NULL);
    test_until_told(self);
    ok(instar_close(db));
}

/* ---- the test ------------------------------------------------------------------------------ */

void steps_begin(struct steps *s)
{
    *s = (struct steps){.standing = false};
    s->shared = test_shared(sizeof(*s->shared));
    expect(pipe2(s->reached, O_CLOEXEC) == 0 && pipe2(s->released, O_CLOEXEC) == 0);
    dbs_path(); /* the directory is this process's */
    test_fork(&s->second, run_the_rest, NULL);
    test_fork(&s->guest, be_guest, s);
    test_fork(&s->first, run_changes, s);
    test_await(&s->first, READY);
}

static void release(struct steps *s)
{
    char byte = 1;

    if (s->standing) {
        expect(write(s->released[1], &byte, 1) == 1);
        s->standing = false;
    }
}

void steps_free(struct steps *s)
{
    atomic_store(&s->shared->free, true);
    release(s);
}

void steps_lead(struct steps *s)
{
    atomic_store(&s->shared->free, false);
}

static bool came(int fd, int ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    return poll(&ready, 1, ms) == 1;
}

static void stand(struct steps *s)
{
    struct steps_shared *shared = s->shared;
    size_t last = atomic_load(&shared->count) - 1;
    int times = 0;
    char byte;

    expect(read(s->reached[0], &byte, 1) == 1);
    for (size_t i = 0; i <= last; i++) {
        times += strcmp(shared->names[i], shared->names[last]) == 0;
    }
    (void)snprintf(s->point, sizeof(s->point), times > 1 ? "%s#%d" : "%s", shared->names[last],
                   times);
    s->standing = true;
    s->waiting = false;
}

/* The verdict is there before the runner has passed its last point. */
static enum steps_event last_points(struct steps *s)
{
    struct pollfd ends[2] = {{.fd = s->reached[0], .events = POLLIN},
                             {.fd = s->first.in, .events = POLLIN}};

    if (s->first.pid == 0 || s->killing) {
        return STEPS_ENDED;
    }
    if (!s->closing) {
        test_send(&s->first, 0);
        s->closing = true;
    }
    if (poll(ends, 2, TEST_AWAIT_S * 1000) <= 0) {
        test_fail(__FILE__, __LINE__, "the runner does not end behind %s", s->point);
    }
    if (came(s->reached[0], 0)) {
        stand(s);
        return STEPS_AT_POINT;
    }
    test_await(&s->first, CLOSED);
    test_wait_ok(&s->first);
    return STEPS_ENDED;
}

enum steps_event steps_next(struct steps *s, instar *db, uint64_t change)
{
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * 1000000000ull;
    instar_change_info info;

    release(s);
    for (;;) {
        if (!s->closing && s->first.pid != 0 && came(s->reached[0], LOOK_MS)) {
            stand(s);
            return STEPS_AT_POINT;
        }
        if (s->killing && s->first.pid != 0 && came(s->first.in, 0)) {
            steps_kill(s);
        }
        /* Returns at each thing that happens to the change. */
        (void)instar_change_wait(db, change, s->first.pid != 0 ? 0 : LOOK_MS, &info);
        if (info.finished_us != 0) {
            return last_points(s);
        }
        if (info.waiting_for[0] != 0 && !s->waiting && !came(s->reached[0], 0) &&
            strstr(info.waiting_for, "transaction open") != NULL) {
            s->waiting = true;
            return STEPS_WAITING;
        }
        if (os_now_ns() > give_up) {
            test_fail(__FILE__, __LINE__, "the change stands still behind %s, at stage %s, %s",
                      s->point, info.stage, info.waiting_for);
        }
    }
}

void steps_refuse_memory(struct steps *s)
{
    atomic_store(&s->shared->refused, false);
    atomic_store(&s->shared->refuse, true);
}

bool steps_refused(const struct steps *s)
{
    return atomic_load(&s->shared->refused);
}

void steps_fill_disk(struct steps *s)
{
    atomic_store(&s->shared->fill, true);
}

uint64_t steps_filled(const struct steps *s)
{
    return atomic_load(&s->shared->filled);
}

void steps_help(struct steps *s)
{
    if (!s->helped) {
        test_send(&s->second, READY);
        s->helped = true;
    }
}

void steps_kill(struct steps *s)
{
    steps_help(s);
    test_kill(&s->first, SIGKILL);
    s->standing = false;
}

uint64_t steps_guest(struct steps *s, const char *text, uint64_t change)
{
    (void)snprintf(s->shared->text, sizeof(s->shared->text), "%s", text != NULL ? text : "");
    s->shared->change = change;
    test_send(&s->guest, READY);
    test_await(&s->guest, READY);
    return s->shared->change;
}

void steps_guest_do(struct steps *s, void (*task)(struct test_child *self, void *arg), void *arg)
{
    s->shared->task = task;
    s->shared->arg = arg;
    test_send(&s->guest, READY);
}

void steps_kill_guest(struct steps *s)
{
    test_kill(&s->guest, SIGKILL);
}

void steps_kill_at_call(struct steps *s, uint64_t nth)
{
    s->killing = true;
    atomic_store(&s->shared->calls, 0);
    atomic_store(&s->shared->kill_at, nth);
    atomic_store(&s->shared->killing, true);
}

void steps_end(struct steps *s)
{
    steps_free(s);
    if (s->first.pid != 0 && s->killing) {
        test_kill(&s->first, SIGKILL); /* it may be dead, or about to die */
    } else if (s->first.pid != 0) {
        if (!s->closing) {
            test_send(&s->first, 0);
        }
        test_await(&s->first, CLOSED);
        test_wait_ok(&s->first);
    }
    test_send(&s->second, 0);
    test_wait_ok(&s->second);
    if (s->guest.pid != 0) {
        test_send(&s->guest, 0);
        test_wait_ok(&s->guest);
    }
    for (int i = 0; i < 2; i++) {
        close(s->reached[i]);
        close(s->released[i]);
    }
    munmap(s->shared, sizeof(*s->shared));
}
