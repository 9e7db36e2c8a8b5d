/* SPDX-License-Identifier: Apache-2.0 */
/* The applier: what is folded, in which order, by whom, and what a kill in the middle leaves. */
#include "store/apply_impl.h"
#include "support/stores.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define T 3

TestSuite(store_apply);

static const char *keyed(const char *fmt, int i)
{
    static _Thread_local char text[64];
    snprintf(text, sizeof text, fmt, i);
    return text;
}

/* What is folded reads the same as before, and nothing is pending then. */
Test(store_apply, folding_changes_nothing_that_is_read)
{
    struct store *s = stores_make_tree(NULL, T);
    for (int i = 0; i < 50; i++) {
        stores_write(s, T, keyed("k%02d", i), keyed("%d", i));
    }
    for (int i = 0; i < 50; i += 2) {
        stores_write(s, T, keyed("k%02d", i), i % 4 == 0 ? NULL : "again");
    }
    char before[4096];
    snprintf(before, sizeof before, "%s", stores_dump(s, T));
    stores_fold(s);
    expect_u64(store_applied(s), store_tail(s));
    cr_assert_str_eq(stores_dump(s, T), before);
    struct store_tree_stat st;
    must(store_tree_stat(s, T, &st, &test_err));
    expect_u64(st.entries, 37);
    stores_close(s);
}

/* A full disk is told to whoever waits, each time that there is one. */
Test(store_apply, a_full_disk_is_told_again)
{
    struct store *s = stores_make_tree(NULL, T);
    stores_fold(s);
    for (int i = 0; i < 3; i++) {
        int rc;
        test_fault_set(&(struct test_fault){
            .op = OS_OP_WRITE, .path = "data.mdb", .nth = 1, .error = ENOSPC, .sticky = true});
        uint64_t end = stores_write(s, T, keyed("k%d", i), "value");
        must_fail(store_wait_applied(s, end, STORE_URGE_SOON, STORE_FOREVER, &test_err),
                  INSTAR_ENOSPACE);
        test_hooks_clear();
        do {
            rc = store_wait_applied(s, end, STORE_URGE_SOON, STORE_FOREVER, &test_err);
        } while (rc == INSTAR_ENOSPACE); /* until it has tried again */
        must(rc);
    }
    stores_close(s);
}

/* Tree operations and writes take effect in the order of the log, whatever is folded together. */
Test(store_apply, tree_operations_keep_their_place)
{
    struct store *s = stores_make(NULL);
    for (uint64_t tree = 10; tree < 20; tree++) {
        stores_write(s, tree, "early", "1"); /* no such tree yet: skipped when folded */
        stores_tree_op(s, STORE_TREE_CREATE, tree);
        stores_write(s, tree, "a", "1");
        if (tree % 2 == 0) {
            stores_tree_op(s, STORE_TREE_DROP, tree);
            stores_write(s, tree, "late", "1");
        }
    }
    stores_fold(s);
    for (uint64_t tree = 10; tree < 20; tree++) {
        struct store_tree_stat st;
        must(store_tree_stat(s, tree, &st, &test_err));
        expect(st.exists == (tree % 2 != 0));
        stores_read(s, tree, "a", tree % 2 != 0 ? "1" : NULL);
        stores_read(s, tree, "early", NULL);
        stores_read(s, tree, "late", NULL);
    }
    stores_close(s);
}

/* One commit may make a tree and write to it: the tree operation comes first. */
Test(store_apply, a_commit_may_make_a_tree_and_fill_it)
{
    struct store *s = stores_make(NULL);
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    stores_put(t, 8, "k", "1");
    must(store_txn_tree_op(t, STORE_TREE_CREATE, 8, &test_err));
    must(store_txn_tree_op(t, STORE_TREE_CREATE, 9, &test_err));
    stores_put(t, 9, "k", "2");
    stores_commit(t);
    stores_read(s, 8, "k", "1");
    stores_fold(s);
    stores_read(s, 8, "k", "1");
    stores_read(s, 9, "k", "2");
    stores_close(s);
}

struct listed {
    uint64_t trees[8];
    size_t count;
};

static int list(void *arg, uint64_t tree, bool dead)
{
    struct listed *l = arg;
    if (!dead && l->count < 8) {
        l->trees[l->count++] = tree;
    }
    return 0;
}

