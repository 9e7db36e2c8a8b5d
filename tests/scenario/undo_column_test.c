/* SPDX-License-Identifier: Apache-2.0 */
/* Dropped columns are kept for their undo window: they come back with what rows held in them. */
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

/* t(a, b, c), rows (1, 11, x1) … (3, 13, x3). */
static instar *open_t(uint32_t flags)
{
    instar *db = dbs_open(flags);

    dbs_make_table(db, "t");
    ok(alters_insert(db, "t", NULL, "1,11,x1"));
    ok(alters_insert(db, "t", NULL, "2,12,x2"));
    ok(alters_insert(db, "t", NULL, "3,13,x3"));
    return db;
}

/* The change's id; it has ended well. */
static uint64_t alter(instar *db, const char *text, uint64_t window_s)
{
    instar_change_options o = scene_options(30000);
    uint64_t change;

    o.undo_window_s = window_s;
    ok(alters_submit(db, "t", text, &o, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    return change;
}

static int undo_as(instar *db, uint64_t change, const char *name, uint32_t flags,
                   instar_change_info *info)
{
    instar_change_options o = scene_options(30000);
    uint64_t id;

    o.flags = flags;
    int rc = instar_change_undo(db, change, name, &o, &id);
    return rc != 0 ? rc : instar_change_wait(db, id, TEST_AWAIT_S * 1000, info);
}

static int undo(instar *db, uint64_t change)
{
    return undo_as(db, change, NULL, 0, NULL);
}

static int delete_row_4(instar_txn *txn, void *arg)
{
    return instar_delete(txn, arg, &(instar_value){.type = INSTAR_INT8, .i = 4});
}

static int delete_4(instar *db)
{
    instar_projection *p = alters_projection(db, "t", "a");
    int rc = instar_run(db, 0, delete_row_4, p);

    instar_projection_free(p);
    return rc;
}

/* It comes back where it stood, with its default; updates meanwhile have carried it along, inserts
 * gave it nothing. */
Test(undo_column, comes_back_as_it_was)
{
    instar *db = open_t(0);

    ok(alters_run(db, "t", "set-default b 7 , add d int8 not-null default 5"));
    uint64_t change = alter(db, "drop b", 3600);
    expect(scene_look(db, change).undo_until_us != 0);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,x1,5;2,x2,5;3,x3,5");
    ok(alters_update(db, "t", "c", 2, "y2"));
    ok(alters_insert(db, "t", "a,c", "4,x4"));
    dbs_check_sound(db);
    ok(undo(db, change));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8 default 7; c text; d int8 not null default 5");
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,11,x1,5;2,12,y2,5;3,13,x3,5;4,null,x4,5");
    ok(alters_insert(db, "t", "a", "5"));
    cr_assert_str_eq(alters_rows(db, "t", "a,b"), "1,11;2,12;3,13;4,null;5,7");
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    dbs_check_sound(db);
    fails(undo(db, change), INSTAR_ESTATE);
    ok(instar_close(db));
    db = dbs_open(0);
    cr_assert_str_eq(alters_rows(db, "t", "a,b"), "1,11;2,12;3,13;4,null;5,7");
    dbs_end_sound(db);
}

/* A dropped primary key column is refused as before; so are the others that something needs. */
Test(undo_column, what_cannot_be_dropped)
{
    instar *db = open_t(0);
    instar_change_options o = scene_options(0);
    uint64_t change;

    o.undo_window_s = 10;
    fails(alters_submit(db, "t", "drop a", &o, &change), INSTAR_ESTATE);
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    fails(alters_submit(db, "t", "drop b", &o, &change), INSTAR_ESTATE);
    change = alter(db, "add d int8", 3600); /* drops nothing */
    fails(undo(db, change), INSTAR_ESTATE);
    expect(says("keeps nothing"));
    ok(instar_close(db));
}

/* The name is taken: another one is asked for. It may come back beside the one that took it. */
Test(undo_column, name_taken)
{
    instar *db = open_t(0);
    uint64_t change = alter(db, "drop b , add b text default new", 3600);

    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,x1,new;2,x2,new;3,x3,new");
    fails(undo(db, change), INSTAR_EEXISTS);
    expect(says("RENAME TO"));
    ok(undo_as(db, change, "old_b", 0, NULL));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,11,x1,new;2,12,x2,new;3,13,x3,new");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; old_b int8; c text; b text default "
                                             "new");
    dbs_end_sound(db);
}

/* Several columns of one change come back together, each to its place; those of another change stay
 * where they are. */
Test(undo_column, several)
{
    instar *db = open_t(0);

    ok(alters_run(db, "t", "add d int8 default 4 , add e int8 default 5"));
    uint64_t first = alter(db, "drop b , drop d", 3600);
    uint64_t second = alter(db, "drop c", 3600);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,5;2,5;3,5");
    ok(alters_update(db, "t", "e", 1, "6"));
    fails(undo_as(db, first, "x", 0, NULL), INSTAR_EINVALID);
    ok(undo(db, first));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; d int8 default 4; e int8 "
                                             "default 5");
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,11,4,6;2,12,4,5;3,13,4,5");
    ok(undo(db, second));
    cr_assert_str_eq(alters_rows(db, "t", "a,b,c,d,e"), "1,11,x1,4,6;2,12,x2,4,5;3,13,x3,4,5");
    dbs_end_sound(db);
}

