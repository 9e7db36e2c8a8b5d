/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The second model: commit, flush, rotation, recovery and retirement of the log, beside an applier,
 * with page cache and disk apart. README.md says what was left out.
 *
 * A log of a few slots, one record each, in segments of two. A record is what it says and all that
 * was before it: its header holds the checksum of the one before. So a record is written here as
 * its path: the contents of all slots up to its own. Two records at one place with one path are the
 * same byte for byte.
 *
 * How to read it: this header is the state. log_commit.c, log_files.c and log_recovery.c are the
 * transition relation, log_machine.c is the rest: what must hold, keys, traces; log_cases.c lists
 * what is searched.
 */
#ifndef INSTAR_MODEL_LOG_H
#define INSTAR_MODEL_LOG_H

#include "search.h"

enum {
    SLOTS_MAX = 6,
    SEGMENT = 2, /* slots of a segment */
    SEGMENTS_MAX = SLOTS_MAX / SEGMENT,
    PROCESSES = 2,
    VOIDED = 3 /* the content of a void; 1 and 2 are commits */
};

/* What a place in a file holds. */
enum cell_kind { EMPTY, TORN, RECORD };
struct cell {
    unsigned kind;
    unsigned path; /* of a record: two bits for each slot up to its own */
};

/* Where a process stands. The order of the groups matters: see the tests below. */
enum place {
    DOWN,
    AT_REST,
    /* holds the writer mutex */
    MARKED,    /* the mark is set */
    WRITTEN,   /* the record is in the page cache */
    PUBLISHED, /* tail has moved, the mark stands */
    /* holds the flush lock */
    FLUSHES,     /* has loaded the tail */
    VERIFIED,    /* has verified what is to be written back */
    MAY_SYNC,    /* has written back what had to be */
    SYNCED,      /* the sync has said that all is well */
    HAS_FAILED,  /* it has said that not */
    PREPARES,    /* has made the next segment, whose name is not on disk yet */
    HALF_FOLDED, /* the applier: a first batch is in the trees */
    FOLDED,      /* the newer meta says so, in the page cache */
    /* holds the store alone */
    READS, /* has found the end of the log */
    WROTE_BACK,
    ZEROED,
    RECOVERED, /* the segments are synced */
    DELETED,   /* what was behind is gone */
    MAY_SHOW
};

struct log_model {
    /* Files, as processes see them (cache) and as a power cut leaves them (disk). */
    struct cell cache[SLOTS_MAX];
    struct cell disk[SLOTS_MAX];
    unsigned dirty;       /* slots whose cache is still to be written, one bit each */
    unsigned name;        /* segments whose file has a name, one bit each */
    unsigned name_disk;   /* the same after a power cut */
    unsigned write_error; /* segments whose next sync is told of an error, one bit each */

    /* The trees: two metas. They hold the log up to lo, and after a half fold a part up to `part`.
     */
    unsigned lo;
    unsigned lo_older;
    unsigned part;
    unsigned tree_path;
    unsigned meta_dirty; /* the newer meta may not be on disk */

    /* `control`. It outlives the processes, but not the boot. */
    unsigned is_up;    /* somebody may join */
    unsigned has_past; /* no one lives, but it says how far the log was durable */
    unsigned tail;
    unsigned durable;
    unsigned prepared; /* the newest segment that may be written to */
    unsigned chain;    /* path of the last record, up to tail */
    unsigned mark;     /* content of the record that is being written, 0: none */
    unsigned mark_at;
    unsigned mutex_dead; /* its owner has died */
    unsigned flush_dead;
    unsigned flush_to;
    unsigned tail0; /* + 1: write back until durable is beyond it; 0: no need */
    unsigned stopped;

    unsigned at[PROCESSES]; /* enum place */

    /* The opener's own memory. */
    unsigned stop;
    unsigned path;

    /* What only the oracle knows. */
    unsigned promise;            /* path of what was durable, or shown by a recovery */
    unsigned promised;           /* slots of it */
    unsigned line;               /* what was written since: the truth */
    unsigned written;            /* slots of it, a record that was not published yet included */
    unsigned instead[SLOTS_MAX]; /* what a dead writer had written where there is a void now */
    unsigned shown; /* slots that were published; 0 after a power cut or an I/O error */
    unsigned cuts_left;
    unsigned kills_left;
    unsigned errors_left;
    unsigned seen; /* milestones */
    unsigned bad;
};

