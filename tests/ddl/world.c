/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, and what they hold. */
#include "ddl/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MISSING "null"

/* ---- expressions --------------------------------------------------------------------------- */

static void term(const char **at, const char *value, char out[WORLD_VALUE])
{
    size_t size;

    *at += strspn(*at, " ");
    if (**at == '\'') {
        size = strcspn(*at + 1, "'");
        (void)snprintf(out, WORLD_VALUE, "%.*s", (int)size, *at + 1);
        *at += size + 2;
        return;
    }
    size = strcspn(*at, " ()");
    if ((*at)[size] == '(') {
        *at += size + 1;
        term(at, value, out);
        *at += strspn(*at, " )");
        if (strcmp(out, MISSING) != 0) {
            (void)snprintf(out, WORLD_VALUE, "%zu", strlen(out));
        }
        return;
    }
    bool number = **at == '-' || (**at >= '0' && **at <= '9');
    (void)snprintf(out, WORLD_VALUE, "%.*s", number ? (int)size : WORLD_VALUE - 1,
                   number ? *at : value);
    *at += size;
}

static bool compares(const char *op, int order)
{
    return (order < 0 && strchr(op, '<') != NULL) || (order > 0 && strchr(op, '>') != NULL) ||
           (order == 0 && strchr(op, '=') != NULL);
}

void world_evaluate(const char *expression, const char *value, char out[WORLD_VALUE])
{
    char left[WORLD_VALUE], right[WORLD_VALUE], op[4] = "";
    const char *at = expression;
    char *end;

    term(&at, value, left);
    at += strspn(at, " ");
    size_t size = strcspn(at, " ");
    (void)snprintf(op, sizeof(op), "%.*s", (int)size, at);
    at += size;
    if (op[0] == '\0') {
        (void)snprintf(out, WORLD_VALUE, "%s", left);
        return;
    }
    term(&at, value, right);
    if (strcmp(left, MISSING) == 0 || strcmp(right, MISSING) == 0) {
        (void)snprintf(out, WORLD_VALUE, MISSING);
        return;
    }
    int64_t x = strtoll(left, &end, 10), y = strtoll(right, NULL, 10);
    int order = *end == '\0' ? (x > y) - (x < y) : strcmp(left, right);
    if (strchr("+*%", op[0]) != NULL) {
        (void)snprintf(out, WORLD_VALUE, "%" PRId64,
                       op[0] == '+'   ? x + y
                       : op[0] == '*' ? x * y
                                      : x % y);
    } else if (strcmp(op, "||") == 0) {
        (void)snprintf(out, WORLD_VALUE, "%.15s%.15s", left, right);
    } else {
        (void)snprintf(out, WORLD_VALUE, compares(op, order) ? "true" : "false");
    }
}

/* ---- values -------------------------------------------------------------------------------- */

void world_fill_value(const struct world_column *c, int64_t a, int version, char value[WORLD_VALUE])
{
    switch (c->fill) {
    case WORLD_KEY:
        (void)snprintf(value, WORLD_VALUE, "%" PRId64, a);
        break;
    case WORLD_NUMBER:
        (void)snprintf(value, WORLD_VALUE, "%" PRId64, a * 10 + 1 + version);
        break;
    case WORLD_FEW:
        (void)snprintf(value, WORLD_VALUE, "%" PRId64, 1 + (a + version) % 3);
        break;
    case WORLD_WORD:
        (void)snprintf(value, WORLD_VALUE, "w%" PRId64 "_%d", a, version);
        break;
    default:
        (void)snprintf(value, WORLD_VALUE, (a + version) % 4 == 3 ? MISSING : "x%" PRId64, a % 5);
        break;
    }
}

/* One column further: what was written by the schema before, read by that after. */
static void convert(const struct world *w, const struct world_row *row,
                    const struct world_column *c, char value[WORLD_VALUE])
{
    const struct world_schema *before = &w->schema[WORLD_BEFORE];

    for (size_t i = 0; i < before->table_count; i++) {
        const struct world_table *t = &before->tables[i];
        for (size_t k = 0; t->id == row->table && k < t->column_count; k++) {
            if (t->columns[k].id == c->id) {
                if (c->using[0] != '\0') {
                    world_evaluate(c->using, row->values[c->id], value);
                } else {
                    (void)snprintf(value, WORLD_VALUE, "%s", row->values[c->id]);
                }
                return;
            }
        }
    }
    (void)snprintf(value, WORLD_VALUE, "%s", c->missing);
}

void world_value(const struct world *w, const struct world_row *row, size_t side,
                 const struct world_column *c, char value[WORLD_VALUE])
{
    expect(row->side <= side);
    if (row->side == side) {
        (void)snprintf(value, WORLD_VALUE, "%s", row->values[c->id]);
    } else {
        convert(w, row, c, value);
    }
}

