/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission. The log takes bytes faster than they are folded. When segments_pending are full, who
 * commits waits for a whole fold (rotate.c), which takes seconds where it writes pages at random.
 * So commits that come too fast are slowed down before that:
 *
 *     from             to              tail               wall = from + segments_pending
 *      |-- is folded ---|--- has come ---|------- room -----|
 *
 * While a fold goes on, the room is shared out over the time that it still needs. That goes by what
 * a byte took in the slower ones of the last folds, and is never less than a third of what this one
 * has taken: so one that takes longer finds writers slower, but still at work. What comes no faster
 * than that is let in. Shares of what is left never use up the room; what stays of it is there in
 * the next fold.
 *
 * The slower ones, for writers and the applier share the processors: the more are let in, the
 * longer a fold takes. By the mean each slow fold was followed by too many writers, and these by a
 * stop.
 *
 * Where a tree's build ends, the applier folds what is left of its delta before it goes on with the
 * log. The room must do for that and for the fold behind it.
 *
 * The time of a fold is that of its transactions, without its pauses: those it shortens when the
 * log fills. It is not told by the operations that are done: they cost little in one tree and much
 * in the next.
 *
 * One word says when the next byte is due. Who commits moves it on by the time his bytes take, and
 * sleeps until it was due. A process that dies then has cost the others that time, once. An applier
 * that dies leaves its rate until another one takes its role. All words are advice.
 */
#include "store/admit.h"

#include "store/apply_impl.h"
#include "store/control.h"

#define MIB ((uint64_t)1 << 20)
#define NS_PER_S UINT64_C(1000000000)
#define COST_MAX (10 * NS_PER_S)     /* of a MiB */
#define SLACK_NS ((uint64_t)1000000) /* nobody sleeps for less, and nobody saves up more */
#define AHEAD_NS (100 * SLACK_NS)    /* nobody waits longer, however large others' commits are */
#define MEMORY 16                    /* a slow fold is remembered for so many segments */
#define CAREFUL 0.75                 /* of the even share: folds differ by a factor of two */
#define LEFT_LEAST 3                 /* such a part of what a fold has taken is still to come */

static double cost_of_folding(const struct store *s)
{
    return (double)atomic_load_explicit(&s->ctl->fold_cost, memory_order_relaxed) / MIB;
}

static uint64_t wall_of(const struct store *s, uint64_t from)
{
    return segment_base(from, s->segment_bytes) +
           (uint64_t)s->options.segments_pending * s->segment_bytes;
}

static double room_before(const struct store *s, uint64_t wall)
{
    uint64_t tail = store_tail(s);
    return tail < wall ? (double)(wall - tail) : 0;
}

static void share_out(struct store *s, double room, double left_ns)
{
    double cost = left_ns * MIB / (room * CAREFUL + 1);
    cost = cost < (double)COST_MAX ? cost : (double)COST_MAX;
    atomic_store_explicit(&s->ctl->admit_cost, (uint64_t)cost, memory_order_relaxed);
}

void admit_folding(struct store *s, uint64_t from, uint64_t to, uint64_t took_ns)
{
    uint64_t wall = wall_of(s, from);
    double room = room_before(s, wall);
    double all_ns = cost_of_folding(s) * (double)(to - from);
    double left_ns = all_ns - (double)took_ns;
    double least_ns = (double)took_ns / LEFT_LEAST;
    left_ns = left_ns > least_ns ? left_ns : least_ns;
    bool too_fast = room * all_ns < left_ns * (double)(wall - to);
    share_out(s, room, too_fast ? left_ns : 0);
}

void admit_held_up(struct store *s, uint64_t from, uint64_t left_ns)
{
    uint64_t pending = store_tail(s) - from;
    uint64_t next = fold_segments(s) * s->segment_bytes;
    double fold_ns = cost_of_folding(s) * (double)(pending < next ? pending : next);
    share_out(s, room_before(s, wall_of(s, from)), (double)left_ns + fold_ns);
}

/* A slower one counts at once, a faster one bit by bit. A fold of little counts little: its
 * transactions cost the same as those of a large one. */
void admit_folded(struct store *s, uint64_t from, uint64_t to, uint64_t took_ns)
{
    double old = cost_of_folding(s);
    double cost = (double)took_ns / (double)(to - from);
    double segments = (double)(to - from) / (double)s->segment_bytes;
    double weight = cost > old ? segments : segments / MEMORY;
    if (old != 0 && weight < 1) {
        cost = old + (cost - old) * weight;
    }
    cost = cost * MIB < (double)COST_MAX ? cost * MIB : (double)COST_MAX;
    atomic_store_explicit(&s->ctl->fold_cost, (uint64_t)cost, memory_order_relaxed);
}

void admit_all(struct store *s)
{
    if (atomic_load_explicit(&s->ctl->admit_cost, memory_order_relaxed) != 0) {
        atomic_store_explicit(&s->ctl->admit_cost, 0, memory_order_relaxed);
    }
}

uint64_t admit_rate(const struct store *s)
{
    uint64_t cost = atomic_load_explicit(&s->ctl->admit_cost, memory_order_relaxed);
    return cost == 0 ? 0 : MIB * NS_PER_S / cost;
}

void admit_wait(struct store *s, uint64_t bytes, uint64_t deadline_ns)
{
    _Atomic uint64_t *due = &s->ctl->admit_due_ns;
    uint64_t cost = atomic_load_explicit(&s->ctl->admit_cost, memory_order_relaxed);
    if (cost == 0) {
        return;
    }
    uint64_t now = os_now_ns();
    uint64_t take = (uint64_t)((double)bytes * (double)cost / MIB);
    uint64_t was = atomic_load_explicit(due, memory_order_relaxed);
    uint64_t mine;
    do {
        mine = was + SLACK_NS < now ? now - SLACK_NS : was;
        mine = mine < now + AHEAD_NS ? mine : now + AHEAD_NS;
    } while (!atomic_compare_exchange_weak_explicit(due, &was, mine + take, memory_order_relaxed,
                                                    memory_order_relaxed));
    uint64_t until = mine < deadline_ns ? mine : deadline_ns;
    if (until > now + SLACK_NS) {
        os_point("admit.waits");
        os_sleep_ns(until - now);
    }
}
