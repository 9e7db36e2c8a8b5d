/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another primary key beside other alterations of its table. It is known to be one before rows are
 * built by it, so the change builds twice: a unique index on the new key, the witness, of the table
 * as it stands; then the rows by the new key, together with all indexes of the table as it is
 * wanted, for every entry ends with the key of its row.
 *
 *   v       as it stands      witness        rows and indexes by the new   rows and indexes by the
 *                                            key                           old key
 *   v + 1   key add           delete-only
 *   v + 2   key raise         write-only
 *           (cut, build, fold)
 *   v + 3   key enforce       enforcing
 *           (drain, validate)
 *   v + 4   add               enforcing      delete-only                   public
 *   …       as in compound_target.c
 *   v + 7   flip              write-only     the table's, public           write-only
 *   v + 8   lower             delete-only                                  delete-only
 *   v + 9   remove            absent                                       absent
 *
 * To row ids there is no witness: the column of row ids comes instead, and every row gets one.
 *
 * Ids: the witness has the next one of the table as it was, the rows the one behind it, and what
 * the statements make those behind that.
 */
#include "change/compound_impl.h"

#include <stdio.h>

const struct compound_statement *compound_rekey(const struct compound_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        if (request->statements[i].kind == COMPOUND_REKEY) {
            return &request->statements[i];
        }
    }
    return NULL;
}

uint64_t compound_witness(const struct compound_statement *s)
{
    return s->kind == COMPOUND_REKEY ? s->witness : 0;
}

/* ---- the table as it is wanted ------------------------------------------------------------ */

int compound_set_key(struct catalog_table *target, const struct compound_statement *s,
                     struct base_err *err)
{
    int rc = 0;

    if (s->def.column_count == 0) {
        rc = target->row_id == 0 ? catalog_add_row_id(target, err) : 0;
        target->key_count = 1;
        target->key[0] = (struct catalog_key_part){
            .column = (uint32_t)catalog_table_column_by_id(target, target->row_id)};
    } else {
        rc = catalog_define_key(target, s->def.columns, s->def.column_count, target->key, err);
        target->key_count = rc == 0 ? (uint32_t)s->def.column_count : 0;
        if (rc != 0) {
            base_err_prefix(err, "table \"%s\"", target->name);
        }
    }
    for (uint32_t i = 0; rc == 0 && i < target->key_count; i++) {
        target->columns[target->key[i].column].not_null = true;
        target->columns[target->key[i].column].enforcing = false;
    }
    target->tree = s->tree;
    return rc;
}

void compound_reserve_ids(struct catalog_table *base, const struct compound_request *request)
{
    const struct compound_statement *s = compound_rekey(request);

    if (s != NULL) {
        base->next_index_id += s->witness != 0 ? 2 : 1;
    }
}

/* ---- the versions ------------------------------------------------------------------------- */

/* The columns of another version's key, where these stand here; both have them. */
static void take_parts(const struct catalog_table *of, const struct catalog_table *next,
                       struct catalog_index *index)
{
    index->part_count = of->key_count;
    for (uint32_t i = 0; i < of->key_count; i++) {
        int at = catalog_table_column_by_id(next, of->columns[of->key[i].column].id);
        base_assert(at >= 0);
        index->parts[i] = of->key[i];
        index->parts[i].column = (uint32_t)at;
    }
}

/* An index on the key of the table as it is wanted, in its first stage. */
static int add_on_key(struct catalog_table *next, const struct catalog_table *target,
                      uint64_t change, struct catalog_index **index_out, struct base_err *err)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];

    catalog_key_name(next->name, 0, name);
    int rc = catalog_index_add(next, name, index_out, err);
    if (rc == 0) {
        take_parts(target, next, *index_out);
        catalog_index_set_sight(target, next, *index_out, CATALOG_SIGHT_COMING);
        (*index_out)->change = change;
    }
    return rc;
}

/* What types are on their way stays so. */
static int add_ids(const struct catalog_table *now, struct catalog_table *next,
                   struct base_err *err)
{
    int rc = next->row_id == 0 ? catalog_add_row_id(next, err) : 0;

    rc = rc == 0 ? catalog_alter_finish(now, next, err) : rc; /* counts the version */
    rc = rc == 0 ? catalog_types_carry(now, next, err) : rc;
    return rc == 0 ? catalog_table_finish(next, err) : rc;
}

static int add_witness(struct catalog_table *next, const struct catalog_table *target,
                       const struct compound_statement *s, uint64_t change, struct base_err *err)
{
    struct catalog_index *index;
    int rc = catalog_types_announce(next, target, err);

    rc = rc == 0 ? add_on_key(next, target, change, &index, err) : rc;
    if (rc == 0) {
        index->tree = s->witness;
        index->unique = true;
        next->version++;
        rc = catalog_table_finish(next, err);
    }
    return rc;
}

/* Hand it out, or free it. */
static int hand_out(int rc, struct catalog_table *next, struct catalog_table **next_out)
{
    *next_out = rc == 0 ? next : NULL;
    if (rc != 0) {
        catalog_table_free(next);
    }
    return rc;
}

