/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: ordered trees of bytes, shared by processes, with a log in front. Knows nothing of rows.
 *
 * A transaction reads one snapshot and gathers writes in private memory; commit appends them as
 * one log record. A position in the log is an LSN; a commit's LSN is the end of its record.
 */
#ifndef INSTAR_STORE_H
#define INSTAR_STORE_H

#include "base/base.h"
#include "base/os.h"

struct store;
struct store_txn;
struct store_cursor;
struct store_bulk;

#define STORE_KEY_MAX INSTAR_KEY_BYTES_MAX
#define STORE_FOREVER UINT64_MAX

/* ---- open and close ----------------------------------------------------------------------- */

/* As instar_create and instar_open; options are complete and checked by the store. */
int store_create(const char *path, const instar_options *options, struct base_err *err);
/* The same of a store that is not there for anybody else before `fill` has written into it; `fill`
 * commits synchronously. */
int store_create_filled(const char *path, const instar_options *options,
                        int (*fill)(struct store *s, struct base_err *err), struct base_err *err);
int store_open(const char *path, const instar_options *options, struct store **store_out,
               struct base_err *err);
/* Flushes and ends this process's part. No transaction may be open. Always frees. */
int store_close(struct store *s, struct base_err *err);
/* A store that has stopped after an I/O failure (ESTOPPED) may be opened again in this boot when
 * all that was promised is found on the disk, read past the page cache. Alone: no process may have
 * it open. 0: it is, and the store opens again. ESTOPPED: it is not, or cannot be told; only a
 * reboot helps. */
int store_check_after_io_error(const char *path, const instar_options *options,
                               struct base_err *err);
/* 0, or ESTOPPED when a process has seen an I/O failure since the store was opened first: whoever
 * waits for what another one writes waits in vain. */
int store_poisoned(const struct store *s, struct base_err *err);
/* The options in force: those of the store, and this process's own. */
const instar_options *store_options(const struct store *s);

/* ---- positions and events ----------------------------------------------------------------- */

uint64_t store_tail(const struct store *s);
uint64_t store_durable(const struct store *s);
uint64_t store_applied(const struct store *s); /* lo: all before it is in the trees */
/* End of the last schema publication (see store_commit.publication). Moves before the tail does, so
 * a cache that was loaded at or after it may serve every snapshot at or after it. */
uint64_t store_schema_lsn(const struct store *s);
/* Wait until everything before lsn is durable, driving the flush. EBUSY at the deadline. Deadlines
 * are points of os_now_ns(), or STORE_FOREVER. */
int store_flush(struct store *s, uint64_t lsn, uint64_t deadline_ns, struct base_err *err);
/* How the applier goes to where somebody waits for it. While others wait for the disk: */
enum store_urge {
    STORE_URGE_CALM, /* with long pauses: they hardly notice */
    STORE_URGE_SOON, /* with pauses as long as its work */
    STORE_URGE_NOW,  /* with none */
    STORE_URGES
};
/* Wait until lo >= lsn, urging the applier on, also past a segment that is not full. */
int store_wait_applied(struct store *s, uint64_t lsn, enum store_urge how, uint64_t deadline_ns,
                       struct base_err *err);

/* Words in shared memory that count happenings of the layers above; bump wakes every waiter in
 * every process. Read `seen` first, look at the state, then wait. */
enum store_event {
    STORE_EVENT_SCHEMA, /* a publication, bumped by the store once it is durable */
    STORE_EVENT_LEASE,  /* a lease was given up */
    STORE_EVENT_CHANGE, /* a change was submitted, steered, moved on or ended */
    STORE_EVENT_COUNT
};
uint32_t store_event_seen(const struct store *s, enum store_event event);
int store_event_wait(struct store *s, enum store_event event, uint32_t seen, uint64_t timeout_ns);
void store_event_bump(struct store *s, enum store_event event);

/* ---- nodes and shared areas --------------------------------------------------------------- */

/* A node is an open of the store by a process. Its number is free again after it has gone; the
 * nonce is never used twice. */
struct store_node {
    uint32_t index;
    uint64_t nonce;
    uint32_t pid;
    uint64_t opened_ns;
    bool alive;
};
uint32_t store_node_self(const struct store *s);
uint64_t store_node_nonce(const struct store *s);
/* Alive: registered, and not known to be dead. Cheap, usable inside a proof. */
bool store_node_alive(const struct store *s, uint32_t index, uint64_t nonce);
/* Look for nodes that have died (by their robust locks) and mark them. Not inside a proof. */
void store_node_reap(struct store *s);
/* Fill up to `max` nodes that are registered; returns how many there are. */
size_t store_node_list(struct store *s, struct store_node *nodes, size_t max);

