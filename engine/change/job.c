/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One change in the hands of this process: the loop over its steps, and what each step is made of.
 *
 *     claimed --> do the step --> ok ------------------------> next step, until the verdict
 *                    |  ^
 *                    |  +-- conflict, busy: wait a moment, again
 *                    +----- cancelled, or an error: turn back (before the point of no return)
 *                    +----- an error after it: nothing there can fail for good, so wait, again
 *                    +----- claim lost, process closes, store stopped: leave it to others
 *
 * The loop reads the record anew before each step; a step commits the record together with what it
 * did. So it does not matter after which instruction a runner dies.
 */
#include "change/job_impl.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000u
#define US_PER_S 1000000u
#define BACKOFF_FIRST_NS (2u * NS_PER_MS)
#define BACKOFF_MAX_NS NS_PER_S
#define RATE_WINDOW_NS (250u * NS_PER_MS)
#define PAUSED "somebody to resume it: paused on request"
#define HELD "somebody to release it: held before its last step"
#define APPLIED_TURN_NS (100u * NS_PER_MS)
#define TARGET_PAUSE_MAX_NS (80u * NS_PER_MS)

/* ---- steering ------------------------------------------------------------------------------ */

static void take_steering(struct job *j, const struct change_record *r)
{
    uint32_t flags = r->flags & CHANGE_STEERED;

    if (r->state != INSTAR_CHANGE_RUNNING) {
        flags &= INSTAR_CHANGE_HURRY; /* the way back stops for nothing */
    }
    atomic_store_explicit(&j->steered, flags, memory_order_relaxed);
    atomic_store_explicit(&j->workers, r->workers, memory_order_relaxed);
    atomic_store_explicit(&j->rows_per_second_max, r->rows_per_second_max, memory_order_relaxed);
    atomic_store_explicit(&j->bytes_per_second_max, r->bytes_per_second_max, memory_order_relaxed);
    atomic_store_explicit(&j->latency_target_ms, r->latency_target_ms, memory_order_relaxed);
}

/* Sleep while any of the flags is set. Which of them it is may change meanwhile. */
static int stand_still(struct job *j, uint32_t flags, struct base_err *err)
{
    int rc = 0;

    while (rc == 0 && job_is_steered(j, flags)) {
        job_show_waiting(j, job_is_steered(j, flags & INSTAR_CHANGE_HOLD) ? HELD : PAUSED);
        os_point("job.stands_still");
        rc = job_wait(j, STORE_EVENT_CHANGE, j->event_seen, NS_PER_S, err);
    }
    job_show_waiting(j, "");
    return rc;
}

int job_stand_still(struct job *j, struct base_err *err)
{
    return job_is_steered(j, INSTAR_CHANGE_PAUSE) ? stand_still(j, INSTAR_CHANGE_PAUSE, err) : 0;
}

void job_show_paused(struct job *j)
{
    job_show_waiting(j, job_is_steered(j, INSTAR_CHANGE_PAUSE) ? PAUSED : "");
}

/* ---- transactions of a job ---------------------------------------------------------------- */

/* flags: STORE_TXN_LAST_ROOM, or 0. */
static int begin(struct job *j, unsigned flags, struct store_txn **t_out, struct base_err *err)
{
    struct change_record found = {0};
    struct store_txn *t;

    *t_out = NULL;
    uint32_t seen = store_event_seen(j->store, STORE_EVENT_CHANGE);
    int rc = store_txn_begin(j->store, STORE_TXN_BACKGROUND | flags, &t, err);
    if (rc != 0) {
        return rc;
    }
    rc = record_get(t, j->id, STORE_READ_NORMAL, &found, err);
    if (rc == 0 && (record_ended(&found) || !record_owned_by(&found, &j->owner))) {
        rc = JOB_QUIT;
    }
    if (rc != 0) {
        record_free(&found);
        store_txn_abort(t);
        return rc;
    }
    record_free(&j->rec);
    j->rec = found;
    j->rec.retries = j->retries; /* written with whatever comes next */
    memcpy(j->rec.trouble, j->trouble, sizeof(j->rec.trouble));
    j->event_seen = seen;
    take_steering(j, &j->rec);
    *t_out = t;
    return 0;
}

/* A change that finds no room for its work must still be able to say so, and to turn back. */
int job_begin_back(struct job *j, struct store_txn **t_out, struct base_err *err)
{
    return begin(j, STORE_TXN_LAST_ROOM, t_out, err);
}

static int unless_cancelled(struct job *j, int rc, struct store_txn **t_out)
{
    if (rc == 0 && j->rec.cancel && plan_may_revert(&j->rec)) {
        store_txn_abort(*t_out);
        *t_out = NULL;
        rc = JOB_CANCEL;
    }
    return rc;
}

