/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of exact decimals: what they hold, how they are found, and how they come and go. */
#include "support/compounds.h"
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

/* t(a int4, n numeric(6,2), c text), primary key a. */
static instar *open_priced(void)
{
    instar *db = dbs_open(0);
    instar_column_def columns[] = {
        {.name = "a", .type = INSTAR_INT4},
        {.name = "n", .type = INSTAR_NUMERIC, .length_max = INSTAR_DIGITS(6, 2)},
        {.name = "c", .type = INSTAR_TEXT}};
    instar_key_column key = {.name = "a"};
    instar_table_def def = {
        .name = "t", .columns = columns, .column_count = 3, .key = &key, .key_count = 1};

    dbs_create(db, &def);
    return db;
}

static instar_value numeric(const char *text)
{
    instar_value v;

    ok(instar_value_parse(INSTAR_NUMERIC, text, strlen(text), NULL, 0, &v));
    return v;
}

/* ---- values ------------------------------------------------------------------------------- */

/* Each value has the column's scale, rounded half away from zero; too many digits are refused, by
 * the column's name and type, and so is another type. */
Test(alter_numeric, a_column_rounds)
{
    instar *db = open_priced();
    instar_value row[] = {{.type = INSTAR_INT4, .i = 9}, {.type = INSTAR_INT8, .i = 5}, {0}};
    instar_projection *p;
    instar_txn *txn;

    cr_assert_str_eq(alters_schema(db, "t"), "a int4 not null; n numeric(6,2); c text");
    ok(alters_insert(db, "t", NULL, "1,1.5,x"));
    ok(alters_insert(db, "t", NULL, "2,-0.005,x"));
    ok(alters_insert(db, "t", NULL, "3,9999.994,x"));
    ok(alters_insert(db, "t", NULL, "4,1e3,x"));
    ok(alters_insert(db, "t", NULL, "5,-0.004,x"));
    fails(alters_insert(db, "t", NULL, "6,9999.995,x"), INSTAR_ERANGE);
    expect(says("column n of table t: 9999.995 is out of range for numeric(6,2)"));
    cr_assert_str_eq(alters_rows(db, "t", NULL),
                     "1,1.50,x;2,-0.01,x;3,9999.99,x;4,1000.00,x;5,0.00,x");
    ok(alters_update(db, "t", NULL, 1, "1,2.345,y"));
    cr_assert_str_eq(alters_rows(db, "t", "a,n"), "1,2.35;2,-0.01;3,9999.99;4,1000.00;5,0.00");
    p = alters_projection(db, "t", NULL);
    ok(instar_begin(db, 0, &txn));
    fails(instar_insert(txn, p, row), INSTAR_ETYPE);
    expect(says("column n"));
    row[1] = (instar_value){.type = INSTAR_NUMERIC, .scale = 40};
    fails(instar_insert(txn, p, row), INSTAR_ERANGE);
    instar_abort(txn);
    instar_projection_free(p);
    dbs_end_sound(db);
}

static const char *scan(instar *db, const char *index, const char *lower, const char *upper)
{
    instar_value from = {0}, to = {0};
    instar_range range = {.lower = &from, .upper = &to};

    if (lower != NULL) {
        from = numeric(lower);
        range.lower_count = 1;
    }
    if (upper != NULL) {
        to = numeric(upper);
        range.upper_count = 1;
    }
    return sqls_scan(db, "t", "n", index, &range);
}

/* An index has the order of the quantities, in both directions, and gives the values with their
 * scale from its entries alone; a bound may have another scale. Equal ones are no two. */
