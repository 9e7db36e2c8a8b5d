/* SPDX-License-Identifier: Apache-2.0 */
/* wait, cancel, changes: following what changes the schema. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 200 /* how often the progress line is drawn anew */

static const char *state_name(enum instar_change_state state)
{
    switch (state) {
    case INSTAR_CHANGE_RUNNING:
        return "running";
    case INSTAR_CHANGE_REVERTING:
        return "reverting";
    case INSTAR_CHANGE_DONE:
        return "done";
    case INSTAR_CHANGE_FAILED:
        return "failed";
    case INSTAR_CHANGE_CANCELLED:
        return "cancelled";
    }
    return "?";
}

/* ---- one change --------------------------------------------------------------------------- */

/* "create index by_path on files: build 41 %, 100/240 rows, 50000/s, ETA 7 s" */
static void progress_text(const instar_change_info *info, char *text, size_t size)
{
    int at = snprintf(text, size, "%s %s: %s", info->kind, info->object, info->stage);

    if (info->rows_total > 0 && at >= 0 && (size_t)at < size) {
        at += snprintf(text + at, size - (size_t)at,
                       " %" PRIu64 " %%, %" PRIu64 "/%" PRIu64 " rows, %" PRIu64 "/s",
                       info->rows_done * 100 / info->rows_total, info->rows_done, info->rows_total,
                       info->rows_per_second);
    }
    if (info->rows_total > 0 && info->eta_ms != UINT64_MAX && at >= 0 && (size_t)at < size) {
        at += snprintf(text + at, size - (size_t)at, ", ETA %" PRIu64 " s",
                       (info->eta_ms + 999) / 1000);
    }
    if (info->throttle[0] != '\0' && at >= 0 && (size_t)at < size) {
        at += snprintf(text + at, size - (size_t)at, ", %s", info->throttle);
    }
    if (info->waiting_for[0] != '\0' && at >= 0 && (size_t)at < size) {
        (void)snprintf(text + at, size - (size_t)at, ", waiting for %s", info->waiting_for);
    }
}

static void draw_progress(const struct cli *cli, const instar_change_info *info)
{
    char text[512];

    progress_text(info, text, sizeof(text));
    cli_draw_line(cli, text);
}

static void time_text(int64_t us, char *text, size_t size)
{
    instar_value value = {.type = INSTAR_TIMESTAMPTZ, .i = us};

    text[0] = '\0';
    if (us != 0) {
        (void)instar_value_format(&value, text, size);
    }
}

static void print_verdict(const struct cli *cli, const instar_change_info *info)
{
    char until[64];

    if (cli->json) {
        printf("{\"change\": %" PRIu64 ", \"state\": \"%s\", \"kind\": ", info->id,
               state_name(info->state));
        out_json_string(stdout, info->kind, strlen(info->kind));
        printf(", \"object\": ");
        out_json_string(stdout, info->object, strlen(info->object));
        printf(", \"stage\": ");
        out_json_string(stdout, info->stage, strlen(info->stage));
        printf(", \"rows\": %" PRIu64 ", \"duplicates\": %" PRIu64
               ", \"sqlstate\": \"%s\", \"reason\": ",
               info->rows_done, info->duplicate_count, instar_error_sqlstate(info->error));
        out_json_string(stdout, info->reason, strlen(info->reason));
        time_text(info->undo_until_us, until, sizeof(until));
        printf(", \"undo_until\": ");
        if (until[0] != '\0') {
            out_json_string(stdout, until, strlen(until));
        } else {
            printf("null");
        }
        printf("}\n");
        return;
    }
    if (info->id == 0) {
        printf("nothing to do\n");
        return;
    }
    printf("change %" PRIu64 ": %s ", info->id, info->kind);
    out_printable(stdout, info->object, strlen(info->object));
    printf(": %s", state_name(info->state));
    /* It was waited for a stage. */
    if (info->finished_us == 0) {
        printf(", at stage %s", info->stage);
    }
    putchar('\n');
    if (info->reason[0] != '\0') {
        out_printable(stdout, info->reason, strlen(info->reason));
        putchar('\n');
    }
    time_text(info->undo_until_us, until, sizeof(until));
    if (until[0] != '\0') {
        printf("it can be undone until %s: instar undo %s %" PRIu64 "\n", until, cli->store,
               info->id);
    }
}

static int left_running(const struct cli *cli, uint64_t change)
{
    cli_clear_line(cli);
    if (cli->json) {
        fprintf(stderr, "{\"interrupted\": true, \"change\": %" PRIu64 "}\n", change);
        return CLI_INTERRUPTED;
    }
    fprintf(stderr,
            "\ninstar: change %" PRIu64 " goes on (in another process that has the store open, or "
            "when it is opened next)\n",
            change);
    fprintf(stderr, "  follow it:  instar wait %s %" PRIu64 "\n", cli->store, change);
    if (cli->command->run != command_cancel) {
        fprintf(stderr, "  cancel it:  instar cancel %s %" PRIu64 "\n", cli->store, change);
    }
    return CLI_INTERRUPTED;
}

