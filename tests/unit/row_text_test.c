/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text: the forms of PostgreSQL, and nothing that is nearly one of them. */
#include "support/values.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int parse(enum instar_type type, const char *text, instar_value *v)
{
    static char scratch[4096];
    return row_value_parse(type, base_slice(text, strlen(text)), scratch, sizeof(scratch), v,
                           &test_err);
}

/* What a text of the type reads as, written again. */
static void gives(enum instar_type type, const char *text, const char *wanted)
{
    instar_value v;
    char out[256];
    int rc = parse(type, text, &v);
    cr_assert_eq(rc, 0, "%s '%s': %s", row_type_name(type), text, test_err.text);
    cr_assert_eq(v.type, type);
    size_t n = row_value_format(&v, out, sizeof(out));
    cr_assert_str_eq(out, wanted);
    cr_assert_eq(n, strlen(wanted));
}

static void refused(enum instar_type type, const char *text, int code)
{
    instar_value v;
    int rc = parse(type, text, &v);
    cr_assert_eq(rc, code, "%s '%s': %s", row_type_name(type), text, base_error_name(rc));
    cr_assert_eq(v.type, INSTAR_NULL);
    cr_assert_neq(strlen(test_err.text), 0);
}

/* Every type has a name that leads back to it; aliases and upper case do too; others do not. */
Test(row_text, type_names)
{
    for (unsigned i = 1; i < INSTAR_TYPE_COUNT; i++) {
        cr_assert_eq(row_type_from_name(row_type_name((enum instar_type)i)), i);
    }
    static const struct {
        const char *name;
        enum instar_type type;
    } names[] = {
        {"smallint", INSTAR_INT2}, {"int", INSTAR_INT4},      {"integer", INSTAR_INT4},
        {"bigint", INSTAR_INT8},   {"double", INSTAR_FLOAT8}, {"double precision", INSTAR_FLOAT8},
        {"boolean", INSTAR_BOOL},  {"BIGINT", INSTAR_INT8},   {"varchar", INSTAR_NULL},
        {"", INSTAR_NULL},         {"null", INSTAR_NULL},     {"int3", INSTAR_NULL},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(names); i++) {
        cr_assert_eq(row_type_from_name(names[i].name), names[i].type, "%s", names[i].name);
    }
    cr_assert_null(row_type_name(INSTAR_NULL));
    cr_assert_null(row_type_name(INSTAR_TYPE_COUNT));
}

/* Booleans: the words of PostgreSQL in either case. */
Test(row_text, bools)
{
    static const char *const yes[] = {"true", "t", "T", "TRUE", "yes", "y", "on", "1"};
    static const char *const no[] = {"false", "f", "no", "n", "off", "OFF", "0"};
    static const char *const bad[] = {"", "2", "tr", " true", "true ", "truex", "null"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(yes); i++) {
        gives(INSTAR_BOOL, yes[i], "true");
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(no); i++) {
        gives(INSTAR_BOOL, no[i], "false");
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        refused(INSTAR_BOOL, bad[i], INSTAR_ETYPE);
    }
}

/* Integers: a sign and digits; what does not fit is out of range, what is no number is the wrong
 * type. */
Test(row_text, integers)
{
    gives(INSTAR_INT2, "-32768", "-32768");
    gives(INSTAR_INT2, "+007", "7");
    gives(INSTAR_INT4, "2147483647", "2147483647");
    gives(INSTAR_INT8, "-9223372036854775808", "-9223372036854775808");
    gives(INSTAR_INT8, "9223372036854775807", "9223372036854775807");
    refused(INSTAR_INT2, "32768", INSTAR_ERANGE);
    refused(INSTAR_INT4, "-2147483649", INSTAR_ERANGE);
    refused(INSTAR_INT8, "9223372036854775808", INSTAR_ERANGE);
    refused(INSTAR_INT8, "-9223372036854775809", INSTAR_ERANGE);
    refused(INSTAR_INT8, "99999999999999999999999999", INSTAR_ERANGE);
    static const char *const bad[] = {"", "-", "+", "1.0", "1e3", " 1", "1 ", "0x10", "--1", "1-"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        refused(INSTAR_INT8, bad[i], INSTAR_ETYPE);
    }
}

