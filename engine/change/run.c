/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorted runs in files. A run may be relied on once run_write_end has synced it and its size stands
 * in a checkpoint; whatever is in the file then is verified block by block as it is read.
 */
#include "change/sort_impl.h"

#include <string.h>

#define RUN_MAGIC 0x314e555254534e49u /* "INSTRUN1" */
#define ENTRY_MAX (STREAM_HEAD + UINT16_MAX + SORT_VALUE_SIZE)
#define PIECE_DEFAULT ((size_t)16 << 20)

/* Covers the two sizes in the head, the payload, the run and the place in it. */
static uint64_t block_hash(const uint8_t *head, const uint8_t *payload, size_t size, uint64_t place)
{
    return base_hash64(payload, size, base_hash64(head, 8, place));
}

/* ---- writing ------------------------------------------------------------------------------ */

static int write_at_end(struct run_writer *w, const void *data, size_t size, struct base_err *err)
{
    int rc = os_pwrite(w->fd, data, size, (off_t)w->run.bytes);

    if (rc != 0) {
        return base_err_errno(err, rc, "writing a sorted run of the index build");
    }
    w->run.bytes += size;
    w->unsynced += size;
    return 0;
}

static int sync_piece(struct run_writer *w, struct base_err *err)
{
    uint64_t began = os_now_ns();
    int rc = os_fdatasync(w->fd);

    if (rc != 0) {
        return base_err_errno(err, rc, "syncing a sorted run of the index build");
    }
    if (w->pace != NULL) {
        w->pace(w->pace_arg, (size_t)w->unsynced, os_now_ns() - began);
    }
    w->unsynced = 0;
    return 0;
}

int run_write_begin(struct run_writer *w, int fd, uint64_t id, size_t block_bytes,
                    struct base_err *err)
{
    uint8_t head[RUN_HEAD];

    base_assert(block_bytes > 0 && block_bytes <= RUN_BLOCK_MAX - ENTRY_MAX);
    *w = (struct run_writer){
        .fd = fd, .block_bytes = block_bytes, .run.id = id, .piece_bytes = PIECE_DEFAULT};
    base_put_u64(head, RUN_MAGIC);
    base_put_u64(head + 8, id);
    return write_at_end(w, head, sizeof(head), err);
}

static int write_block(struct run_writer *w, struct base_err *err)
{
    uint8_t *block = w->pending.data;
    size_t size = w->pending.size - RUN_BLOCK_HEAD;

    base_put_u32(block, (uint32_t)size);
    base_put_u32(block + 4, w->pending_entries);
    base_put_u64(block + 8,
                 block_hash(block, block + RUN_BLOCK_HEAD, size, w->run.id ^ w->run.bytes));
    int rc = write_at_end(w, block, w->pending.size, err);
    base_buf_clear(&w->pending);
    w->pending_entries = 0;
    if (rc == 0 && w->unsynced >= w->piece_bytes) {
        rc = sync_piece(w, err);
    }
    return rc;
}

/* Room in the pending block, which begins with its head. */
static int reserve(struct run_writer *w, size_t size, struct base_err *err)
{
    static const uint8_t head[RUN_BLOCK_HEAD];
    bool ok = w->pending.size != 0 || base_buf_add(&w->pending, head, sizeof(head));

    if (!ok || !base_buf_reserve(&w->pending, size)) {
        return base_err_set(err, INSTAR_ENOMEM, "writing a sorted run: out of memory");
    }
    return 0;
}

int run_write_add(struct run_writer *w, struct base_slice key, struct base_slice value,
                  struct base_err *err)
{
    base_assert(value.size == SORT_VALUE_SIZE && key.size <= UINT16_MAX);
    int rc = reserve(w, STREAM_HEAD + key.size + value.size, err);
    if (rc != 0) {
        return rc;
    }
    base_buf_add_u16(&w->pending, (uint16_t)key.size);
    base_buf_add(&w->pending, key.data, key.size);
    base_buf_add(&w->pending, value.data, value.size);
    w->pending_entries++;
    w->run.entries++;
    return w->pending.size < w->block_bytes ? 0 : write_block(w, err);
}

