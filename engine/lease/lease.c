/* SPDX-License-Identifier: Apache-2.0 */
/* This process's part in the leases: opening and closing it, the entry of the hot path, figures. */
#include "lease/lease_impl.h"

static int sign_locked(void *arg)
{
    struct leases *l = arg;
    uint64_t found = atomic_load_explicit(&l->head->signature, memory_order_relaxed);
    if (found == 0) {
        atomic_store_explicit(&l->head->signature, LEASE_SIGNATURE, memory_order_relaxed);
        return INSTAR_OK;
    }
    return found == LEASE_SIGNATURE ? INSTAR_OK : INSTAR_EVERSION;
}

/* At most half of the hints can be alive at once. */
static int make_hints(struct leases *l, struct base_err *err)
{
    uint32_t count = 64;
    while (count < l->slot_count * 2) {
        count *= 2;
    }
    l->hint_mask = count - 1;
    l->hints = base_alloc_zero(count, sizeof(*l->hints));
    return l->hints != NULL ? INSTAR_OK : base_err_set(err, INSTAR_ENOMEM, "leases: no memory");
}

int lease_open(struct store *s, struct leases **leases_out, struct base_err *err)
{
    size_t size = 0;
    *leases_out = NULL;
    struct leases *l = base_alloc_zero(1, sizeof(*l));
    if (l == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "leases: no memory");
    }
    l->store = s;
    l->slots = store_shared_area(s, STORE_AREA_LEASE, &size);
    l->head = (struct lease_head *)l->slots;
    l->slot_count = (uint32_t)(size / sizeof(struct lease_slot));
    base_assert(l->slot_count > 1);
    l->node = store_node_self(s);
    l->nonce = store_node_nonce(s);
    l->lease_ns = (uint64_t)store_options(s)->lease_ms * 1000000;
    os_plain_init(&l->lock);
    os_cond_init(&l->wake);
    int rc = make_hints(l, err);
    if (rc != INSTAR_OK) {
        goto fail;
    }
    rc = store_locked(s, sign_locked, l, err);
    if (rc == INSTAR_EVERSION) {
        base_err_set(err, rc, "another release, with other lease slots, has the store open");
    }
    if (rc != INSTAR_OK) {
        goto fail;
    }
    rc = lease_renewer_start(l, err);
    if (rc != INSTAR_OK) {
        goto fail;
    }
    *leases_out = l;
    return INSTAR_OK;
fail:
    base_free(l->hints);
    os_cond_destroy(&l->wake);
    os_plain_destroy(&l->lock);
    base_free(l);
    return rc;
}

static int leave_locked(void *arg)
{
    struct leases *l = arg;
    uint32_t high = lease_high(l);
    for (uint32_t at = 1; at <= high; at++) {
        struct lease_slot *s = &l->slots[at];
        if (atomic_load_explicit(&s->node, memory_order_relaxed) == l->node &&
            atomic_load_explicit(&s->nonce, memory_order_relaxed) == l->nonce) {
            lease_slot_revoke(s);
        }
    }
    return INSTAR_OK;
}

void lease_close(struct leases *l)
{
    if (l == NULL) {
        return;
    }
    lease_renewer_stop(l);
    /* When the mutex cannot be had, the grants end with this node. */
    (void)store_locked(l->store, leave_locked, l, NULL);
    store_event_bump(l->store, STORE_EVENT_LEASE);
    base_free(l->hints);
    os_cond_destroy(&l->wake);
    os_plain_destroy(&l->lock);
    base_free(l);
}

int lease_acquire(struct leases *l, uint64_t table, uint32_t version, uint64_t schema_lsn,
                  uint64_t begun_ns, struct lease_use *use_out, struct base_err *err)
{
    if (LEASE_ALWAYS_TRUE) {
        *use_out = (struct lease_use){0};
        return INSTAR_OK;
    }
    if (lease_hint_share(l, table, version, begun_ns, use_out)) {
        return INSTAR_OK;
    }
    *use_out = (struct lease_use){0};
    return lease_grant(l, table, version, schema_lsn, begun_ns, use_out, err);
}

/* A grant that transactions use, on a version of the table below. */
static bool is_below(const struct leases *l, const struct lease_slot *s, uint64_t table,
                     uint32_t below)
{
    uint64_t word = lease_word_load(s);

    return lease_word_live(word) && lease_word_uses(word) != 0 &&
           atomic_load_explicit(&s->table, memory_order_relaxed) == table &&
           atomic_load_explicit(&s->version, memory_order_relaxed) < below &&
           store_node_alive(l->store, atomic_load_explicit(&s->node, memory_order_relaxed),
                            atomic_load_explicit(&s->nonce, memory_order_relaxed));
}

uint32_t lease_nodes_below(struct leases *l, uint64_t table, uint32_t below)
{
    uint32_t high = lease_high(l);
    uint32_t count = 0;

    for (uint32_t at = 1; at <= high; at++) {
        uint32_t node = atomic_load_explicit(&l->slots[at].node, memory_order_relaxed);
        bool counted = !is_below(l, &l->slots[at], table, below);
        for (uint32_t i = 1; i < at && !counted; i++) {
            counted = atomic_load_explicit(&l->slots[i].node, memory_order_relaxed) == node &&
                      is_below(l, &l->slots[i], table, below);
        }
        count += !counted;
    }
    return count;
}

void lease_node_stat(struct leases *l, uint32_t node, uint64_t nonce,
                     struct lease_node_stat *stat_out)
{
    uint64_t oldest_ns = 0;
    uint64_t now_ns = os_now_ns();
    uint32_t high = lease_high(l);
    *stat_out = (struct lease_node_stat){0};
    for (uint32_t at = 1; at <= high; at++) {
        const struct lease_slot *s = &l->slots[at];
        uint64_t word = lease_word_load(s);
        if (!lease_word_live(word) ||
            atomic_load_explicit(&s->node, memory_order_relaxed) != node ||
            atomic_load_explicit(&s->nonce, memory_order_relaxed) != nonce) {
            continue;
        }
        uint64_t begun_ns = lease_slot_oldest(s);
        stat_out->leases++;
        stat_out->uses += (uint32_t)lease_word_uses(word);
        if (begun_ns != 0 && (oldest_ns == 0 || begun_ns < oldest_ns)) {
            oldest_ns = begun_ns;
        }
    }
    if (oldest_ns != 0 && now_ns > oldest_ns) {
        stat_out->oldest_ns = now_ns - oldest_ns;
    }
}
