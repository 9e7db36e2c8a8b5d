/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a transaction: begin, what it binds on the way, commit, abort.
 *
 *     begin: snapshot -> view of the catalog at it
 *        │
 *        ▼            first touch of a table by a read-write transaction
 *     binding: version of the view -> lease on it ── moved on? ──► nothing read yet: new snapshot
 *        │                                                         else ESCHEMA_CHANGED
 *        ▼
 *     reading and writing: by that version's capabilities
 *        │
 *        ▼
 *     commit: probes of unique indexes and foreign keys; then, in the store's critical section, all
 * leases as fences; then the leases are given back
 *
 * Why a read-only transaction needs no lease: its snapshot fixes its version, and all that was
 * committed up to the snapshot came from writers who kept that version's indexes.
 */
#include "txn/txn_impl.h"

#include <string.h>

/* How often a transaction that has read nothing follows a schema that moves on. */
#define FOLLOW_MAX 200
/* What one that has ended keeps of each of its buffers, for the next one. */
#define KEEP_BYTES ((size_t)4 << 10)

/* ---- memory --------------------------------------------------------------------------------
 *
 * A transaction that has ended is kept, one of an env, with the memory of its statements: so one
 * that begins behind it asks for none.
 */

static void free_memory(struct txn *t)
{
    base_buf_free(&t->from_key);
    base_buf_free(&t->to_key);
    base_buf_free(&t->plan_bytes);
    base_buf_free(&t->plan_steps);
    base_buf_free(&t->probes);
    base_buf_free(&t->probe_keys);
    base_buf_free(&t->references);
    base_buf_free(&t->reference_keys);
    base_arena_free(&t->scratch);
    base_arena_free(&t->arena);
    base_free(t);
}

/* Empty, and with little memory. */
static struct base_buf trimmed(struct base_buf b)
{
    base_buf_clear(&b);
    if (b.capacity > KEEP_BYTES) {
        base_buf_free(&b);
    }
    return b;
}

static void give_memory(struct txn *t)
{
    struct txn_env *env = t->env;
    struct txn *none = NULL;
    base_arena_trim(&t->scratch, KEEP_BYTES);
    base_arena_trim(&t->arena, KEEP_BYTES);
    *t = (struct txn){.env = env,
                      .arena = t->arena,
                      .scratch = t->scratch,
                      .from_key = trimmed(t->from_key),
                      .to_key = trimmed(t->to_key),
                      .plan_bytes = trimmed(t->plan_bytes),
                      .plan_steps = trimmed(t->plan_steps),
                      .probes = trimmed(t->probes),
                      .probe_keys = trimmed(t->probe_keys),
                      .references = trimmed(t->references),
                      .reference_keys = trimmed(t->reference_keys)};
    /* A test that refuses memory is to meet each request. */
    if (base_alloc_watched() || !atomic_compare_exchange_strong(&env->idle, &none, t)) {
        free_memory(t);
    }
}

static struct txn *take_memory(struct txn_env *env)
{
    struct txn *t = atomic_exchange(&env->idle, NULL);
    if (t == NULL) {
        t = base_alloc_zero(1, sizeof(*t));
    }
    return t;
}

void txn_env_end(struct txn_env *env)
{
    struct txn *t = atomic_exchange(&env->idle, NULL);
    if (t != NULL) {
        free_memory(t);
    }
}

/* ---- beginning ---------------------------------------------------------------------------- */

static int take_snapshot(struct txn *t, struct base_err *err)
{
    int rc = store_txn_begin(t->env->store, t->store_flags, &t->store, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = catalog_view_get(t->env->catalog, t->store, &t->view, err);
    if (rc != INSTAR_OK) {
        store_txn_abort(t->store);
        t->store = NULL;
    }
    return rc;
}

int txn_begin_store(struct txn_env *env, unsigned store_flags, struct txn **txn_out,
                    struct base_err *err)
{
    *txn_out = NULL;
    struct txn *t = take_memory(env);
    if (t == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "beginning a transaction: no memory");
    }
    t->env = env;
    t->store_flags = store_flags;
    t->begun_ns = os_now_ns();
    int rc = take_snapshot(t, err);
    if (rc != INSTAR_OK) {
        give_memory(t);
        return rc;
    }
    *txn_out = t;
    return INSTAR_OK;
}

int txn_store_flags(const struct txn_env *env, unsigned flags, unsigned *out, struct base_err *err)
{
    const unsigned both = INSTAR_TXN_SYNC | INSTAR_TXN_ASYNC;
    const unsigned known = both | INSTAR_TXN_READONLY | INSTAR_TXN_SNAPSHOT;
    bool sync = (flags & INSTAR_TXN_SYNC) != 0;
    *out = 0;
    if ((flags & ~known) != 0 || (flags & both) == both) {
        return base_err_set(err, INSTAR_EINVALID,
                            "transaction flags 0x%x: unknown ones, or both "
                            "durabilities",
                            flags);
    }
    if ((flags & both) == 0) {
        sync = store_options(env->store)->durability != INSTAR_ASYNC;
    }
    *out = (sync ? STORE_TXN_SYNC : 0u) |
           ((flags & INSTAR_TXN_READONLY) != 0 ? STORE_TXN_READONLY : 0u) |
           ((flags & INSTAR_TXN_SNAPSHOT) != 0 ? STORE_TXN_SNAPSHOT : 0u);
    return INSTAR_OK;
}

