/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A column that indexes are about gets another type. They are made anew beside those that stand,
 * and both change places in the version in which the type is there. At each stage writers and
 * readers of two versions work beside it; it fails, is cancelled, its runner is killed.
 */
#include "support/compounds.h"
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

#define INDEXES                                                                                    \
    "ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (b); CREATE INDEX t_i ON t (c) INCLUDE (b); "         \
    "CREATE INDEX t_p ON t (b DESC, c) WHERE b IS NOT NULL; CREATE INDEX t_e ON t ((b IS NULL)); " \
    "CREATE INDEX t_c ON t (c)"
#define STANDING "t_u unique public; t_i public; t_p public; t_e public; t_c public"

/* What is changed, and how. */
struct kind {
    const char *before; /* the type that b has first */
    const char *step;
    const char *schema_before, *schema_after;
    bool narrows;
};
static const struct kind widens = {"int8", "set-type b text", "a int8 not null; b int8; c text",
                                   "a int8 not null; b text; c text", false};
static const struct kind narrows = {"float8", "set-type b int8",
                                    "a int8 not null; b float8; c text",
                                    "a int8 not null; b int8; c text", true};
static const struct kind rounds = {"numeric(10,3)", "set-type b numeric(10,1)",
                                   "a int8 not null; b numeric(10,3); c text",
                                   "a int8 not null; b numeric(10,1); c text", false};

/* t(a, b, c), primary key a, and the indexes. */
static void make_t(const struct kind *k, int64_t rows, int64_t (*b)(int64_t i))
{
    char step[64];
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, rows + 1, b);
    snprintf(step, sizeof(step), "set-type b %s", k->before);
    ok(alters_run(db, "t", step));
    ok(compounds_run(db, INDEXES));
    ok(instar_close(db));
}

/* The indexes that stand, whatever their order; nothing else of the change is left. */
static void expect_standing(instar *db)
{
    const char *all = compounds_indexes(db, "t");
    static const char *const each[] = {"t_u unique public", "t_i public", "t_p public",
                                       "t_e public", "t_c public"};

    for (size_t i = 0; i < BASE_ARRAY_LEN(each); i++) {
        cr_assert(strstr(all, each[i]) != NULL, "%s: %s", each[i], all);
    }
    cr_assert_eq(strlen(all), strlen(STANDING), "%s", all);
}

static void scene_begin(struct scene_held *s, const struct kind *k, const char *point)
{
    test_remove(dbs_path());
    make_t(k, 40, scene_plus_10);
    scene_hold(s, point, 1);
    ok(alters_submit(s->db, "t", k->step, NULL, &s->change));
    test_hold_await(&s->hold);
}

static void scene_end(struct scene_held *s)
{
    dbs_check_sound(s->db);
    scene_held_close(s);
}

/* The points in order; from `flipped` on the type is there. */
static const struct point {
    const char *name;
    bool narrowing; /* only where values may be lost */
    bool flipped;
} points[] = {
    {"change.foreseen", true, false},     {"change.cast", true, false},
    {"change.delete_only", false, false}, {"change.write_only", false, false},
    {"change.cut", false, false},         {"build.snapshot", false, false},
    {"build.loaded", false, false},       {"change.fold_end", false, false},
    {"change.enforcing", false, false},   {"change.validated", false, false},
    {"change.public", false, true},       {"change.lowered", false, true},
    {"change.absent", false, true},       {"change.purged", false, true},
};

static void each_point(const struct kind *k, void (*fn)(const struct kind *, const struct point *))
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        if (k->narrows || !points[i].narrowing) {
            fn(k, &points[i]);
        }
    }
}

/* An index that is made anew has another name meanwhile, which nobody knows: a write that it cannot
 * take is told the name of the one whose place it takes, and so is a change that fails for it. */
