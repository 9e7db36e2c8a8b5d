/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when something of that name exists, or is on its way in or out:
 *
 *     the name is …             IF NOT EXISTS                        otherwise
 *     free                      create                               create
 *     public, same              done (id 0)                          EEXISTS
 *     public, different         EDEFINITION, the difference          EEXISTS
 *     being created, same       attach to that change                EEXISTS, names the change
 *     being created, different  EDEFINITION, the difference          EDEFINITION, the difference
 *     being undone or dropped   create when that has ended           ESTATE, names the change
 *
 * All reads are tracked, so the answer still holds when the submission commits.
 */
#include "change/compound_impl.h"
#include "change/runner_impl.h"

#include <stdio.h>
#include <string.h>

#define DIFFERENCE_MAX 256

int join_same_index(const struct catalog_table *table, const struct catalog_index *existing,
                    const instar_index_def *def, bool *same_out, char *difference, size_t size,
                    struct base_err *err)
{
    struct catalog_table *copy;
    struct catalog_index *made;
    struct catalog_index kept = *existing;

    *same_out = false;
    int rc = catalog_table_copy(table, &copy, err);
    if (rc != 0) {
        return rc;
    }
    catalog_index_remove(copy, def->name);
    rc = catalog_index_from_def(copy, def, &made, err);
    if (rc == 0) {
        *same_out = catalog_index_same(copy, &kept, made, difference, size);
    }
    catalog_table_free(copy);
    return rc;
}

static int exists(const char *name, const char *what, struct base_err *err)
{
    return base_err_set(err, INSTAR_EEXISTS, "there is %s named \"%s\" already", what, name);
}

static int not_told(const char *name, struct base_err *err)
{
    return base_err_set(err, INSTAR_ENOMEM, "no memory to compare the definitions of \"%s\"", name);
}

static int differs(const char *name, const char *difference, struct base_err *err)
{
    if (difference[0] == '\0') {
        return not_told(name, err);
    }
    return base_err_set(err, INSTAR_EDEFINITION, "\"%s\" exists with another definition: %s", name,
                        difference);
}

/* ---- a change is at work on the name ------------------------------------------------------ */

static int compound_creates(const struct change_record *r, const char *name, bool *creates_out,
                            struct base_err *err)
{
    struct compound_request request = {0};
    int rc = r->kind == CHANGE_COMPOUND
                 ? compound_decode(base_buf_slice(&r->descriptor), &request, err)
                 : 0;

    *creates_out = rc == 0 && compound_created(&request, name) != NULL;
    compound_free(&request);
    return rc;
}

/* What the change does to the name, before any definition is compared. *creating_out: it is
 * creating it, and nothing stands against that. */
static int at_work(const struct change_record *r, const char *name, uint32_t flags,
                   bool *creating_out, enum join *join_out, struct base_err *err)
{
    bool creates;
    int rc = compound_creates(r, name, &creates, err);

    creates = creates || r->kind == CHANGE_CREATE_TABLE || r->kind == CHANGE_CREATE_INDEX;
    *creating_out = creates && r->state == INSTAR_CHANGE_RUNNING && !r->cancel;
    if (rc != 0 || *creating_out) {
        return rc;
    }
    *join_out = JOIN_BEHIND;
    if ((flags & INSTAR_CHANGE_IF_NOT_EXISTS) != 0) {
        return 0;
    }
    return base_err_set(err, INSTAR_ESTATE, "\"%s\" is being %s by change %llu", name,
                        plan_doing(r), (unsigned long long)r->id);
}

/* The change is creating the name, with the same definition or not. */
static int on_its_way(const struct change_record *r, const char *name, uint32_t flags, bool same,
                      const char *difference, struct base_err *err)
{
    if (!same && difference[0] == '\0') {
        return not_told(name, err);
    }
    if (!same) {
        return base_err_set(err, INSTAR_EDEFINITION,
                            "change %llu is creating \"%s\" with another definition: %s",
                            (unsigned long long)r->id, name, difference);
    }
    if ((flags & INSTAR_CHANGE_IF_NOT_EXISTS) != 0) {
        return 0;
    }
    return base_err_set(err, INSTAR_EEXISTS, "change %llu is creating \"%s\" already",
                        (unsigned long long)r->id, name);
}

/* ---- indexes ------------------------------------------------------------------------------ */

/* `other` is what the change of the record makes. */
static int same_as_other(struct store_txn *t, const struct change_record *r,
                         const instar_index_def *other, const instar_index_def *def, bool *same_out,
                         char *difference, struct base_err *err)
{
    struct catalog_table *table;
    struct catalog_index *made;
    int rc = catalog_get_table(t, r->table, &table, err);

    if (rc != 0) {
        return rc;
    }
    if (strcmp(table->name, def->table) != 0) {
        snprintf(difference, DIFFERENCE_MAX, "it is an index of table %s", table->name);
        catalog_table_free(table);
        return 0;
    }
    catalog_index_remove(table, other->name);
    rc = catalog_index_from_def(table, other, &made, err);
    if (rc == 0) {
        rc = join_same_index(table, made, def, same_out, difference, DIFFERENCE_MAX, err);
    }
    catalog_table_free(table);
    return rc;
}

static int same_as_record(struct store_txn *t, const struct change_record *r,
                          const instar_index_def *def, bool *same_out, char *difference,
                          struct base_err *err)
{
    struct record_index own = {.def = {.name = NULL}};
    struct compound_request request = {0};
    const instar_index_def *other = &own.def;
    int rc = 0;

