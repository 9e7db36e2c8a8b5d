/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of dropped trees: when it is emptied, in how many turns, by whom after a kill. */
#include "store/admit.h"
#include "store/apply_impl.h"
#include "support/stores.h"

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>

#define T 3

static const char *keyed(const char *fmt, int i)
{
    static _Thread_local char text[64];
    snprintf(text, sizeof text, fmt, i);
    return text;
}

#define ENTRIES 3000 /* more than one turn empties, when it is three pages */

static void fill_large(struct store *s)
{
    purge_pages_at_once = 3;
    stores_tree_op(s, STORE_TREE_CREATE, T);
    for (int i = 0; i < ENTRIES;) {
        struct store_txn *t = stores_begin(s, 0);
        for (int k = 0; k < 100; k++, i++) {
            stores_put(t, T, keyed("key%05d", i), "some value that takes a little room");
        }
        stores_commit(t);
    }
    stores_fold(s);
}

static int none(void *arg, uint64_t tree, bool dead)
{
    (void)arg;
    test_fail(__FILE__, __LINE__, "tree %d is there%s", (int)tree, dead ? ", dead" : "");
    return 0;
}

/* Names go at some moment without readers, which is announced nowhere. */
static void await_name_gone(struct store *s)
{
    uint64_t limit = os_now_ns() + (uint64_t)20 * 1000000000;
    for (bool gone = false; !gone;) {
        struct base_slice value;
        struct trees_read *r;
        char name[TREES_META_MAX];
        trees_state_name(name, T);
        must(trees_read_begin(s->trees, &r, &test_err));
        gone = trees_read_meta(r, name, &value, &test_err) == INSTAR_ENOTFOUND;
        trees_read_end(s->trees, r);
        expect(os_now_ns() < limit);
        os_sleep_ns(10000000);
    }
    must(store_tree_list(s, none, NULL, &test_err));
}

/* A dropped tree that is too large for one turn is emptied in several, while a reader still sees it
 * whole; then its name goes. */
Test(store_purge, a_large_tree_is_emptied_in_turns)
{
    struct store *s = stores_make(NULL);
    struct base_slice value;
    fill_large(s);
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    test_points_count(true);
    stores_tree_op(s, STORE_TREE_DROP, T);
    stores_write(s, T, "late", "skipped");
    stores_fold(s);
    for (int i = 0; i < ENTRIES; i++) {
        must(store_txn_get(t, T, stores_text(keyed("key%05d", i)), STORE_READ_NORMAL, &value,
                           &test_err));
    }
    store_txn_abort(t);
    await_name_gone(s);
    expect(test_point_hits("purge.batch_written") > 1);
    test_points_count(false);
    stores_close(s);
}

/* Batches in which the purge empties a tree of that many pages, about, of such values. */
static unsigned batches_of(size_t pages, size_t value_bytes)
{
    char value[10000];
    size_t values = pages * 4096 / value_bytes;
    struct store *s = stores_make(NULL);
    expect(value_bytes < sizeof value);
    memset(value, 'v', value_bytes);
    value[value_bytes] = 0;
    stores_tree_op(s, STORE_TREE_CREATE, T);
    for (size_t i = 0; i < values; i++) {
        stores_write(s, T, keyed("key%05d", (int)i), value);
    }
    stores_fold(s);
    test_points_count(true);
    stores_tree_op(s, STORE_TREE_DROP, T);
    stores_fold(s);
    await_name_gone(s);
    unsigned hits = (unsigned)test_point_hits("purge.batch_written");
    test_points_count(false);
    stores_close(s);
    return hits;
}

/* To clear a tree in which values have pages of their own, LMDB reads all its leaves. So fewer
 * pages of such a tree are cleared at once. */
Test(store_purge, a_tree_of_small_values_is_cleared_at_once)
{
    purge_pages_at_once = 200;
    expect(batches_of(60, 500) == 0);
}

Test(store_purge, a_tree_of_large_values_takes_turns)
{
    purge_pages_at_once = 200;
    expect(batches_of(60, 9000) >= 1);
}

static void drop_and_die(struct test_child *self, void *arg)
{
    struct store *s = stores_open(NULL);
    (void)self;
    (void)arg;
    test_kill_at_point("purge.batch_written", 1);
    stores_tree_op(s, STORE_TREE_DROP, T);
    stores_fold(s);
    await_name_gone(s);
}

/* Killed while a dropped tree is emptied: whoever comes next does the rest. */
Test(store_purge, a_kill_is_made_up_for)
{
    struct test_child child;
    struct store *s = stores_make(NULL);
    fill_large(s);
    stores_close(s);
    test_fork(&child, drop_and_die, NULL);
    expect(test_wait(&child) == -SIGKILL);
    s = stores_open(NULL);
    await_name_gone(s);
    stores_close(s);
}

#define PENDING 12
struct turns {
    sem_t reached, go;
    _Atomic bool over;
};

static void at_batch(void *arg, const char *name)
{
    struct turns *turns = arg;
    if (strcmp(name, "apply.batch_written") == 0 && !atomic_load(&turns->over)) {
        sem_post(&turns->reached);
        while (sem_wait(&turns->go) != 0) {
        }
    }
}

/* Write until the log ends there. */
static void fill_log(struct store *s, uint64_t end)
{
    char value[100000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    for (int n = 0; store_tail(s) < end; n++) {
        admit_all(s); /* nobody is slowed down for the applier that is held */
        stores_write(s, T + 1, keyed("key%05d", n), value);
    }
}

/* Dropped trees have their turn also where the applier finds at each look that commits are about to
 * wait for it: while it is held in a fold, there comes more than that one takes away. */
Test(store_purge, dropped_trees_under_a_load_that_never_ends)
{
    instar_options o = stores_options();
    struct turns turns = {.over = false};
    struct test_listener listener = {.point = at_batch, .arg = &turns};
    o.segments_pending = PENDING;
    uint64_t most = o.segment_bytes * (PENDING * 10 - 6) / 10; /* another commit has room */
    struct store *s = stores_make(&o);
    fill_large(s);
    stores_tree_op(s, STORE_TREE_CREATE, T + 1);
    stores_fold(s);
    expect(sem_init(&turns.reached, 0, 0) == 0 && sem_init(&turns.go, 0, 0) == 0);
    test_points_count(true);
    test_listener_set(&listener);
    fill_log(s, o.segment_bytes * 3 / 2);
    stores_tree_op(s, STORE_TREE_DROP, T);
    fill_log(s, most);
    for (int rounds = 0; test_point_hits("purge.batch_written") == 0; rounds++) {
        expect(rounds < 5 * PENDING);
        while (sem_wait(&turns.reached) != 0) {
        }
        fill_log(s, segment_base(store_applied(s), o.segment_bytes) + most);
        sem_post(&turns.go);
    }
    atomic_store(&turns.over, true);
    sem_post(&turns.go);
    test_points_count(false);
    stores_close(s);
    test_listener_set(NULL);
    sem_destroy(&turns.reached);
    sem_destroy(&turns.go);
}