/* Floats: the shortest digits that read back as the same number, laid out as PostgreSQL does. */
Test(row_text, floats)
{
    gives(INSTAR_FLOAT8, "0", "0");
    gives(INSTAR_FLOAT8, "-0", "-0");
    gives(INSTAR_FLOAT8, "0.1", "0.1");
    gives(INSTAR_FLOAT8, ".5", "0.5");
    gives(INSTAR_FLOAT8, "5.", "5");
    gives(INSTAR_FLOAT8, "1e3", "1000");
    gives(INSTAR_FLOAT8, "-1234.5", "-1234.5");
    gives(INSTAR_FLOAT8, "0.0001", "0.0001");
    gives(INSTAR_FLOAT8, "0.00001", "1e-05");
    gives(INSTAR_FLOAT8, "123456789012345", "123456789012345");
    gives(INSTAR_FLOAT8, "1e15", "1e+15");
    /* Just between two doubles: a digit more than would do. */
    gives(INSTAR_FLOAT8, "4.6116860162799043e18", "4.6116860162799043e+18");
    gives(INSTAR_FLOAT8, "1e14", "100000000000000");
    gives(INSTAR_FLOAT8, "0.30000000000000004", "0.30000000000000004");
    gives(INSTAR_FLOAT8, "1.7976931348623157e308", "1.7976931348623157e+308");
    gives(INSTAR_FLOAT8, "5e-324", "5e-324");
    gives(INSTAR_FLOAT8, "nan", "NaN");
    gives(INSTAR_FLOAT8, "Infinity", "Infinity");
    gives(INSTAR_FLOAT8, "-inf", "-Infinity");
    refused(INSTAR_FLOAT8, "1e400", INSTAR_ERANGE);
    refused(INSTAR_FLOAT8, "-1e400", INSTAR_ERANGE);
    refused(INSTAR_FLOAT8, "1e-400", INSTAR_ERANGE);
    static const char *const bad[] = {"",    ".",    "-",   "e5",   "1e",       "1e+",   "1.2.3",
                                      "0x1", "1 ",   " 1",  "infi", "nanx",     "1,5",   "++1",
                                      "1d",  "1e5e", "\t1", "--1",  "nan(123)", "1.e1.", "-."};
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        refused(INSTAR_FLOAT8, bad[i], INSTAR_ETYPE);
    }
    char *zeros = malloc(2001);
    memset(zeros, '0', 2000);
    zeros[2000] = 0;
    refused(INSTAR_FLOAT8, zeros, INSTAR_ETYPE);
    free(zeros);
}

/* A locale with another decimal point changes neither direction. */
Test(row_text, floats_ignore_the_locale)
{
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "C.UTF-8"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(locales); i++) {
        if (setlocale(LC_ALL, locales[i]) != NULL) {
            break; /* the last one always exists, but proves little */
        }
    }
    gives(INSTAR_FLOAT8, "1234.5", "1234.5");
    refused(INSTAR_FLOAT8, "1234,5", INSTAR_ETYPE);
}

/* Text stays what it is; invalid UTF-8 is refused. */
Test(row_text, texts)
{
    gives(INSTAR_TEXT, "", "");
    gives(INSTAR_TEXT, " Gr\xc3\xbc\xc3\x9f' ", " Gr\xc3\xbc\xc3\x9f' ");
    refused(INSTAR_TEXT, "a\xc0\x80", INSTAR_EENCODING);
}

/* bytea: \x and pairs of digits. */
Test(row_text, byteas)
{
    gives(INSTAR_BYTEA, "\\x", "\\x");
    gives(INSTAR_BYTEA, "\\x00FFa5", "\\x00ffa5");
    static const char *const bad[] = {"", "x", "\\x0", "\\x0g", "00ff", "\\X00", "\\x 00", "abc"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        refused(INSTAR_BYTEA, bad[i], INSTAR_ETYPE);
    }
    char small[2];
    instar_value v;
    must_fail(row_value_parse(INSTAR_BYTEA, base_slice("\\x001122", 8), small, 2, &v, &test_err),
              INSTAR_EINVALID);
}

/* uuid: with its hyphens in place, or none, in either case. */
Test(row_text, uuids)
{
    const char *plain = "01234567-89ab-cdef-0123-456789abcdef";
    gives(INSTAR_UUID, plain, plain);
    gives(INSTAR_UUID, "0123456789ABCDEF0123456789abcdef", plain);
    static const char *const bad[] = {"",
                                      "0123",
                                      "01234567-89ab-cdef-0123-456789abcde",
                                      "01234567-89ab-cdef-0123-456789abcdefa",
                                      "0123456789ab-cdef-0123-4567-89abcdef",
                                      "{0123456789abcdef0123456789abcdef}",
                                      "01234567-89ab-cdef-0123-456789abcdeg",
                                      "01234567-89ab-cdef-0123_456789abcdef"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        refused(INSTAR_UUID, bad[i], INSTAR_ETYPE);
    }
}

