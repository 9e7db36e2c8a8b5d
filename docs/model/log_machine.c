/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The second model as a machine: keys, words, and the way to the search. What must hold is noticed
 * in the steps where it can break: in settle() of log_commit.c, open_alone() and judge() of
 * log_recovery.c.
 *
 * The two processes are alike, and nothing points to one of them: so a state is kept with them in
 * order. What nobody will look at again is left out of the key.
 */
#include "log.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct log_config log_config;

const char *const log_property_text[LOG_PROPERTIES] = {
    [LOG_HOLDS] = "nothing",
    [LOG_PROMISE_LOST] = "what was durable is gone after a recovery",
    [LOG_DEAD_SHOWN] =
        "a recovery shows a record that was never written, or had been declared dead",
    [LOG_KILL_LOSES] = "after kills alone a published record is gone",
    [LOG_REFUSED] = "a recovery refuses a log that nothing has damaged",
    [LOG_TREES_AHEAD] = "the trees hold a part of what the log does not have any more",
    [LOG_VOIDS_PUBLISHED] = "a record that others have seen becomes void",
};

/* ---- keys -------------------------------------------------------------------------------------
 */

struct bits {
    struct key key;
    unsigned at;
    bool out; /* else in */
};

static void put_or_get(struct bits *b, unsigned *value, unsigned width)
{
    unsigned word = b->at / 64, shift = b->at % 64;
    if (b->out) {
        b->key.word[word] |= (uint64_t)*value << shift;
        if (shift + width > 64)
            b->key.word[word + 1] |= (uint64_t)*value >> (64 - shift);
    } else {
        uint64_t bits = b->key.word[word] >> shift;
        if (shift + width > 64)
            bits |= b->key.word[word + 1] << (64 - shift);
        *value = (unsigned)(bits & ((1u << width) - 1));
    }
    b->at += width;
}

/* Slots of whole segments. */
static unsigned slots(void)
{
    return (segment_of(log_config.bounds.slots - 1) + 1) * SEGMENT;
}

static void code_cell(struct bits *b, struct cell *cell, unsigned slot)
{
    put_or_get(b, &cell->kind, 2);
    if (cell->kind == RECORD)
        put_or_get(b, &cell->path, 2 * (slot + 1));
}

static void code_files(struct bits *b, struct log_model *m)
{
    for (unsigned slot = 0; slot < slots(); slot++) {
        code_cell(b, &m->cache[slot], slot);
        code_cell(b, &m->disk[slot], slot);
        put_or_get(b, &m->instead[slot], 2);
    }
    put_or_get(b, &m->dirty, SLOTS_MAX);
    put_or_get(b, &m->name, SEGMENTS_MAX + 1);
    put_or_get(b, &m->name_disk, SEGMENTS_MAX + 1);
    put_or_get(b, &m->write_error, SEGMENTS_MAX);
    put_or_get(b, &m->lo, 3);
    put_or_get(b, &m->lo_older, 3);
    put_or_get(b, &m->part, 3);
    put_or_get(b, &m->tree_path, 2 * SLOTS_MAX);
    put_or_get(b, &m->meta_dirty, 1);
}

static void code_control(struct bits *b, struct log_model *m)
{
    put_or_get(b, &m->is_up, 1);
    put_or_get(b, &m->has_past, 1);
    put_or_get(b, &m->tail, 3);
    put_or_get(b, &m->durable, 3);
    put_or_get(b, &m->prepared, 2);
    put_or_get(b, &m->chain, 2 * SLOTS_MAX);
    put_or_get(b, &m->mark, 2);
    put_or_get(b, &m->mark_at, 3);
    put_or_get(b, &m->mutex_dead, 1);
    put_or_get(b, &m->flush_dead, 1);
    put_or_get(b, &m->flush_to, 3);
    put_or_get(b, &m->tail0, 3);
    put_or_get(b, &m->stopped, 1);
    for (unsigned p = 0; p < PROCESSES; p++)
        put_or_get(b, &m->at[p], 5);
    put_or_get(b, &m->stop, 3);
    put_or_get(b, &m->path, 2 * SLOTS_MAX);
}

static void code_oracle(struct bits *b, struct log_model *m)
{
    put_or_get(b, &m->promise, 2 * SLOTS_MAX);
    put_or_get(b, &m->promised, 3);
    put_or_get(b, &m->line, 2 * SLOTS_MAX);
    put_or_get(b, &m->written, 3);
    put_or_get(b, &m->shown, 3);
    put_or_get(b, &m->cuts_left, 2);
    put_or_get(b, &m->kills_left, 2);
    put_or_get(b, &m->errors_left, 1);
}

static void code(struct bits *b, struct log_model *m)
{
    code_files(b, m);
    code_control(b, m);
    code_oracle(b, m);
    assert(b->at <= 64 * KEY_WORDS);
}

/* Equal for all that can go on in the same ways. */
static void reduce(struct log_model *m)
{
    if (m->at[0] < m->at[1]) {
        unsigned swap = m->at[0];
        m->at[0] = m->at[1];
        m->at[1] = swap;
    }
    if (!anyone(m, has_flush_lock))
        m->flush_to = 0;
    if (!m->mark)
        m->mark_at = 0;
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++) {
        if (m->cache[slot].kind != RECORD)
            m->cache[slot].path = 0;
        if (m->disk[slot].kind != RECORD)
            m->disk[slot].path = 0;
    }
    m->line = prefix(m->line, m->written);
}

static void pack(const void *state, struct key *key)
{
    struct log_model m = *(const struct log_model *)state;
    struct bits b = {.out = true};
    reduce(&m);
    code(&b, &m);
    *key = b.key;
}

