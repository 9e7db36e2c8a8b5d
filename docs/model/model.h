/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An abstract model of the schema protocol, small enough to be searched exhaustively.
 *
 * One table, one index on its one column, two nodes. Everything that the protocol's rules speak of
 * is here: versions, leases, transactions, the log and the applier behind it, the cut, scan, load,
 * delta, fold, validation, revert, drop and purge. README.md says what was left out and why that is
 * sound.
 *
 * How to read it: this header is the state. txn.c, store.c and change.c are the transition
 * relation, one function for each thing that can happen. check.c is the oracle: what must be true
 * in every state. cases.c lists what is searched. rows.c, pack.c, trace.c, search.c and main.c are
 * machinery; log.h is the other model.
 *
 * Positions. An LSN is a number of records. The model keeps only the records after `lo`, so a
 * position p is relative to it: a snapshot at p sees what LMDB holds and log[0 .. p). Position 0 is
 * lo, position m->pending is the tail.
 */
#ifndef INSTAR_MODEL_H
#define INSTAR_MODEL_H

#include "search.h"

#include <stdio.h>

enum {
    ROWS_MAX = 3,     /* rows of the table, by primary key */
    VALUES = 2,       /* values of the indexed column: 1 and 2; 0 says "no such row" */
    PENDING_MAX = 5,  /* records after lo */
    NODES = 2,        /* processes */
    TXNS_MAX = 4,     /* open read-write transactions; slot t belongs to node t % 2 */
    VERSIONS_MAX = 8, /* versions of the table in one run */
    STEPS_MAX = 10,   /* steps of a plan */
    COMMITS_MAX = 15  /* of a run in which they are limited */
};

/* The order matters: a stage has the capabilities of all before it. */
enum stage { ABSENT, DELETE_ONLY, WRITE_ONLY, ENFORCING, PUBLIC };

/* What one transaction does to one row. Zero: it does not write it. */
struct write {
    unsigned written;
    unsigned old; /* what it read at its snapshot */
    unsigned new;
};

enum kind { NO_RECORD, BATCH, PUBLICATION, BEGIN_BUILD, FOLD_END, DROP_TREE };

struct record {
    unsigned kind;
    unsigned stage;   /* BATCH: of its writer's version; PUBLICATION: of the new version */
    unsigned version; /* BATCH: its writer's, which is the tag of the rows it writes (only when tags
                         are kept) */
    struct write write[ROWS_MAX];
};

enum phase {
    IDLE,
    BEGUN, /* has its snapshot, has not touched the table */
    LEASED /* relies on its node's grant on its version */
};

/*
 * A read-write transaction. Its operation is chosen when it begins: all it reads, it reads at its
 * snapshot. A writer writes rows. A reader reads one value through the index and writes to some
 * other table.
 */
struct txn {
    unsigned phase;
    unsigned version;
    unsigned looks_for; /* reader: the value that it looked up; 0: a writer */
    unsigned
        stale; /* reader: the rows with that value have changed since (only the oracle knows) */
    struct write write[ROWS_MAX];
};

/* Where the applier sends the operations on the index tree. */
enum mode { DIRECT, DIVERTED, DROPPED };

enum verdict { RUNNING, DUPLICATE, CANCELLED };

/* A set of index entries (value, row), one bit each: see entry(). */
typedef unsigned entries;

struct model {
    /* What LMDB holds: every record up to lo, and what was loaded past the log. */
    unsigned row[ROWS_MAX];
    unsigned tag[ROWS_MAX];
    entries tree;
    entries delta_put;
    entries delta_delete;
    unsigned mode;
    unsigned purged;

    /* The log after lo. */
    unsigned pending;
    unsigned durable;
    unsigned version_lo;
    struct record log[PENDING_MAX];

    /* The schema: the latest version, and the index's stage in each version. */
    unsigned version;
    unsigned stage[VERSIONS_MAX];

    /* Nodes: the versions on which each holds a valid grant, one bit each. */
    unsigned lease[NODES];
    struct txn txn[TXNS_MAX];

