/* SPDX-License-Identifier: Apache-2.0 */
/* Exact decimals: texts, rounding, order, codes, and what the operators make of them. */
#include "support/values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NINES "99999999999999999999999999999999999999" /* 38 of them */
#define ZEROS "0000000000000000000000000000000000000"  /* 37 */

static int parse(const char *text, instar_value *v)
{
    return row_value_parse(INSTAR_NUMERIC, base_slice(text, strlen(text)), NULL, 0, v, &test_err);
}

static instar_value parsed(const char *text)
{
    instar_value v;
    int rc = parse(text, &v);
    cr_assert_eq(rc, 0, "%s: %s", text, test_err.text);
    return v;
}

static const char *text_of(const instar_value *v)
{
    static char text[64];
    size_t size = row_value_format(v, text, sizeof(text));
    cr_assert_lt(size, sizeof(text));
    return text;
}

/* A text keeps the digits behind its point; an exponent moves the point. */
Test(row_numeric, texts_keep_their_scale)
{
    static const char *const cases[][2] = {
        {"0", "0"},
        {"-0", "0"},
        {"-0.00", "0.00"},
        {"12.50", "12.50"},
        {"+7", "7"},
        {"007.10", "7.10"},
        {".5", "0.5"},
        {"5.", "5"},
        {"-.05", "-0.05"},
        {"1e3", "1000"},
        {"1.5e1", "15"},
        {"1.50e1", "15.0"},
        {"-25E-4", "-0.0025"},
        {"0e99999999999", "0"},
        {NINES, NINES},
        {"-" NINES, "-" NINES},
        {"0." NINES, "0." NINES},
        {"0.0" ZEROS, "0.0" ZEROS},
        {"0.1" ZEROS, "0.1" ZEROS},
        {"000" NINES, NINES},
        {"1e37", "1" ZEROS},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_value v = parsed(cases[i][0]);
        cr_assert_str_eq(text_of(&v), cases[i][1], "%s: %s", cases[i][0], text_of(&v));
    }
}

/* What is no number, or has no room, is refused, and nothing is cut off. */
Test(row_numeric, what_has_no_room_is_refused)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        {"", INSTAR_ETYPE},
        {"-", INSTAR_ETYPE},
        {".", INSTAR_ETYPE},
        {"1,5", INSTAR_ETYPE},
        {"0x10", INSTAR_ETYPE},
        {" 1", INSTAR_ETYPE},
        {"1e", INSTAR_ETYPE},
        {"--1", INSTAR_ETYPE},
        {"NaN", INSTAR_ERANGE},
        {"-Infinity", INSTAR_ERANGE},
        {"inf", INSTAR_ERANGE},
        {"1" ZEROS "0", INSTAR_ERANGE},
        {"1" ZEROS ".0", INSTAR_ERANGE},
        {"0." NINES "1", INSTAR_ERANGE},
        {"1e38", INSTAR_ERANGE},
        {"1e-39", INSTAR_ERANGE},
        {"1e99999999999999999999", INSTAR_ERANGE},
        {"1e-99999999999999999999", INSTAR_ERANGE},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_value v;
        int rc = parse(cases[i].text, &v);
        cr_assert_eq(rc, cases[i].code, "'%s': %s", cases[i].text, base_error_name(rc));
        cr_assert_eq(v.type, INSTAR_NULL);
    }
}

