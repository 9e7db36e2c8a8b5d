/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk is made by a forked process: what is looked at may crash. It keeps the result and the
 * description of the state at hand in memory shared with its parent.
 */
#define _GNU_SOURCE
#include "support/powercut.h"

#include "support/replay.h"
#include "support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALL_PARTS_MAX 10
#define PARTS_BY_CHANCE 64
#define FEW 3
#define PENDING_MAX 4096
#define TEAR_KINDS 6
#define EVENTS_SHOWN 60 /* of a bad state */
#define TEARS_EACH 3    /* with other survivors */

struct shared {
    struct powercut_result result;
    char at[4096]; /* the state at hand, for the report of a crash */
};

struct seen_set {
    uint64_t *slots;
    size_t count, room;
};

struct cut {
    uint64_t step;
    bool few; /* look at few states only */
};

struct walk {
    const struct powercut *job;
    struct shared *shared;
    struct replay *replay;
    struct powercut_state state;
    uint64_t cut;
    struct test_random random;
    uint64_t keep_of, keep; /* each state is looked at with the chance keep / keep_of */
    bool counting;          /* only count how many states there would be */
    uint64_t counted;
    struct seen_set seen;
    struct replay_choice choices[PENDING_MAX];
};

/* ---- states seen before ------------------------------------------------------------------- */

static bool seen_add(struct seen_set *set, uint64_t hash)
{
    if (set->count * 2 >= set->room) {
        struct seen_set larger = {.room = set->room != 0 ? set->room * 2 : 1 << 16};
        larger.slots = calloc(larger.room, sizeof(*larger.slots));
        expect(larger.slots != NULL);
        for (size_t i = 0; i < set->room; i++) {
            if (set->slots[i] != 0) {
                seen_add(&larger, set->slots[i]);
            }
        }
        free(set->slots);
        *set = larger;
    }
    hash = hash != 0 ? hash : 1;
    size_t at = hash & (set->room - 1);
    while (set->slots[at] != 0) {
        if (set->slots[at] == hash) {
            return false;
        }
        at = (at + 1) & (set->room - 1);
    }
    set->slots[at] = hash;
    set->count++;
    return true;
}

/* ---- one state ---------------------------------------------------------------------------- */

static void describe(struct walk *w)
{
    static const char *const fates[] = {"lost", "whole", "prefix", "pieces"};
    char *at = w->shared->at;
    size_t left = sizeof(w->shared->at);
    int n = snprintf(at, left, "state %llu, cut at step %llu, durable %llu, issued %llu, pending:",
                     (unsigned long long)w->state.number, (unsigned long long)w->cut,
                     (unsigned long long)w->state.durable, (unsigned long long)w->state.issued);
    for (size_t i = 0; i < replay_pending(w->replay) && n > 0 && (size_t)n < left; i++) {
        char event[300];
        at += n;
        left -= (size_t)n;
        trace_describe(w->job->trace, replay_pending_event(w->replay, i), event, sizeof(event));
        n = snprintf(at, left, "\n  %s: %s", event, fates[w->choices[i].fate]);
        if (w->choices[i].fate >= REPLAY_PREFIX && n > 0 && (size_t)n < left) {
            at += n;
            left -= (size_t)n;
            n = snprintf(at, left, " of %u, seed %llu", w->choices[i].unit,
                         (unsigned long long)w->choices[i].seed);
        }
    }
}

/* What was wrong stays to be looked at when the environment says where. */
static void keep_state(struct walk *w)
{
    const char *where = getenv("INSTAR_POWERCUT_KEEP");
    if (where != NULL && access(where, F_OK) != 0) { /* the first, which is the innermost */
        replay_write(w->replay, where);
        printf("the state is kept in %s\n", where);
    } else if (where == NULL) {
        printf("INSTAR_POWERCUT_KEEP=<directory> keeps such a state\n");
    }
}

/* The end of the trace up to the cut. */
static void print_before(const struct walk *w)
{
    const struct trace *t = w->job->trace;
    size_t last = 0;
    while (last < t->event_count && t->events[last].begin <= w->cut) {
        last++;
    }
    printf("before the cut:\n");
    for (size_t i = last > EVENTS_SHOWN ? last - EVENTS_SHOWN : 0; i < last; i++) {
        char event[300];
        trace_describe(t, &t->events[i], event, sizeof(event));
        printf("  %llu-%llu %s\n", (unsigned long long)t->events[i].begin,
               (unsigned long long)t->events[i].end, event);
    }
}

