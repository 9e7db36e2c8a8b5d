/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The versions of a table through which a compound change goes, each made from the one that stands.
 *
 *   v        as it stands                   indexes that come    those that go   columns that come
 *            foresee, where types may lose values
 *            (drain, validate)
 *   v + 1    add                            delete-only          public          hidden
 *   v + 2    raise                          write-only           public          hidden
 *            (cut, build, fold)
 *   v + 3    enforce, where anything must   enforcing            public          hidden
 *            (drain, validate)
 *   v + 4    flip: all that is wanted       public               write-only      public
 *   v + 5    lower                                               delete-only
 *   v + 6    remove, retire                                      absent
 *
 * The statements are done anew each time, to the table as it was before the change: what the change
 * has put there is known by its tree, or by being hidden, and is taken away first. Nobody else
 * publishes meanwhile (CHANGE-4), so ids come out the same each time.
 *
 * An index on a column whose type changes comes and goes at once: it is made anew as one that
 * comes, under a name that nobody asks for, of the values as they will be; in the version of the
 * flip both change names, and the one that stood goes. catalog/sight.c has what each of them holds.
 */
#include "change/compound_impl.h"

#include <stdio.h>
#include <string.h>

/* ---- the table as it was, and as it is wanted --------------------------------------------- */

/* Ids of what is taken away are free again. */
static void take_away(struct catalog_table *base, uint64_t tree)
{
    const struct catalog_index *index = tree != 0 ? catalog_table_index_by_tree(base, tree) : NULL;

    if (index != NULL) {
        base->next_index_id = index->id < base->next_index_id ? index->id : base->next_index_id;
        catalog_index_remove(base, index->name);
    }
}

static int base_of(const struct catalog_table *now, const struct compound_request *request,
                   struct catalog_table **base_out, struct base_err *err)
{
    struct catalog_table *base;
    int rc = catalog_table_copy(now, &base, err);

    *base_out = NULL;
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < request->count; i++) {
        take_away(base, compound_coming(&request->statements[i]));
        take_away(base, compound_witness(&request->statements[i]));
    }
    compound_reserve_ids(base, request);
    uint32_t visible = catalog_visible_columns(base);
    for (uint32_t i = visible; i < base->column_count; i++) {
        uint32_t id = base->columns[i].id;
        if (id == base->row_id) {
            continue;
        }
        base->next_column_id = id < base->next_column_id ? id : base->next_column_id;
    }
    catalog_remove_hidden(base);
    *base_out = base;
    return 0;
}

static int create_index(struct catalog_table *target, const struct compound_statement *s,
                        struct base_err *err)
{
    struct catalog_index *index;
    int rc = catalog_index_from_def(target, &s->def, &index, err);

    if (rc == 0) {
        index->tree = s->tree;
    }
    return rc;
}

static int drop_index(struct catalog_table *target, const struct compound_statement *s,
                      struct base_err *err)
{
    const struct catalog_index *index = catalog_table_index_by_tree(target, s->tree);

    if (index == NULL) {
        return base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" has no index \"%s\" any more",
                            target->name, s->name);
    }
    catalog_index_remove(target, index->name);
    return 0;
}

/* The steps before have given its columns other types: it is another index then, of the same name.
 */
static int remake_index(struct catalog_table *target, const struct compound_statement *s,
                        struct base_err *err)
{
    struct catalog_index *index = catalog_table_index_by_tree(target, s->old_tree);

    if (index == NULL || strcmp(index->name, s->name) != 0) {
        return base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" has no index \"%s\" any more",
                            target->name, s->name);
    }
    uint32_t id = target->next_index_id++;
    int rc = catalog_comment_hand_on(target, CATALOG_COMMENT_INDEX, index->id, id, err);
    index->id = id;
    index->tree = s->tree;
    index->remade = false;
    return rc;
}

static int alter(struct catalog_table *target, const struct compound_statement *s,
                 struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->alter.step_count; i++) {
        bool changed = false;
        rc = catalog_alter(target, &s->alter.steps[i], &changed, err);
        if (rc != 0 && s->alter.step_count > 1) {
            base_err_prefix(err, "step %zu", i + 1);
        }
    }
    return rc;
}

