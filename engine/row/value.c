/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values: do they fit a type, how are they ordered, and the payload by which rows and descriptors
 * hold them (drawn in row_impl.h). The order here is the one that key.c encodes; the property test
 * of key.c compares the two.
 */
#include "row/row_impl.h"

#include <inttypes.h>
#include <math.h>

const uint8_t row_fixed_size[INSTAR_TYPE_COUNT] = {
    [INSTAR_BOOL] = 1, [INSTAR_INT2] = 2,   [INSTAR_INT4] = 4,
    [INSTAR_INT8] = 8, [INSTAR_FLOAT8] = 8, [INSTAR_TIMESTAMPTZ] = 8,
    [INSTAR_DATE] = 4, [INSTAR_UUID] = 16,  [INSTAR_TIME] = 8,
};

static const struct {
    int64_t least, most;
} ranges[INSTAR_TYPE_COUNT] = {
    [INSTAR_INT2] = {INT16_MIN, INT16_MAX},
    [INSTAR_INT4] = {INT32_MIN, INT32_MAX},
    [INSTAR_INT8] = {INT64_MIN, INT64_MAX},
    [INSTAR_TIMESTAMPTZ] = {ROW_TIME_MIN, ROW_TIME_MAX},
    [INSTAR_DATE] = {ROW_DATE_MIN, ROW_DATE_MAX},
    [INSTAR_TIME] = {0, ROW_DAY_US},
};

static const char *name_of(unsigned type)
{
    return type == INSTAR_NULL        ? "null"
           : row_type_is_column(type) ? row_type_name(type)
                                      : "unknown";
}

bool row_integer_in_range(unsigned type, int64_t i)
{
    return i >= ranges[type].least && i <= ranges[type].most;
}

int row_integer_range_error(unsigned type, int64_t i, struct base_err *err)
{
    if (type == INSTAR_DATE || type == INSTAR_TIMESTAMPTZ) {
        return base_err_set(err, INSTAR_ERANGE,
                            "%s out of range: between 4714-11-24 BC and the end of 294276 "
                            "(timestamps: 294247-01-10) is possible",
                            row_type_name(type));
    }
    if (type == INSTAR_TIME) {
        return base_err_set(err, INSTAR_ERANGE,
                            "time out of range: between 00:00:00 and 24:00:00 is possible");
    }
    return base_err_set(err, INSTAR_ERANGE,
                        "%" PRId64 " is out of range for %s, which holds %" PRId64 " to %" PRId64,
                        i, row_type_name(type), ranges[type].least, ranges[type].most);
}

int row_value_fits(enum instar_type type, const instar_value *value, struct base_err *err)
{
    base_assert(row_type_is_column(type));
    if (value->type == INSTAR_NULL) {
        return 0;
    }
    if (value->type != type) {
        return base_err_set(err, INSTAR_ETYPE, "%s value where %s is expected",
                            name_of(value->type), row_type_name(type));
    }
    if (row_type_is_integer(type) && !row_integer_in_range(type, value->i)) {
        return row_integer_range_error(type, value->i, err);
    }
    if (type == INSTAR_NUMERIC && !row_numeric_in_range(value)) {
        return row_numeric_too_long(err);
    }
    return 0;
}

int row_value_check(enum instar_type type, const instar_value *value, struct base_err *err)
{
    int rc = row_value_fits(type, value, err);
    if (rc != 0 || value->type == INSTAR_NULL) {
        return rc;
    }
    if (type == INSTAR_BOOL) {
        uint8_t byte; /* a bool that is neither may not be read as one */
        memcpy(&byte, &value->b, 1);
        if (byte > 1) {
            return base_err_set(err, INSTAR_ERANGE, "%u is no bool", byte);
        }
    }
    if (row_type_is_bytes(type) && value->bytes.data == NULL && value->bytes.size != 0) {
        return base_err_set(err, INSTAR_EINVALID, "%zu bytes at address NULL", value->bytes.size);
    }
    if (type == INSTAR_TEXT && !base_utf8_valid(value->bytes.data, value->bytes.size)) {
        return base_err_set(err, INSTAR_EENCODING, "text is not valid UTF-8");
    }
    return 0;
}

static int cmp_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* NaN is equal to NaN and greater than all else, as in PostgreSQL; -0 equals 0. */
static int cmp_double(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return (isnan(a) != 0) - (isnan(b) != 0);
    }
    return (a > b) - (a < b);
}

int row_value_cmp(const instar_value *a, const instar_value *b)
{
    if (a->type == INSTAR_NULL || b->type == INSTAR_NULL) {
        return (a->type == INSTAR_NULL) - (b->type == INSTAR_NULL);
    }
    base_assert(row_type_is_integer(a->type) ? row_type_is_integer(b->type) : a->type == b->type);
    switch (a->type) {
    case INSTAR_BOOL:
        return a->b - b->b;
    case INSTAR_FLOAT8:
        return cmp_double(a->f, b->f);
    case INSTAR_TEXT:
    case INSTAR_BYTEA:
        return base_slice_cmp(base_slice(a->bytes.data, a->bytes.size),
                              base_slice(b->bytes.data, b->bytes.size));
    case INSTAR_UUID:
        return memcmp(a->uuid, b->uuid, sizeof(a->uuid));
    case INSTAR_NUMERIC:
        return row_numeric_cmp(a, b);
    default:
        return cmp_i64(a->i, b->i);
    }
}

