/* SPDX-License-Identifier: Apache-2.0 */
/* grants: the two-version rule (LEASE-2), by what stands in shared memory. */
#ifndef INSTAR_TEST_GRANTS_H
#define INSTAR_TEST_GRANTS_H

#include "lease/lease_impl.h"

/* Two valid grants of one table that are two versions apart. */
struct grants_apart {
    uint64_t table; /* 0: there are none */
    uint32_t low, high;
};
/* Whoever calls sees to it that no grant changes meanwhile. */
struct grants_apart grants_look(const struct leases *l);
/* The same under the mutex under which they change. EBUSY. */
int grants_look_locked(const struct leases *l, struct grants_apart *apart_out,
                       struct base_err *err);

#endif
