/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay: what a disk may hold when the power goes at some step of a trace. Whatever a sync covered
 * is there; of the rest, any part: an operation may be lost although a later one survived, and a
 * write may be torn. Only what a sync promises is relied on, not what one file system happens to
 * do.
 */
#ifndef INSTAR_TEST_REPLAY_H
#define INSTAR_TEST_REPLAY_H

#include "support/trace.h"

enum replay_fate {
    REPLAY_LOST,
    REPLAY_WHOLE,
    REPLAY_PREFIX, /* a number of units from its beginning */
    REPLAY_PIECES  /* each unit for itself */
};

/* What becomes of one pending operation. Only writes and zeroed ranges can be torn. */
struct replay_choice {
    enum replay_fate fate;
    uint32_t unit; /* 8, 512 or 4096; pieces end at multiples of it in the file */
    uint64_t seed; /* which units survive */
};

struct replay;

struct replay *replay_new(const struct trace *trace);
void replay_free(struct replay *p);
/* Cut after this step. Steps only rise. */
void replay_cut(struct replay *p, uint64_t step);
/* Operations begun by then that no sync covers: in order. */
size_t replay_pending(const struct replay *p);
const struct trace_event *replay_pending_event(const struct replay *p, size_t i);
bool replay_can_tear(const struct trace_event *e, enum replay_fate fate);
/* Make the state: choices has one entry for each pending operation. replay_state_hash is equal for
 * equal states; replay_write puts the state into an empty or missing directory. */
void replay_choose(struct replay *p, const struct replay_choice *choices);
uint64_t replay_state_hash(const struct replay *p);
void replay_write(const struct replay *p, const char *path);

#endif
