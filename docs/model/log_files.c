/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rotation, the applier, retirement; and what happens to them all: an I/O error, eviction from the
 * page cache, kills, power cuts.
 */
#include "log.h"

static bool is_same(const struct cell *a, const struct cell *b)
{
    return a->kind == b->kind && a->path == b->path;
}

/* ---- rotation ---------------------------------------------------------------------------------
 */

static void make_segment(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    unsigned segment = m->prepared + 1;
    if (segment * SEGMENT >= log_config.bounds.slots)
        return;
    for (unsigned slot = segment * SEGMENT; slot < (segment + 1) * SEGMENT; slot++) {
        next.cache[slot] = (struct cell){EMPTY, 0};
        next.dirty &= ~(1u << slot);
    }
    next.name |= 1u << segment;
    next.prepared += lacks(LOG_PREPARED_LATE);
    next.at[p] = PREPARES;
    sink->take(sink, &next, log_label(LOG_MAKES_SEGMENT, p, segment));
}

/* The file was synced before it got its name; now the name is. */
static void sync_name(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    unsigned segment = m->prepared + !lacks(LOG_PREPARED_LATE);
    for (unsigned slot = segment * SEGMENT; slot < (segment + 1) * SEGMENT; slot++)
        if (!(m->dirty >> slot & 1))
            next.disk[slot] = m->cache[slot];
    next.name_disk |= 1u << segment;
    next.prepared = segment;
    next.at[p] = AT_REST;
    sink->take(sink, &next, log_label(LOG_SYNCS_NAME, p, segment));
}

/* ---- the applier ------------------------------------------------------------------------------
 */

static void fold_half(const struct log_model *m, unsigned p, struct sink *sink)
{
    unsigned limit = lacks(LOG_FOLD_DURABLE) ? m->tail : m->durable;
    unsigned from = m->part > m->lo ? m->part : m->lo + 1; /* never goes down */
    for (unsigned to = from; to <= limit; to++) {
        struct log_model next = *m;
        next.part = to;
        next.at[p] = HALF_FOLDED;
        sink->take(sink, &next, log_label(LOG_FOLDS_HALF, p, to));
    }
}

/* The meta of a process that was killed is synced with the next one's data. */
static void fold(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    next.lo_older = m->lo;
    next.lo = m->part;
    next.tree_path = prefix(m->line, m->part);
    next.meta_dirty = 1;
    next.at[p] = FOLDED;
    sink->take(sink, &next, log_label(LOG_FOLDS, p, m->part));
}

static void sync_meta(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    next.meta_dirty = 0;
    next.at[p] = AT_REST;
    sink->take(sink, &next, log_label(LOG_META_SYNCED, p, 0));
}

static void retire(const struct log_model *m, unsigned p, struct sink *sink)
{
    unsigned lo = lacks(LOG_BOTH_METAS) ? m->lo : m->lo_older;
    for (unsigned segment = 0; (segment + 1) * SEGMENT <= lo; segment++) {
        struct log_model next = *m;
        if (!(m->name >> segment & 1))
            continue;
        next.name &= ~(1u << segment);
        next.seen |= SEGMENT_RETIRED;
        sink->take(sink, &next, log_label(LOG_RETIRES, p, segment));
    }
}

static void begin(const struct log_model *m, unsigned p, struct sink *sink)
{
    bool prepares = false;
    for (unsigned other = 0; other < PROCESSES; other++)
        prepares = prepares || m->at[other] == PREPARES;
    if (m->stopped)
        return;
    if (!prepares)
        make_segment(m, p, sink);
    if (log_config.applier && !anyone(m, is_applier)) {
        fold_half(m, p, sink);
        retire(m, p, sink);
    }
}

/* ---- what happens to them ---------------------------------------------------------------------
 */

/* The kernel could not write a page: it is clean now all the same, and one sync will be told. */
static void write_fails(const struct log_model *m, struct sink *sink)
{
    for (unsigned slot = 0; slot < log_config.bounds.slots; slot++) {
        struct log_model next = *m;
        if (!(m->dirty >> slot & 1))
            continue;
        next.dirty &= ~(1u << slot);
        next.write_error |= 1u << segment_of(slot);
        next.errors_left--;
        next.shown = 0;
        sink->take(sink, &next, log_label(LOG_ERROR, slot, 0));
    }
}

