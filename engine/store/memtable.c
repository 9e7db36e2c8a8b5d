/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memtables: per segment, a skip list in shared memory over that segment's operations. Built by the
 * committer under the writer lock, read by all processes without any lock.
 *
 *      0  header     magic | start | nonce | size | arena_at | filter_mask | used
 *     64  head       the list's first links, one per height
 *    128  filter     Bloom filter of (tree, key), blocks of one cache line
 *      …  arena      nodes, each 40 bytes and 4 for each height, multiples of 8
 *
 * Order: tree, key, then LSN descending, so the newest version of a key comes first. Links are
 * offsets from the start of the file, 0 ends a list. A node holds the first 8 bytes of its key, and
 * where key and value lie in the segment.
 *
 * Why readers need no lock: a node is filled completely before it is linked, linked from the bottom
 * up by release stores, and never moved, changed or freed as long as the file lives; what follows a
 * link is loaded with acquire. The single exception is the node's state, LIVE -> VOID, one byte,
 * written when the committer died before it moved tail; readers skip VOID, and a node whose LSN is
 * above a reader's snapshot is skipped as well, so nobody sees the change.
 * Why readers need not trust it: every offset is bounded and aligned before use, keys and values
 * are bounded by the segment, and a walk that takes more steps than the arena has nodes is a cycle.
 * Then the answer is ECORRUPT, never "absent".
 *
 * Heights come from a counter's trailing zero bits, begun at a random place: any run of n nodes
 * then has a bounded sum of heights, so what a body needs is known before the lock is taken.
 */
#include "store/memtable.h"

#include <string.h>

#define MEMTABLE_MAGIC UINT64_C(0x656c626174756d65)
#define ARENA_LEAST ((uint64_t)64 << 10)
#define FILTER_LEAST ((uint64_t)4 << 10)
/* Versions of one key that are stepped over before a search is cheaper. */
#define HOPS_BEFORE_SEEK 8
/* One node in 16 is so high. */
#define GUESS_LEVEL 2
#define GUESS_TIMES 16
#define GUESS_ENOUGH 1024

uint64_t memtable_key_hash(uint64_t tree, struct base_slice key)
{
    return base_hash64(key.data, key.size, tree);
}

/* ---- sizes -------------------------------------------------------------------------------- */

static uint64_t filter_size(uint64_t segment_bytes)
{
    uint64_t size = segment_bytes / 64;
    return size < FILTER_LEAST ? FILTER_LEAST : size;
}

uint64_t memtable_capacity(uint64_t segment_bytes)
{
    uint64_t size = segment_bytes / 2;
    return size < ARENA_LEAST ? ARENA_LEAST : size;
}

uint64_t memtable_size(uint64_t segment_bytes)
{
    return sizeof(struct memtable) + filter_size(segment_bytes) + memtable_capacity(segment_bytes);
}

uint32_t memtable_node_size(unsigned height)
{
    return (uint32_t)((sizeof(struct memnode) + height * sizeof(uint32_t) + 7) & ~(size_t)7);
}

/* Heights 1 and 2 take 48 bytes; one in 16 is higher, and takes 4 more for each step, rounded. */
uint64_t memtable_bytes_for(uint64_t ops)
{
    return ops * 50 + 256;
}

void memtable_format(void *mem, size_t size, uint64_t start, uint64_t nonce)
{
    struct memtable *m = mem;
    uint64_t blocks = 1; /* the filter is what is left of a file whose arena is half a segment */
    while (sizeof(*m) + blocks * 2 * 64 + ARENA_LEAST <= size &&
           blocks * 2 * 64 <= size / 33 + FILTER_LEAST - 64) {
        blocks *= 2;
    }
    m->start = start;
    m->nonce = nonce;
    m->size = (uint32_t)size;
    m->filter_mask = (uint32_t)(blocks - 1);
    m->arena_at = (uint32_t)(sizeof(*m) + blocks * 64);
    atomic_store_explicit(&m->used, m->arena_at, memory_order_release);
    m->magic = MEMTABLE_MAGIC;
}

bool memtable_valid(const void *mem, size_t size, uint64_t start, uint64_t nonce)
{
    const struct memtable *m = mem;
    uint64_t blocks = (uint64_t)m->filter_mask + 1;
    return m->magic == MEMTABLE_MAGIC && m->start == start && m->nonce == nonce &&
           m->size == size && (blocks & (blocks - 1)) == 0 &&
           m->arena_at == sizeof(*m) + blocks * 64 && m->arena_at < size;
}

uint32_t memtable_used(const struct segment *seg)
{
    const struct memtable *m = seg->mem;
    return atomic_load_explicit(&m->used, memory_order_acquire);
}