static int do_statement(struct catalog_table *target, const struct compound_statement *s,
                        struct base_err *err)
{
    switch (s->kind) {
    case COMPOUND_CREATE_INDEX:
        return create_index(target, s, err);
    case COMPOUND_DROP_INDEX:
        return drop_index(target, s, err);
    case COMPOUND_REMAKE_INDEX:
        return remake_index(target, s, err);
    case COMPOUND_DROP_KEY:
        target->key_count = 0;
        return 0;
    case COMPOUND_REKEY:
        return compound_set_key(target, s, err);
    default:
        return alter(target, s, err);
    }
}

int compound_target(const struct catalog_table *now, const struct compound_request *request,
                    struct catalog_table **target_out, struct base_err *err)
{
    struct catalog_table *target;
    int rc = base_of(now, request, &target, err);

    *target_out = NULL;
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < request->count; i++) {
        rc = do_statement(target, &request->statements[i], err);
    }
    if (rc == 0) {
        rc = catalog_keys_kept(now, target, err);
    }
    if (rc != 0) {
        catalog_table_free(target);
        return rc;
    }
    *target_out = target;
    return 0;
}

/* ---- the versions on the way -------------------------------------------------------------- */

/* Which index of a version it takes the place of; NULL: none. */
static const struct catalog_index *replaced(const struct catalog_table *now,
                                            const struct compound_statement *s)
{
    return s->kind == COMPOUND_REMAKE_INDEX ? catalog_table_index_by_tree(now, s->old_tree) : NULL;
}

/* A name that the table's indexes do not have yet. */
static int spare_name(struct catalog_table *next, const char *name,
                      char spare[INSTAR_NAME_BYTES_MAX + 1], struct base_err *err)
{
    struct catalog_index *named;
    uint32_t next_id = next->next_index_id;
    int rc = catalog_index_add(next, name, &named, err);

    if (rc == 0) {
        snprintf(spare, INSTAR_NAME_BYTES_MAX + 1, "%s", named->name);
        catalog_index_remove(next, spare); /* it was for the name */
        next->next_index_id = next_id;
    }
    return rc;
}

/* rows: with whose key its entries end; 0: with the table's. */
static int add_one(struct catalog_table *next, const struct catalog_table *target,
                   const struct compound_statement *s, uint64_t change, uint32_t rows,
                   struct base_err *err)
{
    const struct catalog_index *wanted = catalog_table_index_by_tree(target, s->tree);
    const struct catalog_index *old = replaced(next, s);
    uint32_t replaces = old != NULL ? old->id : 0;
    char name[INSTAR_NAME_BYTES_MAX + 1];
    struct catalog_index *index;

    if (wanted == NULL) {
        return base_err_set(err, INSTAR_EINVALID,
                            "index \"%s\" is created and dropped in the same change", s->def.name);
    }
    int rc = spare_name(next, wanted->name, name, err);
    if (rc == 0) {
        rc = catalog_adopt_index(next, target, wanted->id, true, &index, err);
    }
    if (rc == 0) {
        snprintf(index->name, sizeof(index->name), "%s", name);
        catalog_index_set_sight(target, next, index, CATALOG_SIGHT_COMING);
        index->stage = INSTAR_STAGE_DELETE_ONLY;
        index->enforcing = false;
        index->change = change;
        index->replaces = replaces;
        index->keyed_by = rows;
        index->alias[0] = 0;
    }
    return rc;
}

/* An alteration that validates first, and then one that only announces its types, is one of them.
 */
int compound_foresee(const struct catalog_table *now, const struct compound_request *request,
                     struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *target = NULL;
    struct catalog_table *next = NULL;
    bool any = false;
    int rc = compound_target(now, request, &target, err);

    *next_out = NULL;
    if (rc == 0) {
        rc = catalog_table_copy(now, &next, err);
    }
    if (rc == 0) {
        rc = catalog_alter_foresee(next, target, &any, err);
    }
    if (rc == 0 && !any) {
        catalog_table_free(next);
        next = NULL;
    }
    catalog_table_free(target);
    return edit_ready(rc, false, next, next_out, err);
}

