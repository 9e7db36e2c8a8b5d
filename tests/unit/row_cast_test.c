/* SPDX-License-Identifier: Apache-2.0 */
/* Casts of values from one type to another, and of columns through all their types in order. */
#include "support/values.h"

#include <stdio.h>
#include <string.h>

static instar_value parsed(enum instar_type type, const char *text)
{
    instar_value v;
    must(row_value_parse(type, base_slice(text, strlen(text)), NULL, 0, &v, &test_err));
    return v;
}

struct cast_case {
    enum instar_type from;
    const char *text;
    enum instar_type to;
    const char *wanted; /* the text of the result, or "ERANGE", "ETYPE" */
};

static void check_casts(const struct cast_case *cases, size_t count)
{
    struct base_arena arena = {0};
    for (size_t i = 0; i < count; i++) {
        instar_value v = parsed(cases[i].from, cases[i].text);
        instar_value out;
        char text[64];
        int rc = row_cast(&v, cases[i].to, &arena, &out, &test_err);
        if (rc == 0) {
            expect(out.type == cases[i].to);
            row_value_format(&out, text, sizeof(text));
        } else {
            expect(out.type == INSTAR_NULL);
            snprintf(text, sizeof(text), "%s",
                     rc == INSTAR_ERANGE  ? "ERANGE"
                     : rc == INSTAR_ETYPE ? "ETYPE"
                                          : "another");
        }
        cr_assert_str_eq(text, cases[i].wanted, "case %zu, %s", i, cases[i].text);
    }
    base_arena_free(&arena);
}

/* What PostgreSQL makes of it. */
Test(row_cast, results_are_those_of_postgresql)
{
    static const struct cast_case cases[] = {
        {INSTAR_INT2, "-32768", INSTAR_INT8, "-32768"},
        {INSTAR_INT8, "2147483647", INSTAR_INT4, "2147483647"},
        {INSTAR_INT8, "2147483648", INSTAR_INT4, "ERANGE"},
        {INSTAR_INT4, "-32769", INSTAR_INT2, "ERANGE"},
        {INSTAR_INT8, "9007199254740993", INSTAR_FLOAT8, "9.007199254740992e+15"},
        {INSTAR_FLOAT8, "1.5", INSTAR_INT4, "2"},
        {INSTAR_FLOAT8, "2.5", INSTAR_INT4, "2"},
        {INSTAR_FLOAT8, "-0.5", INSTAR_INT2, "0"},
        {INSTAR_FLOAT8, "32767.4", INSTAR_INT2, "32767"},
        {INSTAR_FLOAT8, "32767.5", INSTAR_INT2, "ERANGE"},
        {INSTAR_FLOAT8, "9223372036854775808", INSTAR_INT8, "ERANGE"},
        {INSTAR_FLOAT8, "NaN", INSTAR_INT8, "ERANGE"},
        {INSTAR_FLOAT8, "-Infinity", INSTAR_INT8, "ERANGE"},
        {INSTAR_FLOAT8, "0.1", INSTAR_TEXT, "0.1"},
        {INSTAR_BOOL, "true", INSTAR_INT4, "1"},
        {INSTAR_BOOL, "false", INSTAR_TEXT, "false"},
        {INSTAR_INT4, "-7", INSTAR_BOOL, "true"},
        {INSTAR_INT4, "0", INSTAR_BOOL, "false"},
        {INSTAR_INT8, "-12", INSTAR_TEXT, "-12"},
        {INSTAR_TEXT, " 12 ", INSTAR_INT2, "12"},
        {INSTAR_TEXT, "12x", INSTAR_INT2, "ETYPE"},
        {INSTAR_TEXT, "", INSTAR_INT4, "ETYPE"},
        {INSTAR_TEXT, "99999", INSTAR_INT2, "ERANGE"},
        {INSTAR_TEXT, "1e3", INSTAR_FLOAT8, "1000"},
        {INSTAR_TEXT, "yes", INSTAR_BOOL, "true"},
        {INSTAR_TEXT, "2026-02-28", INSTAR_DATE, "2026-02-28"},
        {INSTAR_TEXT, " 2026-02-28 ", INSTAR_DATE, "2026-02-28"},
        {INSTAR_TEXT, "2026-02-29", INSTAR_DATE, "ERANGE"},
        {INSTAR_TEXT, "soon", INSTAR_DATE, "ETYPE"},
        {INSTAR_TEXT, "24:00", INSTAR_TIME, "24:00:00"},
        {INSTAR_TEXT, "24:00:00.1", INSTAR_TIME, "ERANGE"},
        {INSTAR_TEXT, "12:30:00.250", INSTAR_TIME, "12:30:00.25"},
        {INSTAR_TEXT, "12:30+01", INSTAR_TIME, "ETYPE"},
        {INSTAR_DATE, "0044-03-15 BC", INSTAR_TEXT, "0044-03-15 BC"},
        {INSTAR_TIME, "00:00:00.000001", INSTAR_TEXT, "00:00:00.000001"},
        {INSTAR_TEXT, "00000000-0000-0000-0000-00000000000a", INSTAR_UUID,
         "00000000-0000-0000-0000-00000000000a"},
        {INSTAR_DATE, "2026-02-28", INSTAR_INT4, "ETYPE"},
        {INSTAR_DATE, "2026-02-28", INSTAR_TIMESTAMPTZ, "ETYPE"},
    };
    check_casts(cases, BASE_ARRAY_LEN(cases));
}

