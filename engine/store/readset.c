/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The read set. A key is kept as 64 bits of hash: two keys that share it cost a conflict that was
 * none, never one that is missed. Ranges are kept unsorted while they come in, and sorted and
 * merged when there are many, and once before validation.
 */
#include "store/readset.h"

#include <stdlib.h>
#include <string.h>

#define POINTS_FIRST 64
#define POINTS_MAX ((size_t)1 << 18) /* then whole trees stand for them */
#define RANGES_MAX 4096
#define RANGES_OF_TREE_MAX 1024
#define KEEP_POINTS 1024 /* a larger table is given back at the reset */

static uint64_t tree_bit(uint64_t tree)
{
    return UINT64_C(1) << (tree * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

void readset_reset(struct readset *rs)
{
    if (rs->points_size > KEEP_POINTS) {
        base_free(rs->points);
        rs->points = NULL;
        rs->points_size = 0;
    } else if (rs->point_count != 0) {
        memset(rs->points, 0, rs->points_size * sizeof *rs->points);
    }
    rs->point_count = 0;
    rs->range_count = 0;
    rs->sorted = 0;
    rs->tree_count = 0;
    rs->filter = 0;
    rs->all = false;
    base_arena_reset(&rs->keys);
}

void readset_free(struct readset *rs)
{
    base_free(rs->points);
    base_free(rs->ranges);
    base_free(rs->trees);
    base_arena_free(&rs->keys);
    *rs = (struct readset){0};
}

static int no_memory(struct base_err *err)
{
    return base_err_set(err, INSTAR_ENOMEM, "no memory for the transaction's read set");
}

/* ---- points -------------------------------------------------------------------------------- */

static uint64_t hash_of(uint64_t tree, struct base_slice key)
{
    uint64_t h = base_hash64(key.data, key.size, tree);
    return h != 0 ? h : 1;
}

/* Where the hash is, or the free place where it belongs. */
static size_t place_of(const uint64_t *points, size_t size, uint64_t hash)
{
    size_t i = (size_t)hash & (size - 1);
    while (points[i] != 0 && points[i] != hash) {
        i = (i + 1) & (size - 1);
    }
    return i;
}

static bool points_grow(struct readset *rs)
{
    size_t size = rs->points_size == 0 ? POINTS_FIRST : rs->points_size * 2;
    uint64_t *points = base_alloc_zero(size, sizeof *points);
    if (points == NULL) {
        return false;
    }
    for (size_t i = 0; i < rs->points_size; i++) {
        if (rs->points[i] != 0) {
            points[place_of(points, size, rs->points[i])] = rs->points[i];
        }
    }
    base_free(rs->points);
    rs->points = points;
    rs->points_size = size;
    return true;
}

static int note_tree(struct readset *rs, uint64_t tree, struct base_err *err)
{
    for (size_t i = rs->tree_count; i > 0; i--) {
        if (rs->trees[i - 1] == tree) {
            return 0;
        }
    }
    if (rs->tree_count == rs->trees_size) {
        size_t size = rs->trees_size == 0 ? 8 : rs->trees_size * 2;
        uint64_t *trees = base_realloc(rs->trees, size * sizeof *trees);
        if (trees == NULL) {
            return no_memory(err);
        }
        rs->trees = trees;
        rs->trees_size = size;
    }
    rs->trees[rs->tree_count++] = tree;
    rs->filter |= tree_bit(tree);
    return 0;
}

/* Let whole trees stand for all points so far. */
static int points_collapse(struct readset *rs, struct base_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < rs->tree_count; i++) {
        struct readset_range whole = {.tree = rs->trees[i]};
        rc = readset_add_range(rs, &whole, err);
    }
    if (rc == 0) {
        memset(rs->points, 0, rs->points_size * sizeof *rs->points);
        rs->point_count = 0;
        rs->tree_count = 0;
    }
    return rc;
}

int readset_add_point(struct readset *rs, uint64_t tree, struct base_slice key,
                      struct base_err *err)
{
    if (rs->point_count >= POINTS_MAX) {
        int rc = points_collapse(rs, err);
        if (rc != 0) {
            return rc;
        }
    }
    if ((rs->point_count + 1) * 4 > rs->points_size * 3 && !points_grow(rs)) {
        return no_memory(err);
    }
    uint64_t hash = hash_of(tree, key);
    size_t i = place_of(rs->points, rs->points_size, hash);
    if (rs->points[i] == hash) {
        return 0;
    }
    int rc = note_tree(rs, tree, err);
    if (rc == 0) {
        rs->points[i] = hash;
        rs->point_count++;
    }
    return rc;
}

/* ---- ranges -------------------------------------------------------------------------------- */

static int compare_ranges(const void *a, const void *b)
{
    const struct readset_range *x = a;
    const struct readset_range *y = b;
    if (x->tree != y->tree) {
        return x->tree < y->tree ? -1 : 1;
    }
    return base_slice_cmp(x->lower, y->lower);
}

/* Does b, which begins no earlier, touch or overlap a? */
static bool touches(const struct readset_range *a, const struct readset_range *b)
{
    return a->tree == b->tree && (a->upper.data == NULL || base_slice_cmp(b->lower, a->upper) <= 0);
}

/* Let a end where the later of both ends. */
static void extend(struct readset_range *a, const struct readset_range *b)
{
    if (a->upper.data == NULL) {
        return;
    }
    int order = b->upper.data == NULL ? 1 : base_slice_cmp(b->upper, a->upper);
    if (order > 0) {
        a->upper = b->upper;
        a->closed = b->closed;
    } else if (order == 0) {
        a->closed |= b->closed;
    }
}

void readset_prepare(struct readset *rs)
{
    if (rs->sorted == rs->range_count) {
        return;
    }
    qsort(rs->ranges, rs->range_count, sizeof *rs->ranges, compare_ranges);
    size_t kept = 0;
    for (size_t i = 1; i < rs->range_count; i++) {
        if (touches(&rs->ranges[kept], &rs->ranges[i])) {
            extend(&rs->ranges[kept], &rs->ranges[i]);
        } else {
            rs->ranges[++kept] = rs->ranges[i];
        }
    }
    rs->range_count = kept + 1;
    rs->sorted = rs->range_count;
}

/* Let whole trees stand for those with many ranges; if that is not enough, for all. */
static void ranges_collapse(struct readset *rs)
{
    for (size_t limit = RANGES_OF_TREE_MAX; rs->range_count > RANGES_MAX / 2; limit = 1) {
        size_t kept = 0;
        for (size_t i = 0; i < rs->range_count;) {
            size_t end = i;
            while (end < rs->range_count && rs->ranges[end].tree == rs->ranges[i].tree) {
                end++;
            }
            if (end - i > limit) {
                rs->ranges[kept++] = (struct readset_range){.tree = rs->ranges[i].tree};
            } else {
                memmove(&rs->ranges[kept], &rs->ranges[i], (end - i) * sizeof *rs->ranges);
                kept += end - i;
            }
            i = end;
        }
        rs->range_count = kept;
        rs->sorted = kept;
        if (limit == 1) {
            return;
        }
    }
}

/* Many ranges: merge them, and copy the keys that are left into new memory. */
static int compact(struct readset *rs, struct base_err *err)
{
    struct base_arena keys = {0};
    readset_prepare(rs);
    ranges_collapse(rs);
    for (size_t i = 0; i < rs->range_count; i++) {
        struct readset_range *r = &rs->ranges[i];
        struct base_slice *ends[] = {&r->lower, &r->upper};
        for (size_t k = 0; k < BASE_ARRAY_LEN(ends); k++) {
            if (ends[k]->data != NULL) {
                void *copy = base_arena_copy(&keys, ends[k]->data, ends[k]->size);
                if (copy == NULL) {
                    base_arena_free(&keys); /* some ends point there: nothing is left to trust */
                    rs->range_count = 0;
                    rs->sorted = 0;
                    rs->all = true;
                    return no_memory(err);
                }
                ends[k]->data = copy;
            }
        }
    }
    base_arena_free(&rs->keys);
    rs->keys = keys;
    return 0;
}

static bool copy_end(struct readset *rs, struct base_slice *end)
{
    if (end->data != NULL) {
        end->data = base_arena_copy(&rs->keys, end->data, end->size);
        return end->data != NULL;
    }
    return true;
}

int readset_add_range(struct readset *rs, const struct readset_range *range, struct base_err *err)
{
    if (rs->range_count >= RANGES_MAX) {
        int rc = compact(rs, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (rs->range_count == rs->ranges_size) {
        size_t size = rs->ranges_size == 0 ? 8 : rs->ranges_size * 2;
        struct readset_range *ranges = base_realloc(rs->ranges, size * sizeof *ranges);
        if (ranges == NULL) {
            rs->all = true;
            return no_memory(err);
        }
        rs->ranges = ranges;
        rs->ranges_size = size;
    }
    struct readset_range *r = &rs->ranges[rs->range_count];
    *r = *range;
    if (!copy_end(rs, &r->lower) || !copy_end(rs, &r->upper)) {
        rs->all = true;
        return no_memory(err);
    }
    rs->range_count++;
    rs->filter |= tree_bit(r->tree);
    return 0;
}

static bool in_range(const struct readset_range *r, struct base_slice key)
{
    if (r->upper.data == NULL) {
        return true;
    }
    int order = base_slice_cmp(key, r->upper);
    return order < 0 || (order == 0 && r->closed);
}

bool readset_hit(const struct readset *rs, uint64_t tree, struct base_slice key)
{
    if (rs->all) {
        return true;
    }
    if ((rs->filter & tree_bit(tree)) == 0) {
        return false;
    }
    if (rs->point_count != 0) {
        uint64_t hash = hash_of(tree, key);
        if (rs->points[place_of(rs->points, rs->points_size, hash)] == hash) {
            return true;
        }
    }
    base_assert(rs->sorted == rs->range_count);
    size_t low = 0; /* ranges before low begin at or before the key */
    size_t high = rs->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct readset_range *r = &rs->ranges[middle];
        bool before = r->tree != tree ? r->tree < tree : base_slice_cmp(r->lower, key) <= 0;
        if (before) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && rs->ranges[low - 1].tree == tree && in_range(&rs->ranges[low - 1], key);
}
