/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compound change at each of its stages: writers and readers of two versions work beside it, it
 * is cancelled, its runner is killed. Each ends with the checker, and scan by table = scan by
 * index.
 */
#include "ddl/steps.h"
#include "support/compounds.h"
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

#define ALL                                                                                    \
    "ALTER TABLE t ADD COLUMN d int8 DEFAULT 7, ALTER COLUMN b SET NOT NULL; "                 \
    "ALTER TABLE t RENAME COLUMN e TO f; CREATE INDEX t_d ON t (d, b) WHERE d = 7 AND b > 3; " \
    "ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (b); CREATE INDEX t_f ON t (f) INCLUDE (b, d); "  \
    "DROP INDEX t_c; ALTER TABLE t DROP COLUMN c"
#define AFTER "a int8 not null; b int8 not null; f int8 default 1; d int8 default 7"
#define BEFORE "a int8 not null; b int8; c text; e int8 default 1"

/* t(a, b, c, e), primary key a, index t_c on c, `rows` rows. */
static void make_t(int64_t rows, int64_t (*b)(int64_t i))
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(alters_run(db, "t", "add e int8 default 1"));
    scene_fill(db, "t", 1, rows + 1, b);
    ok(dbs_index(db, "t_c", "t", "c", false, NULL));
    ok(instar_close(db));
}

/* The change is held at the point. */
static void scene_begin(struct scene_held *s, const char *point)
{
    test_remove(dbs_path());
    make_t(40, scene_plus_10);
    scene_hold(s, point, 1);
    ok(compounds_submit(s->db, ALL, NULL, &s->change));
    test_hold_await(&s->hold);
}

/* The points in order; from `flipped` on all is public. */
static const struct {
    const char *name;
    const char *indexes;
    bool flipped;
} points[] = {
    {"change.submitted", "t_c public", false},
    {"change.delete_only", "t_c public; t_d delete-only; t_u unique delete-only; t_f delete-only",
     false},
    {"change.write_only", "t_c public; t_d write-only; t_u unique write-only; t_f write-only",
     false},
    {"change.cut", "t_c public; t_d write-only; t_u unique write-only; t_f write-only", false},
    {"build.snapshot", "t_c public; t_d write-only; t_u unique write-only; t_f write-only", false},
    {"build.loaded", "t_c public; t_d write-only; t_u unique write-only; t_f write-only", false},
    {"change.fold_end", "t_c public; t_d write-only; t_u unique write-only; t_f write-only", false},
    {"change.enforcing",
     "t_c public; t_d write-only; t_u unique write-only enforcing; t_f write-only", false},
    {"change.validated",
     "t_c public; t_d write-only; t_u unique write-only enforcing; t_f write-only", false},
    {"change.public", "t_d public; t_u unique public; t_f public; t_c write-only", true},
    {"change.lowered", "t_d public; t_u unique public; t_f public; t_c delete-only", true},
    {"change.absent", "t_d public; t_u unique public; t_f public", true},
    {"change.purged", "t_d public; t_u unique public; t_f public", true},
};

/* At each stage nothing of it can be seen before the one version that shows all; who writes then
 * has its entries in every index that comes, and leaves none in the one that goes. */
Test(compound_stages, rows_written_at_each)
{
    for (size_t i = 1; i < BASE_ARRAY_LEN(points); i++) {
        struct scene_held s;
        scene_begin(&s, points[i].name);
        cr_assert_str_eq(compounds_indexes(s.db, "t"), points[i].indexes);
        cr_assert_str_eq(alters_schema(s.db, "t"),
                         points[i].flipped ? AFTER
                         : strstr(points[i].indexes, "enforcing") != NULL
                             ? "a int8 not null; b int8 enforcing; c text; e int8 default 1"
                             : BEFORE,
                         "%s", points[i].name);
        ok(dbs_insert(s.db, "t", 100, 1000));
        ok(dbs_update(s.db, "t", 5, 500));
        ok(dbs_update(s.db, "t", 5, 501));
        ok(dbs_delete(s.db, "t", 7));
        ok(dbs_delete(s.db, "t", 8));
        ok(dbs_insert(s.db, "t", 8, 800));
        ok(dbs_insert(s.db, "t", 101, 17)); /* the value that row 7 had */
        if (points[i].flipped) {
            ok(alters_update(s.db, "t", "d,f", 9, "70,71"));
        } else {
            ok(alters_update(s.db, "t", "c,e", 9, "x,71"));
            const char *hidden = "d";
            instar_projection *p;
            fails(instar_projection_prepare(s.db, "t", &hidden, 1, NULL, &p), INSTAR_EUNKNOWN);
        }
        scene_held_done(&s);
        cr_assert_str_eq(alters_schema(s.db, "t"), AFTER);
        cr_assert_str_eq(compounds_indexes(s.db, "t"), "t_d public; t_u unique public; t_f public");
        scene_held_end(&s);
    }
}

/* A transaction of the version before goes on beside the next one, and the one behind that waits
 * for it. */
