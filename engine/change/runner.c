/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner: one thread of every process that opens the store (but not with
 * INSTAR_OPEN_NO_RUNNER). It looks for changes that nobody alive is running, claims them, and
 * starts a job for each.
 *
 * A change may be claimed when it has not ended, no earlier one of the same table is left, the one
 * it waits for has ended, and it has no owner or a dead one. All of that is read in the transaction
 * that writes the claim: of two processes that find the same change, one gets a conflict.
 *
 * Woken by the change event; while something is left that others run, it also looks now and then
 * whether they are alive, since a process that was killed wakes nobody.
 */
#include "change/runner_impl.h"

#include "change/undo_impl.h"

#include <string.h>

#define NS_PER_MS 1000000u
#define NS_PER_US 1000u
#define WATCH_NS (200u * NS_PER_MS)
#define REST_NS (5000u * (uint64_t)NS_PER_MS)
#define PRUNE_NS (3600u * 1000u * (uint64_t)NS_PER_MS)
#define TROUBLE_NS (1000u * (uint64_t)NS_PER_MS)

/* ---- who may claim what ------------------------------------------------------------------- */

struct markers {
    struct record_marker *list;
    size_t count;
    size_t room;
};

static int add_marker(void *arg, const struct record_marker *marker)
{
    struct markers *m = arg;

    if (m->count == m->room) {
        size_t room = m->room == 0 ? 16 : m->room * 2;
        struct record_marker *grown = base_realloc(m->list, room * sizeof(*grown));
        if (grown == NULL) {
            return INSTAR_ENOMEM;
        }
        m->list = grown;
        m->room = room;
    }
    m->list[m->count++] = *marker;
    return 0;
}

/* Is the marker at `at` held up by an earlier one? */
static bool queued(const struct markers *m, const struct record_marker *marker, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (record_marker_meet(&m->list[i], marker) || m->list[i].id == marker->after) {
            return true;
        }
    }
    return false;
}

static bool has_job(struct changes *c, uint64_t id)
{
    for (const struct job *j = c->jobs; j != NULL; j = j->next) {
        if (j->id == id) {
            return true;
        }
    }
    return false;
}

/* Nobody runs it, whatever the record says. */
static bool is_orphan(struct changes *c, const struct change_record *r)
{
    if (r->owner.nonce == 0) {
        return true;
    }
    if (r->owner.node == store_node_self(c->store) &&
        r->owner.nonce == store_node_nonce(c->store)) {
        return !has_job(c, r->id);
    }
    return !store_node_alive(c->store, r->owner.node, r->owner.nonce);
}

/* ---- claiming ----------------------------------------------------------------------------- */

/* Write the claim. 0 and *claimed_out false: somebody else has it, or it must wait. */
static int claim(struct changes *c, uint64_t id, struct change_record *record_out,
                 uint64_t *token_out, bool *claimed_out, struct base_err *err)
{
    struct markers m = {0};
    struct store_txn *t;

    *claimed_out = false;
    int rc = store_txn_begin(c->store, STORE_TXN_BACKGROUND | STORE_TXN_LAST_ROOM, &t, err);
    if (rc != 0) {
        return rc;
    }
    rc = record_get(t, id, STORE_READ_NORMAL, record_out, err);
    struct change_record *r = record_out;
    if (rc == 0 && (record_ended(r) || !is_orphan(c, r))) {
        store_txn_abort(t);
        return 0;
    }
    if (rc == 0) {
        rc = record_markers(t, id, STORE_READ_NORMAL, add_marker, &m, err);
    }
    struct record_marker own = record_marker_of(r);
    bool waits = rc == 0 && queued(&m, &own, m.count);
    base_free(m.list);
    if (rc == 0 && !waits) {
        r->owner = (struct change_owner){.node = store_node_self(c->store),
                                         .pid = (uint32_t)os_pid(),
                                         .nonce = store_node_nonce(c->store),
                                         .claim = r->owner.claim + 1};
        rc = record_put(t, r, err);
    }
    if (rc != 0 || waits) {
        store_txn_abort(t);
        return rc;
    }
    rc = store_txn_commit(t, NULL, token_out, err);
    *claimed_out = rc == 0;
    return rc;
}