/* The same of numerics: half away from zero where a double goes to the even one. */
Test(row_cast, results_of_numerics)
{
    static const struct cast_case cases[] = {
        {INSTAR_NUMERIC, "1.5", INSTAR_INT4, "2"},
        {INSTAR_NUMERIC, "2.5", INSTAR_INT4, "3"},
        {INSTAR_NUMERIC, "-32768.5", INSTAR_INT2, "ERANGE"},
        {INSTAR_NUMERIC, "9223372036854775807.4", INSTAR_INT8, "9223372036854775807"},
        {INSTAR_NUMERIC, "9223372036854775807.5", INSTAR_INT8, "ERANGE"},
        {INSTAR_NUMERIC, "-9223372036854775808", INSTAR_INT8, "-9223372036854775808"},
        {INSTAR_NUMERIC, "99999999999999999999", INSTAR_INT8, "ERANGE"},
        {INSTAR_NUMERIC, "0.10", INSTAR_FLOAT8, "0.1"},
        {INSTAR_NUMERIC, "0.10", INSTAR_TEXT, "0.10"},
        {INSTAR_INT2, "-7", INSTAR_NUMERIC, "-7"},
        {INSTAR_INT8, "-9223372036854775808", INSTAR_NUMERIC, "-9223372036854775808"},
        {INSTAR_FLOAT8, "0.1", INSTAR_NUMERIC, "0.1"},
        {INSTAR_FLOAT8, "2.675", INSTAR_NUMERIC, "2.675"},
        {INSTAR_FLOAT8, "0.30000000000000004", INSTAR_NUMERIC, "0.3"},
        {INSTAR_FLOAT8, "1e300", INSTAR_NUMERIC, "ERANGE"},
        {INSTAR_FLOAT8, "Infinity", INSTAR_NUMERIC, "ERANGE"},
        {INSTAR_FLOAT8, "-1.5e-7", INSTAR_NUMERIC, "-0.00000015"},
        {INSTAR_TEXT, " 1.50 ", INSTAR_NUMERIC, "1.50"},
        {INSTAR_TEXT, "1,50", INSTAR_NUMERIC, "ETYPE"},
        {INSTAR_TEXT, "NaN", INSTAR_NUMERIC, "ERANGE"},
        {INSTAR_BOOL, "true", INSTAR_NUMERIC, "ETYPE"},
    };
    check_casts(cases, BASE_ARRAY_LEN(cases));
}

/* Null is null in every type. */
Test(row_cast, null_stays)
{
    instar_value v = {.type = INSTAR_NULL};
    instar_value out = {.type = INSTAR_BOOL};
    must(row_cast(&v, INSTAR_INT4, NULL, &out, &test_err));
    expect(out.type == INSTAR_NULL);
}

static char kind_of(enum instar_type from, enum instar_type to)
{
    return row_cast_kind(from, to) == ROW_CAST_NONE         ? '-'
           : row_cast_kind(from, to) == ROW_CAST_ASSIGNMENT ? 'a'
                                                            : 'e';
}

/* Which casts a change of type makes by itself, and which when it is asked, is PostgreSQL's
 * catalog, without what depends on settings there (between dates and timestamps) and without bytea.
 */
Test(row_cast, kinds_are_those_of_postgresql)
{
    /* bool int2 int4 int8 float8 text bytea timestamptz date uuid time numeric */
    static const char *const wanted[] = {
        "a-e--a------", "-aaaaa-----a", "eaaaaa-----a", "-aaaaa-----a",
        "-aaaaa-----a", "eeeeea--eeee", "------a-----", "-------a----",
        "-----a--a---", "-----a---a--", "-----a----a-", "-aaaaa-----a",
    };
    for (unsigned from = 1; from < INSTAR_TYPE_COUNT; from++) {
        for (unsigned to = 1; to < INSTAR_TYPE_COUNT; to++) {
            char found = kind_of((enum instar_type)from, (enum instar_type)to);
            cr_assert_eq(found, wanted[from - 1][to - 1], "%s to %s: %c",
                         row_type_name((enum instar_type)from), row_type_name((enum instar_type)to),
                         found);
        }
    }
    expect(row_cast_kind(INSTAR_NULL, INSTAR_INT4) == ROW_CAST_NONE);
    expect(row_cast_kind(INSTAR_INT4, (enum instar_type)INSTAR_TYPE_COUNT) == ROW_CAST_NONE);
}

