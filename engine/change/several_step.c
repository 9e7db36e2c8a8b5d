/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a change of several tables. Each makes the next version of every member that has one
 * in this step, lets the ends of foreign keys follow, and publishes all of them in one commit; so
 * every snapshot has the whole step or nothing of it. The proof of that commit is about all
 * members, also those that it leaves as they are: one rule for all, and a parent is drained before
 * a table that refers to it gets its name.
 *
 *                 altered          new                     dropped    parent
 *     key add …   as in compound   -                       -          -
 *     add         as in compound   hidden, if it must be   -          who refers to it
 *     … validate  as in compound   -                       -          who refers to it
 *     flip        as it is wanted  there                   gone       who refers to it
 *     lower …     as in compound   -                       -          -
 *
 * A table that was made may be changed by others from the flip on, and is left alone from there.
 */
#include "change/several_impl.h"

#include <stdio.h>
#include <string.h>

/* A member in a step. */
struct table_work {
    struct several_member *m;
    struct compound_request request; /* of one that is altered */
    bool builds, drops;              /* indexes, by the request */
    bool rekeys;                     /* it gives another primary key */
    struct catalog_table *now;       /* as it stands; NULL: it is not there */
    struct catalog_table *next;      /* the version to be published, or NULL */
    struct catalog_table *made;      /* one that is not there yet, as it will be: foreign keys may
                                      * lead to it */
    bool fresh;                      /* next was not there before */
    bool remove;
};
struct work {
    struct job *j;
    struct store_txn *t;
    uint32_t seen; /* of the lease event, from before the step began */
    struct several_request all;
    struct table_work *list;
    size_t count;
    bool flipped; /* the step stands behind the flip */
    size_t bytes; /* of the descriptors that the last publication has */
    struct catalog_kin face;
};

/* ---- opening ------------------------------------------------------------------------------ */

static const struct table_work *find_id(const struct work *w, uint64_t id)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->list[i].m->table == id) {
            return &w->list[i];
        }
    }
    return NULL;
}

static int find(void *arg, const char *name, const struct catalog_table **table_out,
                struct base_err *err)
{
    const struct work *w = arg;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < w->count; i++) {
            const struct table_work *tw = &w->list[i];
            const struct catalog_table *table = tw->now != NULL ? tw->now : tw->made;
            const char *own = table == NULL ? "" : pass == 0 ? tw->m->name : table->name;
            if (table != NULL && strcmp(own, name) == 0) {
                *table_out = table;
                return 0;
            }
        }
    }
    return base_err_set(err, INSTAR_EUNKNOWN, "there is no table \"%s\"", name);
}

static void describe(void *arg, const struct catalog_referrer *referrer, char *text, size_t size)
{
    const struct work *w = arg;

    kin_describe(w->t, referrer, text, size);
}

static int open_request(struct table_work *tw, struct base_err *err)
{
    int rc = compound_decode(base_buf_slice(&tw->m->bytes), &tw->request, err);

    for (size_t i = 0; rc == 0 && i < tw->request.count; i++) {
        tw->builds = tw->builds || compound_coming(&tw->request.statements[i]) != 0;
        tw->drops = tw->drops || compound_going(&tw->request.statements[i]) != 0;
    }
    tw->rekeys = rc == 0 && compound_rekey(&tw->request) != NULL;
    return rc;
}

static int open_member(struct work *w, struct table_work *tw, struct base_err *err)
{
    /* One to which a foreign key leads that is to go may have gone, and that with it. */
    bool may_lack =
        tw->m->kind == SEVERAL_CREATE || tw->m->kind == SEVERAL_PARENT || tw->m->gone != 0;
    int rc = tw->m->kind == SEVERAL_ALTER ? open_request(tw, err) : 0;

    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(w->t, tw->m->table, &tw->now, err);
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        tw->now = NULL;
        rc = may_lack ? 0
                      : base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" is not there any more",
                                     tw->m->name);
    }
    if (rc == 0 && tw->now != NULL) {
        tw->now->kin = &w->face;
    } else if (rc == 0 && tw->m->kind == SEVERAL_CREATE && tw->m->gone == 0) {
        rc = catalog_table_decode(base_buf_slice(&tw->m->bytes), &tw->made, err);
    }
    return rc;
}

