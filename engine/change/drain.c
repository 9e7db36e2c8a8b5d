/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From streams in any order to blocks in order, by several threads.
 *
 * 1. The splitters: the streams' samples, sorted; every n-th one begins a bucket. Keys are
 * distinct, so buckets come out alike in size however the values are distributed.
 * 2. Partition: each thread takes chunks and deals their entries to its own part of each bucket.
 *    A chunk goes back to the pool at once.
 * 3. Sort: each thread takes the next bucket, sorts it and lays it out as a block. The calling
 *    thread consumes the blocks in order. Threads wait when too many blocks are ready.
 */
#include "change/sort_impl.h"

#include <string.h>

/* A bucket's share of the entries: it should fit a core's second-level cache with its items. */
#define BUCKET_BYTES ((size_t)192 << 10)
#define BUCKETS_MAX 1024
/* Blocks that are ready, or nearly, before one of the sorters rests, so that who consumes them has
 * a core. The others go on: while a batch of blocks is synced, nobody consumes any. */
#define BLOCKS_AHEAD 6
#define WAIT_NS 20000000u

/* What a thread has dealt to a bucket. All parts of a thread are in use at once, by turns without
 * any order, and should stay in the first-level cache: so this is small. */
struct part {
    uint8_t *at;               /* in the chunk that is being filled, where the next entry goes */
    uint8_t *end;              /* of its room */
    struct pool_chunk *chunks; /* that one is the first */
    size_t entries;
};
struct bucket {
    struct sort_block block;
    bool ready;
};
struct shared {
    struct drain *d;
    struct os_plain_mutex lock;
    struct os_cond cond;
    struct pool_chunk *chunks; /* not yet partitioned */
    size_t bucket_count;
    uint64_t *prefixes;        /* of the splitters, behind what they have in common */
    const uint8_t **splitters; /* bucket_count - 1 of them, copies */
    size_t common;
    struct base_arena arena;
    struct part *parts; /* [worker][bucket] */
    struct bucket *buckets;
    size_t next;        /* bucket to be sorted */
    size_t ahead_bytes; /* of blocks that are ready */
    size_t consumed;
    struct sort_block *spare; /* blocks that were consumed, to be filled again */
    size_t spare_count;
    unsigned running;
    bool stop;
    bool nomem;
};
struct worker {
    struct shared *sh;
    unsigned number;
    struct sort_item *items; /* room for sorting a bucket */
    size_t item_room;
    struct os_thread thread;
};

/* ---- 1. splitters ------------------------------------------------------------------------- */

static size_t bucket_count_for(const struct drain *d)
{
    uint64_t bytes = 0;
    /* While partitioning, each thread holds a chunk for each bucket: at most an eighth. */
    size_t most = d->budget_bytes / 8 / d->pool->chunk_bytes / d->workers;

    for (size_t i = 0; i < d->stream_count; i++) {
        bytes += d->streams[i].bytes;
    }
    size_t count = (size_t)(bytes / BUCKET_BYTES) + 1;
    most = most < 1 ? 1 : most > BUCKETS_MAX ? BUCKETS_MAX : most;
    return count < most ? count : most;
}

static struct sort_item *sorted_samples(const struct drain *d, size_t *count_out)
{
    size_t count = 0;

    for (size_t i = 0; i < d->stream_count; i++) {
        count += d->streams[i].sample_count;
    }
    *count_out = count;
    struct sort_item *items = base_alloc_zero(count * 2 + 1, sizeof(*items));
    if (items == NULL) {
        return NULL;
    }
    size_t n = 0;
    for (size_t i = 0; i < d->stream_count; i++) {
        for (size_t j = 0; j < d->streams[i].sample_count; j++) {
            items[n++].entry = d->streams[i].samples[j];
        }
    }
    sort_items(items, items + count, count);
    return items;
}

