/* SPDX-License-Identifier: Apache-2.0 */
/* Readers that die, stand still, or are many: what they keep, and whom they hold up. */
#include "store/trees.h"
#include "support/stores.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define T 3
#define READERS 6

static void read_and_wait(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    stores_expect(t, T, "k", "first");
    test_send(self, 1);
    test_await(self, 2);
    stores_expect(t, T, "k", "first");
    store_txn_abort(t);
    stores_close(s);
}

/* Killed readers are noticed with their node's death, without anybody asking for it: the trees stop
 * growing. */
Test(store_hazards_readers, killed_readers_are_noticed)
{
    struct test_child children[READERS];
    struct store *s = stores_make_tree(NULL, T);
    stores_write(s, T, "k", "first");
    stores_churn(s, T, 10);
    for (int i = 0; i < READERS; i++) {
        test_fork(&children[i], read_and_wait, NULL);
        test_await(&children[i], 1);
    }
    stores_churn(s, T, 20);
    uint32_t seen = store_event_seen(s, STORE_EVENT_LEASE);
    struct store_node nodes[READERS + 1];
    for (int i = 0; i < READERS; i++) {
        test_kill(&children[i], SIGKILL);
    }
    while (store_node_list(s, nodes, BASE_ARRAY_LEN(nodes)) > 1) {
        (void)store_event_wait(s, STORE_EVENT_LEASE, seen, (uint64_t)5 * 1000000000);
        seen = store_event_seen(s, STORE_EVENT_LEASE);
    }
    stores_churn(s, T, 10);
    uint64_t before = stores_used_bytes(s);
    stores_churn(s, T, 60);
    expect(stores_used_bytes(s) <= before + before / 5);
    stores_close(s);
}

/* A reader that stands still holds nobody up: commits and folds go on. When it goes on, it still
 * sees its own snapshot. */
Test(store_hazards_readers, a_stopped_reader_holds_nobody_up)
{
    struct test_child child;
    struct store *s = stores_make_tree(NULL, T);
    stores_write(s, T, "k", "first");
    stores_fold(s);
    test_fork(&child, read_and_wait, NULL);
    test_await(&child, 1);
    test_kill(&child, SIGSTOP);
    stores_write(s, T, "k", "second");
    stores_churn(s, T, 40);
    stores_read(s, T, "k", "second");
    test_kill(&child, SIGCONT);
    test_send(&child, 2);
    test_wait_ok(&child);
    stores_close(s);
}

/* ---- many threads -------------------------------------------------------------------------- */

#define THREADS 200
#define TOGETHER 20

static void *read_once(void *arg)
{
    for (int i = 0; i < 3; i++) {
        stores_read(arg, T, "k", "first");
    }
    return NULL;
}

/* Slots of LMDB's reader table belong to snapshots, not to threads: far more threads than slots may
 * read one after the other, and when they have ended hardly a slot is taken. */
Test(store_hazards_readers, threads_take_no_slots)
{
    pthread_t threads[TOGETHER];
    struct trees_usage usage;
    instar_options o = stores_options();
    o.readers_max = 64;
    struct store *s = stores_make_tree(&o, T);
    stores_write(s, T, "k", "first");
    stores_fold(s);
    for (int round = 0; round < THREADS / TOGETHER; round++) {
        for (int i = 0; i < TOGETHER; i++) {
            expect(pthread_create(&threads[i], NULL, read_once, s) == 0);
        }
        for (int i = 0; i < TOGETHER; i++) {
            pthread_join(threads[i], NULL);
        }
    }
    trees_usage_get(s->trees, &usage);
    expect(usage.reader_slots <= TOGETHER + 8);
    stores_close(s);
}