static void unpack(const struct key *key, void *state)
{
    struct log_model *m = state;
    struct bits b = {.key = *key};
    memset(m, 0, sizeof(*m));
    code(&b, m);
}

static unsigned words(void)
{
    struct log_model m = {0};
    struct bits b = {.out = true};
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
        m.cache[slot].kind = m.disk[slot].kind = RECORD;
    code(&b, &m);
    return (b.at + 63) / 64;
}

/* ---- the machine ------------------------------------------------------------------------------
 */

/* A store that was made and is open nowhere: one segment, whose name is on disk. */
static void first(struct sink *sink)
{
    struct log_model m = {.name = 1,
                          .name_disk = 1,
                          .cuts_left = log_config.bounds.cuts,
                          .kills_left = log_config.bounds.kills,
                          .errors_left = log_config.bounds.errors};
    sink->take(sink, &m, log_label(LOG_BEGINS, 0, 0));
}

static void steps(const void *state, struct sink *sink)
{
    log_commit_steps(state, sink);
    log_file_steps(state, sink);
    log_recovery_steps(state, sink);
}

static unsigned broken(const void *state)
{
    return ((const struct log_model *)state)->bad;
}

static unsigned check(const void *state)
{
    (void)state;
    return LOG_HOLDS; /* all that must hold is about a step */
}

static unsigned milestones(const void *state)
{
    return ((const struct log_model *)state)->seen;
}

/* ---- words ------------------------------------------------------------------------------------
 */

static void print_cell(const struct cell *cell, unsigned slot)
{
    static const char names[] = ".12V";
    if (cell->kind == EMPTY)
        printf(" -");
    else if (cell->kind == TORN)
        printf(" torn");
    else
        printf(" ");
    for (unsigned i = 0; cell->kind == RECORD && i <= slot; i++)
        printf("%c", names[content(cell->path, i)]);
}

static void print_cells(const char *what, const struct cell *cells, unsigned named)
{
    printf("  %s:", what);
    for (unsigned slot = 0; slot < log_config.bounds.slots; slot++) {
        if (slot % SEGMENT == 0)
            printf(slot ? " |" : "");
        if (named >> segment_of(slot) & 1)
            print_cell(&cells[slot], slot);
        else
            printf(" ~");
    }
}

static void print_state(const void *state)
{
    const struct log_model *m = state;
    printf("      ");
    print_cells("cache", m->cache, m->name);
    print_cells("disk", m->disk, m->name_disk);
    printf("  tail %u durable %u lo %u%s%s\n", m->tail, m->durable, m->lo,
           m->stopped ? " stopped" : "", m->is_up ? "" : " (nobody)");
}

static void print_step(const void *state, struct label l, const void *next)
{
    static const char *const names[] = {[LOG_BEGINS] = "begins",
                                        [LOG_SETTLES] = "takes the dead writer's mutex",
                                        [LOG_MARKS] = "commit: sets the mark",
                                        [LOG_WRITES] = "commit: writes the record",
                                        [LOG_PUBLISHES] = "commit: moves tail",
                                        [LOG_UNLOCKS] = "commit: clears the mark, unlocks",
                                        [LOG_FLUSHES] = "flush: begins",
                                        [LOG_VERIFIES] = "flush: looks whether it must write back",
                                        [LOG_WRITES_BACK] = "flush: writes back",
                                        [LOG_SYNCS] = "flush: syncs",
                                        [LOG_RAISES] = "flush: raises durable",
                                        [LOG_POISONS] = "flush: acts on the error",
                                        [LOG_MAKES_SEGMENT] = "makes segment",
                                        [LOG_SYNCS_NAME] =
                                            "syncs the directory: prepared is segment",
                                        [LOG_FOLDS_HALF] = "applier: folds a part up to",
                                        [LOG_FOLDS] = "applier: lo is",
                                        [LOG_META_SYNCED] = "applier: the meta is on disk",
                                        [LOG_RETIRES] = "retires segment",
                                        [LOG_ERROR] = "the write of a page fails: slot",
                                        [LOG_EVICTS] = "a page leaves the cache: slot",
                                        [LOG_KILL] = "is killed",
                                        [LOG_POWER_CUT] = "power cut",
                                        [LOG_JOINS] = "joins",
                                        [LOG_OPENS] = "opens alone: the log ends at",
                                        [LOG_RECOVERS] = "recovers, step"};
    const struct log_model *m = state;
    (void)m;
    if (l.action == LOG_POWER_CUT)
        printf("  power cut\n");
    else if (l.action == LOG_ERROR || l.action == LOG_EVICTS)
        printf("  %s %u\n", names[l.action], l.a);
    else if (l.action == LOG_RECOVERS)
        printf("  P%u recovery: %s\n", l.a,
               l.b == WROTE_BACK  ? "writes back"
               : l.b == ZEROED    ? "zeroes the rest"
               : l.b == RECOVERED ? "syncs"
               : l.b == DELETED   ? "deletes later segments"
               : l.b == MAY_SHOW  ? "syncs the directory"
               : l.b == DOWN      ? "its sync fails"
                                  : "shows the store");
    else
        printf("  P%u %s %u\n", l.a, names[l.action], l.b);
    print_state(next);
}

struct result search_log(const struct log_config *c, bool trace)
{
    static const struct machine machine = {.state_bytes = sizeof(struct log_model),
                                           .words = words,
                                           .pack = pack,
                                           .unpack = unpack,
                                           .first = first,
                                           .steps = steps,
                                           .broken = broken,
                                           .check = check,
                                           .milestones = milestones,
                                           .print_state = print_state,
                                           .print_step = print_step,
                                           .property_text = log_property_text};
    _Static_assert(sizeof(struct log_model) <= STATE_BYTES_MAX, "a state fits");
    log_config = *c;
    return search(&machine, trace);
}
