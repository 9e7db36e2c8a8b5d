/* SPDX-License-Identifier: Apache-2.0 */
/* Memtables, inside: the layout that memtable.c describes and reads, and memtable_build.c writes.
 */
#ifndef INSTAR_STORE_MEMTABLE_H
#define INSTAR_STORE_MEMTABLE_H

#include "store/log.h"

#define MEMTABLE_HEIGHT_MAX 12

enum memnode_state { MEMNODE_LIVE = 0, MEMNODE_VOID = 1 };

struct memnode {
    uint64_t tree;
    uint64_t prefix;
    uint64_t lsn;
    uint32_t key_at; /* in the segment */
    uint32_t value_at;
    uint32_t value_size;
    uint16_t key_size;
    uint8_t height_deleted; /* height, and MEMNODE_DELETED */
    _Atomic uint8_t state;
    _Atomic uint32_t next[]; /* height of them */
};
#define MEMNODE_DELETED 0x80u

struct memtable {
    uint64_t magic;
    uint64_t start;
    uint64_t nonce;
    uint32_t size;
    uint32_t arena_at;
    uint32_t filter_mask;  /* blocks of 64 bytes, less one */
    _Atomic uint32_t used; /* writer: where the next node goes; all below are filled */
    uint8_t pad[24];
    _Atomic uint32_t head[MEMTABLE_HEIGHT_MAX];
    uint8_t head_pad[16];
};
_Static_assert(offsetof(struct memnode, next) == 40, "memtable layout: node");
_Static_assert(offsetof(struct memtable, head) == 64, "memtable layout: head");
_Static_assert(sizeof(struct memtable) == MEMTABLE_HEADER, "memtable layout: header");

/* What is looked for: the first node that is not before (tree, key, lsn descending). */
struct memtable_target {
    uint64_t tree;
    uint64_t prefix;
    uint64_t lsn;
    struct base_slice key;
};

uint32_t memtable_node_size(unsigned height);
/* The node at an offset that somebody else wrote, or NULL when it cannot be one. */
struct memnode *memtable_node(const struct segment *seg, uint32_t offset);
struct base_slice memtable_node_key(const struct segment *seg, const struct memnode *n);
/* For each height the last node before the target, as its array of links. `finger`: begin at what
 * `links` holds from an earlier search for a target that is not greater. ECORRUPT. */
int memtable_find(const struct segment *seg, const struct memtable_target *t, bool finger,
                  _Atomic uint32_t *links[MEMTABLE_HEIGHT_MAX]);
/* Eight words: where the bits of a hash are. */
_Atomic uint64_t *memtable_filter_block(const struct segment *seg, uint64_t hash);

#endif
