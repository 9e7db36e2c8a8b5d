/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every system call of a workload fails once. Each time: the workload either does not notice, or
 * ends with a status code that fits and says something; no descriptor is left; and the store opens
 * again, at the latest after a reboot, with every promised commit and nothing half done.
 */
#define _GNU_SOURCE
#include "support/oracle.h"
#include "support/powerlook.h"
#include "support/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define STRIDE 3 /* each run checks for leaks, which takes its time */
#else
#define STRIDE 1
#endif

/* What a run says to the test, in shared memory. */
struct report {
    uint64_t issued, durable;
    uint64_t fired;
    uint64_t failed; /* workloads that ended with an error */
    uint64_t whole;  /* those that were killed at their end */
};

static struct report *report;

static instar_options small_options(void)
{
    instar_options o = powerlook_options();
    o.lock_timeout_ms = 2000;
    return o;
}

static const char *store_path(void)
{
    static char path[300];
    snprintf(path, sizeof(path), "%s/store", test_fast_dir());
    return path;
}

static void note_issued(void *arg, uint64_t number)
{
    (void)arg;
    report->issued = number;
}

static void note_durable(void *arg, uint64_t number)
{
    (void)arg;
    report->durable = number;
}

/* What an injected EIO or ENOSPC may become; anything else would be a wrong diagnosis. */
static void expect_fitting(int rc, const char *what)
{
    static const int fitting[] = {
        0, INSTAR_EIO, INSTAR_ENOSPACE, INSTAR_ESTOPPED, INSTAR_ECOMMIT_UNKNOWN, INSTAR_EBUSY};
    for (size_t i = 0; i < BASE_ARRAY_LEN(fitting); i++) {
        if (rc == fitting[i]) {
            expect(rc == 0 || test_err.text[0] != '\0');
            return;
        }
    }
    test_fail(__FILE__, __LINE__, "%s: %s (%s)", what, base_error_name(rc), test_err.text);
}

enum begin {
    FROM_NOTHING, /* the store is yet to be made */
    FROM_NEW,     /* it has just been made */
    FROM_KILLED   /* its process was killed in the middle of the workload */
};

struct attempt {
    const struct oracle *oracle;
    struct test_fault fault;
    enum begin begin;
};

#define KILL_AT 130 /* operations of a workload */

static void run_until_killed(struct test_child *self, void *arg)
{
    const struct attempt *a = arg;
    instar_options options = small_options();
    struct oracle_watch watch = {.issued = note_issued, .durable = note_durable};
    struct store *s = NULL;
    (void)self;
    test_boot_set(1);
    test_kill_at_op(KILL_AT);
    must(store_open(store_path(), &options, &s, &test_err));
    must(oracle_run(a->oracle, 0, store_path(), &options, &s, &watch, &test_err));
    report->whole++; /* flushes were slow, and so there were fewer of them */
    (void)raise(SIGKILL);
}

static void run_with_fault(struct test_child *self, void *arg)
{
    const struct attempt *a = arg;
    instar_options options = small_options();
    struct oracle_watch watch = {.issued = note_issued, .durable = note_durable};
    struct store *s = NULL;
    size_t before = test_descriptors();
    (void)self;
    test_boot_set(1);
    test_fault_set(&a->fault);
    base_err_clear(&test_err);
    int rc = 0;
    if (a->begin == FROM_NOTHING) {
        rc = store_create(store_path(), &options, &test_err);
        expect_fitting(rc, "create");
    }
    if (rc == 0) {
        rc = store_open(store_path(), &options, &s, &test_err);
        expect_fitting(rc, "open");
    }
    uint64_t number = 0;
    if (rc == 0) {
        rc = oracle_number(s, &number, &test_err);
        expect_fitting(rc, "reading");
    }
    if (rc == 0) {
        rc = oracle_run(a->oracle, number, store_path(), &options, &s, &watch, &test_err);
        expect_fitting(rc, "workload");
    }
    report->failed += rc != 0;
    if (s != NULL) {
        base_err_clear(&test_err);
        expect_fitting(store_close(s, &test_err), "close");
    }
    report->fired = test_fault_fired();
    test_hooks_clear();
    expect_u64(test_descriptors(), before);
#if defined(__SANITIZE_ADDRESS__)
    expect(__lsan_do_recoverable_leak_check() == 0);
#endif
}

