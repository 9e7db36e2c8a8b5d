/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHECK constraints of a table: an expression with a name and a state. The expression knows its
 * columns by their ids; so a rename does not touch it, and an id is never another column's.
 */
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
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(check->expr, &columns);
    for (size_t i = 0; i < count; i++) {
        if (columns[i].id == column_id) {
            return true;
        }
    }
    return false;
}

/* The same condition? */
bool catalog_check_same(const struct catalog_check *a, const struct catalog_check *b)
{
    return catalog_expr_same(a->expr, b->expr);
}

bool catalog_expr_same(const struct row_expr *a, const struct row_expr *b)
{
    struct base_buf x = {0};
    struct base_buf y = {0};
    if (a == NULL || b == NULL) {
        return a == b;
    }
    bool same = row_expr_encode(a, &x) && row_expr_encode(b, &y) &&
                base_slice_eq(base_buf_slice(&x), base_buf_slice(&y));
    base_buf_free(&x);
    base_buf_free(&y);
    return same;
}

bool catalog_check_takes(const struct catalog_check *check, const struct catalog_column *column,
                         enum instar_type type)
{
    bool coming = check->state == CATALOG_CHECK_ENFORCING && column->type_coming == type;
    return column->type == type || coming;
}

static const char *column_name(void *arg, uint32_t id)
{
    const struct catalog_table *table = arg;
    int at = catalog_table_column_by_id(table, id);
    return at >= 0 ? table->columns[at].name : "?";
}

bool catalog_check_print(const struct catalog_table *table, const struct catalog_check *check,
                         struct base_buf *out)
{
    return row_expr_print(check->expr, column_name, (void *)(uintptr_t)table, out);
}

/* The inputs as the expression takes them: it may be about a type that a column is to have. */
static int cast_inputs(const struct catalog_check *check, const instar_value **inputs,
                       struct base_arena *scratch, struct base_err *err)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(check->expr, &columns);
    instar_value *cast = NULL;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        uint8_t type = cast != NULL ? cast[i].type : (*inputs)[i].type;
        if (type == INSTAR_NULL || type == columns[i].type) {
            continue;
        }
        if (cast == NULL) {
            cast = base_arena_copy(scratch, *inputs, count * sizeof(*cast));
        }
        rc = cast == NULL ? catalog_no_memory(err)
                          : row_cast(&cast[i], columns[i].type, scratch, &cast[i], err);
    }
    *inputs = cast != NULL ? cast : *inputs;
    return rc;
}

