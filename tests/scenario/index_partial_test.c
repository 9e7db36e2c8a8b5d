/* SPDX-License-Identifier: Apache-2.0 */
/* Partial indexes: a row is inside when the predicate is true, and only then. */
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

/* Rows from before and after the index; updates of what the predicate looks at bring a row in and
 * out, null keeps it out, deletes take it out. */
Test(index_partial, rows_come_and_go)
{
    instar *db = scene_open_t(0, 6);

    ok(sqls_run(db, "create index i on t (b) where b > 13 and c is null"));
    cr_assert_str_eq(sqls_scan(db, "t", "a", "i", NULL), "4;5;6");
    ok(alters_update(db, "t", "b", 1, "20"));
    ok(alters_update(db, "t", "b", 5, "2"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,b", "i", NULL), "4,14;6,16;1,20");
    ok(alters_update(db, "t", "c", 6, "x"));
    ok(alters_update(db, "t", "b", 4, "null"));
    cr_assert_str_eq(sqls_scan(db, "t", "a", "i", NULL), "1");
    ok(alters_update(db, "t", "b", 6, "30"));
    cr_assert_str_eq(sqls_scan(db, "t", "a", "i", NULL), "1");
    ok(alters_update(db, "t", "c", 6, "null"));
    ok(alters_insert(db, "t", "a,b", "7,25"));
    ok(alters_insert(db, "t", "a,b", "8,1"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,b,c", "i", NULL), "1,20,null;7,25,null;6,30,null");
    ok(alters_update(db, "t", "a", 7, "70"));
    ok(dbs_delete(db, "t", 1));
    ok(dbs_delete(db, "t", 8));
    cr_assert_str_eq(sqls_scan(db, "t", "a", "i", &(instar_range){.reverse = true}), "6;70");
    dbs_end(db);
}

/* A unique one binds the rows inside only: of what is there, and of what is written. */
Test(index_partial, unique_inside_only)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_insert(db, "t", "a,b,c", "4,11,x"));
    ok(alters_insert(db, "t", "a,b,c", "5,11,y"));
    ok(sqls_run(db, "create unique index u on t (b) where c is null"));
    ok(alters_insert(db, "t", "a,b,c", "6,12,z"));
    fails(alters_insert(db, "t", "a,b", "7,12"), INSTAR_EUNIQUE);
    expect(says("unique index u of table t"));
    fails(alters_update(db, "t", "c", 6, "null"), INSTAR_EUNIQUE);
    fails(alters_update(db, "t", "b", 1, "12"), INSTAR_EUNIQUE);
    ok(alters_update(db, "t", "b", 4, "12"));
    ok(alters_update(db, "t", "c", 2, "w"));
    ok(alters_update(db, "t", "c", 6, "null"));
    ok(dbs_delete(db, "t", 6));
    ok(alters_insert(db, "t", "a,b", "7,12"));
    dbs_check_clean(db);
    ok(sqls_run(db, "drop index u"));
    ok(alters_update(db, "t", "b", 3, "12"));
    fails(sqls_run(db, "create unique index u on t (b) where c is null"), INSTAR_EFAILED);
    expect(sqls_say("1 key occurs more than once: (b=12) of row (a=3), row (a=7)"));
    ok(sqls_run(db, "create unique index u on t (b) where c is null and a <> 7"));
    dbs_end(db);
}

/* A predicate that cannot be evaluated refuses the write and names the index, but not a delete;
 * on a row that is there it fails the change, which names index and row and leaves nothing. */
Test(index_partial, what_cannot_be_evaluated)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_insert(db, "t", "a,b", "4,0"));
    fails(sqls_run(db, "create index i on t (b) where 100 / b > 1"), INSTAR_EFAILED);
    expect(sqls_say("predicate of index i of table t: division by zero"));
    expect(sqls_say("row (a=4)"));
    expect(strstr(sqls_schema(db, "t"), "INDEX") == NULL);
    ok(alters_update(db, "t", "b", 4, "5"));
    ok(sqls_run(db, "create index i on t (b) where 100 / b > 1"));
    fails(alters_update(db, "t", "b", 4, "0"), INSTAR_ERANGE);
    expect(says("predicate of index i of table t: division by zero"));
    fails(alters_insert(db, "t", "a,b", "5,0"), INSTAR_ERANGE);
    ok(alters_update(db, "t", "b", 4, "99"));
    cr_assert_str_eq(sqls_scan(db, "t", "a", "i", NULL), "1;2;3");
    dbs_end(db);
}

