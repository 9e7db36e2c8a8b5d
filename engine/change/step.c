/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of each step of a plan, up to the commit that ends it. That commit always holds the
 * change record; where it publishes or proves a drain it goes through lease_publish.
 *
 * Waiting for leases (I-9): a refused publication lists who holds it up. The job shows them, sleeps
 * until a lease is given up or ends, and tries again; when the wait has lasted as long as the
 * request allows, it revokes what is left, or gives up, or waits on, as it was asked to.
 */
#include "change/rekey_impl.h"
#include "change/several_impl.h"
#include "change/undo_impl.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000u
#define LOOK_AGAIN_NS ((uint64_t)NS_PER_S / 2)
#define LISTED_MAX 2

/* ---- waiting for leases ------------------------------------------------------------------- */

static uint64_t fence_at(const struct job *j)
{
    return j->wait_began_ns + (uint64_t)j->rec.fence_after_ms * NS_PER_MS;
}

/* What becomes of those who hold it up when the time is over. */
static uint32_t policy(const struct job *j)
{
    uint32_t asked = j->rec.flags & (INSTAR_CHANGE_KEEP_WAITING | INSTAR_CHANGE_GIVE_UP);

    if (asked == INSTAR_CHANGE_GIVE_UP && !j->may_revert) {
        /* On the way back there is nothing left to give up, and nobody who is in a hurry. */
        return j->rec.state == INSTAR_CHANGE_REVERTING ? INSTAR_CHANGE_KEEP_WAITING : 0;
    }
    return asked;
}

static bool is_overdue(const struct job *j)
{
    return j->wait_began_ns != 0 && os_now_ns() >= fence_at(j);
}

static bool may_fence(const struct job *j)
{
    return policy(j) == 0 && (j->rec.fence_after_ms == 0 || is_overdue(j));
}

static int give_up(struct job *j, struct base_err *err)
{
    char reason[sizeof(j->live.waiting_for) + 64];

    snprintf(reason, sizeof(reason), "gave up after %u ms of waiting for %s", j->rec.fence_after_ms,
             j->live.waiting_for);
    return step_turn_back(j, INSTAR_EBLOCKED, reason, err);
}

static void show_blockers(struct job *j, const struct lease_blockers *b, uint64_t now)
{
    char text[sizeof(j->live.waiting_for)];
    size_t used = 0;
    uint64_t fence = fence_at(j);

    for (size_t i = 0; i < b->count && i < LISTED_MAX; i++) {
        const struct lease_blocker *l = &b->list[i];
        int n = snprintf(text + used, sizeof(text) - used,
                         "%snode %u, process %u, transaction open for %.1f s, lease ends in %.0f s",
                         i == 0 ? "" : "; ", l->node, l->pid, (double)l->transaction_ns / NS_PER_S,
                         (double)l->expires_ns / NS_PER_S);
        used += (size_t)n < sizeof(text) - used ? (size_t)n : sizeof(text) - used - 1;
    }
    if (b->total > LISTED_MAX) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, " and %zu more",
                                 b->total - LISTED_MAX);
    }
    if (used < sizeof(text) && policy(j) == INSTAR_CHANGE_KEEP_WAITING) {
        snprintf(text + used, sizeof(text) - used, "; %s",
                 fence > now ? "it is not fenced" : "overdue, but it is not fenced");
    } else if (used < sizeof(text) && !is_overdue(j)) {
        snprintf(text + used, sizeof(text) - used, "; %s in %.0f s",
                 policy(j) == 0 ? "fenced" : "the change gives up",
                 (double)(fence - now) / NS_PER_S);
    }
    job_show_waiting(j, text);
}

/* A publication was refused. `seen` is the lease event from before it was tried. */
static int wait_leases(struct job *j, const struct lease_blockers *b, uint32_t seen,
                       struct base_err *err)
{
    uint64_t now = os_now_ns();
    uint64_t ns = LOOK_AGAIN_NS;