    *same_out = false;
    if (r->kind == CHANGE_CREATE_TABLE) {
        snprintf(difference, DIFFERENCE_MAX, "it is a table");
        return 0;
    }
    if (r->kind == CHANGE_COMPOUND) {
        rc = compound_decode(base_buf_slice(&r->descriptor), &request, err);
        other = rc == 0 ? &compound_created(&request, def->name)->def : other;
    } else {
        rc = record_index_get(r, &own, err);
    }
    if (rc == 0) {
        rc = same_as_other(t, r, other, def, same_out, difference, err);
    }
    compound_free(&request);
    record_index_free(&own);
    return rc;
}

static int index_at_work(struct store_txn *t, const struct catalog_name *found,
                         const instar_index_def *def, uint32_t flags, enum join *join_out,
                         struct base_err *err)
{
    struct change_record r = {0};
    char difference[DIFFERENCE_MAX] = "";
    bool creating;
    bool same;
    int rc = record_get(t, found->change, STORE_READ_NORMAL, &r, err);

    if (rc == 0) {
        rc = at_work(&r, def->name, flags, &creating, join_out, err);
    }
    if (rc == 0 && creating) {
        *join_out = JOIN_ATTACH;
        rc = same_as_record(t, &r, def, &same, difference, err);
        if (rc == 0) {
            rc = on_its_way(&r, def->name, flags, same, difference, err);
        }
    }
    record_free(&r);
    return rc;
}

static int existing_index(struct store_txn *t, const struct catalog_name *found,
                          const instar_index_def *def, uint32_t flags, struct base_err *err)
{
    struct catalog_table *table;
    char difference[DIFFERENCE_MAX] = "";
    bool same = false;

    if ((flags & INSTAR_CHANGE_IF_NOT_EXISTS) == 0) {
        return exists(def->name, found->kind == CATALOG_NAME_TABLE ? "a table" : "an index", err);
    }
    if (found->kind == CATALOG_NAME_TABLE) {
        return differs(def->name, "it is a table", err);
    }
    int rc = catalog_get_table(t, found->table, &table, err);
    if (rc != 0) {
        return rc;
    }
    const struct catalog_index *index = catalog_table_index_by_id(table, found->index);
    if (index == NULL) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "table %s has no index %s, which its name says",
                          table->name, def->name);
    } else if (strcmp(table->name, def->table) != 0) {
        snprintf(difference, sizeof(difference), "it is an index of table %s", table->name);
    } else {
        rc = join_same_index(table, index, def, &same, difference, sizeof(difference), err);
    }
    catalog_table_free(table);
    return rc == 0 && !same ? differs(def->name, difference, err) : rc;
}

int join_index(struct store_txn *t, const instar_index_def *def, uint32_t flags,
               enum join *join_out, uint64_t *change_out, struct base_err *err)
{
    struct catalog_name found;
    int rc = catalog_name_get(t, def->name, &found, err);

    *join_out = JOIN_FREE;
    *change_out = 0;
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        return 0;
    }
    if (rc == 0 && found.change != 0) {
        *change_out = found.change;
        return index_at_work(t, &found, def, flags, join_out, err);
    }
    *join_out = JOIN_EXISTS;
    return rc == 0 ? existing_index(t, &found, def, flags, err) : rc;
}

/* ---- tables ------------------------------------------------------------------------------- */

static int table_at_work(struct store_txn *t, const struct catalog_name *found,
                         const struct catalog_table *wanted, uint32_t flags, enum join *join_out,
                         struct base_err *err)
{
    struct change_record r = {0};
    struct catalog_table *other = NULL;
    char difference[DIFFERENCE_MAX] = "it is an index";
    bool creating;
    int rc = record_get(t, found->change, STORE_READ_NORMAL, &r, err);

    if (rc == 0) {
        rc = at_work(&r, wanted->name, flags, &creating, join_out, err);
    }
    if (rc == 0 && creating) {
        bool same = false;
        *join_out = JOIN_ATTACH;
        if (r.kind == CHANGE_CREATE_TABLE) {
            rc = catalog_table_decode(base_buf_slice(&r.descriptor), &other, err);
            same = rc == 0 && catalog_table_same(other, wanted, difference, sizeof(difference));
        }
        if (rc == 0) {
            rc = on_its_way(&r, wanted->name, flags, same, difference, err);
        }
    }
    catalog_table_free(other);
    record_free(&r);
    return rc;
}

static int existing_table(struct store_txn *t, const struct catalog_name *found,
                          const struct catalog_table *wanted, uint32_t flags, struct base_err *err)
{
    struct catalog_table *table;
    char difference[DIFFERENCE_MAX] = "";

    if ((flags & INSTAR_CHANGE_IF_NOT_EXISTS) == 0) {
        return exists(wanted->name, found->kind == CATALOG_NAME_TABLE ? "a table" : "an index",
                      err);
    }
    if (found->kind != CATALOG_NAME_TABLE) {
        return differs(wanted->name, "it is an index", err);
    }
    int rc = catalog_get_table(t, found->table, &table, err);
    if (rc == 0 && !catalog_table_same(table, wanted, difference, sizeof(difference))) {
        rc = differs(wanted->name, difference, err);
    }
    catalog_table_free(table);
    return rc;
}

int join_table(struct store_txn *t, const struct catalog_table *wanted, uint32_t flags,
               enum join *join_out, uint64_t *change_out, struct base_err *err)
{
    struct catalog_name found;
    int rc = catalog_name_get(t, wanted->name, &found, err);

    *join_out = JOIN_FREE;
    *change_out = 0;
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        return 0;
    }
    if (rc == 0 && found.change != 0) {
        *change_out = found.change;
        return table_at_work(t, &found, wanted, flags, join_out, err);
    }
    *join_out = JOIN_EXISTS;
    return rc == 0 ? existing_table(t, &found, wanted, flags, err) : rc;
}
