/* SPDX-License-Identifier: Apache-2.0 */
/* What the demo does to the schema, step by step, and what must come out of each. */
#include "director.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the store ---------------------------------------------------------------------------- */

static int make_table(struct director *d)
{
    instar_column_def columns[DEMO_COLUMNS_MAX + 1] = {{"id", INSTAR_INT8, true, NULL, 0}};
    instar_key_column key[] = {{.name = "id"}};
    instar_table_def def = {.name = DEMO_TABLE,
                            .columns = columns,
                            .column_count = d->data->count + 1,
                            .key = key,
                            .key_count = 1};
    uint64_t change = 0;
    int rc;

    for (size_t i = 0; i < d->data->count; i++) {
        columns[i + 1] = (instar_column_def){.name = d->data->columns[i], .type = INSTAR_TEXT};
    }
    rc = instar_open(d->store, NULL, &d->db);
    rc = rc ? rc : instar_create_table(d->db, &def, NULL, &change);
    rc = rc ? rc : instar_change_wait(d->db, change, 30000, NULL);
    if (rc != INSTAR_OK) {
        return wrong_call("creating the table", rc);
    }
    rc = instar_close(d->db);
    d->db = NULL;
    return rc == INSTAR_OK ? 0 : wrong_call("closing", rc);
}

int follow(struct director *d, uint64_t change, instar_change_info *info)
{
    char what[448];
    int rc;

    while ((rc = instar_change_wait(d->db, change, TICK_MS, info)) == INSTAR_EBUSY) {
        (void)snprintf(what, sizeof(what), "%s %s: %s %" PRIu64 " %% %s", info->kind, info->object,
                       info->stage,
                       info->rows_total > 0 ? info->rows_done * 100 / info->rows_total : 0,
                       info->waiting_for);
        draw(d, what);
    }
    return rc;
}

static int submit_index(struct director *d, const char *name, bool unique, uint64_t rate,
                        uint64_t *change)
{
    instar_key_column column = {.name = d->data->columns[d->data->indexed]};
    instar_index_def def = {
        .name = name, .table = DEMO_TABLE, .columns = &column, .column_count = 1, .unique = unique};
    instar_change_options options;

    instar_change_options_init(&options);
    options.rows_per_second_max = rate;
    return instar_create_index(d->db, &def, &options, change);
}

static int make_index(struct director *d, const char *name, bool unique, instar_change_info *info)
{
    uint64_t change = 0;
    int rc = submit_index(d, name, unique, 0, &change);

    return rc ? rc : follow(d, change, info);
}

/* ---- steps -------------------------------------------------------------------------------- */

int step_import(struct director *d)
{
    uint64_t begin = now_ns();
    struct step *step = &d->steps[d->step_count++];

    if (run_tool(d, "init", NULL, NULL) != 0 || make_table(d) != 0 ||
        run_tool(d, "import", DEMO_TABLE, d->csv) != 0) {
        return -1;
    }
    (void)snprintf(step->name, sizeof(step->name), "import");
    step->seconds = (double)(now_ns() - begin) / 1e9;
    return 0;
}

int step_idle(struct director *d)
{
    uint64_t end = now_ns() + IDLE_MS * 1000000u;

    step_begin(d);
    while (now_ns() < end) {
        (void)poll(NULL, 0, TICK_MS);
        draw(d, "no change at work");
    }
    step_end(d, "idle: no change at work");
    return 0;
}

int step_index(struct director *d)
{
    instar_change_info info;

    step_begin(d);
    return step_end_change(d, "create index", make_index(d, "entries_by_value", false, &info));
}

/* Data of yours may have no duplicate: then one row is entered twice, and said so. */
int step_unique_fails(struct director *d)
{
    instar_change_info info;

    step_begin(d);
    return step_end_failed(d, "create unique index, fails, reverts",
                           make_index(d, "entries_unique", true, &info), &info, INSTAR_EUNIQUE);
}

/* Where the repair stands in the index: it goes on from there in the next transaction. */
struct repair {
    struct director *d;
    instar_projection *by_value;
    char *before; /* value of the row before */
    size_t before_size;
    size_t before_room;
    bool any;
    uint64_t removed;
    bool more;
};

static bool same_as_before(const struct repair *r, const instar_value *value)
{
    return r->any && value->bytes.size == r->before_size &&
           memcmp(value->bytes.data, r->before, r->before_size) == 0;
}

static bool remember(struct repair *r, const instar_value *value)
{
    if (value->bytes.size > r->before_room) {
        char *more = realloc(r->before, value->bytes.size);

        if (more == NULL) {
            return false;
        }
        r->before = more;
        r->before_room = value->bytes.size;
    }
    memcpy(r->before, value->bytes.data, value->bytes.size);
    r->before_size = value->bytes.size;
    r->any = true;
    return true;
}

/* Collect up to 500 later rows of equal values, then delete them. */
static int repair_some(instar_txn *txn, void *arg)
{
    struct repair *r = arg;
    instar_value lower = {.type = INSTAR_TEXT, .bytes = {r->before, r->before_size}};
    instar_range range = {.lower = &lower, .lower_count = r->any ? 1 : 0};
    instar_cursor *cursor = NULL;
    instar_value row[2];
    instar_value doomed[500];
    size_t count = 0;
    bool first = true;
    int rc = instar_scan(txn, r->by_value, &range, &cursor);

    r->any = false;
    while (rc == INSTAR_OK && count < 500) {
        rc = instar_cursor_next(cursor, row);
        if (rc != INSTAR_OK || row[1].type == INSTAR_NULL) {
            break; /* nulls sort last, and are never equal */
        }
        if (!first && same_as_before(r, &row[1])) {
            doomed[count++] = row[0];
        } else if (!remember(r, &row[1])) {
            rc = INSTAR_ENOMEM;
        }
        first = false;
    }
    instar_cursor_close(cursor);
    r->more = rc == INSTAR_OK && count == 500;
    rc = rc == INSTAR_END ? INSTAR_OK : rc;
    for (size_t i = 0; rc == INSTAR_OK && i < count; i++) {
        rc = instar_delete(txn, r->by_value, &doomed[i]);
    }
    r->removed = count;
    return rc;
}

