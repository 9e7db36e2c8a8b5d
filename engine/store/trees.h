/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trees, inside the store: the LMDB environment of this process without LMDB's types. trees_lmdb.h
 * is the only file that includes lmdb.h.
 *
 * LMDB's main tree holds, beside the named trees (`t` and `d`, then 16 hex digits of the id):
 *   !position      struct trees_mark, rewritten by every write transaction
 *   !g<name>       the digest of a named tree (trees_digest.c)
 *   !s<16 hex>     struct trees_state of a tree, written in the transaction that makes the change
 *   !p<16 hex>     the build's checkpoint, the runner's own bytes
 *
 * A named tree is opened as a handle, a small number that is valid in the whole process. TREES-1:
 * all trees that exist in a read transaction's snapshot have had their handles before it began; so
 * no handle is ever opened in a transaction that reads for a user. TREES-2: every write transaction
 * looks a tree's name up in the main tree before it uses the handle.
 */
#ifndef INSTAR_STORE_TREES_H
#define INSTAR_STORE_TREES_H

#include "store/store_impl.h"

/* A tree and its delta are two named trees. Ids stay below 2^62. */
#define TREES_ID_MAX ((UINT64_C(1) << 62) - 1)
static inline uint64_t trees_data(uint64_t id)
{
    return id << 1;
}
static inline uint64_t trees_delta(uint64_t id)
{
    return id << 1 | 1;
}

/* When a wait for another process's lock ends. */
static inline uint64_t trees_deadline(const struct store *s)
{
    return os_now_ns() + (uint64_t)s->options.lock_timeout_ms * 1000000;
}

/* A tree that has had all its operations up to lsn, beyond lo (ahead.c). */
struct trees_ahead {
    uint64_t tree, lsn;
};
#define TREES_AHEAD_MAX 8

/* What LMDB knows of the log. */
struct trees_mark {
    uint64_t lo, hi;   /* all <= lo is folded, nothing > hi is */
    uint64_t chain;    /* checksum of the header that ends at lo */
    uint64_t older_lo; /* lo of the meta before this one: LMDB may fall back to it */
    uint64_t epoch;    /* counts creations of named trees */
    uint64_t removals; /* counts removals of names */
    uint64_t serial;   /* counts write transactions */
    uint64_t digests;  /* the sum of all digests' seals */
    uint8_t log_id[16];
    size_t ahead_count;
    struct trees_ahead ahead[TREES_AHEAD_MAX]; /* lo < lsn <= hi; others are not written */
};
/* Up to where the operations on this tree are in LMDB, or void. */
static inline uint64_t trees_mark_lo(const struct trees_mark *m, uint64_t tree)
{
    for (size_t i = 0; i < m->ahead_count; i++) {
        if (m->ahead[i].tree == tree && m->ahead[i].lsn > m->lo) {
            return m->ahead[i].lsn;
        }
    }
    return m->lo;
}

enum trees_stage {
    TREES_LIVE = 1,     /* operations go to the tree */
    TREES_BUILDING = 2, /* … go to the delta; the tree is loaded past the log */
    TREES_DEAD = 3,     /* dropped; being emptied */
    TREES_EMPTIED = 4   /* nothing left but the name */
};
struct trees_state {
    enum trees_stage stage;
    bool delta;       /* the delta tree's name exists */
    uint64_t cut;     /* LSN of the last BEGIN_BUILD */
    uint64_t token;   /* of the runner; 0 after a cut */
    uint64_t changed; /* LSN of the last tree operation; beyond lo if it came before its turn */
};

void trees_mark_encode(const struct trees_mark *m, struct base_buf *out);
int trees_mark_decode(struct base_slice bytes, struct trees_mark *out, struct base_err *err);
#define TREES_POSITION_NAME "!position"
#define TREES_META_MAX 24
void trees_state_name(char name[TREES_META_MAX], uint64_t tree);
void trees_progress_name(char name[TREES_META_MAX], uint64_t tree);
#define TREES_STATE_BYTES 32
void trees_state_encode(const struct trees_state *st, uint64_t tree,
                        uint8_t bytes[TREES_STATE_BYTES]);
int trees_state_decode(struct base_slice bytes, uint64_t tree, struct trees_state *out,
                       struct base_err *err);
/* The id in the name of a state entry; false for any other key. */
bool trees_state_id(struct base_slice name, uint64_t *tree_out);

/* ---- digests (trees_digest.c) -------------------------------------------------------------- */

