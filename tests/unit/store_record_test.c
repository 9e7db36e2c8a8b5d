/* SPDX-License-Identifier: Apache-2.0 */
/* Log records: what is written is read back, and nothing else ever reads as a record. */
#include "store/log.h"
#include "support/test.h"

#include <string.h>

#define SEGMENT ((uint64_t)64 << 10)
#define AT (3 * SEGMENT + 512)

static const uint8_t log_id[16] = "the log's own id";

/* A record with this body at AT, chained to 77. */
static struct record make(uint8_t *out, const char *body)
{
    struct record r = {.start = AT,
                       .kind = RECORD_BATCH,
                       .publication = true,
                       .durable_when_written = 4711,
                       .chain = 77,
                       .body = {out + RECORD_HEADER, strlen(body)}};
    memcpy(out + RECORD_HEADER, body, strlen(body));
    r.end = AT + record_room(r.body.size);
    r.chain = record_header_make(out, &r, log_id, record_body_hash(r.body));
    return r;
}

static int read_at(const uint8_t *bytes, uint64_t left, uint64_t start, uint64_t chain)
{
    struct record r;
    struct record_place place = {start, SEGMENT, log_id};
    return record_read(base_slice(bytes, left), &place, chain, &r, &test_err);
}

/* All that a header says comes back. */
Test(store_record, round_trip)
{
    uint8_t bytes[256] = {0};
    struct record made = make(bytes, "some body");
    struct record r;
    struct record_place place = {AT, SEGMENT, log_id};
    must(record_read(base_slice(bytes, sizeof(bytes)), &place, 77, &r, &test_err));
    expect_u64(r.start, AT);
    expect_u64(r.end, AT + 80); /* 64 + 9, up to a multiple of 8 */
    expect_u64(r.chain, made.chain);
    expect_u64(r.durable_when_written, 4711);
    expect(r.kind == RECORD_BATCH && r.publication);
    expect(base_slice_eq(r.body, base_slice("some body", 9)));
}

/* No single changed byte, of the header or of the body, goes unseen. */
Test(store_record, every_changed_byte_is_seen)
{
    uint8_t bytes[256] = {0};
    make(bytes, "some body");
    for (size_t i = 0; i < RECORD_HEADER + 9; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            must_fail(read_at(bytes, sizeof(bytes), AT, 77), INSTAR_ECORRUPT);
            bytes[i] ^= (uint8_t)(1u << bit);
        }
    }
    must(read_at(bytes, sizeof(bytes), AT, 77));
}

/* A record belongs to one place, one log, and one predecessor. */
Test(store_record, belongs_to_its_place)
{
    uint8_t bytes[256] = {0};
    struct record r;
    make(bytes, "some body");
    must_fail(read_at(bytes, sizeof(bytes), AT + 8, 77), INSTAR_ECORRUPT);
    must_fail(read_at(bytes, sizeof(bytes), AT, 78), INSTAR_ECORRUPT);
    must_fail(read_at(bytes, RECORD_HEADER + 8, AT, 77), INSTAR_ECORRUPT);
    struct record_place other = {AT, SEGMENT, (const uint8_t *)"the log's other."};
    must_fail(record_read(base_slice(bytes, sizeof(bytes)), &other, 77, &r, &test_err),
              INSTAR_ECORRUPT);
    uint8_t zeros[256] = {0};
    must_fail(read_at(zeros, sizeof(zeros), 0, 0), INSTAR_ECORRUPT);
}

/* A good checksum does not make a length good: a record ends in its segment, and leaves room there
 * for a pad or for nothing. */