int run_write_sorted(struct run_writer *w, const struct sort_block *block, struct base_err *err)
{
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && at < block->size) {
        /* As many entries as fill the pending block. */
        size_t begin = at;
        base_assert(w->pending.size < w->block_bytes); /* else it was written */
        size_t room = w->block_bytes - w->pending.size;
        uint32_t entries = 0;
        while (at < block->size && at - begin < room) {
            at += STREAM_HEAD + (size_t)sort_u16(block->data + at) + SORT_VALUE_SIZE;
            entries++;
        }
        rc = reserve(w, at - begin, err);
        if (rc == 0) {
            base_buf_add(&w->pending, block->data + begin, at - begin);
            w->pending_entries += entries;
            w->run.entries += entries;
            rc = w->pending.size < w->block_bytes ? 0 : write_block(w, err);
        }
    }
    return rc;
}

int run_write_end(struct run_writer *w, struct run *run_out, struct base_err *err)
{
    int rc = w->pending.size == 0 ? 0 : write_block(w, err);

    if (rc == 0) {
        rc = sync_piece(w, err);
    }
    *run_out = w->run;
    run_write_abort(w);
    return rc;
}

void run_write_abort(struct run_writer *w)
{
    base_buf_free(&w->pending);
}

/* ---- reading ------------------------------------------------------------------------------ */

static int bad_run(const struct run_reader *r, const char *what, struct base_err *err)
{
    return base_err_set(err, INSTAR_ECORRUPT, "sorted run %llx at byte %llu: %s",
                        (unsigned long long)r->run.id, (unsigned long long)r->at, what);
}

static int read_exactly(struct run_reader *r, void *data, size_t size, struct base_err *err)
{
    size_t got = 0;

    if (r->run.bytes - r->at < size) {
        return bad_run(r, "ends in the middle of a block", err);
    }
    int rc = os_pread(r->fd, data, size, (off_t)r->at, &got);
    if (rc != 0) {
        return base_err_errno(err, rc, "reading a sorted run of the index build");
    }
    return got == size ? 0 : bad_run(r, "the file is shorter than its checkpoint says", err);
}

int run_read_begin(struct run_reader *r, int fd, const struct run *run, struct base_err *err)
{
    uint8_t head[RUN_HEAD];

    *r = (struct run_reader){.fd = fd, .run = *run};
    int rc = read_exactly(r, head, sizeof(head), err);
    if (rc == 0 && (base_get_u64(head) != RUN_MAGIC || base_get_u64(head + 8) != run->id)) {
        rc = bad_run(r, "another file", err);
    }
    r->at = RUN_HEAD;
    return rc;
}

static int read_block(struct run_reader *r, struct base_err *err)
{
    uint8_t head[RUN_BLOCK_HEAD];

    if (r->at == r->run.bytes) {
        return r->entries == r->run.entries ? INSTAR_END : bad_run(r, "entries are missing", err);
    }
    int rc = read_exactly(r, head, sizeof(head), err);
    if (rc != 0) {
        return rc;
    }
    size_t size = base_get_u32(head);
    if (size == 0 || size > RUN_BLOCK_MAX) {
        return bad_run(r, "impossible size of a block", err);
    }
    if (size > r->room) {
        uint8_t *grown = base_realloc(r->data, size);
        if (grown == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "reading a sorted run: out of memory");
        }
        r->data = grown;
        r->room = size;
    }
    uint64_t place = r->run.id ^ r->at;
    r->at += RUN_BLOCK_HEAD;
    rc = read_exactly(r, r->data, size, err);
    if (rc == 0 && base_get_u64(head + 8) != block_hash(head, r->data, size, place)) {
        rc = bad_run(r, "checksum does not match", err);
    }
    r->at += size;
    r->size = rc == 0 ? size : 0;
    r->next = 0;
    return rc;
}

int run_read_next(struct run_reader *r, struct base_slice *key_out, struct base_slice *value_out,
                  struct base_err *err)
{
    bool bad = false;

    while (!sort_block_next(r->data, r->size, &r->next, key_out, value_out, &bad)) {
        int rc = bad ? bad_run(r, "malformed entry", err) : read_block(r, err);
        if (rc != 0) {
            return rc;
        }
    }
    r->entries++;
    return 0;
}

void run_read_end(struct run_reader *r)
{
    base_free(r->data);
    *r = (struct run_reader){.fd = -1};
}
