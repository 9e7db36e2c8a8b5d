/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sort: keys gathered in any order by several threads, given back in order, in bounded memory.
 * Knows files of sorted runs, but neither rows nor trees.
 *
 *   scan threads           partition            sort each bucket         one consumer
 *   stream 0  ------\    by keys sampled     ----> sorted block 0 --\
 *   stream 1  -------+-> from the streams ------> sorted block 1 ---+--> in order: to a run file,
 *   …         ------/    into buckets        ----> …             --/     or into the tree
 *
 * Partitioning makes buckets that fit a core's cache, and the blocks come out in order: later
 * buckets are sorted while earlier ones are consumed, and nothing is merged when all fits in
 * memory. Memory is handed out in chunks of one size from a pool with a limit; when the pool is
 * empty, the streams are drained into a run file and the scan goes on.
 */
#ifndef INSTAR_CHANGE_SORT_IMPL_H
#define INSTAR_CHANGE_SORT_IMPL_H

#include <string.h>

#include "base/base.h"
#include "base/os.h"

/* Numbers in memory, inline: here they are read once or more for every entry of a build. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as base_get_u16 reads them");
static inline uint16_t sort_u16(const uint8_t *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

/* ---- pool.c: chunks ----------------------------------------------------------------------- */

struct pool_chunk {
    struct pool_chunk *next;
    size_t used; /* of bytes */
    uint8_t bytes[];
};
struct pool_slab;
struct pool {
    struct os_plain_mutex lock;
    struct pool_chunk *free;
    struct pool_slab *slabs; /* of the first one, not all chunks have been made yet */
    size_t chunk_bytes;      /* with its header */
    size_t made;             /* chunks that exist */
    size_t taken;
    size_t taken_max; /* for streams; partitioning may exceed it by its reserve */
};
void pool_init(struct pool *p, size_t budget_bytes);
void pool_destroy(struct pool *p); /* all chunks must have been given back */
/* NULL: the limit is reached, or no memory (then *nomem_out). beyond: the limit does not apply. */
struct pool_chunk *pool_take(struct pool *p, bool beyond, bool *nomem_out);
void pool_give(struct pool *p, struct pool_chunk *chunk);
void pool_give_all(struct pool *p, struct pool_chunk *first); /* and all behind it; NULL: none */
/* The last bytes of a chunk are never used: so whoever copies an entry may copy more than it has.
 */
#define POOL_SPARE 32
static inline size_t pool_room(const struct pool *p)
{
    return p->chunk_bytes - sizeof(struct pool_chunk) - POOL_SPARE;
}
/* At both ends there are POOL_SPARE bytes more. */
static inline void pool_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size <= POOL_SPARE) {
        memcpy(to, from, POOL_SPARE);
    } else {
        memcpy(to, from, size);
    }
}

/* ---- stream.c: entries as they come ------------------------------------------------------- */

/* In a chunk: u16 size, bytes of the key; none straddles two chunks. */
#define STREAM_HEAD 2
#define STREAM_SAMPLE_EVERY 128

struct stream {
    struct pool_chunk *first;
    struct pool_chunk *last;
    uint64_t entries;
    uint64_t bytes;
    const uint8_t **samples; /* every so many-th entry, where it lies */
    size_t sample_count;
    size_t sample_room;
    uint8_t unshared[72]; /* streams of two threads stand side by side: not in one cache line */
};
_Static_assert(sizeof(struct stream) == 128, "two cache lines");
/* False: out of chunks, or *nomem_out; nothing was added. */
bool stream_add(struct stream *s, struct pool *p, struct base_slice key, bool *nomem_out);
void stream_clear(struct stream *s, struct pool *p);
static inline struct base_slice stream_key(const uint8_t *entry)
{
    return base_slice(entry + STREAM_HEAD, sort_u16(entry));
}

/* ---- sort.c ------------------------------------------------------------------------------- */

struct sort_item {
    uint64_t prefix;
    const uint8_t *entry;
};
/* Sort by the keys' bytes. scratch has room for as many items. */
void sort_items(struct sort_item *items, struct sort_item *scratch, size_t count);

/* A sorted block: u16 size, key, 8 bytes of value, one after the other. Also the payload of a run.
 */
