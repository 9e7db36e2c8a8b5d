/* SPDX-License-Identifier: Apache-2.0 */
/* Flushes: what they promise, what a failed one does to everybody, and what follows a dead flusher.
 */
#define _GNU_SOURCE
#include "store/control.h"
#include "store/log.h"
#include "support/stores.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#define TREE 1
#define GO 1
#define NS_PER_MS UINT64_C(1000000)

/* Sleep until durable has reached an LSN, without driving the flush. */
static void await_durable(struct store *s, uint64_t lsn)
{
    uint64_t deadline = os_now_ns() + UINT64_C(60) * 1000 * NS_PER_MS;
    for (;;) {
        uint32_t seen = atomic_load(&s->ctl->flushed.seen);
        if (store_durable(s) >= lsn) {
            return;
        }
        expect(os_now_ns() < deadline);
        control_sleep(&s->ctl->flushed, seen, deadline, 100 * NS_PER_MS);
    }
}

/* An async commit becomes durable by itself. */
Test(store_flush, async_commits_are_flushed)
{
    struct store *s = stores_make_tree(NULL, TREE);
    await_durable(s, stores_write(s, TREE, "key", "value"));
    await_durable(s, stores_write(s, TREE, "key", "other"));
    stores_close(s);
}

/* A sync commit is durable when it returns, with all before it. */
Test(store_flush, sync_commits_are_durable)
{
    struct store *s = stores_make_tree(NULL, TREE);
    stores_write(s, TREE, "a", "async");
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    stores_expect(t, TREE, "a", "async"); /* this process reads its own writes */
    stores_put(t, TREE, "b", "sync");
    uint64_t lsn = stores_commit(t);
    expect(store_durable(s) >= lsn);
    stores_close(s);
}

static void write_async(struct test_child *self, void *arg)
{
    (void)arg;
    test_await(self, GO);
    struct store *s = stores_open(NULL);
    stores_write(s, TREE, "late", "value");
    test_send(self, GO);
    test_await(self, GO);
    stores_close(s);
}

/* A sync transaction sees what is durable, and of another process's async commits no more; an async
 * one sees them at once. Whoever holds the flush lock decides when that is. */
Test(store_flush, sync_transactions_read_what_is_durable)
{
    struct test_child writer;
    stores_path();
    test_fork(&writer, write_async, NULL);
    struct store *s = stores_make_tree(NULL, TREE);
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    int rc;
    while ((rc = control_lock_take(s, &s->ctl->flush, "hold flushes up", NS_PER_MS)) != 0) {
        expect(rc == -ETIMEDOUT);
    }
    test_send(&writer, GO);
    test_await(&writer, GO);
    struct store_txn *sync = stores_begin(s, STORE_TXN_SYNC | STORE_TXN_READONLY);
    struct store_txn *async = stores_begin(s, STORE_TXN_READONLY);
    stores_expect(sync, TREE, "late", NULL);
    stores_expect(async, TREE, "late", "value");
    store_txn_abort(sync);
    store_txn_abort(async);
    control_lock_leave(&s->ctl->flush);
    test_send(&writer, GO);
    test_wait_ok(&writer);
    stores_close(s);
}

/* What is durable already is not synced again. */
Test(store_flush, nothing_to_do)
{
    struct store *s = stores_make_tree(NULL, TREE);
    uint64_t lsn = stores_write(s, TREE, "key", "value");
    must(store_flush(s, lsn, STORE_FOREVER, &test_err));
    uint64_t flushes = atomic_load(&s->ctl->flushes);
    must(store_flush(s, lsn, STORE_FOREVER, &test_err));
    must(store_flush(s, 1, STORE_FOREVER, &test_err));
    expect_u64(atomic_load(&s->ctl->flushes), flushes);
    stores_close(s);
}

static int put_sync(struct store *s, const char *key)
{
    struct store_txn *t;
    int rc = store_txn_begin(s, STORE_TXN_SYNC, &t, &test_err);
    if (rc == 0) {
        stores_put(t, TREE, key, "value");
        rc = store_txn_commit(t, NULL, NULL, &test_err);
    }
    return rc;
}

static void see_the_stop(struct test_child *self, void *arg)
{
    (void)arg;
    test_await(self, GO);
    struct store *s = stores_open(NULL);
    test_send(self, 1);
    test_await(self, 2);
    must_fail(put_sync(s, "other"), INSTAR_ESTOPPED);
    expect(strstr(test_err.text, "stopped writing") != NULL);
    stores_read(s, TREE, "before", "value"); /* reading goes on */
    must_fail(store_close(s, &test_err), INSTAR_ESTOPPED);
}

/* A failed flush is never tried again: the commit is unknown, the store stops for every process,
 * says why, and stays closed. After a reboot it opens, with everything that was promised. */
