/* SPDX-License-Identifier: Apache-2.0 */
/* init, tables, schema, and the commands that submit a schema change. */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- init --------------------------------------------------------------------------------- */

int command_init(struct cli *cli)
{
    instar_options options;
    uint64_t trees, nodes;
    int rc;

    instar_options_init(&options);
    trees = options.trees_max;
    nodes = options.nodes_max;
    rc = cli_number(cli, "segment-bytes", &options.segment_bytes);
    rc = rc == CLI_OK ? cli_number(cli, "map-bytes", &options.map_bytes) : rc;
    rc = rc == CLI_OK ? cli_number(cli, "trees", &trees) : rc;
    rc = rc == CLI_OK ? cli_number(cli, "nodes", &nodes) : rc;
    if (rc != CLI_OK) {
        return rc;
    }
    options.trees_max = trees > UINT32_MAX ? UINT32_MAX : (uint32_t)trees;
    options.nodes_max = nodes > UINT32_MAX ? UINT32_MAX : (uint32_t)nodes;
    rc = instar_create(cli->store, &options);
    return rc == INSTAR_OK ? CLI_OK : cli_fail(cli, rc, "init");
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

static void print_value(const instar_value *value)
{
    char text[256];

    (void)instar_value_format(value, text, sizeof(text));
    printf("'");
    for (const char *c = text; *c != '\0'; c++) {
        printf(*c == '\'' ? "''" : "%c", *c);
    }
    printf("'");
}

static void print_key(const instar_key_column *key, size_t count)
{
    printf("(");
    for (size_t i = 0; i < count; i++) {
        printf("%s%s%s", i > 0 ? ", " : "", key[i].name, key[i].descending ? " DESC" : "");
    }
    printf(")");
}

static void print_index(const char *table, const instar_index_info *index)
{
    printf("CREATE %sINDEX %s ON %s ", index->unique ? "UNIQUE " : "", index->name, table);
    print_key(index->columns, index->column_count);
    printf(";");
    if (index->change != 0) {
        static const char *const stages[] = {"absent", "delete-only", "write-only", "public"};

        printf(" -- %s, change %" PRIu64, stages[index->stage], index->change);
    }
    printf("\n");
}

static int print_definition(void *arg, const instar_table_info *info)
{
    (void)arg;
    printf("CREATE TABLE %s ( -- version %" PRIu32 "\n", info->name, info->version);
    for (size_t i = 0; i < info->column_count; i++) {
        const instar_column_info *column = &info->columns[i];

        printf("    %s %s%s", column->name, instar_type_name(column->type),
               column->not_null ? " NOT NULL" : "");
        if (column->has_default) {
            printf(" DEFAULT ");
            print_value(&column->default_value);
        }
        printf(",\n");
    }
    printf("    PRIMARY KEY ");
    print_key(info->key, info->key_count);
    printf("\n);\n");
    for (size_t i = 0; i < info->index_count; i++) {
        print_index(info->name, &info->indexes[i]);
    }
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
        json_name("column", key[i].name);
        printf(", \"descending\": %s}", key[i].descending ? "true" : "false");
    }
    printf("]");
}

static void json_columns(const instar_table_info *info)
{
    for (size_t i = 0; i < info->column_count; i++) {
        const instar_column_info *column = &info->columns[i];
        char text[256];

        printf("%s{", i > 0 ? ", " : "");
        json_name("name", column->name);
        printf(", \"type\": \"%s\", \"not_null\": %s, \"default\": ",
               instar_type_name(column->type), column->not_null ? "true" : "false");
        if (column->has_default) {
            (void)instar_value_format(&column->default_value, text, sizeof(text));
            out_json_string(stdout, text, strlen(text));
        } else {
            printf("null");
        }
        printf("}");
    }
}

static int print_json(void *arg, const instar_table_info *info)
{
    static const char *const stages[] = {"absent", "delete-only", "write-only", "public"};
    bool *first = arg;

    printf("%s{", *first ? "[\n " : ",\n ");
    *first = false;
    json_name("table", info->name);
    printf(", \"version\": %" PRIu32 ", \"columns\": [", info->version);
    json_columns(info);
    printf("], \"primary_key\": ");
    json_key(info->key, info->key_count);
    printf(", \"indexes\": [");
    for (size_t i = 0; i < info->index_count; i++) {
        const instar_index_info *index = &info->indexes[i];

        printf("%s{", i > 0 ? ", " : "");
        json_name("name", index->name);
        printf(", \"columns\": ");
        json_key(index->columns, index->column_count);
        printf(", \"unique\": %s, \"enforcing\": %s, \"stage\": \"%s\", \"change\": %" PRIu64 "}",
               index->unique ? "true" : "false", index->enforcing ? "true" : "false",
               stages[index->stage], index->change);
    }
    printf("]}");
    return 0;
}

int command_schema(struct cli *cli)
{
    const char *table = cli->argc > 0 ? cli->argv[0] : NULL;
    bool first = true;
    int rc = instar_table_list(cli->db, table, cli->json ? print_json : print_definition, &first);

    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "schema");
    }
    if (cli->json) {
        printf(first ? "[]\n" : "\n]\n");
    }
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

/* ---- changes ------------------------------------------------------------------------------ */

