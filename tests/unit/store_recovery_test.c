/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery: a torn tail ends the log, corruption is refused, and what was cut off stays cut off. */
#include "store/control.h"
#include "store/log.h"
#include "support/stores.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define TREE 1

/* A store that its only process left by being killed: some commits durable, some not. What lies
 * where is told through the pipe. */
struct left {
    uint64_t first; /* LSN of the first durable commit after the create */
    uint64_t durable;
    uint64_t tail;
};

static void work_and_die(struct test_child *self, void *arg)
{
    const instar_options *o = arg;
    struct store *s = stores_make_tree(o, TREE);
    stores_fold(s);
    test_send(self, store_tail(s));
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    stores_put(t, TREE, "durable", "1");
    test_send(self, stores_commit(t));
    stores_write(s, TREE, "async", "2");
    uint64_t tail = stores_write(s, TREE, "last", "3");
    test_send(self, tail);
    kill(os_pid(), SIGKILL);
}

static struct left leave_store(void)
{
    static instar_options o;
    struct test_child child;
    struct left left;
    o = stores_options();
    o.segment_bytes = (uint64_t)64 << 10;
    stores_path(); /* the directory is this process's, not the child's */
    test_fork(&child, work_and_die, &o);
    left.first = test_receive(&child);
    left.durable = test_receive(&child);
    left.tail = test_receive(&child);
    expect(test_wait(&child) == -SIGKILL);
    return left;
}

/* The file of the segment that holds everything. */
static int open_segment(void)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/log/%016x.seg", stores_path(), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    expect(fd >= 0);
    return fd;
}

static void overwrite(uint64_t at, const void *bytes, size_t size)
{
    int fd = open_segment();
    must(os_pwrite(fd, bytes, size, (off_t)at));
    os_close(fd);
}

static void expect_three(struct store *s, const char *durable, const char *async, const char *last)
{
    struct store_txn *t = stores_begin(s, 0);
    stores_expect(t, TREE, "durable", durable);
    stores_expect(t, TREE, "async", async);
    stores_expect(t, TREE, "last", last);
    store_txn_abort(t);
}

/* After a kill everything that was committed is there, durable or not: the page cache has it. */
Test(store_recovery, after_a_kill)
{
    struct left left = leave_store();
    struct store *s = stores_open(NULL);
    expect_u64(store_tail(s), left.tail);
    expect_u64(store_durable(s), left.tail);
    expect_u64(control_load(&s->ctl->chain) != 0, 1);
    expect_three(s, "1", "2", "3");
    must(store_verify(s, NULL, NULL, &test_err));
    stores_close(s);
}

/* A torn record ends the log, before it nothing is missing, and what comes next takes its place. */
Test(store_recovery, a_torn_tail)
{
    struct left left = leave_store();
    overwrite(left.tail - 8, "torn off", 8);
    struct store *s = stores_open(NULL);
    expect(store_tail(s) < left.tail);
    expect_three(s, "1", "2", NULL);
    stores_write(s, TREE, "last", "3"); /* byte for byte the same */
    expect_u64(store_tail(s), left.tail);
    expect_three(s, "1", "2", "3");
    stores_close(s);
    s = stores_open(NULL);
    expect_three(s, "1", "2", "3");
    stores_close(s);
}

/* A dead record behind the torn one is never taken up again, also when the application repeats the
 * torn transaction byte for byte. */
Test(store_recovery, the_dead_stay_dead)
{
    struct left left = leave_store();
    int fd = open_segment();
    uint8_t header[RECORD_HEADER];
    size_t size;
    must(os_pread(fd, header, sizeof(header), (off_t)left.durable, &size));
    uint64_t second = left.durable + record_room(base_get_u32(header) - RECORD_HEADER);
    os_close(fd);
    expect(second < left.tail);
    overwrite(second - 8, "torn off", 8); /* of "async"; "last" behind it is whole */
    struct store *s = stores_open(NULL);
    expect_three(s, "1", NULL, NULL);
    stores_write(s, TREE, "async", "2");
    expect_u64(store_tail(s), second);
    must(store_flush(s, second, STORE_FOREVER, &test_err));
    stores_close(s);
    s = stores_open(NULL);
    expect_u64(store_tail(s), second);
    expect_three(s, "1", "2", NULL);
    stores_close(s);
}

static void die_in_commit(struct test_child *self, void *arg)
{
    (void)arg;
    test_await(self, 1);
    struct store *s = stores_open(NULL);
    test_kill_at_point("commit.record_written", 1);
    stores_write(s, TREE, "victim", "1");
    test_fail(__FILE__, __LINE__, "the commit came to its end");
}

