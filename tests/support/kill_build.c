/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that builds trees past the log: cut, bulk loads, writes beside them, fold, fold-end. A
 * tree that its predecessor left half made is dropped. */
#include "support/stores.h"
#include "support/kill.h"

#include <string.h>

#define LOADED 300u

static uint64_t tree_op(struct store *s, enum store_tree_op op, uint64_t tree)
{
    struct store_txn *t;
    uint64_t lsn;
    int rc;
    do {
        must(store_txn_begin(s, STORE_TXN_SYNC, &t, &test_err));
        must(store_txn_tree_op(t, op, tree, &test_err));
        rc = store_txn_commit(t, NULL, &lsn, &test_err);
    } while (rc == INSTAR_ESNAPSHOT_TOO_OLD);
    test_must(__FILE__, __LINE__, "commit", rc, 0);
    return lsn;
}

static struct base_slice number_key(uint8_t out[8], uint64_t number)
{
    base_put_be64(out, number);
    return base_slice(out, 8);
}

static void load(struct store *s, uint64_t tree, uint64_t token, struct test_random *r)
{
    uint8_t key[8];
    struct store_bulk *bulk;
    uint64_t next = 0;
    while (next < LOADED) {
        uint64_t until = next + 1 + test_random_below(r, LOADED);
        must(store_bulk_begin(s, tree, token, false, &bulk, &test_err));
        for (; next < LOADED && next < until; next++) {
            must(
                stores_append(bulk, number_key(key, 2 * next), base_slice("loaded", 6), &test_err));
        }
        must(store_bulk_commit(bulk, &test_err));
    }
}

/* One key in ten is deleted, and one in ten is new: they go to the delta. */
static int try_beside(struct store *s, uint64_t tree, struct test_random *r, uint64_t *left_out)
{
    uint8_t key[8];
    struct store_txn *t;
    uint64_t left = LOADED;
    must(store_txn_begin(s, STORE_TXN_SYNC, &t, &test_err));
    for (uint64_t i = 0; i < LOADED; i++) {
        if (test_random_chance(r, 10)) {
            must(store_txn_delete(t, tree, number_key(key, 2 * i), &test_err));
            left--;
        }
        if (test_random_chance(r, 10)) {
            must(store_txn_put(t, tree, number_key(key, 2 * i + 1), base_slice("beside", 6),
                               &test_err));
            left++;
        }
    }
    *left_out = left;
    return store_txn_commit(t, NULL, NULL, &test_err);
}

static uint64_t write_beside(struct store *s, uint64_t tree, struct test_random *r)
{
    uint64_t left;
    int rc;
    do {
        rc = try_beside(s, tree, r, &left);
    } while (rc == INSTAR_ESNAPSHOT_TOO_OLD);
    test_must(__FILE__, __LINE__, "commit", rc, 0);
    return left;
}

static uint64_t count_keys(struct store *s, uint64_t tree)
{
    struct store_txn *t;
    struct store_cursor *cursor;
    struct store_range range = {0};
    struct base_slice key;
    struct base_slice value;
    uint64_t count = 0;
    must(store_txn_begin(s, STORE_TXN_READONLY | STORE_TXN_SYNC, &t, &test_err));
    must(store_cursor_open(t, tree, &range, STORE_READ_UNTRACKED, &cursor, &test_err));
    while (store_cursor_next(cursor, &key, &value, &test_err) == 0) {
        count++;
    }
    store_cursor_close(cursor);
    store_txn_abort(t);
    return count;
}

/* Before its turn, or in it. */
static void await_op(struct store *s, enum store_tree_op op, uint64_t tree, uint64_t lsn,
                     struct test_random *r)
{
    if (test_random_chance(r, 2) && stores_ahead(s, op, tree, lsn) == 0) {
        return;
    }
    must(store_wait_applied(s, lsn, STORE_URGE_SOON, STORE_FOREVER, &test_err));
}

void kill_build(struct store *s, struct kill_world *world, struct test_random *r)
{
    uint64_t old = atomic_load(&world->building);
    if (old != 0) {
        struct store_tree_stat stat;
        must(store_wait_applied(s, store_tail(s), STORE_URGE_SOON, STORE_FOREVER, &test_err));
        must(store_tree_stat(s, old, &stat, &test_err));
        if (stat.exists) {
            tree_op(s, STORE_TREE_DROP, old);
        }
        atomic_store(&world->building, 0);
    }
    uint64_t tree = atomic_fetch_add(&world->next_tree, 1);
    uint64_t left = 1;
    atomic_store(&world->building, tree);
    tree_op(s, STORE_TREE_CREATE, tree);
    uint64_t token = tree_op(s, STORE_TREE_BEGIN_BUILD, tree);
    await_op(s, STORE_TREE_BEGIN_BUILD, tree, token, r);
    must(store_build_claim(s, tree, token, &test_err));
    uint64_t wanted = write_beside(s, tree, r);
    load(s, tree, token, r);
    if (test_random_chance(r, 2)) {
        must(store_wait_applied(s, store_tail(s), STORE_URGE_SOON, STORE_FOREVER, &test_err));
    }
    while (left > 0) {
        must(store_build_fold(s, tree, token, false, &left, &test_err));
    }
    must(store_build_settle(s, tree, token, &test_err));
    uint64_t end = tree_op(s, STORE_TREE_FOLD_END, tree);
    await_op(s, STORE_TREE_FOLD_END, tree, end, r);
    expect_u64(count_keys(s, tree), wanted);
    tree_op(s, STORE_TREE_DROP, tree);
    atomic_store(&world->building, 0);
}
