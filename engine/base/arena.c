/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is freed all at once: a chain of chunks, newest first, filled from the front. */
#include "base/base.h"

#include <string.h>

#define CHUNK_FIRST ((size_t)4 << 10)
#define CHUNK_MAX ((size_t)1 << 20)
#define ALIGNMENT 16

struct base_arena_chunk {
    struct base_arena_chunk *older;
    size_t size; /* of bytes */
    size_t used;
    size_t unused_alignment;
    uint8_t bytes[];
};
_Static_assert(sizeof(struct base_arena_chunk) % ALIGNMENT == 0, "bytes begin aligned");

static struct base_arena_chunk *grow(struct base_arena *a, size_t size)
{
    size_t want = CHUNK_FIRST;
    if (a->chunks != NULL) {
        want = a->chunks->size < CHUNK_MAX / 2 ? a->chunks->size * 2 : CHUNK_MAX;
    }
    if (want < size) {
        want = size;
    }
    size_t total;
    if (!base_add_ok(want, sizeof(struct base_arena_chunk), &total)) {
        return NULL;
    }
    struct base_arena_chunk *chunk = base_alloc(total);
    if (chunk == NULL) {
        return NULL;
    }
    *chunk = (struct base_arena_chunk){.older = a->chunks, .size = want};
    a->chunks = chunk;
    return chunk;
}

void *base_arena_alloc(struct base_arena *a, size_t size)
{
    size_t rounded;
    if (!base_add_ok(size, ALIGNMENT - 1, &rounded)) {
        return NULL;
    }
    rounded &= ~(size_t)(ALIGNMENT - 1);
    struct base_arena_chunk *chunk = a->chunks;
    if (base_alloc_refused(size)) {
        return NULL; /* a test may refuse also what fits into a chunk */
    }
    if (chunk == NULL || chunk->size - chunk->used < rounded) {
        chunk = grow(a, rounded);
        if (chunk == NULL) {
            return NULL;
        }
    }
    void *p = chunk->bytes + chunk->used;
    chunk->used += rounded;
    a->used_bytes += rounded;
    return p;
}

void *base_arena_copy(struct base_arena *a, const void *data, size_t size)
{
    void *p = base_arena_alloc(a, size);
    if (p != NULL && size != 0) {
        memcpy(p, data, size);
    }
    return p;
}

char *base_arena_strdup(struct base_arena *a, const char *s)
{
    return base_arena_copy(a, s, strlen(s) + 1);
}

void base_arena_reset(struct base_arena *a)
{
    struct base_arena_chunk *chunk = a->chunks;
    while (chunk != NULL && chunk->older != NULL) {
        struct base_arena_chunk *older = chunk->older;
        base_free(chunk);
        chunk = older;
    }
    if (chunk != NULL) {
        chunk->used = 0;
    }
    a->chunks = chunk;
    a->used_bytes = 0;
}

void base_arena_trim(struct base_arena *a, size_t most)
{
    base_arena_reset(a);
    if (a->chunks != NULL && a->chunks->size > most) {
        base_arena_free(a);
    }
}

void base_arena_free(struct base_arena *a)
{
    base_arena_reset(a);
    base_free(a->chunks);
    *a = (struct base_arena){0};
}
