/* SPDX-License-Identifier: Apache-2.0 */
/* Vacuum rewrites rows of older layouts into the newest one, beside writers, and lets the old ones
 * go. */
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

#define ROWS 5000
#define NS_PER_MS UINT64_C(1000000)

static int vacuum(instar *db, const char *table, instar_change_info *info)
{
    uint64_t id;
    int rc = instar_vacuum(db, table, NULL, &id);

    return rc != 0 ? rc : instar_change_wait(db, id, TEST_AWAIT_S * 1000, info);
}

static uint64_t submit(instar *db, uint32_t flags, uint64_t rate)
{
    instar_change_options o = scene_options(30000);
    uint64_t id;

    o.flags = flags;
    o.rows_per_second_max = rate;
    ok(instar_vacuum(db, "t", &o, &id));
    expect(id != 0);
    return id;
}

/* Nothing to do any more: all rows are of the newest layout. */
static void expect_vacuumed(instar *db, const char *table)
{
    uint64_t id = 1;

    ok(instar_vacuum(db, table, NULL, &id));
    expect_u64(id, 0);
}

/* t with `rows` rows of two older layouts, an index, and rows of the newest one among them. */
static instar *open_t(uint32_t flags, int64_t rows)
{
    instar *db = dbs_open(flags);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, rows / 2, scene_scattered);
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(alters_run(db, "t", "add d int8 not-null default 5 , add e text default word"));
    scene_fill(db, "t", rows / 2, rows + 1, scene_scattered);
    ok(alters_run(db, "t", "drop e , set-default d 6"));
    ok(alters_run(db, "t", "set-type d text"));
    return db;
}

static instar *begin(struct test_child *runner, int64_t rows)
{
    scene_runner(runner);
    return open_t(INSTAR_OPEN_NO_RUNNER, rows);
}

static void end(instar *db, struct test_child *runner)
{
    dbs_end_sound(db);
    scene_runner_end(runner);
}

/* Rows read the same before and after; a second vacuum has nothing to do, nor has one of a table
 * that was never altered. */
Test(vacuum, rewrites_what_is_old)
{
    static char before[1 << 20];
    instar *db = open_t(0, 700);
    instar_change_info info;

    ok(alters_update(db, "t", "d", 7, "seven"));
    snprintf(before, sizeof(before), "%s", alters_rows(db, "t", NULL));
    ok(vacuum(db, "t", &info));
    cr_assert_str_eq(info.kind, "vacuum");
    expect_u64(info.rows_done, 700);
    cr_assert_str_eq(alters_rows(db, "t", NULL), before);
    expect_vacuumed(db, "t");
    dbs_check_sound(db);
    ok(dbs_insert(db, "t", 701, 1));
    ok(alters_update(db, "t", "d", 700, "x"));
    ok(alters_run(db, "t", "add f int8 default 3"));
    ok(vacuum(db, "t", NULL));
    dbs_check_sound(db);
    dbs_make_table(db, "u");
    expect_vacuumed(db, "u");
    fails(vacuum(db, "none", NULL), INSTAR_EUNKNOWN);
    ok(instar_close(db));
    db = dbs_open(0);
    dbs_check_sound(db);
    expect_vacuumed(db, "t");
    ok(instar_close(db));
}

/* Casts are done in the order of the layouts: a value that lost its fraction on the way does not
 * get it back, whether it was vacuumed in between or not. */
