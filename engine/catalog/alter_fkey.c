/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign keys in an alteration. As with checks, the request says how one is to be in the end, and
 * the version before has it enforced, where rows are to be looked at:
 *
 *     wanted      as it stands    version before      then
 *     valid       absent          enforcing           valid
 *     valid       not valid       validating          valid
 *     not valid   absent          -                   not valid
 *     absent      any             the same            absent
 *
 * A column that the same change adds is hidden by then, with its index (between.c): every row has
 * its missing value in it, which the validation looks for as for any other.
 *
 * Why a drain of both tables stands before the validation: a writer of the child on the version
 * before looks for no parent, and a writer of the parent on the version before looks for no
 * children. Only when both have gone does nobody break it any more.
 */
#include "catalog/catalog_impl.h"

#include <stdio.h>

int catalog_constraint_name_check(const struct catalog_table *table, const char *name,
                                  struct base_err *err)
{
    int rc = catalog_name_check("constraint", name, err);
    if (rc == 0 && catalog_has_constraint(table, name)) {
        rc = base_err_set(err, INSTAR_EEXISTS, "table \"%s\" has a constraint \"%s\" already",
                          table->name, name);
    }
    return rc;
}

/* ---- steps -------------------------------------------------------------------------------- */

int catalog_alter_add_fkey(struct catalog_table *table, const instar_alteration *step,
                           struct base_err *err)
{
    bool not_valid = step->fkey != NULL && step->fkey->not_valid;
    uint32_t before = table->fkey_count;
    int rc = catalog_fkey_define(table, step->fkey,
                                 not_valid ? CATALOG_CHECK_NOT_VALID : CATALOG_CHECK_VALID, err);
    /* One that is taken up has its index. */
    return rc == 0 && table->fkey_count > before
               ? catalog_fkey_refuse_unindexed(table, &table->fkeys[before], err)
               : rc;
}

static void drop(struct catalog_table *table, struct catalog_fkey *fkey)
{
    size_t behind = (size_t)(table->fkeys + table->fkey_count - (fkey + 1));
    memmove(fkey, fkey + 1, behind * sizeof(*fkey));
    table->fkey_count--;
}

int catalog_alter_fkey(struct catalog_table *table, struct catalog_fkey *fkey,
                       const instar_alteration *step, bool *changed_out, struct base_err *err)
{
    int rc = 0;
    switch (step->kind) {
    case INSTAR_ALTER_DROP_CONSTRAINT:
        drop(table, fkey);
        return 0;
    case INSTAR_ALTER_RENAME_CONSTRAINT:
        rc = catalog_constraint_name_check(table, step->new_name, err);
        if (rc == 0) {
            snprintf(fkey->name, sizeof(fkey->name), "%s", step->new_name);
        }
        return rc;
    default:
        *changed_out = fkey->state != CATALOG_CHECK_VALID;
        fkey->state = CATALOG_CHECK_VALID;
        return 0;
    }
}

int catalog_define_fkeys(struct catalog_table *table, const instar_table_def *def,
                         struct base_err *err)
{
    int rc = 0;
    if (def->fkey_count != 0 && def->fkeys == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "no foreign keys");
    }
    for (size_t i = 0; rc == 0 && i < def->fkey_count; i++) {
        rc = catalog_fkey_define(table, &def->fkeys[i], CATALOG_CHECK_VALID, err);
        if (rc == 0) {
            rc = catalog_fkey_make_index(table, &table->fkeys[table->fkey_count - 1], err);
        }
    }
    if (rc == 0 && table->index_count > INSTAR_TABLE_UNIQUES_MAX && def->fkey_count != 0) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "%u indexes for UNIQUE constraints and foreign keys with the table, at "
                          "most %d; add the others to it",
                          table->index_count, INSTAR_TABLE_UNIQUES_MAX);
    }
    return rc;
}

/* ---- versions ----------------------------------------------------------------------------- */