/* The members of a record in a transaction that the caller has. */
static int open_all(struct work *w, const struct change_record *r, struct base_err *err)
{
    int rc = several_decode(base_buf_slice(&r->descriptor), &w->all, err);

    w->face = (struct catalog_kin){.find = find, .describe = describe, .arg = w};
    if (rc != 0) {
        return rc;
    }
    w->list = base_alloc_zero(w->all.count, sizeof(*w->list));
    if (w->list == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "a change of several tables: out of memory");
    }
    for (; rc == 0 && w->count < w->all.count; w->count++) {
        w->list[w->count].m = &w->all.list[w->count];
        rc = open_member(w, &w->list[w->count], err);
    }
    return rc;
}

static int begin(struct work *w, struct job *j, struct base_err *err)
{
    *w = (struct work){.j = j, .seen = store_event_seen(j->store, STORE_EVENT_LEASE)};
    int rc = job_begin(j, &w->t, err);

    if (rc != 0) {
        w->t = NULL;
        return rc;
    }
    w->flipped = j->rec.state == INSTAR_CHANGE_RUNNING && !plan_may_revert(&j->rec);
    return open_all(w, &j->rec, err);
}

static void end(struct work *w)
{
    for (size_t i = 0; i < w->count; i++) {
        compound_free(&w->list[i].request);
        catalog_table_free(w->list[i].now);
        catalog_table_free(w->list[i].next);
        catalog_table_free(w->list[i].made);
    }
    base_free(w->list);
    several_free(&w->all);
}

/* ---- the next versions -------------------------------------------------------------------- */

static int alter_next(struct work *w, struct table_work *tw, enum change_work work,
                      struct base_err *err)
{
    const struct compound_request *request = &tw->request;
    struct change_record r = {.id = w->j->rec.id}; /* nothing that is dropped is kept */
    bool leaves = catalog_alter_leaves(tw->now);

    switch (work) {
    case WORK_FORESEE:
        return tw->builds ? compound_foresee(tw->now, request, &tw->next, err) : 0;
    case WORK_KEY_ADD:
        return tw->rekeys ? compound_key_add(tw->now, request, r.id, &tw->next, err) : 0;
    case WORK_KEY_RAISE:
        return tw->rekeys ? compound_key_raise(tw->now, request, &tw->next, err) : 0;
    case WORK_KEY_ENFORCE:
        return tw->rekeys ? compound_key_enforce(tw->now, request, &tw->next, err) : 0;
    case WORK_ADD_ALL:
        return tw->builds ? compound_add(tw->now, request, r.id, &tw->next, err) : 0;
    case WORK_RAISE_ALL:
        return tw->builds ? compound_raise(tw->now, request, &tw->next, err) : 0;
    case WORK_ENFORCE_ALL:
        return compound_enforce(tw->now, request, &tw->next, err);
    case WORK_FLIP:
        return compound_flip(tw->now, request, &r, &tw->next, err);
    case WORK_LOWER_ALL:
        return tw->drops ? compound_lower(tw->now, request, &tw->next, err) : 0;
    case WORK_REMOVE_ALL:
        return tw->drops || leaves ? compound_remove(tw->now, request, &tw->next, err) : 0;
    case WORK_RETIRE:
        return leaves ? compound_retire(tw->now, &tw->next, err) : 0;
    case WORK_WITHDRAW:
        return compound_withdraw(tw->now, request, &tw->next, err);
    default:
        base_assert(work == WORK_TAKE_OUT);
        return tw->builds ? compound_take_out(tw->now, request, &tw->next, err) : 0;
    }
}

/* It comes in this step, hidden or not. */
static int make_table(struct work *w, struct table_work *tw, bool hidden, struct base_err *err)
{
    int rc = catalog_table_decode(base_buf_slice(&tw->m->bytes), &tw->next, err);

    if (rc == 0 && tw->next->id != tw->m->table) { /* a record that says what cannot be */
        rc = base_err_set(err, INSTAR_ECORRUPT, "the descriptor names id %llu",
                          (unsigned long long)tw->next->id);
    }
    if (rc == 0) {
        tw->fresh = true;
        tw->next->change = hidden ? w->j->rec.id : 0;
    }
    return rc;
}

static int create_next(struct work *w, struct table_work *tw, enum change_work work,
                       struct base_err *err)
{
    int rc = 0;

    if (work == WORK_ADD_ALL && w->j->rec.waits) {
        return make_table(w, tw, true, err);
    }
    if (work == WORK_TAKE_OUT) {
        tw->remove = tw->now != NULL;
    } else if (work == WORK_FLIP && tw->now == NULL) {
        return make_table(w, tw, false, err);
    } else if (work == WORK_FLIP) {
        rc = catalog_table_copy(tw->now, &tw->next, err);
        if (rc == 0) {
            tw->next->change = 0;
            tw->next->version++;
        }
    }
    return rc;
}

