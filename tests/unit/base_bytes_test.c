/* SPDX-License-Identifier: Apache-2.0 */
/* Slices, buffers, readers and fixed fields. */
#include "support/test.h"

#include <string.h>

static struct base_slice text(const char *s)
{
    return base_slice(s, strlen(s));
}

/* The same order, of keys that are alike in front, behind, or all over. */
Test(base_bytes, before_is_the_order_of_slices)
{
    struct test_random r = test_random(3);
    int equal = 0;
    for (int round = 0; round < 200000; round++) {
        uint8_t a[20];
        uint8_t b[20];
        size_t sizes[2] = {test_random_below(&r, 19), 0};
        sizes[1] = test_random_chance(&r, 80) ? sizes[0] : test_random_below(&r, 19);
        for (size_t i = 0; i < sizeof(a); i++) {
            a[i] = b[i] = (uint8_t)(test_random_below(&r, 3) * 0x7f);
        }
        b[test_random_below(&r, sizeof(b))] = (uint8_t)(test_random_below(&r, 3) * 0x7f);
        struct base_slice x = base_slice(a, sizes[0]);
        struct base_slice y = base_slice(b, sizes[1]);
        cr_assert_eq(base_slice_before(x, y), base_slice_cmp(x, y) < 0);
        cr_assert_eq(base_slice_before(y, x), base_slice_cmp(y, x) < 0);
        equal += base_slice_eq(x, y);
    }
    cr_expect(equal > 1000);
}

/* Slices order like memcmp, and a prefix sorts first. */
Test(base_bytes, slices_order_by_bytes_then_length)
{
    static const char *const ascending[] = {"", "a", "aa", "ab", "b", "ba"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(ascending); i++) {
        for (size_t j = 0; j < BASE_ARRAY_LEN(ascending); j++) {
            int order = base_slice_cmp(text(ascending[i]), text(ascending[j]));
            cr_expect_eq((order > 0) - (order < 0), (i > j) - (i < j));
            cr_expect_eq(base_slice_eq(text(ascending[i]), text(ascending[j])), i == j);
        }
    }
    cr_expect(base_slice_cmp(text("\x7f"), text("\x80")) < 0, "bytes are unsigned");
}

/* An empty slice may have no address. */
Test(base_bytes, empty_slices_need_no_address)
{
    struct base_slice none = base_slice(NULL, 0);
    cr_expect_eq(base_slice_cmp(none, none), 0);
    cr_expect(base_slice_eq(none, text("")));
    cr_expect(base_slice_cmp(none, text("a")) < 0);
    cr_expect_eq(base_slice_common_prefix(none, text("a")), 0);
}

/* The common prefix ends at the first difference or the shorter end. */
Test(base_bytes, common_prefix_is_counted)
{
    cr_expect_eq(base_slice_common_prefix(text("abcd"), text("abxd")), 2);
    cr_expect_eq(base_slice_common_prefix(text("ab"), text("abc")), 2);
    cr_expect_eq(base_slice_common_prefix(text("x"), text("y")), 0);
}

/* What is appended is read back the same, and nothing is left over. */
Test(base_bytes, fields_round_trip)
{
    struct base_buf b = {0};
    cr_assert(base_buf_add_u8(&b, 0xfe));
    cr_assert(base_buf_add_u16(&b, 0x1234));
    cr_assert(base_buf_add_u32(&b, 0xdeadbeef));
    cr_assert(base_buf_add_u64(&b, 0x0123456789abcdef));
    cr_assert(base_buf_add_blob(&b, "hello", 5));
    cr_assert(base_buf_add_blob(&b, NULL, 0));
    cr_assert(base_buf_add(&b, "xyz", 3));
    cr_expect_eq(b.data[1], 0x34, "fixed fields are little-endian");

    struct base_reader r = base_reader(base_buf_slice(&b));
    cr_expect_eq(base_read_u8(&r), 0xfe);
    cr_expect_eq(base_read_u16(&r), 0x1234);
    cr_expect_eq(base_read_u32(&r), 0xdeadbeef);
    cr_expect_eq(base_read_u64(&r), 0x0123456789abcdef);
    cr_expect(base_slice_eq(base_read_blob(&r), text("hello")));
    cr_expect_eq(base_read_blob(&r).size, 0);
    cr_expect(base_slice_eq(base_read_bytes(&r, 3), text("xyz")));
    cr_expect_eq(base_reader_left(&r), 0);
    cr_expect_not(r.bad);
    base_buf_free(&b);
}

/* Every length of number is read back, in the least number of bytes. */
Test(base_bytes, varints_round_trip)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int around = -1; around <= 1; around++) {
            uint64_t v = ((uint64_t)1 << bit) + (uint64_t)(int64_t)around;
            struct base_buf b = {0};
            cr_assert(base_buf_add_varint(&b, v));
            size_t least = 1;
            while (least < 10 && v >> (7 * least) != 0) {
                least++;
            }
            cr_expect_eq(b.size, least);
            struct base_reader r = base_reader(base_buf_slice(&b));
            cr_expect_eq(base_read_varint(&r), v);
            cr_expect(!r.bad && base_reader_left(&r) == 0);
            base_buf_free(&b);
        }
    }
}