/* A column numeric(p,s) rounds half away from zero, and then counts the digits. */
Test(row_numeric, a_column_rounds_and_then_counts)
{
    static const struct {
        const char *text;
        unsigned p, s;
        const char *wanted; /* NULL: no room */
    } cases[] = {
        {"1.5", 10, 2, "1.50"},
        {"1.005", 10, 2, "1.01"},
        {"1.0049999", 10, 2, "1.00"},
        {"-1.005", 10, 2, "-1.01"},
        {"-0.004", 10, 2, "0.00"},
        {"-0.005", 10, 2, "-0.01"},
        {"9.994", 3, 2, "9.99"},
        {"9.995", 3, 2, NULL},
        {"-9.995", 3, 2, NULL},
        {"9.995", 4, 2, "10.00"},
        {"0.5", 1, 0, "1"},
        {"9.5", 1, 0, NULL},
        {"1", 2, 2, NULL},
        {"0.994", 2, 2, "0.99"},
        {"0.995", 2, 2, NULL},
        {NINES, 38, 0, NINES},
        {NINES, 38, 1, NULL},
        {"0." NINES, 38, 38, "0." NINES},
        {"1", 38, 37, "1.0000000000000000000000000000000000000"},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_value v = parsed(cases[i].text);
        instar_value before = v;
        int rc = row_numeric_fit(&v, INSTAR_DIGITS(cases[i].p, cases[i].s), &test_err);
        if (cases[i].wanted != NULL) {
            cr_assert_eq(rc, 0, "%s: %s", cases[i].text, test_err.text);
            cr_assert_str_eq(text_of(&v), cases[i].wanted);
        } else {
            cr_assert_eq(rc, INSTAR_ERANGE, "%s became %s", cases[i].text, text_of(&v));
            cr_assert(test_value_same(&v, &before));
        }
    }
    instar_value big = parsed("-1234.567");
    must_fail(row_numeric_fit(&big, INSTAR_DIGITS(5, 2), &test_err), INSTAR_ERANGE);
    cr_assert_str_eq(test_err.text, "-1234.567 is out of range for numeric(5,2)");
}

/* A value whose digits are beyond the limits is none, whoever made it. */
Test(row_numeric, the_limits_are_checked)
{
    instar_value v = parsed(NINES);
    must(row_value_check(INSTAR_NUMERIC, &v, &test_err));
    v.numeric.low++;
    must_fail(row_value_check(INSTAR_NUMERIC, &v, &test_err), INSTAR_ERANGE);
    v = (instar_value){.type = INSTAR_NUMERIC, .scale = 39};
    must_fail(row_value_check(INSTAR_NUMERIC, &v, &test_err), INSTAR_ERANGE);
    v = (instar_value){.type = INSTAR_NUMERIC, .numeric = {0, INT64_MIN}};
    must_fail(row_value_check(INSTAR_NUMERIC, &v, &test_err), INSTAR_ERANGE);
    cr_assert_str_eq(text_of(&v), "?");
    v = (instar_value){.type = INSTAR_NUMERIC, .scale = 2, .numeric = {(uint64_t)-1250, -1}};
    must(row_value_check(INSTAR_NUMERIC, &v, &test_err));
    cr_assert_str_eq(text_of(&v), "-12.50");
}

static void encode(const instar_value *v, bool descending, struct base_buf *out)
{
    struct row_key_part part = {.type = INSTAR_NUMERIC, .descending = descending};
    base_buf_clear(out);
    must(row_key_encode(&part, v, 1, out, &test_err));
}

/* Values from the least to the greatest: so compare, and so do their keys, both ways; what is equal
 * has one key whatever its scale. */
Test(row_numeric, keys_have_the_order_of_the_quantities)
{
    static const char *const sorted[] = {
        "-" NINES,       "-100",  "-99.99", "-10.5", "-10",
        "-9.5",          "-1.05", "-1",     "-0.5",  "-0.05",
        "-0." ZEROS "1", "0",     "1e-38",  "2e-38", "0.05",
        "0.1",           "0.105", "0.11",   "1",     "1.05",
        "1.5",           "9.5",   "10",     "10.5",  "12",
        "12.01",         "99.99", "100",    "120",   "123456789",
        "1e37",          NINES,
    };
    struct base_buf a = {0};
    struct base_buf b = {0};
    for (size_t i = 0; i < BASE_ARRAY_LEN(sorted); i++) {
        for (size_t j = 0; j < BASE_ARRAY_LEN(sorted); j++) {
            int wanted = (i > j) - (i < j);
            instar_value x = parsed(sorted[i]);
            instar_value y = parsed(sorted[j]);
            int order = row_value_cmp(&x, &y);
            cr_assert_eq((order > 0) - (order < 0), wanted, "%s, %s", sorted[i], sorted[j]);
            for (int descending = 0; descending < 2; descending++) {
                encode(&x, descending != 0, &a);
                encode(&y, descending != 0, &b);
                order = base_slice_cmp(base_buf_slice(&a), base_buf_slice(&b));
                cr_assert_eq((order > 0) - (order < 0), descending != 0 ? -wanted : wanted,
                             "%s, %s", sorted[i], sorted[j]);
            }
        }
    }
    instar_value x = parsed("-120.5");
    instar_value y = parsed("-120.500");
    encode(&x, false, &a);
    encode(&y, false, &b);
    cr_assert_eq(row_value_cmp(&x, &y), 0);
    cr_assert_eq(base_slice_cmp(base_buf_slice(&a), base_buf_slice(&b)), 0);
    base_buf_free(&a);
    base_buf_free(&b);
}

