/* SPDX-License-Identifier: Apache-2.0 */
/* UNIQUE constraints: with a table, added to one, dropped, renamed, beside other steps. */
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

static bool shows(instar *db, const char *table, const char *words)
{
    return strstr(sqls_schema(db, table), words) != NULL;
}

/* Behind a column and in the list, with names as PostgreSQL gives them; they hold from the first
 * row on, nulls are never the same, and their indexes can be scanned. */
Test(unique, with_the_table)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "create table t (a int8 primary key, b int8 unique, c text constraint \"C u\" "
                    "unique, d int4, unique (b, d), unique (d) include (c), check (d > 0))"));
    cr_assert(shows(db, "t",
                    "    CONSTRAINT t_d_check CHECK (d > 0),\n"
                    "    CONSTRAINT t_b_key UNIQUE (b),\n"
                    "    CONSTRAINT \"C u\" UNIQUE (c),\n"
                    "    CONSTRAINT t_b_d_key UNIQUE (b, d),\n"
                    "    CONSTRAINT t_d_c_key UNIQUE (d) INCLUDE (c),\n"
                    "    PRIMARY KEY (a)\n"),
              "%s", sqls_schema(db, "t"));
    ok(alters_insert(db, "t", "a,b,c,d", "1,10,x,5"));
    ok(alters_insert(db, "t", "a,b,c,d", "2,null,null,null"));
    ok(alters_insert(db, "t", "a,b,c,d", "3,null,null,null"));
    fails(alters_insert(db, "t", "a,b", "4,10"), INSTAR_EUNIQUE);
    expect(says("unique index t_b_key of table t"));
    fails(alters_insert(db, "t", "a,b,c", "4,40,x"), INSTAR_EUNIQUE);
    fails(alters_insert(db, "t", "a,b,d", "4,40,5"), INSTAR_EUNIQUE);
    cr_assert_str_eq(sqls_scan(db, "t", "a,c,d", "t_d_c_key", NULL),
                     "1,x,5;2,null,null;3,null,null");
    dbs_check_clean(db);
    ok(sqls_run(db, "drop table t"));
    ok(sqls_run(db, "create table t (a int8 primary key, b int8 unique)"));
    expect(shows(db, "t", "CONSTRAINT t_b_key UNIQUE (b)"));
    dbs_end(db);
}

/* Added to a table with rows: built, validated, enforced. Duplicates fail the change and are named;
 * nothing stays of it. */
Test(unique, added_and_dropped)
{
    instar *db = scene_open_t(0, 5);

    ok(sqls_run(db, "alter table t add unique (b)"));
    cr_assert(shows(db, "t", "    CONSTRAINT t_b_key UNIQUE (b),\n"), "%s", sqls_schema(db, "t"));
    fails(alters_insert(db, "t", "a,b", "9,11"), INSTAR_EUNIQUE);
    ok(alters_insert(db, "t", "a,b", "9,null"));
    ok(alters_insert(db, "t", "a,b", "10,null"));
    dbs_check_clean(db);
    ok(sqls_run(db, "alter table t drop constraint t_b_key"));
    expect(!shows(db, "t", "UNIQUE"));
    ok(alters_insert(db, "t", "a,b", "11,11"));
    fails(sqls_run(db, "alter table t add constraint u unique (b) include (c)"), INSTAR_EFAILED);
    cr_assert(sqls_say("unique index u of table t: 1 key occurs more than once: (b=11) of row "
                       "(a=1), row (a=11)"),
              "%s", sqls_words());
    expect(!shows(db, "t", "UNIQUE"));
    ok(dbs_delete(db, "t", 11));
    ok(sqls_run(db, "alter table t add constraint u unique (b) include (c)"));
    expect(shows(db, "t", "CONSTRAINT u UNIQUE (b) INCLUDE (c)"));
    ok(sqls_run(db,
                "alter table t drop constraint if exists nothing, drop constraint if exists u"));
    expect(!shows(db, "t", "UNIQUE"));
    ok(sqls_run(db, "alter table t drop constraint if exists u"));
    fails(sqls_run(db, "alter table t drop constraint u"), INSTAR_EUNKNOWN);
    dbs_end(db);
}

/* Beside other steps, before and behind, all of it is one change; also with a column that comes
 * with it, one that goes, and constraints of the same name. */
