/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and handles of trees: opening handles for what other processes made, and removing the names
 * of trees that have been dropped and emptied. Handles are opened here and in trees_write_create
 * only.
 */
#include "store/trees_lmdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Walk the states of the main tree; fn gets each tree that has one. */
int trees_each_state(MDB_txn *txn, MDB_dbi main,
                     int (*fn)(void *arg, uint64_t tree, const struct trees_state *st), void *arg,
                     struct base_err *err)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, main, &cursor);
    if (rc != 0) {
        return trees_failed(err, rc, "trees");
    }
    MDB_val key = trees_val(base_slice("!s", 2));
    MDB_val value;
    uint64_t tree;
    struct trees_state st;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    int done = 0;
    while (rc == 0 && done == 0 && trees_state_id(trees_slice(&key), &tree)) {
        done = trees_state_decode(trees_slice(&value), tree, &st, err);
        if (done == 0) {
            done = fn(arg, tree, &st);
        }
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (done != 0 || rc == 0 || rc == MDB_NOTFOUND) {
        return done;
    }
    return trees_failed(err, rc, "trees");
}

struct opening {
    struct trees *t;
    MDB_txn *txn;
    uint64_t *found; /* pairs of tree and handle */
    size_t count, max;
    struct base_err *err;
};

static int open_handle(struct opening *o, uint64_t tree)
{
    uint32_t known;
    MDB_dbi handle;
    char name[TREES_NAME_MAX];
    if (handles_find(&o->t->handles, tree, &known)) {
        return 0;
    }
    trees_name(name, tree);
    int rc = mdb_dbi_open(o->txn, name, 0, &handle);
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE) {
        return base_err_set(o->err, INSTAR_ECORRUPT,
                            "data.mdb: tree %s has a state, but its own entry is damaged", name);
    }
    if (rc != 0) {
        return trees_failed(o->err, rc, name);
    }
    if (o->count + 2 > o->max) {
        size_t max = o->max == 0 ? 64 : o->max * 2;
        uint64_t *found = base_realloc(o->found, max * sizeof *found);
        if (found == NULL) {
            return base_err_set(o->err, INSTAR_ENOMEM, "no memory for tree handles");
        }
        o->found = found;
        o->max = max;
    }
    o->found[o->count++] = tree;
    o->found[o->count++] = handle;
    return 0;
}

static int open_handles(void *arg, uint64_t tree, const struct trees_state *st)
{
    struct opening *o = arg;
    if (st->stage == TREES_EMPTIED) {
        return 0;
    }
    int rc = open_handle(o, trees_data(tree));
    if (rc == 0 && st->delta) {
        rc = open_handle(o, trees_delta(tree));
    }
    return rc;
}

/* Open what is missing of the newest tree epoch, in a transaction that commits, and so publishes
 * the handles. Under the handle lock. */
int trees_refresh_locked(struct trees *t, struct base_err *err)
{
    struct opening o = {.t = t, .err = err};
    struct trees_mark mark;
    int rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &o.txn);
    if (rc == MDB_READERS_FULL) {
        mdb_reader_check(t->env, NULL);
        rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &o.txn);
    }
    if (rc != 0) {
        return trees_failed(err, rc, "tree handles");
    }
    rc = trees_mark_get(o.txn, t->main, &mark, err);
    if (rc == 0) {
        rc = trees_each_state(o.txn, t->main, open_handles, &o, err);
    }
    if (rc != 0) {
        mdb_txn_abort(o.txn); /* closes them again */
        base_free(o.found);
        return rc;
    }
    base_assert(mdb_txn_commit(o.txn) == 0);
    for (size_t i = 0; rc == 0 && i < o.count; i += 2) {
        rc = handles_add(&t->handles, o.found[i], (uint32_t)o.found[i + 1], err);
    }
    base_free(o.found);
    if (rc == 0) {
        atomic_store(&t->handles.epoch, mark.epoch);
    }
    return rc;
}

int trees_refresh(struct trees *t, struct base_err *err)
{
    handles_enter(&t->handles);
    os_plain_lock(&t->handles.lock);
    int rc = trees_refresh_locked(t, err);
    os_plain_unlock(&t->handles.lock);
    handles_leave(&t->handles);
    return rc;
}

struct removal {
    uint64_t trees[TREES_CREATED_MAX];
    bool delta[TREES_CREATED_MAX];
    size_t count, max;
    bool left;
};

static int note_emptied(void *arg, uint64_t tree, const struct trees_state *st)
{
    struct removal *r = arg;
    if (st->stage == TREES_EMPTIED) {
        if (r->count == r->max) {
            r->left = true;
            return 0;
        }
        r->delta[r->count] = st->delta;
        r->trees[r->count++] = tree;
    }
    return 0;
}

