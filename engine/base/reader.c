/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading fields out of bytes that nobody vouches for. One sticky flag in place of a check after
 * each field: once a read has failed, all later ones give zero and move nothing.
 */
#include "base/base.h"

#include <string.h>

static const uint8_t nothing[1];

struct base_reader base_reader(struct base_slice s)
{
    const uint8_t *at = s.data != NULL ? s.data : nothing;
    return (struct base_reader){.at = at, .end = at + (s.data != NULL ? s.size : 0)};
}

size_t base_reader_left(const struct base_reader *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->at);
}

/* The next size bytes, or NULL after a failure. */
static const uint8_t *take(struct base_reader *r, size_t size)
{
    if (r->bad || size > (size_t)(r->end - r->at)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += size;
    return p;
}

uint16_t base_read_u16(struct base_reader *r)
{
    const uint8_t *p = take(r, 2);
    return p != NULL ? base_get_u16(p) : 0;
}

uint32_t base_read_u32(struct base_reader *r)
{
    const uint8_t *p = take(r, 4);
    return p != NULL ? base_get_u32(p) : 0;
}

uint64_t base_read_u64(struct base_reader *r)
{
    const uint8_t *p = take(r, 8);
    return p != NULL ? base_get_u64(p) : 0;
}

/* Only the shortest form of a number is accepted, so that equal values have equal bytes. */
uint64_t base_read_varint(struct base_reader *r)
{
    uint64_t v = 0;
    if (!r->bad && r->at != r->end && *r->at < 0x80) {
        return *r->at++; /* nearly always */
    }
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = base_read_u8(r);
        if (r->bad) {
            return 0;
        }
        if ((shift == 63 && byte > 1) || (shift != 0 && byte == 0)) {
            break;
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return v;
        }
    }
    r->bad = true;
    return 0;
}

struct base_slice base_read_bytes(struct base_reader *r, size_t size)
{
    const uint8_t *p = take(r, size);
    return p != NULL ? base_slice(p, size) : base_slice(nothing, 0);
}

struct base_slice base_read_blob(struct base_reader *r)
{
    uint64_t size = base_read_varint(r);
    return base_read_bytes(r, (size_t)size);
}
