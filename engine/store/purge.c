/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of dropped trees. A dead tree that is too large for one turn of the gate is emptied
 * from its front, turn by turn, outside the applier's order; readers of older LMDB snapshots still
 * see it whole. The name goes later: LMDB's call for that also closes the handle, and a transaction
 * of the same process that has not yet touched the tree would then silently find it empty. So names
 * go when no LMDB transaction lives in the process, or when the store is next opened by one process
 * alone.
 */
#include "store/apply_impl.h"

#define CHECK_EVERY 64
#define NAMES_AT_ONCE 64
#define NAMES_RETRY_NS ((uint64_t)1000000000)

#define OVERFLOW_COST 8
/* LMDB takes 0.07 to 0.09 us a page for what it does at once, and its commit half of that. */
uint64_t purge_pages_at_once = (uint64_t)256 << 10;

uint64_t purge_cost(const struct trees_stat *tree)
{
    return tree->pages * (tree->overflow_pages != 0 ? OVERFLOW_COST : 1);
}

struct dead {
    uint64_t tree;
    struct trees_state state;
    bool found;
    bool emptied; /* a name to be removed */
};

/* The first dead tree. */
static int find_dead(struct store *s, struct dead *d, struct base_err *err)
{
    struct trees_read *read;
    struct trees_cursor *cursor;
    *d = (struct dead){0};
    int rc = trees_read_begin(s->trees, &read, err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_cursor_open_main(read, &cursor, err);
    if (rc == 0) {
        struct base_slice key = base_slice("!s", 2);
        struct base_slice value;
        uint64_t tree;
        rc = trees_cursor_move(cursor, TREES_AT_LEAST, &key, &value, err);
        while (rc == 0 && !d->found && trees_state_id(key, &tree)) {
            struct trees_state st;
            rc = trees_state_decode(value, tree, &st, err);
            if (rc == 0 && st.stage == TREES_DEAD) {
                d->found = true;
                d->tree = tree;
                d->state = st;
            }
            d->emptied |= rc == 0 && st.stage == TREES_EMPTIED;
            if (rc == 0) {
                rc = trees_cursor_move(cursor, TREES_NEXT, &key, &value, err);
            }
        }
        trees_cursor_close(cursor);
        rc = rc == INSTAR_END ? 0 : rc;
    }
    trees_read_end(s->trees, read);
    return rc;
}

/* Empty one named tree, at once or from its front. *done_out: nothing is left in it. */
static int empty(struct trees_write *w, uint64_t tree, const struct pace *pace, bool *done_out,
                 struct base_err *err)
{
    struct trees_stat st;
    struct trees_cursor *c;
    struct base_slice key;
    struct base_slice value;
    *done_out = false;
    int rc = trees_write_stat(w, tree, &st, err);
    if (rc != 0) {
        return rc;
    }
    if (purge_cost(&st) <= purge_pages_at_once) {
        *done_out = true;
        return st.pages != 0 ? trees_write_clear(w, tree, err) : 0;
    }
    rc = trees_write_cursor(w, tree, &c, err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_cursor_move(c, TREES_FIRST, &key, &value, err);
    for (unsigned n = 1; rc == 0; n++) {
        rc = trees_cursor_delete_here(c, err);
        if (rc == 0 && n % CHECK_EVERY == 0 && pace_full(pace, trees_write_bytes(w))) {
            break;
        }
        if (rc == 0) {
            rc = trees_cursor_move(c, TREES_NEXT, &key, &value, err);
        }
    }
    trees_cursor_close(c);
    return rc == INSTAR_END ? 0 : rc;
}

static int empty_some(struct store *s, const struct dead *d, const struct pace *pace,
                      struct base_err *err)
{
    struct trees_write *w;
    struct trees_state st;
    bool done = false;
    int rc = trees_write_begin(s->trees, false, &w, err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_write_state(w, d->tree, &st, err);
    if (rc == 0 && st.stage == TREES_DEAD) {
        rc = empty(w, trees_data(d->tree), pace, &done, err);
        if (rc == 0 && done && st.delta && !pace_full(pace, trees_write_bytes(w))) {
            rc = empty(w, trees_delta(d->tree), pace, &done, err);
        } else {
            done &= !st.delta;
        }
        if (rc == 0 && done) {
            st.stage = TREES_EMPTIED;
            rc = trees_write_state_set(w, d->tree, &st, err);
        }
    }
    if (rc != 0) {
        trees_write_abort(w);
        return rc;
    }
    os_point("purge.batch_written");
    return trees_write_commit(w, err);
}

int purge_step(struct store *s, uint64_t wait_ns, uint64_t *again_ns_out, struct base_err *err)
{
    struct dead d;
    struct pace pace;
    bool left = true;
    *again_ns_out = UINT64_MAX;
    int rc = find_dead(s, &d, err);
    if (rc != 0 || (!d.found && !d.emptied)) {
        return rc;
    }
    *again_ns_out = NAMES_RETRY_NS;
    rc = gate_enter(s, "purge", trees_deadline(s), err);
    if (rc != 0) {
        return rc;
    }
    pace_begin(s, PACE_POLITE, &pace);
    if (d.found) {
        rc = empty_some(s, &d, &pace, err);
    } else {
        rc = trees_names_remove(s, NAMES_AT_ONCE, wait_ns, &left, err);
    }
    gate_leave(s);
    if (rc == 0 && left) {
        *again_ns_out = 0;
    }
    pace_pause(s, &pace);
    return rc;
}
