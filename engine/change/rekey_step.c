/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a change of the primary key that publish a version, and what stands beside each in
 * its commit.
 *
 * Names: those of all indexes of the table are held by the change until the swap, since each of
 * them stands for another index then. What the change makes on the way has names in the table
 * alone, where no statement looks for them.
 */
#include "change/rekey_impl.h"

/* What a step works on. */
struct work {
    struct edit e;
    struct rekey_request request;
};

static int begin(struct work *w, struct job *j, struct base_err *err)
{
    int rc = edit_begin(&w->e, j, err);

    if (rc == 0) {
        rc = rekey_decode(base_buf_slice(&j->rec.descriptor), &w->request, err);
    }
    return rc == 0 ? edit_open(&w->e, err) : rc;
}

static int make_next(struct work *w, enum change_work work, struct base_err *err)
{
    const struct rekey_edit e = {
        .now = w->e.now, .request = &w->request, .change = w->e.j->rec.id, .t = w->e.t};

    switch (work) {
    case WORK_KEY_ADD:
        return rekey_add_witness(&e, &w->e.next, err);
    case WORK_IDS_ADD:
        return rekey_add_ids(&e, &w->e.next, err);
    case WORK_ROWS_ADD:
        return rekey_add_rows(&e, &w->e.next, err);
    case WORK_KEY_RAISE:
        return rekey_raise(&e, &w->e.next, err);
    case WORK_KEY_ENFORCE:
        return rekey_enforce(&e, &w->e.next, err);
    case WORK_KEY_SWAP:
        return rekey_swap(&e, &w->e.next, err);
    case WORK_KEY_LOWER:
        return rekey_lower(&e, &w->e.next, err);
    default:
        base_assert(work == WORK_KEY_REMOVE);
        return rekey_remove(&e, &w->e.next, err);
    }
}

/* ---- what stands beside a version --------------------------------------------------------- */

/* Indexes that are new in this version have trees. */
static int create_trees(struct work *w, struct base_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < w->e.next->index_count; i++) {
        const struct catalog_index *index = &w->e.next->indexes[i];
        if (catalog_table_index_by_id(w->e.now, index->id) == NULL) {
            rc = store_txn_tree_op(w->e.t, STORE_TREE_CREATE, index->tree, err);
        }
    }
    return rc;
}

static int name_index(struct work *w, const struct catalog_index *index, struct base_err *err)
{
    struct catalog_name name;
    int rc = catalog_name_get(w->e.t, index->name, &name, err);

    if (rc != 0) {
        return rc;
    }
    name.index = index->id;
    name.change = name.change == w->e.j->rec.id ? 0 : name.change;
    return catalog_name_put(w->e.t, index->name, &name, err);
}

/* The names lead to the indexes that stand in their place now. */
static int give_names(struct work *w, struct base_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < w->e.next->index_count; i++) {
        const struct catalog_index *index = &w->e.next->indexes[i];
        if (index->change != w->e.j->rec.id) {
            rc = name_index(w, index, err);
        }
    }
    return rc;
}

/* The trees of what this version names no more, for the purge. */
static int note_trees(struct work *w, struct base_err *err)
{
    struct rekey_request *request = &w->request;

    request->tree_count = 0;
    for (uint32_t i = 0; i < w->e.now->index_count; i++) {
        if (w->e.now->indexes[i].change == w->e.j->rec.id) {
            base_assert(request->tree_count < BASE_ARRAY_LEN(request->trees));
            request->trees[request->tree_count++] = w->e.now->indexes[i].tree;
        }
    }
    /* The names of the columns lie in the request. */
    base_buf_clear(&w->e.j->rec.descriptor);
    return rekey_encode(request, &w->e.j->rec.descriptor, err);
}

static int beside(struct work *w, enum change_work work, struct base_err *err)
{
    switch (work) {
    case WORK_KEY_ADD:
    case WORK_ROWS_ADD:
        return create_trees(w, err);
    case WORK_KEY_SWAP:
        return give_names(w, err);
    case WORK_KEY_REMOVE:
        return note_trees(w, err);
    default:
        return 0;
    }
}

/* ---- the step ----------------------------------------------------------------------------- */

int rekey_publish(struct job *j, enum change_work work, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = make_next(&w, work, err);
    }
    if (rc == 0 && w.e.next != NULL) {
        rc = beside(&w, work, err);
    }
    return edit_publish(&w.e, rc, err);
}

/* ---- trees and names of all --------------------------------------------------------------- */

static int drop_trees(const struct change_record *r, struct store_txn *t, struct base_err *err)
{
    struct rekey_request request;
    int rc = rekey_decode(base_buf_slice(&r->descriptor), &request, err);

    for (size_t i = 0; rc == 0 && i < request.tree_count; i++) {
        rc = store_txn_tree_op(t, STORE_TREE_DROP, request.trees[i], err);
    }
    return rc;
}

int rekey_tree_ops(const struct change_record *r, struct store_txn *t, enum store_tree_op op,
                   struct base_err *err)
{
    struct catalog_table *table = NULL;

    if (op == STORE_TREE_DROP) {
        return drop_trees(r, t, err);
    }
    int rc = catalog_get_table(t, r->table, &table, err);
    rc = rc == 0 ? build_tree_ops(t, table, r->id, op, err) : rc;
    catalog_table_free(table);
    return rc;
}

void rekey_forget(struct job *j)
{
    struct catalog_table *table = NULL;
    struct store_txn *t;

    if (store_txn_begin(j->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, NULL) != 0) {
        return;
    }
    int rc = catalog_get_table(t, j->rec.table, &table, NULL);
    store_txn_abort(t);
    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        if (table->indexes[i].change == j->rec.id) {
            build_forget(j->store, table->indexes[i].tree);
        }
    }
    catalog_table_free(table);
}

int rekey_names_back(struct store_txn *t, const struct change_record *r, struct base_err *err)
{
    struct catalog_table *table = NULL;
    int rc = catalog_get_table(t, r->table, &table, err);

    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        rc = name_let_go(t, table->indexes[i].name, r->id, true, err);
    }
    catalog_table_free(table);
    return rc;
}