/* stage: NULL, or one that is enough. */
static int follow(struct cli *cli, uint64_t change, const char *stage, uint64_t timeout_ms)
{
    uint64_t end = timeout_ms > UINT64_MAX - cli_now_ms() ? UINT64_MAX : cli_now_ms() + timeout_ms;
    instar_change_info info;
    int rc = INSTAR_EBUSY;

    while (rc == INSTAR_EBUSY && cli_interrupted == 0) {
        uint64_t now = cli_now_ms();
        uint64_t left = end > now ? end - now : 0;

        rc = instar_change_wait_stage(cli->db, change, stage,
                                      left < TICK_MS ? (uint32_t)left : TICK_MS, &info);
        if (rc == INSTAR_EBUSY) {
            draw_progress(cli, &info);
        }
        if (rc == INSTAR_EBUSY && left == 0) {
            break;
        }
    }
    if (rc == INSTAR_EBUSY && cli_interrupted != 0) {
        return left_running(cli, change);
    }
    cli_clear_line(cli);
    if (rc == INSTAR_OK || rc == INSTAR_EFAILED || rc == INSTAR_ECANCELLED) {
        print_verdict(cli, &info);
        return rc == INSTAR_OK ? CLI_OK : CLI_FAILED;
    }
    return cli_fail(cli, rc, cli->command->name);
}

int cli_follow(struct cli *cli, uint64_t change)
{
    return follow(cli, change, NULL, UINT64_MAX);
}

int cli_follow_cancel(struct cli *cli, uint64_t change)
{
    int rc = follow(cli, change, NULL, UINT64_MAX);

    if (rc == CLI_OK || rc == CLI_FAILED) {
        instar_change_info info;

        /* The verdict "cancelled" is what was asked for, no other one. */
        rc = instar_change_get(cli->db, change, &info);
        rc = rc == INSTAR_OK && info.state == INSTAR_CHANGE_CANCELLED ? CLI_OK : CLI_FAILED;
    }
    return rc;
}

int cli_change_id(const struct cli *cli, uint64_t *id_out)
{
    const char *text = cli->argv[0];
    char *end = NULL;

    errno = 0;
    *id_out = strtoull(text, &end, 10);
    /* strtoull would take a sign, and spaces before it. */
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0') {
        return cli_usage(cli, "'%s' is not the number of a change", text);
    }
    return CLI_OK;
}

int command_wait(struct cli *cli)
{
    uint64_t id = 0, timeout = UINT64_MAX;
    int rc = cli_change_id(cli, &id);

    rc = rc == CLI_OK ? cli_number(cli, "timeout", UINT64_MAX, &timeout) : rc;
    return rc == CLI_OK ? follow(cli, id, cli_option(cli, "stage"), timeout) : rc;
}

int command_cancel(struct cli *cli)
{
    uint64_t id = 0;
    int rc = cli_change_id(cli, &id);

    if (rc != CLI_OK) {
        return rc;
    }
    rc = instar_change_cancel_because(cli->db, id, cli_option(cli, "reason"));
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "cancel");
    }
    if (cli_switch(cli, "no-wait")) {
        if (cli->json) {
            printf("{\"change\": %" PRIu64 "}\n", id);
        }
        return CLI_OK;
    }
    return cli_follow_cancel(cli, id);
}

/* ---- the list ----------------------------------------------------------------------------- */

struct change_list {
    struct out *out;
    bool running_only;
    uint64_t only; /* id, or 0 */
};

static uint64_t took_ms(const instar_change_info *info)
{
    int64_t us = info->finished_us - info->submitted_us;

    return us > 0 ? (uint64_t)us / 1000 : 0; /* the clock may have been set back */
}

