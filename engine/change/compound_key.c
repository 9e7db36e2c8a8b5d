/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another primary key among other statements: what of them is about it. DROP takes the key away for
 * the statements behind it, ADD gives one. When all are taken and there is none the table goes by
 * row ids; where a column of the key has a type with other keys, by the same columns anew.
 * Then every index ends with another key, and is made anew.
 */
#include "change/draft_impl.h"
#include "change/rekey_impl.h"

#include <string.h>

static const struct compound_statement *find_rekey(const struct draft *d)
{
    const struct compound_request request = {.statements = d->request, .count = d->count};

    return compound_rekey(&request);
}

bool draft_is_key_step(const struct draft *d, const instar_alteration *step)
{
    return step->kind == INSTAR_ALTER_ADD_PRIMARY_KEY || rekey_drops_key(d->target, step);
}

/* ---- the steps ---------------------------------------------------------------------------- */

static bool has_key(const struct catalog_table *table)
{
    return table->key_count != 0 && !catalog_keyed_by_row_id(table);
}

static int refuse_twice(const struct draft *d, struct base_err *err)
{
    return base_err_set(err, INSTAR_EINVALID,
                        "table \"%s\": its primary key changes twice in one change",
                        d->target->name);
}

static int drop_key(struct draft *d, const instar_alteration *step, bool *changed_out,
                    struct base_err *err)
{
    *changed_out = has_key(d->target);
    if (!*changed_out) {
        return (step->flags & INSTAR_ALTER_IF_EXISTS) != 0 ? 0 : rekey_refuse_none(d->target, err);
    }
    if (find_rekey(d) != NULL) {
        return refuse_twice(d, err);
    }
    d->request[d->count++].kind = COMPOUND_DROP_KEY;
    d->target->key_count = 0;
    return 0;
}

/* The rows by the key that the part has, and their witness. */
static int give_key(struct draft *d, const instar_key_column *columns, size_t count,
                    struct base_err *err)
{
    struct compound_statement *part = &d->request[d->count];
    int rc = 0;

    if (d->created == COMPOUND_INDEXES_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "table \"%s\": rows by another primary key and %d indexes to be made, "
                            "or made anew, in one change: at most %d",
                            d->target->name, COMPOUND_INDEXES_MAX, COMPOUND_INDEXES_MAX - 1);
    }
    *part = (struct compound_statement){.kind = COMPOUND_REKEY, .old_tree = d->from->tree};
    part->def.columns = columns;
    part->def.column_count = count;
    rc = catalog_next_id(d->s->t, CATALOG_COUNTER_TREE, &part->tree, err);
    if (rc == 0 && count != 0) {
        rc = catalog_next_id(d->s->t, CATALOG_COUNTER_TREE, &part->witness, err);
    }
    rc = rc == 0 ? compound_set_key(d->target, part, err) : rc;
    d->count += rc == 0;
    d->created += rc == 0;
    return rc;
}

/* A column that the change adds has one value in all rows. */
static int check_new_columns(const struct draft *d, struct base_err *err)
{
    for (uint32_t i = 0; i < d->target->key_count; i++) {
        const struct catalog_column *column = &d->target->columns[d->target->key[i].column];
        if (catalog_table_column_by_id(d->from, column->id) < 0) {
            return base_err_set(err, INSTAR_EINVALID,
                                "table \"%s\": column \"%s\" is added in the same change, and has "
                                "one value in all rows: add the primary key in a change of its own",
                                d->target->name, column->name);
        }
    }
    return 0;
}

static int add_key(struct draft *d, const instar_alteration *step, struct base_err *err)
{
    int rc = rekey_check_columns(step, err);

    if (rc != 0) {
        return rc;
    }
    if (find_rekey(d) != NULL) {
        return refuse_twice(d, err);
    }
    if (has_key(d->target)) {
        return rekey_refuse_two(d->target, err);
    }
    rc = give_key(d, step->key, step->key_count, err);
    return rc == 0 ? check_new_columns(d, err) : rc;
}

