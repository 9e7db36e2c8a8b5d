/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job: one change being run by this process; and the live progress that every process can read.
 *
 * A job holds the change by its claim: the record names this node, its nonce and the count of
 * claims. Every transaction of a job begins with a tracked read of the record (job_begin), so one
 * that lost its claim cannot commit anything (CHANGE-1). It then ends quietly.
 */
#ifndef INSTAR_CHANGE_JOB_IMPL_H
#define INSTAR_CHANGE_JOB_IMPL_H

#include "change/change.h"
#include "change/record.h"

/* ---- progress.c --------------------------------------------------------------------------- */

/* What is shown of a running change beside its record. Only for people: nothing relies on it. */
struct live {
    uint64_t rows_done;
    uint64_t rows_total;
    uint64_t rows_per_second;
    uint64_t eta_ms;
    uint64_t delta_backlog;
    char stage[24];
    char waiting_for[256];
    char throttle[64];
    uint64_t retries;
    char trouble[96]; /* for which it was tried again last */
};
#define LIVE_NONE SIZE_MAX
/* A slot of the shared area for this change: the one that its last runner left, or a free one.
 * *shown_out: what it shows already. LIVE_NONE: all are in use, nothing will be shown. */
size_t live_open(struct store *s, uint64_t change, struct live *shown_out);
void live_write(struct store *s, size_t slot, uint64_t change, const struct live *live);
void live_close(struct store *s, size_t slot, uint64_t change);
/* Whose the slots are, 0 for a free one. Returns their number, which is never more than the most.
 */
#define LIVE_SLOTS_MAX 128
size_t live_list(struct store *s, uint64_t changes_out[LIVE_SLOTS_MAX]);
/* False: nobody shows anything for it. */
bool live_read(struct store *s, uint64_t change, struct live *live_out);

/* ---- the process's part ------------------------------------------------------------------- */

struct job;
struct changes {
    struct txn_env *env;
    struct store *store;
    bool runs;
    struct os_thread runner;
    _Atomic bool stop;
    struct os_plain_mutex lock; /* for what follows */
    struct job *jobs;
    size_t job_count;
    uint64_t sort_memory_left;
};
/* Jobs at once in one process; further changes wait for another process, or for their turn. */
#define CHANGE_JOBS_MAX 16

/* ---- job.c -------------------------------------------------------------------------------- */

/* Positive results of what a job does, beside 0 and the negative codes. */
enum job_result {
    JOB_QUIT = 1,   /* the claim is lost, or the process closes: leave all as it is */
    JOB_CANCEL = 2, /* somebody asked to cancel, and it is possible */
    JOB_ENDED = 3,  /* the change has its verdict */
    JOB_AGAIN = 4   /* it waited; the step is to be tried again */
};

struct job {
    struct changes *c;
    struct store *store;
    struct job *next;
    struct os_thread thread;
    _Atomic bool ended;
    uint64_t id;
    struct change_owner owner;
    uint64_t token;           /* LSN of the claim */
    uint64_t lsn;             /* of its last commit, at least the token */
    uint64_t ahead_lsn;       /* the tree operations in the record that ends there are executed */
    uint32_t event_seen;      /* STORE_EVENT_CHANGE, when the record was last looked at */
    uint64_t wait_began_ns;   /* for leases, in this step; 0: not waiting */
    uint64_t at_table;        /* several: that of which rows are read now; else 0 */
    bool may_revert;          /* before this step: can the change be undone? */
    struct change_record rec; /* as last read or written */
    /* As it is steered, by the record as last read. Any thread of the job may look. */
    _Atomic uint32_t steered; /* CHANGE_STEERED; while it is being undone, HURRY at most */
    _Atomic uint32_t workers;
    _Atomic uint64_t rows_per_second_max;
    _Atomic uint64_t bytes_per_second_max;
    _Atomic uint64_t row_bytes; /* of a row of job_table() on average, 0: not known */
    _Atomic uint32_t latency_target_ms;
    struct base_buf failure; /* samples of what this step has found; goes into the record */
    uint64_t rows;           /* that the build has read */
    uint64_t retries;        /* of its steps, also by runners before */
    char trouble[RECORD_TROUBLE_MAX]; /* the error of the last of them */
    size_t slot;
    struct live live;
    uint64_t rate_at_ns; /* when the rate was last measured, and the rows then */
    uint64_t rate_rows;
};
/* The table of which rows are read. */
static inline uint64_t job_table(const struct job *j)
{
    return j->at_table != 0 ? j->at_table : j->rec.table;
}
/* The thread of a claimed change. */
void *job_main(void *arg);

