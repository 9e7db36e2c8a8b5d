/* SPDX-License-Identifier: Apache-2.0 */
/* Times below HIST_SUB have a bucket each; above, the five bits after the highest one count. */
#include "hist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned bucket_of(uint64_t ns)
{
    unsigned shift, at;

    if (ns < HIST_SUB) {
        return (unsigned)ns;
    }
    shift = 63u - (unsigned)__builtin_clzll(ns) - 5u;
    at = (shift + 1) * HIST_SUB + (unsigned)(ns >> shift) - HIST_SUB;
    return at < HIST_BUCKETS ? at : HIST_BUCKETS - 1;
}

/* The largest time of a bucket. */
static uint64_t end_of(unsigned bucket)
{
    unsigned shift = bucket / HIST_SUB;

    if (shift == 0) {
        return bucket;
    }
    return ((uint64_t)(bucket % HIST_SUB + HIST_SUB + 1) << (shift - 1)) - 1;
}

void hist_add(struct hist *h, uint64_t ns)
{
    h->count++;
    h->bucket[bucket_of(ns)]++;
    h->max_ns = ns > h->max_ns ? ns : h->max_ns;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    if (from->count == 0) {
        return;
    }
    into->count += from->count;
    into->max_ns = from->max_ns > into->max_ns ? from->max_ns : into->max_ns;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        into->bucket[i] += from->bucket[i];
    }
}

uint64_t hist_quantile(const struct hist *h, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)h->count + 0.999999), seen = 0;

    for (unsigned i = 0; i < HIST_BUCKETS && h->count > 0; i++) {
        seen += h->bucket[i];
        if (seen >= wanted) {
            return end_of(i) < h->max_ns ? end_of(i) : h->max_ns;
        }
    }
    return h->max_ns;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

int hist_self_test(void)
{
    enum { COUNT = 20000 };
    static const double parts[] = {0.0001, 0.5, 0.9, 0.99, 0.999, 1};
    static struct hist h, half[2];
    static uint64_t times[COUNT];
    uint64_t state = 1;

    for (size_t i = 0; i < COUNT; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        times[i] = (state >> 24) >> (state % 40); /* up to 2^40 */
        hist_add(&half[i % 2], times[i]);
    }
    hist_merge(&h, &half[0]);
    hist_merge(&h, &half[1]);
    qsort(times, COUNT, sizeof(times[0]), compare);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint64_t real = times[(size_t)(parts[i] * COUNT + 0.999999) - 1];
        uint64_t found = hist_quantile(&h, parts[i]);

        if (found < real || found > real + real / HIST_SUB) {
            fprintf(stderr, "bench: histogram: quantile %g is %llu, found %llu\n", parts[i],
                    (unsigned long long)real, (unsigned long long)found);
            return 1;
        }
    }
    return h.count == COUNT && h.max_ns == times[COUNT - 1] ? 0 : 1;
}
