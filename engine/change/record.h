/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: the durable record of a change, and its plan.
 *
 * A change moves through states (record.c checks every move):
 *
 *             submit            last step of the plan
 *     ------------> RUNNING ---------------------------> DONE
 *                      |
 *                      | failure, or cancel, before the point of no return
 *                      v                last step of the way back
 *                  REVERTING ---------------------------> FAILED, CANCELLED
 *
 * The plan of a kind is a table of steps (plan.c). `step` counts within the plan of (kind, state):
 * the way there while RUNNING, the way back while REVERTING. The record is written in the same
 * commit as what a step does, so a step is done exactly once.
 */
#ifndef INSTAR_CHANGE_RECORD_H
#define INSTAR_CHANGE_RECORD_H

#include "catalog/catalog.h"

#define RECORD_STATEMENT_MAX 512 /* as in instar_change_info, with the final zero */
#define RECORD_REASON_MAX 2048
#define RECORD_TROUBLE_MAX 256
#define RECORD_PROGRAM_MAX 32
#define RECORD_OTHERS_MAX 16 /* tables that a change is about, beside its own */

enum change_kind {
    CHANGE_CREATE_TABLE = 1,
    CHANGE_DROP_TABLE = 2,
    CHANGE_CREATE_INDEX = 3,
    CHANGE_DROP_INDEX = 4,
    CHANGE_ALTER_TABLE = 5,
    CHANGE_COMPOUND = 6, /* several statements */
    CHANGE_UNDO = 7,     /* brings back what a drop has kept */
    CHANGE_PURGE = 8,    /* takes it away when its time is over */
    CHANGE_VACUUM = 9,
    CHANGE_REKEY = 10,  /* another primary key */
    CHANGE_SEVERAL = 11 /* several statements about several tables */
};
#define CHANGE_KIND_COUNT 12

/* A node, and which of its claims: both together are never used twice. */
struct change_owner {
    uint32_t node;
    uint32_t pid;
    uint64_t nonce; /* 0: nobody */
    uint64_t claim; /* counts the adoptions of this change */
};

struct change_part {
    char name[INSTAR_NAME_BYTES_MAX + 1];
    bool descending;
    enum instar_nulls nulls;
};

/* Who submitted it. */
struct change_asker {
    uint32_t node;
    uint32_t pid;
    uint32_t uid;
    char program[RECORD_PROGRAM_MAX];
};

/* A table to which a foreign key leads. */
struct change_other {
    uint64_t table;                       /* id */
    char name[INSTAR_NAME_BYTES_MAX + 1]; /* as the request calls it, or "" */
};

struct change_record {
    uint64_t id;
    enum change_kind kind;
    enum instar_change_state state;
    uint32_t step;
    uint64_t table;   /* id */
    uint64_t tree;    /* of the index, or of the table that is created */
    uint64_t after;   /* starts when that change has ended, 0: none */
    uint32_t index;   /* id, once a descriptor has it */
    uint32_t version; /* of the table, as this change published it last */
    struct change_owner owner;
    struct change_asker asker;
    uint64_t retries;      /* steps that were tried again */
    bool cancel;           /* asked to stop */
    uint64_t cancelled_by; /* the change that asked, or 0: a person */
    int error;             /* why it is being undone */
    uint64_t duplicate_count;
    uint64_t rows; /* that a build has read */
    int64_t submitted_us;
    int64_t finished_us;
    uint64_t estimated_ms; /* how long it would take, as was thought; UINT64_MAX: not known */
    /* options */
    uint32_t flags; /* CHANGE_STEERED: as steered last */
    uint32_t fence_after_ms;
    uint32_t workers;
    uint64_t rows_per_second_max;
    uint64_t bytes_per_second_max;
    uint64_t sort_memory_bytes;
    uint32_t latency_target_ms; /* of commits beside its work; 0: none */
    uint64_t undo_window_s;     /* of a drop: how long what it drops is kept; 0: not at all */
    int64_t undo_until_us;      /* and until when, once it has ended; 0: nothing is kept */
    uint64_t taken_by; /* the change that brought it back or purged it, or 0; the drop itself:
                        * it went with its table */
    uint64_t takes;    /* undo, purge: the drop that they are about */
    /* what is to be made */
    bool unique;
    bool validates; /* alter table, compound: its plan has a validation */
    bool retires;   /* the same: its plan has a last version that retires what it left */
    bool builds;    /* compound: it makes indexes; rekey: there is a new key, not row ids */
    bool drops;     /* compound: it drops indexes */
    bool keeps;     /* what it drops is kept for the undo window */
    bool foresees; /* compound: what types may lose is looked for before indexes are made of them */
    bool rekeys;   /* compound: a new primary key, for which there is a witness */
    bool numbers;  /* compound: row ids in the place of one */
    bool waits;    /* create table, several: writers of the tables to which a new one refers come
                    * first */
    uint32_t other_count;
    struct change_other others[RECORD_OTHERS_MAX]; /* no two changes of one table at once */
    uint32_t part_count;
    struct change_part parts[INSTAR_INDEX_COLUMNS_MAX];
    struct base_buf descriptor; /* create, drop table: catalog_table_encode's bytes; alter table:
                                 * alter.c's; compound: compound_record.c's;
                                 * rekey: rekey_record.c's; several: several_record.c's;
                                 * create index: index_record.c's; undo, purge: the table's, or
                                 * undo_record.c's; vacuum: the key of the last row it has done */
    struct base_buf failure;    /* what a validation has found: failure.c's */
    char table_name[INSTAR_NAME_BYTES_MAX + 1];
    char object[INSTAR_NAME_BYTES_MAX + 1];
    char statement[RECORD_STATEMENT_MAX];
    char reason[RECORD_REASON_MAX];
    char trouble[RECORD_TROUBLE_MAX]; /* the error for which a step was tried again last, or "" */
};

