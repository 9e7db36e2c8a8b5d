/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking all trees of data.mdb. LMDB's pages have no checksums, so what can be held against them
 * is that they fit together:
 *
 *   a page       says its own number, has the kind that its place asks for, and its nodes lie
 *                inside it, fill it without a gap, and ascend strictly
 *   a tree       its branches lead to keys between their own, all leaves are equally deep, and it
 *                has as many pages of each kind and as many entries as its record counts
 *   a digest     its entries add up to what was kept beside it (trees_digest.c)
 *   the file     no page is reached twice, and none that is in use is also free
 *
 * So an inner page that leads elsewhere, which a search would follow without noticing, is seen
 * here; so is a page of an earlier time.
 *
 *   page    0 number (8) | 8 pad (2) | 10 flags (2) | 12 lower, upper (2 + 2), or pages of an
 *           overflow (4) | 16 offset of each node (2) …
 *   node    0 low, high (2 + 2): child or size | 4 flags (2) | 6 key size (2) | 8 key, data
 *   record  of a tree: 0 pad (4) | 4 flags (2) | 6 depth (2) | 8 branch, leaf, overflow pages,
 *           entries, root (8 each)
 *   meta    16 magic, version (4 + 4) | 24 address, size of the map (8 + 8) | 40 record of the
 *           free list, its pad the page size | 88 record of the main tree | 136 last page (8) |
 *           144 transaction (8)
 */
#include "store/pages.h"
#include "store/trees.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_HEADER 16u
#define NODE_HEADER 8u
#define RECORD 48u
#define KEY_MAX 511u
#define DEPTH_MAX 32u
#define NO_PAGE UINT64_MAX
#define MAGIC 0xbeefc0deu
#define INTEGER_KEY 8u
enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 };

struct tree_record {
    uint32_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};

/* One tree on its way. */
struct tree {
    struct pages *p;
    char name[64];
    struct tree_record says;
    struct tree_record found;
    bool integers; /* the free list: keys are numbers */
    bool names;    /* the main tree: values may be records of trees */
    bool digested; /* a named tree */
    uint64_t sum;
};

/* Keys that a page may have: [lower, upper), data NULL: no end. */
struct span {
    struct base_slice lower, upper;
};

/* ---- findings ----------------------------------------------------------------------------- */

#define TEXT_MAX 400

static void place_text(const struct pages *p, uint64_t page, const char *tree, const char *what,
                       char text[TEXT_MAX])
{
    (void)snprintf(text, TEXT_MAX, "data.mdb: page %llu (byte %llu), %s: %s",
                   (unsigned long long)page, (unsigned long long)(page * p->meta.page_bytes), tree,
                   what);
}

static int wrong(struct pages *p, uint64_t page, const char *tree, const char *format, ...)
    BASE_PRINTF(4, 5);
static int wrong(struct pages *p, uint64_t page, const char *tree, const char *format, ...)
{
    char what[256], text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    place_text(p, page, tree, what, text);
    p->findings++;
    return p->fn != NULL ? p->fn(p->arg, page, text) : 0;
}

static void read_record(const uint8_t *at, struct tree_record *out)
{
    *out = (struct tree_record){.flags = base_get_u16(at + 4),
                                .depth = base_get_u16(at + 6),
                                .branches = base_get_u64(at + 8),
                                .leaves = base_get_u64(at + 16),
                                .overflows = base_get_u64(at + 24),
                                .entries = base_get_u64(at + 32),
                                .root = base_get_u64(at + 40)};
}

/* ---- pages -------------------------------------------------------------------------------- */

static bool take_page(struct pages *p, uint64_t page)
{
    bool fresh = (p->seen[page / 8] >> page % 8 & 1) == 0;
    p->seen[page / 8] |= (uint8_t)(1u << page % 8);
    p->seen_pages++;
    return fresh;
}

/* So many bytes of a page, from one on, hold nothing. */
static int give_unused(const struct pages *p, uint64_t page, uint64_t from, uint64_t size)
{
    return p->unused == NULL ? 0 : p->unused(p->arg, page * p->meta.page_bytes + from, size);
}

/* With the system's words, if it has any; else the file has ended. */
static int unreadable(struct tree *t, uint64_t page, int rc)
{
    struct base_err own = {0};
    if (rc == 0) {
        return wrong(t->p, page, t->name, "cannot be read: the file ends before");
    }
    (void)base_err_errno(&own, rc, "cannot be read");
    return wrong(t->p, page, t->name, "%s", own.text);
}

