/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a snapshot sees: LMDB as it stands at lo, and over it the records of the log up to the
 * snapshot.
 *
 * Every position from lo to the tail is the snapshot of some reader. A reader that holds an older
 * one reads LMDB as it was then; that was looked at when lo was there. So a look at all positions
 * from lo on, in every state, is a look at all snapshots of all readers.
 */
#include "model.h"

entries entry(unsigned value, unsigned row)
{
    return 1u << (value - 1 + VALUES * row);
}

entries entries_of_value(unsigned value)
{
    entries e = 0;
    for (unsigned k = 0; k < config.bounds.rows; k++)
        e |= entry(value, k);
    return e;
}

/* The index that these rows should have. */
entries entries_of_rows(const unsigned row[ROWS_MAX])
{
    entries e = 0;
    for (unsigned k = 0; k < ROWS_MAX; k++)
        if (row[k])
            e |= entry(row[k], k);
    return e;
}

/* The values that two rows have in common, one bit each. */
unsigned shared_values(const unsigned row[ROWS_MAX])
{
    unsigned once = 0, twice = 0;
    for (unsigned k = 0; k < ROWS_MAX; k++) {
        twice |= row[k] ? once & (1u << row[k]) : 0;
        once |= row[k] ? 1u << row[k] : 0;
    }
    return twice;
}

/*
 * What a write does to the index, by the stage in its writer's version:
 * nothing while absent; the old entry goes from delete-only on; the new one comes from write-only
 * on.
 */
void batch_entries(const struct record *r, entries *deletes, entries *puts)
{
    *deletes = 0;
    *puts = 0;
    for (unsigned k = 0; k < ROWS_MAX; k++) {
        const struct write *w = &r->write[k];
        if (!w->written)
            continue;
        if (w->old && r->stage >= DELETE_ONLY)
            *deletes |= entry(w->old, k);
        if (w->new && r->stage >= WRITE_ONLY)
            *puts |= entry(w->new, k);
    }
}

unsigned version_at(const struct model *m, unsigned position)
{
    unsigned version = m->version_lo;
    for (unsigned i = 0; i < position; i++)
        version += m->log[i].kind == PUBLICATION;
    return version;
}

enum stage stage_at(const struct model *m, unsigned position)
{
    return (enum stage)m->stage[version_at(m, position)];
}

void rows_at(const struct model *m, unsigned position, unsigned row[ROWS_MAX])
{
    for (unsigned k = 0; k < ROWS_MAX; k++) {
        row[k] = m->row[k];
        for (unsigned i = 0; i < position; i++)
            if (m->log[i].write[k].written)
                row[k] = m->log[i].write[k].new;
    }
}

void tags_at(const struct model *m, unsigned position, unsigned tag[ROWS_MAX])
{
    for (unsigned k = 0; k < ROWS_MAX; k++) {
        tag[k] = m->tag[k];
        for (unsigned i = 0; i < position; i++)
            if (m->log[i].write[k].written)
                tag[k] = m->log[i].write[k].new ? m->log[i].version : 0;
    }
}

/* A reader knows no delta: it sees the tree in LMDB, and over it the operations in the memtables.
 */
entries tree_at(const struct model *m, unsigned position)
{
    entries tree = m->tree;
    for (unsigned i = 0; i < position; i++) {
        entries deletes, puts;
        batch_entries(&m->log[i], &deletes, &puts);
        tree = (tree & ~deletes) | puts;
    }
    return tree;
}

bool is_pending(const struct model *m, enum kind kind, unsigned before)
{
    for (unsigned i = 0; i < before; i++)
        if (m->log[i].kind == (unsigned)kind)
            return true;
    return false;
}

/*
 * The caller has made sure that there is room. All records but those of transactions are written
 * with a sync. The drain, where one is needed, and this append are one critical section: one step
 * of the model.
 */
struct record *append(struct model *m, enum kind kind)
{
    struct record *r = &m->log[m->pending++];
    *r = (struct record){.kind = kind};
    if (kind != BATCH || !config.power_cuts)
        m->durable = m->pending;
    return r;
}

/* No valid lease is below the latest version. */
bool drained(const struct model *m)
{
    unsigned older = (1u << m->version) - 1;
    for (unsigned n = 0; n < NODES; n++)
        if (m->lease[n] & older)
            return false;
    return true;
}
