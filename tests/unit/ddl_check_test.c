/* SPDX-License-Identifier: Apache-2.0 */
/* ddl/expr: CHECK constraints from SQL to the engine, and printed back. */
#include "support/dbs.h"

#include <instar_sql.h>
#include <stdio.h>
#include <string.h>

static char failure[1024];
static uint64_t change;

/* Submit each statement and wait: the first failure's code, with words in `failure`. */
static int run(instar *db, const char *text)
{
    instar_sql_error error;
    instar_sql *sql = NULL;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &error);

    for (size_t i = 0; rc == INSTAR_OK && i < instar_sql_count(sql); i++) {
        rc = instar_sql_submit(db, sql, i, &change, &error);
        if (rc == INSTAR_OK) {
            rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
            snprintf(error.text, sizeof(error.text), "%s", instar_error_text());
        }
    }
    snprintf(failure, sizeof(failure), "%s", rc != INSTAR_OK ? error.text : "");
    instar_sql_free(sql);
    return rc;
}

static void done(instar *db, const char *text)
{
    int rc = run(db, text);

    cr_assert_eq(rc, INSTAR_OK, "%s: %s", text, failure);
}

static int print_table(void *arg, const instar_table_info *info)
{
    size_t size = instar_sql_format_table(info, arg, 16384);

    expect(size < 16384);
    return 0;
}

static const char *schema(instar *db)
{
    static char text[16384];

    text[0] = 0;
    ok(instar_table_list(db, NULL, print_table, text));
    return text;
}

/* Expressions as they are written, and as they are printed; NULL: in the same way. */
static const struct {
    const char *written, *printed;
} cases[] = {
    {"i > 0", NULL},
    {"i > 0 and i < 10 and (b or i = 5)", "(i > 0) AND (i < 10) AND (b OR (i = 5))"},
    {"not b and i != 3", "(NOT b) AND (i <> 3)"},
    {"i + 2 * 3 = -5 - i", "(i + (2 * 3)) = ((-5) - i)"},
    {"- i < -3", "(- i) < (-3)"},
    {"i between 1 and 5 or i not between 7 and 8",
     "(i BETWEEN 1 AND 5) OR (i NOT BETWEEN 7 AND 8)"},
    {"t in ('a', 'it''s', e'b\\n') and i not in (1, 2)",
     "(t IN ('a', 'it''s', E'b\\x0a')) AND (i NOT IN (1, 2))"},
    {"t like 'a%' and t not like '_\\%'", "(t LIKE 'a%') AND (t NOT LIKE '_\\%')"},
    {"t is null or b is not true", "(t IS NULL) OR (b IS NOT TRUE)"},
    {"b is unknown", "b IS NULL"},
    {"i is distinct from 5 and t is not distinct from null",
     "(i IS DISTINCT FROM 5) AND (t IS NOT DISTINCT FROM CAST(NULL AS text))"},
    {"case when i > 1 then t else 'x' end = 'y'", "CASE WHEN i > 1 THEN t ELSE 'x' END = 'y'"},
    {"case i when 1 then b end", "CASE i WHEN 1 THEN b END"},
    {"coalesce(t, 'x') || lower(t) = substring(t from 2 for 3)",
     "(coalesce(t, 'x') || lower(t)) = substr(t, 2, 3)"},
    {"nullif(i, 3) = greatest(i, 2) or least(i, l) = abs(i)",
     "(nullif(i, 3) = greatest(i, 2)) OR (least(i, l) = abs(i))"},
    {"i::int8 = l and cast(l as int4) % 2 = 0",
     "(CAST(i AS int8) = l) AND ((CAST(l AS int4) % 2) = 0)"},
    {"d > '2026-01-31'", "d > CAST('2026-01-31' AS date)"},
    {"f < 1.5 or f = 'NaN'", "(f < CAST('1.5' AS float8)) OR (f = CAST('NaN' AS float8))"},
    {"i > 1.5 and i::numeric(5,1) <> -0.5",
     "(i > 1.5) AND (CAST(CAST(i AS numeric) AS numeric(5,1)) <> (-0.5))"},
    {"\"Order\" > 1 and \"order\" > 2 and \"user\" = 3",
     "(\"Order\" > 1) AND (\"order\" > 2) AND (\"user\" = 3)"},
    {"\"as\" = 'x' and length(\"as\") = 1", "(\"as\" = 'x') AND (length(\"as\") = 1)"},
    {"true", "TRUE"},
};

/* What is written is printed back so that PostgreSQL's grammar and the engine read it as the same;
 * what is printed makes the same table. */
