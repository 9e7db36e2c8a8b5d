/* SPDX-License-Identifier: Apache-2.0 */
/* Statements about several tables as one change: all public in one version step, or none. */
#include "support/severals.h"

#include "api/api_impl.h"
#include "catalog/catalog_impl.h"
#include "change/several_impl.h"

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
    dbs_end_sound(db);
}

/* A name whose record cannot be read may be somebody's: it is not given to an index that is made.
 */
Test(several, a_name_that_cannot_be_read)
{
    static const uint8_t key[] = {CATALOG_KIND_NAME, 'a', '_', 'v'};
    struct store_txn *t;
    instar *db = dbs_open(0);

    must(store_txn_begin(db->env.store, STORE_TXN_SYNC, &t, &test_err));
    must(store_txn_put(t, CATALOG_TREE, base_slice(key, sizeof(key)), base_slice("damaged", 7),
                       &test_err));
    must(store_txn_commit(t, NULL, NULL, &test_err));
    fails(sqls_run(db, "BEGIN; CREATE TABLE a (id int8 PRIMARY KEY, v text);"
                       "CREATE INDEX a_v ON a (v); CREATE TABLE b (id int8 PRIMARY KEY); COMMIT"),
          INSTAR_ECORRUPT);
    expect_u64(tables(db), 0);
    ok(sqls_run(db, "BEGIN; CREATE TABLE a (id int8 PRIMARY KEY, v text);"
                    "CREATE INDEX a_w ON a (v); CREATE TABLE b (id int8 PRIMARY KEY); COMMIT"));
    ok(instar_close(db));
}

/* A new table that refers to itself is its own parent: whoever takes a key away is refused. */
Test(several, made_with_a_reference_to_itself)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    ok(sqls_run(db, "BEGIN; CREATE TABLE a (id int8 PRIMARY KEY);"
                    "CREATE TABLE n (id int8 PRIMARY KEY, up int8 REFERENCES n); COMMIT"));
    ok(moves_run(db, "insert n 1,null ; insert n 2,1"));
    fails(moves_run(db, "insert n 3,9"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete n 1"), INSTAR_EREFERENCE);
    ok(moves_run(db, "delete n 2 ; delete n 1"));
    dbs_end_sound(db);
}

/* One table gets another primary key, the other a column: each takes the steps that it needs. */
Test(several, another_key_beside_a_column)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    severals_make_tables(db);
    ok(sqls_run(db, "BEGIN; ALTER TABLE c DROP CONSTRAINT c_pkey, ADD PRIMARY KEY (w);"
                    "ALTER TABLE p ADD x int8 DEFAULT 5; COMMIT"));
    expect(shows(db, "c", "PRIMARY KEY (w)") && shows(db, "p", "x int8 DEFAULT 5"));
    fails(moves_run(db, "insert c 3,1,8"), INSTAR_EEXISTS);
    ok(moves_run(db, "insert c 2,1,9"));
    dbs_end_sound(db);
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

    severals_make_tables(db);
    ok(sqls_run(db, "BEGIN; " ALL "; COMMIT"));
    expect_all(db);
    fails(moves_run(db, "insert n 1,9,null"), INSTAR_EREFERENCE);
    ok(moves_run(db, "insert m 4 ; insert n 1,3,4"));
    fails(moves_run(db, "delete p 3"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete m 4"), INSTAR_EREFERENCE);
    cr_assert_str_eq(sqls_scan(db, "c", "x,w,id", "c_x", NULL), "5,7,1;5,8,2");
    dbs_end_sound(db);
}

/* The order of the statements is that of the tables only where one needs another. */
Test(several, altered_before_what_it_refers_to_is_made)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    severals_make_tables(db);
    ok(sqls_run(db, "BEGIN; CREATE INDEX c_x ON c (w, p); ALTER TABLE p ADD COLUMN y int8;"
                    "CREATE TABLE n (id int8 PRIMARY KEY, p int8 REFERENCES p);"
                    "ALTER TABLE c ADD COLUMN n int8 REFERENCES n; ALTER TABLE p ADD FOREIGN KEY "
                    "(y) REFERENCES n NOT VALID; COMMIT"));
    expect(shows(db, "c", "FOREIGN KEY (n) REFERENCES n (id);"));
    expect(shows(db, "p", "FOREIGN KEY (y) REFERENCES n (id) NOT VALID;"));
    ok(moves_run(db, "insert p 7,1,null ; insert n 1,7"));
    fails(moves_run(db, "insert c 9,7,1,2"), INSTAR_EREFERENCE);
    ok(moves_run(db, "insert c 9,7,1,1"));
    fails(moves_run(db, "delete n 1"), INSTAR_EREFERENCE);
    dbs_end_sound(db);
}

/* What fails on the rows of one table leaves all of them as they were. */
Test(several, fails_as_a_whole)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    severals_make_tables(db);
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
    dbs_end_sound(db);
}