/* Dates: the calendar decides what is a day; the ends are those of PostgreSQL. */
Test(row_text, dates)
{
    gives(INSTAR_DATE, "1970-01-01", "1970-01-01");
    gives(INSTAR_DATE, "2024-02-29", "2024-02-29");
    gives(INSTAR_DATE, "0001-01-01", "0001-01-01");
    gives(INSTAR_DATE, "0001-12-31 BC", "0001-12-31 BC");
    gives(INSTAR_DATE, "0044-03-15 BC", "0044-03-15 BC");
    gives(INSTAR_DATE, "4714-11-24 BC", "4714-11-24 BC");
    gives(INSTAR_DATE, "294276-12-31", "294276-12-31");
    refused(INSTAR_DATE, "4714-11-23 BC", INSTAR_ERANGE);
    refused(INSTAR_DATE, "294277-01-01", INSTAR_ERANGE);
    refused(INSTAR_DATE, "2023-02-29", INSTAR_ERANGE);
    refused(INSTAR_DATE, "1900-02-29", INSTAR_ERANGE);
    gives(INSTAR_DATE, "2000-02-29", "2000-02-29");
    refused(INSTAR_DATE, "2026-13-01", INSTAR_ERANGE);
    refused(INSTAR_DATE, "2026-00-01", INSTAR_ERANGE);
    refused(INSTAR_DATE, "2026-01-00", INSTAR_ERANGE);
    refused(INSTAR_DATE, "0000-01-01", INSTAR_ERANGE);
    refused(INSTAR_DATE, "1234567-01-01", INSTAR_ERANGE);
    refused(INSTAR_DATE, "999999999-01-01", INSTAR_ERANGE);
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-1-1",
                                      "26-01-01",
                                      "2026-01-01x",
                                      " 2026-01-01",
                                      "2026-01-01 AD",
                                      "2026/01/01",
                                      "2026-01-01 ",
                                      "-2026-01-01",
                                      "20260101"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        refused(INSTAR_DATE, bad[i], INSTAR_ETYPE);
    }
}

/* Every day of 800 years follows the one before it, and reads back. */
Test(row_text, calendar_has_no_gaps)
{
    char text[64];
    char before[64] = "";
    for (int64_t day = -150000; day < 150000; day++) {
        instar_value v = {.type = INSTAR_DATE, .i = day};
        instar_value back;
        row_value_format(&v, text, sizeof(text));
        cr_assert(strcmp(before, text) < 0, "%s then %s", before, text);
        must(parse(INSTAR_DATE, text, &back));
        cr_assert_eq(back.i, day);
        memcpy(before, text, sizeof(before));
    }
}

