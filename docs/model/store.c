/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The store: flush, power cut, and the applier, which takes the durable records in LSN order, one
 * at a time. It alone executes the tree operations; so schema and data have one order.
 *
 *     begin-build (the cut)   the tree is emptied; from here on its operations go to the delta
 *     fold-end                the rest of the delta goes into the tree; operations go to the tree
 * again drop                    tree and delta are emptied; later operations on the tree are
 * skipped
 *
 * The delta keeps the last operation on each entry. A delete is a record there, not an absence: the
 * load may bring the entry later.
 */
#include "model.h"

static void apply_to_tree(struct model *m, entries deletes, entries puts)
{
    m->tree = (m->tree & ~deletes) | puts;
}

static void apply_to_delta(struct model *m, entries deletes, entries puts)
{
    m->delta_put = (m->delta_put & ~deletes) | puts;
    m->delta_delete = (m->delta_delete | deletes) & ~puts;
    if (without(DELTA_DELETES_LOST))
        m->delta_delete = 0;
}

static void apply_batch(struct model *m, const struct record *r)
{
    entries deletes, puts;
    for (unsigned k = 0; k < ROWS_MAX; k++) {
        if (!r->write[k].written)
            continue;
        m->row[k] = r->write[k].new;
        m->tag[k] = r->write[k].new ? r->version : 0;
    }
    batch_entries(r, &deletes, &puts);
    if (m->mode == DIRECT)
        apply_to_tree(m, deletes, puts);
    else if (m->mode == DIVERTED)
        apply_to_delta(m, deletes, puts);
}

static void apply_begin_build(struct model *m)
{
    m->tree = m->delta_put = m->delta_delete = 0;
    m->mode = DIVERTED;
}

static void apply_fold_end(struct model *m)
{
    m->mode = DIRECT;
    if (without(FOLD_AFTER_DIRECT))
        return; /* the runner brings the rest later */
    apply_to_tree(m, m->delta_delete, m->delta_put);
    m->delta_put = m->delta_delete = 0;
}

static void apply_drop(struct model *m)
{
    m->tree = m->delta_put = m->delta_delete = 0;
    m->mode = DROPPED;
    m->purged = 1;
}

/* lo moves over one record. All positions are relative to lo. */
static void move_lo(struct model *m)
{
    for (unsigned i = 1; i < m->pending; i++)
        m->log[i - 1] = m->log[i];
    m->log[--m->pending] = (struct record){.kind = NO_RECORD};
    m->durable--;
    m->since -= m->since > 0;
}

static void apply(const struct model *m, struct sink *sink)
{
    struct model next = *m;
    const struct record *r = &m->log[0];
    if (r->kind == BATCH)
        apply_batch(&next, r);
    else if (r->kind == PUBLICATION)
        next.version_lo++;
    else if (r->kind == BEGIN_BUILD)
        apply_begin_build(&next);
    else if (r->kind == FOLD_END)
        apply_fold_end(&next);
    else if (r->kind == DROP_TREE)
        apply_drop(&next);
    move_lo(&next);
    sink->take(sink, &next, label(APPLY, r->kind, 0));
}

static void flush(const struct model *m, struct sink *sink)
{
    struct model next = *m;
    next.durable = m->pending;
    sink->take(sink, &next, label(FLUSH, 0, 0));
}

/*
 * What is not durable is gone, and with it all processes: their transactions and leases. The change
 * goes on where it was: its record, what it loaded and its spilled scans are on disk.
 */
static void power_cut(const struct model *m, struct sink *sink)
{
    struct model next = *m;
    for (unsigned i = m->durable; i < m->pending; i++)
        next.log[i] = (struct record){.kind = NO_RECORD};
    next.pending = m->durable;
    for (unsigned n = 0; n < NODES; n++)
        next.lease[n] = 0;
    for (unsigned i = 0; i < TXNS_MAX; i++)
        next.txn[i] = (struct txn){.phase = IDLE};
    sink->take(sink, &next, label(POWER_CUT, 0, 0));
}

void store_steps(const struct model *m, struct sink *sink)
{
    if (m->durable > 0)
        apply(m, sink);
    if (config.power_cuts && m->durable < m->pending) {
        flush(m, sink);
        power_cut(m, sink);
    }
}