#define SORT_VALUE_SIZE 8
struct sort_block {
    uint8_t *data;
    size_t size;
    uint64_t entries;
    uint64_t *hashes; /* one for each entry, if the drain makes them */
    size_t room;      /* of all that data points to */
};
/* Makes the value that goes with a key. */
typedef void (*sort_value_fn)(void *arg, struct base_slice key, uint8_t value[SORT_VALUE_SIZE]);
/* The next entry of a block at *at. False at its end; a block that is cut short sets *bad_out. */
static inline bool sort_block_next(const uint8_t *data, size_t size, size_t *at,
                                   struct base_slice *key_out, struct base_slice *value_out,
                                   bool *bad_out)
{
    if (*at == size) {
        return false;
    }
    size_t left = size - *at;
    size_t need = left >= STREAM_HEAD ? (size_t)sort_u16(data + *at) : 0;
    if (left < STREAM_HEAD + need + SORT_VALUE_SIZE) {
        *bad_out = true;
        return false;
    }
    *key_out = base_slice(data + *at + STREAM_HEAD, need);
    *value_out = base_slice(data + *at + STREAM_HEAD + need, SORT_VALUE_SIZE);
    *at += STREAM_HEAD + need + SORT_VALUE_SIZE;
    return true;
}

/* ---- drain.c: partition, sort, consume ---------------------------------------------------- */

struct drain {
    struct pool *pool;
    struct stream *streams; /* emptied */
    size_t stream_count;
    unsigned workers;
    size_t budget_bytes;
    sort_value_fn value;
    void *value_arg;
    /* What the consumer wants to know of each entry besides; or NULL. In any thread. */
    uint64_t (*hash)(struct base_slice key, struct base_slice value);
    /* Called in the calling thread with each block, in order. Not 0 stops and is returned. */
    int (*consume)(void *arg, const struct sort_block *block, struct base_err *err);
    void *consume_arg;
    /* Called in the calling thread every few milliseconds while it waits. Likewise. */
    int (*poll)(void *arg, struct base_err *err);
    void *poll_arg;
    /* Called in each thread between pieces of about a millisecond, to let others work. Or NULL. */
    void (*breathe)(void *arg, unsigned worker);
    void *breathe_arg;
};
/* The streams are empty afterwards, whatever is returned. */
int drain_run(struct drain *d, struct base_err *err);

/* ---- run.c: sorted runs in files ---------------------------------------------------------- */

/*
 * File:  u64 magic | u64 id | blocks
 * Block: u32 size of the payload | u32 entries | u64 XXH3 of the payload, seeded with the two
 *        numbers before it, the id and the block's offset | payload
 */
#define RUN_HEAD 16
#define RUN_BLOCK_HEAD 16
#define RUN_BLOCK_MAX ((size_t)1 << 20) /* of a block's payload */

struct run {
    uint64_t id; /* different for every run of a store's life */
    uint64_t bytes;
    uint64_t entries;
    uint32_t level; /* how often its entries were merged */
};
struct run_writer {
    int fd;
    size_t block_bytes; /* a block is written when it has so many */
    struct run run;
    struct base_buf pending;
    uint32_t pending_entries;
    /* Called after each synced piece, to let others to the disk. May be NULL. */
    void (*pace)(void *arg, size_t bytes, uint64_t took_ns);
    void *pace_arg;
    uint64_t unsynced;
    size_t piece_bytes; /* sync after so many */
};
/* The descriptor is the caller's. Afterwards pace and piece_bytes may be set. */
int run_write_begin(struct run_writer *w, int fd, uint64_t id, size_t block_bytes,
                    struct base_err *err);
int run_write_add(struct run_writer *w, struct base_slice key, struct base_slice value,
                  struct base_err *err);
/* The same for all entries of a sorted block. */
int run_write_sorted(struct run_writer *w, const struct sort_block *block, struct base_err *err);
/* Writes the rest and syncs: from here on the run may be relied on. */
int run_write_end(struct run_writer *w, struct run *run_out, struct base_err *err);
void run_write_abort(struct run_writer *w);

struct run_reader {
    int fd;
    struct run run;
    uint64_t at;      /* in the file */
    uint64_t entries; /* read so far */
    uint8_t *data;
    size_t size;
    size_t room;
    size_t next;
};
/* ECORRUPT: not that run, or cut short. */
int run_read_begin(struct run_reader *r, int fd, const struct run *run, struct base_err *err);
/* INSTAR_END after the last. Slices are valid until the next call. */
int run_read_next(struct run_reader *r, struct base_slice *key_out, struct base_slice *value_out,
                  struct base_err *err);
void run_read_end(struct run_reader *r);

/* ---- merge.c ------------------------------------------------------------------------------ */

struct merge;
/* The readers are the caller's, and stay where they are. */
int merge_begin(struct run_reader *readers, size_t count, struct merge **merge_out,
                struct base_err *err);
/* The next entry in order, equal keys once. INSTAR_END. Valid until the next call. */
int merge_next(struct merge *m, struct base_slice *key_out, struct base_slice *value_out,
               struct base_err *err);
void merge_end(struct merge *m);

#endif
