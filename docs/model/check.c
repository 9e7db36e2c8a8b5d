/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The oracle: what must hold in every state, at every snapshot from lo to the tail.
 *
 * Four more properties are about one step, and are noticed where it is taken: DROPPED_TREE_WRITTEN,
 * PHANTOM and LATER_TAG in txn.c, FALSE_DUPLICATE in change.c. They arrive here in m->bad.
 *
 * A control must do damage. So where a property merely repeats the rule that was taken out, it is
 * not looked at.
 */
#include "model.h"

const char *const property_text[PROPERTIES] = {
    [HOLDS] = "nothing",
    [INDEX_DIFFERS] = "at a snapshot, an index that readers or probes use is not that of the rows",
    [ENTRY_DANGLES] = "at a snapshot, an index that is not being built has an entry without a row",
    [UNIQUE_BROKEN] = "at a snapshot, a public unique index has two rows with one value",
    [ENTRIES_AFTER_PURGE] = "entries are left after the purge",
    [DROPPED_TREE_WRITTEN] = "a commit writes entries of a tree whose drop is already in the log",
    [FALSE_DUPLICATE] = "validation fails on a value that no two rows shared since the drain",
    [PHANTOM] = "a serializable transaction commits after what it read has changed",
    [THREE_VERSIONS] = "a valid lease is older than the two latest versions",
    [LATER_TAG] = "a transaction sees a row that a later version wrote",
};

/*
 * From the cut to the end of the fold the tree is made of parts that come from different times.
 * While the record of the cut waits for the applier, the tree is what it was before; it was looked
 * at then.
 */
static bool is_being_built(const struct model *m)
{
    return is_pending(m, BEGIN_BUILD, m->pending) || m->mode == DIVERTED || m->delta_put ||
           m->delta_delete;
}

static enum property check_snapshot(const struct model *m, unsigned position)
{
    enum stage stage = stage_at(m, position);
    unsigned row[ROWS_MAX];
    rows_at(m, position, row);
    entries have = tree_at(m, position), want = entries_of_rows(row);
    bool is_read = stage == PUBLIC || stage == ENFORCING;
    bool is_kept = stage != ABSENT && !is_being_built(m);
    if (is_read && have != want)
        return INDEX_DIFFERS;
    if (config.unique && stage == PUBLIC && shared_values(row))
        return UNIQUE_BROKEN;
    if (is_kept && (have & ~want))
        return ENTRY_DANGLES;
    return HOLDS;
}

static bool has_third_version(const struct model *m)
{
    unsigned old = m->version > 0 ? (1u << (m->version - 1)) - 1 : 0;
    for (unsigned n = 0; n < NODES; n++)
        if (m->lease[n] & old)
            return !without(TWO_VERSION_RULE_OFF) && !without(OLD_LEASE_GRANTED);
    return false;
}

enum property check(const struct model *m)
{
    if (m->bad)
        return (enum property)m->bad;
    if (has_third_version(m))
        return THREE_VERSIONS;
    if (m->purged && (m->tree | m->delta_put | m->delta_delete))
        return ENTRIES_AFTER_PURGE;
    for (unsigned p = 0; p <= m->pending; p++) {
        enum property broken = check_snapshot(m, p);
        if (broken)
            return broken;
    }
    return HOLDS;
}

unsigned milestones(const struct model *m)
{
    if (!change_ended(m))
        return 0;
    if (m->verdict == RUNNING && m->stage[m->version] == PUBLIC)
        return WENT_PUBLIC;
    if (m->plan == PLAN_RESTORE)
        return GAVE_UP;
    if (!m->purged)
        return 0;
    return m->verdict == DUPLICATE ? WENT_BACK : m->verdict == CANCELLED ? GAVE_UP : WAS_PURGED;
}
