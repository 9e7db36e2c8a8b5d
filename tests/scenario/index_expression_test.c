/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes on expressions: entries have the value that the expression gives for the row. */
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

/* Rows from before and after the index, beside columns and in either direction. A null anywhere
 * gives what the expression gives for it. Bounds are values of the expression. */
Test(index_expression, rows_come_and_go)
{
    instar *db = scene_open_t(0, 4);
    instar_value two = {.type = INSTAR_INT8, .i = 2};

    ok(sqls_run(db, "create index i on t ((b % 3) desc, a)"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,b", "i", NULL), "1,11;4,14;3,13;2,12");
    cr_assert_str_eq(
        sqls_scan(
            db, "t", "a", "i",
            &(instar_range){.lower = &two, .lower_count = 1, .upper = &two, .upper_count = 1}),
        "1;4");
    ok(alters_update(db, "t", "b", 1, "30"));
    ok(alters_update(db, "t", "b", 2, "null"));
    ok(alters_insert(db, "t", "a,b", "5,8"));
    ok(dbs_delete(db, "t", 3));
    cr_assert_str_eq(sqls_scan(db, "t", "a", "i", NULL), "2;4;5;1");
    ok(alters_update(db, "t", "a", 4, "40"));
    cr_assert_str_eq(sqls_scan(db, "t", "a", "i", &(instar_range){.reverse = true}), "1;40;5;2");
    dbs_end(db);
}

/* A change of the row that the expression does not feel leaves its entry alone, and one that it
 * feels moves it; included columns are carried along. */
Test(index_expression, with_include_and_predicate)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_update(db, "t", "c", 1, "Uno"));
    ok(alters_update(db, "t", "c", 2, "DOS"));
    ok(sqls_run(db, "create index i on t (lower(c)) include (c, b) where b > 0"));
    cr_assert_str_eq(sqls_scan(db, "t", "c,b", "i", NULL), "DOS,12;Uno,11;null,13");
    ok(alters_update(db, "t", "c", 1, "UNO"));
    ok(alters_update(db, "t", "b", 2, "5"));
    ok(alters_update(db, "t", "b", 3, "-5"));
    cr_assert_str_eq(sqls_scan(db, "t", "c,b,a", "i", NULL), "DOS,5,2;UNO,11,1");
    dbs_end(db);
}

/* Unique values of the expression: of what is there, and of what is written. Nulls are never the
 * same. */
Test(index_expression, unique)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_update(db, "t", "c", 1, "One"));
    ok(alters_update(db, "t", "c", 2, "ONE"));
    fails(sqls_run(db, "create unique index u on t (lower(c))"), INSTAR_EFAILED);
    expect(sqls_say("1 key occurs more than once: ((lower(c))='one') of row (a=1), row (a=2)"));
    expect(strstr(sqls_schema(db, "t"), "INDEX") == NULL);
    ok(alters_update(db, "t", "c", 2, "two"));
    ok(sqls_run(db, "create unique index u on t (lower(c))"));
    fails(alters_insert(db, "t", "a,c", "4,oNe"), INSTAR_EUNIQUE);
    expect(says("unique index u of table t: row (a=4) has ((lower(c))='one'), which row (a=1)"));
    ok(alters_update(db, "t", "c", 1, "oNE"));
    ok(alters_insert(db, "t", "a", "5"));
    dbs_end(db);
}

/* An expression that cannot be evaluated refuses the write and names the index, but not a delete;
 * on a row that is there it fails the change, which names index and row and leaves nothing. */
Test(index_expression, what_cannot_be_evaluated)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_insert(db, "t", "a,b", "4,0"));
    fails(sqls_run(db, "create index i on t (a, (100 / b))"), INSTAR_EFAILED);
    expect(sqls_say("expression 2 of index i of table t: division by zero"));
    expect(sqls_say("row (a=4)"));
    expect(strstr(sqls_schema(db, "t"), "INDEX") == NULL);
    ok(dbs_delete(db, "t", 4));
    ok(sqls_run(db, "create index i on t (a, (100 / b))"));
    fails(alters_update(db, "t", "b", 3, "0"), INSTAR_ERANGE);
    expect(says("expression 2 of index i of table t: division by zero"));
    fails(alters_insert(db, "t", "a,b", "5,0"), INSTAR_ERANGE);
    dbs_end(db);
}

