/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numeric as bytes: the payload of a row, which keeps the scale, and the key code, which knows only
 * the quantity.
 *
 * A quantity that is not 0 is 0.d1d2… * 10^e, where d1 is not 0 and the last digit is not either:
 *
 *   0             80
 *   above         81 + (e + 37) | pairs of digits       e from -37 to 38: lead bytes 81 … cc
 *   below         the same, each byte inverted           lead bytes 7e … 33
 *
 *   a pair        2 * (10 d1 + d2) + 1, and of the last pair without the 1
 *
 * A greater e is a greater quantity, and then the digits decide; the last pair is the less one
 * where another goes on. That bit also says where the code ends, so none is a prefix of another
 * (KEY-1). An odd last digit makes a pair with 0, so 00 is never a last pair (KEY-2). Scales do not
 * show: widening a column's leaves its keys as they are.
 */
#include "row/row_impl.h"

#define LEAD_ZERO 0x80
#define EXPONENT_MIN (-37)
#define EXPONENT_MAX INSTAR_DIGITS_MAX
#define LEAD_LEAST (LEAD_ZERO + 1)
#define LEAD_MOST (LEAD_LEAST + EXPONENT_MAX - EXPONENT_MIN)
#define PAIRS_MAX (INSTAR_DIGITS_MAX / 2)

_Static_assert(LEAD_MOST<0xf0 && 0xff - LEAD_MOST> 0x10, "between both leads of null");
_Static_assert(ROW_NUMERIC_CODE_MAX == 1 + PAIRS_MAX, "a lead and all pairs");

/* ---- payload ------------------------------------------------------------------------------ */

static size_t bytes_of(row_i128 number)
{
    size_t n = 1;
    while (n < sizeof(number) && number >> (8 * n - 1) != 0 && number >> (8 * n - 1) != -1) {
        n++;
    }
    return n;
}

size_t row_numeric_payload_size(const instar_value *v)
{
    return 2 + bytes_of(row_numeric_get(v));
}

uint8_t *row_numeric_payload_put(uint8_t *at, const instar_value *v)
{
    row_i128 number = row_numeric_get(v);
    size_t n = bytes_of(number);
    at[0] = v->scale;
    at[1] = (uint8_t)n;
    memcpy(at + 2, &number, n);
    return at + 2 + n;
}

bool row_numeric_payload_get(struct base_reader *r, instar_value *v)
{
    *v = (instar_value){.type = INSTAR_NUMERIC};
    if (r->bad || r->end - r->at < 3 || r->at[1] == 0 || r->at[1] > sizeof(row_i128) ||
        r->end - r->at - 2 < r->at[1]) {
        return false;
    }
    size_t n = r->at[1];
    row_i128 number = (r->at[1 + n] & 0x80) != 0 ? -1 : 0;
    memcpy(&number, r->at + 2, n);
    *v = row_numeric_make(number, r->at[0]);
    r->at += 2 + n;
    return row_numeric_in_range(v) && bytes_of(number) == n;
}

/* ---- key code ----------------------------------------------------------------------------- */

uint8_t *row_numeric_code_put(uint8_t *at, const instar_value *v)
{
    char digits[INSTAR_DIGITS_MAX + 2];
    row_i128 number = row_numeric_get(v);
    uint8_t mask = number < 0 ? 0xff : 0;
    int count = row_numeric_digits(row_numeric_size(number), digits);
    if (count == 0) {
        *at = LEAD_ZERO;
        return at + 1;
    }
    int exponent = count - v->scale;
    while (digits[count - 1] == '0') {
        count--;
    }
    *at++ = (uint8_t)((LEAD_LEAST + exponent - EXPONENT_MIN) ^ mask);
    for (int i = 0; i < count; i += 2) {
        int pair = (digits[i] - '0') * 10 + (i + 1 < count ? digits[i + 1] - '0' : 0);
        *at++ = (uint8_t)((pair * 2 + (i + 2 < count ? 1 : 0)) ^ mask);
    }
    return at;
}

bool row_numeric_code_get(const uint8_t **at, const uint8_t *end, uint8_t lead, uint8_t mask,
                          instar_value *v)
{
    bool negative = lead < LEAD_ZERO;
    row_u128 size = 0;
    int count = 0;
    *v = row_numeric_make(0, 0);
    if (lead == LEAD_ZERO) {
        return true;
    }
    uint8_t above = negative ? (uint8_t)~lead : lead;
    mask = negative ? (uint8_t)~mask : mask;
    if (above < LEAD_LEAST || above > LEAD_MOST) {
        return false;
    }
    for (bool more = true; more; count += 2) {
        if (*at == end || count == 2 * PAIRS_MAX) {
            return false;
        }
        uint8_t byte = (uint8_t)(*(*at)++ ^ mask);
        more = (byte & 1) != 0;
        if (byte / 2 > 99 || (count == 0 && byte / 2 < 10) || (!more && byte / 2 == 0)) {
            return false;
        }
        size = size * 100 + byte / 2;
    }
    if (size % 10 == 0) {
        size /= 10;
        count--;
    }
    int scale = count - (above - LEAD_LEAST + EXPONENT_MIN);
    if (scale < 0) {
        size *= row_power10[-scale]; /* the exponent bounds its digits */
        scale = 0;
    }
    if (scale > INSTAR_DIGITS_MAX) {
        return false;
    }
    *v = row_numeric_make(negative ? -(row_i128)size : (row_i128)size, (unsigned)scale);
    return true;
}
