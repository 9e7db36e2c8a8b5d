/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One set of os_hooks that hands each call to whatever a test has attached. All state is either set
 * before threads start, or atomic.
 */
#define _GNU_SOURCE
#include "ddl/ddl_impl.h"
#include "support/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define POINTS_MAX 256

struct point_count {
    _Atomic(const char *) name; /* points are named by literals, so the pointer stays */
    _Atomic uint64_t hits;
};

static struct {
    _Atomic bool fault_on;
    struct test_fault fault;
    _Atomic uint64_t fault_seen;
    _Atomic uint64_t fault_fired;

    _Atomic uint64_t short_nth;
    _Atomic bool short_sticky;
    _Atomic bool short_mine;
    _Atomic pthread_t short_setter;
    _Atomic(const char *) short_thread;
    _Atomic uint64_t short_seen;
    _Atomic uint64_t short_fired;

    _Atomic(const char *) kill_point;
    _Atomic uint64_t kill_point_left;
    _Atomic bool kill_op_on;
    _Atomic uint64_t kill_op_left;

    struct test_hold *_Atomic hold;

    _Atomic bool counting;
    struct point_count points[POINTS_MAX];

    _Atomic uint64_t *_Atomic clock_ns; /* shared with forks */
    _Atomic uint64_t boot;

    _Atomic bool listening;
    struct test_listener listener;
} hooked;

static const char *const op_names[] = {
    [OS_OP_OPEN] = "open",         [OS_OP_CLOSE] = "close",
    [OS_OP_READ] = "read",         [OS_OP_WRITE] = "write",
    [OS_OP_SYNC] = "sync",         [OS_OP_SYNC_DIR] = "sync-dir",
    [OS_OP_ALLOCATE] = "allocate", [OS_OP_ZERO_RANGE] = "zero-range",
    [OS_OP_TRUNCATE] = "truncate", [OS_OP_RENAME] = "rename",
    [OS_OP_UNLINK] = "unlink",     [OS_OP_MKDIR] = "mkdir",
    [OS_OP_SYMLINK] = "symlink",   [OS_OP_MAP] = "map",
    [OS_OP_STAT] = "stat",         [OS_OP_LOCK] = "lock",
};

const char *test_op_name(int op)
{
    return op >= 0 && op < (int)BASE_ARRAY_LEN(op_names) ? op_names[op] : "any";
}

/* Is part of the path the operation is on? Costs a system call, so only asked when a path is set.
 */
static bool path_matches(const struct os_call *call, const char *part)
{
    if (call->name != NULL && strstr(call->name, part) != NULL) {
        return true;
    }
    if (call->name2 != NULL && strstr(call->name2, part) != NULL) {
        return true;
    }
    int fd = call->name != NULL ? call->dirfd : call->fd;
    char link[64];
    char path[512];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof(path) - 1);
    if (size < 0) {
        return false;
    }
    path[size] = '\0';
    return strstr(path, part) != NULL;
}

static int apply_fault(const struct os_call *call)
{
    const struct test_fault *f = &hooked.fault;
    if ((f->op != TEST_ANY_OP && f->op != (int)call->op) ||
        (f->name != NULL && (call->name == NULL || strcmp(call->name, f->name) != 0)) ||
        (f->path != NULL && !path_matches(call, f->path))) {
        return 0;
    }
    uint64_t seen = atomic_fetch_add(&hooked.fault_seen, 1) + 1;
    if (f->nth == 0 || (f->sticky ? seen < f->nth : seen != f->nth)) {
        return 0;
    }
    atomic_fetch_add(&hooked.fault_fired, 1);
    return f->short_bytes != 0 ? (int)f->short_bytes : -f->error;
}

static bool is_short_of_memory(void)
{
    const char *thread = hooked.short_thread;
    char name[16] = "";
    return (!hooked.short_mine || pthread_equal(pthread_self(), hooked.short_setter)) &&
           (thread == NULL || (pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
                               strcmp(name, thread) == 0));
}

static bool grant_memory(size_t size)
{
    uint64_t nth = hooked.short_nth;
    (void)size;
    if (!is_short_of_memory()) {
        return true;
    }
    uint64_t seen = atomic_fetch_add(&hooked.short_seen, 1) + 1;
    if (nth == 0 || (hooked.short_sticky ? seen < nth : seen != nth)) {
        return true;
    }
    atomic_fetch_add(&hooked.short_fired, 1);
    return false;
}