/* NOT NULL is validated: rows that were inserted meanwhile hold null, so the undo fails and names
 * them, and the column is kept again, under its old name; it may come back without NOT NULL. */
Test(undo_column, not_null_is_validated)
{
    instar *db = open_t(0);
    instar_change_info info;

    ok(alters_run(db, "t", "set-not-null b"));
    uint64_t change = alter(db, "drop b", 3600);
    ok(undo(db, change));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8 not null; c text");
    change = alter(db, "drop b", 3600);
    ok(alters_insert(db, "t", "a,c", "4,x4"));
    fails(undo_as(db, change, "other", 0, &info), INSTAR_EFAILED);
    cr_assert_str_eq(info.reason, "table t: column other is null in 1 row: row (a=4)");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; c text");
    expect(scene_look(db, change).undo_until_us != 0);
    dbs_check_sound(db);
    fails(undo_as(db, change, NULL, 0, NULL), INSTAR_EFAILED);
    ok(undo_as(db, change, NULL, INSTAR_CHANGE_NULLABLE, NULL));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,11,x1;2,12,x2;3,13,x3;4,null,x4");
    dbs_end_sound(db);
}

/* A column that came with a default has that in rows of meanwhile: NOT NULL holds. */
Test(undo_column, missing_value_is_not_null)
{
    instar *db = open_t(0);

    ok(alters_run(db, "t", "add d int8 not-null default 5"));
    ok(alters_run(db, "t", "set-default d 6"));
    uint64_t change = alter(db, "drop d", 3600);
    ok(alters_insert(db, "t", "a", "4"));
    ok(undo(db, change));
    cr_assert_str_eq(alters_rows(db, "t", "a,d"), "1,5;2,5;3,5;4,5");
    ok(alters_insert(db, "t", "a", "5"));
    fails(alters_update(db, "t", "d", 1, "null"), INSTAR_ENOT_NULL);
    cr_assert_str_eq(alters_rows(db, "t", "a,d"), "1,5;2,5;3,5;4,5;5,6");
    ok(instar_close(db));
}

/* The table is altered and indexed meanwhile, and its rows are written in newer layouts. */
Test(undo_column, table_altered_meanwhile)
{
    instar *db = open_t(0);
    uint64_t change = alter(db, "drop b", 3600);

    ok(alters_run(db, "t", "add d int4 default 1"));
    ok(alters_update(db, "t", "d", 1, "10"));
    ok(alters_run(db, "t", "set-type d int8 , rename-column c cc , rename-to u"));
    ok(alters_update(db, "u", "d", 2, "20"));
    ok(dbs_index(db, "u_d", "u", "d", false, NULL));
    ok(alters_run(db, "u", "drop cc"));
    ok(undo(db, change));
    cr_assert_str_eq(alters_rows(db, "u", NULL), "1,11,10;2,12,20;3,13,1");
    cr_assert_str_eq(sqls_scan(db, "u", "a,d", "u_d", NULL), "3,1;1,10;2,20");
    dbs_end_sound(db);
}

