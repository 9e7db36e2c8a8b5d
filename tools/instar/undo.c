/* SPDX-License-Identifier: Apache-2.0 */
/* undo: bring back what a drop has kept; vacuum: rewrite rows of older layouts, or overwrite what
 * nothing needs any more. */
#include "cli.h"

int command_undo(struct cli *cli)
{
    instar_change_options options;
    uint64_t drop = 0, change = 0;
    int rc = cli_change_id(cli, &drop);

    rc = rc == CLI_OK ? cli_change_options(cli, &options) : rc;
    if (rc != CLI_OK) {
        return rc;
    }
    options.flags |= cli_switch(cli, "nullable") ? (uint32_t)INSTAR_CHANGE_NULLABLE : 0;
    rc = instar_change_undo(cli->db, drop, cli_option(cli, "as"), &options, &change);
    return cli_submitted(cli, rc, change);
}

/* The store was open until now, so that what is left of changes could be done. */
static int overwrite(struct cli *cli)
{
    static const struct out_column columns[] = {{"overwritten_bytes", OUT_NUMBER}};
    char text[OUT_NUMBER_SIZE];
    struct out *out;
    uint64_t bytes = 0;
    int rc = instar_close(cli->db);

    cli->db = NULL;
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "closing the store");
    }
    rc = instar_overwrite(cli->store, &bytes);
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "overwriting what is not needed");
    }
    out = out_begin(cli, columns, sizeof(columns) / sizeof(columns[0]));
    out_row(out, (struct out_cell[]){out_u64(bytes, text)});
    return out_end(out);
}

int command_vacuum(struct cli *cli)
{
    if (!cli_switch(cli, "overwrite")) {
        return cli->argc > 0 ? cli_change_named(cli, instar_vacuum)
                             : cli_usage(cli, "name a TABLE, or give --overwrite");
    }
    if (cli->argc > 0) {
        return cli_usage(cli, "--overwrite is of the whole store: vacuum the table first");
    }
    return overwrite(cli);
}