/* Timestamps: any zone comes in, UTC goes out, at most six digits of a second. */
Test(row_text, timestamps)
{
    gives(INSTAR_TIMESTAMPTZ, "1970-01-01 00:00:00+00", "1970-01-01 00:00:00+00");
    gives(INSTAR_TIMESTAMPTZ, "2026-01-31 12:00:00.5+00", "2026-01-31 12:00:00.5+00");
    gives(INSTAR_TIMESTAMPTZ, "2026-01-31T12:00:00.123456Z", "2026-01-31 12:00:00.123456+00");
    gives(INSTAR_TIMESTAMPTZ, "2026-01-31 12:00", "2026-01-31 12:00:00+00");
    gives(INSTAR_TIMESTAMPTZ, "2026-01-31", "2026-01-31 00:00:00+00");
    gives(INSTAR_TIMESTAMPTZ, "2026-01-31 00:30:00+01", "2026-01-30 23:30:00+00");
    gives(INSTAR_TIMESTAMPTZ, "2026-01-31 00:30:00-05:30", "2026-01-31 06:00:00+00");
    gives(INSTAR_TIMESTAMPTZ, "2026-01-31 00:30:00+0130", "2026-01-30 23:00:00+00");
    gives(INSTAR_TIMESTAMPTZ, "1880-01-01 00:00:00+00:53:28", "1879-12-31 23:06:32+00");
    gives(INSTAR_TIMESTAMPTZ, "0001-01-01 00:00:00+01", "0001-12-31 23:00:00+00 BC");
    gives(INSTAR_TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC");
    gives(INSTAR_TIMESTAMPTZ, "0044-03-15 BC", "0044-03-15 00:00:00+00 BC");
    gives(INSTAR_TIMESTAMPTZ, "4714-11-24 00:00:00+00 BC", "4714-11-24 00:00:00+00 BC");
    gives(INSTAR_TIMESTAMPTZ, "294247-01-10 04:00:54.775807+00", "294247-01-10 04:00:54.775807+00");
    refused(INSTAR_TIMESTAMPTZ, "294247-01-10 04:00:54.775808+00", INSTAR_ERANGE);
    refused(INSTAR_TIMESTAMPTZ, "999999-01-10 04:00:54+00", INSTAR_ERANGE);
    refused(INSTAR_TIMESTAMPTZ, "4714-11-24 00:00:00+01 BC", INSTAR_ERANGE);
    refused(INSTAR_TIMESTAMPTZ, "2026-01-31 24:00:00", INSTAR_ERANGE);
    refused(INSTAR_TIMESTAMPTZ, "2026-01-31 12:60:00", INSTAR_ERANGE);
    refused(INSTAR_TIMESTAMPTZ, "2026-01-31 12:00:60", INSTAR_ERANGE);
    refused(INSTAR_TIMESTAMPTZ, "2026-02-30 12:00:00", INSTAR_ERANGE);
    refused(INSTAR_TIMESTAMPTZ, "2026-01-31 12:00:00+16", INSTAR_ERANGE);
    static const char *const bad[] = {"",
                                      "now",
                                      "2026-01-31 ",
                                      "2026-01-31T",
                                      "2026-01-31 12",
                                      "2026-01-31 12:00:00.",
                                      "2026-01-31 12:00:00.1234567",
                                      "2026-01-31 12:00:00 +00",
                                      "2026-01-31 12:00:00+",
                                      "2026-01-31 12:00:00+1",
                                      "2026-01-31 12:00:00+01:",
                                      "2026-01-31 12:00:00 UTC",
                                      "2026-01-31  12:00:00",
                                      "2026-01-31 1:00:00"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        refused(INSTAR_TIMESTAMPTZ, bad[i], INSTAR_ETYPE);
    }
}

/* TEXT-1: what format writes, parse reads as the same value (NaN as a NaN). */
Test(row_text, format_then_parse_is_the_same_value)
{
    struct test_random r = test_random(1);
    struct base_arena arena = {0};
    for (int round = 0; round < 20000; round++) {
        enum instar_type type = test_random_type(&r);
        instar_value v = test_random_value(&r, type, 40, &arena);
        char text[256];
        char scratch[256];
        instar_value back;
        size_t n = row_value_format(&v, text, sizeof(text));
        must(
            row_value_parse(type, base_slice(text, n), scratch, sizeof(scratch), &back, &test_err));
        bool both_nan = type == INSTAR_FLOAT8 && isnan(v.f) && isnan(back.f);
        cr_assert(both_nan || test_value_same(&v, &back), "%s '%s'", row_type_name(type), text);
        base_arena_reset(&arena);
    }
    base_arena_free(&arena);
}

/* A buffer that is too small gets as much as fits and a final zero; the length is that of the
 * whole. This holds also for values that no check has let through. */
Test(row_text, format_cuts_like_snprintf)
{
    struct test_random r = test_random(2);
    struct base_arena arena = {0};
    for (int round = 0; round < 5000; round++) {
        enum instar_type type = test_random_type(&r);
        instar_value v = test_random_value(&r, type, 40, &arena);
        if (type == INSTAR_DATE || type == INSTAR_TIMESTAMPTZ) {
            v.i = (int64_t)test_random_next(&r);
        }
        char whole[256];
        size_t n = row_value_format(&v, whole, sizeof(whole));
        cr_assert_lt(n, sizeof(whole));
        size_t size = test_random_below(&r, n + 2);
        char *cut = malloc(size + 1); /* exact, so that a sanitizer sees the byte behind it */
        cut[size] = '#';
        cr_assert_eq(row_value_format(&v, cut, size), n);
        cr_assert_eq(cut[size], '#');
        if (size != 0) {
            size_t kept = n < size ? n : size - 1;
            cr_assert_eq(memcmp(cut, whole, kept), 0);
            cr_assert_eq(cut[kept], 0);
        }
        free(cut);
        base_arena_reset(&arena);
    }
    instar_value null = {0};
    char out[4] = "abc";
    cr_assert_eq(row_value_format(&null, out, sizeof(out)), 0);
    cr_assert_str_eq(out, "");
    base_arena_free(&arena);
}

/* Random text never reads past its end, and a refused one says why. */
Test(row_text, any_text_is_read_or_refused)
{
    static const char alphabet[] = "0123456789-+:. TZBCenif\\xabf\xff";
    struct test_random r = test_random(3);
    for (int round = 0; round < 50000; round++) {
        size_t size = test_random_below(&r, 30);
        char *text = malloc(size + (size == 0));
        char scratch[32];
        instar_value v;
        for (size_t i = 0; i < size; i++) {
            text[i] = alphabet[test_random_below(&r, sizeof(alphabet) - 1)];
        }
        enum instar_type type = test_random_type(&r);
        int rc =
            row_value_parse(type, base_slice(text, size), scratch, sizeof(scratch), &v, &test_err);
        if (rc == 0) {
            must(row_value_check(type, &v, &test_err));
        } else {
            cr_assert(rc == INSTAR_ETYPE || rc == INSTAR_ERANGE || rc == INSTAR_EENCODING);
        }
        free(text);
    }
}
