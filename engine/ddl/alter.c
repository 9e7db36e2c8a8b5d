/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ALTER TABLE and the renames: one statement is a list of steps, and several statements about one
 * table between BEGIN and COMMIT are one list.
 *
 * What SET DEFAULT says has the type of a column that only the store knows. So the constant is kept
 * as it was written, and is made a value of that type when the change is submitted, from the
 * columns as the table has them and the steps before leave them.
 */
#include "ddl/ddl_impl.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(instar_sql *sql, size_t offset)
{
    return ddl_fail(sql, INSTAR_ENOMEM, offset, "out of memory");
}

/* ---- ALTER TABLE: what it says ------------------------------------------------------------ */

/* ADD COLUMN, and what is checked of it. IF NOT EXISTS leaves the checks out together with the
 * column, which only the store can tell: so both do not go together. */
static int map_add_column(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *command,
                          instar_alteration *step, struct ddl_checks *checks)
{
    struct ddl_node *node = ddl_take(command, "def"), *key = NULL;
    instar_column_def *column = ddl_alloc(&sql->arena, sizeof(*column));
    int rc;

    if (column == NULL || node == NULL) {
        return no_memory(sql, piece->offset);
    }
    step->kind = INSTAR_ALTER_ADD_COLUMN;
    step->column = column;
    step->flags = ddl_take_flag(command, "missing_ok") ? INSTAR_ALTER_IF_NOT_EXISTS : 0;
    rc = ddl_column(sql, piece, node, column, &key, checks);
    if (rc == INSTAR_OK && checks->count + checks->unique_count + checks->fkey_count > 0 &&
        step->flags != 0) {
        rc = ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, node),
                      "not supported: %s in ADD COLUMN IF NOT EXISTS",
                      checks->count > 0          ? "CHECK"
                      : checks->unique_count > 0 ? "UNIQUE"
                                                 : "REFERENCES");
    }
    if (rc == INSTAR_OK && key != NULL) {
        rc = ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, key),
                      "not supported: PRIMARY KEY in ADD COLUMN");
    }
    return rc;
}

static int map_default(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *command,
                       instar_alteration *step, struct ddl_constant *constant)
{
    struct ddl_node *node = ddl_take(command, "def");
    int rc = INSTAR_OK;

    step->kind = node != NULL ? INSTAR_ALTER_SET_DEFAULT : INSTAR_ALTER_DROP_DEFAULT;
    if (node != NULL) {
        rc = ddl_constant(sql, piece, node, constant);
    }
    step->value = constant->value.type != INSTAR_NULL ? &constant->value : NULL;
    return rc;
}

/* USING column, or USING column::type with the new type, is a cast, maybe one that PostgreSQL would
 * not make by itself; anything else is an expression. */
static bool is_cast(const struct ddl_node *node, const char *column)
{
    const struct ddl_node *arg = ddl_node_is(node, "TypeCast") ? ddl_peek(node, "arg") : node;
    const struct ddl_node *name =
        arg != NULL && ddl_node_is(arg, "ColumnRef") ? ddl_peek(arg, "fields") : NULL;
    const struct ddl_node *text = name != NULL ? ddl_peek(name, "sval") : NULL;

    return text != NULL && text->text != NULL && strcmp(text->text, column) == 0 &&
           ddl_count(arg, "fields") == 1;
}

static int map_using(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                     instar_alteration *step)
{
    enum instar_type type = step->column->type;
    bool cast = ddl_node_is(node, "TypeCast");
    uint32_t digits = 0;
    int rc = INSTAR_OK;

    if (is_cast(node, step->name) && cast) {
        rc = ddl_cast_type(sql, piece, ddl_take(node, "type_name"), &type, &digits);
    }
    if (rc != INSTAR_OK || !is_cast(node, step->name) || type != step->column->type ||
        (digits != 0 && digits != step->column->length_max)) {
        return rc != INSTAR_OK ? rc : ddl_expression(sql, piece, node, &step->expression);
    }
    step->flags |= cast ? INSTAR_ALTER_EXPLICIT : 0;
    node = cast ? ddl_take(node, "arg") : node;
    (void)ddl_take_text(ddl_take(node, "fields"), "sval");
    return INSTAR_OK;
}