/* ---- record.c ----------------------------------------------------------------------------- */

void record_free(struct change_record *r);
/* Frees what `to` has. ENOMEM. */
int record_copy(const struct change_record *from, struct change_record *to, struct base_err *err);
int record_encode(const struct change_record *r, struct base_buf *out, struct base_err *err);
/* Trusts nothing. record_out is freed by the caller, also on failure. ECORRUPT, EVERSION. */
int record_decode(uint64_t id, struct base_slice bytes, struct change_record *record_out,
                  struct base_err *err);
/* The next state, at its first step; asserts that the move is allowed. */
void record_move(struct change_record *r, enum instar_change_state to, uint32_t step);
static inline bool record_ended(const struct change_record *r)
{
    return r->state != INSTAR_CHANGE_RUNNING && r->state != INSTAR_CHANGE_REVERTING;
}
static inline bool record_owned_by(const struct change_record *r, const struct change_owner *o)
{
    return r->owner.nonce == o->nonce && r->owner.claim == o->claim && r->owner.node == o->node;
}

/* How a key column is ordered, in one byte: 1 descending, 2 nulls first, 4 nulls last. False: it is
 * no such byte. */
uint8_t record_order_byte(bool descending, enum instar_nulls nulls);
bool record_order_from_byte(uint8_t byte, bool *descending_out, enum instar_nulls *nulls_out);

/* Bytes of a request, and where what is read of them is kept. */
struct record_input {
    struct base_reader r; /* bad, too, where there was no memory */
    struct base_arena *arena;
    uint8_t format; /* for requests that have several */
    bool no_memory;
};
/* Zeroed memory for one more than so many. NULL: there is none, as the input says then. */
void *record_room(struct record_input *in, size_t count, size_t size);

/* ---- index_record.c ----------------------------------------------------------------------- */

/* What the definition of an index has besides name, unique and key columns, as bytes; none for one
 * that has nothing of it. */
bool record_index_more_put(struct base_buf *out, const instar_index_def *def);
/* Into a definition, of which `columns` are the key's, named already; those with an empty name get
 * expressions. Texts lie in the arena. Trusts nothing: ECORRUPT. */
int record_index_more_get(struct base_slice bytes, struct base_arena *arena,
                          instar_key_column *columns, instar_index_def *def, struct base_err *err);
/* What a CREATE INDEX is to make; points into the record. To be freed, also on failure. */
struct record_index {
    instar_index_def def;
    instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX];
    struct base_arena arena;
};
int record_index_get(const struct change_record *r, struct record_index *out, struct base_err *err);
void record_index_free(struct record_index *index);
int record_index_set(struct change_record *r, const instar_index_def *def, struct base_err *err);

/* ---- failure.c ---------------------------------------------------------------------------- */

/* Note one sample. name: of the constraint, or the column; key: its values in words, NULL: none. */
void failure_add(struct base_buf *out, enum instar_failure_kind kind, const char *name,
                 const struct base_buf *key, const struct base_buf *row);
/* Of a record that is being undone, or has failed; points into it and the arena. Trusts nothing:
 * ECORRUPT; ENOMEM. */
int failure_get(const struct change_record *r, struct base_arena *arena, instar_change_failure *out,
                struct base_err *err);

/* Words into a text of the record, cut between two characters. */
void record_cut(struct base_slice words, char *text, size_t size);

