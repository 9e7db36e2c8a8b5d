/* SPDX-License-Identifier: Apache-2.0 */
/* A log whose middle is damaged is cut on request, and only then: what it says, what it keeps. */
#include "store/log.h"
#include "support/stores.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE 1
#define SEGMENT ((uint64_t)64 << 10)
#define BIG 9000 /* a value: six of these fill a segment */

static instar_options cut_options(void)
{
    instar_options o = stores_options();
    o.segment_bytes = SEGMENT;
    o.txn_bytes_max = o.segment_bytes / 4;
    o.row_bytes_max = o.txn_bytes_max / 2;
    return o;
}

/* What a process leaves that is killed after its last commit, all of them durable. */
struct left {
    uint64_t kept;  /* end of the first commit: where the second begins */
    uint64_t small; /* end of the third */
    uint64_t end;   /* of the last */
};
struct work {
    unsigned big;  /* commits of BIG bytes at the end */
    bool building; /* a tree is, from before the first commit on */
};

static void commit_big(struct store *s, unsigned number)
{
    static char value[BIG];
    char key[16];
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    snprintf(key, sizeof(key), "big%u", number);
    memset(value, 'v', sizeof(value));
    must(store_txn_put(t, TREE, stores_text(key), base_slice(value, sizeof(value)), &test_err));
    (void)stores_commit(t);
}

static uint64_t commit(struct store *s, const char *key)
{
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    stores_put(t, TREE, key, "1");
    return stores_commit(t);
}

static void work_and_die(struct test_child *self, void *arg)
{
    static struct test_hold hold;
    const struct work *w = arg;
    instar_options o = cut_options();
    struct store *s = stores_make_tree(&o, TREE);
    if (w->building) {
        stores_tree_op(s, STORE_TREE_CREATE, TREE + 1);
        stores_tree_op(s, STORE_TREE_BEGIN_BUILD, TREE + 1);
    }
    stores_fold(s);
    test_hold_set(&hold, "apply.batch_written", 1); /* what follows stays in the log */
    test_send(self, commit(s, "kept"));
    commit(s, "broken");
    test_send(self, commit(s, "behind"));
    for (unsigned i = 0; i < w->big; i++) {
        commit_big(s, i);
    }
    test_send(self, store_durable(s));
    kill(os_pid(), SIGKILL);
}

static struct left leave_store(const struct work *w)
{
    struct test_child child;
    struct left left;
    stores_path();
    test_remove(stores_path());
    test_fork(&child, work_and_die, (void *)(uintptr_t)w);
    left.kept = test_receive(&child);
    left.small = test_receive(&child);
    left.end = test_receive(&child);
    expect(test_wait(&child) == -SIGKILL);
    return left;
}

static const char *segment_path(const char *dir, uint64_t start)
{
    static char path[500];
    snprintf(path, sizeof(path), "%s/%s/%016llx.seg", stores_path(), dir,
             (unsigned long long)start);
    return path;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void damage(uint64_t lsn)
{
    int fd = open(segment_path("log", segment_base(lsn, SEGMENT)), O_RDWR | O_CLOEXEC);
    expect(fd >= 0);
    must(os_pwrite(fd, "?", 1, (off_t)(lsn % SEGMENT)));
    os_close(fd);
}

static void expect_refused(void)
{
    instar_options o = cut_options();
    struct store *s;
    must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ECORRUPT);
}

static int cut(instar_log_cut *out)
{
    instar_options o = cut_options();
    return store_cut_log(stores_path(), &o, out, &test_err);
}

/* Only the first commit is there, the log verifies, and what comes next takes the place of what is
 * lost; also after a restart of the machine. */
static void expect_cut(const struct left *left)
{
    instar_options o = cut_options();
    struct store *s = stores_open(&o);
    expect_u64(store_tail(s), left->kept);
    stores_read(s, TREE, "kept", "1");
    stores_read(s, TREE, "broken", NULL);
    stores_read(s, TREE, "behind", NULL);
    must(store_verify(s, NULL, NULL, &test_err));
    commit(s, "broken");
    commit(s, "later");
    stores_close(s);
    test_boot_set(2);
    s = stores_open(&o);
    stores_read(s, TREE, "kept", "1");
    stores_read(s, TREE, "broken", "1");
    stores_read(s, TREE, "later", "1");
    stores_read(s, TREE, "behind", NULL);
    must(store_verify(s, NULL, NULL, &test_err));
    stores_close(s);
    test_boot_set(0);
}