Test(compound_stages, writers_of_two_versions)
{
    for (size_t i = 1; i < BASE_ARRAY_LEN(points); i++) {
        struct scene_held s;
        instar_txn *txn;
        scene_begin(&s, points[i].name);
        uint32_t version = dbs_version(s.db, "t");
        instar_projection *p = alters_projection(s.db, "t", "a,b");
        ok(instar_begin(s.db, 0, &txn));
        ok(alters_insert_in(txn, p, "200,2000"));
        ok(alters_update_in(txn, p, 3, "3,300"));
        scene_release_beside(&s, version);
        ok(dbs_insert(s.db, "t", 201, 2001));
        ok(dbs_update(s.db, "t", 4, 400));
        ok(instar_commit(txn));
        instar_projection_free(p);
        scene_await(s.db, s.change, INSTAR_OK, NULL);
        scene_held_end(&s);
    }
}

/* Until the version that shows all, a cancel leaves the table as it was. */
Test(compound_stages, cancelled_at_each)
{
    for (size_t i = 1; i < BASE_ARRAY_LEN(points); i++) {
        struct scene_held s;
        scene_begin(&s, points[i].name);
        if (points[i].flipped) {
            fails(instar_change_cancel(s.db, s.change), INSTAR_ESTATE);
            scene_held_done(&s);
        } else {
            ok(instar_change_cancel(s.db, s.change));
            ok(dbs_insert(s.db, "t", 100, 1000));
            test_hold_release(&s.hold);
            scene_await(s.db, s.change, INSTAR_ECANCELLED, NULL);
            cr_assert_str_eq(compounds_indexes(s.db, "t"), "t_c public", "%s", points[i].name);
            cr_assert_str_eq(alters_schema(s.db, "t"), BEFORE, "%s", points[i].name);
            ok(alters_insert(s.db, "t", "a,b", "300,null"));
        }
        scene_held_end(&s);
    }
}

/* Held before the version that shows all; then released. */
Test(compound_stages, held_and_released)
{
    struct test_child runner;
    instar_change_options options = scene_options(30000);
    instar_change_info info;
    uint64_t change;

    make_t(40, scene_plus_10);
    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    options.flags = INSTAR_CHANGE_HOLD;
    ok(compounds_submit(db, ALL, &options, &change));
    scene_await_waiting(db, change, "validated", &info);
    expect(strstr(info.waiting_for, "release") != NULL);
    expect_u64(info.step, 8);
    expect_u64(info.steps, 11);
    cr_assert_str_eq(compounds_indexes(db, "t"), points[8].indexes);
    ok(scene_steer(db, change, 0, INSTAR_CHANGE_HOLD));
    scene_await(db, change, INSTAR_OK, NULL);
    cr_assert_str_eq(alters_schema(db, "t"), AFTER);
    dbs_end(db);
    scene_runner_end(&runner);
}

/* ---- a column that goes together with its indexes ------------------------------------------ */

/* A writer who begins at a point of the change, and one who began at the point before. */
struct leaving {
    instar *db;
    int64_t a;       /* the next key */
    instar_txn *old; /* has inserted a row with the column's default; NULL: there is none */
};

static int insert_next(struct leaving *l, const char *columns, const char *rest)
{
    char row[64];

    (void)snprintf(row, sizeof(row), "%d%s", (int)l->a++, rest);
    return alters_insert(l->db, "t", columns, row);
}

/* By this version the column is there. */
static void write_before(struct leaving *l, int refused)
{
    instar_projection *p = alters_projection(l->db, "t", "a,b");

    ok(insert_next(l, "a,b,f", ",7,70"));
    if (refused == INSTAR_EUNIQUE) {
        ok(insert_next(l, "a,b", ",7")); /* once it may be there */
    }
    fails(insert_next(l, "a,b", ",7"), refused);
    if (refused == INSTAR_EUNIQUE) {
        ok(dbs_delete(l->db, "t", l->a - 2));
    }
    ok(instar_begin(l->db, INSTAR_TXN_SNAPSHOT, &l->old));
    if (refused == INSTAR_EUNIQUE) {
        ok(alters_insert_in(l->old, p, "90,7"));
    }
    instar_projection_free(p);
}

/* By this one it is not. Whoever wrote the default by the version before is told to begin anew, as
 * everybody is whom others forestall, not that it is there already. */
static void write_after(struct leaving *l, int refused)
{
    ok(insert_next(l, "a,b", ",7"));
    ok(insert_next(l, "a,b", ",7"));
    ok(alters_update(l->db, "t", "b", 1, "7"));
    ok(alters_update(l->db, "t", "b", 2, "7"));
    if (l->old != NULL) {
        fails(instar_commit(l->old), refused == INSTAR_EUNIQUE ? INSTAR_ECONFLICT : INSTAR_OK);
        l->old = NULL;
    }
}