/* The row as it is when somebody on that schema writes it. */
static struct world_row brought(const struct world *w, const struct world_row *row, size_t side)
{
    const struct world_schema *s = &w->schema[side];
    struct world_row to = *row;

    to.side = side;
    for (size_t i = 0; i < s->table_count; i++) {
        const struct world_table *t = &s->tables[i];
        for (size_t k = 0; t->id == row->table && k < t->column_count; k++) {
            world_value(w, row, side, &t->columns[k], to.values[t->columns[k].id]);
        }
    }
    return to;
}

void world_settle(struct world *w)
{
    for (size_t i = 0; i < w->row_count; i++) {
        w->rows[i] = brought(w, &w->rows[i], WORLD_AFTER);
        w->rows[i].side = WORLD_BEFORE;
    }
    struct world_schema *s = &w->schema[WORLD_AFTER];
    for (size_t i = 0; i < s->table_count; i++) {
        for (size_t k = 0; k < s->tables[i].column_count; k++) {
            s->tables[i].columns[k].using[0] = '\0';
        }
    }
    w->schema[WORLD_BEFORE] = *s;
}

void world_fall_back(struct world *w)
{
    for (size_t i = 0; i < w->row_count; i++) {
        w->rows[i].side = WORLD_BEFORE;
    }
}

/* ---- rows ---------------------------------------------------------------------------------- */

struct world_row *world_find(struct world *w, int table, int64_t a)
{
    for (size_t i = 0; i < w->row_count; i++) {
        if (w->rows[i].table == table && w->rows[i].a == a) {
            return &w->rows[i];
        }
    }
    return NULL;
}

void world_insert(struct world *w, size_t side, int table, int64_t a, int version, bool brief)
{
    const struct world_table *t = world_table(&w->schema[side], table);
    struct world_row row = {.table = table, .a = a, .side = side};

    expect(t != NULL && world_find(w, table, a) == NULL);
    for (size_t i = 0; i < t->column_count; i++) {
        const struct world_column *c = &t->columns[i];
        char *value = row.values[c->id];
        if (c->dropped != 0) {
            (void)snprintf(value, WORLD_VALUE, "%s", c->missing);
        } else if (brief && strcmp(c->otherwise, MISSING) != 0) {
            (void)snprintf(value, WORLD_VALUE, "%s", c->otherwise);
        } else {
            world_fill_value(c, a, version, value);
        }
    }
    world_take(w, table, a, &row);
}

void world_take(struct world *w, int table, int64_t a, const struct world_row *row)
{
    struct world_row *there = world_find(w, table, a);
    size_t at = 0;

    if (there != NULL) {
        there->table = 0;
    }
    while (row != NULL && at < w->row_count && w->rows[at].table != 0) {
        at++;
    }
    if (row != NULL) {
        expect(at < WORLD_ROWS);
        w->rows[at] = *row;
        w->row_count += at == w->row_count;
    }
}

struct world *world_shared(void)
{
    return test_shared(sizeof(struct world));
}

void world_unshare(struct world *w)
{
    munmap(w, sizeof(*w));
}

struct world *world_copy(const struct world *w)
{
    struct world *copy = malloc(sizeof(*copy));

    expect(copy != NULL);
    memcpy(copy->schema, w->schema, sizeof(w->schema));
    memcpy(copy->rows, w->rows, w->row_count * sizeof(w->rows[0]));
    copy->row_count = w->row_count;
    return copy;
}

void world_update(struct world *w, size_t side, int table, int64_t a, int64_t to, int version)
{
    const struct world_table *t = world_table(&w->schema[side], table);
    struct world_row *row = world_find(w, table, a);

    expect(t != NULL && row != NULL);
    *row = brought(w, row, side);
    row->a = to;
    for (size_t i = 0; i < t->column_count; i++) {
        if (t->columns[i].dropped == 0) {
            world_fill_value(&t->columns[i], to, version, row->values[t->columns[i].id]);
        }
    }
}

void world_delete(struct world *w, int table, int64_t a)
{
    struct world_row *row = world_find(w, table, a);

    expect(row != NULL);
    row->table = 0;
}

char *world_rows(const struct world *w, size_t side, int table)
{
    const struct world_table *t = world_table(&w->schema[side], table);
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    expect(t != NULL && f != NULL);
    for (size_t i = 0; i < w->row_count; i++) {
        if (w->rows[i].table != table) {
            continue;
        }
        const char *comma = "";
        for (size_t k = 0; k < t->column_count; k++) {
            char value[WORLD_VALUE];
            if (t->columns[k].dropped == 0) {
                world_value(w, &w->rows[i], side, &t->columns[k], value);
                fprintf(f, "%s%s", comma, value);
                comma = ",";
            }
        }
        fprintf(f, "\n");
    }
    (void)fclose(f);
    return test_sorted(text, "\n");
}

/* ---- rows that one schema refuses ---------------------------------------------------------- */

struct offences {
    struct world_offence *list;
    size_t count;
};

