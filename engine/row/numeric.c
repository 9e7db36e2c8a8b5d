/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numeric: exact decimals. A value is a whole number of at most 38 digits and a scale, which says
 * how many of them stand behind the point: so 128 bits hold it, and no binary fraction ever comes
 * near it. Two values are equal when their quantities are: 1.5 and 1.50 are, and have one key; the
 * scale is how they are written. A column numeric(p,s) gives each of its values the scale s.
 *
 * PostgreSQL's numeric is longer, and its results are those here as far as 38 digits hold them;
 * what they do not hold is an error and never a nearby value. There is no minus zero, NaN, or
 * infinity.
 */
#include "row/row_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define P19 ((row_u128)UINT64_C(10000000000000000000))

const row_u128 row_power10[INSTAR_DIGITS_MAX + 1] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
    P19,
    P19 * 10,
    P19 * 100,
    P19 * 1000,
    P19 * 10000,
    P19 * 100000,
    P19 * 1000000,
    P19 * 10000000,
    P19 * 100000000,
    P19 * 1000000000,
    P19 *UINT64_C(10000000000),
    P19 *UINT64_C(100000000000),
    P19 *UINT64_C(1000000000000),
    P19 *UINT64_C(10000000000000),
    P19 *UINT64_C(100000000000000),
    P19 *UINT64_C(1000000000000000),
    P19 *UINT64_C(10000000000000000),
    P19 *UINT64_C(100000000000000000),
    P19 *UINT64_C(1000000000000000000),
    P19 *P19,
};
_Static_assert(INSTAR_DIGITS_MAX == 38, "the longest whole number whose ten times fit no 128 bits");

bool row_numeric_in_range(const instar_value *v)
{
    return v->scale <= INSTAR_DIGITS_MAX &&
           row_numeric_size(row_numeric_get(v)) < row_power10[INSTAR_DIGITS_MAX];
}

int row_numeric_too_long(struct base_err *err)
{
    return base_err_set(err, INSTAR_ERANGE,
                        "numeric field overflow: more than %d digits, or so many behind the point",
                        INSTAR_DIGITS_MAX);
}

/* ---- order -------------------------------------------------------------------------------- */

static int cmp_u128(row_u128 a, row_u128 b)
{
    return (a > b) - (a < b);
}

/* What stands before the point decides, and then what is behind it, brought to one scale: that is
 * less than 10^38 on both sides. */
int row_numeric_cmp(const instar_value *a, const instar_value *b)
{
    row_i128 x = row_numeric_get(a);
    row_i128 y = row_numeric_get(b);
    if ((x < 0) != (y < 0)) {
        return x < 0 ? -1 : 1;
    }
    row_u128 m = row_numeric_size(x);
    row_u128 n = row_numeric_size(y);
    int order = cmp_u128(m / row_power10[a->scale], n / row_power10[b->scale]);
    if (order == 0) {
        unsigned scale = a->scale > b->scale ? a->scale : b->scale;
        order = cmp_u128(m % row_power10[a->scale] * row_power10[scale - a->scale],
                         n % row_power10[b->scale] * row_power10[scale - b->scale]);
    }
    return x < 0 ? -order : order;
}

/* ---- scale -------------------------------------------------------------------------------- */

int row_numeric_round(instar_value *v, unsigned scale, struct base_err *err)
{
    row_i128 number = row_numeric_get(v);
    row_u128 size = row_numeric_size(number);
    base_assert(v->type == INSTAR_NUMERIC && scale <= INSTAR_DIGITS_MAX);
    if (scale >= v->scale) {
        row_u128 factor = row_power10[scale - v->scale];
        if (size > (row_power10[INSTAR_DIGITS_MAX] - 1) / factor) {
            return row_numeric_too_long(err);
        }
        size *= factor;
    } else {
        row_u128 unit = row_power10[v->scale - scale];
        row_u128 rest = size % unit;
        size = size / unit + (rest >= unit - rest ? 1 : 0);
    }
    *v = row_numeric_make(number < 0 ? -(row_i128)size : (row_i128)size, scale);
    return 0;
}

int row_numeric_fit(instar_value *value, uint32_t digits, struct base_err *err)
{
    char text[ROW_NUMERIC_TEXT_MAX];
    char type[32];
    if (value->type != INSTAR_NUMERIC) {
        return 0;
    }
    instar_value fitted = *value;
    int rc = row_numeric_round(&fitted, INSTAR_DIGITS_SCALE(digits), NULL);
    row_u128 size = row_numeric_size(row_numeric_get(&fitted));
    if (rc != 0 || size >= row_power10[INSTAR_DIGITS_PRECISION(digits)]) {
        row_numeric_format(value, text);
        row_type_format(INSTAR_NUMERIC, digits, type, sizeof(type));
        return base_err_set(err, INSTAR_ERANGE, "%s is out of range for %s", text, type);
    }
    *value = fitted;
    return 0;
}

/* ---- text --------------------------------------------------------------------------------- */

/* What a text says: its digits without leading zeros, and the power of ten of the last. */
struct decimal {
    row_u128 size;
    unsigned count; /* of digits */
    int64_t scale;
    bool too_long;
};