/* The list names the trees that live. */
Test(store_apply, trees_are_listed)
{
    struct store *s = stores_make(NULL);
    struct listed l = {0};
    stores_tree_op(s, STORE_TREE_CREATE, 5);
    stores_tree_op(s, STORE_TREE_CREATE, 4);
    stores_tree_op(s, STORE_TREE_CREATE, 6);
    stores_tree_op(s, STORE_TREE_DROP, 5);
    stores_fold(s);
    must(store_tree_list(s, list, &l, &test_err));
    expect_u64(l.count, 2);
    expect_u64(l.trees[0], 4);
    expect_u64(l.trees[1], 6);
    stores_close(s);
}

/* ---- steps --------------------------------------------------------------------------------- */

#define BIG 120

/* One segment has room for all that such a test writes. */
static instar_options big_options(void)
{
    instar_options o = stores_options();
    o.segment_bytes = (uint64_t)4 << 20;
    o.txn_bytes_max = o.segment_bytes / 4;
    return o;
}

/* More than one small batch, and somebody who waits for the disk, so that batches are small. */
static uint64_t write_big(struct store *s, char fill)
{
    static char value[20000];
    struct store_txn *t = NULL;
    uint64_t lsn = 0;
    memset(value, fill, sizeof value);
    for (int i = 0; i < BIG; i++) {
        if (i % 10 == 0) {
            t = stores_begin(s, 0);
        }
        must(store_txn_put(t, T, stores_text(keyed("big%03d", i)), base_slice(value, sizeof value),
                           &test_err));
        if (i % 10 == 9) {
            lsn = stores_commit(t);
        }
    }
    must(store_flush(s, lsn, STORE_FOREVER, &test_err));
    return lsn;
}

static void expect_big(struct store *s, char fill)
{
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    for (int i = 0; i < BIG; i++) {
        struct base_slice value;
        must(store_txn_get(t, T, stores_text(keyed("big%03d", i)), STORE_READ_NORMAL, &value,
                           &test_err));
        expect(((const char *)value.data)[0] == fill && value.size == 20000);
    }
    store_txn_abort(t);
}

/* Between the steps of a fold LMDB has some keys new and others old; readers see all of them new.
 */
Test(store_apply, a_fold_in_steps_is_seen_whole)
{
    struct test_hold hold;
    instar_options o = big_options();
    struct store *s = stores_make_tree(&o, T);
    write_big(s, 'a');
    stores_fold(s);
    uint64_t lsn = write_big(s, 'b');
    test_hold_set(&hold, "apply.committed", 1);
    applier_urge(s, lsn, STORE_URGE_SOON);
    test_hold_await(&hold);
    expect(store_applied(s) < lsn);
    struct trees_position at;
    must(trees_position_get(s, &at, &test_err));
    expect(at.lo < lsn && at.hi >= lsn);
    expect_big(s, 'b');
    test_hold_release(&hold);
    stores_fold(s);
    test_hold_end(&hold);
    expect_big(s, 'b');
    stores_close(s);
}

struct ahead {
    struct store *s;
    struct test_hold hold;
    bool done;
};

/* A reader has chosen its position; before its snapshot of the trees a later commit is folded in
 * part. */
static void fold_a_step(void *arg, const char *name)
{
    struct ahead *a = arg;
    if (strcmp(name, "txn.lsn_chosen") == 0 && !a->done) {
        a->done = true;
        applier_urge(a->s, write_big(a->s, 'b'), STORE_URGE_SOON);
        test_hold_await(&a->hold);
    }
}

/* Trees that are ahead of a reader in part are seen whole: as of where they are going. */
Test(store_apply, a_reader_is_overtaken_by_a_fold_in_steps)
{
    struct ahead a = {0};
    struct test_listener listener = {.point = fold_a_step, .arg = &a};
    instar_options o = big_options();
    a.s = stores_make_tree(&o, T);
    write_big(a.s, 'a');
    stores_fold(a.s);
    test_hold_set(&a.hold, "apply.committed", 1);
    test_listener_set(&listener);
    expect_big(a.s, 'b');
    test_listener_set(NULL);
    expect(a.done);
    test_hold_release(&a.hold);
    stores_fold(a.s);
    test_hold_end(&a.hold);
    stores_close(a.s);
}

/* Killed between the steps, the next one folds the part again. */
static void fold_a_step_and_die(struct test_child *self, void *arg)
{
    (void)arg;
    instar_options o = big_options();
    struct store *s = stores_open(&o);
    test_send(self, write_big(s, 'b'));
    test_kill_at_point("apply.committed", 1);
    stores_fold(s);
}

