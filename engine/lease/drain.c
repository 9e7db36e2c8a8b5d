/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drain: are all valid grants below a version gone? Runs under the mutex, so the answer holds
 * for the commit that is appended in the same critical section, and for no longer.
 *
 * On the way, what may be revoked is revoked:
 *   idle      no transaction uses it; its node need not be asked, count and mark share one word
 *   expired   by this process's clock, which may be wrong: its owner then loses a transaction to
 *             the retryable error, never more
 *   dead      its node's robust lock said so
 *   fenced    the publisher was told to wait no longer
 * A use that is left gets the wanted bit; so its release revokes the grant and wakes the waiters.
 */
#include "lease/lease_impl.h"

static bool may_end(const struct leases *l, const struct lease_slot *s, uint64_t now_ns)
{
    uint32_t node = atomic_load_explicit(&s->node, memory_order_relaxed);
    uint64_t nonce = atomic_load_explicit(&s->nonce, memory_order_relaxed);
    return now_ns >= atomic_load_explicit(&s->expiry_ns, memory_order_relaxed) ||
           !store_node_alive(l->store, node, nonce);
}

/* It is not expired: that has been asked, and nobody else moves an expiry (LEASE-7). */
static void note_blocker(const struct lease_slot *s, uint64_t now_ns, struct lease_blockers *b)
{
    uint64_t expiry_ns = atomic_load_explicit(&s->expiry_ns, memory_order_relaxed);
    uint64_t oldest_ns = lease_slot_oldest(s);
    base_assert(expiry_ns > now_ns);
    b->total++;
    if (b->count == LEASE_BLOCKERS_MAX) {
        return;
    }
    b->list[b->count++] = (struct lease_blocker){
        .node = atomic_load_explicit(&s->node, memory_order_relaxed),
        .pid = atomic_load_explicit(&s->pid, memory_order_relaxed),
        .version = atomic_load_explicit(&s->version, memory_order_relaxed),
        .transaction_ns = oldest_ns != 0 && now_ns > oldest_ns ? now_ns - oldest_ns : 0,
        .expires_ns = expiry_ns - now_ns,
    };
}

bool lease_drain(struct leases *l, const struct lease_drain *d)
{
    uint64_t now_ns = os_now_ns();
    uint32_t high = lease_high(l);
    struct lease_blockers none = {0};
    struct lease_blockers *blockers = d->blockers != NULL ? d->blockers : &none;
    *blockers = (struct lease_blockers){0};
    for (uint32_t at = 1; at <= high; at++) {
        struct lease_slot *s = &l->slots[at];
        uint32_t version = atomic_load_explicit(&s->version, memory_order_relaxed);
        if (!lease_word_live(lease_word_load(s)) ||
            atomic_load_explicit(&s->table, memory_order_relaxed) != d->table ||
            version >= d->below) {
            continue;
        }
        if (d->fence || may_end(l, s, now_ns)) {
            lease_slot_revoke(s);
        } else if (!lease_slot_want(s)) {
            note_blocker(s, now_ns, blockers);
        }
    }
    if (blockers->total > 0) {
        return false;
    }
    for (uint32_t at = 1; at <= high; at++) {
        struct lease_slot *s = &l->slots[at];
        if (lease_word_live(lease_word_load(s)) &&
            atomic_load_explicit(&s->table, memory_order_relaxed) == d->table) {
            uint32_t version = atomic_load_explicit(&s->version, memory_order_relaxed);
            base_assert(version >= d->below);
            if (d->wanted > d->below) {
                base_assert(version == d->below); /* LEASE-2, before and after */
                /* From now on the second-latest: its last use ends it. Idle, it stays for those
                 * whose snapshot is older than the publication; the next publisher takes it. */
                atomic_fetch_or_explicit(&s->word, LEASE_WANTED, memory_order_acq_rel);
            }
        }
    }
    return true;
}

struct question {
    struct leases *l;
    struct lease_drain drain;
};

static int drained_locked(void *arg)
{
    struct question *q = arg;
    return lease_drain(q->l, &q->drain) ? INSTAR_OK : INSTAR_EBLOCKED;
}

bool lease_drained(struct leases *l, uint64_t table, uint32_t below,
                   struct lease_blockers *blockers_out)
{
    struct question q = {.l = l,
                         .drain = {.table = table, .below = below, .blockers = blockers_out}};
    if (blockers_out != NULL) {
        *blockers_out = (struct lease_blockers){0};
    }
    store_node_reap(l->store);
    return store_locked(l->store, drained_locked, &q, NULL) == INSTAR_OK;
}
