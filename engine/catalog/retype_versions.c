/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another type of a column in the versions between: what of it is on its way, what an index still
 * sees of the one before, and what must have been enforced when it settles (retype.c has the step).
 */
#include "catalog/catalog_impl.h"

/* Is there a check in the target that the version in between must hold to the type that comes? */
static bool has_new_check(const struct catalog_table *now, const struct catalog_table *target,
                          uint32_t column_id)
{
    for (uint32_t i = 0; i < target->check_count; i++) {
        const struct catalog_check *check = &target->checks[i];
        if (check->state == CATALOG_CHECK_VALID && catalog_check_uses(check, column_id) &&
            catalog_table_check_by_id(now, check->id) == NULL) {
            return true;
        }
    }
    return false;
}

/* The type that comes, with the expression that makes it. */
static int enforce_made(struct catalog_table *copy, const struct catalog_table *target,
                        struct catalog_column *column, const struct row_expr *made_by,
                        struct base_err *err)
{
    if (has_new_check(copy, target, column->id)) {
        return base_err_set(err, INSTAR_EINVALID,
                            "column \"%s\" of table \"%s\": USING an expression beside a new check "
                            "about the column: add the check in a change of its own",
                            column->name, copy->name);
    }
    column->made_by = catalog_expr_copy(made_by, &copy->arena);
    return column->made_by != NULL ? 0 : catalog_no_memory(err);
}

/* What `wanted` is in the target is on its way in the copy. */
static int announce(struct catalog_table *copy, const struct catalog_table *target,
                    struct catalog_column *c, const struct catalog_column *wanted, bool *any,
                    struct base_err *err)
{
    bool was = c->type_coming == wanted->type && c->length_coming == wanted->length_max &&
               (c->made_by == wanted->made_by || catalog_expr_same(c->made_by, wanted->made_by));
    c->type_coming = wanted->type;
    c->length_coming = wanted->length_max;
    *any = *any || !was;
    return wanted->made_by != NULL && !was ? enforce_made(copy, target, c, wanted->made_by, err)
                                           : 0;
}

/* Of a column that has another type in the target, or other values. */
static bool is_retyped(const struct catalog_column *c, const struct catalog_column *wanted)
{
    return wanted->made_by != NULL || wanted->type != c->type ||
           wanted->length_max != c->length_max;
}

/* Has an index that stands other entries then? */
static bool is_minded(const struct catalog_table *copy, uint32_t at,
                      const struct catalog_column *wanted)
{
    enum instar_type other =
        catalog_type_of_keys(&copy->columns[at], wanted, wanted->made_by != NULL);
    bool minded = false;
    for (uint32_t i = 0; i < copy->index_count; i++) {
        minded = minded || catalog_index_minds(copy, &copy->indexes[i], at, other);
    }
    return minded;
}

/* Which types are announced: those that may lose values; also those whose indexes or checks must
 * be looked at before they are there; all. */
enum announced { LOSSES, ENFORCED, ALL };

static int announce_some(struct catalog_table *copy, const struct catalog_table *target,
                         enum announced which, bool *any, struct base_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < copy->column_count; i++) {
        struct catalog_column *c = &copy->columns[i];
        int at = catalog_table_column_by_id(target, c->id);
        const struct catalog_column *wanted = at >= 0 ? &target->columns[at] : NULL;
        if (wanted == NULL || !is_retyped(c, wanted)) {
            continue;
        }
        if (which == ALL || wanted->made_by != NULL || catalog_type_narrows(c, wanted) ||
            (which != LOSSES &&
             (is_minded(copy, i, wanted) || (catalog_type_of_keys(c, wanted, false) != c->type &&
                                             has_new_check(copy, target, c->id))))) {
            rc = announce(copy, target, c, wanted, any, err);
        }
    }
    return rc;
}

int catalog_types_enforce(struct catalog_table *copy, const struct catalog_table *target, bool *any,
                          struct base_err *err)
{
    return announce_some(copy, target, ENFORCED, any, err);
}

int catalog_types_announce(struct catalog_table *copy, const struct catalog_table *target,
                           struct base_err *err)
{
    bool any = false;
    return announce_some(copy, target, ALL, &any, err);
}

int catalog_alter_foresee(struct catalog_table *copy, const struct catalog_table *target,
                          bool *any_out, struct base_err *err)
{
    *any_out = false;
    int rc = announce_some(copy, target, LOSSES, any_out, err);
    copy->version += *any_out;
    return rc == 0 ? catalog_table_finish(copy, err) : rc;
}

