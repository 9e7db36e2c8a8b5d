/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: what one sees stays as it was, whatever the applier, other commits, drops and retired
 * segments do meanwhile. */
#include "support/stores.h"

#include <stdio.h>

#define T 3

static struct store *s;

static void setup(void)
{
    instar_options o = stores_options();
    o.segment_bytes = 64 << 10;
    o.txn_bytes_max = o.segment_bytes / 4;
    o.row_bytes_max = 4096;
    s = stores_make_tree(&o, T);
}

static void teardown(void)
{
    stores_close(s);
}

TestSuite(store_snapshot, .init = setup, .fini = teardown);

/* Fill some segments, so that older ones are folded and retired. */
static void churn(int segments)
{
    static char value[2000];
    uint64_t until = store_tail(s) + (uint64_t)segments * (64 << 10);
    for (int i = 0; store_tail(s) < until; i++) {
        struct store_txn *t = stores_begin(s, 0);
        char key[32];
        snprintf(key, sizeof key, "churn%d", i % 50);
        must(store_txn_put(t, T, stores_text(key), base_slice(value, sizeof value), &test_err));
        stores_commit(t);
    }
}

/* A snapshot stays as it was through folds and retirements. */
Test(store_snapshot, stays_as_it_was)
{
    stores_write(s, T, "a", "1");
    stores_fold(s);
    stores_write(s, T, "b", "1");
    struct store_txn *pending = stores_begin(s, STORE_TXN_READONLY);
    stores_fold(s);
    struct store_txn *folded = stores_begin(s, STORE_TXN_READONLY);
    stores_write(s, T, "a", "2");
    stores_write(s, T, "b", NULL);
    stores_write(s, T, "c", "2");
    churn(12);
    stores_fold(s);
    struct store_txn *both[] = {pending, folded};
    for (size_t i = 0; i < 2; i++) {
        cr_assert_str_eq(stores_scan(both[i], T, false), "a=1 b=1 ");
        stores_expect(both[i], T, "a", "1");
        stores_expect(both[i], T, "c", NULL);
        store_txn_abort(both[i]);
    }
    stores_read(s, T, "a", "2");
    stores_read(s, T, "b", NULL);
}

/* One that was begun before a drop reads the dropped tree until it ends, though it is emptied. */
Test(store_snapshot, reads_a_dropped_tree)
{
    for (int folded = 0; folded < 2; folded++) {
        uint64_t tree = 20 + (uint64_t)folded;
        stores_tree_op(s, STORE_TREE_CREATE, tree);
        for (int i = 0; i < 100; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%02d", i);
            stores_write(s, tree, key, "v");
        }
        if (folded) {
            stores_fold(s);
        }
        struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
        stores_tree_op(s, STORE_TREE_DROP, tree);
        churn(6);
        stores_fold(s);
        stores_expect(t, tree, "k00", "v");
        stores_expect(t, tree, "k99", "v");
        expect(strlen(stores_scan(t, tree, true)) == 600);
        store_txn_abort(t);
        stores_read(s, tree, "k00", NULL);
    }
}

/* A tree made after the snapshot is empty in it, also when its handle is open by then. */
Test(store_snapshot, a_younger_tree_is_empty)
{
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    stores_expect(t, T, "k", NULL);
    stores_tree_op(s, STORE_TREE_CREATE, 30);
    stores_write(s, 30, "k", "1");
    stores_fold(s);
    stores_read(s, 30, "k", "1");
    stores_expect(t, 30, "k", NULL);
    cr_assert_str_eq(stores_scan(t, 30, false), "");
    store_txn_abort(t);
}

/* Held between its LSN and its LMDB transaction, while all is folded and retired, a begin still
 * gives a whole snapshot; held before its memtables are pinned, it starts again. */
struct reading {
    const char *before, *after; /* what a and b may have, both the same */
    bool done;
};

static void *begin_and_read(void *arg)
{
    struct reading *r = arg;
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    stores_expect(t, T, "first", r->before);
    const char *a = stores_get(t, T, "a");
    char was[16];
    snprintf(was, sizeof was, "%s", a != NULL ? a : "");
    expect(strcmp(was, r->before) == 0 || strcmp(was, r->after) == 0);
    stores_expect(t, T, "b", was);
    store_txn_abort(t);
    r->done = true;
    return NULL;
}

Test(store_snapshot, begin_races_with_the_applier)
{
    static const char *const points[] = {"txn.lsn_chosen", "snapshot.begun"};
    for (size_t i = 0; i < 2; i++) {
        struct test_hold hold;
        struct os_thread thread;
        struct reading r =
            i == 0 ? (struct reading){"1", "2", false} : (struct reading){"3", "4", false};
        stores_write(s, T, "first", r.before);
        struct store_txn *t = stores_begin(s, 0);
        stores_put(t, T, "a", r.before);
        stores_put(t, T, "b", r.before);
        stores_commit(t);
        test_hold_set(&hold, points[i], 1);
        expect(os_thread_start(&thread, "reader", begin_and_read, &r) == 0);
        test_hold_await(&hold);
        t = stores_begin(s, 0);
        stores_put(t, T, "a", r.after);
        stores_put(t, T, "b", r.after);
        stores_commit(t);
        churn(12);
        stores_fold(s);
        stores_write(s, T, "more", "1");
        stores_fold(s); /* what the first one has folded is retired by now */
        test_hold_release(&hold);
        os_thread_join(&thread);
        test_hold_end(&hold);
        expect(r.done);
    }
}

static void fold_now(void *arg, const char *name)
{
    bool *folded = arg;
    if (strcmp(name, "snapshot.trees_begun") == 0 && !*folded) {
        *folded = true;
        stores_fold(s);
    }
}

