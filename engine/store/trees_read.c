/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading LMDB. Read transactions are not bound to threads (NOTLS) and are kept in a pool: a
 * transaction that was reset keeps its slot in LMDB's reader table, and is renewed without a lock.
 */
#include "store/trees_lmdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN_TRIES 1000
#define IDLE_CURSORS_MAX 8
#define POOL_MAX 32

void trees_read_free(struct trees_read *r)
{
    while (r->idle != NULL) {
        struct trees_cursor *c = r->idle;
        r->idle = c->next;
        mdb_cursor_close(c->cursor);
        base_free(c);
    }
    mdb_txn_abort(r->txn);
    base_free(r);
}

static struct trees_read *pool_take(struct trees *t)
{
    os_plain_lock(&t->pool_lock);
    struct trees_read *r = t->pool;
    if (r != NULL) {
        t->pool = r->next;
        t->pool_count--;
    }
    os_plain_unlock(&t->pool_lock);
    return r;
}

/* Each one kept holds a slot of LMDB's reader table. */
static void pool_give(struct trees *t, struct trees_read *r)
{
    os_plain_lock(&t->pool_lock);
    bool keep = t->pool_count < POOL_MAX;
    if (keep) {
        r->next = t->pool;
        t->pool = r;
        t->pool_count++;
    }
    os_plain_unlock(&t->pool_lock);
    if (!keep) {
        trees_read_free(r);
    }
}

/* Begin the LMDB transaction of r, made anew when it has none yet. */
static int start(struct trees *t, struct trees_read *r)
{
    int rc =
        r->txn != NULL ? mdb_txn_renew(r->txn) : mdb_txn_begin(t->env, NULL, MDB_RDONLY, &r->txn);
    if (rc == MDB_READERS_FULL) {
        mdb_reader_check(t->env, NULL);
        rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &r->txn);
    }
    return rc;
}

/* Begun, the mark read, and every tree of the snapshot has had its handle before. *crowded_out: a
 * handle could not be opened, too many are. */
static int start_complete(struct trees *t, struct trees_read *r, bool *crowded_out,
                          struct base_err *err)
{
    *crowded_out = false;
    for (int tries = 0; tries < BEGIN_TRIES; tries++) {
        uint64_t epoch = atomic_load_explicit(&t->handles.epoch, memory_order_acquire);
        int rc = start(t, r);
        if (rc != 0) {
            return trees_failed(err, rc, "snapshot");
        }
        size_t id = mdb_txn_id(r->txn);
        if (id != r->mark_txn) {
            rc = trees_mark_get(r->txn, t->main, &r->mark, err);
            r->mark_txn = rc == 0 ? id : 0;
        }
        if (rc == 0 && r->mark.epoch <= epoch) {
            return 0;
        }
        mdb_txn_reset(r->txn);
        if (rc == 0) {
            os_plain_lock(&t->handles.lock);
            rc = trees_refresh_locked(t, err);
            os_plain_unlock(&t->handles.lock);
            *crowded_out = rc == INSTAR_ESLOTS;
        }
        if (rc != 0) {
            return rc;
        }
    }
    return base_err_set(err, INSTAR_EBUSY, "trees are being made faster than they can be opened");
}

int trees_read_begin(struct trees *t, struct trees_read **read_out, struct base_err *err)
{
    *read_out = NULL;
    struct trees_read *r = pool_take(t);
    if (r == NULL) {
        r = base_alloc_zero(1, sizeof *r);
        if (r == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "no memory for a snapshot");
        }
        r->handles = &t->handles;
        r->main = t->main;
        r->map = t->map;
        r->map_pages = t->s->options.map_bytes / t->page_bytes;
        r->page_bytes = t->page_bytes;
    }
    bool crowded;
    handles_enter(&t->handles);
    int rc = start_complete(t, r, &crowded, err);
    if (crowded) {
        handles_leave(&t->handles);
        trees_handles_trim(t->s, TREES_TRIM_WAIT_NS);
        handles_enter(&t->handles);
        rc = start_complete(t, r, &crowded, err);
    }
    if (rc != 0) {
        handles_leave(&t->handles);
        if (r->txn != NULL) {
            pool_give(t, r);
        } else {
            base_free(r);
        }
        return rc;
    }
    r->there_is_new = false;
    *read_out = r;
    return 0;
}

