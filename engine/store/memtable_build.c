/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing memtables: planning a body outside the writer lock, filling and linking its nodes inside,
 * making them void after a death, and building a whole one at recovery. The layout, and why readers
 * need no lock, stand in memtable.c.
 */
#include "store/memtable.h"

#include <stdlib.h>

static void filter_add(const struct segment *seg, uint64_t hash)
{
    _Atomic uint64_t *block = memtable_filter_block(seg, hash);
    for (int i = 0; i < 3; i++) {
        unsigned bit = (unsigned)(hash >> (9 * i)) & 511;
        uint64_t word = atomic_load_explicit(&block[bit / 64], memory_order_relaxed);
        atomic_store_explicit(&block[bit / 64], word | UINT64_C(1) << (bit % 64),
                              memory_order_relaxed);
    }
}

static uint8_t draw_height(uint64_t count)
{
    unsigned zeros = count == 0 ? 2 * MEMTABLE_HEIGHT_MAX : (unsigned)__builtin_ctzll(count);
    unsigned height = 1 + zeros / 2;
    return (uint8_t)(height < MEMTABLE_HEIGHT_MAX ? height : MEMTABLE_HEIGHT_MAX);
}

int memtable_plan_body(struct base_slice body, uint64_t seed, struct memtable_plan *plan,
                       size_t max, size_t *count_out, uint64_t *bytes_out, struct base_err *err)
{
    struct base_reader r = base_reader(body);
    const uint8_t *base = body.data;
    struct record_op op;
    struct record_op last = {0};
    size_t count = 0;
    uint64_t bytes = 0;
    int rc;
    *count_out = 0;
    *bytes_out = 0;
    while ((rc = record_body_next(&r, &op, err)) == 0) {
        if (op.op >= RECORD_TREE) {
            continue;
        }
        if (count > 0 && (op.tree < last.tree ||
                          (op.tree == last.tree && base_slice_cmp(last.key, op.key) >= 0))) {
            return base_err_set(err, INSTAR_EINVALID, "record body: operations are not in order");
        }
        if (count == max) {
            return base_err_set(err, INSTAR_ELIMIT, "record body: more than %zu operations", max);
        }
        plan[count] = (struct memtable_plan){
            .tree = op.tree,
            .prefix = base_slice_prefix(op.key, 0),
            .hash = memtable_key_hash(op.tree, op.key),
            .key_at = (uint32_t)((const uint8_t *)op.key.data - base) + RECORD_HEADER,
            .value_at = op.op == RECORD_PUT
                            ? (uint32_t)((const uint8_t *)op.value.data - base) + RECORD_HEADER
                            : 0,
            .value_size = (uint32_t)op.value.size,
            .key_size = (uint16_t)op.key.size,
            .height = draw_height(seed + count),
            .deleted = op.op == RECORD_DELETE,
        };
        bytes += memtable_node_size(plan[count].height);
        count++;
        last = op;
    }
    *count_out = count;
    *bytes_out = bytes;
    return rc == INSTAR_END ? 0 : rc;
}

static void fill_node(struct segment *seg, uint32_t at, const struct memtable_plan *p,
                      uint64_t start, uint64_t lsn)
{
    struct memnode *n = (struct memnode *)((uint8_t *)seg->mem + at);
    uint32_t base = (uint32_t)(start - seg->start);
    base_assert(at + memtable_node_size(p->height) <= seg->mem_size);
    n->tree = p->tree;
    n->prefix = p->prefix;
    n->lsn = lsn;
    n->key_at = base + p->key_at;
    n->value_at = p->deleted ? 0 : base + p->value_at;
    n->value_size = p->value_size;
    n->key_size = p->key_size;
    n->height_deleted = (uint8_t)(p->height | (p->deleted ? MEMNODE_DELETED : 0));
    atomic_store_explicit(&n->state, MEMNODE_LIVE, memory_order_relaxed);
    for (unsigned level = 0; level < p->height; level++) {
        atomic_store_explicit(&n->next[level], 0, memory_order_relaxed);
    }
    filter_add(seg, p->hash);
}

void memtable_fill(struct segment *seg, const struct memtable_plan *plan, size_t count,
                   uint64_t start, uint64_t lsn)
{
    struct memtable *m = seg->mem;
    uint32_t at = memtable_used(seg);
    for (size_t i = 0; i < count; i++) {
        fill_node(seg, at, &plan[i], start, lsn);
        at += memtable_node_size(plan[i].height);
    }
    /* From here on a successor after a death finds them all complete. */
    atomic_store_explicit(&m->used, at, memory_order_release);
}