/* The samples lie in chunks that go while partitioning, so the splitters are copied. */
static bool choose_splitters(struct shared *sh)
{
    size_t count;
    struct sort_item *samples = sorted_samples(sh->d, &count);
    bool ok = samples != NULL;

    sh->splitters = base_alloc_zero(sh->bucket_count, sizeof(*sh->splitters));
    sh->prefixes = base_alloc_zero(sh->bucket_count, sizeof(*sh->prefixes));
    ok = ok && sh->splitters != NULL && sh->prefixes != NULL;
    size_t chosen = 0;
    for (size_t i = 1; ok && i < sh->bucket_count; i++) {
        const uint8_t *entry = count == 0 ? NULL : samples[i * count / sh->bucket_count].entry;
        if (entry == NULL || (chosen > 0 && base_slice_eq(stream_key(entry),
                                                          stream_key(sh->splitters[chosen - 1])))) {
            continue;
        }
        sh->splitters[chosen] =
            base_arena_copy(&sh->arena, entry, STREAM_HEAD + stream_key(entry).size);
        ok = sh->splitters[chosen] != NULL;
        chosen++;
    }
    if (ok) {
        sh->bucket_count = chosen + 1;
        sh->common = chosen < 2 ? 0
                                : base_slice_common_prefix(stream_key(sh->splitters[0]),
                                                           stream_key(sh->splitters[chosen - 1]));
        for (size_t i = 0; i < chosen; i++) {
            sh->prefixes[i] = base_slice_prefix(stream_key(sh->splitters[i]), sh->common);
        }
    }
    base_free(samples);
    return ok;
}

/* ---- 2. partition ------------------------------------------------------------------------- */

/* The first splitter greater than the key is the end of its bucket. */
static size_t bucket_of(const struct shared *sh, struct base_slice key)
{
    size_t splitters = sh->bucket_count - 1;

    if (sh->common != 0) {
        size_t size = key.size < sh->common ? key.size : sh->common;
        int order = memcmp(key.data, sh->splitters[0] + STREAM_HEAD, size);
        if (order != 0 || size < sh->common) {
            return order > 0 ? splitters : 0;
        }
    }
    uint64_t prefix = base_slice_prefix(key, sh->common);
    /* Without a branch: which way to go cannot be foretold. */
    const uint64_t *from = sh->prefixes;
    for (size_t count = splitters; count > 0;) {
        size_t half = (count + 1) / 2;
        from += from[half - 1] < prefix ? half : 0;
        count -= half;
    }
    size_t low = (size_t)(from - sh->prefixes);
    while (low < splitters && sh->prefixes[low] == prefix &&
           base_slice_cmp(stream_key(sh->splitters[low]), key) <= 0) {
        low++;
    }
    return low;
}

static struct pool_chunk *take_chunk(struct shared *sh)
{
    struct pool_chunk *chunk = NULL;

    os_plain_lock(&sh->lock);
    if (!sh->stop && sh->chunks != NULL) {
        chunk = sh->chunks;
        sh->chunks = chunk->next;
    }
    os_plain_unlock(&sh->lock);
    return chunk;
}

static void give_up(struct shared *sh, bool nomem)
{
    os_plain_lock(&sh->lock);
    sh->stop = true;
    sh->nomem = sh->nomem || nomem;
    os_cond_wake_all(&sh->cond);
    os_plain_unlock(&sh->lock);
}

static void worker_left(struct shared *sh)
{
    os_plain_lock(&sh->lock);
    sh->running--;
    os_cond_wake_all(&sh->cond);
    os_plain_unlock(&sh->lock);
}

static void breathe(const struct worker *w)
{
    if (w->sh->d->breathe != NULL) {
        w->sh->d->breathe(w->sh->d->breathe_arg, w->number);
    }
}

/* The chunk that is being filled gets no more. */
static void part_close(struct part *p)
{
    if (p->chunks != NULL) {
        p->chunks->used = (size_t)(p->at - p->chunks->bytes);
    }
}

static bool part_extend(struct part *p, struct pool *pool)
{
    bool nomem = false;
    struct pool_chunk *chunk = pool_take(pool, true, &nomem);

    if (chunk == NULL) {
        return false;
    }
    part_close(p);
    chunk->next = p->chunks;
    p->chunks = chunk;
    p->at = chunk->bytes;
    p->end = chunk->bytes + pool_room(pool);
    return true;
}

