/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: who has the store open. A node's slot is taken by locking its robust lock, and the lock is
 * held by the node's own background thread for as long as the store is open: a thread of the
 * application could end while its process goes on, and would look dead. So a node is dead exactly
 * when its lock can be had while the slot is still signed.
 *
 *   free --(lock had, signed with a nonce)--> live --(lock free: the process is gone)--> free
 *
 * The background thread also does what nobody waits for: it flushes async commits that have waited,
 * prepares and maps the next segment, looks for dead nodes, and gives back maps.
 */
#include "store/log.h"
#include "store/trees.h"

#include <errno.h>

#define TICK_NS ((uint64_t)40 * 1000 * 1000) /* a commit waits 1 to 2 ticks for its flush */
#define REAP_NS ((uint64_t)1000 * 1000 * 1000)

/* Between node_open and the thread that it starts. */
struct start {
    struct store *s;
    int rc; /* -ESRCH: no free slot */
    _Atomic uint32_t done;
};

static uint64_t new_nonce(void)
{
    uint64_t nonce = 0;
    while (nonce == 0) {
        if (os_random(&nonce, sizeof(nonce)) != 0) {
            return 0;
        }
    }
    return nonce;
}

static void release_slot(struct control_node *n)
{
    atomic_store_explicit(&n->nonce, 0, memory_order_release);
    atomic_store_explicit(&n->write_snapshot, UINT64_MAX, memory_order_release);
    atomic_store_explicit(&n->log_pin, UINT64_MAX, memory_order_release);
    atomic_store_explicit(&n->pid, 0, memory_order_release);
}

static void sign_slot(struct store *s, uint32_t index, uint64_t nonce)
{
    struct control_node *n = &s->ctl->nodes[index];
    atomic_store_explicit(&n->write_snapshot, UINT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&n->log_pin, UINT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&n->pid, (uint32_t)s->pid, memory_order_relaxed);
    atomic_store_explicit(&n->opened_ns, os_now_ns(), memory_order_relaxed);
    os_point("node.signing");
    atomic_store_explicit(&n->nonce, nonce, memory_order_release);
    s->node = index;
    s->node_nonce = nonce;
}

/* Try to have the lock of a slot: 0, or -ETIMEDOUT when its node lives. */
static int try_lock(struct control_node *n)
{
    int rc = os_mutex_lock(&n->lock, 0);
    if (rc == -EOWNERDEAD) {
        rc = os_mutex_consistent(&n->lock);
    }
    return rc;
}

static int take_slot(struct store *s)
{
    uint64_t nonce = new_nonce();
    if (nonce == 0) {
        return -EIO;
    }
    for (uint32_t i = 0; i < s->ctl->nodes_max; i++) {
        struct control_node *n = &s->ctl->nodes[i];
        if (atomic_load_explicit(&n->nonce, memory_order_acquire) != 0 || try_lock(n) != 0) {
            continue;
        }
        if (atomic_load_explicit(&n->nonce, memory_order_acquire) == 0) {
            sign_slot(s, i, nonce);
            return 0;
        }
        os_mutex_unlock(&n->lock);
    }
    return -ESRCH;
}

/* What lies beyond durable since the last look has waited long enough. */
static void flush_waiting(struct store *s, uint64_t *seen_tail)
{
    uint64_t tail = control_load(&s->ctl->tail);
    if (*seen_tail > control_load(&s->ctl->durable)) {
        flush_to(s, *seen_tail, os_now_ns() + TICK_NS, false, NULL);
    }
    *seen_tail = tail;
}

/* Map the segment that comes next before a commit needs it, in a process that has committed to the
 * present one: that costs some milliseconds in each, and most others may never write. */
static void map_ahead(struct store *s, uint64_t *mapped)
{
    uint64_t prepared = control_load(&s->ctl->prepared);
    uint64_t last = atomic_load_explicit(&s->committed_in, memory_order_relaxed);
    if (prepared - last <= s->segment_bytes && *mapped != prepared &&
        segment_pin_ahead(s, prepared) == 0) {
        *mapped = prepared;
    }
}

