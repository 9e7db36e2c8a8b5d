/* SPDX-License-Identifier: Apache-2.0 */
/* The type of a column changes while rows of the old type stay as they are and writers go on. */
#include "support/alters.h"
#include "support/compounds.h"

#include <stdio.h>
#include <string.h>

/* t(a int4, b int4, c text), primary key a, a unique index t_b; rows (1, 11, one), (2, 12, two),
 * (3, 13, null). */
static void make_t4(instar *db)
{
    instar_column_def columns[] = {{.name = "a", .type = INSTAR_INT4},
                                   {.name = "b", .type = INSTAR_INT4},
                                   {.name = "c", .type = INSTAR_TEXT}};
    instar_key_column key = {.name = "a"};
    instar_table_def def = {
        .name = "t", .columns = columns, .column_count = 3, .key = &key, .key_count = 1};

    dbs_create(db, &def);
    ok(dbs_index(db, "t_b", "t", "b", true, NULL));
    ok(alters_insert(db, "t", NULL, "1,11,one"));
    ok(alters_insert(db, "t", NULL, "2,12,two"));
    ok(alters_insert(db, "t", NULL, "3,13,null"));
}

/* ---- wider -------------------------------------------------------------------------------- */

/* One version, no row and no index touched, the primary key included; greater values have room from
 * then on, and the index goes on finding all. */
Test(alter_types, integers_widen_in_one_version)
{
    instar *db = dbs_open(0);
    instar_value five = {.type = INSTAR_INT8, .i = 5000000000};
    instar_value eleven = {.type = INSTAR_INT2, .i = 11};
    instar_value row[3];
    instar_txn *txn;
    instar_cursor *cursor;
    instar_projection *by_b;

    make_t4(db);
    uint32_t version = dbs_version(db, "t");
    ok(alters_run(db, "t", "set-type b int8"));
    expect_u64(dbs_version(db, "t"), version + 1);
    ok(alters_run(db, "t", "set-type a int8"));
    expect_u64(dbs_version(db, "t"), version + 2);
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    ok(alters_insert(db, "t", NULL, "5000000000,6000000000,big"));
    fails(alters_insert(db, "t", NULL, "4,11,twice"), INSTAR_EUNIQUE);
    fails(alters_insert(db, "t", NULL, "1,99,twice"), INSTAR_EEXISTS);
    cr_assert_str_eq(alters_rows(db, "t", NULL),
                     "1,11,one;2,12,two;3,13,null;5000000000,6000000000,big");
    ok(instar_projection_prepare(db, "t", NULL, 0, "t_b", &by_b));
    ok(instar_begin(db, INSTAR_TXN_READONLY, &txn));
    ok(instar_get(txn, by_b, &five, row));
    expect(row[1].i == 6000000000);
    /* A bound of another integer type is that number. */
    ok(instar_scan(
        txn, by_b,
        &(instar_range){.lower = &eleven, .lower_count = 1, .upper = &eleven, .upper_count = 1},
        &cursor));
    ok(instar_cursor_next(cursor, row));
    expect(row[0].i == 1 && row[1].type == INSTAR_INT8 && row[1].i == 11);
    fails(instar_cursor_next(cursor, row), INSTAR_END);
    instar_cursor_close(cursor);
    instar_abort(txn);
    instar_projection_free(by_b);
    dbs_end_sound(db);
}

/* A program that prepared its columns before goes on with the types that they had. */
Test(alter_types, projection_from_before_goes_on)
{
    instar *db = dbs_open(0);

    make_t4(db);
    instar_projection *p = alters_projection(db, "t", NULL);
    instar_txn *txn;
    ok(alters_run(db, "t", "set-type b int8 , set-type a int8"));
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, p, "4,14,new"));
    ok(alters_update_in(txn, p, 1, "1,21,one"));
    ok(instar_commit(txn));
    ok(alters_run(db, "t", "set-type b int2"));
    ok(instar_begin(db, 0, &txn));
    fails(alters_update_in(txn, p, 1, "1,40000,one"), INSTAR_ERANGE);
    expect(says("column b"));
    ok(alters_update_in(txn, p, 1, "1,22,one"));
    ok(instar_commit(txn));
    instar_projection_free(p);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,22,one;2,12,two;3,13,null;4,14,new");
    dbs_end_sound(db);
}

