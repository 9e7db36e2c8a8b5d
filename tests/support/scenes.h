/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenes: two processes around a schema change. One runs changes; the test's own process writes,
 * watches and submits, and runs none, so that a point where a runner is held or killed is reached
 * in the other one only.
 */
#ifndef INSTAR_TEST_SCENES_H
#define INSTAR_TEST_SCENES_H

#include "support/dbs.h"

/* What a thread is called that runs a change. */
#define SCENE_CHANGE_THREAD "instar-change"

/* A process with a runner. Started before this one opens the store. */
void scene_runner(struct test_child *c);
/* Closes its store and ends. */
void scene_runner_end(struct test_child *c);

/* A process that has the store open and runs nothing: shared memory, and what a build has spilled,
 * outlive the others. It ends as that with a runner. */
void scene_keeper(struct test_child *c);

/* Rows (i, b(i)) for i in [from, to), asynchronously. */
void scene_fill(instar *db, const char *table, int64_t from, int64_t to, int64_t (*b)(int64_t i));
/* t(a, b, c), primary key a, and rows (1, 11) … (`rows`, …); c is null in all. */
void scene_make_t(instar *db, int64_t rows);
/* A store with it. */
instar *scene_open_t(uint32_t flags, int64_t rows);
/* One row (a, scattered(a), text) in a transaction; the call's code. */
int scene_insert(instar_txn *txn, instar_projection *p, int64_t a, const char *text, size_t size);
int64_t scene_plus_10(int64_t i);
int64_t scene_scattered(int64_t i); /* distinct, in no order */

/* Options with a grace period for those who hold a change up. */
instar_change_options scene_options(uint32_t fence_after_ms);
/* Flags of a change that runs, to be set and to be cleared: the call's code. */
int scene_steer(instar *db, uint64_t change, uint32_t set, uint32_t clear);
/* Submit and wait; the verdict's code. */
int scene_drop_table(instar *db, const char *table);
/* Wait for the verdict: this code. info may be NULL. */
void scene_await(instar *db, uint64_t change, int code, instar_change_info *info);
/* Look until somebody is waited for, at this stage; then *info is what was seen. */
void scene_await_waiting(instar *db, uint64_t change, const char *stage, instar_change_info *info);
/* What this change dropped and kept has been purged. */
void scene_await_purge(instar *db, uint64_t change);
instar_change_info scene_look(instar *db, uint64_t change);
/* How often the change has been claimed. With `drop`, nobody owns it any more: as if its runner
 * were thought dead. */
uint64_t scene_claim(instar *db, uint64_t change, bool drop);
/* That which was submitted last. */
uint64_t scene_last_change(instar *db);

/* The thread that runs the next change gets no memory for this request of it, counted from 1. */
void scene_refuse_memory(uint64_t nth);
/* What became of that change: its verdict, INSTAR_OK or that it failed for memory. *refused_out:
 * there was such a request. */
int scene_await_refusal(instar *db, uint64_t change, bool *refused_out);

/* ---- held and killed ---------------------------------------------------------------------- */

/* A change that is held at a point of the process that runs it. */
struct scene_held {
    struct test_child runner;
    struct test_hold hold;
    instar *db; /* ours */
    uint64_t change;
};
/* Both processes open the store; the first change that hits the point for the nth time is held. It
 * is for the caller to submit one, and to wait until it is there: test_hold_await. */
void scene_hold(struct scene_held *h, const char *point, uint64_t nth);
/* Let it go on: it is done then. Cancelled first: it is undone. */
void scene_held_done(struct scene_held *h);
void scene_held_cancel(struct scene_held *h);
/* Beside a transaction of this version of t that is open: go on until the next one is published,
 * the change waits for somebody, or it has ended. It may not be two versions on. */
void scene_release_beside(struct scene_held *h, uint32_t version);
/* Close the store in both. */
void scene_held_close(struct scene_held *h);
/* The same of one that the checker finds nothing in. */
void scene_held_end(struct scene_held *h);

/* The only process with a runner submits a change, and is killed on the way. */
struct scene_death {
    const char *point;
    uint64_t nth;     /* 0: the first */
    const char *what; /* for messages, or NULL */
    /* Its id; 0: it has been waited for. */
    uint64_t (*submit)(instar *db, const void *arg);
    const void *arg;
};
void scene_kill(const struct scene_death *d);
/* This process takes over: the store, once the last change has this verdict. info may be NULL. */
instar *scene_take_over(const struct scene_death *d, int code, instar_change_info *info);

#endif
