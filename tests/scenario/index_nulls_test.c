/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes whose nulls stand at either end: order, bounds, definitions. */
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

static instar *open_t(void)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(alters_insert(db, "t", "a,b", "1,10"));
    ok(alters_insert(db, "t", "a,b", "2,null"));
    ok(alters_insert(db, "t", "a,b", "3,-5"));
    ok(alters_insert(db, "t", "a,b", "4,null"));
    ok(alters_insert(db, "t", "a,b", "5,0"));
    return db;
}

/* All four orders, forwards and backwards, of rows from before and after the index. */
Test(index_nulls, four_orders_both_ways)
{
    static const struct {
        const char *words, *forwards, *backwards;
    } orders[] = {
        {"b", "3;5;1;2;4", "4;2;1;5;3"},
        {"b asc nulls last", "3;5;1;2;4", "4;2;1;5;3"},
        {"b nulls first", "2;4;3;5;1", "1;5;3;4;2"},
        {"b desc", "2;4;1;5;3", "3;5;1;4;2"},
        {"b desc nulls first", "2;4;1;5;3", "3;5;1;4;2"},
        {"b desc nulls last", "1;5;3;2;4", "4;2;3;5;1"},
    };
    instar *db = open_t();

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        char text[128];

        (void)snprintf(text, sizeof(text), "create index i on t (%s)", orders[i].words);
        ok(alters_update(db, "t", "b", 2, "7"));
        ok(sqls_run(db, text));
        ok(alters_update(db, "t", "b", 2, "null"));
        cr_assert_str_eq(sqls_scan(db, "t", "a", "i", NULL), orders[i].forwards, "%s",
                         orders[i].words);
        cr_assert_str_eq(sqls_scan(db, "t", "a", "i", &(instar_range){.reverse = true}),
                         orders[i].backwards, "%s", orders[i].words);
        dbs_check_clean(db);
        ok(sqls_run(db, "drop index i"));
    }
    ok(instar_close(db));
}

/* Bounds are in the index's own order: what lies behind null is what stands behind it there. */
Test(index_nulls, bounds)
{
    const instar_value null = {.type = INSTAR_NULL}, zero = {.type = INSTAR_INT8, .i = 0};
    instar *db = open_t();

    ok(sqls_run(db, "create index f on t (b nulls first); create index l on t (b desc nulls "
                    "last)"));
    const instar_range from_zero = {.lower = &zero, .lower_count = 1};
    const instar_range to_zero = {.upper = &zero, .upper_count = 1, .upper_exclusive = true};
    const instar_range nulls = {.lower = &null, .lower_count = 1, .upper = &null, .upper_count = 1};
    const instar_range behind_null = {.lower = &null, .lower_count = 1, .lower_exclusive = true};
    const instar_range before_null = {.upper = &null, .upper_count = 1, .upper_exclusive = true};
    cr_assert_str_eq(sqls_scan(db, "t", "a", "f", &from_zero), "5;1");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "f", &to_zero), "2;4;3");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "f", &nulls), "2;4");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "f", &behind_null), "3;5;1");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "f", &before_null), "");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "l", &from_zero), "5;3;2;4");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "l", &to_zero), "1");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "l", &nulls), "2;4");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "l", &behind_null), "");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "l", &before_null), "1;5;3");
    ok(instar_close(db));
}

/* The order is a part of the definition: IF NOT EXISTS names the difference, what is usual is not
 * shown. A unique index takes any number of nulls, whichever way they stand. A primary key has
 * none. */
Test(index_nulls, definitions)
{
    instar_column_def column = {.name = "a", .type = INSTAR_INT8, .not_null = true};
    instar_key_column key = {.name = "a", .nulls = INSTAR_NULLS_FIRST};
    instar_table_def def = {
        .name = "k", .columns = &column, .column_count = 1, .key = &key, .key_count = 1};
    uint64_t change;
    instar *db = open_t();

    ok(sqls_run(db, "create unique index u on t (b nulls first, c desc nulls first)"));
    ok(sqls_run(db, "create unique index if not exists u on t (b nulls first, c desc)"));
    fails(sqls_run(db, "create unique index if not exists u on t (b, c desc)"), INSTAR_EDEFINITION);
    expect(sqls_say("column 1 is b NULLS FIRST, not b"));
    ok(sqls_run(db, "create index w on t (b nulls last, c desc nulls last)"));
    cr_assert(strstr(sqls_schema(db, "t"),
                     "CREATE UNIQUE INDEX u ON t (b NULLS FIRST, c DESC);\n"
                     "CREATE INDEX w ON t (b, c DESC NULLS LAST);\n") != NULL);
    ok(alters_insert(db, "t", "a,b", "6,null"));
    ok(alters_insert(db, "t", "a,b,c", "7,7,x"));
    fails(alters_insert(db, "t", "a,b,c", "8,7,x"), INSTAR_EUNIQUE);
    fails(instar_create_table(db, &def, NULL, &change), INSTAR_EINVALID);
    expect(strstr(instar_error_text(), "column \"a\" is never null") != NULL);
    key.nulls = (enum instar_nulls)7;
    fails(instar_create_table(db, &def, NULL, &change), INSTAR_EINVALID);
    dbs_end(db);
}
