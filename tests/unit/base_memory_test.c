/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation and arenas. */
#include "support/test.h"

#include <stdint.h>
#include <string.h>

static size_t asked;

static bool refuse(size_t size)
{
    asked += size;
    return false;
}

/* An empty request gives a pointer, so that NULL always means: no memory. */
Test(base_memory, empty_requests_succeed)
{
    void *a = base_alloc(0);
    void *b = base_alloc_zero(0, 8);
    void *c = base_realloc(NULL, 0);
    cr_expect(a != NULL && b != NULL && c != NULL);
    base_free(a);
    base_free(b);
    base_free(c);
    base_free(NULL);
}

/* A test can make every kind of request fail, and sees its size. */
Test(base_memory, each_request_can_be_refused)
{
    char *kept = base_strdup("kept");
    cr_assert_str_eq(kept, "kept");
    struct base_arena arena = {0};
    base_alloc_hook = refuse;
    cr_expect_null(base_alloc(10));
    cr_expect_null(base_alloc_zero(2, 5));
    cr_expect_null(base_realloc(kept, 20));
    cr_expect_null(base_strdup("12345"));
    cr_expect_eq(asked, 10 + 10 + 20 + 6);
    cr_expect_null(base_arena_alloc(&arena, 1));
    cr_expect_null(base_arena_strdup(&arena, "x"));
    base_alloc_hook = NULL;
    cr_expect_str_eq(kept, "kept", "a refused realloc leaves the old memory");
    cr_expect_not_null(base_arena_alloc(&arena, 1));
    base_arena_free(&arena);
    base_free(kept);
}

/* Fresh zeroed memory is zero. */
Test(base_memory, zeroed_memory_is_zero)
{
    uint8_t *p = base_alloc_zero(100, 3);
    cr_assert_not_null(p);
    for (int i = 0; i < 300; i++) {
        cr_expect_eq(p[i], 0);
    }
    base_free(p);
}

/* Pieces of an arena are aligned, do not overlap, and stay where they are while it grows. */
Test(base_memory, arena_pieces_stay_and_do_not_overlap)
{
    struct base_arena arena = {0};
    uint8_t *pieces[400];
    size_t sizes[400];
    struct test_random random = test_random(1);
    size_t total = 0;
    for (size_t i = 0; i < 400; i++) {
        sizes[i] = test_random_below(&random, i % 50 == 0 ? 100000 : 300);
        pieces[i] = base_arena_alloc(&arena, sizes[i]);
        cr_assert_not_null(pieces[i]);
        cr_expect_eq((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, sizes[i]);
        total += sizes[i];
        cr_expect(arena.used_bytes >= total);
    }
    for (size_t i = 0; i < 400; i++) {
        for (size_t j = 0; j < sizes[i]; j++) {
            cr_assert_eq(pieces[i][j], (uint8_t)i);
        }
    }
    base_arena_free(&arena);
    cr_expect_null(arena.chunks);
}

/* After a reset the arena begins again with the memory it has, and holds no more than that. */
Test(base_memory, arena_reset_keeps_one_chunk)
{
    struct base_arena arena = {0};
    base_arena_reset(&arena);
    void *first = base_arena_alloc(&arena, 10);
    for (int i = 0; i < 100; i++) {
        cr_assert_not_null(base_arena_alloc(&arena, 10000));
    }
    base_arena_reset(&arena);
    cr_expect_eq(arena.used_bytes, 0);
    cr_expect_eq(base_arena_alloc(&arena, 10), first);
    base_arena_free(&arena);
}

/* Copies are copies. */
Test(base_memory, arena_copies_bytes_and_text)
{
    struct base_arena arena = {0};
    char source[] = "source";
    char *copy = base_arena_strdup(&arena, source);
    uint8_t *bytes = base_arena_copy(&arena, source, 3);
    source[0] = 'X';
    cr_expect_str_eq(copy, "source");
    cr_expect_eq(memcmp(bytes, "sou", 3), 0);
    cr_expect_not_null(base_arena_copy(&arena, NULL, 0));
    base_arena_free(&arena);
}

/* A size that cannot be is refused. */
Test(base_memory, arena_refuses_impossible_sizes)
{
    struct base_arena arena = {0};
    cr_expect_null(base_arena_alloc(&arena, SIZE_MAX));
    cr_expect_null(base_arena_alloc(&arena, SIZE_MAX - 20));
    cr_expect_eq(arena.used_bytes, 0);
    base_arena_free(&arena);
}