/* ALTER COLUMN … TYPE … [USING …]. */
static int map_type(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *command,
                    instar_alteration *step)
{
    struct ddl_node *def = ddl_take(command, "def");
    struct ddl_node *type = def != NULL ? ddl_take(def, "type_name") : NULL;
    struct ddl_node *using = def != NULL ? ddl_take(def, "raw_default") : NULL;
    instar_column_def *column = ddl_alloc(&sql->arena, sizeof(*column));
    int rc;

    if (column == NULL || type == NULL) {
        return no_memory(sql, piece->offset);
    }
    step->kind = INSTAR_ALTER_SET_TYPE;
    step->column = column;
    rc = ddl_type(sql, piece, type, &column->type, &column->length_max);
    return rc == INSTAR_OK && using != NULL ? map_using(sql, piece, using, step) : rc;
}

/* Is it the addition of a constraint of that type? Others than those below are refused. */
static bool adds(struct ddl_node *command, const char *wanted)
{
    const struct ddl_node *def = ddl_peek(command, "def");
    const struct ddl_node *type = def != NULL ? ddl_peek(def, "contype") : NULL;

    return type != NULL && strcmp(type->text, wanted) == 0 &&
           ddl_take_name(command, "subtype", "AT_AddConstraint");
}

static int map_add_check(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *command,
                         instar_alteration *step)
{
    struct ddl_node *node = ddl_take(command, "def");
    struct ddl_checks checks = {.list = NULL};
    int rc;

    (void)ddl_take(node, "contype");
    rc = ddl_check(sql, piece, node, &checks);
    step->kind = INSTAR_ALTER_ADD_CHECK;
    step->check = checks.list;
    return rc;
}

static int map_add_unique(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *command,
                          instar_alteration *step)
{
    struct ddl_node *node = ddl_take(command, "def");
    struct ddl_checks checks = {.uniques = NULL};
    int rc;

    (void)ddl_take(node, "contype");
    rc = ddl_unique(sql, piece, node, NULL, &checks);
    step->kind = INSTAR_ALTER_ADD_UNIQUE;
    step->unique = checks.uniques;
    return rc;
}

static int map_add_key(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *command,
                       instar_alteration *step, const char *table)
{
    struct ddl_node *node = ddl_take(command, "def");
    int rc;

    (void)ddl_take(node, "contype");
    step->kind = INSTAR_ALTER_ADD_PRIMARY_KEY;
    rc = ddl_key(sql, piece, node, &(struct ddl_key_of){.table = table}, &step->key,
                 &step->key_count);
    return rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
}

static int map_add_fkey(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *command,
                        instar_alteration *step)
{
    struct ddl_node *node = ddl_take(command, "def");
    struct ddl_checks checks = {.fkeys = NULL};
    int rc;

    (void)ddl_take(node, "contype");
    rc = ddl_fkey(sql, piece, node, NULL, &checks);
    step->kind = INSTAR_ALTER_ADD_FOREIGN_KEY;
    step->fkey = checks.fkeys;
    return rc;
}

static int map_command(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *command,
                       instar_alteration *step, struct ddl_constant *constant,
                       struct ddl_checks *checks)
{
    int rc = INSTAR_OK;

    (void)ddl_take_name(command, "behavior", "DROP_RESTRICT");
    step->name = ddl_take_text(command, "name");
    if (ddl_take_name(command, "subtype", "AT_AddColumn")) {
        rc = map_add_column(sql, piece, command, step, checks);
    } else if (ddl_take_name(command, "subtype", "AT_ColumnDefault")) {
        rc = map_default(sql, piece, command, step, constant);
    } else if (ddl_take_name(command, "subtype", "AT_DropColumn")) {
        step->kind = INSTAR_ALTER_DROP_COLUMN;
        step->flags = ddl_take_flag(command, "missing_ok") ? INSTAR_ALTER_IF_EXISTS : 0;
    } else if (ddl_take_name(command, "subtype", "AT_AlterColumnType")) {
        rc = map_type(sql, piece, command, step);
    } else if (adds(command, "CONSTR_CHECK")) {
        rc = map_add_check(sql, piece, command, step);
    } else if (adds(command, "CONSTR_UNIQUE")) {
        rc = map_add_unique(sql, piece, command, step);
    } else if (adds(command, "CONSTR_PRIMARY")) {
        rc = map_add_key(sql, piece, command, step, checks->table);
    } else if (adds(command, "CONSTR_FOREIGN")) {
        rc = map_add_fkey(sql, piece, command, step);
    } else if (ddl_take_name(command, "subtype", "AT_DropConstraint")) {
        step->kind = INSTAR_ALTER_DROP_CONSTRAINT;
        step->flags = ddl_take_flag(command, "missing_ok") ? INSTAR_ALTER_IF_EXISTS : 0;
    } else if (ddl_take_name(command, "subtype", "AT_ValidateConstraint")) {
        step->kind = INSTAR_ALTER_VALIDATE_CONSTRAINT;
    } else if (ddl_take_name(command, "subtype", "AT_SetNotNull")) {
        step->kind = INSTAR_ALTER_SET_NOT_NULL;
    } else if (ddl_take_name(command, "subtype", "AT_DropNotNull")) {
        step->kind = INSTAR_ALTER_DROP_NOT_NULL;
    }
    return rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, command) : rc;
}

