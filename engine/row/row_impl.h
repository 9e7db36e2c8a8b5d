/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row, inside: the payload of one value, as rows and descriptors have it, and zstd's two verbs.
 *
 *   type                payload                          bytes
 *   bool                00 or 01                         1
 *   int2 / int4 / int8  two's complement, little-endian  2 / 4 / 8
 *   float8              IEEE 754, little-endian          8
 *   text, bytea         varint size | bytes              1 …
 *   timestamptz, time   as int8                          8
 *   date                as int4                          4
 *   uuid                as written                       16
 *   numeric             scale u8 | size u8 | the number  3 … 18
 *                       without its point, two's complement, little-endian, the fewest bytes
 *   null                nothing: the null bitmap has it  0
 */
#ifndef INSTAR_ROW_IMPL_H
#define INSTAR_ROW_IMPL_H

#include "row/row.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "payloads are copied as they lie");
_Static_assert(sizeof(double) == 8 && sizeof(bool) == 1, "payload sizes");
/* The numbers of the types are part of the descriptor's format. */
_Static_assert(INSTAR_NULL == 0 && INSTAR_BOOL == 1 && INSTAR_INT2 == 2 && INSTAR_INT4 == 3 &&
                   INSTAR_INT8 == 4 && INSTAR_FLOAT8 == 5 && INSTAR_TEXT == 6 &&
                   INSTAR_BYTEA == 7 && INSTAR_TIMESTAMPTZ == 8 && INSTAR_DATE == 9 &&
                   INSTAR_UUID == 10 && INSTAR_TIME == 11 && INSTAR_NUMERIC == 12 &&
                   INSTAR_TYPE_COUNT == 13,
               "type numbers are on disk");

/* 1 January 1970 is this Julian day; day 0 is the first that PostgreSQL knows. */
#define ROW_EPOCH_JULIAN 2440588
#define ROW_DATE_MIN (-(int64_t)ROW_EPOCH_JULIAN)
#define ROW_DATE_MAX INT64_C(106762939) /* 294276-12-31 */
#define ROW_DAY_US INT64_C(86400000000)
#define ROW_TIME_MIN (ROW_DATE_MIN * ROW_DAY_US)
#define ROW_TIME_MAX INT64_MAX /* 294247-01-10 04:00:54.775807 */

/* Sizes of fixed payloads; 0 for text, bytea and numeric. */
extern const uint8_t row_fixed_size[INSTAR_TYPE_COUNT];

static inline bool row_type_is_column(unsigned type)
{
    return type > INSTAR_NULL && type < INSTAR_TYPE_COUNT;
}
static inline bool row_type_is_bytes(unsigned type)
{
    return type == INSTAR_TEXT || type == INSTAR_BYTEA;
}
/* The types whose value is .i. */
static inline bool row_type_is_integer(unsigned type)
{
    return (type >= INSTAR_INT2 && type <= INSTAR_INT8) || type == INSTAR_TIMESTAMPTZ ||
           type == INSTAR_DATE || type == INSTAR_TIME;
}
/* Of their payloads, 2, 4 or 8 bytes. */
static inline int64_t row_integer_at(const uint8_t *p, size_t size)
{
    int16_t i2;
    int32_t i4;
    int64_t i8;
    switch (size) {
    case 2:
        memcpy(&i2, p, 2);
        return i2;
    case 4:
        memcpy(&i4, p, 4);
        return i4;
    default:
        memcpy(&i8, p, 8);
        return i8;
    }
}
/* Is .i inside the type's range? Only for those types. */
bool row_integer_in_range(unsigned type, int64_t i);
int row_integer_range_error(unsigned type, int64_t i, struct base_err *err);
/* Null allowed; otherwise of this type, and in range where the type has one. Not UTF-8. */
int row_value_fits(enum instar_type type, const instar_value *value, struct base_err *err);

static inline size_t row_varint_size(uint64_t v)
{
    return ((size_t)(63 - __builtin_clzll(v | 1)) + 7) / 7;
}
static inline uint8_t *row_varint_put(uint8_t *at, uint64_t v)
{
    while (v >= 0x80) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v;
    return at;
}

size_t row_numeric_payload_size(const instar_value *v);
uint8_t *row_numeric_payload_put(uint8_t *at, const instar_value *v);
bool row_numeric_payload_get(struct base_reader *r, instar_value *v);

/* Payload bytes of a value that fits its type. */
static inline size_t row_payload_size(const instar_value *v)
{
    if (row_type_is_bytes(v->type)) {
        return row_varint_size(v->bytes.size) + v->bytes.size;
    }
    return v->type == INSTAR_NUMERIC ? row_numeric_payload_size(v) : row_fixed_size[v->type];
}
/* Write it; returns the end. */
uint8_t *row_payload_put(uint8_t *at, const instar_value *v);
/* Read one payload of a type that is not null; bytes point into the input. False: it is none. */
bool row_payload_get(struct base_reader *r, unsigned type, instar_value *v);

