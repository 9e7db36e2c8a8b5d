/* SPDX-License-Identifier: Apache-2.0 */
/* init, tables, schema, and the commands that make and drop a table. */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- init --------------------------------------------------------------------------------- */

int command_init(struct cli *cli)
{
    instar_options options;
    int rc;

    instar_options_init(&options);
    rc = cli_number(cli, "segment-bytes", UINT64_MAX, &options.segment_bytes);
    rc = rc == CLI_OK ? cli_number(cli, "map-bytes", UINT64_MAX, &options.map_bytes) : rc;
    rc = rc == CLI_OK ? cli_number_u32(cli, "trees", &options.trees_max) : rc;
    rc = rc == CLI_OK ? cli_number_u32(cli, "nodes", &options.nodes_max) : rc;
    if (rc != CLI_OK) {
        return rc;
    }
    rc = instar_create(cli->store, &options);
    return rc == INSTAR_OK ? cli_written(cli, "created") : cli_fail(cli, rc, "init");
}

/* ---- tables ------------------------------------------------------------------------------- */

static int print_table_line(void *arg, const instar_table_info *info)
{
    char version[OUT_NUMBER_SIZE], rows[OUT_NUMBER_SIZE];
    char columns[OUT_NUMBER_SIZE], indexes[OUT_NUMBER_SIZE];
    struct out_cell cells[] = {out_text(info->name), out_u64(info->version, version),
                               out_u64(info->rows, rows), out_u64(info->column_count, columns),
                               out_u64(info->index_count, indexes)};

    out_row(arg, cells);
    return 0;
}

int command_tables(struct cli *cli)
{
    static const struct out_column columns[] = {{"table", OUT_TEXT},
                                                {"version", OUT_NUMBER},
                                                {"rows", OUT_NUMBER},
                                                {"columns", OUT_NUMBER},
                                                {"indexes", OUT_NUMBER}};
    struct out *out = out_begin(cli, columns, sizeof(columns) / sizeof(columns[0]));
    int rc = instar_table_list(cli->db, NULL, print_table_line, out);

    if (rc != INSTAR_OK) {
        (void)out_end(out);
        return cli_fail(cli, rc, "tables");
    }
    return out_end(out);
}

/* ---- schema ------------------------------------------------------------------------------- */

/* In quotes as SQL has them, unless it is a plain name. */
static void print_quoted(const char *text, size_t size, char quote)
{
    putchar(quote);
    for (size_t i = 0; i < size;) {
        const char *end = memchr(text + i, quote, size - i);
        size_t part = end != NULL ? (size_t)(end - text) + 1 - i : size - i;

        out_printable(stdout, text + i, part);
        if (end != NULL) {
            putchar(quote);
        }
        i += part;
    }
    putchar(quote);
}

static void print_name(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

    if (strspn(name, plain) == strlen(name) && (name[0] < '0' || name[0] > '9')) {
        fputs(name, stdout);
    } else {
        print_quoted(name, strlen(name), '"');
    }
}

/* The text of a default; to be freed. */
static char *value_text(const instar_value *value, size_t *size_out)
{
    char *text;

    *size_out = instar_value_format(value, NULL, 0);
    text = malloc(*size_out + 1);
    if (text != NULL) {
        (void)instar_value_format(value, text, *size_out + 1);
    }
    return text;
}

static void print_value(const instar_value *value)
{
    size_t size;
    char *text = value_text(value, &size);

    print_quoted(text != NULL ? text : "?", text != NULL ? size : 1, '\'');
    free(text);
}

static void print_key(const instar_key_column *key, size_t count)
{
    printf("(");
    for (size_t i = 0; i < count; i++) {
        printf("%s", i > 0 ? ", " : "");
        if (key[i].name != NULL) {
            print_name(key[i].name);
        } else {
            printf("(%s)", key[i].expression);
        }
        printf("%s%s", key[i].descending ? " DESC" : "",
               key[i].nulls == INSTAR_NULLS_FIRST  ? " NULLS FIRST"
               : key[i].nulls == INSTAR_NULLS_LAST ? " NULLS LAST"
                                                   : "");
    }
    printf(")");
}

static const char *const stages[] = {"absent", "delete-only", "write-only", "public"};