Test(store_flush, failure_stops_the_store)
{
    struct test_fault fault = {.op = OS_OP_SYNC, .path = ".seg", .nth = 1, .error = EIO};
    struct test_child child;
    stores_path();
    test_fork(&child, see_the_stop, NULL); /* before this process has other threads */
    struct store *s = stores_make_tree(NULL, TREE);
    must(put_sync(s, "before"));
    test_send(&child, GO);
    test_await(&child, 1);
    test_fault_set(&fault);
    must_fail(put_sync(s, "lost?"), INSTAR_ECOMMIT_UNKNOWN);
    expect_u64(test_fault_fired(), 1);
    test_fault_set(NULL);
    must_fail(put_sync(s, "after"), INSTAR_ESTOPPED);
    must_fail(store_flush(s, store_tail(s), STORE_FOREVER, &test_err), INSTAR_ESTOPPED);
    stores_read(s, TREE, "before", "value");
    stores_read(s, TREE, "lost?", NULL); /* what nobody may ever see again is not shown */
    test_send(&child, 2);
    test_wait_ok(&child);
    must_fail(store_close(s, &test_err), INSTAR_ESTOPPED);
    instar_options o = stores_options();
    must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ESTOPPED);
    must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ESTOPPED);
    expect(strstr(test_err.text, "reboot") != NULL);
    test_boot_set(2);
    s = stores_open(NULL);
    stores_read(s, TREE, "before", "value");
    must(put_sync(s, "again"));
    stores_close(s);
    test_boot_set(0);
}

static const char *disk_path(void)
{
    static char path[300];
    snprintf(path, sizeof(path), "%s/store", test_dir());
    return path;
}

/* A store on a disk, stopped by one failed flush after `key` was promised. */
static void leave_stopped(void)
{
    struct test_fault fault = {.op = OS_OP_SYNC, .path = ".seg", .nth = 1, .error = EIO};
    instar_options o = stores_options();
    struct store *s;
    must(store_create(disk_path(), &o, &test_err));
    must(store_open(disk_path(), &o, &s, &test_err));
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    must(put_sync(s, "promised"));
    test_fault_set(&fault);
    must_fail(put_sync(s, "unknown"), INSTAR_ECOMMIT_UNKNOWN);
    test_fault_set(NULL);
    must_fail(store_check_after_io_error(disk_path(), &o, &test_err), INSTAR_EBUSY);
    must_fail(store_close(s, &test_err), INSTAR_ESTOPPED);
    must_fail(store_open(disk_path(), &o, &s, &test_err), INSTAR_ESTOPPED);
}

struct directly {
    bool trees, log;
};

/* Files that are read past the page cache. */
static void note_direct(void *arg, const struct os_call *call)
{
    struct directly *seen = arg;
    if (call->op == OS_OP_OPEN && (call->flags & O_DIRECT) != 0) {
        seen->trees = seen->trees || strcmp(call->name, "data.mdb") == 0;
        seen->log = seen->log || strstr(call->name, ".seg") != NULL;
    }
}

/* When all that was promised is found on the disk itself, the store opens again without a reboot.
 */
Test(store_flush, check_after_an_error)
{
    instar_options o = stores_options();
    struct directly seen = {0};
    struct test_listener listener = {.before = note_direct, .arg = &seen};
    struct store *s;
    leave_stopped();
    test_listener_set(&listener);
    must(store_check_after_io_error(disk_path(), &o, &test_err));
    test_listener_set(NULL);
    expect(seen.trees && seen.log);
    must(store_open(disk_path(), &o, &s, &test_err));
    stores_read(s, TREE, "promised", "value");
    must(put_sync(s, "again"));
    must(store_close(s, &test_err));
}

/* When something promised is not on the disk, or the disk cannot be asked, the store stays closed.
 */
