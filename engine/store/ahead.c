/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts and fold-ends before their turn. The applier executes operations on trees in the order of
 * the log, so whoever waits for one waits until all log in front of it is folded, of all trees:
 * beside busy writers that are seconds, in which nearly every page of a large table is written once
 * more. But a build concerns few trees, and of these little in front of it counts:
 *
 *        lo                B                 E
 *   -----|-----------------|-----------------|-----   other trees: folded up to lo
 *        :      void       |  folded at E    |        the tree that is built
 *
 *   cut       The tree is emptied, as of B. What was logged of it in front of B is void.
 *   fold-end  The delta is folded in, then what was logged of the tree between lo and E, in parts;
 *             what the delta gets of that meanwhile is not newer, and dropped in the end.
 *
 * AHEAD-1  The record is durable, and hi moves behind it with the first byte that is written for
 *          it: so no recovery, no backup and no cut of the log ends in front of it.
 * AHEAD-2  What the applier meets of the tree in front of the record it skips, since the tree's
 *          state says that it was changed later (fold_target_set, treeop_execute). What it folds at
 *          once never lies on both sides: a record with tree operations bounds it.
 * AHEAD-3  A reader skips what memtables have of the tree up to E: the mark of its LMDB snapshot
 *          has a list of the trees that are ahead of lo (snapshot_lo). Up to E they have no nodes
 *          of it (unread.c), nor does recovery make any (rebuild.c). For a cut there is no need of
 *          it: nobody reads the tree before its fold-end is executed.
 * AHEAD-4  Whoever dies on the way leaves a tree that is being built, with some of what was logged
 *          up to E in it. In its turn the applier folds the delta over that, which has the newest
 *          operation up to E of each key that any has touched since lo: for it is folded in before
 *          the log is read from lo on, and not again.
 */
#include "store/apply_impl.h"
#include "store/log.h"
#include "store/txn_impl.h"

struct ahead {
    struct store *s;
    uint64_t lsn; /* end of the record */
    bool hurry;
    struct fold_only trees[TREES_AHEAD_MAX];
    size_t count;
    /* Of fold-ends. */
    bool looked;
    bool deltas_are_folded; /* all in front of mark.lo is in the trees */
    struct trees_mark mark;
    struct fold fold;
    size_t poured; /* of its operations */
    bool done;
};

/* The tree that was cut again is in the list already. */
static void mark_forget(struct trees_mark *m, uint64_t tree)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->ahead_count; i++) {
        if (m->ahead[i].tree != tree && m->ahead[i].lsn > m->lo) {
            m->ahead[kept++] = m->ahead[i];
        }
    }
    m->ahead_count = kept;
}

static int too_many_trees(struct base_err *err)
{
    return base_err_set(err, INSTAR_ELIMIT, "too many trees to be executed before their turn");
}

static int execute(const struct ahead *a, struct trees_write *w, enum store_tree_op op,
                   uint64_t tree, struct base_err *err)
{
    struct record_op wanted = {.op = (uint8_t)(RECORD_TREE + op), .tree = tree};
    bool purge;
    return treeop_execute(w, &wanted, a->lsn, &purge, err);
}

static int begin(const struct ahead *a, bool creates, struct trees_write **w_out,
                 struct base_err *err)
{
    int rc =
        gate_enter(a->s, "execute a tree operation before its turn", trees_deadline(a->s), err);
    if (rc == 0) {
        rc = trees_write_begin(a->s->trees, creates, w_out, err);
        if (rc != 0) {
            gate_leave(a->s);
        }
    }
    return rc;
}

/* Commit when all went well so far and something was written, and leave the gate. */
static int end(const struct ahead *a, struct trees_write *w, int rc, bool written,
               struct base_err *err)
{
    struct trees_mark *m = trees_write_mark(w);
    if (rc == 0 && written) {
        m->hi = m->hi > a->lsn ? m->hi : a->lsn;
        os_point("ahead.written");
        rc = trees_write_commit(w, err);
    } else {
        trees_write_abort(w);
    }
    gate_leave(a->s);
    if (rc == 0 && written) {
        os_point("ahead.committed");
    }
    return rc;
}

