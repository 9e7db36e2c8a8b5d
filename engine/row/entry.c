/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of an index entry; its key is the row's columns and says the rest.
 *
 *   at  bytes  field
 *   0   4      schema version of the writer, little-endian: the tag
 *   4   4      XXH3-32 of the key, seeded with the tag; where something is included, with XXH3-64
 * of that, which itself is seeded with the tag 8   …      what is included: the key code of the
 * columns
 */
#include "row/row_impl.h"

_Static_assert(ROW_ENTRY_SIZE == 8, "version and checksum");

static uint32_t checksum(uint32_t version, struct base_slice key, struct base_slice include)
{
    uint64_t seed = include.size == 0 ? version : base_hash64(include.data, include.size, version);
    return base_hash32(key.data, key.size, seed);
}

void row_entry_encode(uint32_t version, struct base_slice key, struct base_slice include,
                      uint8_t out[ROW_ENTRY_SIZE])
{
    base_put_u32(out, version);
    base_put_u32(out + 4, checksum(version, key, include));
}

int row_entry_decode(struct base_slice key, struct base_slice record, uint32_t *version_out,
                     struct base_err *err)
{
    *version_out = 0;
    if (record.size < ROW_ENTRY_SIZE) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "index entry: %zu bytes found, at least %d expected", record.size,
                            ROW_ENTRY_SIZE);
    }
    uint32_t version = base_get_u32(record.data);
    uint32_t expected = base_get_u32((const uint8_t *)record.data + 4);
    uint32_t found = checksum(version, key, row_entry_include(record));
    if (found != expected) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "index entry: checksum %08x expected by the entry, %08x found (tag %u)",
                            expected, found, version);
    }
    *version_out = version;
    return 0;
}
