/* SPDX-License-Identifier: Apache-2.0 */
/* A foreign key on its way, at each of its stages: writers of both versions of both tables, the
 * process that runs it killed, a cancel, other changes of either table. */
#include "support/moves.h"

#include <instar_sql.h>
#include <string.h>

static bool shows(instar *db, const char *table, const char *words)
{
    return strstr(sqls_schema(db, table), words) != NULL;
}

static void make_tables(instar *db)
{
    ok(sqls_run(db, "create table p (id int8 primary key, v int8);"
                    "create table c (id int8 primary key, p int8); create index c_p on c (p)"));
    ok(moves_run(db, "insert p 1,10 ; insert p 2,20 ; insert p 3,30 ; insert c 1,1 ; insert c "
                     "2,2"));
}

static uint64_t submit(instar *db, bool not_valid)
{
    const char *column = "p";
    const instar_fkey_def def = {
        .name = "k", .columns = &column, .column_count = 1, .parent = "p", .not_valid = not_valid};
    const instar_alteration step = {.kind = INSTAR_ALTER_ADD_FOREIGN_KEY, .fkey = &def};
    uint64_t change = 0;

    ok(instar_alter_table(db, "c", &step, 1, NULL, &change));
    return change;
}

/* The foreign key is held at the point. */
static void scene_begin(struct scene_held *s, const char *point)
{
    scene_hold(s, point, 1);
    make_tables(s->db);
    s->change = submit(s->db, false);
    test_hold_await(&s->hold);
}

static void scene_end(struct scene_held *s)
{
    dbs_check_sound(s->db);
    scene_held_close(s);
}

/* From enforcing on writers of both tables obey, though no row was looked at yet. */
Test(foreign_key_stages, enforced_while_it_is_validated)
{
    struct scene_held s;

    scene_begin(&s, "validate.snapshot");
    fails(moves_run(s.db, "insert c 3,9"), INSTAR_EREFERENCE);
    fails(moves_run(s.db, "delete p 1"), INSTAR_EREFERENCE);
    ok(moves_run(s.db, "insert c 3,3"));
    fails(moves_run(s.db, "delete p 3"), INSTAR_EREFERENCE);
    scene_held_done(&s);
    expect(shows(s.db, "c", "ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p (id);"));
    scene_end(&s);
}

/* Cancelled while it reads: nothing binds anybody any more. */
Test(foreign_key_stages, cancelled_while_it_is_validated)
{
    struct scene_held s;

    scene_begin(&s, "validate.snapshot");
    scene_held_cancel(&s);
    expect(!shows(s.db, "c", "FOREIGN"));
    ok(moves_run(s.db, "insert c 3,9"));
    ok(moves_run(s.db, "delete p 1"));
    scene_end(&s);
}

/* A transaction of either table that began before is waited for, and what it does is found. */
static void wait_for_writer(const char *text, const char *found)
{
    struct test_child runner;
    instar_change_info info;
    instar_txn *txn;

    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    make_tables(db);
    ok(instar_begin(db, 0, &txn));
    ok(moves_do(db, txn, text));
    uint64_t change = submit(db, false);
    scene_await_waiting(db, change, "enforcing", &info);
    fails(moves_run(db, "insert c 9,9"), INSTAR_EREFERENCE);
    ok(instar_commit(txn));
    scene_await(db, change, INSTAR_EFAILED, &info);
    cr_assert(strstr(info.reason, found) != NULL, "%s", info.reason);
    expect(info.error == INSTAR_EREFERENCE);
    expect_u64(info.duplicate_count, 1);
    ok(moves_run(db, "insert c 9,9"));
    dbs_end_sound(db);
    scene_runner_end(&runner);
}

Test(foreign_key_stages, writer_of_the_child_from_before_is_waited_for)
{
    wait_for_writer("insert c 5,7", "row (id=5) refers to (7)");
}

Test(foreign_key_stages, writer_of_the_parent_from_before_is_waited_for)
{
    wait_for_writer("delete p 1", "row (id=1) refers to (1)");
}

/* A new table that refers to others has no name before their writers know of it; then it holds from
 * its first row on. */
