/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From segment to segment. The next segment and its memtable are made ahead of need by a background
 * thread, or by the committer that needs them, always outside the writer lock. `prepared` says
 * which is the newest that may be written to; it is set after the directory was synced, so an
 * acknowledged record never lies in a file whose name is not on disk. Sealing is a pad record, so
 * which segment is current follows from tail alone.
 *
 * Back-pressure: at most segments_pending may hold what the applier has not folded. Whoever needs
 * one more waits here, with a limit; at once when the applier stands still for want of space.
 */
#include "store/log.h"

#include <errno.h>

#define POLL_NS ((uint64_t)50 * 1000 * 1000)

static bool within_pending(const struct store *s, uint64_t start)
{
    uint64_t oldest = segment_base(control_load(&s->ctl->lo), s->segment_bytes);
    return start < oldest + (uint64_t)s->options.segments_pending * s->segment_bytes;
}

bool rotate_ready(const struct store *s, uint64_t lsn)
{
    uint64_t start = segment_base(lsn, s->segment_bytes);
    return start <= control_load(&s->ctl->prepared) && within_pending(s, start);
}

/* Under the prepare lock. Made again after a death: what is there already is fine. */
static int prepare_next(struct store *s, struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    uint64_t start = control_load(&ctl->prepared) + s->segment_bytes;
    os_point("rotate.prepare");
    int rc = segment_make_mem(s, start, ctl->builder, err);
    if (rc == 0) {
        rc = segment_make_file(s, start, err);
    }
    atomic_store_explicit(&ctl->prepare_error, rc, memory_order_relaxed);
    if (rc == 0) {
        os_point("rotate.made");
        control_store(&ctl->prepared, start);
        os_point("rotate.prepared");
    }
    return rc;
}

static int prepare_up_to(struct store *s, uint64_t start, uint64_t timeout_ns, struct base_err *err)
{
    struct control_lock *l = &s->ctl->prepare;
    int rc = control_lock_take(s, l, "prepare a segment", timeout_ns);
    if (rc == -ETIMEDOUT) {
        return control_lock_busy(l, "preparation of a segment", err);
    }
    if (rc == -EOWNERDEAD) {
        os_mutex_consistent(&l->mutex);
    } else if (rc != 0) {
        return base_err_errno(err, -rc, "prepare lock");
    }
    rc = 0;
    while (rc == 0 && control_load(&s->ctl->prepared) < start) {
        rc = prepare_next(s, err);
    }
    control_lock_leave(l);
    return rc;
}

/* The applier works on what is durable: see to that, and urge it. */
static int wait_for_applier(struct store *s, uint64_t start, uint64_t deadline_ns,
                            struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    uint64_t pending = (uint64_t)s->options.segments_pending * s->segment_bytes;
    uint64_t lsn = start + s->segment_bytes - pending;
    int rc = flush_to(s, lsn, deadline_ns, false, err);
    while (rc == 0) {
        uint32_t seen = atomic_load_explicit(&ctl->applied.seen, memory_order_acquire);
        if (within_pending(s, start)) {
            return 0;
        }
        applier_urge(s, lsn, STORE_URGE_NOW);
        int stands = atomic_load_explicit(&ctl->apply_error, memory_order_acquire);
        rc = store_poisoned(s, err);
        if (rc == 0 && stands != 0) {
            rc = base_err_set(err, stands,
                              "%u segments wait to be folded into the trees, and that fails",
                              s->options.segments_pending);
        }
        if (rc == 0 && control_left_ns(deadline_ns) == 0) {
            control_lock_busy(&ctl->applier, "applier", err);
            if (err != NULL) {
                base_err_prefix(err, "%u segments wait to be folded into the trees",
                                s->options.segments_pending);
            }
            rc = INSTAR_EBUSY;
        }
        if (rc == 0) {
            control_sleep(&ctl->applied, seen, deadline_ns, POLL_NS);
        }
    }
    return rc;
}

int rotate_prepare(struct store *s, uint64_t start, uint64_t deadline_ns, struct base_err *err)
{
    int rc = 0;
    if (!within_pending(s, start)) {
        rc = wait_for_applier(s, start, deadline_ns, err);
    }
    if (rc == 0 && control_load(&s->ctl->prepared) < start) {
        rc = prepare_up_to(s, start, control_left_ns(deadline_ns), err);
    }
    return rc;
}

