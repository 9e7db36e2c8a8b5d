/* SPDX-License-Identifier: Apache-2.0 */
/* backup and restore. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

/* Of both: draws, and gives up on Ctrl-C. */
static int on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct cli_progress *progress = arg;

    progress->total = total;
    cli_progress_to(progress, done, done);
    return cli_interrupted != 0 ? 1 : 0;
}

static void begin(struct cli *cli, struct cli_progress *progress)
{
    cli_catch_interrupts();
    cli_progress_begin(progress, cli, 0);
    progress->bytes = true;
}

static int fail(const struct cli *cli, int rc, const char *doing)
{
    if (rc == INSTAR_ECANCELLED && cli_interrupted != 0) {
        (void)cli_fail(cli, rc, doing);
        return CLI_INTERRUPTED;
    }
    return cli_fail(cli, rc, doing);
}

static int print_info(const struct cli *cli, const instar_backup_info *info)
{
    static const struct out_column columns[] = {{"first_lsn", OUT_NUMBER},
                                                {"last_lsn", OUT_NUMBER},
                                                {"first_time", OUT_TEXT},
                                                {"last_time", OUT_TEXT},
                                                {"bytes", OUT_NUMBER}};
    struct out *out = out_begin(cli, columns, sizeof(columns) / sizeof(columns[0]));
    char first[OUT_NUMBER_SIZE], last[OUT_NUMBER_SIZE], bytes[OUT_NUMBER_SIZE];
    char from[64], to[64];
    instar_value value = {.type = INSTAR_TIMESTAMPTZ, .i = info->first_us};

    (void)instar_value_format(&value, from, sizeof(from));
    value.i = info->last_us;
    (void)instar_value_format(&value, to, sizeof(to));
    out_row(out, (struct out_cell[]){out_u64(info->first_lsn, first), out_u64(info->last_lsn, last),
                                     out_text(from), out_text(to), out_u64(info->bytes, bytes)});
    return out_end(out);
}

int command_backup(struct cli *cli)
{
    struct cli_progress progress;
    instar_backup_options options = {
        .struct_size = sizeof(options), .progress = on_progress, .arg = &progress};
    instar_backup_info info;
    int rc;

    begin(cli, &progress);
    rc = instar_backup(cli->db, cli->argv[0], &options, &info);
    cli_progress_end(&progress);
    return rc == INSTAR_OK ? print_info(cli, &info) : fail(cli, rc, "backup");
}

/* Digits alone are a position, all else is a time. */
static int parse_to(const struct cli *cli, instar_restore_options *options)
{
    const char *text = cli_option(cli, "to");
    char scratch[128];
    instar_value value;

    if (text == NULL) {
        return CLI_OK;
    }
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0') {
        return cli_number(cli, "to", UINT64_MAX - 1, &options->to_lsn);
    }
    if (strlen(text) >= sizeof(scratch) ||
        instar_value_parse(INSTAR_TIMESTAMPTZ, text, strlen(text), scratch, sizeof(scratch),
                           &value) != INSTAR_OK) {
        return cli_usage(
            cli, "--to: '%.100s' is neither a position nor a time as 2026-01-31 12:00:00", text);
    }
    options->to_us = value.i;
    return CLI_OK;
}

int command_restore(struct cli *cli)
{
    struct cli_progress progress;
    instar_restore_options options;
    int rc;

    instar_restore_options_init(&options);
    rc = parse_to(cli, &options);
    if (rc != CLI_OK) {
        return rc;
    }
    options.progress = on_progress;
    options.arg = &progress;
    begin(cli, &progress);
    rc = instar_restore(cli->store, cli->argv[0], &options);
    cli_progress_end(&progress);
    return rc == INSTAR_OK ? cli_written(cli, "restored") : fail(cli, rc, "restore");
}
