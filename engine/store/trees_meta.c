/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's own entries in LMDB's main tree, byte by byte (little-endian):
 *
 *   !position   0 lo | 8 hi | 16 chain | 24 older lo | 32 epoch | 40 removals | 48 serial
 *               | 56 digests | 64 log id (16) | 80 for each tree that is ahead of lo: tree, LSN
 *               | XXH3 of all before it                                         = 88 bytes and more
 *   !s<id>      0 stage (1) | 1 has a delta (1) | 2 zero (2) | 4 XXH3-32 of the rest, seeded with
 *               the id | 8 cut | 16 token | 24 changed
 *
 * LMDB's pages have no checksums, and a position that is wrong by a bit would make recovery take
 * the log for torn where it is whole.
 */
#include "store/trees.h"

#include <stdio.h>
#include <string.h>

#define MARK_BYTES 88 /* and AHEAD_BYTES for each tree that is ahead */
#define AHEAD_BYTES 16
#define LOG_ID_END 80

void trees_mark_encode(const struct trees_mark *m, struct base_buf *out)
{
    base_assert(m->lo <= m->hi);
    base_assert(m->older_lo <= m->lo);
    base_buf_clear(out);
    bool ok = base_buf_add_u64(out, m->lo) && base_buf_add_u64(out, m->hi) &&
              base_buf_add_u64(out, m->chain) && base_buf_add_u64(out, m->older_lo) &&
              base_buf_add_u64(out, m->epoch) && base_buf_add_u64(out, m->removals) &&
              base_buf_add_u64(out, m->serial) && base_buf_add_u64(out, m->digests) &&
              base_buf_add(out, m->log_id, 16);
    for (size_t i = 0; ok && i < m->ahead_count; i++) {
        if (m->ahead[i].lsn > m->lo) {
            ok = base_buf_add_u64(out, m->ahead[i].tree) && base_buf_add_u64(out, m->ahead[i].lsn);
        }
    }
    ok = ok && base_buf_add_u64(out, base_hash64(out->data, out->size, 0));
    if (!ok) {
        base_buf_clear(out); /* the caller sees a size of 0 */
    }
}

/* The trees that are ahead of lo; false: they cannot be. */
static bool decode_ahead(struct base_slice bytes, struct trees_mark *m)
{
    struct base_reader r = base_reader(
        base_slice((const uint8_t *)bytes.data + LOG_ID_END, bytes.size - LOG_ID_END - 8));
    m->ahead_count = (bytes.size - MARK_BYTES) / AHEAD_BYTES;
    bool ok = true;
    for (size_t i = 0; i < m->ahead_count; i++) {
        m->ahead[i].tree = base_read_u64(&r);
        m->ahead[i].lsn = base_read_u64(&r);
        ok = ok && m->ahead[i].lsn > m->lo && m->ahead[i].lsn <= m->hi;
    }
    return ok && !r.bad;
}

int trees_mark_decode(struct base_slice bytes, struct trees_mark *out, struct base_err *err)
{
    *out = (struct trees_mark){0};
    if (bytes.size < MARK_BYTES || (bytes.size - MARK_BYTES) % AHEAD_BYTES != 0 ||
        (bytes.size - MARK_BYTES) / AHEAD_BYTES > TREES_AHEAD_MAX) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "data.mdb: the position has %zu bytes, not %d and at most %d times %d",
                            bytes.size, MARK_BYTES, TREES_AHEAD_MAX, AHEAD_BYTES);
    }
    if (base_get_u64((const uint8_t *)bytes.data + bytes.size - 8) !=
        base_hash64(bytes.data, bytes.size - 8, 0)) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "data.mdb: the checksum of the position does not hold");
    }
    struct base_reader r = base_reader(bytes);
    struct trees_mark m = {0};
    m.lo = base_read_u64(&r);
    m.hi = base_read_u64(&r);
    m.chain = base_read_u64(&r);
    m.older_lo = base_read_u64(&r);
    m.epoch = base_read_u64(&r);
    m.removals = base_read_u64(&r);
    m.serial = base_read_u64(&r);
    m.digests = base_read_u64(&r);
    struct base_slice id = base_read_bytes(&r, sizeof m.log_id);
    if (r.bad || m.lo > m.hi || m.older_lo > m.lo || !decode_ahead(bytes, &m)) {
        return base_err_set(
            err, INSTAR_ECORRUPT, "data.mdb: impossible position: lo %llu, older lo %llu, hi %llu",
            (unsigned long long)m.lo, (unsigned long long)m.older_lo, (unsigned long long)m.hi);
    }
    memcpy(m.log_id, id.data, sizeof m.log_id);
    *out = m;
    return 0;
}