/* Read a page that is reached once, and is where and what it should be. *usable_out: else it was
 * reported. */
static int read_page(struct tree *t, uint64_t page, unsigned kinds, uint8_t *bytes,
                     bool *usable_out)
{
    struct pages *p = t->p;
    size_t size = p->meta.page_bytes, got;
    *usable_out = false;
    if (page < 2 || page > p->meta.last || page >= p->file_pages) {
        return wrong(p, page, t->name, "is outside the file");
    }
    if (!take_page(p, page)) {
        return wrong(p, page, t->name, "is reached twice");
    }
    int rc = os_pread(p->fd, bytes, size, (off_t)(page * size), &got);
    if (rc != 0 && p->shallow) {
        return base_err_errno(p->err, -rc, "data.mdb: page %llu", (unsigned long long)page);
    }
    if (rc != 0 || got != size) {
        return unreadable(t, page, rc);
    }
    if (base_get_u64(bytes) != page) {
        return wrong(p, page, t->name, "says that it is page %llu",
                     (unsigned long long)base_get_u64(bytes));
    }
    unsigned flags = base_get_u16(bytes + 10);
    if ((flags & kinds) == 0 || (flags & (flags - 1)) != 0) {
        return wrong(p, page, t->name, "has flags %#x", flags);
    }
    unsigned lower = base_get_u16(bytes + 12), upper = base_get_u16(bytes + 14);
    if (flags != OVERFLOW &&
        (lower < PAGE_HEADER || (lower & 1) != 0 || lower > upper || upper > size)) {
        return wrong(p, page, t->name, "has its free room from %u to %u", lower, upper);
    }
    *usable_out = true;
    return 0;
}

struct node {
    struct base_slice key;
    const uint8_t *data;
    uint64_t size;  /* of the value */
    uint64_t child; /* of a branch, or the first overflow page */
    unsigned flags;
    size_t room; /* that it takes in its page */
};

/* The nth node; false: it does not lie inside its page. */
static bool read_node(const struct tree *t, const uint8_t *bytes, size_t n, struct node *out)
{
    size_t page_bytes = t->p->meta.page_bytes, upper = base_get_u16(bytes + 14);
    size_t at = base_get_u16(bytes + PAGE_HEADER + n * 2);
    bool branch = base_get_u16(bytes + 10) == BRANCH;
    if (at < upper || at + NODE_HEADER > page_bytes) {
        return false;
    }
    const uint8_t *node = bytes + at;
    size_t key_size = base_get_u16(node + 6), left = page_bytes - at - NODE_HEADER;
    out->flags = branch ? 0 : base_get_u16(node + 4);
    out->size = base_get_u32(node);
    out->child = branch ? out->size | (uint64_t)base_get_u16(node + 4) << 32 : NO_PAGE;
    out->key = base_slice(node + NODE_HEADER, key_size);
    out->data = node + NODE_HEADER + key_size;
    size_t data_room = branch ? 0 : (out->flags & NODE_BIG) != 0 ? 8 : (size_t)out->size;
    if (key_size > KEY_MAX || key_size > left || data_room > left - key_size) {
        return false;
    }
    out->room = (NODE_HEADER + key_size + data_room + 1) & ~(size_t)1;
    if (!branch && (out->flags & NODE_BIG) != 0) {
        out->child = base_get_u64(out->data);
    }
    return (out->flags & ~(unsigned)(NODE_BIG | NODE_TREE)) == 0;
}

static int compare(const struct tree *t, struct base_slice a, struct base_slice b)
{
    if (!t->integers) {
        return base_slice_cmp(a, b);
    }
    uint64_t x = base_get_u64(a.data), y = base_get_u64(b.data);
    return x < y ? -1 : x > y;
}