/* The grammar keeps no places of the commands; they are what commas part outside of parentheses. */
static void place_commands(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    const char *begin = sql->text + piece->offset;
    struct ddl_lexer lexer = {begin, begin + piece->size, NULL};
    struct ddl_node *command = ddl_take(node, "cmds");
    struct ddl_token token;
    bool after_comma = false;
    size_t depth = 0;

    while (command != NULL && ddl_next(&lexer, &token)) {
        if (after_comma) {
            command = ddl_take_next(command);
            if (command != NULL) {
                command->has_place = true;
                command->offset = (size_t)(token.at - sql->text);
            }
        }
        depth += ddl_is(&token, "(") || ddl_is(&token, "[") ? 1 : 0;
        depth -= depth > 0 && (ddl_is(&token, ")") || ddl_is(&token, "]")) ? 1 : 0;
        after_comma = depth == 0 && ddl_is(&token, ",");
    }
}

static int add_steps(instar_sql *sql, const struct ddl_piece *piece, instar_sql_statement *info,
                     const struct ddl_constant *constants)
{
    int rc;

    if (info->options == NULL) {
        return no_memory(sql, piece->offset);
    }
    rc = ddl_add(sql, piece, info);
    if (rc == INSTAR_OK) {
        sql->last->constants = constants;
    }
    return rc;
}

/* How many steps the commands are at most: the checks behind a column are some of their own. */
static size_t count_steps(struct ddl_node *node)
{
    size_t count = 0;

    for (struct ddl_node *n = ddl_take(node, "cmds"); n != NULL; n = ddl_take_next(n)) {
        const struct ddl_node *def = ddl_peek(n, "def");

        count += 1 + (def != NULL ? ddl_count(def, "constraints") : 0);
    }
    return count;
}

int ddl_map_alter_table(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    size_t count = count_steps(node), at = 0;
    instar_alteration *steps = ddl_alloc(&sql->arena, count * sizeof(*steps));
    struct ddl_constant *constants = ddl_alloc(&sql->arena, count * sizeof(*constants));
    instar_sql_statement info = {.verb = INSTAR_SQL_ALTER_TABLE, .steps = steps};
    uint32_t flags = ddl_take_flag(node, "missing_ok") ? INSTAR_CHANGE_IF_EXISTS : 0;
    int rc;

    if (steps == NULL || constants == NULL) {
        return no_memory(sql, piece->offset);
    }
    if (ddl_take_name(node, "objtype", "OBJECT_INDEX")) {
        return ddl_fail(sql, INSTAR_EINVALID, piece->offset,
                        "not supported: ALTER INDEX, but for RENAME TO");
    }
    if (!ddl_take_name(node, "objtype", "OBJECT_TABLE")) {
        node->taken = false; /* the first words say what it is */
        return ddl_refuse(sql, piece, node);
    }
    info.options = ddl_new_options(sql, flags);
    rc = ddl_table_name(sql, piece, node, &info.name);
    place_commands(sql, piece, node);
    for (struct ddl_node *n = ddl_take(node, "cmds"); rc == INSTAR_OK && n != NULL;
         n = ddl_take_next(n)) {
        struct ddl_checks checks = {.table = info.name};

        rc = map_command(sql, piece, n, &steps[at], &constants[at], &checks);
        at++;
        for (size_t i = 0; rc == INSTAR_OK && i < checks.count; i++, at++) {
            steps[at] =
                (instar_alteration){.kind = INSTAR_ALTER_ADD_CHECK, .check = &checks.list[i]};
        }
        for (size_t i = 0; rc == INSTAR_OK && i < checks.unique_count; i++, at++) {
            steps[at] =
                (instar_alteration){.kind = INSTAR_ALTER_ADD_UNIQUE, .unique = &checks.uniques[i]};
        }
        for (size_t i = 0; rc == INSTAR_OK && i < checks.fkey_count; i++, at++) {
            steps[at] =
                (instar_alteration){.kind = INSTAR_ALTER_ADD_FOREIGN_KEY, .fkey = &checks.fkeys[i]};
        }
    }
    info.step_count = at;
    rc = rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
    return rc == INSTAR_OK ? add_steps(sql, piece, &info, constants) : rc;
}

