/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial: one course in which something fails, in a process of its own, and what must be true
 * whatever it was: each leg ends with a code that fits and with words; nothing is left of memory
 * and descriptors; the same handle goes on when the trouble is over; another process finds all
 * that was acknowledged, and the store whole.
 */
#ifndef INSTAR_TEST_TRIAL_H
#define INSTAR_TEST_TRIAL_H

#include "support/course.h"

struct trial {
    const char *name; /* for messages: what fails */
    bool recover;     /* begin with a store whose process was killed, not with none */
    /* Begin and end the trouble, in the process of the trial; the latter says how often it struck.
     */
    void (*arm)(const struct trial *t);
    uint64_t (*disarm)(const struct trial *t);
    /* May a leg end so, for this trouble? */
    bool (*fits)(const struct trial *t, int code);
    const void *arg;
};

/* The trouble struck: true. book->wrong: something is not as it must be; stderr has the words. */
bool trial_run(const struct trial *t, struct course_book *book);
/* A course without trouble: `arm` and `disarm` count what there is. */
uint64_t trial_count(const struct trial *t, struct course_book *book);

/* Trials that have numbers, below `all`: `cases` of them, another range for each INSTAR_SEED, and
 * each range spread over all. Nothing may be wrong in any, and in a quarter the trouble must have
 * struck. `run` is trial_run() for one number; false: there is no such trial. */
void trial_sample(uint64_t all, uint64_t cases,
                  bool (*run)(uint64_t number, const void *arg, struct course_book *book,
                              bool *struck_out),
                  const void *arg, struct course_book *book);

#endif
