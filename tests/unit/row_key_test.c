/* SPDX-License-Identifier: Apache-2.0 */
/* The key code: order, one code for each value, prefixes, and bytes that are no key. */
#include "support/values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PARTS_MAX 4

static struct base_slice whole(const struct base_buf *b)
{
    return base_buf_slice(b);
}

static void encode_one(enum instar_type type, bool descending, const instar_value *v,
                       struct base_buf *out)
{
    struct row_key_part part = {.type = type, .descending = descending};
    base_buf_clear(out);
    must(row_key_encode(&part, v, 1, out, &test_err));
}

static void encodes_to(const instar_value *v, enum instar_type type, const char *hex)
{
    struct base_buf b = {0};
    char text[64] = "";
    encode_one(type, false, v, &b);
    for (size_t i = 0; i < b.size; i++) {
        snprintf(text + 2 * i, 3, "%02x", b.data[i]);
    }
    cr_assert_str_eq(text, hex);
    base_buf_free(&b);
}

static instar_value integer(enum instar_type type, int64_t i)
{
    return (instar_value){.type = (uint8_t)type, .i = i};
}

static instar_value bytes(const char *data, size_t size)
{
    instar_value v = {.type = INSTAR_TEXT};
    v.bytes.data = data;
    v.bytes.size = size;
    return v;
}

/* The code is a disk format: these bytes may never change. */
Test(row_key, code_is_frozen)
{
    static const struct {
        int64_t i;
        const char *hex;
    } integers[] = {
        {0, "80"},
        {1, "81"},
        {-1, "7f"},
        {95, "df"},
        {96, "e060"},
        {255, "e0ff"},
        {256, "e10100"},
        {-96, "20"},
        {-97, "1f9f"},
        {-256, "1f00"},
        {-257, "1efeff"},
        {65535, "e1ffff"},
        {65536, "e2010000"},
        {INT64_MAX, "e77fffffffffffffff"},
        {INT64_MIN, "188000000000000000"},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(integers); i++) {
        instar_value v = integer(INSTAR_INT8, integers[i].i);
        encodes_to(&v, INSTAR_INT8, integers[i].hex);
    }
    instar_value null = {0};
    instar_value yes = {.type = INSTAR_BOOL, .b = true};
    instar_value text = bytes("a\0b", 3);
    instar_value one = {.type = INSTAR_FLOAT8, .f = 1.0};
    instar_value minus = {.type = INSTAR_FLOAT8, .f = -1.0};
    instar_value nan = {.type = INSTAR_FLOAT8, .f = -(double)NAN};
    instar_value uuid = {.type = INSTAR_UUID, .uuid = {1, 2, [15] = 0xff}};
    encodes_to(&null, INSTAR_TEXT, "f0");
    encodes_to(&yes, INSTAR_BOOL, "81");
    encodes_to(&text, INSTAR_TEXT, "806100ff620001");
    encodes_to(&one, INSTAR_FLOAT8, "80bff0000000000000");
    encodes_to(&minus, INSTAR_FLOAT8, "80400fffffffffffff");
    encodes_to(&nan, INSTAR_FLOAT8, "80fff8000000000000");
    encodes_to(&uuid, INSTAR_UUID, "80010200000000000000000000000000ff");
}

/* int2, int4 and int8 of equal value have the same bytes: widening a column changes no key. */
Test(row_key, integer_widths_encode_alike)
{
    struct base_buf a = {0};
    struct base_buf b = {0};
    for (int64_t i = INT16_MIN; i <= INT16_MAX; i += 7) {
        instar_value narrow = integer(INSTAR_INT2, i);
        instar_value middle = integer(INSTAR_INT4, i);
        instar_value wide = integer(INSTAR_INT8, i);
        encode_one(INSTAR_INT2, false, &narrow, &a);
        encode_one(INSTAR_INT8, false, &wide, &b);
        expect(base_slice_eq(whole(&a), whole(&b)));
        encode_one(INSTAR_INT4, false, &middle, &b);
        expect(base_slice_eq(whole(&a), whole(&b)));
    }
    base_buf_free(&a);
    base_buf_free(&b);
}

