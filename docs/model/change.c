/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The change: its plans, and the runner that takes one step after the other.
 *
 * Each publication needs the drain of the version before it (the two-version rule): the test and
 * the append are one critical section, one step of the model. The cut, the drop record and the
 * start of validation are made with the same proof.
 *
 *     build:     scan(row) at a snapshot >= the cut, then load(row), for each row;
 *                when all are loaded: fold(entry) as often as wanted, then the record fold-end
 *     validate:  read(value) at one snapshot >= the drain of `enforcing`, for each value
 */
#include "model.h"

/* The last seven serve the negative controls: each leaves out what the protocol asks for. */
const struct plan plans[PLANS] = {
    [PLAN_ADD] = {"add index", ABSENT, {TO_DELETE_ONLY, TO_WRITE_ONLY, CUT, BUILD, TO_PUBLIC}},
    [PLAN_ADD_UNIQUE] = {"add unique index",
                         ABSENT,
                         {TO_DELETE_ONLY, TO_WRITE_ONLY, CUT, BUILD, TO_ENFORCING, DRAIN, VALIDATE,
                          TO_PUBLIC}},
    [PLAN_DROP] = {"drop index", PUBLIC, {TO_WRITE_ONLY, TO_DELETE_ONLY, TO_ABSENT, PURGE}},
    [PLAN_DROP_UNIQUE] = {"drop unique index",
                          PUBLIC,
                          {TO_ENFORCING, TO_DELETE_ONLY, TO_ABSENT, PURGE}},
    [PLAN_REVERT] = {"revert", ABSENT, {TO_WRITE_ONLY, TO_DELETE_ONLY, TO_ABSENT, PURGE}},
    [PLAN_RESTORE] = {"restore", PUBLIC, {TO_PUBLIC}},
    [PLAN_ABSENT_TO_PUBLIC] = {"absent -> public", ABSENT, {CUT, BUILD, TO_PUBLIC}},
    [PLAN_DELETE_ONLY_TO_PUBLIC] = {"delete-only -> public",
                                    ABSENT,
                                    {TO_DELETE_ONLY, CUT, BUILD, TO_PUBLIC}},
    [PLAN_ABSENT_TO_WRITE_ONLY] = {"absent -> write-only",
                                   ABSENT,
                                   {TO_WRITE_ONLY, CUT, BUILD, TO_PUBLIC}},
    [PLAN_WITHOUT_ENFORCING] = {"unique without enforcing",
                                ABSENT,
                                {TO_DELETE_ONLY, TO_WRITE_ONLY, CUT, BUILD, DRAIN, VALIDATE,
                                 TO_PUBLIC}},
    [PLAN_PUBLIC_TO_ABSENT] = {"public -> absent", PUBLIC, {TO_ABSENT, PURGE}},
    [PLAN_PURGE_AT_WRITE_ONLY] = {"purge at write-only",
                                  PUBLIC,
                                  {TO_WRITE_ONLY, PURGE, TO_DELETE_ONLY, TO_ABSENT}},
};

static enum step step_of(const struct model *m)
{
    return (enum step)plans[m->plan].step[m->step];
}

bool change_ended(const struct model *m)
{
    return step_of(m) == END;
}

/* From the drain of `enforcing` on, the oracle remembers which values were duplicates. */
bool change_validates(const struct model *m)
{
    return step_of(m) == VALIDATE;
}

static bool room(const struct model *m)
{
    return m->pending < config.bounds.pending;
}

/* ---- Publish ----------------------------------------------------------------------------------
 */

/* The applier has passed fold-end, or there is no build. Before that no reader may use the tree. */
static bool build_is_over(const struct model *m)
{
    if (without(PUBLISH_BEFORE_FOLD_END))
        return true;
    return m->mode != DIVERTED && !is_pending(m, FOLD_END, m->pending) &&
           !(m->mode == DIRECT && (m->delta_put || m->delta_delete));
}

static void publish(const struct model *m, enum stage stage, struct sink *sink)
{
    if (!room(m) || (!drained(m) && !without(TWO_VERSION_RULE_OFF)))
        return;
    if (stage > WRITE_ONLY && !build_is_over(m))
        return;
    struct model next = *m;
    append(&next, PUBLICATION)->stage = stage;
    next.stage[++next.version] = stage;
    next.step++;
    sink->take(sink, &next, label(PUBLISH, stage, 0));
}

