/* SPDX-License-Identifier: Apache-2.0 */
/* Another type for a column of the primary key: the rows are made anew by the key that it becomes,
 * and all indexes with them. */
#include "support/compounds.h"
#include "support/moves.h"

#include <stdio.h>
#include <string.h>

static bool shows(instar *db, const char *table, const char *words)
{
    return strstr(sqls_schema(db, table), words) != NULL;
}

static instar_value text(const char *value)
{
    return (instar_value){.type = INSTAR_TEXT, .bytes = {value, strlen(value)}};
}

static instar_value number(int64_t value)
{
    return (instar_value){.type = INSTAR_INT8, .i = value};
}

/* The row of that key goes. */
static void delete_by(instar *db, instar_value key)
{
    instar_projection *p = alters_projection(db, "t", NULL);
    instar_txn *txn;

    ok(instar_begin(db, 0, &txn));
    ok(instar_delete(txn, p, &key));
    ok(instar_commit(txn));
    instar_projection_free(p);
}

/* t(a, b, c) by its key of that type. */
static instar *open_t(const char *type, const char *rows)
{
    char text[512];
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    (void)snprintf(text, sizeof(text),
                   "CREATE TABLE t (a %s PRIMARY KEY, b int8, c text UNIQUE);"
                   "CREATE INDEX t_b ON t (b) INCLUDE (c)",
                   type);
    ok(sqls_run(db, text));
    ok(moves_run(db, rows));
    return db;
}

