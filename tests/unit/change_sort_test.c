/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting of index entries: in memory, over several threads, and by way of runs in files. */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change/sort_impl.h"

#define BUDGET_SMALL ((size_t)1 << 20)

/* ---- keys of several kinds ---------------------------------------------------------------- */

enum shape {
    SHAPE_NUMBERS,
    SHAPE_PATHS,
    SHAPE_SAME_VALUE,
    SHAPE_SHORT_ONES,
    SHAPE_ZEROS,
    SHAPE_COUNT
};

/* Distinct keys: each ends in its number, as an index key ends in the primary key. */
static size_t make_key(enum shape shape, struct test_random *r, uint32_t number, uint8_t *key)
{
    size_t size = 0;

    if (shape == SHAPE_NUMBERS) {
        base_put_be64(key, test_random_below(r, 1000000));
        size = 8;
    } else if (shape == SHAPE_PATHS) {
        size = (size_t)snprintf((char *)key, 400, "/usr/share/doc/package-%u/%0*u/copyright",
                                (unsigned)test_random_below(r, 300),
                                (int)test_random_below(r, 40) + 1, number % 7);
    } else if (shape == SHAPE_SAME_VALUE) {
        memset(key, 'x', 40);
        size = 40;
    } else if (shape == SHAPE_SHORT_ONES) {
        /* A few are the beginning of all others. */
        memset(key, 'x', 40);
        size = number < 39 ? number + 1 : 40;
    } else {
        /* Many zeros, so that padding is told apart from bytes. */
        size = test_random_below(r, 20);
        memset(key, 0, size);
    }
    if (shape != SHAPE_ZEROS && (shape != SHAPE_SHORT_ONES || size == 40)) {
        base_put_be64(key + size, number);
        size += 8;
    }
    return size;
}

static int by_bytes(const void *a, const void *b)
{
    const struct base_slice *x = a;
    const struct base_slice *y = b;
    return base_slice_cmp(*x, *y);
}

/* A list of keys in an arena. */
struct keys {
    struct base_arena arena;
    struct base_slice *list;
    size_t count;
};

static struct keys make_keys(enum shape shape, size_t count, uint64_t stream)
{
    struct keys k = {.list = calloc(count, sizeof(struct base_slice)), .count = count};
    struct test_random r = test_random(stream);
    uint8_t key[512];

    for (size_t i = 0; i < count; i++) {
        size_t size = make_key(shape, &r, (uint32_t)i, key);
        k.list[i] = base_slice(base_arena_copy(&k.arena, key, size), size);
    }
    return k;
}

static void free_keys(struct keys *k)
{
    base_arena_free(&k->arena);
    free(k->list);
}

/* The value of a key in these tests: eight bytes that depend on it. */
static void value_of(void *arg, struct base_slice key, uint8_t value[SORT_VALUE_SIZE])
{
    (void)arg;
    base_put_u64(value, base_hash64(key.data, key.size, 7));
}

static uint64_t hash_of(struct base_slice key, struct base_slice value)
{
    return base_hash64(key.data, key.size, base_get_u64(value.data));
}

/* ---- sort_items --------------------------------------------------------------------------- */

/* The order is that of qsort with memcmp, whatever the keys look like. */
Test(change_sort, items_agree_with_qsort)
{
    for (int shape = 0; shape < SHAPE_COUNT; shape++) {
        struct keys k = make_keys((enum shape)shape, 5000, (uint64_t)shape + 1);
        struct sort_item *items = calloc(k.count * 2, sizeof(*items));
        for (size_t i = 0; i < k.count; i++) {
            uint8_t *entry = base_arena_alloc(&k.arena, STREAM_HEAD + k.list[i].size);
            base_put_u16(entry, (uint16_t)k.list[i].size);
            memcpy(entry + STREAM_HEAD, k.list[i].data, k.list[i].size);
            items[i].entry = entry;
        }
        sort_items(items, items + k.count, k.count);
        qsort(k.list, k.count, sizeof(k.list[0]), by_bytes);
        for (size_t i = 0; i < k.count; i++) {
            cr_assert(base_slice_eq(stream_key(items[i].entry), k.list[i]), "shape %d at %zu",
                      shape, i);
        }
        free(items);
        free_keys(&k);
    }
}

