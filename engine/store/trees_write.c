/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing LMDB: one transaction at a time, behind the gate.
 *
 * Versions of LMDB up to 0.9.24 crash when a write transaction uses a handle whose tree another
 * process has removed: so each write transaction first finds the name in the main tree (TREES-2).
 */
#include "store/trees_lmdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A short write on a disk this full was a full disk, which LMDB reports as an I/O error. */
#define DISK_NEARLY_FULL ((uint64_t)4 << 20)
#define NODE_BYTES 10 /* that an entry takes on a page beside its key and its value */

int trees_write_start(struct trees *t, struct trees_write *w, struct base_err *err)
{
    int rc = mdb_txn_begin(t->env, NULL, 0, &w->txn);
    if (rc == MDB_PANIC) {
        store_poison(t->s, "a write of data.mdb failed");
    }
    if (rc != 0) {
        return trees_failed(err, rc, "write");
    }
    rc = trees_mark_get(w->txn, t->main, &w->mark, err);
    if (rc != 0) {
        mdb_txn_abort(w->txn);
        return rc;
    }
    w->mark.older_lo = w->mark.lo;
    w->mark.serial++;
    return 0;
}

int trees_write_begin(struct trees *t, bool creates, struct trees_write **write_out,
                      struct base_err *err)
{
    *write_out = NULL;
    struct trees_write *w = base_alloc_zero(1, sizeof *w);
    if (w == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a write of the trees");
    }
    w->trees = t;
    w->creates = creates;
    handles_enter(&t->handles);
    os_plain_lock(&t->handles.lock);
    int rc = trees_write_start(t, w, err);
    /* The gate keeps others from making trees, so one refresh is enough. */
    if (rc == 0 && w->mark.epoch > atomic_load(&t->handles.epoch)) {
        mdb_txn_abort(w->txn);
        rc = trees_refresh_locked(t, err);
        if (rc == 0) {
            rc = trees_write_start(t, w, err);
        }
    }
    if (rc != 0 || !creates) {
        os_plain_unlock(&t->handles.lock);
    }
    if (rc != 0) {
        handles_leave(&t->handles);
        base_free(w);
        return rc;
    }
    *write_out = w;
    return 0;
}

struct trees_mark *trees_write_mark(struct trees_write *w)
{
    return &w->mark;
}

uint64_t trees_write_bytes(const struct trees_write *w)
{
    return w->bytes;
}

int trees_write_state(struct trees_write *w, uint64_t tree, struct trees_state *out,
                      struct base_err *err)
{
    char name[TREES_META_MAX];
    trees_state_name(name, tree);
    MDB_val v;
    *out = (struct trees_state){0};
    int rc = trees_get_named(w->txn, w->trees->main, name, &v);
    return rc == 0 ? trees_state_decode(trees_slice(&v), tree, out, err)
                   : trees_failed(err, rc, name);
}

int trees_write_meta_set(struct trees_write *w, const char *name, struct base_slice value,
                         struct base_err *err)
{
    MDB_val k = trees_val(base_slice(name, strlen(name)));
    MDB_val v = trees_val(value);
    int rc = value.data != NULL ? mdb_put(w->txn, w->trees->main, &k, &v, 0)
                                : mdb_del(w->txn, w->trees->main, &k, NULL);
    if (rc == MDB_NOTFOUND && value.data == NULL) {
        rc = 0;
    }
    w->bytes += value.size;
    return rc == 0 ? 0 : trees_failed(err, rc, name);
}

int trees_write_state_set(struct trees_write *w, uint64_t tree, const struct trees_state *st,
                          struct base_err *err)
{
    char name[TREES_META_MAX];
    uint8_t bytes[TREES_STATE_BYTES];
    trees_state_name(name, tree);
    trees_state_encode(st, tree, bytes);
    return trees_write_meta_set(w, name, base_slice(bytes, sizeof bytes), err);
}

int trees_write_create(struct trees_write *w, uint64_t tree, struct base_err *err)
{
    char name[TREES_NAME_MAX];
    MDB_dbi handle;
    base_assert(w->creates);
    if (w->created_count == TREES_CREATED_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "more than %d trees made by one transaction",
                            TREES_CREATED_MAX / 2);
    }
    trees_name(name, tree);
    int rc = mdb_dbi_open(w->txn, name, MDB_CREATE, &handle);
    if (rc != 0) {
        return trees_failed(err, rc, name);
    }
    w->created[w->created_count].tree = tree;
    w->created[w->created_count++].handle = handle;
    w->mark.epoch++;
    return trees_digest_clear(w, tree, err);
}

