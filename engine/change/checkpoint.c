/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a build's checkpoint, little-endian:
 *
 *     u8 format (1) | u8 loaded | u64 token | u32 next run | u64 rows done | u64 entries loaded |
 *     blob last key | varint count, gaps | varint count, runs | u64 XXH3 of all before it
 *     gap: u8 flags: after, endless | blob lower | blob upper
 *     run: u64 token | u32 number | u64 id | u64 bytes | u64 entries | u32 level
 */
#include "change/build_impl.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define HASH_SIZE 8
#define GAP_AFTER 1u
#define GAP_ENDLESS 2u

static bool add_key(struct base_buf *out, const struct gap_key *k)
{
    return base_buf_add_blob(out, k->bytes, k->size);
}

static bool add_gap(struct base_buf *out, const struct gap *g)
{
    unsigned flags = (g->after ? GAP_AFTER : 0) | (g->endless ? GAP_ENDLESS : 0);
    struct gap_key none = {0};

    return base_buf_add_u8(out, (uint8_t)flags) && add_key(out, &g->lower) &&
           add_key(out, g->endless ? &none : &g->upper);
}

static bool add_run(struct base_buf *out, const struct checkpoint_run *r)
{
    return base_buf_add_u64(out, r->token) && base_buf_add_u32(out, r->number) &&
           base_buf_add_u64(out, r->run.id) && base_buf_add_u64(out, r->run.bytes) &&
           base_buf_add_u64(out, r->run.entries) && base_buf_add_u32(out, r->run.level);
}

/* Gaps are written in the order of their keys. Should they not fit, all but the first few become
 * one that reaches from the first of them to the end: what is read twice is only merged away. */
static int by_lower(const void *a, const void *b)
{
    const struct gap *x = a;
    const struct gap *y = b;
    return base_slice_cmp(gap_key_slice(&x->lower), gap_key_slice(&y->lower));
}

static size_t gaps_that_fit(struct gap *gaps, size_t count, size_t room)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        bytes += 8u + gaps[i].lower.size + gaps[i].upper.size;
        if (bytes > room && i > 0) {
            gaps[i - 1].endless = true;
            return i;
        }
    }
    return count;
}

static bool add_gaps(struct base_buf *out, const struct checkpoint *c)
{
    struct gap *sorted = base_alloc(sizeof(*sorted) * (c->gap_count + 1));
    size_t room = CHECKPOINT_BYTES_MAX - c->run_count * 48 - 1024;

    if (sorted == NULL) {
        return false;
    }
    memcpy(sorted, c->gaps, sizeof(*sorted) * c->gap_count);
    qsort(sorted, c->gap_count, sizeof(*sorted), by_lower);
    size_t count = gaps_that_fit(sorted, c->gap_count, room);
    bool ok = base_buf_add_varint(out, count);
    for (size_t i = 0; ok && i < count; i++) {
        ok = add_gap(out, &sorted[i]);
    }
    base_free(sorted);
    return ok;
}

int checkpoint_encode(const struct checkpoint *c, struct base_buf *out, struct base_err *err)
{
    size_t start = out->size;

    base_assert(c->gap_count <= BASE_ARRAY_LEN(c->gaps));
    base_assert(c->run_count <= CHECKPOINT_RUNS_MAX);
    bool ok = base_buf_add_u8(out, FORMAT) && base_buf_add_u8(out, c->loaded) &&
              base_buf_add_u64(out, c->token) && base_buf_add_u32(out, c->next_run) &&
              base_buf_add_u64(out, c->rows_done) && base_buf_add_u64(out, c->entries_loaded) &&
              add_key(out, &c->last) && add_gaps(out, c) && base_buf_add_varint(out, c->run_count);
    for (size_t i = 0; ok && i < c->run_count; i++) {
        ok = add_run(out, &c->runs[i]);
    }
    ok = ok && base_buf_add_u64(out, base_hash64(out->data + start, out->size - start, FORMAT));
    if (!ok) {
        return base_err_set(err, INSTAR_ENOMEM, "writing a checkpoint: out of memory");
    }
    base_assert(out->size - start <= CHECKPOINT_BYTES_MAX);
    return 0;
}

static void read_key(struct base_reader *r, struct gap_key *k)
{
    struct base_slice s = base_read_blob(r);

    if (r->bad || s.size > sizeof(k->bytes)) {
        r->bad = true;
        return;
    }
    gap_key_set(k, s);
}

static void read_gap(struct base_reader *r, struct gap *g)
{
    uint8_t flags = base_read_u8(r);

    g->after = (flags & GAP_AFTER) != 0;
    g->endless = (flags & GAP_ENDLESS) != 0;
    read_key(r, &g->lower);
    read_key(r, &g->upper);
    r->bad = r->bad || flags > (GAP_AFTER | GAP_ENDLESS);
}

static void read_run(struct base_reader *r, struct checkpoint_run *c)
{
    c->token = base_read_u64(r);
    c->number = base_read_u32(r);
    c->run.id = base_read_u64(r);
    c->run.bytes = base_read_u64(r);
    c->run.entries = base_read_u64(r);
    c->run.level = base_read_u32(r);
}

/* A count of things, none of which takes less than a byte. */
static size_t read_count(struct base_reader *r, size_t max)
{
    uint64_t count = base_read_varint(r);

    if (count > max) {
        r->bad = true;
        return 0;
    }
    return (size_t)count;
}

int checkpoint_decode(struct base_slice bytes, struct checkpoint *checkpoint_out,
                      struct base_err *err)
{
    struct checkpoint *c = checkpoint_out;

    memset(c, 0, sizeof(*c));
    if (bytes.size < HASH_SIZE + 1 || bytes.size > CHECKPOINT_BYTES_MAX ||
        base_get_u64((const uint8_t *)bytes.data + bytes.size - HASH_SIZE) !=
            base_hash64(bytes.data, bytes.size - HASH_SIZE, FORMAT)) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "checkpoint of an index build: checksum does not match");
    }
    struct base_reader r = base_reader(base_slice(bytes.data, bytes.size - HASH_SIZE));
    uint8_t format = base_read_u8(&r);
    uint8_t loaded = base_read_u8(&r);
    c->loaded = loaded == 1;
    c->token = base_read_u64(&r);
    c->next_run = base_read_u32(&r);
    c->rows_done = base_read_u64(&r);
    c->entries_loaded = base_read_u64(&r);
    read_key(&r, &c->last);
    c->gap_count = read_count(&r, BASE_ARRAY_LEN(c->gaps));
    for (size_t i = 0; i < c->gap_count; i++) {
        read_gap(&r, &c->gaps[i]);
    }
    c->run_count = read_count(&r, CHECKPOINT_RUNS_MAX);
    for (size_t i = 0; i < c->run_count; i++) {
        read_run(&r, &c->runs[i]);
    }
    if (format != FORMAT || loaded > 1 || r.bad || base_reader_left(&r) != 0) {
        memset(c, 0, sizeof(*c));
        return base_err_set(err, INSTAR_ECORRUPT, "checkpoint of an index build: malformed");
    }
    return 0;
}
