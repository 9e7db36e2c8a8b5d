/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which handle a tree has in this process: a hash table that is read without a lock.
 *
 * An LMDB handle is a slot number, shared by all transactions of the process. Two transactions that
 * open handles at the same time may be given the same slot, and a slot that is freed under a
 * transaction that lives may come back as another tree. So handles are opened only under the handle
 * lock, in short transactions that commit, and closed only in a quiet process, in which no LMDB
 * transaction lives and none may begin (handles_quiet_begin).
 *
 * The epoch says for which tree epoch (trees.h) the table is complete: a reader loads it before its
 * LMDB transaction begins, and compares it with the epoch that it then finds inside. Trees that
 * came later than the reader's snapshot are missing there too, and read as empty.
 */
#include "store/trees.h"

#define QUIET (INT64_MIN / 2)
#define WAIT_STEP_NS ((uint64_t)200000)

int handles_init(struct handles *h, size_t trees_max, struct base_err *err)
{
    *h = (struct handles){0};
    size_t size = 64;
    while (size < trees_max * 2) {
        size *= 2;
    }
    h->slots = base_alloc_zero(size, sizeof *h->slots);
    if (h->slots == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for %zu tree handles", trees_max);
    }
    h->mask = size - 1;
    os_plain_init(&h->lock);
    return 0;
}

void handles_free(struct handles *h)
{
    if (h->slots != NULL) {
        os_plain_destroy(&h->lock);
        base_free(h->slots);
        h->slots = NULL;
    }
}

static size_t first_slot(const struct handles *h, uint64_t tree)
{
    return (size_t)(tree * UINT64_C(0x9e3779b97f4a7c15) >> 32) & h->mask;
}

bool handles_find(const struct handles *h, uint64_t tree, uint32_t *handle_out)
{
    for (size_t i = first_slot(h, tree);; i = (i + 1) & h->mask) {
        uint64_t key = atomic_load_explicit(&h->slots[i].key, memory_order_acquire);
        if (key == tree + 1) {
            *handle_out = atomic_load_explicit(&h->slots[i].handle, memory_order_relaxed);
            return true;
        }
        if (key == 0) {
            return false;
        }
    }
}

bool handles_each(const struct handles *h, size_t *at, uint64_t *tree_out, uint32_t *handle_out)
{
    while (*at <= h->mask) {
        const struct handle_slot *slot = &h->slots[(*at)++];
        uint64_t key = atomic_load(&slot->key);
        if (key != 0) {
            *tree_out = key - 1;
            *handle_out = atomic_load(&slot->handle);
            return true;
        }
    }
    return false;
}

int handles_add(struct handles *h, uint64_t tree, uint32_t handle, struct base_err *err)
{
    if (h->count > h->mask / 2) {
        return base_err_set(err, INSTAR_ESLOTS, "%zu trees are open, more than trees_max allows",
                            (size_t)h->count);
    }
    size_t i = first_slot(h, tree);
    for (;; i = (i + 1) & h->mask) {
        uint64_t key = atomic_load_explicit(&h->slots[i].key, memory_order_relaxed);
        if (key == 0 || key == tree + 1) {
            h->count += key == 0;
            break;
        }
    }
    atomic_store_explicit(&h->slots[i].handle, handle, memory_order_relaxed);
    atomic_store_explicit(&h->slots[i].key, tree + 1, memory_order_release);
    return 0;
}

/* Take one out, and put those behind it, up to the next gap, where they are found again. */
void handles_remove(struct handles *h, uint64_t tree)
{
    size_t i = first_slot(h, tree);
    for (;; i = (i + 1) & h->mask) {
        uint64_t key = atomic_load(&h->slots[i].key);
        if (key == 0) {
            return;
        }
        if (key == tree + 1) {
            break;
        }
    }
    atomic_store(&h->slots[i].key, 0);
    h->count--;
    for (i = (i + 1) & h->mask;; i = (i + 1) & h->mask) {
        uint64_t key = atomic_load(&h->slots[i].key);
        if (key == 0) {
            return;
        }
        uint32_t handle = atomic_load(&h->slots[i].handle);
        atomic_store(&h->slots[i].key, 0);
        h->count--;
        base_assert(handles_add(h, key - 1, handle, NULL) == 0);
    }
}

void handles_enter(struct handles *h)
{
    while (atomic_fetch_add(&h->live, 1) < 0) {
        atomic_fetch_sub(&h->live, 1);
        os_plain_lock(&h->lock); /* held by whoever made it quiet, until that is over */
        os_plain_unlock(&h->lock);
    }
}

void handles_leave(struct handles *h)
{
    atomic_fetch_sub_explicit(&h->live, 1, memory_order_release);
}

bool handles_quiet_begin(struct handles *h, uint64_t wait_ns)
{
    os_plain_lock(&h->lock);
    int64_t none = 0;
    if (atomic_compare_exchange_strong(&h->live, &none, QUIET)) {
        return true;
    }
    if (wait_ns != 0) {
        /* Nobody comes in from here on. Whoever is in and wants the lock keeps us waiting in vain,
         * hence the limit. */
        uint64_t until = os_now_ns() + wait_ns;
        atomic_fetch_add(&h->live, QUIET);
        while (atomic_load(&h->live) != QUIET && os_now_ns() < until) {
            os_sleep_ns(WAIT_STEP_NS);
        }
        int64_t quiet = QUIET;
        if (atomic_compare_exchange_strong(&h->live, &quiet, QUIET)) {
            return true;
        }
        atomic_fetch_sub(&h->live, QUIET);
    }
    os_plain_unlock(&h->lock);
    return false;
}

void handles_quiet_end(struct handles *h)
{
    atomic_fetch_sub(&h->live, QUIET);
    os_plain_unlock(&h->lock);
}
