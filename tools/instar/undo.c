/* SPDX-License-Identifier: Apache-2.0 */
/* undo: bring back what a drop has kept; vacuum: rewrite rows of older layouts. */
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

int command_vacuum(struct cli *cli)
{
    return cli_change_named(cli, instar_vacuum);
}