Test(foreign_key_stages, new_table_waits_for_writers_of_its_parents)
{
    struct test_child runner;
    instar_change_info info;
    instar_column_def columns[] = {{"id", INSTAR_INT8, false, NULL, 0},
                                   {"p", INSTAR_INT8, false, NULL, 0}};
    instar_key_column key = {.name = "id"};
    const char *column = "p";
    instar_fkey_def fkey = {.columns = &column, .column_count = 1, .parent = "p"};
    instar_table_def def = {.name = "n",
                            .columns = columns,
                            .column_count = 2,
                            .key = &key,
                            .key_count = 1,
                            .fkeys = &fkey,
                            .fkey_count = 1};
    instar_projection *p = NULL;
    instar_txn *txn;
    uint64_t change;

    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    make_tables(db);
    ok(instar_begin(db, 0, &txn));
    ok(moves_do(db, txn, "delete p 3"));
    ok(instar_create_table(db, &def, NULL, &change));
    scene_await_waiting(db, change, "hidden", &info);
    fails(instar_projection_prepare(db, "n", NULL, 0, NULL, &p), INSTAR_EUNKNOWN);
    fails(sqls_run(db, "drop table p"), INSTAR_ESTATE);
    ok(instar_commit(txn));
    scene_await(db, change, INSTAR_OK, &info);
    fails(moves_run(db, "insert n 1,3"), INSTAR_EREFERENCE);
    ok(moves_run(db, "insert n 1,2"));
    fails(moves_run(db, "delete p 2"), INSTAR_EREFERENCE);
    dbs_check_sound(db);
    ok(sqls_run(db, "drop table n; drop table p"));
    dbs_end_sound(db);
    scene_runner_end(&runner);
}

/* A transaction of the parent that knows of the new table, but began before it had its name, still
 * meets who refers to what it takes away. */
Test(foreign_key_stages, writer_on_the_version_before_the_name)
{
    struct scene_held s;
    instar_txn *txn;

    scene_hold(&s, "change.hidden", 1);
    instar *db = s.db;
    make_tables(db);
    instar_sql *sql = NULL;
    const char *text = "create table n (id int8 primary key, p int8 references p)";
    uint64_t change;
    ok(instar_sql_read(text, strlen(text), NULL, &sql, NULL));
    ok(instar_sql_submit(db, sql, 0, &change, NULL));
    instar_sql_free(sql);
    test_hold_await(&s.hold);
    ok(instar_begin(db, INSTAR_TXN_SNAPSHOT, &txn));
    ok(moves_do(db, txn, "delete p 3"));
    test_hold_release(&s.hold);
    scene_await(db, change, INSTAR_OK, NULL);
    ok(moves_run(db, "insert n 1,3"));
    fails(instar_commit(txn), INSTAR_ECONFLICT);
    dbs_check_sound(db);
    scene_held_close(&s);
}

/* A change of the parent waits for its turn, and so does one of the child. */
Test(foreign_key_stages, changes_of_both_tables_wait)
{
    struct scene_held s;
    instar_change_options options;
    instar_alteration rename = {.kind = INSTAR_ALTER_RENAME_COLUMN, .name = "v", .new_name = "w"};
    uint64_t of_parent;
    uint64_t drop;

    instar_change_options_init(&options);
    scene_begin(&s, "validate.snapshot");
    ok(instar_alter_table(s.db, "p", &rename, 1, &options, &of_parent));
    ok(sqls_run(s.db, "create table z (a int8 primary key)")); /* came later, and had its turn */
    expect(strcmp(scene_look(s.db, of_parent).stage, "queued") == 0);
    fails(instar_drop_table(s.db, "p", &options, &drop), INSTAR_ESTATE);
    scene_held_done(&s);
    scene_await(s.db, of_parent, INSTAR_OK, NULL);
    fails(moves_run(s.db, "delete p 1"), INSTAR_EREFERENCE);
    scene_end(&s);
}

/* The table is dropped in mid-validation: the change is cancelled, and the parent is free. */
Test(foreign_key_stages, child_dropped_in_mid_validation)
{
    struct scene_held s;
    uint64_t drop;

    scene_begin(&s, "validate.snapshot");
    ok(instar_drop_table(s.db, "c", NULL, &drop));
    test_hold_release(&s.hold);
    scene_await(s.db, s.change, INSTAR_ECANCELLED, NULL);
    scene_await(s.db, drop, INSTAR_OK, NULL);
    ok(moves_run(s.db, "delete p 1"));
    ok(sqls_run(s.db, "drop table p"));
    scene_end(&s);
}

