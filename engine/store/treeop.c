/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on whole trees, executed by the applier in the order of the log. When one is executed,
 * all before it is folded, and it ends its own LMDB transaction with lo behind it: so a reader's
 * LMDB snapshot is either wholly before or wholly after it. A build's may be executed before their
 * turn (ahead.c).
 *
 *             create              begin-build                fold-end
 *   (unknown) -------> LIVE ----------------------> BUILDING ----------> LIVE
 *                       |                            |  ^ |
 *                       |                            |  +-+ begin-build: a new cut
 *                       +------------ drop ----------+
 *                                      |
 *                                      v     purge.c             purge.c
 *                                     DEAD ----------> EMPTIED ----------> (unknown)
 *
 * An operation that does not fit the state (a tree unknown or dead) is skipped: it was overtaken by
 * a drop. A begin-build on an unknown tree therefore makes nothing. One from before the tree's last
 * change is skipped too: it was overtaken by one that came before its turn.
 */
#include "store/apply_impl.h"

#include "store/admit.h"

static int set_stage(struct trees_write *w, uint64_t tree, struct trees_state *st,
                     enum trees_stage stage, uint64_t lsn, struct base_err *err)
{
    st->stage = stage;
    st->changed = lsn;
    return trees_write_state_set(w, tree, st, err);
}

static int create(struct trees_write *w, uint64_t tree, uint64_t lsn, struct base_err *err)
{
    struct trees_state st = {0};
    int rc = trees_write_create(w, trees_data(tree), err);
    return rc == 0 ? set_stage(w, tree, &st, TREES_LIVE, lsn, err) : rc;
}

static int clear_progress(struct trees_write *w, uint64_t tree, struct base_err *err)
{
    char name[TREES_META_MAX];
    trees_progress_name(name, tree);
    return trees_write_meta_set(w, name, base_slice(NULL, 0), err);
}

/* The cut: what was in the tree, its delta, and what runners have noted, is void. */
static int begin_build(struct trees_write *w, uint64_t tree, struct trees_state *st, uint64_t lsn,
                       struct base_err *err)
{
    int rc = trees_write_clear(w, trees_data(tree), err);
    if (rc == 0) {
        rc = st->delta ? trees_write_clear(w, trees_delta(tree), err)
                       : trees_write_create(w, trees_delta(tree), err);
    }
    if (rc == 0) {
        rc = clear_progress(w, tree, err);
    }
    st->delta = true;
    st->cut = lsn;
    st->token = 0;
    return rc == 0 ? set_stage(w, tree, st, TREES_BUILDING, lsn, err) : rc;
}

static int fold_end(struct trees_write *w, uint64_t tree, struct trees_state *st, uint64_t lsn,
                    struct base_err *err)
{
    uint64_t left;
    int rc = delta_fold(w, tree, NULL, &left, err);
    if (rc == 0) {
        rc = clear_progress(w, tree, err);
    }
    return rc == 0 ? set_stage(w, tree, st, TREES_LIVE, lsn, err) : rc;
}

/* Small trees are emptied on the spot, larger ones later, in turns of their own. */
static int drop(struct trees_write *w, uint64_t tree, struct trees_state *st, uint64_t lsn,
                bool *purge_out, struct base_err *err)
{
    struct trees_stat data = {0};
    struct trees_stat delta = {0};
    int rc = trees_write_stat(w, trees_data(tree), &data, err);
    if (rc == 0 && st->delta) {
        rc = trees_write_stat(w, trees_delta(tree), &delta, err);
    }
    if (rc == 0) {
        rc = clear_progress(w, tree, err);
    }
    bool small = purge_cost(&data) + purge_cost(&delta) <= purge_pages_at_once;
    if (rc == 0 && small) {
        rc = trees_write_clear(w, trees_data(tree), err);
        if (rc == 0 && st->delta) {
            rc = trees_write_clear(w, trees_delta(tree), err);
        }
    }
    *purge_out = true; /* the name, at least */
    return rc == 0 ? set_stage(w, tree, st, small ? TREES_EMPTIED : TREES_DEAD, lsn, err) : rc;
}

int treeop_execute(struct trees_write *w, const struct record_op *op, uint64_t lsn, bool *purge_out,
                   struct base_err *err)
{
    struct trees_state st;
    int rc = trees_write_state(w, op->tree, &st, err);
    int kind = op->op - RECORD_TREE;
    if (rc != 0 && rc != INSTAR_ENOTFOUND) {
        return rc;
    }
    if (rc == INSTAR_ENOTFOUND) {
        return kind == STORE_TREE_CREATE ? create(w, op->tree, lsn, err) : 0;
    }
    bool gone = st.stage != TREES_LIVE && st.stage != TREES_BUILDING;
    bool is_ahead = lsn < st.changed || (kind == STORE_TREE_BEGIN_BUILD && lsn == st.cut);
    if (gone || is_ahead) {
        return 0;
    }
    switch (kind) {
    case STORE_TREE_BEGIN_BUILD:
        return begin_build(w, op->tree, &st, lsn, err);
    case STORE_TREE_FOLD_END:
        return st.stage == TREES_BUILDING ? fold_end(w, op->tree, &st, lsn, err) : 0;
    case STORE_TREE_DROP:
        return drop(w, op->tree, &st, lsn, purge_out, err);
    default:
        return 0;
    }
}