/* Begin a transaction that has read the job's record. JOB_QUIT: it is not ours any more.
 * JOB_CANCEL: it is to be undone, so it must not go on. */
int job_begin(struct job *j, struct store_txn **t_out, struct base_err *err);
/* The same for writing rows: they do not get the last room of a map that is nearly full. reserved:
 * after several losses. */
int job_begin_rows(struct job *j, bool reserved, struct store_txn **t_out, struct base_err *err);
/* The same for turning back: a cancel is no reason to refuse. */
int job_begin_back(struct job *j, struct store_txn **t_out, struct base_err *err);
/* Next step, or the verdict after the last; in j->rec only. */
void job_advance(struct job *j);
/* Write j->rec and commit, not by way of a publication. Always ends t. */
int job_commit(struct job *j, struct store_txn *t, struct base_err *err);
/* After a commit of any kind: remember it, tell all who wait. */
void job_committed(struct job *j, uint64_t lsn);
/* Has anything happened that ends or stops the work at hand? Cheap. 0, JOB_QUIT, JOB_CANCEL. */
int job_poll(void *job, struct base_err *err);
/* Sleep until the event moves on from `seen`, or for so long; then as job_poll. */
int job_wait(struct job *j, enum store_event event, uint32_t seen, uint64_t ns,
             struct base_err *err);
static inline bool job_is_steered(const struct job *j, uint32_t flag)
{
    return (atomic_load_explicit(&j->steered, memory_order_relaxed) & flag) != 0;
}
/* While PAUSE is set: sleep, with what ends it as job_poll has it. Not with a snapshot, a batch of
 * the trees or a lock in hand. */
int job_stand_still(struct job *j, struct base_err *err);
/* Work that nobody waits for gives way to commits, as store_breathe has it, unless HURRY is set;
 * where there is a target for their latency and they are slower, by longer and longer pauses. One
 * for each thread, all zero at first. Not with a lock or a batch of the trees in hand. Returns the
 * nanoseconds slept. */
struct job_breath {
    struct store_breath store;
    uint64_t pause_ns; /* for the target */
};
uint64_t job_breathe(struct job *j, struct job_breath *b);
/* For the target alone, between pieces of work that are paced in another way. */
uint64_t job_keep_target(struct job *j, struct job_breath *b);
/* Rows per second that it may read, by both of its limits; 0: as fast as it can. */
uint64_t job_rate(const struct job *j);
/* What a limit in bytes is reckoned with: that many rows were found to take so many bytes. */
void job_set_row_bytes(struct job *j, const struct store_tree_stat *stat);
/* Show why it is slow: the rate, the target, or stood_back: it stood back for commits. */
void job_show_throttle(struct job *j, bool stood_back);
/* Wait until all that this job has logged is in the trees. */
int job_wait_applied(struct job *j, struct base_err *err);

/* What people see. Rows never fall within a stage. */
void job_show_stage(struct job *j, const char *stage);
void job_show_rows(struct job *j, uint64_t done, uint64_t total);
void job_show_waiting(struct job *j, const char *text); /* "": no more */
void job_show_paused(struct job *j);                    /* whether it is */

/* ---- step.c ------------------------------------------------------------------------------- */