/* ---- Build ------------------------------------------------------------------------------------
 */

static void cut(const struct model *m, struct sink *sink)
{
    bool at_lo = without(CUT_AT_APPLIED); /* by a word in memory, not by a record */
    if ((!room(m) && !at_lo) || (!drained(m) && !without(NO_DRAIN_BEFORE_CUT)))
        return;
    struct model next = *m;
    if (at_lo) {
        next.tree = 0;
        next.mode = DIVERTED;
    } else {
        append(&next, BEGIN_BUILD);
    }
    next.since = next.pending;
    next.step++;
    sink->take(sink, &next, label(MAKE_CUT, 0, 0));
}

/* Each row is a range of its own, read at a snapshot of its own. */
static void scan(const struct model *m, unsigned k, struct sink *sink)
{
    unsigned first = without(SCAN_BEFORE_CUT) ? 0 : m->since;
    unsigned last = without(SCAN_BEYOND_DURABLE) ? m->pending : m->durable;
    unsigned seen = 0;
    for (unsigned p = first; p <= last; p++) {
        unsigned row[ROWS_MAX];
        rows_at(m, p, row);
        if (seen & (1u << row[k]))
            continue; /* the same result as from an earlier snapshot */
        seen |= 1u << row[k];
        struct model next = *m;
        next.image[k] = 1 + row[k];
        sink->take(sink, &next, label(SCAN, k, p));
    }
}

/* Waits until the applier is at the cut: it would empty what was loaded before. */
static void load(const struct model *m, unsigned k, struct sink *sink)
{
    if (m->mode != DIVERTED && !without(LOAD_BEFORE_CUT))
        return;
    struct model next = *m;
    unsigned value = m->image[k] - 1;
    next.tree |= value ? entry(value, k) : 0;
    next.image[k] = 0;
    next.loaded |= 1u << k;
    sink->take(sink, &next, label(LOAD, k, value));
}

static void fold(const struct model *m, struct sink *sink)
{
    for (unsigned k = 0; k < ROWS_MAX; k++) {
        for (unsigned v = 1; v <= VALUES; v++) {
            entries e = entry(v, k);
            if (!((m->delta_put | m->delta_delete) & e))
                continue;
            struct model next = *m;
            next.tree = (m->tree & ~(m->delta_delete & e)) | (m->delta_put & e);
            next.delta_put &= ~e;
            next.delta_delete &= ~e;
            sink->take(sink, &next, label(FOLD, k, v));
        }
    }
}

/* The runner folds no more after this record. */
static void end_fold(const struct model *m, struct sink *sink)
{
    if (!room(m))
        return;
    struct model next = *m;
    append(&next, FOLD_END);
    next.loaded = 0;
    next.since = 0;
    next.step++;
    sink->take(sink, &next, label(END_FOLD, 0, 0));
}

static void build(const struct model *m, struct sink *sink)
{
    bool all_loaded = m->loaded == (1u << config.bounds.rows) - 1;
    if (all_loaded) {
        fold(m, sink);
        end_fold(m, sink);
        return;
    }
    for (unsigned k = 0; k < config.bounds.rows; k++) {
        if (m->image[k])
            load(m, k, sink);
        else if (!(m->loaded & (1u << k)))
            scan(m, k, sink);
    }
}

/* ---- Validate ---------------------------------------------------------------------------------
 */

static void drain(const struct model *m, struct sink *sink)
{
    if (!build_is_over(m) || (!drained(m) && !without(VALIDATED_BEFORE_DRAIN)))
        return;
    struct model next = *m;
    unsigned row[ROWS_MAX];
    rows_at(m, m->pending, row);
    next.duplicate = shared_values(row);
    next.since = m->pending;
    next.step++;
    sink->take(sink, &next, label(DRAINED, 0, 0));
}

/* Leaves the plan for the way back. The stages go backwards, one by one; the tree goes last. */
static void turn_back(struct model *m, enum plan_id plan, enum verdict verdict)
{
    m->plan = plan;
    m->step = plan == PLAN_REVERT ? ENFORCING - m->stage[m->version] : 0;
    m->verdict = verdict;
    m->since = m->loaded = 0;
    m->checked = m->found = m->duplicate = 0;
    for (unsigned k = 0; k < ROWS_MAX; k++)
        m->image[k] = 0;
}

