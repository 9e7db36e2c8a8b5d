/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables without primary key: their rows go by row ids, which the engine gives, each once, to
 * whatever process; nobody sees them who does not ask.
 */
#include "support/compounds.h"
#include "support/scenes.h"

#include <stdio.h>
#include <string.h>

#define READY 1

static instar *make_t(void)
{
    instar *db = dbs_open(0);

    ok(compounds_run(db, "CREATE TABLE t (a int8 NOT NULL, b int8 DEFAULT 3)"));
    ok(compounds_run(db, "CREATE INDEX t_b ON t (b) INCLUDE (a)"));
    return db;
}

static instar_value number(int64_t i)
{
    return (instar_value){.type = INSTAR_INT8, .i = i};
}

static instar_projection *prepare(instar *db, const char *const *columns, size_t count)
{
    instar_projection *p;

    ok(instar_projection_prepare(db, "t", columns, count, NULL, &p));
    return p;
}

static int64_t insert(instar *db, int64_t a)
{
    static const char *const columns[] = {"a"};
    instar_projection *p = prepare(db, columns, 1);
    const instar_value value = number(a);
    instar_txn *txn;
    int64_t id = -1;

    ok(instar_begin(db, 0, &txn));
    ok(instar_row_id(txn, &id));
    expect(id == 0);
    ok(instar_insert(txn, p, &value));
    ok(instar_row_id(txn, &id));
    expect(id > 0);
    ok(instar_commit(txn));
    instar_projection_free(p);
    return id;
}

/* A projection of all columns has none of it, one that names it has; the key of get, update and
 * delete is the row id. */
Test(row_id, rows_go_by_it)
{
    static const char *const columns[] = {INSTAR_ROW_ID, "a", "b"};
    instar *db = make_t();
    int64_t one = insert(db, 7);
    int64_t two = insert(db, 7); /* the same row again */
    instar_projection *all = prepare(db, NULL, 0);
    instar_projection *p = prepare(db, columns, 3);
    instar_value values[3];
    instar_value key = number(one);
    instar_txn *txn;

    expect(one != two);
    expect_u64(instar_projection_count(all), 2);
    ok(instar_begin(db, 0, &txn));
    ok(instar_get(txn, p, &key, values));
    expect(values[0].i == one && values[1].i == 7 && values[2].i == 3);
    values[1] = number(8);
    ok(instar_update(txn, p, &key, values)); /* repeats the id */
    values[0] = number(two);
    fails(instar_update(txn, p, &key, values), INSTAR_EINVALID);
    values[0] = (instar_value){.type = INSTAR_NULL};
    ok(instar_insert(txn, p, values));
    values[0] = number(12345);
    fails(instar_insert(txn, p, values), INSTAR_EINVALID);
    fails(instar_upsert(txn, p, values), INSTAR_EINVALID);
    expect(says("no primary key"));
    fails(instar_upsert(txn, all, values + 1), INSTAR_EINVALID);
    expect(says("no primary key"));
    key = number(two);
    ok(instar_delete(txn, all, &key));
    fails(instar_get(txn, all, &key, values), INSTAR_ENOTFOUND);
    ok(instar_commit(txn));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "8,3;8,3");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8 default 3");
    instar_projection_free(all);
    instar_projection_free(p);
    dbs_end(db);
}

/* Bounds of a scan are row ids, and a scan over an index may go on at one. */
Test(row_id, scans_have_bounds_of_it)
{
    static const char *const columns[] = {"a", INSTAR_ROW_ID};
    instar *db = make_t();
    int64_t ids[10];
    instar_txn *txn;
    instar_cursor *cursor;
    instar_projection *by_b;
    instar_value values[2];

    for (int i = 0; i < 10; i++) {
        ids[i] = insert(db, i);
    }
    instar_projection *p = prepare(db, columns, 2);
    ok(instar_projection_prepare(db, "t", columns, 2, "t_b", &by_b));
    instar_value bounds[2] = {number(ids[3])};
    instar_range range = {.lower = bounds, .lower_count = 1, .lower_exclusive = true};
    ok(instar_begin(db, INSTAR_TXN_READONLY, &txn));
    ok(instar_scan(txn, p, &range, &cursor));
    for (int i = 4; i < 10; i++) {
        ok(instar_cursor_next(cursor, values));
        expect(values[0].i == i && values[1].i == ids[i]);
    }
    fails(instar_cursor_next(cursor, values), INSTAR_END);
    bounds[0] = number(3);
    bounds[1] = number(ids[7]);
    range.lower_count = 2;
    ok(instar_scan(txn, by_b, &range, &cursor));
    ok(instar_cursor_next(cursor, values));
    expect(values[0].i == 8 && values[1].i == ids[8]);
    ok(instar_commit(txn));
    instar_projection_free(p);
    instar_projection_free(by_b);
    ok(instar_close(db));
}