    /* The change and its runner. */
    unsigned plan;
    unsigned step;
    unsigned verdict;
    unsigned since;           /* the runner's snapshots are at this position or later */
    unsigned image[ROWS_MAX]; /* scanned, not yet loaded: 0 nothing, 1 no row, 1 + value */
    unsigned loaded;          /* rows whose image is in the tree, one bit each */
    entries checked;          /* places that the validation has read */
    entries found;      /* entries that it found there (kept only if a prefix may span snapshots) */
    unsigned duplicate; /* values that two rows shared at the drain or later, one bit each */

    unsigned commits_left; /* when commits are limited */
    unsigned bad;          /* a property that the last step broke; such a state is not kept */
};

/* The rules that `--without` can take out. A stage rule is another plan; the others are tests of
 * without(). */
enum rule {
    ABSENT_TO_PUBLIC,
    DELETE_ONLY_TO_PUBLIC,
    UNIQUE_WITHOUT_ENFORCING,
    PUBLIC_TO_ABSENT,
    NO_DRAIN_BEFORE_CUT,
    TWO_VERSION_RULE_OFF,
    NO_FENCE,
    OLD_LEASE_GRANTED,
    NO_LEASE_FOR_READS,
    SCAN_BEFORE_CUT,
    DELTA_DELETES_LOST,
    FOLD_AFTER_DIRECT,
    CUT_AT_APPLIED,
    ROW_CONFLICTS_OFF,
    VALIDATED_BEFORE_DRAIN,
    PREFIX_OVER_TWO_SNAPSHOTS,
    PURGE_PAST_LOG,
    PURGE_AT_WRITE_ONLY,
    ABSENT_TO_WRITE_ONLY,
    PUBLISH_BEFORE_FOLD_END,
    LOAD_BEFORE_CUT,
    SCAN_BEYOND_DURABLE,
    PROBES_NOT_VALIDATED,
    RULES,
    NO_RULE = RULES
};

/* What must never happen. The texts are in check.c. */
enum property {
    HOLDS,
    INDEX_DIFFERS,
    ENTRY_DANGLES,
    UNIQUE_BROKEN,
    ENTRIES_AFTER_PURGE,
    DROPPED_TREE_WRITTEN,
    FALSE_DUPLICATE,
    PHANTOM,
    THREE_VERSIONS,
    LATER_TAG,
    PROPERTIES
};

enum plan_id {
    PLAN_ADD,
    PLAN_ADD_UNIQUE,
    PLAN_DROP,
    PLAN_DROP_UNIQUE,
    PLAN_REVERT,
    PLAN_RESTORE,
    PLAN_ABSENT_TO_PUBLIC,
    PLAN_DELETE_ONLY_TO_PUBLIC,
    PLAN_ABSENT_TO_WRITE_ONLY,
    PLAN_WITHOUT_ENFORCING,
    PLAN_PUBLIC_TO_ABSENT,
    PLAN_PURGE_AT_WRITE_ONLY,
    PLANS,
    SAME_PLAN = PLANS /* of a control: that of its case */
};

/* What a search must have come by; otherwise it proves nothing. One bit each. */
enum milestone {
    WENT_PUBLIC = 1,
    WENT_BACK = 2, /* reverted after a duplicate, and purged */
    GAVE_UP = 4,   /* cancelled, reverted and purged, or restored */
    WAS_PURGED = 8
};

struct bounds {
    unsigned rows;
    unsigned txns;
    unsigned pending;
    unsigned commits; /* of the whole run; 0: no limit */
};

/* One search. */
struct config {
    struct bounds bounds;
    unsigned plan;
    unsigned without; /* an enum rule */
    bool unique;
    bool cancel;     /* the change may be cancelled at any moment */
    bool power_cuts; /* commits may be asynchronous, the power may fail */
    bool tags;       /* rows keep the version that wrote them, for the lemma */
    bool wide;       /* one transaction may write several rows */
    bool force_versions;
};

