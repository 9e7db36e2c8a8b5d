/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row ids: what the rows of a table without primary key are known by. They stand in a hidden column
 * of the table, the last one, which no name leads to but INSTAR_ROW_ID, and only where it is asked
 * for.
 *
 * An id is unique in the store and never given twice. Each process takes them from a block of its
 * own, which it has reserved in the catalog by a commit that is on the disk before the first of
 * them is given: so inserts of several processes do not meet, and what is left of a block when its
 * process ends is lost. The counter rises by a block at a time, so 2^63 ids are 2^51 blocks.
 */
#include "catalog/catalog_impl.h"

#include <stdio.h>

#define BLOCK 4096u
#define TRIES_MAX 1000u
#define BACKOFF_NS 1000000u

static int try_block(struct store *store, uint64_t *first_out, struct base_err *err)
{
    struct store_txn *t;
    int rc = store_txn_begin(store, STORE_TXN_SYNC, &t, err);
    if (rc != 0) {
        return rc;
    }
    rc = catalog_next_ids(t, CATALOG_COUNTER_ROW, BLOCK, first_out, err);
    if (rc != 0) {
        store_txn_abort(t);
        return rc;
    }
    return store_txn_commit(t, NULL, NULL, err);
}

/* Two processes that take a block at once conflict, and one of them tries again. */
static int take_block(struct catalog_row_ids *ids, struct store *store, struct base_err *err)
{
    uint64_t first = 0;
    int rc = try_block(store, &first, err);
    for (unsigned i = 0; i < TRIES_MAX && base_error_class(rc) == INSTAR_CLASS_RETRY; i++) {
        os_sleep_ns(BACKOFF_NS);
        base_err_clear(err);
        rc = try_block(store, &first, err);
    }
    if (rc == 0) {
        ids->next = first;
        ids->end = first + BLOCK;
    }
    return rc;
}

int catalog_row_ids_take(struct catalog_row_ids *ids, struct store *store, int64_t *id_out,
                         struct base_err *err)
{
    int rc = 0;
    *id_out = 0;
    os_plain_lock(&ids->lock);
    if (ids->next == ids->end) {
        rc = take_block(ids, store, err);
    }
    if (rc == 0) {
        *id_out = (int64_t)ids->next++;
    }
    os_plain_unlock(&ids->lock);
    return rc;
}

/* ---- the column --------------------------------------------------------------------------- */

bool catalog_keyed_by_row_id(const struct catalog_table *table)
{
    return table->row_id != 0 && table->key_count == 1 &&
           table->columns[table->key[0].column].id == table->row_id;
}

int catalog_add_row_id(struct catalog_table *table, struct base_err *err)
{
    int rc = catalog_table_reserve_column(table, err);
    if (rc != 0) {
        base_err_prefix(err, "with the row id");
        return rc;
    }
    struct catalog_column *column = &table->columns[table->column_count++];
    *column =
        (struct catalog_column){.id = table->next_column_id++, .type = INSTAR_INT8, .hidden = true};
    snprintf(column->name, sizeof(column->name), "%s", INSTAR_ROW_ID);
    table->row_id = column->id;
    return 0;
}

uint32_t catalog_hidden_columns(const struct catalog_table *table)
{
    return table->column_count - catalog_visible_columns(table) - (table->row_id != 0);
}

int catalog_column_name_check(const char *name, struct base_err *err)
{
    int rc = catalog_name_check("column", name, err);
    if (rc == 0 && strcmp(name, INSTAR_ROW_ID) == 0) {
        rc = base_err_set(err, INSTAR_EINVALID,
                          "column name \"%s\" is that of the row ids of tables without primary key",
                          name);
    }
    return rc;
}
