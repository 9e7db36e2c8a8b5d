/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alter-table and rename-index. Steps are words, as the help lists them; a comma that stands alone
 * separates two. Whether names exist is the library's to say; only the type of a default is looked
 * up here, because its text needs one.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

struct step {
    instar_column_def column;
    instar_value value;
    char *owned; /* memory of the value */
};

struct alter {
    struct cli *cli;
    const char *table;
    char **words;
    int count; /* of words that are left */
    instar_alteration *steps;
    struct step *rooms;
    size_t step_count;
};

/* The steps by their words; arguments: how many words follow that are always there. */
static const struct verb {
    const char *word;
    const char *arguments;
    enum instar_alteration_kind kind;
    int names;
} verbs[] = {
    {"rename-to", "NEW", INSTAR_ALTER_RENAME_TABLE, 1},
    {"rename-column", "COL NEW", INSTAR_ALTER_RENAME_COLUMN, 2},
    {"rename-index", "INDEX NEW", INSTAR_ALTER_RENAME_INDEX, 2},
    {"add-column", "COL TYPE [not-null] [default VALUE]", INSTAR_ALTER_ADD_COLUMN, 2},
    {"drop-column", "COL", INSTAR_ALTER_DROP_COLUMN, 1},
    {"set-default", "COL VALUE", INSTAR_ALTER_SET_DEFAULT, 2},
    {"drop-default", "COL", INSTAR_ALTER_DROP_DEFAULT, 1},
    {"set-not-null", "COL", INSTAR_ALTER_SET_NOT_NULL, 1},
    {"drop-not-null", "COL", INSTAR_ALTER_DROP_NOT_NULL, 1},
    {"set-type", "COL TYPE [using]", INSTAR_ALTER_SET_TYPE, 2},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static bool at_end(const struct alter *a)
{
    return a->count == 0 || strcmp(a->words[0], ",") == 0;
}

static const char *next_word(struct alter *a)
{
    if (at_end(a)) {
        return NULL;
    }
    a->count--;
    return *a->words++;
}

/* ---- defaults ----------------------------------------------------------------------------- */

struct lookup {
    const char *column;
    enum instar_type type;
};

static int find_type(void *arg, const instar_table_info *info)
{
    struct lookup *l = arg;

    for (size_t i = 0; i < info->column_count; i++) {
        if (strcmp(info->columns[i].name, l->column) == 0) {
            l->type = info->columns[i].type;
        }
    }
    return 0;
}

static enum instar_type stored_type(const struct alter *a, const char *column)
{
    struct lookup l = {.column = column, .type = INSTAR_NULL};

    (void)instar_table_list(a->cli->db, a->table, find_type, &l);
    return l.type;
}

/* Is there such a column, or has one of the first steps made one? */
static bool is_known(const struct alter *a, size_t steps, const char *column)
{
    for (size_t i = 0; i < steps; i++) {
        const instar_alteration *step = &a->steps[i];

        if ((step->kind == INSTAR_ALTER_ADD_COLUMN && strcmp(step->column->name, column) == 0) ||
            (step->kind == INSTAR_ALTER_RENAME_COLUMN && strcmp(step->new_name, column) == 0)) {
            return true;
        }
    }
    return stored_type(a, column) != INSTAR_NULL;
}

/* The type of a column as the steps so far leave it. INSTAR_NULL: there is none. With --if-exists a
 * rename may be left out. */
static enum instar_type type_of(const struct alter *a, const char *column)
{
    for (size_t i = a->step_count; i > 0; i--) {
        const instar_alteration *step = &a->steps[i - 1];

        if ((step->kind == INSTAR_ALTER_ADD_COLUMN && strcmp(step->column->name, column) == 0) ||
            (step->kind == INSTAR_ALTER_SET_TYPE && strcmp(step->name, column) == 0)) {
            return step->column->type;
        }
        if (step->kind == INSTAR_ALTER_RENAME_COLUMN && strcmp(step->new_name, column) == 0 &&
            ((step->flags & INSTAR_ALTER_IF_EXISTS) == 0 || is_known(a, i - 1, step->name))) {
            column = step->name;
        }
    }
    return stored_type(a, column);
}

static int parse_value(struct alter *a, enum instar_type type, const char *column, const char *text)
{
    struct step *room = &a->rooms[a->step_count];
    int rc = cli_value(type, text, strlen(text), &room->value, &room->owned);

    return rc == INSTAR_OK ? CLI_OK : cli_fail_value(a->cli, rc, column, text);
}

/* ---- steps -------------------------------------------------------------------------------- */

static int parse_column(struct alter *a, const char *name, const char *type)
{
    struct step *room = &a->rooms[a->step_count];
    const char *word;

    room->column = (instar_column_def){.name = name};
    a->steps[a->step_count].column = &room->column;
    if (!cli_type(type, &room->column.type, &room->column.length_max)) {
        return cli_usage(a->cli, "add-column %s: no type '%s': " CLI_TYPES, name, type);
    }
    while ((word = next_word(a)) != NULL) {
        const char *value;

        if (strcmp(word, "not-null") == 0) {
            room->column.not_null = true;
            continue;
        }
        bool is_default = strcmp(word, "default") == 0;

        value = is_default ? next_word(a) : NULL;
        if (is_default && (value == NULL || room->column.default_value != NULL)) {
            return cli_usage(a->cli, "add-column %s: default needs a VALUE, and stands once", name);
        }
        if (value == NULL) {
            return cli_usage(a->cli, "add-column %s: '%s' is neither not-null nor default VALUE",
                             name, word);
        }
        if (parse_value(a, room->column.type, name, value) != CLI_OK) {
            return CLI_FAILED;
        }
        room->column.default_value = &room->value;
    }
    return CLI_OK;
}

/* "using": also by a cast that is not made by itself. */
static int parse_type(struct alter *a, const char *name, const char *type)
{
    struct step *room = &a->rooms[a->step_count];
    instar_alteration *step = &a->steps[a->step_count];

    room->column = (instar_column_def){.name = name};
    step->column = &room->column;
    if (!cli_type(type, &room->column.type, &room->column.length_max)) {
        return cli_usage(a->cli, "set-type %s: no type '%s': " CLI_TYPES, name, type);
    }
    if (!at_end(a) && strcmp(a->words[0], "using") == 0) {
        (void)next_word(a);
        step->flags |= INSTAR_ALTER_EXPLICIT;
    }
    return CLI_OK;
}

static int parse_default(struct alter *a, const char *column, const char *text)
{
    enum instar_type type = type_of(a, column);

    a->steps[a->step_count].value = &a->rooms[a->step_count].value;
    /* Without a column the step is refused by name. Should there be one after all, a text is not
     * taken for a null. */
    return parse_value(a, type != INSTAR_NULL ? type : INSTAR_TEXT, column, text);
}

static const struct verb *find_verb(const char *word)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].word, word) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static int unknown_verb(const struct alter *a, const char *word)
{
    char list[256] = "";

    for (size_t i = 0; i < VERB_COUNT; i++) {
        strncat(list, i == 0 ? "" : ", ", sizeof(list) - strlen(list) - 1);
        strncat(list, verbs[i].word, sizeof(list) - strlen(list) - 1);
    }
    return cli_usage(a->cli, "no step '%s': %s", word, list);
}