static void work(struct store *s)
{
    uint64_t seen_tail = 0;
    uint64_t mapped = control_load(&s->ctl->prepared); /* mapped when it is needed */
    uint64_t reaped_ns = os_now_ns();
    while (!atomic_load(&s->closing)) {
        uint32_t seen = atomic_load_explicit(&s->ctl->background.seen, memory_order_acquire);
        if (store_poisoned(s, NULL) == 0) {
            flush_waiting(s, &seen_tail);
            rotate_ahead(s);
            map_ahead(s, &mapped);
        }
        uint64_t now = os_now_ns();
        if (now - reaped_ns >= REAP_NS) {
            reaped_ns = now;
            store_node_reap(s);
            segment_trim(s);
        }
        if (!atomic_load(&s->closing)) {
            os_futex_wait(&s->ctl->background.seen, seen, TICK_NS);
        }
    }
}

static void *background(void *arg)
{
    struct start *start = arg;
    struct store *s = start->s;
    int rc = take_slot(s);
    start->rc = rc;
    atomic_store(&start->done, 1);
    os_futex_wake_all(&start->done); /* start is gone from here on */
    if (rc == 0) {
        struct control_node *n = &s->ctl->nodes[s->node];
        work(s);
        release_slot(n);
        os_mutex_unlock(&n->lock);
    }
    return NULL;
}

int node_open(struct store *s, struct base_err *err)
{
    struct start start = {.s = s};
    store_node_reap(s);
    int rc = os_thread_start(&s->background, "instar-log", background, &start);
    if (rc != 0) {
        return base_err_errno(err, -rc, "the background thread cannot be started");
    }
    while (atomic_load(&start.done) == 0) {
        os_futex_wait(&start.done, 0, UINT64_MAX);
    }
    if (start.rc == 0) {
        return 0;
    }
    os_thread_join(&s->background);
    return start.rc == -ESRCH
               ? base_err_set(err, INSTAR_ESLOTS, "%u processes have the store open (nodes_max)",
                              s->ctl->nodes_max)
               : base_err_errno(err, -start.rc, "no node number");
}

void node_close(struct store *s)
{
    atomic_store(&s->closing, true);
    control_wake(&s->ctl->background);
    os_thread_join(&s->background);
}

/* ---- for the layers above ----------------------------------------------------------------- */

uint32_t store_node_self(const struct store *s)
{
    return s->node;
}

uint64_t store_node_nonce(const struct store *s)
{
    return s->node_nonce;
}

bool store_node_alive(const struct store *s, uint32_t index, uint64_t nonce)
{
    return index < s->ctl->nodes_max && nonce != 0 &&
           atomic_load_explicit(&s->ctl->nodes[index].nonce, memory_order_acquire) == nonce;
}

void store_node_reap(struct store *s)
{
    bool found = false;
    for (uint32_t i = 0; i < s->ctl->nodes_max; i++) {
        struct control_node *n = &s->ctl->nodes[i];
        uint64_t nonce = atomic_load_explicit(&n->nonce, memory_order_acquire);
        /* Our own lock is held by another thread of ours: trying it is harmless, but pointless. */
        if (nonce == 0 || nonce == s->node_nonce || try_lock(n) != 0) {
            continue;
        }
        if (atomic_load_explicit(&n->nonce, memory_order_acquire) == nonce) {
            release_slot(n);
            found = true;
        }
        os_mutex_unlock(&n->lock);
    }
    if (found) {
        os_point("node.reaped");
        trees_reap_readers(s); /* their snapshots keep pages */
        store_event_bump(s, STORE_EVENT_LEASE);
        store_event_bump(s, STORE_EVENT_CHANGE);
    }
}

size_t store_node_list(struct store *s, struct store_node *nodes, size_t max)
{
    size_t count = 0;
    for (uint32_t i = 0; i < s->ctl->nodes_max; i++) {
        struct control_node *n = &s->ctl->nodes[i];
        uint64_t nonce = atomic_load_explicit(&n->nonce, memory_order_acquire);
        if (nonce == 0) {
            continue;
        }
        if (count < max) {
            nodes[count] = (struct store_node){.index = i,
                                               .nonce = nonce,
                                               .pid = atomic_load(&n->pid),
                                               .opened_ns = atomic_load(&n->opened_ns),
                                               .alive = true};
        }
        count++;
    }
    return count;
}

void node_set_write_snapshot(struct store *s, uint64_t lsn)
{
    atomic_store_explicit(&s->ctl->nodes[s->node].write_snapshot, lsn, memory_order_release);
}
