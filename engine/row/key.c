/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key code: memcmp order of the bytes is the order of the values.
 *
 * The code of a tuple is the codes of its values, one after the other. Each code begins with a lead
 * byte, and no code is a prefix of another code of the same type (KEY-1): so the first difference
 * of two tuples lies in the first value that differs, and a shorter tuple is a prefix of all that
 * begin with it. Every value has exactly one code (KEY-2), and decoding takes no other, so two keys
 * are equal when their bytes are.
 *
 *   null          f0                            after every lead byte below: last
 *                 10                            before them, in a part whose nulls are swapped
 *   bool          80 | 81
 *   integers      20 … df                       lead - 80: -96 … 95 in the lead byte itself
 *   and times     e0 … e7 | 1 … 8 bytes         above: the fewest big-endian bytes that hold it
 *                 1f … 18 | 1 … 8 bytes         below: the same of the two's complement
 *   float8        80 | 8 bytes big-endian       positive: sign bit set; negative: all bits turned;
 *                                               -0 as 0; every NaN as 7ff8 0000 0000 0000
 *   text, bytea   80 | bytes, 00 as 00 ff | 00 01
 *   uuid          80 | 16 bytes
 *   numeric       80, or 81 … cc | pairs of digits, or that inverted     (numeric_code.c)
 *
 * Text: the end mark 00 01 is less than whatever may follow in a longer string (00 ff, or 01 and
 * up), so a prefix sorts first; and the successor of a prefix's code does not reach into it.
 * Integers: a longer form has a greater lead above zero and a smaller one below it. The width of
 * the column does not show, so widening int4 to int8 leaves every key as it is.
 *
 * A descending part has all its bytes inverted, the lead too: that turns the order round and puts
 * null first, or last where it was swapped. KEY-1 is not touched by it. A part has one of the two
 * codes of null and takes no other (KEY-2).
 */
#include "row/row_impl.h"

#include <math.h>

#define LEAD 0x80
#define LEAD_NULL 0xf0
#define LEAD_NULL_FIRST 0x10
#define INT_SMALL_MIN (-96)
#define INT_SMALL_MAX 95
#define LEAD_ABOVE 0xdf /* plus the number of bytes */
#define LEAD_BELOW 0x20 /* minus it */
#define TEXT_ESCAPE 0xff
#define TEXT_END 0x01

/* Null is last, and the three ranges of integer leads do not touch. */
_Static_assert(LEAD_ABOVE + 8 < LEAD_NULL, "null sorts last");
_Static_assert(LEAD_BELOW - 8 > LEAD_NULL_FIRST, "or first");
_Static_assert(LEAD + INT_SMALL_MAX == LEAD_ABOVE, "small ones end where the longer begin");
_Static_assert(LEAD + INT_SMALL_MIN == LEAD_BELOW, "and below too");

#define SIGN_BIT (UINT64_C(1) << 63)
#define NAN_BITS UINT64_C(0x7ff8000000000000)
/* The longest code that is not text; integers write 8 bytes whatever they need. */
#define CODE_FIXED_MAX ROW_NUMERIC_CODE_MAX

static unsigned bytes_needed(uint64_t u)
{
    return (unsigned)(71 - __builtin_clzll(u | 1)) / 8;
}

static uint8_t *put_integer(uint8_t *at, int64_t i)
{
    if (i >= INT_SMALL_MIN && i <= INT_SMALL_MAX) {
        *at = (uint8_t)(LEAD + i);
        return at + 1;
    }
    unsigned n = bytes_needed(i < 0 ? ~(uint64_t)i : (uint64_t)i);
    *at = (uint8_t)(i < 0 ? LEAD_BELOW - n : LEAD_ABOVE + n);
    uint64_t big = __builtin_bswap64((uint64_t)i << (64 - 8 * n));
    memcpy(at + 1, &big, 8);
    return at + 1 + n;
}

static uint8_t *put_double(uint8_t *at, double f)
{
    uint64_t bits = NAN_BITS;
    if (f == 0) {
        bits = 0; /* -0 too */
    } else if (!isnan(f)) {
        memcpy(&bits, &f, 8);
    }
    bits = (bits & SIGN_BIT) != 0 ? ~bits : bits | SIGN_BIT;
    bits = __builtin_bswap64(bits);
    *at = LEAD;
    memcpy(at + 1, &bits, 8);
    return at + 9;
}

/* The room is enough for a string of zeros. */
static uint8_t *put_bytes(uint8_t *at, const uint8_t *p, size_t size)
{
    *at++ = LEAD;
    while (size != 0) {
        const uint8_t *zero = memchr(p, 0, size);
        size_t run = zero != NULL ? (size_t)(zero - p) + 1 : size;
        memcpy(at, p, run);
        at += run;
        p += run;
        size -= run;
        if (zero != NULL) {
            *at++ = TEXT_ESCAPE;
        }
    }
    *at++ = 0;
    *at++ = TEXT_END;
    return at;
}

static uint8_t lead_of_null(const struct row_key_part *part)
{
    return part->nulls_swapped ? LEAD_NULL_FIRST : LEAD_NULL;
}

