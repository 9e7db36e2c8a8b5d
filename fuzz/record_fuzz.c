/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log records: any bytes are a record or refused, without reading past their end; a body is walked
 * to its end or refused; what can be planned becomes a memtable that gives back what was put in. As
 * nearly no random bytes have good checksums, the input may ask for them to be put in: checksums
 * are no defence against intent.
 *
 * Input: u8 flags (1: repair the checksums, place and log) | the record, at position 0.
 */
#include "store/log.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT ((uint64_t)64 << 10)
#define OPS_MAX 600
#define REPAIR 1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t log_id[16] = "a log's identity";

/* Everything but what the record says of itself. */
static void repair(uint8_t *bytes, size_t size)
{
    uint32_t length = base_get_u32(bytes);
    base_put_u16(bytes + 6, 1);
    base_put_u64(bytes + 8, 0);
    memcpy(bytes + 16, log_id, sizeof(log_id));
    base_put_u64(bytes + 48, 0);
    if (length >= RECORD_HEADER && length <= size) {
        struct base_slice body = {bytes + RECORD_HEADER, length - RECORD_HEADER};
        base_put_u64(bytes + 40, record_body_hash(body));
    }
    base_put_u64(bytes + 56, base_hash64(bytes, 56, 0));
}

/* Every operation of the body is found under its key, with its value. */
static void compare(const struct segment *seg, const struct record *r)
{
    struct base_reader reader = base_reader(r->body);
    struct record_op op;
    struct memtable_hit hit;
    while (record_body_next(&reader, &op, NULL) == 0) {
        if (op.op >= RECORD_TREE) {
            continue;
        }
        int rc = memtable_get(seg, op.tree, op.key, r->end, &hit);
        base_assert(rc == 0);
        base_assert(hit.lsn == r->end && hit.deleted == (op.op == RECORD_DELETE));
        base_assert(base_slice_eq(hit.value, op.value));
        rc = memtable_get(seg, op.tree, op.key, r->end - 1, &hit);
        base_assert(rc == INSTAR_ENOTFOUND);
    }
}

static void build(const uint8_t *bytes, const struct record *r)
{
    static struct memtable_plan plan[OPS_MAX];
    struct segment seg = {.bytes = bytes, .size = SEGMENT, .mem_size = memtable_size(SEGMENT)};
    size_t count;
    uint64_t node_bytes;
    if (memtable_plan_body(r->body, 1, plan, OPS_MAX, &count, &node_bytes, NULL) != 0) {
        return;
    }
    base_assert(node_bytes <= memtable_bytes_for(count));
    seg.mem = calloc(1, seg.mem_size);
    if (seg.mem == NULL) {
        return;
    }
    memtable_format(seg.mem, seg.mem_size, 0, 1);
    uint32_t from = memtable_used(&seg);
    memtable_fill(&seg, plan, count, 0, r->end);
    int rc = memtable_link(&seg, from, memtable_used(&seg));
    base_assert(rc == 0);
    compare(&seg, r);
    free(seg.mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record r;
    struct record_place place = {0, SEGMENT, log_id};
    if (size < 1 + RECORD_HEADER || size > SEGMENT) {
        return 0;
    }
    size_t left = size - 1;
    uint8_t *bytes = malloc(left); /* of its own size, so that reading past it is seen */
    if (bytes == NULL) {
        return 0;
    }
    memcpy(bytes, data + 1, left);
    if ((data[0] & REPAIR) != 0) {
        repair(bytes, left);
    }
    if (record_read(base_slice(bytes, left), &place, 0, &r, NULL) == 0) {
        base_assert(r.start == 0 && r.end <= SEGMENT && r.end - r.start >= RECORD_HEADER);
        base_assert(r.body.size <= left - RECORD_HEADER);
        build(bytes, &r);
    }
    free(bytes);
    return 0;
}
