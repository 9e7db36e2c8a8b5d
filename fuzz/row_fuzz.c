/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows: any bytes are decoded or refused, within a bound of memory; what was decoded encodes, and
 * decodes again to the same values. As nearly no random bytes have a good checksum, the input may
 * ask for one to be put in: checksums are no defence against intent.
 *
 * Input: u8 flags (1: repair the checksum) | u8 number of columns (low four bits, plus one) | their
 * types, a u8 each | the record.
 */
#include "row/row.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COLUMNS_MAX 16
#define BYTES_MAX ((size_t)64 << 10)
#define REPAIR 1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct base_slice key = {"key", 3};

/* As in row/record.c: flags | varint version | checksum | body. */
static void repair(uint8_t *record, size_t size)
{
    struct base_reader r = base_reader(base_slice(record, size));
    uint8_t flags = base_read_u8(&r);
    uint64_t version = base_read_varint(&r);
    size_t at = (size_t)(r.at - record);
    if (r.bad || size - at < 4) {
        return;
    }
    uint64_t seed = base_hash64(key.data, key.size, (uint64_t)(uint32_t)version << 8 | flags);
    base_put_u32(record + at, base_hash32(record + at + 4, size - at - 4, seed));
}

static bool same(const instar_value *a, const instar_value *b)
{
    if (a->type != b->type) {
        return false;
    }
    if (a->type == INSTAR_TEXT || a->type == INSTAR_BYTEA) {
        return base_slice_eq(base_slice(a->bytes.data, a->bytes.size),
                             base_slice(b->bytes.data, b->bytes.size));
    }
    return a->type == INSTAR_NULL || memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0;
}

/* The values of a good record survive another round, and reading only the last one gives it. */
static void round_trip(const struct row_layout *layout, const struct row_found *row,
                       const instar_value *values)
{
    instar_value again[COLUMNS_MAX];
    uint32_t last = layout->column_count - 1;
    struct row_header header;
    struct base_buf b = {0};
    int rc = row_header(row->record, &header, NULL);
    base_assert(rc == 0);
    base_assert(row_size(layout, values) <= BYTES_MAX);
    rc = row_encode(layout, header.version, key, values, &b, NULL);
    base_assert(rc == 0);
    struct row_found back = *row;
    back.record = base_buf_slice(&b);
    rc = row_decode(layout, &back, again, NULL);
    base_assert(rc == 0);
    for (uint32_t i = 0; i < layout->column_count; i++) {
        base_assert(same(&values[i], &again[i]));
    }
    rc = row_decode_some(layout, row, &(struct row_wanted){&last, 1, again}, NULL);
    base_assert(rc == 0);
    base_assert(same(&values[last], &again[0]));
    base_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct row_column columns[COLUMNS_MAX] = {0};
    instar_value values[COLUMNS_MAX];
    struct base_arena arena = {0};
    uint32_t count = size < 2 ? 0 : (data[1] & 15u) + 1;
    if (size < 2 + count || size > BYTES_MAX) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        columns[i].id = i + 1;
        columns[i].type = (enum instar_type)(1 + data[2 + i] % (INSTAR_TYPE_COUNT - 1));
    }
    struct row_layout layout = {.number = 1, .column_count = count, .columns = columns};
    size_t record_size = size - 2 - count;
    uint8_t *record = base_alloc(record_size + (record_size == 0));
    base_assert(record != NULL);
    memcpy(record, data + 2 + count, record_size);
    if ((data[0] & REPAIR) != 0) {
        repair(record, record_size);
    }
    struct row_found row = {key, base_slice(record, record_size), BYTES_MAX, &arena, {0}};
    int rc = row_decode(&layout, &row, values, NULL);
    base_assert(rc == 0 || rc == INSTAR_ECORRUPT);
    base_assert(arena.used_bytes <= BYTES_MAX + 16);
    if (rc == 0) {
        round_trip(&layout, &row, values);
    }
    base_arena_free(&arena);
    base_free(record);
    return 0;
}