static void key_is(const char *text, const char *hex)
{
    struct base_buf out = {0};
    char found[64] = "";
    instar_value v = parsed(text);
    encode(&v, false, &out);
    for (size_t i = 0; i < out.size; i++) {
        snprintf(found + 2 * i, sizeof(found) - 2 * i, "%02x", out.data[i]);
    }
    cr_assert_str_eq(found, hex, "%s", text);
    base_buf_free(&out);
}

/* The bytes are on disk: they are as numeric_code.c draws them. */
Test(row_numeric, key_bytes)
{
    key_is("0", "80");
    key_is("0.00", "80");
    key_is("1", "a714");       /* 0.1 * 10^1: 81 + 38; the pair 10 */
    key_is("12.5", "a81964");  /* 12 goes on, 50 */
    key_is("-12.5", "57e69b"); /* inverted */
    key_is("1e-38", "8114");
    key_is("1e37", "cc14");
}

/* A part of a scale gives it back to what was written with fewer digits. */
Test(row_numeric, a_decoded_key_has_the_scale_of_its_column)
{
    struct row_key_part part = {.type = INSTAR_NUMERIC};
    struct base_arena arena = {0};
    struct base_buf key = {0};
    static const struct {
        const char *text;
        uint8_t scale;
        const char *wanted;
    } cases[] = {{"12.50", 2, "12.50"}, {"12.50", 0, "12.5"}, {"100", 3, "100.000"},
                 {"0", 4, "0.0000"},    {NINES, 1, NINES},    {"-0.7", 38, "-0.70" ZEROS}};
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_value v = parsed(cases[i].text);
        instar_value back;
        part.scale = cases[i].scale;
        encode(&v, false, &key);
        struct base_slice rest = base_buf_slice(&key);
        must(row_key_decode(&part, 1, &rest, &arena, &back, &test_err));
        cr_assert_eq(rest.size, 0);
        if (i != 5) {
            cr_assert_str_eq(text_of(&back), cases[i].wanted);
        }
        cr_assert_eq(row_value_cmp(&back, &v), 0);
    }
    base_buf_free(&key);
    base_arena_free(&arena);
}

/* Bytes to which no numeric encodes are refused: each value has one key. */
Test(row_numeric, other_keys_are_corrupt)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\xa7", 1},         /* no digits */
        {"\xa7\x12", 2},     /* 09: the first digit is 0 */
        {"\xa7\x15", 2},     /* goes on, and does not */
        {"\xa7\x15\x00", 3}, /* 00 at the end */
        {"\xa7\xc8", 2},     /* 100 is no pair */
        {"\xcd\x14", 2},     /* too great an exponent */
        {"\x81\x16", 2},     /* 11e-39: no room for its last digit */
        {"\x32\xeb", 2},     /* too great below zero */
        {"\xa7\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x15\x14",
         21},
    };
    struct row_key_part part = {.type = INSTAR_NUMERIC};
    struct base_arena arena = {0};
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        struct base_slice rest = base_slice(bad[i].bytes, bad[i].size);
        instar_value v;
        int rc = row_key_decode(&part, 1, &rest, &arena, &v, &test_err);
        cr_assert_eq(rc, INSTAR_ECORRUPT, "case %zu gave %s", i, text_of(&v));
    }
    base_arena_free(&arena);
}

