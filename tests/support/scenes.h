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

/* Rows (i, b(i)) for i in [from, to), asynchronously. */
void scene_fill(instar *db, const char *table, int64_t from, int64_t to, int64_t (*b)(int64_t i));
/* A store with t(a, b, c), primary key a, and rows (1, 11) … (`rows`, …); c is null in all. */
instar *scene_open_t(uint32_t flags, int64_t rows);
int64_t scene_plus_10(int64_t i);
int64_t scene_scattered(int64_t i); /* distinct, in no order */

/* Options with a grace period for those who hold a change up. */
instar_change_options scene_options(uint32_t fence_after_ms);
/* Submit and wait; the verdict's code. */
int scene_drop_table(instar *db, const char *table);
/* Wait for the verdict: this code. info may be NULL. */
void scene_await(instar *db, uint64_t change, int code, instar_change_info *info);
/* Look until somebody is waited for, at this stage; then *info is what was seen. */
void scene_await_waiting(instar *db, uint64_t change, const char *stage, instar_change_info *info);
instar_change_info scene_look(instar *db, uint64_t change);

#endif