#define TREES_DIGEST_PREFIX "!g"
#define TREES_DIGEST_BYTES 16
/* What an entry adds to its tree's digest. */
uint64_t trees_entry_hash(struct base_slice key, struct base_slice value);
/* The tree's name in the key of a digest; false for any other key. */
bool trees_digest_named(struct base_slice key, struct base_slice *name_out);
/* The digest in an entry of that name; false: it does not hold. */
bool trees_digest_read(struct base_slice name, struct base_slice value, uint64_t *sum_out);
/* What this entry adds to trees_mark.digests. */
uint64_t trees_digest_seal(struct base_slice value);

/* ---- handles (handles.c) ------------------------------------------------------------------- */

/* From tree to handle number, read without a lock, changed under the handle lock only. Entries are
 * never taken out while an LMDB transaction lives in the process. */
struct handle_slot {
    _Atomic uint64_t key; /* tree + 1, 0: free; stored last */
    _Atomic uint32_t handle;
};
struct handles {
    struct os_plain_mutex lock; /* the process's handle lock */
    struct handle_slot *slots;
    size_t mask;
    _Atomic size_t count;
    _Atomic uint64_t epoch; /* every tree of this tree epoch has its handle */
    uint64_t removals;      /* handles of trees removed by then are closed */
    _Atomic int64_t live;   /* LMDB transactions of this process; negative: none may begin */
};
int handles_init(struct handles *h, size_t trees_max, struct base_err *err);
void handles_free(struct handles *h);
/* Any tree of the table at or after place *at, which moves behind it; false: no more. */
bool handles_each(const struct handles *h, size_t *at, uint64_t *tree_out, uint32_t *handle_out);
bool handles_find(const struct handles *h, uint64_t tree, uint32_t *handle_out);
/* Under the lock. ESLOTS when full. */
int handles_add(struct handles *h, uint64_t tree, uint32_t handle, struct base_err *err);
/* In a quiet process only. */
void handles_remove(struct handles *h, uint64_t tree);
/* Around every LMDB transaction. */
void handles_enter(struct handles *h);
void handles_leave(struct handles *h);
/* Keep LMDB transactions from beginning in this process, if none lives now, or if those that live
 * end within wait_ns. The handle lock is taken with it. Short. */
bool handles_quiet_begin(struct handles *h, uint64_t wait_ns);
void handles_quiet_end(struct handles *h);

/* ---- reading (trees_read.c) ---------------------------------------------------------------- */

/* One LMDB read transaction with the mark it saw. Made once, kept in a pool, renewed. One thread at
 * a time, any thread. */
struct trees_read;
int trees_read_begin(struct trees *t, struct trees_read **read_out, struct base_err *err);
void trees_read_end(struct trees *t, struct trees_read *r);
const struct trees_mark *trees_read_mark(const struct trees_read *r);
/* ENOTFOUND: no such key, or no such tree. The value lies in the map until the read ends. */
int trees_read_get(struct trees_read *r, uint64_t tree, struct base_slice key,
                   struct base_slice *value_out, struct base_err *err);
/* An entry of the main tree by its name. */
int trees_read_meta(struct trees_read *r, const char *name, struct base_slice *value_out,
                    struct base_err *err);
struct trees_stat {
    uint64_t entries, pages;
    uint64_t overflow_pages; /* of them, those of values too large for a leaf */
};
/* All zero when the tree does not exist. */
int trees_read_stat(struct trees_read *r, uint64_t tree, struct trees_stat *stat_out,
                    struct base_err *err);

/* A cursor of a read or write transaction. A tree that does not exist is empty. */
struct trees_cursor;
enum trees_move {
    TREES_FIRST,
    TREES_LAST,
    TREES_NEXT,
    TREES_PREV,
    TREES_AT_LEAST /* the first key >= *key */
};
int trees_cursor_open(struct trees_read *r, uint64_t tree, struct trees_cursor **cursor_out,
                      struct base_err *err);
/* The states of the main tree. */
int trees_cursor_open_main(struct trees_read *r, struct trees_cursor **cursor_out,
                           struct base_err *err);
/* INSTAR_END beyond either end. key is in and out for TREES_AT_LEAST, out otherwise. */
int trees_cursor_move(struct trees_cursor *c, enum trees_move move, struct base_slice *key,
                      struct base_slice *value_out, struct base_err *err);
void trees_cursor_close(struct trees_cursor *c);

