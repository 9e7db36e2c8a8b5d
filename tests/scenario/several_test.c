/* SPDX-License-Identifier: Apache-2.0 */
/* Statements about several tables as one change: all public in one version step, or none. */
#include "support/moves.h"

#include <instar_sql.h>
#include <stdio.h>
#include <string.h>

static bool shows(instar *db, const char *table, const char *words)
{
    return strstr(sqls_schema(db, table), words) != NULL;
}

static int count_table(void *arg, const instar_table_info *info)
{
    (void)info;
    ++*(size_t *)arg;
    return 0;
}

static size_t tables(instar *db)
{
    size_t count = 0;

    ok(instar_table_list(db, NULL, count_table, &count));
    return count;
}

/* Many tables that refer to each other, with indexes, are there at once. */
Test(several, tables_that_are_made_together)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    ok(sqls_run(db, "BEGIN; CREATE TABLE a (id int8 PRIMARY KEY, v text UNIQUE);"
                    "CREATE TABLE b (id int8 PRIMARY KEY, a int8 REFERENCES a, w text);"
                    "CREATE INDEX b_w ON b (w) WHERE w IS NOT NULL;"
                    "CREATE TABLE c (id int8, b int8, FOREIGN KEY (b) REFERENCES b ON DELETE "
                    "RESTRICT, c int8 CHECK (c > 0));"
                    "ALTER TABLE c ADD CONSTRAINT back FOREIGN KEY (c) REFERENCES a;"
                    "ALTER TABLE c ADD UNIQUE (id); CREATE UNIQUE INDEX a_x ON a (v, id);"
                    "COMMENT ON TABLE b IS 'the middle'; COMMENT ON INDEX b_w IS 'w'; COMMIT"));
    expect_u64(tables(db), 3);
    expect(shows(db, "b", "FOREIGN KEY (a) REFERENCES a (id);"));
    expect(shows(db, "b", "CREATE INDEX b_w ON b (w)"));
    expect(shows(db, "b", "COMMENT ON TABLE b IS 'the middle';"));
    expect(shows(db, "b", "COMMENT ON INDEX b_w IS 'w';"));
    expect(shows(db, "c", "CONSTRAINT back FOREIGN KEY (c) REFERENCES a (id);"));
    expect(shows(db, "c", "CONSTRAINT c_id_key UNIQUE (id)"));
    ok(moves_run(db, "insert a 1,x ; insert b 1,1,w ; insert c 1,1,1"));
    fails(moves_run(db, "insert b 2,9,w"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete a 1"), INSTAR_EREFERENCE);
    fails(moves_run(db, "insert c 1,null,null"), INSTAR_EUNIQUE);
    moves_check_clean(db);
    ok(instar_close(db));
}

static void make_tables(instar *db)
{
    ok(sqls_run(db, "CREATE TABLE p (id int8 PRIMARY KEY, v int8);"
                    "CREATE TABLE c (id int8 PRIMARY KEY, p int8 REFERENCES p, w int8);"
                    "CREATE TABLE d (id int8 PRIMARY KEY, p int8 REFERENCES p);"
                    "CREATE INDEX c_w ON c (w)"));
    ok(moves_run(db, "insert p 1,10 ; insert p 2,20 ; insert p 3,30 ; insert c 1,1,7 ; insert c "
                     "2,2,8 ; insert d 1,1"));
}

#define ALL                                                                                 \
    "CREATE TABLE n (id int8 PRIMARY KEY, p int8 REFERENCES p, m int8);"                    \
    "CREATE TABLE m (id int8 PRIMARY KEY); ALTER TABLE n ADD FOREIGN KEY (m) REFERENCES m;" \
    "ALTER TABLE c ADD COLUMN x int8 DEFAULT 5, ALTER COLUMN w SET NOT NULL;"               \
    "CREATE INDEX c_x ON c (x, w); DROP INDEX c_w; DROP TABLE d;"                           \
    "ALTER TABLE p RENAME COLUMN v TO z; ALTER TABLE p ADD CONSTRAINT p_z UNIQUE (z)"

static void expect_all(instar *db)
{
    expect_u64(tables(db), 4);
    expect(shows(db, "n", "FOREIGN KEY (p) REFERENCES p (id);"));
    expect(shows(db, "n", "FOREIGN KEY (m) REFERENCES m (id);"));
    expect(shows(db, "c", "w int8 NOT NULL"));
    expect(shows(db, "c", "x int8 DEFAULT 5"));
    expect(shows(db, "c", "CREATE INDEX c_x ON c (x, w);"));
    expect(!shows(db, "c", "c_w"));
    expect(shows(db, "p", "CONSTRAINT p_z UNIQUE (z)"));
}

static void expect_none(instar *db)
{
    expect_u64(tables(db), 3);
    expect(shows(db, "d", "FOREIGN KEY (p) REFERENCES p (id);"));
    expect(shows(db, "c", "w int8,") || shows(db, "c", "w int8\n"));
    expect(!shows(db, "c", "x int8"));
    expect(shows(db, "c", "CREATE INDEX c_w ON c (w);"));
    expect(shows(db, "p", "v int8") && !shows(db, "p", "p_z"));
}

/* Tables that come, go and are altered, all at once. */
Test(several, made_dropped_and_altered)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    make_tables(db);
    ok(sqls_run(db, "BEGIN; " ALL "; COMMIT"));
    expect_all(db);
    fails(moves_run(db, "insert n 1,9,null"), INSTAR_EREFERENCE);
    ok(moves_run(db, "insert m 4 ; insert n 1,3,4"));
    fails(moves_run(db, "delete p 3"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete m 4"), INSTAR_EREFERENCE);
    cr_assert_str_eq(sqls_scan(db, "c", "x,w,id", "c_x", NULL), "5,7,1;5,8,2");
    moves_check_clean(db);
    ok(instar_close(db));
}

/* What fails on the rows of one table leaves all of them as they were. */
Test(several, fails_as_a_whole)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    make_tables(db);
    ok(moves_run(db, "insert p 4,10"));
    fails(sqls_run(db, "BEGIN; " ALL "; COMMIT"), INSTAR_EFAILED);
    expect(sqls_say("p_z"));
    expect_none(db);
    ok(moves_run(db, "delete p 4 ; insert c 3,1,null"));
    fails(sqls_run(db, "BEGIN; " ALL "; COMMIT"), INSTAR_EFAILED);
    expect(sqls_say("table c: column w"));
    expect_none(db);
    ok(moves_run(db, "delete c 3"));
    ok(sqls_run(db, "BEGIN; " ALL "; COMMIT"));
    expect_all(db);
    moves_check_clean(db);
    ok(instar_close(db));
}

#define TYPES                                                                              \
    "ALTER TABLE c ALTER COLUMN w TYPE text; ALTER TABLE p ADD CONSTRAINT p_v UNIQUE (v);" \
    "ALTER TABLE p ALTER COLUMN v TYPE numeric(8,2), ADD COLUMN y int8;"                   \
    "CREATE TABLE n (id int8 PRIMARY KEY, p int8 REFERENCES p)"
#define TYPES_BACK                                                        \
    "ALTER TABLE c ALTER COLUMN w TYPE int2 USING w::int2; DROP TABLE d;" \
    "ALTER TABLE p ALTER COLUMN v TYPE numeric(4,0)"

/* A column of an index, and one of an index that comes at the same time, get other types beside
 * tables that come and go; what may be lost, in whichever table, is looked for before anything is
 * built, and leaves all of them as they were. */
Test(several, types_of_indexed_columns)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    make_tables(db);
    ok(sqls_run(db, "COMMENT ON INDEX c_w IS 'what they are'"));
    ok(sqls_run(db, "BEGIN; " TYPES "; COMMIT"));
    cr_assert_str_eq(sqls_scan(db, "c", "w,id", "c_w", NULL), "7,1;8,2");
    cr_assert_str_eq(sqls_scan(db, "p", "v", "p_v", NULL), "10.00;20.00;30.00");
    ok(moves_run(db, "insert c 3,1,10 ; insert p 4,20.30,null ; insert n 1,4"));
    cr_assert_str_eq(sqls_scan(db, "c", "w,id", "c_w", NULL), "10,3;7,1;8,2");
    fails(sqls_run(db, "BEGIN; " TYPES_BACK "; COMMIT"), INSTAR_EFAILED);
    expect(sqls_say("p_v"));
    ok(moves_run(db, "delete n 1 ; delete p 4 ; insert c 4,1,ten"));
    fails(sqls_run(db, "BEGIN; " TYPES_BACK "; COMMIT"), INSTAR_EFAILED);
    expect(sqls_say("table c: column w"));
    expect(shows(db, "c", "w text") && shows(db, "p", "v numeric(8,2)"));
    expect(shows(db, "d", "FOREIGN KEY (p) REFERENCES p (id);"));
    moves_check_clean(db);
    ok(moves_run(db, "delete c 4"));
    ok(sqls_run(db, "BEGIN; " TYPES_BACK "; COMMIT"));
    cr_assert_str_eq(sqls_scan(db, "c", "w,id", "c_w", NULL), "7,1;8,2;10,3");
    cr_assert_str_eq(sqls_scan(db, "p", "v", "p_v", NULL), "10;20;30");
    expect_u64(tables(db), 3);
    expect(shows(db, "c", "CREATE INDEX c_w ON c (w);"));
    expect(shows(db, "c", "COMMENT ON INDEX c_w IS 'what they are';"));
    expect(shows(db, "p", "CONSTRAINT p_v UNIQUE (v)"));
    ok(sqls_run(db, "ALTER INDEX c_w RENAME TO c_x")); /* nothing holds the name */
    moves_check_clean(db);
    ok(instar_close(db));
}
