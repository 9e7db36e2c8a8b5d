/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as text, the way PostgreSQL writes them; reading takes that form and its common variants,
 * and nothing else: no blanks around, no guesses. What format writes, parse reads back as an equal
 * value (TEXT-1).
 */
#include "row/row_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

static const char *const names[INSTAR_TYPE_COUNT] = {
    [INSTAR_BOOL] = "bool",   [INSTAR_INT2] = "int2",     [INSTAR_INT4] = "int4",
    [INSTAR_INT8] = "int8",   [INSTAR_FLOAT8] = "float8", [INSTAR_TEXT] = "text",
    [INSTAR_BYTEA] = "bytea", [INSTAR_DATE] = "date",     [INSTAR_TIMESTAMPTZ] = "timestamptz",
    [INSTAR_UUID] = "uuid",   [INSTAR_TIME] = "time",     [INSTAR_NUMERIC] = "numeric",
};

static const struct {
    const char *name;
    enum instar_type type;
} aliases[] = {
    {"smallint", INSTAR_INT2},
    {"int", INSTAR_INT4},
    {"integer", INSTAR_INT4},
    {"bigint", INSTAR_INT8},
    {"double", INSTAR_FLOAT8},
    {"double precision", INSTAR_FLOAT8},
    {"boolean", INSTAR_BOOL},
    {"timestamp with time zone", INSTAR_TIMESTAMPTZ},
    {"time without time zone", INSTAR_TIME},
    {"decimal", INSTAR_NUMERIC},
};

const char *row_type_name(enum instar_type type)
{
    return row_type_is_column(type) ? names[type] : NULL;
}

size_t row_type_format(enum instar_type type, uint32_t length_max, char *text_out, size_t size)
{
    const char *name = row_type_name(type);
    int length;
    if (length_max == 0) {
        length = snprintf(text_out, size, "%s", name != NULL ? name : "unknown");
    } else if (type == INSTAR_NUMERIC) {
        length = snprintf(text_out, size, "numeric(%" PRIu32 ",%" PRIu32 ")",
                          INSTAR_DIGITS_PRECISION(length_max), INSTAR_DIGITS_SCALE(length_max));
    } else {
        length = snprintf(text_out, size, "varchar(%" PRIu32 ")", length_max);
    }
    return (size_t)length;
}

enum instar_type row_type_from_name(const char *name)
{
    for (unsigned i = 1; i < INSTAR_TYPE_COUNT; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return (enum instar_type)i;
        }
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(aliases); i++) {
        if (strcasecmp(name, aliases[i].name) == 0) {
            return aliases[i].type;
        }
    }
    return INSTAR_NULL;
}

/* ---- reading ------------------------------------------------------------------------------ */