/* ---- cuts ---------------------------------------------------------------------------------- */

/* A tree that does not exist is one whose creation waits in the log: had it been dropped and
 * removed, lo would be behind the drop, and the drop behind the cut. */
static int cut(const struct ahead *a, struct trees_write *w, uint64_t tree, struct base_err *err)
{
    struct trees_state state;
    int rc = trees_write_state(w, tree, &state, err);
    if (rc == INSTAR_ENOTFOUND) {
        rc = execute(a, w, STORE_TREE_CREATE, tree, err);
    }
    return rc == 0 ? execute(a, w, STORE_TREE_BEGIN_BUILD, tree, err) : rc;
}

/* What was dropped before the cut gives its pages to what is loaded behind it, if the applier comes
 * to it meanwhile. In a hurry the file grows rather. */
static void urge_drops(const struct ahead *a)
{
    uint64_t dropped = atomic_load_explicit(&a->s->ctl->dropped, memory_order_relaxed);
    if (!a->hurry && dropped > control_load(&a->s->ctl->lo)) {
        applier_urge(a->s, dropped < a->lsn ? dropped : a->lsn, STORE_URGE_CALM);
    }
}

static int cut_all(const struct ahead *a, struct base_err *err)
{
    struct trees_write *w;
    int rc = begin(a, true, &w, err);
    if (rc != 0) {
        return rc;
    }
    bool early = trees_write_mark(w)->lo < a->lsn;
    for (size_t i = 0; rc == 0 && early && i < a->count; i++) {
        rc = cut(a, w, a->trees[i].tree, err);
    }
    rc = end(a, w, rc, early, err);
    if (rc == 0) {
        urge_drops(a);
    }
    return rc;
}

/* ---- fold-ends ----------------------------------------------------------------------------- */

/* Is it still ours to do? *early_out false: the applier's turn has come and gone. */
static int look(struct ahead *a, struct trees_write *w, bool *early_out, struct base_err *err)
{
    const struct trees_mark *m = trees_write_mark(w);
    int rc = 0;
    *early_out = m->lo < a->lsn;
    for (size_t i = 0; rc == 0 && *early_out && i < a->count; i++) {
        struct trees_state st;
        rc = trees_write_state(w, a->trees[i].tree, &st, err);
        bool ours = rc == 0 && st.stage == TREES_BUILDING && st.cut < a->lsn &&
                    (!a->looked || st.cut == a->trees[i].cut);
        if ((rc == 0 || rc == INSTAR_ENOTFOUND) && !ours) {
            rc = base_err_set(err, INSTAR_EBUSY, "tree %llu is in other hands",
                              (unsigned long long)a->trees[i].tree);
        }
        a->trees[i].cut = st.cut;
    }
    if (rc == 0 && *early_out && m->ahead_count + a->count > TREES_AHEAD_MAX) {
        rc = too_many_trees(err);
    }
    a->looked = true;
    return rc;
}

/* Log that is gone is in the trees: the applier has been faster. */
static int overtaken(int rc, struct base_err *err)
{
    return rc == INSTAR_ENOTFOUND
               ? base_err_set(err, INSTAR_EBUSY, "the applier has come past a tree operation")
               : rc;
}

/* Read from the log what the applier has not folded yet. Not before the deltas are in the trees:
 * one of them may have had something newer than a part of the log, and be rid of it. */
static int collect(struct ahead *a, struct base_err *err)
{
    os_point("ahead.looked");
    a->fold.only = a->trees;
    a->fold.only_count = a->count;
    return overtaken(fold_collect_only(&a->fold, a->s, &a->mark, a->lsn, err), err);
}

