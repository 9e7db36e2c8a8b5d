/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build: what an index build and a validation are made of. Only build.c, its parts, validate.c and
 * nulls.c include this.
 */
#ifndef INSTAR_CHANGE_BUILD_IMPL_H
#define INSTAR_CHANGE_BUILD_IMPL_H

#include "change/job_impl.h"
#include "change/sort_impl.h"

/* ---- gaps.c: what is left to be read ------------------------------------------------------ */

#define GAPS_WORKERS_MAX 64
#define GAPS_WAITING_MAX 16 /* that splitting makes, beyond one for each worker */

struct gap_key {
    uint16_t size;
    uint8_t bytes[STORE_KEY_MAX];
};
/* An interval of keys: from lower on (behind it, when `after`) up to, without, upper. */
struct gap {
    struct gap_key lower;
    struct gap_key upper;
    bool after;
    bool endless; /* upper does not count */
};
/* The intervals that are left, shared by the workers. A worker that finds none asks; the others
 * look at that after each of their batches and give away a part of what is before them: so they
 * need not know beforehand how the rows lie. Only its worker changes an interval that is being
 * read. */
struct gaps {
    struct os_plain_mutex lock;
    struct os_cond cond;
    struct gap waiting[GAPS_WORKERS_MAX + GAPS_WAITING_MAX];
    size_t waiting_count;
    struct gap active[GAPS_WORKERS_MAX];
    bool busy[GAPS_WORKERS_MAX];
    unsigned busy_count;
    _Atomic unsigned hungry; /* workers that wait, less what waits for them */
    struct gap_key hint;     /* the last key that there is, where an interval has no end */
    bool stop;
};
void gap_key_set(struct gap_key *k, struct base_slice bytes);
static inline struct base_slice gap_key_slice(const struct gap_key *k)
{
    return base_slice(k->bytes, k->size);
}
/* A key about in the middle between two, by their bytes. False: they are too near. */
bool gap_middle(struct base_slice lower, struct base_slice upper, struct gap_key *middle_out);
void gaps_init(struct gaps *g);
void gaps_destroy(struct gaps *g);
void gaps_add(struct gaps *g, const struct gap *gap);
/* The next interval for a worker, waiting while others may give some away. NULL: all is done or
 * gaps_stop was called. */
struct gap *gaps_take(struct gaps *g, unsigned worker);
static inline bool gaps_wanted(struct gaps *g)
{
    return atomic_load_explicit(&g->hungry, memory_order_relaxed) != 0;
}
/* Give away what lies from `middle` on. It must be inside the worker's interval. */
void gaps_split(struct gaps *g, unsigned worker, const struct gap_key *middle);
/* done: it was read to its end; else the rest waits for whoever comes next. */
void gaps_release(struct gaps *g, unsigned worker, bool done);
/* Wakes all that wait, until gaps_resume. */
void gaps_stop(struct gaps *g);
void gaps_resume(struct gaps *g);

/* ---- limit.c: rows per second ------------------------------------------------------------- */

struct limit {
    struct os_plain_mutex lock;
    _Atomic uint64_t rate; /* 0: none */
    uint64_t next_ns;
};
void limit_init(struct limit *l, uint64_t rows_per_second);
void limit_set(struct limit *l, uint64_t rows_per_second);
void limit_destroy(struct limit *l);
/* Rows that may be read at once, so that waits are short. */
uint32_t limit_batch(const struct limit *l);
/* Take so many; returns how long to wait before reading them. */
uint64_t limit_take(struct limit *l, uint64_t now_ns, uint64_t rows);

/* ---- checkpoint.c ------------------------------------------------------------------------- */

#define CHECKPOINT_BYTES_MAX ((size_t)60 << 10) /* the store takes 64 KiB */
#define CHECKPOINT_RUNS_MAX 96

struct checkpoint_run {
    struct run run;
    uint64_t token; /* of the runner that wrote it: part of the name */
    uint32_t number;
};
/* How far a build is, as of a batch of its loading: written in that batch's own transaction.
 * Invariant BUILD-1: every row of the table as of the cut lies in a gap, or its entry is in a run,
 * or in the tree; or an operation after the cut, which the delta has, made it irrelevant. */
struct checkpoint {
    uint64_t token;
    uint32_t next_run;  /* number of the next run of that token */
    bool loaded;        /* all is in the tree: only the delta is left */
    uint64_t rows_done; /* those that lie in no gap */
    uint64_t entries_loaded;
    struct gap_key last; /* key that was loaded last; size 0: none */
    size_t gap_count;
    struct gap gaps[GAPS_WORKERS_MAX + GAPS_WAITING_MAX];
    size_t run_count;
    struct checkpoint_run runs[CHECKPOINT_RUNS_MAX];
};
int checkpoint_encode(const struct checkpoint *c, struct base_buf *out, struct base_err *err);
/* Trusts nothing. ECORRUPT. */
int checkpoint_decode(struct base_slice bytes, struct checkpoint *checkpoint_out,
                      struct base_err *err);

