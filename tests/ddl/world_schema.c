/* SPDX-License-Identifier: Apache-2.0 */
/* What statements make of tables. Names that the engine gives by itself are made as it says. */
#include "ddl/world.h"

#include <stdio.h>
#include <string.h>

static void copy(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from, size - 1);

    memmove(to, from, length);
    to[length] = '\0';
}

/* ---- finding ------------------------------------------------------------------------------- */

const struct world_table *world_table(const struct world_schema *s, int id)
{
    for (size_t i = 0; i < s->table_count; i++) {
        if (s->tables[i].id == id && s->tables[i].dropped == 0) {
            return &s->tables[i];
        }
    }
    return NULL;
}

const struct world_column *world_column(const struct world_table *t, int id)
{
    for (size_t i = 0; i < t->column_count; i++) {
        if (t->columns[i].id == id && t->columns[i].dropped == 0) {
            return &t->columns[i];
        }
    }
    return NULL;
}

static struct world_table *table_named(struct world_schema *s, const char *name)
{
    for (size_t i = 0; i < s->table_count; i++) {
        if (s->tables[i].dropped == 0 && strcmp(s->tables[i].name, name) == 0) {
            return &s->tables[i];
        }
    }
    return NULL;
}

static struct world_column *column_named(struct world_table *t, const char *name)
{
    for (size_t i = 0; i < t->column_count; i++) {
        if (t->columns[i].dropped == 0 && strcmp(t->columns[i].name, name) == 0) {
            return &t->columns[i];
        }
    }
    return NULL;
}

void world_columns(const struct world_table *t, bool brief, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < t->column_count; i++) {
        const struct world_column *c = &t->columns[i];
        if (c->dropped == 0 && !(brief && strcmp(c->otherwise, "null") != 0)) {
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s", used == 0 ? "" : ",", c->name);
        }
    }
}

/* ---- columns ------------------------------------------------------------------------------- */

static void value_text(const instar_value *v, char text[WORLD_VALUE])
{
    copy(text, WORLD_VALUE, "null");
    if (v != NULL && v->type != INSTAR_NULL) {
        (void)instar_value_format(v, text, WORLD_VALUE);
    }
}

static enum world_fill fill_for(const char *name, enum instar_type type)
{
    return strcmp(name, "a") == 0   ? WORLD_KEY
           : strcmp(name, "d") == 0 ? WORLD_FEW
           : type != INSTAR_TEXT    ? WORLD_NUMBER
           : strcmp(name, "e") == 0 ? WORLD_MAYBE
                                    : WORLD_WORD;
}

/* false: the name is taken. */
static bool add_column(struct world_table *t, const instar_column_def *def)
{
    if (column_named(t, def->name) != NULL) {
        return false;
    }
    expect(t->column_count < WORLD_COLUMNS && t->next_column < WORLD_COLUMNS);
    struct world_column *c = &t->columns[t->column_count++];

    *c = (struct world_column){.id = t->next_column++,
                               .type = def->type,
                               .length_max = def->length_max,
                               .not_null = def->not_null,
                               .fill = fill_for(def->name, def->type)};
    copy(c->name, sizeof(c->name), def->name);
    value_text(def->default_value, c->otherwise);
    copy(c->missing, sizeof(c->missing), c->otherwise);
    return true;
}

static void remove_column(struct world_table *t, struct world_column *c, unsigned kept)
{
    size_t kept_rules = 0;

    for (size_t i = 0; i < t->rule_count; i++) {
        if (t->rules[i].column != c->id) {
            t->rules[kept_rules++] = t->rules[i];
        }
    }
    t->rule_count = kept_rules;
    if (kept != 0) {
        c->dropped = kept;
        return;
    }
    size_t at = (size_t)(c - t->columns);
    memmove(c, c + 1, (t->column_count - at - 1) * sizeof(*c));
    t->column_count--;
}

