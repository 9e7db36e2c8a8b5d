/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has data.mdb been cut off? LMDB does not ask: it maps the file, and whoever touches a page that
 * is not there gets SIGBUS.
 *
 * That the file is shorter than its meta page counts proves nothing. A page that was taken at the
 * end and given back within one transaction is never written; but then it stands in the free list.
 * So when the file is short, the free list is read, by pread, and must name every missing page.
 * That is LMDB's tree 0; its pages, and all offsets in them, are taken for possibly damaged:
 *
 *   page   0 number (8) | 10 flags (2) | 12 lower, upper (2 + 2), or pages of an overflow (4)
 *          | 16 offset of each node (2) …
 *   node   0 low, high (2 + 2): child or size | 4 flags (2) | 6 key size (2) | 8 key, data
 *   meta   a page with: 16 magic (4) | 40 tree 0, first its page size (4) | 80 its root (8)
 *          | 136 last page (8) | 144 transaction (8)
 */
#include "store/trees_lmdb.h"

#include <string.h>

#define PAGE_MAX 65536u
#define NODE_BIG 1u /* the data lies in overflow pages */
#define LEAF 2u
#define NO_PAGE UINT64_MAX

struct tail {
    int fd;
    size_t page_bytes;
    uint64_t end;     /* first page that is not in the file */
    uint64_t missing; /* pages from there on, up to the last one in use */
    uint64_t found;   /* of them in the free list */
    uint64_t visited; /* pages of the free list */
    uint8_t *seen;    /* a bit for each missing page */
    struct base_err *err;
};

static int damaged(struct tail *t, uint64_t page, const char *what)
{
    return base_err_set(t->err, INSTAR_ECORRUPT, "data.mdb: page %llu of the free list: %s",
                        (unsigned long long)page, what);
}

static int read_at(struct tail *t, uint64_t page, size_t skip, void *buf, size_t size)
{
    size_t got = 0;
    if (page >= t->end) {
        return damaged(t, page, "is beyond the file's end");
    }
    int rc = os_pread(t->fd, buf, size, (off_t)(page * t->page_bytes + skip), &got);
    if (rc != 0) {
        return base_err_errno(t->err, -rc, "data.mdb: page %llu", (unsigned long long)page);
    }
    return got == size ? 0 : damaged(t, page, "is beyond the file's end");
}

/* A list of page numbers: how many, and they. */
static int note_free(struct tail *t, uint64_t page, const uint8_t *list, size_t size)
{
    uint64_t count = size >= 8 ? base_get_u64(list) : UINT64_MAX;
    if (count > size / 8 - 1) {
        return damaged(t, page, "an impossible count");
    }
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t bit = base_get_u64(list + i * 8) - t->end;
        if (bit < t->missing && (t->seen[bit / 8] >> bit % 8 & 1) == 0) {
            t->seen[bit / 8] |= (uint8_t)(1 << bit % 8);
            t->found++;
        }
    }
    return 0;
}

/* A list too long for its leaf. */
static int note_big(struct tail *t, uint64_t page, uint64_t at, size_t size)
{
    if (at >= t->end || size > (t->end - at) * t->page_bytes - TREES_PAGE_HEADER) {
        return damaged(t, page, "a list beyond the file's end");
    }
    uint8_t *list = base_alloc(size);
    if (list == NULL) {
        return base_err_set(t->err, INSTAR_ENOMEM, "no memory for the free list");
    }
    int rc = read_at(t, at, TREES_PAGE_HEADER, list, size);
    if (rc == 0) {
        rc = note_free(t, at, list, size);
    }
    base_free(list);
    return rc;
}

/* The nth node of a page. *child_out: of a branch; of a leaf the list is noted. */
static int visit(struct tail *t, uint64_t page, const uint8_t *bytes, size_t n, uint64_t *child_out)
{
    size_t at = base_get_u16(bytes + TREES_PAGE_HEADER + n * 2);
    if (at < TREES_PAGE_HEADER || at + TREES_NODE_HEADER > t->page_bytes) {
        return damaged(t, page, "a node outside it");
    }
    const uint8_t *node = bytes + at;
    uint32_t low = base_get_u32(node);
    uint32_t flags = base_get_u16(node + 4);
    size_t data = at + TREES_NODE_HEADER + base_get_u16(node + 6);
    *child_out = (uint64_t)flags << 32 | low;
    if ((base_get_u16(bytes + 10) & TREES_PAGE_BRANCH) != 0) {
        return 0;
    }
    if (data + 8 > t->page_bytes || ((flags & NODE_BIG) == 0 && low > t->page_bytes - data)) {
        return damaged(t, page, "a node outside it");
    }
    return (flags & NODE_BIG) != 0 ? note_big(t, page, base_get_u64(bytes + data), low)
                                   : note_free(t, page, bytes + data, low);
}