/* A number that is cut off, too long, too large or not in its shortest form is refused. */
Test(base_bytes, bad_varints_are_refused)
{
    static const struct base_slice bad[] = {
        {"", 0},
        {"\x80", 1},
        {"\x80\x00", 2},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01", 11},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 11},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        struct base_reader r = base_reader(bad[i]);
        cr_expect_eq(base_read_varint(&r), 0);
        cr_expect(r.bad, "case %zu", i);
    }
}

/* After the first failure nothing is read any more, and everything reads as zero. */
Test(base_bytes, reader_stays_bad)
{
    struct base_reader r = base_reader(text("\x01\x02\x03"));
    cr_expect_eq(base_read_u32(&r), 0);
    cr_expect(r.bad);
    cr_expect_eq(base_read_u8(&r), 0);
    cr_expect_eq(base_reader_left(&r), 0);
    cr_expect_eq(base_read_bytes(&r, 1).size, 0);
    cr_expect_eq(base_read_blob(&r).size, 0);
}

/* A blob's length is checked against what is there before it is believed. */
Test(base_bytes, absurd_blob_length_is_refused)
{
    struct base_reader r = base_reader(base_slice("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 11));
    cr_expect_eq(base_read_blob(&r).size, 0);
    cr_expect(r.bad);
    struct base_reader none = base_reader(base_slice(NULL, 0));
    cr_expect_eq(base_reader_left(&none), 0);
    cr_expect_eq(base_read_u16(&none), 0);
    cr_expect(none.bad);
}

/* When memory runs out an append says so and leaves the buffer as it was. */
Test(base_bytes, append_without_memory_changes_nothing)
{
    struct base_buf b = {0};
    cr_assert(base_buf_add(&b, "kept", 4));
    test_shortage_set(&(struct test_shortage){.nth = 1, .sticky = true});
    char large[500] = {0};
    cr_expect_not(base_buf_add(&b, large, sizeof(large)));
    cr_expect_not(base_buf_add_blob(&b, large, sizeof(large)));
    cr_expect_not(base_buf_reserve(&b, sizeof(large)));
    test_shortage_set(NULL);
    cr_expect(base_slice_eq(base_buf_slice(&b), text("kept")));
    cr_expect(base_buf_add(&b, "!", 1));
    base_buf_free(&b);
}

/* A size that cannot be is refused and does not wrap around. */
Test(base_bytes, impossible_sizes_are_refused)
{
    struct base_buf b = {0};
    cr_assert(base_buf_add(&b, "x", 1));
    cr_expect_not(base_buf_reserve(&b, SIZE_MAX));
    size_t out;
    cr_expect_not(base_add_ok(SIZE_MAX, 1, &out));
    cr_expect_not(base_mul_ok(SIZE_MAX / 2, 3, &out));
    cr_expect_null(base_alloc_zero(SIZE_MAX / 2, 3));
    base_buf_free(&b);
}

/* Clearing keeps the memory, freeing makes it a new buffer. */
Test(base_bytes, clear_keeps_memory)
{
    struct base_buf b = {0};
    cr_assert(base_buf_add(&b, "abc", 3));
    uint8_t *data = b.data;
    base_buf_clear(&b);
    cr_expect_eq(b.size, 0);
    cr_assert(base_buf_add(&b, "x", 1));
    cr_expect_eq(b.data, data);
    base_buf_free(&b);
    cr_expect_null(b.data);
    cr_expect_eq(b.capacity, 0);
}

/* Fixed fields work at any address, in both byte orders. */
Test(base_bytes, fixed_fields_may_be_unaligned)
{
    uint8_t room[17];
    for (size_t at = 0; at < 8; at++) {
        base_put_u16(room + at, 0xabcd);
        cr_expect_eq(base_get_u16(room + at), 0xabcd);
        base_put_u32(room + at, 0x89abcdef);
        cr_expect_eq(base_get_u32(room + at), 0x89abcdef);
        base_put_u64(room + at, 0xfedcba9876543210);
        cr_expect_eq(base_get_u64(room + at), 0xfedcba9876543210);
        base_put_be64(room + at, 0xfedcba9876543210);
        cr_expect_eq(base_get_be64(room + at), 0xfedcba9876543210);
        cr_expect_eq(room[at], 0xfe);
    }
}

/* The byte order of big-endian numbers is their order. */
Test(base_bytes, big_endian_sorts_as_numbers)
{
    struct test_random random = test_random(1);
    for (int i = 0; i < 1000; i++) {
        uint64_t a = test_random_next(&random) >> test_random_below(&random, 64);
        uint64_t b = test_random_next(&random) >> test_random_below(&random, 64);
        uint8_t x[8];
        uint8_t y[8];
        base_put_be64(x, a);
        base_put_be64(y, b);
        int order = memcmp(x, y, 8);
        cr_expect_eq((order > 0) - (order < 0), (a > b) - (a < b));
    }
}