Test(retype_index, refusals_have_the_name_that_is_known)
{
    struct scene_held s;
    uint64_t change;
    char row[400];

    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    ok(sqls_run(db, "CREATE INDEX t_q ON t ((100 / b)); CREATE INDEX t_w ON t (b) WHERE 1 / b < 9; "
                    "CREATE INDEX t_c ON t (c)"));
    ok(alters_insert(db, "t", NULL, "1,5,x"));
    ok(instar_close(db));
    scene_hold(&s, "change.write_only", 1);
    db = s.db;
    ok(compounds_submit(
        db, "ALTER TABLE t ALTER b TYPE int8 USING b - 1, ALTER c TYPE text USING c || c", NULL,
        &change));
    test_hold_await(&s.hold);
    fails(alters_insert(db, "t", NULL, "2,1,y"), INSTAR_ERANGE);
    expect(says("index t_q of table t:") || says("index t_w of table t:"));
    (void)snprintf(row, sizeof(row), "2,7,%0300d", 1); /* twice that is no key */
    fails(alters_insert(db, "t", NULL, row), INSTAR_ELIMIT);
    expect(says("index t_c of table t:"));
    test_hold_release(&s.hold);
    scene_await(db, change, INSTAR_OK, NULL);
    ok(alters_insert(db, "t", NULL, "3,1,y"));
    ok(sqls_run(db, "DROP INDEX t_w"));
    fails(sqls_run(db, "ALTER TABLE t ALTER b TYPE int8 USING b - 1"), INSTAR_EFAILED);
    expect(sqls_say("of index t_q of table t:"));
    dbs_check_sound(db);
    scene_held_close(&s);
}

/* ---- writers and readers ------------------------------------------------------------------ */

static void write_at(const struct kind *k, const struct point *at)
{
    struct scene_held s;

    scene_begin(&s, k, at->name);
    if (at->flipped) {
        cr_assert_str_eq(alters_schema(s.db, "t"), k->schema_after, "%s", at->name);
    }
    ok(alters_insert(s.db, "t", NULL, "100,1000,x"));
    ok(alters_update(s.db, "t", "b", 5, "500"));
    ok(alters_update(s.db, "t", "b", 5, "501"));
    ok(alters_update(s.db, "t", "c", 6, "six"));
    ok(alters_update(s.db, "t", "b", 9, "null"));
    ok(dbs_delete(s.db, "t", 7));
    ok(dbs_delete(s.db, "t", 8));
    ok(alters_insert(s.db, "t", NULL, "8,800,null"));
    ok(alters_insert(s.db, "t", NULL, "101,17,y")); /* the value that row 7 had */
    fails(alters_insert(s.db, "t", NULL, "102,501,z"), INSTAR_EUNIQUE);
    cr_assert(strstr(instar_error_text(), "unique index t_u of") != NULL, "%s",
              instar_error_text());
    scene_held_done(&s);
    cr_assert_str_eq(alters_schema(s.db, "t"), k->schema_after);
    expect_standing(s.db);
    fails(alters_insert(s.db, "t", NULL, "103,501,z"), INSTAR_EUNIQUE);
    scene_end(&s);
}

Test(retype_index, rows_written_at_each_wider)
{
    each_point(&widens, write_at);
}

Test(retype_index, rows_written_at_each_narrower)
{
    each_point(&narrows, write_at);
}

Test(retype_index, rows_written_at_each_rounded)
{
    each_point(&rounds, write_at);
}

/* A transaction of the version before goes on beside the next one, and the one behind that waits
 * for it. */
