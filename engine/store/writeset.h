/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writeset: what a transaction is going to write, sorted by tree and key, one entry a key. A skip
 * list in an arena: entries never move and never go before the reset, so cursors may stand on them.
 */
#ifndef INSTAR_STORE_WRITESET_H
#define INSTAR_STORE_WRITESET_H

#include "base/base.h"

#define WRITESET_HEIGHT_MAX 12

struct writeset_entry {
    uint64_t tree;
    uint64_t prefix; /* first eight bytes of the key, big-endian: most compares end there */
    uint8_t *value;
    uint32_t value_size, value_capacity;
    uint16_t key_size;
    bool deleted;
    uint8_t height;
    struct writeset_entry *prev;
    struct writeset_entry *next[]; /* height of them, then the key */
};

struct writeset {
    struct base_arena arena;
    struct writeset_entry *head[WRITESET_HEIGHT_MAX];
    struct writeset_entry *tail[WRITESET_HEIGHT_MAX]; /* the last of each level */
    size_t count;
    uint64_t bytes; /* as a record's body */
    uint64_t bytes_max, count_max;
    uint64_t version; /* grows with every change */
    uint64_t random;
    uint64_t filter; /* bit by tree and prefix: what has another one is not in here */
};

/* Zero-initialise, and set bytes_max and count_max, first. Keeps them. */
void writeset_reset(struct writeset *ws);
void writeset_free(struct writeset *ws);
/* Put, or delete when value.data is NULL. ELIMIT when the body would pass bytes_max or count_max,
 * and then nothing has changed. */
int writeset_set(struct writeset *ws, uint64_t tree, struct base_slice key, struct base_slice value,
                 struct base_err *err);
struct writeset_entry *writeset_find(const struct writeset *ws, uint64_t tree,
                                     struct base_slice key);
/* The first entry >= (tree, key), of whatever tree; NULL: none. */
struct writeset_entry *writeset_at_least(const struct writeset *ws, uint64_t tree,
                                         struct base_slice key);
/* The last entry < (tree, key); NULL: none. */
struct writeset_entry *writeset_before(const struct writeset *ws, uint64_t tree,
                                       struct base_slice key);
static inline struct base_slice writeset_key(const struct writeset_entry *e)
{
    return base_slice(&e->next[e->height], e->key_size);
}

#endif
