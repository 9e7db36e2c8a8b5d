/* SPDX-License-Identifier: Apache-2.0 */
/* CHECK constraints of a table: an expression with a name and a state. */
#include "catalog/catalog_impl.h"

#include <stdio.h>

/* ---- looking ------------------------------------------------------------------------------ */

struct catalog_check *catalog_table_check(const struct catalog_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->check_count; i++) {
        struct catalog_check *c = &table->checks[i];
        if (c->state != CATALOG_CHECK_ENFORCING && strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

struct catalog_check *catalog_table_check_by_id(const struct catalog_table *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->check_count; i++) {
        if (table->checks[i].id == id) {
            return &table->checks[i];
        }
    }
    return NULL;
}

bool catalog_check_is_pending(const struct catalog_check *check)
{
    return check->state == CATALOG_CHECK_ENFORCING || check->state == CATALOG_CHECK_VALIDATING;
}

bool catalog_check_uses(const struct catalog_check *check, uint32_t column_id)
{
    return catalog_expr_uses(check->expr, column_id);
}

bool catalog_check_same(const struct catalog_check *a, const struct catalog_check *b)
{
    return catalog_expr_same(a->expr, b->expr);
}

bool catalog_check_print(const struct catalog_table *table, const struct catalog_check *check,
                         struct base_buf *out)
{
    return catalog_expr_print(table, check->expr, out);
}

/* The digits of a numeric that the column is to have, where the check is about that: then it is
 * about what the values are rounded to. 0: it is about the values as they are. */
static uint32_t coming_digits(const struct catalog_table *table, const struct catalog_check *check,
                              size_t input)
{
    const struct catalog_column *column = &table->columns[check->inputs[input]];
    bool coming = check->state == CATALOG_CHECK_ENFORCING && column->type_coming == INSTAR_NUMERIC;
    return coming ? column->length_coming : 0;
}

/* The inputs as the expression takes them: it may be about a type that a column is to have. */
static int cast_inputs(const struct catalog_table *table, const struct catalog_check *check,
                       const instar_value **inputs, struct base_arena *scratch,
                       struct base_err *err)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(check->expr, &columns);
    instar_value *cast = NULL;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        uint8_t type = cast != NULL ? cast[i].type : (*inputs)[i].type;
        uint32_t digits = coming_digits(table, check, i);
        if (type == INSTAR_NULL || (type == columns[i].type && digits == 0)) {
            continue;
        }
        if (cast == NULL) {
            cast = base_arena_copy(scratch, *inputs, count * sizeof(*cast));
        }
        rc = cast == NULL ? catalog_no_memory(err)
                          : row_cast(&cast[i], columns[i].type, scratch, &cast[i], err);
        rc = rc == 0 && digits != 0 ? row_numeric_fit(&cast[i], digits, err) : rc;
    }
    *inputs = cast != NULL ? cast : *inputs;
    return rc;
}

int catalog_check_row(const struct catalog_table *table, const struct catalog_check *check,
                      const instar_value *inputs, struct base_arena *scratch, struct base_err *err)
{
    instar_value value;
    int rc = cast_inputs(table, check, &inputs, scratch, err);
    if (rc == 0) {
        rc = row_expr_eval(check->expr, inputs, scratch, &value, err);
    }
    if (rc != 0) {
        base_err_prefix(err, "check %s of table %s", check->name, table->name);
    } else if (value.type != INSTAR_NULL && !value.b) {
        rc = base_err_set(err, INSTAR_ECHECK, "the row violates check %s of table %s", check->name,
                          table->name);
    }
    return rc;
}

/* ---- making one --------------------------------------------------------------------------- */