/* True for exactly the hit that brings the count to its end. */
static bool count_down(_Atomic uint64_t *left)
{
    uint64_t now = atomic_load(left);
    while (now != 0) {
        if (atomic_compare_exchange_weak(left, &now, now - 1)) {
            return now == 1;
        }
    }
    return false;
}

static int before(void *arg, const struct os_call *call)
{
    (void)arg;
    if (hooked.kill_op_on && count_down(&hooked.kill_op_left)) {
        test_keep_counts();
        kill(getpid(), SIGKILL);
    }
    int rc = hooked.fault_on ? apply_fault(call) : 0;
    if (rc >= 0 && hooked.listening && hooked.listener.before != NULL) {
        hooked.listener.before(hooked.listener.arg, call);
    }
    return rc;
}

static void after(void *arg, const struct os_call *call, int result)
{
    (void)arg;
    if (hooked.listening && hooked.listener.after != NULL) {
        hooked.listener.after(hooked.listener.arg, call, result);
    }
}

static void count_point(const char *name)
{
    for (size_t i = 0; i < POINTS_MAX; i++) {
        const char *there = NULL;
        /* On failure, which is the usual case, the name that is there is loaded. */
        if (atomic_compare_exchange_strong(&hooked.points[i].name, &there, name)) {
            there = name;
        }
        if (strcmp(there, name) == 0) {
            atomic_fetch_add(&hooked.points[i].hits, 1);
            return;
        }
    }
}

static void stay(struct test_hold *h)
{
    char byte = 1;
    if (write(h->reached[1], &byte, 1) == 1) {
        while (read(h->released[0], &byte, 1) < 0 && errno == EINTR) {
        }
    }
}

static void point(void *arg, const char *name)
{
    (void)arg;
    if (atomic_load(&hooked.counting)) {
        count_point(name);
    }
    if (hooked.listening && hooked.listener.point != NULL) {
        hooked.listener.point(hooked.listener.arg, name);
    }
    const char *kill_point = hooked.kill_point;
    if (kill_point != NULL && strcmp(kill_point, name) == 0 &&
        count_down(&hooked.kill_point_left)) {
        test_keep_counts();
        kill(getpid(), SIGKILL);
    }
    struct test_hold *h = hooked.hold;
    if (h != NULL && strcmp(h->name, name) == 0 && count_down(&h->left)) {
        stay(h);
    }
}

static uint64_t boottime(void *arg)
{
    (void)arg;
    return atomic_load(hooked.clock_ns);
}

static int boot_id(void *arg, uint8_t id[16])
{
    (void)arg;
    memset(id, 0xb0, 16);
    base_put_u64(id, hooked.boot);
    return 0;
}

/* By whether time and boot are bent. Never changed, for threads may be looking. */
static const struct os_hooks hooks[2][2] = {
    {{.before = before, .after = after, .point = point},
     {.before = before, .after = after, .point = point, .boot_id = boot_id}},
    {{.before = before, .after = after, .point = point, .boottime_ns = boottime},
     {.before = before,
      .after = after,
      .point = point,
      .boottime_ns = boottime,
      .boot_id = boot_id}}};

static void attach(void)
{
    os_hooks_set(&hooks[hooked.clock_ns != NULL][hooked.boot != 0]);
}

void test_fault_set(const struct test_fault *fault)
{
    hooked.fault_on = false;
    atomic_store(&hooked.fault_seen, 0);
    atomic_store(&hooked.fault_fired, 0);
    if (fault != NULL) {
        hooked.fault = *fault;
        hooked.fault_on = true;
    }
    attach();
}

uint64_t test_fault_seen(void)
{
    return atomic_load(&hooked.fault_seen);
}

uint64_t test_fault_fired(void)
{
    return atomic_load(&hooked.fault_fired);
}

void test_shortage_set(const struct test_shortage *shortage)
{
    base_alloc_hook = NULL;
    test_libs_alloc_hook = NULL;
    ddl_alloc_hook = NULL;
    if (shortage != NULL) {
        hooked.short_nth = shortage->nth;
        hooked.short_sticky = shortage->sticky;
        hooked.short_mine = shortage->mine;
        hooked.short_setter = pthread_self();
        hooked.short_thread = shortage->thread;
        hooked.short_seen = 0;
        hooked.short_fired = 0;
        base_alloc_hook = grant_memory;
        test_libs_alloc_hook = shortage->all ? grant_memory : NULL;
        ddl_alloc_hook = shortage->all ? grant_memory : NULL;
    }
}