static void write_beside(const struct kind *k, const struct point *at)
{
    struct scene_held s;
    instar_txn *txn;

    scene_begin(&s, k, at->name);
    uint32_t version = dbs_version(s.db, "t");
    instar_projection *p = alters_projection(s.db, "t", NULL);
    ok(instar_begin(s.db, 0, &txn));
    ok(alters_insert_in(txn, p, "200,2000,x"));
    ok(alters_update_in(txn, p, 3, "3,300,null"));
    ok(alters_update_in(txn, p, 12, "12,null,twelve"));
    scene_release_beside(&s, version);
    ok(alters_insert(s.db, "t", NULL, "201,2001,x"));
    ok(alters_update(s.db, "t", "b", 4, "400"));
    ok(dbs_delete(s.db, "t", 11));
    ok(instar_commit(txn));
    instar_projection_free(p);
    scene_await(s.db, s.change, INSTAR_OK, NULL);
    fails(alters_insert(s.db, "t", NULL, "202,2000,z"), INSTAR_EUNIQUE);
    expect_standing(s.db);
    scene_end(&s);
}

Test(retype_index, writers_of_two_versions_wider)
{
    each_point(&widens, write_beside);
}

Test(retype_index, writers_of_two_versions_narrower)
{
    each_point(&narrows, write_beside);
}

Test(retype_index, writers_of_two_versions_rounded)
{
    each_point(&rounds, write_beside);
}

/* ---- cancelled, killed -------------------------------------------------------------------- */

static void cancel_at(const struct kind *k, const struct point *at)
{
    struct scene_held s;

    scene_begin(&s, k, at->name);
    if (at->flipped) {
        fails(instar_change_cancel(s.db, s.change), INSTAR_ESTATE);
        scene_held_done(&s);
    } else {
        ok(instar_change_cancel(s.db, s.change));
        ok(alters_insert(s.db, "t", NULL, "100,1000,x"));
        test_hold_release(&s.hold);
        scene_await(s.db, s.change, INSTAR_ECANCELLED, NULL);
        cr_assert_str_eq(compounds_indexes(s.db, "t"), STANDING, "%s", at->name);
        cr_assert_str_eq(alters_schema(s.db, "t"), k->schema_before, "%s", at->name);
        ok(alters_run(s.db, "t", "rename-index t_u t_v")); /* nothing holds the name */
    }
    scene_end(&s);
}

Test(retype_index, cancelled_at_each_wider)
{
    each_point(&widens, cancel_at);
}

Test(retype_index, cancelled_at_each_narrower)
{
    each_point(&narrows, cancel_at);
}

Test(retype_index, cancelled_at_each_rounded)
{
    each_point(&rounds, cancel_at);
}

struct victim {
    const struct kind *kind;
    const char *point;
    uint64_t nth;
    bool fails;
};

static uint64_t submit(instar *db, const void *arg)
{
    const struct victim *v = arg;
    uint64_t change;

    ok(alters_submit(db, "t", v->kind->step, NULL, &change));
    return change;
}

static void kill_and_finish(const struct victim *v)
{
    struct test_child keeper;
    const struct scene_death death = {v->point, v->nth, v->kind->step, submit, v};
    instar_change_info info;

    test_remove(dbs_path());
    make_t(v->kind, 300, scene_scattered);
    scene_keeper(&keeper);
    if (v->fails) { /* both become 1 */
        instar *before = dbs_open(INSTAR_OPEN_NO_RUNNER);
        ok(alters_insert(before, "t", NULL, "1001,1.25,x"));
        ok(alters_insert(before, "t", NULL, "1002,1.5,x"));
        ok(alters_insert(before, "t", NULL, "1003,1.75,x"));
        ok(instar_close(before));
    }
    scene_kill(&death);
    instar *db = scene_take_over(&death, v->fails ? INSTAR_EFAILED : INSTAR_OK, &info);
    cr_assert_str_eq(alters_schema(db, "t"),
                     v->fails ? v->kind->schema_before : v->kind->schema_after);
    expect_standing(db);
    if (v->fails) {
        cr_assert(strstr(info.reason, "unique index t_u of table t: ") == info.reason, "%s",
                  info.reason);
        cr_assert(strstr(info.reason, "1003") != NULL, "%s", info.reason);
    }
    dbs_end_sound(db);
    scene_runner_end(&keeper);
}