Test(vacuum, materialises_in_the_order_of_the_layouts)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "CREATE TABLE t (a int8 PRIMARY KEY, f float8)"));
    ok(alters_insert(db, "t", NULL, "1,1.5"));
    ok(sqls_run(db, "ALTER TABLE t ALTER f TYPE int4"));
    ok(alters_insert(db, "t", NULL, "2,7"));
    ok(sqls_run(db, "ALTER TABLE t ALTER f TYPE float8"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,2;2,7");
    ok(vacuum(db, "t", NULL));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,2;2,7");
    ok(sqls_run(db, "ALTER TABLE t ALTER f TYPE text USING f::text || '!'"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,2!;2,7!");
    ok(vacuum(db, "t", NULL));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,2!;2,7!");
    dbs_end_sound(db);
}

/* One that is not there is left as it is, where that was asked for. */
Test(vacuum, table_that_is_not_there)
{
    instar_change_options o = scene_options(30000);
    uint64_t id = 1;
    instar *db = dbs_open(0);

    fails(instar_vacuum(db, "t", &o, &id), INSTAR_EUNKNOWN);
    o.flags = INSTAR_CHANGE_IF_EXISTS;
    id = 1;
    ok(instar_vacuum(db, "t", &o, &id));
    expect_u64(id, 0);
    ok(instar_close(db));
}

/* Rows that are of the newest layout already, more than one batch looks at, stand before those that
 * are not. */
Test(vacuum, rows_that_need_nothing)
{
    instar_change_info info;
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 10001, 10011, scene_plus_10);
    ok(alters_run(db, "t", "add d int8"));
    scene_fill(db, "t", 1, ROWS, scene_plus_10);
    ok(vacuum(db, "t", &info));
    expect_u64(info.rows_done, ROWS - 1 + 10);
    expect_vacuumed(db, "t");
    dbs_end_sound(db);
}

/* Rows of which few fill a transaction are rewritten in several. */
Test(vacuum, rewrites_large_rows)
{
    static char word[12000];
    instar_value values[] = {{.type = INSTAR_INT8},
                             {.type = INSTAR_INT8, .i = 5},
                             {.type = INSTAR_TEXT, .bytes = {word, sizeof(word)}}};
    instar *db = dbs_open(0);
    instar_change_info info;
    instar_projection *p;
    instar_txn *txn;

    struct test_random chance = test_random(1);
    for (size_t i = 0; i < sizeof(word); i++) { /* not to be compressed */
        word[i] = (char)(' ' + test_random_below(&chance, 90));
    }
    dbs_make_table(db, "t");
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &p));
    for (int i = 0; i < 20; i++) {
        values[0].i = i;
        ok(instar_begin(db, 0, &txn));
        ok(instar_insert(txn, p, values));
        ok(instar_commit(txn));
    }
    instar_projection_free(p);
    ok(alters_run(db, "t", "drop b"));
    ok(vacuum(db, "t", &info));
    expect_u64(info.rows_done, 20);
    expect_vacuumed(db, "t");
    dbs_end_sound(db);
}

/* The limit of a table's layouts counts from the last vacuum on. */
Test(vacuum, lets_old_layouts_go)
{
    instar *db = dbs_open(0);
    int rc = INSTAR_OK;

    dbs_make_table(db, "t");
    ok(dbs_insert(db, "t", 1, 11));
    for (int i = 0; i < 1200 && rc == INSTAR_OK; i++) {
        rc = alters_run(db, "t", i % 2 == 0 ? "set-type b int4" : "set-type b int8");
    }
    expect_u64((uint64_t)-rc, (uint64_t)-INSTAR_ELIMIT);
    expect(says("vacuumed"));
    ok(vacuum(db, "t", NULL));
    ok(alters_run(db, "t", "set-type b text"));
    cr_assert_str_eq(alters_rows(db, "t", "a,b"), "1,11");
    dbs_end_sound(db);
}

/* A kept column is rewritten with the rest, and can come back afterwards; when it is purged, the
 * next vacuum takes its bytes. */
