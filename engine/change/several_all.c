/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of several tables does member by member, outside of its publications: reading rows,
 * trees of its builds, names that go back. */
#include "change/several_impl.h"

/* Of a member that is altered. *builds_out: it makes indexes. Free with compound_free. */
static int open_request(const struct several_member *m, struct compound_request *out,
                        bool *builds_out, struct base_err *err)
{
    int rc = compound_decode(base_buf_slice(&m->bytes), out, err);

    *builds_out = false;
    for (size_t i = 0; rc == 0 && i < out->count; i++) {
        *builds_out = *builds_out || compound_coming(&out->statements[i]) != 0;
    }
    return rc;
}

int several_each(struct job *j, int (*fn)(struct job *j, struct base_err *err), bool builds,
                 struct base_err *err)
{
    struct several_request all;
    int rc = several_decode(base_buf_slice(&j->rec.descriptor), &all, err);

    for (size_t i = 0; rc == 0 && i < all.count; i++) {
        struct compound_request request;
        bool any;
        if (all.list[i].kind != SEVERAL_ALTER) {
            continue;
        }
        rc = open_request(&all.list[i], &request, &any, err);
        if (rc == 0 && (any || !builds)) {
            j->at_table = all.list[i].table;
            rc = fn(j, err);
            j->at_table = 0;
        }
        compound_free(&request);
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
        struct compound_request request;
        bool any;
        if (all.list[i].kind == SEVERAL_ALTER) {
            rc = open_request(&all.list[i], &request, &any, err);
            rc = rc == 0 ? compound_trees(t, &request, compound_coming, op, err) : rc;
            compound_free(&request);
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
        bool any;
        if (all.list[i].kind != SEVERAL_ALTER) {
            continue;
        }
        rc = open_request(&all.list[i], &request, &any, NULL);
        for (size_t k = 0; rc == 0 && k < request.count; k++) {
            uint64_t tree = compound_coming(&request.statements[k]);
            if (tree != 0) {
                build_forget(j->store, tree);
            }
        }
        compound_free(&request);
    }
    several_free(&all);
}

static int altered_back(struct store_txn *t, const struct change_record *r,
                        const struct several_member *m, struct base_err *err)
{
    struct compound_request request;
    bool any;
    int rc = open_request(m, &request, &any, err);

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
