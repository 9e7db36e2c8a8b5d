/* SPDX-License-Identifier: Apache-2.0 */
/* What txn.c and cursor.c share: a transaction. */
#ifndef INSTAR_STORE_TXN_IMPL_H
#define INSTAR_STORE_TXN_IMPL_H

#include "store/readset.h"
#include "store/snapshot.h"
#include "store/writeset.h"

#define TXN_TREE_OPS_MAX                                                    \
    272 /* a table with all the indexes that it may have is dropped at once \
         */

struct store_txn {
    struct store *s;
    unsigned flags; /* enum store_txn_flag */
    bool has_reads;
    uint32_t cursors; /* open ones */
    uint64_t turn;    /* ticket of turn_take, 0: none */
    struct snapshot snap;
    struct writeset writes;
    struct readset reads;
    struct {
        uint8_t op; /* enum store_tree_op */
        uint64_t tree;
    } tree_ops[TXN_TREE_OPS_MAX];
    size_t tree_op_count;
    struct base_buf body;
    struct store_cursor *idle_cursors;
    /* In s->writers, sorted by snapshot, the oldest first. */
    uint64_t published; /* the snapshot it is sorted by */
    struct store_txn *older, *newer;
    struct store_txn *next_idle;
};

/* Must a read of this kind be found unchanged at commit? */
static inline bool txn_tracks(const struct store_txn *t, enum store_read how)
{
    return (t->flags & STORE_TXN_READONLY) == 0 && how != STORE_READ_UNTRACKED &&
           (how == STORE_READ_PROBE || (t->flags & STORE_TXN_SNAPSHOT) == 0);
}
/* 0, or EINVALID: no tree has such a key. */
int txn_check_key(struct base_slice key, struct base_err *err);
void cursor_free_idle(struct store_txn *t);

#endif