/* Two versions side by side: who is on the one before writes the old form and reads what is in its
 * snapshot, whatever the other has written since; a row that the newer one wrote it cannot
 * overwrite. */
Test(alter_types, both_versions_write_and_read)
{
    struct scene_held s;
    instar_txn *old;
    instar_txn *late;
    instar_txn *reader;
    uint64_t change;

    scene_hold(&s, "change.altered", 1);
    instar *db = s.db;
    make_t4(db);
    instar_projection *p = alters_projection(db, "t", NULL);
    ok(instar_begin(db, 0, &old));
    ok(alters_insert_in(old, p, "20,20,old"));
    ok(instar_begin(db, 0, &late));
    ok(alters_insert_in(late, p, "21,21,late"));
    ok(instar_begin(db, INSTAR_TXN_READONLY, &reader));
    cr_assert_str_eq(alters_rows_in(reader, p), "1,11,one;2,12,two;3,13,null");
    ok(alters_submit(db, "t", "set-type b int8", NULL, &change));
    test_hold_await(&s.hold);
    /* The new version. */
    ok(alters_insert(db, "t", NULL, "30,7000000000,new"));
    ok(alters_update(db, "t", "b", 2, "8000000000"));
    cr_assert_str_eq(alters_rows_in(reader, p), "1,11,one;2,12,two;3,13,null");
    ok(alters_update_in(late, p, 2, "2,22,late"));
    fails(instar_commit(late), INSTAR_ECONFLICT);
    ok(instar_commit(old));
    cr_assert_str_eq(alters_rows_in(reader, p), "1,11,one;2,12,two;3,13,null");
    instar_abort(reader);
    cr_assert_str_eq(alters_rows(db, "t", NULL),
                     "1,11,one;2,8000000000,two;3,13,null;20,20,old;30,7000000000,new");
    test_hold_release(&s.hold);
    scene_await(db, change, INSTAR_OK, NULL);
    instar_projection_free(p);
    dbs_check_sound(db);
    scene_held_close(&s);
}

/* ---- through several types ---------------------------------------------------------------- */

/* Rows of each form go through all that came after it, in order. */
Test(alter_types, rows_go_through_all_types_in_order)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(alters_run(db, "t", "add f float8 default 2 , add s text default 7"));
    ok(alters_insert(db, "t", "a,f", "1,2.5"));
    ok(alters_insert(db, "t", "a,f", "2,3.5"));
    ok(alters_run(db, "t", "set-type f int4"));
    ok(alters_insert(db, "t", "a,f", "3,9"));
    ok(alters_run(db, "t", "set-type f float8"));
    ok(alters_insert(db, "t", "a,f", "4,4.5"));
    cr_assert_str_eq(alters_rows(db, "t", "a,f"), "1,2;2,4;3,9;4,4.5");
    ok(alters_run(db, "t", "set-type f text"));
    ok(alters_insert(db, "t", "a,f", "5,x"));
    cr_assert_str_eq(alters_rows(db, "t", "a,f"), "1,2;2,4;3,9;4,4.5;5,x");
    ok(alters_update(db, "t", "f", 5, "6"));
    ok(alters_run(db, "t", "set-type f float8 using , set-type s int2 using"));
    cr_assert_str_eq(alters_rows(db, "t", "a,f,s"), "1,2,7;2,4,7;3,9,7;4,4.5,7;5,6,7");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text; f float8 default 2; "
                                             "s int2 default 7");
    dbs_check_sound(db);
    ok(dbs_index(db, "t_f", "t", "f", false, NULL));
    dbs_end_sound(db);
    db = dbs_open(0);
    cr_assert_str_eq(alters_rows(db, "t", "a,f,s"), "1,2,7;2,4,7;3,9,7;4,4.5,7;5,6,7");
    ok(instar_close(db));
}