/* A row keeps value and scale in the fewest bytes, and takes no other form of them. */
Test(row_numeric, payloads)
{
    static const struct {
        const char *text;
        size_t size; /* with the type */
    } cases[] = {{"0", 4}, {"1.27", 4}, {"-1.28", 4}, {"1.28", 5}, {"-0.129", 5}, {NINES, 19}};
    struct base_buf out = {0};
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_value v = parsed(cases[i].text);
        instar_value back;
        base_buf_clear(&out);
        cr_assert(row_value_put(&out, &v));
        cr_assert_eq(out.size, cases[i].size, "%s: %zu", cases[i].text, out.size);
        struct base_reader r = base_reader(base_buf_slice(&out));
        must(row_value_get(&r, &back, &test_err));
        cr_assert(test_value_same(&v, &back), "%s", cases[i].text);
    }
    base_buf_free(&out);
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x0c\x00\x00", 3},                 /* no byte */
        {"\x0c\x00\x02\x01", 4},             /* one is not there */
        {"\x0c\x00\x02\x01\x00", 5},         /* one is enough */
        {"\x0c\x00\x02\xff\xff", 5},         /* here too */
        {"\x0c\x27\x01\x01", 4},             /* 39 behind the point */
        {"\x0c\x00\x11\x01\x01\x01\x01", 7}, /* 17 */
        {"\x0c\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 19},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        struct base_reader r = base_reader(base_slice(bad[i].bytes, bad[i].size));
        instar_value v;
        must_fail(row_value_get(&r, &v, &test_err), INSTAR_ECORRUPT);
    }
}

/* What an expression of constants comes to; "!" in front: the words of its failure. */
static const struct {
    const char *text, *wanted;
} sums[] = {
    {"1.5 + 2.25", "3.75"},
    {"1.50 - 1.5", "0.00"},
    {"2 * 1.50", "3.00"},
    {"1.50 * 1.50", "2.2500"},
    {"-1.5", "-1.5"},
    {"- (-1.50)", "1.50"},
    {"abs(-0.7)", "0.7"},
    {"1.0 / 3", "0.33333333333333333333"},
    {"2 / 3.0", "0.66666666666666666667"},
    {"-2 / 3.0", "-0.66666666666666666667"},
    {"10.0 / 4", "2.5000000000000000"},
    {"100000.0 / 7", "14285.714285714286"},
    {"0.0001 / 3", "0.000033333333333333333333"},
    {"0.0 / 7", "0.00000000000000000000"},
    {"1 / 3.00000000000000000000000000", "0.33333333333333333333333333"},
    {"7.5 % 2", "1.5"},
    {"-7.5 % 2", "-1.5"},
    {"7 % 2.50", "2.00"},
    {"0.5 % " NINES, "0.5"},
    {NINES " % 0.7", "0.3"},
    {NINES " + 0", NINES},
    {NINES " - 1", "99999999999999999999999999999999999998"},
    {"1.5 = 1.50", "true"},
    {"1.5 < 2", "true"},
    {"1.5 IN (1, 1.50)", "true"},
    {"2 BETWEEN 1.5 AND 2.5", "true"},
    {"greatest(1, 1.5)", "1.5"},
    {"greatest(2, 1.5)", "2"},
    {"coalesce(NULL, 1.50)", "1.50"},
    {"CASE WHEN true THEN 1 ELSE 2.5 END", "1"},
    {"nullif(1.5, 1.50)", "null"},
    {"'1.50' + 1.5", "3.00"},
    {"1.5 > CAST('1.25' AS float8)", "true"},
    {"CAST('0.1' AS numeric) = CAST('0.1' AS float8)", "true"},
    {"CAST(2.5 AS int4)", "3"},
    {"CAST(-2.5 AS int4)", "-3"},
    {"CAST(0.1 AS text)", "0.1"},
    {"CAST(1.10 AS float8)", "1.1"},
    {"CAST(' 1.10 ' AS numeric)", "1.10"},
    {"CAST(CAST('0.1' AS float8) AS numeric)", "0.1"},
    {"CAST(CAST('1e20' AS float8) AS numeric)", "100000000000000000000"},
    {"CAST(CAST('1234567890123456789' AS float8) AS numeric)", "1234567890123460000"},
    {"CAST(7 AS numeric)", "7"},
    {"CAST(1.005 AS numeric(10,2))", "1.01"},
    {"1.005::numeric(10, 2) + 1", "2.01"},
    {"1.5::decimal(3)", "2"},
    {"1e300 > CAST('1' AS float8)", "true"},
    {"99999999999999999999", "99999999999999999999"},
    {"CAST(9.5 AS numeric(1,0))", "!9.5 is out of range for numeric(1,0)"},
    {"CAST(3e9 AS int4)", "!integer out of range"},
    {"CAST(CAST('NaN' AS float8) AS numeric)", "!a numeric has no NaN and no Infinity here"},
    {"1.5 / 0", "!division by zero"},
    {"1.5 % 0", "!division by zero"},
    {NINES " + 1", "!more than 38 digits"},
    {"-" NINES " - " NINES, "!more than 38 digits"},
    {NINES " + 0.1", "!more than 38 digits"},
    {NINES " * 10", "!more than 38 digits"},
    {NINES " / 3.0", "!more than 38 digits"},
    {"1e-20 * 1e-20", "!more than 38 digits"},
    {"1e-38 / 10000000", "!more than 38 digits"},
    {"1e300", "!more than 38 digits"},
    {"1.5 AND true", "!AND does not take numeric, bool"},
    {"length(1.5)", "!length does not take numeric"},
    {"1.5::bool", "!there is no cast of numeric to bool"},
    {"1.5::numeric(39,0)", "!at most 38"},
    {"1.5::numeric(0)", "!p from 1 to 38 digits"},
    {"1.5::numeric(2,3)", "!s of them behind the point"},
};

