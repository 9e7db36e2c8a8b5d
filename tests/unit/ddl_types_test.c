/* SPDX-License-Identifier: Apache-2.0 */
/* ddl: types of columns and their changes, and defaults that are expressions. */
#include "support/alters.h"

#include <instar_sql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Run a script; the last statement's code, the words in *error. */
static int run(instar *db, const char *text, instar_sql_error *error)
{
    instar_sql *sql = NULL;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, error);

    for (size_t i = 0; rc == 0 && instar_sql_at(sql, i) != NULL; i++) {
        uint64_t change;
        rc = instar_sql_submit(db, sql, i, &change, error);
        rc = rc == 0 ? instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL) : rc;
    }
    instar_sql_free(sql);
    return rc;
}

static void works(instar *db, const char *text)
{
    instar_sql_error error = {0};

    int rc = run(db, text, &error);
    cr_assert_eq(rc, 0, "%s: %s %s", text, error.text, instar_error_text());
}

/* TYPE, SET DATA TYPE and USING are steps; USING with a cast to the new type asks for it. */
Test(ddl_types, steps)
{
    static const struct {
        const char *text;
        enum instar_type type;
        uint32_t length, flags;
    } cases[] = {
        {"alter table t alter b type int8", INSTAR_INT8, 0, 0},
        {"alter table t alter column b set data type smallint", INSTAR_INT2, 0, 0},
        {"alter table t alter b type varchar(20)", INSTAR_TEXT, 20, 0},
        {"alter table t alter b type character varying (7) using b", INSTAR_TEXT, 7, 0},
        {"alter table t alter b type int using b::int", INSTAR_INT4, 0, INSTAR_ALTER_EXPLICIT},
        {"alter table t alter b type numeric(10,2)", INSTAR_NUMERIC, INSTAR_DIGITS(10, 2), 0},
        {"alter table t alter b type decimal(38)", INSTAR_NUMERIC, INSTAR_DIGITS(38, 0), 0},
        {"alter table t alter b type dec(3,3)", INSTAR_NUMERIC, INSTAR_DIGITS(3, 3), 0},
        {"alter table t alter b type numeric(5,1) using b::numeric", INSTAR_NUMERIC,
         INSTAR_DIGITS(5, 1), INSTAR_ALTER_EXPLICIT},
        {"alter table t alter b type numeric(5,1) using b::numeric(5,1)", INSTAR_NUMERIC,
         INSTAR_DIGITS(5, 1), INSTAR_ALTER_EXPLICIT},
        {"alter table t alter b type bool using cast(b as boolean)", INSTAR_BOOL, 0,
         INSTAR_ALTER_EXPLICIT},
        {"alter table t alter b type time using b::time without time zone", INSTAR_TIME, 0,
         INSTAR_ALTER_EXPLICIT},
    };
    instar_sql *made = NULL;
    instar_sql_error made_error;
    const char *using = "alter table t alter b type int using length(b) * 2";
    ok(instar_sql_read(using, strlen(using), NULL, &made, &made_error));
    expect(strstr(instar_sql_at(made, 0)->steps->expression, "length") != NULL);
    expect_u64(instar_sql_at(made, 0)->steps->flags, 0);
    instar_sql_free(made);
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_sql *sql = NULL;
        instar_sql_error error;
        ok(instar_sql_read(cases[i].text, strlen(cases[i].text), NULL, &sql, &error));
        const instar_alteration *step = instar_sql_at(sql, 0)->steps;
        expect_u64(step->kind, INSTAR_ALTER_SET_TYPE);
        cr_assert_str_eq(step->name, "b");
        cr_assert(step->column->type == cases[i].type &&
                      step->column->length_max == cases[i].length && step->flags == cases[i].flags,
                  "%s", cases[i].text);
        instar_sql_free(sql);
    }
}

