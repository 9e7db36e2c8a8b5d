/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control: what the processes that have a store open share. One file in the runtime directory,
 * mapped by all of them, built anew by the first opener, worthless after a reboot.
 *
 *      0  identity       who built it, for which store, in which layout; constant once ready
 *    256  state          building -> ready -> superseded; poison
 *    512  positions      tail | durable | tail0 | lo | floor | schema LSN | prepared (a line each)
 *   1024  mark           the append that is going on, and the chain value before it
 *   1152  locks          writer, flush, prepare, applier, gate (128 bytes each)
 *   1792  wake-up words  one cache line each
 *   2304  turn, pacing, counters
 *   2560  node slots     nodes_max * 128 bytes
 *      …  areas          of the layers above, see store_shared_area
 *
 * A process may be killed between any two instructions, so each field says who may change it, and
 * how a half-done change is told from a finished one. "Writer" below is the holder of the writer
 * lock. Unless said otherwise a field is one atomic word, and one store moves it.
 *
 * CONTROL-1  lo <= durable <= tail and floor <= lo, at every instant.
 * CONTROL-2  A record is reachable by readers only at or below tail.
 * CONTROL-3  Bytes of the log at or below tail, or inside a mark, are never given out again.
 */
#ifndef INSTAR_STORE_CONTROL_H
#define INSTAR_STORE_CONTROL_H

#include "store/store.h"

#define CONTROL_MAGIC UINT64_C(0x6c72746372617473) /* "starctrl" */
#define CONTROL_LAYOUT 8u
#define CONTROL_LINE 64
#define CONTROL_UNREAD_MAX 8

/* Why nobody writes any more: an I/O failure, or bytes that are not what was written. */
enum control_stop { CONTROL_FAILED = 1, CONTROL_DAMAGED };

enum control_state {
    CONTROL_BUILDING = 0, /* not to be joined */
    CONTROL_READY = 1     /* recovery is done, all words hold */
};

/* A robust lock with its holder's name, so that whoever waits in vain can say for whom. The names
 * are written by the holder; they are for texts, and may be torn or stale when it dies. */
struct control_lock {
    struct os_mutex mutex;
    uint8_t mutex_pad[64 - sizeof(struct os_mutex)];
    _Atomic uint32_t holder_pid; /* 0: nobody */
    _Atomic uint32_t holder_node;
    _Atomic uint64_t since_ns;
    _Atomic uint64_t what[6]; /* what the holder is doing, a text; always ends in zero */
};

/* A node: one open of the store by one process. Free when nonce is 0. Taken, and given back after
 * a death, only by the holder of `lock`. */
struct control_node {
    struct os_mutex lock; /* held by the node's own background thread as long as it lives */
    uint8_t lock_pad[64 - sizeof(struct os_mutex)];
    _Atomic uint64_t nonce; /* last to be set, first to be cleared */
    _Atomic uint32_t pid;
    uint32_t reserved0;
    _Atomic uint64_t opened_ns;
    _Atomic uint64_t write_snapshot; /* by the node itself: its oldest writer's S; UINT64_MAX */
    _Atomic uint64_t log_pin; /* by the node itself: the log is kept from here on; UINT64_MAX */
    uint8_t reserved[24];
};

/* A word to sleep on: bumped by whoever changes what it stands for, then woken. */
struct control_wake {
    _Atomic uint32_t seen;
    uint8_t pad[CONTROL_LINE - sizeof(uint32_t)];
};

struct control_position {
    _Atomic uint64_t at;
    uint8_t pad[CONTROL_LINE - sizeof(uint64_t)];
};

/*
 * The pending mark: set by the writer before it touches the segment, cleared after it has moved
 * tail. `valid` is stored last and cleared first. While it is valid, the next owner after a death
 * can tell by `end` and tail whether the record is visible (store.md, "Death inside"):
 *   end <= tail: published; take the chain value from its header
 *   end >  tail: never published; make it void
 */
struct control_mark {
    _Atomic uint32_t valid;
    uint32_t arena; /* used bytes of the memtable before it */
    _Atomic uint64_t start;
    _Atomic uint64_t end;
    _Atomic uint64_t chain;  /* checksum of the header before it */
    _Atomic uint64_t schema; /* schema LSN before it */
    uint8_t reserved[24];
};

