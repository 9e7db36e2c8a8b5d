/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store, inside: what its files know of each other. Two halves:
 *   the log side:  control, node, segment, record, memtable, commit, flush, rotate, recovery, open
 *   the tree side: trees (LMDB), gate, apply, delta, bulk, snapshot, cursor, txn
 * They meet in the functions below. The shared-memory layout is in control.h.
 */
#ifndef INSTAR_STORE_IMPL_H
#define INSTAR_STORE_IMPL_H

#include "store/store.h"

struct store_control; /* control.h */
struct trees;         /* trees.h: the LMDB environment of this process */
struct applier;       /* apply.c: this process's applier thread */
struct txn_pool;      /* txn.c: transactions kept for reuse */

/* One log segment with its memtable, as mapped by this process. Shared by its pins. */
struct segment {
    uint64_t start; /* LSN of its first byte; it ends at start + segment_bytes */
    int fd;
    const uint8_t *bytes; /* the whole file, read-only map */
    void *mem;            /* struct memtable in shared memory; NULL when it was not mapped */
    size_t mem_size;
    size_t size;   /* of bytes */
    uint32_t pins; /* under segments_lock */
    struct segment *next;
};
/* The start of the segment that holds the byte at `lsn`. */
static inline uint64_t segment_base(uint64_t lsn, uint64_t segment_bytes)
{
    return lsn & ~(segment_bytes - 1);
}

/* An open store of this process. */
struct store {
    instar_options options;
    uint8_t log_id[16];      /* of the log; kept by copies */
    uint8_t instance_id[16]; /* of this copy of it */
    uint64_t device, inode;  /* of the directory */
    int dirfd;
    int log_fd;     /* directory of the segments */
    int lock_fd;    /* the lock file: shared while open */
    int runtime_fd; /* directory of control and memtables */
    char runtime_path[256];
    struct store_control *ctl; /* NULL until recovery is done. Its pages are given back, but its
                                * addresses never used again while the process lives (a robust
                                * mutex may be written to late) */
    size_t ctl_size;
    uint64_t segment_bytes; /* = options.segment_bytes */
    uint32_t node;          /* own slot in ctl */
    uint64_t node_nonce;
    pid_t pid; /* of the opener: a fork is detected by it */
    struct os_plain_mutex segments_lock;
    struct segment *segments; /* mapped now, newest first */
    struct trees *trees;
    struct applier *applier;
    struct txn_pool *txns;
    struct os_thread
        background; /* holds the node's lock, flushes async commits, prepares segments */
    _Atomic bool closing;
    _Atomic bool room_is_short;      /* the same: for the process that folds */
    _Atomic uint64_t room_looked_ns; /* room.c: when this process last looked for room */
    _Atomic uint64_t room_looked_lo;
    _Atomic uint64_t own_async_lsn; /* newest async commit of this handle */
    _Atomic uint64_t committed_in;  /* segment of its newest commit, or 0 */
    _Atomic bool backing_up;        /* a thread of this process has the node's pin of the log */
    struct os_plain_mutex writers_lock;
    struct store_txn *writers; /* open write transactions: the oldest S goes to the node slot */
};

/* ---- records ------------------------------------------------------------------------------ */

enum record_kind {
    RECORD_BATCH = 1,
    RECORD_PUBLICATION = 2, /* a batch that moves the schema LSN */
    RECORD_TREE_OP = 3, /* a batch with tree operations in it (may be a publication too: flag) */
    RECORD_PAD = 4,
    RECORD_VOID = 5
};

/* A verified record: bytes point into the map or the buffer it was read from. */
struct record {
    uint64_t start, end; /* LSNs; end is the commit's LSN */
    enum record_kind kind;
    bool publication;
    uint64_t durable_when_written;
    uint64_t chain; /* this header's checksum: the next record must name it */
    struct base_slice body;
};

/* One operation of a body. Body: operations in order, tree operations first, then puts and deletes
 * sorted by (tree, key):  u8 op | varint tree | [varint key size | key | [varint value size |
 * value]] */
