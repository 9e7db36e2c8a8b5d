/* SPDX-License-Identifier: Apache-2.0 */
/* ALTER TABLE among several statements: what of it is a part of its own, because an index comes or
 * goes with it. */
#include "change/draft_impl.h"

#include <stdio.h>
#include <string.h>

/* Which of a statement's steps it was goes before what is wrong with it. */
int draft_step_fault(const struct steps *all, size_t at, int rc, struct base_err *err)
{
    if (rc != 0 && all->count > 1) {
        base_err_prefix(err, "step %zu", at + 1);
    }
    return rc;
}

/* ---- UNIQUE in ALTER TABLE ---------------------------------------------------------------- */

/* A name for a constraint that was given none, or for the index that a foreign key needs: free here
 * and among all names. */
static int choose_name(struct draft *d, const instar_unique_def *def,
                       const struct catalog_fkey *fkey, char *name, struct base_err *err)
{
    struct catalog_name found;
    unsigned number = 0;
    bool taken = true;
    int rc = 0;

    while (rc == 0 && taken) {
        if (fkey != NULL) {
            catalog_fkey_index_name(d->target, fkey, number++, name);
        } else {
            catalog_unique_name(d->target->name, def, number++, name);
        }
        taken = catalog_table_index(d->target, name) != NULL ||
                catalog_has_constraint(d->target, name) || strcmp(d->target->name, name) == 0 ||
                draft_dropped(d, name) != NULL;
        if (!taken) {
            rc = catalog_name_get(d->s->t, name, &found, err);
            taken = rc == 0;
            rc = rc == INSTAR_ENOTFOUND ? 0 : rc;
        }
    }
    if (rc == 0) {
        base_err_clear(err);
    }
    return rc;
}

static int add_unique(struct draft *d, const instar_unique_def *unique, struct base_err *err)
{
    char *name = base_arena_alloc(&d->arena, INSTAR_NAME_BYTES_MAX + 1);
    instar_key_column *columns =
        base_arena_alloc(&d->arena, INSTAR_INDEX_COLUMNS_MAX * sizeof(*columns));
    instar_index_def def;
    int rc = 0;

    if (name == NULL || columns == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "submitting a compound change: out of memory");
    }
    if (unique == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "add unique: no definition");
    }
    if (unique->name == NULL) {
        rc = choose_name(d, unique, NULL, name, err);
    } else {
        rc = catalog_name_check("constraint", unique->name, err);
        snprintf(name, INSTAR_NAME_BYTES_MAX + 1, "%s", rc == 0 ? unique->name : "");
    }
    if (rc == 0) {
        rc = catalog_unique_index(unique, name, d->target->name, columns, &def, err);
    }
    return rc == 0 ? draft_make_index(d, &def, 0, err) : rc;
}

/* ---- foreign keys in ALTER TABLE ---------------------------------------------------------- */

static bool lacks_index(const struct catalog_table *table, const instar_alteration *step,
                        struct catalog_fkey *fkey)
{
    return step->kind == INSTAR_ALTER_ADD_FOREIGN_KEY &&
           catalog_fkey_needs_index(table, step->fkey, fkey);
}

/* The index without which the foreign key of a step cannot be. */
static int add_index_for(struct draft *d, const struct catalog_fkey *fkey, struct base_err *err)
{
    char *name = base_arena_alloc(&d->arena, INSTAR_NAME_BYTES_MAX + 1);
    instar_key_column *columns =
        base_arena_alloc(&d->arena, INSTAR_INDEX_COLUMNS_MAX * sizeof(*columns));

    if (name == NULL || columns == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "submitting a compound change: out of memory");
    }
    for (uint32_t i = 0; i < fkey->column_count; i++) {
        int at = catalog_table_column_by_id(d->target, fkey->column_ids[i]);
        columns[i] =
            (instar_key_column){.name = base_arena_strdup(&d->arena, d->target->columns[at].name)};
        if (columns[i].name == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "submitting a compound change: out of memory");
        }
    }
    int rc = choose_name(d, NULL, fkey, name, err);
    const instar_index_def def = {.name = name,
                                  .table = d->target->name,
                                  .columns = columns,
                                  .column_count = fkey->column_count};
    return rc == 0 ? draft_make_index(d, &def, 0, err) : rc;
}

