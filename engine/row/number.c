/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as text, whatever locale the program has set: a comma of its own would make a store's
 * dump unreadable elsewhere.
 */
#define _GNU_SOURCE /* strtod_l */
#include "row/row_impl.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int row_integer_parse(enum instar_type type, const char *text, size_t size, int64_t *i_out,
                      struct base_err *err)
{
    size_t at = size != 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    bool negative = at == 1 && text[0] == '-';
    bool overflow = false;
    int64_t v = 0;
    if (at == size) {
        return base_err_set(err, INSTAR_ETYPE, "not an integer");
    }
    for (; at < size; at++) {
        if (text[at] < '0' || text[at] > '9') {
            return base_err_set(err, INSTAR_ETYPE, "not an integer");
        }
        int digit = negative ? '0' - text[at] : text[at] - '0';
        overflow =
            overflow || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v);
    }
    if (overflow || !row_integer_in_range(type, v)) {
        return base_err_set(err, INSTAR_ERANGE, "out of range for %s", row_type_name(type));
    }
    *i_out = v;
    return 0;
}

/* ---- float8 ------------------------------------------------------------------------------- */

/* Enough for every digit of every double; what is longer was not written by a program. */
#define FLOAT_TEXT_MAX 1100

static bool equals_fold(const char *text, size_t size, const char *word)
{
    size_t i = 0;
    for (; i < size && word[i] != 0; i++) {
        char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
        if (c != word[i]) {
            return false;
        }
    }
    return i == size && word[i] == 0;
}

static size_t count_digits(const char *text, size_t size, size_t at, bool *nonzero)
{
    size_t n = 0;
    while (at + n < size && text[at + n] >= '0' && text[at + n] <= '9') {
        *nonzero = *nonzero || text[at + n] != '0';
        n++;
    }
    return n;
}

/* Decimal digits, one point at most, an exponent: strtod alone would take hexadecimal too. */
static bool is_decimal(const char *text, size_t size, bool *nonzero)
{
    size_t at = 0;
    bool ignored = false;
    size_t digits = count_digits(text, size, at, nonzero);
    at += digits;
    if (at < size && text[at] == '.') {
        size_t more = count_digits(text, size, at + 1, nonzero);
        digits += more;
        at += 1 + more;
    }
    if (digits != 0 && at < size && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < size && (text[at] == '+' || text[at] == '-') ? 1 : 0;
        size_t exponent = count_digits(text, size, at, &ignored);
        at += exponent;
        digits = exponent != 0 ? digits : 0;
    }
    return digits != 0 && at == size;
}

bool row_is_decimal(const char *text, size_t size)
{
    bool ignored = false;
    return is_decimal(text, size, &ignored);
}