int txn_begin(struct txn_env *env, unsigned flags, struct txn **txn_out, struct base_err *err)
{
    unsigned store_flags;
    int rc = txn_store_flags(env, flags, &store_flags, err);
    *txn_out = NULL;
    return rc == INSTAR_OK ? txn_begin_store(env, store_flags, txn_out, err) : rc;
}

/* ---- binding ------------------------------------------------------------------------------ */

/* Give back all that was bound: leases, resolutions. */
static void unbind(struct txn *t)
{
    for (struct txn_bound *b = t->bounds; b != NULL; b = b->next) {
        txn_resolution_release(b->projection, b->resolution);
        txn_projection_free(b->projection);
    }
    for (struct txn_table *table = t->tables; table != NULL; table = table->next) {
        if (table->leased) {
            lease_release(t->env->leases, &table->use);
        }
    }
    t->bounds = NULL;
    t->tables = NULL;
    t->first_bound_used = false;
    t->first_table_used = false;
}

static const struct catalog_table *forced_table(const struct txn *t, const char *name)
{
    for (const struct txn_forced *f = t->forced; f != NULL; f = f->next) {
        if (strcmp(f->table->name, name) == 0) {
            return f->table;
        }
    }
    return NULL;
}

static int lease_table(struct txn *t, struct txn_table *out, struct base_err *err)
{
    const struct catalog_table *table = out->codec.table;
    if (txn_read_only(t) || out->codec.forced) {
        return INSTAR_OK;
    }
    int rc = lease_acquire(t->env->leases, table->id, table->version, t->view->schema_lsn,
                           t->begun_ns, &out->use, err);
    out->leased = rc == INSTAR_OK;
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "table %s", table->name);
    }
    return rc;
}

/* own: the version that the transaction uses; newest: of the view, where own is forced, or NULL. */
static int use_table(struct txn *t, const struct catalog_table *own,
                     const struct catalog_table *newest, struct txn_table **table_out,
                     struct base_err *err)
{
    for (struct txn_table *at = t->tables; at != NULL; at = at->next) {
        if (at->codec.table == own) {
            *table_out = at;
            return INSTAR_OK;
        }
    }
    struct txn_table *out = &t->first_table;
    if (t->first_table_used) {
        out = base_arena_alloc(&t->arena, sizeof(*out));
        if (out == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", own->name);
        }
    }
    memset(out, 0, sizeof(*out));
    int rc = txn_codec_init(&out->codec, own, newest, store_options(t->env->store)->row_bytes_max,
                            &t->arena, err);
    if (rc == INSTAR_OK) {
        rc = lease_table(t, out, err);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    t->first_table_used = true;
    out->next = t->tables;
    t->tables = out;
    *table_out = out;
    return INSTAR_OK;
}

static int open_table(struct txn *t, const char *name, struct txn_table **table_out,
                      struct base_err *err)
{
    const struct catalog_table *forced = forced_table(t, name);
    const struct catalog_table *table = NULL;
    int rc = catalog_view_find_table(t->view, name, &table, err);
    if (forced == NULL) {
        return rc == INSTAR_OK ? use_table(t, table, NULL, table_out, err) : rc;
    }
    return use_table(t, forced, rc == INSTAR_OK ? table : forced, table_out, err);
}

int txn_open_table_by_id(struct txn *t, uint64_t id, struct txn_table **table_out,
                         struct base_err *err)
{
    const struct catalog_table *table = catalog_view_table_by_id(t->view, id);
    for (const struct txn_forced *f = t->forced; f != NULL; f = f->next) {
        if (f->table->id == id) {
            return use_table(t, f->table, table != NULL ? table : f->table, table_out, err);
        }
    }
    if (table == NULL) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "there is no table %" PRIu64 ", to which a foreign key leads", id);
    }
    return use_table(t, table, NULL, table_out, err);
}

