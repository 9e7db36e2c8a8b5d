/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renewal: a thread of every node moves the expiry of its grants on, at half of their duration.
 *
 * What is renewed: grants that transactions use, on whichever of the two versions; and idle grants
 * on the latest version that were used within the last duration. What is not: a grant that has
 * expired, if only by a nanosecond, because a publisher may have counted on that (LEASE-7); and an
 * idle one on the second-latest version, which nobody will want again.
 *
 * The clock is read under the mutex. A process that is stopped there holds up every commit, so
 * nothing can be published between its look at the clock and its store.
 */
#include "lease/lease_impl.h"

static int renew_locked(void *arg)
{
    struct leases *l = arg;
    uint64_t now_ns = os_now_ns();
    uint32_t high = lease_high(l);
    for (uint32_t at = 1; at <= high; at++) {
        struct lease_slot *s = &l->slots[at];
        uint64_t word = lease_word_load(s);
        uint64_t expiry_ns = atomic_load_explicit(&s->expiry_ns, memory_order_relaxed);
        uint64_t used_ns = atomic_load_explicit(&s->used_ns, memory_order_relaxed);
        if (!lease_word_live(word) || now_ns >= expiry_ns ||
            atomic_load_explicit(&s->node, memory_order_relaxed) != l->node ||
            atomic_load_explicit(&s->nonce, memory_order_relaxed) != l->nonce) {
            continue;
        }
        bool wanted = (word & LEASE_WANTED) != 0;
        bool recent = used_ns + l->lease_ns > now_ns;
        if (lease_word_uses(word) > 0 || (recent && !wanted)) {
            atomic_store_explicit(&s->expiry_ns, now_ns + l->lease_ns, memory_order_relaxed);
            os_point("lease.renewed");
        }
    }
    return INSTAR_OK;
}

int lease_renew(struct leases *l, struct base_err *err)
{
    return store_locked(l->store, renew_locked, l, err);
}

static void *renewer(void *arg)
{
    struct leases *l = arg;
    struct base_err err;
    os_plain_lock(&l->lock);
    while (!l->closing) {
        if (os_cond_wait(&l->wake, &l->lock, l->lease_ns / 2) == 0) {
            continue;
        }
        os_plain_unlock(&l->lock);
        /* When the mutex cannot be had, nobody can commit; the next round tries again. */
        (void)lease_renew(l, &err);
        os_plain_lock(&l->lock);
    }
    os_plain_unlock(&l->lock);
    return NULL;
}

int lease_renewer_start(struct leases *l, struct base_err *err)
{
    int rc = os_thread_start(&l->renewer, "instar-lease", renewer, l);
    return rc == 0 ? INSTAR_OK : base_err_errno(err, rc, "starting the lease thread");
}

void lease_renewer_stop(struct leases *l)
{
    os_plain_lock(&l->lock);
    l->closing = true;
    os_cond_wake_all(&l->wake);
    os_plain_unlock(&l->lock);
    os_thread_join(&l->renewer);
}
