/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constraints in alterations. In the versions of one change:
 *
 *     as it stands      -> enforced      -> altered
 *     absent               enforcing        valid        a new check
 *     not valid            validating       valid        VALIDATE
 *     absent               absent           not valid    NOT VALID: holds for what is written
 *     any                  the same         absent       a drop
 *
 * A check about columns that the change adds has nothing to be enforced on before they are there:
 * all rows from before have the same values in them, so it is tested on these, once.
 */
#include "catalog/catalog_impl.h"

#include <stdio.h>

/* ---- steps -------------------------------------------------------------------------------- */

static int unknown(const struct catalog_table *table, const char *name, struct base_err *err)
{
    const char *names[CATALOG_CHECKS_MAX + CATALOG_INDEXES_MAX + CATALOG_FKEYS_MAX];
    char hint[CATALOG_HINT_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < table->check_count; i++) {
        names[count++] = table->checks[i].name;
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        if (table->indexes[i].constraint) {
            names[count++] = table->indexes[i].name;
        }
    }
    for (uint32_t i = 0; i < table->fkey_count; i++) {
        names[count++] = table->fkeys[i].name;
    }
    const char *nearest = base_nearest_name(name, names, count);
    return base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" has no constraint \"%s\"%s",
                        table->name, name, catalog_hint(nearest, hint));
}

static void drop(struct catalog_table *table, struct catalog_check *check)
{
    size_t behind = (size_t)(table->checks + table->check_count - (check + 1));
    memmove(check, check + 1, behind * sizeof(*check));
    table->check_count--;
}

static int rename_check(const struct catalog_table *table, struct catalog_check *check,
                        const char *new_name, struct base_err *err)
{
    int rc = catalog_constraint_name_check(table, new_name, err);
    if (rc == 0) {
        snprintf(check->name, sizeof(check->name), "%s", new_name);
    }
    return rc;
}

/* The name of a UNIQUE is that of its index. To drop one is a step for change/, as to make one is.
 */
static int alter_unique(struct catalog_table *table, const instar_alteration *step,
                        bool *changed_out, struct base_err *err)
{
    if (step->kind == INSTAR_ALTER_RENAME_CONSTRAINT) {
        instar_alteration rename = *step;
        rename.kind = INSTAR_ALTER_RENAME_INDEX;
        return catalog_alter(table, &rename, changed_out, err);
    }
    if (step->kind == INSTAR_ALTER_VALIDATE_CONSTRAINT) {
        *changed_out = false; /* it always is */
        return 0;
    }
    return base_err_set(err, INSTAR_ESTATE,
                        "constraint \"%s\" of table \"%s\" became a UNIQUE since this change was "
                        "submitted; ask for it again",
                        step->name, table->name);
}

int catalog_alter_constraint(struct catalog_table *table, const instar_alteration *step,
                             bool *changed_out, struct base_err *err)
{
    if (step->kind == INSTAR_ALTER_ADD_CHECK) {
        bool not_valid = step->check != NULL && step->check->not_valid;
        return catalog_check_define(table, step->check,
                                    not_valid ? CATALOG_CHECK_NOT_VALID : CATALOG_CHECK_VALID, err);
    }
    int rc = catalog_name_check("constraint", step->name, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_check *check = catalog_table_check(table, step->name);
    if (check == NULL && catalog_table_unique(table, step->name) != NULL) {
        return alter_unique(table, step, changed_out, err);
    }
    struct catalog_fkey *fkey = catalog_table_fkey(table, step->name);
    if (check == NULL && fkey != NULL) {
        return catalog_alter_fkey(table, fkey, step, changed_out, err);
    }
    if (check == NULL) {
        *changed_out = false;
        return (step->flags & INSTAR_ALTER_IF_EXISTS) != 0 ? 0 : unknown(table, step->name, err);
    }
    switch (step->kind) {
    case INSTAR_ALTER_DROP_CONSTRAINT:
        drop(table, check);
        return 0;
    case INSTAR_ALTER_RENAME_CONSTRAINT:
        return rename_check(table, check, step->new_name, err);
    default:
        *changed_out = check->state != CATALOG_CHECK_VALID;
        check->state = CATALOG_CHECK_VALID;
        return 0;
    }
}

/* ---- another type of a column ------------------------------------------------------------- */

/* A check as text. */
struct kept {
    uint32_t id;
    char name[INSTAR_NAME_BYTES_MAX + 1];
    enum catalog_check_state state;
    const char *expression;
};

static int keep(struct catalog_table *table, const struct catalog_check *check, struct kept *out,
                struct base_err *err)
{
    struct base_buf text = {0};
    if (catalog_check_print(table, check, &text) && base_buf_add_u8(&text, 0)) {
        out->expression = base_arena_copy(&table->arena, text.data, text.size);
    }
    base_buf_free(&text);
    snprintf(out->name, sizeof(out->name), "%s", check->name);
    out->state = check->state;
    out->id = check->id;
    return out->expression != NULL ? 0 : catalog_no_memory(err);
}

/* It gets another id, so it goes the way of one that is new: what holds for int8 may fail to be
 * evaluated for int4. Those that an earlier step enforces already are about the new type. */
int catalog_checks_retype(struct catalog_table *table, uint32_t column_id, struct base_err *err)
{
    struct kept *kept = base_alloc_zero(CATALOG_CHECKS_MAX, sizeof(*kept));
    uint32_t count = 0;
    int rc = kept != NULL ? 0 : catalog_no_memory(err);
    for (uint32_t i = 0; rc == 0 && i < table->check_count;) {
        struct catalog_check *check = &table->checks[i];
        if (check->state == CATALOG_CHECK_ENFORCING || !catalog_check_uses(check, column_id)) {
            i++;
            continue;
        }
        rc = keep(table, check, &kept[count++], err);
        drop(table, check);
    }
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        instar_check_def def = {.name = kept[i].name, .expression = kept[i].expression};
        rc = catalog_check_define(table, &def, kept[i].state, err);
        const struct catalog_check *made = rc == 0 ? catalog_table_check(table, def.name) : NULL;
        if (made != NULL) {
            rc = catalog_comment_hand_on(table, CATALOG_COMMENT_CHECK, kept[i].id, made->id, err);
        } else if (rc != 0) {
            base_err_prefix(err, "check \"%s\", which is about a column of another type then",
                            kept[i].name);
        }
    }
    base_free(kept);
    return rc;
}