int job_begin(struct job *j, struct store_txn **t_out, struct base_err *err)
{
    return unless_cancelled(j, job_begin_back(j, t_out, err), t_out);
}

int job_begin_rows(struct job *j, bool reserved, struct store_txn **t_out, struct base_err *err)
{
    return unless_cancelled(j, begin(j, reserved ? STORE_TXN_RESERVED : 0, t_out, err), t_out);
}

void job_advance(struct job *j)
{
    struct change_record *r = &j->rec;

    if (!plan_is_last(r)) {
        r->step = plan_at_or_after(r, r->step + 1);
        return;
    }
    enum instar_change_state to = INSTAR_CHANGE_DONE;
    if (r->state == INSTAR_CHANGE_REVERTING) {
        to = r->error == INSTAR_ECANCELLED ? INSTAR_CHANGE_CANCELLED : INSTAR_CHANGE_FAILED;
    }
    record_move(r, to, 0);
    r->finished_us = os_realtime_us();
    if (to == INSTAR_CHANGE_DONE && r->keeps) {
        r->undo_until_us = r->finished_us + (int64_t)(r->undo_window_s * US_PER_S);
    }
    r->owner.nonce = 0;
    r->owner.pid = 0;
}

void job_committed(struct job *j, uint64_t lsn)
{
    j->lsn = lsn > j->lsn ? lsn : j->lsn;
    j->wait_began_ns = 0;
    store_event_bump(j->store, STORE_EVENT_CHANGE);
}

int job_commit(struct job *j, struct store_txn *t, struct base_err *err)
{
    uint64_t lsn = 0;
    int rc = record_put(t, &j->rec, err);

    if (rc != 0) {
        store_txn_abort(t);
        return rc;
    }
    rc = store_txn_commit(t, NULL, &lsn, err);
    if (rc == 0) {
        job_committed(j, lsn);
    }
    return rc;
}

/* ---- waiting ------------------------------------------------------------------------------ */

int job_poll(void *job, struct base_err *err)
{
    struct job *j = job;
    struct change_record found = {0};
    struct store_txn *t;

    if (atomic_load_explicit(&j->c->stop, memory_order_relaxed)) {
        return JOB_QUIT;
    }
    uint32_t seen = store_event_seen(j->store, STORE_EVENT_CHANGE);
    if (seen == j->event_seen) {
        return 0;
    }
    int rc = store_txn_begin(j->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);
    if (rc != 0) {
        return base_error_class(rc) == INSTAR_CLASS_RETRY ? 0 : rc;
    }
    rc = record_get(t, j->id, STORE_READ_UNTRACKED, &found, err);
    store_txn_abort(t);
    if (rc == 0) {
        j->event_seen = seen;
        if (record_ended(&found) || !record_owned_by(&found, &j->owner)) {
            rc = JOB_QUIT;
        } else if (found.cancel && plan_may_revert(&found)) {
            rc = JOB_CANCEL;
        }
        take_steering(j, &found);
    }
    record_free(&found);
    return rc;
}

int job_wait(struct job *j, enum store_event event, uint32_t seen, uint64_t ns,
             struct base_err *err)
{
    int rc = job_poll(j, err);

    if (rc == 0) {
        store_event_wait(j->store, event, seen, ns);
        rc = job_poll(j, err);
    }
    return rc;
}

/* How the applier is to go there: calmly, unless HURRY is set. */
static enum store_urge urge(const struct job *j)
{
    return job_is_steered(j, INSTAR_CHANGE_HURRY) ? STORE_URGE_NOW : STORE_URGE_CALM;
}

int job_wait_applied(struct job *j, struct base_err *err)
{
    int rc = 0;

    while (j->ahead_lsn != j->lsn && store_applied(j->store) < j->lsn) {
        char text[128];
        rc = store_wait_applied(j->store, j->lsn, urge(j), os_now_ns() + APPLIED_TURN_NS, err);
        if (rc != 0 && rc != INSTAR_EBUSY) {
            break;
        }
        snprintf(text, sizeof(text), "the applier, at log position %llu of %llu",
                 (unsigned long long)store_applied(j->store), (unsigned long long)j->lsn);
        job_show_waiting(j, rc == 0 ? "" : text);
        rc = job_poll(j, err);
        if (rc != 0) {
            break;
        }
    }
    job_show_waiting(j, "");
    return rc;
}

/* ---- the rate on request ------------------------------------------------------------------ */

