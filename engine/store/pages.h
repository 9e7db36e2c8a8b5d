/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages: data.mdb's pages looked at without LMDB, which trusts what it maps. By pread alone; every
 * number in them is taken for possibly wrong.
 */
#ifndef INSTAR_STORE_PAGES_H
#define INSTAR_STORE_PAGES_H

#include "store/store_impl.h"

#define PAGES_META_BYTES 152u /* of a meta page, as far as it is used */

struct pages_meta {
    uint32_t page_bytes;
    uint64_t free_root, main_root; /* UINT64_MAX: an empty tree */
    uint64_t last;                 /* the last page that is in use, or was */
    uint64_t txn;
    uint8_t bytes[PAGES_META_BYTES];
};

struct pages {
    int fd;
    uint64_t file_pages;
    struct pages_meta meta; /* the snapshot that is looked at */
    bool shallow;           /* metas and the main tree alone: what an open depends on */
    /* Each thing that is wrong: the page it was met on, and what. Not 0 stops, and is returned. */
    int (*fn)(void *arg, uint64_t page, const char *text);
    /* A tree, by its name, whose entries do not add up to its digest: nothing that LMDB would
     * stumble over. NULL: goes to fn. */
    int (*unlike)(void *arg, const char *name, const char *text);
    /* Each plain entry of the main tree, or NULL. Not 0 stops, and is returned. */
    int (*entry)(void *arg, struct base_slice key, struct base_slice value);
    /* Each part of the file, in no order, that is in no node and no value, or NULL. Metas aside.
     * Not 0 stops, and is returned. */
    int (*unused)(void *arg, uint64_t at, uint64_t size);
    void *arg;
    uint64_t findings, seen_pages, entries, trees;
    struct base_buf digests; /* struct pages_digest, as the main tree has them, in order */
    uint64_t seals;          /* of them, added up */
    uint8_t *seen;           /* a bit for each page of the file */
    struct base_err *err;
};

struct pages_digest {
    char name[24]; /* of the tree, padded with zeros */
    uint64_t sum;
};

/* Does this meta page hold? Else what does not. */
bool pages_meta_read(const uint8_t bytes[PAGES_META_BYTES], uint64_t page, struct pages_meta *out,
                     const char **what_out);
/* Both meta pages, and p->meta is the newer one. ECORRUPT when none can be used. */
int pages_metas(struct pages *p, struct base_err *err);
/* Make meta page `to`, the other one, hold this snapshot as that of the transaction before. Not
 * synced. */
int pages_meta_copy(int fd, const struct pages_meta *from, uint64_t to, struct base_err *err);
/* Every page that can be reached from p->meta: once, whole, in its place, and in order. */
int pages_walk(struct pages *p, struct base_err *err);

#endif