enum record_op_kind {
    RECORD_PUT = 1,
    RECORD_DELETE = 2,
    RECORD_TREE = 16 /* 16 + enum store_tree_op */
};
struct record_op {
    uint8_t op;
    uint64_t tree;
    struct base_slice key;
    struct base_slice value;
};
bool record_body_add(struct base_buf *body, const struct record_op *op);
/* Walk a body: 0, INSTAR_END, or ECORRUPT with the offset named. */
int record_body_next(struct base_reader *r, struct record_op *op_out, struct base_err *err);

/* Walk accepted records from an LSN whose chain value is known (recovery, apply, verify). Segments
 * are pinned as needed. */
struct log_reader {
    struct store *s;
    uint64_t at;
    uint64_t chain;
    struct segment *seg;
};
void log_reader_init(struct log_reader *r, struct store *s, uint64_t from, uint64_t chain);
/* The next record that ends at or before `limit`, pads and voids included: 0, INSTAR_END, ECORRUPT.
 */
int log_reader_next(struct log_reader *r, uint64_t limit, struct record *out, struct base_err *err);
void log_reader_done(struct log_reader *r);

/* ---- segments and memtables --------------------------------------------------------------- */

/* Pin the segments (with memtables) that cover (from, to]. ENOTFOUND when one has been retired. */
#define SEGMENT_PINS_MAX 160
struct segment_pins {
    struct segment *seg[SEGMENT_PINS_MAX]; /* oldest first */
    size_t count;
};
int segment_pin_range(struct store *s, uint64_t from, uint64_t to, struct segment_pins *pins_out,
                      struct base_err *err);
void segment_unpin(struct store *s, struct segment_pins *pins);

/* Have at hand what a look for a key of this hash begins with: each memtable's filter is in another
 * place of memory, and most looks end there. */
uint64_t memtable_key_hash(uint64_t tree, struct base_slice key);
void memtable_fetch(const struct segment *seg, uint64_t hash);
/* About how many operations on a tree a memtable has behind an LSN, and the size of their keys and
 * values. What is wrong with it is for readers to say. */
struct memtable_guess {
    uint64_t puts, deletes, bytes;
};
struct memtable_guess memtable_guess(const struct segment *seg, uint64_t tree, uint64_t after);
/* The newest version with LSN <= snapshot that this memtable has of a key: 0, ENOTFOUND, ECORRUPT
 * (a link that leads nowhere: the store is poisoned by the caller through store_poison). */
struct memtable_hit {
    uint64_t lsn;
    bool deleted;
    struct base_slice value; /* in the segment's map */
};
int memtable_get(const struct segment *seg, uint64_t tree, struct base_slice key, uint64_t snapshot,
                 struct memtable_hit *hit_out);
/* Ordered walk over one tree of one memtable, as of a snapshot: each key once, its newest version,
 * deletes included. The moves return 0, INSTAR_END, or ECORRUPT; after 0 key and hit are set, they
 * point into the segment's map. After INSTAR_END the iterator stands nowhere: seek again. */
struct memtable_iter {
    const struct segment *seg;
    uint64_t tree;
    uint64_t snapshot;
    uint64_t after; /* only versions with a greater LSN; 0 at first */
    uint32_t node;  /* arena offset, 0: none */
    struct base_slice key;
    struct memtable_hit hit;
};
void memtable_iter_init(struct memtable_iter *it, const struct segment *seg, uint64_t tree,
                        uint64_t snapshot);
int memtable_iter_seek(struct memtable_iter *it, struct base_slice key);        /* first key >= */
int memtable_iter_seek_before(struct memtable_iter *it, struct base_slice key); /* last key <;
                                                         data NULL: the last key of the tree */
int memtable_iter_next(struct memtable_iter *it);
int memtable_iter_prev(struct memtable_iter *it);

/* ---- commit, flush, positions ------------------------------------------------------------- */

struct commit_request {
    uint64_t snapshot;
    struct base_slice body;
    enum record_kind kind;
    bool publication;
    bool sync;
    bool waits;                     /* an application is kept by the flush: see flush_to */
    uint64_t turn;                  /* ticket of turn_take, 0: none */
    const struct store_commit *how; /* never NULL here */
    /* Does this operation of a later commit contradict what the transaction read or writes? Called
     * outside the mutex for most of the log, inside for the last 64 KiB. */
    bool (*conflicts)(void *arg, const struct record_op *op);
    void *arg;
};
int commit_run(struct store *s, const struct commit_request *req, uint64_t *lsn_out,
               struct base_err *err);
