/* SPDX-License-Identifier: Apache-2.0 */
/* damage: one place of a store's files made wrong, as disks do it: a bit, a byte, a sector of
 * zeros, a page or sector of an earlier time, one from another place, an end that is cut off. */
#ifndef INSTAR_TEST_DAMAGE_H
#define INSTAR_TEST_DAMAGE_H

#include "support/test.h"

struct damage {
    char what[200];
    char path[700];
    bool log; /* then these are positions in it */
    uint64_t from, to;
};

/* The store, and what it was earlier. */
struct damage_place {
    const char *copy;
    const char *earlier[4];
    size_t earlier_count;
};
/* False: chance has changed nothing. */
bool damage_copy(struct test_random *r, const struct damage_place *place, struct damage *d);

/* Of the file at d->path: that, or all of it is other bytes, or it is not there. */
bool damage_leftover(struct test_random *r, struct damage *d);

#endif