/* Rows from before a column was have its missing value, which is cast, too. */
Test(alter_types, missing_value_is_cast)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(alters_insert(db, "t", "a", "1"));
    ok(alters_run(db, "t", "add d int8 not-null default 70000"));
    fails(alters_run(db, "t", "set-type d int2"), INSTAR_ERANGE);
    expect(says("its default as int2"));
    ok(alters_run(db, "t", "set-default d 7"));
    fails(alters_run(db, "t", "set-type d int2"), INSTAR_ERANGE);
    expect(says("its value in rows from before it was"));
    ok(alters_run(db, "t", "set-type d text"));
    ok(alters_insert(db, "t", "a", "2"));
    cr_assert_str_eq(alters_rows(db, "t", "a,d"), "1,70000;2,7");
    ok(alters_run(db, "t", "set-type d varchar(5)"));
    fails(alters_run(db, "t", "set-type d varchar(4)"), INSTAR_EFAILED);
    dbs_end_sound(db);
}

/* ---- narrower ----------------------------------------------------------------------------- */

/* Rows that have no room in the new type fail the change, which names ten and counts all; nothing
 * stays of it. */
Test(alter_types, rows_that_cannot_be_cast_are_named)
{
    instar_change_info info;
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 13, scene_plus_10);
    for (int64_t i = 1; i <= 11; i++) {
        ok(alters_update(db, "t", "b", i, "40000"));
    }
    info = alters_failure(db, "t", "add d int8 , set-type b int2 , rename-column b bb");
    expect(info.error == INSTAR_ERANGE);
    expect_u64(info.duplicate_count, 11);
    expect(strstr(info.reason, "table t: column b cannot become int2 in 11 rows: row (a=1) "
                               "(smallint out of range); row (a=2)") != NULL);
    expect(strstr(info.reason, "row (a=10) (smallint out of range); …") != NULL);
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    ok(alters_update(db, "t", "c", 12, "x"));
    info = alters_failure(db, "t", "set-type c int4 using");
    expect(strstr(info.reason, "column c cannot become int4 in 1 row: row (a=12) ('x': ") != NULL);
    dbs_end_sound(db);
}

/* b of t(a int8, b int8, c) becomes int4; held at the point. */
static void scene_begin(struct scene_held *s, const char *point, int64_t rows)
{
    scene_hold(s, point, 1);
    scene_make_t(s->db, rows);
    ok(alters_update(s->db, "t", "b", 3, "5000000000"));
    ok(alters_submit(s->db, "t", "set-type b int4", NULL, &s->change));
    test_hold_await(&s->hold);
}

/* While rows are validated nobody brings a value that has no room; a row that has one already may
 * be changed elsewhere, and be mended. */
Test(alter_types, enforced_while_it_is_validated)
{
    struct scene_held s;

    scene_begin(&s, "validate.snapshot", 3);
    cr_assert_str_eq(alters_schema(s.db, "t"), "a int8 not null; b int8 becoming int4; c text");
    fails(alters_insert(s.db, "t", "a,b", "4,5000000001"), INSTAR_ERANGE);
    expect(says("column b of table t is becoming int4"));
    fails(alters_update(s.db, "t", "b", 1, "5000000001"), INSTAR_ERANGE);
    ok(alters_update(s.db, "t", "b,c", 3, "5000000000,x"));
    ok(alters_insert(s.db, "t", "a,b", "4,14"));
    test_hold_release(&s.hold);
    scene_await(s.db, s.change, INSTAR_EFAILED, NULL);
    expect(says("row (a=3)"));
    ok(alters_update(s.db, "t", "b", 3, "13"));
    ok(alters_run(s.db, "t", "set-type b int4"));
    cr_assert_str_eq(alters_rows(s.db, "t", "a,b"), "1,11;2,12;3,13;4,14");
    scene_held_end(&s);
}