Test(ddl_check, round_trip)
{
    static const char columns[] =
        "create table r (i int4 primary key, l int8, f float8, t text, b bool, d date, \"Order\" "
        "int4, \"order\" int4, \"user\" int4, \"as\" text";
    instar *db = dbs_open(0);
    char text[8192];
    char again[16384];
    size_t used = (size_t)snprintf(text, sizeof(text), "%s", columns);

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, ", constraint c%zu check (%s)",
                                 i, cases[i].written);
    }
    snprintf(text + used, sizeof(text) - used, ")");
    done(db, text);
    snprintf(again, sizeof(again), "%s", schema(db));
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        const char *printed = cases[i].printed != NULL ? cases[i].printed : cases[i].written;
        snprintf(text, sizeof(text), "    CONSTRAINT c%zu CHECK (%s),\n", i, printed);
        cr_assert(strstr(again, text) != NULL, "%s, not in\n%s", text, again);
    }
    done(db, "drop table r");
    done(db, again);
    cr_assert_str_eq(schema(db), again);
    ok(instar_close(db));
}

/* Checks of columns and of tables, in CREATE and ALTER, with every form of the statement. */
Test(ddl_check, statements)
{
    instar *db = dbs_open(0);
    instar_change_info info;

    done(db,
         "create table t (a int8 primary key check (a > 0), b int8 constraint big check (b > a) "
         "check (b < 100), check (a <> b))");
    cr_assert_str_eq(schema(db), "CREATE TABLE t (\n"
                                 "    a int8 NOT NULL,\n"
                                 "    b int8,\n"
                                 "    CONSTRAINT t_a_check CHECK (a > 0),\n"
                                 "    CONSTRAINT big CHECK (b > a),\n"
                                 "    CONSTRAINT t_b_check CHECK (b < 100),\n"
                                 "    CONSTRAINT t_check CHECK (a <> b),\n"
                                 "    PRIMARY KEY (a)\n"
                                 ");\n");
    ok(dbs_insert(db, "t", 1, 10));
    fails(dbs_insert(db, "t", 20, 10), INSTAR_ECHECK);
    done(db,
         "alter table t drop constraint big, drop constraint if exists none, add constraint mod "
         "check (b % 2 = 0)");
    done(db, "alter table t rename constraint t_check to differ");
    expect(run(db, "alter table t add check (b = 11)") == INSTAR_EFAILED);
    ok(instar_change_get(db, change, &info));
    expect(info.error == INSTAR_ECHECK && strstr(info.reason, "row (a=1)") != NULL);
    expect(strstr(info.statement, "ALTER TABLE t ADD CHECK ((\"b\" = 11))") != NULL);
    done(db, "alter table t add constraint eleven check (b = 11) not valid");
    expect(
        strstr(schema(db), ");\nALTER TABLE t ADD CONSTRAINT eleven CHECK (b = 11) NOT VALID;\n"));
    expect(run(db, "alter table t validate constraint eleven") == INSTAR_EFAILED);
    fails(dbs_insert(db, "t", 2, 12), INSTAR_ECHECK);
    done(db, "begin; alter table t drop constraint eleven; alter table t add c int default 3 check "
             "(c > 2); alter table t rename constraint mod to even; commit");
    cr_assert_str_eq(schema(db), "CREATE TABLE t (\n"
                                 "    a int8 NOT NULL,\n"
                                 "    b int8,\n"
                                 "    c int4 DEFAULT 3,\n"
                                 "    CONSTRAINT t_a_check CHECK (a > 0),\n"
                                 "    CONSTRAINT t_b_check CHECK (b < 100),\n"
                                 "    CONSTRAINT differ CHECK (a <> b),\n"
                                 "    CONSTRAINT even CHECK ((b % 2) = 0),\n"
                                 "    CONSTRAINT t_c_check CHECK (c > 2),\n"
                                 "    PRIMARY KEY (a)\n"
                                 ");\n");
    dbs_end(db);
}

/* What only the engine can refuse is refused with its words. */
Test(ddl_check, types_and_names)
{
    static const char *const wrong[][2] = {
        {"create table u (a int primary key check (b > 0))", "no column \"b\""},
        {"create table u (a int primary key check (a + 1))", "it gives int4, where bool is needed"},
        {"create table u (a int primary key check (a || 1.5))", "|| does not take int4, numeric"},
        {"create table u (a int primary key check (a > 'x'))", "'x' as int4: not an integer"},
        {"create table u (a int primary key,"
         " constraint c check (a > 1), constraint c check (true))",
         "a constraint \"c\" already"},
        {"alter table t drop constraint c", "no constraint \"c\""},
        {"alter table t validate constraint c", "no constraint \"c\""},
    };
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    for (size_t i = 0; i < BASE_ARRAY_LEN(wrong); i++) {
        expect(run(db, wrong[i][0]) != INSTAR_OK);
        cr_assert(strstr(failure, wrong[i][1]) != NULL, "%s: %s", wrong[i][0], failure);
    }
    ok(instar_close(db));
}
