/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the projections of all processes name. A projection lives in its process alone; so that one
 * who is about to drop a column can be told who names it, each is noted here, in shared memory,
 * from its preparation until it is freed. Nothing is decided by it, and no commit looks at it.
 *
 *     0  node 0   nonce | others | 31 entries of 32 bytes
 *  1024  node 1   …
 *
 * Only the node itself writes its part, under a lock of its process. Whoever reads takes no lock:
 * an entry counts when its table is the same before and after the rest of it was read, and a part
 * when its nonce is that of a node that lives. So what a dead process left is nobody's, and whoever
 * takes its place begins with an empty part. Projections of the same columns share an entry. Those
 * for which there is none left are counted (`others`): then a node may name more than it says.
 *
 * Columns are known by their ids, a bit each; from the 64th on they share the last bit, so that it
 * may say too much.
 */
#include "txn/txn_impl.h"

#define ENTRIES 31
#define OTHER UINT32_MAX /* not noted, but counted */

struct entry {
    _Atomic uint64_t table;   /* id; 0: nobody's. The node: last to be set, first to be cleared */
    _Atomic uint64_t columns; /* the node, while table is 0 */
    _Atomic uint64_t since_ns;
    _Atomic uint32_t index; /* id of the one that they scan by, 0: none */
    _Atomic uint32_t uses;  /* the node */
};
struct part {
    _Atomic uint64_t nonce; /* of the node: last to be set when it opens */
    _Atomic uint32_t others;
    uint8_t reserved[20];
    struct entry entries[ENTRIES];
};
_Static_assert(sizeof(struct entry) == 32, "layout of what projections name");
_Static_assert(sizeof(struct part) == STORE_NAMED_BYTES, "layout of what projections name");

struct txn_named {
    struct store *store;
    struct part *parts;
    struct part *own;
    size_t count;
    struct os_plain_mutex lock;
};

int txn_named_open(struct store *s, struct txn_named **out, struct base_err *err)
{
    size_t size;
    struct txn_named *n = base_alloc_zero(1, sizeof(*n));
    *out = n;
    if (n == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "opening: no memory");
    }
    n->store = s;
    n->parts = store_shared_area(s, STORE_AREA_NAMED, &size);
    n->count = size / sizeof(struct part);
    base_assert(store_node_self(s) < n->count);
    n->own = &n->parts[store_node_self(s)];
    os_plain_init(&n->lock);
    for (size_t i = 0; i < ENTRIES; i++) {
        atomic_store_explicit(&n->own->entries[i].table, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&n->own->others, 0, memory_order_relaxed);
    atomic_store_explicit(&n->own->nonce, store_node_nonce(s), memory_order_release);
    return INSTAR_OK;
}

void txn_named_close(struct txn_named *n)
{
    if (n != NULL) {
        atomic_store_explicit(&n->own->nonce, 0, memory_order_release);
        os_plain_destroy(&n->lock);
        base_free(n);
    }
}

uint64_t txn_named_bit(uint32_t column_id)
{
    return UINT64_C(1) << (column_id < 63 ? column_id : 63);
}

/* An entry for that: one that says the same, or a free one. OTHER: there is none. */
static uint32_t find(const struct part *own, const struct txn_naming *what)
{
    uint32_t found = OTHER;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        const struct entry *e = &own->entries[i];
        uint64_t table = atomic_load_explicit(&e->table, memory_order_relaxed);
        if (table == what->table && e->columns == what->columns && e->index == what->index) {
            return i;
        }
        found = table == 0 && found == OTHER ? i : found;
    }
    return found;
}

