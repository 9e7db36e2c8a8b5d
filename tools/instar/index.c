/* SPDX-License-Identifier: Apache-2.0 */
/* create-index, drop-index. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* Is that the end of the text? Then it is cut off. */
static bool cut_end(char *text, const char *end)
{
    size_t size = strlen(text), wanted = strlen(end);

    if (size < wanted || strcmp(text + size - wanted, end) != 0) {
        return false;
    }
    text[size - wanted] = '\0';
    return true;
}

bool cli_key_column(char *text, instar_key_column *column)
{
    *column = (instar_key_column){.nulls = cut_end(text, ":nulls-first")  ? INSTAR_NULLS_FIRST
                                           : cut_end(text, ":nulls-last") ? INSTAR_NULLS_LAST
                                                                          : INSTAR_NULLS_DEFAULT};
    column->descending = cut_end(text, ":desc");
    if (!column->descending) {
        (void)cut_end(text, ":asc");
    }
    if (text[0] == '(') {
        column->expression = text + 1;
        return cut_end(text, ")");
    }
    column->name = text;
    return text[0] != '\0' && strchr(text, ':') == NULL;
}

/* --include: "a,b", cut in place. */
static int parse_include(struct cli *cli, char *list, const char **names, size_t *count_out)
{
    *count_out = 0;
    for (char *name = list; name != NULL;) {
        char *comma = strchr(name, ',');

        if (comma != NULL) {
            *comma = '\0';
        }
        if (*count_out == INSTAR_INDEX_COLUMNS_MAX) {
            return cli_usage(cli, "--include: at most %d columns", INSTAR_INDEX_COLUMNS_MAX);
        }
        names[(*count_out)++] = name;
        name = comma != NULL ? comma + 1 : NULL;
    }
    return CLI_OK;
}

static int create_index(struct cli *cli, instar_index_def *def)
{
    const char *include[INSTAR_INDEX_COLUMNS_MAX];
    char *list = cli_option(cli, "include") != NULL ? strdup(cli_option(cli, "include")) : NULL;
    instar_change_options options;
    uint64_t change = 0;
    int rc = list != NULL ? parse_include(cli, list, include, &def->include_count) : CLI_OK;

    def->include = include;
    def->predicate = cli_option(cli, "where");
    rc = rc == CLI_OK ? cli_change_options(cli, &options) : rc;
    if (rc == CLI_OK) {
        int rc_submit = instar_create_index(cli->db, def, &options, &change);

        rc = cli_submitted(cli, rc_submit, change);
    }
    free(list);
    return rc;
}

int command_create_index(struct cli *cli)
{
    instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX];
    instar_index_def def = {.name = cli->argv[0],
                            .table = cli->argv[1],
                            .columns = columns,
                            .column_count = (size_t)cli->argc - 2,
                            .unique = cli_switch(cli, "unique")};

    for (size_t i = 0; i < def.column_count; i++) {
        if (!cli_key_column(cli->argv[2 + i], &columns[i])) {
            return cli_usage(cli, "'%s' is neither NAME nor NAME:desc", cli->argv[2 + i]);
        }
    }
    return create_index(cli, &def);
}

int command_drop_index(struct cli *cli)
{
    return cli_change_named(cli, instar_drop_index);
}