struct store_control {
    /* -- identity: written by the builder before the file gets its name, then constant -- */
    uint64_t magic;
    uint32_t layout;    /* CONTROL_LAYOUT */
    uint32_t signature; /* control_signature(): sizes and places of the fields */
    uint8_t boot_id[16];
    uint8_t log_id[16];      /* of the log: kept by copies of the store */
    uint8_t instance_id[16]; /* of this copy */
    uint64_t device;         /* of the store's directory */
    uint64_t inode;
    uint64_t pid_namespace;
    uint64_t builder; /* nonce of the opener who built this file; never used twice */
    uint64_t size;    /* of the file */
    uint64_t segment_bytes;
    uint64_t mem_bytes; /* of each memtable file */
    uint32_t libc_signature;
    uint32_t pointer_bits;
    uint32_t nodes_max;
    uint32_t lease_slots;
    uint64_t area_at[STORE_AREA_COUNT];
    uint64_t area_size[STORE_AREA_COUNT];
    uint8_t identity_pad[72];

    /* -- state -- */
    _Atomic uint32_t state;      /* builder: BUILDING -> READY once */
    _Atomic uint32_t superseded; /* a later opener that holds the store alone: 0 -> 1 once */
    _Atomic uint32_t poisoned;   /* anyone: 0 -> enum control_stop, or from damaged to failed */
    _Atomic uint32_t poisoning;  /* who may write the text: 0 -> 1 once */
    char poison_text[240];

    /* -- positions, LSNs -- */
    struct control_position tail;    /* writer, upward */
    struct control_position durable; /* flusher, upward */
    struct control_position tail0;   /* flusher, on taking over: tail + 1 as of then; see flush.c */
    struct control_position lo;      /* applier, upward: all before it is in the trees */
    struct control_position floor;   /* writer, upward: validation information starts here */
    struct control_position schema;  /* writer: end of the last publication; before tail */
    struct control_position prepared; /* holder of the prepare lock: start of the newest segment
                                       * that is ready to be written to */
    struct control_position chain;    /* writer: checksum of the last header */

    /* -- the append that is going on: writer -- */
    struct control_mark mark;
    uint8_t mark_pad[64];

    /* -- locks. Order: applier role, gate; the others are leaves -- */
    struct control_lock writer;
    struct control_lock flush;
    struct control_lock prepare;
    struct control_lock applier;
    struct control_lock gate;

    /* -- wake-up words -- */
    struct control_wake flushed;    /* durable moved, or poison */
    struct control_wake applied;    /* lo moved, or poison */
    struct control_wake urge;       /* the applier has something to do */
    struct control_wake background; /* background threads have something to do */
    struct control_wake turn;       /* the turn has ended */
    struct control_wake event[STORE_EVENT_COUNT];

    /* -- the advisory turn (turn.c): when it ends by itself, with a count in the low bits; 0:
     * nobody has it. Taken by compare-and-swap, given back by its holder -- */
    _Atomic uint64_t turn_ticket;
    _Atomic uint64_t turn_next;

    /* -- pacing and requests: any process; advisory -- */
    /* Somebody waits for lo to come so far, in this way or a more urgent one; only upward. */
    _Atomic uint64_t urged_lsn[STORE_URGES];
    _Atomic uint64_t sync_wait_ns; /* when a sync committer last waited */
    _Atomic uint64_t flush_ns;     /* smoothed time of a flush */
    _Atomic int32_t apply_error;   /* applier: why it stands still, a status code; 0: it does not */
    _Atomic int32_t prepare_error; /* why the last preparation failed; 0: it did not */
    _Atomic uint64_t gate_ticket;  /* gate.c's own */
    _Atomic uint64_t gate_serving; /* gate.c's own */
    _Atomic uint64_t fold_cost;    /* applier: ns that a MiB of log takes it, smoothed */
    _Atomic uint64_t admit_cost;   /* applier: ns between MiBs that may be committed; 0: none */
    _Atomic uint64_t admit_due_ns; /* committers: when the next byte may be; see admit.c */