static bool deal(struct shared *sh, struct part *parts, const struct pool_chunk *chunk)
{
    for (size_t at = 0; at < chunk->used;) {
        const uint8_t *entry = chunk->bytes + at;
        struct base_slice key = stream_key(entry);
        size_t size = STREAM_HEAD + key.size;
        struct part *p = &parts[bucket_of(sh, key)];
        if ((size_t)(p->end - p->at) < size && !part_extend(p, sh->d->pool)) {
            return false;
        }
        pool_copy(p->at, entry, size);
        p->at += size;
        p->entries++;
        at += size;
    }
    return true;
}

static void *partition_main(void *arg)
{
    struct worker *w = arg;
    struct shared *sh = w->sh;
    struct part *parts = sh->parts + w->number * sh->bucket_count;
    struct pool_chunk *chunk;

    while ((chunk = take_chunk(sh)) != NULL) {
        if (!deal(sh, parts, chunk)) {
            give_up(sh, true);
        }
        pool_give(sh->d->pool, chunk);
        breathe(w);
    }
    for (size_t b = 0; b < sh->bucket_count; b++) {
        part_close(&parts[b]);
    }
    worker_left(sh);
    return NULL;
}

/* ---- 3. sort and consume ------------------------------------------------------------------ */

static bool reserve_items(struct worker *w, size_t entries)
{
    if (entries * 2 + 1 > w->item_room) {
        base_free(w->items);
        w->item_room = 0;
        w->items = base_alloc((entries * 2 + 1) * sizeof(*w->items));
        if (w->items == NULL) {
            return false;
        }
        w->item_room = entries * 2 + 1;
    }
    return true;
}

/* A block of that room, a consumed one if there is any. */
static bool reserve_block(struct shared *sh, size_t room, struct sort_block *block)
{
    os_plain_lock(&sh->lock);
    if (sh->spare_count > 0) {
        *block = sh->spare[--sh->spare_count];
    }
    os_plain_unlock(&sh->lock);
    if (room > block->room) {
        base_free(block->data);
        block->room = room + room / 8; /* the next bucket will be a little larger or smaller */
        block->data = base_alloc(block->room);
    }
    return block->data != NULL;
}

/* Entries of a bucket, and their bytes. */
static size_t count_bucket(const struct shared *sh, size_t b, size_t *bytes_out)
{
    size_t entries = 0;

    *bytes_out = 0;
    for (unsigned w = 0; w < sh->d->workers; w++) {
        const struct part *p = &sh->parts[w * sh->bucket_count + b];
        entries += p->entries;
        for (const struct pool_chunk *c = p->chunks; c != NULL; c = c->next) {
            *bytes_out += c->used;
        }
    }
    return entries;
}

/* Where the entries lie. */
static void list_bucket(const struct shared *sh, size_t b, struct sort_item *items, size_t entries)
{
    size_t n = 0;

    for (unsigned w = 0; w < sh->d->workers; w++) {
        const struct pool_chunk *c = sh->parts[w * sh->bucket_count + b].chunks;
        for (; c != NULL; c = c->next) {
            for (size_t at = 0; at < c->used; n++) {
                items[n].entry = c->bytes + at;
                at += STREAM_HEAD + stream_key(c->bytes + at).size;
            }
        }
    }
    base_assert(n == entries);
}

static void lay_out(const struct drain *d, const struct sort_item *items, struct sort_block *block)
{
    uint8_t *out = block->data;

    for (size_t i = 0; i < block->entries; i++) {
        struct base_slice key = stream_key(items[i].entry);
        pool_copy(out, items[i].entry, STREAM_HEAD + key.size);
        out += STREAM_HEAD + key.size;
        d->value(d->value_arg, key, out);
        if (d->hash != NULL) {
            block->hashes[i] = d->hash(key, base_slice(out, SORT_VALUE_SIZE));
        }
        out += SORT_VALUE_SIZE;
    }
    base_assert(block->size == (size_t)(out - block->data));
}

static void free_part(struct part *p, struct pool *pool)
{
    pool_give_all(pool, p->chunks);
    *p = (struct part){0};
}