uint64_t job_rate(const struct job *j)
{
    uint64_t rows = atomic_load_explicit(&j->rows_per_second_max, memory_order_relaxed);
    uint64_t bytes = atomic_load_explicit(&j->bytes_per_second_max, memory_order_relaxed);
    uint64_t row_bytes = atomic_load_explicit(&j->row_bytes, memory_order_relaxed);

    if (bytes == 0 || row_bytes == 0) {
        return rows;
    }
    uint64_t by_bytes = bytes < row_bytes ? 1 : bytes / row_bytes;
    return rows == 0 || by_bytes < rows ? by_bytes : rows;
}

void job_set_row_bytes(struct job *j, const struct store_tree_stat *stat)
{
    uint64_t bytes = stat->entries == 0 ? 0 : stat->bytes / stat->entries;

    atomic_store_explicit(&j->row_bytes, bytes, memory_order_relaxed);
}

/* ---- standing back ------------------------------------------------------------------------ */

/* How long commits take, where that is more than the target; else 0. */
static uint64_t too_slow_ns(struct job *j)
{
    uint64_t target = atomic_load_explicit(&j->latency_target_ms, memory_order_relaxed);
    uint64_t latency = target != 0 ? store_commit_latency_ns(j->store) : 0;

    return latency > target * NS_PER_MS ? latency : 0;
}

uint64_t job_keep_target(struct job *j, struct job_breath *b)
{
    if (too_slow_ns(j) != 0 && !job_is_steered(j, INSTAR_CHANGE_HURRY)) {
        b->pause_ns = b->pause_ns == 0 ? NS_PER_MS : b->pause_ns * 2;
        b->pause_ns = b->pause_ns < TARGET_PAUSE_MAX_NS ? b->pause_ns : TARGET_PAUSE_MAX_NS;
    } else {
        b->pause_ns = b->pause_ns >= 2 * NS_PER_MS ? b->pause_ns / 2 : 0;
    }
    if (b->pause_ns != 0 && !atomic_load_explicit(&j->c->stop, memory_order_relaxed)) {
        os_sleep_ns(b->pause_ns);
        b->store.since_ns = os_now_ns(); /* that was no work */
    }
    return b->pause_ns;
}

uint64_t job_breathe(struct job *j, struct job_breath *b)
{
    uint64_t slept =
        job_is_steered(j, INSTAR_CHANGE_HURRY) ? 0 : store_breathe(j->store, &b->store);

    return slept + job_keep_target(j, b);
}

void job_show_throttle(struct job *j, bool stood_back)
{
    char *text = j->live.throttle;
    size_t size = sizeof(j->live.throttle);
    uint64_t rate = job_rate(j);
    uint64_t latency = too_slow_ns(j);

    text[0] = '\0';
    if (latency != 0 && !job_is_steered(j, INSTAR_CHANGE_HURRY)) {
        snprintf(text, size, "commits take %.1f ms, the target is %u ms",
                 (double)latency / NS_PER_MS, (unsigned)atomic_load(&j->latency_target_ms));
    } else if (rate != 0) {
        bool rows = rate == atomic_load(&j->rows_per_second_max);
        snprintf(text, size, "limited to %llu %s/s on request",
                 (unsigned long long)(rows ? rate : atomic_load(&j->bytes_per_second_max)),
                 rows ? "rows" : "bytes");
    } else if (stood_back) {
        snprintf(text, size, "standing back for commits");
    }
}

/* ---- what people see ---------------------------------------------------------------------- */

static void show(struct job *j)
{
    live_write(j->store, j->slot, j->id, &j->live);
}

void job_show_stage(struct job *j, const char *stage)
{
    struct live *l = &j->live;

    if (strcmp(l->stage, stage) == 0) {
        return;
    }
    *l = (struct live){.eta_ms = UINT64_MAX, .retries = j->retries};
    snprintf(l->trouble, sizeof(l->trouble), "%.*s", (int)sizeof(l->trouble) - 1, j->trouble);
    snprintf(l->stage, sizeof(l->stage), "%s", stage);
    j->rate_at_ns = 0;
    show(j);
}

void job_show_rows(struct job *j, uint64_t done, uint64_t total)
{
    struct live *l = &j->live;
    uint64_t now = os_now_ns();

    if (j->rate_at_ns == 0) {
        j->rate_at_ns = now;
        j->rate_rows = done;
    } else if (now - j->rate_at_ns >= RATE_WINDOW_NS) {
        uint64_t rows = done > j->rate_rows ? done - j->rate_rows : 0;
        uint64_t rate = (uint64_t)((double)rows * NS_PER_S / (double)(now - j->rate_at_ns));
        l->rows_per_second = l->rows_per_second == 0 ? rate : (l->rows_per_second * 3 + rate) / 4;
        j->rate_at_ns = now;
        j->rate_rows = done;
    }
    l->rows_done = done > l->rows_done ? done : l->rows_done;
    total = total > l->rows_done ? total : l->rows_done;
    l->rows_total = total > l->rows_total ? total : l->rows_total;
    l->eta_ms = l->rows_per_second == 0
                    ? UINT64_MAX
                    : (l->rows_total - l->rows_done) * 1000u / l->rows_per_second;
    show(j);
}

