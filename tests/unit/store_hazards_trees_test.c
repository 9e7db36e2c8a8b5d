/* SPDX-License-Identifier: Apache-2.0 */
/* What LMDB does to the unwary writer: slots of dropped trees, key sizes, short writes, and a
 * holder of its lock that stands still. */
#include "store/trees.h"
#include "support/stores.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#define T 3
#define CYCLES 300
#define MS 1000000u

/* ---- slots --------------------------------------------------------------------------------- */

static void look_at_each(struct test_child *self, void *arg)
{
    (void)arg;
    instar_options o = stores_options();
    struct store *s = stores_open(&o);
    test_send(self, 1);
    for (uint64_t tree; (tree = test_receive(self)) != 0;) {
        stores_read(s, tree, "k", "value");
        test_send(self, tree);
    }
    stores_close(s);
}

/* Five times as many trees come and go as there may be at once, while an old process stays and
 * looks at each: neither process runs out of slots, and a young process can go on as well (H-3). */
Test(store_hazards_trees, an_old_process_outlives_many_trees)
{
    struct test_child child;
    struct store *s = stores_make(NULL);
    uint64_t tree = 10;
    test_fork(&child, look_at_each, NULL);
    test_await(&child, 1);
    for (; tree < 10 + CYCLES; tree++) {
        stores_tree_op(s, STORE_TREE_CREATE, tree);
        stores_write(s, tree, "k", "value");
        stores_fold(s);
        test_send(&child, tree);
        test_await(&child, tree);
        stores_tree_op(s, STORE_TREE_DROP, tree);
    }
    test_send(&child, 0);
    test_wait_ok(&child);
    stores_tree_op(s, STORE_TREE_CREATE, tree);
    stores_write(s, tree, "k", "value");
    stores_fold(s);
    test_fork(&child, look_at_each, NULL);
    test_await(&child, 1);
    test_send(&child, tree);
    test_await(&child, tree);
    test_send(&child, 0);
    test_wait_ok(&child);
    stores_close(s);
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* Keys of 510 and 511 bytes are kept, in the log, in the trees and over an open, and order as bytes
 * do; 512 is refused before the commit, with the limit named (H-24). */
Test(store_hazards_trees, the_longest_keys)
{
    static char key[513];
    struct base_slice value;
    struct store *s = stores_make(NULL);
    memset(key, 'k', sizeof key - 1);
    stores_tree_op(s, STORE_TREE_CREATE, T);
    struct store_txn *t = stores_begin(s, 0);
    for (size_t size = 510; size <= 511; size++) {
        must(store_txn_put(t, T, base_slice(key, size), stores_text("v"), &test_err));
    }
    must_fail(store_txn_put(t, T, base_slice(key, 512), stores_text("v"), &test_err),
              INSTAR_ELIMIT);
    expect(strstr(test_err.text, "511") != NULL);
    must_fail(store_txn_delete(t, T, base_slice(key, 512), &test_err), INSTAR_ELIMIT);
    stores_commit(t);
    for (int folded = 0; folded < 2; folded++) {
        t = stores_begin(s, STORE_TXN_READONLY);
        for (size_t size = 509; size <= 511; size++) {
            int rc =
                store_txn_get(t, T, base_slice(key, size), STORE_READ_NORMAL, &value, &test_err);
            expect(rc == (size == 509 ? INSTAR_ENOTFOUND : 0));
        }
        store_txn_abort(t);
        stores_fold(s);
    }
    stores_close(s);
    s = stores_open(NULL);
    expect_u64(strlen(stores_dump(s, T)), 510 + 511 + 2 * strlen("=v "));
    stores_close(s);
}

/* ---- short writes -------------------------------------------------------------------------- */

/* LMDB calls a short write of its pages an I/O error. It is a full disk or a quota: folding waits,
 * the store is not stopped, and when there is room again all goes on. */
Test(store_hazards_trees, a_short_write_is_a_full_disk)
{
    struct store *s = stores_make(NULL);
    struct test_fault fault = {
        .op = OS_OP_WRITE, .path = "data.mdb", .nth = 1, .short_bytes = 100, .sticky = true};
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_fold(s);
    test_fault_set(&fault);
    stores_write(s, T, "k", "1");
    must_fail(store_wait_applied(s, store_tail(s), STORE_URGE_SOON, STORE_FOREVER, &test_err),
              INSTAR_ENOSPACE);
    must(store_poisoned(s, &test_err));
    expect(test_fault_fired() > 0);
    stores_read(s, T, "k", "1");
    test_fault_set(NULL);
    stores_await_folding(s, store_tail(s)); /* it tries again by itself */
    stores_close(s);
    s = stores_open(NULL);
    stores_read(s, T, "k", "1");
    stores_close(s);
}

/* ---- a holder that stands still ------------------------------------------------------------ */

/* Alone with the store it folds, so it has the applier's role. Its next folding is held. */
static void fold_on_request(struct test_child *self, void *arg)
{
    struct test_hold *hold = arg;
    struct store *s = stores_open(NULL);
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_tree_op(s, STORE_TREE_CREATE, T + 1);
    stores_tree_op(s, STORE_TREE_BEGIN_BUILD, T + 1);
    stores_fold(s);
    atomic_store(&hold->left, 1);
    test_send(self, 1);
    test_await(self, 2);
    stores_write(s, T, "k", "child");
    stores_fold(s);
    test_send(self, 3);
    test_receive(self);
    stores_close(s);
}

/* A process that is stopped inside an LMDB write transaction is named, within the time limit, by
 * whoever needs LMDB's lock; reads and commits go on, and once it is killed so does the folding. */
Test(store_hazards_trees, a_stopped_lmdb_writer_is_named)
{
    struct test_child child;
    struct test_hold *hold = test_shared(sizeof(*hold));
    instar_options o = stores_options();
    char pid[32];
    o.lock_timeout_ms = 200;
    must(store_create(stores_path(), &o, &test_err));
    test_hold_set(hold, "apply.batch_written", UINT64_MAX);
    test_fork(&child, fold_on_request, hold);
    test_await(&child, 1);
    struct store *s = stores_open(&o);
    test_send(&child, 2);
    test_hold_await(hold);
    test_kill(&child, SIGSTOP);

    uint64_t began = os_now_ns();
    must_fail(store_build_claim(s, T + 1, 5, &test_err), INSTAR_EBUSY);
    uint64_t took = os_now_ns() - began;
    expect(took >= 150 * MS && took < 3000ull * MS);
    snprintf(pid, sizeof pid, "process %d ", (int)child.pid);
    expect(strstr(test_err.text, pid) != NULL);
    expect(strstr(test_err.text, "stopped") != NULL);
    stores_write(s, T, "mine", "value");
    stores_read(s, T, "k", "child");
    stores_read(s, T, "mine", "value");

    test_kill(&child, SIGKILL);
    stores_fold(s);
    must(store_build_claim(s, T + 1, 5, &test_err));
    stores_read(s, T, "k", "child");
    test_hold_end(hold);
    munmap(hold, sizeof *hold);
    stores_close(s);
}
