/* SPDX-License-Identifier: Apache-2.0 */
/* Columns that come and go while rows of older layouts lie there and writers of two versions work.
 */
#include "support/alters.h"

#include <stdio.h>
#include <string.h>

/* t(a, b, c), primary key a, with rows (1, 11) … (3, 13), and an index on b. */
static instar *open_t(uint32_t flags)
{
    instar *db = dbs_open(flags);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 4, scene_plus_10);
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    return db;
}

/* ---- add ---------------------------------------------------------------------------------- */

/* Rows from before read as the default that the column had when it was added, whatever becomes of
 * the default; rows from after as what their writer's default was. */
Test(alter_columns, added)
{
    instar *db = open_t(0);

    ok(alters_run(db, "t", "add d int8"));
    ok(alters_run(db, "t", "add e int8 not-null default 5"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8; c text; d int8; e int8 not null default 5");
    cr_assert_str_eq(alters_rows(db, "t", NULL),
                     "1,11,null,null,5;2,12,null,null,5;3,13,null,null,5");
    ok(alters_run(db, "t", "set-default e 7"));
    ok(alters_insert(db, "t", "a,b", "4,14"));
    ok(alters_update(db, "t", "b,d", 2, "22,2"));
    ok(alters_run(db, "t", "drop-default e"));
    fails(alters_insert(db, "t", "a,b", "5,15"), INSTAR_ENOT_NULL);
    expect(says("column e"));
    ok(alters_insert(db, "t", "e,a", "50,5"));
    cr_assert_str_eq(alters_rows(db, "t", "a,b,d,e"),
                     "1,11,null,5;2,22,2,5;3,13,null,5;4,14,null,7;5,null,null,50");
    ok(dbs_index(db, "t_e", "t", "e", false, NULL));
    cr_assert_str_eq(dbs_dump(db, "t", "t_e"), "1:11 2:22 3:13 4:14 5:null ");
    dbs_end(db);
    db = dbs_open(0);
    dbs_check_clean(db);
    cr_assert_str_eq(alters_rows(db, "t", "a,e"), "1,5;2,5;3,5;4,7;5,50");
    ok(instar_close(db));
}

/* Text defaults, and their missing values, outlive the call that gave them. */
Test(alter_columns, added_text)
{
    instar *db = open_t(0);

    ok(alters_run(db, "t", "add d text not-null default it's"));
    ok(alters_run(db, "t", "rename-column d word , set-default word other"));
    ok(alters_insert(db, "t", "a", "4"));
    cr_assert_str_eq(alters_rows(db, "t", "a,word"), "1,it's;2,it's;3,it's;4,other");
    dbs_end(db);
}

/* What is impossible is refused at once. */
Test(alter_columns, refused)
{
    instar *db = open_t(0);
    instar_value big = {.type = INSTAR_INT8, .i = 70000};
    instar_column_def def = {"d", INSTAR_INT2, false, &big, 0};
    instar_alteration step = {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def};
    uint64_t change;

    fails(instar_alter_table(db, "t", &step, 1, NULL, &change), INSTAR_ETYPE);
    expect(says("column \"d\""));
    big.type = INSTAR_INT2;
    fails(instar_alter_table(db, "t", &step, 1, NULL, &change), INSTAR_ERANGE);
    step.column = NULL;
    fails(instar_alter_table(db, "t", &step, 1, NULL, &change), INSTAR_EINVALID);
    fails(alters_run(db, "t", "add b int8"), INSTAR_EEXISTS);
    fails(alters_run(db, "t", "add d int8 not-null"), INSTAR_EINVALID);
    expect(says("needs a default"));
    fails(alters_run(db, "t", "add d int8 , set-not-null d"), INSTAR_EINVALID);
    ok(alters_run(db, "t", "if add b int8"));
    fails(alters_run(db, "t", "if add b text"), INSTAR_EDEFINITION);
    expect(says("it is int8"));
    fails(alters_run(db, "t", "if add b int8 default 3"), INSTAR_EDEFINITION);
    fails(alters_run(db, "t", "set-default b x"), INSTAR_ETYPE);
    fails(alters_run(db, "t", "drop a"), INSTAR_ESTATE);
    expect(says("primary key"));
    fails(alters_run(db, "t", "drop b"), INSTAR_ESTATE);
    expect(says("index \"t_b\" uses it"));
    fails(alters_run(db, "t", "drop d"), INSTAR_EUNKNOWN);
    ok(alters_run(db, "t", "if drop d"));
    fails(alters_run(db, "t", "drop-not-null a"), INSTAR_ESTATE);
    /* All or none. */
    fails(alters_run(db, "t", "add x int8 , drop c , drop b"), INSTAR_ESTATE);
    expect(says("step 3"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    dbs_end(db);
}

/* A change adds a column while transactions of the version before are open, in this process and in
 * the one that runs it. They insert and update without the column; those of the new version with
 * it. A projection of all columns goes on with those that it had. */
Test(alter_columns, added_beside_writers_of_the_version_before)
{
    struct test_child runner;
    instar_change_info info;
    instar_txn *txn;
    uint64_t change;

    scene_runner(&runner);
    instar *db = open_t(INSTAR_OPEN_NO_RUNNER);
    instar_projection *all = alters_projection(db, "t", NULL);
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, all, "4,14,x"));
    ok(alters_submit(db, "t", "add d int8 not-null default 5", NULL, &change));
    scene_await(db, change, INSTAR_OK, &info); /* it is one version on: nobody is waited for */
    ok(alters_insert(db, "t", "a,d", "5,50"));
    ok(alters_update_in(txn, all, 1, "1,111,old"));
    ok(instar_commit(txn));
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, all, "6,16,y"));
    ok(alters_update_in(txn, all, 2, "2,112,new"));
    ok(instar_commit(txn));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,111,old,5;2,112,new,5;3,13,null,5;4,14,x,5;"
                                                 "5,null,null,50;6,16,y,5");
    /* The next version waits for the first transaction's version, which has ended. */
    ok(alters_run(db, "t", "add e int8"));
    instar_projection_free(all);
    dbs_end(db);
    scene_runner_end(&runner);
}