static int make_next(struct work *w, enum change_work work, struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        struct table_work *tw = &w->list[i];
        if (tw->m->kind == SEVERAL_ALTER) {
            rc = alter_next(w, tw, work, err);
        } else if (tw->m->kind == SEVERAL_CREATE) {
            rc = create_next(w, tw, work, err);
        } else if (tw->m->kind == SEVERAL_DROP) {
            tw->remove = work == WORK_FLIP;
        }
        if (rc != 0 && w->count > 1) {
            base_err_prefix(err, "table \"%s\"", tw->m->name);
        }
    }
    return rc;
}

/* ---- both ends of foreign keys ------------------------------------------------------------ */

static const struct catalog_table *latest(const struct table_work *tw)
{
    return tw->next != NULL ? tw->next : tw->now;
}

static bool concerns(const struct table_work *child, const struct table_work *parent)
{
    const struct catalog_table *p = latest(parent);
    bool any = false;

    for (uint32_t i = 0; p != NULL && i < p->referrer_count; i++) {
        any = any || p->referrers[i].child == child->m->table;
    }
    for (uint32_t i = 0; !child->remove && i < child->next->fkey_count; i++) {
        any = any || child->next->fkeys[i].parent == parent->m->table;
    }
    base_assert(!any || p != NULL); /* who is referred to is there, or was looked for */
    return any && !parent->remove;
}

/* The parent says of the child what the child's next version says. */
static int follow(const struct table_work *child, struct table_work *parent, struct base_err *err)
{
    bool copied = parent->next == NULL;
    bool changed = false;
    int rc = copied ? catalog_table_copy(parent->now, &parent->next, err) : 0;

    if (rc == 0) {
        rc = catalog_referrers_follow(parent->next, child->m->table,
                                      child->remove ? NULL : child->next, &changed, err);
    }
    if (rc == 0 && copied && !changed) {
        catalog_table_free(parent->next);
        parent->next = NULL;
    } else if (rc == 0) {
        parent->next->version += copied;
        rc = catalog_table_finish(parent->next, err);
    }
    return rc;
}

static int came_or_went(const struct catalog_fkey *fkey, const struct catalog_table *child,
                        struct base_err *err)
{
    return base_err_set(err, INSTAR_ESTATE,
                        "foreign key \"%s\" of table \"%s\" came or went since this change was "
                        "submitted; ask for it again",
                        fkey->name, child->name);
}

/* Does the change know all to whom foreign keys lead that go with it? They must not say any more
 * that somebody refers to them. */
static int check_left(const struct work *w, const struct table_work *child, struct base_err *err)
{
    bool changes = child->remove || child->next != NULL;

    for (uint32_t i = 0; changes && child->now != NULL && i < child->now->fkey_count; i++) {
        const struct catalog_fkey *fkey = &child->now->fkeys[i];
        bool goes = child->remove || catalog_table_fkey_by_id(child->next, fkey->id) == NULL;
        if (goes && find_id(w, fkey->parent) == NULL) {
            return came_or_went(fkey, child->now, err);
        }
    }
    return 0;
}

/* And those that come, and have they what is referred to? */
static int check_parents(const struct work *w, const struct table_work *child, struct base_err *err)
{
    int rc = check_left(w, child, err);

    for (uint32_t i = 0; rc == 0 && child->next != NULL && i < child->next->fkey_count; i++) {
        const struct catalog_fkey *fkey = &child->next->fkeys[i];
        const struct table_work *parent = find_id(w, fkey->parent);
        if (child->now != NULL && catalog_table_fkey_by_id(child->now, fkey->id) != NULL) {
            continue;
        }
        if (parent == NULL || latest(parent) == NULL || parent->remove) {
            return came_or_went(fkey, child->next, err);
        }
        rc = catalog_fkey_fits(child->next, fkey, latest(parent), err);
    }
    return rc;
}

/* A table may go when all that refer to it go, or their foreign keys do. */
static int check_referrers(const struct work *w, const struct table_work *dropped,
                           struct base_err *err)
{
    char words[2 * INSTAR_NAME_BYTES_MAX + 64] = "a foreign key of another table";

    for (uint32_t i = 0; i < dropped->now->referrer_count; i++) {
        const struct catalog_referrer *r = &dropped->now->referrers[i];
        const struct table_work *child = find_id(w, r->child);
        bool goes = child != NULL &&
                    (child->remove || (child->next != NULL &&
                                       catalog_table_fkey_by_id(child->next, r->fkey) == NULL));
        if (!goes) {
            kin_describe(w->t, r, words, sizeof(words));
            return base_err_set(err, INSTAR_ESTATE,
                                "table \"%s\": %s refers to it; drop that first",
                                dropped->now->name, words);
        }
    }
    return 0;
}

