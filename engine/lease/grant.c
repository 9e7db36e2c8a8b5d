/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a grant under the mutex, and finding one again without it.
 *
 * A grant is made only when the schema LSN is still that of the view from which the caller has the
 * version, and is durable: then that version is the latest durable one (LEASE-3). The schema LSN
 * is the store's, not the table's, so a publication for another table refuses the grant too; the
 * caller takes a new snapshot, which costs nothing when it has read nothing yet.
 *
 * Slots are few and bounded. When none is free, what may be taken away is, in this order: grants of
 * dead nodes and expired ones, then the idle one that was used longest ago, whose node it may be.
 */
#include "lease/lease_impl.h"

#include <inttypes.h>

#define HINT_PROBES 8

/* ---- hints -------------------------------------------------------------------------------- */

static uint32_t hint_start(const struct leases *l, uint64_t table, uint32_t version)
{
    uint64_t h = (table ^ ((uint64_t)version << 40)) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32) & l->hint_mask;
}

bool lease_hint_share(struct leases *l, uint64_t table, uint32_t version, uint64_t begun_ns,
                      struct lease_use *use_out)
{
    uint32_t start = hint_start(l, table, version);
    for (uint32_t i = 0; i < HINT_PROBES; i++) {
        uint32_t slot =
            atomic_load_explicit(&l->hints[(start + i) & l->hint_mask], memory_order_acquire);
        if (slot == 0) {
            return false;
        }
        /* The clock is not read: an expiry since the transaction began is found by its fence. */
        if (lease_slot_share(l, slot, table, version, begun_ns, begun_ns, use_out)) {
            return true;
        }
    }
    return false;
}

/* Under the mutex. Prefer a hint that leads nowhere any more. */
static void hint_add(struct leases *l, uint64_t table, uint32_t version, uint32_t slot)
{
    uint32_t start = hint_start(l, table, version);
    uint32_t place = start;
    for (uint32_t i = 0; i < HINT_PROBES; i++) {
        uint32_t at = (start + i) & l->hint_mask;
        uint32_t there = atomic_load_explicit(&l->hints[at], memory_order_relaxed);
        const struct lease_slot *s = &l->slots[there];
        if (there == slot) {
            return;
        }
        if (there == 0 || !lease_word_live(lease_word_load(s)) ||
            atomic_load_explicit(&s->nonce, memory_order_relaxed) != l->nonce) {
            place = at;
            break;
        }
    }
    atomic_store_explicit(&l->hints[place], slot, memory_order_release);
}

/* ---- choosing a slot ---------------------------------------------------------------------- */

struct request {
    struct leases *l;
    uint64_t table;
    uint32_t version;
    uint64_t schema_lsn;
    uint64_t begun_ns;
    struct lease_use *use_out;
    struct base_err *err;
};

/* What a walk over the slots has found, 0: none. */
struct found {
    uint32_t free;
    uint32_t void_; /* of a dead node, or expired */
    uint32_t idle;  /* used longest ago */
    uint64_t idle_used_ns;
};

static bool is_void(const struct leases *l, const struct lease_slot *s, uint64_t now_ns)
{
    uint32_t node = atomic_load_explicit(&s->node, memory_order_relaxed);
    uint64_t nonce = atomic_load_explicit(&s->nonce, memory_order_relaxed);
    return now_ns >= atomic_load_explicit(&s->expiry_ns, memory_order_relaxed) ||
           !store_node_alive(l->store, node, nonce);
}

static void look_at(const struct leases *l, uint32_t at, uint64_t now_ns, struct found *f)
{
    const struct lease_slot *s = &l->slots[at];
    uint64_t word = lease_word_load(s);
    uint64_t used_ns = atomic_load_explicit(&s->used_ns, memory_order_relaxed);
    if (!lease_word_live(word)) {
        f->free = at;
    } else if (is_void(l, s, now_ns)) {
        f->void_ = at;
    } else if (lease_word_uses(word) == 0 && (f->idle == 0 || used_ns < f->idle_used_ns)) {
        f->idle = at;
        f->idle_used_ns = used_ns;
    }
}

/* A slot that is not live any more, or 0: all are in use. */
static uint32_t choose(struct leases *l, const struct found *f)
{
    uint32_t high = lease_high(l);
    if (f->free != 0) {
        return f->free;
    }
    if (high + 1 < l->slot_count) {
        atomic_store_explicit(&l->head->high, high + 1, memory_order_release);
        return high + 1;
    }
    if (f->void_ != 0) {
        lease_slot_revoke(&l->slots[f->void_]);
        return f->void_;
    }
    if (f->idle != 0 && lease_slot_want(&l->slots[f->idle])) {
        return f->idle;
    }
    return 0;
}

