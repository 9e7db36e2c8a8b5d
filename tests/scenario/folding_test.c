/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows come and go while an index is built: between its cut and its end each write goes to the
 * delta, and every one of them here happens beside the fold. At the end the index says what the
 * table says.
 */
#include "support/txns.h"

#include <stdlib.h>
#include <string.h>

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all;

static void setup(void)
{
    env = txns_open_t(NULL, "a int8, b int8", &table);
    all = txns_projection(env, "t", NULL);
}

static void teardown(void)
{
    txn_projection_free(all);
    txns_close(env);
}

TestSuite(folding, .init = setup, .fini = teardown);

/* ---- a build, step by step ---------------------------------------------------------------- */

struct build {
    struct catalog_table *at; /* the version in which it is built */
    const struct catalog_index *index;
    uint64_t token;
    uint64_t cut;
};

static void drained_tree_op(struct build *b, enum store_tree_op op)
{
    b->cut = txns_tree_op(env, table, b->at->version, op, b->index->tree);
    must(store_wait_applied(env->store, b->cut, STORE_URGE_SOON, STORE_FOREVER, &test_err));
}

static void begin_build(struct build *b, bool unique)
{
    txns_index(env, table, "i", "b", unique, "write-only");
    b->at = txns_current(env, table);
    b->index = catalog_table_index(b->at, "i");
    drained_tree_op(b, STORE_TREE_BEGIN_BUILD);
    b->token = b->cut;
    must(store_build_claim(env->store, b->index->tree, b->token, &test_err));
}

static int compare_keys(const void *x, const void *y)
{
    const struct base_buf *p = x, *q = y;
    return base_slice_cmp(base_buf_slice(p), base_buf_slice(q));
}

/* Scan at a snapshot of now, sort, append. */
static void load(struct build *b)
{
    struct base_buf keys[64] = {0};
    size_t count = 0;
    struct base_slice key, record;
    struct store_cursor *c;
    struct txn_rows *rows;
    struct store_bulk *bulk;
    struct store_range whole = {.lower = {"", 0}};
    struct store_txn *t = stores_begin(env->store, STORE_TXN_READONLY | STORE_TXN_SYNC);
    must(store_flush(env->store, store_tail(env->store), STORE_FOREVER, &test_err));
    must(txn_rows_open(b->at, 1 << 20, &rows, &test_err));
    must(store_cursor_open(t, b->at->tree, &whole, STORE_READ_UNTRACKED, &c, &test_err));
    while (store_cursor_next(c, &key, &record, &test_err) == INSTAR_OK) {
        expect(count < BASE_ARRAY_LEN(keys));
        must(txns_entry_key(rows, b->index, key, record, &keys[count++], &test_err));
    }
    store_cursor_close(c);
    store_txn_abort(t);
    txn_rows_close(rows);
    qsort(keys, count, sizeof(keys[0]), compare_keys);
    must(store_bulk_begin(env->store, b->index->tree, b->token, false, &bulk, &test_err));
    for (size_t i = 0; i < count; i++) {
        uint8_t entry[ROW_ENTRY_SIZE];
        row_entry_encode(b->at->version, base_buf_slice(&keys[i]), base_slice("", 0), entry);
        must(stores_append(bulk, base_buf_slice(&keys[i]), base_slice(entry, sizeof(entry)),
                           &test_err));
        base_buf_free(&keys[i]);
    }
    must(store_bulk_commit(bulk, &test_err));
}

static void fold(struct build *b)
{
    uint64_t left;
    must(store_wait_applied(env->store, store_tail(env->store), STORE_URGE_SOON, STORE_FOREVER,
                            &test_err));
    must(store_build_fold(env->store, b->index->tree, b->token, false, &left, &test_err));
}

static void end_build(struct build *b, bool unique)
{
    must(store_build_settle(env->store, b->index->tree, b->token, &test_err));
    drained_tree_op(b, STORE_TREE_FOLD_END);
    catalog_table_free(b->at);
    txns_index(env, table, "i", "b", unique, "public");
}

static void expect_end(const char *rows, const char *entries)
{
    struct catalog_table *now = txns_current(env, table);
    struct txn_projection *by_i = txns_projection(env, "t", "i");
    cr_assert_str_eq(txns_dump(env, all), rows);
    cr_assert_str_eq(txns_entries(env, now, "i"), entries);
    cr_assert_str_eq(txns_wrong(env, now, "i"), "");
    txn_projection_free(by_i);
    catalog_table_free(now);
}

/* ---- scenarios ---------------------------------------------------------------------------- */

/* A row written in write-only, before the cut; then, each beside a fold: it is deleted, another
 * with the same value comes, and goes. */
Test(folding, a_value_that_moves_to_another_row_and_goes)
{
    for (unsigned at = 0; at < 4; at++) { /* before which step the load happens */
        struct build b;
        txns_index(env, table, "i", "b", false, "write-only");
        txns_put_row(env, all, "1,1");
        begin_build(&b, false);
        for (unsigned step = 0; step < 4; step++) {
            if (step == at) {
                load(&b);
            }
            if (step >= at) {
                fold(&b);
            }
            switch (step) {
            case 0:
                txns_delete_row(env, all, "1");
                break;
            case 1:
                txns_put_row(env, all, "2,1");
                break;
            case 2:
                txns_delete_row(env, all, "2");
                break;
            default:
                break;
            }
        }
        fold(&b);
        end_build(&b, false);
        expect_end("", "");
        txns_index(env, table, "i", "b", false, "absent");
    }
}

/* A unique index over a null: the row with it is deleted beside the fold. */
Test(folding, a_row_with_null_goes)
{
    for (unsigned at = 0; at < 3; at++) {
        struct build b;
        txns_put_row(env, all, "1,1");
        txns_put_row(env, all, "2,null");
        begin_build(&b, true);
        if (at == 0) {
            txns_delete_row(env, all, "2");
        }
        load(&b);
        if (at == 1) {
            txns_delete_row(env, all, "2");
        }
        fold(&b);
        if (at == 2) {
            txns_delete_row(env, all, "2");
        }
        end_build(&b, true);
        expect_end("1,1 ", "1:1 ");
        txns_delete_row(env, all, "1");
        txns_index(env, table, "i", "b", true, "absent");
    }
}

/* The same beside a fold that does not stop, in a thread of its own. */
struct folder {
    struct build *build;
    _Atomic bool stop;
};

static void *fold_on(void *arg)
{
    struct folder *f = arg;
    while (!atomic_load(&f->stop)) {
        uint64_t left;
        must(store_build_fold(env->store, f->build->index->tree, f->build->token, false, &left,
                              &test_err));
    }
    return NULL;
}

Test(folding, rows_come_and_go_beside_a_fold_that_does_not_stop)
{
    struct build b;
    struct os_thread thread;
    struct folder f = {.build = &b};
    txns_put_row(env, all, "1,1");
    begin_build(&b, false);
    load(&b);
    cr_assert_eq(os_thread_start(&thread, "fold", fold_on, &f), 0);
    for (int i = 0; i < 60; i++) {
        txns_delete_row(env, all, "1");
        txns_put_row(env, all, "2,1");
        txns_delete_row(env, all, "2");
        txns_put_row(env, all, "1,1");
        if (i % 8 == 0) {
            /* Past the applier, so that the fold meets each state. */
            must(store_wait_applied(env->store, store_tail(env->store), STORE_URGE_SOON,
                                    STORE_FOREVER, &test_err));
        }
    }
    atomic_store(&f.stop, true);
    os_thread_join(&thread);
    end_build(&b, false);
    expect_end("1,1 ", "1:1 ");
}