/* A drop that was asked for before, of what is referred to, goes first; the foreign key fails. */
Test(foreign_key_stages, parent_loses_its_key_before)
{
    struct scene_held s;
    instar_change_info info;
    uint64_t drop;

    scene_hold(&s, "change.claimed", 4);
    instar *db = s.db;
    make_tables(db);
    ok(instar_drop_index(db, "c_p", NULL, &drop));
    test_hold_await(&s.hold);
    uint64_t change = submit(db, false);
    test_hold_release(&s.hold);
    scene_await(db, drop, INSTAR_OK, NULL);
    scene_await(db, change, INSTAR_EFAILED, &info);
    expect(strstr(info.reason, "CREATE INDEX c_p_idx ON c (p) makes one") != NULL);
    ok(moves_run(db, "insert c 3,9"));
    dbs_check_sound(db);
    scene_held_close(&s);
}

/* Whoever looks into a table at commit holds a lease on it: changes of it wait for that one, too.
 */
Test(foreign_key_stages, both_ends_are_leased)
{
    static const struct {
        const char *move;
        const char *table;
        const char *column;
    } cases[] = {{"insert c 9,1", "p", "v"}, {"delete p 3", "c", "p"}};

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        struct test_child runner;
        instar_change_info info;
        instar_alteration step = {.kind = INSTAR_ALTER_SET_NOT_NULL, .name = cases[i].column};
        instar_txn *txn;
        uint64_t change;

        test_remove(dbs_path());
        scene_runner(&runner);
        instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
        make_tables(db);
        scene_await(db, submit(db, false), INSTAR_OK, NULL);
        ok(instar_begin(db, 0, &txn));
        ok(moves_do(db, txn, cases[i].move));
        ok(instar_alter_table(db, cases[i].table, &step, 1, NULL, &change));
        scene_await_waiting(db, change, "enforcing", &info);
        ok(instar_commit(txn));
        scene_await(db, change, INSTAR_OK, NULL);
        dbs_end_sound(db);
        scene_runner_end(&runner);
    }
}

/* ---- killed ------------------------------------------------------------------------------- */

static uint64_t submit_fkey(instar *db, const void *arg)
{
    (void)arg;
    return submit(db, false);
}

/* Who runs it is killed: the next process finishes or undoes it, in both tables. */
Test(foreign_key_stages, killed_at_each_stage)
{
    static const struct {
        const char *point;
        bool stray; /* a row refers to nothing: the change fails */
    } victims[] = {
        {"change.submitted", false}, {"change.enforcing", false}, {"validate.snapshot", false},
        {"change.validated", false}, {"change.altered", false},   {"change.turned_back", true},
        {"change.relaxed", true},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        const struct scene_death death = {.point = victims[i].point, .submit = submit_fkey};
        bool stray = victims[i].stray;
        test_remove(dbs_path());
        instar *db = dbs_open(0);
        make_tables(db);
        if (stray) {
            ok(moves_run(db, "insert c 3,9"));
        }
        ok(instar_close(db));
        scene_kill(&death);
        db = scene_take_over(&death, stray ? INSTAR_EFAILED : INSTAR_OK, NULL);
        cr_assert(shows(db, "c", "FOREIGN") == !stray, "%s", death.point);
        if (stray) {
            ok(moves_run(db, "insert c 4,9 ; delete p 1"));
        } else {
            fails(moves_run(db, "insert c 4,9"), INSTAR_EREFERENCE);
            fails(moves_run(db, "delete p 1"), INSTAR_EREFERENCE);
        }
        dbs_check_sound(db);
        ok(sqls_run(db, "drop table c; drop table p"));
        dbs_end_sound(db);
    }
}

static uint64_t run_sql(instar *db, const void *text)
{
    (void)sqls_run(db, text);
    return 0;
}

/* A store as the first statement makes it; who runs the third is killed at the point. This process
 * takes over. */
static instar *kill_and_finish(const char *const v[3])
{
    const struct scene_death death = {v[1], 1, v[2], run_sql, v[2]};

    test_remove(dbs_path());
    instar *db = dbs_open(0);
    ok(sqls_run(db, v[0]));
    ok(instar_close(db));
    scene_kill(&death);
    db = scene_take_over(&death, INSTAR_OK, NULL);
    dbs_check_sound(db);
    return db;
}

