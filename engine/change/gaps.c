/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals of keys that are left to be read, and how several workers share them. */
#include "change/build_impl.h"

#include <string.h>

#define WAIT_NS 50000000u

void gap_key_set(struct gap_key *k, struct base_slice bytes)
{
    base_assert(bytes.size <= sizeof(k->bytes));
    k->size = (uint16_t)bytes.size;
    if (bytes.size != 0) {
        memcpy(k->bytes, bytes.data, bytes.size);
    }
}

/* Bytes `at` … `at + 8` as a number; missing ones are zero. */
static uint64_t digits(struct base_slice key, size_t at)
{
    return base_slice_prefix(key, at);
}

bool gap_middle(struct base_slice lower, struct base_slice upper, struct gap_key *middle_out)
{
    size_t common = base_slice_common_prefix(lower, upper);
    uint64_t low = digits(lower, common);
    uint64_t high = digits(upper, common);
    size_t size = common;
    uint64_t middle;

    if (base_slice_cmp(lower, upper) >= 0 || high <= low) {
        return false;
    }
    memcpy(middle_out->bytes, lower.data, common);
    if (high - low >= 2) {
        middle = low + (high - low) / 2;
    } else {
        /* Neighbours: half way from the rest of the lower one to the end of what begins like it. */
        uint64_t rest = digits(lower, common + sizeof(low));
        middle = rest + (UINT64_MAX - rest) / 2;
        if (middle <= rest || common + 2 * sizeof(low) > sizeof(middle_out->bytes)) {
            return false;
        }
        base_put_be64(middle_out->bytes + size, low);
        size += sizeof(low);
    }
    if (size + sizeof(middle) > sizeof(middle_out->bytes)) {
        return false;
    }
    base_put_be64(middle_out->bytes + size, middle);
    size += sizeof(middle);
    middle_out->size = (uint16_t)size;
    return base_slice_cmp(lower, gap_key_slice(middle_out)) < 0 &&
           base_slice_cmp(gap_key_slice(middle_out), upper) < 0;
}

void gaps_init(struct gaps *g)
{
    *g = (struct gaps){0};
    os_plain_init(&g->lock);
    os_cond_init(&g->cond);
}

void gaps_destroy(struct gaps *g)
{
    base_assert(g->busy_count == 0);
    os_cond_destroy(&g->cond);
    os_plain_destroy(&g->lock);
}

static void add_locked(struct gaps *g, const struct gap *gap)
{
    base_assert(g->waiting_count < BASE_ARRAY_LEN(g->waiting));
    g->waiting[g->waiting_count++] = *gap;
    os_cond_wake_all(&g->cond);
}

void gaps_add(struct gaps *g, const struct gap *gap)
{
    os_plain_lock(&g->lock);
    add_locked(g, gap);
    os_plain_unlock(&g->lock);
}

struct gap *gaps_take(struct gaps *g, unsigned worker)
{
    struct gap *taken = NULL;

    base_assert(worker < GAPS_WORKERS_MAX);
    os_plain_lock(&g->lock);
    base_assert(!g->busy[worker]);
    while (!g->stop && g->waiting_count == 0 && g->busy_count > 0) {
        atomic_fetch_add_explicit(&g->hungry, 1, memory_order_relaxed);
        os_cond_wait(&g->cond, &g->lock, WAIT_NS);
        atomic_fetch_sub_explicit(&g->hungry, 1, memory_order_relaxed);
    }
    if (!g->stop && g->waiting_count > 0) {
        /* The first one: what was there from the beginning goes before what was split off. */
        g->active[worker] = g->waiting[0];
        g->waiting_count--;
        memmove(&g->waiting[0], &g->waiting[1], g->waiting_count * sizeof(g->waiting[0]));
        g->busy[worker] = true;
        g->busy_count++;
        taken = &g->active[worker];
    }
    os_plain_unlock(&g->lock);
    return taken;
}

void gaps_split(struct gaps *g, unsigned worker, const struct gap_key *middle)
{
    os_plain_lock(&g->lock);
    struct gap *mine = &g->active[worker];
    base_assert(g->busy[worker]);
    base_assert(base_slice_cmp(gap_key_slice(&mine->lower), gap_key_slice(middle)) < 0);
    if (g->waiting_count < GAPS_WAITING_MAX &&
        g->waiting_count < atomic_load_explicit(&g->hungry, memory_order_relaxed)) {
        struct gap rest = *mine;
        rest.lower = *middle;
        rest.after = false;
        mine->upper = *middle;
        mine->endless = false;
        add_locked(g, &rest);
    }
    os_plain_unlock(&g->lock);
}

void gaps_release(struct gaps *g, unsigned worker, bool done)
{
    os_plain_lock(&g->lock);
    base_assert(g->busy[worker]);
    g->busy[worker] = false;
    g->busy_count--;
    if (!done) {
        add_locked(g, &g->active[worker]);
    }
    os_cond_wake_all(&g->cond);
    os_plain_unlock(&g->lock);
}

void gaps_stop(struct gaps *g)
{
    os_plain_lock(&g->lock);
    g->stop = true;
    os_cond_wake_all(&g->cond);
    os_plain_unlock(&g->lock);
}

void gaps_resume(struct gaps *g)
{
    os_plain_lock(&g->lock);
    g->stop = false;
    os_plain_unlock(&g->lock);
}