/* Compiles, evaluates and prints; what is printed, and the bytes, compile to the same. */
static void check(const char *text, const char *wanted)
{
    struct row_expr_scope scope = {.wanted = INSTAR_NULL};
    struct base_arena arena = {0};
    struct base_buf bytes = {0};
    struct base_buf again = {0};
    struct base_buf printed = {0};
    struct row_expr *expr;
    instar_value v;
    char found[128];
    int rc =
        row_expr_compile(base_slice(text, strlen(text)), &scope, &arena, &expr, NULL, &test_err);
    if (rc == 0) {
        cr_assert(row_expr_encode(expr, &bytes));
        cr_assert(row_expr_print(expr, NULL, NULL, &printed));
        must(row_expr_compile(base_buf_slice(&printed), &scope, &arena, &expr, NULL, &test_err));
        cr_assert(row_expr_encode(expr, &again));
        cr_assert_eq(base_slice_cmp(base_buf_slice(&bytes), base_buf_slice(&again)), 0, "%s: %.*s",
                     text, (int)printed.size, (const char *)printed.data);
        must(row_expr_decode(base_buf_slice(&bytes), &arena, &expr, &test_err));
        rc = row_expr_eval(expr, NULL, &arena, &v, &test_err);
    }
    if (wanted[0] == '!') {
        cr_assert_neq(rc, 0, "%s", text);
        cr_assert_not_null(strstr(test_err.text, wanted + 1), "%s: %s", text, test_err.text);
    } else {
        cr_assert_eq(rc, 0, "%s: %s", text, test_err.text);
        row_value_format(&v, found, sizeof(found));
        cr_assert_str_eq(v.type == INSTAR_NULL ? "null" : found, wanted, "%s: %s", text, found);
    }
    base_buf_free(&bytes);
    base_buf_free(&again);
    base_buf_free(&printed);
    base_arena_free(&arena);
}

/* The operators, comparisons and casts, with PostgreSQL's digits; or an error that says why not. */
Test(row_numeric, expressions)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(sums); i++) {
        check(sums[i].text, sums[i].wanted);
    }
}

/* The rest of a division is the same wherever the points of both stand. */
Test(row_numeric, a_rest_does_not_depend_on_the_point)
{
    struct test_random random = test_random(1);
    struct row_expr_scope scope = {.wanted = INSTAR_NULL};
    for (int round = 0; round < 3000; round++) {
        char text[160];
        long long a = (long long)test_random_below(&random, 2000000) - 1000000;
        long long b = 1 + (long long)test_random_below(&random, 5000);
        unsigned s = (unsigned)test_random_below(&random, 6);
        struct base_arena arena = {0};
        struct row_expr *expr;
        instar_value v;
        snprintf(text, sizeof(text), "%llde-%u %% %lld.0 - (%lld %% %llde%u) * 1e-%u", a, s, b, a,
                 b, s, s);
        must(row_expr_compile(base_slice(text, strlen(text)), &scope, &arena, &expr, NULL,
                              &test_err));
        must(row_expr_eval(expr, NULL, &arena, &v, &test_err));
        instar_value zero = parsed("0");
        cr_assert_eq(row_value_cmp(&v, &zero), 0, "%s is %s", text, text_of(&v));
        base_arena_free(&arena);
    }
}