Test(store_apply, a_fold_killed_between_steps_is_done_again)
{
    struct test_child child;
    instar_options o = big_options();
    struct store *s = stores_make_tree(&o, T);
    write_big(s, 'a');
    stores_close(s);
    test_fork(&child, fold_a_step_and_die, NULL);
    expect(test_wait(&child) == -SIGKILL);
    s = stores_open(&o);
    expect_big(s, 'b');
    stores_fold(s);
    expect_big(s, 'b');
    stores_close(s);
}

/* Folds of two segments, of which it dies after the first step; its last commit writes a key that
 * no earlier one has. */
static void fold_much_and_die(struct test_child *self, void *arg)
{
    (void)arg;
    instar_options o = big_options();
    o.segments_pending = 4;
    struct store *s = stores_open(&o);
    stores_write(s, T, "before", "1"); /* no tree yet; who folds it has the role from then on */
    stores_fold(s);
    test_send(self, 1);
    test_await(self, 1);
    write_big(s, 'b');
    write_big(s, 'b');
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    stores_put(t, T, "a", "c");
    stores_put(t, T, "big000", "c");
    test_send(self, stores_commit(t));
    test_kill_at_point("apply.committed", 1);
    stores_fold(s);
}

struct behind {
    struct store *s;
    struct test_child child;
    struct test_hold hold;
    bool done;
};

/* A reader has chosen its position. Then another process folds a step of much and dies, and this
 * one, which folds one segment at a time, a step of the first. */
static void fold_less(void *arg, const char *name)
{
    struct behind *b = arg;
    if (strcmp(name, "txn.lsn_chosen") != 0 || b->done) {
        return;
    }
    b->done = true;
    test_send(&b->child, 1);
    uint64_t lsn = test_receive(&b->child);
    expect(test_wait(&b->child) == -SIGKILL);
    applier_urge(b->s, lsn, STORE_URGE_SOON);
    test_hold_await(&b->hold);
}

/* Whoever folds less than the one before him leaves what the trees may hold as it was: a commit of
 * which a part is in them is seen as a whole. */
Test(store_apply, a_smaller_fold_behind_a_larger_one)
{
    struct behind b = {0};
    struct test_listener listener = {.point = fold_less, .arg = &b};
    instar_options o = big_options();
    o.segments_pending = 2;
    stores_close(stores_make(&o));
    test_fork(&b.child, fold_much_and_die, NULL);
    test_await(&b.child, 1); /* it has the applier's role */
    b.s = stores_open(&o);
    stores_tree_op(b.s, STORE_TREE_CREATE, T);
    test_hold_set(&b.hold, "apply.committed", 1);
    test_listener_set(&listener);
    struct store_txn *t = stores_begin(b.s, STORE_TXN_READONLY);
    test_listener_set(NULL);
    expect(b.done);
    stores_expect(t, T, "a", "c");
    stores_expect(t, T, "big000", "c");
    store_txn_abort(t);
    test_hold_release(&b.hold);
    stores_fold(b.s);
    test_hold_end(&b.hold);
    stores_close(b.s);
}

/* A log that ends before what the trees hold is corruption, also after a restart of the machine. */
Test(store_apply, a_fold_killed_between_steps_needs_its_log)
{
    struct test_child child;
    instar_options o = big_options();
    char path[400];
    struct store *s = stores_make_tree(&o, T);
    stores_close(s);
    test_fork(&child, fold_a_step_and_die, NULL);
    uint64_t end = test_receive(&child);
    expect(test_wait(&child) == -SIGKILL);
    uint64_t start = segment_base(end - 1, o.segment_bytes);
    snprintf(path, sizeof(path), "%s/log/%016llx.seg", stores_path(), (unsigned long long)start);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    expect(fd >= 0);
    must(os_pwrite(fd, "damaged!", 8, (off_t)(end - 8 - start)));
    os_close(fd);
    test_boot_set(2);
    must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_ECORRUPT);
    expect(strstr(test_err.text, "the trees hold what was logged up to") != NULL);
    instar_log_cut cut; /* nor may it be cut there: half of a commit is in the trees */
    must_fail(store_cut_log(stores_path(), &o, &cut, &test_err), INSTAR_ECORRUPT);
    expect(strstr(test_err.text, "the trees hold") != NULL);
    test_boot_set(0);
}

