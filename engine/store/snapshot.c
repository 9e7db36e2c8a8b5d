/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a snapshot, in an order that matters:
 *
 *   1. S is loaded (the caller has it)
 *   2. the LMDB read transaction begins
 *   3. lo and hi are read inside it; S = max(S, hi): LMDB may be newer than S was, never older
 *   4. the memtables that cover (lo, S] are pinned; one that is gone has been folded into a newer
 * LMDB state than ours: start again
 *   5. every tree of that LMDB state has its handle (trees_read_begin sees to it)
 *
 * All of it before anything is read. Then the newest version in (lo, S] wins: a memtable's before
 * an older one's; else LMDB's. LMDB may hold part of (lo, hi]; since S >= hi, the memtables give
 * the same or something newer for each key that it may have. What a memtable has up to lo, or up
 * to where its tree is ahead of lo, is skipped, not only for speed: a tree that was loaded past the
 * log holds keys that the log knows nothing of, or last knew as deleted before the cut.
 */
#include "store/snapshot.h"

#define TAKE_TRIES 1000
#define TAKE_TRIES_AT_ONCE 16

int snapshot_take(struct store *s, uint64_t lsn, struct snapshot *snap_out, struct base_err *err)
{
    struct snapshot *snap = snap_out;
    snap->read = NULL;
    snap->pins.count = 0;
    for (int tries = 0; tries < TAKE_TRIES; tries++) {
        int rc = trees_read_begin(s->trees, &snap->read, err);
        if (rc != 0) {
            return rc;
        }
        os_point("snapshot.trees_begun");
        const struct trees_mark *mark = trees_read_mark(snap->read);
        snap->lsn = lsn > mark->hi ? lsn : mark->hi;
        if (mark->lo == snap->lsn) {
            return 0;
        }
        os_point("snapshot.begun");
        rc = segment_pin_range(s, mark->lo, snap->lsn, &snap->pins, err);
        if (rc == 0) {
            return 0;
        }
        trees_read_end(s->trees, snap->read);
        snap->read = NULL;
        snap->pins.count = 0;
        if (rc != INSTAR_ENOTFOUND) {
            return rc;
        }
        if (tries > TAKE_TRIES_AT_ONCE) {
            os_sleep_ns(1000000);
        }
    }
    return base_err_set(err, INSTAR_EBUSY,
                        "the log is folded faster than a snapshot can be taken of it");
}

void snapshot_release(struct store *s, struct snapshot *snap)
{
    if (snap->read != NULL) {
        if (snap->pins.count != 0) {
            segment_unpin(s, &snap->pins);
            snap->pins.count = 0;
        }
        trees_read_end(s->trees, snap->read);
        snap->read = NULL;
    }
}

int snapshot_get(struct store *s, const struct snapshot *snap, uint64_t tree, struct base_slice key,
                 struct base_slice *value_out, struct base_err *err)
{
    if (snap->pins.count > 1) {
        uint64_t hash = memtable_key_hash(tree, key);
        for (size_t i = 0; i < snap->pins.count; i++) {
            memtable_fetch(snap->pins.seg[i], hash);
        }
    }
    for (size_t i = snap->pins.count; i > 0; i--) {
        struct memtable_hit hit;
        int rc = memtable_get(snap->pins.seg[i - 1], tree, key, snap->lsn, &hit);
        if (rc == 0 && hit.lsn <= snapshot_lo(snap, tree)) {
            break; /* and so are all older ones */
        }
        if (rc == 0) {
            *value_out = hit.deleted ? base_slice(NULL, 0) : hit.value;
            return hit.deleted ? INSTAR_ENOTFOUND : 0;
        }
        if (rc != INSTAR_ENOTFOUND) {
            store_poison_damaged(s, "a memtable's link leads nowhere");
            *value_out = base_slice(NULL, 0);
            return base_err_set(err, rc, "a memtable's link leads nowhere");
        }
    }
    return trees_read_get(snap->read, trees_data(tree), key, value_out, err);
}
