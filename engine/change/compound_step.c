/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a compound change that publish a version, and what stands beside each in its commit.
 *
 * Names: those of indexes that are made or dropped are held by the change until it ends or the
 * index has gone; those of renames are alter_names.c's.
 */
#include "change/compound_impl.h"

/* What a step works on. */
struct work {
    struct edit e;
    struct compound_request request;
};

static int begin(struct work *w, struct job *j, struct base_err *err)
{
    w->request = (struct compound_request){.count = 0};
    int rc = edit_begin(&w->e, j, err);

    if (rc == 0) {
        rc = compound_decode(base_buf_slice(&j->rec.descriptor), &w->request, err);
    }
    return rc == 0 ? edit_open_with_kin(&w->e, err) : rc;
}

static int make_next(struct work *w, enum change_work work, struct base_err *err)
{
    const struct compound_request *request = &w->request;

    switch (work) {
    case WORK_FORESEE:
        return compound_foresee(w->e.now, request, &w->e.next, err);
    case WORK_KEY_ADD:
        return compound_key_add(w->e.now, request, w->e.j->rec.id, &w->e.next, err);
    case WORK_KEY_RAISE:
        return compound_key_raise(w->e.now, request, &w->e.next, err);
    case WORK_KEY_ENFORCE:
        return compound_key_enforce(w->e.now, request, &w->e.next, err);
    case WORK_ADD_ALL:
        return compound_add(w->e.now, request, w->e.j->rec.id, &w->e.next, err);
    case WORK_RAISE_ALL:
        return compound_raise(w->e.now, request, &w->e.next, err);
    case WORK_ENFORCE_ALL:
        return compound_enforce(w->e.now, request, &w->e.next, err);
    case WORK_FLIP:
        return compound_flip(w->e.now, request, &w->e.j->rec, &w->e.next, err);
    case WORK_LOWER_ALL:
        return compound_lower(w->e.now, request, &w->e.next, err);
    case WORK_REMOVE_ALL:
        return compound_remove(w->e.now, request, &w->e.next, err);
    case WORK_RETIRE:
        return compound_retire(w->e.now, &w->e.next, err);
    case WORK_WITHDRAW:
        return compound_withdraw(w->e.now, request, &w->e.next, err);
    default:
        base_assert(work == WORK_TAKE_OUT);
        return compound_take_out(w->e.now, request, &w->e.next, err);
    }
}

/* ---- what stands beside a version --------------------------------------------------------- */

int compound_names_complete(struct store_txn *t, const struct compound_request *request,
                            const struct catalog_table *table, uint64_t change,
                            struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < request->count; i++) {
        const struct compound_statement *s = &request->statements[i];
        if (s->kind == COMPOUND_CREATE_INDEX) {
            struct catalog_name name = {.kind = CATALOG_NAME_INDEX,
                                        .table = table->id,
                                        .index = catalog_table_index_by_tree(table, s->tree)->id,
                                        .change = change};
            rc = catalog_name_put(t, s->def.name, &name, err);
        }
    }
    return rc;
}

/* The indexes are in the descriptor now: they have trees, and their names lead to them. */
static int beside_add(struct work *w, struct base_err *err)
{
    int rc = compound_trees(w->e.t, &w->request, compound_coming, STORE_TREE_CREATE, err);

    return rc == 0 ? compound_names_complete(w->e.t, &w->request, w->e.next, w->e.j->rec.id, err)
                   : rc;
}

int compound_names_move(struct store_txn *t, const struct compound_request *request,
                        const struct catalog_table *table, struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < request->count; i++) {
        const struct compound_statement *s = &request->statements[i];
        if (s->kind == COMPOUND_REMAKE_INDEX) {
            struct catalog_name name = {.kind = CATALOG_NAME_INDEX,
                                        .table = table->id,
                                        .index = catalog_table_index_by_tree(table, s->tree)->id};
            rc = catalog_name_put(t, s->name, &name, err);
        }
    }
    return rc;
}

int compound_names_let_go(struct store_txn *t, const struct compound_request *request,
                          enum compound_kind kind, uint64_t change, bool keep, struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < request->count; i++) {
        const struct compound_statement *s = &request->statements[i];
        if (s->kind == kind) {
            const char *name = kind == COMPOUND_CREATE_INDEX ? s->def.name : s->name;
            rc = name_let_go(t, name, change, keep, err);
        }
    }
    return rc;
}

/* What this version leaves behind is only known here for certain. */
static int beside_flip(struct work *w, struct base_err *err)
{
    struct change_record *r = &w->e.j->rec;
    int rc = alter_check_size(w->e.j->store, w->e.next, r->descriptor.size, NULL, err);

    if (rc == 0) {
        rc = alter_names_give(w->e.t, r->table, &w->request.renames, err);
    }
    if (rc == 0) {
        rc = compound_names_let_go(w->e.t, &w->request, COMPOUND_CREATE_INDEX, r->id, true, err);
    }
    if (rc == 0) {
        rc = compound_names_move(w->e.t, &w->request, w->e.next, err);
    }
    r->retires = catalog_alter_leaves(w->e.next);
    return rc;
}