/* ---- kills --------------------------------------------------------------------------------- */

static const char *point;
static uint64_t point_nth;

/* Commits a known history, with everything durable, and dies while it is being folded. */
static void fold_and_die(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    test_kill_at_point(point, point_nth);
    stores_tree_op(s, STORE_TREE_CREATE, T);
    for (int i = 0; i < 200; i++) {
        stores_write(s, T, keyed("k%03d", i % 120), keyed("%d", i));
    }
    stores_tree_op(s, STORE_TREE_CREATE, T + 1);
    stores_write(s, T + 1, "k", "1");
    stores_tree_op(s, STORE_TREE_DROP, T);
    stores_write(s, T + 1, "k", "2");
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    test_send(self, 1);
    store_wait_applied(s, store_tail(s), STORE_URGE_SOON, STORE_FOREVER, &test_err);
    test_send(self, 2);
}

/* The tree holds what the first n of the child's writes left, for some n. */
static void expect_prefix(struct store *s)
{
    enum { KEYS = 120 };
    int value[KEYS];
    int last = -1;
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    for (int k = 0; k < KEYS; k++) {
        const char *text = stores_get(t, T, keyed("k%03d", k));
        value[k] = text != NULL ? (int)strtol(text, NULL, 10) : -1;
        last = value[k] > last ? value[k] : last;
    }
    for (int k = 0; k < KEYS; k++) {
        int wanted = k + KEYS <= last ? k + KEYS : k <= last ? k : -1;
        if (value[k] != wanted) {
            test_fail(__FILE__, __LINE__, "after %d writes k%03d is %d, not %d", last + 1, k,
                      value[k], wanted);
        }
    }
    store_txn_abort(t);
}

/* A kill at any point of folding loses nothing and doubles nothing. */
Test(store_apply, a_kill_while_folding_changes_nothing)
{
    static const char *const points[] = {"apply.batch_written", "apply.committed", "apply.tree_op",
                                         "apply.tree_op_committed"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        for (point_nth = 1; point_nth <= 2; point_nth++) {
            struct test_child child;
            instar_options o = stores_options();
            point = points[i];
            must(store_create(stores_path(), &o, &test_err));
            test_fork(&child, fold_and_die, NULL);
            expect(test_wait(&child) == -SIGKILL);
            struct store *s = stores_open(NULL);
            for (int fold = 0; fold < 2; fold++) {
                struct store_tree_stat st;
                struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
                const char *k = stores_get(t, T + 1, "k");
                bool dropped = k != NULL && strcmp(k, "2") == 0;
                store_txn_abort(t);
                if (!dropped) {
                    expect_prefix(s);
                }
                stores_fold(s);
                must(store_tree_stat(s, T, &st, &test_err));
                expect(!dropped || !st.exists);
            }
            stores_close(s);
            test_remove(stores_path());
        }
    }
}

/* When the process with the role is killed, another one goes on folding at once. */
static void hold_role_until_killed(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_fold(s);
    test_send(self, 1);
    test_receive(self);
}

Test(store_apply, the_role_passes_on)
{
    struct test_child child;
    instar_options o = stores_options();
    must(store_create(stores_path(), &o, &test_err));
    test_fork(&child, hold_role_until_killed, NULL);
    test_await(&child, 1);
    struct store *s = stores_open(NULL);
    stores_write(s, T, "k", "1");
    stores_fold(s); /* by the child */
    test_kill(&child, SIGKILL);
    stores_write(s, T, "k", "2");
    uint64_t began = os_now_ns();
    stores_fold(s); /* by this one */
    expect(os_now_ns() - began < (uint64_t)5 * 1000000000);
    stores_read(s, T, "k", "2");
    stores_close(s);
}

