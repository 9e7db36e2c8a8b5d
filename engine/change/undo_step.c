/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of an undo and of a purge of columns. Each reads the table as it stands, makes a copy,
 * and edits that, as those of an alteration do.
 */
#include "change/undo_impl.h"

/* What a step works on. */
struct work {
    struct edit e;
    struct undo_columns columns;
};

static void end(struct work *w)
{
    undo_columns_free(&w->columns);
    edit_free(&w->e);
}

static int begin(struct work *w, struct job *j, struct base_err *err)
{
    w->columns = (struct undo_columns){.count = 0};
    return edit_begin(&w->e, j, err);
}

/* The table and a copy of it. */
static int open_table(struct work *w, struct base_err *err)
{
    int rc = edit_open(&w->e, err);

    return rc == 0 ? catalog_table_copy(w->e.now, &w->e.next, err) : rc;
}

static int open_columns(struct work *w, struct base_err *err)
{
    int rc = undo_columns_decode(base_buf_slice(&w->e.j->rec.descriptor), &w->columns, err);

    return rc == 0 ? open_table(w, err) : rc;
}

/* Publish w->e.next. `restore`: a table that is not there. Ends the transaction. */
static int publish(struct work *w, bool restore, struct base_err *err)
{
    struct job *j = w->e.j;

    job_advance(j);
    j->rec.version = w->e.next->version;
    return step_publish(j, w->e.t,
                        &(struct lease_publication){.table = w->e.next->id,
                                                    .descriptor = w->e.next,
                                                    .restore = restore,
                                                    .drained_below = w->e.next->version - 1},
                        w->e.seen, err);
}

/* rc is what the step came to before its commit. */
static int finish(struct work *w, int rc, bool restore, struct base_err *err)
{
    if (rc == 0) {
        rc = publish(w, restore, err);
    } else if (w->e.t != NULL) {
        store_txn_abort(w->e.t);
    }
    end(w);
    return rc;
}

/* ---- a table ------------------------------------------------------------------------------ */

/* The names of the table and its indexes lead to them again, or are free. */
static int release_names(struct work *w, const struct catalog_table *table, bool keep,
                         struct base_err *err)
{
    uint64_t change = w->e.j->rec.id;
    int rc = name_let_go(w->e.t, table->name, change, keep, err);

    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        rc = name_let_go(w->e.t, table->indexes[i].name, change, keep, err);
    }
    return rc;
}

/* Of columns that were dropped before the table was, and whose time is over, nothing is known to
 * their purge: it looks again when the table is there. */
static int restore_table(struct work *w, struct base_err *err)
{
    int rc = catalog_table_decode(base_buf_slice(&w->e.j->rec.descriptor), &w->e.next, err);

    return rc == 0 ? release_names(w, w->e.next, true, err) : rc;
}

/* ---- columns ------------------------------------------------------------------------------ */

static int restore_columns(struct work *w, struct base_err *err)
{
    const struct change_record *r = &w->e.j->rec;
    int rc = open_columns(w, err);

    if (rc == 0) {
        rc = catalog_restore_kept(w->e.next, r->takes,
                                  w->columns.new_name[0] != 0 ? w->columns.new_name : NULL,
                                  r->validates, err);
    }
    return rc;
}

int undo_restore(struct job *j, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);
    bool table = rc == 0 && j->rec.tree != 0;

    if (rc == 0) {
        rc = table ? restore_table(&w, err) : restore_columns(&w, err);
    }
    return finish(&w, rc, table, err);
}

int undo_settle(struct job *j, struct base_err *err)
{
    struct work w;
    uint32_t *ids = NULL;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = open_columns(&w, err);
    }
    if (rc == 0) {
        ids = base_alloc_zero(w.columns.count, sizeof(*ids));
        rc = ids != NULL ? 0 : base_err_set(err, INSTAR_ENOMEM, "undoing a drop: out of memory");
    }
    for (size_t i = 0; rc == 0 && i < w.columns.count; i++) {
        ids[i] = w.columns.names[i].id;
    }
    if (rc == 0) {
        rc = catalog_settle_restored(w.e.next, ids, w.columns.count, err);
    }
    base_free(ids);
    return finish(&w, rc, false, err);
}

int undo_keep_again(struct job *j, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = open_columns(&w, err);
    }
    if (rc == 0) {
        rc = catalog_keep_again(w.e.now, w.e.next, w.columns.names, w.columns.count, j->rec.takes,
                                err);
    }
    return finish(&w, rc, false, err);
}

int undo_forget(struct job *j, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = open_table(&w, err);
    }
    if (rc == 0) {
        /* They are there (UNDO-1): the commit that takes them ends the step. */
        (void)catalog_forget_kept(w.e.next, j->rec.takes);
        rc = catalog_alter_retire(w.e.next, err);
        rc = rc == 0 ? catalog_table_finish(w.e.next, err) : rc;
    }
    return finish(&w, rc, false, err);
}

/* ---- the way back ------------------------------------------------------------------------- */

int undo_give_back(struct job *j, struct store_txn *t, struct base_err *err)
{
    struct work w = {.e = {.j = j, .t = t}};
    struct change_record drop = {0};
    int rc = record_get(t, j->rec.takes, STORE_READ_NORMAL, &drop, err);

    if (rc == 0 && drop.taken_by == j->rec.id) {
        drop.taken_by = 0;
        rc = record_put(t, &drop, err);
    }
    if (rc == 0 && j->rec.tree != 0) {
        rc = catalog_table_decode(base_buf_slice(&j->rec.descriptor), &w.e.next, err);
        rc = rc == 0 ? release_names(&w, w.e.next, false, err) : rc;
    }
    end(&w);
    record_free(&drop);
    return rc;
}
