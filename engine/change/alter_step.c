/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of an alter table that publish a version. Each reads the table as it stands, makes a
 * copy, and edits that: nothing is kept between two steps but the request in the record.
 */
#include "change/alter_impl.h"

/* What a step works on. */
struct work {
    struct edit e;
    struct alter_request request;
};

static int begin(struct work *w, struct job *j, struct base_err *err)
{
    w->request = (struct alter_request){.steps = NULL};
    int rc = edit_begin(&w->e, j, err);

    if (rc == 0) {
        rc = alter_decode(base_buf_slice(&j->rec.descriptor), &w->request, err);
    }
    return rc == 0 ? edit_open_with_kin(&w->e, err) : rc;
}

/* The target, not yet finished; NULL: its IF [NOT] EXISTS leave nothing to do any more. */
static int make_target(struct work *w, struct catalog_table **target_out, struct base_err *err)
{
    return alter_target(w->e.now, w->request.steps, w->request.step_count, target_out, err);
}

/* rc is what the step came to before its commit. */
static int finish(struct work *w, int rc, struct base_err *err)
{
    if (rc == 0 && w->e.next != NULL) {
        rc = kin_follow(&w->e.kin, w->e.now, w->e.next, err);
    }
    rc = edit_publish(&w->e, rc, err);
    base_arena_free(&w->request.arena);
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
        rc = catalog_table_copy(w.e.now, &w.e.next, err);
    }
    if (rc == 0 && target != NULL) {
        rc = catalog_alter_enforce(w.e.next, target, &any, err);
    }
    if (rc == 0 && !any) {
        catalog_table_free(w.e.next);
        w.e.next = NULL;
    }
    catalog_table_free(target);
    return finish(&w, rc, err);
}

int alter_relax(struct job *j, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = catalog_table_copy(w.e.now, &w.e.next, err);
    }
    if (rc == 0) {
        catalog_alter_relax(w.e.next);
    }
    return finish(&w, rc, err);
}

/* All steps at once. What this version leaves behind is only known here for certain. */
int alter_publish(struct job *j, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = make_target(&w, &w.e.next, err);
    }
    j->rec.keeps = false;
    if (rc == 0 && w.e.next != NULL && j->rec.undo_window_s != 0) {
        rc = catalog_keep_dropped(w.e.now, w.e.next, j->rec.id, &j->rec.keeps, err);
    }
    if (rc == 0 && w.e.next != NULL) {
        rc = catalog_alter_finish(w.e.now, w.e.next, err);
    }
    if (rc == 0 && w.e.next != NULL) {
        rc = alter_check_size(j->store, w.e.next, j->rec.descriptor.size, NULL, err);
    }
    if (rc == 0 && w.e.next != NULL) {
        rc = alter_names_give(w.e.t, j->rec.table, &w.request, err);
    }
    if (rc == 0) {
        j->rec.retires = w.e.next != NULL && catalog_alter_leaves(w.e.next);
    }
    return finish(&w, rc, err);
}

int alter_retire(struct job *j, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = catalog_table_copy(w.e.now, &w.e.next, err);
    }
    if (rc == 0) {
        rc = catalog_alter_retire(w.e.next, err);
    }
    if (rc == 0) {
        rc = catalog_table_finish(w.e.next, err);
    }
    if (rc == 0) {
        rc = alter_names_retire(w.e.t, &w.request, err);
    }
    return finish(&w, rc, err);
}