    /* -- counters since the first open: any process, relaxed -- */
    _Atomic uint64_t commits;
    _Atomic uint64_t flushes;
    _Atomic uint64_t conflicts;
    _Atomic uint64_t voids;
    _Atomic uint64_t reader_check_ns; /* when stale LMDB readers were last looked for */
    _Atomic uint64_t map_tight;       /* applier: 1 while only deletes and drops have room */
    /* writer: trees without nodes in the memtables (unread.c) */
    _Atomic uint64_t unread[CONTROL_UNREAD_MAX];
    _Atomic uint64_t flush_round; /* flusher: what the flush that goes on covers; see flush.c */
    _Atomic uint64_t commit_ns;   /* smoothed time that sync committers wait; advisory */
    /* writer: end of the last record that drops a tree, 0 after recovery; advisory (ahead.c) */
    _Atomic uint64_t dropped;
    uint8_t counter_pad[16];

    struct control_node nodes[]; /* nodes_max, then the areas at area_at[] */
};

#define CONTROL_AT(field, offset) \
    _Static_assert(offsetof(struct store_control, field) == (offset), "control layout: " #field)
_Static_assert(sizeof(struct os_mutex) <= 56, "control layout: os_mutex");
_Static_assert(sizeof(struct control_lock) == 128, "control layout: control_lock");
_Static_assert(sizeof(struct control_node) == 128, "control layout: control_node");
_Static_assert(sizeof(struct control_mark) == 64, "control layout: control_mark");
CONTROL_AT(boot_id, 16);
CONTROL_AT(device, 64);
CONTROL_AT(libc_signature, 120);
CONTROL_AT(area_at, 136);
CONTROL_AT(state, 256);
CONTROL_AT(tail, 512);
CONTROL_AT(durable, 576);
CONTROL_AT(chain, 960);
CONTROL_AT(mark, 1024);
CONTROL_AT(writer, 1152);
CONTROL_AT(gate, 1664);
CONTROL_AT(flushed, 1792);
CONTROL_AT(event, 2112);
CONTROL_AT(turn_ticket, 2304);
CONTROL_AT(nodes, 2560);

/* A hash of sizes and offsets: what a static assert cannot see, that another build agrees. */
uint32_t control_signature(void);

/* ---- building and joining (control.c) ------------------------------------------------------ */

/* What identifies a store in `control` and in the name of its runtime directory. */
struct control_identity {
    uint8_t log_id[16];
    uint8_t instance_id[16];
    uint64_t device;
    uint64_t inode;
};

/* What an earlier `control` of this boot still says, after all its processes have gone. */
struct control_past {
    bool found;
    bool poisoned;
    uint64_t durable;
    uint64_t lo;
    char poison_text[240];
};

/* ---- locks --------------------------------------------------------------------------------- */

/* 0, -EOWNERDEAD (locked; put in order, then os_mutex_consistent(&l->mutex)), -ETIMEDOUT, or
 * another negative errno. `what` names the work; it must outlive nothing, it is copied. */
int control_lock_take(struct store *s, struct control_lock *l, const char *what,
                      uint64_t timeout_ns);
void control_lock_leave(struct control_lock *l);
/* EBUSY, naming the lock, its holder's pid, what it does, and since when. */
int control_lock_busy(const struct control_lock *l, const char *name, struct base_err *err);

/* The writer lock: as above, and puts in order what a dead owner left. 0, EBUSY, ESTOPPED, EIO. */
int control_writer_enter(struct store *s, const char *what, uint64_t deadline_ns,
                         struct base_err *err);
/* The same for who appends nothing: a record that cannot be made void yet, for want of room, stays
 * as it is, so that leases go on where the disk is full. In memory it never was. */
int control_memory_enter(struct store *s, const char *what, uint64_t deadline_ns,
                         struct base_err *err);
void control_writer_leave(struct store *s);

/* Bump a word and wake all who sleep on it. */
void control_wake(struct control_wake *w);
/* Sleep while it is `seen`, until the deadline or for at most limit_ns. */
void control_sleep(struct control_wake *w, uint32_t seen, uint64_t deadline_ns, uint64_t limit_ns);

/* Nanoseconds left until a deadline, 0 when it has passed. */
uint64_t control_left_ns(uint64_t deadline_ns);

static inline uint64_t control_load(const struct control_position *p)
{
    return atomic_load_explicit(&p->at, memory_order_acquire);
}
static inline void control_store(struct control_position *p, uint64_t at)
{
    atomic_store_explicit(&p->at, at, memory_order_release);
}

#endif