static bool sort_bucket(struct worker *self, size_t b, struct sort_block *block)
{
    struct shared *sh = self->sh;
    size_t bytes;
    size_t entries = count_bucket(sh, b, &bytes);
    size_t size = bytes + entries * SORT_VALUE_SIZE;
    /* Hashes stand behind the entries, where numbers of eight bytes may stand. */
    size_t hashes = (size + POOL_SPARE + 7) / 8 * 8;

    if (!reserve_block(sh, hashes + (sh->d->hash != NULL ? entries * 8 : 0), block) ||
        !reserve_items(self, entries)) {
        return false;
    }
    block->size = size;
    block->entries = entries;
    block->hashes = sh->d->hash != NULL ? (uint64_t *)(void *)(block->data + hashes) : NULL;
    list_bucket(sh, b, self->items, entries);
    sort_items(self->items, self->items + entries, entries);
    lay_out(sh->d, self->items, block);
    for (unsigned w = 0; w < sh->d->workers; w++) {
        free_part(&sh->parts[w * sh->bucket_count + b], sh->d->pool);
    }
    return true;
}

static bool is_enough(const struct worker *w)
{
    const struct shared *sh = w->sh;
    bool first = w->number == 0 && sh->d->workers > 1;

    return sh->ahead_bytes > sh->d->budget_bytes / 16 ||
           (first && sh->next - sh->consumed > BLOCKS_AHEAD);
}

/* The next bucket for a sorter, or bucket_count. Waits while enough blocks are ready: but never for
 * the one that the consumer waits for. */
static size_t take_bucket(const struct worker *w)
{
    struct shared *sh = w->sh;
    size_t b = sh->bucket_count;

    os_plain_lock(&sh->lock);
    while (!sh->stop && sh->next < sh->bucket_count && sh->next > sh->consumed && is_enough(w)) {
        os_cond_wait(&sh->cond, &sh->lock, WAIT_NS);
    }
    if (!sh->stop && sh->next < sh->bucket_count) {
        b = sh->next++;
    }
    os_plain_unlock(&sh->lock);
    return b;
}

static void *sort_main(void *arg)
{
    struct worker *w = arg;
    struct shared *sh = w->sh;
    size_t b;

    while ((b = take_bucket(w)) < sh->bucket_count) {
        struct sort_block block = {0};
        bool ok = sort_bucket(w, b, &block);
        os_plain_lock(&sh->lock);
        sh->buckets[b] = (struct bucket){.block = block, .ready = ok};
        sh->ahead_bytes += block.size;
        os_cond_wake_all(&sh->cond);
        os_plain_unlock(&sh->lock);
        if (!ok) {
            give_up(sh, true);
        }
        breathe(w);
    }
    base_free(w->items);
    worker_left(sh);
    return NULL;
}

/* Wait until the bucket is ready, or until all threads have left. */
static int await_bucket(struct shared *sh, size_t b, bool *ready_out, struct base_err *err)
{
    int rc = 0;

    os_plain_lock(&sh->lock);
    while (rc == 0 && !sh->stop && !sh->buckets[b].ready && sh->running > 0) {
        if (os_cond_wait(&sh->cond, &sh->lock, WAIT_NS) != 0 && sh->d->poll != NULL) {
            os_plain_unlock(&sh->lock);
            rc = sh->d->poll(sh->d->poll_arg, err);
            os_plain_lock(&sh->lock);
        }
    }
    *ready_out = sh->buckets[b].ready;
    os_plain_unlock(&sh->lock);
    return rc;
}

