/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions: a snapshot to read from, a private write set, and a read set that is validated when
 * the record is appended. Whatever a small transaction needs is kept for the next one.
 *
 * Which snapshot: a sync transaction reads what is durable, an async one the tail. Both see the
 * last schema publication, and both only when it is durable: a schema that a power cut takes back
 * would leave rows of a version that never was. A sync transaction that follows this process's own
 * async commit flushes that first, since it must see its own writes.
 */
#include "store/control.h"
#include "store/log.h"
#include "store/txn_impl.h"

#include <string.h>

#define IDLE_MAX 64
#define KEEP_BODY_BYTES ((size_t)256 << 10)

/* Transactions kept for reuse. */
struct txn_pool {
    struct os_plain_mutex lock;
    struct store_txn *idle;
    unsigned count;
};

int txn_pool_open(struct store *s, struct base_err *err)
{
    s->txns = base_alloc_zero(1, sizeof *s->txns);
    if (s->txns == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for transactions");
    }
    os_plain_init(&s->txns->lock);
    return 0;
}

static void txn_free(struct store_txn *t)
{
    cursor_free_idle(t);
    writeset_free(&t->writes);
    readset_free(&t->reads);
    base_buf_free(&t->body);
    base_free(t);
}

void txn_pool_close(struct store *s)
{
    if (s->txns == NULL) {
        return;
    }
    while (s->txns->idle != NULL) {
        struct store_txn *t = s->txns->idle;
        s->txns->idle = t->next_idle;
        txn_free(t);
    }
    os_plain_destroy(&s->txns->lock);
    base_free(s->txns);
    s->txns = NULL;
}

static struct store_txn *txn_new(struct store *s)
{
    os_plain_lock(&s->txns->lock);
    struct store_txn *t = s->txns->idle;
    if (t != NULL) {
        s->txns->idle = t->next_idle;
        s->txns->count--;
    }
    os_plain_unlock(&s->txns->lock);
    if (t == NULL) {
        t = base_alloc_zero(1, sizeof *t);
        if (t != NULL) {
            t->s = s;
            t->writes.bytes_max = commit_body_bytes_max(s);
            t->writes.count_max = commit_ops_max(s);
            if (s->options.txn_bytes_max != 0 && s->options.txn_bytes_max < t->writes.bytes_max) {
                t->writes.bytes_max = s->options.txn_bytes_max;
            }
        }
    }
    return t;
}

static void txn_recycle(struct store_txn *t)
{
    struct txn_pool *pool = t->s->txns;
    writeset_reset(&t->writes);
    readset_reset(&t->reads);
    t->tree_op_count = 0;
    t->has_reads = false;
    if (t->body.capacity > KEEP_BODY_BYTES) {
        base_buf_free(&t->body);
    }
    os_plain_lock(&pool->lock);
    bool keep = pool->count < IDLE_MAX;
    if (keep) {
        t->next_idle = pool->idle;
        pool->idle = t;
        pool->count++;
    }
    os_plain_unlock(&pool->lock);
    if (!keep) {
        txn_free(t);
    }
}

/* ---- the oldest snapshot of this process's writers ----------------------------------------- */

static void writers_publish(struct store *s)
{
    node_set_write_snapshot(s, s->writers != NULL ? s->writers->published : UINT64_MAX);
}

/* Sorted insertion; a new one is nearly always the newest. */
static void writers_add(struct store_txn *t, uint64_t lsn)
{
    struct store *s = t->s;
    t->published = lsn;
    os_plain_lock(&s->writers_lock);
    struct store_txn *older = s->writers != NULL ? s->writers->older : NULL; /* ring: the newest */
    if (older == NULL) {
        t->older = t->newer = t;
        s->writers = t;
    } else {
        bool oldest = false;
        while (!oldest && older->published > lsn) {
            oldest = older == s->writers;
            older = older->older;
        }
        t->older = older;
        t->newer = older->newer;
        older->newer->older = t;
        older->newer = t;
        if (oldest) {
            s->writers = t;
        }
    }
    if (s->writers == t) {
        writers_publish(s);
    }
    os_plain_unlock(&s->writers_lock);
}

static void writers_remove(struct store_txn *t)
{
    struct store *s = t->s;
    os_plain_lock(&s->writers_lock);
    bool oldest = s->writers == t;
    t->older->newer = t->newer;
    t->newer->older = t->older;
    if (oldest) {
        s->writers = t->newer != t ? t->newer : NULL;
        writers_publish(s);
    }
    os_plain_unlock(&s->writers_lock);
    t->older = t->newer = NULL;
}

