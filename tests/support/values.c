/* SPDX-License-Identifier: Apache-2.0 */
#include "support/values.h"

#include <math.h>
#include <string.h>

enum instar_type test_random_type(struct test_random *r)
{
    return (enum instar_type)(1 + test_random_below(r, INSTAR_TYPE_COUNT - 1));
}

static int64_t random_integer(struct test_random *r, int64_t least, int64_t most)
{
    uint64_t span = (uint64_t)most - (uint64_t)least;
    int64_t near[] = {least, most, 0, -1, 95, 96, -96, -97, 255, 256, -256, -257};
    int64_t v = 0;
    switch (test_random_below(r, 4)) {
    case 0:
        v = near[test_random_below(r, BASE_ARRAY_LEN(near))];
        break;
    case 1: /* any number of bytes */
        v = (int64_t)(test_random_next(r) >> test_random_below(r, 64));
        v = test_random_chance(r, 50) ? v : (int64_t)(0 - (uint64_t)v);
        break;
    case 2:
        v = (int64_t)test_random_below(r, 20) - 10;
        break;
    default:
        v = (int64_t)((uint64_t)least +
                      (span == UINT64_MAX ? test_random_next(r) : test_random_below(r, span + 1)));
        break;
    }
    return v < least ? least : v > most ? most : v;
}

static double random_double(struct test_random *r)
{
    static const double special[] = {0.0,    -0.0,     1.0,     -1.0,     (double)INFINITY,
                                     1e-320, -1e-320,  1.7e308, -1.7e308, -(double)INFINITY,
                                     0.1,    123456.75};
    uint64_t bits = test_random_next(r);
    double f;
    if (test_random_chance(r, 40)) {
        return special[test_random_below(r, BASE_ARRAY_LEN(special))];
    }
    if (test_random_chance(r, 10)) {
        bits |= UINT64_C(0x7ff8000000000000); /* one of the many NaN */
    }
    memcpy(&f, &bits, 8);
    return f;
}

/* Few different bytes, zeros among them, so that prefixes and equal strings are common. */
static instar_value random_bytes(struct test_random *r, enum instar_type type, size_t bytes_max,
                                 struct base_arena *arena)
{
    static const char text[] = "\0ab\x01\x7f";
    static const char bytes[] = "\0\x01\xff\xfe"
                                "a";
    size_t limit = test_random_chance(r, 80) && bytes_max > 6 ? 6 : bytes_max;
    size_t size = test_random_below(r, limit + 1);
    uint8_t *p = base_arena_alloc(arena, size + 1);
    for (size_t i = 0; i < size; i++) {
        size_t pick = test_random_below(r, 5);
        p[i] = (uint8_t)(type == INSTAR_TEXT ? text[pick] : bytes[pick]);
    }
    instar_value v = {.type = (uint8_t)type};
    v.bytes.data = p;
    v.bytes.size = size;
    return v;
}

/* Digits and a point by text, so that nothing here knows how they are held: often few of them, so
 * that values meet that are equal in another scale. */
static instar_value random_numeric(struct test_random *r)
{
    char text[INSTAR_DIGITS_MAX + 3];
    size_t digits = 1 + test_random_below(r, test_random_chance(r, 50) ? 3 : INSTAR_DIGITS_MAX);
    size_t point = test_random_below(r, digits + 1);
    size_t n = 0;
    instar_value v;
    if (test_random_chance(r, 50)) {
        text[n++] = '-';
    }
    for (size_t i = 0; i < digits; i++) {
        if (i == point) {
            text[n++] = '.';
        }
        text[n++] = test_random_chance(r, 40) ? '0' : (char)('0' + test_random_below(r, 10));
    }
    int rc = instar_value_parse(INSTAR_NUMERIC, text, n, NULL, 0, &v);
    base_assert(rc == 0);
    return v;
}

instar_value test_random_value(struct test_random *r, enum instar_type type, size_t bytes_max,
                               struct base_arena *arena)
{
    instar_value v = {.type = (uint8_t)type};
    switch (type) {
    case INSTAR_BOOL:
        v.b = test_random_chance(r, 50);
        break;
    case INSTAR_INT2:
        v.i = random_integer(r, INT16_MIN, INT16_MAX);
        break;
    case INSTAR_INT4:
        v.i = random_integer(r, INT32_MIN, INT32_MAX);
        break;
    case INSTAR_INT8:
        v.i = random_integer(r, INT64_MIN, INT64_MAX);
        break;
    case INSTAR_TIMESTAMPTZ: /* from noon of the first day that there is */
        v.i = random_integer(r, INT64_C(-210866803200000000), INT64_MAX);
        break;
    case INSTAR_TIME:
        v.i = random_integer(r, 0, INT64_C(86400000000));
        break;
    case INSTAR_DATE:
        v.i = random_integer(r, -2440588, 106762939);
        break;
    case INSTAR_FLOAT8:
        v.f = random_double(r);
        break;
    case INSTAR_UUID:
        test_random_fill(r, v.uuid, sizeof(v.uuid));
        memset(v.uuid, test_random_chance(r, 50) ? 0xff : 0, test_random_below(r, 17));
        break;
    case INSTAR_NUMERIC:
        return random_numeric(r);
    case INSTAR_TEXT:
    case INSTAR_BYTEA:
        return random_bytes(r, type, bytes_max, arena);
    case INSTAR_NULL:
        break;
    }
    return v;
}

bool test_value_same(const instar_value *a, const instar_value *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case INSTAR_NULL:
        return true;
    case INSTAR_BOOL:
        return a->b == b->b;
    case INSTAR_TEXT:
    case INSTAR_BYTEA:
        return base_slice_eq(base_slice(a->bytes.data, a->bytes.size),
                             base_slice(b->bytes.data, b->bytes.size));
    case INSTAR_FLOAT8:
        return memcmp(&a->f, &b->f, sizeof(a->f)) == 0;
    case INSTAR_UUID:
        return memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0;
    case INSTAR_NUMERIC:
        return a->scale == b->scale && memcmp(&a->numeric, &b->numeric, sizeof(a->numeric)) == 0;
    default:
        return a->i == b->i;
    }
}

struct row_layout test_random_layout(struct test_random *r, uint32_t columns,
                                     struct base_arena *arena)
{
    struct row_column *c = base_arena_alloc(arena, sizeof(*c) * (columns + 1));
    uint32_t id = 0;
    for (uint32_t i = 0; i < columns; i++) {
        id += 1 + (uint32_t)test_random_below(r, 3);
        c[i] = (struct row_column){.id = id, .type = test_random_type(r)};
    }
    return (struct row_layout){.number = 1, .column_count = columns, .columns = c};
}

instar_value *test_random_row(struct test_random *r, const struct row_layout *layout,
                              unsigned null_percent, size_t bytes_max, struct base_arena *arena)
{
    instar_value *values = base_arena_alloc(arena, sizeof(*values) * (layout->column_count + 1));
    for (uint32_t i = 0; i < layout->column_count; i++) {
        values[i] = test_random_chance(r, null_percent)
                        ? (instar_value){0}
                        : test_random_value(r, layout->columns[i].type, bytes_max, arena);
    }
    return values;
}

bool test_column_find(void *arg, const char *name, struct row_expr_column *column_out,
                      struct base_err *err)
{
    const struct test_column *columns = arg;
    (void)err;
    for (uint32_t i = 0; columns[i].name != NULL; i++) {
        if (strcmp(columns[i].name, name) == 0) {
            *column_out = (struct row_expr_column){i + 1, columns[i].type};
            return true;
        }
    }
    return false;
}
