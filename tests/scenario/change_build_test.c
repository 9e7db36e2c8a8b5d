/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index builds while others write. The process that runs the change is held where it matters; this
 * one writes meanwhile. Each ends with the checker, and scan by table = scan by index.
 */
#include "support/sqls.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* t_b is built over that many rows of t(a, b), b = a + 10, and is held at the point for the first
 * time. */
static instar *hold_build(struct scene_held *s, const char *point, int64_t rows, bool unique,
                          const instar_change_options *options)
{
    scene_hold(s, point, 1);
    dbs_make_table(s->db, "t");
    scene_fill(s->db, "t", 1, rows + 1, scene_plus_10);
    s->change = dbs_submit_index(s->db, "t_b", "t", "b", unique, options);
    test_hold_await(&s->hold);
    return s->db;
}

/* ---- writes that race with the scan ------------------------------------------------------- */

/* B2: rows that change after the build has taken its snapshot are found by their new keys, and not
 * by the old ones. */
Test(change_build, rows_updated_behind_the_snapshot)
{
    struct scene_held s;
    struct test_random r = test_random(1);
    bool moved[101] = {false};

    instar *db = hold_build(&s, "build.snapshot", 100, false, NULL);
    for (int i = 0; i < 10; i++) {
        int64_t a = 1 + (int64_t)test_random_below(&r, 100);
        moved[a] = true;
        ok(dbs_update(db, "t", a, a + 200));
    }
    test_hold_release(&s.hold);
    scene_await(db, s.change, INSTAR_OK, NULL);
    const char *found = dbs_dump(db, "t", "t_b");
    for (int64_t a = 1; a <= 100; a++) {
        char text[48];
        snprintf(text, sizeof(text), "%" PRId64 ":%" PRId64 " ", a, moved[a] ? a + 200 : a + 10);
        expect(strstr(found, text) != NULL);
        snprintf(text, sizeof(text), "%" PRId64 ":%" PRId64 " ", a, moved[a] ? a + 10 : a + 200);
        expect(strstr(found, text) == NULL || text[0] != found[0]);
    }
    scene_held_end(&s);
}

/* Inserts, updates and deletes at every point of a build, of rows that the scan has or has not
 * passed, and of rows that come and go: the index is exact. */
Test(change_build, writes_at_each_point)
{
    static const char *const points[] = {"change.delete_only", "change.cut",      "build.snapshot",
                                         "build.scanned",      "build.loaded",    "build.folded",
                                         "change.fold_end",    "change.validated"};

    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        struct scene_held s;
        test_remove(dbs_path());
        instar *db = hold_build(&s, points[i], 39, true, NULL);
        ok(dbs_insert(db, "t", 100, 1000));
        ok(dbs_update(db, "t", 5, 500));
        ok(dbs_update(db, "t", 5, 501));
        ok(dbs_delete(db, "t", 7));
        ok(dbs_delete(db, "t", 8));
        ok(dbs_insert(db, "t", 8, 800));
        ok(dbs_insert(db, "t", 101, 17)); /* the value that row 7 had */
        ok(dbs_insert(db, "t", 102, 1));
        ok(dbs_delete(db, "t", 102));
        test_hold_release(&s.hold);
        scene_await(db, s.change, INSTAR_OK, NULL);
        scene_held_end(&s);
    }
}

struct rewrite {
    instar_projection *p;
    int64_t a, b;
};

/* A row of some kilobytes, so that the log moves on. */
static int rewrite_row(instar_txn *txn, void *arg)
{
    static char text[8000];
    const struct rewrite *w = arg;
    const instar_value key = {.type = INSTAR_INT8, .i = w->a};
    const instar_value row[3] = {{.type = INSTAR_INT8, .i = w->a},
                                 {.type = INSTAR_INT8, .i = w->b},
                                 {.type = INSTAR_TEXT, .bytes = {text, sizeof(text)}}};

    memset(text, 'x', sizeof(text));
    return instar_update(txn, w->p, &key, row);
}

static void rewrite_all(instar *db, int64_t rows, int64_t round)
{
    const char *columns[] = {"a", "b", "c"};
    struct rewrite w = {.a = 1};

    ok(instar_projection_prepare(db, "t", columns, 3, NULL, &w.p));
    for (; w.a <= rows; w.a++) {
        w.b = w.a + 1000 * round;
        ok(instar_run(db, INSTAR_TXN_ASYNC, rewrite_row, &w));
    }
    instar_projection_free(w.p);
}

