/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB behind a door: the only file that includes lmdb.h, and it is included by trees_*.c alone.
 * What may be asked of them is in trees.h.
 *
 * LMDB is opened with NOTLS alone: never NOSYNC or WRITEMAP, since the meta pages and the free list
 * belong to all trees, so one commit that was not synced endangers all of them; never NOMEMINIT,
 * which writes heap content to disk.
 */
#ifndef INSTAR_STORE_TREES_LMDB_H
#define INSTAR_STORE_TREES_LMDB_H

#include "store/trees.h"

#include <errno.h>
#include <lmdb.h>

#define TREES_FILE "data.mdb"
#define TREES_NAME_MAX 20
#define TREES_DIGEST_NAME 24
/* Of LMDB's pages, where they are read as they lie: trees_read.c, trees_ahead.c, trees_tail.c. */
#define TREES_PAGE_HEADER 16u /* then the offsets of the nodes */
#define TREES_NODE_HEADER 8u  /* then the key */
#define TREES_PAGE_BRANCH 1u
#define TREES_DEPTH_MAX 32u
#define TREES_CREATED_MAX 64 /* named trees made, or removed, by one LMDB transaction */

struct trees_cursor {
    MDB_cursor *cursor; /* NULL: the tree does not exist */
    MDB_dbi handle;
    struct trees_read *read; /* or */
    struct trees_write *write;
    const uint8_t *page; /* the last one written to */
    uint64_t tree;       /* of a write: whose digest grows; of a read: whose leaves are walked */
    uint64_t sum;        /* by so much, when the cursor is closed */
    struct {
        const uint8_t *page;   /* of a read: the leaf that it stands on, NULL: not known */
        unsigned at, count;    /* its place among the leaf's entries */
        bool ahead;            /* LMDB's cursor is left behind on this leaf */
        bool walked;           /* it has come to a leaf before this one */
        const uint8_t *parent; /* of the leaf, NULL: not known */
        unsigned nth;          /* the leaf's place in it */
        struct base_slice key; /* where a read stands; of none: nowhere yet */
    } leaf;
    struct trees_cursor *next;
};

struct trees_read {
    MDB_txn *txn;
    const uint8_t *map;   /* where LMDB has mapped the file, in this process */
    const uint8_t *there; /* so far the file reaches, if not further */
    bool there_is_new;    /* it has been asked in this transaction */
    uint64_t map_pages;   /* as many as the map has room for */
    size_t page_bytes;
    MDB_dbi main;
    const struct handles *handles;
    struct trees_mark mark;
    size_t mark_txn; /* the LMDB transaction number that it was read in */
    struct trees_cursor *idle;
    unsigned idle_count;
    struct trees_read *next;
};

struct trees_write {
    MDB_txn *txn;
    struct trees *trees;
    struct trees_mark mark;
    uint64_t bytes;
    bool creates;
    unsigned cursors;       /* that are open */
    struct base_err failed; /* a digest could not be kept: this cannot be committed */
    size_t created_count;
    struct {
        uint64_t tree;
        MDB_dbi handle;
    } created[TREES_CREATED_MAX];
};

/* What LMDB is opened by; while it is open the lock file is. */
struct trees_place {
    int lock_fd;
    char path[64];
};
/* Needs the runtime directory. `alone`: nobody else has the store open. */
int trees_place_take(const struct store *s, bool alone, struct trees_place *out,
                     struct base_err *err);
void trees_place_forget(const struct store *s); /* the path, when LMDB has opened it */
void trees_place_leave(struct trees_place *p);  /* when LMDB is closed */

struct trees {
    struct store *s;
    MDB_env *env;
    struct trees_place place;
    MDB_dbi main;
    size_t page_bytes;
    const uint8_t *map; /* LMDB does not tell: it follows from a page that says its own number */
    int map_fd;         /* what is mapped there: it cannot write */
    struct handles handles;
    struct os_plain_mutex pool_lock;
    struct trees_read *pool;
    unsigned pool_count;
};