static void find_duplicate(const struct model *m, unsigned value, struct sink *sink)
{
    struct model next = *m;
    bool real = m->duplicate & (1u << value);
    turn_back(&next, PLAN_REVERT, DUPLICATE);
    next.bad = real ? HOLDS : FALSE_DUPLICATE;
    sink->take(sink, &next, label(FIND_DUPLICATE, value, 0));
}

/* Reads these places of the index at one snapshot. The group of a value has been read when all its
 * places have. */
static void read_places(const struct model *m, unsigned value, entries places, unsigned position,
                        struct sink *sink)
{
    struct model next = *m;
    next.checked |= places;
    next.found |= tree_at(m, position) & places;
    entries same = next.found & entries_of_value(value);
    if (same & (same - 1)) {
        find_duplicate(m, value, sink);
        return;
    }
    if ((next.checked & entries_of_value(value)) == entries_of_value(value))
        next.found &= ~entries_of_value(value);
    sink->take(sink, &next, label(VALIDATE_GROUP, value, position));
}

static void validate(const struct model *m, struct sink *sink)
{
    for (unsigned v = 1; v <= VALUES; v++) {
        for (unsigned p = m->since; p <= m->durable; p++) {
            entries group = entries_of_value(v);
            if (!without(PREFIX_OVER_TWO_SNAPSHOTS)) {
                if (!(m->checked & group))
                    read_places(m, v, group, p, sink);
                continue;
            }
            for (unsigned k = 0; k < config.bounds.rows; k++)
                if (!(m->checked & entry(v, k)))
                    read_places(m, v, entry(v, k), p, sink);
        }
    }
}

static bool all_valid(const struct model *m)
{
    return (m->checked | entries_of_value(1) | entries_of_value(2)) == m->checked;
}

/* What a validation remembers is of no use after it. */
static void publish_valid(const struct model *m, struct sink *sink)
{
    struct model next = *m;
    next.checked = next.duplicate = next.since = 0;
    next.step++;
    publish(&next, PUBLIC, sink);
}

/* ---- Purge, cancel ----------------------------------------------------------------------------
 */

/* After the drain of the version that stopped naming the tree. */
static void purge(const struct model *m, struct sink *sink)
{
    if (!room(m) || !drained(m))
        return;
    struct model next = *m;
    if (without(PURGE_PAST_LOG)) {
        next.tree = next.delta_put = next.delta_delete = 0;
        next.purged = 1;
    } else {
        append(&next, DROP_TREE);
    }
    next.step++;
    sink->take(sink, &next, label(APPEND_DROP, 0, 0));
}

/*
 * An index that comes can be given up until it is public. One that goes can be kept as long as
 * every writer writes it.
 */
static void cancel(const struct model *m, struct sink *sink)
{
    unsigned stage = m->stage[m->version];
    if (!config.cancel || m->verdict != RUNNING || m->step == 0 || change_ended(m))
        return;
    struct model next = *m;
    if (plans[m->plan].first == ABSENT)
        turn_back(&next, PLAN_REVERT, CANCELLED);
    else if (stage == WRITE_ONLY || stage == ENFORCING)
        turn_back(&next, PLAN_RESTORE, CANCELLED);
    else
        return;
    sink->take(sink, &next, label(CANCEL, stage, 0));
}

void change_steps(const struct model *m, struct sink *sink)
{
    static const enum stage target[] = {[TO_ABSENT] = ABSENT,
                                        [TO_DELETE_ONLY] = DELETE_ONLY,
                                        [TO_WRITE_ONLY] = WRITE_ONLY,
                                        [TO_ENFORCING] = ENFORCING,
                                        [TO_PUBLIC] = PUBLIC};
    enum step step = step_of(m);
    cancel(m, sink);
    if (without(FOLD_AFTER_DIRECT) && m->mode == DIRECT)
        fold(m, sink);
    if (step >= TO_ABSENT && step <= TO_PUBLIC)
        publish(m, target[step], sink);
    else if (step == CUT)
        cut(m, sink);
    else if (step == BUILD)
        build(m, sink);
    else if (step == DRAIN)
        drain(m, sink);
    else if (step == VALIDATE && all_valid(m))
        publish_valid(m, sink);
    else if (step == VALIDATE)
        validate(m, sink);
    else if (step == PURGE)
        purge(m, sink);
}
