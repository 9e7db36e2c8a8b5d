/* SPDX-License-Identifier: Apache-2.0 */
/*
 * course: a way through the whole engine by its public interface, for trials in which something
 * fails underway: a store is made, gets a table, rows, indexes, alterations, several segments of
 * log that are folded, a backup, a vacuum, a drop, and is closed, overwritten where nothing needs
 * it, and opened in between.
 *
 * Each leg can be run again, whether it was done, has failed, or was never begun. So a course that
 * was disturbed can be run to its end afterwards, and then everything is as it would have been.
 */
#ifndef INSTAR_TEST_COURSE_H
#define INSTAR_TEST_COURSE_H

#include "support/dbs.h"

#define COURSE_ROWS 40

/* What is known of the rows, in memory that processes share: bit p of a row: it may be as pass p
 * over the table has left it. Bit 0: it may be absent. A commit that was acknowledged leaves one
 * bit, one whose outcome is unknown two. */
struct course_book {
    uint32_t rows[COURSE_ROWS];
    uint32_t pass;    /* the latest */
    uint32_t failed;  /* legs that have */
    uint64_t fired;   /* of the trial: faults */
    uint64_t counted; /* of the trial: places where one might be */
    bool waiting;     /* a change went on when it was not waited for any more */
    bool stopped;     /* the store has stopped writing */
    bool wrong;       /* the trial has found something */
};

struct course {
    const char *dir; /* of store, backup and what is restored */
    struct course_book *book;
    instar *db;    /* or NULL */
    bool no_table; /* the leg that makes it has not succeeded */
    /* A leg has failed; the next one follows, unless there is no store for it. */
    void (*failed)(struct course *c, const char *leg, int code, const char *words);
    void *arg;
};

/* Shared with forks. */
struct course_book *course_book_new(void);
void course_book_clear(struct course_book *book);
void course_run(struct course *c);
const char *course_store(const struct course *c); /* its path; valid for the next few */
/* Open the store; the code of that. */
int course_open(struct course *c);
/* Wait until no change is left at work. */
void course_settle(struct course *c);
/* Of a store that is open: no change is left running, the rows are as the book says, the checker
 * finds nothing. whole: and everything is there as after a course that met no trouble. */
void course_look(struct course *c, bool whole);
/* Remove all that a course makes. */
void course_remove(const struct course *c);

#endif