static int parse_step(struct alter *a)
{
    const char *names[2] = {NULL, NULL};
    const char *word = next_word(a);
    const struct verb *verb = word != NULL ? find_verb(word) : NULL;
    instar_alteration *step = &a->steps[a->step_count];
    int rc = CLI_OK;

    if (word == NULL) {
        return cli_usage(a->cli, "a step is missing");
    }
    if (verb == NULL) {
        return unknown_verb(a, word);
    }
    for (int i = 0; i < verb->names; i++) {
        names[i] = next_word(a);
        if (names[i] == NULL) {
            return cli_usage(a->cli, "too few words: %s %s", verb->word, verb->arguments);
        }
    }
    *step = (instar_alteration){.kind = verb->kind, .name = names[0], .new_name = names[1]};
    if (cli_switch(a->cli, "if-exists")) {
        step->flags |= INSTAR_ALTER_IF_EXISTS;
    }
    if (cli_switch(a->cli, "if-not-exists")) {
        step->flags |= INSTAR_ALTER_IF_NOT_EXISTS;
    }
    if (verb->kind == INSTAR_ALTER_RENAME_TABLE) {
        step->new_name = names[0];
    } else if (verb->kind == INSTAR_ALTER_ADD_COLUMN) {
        rc = parse_column(a, names[0], names[1]);
    } else if (verb->kind == INSTAR_ALTER_SET_DEFAULT) {
        rc = parse_default(a, names[0], names[1]);
    } else if (verb->kind == INSTAR_ALTER_SET_TYPE) {
        rc = parse_type(a, names[0], names[1]);
    }
    a->step_count++;
    if (rc == CLI_OK && !at_end(a)) {
        rc = cli_usage(a->cli, "'%s' behind: %s %s", a->words[0], verb->word, verb->arguments);
    }
    return rc;
}

static int parse_steps(struct alter *a)
{
    int rc = parse_step(a);

    while (rc == CLI_OK && a->count > 0) {
        a->words++; /* the comma */
        a->count--;
        rc = parse_step(a);
    }
    return rc;
}

/* ---- the commands ------------------------------------------------------------------------- */

int command_alter_table(struct cli *cli)
{
    size_t most = (size_t)cli->argc; /* more than there can be steps */
    struct alter a = {.cli = cli,
                      .table = cli->argv[0],
                      .words = cli->argv + 1,
                      .count = cli->argc - 1,
                      .steps = calloc(most, sizeof(*a.steps)),
                      .rooms = calloc(most, sizeof(*a.rooms))};
    instar_change_options options;
    uint64_t change = 0;
    int rc;

    if (a.steps == NULL || a.rooms == NULL) {
        rc = cli_fail(cli, INSTAR_ENOMEM, "alter-table");
    } else {
        rc = cli_change_options(cli, &options);
        options.flags &= INSTAR_CHANGE_IF_EXISTS; /* of the table; the other is the steps' */
    }
    if (rc == CLI_OK) {
        rc = parse_steps(&a);
    }
    if (rc == CLI_OK) {
        rc = instar_alter_table(cli->db, a.table, a.steps, a.step_count, &options, &change);
        rc = cli_submitted(cli, rc, change);
    }
    for (size_t i = 0; a.rooms != NULL && i < most; i++) {
        free(a.rooms[i].owned);
    }
    free(a.rooms);
    free(a.steps);
    return rc;
}

int command_rename_index(struct cli *cli)
{
    instar_change_options options;
    uint64_t change = 0;
    int rc = cli_change_options(cli, &options);

    if (rc != CLI_OK) {
        return rc;
    }
    rc = instar_rename_index(cli->db, cli->argv[0], cli->argv[1], &options, &change);
    return cli_submitted(cli, rc, change);
}
