/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of creating and dropping a table: it is there, or gone, in one publication; with the
 * next versions of those that foreign keys tie to it.
 */
#include "change/job_impl.h"
#include "change/kin_impl.h"

static int add_table(struct job *j, struct base_err *err)
{
    struct catalog_table *table = NULL;
    struct store_txn *t;
    uint32_t seen = store_event_seen(j->store, STORE_EVENT_LEASE);
    int rc = job_begin(j, &t, err);

    if (rc != 0) {
        return rc;
    }
    bool exists = false;
    struct kin kin = {.count = 0};
    rc = catalog_table_decode(base_buf_slice(&j->rec.descriptor), &table, err);
    if (rc == 0) {
        rc = name_claim(j, t, table, &exists, err);
    }
    if (exists) {
        catalog_table_free(table);
        return step_finish_early(j, t, err);
    }
    if (rc == 0) {
        rc = kin_open(&kin, t, &j->rec, err);
        rc = rc == 0 ? kin_follow(&kin, NULL, table, err) : rc;
    }
    if (rc == 0) {
        rc = store_txn_tree_op(t, STORE_TREE_CREATE, table->tree, err);
    }
    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        rc = store_txn_tree_op(t, STORE_TREE_CREATE, table->indexes[i].tree, err);
    }
    if (rc == 0 && !j->rec.waits) {
        rc = name_release(j, t, true, err);
    }
    if (rc == 0) {
        rc = name_claim_uniques(j, t, table, err);
    }
    if (rc != 0) {
        store_txn_abort(t);
    } else {
        table->change = j->rec.waits ? j->rec.id : 0;
        rc = step_publish_next(j, t, table, &kin, seen, err);
    }
    kin_close(&kin);
    catalog_table_free(table);
    return rc;
}

/* The table is there for those who write what it refers to, and nobody else. From the drain of
 * their versions before on each of them looks into it when a key goes, or fails at commit by what
 * has come into it since; so it may be written. */
static int show_table(struct job *j, struct base_err *err)
{
    struct catalog_table *table = NULL;
    struct kin kin = {.count = 0};
    struct store_txn *t;
    uint32_t seen = store_event_seen(j->store, STORE_EVENT_LEASE);
    int rc = job_begin(j, &t, err);

    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(t, j->rec.table, &table, err);
    if (rc == 0) {
        rc = kin_open(&kin, t, &j->rec, err);
    }
    if (rc == 0) {
        rc = name_release(j, t, true, err);
    }
    if (rc != 0) {
        store_txn_abort(t);
    } else {
        kin_drain(&kin);
        table->change = 0;
        table->version++;
        rc = step_publish_next(j, t, table, &kin, seen, err);
    }
    kin_close(&kin);
    catalog_table_free(table);
    return rc;
}

static int remove_table(struct job *j, struct base_err *err)
{
    struct catalog_table *table = NULL;
    struct store_txn *t;
    uint32_t seen = store_event_seen(j->store, STORE_EVENT_LEASE);
    int rc = job_begin(j, &t, err);

    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(t, j->rec.table, &table, err);
    struct kin kin = {.count = 0};
    if (rc == INSTAR_ENOTFOUND) {
        return step_finish_early(j, t, err);
    }
    if (rc == 0) {
        rc = kin_check_drop_table(t, table, err);
    }
    if (rc == 0) {
        rc = kin_open(&kin, t, &j->rec, err);
        rc = rc == 0 ? kin_follow(&kin, table, NULL, err) : rc;
    }
    if (rc == 0) {
        rc = name_free_all(j, t, table, err);
    }
    if (rc == 0) {
        /* Kept for the purge, which needs the trees, and for history. */
        base_buf_clear(&j->rec.descriptor);
        rc = catalog_table_encode(table, &j->rec.descriptor, err);
    }
    if (rc != 0) {
        store_txn_abort(t);
    } else {
        j->rec.version = table->version + 1;
        job_advance(j);
        rc = step_publish(j, t,
                          &(struct lease_publication){.table = table->id,
                                                      .remove = true,
                                                      .drained_below = table->version,
                                                      .also = kin.also,
                                                      .also_count = kin.also_count},
                          seen, err);
    }
    kin_close(&kin);
    catalog_table_free(table);
    return rc;
}

int table_publish(struct job *j, enum change_work work, struct base_err *err)
{
    return work == WORK_ADD_TABLE    ? add_table(j, err)
           : work == WORK_SHOW_TABLE ? show_table(j, err)
                                     : remove_table(j, err);
}