/* ---- begin --------------------------------------------------------------------------------- */

/* Is the application kept by what it flushes? */
static bool keeps_somebody(unsigned flags)
{
    return (flags & STORE_TXN_BACKGROUND) != STORE_TXN_BACKGROUND;
}

/* Flush up to lsn unless that is so already. */
static int make_durable(struct store *s, unsigned flags, uint64_t lsn, struct base_err *err)
{
    return store_durable(s) >= lsn
               ? 0
               : flush_to(s, lsn, trees_deadline(s), keeps_somebody(flags), err);
}

static int choose_lsn(struct store *s, unsigned flags, uint64_t *lsn_out, struct base_err *err)
{
    bool sync = (flags & STORE_TXN_SYNC) != 0;
    uint64_t needed = store_schema_lsn(s);
    if (sync) {
        uint64_t own = atomic_load_explicit(&s->own_async_lsn, memory_order_acquire);
        needed = needed > own ? needed : own;
    }
    int rc = make_durable(s, flags, needed, err);
    if (rc != 0) {
        return rc;
    }
    if (sync || atomic_load(&s->ctl->poisoned) != 0) {
        *lsn_out = store_durable(s);
        return 0;
    }
    for (;;) {
        uint64_t lsn = store_tail(s);
        uint64_t schema = store_schema_lsn(s);
        if (schema > lsn || schema <= store_durable(s)) {
            *lsn_out = lsn; /* a publication beyond lsn is not seen */
            return 0;
        }
        rc = make_durable(s, flags, schema, err);
        if (rc != 0) {
            return rc;
        }
    }
}

static int take_snapshot(struct store_txn *t, struct base_err *err)
{
    uint64_t lsn;
    int rc = choose_lsn(t->s, t->flags, &lsn, err);
    if (rc != 0) {
        return rc;
    }
    bool writes = (t->flags & STORE_TXN_READONLY) == 0;
    if (writes) {
        writers_add(t, lsn); /* before the snapshot: what it needs is kept from here on */
    }
    os_point("txn.lsn_chosen");
    rc = snapshot_take(t->s, lsn, &t->snap, err);
    if (rc != 0 && writes) {
        writers_remove(t);
    }
    return rc;
}

int store_txn_begin(struct store *s, unsigned flags, struct store_txn **txn_out,
                    struct base_err *err)
{
    *txn_out = NULL;
    struct store_txn *t = txn_new(s);
    if (t == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a transaction");
    }
    t->flags = flags;
    t->turn = 0;
    int rc = 0;
    if ((flags & STORE_TXN_RESERVED) != 0 && (flags & STORE_TXN_READONLY) == 0) {
        rc = turn_take(s, trees_deadline(s), &t->turn, err);
    }
    if (rc == 0) {
        rc = take_snapshot(t, err);
        if (rc != 0 && t->turn != 0) {
            turn_end(s, t->turn);
        }
    }
    if (rc != 0) {
        txn_recycle(t);
        return rc;
    }
    *txn_out = t;
    return 0;
}

int store_txn_begin_beside(const struct store_txn *t, struct store_txn **txn_out,
                           struct base_err *err)
{
    *txn_out = NULL;
    struct store_txn *beside = txn_new(t->s);
    if (beside == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a transaction");
    }
    beside->flags = STORE_TXN_READONLY | (t->flags & STORE_TXN_SYNC);
    beside->turn = 0;
    int rc = snapshot_take(t->s, t->snap.lsn, &beside->snap, err);
    if (rc == 0 && beside->snap.lsn != t->snap.lsn) {
        snapshot_release(t->s, &beside->snap);
        rc = base_err_set(err, INSTAR_EBUSY, "the trees have moved on from position %llu",
                          (unsigned long long)t->snap.lsn);
    }
    if (rc != 0) {
        txn_recycle(beside);
        return rc;
    }
    *txn_out = beside;
    return 0;
}

static void end_snapshot(struct store_txn *t)
{
    if ((t->flags & STORE_TXN_READONLY) == 0) {
        writers_remove(t);
    }
    snapshot_release(t->s, &t->snap);
}

