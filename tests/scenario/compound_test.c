/* SPDX-License-Identifier: Apache-2.0 */
/* Several statements as one change: all of it becomes public in one version, or nothing stays. */
#include "support/compounds.h"
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

#define THREE \
    "CREATE INDEX t_b ON t (b); CREATE UNIQUE INDEX t_u ON t (b, a); CREATE INDEX t_c ON t (c, b)"

static bool told(const char *words)
{
    return strstr(compounds_error(), words) != NULL;
}

/* Three indexes take as many versions as one does. */
Test(compound, several_indexes_are_one_change)
{
    instar *db = scene_open_t(0, 100);
    instar_change_info info;
    uint64_t change;

    ok(compounds_submit(db, THREE, NULL, &change));
    scene_await(db, change, INSTAR_OK, &info);
    cr_assert_str_eq(info.kind, "compound");
    cr_assert_str_eq(info.object, "t");
    cr_assert_str_eq(info.statement, "CREATE INDEX t_b ON t (b); CREATE UNIQUE INDEX t_u ON t (b, "
                                     "a); CREATE INDEX t_c ON t (c, b)");
    expect_u64(info.rows_done, 100);
    cr_assert_str_eq(compounds_indexes(db, "t"), "t_b public; t_u unique public; t_c public");
    expect_u64(dbs_version(db, "t"), 5);
    fails(compounds_run(db, "CREATE INDEX x ON t (b); CREATE INDEX t_c ON t (b)"), INSTAR_EEXISTS);
    expect(told("t_c"));
    cr_assert_str_eq(compounds_indexes(db, "t"), "t_b public; t_u unique public; t_c public");
    ok(compounds_run(db, "CREATE INDEX IF NOT EXISTS t_b ON t (b); CREATE INDEX d ON t (b DESC)"));
    dbs_end(db);
}

/* Their entries share the memory. When it is full the one that has none of them makes no run. */
Test(compound, index_without_entries_beside_one_that_spills)
{
    instar *db = scene_open_t(0, 160000);
    instar_change_options o = scene_options(30000);
    instar_change_info info;
    uint64_t change;

    o.sort_memory_bytes = 1 << 20;
    test_points_count(true);
    ok(compounds_submit(db, "CREATE INDEX t_b ON t (b, a); CREATE INDEX none ON t (b) WHERE b < 0",
                        &o, &change));
    scene_await(db, change, INSTAR_OK, &info);
    expect(test_point_hits("build.spilled") >= 1);
    test_points_count(false);
    expect_u64(info.rows_done, 160000);
    dbs_end(db);
}

/* One of them has duplicates: none stays, and the reason names the one. */
Test(compound, one_that_fails_reverts_all)
{
    instar *db = scene_open_t(0, 100);
    instar_change_info info;
    uint64_t change;

    ok(dbs_insert(db, "t", 500, 11));
    ok(compounds_submit(db,
                        "CREATE UNIQUE INDEX t_u ON t (b, a); CREATE UNIQUE INDEX t_b ON t (b); "
                        "ALTER TABLE t ADD COLUMN d int8 DEFAULT 5; CREATE INDEX t_d ON t (d)",
                        NULL, &change));
    scene_await(db, change, INSTAR_EFAILED, &info);
    expect(info.error == INSTAR_EUNIQUE);
    expect_u64(info.duplicate_count, 1);
    expect(strstr(info.reason, "unique index t_b of table t: 1 key occurs more than once") != NULL);
    cr_assert_str_eq(compounds_indexes(db, "t"), "");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    ok(dbs_insert(db, "t", 501, 11));
    ok(dbs_delete(db, "t", 500));
    ok(dbs_delete(db, "t", 501));
    ok(compounds_run(db, "CREATE UNIQUE INDEX t_u ON t (b, a); CREATE UNIQUE INDEX t_b ON t (b)"));
    fails(dbs_insert(db, "t", 500, 11), INSTAR_EUNIQUE);
    dbs_end(db);
}