/* The next part of the log, when one is in the trees. */
static int collect_more(struct ahead *a, struct base_err *err)
{
    a->poured = 0;
    return overtaken(fold_collect_more(&a->fold, a->lsn, err), err);
}

static int fold_deltas(struct ahead *a, struct trees_write *w, const struct pace *pace,
                       struct base_err *err)
{
    uint64_t left = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && left == 0 && i < a->count; i++) {
        rc = delta_fold(w, a->trees[i].tree, pace, &left, err);
    }
    a->deltas_are_folded = rc == 0 && left == 0;
    a->mark = *trees_write_mark(w);
    return rc;
}

static int finish(struct ahead *a, struct trees_write *w, struct base_err *err)
{
    struct trees_mark *m = trees_write_mark(w);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->count; i++) {
        uint64_t tree = a->trees[i].tree;
        rc = trees_write_clear(w, trees_delta(tree), err);
        rc = rc == 0 ? execute(a, w, STORE_TREE_FOLD_END, tree, err) : rc;
        mark_forget(m, tree);
        m->ahead[m->ahead_count++] = (struct trees_ahead){tree, a->lsn};
    }
    a->done = rc == 0;
    return rc;
}

static int pour(struct ahead *a, struct trees_write *w, const struct pace *pace,
                struct base_err *err)
{
    int rc = fold_pour(&a->fold, w, pace, &a->poured, err);
    bool all = a->poured == a->fold.count && a->fold.to == a->lsn;
    return rc == 0 && all ? finish(a, w, err) : rc;
}

/* An LMDB transaction of this work. */
static int turn(struct ahead *a,
                int (*work)(struct ahead *a, struct trees_write *w, const struct pace *pace,
                            struct base_err *err),
                struct base_err *err)
{
    struct trees_write *w;
    struct pace pace;
    bool early;
    int rc = begin(a, false, &w, err);
    if (rc != 0) {
        return rc;
    }
    pace_begin(a->s, a->hurry ? PACE_HURRY : PACE_BUILD, &pace);
    rc = look(a, w, &early, err);
    if (rc == 0 && early) {
        rc = work(a, w, &pace, err);
    }
    a->done = a->done || (rc == 0 && !early);
    rc = end(a, w, rc, early, err);
    if (rc == 0) {
        pace_pause(a->s, &pace);
    }
    return rc;
}

static int end_all(struct ahead *a, struct base_err *err)
{
    int rc = 0;
    while (rc == 0 && !a->done && !a->deltas_are_folded) {
        rc = turn(a, fold_deltas, err);
    }
    if (rc == 0 && !a->done) {
        rc = collect(a, err);
    }
    while (rc == 0 && !a->done) {
        rc = turn(a, pour, err);
        if (rc == 0 && !a->done && a->poured == a->fold.count) {
            rc = collect_more(a, err);
        }
    }
    fold_free(&a->fold);
    return rc;
}

/* ---- both ---------------------------------------------------------------------------------- */

int store_txn_execute_ahead(struct store_txn *t, uint64_t lsn, bool hurry, struct base_err *err)
{
    struct ahead a = {.s = t->s, .lsn = lsn, .hurry = hurry, .count = t->tree_op_count};
    base_assert(lsn <= store_durable(t->s));
    if (a.count == 0 || a.count > TREES_AHEAD_MAX) {
        return too_many_trees(err);
    }
    for (size_t i = 0; i < a.count; i++) {
        base_assert(t->tree_ops[i].op == t->tree_ops[0].op);
        a.trees[i].tree = t->tree_ops[i].tree;
    }
    base_assert(t->tree_ops[0].op == STORE_TREE_BEGIN_BUILD ||
                t->tree_ops[0].op == STORE_TREE_FOLD_END);
    return t->tree_ops[0].op == STORE_TREE_BEGIN_BUILD ? cut_all(&a, err) : end_all(&a, err);
}
