/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions: what a text compiles to, what that gives, and that bytes and print keep it. */
#include "support/values.h"

#include <stdio.h>
#include <string.h>

/* The columns of all these expressions, and a row. Those with n in front are null. */
static const struct test_column columns[] = {
    {"s", INSTAR_INT2, "7"},
    {"i", INSTAR_INT4, "42"},
    {"l", INSTAR_INT8, "-5"},
    {"f", INSTAR_FLOAT8, "2.5"},
    {"t", INSTAR_TEXT, "Zürich"},
    {"b", INSTAR_BOOL, "true"},
    {"d", INSTAR_DATE, "2026-03-01"},
    {"u", INSTAR_UUID, "00000000-0000-0000-0000-000000000001"},
    {"y", INSTAR_BYTEA, "\\x00ff61"},
    {"z", INSTAR_TIMESTAMPTZ, "2026-01-01 00:00:00+00"},
    {"ni", INSTAR_INT4, NULL},
    {"nt", INSTAR_TEXT, NULL},
    {"nb", INSTAR_BOOL, NULL},
    {"A b", INSTAR_INT4, "1"},
    {"max", INSTAR_INT4, "2147483647"},
    {"nan", INSTAR_FLOAT8, "NaN"},
    {"big", INSTAR_FLOAT8, "1e300"},
    {"zero", INSTAR_INT4, "0"},
    {"min8", INSTAR_INT8, "-9223372036854775808"},
    {"n", INSTAR_NUMERIC, "12.50"},
    {"nn", INSTAR_NUMERIC, NULL},
    {NULL, INSTAR_NULL, NULL},
};

static const char *name_of(void *arg, uint32_t id)
{
    (void)arg;
    return columns[id - 1].name;
}

static const struct row_expr_scope any = {.find = test_column_find, .arg = (void *)columns};

static int compile(const char *text, struct base_arena *arena, struct row_expr **expr, size_t *at)
{
    return row_expr_compile(base_slice(text, strlen(text)), &any, arena, expr, at, &test_err);
}

/* The value as text, "null", or the words of the failure. */
static void evaluate(const struct row_expr *expr, struct base_arena *arena, char *out, size_t size)
{
    static char scratch[64];
    const struct row_expr_column *used;
    instar_value inputs[BASE_ARRAY_LEN(columns)] = {0};
    instar_value value;
    size_t count = row_expr_columns(expr, &used);

    for (size_t i = 0; i < count; i++) {
        const char *text = columns[used[i].id - 1].text;
        if (text != NULL) {
            must(row_value_parse(used[i].type, base_slice(text, strlen(text)), scratch,
                                 sizeof(scratch), &inputs[i], &test_err));
        }
    }
    base_err_clear(&test_err);
    if (row_expr_eval(expr, inputs, arena, &value, &test_err) != 0) {
        snprintf(out, size, "%.*s", (int)size - 1, test_err.text);
        return;
    }
    expect(value.type == INSTAR_NULL || value.type == (uint8_t)row_expr_type(expr));
    size_t length = row_value_format(&value, out, size);
    if (value.type == INSTAR_NULL) {
        snprintf(out, size, "null");
    } else {
        expect(length < size);
    }
}