uint64_t test_shortage_seen(void)
{
    return atomic_load(&hooked.short_seen);
}

uint64_t test_shortage_fired(void)
{
    return atomic_load(&hooked.short_fired);
}

void test_kill_at_point(const char *name, uint64_t nth)
{
    atomic_store(&hooked.kill_point_left, nth);
    hooked.kill_point = name;
    attach();
}

void test_kill_at_op(uint64_t nth)
{
    atomic_store(&hooked.kill_op_left, nth);
    hooked.kill_op_on = nth != 0;
    attach();
}

void test_hold_set(struct test_hold *h, const char *name, uint64_t nth)
{
    h->name = name;
    atomic_store(&h->left, nth);
    if (pipe(h->reached) != 0 || pipe(h->released) != 0) {
        test_fail(__FILE__, __LINE__, "pipe: %s", strerror(errno));
    }
    hooked.hold = h;
    attach();
}

void test_hold_await(struct test_hold *h)
{
    struct pollfd ready = {.fd = h->reached[0], .events = POLLIN};
    char byte;
    int n;
    do {
        n = poll(&ready, 1, TEST_AWAIT_S * 1000);
    } while (n < 0 && errno == EINTR);
    if (n != 1 || read(h->reached[0], &byte, 1) != 1) {
        test_fail(__FILE__, __LINE__, "nobody has reached %s", h->name);
    }
}

void test_hold_release(struct test_hold *h)
{
    char byte = 1;
    expect(write(h->released[1], &byte, 1) == 1);
}

void test_hold_end(struct test_hold *h)
{
    hooked.hold = NULL;
    for (int i = 0; i < 2; i++) {
        close(h->reached[i]);
        close(h->released[i]);
    }
}

void test_points_count(bool on)
{
    atomic_store(&hooked.counting, on);
    attach();
}

size_t test_points_seen(void)
{
    size_t n = 0;
    while (n < POINTS_MAX && atomic_load(&hooked.points[n].name) != NULL) {
        n++;
    }
    return n;
}

const char *test_point_name(size_t i)
{
    return atomic_load(&hooked.points[i].name);
}

uint64_t test_point_hits(const char *name)
{
    for (size_t i = 0; i < test_points_seen(); i++) {
        if (strcmp(test_point_name(i), name) == 0) {
            return atomic_load(&hooked.points[i].hits);
        }
    }
    return 0;
}

void test_clock_start(uint64_t boottime_ns)
{
    void *shared = test_shared(sizeof(uint64_t));
    hooked.clock_ns = shared;
    atomic_store(hooked.clock_ns, boottime_ns);
    attach();
}

void test_clock_advance(uint64_t ns)
{
    atomic_fetch_add(hooked.clock_ns, ns);
}

void test_clock_stop(void)
{
    if (hooked.clock_ns != NULL) {
        void *shared = hooked.clock_ns;
        hooked.clock_ns = NULL;
        attach();
        munmap(shared, sizeof(uint64_t));
    }
}

void test_boot_set(uint64_t boot)
{
    hooked.boot = boot;
    attach();
}

#define STACK_BYTES_MAX ((size_t)1 << 46) /* nobody has that much */

void test_threads_refuse(bool refuse)
{
    static size_t usual;
    pthread_attr_t attr;

    if (pthread_getattr_default_np(&attr) != 0 ||
        (usual == 0 && pthread_attr_getstacksize(&attr, &usual) != 0) ||
        pthread_attr_setstacksize(&attr, refuse ? STACK_BYTES_MAX : usual) != 0 ||
        pthread_setattr_default_np(&attr) != 0) {
        test_fail(__FILE__, __LINE__, "the size of stacks cannot be set");
    }
    pthread_attr_destroy(&attr);
}

void test_listener_set(const struct test_listener *listener)
{
    hooked.listening = false;
    if (listener != NULL) {
        hooked.listener = *listener;
        hooked.listening = true;
    }
    attach();
}

void test_hooks_clear(void)
{
    os_hooks_set(NULL);
    test_clock_stop();
    hooked.fault_on = false;
    test_shortage_set(NULL);
    hooked.kill_point = NULL;
    hooked.kill_op_on = false;
    hooked.hold = NULL;
    hooked.boot = 0;
    hooked.listening = false;
    atomic_store(&hooked.counting, false);
    os_hooks_set(NULL);
}