void rotate_ahead(struct store *s)
{
    uint64_t tail = control_load(&s->ctl->tail);
    uint64_t current = segment_base(tail, s->segment_bytes);
    /* Not before it is in sight: who opens, reads a little and closes need not pay for it. */
    if (control_load(&s->ctl->prepared) <= current && tail - current >= s->segment_bytes / 4) {
        /* A failure is met again, and told, by the commit that needs it. */
        prepare_up_to(s, current + s->segment_bytes, 0, NULL);
    }
}

/* ---- retiring ----------------------------------------------------------------------------- */

static uint64_t oldest_write_snapshot(const struct store_control *ctl)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < ctl->nodes_max; i++) {
        const struct control_node *n = &ctl->nodes[i];
        if (atomic_load_explicit(&n->nonce, memory_order_acquire) != 0) {
            uint64_t at = atomic_load_explicit(&n->write_snapshot, memory_order_acquire);
            oldest = at < oldest ? at : oldest;
        }
    }
    return oldest;
}

/* What backups keep, whatever the options say. */
static uint64_t oldest_pin(const struct store_control *ctl)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < ctl->nodes_max; i++) {
        const struct control_node *n = &ctl->nodes[i];
        if (atomic_load_explicit(&n->nonce, memory_order_acquire) != 0) {
            uint64_t at = atomic_load_explicit(&n->log_pin, memory_order_acquire);
            oldest = at < oldest ? at : oldest;
        }
    }
    return oldest;
}

int log_pin(struct store *s, uint64_t *from_out, struct base_err *err)
{
    uint64_t deadline = os_now_ns() + (uint64_t)s->options.lock_timeout_ms * 1000000u;
    *from_out = UINT64_MAX;
    int rc = control_writer_enter(s, "pin the log", deadline, err);
    if (rc == 0) {
        *from_out = control_load(&s->ctl->lo);
        atomic_store_explicit(&s->ctl->nodes[s->node].log_pin, *from_out, memory_order_release);
        control_writer_leave(s);
    }
    return rc;
}

void log_unpin(struct store *s)
{
    atomic_store_explicit(&s->ctl->nodes[s->node].log_pin, UINT64_MAX, memory_order_release);
}

/* Where the log may begin: folded in both metas, and not before what an old writer may still need,
 * but at most segments_retained behind. */
static uint64_t retire_limit(const struct store *s, uint64_t folded)
{
    uint64_t lo = control_load(&s->ctl->lo);
    uint64_t limit = segment_base(folded < lo ? folded : lo, s->segment_bytes);
    uint64_t oldest = oldest_write_snapshot(s->ctl);
    uint64_t keep = (uint64_t)s->options.segments_retained * s->segment_bytes;
    if (oldest < limit) {
        uint64_t wanted = segment_base(oldest, s->segment_bytes);
        uint64_t least = limit > keep ? limit - keep : 0;
        limit = wanted > least ? wanted : least;
    }
    return limit;
}

static void remove_before(int dirfd, const char *ending, uint64_t limit)
{
    char **names;
    size_t count;
    if (os_list_dir(dirfd, &names, &count) != 0) {
        return; /* the next retirement tries again */
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t start;
        if (segment_name_parse(names[i], ending, &start) && start < limit) {
            file_remove(dirfd, names[i], NULL);
        }
    }
    file_free_names(names, count);
}

void segment_retire(struct store *s, uint64_t folded_in_both_metas)
{
    struct store_control *ctl = s->ctl;
    uint64_t limit = retire_limit(s, folded_in_both_metas);
    uint64_t deadline = os_now_ns() + (uint64_t)s->options.lock_timeout_ms * 1000000u;
    if (limit > control_load(&ctl->floor)) {
        if (control_writer_enter(s, "retire a segment", deadline, NULL) != 0) {
            return;
        }
        /* Under the lock: no commit that has checked its snapshot against the old floor is still on
         * its way. And a pin that was set is seen: it is set under the lock. */
        uint64_t pin = oldest_pin(ctl);
        limit = pin < limit ? segment_base(pin, s->segment_bytes) : limit;
        if (limit > control_load(&ctl->floor)) {
            control_store(&ctl->floor, limit);
        }
        control_writer_leave(s);
        os_point("retire.floor_set");
        remove_before(s->log_fd, "seg", control_load(&ctl->floor));
        os_point("retire.removed");
    }
    /* A memtable is needed only until its segment is folded. */
    remove_before(s->runtime_fd, "mem", segment_base(control_load(&ctl->lo), s->segment_bytes));
    segment_trim(s);
}