static int follow_all(struct work *w, struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        struct table_work *child = &w->list[i];
        if (child->remove && child->m->kind == SEVERAL_DROP) {
            rc = check_referrers(w, child, err);
        }
        rc = rc == 0 ? check_parents(w, child, err) : rc;
    }
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        struct table_work *child = &w->list[i];
        for (size_t k = 0; rc == 0 && (child->next != NULL || child->remove) && k < w->count; k++) {
            if (concerns(child, &w->list[k])) {
                rc = follow(child, &w->list[k], err);
            }
        }
    }
    return rc;
}

/* ---- what stands beside the versions ------------------------------------------------------ */

static int beside_altered(struct work *w, struct table_work *tw, enum change_work work,
                          struct base_err *err)
{
    struct change_record *r = &w->j->rec;
    const struct compound_request *request = &tw->request;
    size_t bytes = 0;
    int rc = 0;

    switch (work) {
    case WORK_KEY_ADD:
        return compound_trees(w->t, request, compound_witness, STORE_TREE_CREATE, err);
    case WORK_ADD_ALL:
        rc = compound_trees(w->t, request, compound_coming, STORE_TREE_CREATE, err);
        return rc == 0 && tw->next != NULL
                   ? compound_names_complete(w->t, request, tw->next, r->id, err)
                   : rc;
    case WORK_FLIP:
        rc = alter_check_size(w->j->store, tw->next, r->descriptor.size + w->bytes, &bytes, err);
        w->bytes += bytes;
        rc = rc == 0 ? alter_names_give(w->t, tw->m->table, &request->renames, err) : rc;
        r->retires = r->retires || catalog_alter_leaves(tw->next);
        rc = rc == 0 ? compound_names_let_go(w->t, request, COMPOUND_CREATE_INDEX, r->id, true, err)
                     : rc;
        return rc == 0 ? compound_names_move(w->t, request, tw->next, err) : rc;
    case WORK_REMOVE_ALL:
        rc = compound_names_let_go(w->t, request, COMPOUND_DROP_INDEX, r->id, false, err);
        return rc == 0 ? alter_names_retire(w->t, &request->renames, err) : rc;
    case WORK_RETIRE:
        return r->state == INSTAR_CHANGE_RUNNING ? alter_names_retire(w->t, &request->renames, err)
                                                 : 0;
    case WORK_TAKE_OUT:
        r->retires = r->retires || (tw->next != NULL && catalog_alter_leaves(tw->next));
        return 0;
    default:
        return 0;
    }
}

/* The record has what the purge needs. */
static int note_gone(struct table_work *tw, struct base_err *err)
{
    tw->m->gone = tw->now->version + 1;
    base_buf_clear(&tw->m->bytes);
    return catalog_table_encode(tw->now, &tw->m->bytes, err);
}

static int beside_made(struct work *w, struct table_work *tw, enum change_work work,
                       struct base_err *err)
{
    int rc = tw->fresh ? table_tree_ops(w->t, tw->next, STORE_TREE_CREATE, err) : 0;

    w->bytes += tw->fresh ? tw->m->bytes.size : 0;
    if (rc == 0 && work == WORK_FLIP) {
        rc = name_let_go(w->t, tw->next->name, w->j->rec.id, true, err);
        rc = rc == 0 ? name_claim_uniques(w->j, w->t, tw->next, err) : rc;
    }
    return rc == 0 && tw->remove ? note_gone(tw, err) : rc;
}

static int beside_dropped(struct work *w, struct table_work *tw, struct base_err *err)
{
    int rc = tw->remove ? name_let_go(w->t, tw->m->name, w->j->rec.id, false, err) : 0;

    for (uint32_t i = 0; rc == 0 && tw->remove && i < tw->now->index_count; i++) {
        rc = catalog_name_delete(w->t, tw->now->indexes[i].name, err);
    }
    return rc == 0 && tw->remove ? note_gone(tw, err) : rc;
}

