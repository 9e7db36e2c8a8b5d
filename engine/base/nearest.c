/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Did you mean": the nearest name by edit distance. A swap of neighbours counts as one slip, and
 * upper and lower case as none. One slip is allowed for every three bytes of the name.
 */
#include "base/base.h"

#include <string.h>

#define NAME_MAX_BYTES 128

static uint8_t fold_case(char c)
{
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned rows[3][NAME_MAX_BYTES + 1];
    unsigned *before = rows[0];
    unsigned *last = rows[1];
    unsigned *now = rows[2];
    for (size_t j = 0; j <= b_size; j++) {
        last[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        uint8_t x = fold_case(a[i - 1]);
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            uint8_t y = fold_case(b[j - 1]);
            unsigned best = last[j - 1] + (x != y);
            best = least(best, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && x == fold_case(b[j - 2]) && y == fold_case(a[i - 2])) {
                best = least(best, before[j - 2] + 1);
            }
            now[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_size];
}

const char *base_nearest_name(const char *name, const char *const *candidates, size_t count)
{
    size_t size = strnlen(name, NAME_MAX_BYTES + 1);
    if (size > NAME_MAX_BYTES) {
        return NULL;
    }
    unsigned allowed = (unsigned)(size < 6 ? 1 : size / 3);
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strnlen(candidates[i], NAME_MAX_BYTES + 1);
        if (other > NAME_MAX_BYTES) {
            continue;
        }
        unsigned slips = distance(name, size, candidates[i], other);
        if (slips <= allowed && slips < size) {
            nearest = candidates[i];
            if (slips == 0) {
                break;
            }
            allowed = slips - 1;
        }
    }
    return nearest;
}
