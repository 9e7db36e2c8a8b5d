/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which leaf comes behind one? LMDB's cursor knows, but does not tell before it goes there, and by
 * then it waits for memory. The leaf's parent says so, so a walk along leaves keeps a place in the
 * parent, and looks it up from the root when that is read to its end.
 *
 *   page    0 number (8) | 10 flags (2) | 12 lower (2): end of the offsets
 *           | 16 offset of each node (2) …
 *   node    of a branch: 0 low, high (2 + 2), 4 (2) the child's number
 *           | 6 size of the key (2) | 8 key
 *   record  of a tree: 6 depth (2) | 40 root (8)
 *
 * What is found is fetched, not believed: LMDB goes its own way. So damage in a branch costs time
 * at most; but nothing outside of a page is read, and no page that the file does not have.
 */
#include "store/trees_lmdb.h"

#define RECORD_BYTES 48u

/* Does the file reach so far? It only grows, so one look lasts, and there is one in a transaction
 * at most. */
static bool is_there(struct trees_read *r, const uint8_t *end)
{
    struct stat st;
    int fd;
    if (end > r->there && !r->there_is_new) {
        r->there_is_new = true;
        if (mdb_env_get_fd(mdb_txn_env(r->txn), &fd) == 0 && os_fstat(fd, &st) == 0) {
            r->there = r->map + st.st_size;
        }
    }
    return end <= r->there;
}

/* NULL: there is none of this number. */
static const uint8_t *page_at(struct trees_read *r, uint64_t number)
{
    if (number > r->map_pages) {
        return NULL;
    }
    const uint8_t *page = r->map + number * r->page_bytes;
    return is_there(r, page + r->page_bytes) ? page : NULL;
}

/* How many children a branch has; 0: it is none. */
static unsigned children(const struct trees_read *r, const uint8_t *page)
{
    size_t lower = base_get_u16(page + 12);
    bool fits = lower >= TREES_PAGE_HEADER && lower <= r->page_bytes;
    return fits && base_get_u16(page + 10) == TREES_PAGE_BRANCH
               ? (unsigned)(lower - TREES_PAGE_HEADER) / 2
               : 0;
}

/* Where the nth node lies; NULL: not on the page. */
static const uint8_t *node_at(const struct trees_read *r, const uint8_t *page, unsigned nth)
{
    size_t offset = base_get_u16(page + TREES_PAGE_HEADER + (size_t)2 * nth);
    size_t room = r->page_bytes - TREES_NODE_HEADER;
    return offset <= room && base_get_u16(page + offset + 6) <= room - offset ? page + offset
                                                                              : NULL;
}

static uint64_t child_of(const uint8_t *node)
{
    return base_get_u32(node) | (uint64_t)base_get_u16(node + 4) << 32;
}

/* The child that has a key: the last one whose own is not greater. The first one's is not asked. */
static const uint8_t *child_with(const struct trees_read *r, const uint8_t *page,
                                 struct base_slice key, unsigned *nth_out)
{
    unsigned low = 0;
    for (unsigned high = children(r, page); low + 1 < high;) {
        unsigned middle = low + (high - low) / 2;
        const uint8_t *node = node_at(r, page, middle);
        if (node == NULL) {
            return NULL;
        }
        struct base_slice first = base_slice(node + TREES_NODE_HEADER, base_get_u16(node + 6));
        if (base_slice_cmp(first, key) <= 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *nth_out = low;
    return node_at(r, page, low);
}

/* The parent of the leaf that has this key, and the leaf's place in it. */
static bool find_parent(struct trees_cursor *c, const uint8_t *leaf, struct base_slice key)
{
    struct trees_read *r = c->read;
    char name[TREES_NAME_MAX];
    MDB_val record;
    trees_name(name, c->tree);
    if (trees_get_named(r->txn, r->main, name, &record) != 0 || record.mv_size != RECORD_BYTES) {
        return false;
    }
    const uint8_t *bytes = record.mv_data;
    const uint8_t *page = page_at(r, base_get_u64(bytes + 40));
    unsigned depth = base_get_u16(bytes + 6);
    for (unsigned level = 1; page != NULL && level < depth && level < TREES_DEPTH_MAX; level++) {
        unsigned nth = 0;
        const uint8_t *node = children(r, page) > 0 ? child_with(r, page, key, &nth) : NULL;
        const uint8_t *child = node != NULL ? page_at(r, child_of(node)) : NULL;
        if (child == leaf) {
            c->leaf.parent = page;
            c->leaf.nth = nth;
            return true;
        }
        page = child;
    }
    return false;
}

const uint8_t *trees_next_leaf(struct trees_cursor *c, const uint8_t *leaf, struct base_slice key)
{
    struct trees_read *r = c->read;
    const uint8_t *parent = c->leaf.parent;
    const uint8_t *node;
    unsigned nth = c->leaf.nth + 1;
    bool known = parent != NULL && nth < children(r, parent) &&
                 (node = node_at(r, parent, nth)) != NULL && page_at(r, child_of(node)) == leaf;
    c->leaf.nth = nth;
    if (!known && !find_parent(c, leaf, key)) {
        c->leaf.parent = NULL;
        return NULL;
    }
    nth = c->leaf.nth + 1;
    node = nth < children(r, c->leaf.parent) ? node_at(r, c->leaf.parent, nth) : NULL;
    return node != NULL ? page_at(r, child_of(node)) : NULL;
}