struct plan {
    const char *name;
    enum stage first;
    unsigned step[STEPS_MAX];
};

/* The steps of a plan. Build is scan, load and fold, and ends with the record fold-end. */
enum step {
    END,
    TO_ABSENT,
    TO_DELETE_ONLY,
    TO_WRITE_ONLY,
    TO_ENFORCING,
    TO_PUBLIC,
    CUT,
    BUILD,
    DRAIN,
    VALIDATE,
    PURGE
};

/* Everything that can happen. */
enum action {
    BEGIN,
    LEASE,
    COMMIT,
    ABORT,
    LOSE_LEASE,
    APPLY,
    FLUSH,
    POWER_CUT,
    PUBLISH,
    MAKE_CUT,
    SCAN,
    LOAD,
    FOLD,
    END_FOLD,
    DRAINED,
    VALIDATE_GROUP,
    FIND_DUPLICATE,
    APPEND_DROP,
    CANCEL
};

/* The one search that runs. Set once by search_schema(), read everywhere. */
extern struct config config;

static inline bool without(enum rule rule)
{
    return config.without == (unsigned)rule;
}

static inline struct label label(enum action action, unsigned a, unsigned b)
{
    return (struct label){action, a, b};
}

/* rows.c: what a snapshot sees. */
entries entry(unsigned value, unsigned row);
entries entries_of_value(unsigned value);
entries entries_of_rows(const unsigned row[ROWS_MAX]);
unsigned shared_values(const unsigned row[ROWS_MAX]);
void batch_entries(const struct record *r, entries *deletes, entries *puts);
unsigned version_at(const struct model *m, unsigned position);
enum stage stage_at(const struct model *m, unsigned position);
void rows_at(const struct model *m, unsigned position, unsigned row[ROWS_MAX]);
void tags_at(const struct model *m, unsigned position, unsigned tag[ROWS_MAX]);
entries tree_at(const struct model *m, unsigned position);
bool is_pending(const struct model *m, enum kind kind, unsigned before);
struct record *append(struct model *m, enum kind kind);
bool drained(const struct model *m);

/* txn.c, store.c, change.c: the transition relation. */
void txn_steps(const struct model *m, struct sink *sink);
void store_steps(const struct model *m, struct sink *sink);
void change_steps(const struct model *m, struct sink *sink);
bool change_ended(const struct model *m);
bool change_validates(const struct model *m);
extern const struct plan plans[PLANS];

static inline void all_steps(const struct model *m, struct sink *sink)
{
    txn_steps(m, sink);
    store_steps(m, sink);
    change_steps(m, sink);
}

/* check.c: the oracle. */
enum property check(const struct model *m);
unsigned milestones(const struct model *m);
extern const char *const property_text[PROPERTIES];

/* pack.c: a state in few bits, the same for all states that differ only by names of rows, values
 * and nodes. */
void pack_init(void);
unsigned pack_words(void);
void pack(const struct model *m, struct key *key);
void unpack(const struct key *key, struct model *m);

/* trace.c */
void print_step(const struct model *m, struct label l, const struct model *next);
void print_state(const struct model *m);

/* schema.c: the machine that search.h searches. */
struct result search_schema(const struct config *c, bool trace);

/* cases.c */
struct test_case {
    const char *name;
    const char *text;
    struct config
        config; /* its bounds are those of the quick form; no rows: not in the quick form */
    struct bounds full;
    unsigned milestones; /* that must be reached */
};
/* A case with one rule taken out, in bounds that the case, which holds, covers. */
struct control {
    const char *name;
    const char *text;
    const char *base;
    enum rule rule;
    enum plan_id plan;
    struct bounds bounds;
    bool force_versions; /* found only with the hook */
    unsigned finds;      /* the properties of which one must be found broken, one bit each */
};
extern const struct test_case cases[];
extern const size_t cases_count;
extern const struct control controls[RULES];
const struct test_case *case_by_name(const char *name);
struct config control_config(const struct control *c);

#endif