static int consume_all(struct shared *sh, struct base_err *err)
{
    int rc = 0;

    for (size_t b = 0; rc == 0 && b < sh->bucket_count; b++) {
        bool ready;
        rc = await_bucket(sh, b, &ready, err);
        if (rc != 0 || !ready) {
            break;
        }
        struct sort_block *block = &sh->buckets[b].block;
        rc = sh->d->consume(sh->d->consume_arg, block, err);
        os_plain_lock(&sh->lock);
        sh->ahead_bytes -= block->size;
        sh->consumed = b + 1;
        sh->spare[sh->spare_count++] = *block;
        *block = (struct sort_block){0};
        os_cond_wake_all(&sh->cond);
        os_plain_unlock(&sh->lock);
    }
    return rc;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static int start_workers(struct shared *sh, struct worker *workers, void *(*fn)(void *),
                         struct base_err *err)
{
    sh->running = sh->d->workers;
    for (unsigned i = 0; i < sh->d->workers; i++) {
        workers[i] = (struct worker){.sh = sh, .number = i};
        int rc = os_thread_start(&workers[i].thread, "instar-sort", fn, &workers[i]);
        if (rc != 0) {
            give_up(sh, false);
            for (unsigned j = 0; j < i; j++) {
                os_thread_join(&workers[j].thread);
            }
            return base_err_errno(err, rc, "starting a thread to sort");
        }
    }
    return 0;
}

static void join_workers(struct shared *sh, struct worker *workers)
{
    for (unsigned i = 0; i < sh->d->workers; i++) {
        os_thread_join(&workers[i].thread);
    }
}

static int partition(struct shared *sh, struct worker *workers, struct base_err *err)
{
    for (size_t i = 0; i < sh->d->stream_count; i++) {
        struct stream *s = &sh->d->streams[i];
        if (s->last != NULL) {
            s->last->next = sh->chunks;
            sh->chunks = s->first;
            s->first = NULL;
        }
    }
    int rc = start_workers(sh, workers, partition_main, err);
    if (rc == 0) {
        join_workers(sh, workers);
    }
    return rc;
}

static int sort_and_consume(struct shared *sh, struct worker *workers, struct base_err *err)
{
    int rc = start_workers(sh, workers, sort_main, err);
    if (rc == 0) {
        rc = consume_all(sh, err);
        give_up(sh, false);
        join_workers(sh, workers);
    }
    return rc;
}

static void release(struct shared *sh)
{
    pool_give_all(sh->d->pool, sh->chunks);
    for (size_t i = 0; sh->parts != NULL && i < sh->bucket_count * sh->d->workers; i++) {
        free_part(&sh->parts[i], sh->d->pool);
    }
    for (size_t i = 0; sh->buckets != NULL && i < sh->bucket_count; i++) {
        base_free(sh->buckets[i].block.data);
    }
    for (size_t i = 0; i < sh->spare_count; i++) {
        base_free(sh->spare[i].data);
    }
    for (size_t i = 0; i < sh->d->stream_count; i++) {
        stream_clear(&sh->d->streams[i], sh->d->pool);
    }
    base_free(sh->parts);
    base_free(sh->buckets);
    base_free(sh->spare);
    base_free(sh->prefixes);
    base_free(sh->splitters);
    base_arena_free(&sh->arena);
    os_cond_destroy(&sh->cond);
    os_plain_destroy(&sh->lock);
}

int drain_run(struct drain *d, struct base_err *err)
{
    struct shared sh = {.d = d};
    int rc = 0;

    base_assert(d->workers > 0);
    os_plain_init(&sh.lock);
    os_cond_init(&sh.cond);
    sh.bucket_count = bucket_count_for(d);
    struct worker *workers = base_alloc_zero(d->workers, sizeof(*workers));
    sh.nomem = workers == NULL || !choose_splitters(&sh);
    if (!sh.nomem) {
        sh.parts = base_alloc_zero(d->workers * sh.bucket_count, sizeof(*sh.parts));
        sh.buckets = base_alloc_zero(sh.bucket_count, sizeof(*sh.buckets));
        sh.spare = base_alloc_zero(sh.bucket_count, sizeof(*sh.spare));
        sh.nomem = sh.parts == NULL || sh.buckets == NULL || sh.spare == NULL;
    }
    if (!sh.nomem) {
        rc = partition(&sh, workers, err);
    }
    if (rc == 0 && !sh.nomem) {
        rc = sort_and_consume(&sh, workers, err);
    }
    if (rc == 0 && sh.nomem) {
        rc = base_err_set(err, INSTAR_ENOMEM, "sorting: out of memory");
    }
    release(&sh);
    base_free(workers);
    return rc;
}