Test(alter_numeric, indexes_order_and_cover)
{
    instar *db = open_priced();
    static const char *const rows[] = {"1,10,x",   "2,-3.5,x", "3,0.1,x",
                                       "4,null,x", "5,2,x",    "6,-0.25,x"};

    ok(dbs_index(db, "t_n", "t", "n", true, NULL));
    ok(dbs_index(db, "t_d", "t", "n desc", false, NULL));
    for (size_t i = 0; i < BASE_ARRAY_LEN(rows); i++) {
        ok(alters_insert(db, "t", NULL, rows[i]));
    }
    fails(alters_insert(db, "t", NULL, "7,10.000,x"), INSTAR_EUNIQUE);
    fails(alters_insert(db, "t", NULL, "7,9.999,x"), INSTAR_EUNIQUE);
    expect(says("10.00"));
    cr_assert_str_eq(scan(db, "t_n", NULL, NULL), "-3.50;-0.25;0.10;2.00;10.00;null");
    cr_assert_str_eq(scan(db, "t_d", NULL, NULL), "null;10.00;2.00;0.10;-0.25;-3.50");
    cr_assert_str_eq(scan(db, "t_n", "-0.25000", "2.0000001"), "-0.25;0.10;2.00");
    cr_assert_str_eq(scan(db, "t_n", "0.1000001", NULL), "2.00;10.00;null");
    dbs_end_sound(db);
}

/* As a primary key: a row is found by any way of writing its value, and not by one nearby. */
Test(alter_numeric, a_key)
{
    instar *db = dbs_open(0);
    instar_column_def columns[] = {
        {.name = "n", .type = INSTAR_NUMERIC, .length_max = INSTAR_DIGITS(6, 2)},
        {.name = "c", .type = INSTAR_TEXT}};
    instar_key_column key = {.name = "n", .descending = true};
    instar_table_def def = {
        .name = "t", .columns = columns, .column_count = 2, .key = &key, .key_count = 1};
    instar_value row[2], at = numeric("2.5"), near = numeric("2.501"), far = numeric("1e20");
    instar_projection *p;
    instar_txn *txn;

    dbs_create(db, &def);
    ok(alters_insert(db, "t", NULL, "2.50,x"));
    ok(alters_insert(db, "t", NULL, "-7,y"));
    fails(alters_insert(db, "t", NULL, "2.499,z"), INSTAR_EEXISTS);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "2.50,x;-7.00,y");
    p = alters_projection(db, "t", NULL);
    ok(instar_begin(db, 0, &txn));
    ok(instar_get(txn, p, &at, row));
    fails(instar_get(txn, p, &near, row), INSTAR_ENOTFOUND);
    fails(instar_get(txn, p, &far, row), INSTAR_ENOTFOUND);
    fails(instar_delete(txn, p, &near), INSTAR_ENOTFOUND);
    ok(instar_delete(txn, p, &at));
    ok(instar_commit(txn));
    instar_projection_free(p);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "-7.00,y");
    dbs_end_sound(db);
}

/* ---- changes ------------------------------------------------------------------------------ */

