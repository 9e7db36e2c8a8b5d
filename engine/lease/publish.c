/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door through which a new version of a table goes.
 *
 * Why there is only one: whoever installs version v + 1 must know that nobody can still commit with
 * v - 1, and must know it at the instant of the append. Tested a moment earlier, a lease may have
 * been granted since; tested by each kind of change in its own way, one of them will forget. So
 * this file alone calls catalog_put_table and catalog_delete_table, and alone gives the store a
 * proof to run inside the mutex.
 *
 * The two-version rule (I-7), as checked here for a publication of v + 1:
 *   1. the descriptor that stands at the publisher's snapshot is v; the read is tracked, so a
 *      publisher who was faster makes this commit fail with ECONFLICT;
 *   2. the step from v to v + 1 is one that stage.def's rules allow (I-9);
 *   3. inside the mutex no valid grant is on a version below v: all are on v.
 * A removal counts as v + 1; so a table that was dropped as v comes back as v + 2. A commit without
 * descriptor (cut, drop record) needs 3 only, with the version that the caller names. A commit that
 * publishes several tables needs all of it for each of them.
 */
#include "lease/lease_impl.h"

#include <inttypes.h>
#include <stdio.h>

/* Of one table. */
struct part {
    const char *name;
    struct lease_drain drain;
};

struct proof {
    struct leases *l;
    struct part parts[1 + LEASE_ALSO_MAX];
    size_t count;
    struct lease_blockers *blockers;
};

static int refuse(const struct proof *p, const char *name, struct base_err *err)
{
    const struct lease_blockers *b = p->blockers;
    const struct lease_blocker *first = &b->list[0];
    char more[48] = "";
    if (b->total > 1) {
        snprintf(more, sizeof(more), ", and %zu more", b->total - 1);
    }
    return base_err_set(err, INSTAR_EBLOCKED,
                        "table %s: version %" PRIu32 " is still in use by process %" PRIu32
                        " (node %" PRIu32 ", transaction of %" PRIu64 " ms, lease for %" PRIu64
                        " ms)%s",
                        name, first->version, first->pid, first->node,
                        first->transaction_ns / 1000000, first->expires_ns / 1000000, more);
}

/* Inside the mutex (LEASE-5): bounded by the slots ever used, no system calls. What one table's
 * proof has marked on the way costs little when that of another fails. */
static int prove(void *arg, uint64_t end_lsn, struct base_err *err)
{
    struct proof *p = arg;
    (void)end_lsn;
    for (size_t i = 0; i < p->count; i++) {
        if (!lease_drain(p->l, &p->parts[i].drain)) {
            return refuse(p, p->parts[i].name, err);
        }
    }
    return INSTAR_OK;
}

static int conflict(const struct lease_publication *what, uint32_t found, struct base_err *err)
{
    return base_err_set(err, INSTAR_ECONFLICT,
                        "table %" PRIu64 ": another publisher was first, its version is %" PRIu32
                        " now",
                        what->table, found);
}

/* Point 1 and 2 of the rule, then the write. `current` is NULL when there is no such table. */
static int put(struct store_txn *t, const struct lease_publication *what,
               const struct catalog_table *current, struct base_err *err)
{
    const struct catalog_table *next = what->descriptor;
    uint32_t version = current != NULL ? current->version : 0;
    if (what->remove) {
        if (version != what->drained_below) {
            return conflict(what, version, err);
        }
        return catalog_delete_table(t, what->table, err);
    }
    base_assert(next->id == what->table);
    base_assert(what->drained_below == next->version - 1);
    if (what->restore ? current != NULL : version + 1 != next->version) {
        return conflict(what, version, err);
    }
    if (current != NULL && !catalog_table_step_allowed(current, next)) {
        return base_err_set(err, INSTAR_ESTATE,
                            "table %s: the step from version %" PRIu32 " to %" PRIu32
                            " skips a stage",
                            next->name, version, next->version);
    }
    return catalog_put_table(t, next, err);
}

static int edit_catalog(struct store_txn *t, const struct lease_publication *what,
                        struct base_err *err)
{
    struct catalog_table *current = NULL;
    int rc = catalog_get_table(t, what->table, &current, err);
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        rc = INSTAR_OK;
    }
    if (rc == INSTAR_OK) {
        rc = put(t, what, current, err);
    }
    catalog_table_free(current);
    return rc;
}

static struct part part_of(const struct lease_publication *what, struct lease_blockers *blockers)
{
    bool publication = what->descriptor != NULL || what->remove;
    return (struct part){
        .name = what->descriptor != NULL ? what->descriptor->name : "",
        .drain = {.table = what->table,
                  .below = what->drained_below,
                  .wanted = publication ? what->drained_below + 1 : what->drained_below,
                  .fence = what->fence,
                  .blockers = blockers},
    };
}

/* What is asked for each of the other tables, as if it stood alone. */
static struct lease_publication also_of(const struct lease_publication *what, size_t at)
{
    const struct lease_also *also = &what->also[at];
    return (struct lease_publication){.table = also->table,
                                      .descriptor = also->descriptor,
                                      .drained_below = also->drained_below,
                                      .remove = also->remove,
                                      .fence = what->fence};
}

int lease_publish(struct leases *l, struct store_txn *t, const struct lease_publication *what,
                  uint64_t *lsn_out, struct lease_blockers *blockers_out, struct base_err *err)
{
    struct lease_blockers blockers = {0};
    char name[24];
    bool publication = what->descriptor != NULL || what->remove;
    int rc = INSTAR_OK;
    base_assert(what->descriptor == NULL || !what->remove);
    base_assert(what->also_count <= LEASE_ALSO_MAX);
    if (blockers_out == NULL) {
        blockers_out = &blockers;
    }
    *blockers_out = (struct lease_blockers){0};
    if (LEASE_ALWAYS_TRUE) {
        store_txn_abort(t);
        return base_err_set(err, INSTAR_EINVALID,
                            "this build has no leases, and publishes nothing");
    }
    struct proof proof = {.l = l, .count = 1 + what->also_count, .blockers = blockers_out};
    proof.parts[0] = part_of(what, blockers_out);
    if (what->descriptor == NULL) {
        snprintf(name, sizeof(name), "%" PRIu64, what->table);
        proof.parts[0].name = name;
    }
    if (publication) {
        rc = edit_catalog(t, what, err);
    }
    for (size_t i = 0; rc == INSTAR_OK && i < what->also_count; i++) {
        struct lease_publication other = also_of(what, i);
        base_assert(other.table != what->table);
        proof.parts[1 + i] = part_of(&other, blockers_out);
        if (other.descriptor != NULL || other.remove) {
            base_assert(publication);
            rc = edit_catalog(t, &other, err);
        }
    }
    if (rc != INSTAR_OK) {
        store_txn_abort(t);
        return rc;
    }
    struct store_commit how = {.fences = what->fences,
                               .fence_count = what->fence_count,
                               .proof = prove,
                               .proof_arg = &proof,
                               .publication = publication};
    /* Death is found here, where system calls are allowed; inside it is only looked up. */
    store_node_reap(l->store);
    return store_txn_commit(t, &how, lsn_out, err);
}