/* ---- drain -------------------------------------------------------------------------------- */

struct collected {
    const struct keys *expected;
    size_t at;
    size_t blocks;
    size_t stop_at; /* block at which the consumer fails, 0: none */
    bool hashed;
};

static int collect(void *arg, const struct sort_block *block, struct base_err *err)
{
    struct collected *c = arg;
    struct base_slice key;
    struct base_slice value;
    bool bad = false;
    size_t entries = 0;

    if (c->stop_at != 0 && ++c->blocks == c->stop_at) {
        return base_err_set(err, INSTAR_ENOSPACE, "full");
    }
    for (size_t at = 0; sort_block_next(block->data, block->size, &at, &key, &value, &bad);) {
        uint8_t wanted[SORT_VALUE_SIZE];
        value_of(NULL, key, wanted);
        expect(c->at < c->expected->count);
        expect(base_slice_eq(key, c->expected->list[c->at]));
        expect(memcmp(value.data, wanted, sizeof(wanted)) == 0);
        expect(block->hashes == NULL || block->hashes[entries] == hash_of(key, value));
        c->at++;
        entries++;
    }
    expect(!bad);
    expect_u64(entries, block->entries);
    expect((block->hashes != NULL) == c->hashed);
    return 0;
}

static struct drain drain_of(struct pool *p, struct stream *streams, size_t count, size_t budget)
{
    return (struct drain){.pool = p,
                          .streams = streams,
                          .stream_count = count,
                          .workers = 3,
                          .budget_bytes = budget,
                          .value = value_of};
}

static void drain_all(enum shape shape, size_t budget, bool hashed)
{
    struct keys k = make_keys(shape, 60000, (uint64_t)shape + 10);
    struct stream streams[3] = {0};
    struct pool pool;
    bool nomem = false;

    pool_init(&pool, 64u << 20);
    for (size_t i = 0; i < k.count; i++) {
        expect(stream_add(&streams[i % 3], &pool, k.list[i], &nomem));
    }
    qsort(k.list, k.count, sizeof(k.list[0]), by_bytes);
    struct collected c = {.expected = &k, .hashed = hashed};
    struct drain d = drain_of(&pool, streams, 3, budget);
    d.hash = hashed ? hash_of : NULL;
    d.consume = collect;
    d.consume_arg = &c;
    must(drain_run(&d, &test_err));
    expect_u64(c.at, k.count);
    expect_u64(pool.taken, 0);
    pool_destroy(&pool);
    free_keys(&k);
}

/* Several threads give every entry once, in order, with its value, and its hash where that is asked
 * for; also where there is memory for no more than one bucket. */
Test(change_sort, drain_gives_all_in_order)
{
    for (int shape = 0; shape < SHAPE_ZEROS; shape++) {
        drain_all((enum shape)shape, 64u << 20, shape % 2 == 0);
    }
    drain_all(SHAPE_NUMBERS, BUDGET_SMALL / 8, true);
}

/* Nothing to sort is no error, and a consumer that fails ends it without a leak. */
Test(change_sort, drain_of_nothing_and_of_a_failing_consumer)
{
    struct stream streams[2] = {0};
    struct pool pool;
    struct keys k = make_keys(SHAPE_NUMBERS, 30000, 20);
    struct collected c = {.expected = &k};
    bool nomem = false;

    pool_init(&pool, 16u << 20);
    struct drain d = drain_of(&pool, streams, 2, 16u << 20);
    d.consume = collect;
    d.consume_arg = &c;
    must(drain_run(&d, &test_err));
    expect_u64(c.at, 0);
    for (size_t i = 0; i < k.count; i++) {
        expect(stream_add(&streams[i % 2], &pool, k.list[i], &nomem));
    }
    c.stop_at = 1;
    must_fail(drain_run(&d, &test_err), INSTAR_ENOSPACE);
    expect_u64(streams[0].entries, 0);
    pool_destroy(&pool);
    free_keys(&k);
}

