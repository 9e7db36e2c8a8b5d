/* SPDX-License-Identifier: Apache-2.0 */
/* What apply.c, fold.c, treeop.c, ahead.c and purge.c share: the work of the applier. */
#ifndef INSTAR_STORE_APPLY_IMPL_H
#define INSTAR_STORE_APPLY_IMPL_H

#include "store/delta.h"
#include "store/pace.h"
#include "store/trees.h"

/* One operation of the log, small enough that a segment's fit in memory. */
struct fold_op {
    uint64_t tree;
    uint64_t prefix;    /* first eight bytes of the key, big-endian */
    const uint8_t *key; /* in the segment's map; the value is behind it */
    uint32_t order;     /* of two operations on one key the later one counts */
    uint16_t key_size;
    bool deleted;
};

/* Of one tree alone, what was logged after its cut. */
struct fold_only {
    uint64_t tree, cut;
};

/* 48 MiB of fold_op; a segment of tiny records takes several folds. */
#define FOLD_OPS_MAX ((size_t)3 << 19)

/* A part of the log, (from, to], of at most fold_segments() segments, sorted by tree and key. */
struct fold {
    struct store *s;
    struct segment_pins pins;
    struct fold_op *ops;
    size_t count, size;
    uint64_t from, to;
    uint64_t chain;               /* at to */
    bool has_tree_op;             /* the first record holds tree operations: it is alone */
    struct base_slice body;       /* of that record */
    uint64_t worked_ns;           /* what it has taken, without pauses */
    const struct fold_only *only; /* NULL: all trees; else these, past their deltas (ahead.c) */
    size_t only_count;
};

/* So many segments are folded together, when so many are full: one where room is short, so that its
 * log is given back before the next takes pages, and the room is looked at again. */
uint64_t fold_segments(const struct store *s);
/* Gather from the mark on, up to limit, to the end of these segments, or to a record with tree
 * operations. to == from: there is nothing. */
int fold_collect(struct fold *f, struct store *s, const struct trees_mark *mark, uint64_t limit,
                 struct base_err *err);
/* The same for some trees: f->only is set, and all log up to limit is pinned. Where f->to is not
 * limit on return 0 there is more of it, to be gathered when this part is written. */
int fold_collect_only(struct fold *f, struct store *s, const struct trees_mark *mark,
                      uint64_t limit, struct base_err *err);
int fold_collect_more(struct fold *f, uint64_t limit, struct base_err *err);
/* Write operations from *at on, until the pace says full. */
int fold_pour(const struct fold *f, struct trees_write *w, const struct pace *pace, size_t *at,
              struct base_err *err);
void fold_done(struct fold *f); /* zero-initialise once; keeps room for a small one */
void fold_free(struct fold *f);
/* Write it to the trees, in several LMDB transactions. On return 0 *mark is the new position.
 * small: little at a time. */
int fold_apply(struct fold *f, bool small, struct trees_mark *mark, struct base_err *err);

/* A turn of this fold begins. Who waits for it is asked for each: they may have come just now. */
void fold_pace_begin(const struct fold *f, bool small, struct pace *p);
/* Are commits about to wait for the applier, which has folded up to lo? */
bool fold_behind(const struct store *s, uint64_t lo);

/* Where operations on a tree go, within one LMDB transaction. Zero-initialise, close at its end. */
struct fold_target {
    uint64_t tree;
    bool known; /* tree was looked up */
    bool delta;
    struct trees_cursor *to; /* NULL: its operations are skipped */
};
/* f: the operation is one of it. */
int fold_target_set(struct fold_target *t, struct trees_write *w, uint64_t tree,
                    const struct fold *f, struct base_err *err);
int fold_target_write(struct fold_target *t, struct base_slice key, bool deleted,
                      struct base_slice value, struct base_err *err);
void fold_target_close(struct fold_target *t);

/* Execute the tree operation of a record that ends at lsn. What the tree's state has overtaken is
 * skipped. *purge_out: as below. */
int treeop_execute(struct trees_write *w, const struct record_op *op, uint64_t lsn, bool *purge_out,
                   struct base_err *err);
/* Execute a record with tree operations, and its other operations after them. *purge_out: there is
 * a dead tree to be emptied. */
int treeop_apply(const struct fold *f, struct trees_mark *mark, bool *purge_out,
                 struct base_err *err);

/* Empty a bounded part of a dead tree, or remove names of emptied ones, waiting up to wait_ns for
 * this process's LMDB transactions to end. *again_ns_out: how long until there may be more to do;
 * UINT64_MAX: not before the next drop. */
int purge_step(struct store *s, uint64_t wait_ns, uint64_t *again_ns_out, struct base_err *err);
/* Pages that one turn may free; a test may set it lower. To empty a tree at once LMDB looks at its
 * branch pages alone; where some values have pages of their own, at all leaves, which may have to
 * be read from the disk: purge_cost counts each page of such a tree as some. */
extern uint64_t purge_pages_at_once;
uint64_t purge_cost(const struct trees_stat *tree);

#endif