/* A schema with the new types prints as statements that make it again. */
static int print(void *arg, const instar_table_info *info)
{
    *(size_t *)arg = instar_sql_format_table(info, NULL, 0);
    char *text = malloc(*(size_t *)arg + 1);
    (void)instar_sql_format_table(info, text, *(size_t *)arg + 1);
    expect(strstr(text, "c varchar(12) DEFAULT 'noon'") != NULL);
    expect(strstr(text, "at time NOT NULL DEFAULT '12:00:00'") != NULL);
    expect(strstr(text, "n int8 DEFAULT 86400") != NULL);
    expect(strstr(text, "s text DEFAULT 'x!'") != NULL);
    free(text);
    return 0;
}

/* Defaults that are expressions are worked out when they are read, and are values from then on;
 * SET DEFAULT as well as the others. */
Test(ddl_types, defaults_are_worked_out_once)
{
    instar *db = dbs_open(0);
    size_t size;

    works(db, "create table t (id int primary key, c varchar(12) default 'noon',"
              "at time not null default '12:00', n bigint default 60 * 60 * 24,"
              "s text default lower('X') || '!');"
              "alter table t add d date default '2026-01-31'::date + 1, add m int default (-5);"
              "alter table t alter n set default 60 * 60 * 24, alter d set default"
              " CAST('2026-02-27' as date) + 1");
    ok(instar_table_list(db, "t", print, &size));
    ok(alters_insert(db, "t", "id", "1"));
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,noon,12:00:00,86400,x!,2026-02-28,-5");
    static const struct {
        const char *text;
        int code;
        const char *words;
    } cases[] = {
        {"alter table t alter n set default n + 1", INSTAR_EUNKNOWN, "the column n"},
        {"alter table t alter n set default 'a' || 'b'", INSTAR_ETYPE,
         "the default is a text, the column a int8"},
        {"alter table t alter n set default 2147483647 + 1", INSTAR_ERANGE, "integer out of range"},
        {"alter table t alter c set default 'abc' || '4567890123'", INSTAR_ERANGE, "varchar(12)"},
        {"alter table t alter m set default 3000000000 * 2", INSTAR_ERANGE, "6000000000"},
        {"alter table t alter d set default 1 = 1", INSTAR_ETYPE, "the default is a bool"},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_sql_error error = {0};
        int rc = run(db, cases[i].text, &error);
        cr_assert_eq(rc, cases[i].code, "%s: %d %s", cases[i].text, rc, error.text);
        cr_assert(strstr(error.text, cases[i].words) != NULL, "%s: %s", cases[i].text, error.text);
    }
    ok(instar_close(db));
}

/* A default for numeric(p,s) is exact and has its scale; an integer's is rounded, as in PostgreSQL.
 */
Test(ddl_types, defaults_of_numerics)
{
    instar *db = dbs_open(0);

    works(db, "create table t (id int primary key, a numeric(10,2) default 0.1,"
              "b numeric(5,1) default '-2.25', c numeric(38,38) default 1e-38,"
              "d numeric(4,2) default 1.5 * 2.25, e int default 2.5, f float8 default 0.1,"
              "g numeric(6,3) default 7, h numeric(3,1) default 1.25::numeric(2,1));"
              "alter table t add i numeric(20,4) default 1 / 3.0;"
              "alter table t alter g set default 7.0005");
    ok(alters_insert(db, "t", "id", "1"));
    cr_assert_str_eq(alters_rows(db, "t", NULL),
                     "1,0.10,-2.3,0.00000000000000000000000000000000000001,3.38,3,0.1,7.001,1.3,"
                     "0.3333");
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"alter table t alter a set default 99999999.995",
         "99999999.995 is out of range for numeric(10,2)"},
        {"alter table t add j numeric(2,2) default 1", "1 is out of range for numeric(2,2)"},
        {"alter table t alter a set default 1 / 0.0", "division by zero"},
        {"alter table t alter a set default 99999999999999999999 * 99999999999999999999",
         "more than 38 digits"},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_sql_error error = {0};
        int rc = run(db, cases[i].text, &error);
        const char *found = error.text[0] != 0 ? error.text : instar_error_text();
        cr_assert_eq(rc, INSTAR_ERANGE, "%s: %d %s", cases[i].text, rc, found);
        cr_assert(strstr(found, cases[i].words) != NULL, "%s: %s", cases[i].text, found);
    }
    ok(instar_close(db));
}