/* A sixteenth is kept back: recovery gives out the heights anew, and sums differ a little. */
uint64_t memtable_room(const struct segment *seg)
{
    const struct memtable *m = seg->mem;
    uint64_t most = seg->mem_size - (seg->mem_size - m->arena_at) / 16;
    uint64_t used = memtable_used(seg);
    return used < most ? most - used : 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* The node at an offset that somebody else wrote, or NULL when it cannot be one. */
struct memnode *memtable_node(const struct segment *seg, uint32_t offset)
{
    if ((offset & 7) != 0 || offset < sizeof(struct memtable) ||
        offset + sizeof(struct memnode) > seg->mem_size) {
        return NULL;
    }
    struct memnode *n = (struct memnode *)((uint8_t *)seg->mem + offset);
    unsigned height = n->height_deleted & ~MEMNODE_DELETED;
    if (height == 0 || height > MEMTABLE_HEIGHT_MAX ||
        offset + memtable_node_size(height) > seg->mem_size ||
        (uint64_t)n->key_at + n->key_size > seg->size ||
        (uint64_t)n->value_at + n->value_size > seg->size) {
        return NULL;
    }
    return n;
}

static uint32_t load_link(const _Atomic uint32_t *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}

struct base_slice memtable_node_key(const struct segment *seg, const struct memnode *n)
{
    return base_slice(seg->bytes + n->key_at, n->key_size);
}

/* Tree and key only. */
static int compare_keys(const struct segment *seg, const struct memnode *n,
                        const struct memtable_target *t)
{
    if (n->tree != t->tree) {
        return n->tree < t->tree ? -1 : 1;
    }
    if (n->prefix != t->prefix) {
        return n->prefix < t->prefix ? -1 : 1;
    }
    if (n->key_size <= 8 && t->key.size <= 8) {
        return (int)n->key_size - (int)t->key.size;
    }
    return base_slice_cmp(memtable_node_key(seg, n), t->key);
}

static int compare(const struct segment *seg, const struct memnode *n,
                   const struct memtable_target *t)
{
    int c = compare_keys(seg, n, t);
    if (c != 0 || n->lsn == t->lsn) {
        return c;
    }
    return n->lsn > t->lsn ? -1 : 1;
}

static uint32_t hops_max(const struct segment *seg)
{
    return (uint32_t)(seg->mem_size / memtable_node_size(1)) + MEMTABLE_HEIGHT_MAX + 1;
}

/* For each height the last node before the target, as its array of links. `finger`: begin at what
 * `links` holds from an earlier search for a target that is not greater. ECORRUPT. */
int memtable_find(const struct segment *seg, const struct memtable_target *t, bool finger,
                  _Atomic uint32_t *links[MEMTABLE_HEIGHT_MAX])
{
    struct memtable *m = seg->mem;
    _Atomic uint32_t *at = m->head;
    bool moved = !finger;
    uint32_t hops = hops_max(seg);
    for (int level = MEMTABLE_HEIGHT_MAX - 1; level >= 0; level--) {
        if (!moved) {
            at = links[level];
        }
        for (;;) {
            uint32_t next = load_link(&at[level]);
            if (level > 0) {
                __builtin_prefetch((const uint8_t *)m + load_link(&at[level - 1]));
            }
            if (next == 0) {
                break;
            }
            struct memnode *n = memtable_node(seg, next);
            if (n == NULL || (n->height_deleted & ~MEMNODE_DELETED) <= (unsigned)level ||
                hops-- == 0) {
                return INSTAR_ECORRUPT;
            }
            if (compare(seg, n, t) >= 0) {
                break;
            }
            at = n->next;
            moved = true;
        }
        links[level] = at;
    }
    return 0;
}

/* The first node at or after the target: offset, 0 at the end. */
static int find_first(const struct segment *seg, const struct memtable_target *t,
                      uint32_t *node_out)
{
    _Atomic uint32_t *links[MEMTABLE_HEIGHT_MAX];
    int rc = memtable_find(seg, t, false, links);
    uint32_t at = rc == 0 ? load_link(&links[0][0]) : 0;
    uint32_t hops = hops_max(seg);
    /* A writer may have linked nodes since the search that are still before the target. */
    while (rc == 0 && at != 0) {
        struct memnode *n = memtable_node(seg, at);
        if (n == NULL || hops-- == 0) {
            rc = INSTAR_ECORRUPT;
        } else if (compare(seg, n, t) >= 0) {
            break;
        } else {
            at = load_link(&n->next[0]);
        }
    }
    *node_out = rc == 0 ? at : 0;
    return rc;
}

/* At this level of the list. Returns how many nodes were met. */
static uint32_t count_level(const struct segment *seg, const struct memtable_target *first,
                            unsigned level, uint64_t after, struct memtable_guess *sum)
{
    _Atomic uint32_t *links[MEMTABLE_HEIGHT_MAX];
    uint32_t met = 0, hops = hops_max(seg);
    *sum = (struct memtable_guess){0};
    uint32_t at =
        memtable_find(seg, first, false, links) == 0 ? load_link(&links[level][level]) : 0;
    for (; at != 0 && hops > 0; hops--) {
        const struct memnode *n = memtable_node(seg, at);
        bool sound = n != NULL && (n->height_deleted & ~MEMNODE_DELETED) > level;
        if (!sound || n->tree > first->tree) {
            break;
        }
        if (n->tree == first->tree && n->lsn > after) {
            bool deleted = (n->height_deleted & MEMNODE_DELETED) != 0;
            sum->deletes += deleted;
            sum->puts += !deleted;
            sum->bytes += deleted ? 0 : n->key_size + n->value_size;
        }
        met++;
        at = load_link(&n->next[level]);
    }
    return met;
}

struct memtable_guess memtable_guess(const struct segment *seg, uint64_t tree, uint64_t after)
{
    const struct memtable_target first = {tree, 0, UINT64_MAX, base_slice(NULL, 0)};
    struct memtable_guess sum;
    if (count_level(seg, &first, GUESS_LEVEL, after, &sum) < GUESS_ENOUGH) {
        count_level(seg, &first, 0, after, &sum);
        return sum;
    }
    return (struct memtable_guess){sum.puts * GUESS_TIMES, sum.deletes * GUESS_TIMES,
                                   sum.bytes * GUESS_TIMES};
}

static void set_hit(const struct segment *seg, const struct memnode *n, struct memtable_hit *hit)
{
    hit->lsn = n->lsn;
    hit->deleted = (n->height_deleted & MEMNODE_DELETED) != 0;
    hit->value =
        hit->deleted ? base_slice(NULL, 0) : base_slice(seg->bytes + n->value_at, n->value_size);
}

static bool visible(const struct memnode *n, uint64_t snapshot)
{
    return n->lsn <= snapshot &&
           atomic_load_explicit(&n->state, memory_order_acquire) == MEMNODE_LIVE;
}

/* Three bits in one cache line. */
_Atomic uint64_t *memtable_filter_block(const struct segment *seg, uint64_t hash)
{
    struct memtable *m = seg->mem;
    uint64_t block = (hash >> 32) & m->filter_mask;
    return (_Atomic uint64_t *)((uint8_t *)seg->mem + sizeof(*m) + block * 64);
}

static bool filter_has(const struct segment *seg, uint64_t hash)
{
    _Atomic uint64_t *block = memtable_filter_block(seg, hash);
    for (int i = 0; i < 3; i++) {
        unsigned bit = (unsigned)(hash >> (9 * i)) & 511;
        uint64_t word = atomic_load_explicit(&block[bit / 64], memory_order_relaxed);
        if ((word & UINT64_C(1) << (bit % 64)) == 0) {
            return false;
        }
    }
    return true;
}

void memtable_fetch(const struct segment *seg, uint64_t hash)
{
    __builtin_prefetch((const void *)memtable_filter_block(seg, hash));
}

int memtable_get(const struct segment *seg, uint64_t tree, struct base_slice key, uint64_t snapshot,
                 struct memtable_hit *hit_out)
{
    *hit_out = (struct memtable_hit){0};
    if (!filter_has(seg, memtable_key_hash(tree, key))) {
        return INSTAR_ENOTFOUND;
    }
    struct memtable_target t = {tree, base_slice_prefix(key, 0), snapshot, key};
    uint32_t at;
    int rc = find_first(seg, &t, &at);
    uint32_t hops = hops_max(seg);
    while (rc == 0 && at != 0) {
        struct memnode *n = memtable_node(seg, at);
        if (n == NULL || hops-- == 0) {
            return INSTAR_ECORRUPT;
        }
        if (compare_keys(seg, n, &t) != 0) {
            break;
        }
        if (visible(n, snapshot)) {
            set_hit(seg, n, hit_out);
            return 0;
        }
        at = load_link(&n->next[0]);
    }
    return rc != 0 ? rc : INSTAR_ENOTFOUND;
}

void memtable_iter_init(struct memtable_iter *it, const struct segment *seg, uint64_t tree,
                        uint64_t snapshot)
{
    *it = (struct memtable_iter){.seg = seg, .tree = tree, .snapshot = snapshot};
}

static struct memtable_target iter_target(const struct memtable_iter *it, struct base_slice key,
                                          uint64_t lsn)
{
    return (struct memtable_target){it->tree, base_slice_prefix(key, 0), lsn, key};
}

/* Have the node behind n at hand when the walk gets there, and the one behind that: each lies
 * somewhere else in memory, its key and value in yet another place. */
static void look_ahead(const struct segment *seg, const struct memnode *n)
{
    uint32_t next = load_link(&n->next[0]);
    const struct memnode *ahead = next != 0 ? memtable_node(seg, next) : NULL;
    if (ahead != NULL) {
        __builtin_prefetch(seg->bytes + ahead->key_at);
        __builtin_prefetch(seg->bytes + ahead->value_at);
        __builtin_prefetch((const uint8_t *)seg->mem + load_link(&ahead->next[0]));
    }
}

/* Stand on the first visible node from `at` on, in this tree. Nodes of one key come newest first,
 * so the first visible one is the key's newest. */
static int settle_forward(struct memtable_iter *it, uint32_t at)
{
    uint32_t hops = hops_max(it->seg);
    while (at != 0) {
        struct memnode *n = memtable_node(it->seg, at);
        if (n == NULL || hops-- == 0) {
            return INSTAR_ECORRUPT;
        }
        if (n->tree != it->tree) {
            break;
        }
        if (visible(n, it->snapshot) && n->lsn > it->after) {
            it->node = at;
            it->key = memtable_node_key(it->seg, n);
            set_hit(it->seg, n, &it->hit);
            look_ahead(it->seg, n);
            return 0;
        }
        at = load_link(&n->next[0]);
    }
    it->node = 0;
    return INSTAR_END;
}

int memtable_iter_seek(struct memtable_iter *it, struct base_slice key)
{
    struct memtable_target t = iter_target(it, key, UINT64_MAX);
    uint32_t at;
    int rc = find_first(it->seg, &t, &at);
    it->node = 0;
    return rc != 0 ? rc : settle_forward(it, at);
}

int memtable_iter_next(struct memtable_iter *it)
{
    if (it->node == 0) {
        return INSTAR_END;
    }
    struct memnode *n = memtable_node(it->seg, it->node);
    struct memtable_target t = iter_target(it, it->key, 0); /* behind all versions of this key */
    for (int hops = 0; n != NULL && hops < HOPS_BEFORE_SEEK; hops++) {
        uint32_t at = load_link(&n->next[0]);
        n = at != 0 ? memtable_node(it->seg, at) : NULL;
        if (at == 0 || (n != NULL && compare_keys(it->seg, n, &t) != 0)) {
            return settle_forward(it, at);
        }
    }
    if (n == NULL) {
        return INSTAR_ECORRUPT;
    }
    uint32_t at;
    int rc = find_first(it->seg, &t, &at);
    return rc != 0 ? rc : settle_forward(it, at);
}

/* Going back, each key is found by a search: the last node before the target names the key, and the
 * key's own newest visible version is then looked for from its front. */
static int settle_backward(struct memtable_iter *it, struct memtable_target t)
{
    struct memtable *m = it->seg->mem;
    uint32_t hops = hops_max(it->seg);
    it->node = 0;
    for (;;) {
        _Atomic uint32_t *links[MEMTABLE_HEIGHT_MAX];
        int rc = memtable_find(it->seg, &t, false, links);
        if (rc != 0 || hops-- == 0) {
            return INSTAR_ECORRUPT;
        }
        if (links[0] == m->head) {
            return INSTAR_END;
        }
        struct memnode *n =
            (struct memnode *)((uint8_t *)links[0] - offsetof(struct memnode, next));
        if (n->tree != it->tree) {
            return INSTAR_END;
        }
        struct base_slice key = memtable_node_key(it->seg, n);
        struct memtable_iter front;
        memtable_iter_init(&front, it->seg, it->tree, it->snapshot);
        front.after = it->after;
        rc = memtable_iter_seek(&front, key);
        if (rc != 0 && rc != INSTAR_END) {
            return rc;
        }
        if (rc == 0 && base_slice_eq(front.key, key)) {
            *it = front;
            return 0;
        }
        t = iter_target(it, key, UINT64_MAX); /* no version of it is visible: the key before */
    }
}

int memtable_iter_seek_before(struct memtable_iter *it, struct base_slice key)
{
    struct memtable_target t = iter_target(it, key, UINT64_MAX);
    if (key.data == NULL) {
        t = (struct memtable_target){.tree = it->tree + 1, .lsn = UINT64_MAX};
    }
    return settle_backward(it, t);
}

int memtable_iter_prev(struct memtable_iter *it)
{
    if (it->node == 0) {
        return INSTAR_END;
    }
    return settle_backward(it, iter_target(it, it->key, UINT64_MAX));
}
