/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power is cut while a backup is written, while a store is restored, and while what nothing
 * needs any more is overwritten: whatever is left is either refused as not finished, or whole; and
 * what was promised is whole.
 */
#include "support/dbs.h"
#include "support/powercut.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ROWS 60
#define STATES 1200

static const char *root(void)
{
    return test_path("root");
}

/* All rows are there, and the checker agrees. */
static bool is_whole(const char *path, char *text, size_t size)
{
    instar *db = NULL;
    instar_check_summary sum = {0};
    int rc = instar_open(path, NULL, &db);
    rc = rc == INSTAR_OK ? instar_check(db, NULL, NULL, &sum) : rc;
    bool whole = rc == INSTAR_OK && sum.rows == ROWS && sum.entries == ROWS;
    if (!whole) {
        (void)snprintf(text, size, "%llu rows: %s", (unsigned long long)sum.rows,
                       instar_error_text());
    }
    if (db != NULL && instar_close(db) != INSTAR_OK) {
        return false;
    }
    return whole;
}

static bool look_at_backup(void *arg, const struct powercut_state *state, char *text, size_t size)
{
    char from[600], to[600];
    (void)arg;
    (void)snprintf(from, sizeof(from), "%s/backup", state->path);
    (void)snprintf(to, sizeof(to), "%s/restored", state->path);
    int rc = instar_restore(from, to, NULL);
    if (rc == INSTAR_ENOSTORE && state->durable == 0) {
        return true;
    }
    if (rc != INSTAR_OK) {
        (void)snprintf(text, size, "the backup is refused: %s", instar_error_text());
        return false;
    }
    return is_whole(to, text, size);
}

static bool look_at_store(void *arg, const struct powercut_state *state, char *text, size_t size)
{
    char path[600];
    instar *db = NULL;
    (void)arg;
    (void)snprintf(path, sizeof(path), "%s/store", state->path);
    int rc = instar_open(path, NULL, &db);
    if (rc == INSTAR_ENOSTORE && state->durable == 0) {
        return true;
    }
    if (rc != INSTAR_OK || instar_close(db) != INSTAR_OK) {
        (void)snprintf(text, size, "the store is refused: %s", instar_error_text());
        return false;
    }
    return is_whole(path, text, size);
}

static instar *filled(void)
{
    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    for (int64_t i = 1; i <= ROWS; i++) {
        ok(dbs_insert(db, "t", i, i));
    }
    return db;
}

static void cut(struct trace *t, const char *what,
                bool (*look)(void *arg, const struct powercut_state *state, char *text,
                             size_t text_size))
{
    struct powercut_result result;
    struct powercut job = {.trace = t,
                           .path = test_path("state"),
                           .wanted = test_env_u64("INSTAR_POWERCUT_STATES", STATES),
                           .look = look};
    powercut_run(&job, &result);
    powercut_print(what, &result);
    trace_free(t);
    cr_assert_eq(result.bad, 0, "%s", result.text);
    cr_assert_gt(result.cuts, 3);
}

Test(powercut_backup, backup)
{
    char to[600];
    instar *db = filled();
    expect(mkdir(root(), 0700) == 0);
    (void)snprintf(to, sizeof(to), "%s/backup", root());
    struct trace *t = trace_start(root());
    ok(instar_backup(db, to, NULL, NULL));
    trace_mark(t, POWERCUT_DURABLE, 1);
    trace_stop();
    ok(instar_close(db));
    cut(t, "backup", look_at_backup);
}

/* Into root()/store, from a backup; the trace goes on. */
static struct trace *restored(instar *db, char to[600])
{
    char from[600];
    (void)snprintf(from, sizeof(from), "%s/backup", test_dir());
    ok(instar_backup(db, from, NULL, NULL));
    ok(instar_close(db));
    expect(mkdir(root(), 0700) == 0);
    (void)snprintf(to, 600, "%s/store", root());
    struct trace *t = trace_start(root());
    ok(instar_restore(from, to, NULL));
    trace_mark(t, POWERCUT_DURABLE, 1);
    return t;
}

Test(powercut_backup, restore)
{
    char to[600];
    struct trace *t = restored(filled(), to);
    trace_stop();
    cut(t, "restore", look_at_store);
}

/* Of rows that were deleted, some before the trees were copied and some behind. */
Test(powercut_backup, overwrite)
{
    char to[600];
    uint64_t bytes;
    instar *db = filled();
    for (int64_t i = ROWS + 1; i <= 2 * ROWS; i++) {
        ok(dbs_insert(db, "t", i, i));
    }
    for (int64_t i = ROWS + 1; i <= 2 * ROWS; i++) {
        ok(dbs_delete(db, "t", i));
    }
    struct trace *t = restored(db, to);
    ok(instar_overwrite(to, &bytes));
    expect(bytes > 0);
    trace_mark(t, POWERCUT_DURABLE, 2);
    trace_stop();
    cut(t, "overwrite", look_at_store);
}
