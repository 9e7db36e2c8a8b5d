/* SPDX-License-Identifier: Apache-2.0 */
/* Building a tree past the log: the cut, sorted appends, the delta and its deletes, tokens,
 * checkpoints, and the end. */
#include "store/control.h"
#include "store/trees.h"
#include "support/stores.h"

#include <errno.h>
#include <stdio.h>

#define T 5

static struct store *s;

static void setup(void)
{
    s = stores_make_tree(NULL, T);
}

static void teardown(void)
{
    stores_close(s);
}

TestSuite(store_bulk, .init = setup, .fini = teardown);

static void cut(void)
{
    stores_tree_op(s, STORE_TREE_BEGIN_BUILD, T);
    stores_fold(s);
}

/* One batch of sorted keys, "a b c": each gets the value `value`. */
static void load(uint64_t token, const char *keys, const char *value)
{
    struct store_bulk *b;
    must(store_bulk_begin(s, T, token, false, &b, &test_err));
    for (const char *at = keys; *at != '\0'; at += at[1] == ' ' ? 2 : 1) {
        must(stores_append(b, base_slice(at, 1), stores_text(value), &test_err));
    }
    must(store_bulk_progress(b, stores_text(keys), &test_err));
    must(store_bulk_commit(b, &test_err));
}

static void fold_delta(uint64_t token)
{
    uint64_t left = 1;
    while (left != 0) {
        must(store_build_fold(s, T, token, false, &left, &test_err));
    }
}

static void end_build(uint64_t token)
{
    must(store_build_settle(s, T, token, &test_err));
    stores_tree_op(s, STORE_TREE_FOLD_END, T);
    stores_fold(s);
}

static void expect_dump(const char *text)
{
    cr_assert_str_eq(stores_dump(s, T), text);
}

/* What was in the tree before the cut is gone, what is loaded is there at the end. */
Test(store_bulk, load_replaces_what_was_there)
{
    stores_write(s, T, "old", "1");
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    load(10, "a b", "x");
    load(10, "c d", "x");
    end_build(10);
    expect_dump("a=x b=x c=x d=x ");
    struct store_tree_stat st;
    must(store_tree_stat(s, T, &st, &test_err));
    expect(st.exists && !st.building);
    expect_u64(st.entries, 4);
    expect_u64(st.delta_entries, 0);
}

/* The memtable of the segment still has what the log did to these keys before the cut. It is older
 * than what was loaded, whichever way one reads, and while newer records are pending. */
Test(store_bulk, the_log_from_before_the_cut_hides_nothing)
{
    stores_write(s, T, "a", "old");
    stores_write(s, T, "b", "old");
    stores_write(s, T, "b", NULL);
    stores_write(s, T, "c", "gone");
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    load(10, "a b", "x");
    end_build(10);
    stores_write(s, T, "d", "new"); /* pending: the memtable is read */
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    stores_expect(t, T, "a", "x");
    stores_expect(t, T, "b", "x");
    stores_expect(t, T, "c", NULL);
    cr_assert_str_eq(stores_scan(t, T, false), "a=x b=x d=new ");
    cr_assert_str_eq(stores_scan(t, T, true), "d=new b=x a=x ");
    store_txn_abort(t);
}

/* Operations after the cut win over what is loaded later, deletes too; whether they are folded by
 * the runner, by fold-end, or are not applied when the fold begins. */
Test(store_bulk, the_delta_wins_over_the_load)
{
    for (int how = 0; how < 3; how++) {
        cut();
        uint64_t token = 10 + (uint64_t)how;
        must(store_build_claim(s, T, token, &test_err));
        stores_write(s, T, "a", "new");
        stores_write(s, T, "b", NULL);
        if (how < 2) {
            stores_fold(s);
            struct store_tree_stat st;
            must(store_tree_stat(s, T, &st, &test_err));
            expect(st.building);
            expect_u64(st.delta_entries, 2);
        }
        load(token, "a b c d", "old");
        if (how == 0) {
            fold_delta(token);
        }
        stores_write(s, T, "c", NULL);
        stores_write(s, T, "e", "new");
        stores_write(s, T, "e", "newer");
        end_build(token);
        expect_dump("a=new d=old e=newer ");
    }
}