/* Zeroed shared memory for the layers above, one area each, rebuilt empty when the first process
 * opens the store. Valid until close. */
enum store_area {
    STORE_AREA_LEASE,  /* lease_slots * 128 bytes */
    STORE_AREA_CHANGE, /* 64 KiB: live progress of changes */
    STORE_AREA_NAMED,  /* nodes_max * STORE_NAMED_BYTES: what projections name */
    STORE_AREA_COUNT
};
#define STORE_NAMED_BYTES 1024u
void *store_shared_area(struct store *s, enum store_area area, size_t *size_out);

/* Run fn under the writer mutex: short, bounded, no system calls, no store calls but the cheap
 * getters above. For granting and revoking leases. Returns fn's value, or EBUSY / ESTOPPED. */
int store_locked(struct store *s, int (*fn)(void *arg), void *arg, struct base_err *err);

/* ---- transactions ------------------------------------------------------------------------- */

enum store_txn_flag {
    STORE_TXN_READONLY = 1,
    STORE_TXN_SYNC = 2,       /* snapshot <= durable, commit waits for the flush; else async */
    STORE_TXN_SNAPSHOT = 4,   /* validate written keys and STORE_READ_PROBE reads only */
    STORE_TXN_RESERVED = 8,   /* take the advisory turn first: after several losses */
    STORE_TXN_LAST_ROOM = 16, /* may put into the room that a nearly full map keeps for deletes and
                               * drops: for the bookkeeping of those */
    STORE_TXN_BACKGROUND = 32 | STORE_TXN_SYNC /* SYNC, but no application is kept by its flushes:
                                                * applier and builds do not stand back for them */
};
/* What a read means for validation at commit. */
enum store_read {
    STORE_READ_NORMAL,   /* validated when serializable */
    STORE_READ_PROBE,    /* always validated: a constraint depends on it */
    STORE_READ_UNTRACKED /* never validated */
};

/* Begin. The snapshot is never before store_schema_lsn() as of the call; what is needed of it is
 * flushed first. A sync begin after this process's own async commit flushes that first. */
int store_txn_begin(struct store *s, unsigned flags, struct store_txn **txn_out,
                    struct base_err *err);
/* Begin another one, read-only, at the very snapshot of t, for another thread. EBUSY: the trees
 * have moved on, it cannot be had any more. */
int store_txn_begin_beside(const struct store_txn *t, struct store_txn **txn_out,
                           struct base_err *err);
/* Take a new snapshot; only when nothing was read or written yet. */
int store_txn_restart(struct store_txn *t, struct base_err *err);
uint64_t store_txn_lsn(const struct store_txn *t); /* its snapshot S */
bool store_txn_has_writes(const struct store_txn *t);
bool store_txn_has_reads(const struct store_txn *t);
/* Is there room for so many more operations, whose keys, values and 20 bytes each add up to
 * `bytes`? Then puts and deletes of them do not fail with ELIMIT for the transaction's size. */
bool store_txn_room(const struct store_txn *t, size_t bytes, size_t ops);

/* The value is valid until the transaction ends, or writes the same key. ENOTFOUND. A tree that
 * does not exist is an empty tree. Sees the transaction's own writes. */
int store_txn_get(struct store_txn *t, uint64_t tree, struct base_slice key, enum store_read how,
                  struct base_slice *value_out, struct base_err *err);
/* Has the transaction put the key, and not taken it away since? Looks at its own writes alone. */
bool store_txn_has_put(const struct store_txn *t, uint64_t tree, struct base_slice key);
/* Bytes are copied. Writes of one key are netted, the last wins. ELIMIT: key, value or transaction
 * too large, and nothing changed. */
int store_txn_put(struct store_txn *t, uint64_t tree, struct base_slice key,
                  struct base_slice value, struct base_err *err);
int store_txn_delete(struct store_txn *t, uint64_t tree, struct base_slice key,
                     struct base_err *err);

/* Operations on whole trees are part of the commit record, and executed by the applier, in LSN
 * order; a build's may be executed before their turn. Tree ids come from the caller, must be new to
 * create, and are never used again. */
enum store_tree_op {
    STORE_TREE_CREATE = 1,
    STORE_TREE_BEGIN_BUILD = 2, /* the cut: clear the tree, divert later operations to the delta */
    STORE_TREE_FOLD_END = 3,    /* fold the rest of the delta, operations go to the tree again */
    STORE_TREE_DROP = 4         /* with its delta; emptied later in bounded turns */
};
int store_txn_tree_op(struct store_txn *t, enum store_tree_op op, uint64_t tree,
                      struct base_err *err);