void trees_read_end(struct trees *t, struct trees_read *r)
{
    mdb_txn_reset(r->txn);
    pool_give(t, r);
    handles_leave(&t->handles); /* after it: until now the environment cannot be closed */
}

const struct trees_mark *trees_read_mark(const struct trees_read *r)
{
    return &r->mark;
}

int trees_out_of_place(const struct trees_read *r, const void *at, struct base_err *err)
{
    const uint8_t *page = trees_page_of(at, r->page_bytes);
    uint64_t byte = (uint64_t)(page - r->map);
    return base_err_set(err, INSTAR_ECORRUPT,
                        "data.mdb: page %llu (byte %llu) says that it is page %llu, of kind %u",
                        (unsigned long long)(byte / r->page_bytes), (unsigned long long)byte,
                        (unsigned long long)base_get_u64(page), base_get_u16(page + 10));
}

int trees_out_of_order(const struct trees_read *r, const void *at, struct base_err *err)
{
    const uint8_t *page = trees_page_of(at, r->page_bytes);
    uint64_t byte = (uint64_t)(page - r->map);
    return base_err_set(err, INSTAR_ECORRUPT,
                        "data.mdb: page %llu (byte %llu): a key that is not in its turn",
                        (unsigned long long)(byte / r->page_bytes), (unsigned long long)byte);
}

int trees_read_get(struct trees_read *r, uint64_t tree, struct base_slice key,
                   struct base_slice *value_out, struct base_err *err)
{
    uint32_t handle;
    MDB_val k = trees_val(key);
    MDB_val v;
    *value_out = base_slice(NULL, 0);
    if (!handles_find(r->handles, tree, &handle)) {
        return INSTAR_ENOTFOUND;
    }
    int rc = mdb_get(r->txn, handle, &k, &v);
    if (rc == 0 && !trees_in_place(r, v.mv_data)) {
        return trees_out_of_place(r, v.mv_data, err);
    }
    if (rc == 0) {
        *value_out = trees_slice(&v);
        return 0;
    }
    /* EINVAL: the handle is younger than this snapshot, so the tree is too. */
    if (rc == MDB_NOTFOUND || rc == EINVAL || rc == MDB_BAD_DBI) {
        return INSTAR_ENOTFOUND;
    }
    return trees_failed(err, rc, "get");
}

int trees_read_meta(struct trees_read *r, const char *name, struct base_slice *value_out,
                    struct base_err *err)
{
    MDB_val v;
    *value_out = base_slice(NULL, 0);
    int rc = trees_get_named(r->txn, r->main, name, &v);
    if (rc != 0) {
        return trees_failed(err, rc, name);
    }
    *value_out = trees_slice(&v);
    return 0;
}

int trees_stat_of(MDB_txn *txn, MDB_dbi main, MDB_dbi handle, uint64_t tree,
                  struct trees_stat *stat_out, struct base_err *err)
{
    char name[TREES_NAME_MAX];
    trees_name(name, tree);
    MDB_val v;
    MDB_stat st;
    int rc = trees_get_named(txn, main, name, &v);
    if (rc == MDB_NOTFOUND) {
        return 0;
    }
    if (rc == 0) {
        rc = mdb_stat(txn, handle, &st);
    }
    if (rc == EINVAL) {
        return 0;
    }
    if (rc != 0) {
        return trees_failed(err, rc, "stat");
    }
    stat_out->entries = st.ms_entries;
    stat_out->overflow_pages = st.ms_overflow_pages;
    stat_out->pages = st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
    return 0;
}