/* The text, what it comes to; "!" in front: it does not compile, and why. */
static const struct {
    const char *text, *wanted;
} table[] = {
    /* constants and columns */
    {"1", "1"},
    {"'x'", "x"},
    {"E'a\\n\\x41'", "a\nA"},
    {"'it''s'", "it's"},
    {"NULL", "null"},
    {"TRUE", "true"},
    {"-5", "-5"},
    {"- -5", "5"},
    {"+ i", "42"},
    {"-2147483648", "-2147483648"},
    {"2147483648", "2147483648"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"\"A b\"", "1"},
    {"I", "42"},
    {"(((i)))", "42"},
    /* numbers */
    {"i + s", "49"},
    {"i - l", "47"},
    {"i * 2", "84"},
    {"i / 5", "8"},
    {"-i / 5", "-8"},
    {"i % 5", "2"},
    {"-i % 5", "-2"},
    {"i % -5", "2"},
    {"f * 2", "5"},
    {"i / f", "16.8"},
    {"1 + 2 * 3", "7"},
    {"(1 + 2) * 3", "9"},
    {"10 - 3 - 2", "5"},
    {"max + 1", "integer out of range"},
    {"max + 1::int8", "2147483648"},
    {"min8 / -1", "bigint out of range"},
    {"min8 % -1", "0"},
    {"-min8", "bigint out of range"},
    {"abs(min8)", "bigint out of range"},
    {"abs(l)", "5"},
    {"min8 - 1", "bigint out of range"},
    {"min8 * 2", "bigint out of range"},
    {"i / zero", "division by zero"},
    {"i % zero", "division by zero"},
    {"f / zero", "division by zero"},
    {"nan / zero", "NaN"},
    {"big * big", "value out of range: overflow"},
    {"s * s * s * s * s * s", "smallint out of range"},
    {"abs(-f)", "2.5"},
    {"big / big / big / big", "value out of range: underflow"},
    {"ni + 1", "null"},
    {"-ni", "null"},
    {"f + 1.5", "4"},
    {"d + 1", "2026-03-02"},
    {"1 + d", "2026-03-02"},
    {"d - 1", "2026-02-28"},
    {"d - '2026-01-01'::date", "59"},
    {"'3' + i", "45"},
    {"d + max", "date out of range"},
    /* comparison */
    {"i = 42", "true"},
    {"i <> 42", "false"},
    {"i != 41", "true"},
    {"l < i", "true"},
    {"i > f", "true"},
    {"i >= 42", "true"},
    {"i <= 41", "false"},
    {"nan = nan", "true"},
    {"nan > big", "true"},
    {"t = 'Zürich'", "true"},
    {"t < 'a'", "true"},
    {"ni = 1", "null"},
    {"ni = ni", "null"},
    {"d = '2026-03-01'", "true"},
    {"y > '\\x00'", "true"},
    {"b = 'yes'", "true"},
    {"u = '00000000-0000-0000-0000-000000000001'", "true"},
    {"z > '2025-12-31 23:00:00+00'", "true"},
    {"ni IS DISTINCT FROM 1", "true"},
    {"ni IS DISTINCT FROM NULL", "false"},
    {"i IS NOT DISTINCT FROM 42", "true"},
    {"i = 42 = b", "!syntax error at \"=\""},
    /* three values */
    {"b AND nb", "null"},
    {"NOT b AND nb", "false"},
    {"b OR nb", "true"},
    {"NOT b OR nb", "null"},
    {"NOT nb", "null"},
    {"nb IS NULL", "true"},
    {"b IS NOT NULL", "true"},
    {"nb IS TRUE", "false"},
    {"nb IS NOT TRUE", "true"},
    {"b IS FALSE", "false"},
    {"nb IS NOT FALSE", "true"},
    {"nb IS UNKNOWN", "true"},
    {"b IS NOT UNKNOWN", "true"},
    {"NOT b = FALSE", "true"},
    {"i = 1 AND 1 / zero = 1", "false"},
    {"i = 42 OR 1 / zero = 1", "true"},
    {"i = 42 AND 1 / zero = 1", "division by zero"},
    {"b OR b AND FALSE", "true"},
    /* lists and ranges */
    {"i BETWEEN 1 AND 42", "true"},
    {"i NOT BETWEEN 1 AND 41", "true"},
    {"ni BETWEEN 1 AND 2", "null"},
    {"i BETWEEN 50 AND ni", "false"},
    {"i BETWEEN 1 AND ni", "null"},
    {"i NOT BETWEEN 50 AND ni", "true"},
    {"i IN (1, 42)", "true"},
    {"i IN (1, NULL)", "null"},
    {"i NOT IN (1, 2)", "true"},
    {"i NOT IN (1, NULL)", "null"},
    {"ni IN (1)", "null"},
    {"t IN ('a', 'b')", "false"},
    {"i BETWEEN 1 AND 50 AND b", "true"},
    {"f IN (2.5)", "true"},
    /* choices */
    {"CASE WHEN nb THEN 1 WHEN b THEN 2 ELSE 3 END", "2"},
    {"CASE WHEN nb THEN 1 END", "null"},
    {"CASE i WHEN 1 THEN 'a' WHEN 42 THEN 'b' END", "b"},
    {"CASE ni WHEN NULL THEN 1 ELSE 2 END", "2"},
    {"CASE WHEN b THEN 1 ELSE f END", "1"},
    {"CASE WHEN b THEN 1 ELSE 1 / zero END", "1"},
    {"coalesce(ni, i)", "42"},
    {"coalesce(ni, NULL)", "null"},
    {"coalesce(i, 1 / zero)", "42"},
    {"coalesce(ni, f)", "2.5"},
    {"nullif(i, 42)", "null"},
    {"nullif(i, ni)", "42"},
    {"greatest(i, ni, 50)", "50"},
    {"least(i, ni, f)", "2.5"},
    {"least(ni, NULL)", "null"},
    {"greatest(nan, big)", "NaN"},
    /* texts */
    {"t || '!'", "Zürich!"},
    {"t || nt", "null"},
    {"y || y", "\\x00ff6100ff61"},
    {"length(t)", "6"},
    {"char_length(t)", "6"},
    {"octet_length(t)", "7"},
    {"length(y)", "3"},
    {"lower(t)", "zürich"},
    {"upper(t)", "ZüRICH"},
    {"substr(t, 2, 2)", "ür"},
    {"substr(t, -1, 3)", "Z"},
    {"substr(t, 4)", "ich"},
    {"substr(t, 9)", ""},
    {"substr(t, 0)", "Zürich"},
    {"substr(y, 2)", "\\xff61"},
    {"substr(t, 2, -1)", "negative substring length not allowed"},
    {"substring(t, 2, max)", "ürich"},
    {"length('')", "0"},
    {"t LIKE 'Z%'", "true"},
    {"t LIKE '_ürich'", "true"},
    {"t LIKE 'Z_rich'", "true"},
    {"t LIKE '%ich%'", "true"},
    {"t LIKE 'z%'", "false"},
    {"t NOT LIKE '%x%'", "true"},
    {"'a%' LIKE 'a\\%'", "true"},
    {"'ab' LIKE 'a\\%'", "false"},
    {"'' LIKE '%'", "true"},
    {"'' LIKE '_'", "false"},
    {"nt LIKE '%'", "null"},
    {"'a' LIKE 'a\\'", "false"},
    {"'ab' LIKE 'a\\'", "LIKE pattern must not end with escape character"},
    {"'aXbXc' LIKE '%X%X_'", "true"},
    {"'abcabd' LIKE '%ab_'", "true"},
    /* casts */
    {"CAST(f AS int4)", "2"},
    {"CAST(-f AS int4)", "-2"},
    {"CAST(f + 1 AS int4)", "4"},
    {"f::int8", "2"},
    {"max::int2", "smallint out of range"},
    {"big::int8", "bigint out of range"},
    {"nan::int4", "integer out of range"},
    {"i::text", "42"},
    {"f::text", "2.5"},
    {"b::text", "true"},
    {"b::int4", "1"},
    {"i::bool", "true"},
    {"' 12 '::int4", "12"},
    {"t::int4", "not an integer"},
    {"'1.5'::double precision", "1.5"},
    {"CAST('x' AS text)", "x"},
    {"u::text", "00000000-0000-0000-0000-000000000001"},
    {"CAST(NULL AS date)", "null"},
    {"i::text::int8", "42"},
    {"-i::int8", "-42"},
    {"CAST(i AS integer)", "42"},
    /* exact decimals */
    {"n", "12.50"},
    {"n + i", "54.50"},
    {"n * n", "156.2500"},
    {"n / i", "0.29761904761904761905"},
    {"i / n", "3.3600000000000000"},
    {"n % 5", "2.50"},
    {"-n", "-12.50"},
    {"abs(- n)", "12.50"},
    {"n + f", "15"},
    {"n > f", "true"},
    {"n = 12.5", "true"},
    {"n = '12.500'", "true"},
    {"n IN (1, 12.5)", "true"},
    {"n BETWEEN i AND 50", "false"},
    {"i > 41.5", "true"},
    {"i * 1.10", "46.20"},
    {"f = 2.50", "true"},
    {"f IN (2.5, 1e300)", "true"},
    {"f > CAST('2.49' AS numeric)", "true"},
    {"n || 'x'", "!|| does not take numeric, text"},
    {"n::text || 'x'", "12.50x"},
    {"n::int4", "13"},
    {"(n / 3)::numeric(10,3)", "4.167"},
    {"(n * i)::numeric(4,2)", "525.00 is out of range for numeric(4,2)"},
    {"coalesce(nn, n)", "12.50"},
    {"nn + 1", "null"},
    {"CASE WHEN b THEN i ELSE n END", "42"},
    {"CASE n WHEN 12.5 THEN 'y' END", "y"},
    {"t::numeric", "not a numeric such as -12.50"},
    {"n / zero", "division by zero"},
    {"n::bool", "!there is no cast of numeric to bool"},
    {"d + 1.5", "!+ does not take date, numeric"},
    {"n % f", "!% does not take numeric, float8"},
    /* what is refused */
    {"", "!it ends too early"},
    {"i +", "!it ends too early"},
    {"i i", "!syntax error at \"i\""},
    {"nosuch", "!no column \"nosuch\""},
    {"pow(i, 2)", "!there is no function pow"},
    {"i + t", "!+ does not take int4, text"},
    {"i AND b", "!AND does not take int4, bool"},
    {"t > i", "!> does not take text, int4"},
    {"NOT i", "!NOT does not take int4"},
    {"length(i)", "!length does not take int4"},
    {"t > 1.5", "!> does not take text, numeric"},
    {"i = 'x'", "!'x' as int4: not an integer"},
    {"abs('1')", "!a constant without type needs a cast here: CAST(… AS type)"},
    {"d::text", "!there is no cast of date to text"},
    {"i::nosuch", "!there is no type nosuch"},
    {"f % 2", "!% does not take float8, int4"},
    {"'x", "!a quote has no end"},
    {"i ~ 1", "!there is no operator ~"},
    {"12ab", "!a number ends in letters"},
    {"(i", "!it ends too early"},
    {"i)", "!syntax error at \")\""},
    {"coalesce()", "!coalesce does not take 0 operands"},
    {"nullif(i)", "!nullif does not take 1 operands"},
    {"coalesce(i, t)", "!coalesce does not take int4, text"},
    {"CASE WHEN i THEN 1 END", "!CASE does not take int4, int4"},
    {"case", "!it ends too early"},
    {"select", "!no column \"select\""},
    {"i IS 1", "!syntax error at \"1\""},
    {"i IS UNKNOWN", "!IS UNKNOWN does not take int4"},
    {"z + 1", "!+ does not take timestamptz, int4"},
    {"70000::int2", "!smallint out of range"},
    {"E'\\q'", "!an escape that is not known"},
};

