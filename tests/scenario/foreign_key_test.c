/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign keys: with a table, added to one with rows, not valid, of a table to itself; what writers
 * of both tables may do, and what may not be done to what is referred to. */
#include "api/api_impl.h"
#include "support/moves.h"

#include <stdio.h>
#include <string.h>

static bool shows(instar *db, const char *table, const char *words)
{
    return strstr(sqls_schema(db, table), words) != NULL;
}

/* p(id, v) with keys 1 … 5, c(id, p) that refers to it, if `tied`. */
static instar *open_pc(uint32_t flags, bool tied)
{
    instar *db = dbs_open(flags);

    ok(sqls_run(db, "create table p (id int8 primary key, v int8 unique)"));
    ok(sqls_run(db, tied ? "create table c (id int8 primary key, p int8 references p)"
                         : "create table c (id int8 primary key, p int8);"
                           "create index c_p on c (p)"));
    ok(moves_run(db, "insert p 1,10 ; insert p 2,20 ; insert p 3,30 ; insert p 4,40 ; insert p "
                     "5,null"));
    return db;
}

/* A row refers to one that is there, or to nothing; who is referred to stays. */
Test(foreign_key, with_the_table)
{
    instar *db = open_pc(0, true);

    cr_assert(shows(db, "c",
                    "CREATE INDEX c_p_idx ON c (p);\n"
                    "ALTER TABLE c ADD CONSTRAINT c_p_fkey FOREIGN KEY (p) REFERENCES p (id);\n"),
              "%s", sqls_schema(db, "c"));
    ok(moves_run(db, "insert c 1,5"));
    ok(moves_run(db, "insert c 2,null"));
    fails(moves_run(db, "insert c 3,6"), INSTAR_EREFERENCE);
    cr_assert_str_eq(instar_error_text(),
                     "foreign key c_p_fkey of table c: (p=6) of row (id=3) is no key of table p");
    cr_assert_str_eq(instar_error_sqlstate(INSTAR_EREFERENCE), "23503");
    fails(moves_run(db, "update c 1 1,7"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete p 5"), INSTAR_EREFERENCE);
    cr_assert_str_eq(
        instar_error_text(),
        "foreign key c_p_fkey of table c: (p=5) of row (id=1) refers to table p, which "
        "loses that key");
    fails(moves_run(db, "update p 5 6,null"), INSTAR_EREFERENCE);
    ok(moves_run(db, "update p 5 5,50"));
    ok(moves_run(db, "update c 1 1,4"));
    ok(moves_run(db, "delete p 5"));
    ok(moves_run(db, "delete c 1"));
    ok(moves_run(db, "delete p 4"));
    dbs_end_sound(db);
}

/* What counts is what the transaction leaves behind, in whatever order it came about. */
Test(foreign_key, final_state)
{
    instar *db = open_pc(0, true);

    ok(moves_run(db, "insert c 1,9 ; insert p 9,null"));
    ok(moves_run(db, "delete p 9 ; delete c 1"));
    ok(moves_run(db, "insert c 1,8 ; delete c 1"));
    ok(moves_run(db, "insert c 1,8 ; update c 1 1,2"));
    ok(moves_run(db, "delete p 2 ; insert p 2,21"));
    ok(moves_run(db, "update p 2 9,22 ; update p 9 2,23"));
    ok(moves_run(db, "update p 2 9,22 ; update c 1 1,9"));
    fails(moves_run(db, "delete p 9 ; insert c 2,9 ; update c 1 1,null"), INSTAR_EREFERENCE);
    fails(moves_run(db, "update c 1 1,7 ; insert p 8,null"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete p 9 ; insert p 10,null"), INSTAR_EREFERENCE);
    cr_assert_str_eq(alters_rows(db, "c", NULL), "1,9");
    dbs_end_sound(db);
}

/* A row that moves behind its reference is asked for where it has come to, be it by its key or by
 * another column of the index by which it is found. A row from before is still not asked for. */
Test(foreign_key, reference_that_moves_along)
{
    instar *db = open_pc(0, true);

    ok(sqls_run(db, "create table n (id int8 primary key, p int8, x int8);"
                    "create index n_p_x on n (p, x);"
                    "create table k (p int8 primary key, x int8)"));
    ok(moves_run(db, "insert n 1,9,0 ; insert n 2,9,0 ; insert k 9,0"));
    ok(sqls_run(db, "alter table n add constraint f foreign key (p) references p not valid;"
                    "alter table k add constraint f foreign key (p) references p not valid"));
    fails(moves_run(db, "insert c 1,9 ; update c 1 2,9"), INSTAR_EREFERENCE);
    ok(moves_run(db, "insert c 1,1"));
    fails(moves_run(db, "update c 1 1,9 ; update c 1 2,9 ; update c 2 3,9"), INSTAR_EREFERENCE);
    cr_assert_str_eq(instar_error_text(),
                     "foreign key c_p_fkey of table c: (p=9) of row (id=3) is no key of table p");
    fails(moves_run(db, "insert n 3,9,0 ; update n 3 3,9,1"), INSTAR_EREFERENCE);
    fails(moves_run(db, "insert k 8,0 ; update k 8 8,1"), INSTAR_EREFERENCE);
    ok(moves_run(db, "insert c 2,7 ; update c 2 3,7 ; insert p 7,null"));
    ok(moves_run(db, "delete c 3 ; delete p 7"));
    ok(moves_run(db, "update n 1 11,9,0"));
    ok(moves_run(db, "update n 2 2,9,5 ; insert n 4,1,0"));
    ok(moves_run(db, "update k 9 9,5"));
    ok(moves_run(db, "insert n 5,9,0 ; update n 5 6,9,0 ; delete n 6"));
    cr_assert_str_eq(alters_rows(db, "c", NULL), "1,1");
    ok(instar_close(db));
}

/* RESTRICT looks at whether the key was taken away, NO ACTION at whether it is missing. */
Test(foreign_key, restrict_and_no_action)
{
    instar *db = open_pc(0, false);

    ok(sqls_run(db, "alter table c add foreign key (p) references p on delete restrict on update "
                    "no action"));
    expect(shows(db, "c", "REFERENCES p (id) ON DELETE RESTRICT;"));
    ok(moves_run(db, "insert c 1,2"));
    fails(moves_run(db, "delete p 2 ; insert p 2,21"), INSTAR_EREFERENCE);
    ok(moves_run(db, "update p 2 9,20 ; insert p 2,21"));
    ok(moves_run(db, "delete p 3 ; insert p 3,30"));
    ok(sqls_run(db, "alter table c drop constraint c_p_fkey; alter table c add foreign key (p) "
                    "references p (id) on update restrict"));
    ok(moves_run(db, "delete p 2 ; insert p 2,21"));
    fails(moves_run(db, "update p 2 8,21 ; insert p 2,22"), INSTAR_EREFERENCE);
    dbs_end_sound(db);
}

/* Several columns, in another order than the key's, to a unique index; a null in any of them means
 * that nothing is looked for, on either side. Integers of other sizes are the same keys. */
Test(foreign_key, several_columns)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "create table p (id int8 primary key, a int4, b text, unique (a, b))"));
    ok(sqls_run(db, "create table c (id int8 primary key, x text, y int8, constraint f foreign key "
                    "(x, y) references p (b, a))"));
    cr_assert(shows(db, "c",
                    "CREATE INDEX c_y_x_idx ON c (y, x);\n"
                    "ALTER TABLE c ADD CONSTRAINT f FOREIGN KEY (y, x) REFERENCES p (a, b);\n"),
              "%s", sqls_schema(db, "c"));
    ok(moves_run(db, "insert p 1,7,z ; insert p 2,7,null"));
    ok(moves_run(db, "insert c 1,z,7"));
    ok(moves_run(db, "insert c 2,null,9"));
    ok(moves_run(db, "insert c 3,q,null"));
    fails(moves_run(db, "insert c 4,q,7"), INSTAR_EREFERENCE);
    cr_assert_str_eq(instar_error_text(),
                     "foreign key f of table c: (y=7, x='q') of row (id=4) is no key of table p");
    fails(moves_run(db, "insert c 4,z,99999999999"), INSTAR_EREFERENCE);
    fails(moves_run(db, "update p 1 1,7,y"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete p 1"), INSTAR_EREFERENCE);
    ok(moves_run(db, "update p 1 11,7,z")); /* another row's key is none of it */
    ok(moves_run(db, "delete p 2"));
    ok(moves_run(db, "insert p 3,7,z2 ; update c 1 1,z2,7 ; delete p 11"));
    dbs_end_sound(db);
}

/* A table that refers to itself. */
Test(foreign_key, to_itself)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "create table e (id int8 primary key, boss int8 references e)"));
    ok(moves_run(db, "insert e 1,1"));
    ok(moves_run(db, "insert e 2,3 ; insert e 3,1"));
    fails(moves_run(db, "insert e 4,5"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete e 1"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete e 3"), INSTAR_EREFERENCE);
    ok(moves_run(db, "delete e 3 ; delete e 2"));
    ok(moves_run(db, "delete e 1"));
    ok(moves_run(db, "insert e 1,null ; insert e 2,1"));
    ok(sqls_run(db, "alter table e drop constraint e_boss_fkey"));
    ok(moves_run(db, "insert e 3,7"));
    fails(sqls_run(db, "alter table e add foreign key (boss) references e"), INSTAR_EFAILED);
    cr_assert(sqls_say("foreign key e_boss_fkey: 1 row refers to what table e has not: row (id=3) "
                       "refers to (7)"),
              "%s", sqls_words());
    ok(moves_run(db, "update e 3 3,2"));
    ok(sqls_run(db, "alter table e add constraint k foreign key (boss) references e"));
    fails(moves_run(db, "delete e 2"), INSTAR_EREFERENCE);
    dbs_check_sound(db);
    ok(sqls_run(db, "drop table e"));
    ok(instar_close(db));
}

