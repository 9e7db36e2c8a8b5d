/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REFERENCES and FOREIGN KEY. What they can say and the engine cannot do, CASCADE and its like,
 * MATCH FULL, is left in the tree, and so refused with its place.
 */
#include "ddl/ddl_impl.h"

#include <string.h>

static bool take_letter(struct ddl_node *constraint, const char *field, const char *letter)
{
    const struct ddl_node *found = ddl_peek(constraint, field);

    return found != NULL && found->text != NULL && strcmp(found->text, letter) == 0 &&
           ddl_take(constraint, field) != NULL;
}

/* NO ACTION or RESTRICT; another one is not taken. */
static enum instar_fkey_action take_action(struct ddl_node *constraint, const char *field)
{
    (void)take_letter(constraint, field, "a");
    return take_letter(constraint, field, "r") ? INSTAR_FKEY_RESTRICT : INSTAR_FKEY_NO_ACTION;
}

int ddl_fkey(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *constraint,
             const char *column, struct ddl_checks *checks)
{
    size_t count = checks->fkey_count;
    instar_fkey_def *more = ddl_alloc(&sql->arena, (count + 1) * sizeof(*more));
    const char **one = ddl_alloc(&sql->arena, sizeof(*one));
    instar_fkey_def fkey = {.name = ddl_take_text(constraint, "conname")};
    /* The grammar has one name for a statement's table and another one for this. */
    struct ddl_node *parent = ddl_take(constraint, "pktable");

    fkey.columns = ddl_take_names(sql, constraint, "fk_attrs", &fkey.column_count);
    fkey.parent_columns = ddl_take_names(sql, constraint, "pk_attrs", &fkey.parent_column_count);
    if (more == NULL || one == NULL || fkey.columns == NULL || fkey.parent_columns == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
    }
    if (column != NULL) {
        *one = column;
        fkey.columns = one;
        fkey.column_count = 1;
    }
    if (parent != NULL) {
        fkey.parent = ddl_take_text(parent, "relname");
        (void)take_letter(parent, "relpersistence", "p");
        (void)ddl_take_flag(parent, "inh"); /* ONLY cannot stand there */
    }
    (void)take_letter(constraint, "fk_matchtype", "s");
    fkey.on_delete = take_action(constraint, "fk_del_action");
    fkey.on_update = take_action(constraint, "fk_upd_action");
    fkey.not_valid = ddl_take_flag(constraint, "skip_validation");
    (void)ddl_take_flag(constraint, "initially_valid");
    if (count > 0) {
        memcpy(more, checks->fkeys, count * sizeof(*more));
    }
    more[count] = fkey;
    checks->fkeys = more;
    checks->fkey_count++;
    return INSTAR_OK;
}