static int print_change(void *arg, const instar_change_info *info)
{
    struct change_list *list = arg;
    bool running = info->state == INSTAR_CHANGE_RUNNING || info->state == INSTAR_CHANGE_REVERTING;
    char id[OUT_NUMBER_SIZE], done[OUT_NUMBER_SIZE], total[OUT_NUMBER_SIZE];
    char rate[OUT_NUMBER_SIZE], eta[OUT_NUMBER_SIZE], owner[OUT_NUMBER_SIZE];
    char backlog[OUT_NUMBER_SIZE], duplicates[OUT_NUMBER_SIZE];
    char step[OUT_NUMBER_SIZE], steps[OUT_NUMBER_SIZE];
    char submitted[64], finished[64];
    char estimated[OUT_NUMBER_SIZE], took[OUT_NUMBER_SIZE];
    char undo_until[64], taken_by[OUT_NUMBER_SIZE], retries[OUT_NUMBER_SIZE];
    char asked_pid[OUT_NUMBER_SIZE], asked_uid[OUT_NUMBER_SIZE], behind[OUT_NUMBER_SIZE];

    if ((list->running_only && !running) || (list->only != 0 && list->only != info->id)) {
        return 0;
    }
    time_text(info->submitted_us, submitted, sizeof(submitted));
    time_text(info->finished_us, finished, sizeof(finished));
    time_text(info->undo_until_us, undo_until, sizeof(undo_until));
    out_row(
        list->out,
        (struct out_cell[]){
            out_u64(info->id, id),
            out_text(state_name(info->state)),
            out_text(info->kind),
            out_text(info->table),
            out_text(info->object),
            out_text(info->stage),
            out_u64(info->step, step),
            out_u64(info->steps, steps),
            out_u64(info->rows_done, done),
            out_u64(info->rows_total, total),
            out_u64(info->rows_per_second, rate),
            info->eta_ms == UINT64_MAX ? out_text(NULL) : out_u64(info->eta_ms / 1000, eta),
            out_u64(info->delta_backlog, backlog),
            out_u64(info->owner_pid, owner),
            out_u64(info->duplicate_count, duplicates),
            out_text(submitted),
            finished[0] != '\0' ? out_text(finished) : out_text(NULL),
            info->estimated_ms == UINT64_MAX ? out_text(NULL)
                                             : out_u64(info->estimated_ms, estimated),
            info->finished_us == 0 ? out_text(NULL) : out_u64(took_ms(info), took),
            out_text(info->waiting_for),
            out_text(info->throttle),
            out_text(info->statement),
            out_text(info->reason),
            undo_until[0] != '\0' ? out_text(undo_until) : out_text(NULL),
            info->taken_by == 0 ? out_text(NULL) : out_u64(info->taken_by, taken_by),
            out_u64(info->retries, retries),
            out_text(info->last_error),
            info->asked_pid == 0 ? out_text(NULL) : out_text(info->asked_by),
            info->asked_pid == 0 ? out_text(NULL) : out_u64(info->asked_pid, asked_pid),
            info->asked_pid == 0 ? out_text(NULL) : out_u64(info->asked_uid, asked_uid),
            info->state == INSTAR_CHANGE_DONE ? out_u64(info->behind, behind) : out_text(NULL)});
    return 0;
}

static int list_changes(struct cli *cli, struct change_list *list)
{
    static const struct out_column columns[] = {{"id", OUT_NUMBER},
                                                {"state", OUT_TEXT},
                                                {"kind", OUT_TEXT_DETAIL},
                                                {"table", OUT_TEXT_DETAIL},
                                                {"object", OUT_TEXT_DETAIL},
                                                {"stage", OUT_TEXT},
                                                {"step", OUT_NUMBER_DETAIL},
                                                {"steps", OUT_NUMBER_DETAIL},
                                                {"rows_done", OUT_NUMBER},
                                                {"rows_total", OUT_NUMBER},
                                                {"rows_per_s", OUT_NUMBER_DETAIL},
                                                {"eta_s", OUT_NUMBER},
                                                {"delta", OUT_NUMBER_DETAIL},
                                                {"owner_pid", OUT_NUMBER_DETAIL},
                                                {"duplicates", OUT_NUMBER_DETAIL},
                                                {"submitted", OUT_TEXT_DETAIL},
                                                {"finished", OUT_TEXT_DETAIL},
                                                {"estimated_ms", OUT_NUMBER_DETAIL},
                                                {"took_ms", OUT_NUMBER_DETAIL},
                                                {"waiting_for", OUT_TEXT},
                                                {"throttle", OUT_TEXT_DETAIL},
                                                {"statement", OUT_TEXT},
                                                {"reason", OUT_TEXT},
                                                {"undo_until", OUT_TEXT},
                                                {"taken_by", OUT_NUMBER_DETAIL},
                                                {"retries", OUT_NUMBER_DETAIL},
                                                {"last_error", OUT_TEXT_DETAIL},
                                                {"asked_by", OUT_TEXT},
                                                {"asked_pid", OUT_NUMBER_DETAIL},
                                                {"asked_uid", OUT_NUMBER_DETAIL},
                                                {"behind", OUT_NUMBER}};
    int rc;

    list->out = out_begin(cli, columns, sizeof(columns) / sizeof(columns[0]));
    rc = instar_change_list(cli->db, print_change, list);
    if (rc != INSTAR_OK) {
        (void)out_end(list->out);
        return cli_fail(cli, rc, cli->command->name);
    }
    return out_end(list->out);
}

int cli_list_changes(struct cli *cli)
{
    struct change_list list = {.running_only = false};

    return list_changes(cli, &list);
}

int command_changes(struct cli *cli)
{
    struct change_list list = {.running_only = cli_switch(cli, "running")};
    int rc = cli->argc > 0 ? cli_change_id(cli, &list.only) : CLI_OK;

    if (rc != CLI_OK) {
        return rc;
    }
    if (cli->argc > 0) {
        instar_change_info info;

        rc = instar_change_get(cli->db, list.only, &info);
        if (rc != INSTAR_OK) {
            return cli_fail(cli, rc, "changes");
        }
    }
    return list_changes(cli, &list);
}
