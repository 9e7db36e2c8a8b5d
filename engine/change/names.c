/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of what changes make and drop. A name that a change is at work on holds its id. When a
 * later change is queued behind it (a drop of what is still being made), the name holds the later
 * one's, and the earlier one leaves it alone from then on (CHANGE-2).
 */
#include "change/runner_impl.h"

/* Give up the claim on a name: keep it as an ordinary name, or free it. A later change that is
 * queued behind this one has put its own id there; then it is left alone. */
int name_let_go(struct store_txn *t, const char *object, uint64_t change, bool keep,
                struct base_err *err)
{
    struct catalog_name name;
    int rc = catalog_name_get(t, object, &name, err);

    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        return 0;
    }
    if (rc != 0 || name.change != change) {
        return rc;
    }
    if (!keep) {
        return catalog_name_delete(t, object, err);
    }
    name.change = 0;
    return catalog_name_put(t, object, &name, err);
}

int name_release(struct job *j, struct store_txn *t, bool keep, struct base_err *err)
{
    return name_let_go(t, j->rec.object, j->rec.id, keep, err);
}

int name_release_uniques(struct job *j, struct store_txn *t, struct base_err *err)
{
    struct catalog_table *table = NULL;
    int rc = catalog_table_decode(base_buf_slice(&j->rec.descriptor), &table, err);

    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        rc = name_let_go(t, table->indexes[i].name, j->rec.id, false, err);
    }
    catalog_table_free(table);
    return rc;
}

int name_claim_uniques(struct job *j, struct store_txn *t, const struct catalog_table *table,
                       struct base_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        struct catalog_name name;
        rc = catalog_name_get(t, index->name, &name, err);
        if (rc == 0 && name.change != j->rec.id) {
            return base_err_set(err, INSTAR_EEXISTS, "there is %s named \"%s\" already",
                                name.kind == CATALOG_NAME_TABLE ? "a table" : "an index",
                                index->name);
        }
        if (rc == 0 || rc == INSTAR_ENOTFOUND) {
            base_err_clear(err);
            name = (struct catalog_name){
                .kind = CATALOG_NAME_INDEX, .table = table->id, .index = index->id};
            rc = catalog_name_put(t, index->name, &name, err);
        }
    }
    return rc;
}

/* The index has its id now. */
int name_complete(struct job *j, struct store_txn *t, struct base_err *err)
{
    struct catalog_name name;
    int rc = catalog_name_get(t, j->rec.object, &name, err);

    if (rc == 0) {
        name.index = j->rec.index;
        rc = catalog_name_put(t, j->rec.object, &name, err);
    }
    return rc;
}

/* The names of the table and its indexes are free from the version on that has them no more. */
int name_free_all(struct job *j, struct store_txn *t, const struct catalog_table *table,
                  struct base_err *err)
{
    int rc = name_release(j, t, false, err);

    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        rc = catalog_name_delete(t, table->indexes[i].name, err);
    }
    return rc;
}

/* A change has the name for which this one waits. Who took it meanwhile is waited for, too; but not
 * one that has its turn behind this one (CHANGE-4). Sets the error. */
static int wait_for(struct job *j, struct store_txn *t, uint64_t other, struct base_err *err)
{
    struct change_record r = {0};
    int rc = record_get(t, other, STORE_READ_NORMAL, &r, err);

    if (rc == 0) {
        struct record_marker own = record_marker_of(&j->rec);
        struct record_marker its = record_marker_of(&r);
        bool behind = other > j->rec.id && record_marker_meet(&own, &its);
        rc = base_err_set(err, behind ? INSTAR_ESTATE : INSTAR_EBUSY,
                          behind ? "change %llu, which came later, has the name \"%s\""
                                 : "change %llu is at work on \"%s\"",
                          (unsigned long long)other, j->rec.object);
    }
    record_free(&r);
    return rc;
}

/* What join.c would say to a submission now, of a create that had to wait for its name. */
static int ask_again(struct job *j, struct store_txn *t, const struct catalog_table *table,
                     bool *exists_out, struct base_err *err)
{
    struct record_index wanted;
    enum join join;
    uint64_t other;
    int rc;

    if (table != NULL) {
        rc = join_table(t, table, j->rec.flags, &join, &other, err);
    } else {
        rc = record_index_get(&j->rec, &wanted, err);
        rc = rc == 0 ? join_index(t, &wanted.def, j->rec.flags, &join, &other, err) : rc;
        record_index_free(&wanted);
    }
    if (rc == 0 && (join == JOIN_BEHIND || join == JOIN_ATTACH)) {
        rc = wait_for(j, t, other, err);
    }
    if (rc == 0 && join == JOIN_FREE) { /* the name that the record has is not */
        rc = base_err_set(err, INSTAR_ECORRUPT, "what is to be made is not called \"%s\"",
                          j->rec.object);
    }
    *exists_out = rc == 0;
    return rc;
}

int name_claim(struct job *j, struct store_txn *t, const struct catalog_table *table,
               bool *exists_out, struct base_err *err)
{
    struct catalog_name name;
    int rc = catalog_name_get(t, j->rec.object, &name, err);

    *exists_out = false;
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        name =
            (struct catalog_name){.kind = table != NULL ? CATALOG_NAME_TABLE : CATALOG_NAME_INDEX,
                                  .table = j->rec.table,
                                  .change = j->rec.id};
        return catalog_name_put(t, j->rec.object, &name, err);
    }
    if (rc != 0 || name.change == j->rec.id || j->rec.after == 0) {
        return rc; /* reserved when it was submitted */
    }
    return ask_again(j, t, table, exists_out, err);
}