/* LEASE-1: the word goes first, and comes back last. */
static void install(const struct request *r, uint32_t at, uint64_t now_ns)
{
    struct leases *l = r->l;
    struct lease_slot *s = &l->slots[at];
    uint64_t number = (lease_word_load(s) >> LEASE_NUMBER_SHIFT) + 1;
    base_assert(!lease_word_live(lease_word_load(s)));
    base_assert(number < UINT64_C(1) << (64 - LEASE_NUMBER_SHIFT));
    atomic_store_explicit(&s->word, number << LEASE_NUMBER_SHIFT | LEASE_REVOKED,
                          memory_order_seq_cst);
    os_point("lease.slot_taken");
    atomic_store_explicit(&s->table, r->table, memory_order_relaxed);
    atomic_store_explicit(&s->version, r->version, memory_order_relaxed);
    atomic_store_explicit(&s->node, l->node, memory_order_relaxed);
    atomic_store_explicit(&s->nonce, l->nonce, memory_order_relaxed);
    atomic_store_explicit(&s->pid, (uint32_t)os_pid(), memory_order_relaxed);
    atomic_store_explicit(&s->used_ns, r->begun_ns, memory_order_relaxed);
    atomic_store_explicit(&s->granted_ns, now_ns, memory_order_relaxed);
    for (size_t i = 0; i < LEASE_MARKS; i++) {
        atomic_store_explicit(&s->marks[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&s->expiry_ns, now_ns + l->lease_ns, memory_order_relaxed);
    atomic_store_explicit(&s->word, number << LEASE_NUMBER_SHIFT, memory_order_release);
}

static int grant_locked(void *arg)
{
    struct request *r = arg;
    struct leases *l = r->l;
    struct found f = {0};
    uint64_t now_ns = os_now_ns();
    uint32_t high = lease_high(l);
    for (uint32_t at = 1; at <= high; at++) {
        struct lease_slot *s = &l->slots[at];
        /* Another thread may have taken it meanwhile. Sharing needs no latest version. */
        if (lease_slot_share(l, at, r->table, r->version, now_ns, r->begun_ns, r->use_out)) {
            hint_add(l, r->table, r->version, at);
            return INSTAR_OK;
        }
        if (lease_word_live(lease_word_load(s)) && lease_slot_is(l, s, r->table, r->version)) {
            if (lease_word_uses(lease_word_load(s)) == LEASE_USES_MAX) {
                return base_err_set(r->err, INSTAR_ESLOTS,
                                    "%" PRIu64 " transactions of this process use table %" PRIu64
                                    " now; end some",
                                    (uint64_t)LEASE_USES_MAX, r->table);
            }
            /* Expired: what comes after is a new grant. */
            lease_slot_revoke(s);
        }
        look_at(l, at, now_ns, &f);
    }
    if (store_schema_lsn(l->store) != r->schema_lsn || store_durable(l->store) < r->schema_lsn) {
        return base_err_set(r->err, INSTAR_ESCHEMA_CHANGED,
                            "table %" PRIu64 ": version %" PRIu32
                            " may no longer be the latest; no lease is granted on it",
                            r->table, r->version);
    }
    uint32_t at = choose(l, &f);
    if (at == 0) {
        return base_err_set(r->err, INSTAR_ESLOTS,
                            "all %" PRIu32 " schema leases are in use by transactions; create the "
                            "store with more lease_slots",
                            l->slot_count - 1);
    }
    install(r, at, now_ns);
    hint_add(l, r->table, r->version, at);
    bool shared = lease_slot_share(l, at, r->table, r->version, now_ns, r->begun_ns, r->use_out);
    base_assert(shared);
    return INSTAR_OK;
}

int lease_grant(struct leases *l, uint64_t table, uint32_t version, uint64_t schema_lsn,
                uint64_t begun_ns, struct lease_use *use_out, struct base_err *err)
{
    struct request r = {.l = l,
                        .table = table,
                        .version = version,
                        .schema_lsn = schema_lsn,
                        .begun_ns = begun_ns,
                        .use_out = use_out,
                        .err = err};
    return store_locked(l->store, grant_locked, &r, err);
}