/* How many bytes of a name that is too long stay: whole characters. */
size_t catalog_cut(const char *name, size_t most)
{
    size_t size = strlen(name);
    if (size > most) {
        size = most;
        while (size > 0 && ((unsigned char)name[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    return size;
}

void catalog_make_name(const char *table, const char *middle, const char *end, unsigned number,
                       char name[INSTAR_NAME_BYTES_MAX + 1])
{
    char tail[32];
    size_t a = strlen(table);
    size_t b = strlen(middle);
    if (number == 0) {
        snprintf(tail, sizeof(tail), "_%s", end);
    } else {
        snprintf(tail, sizeof(tail), "_%s%u", end, number);
    }
    size_t room = INSTAR_NAME_BYTES_MAX - strlen(tail) - (b > 0 ? 1 : 0);
    while (a + b > room) {
        if (a > b) {
            a = catalog_cut(table, a - 1);
        } else {
            b = catalog_cut(middle, b - 1);
        }
    }
    snprintf(name, INSTAR_NAME_BYTES_MAX + 1, "%.*s%s%.*s%s", (int)a, table, b > 0 ? "_" : "",
             (int)b, middle, tail);
}

/* table_column_check or table_check. */
static void make_name(const struct catalog_table *table, const struct catalog_check *check,
                      unsigned number, char name[INSTAR_NAME_BYTES_MAX + 1])
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(check->expr, &columns);
    int at = count == 1 ? catalog_table_column_by_id(table, columns[0].id) : -1;
    catalog_make_name(table->name, at >= 0 ? table->columns[at].name : "", "check", number, name);
}

static int reserve(struct catalog_table *table, struct base_err *err)
{
    if (table->check_count >= CATALOG_CHECKS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "table \"%s\" has %u checks, the most there may be",
                            table->name, table->check_count);
    }
    struct catalog_check *checks =
        base_arena_alloc(&table->arena, (table->check_count + 1) * sizeof(*checks));
    if (checks == NULL) {
        return catalog_no_memory(err);
    }
    if (table->check_count != 0) {
        memcpy(checks, table->checks, table->check_count * sizeof(*checks));
    }
    table->checks = checks;
    return 0;
}

/* The one that this change has on its way already: it was enforced by an earlier step and is now
 * what that was for. It has the name that the change gives it last; so one of the same condition is
 * as good, if none has the name. */
static struct catalog_check *find_enforcing(struct catalog_table *table,
                                            const struct catalog_check *like)
{
    struct catalog_check *found = NULL;
    for (uint32_t i = 0; i < table->check_count; i++) {
        struct catalog_check *c = &table->checks[i];
        if (c->state == CATALOG_CHECK_ENFORCING && catalog_check_same(c, like)) {
            if (strcmp(c->name, like->name) == 0) {
                return c;
            }
            found = found != NULL ? found : c;
        }
    }
    return found;
}

/* Checks stand in the order in which they are defined, not in that in which they were enforced. */
static void be_last(struct catalog_table *table, struct catalog_check *check)
{
    struct catalog_check moved = *check;
    size_t behind = (size_t)(&table->checks[table->check_count] - (check + 1));
    memmove(check, check + 1, behind * sizeof(*check));
    table->checks[table->check_count - 1] = moved;
}

static int name_check(struct catalog_table *table, const instar_check_def *def,
                      struct catalog_check *check, struct base_err *err)
{
    if (def->name == NULL || def->name[0] == 0) {
        unsigned number = 0;
        do {
            make_name(table, check, number++, check->name);
        } while (catalog_has_constraint(table, check->name));
        return 0;
    }
    int rc = catalog_constraint_name_check(table, def->name, err);
    if (rc == 0) {
        snprintf(check->name, sizeof(check->name), "%s", def->name);
    }
    return rc;
}

int catalog_check_define(struct catalog_table *table, const instar_check_def *def,
                         enum catalog_check_state state, struct base_err *err)
{
    struct catalog_check check = {.state = state};
    if (def == NULL || def->expression == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "a check without an expression");
    }
    int rc = catalog_expr_compile(table, "check", def->expression, INSTAR_BOOL, &check.expr, err);
    if (rc != 0) {
        return rc;
    }
    rc = name_check(table, def, &check, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_check *mine =
        state != CATALOG_CHECK_ENFORCING ? find_enforcing(table, &check) : NULL;
    if (mine != NULL) {
        be_last(table, mine);
        mine = &table->checks[table->check_count - 1];
        mine->state = state;
        snprintf(mine->name, sizeof(mine->name), "%s", check.name);
        return catalog_checks_derive(table, err);
    }
    rc = reserve(table, err);
    if (rc == 0) {
        check.id = table->next_check_id++;
        table->checks[table->check_count++] = check;
        rc = catalog_checks_derive(table, err);
    }
    return rc;
}

/* ---- copies, and what is derived ---------------------------------------------------------- */

int catalog_check_add(struct catalog_table *table, const struct catalog_check *like,
                      enum catalog_check_state state, struct base_err *err)
{
    int rc = reserve(table, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_check *check = &table->checks[table->check_count];
    *check = *like;
    check->state = state;
    check->input_count = 0;
    check->expr = catalog_expr_copy(like->expr, &table->arena);
    if (check->expr == NULL) {
        return catalog_no_memory(err);
    }
    table->check_count++;
    return 0;
}

int catalog_checks_copy(const struct catalog_table *from, struct catalog_table *to,
                        struct base_err *err)
{
    to->check_count = from->check_count;
    to->checks = base_arena_alloc(&to->arena, (from->check_count + 1) * sizeof(*to->checks));
    if (to->checks == NULL) {
        return catalog_no_memory(err);
    }
    for (uint32_t i = 0; i < from->check_count; i++) {
        to->checks[i] = from->checks[i];
        to->checks[i].input_count = 0;
        to->checks[i].expr = catalog_expr_copy(from->checks[i].expr, &to->arena);
        if (to->checks[i].expr == NULL) {
            return catalog_no_memory(err);
        }
    }
    return catalog_checks_derive(to, err);
}

static int derive(struct catalog_table *table, struct catalog_check *check, struct base_err *err)
{
    enum catalog_sight sight =
        check->state == CATALOG_CHECK_ENFORCING ? CATALOG_SIGHT_EITHER : CATALOG_SIGHT_NOW;
    int rc = catalog_expr_inputs(table, check->expr, sight, &check->input_count, &check->inputs);
    if (rc == INSTAR_ENOMEM) {
        return catalog_no_memory(err);
    }
    return rc == 0 ? 0
                   : base_err_set(err, rc, "table \"%s\": check \"%s\" of columns it has not",
                                  table->name, check->name);
}

int catalog_checks_derive(struct catalog_table *table, struct base_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < table->check_count; i++) {
        rc = derive(table, &table->checks[i], err);
    }
    return rc;
}