    if (j->wait_began_ns == 0) {
        j->wait_began_ns = now;
        os_point("change.waiting");
    }
    show_blockers(j, b, now);
    if (policy(j) == INSTAR_CHANGE_GIVE_UP && is_overdue(j)) {
        int rc = give_up(j, err);
        return rc == 0 ? JOB_AGAIN : rc;
    }
    uint64_t fence = fence_at(j);
    if (fence > now && fence - now < ns) {
        ns = fence - now;
    } else if (fence <= now && policy(j) == 0) {
        ns = 0;
    }
    for (size_t i = 0; i < b->count; i++) {
        /* One more millisecond, so that it has really ended then. */
        uint64_t ends = b->list[i].expires_ns + NS_PER_MS;
        ns = ends < ns ? ends : ns;
    }
    int rc = job_wait(j, STORE_EVENT_LEASE, seen, ns, err);
    return rc == 0 ? JOB_AGAIN : rc;
}

/* ---- publications ------------------------------------------------------------------------- */

int step_publish(struct job *j, struct store_txn *t, struct lease_publication *what, uint32_t seen,
                 struct base_err *err)
{
    struct lease_blockers blockers = {0};
    uint64_t lsn = 0;
    int rc = record_put(t, &j->rec, err);

    if (rc != 0) {
        store_txn_abort(t);
        return rc;
    }
    what->fence = may_fence(j);
    rc = lease_publish(j->c->env->leases, t, what, &lsn, &blockers, err);
    if (rc == INSTAR_EBLOCKED) {
        base_err_clear(err);
        return wait_leases(j, &blockers, seen, err);
    }
    if (rc == 0) {
        job_committed(j, lsn);
        job_show_waiting(j, "");
        if (what->descriptor != NULL || what->remove) {
            os_point("change.published");
        }
    }
    return rc;
}

int step_publish_next(struct job *j, struct store_txn *t, const struct catalog_table *next,
                      const struct kin *kin, uint32_t seen, struct base_err *err)
{
    job_advance(j);
    if (next == NULL) {
        return job_commit(j, t, err);
    }
    j->rec.version = next->version;
    return step_publish(j, t,
                        &(struct lease_publication){.table = next->id,
                                                    .descriptor = next,
                                                    .drained_below = next->version - 1,
                                                    .also = kin->also,
                                                    .also_count = kin->also_count},
                        seen, err);
}

int step_finish_early(struct job *j, struct store_txn *t, struct base_err *err)
{
    int rc = name_release(j, t, false, err);

    if (rc == 0 && j->rec.kind == CHANGE_CREATE_TABLE) {
        rc = name_release_uniques(j, t, err);
    }
    if (rc != 0) {
        store_txn_abort(t);
        return rc;
    }
    record_move(&j->rec, INSTAR_CHANGE_DONE, 0);
    j->rec.finished_us = os_realtime_us();
    j->rec.owner.nonce = 0;
    j->rec.owner.pid = 0;
    return job_commit(j, t, err);
}

/* ---- stages of an index ------------------------------------------------------------------- */

static int index_from_record(struct job *j, struct catalog_table *table, struct base_err *err)
{
    struct change_record *r = &j->rec;
    struct record_index wanted;
    struct catalog_index *index;
    int rc = record_index_get(r, &wanted, err);

    wanted.def.table = table->name;
    rc = rc == 0 ? catalog_index_from_def(table, &wanted.def, &index, err) : rc;
    record_index_free(&wanted);
    if (rc == 0) {
        index->tree = r->tree;
        r->index = index->id;
    }
    return rc;
}

/* Edit a private copy into the next version. */
static int edit_stage(struct job *j, const struct plan_step *step, struct catalog_table *table,
                      struct base_err *err)
{
    struct change_record *r = &j->rec;
    int rc = step->work == WORK_ADD_INDEX ? index_from_record(j, table, err) : 0;

    if (rc != 0) {
        return rc;
    }
    struct catalog_index *index = catalog_table_index_by_id(table, r->index);
    if (index == NULL) {
        return base_err_set(err, INSTAR_ECORRUPT, "table %s has no index %u of change %llu",
                            table->name, r->index, (unsigned long long)r->id);
    }
    if (step->work == WORK_REMOVE_INDEX) {
        catalog_index_remove(table, index->name);
    } else {
        index->stage = step->stage;
        index->enforcing = step->enforcing;
        index->change = step->work == WORK_FINISH_INDEX ? 0 : r->id;
    }
    table->version++;
    return catalog_table_finish(table, err);
}

