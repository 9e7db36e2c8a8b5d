/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refusals: each operation while something is refused at each place that asks for it, in the
 * threads that submit and run the change. A place is a path of calls, and is refused when it is
 * come by for the first time, but only a few in each attempt. Where the change fails for it all is
 * as it was, and it is submitted again; and all of it in another store, until nothing new is on
 * its way.
 */
#ifndef INSTAR_TEST_REFUSALS_H
#define INSTAR_TEST_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

struct refusals {
    unsigned share; /* of the operations, when the environment does not say */
    bool runners; /* also in the thread that looks for changes, which tries again after a second */
    /* Is it a code by which a submission or a change may end because something was refused? */
    bool (*may_end)(int code);
};

/* To be asked by what refuses. `kind` tells apart what one path asks for; own: the calls at its end
 * that belong to who refuses. */
bool refusals_is_new(uint64_t kind, unsigned own);
/* From now on so many are refused, or none; how many were, in all. For tests that submit by
 * themselves: their own thread is spared. */
void refusals_arm(const struct refusals *r, int64_t few);
uint64_t refusals_count(void);
/* All operations of this share. */
void refusals_run(const struct refusals *r);

#endif