/* A process dies with its record written, which the next writer makes void. */
static void void_and_die(struct test_child *self, void *arg)
{
    struct test_child victim;
    (void)arg;
    test_fork(&victim, die_in_commit, NULL);
    struct store *s = stores_make_tree(NULL, TREE);
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    test_send(self, store_tail(s));
    test_send(&victim, 1);
    expect(test_wait(&victim) == -SIGKILL);
    test_send(self, 1);
    test_await(self, 2); /* the record is being kept */
    stores_write(s, TREE, "next", "2");
    test_send(self, store_tail(s));
    kill(os_pid(), SIGKILL);
}

/* The power goes before the void is on the disk, whose place still holds what it had made void, and
 * the record behind it is there. That one was committed in a world without the other: they never
 * both appear. */
Test(store_recovery, a_lost_void)
{
    struct test_child child;
    uint8_t record[512];
    size_t size;
    stores_path();
    test_fork(&child, void_and_die, NULL);
    uint64_t at = test_receive(&child);
    test_await(&child, 1);
    int fd = open_segment();
    must(os_pread(fd, record, sizeof(record), (off_t)at, &size));
    os_close(fd);
    size_t room = record_room(base_get_u32(record) - RECORD_HEADER);
    expect(base_get_u64(record + 8) == at && room <= sizeof(record));
    test_send(&child, 2);
    uint64_t tail = test_receive(&child);
    expect(test_wait(&child) == -SIGKILL);
    expect(tail > at + room);
    overwrite(at, record, room);
    test_boot_set(2);
    struct store *s = stores_open(NULL);
    stores_read(s, TREE, "victim", "1"); /* in doubt; its writer is dead */
    stores_read(s, TREE, "next", NULL);
    stores_close(s);
    test_boot_set(0);
}

/* A hole in what was durable is corruption: refused, with the place, and nothing is changed. */
Test(store_recovery, corruption_is_refused)
{
    struct left left = leave_store();
    instar_options o = stores_options();
    struct store *s;
    char place[64];
    uint8_t before;
    size_t size;
    int fd = open_segment();
    must(os_pread(fd, &before, 1, (off_t)left.first + RECORD_HEADER, &size));
    os_close(fd);
    overwrite(left.first + RECORD_HEADER, "?", 1);
    snprintf(place, sizeof(place), "log position %llu", (unsigned long long)left.first);
    for (int i = 0; i < 2; i++) {
        must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ECORRUPT);
        expect(strstr(test_err.text, place) != NULL);
        expect(strstr(test_err.text, "not a torn tail") != NULL);
    }
    /* After a reboot the later records still say so. */
    test_boot_set(2);
    must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ECORRUPT);
    overwrite(left.first + RECORD_HEADER, &before, 1);
    s = stores_open(NULL);
    expect_three(s, "1", "2", "3");
    stores_close(s);
    test_boot_set(0);
}

static void promise_and_die(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_make_tree(NULL, TREE);
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    stores_put(t, TREE, "promised", "1");
    test_send(self, stores_commit(t));
    kill(os_pid(), SIGKILL);
}

/* The last record of all was durable, which only control knows: its damage is no torn tail. */
Test(store_recovery, damage_of_the_last_promise)
{
    struct test_child child;
    instar_options o = stores_options();
    struct store *s;
    stores_path();
    test_fork(&child, promise_and_die, NULL);
    uint64_t durable = test_receive(&child);
    expect(test_wait(&child) == -SIGKILL);
    overwrite(durable - 8, "damaged!", 8);
    must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ECORRUPT);
    expect(strstr(test_err.text, "it was durable up to") != NULL);
}

/* A missing segment that the trees still need is corruption; a short one as well. */
Test(store_recovery, missing_and_short_segments)
{
    leave_store();
    instar_options o = stores_options();
    struct store *s;
    char path[400];
    char away[400];
    snprintf(path, sizeof(path), "%s/log/%016x.seg", stores_path(), 0);
    snprintf(away, sizeof(away), "%s/away", test_fast_dir());
    expect(rename(path, away) == 0);
    must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ECORRUPT);
    expect(rename(away, path) == 0);
    expect(truncate(path, 60000) == 0);
    must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ECORRUPT);
    expect(strstr(test_err.text, ".seg") != NULL);
    expect(truncate(path, 64 << 10) == 0);
    s = stores_open(NULL);
    expect_three(s, "1", "2", "3");
    stores_close(s);
}

static void fill_two_and_die(struct test_child *self, void *arg)
{
    static char value[4000];
    const instar_options *o = arg;
    struct store *s = stores_make(o);
    memset(value, 'v', sizeof value - 1);
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    while (store_tail(s) < 2 * o->segment_bytes) {
        stores_write(s, TREE, "filler", value);
    }
    stores_fold(s);
    stores_write(s, TREE, "last", "1");
    test_send(self, 1);
    kill(os_pid(), SIGKILL);
}

/* A segment from before what the trees hold says nothing about the end of the log: it may be cut
 * short. */