int catalog_types_carry(const struct catalog_table *from, struct catalog_table *to,
                        struct base_err *err)
{
    for (uint32_t i = 0; i < to->column_count; i++) {
        struct catalog_column *c = &to->columns[i];
        int at = catalog_table_column_by_id(from, c->id);
        if (at < 0 || c->hidden) {
            continue;
        }
        c->type_coming = from->columns[at].type_coming;
        c->length_coming = from->columns[at].length_coming;
        c->made_by = from->columns[at].made_by;
        if (c->made_by != NULL) {
            c->made_by = catalog_expr_copy(c->made_by, &to->arena);
            if (c->made_by == NULL) {
                return catalog_no_memory(err);
            }
        }
    }
    return 0;
}

void catalog_types_remember(const struct catalog_table *from, struct catalog_table *to)
{
    for (uint32_t i = 0; i < to->column_count; i++) {
        struct catalog_column *c = &to->columns[i];
        int at = catalog_table_column_by_id(from, c->id);
        if (at >= 0 && is_retyped(&from->columns[at], c)) {
            c->type_past = from->columns[at].type;
            c->length_past = from->columns[at].length_max;
        }
    }
}

void catalog_types_forget(struct catalog_table *copy)
{
    for (uint32_t i = 0; i < copy->column_count; i++) {
        copy->columns[i].type_past = INSTAR_NULL;
        copy->columns[i].length_past = 0;
    }
}

void catalog_types_relax(struct catalog_table *copy)
{
    for (uint32_t i = 0; i < copy->column_count; i++) {
        copy->columns[i].type_coming = INSTAR_NULL;
        copy->columns[i].length_coming = 0;
        copy->columns[i].made_by = NULL;
    }
}

/* Was it enforced, where it must be? */
static bool may_settle(const struct catalog_column *old, const struct catalog_column *wanted)
{
    if (wanted->made_by == NULL) {
        return old->made_by == NULL && catalog_type_step_allowed(old, wanted);
    }
    return old->type_coming == wanted->type && old->length_coming == wanted->length_max &&
           catalog_expr_same(old->made_by, wanted->made_by);
}

/* Every index that minds the new type was made anew beside this change's steps: one that stands
 * sees it as before. */
static int settle_indexes(const struct catalog_table *from, uint32_t a, struct catalog_table *to,
                          uint32_t b, struct base_err *err)
{
    const struct catalog_column *c = &to->columns[b];
    enum instar_type after = catalog_type_of_keys(&from->columns[a], c, c->made_by != NULL);
    for (uint32_t i = 0; i < from->index_count; i++) {
        const struct catalog_index *x = &from->indexes[i];
        const struct catalog_index *y = catalog_table_index_by_id(to, x->id);
        if (y != NULL && x->sight == y->sight && catalog_index_minds(from, x, a, after)) {
            return base_err_set(err, INSTAR_ESTATE,
                                "column \"%s\" of table \"%s\": index \"%s\" uses it, and was made "
                                "since this change was submitted; ask for it again",
                                c->name, to->name, x->name);
        }
    }
    return 0;
}

int catalog_types_settle(const struct catalog_table *from, struct catalog_table *to,
                         struct base_err *err)
{
    char text[CATALOG_TYPE_TEXT_MAX];
    for (uint32_t i = 0; i < to->column_count; i++) {
        struct catalog_column *c = &to->columns[i];
        c->made_by = c->type_coming == INSTAR_NULL ? c->made_by : NULL;
        c->type_coming = INSTAR_NULL;
        c->length_coming = 0;
    }
    for (uint32_t i = 0; i < to->column_count; i++) {
        const struct catalog_column *c = &to->columns[i];
        int at = catalog_table_column_by_id(from, c->id);
        const struct catalog_column *old = at >= 0 ? &from->columns[at] : NULL;
        bool made = c->made_by != NULL;
        if (old == NULL || (!made && old->type == c->type && old->length_max == c->length_max)) {
            continue;
        }
        if (!may_settle(old, c)) {
            return base_err_set(err, INSTAR_ESTATE,
                                "column \"%s\" of table \"%s\" has another type since this change "
                                "was submitted; ask for it again",
                                c->name, to->name);
        }
        if (from->tree == to->tree &&
            catalog_key_minds(from, (uint32_t)at, catalog_type_of_keys(old, c, made))) {
            return catalog_type_refuse_key(to, c, catalog_type_text(c->type, c->length_max, text),
                                           err);
        }
        int rc = settle_indexes(from, (uint32_t)at, to, i, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
