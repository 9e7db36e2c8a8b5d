/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libFuzzer's own mutations rarely do, for inputs that are made of numbers, lengths and runs
 * of bytes: a number becomes one at an edge, a blob grows or shrinks together with the length
 * before it, a part comes once more elsewhere. Checksums are the targets' own business: each that
 * has some makes them hold when the first byte of its input asks for it, so that AFL++ and a file
 * that is replayed have the same from it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* A number of 1, 2, 4 or 8 bytes, little-endian as nearly all are, or else big-endian. */
static void set_number(uint8_t *data, size_t size, uint32_t *state)
{
    size_t width = (size_t)1 << next(state) % 4;
    size_t at = width <= size ? next(state) % (size - width + 1) : 0;
    width = width <= size ? width : 1;
    uint64_t old = 0;
    memcpy(&old, data + at, width);
    const uint64_t edges[] = {
        0,          1,       UINT64_MAX, INT64_MAX,
        UINT32_MAX, size,    size - at,  size - at - width,
        old + 1,    old - 1, old << 1,   old ^ (uint64_t)1 << next(state) % 64};
    uint64_t value = edges[next(state) % (sizeof(edges) / sizeof(edges[0]))];
    if (next(state) % 4 == 0) {
        value = __builtin_bswap64(value) >> (64 - 8 * width);
    }
    memcpy(data + at, &value, width);
}

/* A byte that could be the length of what follows, and what follows, changed together. */
static size_t resize_blob(uint8_t *data, size_t size, size_t max_size, uint32_t *state)
{
    for (unsigned tries = 0; tries < 16; tries++) {
        size_t at = next(state) % size;
        size_t length = data[at], more = 1 + next(state) % 8;
        uint8_t *end = data + at + 1 + length;
        if (length > size - at - 1) {
            continue;
        }
        if (next(state) % 2 == 0 && length + more < 0x80 && size + more <= max_size) {
            memmove(end + more, end, size - at - 1 - length);
            memset(end, (int)next(state) & 0xff, more);
            data[at] = (uint8_t)(length + more);
            return size + more;
        }
        if (length >= more) {
            memmove(end - more, end, size - at - 1 - length);
            data[at] = (uint8_t)(length - more);
            return size - more;
        }
    }
    return size;
}

/* A part once more: over another one, or put in before it. */
static size_t copy_part(uint8_t *data, size_t size, size_t max_size, uint32_t *state)
{
    uint8_t part[256];
    size_t from = next(state) % size, to = next(state) % size;
    size_t length = 1 + next(state) % sizeof(part);
    length = length < size - from ? length : size - from;
    memcpy(part, data + from, length);
    if (next(state) % 2 == 0 && size + length <= max_size) {
        memmove(data + to + length, data + to, size - to);
        size += length;
    }
    memcpy(data + to, part, length < size - to ? length : size - to);
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    uint32_t state = seed;
    if (size == 0 || next(&state) % 2 == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    switch (next(&state) % 3) {
    case 0:
        set_number(data, size, &state);
        return size;
    case 1:
        return resize_blob(data, size, max_size, &state);
    default:
        return copy_part(data, size, max_size, &state);
    }
}