/* The handle of a tree whose name is there (TREES-2). */
static int handle_of(struct trees_write *w, uint64_t tree, MDB_dbi *handle_out,
                     struct base_err *err)
{
    char name[TREES_NAME_MAX];
    trees_name(name, tree);
    MDB_val v;
    int rc = trees_get_named(w->txn, w->trees->main, name, &v);
    if (rc != 0) {
        return trees_failed(err, rc, name);
    }
    for (size_t i = 0; i < w->created_count; i++) {
        if (w->created[i].tree == tree) {
            *handle_out = w->created[i].handle;
            return 0;
        }
    }
    if (!handles_find(&w->trees->handles, tree, handle_out)) {
        return base_err_set(err, INSTAR_ECORRUPT, "data.mdb: %s has a name but no state", name);
    }
    return 0;
}

int trees_write_cursor(struct trees_write *w, uint64_t tree, struct trees_cursor **cursor_out,
                       struct base_err *err)
{
    MDB_dbi handle;
    *cursor_out = NULL;
    int rc = handle_of(w, tree, &handle, err);
    if (rc != 0) {
        return rc;
    }
    struct trees_cursor *c = trees_cursor_new(err);
    if (c == NULL) {
        return INSTAR_ENOMEM;
    }
    rc = mdb_cursor_open(w->txn, handle, &c->cursor);
    if (rc != 0) {
        base_free(c);
        return trees_failed(err, rc, "cursor");
    }
    c->write = w;
    c->handle = handle;
    c->tree = tree;
    w->cursors++;
    *cursor_out = c;
    return 0;
}

void trees_write_cursor_end(struct trees_cursor *c)
{
    struct trees_write *w = c->write;
    w->cursors--;
    if (c->sum != 0 && w->failed.code == 0) {
        (void)trees_digest_add(w, c->tree, c->sum, &w->failed);
    }
}

/* Count the page at an address when it is another than the last: keys come in order, so this is
 * close to what will be written. */
static void count_page(struct trees_cursor *c, const void *address, size_t size)
{
    size_t page_bytes = c->write->trees->page_bytes;
    const uint8_t *page = (const uint8_t *)((uintptr_t)address & ~(uintptr_t)(page_bytes - 1));
    if (page != c->page) {
        c->page = page;
        c->write->bytes += page_bytes;
    }
    if (size > page_bytes / 2) {
        c->write->bytes += size;
    }
}

static int check_key(struct base_slice key, struct base_err *err)
{
    bool fits = key.size != 0 && key.size <= STORE_KEY_MAX;
    return fits ? 0 : base_err_set(err, INSTAR_EINVALID, "a key of %zu bytes", key.size);
}

int trees_cursor_put(struct trees_cursor *c, struct base_slice key, struct base_slice head,
                     struct base_slice value, struct base_err *err)
{
    MDB_val k = trees_val(key);
    MDB_val v = {.mv_size = head.size + value.size};
    if (check_key(key, err) != 0) {
        return INSTAR_EINVALID;
    }
    int rc = mdb_cursor_put(c->cursor, &k, &v, MDB_RESERVE | MDB_NOOVERWRITE);
    if (rc == MDB_KEYEXIST) { /* v is what was there; the cursor stands on it */
        c->sum -= trees_entry_hash(key, trees_slice(&v));
        k = trees_val(key);
        v = (MDB_val){.mv_size = head.size + value.size};
        rc = mdb_cursor_put(c->cursor, &k, &v, MDB_RESERVE);
    }
    if (rc != 0) {
        return trees_failed(err, rc, "put");
    }
    if (head.size != 0) {
        memcpy(v.mv_data, head.data, head.size);
    }
    if (value.size != 0) {
        memcpy((uint8_t *)v.mv_data + head.size, value.data, value.size);
    }
    c->sum += trees_entry_hash(key, trees_slice(&v));
    count_page(c, v.mv_data, v.mv_size);
    return 0;
}

int trees_cursor_append(struct trees_cursor *c, struct base_slice key, struct base_slice value,
                        uint64_t hash, struct base_err *err)
{
    MDB_val k = trees_val(key);
    MDB_val v = trees_val(value);
    if (check_key(key, err) != 0) {
        return INSTAR_EINVALID;
    }
    int rc = mdb_cursor_put(c->cursor, &k, &v, MDB_APPEND);
    if (rc == MDB_KEYEXIST) {
        return base_err_set(err, INSTAR_EEXISTS, "the keys to append do not ascend");
    }
    if (rc != 0) {
        return trees_failed(err, rc, "append");
    }
    c->sum += hash;
    c->write->bytes += NODE_BYTES + key.size + value.size; /* pages are filled one by one */
    return 0;
}

