/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call of the tool: any arguments are a command with its options, or refused with words and the
 * exit code for that; and what stands in the arguments - columns of keys, types, values, numbers,
 * lists of names - is read or refused. No command is run.
 *
 * Input: the arguments, each ended by a line feed; the first is the command.
 */
#include "../tools/instar/cli.h"
#include "base/base.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX 4096
#define ARGUMENTS_MAX 64

/* A value of each type, and each text that is printed of it reads as the same value. */
static void use_value(enum instar_type type, const char *text)
{
    instar_value value, again;
    char *owned = NULL, *owned_again = NULL;
    if (cli_value(type, text, strlen(text), &value, &owned) == INSTAR_OK) {
        size_t size = instar_value_format(&value, NULL, 0);
        char *printed = malloc(size + 1);
        base_assert(printed != NULL);
        base_assert(instar_value_format(&value, printed, size + 1) == size);
        int rc = cli_value(type, printed, size, &again, &owned_again);
        base_assert(rc == INSTAR_OK && again.type == value.type);
        free(printed);
        free(owned_again);
    }
    free(owned);
}

static void use_argument(const char *argument)
{
    char *copy = strdup(argument);
    instar_key_column column;
    enum instar_type type;
    uint32_t length_max;
    base_assert(copy != NULL);
    if (cli_key_column(copy, &column)) {
        base_assert((column.name != NULL) != (column.expression != NULL));
    }
    free(copy);
    if (cli_type(argument, &type, &length_max)) {
        base_assert(instar_type_name(type) != NULL);
    }
    for (unsigned t = 1; t < INSTAR_TYPE_COUNT; t++) {
        use_value((enum instar_type)t, argument);
    }
}

static void use_options(struct cli *cli)
{
    for (const struct cli_option *o = cli->command->options; o->name != NULL; o++) {
        struct cli_names names;
        uint64_t number = 7;
        uint32_t small = 7;
        int rc = cli_number(cli, o->name, UINT64_MAX, &number);
        base_assert(rc == CLI_OK || rc == CLI_USAGE);
        rc = cli_number_u32(cli, o->name, &small);
        base_assert(rc == CLI_OK || (rc == CLI_USAGE && small == 7));
        if (cli_names_option(cli, o->name, &names) == CLI_OK) {
            cli_names_free(&names);
        }
    }
}

static void use_call(struct cli *cli)
{
    uint64_t id;
    base_assert(cli->store != NULL && cli->store[0] != '\0');
    base_assert(cli->argc >= cli->command->min_arguments);
    for (int i = 0; i < cli->argc; i++) {
        use_argument(cli->argv[i]);
    }
    use_options(cli);
    if (cli->argc > 0) {
        (void)cli_change_id(cli, &id);
    }
}

/* What is told goes nowhere. */
static void silence(void)
{
    static FILE *nowhere;
    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
        base_assert(nowhere != NULL);
        stdout = stderr = nowhere;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[ARGUMENTS_MAX + 1];
    int argc = 0;
    if (size == 0 || size > BYTES_MAX) {
        return 0;
    }
    silence();
    char *text = malloc(size + 1);
    base_assert(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *at = text; at != NULL && argc < ARGUMENTS_MAX;) {
        argv[argc++] = at;
        at = strchr(at, '\n');
        if (at != NULL) {
            *at++ = '\0';
        }
    }
    argv[argc] = NULL;
    struct cli cli = {.command = cli_find_command(argv[0]), .header = true};
    char hint[CLI_HINT_MAX];
    if (cli.command == NULL) {
        base_assert(strlen(cli_command_hint(argv[0], hint)) < sizeof(hint));
    } else {
        optind = 0; /* getopt begins anew */
        int rc = cli_parse(&cli, argc, argv);
        base_assert(rc == -1 || rc == CLI_OK || rc == CLI_USAGE);
        if (rc == -1) {
            use_call(&cli);
        }
    }
    free(text);
    return 0;
}