static int walk(struct tail *t, uint64_t page, unsigned depth)
{
    if (++t->visited > t->end) {
        return damaged(t, page, "is reached more than once");
    }
    uint8_t *bytes = base_alloc(t->page_bytes);
    if (bytes == NULL) {
        return base_err_set(t->err, INSTAR_ENOMEM, "no memory for a page");
    }
    int rc = read_at(t, page, 0, bytes, t->page_bytes);
    if (rc == 0 && ((base_get_u16(bytes + 10) & (TREES_PAGE_BRANCH | LEAF)) == 0 ||
                    depth > TREES_DEPTH_MAX || base_get_u16(bytes + 12) < TREES_PAGE_HEADER ||
                    base_get_u16(bytes + 12) > t->page_bytes)) {
        rc = damaged(t, page, "is no page of a tree");
    }
    size_t count = rc == 0 ? (base_get_u16(bytes + 12) - TREES_PAGE_HEADER) / 2 : 0;
    bool branch = rc == 0 && (base_get_u16(bytes + 10) & TREES_PAGE_BRANCH) != 0;
    for (size_t n = 0; rc == 0 && n < count; n++) {
        uint64_t child = NO_PAGE;
        rc = visit(t, page, bytes, n, &child);
        if (rc == 0 && branch) {
            rc = walk(t, child, depth + 1);
        }
    }
    base_free(bytes);
    return rc;
}

/* The root of the free list, in the newer meta. */
static int find_root(struct tail *t, uint64_t *root_out)
{
    uint64_t newest = 0;
    *root_out = NO_PAGE;
    for (uint64_t page = 0; page < 2; page++) {
        uint8_t meta[152];
        int rc = read_at(t, page, 0, meta, sizeof meta);
        if (rc != 0) {
            return rc;
        }
        if (page == 0 || base_get_u64(meta + 144) > newest) {
            newest = base_get_u64(meta + 144);
            *root_out = base_get_u64(meta + 80);
        }
    }
    return 0;
}

static int check_short(struct tail *t, uint64_t last)
{
    uint64_t root;
    t->seen = base_alloc_zero(t->missing / 8 + 1, 1);
    if (t->seen == NULL) {
        return base_err_set(t->err, INSTAR_ENOMEM, "no memory for the free list");
    }
    int rc = find_root(t, &root);
    if (rc == 0 && root != NO_PAGE) {
        rc = walk(t, root, 0);
    }
    base_free(t->seen);
    if (rc == 0 && t->found != t->missing) {
        rc =
            base_err_set(t->err, INSTAR_ECORRUPT,
                         "data.mdb: ends at byte %llu, expected up to %llu: %llu pages are missing",
                         (unsigned long long)(t->end * t->page_bytes),
                         (unsigned long long)((last + 1) * t->page_bytes),
                         (unsigned long long)(t->missing - t->found));
    }
    return rc;
}

int trees_tail_check(struct trees *trees, struct base_err *err)
{
    struct tail t = {.err = err};
    struct stat st;
    MDB_envinfo info;
    MDB_stat env;
    int rc = mdb_env_info(trees->env, &info);
    rc = rc == 0 ? mdb_env_stat(trees->env, &env) : rc;
    /* LMDB's own descriptor: closing another one of the file would drop its locks (H-4). */
    rc = rc == 0 ? mdb_env_get_fd(trees->env, &t.fd) : rc;
    if (rc != 0) {
        return trees_failed(err, rc, "open");
    }
    rc = os_fstat(t.fd, &st);
    if (rc != 0) {
        return base_err_errno(err, -rc, "data.mdb");
    }
    t.page_bytes = env.ms_psize;
    t.end = (uint64_t)st.st_size / t.page_bytes;
    if (t.end > info.me_last_pgno) {
        return 0;
    }
    t.missing = info.me_last_pgno + 1 - t.end;
    if (t.page_bytes > PAGE_MAX || info.me_last_pgno >= info.me_mapsize / t.page_bytes) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "data.mdb: its last page, %llu, is beyond map_bytes",
                            (unsigned long long)info.me_last_pgno);
    }
    return check_short(&t, info.me_last_pgno);
}