/* A new primary key refuses null before its rows are built. */
static void carry_enforced(const struct catalog_table *now, struct catalog_table *next)
{
    for (uint32_t i = 0; i < now->column_count; i++) {
        int at = catalog_table_column_by_id(next, now->columns[i].id);
        base_assert(at >= 0); /* next is a copy with more columns */
        next->columns[at].enforcing = now->columns[i].enforcing;
    }
}

int compound_add(const struct catalog_table *now, const struct compound_request *request,
                 uint64_t change, struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *target = NULL;
    struct catalog_table *next = NULL;
    int rc = compound_target(now, request, &target, err);

    *next_out = NULL;
    if (rc == 0) {
        rc = catalog_table_copy(now, &next, err);
    }
    for (uint32_t i = 0; rc == 0 && i < target->column_count; i++) {
        if (target->columns[i].id >= now->next_column_id) {
            rc = catalog_hide_column(next, target, target->columns[i].id, true, err);
        }
    }
    if (rc == 0) {
        rc = catalog_alter_finish(now, next, err); /* the layout; it lets go of types that come */
    }
    if (rc == 0) {
        carry_enforced(now, next);
        rc = catalog_types_carry(now, next, err);
    }
    if (rc == 0) {
        rc = catalog_types_announce(next, target, err);
    }
    uint32_t rows = 0;
    rc = rc == 0 ? compound_add_rows(next, target, request, change, &rows, err) : rc;
    for (size_t i = 0; rc == 0 && i < request->count; i++) {
        const struct compound_statement *s = &request->statements[i];
        if (compound_coming(s) != 0 && s->kind != COMPOUND_REKEY) {
            rc = add_one(next, target, s, change, rows, err);
        }
    }
    catalog_table_free(target);
    return edit_ready(rc, false, next, next_out, err);
}

/* All of these are at this stage. *any_out: one enforces from now on. */
static void set_stages(struct catalog_table *next, const struct compound_request *request,
                       compound_which tree_of, enum instar_stage stage, bool enforcing,
                       bool *any_out)
{
    for (size_t i = 0; i < request->count; i++) {
        uint64_t tree = tree_of(&request->statements[i]);
        struct catalog_index *index = tree != 0 ? catalog_table_index_by_tree(next, tree) : NULL;
        if (index != NULL) {
            bool enforces = enforcing && index->unique;
            *any_out = *any_out || (enforces && !index->enforcing);
            index->stage = stage;
            index->enforcing = enforces;
        }
    }
}

/* A copy of `now` with such indexes at a stage. */
static int at_stage(const struct catalog_table *now, const struct compound_request *request,
                    compound_which tree_of, enum instar_stage stage,
                    struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    bool any = false;
    int rc = catalog_table_copy(now, &next, err);

    *next_out = NULL;
    if (rc == 0) {
        set_stages(next, request, tree_of, stage, false, &any);
    }
    return edit_ready(rc, true, next, next_out, err);
}

int compound_raise(const struct catalog_table *now, const struct compound_request *request,
                   struct catalog_table **next_out, struct base_err *err)
{
    return at_stage(now, request, compound_coming, INSTAR_STAGE_WRITE_ONLY, next_out, err);
}

int compound_enforce(const struct catalog_table *now, const struct compound_request *request,
                     struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *target = NULL;
    struct catalog_table *next = NULL;
    bool any = false;
    bool columns = false;
    int rc = compound_target(now, request, &target, err);

    *next_out = NULL;
    if (rc == 0) {
        rc = catalog_table_copy(now, &next, err);
    }
    if (rc == 0) {
        set_stages(next, request, compound_coming, INSTAR_STAGE_WRITE_ONLY, true, &any);
        rc = catalog_alter_enforce(next, target, &columns, err);
    }
    if (rc == 0 && !any && !columns) {
        catalog_table_free(next);
        next = NULL;
    }
    catalog_table_free(target);
    return edit_ready(rc, !columns, next, next_out, err);
}

/* The indexes that are dropped, or were made anew, stay for two versions, with the columns that
 * they need, and see them as they were. */
static int keep_dropped(const struct catalog_table *now, struct catalog_table *next,
                        const struct compound_request *request, uint64_t change,
                        struct base_err *err)
{
    bool remember = false;