/* Whichever allocation fails, those for splitters among them: ENOMEM, and all chunks are back in
 * the pool. */
Test(change_sort, drain_without_memory_fails_cleanly)
{
    struct keys k = make_keys(SHAPE_NUMBERS, 40000, 21);

    for (size_t n = 0; n < 12; n++) {
        struct stream streams[1] = {0};
        struct pool pool;
        bool nomem = false;
        pool_init(&pool, 16u << 20);
        for (size_t i = 0; i < k.count; i++) {
            expect(stream_add(&streams[0], &pool, k.list[i], &nomem));
        }
        struct keys sorted = make_keys(SHAPE_NUMBERS, 40000, 21);
        qsort(sorted.list, sorted.count, sizeof(sorted.list[0]), by_bytes);
        struct collected c = {.expected = &sorted};
        struct drain d = drain_of(&pool, streams, 1, 16u << 20);
        d.workers = 1;
        d.consume = collect;
        d.consume_arg = &c;
        test_shortage_set(&(struct test_shortage){.nth = n + 1, .sticky = true});
        int rc = drain_run(&d, NULL);
        test_shortage_set(NULL);
        expect(rc == INSTAR_ENOMEM || (rc == 0 && c.at == k.count));
        expect(n > 0 || rc == INSTAR_ENOMEM);
        pool_destroy(&pool);
        free_keys(&sorted);
    }
    free_keys(&k);
}

/* The pool refuses beyond its share of the budget, and says so without an error. */
Test(change_sort, pool_keeps_its_limit)
{
    struct stream s = {0};
    struct pool pool;
    bool nomem = false;
    uint8_t key[100] = {0};

    pool_init(&pool, BUDGET_SMALL);
    while (stream_add(&s, &pool, base_slice(key, sizeof(key)), &nomem)) {
        cr_assert(s.bytes < BUDGET_SMALL);
    }
    expect(!nomem);
    cr_assert(s.bytes > BUDGET_SMALL / 2);
    cr_assert(pool.made * pool.chunk_bytes <= BUDGET_SMALL);
    stream_clear(&s, &pool);
    pool_destroy(&pool);
}

/* ---- runs and merge ----------------------------------------------------------------------- */

static int open_file(const char *name)
{
    int dir;
    int fd;

    cr_assert_eq(os_open_dir(test_dir(), &dir), 0);
    cr_assert_eq(os_openat(dir, name, O_RDWR | O_CREAT | O_EXCL, &fd), 0);
    os_close(dir);
    return fd;
}

static struct run write_run(int fd, uint64_t id, const struct keys *k, size_t first, size_t step)
{
    struct run_writer w;
    struct run run;
    uint8_t value[SORT_VALUE_SIZE];

    must(run_write_begin(&w, fd, id, 4096, &test_err));
    for (size_t i = first; i < k->count; i += step) {
        value_of(NULL, k->list[i], value);
        must(run_write_add(&w, k->list[i], base_slice(value, sizeof(value)), &test_err));
    }
    must(run_write_end(&w, &run, &test_err));
    return run;
}

/* What five runs hold together comes out sorted; what two of them share comes out once. */
Test(change_sort, merge_of_runs_is_the_whole)
{
    struct keys k = make_keys(SHAPE_PATHS, 20000, 30);
    struct run_reader readers[6];
    struct merge *m;
    struct base_slice key;
    struct base_slice value;
    uint8_t wanted[SORT_VALUE_SIZE];

    qsort(k.list, k.count, sizeof(k.list[0]), by_bytes);
    for (size_t i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof(name), "run-%zu", i);
        int fd = open_file(name);
        /* The sixth repeats the first. */
        struct run run = write_run(fd, i + 1, &k, i % 5, 5);
        must(run_read_begin(&readers[i], fd, &run, &test_err));
    }
    must(merge_begin(readers, 6, &m, &test_err));
    for (size_t i = 0; i < k.count; i++) {
        must(merge_next(m, &key, &value, &test_err));
        expect(base_slice_eq(key, k.list[i]));
        value_of(NULL, key, wanted);
        expect(memcmp(value.data, wanted, sizeof(wanted)) == 0);
    }
    cr_assert_eq(merge_next(m, &key, &value, NULL), INSTAR_END);
    cr_assert_eq(merge_next(m, &key, &value, NULL), INSTAR_END);
    merge_end(m);
    for (size_t i = 0; i < 6; i++) {
        os_close(readers[i].fd);
        run_read_end(&readers[i]);
    }
    free_keys(&k);
}