/* The key is ordered as its new type has it, and rows and entries are found by it. */
Test(rekey_retype, number_to_text)
{
    instar *db = open_t("int8", "insert t 9,1,x ; insert t 10,1,y ; insert t 100,2,z");

    ok(sqls_run(db, "ALTER TABLE t ALTER COLUMN a TYPE text"));
    cr_assert(shows(db, "t", "a text NOT NULL") && shows(db, "t", "PRIMARY KEY (a)"), "%s",
              sqls_schema(db, "t"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "10,1,y;100,2,z;9,1,x");
    fails(sqls_run(db, "ALTER TABLE t ALTER COLUMN a TYPE int8"), INSTAR_ETYPE);
    ok(sqls_run(db, "ALTER TABLE t ALTER COLUMN a TYPE int4 USING a::int4"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "9,1,x;10,1,y;100,2,z");
    ok(moves_run(db, "insert t 11,2,w ; update t 9 12,3,v ; delete t 10"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "11,2,w;12,3,v;100,2,z");
    dbs_end_sound(db);
}

/* One column of several, beside other steps; the type of another one at once. */
Test(rekey_retype, of_several_columns)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    ok(sqls_run(db, "CREATE TABLE t (a int8, b numeric(6,2), c text, PRIMARY KEY (b, a) WITH (b = "
                    "DESC)); CREATE INDEX t_c ON t (c)"));
    ok(moves_run(db, "insert t 1,2.26,x ; insert t 2,2.25,y ; insert t 1,10.5,z"));
    ok(sqls_run(db, "BEGIN; ALTER TABLE t ALTER COLUMN b TYPE numeric(8,1), ADD COLUMN d int8 "
                    "DEFAULT 1; CREATE INDEX t_d ON t (d, c); ALTER TABLE t RENAME COLUMN b TO bb; "
                    "COMMIT"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,10.5,z,1;1,2.3,x,1;2,2.3,y,1");
    cr_assert(shows(db, "t", "PRIMARY KEY (bb, a)") && shows(db, "t", "bb numeric(8,1)"), "%s",
              sqls_schema(db, "t"));
    dbs_end_sound(db);
}

/* What cannot be cast, and what becomes one key, is named; nothing stays. */
Test(rekey_retype, what_fails_is_named)
{
    instar *db = open_t("numeric(6,2)", "insert t 1.25,1,x ; insert t 1.30,1,y ; insert t 300,2,z");
    char before[4096];

    (void)snprintf(before, sizeof(before), "%s", sqls_schema(db, "t"));
    fails(sqls_run(db, "ALTER TABLE t ALTER COLUMN a TYPE numeric(5,1)"), INSTAR_EFAILED);
    cr_assert(sqls_say("1.3") && sqls_say("more than once"), "%s", sqls_words());
    cr_assert_str_eq(sqls_schema(db, "t"), before);
    fails(sqls_run(db, "ALTER TABLE t ALTER COLUMN a TYPE numeric(3,2)"), INSTAR_EFAILED);
    cr_assert(sqls_say("300.00"), "%s", sqls_words());
    fails(sqls_run(db, "ALTER TABLE t ALTER COLUMN a TYPE numeric(6,2) USING 10 / (a - 300)"),
          INSTAR_EFAILED);
    cr_assert(sqls_say("zero"), "%s", sqls_words());
    cr_assert_str_eq(sqls_schema(db, "t"), before);
    delete_by(db, (instar_value){.type = INSTAR_NUMERIC, .scale = 2, .numeric = {.low = 125}});
    ok(sqls_run(db, "ALTER TABLE t ALTER COLUMN a TYPE numeric(5,1)"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1.3,1,y;300.0,2,z");
    dbs_end_sound(db);
}

/* What refers to the key names itself. */
Test(rekey_retype, not_where_others_refer_to_it)
{
    instar *db = open_t("int8", "insert t 1,1,x");

    ok(sqls_run(db, "CREATE TABLE r (a int8 PRIMARY KEY, t int8 REFERENCES t)"));
    fails(sqls_run(db, "ALTER TABLE t ALTER COLUMN a TYPE text"), INSTAR_ESTATE);
    cr_assert(sqls_say("foreign key \"r_t_fkey\" of table \"r\" refers to it"), "%s", sqls_words());
    ok(sqls_run(db, "ALTER TABLE r ALTER COLUMN a TYPE text"));
    fails(moves_run(db, "delete t 1 ; insert r q,1"), INSTAR_EREFERENCE);
    dbs_end_sound(db);
}

/* The key of the old type is dropped, or another column takes its place, while types change. */
Test(rekey_retype, with_another_key)
{
    instar *db = open_t("int8", "insert t 9,1,x ; insert t 10,2,y ; insert t 100,3,z");

    ok(sqls_run(db,
                "ALTER TABLE t DROP CONSTRAINT t_pkey, ALTER COLUMN b TYPE text, ALTER COLUMN a "
                "TYPE numeric(5,1), ADD PRIMARY KEY (b)"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "9.0,1,x;10.0,2,y;100.0,3,z");
    ok(moves_run(db, "insert t 7.5,22,w"));
    delete_by(db, text("3"));
    dbs_check_sound(db);
    ok(sqls_run(db, "ALTER TABLE t ALTER COLUMN b TYPE int8 USING length(b) * 100, DROP "
                    "CONSTRAINT t_pkey"));
    dbs_end_sound(db);
}

/* ---- two versions that read ---------------------------------------------------------------- */

static instar_projection *keys_and_b(instar *db)
{
    static const char *const columns[] = {"a", "b"};
    instar_projection *p;

    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &p));
    return p;
}

/* Read the row of the one key, then write that of the other. */
static void read_and_write(instar_txn *txn, instar_projection *p, instar_value read,
                           instar_value write)
{
    instar_value row[2];
    const instar_value values[2] = {write, number(77)};

    ok(instar_get(txn, p, &read, row));
    ok(instar_update(txn, p, &write, values));
}

static void scene_end(struct scene_held *s)
{
    dbs_check_sound(s->db);
    scene_held_close(s);
}

/* Each reads the row that the other writes, by the old key and by the new one, in the two versions
 * beside the swap; cast back, the new keys are those of no row. Never may both commit. */
static void skew(bool new_first)
{
    struct scene_held s;
    instar_txn *old;
    instar_txn *new;
    instar_change_info info;

    test_remove(dbs_path());
    instar *made = open_t("text", "insert t 05,1,x ; insert t 06,2,y ; insert t 7,3,z");
    ok(instar_close(made));
    scene_hold(&s, "change.public", 1);
    instar_change_options options = scene_options(60000);
    options.flags = INSTAR_CHANGE_HOLD;
    ok(compounds_submit(s.db, "ALTER TABLE t ALTER COLUMN a TYPE int8 USING a::int8", &options,
                        &s.change));
    scene_await_waiting(s.db, s.change, "validated", &info);
    instar_projection *by_old = keys_and_b(s.db);
    ok(instar_begin(s.db, 0, &old));
    read_and_write(old, by_old, text("05"), text("06"));
    ok(scene_steer(s.db, s.change, 0, INSTAR_CHANGE_HOLD));
    test_hold_await(&s.hold);
    instar_projection *by_new = keys_and_b(s.db);
    ok(instar_begin(s.db, 0, &new));
    read_and_write(new, by_new, number(6), number(5));
    ok(instar_commit(new_first ? new : old));
    fails(instar_commit(new_first ? old : new), INSTAR_ECONFLICT);
    ok(instar_begin(s.db, 0, &new));
    fails(instar_get(new, by_old, &(instar_value){.type = INSTAR_TEXT, .bytes = {"05", 2}},
                     (instar_value[2]){{0}}),
          INSTAR_EUNKNOWN);
    instar_abort(new);
    instar_projection_free(by_old);
    instar_projection_free(by_new);
    scene_held_done(&s);
    scene_end(&s);
}

Test(rekey_retype, who_reads_by_either_key_meets_the_other)
{
    skew(true);
    skew(false);
}

/* A foreign key that comes in the same change, over an index that is there, hides nothing of what
 * the types need: neither the key nor another index that is made anew. */
Test(rekey_retype, beside_a_foreign_key)
{
    instar *db = open_t("int8", "insert t 9,1,x ; insert t 10,1,y");

    ok(sqls_run(db, "CREATE TABLE p (a int8 PRIMARY KEY); CREATE TABLE u (a int8 PRIMARY KEY, "
                    "b int8, d int8); CREATE INDEX u_b ON u (b); CREATE INDEX u_d ON u (d)"));
    ok(moves_run(db, "insert p 1 ; insert u 1,1,9 ; insert u 2,1,10"));
    ok(sqls_run(db, "BEGIN; ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (b) REFERENCES p; "
                    "ALTER TABLE t ALTER COLUMN a TYPE text; COMMIT"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "10,1,y;9,1,x");
    ok(sqls_run(db, "ALTER TABLE u ADD CONSTRAINT s FOREIGN KEY (b) REFERENCES p, "
                    "ALTER COLUMN d TYPE text"));
    cr_assert_str_eq(sqls_scan(db, "u", "d", "u_d", NULL), "10;9");
    fails(moves_run(db, "insert u 3,7,x"), INSTAR_EREFERENCE);
    dbs_end_sound(db);
}
