/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mixes of the Yahoo cloud serving benchmark, on table t. Rows are chosen by a Zipfian law of
 * exponent 0.99, scattered over the table; in mix D the latest rows of the client's own are the
 * most popular ones. An operation is a transaction.
 *
 *   A  half reads, half updates        D  95 % reads of the latest rows, 5 % inserts
 *   B  95 % reads, 5 % updates         E  95 % scans of 1 to 100 rows, 5 % inserts
 *   C  reads                           F  half reads, half read-modify-writes
 */
#ifndef INSTAR_BENCH_MIX_H
#define INSTAR_BENCH_MIX_H

#include "bench.h"

#define MIX_LATEST 1024

struct mix {
    uint64_t random;
    uint64_t rows;
    double zeta, eta;
    uint64_t latest[MIX_LATEST]; /* keys that this client inserted, a ring */
    uint64_t inserted;
};

void mix_start(struct mix *m, uint64_t rows, uint64_t seed);
/* `which`: 0 is A; new_key: what an insert inserts. */
int mix_step(struct mix *m, const struct driver *d, void *session, unsigned which,
             uint64_t new_key);
/* Are rows chosen as often as the law says? 0: they are. */
int mix_self_test(void);

#endif