static void name_of(char name[TREES_META_MAX], char kind, uint64_t tree)
{
    snprintf(name, TREES_META_MAX, "!%c%016llx", kind, (unsigned long long)tree);
}

void trees_state_name(char name[TREES_META_MAX], uint64_t tree)
{
    name_of(name, 's', tree);
}

void trees_progress_name(char name[TREES_META_MAX], uint64_t tree)
{
    name_of(name, 'p', tree);
}

bool trees_state_id(struct base_slice name, uint64_t *tree_out)
{
    *tree_out = 0;
    const char *at = name.data;
    if (name.size != 18 || at[0] != '!' || at[1] != 's') {
        return false;
    }
    uint64_t id = 0;
    for (size_t i = 2; i < name.size; i++) {
        char c = at[i];
        if (c >= '0' && c <= '9') {
            id = id << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            id = id << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;
        }
    }
    *tree_out = id;
    return id <= TREES_ID_MAX;
}

/* Of all but itself. */
static uint32_t state_sum(const uint8_t *bytes, uint64_t tree)
{
    return base_hash32(bytes + 8, TREES_STATE_BYTES - 8, base_hash64(bytes, 4, tree));
}

void trees_state_encode(const struct trees_state *st, uint64_t tree,
                        uint8_t bytes[TREES_STATE_BYTES])
{
    base_assert(st->stage >= TREES_LIVE && st->stage <= TREES_EMPTIED);
    memset(bytes, 0, TREES_STATE_BYTES);
    bytes[0] = (uint8_t)st->stage;
    bytes[1] = st->delta;
    base_put_u64(bytes + 8, st->cut);
    base_put_u64(bytes + 16, st->token);
    base_put_u64(bytes + 24, st->changed);
    base_put_u32(bytes + 4, state_sum(bytes, tree));
}

int trees_state_decode(struct base_slice bytes, uint64_t tree, struct trees_state *out,
                       struct base_err *err)
{
    *out = (struct trees_state){0};
    const uint8_t *at = bytes.data;
    if (bytes.size != TREES_STATE_BYTES || at[0] < TREES_LIVE || at[0] > TREES_EMPTIED ||
        at[1] > 1 || base_get_u32(at + 4) != state_sum(at, tree)) {
        return base_err_set(err, INSTAR_ECORRUPT, "data.mdb: the state of tree %llu is unreadable",
                            (unsigned long long)tree);
    }
    out->stage = (enum trees_stage)at[0];
    out->delta = at[1] != 0;
    out->cut = base_get_u64(at + 8);
    out->token = base_get_u64(at + 16);
    out->changed = base_get_u64(at + 24);
    return 0;
}

static int read_mark(struct store *s, struct trees_mark *out, struct base_err *err)
{
    struct trees_read *read;
    *out = (struct trees_mark){0};
    int rc = trees_read_begin(s->trees, &read, err);
    if (rc == 0) {
        *out = *trees_read_mark(read);
        trees_read_end(s->trees, read);
    }
    return rc;
}

int trees_position_get(struct store *s, struct trees_position *out, struct base_err *err)
{
    struct trees_mark mark;
    int rc = read_mark(s, &mark, err);
    *out = (struct trees_position){.lo = mark.lo, .hi = mark.hi, .chain = mark.chain};
    return rc;
}

int trees_older_lo(struct store *s, uint64_t *lo_out, struct base_err *err)
{
    struct trees_mark mark;
    int rc = read_mark(s, &mark, err);
    *lo_out = mark.older_lo;
    return rc;
}