static int bind_once(struct txn *t, struct txn_projection *p, struct txn_bound **bound_out,
                     struct base_err *err)
{
    struct txn_table *table = NULL;
    struct txn_bound *b = &t->first_bound;
    int rc = open_table(t, p->table, &table, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (t->first_bound_used) {
        b = base_arena_alloc(&t->arena, sizeof(*b));
        if (b == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", p->table);
        }
    }
    *b = (struct txn_bound){.projection = p, .table = table};
    rc = txn_resolve(p, &table->codec, &b->resolution, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    txn_projection_hold(p);
    t->first_bound_used = true;
    b->next = t->bounds;
    t->bounds = b;
    *bound_out = b;
    return INSTAR_OK;
}

/* Nothing was read or written: begin again at a newer snapshot, as if begin had come later. */
static int follow(struct txn *t, struct base_err *err)
{
    unbind(t);
    catalog_view_release(t->env->catalog, t->view);
    t->view = NULL;
    store_txn_abort(t->store);
    t->store = NULL;
    return take_snapshot(t, err);
}

int txn_bind(struct txn *t, struct txn_projection *p, struct txn_bound **bound_out,
             struct base_err *err)
{
    if (t->broken != INSTAR_OK) {
        return base_err_set(err, t->broken,
                            "an earlier statement of this transaction failed half way: abort it");
    }
    for (struct txn_bound *b = t->bounds; b != NULL; b = b->next) {
        if (b->projection == p) {
            *bound_out = b;
            return INSTAR_OK;
        }
    }
    for (unsigned tries = 0;; tries++) {
        int rc = bind_once(t, p, bound_out, err);
        if (rc != INSTAR_ESCHEMA_CHANGED || t->used || tries == FOLLOW_MAX) {
            return rc;
        }
        rc = follow(t, err);
        if (rc != INSTAR_OK) {
            t->broken = rc;
            return rc;
        }
    }
}

void txn_force_version(struct txn *t, const struct catalog_table *forced)
{
    struct txn_forced *f = base_arena_alloc(&t->arena, sizeof(*f));
    base_assert(f != NULL);
    *f = (struct txn_forced){.table = forced, .next = t->forced};
    t->forced = f;
}

/* ---- the end ------------------------------------------------------------------------------ */

static void end(struct txn *t)
{
    unbind(t);
    catalog_view_release(t->env->catalog, t->view);
    give_memory(t);
}

void txn_abort(struct txn *t)
{
    if (t == NULL) {
        return;
    }
    store_txn_abort(t->store);
    end(t);
}

/* A fence did not hold: say which. */
static int lease_lost(const struct txn *t, const struct store_fence *fences, struct base_err *err)
{
    size_t at = 0;
    for (const struct txn_table *table = t->tables; table != NULL; table = table->next) {
        if (!table->leased) {
            continue;
        }
        const struct store_fence *f = &fences[at++];
        bool revoked = (*f->word & f->mask) != f->expect;
        if (revoked || os_now_ns() >= *f->expiry_ns) {
            return base_err_set(err, INSTAR_ESCHEMA_CHANGED,
                                "table %s: the lease on version %" PRIu32
                                " %s before the commit; nothing was written",
                                table->codec.table->name, table->codec.table->version,
                                revoked ? "was revoked" : "expired");
        }
    }
    return INSTAR_ESCHEMA_CHANGED;
}

static int commit_writes(struct txn *t, struct base_err *err)
{
    size_t count = 0;
    struct store_fence one;
    struct store_fence *fences = &one;
    for (struct txn_table *table = t->tables; table != NULL; table = table->next) {
        count += table->leased ? 1 : 0;
    }
    if (count > 1) {
        fences = base_arena_alloc(&t->arena, sizeof(*fences) * count);
        if (fences == NULL) {
            store_txn_abort(t->store);
            return base_err_set(err, INSTAR_ENOMEM, "commit: no memory for %zu fences", count);
        }
    }
    size_t at = 0;
    for (struct txn_table *table = t->tables; table != NULL; table = table->next) {
        if (table->leased) {
            lease_fence(t->env->leases, &table->use, &fences[at++]);
        }
    }
    struct store_commit how = {.fences = fences, .fence_count = count};
    int rc = store_txn_commit(t->store, &how, NULL, err);
    return rc == INSTAR_ESCHEMA_CHANGED ? lease_lost(t, fences, err) : rc;
}

int txn_commit(struct txn *t, struct base_err *err)
{
    int rc = t->broken;
    if (rc != INSTAR_OK) {
        base_err_set(err, rc,
                     "an earlier statement of this transaction failed half way; nothing "
                     "was written");
    } else {
        rc = txn_probe_all(t, err);
        rc = rc == INSTAR_OK ? txn_reference_check_all(t, err) : rc;
    }
    if (rc != INSTAR_OK) {
        store_txn_abort(t->store);
    } else if (store_txn_has_writes(t->store)) {
        rc = commit_writes(t, err);
    } else {
        rc = store_txn_commit(t->store, NULL, NULL, err);
    }
    end(t);
    return rc;
}

/* ---- small things ------------------------------------------------------------------------- */

uint64_t txn_lsn(const struct txn *t)
{
    return t->store != NULL ? store_txn_lsn(t->store) : 0;
}

int64_t txn_row_id(const struct txn *t)
{
    return t->row_id;
}

struct txn_env *txn_env_of(const struct txn *t)
{
    return t->env;
}

void txn_set_owner(struct txn *t, void *owner)
{
    t->owner = owner;
}

void *txn_owner(const struct txn *t)
{
    return t->owner;
}