static int beside(struct work *w, enum change_work work, struct base_err *err)
{
    struct change_record *r = &w->j->rec;
    int rc = 0;

    if (work == WORK_FLIP || work == WORK_TAKE_OUT) {
        r->retires = false;
    }
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        struct table_work *tw = &w->list[i];
        if (tw->m->kind == SEVERAL_ALTER) {
            rc = beside_altered(w, tw, work, err);
        } else if (tw->m->kind == SEVERAL_CREATE && !w->flipped) {
            rc = beside_made(w, tw, work, err);
        } else if (tw->m->kind == SEVERAL_DROP) {
            rc = beside_dropped(w, tw, err);
        }
    }
    if (rc == 0 && (work == WORK_FLIP || work == WORK_TAKE_OUT)) {
        base_buf_clear(&r->descriptor);
        rc = several_encode(&w->all, &r->descriptor, err);
    }
    return rc;
}

/* ---- the commit --------------------------------------------------------------------------- */

/* What is asked for each member. Behind the flip new tables are everybody's. False: nothing. */
static bool ask(const struct work *w, const struct table_work *tw, struct lease_also *out)
{
    if (tw->m->gone != 0 && tw->now == NULL) {
        *out = (struct lease_also){.table = tw->m->table, .drained_below = tw->m->gone};
        return true;
    }
    if (tw->now == NULL && tw->next == NULL) {
        return false;
    }
    *out = (struct lease_also){.table = tw->m->table,
                               .descriptor = tw->remove ? NULL : tw->next,
                               .drained_below =
                                   tw->now != NULL ? tw->now->version : tw->next->version - 1,
                               .remove = tw->remove};
    return !(w->flipped && tw->m->kind == SEVERAL_CREATE);
}

/* One commit for all of them. Ends the transaction. proves: also when nothing is published. */
static int commit(struct work *w, bool proves, struct base_err *err)
{
    struct lease_also asked[1 + LEASE_ALSO_MAX];
    size_t count = 0;
    size_t main = 0;
    bool publishes = false;

    for (size_t i = 0; i < w->count; i++) {
        struct lease_also one;
        if (!ask(w, &w->list[i], &one)) {
            continue;
        }
        base_assert(count <= LEASE_ALSO_MAX);
        if (!publishes && (one.descriptor != NULL || one.remove)) {
            publishes = true;
            main = count;
        }
        asked[count++] = one;
    }
    job_advance(w->j);
    if (count == 0 || (!publishes && !proves)) {
        return job_commit(w->j, w->t, err);
    }
    struct lease_also first = asked[main];
    asked[main] = asked[0];
    struct lease_publication what = {.table = first.table,
                                     .descriptor = first.descriptor,
                                     .remove = first.remove,
                                     .drained_below = first.drained_below,
                                     .also = asked + 1,
                                     .also_count = count - 1};
    return step_publish(w->j, w->t, &what, w->seen, err);
}

int several_publish(struct job *j, enum change_work work, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    if (rc == 0) {
        rc = make_next(&w, work, err);
    }
    if (rc == 0) {
        rc = follow_all(&w, err);
    }
    if (rc == 0) {
        rc = beside(&w, work, err);
    }
    if (rc == 0) {
        rc = commit(&w, false, err);
    } else if (w.t != NULL) {
        store_txn_abort(w.t);
    }
    end(&w);
    return rc;
}

/* ---- cut, drain, purge -------------------------------------------------------------------- */

static int purge_member(struct work *w, struct table_work *tw, struct base_err *err)
{
    bool back = w->j->rec.state == INSTAR_CHANGE_REVERTING;
    struct catalog_table *table = NULL;
    int rc = 0;

    if (tw->m->kind == SEVERAL_ALTER) {
        return compound_purge(w->t, &tw->request, back, err);
    }
    if (tw->m->gone != 0) {
        rc = catalog_table_decode(base_buf_slice(&tw->m->bytes), &table, err);
        rc = rc == 0 ? table_tree_ops(w->t, table, STORE_TREE_DROP, err) : rc;
    }
    catalog_table_free(table);
    return rc;
}

int several_prove(struct job *j, enum change_work work, struct base_err *err)
{
    struct work w;
    int rc = begin(&w, j, err);

    for (size_t i = 0; rc == 0 && i < w.count; i++) {
        if (work == WORK_CUT) {
            const struct catalog_table *now = w.list[i].now;
            rc = now != NULL ? build_tree_ops(w.t, now, j->rec.id, STORE_TREE_BEGIN_BUILD, err) : 0;
        } else if (work == WORK_PURGE) {
            rc = purge_member(&w, &w.list[i], err);
        }
    }
    if (rc == 0) {
        rc = commit(&w, true, err);
    } else if (w.t != NULL) {
        store_txn_abort(w.t);
    }
    end(&w);
    return rc;
}