int store_txn_restart(struct store_txn *t, struct base_err *err)
{
    base_assert(t->cursors == 0);
    if (t->has_reads || store_txn_has_writes(t)) {
        return base_err_set(err, INSTAR_ESTATE,
                            "a transaction that has read or written cannot begin again");
    }
    /* The new snapshot first, so that a failure leaves the old one. */
    struct snapshot old = t->snap;
    uint64_t published = t->published;
    bool writes = (t->flags & STORE_TXN_READONLY) == 0;
    if (writes) {
        writers_remove(t);
    }
    int rc = take_snapshot(t, err);
    if (rc == 0) {
        snapshot_release(t->s, &old);
        return 0;
    }
    t->snap = old;
    if (writes) {
        writers_add(t, published);
    }
    return rc;
}

uint64_t store_txn_lsn(const struct store_txn *t)
{
    return t->snap.lsn;
}

bool store_txn_has_writes(const struct store_txn *t)
{
    return t->writes.count != 0 || t->tree_op_count != 0;
}

bool store_txn_has_reads(const struct store_txn *t)
{
    return t->has_reads;
}

bool store_txn_room(const struct store_txn *t, size_t bytes, size_t ops)
{
    return bytes <= t->writes.bytes_max && t->writes.bytes <= t->writes.bytes_max - bytes &&
           ops <= t->writes.count_max && t->writes.count <= t->writes.count_max - ops;
}

/* ---- reads and writes ---------------------------------------------------------------------- */

int txn_check_key(struct base_slice key, struct base_err *err)
{
    if (key.size == 0) {
        return base_err_set(err, INSTAR_EINVALID, "an empty key");
    }
    if (key.size > STORE_KEY_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "a key of %zu bytes; the limit is %d", key.size,
                            STORE_KEY_MAX);
    }
    return 0;
}

int store_txn_get(struct store_txn *t, uint64_t tree, struct base_slice key, enum store_read how,
                  struct base_slice *value_out, struct base_err *err)
{
    *value_out = base_slice(NULL, 0);
    int rc = txn_check_key(key, err);
    if (rc != 0) {
        return rc;
    }
    if (t->writes.count != 0) {
        const struct writeset_entry *e = writeset_find(&t->writes, tree, key);
        if (e != NULL) {
            if (!e->deleted) {
                *value_out = base_slice(e->value, e->value_size);
            }
            return e->deleted ? INSTAR_ENOTFOUND : 0;
        }
    }
    t->has_reads = true;
    if (txn_tracks(t, how)) {
        rc = readset_add_point(&t->reads, tree, key, err);
        if (rc != 0) {
            return rc;
        }
    }
    return snapshot_get(t->s, &t->snap, tree, key, value_out, err);
}

bool store_txn_has_put(const struct store_txn *t, uint64_t tree, struct base_slice key)
{
    const struct writeset_entry *e =
        t->writes.count != 0 ? writeset_find(&t->writes, tree, key) : NULL;
    return e != NULL && !e->deleted;
}

static int write_key(struct store_txn *t, uint64_t tree, struct base_slice key,
                     struct base_slice value, struct base_err *err)
{
    if ((t->flags & STORE_TXN_READONLY) != 0) {
        return base_err_set(err, INSTAR_EREADONLY, "a read-only transaction cannot write");
    }
    if (tree > TREES_ID_MAX) {
        return base_err_set(err, INSTAR_EINVALID, "tree %llu", (unsigned long long)tree);
    }
    int rc = txn_check_key(key, err);
    return rc != 0 ? rc : writeset_set(&t->writes, tree, key, value, err);
}

int store_txn_put(struct store_txn *t, uint64_t tree, struct base_slice key,
                  struct base_slice value, struct base_err *err)
{
    return write_key(t, tree, key, base_slice(value.data != NULL ? value.data : "", value.size),
                     err);
}

int store_txn_delete(struct store_txn *t, uint64_t tree, struct base_slice key,
                     struct base_err *err)
{
    return write_key(t, tree, key, base_slice(NULL, 0), err);
}

int store_txn_tree_op(struct store_txn *t, enum store_tree_op op, uint64_t tree,
                      struct base_err *err)
{
    if ((t->flags & STORE_TXN_READONLY) != 0) {
        return base_err_set(err, INSTAR_EREADONLY, "a read-only transaction cannot write");
    }
    if (op < STORE_TREE_CREATE || op > STORE_TREE_DROP || tree > TREES_ID_MAX) {
        return base_err_set(err, INSTAR_EINVALID, "tree operation %d on tree %llu", (int)op,
                            (unsigned long long)tree);
    }
    if (t->tree_op_count == TXN_TREE_OPS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "more than %d tree operations in one transaction",
                            TXN_TREE_OPS_MAX);
    }
    t->tree_ops[t->tree_op_count].op = (uint8_t)op;
    t->tree_ops[t->tree_op_count++].tree = tree;
    return 0;
}

