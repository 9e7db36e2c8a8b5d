/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are made by a change of several tables. What statements behind the CREATE TABLE say
 * of one is said of its definition: there are no rows, so its indexes are public from the
 * beginning.
 */
#include "change/several_draft_impl.h"

#include <stdio.h>
#include <string.h>

/* ---- tables that are made ----------------------------------------------------------------- */

static int may_create(struct several_draft *sd, const struct catalog_table *table, uint32_t flags,
                      bool *create_out, struct base_err *err)
{
    const struct subject *other = several_find_name(sd, table->name);
    enum join join;
    uint64_t change;

    *create_out = false;
    if (other != NULL) {
        return base_err_set(err, other->kind == SEVERAL_DROP ? INSTAR_ESTATE : INSTAR_EEXISTS,
                            other->kind == SEVERAL_DROP
                                ? "table \"%s\" is dropped in the same change: the new one needs "
                                  "another name"
                                : "the change gives the name \"%s\" twice",
                            table->name);
    }
    int rc = join_table(sd->s->t, table, flags, &join, &change, err);
    if (rc == 0 && (join == JOIN_ATTACH || join == JOIN_BEHIND)) {
        rc = base_err_set(err, INSTAR_ESTATE,
                          "change %llu is at work on table \"%s\": this one cannot make it",
                          (unsigned long long)change, table->name);
    }
    *create_out = rc == 0 && join == JOIN_FREE;
    return rc;
}

int several_create_table(struct several_draft *sd, const instar_statement *statement,
                         struct base_err *err)
{
    struct catalog_table *table = NULL;
    struct subject *x = NULL;
    char text[RECORD_STATEMENT_MAX];
    bool create = false;
    base_assert(statement->table != NULL);
    int rc = catalog_table_from_def(statement->table, &table, err);
    if (rc == 0) {
        table->kin = &sd->kin.face;
        rc = catalog_next_id(sd->s->t, CATALOG_COUNTER_TABLE, &table->id, err);
    }
    if (rc == 0) {
        rc = catalog_define_fkeys(table, statement->table, err);
    }
    if (rc == 0) {
        rc = may_create(sd, table, statement->flags, &create, err);
    }
    if (rc == 0 && create) {
        rc = several_add_subject(sd, SEVERAL_CREATE, &x, err);
    }
    if (rc != 0 || !create) {
        catalog_table_free(table);
        return rc;
    }
    x->table = table;
    x->def = statement->table;
    x->own_indexes = table->index_count;
    submit_table_statement(table, text, sizeof(text));
    several_tell(sd, text, strlen(text));
    return catalog_next_id(sd->s->t, CATALOG_COUNTER_TREE, &table->tree, err);
}

/* An index of a table that has no rows. */
static int index_new(struct several_draft *sd, struct subject *x, const instar_index_def *def,
                     struct base_err *err)
{
    struct catalog_index *index;
    char text[RECORD_STATEMENT_MAX];
    int rc = catalog_index_from_def(x->table, def, &index, err);

    if (rc != 0) {
        return rc;
    }
    catalog_index_describe(x->table, index, text, sizeof(text));
    several_tell(sd, text, strlen(text));
    index->stage = INSTAR_STAGE_PUBLIC;
    index->enforcing = index->unique;
    return 0;
}

static int unique_new(struct several_draft *sd, struct subject *x, const instar_unique_def *unique,
                      struct base_err *err)
{
    instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX];
    char name[INSTAR_NAME_BYTES_MAX + 1];
    instar_index_def def;
    unsigned number = 0;

    if (unique == NULL || unique->column_count == 0 || unique->columns == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "add unique: no definition");
    }
    if (unique->name != NULL) {
        int rc = catalog_name_check("constraint", unique->name, err);
        if (rc != 0) {
            return rc;
        }
        snprintf(name, sizeof(name), "%s", unique->name);
    } else {
        do {
            catalog_unique_name(x->table->name, unique, number++, name);
        } while (catalog_table_index(x->table, name) != NULL ||
                 catalog_has_constraint(x->table, name));
    }
    int rc = catalog_unique_index(unique, name, x->table->name, columns, &def, err);
    return rc == 0 ? index_new(sd, x, &def, err) : rc;
}

