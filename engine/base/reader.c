/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading fields out of bytes that nobody vouches for. One sticky flag in place of a check after
 * each field: once a read has failed, all later ones give zero and move nothing.
 */
#include "base/base.h"

#include <string.h>

static const uint8_t nothing[1];

/* Only the shortest form of a number is accepted, so that equal values have equal bytes. */
uint64_t base_read_long_varint(struct base_reader *r)
{
    uint64_t v = 0;
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
    const uint8_t *p = base_read_take(r, size);
    return p != NULL ? base_slice(p, size) : base_slice(nothing, 0);
}

struct base_slice base_read_blob(struct base_reader *r)
{
    uint64_t size = base_read_varint(r);
    return base_read_bytes(r, (size_t)size);
}