/* The same with a table that is made with one, and one that is dropped. */
Test(foreign_key_stages, killed_while_a_table_comes_or_goes)
{
    static const char *const parent = "create table p (id int8 primary key)";
    static const char *const both = "create table p (id int8 primary key); create table c (id int8 "
                                    "primary key, p int8 references p)";
    static const char *const make = "create table c (id int8 primary key, p int8 references p)";
    static const char *const victims[][3] = {
        {parent, "change.submitted", make},      {parent, "change.hidden", make},
        {parent, "change.public", make},         {both, "change.submitted", "drop table c"},
        {both, "change.purged", "drop table c"},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        instar *db = kill_and_finish(victims[i]);
        if (victims[i][0] == parent) {
            fails(moves_run(db, "insert c 1,1"), INSTAR_EREFERENCE);
            ok(sqls_run(db, "drop table c"));
        }
        ok(sqls_run(db, "drop table p"));
        dbs_end_sound(db);
    }
}

/* And while the index is made that it lacks. */
Test(foreign_key_stages, killed_while_its_index_is_made)
{
    static const char *const before =
        "create table p (id int8 primary key); create table c (id int8 primary key, p int8)";
    static const char *const add = "alter table c add constraint k foreign key (p) references p";
    static const char *const victims[][3] = {
        {before, "change.delete_only", add}, {before, "change.cut", add},
        {before, "change.fold_end", add},    {before, "change.enforcing", add},
        {before, "validate.snapshot", add},  {before, "change.public", add},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        instar *db = kill_and_finish(victims[i]);
        expect(shows(db, "c", "CREATE INDEX c_p_idx ON c (p);\nALTER TABLE c ADD CONSTRAINT k"));
        fails(moves_run(db, "insert c 1,1"), INSTAR_EREFERENCE);
        ok(sqls_run(db, "drop table c; drop table p"));
        dbs_end_sound(db);
    }
}

/* The points of a column that comes with its foreign key; both bind from `enforcing` on. */
static const struct {
    const char *name;
    bool binds, shown;
} with_column[] = {
    {"change.delete_only", false, false}, {"change.write_only", false, false},
    {"change.cut", false, false},         {"change.fold_end", false, false},
    {"change.enforcing", true, false},    {"change.validated", true, false},
    {"change.public", true, true},
};

#define WITH_COLUMN "alter table c add column q int8 default 2 references p"

static void column_begin(struct scene_held *s, const char *point)
{
    instar_sql *sql = NULL;

    test_remove(dbs_path());
    s->db = dbs_open(0);
    make_tables(s->db);
    ok(instar_close(s->db));
    scene_hold(s, point, 1);
    ok(instar_sql_read(WITH_COLUMN, strlen(WITH_COLUMN), NULL, &sql, NULL));
    ok(instar_sql_submit(s->db, sql, 0, &s->change, NULL));
    instar_sql_free(sql);
    test_hold_await(&s->hold);
}

/* A new column, its index and its foreign key: writers of both tables at each stage; nobody sees
 * the column before all is there, and no key goes to which its rows refer by then. */
Test(foreign_key_stages, column_with_it_at_each_stage)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(with_column); i++) {
        struct scene_held s;

        column_begin(&s, with_column[i].name);
        expect(shows(s.db, "c", "q int8") == with_column[i].shown);
        ok(moves_run(s.db, with_column[i].shown ? "insert c 3,1,2" : "insert c 3,1"));
        fails(moves_run(s.db, "delete p 2"), with_column[i].binds ? INSTAR_EREFERENCE : INSTAR_OK);
        if (!with_column[i].binds) {
            ok(moves_run(s.db, "insert p 2,21"));
        }
        scene_held_done(&s);
        expect(shows(s.db, "c", "FOREIGN KEY (q) REFERENCES p (id);"));
        fails(moves_run(s.db, "delete p 2"), INSTAR_EREFERENCE);
        scene_end(&s);
    }
}

/* Cancelled at each stage before the last one, it leaves nothing in either table. */
Test(foreign_key_stages, column_with_it_cancelled_at_each_stage)
{
    for (size_t i = 0; !with_column[i].shown; i++) {
        struct scene_held s;

        column_begin(&s, with_column[i].name);
        scene_held_cancel(&s);
        expect(!shows(s.db, "c", "q int8") && !shows(s.db, "c", "FOREIGN"));
        expect(!shows(s.db, "c", "c_q_idx"));
        ok(moves_run(s.db, "delete p 2"));
        scene_end(&s);
    }
}