/* Code of one value that fits its part, before it is inverted. */
static uint8_t *put_value(uint8_t *at, const struct row_key_part *part, const instar_value *v)
{
    switch (v->type) {
    case INSTAR_NULL:
        *at = lead_of_null(part);
        return at + 1;
    case INSTAR_BOOL:
        *at = v->b ? LEAD + 1 : LEAD;
        return at + 1;
    case INSTAR_FLOAT8:
        return put_double(at, v->f);
    case INSTAR_TEXT:
    case INSTAR_BYTEA:
        return put_bytes(at, v->bytes.data, v->bytes.size);
    case INSTAR_UUID:
        *at = LEAD;
        memcpy(at + 1, v->uuid, 16);
        return at + 17;
    case INSTAR_NUMERIC:
        return row_numeric_code_put(at, v);
    default:
        return put_integer(at, v->i);
    }
}

int row_key_encode(const struct row_key_part *parts, const instar_value *values, size_t count,
                   struct base_buf *out, struct base_err *err)
{
    size_t before = out->size;
    for (size_t i = 0; i < count; i++) {
        const instar_value *v = &values[i];
        int rc = row_value_fits(parts[i].type, v, err);
        if (rc != 0) {
            out->size = before;
            return rc;
        }
        size_t room = CODE_FIXED_MAX;
        if (row_type_is_bytes(v->type) &&
            (!base_mul_ok(v->bytes.size, 2, &room) || !base_add_ok(room, 3, &room))) {
            out->size = before;
            return base_err_set(err, INSTAR_ELIMIT, "%zu bytes in a key", v->bytes.size);
        }
        if (!base_buf_reserve(out, room)) {
            out->size = before;
            return base_err_set(err, INSTAR_ENOMEM, "no memory for a key");
        }
        uint8_t *begin = out->data + out->size;
        uint8_t *end = put_value(begin, &parts[i], v);
        if (parts[i].descending) {
            for (uint8_t *p = begin; p < end; p++) {
                *p = (uint8_t) ~*p;
            }
        }
        out->size = (size_t)(end - out->data);
    }
    return 0;
}

/* ---- decoding ----------------------------------------------------------------------------- */

/* Bytes of one part: mask is ff when they are inverted. */
struct walk {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t mask;
    uint8_t null; /* lead byte of null */
};

static void begin_part(struct walk *w, const struct row_key_part *part)
{
    w->mask = part->descending ? 0xff : 0;
    w->null = lead_of_null(part);
}

static bool get_integer(struct walk *w, uint8_t lead, int64_t *i_out)
{
    if (lead >= LEAD_BELOW && lead <= LEAD_ABOVE) {
        *i_out = (int64_t)lead - LEAD;
        return true;
    }
    bool negative = lead < LEAD_BELOW;
    unsigned n = negative ? LEAD_BELOW - lead : lead - LEAD_ABOVE;
    if (n > 8 || (size_t)(w->end - w->at) < n) {
        return false;
    }
    uint64_t u = negative ? UINT64_MAX : 0;
    for (unsigned k = 0; k < n; k++) {
        u = u << 8 | (uint8_t)(*w->at++ ^ w->mask);
    }
    *i_out = (int64_t)u;
    /* The shortest form, of the right sign, and not one that fits the lead byte. */
    return (*i_out < 0) == negative && bytes_needed(negative ? ~u : u) == n &&
           (*i_out < INT_SMALL_MIN || *i_out > INT_SMALL_MAX);
}

static bool get_double(struct walk *w, double *f_out)
{
    if (w->end - w->at < 8) {
        return false;
    }
    uint64_t bits;
    memcpy(&bits, w->at, 8);
    w->at += 8;
    bits = __builtin_bswap64(bits);
    if (w->mask != 0) {
        bits = ~bits;
    }
    bits = (bits & SIGN_BIT) != 0 ? bits & ~SIGN_BIT : ~bits;
    memcpy(f_out, &bits, 8);
    return bits != SIGN_BIT && (!isnan(*f_out) || bits == NAN_BITS);
}

/* Find the end mark. *size_out: bytes of the value. */
static bool measure_bytes(struct walk *w, size_t *size_out)
{
    size_t size = 0;
    for (;;) {
        const uint8_t *zero = memchr(w->at, w->mask, (size_t)(w->end - w->at));
        if (zero == NULL || w->end - zero < 2) {
            return false;
        }
        size += (size_t)(zero - w->at);
        w->at = zero + 2;
        uint8_t next = (uint8_t)(zero[1] ^ w->mask);
        if (next == TEXT_END) {
            *size_out = size;
            return true;
        }
        if (next != TEXT_ESCAPE) {
            return false;
        }
        size++;
    }
}

/* Copy the bytes of a value whose length was measured. */
static void unescape(const uint8_t *from, uint8_t mask, uint8_t *to, size_t size)
{
    while (size != 0) {
        const uint8_t *zero = memchr(from, mask, size);
        size_t run = zero != NULL ? (size_t)(zero - from) + 1 : size;
        for (size_t i = 0; i < run; i++) {
            to[i] = (uint8_t)(from[i] ^ mask);
        }
        from += zero != NULL ? run + 1 : run;
        to += run;
        size -= run;
    }
}

