/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodes: other processes that do row work on the store of this test, told what to do word by word,
 * so that a test decides every interleaving. Rows are (a, b) of a table t(a int8, b int8, c int8),
 * primary key a. Each call waits for the answer, the code of what was done, unless it says other.
 */
#ifndef INSTAR_TEST_NODES_H
#define INSTAR_TEST_NODES_H

#include "support/txns.h"

struct node {
    struct test_child child;
};

/* Fork, before this process opens the store. The store must exist when the node opens it. */
void nodes_start(struct node *n, const instar_options *options);
/* Tell it to leave; it must end well. */
void nodes_end(struct node *n);
void nodes_open(struct node *n);
void nodes_close(struct node *n);

/* One transaction at a time, async. */
int nodes_begin(struct node *n, unsigned flags);
int nodes_insert(struct node *n, int64_t a, int64_t b);
int nodes_update(struct node *n, int64_t a, int64_t b);
int nodes_delete(struct node *n, int64_t a);
/* b of row a in b_out. */
int nodes_get(struct node *n, int64_t a, int64_t *b_out);
/* Number of rows. */
int nodes_count(struct node *n, uint64_t *rows_out);
int nodes_commit(struct node *n);
void nodes_abort(struct node *n);

/* Publish a version that changes nothing but its number. */
int nodes_publish(struct node *n, bool fence);
/* Prepare one with a new index i<number>, delete-only, and stop before the commit; go on with
 * nodes_publish_commit. */
int nodes_publish_prepare(struct node *n, uint32_t index);
int nodes_publish_commit(struct node *n);
/* The version as the node's newest snapshot has it. */
uint32_t nodes_version(struct node *n);

/* From now on its clock stands still at an offset of the present one, in nanoseconds; and moves. */
void nodes_clock_start(struct node *n, int64_t offset_ns);
void nodes_clock_advance(struct node *n, uint64_t ns);
/* One round of the node's lease renewal. */
int nodes_renew(struct node *n);

/* Without waiting for the answer; nodes_answer gets it. */
void nodes_commit_start(struct node *n);
int nodes_answer(struct node *n);

#endif