/* B3: the one who builds stands still with its snapshot, which all others leave behind: every row
 * is rewritten over and over, the log of then is applied and gone. When it goes on, what it has
 * read is old in every row; the index is exact. And when it is killed instead, the next one, with a
 * snapshot of its own, makes the same index. */
Test(change_build, snapshot_that_all_others_leave_behind)
{
    for (int killed = 0; killed <= 1; killed++) {
        struct test_child runner, next;
        struct test_hold hold;
        instar_stats stats = {.struct_size = sizeof(stats)};
        test_remove(dbs_path());
        test_hold_set(&hold, "build.snapshot", 1);
        scene_runner(&runner);
        instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
        dbs_make_table(db, "t");
        scene_fill(db, "t", 1, 101, scene_plus_10);
        uint64_t change = dbs_submit_index(db, "t_b", "t", "b", true, NULL);
        test_hold_await(&hold);
        ok(instar_stat(db, &stats));
        uint64_t then = stats.log_durable;
        for (int64_t round = 1; stats.log_applied < then + ((uint64_t)8 << 20); round++) {
            rewrite_all(db, 100, round);
            ok(instar_stat(db, &stats));
        }
        ok(dbs_delete(db, "t", 50));
        if (killed != 0) {
            test_kill(&runner, SIGKILL);
            test_hold_end(&hold);
            ok(instar_close(db));
            scene_runner(&next);
            db = dbs_open(INSTAR_OPEN_NO_RUNNER);
        } else {
            test_hold_release(&hold);
        }
        scene_await(db, change, INSTAR_OK, NULL);
        expect(strstr(dbs_dump(db, "t", "t_b"), ":11 ") == NULL);
        dbs_end(db);
        scene_runner_end(killed != 0 ? &next : &runner);
        if (killed == 0) {
            test_hold_end(&hold);
        }
    }
}

/* K8: a new row inside the range that is being built is no conflict for anybody, and neither is
 * another table. */
Test(change_build, inserts_into_the_range_being_built_do_not_conflict)
{
    struct scene_held s;
    instar_txn *txn;
    instar_projection *p;
    instar_stats before = {.struct_size = sizeof(before)};
    instar_stats after = {.struct_size = sizeof(after)};
    const char *columns[] = {"a", "b"};
    instar_value row[2] = {{.type = INSTAR_INT8, .i = 50}, {.type = INSTAR_INT8, .i = 1}};

    scene_hold(&s, "build.snapshot", 1);
    instar *db = s.db;
    dbs_make_table(db, "t");
    dbs_make_table(db, "other");
    scene_fill(db, "t", 1, 50, scene_plus_10);
    scene_fill(db, "t", 51, 100, scene_plus_10);
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b", false, NULL);
    test_hold_await(&s.hold);
    ok(instar_stat(db, &before));
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &p));
    ok(instar_begin(db, 0, &txn));
    ok(instar_insert(txn, p, row));
    ok(instar_commit(txn));
    ok(dbs_insert(db, "other", 1, 1));
    test_hold_release(&s.hold);
    scene_await(db, change, INSTAR_OK, NULL);
    ok(instar_stat(db, &after));
    expect_u64(after.conflicts - before.conflicts, 0);
    instar_projection_free(p);
    scene_held_end(&s);
}

/* ---- transactions from before ------------------------------------------------------------- */

/* A transaction that has inserted a row and not committed yet. */
struct open_insert {
    instar_txn *txn;
    instar_projection *p;
};

static void begin_insert(struct open_insert *o, instar *db, int64_t a, int64_t b)
{
    const char *columns[] = {"a", "b"};
    instar_value row[2] = {{.type = INSTAR_INT8, .i = a}, {.type = INSTAR_INT8, .i = b}};

    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &o->p));
    ok(instar_begin(db, 0, &o->txn));
    ok(instar_insert(o->txn, o->p, row));
}

/* B4: a transaction from before write-only holds up the cut; the change says who it is. It commits,
 * and its row has its entry. */
Test(change_build, transaction_from_before_write_only_commits)
{
    struct scene_held s;
    struct open_insert o;
    instar_change_info info;
    char self[32];

    instar *db = hold_build(&s, "change.delete_only", 19, false, NULL);
    begin_insert(&o, db, 500, 5000);
    test_hold_release(&s.hold);
    scene_await_waiting(db, s.change, "write-only", &info);
    snprintf(self, sizeof(self), "process %d,", (int)getpid());
    expect(strstr(info.waiting_for, self) != NULL);
    expect(strstr(info.waiting_for, "transaction open for") != NULL);
    expect(strstr(info.waiting_for, "lease ends in") != NULL);
    ok(instar_commit(o.txn));
    scene_await(db, s.change, INSTAR_OK, NULL);
    expect(strstr(dbs_dump(db, "t", "t_b"), "500:5000 ") != NULL);
    dbs_check_clean(db);
    instar_projection_free(o.p);
    scene_held_close(&s);
}

