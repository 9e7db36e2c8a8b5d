/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing views of bytes: the order of keys. */
#include "base/base.h"

#include <string.h>

int base_slice_cmp(struct base_slice a, struct base_slice b)
{
    size_t least = a.size < b.size ? a.size : b.size;
    int order = least != 0 ? memcmp(a.data, b.data, least) : 0;
    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

bool base_slice_eq(struct base_slice a, struct base_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

size_t base_slice_common_prefix(struct base_slice a, struct base_slice b)
{
    const uint8_t *x = a.data;
    const uint8_t *y = b.data;
    size_t least = a.size < b.size ? a.size : b.size;
    size_t i = 0;
    while (i < least && x[i] == y[i]) {
        i++;
    }
    return i;
}
