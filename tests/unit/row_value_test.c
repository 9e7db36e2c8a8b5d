/* SPDX-License-Identifier: Apache-2.0 */
/* Values: what fits a type, the order of each type, and the self-describing form of descriptors. */
#include "support/values.h"

#include <math.h>
#include <string.h>

static instar_value integer(enum instar_type type, int64_t i)
{
    return (instar_value){.type = (uint8_t)type, .i = i};
}

static instar_value real(double f)
{
    return (instar_value){.type = INSTAR_FLOAT8, .f = f};
}

static instar_value bytes(enum instar_type type, const char *data, size_t size)
{
    instar_value v = {.type = (uint8_t)type};
    v.bytes.data = data;
    v.bytes.size = size;
    return v;
}

/* Each integer type takes the ends of its range and refuses the numbers behind them. */
Test(row_value, integers_are_limited_by_their_type)
{
    static const struct {
        enum instar_type type;
        int64_t least, most;
    } cases[] = {
        {INSTAR_INT2, INT16_MIN, INT16_MAX},
        {INSTAR_INT4, INT32_MIN, INT32_MAX},
        {INSTAR_INT8, INT64_MIN, INT64_MAX},
        {INSTAR_DATE, -2440588, 106762939},
        {INSTAR_TIMESTAMPTZ, INT64_C(-2440588) * 86400000000, INT64_MAX},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_value v = integer(cases[i].type, cases[i].least);
        must(row_value_check(cases[i].type, &v, &test_err));
        if (v.i != INT64_MIN) {
            v.i--;
            must_fail(row_value_check(cases[i].type, &v, &test_err), INSTAR_ERANGE);
        }
        v.i = cases[i].most;
        must(row_value_check(cases[i].type, &v, &test_err));
        if (v.i != INT64_MAX) {
            v.i++;
            must_fail(row_value_check(cases[i].type, &v, &test_err), INSTAR_ERANGE);
        }
    }
    instar_value v = integer(INSTAR_INT2, 40000);
    must_fail(row_value_check(INSTAR_INT2, &v, &test_err), INSTAR_ERANGE);
    cr_assert_str_eq(test_err.text, "40000 is out of range for int2, which holds -32768 to 32767");
}

/* A value of another type is refused, whatever its number; null fits every type. */
Test(row_value, type_must_match)
{
    for (unsigned column = 1; column < INSTAR_TYPE_COUNT; column++) {
        for (unsigned type = 1; type < 256; type++) {
            instar_value v = {.type = (uint8_t)type};
            int rc = row_value_check((enum instar_type)column, &v, &test_err);
            cr_assert_eq(rc, type == column ? 0 : INSTAR_ETYPE, "%u in %u", type, column);
        }
        instar_value null = {0};
        must(row_value_check((enum instar_type)column, &null, &test_err));
    }
    instar_value v = integer(INSTAR_INT4, 1);
    must_fail(row_value_check(INSTAR_TEXT, &v, &test_err), INSTAR_ETYPE);
    cr_assert_str_eq(test_err.text, "int4 value where text is expected");
}

/* Text must be UTF-8; bytea takes anything; bytes at NULL are the caller's mistake. */
Test(row_value, text_is_utf8)
{
    instar_value good = bytes(INSTAR_TEXT, "Gr\xc3\xbc\xc3\x9f", 6);
    instar_value zero = bytes(INSTAR_TEXT, "a\0b", 3);
    instar_value bad = bytes(INSTAR_TEXT, "a\xff", 2);
    instar_value cut = bytes(INSTAR_TEXT, "a\xc3", 2);
    instar_value any = bytes(INSTAR_BYTEA, "a\xff", 2);
    instar_value nowhere = bytes(INSTAR_BYTEA, NULL, 2);
    instar_value empty = bytes(INSTAR_TEXT, NULL, 0);
    must(row_value_check(INSTAR_TEXT, &good, &test_err));
    must(row_value_check(INSTAR_TEXT, &zero, &test_err));
    must_fail(row_value_check(INSTAR_TEXT, &bad, &test_err), INSTAR_EENCODING);
    must_fail(row_value_check(INSTAR_TEXT, &cut, &test_err), INSTAR_EENCODING);
    must(row_value_check(INSTAR_BYTEA, &any, &test_err));
    must_fail(row_value_check(INSTAR_BYTEA, &nowhere, &test_err), INSTAR_EINVALID);
    must(row_value_check(INSTAR_TEXT, &empty, &test_err));
}

/* A byte that is neither false nor true is refused before anyone reads it as a bool. */
Test(row_value, bool_is_zero_or_one)
{
    instar_value v = {.type = INSTAR_BOOL};
    memset(&v.b, 2, 1);
    must_fail(row_value_check(INSTAR_BOOL, &v, &test_err), INSTAR_ERANGE);
}

