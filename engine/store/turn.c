/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The turn: a transaction that has lost several times, or a commit that does not get the lock, asks
 * all others to hold back their commits for at most 100 ms. It is advice, never a lock: one word
 * says when it ends by itself, so a holder that dies or stops costs the others 100 ms. Who has lost
 * flushes to the tail first and takes its snapshot then; nothing new comes in between, so it
 * finishes if it is shorter than the turn.
 *
 * The word: time of its end in ns, the low 12 bits a count that makes each turn's value its own.
 */
#include "store/log.h"

#define TURN_NS ((uint64_t)100 * 1000 * 1000)
#define COUNT_MASK ((uint64_t)0xfff)

static uint64_t turn_end_ns(uint64_t ticket)
{
    return ticket & ~COUNT_MASK;
}

/* Sleep until this turn has ended, or the deadline. */
static void wait_for_end(struct store *s, uint64_t ticket, uint32_t seen, uint64_t deadline_ns)
{
    uint64_t left = control_left_ns(turn_end_ns(ticket));
    if (left > 0 && atomic_load(&s->ctl->turn_ticket) == ticket) {
        control_sleep(&s->ctl->turn, seen, deadline_ns, left);
    }
}

uint64_t turn_try(struct store *s)
{
    struct store_control *ctl = s->ctl;
    uint64_t now = os_now_ns();
    uint64_t held = atomic_load(&ctl->turn_ticket);
    if (turn_end_ns(held) > now) {
        return 0;
    }
    uint64_t count = atomic_fetch_add(&ctl->turn_next, 1) & COUNT_MASK;
    uint64_t mine = ((now + TURN_NS) & ~COUNT_MASK) | count;
    return atomic_compare_exchange_strong(&ctl->turn_ticket, &held, mine) ? mine : 0;
}

int turn_take(struct store *s, uint64_t deadline_ns, uint64_t *ticket_out, struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    *ticket_out = 0;
    for (;;) {
        uint32_t seen = atomic_load_explicit(&ctl->turn.seen, memory_order_acquire);
        uint64_t held = atomic_load(&ctl->turn_ticket);
        if (turn_end_ns(held) <= os_now_ns()) {
            *ticket_out = turn_try(s);
            if (*ticket_out != 0) {
                os_point("turn.taken");
                return flush_to(s, control_load(&ctl->tail), deadline_ns, true, err);
            }
            continue;
        }
        if (control_left_ns(deadline_ns) == 0) {
            return base_err_set(err, INSTAR_EBUSY, "others had the turn until the time was over");
        }
        wait_for_end(s, held, seen, deadline_ns);
    }
}

void turn_end(struct store *s, uint64_t ticket)
{
    if (ticket != 0 && atomic_compare_exchange_strong(&s->ctl->turn_ticket, &ticket, 0)) {
        control_wake(&s->ctl->turn);
    }
}

void turn_hold(struct store *s, uint64_t own_ticket, uint64_t deadline_ns)
{
    for (;;) {
        uint32_t seen = atomic_load_explicit(&s->ctl->turn.seen, memory_order_acquire);
        uint64_t held = atomic_load(&s->ctl->turn_ticket);
        if (held == 0 || held == own_ticket || turn_end_ns(held) <= os_now_ns() ||
            control_left_ns(deadline_ns) == 0) {
            return;
        }
        wait_for_end(s, held, seen, deadline_ns);
    }
}