Test(unique, beside_other_steps)
{
    instar *db = scene_open_t(0, 3);

    ok(sqls_run(db, "alter table t add column d int8 unique, alter column b set not null, add "
                    "constraint u unique (b, d), add check (b > 0), add column e int4 default 5"));
    cr_assert(shows(db, "t",
                    "    b int8 NOT NULL,\n    c text,\n    d int8,\n    e int4 DEFAULT 5,\n"
                    "    CONSTRAINT t_b_check CHECK (b > 0),\n"
                    "    CONSTRAINT t_d_key UNIQUE (d),\n"
                    "    CONSTRAINT u UNIQUE (b, d),\n"),
              "%s", sqls_schema(db, "t"));
    fails(sqls_run(db, "alter table t drop column d"), INSTAR_ESTATE);
    expect(sqls_say("constraint \"t_d_key\" uses it"));
    ok(sqls_run(db, "alter table t drop constraint u, drop constraint t_d_key, drop column d, add "
                    "constraint v unique (b), drop constraint t_b_check"));
    cr_assert(
        shows(db, "t",
              "    c text,\n    e int4 DEFAULT 5,\n    CONSTRAINT v UNIQUE (b),\n    PRIMARY"),
        "%s", sqls_schema(db, "t"));
    fails(alters_insert(db, "t", "a,b", "9,11"), INSTAR_EUNIQUE);
    fails(sqls_run(db, "alter table t add check (b < 13), add unique (e)"), INSTAR_EFAILED);
    expect(!shows(db, "t", "CHECK") && !shows(db, "t", "(e)"));
    ok(sqls_run(db,
                "begin; alter table t drop constraint v; create index i on t (b); alter table t "
                "add unique (a, b); alter table t rename column b to bb; commit"));
    cr_assert(shows(db, "t", "CONSTRAINT t_a_b_key UNIQUE (a, bb)"), "%s", sqls_schema(db, "t"));
    expect(shows(db, "t", "CREATE INDEX i ON t (bb)"));
    ok(sqls_run(db, "alter table t rename column bb to b"));
    dbs_end(db);
}

/* The index is the constraint's: it goes with it, and not by itself; a new name is one of both. */
Test(unique, index_and_constraint_are_one)
{
    instar *db = scene_open_t(0, 3);

    ok(sqls_run(db, "alter table t add constraint u unique (b), add constraint c check (b > 0)"));
    fails(sqls_run(db, "drop index u"), INSTAR_ESTATE);
    expect(sqls_say("index \"u\" is that of constraint \"u\" of table \"t\""));
    fails(sqls_run(db, "begin; drop index u; create index i on t (c); commit"), INSTAR_ESTATE);
    ok(sqls_run(db, "alter table t rename constraint u to v"));
    expect(shows(db, "t", "CONSTRAINT v UNIQUE (b)"));
    cr_assert_str_eq(sqls_scan(db, "t", "b", "v", NULL), "11;12;13");
    ok(sqls_run(db, "alter index v rename to w"));
    expect(shows(db, "t", "CONSTRAINT w UNIQUE (b)"));
    fails(sqls_run(db, "alter table t rename constraint w to c"), INSTAR_EEXISTS);
    fails(sqls_run(db, "alter table t rename constraint c to w"), INSTAR_EEXISTS);
    fails(sqls_run(db, "alter table t add constraint w check (b > 1)"), INSTAR_EEXISTS);
    fails(sqls_run(db, "alter table t add constraint c unique (c)"), INSTAR_EEXISTS);
    fails(sqls_run(db, "alter table t add constraint t unique (c)"), INSTAR_EEXISTS);
    ok(sqls_run(db, "alter table t validate constraint w"));
    ok(sqls_run(db, "begin; alter table t rename constraint w to x; alter table t drop constraint "
                    "c; commit"));
    fails(sqls_run(db, "begin; alter table t rename constraint x to y; alter table t drop "
                       "constraint y; commit"),
          INSTAR_EINVALID);
    ok(sqls_run(db, "alter table t drop constraint x; create unique index x on t (b)"));
    fails(sqls_run(db, "alter table t drop constraint x"), INSTAR_EUNKNOWN);
    ok(sqls_run(db, "drop index x"));
    dbs_end(db);
}

/* Names that are taken get a number, in the table or elsewhere; one that was asked for is refused.
 * IF NOT EXISTS compares the constraints, too. */