static void check_row(const char *text, const char *wanted)
{
    struct base_arena arena = {0};
    struct row_expr *expr;
    struct row_expr *again;
    struct base_buf bytes = {0};
    struct base_buf other = {0};
    struct base_buf print = {0};
    char got[256];
    size_t at;
    int rc;

    base_err_clear(&test_err);
    rc = compile(text, &arena, &expr, &at);
    if (wanted[0] == '!') {
        cr_assert_neq(rc, 0, "%s: compiles", text);
        cr_assert_str_eq(test_err.text, wanted + 1, "%s: %s", text, test_err.text);
        expect(at <= strlen(text) && expr == NULL);
        base_arena_free(&arena);
        return;
    }
    cr_assert_eq(rc, 0, "%s: %s", text, test_err.text);
    evaluate(expr, &arena, got, sizeof(got));
    cr_assert_str_eq(got, wanted, "%s: gives %s, not %s", text, got, wanted);
    /* Bytes give the same, and so does its print, down to the bytes. */
    expect(row_expr_encode(expr, &bytes));
    must(row_expr_decode(base_buf_slice(&bytes), &arena, &again, &test_err));
    evaluate(again, &arena, got, sizeof(got));
    cr_assert_str_eq(got, wanted, "%s: decoded it gives %s", text, got);
    expect(row_expr_print(again, name_of, NULL, &print) && base_buf_add_u8(&print, 0));
    base_err_clear(&test_err);
    rc = compile((const char *)print.data, &arena, &again, NULL);
    cr_assert_eq(rc, 0, "%s, printed as %s: %s", text, (const char *)print.data, test_err.text);
    expect(row_expr_encode(again, &other) && row_expr_same(expr, again));
    cr_assert(base_slice_eq(base_buf_slice(&bytes), base_buf_slice(&other)),
              "%s, printed as %s, is another one", text, (const char *)print.data);
    base_buf_free(&bytes);
    base_buf_free(&other);
    base_buf_free(&print);
    base_arena_free(&arena);
}