/* From write-only on a write is held to it, and not before; a row from before the index that breaks
 * it may go away, or be mended, in any stage. */
Test(index_expression, errors_count_from_write_only_on)
{
    instar_key_column part = {.expression = "10 / b"};
    instar_index_def def = {.name = "i", .table = "t", .columns = &part, .column_count = 1};

    sqls_errors_from_write_only_on(&def);
}

/* What no row can have, is about what is not there, or differs, is refused at once; a column in
 * parentheses is that column. */
Test(index_expression, definitions_that_are_refused)
{
    instar *db = scene_open_t(0, 1);
    uint64_t change;
    instar_key_column both = {.name = "b", .expression = "b + 1"};
    instar_index_def def = {.name = "i", .table = "t", .columns = &both, .column_count = 1};

    fails(instar_create_index(db, &def, NULL, &change), INSTAR_EINVALID);
    expect(says("column \"b\" and an expression (b + 1) at once"));
    both.name = NULL;
    both.expression = "b + c";
    fails(instar_create_index(db, &def, NULL, &change), INSTAR_ETYPE);
    fails(sqls_run(db, "create index i on t ((d + 1))"), INSTAR_EUNKNOWN);
    expect(sqls_say("index \"i\" (d + 1), byte 1: no column \"d\"") || sqls_say("no column \"d\""));
    fails(sqls_run(db, "create index i on t ((now()))"), INSTAR_EINVALID);
    fails(sqls_run(db, "create index i on t ((b), b)"), INSTAR_EINVALID);
    expect(sqls_say("column \"b\" is given twice"));
    ok(sqls_run(db, "create index i on t ((b + 1))"));
    fails(sqls_run(db, "create index if not exists i on t ((b + 2))"), INSTAR_EDEFINITION);
    expect(sqls_say("column 1 is (b + 1), not (b + 2)"));
    fails(sqls_run(db, "create index if not exists i on t (b)"), INSTAR_EDEFINITION);
    expect(sqls_say("column 1 is (b + 1), not b"));
    ok(sqls_run(db, "create index if not exists i on t (((b) + (1)))"));
    ok(sqls_run(db, "create index j on t ((b))"));
    ok(sqls_run(db, "create index if not exists j on t (b)"));
    ok(instar_close(db));
}

/* A column of an expression is renamed freely, dropped after the index or with it, and gets no type
 * for which the expression has no meaning; what is shown has the new name and makes the same index.
 * A new column may be in one at once. */
Test(index_expression, columns_of_it)
{
    instar *db = scene_open_t(0, 3);

    ok(sqls_run(db, "create index i on t ((b * 2) desc nulls last, upper(\"c\"))"));
    fails(sqls_run(db, "alter table t drop column c"), INSTAR_ESTATE);
    expect(sqls_say("index \"i\" uses it"));
    fails(sqls_run(db, "alter table t alter column c type bytea using null"), INSTAR_ETYPE);
    expect(sqls_say("index \"i\", which is about a column of another type then"));
    ok(sqls_run(db, "alter table t rename column c to \"C d\""));
    cr_assert(strstr(sqls_schema(db, "t"),
                     "CREATE INDEX i ON t ((b * 2) DESC NULLS LAST, (upper(\"C d\")));\n") != NULL,
              "%s", sqls_schema(db, "t"));
    ok(sqls_run(db, "create index if not exists i on t ((b*2) desc nulls last, upper(\"C d\"))"));
    ok(sqls_run(db, "begin; drop index i; alter table t drop column \"C d\"; create index k on t "
                    "((0 - b)); commit"));
    cr_assert_str_eq(sqls_scan(db, "t", "a", "k", NULL), "3;2;1");
    ok(sqls_run(db, "begin; alter table t add column f int8 default 4; create index l on t "
                    "((f - a)); alter table t rename column f to g; commit"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,g", "l", NULL), "3,4;2,4;1,4");
    ok(alters_update(db, "t", "g", 1, "-3"));
    ok(alters_insert(db, "t", "a,b", "9,9"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,g", "l", NULL), "9,4;1,-3;3,4;2,4");
    dbs_end(db);
}