static void print_index(const char *table, const instar_index_info *index)
{
    if (index->constraint) {
        printf("ALTER TABLE ");
        print_name(table);
        printf(" ADD CONSTRAINT ");
        print_name(index->name);
        printf(" UNIQUE ");
    } else {
        printf("CREATE %sINDEX ", index->unique ? "UNIQUE " : "");
        print_name(index->name);
        printf(" ON ");
        print_name(table);
        printf(" ");
    }
    print_key(index->columns, index->column_count);
    for (size_t i = 0; i < index->include_count; i++) {
        printf("%s", i > 0 ? ", " : " INCLUDE (");
        print_name(index->include[i]);
    }
    printf("%s", index->include_count > 0 ? ")" : "");
    if (index->predicate != NULL) {
        printf(" WHERE (");
        out_printable(stdout, index->predicate, strlen(index->predicate));
        printf(")");
    }
    printf(";");
    if (index->change != 0) {
        printf(" -- %s, change %" PRIu64, stages[index->stage], index->change);
    }
    printf("\n");
}

static void print_check(const instar_check_info *check)
{
    printf("    CONSTRAINT ");
    print_name(check->name);
    printf(" CHECK (");
    out_printable(stdout, check->expression, strlen(check->expression));
    printf("),%s\n", check->enforcing ? " -- being validated"
                     : check->valid   ? ""
                                      : " -- not valid");
}

static void print_names(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("%s", i > 0 ? ", " : " (");
        print_name(names[i]);
    }
    printf(")");
}

static void print_fkey(const instar_fkey_info *fkey)
{
    printf("    CONSTRAINT ");
    print_name(fkey->name);
    printf(" FOREIGN KEY");
    print_names(fkey->columns, fkey->column_count);
    printf(" REFERENCES ");
    print_name(fkey->parent);
    print_names(fkey->parent_columns, fkey->column_count);
    printf("%s%s,%s\n", fkey->on_delete == INSTAR_FKEY_RESTRICT ? " ON DELETE RESTRICT" : "",
           fkey->on_update == INSTAR_FKEY_RESTRICT ? " ON UPDATE RESTRICT" : "",
           fkey->enforcing ? " -- being validated"
           : fkey->valid   ? ""
                           : " -- not valid");
}

#define TYPE_TEXT_MAX 48

static const char *type_text(enum instar_type type, uint32_t length_max, char text[TYPE_TEXT_MAX])
{
    (void)instar_type_format(type, length_max, text, TYPE_TEXT_MAX);
    return text;
}

static void print_comment(const char *what, const char *name, const char *behind,
                          const char *comment)
{
    if (comment == NULL) {
        return;
    }
    printf("COMMENT ON %s ", what);
    print_name(name);
    if (behind != NULL) {
        printf("%s", strcmp(what, "COLUMN") == 0 ? "." : " ON ");
        print_name(behind);
    }
    printf(" IS ");
    print_quoted(comment, strlen(comment), '\'');
    printf(";\n");
}

static void print_comments(const instar_table_info *info)
{
    print_comment("TABLE", info->name, NULL, info->comment);
    for (size_t i = 0; i < info->column_count; i++) {
        print_comment("COLUMN", info->name, info->columns[i].name, info->columns[i].comment);
    }
    for (size_t i = 0; i < info->check_count; i++) {
        print_comment("CONSTRAINT", info->checks[i].name, info->name, info->checks[i].comment);
    }
    for (size_t i = 0; i < info->fkey_count; i++) {
        print_comment("CONSTRAINT", info->fkeys[i].name, info->name, info->fkeys[i].comment);
    }
    for (size_t i = 0; i < info->index_count; i++) {
        const instar_index_info *index = &info->indexes[i];

        print_comment(index->constraint ? "CONSTRAINT" : "INDEX", index->name,
                      index->constraint ? info->name : NULL, index->comment);
    }
}

static int print_definition(void *arg, const instar_table_info *info)
{
    (void)arg;
    printf("CREATE TABLE ");
    print_name(info->name);
    printf(" ( -- version %" PRIu32 "\n", info->version);
    for (size_t i = 0; i < info->column_count; i++) {
        const instar_column_info *column = &info->columns[i];
        char type[TYPE_TEXT_MAX];

        printf("    ");
        print_name(column->name);
        printf(" %s%s", type_text(column->type, column->length_max, type),
               column->not_null ? " NOT NULL" : "");
        if (column->has_default) {
            printf(" DEFAULT ");
            print_value(&column->default_value);
        }
        printf(",%s", column->enforcing ? " -- NOT NULL is being validated" : "");
        if (column->type_coming != INSTAR_NULL) {
            printf(" -- becoming %s", type_text(column->type_coming, column->length_coming, type));
        }
        printf("\n");
    }
    for (size_t i = 0; i < info->check_count; i++) {
        print_check(&info->checks[i]);
    }
    for (size_t i = 0; i < info->fkey_count; i++) {
        print_fkey(&info->fkeys[i]);
    }
    if (strcmp(info->key[0].name, INSTAR_ROW_ID) == 0) {
        printf("    -- no primary key: rows go by %s\n);\n", INSTAR_ROW_ID);
    } else {
        printf("    PRIMARY KEY ");
        print_key(info->key, info->key_count);
        printf("\n);\n");
    }
    for (size_t i = 0; i < info->index_count; i++) {
        print_index(info->name, &info->indexes[i]);
    }
    print_comments(info);
    return 0;
}