/* EXPLAIN tells the steps, without doing them. */
Test(several, explained)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    severals_make_tables(db);
    const char *told = sqls_explain(db, "EXPLAIN BEGIN; " ALL "; COMMIT");
    expect(strstr(told, "8 statements about several tables: 2 made, 1 dropped") != NULL);
    expect(strstr(told, "1. absent: publish new tables, without names yet") != NULL);
    expect(strstr(told, "build: one scan of the table for 2 indexes") != NULL);
    expect(strstr(told, "7. public: publish the next version of every table in one commit"));
    expect(strstr(told, "9. purge") != NULL);
    told = sqls_explain(db, "EXPLAIN BEGIN; CREATE TABLE n (id int8 PRIMARY KEY, n int8 REFERENCES "
                            "n); CREATE INDEX n_n ON n (n, id); COMMIT");
    expect(strstr(told, "1. public: publish the next version") != NULL);
    expect(strstr(told, "2. ") == NULL);
    expect_none(db);
    ok(instar_close(db));
}

/* What cannot be is refused by name, with the place of the statement, and takes no name. */
Test(several, refused_by_name)
{
    static const struct {
        const char *sql, *words;
        int code;
    } cases[] = {
        {"CREATE TABLE n (id int8); DROP TABLE n", "\"n\" is dropped in the change that creates",
         INSTAR_EINVALID},
        {"DROP TABLE d; CREATE TABLE d (id int8)", "table \"d\" is dropped in the same change",
         INSTAR_ESTATE},
        {"CREATE TABLE n (id int8); CREATE TABLE n (id int8)", "gives the name \"n\" twice",
         INSTAR_EEXISTS},
        {"CREATE TABLE n (id int8); CREATE INDEX n ON c (p, w)", "gives the name \"n\" twice",
         INSTAR_EEXISTS},
        {"CREATE INDEX i ON p (v); CREATE INDEX i ON c (p, w)", "gives the name \"i\" twice",
         INSTAR_EEXISTS},
        {"CREATE TABLE n (id int8); ALTER TABLE n ADD COLUMN x int8", "in its CREATE TABLE",
         INSTAR_EINVALID},
        {"CREATE TABLE n (id int8 UNIQUE); DROP INDEX n_id_key", "nothing of it is dropped",
         INSTAR_EINVALID},
        {"CREATE TABLE n (id int8); DROP TABLE p", "\"c_p_fkey\" of table \"c\" refers to it",
         INSTAR_ESTATE},
        {"DROP TABLE d; ALTER TABLE d ADD COLUMN x int8", "\"d\" is dropped in the same change",
         INSTAR_EUNKNOWN},
        {"ALTER TABLE c ADD COLUMN x int8; DROP TABLE c", "\"c\" is dropped in the change that",
         INSTAR_EINVALID},
        {"DROP TABLE d; CREATE TABLE n (id int8 REFERENCES d)", "\"d\" is dropped in the same",
         INSTAR_EUNKNOWN},
        {"ALTER TABLE p RENAME TO q; ALTER TABLE c ADD FOREIGN KEY (w) REFERENCES p",
         "\"p\" is renamed to \"q\"", INSTAR_EUNKNOWN},
        {"ALTER TABLE p RENAME TO q; ALTER TABLE p ADD COLUMN x int8; DROP TABLE d",
         "another name by then", INSTAR_EUNKNOWN},
        {"CREATE TABLE n (id int8 REFERENCES nope); DROP TABLE d", "no table \"nope\"",
         INSTAR_EUNKNOWN},
        {"CREATE TABLE n (id int8); ALTER TABLE c DROP COLUMN nope", "nope", INSTAR_EUNKNOWN},
        {"CREATE TABLE n (id int8); ALTER TABLE c ADD PRIMARY KEY (w)",
         "\"c\" has a primary key already", INSTAR_EEXISTS},
        {"CREATE TABLE n (id int8); ALTER TABLE p DROP CONSTRAINT p_pkey",
         "\"c_p_fkey\" of table "
         "\"c\" refers to it",
         INSTAR_ESTATE},
        {"CREATE TABLE n (id int8 REFERENCES d); ALTER TABLE d DROP CONSTRAINT d_pkey",
         "whose primary key changes in the same change", INSTAR_EINVALID},
        {"DROP TABLE d WITH (undo_window_s = 60); CREATE TABLE n (id int8)",
         "drop table with an undo window is a change by itself", INSTAR_EINVALID},
        {"CREATE TABLE n (id int8); ALTER TABLE p DROP COLUMN v WITH (undo_window_s = 60)",
         "drop column with an undo window beside other tables", INSTAR_EINVALID},
    };
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    severals_make_tables(db);
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        char text[512];

        (void)snprintf(text, sizeof(text), "BEGIN; %s; COMMIT", cases[i].sql);
        int rc = sqls_run(db, text);
        cr_assert(rc == cases[i].code && sqls_say(cases[i].words), "%s: %s %s", cases[i].sql,
                  instar_error_name(rc), sqls_words());
    }
    expect_none(db);
    ok(sqls_run(db,
                "CREATE TABLE n (id int8); CREATE TABLE q (id int8); CREATE INDEX i ON n (id)"));
    ok(instar_close(db));
}