static void add(struct offences *o, const struct world_offence *one, const char *what,
                const char *name)
{
    expect(o->count < WORLD_OFFENCES);
    struct world_offence *last = &o->list[o->count++];
    *last = *one;
    (void)snprintf(last->what, sizeof(last->what), "%s %s", what, name);
}

/* A value that makes the check false, or NULL. */
static const char *breaks(const char *check)
{
    static const char *const values[] = {"-7", "0", "1000000", "zz"};

    for (size_t i = 0; i < BASE_ARRAY_LEN(values); i++) {
        char out[WORLD_VALUE];
        world_evaluate(check, values[i], out);
        if (strcmp(out, "false") == 0) {
            return values[i];
        }
    }
    return NULL;
}

static const struct world_rule *rule_named(const struct world_table *t, const char *name)
{
    for (size_t i = 0; t != NULL && i < t->rule_count; i++) {
        if (strcmp(t->rules[i].name, name) == 0) {
            return &t->rules[i];
        }
    }
    return NULL;
}

/* A rule that was only renamed is the same one. */
static bool has_rule(const struct world_table *t, const struct world_rule *rule)
{
    for (size_t i = 0; t != NULL && i < t->rule_count; i++) {
        const struct world_rule *r = &t->rules[i];
        if (r->kind == rule->kind && r->column == rule->column &&
            strcmp(r->text, rule->text) == 0) {
            return true;
        }
    }
    return rule_named(t, rule->name) != NULL;
}

static bool same_key(const struct world_table *a, const struct world_table *b)
{
    return a->key_count == b->key_count &&
           memcmp(a->key, b->key, a->key_count * sizeof(a->key[0])) == 0;
}

/* Column a is in the key, which is of one row then. */
static bool of_a(const struct world_table *t)
{
    bool any = false;

    for (size_t i = 0; i < t->key_count; i++) {
        any = any || t->key[i] == 0;
    }
    return any;
}

static void rules_of(struct offences *o, const struct world_table *t,
                     const struct world_table *other, size_t side)
{
    const struct world_offence like_row_2 = {t->id, side, -1, "", ""};

    for (size_t i = 0; i < t->rule_count; i++) {
        const struct world_rule *r = &t->rules[i];
        const char *value = r->kind == WORLD_CHECK ? breaks(r->text) : "999";
        if (has_rule(other, r) || world_column(t, r->column) == NULL ||
            world_column(other, r->column) == NULL) {
            continue;
        }
        if (r->kind == WORLD_UNIQUE) {
            add(o, &like_row_2, "unique", r->name);
        } else if (value != NULL) {
            add(o, &(struct world_offence){t->id, side, r->column, value, ""},
                r->kind == WORLD_CHECK ? "check" : "reference", r->name);
        }
    }
    if (!same_key(t, other) && t->key_count > 0 && !of_a(t)) {
        add(o, &like_row_2, "key of", t->name);
    }
}

/* What has no room in the new type, or NULL. */
static const char *too_large(const struct world_column *from, const struct world_column *to)
{
    bool text = from->type == INSTAR_TEXT;

    if (to->using[0] != '\0' || (from->type == to->type && from->length_max == to->length_max)) {
        return NULL;
    }
    if (text && to->type == INSTAR_TEXT) {
        return to->length_max == 0 || (from->length_max != 0 && from->length_max <= to->length_max)
                   ? NULL
                   : "zzzzzzzzzzzzzzzzzzzzzzzz";
    }
    if (text) {
        return "zz";
    }
    return to->type < from->type && to->type == INSTAR_INT2   ? "70000"
           : to->type < from->type && to->type == INSTAR_INT4 ? "3000000000"
                                                              : NULL;
}

size_t world_offences(const struct world *w, struct world_offence offences[WORLD_OFFENCES])
{
    struct offences o = {.list = offences};

    for (size_t side = WORLD_BEFORE; side <= WORLD_AFTER; side++) {
        const struct world_schema *s = &w->schema[side];
        for (size_t i = 0; i < s->table_count; i++) {
            const struct world_table *t = &s->tables[i];
            const struct world_table *other = world_table(&w->schema[1 - side], t->id);
            if (t->dropped != 0 || other == NULL) {
                continue;
            }
            rules_of(&o, t, other, side);
            for (size_t k = 0; k < t->column_count; k++) {
                const struct world_column *c = &t->columns[k];
                const struct world_column *was = world_column(other, c->id);
                if (was == NULL || c->dropped != 0) {
                    continue;
                }
                if (c->not_null && !was->not_null) {
                    add(&o, &(struct world_offence){t->id, side, c->id, MISSING, ""}, "not null",
                        c->name);
                }
                const char *value = side == WORLD_AFTER ? too_large(was, c) : NULL;
                if (value != NULL) {
                    add(&o, &(struct world_offence){t->id, side, c->id, value, ""}, "type of",
                        c->name);
                }
            }
        }
    }
    return o.count;
}
