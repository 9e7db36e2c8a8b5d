/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log-linear histogram of times: 32 buckets for each power of two, so a quantile is wrong by at
 * most a thirty-second part, from a nanosecond to 18 minutes.
 */
#ifndef INSTAR_BENCH_HIST_H
#define INSTAR_BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB 32u
#define HIST_POWERS 36u
#define HIST_BUCKETS (HIST_SUB * HIST_POWERS)

struct hist {
    uint64_t count;
    uint64_t max_ns;
    uint32_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t ns);
void hist_merge(struct hist *into, const struct hist *from);
/* The time below which this part of all lies, 0 < part <= 1: the upper end of its bucket, never
 * more than the maximum. 0 of nothing. */
uint64_t hist_quantile(const struct hist *h, double part);
/* Compares quantiles with those of a sorted list; 0 when they agree as promised above. */
int hist_self_test(void);

#endif
