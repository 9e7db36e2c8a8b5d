/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease, inside: the slots in shared memory, and what this process keeps beside them.
 *
 * The area is an array of 128-byte slots; slot 0 is the head. A slot holds one grant: this node may
 * commit with this version of this table. Its heart is one word:
 *
 *      63                        21   20       19      18          0
 *     +----------------------------+--------+---------+-------------+
 *     |  grant number              | wanted | revoked |  use count  |
 *     +----------------------------+--------+---------+-------------+
 *
 * A grant is LIVE when its number is not 0 and it is not revoked. It is VALID, and so counts for
 * the two-version rule, when it is live and its node is alive; whoever holds the mutex may end that
 * by the revoked mark, for the reasons that drain.c has.
 *
 *           grant (mutex)            share / release (its node, lock-free)
 *     free ───────────────► live, 0 uses ◄──────────────────► live, n uses
 *      ▲                        │                                  │
 *      └── revoked: number kept ◄── idle, expired, dead, fenced ───┘
 *
 * LEASE-1  Identity (table, version, node) changes only under the mutex, and only while the word is
 *          revoked or was never granted; the number rises with each grant and never falls.
 * LEASE-2  Valid grants of a table are on its two latest versions only.
 * LEASE-3  A grant is made only on the latest durable version, under the mutex.
 * LEASE-4  A number that was revoked is never live again.
 * LEASE-5  The proof of a drain and the append that relies on it are one critical section.
 * LEASE-6  A use is counted before its transaction relies on the grant, and given back once.
 * LEASE-7  Only the mutex's holder moves an expiry, and only that of a live grant not yet expired.
 */
#ifndef INSTAR_LEASE_IMPL_H
#define INSTAR_LEASE_IMPL_H

#include "lease/lease.h"

/* The benchmark builds this layer once more with 1, to see what leases cost a commit: any table can
 * be leased at once, and every fence holds. Such a build publishes nothing. */
#ifndef LEASE_ALWAYS_TRUE
#define LEASE_ALWAYS_TRUE 0
#endif

#define LEASE_USES_MAX ((UINT64_C(1) << 19) - 1)
#define LEASE_USES LEASE_USES_MAX
#define LEASE_REVOKED (UINT64_C(1) << 19)
#define LEASE_WANTED (UINT64_C(1) << 20)
#define LEASE_NUMBER_SHIFT 21
/* What a fence compares: the count and the wanted bit may move. */
#define LEASE_FENCED_BITS (~(LEASE_USES | LEASE_WANTED))

#define LEASE_MARKS 8

/*
 *    0  word        see above. Share and release: its node's threads, by compare-and-swap. Number:
 *                   the mutex's holder. Revoked: the mutex's holder; also the last release of a
 *                   wanted grant. Wanted: the mutex's holder.
 *    8  expiry_ns   the mutex's holder (LEASE-7). Read by every commit, as a fence.
 *   16  table       the mutex's holder (LEASE-1); the same for version, node, nonce, pid
 *   24  version
 *   28  node
 *   32  nonce
 *   40  pid
 *   44  reserved
 *   48  used_ns     its node: when the last transaction that came began. For choosing what to give
 *                   up and what to renew; advisory
 *   56  granted_ns  the mutex's holder; for people
 *   64  marks       its node: when transactions in use now began, 0: free. For people: a
 *                   transaction that finds no free mark is not listed
 */
struct lease_slot {
    _Atomic uint64_t word;
    _Atomic uint64_t expiry_ns;
    _Atomic uint64_t table;
    _Atomic uint32_t version;
    _Atomic uint32_t node;
    _Atomic uint64_t nonce;
    _Atomic uint32_t pid;
    uint32_t reserved;
    _Atomic uint64_t used_ns;
    _Atomic uint64_t granted_ns;
    _Atomic uint64_t marks[LEASE_MARKS];
};

/* Slot 0. signature: the first process to open, under the mutex; then constant. high: the mutex's
 * holder, upward: slots beyond it were never granted, so scans end there. */
struct lease_head {
    _Atomic uint64_t signature;
    _Atomic uint32_t high;
    uint32_t reserved0;
    uint8_t reserved[112];
};