/* It opens, or says that it has stopped; then it opens after a reboot. */
static void open_again(struct test_child *self, void *arg)
{
    const struct attempt *a = arg;
    instar_options options = small_options();
    struct store *s = NULL;
    uint64_t number;
    char text[500];
    (void)self;
    test_boot_set(1);
    int rc = store_open(store_path(), &options, &s, &test_err);
    if (rc == INSTAR_ESTOPPED) {
        test_boot_set(2);
        rc = store_open(store_path(), &options, &s, &test_err);
    }
    if (a->begin == FROM_NOTHING && rc == INSTAR_ENOSTORE) {
        must(store_create(store_path(), &options, &test_err));
        rc = store_open(store_path(), &options, &s, &test_err);
    }
    must(rc);
    if (!oracle_check(a->oracle, s, &number, text, sizeof(text))) {
        test_fail(__FILE__, __LINE__, "%s", text);
    }
    if (number < report->durable || number > report->issued) {
        test_fail(__FILE__, __LINE__, "%llu commits, expected %llu to %llu",
                  (unsigned long long)number, (unsigned long long)report->durable,
                  (unsigned long long)report->issued);
    }
    must(store_verify(s, NULL, NULL, &test_err));
    must(oracle_run(a->oracle, number, store_path(), &options, &s, NULL, &test_err));
    must(store_close(s, &test_err));
}

static void run_child(void (*fn)(struct test_child *self, void *arg), const struct attempt *a)
{
    struct test_child child;
    struct attempt copy = *a;
    test_fork(&child, fn, &copy);
    int status = test_wait(&child);
    if (status != 0) {
        test_fail(__FILE__, __LINE__, "with operation %llu failing with errno %d: ended with %d",
                  (unsigned long long)a->fault.nth, a->fault.error, status);
    }
}

static void prepare(const struct attempt *a)
{
    instar_options options = small_options();
    struct test_child child;
    struct attempt copy = *a;
    memset(report, 0, sizeof(*report));
    test_remove(store_path());
    if (a->begin != FROM_NOTHING) {
        must(store_create(store_path(), &options, &test_err));
    }
    if (a->begin == FROM_KILLED) {
        test_fork(&child, run_until_killed, &copy);
        expect(test_wait(&child) == -SIGKILL);
    }
}

static void fail_each(const char *name, struct oracle *o, enum begin begin)
{
    uint64_t attempts = 0;
    uint64_t failed = 0;
    uint64_t killed_inside = 0;
    oracle_ready(o);
    report = test_shared(sizeof(*report));
    uint64_t stride = test_env_u64("INSTAR_FAULT_STRIDE", STRIDE);
    for (uint64_t n = 1;; n += stride) {
        struct attempt a = {.oracle = o, .begin = begin};
        a.fault = (struct test_fault){
            .op = TEST_ANY_OP, .nth = n, .error = n / stride % 2 != 0 ? EIO : ENOSPC};
        prepare(&a);
        killed_inside += begin == FROM_KILLED && report->whole == 0;
        run_child(run_with_fault, &a);
        failed += report->failed;
        if (report->fired == 0) {
            break; /* there are no more than that */
        }
        attempts++;
        run_child(open_again, &a);
    }
    printf("faults, %s: %llu system calls failed once, %llu of them ended the workload\n", name,
           (unsigned long long)attempts, (unsigned long long)failed);
    fflush(stdout);
    test_remove(store_path());
    oracle_free(o);
    cr_assert_gt(attempts, 50 / stride);
    cr_assert_gt(failed, 10 / stride);
    cr_assert(begin != FROM_KILLED || killed_inside > attempts / 2);
}

/* Making a store, and opening it for the first time. */
Test(store_fault, create)
{
    struct oracle o = {.value_bytes_max = 1000};
    oracle_add(&o, ORACLE_CREATE, 1, true);
    fail_each("create", &o, FROM_NOTHING);
}

/* Commits of both kinds over several segments, applied, closed and opened again. */
Test(store_fault, commit_and_apply)
{
    struct oracle o = {.value_bytes_max = 8000};
    oracle_add(&o, ORACLE_CREATE, 1, true);
    oracle_add_writes(&o, 12, 40);
    oracle_add(&o, ORACLE_APPLY, 0, false);
    oracle_add_writes(&o, 6, 40);
    oracle_add(&o, ORACLE_REOPEN, 0, false);
    oracle_add_writes(&o, 3, 40);
    fail_each("commit and apply", &o, FROM_NEW);
}

/* Recovery after a kill, and going on. */
Test(store_fault, recovery)
{
    struct oracle o = {.value_bytes_max = 8000};
    oracle_add(&o, ORACLE_CREATE, 1, true);
    oracle_add_writes(&o, 30, 70);
    fail_each("recovery", &o, FROM_KILLED);
}

/* An online build and a drop. */
Test(store_fault, build)
{
    struct oracle o = {.value_bytes_max = 1500};
    oracle_add(&o, ORACLE_CREATE, 1, true);
    oracle_add_writes(&o, 6, 40);
    oracle_add(&o, ORACLE_CUT, 10, true);
    oracle_add_writes(&o, 2, 40);
    oracle_add(&o, ORACLE_LOAD, 10, false);
    oracle_add_writes(&o, 2, 40);
    oracle_add(&o, ORACLE_FOLD_END, 10, true);
    oracle_add(&o, ORACLE_DROP, 10, true);
    oracle_add(&o, ORACLE_APPLY, 0, false);
    fail_each("build", &o, FROM_NEW);
}