/* ---- renames ------------------------------------------------------------------------------ */

int ddl_map_rename(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    instar_alteration *step = ddl_alloc(&sql->arena, sizeof(*step));
    struct ddl_constant *constant = ddl_alloc(&sql->arena, sizeof(*constant));
    instar_sql_statement info = {.verb = INSTAR_SQL_ALTER_TABLE, .steps = step, .step_count = 1};
    uint32_t flags = ddl_take_flag(node, "missing_ok") ? INSTAR_CHANGE_IF_EXISTS : 0;
    int rc;

    if (step == NULL || constant == NULL) {
        return no_memory(sql, piece->offset);
    }
    info.options = ddl_new_options(sql, flags);
    (void)ddl_take_name(node, "behavior", "DROP_RESTRICT");
    step->new_name = ddl_take_text(node, "newname");
    rc = ddl_table_name(sql, piece, node, &info.name);
    if (ddl_take_name(node, "rename_type", "OBJECT_COLUMN") &&
        ddl_take_name(node, "relation_type", "OBJECT_TABLE")) {
        step->kind = INSTAR_ALTER_RENAME_COLUMN;
        step->name = ddl_take_text(node, "subname");
    } else if (ddl_take_name(node, "rename_type", "OBJECT_TABLE")) {
        step->kind = INSTAR_ALTER_RENAME_TABLE;
        (void)ddl_take(node, "relation_type"); /* means something for columns only */
    } else if (ddl_take_name(node, "rename_type", "OBJECT_INDEX")) {
        info.verb = INSTAR_SQL_RENAME_INDEX;
        step->kind = INSTAR_ALTER_RENAME_INDEX;
        step->flags = flags != 0 ? INSTAR_ALTER_IF_EXISTS : 0; /* as a step among others */
        step->name = info.name;
        (void)ddl_take(node, "relation_type");
    } else if (ddl_take_name(node, "rename_type", "OBJECT_TABCONSTRAINT")) {
        step->kind = INSTAR_ALTER_RENAME_CONSTRAINT;
        step->name = ddl_take_text(node, "subname");
        (void)ddl_take(node, "relation_type");
    } else if (rc == INSTAR_OK) {
        node->taken = false;
        return ddl_refuse(sql, piece, node);
    }
    rc = rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
    return rc == INSTAR_OK ? add_steps(sql, piece, &info, constant) : rc;
}

/* ---- several statements as one ------------------------------------------------------------ */

const char *ddl_name_after(const instar_sql_statement *info)
{
    const char *name = info->name;

    for (size_t i = 0; i < info->step_count; i++) {
        name = info->steps[i].kind == INSTAR_ALTER_RENAME_TABLE ? info->steps[i].new_name : name;
    }
    return name;
}

/* A list with room for both, the second one's behind the first one's. */
static void *joined(instar_sql *sql, const void *first, size_t first_size, const void *second,
                    size_t second_size)
{
    char *both = ddl_alloc(&sql->arena, first_size + second_size);

    if (both != NULL) {
        memcpy(both, first, first_size);
        memcpy(both + first_size, second, second_size);
    }
    return both;
}

const char *ddl_cannot_join(const struct ddl_statement *first, const struct ddl_statement *second)
{
    const instar_sql_statement *a = &first->info, *b = &second->info;

    if (a->verb != INSTAR_SQL_ALTER_TABLE || b->verb != INSTAR_SQL_ALTER_TABLE ||
        strcmp(ddl_name_after(a), b->name) != 0) {
        return "";
    }
    uint32_t one = a->options->flags & INSTAR_CHANGE_IF_EXISTS;
    uint32_t other = b->options->flags & INSTAR_CHANGE_IF_EXISTS;

    if (one != other) {
        return ": all of them have IF EXISTS, or none";
    }
    return NULL;
}

int ddl_join(instar_sql *sql, struct ddl_statement *first, const struct ddl_statement *second)
{
    size_t a = first->info.step_count, b = second->info.step_count;
    const instar_alteration *steps =
        joined(sql, first->info.steps, a * sizeof(*steps), second->info.steps, b * sizeof(*steps));
    struct ddl_constant *constants = joined(sql, first->constants, a * sizeof(*constants),
                                            second->constants, b * sizeof(*constants));

    if (steps == NULL || constants == NULL) {
        return no_memory(sql, second->info.offset);
    }
    first->info.steps = steps;
    first->info.step_count = a + b;
    first->constants = constants;
    first->info.text_size = second->info.offset + second->info.text_size - first->info.offset;
    return INSTAR_OK;
}