int step_repair(struct director *d)
{
    const char *names[] = {"id", d->data->columns[d->data->indexed]};
    struct repair r = {.d = d, .more = true};
    uint64_t removed = 0;
    int rc;

    step_begin(d);
    rc = instar_projection_prepare(d->db, DEMO_TABLE, names, 2, "entries_by_value", &r.by_value);
    while (rc == INSTAR_OK && r.more) {
        rc = instar_run(d->db, INSTAR_TXN_SNAPSHOT, repair_some, &r);
        removed += r.removed;
        draw(d, "removing duplicates");
    }
    instar_projection_free(r.by_value);
    free(r.before);
    if (rc != INSTAR_OK) {
        return wrong_call("removing the duplicates", rc);
    }
    step_end(d, "remove the duplicates");
    printf("%" PRIu64 " rows removed\n", removed);
    return removed > 0 ? 0 : wrong("there was no duplicate to remove");
}

int step_unique(struct director *d)
{
    instar_change_info info = {.reason = ""};
    int rc;

    step_begin(d);
    rc = make_index(d, "entries_unique", true, &info);
    if (rc != INSTAR_OK) {
        fprintf(stderr, "%s\n", info.reason);
    }
    return step_end_change(d, "create unique index", rc);
}

static int count_rows(void *arg, const instar_table_info *info)
{
    *(uint64_t *)arg = info->rows;
    return 0;
}

/* SIGKILL to the runner that owns the change, once it stands between 20 and 80 %. */
static int kill_owner(struct director *d, uint64_t change, pid_t *killed)
{
    instar_change_info info;
    int rc;

    for (;;) {
        uint64_t percent;

        rc = instar_change_wait(d->db, change, 20, &info);
        if (rc != INSTAR_EBUSY) {
            return wrong("the build ended before it could be killed (%s)", instar_error_name(rc));
        }
        percent = info.rows_total > 0 ? info.rows_done * 100 / info.rows_total : 0;
        draw(d, "waiting for the build to stand at 20 %");
        if (strcmp(info.stage, "build") != 0 || percent < 20) {
            continue;
        }
        if (percent > 80) {
            return wrong("the build passed from below 20 %% to %" PRIu64 " %% unseen", percent);
        }
        for (int i = 0; i < RUNNERS; i++) {
            if (d->runners[i] > 0 && (uint32_t)d->runners[i] == info.owner_pid) {
                (void)kill(d->runners[i], SIGKILL);
                (void)waitpid(d->runners[i], NULL, 0);
                *killed = d->runners[i];
                d->runners[i] = 0;
                printf("%skilled process %d at %" PRIu64 " %% of the build\n",
                       d->terminal ? "\r\x1b[K" : "", (int)*killed, percent);
                return 0;
            }
        }
        return wrong("the change is run by process %" PRIu32 ", which is no runner",
                     info.owner_pid);
    }
}

/* The rate makes the build last some four seconds. It is that of the rows of now: where the data is
 * small, the writers have added more than there was. */
int step_kill(struct director *d)
{
    instar_change_info info;
    uint64_t change = 0, rows = 0;
    uint32_t finisher = 0;
    pid_t killed = 0;
    char what[448];
    int rc;

    step_begin(d);
    rc = instar_table_list(d->db, DEMO_TABLE, count_rows, &rows);
    rc = rc ? rc : submit_index(d, "entries_killed", false, rows / 4 + 1, &change);
    if (rc != INSTAR_OK) {
        return wrong_call("creating the index", rc);
    }
    if (kill_owner(d, change, &killed) != 0) {
        return -1;
    }
    while ((rc = instar_change_wait(d->db, change, TICK_MS, &info)) == INSTAR_EBUSY) {
        if (info.owner_pid != 0 && info.owner_pid != (uint32_t)killed) {
            finisher = info.owner_pid;
        }
        (void)snprintf(what, sizeof(what), "process %" PRIu32 " goes on: %s %" PRIu64 " %%",
                       info.owner_pid, info.stage,
                       info.rows_total > 0 ? info.rows_done * 100 / info.rows_total : 0);
        draw(d, what);
    }
    if (step_end_change(d, "create index, its runner killed", rc) != 0) {
        return -1;
    }
    if (finisher == 0) {
        return wrong("no other process was seen to go on with the build");
    }
    printf("process %" PRIu32 " finished the build that process %d had begun\n", finisher,
           (int)killed);
    return 0;
}

int step_drop(struct director *d)
{
    instar_change_info info;
    uint64_t change = 0;
    int rc;

    step_begin(d);
    rc = instar_drop_index(d->db, "entries_killed", NULL, &change);
    rc = rc ? rc : follow(d, change, &info);
    if (rc != INSTAR_OK) {
        return wrong_call("dropping the index", rc);
    }
    step_end(d, "drop index");
    return 0;
}