/* ---- commit -------------------------------------------------------------------------------- */

static bool encode(struct store_txn *t)
{
    base_buf_clear(&t->body);
    for (size_t i = 0; i < t->tree_op_count; i++) {
        struct record_op op = {.op = (uint8_t)(RECORD_TREE + t->tree_ops[i].op),
                               .tree = t->tree_ops[i].tree};
        if (!record_body_add(&t->body, &op)) {
            return false;
        }
    }
    for (const struct writeset_entry *e = t->writes.head[0]; e != NULL; e = e->next[0]) {
        struct record_op op = {.op = e->deleted ? RECORD_DELETE : RECORD_PUT,
                               .tree = e->tree,
                               .key = writeset_key(e),
                               .value = base_slice(e->value, e->deleted ? 0 : e->value_size)};
        if (!record_body_add(&t->body, &op)) {
            return false;
        }
    }
    return true;
}

/* A later commit's operation against what this one has read and writes. Written keys count under
 * both isolations: the first committer wins. */
static bool conflicts(void *arg, const struct record_op *op)
{
    const struct store_txn *t = arg;
    if (op->op != RECORD_PUT && op->op != RECORD_DELETE) {
        return false;
    }
    return writeset_find(&t->writes, op->tree, op->key) != NULL ||
           readset_hit(&t->reads, op->tree, op->key);
}

/* A nearly full map keeps its last room for what makes more of it. */
static int check_room(const struct store_txn *t, const struct store_commit *how,
                      struct base_err *err)
{
    bool exempt = (t->flags & STORE_TXN_LAST_ROOM) != 0 || t->tree_op_count != 0 ||
                  (how != NULL && how->publication);
    if (exempt || atomic_load_explicit(&t->s->ctl->map_tight, memory_order_relaxed) == 0) {
        return 0;
    }
    const struct writeset_entry *e = t->writes.head[0];
    for (; e != NULL; e = e->next[0]) {
        if (!e->deleted) {
            break;
        }
    }
    if (e == NULL || !room_refuses(t->s)) {
        return 0;
    }
    return base_err_set(err, INSTAR_EMAPFULL,
                        "data.mdb is nearly as large as map_bytes: only deletes and drops are let "
                        "through");
}

static int run_commit(struct store_txn *t, const struct store_commit *how, uint64_t *lsn_out,
                      struct base_err *err)
{
    static const struct store_commit plain;
    struct store *s = t->s;
    int rc = check_room(t, how, err);
    if (rc != 0) {
        return rc;
    }
    if (!encode(t)) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for the record");
    }
    readset_prepare(&t->reads);
    struct commit_request request = {
        .snapshot = t->snap.lsn,
        .body = base_buf_slice(&t->body),
        .publication = how != NULL && how->publication,
        .sync = (t->flags & STORE_TXN_SYNC) != 0,
        .waits = keeps_somebody(t->flags),
        .turn = t->turn,
        .how = how != NULL ? how : &plain,
        .conflicts = conflicts,
        .arg = t,
    };
    request.kind = t->tree_op_count != 0 ? RECORD_TREE_OP
                   : request.publication ? RECORD_PUBLICATION
                                         : RECORD_BATCH;
    request.sync = request.sync || request.publication;
    return commit_run(s, &request, lsn_out, err);
}

static void end(struct store_txn *t)
{
    base_assert(t->cursors == 0);
    end_snapshot(t);
    if (t->turn != 0) {
        turn_end(t->s, t->turn);
        t->turn = 0;
    }
    txn_recycle(t);
}

int store_txn_commit(struct store_txn *t, const struct store_commit *how, uint64_t *lsn_out,
                     struct base_err *err)
{
    uint64_t lsn = t->snap.lsn;
    int rc = 0;
    if (store_txn_has_writes(t)) {
        /* What was read is not needed any more, and a waiting reader keeps pages. */
        snapshot_release(t->s, &t->snap);
        rc = run_commit(t, how, &lsn, err);
    }
    end(t);
    if (lsn_out != NULL) {
        *lsn_out = rc == 0 || rc == INSTAR_ECOMMIT_UNKNOWN ? lsn : 0;
    }
    return rc;
}

void store_txn_abort(struct store_txn *t)
{
    if (t != NULL) {
        end(t);
    }
}