/* An index and a constraint that go with the column do not come back, and are named. */
Test(undo_column, what_does_not_come_back_is_named)
{
    instar *db = open_t(0);
    instar_change_info info;
    char text[64];

    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(sqls_run(db, "ALTER TABLE t ADD CONSTRAINT low CHECK (b < 1000)"));
    const char *plan = sqls_explain(db, "EXPLAIN ALTER TABLE t DROP CONSTRAINT low, DROP COLUMN b "
                                        "WITH (undo_window_s = 60)");
    expect(strstr(plan, "kept for 60 s") != NULL && strstr(plan, "no index and no constraint"));
    ok(sqls_run(db, "BEGIN; DROP INDEX t_b; ALTER TABLE t DROP CONSTRAINT low, DROP COLUMN b "
                    "WITH (undo_window_s = 3600); COMMIT"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; c text");
    ok(alters_update(db, "t", "c", 2, "y2"));
    dbs_check_sound(db);
    uint64_t change = 4;
    cr_assert_str_eq(scene_look(db, change).kind, "compound");
    ok(undo_as(db, change, NULL, 0, &info));
    cr_assert_str_eq(info.reason, "does not come back, to be made anew: index t_b, constraint low");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,11,x1;2,12,y2;3,13,x3");
    snprintf(text, sizeof(text), "UNDO CHANGE %llu", (unsigned long long)change);
    fails(sqls_run(db, text), INSTAR_ESTATE);
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    dbs_end_sound(db);
}

/* The window over, the column is gone from the layout, while the table is used. Its table dropped
 * and kept in between, it waits until that is back. */
Test(undo_column, window_over)
{
    instar *db = open_t(0);
    uint64_t change = alter(db, "drop b", 1);

    scene_await_purge(db, change);
    fails(undo(db, change), INSTAR_ESTATE);
    expect(says("purged"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,x1;2,x2;3,x3");
    ok(alters_insert(db, "t", NULL, "4,x4"));
    dbs_check_sound(db);
    instar_change_options o = scene_options(30000);
    uint64_t table, id;
    change = alter(db, "drop c", 1);
    o.undo_window_s = 3600;
    ok(instar_drop_table(db, "t", &o, &table));
    scene_await(db, table, INSTAR_OK, NULL);
    fails(undo(db, change), INSTAR_ESTATE);
    while (os_realtime_us() <= scene_look(db, change).undo_until_us) {
        os_sleep_ns(20 * NS_PER_MS);
    }
    ok(instar_change_undo(db, table, NULL, NULL, &id));
    scene_await(db, id, INSTAR_OK, NULL);
    scene_await_purge(db, change);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1;2;3;4");
    dbs_check_sound(db);
    /* Gone with its table. */
    ok(alters_run(db, "t", "add d int8"));
    change = alter(db, "drop d", 1);
    ok(scene_drop_table(db, "t"));
    fails(undo(db, change), INSTAR_ESTATE);
    while (scene_look(db, change).undo_until_us != 0) { /* until the runner has seen it */
        os_sleep_ns(20 * NS_PER_MS);
    }
    fails(undo(db, change), INSTAR_ESTATE);
    expect(says("its table has gone since"));
    expect_u64(scene_look(db, change).taken_by, 0);
    ok(instar_close(db));
}

/* Writers of three versions: one that still has the column, one that has it not, one that has it
 * again. Nothing that any of them wrote is lost. */
Test(undo_column, beside_writers_of_the_versions_before)
{
    struct test_child runner;
    instar_change_info info;
    instar_txn *old, *middle;
    uint64_t change, id;
    instar_change_options o = scene_options(30000);

    scene_runner(&runner);
    instar *db = open_t(INSTAR_OPEN_NO_RUNNER);
    instar_projection *abc = alters_projection(db, "t", "a,b,c");
    instar_projection *ac = alters_projection(db, "t", "a,c");
    o.undo_window_s = 3600;
    ok(instar_begin(db, 0, &old));
    ok(alters_update_in(old, abc, 1, "1,111,o1"));
    ok(alters_submit(db, "t", "drop b", &o, &change));
    scene_await(db, change, INSTAR_OK, &info); /* one version on: nobody is waited for */
    ok(instar_begin(db, 0, &middle));
    ok(alters_update_in(middle, ac, 2, "2,m2"));
    ok(instar_change_undo(db, change, NULL, NULL, &id));
    scene_await_waiting(db, id, "kept", &info); /* for the first one */
    ok(instar_commit(old));
    scene_await(db, id, INSTAR_OK, NULL);
    ok(alters_update_in(middle, ac, 3, "3,m3"));
    ok(alters_insert_in(middle, ac, "4,m4"));
    ok(instar_commit(middle));
    ok(alters_insert(db, "t", NULL, "5,15,n5"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,111,o1;2,12,m2;3,13,m3;4,null,m4;5,15,n5");
    instar_projection_free(abc);
    instar_projection_free(ac);
    dbs_end_sound(db);
    scene_runner_end(&runner);
}

static uint64_t submit_undo(instar *db, const void *arg)
{
    const uint64_t *drop = arg;
    uint64_t id;

    ok(instar_change_undo(db, *drop, NULL, NULL, &id));
    return id;
}

/* Whoever undoes is killed at each stage, on the way there and back: another one goes on. */
Test(undo_column, runner_is_killed)
{
    static const struct {
        const char *point;
        bool fails;
    } points[] = {{"change.submitted", false}, {"change.restored", false},
                  {"change.validated", false}, {"change.settled", false},
                  {"change.restored", true},   {"change.turned_back", true},
                  {"change.kept_again", true}};
    instar *db = open_t(0);

    ok(alters_run(db, "t", "set-not-null b"));
    ok(instar_close(db));
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        db = dbs_open(0);
        uint64_t drop = alter(db, "drop b", 3600);
        const struct scene_death death = {
            .point = points[i].point, .submit = submit_undo, .arg = &drop};
        if (points[i].fails) {
            ok(alters_insert(db, "t", "a,c", "4,x4"));
        }
        ok(instar_close(db));
        scene_kill(&death);
        db = scene_take_over(&death, points[i].fails ? INSTAR_EFAILED : INSTAR_OK, NULL);
        if (points[i].fails) {
            cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; c text");
            ok(delete_4(db));
            ok(undo(db, drop));
        }
        cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8 not null; c text");
        cr_assert_str_eq(alters_rows(db, "t", NULL), "1,11,x1;2,12,x2;3,13,x3");
        dbs_end_sound(db);
    }
}
