/* SPDX-License-Identifier: Apache-2.0 */
/* instar COMMAND STORE …: parsing by the table in commands.c, help, errors, exit codes. */

#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t cli_interrupted;

static void on_signal(int number)
{
    (void)number;
    cli_interrupted = 1;
}

/* ---- help --------------------------------------------------------------------------------- */

static void print_commands(FILE *file)
{
    fprintf(file, "usage: instar COMMAND STORE [ARGUMENT...] [OPTION...]\n\n"
                  "An embedded storage engine whose schema changes while it is in use.\n\n");
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        fprintf(file, "  %-13s %s\n", c->name, c->what);
    }
    fprintf(file, "\n`instar COMMAND --help` tells more. With --json every command prints JSON;\n"
                  "in a pipe rows are tab-separated. The exit code is 0 only on success.\n");
}

static void print_help(const struct cli_command *command)
{
    printf("usage: instar %s STORE %s [OPTION...]\n\n%s.\n", command->name, command->arguments,
           command->what);
    if (command->more != NULL) {
        printf("%s\n", command->more);
    }
    printf("\n");
    for (const struct cli_option *o = command->options; o->name != NULL; o++) {
        char left[64];

        (void)snprintf(left, sizeof(left), "--%s%s%s", o->name, o->argument != NULL ? " " : "",
                       o->argument != NULL ? o->argument : "");
        printf("  %-26s %s\n", left, o->help);
    }
    printf("  %-26s %s\n", "--json", "print JSON");
    printf("  %-26s %s\n", "--no-header", "leave out the line of column names");
}

/* ---- what commands use -------------------------------------------------------------------- */

const char *cli_option(const struct cli *cli, const char *name)
{
    for (size_t i = 0; cli->command->options[i].name != NULL; i++) {
        if (strcmp(cli->command->options[i].name, name) == 0) {
            return cli->values[i];
        }
    }
    return NULL;
}

bool cli_switch(const struct cli *cli, const char *name)
{
    return cli_option(cli, name) != NULL;
}

int cli_number(const struct cli *cli, const char *name, uint64_t *value_out)
{
    const char *text = cli_option(cli, name);
    unsigned shift = 0;
    char *end = NULL;
    uint64_t value;

    if (text == NULL) {
        return CLI_OK;
    }
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno == 0 && end != text && *text != '-') {
        shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
        end += shift != 0 ? 1 : 0;
    }
    if (errno != 0 || end == text || *end != '\0' || *text == '-' ||
        value > (UINT64_MAX >> shift)) {
        return cli_usage(cli, "--%s: '%s' is not a number (100, 64K, 16M, 1G)", name, text);
    }
    *value_out = value << shift;
    return CLI_OK;
}

int cli_fail(const struct cli *cli, int code, const char *doing)
{
    const char *text = instar_error_text();

    if (cli->json) {
        fprintf(stderr, "{\"error\": \"%s\", \"doing\": ", instar_error_name(code));
        out_json_string(stderr, doing, strlen(doing));
        fprintf(stderr, ", \"text\": ");
        out_json_string(stderr, text, strlen(text));
        fprintf(stderr, ", \"remedy\": ");
        out_json_string(stderr, instar_error_remedy(code), strlen(instar_error_remedy(code)));
        fprintf(stderr, "}\n");
        return CLI_FAILED;
    }
    fprintf(stderr, "instar: %s: ", doing);
    out_printable(stderr, text[0] != '\0' ? text : instar_error_what(code),
                  strlen(text[0] != '\0' ? text : instar_error_what(code)));
    fprintf(stderr, "\n  %s: %s\n", instar_error_name(code), instar_error_remedy(code));
    return CLI_FAILED;
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "instar %s: ", cli->command->name);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  see: instar %s --help\n", cli->command->name);
    return CLI_USAGE;
}

/* ---- parsing ------------------------------------------------------------------------------ */

enum { OPTION_HELP = 1000, OPTION_JSON, OPTION_NO_HEADER };

static void fill_long_options(const struct cli_command *command, struct option *longs)
{
    size_t count = 0;

    for (; command->options[count].name != NULL; count++) {
        longs[count] = (struct option){command->options[count].name,
                                       command->options[count].argument != NULL ? required_argument
                                                                                : no_argument,
                                       NULL, (int)count};
    }
    longs[count++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    longs[count++] = (struct option){"json", no_argument, NULL, OPTION_JSON};
    longs[count++] = (struct option){"no-header", no_argument, NULL, OPTION_NO_HEADER};
    longs[count] = (struct option){NULL, 0, NULL, 0};
}

/* 0 to go on, else the exit code plus one. */
static int parse_options(struct cli *cli, int argc, char **argv)
{
    struct option longs[CLI_OPTIONS_MAX + 4];
    int found;

    fill_long_options(cli->command, longs);
    while ((found = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (found == OPTION_HELP || found == 'h') {
            print_help(cli->command);
            return CLI_OK + 1;
        }
        if (found == OPTION_JSON) {
            cli->json = true;
        } else if (found == OPTION_NO_HEADER) {
            cli->header = false;
        } else if (found >= 0 && found < CLI_OPTIONS_MAX) {
            cli->values[found] = optarg != NULL ? optarg : "";
        } else {
            fprintf(stderr, "  see: instar %s --help\n", cli->command->name);
            return CLI_USAGE + 1;
        }
    }
    return 0;
}

static int parse_arguments(struct cli *cli, int argc, char **argv)
{
    const struct cli_command *command = cli->command;

    if (optind >= argc) {
        return cli_usage(cli, "the path of the store is missing");
    }
    cli->store = argv[optind];
    cli->argc = argc - optind - 1;
    cli->argv = argv + optind + 1;
    if (cli->argc < command->min_arguments ||
        (command->max_arguments >= 0 && cli->argc > command->max_arguments)) {
        return cli_usage(cli, "expected arguments: STORE %s", command->arguments);
    }
    return CLI_OK;
}

static const struct cli_command *find_command(const char *name)
{
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

/* ---- running ------------------------------------------------------------------------------ */

static int run_command(struct cli *cli)
{
    instar_options options;
    int rc, rc_close;

    if (cli->command->no_store) {
        return cli->command->run(cli);
    }
    instar_options_init(&options);
    if (!cli->command->runs_changes) {
        options.flags |= INSTAR_OPEN_NO_RUNNER;
    }
    rc = instar_open(cli->store, &options, &cli->db);
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "opening the store");
    }
    rc = cli->command->run(cli);
    rc_close = instar_close(cli->db);
    if (rc_close != INSTAR_OK && rc == CLI_OK) {
        return cli_fail(cli, rc_close, "closing the store");
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct cli cli = {.header = true};
    int rc;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_commands(argc < 2 ? stderr : stdout);
        return argc < 2 ? CLI_USAGE : CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("instar %s\n", instar_version());
        return CLI_OK;
    }
    cli.command = find_command(argv[1]);
    if (cli.command == NULL) {
        fprintf(stderr, "instar: no command '%s'\n\n", argv[1]);
        print_commands(stderr);
        return CLI_USAGE;
    }
    rc = parse_options(&cli, argc - 1, argv + 1);
    if (rc != 0) {
        return rc - 1;
    }
    rc = parse_arguments(&cli, argc - 1, argv + 1);
    if (rc != CLI_OK) {
        return rc;
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    return run_command(&cli);
}