/* B4 with a deadline: the transaction is fenced, its commit refused with the retryable error, and
 * nothing of it is written. */
Test(change_build, transaction_from_before_write_only_is_fenced)
{
    struct scene_held s;
    struct open_insert o;
    instar_change_options options = scene_options(100);

    instar *db = hold_build(&s, "change.delete_only", 19, false, &options);
    begin_insert(&o, db, 500, 5000);
    test_hold_release(&s.hold);
    scene_await(db, s.change, INSTAR_OK, NULL);
    fails(instar_commit(o.txn), INSTAR_ESCHEMA_CHANGED);
    expect(strstr(dbs_dump(db, "t", "t_b"), "500:") == NULL);
    expect(strstr(dbs_dump(db, "t", NULL), "500:") == NULL);
    dbs_check_clean(db);
    instar_projection_free(o.p);
    scene_held_close(&s);
}

/* ---- unique ------------------------------------------------------------------------------- */

/* B5: rows 1, 2, 3, … go in through a whole unique build. Meeting the entry that a writer has
 * already made is no duplicate. */
Test(change_build, unique_build_under_inserts)
{
    struct test_child runner;
    instar_change_info info;
    int64_t next = 20000;

    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, next, scene_scattered);
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b", true, NULL);
    do {
        ok(dbs_insert(db, "t", next, scene_scattered(next)));
        next++;
        info = scene_look(db, change);
    } while (info.state == INSTAR_CHANGE_RUNNING);
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.duplicate_count, 0);
    expect(info.rows_done >= 19999);
    fails(dbs_insert(db, "t", 1000000, scene_scattered(7)), INSTAR_EUNIQUE);
    dbs_end(db);
    scene_runner_end(&runner);
}

static int64_t all_but_two(int64_t i)
{
    return i == 123 || i == 59000 ? -1 : scene_scattered(i) | 1;
}

static int64_t many_pairs(int64_t i)
{
    return i / 2 + (i > 60 ? i : 0);
}

/* T5: equal values far apart, in the ranges of different workers: the change fails, names the value
 * and both rows, keeps them, and leaves nothing behind. */
Test(change_build, duplicates_far_apart)
{
    instar_change_info info;
    instar_change_options options = scene_options(30000);
    instar *db = dbs_open(0);

    options.workers = 3;
    dbs_make_table(db, "t");
    scene_fill(db, "t", 0, 60000, all_but_two);
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b", true, &options);
    scene_await(db, change, INSTAR_EFAILED, &info);
    expect(info.state == INSTAR_CHANGE_FAILED && info.error == INSTAR_EUNIQUE);
    expect_u64(info.duplicate_count, 1);
    expect(strstr(info.reason, "(b=-1) of row (a=123), row (a=59000)") != NULL);
    const char *rows = dbs_dump(db, "t", NULL);
    expect(strstr(rows, "123:-1 ") != NULL && strstr(rows, "59000:-1 ") != NULL);
    dbs_check_clean(db);
    /* Repaired, it goes through. */
    ok(dbs_update(db, "t", 59000, -2));
    ok(dbs_index(db, "t_b", "t", "b", true, NULL));
    dbs_end(db);
}

/* At most ten keys are named, and the total is right. Nulls are no duplicates. */
Test(change_build, many_duplicates_are_counted)
{
    instar_change_info info;
    instar *db = dbs_open(0);
    const char *columns[] = {"a"};
    instar_projection *p;
    size_t named = 0;

    dbs_make_table(db, "t");
    scene_fill(db, "t", 0, 200, many_pairs);
    ok(instar_projection_prepare(db, "t", columns, 1, NULL, &p));
    for (int64_t a = 900; a < 903; a++) {
        instar_txn *txn;
        instar_value key = {.type = INSTAR_INT8, .i = a};
        ok(instar_begin(db, 0, &txn));
        ok(instar_insert(txn, p, &key)); /* b is null */
        ok(instar_commit(txn));
    }
    fails(dbs_index(db, "t_b", "t", "b", true, &info), INSTAR_EFAILED);
    expect_u64(info.duplicate_count, 30);
    for (const char *at = info.reason; (at = strstr(at, "(b=")) != NULL; at++) {
        named++;
    }
    expect_u64(named, 10);
    expect(strstr(info.reason, "(b=0) of row (a=0), row (a=1)") != NULL);
    expect(strstr(info.reason, "30 keys occur more than once") != NULL);
    instar_projection_free(p);
    dbs_end(db);
}

