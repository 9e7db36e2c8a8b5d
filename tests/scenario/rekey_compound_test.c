/* SPDX-License-Identifier: Apache-2.0 */
/* Another primary key beside other alterations, indexes and tables: one change, one version. */
#include "support/moves.h"

#include <stdio.h>
#include <string.h>

static bool shows(instar *db, const char *table, const char *words)
{
    return strstr(sqls_schema(db, table), words) != NULL;
}

/* t(a, b, c, d) with an index on c, rows 1 … 6. */
static instar *open_t(void)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    ok(sqls_run(db, "CREATE TABLE t (a int8 PRIMARY KEY, b int8, c text UNIQUE, d int8);"
                    "CREATE INDEX t_d ON t (d) INCLUDE (b)"));
    ok(moves_run(db, "insert t 1,60,x,1 ; insert t 2,50,y,1 ; insert t 3,40,z,1 ; "
                     "insert t 4,30,u,2 ; insert t 5,20,v,2 ; insert t 6,10,w,null"));
    return db;
}

/* The new key, the column and the index come together, and what goes is gone with them. */
Test(rekey_compound, all_in_one_version)
{
    instar *db = open_t();

    ok(sqls_run(db,
                "BEGIN; ALTER TABLE t ADD COLUMN e int8 DEFAULT 9, DROP CONSTRAINT t_pkey, "
                "ADD PRIMARY KEY (b, a); ALTER TABLE t RENAME COLUMN d TO dd; "
                "CREATE UNIQUE INDEX t_e ON t (e, b); ALTER TABLE t ADD CHECK (b > 5); COMMIT"));
    cr_assert(shows(db, "t", "PRIMARY KEY (b, a)") && shows(db, "t", "ON t (e, b)") &&
                  shows(db, "t", "CREATE INDEX t_d ON t (dd) INCLUDE (b)") &&
                  shows(db, "t", "CHECK (b > 5)"),
              "%s", sqls_schema(db, "t"));
    cr_assert_str_eq(alters_rows(db, "t", NULL),
                     "6,10,w,null,9;5,20,v,2,9;4,30,u,2,9;3,40,z,1,9;2,50,y,1,9;1,60,x,1,9");
    ok(moves_run(db, "insert t 6,70,q,null,8"));
    fails(moves_run(db, "insert t 6,70,r,null,7"), INSTAR_EEXISTS);
    fails(moves_run(db, "insert t 7,70,s,null,8"), INSTAR_EUNIQUE);
    fails(moves_run(db, "insert t 7,5,s,null,8"), INSTAR_ECHECK);
    dbs_end_sound(db);
}