/* A column and an index on it, a name that changes, a NOT NULL and an index that goes: in one. */
Test(compound, indexes_beside_alterations)
{
    instar *db = scene_open_t(0, 50);

    ok(dbs_index(db, "old", "t", "b", true, NULL));
    ok(compounds_run(db, "ALTER TABLE t ADD COLUMN d int8 NOT NULL DEFAULT 7; "
                         "CREATE INDEX t_d ON t (d, b); "
                         "ALTER TABLE t ALTER COLUMN b SET NOT NULL; ALTER TABLE t RENAME TO u; "
                         "CREATE UNIQUE INDEX new ON u (b DESC); DROP INDEX old"));
    cr_assert_str_eq(compounds_indexes(db, "u"), "t_d public; new unique public");
    cr_assert_str_eq(alters_schema(db, "u"),
                     "a int8 not null; b int8 not null; c text; d int8 not null default 7");
    ok(alters_insert(db, "u", "a,b,d", "51,61,8"));
    ok(alters_update(db, "u", "d", 1, "9"));
    fails(alters_insert(db, "u", "a,b", "52,61"), INSTAR_EUNIQUE);
    fails(alters_insert(db, "u", "a", "52"), INSTAR_ENOT_NULL);
    dbs_check_clean(db);
    /* The name of what was dropped is free, those of what was made are not. */
    ok(dbs_index(db, "old", "u", "c", false, NULL));
    fails(compounds_run(db, "CREATE INDEX new ON u (c)"), INSTAR_EEXISTS);
    dbs_end(db);
}

/* Checks beside indexes: about what is there, about a column that comes with its index, and one
 * that was not validated. All hold from one version on. */
Test(compound, checks_beside_indexes)
{
    instar *db = scene_open_t(0, 50);

    ok(compounds_run(db, "ALTER TABLE t ADD CONSTRAINT old CHECK (b < 1000) NOT VALID"));
    ok(compounds_run(db, "CREATE INDEX t_b ON t (b); ALTER TABLE t ADD CONSTRAINT low "
                         "CHECK (b > 10), ADD CHECK (a < b); "
                         "ALTER TABLE t ADD COLUMN d int8 DEFAULT 7; CREATE INDEX t_d ON t (d, a); "
                         "ALTER TABLE t ADD CONSTRAINT seven CHECK (d > 5); "
                         "ALTER TABLE t VALIDATE CONSTRAINT old; "
                         "ALTER TABLE t RENAME CONSTRAINT low TO bottom"));
    cr_assert_str_eq(compounds_indexes(db, "t"), "t_b public; t_d public");
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8; c text; d int8 default 7; check old (b < 1000); "
                     "check bottom (b > 10); check t_check (a < b); check seven (d > 5)");
    fails(alters_insert(db, "t", "a,b", "60,10"), INSTAR_ECHECK);
    fails(alters_insert(db, "t", "a,b,d", "60,70,5"), INSTAR_ECHECK);
    fails(alters_insert(db, "t", "a,b", "60,1000"), INSTAR_ECHECK);
    fails(alters_update(db, "t", "b", 20, "19"), INSTAR_ECHECK);
    ok(alters_insert(db, "t", "a,b,d", "60,70,8"));
    dbs_end(db);
}

/* A check that rows break, or that what they get in a new column breaks: nothing stays, neither the
 * index nor the check, and nobody is held to it any more. */