/* While the delta folds, a key comes, goes and moves: nothing of it is left (T2, T3). */
Test(store_bulk, comes_and_goes_while_folding)
{
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    stores_write(s, T, "1", "1"); /* the scan did not see it */
    stores_fold(s);
    fold_delta(10);
    stores_write(s, T, "1", NULL);
    stores_write(s, T, "2", "1");
    stores_fold(s);
    fold_delta(10);
    stores_write(s, T, "2", NULL);
    end_build(10);
    expect_dump("");
}

/* After fold-end, operations go to the tree again, in the order of the log. */
Test(store_bulk, after_the_end_operations_go_to_the_tree)
{
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    load(10, "a b", "x");
    stores_write(s, T, "a", "delta");
    must(store_build_settle(s, T, 10, &test_err));
    stores_tree_op(s, STORE_TREE_FOLD_END, T);
    stores_write(s, T, "a", "tree");
    stores_write(s, T, "b", NULL);
    expect_dump("a=tree ");
    stores_fold(s);
    expect_dump("a=tree ");
}

/* Keys must ascend, over batches too; the refused one changes nothing. */
Test(store_bulk, keys_must_ascend)
{
    struct store_bulk *b;
    struct base_slice last;
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    must(store_bulk_begin(s, T, 10, false, &b, &test_err));
    must(store_bulk_last(b, &last, &test_err));
    expect(last.size == 0);
    must(store_bulk_commit(b, &test_err));
    load(10, "b d", "x");
    must(store_bulk_begin(s, T, 10, false, &b, &test_err));
    must_fail(stores_append(b, stores_text("d"), stores_text("y"), &test_err), INSTAR_EEXISTS);
    must_fail(stores_append(b, stores_text("c"), stores_text("y"), &test_err), INSTAR_EEXISTS);
    must(stores_append(b, stores_text("e"), stores_text("y"), &test_err));
    must_fail(stores_append(b, stores_text("e"), stores_text("z"), &test_err), INSTAR_EEXISTS);
    must_fail(stores_append(b, stores_text(""), stores_text("z"), &test_err), INSTAR_EINVALID);
    must(store_bulk_last(b, &last, &test_err));
    expect(base_slice_eq(last, stores_text("e")));
    must(store_bulk_commit(b, &test_err));
    end_build(10);
    expect_dump("b=x d=x e=y ");
}

/* Only the runner whose token is written may load and fold, and a cut makes every token old. */
Test(store_bulk, a_stale_token_is_refused)
{
    struct store_bulk *b;
    uint64_t left;
    must_fail(store_build_claim(s, T, 10, &test_err), INSTAR_ESTATE); /* not being built */
    cut();
    must_fail(store_bulk_begin(s, T, 10, false, &b, &test_err), INSTAR_ESTATE); /* not claimed */
    must(store_build_claim(s, T, 10, &test_err));
    must(store_build_claim(s, T, 10, &test_err));
    must(store_build_claim(s, T, 20, &test_err));
    must_fail(store_build_claim(s, T, 10, &test_err), INSTAR_ESTATE);
    must_fail(store_bulk_begin(s, T, 10, false, &b, &test_err), INSTAR_ESTATE);
    must_fail(store_build_fold(s, T, 10, false, &left, &test_err), INSTAR_ESTATE);
    must_fail(store_build_settle(s, T, 10, &test_err), INSTAR_ESTATE);
    load(20, "a", "x");
    cut();
    must_fail(store_bulk_begin(s, T, 20, false, &b, &test_err), INSTAR_ESTATE);
    must(store_build_claim(s, T, 30, &test_err));
    end_build(30);
    must_fail(store_bulk_begin(s, T, 30, false, &b, &test_err),
              INSTAR_ESTATE); /* not built any more */
    expect_dump("");
}

