/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Transactions and leases.
 *
 *     IDLE --begin--> BEGUN --lease--> LEASED --commit--> IDLE
 *                       |                |
 *                       +----- fail -----+------> IDLE
 *
 * A transaction that can only fail is made to fail at once: at commit it would be told so, and
 * until then it does nothing that others could notice (the grant it uses may be lost at any moment
 * anyway). This is done in two places, each the model's form of a test that the real commit makes
 * inside the mutex:
 *   lose_lease()   the fence: the grants that the transaction relies on must still be valid;
 *   committed()    the conflicts: what it read must not have changed since its snapshot.
 */
#include "model.h"

static bool unique_enforced(enum stage stage)
{
    return config.unique && stage >= ENFORCING;
}

static void fail(struct txn *t)
{
    *t = (struct txn){.phase = IDLE};
}

/* The limit on commits, where there is one, is the model's and not the protocol's. */
static bool may_commit(const struct model *m)
{
    return m->commits_left > 0 || config.bounds.commits == 0;
}

static bool is_reader(const struct txn *t)
{
    return t->looks_for != 0;
}

/* ---- Conflicts --------------------------------------------------------------------------------
 */

static bool rows_conflict(const struct txn *t, const struct record *r)
{
    if (without(ROW_CONFLICTS_OFF))
        return false;
    for (unsigned k = 0; k < ROWS_MAX; k++)
        if (t->write[k].written && r->write[k].written)
            return true;
    return false;
}

/* The prefixes of the index that the transaction has read: as a query, or to see that a value is
 * free. */
static entries prefixes_read(const struct model *m, const struct txn *t)
{
    if (is_reader(t))
        return entries_of_value(t->looks_for);
    if (!unique_enforced(m->stage[t->version]) || without(PROBES_NOT_VALIDATED))
        return 0;
    entries read = 0;
    for (unsigned k = 0; k < ROWS_MAX; k++)
        if (t->write[k].written && t->write[k].new)
            read |= entries_of_value(t->write[k].new);
    return read;
}

static bool conflicts(const struct model *m, const struct txn *t, const struct record *r)
{
    entries deletes, puts;
    batch_entries(r, &deletes, &puts);
    return rows_conflict(t, r) || (prefixes_read(m, t) & (deletes | puts));
}

/* Did this commit change what a reader's query should return? Its range check sees entries only. */
static bool changes_answer(const struct txn *t, const struct record *r)
{
    for (unsigned k = 0; is_reader(t) && k < ROWS_MAX; k++) {
        const struct write *w = &r->write[k];
        if (w->written && (w->old == t->looks_for || w->new == t->looks_for))
            return true;
    }
    return false;
}

/* A batch has been committed: it meets every open transaction. */
static void committed(struct model *m, const struct record *r)
{
    for (unsigned i = 0; i < config.bounds.txns; i++) {
        struct txn *t = &m->txn[i];
        if (t->phase == IDLE)
            continue;
        if (conflicts(m, t, r) || (!may_commit(m) && !is_reader(t)))
            fail(t);
        else if (changes_answer(t, r))
            t->stale = 1;
    }
}

/* ---- Begin ------------------------------------------------------------------------------------
 */

/* Tries to begin transaction i with this operation. Records after its snapshot count as committed
 * already. */
static void begin_with(const struct model *m, unsigned i, const struct txn *t, unsigned position,
                       struct sink *sink)
{
    struct model next = *m;
    next.txn[i] = *t;
    for (unsigned p = position; p < m->pending; p++) {
        if (conflicts(m, t, &m->log[p]))
            return;
        next.txn[i].stale |= changes_answer(t, &m->log[p]);
    }
    sink->take(sink, &next, label(BEGIN, i, position));
}

