/* SPDX-License-Identifier: Apache-2.0 */
/* admit: commits that come faster than the log is folded are spread over the time that it takes. */
#ifndef INSTAR_STORE_ADMIT_H
#define INSTAR_STORE_ADMIT_H

#include "store/store_impl.h"

/* The applier folds (from, to]; it has worked on it for so long, without pauses. */
void admit_folding(struct store *s, uint64_t from, uint64_t to, uint64_t took_ns);
/* The applier has other work for so long yet, before it folds what is behind `from`. */
void admit_held_up(struct store *s, uint64_t from, uint64_t left_ns);
/* It has been folded. */
void admit_folded(struct store *s, uint64_t from, uint64_t to, uint64_t took_ns);
/* The applier has nothing to fold, or cannot: let all commits in. */
void admit_all(struct store *s);
/* A commit, before it takes the writer lock: wait until so much of a segment is due, but not past
 * the deadline. */
void admit_wait(struct store *s, uint64_t bytes, uint64_t deadline_ns);
/* Bytes per second that are let in; 0: as many as come. */
uint64_t admit_rate(const struct store *s);

#endif
