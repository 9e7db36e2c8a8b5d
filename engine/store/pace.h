/* SPDX-License-Identifier: Apache-2.0 */
/* pace: how much one LMDB transaction may write, and how long to keep off the disk after it. */
#ifndef INSTAR_STORE_PACE_H
#define INSTAR_STORE_PACE_H

#include "store/store_impl.h"

struct pace {
    uint64_t began_ns;
    uint64_t bytes_max; /* of one transaction */
    uint64_t until_ns;  /* no more is to be written to it then: the rest of the turn is its sync */
    bool gentle;        /* somebody waits for the disk */
    bool stands_back;   /* from commits, and from the applier */
    uint64_t tail;      /* as the turn began */
    unsigned patience;  /* where others often wait for the disk, pauses of a gentle turn are so many
                         * times as long; pace_begin sets 1 */
};

enum pace_kind {
    PACE_POLITE, /* small and with pauses while somebody waits for the disk */
    PACE_BUILD,  /* the same, and with pauses while anybody commits: what nobody waits for */
    PACE_HURRY,  /* others wait for this work more than for the disk */
    PACE_SMALL   /* little at a time: what one transaction frees only the next ones can use */
};
/* A turn begins. */
void pace_begin(struct store *s, enum pace_kind kind, struct pace *p);
bool pace_full(const struct pace *p, uint64_t bytes);
/* The turn is over, the gate is free. */
void pace_pause(struct store *s, const struct pace *p);

#endif
