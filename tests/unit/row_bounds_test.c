/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds of columns: which conditions are no more than that, and which rows are told to be within.
 */
#include "support/values.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS 12

static const struct base_slice a_key = {"key", 3};

/* ---- conditions --------------------------------------------------------------------------- */

static const struct test_column columns[] = {
    {"s", INSTAR_INT2, NULL}, {"i", INSTAR_INT4, NULL},        {"l", INSTAR_INT8, NULL},
    {"d", INSTAR_DATE, NULL}, {"z", INSTAR_TIMESTAMPTZ, NULL}, {"c", INSTAR_TIME, NULL},
    {"t", INSTAR_TEXT, NULL}, {"n", INSTAR_NUMERIC, NULL},     {"f", INSTAR_FLOAT8, NULL},
    {"b", INSTAR_BOOL, NULL}, {NULL, INSTAR_NULL, NULL}};

static struct row_expr *compile(const char *text, struct base_arena *arena)
{
    static const struct row_expr_scope scope = {
        .wanted = INSTAR_BOOL, .find = test_column_find, .arg = (void *)columns};
    struct row_expr *expr;
    size_t at;
    must(row_expr_compile(base_slice(text, strlen(text)), &scope, arena, &expr, &at, &test_err));
    return expr;
}

/* "0:-5..9 1:": of the first input from -5 to 9, of the second any value. */
static void bounds_text(const char *text, char *out, size_t size)
{
    struct base_arena arena = {0};
    struct row_bound bounds[4];
    size_t count;
    size_t used = 0;
    bool whole = row_expr_bounds(compile(text, &arena), bounds, BASE_ARRAY_LEN(bounds), &count);
    out[0] = 0;
    for (size_t i = 0; whole && i < count; i++) {
        const struct row_bound *b = &bounds[i];
        used += (size_t)snprintf(out + used, size - used, "%s%u:", i > 0 ? " " : "", b->position);
        if (b->ranged) {
            used += (size_t)snprintf(out + used, size - used, "%lld..%lld", (long long)b->low,
                                     (long long)b->high);
        }
    }
    if (!whole) {
        snprintf(out, size, "no");
    }
    base_arena_free(&arena);
}

#define LEAST "-9223372036854775808"
#define MOST "9223372036854775807"

/* Comparisons of columns with constants are bounds, anything else is not. */
Test(row_bounds, of_conditions)
{
    static const struct {
        const char *text, *bounds;
    } cases[] = {
        {"i >= 0", "0:0.." MOST},
        {"i > -5", "0:-4.." MOST},
        {"i < 5", "0:" LEAST "..4"},
        {"i <= 5", "0:" LEAST "..5"},
        {"l = 7", "0:7..7"},
        {"0 <= i", "0:0.." MOST},
        {"0 < i", "0:1.." MOST},
        {"9 >= s", "0:" LEAST "..9"},
        {"9 > s", "0:" LEAST "..8"},
        {"i between 3 and 8", "0:3..8"},
        {"i between 8 and 3", "0:8..3"},
        {"i >= 0 and l < 9 and i <= 7", "0:0.." MOST " 1:" LEAST "..8 0:" LEAST "..7"},
        {"(i >= 0 and t is not null) and l = 1", "0:0.." MOST " 1: 2:1..1"},
        {"t is not null", "0:"},
        {"d >= '1970-01-03'", "0:2.." MOST},
        {"z < '1970-01-01 00:00:01+00'", "0:" LEAST "..999999"},
        {"c > '00:00:01'", "0:1000001.." MOST},
        {"l < " LEAST, "no"},
        {"l > " MOST, "no"},
        {"i <> 5", "no"},
        {"i not between 3 and 8", "no"},
        {"i >= 0 or l >= 0", "no"},
        {"not i >= 0", "no"},
        {"i >= 0 and t = 'a'", "no"},
        {"i >= l", "no"},
        {"i + 1 >= 0", "no"},
        {"i between l and 8", "no"},
        {"i between 3 and l", "no"},
        {"i >= 1.5", "no"},
        {"n >= 1", "no"},
        {"f >= 1", "no"},
        {"i is null", "no"},
        {"(i + 1) is not null", "no"},
        {"i in (1, 2)", "no"},
        {"b", "no"},
        {"i = 1 and i = 2 and i = 3 and i = 4 and i = 5", "no"}, /* more than there is room for */
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        char text[200];
        bounds_text(cases[i].text, text, sizeof(text));
        cr_expect_str_eq(text, cases[i].bounds, "%s: %s", cases[i].text, text);
    }
}

