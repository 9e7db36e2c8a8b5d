/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All memory of the library, behind one hook that lets a test make any request fail; and the arena
 * of a script: what is read lives as long as the script, so nothing is freed singly.
 */
#include "ddl/ddl_impl.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#if defined(INSTAR_TEST)
bool (*_Atomic ddl_alloc_hook)(size_t size);

static bool refused(size_t size)
{
    bool (*hook)(size_t size) = ddl_alloc_hook;
    return hook != NULL && !hook(size);
}
#else
static bool refused(size_t size)
{
    (void)size;
    return false;
}
#endif

void *ddl_malloc(size_t size)
{
    return refused(size) ? NULL : malloc(size);
}

void *ddl_calloc(size_t count, size_t size)
{
    return refused(size) ? NULL : calloc(count, size);
}

void *ddl_realloc(void *p, size_t size)
{
    return refused(size) ? NULL : realloc(p, size);
}

#define BLOCK_BYTES ((size_t)16 << 10)

struct ddl_block {
    struct ddl_block *next;
    size_t used, size;
    alignas(max_align_t) unsigned char data[];
};

void *ddl_alloc(struct ddl_arena *arena, size_t size)
{
    struct ddl_block *block = arena->blocks;
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);

    if (rounded < size) {
        return NULL;
    }
    if (block == NULL || block->size - block->used < rounded) {
        size_t room = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;

        block = ddl_malloc(sizeof(*block) + room);
        if (block == NULL) {
            return NULL;
        }
        block->next = arena->blocks;
        block->used = 0;
        block->size = room;
        arena->blocks = block;
    }
    void *found = block->data + block->used;

    block->used += rounded;
    memset(found, 0, rounded);
    return found;
}

char *ddl_copy(struct ddl_arena *arena, const char *text, size_t size)
{
    char *copy = size < SIZE_MAX ? ddl_alloc(arena, size + 1) : NULL;

    if (copy != NULL && size > 0) {
        memcpy(copy, text, size);
    }
    return copy;
}

void ddl_arena_free(struct ddl_arena *arena)
{
    while (arena->blocks != NULL) {
        struct ddl_block *next = arena->blocks->next;

        free(arena->blocks);
        arena->blocks = next;
    }
}