Test(vacuum, keeps_what_can_be_undone)
{
    instar *db = dbs_open(0);
    instar_change_options o = scene_options(30000);
    uint64_t change, id;

    dbs_make_table(db, "t");
    ok(alters_insert(db, "t", NULL, "1,11,x"));
    ok(alters_run(db, "t", "add d int8 default 4"));
    o.undo_window_s = 3600;
    ok(alters_submit(db, "t", "drop b", &o, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    ok(vacuum(db, "t", NULL));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,x,4");
    ok(instar_change_undo(db, change, NULL, NULL, &id));
    scene_await(db, id, INSTAR_OK, NULL);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,11,x,4");
    dbs_end_sound(db);
}

/* A reader whose snapshot is older than the vacuum sees what it saw; one that begins while it runs,
 * too. Transactions of the version before it commit. */
Test(vacuum, beside_open_transactions)
{
    struct test_child runner;
    struct test_hold hold;
    instar_txn *reader, *writer;

    test_hold_set(&hold, "change.rewritten", 1);
    instar *db = begin(&runner, 600);
    instar_projection *p = alters_projection(db, "t", "a,d");
    instar_projection *ab = alters_projection(db, "t", "a,b");
    ok(instar_begin(db, INSTAR_TXN_READONLY, &reader));
    static char seen[1 << 16];
    snprintf(seen, sizeof(seen), "%s", alters_rows_in(reader, p));
    uint64_t change = submit(db, 0, 0);
    test_hold_await(&hold);
    cr_assert_str_eq(alters_rows_in(reader, p), seen);
    ok(instar_begin(db, 0, &writer));
    ok(alters_insert_in(writer, ab, "1000,1"));
    test_hold_release(&hold);
    scene_await(db, change, INSTAR_OK, NULL);
    ok(alters_insert_in(writer, ab, "1001,2"));
    ok(instar_commit(writer));
    cr_assert_str_eq(alters_rows_in(reader, p), seen);
    instar_abort(reader);
    cr_assert_str_eq(
        sqls_scan(db, "t", "a,b,d", "t_b",
                  &(instar_range){.lower = &(instar_value){.type = INSTAR_INT8, .i = 1},
                                  .lower_count = 1,
                                  .upper = &(instar_value){.type = INSTAR_INT8, .i = 2},
                                  .upper_count = 1}),
        "1000,1,6;1001,2,6");
    instar_projection_free(p);
    instar_projection_free(ab);
    end(db, &runner);
    test_hold_end(&hold);
}

/* A transaction of an older version may still write its layout: the pass begins when it has ended,
 * and finds its rows. */
Test(vacuum, waits_for_writers_of_older_layouts)
{
    struct test_child runner;
    instar_change_info info;
    instar_txn *old;

    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 100, scene_plus_10);
    instar_projection *ab = alters_projection(db, "t", "a,b");
    ok(instar_begin(db, 0, &old));
    ok(alters_insert_in(old, ab, "-1,1"));
    ok(alters_run(db, "t", "add d int8 default 5"));
    uint64_t change = submit(db, 0, 0);
    scene_await_waiting(db, change, "drain", &info);
    ok(instar_commit(old));
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.rows_done, 100);
    instar_value first = {.type = INSTAR_INT8, .i = 2};
    instar_range range = {.upper = &first, .upper_count = 1, .upper_exclusive = true};
    cr_assert_str_eq(sqls_scan(db, "t", "a,b,d", NULL, &range), "-1,1,5;1,11,5");
    instar_projection_free(ab);
    end(db, &runner);
}

/* Rows that users write, delete and insert while the pass has read them and not yet written them: a
 * batch that lost a race is tried again, and never brings an old value back. */
Test(vacuum, rows_written_meanwhile)
{
    struct test_child runner;
    struct test_hold hold;
    instar_change_info info;

    for (uint64_t nth = 1; nth <= 3; nth++) {
        test_hold_set(&hold, "vacuum.read", nth);
        instar *db = begin(&runner, ROWS);
        uint64_t change = submit(db, 0, 0);
        test_hold_await(&hold);
        for (int64_t i = 1; i < ROWS; i += 97) {
            ok(dbs_update(db, "t", i, -i));
        }
        for (int64_t i = 2; i < ROWS; i += 97) {
            ok(dbs_delete(db, "t", i));
        }
        ok(dbs_insert(db, "t", -5, 1));
        ok(dbs_insert(db, "t", ROWS + 5, 2));
        test_hold_release(&hold);
        scene_await(db, change, INSTAR_OK, &info);
        for (int64_t i = 1; i < ROWS; i += 97) {
            char wanted[64];
            instar_value key = {.type = INSTAR_INT8, .i = i};
            instar_range one = {.lower = &key, .lower_count = 1, .upper = &key, .upper_count = 1};
            snprintf(wanted, sizeof(wanted), "%lld,%lld,5", (long long)i, (long long)-i);
            cr_assert_str_eq(sqls_scan(db, "t", "a,b,d", NULL, &one), wanted);
            key.i = i + 1;
            cr_assert_str_eq(sqls_scan(db, "t", "a,b,d", NULL, &one), "");
        }
        expect_vacuumed(db, "t");
        dbs_check_sound(db);
        ok(scene_drop_table(db, "t"));
        end(db, &runner);
        test_hold_end(&hold);
    }
}

