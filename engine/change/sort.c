/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting keys of different lengths by their bytes. Eight bytes of each key, from the depth on at
 * which they begin to differ, are held beside it as a number; so most comparisons never touch the
 * key. The numbers are sorted by radix, one byte a pass, and a byte that is the same in all is
 * skipped. Keys whose eight bytes are equal are sorted again eight bytes deeper. Few keys, and what
 * is left at great depth, are compared whole.
 */
#include "change/sort_impl.h"

#include <string.h>

#define FEW 24
#define DIGITS 8
#define PREFIX_SIZE 8

static bool item_less(const struct sort_item *a, const struct sort_item *b)
{
    if (a->prefix != b->prefix) {
        return a->prefix < b->prefix;
    }
    return base_slice_cmp(stream_key(a->entry), stream_key(b->entry)) < 0;
}

static void sort_few(struct sort_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct sort_item moving = items[i];
        size_t at = i;
        while (at > 0 && item_less(&moving, &items[at - 1])) {
            items[at] = items[at - 1];
            at--;
        }
        items[at] = moving;
    }
}

/* By the prefix alone, stable, least byte first. */
static void sort_prefixes(struct sort_item *items, struct sort_item *scratch, size_t count)
{
    size_t counts[DIGITS][256];
    struct sort_item *from = items;
    struct sort_item *to = scratch;

    memset(counts, 0, sizeof(counts));
    for (size_t i = 0; i < count; i++) {
        for (unsigned d = 0; d < DIGITS; d++) {
            counts[d][(items[i].prefix >> (8 * d)) & 0xff]++;
        }
    }
    for (unsigned d = 0; d < DIGITS; d++) {
        size_t *slot = counts[d];
        if (slot[(items[0].prefix >> (8 * d)) & 0xff] == count) {
            continue;
        }
        size_t sum = 0;
        for (unsigned b = 0; b < 256; b++) {
            size_t here = slot[b];
            slot[b] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++) {
            to[slot[(from[i].prefix >> (8 * d)) & 0xff]++] = from[i];
        }
        struct sort_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof(*items));
    }
}

/* How many bytes all keys have in common, at least `depth`; and the longest key. */
static size_t common_depth(const struct sort_item *items, size_t count, size_t depth,
                           size_t *longest_out)
{
    struct base_slice first = stream_key(items[0].entry);
    size_t common = first.size;
    size_t longest = first.size;

    for (size_t i = 1; i < count; i++) {
        struct base_slice key = stream_key(items[i].entry);
        longest = key.size > longest ? key.size : longest;
        if (common > depth && (key.size < common || memcmp(key.data, first.data, common) != 0)) {
            common = base_slice_common_prefix(base_slice(first.data, common), key);
        }
    }
    *longest_out = longest;
    return common > depth ? common : depth;
}

static void sort_from(struct sort_item *items, struct sort_item *scratch, size_t count,
                      size_t depth)
{
    if (count < 2) {
        return;
    }
    size_t longest;
    depth = common_depth(items, count, depth, &longest);
    for (size_t i = 0; i < count; i++) {
        /* When all have ended they differ by zeros at most, and the shorter one is first. */
        items[i].prefix = depth < longest ? base_slice_prefix(stream_key(items[i].entry), depth)
                                          : (uint64_t)stream_key(items[i].entry).size;
    }
    if (count <= FEW) {
        sort_few(items, count);
        return;
    }
    sort_prefixes(items, scratch, count);
    if (depth >= longest) {
        return;
    }
    size_t begin = 0;
    for (size_t i = 1; i <= count; i++) {
        if (i < count && items[i].prefix == items[begin].prefix) {
            continue;
        }
        if (i - begin > FEW) {
            sort_from(items + begin, scratch, i - begin, depth + PREFIX_SIZE);
        } else if (i - begin > 1) {
            sort_few(items + begin, i - begin);
        }
        begin = i;
    }
}

void sort_items(struct sort_item *items, struct sort_item *scratch, size_t count)
{
    sort_from(items, scratch, count, 0);
}