/* Dies when LMDB has written its meta page, and has not yet told readers of it. */
static void die_after_meta(void *arg, const struct os_call *call, int result)
{
    char link[64];
    char path[512] = "";
    (void)arg;
    if (call->op != OS_OP_WRITE || result <= 0 || call->size >= 512) {
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", call->fd);
    if (readlink(link, path, sizeof path - 1) > 0 && strstr(path, "data.mdb") != NULL) {
        kill(getpid(), SIGKILL);
    }
}

static void fold_and_die_unseen(struct test_child *self, void *arg)
{
    struct test_listener listener = {.after = die_after_meta};
    (void)arg;
    struct store *s = stores_open(NULL);
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_write(s, T, "k", "1");
    stores_fold(s);
    test_send(self, 1);
    test_await(self, 2);
    test_listener_set(&listener);
    stores_tree_op(s, STORE_TREE_CREATE, T + 1);
    stores_fold(s);
}

/* A kill in the moment in which LMDB's commit is done but not yet seen by readers: who takes over
 * goes on from that commit, not from the one before. */
Test(store_apply, takes_over_from_an_unseen_commit)
{
    struct test_child child;
    instar_options o = stores_options();
    must(store_create(stores_path(), &o, &test_err));
    test_fork(&child, fold_and_die_unseen, NULL);
    test_await(&child, 1);
    struct store *s = stores_open(NULL);
    stores_read(s, T, "k", "1");
    test_send(&child, 2);
    expect(test_wait(&child) == -SIGKILL);
    stores_write(s, T + 1, "k", "2");
    stores_fold(s);
    stores_read(s, T, "k", "1");
    stores_read(s, T + 1, "k", "2");
    stores_close(s);
}

/* ---- the gate ------------------------------------------------------------------------------ */

struct turns {
    struct store *s;
    _Atomic bool stop;
    _Atomic uint64_t taken[2];
    sem_t done; /* a turn of either */
};

static struct turns turns;

static void *take_turns(void *arg)
{
    size_t me = (size_t)(uintptr_t)arg;
    while (!atomic_load(&turns.stop)) {
        if (gate_enter(turns.s, "test", STORE_FOREVER, NULL) == 0) {
            os_sleep_ns(1000000); /* work, during which the other one comes to wait */
            atomic_fetch_add(&turns.taken[me], 1);
            gate_leave(turns.s);
            sem_post(&turns.done);
        }
    }
    return NULL;
}

/* Two that want the gate all the time get it in turns. */
Test(store_apply, the_gate_takes_turns)
{
    struct os_thread thread[2];
    turns.s = stores_make(NULL);
    expect(sem_init(&turns.done, 0, 0) == 0);
    for (size_t i = 0; i < 2; i++) {
        expect(os_thread_start(&thread[i], "turns", take_turns, (void *)(uintptr_t)i) == 0);
    }
    for (int n = 0; n < 100; n++) {
        expect(sem_wait(&turns.done) == 0);
    }
    atomic_store(&turns.stop, true);
    os_thread_join(&thread[0]);
    os_thread_join(&thread[1]);
    expect(atomic_load(&turns.taken[0]) > 20);
    expect(atomic_load(&turns.taken[1]) > 20);
    stores_close(turns.s);
}

/* How many entries a tree has, with those that are not folded: of few exactly, of many about. */
Test(store_apply, what_is_not_folded_is_guessed)
{
    enum { FEW = 100, MANY = 50000, BATCH = 1000, SPREAD = 10 };
    instar_options o = stores_options();
    struct store_tree_stat st;
    char key[16];
    o.segment_bytes = (uint64_t)16 << 20;
    struct store *s = stores_make_tree(&o, T);
    stores_write(s, T, "a", "folded");
    stores_write(s, T, "b", "folded");
    stores_fold(s);
    test_clock_start(os_now_ns()); /* nothing is folded unasked */
    stores_write(s, T, "b", NULL);
    stores_write(s, T + 1, "x", "of another tree");
    for (int i = 0; i < FEW; i++) {
        (void)snprintf(key, sizeof(key), "few%d", i);
        stores_write(s, T, key, "12345");
    }
    must(store_tree_guess(s, T, &st, &test_err));
    expect(st.exists);
    expect_u64(st.entries, 1 + FEW);
    expect(st.bytes > FEW * 10);
    must(store_tree_stat(s, T, &st, &test_err));
    expect_u64(st.entries, 2);
    for (int i = 0; i < MANY / BATCH; i++) {
        struct store_txn *t = stores_begin(s, 0);
        for (int k = 0; k < BATCH; k++) {
            (void)snprintf(key, sizeof(key), "%d", i * BATCH + k);
            stores_put(t, T, key, "v");
        }
        stores_commit(t);
    }
    must(store_tree_guess(s, T, &st, &test_err));
    expect(st.entries > MANY - MANY / SPREAD && st.entries < MANY + MANY / SPREAD);
    must(store_tree_guess(s, T + 1, &st, &test_err));
    expect(!st.exists);
    test_clock_stop();
    stores_close(s);
}