Test(store_record, lengths_are_bounded)
{
    static uint8_t bytes[2 * SEGMENT];
    static const struct {
        uint64_t left; /* in the segment behind the record */
        bool ok;
    } cases[] = {{0, true}, {8, false}, {56, false}, {64, true}, {1024, true}};
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        uint64_t size = SEGMENT - 512 - cases[i].left;
        struct record r = {.start = AT,
                           .end = AT + size,
                           .kind = RECORD_PAD,
                           .body = {NULL, size - RECORD_HEADER}};
        record_header_make(bytes, &r, log_id, 0);
        must_fail(read_at(bytes, sizeof(bytes), AT, 0), cases[i].ok ? 0 : INSTAR_ECORRUPT);
    }
    struct record beyond = {.start = AT,
                            .end = AT + SEGMENT,
                            .kind = RECORD_PAD,
                            .body = {NULL, SEGMENT - RECORD_HEADER}};
    record_header_make(bytes, &beyond, log_id, 0);
    must_fail(read_at(bytes, sizeof(bytes), AT, 0), INSTAR_ECORRUPT);
}

/* Operations come back in order, with their keys and values. */
Test(store_record, bodies)
{
    static const struct record_op ops[] = {
        {RECORD_TREE + STORE_TREE_CREATE, 300, {NULL, 0}, {NULL, 0}},
        {RECORD_PUT, 7, {"key", 3}, {"value", 5}},
        {RECORD_PUT, 7, {"key2", 4}, {"", 0}},
        {RECORD_DELETE, UINT64_MAX, {"", 0}, {NULL, 0}},
    };
    struct base_buf body = {0};
    struct record_op op;
    for (size_t i = 0; i < BASE_ARRAY_LEN(ops); i++) {
        expect(record_body_add(&body, &ops[i]));
    }
    struct base_reader r = base_reader(base_buf_slice(&body));
    for (size_t i = 0; i < BASE_ARRAY_LEN(ops); i++) {
        must(record_body_next(&r, &op, &test_err));
        expect(op.op == ops[i].op && op.tree == ops[i].tree);
        expect(base_slice_eq(op.key, ops[i].key) && base_slice_eq(op.value, ops[i].value));
    }
    must_fail(record_body_next(&r, &op, &test_err), INSTAR_END);
    base_buf_free(&body);
}

/* A body that is cut anywhere inside an operation is an error, never a shorter body. */
Test(store_record, cut_bodies_are_errors)
{
    struct base_buf body = {0};
    struct record_op op = {RECORD_PUT, 1000, {"a key", 5}, {"a value", 7}};
    expect(record_body_add(&body, &op));
    for (size_t size = 1; size < body.size; size++) {
        struct base_reader r = base_reader(base_slice(body.data, size));
        must_fail(record_body_next(&r, &op, &test_err), INSTAR_ECORRUPT);
    }
    base_buf_free(&body);
}

/* Each operation that is none of those that exist is refused, whatever follows it. */
Test(store_record, unknown_operations_are_errors)
{
    static const uint8_t first = RECORD_TREE + STORE_TREE_CREATE;
    static const uint8_t last = RECORD_TREE + STORE_TREE_DROP;
    uint8_t bytes[16] = {0, 1, 1, 'k', 1, 'v'};
    struct record_op op;
    for (unsigned code = 0; code < 256; code++) {
        bool known = code == RECORD_PUT || code == RECORD_DELETE || (code >= first && code <= last);
        bytes[0] = (uint8_t)code;
        struct base_reader r = base_reader(base_slice(bytes, sizeof(bytes)));
        cr_assert_eq(record_body_next(&r, &op, &test_err), known ? INSTAR_OK : INSTAR_ECORRUPT,
                     "%u", code);
    }
}

/* A key over the limit is refused, however well it is framed. */
Test(store_record, long_keys_are_errors)
{
    static const uint8_t key[STORE_KEY_MAX + 1];
    struct base_buf body = {0};
    struct record_op op = {RECORD_DELETE, 1, {key, STORE_KEY_MAX}, {NULL, 0}};
    expect(record_body_add(&body, &op));
    op.key.size++;
    expect(record_body_add(&body, &op));
    struct base_reader r = base_reader(base_buf_slice(&body));
    must(record_body_next(&r, &op, &test_err));
    must_fail(record_body_next(&r, &op, &test_err), INSTAR_ECORRUPT);
    base_buf_free(&body);
}
