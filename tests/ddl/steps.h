/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps: a process that runs changes, and stops at each point of theirs until it is told to go on.
 * So a test goes through a change point by point, whatever points that change has; and a second
 * one, which goes on when the first was killed. A guest submits a change, or waits for it, or does
 * what it is told, and is there to be killed.
 */
#ifndef INSTAR_TEST_STEPS_H
#define INSTAR_TEST_STEPS_H

#include "support/dbs.h"

#define STEPS_NAME 40
#define STEPS_TEXT 1024

enum steps_event {
    STEPS_AT_POINT, /* it stands there */
    STEPS_WAITING,  /* somebody else holds the change up */
    STEPS_ENDED     /* the change has its verdict, and no point is left */
};

struct steps_shared;
struct steps {
    struct steps_shared *shared;
    struct test_child first;
    struct test_child second;
    struct test_child guest;
    int reached[2];
    int released[2];
    bool standing;
    bool closing;               /* the first one was told to end */
    bool helped;                /* the second one is there */
    bool killing;               /* at a call */
    bool waiting;               /* as was said last */
    char point[STEPS_NAME + 8]; /* where it stands: its name, and #2 when it is the second time */
};

/* Before this process opens the store. The first runner opens it. */
void steps_begin(struct steps *s);
/* It stands nowhere any more; or from now on again. */
void steps_free(struct steps *s);
void steps_lead(struct steps *s);
/* Release it where it stands, if it does, and wait for what comes next. */
enum steps_event steps_next(struct steps *s, instar *db, uint64_t change);
/* The next request for memory of the thread that runs the change is refused. */
void steps_refuse_memory(struct steps *s);
/* Was one? */
bool steps_refused(const struct steps *s);
/* From where it stands on, one write of its process finds the disk full; at most up to the next
 * point. */
void steps_fill_disk(struct steps *s);
/* How many did? */
uint64_t steps_filled(const struct steps *s);
/* Kill the first one where it stands, and let the second one go on. */
void steps_kill(struct steps *s);
/* The same at its nth call that touches a file, counted from now on, wherever it is then. */
void steps_kill_at_call(struct steps *s, uint64_t nth);
/* The second one comes to help. The first one ends with the verdict of the change. */
void steps_help(struct steps *s);
/* The guest submits that statement, and waits for its change, which is returned; NULL: it waits for
 * this change. It has no part in running it. */
uint64_t steps_guest(struct steps *s, const char *text, uint64_t change);
/* Or it does this, and ends; `arg` points to what was there when the steps began. */
void steps_guest_do(struct steps *s, void (*task)(struct test_child *self, void *arg), void *arg);
void steps_kill_guest(struct steps *s);
/* All close their stores and end. */
void steps_end(struct steps *s);

#endif