/* Another transaction has committed the tree operations of t in the record that ends at lsn, and it
 * is durable: execute them now, before the applier's turn comes. All are cuts, or all are fold-ends
 * of builds whose deltas are short. t stays as it is. hurry: without pauses. After an error the
 * applier executes them in its turn. EBUSY, ELIMIT (too many trees): wait for it.
 * EMAPFULL, ENOSPACE, ENOMEM, ESTOPPED. */
int store_txn_execute_ahead(struct store_txn *t, uint64_t lsn, bool hurry, struct base_err *err);

/* A word of shared memory that must have a value when the commit is made. */
struct store_fence {
    const _Atomic uint64_t *word;
    uint64_t mask; /* (*word & mask) == expect */
    uint64_t expect;
    const _Atomic uint64_t *expiry_ns; /* NULL: none; else os_now_ns() must be before it */
    int code;                          /* what commit returns when it does not hold */
};
struct store_commit {
    const struct store_fence *fences;
    size_t fence_count;
    /* Run inside the mutex when all else holds; not 0 refuses the commit with that code. It may
     * change words of the shared areas. Only lease/publish.c passes one. end_lsn is the LSN that
     * the commit will have. */
    int (*proof)(void *arg, uint64_t end_lsn, struct base_err *err);
    void *proof_arg;
    bool publication;     /* moves the schema LSN; always waits for the flush */
    uint64_t deadline_ns; /* 0: the store's lock timeout from now */
};
/* Commit and end; how may be NULL. A transaction without writes validates nothing and succeeds.
 * ECONFLICT, ESNAPSHOT_TOO_OLD, a fence's code, ENOSPACE, EBUSY, ESTOPPED: nothing was written. So
 * too EMAPFULL: the trees are nearly full, and only deletes, drops and publications go through.
 * ECOMMIT_UNKNOWN: the flush failed after the append. *lsn_out (may be NULL): its LSN. */
int store_txn_commit(struct store_txn *t, const struct store_commit *how, uint64_t *lsn_out,
                     struct base_err *err);
void store_txn_abort(struct store_txn *t); /* NULL is allowed */

/* Keys in [lower, upper); upper.data NULL: no end. Moves one way. */
struct store_range {
    struct base_slice lower;
    struct base_slice upper;
    bool reverse;
};
/* The range is copied. Sees the transaction's own writes, also later ones. Close before the end. */
int store_cursor_open(struct store_txn *t, uint64_t tree, const struct store_range *range,
                      enum store_read how, struct store_cursor **cursor_out, struct base_err *err);
/* INSTAR_END at the end. The slices are valid until the next call on this cursor or a write. */
int store_cursor_next(struct store_cursor *c, struct base_slice *key_out,
                      struct base_slice *value_out, struct base_err *err);
void store_cursor_close(struct store_cursor *c); /* NULL is allowed */

/* ---- building a tree past the log --------------------------------------------------------- */

/* Between BEGIN_BUILD (applied: lo >= its LSN) and FOLD_END. The token is that of the runner: every
 * call compares it inside the LMDB write transaction; ESTATE when another runner has written a
 * newer one. Each batch is one LMDB transaction, through the gate, bounded and paced by who waits
 * for the disk. From store_bulk_begin to commit or abort the applier is kept out: the caller has
 * its entries at hand, stays on one thread, and commits no transaction meanwhile. */

/* hurry: batches as if nobody were there but us, and no standing back for commits. */
/* Claim the build: tokens only rise. */
int store_build_claim(struct store *s, uint64_t tree, uint64_t token, struct base_err *err);
int store_bulk_begin(struct store *s, uint64_t tree, uint64_t token, bool hurry,
                     struct store_bulk **bulk_out, struct base_err *err);
/* What an entry adds to the digest of its tree. Any thread: the one that loads has no time. */
uint64_t store_entry_hash(struct base_slice key, struct base_slice value);
/* hash: store_entry_hash. Keys must ascend strictly from the last key of the tree on: EEXISTS where
 * one does not, EINVALID where it has no size that a key can have. Then nothing was written, and
 * the batch goes on. */
int store_bulk_append(struct store_bulk *b, struct base_slice key, struct base_slice value,
                      uint64_t hash, struct base_err *err);
/* The last key of the tree, valid until the next call; of size 0: there is none. */
int store_bulk_last(struct store_bulk *b, struct base_slice *key_out, struct base_err *err);
/* The batch has reached its size or its time: commit it and begin another. */
bool store_bulk_full(const struct store_bulk *b);
/* The runner's checkpoint, at most 64 KiB, written in the same LMDB transaction. */
int store_bulk_progress(struct store_bulk *b, struct base_slice progress, struct base_err *err);
/* Commit, then pause as pacing asks. Always frees. */
int store_bulk_commit(struct store_bulk *b, struct base_err *err);
void store_bulk_abort(struct store_bulk *b);
/* The checkpoint of the last committed batch since the cut; ENOTFOUND: none. */
int store_build_progress(struct store *s, uint64_t tree, struct base_buf *progress_out,
                         struct base_err *err);
