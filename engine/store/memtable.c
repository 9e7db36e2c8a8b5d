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
#include "store/log.h"

#include <string.h>

#define MEMTABLE_MAGIC UINT64_C(0x656c626174756d65)
#define HEIGHT_MAX 12
#define ARENA_LEAST ((uint64_t)64 << 10)
#define FILTER_LEAST ((uint64_t)4 << 10)
#define HOPS_BEFORE_SEEK \
    8 /* versions of one key that are stepped over before a search is cheaper */

enum node_state { NODE_LIVE = 0, NODE_VOID = 1 };

struct memnode {
    uint64_t tree;
    uint64_t prefix;
    uint64_t lsn;
    uint32_t key_at; /* in the segment */
    uint32_t value_at;
    uint32_t value_size;
    uint16_t key_size;
    uint8_t height_deleted; /* height, and DELETED */
    _Atomic uint8_t state;
    _Atomic uint32_t next[]; /* height of them */
};
#define DELETED 0x80u

struct memtable {
    uint64_t magic;
    uint64_t start;
    uint64_t nonce;
    uint32_t size;
    uint32_t arena_at;
    uint32_t filter_mask;  /* blocks of 64 bytes, less one */
    _Atomic uint32_t used; /* writer: where the next node goes; all below are filled */
    uint8_t pad[24];
    _Atomic uint32_t head[HEIGHT_MAX];
    uint8_t head_pad[16];
};
_Static_assert(offsetof(struct memnode, next) == 40, "memtable layout: node");
_Static_assert(offsetof(struct memtable, head) == 64, "memtable layout: head");
_Static_assert(sizeof(struct memtable) == MEMTABLE_HEADER, "memtable layout: header");

/* What is looked for: the first node that is not before (tree, key, lsn descending). */
struct target {
    uint64_t tree;
    uint64_t prefix;
    uint64_t lsn;
    struct base_slice key;
};

static uint64_t key_prefix(struct base_slice key)
{
    uint8_t first[8] = {0};
    if (key.size >= 8) {
        return base_get_be64(key.data);
    }
    if (key.size > 0) {
        memcpy(first, key.data, key.size);
    }
    return base_get_be64(first);
}

static uint64_t key_hash(uint64_t tree, struct base_slice key)
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

static uint32_t node_size(unsigned height)
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

/* A sixteenth is kept back: recovery draws the heights anew, and sums differ a little. */
uint64_t memtable_room(const struct segment *seg)
{
    const struct memtable *m = seg->mem;
    uint64_t most = seg->mem_size - (seg->mem_size - m->arena_at) / 16;
    uint64_t used = memtable_used(seg);
    return used < most ? most - used : 0;
}

void memtable_plan_flat(struct memtable_plan *plan, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        plan[i].height = 1;
    }
}

/* ---- reading ------------------------------------------------------------------------------ */

