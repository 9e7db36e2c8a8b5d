/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The applier: a thread in every process, of which one at a time holds the role and folds the log
 * into the trees. The role is a robust lock, so a dead holder's is free at once; the others look
 * for it ten times a second.
 *
 * What it does, the first that applies:
 *   1. somebody waits for a position (urge): fold up to what is durable, after a flush if need be
 *   2. as many segments are full as are folded together: fold them
 *   3. something is pending and nothing was committed for a second: fold it, so that reads need not
 * merge
 *   4. a dropped tree is to be emptied, or its name removed
 *   5. every ten seconds: free what killed readers hold
 * Where commits are about to wait for it, 4 and 5 have a tenth of its time.
 *
 * What it does not: wait for readers. LMDB's own versions protect them.
 *
 * A full disk or map stops folding, not reading; the reason is put where waiting commits see it,
 * and it is tried again. After an I/O failure, or at a record that is damaged, the store is
 * poisoned and the applier stands still.
 */
#include "store/apply_impl.h"

#include "store/admit.h"
#include "store/control.h"
#include "store/log.h"

#include <errno.h>

#define ROLE_POLL_NS ((uint64_t)100000000)
#define IDLE_POLL_NS ((uint64_t)100000000)
#define IDLE_FOLD_NS ((uint64_t)1000000000)
#define RETRY_NS ((uint64_t)200000000)
#define READER_CHECK_NS ((uint64_t)10000000000)
#define TRIM_NS ((uint64_t)10000000000)
#define CLOSE_LIMIT_NS ((uint64_t)10000000000)
#define CARE_SHARE 10

struct applier {
    struct store *s;
    struct os_thread thread;
    struct os_plain_mutex lock; /* for the sleep without the role */
    struct os_cond wake;
    struct fold fold;
    struct trees_mark mark; /* nobody else moves it while we have the role */
    uint64_t seen_tail;
    uint64_t quiet_since_ns; /* the tail has stood at seen_tail */
    uint64_t purge_ns;       /* when to purge next; UINT64_MAX: nothing to purge */
    uint64_t readers_ns;     /* when to look for dead readers next */
    uint64_t care_ns;        /* where folding is behind: when there is time for both */
    uint64_t trim_ns;        /* when to close handles of removed trees next */
    uint64_t waits_ns;       /* after a failure: when to try again */
    int error;
};

/* ---- folding ------------------------------------------------------------------------------- */

static int retire(struct applier *a, struct base_err *err)
{
    uint64_t folded;
    int rc = trees_older_lo(a->s, &folded, err);
    if (rc == 0) {
        segment_retire(a->s, folded);
    }
    return rc;
}

/* The disk is full. A commit of nothing but the position leaves both metas with it: then the log
 * that was folded last is not needed any more, and its segments are room for the next fold. */