/* ---- limits ------------------------------------------------------------------------------- */

static int insert_text(instar_txn *txn, void *arg)
{
    static char text[600];
    const instar_value row[2] = {{.type = INSTAR_INT8, .i = 77},
                                 {.type = INSTAR_TEXT, .bytes = {text, sizeof(text)}}};

    memset(text, 'x', sizeof(text));
    return instar_insert(txn, arg, row);
}

/* A row whose entry would be longer than a key may be: the change fails, names index and row, and
 * reverts. */
Test(change_build, key_over_the_limit)
{
    instar_change_info info;
    const char *columns[] = {"a", "c"};
    instar_projection *p;
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 50, scene_plus_10);
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &p));
    ok(instar_run(db, 0, insert_text, p));
    fails(dbs_index(db, "t_c", "t", "c", false, &info), INSTAR_EFAILED);
    expect(info.error == INSTAR_ELIMIT);
    expect(strstr(info.reason, "t_c") != NULL && strstr(info.reason, "(a=77)") != NULL);
    dbs_check_clean(db);
    instar_projection_free(p);
    ok(instar_close(db));
}

/* The same for a row whose primary key would be, in the tree that takes over. */
Test(change_build, new_key_over_the_limit)
{
    const char *columns[] = {"a", "c"};
    instar_projection *p;
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &p));
    ok(instar_run(db, 0, insert_text, p));
    fails(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (c)"),
          INSTAR_EFAILED);
    expect(sqls_say("bytes") && sqls_say("(a=77)"));
    dbs_check_clean(db);
    instar_projection_free(p);
    ok(instar_close(db));
}

/* K11: many times more entries than the sort memory holds go through runs in files, which are
 * merged; nothing of them is left. INSTAR_BUILD_ROWS is how many rows; the memory is as much of 64
 * MiB as they are of 10^7. */
Test(change_build, more_than_the_memory, .timeout = 3600)
{
    uint64_t rows = test_env_u64("INSTAR_BUILD_ROWS", 160000);
    uint64_t memory = ((uint64_t)64 << 20) * rows / 10000000;
    instar_change_info info;
    instar_change_options options = scene_options(30000);
    instar *db = dbs_open(0);

    options.sort_memory_bytes = memory > 1 << 20 ? memory : 1 << 20;
    options.workers = 2;
    dbs_make_table(db, "t");
    scene_fill(db, "t", 0, (int64_t)rows, scene_scattered);
    test_points_count(true);
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b,a desc", true, &options);
    int rc = instar_change_wait(db, change, 1800000, &info);
    cr_assert_eq(rc, INSTAR_OK, "%s", info.reason);
    expect(test_point_hits("build.spilled") >= 3);
    fprintf(stderr, "%" PRIu64 " rows, %" PRIu64 " bytes to sort them in, spilled %d times\n", rows,
            options.sort_memory_bytes, (int)test_point_hits("build.spilled"));
    test_points_count(false);
    expect_u64(info.rows_done, rows);
    dbs_end(db);
}

#define WIDE_ROWS 24000
#define WIDE_BYTES 1000
#define AT_ONCE 100 /* in one transaction */

static int insert_wide(instar_txn *txn, void *arg)
{
    static char text[WIDE_BYTES];
    const int64_t *from = ((void **)arg)[1];

    memset(text, 'x', sizeof(text));
    for (int64_t a = *from; a < *from + AT_ONCE; a++) {
        int rc = scene_insert(txn, ((void **)arg)[0], a, text, sizeof(text));
        if (rc != INSTAR_OK) {
            return rc;
        }
    }
    return INSTAR_OK;
}

/* Rows so wide that an index that includes all of them takes many runs of a MiB. */
static instar *open_with_wide_rows(void)
{
    const char *columns[] = {"a", "b", "c"};
    instar_projection *p;
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(instar_projection_prepare(db, "t", columns, 3, NULL, &p));
    for (int64_t from = 0; from < WIDE_ROWS; from += AT_ONCE) {
        void *arg[2] = {p, &from};
        ok(instar_run(db, INSTAR_TXN_ASYNC, insert_wide, arg));
    }
    instar_projection_free(p);
    return db;
}