Test(retype_index, runner_is_killed_on_the_way)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        if (strcmp(points[i].name, "change.purged") != 0) {
            kill_and_finish(&(struct victim){&narrows, points[i].name, 1, false});
        }
    }
    kill_and_finish(&(struct victim){&widens, "change.delete_only", 1, false});
    kill_and_finish(&(struct victim){&widens, "change.public", 1, false});
}

/* The same on the way back: nothing of it stays. */
Test(retype_index, runner_is_killed_on_the_way_back)
{
    static const char *const back[] = {"change.turned_back", "change.withdrawn", "change.absent",
                                       "change.purged"};

    for (size_t i = 0; i < BASE_ARRAY_LEN(back); i++) {
        kill_and_finish(&(struct victim){&narrows, back[i], 1, true});
    }
}

/* ---- two versions that read ---------------------------------------------------------------- */

/* How many rows the transaction finds by the index with this value in its first column. */
static size_t count_in(instar_txn *txn, instar_projection *p, const instar_value *value)
{
    const instar_range range = {.lower = value, .lower_count = 1, .upper = value, .upper_count = 1};
    instar_cursor *cursor;
    instar_value row[4];
    size_t count = 0;
    int rc;

    ok(instar_scan(txn, p, &range, &cursor));
    while ((rc = instar_cursor_next(cursor, row)) == 0) {
        count++;
    }
    expect(rc == INSTAR_END);
    instar_cursor_close(cursor);
    return count;
}

static instar_projection *by_index(instar *db, const char *column, const char *index)
{
    instar_projection *p;

    ok(instar_projection_prepare(db, "t", &column, 1, index, &p));
    return p;
}

/* Each looks whether the other's value is there, and writes its own: by the old index and by the
 * new one, in the two versions beside the swap. Never may both commit. */
static void skew(const char *old_row, int64_t old_looks, const char *new_row, const char *new_looks,
                 bool new_first)
{
    struct scene_held s;
    instar_txn *old;
    instar_txn *new;
    const instar_value looks = {.type = INSTAR_INT8, .i = old_looks};
    const instar_value other = {.type = INSTAR_TEXT, .bytes = {new_looks, strlen(new_looks)}};

    test_remove(dbs_path());
    make_t(&widens, 40, scene_plus_10);
    scene_hold(&s, "change.public", 1);
    instar_change_options options = scene_options(60000);
    options.flags = INSTAR_CHANGE_HOLD;
    ok(alters_submit(s.db, "t", widens.step, &options, &s.change));
    instar_change_info info;
    scene_await_waiting(s.db, s.change, "validated", &info);
    instar_projection *rows = alters_projection(s.db, "t", NULL);
    instar_projection *by_b = by_index(s.db, "b", "t_u");
    ok(instar_begin(s.db, 0, &old));
    expect_u64(count_in(old, by_b, &looks), 0);
    ok(alters_insert_in(old, rows, old_row));
    ok(scene_steer(s.db, s.change, 0, INSTAR_CHANGE_HOLD));
    test_hold_await(&s.hold);
    instar_projection *new_rows = alters_projection(s.db, "t", NULL);
    instar_projection *by_text = by_index(s.db, "b", "t_u");
    ok(instar_begin(s.db, 0, &new));
    expect_u64(count_in(new, by_text, &other), 0);
    ok(alters_insert_in(new, new_row[0] != 0 ? new_rows : rows, new_row));
    ok(instar_commit(new_first ? new : old));
    fails(instar_commit(new_first ? old : new), INSTAR_ECONFLICT);
    instar_projection_free(rows);
    instar_projection_free(by_b);
    instar_projection_free(new_rows);
    instar_projection_free(by_text);
    scene_held_done(&s);
    scene_end(&s);
}

Test(retype_index, who_looks_by_either_index_meets_the_other)
{
    skew("301,6001,x", 5001, "302,5001,x", "6001", true);
    skew("301,6001,x", 5001, "302,5001,x", "6001", false);
}

