/* SPDX-License-Identifier: Apache-2.0 */
/* instar COMMAND STORE …: help, errors, exit codes; the call is parsed by parse.c. */

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
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

/* The second signal ends the process, should the first one not be heard. */
void cli_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* A standard stream that the caller closed would be opened next as a file of the store, and what is
 * printed written into it. Placeholders that cannot be written to make printing fail instead. */
static bool hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

/* What was printed must have arrived. */
static int end_output(int rc)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return rc;
    }
    fprintf(stderr, "instar: writing to standard output failed\n"
                    "  see whether its reader is gone or its disk is full\n");
    return rc == CLI_OK ? CLI_FAILED : rc;
}

/* ---- help --------------------------------------------------------------------------------- */

static void print_commands(FILE *file)
{
    fprintf(file, "usage: instar COMMAND STORE [ARGUMENT...] [OPTION...]\n\n"
                  "An embedded storage engine whose schema changes while it is in use.\n\n");
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        fprintf(file, "  %-13s %s\n", c->name, c->what);
    }
    fprintf(file, "\nwithout a store:\n"
                  "  torture       cut the power at each write that a program of yours makes\n");
    fprintf(file, "\n`instar COMMAND --help` tells more. With --json every command prints JSON;\n"
                  "in a pipe rows are tab-separated. The exit code is 0 only on success.\n");
}

void cli_print_help(const struct cli_command *command)
{
    printf("usage: instar %s %s%s%s [OPTION...]\n\n%s.\n", command->name,
           command->run == command_restore ? "BACKUP" : "STORE",
           command->arguments[0] != '\0' ? " " : "", command->arguments, command->what);
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

int cli_number(const struct cli *cli, const char *name, uint64_t max, uint64_t *value_out)
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
    if (errno == 0 && end != text) {
        shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : *end == 'T' ? 40 : 0;
        end += shift != 0 ? 1 : 0;
    }
    /* strtoull would take a sign, and spaces before it. */
    if (*text < '0' || *text > '9' || *end != '\0') {
        return cli_usage(cli, "--%s: '%s' is not a number (100, 64K, 16M, 1G, 1T)", name, text);
    }
    if (errno != 0 || value > (max >> shift)) {
        return cli_usage(cli, "--%s: %s is too much: at most %" PRIu64, name, text, max);
    }
    *value_out = value << shift;
    return CLI_OK;
}

int cli_number_u32(const struct cli *cli, const char *name, uint32_t *value_out)
{
    uint64_t value = *value_out;
    int rc = cli_number(cli, name, UINT32_MAX, &value);

    *value_out = (uint32_t)value;
    return rc;
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
    fprintf(stderr, "instar: ");
    out_printable(stderr, doing, strlen(doing));
    fprintf(stderr, ": ");
    out_printable(stderr, text[0] != '\0' ? text : instar_error_what(code),
                  strlen(text[0] != '\0' ? text : instar_error_what(code)));
    fprintf(stderr, "\n  %s: %s\n", instar_error_name(code), instar_error_remedy(code));
    return CLI_FAILED;
}

int cli_fail_value(const struct cli *cli, int code, const char *column, const char *text)
{
    char doing[INSTAR_NAME_BYTES_MAX + 128];

    (void)snprintf(doing, sizeof(doing), "%s=%.100s", column, text);
    return cli_fail(cli, code, doing);
}

/* A failure that is not the library's; of the call as a whole when there is no command. */
static void own_error(const struct cli *cli, const char *kind, const char *text, const char *remedy)
{
    const char *command = cli->command != NULL ? cli->command->name : "";

    if (cli->json) {
        fprintf(stderr, "{\"error\": \"%s\", \"doing\": \"%s\", \"text\": ", kind, command);
        out_json_string(stderr, text, strlen(text));
        fprintf(stderr, ", \"remedy\": ");
        out_json_string(stderr, remedy, strlen(remedy));
        fprintf(stderr, "}\n");
        return;
    }
    fprintf(stderr, "instar: %s%s", command, command[0] != '\0' ? ": " : "");
    out_printable(stderr, text, strlen(text));
    fprintf(stderr, "\n  %s\n", remedy);
}

int cli_error(const struct cli *cli, const char *remedy, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    own_error(cli, "FAILED", text, remedy);
    return CLI_FAILED;
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
    char text[1024], remedy[64];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)snprintf(remedy, sizeof(remedy), "see: instar %s%s--help",
                   cli->command != NULL ? cli->command->name : "", cli->command != NULL ? " " : "");
    own_error(cli, "USAGE", text, remedy);
    return CLI_USAGE;
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
    if (cli->command->runs_changes) {
        cli_catch_interrupts();
    }
    rc = cli->command->run(cli);
    rc_close = cli->db != NULL ? instar_close(cli->db) : INSTAR_OK;
    if (rc_close != INSTAR_OK && rc == CLI_OK) {
        return cli_fail(cli, rc_close, "closing the store");
    }
    return rc;
}

/* The nearest command is named; the list of them is for people alone. */
static int refuse_command(const char *name, int argc, char **argv)
{
    struct cli cli = {.json = false};
    char hint[CLI_HINT_MAX];

    for (int i = 1; i < argc; i++) {
        cli.json = cli.json || strcmp(argv[i], "--json") == 0;
    }
    (void)cli_usage(&cli, "no command '%s'%s", name,
                    name[0] == '-' ? "; options go after the command"
                                   : cli_command_hint(name, hint));
    if (!cli.json) {
        fprintf(stderr, "\n");
        print_commands(stderr);
    }
    return CLI_USAGE;
}

/* Help and version; -1 when it is a command that is asked for. */
static int run_general(int argc, char **argv)
{
    const char *first = argc < 2 ? "" : argv[1];
    bool help = strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0;

    if (strcmp(first, "help") == 0 && argc > 2 && cli_find_command(argv[2]) != NULL) {
        cli_print_help(cli_find_command(argv[2]));
        return CLI_OK;
    }
    if (help || (strcmp(first, "help") == 0 && argc == 2)) {
        print_commands(stdout);
        return CLI_OK;
    }
    if (strcmp(first, "--version") == 0) {
        printf("instar %s\n", instar_version());
        return CLI_OK;
    }
    if (cli_find_command(first) != NULL) {
        return -1;
    }
    if (argc > 1) {
        return refuse_command(strcmp(first, "help") == 0 ? argv[2] : first, argc, argv);
    }
    print_commands(stderr);
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    static char help_option[] = "--help";
    struct cli cli = {.header = true};
    int rc;

    if (!hold_standard_streams()) {
        return CLI_FAILED;
    }
    if (argc > 1 && strcmp(argv[1], "torture") == 0) {
        return cli_torture(argv + 1);
    }
    if (argc > 2 && strcmp(argv[1], "help") == 0 && strcmp(argv[2], "torture") == 0) {
        char *words[] = {argv[2], help_option, NULL};
        return cli_torture(words);
    }
    rc = run_general(argc, argv);
    if (rc >= 0) {
        return end_output(rc);
    }
    cli.command = cli_find_command(argv[1]);
    rc = cli_parse(&cli, argc - 1, argv + 1);
    return end_output(rc >= 0 ? rc : run_command(&cli));
}