/* Folded between a reader's look at the trees and its look at how far they are: how far they were
 * counts. */
Test(store_snapshot, is_overtaken_by_a_fold)
{
    bool folded = false;
    struct test_listener listener = {.point = fold_now, .arg = &folded};
    stores_write(s, T, "a", "1");
    test_listener_set(&listener);
    stores_read(s, T, "a", "1");
    test_listener_set(NULL);
    expect(folded);
}

/* A writer whose snapshot is older than what is kept gets the retryable error, not a wrong answer.
 */
Test(store_snapshot, an_old_writer_is_refused)
{
    struct store_txn *t = stores_begin(s, 0);
    stores_expect(t, T, "k", NULL);
    stores_put(t, T, "other", "1");
    churn(20);
    stores_fold(s);
    churn(2);
    stores_fold(s);
    stores_expect(t, T, "k", NULL); /* reading goes on */
    int rc = store_txn_commit(t, NULL, NULL, &test_err);
    expect(rc == INSTAR_ESNAPSHOT_TOO_OLD);
    stores_read(s, T, "other", NULL);
}

/* ---- threads ------------------------------------------------------------------------------- */

#define PAIRS 16
static _Atomic bool stop;

/* Both keys of a pair are always written together. */
static void *write_pairs(void *arg)
{
    struct test_random r = test_random((uint64_t)(uintptr_t)arg);
    for (int i = 0; i < 400; i++) {
        char x[16];
        char y[16];
        char v[16];
        uint64_t pair = test_random_below(&r, PAIRS);
        snprintf(x, sizeof x, "x%02d", (int)pair);
        snprintf(y, sizeof y, "y%02d", (int)pair);
        snprintf(v, sizeof v, "%d", i);
        struct store_txn *t = stores_begin(s, STORE_TXN_SNAPSHOT);
        bool gone = test_random_chance(&r, 30);
        if (gone) {
            stores_delete(t, T, x);
            stores_delete(t, T, y);
        } else {
            stores_put(t, T, x, v);
            stores_put(t, T, y, v);
        }
        (void)store_txn_commit(t, NULL, NULL, &test_err);
    }
    return NULL;
}

static void *read_pairs(void *arg)
{
    (void)arg;
    do {
        struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
        for (int pair = 0; pair < PAIRS; pair++) {
            char x[16];
            char y[16];
            char seen[32];
            snprintf(x, sizeof x, "x%02d", pair);
            snprintf(y, sizeof y, "y%02d", pair);
            const char *v = stores_get(t, T, x);
            snprintf(seen, sizeof seen, "%s", v != NULL ? v : "");
            stores_expect(t, T, y, v != NULL ? seen : NULL);
        }
        store_txn_abort(t);
    } while (!atomic_load(&stop));
    return NULL;
}

/* Readers never see one half of a commit, whatever is folded meanwhile. */
Test(store_snapshot, no_reader_sees_half_a_commit)
{
    struct os_thread writers[2];
    struct os_thread readers[2];
    for (size_t i = 0; i < 2; i++) {
        expect(os_thread_start(&readers[i], "reader", read_pairs, NULL) == 0);
        expect(os_thread_start(&writers[i], "writer", write_pairs, (void *)(uintptr_t)i) == 0);
    }
    for (int i = 0; i < 10; i++) {
        stores_fold(s);
    }
    os_thread_join(&writers[0]);
    os_thread_join(&writers[1]);
    atomic_store(&stop, true);
    os_thread_join(&readers[0]);
    os_thread_join(&readers[1]);
}

/* Ascending keys, each put between the one before and "m"; and "m" is always as "a" is. */
static void *put_beside(void *arg)
{
    (void)arg;
    for (int i = 0; i < 90000;) {
        struct store_txn *t = stores_begin(s, 0);
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        stores_put(t, T, "a", value);
        for (int k = 0; k < 60; k++, i++) {
            char key[16];
            snprintf(key, sizeof key, "l%06d", i);
            stores_put(t, T, key, "");
        }
        stores_put(t, T, "m", value);
        stores_commit(t);
    }
    atomic_store(&stop, true);
    return NULL;
}

static void *get_and_seek(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
        char value[16];
        snprintf(value, sizeof value, "%s", stores_get(t, T, "a"));
        for (int i = 0; i < 30; i++) {
            struct store_range range = {.lower = stores_text("m")};
            struct store_cursor *c;
            struct base_slice key;
            struct base_slice found;
            stores_expect(t, T, "m", value);
            must(store_cursor_open(t, T, &range, STORE_READ_NORMAL, &c, &test_err));
            must(store_cursor_next(c, &key, &found, &test_err));
            expect(base_slice_eq(key, stores_text("m")));
            expect(base_slice_eq(found, stores_text(value)));
            store_cursor_close(c);
        }
        store_txn_abort(t);
    }
    return NULL;
}

/* A key is found while others are put right before it. */
Test(store_snapshot, keys_beside_do_not_hide_a_key)
{
    struct os_thread threads[3];
    struct store_txn *t = stores_begin(s, 0);
    stores_put(t, T, "a", "0");
    stores_put(t, T, "m", "0");
    stores_commit(t);
    atomic_store(&stop, false);
    expect(os_thread_start(&threads[0], "reader", get_and_seek, NULL) == 0);
    expect(os_thread_start(&threads[1], "reader", get_and_seek, NULL) == 0);
    expect(os_thread_start(&threads[2], "writer", put_beside, NULL) == 0);
    for (size_t i = 0; i < 3; i++) {
        os_thread_join(&threads[i]);
    }
}
