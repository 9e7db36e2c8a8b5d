/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group flush. One flusher at a time, by trying the flush lock; whoever does not get it sleeps
 * on one word, and one wake-up reaches all, from whatever process. The flusher loads T = tail
 * before it syncs: so all it declares durable was written before the sync began.
 *
 * The sleepers are two groups: those the flush that goes on covers, and those who came too late for
 * it. When it ends, it wakes one of the second group, who flushes next, and then the whole first.
 * To wake all would let every commit of a busy store wake up twice. Which group is which alternates
 * from round to round; the word flush_round says what the present one covers, and its low bit whose
 * turn it is. A round begins only after `seen` was moved at the end of the one before: so whoever
 * looked at the wrong round does not fall asleep, or is woken once too often. Where the one that
 * was chosen dies or stops, the others look for themselves after RETRY_NS.
 *
 * After a flusher's death: it may have got an I/O error that nobody else will ever get; the kernel
 * has marked the pages clean, and the next sync would succeed on lost data. So its successor does
 * not believe the page cache: it reads (durable, T] into private memory, verifies, writes that copy
 * back and only then syncs. A committer may have written its record, but not moved tail, when the
 * dead flusher met the error: so the takeover notes tail0, and every flush verifies and writes back
 * as long as it begins at or below it.
 *
 * A failed sync is never tried again (I-6): it poisons the store before the lock is released.
 */
#include "store/log.h"

#include <errno.h>

#define RETRY_NS ((uint64_t)20 * 1000 * 1000) /* waiters look for themselves so often */
#define LATELY_NS ((uint64_t)1000 * 1000 * 1000)

#define ROUND_BIT UINT64_C(1) /* LSNs are even */
_Static_assert(RECORD_ALIGN > ROUND_BIT, "flush_round keeps a bit beside the LSN");

static uint32_t covered_group(uint64_t round)
{
    return (round & ROUND_BIT) != 0 ? 2 : 1;
}

static uint32_t later_group(uint64_t round)
{
    return (round & ROUND_BIT) != 0 ? 1 : 2;
}

static uint64_t load_round(struct store_control *ctl)
{
    return atomic_load_explicit(&ctl->flush_round, memory_order_acquire);
}

static void begin_round(struct store_control *ctl, uint64_t to)
{
    uint64_t bit = ~load_round(ctl) & ROUND_BIT;
    atomic_store_explicit(&ctl->flush_round, to | bit, memory_order_release);
}

/* Sleep until the flush that covers lsn has ended, or it is time to look again. */
static void await_round(struct store_control *ctl, uint64_t lsn, uint32_t seen,
                        uint64_t deadline_ns)
{
    uint64_t round = load_round(ctl);
    uint64_t left = control_left_ns(deadline_ns);
    bool covered = lsn <= (round & ~ROUND_BIT);
    os_futex_wait_group(&ctl->flushed.seen, seen,
                        covered ? covered_group(round) : later_group(round),
                        left < RETRY_NS ? left : RETRY_NS);
}

static bool must_verify(const struct store_control *ctl, uint64_t durable)
{
    return durable < control_load(&ctl->tail0); /* tail0 is one more than the tail it was */
}

/* Verify (from, to] in private memory and write that copy back. */
static int write_back(struct store *s, uint64_t from, uint64_t to, struct base_err *err)
{
    struct scan c;
    struct record r;
    int rc;
    scan_init(&c, s, from, 0, false);
    while ((rc = scan_next(&c, to, &r, err)) == 0) {
        rc = scan_write_back(&c, &r, err);
        if (rc != 0) {
            break;
        }
    }
    scan_done(&c);
    return rc == INSTAR_END ? 0 : rc;
}

/* Sync every segment that holds a byte of (from, to], oldest first. *lost_out: a sync has failed,
 * with whatever code; what it did not write may be gone from the page cache too. */
static int sync_range(struct store *s, uint64_t from, uint64_t to, bool *lost_out,
                      struct base_err *err)
{
    uint64_t last = segment_base(to - 1, s->segment_bytes);
    for (uint64_t start = segment_base(from, s->segment_bytes); start <= last;
         start += s->segment_bytes) {
        struct segment *seg;
        int rc = segment_pin(s, start, false, &seg, err);
        if (rc != 0) {
            return rc;
        }
        rc = os_fdatasync(seg->fd);
        segment_unpin_one(s, seg);
        if (rc != 0) {
            *lost_out = true;
            return base_err_errno(err, -rc, "log segment at %llu: sync failed",
                                  (unsigned long long)start);
        }
    }
    return 0;
}

static void note_latency(_Atomic uint64_t *smoothed_ns, uint64_t began_ns)
{
    uint64_t took = os_now_ns() - began_ns;
    uint64_t old = atomic_load_explicit(smoothed_ns, memory_order_relaxed);
    uint64_t smooth = old == 0 ? took : old - old / 8 + took / 8;
    atomic_store_explicit(smoothed_ns, smooth, memory_order_relaxed);
}