static int start(struct changes *c, uint64_t id, bool *claimed_out, struct base_err *err)
{
    struct job *j = base_alloc_zero(1, sizeof(*j));

    *claimed_out = false;
    if (j == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "running a change: out of memory");
    }
    *j = (struct job){.c = c, .store = c->store, .id = id, .slot = LIVE_NONE};
    j->event_seen = store_event_seen(c->store, STORE_EVENT_CHANGE);
    int rc = claim(c, id, &j->rec, &j->token, claimed_out, err);
    if (rc != 0 || !*claimed_out) {
        record_free(&j->rec);
        base_free(j);
        return rc;
    }
    os_point("change.claimed");
    store_event_bump(c->store, STORE_EVENT_CHANGE);
    j->owner = j->rec.owner;
    j->lsn = j->token;
    j->retries = j->rec.retries;
    memcpy(j->trouble, j->rec.trouble, sizeof(j->trouble));
    rc = os_thread_start(&j->thread, "instar-change", job_main, j);
    if (rc != 0) {
        /* The record names us, but there is no job: the next round claims it again. */
        record_free(&j->rec);
        base_free(j);
        return base_err_errno(err, rc, "starting a thread for a change");
    }
    j->next = c->jobs;
    c->jobs = j;
    c->job_count++;
    return 0;
}

/* ---- jobs that have ended ----------------------------------------------------------------- */

static void reap_jobs(struct changes *c, bool wait)
{
    struct job **at = &c->jobs;

    while (*at != NULL) {
        struct job *j = *at;
        if (!wait && !atomic_load(&j->ended)) {
            at = &j->next;
            continue;
        }
        os_thread_join(&j->thread);
        *at = j->next;
        c->job_count--;
        base_free(j);
    }
}

/* The process closes: say that nobody runs these, so that others need not find out. */
static void give_up_claims(struct changes *c)
{
    struct markers m = {0};
    struct store_txn *t;

    if (store_txn_begin(c->store, STORE_TXN_BACKGROUND | STORE_TXN_LAST_ROOM, &t, NULL) != 0) {
        return;
    }
    int rc = record_markers(t, UINT64_MAX, STORE_READ_NORMAL, add_marker, &m, NULL);
    for (size_t i = 0; rc == 0 && i < m.count; i++) {
        struct change_record r = {0};
        rc = record_get(t, m.list[i].id, STORE_READ_NORMAL, &r, NULL);
        if (rc == 0 && r.owner.nonce == store_node_nonce(c->store)) { /* no other node has that */
            r.owner.nonce = 0;
            r.owner.pid = 0;
            rc = record_put(t, &r, NULL);
        }
        record_free(&r);
    }
    base_free(m.list);
    if (rc == 0 && store_txn_has_writes(t)) {
        store_txn_commit(t, NULL, NULL, NULL);
    } else {
        store_txn_abort(t);
    }
}

/* ---- looking ------------------------------------------------------------------------------ */

/* A runner that was killed between its last commit and the end of its job has left its slot of live
 * progress. shown: whose the slots were before the markers were read. A slot is taken when the
 * change's marker is durable, so one that has no marker by then has ended. */
static void free_slots(struct changes *c, const uint64_t *shown, size_t slots,
                       const struct markers *m)
{
    for (size_t at = 0; at < slots; at++) {
        bool ended = shown[at] != 0;
        for (size_t i = 0; ended && i < m->count; i++) {
            ended = m->list[i].id != shown[at];
        }
        if (ended) {
            live_close(c->store, at, shown[at]);
        }
    }
}

struct round {
    bool watch;          /* something is left that others run, or that waits */
    bool again;          /* somebody was faster: look again at once */
    struct undo_due due; /* drops whose undo window is over */
};

/* The changes that look free, oldest first. Every process looks five times a second while there is
 * a change, and waits for the disk only where one is free: a claim reads what is durable. */
static int find_orphans(struct changes *c, uint64_t *ids, size_t *count_out, struct round *round,
                        struct base_err *err)
{
    struct markers m = {0};
    struct store_txn *t;
    uint64_t shown[LIVE_SLOTS_MAX];
    size_t slots = live_list(c->store, shown);
    size_t count = 0;
    int rc = store_txn_begin(c->store, STORE_TXN_READONLY, &t, err);

