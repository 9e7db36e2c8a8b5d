/* SPDX-License-Identifier: Apache-2.0 */
/* The turn that a transaction asks for: how long it is, and who comes next. */
#include "store/control.h"
#include "store/log.h"
#include "support/stores.h"

#define TREE 1
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

struct committer {
    struct os_thread thread;
    const char *key;
    uint64_t lsn;
};

static void *commit(void *arg)
{
    struct committer *c = arg;
    c->lsn = stores_write(s, TREE, c->key, "value");
    return NULL;
}

static void start(struct committer *c, const char *key)
{
    c->key = key;
    must(os_thread_start(&c->thread, "committer", commit, c));
}

/* Who has waited for the writer lock for long takes the turn: those who come later hold back until
 * it is through. */
Test(store_turn, is_taken_by_one_who_waits_for_the_lock)
{
    static struct test_hold hold;
    struct committer waits, later;
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    must(control_writer_enter(s, "keep others waiting", STORE_FOREVER, &test_err));
    test_hold_set(&hold, "commit.overdue", 1);
    start(&waits, "a");
    test_hold_await(&hold);
    expect(atomic_load(&s->ctl->turn_ticket) != 0);
    expect_u64(turn_try(s), 0);
    start(&later, "b");
    control_writer_leave(s);
    test_hold_release(&hold);
    os_thread_join(&waits.thread);
    expect_u64(atomic_load(&s->ctl->turn_ticket), 0);
    os_thread_join(&later.thread);
    expect(waits.lsn < later.lsn);
    stores_read(s, TREE, "a", "value");
    stores_read(s, TREE, "b", "value");
    test_hold_end(&hold);
}

/* A turn that went on to another one in the meantime is not ended by the first. */
Test(store_turn, is_left_to_another_one)
{
    static struct test_hold hold;
    struct committer waits;
    uint64_t other;
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    test_hold_set(&hold, "commit.overdue", 1);
    must(control_writer_enter(s, "keep others waiting", STORE_FOREVER, &test_err));
    start(&waits, "a");
    test_hold_await(&hold);
    turn_end(s, atomic_load(&s->ctl->turn_ticket));
    other = turn_try(s);
    expect(other != 0);
    test_hold_release(&hold);
    control_writer_leave(s);
    os_thread_join(&waits.thread);
    expect_u64(atomic_load(&s->ctl->turn_ticket), other); /* not ended by the wrong one */
    turn_end(s, other);
    expect_u64(atomic_load(&s->ctl->turn_ticket), 0);
    test_hold_end(&hold);
}