static int execute_all(const struct fold *f, struct trees_write *w, bool *purge_out,
                       struct base_err *err)
{
    struct base_reader body = base_reader(f->body);
    struct fold_target target = {0};
    struct record_op op;
    int rc;
    while ((rc = record_body_next(&body, &op, err)) == 0) {
        if (op.op >= RECORD_TREE) {
            fold_target_close(&target);
            rc = treeop_execute(w, &op, f->to, purge_out, err);
        } else {
            rc = fold_target_set(&target, w, op.tree, f, err);
            if (rc == 0) {
                rc = fold_target_write(&target, op.key, op.op == RECORD_DELETE, op.value, err);
            }
        }
        if (rc != 0) {
            break;
        }
    }
    fold_target_close(&target);
    return rc == INSTAR_END ? 0 : rc;
}

/* How far a delta is folded whose tree's build ends. */
struct ending {
    uint64_t had, left;
    uint64_t worked_ns;
};

/* One turn: as much of the delta as the pace allows. */
static int fold_turn(struct trees_write *w, uint64_t tree, const struct pace *pace,
                     struct ending *e, struct base_err *err)
{
    struct trees_stat delta;
    int rc = 0;
    if (e->had == 0) {
        rc = trees_write_stat(w, trees_delta(tree), &delta, err);
        e->had = rc == 0 ? delta.entries : 0;
    }
    return rc == 0 ? delta_fold(w, tree, pace, &e->left, err) : rc;
}

/* Entries are folded in the order of their keys, so each part takes about as long as the others. */
static uint64_t time_left(const struct ending *e)
{
    return e->left < e->had ? e->worked_ns / (e->had - e->left) * e->left : 0;
}

/* Shorten the delta of a tree whose build ends, in turns, so that the last step is short. */
static int fold_ahead(const struct fold *f, uint64_t tree, struct base_err *err)
{
    struct ending e = {.left = 1};
    while (e.left != 0) {
        struct trees_write *w;
        struct trees_state st;
        struct pace pace;
        int rc = gate_enter(f->s, "fold a delta", trees_deadline(f->s), err);
        if (rc != 0) {
            return rc;
        }
        rc = trees_write_begin(f->s->trees, false, &w, err);
        if (rc != 0) {
            gate_leave(f->s);
            return rc;
        }
        fold_pace_begin(f, false, &pace);
        rc = trees_write_state(w, tree, &st, err);
        if (rc == INSTAR_ENOTFOUND || (rc == 0 && st.stage != TREES_BUILDING)) {
            trees_write_abort(w);
            gate_leave(f->s);
            return 0;
        }
        if (rc == 0) {
            rc = fold_turn(w, tree, &pace, &e, err);
        }
        if (rc == 0) {
            rc = trees_write_commit(w, err);
        } else {
            trees_write_abort(w);
        }
        gate_leave(f->s);
        if (rc != 0) {
            return rc;
        }
        e.worked_ns += os_now_ns() - pace.began_ns;
        admit_held_up(f->s, f->from, time_left(&e));
        os_point("apply.delta_folded");
        pace_pause(f->s, &pace);
    }
    return 0;
}

static int fold_ahead_all(const struct fold *f, struct base_err *err)
{
    struct base_reader body = base_reader(f->body);
    struct record_op op;
    int rc;
    while ((rc = record_body_next(&body, &op, err)) == 0) {
        if (op.op == RECORD_TREE + STORE_TREE_FOLD_END) {
            rc = fold_ahead(f, op.tree, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return rc == INSTAR_END ? 0 : rc;
}

int treeop_apply(const struct fold *f, struct trees_mark *mark, bool *purge_out,
                 struct base_err *err)
{
    struct trees_write *w;
    int rc = fold_ahead_all(f, err);
    if (rc != 0) {
        return rc;
    }
    rc = gate_enter(f->s, "execute a tree operation", trees_deadline(f->s), err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_write_begin(f->s->trees, true, &w, err);
    if (rc == 0) {
        struct trees_mark *m = trees_write_mark(w);
        base_assert(m->lo == f->from);
        rc = execute_all(f, w, purge_out, err);
        m->lo = f->to;
        m->hi = m->hi > f->to ? m->hi : f->to;
        m->chain = f->chain;
        struct trees_mark written = *m;
        os_point("apply.tree_op");
        if (rc == 0) {
            rc = trees_write_commit(w, err);
        } else {
            trees_write_abort(w);
        }
        if (rc == 0) {
            os_point("apply.tree_op_committed");
            *mark = written;
        }
    }
    gate_leave(f->s);
    if (rc == 0) {
        control_set_applied(f->s, mark->lo);
    }
    return rc;
}