enum log_rule {
    LOG_CHAIN,          /* a header holds the checksum of the one before */
    LOG_CHAIN_KEPT,     /* the writer takes that checksum from control, not from a page */
    LOG_VOID_PUBLISHED, /* a dead writer's record that was published stays */
    LOG_TAIL_FIRST,     /* the flusher loads the tail before it syncs */
    LOG_EACH_SEGMENT,   /* a flush syncs each segment that it covers */
    LOG_TAKEOVER,       /* a dead flusher's successor writes back */
    LOG_TAIL0,          /* … until durable has passed the tail of that time */
    LOG_VERIFIED,       /* … after it has verified */
    LOG_PRIVATE_COPY,   /* … the copy that it has verified */
    LOG_NO_RETRY,       /* a failed flush is not tried again */
    LOG_STOPS,          /* … but stops the store for all */
    LOG_STAYS_STOPPED,  /* nobody opens a stopped store in this boot */
    LOG_PREPARED_LATE,  /* a segment is used when its name is on disk */
    LOG_FOLD_DURABLE,   /* the applier folds what is durable */
    LOG_BOTH_METAS,     /* a segment goes when both metas are beyond it */
    LOG_RECOVERY_WRITES_BACK,
    LOG_RECOVERY_ZEROES,
    LOG_RECOVERY_SYNCS,
    LOG_RECOVERY_DELETES,
    LOG_RECOVERY_SYNCS_DIR,
    LOG_RULES,
    LOG_ALL_RULES = LOG_RULES
};

enum log_property {
    LOG_HOLDS,
    LOG_PROMISE_LOST,
    LOG_DEAD_SHOWN,
    LOG_KILL_LOSES,
    LOG_REFUSED,
    LOG_TREES_AHEAD,
    LOG_VOIDS_PUBLISHED,
    LOG_PROPERTIES
};

enum log_milestone {
    RECOVERED_AFTER_CUT = 1,
    RECOVERED_AFTER_KILL = 2,
    VOID_WRITTEN = 4,
    STORE_STOPPED = 8,
    SEGMENT_RETIRED = 16,
    CUT_IN_RECOVERY = 32,
    WRITTEN_BACK = 64
};

struct log_bounds {
    unsigned slots;
    unsigned contents; /* of a commit */
    unsigned cuts, kills, errors;
};

struct log_config {
    struct log_bounds bounds;
    unsigned without; /* an enum log_rule */
    bool applier;
};
extern struct log_config log_config;

static inline bool lacks(enum log_rule rule)
{
    return log_config.without == (unsigned)rule;
}

enum log_action {
    LOG_BEGINS,
    LOG_SETTLES,
    LOG_MARKS,
    LOG_WRITES,
    LOG_PUBLISHES,
    LOG_UNLOCKS,
    LOG_FLUSHES,
    LOG_VERIFIES,
    LOG_WRITES_BACK,
    LOG_SYNCS,
    LOG_RAISES,
    LOG_POISONS,
    LOG_MAKES_SEGMENT,
    LOG_SYNCS_NAME,
    LOG_FOLDS_HALF,
    LOG_FOLDS,
    LOG_META_SYNCED,
    LOG_RETIRES,
    LOG_ERROR,
    LOG_EVICTS,
    LOG_KILL,
    LOG_POWER_CUT,
    LOG_JOINS,
    LOG_OPENS,
    LOG_RECOVERS
};

static inline struct label log_label(enum log_action action, unsigned a, unsigned b)
{
    return (struct label){action, a, b};
}

static inline unsigned segment_of(unsigned slot)
{
    return slot / SEGMENT;
}
/* The first `slots` contents of a path. */
static inline unsigned prefix(unsigned path, unsigned slots)
{
    return path & ((1u << 2 * slots) - 1);
}
static inline unsigned content(unsigned path, unsigned slot)
{
    return path >> 2 * slot & 3;
}
static inline unsigned extend(unsigned path, unsigned slot, unsigned what)
{
    return prefix(path, slot) | what << 2 * slot;
}
/* No page was ever lost to an I/O error. */
static inline bool no_error(unsigned errors_left)
{
    return errors_left == log_config.bounds.errors;
}
static inline bool has_mutex(unsigned place)
{
    return place >= MARKED && place <= PUBLISHED;
}
static inline bool has_flush_lock(unsigned place)
{
    return place >= FLUSHES && place <= HAS_FAILED;
}
static inline bool is_applier(unsigned place)
{
    return place == HALF_FOLDED || place == FOLDED;
}
static inline bool is_alone(unsigned place)
{
    return place >= READS;
}
static inline bool anyone(const struct log_model *m, bool (*is)(unsigned place))
{
    for (unsigned p = 0; p < PROCESSES; p++)
        if (is(m->at[p]))
            return true;
    return false;
}

/* Overwrite a place in the cache. What was there and still dirty may have been written to the disk
 * already, in the background: with `passed` it was. */
void log_put(struct log_model *m, unsigned slot, struct cell cell, bool passed);

void log_commit_steps(const struct log_model *m, struct sink *sink);
void log_file_steps(const struct log_model *m, struct sink *sink);
void log_recovery_steps(const struct log_model *m, struct sink *sink);

struct result search_log(const struct log_config *c, bool trace);
extern const char *const log_property_text[LOG_PROPERTIES];

/* log_cases.c */
struct log_case {
    const char *name;
    const char *text;
    struct log_config config; /* its bounds are the quick ones */
    struct log_bounds full;
    unsigned milestones;
};
struct log_control {
    const char *name;
    const char *text;
    const char *base;
    enum log_rule rule;
    struct log_bounds bounds;
    unsigned finds; /* properties, one bit each */
};
extern const struct log_case log_cases[];
extern const size_t log_cases_count;
extern const struct log_control log_controls[];
extern const size_t log_controls_count;
struct log_config log_control_config(const struct log_control *c);

#endif
