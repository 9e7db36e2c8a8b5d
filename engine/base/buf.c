/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer, and the fixed fields of which disk formats are made. */
#include "base/base.h"

#include <string.h>

#define CAPACITY_MIN 64

/* Doubling, so that appends cost a constant amount each; exact where doubling would overflow, and
 * for a test that refuses memory: then each append may be the one that gets none. */
bool base_buf_grow(struct base_buf *b, size_t more)
{
    size_t need;
    if (!base_add_ok(b->size, more, &need)) {
        return false;
    }
    size_t capacity;
    if (!base_mul_ok(b->capacity, 2, &capacity) || capacity < need || base_alloc_watched()) {
        capacity = need;
    }
    if (capacity < CAPACITY_MIN && !base_alloc_watched()) {
        capacity = CAPACITY_MIN;
    }
    uint8_t *data = base_realloc(b->data, capacity);
    if (data == NULL) {
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

bool base_buf_add_u8(struct base_buf *b, uint8_t v)
{
    return base_buf_add(b, &v, 1);
}

bool base_buf_add_u16(struct base_buf *b, uint16_t v)
{
    uint8_t bytes[2];
    base_put_u16(bytes, v);
    return base_buf_add(b, bytes, sizeof(bytes));
}

bool base_buf_add_u32(struct base_buf *b, uint32_t v)
{
    uint8_t bytes[4];
    base_put_u32(bytes, v);
    return base_buf_add(b, bytes, sizeof(bytes));
}

bool base_buf_add_u64(struct base_buf *b, uint64_t v)
{
    uint8_t bytes[8];
    base_put_u64(bytes, v);
    return base_buf_add(b, bytes, sizeof(bytes));
}

static size_t encode_varint(uint8_t bytes[10], uint64_t v)
{
    size_t size = 0;
    while (v >= 0x80) {
        bytes[size++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[size++] = (uint8_t)v;
    return size;
}

bool base_buf_add_varint(struct base_buf *b, uint64_t v)
{
    uint8_t bytes[10];
    return base_buf_add(b, bytes, encode_varint(bytes, v));
}

bool base_buf_add_blob(struct base_buf *b, const void *data, size_t size)
{
    uint8_t bytes[10];
    size_t prefix = encode_varint(bytes, size);
    size_t total;
    if (!base_add_ok(prefix, size, &total) || !base_buf_reserve(b, total)) {
        return false;
    }
    return base_buf_add(b, bytes, prefix) && base_buf_add(b, data, size);
}

void base_buf_clear(struct base_buf *b)
{
    b->size = 0;
}

void base_buf_free(struct base_buf *b)
{
    base_free(b->data);
    *b = (struct base_buf){0};
}
