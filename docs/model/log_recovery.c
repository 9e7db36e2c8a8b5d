/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Opening: join those who live, or recover alone.
 *
 *     down -> reads -> wrote back -> zeroed -> recovered -> deleted -> may show -> at rest
 *
 * Each step may be the last one, by a kill or a power cut; then the next opener begins again.
 */
#include "log.h"

static unsigned find_stop(const struct log_model *m, unsigned *path_out)
{
    unsigned slot = m->lo;
    *path_out = m->tree_path;
    for (; slot < log_config.bounds.slots && (m->name >> segment_of(slot) & 1); slot++) {
        const struct cell *cell = &m->cache[slot];
        bool chained = prefix(cell->path, slot) == *path_out || lacks(LOG_CHAIN);
        if (cell->kind != RECORD || !chained)
            break;
        *path_out = extend(*path_out, slot, content(cell->path, slot));
    }
    return slot;
}

static void open_alone(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    next.has_past |= m->tail != 0;
    next.stop = find_stop(m, &next.path);
    if (next.stop < m->part || (next.has_past && next.stop < m->durable)) {
        /* Refused. After an I/O error that is an answer; else there was nothing to refuse. */
        if (no_error(m->errors_left))
            next.bad = next.stop < m->part ? LOG_TREES_AHEAD : LOG_REFUSED;
        else
            return;
    }
    next.at[p] = READS;
    sink->take(sink, &next, log_label(LOG_OPENS, p, next.stop));
}

static void write_back(struct log_model *m, unsigned p)
{
    unsigned trusted = m->has_past ? m->durable : m->lo;
    m->at[p] = WROTE_BACK;
    if (lacks(LOG_RECOVERY_WRITES_BACK))
        return;
    for (unsigned slot = trusted > m->lo ? trusted : m->lo; slot < m->stop; slot++) {
        if (!lacks(LOG_CHAIN))
            m->cache[slot] = (struct cell){RECORD, prefix(m->path, slot + 1)};
        m->dirty |= 1u << slot;
    }
}

static void zero(const struct log_model *m, unsigned p, struct sink *sink)
{
    unsigned end = (segment_of(m->stop) + 1) * SEGMENT;
    for (unsigned passed = 0; passed < 2; passed++) {
        struct log_model next = *m;
        unsigned covered = 0;
        for (unsigned slot = m->stop; slot < end && slot < log_config.bounds.slots; slot++) {
            covered |= m->dirty >> slot & 1;
            if (!lacks(LOG_RECOVERY_ZEROES))
                log_put(&next, slot, (struct cell){EMPTY, 0}, passed);
        }
        next.at[p] = ZEROED;
        if (!passed || covered)
            sink->take(sink, &next, log_label(LOG_RECOVERS, p, ZEROED));
    }
}

/* All segments that were written to. An error ends the attempt. */
static void sync_segments(struct log_model *m, unsigned p)
{
    m->at[p] = RECOVERED;
    if (lacks(LOG_RECOVERY_SYNCS))
        return;
    for (unsigned slot = 0; slot < (segment_of(m->stop) + 1) * SEGMENT && slot < SLOTS_MAX;
         slot++) {
        if (m->write_error >> segment_of(slot) & 1) {
            m->write_error &= ~(1u << segment_of(slot));
            m->at[p] = DOWN;
        }
        if (m->dirty >> slot & 1)
            m->disk[slot] = m->cache[slot];
        m->dirty &= ~(1u << slot);
    }
}

static void delete_later(struct log_model *m, unsigned p)
{
    for (unsigned segment = segment_of(m->stop) + 1; segment < SEGMENTS_MAX; segment++) {
        if (lacks(LOG_RECOVERY_DELETES))
            break;
        m->name &= ~(1u << segment);
        m->dirty &= ~(3u << segment * SEGMENT);
        for (unsigned slot = segment * SEGMENT; slot < (segment + 1) * SEGMENT; slot++)
            m->cache[slot] = (struct cell){EMPTY, 0};
    }
    m->at[p] = DELETED;
}

/* The directory; with it the name of the stop's segment, which is made anew where it was missing.
 */
static void sync_directory(struct log_model *m, unsigned p)
{
    unsigned segment = segment_of(m->stop);
    m->at[p] = MAY_SHOW;
    if (m->stop < SLOTS_MAX && !(m->name >> segment & 1)) {
        m->name |= 1u << segment;
        m->name_disk |= 1u << segment;
        for (unsigned slot = segment * SEGMENT; slot < (segment + 1) * SEGMENT; slot++)
            m->cache[slot] = m->disk[slot] = (struct cell){EMPTY, 0};
    }
    if (lacks(LOG_RECOVERY_SYNCS_DIR))
        return;
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
        if (!(m->name >> segment_of(slot) & 1))
            m->disk[slot] = (struct cell){EMPTY, 0};
    m->name_disk = m->name;
}

/* Is this path what was written, up to some record, or up to one that a void has taken the place
 * of? */
static bool was_written(const struct log_model *m)
{
    unsigned same = 0;
    while (same < m->stop && same < m->written && content(m->path, same) == content(m->line, same))
        same++;
    return same == m->stop || (same + 1 == m->stop && m->instead[same] == content(m->path, same));
}

static enum log_property judge(const struct log_model *m)
{
    if (m->stop < m->promised || prefix(m->path, m->promised) != m->promise)
        return LOG_PROMISE_LOST;
    if (!was_written(m))
        return LOG_DEAD_SHOWN;
    return m->stop < m->shown ? LOG_KILL_LOSES : LOG_HOLDS;
}

static void show(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    next.bad = judge(m);
    next.seen |= m->has_past ? RECOVERED_AFTER_KILL : RECOVERED_AFTER_CUT;
    next.is_up = 1;
    next.has_past = next.mark = next.mark_at = next.mutex_dead = next.flush_dead = 0;
    next.flush_to = next.tail0 = 0;
    next.tail = next.durable = next.written = next.promised = m->stop;
    next.chain = next.line = next.promise = m->path;
    next.shown = no_error(m->errors_left) ? m->stop : 0;
    next.stopped = 0;
    next.prepared = segment_of(m->stop);
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
        next.instead[slot] = 0;
    next.stop = next.path = 0;
    next.at[p] = AT_REST;
    sink->take(sink, &next, log_label(LOG_RECOVERS, p, AT_REST));
}

static void step(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    switch (m->at[p]) {
    case READS:
        write_back(&next, p);
        break;
    case WROTE_BACK:
        zero(m, p, sink);
        return;
    case ZEROED:
        sync_segments(&next, p);
        break;
    case RECOVERED:
        delete_later(&next, p);
        break;
    case DELETED:
        sync_directory(&next, p);
        break;
    case MAY_SHOW:
        show(m, p, sink);
        return;
    default:
        return;
    }
    sink->take(sink, &next, log_label(LOG_RECOVERS, p, next.at[p]));
}

void log_recovery_steps(const struct log_model *m, struct sink *sink)
{
    bool closed = m->stopped && !lacks(LOG_STAYS_STOPPED);
    for (unsigned p = 0; p < PROCESSES; p++) {
        step(m, p, sink);
        if (m->at[p] != DOWN || closed)
            continue;
        if (m->is_up) {
            struct log_model next = *m;
            next.at[p] = AT_REST;
            sink->take(sink, &next, log_label(LOG_JOINS, p, 0));
        } else if (!anyone(m, is_alone)) {
            open_alone(m, p, sink);
        }
    }
}
