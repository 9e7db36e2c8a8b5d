/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readset: what a transaction has read and must find unchanged when it commits: single keys, as
 * hashes, and ranges of keys. It may grow to a bound; beyond that it stands for more than was read
 * (whole trees), which can only cause a conflict that was none.
 */
#ifndef INSTAR_STORE_READSET_H
#define INSTAR_STORE_READSET_H

#include "base/base.h"

/* [lower, upper), or [lower, upper] when `closed`; upper.data NULL: to the end of the tree. */
struct readset_range {
    uint64_t tree;
    struct base_slice lower;
    struct base_slice upper;
    bool closed;
};

struct readset {
    uint64_t *points; /* hash table of hashes, 0: free */
    size_t points_size, point_count;
    struct readset_range *ranges;
    size_t ranges_size, range_count;
    size_t sorted;   /* ranges before this one are sorted, and none touches another */
    uint64_t *trees; /* that points were read in */
    size_t trees_size, tree_count;
    struct base_arena keys;
    uint64_t filter; /* bit by hash of the tree: nothing was read in trees whose bit is not set */
    bool all;        /* memory ran out, something is missing: everything is a hit */
};

void readset_reset(struct readset *rs); /* zero-initialise first */
void readset_free(struct readset *rs);
int readset_add_point(struct readset *rs, uint64_t tree, struct base_slice key,
                      struct base_err *err);
/* Keys are copied. When this fails, everything counts as read. */
int readset_add_range(struct readset *rs, const struct readset_range *range, struct base_err *err);
/* Sort what was added: before readset_hit. */
void readset_prepare(struct readset *rs);
bool readset_hit(const struct readset *rs, uint64_t tree, struct base_slice key);

#endif