bool row_value_copy(struct base_arena *arena, const instar_value *from, instar_value *to)
{
    *to = *from;
    if (!row_type_is_bytes(from->type)) {
        return true;
    }
    if (from->bytes.size == 0) {
        to->bytes.data = "";
        return true;
    }
    to->bytes.data = base_arena_copy(arena, from->bytes.data, from->bytes.size);
    if (to->bytes.data == NULL) {
        *to = (instar_value){0};
        return false;
    }
    return true;
}

uint8_t *row_payload_put(uint8_t *at, const instar_value *v)
{
    switch (v->type) {
    case INSTAR_BOOL:
        *at = v->b ? 1 : 0;
        return at + 1;
    case INSTAR_INT2:
        memcpy(at, &(int16_t){(int16_t)v->i}, 2);
        return at + 2;
    case INSTAR_INT4:
    case INSTAR_DATE:
        memcpy(at, &(int32_t){(int32_t)v->i}, 4);
        return at + 4;
    case INSTAR_INT8:
    case INSTAR_TIMESTAMPTZ:
    case INSTAR_TIME:
        memcpy(at, &v->i, 8);
        return at + 8;
    case INSTAR_FLOAT8:
        memcpy(at, &v->f, 8);
        return at + 8;
    case INSTAR_UUID:
        memcpy(at, v->uuid, 16);
        return at + 16;
    case INSTAR_TEXT:
    case INSTAR_BYTEA:
        at = row_varint_put(at, v->bytes.size);
        if (v->bytes.size != 0) {
            memcpy(at, v->bytes.data, v->bytes.size);
        }
        return at + v->bytes.size;
    case INSTAR_NUMERIC:
        return row_numeric_payload_put(at, v);
    default:
        return at;
    }
}

/* What is read here can be written again: times are held to their range. Text is not tested for
 * UTF-8 once more; nothing above relies on it. */
bool row_payload_get(struct base_reader *r, unsigned type, instar_value *v)
{
    size_t size = row_fixed_size[type];
    *v = (instar_value){.type = (uint8_t)type};
    if (type == INSTAR_NUMERIC) {
        return row_numeric_payload_get(r, v);
    }
    if (size == 0) {
        uint64_t length;
        if (!r->bad && r->at < r->end && *r->at < 0x80) {
            length = *r->at++; /* nearly always */
        } else {
            length = base_read_varint(r);
        }
        if (r->bad || length > (uint64_t)(r->end - r->at)) {
            return false;
        }
        v->bytes.data = r->at;
        v->bytes.size = (size_t)length;
        r->at += length;
        return true;
    }
    if (r->bad || (size_t)(r->end - r->at) < size) {
        return false;
    }
    const uint8_t *p = r->at;
    r->at += size;
    switch (type) {
    case INSTAR_BOOL:
        v->b = *p == 1;
        return *p <= 1;
    case INSTAR_FLOAT8:
        memcpy(&v->f, p, 8);
        return true;
    case INSTAR_UUID:
        memcpy(v->uuid, p, 16);
        return true;
    default:
        v->i = row_integer_at(p, size);
        return type < INSTAR_TIMESTAMPTZ || row_integer_in_range(type, v->i);
    }
}

bool row_value_put(struct base_buf *out, const instar_value *value)
{
    base_assert(value->type < INSTAR_TYPE_COUNT);
    if (!base_buf_reserve(out, 1 + row_payload_size(value))) {
        return false;
    }
    uint8_t *at = out->data + out->size;
    *at = value->type;
    at = row_payload_put(at + 1, value);
    out->size = (size_t)(at - out->data);
    return true;
}

bool row_value_same(const instar_value *a, const instar_value *b)
{
    uint8_t x[2 + sizeof(row_i128)];
    uint8_t y[sizeof(x)];
    if (a->type != b->type) {
        return false;
    }
    if (row_type_is_bytes(a->type)) {
        return base_slice_eq(base_slice(a->bytes.data, a->bytes.size),
                             base_slice(b->bytes.data, b->bytes.size));
    }
    return base_slice_eq(base_slice(x, (size_t)(row_payload_put(x, a) - x)),
                         base_slice(y, (size_t)(row_payload_put(y, b) - y)));
}

int row_value_get(struct base_reader *r, instar_value *value_out, struct base_err *err)
{
    instar_value v = {0};
    uint8_t type = base_read_u8(r);
    if (!r->bad && type != INSTAR_NULL) {
        r->bad = !row_type_is_column(type) || !row_payload_get(r, type, &v) ||
                 row_value_check(type, &v, NULL) != 0;
    }
    *value_out = (instar_value){0};
    if (r->bad) {
        return base_err_set(err, INSTAR_ECORRUPT, "no value of a known type");
    }
    *value_out = v;
    return 0;
}
