/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at changes: the record says what is true, the live slot what is going on just now. */
#include "change/runner_impl.h"

#include <stdio.h>
#include <string.h>

/* A waiter is woken by each step. It looks again now and then all the same: a runner that is killed
 * between its commit and the wake-up wakes nobody. */
#define LOOK_AGAIN_NS 250000000u

static void fill_live(struct store *s, const struct change_record *r, instar_change_info *info)
{
    struct live live;

    info->eta_ms = UINT64_MAX;
    info->rows_done = r->rows;
    info->rows_total = r->rows;
    if (record_ended(r) || !live_read(s, r->id, &live)) {
        return;
    }
    info->rows_done = live.rows_done;
    info->rows_total = live.rows_total;
    info->rows_per_second = live.rows_per_second;
    info->eta_ms = live.eta_ms;
    info->delta_backlog = live.delta_backlog;
    info->retries = live.retries;
    snprintf(info->last_error, sizeof(info->last_error), "%s", live.trouble);
    memcpy(info->waiting_for, live.waiting_for, sizeof(live.waiting_for));
    memcpy(info->throttle, live.throttle, sizeof(live.throttle));
    /* Within the build there are finer stages than the record has. */
    if (r->state == INSTAR_CHANGE_RUNNING && plan_step(r)->work == WORK_BUILD &&
        live.stage[0] != 0) {
        memcpy(info->stage, live.stage, sizeof(live.stage));
    }
}

/* Processes that work with a version before what the change has made. A change that is about
 * several tables has published all of them together. */
static uint32_t behind(struct changes *c, struct store_txn *t, const struct change_record *r)
{
    if (r->state != INSTAR_CHANGE_DONE) {
        return 0;
    }
    uint32_t count = lease_nodes_below(c->env->leases, r->table, r->version);
    for (uint32_t i = 0; r->kind == CHANGE_SEVERAL && i < r->other_count; i++) {
        struct catalog_table *table = NULL;
        if (catalog_get_table(t, r->others[i].table, &table, NULL) == 0) {
            uint32_t more = lease_nodes_below(c->env->leases, table->id, table->version);
            count = more > count ? more : count;
        }
        catalog_table_free(table);
    }
    return count;
}

/* t: in which the record was read. */
static void fill(struct changes *c, struct store_txn *t, const struct change_record *r,
                 instar_change_info *info)
{
    struct store *s = c->store;

    memset(info, 0, sizeof(*info));
    info->id = r->id;
    info->state = r->state;
    info->flags = r->flags;
    if (!record_ended(r)) {
        info->step = plan_rank(r, &info->steps);
    }
    info->error = r->error;
    info->duplicate_count = r->duplicate_count;
    info->submitted_us = r->submitted_us;
    info->finished_us = r->finished_us;
    info->estimated_ms = r->estimated_ms;
    info->undo_until_us = record_is_kept(r) ? r->undo_until_us : 0;
    info->taken_by = r->taken_by != r->id ? r->taken_by : 0;
    if (r->owner.nonce != 0 && store_node_alive(s, r->owner.node, r->owner.nonce)) {
        info->owner_pid = r->owner.pid;
        info->owner_node = r->owner.node;
    }
    snprintf(info->kind, sizeof(info->kind), "%s", plan_kind_name(r->kind));
    snprintf(info->table, sizeof(info->table), "%s", r->table_name);
    snprintf(info->object, sizeof(info->object), "%s", r->object);
    snprintf(info->stage, sizeof(info->stage), "%s", plan_stage_name(r));
    _Static_assert(sizeof(info->statement) == sizeof(r->statement), "copied whole");
    _Static_assert(sizeof(info->reason) == sizeof(r->reason), "copied whole");
    memcpy(info->statement, r->statement, sizeof(info->statement));
    memcpy(info->reason, r->reason, sizeof(info->reason));
    info->retries = r->retries;
    info->asked_node = r->asker.node;
    info->asked_pid = r->asker.pid;
    info->asked_uid = r->asker.uid;
    info->behind = behind(c, t, r);
    snprintf(info->asked_by, sizeof(info->asked_by), "%s", r->asker.program);
    snprintf(info->last_error, sizeof(info->last_error), "%s", r->trouble);
    fill_live(s, r, info);
}

/* info_out may be NULL. */
static int read_record(struct changes *c, uint64_t id, struct change_record *r,
                       instar_change_info *info_out, struct base_err *err)
{
    struct store_txn *t;
    int rc = store_txn_begin(c->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);

    *r = (struct change_record){0};
    if (rc == 0) {
        rc = record_get(t, id, STORE_READ_UNTRACKED, r, err);
        if (rc == 0 && info_out != NULL) {
            fill(c, t, r, info_out);
        }
        store_txn_abort(t);
    }
    return rc;
}

int change_get(struct changes *c, uint64_t id, instar_change_info *info_out, struct base_err *err)
{
    struct change_record r;
    int rc = read_record(c, id, &r, info_out, err);

    record_free(&r);
    return rc;
}

int change_get_failure(struct changes *c, uint64_t id,
                       int (*fn)(void *arg, const instar_change_failure *failure), void *arg,
                       struct base_err *err)
{
    struct change_record r;
    struct base_arena arena = {0};
    instar_change_failure failure;
    int rc = read_record(c, id, &r, NULL, err);