int catalog_check_row(const struct catalog_table *table, const struct catalog_check *check,
                      const instar_value *inputs, struct base_arena *scratch, struct base_err *err)
{
    instar_value value;
    int rc = cast_inputs(check, &inputs, scratch, err);
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

static bool find_column(void *arg, const char *name, struct row_expr_column *column_out,
                        struct base_err *err)
{
    const struct catalog_table *table = arg;
    char what[INSTAR_NAME_BYTES_MAX + 16];
    int at = catalog_table_column(table, name);
    if (at < 0) {
        snprintf(what, sizeof(what), "table \"%s\"", table->name);
        catalog_unknown_column(table, what, name, err);
        return false;
    }
    *column_out = (struct row_expr_column){table->columns[at].id, table->columns[at].type};
    return true;
}

/* How many bytes of a name that is too long stay: whole characters. */
static size_t cut(const char *name, size_t most)
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

/* table_column_check or table_check, and a number where that is taken; of names that are too long
 * for it the longer one is cut first. */
static void make_name(const struct catalog_table *table, const struct catalog_check *check,
                      unsigned number, char name[INSTAR_NAME_BYTES_MAX + 1])
{
    char end[24];
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(check->expr, &columns);
    const char *column = count == 1 ? column_name((void *)(uintptr_t)table, columns[0].id) : "";
    size_t a = strlen(table->name);
    size_t b = strlen(column);
    if (number == 0) {
        snprintf(end, sizeof(end), "_check");
    } else {
        snprintf(end, sizeof(end), "_check%u", number);
    }
    size_t room = INSTAR_NAME_BYTES_MAX - strlen(end) - (b > 0 ? 1 : 0);
    while (a + b > room) {
        if (a > b) {
            a = cut(table->name, a - 1);
        } else {
            b = cut(column, b - 1);
        }
    }
    snprintf(name, INSTAR_NAME_BYTES_MAX + 1, "%.*s%s%.*s%s", (int)a, table->name, b > 0 ? "_" : "",
             (int)b, column, end);
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

static int name_check(struct catalog_table *table, const instar_check_def *def,
                      struct catalog_check *check, struct base_err *err)
{
    if (def->name == NULL || def->name[0] == 0) {
        unsigned number = 0;
        do {
            make_name(table, check, number++, check->name);
        } while (catalog_table_check(table, check->name) != NULL);
        return 0;
    }
    int rc = catalog_name_check("constraint", def->name, err);
    if (rc == 0 && catalog_table_check(table, def->name) != NULL) {
        rc = base_err_set(err, INSTAR_EEXISTS, "table \"%s\" has a constraint \"%s\" already",
                          table->name, def->name);
    }
    if (rc == 0) {
        snprintf(check->name, sizeof(check->name), "%s", def->name);
    }
    return rc;
}

int catalog_check_define(struct catalog_table *table, const instar_check_def *def,
                         enum catalog_check_state state, struct base_err *err)
{
    struct catalog_check check = {.state = state};
    struct row_expr_scope scope = {.wanted = INSTAR_BOOL, .find = find_column, .arg = table};
    struct row_expr *expr;
    size_t at;
    if (def == NULL || def->expression == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "a check without an expression");
    }
    int rc = row_expr_compile(base_slice(def->expression, strlen(def->expression)), &scope,
                              &table->arena, &expr, &at, err);
    if (rc != 0) {
        base_err_prefix(err, "check (%.*s%s), byte %zu", (int)cut(def->expression, 200),
                        def->expression, strlen(def->expression) > 200 ? "…" : "", at + 1);
        return rc;
    }
    check.expr = expr;
    rc = name_check(table, def, &check, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_check *mine =
        state != CATALOG_CHECK_ENFORCING ? find_enforcing(table, &check) : NULL;
    if (mine != NULL) {
        mine->state = state;
        snprintf(mine->name, sizeof(mine->name), "%s", check.name);
        return 0;
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

/* The expression in the arena of another table. */
const struct row_expr *catalog_expr_copy(const struct row_expr *from, struct base_arena *arena)
{
    struct base_buf bytes = {0};
    struct row_expr *copy = NULL;
    if (row_expr_encode(from, &bytes)) {
        (void)row_expr_decode(base_buf_slice(&bytes), arena, &copy, NULL);
    }
    base_buf_free(&bytes);
    return copy; /* what was compiled or decoded can be decoded: only memory may be missing */
}

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
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(check->expr, &columns);
    if (check->input_count != count || count == 0) {
        check->inputs = base_arena_alloc(&table->arena, (count + 1) * sizeof(*check->inputs));
        check->input_count = (uint32_t)count;
    }
    if (check->inputs == NULL) {
        check->input_count = 0;
        return catalog_no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        int at = catalog_table_column_by_id(table, columns[i].id);
        if (at < 0 || !catalog_check_takes(check, &table->columns[at], columns[i].type)) {
            return base_err_set(err, INSTAR_EINVALID,
                                "table \"%s\": check \"%s\" of columns it has not", table->name,
                                check->name);
        }
        check->inputs[i] = (uint32_t)at;
    }
    return 0;
}

int catalog_checks_derive(struct catalog_table *table, struct base_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < table->check_count; i++) {
        rc = derive(table, &table->checks[i], err);
    }
    return rc;
}