/* False: it is bad, and the walk ends. */
static bool look(struct walk *w)
{
    if (w->counting) {
        w->counted++;
        return true;
    }
    if (w->keep < w->keep_of && test_random_below(&w->random, w->keep_of) >= w->keep) {
        return true;
    }
    struct powercut_result *result = &w->shared->result;
    replay_choose(w->replay, w->choices);
    uint64_t bounds[3] = {w->state.durable, w->state.issued, w->state.created};
    uint64_t state = base_hash64(bounds, sizeof(bounds), replay_state_hash(w->replay));
    if (!seen_add(&w->seen, state)) {
        result->same++;
        return true;
    }
    w->state.number++;
    describe(w);
    test_remove(w->job->path);
    replay_write(w->replay, w->job->path);
    if (!w->job->look(w->job->arg, &w->state, result->text, sizeof(result->text))) {
        result->bad = 1;
        if (!w->job->quiet) {
            printf("%s\n%s\n", result->text, w->shared->at);
            print_before(w);
            keep_state(w);
        }
        return false;
    }
    result->states++;
    return true;
}

/* ---- the states of one cut ---------------------------------------------------------------- */

static void choose_all(struct walk *w, enum replay_fate fate)
{
    for (size_t i = 0; i < replay_pending(w->replay); i++) {
        w->choices[i] = (struct replay_choice){.fate = fate};
    }
}

static bool parts(struct walk *w)
{
    size_t n = replay_pending(w->replay);
    bool all = n <= ALL_PARTS_MAX;
    uint64_t count = all ? (uint64_t)1 << n : PARTS_BY_CHANCE;
    for (uint64_t part = 0; part < count; part++) {
        for (size_t i = 0; i < n; i++) {
            bool whole = all ? (part >> i & 1) != 0 : test_random_chance(&w->random, 50);
            w->choices[i] = (struct replay_choice){.fate = whole ? REPLAY_WHOLE : REPLAY_LOST};
        }
        if (!look(w)) {
            return false;
        }
    }
    return true;
}

static bool prefixes(struct walk *w)
{
    size_t n = replay_pending(w->replay);
    choose_all(w, REPLAY_LOST);
    for (size_t i = 0; i < n; i++) {
        w->choices[i].fate = REPLAY_WHOLE;
        if (!look(w)) {
            return false;
        }
    }
    return true;
}

/* The others: those before it whole and those after it lost, or by chance. */
static bool tears(struct walk *w)
{
    static const uint32_t units[] = {8, 512, 4096};
    size_t n = replay_pending(w->replay);
    for (size_t i = 0; i < n * TEAR_KINDS * TEARS_EACH; i++) {
        size_t torn = i / (TEAR_KINDS * TEARS_EACH);
        const struct trace_event *e = replay_pending_event(w->replay, torn);
        enum replay_fate fate = i % 2 != 0 ? REPLAY_PREFIX : REPLAY_PIECES;
        uint32_t unit = units[i % TEAR_KINDS / 2];
        bool crosses = e->offset / unit != (e->offset + e->size - 1) / unit;
        if (!replay_can_tear(e, fate) || e->size == 0 || !crosses) {
            continue;
        }
        bool orderly = test_random_chance(&w->random, 50);
        for (size_t k = 0; k < n; k++) {
            bool whole = orderly ? k < torn : test_random_chance(&w->random, 50);
            w->choices[k] = (struct replay_choice){.fate = whole ? REPLAY_WHOLE : REPLAY_LOST};
        }
        w->choices[torn] = (struct replay_choice){
            .fate = fate, .unit = unit, .seed = test_random_next(&w->random)};
        if (!look(w)) {
            return false;
        }
    }
    return true;
}

/* All of it, and some parts. */
static bool few(struct walk *w)
{
    size_t n = replay_pending(w->replay);
    choose_all(w, REPLAY_WHOLE);
    bool good = look(w);
    for (int part = 0; part < FEW && n > 0 && good; part++) {
        for (size_t i = 0; i < n; i++) {
            bool whole = test_random_chance(&w->random, 75);
            w->choices[i] = (struct replay_choice){.fate = whole ? REPLAY_WHOLE : REPLAY_LOST};
        }
        good = look(w);
    }
    return good;
}