/* The checkpoint is that of the last batch that was committed, and a cut voids it. */
Test(store_bulk, the_checkpoint_goes_with_its_batch)
{
    struct base_buf progress = {0};
    struct store_bulk *b;
    cut();
    must_fail(store_build_progress(s, T, &progress, &test_err), INSTAR_ENOTFOUND);
    must(store_build_claim(s, T, 10, &test_err));
    load(10, "a b", "x");
    must(store_bulk_begin(s, T, 10, false, &b, &test_err));
    must(stores_append(b, stores_text("c"), stores_text("y"), &test_err));
    must(store_bulk_progress(b, stores_text("c"), &test_err));
    store_bulk_abort(b);
    must(store_build_progress(s, T, &progress, &test_err));
    expect(base_slice_eq(base_buf_slice(&progress), stores_text("a b")));
    expect_dump("a=x b=x "); /* nobody may read it yet, but this shows what is there */
    cut();
    must_fail(store_build_progress(s, T, &progress, &test_err), INSTAR_ENOTFOUND);
    expect_dump("");
    base_buf_free(&progress);
}

/* A runner killed with a batch written but not committed leaves the batch before it and its
 * checkpoint. The next one goes on at once: the gate passes on. */
static void load_and_die(struct test_child *self, void *arg)
{
    (void)self;
    (void)arg;
    s = stores_open(NULL);
    load(10, "a b", "x");
    test_kill_at_point("bulk.batch_written", 1);
    load(10, "c d", "x");
}

Test(store_bulk, a_killed_runner_leaves_whole_batches)
{
    struct base_buf progress = {0};
    struct test_child child;
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    stores_close(s);
    test_fork(&child, load_and_die, NULL);
    expect(test_wait(&child) == -9);
    s = stores_open(NULL);
    must(store_build_progress(s, T, &progress, &test_err));
    expect(base_slice_eq(base_buf_slice(&progress), stores_text("a b")));
    must(store_build_claim(s, T, 11, &test_err));
    load(11, "c d", "y");
    end_build(11);
    expect_dump("a=x b=x c=y d=y ");
    base_buf_free(&progress);
}

/* ---- a fold step that fails --------------------------------------------------------------- */

#define STEPS 6

static uint64_t delta_entries(void)
{
    struct store_tree_stat st;
    must(store_tree_stat(s, T, &st, &test_err));
    return st.delta_entries;
}

/* One operation, and the step that folds it. */
static int fold_one(int i, uint64_t token)
{
    char key[2] = {(char)('1' + i), '\0'};
    uint64_t left;
    stores_write(s, T, key, "new");
    stores_fold(s);
    expect_u64(delta_entries(), 1);
    return store_build_fold(s, T, token, false, &left, &test_err);
}

static void fold_and_die(struct test_child *self, void *arg)
{
    (void)self;
    (void)arg;
    s = stores_open(NULL);
    test_kill_at_point("fold.batch_written", 3);
    for (int i = 0; i < STEPS; i++) {
        must(fold_one(i, 10));
        expect_u64(delta_entries(), 0);
    }
}

/* T9: the third step dies with its batch written and not committed. What it was about is in the
 * delta, whole; what the two before it were about is not, and what happens to that now is not
 * undone by a step that is done again. */
Test(store_bulk, the_third_fold_step_dies)
{
    struct test_child child;
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    stores_close(s);
    test_fork(&child, fold_and_die, NULL);
    expect(test_wait(&child) == -9);
    s = stores_open(NULL);
    expect_u64(delta_entries(), 1);
    must(store_build_claim(s, T, 11, &test_err));
    stores_write(s, T, "1", NULL);
    stores_fold(s);
    expect_u64(delta_entries(), 2);
    fold_delta(11);
    expect_u64(delta_entries(), 0);
    for (int i = 3; i < STEPS; i++) {
        must(fold_one(i, 11));
    }
    end_build(11);
    expect_dump("2=new 3=new 4=new 5=new 6=new ");
}

