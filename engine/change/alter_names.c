/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that an alter table gives and takes. From submission on both belong to the change: the
 * new one so that nobody else takes it, the old one because it is an alias for as long as the
 * version before is in use.
 *
 *                     old name           new name
 *     submitted       held               held
 *     altered         held               the object's
 *     retired         free               the object's
 *     gone back       the object's       free
 *
 * A name may be the old one of one object and the new one of another; then the new one counts.
 */
#include "change/alter_impl.h"

#include <stdio.h>
#include <string.h>

static void note(struct alter_name *names, size_t *count, uint32_t index, const char *old,
                 const char *new)
{
    if (strcmp(old, new) != 0) {
        struct alter_name *n = &names[(*count)++];
        n->index = index;
        snprintf(n->old, sizeof(n->old), "%s", old);
        snprintf(n->new, sizeof(n->new), "%s", new);
    }
}

int alter_names_find(const struct catalog_table *from, const struct catalog_table *to,
                     struct base_arena *arena, struct alter_name **names_out, size_t *count_out,
                     struct base_err *err)
{
    *count_out = 0;
    *names_out = base_arena_alloc(arena, ((size_t)to->index_count + 1) * sizeof(**names_out));
    if (*names_out == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "altering table %s: out of memory", from->name);
    }
    note(*names_out, count_out, 0, from->name, to->name);
    for (uint32_t i = 0; i < to->index_count; i++) {
        const struct catalog_index *before = catalog_table_index_by_id(from, to->indexes[i].id);
        if (before != NULL) {
            note(*names_out, count_out, before->id, before->name, to->indexes[i].name);
        }
    }
    return 0;
}

static bool is_old(const struct alter_name *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i].old, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_new(const struct alter_name *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i].new, name) == 0) {
            return true;
        }
    }
    return false;
}

static int put(struct store_txn *t, const char *name, uint64_t table, uint32_t index,
               uint64_t change, struct base_err *err)
{
    struct catalog_name value = {.kind = index != 0 ? CATALOG_NAME_INDEX : CATALOG_NAME_TABLE,
                                 .table = table,
                                 .index = index,
                                 .change = change};

    return catalog_name_put(t, name, &value, err);
}

int alter_name_busy(struct store_txn *t, const char *name, uint64_t change, struct base_err *err)
{
    struct change_record r = {0};
    int rc = record_get(t, change, STORE_READ_NORMAL, &r, err);

    if (rc == 0) {
        rc = base_err_set(err, INSTAR_ESTATE, "\"%s\" is being %s by change %llu", name,
                          plan_doing(&r), (unsigned long long)change);
    }
    record_free(&r);
    return rc;
}

int alter_names_idle(struct store_txn *t, const struct catalog_table *from,
                     const instar_alteration *steps, size_t count, struct base_err *err)
{
    for (size_t i = 0; i < count; i++) {
        bool renames = steps[i].kind == INSTAR_ALTER_RENAME_INDEX ||
                       steps[i].kind == INSTAR_ALTER_RENAME_CONSTRAINT;
        struct catalog_name found;
        if (!renames || steps[i].name == NULL || catalog_table_index(from, steps[i].name) != NULL) {
            continue;
        }
        int rc = catalog_name_get(t, steps[i].name, &found, err);
        if (rc == 0 && found.kind == CATALOG_NAME_INDEX && found.table == from->id &&
            found.change != 0) {
            return alter_name_busy(t, steps[i].name, found.change, err);
        }
        if (rc != 0 && rc != INSTAR_ENOTFOUND) {
            return rc;
        }
        base_err_clear(err);
    }
    return 0;
}

static int reserve_old(struct store_txn *t, const struct alter_name *n, uint64_t table,
                       uint64_t change, struct base_err *err)
{
    struct catalog_name found;
    int rc = catalog_name_get(t, n->old, &found, err);

    if (rc == 0 && found.change != 0) {
        rc = alter_name_busy(t, n->old, found.change, err);
    } else if (rc == 0 && (found.table != table || found.index != n->index)) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "the name \"%s\" leads to another object", n->old);
    }
    return rc == 0 ? put(t, n->old, table, n->index, change, err) : rc;
}

static int reserve_new(struct store_txn *t, const struct alter_name *n, uint64_t table,
                       uint64_t change, struct base_err *err)
{
    struct catalog_name found;
    int rc = catalog_name_get(t, n->new, &found, err);

    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        return put(t, n->new, table, n->index, change, err);
    }
    if (rc == 0 && found.change != 0) {
        return alter_name_busy(t, n->new, found.change, err);
    }
    return rc != 0
               ? rc
               : base_err_set(err, INSTAR_EEXISTS, "there is %s named \"%s\" already",
                              found.kind == CATALOG_NAME_TABLE ? "a table" : "an index", n->new);
}

int alter_names_reserve(struct store_txn *t, uint64_t table, uint64_t change,
                        const struct alter_name *names, size_t count, struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = reserve_old(t, &names[i], table, change, err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!is_old(names, count, names[i].new)) {
            rc = reserve_new(t, &names[i], table, change, err);
        }
    }
    return rc;
}

int alter_names_give(struct store_txn *t, uint64_t table, const struct alter_request *request,
                     struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < request->name_count; i++) {
        const struct alter_name *n = &request->names[i];
        rc = put(t, n->new, table, n->index, 0, err);
    }
    return rc;
}

int alter_names_retire(struct store_txn *t, const struct alter_request *request,
                       struct base_err *err)
{
    const struct alter_name *names = request->names;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < request->name_count; i++) {
        if (!is_new(names, request->name_count, names[i].old)) {
            rc = catalog_name_delete(t, names[i].old, err);
        }
    }
    return rc;
}

int alter_names_restore(struct store_txn *t, uint64_t table, const struct alter_request *request,
                        struct base_err *err)
{
    const struct alter_name *names = request->names;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < request->name_count; i++) {
        if (!is_old(names, request->name_count, names[i].new)) {
            rc = catalog_name_delete(t, names[i].new, err);
        }
    }
    for (size_t i = 0; rc == 0 && i < request->name_count; i++) {
        rc = put(t, names[i].old, table, names[i].index, 0, err);
    }
    return rc;
}

int alter_names_back(struct store_txn *t, const struct change_record *r, struct base_err *err)
{
    struct alter_request request;
    int rc = alter_decode(base_buf_slice(&r->descriptor), &request, err);

    if (rc == 0) {
        rc = alter_names_restore(t, r->table, &request, err);
    }
    base_arena_free(&request.arena);
    return rc;
}