/* Order of two tuples by their values, each part in its direction. */
static int tuple_cmp(const struct row_key_part *parts, const instar_value *a, const instar_value *b,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int order = row_value_cmp(&a[i], &b[i]);
        bool any_null = (a[i].type == INSTAR_NULL) != (b[i].type == INSTAR_NULL);
        if (order != 0) {
            return parts[i].descending != (any_null && parts[i].nulls_swapped) ? -order : order;
        }
    }
    return 0;
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static size_t random_parts(struct test_random *r, struct row_key_part *parts)
{
    size_t count = 1 + test_random_below(r, PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        parts[i].type = test_random_type(r);
        parts[i].descending = test_random_chance(r, 50);
        parts[i].nulls_swapped = test_random_chance(r, 50);
    }
    return count;
}

static instar_value random_part(struct test_random *r, enum instar_type type,
                                struct base_arena *arena)
{
    return test_random_chance(r, 10) ? (instar_value){0} : test_random_value(r, type, 30, arena);
}

/* memcmp of two encoded tuples orders them as their values: all types, both directions, nulls at
 * either end. */
Test(row_key, bytes_order_as_values_do)
{
    struct test_random r = test_random(1);
    struct base_arena arena = {0};
    struct base_buf ka = {0};
    struct base_buf kb = {0};
    for (int round = 0; round < 60000; round++) {
        struct row_key_part parts[PARTS_MAX] = {0};
        instar_value a[PARTS_MAX];
        instar_value b[PARTS_MAX];
        size_t count = random_parts(&r, parts);
        for (size_t i = 0; i < count; i++) {
            a[i] = random_part(&r, parts[i].type, &arena);
            b[i] = test_random_chance(&r, 40) ? a[i] : random_part(&r, parts[i].type, &arena);
        }
        base_buf_clear(&ka);
        base_buf_clear(&kb);
        must(row_key_encode(parts, a, count, &ka, &test_err));
        must(row_key_encode(parts, b, count, &kb, &test_err));
        cr_assert_eq(sign(base_slice_cmp(whole(&ka), whole(&kb))),
                     sign(tuple_cmp(parts, a, b, count)), "round %d", round);
        base_arena_reset(&arena);
    }
    base_buf_free(&ka);
    base_buf_free(&kb);
    base_arena_free(&arena);
}

/* Decoding gives equal values, uses all bytes, and encoding those gives the same bytes; a shorter
 * tuple is a prefix, skip finds where it ends, and has_null sees what is null. */
Test(row_key, tuples_round_trip)
{
    struct test_random r = test_random(2);
    struct base_arena arena = {0};
    struct base_buf key = {0};
    struct base_buf again = {0};
    for (int round = 0; round < 20000; round++) {
        struct row_key_part parts[PARTS_MAX] = {0};
        instar_value a[PARTS_MAX];
        instar_value back[PARTS_MAX];
        size_t used;
        bool null = false;
        size_t count = random_parts(&r, parts);
        base_buf_clear(&key);
        for (size_t i = 0; i < count; i++) {
            a[i] = random_part(&r, parts[i].type, &arena);
            expect(row_key_has_null(parts, i, whole(&key)) == null);
            must(row_key_encode(&parts[i], &a[i], 1, &key, &test_err));
            null = null || a[i].type == INSTAR_NULL;
            must(row_key_skip(parts, i + 1, whole(&key), &used, &test_err));
            expect_u64(used, key.size);
        }
        expect(row_key_has_null(parts, count, whole(&key)) == null);
        struct base_slice rest = whole(&key);
        must(row_key_decode(parts, count, &rest, &arena, back, &test_err));
        expect_u64(rest.size, 0);
        expect(tuple_cmp(parts, a, back, count) == 0);
        base_buf_clear(&again);
        must(row_key_encode(parts, back, count, &again, &test_err));
        expect(base_slice_eq(whole(&key), whole(&again)));
        base_arena_reset(&arena);
    }
    base_buf_free(&key);
    base_buf_free(&again);
    base_arena_free(&arena);
}