/* strtod of the C locale; glibc hands that one out without making anything. */
static double to_double(const char *text)
{
    return strtod_l(text, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

int row_float_parse(const char *text, size_t size, double *f_out, struct base_err *err)
{
    char copy[FLOAT_TEXT_MAX + 1];
    size_t sign = size != 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    bool nonzero = false;
    if (size > FLOAT_TEXT_MAX) {
        return base_err_set(err, INSTAR_ETYPE, "too long for a number: over %d bytes",
                            FLOAT_TEXT_MAX);
    }
    if (equals_fold(text + sign, size - sign, "nan")) {
        *f_out = (double)NAN;
        return 0;
    }
    if (equals_fold(text + sign, size - sign, "infinity") ||
        equals_fold(text + sign, size - sign, "inf")) {
        *f_out = text[0] == '-' ? -(double)INFINITY : (double)INFINITY;
        return 0;
    }
    if (!is_decimal(text + sign, size - sign, &nonzero)) {
        return base_err_set(err, INSTAR_ETYPE, "not a number");
    }
    memcpy(copy, text, size);
    copy[size] = 0;
    double f = to_double(copy);
    if (isinf(f) || (f == 0 && nonzero)) {
        return base_err_set(err, INSTAR_ERANGE, "out of range for float8");
    }
    *f_out = f;
    return 0;
}

/* Does the text lie just between f and its neighbour? Then it reads back as f only where ties go to
 * the even one; PostgreSQL does not rely on that, and takes one more digit. */
static bool is_tie(const char *text, double f)
{
    long double exact = strtold_l(text, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
    uint64_t bits;
    double other;
    memcpy(&bits, &f, sizeof(bits));
    bits = exact > (long double)f ? bits + 1 : bits - 1; /* f is greater than zero */
    memcpy(&other, &bits, sizeof(other));
    return exact != (long double)f && fabsl(exact - (long double)f) == fabsl(other - exact);
}

/* Digits without a point, and the exponent of the first: the fewest digits that read back as f. 15
 * give back every number that was written with so many or fewer; below the normal range, where
 * doubles have fewer bits, all lengths are tried. */
static int shortest_digits(double f, char digits[20], int *exponent_out)
{
    char text[40];
    int n = 0;
    for (int precision = fabs(f) < 2.2250738585072014e-308 ? 1 : 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision - 1, f);
        char *e = strchr(text, 'e');
        n = 0;
        for (const char *p = text; p < e; p++) {
            if (*p >= '0' && *p <= '9') {
                digits[n++] = *p; /* whatever stands there as the point is left out */
            }
        }
        *exponent_out = (int)strtol(e + 1, NULL, 10);
        snprintf(text, sizeof(text), "%.*se%d", n, digits, *exponent_out - (n - 1));
        if (to_double(text) == f && !is_tie(text, f)) {
            break;
        }
    }
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    return n;
}

int row_float_format(double f, char *text)
{
    char digits[20];
    int exponent;
    if (isnan(f)) {
        return snprintf(text, ROW_FLOAT_TEXT_MAX, "NaN");
    }
    const char *sign = signbit(f) ? "-" : "";
    if (isinf(f)) {
        return snprintf(text, ROW_FLOAT_TEXT_MAX, "%sInfinity", sign);
    }
    int n = shortest_digits(fabs(f), digits, &exponent);
    if (exponent < -4 || exponent >= 15) {
        return snprintf(text, ROW_FLOAT_TEXT_MAX, "%s%c%s%.*se%+03d", sign, digits[0],
                        n > 1 ? "." : "", n - 1, digits + 1, exponent);
    }
    if (exponent < 0) {
        return snprintf(text, ROW_FLOAT_TEXT_MAX, "%s0.%.*s%.*s", sign, -exponent - 1, "000", n,
                        digits);
    }
    if (n <= exponent + 1) {
        return snprintf(text, ROW_FLOAT_TEXT_MAX, "%s%.*s%.*s", sign, n, digits, exponent + 1 - n,
                        "00000000000000");
    }
    return snprintf(text, ROW_FLOAT_TEXT_MAX, "%s%.*s.%.*s", sign, exponent + 1, digits,
                    n - exponent - 1, digits + exponent + 1);
}

int row_float_digits15(double f, char *text)
{
    char point[40];
    char digits[20];
    size_t n = 0;
    if (isnan(f) || isinf(f)) {
        return row_float_format(f, text);
    }
    snprintf(point, sizeof(point), "%.14e", fabs(f));
    const char *e = strchr(point, 'e');
    for (const char *p = point; p < e; p++) {
        if (*p >= '0' && *p <= '9') {
            digits[n++] = *p; /* whatever stands there as the point is left out */
        }
    }
    int exponent = (int)strtol(e + 1, NULL, 10) - (int)(n - 1);
    while (n > 1 && digits[n - 1] == '0') {
        n--;
        exponent++;
    }
    return snprintf(text, ROW_FLOAT_TEXT_MAX, "%s%.*se%d", signbit(f) ? "-" : "", (int)n, digits,
                    f != 0 ? exponent : 0);
}