/* A row is given a key that was read already and keeps its value: it is found all the same. */
Test(alter_types, row_that_moves_is_found)
{
    struct scene_held s;
    instar_change_info info;

    scene_begin(&s, "nulls.batch", 3000);
    ok(alters_update(s.db, "t", "b", 3, "3"));
    ok(alters_update(s.db, "t", "a", 3, "9000"));
    test_hold_release(&s.hold);
    scene_await(s.db, s.change, INSTAR_EFAILED, &info);
    expect(strstr(info.reason, "in 1 row: row (a=3)") != NULL);
    scene_held_end(&s);
}

/* Cancelled while it reads, it leaves the type as it was; values beyond int4 may be written. */
Test(alter_types, cancelled_while_it_is_validated)
{
    struct scene_held s;

    scene_begin(&s, "nulls.batch", 5000);
    scene_held_cancel(&s);
    cr_assert_str_eq(alters_schema(s.db, "t"), "a int8 not null; b int8; c text");
    ok(alters_insert(s.db, "t", "a,b", "6000,6000000000"));
    scene_held_end(&s);
}

/* Paused while it reads it holds no snapshot, and begins anew when it is let go. */
Test(alter_types, paused_while_it_is_validated)
{
    struct scene_held s;
    instar_change_info info;

    scene_begin(&s, "nulls.batch", 5000);
    ok(scene_steer(s.db, s.change, INSTAR_CHANGE_PAUSE, 0));
    test_hold_release(&s.hold);
    scene_await_waiting(s.db, s.change, "validate", &info);
    ok(alters_update(s.db, "t", "b", 3, "3"));
    cr_assert_str_eq(alters_schema(s.db, "t"), "a int8 not null; b int8 becoming int4; c text");
    ok(scene_steer(s.db, s.change, 0, INSTAR_CHANGE_PAUSE));
    scene_await(s.db, s.change, INSTAR_OK, NULL);
    cr_assert_str_eq(alters_schema(s.db, "t"), "a int8 not null; b int4; c text");
    scene_held_end(&s);
}

/* A writer of the version before the enforcement is waited for, and its row is found. */
Test(alter_types, writer_from_before_is_waited_for)
{
    alters_await_late_writer(&(struct alters_late){
        .row = "4,5000000000", .steps = "set-type b int4", .stage = "enforcing"});
}

/* ---- constraints -------------------------------------------------------------------------- */

/* Checks go with the type, under their names; they hold for what the values become, also where a
 * value fits and the check can be evaluated no more. */