/* Alterations go on beside the hidden column: it stays last, and is nobody's. */
Test(row_id, altered_tables_keep_it)
{
    instar *db = make_t();
    int64_t one = insert(db, 1);

    ok(compounds_run(db,
                     "DROP INDEX t_b; ALTER TABLE t ADD COLUMN c int8 DEFAULT 5, DROP COLUMN b, "
                     "ADD COLUMN d int8 NOT NULL DEFAULT 6; CREATE INDEX t_d ON t (d, c)"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; c int8 default 5; d int8 not null default 6");
    ok(compounds_run(db, "ALTER TABLE t RENAME COLUMN c TO e"));
    ok(alters_insert(db, "t", "a,e", "2,7"));
    ok(alters_update(db, "t", "e", one, "8"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,8,6;2,7,6");
    fails(compounds_run(db, "ALTER TABLE t RENAME COLUMN e TO \"" INSTAR_ROW_ID "\""),
          INSTAR_EINVALID);
    fails(compounds_run(db, "ALTER TABLE t DROP COLUMN \"" INSTAR_ROW_ID "\""), INSTAR_EUNKNOWN);
    fails(compounds_run(db, "CREATE INDEX t_r ON t (\"" INSTAR_ROW_ID "\")"), INSTAR_EUNKNOWN);
    ok(compounds_run(db, "ALTER TABLE t RENAME COLUMN e TO b")); /* as the checks want it */
    dbs_end(db);
    db = dbs_open(0);
    expect(insert(db, 2) > one);
    ok(instar_close(db));
}

/* ---- several processes -------------------------------------------------------------------- */

#define PROCESSES 3
#define EACH 5000 /* more than a block */

struct many {
    instar_projection *p;
    int64_t first;
};

static int insert_many(instar_txn *txn, void *arg)
{
    struct many *m = arg;
    int rc = 0;

    for (int64_t i = 0; rc == 0 && i < 100; i++) {
        const instar_value value = number(m->first + i);
        rc = instar_insert(txn, m->p, &value);
    }
    return rc;
}

static void be_writer(struct test_child *self, void *arg)
{
    static const char *const columns[] = {"a"};
    (void)arg;
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    struct many m = {.p = prepare(db, columns, 1)};

    test_send(self, READY);
    test_receive(self);
    for (int64_t i = 0; i < EACH; i += 100) {
        m.first = i;
        ok(instar_run(db, INSTAR_TXN_ASYNC, insert_many, &m));
    }
    instar_projection_free(m.p);
    ok(instar_close(db));
}

/* Processes that insert at once never get one id twice, and never meet. */
Test(row_id, given_once_among_processes)
{
    struct test_child writers[PROCESSES];
    instar_check_summary sum;
    instar *db = make_t();

    ok(instar_close(db));
    for (int i = 0; i < PROCESSES; i++) {
        test_fork(&writers[i], be_writer, NULL);
    }
    for (int i = 0; i < PROCESSES; i++) {
        test_await(&writers[i], READY);
    }
    for (int i = 0; i < PROCESSES; i++) {
        test_send(&writers[i], 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        test_wait_ok(&writers[i]);
    }
    db = dbs_open(0);
    ok(instar_check(db, NULL, NULL, &sum));
    expect_u64(sum.rows, (uint64_t)PROCESSES * EACH);
    expect_u64(sum.findings, 0);
    ok(instar_close(db));
}

/* t loses its primary key, so its rows get ids. */
static uint64_t drop_key(instar *db, const instar_change_options *options)
{
    instar_alteration step = {.kind = INSTAR_ALTER_DROP_PRIMARY_KEY};
    uint64_t change;

    ok(instar_alter_table(db, "t", &step, 1, options, &change));
    return change;
}

/* Ids are given to rows that have none at the rate that was asked for, which may become another
 * one; and as fast as can be where that was asked for. */
Test(row_id, rows_get_theirs_at_a_rate)
{
    instar *db = scene_open_t(0, 600);
    instar_change_options o = scene_options(30000);
    instar_change_steering s;
    instar_change_info info;
    struct test_hold hold;

    o.rows_per_second_max = 50;
    o.sort_memory_bytes = UINT64_C(1) << 40; /* as much as the store gives */
    test_hold_set(&hold, "rekey.batch_filled", 1);
    uint64_t change = drop_key(db, &o);
    test_hold_await(&hold);
    instar_change_steering_init(&s);
    s.fence_after_ms = 20000;
    s.set_flags = INSTAR_CHANGE_HURRY;
    ok(instar_change_steer(db, change, &s));
    test_hold_release(&hold);
    info = scene_look(db, change);
    expect(info.state == INSTAR_CHANGE_RUNNING && info.rows_done == 0);
    s.rows_per_second_max = 0;
    ok(instar_change_steer(db, change, &s));
    scene_await(db, change, INSTAR_OK, NULL);
    test_hold_end(&hold);
    dbs_end(db);
}

/* More rows than are looked at by one snapshot. */
Test(row_id, many_rows_get_theirs)
{
    instar *db = scene_open_t(0, 4100);
    instar_change_options o = scene_options(30000);
    instar_check_summary sum;

    scene_await(db, drop_key(db, &o), INSTAR_OK, NULL);
    ok(instar_check(db, NULL, NULL, &sum));
    expect_u64(sum.rows, 4100);
    expect_u64(sum.findings, 0);
    ok(instar_close(db));
}

/* Keys of more bytes than are noted by one snapshot. */
Test(row_id, rows_with_long_keys_get_theirs)
{
    static char text[400];
    static const char *const columns[] = {"a", "b"};
    instar *db = dbs_open(0);
    instar_projection *p;
    instar_txn *txn;
    instar_check_summary sum;

    ok(compounds_run(db, "CREATE TABLE t (a text PRIMARY KEY, b int8)"));
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &p));
    ok(instar_begin(db, 0, &txn));
    for (int i = 1; i < 127; i++) {
        memset(text, i, sizeof(text));
        instar_value row[] = {{.type = INSTAR_TEXT, .bytes = {text, sizeof(text)}}, number(i)};
        ok(instar_insert(txn, p, row));
        text[0]++;
        ok(instar_insert(txn, p, row));
    }
    ok(instar_commit(txn));
    instar_projection_free(p);
    ok(compounds_run(db, "ALTER TABLE t DROP CONSTRAINT t_pkey"));
    ok(instar_check(db, NULL, NULL, &sum));
    expect_u64(sum.rows, 2 * 126);
    expect_u64(sum.findings, 0);
    ok(instar_close(db));
}

/* One that has its row ids already stands beside one that gets them. */
Test(row_id, beside_a_table_that_has_them)
{
    instar *db = make_t();
    instar_check_summary sum;

    insert(db, 7);
    ok(compounds_run(db, "CREATE TABLE u (a int8 PRIMARY KEY, b int8)"));
    ok(dbs_insert(db, "u", 1, 2));
    ok(compounds_run(db, "ALTER TABLE t ADD c int8; ALTER TABLE u DROP CONSTRAINT u_pkey"));
    ok(instar_check(db, NULL, NULL, &sum));
    expect_u64(sum.rows, 2);
    expect_u64(sum.findings, 0);
    ok(instar_close(db));
}

/* A table without a primary key has none to be dropped: that is told, or left as it is, whether it
 * is asked for alone or beside other steps. */
Test(row_id, no_key_to_be_dropped)
{
    instar *db = make_t();
    instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_DROP_PRIMARY_KEY},
        {.kind = INSTAR_ALTER_DROP_COLUMN, .name = "x", .flags = INSTAR_ALTER_IF_EXISTS}};
    uint32_t before = dbs_version(db, "t");

    for (size_t count = 1; count <= 2; count++) {
        uint64_t change = 1;
        steps[0].flags = 0;
        fails(instar_alter_table(db, "t", steps, count, NULL, &change), INSTAR_EUNKNOWN);
        expect(says("table \"t\" has no primary key") && change == 0);
        steps[0].flags = INSTAR_ALTER_IF_EXISTS;
        change = 1;
        ok(instar_alter_table(db, "t", steps, count, NULL, &change));
        expect_u64(change, 0);
    }
    expect_u64(dbs_version(db, "t"), before);
    ok(instar_close(db));
}
