/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of several tables does member by member, outside of its publications: reading rows,
 * trees of its builds, names that go back. */
#include "change/several_impl.h"

/* Is there something in the table to be built, or does nobody ask? */
static int is_asked(struct job *j, uint64_t table_id, bool builds, bool *asked_out,
                    struct base_err *err)
{
    struct catalog_table *table = NULL;
    struct store_txn *t;

    *asked_out = true;
    if (!builds) {
        return 0;
    }
    int rc = store_txn_begin(j->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);
    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(t, table_id, &table, err);
    store_txn_abort(t);
    *asked_out = rc == 0 && build_is_needed(table, j->rec.id);
    catalog_table_free(table);
    return rc;
}

int several_each(struct job *j, int (*fn)(struct job *j, struct base_err *err), bool builds,
                 struct base_err *err)
{
    struct several_request all;
    int rc = several_decode(base_buf_slice(&j->rec.descriptor), &all, err);

    for (size_t i = 0; rc == 0 && i < all.count; i++) {
        bool asked;
        if (all.list[i].kind != SEVERAL_ALTER) {
            continue;
        }
        rc = is_asked(j, all.list[i].table, builds, &asked, err);
        if (rc == 0 && asked) {
            j->at_table = all.list[i].table;
            rc = fn(j, err);
            j->at_table = 0;
        }
    }
    several_free(&all);
    return rc;
}

int several_tree_ops(const struct change_record *r, struct store_txn *t, enum store_tree_op op,
                     struct base_err *err)
{
    struct several_request all;
    int rc = several_decode(base_buf_slice(&r->descriptor), &all, err);

    for (size_t i = 0; rc == 0 && i < all.count; i++) {
        struct catalog_table *table = NULL;
        if (all.list[i].kind == SEVERAL_ALTER) {
            rc = catalog_get_table(t, all.list[i].table, &table, err);
            rc = rc == 0 ? build_tree_ops(t, table, r->id, op, err) : rc;
            catalog_table_free(table);
        }
    }
    several_free(&all);
    return rc;
}

void several_forget(struct job *j)
{
    struct several_request all;
    int rc = several_decode(base_buf_slice(&j->rec.descriptor), &all, NULL);

    for (size_t i = 0; rc == 0 && i < all.count; i++) {
        struct compound_request request;
        if (all.list[i].kind != SEVERAL_ALTER) {
            continue;
        }
        rc = compound_decode(base_buf_slice(&all.list[i].bytes), &request, NULL);
        if (rc == 0) {
            compound_forget_trees(j->store, &request);
        }
        compound_free(&request);
    }
    several_free(&all);
}

static int altered_back(struct store_txn *t, const struct change_record *r,
                        const struct several_member *m, struct base_err *err)
{
    struct compound_request request;
    int rc = compound_decode(base_buf_slice(&m->bytes), &request, err);

    rc = rc == 0 ? compound_request_back(t, &request, m->table, r->id, err) : rc;
    compound_free(&request);
    return rc;
}

static int made_back(struct store_txn *t, const struct change_record *r,
                     const struct several_member *m, struct base_err *err)
{
    struct catalog_table *table = NULL;
    int rc = catalog_table_decode(base_buf_slice(&m->bytes), &table, err);

    rc = rc == 0 ? name_let_go(t, table->name, r->id, false, err) : rc;
    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        rc = name_let_go(t, table->indexes[i].name, r->id, false, err);
    }
    catalog_table_free(table);
    return rc;
}

int several_names_back(struct store_txn *t, const struct change_record *r, struct base_err *err)
{
    struct several_request all;
    int rc = several_decode(base_buf_slice(&r->descriptor), &all, err);

    for (size_t i = 0; rc == 0 && i < all.count; i++) {
        const struct several_member *m = &all.list[i];
        rc = m->kind == SEVERAL_ALTER    ? altered_back(t, r, m, err)
             : m->kind == SEVERAL_CREATE ? made_back(t, r, m, err)
             : m->kind == SEVERAL_DROP   ? name_let_go(t, m->name, r->id, true, err)
                                         : 0;
    }
    several_free(&all);
    return rc;
}