/* The probe for uniqueness, on the transaction's final state. */
static bool finds_duplicate(const struct model *m, const struct txn *t, unsigned position)
{
    struct record own = {.kind = BATCH, .stage = m->stage[t->version]};
    entries deletes, puts;
    for (unsigned k = 0; k < ROWS_MAX; k++)
        own.write[k] = t->write[k];
    batch_entries(&own, &deletes, &puts);
    entries tree = (tree_at(m, position) & ~deletes) | puts;
    for (unsigned v = 1; v <= VALUES; v++) {
        entries same = tree & entries_of_value(v);
        if ((puts & same) && (same & (same - 1)))
            return true;
    }
    return false;
}

/* Operation number `code` is one digit a row: 0 leaves it alone, 1 + v makes it v. False: there is
 * no such one. */
static bool choose_writes(const unsigned row[ROWS_MAX], unsigned code, struct write write[ROWS_MAX])
{
    unsigned written = 0;
    for (unsigned k = 0; k < config.bounds.rows; k++, code /= VALUES + 2) {
        unsigned digit = code % (VALUES + 2);
        write[k] = (struct write){0};
        if (digit == 0)
            continue;
        if (digit - 1 == row[k])
            return false;
        write[k] = (struct write){.written = 1, .old = row[k], .new = digit - 1};
        written++;
    }
    return written >= 1 && (written == 1 || config.wide) && code == 0;
}

static void begin_writer(const struct model *m, unsigned i, unsigned position, unsigned version,
                         struct sink *sink)
{
    unsigned row[ROWS_MAX];
    rows_at(m, position, row);
    unsigned codes = 1;
    for (unsigned k = 0; k < config.bounds.rows; k++)
        codes *= VALUES + 2;
    for (unsigned code = 1; code < codes; code++) {
        struct txn t = {.phase = BEGUN, .version = version};
        if (!choose_writes(row, code, t.write))
            continue;
        if (unique_enforced(m->stage[version]) && finds_duplicate(m, &t, position))
            continue; /* the error is returned; check.c knows that it was a true one */
        begin_with(m, i, &t, position, sink);
    }
}

static void begin_reader(const struct model *m, unsigned i, unsigned position, unsigned version,
                         struct sink *sink)
{
    if (m->stage[version] != PUBLIC)
        return;
    for (unsigned v = 1; v <= VALUES; v++) {
        struct txn t = {.phase = BEGUN, .version = version, .looks_for = v};
        begin_with(m, i, &t, position, sink);
    }
}

static bool sees_later_tag(const struct model *m, unsigned position, unsigned version)
{
    unsigned tag[ROWS_MAX];
    tags_at(m, position, tag);
    for (unsigned k = 0; k < ROWS_MAX; k++)
        if (tag[k] > version)
            return true;
    return false;
}

static void begin_at(const struct model *m, unsigned i, unsigned position, unsigned version,
                     struct sink *sink)
{
    if (config.tags && sees_later_tag(m, position, version)) {
        struct model next = *m;
        next.bad = LATER_TAG;
        sink->take(sink, &next, label(BEGIN, i, position));
        return;
    }
    if (may_commit(m))
        begin_writer(m, i, position, version, sink);
    begin_reader(m, i, position, version, sink);
}

/*
 * A transaction uses the version in the catalog at its snapshot. The snapshot is the tail, or the
 * durable position. The hook that forces versions gives it an older version all the same.
 */
static void begin(const struct model *m, unsigned i, struct sink *sink)
{
    unsigned first = config.power_cuts ? m->durable : m->pending;
    for (unsigned p = first; p <= m->pending; p++) {
        if (p != first && p != m->pending)
            continue;
        unsigned version = version_at(m, p);
        begin_at(m, i, p, version, sink);
        if (config.force_versions && version > 0)
            begin_at(m, i, p, version - 1, sink);
    }
}

/* ---- Lease ------------------------------------------------------------------------------------
 */

/* At the first touch of the table: share the node's grant, or take one, which is granted on the
 * latest version only. */
static void lease(const struct model *m, unsigned i, struct sink *sink)
{
    unsigned node = i % NODES;
    unsigned version = m->txn[i].version;
    bool shared = m->lease[node] & (1u << version);
    if (!shared && version != m->version && !without(OLD_LEASE_GRANTED))
        return; /* the retryable error */
    struct model next = *m;
    next.lease[node] |= 1u << version;
    next.txn[i].phase = LEASED;
    sink->take(sink, &next, label(LEASE, i, 0));
}