/* T9: there is no memory for the third step, at each of its requests: it says so, and has done
 * nothing; asked again, it does all of it. */
Test(store_bulk, the_third_fold_step_has_no_memory)
{
    uint64_t left, refused = 0;
    int rc = INSTAR_ENOMEM;
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    must(fold_one(0, 10));
    must(fold_one(1, 10));
    stores_write(s, T, "1", NULL);
    stores_write(s, T, "3", "new");
    stores_fold(s);
    for (uint64_t nth = 1; rc == INSTAR_ENOMEM; nth++) {
        expect_u64(delta_entries(), 2);
        test_shortage_set(&(struct test_shortage){.nth = nth});
        rc = store_build_fold(s, T, 10, false, &left, &test_err);
        test_shortage_set(NULL);
        refused += rc == INSTAR_ENOMEM;
    }
    must(rc);
    expect(refused > 0);
    expect_u64(delta_entries(), 0);
    end_build(10);
    expect_dump("2=new 3=new ");
}

/* More than one step while others commit. */
static void fill_delta(void)
{
    static char value[8000];
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < 400; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%03d", i);
        stores_write(s, T, key, value);
    }
    stores_fold(s);
}

/* A full disk ends the fold that goes before fold-end, too: who waits is told, and it is done when
 * there is room. */
Test(store_bulk, no_room_before_the_end)
{
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    fill_delta();
    must(store_build_settle(s, T, 10, &test_err));
    test_fault_set(&(struct test_fault){
        .op = OS_OP_WRITE, .path = "data.mdb", .nth = 1, .error = ENOSPC, .sticky = true});
    test_clock_start(os_now_ns()); /* so that this sync commit is a recent one: steps are small */
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    must(store_txn_tree_op(t, STORE_TREE_FOLD_END, T, &test_err));
    uint64_t end = stores_commit(t);
    must_fail(store_wait_applied(s, end, STORE_URGE_SOON, STORE_FOREVER, &test_err),
              INSTAR_ENOSPACE);
    test_hooks_clear();
    test_clock_stop();
    int rc;
    do {
        rc = store_wait_applied(s, end, STORE_URGE_SOON, STORE_FOREVER, &test_err);
    } while (rc == INSTAR_ENOSPACE); /* until it has tried again */
    must(rc);
    struct store_tree_stat st;
    must(store_tree_stat(s, T, &st, &test_err));
    expect_u64(st.entries, 400);
}

static _Atomic unsigned turns, told;

static void takes_time(void *arg, const struct os_call *call)
{
    (void)arg;
    test_clock_advance(call->op == OS_OP_WRITE ? 1000 : 0);
}

static void at_turn(void *arg, const char *name)
{
    const struct store *store = arg;
    if (strcmp(name, "apply.delta_folded") == 0) {
        atomic_fetch_add(&turns, 1);
        atomic_fetch_add(&told, atomic_load(&store->ctl->admit_cost) != 0);
    }
}

/* While the applier folds the delta it takes nothing of the log away: commits are told. */
Test(store_bulk, the_end_holds_up_the_log)
{
    const struct test_listener listener = {.before = takes_time, .point = at_turn, .arg = s};
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    fill_delta();
    must(store_build_settle(s, T, 10, &test_err));
    test_listener_set(&listener);
    test_clock_start(os_now_ns()); /* so that this sync commit is a recent one: steps are small */
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    must(store_txn_tree_op(t, STORE_TREE_FOLD_END, T, &test_err));
    must(store_wait_applied(s, stores_commit(t), STORE_URGE_SOON, STORE_FOREVER, &test_err));
    test_hooks_clear();
    expect(turns > 1);
    expect(told + 1 >= turns); /* the last one leaves nothing to wait for */
    expect_u64(delta_entries(), 0);
}