static int give_log_back(struct applier *a, struct base_err *err)
{
    struct trees_write *w;
    int rc = gate_enter(a->s, "give back folded log", trees_deadline(a->s), err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_write_begin(a->s->trees, false, &w, err);
    rc = rc == 0 ? trees_write_commit(w, err) : rc;
    gate_leave(a->s);
    return rc == 0 ? retire(a, err) : rc;
}

/* Fold one part of the log, at most up to limit. */
static int fold_some(struct applier *a, uint64_t limit, bool small, struct base_err *err)
{
    struct fold *f = &a->fold;
    int rc = fold_collect(f, a->s, &a->mark, limit, err);
    if (rc != 0 || f->to == f->from) {
        fold_done(f);
        return rc;
    }
    if (f->has_tree_op) {
        bool purge = false;
        rc = treeop_apply(f, &a->mark, &purge, err);
        if (purge) {
            a->purge_ns = 0;
        }
    } else {
        rc = fold_apply(f, small, &a->mark, err);
    }
    fold_done(f);
    if (rc == 0) {
        rc = room_look(a->s, err);
    }
    return rc == 0 ? retire(a, err) : rc;
}

/* How far to fold now; at most lo: not at all. */
static uint64_t wanted(struct applier *a, uint64_t now, struct base_err *err)
{
    struct store *s = a->s;
    uint64_t urged = applier_urged(s, STORE_URGE_CALM);
    uint64_t tail = store_tail(s);
    if (tail != a->seen_tail) {
        a->seen_tail = tail;
        a->quiet_since_ns = now;
    }
    if (urged > a->mark.lo && store_durable(s) < urged && store_durable(s) < tail) {
        (void)flush_to(s, urged < tail ? urged : tail, trees_deadline(s), false, err);
    }
    uint64_t durable = store_durable(s);
    uint64_t first = segment_base(a->mark.lo, s->segment_bytes);
    bool full = durable >= first + fold_segments(s) * s->segment_bytes;
    bool idle = now - a->quiet_since_ns >= IDLE_FOLD_NS;
    return urged > a->mark.lo || full || idle ? durable : 0;
}

/* ---- failures ------------------------------------------------------------------------------ */

static void note_failure(struct applier *a, int rc, const struct base_err *err, uint64_t now)
{
    a->waits_ns = now + RETRY_NS;
    if (rc == INSTAR_ECORRUPT) {
        store_poison_damaged(a->s, err->text);
    }
    if (rc != INSTAR_EBUSY && rc != INSTAR_ESTOPPED && a->error != rc) {
        a->error = rc;
        applier_set_error(a->s, rc);
    }
}

static void note_success(struct applier *a)
{
    if (a->error != 0) {
        a->error = 0;
        applier_set_error(a->s, 0);
    }
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* Other work than folding, when it is due. */
static int care(struct applier *a, uint64_t wait_ns, struct base_err *err)
{
    uint64_t now = os_now_ns();
    int rc = 0;
    if (now >= a->readers_ns) {
        a->readers_ns = now + READER_CHECK_NS;
        atomic_store(&a->s->ctl->reader_check_ns, now);
        trees_reap_readers(a->s);
    }
    if (now >= a->purge_ns) {
        uint64_t again_ns;
        rc = purge_step(a->s, wait_ns, &again_ns, err);
        a->purge_ns = again_ns < UINT64_MAX - now ? now + again_ns : UINT64_MAX;
    }
    uint64_t ended = os_now_ns();
    a->care_ns = ended + (ended - now) * (CARE_SHARE - 1);
    return rc;
}

/* One step of work with the role. False: there was nothing to do. */
static bool step(struct applier *a)
{
    struct base_err err = {0};
    uint64_t now = os_now_ns();
    if (now < a->waits_ns || store_poisoned(a->s, &err) != 0) {
        return false;
    }
    uint64_t lo = a->mark.lo;
    uint64_t limit = wanted(a, now, &err);
    int rc = fold_behind(a->s, lo) && now < a->care_ns ? 0 : care(a, 0, &err);
    if (rc == 0 && limit > lo) {
        rc = fold_some(a, limit, false, &err);
        if (rc == INSTAR_EMAPFULL || rc == INSTAR_ENOSPACE || rc == INSTAR_ESLOTS) {
            /* What dropped trees and killed readers keep may be enough, or a smaller fold. */
            atomic_store(&a->s->room_is_short, rc != INSTAR_ESLOTS); /* until the next look */
            a->purge_ns = 0;
            a->readers_ns = 0;
            if (rc == INSTAR_ESLOTS) {
                trees_handles_trim(a->s, TREES_TRIM_WAIT_NS);
            }
            rc = rc == INSTAR_ENOSPACE ? give_log_back(a, &err) : 0;
            rc = rc == 0 ? care(a, TREES_TRIM_WAIT_NS, &err) : rc;
            rc = rc == 0 ? fold_some(a, limit, true, &err) : rc;
        }
    }
    if (rc != 0 || limit <= lo) {
        admit_all(a->s);
    }
    if (rc != 0) {
        note_failure(a, rc, &err, now);
        return false;
    }
    if (limit > lo) {
        note_success(a);
    }
    return a->mark.lo > lo || a->purge_ns <= now;
}

/* The position as of LMDB's last commit, read in a write transaction: a holder that was killed just
 * after that commit has left it unseen by readers, and it is the next writer who uncovers it. */
static int load_mark(struct applier *a, struct base_err *err)
{
    struct trees_write *w;
    int rc = gate_enter(a->s, "take over the applier's role", trees_deadline(a->s), err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_write_begin(a->s->trees, false, &w, err);
    if (rc == 0) {
        a->mark = *trees_write_mark(w);
        trees_write_abort(w);
    }
    gate_leave(a->s);
    return rc;
}

/* Take over: what the last holder committed may not have reached `control`. */
static int take_over(struct applier *a, struct base_err *err)
{
    int rc = load_mark(a, err);
    if (rc != 0) {
        return rc;
    }
    control_set_applied(a->s, a->mark.lo);
    a->seen_tail = 0;
    a->error = 0;
    a->waits_ns = 0;
    a->purge_ns = 0;
    a->readers_ns = 0;
    return retire(a, err);
}

static bool role_take(struct applier *a)
{
    struct store_control *ctl = a->s->ctl;
    struct base_err err = {0};
    int rc = control_lock_take(a->s, &ctl->applier, "apply the log", 0);
    if (rc == -EOWNERDEAD) {
        rc = os_mutex_consistent(&ctl->applier.mutex); /* LMDB has the state */
    }
    if (rc != 0) {
        return false;
    }
    if (take_over(a, &err) != 0) {
        control_lock_leave(&ctl->applier);
        return false;
    }
    return true;
}

/* The last process leaves everything folded, so that the next open has nothing to read. */
static void fold_before_close(struct applier *a)
{
    struct store_node nodes[2];
    uint64_t limit_ns = os_now_ns() + CLOSE_LIMIT_NS;
    if (store_node_list(a->s, nodes, BASE_ARRAY_LEN(nodes)) > 1) {
        return;
    }
    struct base_err err = {0};
    int rc = 0;
    while (rc == 0 && a->mark.lo < store_durable(a->s) && os_now_ns() < limit_ns &&
           store_poisoned(a->s, &err) == 0) {
        uint64_t lo = a->mark.lo;
        rc = fold_some(a, store_durable(a->s), false, &err);
        if (a->mark.lo == lo) {
            break;
        }
    }
}

static void sleep_without_role(struct applier *a)
{
    os_plain_lock(&a->lock);
    if (!atomic_load(&a->s->closing)) {
        os_cond_wait(&a->wake, &a->lock, ROLE_POLL_NS);
    }
    os_plain_unlock(&a->lock);
}

/* Handles of trees that other processes have removed: with or without the role. */
static void trim(struct applier *a)
{
    uint64_t now = os_now_ns();
    if (now >= a->trim_ns) {
        a->trim_ns = now + TRIM_NS;
        trees_handles_trim(a->s, 0);
    }
}

static void *run(void *arg)
{
    struct applier *a = arg;
    struct store *s = a->s;
    bool role = false;
    for (;;) {
        uint32_t seen = atomic_load(&s->ctl->urge.seen);
        role = role || role_take(a);
        trim(a);
        if (atomic_load(&s->closing)) {
            break;
        }
        if (!role) {
            sleep_without_role(a);
        } else if (!step(a)) {
            control_sleep(&s->ctl->urge, seen, UINT64_MAX, IDLE_POLL_NS);
        }
    }
    if (role) {
        fold_before_close(a);
        control_lock_leave(&s->ctl->applier);
    }
    return NULL;
}

int applier_start(struct store *s, struct base_err *err)
{
    struct applier *a = base_alloc_zero(1, sizeof *a);
    if (a == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for the applier");
    }
    a->s = s;
    os_plain_init(&a->lock);
    os_cond_init(&a->wake);
    int rc = os_thread_start(&a->thread, "instar-apply", run, a);
    if (rc != 0) {
        os_cond_destroy(&a->wake);
        os_plain_destroy(&a->lock);
        base_free(a);
        return base_err_errno(err, -rc, "start of the applier's thread");
    }
    s->applier = a;
    return 0;
}

/* s->closing is set. */
void applier_stop(struct store *s)
{
    struct applier *a = s->applier;
    if (a == NULL) {
        return;
    }
    base_assert(atomic_load(&s->closing));
    os_plain_lock(&a->lock);
    os_cond_wake_all(&a->wake);
    os_plain_unlock(&a->lock);
    control_wake(&s->ctl->urge);
    os_thread_join(&a->thread);
    fold_free(&a->fold);
    os_cond_destroy(&a->wake);
    os_plain_destroy(&a->lock);
    base_free(a);
    s->applier = NULL;
}