/* ---- writing (trees_write.c) --------------------------------------------------------------- */

/* One LMDB write transaction. The caller holds the gate. `creates`: it may make trees, and then
 * keeps the handle lock to its end. One thread. */
struct trees_write;
int trees_write_begin(struct trees *t, bool creates, struct trees_write **write_out,
                      struct base_err *err);
/* The mark that will be written; lo, hi and chain are the caller's to move. */
struct trees_mark *trees_write_mark(struct trees_write *w);
/* ENOTFOUND: no such tree. */
int trees_write_state(struct trees_write *w, uint64_t tree, struct trees_state *out,
                      struct base_err *err);
int trees_write_state_set(struct trees_write *w, uint64_t tree, const struct trees_state *st,
                          struct base_err *err);
/* value.data NULL removes it. */
int trees_write_meta_set(struct trees_write *w, const char *name, struct base_slice value,
                         struct base_err *err);
int trees_write_create(struct trees_write *w, uint64_t tree, struct base_err *err);
/* A cursor, after the name was looked up: ENOTFOUND when it is not there. */
int trees_write_cursor(struct trees_write *w, uint64_t tree, struct trees_cursor **cursor_out,
                       struct base_err *err);
/* Set the value to head and value, one behind the other. EINVALID: no key, or too long a one. Costs
 * are added to the transaction's written bytes. */
int trees_cursor_put(struct trees_cursor *c, struct base_slice key, struct base_slice head,
                     struct base_slice value, struct base_err *err);
/* The same behind the last key: EEXISTS where this one is not greater. hash: trees_entry_hash. */
int trees_cursor_append(struct trees_cursor *c, struct base_slice key, struct base_slice value,
                        uint64_t hash, struct base_err *err);
/* ENOTFOUND: it was not there. */
int trees_cursor_delete(struct trees_cursor *c, struct base_slice key, struct base_err *err);
/* Delete where the cursor stands; TREES_NEXT then gives the key after it. */
int trees_cursor_delete_here(struct trees_cursor *c, struct base_err *err);
/* Remove all entries; the name stays. No cursor of this transaction is open. */
int trees_write_clear(struct trees_write *w, uint64_t tree, struct base_err *err);
int trees_write_stat(struct trees_write *w, uint64_t tree, struct trees_stat *stat_out,
                     struct base_err *err);
/* About what this transaction will write to disk. */
uint64_t trees_write_bytes(const struct trees_write *w);
/* Ends it. EMAPFULL, ENOSPACE: nothing happened. Any other failure poisons the store. */
int trees_write_commit(struct trees_write *w, struct base_err *err);
void trees_write_abort(struct trees_write *w);

/* Refuse a data.mdb whose meta pages or main tree do not hold, before LMDB maps it: it would follow
 * them anywhere. Nobody else has the store. */
int trees_look_before(int dirfd, struct base_err *err);
/* Ids of the trees that are between their cut and their fold-end as of lo, u64 each. */
int trees_list_building(struct store *s, struct base_buf *ids_out, struct base_err *err);

/* ---- care (trees_env.c, trees_names.c) ----------------------------------------------------- */

/* Free what killed readers hold. */
void trees_reap_readers(struct store *s);
/* Remove the names of emptied trees, at most `max`; the caller holds the gate, and no LMDB
 * transaction lives in this process after wait_ns, or this does nothing. *left_out: more to do. */
int trees_names_remove(struct store *s, size_t max, uint64_t wait_ns, bool *left_out,
                       struct base_err *err);
/* Close this process's handles of trees that are gone, if no LMDB transaction lives in it after
 * wait_ns. With 0, only if names have been removed since the last time. */
void trees_handles_trim(struct store *s, uint64_t wait_ns);
#define TREES_TRIM_WAIT_NS ((uint64_t)50000000) /* readers of this process are held up so long */
struct trees_usage {
    uint64_t map_bytes, used_bytes; /* used: up to the last page ever written */
    uint32_t page_bytes;
    uint32_t reader_slots; /* that have ever been used at once */
};
void trees_usage_get(struct trees *t, struct trees_usage *out);
/* Read transactions that are open now, in all processes. */
uint32_t trees_readers_open(struct trees *t);
/* Bytes below used_bytes that LMDB may use again now: those that no reader keeps. Walks LMDB's free
 * list. */
int trees_free_bytes(struct trees *t, uint64_t *bytes_out, struct base_err *err);

#endif