/* Of a key that was cut or had a byte changed, either nothing decodes, or it is the one code of
 * what was decoded. Every proper prefix fails: no code is a prefix of another. */
Test(row_key, only_what_encode_makes_is_decoded)
{
    struct test_random r = test_random(3);
    struct base_arena arena = {0};
    struct base_buf key = {0};
    struct base_buf again = {0};
    unsigned accepted = 0;
    for (int round = 0; round < 20000; round++) {
        struct row_key_part parts[PARTS_MAX] = {0};
        instar_value a[PARTS_MAX];
        instar_value back[PARTS_MAX];
        size_t used;
        size_t count = random_parts(&r, parts);
        for (size_t i = 0; i < count; i++) {
            a[i] = random_part(&r, parts[i].type, &arena);
        }
        base_buf_clear(&key);
        must(row_key_encode(parts, a, count, &key, &test_err));
        struct base_slice cut = base_slice(key.data, test_random_below(&r, key.size));
        struct base_slice rest = cut;
        must_fail(row_key_decode(parts, count, &rest, &arena, back, &test_err), INSTAR_ECORRUPT);
        expect_u64(rest.size, cut.size);
        must_fail(row_key_skip(parts, count, cut, &used, &test_err), INSTAR_ECORRUPT);
        expect_u64(used, 0);
        key.data[test_random_below(&r, key.size)] ^= (uint8_t)(1 + test_random_below(&r, 255));
        rest = whole(&key);
        if (row_key_decode(parts, count, &rest, &arena, back, &test_err) == 0) {
            accepted++;
            base_buf_clear(&again);
            must(row_key_encode(parts, back, count, &again, &test_err));
            expect(base_slice_eq(base_slice(key.data, key.size - rest.size), whole(&again)));
        }
        base_arena_reset(&arena);
    }
    expect(accepted > 100);
    base_buf_free(&key);
    base_buf_free(&again);
    base_arena_free(&arena);
}

/* Forms that hold a value, but are not its code: longer than need be, -0, other NaN, out of range,
 * an unknown mark behind a zero. */