/* A child and its parent go together; what is there already, or not, is left out. */
Test(several, drops_and_what_is_left_out)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    severals_make_tables(db);
    ok(sqls_run(db, "CREATE TABLE e (id int8 PRIMARY KEY)"));
    ok(sqls_run(db, "BEGIN; ALTER TABLE c DROP CONSTRAINT c_p_fkey; DROP TABLE p; DROP TABLE d;"
                    "DROP TABLE IF EXISTS nope; CREATE TABLE IF NOT EXISTS e (id int8 PRIMARY "
                    "KEY); ALTER TABLE IF EXISTS nope ADD COLUMN x int8; COMMIT"));
    expect_u64(tables(db), 2);
    ok(sqls_run(db, "BEGIN; DROP TABLE IF EXISTS p; DROP TABLE IF EXISTS d; COMMIT"));
    ok(sqls_run(db, "CREATE TABLE p (id int8 PRIMARY KEY); CREATE TABLE d (id int8)"));
    dbs_end_sound(db);
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

    severals_make_tables(db);
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
    dbs_check_sound(db);
    ok(moves_run(db, "delete c 4"));
    ok(sqls_run(db, "BEGIN; " TYPES_BACK "; COMMIT"));
    cr_assert_str_eq(sqls_scan(db, "c", "w,id", "c_w", NULL), "7,1;8,2;10,3");
    cr_assert_str_eq(sqls_scan(db, "p", "v", "p_v", NULL), "10;20;30");
    expect_u64(tables(db), 3);
    expect(shows(db, "c", "CREATE INDEX c_w ON c (w);"));
    expect(shows(db, "c", "COMMENT ON INDEX c_w IS 'what they are';"));
    expect(shows(db, "p", "CONSTRAINT p_v UNIQUE (v)"));
    ok(sqls_run(db, "ALTER INDEX c_w RENAME TO c_x")); /* nothing holds the name */
    dbs_end_sound(db);
}

/* A foreign key that is validated beside another table's column stands as it stood, but valid. */
Test(several, foreign_key_that_is_validated)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "CREATE TABLE p (a int8 PRIMARY KEY); CREATE TABLE o (a int8);"
                    "CREATE TABLE c (a int8 PRIMARY KEY, p int8);"
                    "ALTER TABLE c ADD CONSTRAINT r FOREIGN KEY (p) REFERENCES p NOT VALID"));
    ok(sqls_run(db,
                "BEGIN; ALTER TABLE c VALIDATE CONSTRAINT r; ALTER TABLE o ADD x int8; COMMIT"));
    expect(shows(db, "c", "CONSTRAINT r FOREIGN KEY (p) REFERENCES p (a)"));
    expect(!shows(db, "c", "NOT VALID") && shows(db, "o", "x int8"));
    dbs_end_sound(db);
}

/* A record whose checksum is right, but whose new table is described as another one, makes nothing.
 */
Test(several, made_of_the_description_of_another_one)
{
    struct several_request request;
    struct change_record r;
    struct store_txn *t;
    instar_change_info info;
    uint64_t change;
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);

    ok(sqls_submit(db, "BEGIN; CREATE TABLE a (x int8); CREATE TABLE b (y int8); COMMIT", &change));
    must(store_txn_begin(db->env.store, STORE_TXN_SYNC, &t, &test_err));
    must(record_get(t, change, STORE_READ_NORMAL, &r, &test_err));
    must(several_decode(base_buf_slice(&r.descriptor), &request, &test_err));
    struct base_buf first = request.list[0].bytes;
    request.list[0].bytes = request.list[1].bytes;
    request.list[1].bytes = first;
    base_buf_clear(&r.descriptor);
    must(several_encode(&request, &r.descriptor, &test_err));
    must(record_put(t, &r, &test_err));
    must(store_txn_commit(t, NULL, NULL, &test_err));
    several_free(&request);
    record_free(&r);
    ok(instar_close(db));
    db = dbs_open(0);
    fails(instar_change_wait(db, change, TEST_AWAIT_S * 1000, &info), INSTAR_EFAILED);
    cr_assert(info.error == INSTAR_ECORRUPT && strstr(info.reason, "names id") != NULL, "%s",
              info.reason);
    expect_u64(tables(db), 0);
    ok(sqls_run(db, "CREATE TABLE a (x int8); CREATE TABLE b (y int8)"));
    dbs_end_sound(db);
}