/* What stands in the same commit as the new stage. */
static int beside_stage(struct job *j, struct store_txn *t, const struct plan_step *step,
                        struct base_err *err)
{
    int rc = 0;

    if (step->work == WORK_REMOVE_INDEX) {
        rc = name_release(j, t, false, err);
    } else if (step->work == WORK_FINISH_INDEX) {
        rc = name_release(j, t, true, err);
    } else if (step->work == WORK_ADD_INDEX) {
        rc = store_txn_tree_op(t, STORE_TREE_CREATE, j->rec.tree, err);
        rc = rc == 0 ? name_complete(j, t, err) : rc;
    }
    return rc;
}

/* Does the index that is to be dropped exist? When the drop was asked for while it was being made,
 * its id is only known now. */
static bool find_dropped(struct job *j, const struct catalog_table *table)
{
    const struct catalog_index *index = catalog_table_index(table, j->rec.object);

    if (index == NULL || index->tree != j->rec.tree) {
        return false;
    }
    j->rec.index = index->id;
    return true;
}

static int change_stage(struct job *j, const struct plan_step *step, struct base_err *err)
{
    struct edit e;
    int rc = edit_begin(&e, j, err);

    if (rc == 0) {
        rc = catalog_get_table(e.t, j->rec.table, &e.next, err);
    }
    /* Its table is there: one that was to go before it would have refused it (CHANGE-4). */
    if (rc == 0 && j->rec.kind == CHANGE_DROP_INDEX && j->rec.state == INSTAR_CHANGE_RUNNING &&
        j->rec.step == 0 && !find_dropped(j, e.next)) {
        edit_free(&e);
        return step_finish_early(j, e.t, err);
    }
    bool exists = false;
    if (rc == 0 && j->rec.kind == CHANGE_DROP_INDEX && plan_may_revert(&j->rec)) {
        rc = kin_check_drop_index(e.t, e.next, j->rec.index, err);
    }
    if (rc == 0 && step->work == WORK_ADD_INDEX) {
        rc = name_claim(j, e.t, NULL, &exists, err);
    }
    if (exists) {
        edit_free(&e);
        return step_finish_early(j, e.t, err);
    }
    if (rc == 0) {
        rc = edit_stage(j, step, e.next, err);
    }
    if (rc == 0) {
        rc = beside_stage(j, e.t, step, err);
    }
    return edit_publish(&e, rc, err);
}

/* ---- records that stand on a drain -------------------------------------------------------- */

static int drop_trees(struct job *j, struct store_txn *t, struct base_err *err)
{
    struct catalog_table *table;

    if (j->rec.kind == CHANGE_COMPOUND) {
        return compound_tree_ops(&j->rec, t, STORE_TREE_DROP, err);
    }
    if (j->rec.kind == CHANGE_REKEY) {
        return rekey_tree_ops(&j->rec, t, STORE_TREE_DROP, err);
    }
    if (j->rec.kind != CHANGE_DROP_TABLE && j->rec.kind != CHANGE_PURGE) {
        return store_txn_tree_op(t, STORE_TREE_DROP, j->rec.tree, err);
    }
    int rc = catalog_table_decode(base_buf_slice(&j->rec.descriptor), &table, err);
    if (rc != 0) {
        return rc;
    }
    rc = table_tree_ops(t, table, STORE_TREE_DROP, err);
    catalog_table_free(table);
    return rc;
}

/* For every tree that is built. */
static int build_op(struct job *j, struct store_txn *t, enum store_tree_op op, struct base_err *err)
{
    return j->rec.kind == CHANGE_COMPOUND  ? compound_tree_ops(&j->rec, t, op, err)
           : j->rec.kind == CHANGE_REKEY   ? rekey_tree_ops(&j->rec, t, op, err)
           : j->rec.kind == CHANGE_SEVERAL ? several_tree_ops(&j->rec, t, op, err)
                                           : store_txn_tree_op(t, op, j->rec.tree, err);
}