static int read_all(int fd, const struct run *run)
{
    struct run_reader r;
    struct base_slice key;
    struct base_slice value;
    int rc = run_read_begin(&r, fd, run, &test_err);

    while (rc == 0) {
        rc = run_read_next(&r, &key, &value, &test_err);
    }
    run_read_end(&r);
    return rc;
}

/* A whole sorted block written at once reads back as its entries do one by one. */
Test(change_sort, sorted_block_as_a_run)
{
    struct keys k = make_keys(SHAPE_PATHS, 5000, 50);
    struct base_buf bytes = {0};
    struct run_writer w;
    struct run_reader r;
    struct run run;
    struct base_slice key;
    struct base_slice value;
    uint8_t wanted[SORT_VALUE_SIZE];
    int fd = open_file("run");

    qsort(k.list, k.count, sizeof(k.list[0]), by_bytes);
    for (size_t i = 0; i < k.count; i++) {
        value_of(NULL, k.list[i], wanted);
        expect(base_buf_add_u16(&bytes, (uint16_t)k.list[i].size));
        expect(base_buf_add(&bytes, k.list[i].data, k.list[i].size));
        expect(base_buf_add(&bytes, wanted, sizeof(wanted)));
    }
    struct sort_block block = {.data = bytes.data, .size = bytes.size, .entries = k.count};
    must(run_write_begin(&w, fd, 5, 8192, &test_err));
    must(run_write_sorted(&w, &block, &test_err));
    must(run_write_end(&w, &run, &test_err));
    expect_u64(run.entries, k.count);
    must(run_read_begin(&r, fd, &run, &test_err));
    for (size_t i = 0; i < k.count; i++) {
        must(run_read_next(&r, &key, &value, &test_err));
        value_of(NULL, key, wanted);
        expect(base_slice_eq(key, k.list[i]));
        expect(memcmp(value.data, wanted, sizeof(wanted)) == 0);
        expect(r.size <= 8192 + 1024);
    }
    cr_assert_eq(run_read_next(&r, &key, &value, NULL), INSTAR_END);
    run_read_end(&r);
    os_close(fd);
    base_buf_free(&bytes);
    free_keys(&k);
}

/* A run is written, and read again through a merge of it. */
static int through_a_run(int fd, const struct keys *k, size_t *merged_out)
{
    uint8_t bytes[SORT_VALUE_SIZE] = {0};
    struct run_reader r = {.fd = -1};
    struct merge *m = NULL;
    struct run_writer w;
    struct run run;
    struct base_slice key;
    struct base_slice value;
    int rc = run_write_begin(&w, fd, 1, 4096, &test_err);

    *merged_out = 0;
    for (size_t i = 0; rc == 0 && i < k->count; i++) {
        rc = run_write_add(&w, k->list[i], base_slice(bytes, sizeof(bytes)), &test_err);
    }
    if (rc != 0) {
        run_write_abort(&w);
        return rc;
    }
    rc = run_write_end(&w, &run, &test_err);
    rc = rc == 0 ? run_read_begin(&r, fd, &run, &test_err) : rc;
    rc = rc == 0 ? merge_begin(&r, 1, &m, &test_err) : rc;
    while (rc == 0 && (rc = merge_next(m, &key, &value, &test_err)) == 0) {
        ++*merged_out;
    }
    merge_end(m);
    run_read_end(&r);
    return rc;
}

