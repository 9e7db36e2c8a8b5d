/* SPDX-License-Identifier: Apache-2.0 */
/* Running the script on a store, from any commit on. */
#include "support/oracle_impl.h"
#include "support/stores.h"

#include <stdlib.h>
#include <string.h>

#define LOAD_ROWS 12
#define DONE_MARK '!' /* progress of a load that has come to its end */

struct run {
    const struct oracle *o;
    const char *path;
    const instar_options *options;
    struct store **store;
    const struct oracle_watch *watch;
    uint64_t mirror;       /* follows tree 1 now */
    uint64_t token;        /* of this runner; 0: the build is not claimed yet */
    uint64_t last;         /* commit */
    uint64_t last_durable; /* as told */
};

static uint64_t soon(void)
{
    return os_now_ns() + (uint64_t)30 * 1000000000;
}

static void tell_durable(struct run *run, uint64_t number)
{
    if (number > run->last_durable && run->watch != NULL) {
        run->last_durable = number;
        run->watch->durable(run->watch->arg, number);
    }
}

static int tree_operations(struct store_txn *t, const struct oracle_step *step,
                           struct base_err *err)
{
    int rc = 0;
    switch (step->kind) {
    case ORACLE_CREATE:
        return store_txn_tree_op(t, STORE_TREE_CREATE, step->tree, err);
    case ORACLE_DROP:
        return store_txn_tree_op(t, STORE_TREE_DROP, step->tree, err);
    case ORACLE_CUT:
        rc = store_txn_tree_op(t, STORE_TREE_CREATE, step->tree, err);
        return rc != 0 ? rc : store_txn_tree_op(t, STORE_TREE_BEGIN_BUILD, step->tree, err);
    case ORACLE_FOLD_END:
        return store_txn_tree_op(t, STORE_TREE_FOLD_END, step->tree, err);
    default:
        return 0;
    }
}

static int write_operations(struct store_txn *t, const struct operations *ops, struct base_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ops->count; i++) {
        const struct operation *op = &ops->list[i];
        struct base_slice key = base_slice(op->key, op->key_size);
        rc = op->value != NULL
                 ? store_txn_put(t, op->tree, key, base_slice(op->value, op->value_size), err)
                 : store_txn_delete(t, op->tree, key, err);
    }
    return rc;
}

static int commit_step(struct run *run, const struct oracle_step *step, struct base_err *err)
{
    struct store_txn *t;
    struct operations ops;
    int rc = store_txn_begin(*run->store, step->sync ? STORE_TXN_SYNC : 0, &t, err);
    if (rc != 0) {
        return rc;
    }
    rc = tree_operations(t, step, err);
    if (rc == 0) {
        if (step->kind == ORACLE_CUT) {
            run->mirror = step->tree;
        } else if (step->kind == ORACLE_DROP && run->mirror == step->tree) {
            run->mirror = 0;
        }
        /* Only writing commits choose trees, and those do not change the list themselves. */
        oracle_operations(run->o, step, &run->o->points[step->number], run->mirror, &ops);
        rc = write_operations(t, &ops, err);
        base_arena_free(&ops.arena);
    }
    if (rc != 0) {
        store_txn_abort(t);
        return rc;
    }
    if (run->watch != NULL) {
        run->watch->issued(run->watch->arg, step->number);
    }
    rc = store_txn_commit(t, NULL, NULL, err);
    if (rc == 0) {
        run->last = step->number;
        if (step->sync) {
            tell_durable(run, step->number);
        }
    }
    return rc;
}

/* Make the build this runner's own. Its token is larger than any before it: the tail has moved at
 * least by the cut, and by what was committed since an earlier claim, or is equal to it. */
static int claim(struct run *run, uint64_t tree, struct base_err *err)
{
    if (run->token != 0) {
        return 0;
    }
    int rc = store_flush(*run->store, store_tail(*run->store), soon(), err);
    if (rc == 0) {
        rc = store_wait_applied(*run->store, store_tail(*run->store), STORE_URGE_SOON, soon(), err);
    }
    if (rc == 0) {
        tell_durable(run, run->last);
        run->token = store_tail(*run->store);
        rc = store_build_claim(*run->store, tree, run->token, err);
    }
    return rc;
}

/* Append up to LOAD_ROWS rows after the key `last`, and note how far it came. */
static int load_rows(struct store_txn *t, struct store_bulk *bulk, const struct base_buf *last,
                     struct base_err *err)
{
    struct store_cursor *c;
    struct base_slice key;
    struct base_slice value;
    struct store_range range = {.lower = base_buf_slice(last)};
    int rc = store_cursor_open(t, ORACLE_BASE_TREE, &range, STORE_READ_UNTRACKED, &c, err);
    if (rc != 0) {
        return rc;
    }
    size_t rows = 0;
    struct base_buf reached = {0};
    while (rows < LOAD_ROWS && (rc = store_cursor_next(c, &key, &value, err)) == 0) {
        if (base_slice_eq(key, base_buf_slice(last)) || base_slice_eq(key, base_slice("seq", 3))) {
            continue;
        }
        base_buf_clear(&reached);
        expect(base_buf_add(&reached, key.data, key.size));
        rc = stores_append(bulk, key, value, err);
        if (rc != 0) {
            break;
        }
        rows++;
    }
    store_cursor_close(c);
    if (rc == INSTAR_END) {
        base_buf_clear(&reached);
        expect(base_buf_add_u8(&reached, DONE_MARK));
        rc = 0;
    }
    if (rc == 0) {
        rc = store_bulk_progress(bulk, base_buf_slice(&reached), err);
    }
    base_buf_free(&reached);
    return rc;
}