/* How a value was read. */
enum got { GOT, GOT_BAD, GOT_NO_MEMORY };

/* With as many digits behind the point as the column writes, where there is room for them. */
static bool get_numeric(struct walk *w, uint8_t lead, unsigned scale, instar_value *v)
{
    bool ok = row_numeric_code_get(&w->at, w->end, lead, w->mask, v);
    if (ok && scale > v->scale && scale <= INSTAR_DIGITS_MAX) {
        (void)row_numeric_round(v, scale, NULL);
    }
    return ok;
}

/* Read one value. Without an arena bytes are only skipped. */
static enum got get_value(struct walk *w, const struct row_key_part *part, struct base_arena *arena,
                          instar_value *v)
{
    unsigned type = part->type;
    *v = (instar_value){.type = (uint8_t)type};
    if (w->at == w->end) {
        return GOT_BAD;
    }
    uint8_t lead = (uint8_t)(*w->at++ ^ w->mask);
    if (lead == w->null) {
        v->type = INSTAR_NULL;
        return GOT;
    }
    if (row_type_is_integer(type)) {
        return get_integer(w, lead, &v->i) && row_integer_in_range(type, v->i) ? GOT : GOT_BAD;
    }
    if (type == INSTAR_BOOL) {
        v->b = lead == LEAD + 1;
        return lead == LEAD || lead == LEAD + 1 ? GOT : GOT_BAD;
    }
    if (type == INSTAR_NUMERIC) {
        return get_numeric(w, lead, part->scale, v) ? GOT : GOT_BAD;
    }
    if (lead != LEAD) {
        return GOT_BAD;
    }
    if (type == INSTAR_FLOAT8) {
        return get_double(w, &v->f) ? GOT : GOT_BAD;
    }
    if (type == INSTAR_UUID) {
        if (w->end - w->at < 16) {
            return GOT_BAD;
        }
        for (size_t i = 0; i < 16; i++) {
            v->uuid[i] = (uint8_t)(*w->at++ ^ w->mask);
        }
        return GOT;
    }
    const uint8_t *begin = w->at;
    if (!measure_bytes(w, &v->bytes.size)) {
        return GOT_BAD;
    }
    v->bytes.data = "";
    if (arena != NULL && v->bytes.size != 0) {
        uint8_t *copy = base_arena_alloc(arena, v->bytes.size);
        if (copy == NULL) {
            return GOT_NO_MEMORY;
        }
        unescape(begin, w->mask, copy, v->bytes.size);
        v->bytes.data = copy;
    }
    return GOT;
}

static int bad_key(enum got got, enum instar_type type, size_t part, size_t at,
                   struct base_err *err)
{
    if (got == GOT_NO_MEMORY) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a key's bytes");
    }
    return base_err_set(err, INSTAR_ECORRUPT, "key: part %zu, at byte %zu, is no code of %s",
                        part + 1, at, row_type_name(type));
}

int row_key_decode(const struct row_key_part *parts, size_t count, struct base_slice *rest,
                   struct base_arena *arena, instar_value *values_out, struct base_err *err)
{
    const uint8_t *begin = rest->data != NULL ? rest->data : (const uint8_t *)"";
    struct walk w = {.at = begin, .end = begin + rest->size};
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = w.at;
        begin_part(&w, &parts[i]);
        enum got got = get_value(&w, &parts[i], arena, &values_out[i]);
        if (got != GOT) {
            memset(values_out, 0, count * sizeof(*values_out));
            return bad_key(got, parts[i].type, i, (size_t)(at - begin), err);
        }
    }
    *rest = base_slice(w.at, (size_t)(w.end - w.at));
    return 0;
}

int row_key_skip(const struct row_key_part *parts, size_t count, struct base_slice key,
                 size_t *used_out, struct base_err *err)
{
    const uint8_t *begin = key.data != NULL ? key.data : (const uint8_t *)"";
    struct walk w = {.at = begin, .end = begin + key.size};
    *used_out = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = w.at;
        instar_value ignored;
        begin_part(&w, &parts[i]);
        enum got got = get_value(&w, &parts[i], NULL, &ignored);
        if (got != GOT) {
            return bad_key(got, parts[i].type, i, (size_t)(at - begin), err);
        }
    }
    *used_out = (size_t)(w.at - begin);
    return 0;
}

bool row_key_has_null(const struct row_key_part *parts, size_t count, struct base_slice key)
{
    struct walk w = {.at = key.data, .end = (const uint8_t *)key.data + key.size};
    for (size_t i = 0; i < count; i++) {
        instar_value v;
        begin_part(&w, &parts[i]);
        if (get_value(&w, &parts[i], NULL, &v) != GOT) {
            return false;
        }
        if (v.type == INSTAR_NULL) {
            return true;
        }
    }
    return false;
}

bool row_key_successor(struct base_buf *key)
{
    size_t size = key->size;
    while (size != 0 && key->data[size - 1] == 0xff) {
        size--;
    }
    if (size == 0) {
        return false;
    }
    key->data[size - 1]++;
    key->size = size;
    return true;
}