/* The leaf that comes behind a leaf of a walk, on which this key lies; NULL: not known. */
const uint8_t *trees_next_leaf(struct trees_cursor *c, const uint8_t *leaf, struct base_slice key);

/* `t` or `d` and 16 hex digits. */
void trees_name(char name[TREES_NAME_MAX], uint64_t tree);

static inline MDB_val trees_val(struct base_slice s)
{
    return (MDB_val){.mv_size = s.size, .mv_data = (void *)(uintptr_t)s.data};
}
static inline struct base_slice trees_slice(const MDB_val *v)
{
    return base_slice(v->mv_data, v->mv_size);
}
/* What stands under a name in LMDB's main tree; LMDB's code. */
static inline int trees_get_named(MDB_txn *txn, MDB_dbi main, const char *name, MDB_val *value_out)
{
    MDB_val key = trees_val(base_slice(name, strlen(name)));
    return mdb_get(txn, main, &key, value_out);
}
static inline const uint8_t *trees_page_of(const void *at, size_t page_bytes)
{
    return (const uint8_t *)((uintptr_t)at & ~(uintptr_t)(page_bytes - 1));
}
/* Is what was found on a leaf, or on the first page of a long value, that says that it is where it
 * is? LMDB does not ask. A page that was written to another one's place would pass for it. */
static inline bool trees_in_place(const struct trees_read *r, const void *at)
{
    const uint8_t *page = trees_page_of(at, r->page_bytes);
    uint16_t flags = base_get_u16(page + 10);
    return r->map + base_get_u64(page) * r->page_bytes == page && (flags == 2 || flags == 4);
}
int trees_out_of_place(const struct trees_read *r, const void *at, struct base_err *err);
int trees_out_of_order(const struct trees_read *r, const void *at, struct base_err *err);
/* The store's code for one of LMDB's. */
int trees_failed(struct base_err *err, int rc, const char *what);

/* Keep a tree's digest: it grows by a sum, is that of no entries, goes with the name. */
int trees_digest_add(struct trees_write *w, uint64_t tree, uint64_t sum, struct base_err *err);
int trees_digest_clear(struct trees_write *w, uint64_t tree, struct base_err *err);
int trees_digest_remove(struct trees_write *w, uint64_t tree, struct base_err *err);
/* A cursor of a write transaction ends, and adds what it has done. */
void trees_write_cursor_end(struct trees_cursor *c);

int trees_mark_put(MDB_txn *txn, MDB_dbi main, const struct trees_mark *m); /* LMDB's code */
int trees_mark_get(MDB_txn *txn, MDB_dbi main, struct trees_mark *out, struct base_err *err);

/* Walk the states of the main tree, until fn returns another value than 0. */
int trees_each_state(MDB_txn *txn, MDB_dbi main,
                     int (*fn)(void *arg, uint64_t tree, const struct trees_state *st), void *arg,
                     struct base_err *err);
/* Open what is missing of the newest tree epoch, in a transaction that commits, and so publishes
 * the handles. Under the handle lock, between handles_enter and handles_leave. */
int trees_refresh_locked(struct trees *t, struct base_err *err);
int trees_refresh(struct trees *t, struct base_err *err);

/* Begin the LMDB transaction and read the mark; no locks. */
int trees_write_start(struct trees *t, struct trees_write *w, struct base_err *err);
/* LMDB's code; ENOSPC where its own says less. */
int trees_commit(struct trees_write *w);
/* After LMDB's commit failed: poisons the store unless nothing can have been lost. */
int trees_commit_failed(struct trees_write *w, int rc, struct base_err *err);
/* Refuse a data.mdb whose end is missing, before anything is read through the map. Nobody else has
 * the store. */
int trees_tail_check(struct trees *t, struct base_err *err);
int trees_stat_of(MDB_txn *txn, MDB_dbi main, MDB_dbi handle, uint64_t tree,
                  struct trees_stat *stat_out, struct base_err *err);
void trees_read_free(struct trees_read *r); /* one that was reset */
struct trees_cursor *trees_cursor_new(struct base_err *err);

#endif
