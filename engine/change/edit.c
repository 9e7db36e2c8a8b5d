/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps have in common that make the next version of a table. */
#include "change/edit_impl.h"

int edit_begin(struct edit *e, struct job *j, struct base_err *err)
{
    *e = (struct edit){.j = j, .seen = store_event_seen(j->store, STORE_EVENT_LEASE)};
    int rc = job_begin(j, &e->t, err);

    if (rc != 0) {
        e->t = NULL;
    }
    return rc;
}

int edit_open(struct edit *e, struct base_err *err)
{
    return catalog_get_table(e->t, e->j->rec.table, &e->now, err);
}

int edit_open_with_kin(struct edit *e, struct base_err *err)
{
    int rc = edit_open(e, err);

    if (rc == 0) {
        rc = kin_open(&e->kin, e->t, &e->j->rec, err);
        e->now->kin = &e->kin.face;
    }
    return rc;
}

int edit_publish(struct edit *e, int rc, struct base_err *err)
{
    if (rc == 0 && e->next == NULL) {
        e->j->rec.version = e->now->version;
    }
    if (rc == 0) {
        rc = step_publish_next(e->j, e->t, e->next, &e->kin, e->seen, err);
    } else if (e->t != NULL) {
        store_txn_abort(e->t);
    }
    edit_free(e);
    return rc;
}

void edit_free(struct edit *e)
{
    catalog_table_free(e->now);
    catalog_table_free(e->next);
    kin_close(&e->kin);
}

int edit_ready(int rc, bool later, struct catalog_table *next, struct catalog_table **next_out,
               struct base_err *err)
{
    *next_out = NULL;
    if (rc == 0 && next != NULL) {
        next->version += later;
        rc = catalog_table_finish(next, err);
    }
    if (rc != 0) {
        catalog_table_free(next);
        return rc;
    }
    *next_out = next;
    return 0;
}