int trees_read_stat(struct trees_read *r, uint64_t tree, struct trees_stat *stat_out,
                    struct base_err *err)
{
    uint32_t handle;
    *stat_out = (struct trees_stat){0};
    if (!handles_find(r->handles, tree, &handle)) {
        return 0;
    }
    return trees_stat_of(r->txn, r->main, handle, tree, stat_out, err);
}

struct trees_cursor *trees_cursor_new(struct base_err *err)
{
    struct trees_cursor *c = base_alloc_zero(1, sizeof *c);
    if (c == NULL) {
        base_err_set(err, INSTAR_ENOMEM, "no memory for a cursor");
    }
    return c;
}

/* Cursors of read transactions are kept: opening one costs more than the read. */
static struct trees_cursor *idle_take(struct trees_read *r, MDB_dbi handle)
{
    for (struct trees_cursor **at = &r->idle; *at != NULL; at = &(*at)->next) {
        struct trees_cursor *c = *at;
        if (c->handle == handle) {
            *at = c->next;
            r->idle_count--;
            return c;
        }
    }
    return NULL;
}

static int open_on(struct trees_read *r, bool exists, MDB_dbi handle,
                   struct trees_cursor **cursor_out, struct base_err *err)
{
    *cursor_out = NULL;
    struct trees_cursor *c = exists ? idle_take(r, handle) : NULL;
    int rc = 0;
    if (c != NULL) {
        rc = mdb_cursor_renew(r->txn, c->cursor);
    } else {
        c = trees_cursor_new(err);
        if (c == NULL) {
            return INSTAR_ENOMEM;
        }
        if (exists) {
            rc = mdb_cursor_open(r->txn, handle, &c->cursor);
        }
    }
    if (rc != 0) {
        /* The tree is younger than the snapshot: there is nothing to see. */
        if (c->cursor != NULL) {
            mdb_cursor_close(c->cursor);
            c->cursor = NULL;
        }
        if (rc != EINVAL && rc != MDB_NOTFOUND && rc != MDB_BAD_DBI) {
            base_free(c);
            return trees_failed(err, rc, "cursor");
        }
    }
    c->handle = handle;
    c->read = r;
    c->leaf.page = NULL;
    c->leaf.ahead = false;
    c->leaf.walked = false;
    c->leaf.parent = NULL;
    c->leaf.key = base_slice(NULL, 0);
    *cursor_out = c;
    return 0;
}

int trees_cursor_open(struct trees_read *r, uint64_t tree, struct trees_cursor **cursor_out,
                      struct base_err *err)
{
    uint32_t handle = 0;
    bool exists = handles_find(r->handles, tree, &handle);
    int rc = open_on(r, exists, handle, cursor_out, err);
    if (rc == 0) {
        (*cursor_out)->tree = tree;
    }
    return rc;
}

int trees_cursor_open_main(struct trees_read *r, struct trees_cursor **cursor_out,
                           struct base_err *err)
{
    return open_on(r, true, r->main, cursor_out, err);
}

/* ---- along a leaf ---------------------------------------------------------------------------
 *
 * A scan's next entry nearly always lies on the leaf of the last one. What a read transaction sees
 * does not change, so the leaf is read as it lies in the map, without a call of LMDB, whose cursor
 * stays behind and is placed again when the leaf ends.
 *
 *   leaf   12 lower (2): end of the offsets | 16 offset of each node (2) …
 *   node   0 size of the value (4) | 4 flags (2) | 6 size of the key (2) | 8 key, value
 */
/* So many entries are fetched ahead of a walk: they lie in a page in any order, and pages that were
 * written again lie anywhere. */
#define LEAF_AHEAD 4u
#define LEAF_NEXT_LINES 12u /* of 64 bytes, of the next leaf */