/* USING an expression, in SQL's own words. */
Test(ddl_types, using_an_expression)
{
    instar *db = dbs_open(0);

    works(db, "create table t (id int primary key, v text, n int)");
    ok(alters_insert(db, "t", NULL, "1,abc,5"));
    ok(alters_insert(db, "t", NULL, "2,null,7"));
    works(db, "alter table t alter v type int using coalesce(length(v), 0) + 1,"
              " alter n type int using case when n > 5 then -n else n end");
    works(db, "alter table t alter n type int2 using n::int8"); /* a cast to another type is one */
    cr_assert_str_eq(alters_rows(db, "t", NULL), "1,4,5;2,1,-7");
    cr_assert_str_eq(alters_schema(db, "t"), "id int4 not null; v int4; n int2");
    ok(instar_close(db));
}

/* Several steps about one column: a default that is set after the type has the new one. */
Test(ddl_types, default_of_the_new_type)
{
    instar *db = dbs_open(0);

    works(db, "create table t (id int primary key, v int);"
              "alter table t alter v type text, alter v set default 'x';"
              "begin; alter table t alter v drop default; alter table t rename v to w;"
              "alter table t alter w type varchar(3), alter w set default 'abc'; commit");
    cr_assert_str_eq(alters_schema(db, "t"), "id int4 not null; w varchar(3) default abc");
    ok(instar_close(db));
}

static char explained[2048];

static int explain_line(void *arg, const char *line)
{
    (void)arg;
    size_t size = strlen(explained);
    snprintf(explained + size, sizeof(explained) - size, "%s\n", line);
    return 0;
}

/* EXPLAIN says whether rows will be read: of a wider type they are not, but for a check. */
Test(ddl_types, explained)
{
    static const struct {
        const char *text;
        bool reads;
    } cases[] = {
        {"explain alter table t alter v type int8", false},
        {"explain alter table t alter v type int2", true},
        {"explain alter table t alter w type text", false},
        {"explain alter table t alter w type varchar(9)", false},
        {"explain alter table t alter w type varchar(2)", true},
        {"explain alter table t alter x type int8", true}, /* a check mentions it */
        {"explain alter table t alter v type numeric(10,0)", false},
        {"explain alter table t alter v type numeric(10,1)", true},
        {"explain alter table t alter w type numeric(9,2) using w::numeric", true},
        {"explain alter table t alter p type numeric(6,2)", false},
        {"explain alter table t alter p type numeric(7,4)", false},
        {"explain alter table t alter p type numeric(6,4)", true},
        {"explain alter table t alter p type numeric(5,1)", false},
        {"explain alter table t alter p type numeric(4,1)", true}, /* 999.95 */
        {"explain alter table t alter p type float8", false},
        {"explain alter table t alter p type int8", true},
        {"explain begin; alter table t alter v type int2; create index i on t (x); commit", true},
    };
    instar *db = dbs_open(0);

    works(db, "create table t (id int primary key, v int, w varchar(3), x int check (x > 0),"
              "p numeric(5,2))");
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        instar_sql *sql = NULL;
        instar_sql_error error;
        explained[0] = 0;
        ok(instar_sql_read(cases[i].text, strlen(cases[i].text), NULL, &sql, &error));
        ok(instar_sql_explain(db, sql, 0, explain_line, NULL, &error));
        cr_assert_eq(strstr(explained, "scan of the table; rows") != NULL ||
                         strstr(explained, "one scan of the table; what") != NULL,
                     cases[i].reads, "%s:\n%s", cases[i].text, explained);
        instar_sql_free(sql);
    }
    ok(instar_close(db));
}