uint32_t txn_named_note(struct txn_named *n, const struct txn_naming *what)
{
    os_plain_lock(&n->lock);
    uint32_t at = find(n->own, what);
    struct entry *e = at != OTHER ? &n->own->entries[at] : NULL;
    if (e == NULL) {
        atomic_fetch_add_explicit(&n->own->others, 1, memory_order_relaxed);
    } else if (atomic_load_explicit(&e->table, memory_order_relaxed) != 0) {
        atomic_fetch_add_explicit(&e->uses, 1, memory_order_relaxed);
    } else {
        /* Release: who sees one of these sees, too, that the table was 0 before. */
        atomic_store_explicit(&e->columns, what->columns, memory_order_release);
        atomic_store_explicit(&e->index, what->index, memory_order_release);
        atomic_store_explicit(&e->since_ns, os_now_ns(), memory_order_release);
        atomic_store_explicit(&e->uses, 1, memory_order_release);
        atomic_store_explicit(&e->table, what->table, memory_order_release);
    }
    os_plain_unlock(&n->lock);
    return at;
}

void txn_named_forget(struct txn_named *n, uint32_t at)
{
    os_plain_lock(&n->lock);
    if (at == OTHER) {
        atomic_fetch_sub_explicit(&n->own->others, 1, memory_order_relaxed);
    } else if (atomic_fetch_sub_explicit(&n->own->entries[at].uses, 1, memory_order_relaxed) == 1) {
        atomic_store_explicit(&n->own->entries[at].table, 0, memory_order_release);
    }
    os_plain_unlock(&n->lock);
}

/* ---- for people --------------------------------------------------------------------------- */

/* What an entry says; false: nothing, or it is just being changed. */
static bool read_entry(const struct entry *e, struct txn_naming *what_out, uint64_t *since_ns_out,
                       uint32_t *uses_out)
{
    what_out->table = atomic_load_explicit(&e->table, memory_order_acquire);
    what_out->columns = atomic_load_explicit(&e->columns, memory_order_acquire);
    what_out->index = atomic_load_explicit(&e->index, memory_order_acquire);
    *since_ns_out = atomic_load_explicit(&e->since_ns, memory_order_acquire);
    *uses_out = atomic_load_explicit(&e->uses, memory_order_acquire);
    return what_out->table != 0 && *uses_out != 0 &&
           atomic_load_explicit(&e->table, memory_order_relaxed) == what_out->table;
}

static void add_up(const struct part *p, bool (*wanted)(void *arg, const struct txn_naming *what),
                   void *arg, struct txn_holder *out)
{
    uint64_t now_ns = os_now_ns();
    out->unlisted = atomic_load_explicit(&p->others, memory_order_relaxed);
    for (size_t i = 0; i < ENTRIES; i++) {
        struct txn_naming what;
        uint64_t since_ns;
        uint32_t uses;
        if (!read_entry(&p->entries[i], &what, &since_ns, &uses) || !wanted(arg, &what)) {
            continue;
        }
        uint64_t age_ns = now_ns > since_ns ? now_ns - since_ns : 0;
        out->projections += uses;
        out->age_ns = age_ns > out->age_ns ? age_ns : out->age_ns;
    }
}

int txn_named_list(struct txn_named *n, bool (*wanted)(void *arg, const struct txn_naming *what),
                   void *arg, void (*found)(void *arg, const struct txn_holder *holder),
                   struct base_err *err)
{
    struct store_node *nodes = base_alloc_zero(n->count, sizeof(*nodes));
    if (nodes == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "looking for projections: no memory");
    }
    store_node_reap(n->store);
    size_t count = store_node_list(n->store, nodes, n->count);
    for (size_t i = 0; i < count && i < n->count; i++) {
        const struct part *p = &n->parts[nodes[i].index];
        struct txn_holder holder = {.node = nodes[i].index, .pid = nodes[i].pid};
        if (atomic_load_explicit(&p->nonce, memory_order_acquire) == nodes[i].nonce) {
            add_up(p, wanted, arg, &holder);
        }
        if (holder.projections + holder.unlisted != 0) {
            found(arg, &holder);
        }
    }
    base_free(nodes);
    return INSTAR_OK;
}