    if (rc == 0 &&
        (r.state == INSTAR_CHANGE_DONE || r.error == 0 || r.error == INSTAR_ECANCELLED)) {
        rc = base_err_set(err, INSTAR_ESTATE, "change %llu has not failed", (unsigned long long)id);
    }
    rc = rc == 0 ? failure_get(&r, &arena, &failure, err) : rc;
    rc = rc == 0 ? fn(arg, &failure) : rc;
    base_arena_free(&arena);
    record_free(&r);
    return rc;
}

struct listing {
    struct changes *c;
    struct store_txn *t;
    int (*fn)(void *arg, const instar_change_info *info);
    void *arg;
};

static int list_one(void *arg, const struct change_record *r)
{
    const struct listing *l = arg;
    instar_change_info info;

    fill(l->c, l->t, r, &info);
    return l->fn(l->arg, &info);
}

int change_list(struct changes *c, int (*fn)(void *arg, const instar_change_info *info), void *arg,
                struct base_err *err)
{
    struct listing l = {.c = c, .fn = fn, .arg = arg};
    int rc = store_txn_begin(c->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &l.t, err);

    if (rc == 0) {
        rc = record_list(l.t, false, list_one, &l, err);
        store_txn_abort(l.t);
    }
    return rc;
}

static int verdict(const instar_change_info *info, struct base_err *err)
{
    unsigned long long id = info->id;

    switch (info->state) {
    case INSTAR_CHANGE_FAILED:
        return base_err_set(err, INSTAR_EFAILED, "change %llu failed: %s", id, info->reason);
    case INSTAR_CHANGE_CANCELLED:
        return base_err_set(err, INSTAR_ECANCELLED, "change %llu: %s", id, info->reason);
    case INSTAR_CHANGE_DONE:
        return 0;
    case INSTAR_CHANGE_RUNNING:
    case INSTAR_CHANGE_REVERTING:
        break;
    }
    return INSTAR_EBUSY;
}

/* How things stand: EBUSY when there is something left to wait for. */
static int look_at(struct changes *c, uint64_t id, const char *enough, instar_change_info *info_out,
                   struct base_err *err)
{
    struct change_record r;
    int rc = read_record(c, id, &r, info_out, err);

    if (rc == INSTAR_ESLOTS) {
        rc = INSTAR_EBUSY; /* no snapshot to be had just now */
    }
    if (rc == 0) {
        rc = verdict(info_out, err);
    }
    if (rc == INSTAR_EBUSY && info_out->state == INSTAR_CHANGE_RUNNING && enough != NULL) {
        int reached = plan_has_reached(&r, enough);
        if (reached < 0) {
            rc = base_err_set(err, INSTAR_EINVALID, "change %llu (%s) has no stage \"%s\"",
                              (unsigned long long)id, info_out->kind, enough);
        } else if (reached > 0) {
            rc = 0;
        }
    }
    record_free(&r);
    return rc;
}

/* Id 0 is what a submission gives when there was nothing to do: done at once. */
int change_wait(struct changes *c, uint64_t id, const char *stage, uint64_t deadline_ns,
                instar_change_info *info_out, struct base_err *err)
{
    if (id == 0) {
        memset(info_out, 0, sizeof(*info_out));
        info_out->state = INSTAR_CHANGE_DONE;
        return 0;
    }
    for (;;) {
        uint32_t seen = store_event_seen(c->store, STORE_EVENT_CHANGE);
        int rc = look_at(c, id, stage, info_out, err);
        if (rc != INSTAR_EBUSY) {
            return rc;
        }
        rc = store_poisoned(c->store, err);
        if (rc != 0) {
            base_err_prefix(err, "change %llu does not end", (unsigned long long)id);
            return rc;
        }
        uint64_t now = os_now_ns();
        if (now >= deadline_ns) {
            return base_err_set(err, INSTAR_EBUSY, "change %llu goes on, at stage %s%s%s",
                                (unsigned long long)id, info_out->stage,
                                info_out->waiting_for[0] != 0 ? ", waiting for " : "",
                                info_out->waiting_for);
        }
        uint64_t left = deadline_ns - now;
        store_event_wait(c->store, STORE_EVENT_CHANGE, seen,
                         left < LOOK_AGAIN_NS ? left : LOOK_AGAIN_NS);
    }
}

/* ---- for `instar nodes` ------------------------------------------------------------------- */

struct owned {
    struct store_txn *t;
    uint64_t nonce;
    uint32_t count;
};

static int count_owned(void *arg, const struct record_marker *marker)
{
    struct owned *o = arg;
    struct change_record r;

    if (record_get(o->t, marker->id, STORE_READ_UNTRACKED, &r, NULL) == 0) {
        o->count += r.owner.nonce == o->nonce; /* no two nodes have the same, ever */
    }
    record_free(&r);
    return 0;
}

uint32_t change_owned_by(struct changes *c, uint64_t nonce)
{
    struct owned o = {.nonce = nonce};

    if (store_txn_begin(c->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &o.t, NULL) == 0) {
        record_markers(o.t, UINT64_MAX, STORE_READ_UNTRACKED, count_owned, &o, NULL);
        store_txn_abort(o.t);
    }
    return o.count;
}