/* Rows that refer to nothing: the change fails, names up to ten of them and says how many there
 * are; nothing of it stays in either table. */
Test(foreign_key, added_to_rows)
{
    instar *db = open_pc(0, false);

    for (int i = 1; i <= 12; i++) {
        char row[64];
        snprintf(row, sizeof(row), "insert c %d,%d", i, i + 1);
        ok(moves_run(db, row));
    }
    fails(sqls_run(db, "alter table c add foreign key (p) references p"), INSTAR_EFAILED);
    cr_assert(sqls_say("foreign key c_p_fkey: 8 rows refer to what table p has not: row (id=5) "
                       "refers to (6); row (id=6) refers to (7)"),
              "%s", sqls_words());
    expect(!shows(db, "c", "FOREIGN"));
    ok(moves_run(db, "delete p 5"));
    ok(moves_run(db, "insert c 20,99"));
    dbs_check_sound(db);
    ok(sqls_run(db, "drop table p"));
    /* A long value is cut. */
    ok(sqls_run(db, "create table k (x text primary key);"
                    "create table l (id int8 primary key, p text)"));
    char row[200] = "insert l 1,";
    memset(row + strlen(row), 'x', 150);
    ok(moves_run(db, row));
    fails(sqls_run(db, "alter table l add foreign key (p) references k"), INSTAR_EFAILED);
    cr_assert(sqls_say("xxx...)"), "%s", sqls_words());
    ok(instar_close(db));
}