Test(store_flush, check_that_finds_a_loss)
{
    instar_options o = stores_options();
    struct test_fault refused = {.op = OS_OP_OPEN, .path = "data.mdb", .nth = 2, .error = EINVAL};
    struct store *s;
    char path[400];
    leave_stopped();
    test_fault_set(&refused);
    must_fail(store_check_after_io_error(disk_path(), &o, &test_err), INSTAR_ESTOPPED);
    expect(strstr(test_err.text, "past the page cache") != NULL);
    test_fault_set(NULL);
    snprintf(path, sizeof(path), "%s/log/%016x.seg", disk_path(), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    must(os_pwrite(fd, "loss", 4, 100));
    must(os_fdatasync(fd));
    os_close(fd);
    must_fail(store_check_after_io_error(disk_path(), &o, &test_err), INSTAR_ESTOPPED);
    expect(strstr(test_err.text, "only a reboot helps") != NULL);
    must_fail(store_open(disk_path(), &o, &s, &test_err), INSTAR_ESTOPPED);
}

/* No space in the page cache's way out is a failed flush as well: what it did not write is lost. */
Test(store_flush, no_space_in_a_sync_stops_the_store)
{
    struct store *s = stores_make(NULL);
    struct test_fault fault = {.op = OS_OP_SYNC, .path = ".seg", .nth = 1, .error = ENOSPC};
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    must(put_sync(s, "before"));
    test_fault_set(&fault);
    must_fail(put_sync(s, "key"), INSTAR_ECOMMIT_UNKNOWN);
    test_fault_set(NULL);
    must_fail(put_sync(s, "key"), INSTAR_ESTOPPED);
    must_fail(store_close(s, &test_err), INSTAR_ESTOPPED);
}

struct late {
    struct store *s;
    _Atomic uint64_t lsn;
    _Atomic bool seen;
};

/* Commit between the sync and what it declares durable; no other flush can end meanwhile. */
static void commit_late(void *arg, const char *name)
{
    struct late *late = arg;
    if (strcmp(name, "flush.synced") == 0 && atomic_load(&late->lsn) == 0) {
        atomic_store(&late->lsn, stores_write(late->s, TREE, "late", "value"));
    } else if (strcmp(name, "flush.durable_set") == 0 && !atomic_exchange(&late->seen, true)) {
        expect(store_durable(late->s) < atomic_load(&late->lsn));
    }
}

/* What is committed after a sync has begun is not durable with it. */
Test(store_flush, late_commits_are_not_covered)
{
    struct store *s = stores_make(NULL);
    struct late late = {.s = s};
    struct test_listener listener = {.point = commit_late, .arg = &late};
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    stores_write(s, TREE, "key", "value");
    test_listener_set(&listener);
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    await_durable(s, store_tail(s));
    test_listener_set(NULL);
    expect(atomic_load(&late.seen));
    stores_close(s);
}

/* ---- after a dead flusher ----------------------------------------------------------------- */

static void die_in_flush(struct test_child *self, void *arg)
{
    test_await(self, GO);
    struct store *s = stores_open(NULL);
    test_kill_at_point(arg, 1);
    put_sync(s, "victim");
    test_fail(__FILE__, __LINE__, "%s was not reached", (const char *)arg);
}

static void let_die(struct test_child *child)
{
    test_send(child, GO);
    expect(test_wait(child) == -SIGKILL);
}

struct writes {
    uint64_t at;
    _Atomic uint64_t bytes;
};

/* Bytes written to segments below a position. */
static void count_below(void *arg, const struct os_call *call, int result)
{
    struct writes *w = arg;
    if (result > 0 && call->op == OS_OP_WRITE && (uint64_t)call->offset < w->at) {
        atomic_fetch_add(&w->bytes, (uint64_t)result);
    }
}

/* The successor of a dead flusher does not trust the page cache: it writes back what lies beyond
 * durable, and goes on doing so until durable has passed the tail of that time. */
Test(store_flush, successor_writes_back)
{
    struct test_child child;
    static struct writes writes; /* of this process, which appends nothing meanwhile */
    struct test_listener listener = {.after = count_below, .arg = &writes};
    stores_path();
    test_fork(&child, die_in_flush, (void *)(uintptr_t) "flush.loaded");
    struct store *s = stores_make_tree(NULL, TREE);
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    uint64_t durable = store_durable(s);
    writes.at = UINT64_MAX;
    test_listener_set(&listener);
    let_die(&child);
    uint64_t tail = store_tail(s);
    expect(tail > durable);
    must(store_flush(s, tail, STORE_FOREVER, &test_err));
    expect_u64(atomic_load(&writes.bytes), tail - durable);
    expect(control_load(&s->ctl->tail0) > tail);
    /* durable is at tail0 now, not beyond it: once more. */
    must(put_sync(s, "next"));
    uint64_t next = store_tail(s);
    atomic_store(&writes.bytes, 0);
    writes.at = next + s->segment_bytes;
    must(put_sync(s, "and next"));
    uint64_t record = store_tail(s) - next;
    expect(atomic_load(&writes.bytes) <= record); /* written once */
    test_listener_set(NULL);
    stores_read(s, TREE, "victim", "value");
    stores_close(s);
}

struct damage {
    struct store *s;
    uint64_t at;
};

static void damage_and_die(void *arg, const char *name)
{
    struct damage *d = arg;
    struct segment *seg;
    if (strcmp(name, "flush.loaded") == 0) {
        must(segment_pin(d->s, 0, false, &seg, &test_err));
        must(os_pwrite(seg->fd, "damage", 6, (off_t)d->at));
        kill(os_pid(), SIGKILL);
    }
}

static void flush_damaged(struct test_child *self, void *arg)
{
    (void)arg;
    test_await(self, GO);
    static struct damage damage;
    struct test_listener listener = {.point = damage_and_die, .arg = &damage};
    damage.s = stores_open(NULL);
    damage.at = store_tail(damage.s) + RECORD_HEADER;
    test_listener_set(&listener);
    put_sync(damage.s, "victim");
    test_fail(__FILE__, __LINE__, "no flush");
}

/* A successor that finds the dead flusher's bytes damaged stops the store. */
Test(store_flush, successor_finds_damage)
{
    struct test_child child;
    stores_path();
    test_fork(&child, flush_damaged, NULL);
    struct store *s = stores_make_tree(NULL, TREE);
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    uint64_t durable = store_durable(s);
    let_die(&child);
    int rc = store_flush(s, store_tail(s), STORE_FOREVER, &test_err);
    expect(rc == INSTAR_ECORRUPT || rc == INSTAR_ESTOPPED); /* the background may have found it */
    must_fail(store_poisoned(s, &test_err), INSTAR_ESTOPPED);
    expect_u64(store_durable(s), durable);
    must_fail(store_close(s, &test_err), INSTAR_ESTOPPED);
}

/* Wherever a flusher dies, others are flushed. */
Test(store_flush, death_at_each_point)
{
    static const char *const points[] = {"flush.loaded", "flush.synced", "flush.durable_set"};
    struct test_child children[BASE_ARRAY_LEN(points)];
    stores_path();
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        test_fork(&children[i], die_in_flush, (void *)(uintptr_t)points[i]);
    }
    struct store *s = stores_make_tree(NULL, TREE);
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        let_die(&children[i]);
        must(put_sync(s, "next"));
        expect(store_durable(s) == store_tail(s));
        stores_read(s, TREE, "victim", "value");
    }
    stores_close(s);
}

