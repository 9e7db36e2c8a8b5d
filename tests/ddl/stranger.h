/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stranger: another process with a transaction open on the version of now, which has written a row
 * to each table. It dies there or in its commit, or it stands still for as long as the change
 * takes, longer than its lease, and commits then. It is the guest of the steps.
 */
#ifndef INSTAR_TEST_STRANGER_H
#define INSTAR_TEST_STRANGER_H

#include "ddl/scene.h"

struct stranger {
    size_t side;
    int64_t row;
    bool wrote; /* false: there is no table, or what fails the change in the end refused it */
};

/* Its leases last that long, unless they are renewed. */
void stranger_begin(struct scene *s, struct stranger *x, uint32_t lease_ms);
/* With its transaction open; or in its commit, which others make void. */
void stranger_die(struct scene *s, const struct stranger *x, bool in_commit);
/* SIGSTOP, outside of the locks that others need; and when it goes on, it commits or is refused:
 * then it may be run again. */
void stranger_stand(struct scene *s);
void stranger_go_on(struct scene *s, const struct stranger *x);

#endif