/* Cut, drain, purge: a commit that proves that nobody writes with a version below the present one.
 */
static int prove(struct job *j, enum change_work work, struct base_err *err)
{
    struct store_txn *t;
    uint32_t seen = store_event_seen(j->store, STORE_EVENT_LEASE);
    int rc = job_begin(j, &t, err);

    if (rc != 0) {
        return rc;
    }
    if (work == WORK_CUT) {
        rc = build_op(j, t, STORE_TREE_BEGIN_BUILD, err);
    } else if (work == WORK_PURGE) {
        rc = drop_trees(j, t, err);
    }
    if (rc != 0) {
        store_txn_abort(t);
        return rc;
    }
    struct kin kin = {.count = 0};
    if (work == WORK_DRAIN) {
        rc = kin_open(&kin, t, &j->rec, err);
        kin_drain(&kin);
    }
    if (rc != 0) {
        store_txn_abort(t);
        kin_close(&kin);
        return rc;
    }
    job_advance(j);
    rc = step_publish(j, t,
                      &(struct lease_publication){.table = j->rec.table,
                                                  .drained_below = j->rec.version,
                                                  .also = kin.also,
                                                  .also_count = kin.also_count},
                      seen, err);
    kin_close(&kin);
    if (rc == 0 && work == WORK_CUT) {
        os_point("change.cut");
    } else if (rc == 0 && work == WORK_PURGE) {
        os_point("change.purged");
    }
    return rc;
}

/* The cuts or fold-ends that were just logged, before the applier's turn comes; or else it executes
 * them, and is waited for. */
static int execute_ahead(struct job *j, enum store_tree_op op, struct base_err *err)
{
    struct store_txn *t;
    int rc = store_txn_begin(j->store, STORE_TXN_BACKGROUND, &t, err);

    if (rc != 0) {
        return rc;
    }
    bool hurry = job_is_steered(j, INSTAR_CHANGE_HURRY);
    rc = build_op(j, t, op, err);
    rc = rc == 0 ? store_txn_execute_ahead(t, j->lsn, hurry, err) : rc;
    store_txn_abort(t);
    j->ahead_lsn = rc == 0 ? j->lsn : 0;
    if (rc == INSTAR_EBUSY || rc == INSTAR_ELIMIT) { /* not now, or too much of it */
        base_err_clear(err);
        rc = 0;
    }
    return rc;
}

/* ---- commits without a proof -------------------------------------------------------------- */

/* The fold-end record, or only the step. */
static int go_on(struct job *j, enum change_work work, struct base_err *err)
{
    struct store_txn *t;
    int rc = job_begin(j, &t, err);

    if (rc != 0) {
        return rc;
    }
    if (work == WORK_BUILD) {
        rc = build_op(j, t, STORE_TREE_FOLD_END, err);
        j->rec.rows = j->rows;
    } else if (work == WORK_NULLS || work == WORK_FILL) {
        j->rec.rows = j->rows;
    } else if (work == WORK_NOTHING && j->rec.kind == CHANGE_REKEY) {
        rc = rekey_names_back(t, &j->rec, err);
    } else if (work == WORK_NOTHING && j->rec.kind == CHANGE_SEVERAL) {
        rc = several_names_back(t, &j->rec, err);
    } else if (work == WORK_NOTHING && j->rec.kind == CHANGE_COMPOUND) {
        rc = compound_names_back(t, &j->rec, err);
    } else if (work == WORK_NOTHING && j->rec.kind == CHANGE_ALTER_TABLE) {
        rc = alter_names_back(t, &j->rec, err);
    } else if (work == WORK_NOTHING && j->rec.kind == CHANGE_UNDO) {
        rc = undo_give_back(j, t, err);
    } else if (work == WORK_NOTHING && j->rec.kind == CHANGE_VACUUM) {
        rc = 0; /* it holds no name */
    } else if (work == WORK_NOTHING) {
        rc = name_release(
            j, t, j->rec.kind == CHANGE_DROP_INDEX || j->rec.kind == CHANGE_DROP_TABLE, err);
        if (rc == 0 && j->rec.kind == CHANGE_CREATE_TABLE) {
            rc = name_release_uniques(j, t, err);
        }
    }
    if (rc != 0) {
        store_txn_abort(t);
        return rc;
    }
    job_advance(j);
    return job_commit(j, t, err);
}