/* The node at an offset that somebody else wrote, or NULL when it cannot be one. */
static struct memnode *node_at(const struct segment *seg, uint32_t offset)
{
    if ((offset & 7) != 0 || offset < sizeof(struct memtable) ||
        offset + sizeof(struct memnode) > seg->mem_size) {
        return NULL;
    }
    struct memnode *n = (struct memnode *)((uint8_t *)seg->mem + offset);
    unsigned height = n->height_deleted & ~DELETED;
    if (height == 0 || height > HEIGHT_MAX || offset + node_size(height) > seg->mem_size ||
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

static struct base_slice node_key(const struct segment *seg, const struct memnode *n)
{
    return base_slice(seg->bytes + n->key_at, n->key_size);
}

/* Tree and key only. */
static int compare_keys(const struct segment *seg, const struct memnode *n, const struct target *t)
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
    return base_slice_cmp(node_key(seg, n), t->key);
}

static int compare(const struct segment *seg, const struct memnode *n, const struct target *t)
{
    int c = compare_keys(seg, n, t);
    if (c != 0 || n->lsn == t->lsn) {
        return c;
    }
    return n->lsn > t->lsn ? -1 : 1;
}

static uint32_t hops_max(const struct segment *seg)
{
    return (uint32_t)(seg->mem_size / node_size(1)) + HEIGHT_MAX + 1;
}

/* For each height the last node before the target, as its array of links. `finger`: begin at what
 * `links` holds from an earlier search for a target that is not greater. ECORRUPT. */
static int find_links(const struct segment *seg, const struct target *t, bool finger,
                      _Atomic uint32_t *links[HEIGHT_MAX])
{
    struct memtable *m = seg->mem;
    _Atomic uint32_t *at = m->head;
    bool moved = !finger;
    uint32_t hops = hops_max(seg);
    for (int level = HEIGHT_MAX - 1; level >= 0; level--) {
        if (!moved) {
            at = links[level];
        }
        for (;;) {
            uint32_t next = load_link(&at[level]);
            if (next == 0) {
                break;
            }
            struct memnode *n = node_at(seg, next);
            if (n == NULL || (n->height_deleted & ~DELETED) <= (unsigned)level || hops-- == 0) {
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
static int find_first(const struct segment *seg, const struct target *t, uint32_t *node_out)
{
    _Atomic uint32_t *links[HEIGHT_MAX];
    int rc = find_links(seg, t, false, links);
    uint32_t at = rc == 0 ? load_link(&links[0][0]) : 0;
    uint32_t hops = hops_max(seg);
    /* A writer may have linked nodes since the search that are still before the target. */
    while (rc == 0 && at != 0) {
        struct memnode *n = node_at(seg, at);
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

static void set_hit(const struct segment *seg, const struct memnode *n, struct memtable_hit *hit)
{
    hit->lsn = n->lsn;
    hit->deleted = (n->height_deleted & DELETED) != 0;
    hit->value =
        hit->deleted ? base_slice(NULL, 0) : base_slice(seg->bytes + n->value_at, n->value_size);
}

static bool visible(const struct memnode *n, uint64_t snapshot)
{
    return n->lsn <= snapshot && atomic_load_explicit(&n->state, memory_order_acquire) == NODE_LIVE;
}

/* Three bits in one cache line. */
static _Atomic uint64_t *filter_block(const struct segment *seg, uint64_t hash)
{
    struct memtable *m = seg->mem;
    uint64_t block = (hash >> 32) & m->filter_mask;
    return (_Atomic uint64_t *)((uint8_t *)seg->mem + sizeof(*m) + block * 64);
}

static bool filter_has(const struct segment *seg, uint64_t hash)
{
    _Atomic uint64_t *block = filter_block(seg, hash);
    for (int i = 0; i < 3; i++) {
        unsigned bit = (unsigned)(hash >> (9 * i)) & 511;
        uint64_t word = atomic_load_explicit(&block[bit / 64], memory_order_relaxed);
        if ((word & UINT64_C(1) << (bit % 64)) == 0) {
            return false;
        }
    }
    return true;
}

static void filter_add(const struct segment *seg, uint64_t hash)
{
    _Atomic uint64_t *block = filter_block(seg, hash);
    for (int i = 0; i < 3; i++) {
        unsigned bit = (unsigned)(hash >> (9 * i)) & 511;
        uint64_t word = atomic_load_explicit(&block[bit / 64], memory_order_relaxed);
        atomic_store_explicit(&block[bit / 64], word | UINT64_C(1) << (bit % 64),
                              memory_order_relaxed);
    }
}

int memtable_get(const struct segment *seg, uint64_t tree, struct base_slice key, uint64_t snapshot,
                 struct memtable_hit *hit_out)
{
    *hit_out = (struct memtable_hit){0};
    if (!filter_has(seg, key_hash(tree, key))) {
        return INSTAR_ENOTFOUND;
    }
    struct target t = {tree, key_prefix(key), snapshot, key};
    uint32_t at;
    int rc = find_first(seg, &t, &at);
    uint32_t hops = hops_max(seg);
    while (rc == 0 && at != 0) {
        struct memnode *n = node_at(seg, at);
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

static struct target iter_target(const struct memtable_iter *it, struct base_slice key,
                                 uint64_t lsn)
{
    return (struct target){it->tree, key_prefix(key), lsn, key};
}

/* Stand on the first visible node from `at` on, in this tree. Nodes of one key come newest first,
 * so the first visible one is the key's newest. */
static int settle_forward(struct memtable_iter *it, uint32_t at)
{
    uint32_t hops = hops_max(it->seg);
    while (at != 0) {
        struct memnode *n = node_at(it->seg, at);
        if (n == NULL || hops-- == 0) {
            return INSTAR_ECORRUPT;
        }
        if (n->tree != it->tree) {
            break;
        }
        if (visible(n, it->snapshot)) {
            it->node = at;
            it->key = node_key(it->seg, n);
            set_hit(it->seg, n, &it->hit);
            return 0;
        }
        at = load_link(&n->next[0]);
    }
    it->node = 0;
    return INSTAR_END;
}

int memtable_iter_seek(struct memtable_iter *it, struct base_slice key)
{
    struct target t = iter_target(it, key, UINT64_MAX);
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
    struct memnode *n = node_at(it->seg, it->node);
    struct target t = iter_target(it, it->key, 0); /* behind all versions of this key */
    for (int hops = 0; n != NULL && hops < HOPS_BEFORE_SEEK; hops++) {
        uint32_t at = load_link(&n->next[0]);
        n = at != 0 ? node_at(it->seg, at) : NULL;
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
static int settle_backward(struct memtable_iter *it, struct target t)
{
    struct memtable *m = it->seg->mem;
    uint32_t hops = hops_max(it->seg);
    it->node = 0;
    for (;;) {
        _Atomic uint32_t *links[HEIGHT_MAX];
        int rc = find_links(it->seg, &t, false, links);
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
        struct base_slice key = node_key(it->seg, n);
        struct memtable_iter front;
        memtable_iter_init(&front, it->seg, it->tree, it->snapshot);
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
    struct target t = iter_target(it, key, UINT64_MAX);
    if (key.data == NULL) {
        t = (struct target){.tree = it->tree + 1, .lsn = UINT64_MAX};
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

/* ---- building ----------------------------------------------------------------------------- */

static uint8_t draw_height(uint64_t count)
{
    unsigned zeros = count == 0 ? 2 * HEIGHT_MAX : (unsigned)__builtin_ctzll(count);
    unsigned height = 1 + zeros / 2;
    return (uint8_t)(height < HEIGHT_MAX ? height : HEIGHT_MAX);
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
            .prefix = key_prefix(op.key),
            .hash = key_hash(op.tree, op.key),
            .key_at = (uint32_t)((const uint8_t *)op.key.data - base) + RECORD_HEADER,
            .value_at = op.op == RECORD_PUT
                            ? (uint32_t)((const uint8_t *)op.value.data - base) + RECORD_HEADER
                            : 0,
            .value_size = (uint32_t)op.value.size,
            .key_size = (uint16_t)op.key.size,
            .height = draw_height(seed + count),
            .deleted = op.op == RECORD_DELETE,
        };
        bytes += node_size(plan[count].height);
        count++;
        last = op;
    }
    *count_out = count;
    *bytes_out = bytes;
    return rc == INSTAR_END ? 0 : rc;
}

void memtable_fill(struct segment *seg, const struct memtable_plan *plan, size_t count,
                   uint64_t start, uint64_t lsn)
{
    struct memtable *m = seg->mem;
    uint32_t at = memtable_used(seg);
    uint32_t base = (uint32_t)(start - seg->start);
    for (size_t i = 0; i < count; i++) {
        const struct memtable_plan *p = &plan[i];
        struct memnode *n = (struct memnode *)((uint8_t *)seg->mem + at);
        base_assert(at + node_size(p->height) <= seg->mem_size);
        n->tree = p->tree;
        n->prefix = p->prefix;
        n->lsn = lsn;
        n->key_at = base + p->key_at;
        n->value_at = p->deleted ? 0 : base + p->value_at;
        n->value_size = p->value_size;
        n->key_size = p->key_size;
        n->height_deleted = (uint8_t)(p->height | (p->deleted ? DELETED : 0));
        atomic_store_explicit(&n->state, NODE_LIVE, memory_order_relaxed);
        for (unsigned level = 0; level < p->height; level++) {
            atomic_store_explicit(&n->next[level], 0, memory_order_relaxed);
        }
        filter_add(seg, p->hash);
        at += node_size(p->height);
    }
    /* From here on a successor after a death finds them all complete. */
    atomic_store_explicit(&m->used, at, memory_order_release);
}

int memtable_link(struct segment *seg, uint32_t from, uint32_t to)
{
    _Atomic uint32_t *links[HEIGHT_MAX];
    bool finger = false;
    for (uint32_t at = from; at < to;) {
        struct memnode *n = node_at(seg, at);
        if (n == NULL) {
            return INSTAR_ECORRUPT;
        }
        unsigned height = n->height_deleted & ~DELETED;
        struct target t = {n->tree, n->prefix, n->lsn, node_key(seg, n)};
        int rc = find_links(seg, &t, finger, links);
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
        at += node_size(height);
    }
    return 0;
}

void memtable_void(struct segment *seg, uint32_t from)
{
    uint32_t used = memtable_used(seg);
    for (uint32_t at = from; at < used;) {
        struct memnode *n = node_at(seg, at);
        if (n == NULL) {
            return; /* beyond what any committer filled */
        }
        atomic_store_explicit(&n->state, NODE_VOID, memory_order_release);
        at += node_size(n->height_deleted & ~DELETED);
    }
}