/* The log ends at its last whole record: what is lost is told, and kept aside. */
Test(store_cut, at_the_last_whole_record)
{
    instar_log_cut out;
    struct left left = leave_store(&(struct work){0});
    size_t before_size;
    size_t after_size;
    damage(left.kept + RECORD_HEADER);
    uint8_t *before = test_read_file(segment_path("log", 0), &before_size);
    expect_refused();
    must(cut(&out));
    expect_u64(out.from_lsn, left.kept);
    expect_u64(out.to_lsn, left.end);
    expect_u64(out.commits, 2); /* the header of the broken one can be read */
    expect_u64(out.schema_changes, 0);
    expect(out.last_written_us > 0);
    expect(strstr(out.reason, "not a torn tail") != NULL);
    uint8_t *after = test_read_file(segment_path("log.before-cut", 0), &after_size);
    expect(before_size == after_size && memcmp(before, after, after_size) == 0);
    base_free(before);
    base_free(after);
    expect_cut(&left);
}

/* Who has the store open and meets it while folding stops writing. The next open names the place at
 * once: the machine need not be restarted before the log is cut. */
Test(store_cut, after_it_was_met_at_work)
{
    instar_log_cut out;
    struct left left;
    instar_options o = cut_options();
    struct store *s = stores_make_tree(&o, TREE);
    stores_fold(s);
    test_clock_start(os_now_ns()); /* so that nothing is folded unasked */
    left.kept = commit(s, "kept");
    commit(s, "broken");
    left.end = commit(s, "behind");
    damage(left.kept + RECORD_HEADER);
    must_fail(store_wait_applied(s, left.end, STORE_URGE_SOON, STORE_FOREVER, &test_err),
              INSTAR_ESTOPPED);
    expect(strstr(test_err.text, "damaged") != NULL);
    test_clock_stop();
    stores_close(s);
    expect_refused();
    must(cut(&out));
    expect_u64(out.from_lsn, left.kept);
    expect_u64(out.to_lsn, left.end);
    expect_cut(&left);
}

/* Nobody is told to lose anything where recovery takes the log: whole, or with a torn tail. */
Test(store_cut, a_log_that_would_be_taken_is_left_alone)
{
    instar_log_cut out;
    instar_options o = cut_options();
    struct left left = leave_store(&(struct work){0});
    must(cut(&out));
    expect_u64(out.to_lsn, 0);
    expect(!is_there(segment_path("log.before-cut", 0)));
    test_boot_set(2);
    damage(left.end - 8);
    must(cut(&out));
    expect_u64(out.to_lsn, 0);
    struct store *s = stores_open(&o);
    stores_read(s, TREE, "broken", "1");
    stores_close(s);
    test_boot_set(0);
}

/* The copy of an earlier cut is never overwritten, and without a copy nothing is cut. */
Test(store_cut, an_earlier_copy_is_kept)
{
    instar_log_cut out;
    char path[400];
    struct left left = leave_store(&(struct work){0});
    damage(left.kept + RECORD_HEADER);
    snprintf(path, sizeof(path), "%s/log.before-cut", stores_path());
    expect(mkdir(path, 0700) == 0);
    must_fail(cut(&out), INSTAR_EEXISTS);
    expect(strstr(test_err.text, "move it away") != NULL);
    expect_refused();
    expect(rmdir(path) == 0);
    must(cut(&out));
    expect_cut(&left);
}

/* Later segments go with it, and are kept as well. */
Test(store_cut, over_several_segments)
{
    instar_log_cut out;
    struct left left = leave_store(&(struct work){.big = 20});
    expect(left.end > 2 * SEGMENT);
    damage(left.kept + RECORD_HEADER);
    expect_refused();
    must(cut(&out));
    expect_u64(out.from_lsn, left.kept);
    expect_u64(out.to_lsn, left.end);
    expect_u64(out.commits, 22);
    for (uint64_t start = SEGMENT; start < left.end; start += SEGMENT) {
        expect(!is_there(segment_path("log", start)));
        expect(is_there(segment_path("log.before-cut", start)));
    }
    expect_cut(&left);
}

/* A segment that is gone ends the log before it. */
Test(store_cut, at_a_missing_segment)
{
    instar_log_cut out;
    instar_options o = cut_options();
    struct left left = leave_store(&(struct work){.big = 20});
    expect(unlink(segment_path("log", SEGMENT)) == 0);
    expect_refused();
    must(cut(&out));
    expect_u64(out.from_lsn, SEGMENT);
    expect_u64(out.to_lsn, left.end);
    struct store *s = stores_open(&o);
    expect_u64(store_tail(s), SEGMENT);
    stores_read(s, TREE, "behind", "1");
    must(store_verify(s, NULL, NULL, &test_err));
    stores_close(s);
}

