/* SPDX-License-Identifier: Apache-2.0 */
/* The rate at which a build may read rows, as its request says; shared by its workers. */
#include "change/build_impl.h"

#define NS_PER_S 1000000000u
/* What was not used in the last moment may be caught up, not more. */
#define BURST_NS 50000000u
#define BATCHES_PER_SECOND 40
#define BATCH_MAX 256

void limit_init(struct limit *l, uint64_t rows_per_second)
{
    *l = (struct limit){.rate = rows_per_second};
    os_plain_init(&l->lock);
}

void limit_set(struct limit *l, uint64_t rows_per_second)
{
    os_plain_lock(&l->lock);
    if (atomic_load_explicit(&l->rate, memory_order_relaxed) != rows_per_second) {
        atomic_store_explicit(&l->rate, rows_per_second, memory_order_relaxed);
        l->next_ns = 0; /* what was promised at the old rate */
    }
    os_plain_unlock(&l->lock);
}

void limit_destroy(struct limit *l)
{
    os_plain_destroy(&l->lock);
}

uint32_t limit_batch(const struct limit *l)
{
    uint64_t rate = atomic_load_explicit(&l->rate, memory_order_relaxed);
    uint64_t batch = rate / BATCHES_PER_SECOND;

    if (rate == 0 || batch > BATCH_MAX) {
        return BATCH_MAX;
    }
    return batch < 1 ? 1 : (uint32_t)batch;
}

uint64_t limit_take(struct limit *l, uint64_t now_ns, uint64_t rows)
{
    uint64_t wait_ns = 0;
    uint64_t rate = atomic_load_explicit(&l->rate, memory_order_relaxed);

    if (rate == 0) {
        return 0;
    }
    os_plain_lock(&l->lock);
    if (l->next_ns + BURST_NS < now_ns) {
        l->next_ns = now_ns - BURST_NS;
    }
    if (l->next_ns > now_ns) {
        wait_ns = l->next_ns - now_ns;
    }
    /* In floating point: rows * 1e9 may be too large, and a rounded nanosecond does not matter. */
    l->next_ns += (uint64_t)((double)rows * NS_PER_S / (double)rate);
    os_plain_unlock(&l->lock);
    return wait_ns;
}
