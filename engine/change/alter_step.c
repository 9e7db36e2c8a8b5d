/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of an alter table that publish a version. Each reads the table as it stands, makes a
 * copy, and edits that: nothing is kept between two steps but the request in the record.
 */
#include "change/alter_impl.h"

/* What a step works on. */
struct work {
    struct job *j;
    struct store_txn *t;
    uint32_t seen; /* of the lease event, from before the step began */
    struct alter_request request;
    struct catalog_table *now;  /* as it stands */
    struct catalog_table *next; /* the version to be published, or NULL */
    struct kin kin;             /* what foreign keys tie to it */
};

static void end(struct work *w)
{
    base_arena_free(&w->request.arena);
    catalog_table_free(w->now);
    catalog_table_free(w->next);
    kin_close(&w->kin);
}

static int begin(struct work *w, struct job *j, struct base_err *err)
{
    *w = (struct work){.j = j, .seen = store_event_seen(j->store, STORE_EVENT_LEASE)};
    int rc = job_begin(j, &w->t, err);

    if (rc != 0) {
        w->t = NULL;
        return rc;
    }
    rc = alter_decode(base_buf_slice(&j->rec.descriptor), &w->request, err);
    if (rc == 0) {
        rc = catalog_get_table(w->t, j->rec.table, &w->now, err);
    }
    if (rc == 0) {
        rc = kin_open(&w->kin, w->t, &j->rec, err);
        w->now->kin = &w->kin.face;
    }
    return rc;
}

/* The target, not yet finished; NULL: its IF [NOT] EXISTS leave nothing to do any more. */
static int make_target(struct work *w, struct catalog_table **target_out, struct base_err *err)
{
    return alter_target(w->now, w->request.steps, w->request.step_count, target_out, err);
}

/* rc is what the step came to before its commit. */
static int finish(struct work *w, int rc, struct base_err *err)
{
    if (rc == 0 && w->next != NULL) {
        rc = kin_follow(&w->kin, w->now, w->next, err);
    }
    if (rc == 0) {
        rc = step_publish_next(w->j, w->t, w->next, &w->kin, w->seen, err);
    } else if (w->t != NULL) {
        store_txn_abort(w->t);
    }
    end(w);
    return rc;
}

int alter_enforce(struct job *j, struct base_err *err)
{
    struct catalog_table *target = NULL;
    struct work w;
    bool any = true;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = make_target(&w, &target, err);
    }
    if (rc == 0 && target != NULL) {
        rc = catalog_table_copy(w.now, &w.next, err);
    }
    if (rc == 0 && target != NULL) {
        rc = catalog_alter_enforce(w.next, target, &any, err);
    }
    if (rc == 0 && !any) {
        catalog_table_free(w.next);
        w.next = NULL;
    }
    if (rc == 0) {
        j->rec.version = w.now->version; /* what the drain is to prove, if nothing is published */
    }
    catalog_table_free(target);
    return finish(&w, rc, err);
}

int alter_relax(struct job *j, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = catalog_table_copy(w.now, &w.next, err);
    }
    if (rc == 0) {
        catalog_alter_relax(w.next);
    }
    return finish(&w, rc, err);
}

/* All steps at once. What this version leaves behind is only known here for certain. */
int alter_publish(struct job *j, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = make_target(&w, &w.next, err);
    }
    j->rec.keeps = false;
    if (rc == 0 && w.next != NULL && j->rec.undo_window_s != 0) {
        rc = catalog_keep_dropped(w.now, w.next, j->rec.id, &j->rec.keeps, err);
    }
    if (rc == 0 && w.next != NULL) {
        rc = catalog_alter_finish(w.now, w.next, err);
    }
    if (rc == 0 && w.next != NULL) {
        rc = alter_check_size(j->store, w.next, j->rec.descriptor.size, NULL, err);
    }
    if (rc == 0 && w.next != NULL) {
        rc = alter_names_give(w.t, j->rec.table, &w.request, err);
    }
    if (rc == 0) {
        j->rec.retires = w.next != NULL && catalog_alter_leaves(w.next);
    }
    return finish(&w, rc, err);
}

int alter_retire(struct job *j, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = catalog_table_copy(w.now, &w.next, err);
    }
    if (rc == 0) {
        rc = catalog_alter_retire(w.next, err);
    }
    if (rc == 0) {
        rc = catalog_table_finish(w.next, err);
    }
    if (rc == 0) {
        rc = alter_names_retire(w.t, &w.request, err);
    }
    return finish(&w, rc, err);
}