Test(store_recovery, segments_that_were_folded_are_not_asked)
{
    instar_options o = stores_options();
    struct test_child child;
    char path[400];
    o.segment_bytes = (uint64_t)64 << 10;
    stores_path();
    snprintf(path, sizeof(path), "%s/log/%016x.seg", stores_path(), 0);
    test_fork(&child, fill_two_and_die, &o);
    test_receive(&child);
    expect(test_wait(&child) == -SIGKILL);
    test_write_file(path, "short", 5);
    struct store *s = stores_open(&o);
    stores_read(s, TREE, "last", "1");
    stores_close(s);
}

/* What recovery does to the log until somebody may see it. */
struct seen {
    uint64_t written; /* below the end of what is accepted */
    uint64_t end;
    bool deleted, shown;
    bool file_dirty, dir_dirty;
};

static void see_call(void *arg, const struct os_call *call, int result)
{
    struct seen *seen = arg;
    uint64_t start;
    if (result < 0 || seen->shown) {
        return;
    }
    switch (call->op) {
    case OS_OP_WRITE:
        seen->written += (uint64_t)call->offset < seen->end ? call->size : 0;
        seen->file_dirty = true;
        break;
    case OS_OP_ZERO_RANGE:
        seen->file_dirty = true;
        break;
    case OS_OP_SYNC:
        seen->file_dirty = false;
        break;
    case OS_OP_UNLINK:
        if (segment_name_parse(call->name, "seg", &start)) {
            seen->deleted = true;
            seen->dir_dirty = true;
        }
        break;
    case OS_OP_SYNC_DIR:
        seen->dir_dirty = false;
        break;
    default:
        break;
    }
}

static void see_point(void *arg, const char *name)
{
    struct seen *seen = arg;
    seen->shown = seen->shown || strcmp(name, "control.built") == 0;
}

/* What is accepted after a power cut is written back, later segments are deleted, and all of it is
 * on the disk before anybody can see the log. */
Test(store_recovery, is_on_the_disk_before_it_is_shown)
{
    struct left left = leave_store();
    struct seen seen = {.end = left.tail};
    struct test_listener listener = {.after = see_call, .point = see_point, .arg = &seen};
    char path[400];
    uint8_t *zeros = base_alloc_zero(1, 64 << 10);
    snprintf(path, sizeof(path), "%s/log/%016x.seg", stores_path(), 0x10000);
    test_write_file(path, zeros, 64 << 10);
    base_free(zeros);
    test_boot_set(2);
    test_listener_set(&listener);
    struct store *s = stores_open(NULL);
    test_listener_set(NULL);
    expect(seen.shown && seen.deleted);
    expect(seen.written >= left.tail - left.first);
    expect(!seen.file_dirty);
    expect(!seen.dir_dirty);
    stores_close(s);
    test_boot_set(0);
}

/* Segments behind the end, and temporary files of dead preparers, go. */
Test(store_recovery, later_segments_go)
{
    leave_store();
    char path[400];
    uint8_t *rubbish = base_alloc_zero(1, 64 << 10);
    memset(rubbish, 0x5a, 64 << 10);
    snprintf(path, sizeof(path), "%s/log/%016x.seg", stores_path(), 0x10000);
    test_write_file(path, rubbish, 64 << 10);
    snprintf(path, sizeof(path), "%s/log/%016x.new", stores_path(), 0x20000);
    test_write_file(path, rubbish, 1000);
    struct store *s = stores_open(NULL);
    expect(access(path, F_OK) != 0);
    static char value[4000];
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < 40; i++) { /* into the next segments */
        stores_write(s, TREE, "key", value);
    }
    stores_read(s, TREE, "key", value);
    stores_close(s);
    base_free(rubbish);
}

static void open_and_die(struct test_child *self, void *arg)
{
    (void)self;
    test_kill_at_point(arg, 1);
    struct store *s = stores_open(NULL);
    stores_close(s);
}

/* An opener that dies at any point of recovery leaves a store that the next one recovers alike. */
Test(store_recovery, death_of_the_opener)
{
    static const char *const points[] = {
        "recovery.judged", "recovery.written_back", "recovery.zeroed", "recovery.repaired",
        "control.built",   "control.ready",         "segment.made",    "node.signing"};
    struct left left = leave_store();
    struct test_child child;
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        test_fork(&child, open_and_die, (void *)(uintptr_t)points[i]);
        int status = test_wait(&child);
        expect(status == -SIGKILL || (status == 0 && strcmp(points[i], "segment.made") == 0));
    }
    struct store *s = stores_open(NULL);
    expect_u64(store_tail(s), left.tail);
    expect_three(s, "1", "2", "3");
    stores_close(s);
}

/* A reboot takes the page cache's word from nobody: without a control of this boot, everything
 * beyond lo is written back before it is shown. */
Test(store_recovery, after_a_reboot)
{
    struct left left = leave_store();
    test_boot_set(3);
    struct store *s = stores_open(NULL);
    expect_u64(store_tail(s), left.tail);
    expect_three(s, "1", "2", "3");
    stores_close(s);
    test_boot_set(0);
}