/* Without the quotes and the outer parentheses that the SQL reader puts there. */
static void copy_expression(char to[WORLD_NAME], const char *from)
{
    size_t size = 0;

    for (const char *at = from; *at != '\0' && size < WORLD_NAME - 1; at++) {
        if (*at != '"' && !(at == from && *at == '(')) {
            to[size++] = *at;
        }
    }
    size -= from[0] == '(' ? 1 : 0;
    to[size] = '\0';
}

static bool set_type(struct world_table *t, const instar_alteration *step)
{
    struct world_column *c = column_named(t, step->name);

    if (c == NULL) {
        return false;
    }
    if (step->column->type != INSTAR_TEXT && c->fill >= WORLD_WORD) {
        c->fill = WORLD_NUMBER; /* words are no numbers */
    }
    c->type = step->column->type;
    c->length_max = step->column->length_max;
    copy_expression(c->using, step->expression != NULL ? step->expression : "");
    return true;
}

static bool set_key(struct world_table *t, const instar_key_column *key, size_t count)
{
    t->key_count = count;
    for (size_t i = 0; i < count; i++) {
        struct world_column *c = column_named(t, key[i].name);
        expect(i < BASE_ARRAY_LEN(t->key));
        if (c == NULL) {
            return false;
        }
        c->not_null = true;
        t->key[i] = c->id;
    }
    return true;
}

/* ---- rules --------------------------------------------------------------------------------- */

/* The first column whose name the text holds, or -1. */
static int column_in(struct world_table *t, const char *text)
{
    for (size_t i = 0; i < t->column_count; i++) {
        const char *name = t->columns[i].name;
        size_t size = strlen(name);
        for (const char *at = text; (at = strstr(at, name)) != NULL; at++) {
            if ((at == text || strchr(" (", at[-1]) != NULL) &&
                (at[size] == '\0' || strchr(" )", at[size]) != NULL)) {
                return t->columns[i].id;
            }
        }
    }
    return -1;
}

static struct world_rule *rule_named(struct world_table *t, const char *name)
{
    for (size_t i = 0; i < t->rule_count; i++) {
        if (strcmp(t->rules[i].name, name) == 0) {
            return &t->rules[i];
        }
    }
    return NULL;
}

/* name NULL: table_column_ending, and a number where that is taken. false: there is no such column,
 * or the name is taken. */
static bool add_rule(struct world_table *t, enum world_rule_kind kind, const char *name,
                     const char *ending, const char *text)
{
    char plain[WORLD_NAME], made[WORLD_NAME];
    struct world_rule *r = &t->rules[t->rule_count];

    copy_expression(plain, text);
    int column = column_in(t, plain);
    if (column < 0) {
        return false;
    }
    for (int number = 0; name == NULL; number++) {
        int size = snprintf(made, sizeof(made), "%.20s_%.20s_%.8s", t->name,
                            world_column(t, column)->name, ending);
        if (number > 0) {
            (void)snprintf(made + size, sizeof(made) - (size_t)size, "%d", number);
        }
        name = rule_named(t, made) == NULL ? made : NULL;
    }
    if (rule_named(t, name) != NULL) {
        return false;
    }
    expect(t->rule_count++ < WORLD_RULES);
    *r = (struct world_rule){.kind = kind, .column = column};
    copy(r->text, sizeof(r->text), kind == WORLD_CHECK ? plain : "");
    copy(r->name, sizeof(r->name), name);
    return true;
}

static void drop_rule(struct world_table *t, const char *name)
{
    struct world_rule *r = rule_named(t, name);

    if (r != NULL) {
        size_t at = (size_t)(r - t->rules);
        memmove(r, r + 1, (t->rule_count - at - 1) * sizeof(*r));
        t->rule_count--;
    }
}

static void rename_rule(struct world_table *t, const char *name, const char *new_name)
{
    struct world_rule *r = rule_named(t, name);

    if (r != NULL) {
        copy(r->name, sizeof(r->name), new_name);
    }
}