static void take_digits(struct decimal *d, const char *text, size_t size, size_t *at)
{
    for (; *at < size && text[*at] >= '0' && text[*at] <= '9'; (*at)++) {
        if (d->count == INSTAR_DIGITS_MAX) {
            d->too_long = true;
            continue;
        }
        d->size = d->size * 10 + (unsigned)(text[*at] - '0');
        d->count += d->size != 0 ? 1 : 0;
    }
}

/* The text is a decimal: digits, a point, an exponent. */
static struct decimal read_decimal(const char *text, size_t size)
{
    struct decimal d = {0};
    size_t at = 0;
    int64_t exponent = 0;
    take_digits(&d, text, size, &at);
    if (at < size && text[at] == '.') {
        size_t point = ++at;
        take_digits(&d, text, size, &at);
        d.scale = (int64_t)(at - point);
    }
    if (at < size) {
        at++;
        bool down = text[at] == '-';
        at += down || text[at] == '+' ? 1 : 0;
        for (; at < size; at++) { /* far beyond any limit is enough */
            exponent = exponent < 100000 ? exponent * 10 + (text[at] - '0') : exponent;
        }
        d.scale += down ? exponent : -exponent;
    }
    return d;
}

int row_numeric_parse(const char *text, size_t size, instar_value *out, struct base_err *err)
{
    static const char *const others[] = {"nan", "inf", "infinity"};
    size_t sign = size != 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    for (size_t i = 0; i < BASE_ARRAY_LEN(others); i++) {
        if (size - sign == strlen(others[i]) &&
            strncasecmp(text + sign, others[i], size - sign) == 0) {
            return base_err_set(err, INSTAR_ERANGE, "a numeric has no NaN and no Infinity here");
        }
    }
    if (!row_is_decimal(text + sign, size - sign)) {
        return base_err_set(err, INSTAR_ETYPE, "not a numeric such as -12.50");
    }
    struct decimal d = read_decimal(text + sign, size - sign);
    if (d.scale < 0 && d.size != 0 && !d.too_long) {
        d.too_long = -d.scale > INSTAR_DIGITS_MAX - (int64_t)d.count;
        d.size *= d.too_long ? 1 : row_power10[-d.scale];
    }
    d.scale = d.scale < 0 ? 0 : d.scale;
    if (d.too_long || d.scale > INSTAR_DIGITS_MAX) {
        return row_numeric_too_long(err);
    }
    row_i128 number = (row_i128)d.size;
    *out = row_numeric_make(sign != 0 && text[0] == '-' ? -number : number, (unsigned)d.scale);
    return 0;
}

int row_numeric_digits(row_u128 size, char digits[INSTAR_DIGITS_MAX + 2])
{
    uint64_t high = (uint64_t)(size / P19);
    uint64_t low = (uint64_t)(size % P19);
    if (high != 0) {
        return snprintf(digits, INSTAR_DIGITS_MAX + 2, "%" PRIu64 "%019" PRIu64, high, low);
    }
    return low != 0 ? snprintf(digits, INSTAR_DIGITS_MAX + 2, "%" PRIu64, low) : 0;
}

int row_numeric_format(const instar_value *v, char *text)
{
    char digits[INSTAR_DIGITS_MAX + 2] = "";
    row_i128 number = row_numeric_get(v);
    if (!row_numeric_in_range(v)) {
        return snprintf(text, ROW_NUMERIC_TEXT_MAX, "?");
    }
    int count = row_numeric_digits(row_numeric_size(number), digits);
    int scale = v->scale;
    int whole = count > scale ? count - scale : 0;
    int zeros = count > scale ? 0 : scale - count; /* behind the point, before the digits */
    return snprintf(text, ROW_NUMERIC_TEXT_MAX, "%s%.*s%s%s%.*s%s", number < 0 ? "-" : "", whole,
                    digits, whole == 0 ? "0" : "", scale > 0 ? "." : "", zeros,
                    "00000000000000000000000000000000000000", digits + whole);
}

/* ---- casts -------------------------------------------------------------------------------- */

instar_value row_numeric_of_integer(int64_t i)
{
    return row_numeric_make(i, 0);
}

bool row_numeric_to_integer(const instar_value *v, int64_t *i_out)
{
    instar_value whole = *v;
    *i_out = 0;
    if (row_numeric_round(&whole, 0, NULL) != 0) {
        return false;
    }
    row_i128 number = row_numeric_get(&whole);
    if (number < INT64_MIN || number > INT64_MAX) {
        return false;
    }
    *i_out = (int64_t)number;
    return true;
}

int row_numeric_of_double(double f, instar_value *out, struct base_err *err)
{
    char text[ROW_FLOAT_TEXT_MAX];
    return row_numeric_parse(text, (size_t)row_float_digits15(f, text), out, err);
}

/* By its text: the nearest double, whatever the digits. */
double row_numeric_to_double(const instar_value *v)
{
    char text[ROW_NUMERIC_TEXT_MAX];
    double f = 0;
    int rc = row_float_parse(text, (size_t)row_numeric_format(v, text), &f, NULL);
    base_assert(rc == 0);
    return f;
}