/* NOT VALID binds what is written, not what is there. VALIDATE fails while a row is left that
 * breaks it, and leaves it as it was; then it succeeds. */
Test(foreign_key, not_valid_and_validated_later)
{
    instar *db = open_pc(0, false);

    ok(moves_run(db, "insert c 1,1 ; insert c 2,77"));
    ok(sqls_run(db, "alter table c add constraint k foreign key (p) references p not valid"));
    expect(shows(db, "c", "REFERENCES p (id) NOT VALID;"));
    fails(moves_run(db, "insert c 3,78"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete p 1"), INSTAR_EREFERENCE);
    ok(moves_run(db, "update c 2 22,77")); /* it need not be mended by this */
    dbs_check_sound(db);
    fails(sqls_run(db, "alter table c validate constraint k"), INSTAR_EFAILED);
    cr_assert(sqls_say("row (id=22) refers to (77)"), "%s", sqls_words());
    expect(shows(db, "c", "NOT VALID;"));
    fails(moves_run(db, "delete p 1"), INSTAR_EREFERENCE);
    ok(moves_run(db, "update c 22 22,2"));
    ok(sqls_run(db, "alter table c validate constraint k"));
    expect(!shows(db, "c", "NOT VALID;"));
    ok(sqls_run(db, "alter table c rename constraint k to kk"));
    fails(moves_run(db, "delete p 2"), INSTAR_EREFERENCE);
    expect(says("foreign key kk of table c"));
    ok(sqls_run(db, "alter table c drop constraint kk"));
    ok(moves_run(db, "delete p 2"));
    dbs_end_sound(db);
}

/* What is referred to, and by what rows are found, stays; all names may change. */
Test(foreign_key, what_it_needs_is_kept)
{
    static const struct {
        const char *sql;
        const char *words;
    } cases[] = {
        {"drop table p", "table \"p\": foreign key \"c_p_fkey\" of table \"c\" refers to it"},
        {"alter table p alter column id type text",
         "table \"p\": foreign key \"c_p_fkey\" of table \"c\" refers to it"},
        {"alter table c alter column p type text", "foreign key \"c_p_fkey\" is about it"},
        {"alter table c drop column p", "foreign key \"c_p_fkey\" is about it"},
        {"drop index c_p_idx", "foreign key \"c_p_fkey\" needs an index"},
        {"begin; drop index c_p_idx; create index other on c (id); commit",
         "foreign key \"c_p_fkey\" needs an index"},
        {"alter table p drop constraint p_v_key",
         "foreign key \"d_v_fkey\" of table \"d\" refers to its key \"p_v_key\""},
        {"alter table p drop column v", "constraint \"p_v_key\" uses it"},
        {"drop index q_k", "foreign key \"e_k_fkey\" of table \"e\" refers to its key"},
    };
    instar *db = open_pc(0, true);

    ok(sqls_run(db, "create table d (id int8 primary key, v int8 unique references p (v))"));
    ok(sqls_run(db,
                "create table q (id int8 primary key, k int8); create unique index q_k on q (k);"
                "create table e (id int8 primary key, k int8 references q (k))"));
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        fails(sqls_run(db, cases[i].sql), INSTAR_ESTATE);
        cr_assert(sqls_say(cases[i].words), "%s: %s", cases[i].sql, sqls_words());
    }
    ok(sqls_run(db, "create index c_p2 on c (p, id); drop index c_p_idx"));
    ok(moves_run(db, "insert c 1,1 ; insert d 1,20"));
    ok(sqls_run(db, "alter table p rename to pp; alter table pp rename column id to key; alter "
                    "table c rename to cc; alter table cc rename column p to parent; alter index "
                    "p_v_key rename to u"));
    cr_assert(shows(db, "cc", "ADD CONSTRAINT c_p_fkey FOREIGN KEY (parent) REFERENCES pp (key);"),
              "%s", sqls_schema(db, "cc"));
    fails(moves_run(db, "delete pp 1"), INSTAR_EREFERENCE);
    fails(moves_run(db, "update pp 2 2,21"), INSTAR_EREFERENCE);
    fails(moves_run(db, "insert cc 2,9"), INSTAR_EREFERENCE);
    expect(says("foreign key c_p_fkey of table cc: (parent=9) of row (id=2) is no key of table "
                "pp"));
    dbs_check_sound(db);
    ok(sqls_run(db, "drop table cc; drop table d; drop table pp"));
    dbs_end_sound(db);
}

/* What cannot be is refused at once, by name. */
Test(foreign_key, refused_at_once)
{
    static const struct {
        const char *sql;
        int code;
        const char *words;
    } cases[] = {
        {"alter table c add foreign key (p) references p on delete cascade", INSTAR_EINVALID,
         "not supported: ON DELETE CASCADE"},
        {"alter table c add foreign key (p) references p on update set null", INSTAR_EINVALID,
         "not supported: ON UPDATE SET NULL"},
        {"create table x (id int8 primary key, p int8 references p on delete set default)",
         INSTAR_EINVALID, "not supported: ON DELETE SET DEFAULT"},
        {"alter table c add foreign key (p) references p match full", INSTAR_EINVALID,
         "not supported: MATCH FULL"},
        {"alter table c add foreign key (p) references p deferrable", INSTAR_EINVALID,
         "not supported: DEFERRABLE"},
        {"alter table c add column if not exists q int8 references p", INSTAR_EINVALID,
         "not supported: REFERENCES in ADD COLUMN IF NOT EXISTS"},
        {"alter table c add column q text references p", INSTAR_ETYPE,
         "column \"q\" is text, column \"id\" of table \"p\" is int8"},
        {"alter table c add foreign key (q) references p", INSTAR_EUNKNOWN, "no column \"q\""},
        {"alter table c add foreign key (p) references pq", INSTAR_EUNKNOWN, "no table \"pq\""},
        {"alter table c add foreign key (p) references p (w)", INSTAR_EUNKNOWN, "no column \"w\""},
        {"alter table c add foreign key (p) references n (x)", INSTAR_EINVALID,
         "no primary key and no unique index of just these columns"},
        {"alter table c add foreign key (p) references n", INSTAR_ETYPE,
         "column \"p\" is int8, column \"id\" of table \"n\" is text"},
        {"alter table c add foreign key (p, id) references p", INSTAR_EINVALID,
         "it has 2 columns, the primary key of table \"p\" has 1"},
        {"alter table c add constraint k foreign key (p) references p, add constraint k check (p > "
         "0)",
         INSTAR_EEXISTS, "has a constraint \"k\" already"},
    };
    instar *db = open_pc(0, false);

    ok(sqls_run(db, "create table n (id text primary key, x int8)"));
    ok(sqls_run(db, "create index n_x on n (x) where x > 0"));
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        fails(sqls_run(db, cases[i].sql), cases[i].code);
        cr_assert(sqls_say(cases[i].words), "%s: %s", cases[i].sql, sqls_words());
    }
    expect(!shows(db, "c", "FOREIGN"));
    ok(instar_close(db));
}

