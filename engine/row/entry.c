/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of an index entry; its key is the row's columns and says the rest.
 *
 *   at  bytes  field
 *   0   4      schema version of the writer, little-endian: the tag
 *   4   4      XXH3-32 of the key, seeded with the tag
 */
#include "row/row_impl.h"

_Static_assert(ROW_ENTRY_SIZE == 8, "version and checksum");

void row_entry_encode(uint32_t version, struct base_slice key, uint8_t out[ROW_ENTRY_SIZE])
{
    base_put_u32(out, version);
    base_put_u32(out + 4, base_hash32(key.data, key.size, version));
}

int row_entry_decode(struct base_slice key, struct base_slice record, uint32_t *version_out,
                     struct base_err *err)
{
    *version_out = 0;
    if (record.size != ROW_ENTRY_SIZE) {
        return base_err_set(err, INSTAR_ECORRUPT, "index entry: %zu bytes found, %d expected",
                            record.size, ROW_ENTRY_SIZE);
    }
    uint32_t version = base_get_u32(record.data);
    uint32_t expected = base_get_u32((const uint8_t *)record.data + 4);
    uint32_t found = base_hash32(key.data, key.size, version);
    if (found != expected) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "index entry: checksum %08x expected by the entry, %08x found (tag %u)",
                            expected, found, version);
    }
    *version_out = version;
    return 0;
}
