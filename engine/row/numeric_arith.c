/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operators of numeric. Each result has the scale that PostgreSQL gives it: of + and - the
 * greater one, of * both together, of % the greater one, and of / as many digits as make 16 that
 * count (quotient_scale). All are exact but the last digit of a quotient, which is rounded half
 * away from zero. What 38 digits do not hold is refused.
 */
#include "row/row_impl.h"

#define MOST (row_power10[INSTAR_DIGITS_MAX] - 1)
/* PostgreSQL holds a number in base 10,000, and counts such digits when it picks a scale. */
#define GROUP 4
#define SIGNIFICANT 16

static instar_value signed_value(bool negative, row_u128 size, unsigned scale)
{
    return row_numeric_make(negative ? -(row_i128)size : (row_i128)size, scale);
}

static unsigned greater(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static int add(const instar_value *a, const instar_value *b, bool minus, instar_value *out,
               struct base_err *err)
{
    unsigned scale = greater(a->scale, b->scale);
    instar_value x = *a;
    instar_value y = *b;
    if (row_numeric_round(&x, scale, err) != 0 || row_numeric_round(&y, scale, err) != 0) {
        return INSTAR_ERANGE;
    }
    row_i128 p = row_numeric_get(&x);
    row_i128 q = minus ? -row_numeric_get(&y) : row_numeric_get(&y);
    if ((p < 0) == (q < 0) && row_numeric_size(p) > MOST - row_numeric_size(q)) {
        return row_numeric_too_long(err);
    }
    *out = row_numeric_make(p + q, scale);
    return 0;
}

static int multiply(const instar_value *a, const instar_value *b, instar_value *out,
                    struct base_err *err)
{
    row_i128 x = row_numeric_get(a);
    row_i128 y = row_numeric_get(b);
    row_u128 m = row_numeric_size(x);
    row_u128 n = row_numeric_size(y);
    unsigned scale = (unsigned)a->scale + b->scale;
    if (scale > INSTAR_DIGITS_MAX || (m != 0 && n > MOST / m)) {
        return row_numeric_too_long(err);
    }
    *out = signed_value((x < 0) != (y < 0), m * n, scale);
    return 0;
}

/* The first digit of base 10,000 that is not 0, and its weight: 0 is that of the one before the
 * point. Both are 0 of zero. */
static int first_group(const instar_value *v, int *weight_out)
{
    char digits[INSTAR_DIGITS_MAX + 2];
    int count = row_numeric_digits(row_numeric_size(row_numeric_get(v)), digits);
    int power = count - 1 - v->scale; /* of ten, of the first digit */
    int group = 0;
    *weight_out = 0;
    if (count == 0) {
        return 0;
    }
    *weight_out = power >= 0 ? power / GROUP : -((-power + GROUP - 1) / GROUP);
    int length = power - *weight_out * GROUP + 1; /* decimal digits of the group */
    for (int i = 0; i < length; i++) {
        group = group * 10 + (i < count ? digits[i] - '0' : 0);
    }
    return group;
}

/* So that the quotient has at least 16 digits that count, and no fewer behind the point than either
 * operand. The quotient's first digit is known but for one place without dividing. */
static unsigned quotient_scale(const instar_value *a, const instar_value *b)
{
    int weight_a;
    int weight_b;
    int first_a = first_group(a, &weight_a);
    int first_b = first_group(b, &weight_b);
    int weight = weight_a - weight_b - (first_a <= first_b ? 1 : 0);
    int scale = SIGNIFICANT - weight * GROUP;
    int least = (int)greater(a->scale, b->scale);
    return (unsigned)(scale > least ? scale : least);
}

/* Ten times the rest of a division, and the digit that it makes: in steps, for the product may have
 * more than 128 bits. */
static unsigned next_digit(row_u128 *rest, row_u128 by)
{
    row_u128 sum = 0;
    unsigned digit = 0;
    for (int i = 0; i < 10; i++) {
        sum += *rest; /* both are less than 10^38 */
        if (sum >= by) {
            sum -= by;
            digit++;
        }
    }
    *rest = sum;
    return digit;
}

static int divide(const instar_value *a, const instar_value *b, instar_value *out,
                  struct base_err *err)
{
    row_i128 x = row_numeric_get(a);
    row_i128 y = row_numeric_get(b);
    row_u128 by = row_numeric_size(y);
    unsigned scale = quotient_scale(a, b);
    row_u128 quotient = row_numeric_size(x) / by;
    row_u128 rest = row_numeric_size(x) % by;
    if (scale > INSTAR_DIGITS_MAX) {
        return row_numeric_too_long(err);
    }
    for (unsigned i = a->scale; i < scale + b->scale; i++) {
        if (quotient > MOST / 10) {
            return row_numeric_too_long(err);
        }
        quotient = quotient * 10 + next_digit(&rest, by);
    }
    quotient += rest >= by - rest ? 1 : 0;
    if (quotient > MOST) {
        return row_numeric_too_long(err);
    }
    *out = signed_value((x < 0) != (y < 0), quotient, scale);
    return 0;
}

/* The rest of a division towards zero: it has the sign of the first. */
static int modulo(const instar_value *a, const instar_value *b, instar_value *out)
{
    row_i128 x = row_numeric_get(a);
    row_u128 rest = row_numeric_size(x);
    row_u128 by = row_numeric_size(row_numeric_get(b));
    unsigned scale = greater(a->scale, b->scale);
    for (unsigned i = b->scale; i < scale && by <= rest; i++) {
        by = by > MOST / 10 ? MOST + 1 : by * 10; /* greater than any rest */
    }
    rest %= by;
    for (unsigned i = a->scale; i < scale; i++) {
        (void)next_digit(&rest, by);
    }
    *out = signed_value(x < 0, rest, scale);
    return 0;
}

int row_numeric_arith(char sign, const instar_value *a, const instar_value *b, instar_value *out,
                      struct base_err *err)
{
    base_assert(row_numeric_in_range(a) && row_numeric_in_range(b));
    switch (sign) {
    case '+':
    case '-':
        return add(a, b, sign == '-', out, err);
    case '*':
        return multiply(a, b, out, err);
    default:
        break;
    }
    if (row_numeric_get(b) == 0) {
        return base_err_set(err, INSTAR_ERANGE, "division by zero");
    }
    return sign == '/' ? divide(a, b, out, err) : modulo(a, b, out);
}