/* ---- versions ----------------------------------------------------------------------------- */

/* How many of its columns does the table have, other than hidden? In a hidden one every row has its
 * missing value until it is shown, so nothing about it is to be enforced or looked for. */
static size_t count_columns(const struct catalog_table *table, const struct catalog_check *check)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(check->expr, &columns);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        int at = catalog_table_column_by_id(table, columns[i].id);
        found += at >= 0 && !table->columns[at].hidden ? 1 : 0;
    }
    return found;
}

int catalog_checks_enforce(struct catalog_table *copy, const struct catalog_table *target,
                           bool *any, struct base_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < target->check_count; i++) {
        const struct catalog_check *wanted = &target->checks[i];
        struct catalog_check *now = catalog_table_check_by_id(copy, wanted->id);
        const struct row_expr_column *columns;
        size_t count = row_expr_columns(wanted->expr, &columns);
        if (wanted->state != CATALOG_CHECK_VALID) {
            continue;
        }
        if (now != NULL && now->state == CATALOG_CHECK_NOT_VALID) {
            now->state = CATALOG_CHECK_VALIDATING;
            *any = true;
        } else if (now == NULL && count_columns(copy, wanted) == count) {
            rc = catalog_check_add(copy, wanted, CATALOG_CHECK_ENFORCING, err);
            copy->next_check_id = target->next_check_id;
            *any = true;
        }
    }
    return rc;
}

void catalog_checks_relax(struct catalog_table *copy)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < copy->check_count; i++) {
        struct catalog_check c = copy->checks[i];
        if (c.state == CATALOG_CHECK_VALIDATING) {
            c.state = CATALOG_CHECK_NOT_VALID;
        }
        if (c.state != CATALOG_CHECK_ENFORCING) {
            copy->checks[kept++] = c;
        }
    }
    copy->check_count = kept;
}

/* A new check about new columns: does it hold for what the rows from before have in them? */
static int settle_new(const struct catalog_table *from, const struct catalog_table *to,
                      const struct catalog_check *check, struct base_err *err)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(check->expr, &columns);
    struct base_arena scratch = {0};
    size_t known = count_columns(from, check);
    if (known == count) {
        return base_err_set(
            err, INSTAR_ESTATE,
            "check \"%s\" of table \"%s\" was on its way in another change when this "
            "one was submitted; ask for it again",
            check->name, to->name);
    }
    if (known != 0) {
        return base_err_set(err, INSTAR_EINVALID,
                            "check \"%s\" of table \"%s\" mentions a column that this change adds, "
                            "and another one: add the check in a change of its own",
                            check->name, to->name);
    }
    instar_value *values = base_arena_alloc(&scratch, (count + 1) * sizeof(*values));
    int rc = values != NULL ? 0 : catalog_no_memory(err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        int at = catalog_table_column_by_id(to, columns[i].id);
        base_assert(at >= 0); /* a column that a check mentions cannot be dropped */
        values[i] = to->columns[at].missing;
    }
    if (rc == 0) {
        rc = catalog_check_row(to, check, values, &scratch, err);
    }
    if (rc == INSTAR_ECHECK) {
        base_err_set(
            err, rc,
            "check \"%s\" of table \"%s\" is false for what the rows that are there get in "
            "its columns",
            check->name, to->name);
    }
    base_arena_free(&scratch);
    return rc;
}

int catalog_checks_settle(const struct catalog_table *from, const struct catalog_table *to,
                          struct base_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < to->check_count; i++) {
        const struct catalog_check *check = &to->checks[i];
        const struct catalog_check *before = catalog_table_check_by_id(from, check->id);
        if (check->state != CATALOG_CHECK_VALID) {
            continue;
        }
        if (before == NULL) {
            rc = settle_new(from, to, check, err);
        } else if (before->state == CATALOG_CHECK_NOT_VALID) {
            rc = base_err_set(err, INSTAR_ESTATE,
                              "check \"%s\" of table \"%s\" was not validated; ask for it again",
                              check->name, to->name);
        }
    }
    return rc;
}