/* The columns of the old key may go with it: its rows and indexes need them till the end. */
Test(rekey_compound, the_column_goes_with_its_key)
{
    instar *db = open_t();

    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_pkey, DROP COLUMN a, ADD PRIMARY KEY (b)"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "10,w,null;20,v,2;30,u,2;40,z,1;50,y,1;60,x,1");
    ok(moves_run(db, "insert t 11,k,3"));
    dbs_check_sound(db);
    ok(sqls_run(db, "BEGIN; DROP INDEX t_d; ALTER TABLE t DROP CONSTRAINT t_pkey; "
                    "ALTER TABLE t DROP COLUMN b; CREATE INDEX t_x ON t (d, c); COMMIT"));
    cr_assert(!shows(db, "t", "PRIMARY KEY") && shows(db, "t", "t_x"), "%s", sqls_schema(db, "t"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "w,null;k,3;v,2;u,2;z,1;y,1;x,1");
    ok(moves_run(db, "insert t l,3"));
    dbs_check_sound(db);
    ok(sqls_run(db,
                "BEGIN; DROP INDEX t_x; ALTER TABLE t ADD PRIMARY KEY (c), DROP COLUMN d; COMMIT"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "k;l;u;v;w;x;y;z");
    dbs_end_sound(db);
}

/* The same column in the other direction is another key; in the same one it is none. */
Test(rekey_compound, the_same_column_descending)
{
    instar_key_column key = {.name = "a", .descending = true};
    instar_column_def e = {.name = "e", .type = INSTAR_INT8};
    instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_DROP_PRIMARY_KEY},
        {.kind = INSTAR_ALTER_ADD_PRIMARY_KEY, .key = &key, .key_count = 1},
        {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &e}};
    instar *db = open_t();
    uint64_t change;

    ok(instar_alter_table(db, "t", steps, 3, NULL, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    cr_assert_str_eq(alters_rows(db, "t", "a"), "6;5;4;3;2;1");
    dbs_check_sound(db);
    e.name = "f";
    fails(instar_alter_table(db, "t", steps, 3, NULL, &change), INSTAR_EEXISTS);
    expect(says("these columns are its primary key already"));
    ok(instar_close(db));
}

/* What fails on a row leaves nothing of the key behind, either. */
Test(rekey_compound, nothing_when_one_fails)
{
    instar *db = open_t();
    char before[4096];

    (void)snprintf(before, sizeof(before), "%s", sqls_schema(db, "t"));
    fails(sqls_run(db, "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b); "
                       "CREATE UNIQUE INDEX t_u ON t (d); COMMIT"),
          INSTAR_EFAILED);
    cr_assert(sqls_say("t_u"), "%s", sqls_words());
    cr_assert_str_eq(sqls_schema(db, "t"), before);
    fails(sqls_run(db, "BEGIN; CREATE INDEX t_u ON t (b, c); ALTER TABLE t DROP CONSTRAINT t_pkey, "
                       "ADD PRIMARY KEY (d); COMMIT"),
          INSTAR_EFAILED);
    cr_assert_str_eq(sqls_schema(db, "t"), before);
    fails(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CHECK (d > 1)"), INSTAR_EFAILED);
    cr_assert_str_eq(sqls_schema(db, "t"), before);
    dbs_end_sound(db);
}

/* Keys of several tables, one of them to row ids, and a table that is new. */
Test(rekey_compound, of_several_tables)
{
    instar *db = open_t();

    ok(sqls_run(db, "CREATE TABLE u (a int8 PRIMARY KEY, b int8); CREATE INDEX u_b ON u (b)"));
    ok(moves_run(db, "insert u 1,1 ; insert u 2,1 ; insert u 3,2"));
    fails(sqls_run(db, "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b); ALTER "
                       "TABLE u DROP CONSTRAINT u_pkey, ADD PRIMARY KEY (b); COMMIT"),
          INSTAR_EFAILED);
    cr_assert(shows(db, "t", "PRIMARY KEY (a)") && shows(db, "u", "PRIMARY KEY (a)"));
    ok(sqls_run(db, "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b); ALTER TABLE "
                    "u DROP CONSTRAINT u_pkey; CREATE TABLE v (a int8 PRIMARY KEY); ALTER TABLE u "
                    "ADD COLUMN c int8 DEFAULT 4; COMMIT"));
    cr_assert(shows(db, "t", "PRIMARY KEY (b)") && !shows(db, "u", "PRIMARY KEY"));
    cr_assert_str_eq(alters_rows(db, "u", NULL), "1,1,4;2,1,4;3,2,4");
    ok(moves_run(db, "insert u 1,1,4 ; insert v 1 ; insert t 1,61,k,1"));
    dbs_check_sound(db);
    ok(sqls_run(db, "BEGIN; DROP TABLE v; ALTER TABLE t DROP CONSTRAINT t_pkey, DROP COLUMN a; "
                    "COMMIT"));
    dbs_end_sound(db);
}

/* What cannot be is refused before anything begins, by its name. */
Test(rekey_compound, refused_at_once)
{
    static const struct {
        const char *sql;
        const char *words;
        int code;
    } cases[] = {
        {"ALTER TABLE t ADD COLUMN e int8, DROP CONSTRAINT t_pkey",
         "foreign key \"r_t_fkey\" of table \"r\" refers to it", INSTAR_ESTATE},
        {"BEGIN; ALTER TABLE r DROP CONSTRAINT r_pkey, ADD PRIMARY KEY (t); ALTER TABLE s ADD "
         "FOREIGN KEY (a) REFERENCES r; COMMIT",
         "foreign key \"s_a_fkey\" of table \"s\" refers to table \"r\", whose primary key changes",
         INSTAR_EINVALID},
        {"ALTER TABLE s DROP CONSTRAINT s_pkey, ADD PRIMARY KEY (b), ADD COLUMN e int8 "
         "REFERENCES s",
         "whose primary key changes in the same change", INSTAR_EINVALID},
        {"ALTER TABLE s DROP CONSTRAINT s_pkey, ADD PRIMARY KEY (b), ADD PRIMARY KEY (a)",
         "changes twice in one change", INSTAR_EINVALID},
        {"ALTER TABLE s DROP CONSTRAINT s_pkey, ADD PRIMARY KEY (b), DROP COLUMN b",
         "it is of the primary key", INSTAR_ESTATE},
        {"BEGIN; ALTER TABLE s DROP CONSTRAINT s_pkey; CREATE TABLE n (a int8 PRIMARY KEY, s int8 "
         "REFERENCES s); COMMIT",
         "whose primary key changes in the same change", INSTAR_EINVALID},
    };
    instar *db = open_t();

    ok(sqls_run(db, "CREATE TABLE r (a int8 PRIMARY KEY, t int8 REFERENCES t);"
                    "CREATE TABLE s (a int8 PRIMARY KEY, b int8)"));
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        int rc = sqls_run(db, cases[i].sql);
        cr_assert(rc == cases[i].code && sqls_say(cases[i].words), "%s: %s %s", cases[i].sql,
                  instar_error_name(rc), sqls_words());
    }
    ok(sqls_run(db, "ALTER TABLE r ADD COLUMN e int8, DROP CONSTRAINT r_pkey"));
    fails(moves_run(db, "insert r 1,9,1"), INSTAR_EREFERENCE);
    dbs_end_sound(db);
}

/* What waits for another change of the table is refused at once: that one might change what the new
 * key, or one of the indexes beside it, is made of. */
Test(rekey_compound, behind_another_change)
{
    instar_change_options o = scene_options(30000);
    instar *db = open_t();
    uint64_t change;

    o.flags = INSTAR_CHANGE_PAUSE;
    ok(alters_submit(db, "t", "add f int8", &o, &change));
    cr_assert_eq(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b, a), "
                              "ADD COLUMN e int8"),
                 INSTAR_ESTATE);
    cr_assert(sqls_say("is at work on table \"t\""), "%s", sqls_words());
    ok(instar_change_cancel(db, change));
    fails(instar_change_wait(db, change, 60000, NULL), INSTAR_ECANCELLED);
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b, a), "
                    "ADD COLUMN e int8"));
    dbs_end_sound(db);
}
