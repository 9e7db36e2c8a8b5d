/* SPDX-License-Identifier: Apache-2.0 */
/* Renaming tables, columns and indexes while they are in use. */
#include "support/alters.h"

#include <string.h>

/* t(a, b, c), primary key a, with rows (1, 11) … (3, 13), and an index on b. */
static instar *open_t(void)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 4, scene_plus_10);
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    return db;
}

/* Each gets its new name; what names the old one then is refused, and the nearest is named. */
Test(alter_names, renamed)
{
    instar *db = open_t();
    uint64_t change;

    ok(alters_run(db, "t", "rename-column c price"));
    instar_projection *p = alters_projection(db, "t", "a,price");
    ok(alters_run(db, "t", "rename-column b bb , rename-column price prices"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; bb int8; prices text");
    cr_assert_str_eq(alters_rows(db, "t", "a,bb"), "1,11;2,12;3,13");
    instar_txn *txn;
    ok(instar_begin(db, 0, &txn));
    fails(alters_insert_in(txn, p, "9,x"), INSTAR_EUNKNOWN);
    expect(says("no column price;") && says("prices?"));
    instar_abort(txn);
    instar_projection_free(p);
    ok(alters_run(db, "t", "rename-column bb b"));
    ok(instar_rename_index(db, "t_b", "t_b2", NULL, &change));
    ok(instar_change_wait(db, change, 60000, NULL));
    cr_assert_str_eq(dbs_dump(db, "t", "t_b2"), "1:11 2:12 3:13 ");
    fails(dbs_drop_index(db, "t_b"), INSTAR_EUNKNOWN);
    expect(says("t_b2"));
    ok(alters_run(db, "t", "rename-to table2 , rename-index t_b2 t_b"));
    cr_assert_str_eq(dbs_dump(db, "table2", "t_b"), "1:11 2:12 3:13 ");
    fails(dbs_insert(db, "t", 9, 9), INSTAR_EUNKNOWN);
    fails(dbs_insert(db, "table1", 9, 9), INSTAR_EUNKNOWN);
    expect(says("\"table2\""));
    dbs_make_table(db, "t"); /* the old name is free */
    dbs_end(db);
}

/* Two columns change their names while an older transaction is open: who names one of them gets the
 * column that bears the name now, not the one that did. */
Test(alter_names, change_places_beside_an_older_version)
{
    struct test_child runner;
    uint64_t change;
    instar_change_info info;
    instar_txn *txn;

    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    ok(dbs_insert(db, "t", 1, 11));
    instar_projection *old = alters_projection(db, "t", "a,b");
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, old, "2,12"));
    ok(alters_submit(db, "t", "rename-column b x , rename-column c b , rename-column x c", NULL,
                     &change));
    while (dbs_version(db, "t") == 1) {
        instar_change_wait(db, change, 5, &info);
    }
    cr_assert_str_eq(alters_rows(db, "t", "b,c"), "null,11");
    ok(instar_commit(txn));
    scene_await(db, change, INSTAR_OK, NULL);
    cr_assert_str_eq(alters_rows(db, "t", "b,c"), "null,11;null,12");
    instar_projection_free(old);
    dbs_end(db);
    scene_runner_end(&runner);
}

/* Names that a change is to give are its own from its submission on, though it stands still. */
Test(alter_names, held_while_it_stands_still)
{
    instar *db = open_t();
    instar_change_options o;
    instar_alteration rename = {.kind = INSTAR_ALTER_RENAME_TABLE, .new_name = "x"};
    instar_alteration index = {.kind = INSTAR_ALTER_RENAME_INDEX, .name = "t_b", .new_name = "x_b"};
    uint64_t change;

    dbs_make_table(db, "u");
    instar_change_options_init(&o);
    o.flags |= INSTAR_CHANGE_PAUSE;
    ok(instar_alter_table(db, "t", (instar_alteration[]){rename, index}, 2, &o, &change));
    fails(alters_run(db, "u", "rename-to x"), INSTAR_ESTATE);
    fails(alters_run(db, "u", "rename-to x_b"), INSTAR_ESTATE);
    ok(instar_change_cancel(db, change));
    fails(instar_change_wait(db, change, 60000, NULL), INSTAR_ECANCELLED);
    ok(alters_run(db, "u", "rename-to x"));
    dbs_end(db);
}