/* A drop in mid-build takes tree and delta, and later operations on it are skipped. */
Test(store_bulk, drop_ends_a_build)
{
    struct store_bulk *b;
    struct store_tree_stat st;
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    load(10, "a b", "x");
    stores_write(s, T, "c", "1");
    stores_tree_op(s, STORE_TREE_DROP, T);
    stores_write(s, T, "d", "1");
    stores_tree_op(s, STORE_TREE_FOLD_END, T);
    stores_tree_op(s, STORE_TREE_BEGIN_BUILD, T);
    stores_fold(s);
    must_fail(store_bulk_begin(s, T, 10, false, &b, &test_err), INSTAR_ESTATE);
    must(store_tree_stat(s, T, &st, &test_err));
    expect(!st.exists);
    expect_dump("");
    struct trees_read *r;
    struct base_slice value;
    must(trees_read_begin(s->trees, &r, &test_err));
    must_fail(trees_read_get(r, trees_delta(T), stores_text("c"), &value, &test_err),
              INSTAR_ENOTFOUND);
    trees_read_end(s->trees, r);
}

/* Many batches, a delta of many entries with deletes, against a model. */
Test(store_bulk, agrees_with_a_model)
{
    enum { KEYS = 3000 };
    static int model[KEYS];
    struct test_random r = test_random(5);
    struct base_slice key;
    struct base_slice value;
    struct store_cursor *c;
    struct store_bulk *b = NULL;
    memset(model, 0, sizeof model);
    cut();
    must(store_build_claim(s, T, 10, &test_err));
    struct store_txn *t = stores_begin(s, 0);
    for (int i = 0; i < 1500; i++) {
        uint8_t name[4];
        int k = (int)test_random_below(&r, KEYS);
        base_put_u32(name, __builtin_bswap32((uint32_t)k));
        model[k] = test_random_chance(&r, 40) ? -1 : i + 1;
        must(model[k] < 0
                 ? store_txn_delete(t, T, base_slice(name, 4), &test_err)
                 : store_txn_put(t, T, base_slice(name, 4), base_slice(&model[k], 4), &test_err));
        if (i % 100 == 99) {
            stores_commit(t);
            t = stores_begin(s, 0);
        }
        if (i == 700) {
            stores_fold(s);
        }
    }
    stores_commit(t);
    for (int k = 0; k < KEYS; k += 2) {
        uint8_t name[4];
        int loaded = -5;
        base_put_u32(name, __builtin_bswap32((uint32_t)k));
        if (b == NULL) {
            must(store_bulk_begin(s, T, 10, false, &b, &test_err));
        }
        must(stores_append(b, base_slice(name, 4), base_slice(&loaded, 4), &test_err));
        model[k] = model[k] == 0 ? loaded : model[k];
        if (k % 500 == 498) {
            must(store_bulk_commit(b, &test_err));
            b = NULL;
        }
    }
    expect(b == NULL);
    end_build(10);
    t = stores_begin(s, STORE_TXN_READONLY);
    must(store_cursor_open(t, T, &(struct store_range){0}, STORE_READ_NORMAL, &c, &test_err));
    for (int k = 0; k < KEYS; k++) {
        if (model[k] > 0 || model[k] == -5) {
            must(store_cursor_next(c, &key, &value, &test_err));
            expect_u64(__builtin_bswap32(base_get_u32(key.data)), (uint64_t)k);
            expect(memcmp(value.data, &model[k], 4) == 0);
        }
    }
    must_fail(store_cursor_next(c, &key, &value, &test_err), INSTAR_END);
    store_cursor_close(c);
    store_txn_abort(t);
}
