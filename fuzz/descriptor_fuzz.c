/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table descriptors: any bytes are refused, or give a table that encodes to these very bytes again,
 * can be copied, and answers for every version.
 *
 * Input: the descriptor's bytes, without the envelope of the catalog's records.
 */
#include "catalog/catalog.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Walk over whatever is derived. */
static void use(const struct catalog_table *table)
{
    char text[512];
    for (uint32_t i = 0; i < table->layout_map_count; i++) {
        uint32_t version = table->layout_map[i].first_version;
        base_assert(catalog_table_layout(table, version) != NULL);
    }
    base_assert(catalog_table_layout(table, table->version) != NULL);
    for (uint32_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        catalog_index_describe(table, index, text, sizeof(text));
        base_assert(catalog_table_index(table, index->name) == index);
        base_assert(catalog_step_allowed(index, index));
        for (uint32_t j = 0; j < index->key_part_count; j++) {
            base_assert(index->key_columns[j] < table->column_count);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalog_table *table;
    struct catalog_table *copy;
    struct base_buf again = {0};
    int rc = catalog_table_decode(base_slice(data, size), &table, NULL);
    base_assert(rc == 0 || rc == INSTAR_ECORRUPT);
    if (rc != 0) {
        return 0;
    }
    use(table);
    rc = catalog_table_copy(table, &copy, NULL);
    base_assert(rc == 0);
    catalog_table_free(table);
    rc = catalog_table_encode(copy, &again, NULL);
    base_assert(rc == 0);
    base_assert(base_slice_eq(base_buf_slice(&again), base_slice(data, size)));
    base_buf_free(&again);
    catalog_table_free(copy);
    return 0;
}