/* What is impossible is refused at once, and says why. */
Test(alter_names, refused)
{
    instar *db = open_t();
    char long_name[80];

    dbs_make_table(db, "u");
    fails(alters_run(db, "t", "rename-to u"), INSTAR_EEXISTS);
    expect(says("a table named \"u\""));
    fails(alters_run(db, "t", "rename-to t_b"), INSTAR_EEXISTS);
    expect(says("an index named \"t_b\""));
    fails(alters_run(db, "t", "rename-to t"), INSTAR_EEXISTS);
    fails(alters_run(db, "tt", "rename-to x"), INSTAR_EUNKNOWN);
    fails(alters_run(db, "t", "rename-column b c"), INSTAR_EEXISTS);
    expect(says("a column \"c\""));
    fails(alters_run(db, "t", "rename-column bb x"), INSTAR_EUNKNOWN);
    expect(says("did you mean \"b\""));
    ok(alters_run(db, "t", "if rename-column bb x"));
    fails(alters_run(db, "t", "rename-index t_c x"), INSTAR_EUNKNOWN);
    fails(alters_run(db, "t", "rename-index t_b u"), INSTAR_EEXISTS);
    fails(alters_run(db, "t", "rename-column b x , rename-column b y"), INSTAR_EUNKNOWN);
    expect(says("step 2"));
    memset(long_name, 'x', sizeof(long_name));
    long_name[79] = 0;
    instar_alteration step = {
        .kind = INSTAR_ALTER_RENAME_COLUMN, .name = "b", .new_name = long_name};
    uint64_t change;
    fails(instar_alter_table(db, "t", &step, 1, NULL, &change), INSTAR_EINVALID);
    step.new_name = NULL;
    fails(instar_alter_table(db, "t", &step, 1, NULL, &change), INSTAR_EINVALID);
    step.kind = 99;
    fails(instar_alter_table(db, "t", &step, 1, NULL, &change), INSTAR_EINVALID);
    fails(instar_alter_table(db, "t", &step, 0, NULL, &change), INSTAR_EINVALID);
    fails(instar_alter_table(db, "t", NULL, 1, NULL, &change), INSTAR_EMISUSE);
    fails(instar_rename_index(db, "u", "x", NULL, &change), INSTAR_EUNKNOWN);
    instar_change_options o = scene_options(30000);
    o.flags = INSTAR_CHANGE_IF_EXISTS;
    ok(alters_submit(db, "tt", "drop c", &o, &change));
    expect_u64(change, 0);
    ok(instar_rename_index(db, "t_x", "x", &o, &change));
    expect_u64(change, 0);
    dbs_end(db);
}

/* While a transaction of the version before is open, both names work; the one that was prepared
 * with the old name goes on, in new transactions too. When it has gone, so has the old name. */
Test(alter_names, old_name_lives_as_long_as_the_version_before)
{
    struct scene_held s;
    uint64_t change;
    instar_change_info info;
    instar_txn *txn;
    instar_txn *later;

    scene_hold(&s, "none", 1);
    instar *db = s.db;
    dbs_make_table(db, "t");
    instar_projection *old = alters_projection(db, "t", "a,c");
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, old, "1,11"));
    ok(alters_submit(db, "t", "rename-column c x , rename-to u", NULL, &change));
    scene_await_waiting(db, change, "altered", &info);
    expect(strcmp(info.kind, "alter table") == 0);
    cr_assert_str_eq(info.statement, "ALTER TABLE t RENAME COLUMN c TO x, RENAME TO u");
    /* New transactions are of the new version, by either name. */
    ok(instar_begin(db, 0, &later));
    ok(alters_insert_in(later, old, "2,12"));
    ok(instar_commit(later));
    ok(alters_insert(db, "u", "a,x", "3,13"));
    ok(alters_insert(db, "t", "a,c", "4,14"));
    uint64_t other;
    fails(instar_drop_table(db, "t", NULL, &other), INSTAR_ESTATE);
    expect(says("renamed"));
    fails(alters_submit(db, "t", "drop c", NULL, &other), INSTAR_ESTATE);
    fails(alters_submit(db, "u", "rename-to t", NULL, &other), INSTAR_ESTATE);
    ok(instar_commit(txn));
    scene_await(db, change, INSTAR_OK, NULL);
    fails(alters_insert(db, "u", "a,x", "1,0"), INSTAR_EEXISTS);
    ok(instar_begin(db, 0, &later));
    fails(alters_insert_in(later, old, "5,15"), INSTAR_EUNKNOWN);
    instar_abort(later);
    cr_assert_str_eq(alters_rows(db, "u", "a,x"), "1,11;2,12;3,13;4,14");
    instar_projection_free(old);
    scene_held_end(&s);
}

/* A transaction of the version before that stays too long loses its lease: its commit fails and can
 * be run again, by the new names; the change ends. */