static uint64_t submit_wide(instar *db)
{
    static const char *const include[] = {"c"};
    instar_change_options options = scene_options(30000);
    const instar_key_column part = {.name = "b"};
    const instar_index_def def = {.name = "t_b",
                                  .table = "t",
                                  .columns = &part,
                                  .column_count = 1,
                                  .include = include,
                                  .include_count = 1};
    uint64_t change;

    options.sort_memory_bytes = 1 << 20;
    ok(instar_create_index(db, &def, &options, &change));
    return change;
}

/* More runs than are merged at once become longer ones first. */
Test(change_build, runs_of_runs)
{
    instar_change_info info;
    instar *db = open_with_wide_rows();

    test_points_count(true);
    uint64_t change = submit_wide(db);
    scene_await(db, change, INSTAR_OK, &info);
    expect(test_point_hits("build.spilled") > 16);
    test_points_count(false);
    expect_u64(info.rows_done, WIDE_ROWS);
    dbs_end(db);
}

static void remove_runs(void *arg, const char *point)
{
    char path[512];

    if (strcmp(point, "build.scanned") == 0) {
        (void)snprintf(path, sizeof(path), "%s/spill", dbs_path());
        *(bool *)arg = true;
        test_remove(path);
    }
}

static void overwrite_runs(void *arg, const char *point)
{
    const struct dirent *entry;
    char path[512];

    if (strcmp(point, "build.scanned") != 0) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/spill", dbs_path());
    DIR *runs = opendir(path);
    expect(runs != NULL);
    while ((entry = readdir(runs)) != NULL) {
        if (strncmp(entry->d_name, "run-", 4) == 0) {
            (void)snprintf(path, sizeof(path), "%s/spill/%.64s", dbs_path(), entry->d_name);
            FILE *run = fopen(path, "r+");
            expect(run != NULL && fputs("something else", run) >= 0 && fclose(run) == 0);
            *(bool *)arg = true;
        }
    }
    expect(closedir(runs) == 0);
}

static void lose_runs(void (*lose)(void *arg, const char *point))
{
    bool lost = false;
    const struct test_listener listener = {.point = lose, .arg = &lost};
    instar_change_info info;
    instar *db = open_with_wide_rows();

    test_listener_set(&listener);
    scene_await(db, submit_wide(db), INSTAR_EFAILED, &info);
    test_listener_set(NULL);
    expect(lost);
    cr_assert_eq(info.error, INSTAR_ECORRUPT, "%s", info.reason);
    cr_assert(strstr(info.reason, "a sorted run of the index build is gone") != NULL, "%s",
              info.reason);
    dbs_end(db);
    db = dbs_open(0);
    scene_await(db, submit_wide(db), INSTAR_OK, NULL);
    dbs_end(db);
}

/* Somebody has removed the runs between their writing and their reading, or written other things
 * there: the change fails, names the index, and can be made once more. */
Test(change_build, runs_that_are_gone)
{
    lose_runs(remove_runs);
}

Test(change_build, runs_that_are_other_files)
{
    lose_runs(overwrite_runs);
}

/* K12: a full disk while runs are written: the change fails with the reason, and the store goes on.
 */
Test(change_build, disk_full_in_mid_build)
{
    instar_change_info info;
    instar_change_options options = scene_options(30000);
    instar *db = dbs_open(0);

    options.sort_memory_bytes = 1 << 20;
    dbs_make_table(db, "t");
    scene_fill(db, "t", 0, 60000, scene_scattered);
    test_fault_set(&(struct test_fault){
        .op = OS_OP_WRITE, .path = "/spill/", .nth = 2, .error = 28 /* ENOSPC */, .sticky = true});
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b", false, &options);
    scene_await(db, change, INSTAR_EFAILED, &info);
    expect(info.error == INSTAR_ENOSPACE);
    ok(dbs_insert(db, "t", 1000000, 1));
    test_fault_set(NULL);
    dbs_check_clean(db);
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    dbs_end(db);
}

/* An empty table, one row, and two columns of either direction with nulls. */
Test(change_build, small_tables)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(dbs_index(db, "empty", "t", "b", true, NULL));
    ok(dbs_insert(db, "t", 1, 5));
    ok(dbs_index(db, "one", "t", "b desc,c", false, NULL));
    ok(dbs_insert(db, "t", 2, 4));
    cr_assert_str_eq(dbs_dump(db, "t", "one"), "1:5 2:4 ");
    cr_assert_str_eq(dbs_dump(db, "t", "empty"), "2:4 1:5 ");
    dbs_end(db);
}