/* Near its bounds a value is within them exactly where the condition is true. */
Test(row_bounds, say_what_the_condition_says)
{
    static const char *const texts[] = {"l > 3",
                                        "l >= 3",
                                        "l < 3",
                                        "l <= 3",
                                        "l = 3",
                                        "3 < l",
                                        "3 <= l",
                                        "3 > l",
                                        "3 >= l",
                                        "3 = l",
                                        "l between 1 and 4",
                                        "l between 4 and 1",
                                        "l > 0 and l < 5 and l >= 2"};
    struct base_arena arena = {0};
    for (size_t t = 0; t < BASE_ARRAY_LEN(texts); t++) {
        struct row_expr *expr = compile(texts[t], &arena);
        struct row_bound bounds[4];
        size_t count;
        expect(row_expr_bounds(expr, bounds, BASE_ARRAY_LEN(bounds), &count));
        for (int64_t i = -2; i < 8; i++) {
            instar_value input = {.type = INSTAR_INT8, .i = i};
            instar_value truth;
            bool within = true;
            must(row_expr_eval(expr, &input, &arena, &truth, &test_err));
            for (size_t b = 0; b < count; b++) {
                within = within && i >= bounds[b].low && i <= bounds[b].high;
            }
            cr_expect_eq(within, truth.b, "%s of %lld", texts[t], (long long)i);
        }
    }
    base_arena_free(&arena);
}

/* ---- rows --------------------------------------------------------------------------------- */

static bool within(const struct row_layout *layout, struct base_slice record,
                   const struct row_bound *bounds, size_t count)
{
    struct row_header header;
    return row_header(record, &header, NULL) == 0 &&
           row_within(layout, &header, a_key, record, bounds, count);
}

static bool is_integer(enum instar_type type)
{
    return (type >= INSTAR_INT2 && type <= INSTAR_INT8) || type == INSTAR_TIMESTAMPTZ ||
           type == INSTAR_DATE || type == INSTAR_TIME;
}

/* Some bounds of a row, most of which hold. False: one does not. */
static bool choose(struct test_random *r, const struct row_layout *layout,
                   const instar_value *values, struct row_bound *bounds, size_t *count_out)
{
    bool hold = true;
    size_t count = 0;
    for (uint32_t i = 0; i < layout->column_count; i++) {
        const instar_value *v = &values[i];
        if (test_random_chance(r, 50)) {
            continue;
        }
        struct row_bound *b = &bounds[count++];
        *b = (struct row_bound){i, is_integer(layout->columns[i].type), INT64_MIN, INT64_MAX};
        hold = hold && v->type != INSTAR_NULL;
        if (b->ranged && v->type != INSTAR_NULL) {
            bool low = test_random_chance(r, 30) && v->i < INT64_MAX;
            bool high = !low && test_random_chance(r, 30) && v->i > INT64_MIN;
            b->low = low ? v->i + 1 : v->i;
            b->high = high ? v->i - 1 : v->i;
            hold = hold && !low && !high;
        }
    }
    *count_out = count;
    return hold;
}

/* Whether each column can be passed over without being decoded. */
static bool is_plain(const struct row_layout *layout, const instar_value *values)
{
    bool plain = true;
    for (uint32_t i = 0; i < layout->column_count; i++) {
        enum instar_type type = layout->columns[i].type;
        bool bytes = type == INSTAR_TEXT || type == INSTAR_BYTEA;
        plain = plain && (values[i].type == INSTAR_NULL ||
                          (type != INSTAR_NUMERIC && (!bytes || values[i].bytes.size < 0x80)));
    }
    return plain;
}

/* A row is told to be within bounds only if it is; and if nothing in front of them is unusual, then
 * always. */
Test(row_bounds, of_rows)
{
    struct test_random r = test_random(3);
    struct base_arena arena = {0};
    struct base_buf b = {0};
    unsigned told = 0;
    unsigned refused = 0;
    for (int round = 0; round < 20000; round++) {
        struct row_layout layout =
            test_random_layout(&r, 1 + (uint32_t)test_random_below(&r, COLUMNS), &arena);
        instar_value *values = test_random_row(&r, &layout, 3, 200, &arena);
        struct row_bound bounds[COLUMNS];
        size_t count;
        base_buf_clear(&b);
        must(row_encode(&layout, 1, a_key, values, &b, &test_err));
        bool hold = choose(&r, &layout, values, bounds, &count);
        bool is = within(&layout, base_buf_slice(&b), bounds, count);
        expect(!is || hold);
        expect(is || !hold || !is_plain(&layout, values));
        told += is;
        refused += !hold && !is;
        base_arena_reset(&arena);
    }
    expect(told > 1000 && refused > 1000);
    base_buf_free(&b);
    base_arena_free(&arena);
}

/* Lengths of a body that its checksum covers are not believed. */
Test(row_bounds, of_a_body_that_is_cut)
{
    static const struct row_column of[] = {{.id = 1, .type = INSTAR_INT8},
                                           {.id = 2, .type = INSTAR_TEXT},
                                           {.id = 3, .type = INSTAR_INT8}};
    static const struct row_layout layout = {1, 3, of};
    const struct row_bound bound = {2, true, INT64_MIN, INT64_MAX};
    const uint8_t whole[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 'a', 'b', 5, 0, 0, 0, 0, 0, 0, 0};
    for (size_t size = 0; size <= sizeof(whole); size++) {
        uint8_t *record = base_alloc(6 + size);
        uint64_t seed = base_hash64(a_key.data, a_key.size, 1 << 8 | ROW_PLAIN);
        uint32_t sum = base_hash32(whole, size, seed);
        record[0] = ROW_PLAIN;
        record[1] = 1;
        memcpy(record + 2, &sum, 4);
        memcpy(record + 6, whole, size);
        expect(within(&layout, base_slice(record, 6 + size), &bound, 1) == (size == sizeof(whole)));
        base_free(record);
    }
}