/* All nodes of a page, before any of them is followed. */
static int check_nodes(struct tree *t, uint64_t page, const uint8_t *bytes, const struct span *span,
                       bool *usable_out)
{
    size_t count = (base_get_u16(bytes + 12) - PAGE_HEADER) / 2, used = 0;
    bool branch = base_get_u16(bytes + 10) == BRANCH;
    struct node before = {0}, node;
    *usable_out = false;
    if (count < (branch ? 2u : 1u)) {
        return wrong(t->p, page, t->name, "has %zu nodes", count);
    }
    for (size_t n = 0; n < count; n++) {
        bool keyed = !branch || n > 0; /* the first key of a branch means nothing */
        if (!read_node(t, bytes, n, &node) ||
            (keyed && (node.key.size == 0 || (t->integers && node.key.size != 8)))) {
            return wrong(t->p, page, t->name, "node %zu does not lie inside it", n);
        }
        if (keyed && before.key.data != NULL && compare(t, before.key, node.key) >= 0) {
            return wrong(t->p, page, t->name, "the key of node %zu is out of order", n);
        }
        if (keyed && ((span->lower.data != NULL && compare(t, node.key, span->lower) < 0) ||
                      (span->upper.data != NULL && compare(t, node.key, span->upper) >= 0))) {
            return wrong(t->p, page, t->name,
                         "the key of node %zu does not belong where it was found", n);
        }
        before = keyed ? node : before;
        used += node.room;
    }
    if (used != t->p->meta.page_bytes - base_get_u16(bytes + 14)) {
        return wrong(t->p, page, t->name, "its nodes overlap, or leave a gap");
    }
    *usable_out = true;
    return 0;
}

static int walk(struct tree *t, uint64_t page, unsigned depth, const struct span *span);
static int walk_tree(struct tree *t, const uint8_t *record);

/* ---- digests ------------------------------------------------------------------------------ */

/* An entry of the main tree: a digest is kept until its tree comes, which is named behind all of
 * them. The position says what all of them add up to. */
static int note_digest(struct tree *t, uint64_t page, struct base_slice key,
                       struct base_slice value)
{
    struct pages *p = t->p;
    struct pages_digest d = {0};
    struct base_slice name;
    struct trees_mark mark;
    if (base_slice_eq(key, base_slice(TREES_POSITION_NAME, strlen(TREES_POSITION_NAME))) &&
        trees_mark_decode(value, &mark, NULL) == 0) {
        p->seals -= mark.digests;
        return 0;
    }
    if (!trees_digest_named(key, &name)) {
        return 0;
    }
    if (name.size >= sizeof(d.name) || !trees_digest_read(name, value, &d.sum)) {
        return wrong(p, page, t->name, "an unreadable digest");
    }
    memcpy(d.name, name.data, name.size);
    p->seals += trees_digest_seal(value);
    return base_buf_add(&p->digests, &d, sizeof(d))
               ? 0
               : base_err_set(p->err, INSTAR_ENOMEM, "no memory to check data.mdb");
}

static int compare_names(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(((struct pages_digest *)0)->name));
}

/* What a named tree adds up to, beside its digest. */
static int compare_digest(struct tree *t, uint64_t root)
{
    const struct base_buf *kept = &t->p->digests;
    struct pages_digest wanted = {0};
    (void)snprintf(wanted.name, sizeof(wanted.name), "%s", t->name + strlen("tree "));
    const struct pages_digest *d = kept->size == 0
                                       ? NULL
                                       : bsearch(&wanted, kept->data, kept->size / sizeof(wanted),
                                                 sizeof(wanted), compare_names);
    if (d == NULL) {
        return wrong(t->p, root, t->name, "has no digest");
    }
    if (d->sum == t->sum) {
        return 0;
    }
    char text[TEXT_MAX];
    const char *what = "its entries do not add up to its digest: some are not those that were "
                       "written last";
    if (t->p->unlike == NULL) {
        return wrong(t->p, root, t->name, "%s", what);
    }
    place_text(t->p, root, t->name, what, text);
    return t->p->unlike(t->p->arg, wanted.name, text);
}

static int compare_seals(struct tree *t)
{
    return t->p->seals == 0 ? 0
                            : wrong(t->p, t->says.root, t->name,
                                    "its digests do not add up to what the position says");
}

/* ---- values ------------------------------------------------------------------------------- */