/* ---- drop --------------------------------------------------------------------------------- */

/* A column that is dropped is gone; one of its name that is added later has nothing of it. */
Test(alter_columns, dropped_and_added_anew)
{
    instar *db = open_t(0);

    ok(alters_update(db, "t", "c", 1, "old"));
    ok(alters_update(db, "t", "c", 2, "old"));
    instar_projection *all = alters_projection(db, "t", NULL);
    ok(alters_run(db, "t", "drop c"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,11;2,12;3,13");
    instar_txn *txn;
    ok(instar_begin(db, 0, &txn));
    fails(alters_insert_in(txn, all, "4,14,x"), INSTAR_EUNKNOWN);
    instar_abort(txn);
    instar_projection_free(all);
    ok(alters_run(db, "t", "add c text default new"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,11,new;2,12,new;3,13,new");
    ok(alters_update(db, "t", "b", 1, "111"));
    ok(alters_run(db, "t", "drop c , add c int8"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,111,null;2,12,null;3,13,null");
    ok(alters_update(db, "t", "b,c", 2, "112,2"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,111,null;2,112,2;3,13,null");
    dbs_end(db);
}

/* A dropped column in front of others: keys and indexes go on meaning the same columns. */
Test(alter_columns, dropped_in_front_of_a_key)
{
    instar_column_def columns[] = {{"x", INSTAR_INT8, true, NULL, 0},
                                   {"b", INSTAR_INT8, false, NULL, 0},
                                   {"y", INSTAR_TEXT, false, NULL, 0},
                                   {"a", INSTAR_INT8, false, NULL, 0}};
    instar_key_column key = {.name = "a", .descending = true};
    instar_table_def def = {
        .name = "k", .columns = columns, .column_count = 4, .key = &key, .key_count = 1};
    instar *db = dbs_open(0);

    dbs_create(db, &def);
    ok(dbs_index(db, "k_b", "k", "b desc,a", true, NULL));
    ok(alters_insert(db, "k", NULL, "1,30,p,7"));
    ok(alters_insert(db, "k", NULL, "2,40,q,8"));
    ok(alters_run(db, "k", "drop x , drop y"));
    cr_assert_str_eq(alters_schema(db, "k"), "b int8; a int8 not null");
    cr_assert_str_eq(dbs_dump(db, "k", NULL), "8:40 7:30 ");
    ok(dbs_insert(db, "k", 9, 35));
    ok(dbs_update(db, "k", 7, 50));
    cr_assert_str_eq(dbs_dump(db, "k", "k_b"), "7:50 8:40 9:35 ");
    dbs_end(db);
}

/* While a transaction of the version before is open, which still has the column, those of the new
 * version carry its values along: what the old one reads does not depend on them. Then the column
 * goes, and the change ends. */
Test(alter_columns, dropped_beside_writers_of_the_version_before)
{
    struct test_child runner;
    instar_change_info info;
    instar_txn *txn;
    uint64_t change;

    scene_runner(&runner);
    instar *db = open_t(INSTAR_OPEN_NO_RUNNER);
    ok(alters_update(db, "t", "c", 1, "one"));
    ok(alters_update(db, "t", "c", 2, "two"));
    instar_projection *old = alters_projection(db, "t", "a,b,c");
    ok(instar_begin(db, INSTAR_TXN_SNAPSHOT, &txn));
    ok(alters_insert_in(txn, old, "4,14,four"));
    ok(alters_submit(db, "t", "drop c", NULL, &change));
    scene_await_waiting(db, change, "altered", &info);
    ok(alters_update(db, "t", "b", 1, "111")); /* hidden: carried along */
    ok(alters_insert(db, "t", "a,b", "5,15"));
    cr_assert_str_eq(alters_rows_in(txn, old), "1,11,one;2,12,two;3,13,null;4,14,four");
    ok(alters_update_in(txn, old, 2, "2,12,2nd"));
    fails(instar_change_cancel(db, change), INSTAR_ESTATE);
    ok(instar_commit(txn));
    scene_await(db, change, INSTAR_OK, NULL);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,111;2,12;3,13;4,14;5,15");
    ok(alters_run(db, "t", "add c text"));
    cr_assert_str_eq(alters_rows(db, "t", NULL),
                     "1,111,null;2,12,null;3,13,null;4,14,null;5,15,null");
    instar_projection_free(old);
    dbs_end(db);
    scene_runner_end(&runner);
}

/* ---- several ------------------------------------------------------------------------------ */

/* A projection that names a column that went, and one that was given its name, in one change: it is
 * refused, and nothing is written to the wrong column. */
Test(alter_columns, name_passed_on)
{
    instar *db = open_t(0);
    struct instar_projection *p = alters_projection(db, "t", "a,b,c");
    instar_txn *txn;

    ok(dbs_drop_index(db, "t_b"));
    ok(alters_run(db, "t", "drop b , rename-column c b"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b text");
    ok(instar_begin(db, 0, &txn));
    fails(alters_insert_in(txn, p, "4,14,x"), INSTAR_EUNKNOWN);
    instar_abort(txn);
    instar_projection_free(p);
    /* Two columns change their names: who names them gets what bears the name now. */
    ok(alters_run(db, "t", "add c text default cc , rename-column b x , rename-column c b"));
    ok(alters_run(db, "t", "rename-column b tmp , rename-column x b , rename-column tmp x"));
    cr_assert_str_eq(alters_rows(db, "t", "b,x"), "null,cc;null,cc;null,cc");
    ok(alters_run(db, "t", "rename-column b bb"));
    ok(instar_close(db));
}

/* A default that changes fills no row from before: what those have was fixed when the column came,
 * whatever layouts come later. */
Test(alter_columns, default_that_changes)
{
    instar *db = open_t(0);

    ok(alters_run(db, "t", "add e int8 default 5"));
    ok(alters_run(db, "t", "set-default e 7"));
    ok(alters_run(db, "t", "add f int8 default 1"));
    ok(alters_insert(db, "t", "a,b", "9,9"));
    ok(alters_run(db, "t", "add g int8 default 2"));
    cr_assert_str_eq(alters_rows(db, "t", "e,f,g"), "5,1,2;5,1,2;5,1,2;7,1,2");
    dbs_end(db);
}

/* Many alterations, each with rows of its own: every row reads right through its own layout, and
 * all of it after a rewrite too. */
Test(alter_columns, many_layouts)
{
    instar *db = dbs_open(0);
    char step[80];
    char row[80];

    dbs_make_table(db, "t");
    for (int i = 0; i < 12; i++) {
        snprintf(step, sizeof(step), "add n%d int8 default %d", i, 100 + i);
        ok(alters_run(db, "t", step));
        snprintf(row, sizeof(row), "%d,%d", i, i);
        ok(alters_insert(db, "t", "a,b", row));
        if (i % 3 == 2) {
            snprintf(step, sizeof(step), "drop n%d", i - 1);
            ok(alters_run(db, "t", step));
        }
    }
    const char *wanted = "0,0,100,102,111;1,1,100,102,111;2,2,100,102,111;3,3,100,102,111;"
                         "4,4,100,102,111;5,5,100,102,111;6,6,100,102,111;7,7,100,102,111;"
                         "8,8,100,102,111;9,9,100,102,111;10,10,100,102,111;11,11,100,102,111";
    cr_assert_str_eq(alters_rows(db, "t", "a,b,n0,n2,n11"), wanted);
    for (int i = 0; i < 12; i++) {
        snprintf(row, sizeof(row), "%d", i);
        ok(alters_update(db, "t", "b", i, row));
    }
    cr_assert_str_eq(alters_rows(db, "t", "a,b,n0,n2,n11"), wanted);
    dbs_end(db);
}

/* A wide table: rows of the layout before are read as a whole, and in part, in any order. */
Test(alter_columns, wide)
{
    instar_column_def columns[40];
    char names[40][8];
    instar_key_column key = {.name = "c39"};
    instar_table_def def = {
        .name = "w", .columns = columns, .column_count = 40, .key = &key, .key_count = 1};
    instar *db = dbs_open(0);
    char row[256] = "";
    char wanted[300];

    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof(names[i]), "c%d", i);
        columns[i] = (instar_column_def){names[i], INSTAR_INT8, false, NULL, 0};
        snprintf(row + strlen(row), sizeof(row) - strlen(row), "%s%d", i == 0 ? "" : ",", i);
    }
    dbs_create(db, &def);
    ok(alters_insert(db, "w", NULL, row));
    ok(alters_run(db, "w", "add x int8 default 100 , add y int8"));
    snprintf(wanted, sizeof(wanted), "%s,100,null", row);
    cr_assert_str_eq(alters_rows(db, "w", NULL), wanted);
    cr_assert_str_eq(alters_rows(db, "w", "x,c39,y,c0,c17"), "100,39,null,0,17");
    cr_assert_str_eq(alters_rows(db, "w", "y,x"), "null,100");
    ok(alters_run(db, "w", "drop c17"));
    ok(alters_update(db, "w", "y", 39, "7"));
    cr_assert_str_eq(alters_rows(db, "w", "x,c39,y,c0,c18"), "100,39,7,0,18");
    instar_check_summary sum;
    ok(instar_check(db, NULL, NULL, &sum));
    ok(instar_close(db));
}

/* A descriptor that outgrows a transaction, by layouts or by defaults, is refused at once; the
 * table goes on as it was. */
Test(alter_columns, descriptor_that_outgrows_a_transaction)
{
    instar_options o = dbs_options();
    instar *db = NULL;
    char step[80];
    int rc = 0;
    int added = 0;
    uint64_t change;

    o.segment_bytes = 64 * 1024; /* so a transaction has 16 KiB */
    ok(instar_open(dbs_path(), &o, &db));
    dbs_make_table(db, "t");
    while (rc == 0) {
        snprintf(step, sizeof(step), "add a_column_of_a_rather_long_name_%d int8 default 1", added);
        rc = alters_submit(db, "t", step, NULL, &change);
        if (rc == 0) {
            ok(instar_change_wait(db, change, 60000, NULL));
            added++;
        }
    }
    fails(rc, INSTAR_ELIMIT);
    expect(says("txn_bytes_max") && added > 20);
    fails(alters_run(db, "t", "drop a_column_of_a_rather_long_name_0"), INSTAR_ELIMIT);
    ok(alters_insert(db, "t", "a,b", "1,11"));
    ok(alters_run(db, "t", "set-default b 3"));
    dbs_end(db);
}