static int fill(struct job *j, struct base_err *err)
{
    int rc = j->rec.kind == CHANGE_SEVERAL ? several_each(j, rekey_fill, false, err)
                                           : rekey_fill(j, err);

    if (rc == 0) {
        rc = go_on(j, WORK_FILL, err);
    }
    return rc;
}

static int build(struct job *j, struct base_err *err)
{
    int rc =
        j->rec.kind == CHANGE_SEVERAL ? several_each(j, build_run, true, err) : build_run(j, err);

    if (rc == 0) {
        rc = go_on(j, WORK_BUILD, err);
    }
    return rc == 0 ? execute_ahead(j, STORE_TREE_FOLD_END, err) : rc;
}

/* Do the rows that are there break what is to hold? Then they were counted. */
static bool is_broken(int code)
{
    return code == INSTAR_EUNIQUE || code == INSTAR_ENOT_NULL || code == INSTAR_ECHECK ||
           code == INSTAR_ERANGE || code == INSTAR_EREFERENCE;
}

static int validate(struct job *j, enum change_work work, struct base_err *err)
{
    base_buf_clear(&j->failure);
    bool several = j->rec.kind == CHANGE_SEVERAL;
    int rc = work == WORK_NULLS ? 0
             : several          ? several_each(j, validate_run, false, err)
                                : validate_run(j, err);

    if (rc == 0 && work != WORK_VALIDATE) {
        rc = several ? several_each(j, nulls_run, false, err) : nulls_run(j, err);
    }

    if (is_broken(rc)) {
        char reason[RECORD_REASON_MAX];
        snprintf(reason, sizeof(reason), "%s", j->rec.reason);
        rc = step_turn_back(j, rc, reason, err);
        return rc == 0 ? JOB_AGAIN : rc;
    }
    if (rc == 0) {
        rc = go_on(j, work, err);
    }
    return rc;
}

static void cancel_reason(const struct change_record *r, char *text, size_t size)
{
    if (r->cancelled_by != 0) {
        snprintf(text, size, "change %llu drops table %s or index %s: this change was cancelled",
                 (unsigned long long)r->cancelled_by, r->table_name, r->object);
    } else {
        /* Whoever asked for it may have left words. */
        char words[RECORD_REASON_MAX];
        snprintf(words, sizeof(words), "%s", r->reason);
        snprintf(text, size, "cancelled on request at stage %s%s%.*s", plan_stage_name(r),
                 words[0] != 0 ? ": " : "", CHANGE_CANCEL_WORDS_MAX, words);
    }
}

int step_turn_back(struct job *j, int code, const char *reason, struct base_err *err)
{
    struct store_txn *t;
    uint64_t duplicates = j->rec.duplicate_count;
    int rc = job_begin_back(j, &t, err);

    if (rc != 0) {
        return rc;
    }
    struct change_record *r = &j->rec;
    if (!plan_may_revert(r)) {
        store_txn_abort(t);
        return INSTAR_ESTATE;
    }
    if (reason == NULL) {
        cancel_reason(r, r->reason, sizeof(r->reason));
    } else {
        snprintf(r->reason, sizeof(r->reason), "%s", reason);
    }
    r->error = code;
    r->duplicate_count = is_broken(code) ? duplicates : 0;
    base_buf_free(&r->failure);
    r->failure = j->failure;
    j->failure = (struct base_buf){0};
    bool building = plan_step(r)->work == WORK_BUILD;
    record_move(r, INSTAR_CHANGE_REVERTING, plan_step(r)->revert);
    rc = job_commit(j, t, err);
    if (rc == 0) {
        os_point("change.turned_back");
        if (building) {
            if (r->kind == CHANGE_REKEY) {
                rekey_forget(j);
            } else if (r->kind == CHANGE_SEVERAL) {
                several_forget(j);
            } else if (r->kind == CHANGE_COMPOUND) {
                compound_forget(j);
            } else {
                build_forget(j->store, r->tree);
            }
        }
    }
    return rc;
}