static int check_overflow(struct tree *t, const struct node *node, uint8_t *scratch)
{
    struct pages *p = t->p;
    uint64_t count = (PAGE_HEADER + node->size + p->meta.page_bytes - 1) / p->meta.page_bytes;
    bool usable;
    int rc = read_page(t, node->child, OVERFLOW, scratch, &usable);
    if (rc != 0 || !usable) {
        return rc;
    }
    if (base_get_u32(scratch + 12) != count || count > p->file_pages - node->child) {
        return wrong(p, node->child, t->name, "counts %u pages for a value of %llu bytes",
                     base_get_u32(scratch + 12), (unsigned long long)node->size);
    }
    for (uint64_t i = 1; rc == 0 && i < count; i++) {
        if (!take_page(p, node->child + i)) {
            rc = wrong(p, node->child + i, t->name, "is reached twice");
        }
    }
    t->found.overflows += count;
    uint64_t used = PAGE_HEADER + node->size;
    return rc == 0 ? give_unused(p, node->child, used, count * p->meta.page_bytes - used) : rc;
}

/* A list of free pages: none of them may be in use. */
static int note_free(struct tree *t, uint64_t page, struct base_slice list)
{
    struct pages *p = t->p;
    const uint8_t *at = list.data;
    uint64_t count = list.size >= 8 ? base_get_u64(at) : UINT64_MAX;
    if (count > list.size / 8 - 1) {
        return wrong(p, page, t->name, "a list of free pages counts more than it has");
    }
    int rc = 0;
    for (uint64_t i = 1; rc == 0 && i <= count; i++) {
        uint64_t free_page = base_get_u64(at + i * 8);
        if (free_page < 2 || free_page > p->meta.last) {
            rc = wrong(p, page, t->name, "page %llu is free, and outside the file",
                       (unsigned long long)free_page);
        } else if (free_page < p->file_pages && !take_page(p, free_page)) {
            rc = wrong(p, free_page, t->name, "is free, and reached besides");
        } else if (free_page < p->file_pages) {
            rc = give_unused(p, free_page, 0, p->meta.page_bytes);
        }
    }
    return rc;
}

/* The value of an entry, of a free list or of a named tree. */
static int take_value(struct tree *t, uint64_t page, const struct node *node,
                      struct base_slice value)
{
    if (t->digested) {
        t->sum += trees_entry_hash(node->key, value);
        return 0;
    }
    return t->integers ? note_free(t, page, value) : 0;
}

static int take_big_value(struct tree *t, uint64_t page, const struct node *node)
{
    struct pages *p = t->p;
    uint64_t at = node->child * p->meta.page_bytes + PAGE_HEADER;
    size_t got = 0;
    uint8_t *value = base_alloc((size_t)node->size); /* check_overflow has seen that it is there */
    if (value == NULL) {
        return base_err_set(p->err, INSTAR_ENOMEM, "no memory for a value of data.mdb");
    }
    int rc = os_pread(p->fd, value, (size_t)node->size, (off_t)at, &got);
    rc = rc == 0 && got == node->size ? take_value(t, page, node, base_slice(value, got))
                                      : unreadable(t, node->child, rc);
    base_free(value);
    return rc;
}

static int check_named_tree(struct tree *t, uint64_t page, const struct node *node)
{
    struct tree named = {.p = t->p, .digested = true};
    (void)snprintf(named.name, sizeof(named.name), "tree %.*s",
                   (int)(node->key.size < 24 ? node->key.size : 24), (const char *)node->key.data);
    if (!t->names || node->size != RECORD) {
        return wrong(t->p, page, t->name, "a tree's record where none belongs");
    }
    return t->p->shallow ? 0 : walk_tree(&named, node->data);
}

static int check_value(struct tree *t, uint64_t page, const struct node *node, uint8_t *scratch)
{
    struct pages *p = t->p;
    uint64_t before = p->findings;
    struct base_slice value = base_slice(node->data, (size_t)node->size);
    bool big = (node->flags & NODE_BIG) != 0;
    int rc = 0;
    if (big) {
        rc = check_overflow(t, node, scratch);
    }
    if (rc != 0 || p->findings != before) {
        return rc;
    }
    if (!t->integers && (node->flags & NODE_TREE) != 0) {
        return check_named_tree(t, page, node);
    }
    if (t->names && !big) {
        rc = note_digest(t, page, node->key, value);
        return rc == 0 && p->entry != NULL ? p->entry(p->arg, node->key, value) : rc;
    }
    return big ? take_big_value(t, page, node) : take_value(t, page, node, value);
}

/* ---- trees -------------------------------------------------------------------------------- */