/* Two expressions are the same where their bytes are, and only there. */
Test(row_expr, same_as_their_bytes)
{
    struct base_arena arena = {0};
    struct row_expr *exprs[BASE_ARRAY_LEN(table)];
    struct base_buf bytes[BASE_ARRAY_LEN(table)];
    size_t count = 0, same = 0;

    for (size_t i = 0; i < BASE_ARRAY_LEN(table); i++) {
        if (compile(table[i].text, &arena, &exprs[count], NULL) == 0) {
            bytes[count] = (struct base_buf){0};
            expect(row_expr_encode(exprs[count], &bytes[count]));
            count++;
        }
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            bool wanted = base_slice_eq(base_buf_slice(&bytes[i]), base_buf_slice(&bytes[k]));
            cr_assert_eq(row_expr_same(exprs[i], exprs[k]), wanted, "%zu, %zu", i, k);
            same += wanted;
        }
    }
    cr_assert(same >= count && same < count * 2);
    for (size_t i = 0; i < count; i++) {
        base_buf_free(&bytes[i]);
    }
    base_arena_free(&arena);
}

/* Each text gives what PostgreSQL 15 gives, also after it went through bytes and print. */
Test(row_expr, every_operation)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(table); i++) {
        check_row(table[i].text, table[i].wanted);
    }
}

