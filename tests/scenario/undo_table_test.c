/* SPDX-License-Identifier: Apache-2.0 */
/* A dropped table is kept for its undo window: it comes back as it was, or is purged. */
#include "api/api_impl.h"
#include "change/undo_impl.h"
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

/* t(a, b, c) with rows (1, 11) … (`rows`, …), an index, a unique index, a UNIQUE and a check. */
static instar *open_t(uint32_t flags, int64_t rows)
{
    instar *db = dbs_open(flags);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, rows + 1, scene_plus_10);
    ok(dbs_index(db, "t_b", "t", "b", true, NULL));
    ok(sqls_run(db, "CREATE INDEX t_part ON t (c) INCLUDE (b) WHERE b > 12;"
                    "ALTER TABLE t ADD CONSTRAINT low CHECK (b < 100000);"
                    "ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (b, a)"));
    return db;
}

static uint64_t drop(instar *db, const char *table, uint64_t window_s)
{
    instar_change_options o = scene_options(30000);
    uint64_t change;

    o.undo_window_s = window_s;
    ok(instar_drop_table(db, table, &o, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    return change;
}

static int undo(instar *db, uint64_t change, const char *name)
{
    uint64_t id;
    int rc = instar_change_undo(db, change, name, NULL, &id);

    return rc != 0 ? rc : instar_change_wait(db, id, TEST_AWAIT_S * 1000, NULL);
}

static uint64_t trees(instar *db)
{
    instar_stats stats = {.struct_size = sizeof(stats)};

    ok(instar_stat(db, &stats));
    return stats.tree_count;
}

/* It comes back with rows, indexes and constraints, and is a table like any other. Meanwhile it is
 * gone, and says until when it can be undone. */
Test(undo_table, comes_back_as_it_was)
{
    instar *db = open_t(0, 20);
    char schema[1024];

    snprintf(schema, sizeof(schema), "%s", sqls_schema(db, "t"));
    uint64_t change = drop(db, "t", 3600);
    instar_change_info info = scene_look(db, change);
    expect(info.state == INSTAR_CHANGE_DONE);
    expect(info.undo_until_us > info.finished_us + 3500 * INT64_C(1000000));
    expect_u64(info.taken_by, 0);
    fails(dbs_insert(db, "t", 50, 60), INSTAR_EUNKNOWN);
    dbs_check_sound(db);
    ok(undo(db, change, NULL));
    cr_assert_str_eq(sqls_schema(db, "t"), schema);
    ok(dbs_insert(db, "t", 50, 60));
    fails(dbs_insert(db, "t", 51, 60), INSTAR_EUNIQUE);
    fails(dbs_insert(db, "t", 51, 100000), INSTAR_ECHECK);
    ok(dbs_delete(db, "t", 1));
    cr_assert_str_eq(sqls_scan(db, "t", "a,b", "t_b", NULL), sqls_scan(db, "t", "a,b", NULL, NULL));
    info = scene_look(db, change);
    expect(info.undo_until_us == 0 && info.taken_by > change);
    fails(undo(db, change, NULL), INSTAR_ESTATE);
    expect(says("was undone by change"));
    ok(alters_run(db, "t", "rename-column c cc , add d int8 default 1"));
    dbs_end_sound(db);
    db = dbs_open(0);
    dbs_end_sound(db);
}

/* The name is free meanwhile. When another table has it, undo asks for another one; indexes get
 * theirs with a number. */
Test(undo_table, name_taken)
{
    instar *db = open_t(0, 5);
    instar_change_info info;
    uint64_t change = drop(db, "t", 3600);
    uint64_t id;

    dbs_make_table(db, "t");
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    fails(undo(db, change, NULL), INSTAR_EEXISTS);
    expect(says("another name"));
    fails(undo(db, change, ""), INSTAR_EINVALID);
    ok(instar_change_undo(db, change, "old", NULL, &id));
    scene_await(db, id, INSTAR_OK, &info);
    cr_assert_str_eq(info.object, "old");
    cr_assert_str_eq(info.reason, "the name of index t_b is taken, it is now t_b_1");
    cr_assert_str_eq(dbs_dump(db, "old", "t_b_1"), "1:11 2:12 3:13 4:14 5:15 ");
    cr_assert_str_eq(dbs_dump(db, "t", NULL), "");
    ok(dbs_drop_index(db, "t_b_1"));
    ok(dbs_index(db, "t_b_1", "t", "b", false, NULL));
    dbs_end_sound(db);
}

/* Several are taken, one of them so long that it is cut, between two characters; and what would be
 * their next name is one of the table's own. */
Test(undo_table, names_taken)
{
    char text[2048], name[INSTAR_NAME_BYTES_MAX + 1];
    instar *db = dbs_open(0);
    instar_change_info info;
    uint64_t id;

    memset(name, 'x', sizeof(name));
    (void)snprintf(name + INSTAR_NAME_BYTES_MAX - 3, 4, "ß");
    (void)snprintf(text, sizeof(text),
                   "CREATE TABLE p (a int8 PRIMARY KEY);"
                   "CREATE TABLE k (a int8 PRIMARY KEY, b int8, c int8, CONSTRAINT i2_1 CHECK (a > "
                   "0)); CREATE INDEX %s ON k (b); CREATE INDEX i2 ON k (c); CREATE INDEX i3 ON k "
                   "(b, c); CREATE INDEX i3_2 ON k (c, b);"
                   "ALTER TABLE k ADD CONSTRAINT r1 FOREIGN KEY (b) REFERENCES p, ADD CONSTRAINT "
                   "r2 FOREIGN KEY (c) REFERENCES p",
                   name);
    ok(sqls_run(db, text));
    uint64_t change = drop(db, "k", 3600);
    (void)snprintf(text, sizeof(text),
                   "CREATE TABLE o (x int8); CREATE INDEX %s ON o (x); CREATE INDEX i2 ON o (x); "
                   "CREATE INDEX i3 ON o (x)",
                   name);
    ok(sqls_run(db, text));
    ok(instar_change_undo(db, change, "i3_1", NULL, &id));
    scene_await(db, id, INSTAR_OK, &info);
    name[INSTAR_NAME_BYTES_MAX - 3] = '\0';
    (void)snprintf(text, sizeof(text), "is taken, it is now %s_1", name);
    expect(strstr(info.reason, text) != NULL);
    expect(strstr(info.reason, "index i2 is taken, it is now i2_2; ") != NULL);
    expect(strstr(info.reason, "index i3 is taken, it is now i3_3") != NULL);
    expect(strstr(info.reason, "foreign key r1 is not brought back: add it again; foreign key r2 "
                               "is not brought back") != NULL);
    dbs_end_sound(db);
}

/* Without a window all is purged at once, and nothing can be undone; so it is by default. */
Test(undo_table, nothing_is_kept_unless_asked_for)
{
    instar *db = open_t(0, 5);
    uint64_t change;

    ok(instar_drop_table(db, "t", NULL, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    expect(scene_look(db, change).undo_until_us == 0);
    fails(undo(db, change, NULL), INSTAR_ESTATE);
    expect(says("keeps nothing"));
    fails(undo(db, 4711, NULL), INSTAR_EUNKNOWN);
    fails(undo(db, 1, NULL), INSTAR_ESTATE); /* it made the table */
    dbs_end_sound(db);
}

/* The option of the one who opens counts where the request says nothing; 0 in the request wins. */
Test(undo_table, window_of_the_store)
{
    instar_options o = dbs_options();
    uint64_t change;
    instar *db;

    o.flags |= INSTAR_OPEN_CREATE;
    o.undo_window_s = 3600;
    ok(instar_open(dbs_path(), &o, &db));
    dbs_make_table(db, "t");
    dbs_make_table(db, "u");
    ok(instar_drop_table(db, "t", NULL, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    expect(scene_look(db, change).undo_until_us != 0);
    ok(undo(db, change, NULL));
    change = drop(db, "u", 0);
    fails(undo(db, change, NULL), INSTAR_ESTATE);
    o.undo_window_s = UINT64_C(1) << 60;
    ok(instar_close(db));
    fails(instar_open(dbs_path(), &o, &db), INSTAR_EINVALID);
    expect(says("undo_window_s"));
}

/* When the window is over, whoever is there purges; the trees go, and undo says why not. */
Test(undo_table, window_over)
{
    struct test_child runner;

    scene_runner(&runner);
    instar *db = open_t(INSTAR_OPEN_NO_RUNNER, 5);
    dbs_check_sound(db); /* waits for the applier */
    uint64_t before = trees(db);
    uint64_t change = drop(db, "t", 1);
    scene_await_purge(db, change);
    fails(undo(db, change, NULL), INSTAR_ESTATE);
    expect(says("purged"));
    dbs_check_sound(db);
    expect_u64(trees(db), before - 4);
    ok(instar_close(db));
    scene_runner_end(&runner);
}

static int64_t wall_us;

static int64_t at_wall(void *arg)
{
    (void)arg;
    return wall_us;
}

/* A store that was closed at the deadline purges when it is opened next. One that is not over is
 * still there, and can be undone then. */
Test(undo_table, window_over_while_closed)
{
    static const struct os_hooks hooks = {.realtime_us = at_wall};
    instar *db = open_t(0, 5);

    dbs_make_table(db, "u");
    ok(dbs_insert(db, "u", 1, 2));
    uint64_t change = drop(db, "t", 1);
    uint64_t kept = drop(db, "u", 3600);
    int64_t until = scene_look(db, change).undo_until_us;
    ok(instar_close(db));
    wall_us = until; /* over from its last microsecond on */
    os_hooks_set(&hooks);
    db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    fails(instar_change_undo(db, change, NULL, NULL, &(uint64_t){0}), INSTAR_ESTATE);
    expect(says("was over at"));
    ok(instar_close(db));
    os_hooks_set(NULL);
    while (os_realtime_us() <= until) {
        os_sleep_ns(20 * NS_PER_MS);
    }
    db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    fails(instar_change_undo(db, change, NULL, NULL, &(uint64_t){0}), INSTAR_ESTATE);
    expect(says("was over at"));
    ok(instar_close(db));
    db = dbs_open(0);
    scene_await_purge(db, change);
    ok(undo(db, kept, NULL));
    cr_assert_str_eq(dbs_dump(db, "u", NULL), "1:2 ");
    dbs_end_sound(db);
}

static instar *reopen(instar *db, uint32_t flags)
{
    ok(instar_close(db));
    return dbs_open(flags);
}

static uint64_t drop_column(instar *db, const char *table)
{
    instar_alteration step = {.kind = INSTAR_ALTER_DROP_COLUMN, .name = "c"};
    instar_change_options o = scene_options(30000);
    uint64_t change;

    o.undo_window_s = 1;
    ok(instar_alter_table(db, table, &step, 1, &o, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    return change;
}

/* Of two processes that find a window over, or of one and somebody who undoes the drop, one comes
 * too late: it does nothing, and says nothing. */
Test(undo_table, somebody_else_was_faster)
{
    instar *db = reopen(open_t(0, 3), 0);
    uint64_t change = drop(db, "t", 3600);

    must(undo_submit_purge(db->changes, change, &test_err)); /* its window is not over */
    expect(scene_look(db, change).taken_by == 0);
    ok(undo(db, change, NULL));
    uint64_t taken_by = scene_look(db, change).taken_by;
    must(undo_submit_purge(db->changes, change, &test_err));
    expect_u64(scene_look(db, change).taken_by, taken_by);
    dbs_end_sound(db);
}

/* Memory is refused to the submission of a purge, one request at a time: it comes to nothing, and
 * can be tried again; of a table, of a column, and of a column whose table has gone since. */
Test(undo_table, purge_without_memory)
{
    instar *db = dbs_open(0);
    uint64_t drops[3];

    dbs_make_table(db, "t");
    dbs_make_table(db, "u");
    dbs_make_table(db, "v");
    ok(instar_close(db));
    db = dbs_open(0);
    drops[0] = drop_column(db, "t");
    drops[1] = drop_column(db, "u");
    ok(scene_drop_table(db, "u"));
    drops[2] = drop(db, "v", 1);
    int64_t until = scene_look(db, drops[2]).undo_until_us;
    db = reopen(db, INSTAR_OPEN_NO_RUNNER);
    while (os_realtime_us() <= until) {
        os_sleep_ns(20 * NS_PER_MS);
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(drops); i++) {
        for (uint64_t nth = 1;; nth++) {
            test_shortage_set(&(struct test_shortage){.nth = nth, .mine = true});
            base_err_clear(&test_err);
            int rc = undo_submit_purge(db->changes, drops[i], &test_err);
            bool fired = test_shortage_fired() > 0;
            test_shortage_set(NULL);
            if (rc == INSTAR_OK) {
                expect(nth > 5);
                break;
            }
            cr_assert(rc == INSTAR_ENOMEM && fired, "%zu, request %llu: %s: %s", i,
                      (unsigned long long)nth, instar_error_name(rc), test_err.text);
        }
    }
    db = reopen(db, 0);
    scene_await_purge(db, drops[0]);
    scene_await_purge(db, drops[2]);
    dbs_end_sound(db);
}

/* A transaction that was open at the drop still writes into the table: what it commits is kept with
 * it. The undo waits for such a transaction, and until then nothing is back. */
Test(undo_table, transactions_of_the_version_before)
{
    struct test_child runner;
    instar_change_info info;
    instar_txn *txn;
    uint64_t change, id;

    scene_runner(&runner);
    instar *db = open_t(INSTAR_OPEN_NO_RUNNER, 3);
    instar_projection *p = alters_projection(db, "t", "a,b");
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, p, "7,17"));
    change = drop(db, "t", 3600);
    ok(instar_change_undo(db, change, NULL, NULL, &id));
    scene_await_waiting(db, id, "kept", &info);
    fails(dbs_insert(db, "t", 8, 18), INSTAR_EUNKNOWN);
    ok(instar_commit(txn));
    scene_await(db, id, INSTAR_OK, NULL);
    cr_assert_str_eq(dbs_dump(db, "t", "t_b"), "1:11 2:12 3:13 7:17 ");
    instar_projection_free(p);
    dbs_end_sound(db);
    scene_runner_end(&runner);
}

/* Cancelled before it is back, an undo leaves the table kept, and its names free. */
Test(undo_table, cancelled)
{
    struct test_child runner;
    instar_change_info info;
    instar_txn *txn;
    uint64_t id;

    scene_runner(&runner);
    instar *db = open_t(INSTAR_OPEN_NO_RUNNER, 3);
    instar_projection *p = alters_projection(db, "t", "a,b");
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, p, "7,17"));
    uint64_t change = drop(db, "t", 3600);
    ok(instar_change_undo(db, change, NULL, NULL, &id));
    scene_await_waiting(db, id, "kept", &info);
    fails(undo(db, change, NULL), INSTAR_ESTATE);
    expect(says("is being undone"));
    ok(instar_change_cancel(db, id));
    scene_await(db, id, INSTAR_ECANCELLED, NULL);
    instar_abort(txn);
    info = scene_look(db, change);
    expect(info.undo_until_us != 0 && info.taken_by == 0);
    dbs_make_table(db, "t");
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(undo(db, change, "back"));
    cr_assert_str_eq(dbs_dump(db, "back", NULL), "1:11 2:12 3:13 ");
    instar_projection_free(p);
    dbs_end_sound(db);
    scene_runner_end(&runner);
}

/* Dropped and undone again and again, while other tables are written and another one takes the
 * name in between. */
Test(undo_table, again_and_again_beside_writers)
{
    struct test_child runner;
    uint64_t change;

    scene_runner(&runner);
    instar *db = open_t(INSTAR_OPEN_NO_RUNNER, 10);
    dbs_make_table(db, "w");
    for (int64_t i = 0; i < 5; i++) {
        ok(dbs_insert(db, "w", i, i));
        change = drop(db, "t", 3600);
        ok(dbs_update(db, "w", i, i + 1));
        if (i % 2 != 0) {
            dbs_make_table(db, "t");
            ok(dbs_insert(db, "t", 1, 1));
            ok(scene_drop_table(db, "t"));
        }
        ok(undo(db, change, NULL));
        ok(dbs_update(db, "t", 1, 100 + i));
        ok(dbs_insert(db, "t", 20 + i, 200 + i));
    }
    cr_assert_str_eq(dbs_dump(db, "w", NULL), "0:1 1:2 2:3 3:4 4:5 ");
    cr_assert_str_eq(sqls_scan(db, "t", "a,b", "t_b", NULL),
                     "2,12;3,13;4,14;5,15;6,16;7,17;8,18;9,19;10,20;1,104;20,200;21,201;22,202;"
                     "23,203;24,204");
    dbs_end_sound(db);
    scene_runner_end(&runner);
}

/* ---- death -------------------------------------------------------------------------------- */

enum work { DROP, UNDO, PURGE };
struct victim {
    const char *point;
    uint64_t nth;
    enum work work;
    uint64_t change;
};

static uint64_t submit(instar *db, const void *arg)
{
    const struct victim *v = arg;
    instar_change_options o = scene_options(30000);
    uint64_t change;

    o.undo_window_s = v->work == PURGE ? 1 : 3600;
    if (v->work == UNDO) {
        ok(instar_change_undo(db, v->change, NULL, NULL, &change));
    } else {
        ok(instar_drop_table(db, "t", &o, &change));
    }
    if (v->work == PURGE) {
        instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
        scene_await_purge(db, change);
    }
    return change;
}

static int last_of_kind(void *arg, const instar_change_info *info)
{
    instar_change_info *last = arg;

    if (strcmp(info->kind, last->kind) == 0) {
        *last = *info;
    }
    return 0;
}

static instar_change_info find(instar *db, const char *kind)
{
    instar_change_info info = {0};

    snprintf(info.kind, sizeof(info.kind), "%s", kind);
    ok(instar_change_list(db, last_of_kind, &info));
    expect(info.id != 0);
    return info;
}

static void kill_at(const struct victim *v)
{
    scene_kill(&(struct scene_death){v->point, v->nth, NULL, submit, v});
}

/* Whoever drops, undoes or purges is killed: the next process goes on, and nothing is half done. */
Test(undo_table, runner_is_killed)
{
    static struct victim victims[] = {
        {"change.submitted", 1, DROP, 0},  {"change.claimed", 1, DROP, 0},
        {"change.published", 1, DROP, 0},  {"change.submitted", 1, UNDO, 0},
        {"change.claimed", 1, UNDO, 0},    {"change.published", 1, UNDO, 0},
        {"change.submitted", 2, PURGE, 0}, {"change.claimed", 2, PURGE, 0},
        {"change.purged", 1, PURGE, 0},
    };
    instar *db = open_t(0, 5);

    ok(instar_close(db));
    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        struct victim *v = &victims[i];
        if (v->work == UNDO) {
            db = dbs_open(0);
            v->change = drop(db, "t", 3600);
            ok(instar_close(db));
        }
        kill_at(v);
        db = dbs_open(0);
        if (v->work == UNDO) {
            scene_await(db, find(db, "undo").id, INSTAR_OK, NULL);
        } else {
            uint64_t change = find(db, "drop table").id;
            scene_await(db, change, INSTAR_OK, NULL);
            if (v->work == DROP) {
                ok(undo(db, change, NULL));
            } else {
                scene_await_purge(db, change);
                ok(instar_close(db));
                db = open_t(0, 5);
            }
        }
        cr_assert_str_eq(dbs_dump(db, "t", "t_b"), "1:11 2:12 3:13 4:14 5:15 ", "%s", v->point);
        dbs_end_sound(db);
    }
}

/* ---- SQL ---------------------------------------------------------------------------------- */

/* By SQL the same: the window with the statement, RENAME TO, EXPLAIN of both. */
Test(undo_table, by_sql)
{
    instar *db = open_t(0, 3);
    char text[64];

    const char *plan = sqls_explain(db, "EXPLAIN DROP TABLE t WITH (undo_window_s = 60)");
    expect(strstr(plan, "kept for 60 s") != NULL && strstr(plan, "purge:") == NULL);
    plan = sqls_explain(db, "EXPLAIN DROP TABLE t");
    expect(strstr(plan, "kept for") == NULL && strstr(plan, "purge:") != NULL);
    ok(sqls_run(db, "DROP TABLE t WITH (undo_window_s = 60)"));
    uint64_t change = find(db, "drop table").id;
    snprintf(text, sizeof(text), "EXPLAIN UNDO CHANGE %llu", (unsigned long long)change);
    expect(strstr(sqls_explain(db, text), "publish the table as before the drop") != NULL);
    snprintf(text, sizeof(text), "UNDO CHANGE %llu RENAME TO \"Back\"", (unsigned long long)change);
    ok(sqls_run(db, text));
    cr_assert_str_eq(find(db, "undo").statement, "UNDO CHANGE 6 RENAME TO \"Back\" (DROP TABLE t)");
    cr_assert_str_eq(dbs_dump(db, "Back", NULL), "1:11 2:12 3:13 ");
    fails(sqls_run(db, text), INSTAR_ESTATE);
    expect(sqls_say("was undone"));
    fails(sqls_run(db, "DROP INDEX t_b WITH (undo_window_s = 60)"), INSTAR_EINVALID);
    expect(sqls_say("undo_window_s is for DROP TABLE"));
    fails(sqls_run(db, "UNDO CHANGE 5 RENAME old"), INSTAR_EINVALID);
    expect(sqls_say("expected TO"));
    fails(sqls_run(db, "UNDO CHANGE x"), INSTAR_EINVALID);
    fails(sqls_run(db, "UNDO CHANGE 5 CASCADE"), INSTAR_EINVALID);
    fails(sqls_run(db, "DROP TABLE t WITH (undo_window_s = 1, undo_window_s = 2)"),
          INSTAR_EINVALID);
    expect(sqls_say("given twice"));
    dbs_end_sound(db);
}