void job_show_waiting(struct job *j, const char *text)
{
    if (strcmp(j->live.waiting_for, text) != 0) {
        snprintf(j->live.waiting_for, sizeof(j->live.waiting_for), "%s", text);
        show(j);
    }
}

/* ---- the loop ----------------------------------------------------------------------------- */

/* Read the record before a step; begin it only when nobody wants it to wait. */
static int look(struct job *j, struct base_err *err)
{
    struct store_txn *t;
    int rc = atomic_load(&j->c->stop) ? JOB_QUIT : job_begin(j, &t, err);

    if (rc != 0) {
        return rc;
    }
    store_txn_abort(t);
    job_show_stage(j, plan_stage_name(&j->rec));
    rc = job_stand_still(j, err);
    if (rc == 0 && plan_is_brink(&j->rec) && job_is_steered(j, INSTAR_CHANGE_HOLD)) {
        rc = stand_still(j, INSTAR_CHANGE_HOLD | INSTAR_CHANGE_PAUSE, err);
    }
    return rc;
}

/* Counts what is tried again, and keeps why. */
static void note_retry(struct job *j, const struct base_err *err)
{
    struct base_slice words = base_slice(err->text, strlen(err->text));

    j->retries++;
    j->live.retries = j->retries;
    record_cut(words, j->trouble, sizeof(j->trouble));
    record_cut(words, j->live.trouble, sizeof(j->live.trouble));
    show(j);
}

/* What to do after a step that failed. 0: try again, after a while. */
static int after_failure(struct job *j, int code, uint64_t *backoff_ns, struct base_err *err)
{
    bool again = base_error_class(code) == INSTAR_CLASS_RETRY || code == INSTAR_ECOMMIT_UNKNOWN;

    if (code == INSTAR_ESTOPPED) {
        return JOB_QUIT; /* nothing can be written; whoever opens the store next goes on */
    }
    if (!again) {
        struct base_err turn = {0};
        int rc = step_turn_back(j, code, err->text, &turn);
        if (rc >= 0) {
            return rc;
        }
        if (rc != INSTAR_ESTATE) {
            code = rc;
            *err = turn;
        }
    }
    note_retry(j, err);
    if (code != INSTAR_ECONFLICT) {
        char text[256];
        snprintf(text, sizeof(text), "%.200s (tried again)", err->text);
        job_show_waiting(j, text);
    }
    uint32_t seen = store_event_seen(j->store, STORE_EVENT_LEASE);
    int rc = job_wait(j, STORE_EVENT_LEASE, seen, *backoff_ns, err);
    *backoff_ns = *backoff_ns * 2 < BACKOFF_MAX_NS ? *backoff_ns * 2 : BACKOFF_MAX_NS;
    job_show_waiting(j, "");
    return rc == JOB_CANCEL ? 0 : rc; /* the next round meets it in the record */
}

static void run(struct job *j)
{
    struct base_err err = {0};
    uint64_t backoff_ns = BACKOFF_FIRST_NS;
    int rc = 0;

    while (rc == 0) {
        base_err_clear(&err);
        rc = look(j, &err);
        if (rc == 0) {
            rc = step_run(j, &err);
        }
        if (rc == JOB_CANCEL) {
            rc = step_turn_back(j, INSTAR_ECANCELLED, NULL, &err);
        }
        rc = rc == JOB_AGAIN ? 0 : rc;
        if (rc == 0) {
            backoff_ns = BACKOFF_FIRST_NS;
        } else if (rc < 0) {
            rc = after_failure(j, rc, &backoff_ns, &err);
            /* An error of waiting itself is met again by the next round. */
            rc = rc < 0 ? 0 : rc;
        }
    }
    if (rc == JOB_ENDED) {
        live_close(j->store, j->slot, j->id);
    }
}

void *job_main(void *arg)
{
    struct job *j = arg;

    j->slot = live_open(j->store, j->id, &j->live);
    j->live.waiting_for[0] = '\0'; /* of whoever had it before, or could not have it */
    run(j);
    record_free(&j->rec);
    base_buf_free(&j->failure);
    atomic_store(&j->ended, true);
    store_event_bump(j->store, STORE_EVENT_CHANGE);
    return NULL;
}
