/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Commit and flush, step by step, for each process. A process may be killed between any two steps.
 *
 *     at rest -> marked -> written -> published -> at rest           (the writer mutex)
 *     at rest -> flushes -> [verified ->] may sync -> synced -> at rest, durable raised
 *                                                  -> has failed -> at rest, stopped
 */
#include "log.h"

void log_put(struct log_model *m, unsigned slot, struct cell cell, bool passed)
{
    unsigned bit = 1u << slot;
    if (passed && (m->dirty & bit))
        m->disk[slot] = m->cache[slot];
    m->cache[slot] = cell;
    m->dirty |= bit;
}

/* ---- commit -----------------------------------------------------------------------------------
 */

/* The chain value that the next header takes. */
static unsigned chain_of(const struct log_model *m)
{
    unsigned tail = m->tail;
    if (!lacks(LOG_CHAIN_KEPT) || tail == m->lo)
        return m->chain;
    const struct cell *last = &m->cache[tail - 1];
    return last->kind == RECORD ? last->path : 0;
}

static void begin_commit(const struct log_model *m, unsigned p, struct sink *sink)
{
    if (m->tail >= log_config.bounds.slots || segment_of(m->tail) > m->prepared)
        return;
    for (unsigned c = 1; c <= log_config.bounds.contents; c++) {
        struct log_model next = *m;
        next.mark = c;
        next.mark_at = m->tail;
        next.at[p] = MARKED;
        sink->take(sink, &next, log_label(LOG_MARKS, p, c));
    }
}

/* The owner of the mutex has died: its mark says what of. */
static void settle(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    bool published = m->mark_at < m->tail;
    next.mutex_dead = 0;
    if (m->mark && published && lacks(LOG_VOID_PUBLISHED))
        next.bad = LOG_VOIDS_PUBLISHED;
    if (m->mark && !published) {
        next.mark = VOIDED;
        next.at[p] = MARKED;
        next.seen |= VOID_WRITTEN;
    } else {
        next.mark = 0;
    }
    sink->take(sink, &next, log_label(LOG_SETTLES, p, 0));
}

static void write_record(const struct log_model *m, unsigned p, struct sink *sink)
{
    unsigned slot = m->tail;
    struct cell cell = {RECORD, extend(chain_of(m), slot, m->mark)};
    unsigned ways = m->dirty >> slot & 1 ? 2 : 1;
    for (unsigned passed = 0; passed < ways; passed++) {
        struct log_model next = *m;
        unsigned before = m->written > slot ? content(m->line, slot) : 0;
        log_put(&next, slot, cell, passed);
        if (m->mark == VOIDED && before && before != VOIDED)
            next.instead[slot] = before;
        next.line = extend(m->line, slot, m->mark);
        next.written = slot + 1;
        next.at[p] = WRITTEN;
        sink->take(sink, &next, log_label(LOG_WRITES, p, m->mark));
    }
}

static void publish(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    next.chain = extend(m->chain, m->tail, m->mark);
    next.tail++;
    next.shown = no_error(m->errors_left) ? next.tail : 0;
    next.at[p] = PUBLISHED;
    sink->take(sink, &next, log_label(LOG_PUBLISHES, p, 0));
}

static void unlock(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    next.mark = 0;
    next.at[p] = AT_REST;
    sink->take(sink, &next, log_label(LOG_UNLOCKS, p, 0));
}

/* ---- flush ------------------------------------------------------------------------------------
 */

static void begin_flush(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    if (m->tail == m->durable)
        return;
    if (m->flush_dead && !lacks(LOG_TAKEOVER))
        next.tail0 = m->tail + 1;
    next.flush_dead = 0;
    next.flush_to = m->tail;
    next.at[p] = FLUSHES;
    sink->take(sink, &next, log_label(LOG_FLUSHES, p, m->tail));
}

static bool verifies(const struct log_model *m, unsigned slot)
{
    return m->cache[slot].kind == RECORD && m->cache[slot].path == prefix(m->chain, slot + 1);
}

