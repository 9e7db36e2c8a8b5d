/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of creating and dropping a table: it is there, or gone, in one publication; with the
 * next versions of those that foreign keys tie to it.
 */
#include "change/edit_impl.h"

int table_tree_ops(struct store_txn *t, const struct catalog_table *table, enum store_tree_op op,
                   struct base_err *err)
{
    int rc = store_txn_tree_op(t, op, table->tree, err);

    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        rc = store_txn_tree_op(t, op, table->indexes[i].tree, err);
    }
    return rc;
}

static int add_table(struct job *j, struct base_err *err)
{
    struct edit e;
    bool exists = false;
    int rc = edit_begin(&e, j, err);

    if (rc == 0) {
        rc = catalog_table_decode(base_buf_slice(&j->rec.descriptor), &e.next, err);
    }
    if (rc == 0) {
        rc = name_claim(j, e.t, e.next, &exists, err);
    }
    if (exists) {
        edit_free(&e);
        return step_finish_early(j, e.t, err);
    }
    if (rc == 0) {
        rc = kin_open(&e.kin, e.t, &j->rec, err);
        rc = rc == 0 ? kin_follow(&e.kin, NULL, e.next, err) : rc;
    }
    if (rc == 0) {
        rc = table_tree_ops(e.t, e.next, STORE_TREE_CREATE, err);
    }
    if (rc == 0 && !j->rec.waits) {
        rc = name_release(j, e.t, true, err);
    }
    if (rc == 0) {
        rc = name_claim_uniques(j, e.t, e.next, err);
    }
    if (rc == 0) {
        e.next->change = j->rec.waits ? j->rec.id : 0;
    }
    return edit_publish(&e, rc, err);
}

/* The table is there for those who write what it refers to, and nobody else. From the drain of
 * their versions before on each of them looks into it when a key goes, or fails at commit by what
 * has come into it since; so it may be written. */
static int show_table(struct job *j, struct base_err *err)
{
    struct edit e;
    int rc = edit_begin(&e, j, err);

    if (rc == 0) {
        rc = catalog_get_table(e.t, j->rec.table, &e.next, err);
    }
    if (rc == 0) {
        rc = kin_open(&e.kin, e.t, &j->rec, err);
    }
    if (rc == 0) {
        rc = name_release(j, e.t, true, err);
    }
    if (rc == 0) {
        kin_drain(&e.kin);
        e.next->change = 0;
        e.next->version++;
    }
    return edit_publish(&e, rc, err);
}

static int remove_table(struct job *j, struct base_err *err)
{
    struct edit e;
    int rc = edit_begin(&e, j, err);

    if (rc != 0) {
        return rc;
    }
    rc = edit_open(&e, err);
    if (rc == INSTAR_ENOTFOUND) {
        return step_finish_early(j, e.t, err);
    }
    if (rc == 0) {
        rc = kin_check_drop_table(e.t, e.now, err);
    }
    if (rc == 0) {
        rc = kin_open(&e.kin, e.t, &j->rec, err);
        rc = rc == 0 ? kin_follow(&e.kin, e.now, NULL, err) : rc;
    }
    if (rc == 0) {
        rc = name_free_all(j, e.t, e.now, err);
    }
    if (rc == 0) {
        /* Kept for the purge, which needs the trees, and for history. */
        base_buf_clear(&j->rec.descriptor);
        rc = catalog_table_encode(e.now, &j->rec.descriptor, err);
    }
    if (rc != 0) {
        return edit_publish(&e, rc, err);
    }
    j->rec.version = e.now->version + 1;
    job_advance(j);
    rc = step_publish(j, e.t,
                      &(struct lease_publication){.table = e.now->id,
                                                  .remove = true,
                                                  .drained_below = e.now->version,
                                                  .also = e.kin.also,
                                                  .also_count = e.kin.also_count},
                      e.seen, err);
    edit_free(&e);
    return rc;
}

int table_publish(struct job *j, enum change_work work, struct base_err *err)
{
    return work == WORK_ADD_TABLE    ? add_table(j, err)
           : work == WORK_SHOW_TABLE ? show_table(j, err)
                                     : remove_table(j, err);
}