static void json_name(const char *label, const char *name)
{
    printf("\"%s\": ", label);
    out_json_string(stdout, name, strlen(name));
}

static void json_key(const instar_key_column *key, size_t count)
{
    printf("[");
    for (size_t i = 0; i < count; i++) {
        printf("%s{", i > 0 ? ", " : "");
        if (key[i].name != NULL) {
            json_name("column", key[i].name);
        } else {
            json_name("expression", key[i].expression);
        }
        printf(", \"descending\": %s, \"nulls_first\": %s}", key[i].descending ? "true" : "false",
               key[i].descending == (key[i].nulls == INSTAR_NULLS_DEFAULT) ? "true" : "false");
    }
    printf("]");
}

static void json_comment(const char *comment)
{
    printf(", \"comment\": ");
    if (comment != NULL) {
        out_json_string(stdout, comment, strlen(comment));
    } else {
        printf("null");
    }
}

static void json_columns(const instar_table_info *info)
{
    for (size_t i = 0; i < info->column_count; i++) {
        const instar_column_info *column = &info->columns[i];
        char type[TYPE_TEXT_MAX];

        printf("%s{", i > 0 ? ", " : "");
        json_name("name", column->name);
        printf(", \"type\": \"%s\", \"not_null\": %s, \"enforcing\": %s, \"default\": ",
               type_text(column->type, column->length_max, type),
               column->not_null ? "true" : "false", column->enforcing ? "true" : "false");
        if (column->has_default) {
            size_t size;
            char *text = value_text(&column->default_value, &size);

            out_json_string(stdout, text != NULL ? text : "?", text != NULL ? size : 1);
            free(text);
        } else {
            printf("null");
        }
        json_comment(column->comment);
        printf("}");
    }
}

static void json_indexes(const instar_table_info *info)
{
    for (size_t i = 0; i < info->index_count; i++) {
        const instar_index_info *index = &info->indexes[i];

        printf("%s{", i > 0 ? ", " : "");
        json_name("name", index->name);
        printf(", \"columns\": ");
        json_key(index->columns, index->column_count);
        printf(", \"include\": [");
        for (size_t k = 0; k < index->include_count; k++) {
            printf("%s", k > 0 ? ", " : "");
            out_json_string(stdout, index->include[k], strlen(index->include[k]));
        }
        printf("], \"where\": ");
        if (index->predicate != NULL) {
            out_json_string(stdout, index->predicate, strlen(index->predicate));
        } else {
            printf("null");
        }
        printf(", \"unique\": %s, \"constraint\": %s, \"enforcing\": %s, \"stage\": \"%s\", "
               "\"change\": %" PRIu64,
               index->unique ? "true" : "false", index->constraint ? "true" : "false",
               index->enforcing ? "true" : "false", stages[index->stage], index->change);
        json_comment(index->comment);
        printf("}");
    }
}

static void json_list(const char *label, const char *const *names, size_t count)
{
    printf(", \"%s\": [", label);
    for (size_t i = 0; i < count; i++) {
        printf("%s", i > 0 ? ", " : "");
        out_json_string(stdout, names[i], strlen(names[i]));
    }
    printf("]");
}

static void json_fkeys(const instar_table_info *info)
{
    static const char *const actions[] = {"no action", "restrict"};

    for (size_t i = 0; i < info->fkey_count; i++) {
        const instar_fkey_info *fkey = &info->fkeys[i];

        printf("%s{", i > 0 ? ", " : "");
        json_name("name", fkey->name);
        json_list("columns", fkey->columns, fkey->column_count);
        printf(", ");
        json_name("parent", fkey->parent);
        json_list("parent_columns", fkey->parent_columns, fkey->column_count);
        printf(", \"on_delete\": \"%s\", \"on_update\": \"%s\", \"valid\": %s, "
               "\"enforcing\": %s",
               actions[fkey->on_delete], actions[fkey->on_update], fkey->valid ? "true" : "false",
               fkey->enforcing ? "true" : "false");
        json_comment(fkey->comment);
        printf("}");
    }
}