Test(unique, names_and_definitions)
{
    instar *db = scene_open_t(0, 3);

    ok(sqls_run(db, "create index t_b_key on t (c); create index u_b_key1 on t (a)"));
    ok(sqls_run(db, "alter table t add unique (b), add unique (b)"));
    cr_assert(shows(db, "t", "CONSTRAINT t_b_key1 UNIQUE (b),\n    CONSTRAINT t_b_key2 UNIQUE (b)"),
              "%s", sqls_schema(db, "t"));
    ok(sqls_run(db, "create index u_b_key on t (c)"));
    ok(sqls_run(db, "create table u (a int8 primary key, b int8 unique)"));
    cr_assert(shows(db, "u", "CONSTRAINT u_b_key2 UNIQUE (b)"), "%s", sqls_schema(db, "u"));
    ok(sqls_run(db, "create table if not exists u (a int8 primary key, b int8 unique)"));
    fails(sqls_run(db, "create table if not exists u (a int8 primary key, b int8)"),
          INSTAR_EDEFINITION);
    expect(sqls_say("has 1 UNIQUE constraints, not 0"));
    fails(sqls_run(db, "create table if not exists u (a int8 primary key, b int8, unique (b, a))"),
          INSTAR_EDEFINITION);
    fails(sqls_run(db, "create table w (a int8 primary key, b int8 constraint u_b_key unique)"),
          INSTAR_EEXISTS);
    expect(sqls_say("there is an index named \"u_b_key\" already"));
    fails(sqls_run(db, "create table w (a int8 primary key, b int8 constraint w unique)"),
          INSTAR_EEXISTS);
    fails(sqls_run(db, "create table w (a int8 primary key, unique (x))"), INSTAR_EUNKNOWN);
    ok(sqls_run(db, "create table w (a int8 primary key, b int8 unique)"));
    fails(sqls_run(db, "create unique index if not exists w_b_key on w (b)"), INSTAR_EDEFINITION);
    expect(sqls_say("it is a UNIQUE constraint"));
    dbs_end(db);
}

/* Cancelled in the middle of the build, it leaves the table as it was, and its names free. */
Test(unique, cancelled)
{
    struct test_child runner;
    instar_change_options o = scene_options(30000);
    const char *columns[] = {"b"};
    const instar_unique_def unique = {.columns = columns, .column_count = 1};
    const instar_alteration step = {.kind = INSTAR_ALTER_ADD_UNIQUE, .unique = &unique};
    instar_change_info info;
    uint64_t change;

    scene_runner(&runner);
    instar *db = scene_open_t(INSTAR_OPEN_NO_RUNNER, 3);
    o.rows_per_second_max = 1;
    ok(instar_alter_table(db, "t", &step, 1, &o, &change));
    do {
        info = scene_look(db, change);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (strcmp(info.stage, "build") != 0);
    cr_assert_str_eq(info.statement, "ALTER TABLE t ADD CONSTRAINT t_b_key UNIQUE (b)");
    fails(instar_alter_table(
              db, "t",
              &(instar_alteration){.kind = INSTAR_ALTER_DROP_CONSTRAINT, .name = "t_b_key"}, 1,
              NULL, &(uint64_t){0}),
          INSTAR_ESTATE);
    ok(instar_change_cancel(db, change));
    scene_await(db, change, INSTAR_ECANCELLED, NULL);
    expect(!shows(db, "t", "UNIQUE"));
    dbs_check_clean(db);
    ok(sqls_run(db, "alter table t add unique (b)"));
    expect(shows(db, "t", "CONSTRAINT t_b_key UNIQUE (b)"));
    dbs_end(db);
    scene_runner_end(&runner);
}

/* EXPLAIN tells the stages of the index. */
Test(unique, explained)
{
    instar *db = scene_open_t(0, 3);
    const char *told = sqls_explain(db, "explain alter table t add unique (b)");

    expect(strstr(told, "3. build: one scan of the table for 1 index\n") != NULL);
    expect(strstr(told, "5. validate: one scan of each unique index;") != NULL);
    ok(sqls_run(db, "alter table t add unique (b)"));
    told = sqls_explain(db, "explain alter table t drop constraint t_b_key");
    cr_assert(strstr(told, "4. purge: give the space back; no row is read\n") != NULL, "%s", told);
    ok(instar_close(db));
}
