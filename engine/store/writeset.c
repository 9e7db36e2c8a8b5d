/* SPDX-License-Identifier: Apache-2.0 */
/* A skip list with a fast path for keys that come in order, as imports and range updates do. */
#include "store/writeset.h"

#include <string.h>

static uint64_t filter_bit(uint64_t tree, uint64_t prefix)
{
    return UINT64_C(1) << ((prefix ^ tree << 32) * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

/* Sign of entry - (tree, key). */
static int compare(const struct writeset_entry *e, uint64_t tree, uint64_t prefix,
                   struct base_slice key)
{
    if (e->tree != tree) {
        return e->tree < tree ? -1 : 1;
    }
    if (e->prefix != prefix) {
        return e->prefix < prefix ? -1 : 1;
    }
    return base_slice_cmp(writeset_key(e), key);
}

void writeset_reset(struct writeset *ws)
{
    base_arena_reset(&ws->arena);
    memset(ws->head, 0, sizeof ws->head);
    memset(ws->tail, 0, sizeof ws->tail);
    ws->count = 0;
    ws->bytes = 0;
    ws->version = 0;
    ws->filter = 0;
}

void writeset_free(struct writeset *ws)
{
    base_arena_free(&ws->arena);
    *ws = (struct writeset){0};
}

/* The last entry < (tree, key) of each level, NULL for the head. */
static struct writeset_entry *search(const struct writeset *ws, uint64_t tree,
                                     struct base_slice key,
                                     struct writeset_entry *before[WRITESET_HEIGHT_MAX])
{
    uint64_t prefix = base_slice_prefix(key, 0);
    struct writeset_entry *at = NULL;
    if (ws->tail[0] != NULL && compare(ws->tail[0], tree, prefix, key) < 0) {
        memcpy(before, ws->tail, sizeof ws->tail);
        return NULL;
    }
    for (int level = WRITESET_HEIGHT_MAX - 1; level >= 0; level--) {
        struct writeset_entry *next = at != NULL ? at->next[level] : ws->head[level];
        while (next != NULL && compare(next, tree, prefix, key) < 0) {
            at = next;
            next = at->next[level];
        }
        before[level] = at;
    }
    return at != NULL ? at->next[0] : ws->head[0];
}

struct writeset_entry *writeset_at_least(const struct writeset *ws, uint64_t tree,
                                         struct base_slice key)
{
    struct writeset_entry *before[WRITESET_HEIGHT_MAX];
    return ws->count != 0 ? search(ws, tree, key, before) : NULL;
}

struct writeset_entry *writeset_before(const struct writeset *ws, uint64_t tree,
                                       struct base_slice key)
{
    struct writeset_entry *before[WRITESET_HEIGHT_MAX];
    if (ws->count == 0) {
        return NULL;
    }
    search(ws, tree, key, before);
    return before[0];
}

struct writeset_entry *writeset_find(const struct writeset *ws, uint64_t tree,
                                     struct base_slice key)
{
    if ((ws->filter & filter_bit(tree, base_slice_prefix(key, 0))) == 0) {
        return NULL;
    }
    struct writeset_entry *e = writeset_at_least(ws, tree, key);
    return e != NULL && e->tree == tree && base_slice_eq(writeset_key(e), key) ? e : NULL;
}

static uint64_t varint_bytes(uint64_t v)
{
    uint64_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

/* What an operation takes in a record's body. */
static uint64_t body_bytes(uint64_t tree, size_t key_size, size_t value_size, bool deleted)
{
    uint64_t n = 1 + varint_bytes(tree) + varint_bytes(key_size) + key_size;
    return deleted ? n : n + varint_bytes(value_size) + value_size;
}

static int random_height(struct writeset *ws)
{
    ws->random = ws->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t bits = ws->random >> 33;
    int height = 1;
    while (height < WRITESET_HEIGHT_MAX && (bits & 3) == 0) {
        height++;
        bits >>= 2;
    }
    return height;
}

static struct writeset_entry *link_new(struct writeset *ws, uint64_t tree, struct base_slice key,
                                       struct writeset_entry *before[WRITESET_HEIGHT_MAX])
{
    int height = random_height(ws);
    size_t links = (size_t)height * sizeof(struct writeset_entry *);
    struct writeset_entry *e =
        base_arena_alloc(&ws->arena, sizeof(struct writeset_entry) + links + key.size);
    if (e == NULL) {
        return NULL;
    }
    *e = (struct writeset_entry){.tree = tree,
                                 .prefix = base_slice_prefix(key, 0),
                                 .key_size = (uint16_t)key.size,
                                 .height = (uint8_t)height,
                                 .prev = before[0]};
    memcpy(&e->next[height], key.data, key.size);
    for (int level = 0; level < height; level++) {
        struct writeset_entry **from =
            before[level] != NULL ? &before[level]->next[level] : &ws->head[level];
        e->next[level] = *from;
        *from = e;
        if (e->next[level] == NULL) {
            ws->tail[level] = e;
        }
    }
    if (e->next[0] != NULL) {
        e->next[0]->prev = e;
    }
    ws->filter |= filter_bit(tree, e->prefix);
    ws->count++;
    return e;
}

/* Room for a value where e has too little: NULL when out of memory. Doubling bounds what rewriting
 * one key over and over costs. */
static uint8_t *reserve(struct writeset *ws, const struct writeset_entry *e, size_t size,
                        size_t *capacity_out)
{
    size_t capacity = e != NULL ? e->value_capacity * (size_t)2 : 0;
    *capacity_out = capacity < size ? size : capacity;
    return base_arena_alloc(&ws->arena, *capacity_out);
}

int writeset_set(struct writeset *ws, uint64_t tree, struct base_slice key, struct base_slice value,
                 struct base_err *err)
{
    struct writeset_entry *before[WRITESET_HEIGHT_MAX];
    struct writeset_entry *e = search(ws, tree, key, before);
    bool deleted = value.data == NULL;
    if (e != NULL && (e->tree != tree || !base_slice_eq(writeset_key(e), key))) {
        e = NULL;
    }
    uint64_t bytes = ws->bytes + body_bytes(tree, key.size, value.size, deleted);
    if (e != NULL) {
        bytes -= body_bytes(tree, key.size, e->value_size, e->deleted);
    }
    if (bytes > ws->bytes_max || value.size > UINT32_MAX / 2) {
        return base_err_set(err, INSTAR_ELIMIT, "the transaction would pass %llu bytes",
                            (unsigned long long)ws->bytes_max);
    }
    if (e == NULL && ws->count >= ws->count_max) {
        return base_err_set(err, INSTAR_ELIMIT, "the transaction would pass %llu operations",
                            (unsigned long long)ws->count_max);
    }
    uint8_t *room = NULL;
    size_t capacity = 0;
    if (!deleted && (e == NULL || value.size > e->value_capacity)) {
        room = reserve(ws, e, value.size, &capacity);
        if (room == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "no memory for the transaction");
        }
    }
    if (e == NULL) {
        e = link_new(ws, tree, key, before);
        if (e == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "no memory for the transaction");
        }
    }
    if (room != NULL) {
        e->value = room;
        e->value_capacity = (uint32_t)capacity;
    }
    if (value.size != 0) {
        memmove(e->value, value.data, value.size); /* it may be the old value itself */
    }
    e->value_size = (uint32_t)value.size;
    e->deleted = deleted;
    ws->bytes = bytes;
    ws->version++;
    return 0;
}