/* What may be said of a table behind its CREATE TABLE: what needs no version of its own. */
static int alter_new(struct several_draft *sd, struct subject *x, const instar_alteration *step,
                     struct base_err *err)
{
    bool comments =
        step->kind >= INSTAR_ALTER_COMMENT_TABLE && step->kind <= INSTAR_ALTER_COMMENT_CONSTRAINT;
    char text[RECORD_STATEMENT_MAX];
    bool changed;
    int rc;

    if (step->kind == INSTAR_ALTER_ADD_UNIQUE) {
        return unique_new(sd, x, step->unique, err);
    }
    if (step->kind == INSTAR_ALTER_ADD_FOREIGN_KEY && step->fkey != NULL) {
        rc = catalog_define_fkeys(
            x->table, &(const instar_table_def){.fkeys = step->fkey, .fkey_count = 1}, err);
    } else if (step->kind == INSTAR_ALTER_ADD_CHECK || comments) {
        rc = catalog_alter(x->table, step, &changed, err);
    } else {
        rc = base_err_set(err, INSTAR_EINVALID,
                          "table \"%s\" is created in the same change: say that in its CREATE "
                          "TABLE",
                          x->table->name);
    }
    if (rc == 0) {
        alter_describe(x->table->name, step, 1, text, sizeof(text));
        several_tell(sd, text, strlen(text));
    }
    return rc;
}

int several_statement_new(struct several_draft *sd, struct subject *x,
                          const instar_statement *statement, struct base_err *err)
{
    int rc = 0;

    if (statement->kind == INSTAR_STATEMENT_CREATE_INDEX) {
        return index_new(sd, x, statement->index, err);
    }
    if (statement->kind == INSTAR_STATEMENT_COMMENT_INDEX) {
        return alter_new(sd, x,
                         &(instar_alteration){.kind = INSTAR_ALTER_COMMENT_INDEX,
                                              .name = statement->name,
                                              .comment = statement->comment},
                         err);
    }
    if (statement->kind != INSTAR_STATEMENT_ALTER_TABLE) {
        return base_err_set(err, INSTAR_EINVALID,
                            "table \"%s\" is created in the same change: nothing of it is dropped "
                            "or renamed there",
                            x->table->name);
    }
    for (size_t i = 0; rc == 0 && i < statement->step_count; i++) {
        rc = alter_new(sd, x, &statement->steps[i], err);
        if (rc != 0 && statement->step_count > 1) {
            base_err_prefix(err, "step %zu", i + 1);
        }
    }
    return rc;
}

/* ---- its part of the record --------------------------------------------------------------- */

static int reserve_name(struct several_draft *sd, const char *name, struct catalog_name *value,
                        struct base_err *err)
{
    struct catalog_name found;
    int rc = catalog_name_get(sd->s->t, name, &found, err);

    if (rc == 0) {
        return base_err_set(err, INSTAR_EEXISTS,
                            found.change == sd->s->rec.id
                                ? "the change gives the name \"%s\" twice"
                                : "there is a table or an index named \"%s\" already",
                            name);
    }
    if (rc != INSTAR_ENOTFOUND) {
        return rc;
    }
    base_err_clear(err);
    value->change = sd->s->rec.id;
    return catalog_name_put(sd->s->t, name, value, err);
}

int several_encode_made(struct several_draft *sd, struct subject *x, struct base_buf *out,
                        struct base_err *err)
{
    struct catalog_table *table = x->table;
    struct catalog_name name = {.kind = CATALOG_NAME_TABLE, .table = table->id};
    uint32_t all = table->index_count;
    int rc = reserve_name(sd, table->name, &name, err);

    if (rc == 0) {
        sd->s->table_def = x->def;
        table->index_count = x->own_indexes;
        rc = submit_reserve_uniques(sd->s, table, err);
        table->index_count = all;
        sd->s->table_def = NULL;
    }
    for (uint32_t i = x->own_indexes; rc == 0 && i < all; i++) {
        name = (struct catalog_name){
            .kind = CATALOG_NAME_INDEX, .table = table->id, .index = table->indexes[i].id};
        rc = reserve_name(sd, table->indexes[i].name, &name, err);
    }
    if (rc == 0) {
        rc = submit_give_trees(sd->s, table, err);
    }
    if (rc == 0) {
        rc = catalog_table_finish(table, err);
    }
    return rc == 0 ? catalog_table_encode(table, out, err) : rc;
}