/* ---- death as the store stops ------------------------------------------------------------- */

static void fail_and_die(struct test_child *self, void *arg)
{
    struct test_fault fault = {.op = OS_OP_SYNC, .path = ".seg", .nth = 1, .error = EIO};
    (void)arg;
    test_await(self, GO);
    struct store *s = stores_open(NULL);
    test_fault_set(&fault);
    test_kill_at_point("stop.poisoned", 1);
    put_sync(s, "unknown");
    test_fail(__FILE__, __LINE__, "it did not stop");
}

static void expect_stopped_until_reboot(void)
{
    instar_options o = stores_options();
    struct store *s;
    for (int twice = 0; twice < 2; twice++) {
        must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ESTOPPED);
        expect(strstr(test_err.text, "reboot") != NULL);
    }
    test_boot_set(2);
    s = stores_open(NULL);
    stores_read(s, TREE, "promised", "value");
    must(put_sync(s, "again"));
    must(store_verify(s, NULL, NULL, &test_err));
    stores_close(s);
    test_boot_set(0);
}

/* For what will not be folded, so it is the stop that ends this. */
static void wait_for_folding(struct test_child *self, void *arg)
{
    (void)arg;
    test_await(self, GO);
    struct store *s = stores_open(NULL);
    test_send(self, GO);
    must_fail(
        store_wait_applied(s, store_tail(s) + (1 << 30), STORE_URGE_SOON, STORE_FOREVER, &test_err),
        INSTAR_ESTOPPED);
    must_fail(store_close(s, &test_err), INSTAR_ESTOPPED);
}

/* The process whose flush has failed dies before it has woken anybody or left its marker. All
 * others stop, and the store stays closed until a reboot. */
Test(store_flush, death_as_the_store_stops)
{
    struct test_child victim, waiter;
    stores_path();
    test_fork(&victim, fail_and_die, NULL);
    test_fork(&waiter, wait_for_folding, NULL);
    struct store *s = stores_make_tree(NULL, TREE);
    must(put_sync(s, "promised"));
    test_send(&waiter, GO);
    test_await(&waiter, GO);
    let_die(&victim);
    must_fail(put_sync(s, "after"), INSTAR_ESTOPPED);
    stores_read(s, TREE, "promised", "value"); /* reading goes on */
    stores_read(s, TREE, "unknown", NULL);
    test_wait_ok(&waiter);
    must_fail(store_close(s, &test_err), INSTAR_ESTOPPED);
    expect_stopped_until_reboot();
}

/* The same when it was the only one: what it has left in shared memory tells of it. */
Test(store_flush, death_of_the_only_one_as_the_store_stops)
{
    struct test_child victim;
    stores_path();
    test_fork(&victim, fail_and_die, NULL);
    struct store *s = stores_make_tree(NULL, TREE);
    must(put_sync(s, "promised"));
    stores_close(s);
    let_die(&victim);
    expect_stopped_until_reboot();
}