Test(alter_types, checks_hold_for_the_cast_value)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(alters_insert(db, "t", "a,b", "1,2000000000"));
    ok(alters_run(db, "t", "check twice b * 2 > 10 , check-not-valid other b > 5"));
    fails(alters_run(db, "t", "set-type b int4"), INSTAR_EFAILED);
    expect(says("check twice is violated") || says("check twice of row (a=1)"));
    expect(says("integer out of range"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8; c text; check twice ((b * 2) "
                     "> 10); check other (b > 5) not valid");
    ok(alters_update(db, "t", "b", 1, "7"));
    ok(alters_run(db, "t", "set-type b int4 , rename-column b bb"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; bb int4; c text; check twice ((bb * 2) "
                     "> 10); check other (bb > 5) not valid");
    fails(alters_insert(db, "t", "a,bb", "2,3"), INSTAR_ECHECK);
    fails(alters_insert(db, "t", "a,bb", "2,2000000000"), INSTAR_ERANGE);
    ok(alters_run(db, "t", "set-type bb int8"));
    ok(alters_insert(db, "t", "a,bb", "2,2000000000"));
    fails(alters_insert(db, "t", "a,bb", "3,5"), INSTAR_ECHECK);
    ok(alters_run(db, "t", "validate other"));
    /* One that has no meaning for the new type is in the way. */
    fails(alters_run(db, "t", "set-type bb text"), INSTAR_ETYPE);
    expect(says("check \"twice\"") || says("check \"other\""));
    ok(alters_run(db, "t",
                  "drop-constraint twice , drop-constraint other , set-type bb text , check - "
                  "length(bb) > 0"));
    cr_assert_str_eq(alters_rows(db, "t", "a,bb"), "1,7;2,2000000000");
    dbs_end_sound(db);
}

/* ---- limits of texts ---------------------------------------------------------------------- */

/* A limit counts characters. It is raised and taken away without a look at the rows, and set only
 * when all of them fit. */
Test(alter_types, limits_of_texts)
{
    instar *db = dbs_open(0);
    uint32_t version;

    dbs_make_table(db, "t");
    ok(alters_insert(db, "t", "a,c", "1,abcd"));
    ok(alters_insert(db, "t", "a,c", "2,äöü"));
    fails(alters_run(db, "t", "set-type c varchar(3)"), INSTAR_EFAILED);
    expect(says("column c cannot become varchar(3) in 1 row: row (a=1) (value too long for "
                "varchar(3))"));
    version = dbs_version(db, "t");
    ok(alters_run(db, "t", "set-type c varchar(4)"));
    expect_u64(dbs_version(db, "t"), version + 2);
    fails(alters_insert(db, "t", "a,c", "3,abcde"), INSTAR_ERANGE);
    expect(says("column c of table t: value too long for varchar(4)"));
    fails(alters_insert(db, "t", "a,c", "3,abcd "), INSTAR_ERANGE);
    fails(alters_update(db, "t", "c", 2, "äöüßx"), INSTAR_ERANGE);
    ok(alters_update(db, "t", "c", 2, "äöüß"));
    fails(alters_run(db, "t", "set-default c abcde"), INSTAR_ERANGE);
    ok(alters_run(db, "t", "set-type c varchar(5)"));
    expect_u64(dbs_version(db, "t"), version + 3);
    ok(alters_insert(db, "t", "a,c", "3,abcde"));
    ok(alters_run(db, "t", "set-type c text"));
    expect_u64(dbs_version(db, "t"), version + 4);
    ok(alters_run(db, "t", "set-type b varchar(2)"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b varchar(2); c text");
    ok(alters_run(db, "t", "add d varchar(2) default no"));
    fails(alters_run(db, "t", "add e varchar(2) default yes"), INSTAR_ERANGE);
    dbs_end_sound(db);
}

/* ---- using an expression ------------------------------------------------------------------- */

/* New values are what the expression makes of the old ones, whenever the rows are read; null may
 * become something, and the type need not change. */
Test(alter_types, values_made_by_an_expression)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(alters_run(db, "t", "add s text default Yes"));
    ok(alters_insert(db, "t", "a,c", "1,12 km"));
    ok(alters_insert(db, "t", "a,s", "2,no"));
    ok(alters_run(db, "t",
                  "drop-default s , set-type c int4 using CASE WHEN c LIKE '% km' THEN "
                  "CAST(substr(c, 1, length(c) - 3) AS int4) * 1000 END"));
    cr_assert_str_eq(alters_rows(db, "t", "a,c,s"), "1,12000,Yes;2,null,no");
    ok(alters_run(db, "t", "set-type c int4 using coalesce(c, -1) + 1"));
    ok(alters_insert(db, "t", "a,c,s", "3,5,YES"));
    ok(alters_run(db, "t", "set-type c int4 using coalesce(c, -1) + 1"));
    ok(alters_insert(db, "t", "a,c,s", "4,5,nO"));
    cr_assert_str_eq(alters_rows(db, "t", "a,c"), "1,12002;2,1;3,6;4,5");
    ok(alters_run(db, "t", "set-type s bool using lower(s) = 'yes' , rename-column s yes"));
    cr_assert_str_eq(alters_rows(db, "t", "a,yes"), "1,true;2,false;3,true;4,false");
    ok(alters_update(db, "t", "b", 1, "9"));
    ok(alters_run(db, "t", "add d int8 default 1"));
    ok(alters_run(db, "t", "drop b"));
    cr_assert_str_eq(alters_rows(db, "t", NULL),
                     "1,12002,true,1;2,1,false,1;3,6,true,1;4,5,false,1");
    dbs_check_sound(db);
    ok(dbs_index(db, "t_c", "t", "c", true, NULL));
    dbs_end_sound(db);
    db = dbs_open(0);
    cr_assert_str_eq(alters_rows(db, "t", "a,c,yes"), "1,12002,true;2,1,false;3,6,true;4,5,false");
    ok(instar_close(db));
}

/* Rows for which it cannot be evaluated are named, or for which it gives null where there must be
 * none; while they are looked for, writes that would be such are refused. */
Test(alter_types, expression_that_fails_for_rows)
{
    instar_change_info info;
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(alters_insert(db, "t", "a,b", "1,0"));
    ok(alters_insert(db, "t", "a,b", "2,5"));
    info = alters_failure(db, "t", "set-type b int4 using 10 / b");
    expect(
        strstr(info.reason, "column b cannot become int4 in 1 row: row (a=1) (division by zero)"));
    ok(alters_run(db, "t", "set-not-null b"));
    info = alters_failure(db, "t", "set-type b int4 using nullif(b, 5)");
    expect(strstr(info.reason, "row (a=2) (it would become null)"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8 not null; c text");
    dbs_end_sound(db);
}

static const char *const bad_expressions[][2] = {
    {"set-type c int4 using b", "USING may mention no column but \"c\""},
    {"set-type c int4 using c ||", "USING, byte"},
    {"set-type c int4 using c || 'x'", "it gives text, where int4 is needed"},
    {"set-type c int4 using random()", "USING, byte"},
    {"set-type d int8 using d + 1", "check \"t_d_check\" is about it"},
    {"set-type c text using lower(c) , check - length(c) > 0", "in a change of its own"},
    {"set-type c text using lower(c) , set-type c text using upper(c)", "changed twice"},
    {"add x int4 , set-type x int8 using x + 1", "the same change adds"},
};

Test(alter_types, expressions_that_are_refused)
{
    instar *db = dbs_open(0);

    make_t4(db);
    ok(alters_run(db, "t", "add d int4 , check - d > 0"));
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad_expressions); i++) {
        uint64_t change;
        int rc = alters_submit(db, "t", bad_expressions[i][0], NULL, &change);
        cr_assert_neq(rc, 0, "%s", bad_expressions[i][0]);
        cr_assert(says(bad_expressions[i][1]), "%s: %s", bad_expressions[i][0],
                  instar_error_text());
    }
    ok(instar_close(db));
}

/* ---- refused ------------------------------------------------------------------------------ */

Test(alter_types, refused_by_name)
{
    static const struct {
        const char *steps;
        int code;
        const char *words;
    } cases[] = {
        {"set-type x int4", INSTAR_EUNKNOWN, "no column \"x\""},
        {"set-type c int4", INSTAR_ETYPE,
         "column \"c\" of table \"t\": text cannot become int4 by itself: say USING c::int4"},
        {"set-type d bool", INSTAR_ETYPE, "say USING d::bool"},
        {"set-type c bytea", INSTAR_ETYPE, "text cannot become bytea"},
        {"set-type c timestamptz using", INSTAR_ETYPE, "would depend on a time zone"},
        {"set-type day timestamptz using", INSTAR_ETYPE, "would depend on a time zone"},
        {"set-type day int4 using", INSTAR_ETYPE, "date cannot become int4"},
        {"set-type b text , rename-index t_b t_b2", INSTAR_EINVALID, "index \"t_b\" is renamed"},
        {"rename-index t_b t_b2 , set-type b text", INSTAR_EINVALID, "index \"t_b\" is renamed"},
        {"set-type d int8 , set-type d int4", INSTAR_EINVALID, "changed twice"},
        {"set-type c varchar(10485761)", INSTAR_ELIMIT, "at most 10485760"},
    };
    instar *db = dbs_open(0);
    instar_column_def limited = {.name = "x", .type = INSTAR_INT4, .length_max = 3};
    instar_alteration step = {.kind = INSTAR_ALTER_SET_TYPE, .name = "d", .column = &limited};
    uint64_t change;

    make_t4(db);
    ok(alters_run(db, "t", "add d int4 , add day date"));
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        int rc = alters_run(db, "t", cases[i].steps);
        cr_assert_eq(rc, cases[i].code, "%s: %d %s", cases[i].steps, rc, instar_error_text());
        cr_assert(says(cases[i].words), "%s: %s", cases[i].steps, instar_error_text());
    }
    fails(instar_alter_table(db, "t", &step, 1, NULL, &change), INSTAR_EINVALID);
    expect(says("int4 has no length"));
    step.column = NULL;
    fails(instar_alter_table(db, "t", &step, 1, NULL, &change), INSTAR_EINVALID);
    ok(alters_run(db, "t", "set-type d int4")); /* it is */
    cr_assert_str_eq(alters_schema(db, "t"), "a int4 not null; b int4; c text; d int4; day date");
    ok(instar_close(db));
}

/* What an index is made of gets other keys with the type: one that stands is made anew, one that
 * comes beside it is made for the new type, one that is dropped beside it goes. */
Test(alter_types, indexes_made_anew_beside_others)
{
    instar *db = dbs_open(0);

    make_t4(db);
    ok(alters_run(db, "t", "add d int4 default 4"));
    ok(compounds_run(db, "ALTER TABLE t ALTER d TYPE text; CREATE INDEX t_d ON t (d, b)"));
    cr_assert_str_eq(compounds_indexes(db, "t"), "t_b unique public; t_d public");
    dbs_check_sound(db);
    ok(compounds_run(db, "CREATE INDEX t_d2 ON t (d DESC) INCLUDE (b); "
                         "ALTER TABLE t ALTER d TYPE int8 USING d::int8"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int4 not null; b int4; c text; d int8 default 4");
    dbs_check_sound(db);
    ok(compounds_run(db, "ALTER TABLE t ALTER d TYPE text; DROP INDEX t_d2"));
    cr_assert_str_eq(compounds_indexes(db, "t"), "t_b unique public; t_d public");
    dbs_check_sound(db);
    ok(compounds_run(db, "DROP INDEX t_b; ALTER TABLE t ALTER b TYPE text; "
                         "CREATE UNIQUE INDEX t_b2 ON t (b)"));
    dbs_check_sound(db);
    ok(alters_insert(db, "t", NULL, "4,x,y,5"));
    fails(alters_insert(db, "t", NULL, "5,x,y,5"), INSTAR_EUNIQUE);
    cr_assert_str_eq(alters_rows(db, "t", "b"), "11;12;13;x");
    dbs_end_sound(db);
}

/* With indexes that keep their keys a type goes together with all else, in one change. */
Test(alter_types, integers_beside_new_and_dropped_indexes)
{
    instar *db = dbs_open(0);

    make_t4(db);
    ok(compounds_run(db, "DROP INDEX t_b; ALTER TABLE t ALTER b TYPE int8, ALTER a TYPE int2; "
                         "CREATE UNIQUE INDEX t_bd ON t (b DESC)"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int2 not null; b int8; c text");
    ok(alters_insert(db, "t", NULL, "4,9000000000,x"));
    fails(alters_run(db, "t", "set-type b int4"), INSTAR_EFAILED);
    dbs_end_sound(db);
}