    *count_out = 0;
    if (rc != 0) {
        return rc;
    }
    rc = record_markers(t, UINT64_MAX, STORE_READ_UNTRACKED, add_marker, &m, err);
    if (rc == 0) {
        free_slots(c, shown, slots, &m);
    }
    for (size_t i = 0; rc == 0 && i < m.count; i++) {
        struct change_record r = {0};
        if (has_job(c, m.list[i].id)) {
            continue;
        }
        round->watch = true;
        if (queued(&m, &m.list[i], i) || count == CHANGE_JOBS_MAX) {
            continue;
        }
        /* One that cannot be read is left alone; the others go on. */
        if (record_get(t, m.list[i].id, STORE_READ_UNTRACKED, &r, NULL) == 0 && is_orphan(c, &r)) {
            ids[count++] = m.list[i].id;
        }
        record_free(&r);
    }
    base_free(m.list);
    if (rc == 0) {
        rc = undo_find_due(t, &round->due, err);
    }
    uint64_t lsn = store_txn_lsn(t);
    store_txn_abort(t);
    if (rc == 0 && count > 0) {
        rc = store_flush(c->store, lsn, os_now_ns() + WATCH_NS, err);
    }
    *count_out = count;
    return rc;
}

/* No room on the disk, or no memory: it waits, and whoever asks is told for what. */
static void show_refusal(struct changes *c, uint64_t id, const struct base_err *err)
{
    struct base_slice words = base_slice(err->text, strlen(err->text));
    struct live live;
    size_t slot = live_open(c->store, id, &live);

    live.retries++;
    record_cut(words, live.trouble, sizeof(live.trouble));
    record_cut(words, live.waiting_for, sizeof(live.waiting_for));
    live_write(c->store, slot, id, &live);
}

static int look(struct changes *c, struct round *round)
{
    uint64_t ids[CHANGE_JOBS_MAX];
    size_t count;
    int rc = find_orphans(c, ids, &count, round, NULL);

    for (size_t i = 0; rc == 0 && i < count && c->job_count < CHANGE_JOBS_MAX; i++) {
        struct base_err err = {0};
        bool claimed;
        rc = start(c, ids[i], &claimed, &err);
        if (rc == INSTAR_ECONFLICT) {
            round->again = true;
            rc = 0;
        } else if (rc != 0 && base_error_class(rc) != INSTAR_CLASS_RETRY) {
            show_refusal(c, ids[i], &err);
        }
    }
    return rc;
}

/* What cannot be done now is done in the next round. */
static void purge_due(struct changes *c, const struct round *round)
{
    for (size_t i = 0; i < round->due.count && !atomic_load(&c->stop); i++) {
        (void)undo_submit_purge(c, round->due.ids[i], NULL);
    }
}

static uint64_t rest_until_due(const struct round *round, uint64_t rest_ns)
{
    int64_t left_us = round->due.next_us - round->due.now_us;

    return left_us < (int64_t)(rest_ns / NS_PER_US) ? (uint64_t)left_us * NS_PER_US + NS_PER_MS
                                                    : rest_ns;
}

/* Now and then, and when the store is opened. What cannot be done now is done next time. */
static void forget_old(struct changes *c, uint64_t *next_ns)
{
    uint64_t now = os_now_ns();

    if (now >= *next_ns) {
        (void)history_prune(c, NULL);
        *next_ns = now + PRUNE_NS;
    }
}

static void *runner_main(void *arg)
{
    struct changes *c = arg;
    uint64_t prune_ns = 0;

    while (!atomic_load(&c->stop)) {
        struct round round = {0};
        uint32_t seen = store_event_seen(c->store, STORE_EVENT_CHANGE);
        reap_jobs(c, false);
        store_node_reap(c->store);
        forget_old(c, &prune_ns);
        int rc = look(c, &round);
        uint64_t rest = round.watch ? WATCH_NS : REST_NS;
        if (rc == 0) {
            purge_due(c, &round);
            rest = rest_until_due(&round, rest);
        } else {
            rest = base_error_class(rc) == INSTAR_CLASS_RETRY ? WATCH_NS : TROUBLE_NS;
        }
        if (round.again) {
            rest = NS_PER_MS;
        }
        if (!atomic_load(&c->stop)) {
            store_event_wait(c->store, STORE_EVENT_CHANGE, seen, rest);
        }
    }
    bool any = c->jobs != NULL;
    reap_jobs(c, true);
    if (any) {
        give_up_claims(c);
    }
    return NULL;
}

int runner_start(struct changes *c, struct base_err *err)
{
    int rc = os_thread_start(&c->runner, "instar-runner", runner_main, c);

    return rc == 0 ? 0 : base_err_errno(err, rc, "starting the runner of schema changes");
}

void runner_stop(struct changes *c)
{
    os_thread_join(&c->runner);
}