int trees_cursor_delete_here(struct trees_cursor *c, struct base_err *err)
{
    MDB_val k, v;
    int rc = mdb_cursor_get(c->cursor, &k, &v, MDB_GET_CURRENT);
    if (rc == 0) {
        c->sum -= trees_entry_hash(trees_slice(&k), trees_slice(&v));
        rc = mdb_cursor_del(c->cursor, 0);
    }
    return rc == 0 ? 0 : trees_failed(err, rc, "delete");
}

int trees_cursor_delete(struct trees_cursor *c, struct base_slice key, struct base_err *err)
{
    MDB_val k = trees_val(key);
    MDB_val v;
    int rc = mdb_cursor_get(c->cursor, &k, &v, MDB_SET);
    if (rc == MDB_NOTFOUND) {
        return INSTAR_ENOTFOUND;
    }
    if (rc != 0) {
        return trees_failed(err, rc, "delete");
    }
    count_page(c, v.mv_data, 0);
    return trees_cursor_delete_here(c, err);
}

int trees_write_clear(struct trees_write *w, uint64_t tree, struct base_err *err)
{
    MDB_dbi handle;
    base_assert(w->cursors == 0);
    int rc = handle_of(w, tree, &handle, err);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_drop(w->txn, handle, 0);
    return rc == 0 ? trees_digest_clear(w, tree, err) : trees_failed(err, rc, "clear");
}

int trees_write_stat(struct trees_write *w, uint64_t tree, struct trees_stat *stat_out,
                     struct base_err *err)
{
    MDB_dbi handle;
    *stat_out = (struct trees_stat){0};
    int rc = handle_of(w, tree, &handle, err);
    if (rc == INSTAR_ENOTFOUND) {
        return 0;
    }
    return rc == 0 ? trees_stat_of(w->txn, w->trees->main, handle, tree, stat_out, err) : rc;
}

static void write_end(struct trees_write *w)
{
    if (w->creates) {
        os_plain_unlock(&w->trees->handles.lock);
    }
    handles_leave(&w->trees->handles);
    base_free(w);
}

void trees_write_abort(struct trees_write *w)
{
    mdb_txn_abort(w->txn);
    write_end(w);
}

/* LMDB tells a short write of its pages as EIO, but no call has failed with that: then there was no
 * room for the rest, and nothing has been lost. Unless it was the meta page: after that LMDB begins
 * no other transaction. */
static bool was_short_write(struct trees_write *w, int rc, int number)
{
    MDB_txn *txn;
    if (rc != EIO || number == EIO || mdb_txn_begin(w->trees->env, NULL, 0, &txn) != 0) {
        return false;
    }
    mdb_txn_abort(txn);
    return true;
}

int trees_commit(struct trees_write *w)
{
    errno = 0;
    int rc = mdb_txn_commit(w->txn); /* ends it in any case */
    int number = errno;
    return was_short_write(w, rc, number) ? ENOSPC : rc;
}

/* A full disk or map leaves the trees as they were. Anything else may have lost bytes that LMDB
 * believes written: nobody may build on that. */
int trees_commit_failed(struct trees_write *w, int rc, struct base_err *err)
{
    uint64_t room = 0;
    if (rc == EIO && os_fs_free_bytes(w->trees->s->dirfd, &room) == 0 &&
        room < DISK_NEARLY_FULL + w->bytes) {
        rc = ENOSPC;
    }
    bool clean = rc == ENOSPC || rc == EDQUOT || rc == EFBIG || rc == ENOMEM ||
                 rc == MDB_MAP_FULL || rc == MDB_TXN_FULL;
    if (!clean) {
        char text[160];
        snprintf(text, sizeof text, "commit of data.mdb: %s", mdb_strerror(rc));
        store_poison(w->trees->s, text);
    }
    return trees_failed(err, rc, "commit of data.mdb");
}

int trees_write_commit(struct trees_write *w, struct base_err *err)
{
    struct handles *h = &w->trees->handles;
    if (w->failed.code != 0) {
        int failed = base_err_set(err, w->failed.code, "%s", w->failed.text);
        trees_write_abort(w);
        return failed;
    }
    int rc = trees_mark_put(w->txn, w->trees->main, &w->mark);
    if (rc != 0) {
        trees_write_abort(w);
        return trees_failed(err, rc, "commit of data.mdb");
    }
    rc = trees_commit(w);
    if (rc != 0) {
        rc = trees_commit_failed(w, rc, err);
        write_end(w);
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < w->created_count; i++) {
        rc = handles_add(h, w->created[i].tree, w->created[i].handle, err);
    }
    /* It held the gate and had all handles when it began, so now again it has all. */
    if (rc == 0 && w->created_count != 0) {
        atomic_store(&h->epoch, w->mark.epoch);
    }
    write_end(w);
    return rc;
}