/* The place of a mistake is the byte where it is. */
Test(row_expr, places_of_mistakes)
{
    static const struct {
        const char *text;
        size_t at;
    } cases[] = {{"i > 1 AND nosuch = 2", 10},
                 {"i > 1 AND t + 1 = 2", 12},
                 {"i = pow(1)", 4},
                 {"i = 1)", 5},
                 {"t = 'x' AND length(i) = 1", 12}};
    struct base_arena arena = {0};
    struct row_expr *expr;
    size_t at;

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        expect(compile(cases[i].text, &arena, &expr, &at) != 0);
        cr_assert_eq(at, cases[i].at, "%s: at %zu", cases[i].text, at);
    }
    base_arena_free(&arena);
}

/* `open` n times, "i = 1", `close` n times. */
static int compile_nested(const char *open, const char *close, size_t n)
{
    struct base_arena arena = {0};
    struct base_buf text = {0};
    struct row_expr *expr;

    for (size_t i = 0; i < n; i++) {
        base_buf_add(&text, open, strlen(open));
    }
    base_buf_add(&text, "b", 1);
    for (size_t i = 0; i < n; i++) {
        base_buf_add(&text, close, strlen(close));
    }
    base_err_clear(&test_err);
    int rc = row_expr_compile(base_buf_slice(&text), &any, &arena, &expr, NULL, &test_err);
    base_buf_free(&text);
    base_arena_free(&arena);
    return rc;
}

/* Depth and size have limits, which are met, and a list of ANDs is not deep. */
Test(row_expr, limits)
{
    must(compile_nested("NOT ", "", 99));
    must_fail(compile_nested("NOT ", "", 100), INSTAR_ELIMIT);
    must(compile_nested("(", ")", 90));
    must_fail(compile_nested("(", ")", 100000 / 4), INSTAR_ELIMIT);
    must(compile_nested("b AND ", "", 998));
    must_fail(compile_nested("b AND ", "", 1000), INSTAR_ELIMIT);
    must(compile_nested("b AND (", ")", 90));
}

