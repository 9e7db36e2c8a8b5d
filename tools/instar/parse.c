/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call against the table in commands.c. All options are read before the first wrong one is told:
 * only then is it known whether the caller wants errors as JSON.
 */
#include "cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#define COMMANDS_MAX 64

/* What getopt_long returns; a command's own options are counted from the last. */
enum { OPTION_HELP = 1000, OPTION_JSON, OPTION_NO_HEADER, OPTION_OWN };

/* The first thing that is wrong. */
struct problem {
    char text[512];
};

static void set_problem(struct problem *problem, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void set_problem(struct problem *problem, const char *format, ...)
{
    va_list args;

    if (problem->text[0] == '\0') {
        va_start(args, format);
        (void)vsnprintf(problem->text, sizeof(problem->text), format, args);
        va_end(args);
    }
}

/* ---- names -------------------------------------------------------------------------------- */

const struct cli_command *cli_find_command(const char *name)
{
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static const char *hint_of(const char *nearest, const char *dashes, char hint[CLI_HINT_MAX])
{
    hint[0] = '\0';
    if (nearest != NULL) {
        (void)snprintf(hint, CLI_HINT_MAX, "; did you mean \"%s%s\"?", dashes, nearest);
    }
    return hint;
}

const char *cli_command_hint(const char *name, char hint[CLI_HINT_MAX])
{
    const char *names[COMMANDS_MAX];
    size_t count = 0;

    for (const struct cli_command *c = cli_commands; c->name != NULL && count < COMMANDS_MAX; c++) {
        names[count++] = c->name;
    }
    return hint_of(instar_nearest_name(name, names, count), "", hint);
}

/* ---- options ------------------------------------------------------------------------------ */

static size_t fill_long_options(const struct cli_command *command, struct option *longs)
{
    size_t count = 0;

    for (; command->options[count].name != NULL; count++) {
        longs[count] = (struct option){command->options[count].name,
                                       command->options[count].argument != NULL ? required_argument
                                                                                : no_argument,
                                       NULL, OPTION_OWN + (int)count};
    }
    longs[count++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    longs[count++] = (struct option){"json", no_argument, NULL, OPTION_JSON};
    longs[count++] = (struct option){"no-header", no_argument, NULL, OPTION_NO_HEADER};
    longs[count] = (struct option){NULL, 0, NULL, 0};
    return count;
}

/* `typed` begins with -- and is none of the options: too short to tell them apart, or unknown. */
static void refuse_long(const struct option *longs, size_t count, const char *typed,
                        struct problem *problem)
{
    char name[INSTAR_NAME_BYTES_MAX + 1], hint[CLI_HINT_MAX];
    const char *names[CLI_OPTIONS_MAX + 3];
    size_t size = strcspn(typed + 2, "=");

    (void)snprintf(name, sizeof(name), "%.*s", (int)size, typed + 2);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(longs[i].name, name, size) == 0) {
            set_problem(problem, "option '--%s' may mean more than one thing, such as --%s", name,
                        longs[i].name);
        }
        names[i] = longs[i].name;
    }
    set_problem(problem, "no option '--%s'%s", name,
                hint_of(instar_nearest_name(name, names, count), "--", hint));
}

/* What getopt_long refused; `typed` is the argument that it stood in. */
static void refuse_option(const struct cli *cli, const struct option *longs, size_t count,
                          const char *typed, int found, struct problem *problem)
{
    if (optopt == 0) {
        refuse_long(longs, count, typed, problem);
    } else if (optopt >= '0' && optopt <= '9') {
        /* A negative number looks like an option. */
        set_problem(problem,
                    "no option '-%c'; a value that begins with - goes after --: instar %s ... -- "
                    "-%c",
                    optopt, cli->command->name, optopt);
    } else if (optopt < OPTION_HELP) {
        set_problem(problem, found == ':' ? "option '-%c' needs a value" : "no option '-%c'",
                    optopt);
    } else {
        set_problem(problem,
                    found == ':' ? "option '%s' needs a value" : "option '%s' takes no value",
                    typed);
    }
}

static void take_option(struct cli *cli, int found, struct problem *problem)
{
    size_t i = (size_t)(found - OPTION_OWN);

    if (found == OPTION_JSON) {
        cli->json = true;
    } else if (found == OPTION_NO_HEADER) {
        cli->header = false;
    } else if (cli->values[i] != NULL) {
        set_problem(problem, "--%s is given twice", cli->command->options[i].name);
    } else {
        cli->values[i] = optarg != NULL ? optarg : "";
    }
}

/* What getopt_long returns for --file, 0 when the command has none: -f is the same. */
static int file_option(const struct cli_command *command)
{
    for (int i = 0; command->options[i].name != NULL; i++) {
        if (strcmp(command->options[i].name, "file") == 0) {
            return OPTION_OWN + i;
        }
    }
    return 0;
}

/* -1 to go on, else the exit code. */
static int parse_options(struct cli *cli, int argc, char **argv)
{
    struct option longs[CLI_OPTIONS_MAX + 4];
    size_t count = fill_long_options(cli->command, longs);
    struct problem problem = {""};
    bool help = false;
    int found, file = file_option(cli->command);

    opterr = 0; /* what is wrong is said here */
    while ((found = getopt_long(argc, argv, file != 0 ? ":hf:" : ":h", longs, NULL)) != -1) {
        found = found == 'f' ? file : found;
        if (found == OPTION_HELP || found == 'h') {
            help = help || problem.text[0] == '\0';
        } else if (found == '?' || found == ':') {
            refuse_option(cli, longs, count, argv[optind - 1], found, &problem);
        } else {
            take_option(cli, found, &problem);
        }
    }
    if (help) {
        cli_print_help(cli->command);
        return CLI_OK;
    }
    return problem.text[0] != '\0' ? cli_usage(cli, "%s", problem.text) : -1;
}

/* ---- arguments ---------------------------------------------------------------------------- */

static int parse_arguments(struct cli *cli, int argc, char **argv)
{
    const struct cli_command *command = cli->command;

    if (optind >= argc || argv[optind][0] == '\0') {
        return cli_usage(cli, "the path of the store is missing");
    }
    cli->store = argv[optind];
    cli->argc = argc - optind - 1;
    cli->argv = argv + optind + 1;
    if (cli->argc < command->min_arguments ||
        (command->max_arguments >= 0 && cli->argc > command->max_arguments)) {
        return cli_usage(cli, "%s arguments; expected: STORE%s%s",
                         cli->argc < command->min_arguments ? "too few" : "too many",
                         command->arguments[0] != '\0' ? " " : "", command->arguments);
    }
    return -1;
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
    int rc = parse_options(cli, argc, argv);

    return rc >= 0 ? rc : parse_arguments(cli, argc, argv);
}