static void leave(const char *index, int refused)
{
    struct leaving l = {.a = 100};
    struct steps steps;
    uint64_t change;
    size_t before = 0, after = 0;

    test_remove(dbs_path());
    l.db = dbs_open(0);
    dbs_make_table(l.db, "t");
    ok(alters_run(l.db, "t", "add f int8 default 0"));
    ok(alters_insert(l.db, "t", "a,b,f", "1,1,1"));
    ok(alters_insert(l.db, "t", "a,b,f", "2,1,2"));
    ok(sqls_run(l.db, index));
    ok(instar_close(l.db));
    steps_begin(&steps);
    l.db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    ok(compounds_submit(l.db, "DROP INDEX t_i; ALTER TABLE t DROP COLUMN f", NULL, &change));
    while (steps_next(&steps, l.db, change) != STEPS_ENDED) {
        bool there = strstr(alters_schema(l.db, "t"), "f int8") != NULL;
        before += there;
        after += !there;
        if (there) {
            write_before(&l, refused);
        } else {
            write_after(&l, refused);
        }
    }
    expect_u64(before, 1);
    expect_u64(after, 4);
    write_after(&l, refused);
    scene_await(l.db, change, INSTAR_OK, NULL);
    dbs_check_clean(l.db);
    ok(instar_close(l.db));
    steps_end(&steps);
}

/* From the version on that hides a column, every row that comes has its missing value. Whether that
 * is there twice, or an expression can be made of it, is nobody's concern any more: an index that
 * goes with the column refuses no row. */
Test(compound_stages, dropped_column_binds_nobody)
{
    leave("CREATE UNIQUE INDEX t_i ON t (f)", INSTAR_EUNIQUE);
    leave("CREATE UNIQUE INDEX t_i ON t (b, f)", INSTAR_EUNIQUE);
    leave("CREATE UNIQUE INDEX t_i ON t (b) WHERE f = 0", INSTAR_EUNIQUE);
    leave("CREATE INDEX t_i ON t ((100 / f))", INSTAR_ERANGE);
    leave("CREATE INDEX t_i ON t (b) WHERE 100 / f > 1", INSTAR_ERANGE);
}

/* ---- runners that are killed -------------------------------------------------------------- */

#define ROWS 50000 /* more entries than the memory of the build holds */

struct victim {
    const char *point;
    uint64_t nth;
    bool fails;
};

static uint64_t submit_all(instar *db, const void *arg)
{
    instar_change_options o = scene_options(30000);
    uint64_t change;

    (void)arg;
    o.sort_memory_bytes = 1 << 20;
    o.workers = 2;
    ok(compounds_submit(db, ALL, &o, &change));
    return change;
}

static void kill_and_finish(const struct victim *v)
{
    struct test_child keeper;
    const struct scene_death death = {.point = v->point, .nth = v->nth, .submit = submit_all};
    instar_change_info info;

    test_remove(dbs_path());
    int64_t rows = strncmp(v->point, "change.", 7) == 0 ? 500 : ROWS;
    make_t(rows, scene_scattered);
    scene_keeper(&keeper);
    if (v->fails) {
        instar *before = dbs_open(INSTAR_OPEN_NO_RUNNER);
        ok(dbs_insert(before, "t", rows + 1, scene_scattered(1)));
        ok(instar_close(before));
    }
    scene_kill(&death);
    instar *db = scene_take_over(&death, v->fails ? INSTAR_EFAILED : INSTAR_OK, &info);
    cr_assert_str_eq(compounds_indexes(db, "t"),
                     v->fails ? "t_c public" : "t_d public; t_u unique public; t_f public");
    cr_assert_str_eq(alters_schema(db, "t"), v->fails ? BEFORE : AFTER);
    if (v->fails) {
        expect(strstr(info.reason, "unique index t_u") != NULL);
    }
    dbs_end(db);
    scene_runner_end(&keeper);
}

/* Another process goes on where it was, and all of it becomes public. */
Test(compound_stages, runner_is_killed_on_the_way)
{
    static const struct victim victims[] = {
        {"change.submitted", 1, false},     {"change.claimed", 1, false},
        {"change.delete_only", 1, false},   {"change.write_only", 1, false},
        {"change.cut", 1, false},           {"build.snapshot", 2, false},
        {"build.batch_scanned", 10, false}, {"build.spilled", 1, false},
        {"build.scanned", 1, false},        {"bulk.committed", 2, false},
        {"bulk.committed", 3, false},       {"bulk.batch_written", 5, false},
        {"build.loaded", 1, false},         {"build.folded", 1, false},
        {"change.fold_end", 1, false},      {"change.enforcing", 1, false},
        {"change.validated", 1, false},     {"change.public", 1, false},
        {"change.lowered", 1, false},       {"change.absent", 1, false}};

    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        kill_and_finish(&victims[i]);
    }
}

/* The same on the way back: nothing of it stays. */
Test(compound_stages, runner_is_killed_on_the_way_back)
{
    static const struct victim victims[] = {
        {"change.turned_back", 1, true}, {"change.withdrawn", 1, true}, {"change.absent", 1, true},
        {"change.retired", 1, true},     {"change.purged", 1, true},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        kill_and_finish(&victims[i]);
    }
}