/* ---- submitting: the types of columns ----------------------------------------------------- */

struct column {
    char name[INSTAR_NAME_BYTES_MAX + 1];
    enum instar_type type;
};

/* The columns of a table as the steps so far leave them. */
struct columns {
    struct column *list;
    size_t count, room;
};

static struct column *find_column(const struct columns *columns, const char *name)
{
    for (size_t i = 0; i < columns->count; i++) {
        if (name != NULL && strcmp(columns->list[i].name, name) == 0) {
            return &columns->list[i];
        }
    }
    return NULL;
}

static void set_name(struct column *column, const char *name)
{
    size_t size = strnlen(name, INSTAR_NAME_BYTES_MAX);

    memcpy(column->name, name, size);
    column->name[size] = '\0';
}

static int copy_columns(void *arg, const instar_table_info *info)
{
    struct columns *columns = arg;

    columns->list = ddl_calloc(info->column_count + columns->room, sizeof(*columns->list));
    if (columns->list == NULL) {
        return INSTAR_ENOMEM;
    }
    for (size_t i = 0; i < info->column_count; i++) {
        set_name(&columns->list[i], info->columns[i].name);
        columns->list[i].type = info->columns[i].type;
    }
    columns->count = info->column_count;
    return 0;
}

/* Only names and types matter; whether the step is possible is the engine's to say. */
static void apply_step(struct columns *columns, const instar_alteration *step)
{
    struct column *column = find_column(columns, step->name);

    if (step->kind == INSTAR_ALTER_ADD_COLUMN) {
        if (find_column(columns, step->column->name) == NULL) {
            column = &columns->list[columns->count++];
            set_name(column, step->column->name);
            column->type = step->column->type;
        }
    } else if (step->kind == INSTAR_ALTER_RENAME_COLUMN && column != NULL) {
        set_name(column, step->new_name);
    } else if (step->kind == INSTAR_ALTER_SET_TYPE && column != NULL) {
        column->type = step->column->type;
    } else if (step->kind == INSTAR_ALTER_DROP_COLUMN && column != NULL) {
        *column = columns->list[--columns->count];
    }
}

/* Each default as a value of its column. A column that is not there keeps what was written: the
 * engine refuses the name before it looks at the value. */
static int fit_defaults(const struct ddl_statement *s, struct columns *columns,
                        struct ddl_alteration *made, char words[DDL_WORDS_SIZE])
{
    size_t count = s->info.step_count;
    int rc = INSTAR_OK;

    for (size_t i = 0; rc == INSTAR_OK && i < count; i++) {
        const struct ddl_constant *constant = &s->constants[i];
        const struct column *column = find_column(columns, s->info.steps[i].name);
        instar_alteration *step = &made->steps[i];

        *step = s->info.steps[i];
        if (step->kind == INSTAR_ALTER_SET_DEFAULT && step->value != NULL && column != NULL) {
            size_t size = constant->value.type == INSTAR_TEXT ? constant->value.bytes.size : 0;

            made->rooms[i] = ddl_malloc(size + 64);
            rc = made->rooms[i] != NULL
                     ? ddl_fit(constant, column->type, made->rooms[i], &made->values[i], words)
                     : INSTAR_ENOMEM;
            step->value = &made->values[i];
        }
        apply_step(columns, step);
    }
    return rc;
}

int ddl_alteration_make(instar *db, const struct ddl_statement *s,
                        struct ddl_alteration *alteration_out, char words[DDL_WORDS_SIZE])
{
    size_t count = s->info.step_count;
    struct ddl_alteration *made = alteration_out;
    struct columns columns = {.room = count};
    int rc;

    words[0] = '\0';
    made->count = count;
    made->steps = ddl_calloc(count, sizeof(*made->steps));
    made->values = ddl_calloc(count, sizeof(*made->values));
    made->rooms = ddl_calloc(count, sizeof(*made->rooms));
    rc = made->steps != NULL && made->values != NULL && made->rooms != NULL
             ? instar_table_list(db, s->info.name, copy_columns, &columns)
             : INSTAR_ENOMEM;
    rc = rc == INSTAR_OK ? fit_defaults(s, &columns, made, words) : rc;
    free(columns.list);
    return rc;
}

void ddl_alteration_free(struct ddl_alteration *alteration)
{
    for (size_t i = 0; alteration->rooms != NULL && i < alteration->count; i++) {
        free(alteration->rooms[i]);
    }
    free(alteration->rooms);
    free(alteration->values);
    free(alteration->steps);
}
