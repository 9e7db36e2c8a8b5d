/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names, as options and arguments give them. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

bool cli_names_add(struct cli_names *names, const char *name, size_t size)
{
    const char **list = realloc(names->list, (names->count + 1) * sizeof(*list));
    char *copy = strndup(name, size);

    if (list != NULL) {
        names->list = list;
    }
    if (list == NULL || copy == NULL) {
        free(copy);
        return false;
    }
    names->list[names->count++] = copy;
    return true;
}

int cli_names_option(const struct cli *cli, const char *option, struct cli_names *names_out)
{
    const char *text = cli_option(cli, option);

    *names_out = (struct cli_names){NULL, 0};
    while (text != NULL) {
        size_t size = strcspn(text, ",");

        if (size == 0) {
            cli_names_free(names_out);
            return cli_usage(cli, "--%s: '%s' has an empty name", option, cli_option(cli, option));
        }
        if (!cli_names_add(names_out, text, size)) {
            cli_names_free(names_out);
            return cli_fail(cli, INSTAR_ENOMEM, option);
        }
        text = text[size] == ',' ? text + size + 1 : NULL;
    }
    return CLI_OK;
}

void cli_names_free(struct cli_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free((void *)(uintptr_t)names->list[i]);
    }
    free(names->list);
    *names = (struct cli_names){NULL, 0};
}