static int print_json(void *arg, const instar_table_info *info)
{
    bool *first = arg;

    printf("%s{", *first ? "[\n " : ",\n ");
    *first = false;
    json_name("table", info->name);
    printf(", \"version\": %" PRIu32 ", \"columns\": [", info->version);
    json_columns(info);
    printf("], \"primary_key\": ");
    json_key(info->key, strcmp(info->key[0].name, INSTAR_ROW_ID) == 0 ? 0 : info->key_count);
    printf(", \"indexes\": [");
    json_indexes(info);
    printf("], \"checks\": [");
    for (size_t i = 0; i < info->check_count; i++) {
        const instar_check_info *check = &info->checks[i];

        printf("%s{", i > 0 ? ", " : "");
        json_name("name", check->name);
        printf(", ");
        json_name("expression", check->expression);
        printf(", \"valid\": %s, \"enforcing\": %s", check->valid ? "true" : "false",
               check->enforcing ? "true" : "false");
        json_comment(check->comment);
        printf("}");
    }
    printf("], \"foreign_keys\": [");
    json_fkeys(info);
    printf("]");
    json_comment(info->comment);
    printf("}");
    return 0;
}

int command_schema(struct cli *cli)
{
    const char *table = cli->argc > 0 ? cli->argv[0] : NULL;
    bool first = true, sql = cli_switch(cli, "sql");
    int rc;

    if (sql && cli->json) {
        return cli_usage(cli, "--sql and --json exclude each other");
    }
    rc = instar_table_list(cli->db, table,
                           sql         ? cli_print_sql
                           : cli->json ? print_json
                                       : print_definition,
                           &first);
    if (rc == INSTAR_OK && sql) {
        rc = instar_table_list(cli->db, table, cli_print_fkeys, NULL);
    }
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "schema");
    }
    if (cli->json) {
        printf(first ? "[]\n" : "\n]\n");
    }
    return CLI_OK;
}

/* ---- changes ------------------------------------------------------------------------------ */

int cli_change_options(const struct cli *cli, instar_change_options *options)
{
    instar_change_options_init(options);
    int rc = cli_number(cli, "rate", UINT64_MAX, &options->rows_per_second_max);

    rc = rc == CLI_OK ? cli_number(cli, "bytes-rate", UINT64_MAX, &options->bytes_per_second_max)
                      : rc;
    rc = rc == CLI_OK ? cli_number_u32(cli, "workers", &options->workers) : rc;
    rc =
        rc == CLI_OK ? cli_number(cli, "sort-memory", UINT64_MAX, &options->sort_memory_bytes) : rc;
    rc = rc == CLI_OK ? cli_number_u32(cli, "fence-after", &options->fence_after_ms) : rc;
    rc = rc == CLI_OK ? cli_number_u32(cli, "latency-target", &options->latency_target_ms) : rc;
    rc =
        rc == CLI_OK ? cli_number(cli, "undo-window", UINT64_MAX - 1, &options->undo_window_s) : rc;
    if (cli_switch(cli, "if-not-exists")) {
        options->flags |= INSTAR_CHANGE_IF_NOT_EXISTS;
    }
    if (cli_switch(cli, "hurry")) {
        options->flags |= INSTAR_CHANGE_HURRY;
    }
    if (cli_switch(cli, "keep-waiting")) {
        options->flags |= INSTAR_CHANGE_KEEP_WAITING;
    }
    if (cli_switch(cli, "give-up")) {
        options->flags |= INSTAR_CHANGE_GIVE_UP;
    }
    if (cli_switch(cli, "hold")) {
        options->flags |= INSTAR_CHANGE_HOLD;
    }
    if (cli_switch(cli, "if-exists")) {
        options->flags |= INSTAR_CHANGE_IF_EXISTS;
    }
    return rc;
}

int cli_submitted(struct cli *cli, int rc, uint64_t change)
{
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, cli->command->name);
    }
    if (!cli_switch(cli, "no-wait")) {
        return cli_follow(cli, change);
    }
    printf(cli->json ? "{\"change\": %" PRIu64 "}\n" : "%" PRIu64 "\n", change);
    return CLI_OK;
}

int cli_change_named(struct cli *cli,
                     int (*submit)(instar *db, const char *name,
                                   const instar_change_options *options, uint64_t *change_out))
{
    instar_change_options options;
    uint64_t change = 0;
    int rc = cli_change_options(cli, &options);

    if (rc != CLI_OK) {
        return rc;
    }
    rc = submit(cli->db, cli->argv[0], &options, &change);
    return cli_submitted(cli, rc, change);
}