static int parse_bool(const char *text, size_t size, instar_value *v, struct base_err *err)
{
    static const struct {
        const char *word;
        bool b;
    } words[] = {
        {"true", true},   {"t", true},  {"yes", true}, {"y", true},  {"on", true},   {"1", true},
        {"false", false}, {"f", false}, {"no", false}, {"n", false}, {"off", false}, {"0", false},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(words); i++) {
        if (strlen(words[i].word) == size && strncasecmp(words[i].word, text, size) == 0) {
            v->b = words[i].b;
            return 0;
        }
    }
    return base_err_set(err, INSTAR_ETYPE, "not a bool: true, false, t, f, yes, no, on, off, 1, 0");
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Two digits; -1 when they are not. */
static int hex_byte(const char *text)
{
    int high = hex_digit(text[0]);
    int low = hex_digit(text[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static int parse_bytea(const char *text, size_t size, char *scratch, size_t scratch_size,
                       instar_value *v, struct base_err *err)
{
    if (size < 2 || size % 2 != 0 || text[0] != '\\' || text[1] != 'x') {
        return base_err_set(err, INSTAR_ETYPE, "not a bytea: \\x and pairs of hexadecimal digits");
    }
    size_t bytes = (size - 2) / 2;
    if (bytes > scratch_size) {
        return base_err_set(err, INSTAR_EINVALID, "scratch has %zu bytes, %zu are needed",
                            scratch_size, bytes);
    }
    for (size_t i = 0; i < bytes; i++) {
        int byte = hex_byte(text + 2 + 2 * i);
        if (byte < 0) {
            return base_err_set(err, INSTAR_ETYPE, "not a hexadecimal digit at byte %zu",
                                2 + 2 * i);
        }
        scratch[i] = (char)byte;
    }
    v->bytes.data = bytes != 0 ? scratch : "";
    v->bytes.size = bytes;
    return 0;
}

/* 8-4-4-4-12 digits, or all 32 in a row. */
static int parse_uuid(const char *text, size_t size, instar_value *v, struct base_err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        bool hyphen = size == 36 && (i == 4 || i == 6 || i == 8 || i == 10);
        if ((size != 36 && size != 32) || (hyphen && text[at++] != '-')) {
            break;
        }
        int byte = hex_byte(text + at);
        if (byte < 0) {
            break;
        }
        v->uuid[i] = (uint8_t)byte;
        at += 2;
    }
    if (at != size || size == 0) {
        return base_err_set(err, INSTAR_ETYPE,
                            "not a uuid such as 01234567-89ab-cdef-0123-456789abcdef");
    }
    return 0;
}

int row_value_parse(enum instar_type type, struct base_slice text, char *scratch,
                    size_t scratch_size, instar_value *value_out, struct base_err *err)
{
    instar_value v = {.type = (uint8_t)type};
    const char *at = text.data != NULL ? text.data : "";
    size_t size = text.data != NULL ? text.size : 0;
    int rc = 0;
    *value_out = (instar_value){0};
    switch (type) {
    case INSTAR_BOOL:
        rc = parse_bool(at, size, &v, err);
        break;
    case INSTAR_INT2:
    case INSTAR_INT4:
    case INSTAR_INT8:
        rc = row_integer_parse(type, at, size, &v.i, err);
        break;
    case INSTAR_FLOAT8:
        rc = row_float_parse(at, size, &v.f, err);
        break;
    case INSTAR_TEXT:
        v.bytes.data = at;
        v.bytes.size = size;
        rc = row_value_check(type, &v, err);
        break;
    case INSTAR_BYTEA:
        rc = parse_bytea(at, size, scratch, scratch_size, &v, err);
        break;
    case INSTAR_TIMESTAMPTZ:
        rc = row_time_parse(at, size, &v.i, err);
        break;
    case INSTAR_DATE:
        rc = row_date_parse(at, size, &v.i, err);
        break;
    case INSTAR_TIME:
        rc = row_clock_parse(at, size, &v.i, err);
        break;
    case INSTAR_UUID:
        rc = parse_uuid(at, size, &v, err);
        break;
    case INSTAR_NUMERIC:
        rc = row_numeric_parse(at, size, &v, err);
        break;
    default:
        return base_err_set(err, INSTAR_ETYPE, "there is no type %u", (unsigned)type);
    }
    if (rc == 0) {
        *value_out = v;
    }
    return rc;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* As much as fits, with a final zero when there is room for any. */
static size_t finish(const char *from, size_t length, char *text_out, size_t size)
{
    if (size != 0) {
        size_t n = length < size ? length : size - 1;
        memcpy(text_out, from, n);
        text_out[n] = 0;
    }
    return length;
}

static char hex_of(unsigned nibble)
{
    return "0123456789abcdef"[nibble & 15];
}

static size_t format_bytea(const instar_value *v, char *text_out, size_t size)
{
    const uint8_t *p = v->bytes.data;
    size_t length = 2 + 2 * v->bytes.size;
    size_t n = size == 0 ? 0 : length < size ? length : size - 1;
    for (size_t at = 0; at < n; at++) {
        uint8_t byte = at < 2 ? 0 : p[at / 2 - 1];
        text_out[at] = at == 0   ? '\\'
                       : at == 1 ? 'x'
                                 : hex_of(at % 2 == 0 ? (unsigned)byte >> 4 : byte);
    }
    if (size != 0) {
        text_out[n] = 0;
    }
    return length;
}

static size_t format_uuid(const instar_value *v, char *text)
{
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text[at++] = '-';
        }
        text[at++] = hex_of((unsigned)v->uuid[i] >> 4);
        text[at++] = hex_of(v->uuid[i]);
    }
    return at;
}

size_t row_value_format(const instar_value *value, char *text_out, size_t size)
{
    char text[ROW_TIME_TEXT_MAX];
    int length = 0;
    _Static_assert(ROW_TIME_TEXT_MAX >= ROW_FLOAT_TEXT_MAX &&
                       ROW_TIME_TEXT_MAX >= ROW_NUMERIC_TEXT_MAX,
                   "room for every fixed type");
    switch (value->type) {
    case INSTAR_BOOL:
        return finish(value->b ? "true" : "false", value->b ? 4 : 5, text_out, size);
    case INSTAR_INT2:
    case INSTAR_INT4:
    case INSTAR_INT8:
        length = snprintf(text, sizeof(text), "%" PRId64, value->i);
        break;
    case INSTAR_FLOAT8:
        length = row_float_format(value->f, text);
        break;
    case INSTAR_TEXT:
        return finish(value->bytes.size != 0 ? value->bytes.data : "", value->bytes.size, text_out,
                      size);
    case INSTAR_BYTEA:
        return format_bytea(value, text_out, size);
    case INSTAR_TIMESTAMPTZ:
        length = row_time_format(value->i, text);
        break;
    case INSTAR_DATE:
        length = row_date_format(value->i, text);
        break;
    case INSTAR_TIME:
        length = row_clock_format(value->i, text);
        break;
    case INSTAR_UUID:
        length = (int)format_uuid(value, text);
        break;
    case INSTAR_NUMERIC:
        length = row_numeric_format(value, text);
        break;
    default:
        break;
    }
    return finish(text, (size_t)length, text_out, size);
}