/* Paused it stands still without a snapshot, and goes on from where it was; its rate can be set. */
Test(vacuum, paused_and_retuned)
{
    struct test_child runner;
    instar_change_steering s;
    instar_change_info info;

    instar *db = begin(&runner, ROWS);
    uint64_t change = submit(db, INSTAR_CHANGE_PAUSE, 100);
    do {
        instar_change_wait(db, change, 5, &info);
    } while (strstr(info.waiting_for, "resume") == NULL);
    ok(scene_steer(db, change, 0, INSTAR_CHANGE_PAUSE));
    do {
        instar_change_wait(db, change, 5, &info);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (info.rows_done == 0 || strstr(info.throttle, "100 rows/s") == NULL);
    expect(info.rows_done < ROWS / 2);
    s.set_flags = INSTAR_CHANGE_PAUSE;
    s.clear_flags = 0;
    ok(instar_change_steer(db, change, &s));
    do {
        instar_change_wait(db, change, 5, &info);
    } while (strstr(info.waiting_for, "resume") == NULL);
    uint64_t done = scene_look(db, change).rows_done;
    fails(instar_change_wait(db, change, 120, &info), INSTAR_EBUSY);
    expect_u64(info.rows_done, done);
    ok(dbs_insert(db, "t", ROWS + 1, 1));
    instar_change_steering_init(&s);
    s.clear_flags = INSTAR_CHANGE_PAUSE;
    s.set_flags = INSTAR_CHANGE_HURRY;
    s.rows_per_second_max = 0;
    ok(instar_change_steer(db, change, &s));
    scene_await(db, change, INSTAR_OK, &info);
    expect(info.rows_done >= ROWS);
    expect_vacuumed(db, "t");
    end(db, &runner);
}

/* Each flush of this process takes a while. */
static void slow_sync(void *arg, const struct os_call *call)
{
    (void)arg;
    if (call->op == OS_OP_SYNC) {
        os_sleep_ns(8 * NS_PER_MS);
    }
}

/* While durable commits take longer than the target, the pass stands back further, and says so; it
 * does no more when there is none. */
Test(vacuum, latency_target)
{
    struct test_child runner;
    struct test_listener slow = {.before = slow_sync};
    instar_change_steering s;
    instar_change_info info;
    int64_t i = ROWS;

    scene_runner(&runner);
    test_listener_set(&slow);
    instar *db = open_t(INSTAR_OPEN_NO_RUNNER, ROWS);
    instar_change_options o = scene_options(30000);
    uint64_t change;
    o.rows_per_second_max = 1000;
    o.latency_target_ms = 60001;
    fails(instar_vacuum(db, "t", &o, &change), INSTAR_EINVALID);
    expect(says("latency_target_ms"));
    o.latency_target_ms = 2;
    ok(instar_vacuum(db, "t", &o, &change));
    do {
        ok(dbs_insert(db, "t", ++i, 1));
        info = scene_look(db, change);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (strstr(info.throttle, "the target is 2 ms") == NULL);
    expect(strncmp(info.throttle, "commits take ", 13) == 0);
    instar_change_steering_init(&s);
    s.latency_target_ms = 0;
    ok(instar_change_steer(db, change, &s));
    do {
        ok(dbs_insert(db, "t", ++i, 1));
        info = scene_look(db, change);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (strstr(info.throttle, "target") != NULL);
    s.rows_per_second_max = 0;
    ok(instar_change_steer(db, change, &s));
    scene_await(db, change, INSTAR_OK, NULL);
    expect_vacuumed(db, "t");
    end(db, &runner);
}

/* Cancelled it stops; the rows that it has rewritten stay so, and nothing is lost. So it is when
 * the table is dropped. */
Test(vacuum, cancelled)
{
    struct test_child runner;
    instar_change_info info;

    instar *db = begin(&runner, ROWS);
    uint64_t change = submit(db, 0, 1000);
    do {
        instar_change_wait(db, change, 5, &info);
    } while (info.rows_done == 0);
    ok(instar_change_cancel(db, change));
    scene_await(db, change, INSTAR_ECANCELLED, NULL);
    dbs_check_sound(db);
    ok(vacuum(db, "t", NULL));
    expect_vacuumed(db, "t");
    ok(alters_run(db, "t", "drop c"));
    change = submit(db, 0, 1000);
    do {
        instar_change_wait(db, change, 5, &info);
    } while (info.rows_done == 0);
    ok(scene_drop_table(db, "t"));
    scene_await(db, change, INSTAR_ECANCELLED, &info);
    end(db, &runner);
}

/* ---- death -------------------------------------------------------------------------------- */

static uint64_t submit_vacuum(instar *db, const void *arg)
{
    uint64_t id;

    (void)arg;
    ok(instar_vacuum(db, "t", NULL, &id));
    return id;
}

/* The runner is killed: the next one goes on where the last commit was, and looks at each row once.
 */
Test(vacuum, runner_is_killed)
{
    static const struct {
        const char *point;
        uint64_t nth;
    } places[] = {{"change.submitted", 1}, {"change.claimed", 1}, {"vacuum.read", 2},
                  {"vacuum.batch", 1},     {"vacuum.batch", 5},   {"change.rewritten", 1},
                  {"change.published", 1}, {"change.pruned", 1}};
    instar *db = open_t(0, ROWS);

    ok(instar_close(db));
    for (size_t i = 0; i < BASE_ARRAY_LEN(places); i++) {
        const struct scene_death death = {
            .point = places[i].point, .nth = places[i].nth, .submit = submit_vacuum};
        instar_change_info info;
        scene_kill(&death);
        db = scene_take_over(&death, INSTAR_OK, &info);
        expect_u64(info.rows_done, ROWS);
        expect_vacuumed(db, "t");
        dbs_check_sound(db);
        ok(alters_run(db, "t", i % 2 == 0 ? "drop d" : "add d int8 default 5"));
        ok(instar_close(db));
    }
}

/* ---- SQL ---------------------------------------------------------------------------------- */

Test(vacuum, by_sql)
{
    instar *db = open_t(0, 100);

    expect(strstr(sqls_explain(db, "EXPLAIN VACUUM t"), "2. rewrite: read all rows") != NULL);
    ok(sqls_run(db, "VACUUM t WITH (rows_per_second = 100000, latency_target_ms = 50, hurry)"));
    expect_vacuumed(db, "t");
    ok(sqls_run(db, "VACUUM t"));
    fails(sqls_run(db, "VACUUM FULL t"), INSTAR_EINVALID);
    expect(sqls_say("the option full of VACUUM"));
    fails(sqls_run(db, "VACUUM (ANALYZE) t"), INSTAR_EINVALID);
    expect(sqls_say("the option analyze of VACUUM"));
    fails(sqls_run(db, "VACUUM"), INSTAR_EINVALID);
    expect(sqls_say("all tables"));
    fails(sqls_run(db, "VACUUM t, u"), INSTAR_EINVALID);
    fails(sqls_run(db, "VACUUM t (a)"), INSTAR_EINVALID);
    fails(sqls_run(db, "ANALYZE t"), INSTAR_EINVALID);
    expect(sqls_say("ANALYZE"));
    fails(sqls_run(db, "VACUUM none"), INSTAR_EUNKNOWN);
    fails(sqls_run(db, "BEGIN; VACUUM t; ALTER TABLE t DROP COLUMN c; COMMIT"), INSTAR_EINVALID);
    fails(sqls_run(db, "VACUUM t WITH (undo_window_s = 5)"), INSTAR_EINVALID);
    ok(instar_close(db));
}