/* From write-only on a write is held to it, and not before; a row from before the index that breaks
 * it may go away in any stage. */
Test(index_partial, errors_count_from_write_only_on)
{
    instar_key_column part = {.name = "b"};
    instar_index_def def = {
        .name = "i", .table = "t", .columns = &part, .column_count = 1, .predicate = "10 / b > 0"};

    sqls_errors_from_write_only_on(&def);
}

/* What is no condition, or about what is not there, is refused at once. */
Test(index_partial, definitions_that_are_refused)
{
    instar *db = scene_open_t(0, 1);

    fails(sqls_run(db, "create index i on t (b) where b + 1"), INSTAR_ETYPE);
    fails(sqls_run(db, "create index i on t (b) where d > 1"), INSTAR_EUNKNOWN);
    expect(sqls_say("index \"i\": predicate"));
    expect(sqls_say("no column \"d\""));
    fails(sqls_run(db, "create index i on t (b) where b >"), INSTAR_EINVALID);
    fails(sqls_run(db, "create index i on t (b) where now() > null"), INSTAR_EINVALID);
    ok(sqls_run(db, "create index i on t (b) where b > 1"));
    fails(sqls_run(db, "create index if not exists i on t (b) where b > 2"), INSTAR_EDEFINITION);
    expect(sqls_say("it is partial, WHERE (b > 1), not WHERE (b > 2)"));
    fails(sqls_run(db, "create index if not exists i on t (b)"), INSTAR_EDEFINITION);
    expect(sqls_say("it is partial, WHERE (b > 1)"));
    ok(sqls_run(db, "create index if not exists i on t (b) where (b) > (1)"));
    ok(sqls_run(db, "create index j on t (b)"));
    fails(sqls_run(db, "create index if not exists j on t (b) where b > 1"), INSTAR_EDEFINITION);
    expect(sqls_say("it is of all rows, not WHERE (b > 1)"));
    ok(instar_close(db));
}

/* A column that only the predicate mentions is renamed freely and dropped with the index, or after
 * it; what is shown has the new name. The statements that are printed make the same index. */
Test(index_partial, columns_of_the_predicate)
{
    instar *db = scene_open_t(0, 3);

    ok(sqls_run(db, "create index i on t (b desc) where \"c\" is null and b > 11"));
    fails(sqls_run(db, "alter table t drop column c"), INSTAR_ESTATE);
    expect(sqls_say("index \"i\" uses it"));
    ok(sqls_run(db, "alter table t rename column c to \"C d\""));
    cr_assert(strstr(sqls_schema(db, "t"), "CREATE INDEX i ON t (b DESC) WHERE ((\"C d\" IS NULL) "
                                           "AND (b > 11));\n") != NULL,
              "%s", sqls_schema(db, "t"));
    ok(sqls_run(db, "alter table t add column e int8 default 1, alter column b set not null"));
    ok(sqls_run(db, "create index if not exists i on t (b desc) where \"C d\" is null and b > 11"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,e", "i", NULL), "3,1;2,1");
    ok(sqls_run(db, "begin; drop index i; alter table t drop column \"C d\"; create index k on t "
                    "(b) where e = 1; commit"));
    cr_assert_str_eq(sqls_scan(db, "t", "a", "k", NULL), "1;2;3");
    ok(sqls_run(db, "begin; alter table t add column f int8 default 4; create index l on t (a) "
                    "where f > 3 and a <> 2; alter table t rename column f to g; commit"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,g", "l", NULL), "1,4;3,4");
    ok(alters_update(db, "t", "g", 1, "3"));
    ok(alters_insert(db, "t", "a,b", "9,9"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,g", "l", NULL), "3,4;9,4");
    dbs_end(db);
}

/* EXPLAIN says it. */
Test(index_partial, explained)
{
    instar *db = scene_open_t(0, 1);

    expect(strstr(sqls_explain(db, "explain create index i on t (b) where b > 1"),
                  "only rows for which WHERE is true get entries") != NULL);
    ok(instar_close(db));
}