/* More digits before the point are one version and no new layout, with indexes and all. */
Test(alter_numeric, more_digits_are_one_version)
{
    instar *db = open_priced();

    ok(dbs_index(db, "t_n", "t", "n", false, NULL));
    ok(alters_insert(db, "t", NULL, "1,9999.99,x"));
    uint32_t version = dbs_version(db, "t");
    ok(alters_run(db, "t", "set-type n numeric(9,2)"));
    expect_u64(dbs_version(db, "t"), version + 1);
    ok(alters_insert(db, "t", NULL, "2,1234567.895,x"));
    fails(alters_insert(db, "t", NULL, "3,12345678,x"), INSTAR_ERANGE);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,9999.99,x;2,1234567.90,x");
    cr_assert_str_eq(scan(db, "t_n", "9999.99", NULL), "9999.99;1234567.90");
    fails(alters_run(db, "t", "set-type n numeric(7,2)"), INSTAR_EFAILED);
    expect(says("column n cannot become numeric(7,2) in 1 row: row (a=2) (1234567.90 is out of "
                "range for numeric(7,2))"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int4 not null; n numeric(9,2); c text");
    dbs_end_sound(db);
}

/* Another scale is another form: rows of all forms are read with it, rounded in order, and what was
 * rounded away does not come back. */
Test(alter_numeric, another_scale_rounds_in_order)
{
    instar *db = open_priced();

    ok(alters_insert(db, "t", NULL, "1,1.25,x"));
    ok(alters_insert(db, "t", NULL, "2,-0.05,x"));
    uint32_t version = dbs_version(db, "t");
    ok(alters_run(db, "t", "set-type n numeric(8,4)"));
    expect_u64(dbs_version(db, "t"), version + 1);
    ok(alters_insert(db, "t", NULL, "3,1.24995,x"));
    cr_assert_str_eq(alters_rows(db, "t", "a,n"), "1,1.2500;2,-0.0500;3,1.2500");
    ok(alters_update(db, "t", NULL, 3, "3,1.2499,x"));
    ok(alters_run(db, "t", "set-type n numeric(6,1)"));
    cr_assert_str_eq(alters_rows(db, "t", "a,n"), "1,1.3;2,-0.1;3,1.2");
    ok(alters_run(db, "t", "set-type n numeric(6,2)"));
    cr_assert_str_eq(alters_rows(db, "t", "a,n"), "1,1.30;2,-0.10;3,1.20");
    ok(alters_insert(db, "t", NULL, "4,9999.99,x"));
    fails(alters_run(db, "t", "set-type n numeric(5,1)"), INSTAR_EFAILED);
    expect(says("row (a=4) (9999.99 is out of range for numeric(5,1))"));
    dbs_end_sound(db);
}

/* An index follows another scale, and another type, with the values as they are then; what is one
 * value then is none of a UNIQUE. A comment on it stays. */
Test(alter_numeric, an_index_follows_the_scale)
{
    instar *db = open_priced();

    ok(compounds_run(db, "CREATE UNIQUE INDEX t_n ON t (n); CREATE INDEX t_i ON t (c) INCLUDE (n); "
                         "CREATE INDEX t_x ON t ((n * 2)); CREATE INDEX t_p ON t (n DESC) WHERE n "
                         "> 1.255; COMMENT ON INDEX t_n IS 'prices'"));
    ok(alters_insert(db, "t", NULL, "1,1.25,x"));
    ok(alters_insert(db, "t", NULL, "2,1.26,x"));
    ok(alters_insert(db, "t", NULL, "3,null,x"));
    ok(alters_run(db, "t", "set-type n numeric(8,4)"));
    cr_assert_str_eq(scan(db, "t_n", NULL, NULL), "1.2500;1.2600;null");
    ok(alters_insert(db, "t", NULL, "4,1.2612,x"));
    cr_assert_str_eq(scan(db, "t_p", NULL, NULL), "1.2612;1.2600");
    dbs_check_sound(db);
    fails(alters_run(db, "t", "set-type n numeric(6,1)"), INSTAR_EFAILED);
    expect(says("unique index t_n of table t: 1 key occurs more than once: "));
    cr_assert_str_eq(scan(db, "t_n", NULL, NULL), "1.2500;1.2600;1.2612;null");
    ok(alters_update(db, "t", "n", 2, "1.75"));
    ok(alters_update(db, "t", "n", 4, "null"));
    ok(alters_run(db, "t", "set-type n numeric(6,1)"));
    fails(alters_insert(db, "t", NULL, "6,1.34,x"), INSTAR_EUNIQUE);
    cr_assert_str_eq(scan(db, "t_p", NULL, NULL), "1.8;1.3");
    dbs_check_sound(db);
    ok(alters_run(db, "t", "set-type n float8"));
    ok(alters_insert(db, "t", NULL, "5,2.005,x"));
    dbs_check_sound(db);
    ok(alters_run(db, "t", "set-type n numeric(3,2)"));
    cr_assert_str_eq(scan(db, "t_n", NULL, NULL), "1.30;1.80;2.01;null;null");
    dbs_check_sound(db);
    fails(alters_run(db, "t", "set-type n int2"), INSTAR_EFAILED); /* 2 twice */
    ok(alters_update(db, "t", "n", 5, "8"));
    ok(alters_update(db, "t", "n", 2, "-1"));
    ok(alters_run(db, "t", "set-type n int2"));
    cr_assert_str_eq(alters_rows(db, "t", "a,n"), "1,1;2,-1;3,null;4,null;5,8");
    ok(alters_run(db, "t", "set-type n numeric(7,2)"));
    cr_assert_str_eq(scan(db, "t_n", NULL, NULL), "-1.00;1.00;8.00;null;null");
    dbs_end_sound(db);
}

/* From the other types and to them, with PostgreSQL's rounding; rows that cannot be cast are named.
 */
Test(alter_numeric, from_and_to_other_types)
{
    instar *db = open_priced();

    ok(alters_insert(db, "t", NULL, "1,2.50,17.005"));
    ok(alters_insert(db, "t", NULL, "2,-3.50,-4"));
    ok(alters_insert(db, "t", NULL, "3,null,null"));
    fails(alters_run(db, "t", "set-type c numeric(4,2)"), INSTAR_ETYPE);
    expect(says("say USING c::numeric"));
    ok(alters_run(db, "t", "set-type c numeric(4,2) using"));
    ok(alters_run(db, "t", "set-type n int2"));
    uint32_t version = dbs_version(db, "t");
    ok(alters_run(db, "t", "set-type n numeric(7,2)")); /* five digits before the point */
    expect_u64(dbs_version(db, "t"), version + 1);
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,3.00,17.01;2,-4.00,-4.00;3,null,null");
    ok(alters_run(db, "t", "set-type n float8"));
    ok(alters_insert(db, "t", NULL, "4,0.1,1"));
    ok(alters_run(db, "t", "set-type n numeric(20,18)"));
    ok(alters_run(db, "t", "set-type c text"));
    cr_assert_str_eq(alters_rows(db, "t", NULL),
                     "1,3.000000000000000000,17.01;2,-4.000000000000000000,-4.00;3,null,null;"
                     "4,0.100000000000000000,1.00");
    ok(alters_update(db, "t", NULL, 4, "4,0.1,about 5"));
    fails(alters_run(db, "t", "set-type c numeric(4,2) using"), INSTAR_EFAILED);
    expect(says("row (a=4) ('about 5': not a numeric"));
    fails(alters_run(db, "t", "set-type n numeric(20,20)"), INSTAR_EFAILED);
    expect(says("in 2 rows"));
    dbs_end_sound(db);
}

/* A new column of a default fills the rows that are there, in its scale; checks and defaults are
 * cast with the type; a vacuum writes all of it anew. */
Test(alter_numeric, defaults_checks_and_vacuum)
{
    instar *db = open_priced();
    uint64_t change;

    ok(alters_insert(db, "t", NULL, "1,1.00,x"));
    ok(alters_run(db, "t", "add d numeric(5,3) default 1.5"));
    ok(alters_run(db, "t", "check low n < 100.5"));
    fails(alters_insert(db, "t", "a,n", "2,100.50"), INSTAR_ECHECK);
    ok(alters_insert(db, "t", "a,n", "2,100.49"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,1.00,x,1.500;2,100.49,null,1.500");
    /* 100.49 becomes 100.5, which the check refuses */
    fails(alters_run(db, "t", "set-type n numeric(6,1)"), INSTAR_EFAILED);
    expect(says("low"));
    ok(alters_update(db, "t", "a,n", 2, "2,100.44"));
    ok(alters_run(db, "t", "set-type n numeric(6,1)"));
    ok(alters_run(db, "t", "set-type d numeric(4,1)"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,1.0,x,1.5;2,100.4,null,1.5");
    ok(instar_vacuum(db, "t", NULL, &change));
    ok(instar_change_wait(db, change, 60000, NULL));
    ok(alters_insert(db, "t", "a", "3"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,1.0,x,1.5;2,100.4,null,1.5;3,null,null,1.5");
    dbs_end_sound(db);
    db = dbs_open(0);
    cr_assert_str_eq(alters_rows(db, "t", "a,n,d"), "1,1.0,1.5;2,100.4,1.5;3,null,1.5");
    dbs_end_sound(db);
}

/* Digits that cannot be are refused by the name of the column. */
Test(alter_numeric, digits_that_cannot_be)
{
    static const struct {
        const char *step;
        int code;
    } bad[] = {
        {"add x numeric", INSTAR_EINVALID},      {"add x numeric(39,0)", INSTAR_ELIMIT},
        {"add x numeric(5,6)", INSTAR_ELIMIT},   {"add x numeric(0,0)", INSTAR_EINVALID},
        {"set-type a numeric", INSTAR_EINVALID},
    };
    instar *db = open_priced();

    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        fails(alters_run(db, "t", bad[i].step), bad[i].code);
        expect(says("numeric(p,s)"));
    }
    ok(instar_close(db));
}
