/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of libpg_query: in our copy of it the C library's functions have these names
 * (GNUmakefile).
 *
 * It follows what some of its requests gave without a look, and for want of others it ends the
 * process. So a request that cannot be met does not return: it leaves libpg_query by a jump to
 * ddl_heap_run(). What libpg_query has in thread-local variables is then good for nothing; so its
 * thread ends (worker.c), and the next one begins with new variables. All blocks are in one ring,
 * so that they go with their thread.
 *
 * It is all used in the thread of libpg_query alone.
 */
#include "ddl/ddl_impl.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What was asked for lies behind it. */
struct block {
    alignas(max_align_t) struct block *next;
    struct block *previous;
};

static struct {
    struct block ring;
    bool spent; /* a request was not met, and so libpg_query was left half way */
    jmp_buf out;
} heap = {.ring = {.next = &heap.ring, .previous = &heap.ring}};

/* ---- for grammar.c and worker.c ----------------------------------------------------------- */

bool ddl_heap_run(void (*fn)(void *arg), void *arg)
{
    if (heap.spent) {
        return false;
    }
    if (setjmp(heap.out) != 0) {
        return false;
    }
    fn(arg);
    return true;
}

bool ddl_heap_clear(void)
{
    bool spent = heap.spent;

    while (spent && heap.ring.next != &heap.ring) {
        ddl_libc_free(heap.ring.next + 1);
    }
    heap.spent = false;
    return spent;
}

void ddl_heap_forget(void)
{
    heap.ring.next = heap.ring.previous = &heap.ring;
    heap.spent = false;
}

/* ---- for libpg_query ---------------------------------------------------------------------- */

static void link_in(struct block *block)
{
    block->next = heap.ring.next;
    block->previous = &heap.ring;
    block->next->previous = block->previous->next = block;
}

static void take_out(struct block *block)
{
    block->next->previous = block->previous;
    block->previous->next = block->next;
}

void *ddl_libc_realloc(void *p, size_t size)
{
    struct block *old = p != NULL ? (struct block *)p - 1 : NULL, *block = NULL;

    if (old != NULL) {
        take_out(old);
    }
    if (size <= SIZE_MAX - sizeof(*block)) {
        block = ddl_realloc(old, sizeof(*block) + size);
    }
    if (block != NULL) {
        link_in(block);
        return block + 1;
    }
    if (old != NULL) {
        link_in(old);
    }
    heap.spent = true;
    longjmp(heap.out, 1);
}

void *ddl_libc_malloc(size_t size)
{
    return ddl_libc_realloc(NULL, size);
}

void ddl_libc_free(void *p)
{
    if (p != NULL) {
        take_out((struct block *)p - 1);
        free((struct block *)p - 1);
    }
}

char *ddl_libc_strdup(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(ddl_libc_malloc(size), text, size);
}

/* It would have its memory given back when its thread ends, by a key for thread-local data that it
 * keeps. The thread stays, or has cleared the heap. */
int ddl_libc_pthread_key_create(pthread_key_t *key, void (*end)(void *value))
{
    (void)end;
    *key = 0;
    return 0;
}

int ddl_libc_pthread_setspecific(pthread_key_t key, const void *value)
{
    (void)key;
    (void)value;
    return 0;
}