/* One commit of a large value under a key of its own. */
static int commit_one(struct store *s, uint64_t number, bool sync)
{
    static uint8_t value[8000];
    char key[32];
    struct store_txn *t;
    snprintf(key, sizeof(key), "n%06llu", (unsigned long long)number);
    int rc = store_txn_begin(s, sync ? STORE_TXN_SYNC : 0, &t, &test_err);
    if (rc != 0) {
        return rc;
    }
    rc = store_txn_put(t, 1, base_slice(key, strlen(key)), base_slice(value, sizeof(value)),
                       &test_err);
    if (rc != 0) {
        store_txn_abort(t);
        return rc;
    }
    return store_txn_commit(t, NULL, NULL, &test_err);
}

static uint64_t count_keys(struct store *s)
{
    struct store_txn *t;
    struct store_cursor *c;
    struct store_range all = {.reverse = false};
    struct base_slice key;
    struct base_slice value;
    uint64_t count = 0;
    must(store_txn_begin(s, STORE_TXN_READONLY, &t, &test_err));
    must(store_cursor_open(t, 1, &all, STORE_READ_NORMAL, &c, &test_err));
    while (store_cursor_next(c, &key, &value, &test_err) == 0) {
        count++;
    }
    store_cursor_close(c);
    store_txn_abort(t);
    return count;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* A process that comes while the disk is full: it reads what is there, as one more beside the first
 * and alone. */
static void read_elsewhere(struct test_child *self, void *arg)
{
    uint64_t *expected = arg;
    instar_options options = small_options();
    struct store *s;
    (void)self;
    must(store_open(store_path(), &options, &s, &test_err));
    must(store_locked(s, do_nothing, NULL, &test_err)); /* as a lease is taken */
    cr_assert_eq(count_keys(s), *expected);
    must_fail(commit_one(s, *expected, true), INSTAR_ENOSPACE);
    (void)store_close(s, NULL);
}

/* The disk is full for the log's next segment, or for the trees: commits end with ENOSPACE and
 * leave nothing, reads go on, and when there is space again commits go on without a reopen. */
Test(store_fault, full_disk_stops_writing_only)
{
    static const struct test_fault full[] = {
        {.op = OS_OP_ALLOCATE, .path = "store/log", .nth = 1, .error = ENOSPC, .sticky = true},
        {.op = OS_OP_ALLOCATE, .path = ".tmp", .nth = 1, .error = ENOSPC, .sticky = true},
        {.op = OS_OP_WRITE, .path = "data.mdb", .nth = 1, .error = ENOSPC, .sticky = true},
        /* A file system that has no room even for what was allocated. */
        {.op = OS_OP_WRITE, .path = "store/log", .nth = 9, .error = EDQUOT, .sticky = true}};
    for (size_t i = 0; i < BASE_ARRAY_LEN(full); i++) {
        instar_options options = small_options();
        struct store *s;
        uint64_t committed = 0;
        int rc = 0;
        test_remove(store_path());
        must(store_create(store_path(), &options, &test_err));
        must(store_open(store_path(), &options, &s, &test_err));
        struct store_txn *t;
        must(store_txn_begin(s, 0, &t, &test_err));
        must(store_txn_tree_op(t, STORE_TREE_CREATE, 1, &test_err));
        must(store_txn_commit(t, NULL, NULL, &test_err));
        must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
        must(store_wait_applied(s, store_tail(s), STORE_URGE_SOON, STORE_FOREVER, &test_err));
        test_fault_set(&full[i]);
        while (rc == 0 && committed < 500) {
            rc = commit_one(s, committed, committed % 3 == 0);
            committed += rc == 0;
        }
        cr_assert_eq(rc, INSTAR_ENOSPACE, "case %zu: %s %s", i, base_error_name(rc), test_err.text);
        cr_expect_eq(count_keys(s), committed);
        must_fail(commit_one(s, committed, true), INSTAR_ENOSPACE);
        cr_expect_eq(count_keys(s), committed);
        struct test_child child;
        test_fork(&child, read_elsewhere, &committed);
        test_wait_ok(&child);
        test_hooks_clear();
        for (int again = 0; again < 40; again++) {
            /* The applier notices within moments; until then a commit may still be refused. */
            uint64_t deadline = os_now_ns() + (uint64_t)10 * 1000000000;
            do {
                rc = commit_one(s, committed, true);
            } while (rc == INSTAR_ENOSPACE && os_now_ns() < deadline);
            must(rc);
            committed++;
        }
        cr_expect_eq(count_keys(s), committed);
        must(store_close(s, &test_err));
        must(store_open(store_path(), &options, &s, &test_err));
        cr_expect_eq(count_keys(s), committed);
        must(store_close(s, &test_err));
    }
    test_remove(store_path());
}