/* One value in both versions is one value. */
Test(retype_index, unique_between_two_versions)
{
    struct scene_held s;
    instar_txn *old;
    instar_change_options options = scene_options(60000);
    instar_change_info info;

    make_t(&widens, 40, scene_plus_10);
    scene_hold(&s, "change.public", 1);
    options.flags = INSTAR_CHANGE_HOLD;
    ok(alters_submit(s.db, "t", widens.step, &options, &s.change));
    scene_await_waiting(s.db, s.change, "validated", &info);
    instar_projection *rows = alters_projection(s.db, "t", NULL);
    ok(instar_begin(s.db, INSTAR_TXN_SNAPSHOT, &old));
    ok(alters_insert_in(old, rows, "301,7001,x"));
    ok(scene_steer(s.db, s.change, 0, INSTAR_CHANGE_HOLD));
    test_hold_await(&s.hold);
    ok(alters_insert(s.db, "t", NULL, "302,7001,x"));
    /* Text alone, and it is no duplicate of anything in the old type either. */
    ok(alters_insert(s.db, "t", NULL, "303,abc,x"));
    ok(alters_insert(s.db, "t", NULL, "304,def,x"));
    ok(alters_insert(s.db, "t", NULL, "305,07001,x"));
    int rc = instar_commit(old);
    cr_assert(rc == INSTAR_EUNIQUE || rc == INSTAR_ECONFLICT, "%d", rc);
    instar_projection_free(rows);
    scene_held_done(&s);
    scene_end(&s);
}

/* 12.5 becomes 12: who has read it in the entries of the old index alone must not commit beside one
 * who has changed the row by the new version. */
Test(retype_index, entry_that_was_read_is_known_by_its_row)
{
    struct scene_held s;
    instar_txn *old;
    instar_change_options options = scene_options(60000);
    instar_change_info info;
    const instar_value half = {.type = INSTAR_FLOAT8, .f = 5012.5};

    make_t(&narrows, 40, scene_plus_10);
    scene_hold(&s, "change.public", 1);
    ok(alters_insert(s.db, "t", NULL, "300,5012.5,x"));
    options.flags = INSTAR_CHANGE_HOLD;
    ok(alters_submit(s.db, "t", narrows.step, &options, &s.change));
    scene_await_waiting(s.db, s.change, "validated", &info);
    instar_projection *rows = alters_projection(s.db, "t", NULL);
    instar_projection *by_b = by_index(s.db, "b", "t_u");
    ok(instar_begin(s.db, 0, &old));
    expect_u64(count_in(old, by_b, &half), 1);
    ok(alters_insert_in(old, rows, "301,6001,x"));
    ok(scene_steer(s.db, s.change, 0, INSTAR_CHANGE_HOLD));
    test_hold_await(&s.hold);
    ok(dbs_delete(s.db, "t", 300));
    fails(instar_commit(old), INSTAR_ECONFLICT);
    instar_projection_free(rows);
    instar_projection_free(by_b);
    scene_held_done(&s);
    scene_end(&s);
}

/* ---- what fails, and what is made by an expression ------------------------------------------ */

static void fails_with(instar *db, const char *step, const char *words)
{
    instar_change_info info;
    uint64_t change;

    ok(alters_submit(db, "t", step, NULL, &change));
    scene_await(db, change, INSTAR_EFAILED, &info);
    cr_assert(strstr(info.reason, words) != NULL, "%s: %s", step, info.reason);
    cr_assert_str_eq(compounds_indexes(db, "t"), STANDING, "%s", step);
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text", "%s", step);
    dbs_check_sound(db);
}

/* What does not fit is found before anything is built of it; what is one value then, and what a
 * check refuses, after that. Rows are named, and nothing stays. */
