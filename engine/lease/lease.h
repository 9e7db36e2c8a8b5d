/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease: which schema versions the nodes may still commit with. A node holds a grant (table,
 * version, number, expiry) that its read-write transactions share; a commit carries its grants as
 * fences. publish.c is the one door through which a new version of a table goes: it proves, in
 * the critical section of the commit, that no valid lease is left on what must be gone.
 */
#ifndef INSTAR_LEASE_H
#define INSTAR_LEASE_H

#include "catalog/catalog.h"

struct leases; /* this process's part; thread safe */

int lease_open(struct store *s, struct leases **leases_out, struct base_err *err);
void lease_close(struct leases *l);

#define LEASE_NO_MARK UINT32_MAX
/* One transaction's use of a grant. */
struct lease_use {
    uint32_t slot;
    uint32_t mark;  /* where the slot notes begun_ns, LEASE_NO_MARK: nowhere */
    uint64_t grant; /* number and revoked mark as the fence expects them */
    uint64_t table;
    uint32_t version;
    uint64_t begun_ns; /* of the transaction, for those who wait */
};
/* Use the grant this node has on (table, version), or take one: only on the latest durable version,
 * which it is when store_schema_lsn() still equals `schema_lsn`, the LSN of the view from which the
 * version was read. ESCHEMA_CHANGED otherwise; ESLOTS when all slots are in use. */
int lease_acquire(struct leases *l, uint64_t table, uint32_t version, uint64_t schema_lsn,
                  uint64_t begun_ns, struct lease_use *use_out, struct base_err *err);
/* Wakes a waiting publisher when it was the last use of a version that must go. */
void lease_release(struct leases *l, const struct lease_use *use);
/* The fence for a commit. */
void lease_fence(const struct leases *l, const struct lease_use *use,
                 struct store_fence *fence_out);

/* Who holds a publication up. */
struct lease_blocker {
    uint32_t node;
    uint32_t pid;
    uint32_t version;
    uint64_t transaction_ns; /* age of its oldest transaction, 0: unknown */
    uint64_t expires_ns;     /* from now */
};
#define LEASE_BLOCKERS_MAX 8
struct lease_blockers {
    size_t total;
    size_t count; /* listed */
    struct lease_blocker list[LEASE_BLOCKERS_MAX];
};

/* Another table in the same commit: its next version, or only the proof of its drain. */
struct lease_also {
    uint64_t table;
    const struct catalog_table *descriptor; /* NULL: only the proof */
    uint32_t drained_below;
    bool remove; /* its descriptor goes, as below */
};
#define LEASE_ALSO_MAX 96

/* What a publisher asks for. */
struct lease_publication {
    uint64_t table;
    const struct catalog_table *descriptor; /* the next version, whole; NULL: no new version, the
                                             * commit only proves the drain (cut, drop record) */
    bool remove;  /* the table's descriptor goes (version v+1 of a drop) */
    bool restore; /* the descriptor, of version v + 2, is that of a table that was dropped as v */
    uint32_t drained_below; /* commit only if no valid lease on a version < this. For a publication
                             * of v + 1 that is v, by the two-version rule (asserted) */
    bool fence;             /* revoke what holds it up instead of refusing (the change's policy) */
    const struct lease_also *also;    /* other tables, each once: what foreign keys tie to it,
                                       * or the change is about */
    size_t also_count;                /* at most LEASE_ALSO_MAX */
    const struct store_fence *fences; /* further ones */
    size_t fence_count;
};
/* Commit `t`, which holds the caller's own writes (change record, names, tree operations), together
 * with the descriptor. Always ends t. Idle grants on old versions are revoked on the way.
 * EBLOCKED: nothing was written, *blockers_out lists by whom. ECONFLICT: another publisher was
 * first. Else as store_txn_commit. */
int lease_publish(struct leases *l, struct store_txn *t, const struct lease_publication *what,
                  uint64_t *lsn_out, struct lease_blockers *blockers_out, struct base_err *err);
/* Is no valid lease on a version below left? For waiting without a commit: revokes what is idle or
 * expired, and sees to it that the end of each other use bumps STORE_EVENT_LEASE. False also when
 * the mutex could not be had. blockers_out may be NULL. */
bool lease_drained(struct leases *l, uint64_t table, uint32_t below,
                   struct lease_blockers *blockers_out);

/* How many nodes have transactions at work on a version below. Only for people: it changes nothing,
 * and may be old when it returns. */
uint32_t lease_nodes_below(struct leases *l, uint64_t table, uint32_t below);

/* For `instar nodes`. */
struct lease_node_stat {
    uint32_t leases;
    uint32_t uses;
    uint64_t oldest_ns; /* age of the oldest transaction, 0: none */
};
void lease_node_stat(struct leases *l, uint32_t node, uint64_t nonce,
                     struct lease_node_stat *stat_out);

#endif