/*
 * A grant ends at any moment: it expires, its node dies, or nobody uses it and the publisher
 * revokes it. Grants are numbered and a commit tests the numbers of those that it relies on; so
 * with the grant go its transactions, also if the node takes a new one on the same version.
 */
static void lose_lease(const struct model *m, unsigned node, unsigned version, struct sink *sink)
{
    struct model next = *m;
    next.lease[node] &= ~(1u << version);
    for (unsigned i = node; i < config.bounds.txns; i += NODES) {
        struct txn *t = &next.txn[i];
        if (t->phase == LEASED && t->version == version && !without(NO_FENCE))
            fail(t);
    }
    sink->take(sink, &next, label(LOSE_LEASE, node, version));
}

/* ---- Commit -----------------------------------------------------------------------------------
 */

/* A reader's own writes are in another table. A serializable commit says that what it read is still
 * so. */
static void commit_reader(const struct model *m, unsigned i, struct sink *sink)
{
    struct model next = *m;
    next.bad = m->txn[i].stale ? PHANTOM : HOLDS;
    fail(&next.txn[i]);
    sink->take(sink, &next, label(COMMIT, i, 0));
}

/* The tree's drop is in the log, or done; so these operations will be skipped. */
static bool writes_dropped_tree(const struct model *m, const struct record *r)
{
    entries deletes, puts;
    batch_entries(r, &deletes, &puts);
    return (deletes | puts) && (m->mode == DROPPED || is_pending(m, DROP_TREE, m->pending)) &&
           !without(PURGE_AT_WRITE_ONLY);
}

static void commit_writer(const struct model *m, unsigned i, struct sink *sink)
{
    if (m->pending == config.bounds.pending)
        return; /* the applier is behind: commits wait */
    struct model next = *m;
    const struct txn *t = &m->txn[i];
    fail(&next.txn[i]);
    next.commits_left -= config.bounds.commits ? 1 : 0;

    struct record *r = append(&next, BATCH);
    r->stage = m->stage[t->version];
    r->version = config.tags ? t->version : 0;
    for (unsigned k = 0; k < ROWS_MAX; k++)
        r->write[k] = t->write[k];

    unsigned row[ROWS_MAX];
    rows_at(&next, next.pending, row);
    if (change_validates(&next))
        next.duplicate |= shared_values(row);
    committed(&next, r);
    next.bad = writes_dropped_tree(m, r) ? DROPPED_TREE_WRITTEN : HOLDS;
    sink->take(sink, &next, label(COMMIT, i, 0));
}

/* A read-write transaction proves a lease on every table that it read, probed or wrote. */
static void commit(const struct model *m, unsigned i, struct sink *sink)
{
    const struct txn *t = &m->txn[i];
    if (is_reader(t) && (t->phase == LEASED || without(NO_LEASE_FOR_READS)))
        commit_reader(m, i, sink);
    else if (!is_reader(t) && t->phase == LEASED)
        commit_writer(m, i, sink);
}

/* Before it has a lease, nobody would notice. */
static void abort_txn(const struct model *m, unsigned i, struct sink *sink)
{
    struct model next = *m;
    fail(&next.txn[i]);
    sink->take(sink, &next, label(ABORT, i, 0));
}

void txn_steps(const struct model *m, struct sink *sink)
{
    for (unsigned i = 0; i < config.bounds.txns; i++) {
        if (m->txn[i].phase == IDLE) {
            begin(m, i, sink);
            continue;
        }
        commit(m, i, sink);
        if (m->txn[i].phase == BEGUN)
            lease(m, i, sink);
        else
            abort_txn(m, i, sink);
    }
    for (unsigned node = 0; node < NODES; node++)
        for (unsigned version = 0; version <= m->version; version++)
            if (m->lease[node] & (1u << version))
                lose_lease(m, node, version, sink);
}
