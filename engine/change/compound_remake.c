/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexes on a column whose type changes, and all indexes of a table that gets another primary key:
 * the request has a part for each of them, which makes it anew under its name.
 */
#include "change/draft_impl.h"
#include "change/rekey_impl.h"

#include <string.h>

/* The table as the steps, which are not about the primary key, leave it, for looking alone. NULL:
 * they are about no type, or one of them is wrong. */
static int try_steps(const struct catalog_table *table, const instar_alteration *steps,
                     size_t count, struct catalog_table **copy_out, struct base_err *err)
{
    bool needed = false;

    *copy_out = NULL;
    for (size_t i = 0; i < count; i++) {
        needed = needed || steps[i].kind == INSTAR_ALTER_SET_TYPE;
    }
    int rc = needed ? catalog_table_copy(table, copy_out, err) : 0;
    for (size_t i = 0; rc == 0 && needed && i < count; i++) {
        bool changed;
        if (steps[i].kind != INSTAR_ALTER_ADD_FOREIGN_KEY) { /* that would need its parent */
            rc = catalog_alter(*copy_out, &steps[i], &changed, err);
        }
    }
    if (rc != 0) {
        catalog_table_free(*copy_out);
        *copy_out = NULL;
    }
    if (rc == 0 || rc == INSTAR_ENOMEM) {
        return rc;
    }
    base_err_clear(err);
    return 0;
}

int compound_look(const struct catalog_table *table, const instar_alteration *steps, size_t count,
                  struct compound_anew *out, struct base_err *err)
{
    struct catalog_table *copy;

    *out = (struct compound_anew){.rekeys = rekey_is_needed(table, steps, count)};
    if (out->rekeys) {
        return 0;
    }
    int rc = try_steps(table, steps, count, &copy, err);
    out->rekeys = copy != NULL && copy->rekeyed;
    for (uint32_t i = 0; copy != NULL && i < copy->index_count; i++) {
        out->indexes += copy->indexes[i].remade;
        out->unique_indexes += copy->indexes[i].remade && copy->indexes[i].unique;
    }
    catalog_table_free(copy);
    return rc;
}

/* The steps before have given a column of it another type. One that this change makes itself comes
 * as it is then. */
static int remake_one(struct draft *d, struct catalog_index *index, struct base_err *err)
{
    struct compound_statement *part = &d->request[d->count];
    const struct catalog_index *old = catalog_table_index_by_tree(d->from, index->tree);
    struct catalog_name found;

    index->remade = false;
    if (old == NULL) {
        return 0;
    }
    if (strcmp(old->name, index->name) != 0) {
        return base_err_set(err, INSTAR_EINVALID,
                            "index \"%s\" is renamed in the change that gives a column of it "
                            "another type, or its table another primary key: two changes",
                            old->name);
    }
    if (d->created == COMPOUND_INDEXES_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "more than %d indexes to be made, or made anew, in one change",
                            COMPOUND_INDEXES_MAX);
    }
    int rc = catalog_name_get(d->s->t, old->name, &found, err);
    if (rc == 0 && found.change != 0) {
        rc = alter_name_busy(d->s->t, old->name, found.change, err);
    }
    if (rc == 0) {
        rc = catalog_next_id(d->s->t, CATALOG_COUNTER_TREE, &part->tree, err);
    }
    if (rc != 0) {
        return rc;
    }
    part->kind = COMPOUND_REMAKE_INDEX;
    part->old_tree = old->tree;
    part->name = old->name;
    d->count++;
    d->created++;
    uint32_t id = d->target->next_index_id++;
    rc = catalog_comment_hand_on(d->target, CATALOG_COMMENT_INDEX, index->id, id, err);
    index->id = id;
    index->tree = part->tree;
    return rc;
}

int compound_remake(struct draft *d, struct base_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < d->target->index_count; i++) {
        if (d->target->indexes[i].remade) {
            rc = remake_one(d, &d->target->indexes[i], err);
        }
    }
    return rc;
}
