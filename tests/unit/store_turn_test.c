/* SPDX-License-Identifier: Apache-2.0 */
/* The turn that a transaction asks for: how long it is, and who comes next. */
#include "store/log.h"
#include "support/stores.h"

#define TURN_NS UINT64_C(100000000)
#define COUNT_MASK UINT64_C(0xfff)

static struct store *s;

static void setup(void)
{
    s = stores_make(NULL);
    test_clock_start(os_now_ns());
}

static void teardown(void)
{
    test_clock_stop();
    stores_close(s);
}

TestSuite(store_turn, .init = setup, .fini = teardown);

/* To the moment at which a turn ends by itself. */
static void go_to_end(uint64_t ticket)
{
    test_clock_advance((ticket & ~COUNT_MASK) - os_now_ns());
}

/* A turn of a holder that is gone is over in the moment that it says, and not before; nobody waits
 * for it then. */
Test(store_turn, ends_by_itself)
{
    uint64_t one, other;
    uint64_t began = os_now_ns();
    must(turn_take(s, STORE_FOREVER, &one, &test_err));
    uint64_t end = one & ~COUNT_MASK;
    expect(end <= began + TURN_NS && end > began + TURN_NS - COUNT_MASK - 1);
    test_clock_advance(end - 1 - began);
    must_fail(turn_take(s, os_now_ns(), &other, &test_err), INSTAR_EBUSY);
    expect(other == 0);
    go_to_end(one);
    must(turn_take(s, os_now_ns(), &other, &test_err));
    expect(other != one);
    /* It comes too late to end anybody's turn. */
    turn_end(s, one);
    must_fail(turn_take(s, os_now_ns(), &one, &test_err), INSTAR_EBUSY);
    turn_end(s, other);
    must(turn_take(s, os_now_ns(), &one, &test_err));
    turn_end(s, one);
}

/* Others hold back until it is ended, or its time or theirs is over; its holder does not. */
Test(store_turn, others_hold_back)
{
    uint64_t ticket;
    turn_hold(s, 0, STORE_FOREVER);
    must(turn_take(s, STORE_FOREVER, &ticket, &test_err));
    turn_hold(s, ticket, STORE_FOREVER);
    turn_hold(s, 0, os_now_ns());
    go_to_end(ticket);
    turn_hold(s, 0, STORE_FOREVER);
}