static int drop_name(struct trees_write *w, uint64_t tree, struct base_err *err)
{
    char name[TREES_NAME_MAX];
    MDB_dbi handle;
    trees_name(name, tree);
    int rc = mdb_dbi_open(w->txn, name, 0, &handle);
    if (rc == MDB_NOTFOUND) {
        return 0;
    }
    if (rc == 0) {
        rc = mdb_drop(w->txn, handle, 1); /* closes the handle at once */
        handles_remove(&w->trees->handles, tree);
    }
    return rc == 0 ? trees_digest_remove(w, tree, err)
                   : trees_failed(err, rc, "removal of an emptied tree");
}

static int remove_names(struct trees *t, struct removal *r, struct base_err *err)
{
    struct trees_write w = {.trees = t};
    int rc = trees_write_start(t, &w, err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_each_state(w.txn, t->main, note_emptied, r, err);
    for (size_t i = 0; rc == 0 && i < r->count; i++) {
        char name[TREES_META_MAX];
        rc = drop_name(&w, trees_data(r->trees[i]), err);
        if (rc == 0 && r->delta[i]) {
            rc = drop_name(&w, trees_delta(r->trees[i]), err);
        }
        trees_state_name(name, r->trees[i]);
        rc = rc == 0 ? trees_write_meta_set(&w, name, base_slice(NULL, 0), err) : rc;
    }
    if (rc != 0 || r->count == 0) {
        mdb_txn_abort(w.txn);
        return rc;
    }
    w.mark.removals++;
    int lmdb = trees_mark_put(w.txn, t->main, &w.mark);
    if (lmdb != 0) {
        mdb_txn_abort(w.txn);
        return trees_failed(err, lmdb, "removal of emptied trees");
    }
    lmdb = trees_commit(&w);
    return lmdb == 0 ? 0 : trees_commit_failed(&w, lmdb, err);
}

int trees_names_remove(struct store *s, size_t max, uint64_t wait_ns, bool *left_out,
                       struct base_err *err)
{
    struct trees *t = s->trees;
    struct removal r = {.max = max < TREES_CREATED_MAX ? max : TREES_CREATED_MAX};
    *left_out = false;
    if (!handles_quiet_begin(&t->handles, wait_ns)) {
        return 0;
    }
    int rc = remove_names(t, &r, err);
    if (rc != 0) {
        atomic_store(&t->handles.epoch, 0); /* handles may have gone: look again */
    }
    handles_quiet_end(&t->handles);
    *left_out = r.left;
    return rc;
}

/* Has a tree neither its name any more, nor anything under it that will ever be asked for? */
static int is_gone(struct trees *t, MDB_txn *txn, uint64_t tree, bool *gone_out)
{
    char name[TREES_META_MAX];
    struct trees_state st;
    trees_state_name(name, tree >> 1);
    MDB_val v;
    int rc = trees_get_named(txn, t->main, name, &v);
    *gone_out = rc == MDB_NOTFOUND;
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    *gone_out =
        trees_state_decode(trees_slice(&v), tree >> 1, &st, NULL) == 0 && st.stage == TREES_EMPTIED;
    return 0;
}

/* Close the handles of trees that are gone in this transaction's snapshot. */
static int close_gone(struct trees *t, MDB_txn *txn)
{
    for (size_t at = 0;;) {
        uint64_t tree;
        uint32_t handle;
        bool gone;
        size_t here = at;
        if (!handles_each(&t->handles, &at, &tree, &handle)) {
            return 0;
        }
        int rc = is_gone(t, txn, tree, &gone);
        if (rc != 0) {
            return rc;
        }
        if (gone) {
            mdb_dbi_close(t->env, handle);
            handles_remove(&t->handles, tree);
            at = here; /* another may have moved into its place */
        }
    }
}

void trees_handles_trim(struct store *s, uint64_t wait_ns)
{
    struct trees *t = s->trees;
    struct trees_mark mark;
    MDB_txn *txn;
    if (!handles_quiet_begin(&t->handles, wait_ns)) {
        return;
    }
    if (mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn) == 0) {
        if (trees_mark_get(txn, t->main, &mark, NULL) == 0 &&
            (wait_ns != 0 || mark.removals != t->handles.removals) && close_gone(t, txn) == 0) {
            t->handles.removals = mark.removals;
        }
        mdb_txn_abort(txn);
    }
    handles_quiet_end(&t->handles);
}