/* An entry of which key and value lie on the leaf; false: LMDB has to be asked. */
static inline bool leaf_entry(const struct trees_cursor *c, unsigned at, struct base_slice *key,
                              struct base_slice *value)
{
    const uint8_t *page = c->leaf.page;
    size_t room = c->read->page_bytes - TREES_NODE_HEADER;
    size_t offset = base_get_u16(page + TREES_PAGE_HEADER + 2 * at);
    if (offset > room) {
        return false;
    }
    const uint8_t *node = page + offset;
    size_t key_size = base_get_u16(node + 6);
    size_t value_size = base_get_u32(node);
    room -= offset;
    if (base_get_u16(node + 4) != 0 || key_size > room || value_size > room - key_size) {
        return false;
    }
    *key = base_slice(node + TREES_NODE_HEADER, key_size);
    *value = base_slice(node + TREES_NODE_HEADER + key_size, value_size);
    return true;
}

/* Have an entry at hand when the walk gets there. */
static inline void leaf_fetch(const struct trees_cursor *c, unsigned at)
{
    if (at < c->leaf.count) {
        const uint8_t *page = c->leaf.page;
        const uint8_t *node = page + base_get_u16(page + TREES_PAGE_HEADER + 2 * at);
        __builtin_prefetch(node);
        __builtin_prefetch(node + 64);
    }
}

/* Have the first entries of the next leaf at hand, which lie at its end. The processor does not
 * fetch them by itself, and drops what is asked of it where it has not translated the page's
 * address yet (seen on an AMD EPYC): so a byte of the page is read. The first leaf of a walk is
 * often its only one, and the next one may have to come from the disk: so this begins with the
 * second. */
static void leaf_fetch_next(struct trees_cursor *c, const uint8_t *page, struct base_slice key)
{
    bool goes_on = c->leaf.walked;
    c->leaf.walked = true;
    const uint8_t *next = goes_on ? trees_next_leaf(c, page, key) : NULL;
    if (next == NULL) {
        return;
    }
    (void)*(const volatile uint8_t *)next;
    for (unsigned i = 1; i <= LEAF_NEXT_LINES; i++) {
        __builtin_prefetch(next + c->read->page_bytes - (size_t)64 * i);
    }
}

/* LMDB's cursor has been placed on this key. */
static void leaf_found(struct trees_cursor *c, struct base_slice key, enum trees_move move)
{
    const uint8_t *page = trees_page_of(key.data, c->read->page_bytes);
    size_t node = (size_t)((const uint8_t *)key.data - page) - TREES_NODE_HEADER;
    size_t lower = base_get_u16(page + 12);
    c->leaf.page = NULL;
    c->leaf.count = 0;
    if (lower < TREES_PAGE_HEADER || lower > c->read->page_bytes) {
        return;
    }
    c->leaf.count = (unsigned)(lower - TREES_PAGE_HEADER) / 2;
    for (unsigned at = 0; at < c->leaf.count; at++) {
        if (base_get_u16(page + TREES_PAGE_HEADER + 2 * at) == node) {
            c->leaf.page = page;
            c->leaf.at = at;
            for (unsigned i = 1; i < LEAF_AHEAD; i++) {
                leaf_fetch(c, move == TREES_NEXT ? at + i : at - i);
            }
            if (move == TREES_NEXT) {
                leaf_fetch_next(c, page, key);
            }
            return;
        }
    }
}

/* Does the key come where it should? LMDB does not ask. A branch that leads to a page twice would
 * have a walk go round for ever, an entry that stands for another one hand out a row twice. */
static inline bool in_turn(struct base_slice last, struct base_slice key, enum trees_move move)
{
    return last.data == NULL ||
           (move == TREES_NEXT ? base_slice_before(last, key) : base_slice_before(key, last));
}

