/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: all descriptors at one snapshot, read once, then shared by counting. A table that a new
 * view has in the same version as an older one is not decoded again but shared between them (a
 * descriptor never changes without its version), so a publication costs the work of one table.
 */
#include "catalog/catalog_impl.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A table with the number of views that hold it. */
struct shared {
    struct catalog_table *table;
    _Atomic uint32_t refs;
};

struct catalog_held {
    struct catalog_view view; /* first: views are handed out by this address */
    _Atomic uint32_t refs;
    uint32_t capacity;
    struct shared **shared;       /* by id */
    struct catalog_table **by_id; /* the same tables, for searching */
};

_Static_assert(offsetof(struct catalog_held, view) == 0, "a view's address is its holder's");

const struct catalog_view *catalog_held_view(const struct catalog_held *held)
{
    return &held->view;
}

struct catalog_held *catalog_held_of(const struct catalog_view *view)
{
    return (struct catalog_held *)(uintptr_t)view;
}

void catalog_held_acquire(struct catalog_held *held)
{
    atomic_fetch_add_explicit(&held->refs, 1, memory_order_relaxed);
}

static void release_shared(struct shared *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) {
        catalog_table_free(s->table);
        base_free(s);
    }
}

void catalog_held_release(struct catalog_held *held)
{
    if (held == NULL || atomic_fetch_sub_explicit(&held->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; i < held->view.table_count; i++) {
        release_shared(held->shared[i]);
    }
    base_free(held->shared);
    base_free(held->by_id);
    base_free(held->view.tables);
    base_free(held);
}

/* ---- searching ---------------------------------------------------------------------------- */

/* Position of an id, or table_count. */
static uint32_t find_id(const struct catalog_held *held, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = held->view.table_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (held->by_id[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < held->view.table_count && held->by_id[low]->id == id;
    return found ? low : held->view.table_count;
}

const struct catalog_table *catalog_view_table_by_id(const struct catalog_view *view, uint64_t id)
{
    const struct catalog_held *held = catalog_held_of(view);
    uint32_t at = find_id(held, id);
    return at < view->table_count ? held->by_id[at] : NULL;
}

static const struct catalog_table *find_name(const struct catalog_view *view, const char *name)
{
    uint32_t low = 0;
    uint32_t high = view->table_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(view->tables[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < view->table_count && strcmp(view->tables[low]->name, name) == 0;
    /* One that is being made is there for those who refer to it by its id alone. */
    return found && view->tables[low]->change == 0 ? view->tables[low] : NULL;
}

/* All names of one kind, to find the nearest; NULL without memory: then there is no hint. */
static const char **list_names(const struct catalog_view *view, bool indexes, size_t *count_out)
{
    size_t count = 0;
    for (uint32_t i = 0; i < view->table_count; i++) {
        count += indexes ? view->tables[i]->index_count : 1;
    }
    const char **names = base_alloc((count + 1) * sizeof(*names));
    *count_out = 0;
    for (uint32_t i = 0; names != NULL && i < view->table_count; i++) {
        const struct catalog_table *table = view->tables[i];
        if (!indexes && table->change == 0) {
            names[(*count_out)++] = table->name;
        }
        for (uint32_t j = 0; indexes && j < table->index_count; j++) {
            names[(*count_out)++] = table->indexes[j].name;
        }
    }
    return names;
}

static int unknown(const struct catalog_view *view, bool indexes, const char *name,
                   struct base_err *err)
{
    char hint[CATALOG_HINT_MAX];
    size_t count;
    const char **names = list_names(view, indexes, &count);
    const char *nearest = base_nearest_name(name, names, count);
    int rc = base_err_set(err, INSTAR_EUNKNOWN, "there is no %s \"%s\"%s",
                          indexes ? "index" : "table", name, catalog_hint(nearest, hint));
    base_free(names);
    return rc;
}

int catalog_view_table(const struct catalog_view *view, const char *name,
                       const struct catalog_table **table_out, struct base_err *err)
{
    *table_out = NULL;
    int rc = catalog_name_check("table", name, err);
    if (rc != 0) {
        return rc;
    }
    *table_out = find_name(view, name);
    return *table_out != NULL ? 0 : unknown(view, false, name, err);
}

int catalog_view_find_table(const struct catalog_view *view, const char *name,
                            const struct catalog_table **table_out, struct base_err *err)
{
    int rc = catalog_view_table(view, name, table_out, err);
    for (uint32_t i = 0; rc == INSTAR_EUNKNOWN && i < view->table_count; i++) {
        if (strcmp(view->tables[i]->alias, name) == 0) {
            *table_out = view->tables[i];
            base_err_clear(err);
            rc = 0;
        }
    }
    return rc;
}

int catalog_view_index(const struct catalog_view *view, const char *name,
                       const struct catalog_table **table_out,
                       const struct catalog_index **index_out, struct base_err *err)
{
    *table_out = NULL;
    *index_out = NULL;
    int rc = catalog_name_check("index", name, err);
    if (rc != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < view->table_count; i++) {
        const struct catalog_index *index = catalog_table_index(view->tables[i], name);
        if (index != NULL) {
            *table_out = view->tables[i];
            *index_out = index;
            return 0;
        }
    }
    return unknown(view, true, name, err);
}

/* ---- loading ------------------------------------------------------------------------------ */

static bool grow(struct catalog_held *held)
{
    uint32_t capacity = held->capacity == 0 ? 16 : held->capacity * 2;
    struct shared **shared = base_realloc(held->shared, capacity * sizeof(*shared));
    if (shared == NULL) {
        return false;
    }
    held->shared = shared;
    struct catalog_table **by_id = base_realloc(held->by_id, capacity * sizeof(*by_id));
    if (by_id == NULL) {
        return false;
    }
    held->by_id = by_id;
    held->capacity = capacity;
    return true;
}

/* The table in these bytes: the old view's when it has that version, else decoded. Counted. */
static int share_or_decode(const struct catalog_held *old, struct base_slice body,
                           struct shared **shared_out, struct base_err *err)
{
    uint64_t id;
    uint32_t version;
    int rc = catalog_table_peek(body, &id, &version, err);
    if (rc != 0) {
        return rc;
    }
    uint32_t at = old != NULL ? find_id(old, id) : 0;
    if (old != NULL && at < old->view.table_count && old->by_id[at]->version == version) {
        *shared_out = old->shared[at];
        atomic_fetch_add_explicit(&(*shared_out)->refs, 1, memory_order_relaxed);
        return 0;
    }
    struct shared *s = base_alloc(sizeof(*s));
    if (s == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a table's descriptor");
    }
    rc = catalog_table_decode(body, &s->table, err);
    if (rc != 0) {
        base_free(s);
        return rc;
    }
    atomic_init(&s->refs, 1);
    *shared_out = s;
    return 0;
}

/* Descriptors come in the order of their keys, which is that of the ids. */
static int add_table(struct catalog_held *held, const struct catalog_held *old,
                     struct base_slice key, struct base_slice record, struct base_err *err)
{
    struct base_slice body;
    struct shared *s = NULL;
    int rc = catalog_record_open(key, record, &body, err);
    if (rc == 0) {
        rc = share_or_decode(old, body, &s, err);
    }
    if (rc == 0 && s->table->id != catalog_key_table_id(key)) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "the descriptor names id %" PRIu64, s->table->id);
    }
    if (rc == 0 && held->view.table_count == held->capacity && !grow(held)) {
        rc = base_err_set(err, INSTAR_ENOMEM, "no memory for the catalog");
    }
    if (rc != 0) {
        if (s != NULL) {
            release_shared(s);
        }
        return rc;
    }
    held->shared[held->view.table_count] = s;
    held->by_id[held->view.table_count] = s->table;
    held->view.table_count++;
    return 0;
}

/* Say whose descriptor it was. One that cannot be read does not know its own name. */
static void name_bad(struct store_txn *t, uint64_t id, struct base_err *err)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];
    if (catalog_name_of_table(t, id, name)) {
        base_err_prefix(err, "descriptor of table %" PRIu64 " (%s)", id, name);
    } else {
        base_err_prefix(err, "descriptor of table %" PRIu64, id);
    }
}

static int read_tables(struct store_txn *t, struct catalog_held *held,
                       const struct catalog_held *old, struct base_err *err)
{
    static const uint8_t first = CATALOG_KIND_TABLE;
    static const uint8_t behind = CATALOG_KIND_TABLE + 1;
    struct store_range range = {.lower = {&first, 1}, .upper = {&behind, 1}};
    struct store_cursor *cursor;
    int rc = store_cursor_open(t, CATALOG_TREE, &range, STORE_READ_UNTRACKED, &cursor, err);
    if (rc != 0) {
        return rc;
    }
    uint64_t bad = 0;
    while (rc == 0) {
        struct base_slice key;
        struct base_slice record;
        rc = store_cursor_next(cursor, &key, &record, err);
        if (rc == 0) {
            rc = add_table(held, old, key, record, err);
            bad = rc != 0 ? catalog_key_table_id(key) : 0;
        }
    }
    store_cursor_close(cursor);
    if (bad != 0) {
        name_bad(t, bad, err);
    }
    return rc == INSTAR_END ? 0 : rc;
}

static int by_name(const void *a, const void *b)
{
    const struct catalog_table *const *x = a;
    const struct catalog_table *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The order for searching by name. Two tables of one name would make it ambiguous. */
static int sort_names(struct catalog_held *held, struct base_err *err)
{
    struct catalog_view *view = &held->view;
    view->tables = base_alloc((view->table_count + 1) * sizeof(*view->tables));
    if (view->tables == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for the catalog");
    }
    if (view->table_count != 0) {
        memcpy(view->tables, held->by_id, view->table_count * sizeof(*view->tables));
        qsort(view->tables, view->table_count, sizeof(*view->tables), by_name);
    }
    for (uint32_t i = 1; i < view->table_count; i++) {
        if (by_name(&view->tables[i - 1], &view->tables[i]) == 0) {
            return base_err_set(
                err, INSTAR_ECORRUPT, "tables %" PRIu64 " and %" PRIu64 " are both named \"%s\"",
                view->tables[i - 1]->id, view->tables[i]->id, view->tables[i]->name);
        }
    }
    return 0;
}

int catalog_held_load(struct store_txn *t, uint64_t schema_lsn, const struct catalog_held *old,
                      struct catalog_held **held_out, struct base_err *err)
{
    *held_out = NULL;
    struct catalog_held *held = base_alloc_zero(1, sizeof(*held));
    if (held == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for the catalog");
    }
    atomic_init(&held->refs, 1);
    held->view.schema_lsn = schema_lsn;
    int rc = read_tables(t, held, old, err);
    if (rc == 0) {
        rc = sort_names(held, err);
    }
    if (rc != 0) {
        catalog_held_release(held);
        base_err_prefix(err, "read the catalog");
        return rc;
    }
    *held_out = held;
    return 0;
}
