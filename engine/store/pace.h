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
};

/* A turn begins. hurry: others wait for this work more than for the disk. */
void pace_begin(struct store *s, bool hurry, struct pace *p);
bool pace_full(const struct pace *p, uint64_t bytes);
/* The turn is over, the gate is free. */
void pace_pause(const struct store *s, const struct pace *p);

#endif