/* The index that it lacks is made with it, and gone again when the change fails. */
Test(foreign_key, index_is_made)
{
    instar *db = open_pc(0, true);

    ok(sqls_run(db, "create table n (id int8 primary key, p int8, q int4); create index n_p on n "
                    "(p) where p > 0"));
    ok(moves_run(db, "insert n 1,1,1 ; insert n 2,2,null ; insert n 3,9,2"));
    fails(sqls_run(db, "alter table n add foreign key (p) references p, alter q set not null"),
          INSTAR_EFAILED);
    fails(sqls_run(db, "alter table n add foreign key (p) references p"), INSTAR_EFAILED);
    cr_assert(sqls_say("foreign key n_p_fkey: 1 row refers to what table p has not: row (id=3) "
                       "refers to (9)"),
              "%s", sqls_words());
    expect(!shows(db, "n", "n_p_idx") && !shows(db, "n", "FOREIGN"));
    ok(moves_run(db, "insert n 4,10,3 ; delete n 3"));
    ok(moves_run(db, "delete n 4"));
    cr_assert(strstr(sqls_explain(db, "alter table n add foreign key (p) references p"),
                     "3. build: one scan of the table for 1 index") != NULL,
              "%s", sqls_explain(db, "alter table n add foreign key (p) references p"));
    ok(sqls_run(db, "alter table n add foreign key (p) references p, add foreign key (q) "
                    "references p not valid, add unique (q)"));
    cr_assert(shows(db, "n",
                    "CREATE INDEX n_p_idx ON n (p);\n"
                    "CREATE INDEX n_q_idx ON n (q);\n"
                    "ALTER TABLE n ADD CONSTRAINT n_p_fkey FOREIGN KEY (p) REFERENCES p (id);\n"
                    "ALTER TABLE n ADD CONSTRAINT n_q_fkey FOREIGN KEY (q) REFERENCES p (id) NOT "
                    "VALID;\n"),
              "%s", sqls_schema(db, "n"));
    fails(moves_run(db, "insert n 5,9,null"), INSTAR_EREFERENCE);
    fails(moves_run(db, "insert n 5,1,9"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete p 2"), INSTAR_EREFERENCE);
    ok(sqls_run(db, "begin; alter table n drop constraint n_q_fkey; alter table n drop constraint "
                    "n_p_fkey; drop index n_p_idx; commit"));
    ok(moves_run(db, "delete p 2"));
    dbs_end_sound(db);
}

/* A schema that is printed makes the same tables again, in whatever order they refer to each other.
 */
Test(foreign_key, printed_and_read_again)
{
    char before[8192];
    instar *db = open_pc(0, true);

    ok(sqls_run(db, "create index p_x on p (v); alter table p add constraint back foreign key (v) "
                    "references c on delete restrict on update restrict not valid"));
    snprintf(before, sizeof(before), "%s", sqls_schema(db, "p"));
    cr_assert(shows(db, "p",
                    "ALTER TABLE p ADD CONSTRAINT back FOREIGN KEY (v) REFERENCES c (id) ON DELETE "
                    "RESTRICT ON UPDATE RESTRICT NOT VALID;\n"),
              "%s", before);
    fails(sqls_run(db, "drop table c"), INSTAR_ESTATE);
    ok(sqls_run(db, "alter table p drop constraint back"));
    ok(sqls_run(db, strstr(before, "ALTER TABLE")));
    cr_assert_str_eq(sqls_schema(db, "p"), before);
    ok(instar_close(db));
}

/* The same definition again is there already; another one differs. */
Test(foreign_key, if_not_exists)
{
    instar *db = open_pc(0, true);

    ok(sqls_run(db, "create table if not exists c (id int8 primary key, p int8 references p)"));
    fails(sqls_run(db, "create table if not exists c (id int8 primary key, p int8)"),
          INSTAR_EDEFINITION);
    fails(sqls_run(db, "create table if not exists c (id int8 primary key, p int8 references p "
                       "(v))"),
          INSTAR_EDEFINITION);
    ok(sqls_run(db, "create table c_p2 (id int8 primary key)"));
    ok(sqls_run(db, "create table if not exists e (id int8 primary key, e int8 references e)"));
    ok(sqls_run(db, "create table if not exists e (id int8 primary key, e int8 references e)"));
    ok(instar_close(db));
}

/* A column that comes with its foreign key, and its index: all in one version. */
Test(foreign_key, with_the_column)
{
    instar *db = open_pc(0, false);

    ok(moves_run(db, "insert c 1,1"));
    fails(sqls_run(db, "alter table c add column q int8 default 99 references p"), INSTAR_EFAILED);
    expect(sqls_say("foreign key c_q_fkey: 1 row") && sqls_say("refers to (99)"));
    expect(!shows(db, "c", "q int8") && !shows(db, "c", "c_q_idx"));
    ok(sqls_run(db, "alter table c add column q int8 default 2 references p on delete restrict"));
    expect(shows(db, "c", "FOREIGN KEY (q) REFERENCES p (id) ON DELETE RESTRICT;"));
    expect(shows(db, "c", "CREATE INDEX c_q_idx ON c (q);"));
    fails(moves_run(db, "delete p 2"), INSTAR_EREFERENCE);
    ok(sqls_run(db, "begin; alter table c add column r int4; alter table c add column s int8;"
                    "create index c_s on c (s); alter table c add foreign key (s) references p;"
                    "alter table c add foreign key (r) references p not valid; commit"));
    expect(shows(db, "c", "FOREIGN KEY (r) REFERENCES p (id) NOT VALID;"));
    expect(shows(db, "c", "FOREIGN KEY (s) REFERENCES p (id);"));
    expect(strstr(sqls_schema(db, "c"), "c_s_idx") == NULL);
    ok(sqls_run(db, "alter table c validate constraint c_r_fkey;"
                    "alter table c drop constraint c_q_fkey, drop constraint c_r_fkey,"
                    "drop constraint c_s_fkey"));
    ok(sqls_run(db, "begin; create index c_pp on c (p, id); alter table c add column t int8;"
                    "alter table c add column u int8 references p; create index c_t on c (t);"
                    "alter table c add unique (t, u); commit"));
    expect(shows(db, "c", "FOREIGN KEY (u) REFERENCES p (id);"));
    dbs_end_sound(db);
}

/* A column on either side becomes of another type where its keys stay as they are, and the
 * constraint binds on: programs of both types meet in it. */
Test(foreign_key, types_with_the_same_keys)
{
    instar *db = open_pc(0, true);

    ok(moves_run(db, "insert c 1,5"));
    ok(sqls_run(db, "alter table c alter column p type int4"));
    cr_assert(shows(db, "c", "p int4"), "%s", sqls_schema(db, "c"));
    fails(moves_run(db, "insert c 2,6"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete p 5"), INSTAR_EREFERENCE);
    ok(sqls_run(db, "alter table p alter column id type int2"));
    cr_assert(shows(db, "p", "id int2"), "%s", sqls_schema(db, "p"));
    fails(moves_run(db, "insert c 2,40000"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete p 5"), INSTAR_EREFERENCE);
    ok(moves_run(db, "insert c 2,4"));
    ok(moves_run(db, "update p 5 5,50"));
    ok(sqls_run(db, "alter table p alter column id type int8; "
                    "begin; alter table c alter column p type int8, add column q int8 default 3 "
                    "references p; create index c_q on c (q, id); commit"));
    fails(moves_run(db, "insert c 3,40000,1"), INSTAR_EREFERENCE);
    fails(moves_run(db, "delete p 3"), INSTAR_EREFERENCE);
    ok(moves_run(db, "delete p 2"));
    dbs_end_sound(db);
}

/* Where the keys would be others it is refused, and the constraint is named. */
Test(foreign_key, types_with_other_keys)
{
    static const struct {
        const char *sql, *words;
    } refused[] = {
        {"alter table c alter column p type text", "foreign key \"c_p_fkey\" is about it"},
        {"alter table c alter column p type numeric(8,0)", "foreign key \"c_p_fkey\" is about it"},
        {"alter table c alter column p type int8 using p + 1", "what USING makes of them"},
        {"alter table d alter column v type numeric(9,2)", "foreign key \"d_v_fkey\" is about it"},
    };
    instar *db = open_pc(0, true);

    ok(sqls_run(db, "create table n (id numeric(8,1) primary key, u numeric(8,1) unique);"
                    "create table d (id int8 primary key, v numeric(8,1) references n (u))"));
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        fails(sqls_run(db, refused[i].sql), INSTAR_ESTATE);
        cr_assert(strstr(instar_error_text(), refused[i].words) != NULL, "%s: %s", refused[i].sql,
                  instar_error_text());
    }
    fails(sqls_run(db, "alter table n alter column u type numeric(9,2)"), INSTAR_ESTATE);
    cr_assert(strstr(instar_error_text(), "d_v_fkey") != NULL, "%s", instar_error_text());
    ok(sqls_run(db, "alter table d alter column v type numeric(12,1)"));
    ok(sqls_run(db, "alter table n alter column u type numeric(10,1)"));
    dbs_end_sound(db);
}

/* Two descriptors that do not say the same of a foreign key, each of them whole, are corruption to
 * whoever writes by them. */
Test(foreign_key, ends_that_do_not_agree)
{
    struct catalog_table *child;
    struct store_txn *t;
    instar *db = open_pc(0, true);
    const struct txn_env *env = &db->env;

    ok(moves_run(db, "insert c 1,5"));
    must(store_txn_begin(env->store, STORE_TXN_SYNC, &t, &test_err));
    must(catalog_get_table(t, 2, &child, &test_err));
    cr_assert_str_eq(child->name, "c");
    child->fkeys[0].parent_index = 99; /* of which p knows nothing */
    must(catalog_put_table(t, child, &test_err));
    must(store_txn_commit(t, NULL, NULL, &test_err));
    catalog_table_free(child);
    ok(instar_close(db));
    db = dbs_open(0); /* its view has been loaded anew */
    fails(moves_run(db, "delete p 1"), INSTAR_ECORRUPT);
    expect(says("do not agree on a foreign key"));
    fails(moves_run(db, "insert c 2,5"), INSTAR_ECORRUPT);
    expect(says("has lost its key"));
    ok(instar_close(db));
}