int memtable_link(struct segment *seg, uint32_t from, uint32_t to)
{
    _Atomic uint32_t *links[MEMTABLE_HEIGHT_MAX];
    bool finger = false;
    for (uint32_t at = from; at < to;) {
        struct memnode *n = memtable_node(seg, at);
        if (n == NULL) {
            return INSTAR_ECORRUPT;
        }
        unsigned height = n->height_deleted & ~MEMNODE_DELETED;
        struct memtable_target t = {n->tree, n->prefix, n->lsn, memtable_node_key(seg, n)};
        int rc = memtable_find(seg, &t, finger, links);
        if (rc != 0) {
            return rc;
        }
        for (unsigned level = 0; level < height; level++) {
            uint32_t next = atomic_load_explicit(&links[level][level], memory_order_relaxed);
            atomic_store_explicit(&n->next[level], next, memory_order_relaxed);
            atomic_store_explicit(&links[level][level], at, memory_order_release);
            links[level] = n->next;
        }
        finger = true;
        at += memtable_node_size(height);
    }
    return 0;
}

void memtable_void(struct segment *seg, uint32_t from)
{
    uint32_t used = memtable_used(seg);
    for (uint32_t at = from; at < used;) {
        struct memnode *n = memtable_node(seg, at);
        if (n == NULL) {
            return; /* beyond what any committer filled */
        }
        atomic_store_explicit(&n->state, MEMNODE_VOID, memory_order_release);
        at += memtable_node_size(n->height_deleted & ~MEMNODE_DELETED);
    }
}

/* ---- building at once --------------------------------------------------------------------- */

/* What sorting compares mostly, close together. */
struct sort_key {
    uint64_t tree;
    uint64_t prefix;
    const struct memtable_item *item;
    const struct segment *seg;
};

static int compare_items(const void *left, const void *right)
{
    const struct sort_key *a = left;
    const struct sort_key *b = right;
    if (a->tree != b->tree) {
        return a->tree < b->tree ? -1 : 1;
    }
    if (a->prefix != b->prefix) {
        return a->prefix < b->prefix ? -1 : 1;
    }
    const struct memtable_item *x = a->item;
    const struct memtable_item *y = b->item;
    const uint8_t *bytes = a->seg->bytes;
    int c = base_slice_cmp(
        base_slice(bytes + (x->start - a->seg->start) + x->plan.key_at, x->plan.key_size),
        base_slice(bytes + (y->start - a->seg->start) + y->plan.key_at, y->plan.key_size));
    if (c != 0 || x->lsn == y->lsn) {
        return c;
    }
    return x->lsn > y->lsn ? -1 : 1;
}

/* Sorted, each node is linked behind the last one of each of its heights: no search. */
static void build_sorted(struct segment *seg, const struct sort_key *keys, size_t count, bool flat)
{
    struct memtable *m = seg->mem;
    _Atomic uint32_t *last[MEMTABLE_HEIGHT_MAX];
    uint32_t at = memtable_used(seg);
    for (int level = 0; level < MEMTABLE_HEIGHT_MAX; level++) {
        last[level] = &m->head[level];
    }
    for (size_t i = 0; i < count; i++) {
        const struct memtable_item *item = keys[i].item;
        struct memtable_plan plan = item->plan;
        struct memnode *n = (struct memnode *)((uint8_t *)seg->mem + at);
        plan.height = flat ? 1 : draw_height(i + 1);
        fill_node(seg, at, &plan, item->start, item->lsn);
        for (unsigned level = 0; level < plan.height; level++) {
            atomic_store_explicit(last[level], at, memory_order_release);
            last[level] = &n->next[level];
        }
        at += memtable_node_size(plan.height);
    }
    atomic_store_explicit(&m->used, at, memory_order_release);
}

int memtable_build(struct segment *seg, struct memtable_item *items, size_t count,
                   struct base_err *err)
{
    struct sort_key *keys = base_alloc((count + 1) * sizeof(*keys));
    uint64_t bytes = 0;
    if (keys == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to rebuild a memtable");
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = (struct sort_key){items[i].plan.tree, items[i].plan.prefix, &items[i], seg};
        bytes += memtable_node_size(draw_height(i + 1));
    }
    base_assert(memtable_used(seg) == ((struct memtable *)seg->mem)->arena_at);
    qsort(keys, count, sizeof(*keys), compare_items);
    /* Without heights they never take more than when they were committed: then it was slow, but
     * right, where chance had given them less than usual. */
    build_sorted(seg, keys, count, memtable_used(seg) + bytes > seg->mem_size);
    base_free(keys);
    return 0;
}