Test(retype_index, failures_name_rows_and_leave_nothing)
{
    make_t(&widens, 40, scene_plus_10);
    instar *db = dbs_open(0);
    ok(alters_insert(db, "t", NULL, "300,70000,twelve"));
    fails_with(db,
               "set-type b text using (CASE WHEN b > 60000 THEN (b / (b - b))::text ELSE "
               "b::text END)",
               "column b cannot become text in 1 row: row (a=300)");
    fails_with(db, "set-type b text using (CASE WHEN b < 20 THEN 'few' ELSE b::text END)",
               "unique index t_u of table t: 1 key occurs more than once: ");
    fails_with(db, "set-type c int8 using", "column c cannot become int8 in ");
    ok(alters_run(db, "t", "check - b > 5"));
    int rc = alters_run(db, "t", "set-type b text");
    cr_assert_neq(rc, 0); /* text > 5 has no meaning */
    ok(alters_run(db, "t", "drop-constraint t_b_check"));
    ok(instar_close(db));
}

/* USING makes the entries, too; and a version later they are those of the column. */
Test(retype_index, values_made_by_an_expression)
{
    make_t(&widens, 40, scene_plus_10);
    instar *db = dbs_open(0);
    ok(alters_run(db, "t", "set-type b text using ('no ' || b::text)"));
    expect_standing(db);
    dbs_check_sound(db);
    fails(alters_insert(db, "t", NULL, "300,no 12,x"), INSTAR_EUNIQUE);
    ok(alters_run(db, "t",
                  "drop-constraint t_u , set-type b int8 using length(b)::int8 * 1000 , "
                  "set-type c varchar(20)"));
    dbs_end_sound(db);
}

/* Integers have one key: what is made of them alone stays as it is; what carries them along, or
 * computes with them, is made anew, in the same version. */
Test(retype_index, integers_that_are_included_or_computed_with)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 41, scene_plus_10);
    ok(alters_run(db, "t", "set-type b int4"));
    ok(compounds_run(db, "CREATE UNIQUE INDEX t_b ON t (b); CREATE INDEX t_x ON t ((b + 1)); "
                         "CREATE INDEX t_i ON t (c) INCLUDE (b); CREATE INDEX t_p ON t (c) WHERE "
                         "b > 20"));
    ok(alters_run(db, "t", "set-type b int8"));
    cr_assert(strstr(compounds_indexes(db, "t"), "t_b unique public") != NULL);
    ok(alters_insert(db, "t", NULL, "300,3000000000,x"));
    dbs_check_sound(db);
    fails(alters_run(db, "t", "set-type b int4"), INSTAR_EFAILED);
    ok(dbs_delete(db, "t", 300));
    ok(alters_run(db, "t", "set-type b int4"));
    dbs_end_sound(db);
}

/* An index to which a foreign key refers keeps the types of its columns; one that a foreign key of
 * the table itself needs is made anew, and serves it on. */
Test(retype_index, indexes_that_foreign_keys_need)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "p");
    dbs_make_table(db, "t");
    ok(sqls_run(db, "CREATE UNIQUE INDEX p_b ON p (b) INCLUDE (c); "
                    "CREATE INDEX t_bc ON t (b, c)"));
    ok(sqls_run(db, "ALTER TABLE t ADD CONSTRAINT t_f FOREIGN KEY (b) REFERENCES p (b)"));
    ok(alters_insert(db, "p", NULL, "1,11,7"));
    ok(alters_insert(db, "p", NULL, "2,12,8"));
    ok(alters_insert(db, "t", NULL, "1,11,5"));
    fails(alters_run(db, "p", "set-type b text"), INSTAR_ESTATE);
    fails(alters_run(db, "p", "set-type c int8 using"), INSTAR_ESTATE);
    fails(alters_run(db, "t", "set-type b text"), INSTAR_ESTATE);
    ok(alters_run(db, "t", "set-type c int8 using"));
    fails(dbs_delete(db, "p", 1), INSTAR_EREFERENCE);
    fails(alters_insert(db, "t", NULL, "2,13,5"), INSTAR_EREFERENCE);
    ok(dbs_delete(db, "p", 2));
    dbs_end_sound(db);
}