/* A cast that is said not to fail does not; one that is said to keep keys gives the same bytes. */
Test(row_cast, promises_hold_for_random_values)
{
    struct test_random r = test_random(7);
    struct base_arena arena = {0};
    struct base_buf a = {0};
    struct base_buf b = {0};
    for (int i = 0; i < 20000; i++) {
        enum instar_type from = test_random_type(&r);
        enum instar_type to = test_random_type(&r);
        base_arena_reset(&arena);
        instar_value v = test_random_value(&r, from, 20, &arena);
        instar_value out;
        if (row_cast_kind(from, to) == ROW_CAST_NONE) {
            expect(from != to);
            continue;
        }
        int rc = row_cast(&v, to, &arena, &out, &test_err);
        cr_assert(rc == 0 || row_cast_may_fail(from, to), "%s to %s: %s", row_type_name(from),
                  row_type_name(to), test_err.text);
        if (rc == 0 && row_cast_keeps_keys(from, to)) {
            base_buf_clear(&a);
            base_buf_clear(&b);
            must(row_key_encode(&(struct row_key_part){.type = from}, &v, 1, &a, &test_err));
            must(row_key_encode(&(struct row_key_part){.type = to}, &out, 1, &b, &test_err));
            expect(base_slice_eq(base_buf_slice(&a), base_buf_slice(&b)));
        }
        if (rc == 0) {
            must(row_value_check(to, &out, &test_err));
        }
    }
    base_buf_free(&a);
    base_buf_free(&b);
    base_arena_free(&arena);
}

/* The chain of types is gone through one by one: what was lost on the way stays lost. */
Test(row_cast, chain_is_composed_in_order)
{
    static const struct row_column forms[] = {
        {.id = 1, .type = INSTAR_FLOAT8},
        {.id = 1, .type = INSTAR_INT4, .form = 1, .before = &forms[0]},
        {.id = 1, .type = INSTAR_FLOAT8, .form = 2, .before = &forms[1]},
        {.id = 1, .type = INSTAR_TEXT, .form = 3, .before = &forms[2]},
    };
    static const char *const from_each[] = {"2", "2", "2.5", "2.5"};
    struct base_arena arena = {0};
    for (size_t i = 0; i < 4; i++) {
        instar_value v = parsed(forms[i].type, forms[i].type == INSTAR_INT4 ? "2" : "2.5");
        instar_value out;
        must(row_column_cast(&forms[i], &forms[3], &v, &arena, &out, &test_err));
        expect(base_slice_eq(base_slice(out.bytes.data, out.bytes.size),
                             base_slice(from_each[i], strlen(from_each[i]))));
    }
    instar_value big = parsed(INSTAR_FLOAT8, "1e10");
    instar_value out;
    must_fail(row_column_cast(&forms[0], &forms[2], &big, &arena, &out, &test_err),
              INSTAR_ECORRUPT);
    expect(strstr(test_err.text, "column id 1, written as float8") != NULL);
    base_arena_free(&arena);
}

/* A limit counts characters, not bytes. */
Test(row_cast, text_is_measured_in_characters)
{
    instar_value v = parsed(INSTAR_TEXT, "äöü€");
    expect(row_text_within(&v, 4) && !row_text_within(&v, 3));
    v = parsed(INSTAR_TEXT, "");
    expect(row_text_within(&v, 0));
}

/* A time of day is written as PostgreSQL writes it, and read in that form and its short ones. */
Test(row_cast, times_of_day)
{
    static const struct {
        const char *text, *wanted;
    } good[] = {{"00:00", "00:00:00"},
                {"23:59:59.999999", "23:59:59.999999"},
                {"01:02:03.5", "01:02:03.5"},
                {"24:00:00", "24:00:00"}};
    static const char *const bad[] = {
        "",          "1:2",    "12",     "12:60",   "24:00:01",   "12:00pm",         "12:00:00.",
        "12:00:00 ", "-01:00", "12:00Z", "12:00:0", "25:00:00.1", "12:00:00.1234567"};
    char text[64];
    for (size_t i = 0; i < BASE_ARRAY_LEN(good); i++) {
        instar_value v = parsed(INSTAR_TIME, good[i].text);
        row_value_format(&v, text, sizeof(text));
        cr_assert_str_eq(text, good[i].wanted);
        expect(v.i == parsed(INSTAR_TIME, text).i);
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        instar_value v;
        int rc = row_value_parse(INSTAR_TIME, base_slice(bad[i], strlen(bad[i])), NULL, 0, &v,
                                 &test_err);
        cr_assert(rc == INSTAR_ETYPE || rc == INSTAR_ERANGE, "%s", bad[i]);
    }
    instar_value v = {.type = INSTAR_TIME, .i = INT64_C(86400000001)};
    must_fail(row_value_check(INSTAR_TIME, &v, &test_err), INSTAR_ERANGE);
    v.i = -1;
    must_fail(row_value_check(INSTAR_TIME, &v, &test_err), INSTAR_ERANGE);
}