static inline bool leaf_move(struct trees_cursor *c, enum trees_move move, struct base_slice *key,
                             struct base_slice *value)
{
    unsigned at = c->leaf.at + (move == TREES_NEXT ? 1u : -1u); /* from 0 back: beyond count */
    if (c->leaf.page == NULL || at >= c->leaf.count || !leaf_entry(c, at, key, value) ||
        !in_turn(c->leaf.key, *key, move)) {
        return false;
    }
    leaf_fetch(c, move == TREES_NEXT ? at + LEAF_AHEAD : at - LEAF_AHEAD);
    c->leaf.at = at;
    c->leaf.key = *key;
    c->leaf.ahead = true;
    return true;
}

static int catch_up(struct trees_cursor *c)
{
    MDB_val k = trees_val(c->leaf.key);
    MDB_val v;
    c->leaf.ahead = false;
    return mdb_cursor_get(c->cursor, &k, &v, MDB_SET);
}

static bool moves_on(enum trees_move move)
{
    return move == TREES_NEXT || move == TREES_PREV;
}

/* ---- moving ------------------------------------------------------------------------------- */

BASE_APART static int ask_lmdb(struct trees_cursor *c, enum trees_move move, struct base_slice *key,
                               struct base_slice *value_out, struct base_err *err)
{
    static const MDB_cursor_op ops[] = {[TREES_FIRST] = MDB_FIRST,
                                        [TREES_LAST] = MDB_LAST,
                                        [TREES_NEXT] = MDB_NEXT,
                                        [TREES_PREV] = MDB_PREV,
                                        [TREES_AT_LEAST] = MDB_SET_RANGE};
    if (c->cursor == NULL) {
        return INSTAR_END;
    }
    MDB_cursor_op op = ops[move];
    MDB_val k = {0};
    MDB_val v;
    if (move == TREES_AT_LEAST) {
        k = trees_val(*key);
        if (k.mv_size == 0) {
            op = MDB_FIRST; /* LMDB knows no empty key */
        }
    }
    struct base_slice last = moves_on(move) ? c->leaf.key : base_slice(NULL, 0);
    int rc = c->leaf.ahead && moves_on(move) ? catch_up(c) : 0;
    if (rc == MDB_NOTFOUND) { /* a search passes by what the walk has met */
        return trees_out_of_order(c->read, last.data, err);
    }
    c->leaf.ahead = false;
    c->leaf.page = NULL;
    c->leaf.key = base_slice(NULL, 0);
    rc = rc == 0 ? mdb_cursor_get(c->cursor, &k, &v, op) : rc;
    if (rc == 0 && c->read != NULL && !trees_in_place(c->read, k.mv_data)) {
        return trees_out_of_place(c->read, k.mv_data, err);
    }
    if (rc == 0 && c->read != NULL && !in_turn(last, trees_slice(&k), move)) {
        return trees_out_of_order(c->read, k.mv_data, err);
    }
    if (rc == 0) {
        if (c->read != NULL && moves_on(move)) {
            leaf_found(c, trees_slice(&k), move);
        }
        if (c->read != NULL) {
            c->leaf.key = trees_slice(&k);
        }
        *key = trees_slice(&k);
        *value_out = trees_slice(&v);
        return 0;
    }
    if (rc == MDB_NOTFOUND || rc == EINVAL) {
        return INSTAR_END;
    }
    return trees_failed(err, rc, "scan");
}

int trees_cursor_move(struct trees_cursor *c, enum trees_move move, struct base_slice *key,
                      struct base_slice *value_out, struct base_err *err)
{
    if (moves_on(move) && leaf_move(c, move, key, value_out)) {
        return 0;
    }
    return ask_lmdb(c, move, key, value_out, err);
}

void trees_cursor_close(struct trees_cursor *c)
{
    if (c == NULL) {
        return;
    }
    struct trees_read *r = c->read;
    if (r != NULL && c->cursor != NULL && r->idle_count < IDLE_CURSORS_MAX) {
        c->next = r->idle;
        r->idle = c;
        r->idle_count++;
        return;
    }
    if (c->write != NULL) {
        trees_write_cursor_end(c);
    }
    if (c->cursor != NULL) {
        mdb_cursor_close(c->cursor);
    }
    base_free(c);
}