int catalog_fkeys_enforce(struct catalog_table *copy, const struct catalog_table *target, bool *any,
                          struct base_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < target->fkey_count; i++) {
        struct catalog_fkey wanted = target->fkeys[i];
        struct catalog_fkey *now = catalog_table_fkey_by_id(copy, wanted.id);
        if (wanted.state != CATALOG_CHECK_VALID) {
            continue;
        }
        if (now != NULL && now->state == CATALOG_CHECK_NOT_VALID) {
            now->state = CATALOG_CHECK_VALIDATING;
            *any = true;
        } else if (now == NULL) {
            for (uint32_t k = 0; rc == 0 && k < wanted.column_count; k++) {
                int at = catalog_table_column_by_id(copy, wanted.column_ids[k]);
                if (at < 0) {
                    rc =
                        base_err_set(err, INSTAR_EINVALID,
                                     "foreign key \"%s\" of table \"%s\" is about a column that "
                                     "this change adds: add the foreign key in a change of its own",
                                     wanted.name, copy->name);
                }
            }
            wanted.state = CATALOG_CHECK_ENFORCING;
            rc = rc == 0 ? catalog_fkey_refuse_unindexed(copy, &wanted, err) : rc;
            rc = rc == 0 ? catalog_fkey_add(copy, &wanted, err) : rc;
            copy->next_fkey_id = target->next_fkey_id;
            *any = true;
        }
    }
    return rc;
}

void catalog_fkeys_relax(struct catalog_table *copy)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < copy->fkey_count; i++) {
        struct catalog_fkey f = copy->fkeys[i];
        if (f.state == CATALOG_CHECK_VALIDATING) {
            f.state = CATALOG_CHECK_NOT_VALID;
        }
        if (f.state != CATALOG_CHECK_ENFORCING) {
            copy->fkeys[kept++] = f;
        }
    }
    copy->fkey_count = kept;
}

int catalog_fkeys_settle(const struct catalog_table *from, const struct catalog_table *to,
                         struct base_err *err)
{
    for (uint32_t i = 0; i < to->fkey_count; i++) {
        const struct catalog_fkey *fkey = &to->fkeys[i];
        const struct catalog_fkey *before = catalog_table_fkey_by_id(from, fkey->id);
        if (fkey->state == CATALOG_CHECK_VALID &&
            (before == NULL || before->state == CATALOG_CHECK_NOT_VALID)) {
            return base_err_set(err, INSTAR_ESTATE,
                                "foreign key \"%s\" of table \"%s\" was not validated, or was on "
                                "its way in another change when this one was submitted; ask for it "
                                "again",
                                fkey->name, to->name);
        }
    }
    return 0;
}

/* ---- what foreign keys need --------------------------------------------------------------- */

/* The key is there, of the same columns, with codes of which those that refer to it are. Where they
 * would be others the index is made anew, and is another one. */
static bool keeps_key(const struct catalog_table *from, const struct catalog_table *to,
                      uint32_t index)
{
    struct catalog_parent_key a;
    struct catalog_parent_key b;
    if (!catalog_parent_key_of(from, index, &a)) {
        return true; /* it was not there before either */
    }
    bool same = catalog_parent_key_of(to, index, &b) && a.count == b.count;
    for (uint32_t i = 0; same && i < a.count; i++) {
        const struct catalog_column *x = &from->columns[a.parts[i].column];
        const struct catalog_column *y = &to->columns[b.parts[i].column];
        same = x->id == y->id && row_cast_keeps_keys(x->type, y->type);
    }
    return same;
}

int catalog_keys_kept(const struct catalog_table *from, const struct catalog_table *to,
                      struct base_err *err)
{
    char words[2 * INSTAR_NAME_BYTES_MAX + 64] = "a foreign key";
    for (uint32_t i = 0; i < to->referrer_count; i++) {
        const struct catalog_referrer *r = &to->referrers[i];
        bool own_gone =
            r->child == to->id && catalog_table_fkey_by_id(to, r->fkey) == NULL; /* it goes too */
        if (own_gone || keeps_key(from, to, r->index)) {
            continue;
        }
        if (from->kin != NULL) {
            from->kin->describe(from->kin->arg, r, words, sizeof(words));
        }
        const struct catalog_index *index = catalog_table_index_by_id(from, r->index);
        return base_err_set(err, INSTAR_ESTATE,
                            "table \"%s\": %s refers to its %s%s%s; drop that first", from->name,
                            words, index != NULL ? "key \"" : "primary key",
                            index != NULL ? index->name : "", index != NULL ? "\"" : "");
    }
    for (uint32_t i = 0; i < to->fkey_count; i++) {
        struct catalog_fkey_path path;
        const struct catalog_fkey *fkey = &to->fkeys[i];
        if (!catalog_fkey_path(to, fkey, &path)) {
            return base_err_set(err, INSTAR_ESTATE,
                                "table \"%s\": foreign key \"%s\" needs an index that begins with "
                                "its columns, and this is the last one; drop the foreign key first",
                                to->name, fkey->name);
        }
    }
    return 0;
}