/* COL:TYPE[:not-null][:default=VALUE] */
struct parsed_column {
    char *text;
    instar_value value;
    char *owned;
};

static int parse_column(struct cli *cli, struct parsed_column *room, const char *argument,
                        instar_column_def *column)
{
    char *type, *rest;
    int rc;

    room->text = strdup(argument);
    if (room->text == NULL) {
        return cli_fail(cli, INSTAR_ENOMEM, argument);
    }
    type = strchr(room->text, ':');
    if (type == NULL) {
        return cli_usage(cli, "'%s': a column is NAME:TYPE[:not-null][:default=VALUE]", argument);
    }
    *type++ = '\0';
    rest = strchr(type, ':');
    if (rest != NULL) {
        *rest++ = '\0';
    }
    *column = (instar_column_def){.name = room->text};
    if (!cli_type(type, &column->type, &column->length_max)) {
        return cli_usage(cli, "'%s': no type '%s': " CLI_TYPES, argument, type);
    }
    if (rest != NULL && strncmp(rest, "not-null", 8) == 0 && (rest[8] == '\0' || rest[8] == ':')) {
        column->not_null = true;
        rest = rest[8] == ':' ? rest + 9 : NULL;
    }
    if (rest == NULL) {
        return CLI_OK;
    }
    if (strncmp(rest, "default=", 8) != 0) {
        return cli_usage(cli, "'%s': '%s' is neither not-null nor default=VALUE", argument, rest);
    }
    rc = cli_value(column->type, rest + 8, strlen(rest + 8), &room->value, &room->owned);
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, argument);
    }
    column->default_value = &room->value;
    return CLI_OK;
}

/* --key: "a,b:desc", cut in place. */
static int parse_key(struct cli *cli, char *list, instar_key_column *key, size_t *count_out)
{
    size_t count = 0;

    *count_out = 0;
    for (char *name = list; name != NULL;) {
        char *comma = strchr(name, ',');

        if (comma != NULL) {
            *comma = '\0';
        }
        if (count == INSTAR_INDEX_COLUMNS_MAX) {
            return cli_usage(cli, "--key: at most %d columns", INSTAR_INDEX_COLUMNS_MAX);
        }
        if (!cli_key_column(name, &key[count])) {
            return cli_usage(cli, "--key: '%s' is neither NAME nor NAME:desc", name);
        }
        count++;
        name = comma != NULL ? comma + 1 : NULL;
    }
    *count_out = count;
    return CLI_OK;
}

static int create_parsed(struct cli *cli, instar_table_def *def)
{
    instar_key_column key[INSTAR_INDEX_COLUMNS_MAX];
    instar_change_options options;
    uint64_t change = 0;
    bool has_key = cli_option(cli, "key") != NULL;
    char *list = has_key ? strdup(cli_option(cli, "key")) : NULL;
    int rc = !has_key       ? CLI_OK
             : list != NULL ? parse_key(cli, list, key, &def->key_count)
                            : cli_fail(cli, INSTAR_ENOMEM, "create-table");

    def->key = key;
    rc = rc == CLI_OK ? cli_change_options(cli, &options) : rc;
    if (rc == CLI_OK) {
        int rc_submit = instar_create_table(cli->db, def, &options, &change);

        rc = cli_submitted(cli, rc_submit, change);
    }
    free(list);
    return rc;
}

int command_create_table(struct cli *cli)
{
    size_t count = (size_t)cli->argc - 1;
    instar_column_def *columns = calloc(count, sizeof(*columns));
    struct parsed_column *rooms = calloc(count, sizeof(*rooms));
    instar_table_def def = {.name = cli->argv[0], .columns = columns, .column_count = count};
    int rc = CLI_OK;

    if (columns == NULL || rooms == NULL) {
        rc = cli_fail(cli, INSTAR_ENOMEM, "create-table");
    }
    for (size_t i = 0; rc == CLI_OK && i < count; i++) {
        rc = parse_column(cli, &rooms[i], cli->argv[1 + i], &columns[i]);
    }
    if (rc == CLI_OK) {
        rc = create_parsed(cli, &def);
    }
    for (size_t i = 0; rooms != NULL && i < count; i++) {
        free(rooms[i].text);
        free(rooms[i].owned);
    }
    free(rooms);
    free(columns);
    return rc;
}

int command_drop_table(struct cli *cli)
{
    return cli_change_named(cli, instar_drop_table);
}
