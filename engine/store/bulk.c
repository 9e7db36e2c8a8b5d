/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a tree past the log, between BEGIN_BUILD and FOLD_END: sorted appends, one LMDB
 * transaction a batch, through the gate. The log stays out of it: what is loaded is made from rows
 * that the log has, and a crash only loses batches that the checkpoint, in the same transaction,
 * does not name.
 *
 * A runner's token is checked inside each of these transactions. A runner that was stopped and
 * wakes up after another one went on finds a newer token, or none, or a tree that is built no more:
 * ESTATE, and nothing of it is written.
 */
#include "store/control.h"
#include "store/delta.h"
#include "store/pace.h"
#include "store/trees.h"

#include <string.h>

#define PROGRESS_MAX ((size_t)64 << 10)

/* One passage of the gate, with an LMDB transaction in which the build is ours. */
struct passage {
    struct store *s;
    uint64_t tree;
    uint64_t token;
    bool hurry;
    struct trees_write *w;
    struct trees_state state;
    struct pace pace;
};

struct store_bulk {
    struct passage p;
    struct trees_cursor *to;
    uint64_t appended;
    int failed; /* an LMDB error: the batch cannot be committed */
};

static int check_token(struct passage *p, bool claim, struct base_err *err)
{
    int rc = trees_write_state(p->w, p->tree, &p->state, err);
    if (rc == INSTAR_ENOTFOUND || (rc == 0 && p->state.stage != TREES_BUILDING)) {
        return base_err_set(err, INSTAR_ESTATE, "tree %llu is not being built",
                            (unsigned long long)p->tree);
    }
    if (rc == 0 && (claim ? p->state.token > p->token : p->state.token != p->token)) {
        return base_err_set(err, INSTAR_ESTATE, "the build of tree %llu is in other hands",
                            (unsigned long long)p->tree);
    }
    return rc;
}

/* Enter the gate, begin, and see that the tree is being built under this token, or, to claim it,
 * under an older one. s, tree and token are set. On an error nothing is held. */
static int enter(struct passage *p, bool claim, struct base_err *err)
{
    if (p->tree > TREES_ID_MAX || p->token == 0) {
        return base_err_set(err, INSTAR_EINVALID, "build of tree %llu with token %llu",
                            (unsigned long long)p->tree, (unsigned long long)p->token);
    }
    int rc = gate_enter(p->s, "build a tree", trees_deadline(p->s), err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_write_begin(p->s->trees, false, &p->w, err);
    if (rc != 0) {
        gate_leave(p->s);
        return rc;
    }
    pace_begin(p->s, p->hurry ? PACE_HURRY : PACE_BUILD, &p->pace);
    rc = check_token(p, claim, err);
    if (rc != 0) {
        trees_write_abort(p->w);
        gate_leave(p->s);
    }
    return rc;
}

/* Commit when all went well so far, and leave the gate. */
static int leave(struct passage *p, int rc, struct base_err *err)
{
    if (rc == 0) {
        rc = trees_write_commit(p->w, err);
    } else {
        trees_write_abort(p->w);
    }
    gate_leave(p->s);
    return rc;
}

int store_build_claim(struct store *s, uint64_t tree, uint64_t token, struct base_err *err)
{
    struct passage p = {.s = s, .tree = tree, .token = token};
    int rc = enter(&p, true, err);
    if (rc != 0) {
        return rc;
    }
    p.state.token = token;
    return leave(&p, trees_write_state_set(p.w, tree, &p.state, err), err);
}

int store_bulk_begin(struct store *s, uint64_t tree, uint64_t token, bool hurry,
                     struct store_bulk **bulk_out, struct base_err *err)
{
    *bulk_out = NULL;
    if (atomic_load(&s->ctl->map_tight) != 0) {
        return base_err_set(err, INSTAR_EMAPFULL, "data.mdb is nearly as large as map_bytes");
    }
    struct store_bulk *b = base_alloc_zero(1, sizeof *b);
    if (b == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a bulk load");
    }
    b->p = (struct passage){.s = s, .tree = tree, .token = token, .hurry = hurry};
    int rc = enter(&b->p, false, err);
    if (rc != 0) {
        base_free(b);
        return rc;
    }
    rc = trees_write_cursor(b->p.w, trees_data(tree), &b->to, err);
    if (rc != 0) {
        store_bulk_abort(b);
        return rc;
    }
    *bulk_out = b;
    return 0;
}

uint64_t store_entry_hash(struct base_slice key, struct base_slice value)
{
    return trees_entry_hash(key, value);
}

int store_bulk_append(struct store_bulk *b, struct base_slice key, struct base_slice value,
                      uint64_t hash, struct base_err *err)
{
    int rc = trees_cursor_append(b->to, key, value, hash, err);
    b->appended += rc == 0;
    if (rc != 0 && rc != INSTAR_EINVALID && rc != INSTAR_EEXISTS) {
        b->failed = rc;
    }
    return rc;
}

int store_bulk_last(struct store_bulk *b, struct base_slice *key_out, struct base_err *err)
{
    struct base_slice value;
    *key_out = base_slice(NULL, 0);
    int rc = trees_cursor_move(b->to, TREES_LAST, key_out, &value, err);
    if (rc == INSTAR_END) {
        return 0;
    }
    b->failed = rc != 0 ? rc : b->failed;
    return rc;
}

bool store_bulk_full(const struct store_bulk *b)
{
    uint64_t bytes = trees_write_bytes(b->p.w);
    /* The clock is looked at now and then only. */
    return bytes >= b->p.pace.bytes_max || (b->appended % 64 == 0 && pace_full(&b->p.pace, bytes));
}

int store_bulk_progress(struct store_bulk *b, struct base_slice progress, struct base_err *err)
{
    char name[TREES_META_MAX];
    if (progress.size > PROGRESS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "a checkpoint of %zu bytes", progress.size);
    }
    trees_progress_name(name, b->p.tree);
    int rc = trees_write_meta_set(
        b->p.w, name, base_slice(progress.data != NULL ? progress.data : "", progress.size), err);
    b->failed = rc != 0 ? rc : b->failed;
    return rc;
}