/* Records in CATALOG_CHANGE_TREE. The key is the id, big-endian. Beside them stands one marker for
 * each change that has not ended, under eight zero bytes and the id: so whoever looks for work
 * does not read the history. */
struct record_marker {
    uint64_t id;
    uint64_t table;
    uint64_t after;
    uint32_t other_count;
    uint64_t others[RECORD_OTHERS_MAX];
};
/* What the change's marker says. */
struct record_marker record_marker_of(const struct change_record *r);
/* Have the two changes a table in common? Then the later one has its turn behind the other. */
bool record_marker_meet(const struct record_marker *a, const struct record_marker *b);
/* Is the change at work on the table, or does it need it to stay as it is? */
bool record_marker_about(const struct record_marker *m, uint64_t table);
/* EUNKNOWN: no such change. */
int record_get(struct store_txn *t, uint64_t id, enum store_read how,
               struct change_record *record_out, struct base_err *err);
/* Write the record; sets or removes its markers. */
int record_put(struct store_txn *t, const struct change_record *r, struct base_err *err);
/* Is what it dropped still there to come back? */
static inline bool record_is_kept(const struct change_record *r)
{
    return r->undo_until_us != 0 && r->taken_by == 0;
}
/* The drops of which that is so, as their markers have them, oldest first. */
struct record_kept {
    uint64_t id;
    uint64_t table;
    int64_t until_us;
};
int record_list_kept(struct store_txn *t, enum store_read how,
                     int (*fn)(void *arg, const struct record_kept *kept), void *arg,
                     struct base_err *err);
/* Forget one that has ended. */
int record_remove(struct store_txn *t, uint64_t id, struct base_err *err);
/* The markers with ids below `below`, oldest first; read as `how` says. Stops when fn returns not
 * 0, and returns that. */
int record_markers(struct store_txn *t, uint64_t below, enum store_read how,
                   int (*fn)(void *arg, const struct record_marker *marker), void *arg,
                   struct base_err *err);
/* The oldest change about the table that has not ended; 0: there is none. */
int record_at_work(struct store_txn *t, uint64_t table, uint64_t *id_out, struct base_err *err);
/* All records, oldest first or the other way. Stops when fn returns not 0, and returns that. */
int record_list(struct store_txn *t, bool latest_first,
                int (*fn)(void *arg, const struct change_record *r), void *arg,
                struct base_err *err);

/* ---- plan.c ------------------------------------------------------------------------------- */

enum change_work {
    WORK_ADD_TABLE,    /* publish version 1 and create the tree */
    WORK_SHOW_TABLE,   /* publish it under its name, when all know it to whom it refers */
    WORK_REMOVE_TABLE, /* publish the version that names the table no more */
    WORK_ADD_INDEX,    /* publish the index in its first stage and create its tree */
    WORK_STAGE,        /* publish the index's next stage */
    WORK_FINISH_INDEX, /* publish it as public: no change is at work on it any more */
    WORK_REMOVE_INDEX, /* publish the version that names it no more */
    WORK_CUT,          /* prove the drain and begin the build */
    WORK_BUILD,        /* scan, load, fold; ends with the fold-end record */
    WORK_DRAIN,        /* prove that nobody writes with an older version */
    WORK_VALIDATE,     /* look for duplicates */
    WORK_PURGE,        /* prove the drain and drop the trees */
    WORK_ENFORCE,      /* publish the NOT NULLs and checks that are new as enforced */
    WORK_RELAX,        /* publish that they are not */
    WORK_NULLS,        /* look for rows that break them */
    WORK_ALTER,        /* publish the table as it is wanted */
    WORK_RETIRE,       /* publish it without old names and hidden columns */
    WORK_FORESEE,      /* compound: publish the types that may lose values as on their way */
    WORK_ADD_ALL,      /* compound: publish all that is new in its first stage, create its trees */
    WORK_RAISE_ALL,    /* publish it write-only */
    WORK_ENFORCE_ALL,  /* publish what is to hold as enforced */
    WORK_VALIDATE_ALL, /* look for duplicates and for rows that break it */
    WORK_FLIP,         /* publish all of it as it is wanted */
    WORK_LOWER_ALL,    /* publish what is dropped delete-only */
    WORK_REMOVE_ALL,   /* publish the table without it, without old names and hidden columns */
    WORK_WITHDRAW,     /* the way back: publish what was new delete-only, and not enforced */
    WORK_TAKE_OUT,     /* publish the table without it */
    WORK_KEY_ADD,      /* rekey, compound: publish a unique index on the new key in its first stage;
                        * compound: or the column of row ids */
    WORK_IDS_ADD,      /* publish the column of row ids */
    WORK_FILL,         /* give a row id to each row that has none */
    WORK_ROWS_ADD,     /* publish the rows by the new key, and all indexes once more, likewise */
    WORK_KEY_RAISE,    /* publish what is new write-only */
    WORK_KEY_ENFORCE,  /* publish that it is enforced */
    WORK_KEY_SWAP,     /* publish the new key as the table's */
    WORK_KEY_LOWER,    /* publish the old one delete-only; or, on the way back, the new one */
    WORK_KEY_REMOVE,   /* publish the table without it */
    WORK_RESTORE,      /* undo: publish the table, or its columns, as they were */
    WORK_SETTLE,       /* publish as NOT NULL what was validated */
    WORK_KEEP_AGAIN,   /* the way back: publish the table without the columns */
    WORK_FORGET,       /* purge: publish the table's layout without the columns */
    WORK_BEGIN_PASS,   /* vacuum: prove that all write the newest layout */
    WORK_REWRITE,      /* read all rows, rewrite those of older layouts */
    WORK_PRUNE,        /* publish the table without older layouts */
    WORK_NOTHING       /* only the verdict */
};