/* Under the flush lock. err is not NULL. */
static int flush_locked(struct store *s, struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    uint64_t from = control_load(&ctl->durable);
    uint64_t to = control_load(&ctl->tail);
    uint64_t began = os_now_ns();
    int rc = store_poisoned(s, err);
    if (rc != 0 || to <= from) {
        return rc;
    }
    bool lost = false;
    begin_round(ctl, to);
    os_point("flush.loaded");
    if (must_verify(ctl, from)) {
        rc = write_back(s, from, to, err);
        os_point("flush.written_back");
    }
    if (rc == 0) {
        rc = sync_range(s, from, to, &lost, err);
    }
    rc = lost ? INSTAR_EIO : rc; /* whatever the code: space that comes back does not help */
    if (rc == INSTAR_EIO || rc == INSTAR_ECORRUPT) {
        store_poison(s, err->text);
    }
    if (rc != 0) {
        return rc; /* out of memory or descriptors: nothing is lost, durable stays */
    }
    os_point("flush.synced");
    control_store(&ctl->durable, to);
    os_point("flush.durable_set");
    atomic_fetch_add_explicit(&ctl->flushes, 1, memory_order_relaxed);
    note_latency(&ctl->flush_ns, began);
    uint64_t schema = control_load(&ctl->schema);
    if (schema > from && schema <= to) {
        control_wake(&ctl->event[STORE_EVENT_SCHEMA]);
    }
    return 0;
}

/* Try once to be the flusher. -ETIMEDOUT: another one is. */
static int try_flush(struct store *s, struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    struct base_err own;
    base_err_clear(&own);
    int rc = control_lock_take(s, &ctl->flush, "flush the log", 0);
    if (rc == -ETIMEDOUT) {
        return rc;
    }
    bool dead = rc == -EOWNERDEAD;
    if (dead) {
        control_store(&ctl->tail0, control_load(&ctl->tail) + 1);
        os_point("flush.taken_over");
        os_mutex_consistent(&ctl->flush.mutex);
    } else if (rc != 0) {
        return base_err_errno(err, -rc, "flush lock");
    }
    rc = flush_locked(s, &own);
    uint64_t round = load_round(ctl);
    atomic_fetch_add_explicit(&ctl->flushed.seen, 1, memory_order_seq_cst);
    control_lock_leave(&ctl->flush);
    if (rc != 0 || dead) {
        os_futex_wake_all(&ctl->flushed.seen); /* those of the dead one's round too */
    } else {
        os_futex_wake_group(&ctl->flushed.seen, later_group(round), 1);
        os_futex_wake_group(&ctl->flushed.seen, covered_group(round), INT32_MAX);
    }
    if (rc != 0) {
        base_err_set(err, rc, "%s", own.text);
    }
    return rc;
}

/* lsn lies beyond the tail: the schema LSN of a publisher that was killed before it moved tail. The
 * next writer settles that; be it ourselves. */
static int reach_tail(struct store *s, uint64_t *lsn, uint64_t deadline_ns, struct base_err *err)
{
    if (*lsn <= control_load(&s->ctl->tail)) {
        return 0;
    }
    int rc = control_writer_enter(s, "settle the log's end", deadline_ns, err);
    if (rc != 0) {
        return rc;
    }
    control_writer_leave(s);
    uint64_t tail = control_load(&s->ctl->tail);
    *lsn = *lsn < tail ? *lsn : tail;
    return 0;
}

int flush_to(struct store *s, uint64_t lsn, uint64_t deadline_ns, bool waits, struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    uint64_t began = 0;
    int rc = reach_tail(s, &lsn, deadline_ns, err);
    if (rc == 0 && waits && control_load(&ctl->durable) < lsn) {
        began = os_now_ns();
        atomic_store_explicit(&ctl->sync_wait_ns, began, memory_order_relaxed);
    }
    while (rc == 0) {
        uint32_t seen = atomic_load_explicit(&ctl->flushed.seen, memory_order_acquire);
        if (control_load(&ctl->durable) >= lsn) {
            if (began != 0) {
                note_latency(&ctl->commit_ns, began);
            }
            return 0;
        }
        rc = try_flush(s, err);
        if (rc != -ETIMEDOUT) {
            continue;
        }
        rc = store_poisoned(s, err);
        if (rc == 0 && control_left_ns(deadline_ns) == 0) {
            rc = control_lock_busy(&ctl->flush, "flush of the log", err);
        }
        if (rc == 0) {
            await_round(ctl, lsn, seen, deadline_ns);
        }
    }
    return rc;
}

bool flush_waited_for_within(const struct store *s, uint64_t ns)
{
    uint64_t last = atomic_load_explicit(&s->ctl->sync_wait_ns, memory_order_relaxed);
    return last != 0 && os_now_ns() - last < ns;
}

uint64_t store_commit_latency_ns(const struct store *s)
{
    return flush_waited_for_within(s, LATELY_NS)
               ? atomic_load_explicit(&s->ctl->commit_ns, memory_order_relaxed)
               : 0;
}

uint64_t flush_latency_ns(const struct store *s)
{
    return atomic_load_explicit(&s->ctl->flush_ns, memory_order_relaxed);
}