/* Work is bounded: a pattern that must try every place gives up. */
Test(row_expr, work_is_bounded)
{
    static char text[20000];
    static char pattern[8000];
    struct base_arena arena = {0};
    struct row_expr *expr;
    instar_value value;

    memset(text, 'a', sizeof(text));
    memset(pattern, 'a', sizeof(pattern));
    pattern[0] = '%';
    pattern[sizeof(pattern) - 1] = 'b';
    instar_value inputs[2] = {{.type = INSTAR_TEXT, .bytes = {text, sizeof(text)}},
                              {.type = INSTAR_TEXT, .bytes = {pattern, sizeof(pattern)}}};
    must(compile("t LIKE nt", &arena, &expr, NULL));
    must_fail(row_expr_eval(expr, inputs, &arena, &value, &test_err), INSTAR_ELIMIT);
    expect(value.type == INSTAR_NULL);
    base_arena_free(&arena);
}

/* Every cut and every changed byte of an expression is refused or is another expression, which then
 * can be evaluated. */
Test(row_expr, bytes_are_not_trusted)
{
    struct base_arena arena = {0};
    struct row_expr *expr;
    struct base_buf bytes = {0};
    char got[256];
    size_t accepted = 0;

    must(compile("CASE WHEN i IN (1, 2) THEN substr(t, s, 2) || 'x' ELSE coalesce(nt, f::text) END",
                 &arena, &expr, NULL));
    expect(row_expr_encode(expr, &bytes));
    for (size_t size = 0; size < bytes.size; size++) {
        must_fail(row_expr_decode(base_slice(bytes.data, size), &arena, &expr, &test_err),
                  INSTAR_ECORRUPT);
    }
    for (size_t i = 0; i < bytes.size * 256; i++) {
        uint8_t kept = bytes.data[i / 256];
        bytes.data[i / 256] = (uint8_t)i;
        int rc = row_expr_decode(base_buf_slice(&bytes), &arena, &expr, NULL);
        expect(rc == 0 || rc == INSTAR_ECORRUPT);
        const struct row_expr_column *used;
        size_t count = rc == 0 ? row_expr_columns(expr, &used) : 0;
        bool known = rc == 0;
        for (size_t c = 0; c < count; c++) {
            known = known && used[c].id < BASE_ARRAY_LEN(columns) && /* less the end */
                    columns[used[c].id - 1].type == used[c].type;
        }
        if (known) {
            evaluate(expr, &arena, got, sizeof(got));
            accepted++;
        }
        bytes.data[i / 256] = kept;
    }
    expect(accepted > bytes.size);
    base_buf_free(&bytes);
    base_arena_free(&arena);
}

/* A value that is wanted as a number is cast; a condition must be one. */
Test(row_expr, wanted_type)
{
    struct row_expr_scope scope = {
        .wanted = INSTAR_INT2, .find = test_column_find, .arg = (void *)columns};
    struct base_arena arena = {0};
    struct row_expr *expr;

    must(row_expr_compile(base_slice("1 + 2", 5), &scope, &arena, &expr, NULL, &test_err));
    expect(row_expr_type(expr) == INSTAR_INT2);
    scope.wanted = INSTAR_BOOL;
    must_fail(row_expr_compile(base_slice("1 + 2", 5), &scope, &arena, &expr, NULL, &test_err),
              INSTAR_ETYPE);
    cr_assert_str_eq(test_err.text, "it gives int4, where bool is needed");
    base_arena_free(&arena);
}

/* The list of functions has an end, and each is known. */
Test(row_expr, functions_are_listed)
{
    size_t count = 0;

    while (row_expr_function(count) != NULL) {
        count++;
    }
    expect_u64(count, 13);
    cr_assert_str_eq(row_expr_function(0), "coalesce");
}