    for (size_t i = 0; i < request->count; i++) {
        const struct compound_statement *s = &request->statements[i];
        uint64_t tree = compound_going(s);
        const struct catalog_index *old = tree != 0 ? catalog_table_index_by_tree(now, tree) : NULL;
        struct catalog_index *index;
        if (old == NULL) {
            continue;
        }
        int rc = catalog_adopt_index(next, now, old->id, false, &index, err);
        if (rc != 0) {
            return rc;
        }
        if (s->kind == COMPOUND_REMAKE_INDEX) { /* they change names */
            const struct catalog_index *made = catalog_table_index_by_tree(now, s->tree);
            if (made == NULL) { /* a record that says what cannot be */
                return base_err_set(err, INSTAR_ECORRUPT,
                                    "what is made in the place of index \"%s\" is not there",
                                    index->name);
            }
            snprintf(index->name, sizeof(index->name), "%s", made->name);
        }
        catalog_index_set_sight(now, next, index, CATALOG_SIGHT_PAST);
        remember = remember || index->sight == CATALOG_SIGHT_PAST;
        index->sight = catalog_index_is_blind(next, index) ? CATALOG_SIGHT_PAST : index->sight;
        index->stage = INSTAR_STAGE_WRITE_ONLY;
        index->enforcing = index->unique;
        index->change = change;
    }
    if (remember) {
        catalog_types_remember(now, next);
    }
    return 0;
}

int compound_flip(const struct catalog_table *now, const struct compound_request *request,
                  struct change_record *r, struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    bool any = false;
    int rc = compound_target(now, request, &next, err);

    *next_out = NULL;
    if (rc == 0) {
        set_stages(next, request, compound_coming, INSTAR_STAGE_PUBLIC, true, &any);
        rc = keep_dropped(now, next, request, r->id, err);
    }
    rc = rc == 0 ? compound_swap(now, next, request, r->id, err) : rc;
    r->keeps = false;
    if (rc == 0 && r->undo_window_s != 0) {
        rc = catalog_keep_dropped(now, next, r->id, &r->keeps, err);
    }
    if (rc == 0) {
        rc = catalog_alter_finish(now, next, err);
    }
    return edit_ready(rc, false, next, next_out, err);
}

int compound_lower(const struct catalog_table *now, const struct compound_request *request,
                   struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    bool any = false;
    int rc = catalog_table_copy(now, &next, err);

    *next_out = NULL;
    if (rc == 0) {
        set_stages(next, request, compound_going, INSTAR_STAGE_DELETE_ONLY, false, &any);
        set_stages(next, request, compound_witness, INSTAR_STAGE_DELETE_ONLY, false, &any);
    }
    return edit_ready(rc, true, next, next_out, err);
}

static void remove_indexes(struct catalog_table *next, const struct compound_request *request,
                           compound_which tree_of)
{
    for (size_t i = 0; i < request->count; i++) {
        uint64_t tree = tree_of(&request->statements[i]);
        const struct catalog_index *index =
            tree != 0 ? catalog_table_index_by_tree(next, tree) : NULL;
        if (index != NULL) {
            catalog_index_remove(next, index->name);
        }
    }
}

/* Without hidden columns and old names, and without the indexes of that request. */
static int retire(const struct catalog_table *now, const struct compound_request *request,
                  struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    bool leaves = false;
    int rc = catalog_table_copy(now, &next, err);

    *next_out = NULL;
    if (rc == 0) {
        remove_indexes(next, request, compound_going);
        remove_indexes(next, request, compound_witness);
        catalog_types_forget(next);
        catalog_remove_hidden(next);
        compound_drop_row_ids(next);
        leaves = catalog_alter_leaves(next);
        rc = leaves ? catalog_alter_retire(next, err) : 0;
    }
    return edit_ready(rc, !leaves, next, next_out, err);
}

int compound_remove(const struct catalog_table *now, const struct compound_request *request,
                    struct catalog_table **next_out, struct base_err *err)
{
    return retire(now, request, next_out, err);
}

int compound_retire(const struct catalog_table *now, struct catalog_table **next_out,
                    struct base_err *err)
{
    const struct compound_request none = {.count = 0};

    return retire(now, &none, next_out, err);
}