static void ascends(const instar_value *a, const instar_value *b)
{
    expect(row_value_cmp(a, b) < 0);
    expect(row_value_cmp(b, a) > 0);
    expect(row_value_cmp(a, a) == 0);
}

/* Null is behind everything; NaN behind infinity and equal to itself; -0 equals 0. */
Test(row_value, order_of_special_values)
{
    instar_value null = {0};
    instar_value nan1 = real((double)NAN);
    instar_value nan2 = real(-(double)NAN);
    instar_value infinity = real((double)INFINITY);
    instar_value minus = real(-(double)INFINITY);
    instar_value zero = real(0.0);
    instar_value minus_zero = real(-0.0);
    ascends(&nan1, &null);
    ascends(&infinity, &nan1);
    ascends(&minus, &zero);
    expect(row_value_cmp(&nan1, &nan2) == 0);
    expect(row_value_cmp(&zero, &minus_zero) == 0);
    expect(row_value_cmp(&null, &null) == 0);
}

/* Text and bytea compare by bytes, unsigned, and a prefix comes first. */
Test(row_value, bytes_compare_as_memcmp)
{
    instar_value a = bytes(INSTAR_TEXT, "a", 1);
    instar_value ab = bytes(INSTAR_TEXT, "ab", 2);
    instar_value a0 = bytes(INSTAR_TEXT, "a\0", 2);
    instar_value high = bytes(INSTAR_TEXT, "\xc3\xa4", 2);
    ascends(&a, &ab);
    ascends(&a, &a0);
    ascends(&a0, &ab);
    ascends(&ab, &high);
    instar_value no = {.type = INSTAR_BOOL, .b = false};
    instar_value yes = {.type = INSTAR_BOOL, .b = true};
    ascends(&no, &yes);
    instar_value u1 = {.type = INSTAR_UUID, .uuid = {1, 2}};
    instar_value u2 = {.type = INSTAR_UUID, .uuid = {0x80}};
    ascends(&u1, &u2);
}

/* A copy owns its bytes. */
Test(row_value, copy_moves_bytes_into_the_arena)
{
    struct base_arena arena = {0};
    char text[] = "hello";
    instar_value v = bytes(INSTAR_TEXT, text, 5);
    instar_value copy;
    expect(row_value_copy(&arena, &v, &copy));
    text[0] = 'j';
    cr_assert_eq(memcmp(copy.bytes.data, "hello", 5), 0);
    v = bytes(INSTAR_BYTEA, NULL, 0);
    expect(row_value_copy(&arena, &v, &copy));
    cr_assert_not_null(copy.bytes.data);
    base_arena_free(&arena);
}

/* Without memory a copy fails and leaves a null. */
Test(row_value, copy_fails_cleanly_without_memory)
{
    struct base_arena arena = {0};
    instar_value v = bytes(INSTAR_TEXT, "hello", 5);
    instar_value copy = v;
    test_shortage_set(&(struct test_shortage){.nth = 1, .sticky = true});
    bool ok = row_value_copy(&arena, &v, &copy);
    test_shortage_set(NULL);
    expect(!ok);
    cr_assert_eq(copy.type, INSTAR_NULL);
}

/* put and get give the same value for every type; no proper prefix of its bytes reads as one. */
Test(row_value, put_and_get_round_trip)
{
    struct test_random r = test_random(1);
    struct base_arena arena = {0};
    struct base_buf b = {0};
    for (int round = 0; round < 5000; round++) {
        instar_value v = {0};
        instar_value back;
        if (!test_random_chance(&r, 5)) {
            v = test_random_value(&r, test_random_type(&r), 300, &arena);
        }
        base_buf_clear(&b);
        expect(row_value_put(&b, &v));
        struct base_reader reader = base_reader(base_buf_slice(&b));
        must(row_value_get(&reader, &back, &test_err));
        expect(test_value_same(&v, &back));
        expect(base_reader_left(&reader) == 0);
        size_t cut = test_random_below(&r, b.size);
        reader = base_reader(base_slice(b.data, cut));
        must_fail(row_value_get(&reader, &back, &test_err), INSTAR_ECORRUPT);
        cr_assert_eq(back.type, INSTAR_NULL);
        base_arena_reset(&arena);
    }
    base_buf_free(&b);
    base_arena_free(&arena);
}

/* get refuses unknown types, values out of range, bools of 2, text that is not UTF-8, and lengths
 * past the end. */
Test(row_value, get_trusts_nothing)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\x0b\0", 2},
        {"\xff", 1},
        {"\x01\x02", 2},
        {"\x09\xff\xff\xff\x7f", 5},
        {"\x08\0\0\0\0\0\0\0\x80", 9},
        {"\x06\x01\xff", 3},
        {"\x06\x05zu", 4},
        {"\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
        {"\x06\x81\0z", 4},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_value v;
        struct base_reader r = base_reader(base_slice(cases[i].bytes, cases[i].size));
        must_fail(row_value_get(&r, &v, &test_err), INSTAR_ECORRUPT);
    }
}