#define LEASE_SIGNATURE (UINT64_C(0x6c73000000000000) | (sizeof(struct lease_slot) << 16) | 1)

#define LEASE_AT(field, offset) \
    _Static_assert(offsetof(struct lease_slot, field) == (offset), "lease slot layout: " #field)
_Static_assert(sizeof(struct lease_slot) == 128, "lease slot layout");
_Static_assert(sizeof(struct lease_head) == sizeof(struct lease_slot), "lease head layout");
LEASE_AT(expiry_ns, 8);
LEASE_AT(table, 16);
LEASE_AT(version, 24);
LEASE_AT(node, 28);
LEASE_AT(nonce, 32);
LEASE_AT(pid, 40);
LEASE_AT(used_ns, 48);
LEASE_AT(granted_ns, 56);
LEASE_AT(marks, 64);

struct leases {
    struct store *store;
    struct lease_head *head;
    struct lease_slot *slots; /* slots[0] is the head */
    uint32_t slot_count;
    uint32_t node;
    uint64_t nonce;
    uint64_t lease_ns;
    /* Hints from (table, version) to a slot; never trusted, the slot itself is looked at. Written
     * under the mutex, read by all threads. A position once used is never empty again. */
    _Atomic uint32_t *hints;
    uint32_t hint_mask;
    struct os_plain_mutex lock; /* of what follows */
    struct os_cond wake;
    bool closing;
    struct os_thread renewer;
};

/* ---- the word (slot.c) --------------------------------------------------------------------- */

static inline bool lease_word_live(uint64_t word)
{
    return (word >> LEASE_NUMBER_SHIFT) != 0 && (word & LEASE_REVOKED) == 0;
}
static inline uint64_t lease_word_uses(uint64_t word)
{
    return word & LEASE_USES;
}
static inline uint64_t lease_word_load(const struct lease_slot *s)
{
    return atomic_load_explicit(&s->word, memory_order_acquire);
}
static inline uint32_t lease_high(const struct leases *l)
{
    return atomic_load_explicit(&l->head->high, memory_order_acquire);
}

/* Is this slot's grant this node's, on this table and version? Meaningful only together with a
 * compare-and-swap of the word that was loaded before. */
bool lease_slot_is(const struct leases *l, const struct lease_slot *s, uint64_t table,
                   uint32_t version);
/* Count one more use. False: not live, not ours, expired at now_ns, or too many uses. */
bool lease_slot_share(struct leases *l, uint32_t at, uint64_t table, uint32_t version,
                      uint64_t now_ns, uint64_t begun_ns, struct lease_use *use_out);
/* Revoke whatever it is used for. Under the mutex. */
void lease_slot_revoke(struct lease_slot *s);
/* Revoke when no transaction uses it, else ask for it. True: it is revoked. Under the mutex. */
bool lease_slot_want(struct lease_slot *s);
/* When the oldest transaction began that is known to use it, 0: unknown. */
uint64_t lease_slot_oldest(const struct lease_slot *s);

/* ---- grants (grant.c) ---------------------------------------------------------------------- */

int lease_grant(struct leases *l, uint64_t table, uint32_t version, uint64_t schema_lsn,
                uint64_t begun_ns, struct lease_use *use_out, struct base_err *err);
bool lease_hint_share(struct leases *l, uint64_t table, uint32_t version, uint64_t begun_ns,
                      struct lease_use *use_out);

/* ---- renewal (renew.c) --------------------------------------------------------------------- */

/* One round over this node's grants. The renewer's work; tests call it themselves. */
int lease_renew(struct leases *l, struct base_err *err);
int lease_renewer_start(struct leases *l, struct base_err *err);
void lease_renewer_stop(struct leases *l);

/* ---- the drain (drain.c) ------------------------------------------------------------------- */

struct lease_drain {
    uint64_t table;
    uint32_t below;  /* versions that must be gone */
    uint32_t wanted; /* versions below this are no longer the latest once the commit is made */
    bool fence;
    struct lease_blockers *blockers; /* may be NULL */
};
/* Under the mutex. True: no valid grant below. */
bool lease_drain(struct leases *l, const struct lease_drain *d);

#endif