Test(compound, a_check_that_fails_reverts_all)
{
    instar *db = scene_open_t(0, 50);
    instar_change_info info;
    uint64_t change;

    ok(compounds_submit(db,
                        "CREATE UNIQUE INDEX t_b ON t (b); "
                        "ALTER TABLE t ADD CONSTRAINT low CHECK (b > 12)",
                        NULL, &change));
    scene_await(db, change, INSTAR_EFAILED, &info);
    expect(info.error == INSTAR_ECHECK);
    cr_assert_str_eq(info.reason, "table t: check low is violated by 2 rows: row (a=1); row (a=2)");
    cr_assert_str_eq(compounds_indexes(db, "t"), "");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    ok(alters_update(db, "t", "b", 30, "0"));
    fails(compounds_run(db, "ALTER TABLE t ADD COLUMN d int8 DEFAULT 3; CREATE INDEX t_d ON t (d); "
                            "ALTER TABLE t ADD CHECK (d > 5)"),
          INSTAR_ECHECK);
    expect(told("d") && told("check"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    fails(compounds_run(db, "CREATE INDEX t_b ON t (b); ALTER TABLE t ADD COLUMN d int8 DEFAULT 3, "
                            "ADD CHECK (d > b)"),
          INSTAR_EINVALID);
    dbs_end(db);
}

/* A column goes together with the index that uses it; another takes its name. */
Test(compound, dropped_column_with_its_index)
{
    instar *db = scene_open_t(0, 50);

    ok(dbs_index(db, "t_c", "t", "c,b", false, NULL));
    ok(compounds_run(db,
                     "DROP INDEX t_c; ALTER TABLE t DROP COLUMN c, ADD COLUMN c int8 DEFAULT 3; "
                     "CREATE INDEX t_c2 ON t (c)"));
    cr_assert_str_eq(compounds_indexes(db, "t"), "t_c2 public");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c int8 default 3");
    ok(alters_insert(db, "t", "a,c", "51,4"));
    ok(alters_update(db, "t", "c", 1, "5"));
    dbs_end(db);
}

/* U6: a column goes and another one is to be unique, which it is not: what goes is there still, as
 * the change fails as a whole. Whichever of the two stands first. */
Test(compound, duplicates_keep_what_was_to_go)
{
    static const char *const both[] = {
        "ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD UNIQUE (e)",
        "ALTER TABLE t ADD UNIQUE (e); ALTER TABLE t DROP COLUMN b",
        "CREATE UNIQUE INDEX t_e ON t (e); ALTER TABLE t DROP COLUMN b"};

    for (size_t i = 0; i < BASE_ARRAY_LEN(both); i++) {
        test_remove(dbs_path());
        instar *db = dbs_open(0);
        dbs_make_table(db, "t");
        ok(alters_run(db, "t", "add e int8"));
        ok(alters_insert(db, "t", "a,b,e", "1,1,1"));
        ok(alters_insert(db, "t", "a,b,e", "2,2,1"));
        fails(compounds_run(db, both[i]), INSTAR_EFAILED);
        cr_assert_str_eq(alters_rows(db, "t", "b"), "1;2");
        cr_assert_str_eq(compounds_indexes(db, "t"), "");
        ok(alters_insert(db, "t", "a,b,e", "3,3,1"));
        dbs_end(db);
    }
}

/* What cannot be one change is refused by name. */
Test(compound, impossible_ones_are_refused)
{
    instar *db = scene_open_t(0, 3);

    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    fails(compounds_run(db, "CREATE INDEX x ON t (nope); DROP INDEX t_b"), INSTAR_EUNKNOWN);
    expect(told("index \"x\": no column \"nope\""));
    fails(compounds_run(db, "DROP INDEX t_b; CREATE INDEX t_b ON t (c)"), INSTAR_ESTATE);
    expect(told("dropped in the same change"));
    fails(compounds_run(db, "ALTER INDEX t_b RENAME TO x; CREATE INDEX t_b ON t (c)"),
          INSTAR_ESTATE);
    expect(told("\"t_b\" is renamed in the same change: the new one needs another name"));
    fails(compounds_run(db, "CREATE INDEX x ON t (c); DROP INDEX x"), INSTAR_EINVALID);
    fails(compounds_run(db, "CREATE INDEX x ON t (c); ALTER INDEX x RENAME TO y"), INSTAR_EINVALID);
    expect(told("create it as \"y\""));
    fails(compounds_run(db, "DROP INDEX t_b; DROP INDEX t_b"), INSTAR_EUNKNOWN);
    fails(compounds_run(db, "CREATE INDEX x ON t (c); ALTER TABLE t DROP COLUMN c"), INSTAR_ESTATE);
    fails(compounds_run(db, "CREATE INDEX x ON t (c); DROP TABLE t"), INSTAR_EINVALID);
    expect(told("table \"t\" is dropped in the change that creates, alters or drops it"));
    ok(compounds_run(db, "DROP INDEX IF EXISTS nope; CREATE INDEX IF NOT EXISTS t_b ON t (b)"));
    cr_assert_str_eq(compounds_indexes(db, "t"), "t_b public");
    dbs_end(db);
}

/* ---- beside other changes ----------------------------------------------------------------- */

#define COLUMN_AND_INDEX                                                     \
    "ALTER TABLE t ADD COLUMN d int8 DEFAULT 7; CREATE INDEX t_d ON t (d); " \
    "CREATE INDEX t_b ON t (b)"

static void scene_begin(struct scene_held *s, const char *point)
{
    scene_hold(s, point, 1);
    scene_make_t(s->db, 40);
    ok(compounds_submit(s->db, COLUMN_AND_INDEX, NULL, &s->change));
    test_hold_await(&s->hold);
}

static int submit_index(instar *db, const char *name, const char *column, uint32_t flags,
                        uint64_t *change)
{
    instar_change_options options = scene_options(30000);
    instar_key_column part = {.name = column};
    instar_index_def def = {.name = name, .table = "t", .columns = &part, .column_count = 1};

    options.flags = flags;
    return instar_create_index(db, &def, &options, change);
}

/* Who wants one of its indexes, if it does not exist, gets its verdict; who wants another one of
 * that name is told so. */
Test(compound, creation_of_a_part_is_joined)
{
    struct scene_held s;
    uint64_t other;

    scene_begin(&s, "build.scanned");
    ok(submit_index(s.db, "t_b", "b", INSTAR_CHANGE_IF_NOT_EXISTS, &other));
    expect_u64(other, s.change);
    fails(submit_index(s.db, "t_b", "b", 0, &other), INSTAR_EEXISTS);
    fails(submit_index(s.db, "t_b", "c", INSTAR_CHANGE_IF_NOT_EXISTS, &other), INSTAR_EDEFINITION);
    fails(instar_drop_index(s.db, "t_b", NULL, &other), INSTAR_ESTATE);
    expect(strstr(instar_error_text(), "being changed by change") != NULL);
    scene_held_done(&s);
    scene_held_end(&s);
}

/* Changes that are submitted while its column is hidden are done behind it, to the table as it
 * leaves it. */
Test(compound, others_queue_behind_it)
{
    struct scene_held s;
    uint64_t add;
    uint64_t index;
    uint64_t failing;
    instar_change_info info;

    scene_begin(&s, "build.scanned");
    ok(alters_submit(s.db, "t", "add e int8 default 1 , drop c", NULL, &add));
    ok(submit_index(s.db, "t_a", "a", 0, &index));
    ok(alters_submit(s.db, "t", "add d text", NULL, &failing));
    fails(compounds_run(s.db, "CREATE INDEX x ON t (b); CREATE INDEX y ON t (a)"), INSTAR_ESTATE);
    expect(told("in the middle of a change"));
    scene_held_done(&s);
    scene_await(s.db, add, INSTAR_OK, NULL);
    scene_await(s.db, index, INSTAR_OK, NULL);
    scene_await(s.db, failing, INSTAR_EFAILED, &info);
    expect(strstr(info.reason, "column \"d\" already") != NULL);
    cr_assert_str_eq(alters_schema(s.db, "t"),
                     "a int8 not null; b int8; d int8 default 7; e int8 default 1");
    cr_assert_str_eq(compounds_indexes(s.db, "t"), "t_d public; t_b public; t_a public");
    scene_held_end(&s);
}

/* An index that another change is making is not dropped by a part of one, whatever stands before
 * that part; nor is its name lost to either when the other one goes back. */
Test(compound, index_at_work_is_not_dropped)
{
    struct scene_held s;
    uint64_t drop;

    scene_hold(&s, "build.scanned", 1);
    scene_make_t(s.db, 40);
    ok(submit_index(s.db, "t_b", "b", 0, &s.change));
    test_hold_await(&s.hold);
    fails(compounds_run(s.db, "DROP INDEX t_b; CREATE INDEX x ON t (a)"), INSTAR_ESTATE);
    fails(compounds_run(s.db, "CREATE INDEX x ON t (a); DROP INDEX t_b"), INSTAR_ESTATE);
    expect(told("\"t_b\" is being"));
    scene_held_done(&s);
    ok(instar_drop_index(s.db, "t_b", NULL, &drop));
    scene_await(s.db, drop, INSTAR_OK, NULL);
    scene_held_end(&s);
}

/* The table is dropped in the middle of it. */
Test(compound, table_dropped_in_mid_build)
{
    struct scene_held s;
    instar_change_info info;
    uint64_t drop;

    scene_begin(&s, "build.loaded");
    ok(instar_drop_table(s.db, "t", NULL, &drop));
    test_hold_release(&s.hold);
    scene_await(s.db, s.change, INSTAR_ECANCELLED, &info);
    expect(strstr(info.reason, "drops table t") != NULL);
    scene_await(s.db, drop, INSTAR_OK, NULL);
    dbs_make_table(s.db, "t_d"); /* the names are free */
    scene_held_end(&s);
}

/* Paused while it reads rows: it stands still, and goes on when it is resumed. */
Test(compound, paused_and_resumed)
{
    struct scene_held s;
    instar_change_info info;

    scene_begin(&s, "build.batch_scanned");
    ok(scene_steer(s.db, s.change, INSTAR_CHANGE_PAUSE, 0));
    test_hold_release(&s.hold);
    do {
        instar_change_wait(s.db, s.change, 5, &info);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (strstr(info.waiting_for, "resume") == NULL);
    ok(dbs_insert(s.db, "t", 41, -1));
    ok(scene_steer(s.db, s.change, 0, INSTAR_CHANGE_PAUSE));
    scene_await(s.db, s.change, INSTAR_OK, NULL);
    scene_held_end(&s);
}

/* More indexes than a new table may have: dropped at once, and with their table. */
Test(compound, many_indexes_are_dropped)
{
    char text[4096] = "begin;";
    char name[16];
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "i%d", i);
        ok(dbs_index(db, name, "t", "b", false, NULL));
        if (i < 20) {
            snprintf(text + strlen(text), sizeof(text) - strlen(text), " drop index %s;", name);
        }
    }
    snprintf(text + strlen(text), sizeof(text) - strlen(text), " commit");
    ok(sqls_run(db, text));
    dbs_check_clean(db);
    ok(sqls_run(db, "drop table t"));
    dbs_end(db);
}