int store_bulk_commit(struct store_bulk *b, struct base_err *err)
{
    if (b->failed != 0) {
        int rc = b->failed;
        store_bulk_abort(b);
        return base_err_set(err, rc, "a batch that failed before cannot be committed");
    }
    trees_cursor_close(b->to);
    os_point("bulk.batch_written");
    int rc = trees_write_commit(b->p.w, err);
    if (rc == 0) {
        os_point("bulk.committed");
    }
    gate_leave(b->p.s);
    pace_pause(b->p.s, &b->p.pace);
    base_free(b);
    return rc;
}

void store_bulk_abort(struct store_bulk *b)
{
    if (b == NULL) {
        return;
    }
    trees_cursor_close(b->to);
    trees_write_abort(b->p.w);
    gate_leave(b->p.s);
    base_free(b);
}

int store_build_progress(struct store *s, uint64_t tree, struct base_buf *progress_out,
                         struct base_err *err)
{
    struct trees_read *read;
    struct base_slice value;
    char name[TREES_META_MAX];
    base_buf_clear(progress_out);
    int rc = trees_read_begin(s->trees, &read, err);
    if (rc != 0) {
        return rc;
    }
    trees_progress_name(name, tree);
    rc = trees_read_meta(read, name, &value, err);
    if (rc == 0 && !base_buf_add(progress_out, value.data, value.size)) {
        rc = base_err_set(err, INSTAR_ENOMEM, "no memory for a checkpoint");
    }
    trees_read_end(s->trees, read);
    return rc;
}

int store_build_fold(struct store *s, uint64_t tree, uint64_t token, bool hurry, uint64_t *left_out,
                     struct base_err *err)
{
    struct passage p = {.s = s, .tree = tree, .token = token, .hurry = hurry};
    *left_out = 0;
    int rc = enter(&p, false, err);
    if (rc != 0) {
        return rc;
    }
    rc = delta_fold(p.w, tree, &p.pace, left_out, err);
    os_point("fold.batch_written");
    rc = leave(&p, rc, err);
    if (rc == 0) {
        os_point("fold.committed");
    }
    pace_pause(s, &p.pace);
    return rc;
}

/* One more LMDB transaction, which writes the mark with a new serial: then the meta before it has
 * all that was committed until now. */
int store_build_settle(struct store *s, uint64_t tree, uint64_t token, struct base_err *err)
{
    struct passage p = {.s = s, .tree = tree, .token = token};
    int rc = enter(&p, false, err);
    return rc == 0 ? leave(&p, 0, err) : rc;
}