int compound_key_add(const struct catalog_table *now, const struct compound_request *request,
                     uint64_t change, struct catalog_table **next_out, struct base_err *err)
{
    const struct compound_statement *s = compound_rekey(request);
    struct catalog_table *target = NULL;
    struct catalog_table *next = NULL;
    int rc = compound_target(now, request, &target, err);

    rc = rc == 0 ? catalog_table_copy(now, &next, err) : rc;
    if (rc == 0) {
        rc = s->witness == 0 ? add_ids(now, next, err) : add_witness(next, target, s, change, err);
    }
    catalog_table_free(target);
    return hand_out(rc, next, next_out);
}

int compound_key_raise(const struct catalog_table *now, const struct compound_request *request,
                       struct catalog_table **next_out, struct base_err *err)
{
    uint64_t tree = compound_rekey(request)->witness;
    struct catalog_table *next = NULL;
    int rc = 0;

    *next_out = NULL;
    if (tree == 0) {
        return 0;
    }
    rc = catalog_table_copy(now, &next, err);
    if (rc == 0) {
        catalog_table_index_by_tree(next, tree)->stage = INSTAR_STAGE_WRITE_ONLY;
        next->version++;
        rc = catalog_table_finish(next, err);
    }
    return hand_out(rc, next, next_out);
}

int compound_key_enforce(const struct catalog_table *now, const struct compound_request *request,
                         struct catalog_table **next_out, struct base_err *err)
{
    uint64_t tree = compound_rekey(request)->witness;
    struct catalog_table *target = NULL;
    struct catalog_table *next = NULL;
    int rc = compound_target(now, request, &target, err);

    rc = rc == 0 ? catalog_table_copy(now, &next, err) : rc;
    for (uint32_t i = 0; rc == 0 && i < target->key_count; i++) {
        uint32_t id = target->columns[target->key[i].column].id;
        struct catalog_column *column = &next->columns[catalog_table_column_by_id(next, id)];
        column->enforcing = !column->not_null;
    }
    if (rc == 0 && tree != 0) {
        struct catalog_index *witness = catalog_table_index_by_tree(next, tree);
        witness->stage = INSTAR_STAGE_WRITE_ONLY;
        witness->enforcing = true;
    }
    if (rc == 0) {
        next->version++;
        rc = catalog_table_finish(next, err);
    }
    catalog_table_free(target);
    return hand_out(rc, next, next_out);
}

int compound_add_rows(struct catalog_table *next, const struct catalog_table *target,
                      const struct compound_request *request, uint64_t change, uint32_t *id_out,
                      struct base_err *err)
{
    const struct compound_statement *s = compound_rekey(request);
    struct catalog_index *index;

    *id_out = 0;
    if (s == NULL) {
        return 0;
    }
    int rc = add_on_key(next, target, change, &index, err);
    if (rc == 0) {
        index->tree = s->tree;
        index->rows = true;
        index->stage = INSTAR_STAGE_DELETE_ONLY;
        *id_out = index->id;
    }
    return rc;
}

/* The rows by the old key, in the place of those by the new one; columns of the old key that go
 * stay hidden. */
static int keep_rows(const struct catalog_table *now, struct catalog_table *next, uint64_t change,
                     uint32_t *id_out, struct base_err *err)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];
    struct catalog_index *index;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < now->key_count; i++) {
        rc = catalog_hide_column(next, now, now->columns[now->key[i].column].id, false, err);
    }
    if (next->next_index_id < now->next_index_id) {
        next->next_index_id = now->next_index_id;
    }
    catalog_key_name(next->name, 0, name);
    rc = rc == 0 ? catalog_index_add(next, name, &index, err) : rc;
    if (rc == 0) {
        take_parts(now, next, index);
        catalog_index_set_sight(now, next, index, CATALOG_SIGHT_PAST);
        index->tree = now->tree;
        index->rows = true;
        index->stage = INSTAR_STAGE_WRITE_ONLY;
        index->change = change;
        *id_out = index->id;
        if (index->sight == CATALOG_SIGHT_PAST) {
            catalog_types_remember(now, next);
        }
    }
    return rc;
}

/* It binds until it is delete-only, and sees the new key as it is now. */
static int keep_witness(const struct catalog_table *now, struct catalog_table *next, uint64_t tree,
                        struct base_err *err)
{
    const struct catalog_index *witness = catalog_table_index_by_tree(now, tree);
    struct catalog_index *index;
    int rc = catalog_adopt_index(next, now, witness->id, false, &index, err);

    if (rc == 0) {
        index->sight = CATALOG_SIGHT_NOW;
    }
    return rc;
}

int compound_swap(const struct catalog_table *now, struct catalog_table *next,
                  const struct compound_request *request, uint64_t change, struct base_err *err)
{
    const struct compound_statement *s = compound_rekey(request);
    uint32_t rows = 0;

    if (s == NULL) {
        return 0;
    }
    int rc = s->witness != 0 ? keep_witness(now, next, s->witness, err) : 0;
    rc = rc == 0 ? keep_rows(now, next, change, &rows, err) : rc;
    /* What is left of the change ends with the old key. */
    for (uint32_t i = 0; rc == 0 && i < next->index_count; i++) {
        struct catalog_index *index = &next->indexes[i];
        if (index->change == change && !index->rows) {
            index->keyed_by = rows;
        }
    }
    return rc;
}

bool compound_drop_row_ids(struct catalog_table *next)
{
    if (next->row_id == 0 || catalog_keyed_by_row_id(next)) {
        return false;
    }
    uint32_t at = (uint32_t)catalog_table_column_by_id(next, next->row_id);
    base_assert(at == next->column_count - 1);
    next->column_count--;
    next->row_id = 0;
    return true;
}