#define PLAN_NO_RETURN UINT32_MAX
#define PLAN_STEPS_MAX 40

/* Where a test may stop or kill a runner: when a step's commit is done. */
enum plan_point {
    POINT_NONE,
#define X(name, text) POINT_##name,
#include "change/points.def"
#undef X
};

struct plan_step {
    const char *shown; /* the stage that people see while this step is being done */
    enum change_work work;
    enum instar_stage stage; /* of the index, when one is published */
    bool enforcing;
    bool applied; /* wait until all that the change has logged is in the trees */
    bool ends;    /* gives the verdict, though it does not stand last */
    enum plan_point point;
    uint32_t revert; /* at which step the way back begins from here; PLAN_NO_RETURN: not possible */
    unsigned needs;  /* the step is in the plan of those variants only that have all of these, */
    unsigned unless; /* and none of these */
};
struct plan {
    uint32_t count;
    struct plan_step steps[PLAN_STEPS_MAX];
};
/* The plan of a record in its state; NULL for one that has ended. */
const struct plan *plan_of(const struct change_record *r);
/* variant: for a new table, does it wait; for an index, is it unique; for alter table
 * PLAN_VALIDATES and PLAN_RETIRES; for a compound change any of these; for a rekey PLAN_BUILDS; for
 * drop table is it kept; undo: PLAN_VALIDATES; undo and purge: PLAN_TABLE for one of a table. */
#define PLAN_VALIDATES 1u
#define PLAN_RETIRES 2u
#define PLAN_BUILDS 4u
#define PLAN_DROPS 8u
#define PLAN_HIDES 16u
#define PLAN_FORESEES 32u
#define PLAN_WITNESS 64u
#define PLAN_NUMBERS 128u
#define PLAN_REKEYS 256u /* one of these two */
#define PLAN_KEEPS 1u
#define PLAN_TABLE 2u
const struct plan *plan_for(enum change_kind kind, unsigned variant,
                            enum instar_change_state state);
extern const struct plan plan_compound, plan_compound_back; /* plan_compound.c */
extern const struct plan plan_rekey, plan_rekey_back;       /* plan_rekey.c */
extern const struct plan plan_several, plan_several_back;   /* plan_several.c */
/* The step that the record stands at. It must not have ended. */
const struct plan_step *plan_step(const struct change_record *r);
/* The first step of the record's plan at or behind `from`, or the plan's count. */
uint32_t plan_at_or_after(const struct change_record *r, uint32_t from);
static inline bool plan_is_last(const struct change_record *r)
{
    return plan_step(r)->ends || plan_at_or_after(r, r->step + 1) == plan_of(r)->count;
}
/* Which one of how many steps it is, from 1 on. */
uint32_t plan_rank(const struct change_record *r, uint32_t *steps_out);
/* Is it at this stage of its plan, or past it? -1: its plan has none of that name. It must not have
 * ended. */
int plan_has_reached(const struct change_record *r, const char *stage);
/* May it still be cancelled? */
bool plan_may_revert(const struct change_record *r);
/* Is this the last step from which that is so: where a change that is held stands still? */
bool plan_is_brink(const struct change_record *r);
const char *plan_kind_name(enum change_kind kind);
/* "delete-only", "build", … or "queued", "done". */
const char *plan_stage_name(const struct change_record *r);
/* The plan in words, a line for each step. */
bool plan_print(enum change_kind kind, unsigned variant, enum instar_change_state state,
                struct base_buf *out);
/* What it does to the name that it holds: "created", "dropped", "renamed". */
const char *plan_doing(const struct change_record *r);

#endif