static int walk_leaf(struct tree *t, uint64_t page, const uint8_t *bytes, uint8_t *scratch)
{
    size_t count = (base_get_u16(bytes + 12) - PAGE_HEADER) / 2;
    int rc = 0;
    t->found.leaves++;
    t->found.entries += count;
    t->p->entries += count;
    for (size_t n = 0; rc == 0 && n < count; n++) {
        struct node node;
        if (read_node(t, bytes, n, &node)) {
            rc = check_value(t, page, &node, scratch);
        }
    }
    return rc;
}

static int walk_branch(struct tree *t, const uint8_t *bytes, unsigned depth,
                       const struct span *span)
{
    size_t count = (base_get_u16(bytes + 12) - PAGE_HEADER) / 2;
    int rc = 0;
    t->found.branches++;
    for (size_t n = 0; rc == 0 && n < count; n++) {
        struct span part = *span;
        struct node node, next;
        if (read_node(t, bytes, n, &node)) {
            part.lower = n > 0 ? node.key : span->lower;
            part.upper =
                n + 1 < count && read_node(t, bytes, n + 1, &next) ? next.key : span->upper;
            rc = walk(t, node.child, depth + 1, &part);
        }
    }
    return rc;
}

static int walk(struct tree *t, uint64_t page, unsigned depth, const struct span *span)
{
    size_t size = t->p->meta.page_bytes;
    bool leaf = depth == t->says.depth;
    bool usable;
    uint8_t *bytes = base_alloc(2 * size); /* of this page, and of an overflow's first */
    if (bytes == NULL) {
        return base_err_set(t->p->err, INSTAR_ENOMEM, "no memory for a page");
    }
    int rc = read_page(t, page, leaf ? LEAF : BRANCH, bytes, &usable);
    if (rc == 0 && usable) {
        rc = check_nodes(t, page, bytes, span, &usable);
    }
    if (rc == 0 && usable) {
        size_t lower = base_get_u16(bytes + 12), upper = base_get_u16(bytes + 14);
        rc = give_unused(t->p, page, lower, upper - lower);
    }
    if (rc == 0 && usable) {
        rc = leaf ? walk_leaf(t, page, bytes, bytes + size) : walk_branch(t, bytes, depth, span);
    }
    base_free(bytes);
    return rc;
}

static int compare_counts(struct tree *t, uint64_t root)
{
    const struct tree_record *a = &t->says, *b = &t->found;
    if (a->branches == b->branches && a->leaves == b->leaves && a->overflows == b->overflows &&
        a->entries == b->entries) {
        return 0;
    }
    return wrong(t->p, root, t->name,
                 "its record counts %llu entries in %llu + %llu + %llu pages, found %llu in %llu + "
                 "%llu + %llu",
                 (unsigned long long)a->entries, (unsigned long long)a->branches,
                 (unsigned long long)a->leaves, (unsigned long long)a->overflows,
                 (unsigned long long)b->entries, (unsigned long long)b->branches,
                 (unsigned long long)b->leaves, (unsigned long long)b->overflows);
}

static int walk_tree(struct tree *t, const uint8_t *record)
{
    static const struct span all = {{NULL, 0}, {NULL, 0}};
    struct pages *p = t->p;
    read_record(record, &t->says);
    p->trees++;
    bool empty = t->says.root == NO_PAGE;
    if (t->says.depth > DEPTH_MAX || (t->says.depth == 0) != empty ||
        (t->says.flags & ~(t->integers ? INTEGER_KEY : 0u)) != 0) {
        return wrong(p, empty ? 0 : t->says.root, t->name, "its record has depth %u and flags %#x",
                     t->says.depth, t->says.flags);
    }
    uint64_t before = p->findings;
    int rc = empty ? 0 : walk(t, t->says.root, 1, &all);
    rc = rc == 0 && p->findings == before ? compare_counts(t, t->says.root) : rc;
    return rc == 0 && p->findings == before && t->digested ? compare_digest(t, t->says.root) : rc;
}

static int walk_all(struct pages *p)
{
    struct tree freed = {.p = p, .name = "the free list", .integers = true};
    struct tree main_tree = {.p = p, .name = "the main tree", .names = true};
    int rc = p->shallow ? 0 : walk_tree(&freed, p->meta.bytes + 40);
    rc = rc == 0 ? walk_tree(&main_tree, p->meta.bytes + 88) : rc;
    return rc == 0 && p->findings == 0 ? compare_seals(&main_tree) : rc;
}

