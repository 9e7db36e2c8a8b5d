/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot: the trees as of one LSN: an LMDB read transaction, and the memtables that cover what
 * LMDB does not have yet. */
#ifndef INSTAR_STORE_SNAPSHOT_H
#define INSTAR_STORE_SNAPSHOT_H

#include "store/trees.h"

struct snapshot {
    struct trees_read *read; /* NULL: not taken */
    uint64_t lsn;
    struct segment_pins pins; /* cover (lo of LMDB, lsn]; none when nothing is pending */
};

/* At lsn, or later when LMDB is already beyond it. Nothing was read before. */
int snapshot_take(struct store *s, uint64_t lsn, struct snapshot *snap_out, struct base_err *err);
/* What the memtables have of a tree up to here does not count: LMDB has it. */
static inline uint64_t snapshot_lo(const struct snapshot *snap, uint64_t tree)
{
    return trees_mark_lo(trees_read_mark(snap->read), tree);
}
void snapshot_release(struct store *s, struct snapshot *snap);
/* The newest version of a key: ENOTFOUND when there is none or it is a delete. */
int snapshot_get(struct store *s, const struct snapshot *snap, uint64_t tree, struct base_slice key,
                 struct base_slice *value_out, struct base_err *err);

#endif