/* One batch; *done_out when the load has come to its end. */
static int load_step(struct run *run, uint64_t tree, bool *done_out, struct base_err *err)
{
    struct base_buf last = {0};
    struct store_txn *t = NULL;
    struct store_bulk *bulk = NULL;
    *done_out = false;
    int rc = claim(run, tree, err);
    if (rc == 0) {
        rc = store_build_progress(*run->store, tree, &last, err);
        rc = rc == INSTAR_ENOTFOUND ? 0 : rc;
    }
    if (rc == 0 && last.size == 1 && last.data[0] == DONE_MARK) {
        *done_out = true;
        base_buf_free(&last);
        return 0;
    }
    if (rc == 0) {
        rc = store_txn_begin(*run->store, STORE_TXN_READONLY | STORE_TXN_SYNC, &t, err);
    }
    if (rc == 0) {
        rc = store_bulk_begin(*run->store, tree, run->token, false, &bulk, err);
    }
    if (rc == 0) {
        rc = load_rows(t, bulk, &last, err);
        if (rc == 0) {
            rc = store_bulk_commit(bulk, err);
        } else {
            store_bulk_abort(bulk);
        }
    }
    if (t != NULL) {
        store_txn_abort(t);
    }
    base_buf_free(&last);
    return rc;
}

static int finish_build(struct run *run, const struct oracle_step *step, struct base_err *err)
{
    bool done = false;
    int rc = 0;
    while (rc == 0 && !done) {
        rc = load_step(run, step->tree, &done, err);
    }
    uint64_t left = 1;
    while (rc == 0 && left > 0) {
        rc = store_flush(*run->store, store_tail(*run->store), soon(), err);
        if (rc == 0) {
            rc = store_wait_applied(*run->store, store_tail(*run->store), STORE_URGE_SOON, soon(),
                                    err);
        }
        if (rc == 0) {
            rc = store_build_fold(*run->store, step->tree, run->token, false, &left, err);
        }
    }
    if (rc == 0) {
        rc = store_build_settle(*run->store, step->tree, run->token, err);
    }
    run->token = 0;
    return rc == 0 ? commit_step(run, step, err) : rc;
}

/* Folding may begin when the load has ended: appends need the tree's last key. */
static int fold_step(struct run *run, uint64_t tree, struct base_err *err)
{
    bool done = false;
    uint64_t left;
    int rc = 0;
    while (rc == 0 && !done) {
        rc = load_step(run, tree, &done, err);
    }
    return rc == 0 ? store_build_fold(*run->store, tree, run->token, false, &left, err) : rc;
}

static int flush_step(struct run *run, bool apply, struct base_err *err)
{
    uint64_t tail = store_tail(*run->store);
    int rc = store_flush(*run->store, tail, soon(), err);
    if (rc == 0) {
        tell_durable(run, run->last);
    }
    if (rc == 0 && apply) {
        rc = store_wait_applied(*run->store, tail, STORE_URGE_SOON, soon(), err);
    }
    return rc;
}

static int reopen_step(struct run *run, struct base_err *err)
{
    int rc = store_close(*run->store, err);
    *run->store = NULL;
    run->token = 0;
    if (rc == 0) {
        tell_durable(run, run->last);
        rc = store_open(run->path, run->options, run->store, err);
    }
    return rc;
}

static int run_step(struct run *run, const struct oracle_step *step, struct base_err *err)
{
    bool done;
    switch (step->kind) {
    case ORACLE_LOAD:
        return load_step(run, step->tree, &done, err);
    case ORACLE_FOLD:
        return fold_step(run, step->tree, err);
    case ORACLE_FOLD_END:
        return finish_build(run, step, err);
    case ORACLE_FLUSH:
        return flush_step(run, false, err);
    case ORACLE_APPLY:
        return flush_step(run, true, err);
    case ORACLE_REOPEN:
        return reopen_step(run, err);
    default:
        return commit_step(run, step, err);
    }
}

int oracle_run(const struct oracle *o, uint64_t done, const char *path,
               const instar_options *options, struct store **store,
               const struct oracle_watch *watch, struct base_err *err)
{
    struct run run = {.o = o,
                      .path = path,
                      .options = options,
                      .store = store,
                      .watch = watch,
                      .last = done,
                      .last_durable = done};
    struct model m = oracle_model(o, done);
    run.mirror = m.mirror;
    free(m.rows);
    uint64_t seen = 0;
    size_t left = watch != NULL && watch->steps_max != 0 ? watch->steps_max : SIZE_MAX;
    for (size_t i = 0; i < o->step_count && left > 0; i++) {
        const struct oracle_step *step = &o->steps[i];
        seen = step->number != 0 ? step->number : seen;
        if (step->number != 0 ? step->number <= done : seen < done) {
            continue;
        }
        left--;
        int rc = run_step(&run, step, err);
        if (rc != 0) {
            base_err_prefix(err, "step %zu (kind %d, commit %llu)", i, (int)step->kind,
                            (unsigned long long)step->number);
            return rc;
        }
    }
    return 0;
}
