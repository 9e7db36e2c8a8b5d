/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks of memory of one size, up to a limit: what bounds the memory of a build. */
#include "change/sort_impl.h"

#include <string.h>

#define CHUNK_MIN ((size_t)4 << 10)
#define CHUNK_MAX ((size_t)32 << 10)
/* Of the budget, so many eighths are for what is gathered; the rest is for partitioning (a chunk
 * for each thread and bucket), for the sorters and for the blocks that wait to be consumed. */
#define GATHER_EIGHTHS 6
/* A budget is at least this many chunks. */
#define CHUNKS_IN_BUDGET 8192
#define CHUNKS_IN_SLAB 32

/* Chunks are made of memory that is asked for in large pieces: the C library takes a lock, and
 * often a system call, for each that is as large as a chunk. Pages that nobody has touched cost
 * nothing. */
struct pool_slab {
    struct pool_slab *next;
    size_t made; /* chunks */
    uint64_t bytes[];
};

void pool_init(struct pool *p, size_t budget_bytes)
{
    size_t chunk = budget_bytes / CHUNKS_IN_BUDGET;

    *p = (struct pool){0};
    os_plain_init(&p->lock);
    p->chunk_bytes = chunk < CHUNK_MIN ? CHUNK_MIN : chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
    p->chunk_bytes &= ~(sizeof(uint64_t) - 1);
    p->taken_max = budget_bytes / 8 * GATHER_EIGHTHS / p->chunk_bytes;
    base_assert(p->taken_max >= 2);
}

void pool_destroy(struct pool *p)
{
    base_assert(p->taken == 0);
    while (p->slabs != NULL) {
        struct pool_slab *next = p->slabs->next;
        base_free(p->slabs);
        p->slabs = next;
    }
    os_plain_destroy(&p->lock);
}

static struct pool_chunk *make_chunk(struct pool *p)
{
    struct pool_slab *slab = p->slabs;

    if (slab == NULL || slab->made == CHUNKS_IN_SLAB) {
        slab = base_alloc(sizeof(*slab) + CHUNKS_IN_SLAB * p->chunk_bytes);
        if (slab == NULL) {
            return NULL;
        }
        slab->next = p->slabs;
        slab->made = 0;
        p->slabs = slab;
    }
    uint8_t *chunks = (uint8_t *)slab->bytes;
    return (struct pool_chunk *)(void *)(chunks + slab->made++ * p->chunk_bytes);
}

struct pool_chunk *pool_take(struct pool *p, bool beyond, bool *nomem_out)
{
    struct pool_chunk *chunk = NULL;

    os_plain_lock(&p->lock);
    if (beyond || p->taken < p->taken_max) {
        chunk = p->free;
        if (chunk != NULL) {
            p->free = chunk->next;
        } else {
            chunk = make_chunk(p);
            p->made += chunk != NULL;
            *nomem_out = *nomem_out || chunk == NULL;
        }
        p->taken += chunk != NULL;
    }
    os_plain_unlock(&p->lock);
    if (chunk != NULL) {
        chunk->next = NULL;
        chunk->used = 0;
    }
    return chunk;
}

void pool_give(struct pool *p, struct pool_chunk *chunk)
{
    os_plain_lock(&p->lock);
    base_assert(p->taken > 0);
    p->taken--;
    chunk->next = p->free;
    p->free = chunk;
    os_plain_unlock(&p->lock);
}

void pool_give_all(struct pool *p, struct pool_chunk *first)
{
    while (first != NULL) {
        struct pool_chunk *next = first->next;
        pool_give(p, first);
        first = next;
    }
}