static bool request_builds(const struct compound_request *request)
{
    bool builds = false;

    for (size_t i = 0; i < request->count; i++) {
        builds = builds || compound_coming(&request->statements[i]) != 0;
    }
    return builds;
}

int compound_withdraw(const struct catalog_table *now, const struct compound_request *request,
                      struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    bool any = false;
    int rc = catalog_table_copy(now, &next, err);

    *next_out = NULL;
    if (rc == 0) {
        set_stages(next, request, compound_coming, INSTAR_STAGE_DELETE_ONLY, false, &any);
        set_stages(next, request, compound_witness, INSTAR_STAGE_DELETE_ONLY, false, &any);
        catalog_alter_relax(next); /* counts the version */
        /* While there are entries made for types that come, these come. */
        rc = request_builds(request) ? catalog_types_carry(now, next, err) : 0;
    }
    return edit_ready(rc, false, next, next_out, err);
}

int compound_take_out(const struct catalog_table *now, const struct compound_request *request,
                      struct catalog_table **next_out, struct base_err *err)
{
    struct catalog_table *next = NULL;
    int rc = catalog_table_copy(now, &next, err);

    *next_out = NULL;
    if (rc == 0) {
        remove_indexes(next, request, compound_coming);
        remove_indexes(next, request, compound_witness);
        catalog_remove_hidden(next);
        compound_drop_row_ids(next);
        catalog_alter_relax(next); /* counts the version */
    }
    return edit_ready(rc, false, next, next_out, err);
}

/* ---- before it begins ---------------------------------------------------------------------- */

/* The versions until now, the last one of which stands. */
struct rehearsal {
    const struct catalog_table *at;
    struct catalog_table *made[8];
    size_t count;
};

/* NULL: it has no version there. Whether it has one. */
static bool take(struct rehearsal *h, struct catalog_table *next)
{
    if (next != NULL) {
        base_assert(h->count < BASE_ARRAY_LEN(h->made));
        h->made[h->count++] = next;
        h->at = next;
    }
    return next != NULL;
}

static int rehearse_key(struct rehearsal *h, const struct compound_request *request,
                        uint64_t change, struct base_err *err)
{
    struct catalog_table *next = NULL;
    int rc = compound_key_add(h->at, request, change, &next, err);

    take(h, next);
    next = NULL;
    rc = rc == 0 ? compound_key_enforce(h->at, request, &next, err) : rc;
    take(h, next);
    return rc;
}

/* Rows by the old key may not stay for good because something fails behind the flip. */
static int rehearse_end(struct rehearsal *h, const struct compound_request *request,
                        struct base_err *err)
{
    struct catalog_table *next = NULL;
    int rc = compound_lower(h->at, request, &next, err);

    take(h, next);
    next = NULL;
    rc = rc == 0 ? compound_remove(h->at, request, &next, err) : rc;
    take(h, next);
    return rc;
}

int compound_rehearse(struct store *store, const struct catalog_table *from,
                      const struct compound_request *request, struct change_record *r,
                      size_t *bytes_out, struct base_err *err)
{
    struct rehearsal h = {.at = from};
    struct catalog_table *next = NULL;
    bool rekeys = compound_rekey(request) != NULL;
    int rc = r->builds ? compound_foresee(h.at, request, &next, err) : 0;

    r->foresees = take(&h, next);
    rc = rc == 0 && rekeys ? rehearse_key(&h, request, r->id, err) : rc;
    next = NULL;
    rc = rc == 0 && r->builds ? compound_add(h.at, request, r->id, &next, err) : rc;
    take(&h, next);
    next = NULL;
    rc = rc == 0 ? compound_enforce(h.at, request, &next, err) : rc;
    r->validates = take(&h, next);
    next = NULL;
    rc = rc == 0 ? compound_flip(h.at, request, r, &next, err) : rc;
    take(&h, next);
    if (rc == 0) {
        rc = alter_check_size(store, next, r->descriptor.size, bytes_out, err);
        r->retires = catalog_alter_leaves(next);
    }
    rc = rc == 0 && rekeys ? rehearse_end(&h, request, err) : rc;
    for (size_t i = 0; i < h.count; i++) {
        catalog_table_free(h.made[i]);
    }
    return rc;
}