static int fill_change_options(const struct cli *cli, instar_change_options *options)
{
    uint64_t workers = 0, fence_after = 30000;
    int rc = cli_number(cli, "rate", &options->rows_per_second_max);

    rc = rc == CLI_OK ? cli_number(cli, "workers", &workers) : rc;
    rc = rc == CLI_OK ? cli_number(cli, "sort-memory", &options->sort_memory_bytes) : rc;
    rc = rc == CLI_OK ? cli_number(cli, "fence-after", &fence_after) : rc;
    options->workers = workers > UINT32_MAX ? UINT32_MAX : (uint32_t)workers;
    options->fence_after_ms = fence_after > UINT32_MAX ? UINT32_MAX : (uint32_t)fence_after;
    if (cli_switch(cli, "if-not-exists")) {
        options->flags |= INSTAR_CHANGE_IF_NOT_EXISTS;
    }
    if (cli_switch(cli, "if-exists")) {
        options->flags |= INSTAR_CHANGE_IF_EXISTS;
    }
    return rc;
}

/* After a submission: follow it, or print its id. */
static int submitted(struct cli *cli, int rc, uint64_t change)
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

/* "a,b:desc" or separate arguments: key columns. The names are cut out of `text` in place. */
static bool parse_key_column(char *text, instar_key_column *column)
{
    char *colon = strchr(text, ':');

    column->name = text;
    column->descending = false;
    if (colon == NULL) {
        return true;
    }
    *colon = '\0';
    column->descending = strcmp(colon + 1, "desc") == 0;
    return column->descending || strcmp(colon + 1, "asc") == 0;
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
    *column = (instar_column_def){.name = room->text, .type = instar_type_from_name(type)};
    if (column->type == INSTAR_NULL) {
        return cli_usage(cli, "'%s': no type '%s'", argument, type);
    }
    if (rest != NULL && strncmp(rest, "not-null", 8) == 0 && (rest[8] == '\0' || rest[8] == ':')) {
        column->not_null = true;
        rest = rest[8] == ':' ? rest + 9 : NULL;
    }
    if (rest == NULL) {
        return CLI_OK;
    }
    if (strncmp(rest, "default=", 8) != 0) {
        return cli_usage(cli, "'%s': what is '%s'?", argument, rest);
    }
    rc = cli_value(column->type, rest + 8, strlen(rest + 8), &room->value, &room->owned);
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, argument);
    }
    column->default_value = &room->value;
    return CLI_OK;
}

static int create_parsed(struct cli *cli, instar_table_def *def)
{
    instar_key_column key[INSTAR_INDEX_COLUMNS_MAX];
    instar_change_options options;
    uint64_t change = 0;
    char *list = strdup(cli_option(cli, "key")), *rest = NULL;
    int rc = list != NULL ? CLI_OK : CLI_FAILED;

    instar_change_options_init(&options);
    for (char *name = list != NULL ? strtok_r(list, ",", &rest) : NULL;
         rc == CLI_OK && name != NULL; name = strtok_r(NULL, ",", &rest)) {
        if (def->key_count == INSTAR_INDEX_COLUMNS_MAX ||
            !parse_key_column(name, &key[def->key_count])) {
            rc = cli_usage(cli, "--key: at most %d columns, each NAME or NAME:desc",
                           INSTAR_INDEX_COLUMNS_MAX);
        }
        def->key_count++;
    }
    def->key = key;
    rc = rc == CLI_OK ? fill_change_options(cli, &options) : rc;
    if (rc == CLI_OK) {
        int rc_submit = instar_create_table(cli->db, def, &options, &change);

        rc = submitted(cli, rc_submit, change);
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
    } else if (cli_option(cli, "key") == NULL) {
        rc = cli_usage(cli, "--key is missing: every table has a primary key");
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
    instar_change_options options;
    uint64_t change = 0;
    int rc;

    instar_change_options_init(&options);
    rc = fill_change_options(cli, &options);
    if (rc != CLI_OK) {
        return rc;
    }
    rc = instar_drop_table(cli->db, cli->argv[0], &options, &change);
    return submitted(cli, rc, change);
}

int command_create_index(struct cli *cli)
{
    instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX];
    instar_index_def def = {.name = cli->argv[0],
                            .table = cli->argv[1],
                            .columns = columns,
                            .column_count = (size_t)cli->argc - 2,
                            .unique = cli_switch(cli, "unique")};
    instar_change_options options;
    uint64_t change = 0;
    int rc;

    for (size_t i = 0; i < def.column_count; i++) {
        if (!parse_key_column(cli->argv[2 + i], &columns[i])) {
            return cli_usage(cli, "'%s': a column is NAME or NAME:desc", cli->argv[2 + i]);
        }
    }
    instar_change_options_init(&options);
    rc = fill_change_options(cli, &options);
    if (rc != CLI_OK) {
        return rc;
    }
    rc = instar_create_index(cli->db, &def, &options, &change);
    return submitted(cli, rc, change);
}

int command_drop_index(struct cli *cli)
{
    instar_change_options options;
    uint64_t change = 0;
    int rc;

    instar_change_options_init(&options);
    rc = fill_change_options(cli, &options);
    if (rc != CLI_OK) {
        return rc;
    }
    rc = instar_drop_index(cli->db, cli->argv[0], &options, &change);
    return submitted(cli, rc, change);
}
