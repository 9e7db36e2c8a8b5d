/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate before LMDB's own write lock. LMDB's lock waits for ever and names nobody; this one is
 * robust, timed, and says who holds it. Applier, bulk load and purge pass it once for each of their
 * LMDB transactions, so that none keeps the others out for longer than one turn.
 *
 * A mutex alone would let the one who leaves come back before a waiter has woken. So whoever waits
 * renews a time stamp, and whoever had the last turn holds back while the stamp is fresh. A waiter
 * that is killed leaves a stamp that is soon old: nothing needs repair.
 */
#include "store/control.h"
#include "store/store_impl.h"

#include <errno.h>

#define WAIT_SLICE_NS ((uint64_t)5000000)
#define STAMP_FRESH_NS (4 * WAIT_SLICE_NS)
#define YIELD_NS ((uint64_t)200000)
#define YIELD_TRIES 50

/* A number that two threads of all processes never share while they live. */
static uint64_t self(const struct store *s)
{
    static _Thread_local char mark;
    return (uint64_t)s->node << 48 ^ (uint64_t)(uintptr_t)&mark;
}

static bool others_wait(const struct store_control *ctl)
{
    uint64_t stamp = atomic_load(&ctl->gate_ticket);
    return stamp != 0 && os_now_ns() - stamp < STAMP_FRESH_NS;
}

int gate_enter(struct store *s, const char *what, uint64_t deadline_ns, struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    uint64_t me = self(s);
    for (int i = 0; i < YIELD_TRIES && atomic_load(&ctl->gate_serving) == me && others_wait(ctl);
         i++) {
        os_sleep_ns(YIELD_NS);
    }
    uint64_t slice = 0;
    for (;;) {
        int rc = control_lock_take(s, &ctl->gate, what, slice);
        if (rc == -EOWNERDEAD) {
            /* Nothing of ours is half done: LMDB undoes its own transaction. */
            rc = os_mutex_consistent(&ctl->gate.mutex);
        }
        if (rc == 0) {
            break;
        }
        if (rc != -ETIMEDOUT) {
            return base_err_errno(err, -rc, "gate");
        }
        uint64_t left = control_left_ns(deadline_ns);
        if (left == 0) {
            return control_lock_busy(&ctl->gate, "gate of the trees", err);
        }
        if (store_poisoned(s, err) != 0) {
            return INSTAR_ESTOPPED;
        }
        atomic_store(&ctl->gate_ticket, os_now_ns());
        slice = left < WAIT_SLICE_NS ? left : WAIT_SLICE_NS;
    }
    atomic_store(&ctl->gate_ticket, 0);
    atomic_store(&ctl->gate_serving, me);
    if (store_poisoned(s, err) != 0) {
        gate_leave(s);
        return INSTAR_ESTOPPED;
    }
    return 0;
}

void gate_leave(struct store *s)
{
    control_lock_leave(&s->ctl->gate);
}