static int run_undo(struct job *j, enum change_work work, struct base_err *err)
{
    switch (work) {
    case WORK_RESTORE:
        return undo_restore(j, err);
    case WORK_SETTLE:
        return undo_settle(j, err);
    case WORK_KEEP_AGAIN:
        return undo_keep_again(j, err);
    default:
        base_assert(work == WORK_FORGET);
        return undo_forget(j, err);
    }
}

static int run_alter(struct job *j, enum change_work work, struct base_err *err)
{
    switch (work) {
    case WORK_ENFORCE:
        return alter_enforce(j, err);
    case WORK_RELAX:
        return alter_relax(j, err);
    case WORK_ALTER:
        return alter_publish(j, err);
    default:
        base_assert(work == WORK_RETIRE);
        return alter_retire(j, err);
    }
}

static int run_vacuum(struct job *j, enum change_work work, struct base_err *err)
{
    switch (work) {
    case WORK_BEGIN_PASS:
        return vacuum_begin(j, err);
    case WORK_REWRITE:
        return vacuum_rewrite(j, err);
    default:
        base_assert(work == WORK_PRUNE);
        return vacuum_prune(j, err);
    }
}

/* Of what only one kind of change has. */
static int special(struct job *j, enum change_work work, struct base_err *err)
{
    if (work == WORK_FILL) {
        return fill(j, err);
    }
    switch (j->rec.kind) {
    case CHANGE_COMPOUND:
        return compound_publish(j, work, err);
    case CHANGE_SEVERAL:
        return several_publish(j, work, err);
    case CHANGE_UNDO:
    case CHANGE_PURGE:
        return run_undo(j, work, err);
    case CHANGE_VACUUM:
        return run_vacuum(j, work, err);
    default:
        base_assert(j->rec.kind == CHANGE_REKEY);
        return rekey_publish(j, work, err);
    }
}

static void reach(enum plan_point point)
{
    switch (point) {
#define X(name, text)   \
    case POINT_##name:  \
        os_point(text); \
        break;
#include "change/points.def"
#undef X
    default: /* POINT_NONE */
        break;
    }
}

int step_run(struct job *j, struct base_err *err)
{
    const struct plan_step *step = plan_step(&j->rec);
    j->may_revert = plan_may_revert(&j->rec);
    int rc = step->applied ? job_wait_applied(j, err) : 0;

    if (rc != 0) {
        return rc;
    }
    switch (step->work) {
    case WORK_ADD_TABLE:
    case WORK_SHOW_TABLE:
    case WORK_REMOVE_TABLE:
        rc = table_publish(j, step->work, err);
        break;
    case WORK_ADD_INDEX:
    case WORK_STAGE:
    case WORK_FINISH_INDEX:
    case WORK_REMOVE_INDEX:
        rc = change_stage(j, step, err);
        break;
    case WORK_CUT:
    case WORK_DRAIN:
    case WORK_PURGE:
        rc = j->rec.kind == CHANGE_SEVERAL ? several_prove(j, step->work, err)
                                           : prove(j, step->work, err);
        if (rc == 0 && step->work == WORK_CUT) {
            rc = execute_ahead(j, STORE_TREE_BEGIN_BUILD, err);
        }
        break;
    case WORK_BUILD:
        rc = build(j, err);
        break;
    case WORK_VALIDATE:
    case WORK_NULLS:
    case WORK_VALIDATE_ALL:
        rc = validate(j, step->work, err);
        break;
    case WORK_RETIRE:
    case WORK_ENFORCE:
    case WORK_RELAX:
    case WORK_ALTER:
        rc = j->rec.kind == CHANGE_COMPOUND  ? compound_publish(j, step->work, err)
             : j->rec.kind == CHANGE_SEVERAL ? several_publish(j, step->work, err)
                                             : run_alter(j, step->work, err);
        break;
    case WORK_NOTHING:
        rc = go_on(j, step->work, err);
        break;
    default:
        rc = special(j, step->work, err);
        break;
    }
    if (rc == 0) {
        reach(step->point);
    }
    return rc == 0 && record_ended(&j->rec) ? JOB_ENDED : rc;
}