static bool drops_unique(const struct catalog_table *table, const instar_alteration *step)
{
    return step->kind == INSTAR_ALTER_DROP_CONSTRAINT && step->name != NULL &&
           catalog_table_unique(table, step->name) != NULL;
}

int draft_alter_all(struct draft *d, const struct steps *all, struct base_err *err)
{
    size_t begin = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i <= all->count; i++) {
        const instar_alteration *step = i < all->count ? &all->list[i] : NULL;
        bool adds = step != NULL && step->kind == INSTAR_ALTER_ADD_UNIQUE;
        bool may_drop = step != NULL && step->kind == INSTAR_ALTER_DROP_CONSTRAINT &&
                        catalog_has_unique(d->target);
        bool refers = step != NULL && step->kind == INSTAR_ALTER_ADD_FOREIGN_KEY;
        bool key = step != NULL && draft_is_key_step(d, step);
        struct catalog_fkey fkey;
        if (begin < i && (step == NULL || adds || may_drop || refers || key)) {
            rc = draft_alter_steps(d, all, begin, i, err);
            begin = i;
        }
        if (rc == 0 && refers && lacks_index(d->target, step, &fkey)) {
            rc = draft_step_fault(all, i, add_index_for(d, &fkey, err), err);
        }
        if (rc != 0 || !(adds || key || (may_drop && drops_unique(d->target, step)))) {
            continue;
        }
        rc = adds  ? add_unique(d, step->unique, err)
             : key ? draft_key_step(d, step, err)
                   : draft_take_away(d, step->name, err);
        rc = draft_step_fault(all, i, rc, err);
        begin = i + 1;
    }
    return rc;
}

/* Is it about a column that one of the steps before adds? Then it lacks an index. */
static bool is_about_new(const instar_alteration *steps, size_t at)
{
    const instar_fkey_def *fkey = steps[at].fkey;

    if (steps[at].kind != INSTAR_ALTER_ADD_FOREIGN_KEY || fkey == NULL || fkey->columns == NULL) {
        return false;
    }
    for (size_t i = 0; i < at; i++) {
        const instar_column_def *column =
            steps[i].kind == INSTAR_ALTER_ADD_COLUMN ? steps[i].column : NULL;
        for (size_t k = 0; column != NULL && column->name != NULL && k < fkey->column_count; k++) {
            if (fkey->columns[k] != NULL && strcmp(fkey->columns[k], column->name) == 0) {
                return true;
            }
        }
    }
    return false;
}

int compound_is_needed(const struct catalog_table *table, const instar_alteration *steps,
                       size_t count, bool *needed_out, struct base_err *err)
{
    struct compound_anew anew;
    struct catalog_fkey fkey;
    bool renames = false;
    int rc = compound_look(table, steps, count, &anew, err);
    bool needed = anew.rekeys || anew.indexes != 0;

    for (size_t i = 0; i < count; i++) {
        needed =
            needed || lacks_index(table, &steps[i], &fkey) || is_about_new(steps, i) ||
            steps[i].kind == INSTAR_ALTER_ADD_UNIQUE || drops_unique(table, &steps[i]) ||
            (renames && steps[i].kind == INSTAR_ALTER_DROP_CONSTRAINT && catalog_has_unique(table));
        renames = renames || steps[i].kind == INSTAR_ALTER_RENAME_CONSTRAINT ||
                  steps[i].kind == INSTAR_ALTER_RENAME_INDEX;
    }
    *needed_out = rc == 0 && needed;
    return rc;
}
