/* SPDX-License-Identifier: Apache-2.0 */
/* Positions, events and shared areas, as the layers above and the applier see them. */
#include "store/log.h"

#include <errno.h>

#define POLL_NS ((uint64_t)50 * 1000 * 1000)
#define NS_PER_MS 1000000u

const instar_options *store_options(const struct store *s)
{
    return &s->options;
}

uint64_t store_tail(const struct store *s)
{
    return control_load(&s->ctl->tail);
}

uint64_t store_durable(const struct store *s)
{
    return control_load(&s->ctl->durable);
}

uint64_t store_applied(const struct store *s)
{
    return control_load(&s->ctl->lo);
}

uint64_t store_schema_lsn(const struct store *s)
{
    return control_load(&s->ctl->schema);
}

int store_flush(struct store *s, uint64_t lsn, uint64_t deadline_ns, struct base_err *err)
{
    return flush_to(s, lsn, deadline_ns, true, err);
}

/* Not a committer that waits for the disk: the applier need not be gentle for its sake. */
int store_wait_applied(struct store *s, uint64_t lsn, enum store_urge how, uint64_t deadline_ns,
                       struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    int rc = control_load(&ctl->lo) >= lsn ? 0 : flush_to(s, lsn, deadline_ns, false, err);
    while (rc == 0) {
        uint32_t seen = atomic_load_explicit(&ctl->applied.seen, memory_order_acquire);
        if (control_load(&ctl->lo) >= lsn) {
            return 0;
        }
        applier_urge(s, lsn, how);
        int stands = atomic_load_explicit(&ctl->apply_error, memory_order_acquire);
        rc = store_poisoned(s, err);
        if (rc == 0 && stands != 0) {
            rc = base_err_set(err, stands, "the log cannot be folded into the trees: %s",
                              base_error_what(stands));
        }
        if (rc == 0 && control_left_ns(deadline_ns) == 0) {
            rc = control_lock_busy(&ctl->applier, "applier", err);
        }
        if (rc == 0) {
            control_sleep(&ctl->applied, seen, deadline_ns, POLL_NS);
        }
    }
    return rc;
}

void control_set_applied(struct store *s, uint64_t lo)
{
    base_assert(lo <= control_load(&s->ctl->durable));
    if (lo > control_load(&s->ctl->lo)) {
        atomic_store(&s->ctl->apply_error,
                     0); /* whoever sees lo is not told of an earlier failure */
        control_store(&s->ctl->lo, lo);
    }
    control_wake(&s->ctl->applied);
}

static void move_up(_Atomic uint64_t *word, uint64_t lsn)
{
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    bool raised = false;
    while (old < lsn && !raised) {
        raised = atomic_compare_exchange_weak(word, &old, lsn);
    }
}

void applier_urge(struct store *s, uint64_t lsn, enum store_urge how)
{
    for (int i = 0; i <= (int)how; i++) {
        move_up(&s->ctl->urged_lsn[i], lsn);
    }
    control_wake(&s->ctl->urge);
}

uint64_t applier_urged(const struct store *s, enum store_urge how)
{
    return atomic_load_explicit(&s->ctl->urged_lsn[how], memory_order_acquire);
}

void applier_set_error(struct store *s, int code)
{
    if (atomic_exchange(&s->ctl->apply_error, code) != code) {
        control_wake(&s->ctl->applied);
    }
}

uint32_t store_event_seen(const struct store *s, enum store_event event)
{
    return atomic_load_explicit(&s->ctl->event[event].seen, memory_order_acquire);
}

int store_event_wait(struct store *s, enum store_event event, uint32_t seen, uint64_t timeout_ns)
{
    int rc = os_futex_wait(&s->ctl->event[event].seen, seen, timeout_ns);
    return rc == -ETIMEDOUT ? INSTAR_EBUSY : 0;
}

void store_event_bump(struct store *s, enum store_event event)
{
    control_wake(&s->ctl->event[event]);
}

void *store_shared_area(struct store *s, enum store_area area, size_t *size_out)
{
    *size_out = (size_t)s->ctl->area_size[area];
    return (uint8_t *)s->ctl + s->ctl->area_at[area];
}

int store_locked(struct store *s, int (*fn)(void *arg), void *arg, struct base_err *err)
{
    uint64_t deadline = os_now_ns() + (uint64_t)s->options.lock_timeout_ms * NS_PER_MS;
    int rc = control_memory_enter(s, "a change of shared memory", deadline, err);
    if (rc == 0) {
        rc = fn(arg);
        control_writer_leave(s);
    }
    return rc;
}