static void add_index(struct world_schema *s, const instar_index_def *def)
{
    struct world_table *t = table_named(s, def->table);
    const instar_key_column *first = &def->columns[0];

    if (t != NULL && def->unique) {
        (void)add_rule(t, WORLD_UNIQUE, def->name, "",
                       first->name != NULL ? first->name : first->expression);
    }
}

/* ---- alterations --------------------------------------------------------------------------- */

static bool names_key(const struct world_table *t, const char *name)
{
    char key[WORLD_NAME + 8];

    (void)snprintf(key, sizeof(key), "%s_pkey", t->name);
    return strcmp(key, name) == 0;
}

static bool alter_column(struct world_table *t, const instar_alteration *step, unsigned kept)
{
    struct world_column *c = column_named(t, step->name);

    if (c == NULL) {
        return false;
    }
    switch (step->kind) {
    case INSTAR_ALTER_RENAME_COLUMN:
        if (column_named(t, step->new_name) != NULL) {
            return false;
        }
        copy(c->name, sizeof(c->name), step->new_name);
        break;
    case INSTAR_ALTER_DROP_COLUMN:
        remove_column(t, c, kept);
        break;
    case INSTAR_ALTER_SET_DEFAULT:
        value_text(step->value, c->otherwise);
        break;
    case INSTAR_ALTER_DROP_DEFAULT:
        copy(c->otherwise, sizeof(c->otherwise), "null");
        break;
    default:
        c->not_null = step->kind == INSTAR_ALTER_SET_NOT_NULL;
        break;
    }
    return true;
}

static bool alter(struct world_table *t, const instar_alteration *step, unsigned kept)
{
    switch (step->kind) {
    case INSTAR_ALTER_RENAME_TABLE:
        copy(t->name, sizeof(t->name), step->new_name);
        break;
    case INSTAR_ALTER_RENAME_INDEX:
    case INSTAR_ALTER_RENAME_CONSTRAINT:
        rename_rule(t, step->name, step->new_name);
        break;
    case INSTAR_ALTER_ADD_COLUMN:
        return add_column(t, step->column);
    case INSTAR_ALTER_ADD_CHECK:
        return add_rule(t, WORLD_CHECK, step->check->name, "check", step->check->expression);
    case INSTAR_ALTER_ADD_UNIQUE:
        return add_rule(t, WORLD_UNIQUE, step->unique->name, "key", step->unique->columns[0]);
    case INSTAR_ALTER_ADD_FOREIGN_KEY:
        return add_rule(t, WORLD_REFERENCE, step->fkey->name, "fkey", step->fkey->columns[0]);
    case INSTAR_ALTER_DROP_CONSTRAINT:
        if (names_key(t, step->name)) {
            t->key_count = 0;
        } else {
            drop_rule(t, step->name);
        }
        break;
    case INSTAR_ALTER_SET_TYPE:
        return set_type(t, step);
    case INSTAR_ALTER_ADD_PRIMARY_KEY:
        return set_key(t, step->key, step->key_count);
    case INSTAR_ALTER_RENAME_COLUMN:
    case INSTAR_ALTER_DROP_COLUMN:
    case INSTAR_ALTER_SET_DEFAULT:
    case INSTAR_ALTER_DROP_DEFAULT:
    case INSTAR_ALTER_SET_NOT_NULL:
    case INSTAR_ALTER_DROP_NOT_NULL:
        return alter_column(t, step, kept);
    default: /* it changes nothing that is told here */
        break;
    }
    return true;
}

/* ---- statements ---------------------------------------------------------------------------- */