/* Fold a bounded part of the delta into the tree. *left_out: operations left as of now. */
int store_build_fold(struct store *s, uint64_t tree, uint64_t token, bool hurry, uint64_t *left_out,
                     struct base_err *err);
/* See to it that both LMDB metas hold all that was loaded and folded: before FOLD_END. */
int store_build_settle(struct store *s, uint64_t tree, uint64_t token, struct base_err *err);

/* Work that nobody waits for gives way to commits: call this between short pieces of it. When
 * anybody has committed since the last call it sleeps, some times as long as the piece took, of
 * which 5 ms count at most. One for each thread, all zero at first. Returns the nanoseconds slept.
 */
struct store_breath {
    uint64_t since_ns;
    uint64_t tail;
};
uint64_t store_breathe(struct store *s, struct store_breath *b);
/* How long sync committers of all processes wait for their flush, smoothed; 0: none did lately. */
uint64_t store_commit_latency_ns(const struct store *s);

/* ---- looking ------------------------------------------------------------------------------ */

struct store_tree_stat {
    bool exists;
    bool building;
    uint64_t entries; /* folded so far */
    uint64_t delta_entries;
    uint64_t bytes;
};
int store_tree_stat(struct store *s, uint64_t tree, struct store_tree_stat *stat_out,
                    struct base_err *err);
/* The same with about what is not folded yet in entries and bytes. A row that is written anew
 * counts once more. */
int store_tree_guess(struct store *s, uint64_t tree, struct store_tree_stat *stat_out,
                     struct base_err *err);
/* Every tree known to LMDB, dead ones that wait for their purge too. */
int store_tree_list(struct store *s, int (*fn)(void *arg, uint64_t tree, bool dead), void *arg,
                    struct base_err *err);
/* Private path for spill files: a descriptor of a new unlinked-on-close-by-name file in the store's
 * `spill` directory. Names are the caller's, [a-z0-9.-]; all are removed at the first open. */
int store_spill_create(struct store *s, const char *name, int *fd_out, struct base_err *err);
int store_spill_open(struct store *s, const char *name, int *fd_out, struct base_err *err);
int store_spill_remove(struct store *s, const char *name, struct base_err *err);
void store_stat(struct store *s, instar_stats *stats_out);
/* As instar_backup and instar_restore; all options are given. */
int store_backup(struct store *s, const char *path, const instar_backup_options *options,
                 instar_backup_info *info_out, struct base_err *err);
int store_restore(const char *backup, const char *path, const instar_options *options,
                  const instar_restore_options *how, struct base_err *err);
/* What a backup holds, from its manifest alone. */
int store_backup_look(const char *path, instar_backup_info *info_out, struct base_err *err);
/* Look at every page of data.mdb, of one snapshot. What is found wrong goes to one of these, until
 * it returns another value than 0. */
struct store_page_findings {
    /* A page that does not fit: LMDB would follow it anywhere. */
    int (*page)(void *arg, uint64_t page, const char *text);
    /* A tree whose pages fit, and whose entries do not add up to its digest. */
    int (*tree)(void *arg, uint64_t tree, const char *text);
    void *arg;
};
int store_check_pages(struct store *s, const struct store_page_findings *to, uint64_t *pages_out,
                      struct base_err *err);
/* Look at the files of a store that nobody has open, and change nothing: fn gets what was found
 * wrong. EBUSY: it is open somewhere. */
struct store_files {
    uint64_t findings, pages, entries;
};
int store_check_files(const char *path, const instar_options *options,
                      int (*fn)(void *arg, enum instar_problem problem, const char *file,
                                const char *text),
                      void *arg, struct store_files *sum_out, struct base_err *err);
/* Mend what can be mended without guessing, in a store that nobody has open: a meta page of
 * data.mdb from the other one. `text` says what was done, "" when nothing was to be done. */
int store_repair(const char *path, const instar_options *options, char *text, size_t size,
                 struct base_err *err);
/* As instar_overwrite; all options are given. */
int store_overwrite(const char *path, const instar_options *options, uint64_t *bytes_out,
                    struct base_err *err);
/* As instar_cut_log; all options are given. */
int store_cut_log(const char *path, const instar_options *options, instar_log_cut *cut_out,
                  struct base_err *err);
/* Verify the log from lo on: calls fn for each thing found wrong. */
int store_verify(struct store *s, int (*fn)(void *arg, uint64_t lsn, const char *text), void *arg,
                 struct base_err *err);

#endif
