/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle: a scripted workload on a store, and what every tree holds after each of its commits.
 *
 * Commits are numbered from 1, and each writes its number under the key "seq" of tree 1. So after a
 * crash the store itself says how many survived, and then all else must be exactly what the model
 * has after that many: nothing partial, nothing missing, nothing of later ones.
 *
 * One tree may be built online, as an index is: a cut, bulk loads from a snapshot, folds, fold-end.
 * It mirrors tree 1; from the cut on each commit writes to both. A build that a crash interrupted
 * is taken up again from its checkpoint, as another process would do.
 */
#ifndef INSTAR_TEST_ORACLE_H
#define INSTAR_TEST_ORACLE_H

#include "store/store.h"
#include "support/test.h"

enum oracle_kind {
    ORACLE_WRITE,    /* puts and deletes in some trees */
    ORACLE_CREATE,   /* a tree */
    ORACLE_DROP,     /* a tree */
    ORACLE_CUT,      /* create the mirror and begin to build it */
    ORACLE_LOAD,     /* one batch of the bulk load */
    ORACLE_FOLD,     /* one fold of the delta */
    ORACLE_FOLD_END, /* whatever is left of the build, and its end */
    ORACLE_FLUSH,    /* wait until all is durable */
    ORACLE_APPLY,    /* wait until all is in the trees */
    ORACLE_REOPEN    /* close and open */
};

struct oracle_step {
    enum oracle_kind kind;
    uint64_t number; /* of the commit; 0: it is none */
    uint64_t tree;
    uint64_t seed; /* of its operations */
    bool sync;
};

/* What must be there after a number of commits. */
struct oracle_point {
    uint64_t digest;   /* of all trees that may be read */
    uint64_t trees[8]; /* their ids, 0: no more */
    uint64_t mirror;   /* the tree that is being built, or 0 */
};

struct oracle {
    struct oracle_step *steps;
    size_t step_count, step_room;
    uint64_t commits;
    struct oracle_point *points; /* commits + 1 */
    size_t value_bytes_max;
    uint64_t stream; /* of chance: another script of the same shape */
};

/* Scripts for campaigns: a store in its first moments; commits over many segments; the applier
 * urged on after each few; large commits that wait for no flush, so that what is pending reaches
 * over several segments; anything; the last two by turns. */
typedef void (*oracle_script)(struct oracle *o);
void oracle_script_create(struct oracle *o);
void oracle_script_commits(struct oracle *o);
void oracle_script_apply(struct oracle *o);
void oracle_script_burst(struct oracle *o);
void oracle_script_any(struct oracle *o);
void oracle_script_recovery(struct oracle *o);

/* Told of what happens, in this order: a commit is about to be tried, a prefix is durable. */
struct oracle_watch {
    void (*issued)(void *arg, uint64_t number);
    void (*durable)(void *arg, uint64_t number);
    void *arg;
    size_t steps_max; /* stop after so many; 0: at the end */
};

/* Scripts. They end with everything closed but the store's own files. */
void oracle_add(struct oracle *o, enum oracle_kind kind, uint64_t tree, bool sync);
/* A number of writing commits, some async. */
void oracle_add_writes(struct oracle *o, size_t count, unsigned async_percent);
/* Anything that may follow, by chance: writes, trees made, built and dropped, flushes, reopening.
 */
void oracle_add_any(struct oracle *o, size_t steps);
/* After the last step: works out the model. */
void oracle_ready(struct oracle *o);
void oracle_free(struct oracle *o);

/* Run from the step after commit number `done` on; the store is open, and may be another handle
 * afterwards. watch may be NULL. Returns the first code that is not 0. */
int oracle_run(const struct oracle *o, uint64_t done, const char *path,
               const instar_options *options, struct store **store,
               const struct oracle_watch *watch, struct base_err *err);

/* How many commits does the store say that it holds? */
int oracle_number(struct store *s, uint64_t *number_out, struct base_err *err);
/* The same, and checks that they are whole: every readable tree equals the
 * model. On a difference: false, and text says which. */
bool oracle_check(const struct oracle *o, struct store *s, uint64_t *number_out, char *text,
                  size_t text_size);

#endif