/* A page that is clean leaves the cache, and comes back from the disk. */
static void evict(const struct log_model *m, struct sink *sink)
{
    if (no_error(m->errors_left))
        return; /* then it is what it was */
    for (unsigned slot = 0; slot < log_config.bounds.slots; slot++) {
        struct log_model next = *m;
        bool is_file = m->name & m->name_disk & 1u << segment_of(slot);
        if (!is_file || (m->dirty >> slot & 1) || is_same(&m->cache[slot], &m->disk[slot]))
            continue;
        next.cache[slot] = m->disk[slot];
        sink->take(sink, &next, log_label(LOG_EVICTS, slot, 0));
    }
}

static bool lives(unsigned place)
{
    return place != DOWN;
}

static void kill_one(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    next.kills_left--;
    next.mutex_dead |= has_mutex(m->at[p]);
    next.flush_dead |= has_flush_lock(m->at[p]);
    next.at[p] = DOWN;
    if (!anyone(&next, lives))
        next.is_up = 0;
    sink->take(sink, &next, log_label(LOG_KILL, p, m->at[p]));
}

/* What is left: the disk, with any part of what it lacks. */
struct power {
    struct log_model next;
    struct sink *sink;
};

static void cut_names(struct power *w, unsigned segment)
{
    struct log_model *m = &w->next;
    unsigned bit = 1u << segment;
    if (segment == SEGMENTS_MAX) {
        struct log_model next = *m;
        next.name = next.name_disk;
        for (unsigned slot = 0; slot < SLOTS_MAX; slot++) {
            if (!(next.name >> segment_of(slot) & 1))
                next.disk[slot] = (struct cell){EMPTY, 0};
            next.cache[slot] = next.disk[slot];
        }
        w->sink->take(w->sink, &next, log_label(LOG_POWER_CUT, 0, 0));
        return;
    }
    cut_names(w, segment + 1);
    if ((m->name ^ m->name_disk) & bit) {
        struct log_model kept = *m;
        m->name_disk ^= bit;
        for (unsigned slot = segment * SEGMENT; slot < (segment + 1) * SEGMENT; slot++)
            if (!(kept.dirty >> slot & 1))
                m->disk[slot] = m->name & bit ? kept.cache[slot] : (struct cell){EMPTY, 0};
        cut_names(w, segment + 1);
        *m = kept;
    }
}

static void cut_slots(struct power *w, unsigned slot)
{
    struct log_model *m = &w->next;
    if (slot == log_config.bounds.slots) {
        cut_names(w, 0);
        return;
    }
    cut_slots(w, slot + 1);
    /* The same bytes over the same bytes cannot be torn. */
    if (!(m->dirty >> slot & 1) || is_same(&m->disk[slot], &m->cache[slot]))
        return;
    struct cell kept = m->disk[slot];
    m->disk[slot] = m->cache[slot];
    cut_slots(w, slot + 1);
    m->disk[slot] = (struct cell){TORN, 0};
    cut_slots(w, slot + 1);
    m->disk[slot] = kept;
}

static void forget_processes(struct log_model *m)
{
    for (unsigned p = 0; p < PROCESSES; p++)
        m->at[p] = DOWN;
    m->is_up = m->has_past = m->mutex_dead = m->flush_dead = m->stopped = 0;
    m->tail = m->durable = m->prepared = m->chain = m->mark = m->mark_at = 0;
    m->flush_to = m->tail0 = m->stop = m->path = m->write_error = 0;
    m->shown = 0;
}

static void power_cut(const struct log_model *m, struct sink *sink)
{
    struct power w = {.next = *m, .sink = sink};
    w.next.cuts_left--;
    if (anyone(m, is_alone))
        w.next.seen |= CUT_IN_RECOVERY;
    forget_processes(&w.next);
    w.next.meta_dirty = 0;
    for (unsigned older = 0; older <= m->meta_dirty; older++) {
        if (older) {
            w.next.lo = m->lo_older;
            w.next.tree_path = prefix(m->tree_path, m->lo_older);
        }
        cut_slots(&w, 0);
    }
}

/* ---- all --------------------------------------------------------------------------------------
 */

static void step(const struct log_model *m, unsigned p, struct sink *sink)
{
    if (m->at[p] == AT_REST)
        begin(m, p, sink);
    else if (m->at[p] == PREPARES)
        sync_name(m, p, sink);
    else if (m->at[p] == HALF_FOLDED)
        fold(m, p, sink);
    else if (m->at[p] == FOLDED)
        sync_meta(m, p, sink);
    if (m->kills_left && m->at[p] != DOWN)
        kill_one(m, p, sink);
}

void log_file_steps(const struct log_model *m, struct sink *sink)
{
    for (unsigned p = 0; p < PROCESSES; p++)
        step(m, p, sink);
    if (m->errors_left)
        write_fails(m, sink);
    evict(m, sink);
    if (m->cuts_left)
        power_cut(m, sink);
}