static bool cut_here(struct walk *w, const struct cut *cut)
{
    w->cut = cut->step;
    replay_cut(w->replay, cut->step);
    expect(replay_pending(w->replay) <= PENDING_MAX);
    if (!w->counting) {
        w->shared->result.cuts++;
    }
    return cut->few ? few(w) : parts(w) && prefixes(w) && tears(w);
}

/* ---- the walk ----------------------------------------------------------------------------- */

static void note_mark(struct walk *w, const struct trace_event *e)
{
    if (e->mark == POWERCUT_CREATED) {
        w->state.created = true;
    } else if (e->mark == POWERCUT_ISSUED || e->mark == POWERCUT_MOST) {
        w->state.issued = e->value;
    } else if (e->mark == POWERCUT_DURABLE) {
        w->state.durable = e->value;
        w->state.issued = e->value > w->state.issued ? e->value : w->state.issued;
    }
}

static bool makes_durable(const struct trace_event *e)
{
    return !e->failed && e->end != 0 &&
           (e->kind == TRACE_SYNC || e->kind == TRACE_SYNC_DIR || e->synchronous);
}

static int compare_cuts(const void *a, const void *b)
{
    const struct cut *x = a;
    const struct cut *y = b;
    return (x->step > y->step) - (x->step < y->step);
}

/* Ascending; the last one is the end. */
static struct cut *list_cuts(const struct trace *t, size_t *count_out)
{
    struct cut *cuts = calloc(t->event_count + 1, sizeof(*cuts));
    expect(cuts != NULL);
    size_t count = 0;
    for (size_t i = 0; i < t->event_count; i++) {
        const struct trace_event *e = &t->events[i];
        if (makes_durable(e)) {
            cuts[count++] = (struct cut){.step = e->end - 1};
        } else if (e->kind == TRACE_MARK && e->mark == POWERCUT_ISSUED) {
            cuts[count++] = (struct cut){.step = e->begin - 1, .few = true};
        }
    }
    cuts[count++] = (struct cut){.step = t->step};
    qsort(cuts, count, sizeof(*cuts), compare_cuts);
    *count_out = count;
    return cuts;
}

static void walk_all(struct walk *w)
{
    const struct trace *t = w->job->trace;
    size_t count;
    struct cut *cuts = list_cuts(t, &count);
    size_t event = 0;
    w->replay = replay_new(t);
    w->random = test_random(w->job->stream);
    w->state = (struct powercut_state){.path = w->job->path};
    bool good = true;
    for (size_t i = 0; i < count && good; i++) {
        /* Promises count from when they were given, intentions too. */
        for (; event < t->event_count && t->events[event].begin <= cuts[i].step; event++) {
            if (t->events[event].kind == TRACE_MARK) {
                note_mark(w, &t->events[event]);
            }
        }
        good = cuts[i].step < w->job->from || cut_here(w, &cuts[i]);
    }
    replay_free(w->replay);
    free(cuts);
}

static void walk_in_child(struct test_child *self, void *arg)
{
    struct walk *w = arg;
    (void)self;
    if (w->job->quiet) {
        /* A crash is what may be looked for: it is no news for a sanitizer. */
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
    }
    w->counting = true;
    walk_all(w);
    w->counting = false;
    w->keep = w->job->wanted;
    w->keep_of = w->counted;
    walk_all(w);
    test_remove(w->job->path);
    free(w->seen.slots);
}

void powercut_run(const struct powercut *job, struct powercut_result *result_out)
{
    struct walk *w = calloc(1, sizeof(*w));
    expect(w != NULL);
    w->job = job;
    w->shared = test_shared(sizeof(*w->shared));
    struct test_child child;
    test_fork(&child, walk_in_child, w);
    int status = test_wait(&child);
    *result_out = w->shared->result;
    if (status != 0) {
        result_out->bad = 1;
        snprintf(result_out->text, sizeof(result_out->text), "ended with %d", status);
        if (!job->quiet) {
            printf("the look at this state ended with %d:\n%s\n", status, w->shared->at);
        }
    }
    munmap(w->shared, sizeof(*w->shared));
    free(w);
}

void powercut_print(const char *what, const struct powercut_result *result)
{
    printf("power cuts, %s: %llu states looked at, %llu equal ones skipped, %llu cuts, %llu bad\n",
           what, (unsigned long long)result->states, (unsigned long long)result->same,
           (unsigned long long)result->cuts, (unsigned long long)result->bad);
    fflush(stdout);
}