Test(alter_names, version_before_is_fenced)
{
    struct test_child runner;
    uint64_t change;
    instar_txn *txn;
    instar_change_options o = scene_options(0);

    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    instar_projection *old = alters_projection(db, "t", "a,c");
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, old, "1,11"));
    ok(alters_submit(db, "t", "rename-column c x", &o, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    fails(instar_commit(txn), INSTAR_ESCHEMA_CHANGED);
    ok(alters_insert(db, "t", "a,x", "1,11"));
    instar_projection_free(old);
    dbs_end(db);
    scene_runner_end(&runner);
}

/* An index that is being renamed: who prepared it by the old name scans on while that lives; IF NOT
 * EXISTS of either name waits for the verdict and looks again; a drop of it is refused. */
Test(alter_names, index_that_is_being_renamed)
{
    struct test_child runner;
    const char *columns[] = {"a", "b"};
    instar_key_column by_b = {.name = "b"};
    instar_key_column by_c = {.name = "c"};
    instar_index_def old_name = {.name = "t_b", .table = "t", .columns = &by_c, .column_count = 1};
    instar_index_def new_name = {.name = "t_b2", .table = "t", .columns = &by_b, .column_count = 1};
    instar_change_options join = scene_options(30000);
    instar_change_info info;
    instar_projection *p;
    instar_txn *txn;
    instar_cursor *cursor;
    instar_value row[2];
    uint64_t rename;
    uint64_t of_old;
    uint64_t of_new;

    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 4, scene_plus_10);
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(instar_projection_prepare(db, "t", columns, 2, "t_b", &p));
    ok(instar_begin(db, 0, &txn));
    ok(instar_scan(txn, p, NULL, &cursor));
    ok(instar_rename_index(db, "t_b", "t_b2", NULL, &rename));
    scene_await_waiting(db, rename, "altered", &info);
    cr_assert_str_eq(info.statement, "ALTER INDEX t_b RENAME TO t_b2");
    cr_assert_str_eq(dbs_dump(db, "t", "t_b"), "1:11 2:12 3:13 ");
    cr_assert_str_eq(dbs_dump(db, "t", "t_b2"), "1:11 2:12 3:13 ");
    fails(dbs_drop_index(db, "t_b"), INSTAR_ESTATE);
    fails(instar_create_index(db, &old_name, NULL, &of_old), INSTAR_ESTATE);
    expect(says("renamed"));
    fails(alters_submit(db, "t", "rename-to t_b", NULL, &of_old), INSTAR_ESTATE);
    join.flags = INSTAR_CHANGE_IF_NOT_EXISTS;
    ok(instar_create_index(db, &old_name, &join, &of_old));
    ok(instar_create_index(db, &new_name, &join, &of_new));
    expect_u64(of_new, 0); /* it is there already */
    ok(instar_cursor_next(cursor, row));
    instar_cursor_close(cursor);
    ok(instar_commit(txn));
    scene_await(db, rename, INSTAR_OK, NULL);
    scene_await(db, of_old, INSTAR_OK, NULL);
    expect(strstr(dbs_dump(db, "t", "t_b"), "1:11") != NULL);
    instar_projection_free(p);
    dbs_end(db);
    scene_runner_end(&runner);
}

/* Requests that queue: each sees what those before it did; one whose column went before its turn
 * fails and says so, and leaves its names free. */
Test(alter_names, queued_behind_each_other)
{
    struct scene_held s;
    instar_change_info info;
    uint64_t changes[4];

    scene_hold(&s, "change.claimed", 2);
    instar *db = s.db;
    dbs_make_table(db, "t");
    ok(alters_submit(db, "t", "add d int8", NULL, &changes[0]));
    test_hold_await(&s.hold);
    ok(alters_submit(db, "t", "drop c", NULL, &changes[1]));
    changes[3] = dbs_submit_index(db, "i", "t", "c", false, NULL);
    ok(alters_submit(db, "t", "rename-to u , rename-column c cc", NULL, &changes[2]));
    test_hold_release(&s.hold);
    scene_await(db, changes[1], INSTAR_OK, NULL);
    scene_await(db, changes[2], INSTAR_EFAILED, &info);
    expect(strstr(info.reason, "no column \"c\"") != NULL && info.error == INSTAR_EUNKNOWN);
    scene_await(db, changes[3], INSTAR_EFAILED, NULL);
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; d int8");
    dbs_make_table(db, "u");
    ok(alters_run(db, "t", "rename-to v"));
    scene_held_end(&s);
}
