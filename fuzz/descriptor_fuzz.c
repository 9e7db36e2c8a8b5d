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
    for (uint32_t i = 0; i < table->check_count; i++) {
        const struct catalog_check *check = &table->checks[i];
        struct base_buf words = {0};
        bool ok = catalog_check_print(table, check, &words);
        base_assert(ok);
        base_assert(catalog_table_check_by_id(table, check->id) == check);
        for (uint32_t j = 0; j < check->input_count; j++) {
            base_assert(check->inputs[j] < table->column_count);
        }
        base_buf_free(&words);
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        catalog_index_describe(table, index, text, sizeof(text));
        base_assert(catalog_table_index(table, index->name) == index);
        base_assert(catalog_step_allowed(index, index));
        for (uint32_t j = 0; j < index->key_part_count; j++) {
            base_assert(index->key_columns[j] < table->column_count);
        }
        for (uint32_t j = 0; j < index->include_count; j++) {
            base_assert(index->includes[j] < table->column_count);
        }
        for (uint32_t j = 0; index->predicate != NULL && j < index->input_count; j++) {
            base_assert(index->inputs[j] < table->column_count);
        }
    }
}

/* What was decoded can be altered: the next two versions obey the rules too, or it is refused. */
static void alter(const struct catalog_table *table)
{
    instar_column_def def = {"a column of a fuzz target", INSTAR_TEXT, false, NULL, 0};
    instar_alteration steps[] = {{.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def},
                                 {.kind = INSTAR_ALTER_RENAME_TABLE, .new_name = "renamed"},
                                 {.kind = INSTAR_ALTER_DROP_COLUMN, .name = table->columns[0].name},
                                 {.kind = INSTAR_ALTER_SET_TYPE,
                                  .flags = INSTAR_ALTER_EXPLICIT,
                                  .name = table->columns[0].name,
                                  .column = &(instar_column_def){.type = INSTAR_INT4}},
                                 {.kind = INSTAR_ALTER_SET_TYPE,
                                  .flags = INSTAR_ALTER_EXPLICIT,
                                  .name = table->columns[table->column_count - 1].name,
                                  .column = &(instar_column_def){
                                      .type = INSTAR_NUMERIC, .length_max = INSTAR_DIGITS(5, 2)}}};
    struct catalog_table *next;
    struct base_buf bytes = {0};
    bool changed;
    if (table->version >= UINT32_MAX - 2 || table->next_column_id == UINT32_MAX) {
        return;
    }
    int rc = catalog_table_copy(table, &next, NULL);
    base_assert(rc == 0);
    for (size_t i = 0; i < BASE_ARRAY_LEN(steps); i++) {
        (void)catalog_alter(next, &steps[i], &changed, NULL);
    }
    if (catalog_alter_finish(table, next, NULL) == 0) {
        rc = catalog_table_encode(next, &bytes, NULL);
        base_assert(rc == 0);
        base_assert(catalog_table_step_allowed(table, next));
        if (catalog_alter_retire(next, NULL) == 0 && catalog_table_finish(next, NULL) == 0) {
            rc = catalog_table_encode(next, &bytes, NULL);
            base_assert(rc == 0);
        }
    }
    base_buf_free(&bytes);
    catalog_table_free(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalog_table *table;
    struct catalog_table *copy;
    struct base_buf again = {0};
    int rc = catalog_table_decode(base_slice(data, size), &table, NULL);
    base_assert(rc == 0 || rc == INSTAR_ECORRUPT || rc == INSTAR_EVERSION);
    if (rc != 0) {
        return 0;
    }
    use(table);
    alter(table);
    rc = catalog_table_copy(table, &copy, NULL);
    base_assert(rc == 0);
    catalog_table_free(table);
    rc = catalog_table_encode(copy, &again, NULL);
    base_assert(rc == 0);
    /* An older format is read, and written as the newest. */
    base_assert(data[0] != again.data[0] ||
                base_slice_eq(base_buf_slice(&again), base_slice(data, size)));
    base_buf_free(&again);
    catalog_table_free(copy);
    return 0;
}