/* Neither in use nor in the list of those that are free: behind the last page, or lost. */
static int give_unseen(const struct pages *p)
{
    int rc = 0;
    for (uint64_t page = 2; rc == 0 && p->unused != NULL && page < p->file_pages; page++) {
        if ((p->seen[page / 8] >> page % 8 & 1) == 0) {
            rc = give_unused(p, page, 0, p->meta.page_bytes);
        }
    }
    return rc;
}

int pages_walk(struct pages *p, struct base_err *err)
{
    p->err = err;
    p->seen = base_alloc_zero(p->file_pages / 8 + 1, 1);
    if (p->seen == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to check data.mdb");
    }
    int rc = walk_all(p);
    rc = rc == 0 && p->findings == 0 ? give_unseen(p) : rc;
    base_buf_free(&p->digests);
    base_free(p->seen);
    p->seen = NULL;
    return rc;
}

/* ---- meta pages --------------------------------------------------------------------------- */

bool pages_meta_read(const uint8_t bytes[PAGES_META_BYTES], uint64_t page, struct pages_meta *out,
                     const char **what_out)
{
    uint32_t size = base_get_u32(bytes + 40);
    uint64_t txn = base_get_u64(bytes + 144), last = base_get_u64(bytes + 136);
    const char *what = NULL;
    if (base_get_u64(bytes) != page || base_get_u16(bytes + 10) != META) {
        what = "is no meta page";
    } else if (base_get_u32(bytes + 16) != MAGIC || base_get_u32(bytes + 20) != 1) {
        what = "has another magic number or version";
    } else if (size < 512 || size > 65536 || (size & (size - 1)) != 0) {
        what = "has an impossible page size";
    } else if (txn > 0 && (txn & 1) != page) {
        what = "has the number of a transaction that belongs on the other one";
    } else if (last < 1 || last >= UINT64_C(1) << 48 ||
               base_get_u64(bytes + 24 + 8) / size <= last) {
        what = "has an impossible last page";
    }
    *what_out = what;
    *out = (struct pages_meta){.page_bytes = size,
                               .free_root = base_get_u64(bytes + 80),
                               .main_root = base_get_u64(bytes + 128),
                               .last = last,
                               .txn = txn};
    memcpy(out->bytes, bytes, PAGES_META_BYTES);
    return what == NULL;
}

int pages_metas(struct pages *p, struct base_err *err)
{
    struct pages_meta metas[2] = {{0}};
    bool good[2];
    struct stat st;
    int rc = os_fstat(p->fd, &st);
    for (uint64_t i = 0; rc == 0 && i < 2; i++) {
        uint8_t bytes[PAGES_META_BYTES] = {0};
        const char *what = "is missing";
        size_t got = 0;
        uint64_t at = i == 0 || metas[0].page_bytes == 0 ? i * 4096 : metas[0].page_bytes;
        rc = os_pread(p->fd, bytes, sizeof(bytes), (off_t)at, &got);
        good[i] = rc == 0 && got == sizeof(bytes) && pages_meta_read(bytes, i, &metas[i], &what);
        if (rc == 0 && !good[i]) {
            metas[i].page_bytes = 0;
            p->meta.page_bytes = 4096;
            int stop = wrong(p, i, "a meta page", "%s", what);
            if (stop != 0) {
                return stop;
            }
        }
    }
    if (rc != 0) {
        return base_err_errno(err, -rc, "data.mdb: cannot be read");
    }
    if (!good[0] && !good[1]) {
        return base_err_set(err, INSTAR_ECORRUPT, "data.mdb: neither meta page can be used");
    }
    p->meta = metas[good[1] && (!good[0] || metas[1].txn > metas[0].txn) ? 1 : 0];
    p->file_pages = (uint64_t)st.st_size / p->meta.page_bytes;
    return 0;
}

/* Each number of a transaction has its page: that of the one before belongs on the other. */
int pages_meta_copy(int fd, const struct pages_meta *from, uint64_t to, struct base_err *err)
{
    uint8_t bytes[PAGES_META_BYTES];
    memcpy(bytes, from->bytes, sizeof(bytes));
    base_put_u64(bytes, to);
    base_put_u64(bytes + 144, from->txn > 0 ? from->txn - 1 : 0);
    int rc = os_pwrite(fd, bytes, sizeof(bytes), (off_t)(to * from->page_bytes));
    return rc == 0 ? 0
                   : base_err_errno(err, -rc, "data.mdb: meta page %llu cannot be written",
                                    (unsigned long long)to);
}
