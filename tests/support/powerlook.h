/* SPDX-License-Identifier: Apache-2.0 */
/*
 * powerlook: what is recorded for the power-cut campaigns, and how each state that may be left is
 * looked at. Of each: the store opens; every promised commit is there, no part of another, and no
 * commit without those before it; every tree equals the model; the log verifies; a second recovery
 * finds the same; and, for some, the rest of the workload runs and ends as the model does.
 */
#ifndef INSTAR_TEST_POWERLOOK_H
#define INSTAR_TEST_POWERLOOK_H

#include "support/oracle.h"
#include "support/powercut.h"

/* How states are looked at. */
struct powerlook {
    const struct oracle *oracle;
    instar_options options;
    unsigned finish_every; /* in each so many-th state the workload is finished; 0: never */
    bool nest;             /* cut the recovery of each state too */
    uint64_t nest_states;
    struct powercut_result *nested; /* their sum, in memory shared with children */
};

/* The smallest store there can be: segments fill after a few commits. */
instar_options powerlook_options(void);
/* Where the recorded store is, below a root of its own; and where states are written. */
const char *powerlook_root(void);
const char *powerlook_store(void);
const char *powerlook_state(void);

/* Make a store, run the workload on it, and record what happens below the root, from the creation
 * on or after it. */
struct trace *powerlook_record(const struct oracle *o, bool with_create);
/* The same in a process that is killed before its nth operation. NULL: it came to its end alive, or
 * the trace cannot be used. The store stays as the kill has left it. */
struct trace *powerlook_record_kill(const struct oracle *o, uint64_t nth);
/* Recover the store below `root`, which must show between least and most commits, and go on with
 * the commits that were lost, so that new records are like dead ones byte for byte. NULL: it is
 * bad. */
struct trace *powerlook_record_recovery(const struct powerlook *l, const char *root, uint64_t least,
                                        uint64_t most, char *text, size_t text_size);

/* For struct powercut: arg is a struct powerlook. */
bool powerlook_look(void *arg, const struct powercut_state *state, char *text, size_t text_size);

void powerlook_add(struct powercut_result *sum, const struct powercut_result *one);
uint64_t powerlook_last_mark(const struct trace *t, uint64_t mark);

#endif