/* Do the step at which j->rec stands, up to and with the commit that ends it. */
int step_run(struct job *j, struct base_err *err);
/* Write the record and commit t by way of this publication; waits for leases where it must
 * (JOB_AGAIN). `seen`: of the lease event, from before the step began. Always ends t. */
int step_publish(struct job *j, struct store_txn *t, struct lease_publication *what, uint32_t seen,
                 struct base_err *err);
/* The same for the next version of the record's table, with which the step ends; NULL: there is
 * none, the step ends by an ordinary commit. kin: what goes with it. */
struct kin;
int step_publish_next(struct job *j, struct store_txn *t, const struct catalog_table *next,
                      const struct kin *kin, uint32_t seen, struct base_err *err);
/* There is nothing to do: what was to be dropped was never finished, or what was to be made exists.
 * Always ends t. */
int step_finish_early(struct job *j, struct store_txn *t, struct base_err *err);
/* Turn round; the reason is kept. NULL: the words of a cancel. ESTATE: past the point of no return.
 */
int step_turn_back(struct job *j, int code, const char *reason, struct base_err *err);

/* ---- table_step.c ------------------------------------------------------------------------- */

/* A step that publishes a table for the first time, under its name, or no more. */
int table_publish(struct job *j, enum change_work work, struct base_err *err);
/* For the tree of the table and that of each of its indexes. */
int table_tree_ops(struct store_txn *t, const struct catalog_table *table, enum store_tree_op op,
                   struct base_err *err);

/* ---- names.c ------------------------------------------------------------------------------ */

/* Give up the hold on the object's name: keep it as an ordinary name, or free it. */
int name_release(struct job *j, struct store_txn *t, bool keep, struct base_err *err);
/* The same for any name, of whoever's change. */
int name_let_go(struct store_txn *t, const char *object, uint64_t change, bool keep,
                struct base_err *err);
/* The index has its id now. */
int name_complete(struct job *j, struct store_txn *t, struct base_err *err);
/* The names of a new table's constraints: they lead to their indexes; or they are free again.
 * EEXISTS
 */
int name_claim_uniques(struct job *j, struct store_txn *t, const struct catalog_table *table,
                       struct base_err *err);
int name_release_uniques(struct job *j, struct store_txn *t, struct base_err *err);
/* The names of the table and its indexes are free from the version on that has them no more. */
int name_free_all(struct job *j, struct store_txn *t, const struct catalog_table *table,
                  struct base_err *err);
/* Before a create begins: reserve the name if that was not possible when it was submitted. table:
 * the one that is to be created, NULL for an index. *exists_out: meanwhile it exists as wanted. */
int name_claim(struct job *j, struct store_txn *t, const struct catalog_table *table,
               bool *exists_out, struct base_err *err);

/* ---- vacuum.c ----------------------------------------------------------------------------- */

int vacuum_begin(struct job *j, struct base_err *err);
/* Ends with the commit of the step. */
int vacuum_rewrite(struct job *j, struct base_err *err);
int vacuum_prune(struct job *j, struct base_err *err);

/* ---- build.c, validate.c ------------------------------------------------------------------ */

/* Scan, load and fold all indexes that the change makes; ends before the fold-end record. */
int build_run(struct job *j, struct base_err *err);
/* Has the table an index that this change is building at the moment? */
bool build_is_needed(const struct catalog_table *table, uint64_t change);
/* For the tree of each of them. */
int build_tree_ops(struct store_txn *t, const struct catalog_table *table, uint64_t change,
                   enum store_tree_op op, struct base_err *err);
/* Remove what files the build of a tree has, when it is undone. */
void build_forget(struct store *store, uint64_t tree);
/* INSTAR_EUNIQUE with words when there are duplicates in an index that the change makes; their
 * number in j->rec.duplicate_count. */
int validate_run(struct job *j, struct base_err *err);

#endif
