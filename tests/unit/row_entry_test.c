/* SPDX-License-Identifier: Apache-2.0 */
/* Index entries: tag and checksum. */
#include "support/values.h"

#include <string.h>

static const struct base_slice key = {"entry", 5};
static const struct base_slice nothing = {"", 0};

/* The tag comes back, for any version. */
Test(row_entry, round_trip)
{
    static const uint32_t versions[] = {0, 1, 77, UINT32_MAX};
    for (size_t i = 0; i < BASE_ARRAY_LEN(versions); i++) {
        uint8_t record[ROW_ENTRY_SIZE];
        uint32_t version;
        row_entry_encode(versions[i], key, nothing, record);
        must(row_entry_decode(key, base_slice(record, sizeof(record)), &version, &test_err));
        expect_u64(version, versions[i]);
    }
}

/* A changed bit of key or value, another size or another key is found. */
Test(row_entry, damage_is_found)
{
    uint8_t record[ROW_ENTRY_SIZE + 1] = {0};
    char other[] = "entry";
    uint32_t version;
    row_entry_encode(3, key, nothing, record);
    expect_u64(base_get_u32(record), 3);
    for (unsigned bit = 0; bit < ROW_ENTRY_SIZE * 8; bit++) {
        record[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        must_fail(row_entry_decode(key, base_slice(record, ROW_ENTRY_SIZE), &version, &test_err),
                  INSTAR_ECORRUPT);
        expect_u64(version, 0);
        record[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (unsigned bit = 0; bit < 5 * 8; bit++) {
        other[bit / 8] = (char)(other[bit / 8] ^ (1 << (bit % 8)));
        must_fail(row_entry_decode(base_slice(other, 5), base_slice(record, ROW_ENTRY_SIZE),
                                   &version, &test_err),
                  INSTAR_ECORRUPT);
        other[bit / 8] = (char)(other[bit / 8] ^ (1 << (bit % 8)));
    }
    for (size_t size = 0; size <= sizeof(record); size++) {
        int rc = row_entry_decode(key, base_slice(record, size), &version, &test_err);
        cr_assert_eq(rc, size == ROW_ENTRY_SIZE ? 0 : INSTAR_ECORRUPT);
    }
}

/* What is included stands behind the front, and a changed bit of it is found, as is a part of it
 * that is missing. */
Test(row_entry, included_bytes)
{
    uint8_t record[ROW_ENTRY_SIZE + 3] = {[ROW_ENTRY_SIZE] = 'a', 'b', 'c'};
    struct base_slice whole = base_slice(record, sizeof(record));
    uint32_t version;
    row_entry_encode(9, key, row_entry_include(whole), record);
    must(row_entry_decode(key, whole, &version, &test_err));
    expect_u64(version, 9);
    expect(base_slice_eq(row_entry_include(whole), base_slice("abc", 3)));
    for (unsigned bit = 0; bit < sizeof(record) * 8; bit++) {
        record[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        must_fail(row_entry_decode(key, whole, &version, &test_err), INSTAR_ECORRUPT);
        record[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t size = 0; size < sizeof(record); size++) {
        must_fail(row_entry_decode(key, base_slice(record, size), &version, &test_err),
                  INSTAR_ECORRUPT);
    }
}
