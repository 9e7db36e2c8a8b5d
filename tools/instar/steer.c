/* SPDX-License-Identifier: Apache-2.0 */
/* pause, resume, hold, release, retune: what a running change is to do differently. */
#include "cli.h"

#include <inttypes.h>

int cli_steered(const struct cli *cli, uint64_t change)
{
    instar_change_info info;
    int rc = instar_change_get(cli->db, change, &info);

    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, cli->command->name);
    }
    bool pause = (info.flags & INSTAR_CHANGE_PAUSE) != 0;
    bool hold = (info.flags & INSTAR_CHANGE_HOLD) != 0;
    bool hurry = (info.flags & INSTAR_CHANGE_HURRY) != 0;
    bool keep = (info.flags & INSTAR_CHANGE_KEEP_WAITING) != 0;
    bool give_up = (info.flags & INSTAR_CHANGE_GIVE_UP) != 0;
    if (cli->json) {
        printf("{\"change\": %" PRIu64 ", \"pause\": %s, \"hold\": %s, \"hurry\": %s, "
               "\"blockers\": \"%s\"}\n",
               change, pause ? "true" : "false", hold ? "true" : "false", hurry ? "true" : "false",
               keep      ? "keep-waiting"
               : give_up ? "give-up"
                         : "fence");
        return CLI_OK;
    }
    printf("change %" PRIu64 ": %s%s%s%s\n", change, pause ? "to stand still" : "to go on",
           hold ? ", held before its last step" : "", hurry ? ", in a hurry" : "",
           keep      ? ", fences nobody who holds it up"
           : give_up ? ", gives up when it is held up for too long"
                     : "");
    return CLI_OK;
}

static int steer(const struct cli *cli, const instar_change_steering *steering)
{
    uint64_t id = 0;
    int rc = cli_change_id(cli, &id);

    if (rc != CLI_OK) {
        return rc;
    }
    rc = instar_change_steer(cli->db, id, steering);
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, cli->command->name);
    }
    return cli_steered(cli, id);
}

static int steer_flags(const struct cli *cli, uint32_t set, uint32_t clear)
{
    instar_change_steering steering;

    instar_change_steering_init(&steering);
    steering.set_flags = set;
    steering.clear_flags = clear;
    return steer(cli, &steering);
}

int command_pause(struct cli *cli)
{
    return steer_flags(cli, INSTAR_CHANGE_PAUSE, 0);
}

int command_resume(struct cli *cli)
{
    return steer_flags(cli, 0, INSTAR_CHANGE_PAUSE);
}

int command_hold(struct cli *cli)
{
    return steer_flags(cli, INSTAR_CHANGE_HOLD, 0);
}

int command_release(struct cli *cli)
{
    return steer_flags(cli, 0, INSTAR_CHANGE_HOLD);
}

int command_retune(struct cli *cli)
{
    instar_change_steering steering;
    bool hurry = cli_switch(cli, "hurry");
    bool polite = cli_switch(cli, "no-hurry");
    bool keep = cli_switch(cli, "keep-waiting");
    bool give_up = cli_switch(cli, "give-up");
    bool fence = cli_switch(cli, "fence");
    int rc;

    instar_change_steering_init(&steering);
    steering.set_flags = (hurry ? INSTAR_CHANGE_HURRY : 0u) |
                         (keep ? INSTAR_CHANGE_KEEP_WAITING : 0u) |
                         (give_up ? INSTAR_CHANGE_GIVE_UP : 0u);
    steering.clear_flags =
        (polite ? INSTAR_CHANGE_HURRY : 0u) |
        (fence ? (uint32_t)(INSTAR_CHANGE_KEEP_WAITING | INSTAR_CHANGE_GIVE_UP) : 0u);
    /* The highest value of each means that nothing was given. */
    uint64_t workers = UINT32_MAX, fence_after = UINT32_MAX, target = UINT32_MAX;

    rc = cli_number(cli, "rate", UINT64_MAX - 1, &steering.rows_per_second_max);
    rc = rc == CLI_OK
             ? cli_number(cli, "bytes-rate", UINT64_MAX - 1, &steering.bytes_per_second_max)
             : rc;
    rc = rc == CLI_OK ? cli_number(cli, "workers", UINT32_MAX - 1, &workers) : rc;
    rc = rc == CLI_OK ? cli_number(cli, "fence-after", UINT32_MAX - 1, &fence_after) : rc;
    rc = rc == CLI_OK ? cli_number(cli, "latency-target", UINT32_MAX - 1, &target) : rc;
    if (rc != CLI_OK) {
        return rc;
    }
    steering.workers = (uint32_t)workers;
    steering.fence_after_ms = (uint32_t)fence_after;
    steering.latency_target_ms = (uint32_t)target;
    if (steering.set_flags == 0 && steering.clear_flags == 0 &&
        steering.rows_per_second_max == UINT64_MAX && steering.bytes_per_second_max == UINT64_MAX &&
        steering.workers == UINT32_MAX && steering.fence_after_ms == UINT32_MAX &&
        steering.latency_target_ms == UINT32_MAX) {
        return cli_usage(
            cli, "nothing to retune: give --rate, --bytes-rate, --workers, --latency-target, "
                 "--fence-after, --hurry, --no-hurry, --keep-waiting, --give-up or --fence");
    }
    return steer(cli, &steering);
}