int draft_key_step(struct draft *d, const instar_alteration *step, struct base_err *err)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];
    bool changed = true;

    memcpy(name, d->target->name, sizeof(name));
    int rc = step->kind == INSTAR_ALTER_ADD_PRIMARY_KEY ? add_key(d, step, err)
                                                        : drop_key(d, step, &changed, err);
    if (rc == 0 && changed) {
        draft_tell_steps(d, name, step, 1);
    }
    return rc;
}

/* ---- when all are taken ------------------------------------------------------------------- */

/* In the columns and in their keys. */
static bool is_same_key(const struct catalog_table *a, const struct catalog_table *b)
{
    bool same = a->key_count == b->key_count;

    for (uint32_t i = 0; same && i < a->key_count; i++) {
        const struct catalog_column *x = &a->columns[a->key[i].column];
        const struct catalog_column *y = &b->columns[b->key[i].column];
        same = x->id == y->id && a->key[i].descending == b->key[i].descending &&
               y->made_by == NULL && row_cast_keeps_keys(x->type, y->type) &&
               row_type_scale(x->type, x->length_max) == row_type_scale(y->type, y->length_max);
    }
    return same;
}

/* The same columns again, under the names that they have by then. */
static int give_key_again(struct draft *d, struct base_err *err)
{
    const struct catalog_table *table = d->target;
    instar_key_column *columns =
        base_arena_alloc(&d->arena, INSTAR_INDEX_COLUMNS_MAX * sizeof(*columns));
    bool ok = columns != NULL;

    for (uint32_t i = 0; ok && i < table->key_count; i++) {
        const char *name = table->columns[table->key[i].column].name;
        columns[i] = (instar_key_column){.name = base_arena_strdup(&d->arena, name),
                                         .descending = table->key[i].descending};
        ok = columns[i].name != NULL;
    }
    return ok ? give_key(d, columns, table->key_count, err)
              : base_err_set(err, INSTAR_ENOMEM, "submitting a compound change: out of memory");
}

/* What would refer to the key of this table as it stands, for which it would be looked. */
static int check_own_fkeys(const struct draft *d, struct base_err *err)
{
    for (uint32_t i = 0; i < d->target->fkey_count; i++) {
        const struct catalog_fkey *fkey = &d->target->fkeys[i];
        if (fkey->parent == d->from->id) {
            /* One that was there refers to it, and was refused. */
            base_assert(catalog_table_fkey_by_id(d->from, fkey->id) == NULL);
            return draft_refuse_fkey(d, fkey, d->target, err);
        }
    }
    return 0;
}

int draft_refuse_fkey(const struct draft *d, const struct catalog_fkey *fkey,
                      const struct catalog_table *child, struct base_err *err)
{
    return base_err_set(err, INSTAR_EINVALID,
                        "foreign key \"%s\" of table \"%s\" refers to table \"%s\", whose primary "
                        "key changes in the same change: add it in a change of its own",
                        fkey->name, child->name, d->target->name);
}

bool draft_changes_key(const struct draft *d)
{
    return find_rekey(d) != NULL;
}

int draft_complete(struct draft *d, struct base_err *err)
{
    int rc = 0;

    base_assert(d->target != NULL); /* what has nothing to do is left out */
    if (d->target->key_count == 0) {
        rc = give_key(d, NULL, 0, err);
    } else if (d->target->rekeyed && find_rekey(d) == NULL) {
        rc = give_key_again(d, err);
    }
    if (rc != 0 || find_rekey(d) == NULL) {
        return rc;
    }
    if (is_same_key(d->from, d->target)) {
        return rekey_refuse_same(d->target, err);
    }
    rc = rekey_check_referrers(d->from, d->target, &d->kin, err);
    rc = rc == 0 ? check_own_fkeys(d, err) : rc;
    for (uint32_t i = 0; i < d->target->index_count; i++) {
        d->target->indexes[i].remade = true;
    }
    return rc == 0 ? compound_remake(d, err) : rc;
}
