/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While a tree is loaded past the log, the operations that come through the log go to its delta, so
 * that nothing old that is loaded later can overwrite something new. A delete is an entry there,
 * not an absence: it must still remove what the load brings.
 *
 * An entry is `kind (1: put, 2: delete) | value`. A newer operation replaces the older entry of its
 * key. Folding moves an entry and removes it in the same LMDB transaction, so an operation that
 * comes after that is again newer than what is in the tree.
 */
#include "store/delta.h"

#define DELTA_PUT 1
#define DELTA_DELETE 2
#define CHECK_EVERY 32

int delta_put(struct trees_cursor *delta, struct base_slice key, bool deleted,
              struct base_slice value, struct base_err *err)
{
    uint8_t kind = deleted ? DELTA_DELETE : DELTA_PUT;
    return trees_cursor_put(delta, key, base_slice(&kind, 1), value, err);
}

static int fold_entry(struct trees_cursor *tree, struct base_slice key, struct base_slice entry,
                      struct base_err *err)
{
    const uint8_t *at = entry.data;
    if (entry.size == 0 || (at[0] != DELTA_PUT && at[0] != DELTA_DELETE)) {
        return base_err_set(err, INSTAR_ECORRUPT, "data.mdb: a delta entry is unreadable");
    }
    if (at[0] == DELTA_DELETE) {
        int rc = trees_cursor_delete(tree, key, err);
        return rc == INSTAR_ENOTFOUND ? 0 : rc;
    }
    return trees_cursor_put(tree, key, base_slice(NULL, 0), base_slice(at + 1, entry.size - 1),
                            err);
}

int delta_fold(struct trees_write *w, uint64_t tree, const struct pace *pace, uint64_t *left_out,
               struct base_err *err)
{
    struct trees_cursor *from = NULL;
    struct trees_cursor *to = NULL;
    struct base_slice key;
    struct base_slice entry;
    struct trees_stat st = {0};
    *left_out = 0;
    int rc = trees_write_cursor(w, trees_delta(tree), &from, err);
    if (rc == 0) {
        rc = trees_write_cursor(w, trees_data(tree), &to, err);
    }
    if (rc == 0) {
        rc = trees_cursor_move(from, TREES_FIRST, &key, &entry, err);
    }
    for (unsigned n = 1; rc == 0; n++) {
        rc = fold_entry(to, key, entry, err);
        if (rc == 0) {
            rc = trees_cursor_delete_here(from, err);
        }
        if (rc == 0 && pace != NULL && n % CHECK_EVERY == 0 &&
            pace_full(pace, trees_write_bytes(w))) {
            break;
        }
        if (rc == 0) {
            rc = trees_cursor_move(from, TREES_NEXT, &key, &entry, err);
        }
    }
    rc = rc == INSTAR_END ? 0 : rc;
    trees_cursor_close(from);
    trees_cursor_close(to);
    if (rc == 0) {
        rc = trees_write_stat(w, trees_delta(tree), &st, err);
        *left_out = st.entries;
    }
    return rc;
}
