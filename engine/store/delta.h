/* SPDX-License-Identifier: Apache-2.0 */
/* delta: what happened to a tree while it was being built, one entry a key: put or delete. */
#ifndef INSTAR_STORE_DELTA_H
#define INSTAR_STORE_DELTA_H

#include "store/pace.h"
#include "store/trees.h"

/* Set the entry of a key in a delta. */
int delta_put(struct trees_cursor *delta, struct base_slice key, bool deleted,
              struct base_slice value, struct base_err *err);
/* Move entries, in key order, from the delta of `tree` into the tree, until the pace says full;
 * NULL: all of them. *left_out: how many are left. */
int delta_fold(struct trees_write *w, uint64_t tree, const struct pace *pace, uint64_t *left_out,
               struct base_err *err);

#endif