/* Limits of one body: to be refused (ELIMIT) while it is gathered. */
uint64_t commit_body_bytes_max(const struct store *s);
uint64_t commit_ops_max(const struct store *s);

/* The advisory turn: others hold back their commits until turn_end, at most 100 ms. Waits for the
 * turn, and flushes to the tail, so that the snapshot taken next is the newest. */
int turn_take(struct store *s, uint64_t deadline_ns, uint64_t *ticket_out, struct base_err *err);
/* Take it if nobody has it, for a commit that is ready but does not get through: 0, or a ticket. */
uint64_t turn_try(struct store *s);
void turn_end(struct store *s, uint64_t ticket);

/* Positions as the tree side sets them. */
void control_set_applied(struct store *s, uint64_t lo); /* wakes who waits for it */
/* The oldest snapshot of a write transaction of this process: retirement lags behind it. */
void node_set_write_snapshot(struct store *s, uint64_t lsn); /* UINT64_MAX: none */
/* Ask for the applier: something waits for lo to move up to lsn. */
void applier_urge(struct store *s, uint64_t lsn, enum store_urge how);
/* How far it is asked to go in this way, or a more urgent one. */
uint64_t applier_urged(const struct store *s, enum store_urge how);
/* Why the applier stands still (ENOSPACE, EMAPFULL …), 0: it does not. Commits that wait for it
 * fail with that code in place of waiting. */
void applier_set_error(struct store *s, int code);
/* After an I/O failure: the store stops for everybody. Called before any lock is released. */
void store_poison(struct store *s, const char *why);
/* The same when bytes in the log or in shared memory are not those that were written. */
void store_poison_damaged(struct store *s, const char *why);
/* Retire segments that are folded in both metas and that no write snapshot needs. Called by the
 * applier outside its LMDB transaction. */
void segment_retire(struct store *s, uint64_t folded_in_both_metas);
/* True when a sync committer has waited for a flush in the last `ns`; and the measured latency of
 * a flush: what batches pace themselves by. */
bool flush_waited_for_within(const struct store *s, uint64_t ns);
uint64_t flush_latency_ns(const struct store *s);

/* ---- what the log side asks of the trees -------------------------------------------------- */

/* Positions kept in LMDB, with the chain value at lo. */
struct trees_position {
    uint64_t lo, hi;
    uint64_t chain;
};
/* Make the environment in an empty directory: position 0 chain 0. Synced, also the directory. */
int trees_create(int dirfd, const instar_options *o, const uint8_t log_id[16],
                 struct base_err *err);
/* Open. `exclusive`: nobody else has the store, leftovers (dead trees' names) may be removed;
 * s->ctl is still NULL then, because recovery needs the position first. No lock of ctl may be used
 * here. */
int trees_open(struct store *s, bool exclusive, struct base_err *err);
void trees_close(struct store *s);
/* Of the lock file that trees_open makes in the runtime directory. */
uint64_t trees_lock_bytes(const instar_options *o);
/* Called by trees_open and trees_close. */
int txn_pool_open(struct store *s, struct base_err *err);
void txn_pool_close(struct store *s);
int trees_position_get(struct store *s, struct trees_position *out, struct base_err *err);
/* lo in the older of the two LMDB metas: LMDB may fall back by one. */
int trees_older_lo(struct store *s, uint64_t *lo_out, struct base_err *err);
/* Look how much room the map has, and set map_tight. The applier does so after each fold. */
int room_look(struct store *s, struct base_err *err);
/* Is the map too full for puts? After map_tight has said so; it may take that back (room.c). */
bool room_refuses(struct store *s);
int applier_start(struct store *s, struct base_err *err);
void applier_stop(struct store *s);

/* The gate before LMDB's write lock, in control: robust, timed, holder recorded, in turns. */
int gate_enter(struct store *s, const char *what, uint64_t deadline_ns, struct base_err *err);
void gate_leave(struct store *s);

#endif