/* Whichever request of a run's writer, its reader and their merge is refused: ENOMEM. */
Test(change_sort, runs_without_memory)
{
    struct keys k = make_keys(SHAPE_NUMBERS, 600, 42);
    int fd = open_file("run");
    uint64_t refused = 0;
    size_t merged = 0;
    int rc = INSTAR_ENOMEM;

    qsort(k.list, k.count, sizeof(k.list[0]), by_bytes);
    while (rc == INSTAR_ENOMEM) {
        cr_assert_eq(os_ftruncate(fd, 0), 0);
        test_shortage_set(&(struct test_shortage){.nth = ++refused});
        rc = through_a_run(fd, &k, &merged);
        test_shortage_set(NULL);
    }
    cr_assert_eq(rc, INSTAR_END);
    expect_u64(merged, k.count);
    expect(refused > 6); /* a block, as it grows; one that is read; the merge's own */
    os_close(fd);
    free_keys(&k);
}

/* A flipped byte anywhere, a missing end, another run's file: an error, never other entries. */
Test(change_sort, damaged_run_is_refused)
{
    struct keys k = make_keys(SHAPE_NUMBERS, 600, 40);
    int fd = open_file("run");
    struct run run = write_run(fd, 9, &k, 0, 1);
    uint8_t byte;
    size_t got;

    cr_assert_eq(read_all(fd, &run), INSTAR_END);
    for (off_t at = 0; at < (off_t)run.bytes; at += 13) {
        cr_assert_eq(os_pread(fd, &byte, 1, at, &got), 0);
        byte ^= 0x10;
        cr_assert_eq(os_pwrite(fd, &byte, 1, at), 0);
        cr_assert_eq(read_all(fd, &run), INSTAR_ECORRUPT, "byte %ld", (long)at);
        byte ^= 0x10;
        cr_assert_eq(os_pwrite(fd, &byte, 1, at), 0);
    }
    static const uint32_t sizes[] = {0, (uint32_t)RUN_BLOCK_MAX + 1};
    uint8_t size[2][4]; /* of the first block, as it was and as no writer writes it */
    cr_assert_eq(os_pread(fd, size[0], 4, RUN_HEAD, &got), 0);
    for (size_t i = 0; i < BASE_ARRAY_LEN(sizes); i++) {
        base_put_u32(size[1], sizes[i]);
        cr_assert_eq(os_pwrite(fd, size[1], 4, RUN_HEAD), 0);
        cr_assert_eq(read_all(fd, &run), INSTAR_ECORRUPT, "size %u", sizes[i]);
    }
    cr_assert_eq(os_pwrite(fd, size[0], 4, RUN_HEAD), 0);
    cr_assert_eq(read_all(fd, &run), INSTAR_END);
    struct run other = run;
    other.id++;
    cr_assert_eq(read_all(fd, &other), INSTAR_ECORRUPT);
    other = run;
    other.entries++;
    cr_assert_eq(read_all(fd, &other), INSTAR_ECORRUPT);
    other = run;
    other.bytes -= 5;
    cr_assert_eq(read_all(fd, &other), INSTAR_ECORRUPT);
    cr_assert_eq(os_ftruncate(fd, (off_t)run.bytes - 1), 0);
    cr_assert_eq(read_all(fd, &run), INSTAR_ECORRUPT);
    os_close(fd);
    free_keys(&k);
}

/* A full disk while a run is written is an ordinary error. */
Test(change_sort, run_on_a_full_disk_fails)
{
    struct keys k = make_keys(SHAPE_NUMBERS, 2000, 41);
    struct run_writer w;
    int rc;
    int fd = open_file("run");
    uint8_t value[SORT_VALUE_SIZE] = {0};

    test_fault_set(&(struct test_fault){
        .op = OS_OP_WRITE, .path = "run", .nth = 3, .error = ENOSPC, .sticky = true});
    must(run_write_begin(&w, fd, 1, 4096, &test_err));
    rc = 0;
    for (size_t i = 0; rc == 0 && i < k.count; i++) {
        rc = run_write_add(&w, k.list[i], base_slice(value, sizeof(value)), &test_err);
    }
    cr_assert_eq(rc, INSTAR_ENOSPACE);
    run_write_abort(&w);
    test_hooks_clear();
    os_close(fd);
    free_keys(&k);
}