static void verify(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    bool needed = m->tail0 != 0;
    bool good = true;
    for (unsigned slot = m->durable; slot < m->flush_to; slot++)
        good = good && verifies(m, slot);
    if (needed && !good && !lacks(LOG_VERIFIED)) {
        next.stopped = 1;
        next.seen |= STORE_STOPPED;
        next.at[p] = AT_REST;
    } else {
        next.at[p] = needed ? VERIFIED : MAY_SYNC;
    }
    sink->take(sink, &next, log_label(LOG_VERIFIES, p, needed));
}

static void write_back(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    for (unsigned slot = m->durable; slot < m->flush_to; slot++) {
        if (!lacks(LOG_PRIVATE_COPY) && !lacks(LOG_VERIFIED))
            next.cache[slot] = (struct cell){RECORD, prefix(m->chain, slot + 1)};
        next.dirty |= 1u << slot;
    }
    next.seen |= WRITTEN_BACK;
    next.at[p] = MAY_SYNC;
    sink->take(sink, &next, log_label(LOG_WRITES_BACK, p, 0));
}

static void sync_flush(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    unsigned from = segment_of(m->durable), last = segment_of(m->flush_to - 1);
    from = lacks(LOG_EACH_SEGMENT) ? last : from;
    next.at[p] = SYNCED;
    for (unsigned slot = from * SEGMENT; slot < (last + 1) * SEGMENT; slot++) {
        if (m->write_error >> segment_of(slot) & 1) {
            next.write_error &= ~(1u << segment_of(slot));
            next.at[p] = HAS_FAILED;
        }
        if (m->dirty >> slot & 1)
            next.disk[slot] = m->cache[slot];
        next.dirty &= ~(1u << slot);
    }
    sink->take(sink, &next, log_label(LOG_SYNCS, p, next.at[p] == HAS_FAILED));
}

static void raise_durable(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    next.durable = lacks(LOG_TAIL_FIRST) ? m->tail : m->flush_to;
    next.promise = prefix(m->line, next.durable);
    next.promised = next.durable;
    if (m->tail0 && (next.durable > m->tail0 - 1 || lacks(LOG_TAIL0)))
        next.tail0 = 0;
    next.at[p] = AT_REST;
    sink->take(sink, &next, log_label(LOG_RAISES, p, next.durable));
}

static void fail(const struct log_model *m, unsigned p, struct sink *sink)
{
    struct log_model next = *m;
    if (lacks(LOG_NO_RETRY)) {
        next.at[p] = MAY_SYNC;
    } else {
        next.stopped = !lacks(LOG_STOPS);
        next.seen |= STORE_STOPPED;
        next.at[p] = AT_REST;
    }
    sink->take(sink, &next, log_label(LOG_POISONS, p, 0));
}

/* ---- all --------------------------------------------------------------------------------------
 */

static void begin(const struct log_model *m, unsigned p, struct sink *sink)
{
    if (m->stopped)
        return;
    if (!anyone(m, has_mutex)) {
        if (m->mutex_dead)
            settle(m, p, sink);
        else
            begin_commit(m, p, sink);
    }
    if (!anyone(m, has_flush_lock))
        begin_flush(m, p, sink);
}

static void step(const struct log_model *m, unsigned p, struct sink *sink)
{
    switch (m->at[p]) {
    case AT_REST:
        begin(m, p, sink);
        break;
    case MARKED:
        write_record(m, p, sink);
        break;
    case WRITTEN:
        publish(m, p, sink);
        break;
    case PUBLISHED:
        unlock(m, p, sink);
        break;
    case FLUSHES:
        verify(m, p, sink);
        break;
    case VERIFIED:
        write_back(m, p, sink);
        break;
    case MAY_SYNC:
        sync_flush(m, p, sink);
        break;
    case SYNCED:
        raise_durable(m, p, sink);
        break;
    case HAS_FAILED:
        fail(m, p, sink);
        break;
    default:
        break;
    }
}

void log_commit_steps(const struct log_model *m, struct sink *sink)
{
    for (unsigned p = 0; p < PROCESSES; p++)
        step(m, p, sink);
}