/* ---- crew.c: threads that work on one thing ----------------------------------------------- */

struct crew {
    unsigned workers;
    const char *name;
    int (*work)(void *arg, unsigned worker, struct base_err *err);
    void (*halt)(void *arg); /* makes all of them end soon; called from any thread */
    int (*poll)(void *arg, struct base_err *err); /* in the calling thread, now and then */
    void *arg;
};
/* Returns when all have ended: the first result of work or poll that is not 0, or 0. */
int crew_run(const struct crew *crew, struct base_err *err);
/* As many as are wanted: by the change, else by the store, else one for each processor; but not
 * more than are useful. */
unsigned crew_workers(const struct job *j, uint64_t useful);

/* ---- the build ---------------------------------------------------------------------------- */

struct build;
/* One of the indexes that are built. */
struct built {
    struct build *build;
    const struct catalog_index *index;
    uint64_t tree;
    struct stream *streams; /* one for each worker, GAPS_WORKERS_MAX */
    struct checkpoint *ck;  /* what is durable, and what the next batch makes so */
};
/* All indexes of a change, fed by one scan of their table from one pool of memory. Each has a
 * checkpoint of its own, and BUILD-1 holds for each of them: they are written one after the other,
 * and what the one that lags has still to read is read for all, which does no harm to the others.
 */
struct build {
    struct job *job;
    struct store *store;
    struct catalog_table *table; /* a private copy */
    struct built *all;
    size_t count;
    unsigned workers;
    size_t budget_bytes;
    struct pool pool;
    struct gaps *gaps;
    struct limit limit;
    uint64_t scan_from_lsn;   /* snapshots are at or after it: the cut is behind it */
    _Atomic uint64_t rows;    /* read so far, those before a crash included */
    _Atomic unsigned reading; /* workers that have a snapshot */
    uint64_t rows_saved;      /* of them, by what the checkpoints say */
    uint64_t rows_total;
    uint64_t entries_total;     /* of all indexes, while they are loaded */
    _Atomic bool halt;          /* scan workers are to end */
    _Atomic bool full;          /* because the memory is used up */
    struct os_plain_mutex lock; /* for waiting out the limit */
    struct os_cond cond;
    uint64_t spilled_ns;                         /* last checkpoint of the scan, or its beginning */
    uint64_t tail_seen;                          /* to notice who commits while we write files */
    struct job_breath breaths[GAPS_WORKERS_MAX]; /* one for each worker */
    struct job_breath load_breath;               /* of who loads */
    _Atomic uint64_t stood_back_ns;              /* all of them together, for commits */
    uint64_t stood_back_shown;
};
/* Entries in memory. */
static inline uint64_t built_gathered(const struct built *x)
{
    uint64_t entries = 0;

    for (unsigned i = 0; i < x->build->workers; i++) {
        entries += x->streams[i].entries;
    }
    return entries;
}
/* Say in the change's progress why the build is slowed down, if it is. Main thread of the build. */
void build_show_throttle(struct build *b);
/* A worker lets commits go before it, between its pieces of work; arg is the build. */
void build_breathe(void *arg, unsigned worker);

/* ---- scan.c ------------------------------------------------------------------------------- */

/* Read until all gaps are done (0), or the memory is full or a checkpoint is due (SCAN_SPILL). */
#define SCAN_SPILL 100
int scan_run(struct build *b, struct base_err *err);

/* ---- spill.c ------------------------------------------------------------------------------ */

/* Sort what was gathered into a run for each index that is not loaded, and make it and the gaps
 * that are left durable. */
int spill_write(struct build *b, struct base_err *err);
/* Open all runs of the checkpoint. *ok_out: false when one is missing or another file. */
int spill_open(struct built *x, struct run_reader *readers, bool *ok_out, struct base_err *err);
void spill_close(struct run_reader *readers, size_t count);
/* Remove the files of the checkpoint's runs, and one that may have been left half written. */
void spill_remove(struct store *s, uint64_t tree, const struct checkpoint *ck);

/* ---- load.c ------------------------------------------------------------------------------- */

/* The front of an entry's value, for sorting; arg is the built index, and what the entry includes
 * stands behind its key. */
void load_entry_value(void *arg, struct base_slice key, uint8_t value[SORT_VALUE_SIZE]);
/* Commit the checkpoint as it stands, without entries. */
int load_checkpoint(struct built *x, struct base_err *err);
/* Everything that is in memory and in the runs, into the trees that are not loaded. */
int load_run(struct build *b, struct base_err *err);

#endif