Test(row_key, second_codes_are_refused)
{
    static const struct {
        enum instar_type type;
        const char *bytes;
        size_t size;
    } cases[] = {
        {INSTAR_INT8, "\xe0\x05", 2},
        {INSTAR_INT8, "\xe1\x00\xff", 3},
        {INSTAR_INT8, "\x1f\xff", 2},
        {INSTAR_INT8, "\x1e\xff\x00", 3},
        {INSTAR_INT8, "\xe7\xff\xff\xff\xff\xff\xff\xff\xff", 9},
        {INSTAR_INT8, "\x18\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
        {INSTAR_INT8, "\xe8", 1},
        {INSTAR_INT8, "\x17", 1},
        {INSTAR_INT2, "\xe1\x80\x00", 3},
        {INSTAR_BOOL, "\x82", 1},
        {INSTAR_BOOL, "\x7f", 1},
        {INSTAR_FLOAT8, "\x80\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
        {INSTAR_FLOAT8, "\x80\xff\xf8\x00\x00\x00\x00\x00\x01", 9},
        {INSTAR_FLOAT8, "\x80\x00\x00\x00\x00\x00\x00\x00\x00", 9},
        {INSTAR_FLOAT8, "\x81\xbf\xf0\x00\x00\x00\x00\x00\x00", 9},
        {INSTAR_TEXT, "\x80z\x00\x02", 4},
        {INSTAR_TEXT, "\x80z\x00", 3},
        {INSTAR_TEXT, "\x80z", 2},
        {INSTAR_TEXT, "\x81\x00\x01", 3},
        {INSTAR_TEXT, "", 0},
    };
    struct base_arena arena = {0};
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        struct row_key_part part = {.type = cases[i].type};
        instar_value v;
        struct base_slice key = base_slice(cases[i].bytes, cases[i].size);
        must_fail(row_key_decode(&part, 1, &key, &arena, &v, &test_err), INSTAR_ECORRUPT);
        cr_assert_eq(v.type, INSTAR_NULL);
    }
    base_arena_free(&arena);
}

/* A value of another type or out of range is refused, and the buffer is as it was. */
Test(row_key, wrong_values_leave_the_buffer_alone)
{
    struct row_key_part parts[] = {{.type = INSTAR_INT4},
                                   {.type = INSTAR_INT2, .descending = true}};
    instar_value values[] = {integer(INSTAR_INT4, 1000), integer(INSTAR_INT4, 2)};
    struct base_buf b = {0};
    expect(base_buf_add(&b, "before", 6));
    must_fail(row_key_encode(parts, values, 2, &b, &test_err), INSTAR_ETYPE);
    values[1] = integer(INSTAR_INT2, 100000);
    must_fail(row_key_encode(parts, values, 2, &b, &test_err), INSTAR_ERANGE);
    expect(base_slice_eq(whole(&b), base_slice("before", 6)));
    base_buf_free(&b);
}

/* Out of memory is an error in both directions. */
Test(row_key, no_memory_is_an_error)
{
    struct row_key_part part = {.type = INSTAR_TEXT, .descending = true};
    instar_value v = bytes("abc", 3);
    instar_value back = v;
    struct base_buf b = {0};
    struct base_buf empty = {0};
    struct base_arena arena = {0};
    must(row_key_encode(&part, &v, 1, &b, &test_err));
    struct base_slice rest = whole(&b);
    test_shortage_set(&(struct test_shortage){.nth = 1, .sticky = true});
    int encoded = row_key_encode(&part, &v, 1, &empty, &test_err);
    int decoded = row_key_decode(&part, 1, &rest, &arena, &back, &test_err);
    test_shortage_set(NULL);
    cr_assert_eq(encoded, INSTAR_ENOMEM);
    cr_assert_eq(decoded, INSTAR_ENOMEM);
    cr_assert_eq(back.type, INSTAR_NULL);
    base_buf_free(&b);
}

/* The successor of a prefix is above every key that begins with it, and not above any other key
 * that is greater than the prefix. */
Test(row_key, successor_bounds_exactly_the_prefix)
{
    struct test_random r = test_random(4);
    struct base_arena arena = {0};
    struct base_buf prefix = {0};
    struct base_buf key = {0};
    struct base_buf end = {0};
    for (int round = 0; round < 20000; round++) {
        struct row_key_part parts[PARTS_MAX] = {0};
        instar_value a[PARTS_MAX];
        size_t count = random_parts(&r, parts);
        size_t same = test_random_below(&r, count + 1);
        base_buf_clear(&prefix);
        base_buf_clear(&key);
        base_buf_clear(&end);
        for (size_t i = 0; i < count; i++) {
            a[i] = random_part(&r, parts[i].type, &arena);
        }
        must(row_key_encode(parts, a, same, &prefix, &test_err));
        for (size_t i = test_random_below(&r, 2) == 0 ? same : 0; i < count; i++) {
            a[i] = random_part(&r, parts[i].type, &arena);
        }
        must(row_key_encode(parts, a, count, &key, &test_err));
        expect(base_buf_add(&end, prefix.data, prefix.size));
        bool begins = base_slice_common_prefix(whole(&prefix), whole(&key)) == prefix.size;
        bool inside = base_slice_cmp(whole(&key), whole(&prefix)) >= 0;
        if (row_key_successor(&end)) {
            inside = inside && base_slice_cmp(whole(&key), whole(&end)) < 0;
        }
        expect(inside == begins);
        base_arena_reset(&arena);
    }
    struct base_buf all = {0};
    expect(base_buf_add(&all, "\xff\xff", 2));
    expect(!row_key_successor(&all));
    base_buf_free(&all);
    base_buf_free(&prefix);
    base_buf_free(&key);
    base_buf_free(&end);
    base_arena_free(&arena);
}
