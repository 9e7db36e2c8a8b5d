/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log records. All integers little-endian.
 *
 *    0  u32  length      header and body, without the zeros that fill up to a multiple of 8
 *    4  u8   kind        enum record_kind
 *    5  u8   flags       RECORD_PUBLISHES
 *    6  u16  version     1
 *    8  u64  start       LSN of byte 0 of this header; the commit's LSN is the end
 *   16  u8×16 log id
 *   32  u64  durable     the durable position its writer knew: evidence for recovery
 *   40  u64  body hash   XXH3 of the body; 0 for pads and voids, whose bodies mean nothing
 *   48  u64  before      checksum of the header before this one (the chain; 0 before the first)
 *   56  u64  checksum    XXH3 of bytes 0 … 55
 *   64  body
 *
 * Why the chain: with it, a record that reached the disk behind a torn one can never be taken for
 * the successor of a later record of equal length. Why start and log id are hashed: neither zeros,
 * nor bytes of another log or place, ever read as a record.
 * A record never crosses the end of its segment, and what it leaves there is nothing or at least
 * 64 bytes: so a pad always fits.
 */
#include "store/log.h"

#include <string.h>

#define RECORD_VERSION 1u

uint64_t record_body_hash(struct base_slice body)
{
    return base_hash64(body.data, body.size, 0);
}

uint64_t record_header_make(uint8_t out[RECORD_HEADER], const struct record *h,
                            const uint8_t log_id[16], uint64_t body_hash)
{
    base_assert(h->end - h->start == record_room(h->body.size));
    base_put_u32(out, (uint32_t)(RECORD_HEADER + h->body.size));
    out[4] = (uint8_t)h->kind;
    out[5] = h->publication ? RECORD_PUBLISHES : 0;
    base_put_u16(out + 6, RECORD_VERSION);
    base_put_u64(out + 8, h->start);
    memcpy(out + 16, log_id, 16);
    base_put_u64(out + 32, h->durable_when_written);
    base_put_u64(out + 40, body_hash);
    base_put_u64(out + 48, h->chain);
    uint64_t checksum = base_hash64(out, 56, 0);
    base_put_u64(out + 56, checksum);
    return checksum;
}

bool record_header_read(const uint8_t *at, const struct record_place *place, struct record *out,
                        struct record_sums *sums_out)
{
    uint64_t length = base_get_u32(at);
    uint64_t left = place->segment_bytes - (place->start & (place->segment_bytes - 1));
    if (length < RECORD_HEADER || base_get_u64(at + 8) != place->start ||
        memcmp(at + 16, place->log_id, 16) != 0) {
        return false;
    }
    uint64_t checksum = base_hash64(at, 56, 0);
    uint64_t room = record_room(length - RECORD_HEADER);
    if (base_get_u64(at + 56) != checksum || at[4] < RECORD_BATCH || at[4] > RECORD_VOID ||
        base_get_u16(at + 6) != RECORD_VERSION || room > left ||
        (room < left && left - room < RECORD_HEADER)) {
        return false;
    }
    *out = (struct record){
        .start = place->start,
        .end = place->start + room,
        .kind = (enum record_kind)at[4],
        .publication = (at[5] & RECORD_PUBLISHES) != 0,
        .durable_when_written = base_get_u64(at + 32),
        .chain = checksum,
        .body = {at + RECORD_HEADER, length - RECORD_HEADER},
    };
    sums_out->body_hash = base_get_u64(at + 40);
    sums_out->before = base_get_u64(at + 48);
    return true;
}

int record_read(struct base_slice bytes, const struct record_place *place, uint64_t chain,
                struct record *out, struct base_err *err)
{
    struct record_sums sums;
    unsigned long long start = place->start;
    *out = (struct record){0};
    if (bytes.size < RECORD_HEADER || !record_header_read(bytes.data, place, out, &sums)) {
        return base_err_set(err, INSTAR_ECORRUPT, "log position %llu: no record header there",
                            start);
    }
    if (sums.before != chain) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "log position %llu: chained to %016llx, expected %016llx", start,
                            (unsigned long long)sums.before, (unsigned long long)chain);
    }
    if (out->end - out->start > bytes.size) {
        return base_err_set(err, INSTAR_ECORRUPT, "log position %llu: record is cut off", start);
    }
    if (out->kind == RECORD_PAD || out->kind == RECORD_VOID) {
        return 0;
    }
    uint64_t found = record_body_hash(out->body);
    if (found != sums.body_hash) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "log position %llu: body hash %016llx, expected %016llx", start,
                            (unsigned long long)found, (unsigned long long)sums.body_hash);
    }
    return 0;
}

bool record_body_add(struct base_buf *body, const struct record_op *op)
{
    size_t before = body->size;
    bool ok = base_buf_add_u8(body, op->op) && base_buf_add_varint(body, op->tree);
    if (ok && op->op < RECORD_TREE) {
        ok = base_buf_add_blob(body, op->key.data, op->key.size);
    }
    if (ok && op->op == RECORD_PUT) {
        ok = base_buf_add_blob(body, op->value.data, op->value.size);
    }
    if (!ok) {
        body->size = before;
    }
    return ok;
}

int record_body_next(struct base_reader *r, struct record_op *op_out, struct base_err *err)
{
    *op_out = (struct record_op){0};
    size_t left = base_reader_left(r);
    if (left == 0 && !r->bad) {
        return INSTAR_END;
    }
    op_out->op = base_read_u8(r);
    op_out->tree = base_read_varint(r);
    bool known = op_out->op == RECORD_PUT || op_out->op == RECORD_DELETE ||
                 (op_out->op >= RECORD_TREE + STORE_TREE_CREATE &&
                  op_out->op <= RECORD_TREE + STORE_TREE_DROP);
    if (known && op_out->op < RECORD_TREE) {
        op_out->key = base_read_blob(r);
    }
    if (known && op_out->op == RECORD_PUT) {
        op_out->value = base_read_blob(r);
    }
    if (r->bad || !known || op_out->key.size > STORE_KEY_MAX) {
        r->bad = true;
        return base_err_set(err, INSTAR_ECORRUPT,
                            "record body: no valid operation %zu bytes before its end", left);
    }
    return 0;
}
