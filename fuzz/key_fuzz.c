/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: whatever decodes is exactly what encode makes of it, and two keys are in the order of their
 * values.
 *
 * Input: u8 number of parts (its low two bits, plus one) | for each a u8: low nibble the type, high
 * bit descending, the one below it nulls at the other end | bytes of one tuple | bytes of a second
 * one, if any.
 */
#include "row/row.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PARTS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int order_of_values(const struct row_key_part *parts, const instar_value *a,
                           const instar_value *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int order = row_value_cmp(&a[i], &b[i]);
        bool one_null = (a[i].type == INSTAR_NULL) != (b[i].type == INSTAR_NULL);
        bool turned = parts[i].descending != (one_null && parts[i].nulls_swapped);
        if (order != 0) {
            return (order > 0) != turned ? 1 : -1;
        }
    }
    return 0;
}

/* Decode one tuple, and check all that is said of its code. False: it is none. */
static bool take_tuple(const struct row_key_part *parts, size_t count, struct base_slice *rest,
                       struct base_arena *arena, instar_value *values, struct base_slice *key_out)
{
    struct base_buf again = {0};
    bool null = false;
    struct base_slice whole = *rest;
    size_t skipped;
    int skip = row_key_skip(parts, count, whole, &skipped, NULL);
    int rc = row_key_decode(parts, count, rest, arena, values, NULL);
    base_assert(rc == skip);
    if (rc != 0) {
        base_assert(rc == INSTAR_ECORRUPT);
        base_assert(rest->size == whole.size);
        return false;
    }
    base_assert(whole.size - rest->size == skipped);
    *key_out = base_slice(whole.data, skipped);
    rc = row_key_encode(parts, values, count, &again, NULL);
    base_assert(rc == 0);
    base_assert(base_slice_eq(base_buf_slice(&again), *key_out));
    for (size_t i = 0; i < count; i++) {
        null = null || values[i].type == INSTAR_NULL;
    }
    base_assert(row_key_has_null(parts, count, *key_out) == null);
    if (row_key_successor(&again)) {
        base_assert(base_slice_cmp(*key_out, base_buf_slice(&again)) < 0);
    }
    base_buf_free(&again);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct row_key_part parts[PARTS_MAX] = {0};
    instar_value a[PARTS_MAX];
    instar_value b[PARTS_MAX];
    struct base_arena arena = {0};
    struct base_slice key_a;
    struct base_slice key_b;
    size_t count = size == 0 ? 0 : (data[0] & 3u) + 1;
    if (size < 1 + count) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        parts[i].type = (enum instar_type)(1 + (data[1 + i] & 15u) % (INSTAR_TYPE_COUNT - 1));
        parts[i].descending = (data[1 + i] & 0x80) != 0;
        parts[i].nulls_swapped = (data[1 + i] & 0x40) != 0;
    }
    struct base_slice rest = base_slice(data + 1 + count, size - 1 - count);
    if (take_tuple(parts, count, &rest, &arena, a, &key_a) &&
        take_tuple(parts, count, &rest, &arena, b, &key_b)) {
        int bytes = base_slice_cmp(key_a, key_b);
        base_assert((bytes > 0) - (bytes < 0) == order_of_values(parts, a, b, count));
    }
    base_arena_free(&arena);
    return 0;
}