/* Year, month, day of a day number since 1970 in the proleptic Gregorian calendar, and back. */
struct row_civil {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month, day;
};
struct row_civil row_civil_from_days(int64_t days);
int64_t row_days_from_civil(int64_t year, int month, int day);
int row_date_parse(const char *text, size_t size, int64_t *days_out, struct base_err *err);
int row_clock_parse(const char *text, size_t size, int64_t *us_out, struct base_err *err);
int row_time_parse(const char *text, size_t size, int64_t *us_out, struct base_err *err);
/* At most ROW_TIME_TEXT_MAX bytes with the final zero. Any int64 is written, in range or not. */
#define ROW_TIME_TEXT_MAX 64
int row_date_format(int64_t days, char *text);
int row_time_format(int64_t us, char *text);
int row_clock_format(int64_t us, char *text);

int row_integer_parse(enum instar_type type, const char *text, size_t size, int64_t *i_out,
                      struct base_err *err);
int row_float_parse(const char *text, size_t size, double *f_out, struct base_err *err);
#define ROW_FLOAT_TEXT_MAX 40
int row_float_format(double f, char *text);
/* Its first 15 digits, as "-15e-1". */
int row_float_digits15(double f, char *text);
/* Digits, a point, an exponent, and nothing else? */
bool row_is_decimal(const char *text, size_t size);

/* ---- numeric.c, numeric_arith.c, numeric_code.c ------------------------------------------- */

__extension__ typedef __int128 row_i128;
__extension__ typedef unsigned __int128 row_u128;

/* 10 to the power of 0 … 38. */
extern const row_u128 row_power10[INSTAR_DIGITS_MAX + 1];

/* The number without its point. */
static inline row_i128 row_numeric_get(const instar_value *v)
{
    return (row_i128)((row_u128)(uint64_t)v->numeric.high << 64 | v->numeric.low);
}
static inline instar_value row_numeric_make(row_i128 number, unsigned scale)
{
    return (instar_value){.type = INSTAR_NUMERIC,
                          .scale = (uint8_t)scale,
                          .numeric = {(uint64_t)number, (int64_t)(number >> 64)}};
}
static inline row_u128 row_numeric_size(row_i128 number)
{
    return number < 0 ? -(row_u128)number : (row_u128)number;
}
/* Are its scale and its digits within the limits? */
bool row_numeric_in_range(const instar_value *v);
int row_numeric_too_long(struct base_err *err); /* ERANGE */
int row_numeric_cmp(const instar_value *a, const instar_value *b);
/* As PostgreSQL writes it: ERANGE for what has too many digits, NaN and Infinity. */
int row_numeric_parse(const char *text, size_t size, instar_value *out, struct base_err *err);
#define ROW_NUMERIC_TEXT_MAX 48
int row_numeric_format(const instar_value *v, char *text);
/* The digits without leading zeros: "" for 0. Returns how many. */
int row_numeric_digits(row_u128 size, char digits[INSTAR_DIGITS_MAX + 2]);
/* Casts. To a whole number: false where it has no room in 64 bits. From a double: its first 15
 * digits, as in PostgreSQL; ERANGE. */
instar_value row_numeric_of_integer(int64_t i);
bool row_numeric_to_integer(const instar_value *v, int64_t *i_out);
int row_numeric_of_double(double f, instar_value *out, struct base_err *err);
double row_numeric_to_double(const instar_value *v);
/* The operators + - * / %, with PostgreSQL's scale of the result. ERANGE: division by zero, or a
 * result of more digits than there may be. */
int row_numeric_arith(char sign, const instar_value *a, const instar_value *b, instar_value *out,
                      struct base_err *err);
/* The key code (key.c). get: what follows the lead byte; false: it is none. */
#define ROW_NUMERIC_CODE_MAX 20
uint8_t *row_numeric_code_put(uint8_t *at, const instar_value *v);
bool row_numeric_code_get(const uint8_t **at, const uint8_t *end, uint8_t lead, uint8_t mask,
                          instar_value *v);

/* Compress into dst; 0 when it does not fit there or zstd has no memory: then it is not done. */
size_t row_compress(void *dst, size_t dst_size, const void *src, size_t src_size);
/* Decompress one whole frame that must give exactly dst_size bytes. */
int row_decompress(void *dst, size_t dst_size, const void *src, size_t src_size,
                   struct base_err *err);
size_t row_compress_bound(size_t src_size);
/* Does the frame's header promise so many bytes, and is it alone? */
bool row_compressed_size_is(const void *src, size_t src_size, size_t size);

#endif