static int beside(struct work *w, enum change_work work, struct base_err *err)
{
    struct change_record *r = &w->e.j->rec;
    int rc = 0;

    switch (work) {
    case WORK_KEY_ADD:
        return compound_trees(w->e.t, &w->request, compound_witness, STORE_TREE_CREATE, err);
    case WORK_ADD_ALL:
        return beside_add(w, err);
    case WORK_FLIP:
        return beside_flip(w, err);
    case WORK_REMOVE_ALL:
        rc = compound_names_let_go(w->e.t, &w->request, COMPOUND_DROP_INDEX, r->id, false, err);
        return rc == 0 ? alter_names_retire(w->e.t, &w->request.renames, err) : rc;
    case WORK_RETIRE:
        return r->state == INSTAR_CHANGE_RUNNING
                   ? alter_names_retire(w->e.t, &w->request.renames, err)
                   : 0;
    case WORK_TAKE_OUT:
        r->retires = catalog_alter_leaves(w->e.next);
        return 0;
    default:
        return 0;
    }
}

/* ---- the step ----------------------------------------------------------------------------- */

int compound_publish(struct job *j, enum change_work work, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = make_next(&w, work, err);
    }
    if (rc == 0 && w.e.next != NULL) {
        rc = beside(&w, work, err);
        rc = rc == 0 ? kin_follow(&w.e.kin, w.e.now, w.e.next, err) : rc;
    }
    rc = edit_publish(&w.e, rc, err);
    compound_free(&w.request);
    return rc;
}

/* ---- trees and names of all --------------------------------------------------------------- */

int compound_trees(struct store_txn *t, const struct compound_request *request,
                   compound_which tree_of, enum store_tree_op op, struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < request->count; i++) {
        uint64_t tree = tree_of(&request->statements[i]);
        if (tree != 0) {
            rc = store_txn_tree_op(t, op, tree, err);
        }
    }
    return rc;
}

int compound_purge(struct store_txn *t, const struct compound_request *request, bool back,
                   struct base_err *err)
{
    int rc =
        compound_trees(t, request, back ? compound_coming : compound_going, STORE_TREE_DROP, err);

    return rc == 0 ? compound_trees(t, request, compound_witness, STORE_TREE_DROP, err) : rc;
}

static int purge(const struct change_record *r, struct store_txn *t, struct base_err *err)
{
    struct compound_request request;
    int rc = compound_decode(base_buf_slice(&r->descriptor), &request, err);

    if (rc == 0) {
        rc = compound_purge(t, &request, r->state == INSTAR_CHANGE_REVERTING, err);
    }
    compound_free(&request);
    return rc;
}

int compound_tree_ops(const struct change_record *r, struct store_txn *t, enum store_tree_op op,
                      struct base_err *err)
{
    struct catalog_table *table = NULL;

    if (op == STORE_TREE_DROP) {
        return purge(r, t, err);
    }
    int rc = catalog_get_table(t, r->table, &table, err);
    rc = rc == 0 ? build_tree_ops(t, table, r->id, op, err) : rc;
    catalog_table_free(table);
    return rc;
}

void compound_forget_trees(struct store *store, const struct compound_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        const struct compound_statement *s = &request->statements[i];
        const uint64_t trees[] = {compound_coming(s), compound_witness(s)};
        for (size_t k = 0; k < BASE_ARRAY_LEN(trees); k++) {
            if (trees[k] != 0) {
                build_forget(store, trees[k]);
            }
        }
    }
}

void compound_forget(struct job *j)
{
    struct compound_request request;

    if (compound_decode(base_buf_slice(&j->rec.descriptor), &request, NULL) == 0) {
        compound_forget_trees(j->store, &request);
    }
    compound_free(&request);
}

int compound_request_back(struct store_txn *t, const struct compound_request *request,
                          uint64_t table, uint64_t change, struct base_err *err)
{
    int rc = compound_names_let_go(t, request, COMPOUND_CREATE_INDEX, change, false, err);

    if (rc == 0) {
        rc = compound_names_let_go(t, request, COMPOUND_DROP_INDEX, change, true, err);
    }
    if (rc == 0) {
        rc = compound_names_let_go(t, request, COMPOUND_REMAKE_INDEX, change, true, err);
    }
    return rc == 0 ? alter_names_restore(t, table, &request->renames, err) : rc;
}

int compound_names_back(struct store_txn *t, const struct change_record *r, struct base_err *err)
{
    struct compound_request request;
    int rc = compound_decode(base_buf_slice(&r->descriptor), &request, err);

    rc = rc == 0 ? compound_request_back(t, &request, r->table, r->id, err) : rc;
    compound_free(&request);
    return rc;
}
