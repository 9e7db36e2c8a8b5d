/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of one process: the view that holds since the last publication.
 *
 * CAT-7  A view loaded through a snapshot at or after the schema LSN L, with L read after the
 * snapshot was taken, serves every snapshot at or after L while the schema LSN is still L.
 *
 * Why: the store moves the schema LSN before the tail. Let S be the snapshot and L the schema LSN
 * read after S was fixed. A publication with its LSN in (L, S] would have moved the schema LSN past
 * L before any reader could have S: so none lies between, and the descriptors at S are those at L.
 * The same holds for the snapshot that is to be served: L is compared again, after it was taken.
 *
 * A snapshot before L reads for itself, through its own transaction, and leaves no trace here: such
 * are transactions that began just before a publication, or readers that stay open for long.
 *
 * `load` lets one thread at a time read the catalog after a publication; the others wait and find
 * it. It is never held together with any lock of the store but those of a read. `lock` guards
 * `current` alone and is held for a few instructions.
 */
#include "catalog/catalog_impl.h"

struct catalog {
    struct store *store;
    struct os_plain_mutex lock;
    struct os_plain_mutex load;
    struct catalog_held *current; /* under lock; NULL until the first load */
    struct catalog_row_ids row_ids;
};

int catalog_open(struct store *s, struct catalog **catalog_out, struct base_err *err)
{
    *catalog_out = NULL;
    struct catalog *c = base_alloc_zero(1, sizeof(*c));
    if (c == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for the catalog");
    }
    c->store = s;
    os_plain_init(&c->lock);
    os_plain_init(&c->load);
    os_plain_init(&c->row_ids.lock);
    *catalog_out = c;
    return 0;
}

void catalog_close(struct catalog *c)
{
    if (c == NULL) {
        return;
    }
    catalog_held_release(c->current);
    os_plain_destroy(&c->row_ids.lock);
    os_plain_destroy(&c->load);
    os_plain_destroy(&c->lock);
    base_free(c);
}

/* The cached view, counted, if it is that of the schema LSN; with `any`, whatever there is. */
static struct catalog_held *take_current(struct catalog *c, uint64_t schema_lsn, bool any)
{
    os_plain_lock(&c->lock);
    struct catalog_held *held = c->current;
    if (held != NULL && (any || catalog_held_view(held)->schema_lsn == schema_lsn)) {
        catalog_held_acquire(held);
    } else {
        held = NULL;
    }
    os_plain_unlock(&c->lock);
    return held;
}

/* Keep a view for others, if no publication has passed it meanwhile. */
static void keep(struct catalog *c, struct catalog_held *held)
{
    os_plain_lock(&c->lock);
    struct catalog_held *old = NULL;
    if (store_schema_lsn(c->store) == catalog_held_view(held)->schema_lsn) {
        old = c->current;
        c->current = held;
        catalog_held_acquire(held);
    }
    os_plain_unlock(&c->lock);
    catalog_held_release(old);
}

static int load(struct catalog *c, struct store_txn *t, uint64_t schema_lsn,
                struct catalog_held **held_out, struct base_err *err)
{
    struct catalog_held *old = take_current(c, 0, true);
    int rc = catalog_held_load(t, schema_lsn, old, held_out, err);
    catalog_held_release(old);
    return rc;
}

int catalog_view_get(struct catalog *c, struct store_txn *t, const struct catalog_view **view_out,
                     struct base_err *err)
{
    uint64_t snapshot = store_txn_lsn(t);
    uint64_t schema_lsn = store_schema_lsn(c->store); /* after the snapshot: CAT-7 */
    struct catalog_held *held = NULL;
    int rc = 0;
    *view_out = NULL;
    if (snapshot < schema_lsn) {
        rc = load(c, t, snapshot, &held, err);
    } else {
        held = take_current(c, schema_lsn, false);
        if (held == NULL) {
            os_plain_lock(&c->load);
            held = take_current(c, schema_lsn, false);
            if (held == NULL) {
                rc = load(c, t, schema_lsn, &held, err);
                if (rc == 0) {
                    keep(c, held);
                }
            }
            os_plain_unlock(&c->load);
        }
    }
    if (rc == 0) {
        *view_out = catalog_held_view(held);
    }
    return rc;
}

void catalog_view_release(struct catalog *c, const struct catalog_view *view)
{
    (void)c;
    if (view != NULL) {
        catalog_held_release(catalog_held_of(view));
    }
}

int catalog_row_id(struct catalog *c, int64_t *id_out, struct base_err *err)
{
    return catalog_row_ids_take(&c->row_ids, c->store, id_out, err);
}