/* Of one that was cut short the whole records stay. */
Test(store_cut, at_a_segment_that_is_too_short)
{
    instar_log_cut out;
    instar_options o = cut_options();
    struct left left = leave_store(&(struct work){0});
    expect(truncate(segment_path("log", 0), (off_t)left.small - 8) == 0);
    expect_refused();
    must(cut(&out));
    struct store *s = stores_open(&o);
    stores_read(s, TREE, "kept", "1");
    stores_read(s, TREE, "broken", "1");
    stores_read(s, TREE, "behind", NULL);
    must(store_verify(s, NULL, NULL, &test_err));
    stores_close(s);
}

/* Where the file is to get its size again there must be room for it: what fails is told. */
Test(store_cut, without_room_for_the_segment)
{
    static const struct {
        int op, error, code;
    } cases[] = {{OS_OP_TRUNCATE, EIO, INSTAR_EIO},
                 {OS_OP_ALLOCATE, ENOSPC, INSTAR_ENOSPACE},
                 {OS_OP_SYNC, EIO, INSTAR_EIO}};
    instar_log_cut out;
    char copy[400];
    struct left left = leave_store(&(struct work){0});
    snprintf(copy, sizeof(copy), "%s/log.before-cut", stores_path());
    expect(truncate(segment_path("log", 0), (off_t)left.small - 8) == 0);
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        test_fault_set(&(struct test_fault){
            .op = cases[i].op, .path = "/log/", .nth = 1, .error = cases[i].error});
        must_fail(cut(&out), cases[i].code);
        expect_u64(test_fault_fired(), 1);
        test_fault_set(NULL);
        expect(truncate(segment_path("log", 0), (off_t)left.small - 8) == 0);
        test_remove(copy);
    }
    must(cut(&out));
    instar_options o = cut_options();
    stores_close(stores_open(&o));
}

/* While a tree is built it holds rows that were read anywhere: nothing is cut. */
Test(store_cut, not_while_a_tree_is_built)
{
    instar_log_cut out;
    struct left left = leave_store(&(struct work){.building = true});
    damage(left.kept + RECORD_HEADER);
    must_fail(cut(&out), INSTAR_ECORRUPT);
    expect(strstr(test_err.text, "an index is being built") != NULL);
    expect(!is_there(segment_path("log.before-cut", 0)));
    expect_refused();
}

static void cut_and_die(struct test_child *self, void *arg)
{
    instar_log_cut out;
    (void)self;
    test_kill_at_point(arg, 1);
    must(cut(&out));
}

/* Killed on the way, a second cut comes to the same end. */
Test(store_cut, killed_on_the_way)
{
    static const char *const points[] = {"cut.copied", "cut.forgotten", "cut.zeroed",
                                         "cut.removed"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        instar_log_cut out;
        struct test_child child;
        char path[400];
        char away[400];
        struct left left = leave_store(&(struct work){.big = 20});
        damage(left.kept + RECORD_HEADER);
        test_fork(&child, cut_and_die, (void *)(uintptr_t)points[i]);
        expect(test_wait(&child) == -SIGKILL);
        snprintf(path, sizeof(path), "%s/log.before-cut", stores_path());
        snprintf(away, sizeof(away), "%s/away", stores_path());
        expect(is_there(path));
        expect(rename(path, away) == 0);
        must(cut(&out));
        expect_cut(&left);
    }
}

/* Whatever fails is told, not what came of it; the log has not changed, or its copy is there. */
Test(store_cut, any_operation_fails)
{
    uint64_t fired = 1;
    for (uint64_t nth = 1; fired != 0; nth++) {
        instar_log_cut out;
        size_t size;
        struct left left = leave_store(&(struct work){0});
        damage(left.kept + RECORD_HEADER);
        uint8_t *before = test_read_file(segment_path("log", 0), &size);
        test_fault_set(&(struct test_fault){.op = TEST_ANY_OP, .nth = nth, .error = EIO});
        int rc = cut(&out);
        fired = test_fault_fired();
        test_fault_set(NULL);
        uint8_t *after = test_read_file(segment_path("log", 0), NULL);
        bool changed = memcmp(before, after, size) != 0;
        base_free(before);
        base_free(after);
        expect(!changed || is_there(segment_path("log.before-cut", 0)));
        if (rc == 0 && out.to_lsn != 0) {
            expect_cut(&left);
        }
        expect(fired != 0 || rc == 0);
        cr_assert(rc == 0 || (strstr(test_err.text, stores_path()) != NULL &&
                              (strstr(test_err.text, strerror(EIO)) != NULL ||
                               strstr(test_err.text, "cannot be removed") != NULL)),
                  "operation %d: %s", (int)nth, test_err.text);
    }
}