static void create_table(struct world_schema *s, const instar_table_def *def)
{
    expect(s->table_count < WORLD_TABLES);
    struct world_table *t = &s->tables[s->table_count];

    *t = (struct world_table){.id = (int)++s->table_count};
    copy(t->name, sizeof(t->name), def->name);
    for (size_t i = 0; i < def->column_count; i++) {
        (void)add_column(t, &def->columns[i]);
    }
    (void)set_key(t, def->key, def->key_count);
    for (size_t i = 0; i < def->check_count; i++) {
        (void)add_rule(t, WORLD_CHECK, def->checks[i].name, "check", def->checks[i].expression);
    }
    for (size_t i = 0; i < def->unique_count; i++) {
        (void)add_rule(t, WORLD_UNIQUE, def->uniques[i].name, "key", def->uniques[i].columns[0]);
    }
    for (size_t i = 0; i < def->fkey_count; i++) {
        (void)add_rule(t, WORLD_REFERENCE, def->fkeys[i].name, "fkey", def->fkeys[i].columns[0]);
    }
}

static void new_name_of(char name[WORLD_NAME], const char *new_name)
{
    if (new_name != NULL) {
        copy(name, WORLD_NAME, new_name);
    }
}

/* What the latest statement that kept something has kept. */
static void undo(struct world_schema *s, const char *new_name)
{
    unsigned last = 0;

    for (size_t i = 0; i < s->table_count; i++) {
        struct world_table *t = &s->tables[i];
        last = t->id > 0 && t->dropped > last ? t->dropped : last;
        for (size_t k = 0; k < t->column_count; k++) {
            last = t->columns[k].dropped > last ? t->columns[k].dropped : last;
        }
    }
    for (size_t i = 0; i < s->table_count; i++) {
        struct world_table *t = &s->tables[i];
        if (t->id > 0 && t->dropped == last) {
            t->dropped = 0;
            new_name_of(t->name, new_name);
        }
        for (size_t k = 0; k < t->column_count; k++) {
            struct world_column *c = &t->columns[k];
            if (c->dropped == last) {
                c->dropped = 0;
                new_name_of(c->name, new_name);
            }
        }
    }
}

static void apply(struct world_schema *s, const instar_sql_statement *statement,
                  const instar_change_options *options)
{
    bool keeps = options->undo_window_s != 0 && options->undo_window_s != UINT64_MAX;
    struct world_table *t = statement->name != NULL ? table_named(s, statement->name) : NULL;

    switch (statement->verb) {
    case INSTAR_SQL_CREATE_TABLE:
        create_table(s, statement->table);
        break;
    case INSTAR_SQL_DROP_TABLE:
        if (t == NULL) {
            s->impossible = true;
            break;
        }
        t->dropped = s->statements;
        t->id = keeps ? t->id : -t->id; /* no undo finds it */
        break;
    case INSTAR_SQL_CREATE_INDEX:
        add_index(s, statement->index);
        break;
    case INSTAR_SQL_ALTER_TABLE:
        s->impossible = s->impossible || t == NULL;
        for (size_t i = 0; t != NULL && i < statement->step_count; i++) {
            s->impossible =
                !alter(t, &statement->steps[i], keeps ? s->statements : 0) || s->impossible;
        }
        break;
    case INSTAR_SQL_DROP_INDEX:
        for (size_t i = 0; i < s->table_count; i++) {
            drop_rule(&s->tables[i], statement->name);
        }
        break;
    case INSTAR_SQL_UNDO_CHANGE:
        undo(s, statement->new_name);
        break;
    case INSTAR_SQL_COMPOUND:
        for (size_t i = 0; i < statement->part_count; i++) {
            apply(s, statement->parts[i], options);
        }
        break;
    default: /* a vacuum, the name of an index, and what else changes no row */
        break;
    }
}

void world_change(struct world *w, const instar_sql_statement *statement)
{
    w->schema[WORLD_AFTER] = w->schema[WORLD_BEFORE];
    w->schema[WORLD_AFTER].statements++;
    apply(&w->schema[WORLD_AFTER], statement, statement->options);
}
