/* SPDX-License-Identifier: Apache-2.0 */
/* Covering indexes: entries carry columns along, and scans that need no others read no rows. */
#include "support/sqls.h"
#include "support/tables.h"

#include "api/api_impl.h"

#include <stdio.h>
#include <string.h>

static instar *open_t(void)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "create table t (a int8 primary key, b int8, c text, f float8, d int4)"));
    ok(alters_insert(db, "t", "a,b,c,d", "1,10,one,100"));
    ok(alters_insert(db, "t", "a,b,c,d", "2,20,null,200"));
    ok(alters_insert(db, "t", "a,b,c,d", "3,15,three,300"));
    return db;
}

/* Take a row out of the table's tree, and nothing else: below the interface. */
static void damage(instar *db, int64_t a)
{
    const instar_value key = {.type = INSTAR_INT8, .i = a};
    const struct catalog_table *table;
    const struct catalog_view *view;
    struct base_buf bytes = {0};
    struct store_txn *t;

    must(store_txn_begin(db->env.store, STORE_TXN_SYNC, &t, &test_err));
    must(catalog_view_get(db->env.catalog, t, &view, &test_err));
    must(catalog_view_table(view, "t", &table, &test_err));
    must(row_key_encode(table->key_parts, &key, 1, &bytes, &test_err));
    must(store_txn_delete(t, table->tree, base_buf_slice(&bytes), &test_err));
    must(store_txn_commit(t, NULL, NULL, &test_err));
    catalog_view_release(db->env.catalog, view);
    base_buf_free(&bytes);
}

/* Columns of the index, of INCLUDE and of the primary key are answered from the entries: the rows
 * are gone, and nobody notices. Any other column needs them. */
Test(index_include, covered_scans_read_no_rows)
{
    const char *covered[] = {"a", "b", "c", "d"};
    const char *not_covered[] = {"a", "f"};
    instar_projection *p, *q;
    instar_cursor *cursor;
    instar_value values[4];
    instar_txn *txn;
    instar *db = open_t();

    ok(sqls_run(db, "create index i on t (b) include (c, d)"));
    for (int64_t a = 1; a <= 3; a++) {
        damage(db, a);
    }
    ok(instar_projection_prepare(db, "t", covered, 4, "i", &p));
    ok(instar_projection_prepare(db, "t", not_covered, 2, "i", &q));
    cr_assert_str_eq(sqls_scan(db, "t", "d,c,b,a", "i", NULL),
                     "100,one,10,1;300,three,15,3;200,null,20,2");
    cr_assert_str_eq(sqls_scan(db, "t", "c", "i", NULL), "one;three;null");
    cr_assert_str_eq(sqls_scan(db, "t", "a", "i", &(instar_range){.reverse = true}), "2;3;1");
    ok(instar_begin(db, 0, &txn));
    ok(instar_scan(txn, p, NULL, &cursor));
    ok(instar_cursor_next(cursor, values));
    expect(values[0].i == 1 && values[1].i == 10 && values[3].i == 100);
    expect(values[2].bytes.size == 3 && memcmp(values[2].bytes.data, "one", 3) == 0);
    instar_cursor_close(cursor);
    ok(instar_scan(txn, q, NULL, &cursor));
    fails(instar_cursor_next(cursor, values), INSTAR_ECORRUPT);
    instar_cursor_close(cursor);
    instar_abort(txn);
    instar_projection_free(p);
    instar_projection_free(q);
    ok(instar_close(db));
}

/* What is included follows every write: of rows from before, of new ones, of the transaction's own,
 * of a row that moves. */
Test(index_include, entries_follow_the_rows)
{
    instar *db = open_t();

    ok(sqls_run(db, "create index i on t (b) include (c)"));
    ok(alters_update(db, "t", "c", 1, "uno"));
    ok(alters_update(db, "t", "c", 3, "null"));
    ok(alters_update(db, "t", "d", 2, "7"));
    ok(alters_insert(db, "t", "a,b,c", "4,5,new"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,b,c", "i", NULL),
                     "4,5,new;1,10,uno;3,15,null;2,20,null");
    ok(alters_update(db, "t", "a", 1, "11"));
    ok(alters_update(db, "t", "b,c", 4, "50,moved"));
    ok(dbs_delete(db, "t", 2));
    cr_assert_str_eq(sqls_scan(db, "t", "a,b,c", "i", NULL), "11,10,uno;3,15,null;4,50,moved");
    dbs_end(db);
}

/* Only a change of the values of its columns is a question for a unique index: rows that were
 * duplicates before may change what is included, and are found when it is validated. */
Test(index_include, included_columns_are_not_unique)
{
    instar *db = open_t();

    ok(sqls_run(db, "create unique index u on t (b) include (c)"));
    ok(alters_insert(db, "t", "a,b,c", "4,40,one"));
    fails(alters_insert(db, "t", "a,b,c", "5,10,other"), INSTAR_EUNIQUE);
    ok(alters_update(db, "t", "c", 4, "three"));
    fails(alters_update(db, "t", "b", 4, "15"), INSTAR_EUNIQUE);
    cr_assert_str_eq(sqls_scan(db, "t", "a,c", "u", NULL), "1,one;3,three;2,null;4,three");
    dbs_end(db);
}

/* A column more in INCLUDE, or in the order of it, is another definition; what is there already is
 * refused; a column that is included is not dropped. */
Test(index_include, definitions)
{
    instar *db = open_t();

    fails(sqls_run(db, "create index i on t (b) include (b)"), INSTAR_EINVALID);
    expect(sqls_say("column \"b\" of INCLUDE is there already"));
    fails(sqls_run(db, "create index i on t (b) include (c, c)"), INSTAR_EINVALID);
    fails(sqls_run(db, "create index i on t (b) include (cc)"), INSTAR_EUNKNOWN);
    ok(sqls_run(db, "create unique index i on t (b, d) include (c, f) where b > 0"));
    ok(sqls_run(db, "create unique index if not exists i on t (b, d) include (c, f) where b > 0"));
    fails(
        sqls_run(db, "create unique index if not exists i on t (b, d) include (f, c) where b > 0"),
        INSTAR_EDEFINITION);
    expect(sqls_say("it includes c, f, not f, c"));
    fails(sqls_run(db, "create unique index if not exists i on t (b, d) where b > 0"),
          INSTAR_EDEFINITION);
    expect(sqls_say("it includes c, f"));
    fails(sqls_run(db, "alter table t drop column f"), INSTAR_ESTATE);
    expect(sqls_say("index \"i\" uses it"));
    ok(sqls_run(
        db, "alter table t rename column f to ff; alter table t add column g text default 'g'"));
    cr_assert(strstr(sqls_schema(db, "t"),
                     "CREATE UNIQUE INDEX i ON t (b, d) INCLUDE (c, ff) WHERE (b > 0);\n") != NULL,
              "%s", sqls_schema(db, "t"));
    ok(sqls_run(db, "begin; drop index i; alter table t drop column ff; alter table t add column h "
                    "int8 default 8; create index j on t (b desc) include (g, h); commit"));
    cr_assert_str_eq(sqls_scan(db, "t", "a,g,h", "j", NULL), "2,g,8;3,g,8;1,g,8");
    dbs_end(db);
}

/* A row (9, 90) whose c has so many characters. */
static int insert_long(instar *db, size_t size)
{
    static char text[4096];
    const char *columns[] = {"a", "b", "c"};
    instar_value row[3] = {{.type = INSTAR_INT8, .i = 9},
                           {.type = INSTAR_INT8, .i = 90},
                           {.type = INSTAR_TEXT, .bytes = {text, size}}};
    instar_projection *p;
    instar_txn *txn;

    memset(text, 'x', sizeof(text));
    ok(instar_projection_prepare(db, "t", columns, 3, NULL, &p));
    ok(instar_begin(db, 0, &txn));
    int rc = instar_insert(txn, p, row);
    if (rc == INSTAR_OK) {
        ok(instar_commit(txn));
    } else {
        instar_abort(txn);
    }
    instar_projection_free(p);
    return rc;
}

/* More than an entry may hold: the write is refused, and the row that has it fails the change; both
 * name the index. */
Test(index_include, too_long)
{
    instar *db = open_t();

    ok(insert_long(db, 2999));
    fails(sqls_run(db, "create index i on t (b) include (c)"), INSTAR_EFAILED);
    expect(sqls_say("row (a=9)"));
    expect(sqls_say("index i of table t: included columns of 3002 bytes; the limit is 2048"));
    ok(dbs_delete(db, "t", 9));
    ok(sqls_run(db, "create index i on t (b) include (c)"));
    fails(insert_long(db, 2046), INSTAR_ELIMIT);
    expect(strstr(instar_error_text(), "index i of table t") != NULL);
    ok(insert_long(db, 2045));
    expect(strlen(sqls_scan(db, "t", "b,a", "i", NULL)) > 0);
    dbs_check_clean(db);
    ok(sqls_run(db, "drop index i; create index i on t (b) include (c)"));
    dbs_end(db);
}

/* The sign of a zero is not in the key code: it is the row's that is told. */
Test(index_include, zeros_keep_their_sign)
{
    const char *columns[] = {"a", "f"};
    instar_value row[2] = {{.type = INSTAR_INT8, .i = 5}, {.type = INSTAR_FLOAT8, .f = -0.0}};
    instar_projection *p;
    instar_txn *txn;
    instar *db = open_t();

    ok(sqls_run(db, "create index i on t (f); create index j on t (b) include (f)"));
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &p));
    ok(instar_begin(db, 0, &txn));
    ok(instar_insert(txn, p, row));
    ok(instar_commit(txn));
    instar_projection_free(p);
    cr_assert_str_eq(sqls_scan(db, "t", "f", "i", NULL), "-0;null;null;null");
    cr_assert_str_eq(sqls_scan(db, "t", "a,f", "j", NULL), "1,null;3,null;2,null;5,-0");
    ok(instar_close(db));
}

/* Put an entry of row 2 (b = 20) into an index, with these bytes included: below the interface. */
static void forge(instar *db, const char *index, const char *include)
{
    const instar_value row[5] = {{.type = INSTAR_INT8, .i = 2}, {.type = INSTAR_INT8, .i = 20}};
    struct base_slice bytes = base_slice(include, strlen(include));
    uint8_t value[64];
    struct base_buf key = {0};
    const struct catalog_index *x;
    const struct catalog_table *table;
    const struct catalog_view *view;
    struct store_txn *t;

    must(store_txn_begin(db->env.store, STORE_TXN_SYNC, &t, &test_err));
    must(catalog_view_get(db->env.catalog, t, &view, &test_err));
    must(catalog_view_index(view, index, &table, &x, &test_err));
    tables_entry_key(table, x, row, &key);
    row_entry_encode(table->version, base_buf_slice(&key), bytes, value);
    memcpy(value + ROW_ENTRY_SIZE, include, bytes.size);
    must(store_txn_put(t, x->tree, base_buf_slice(&key),
                       base_slice(value, ROW_ENTRY_SIZE + bytes.size), &test_err));
    must(store_txn_commit(t, NULL, NULL, &test_err));
    catalog_view_release(db->env.catalog, view);
    base_buf_free(&key);
}

static int take_finding(void *arg, const instar_finding *finding)
{
    char *text = arg;

    expect(finding->problem == INSTAR_PROBLEM_ENTRY_DANGLING);
    (void)snprintf(text + strlen(text), 1024 - strlen(text), "%s\n", finding->text);
    return 0;
}

/* The checker compares what is included with the row, and knows which rows a partial index has. */
Test(index_include, the_checker_compares)
{
    instar_check_summary sum;
    char found[1024] = "";
    instar *db = open_t();

    ok(sqls_run(db, "create index i on t (b) include (c); create index p on t (b) where c > ''"));
    forge(db, "i", "\xf0"); /* the code of null, which the row has */
    dbs_check_clean(db);
    forge(db, "i", "\x80z");
    forge(db, "p", "");
    fails(instar_check(db, take_finding, found, &sum), INSTAR_ECORRUPT);
    expect_u64(sum.findings, 2);
    cr_assert(strstr(found, "the entry's row has other values in the included columns") != NULL &&
                  strstr(found, "the index's predicate is not true for the entry's row") != NULL,
              "%s", found);
    ok(instar_close(db));
}

/* A build that needs many sorted runs, while rows change: what is included comes through them. */
Test(index_include, built_from_sorted_runs)
{
    const instar_key_column key = {.name = "b", .descending = true};
    const char *include[] = {"g", "c"};
    const instar_index_def def = {.name = "i",
                                  .table = "t",
                                  .columns = &key,
                                  .column_count = 1,
                                  .predicate = "a % 10 <> 3",
                                  .include = include,
                                  .include_count = 2};
    instar_change_options o = scene_options(30000);
    uint64_t change;
    char text[512], wide[301];
    instar *db = dbs_open(0);

    memset(wide, 'w', sizeof(wide) - 1);
    wide[sizeof(wide) - 1] = '\0';
    (void)snprintf(text, sizeof(text), "alter table t add column g text default '%s'", wide);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 15000, scene_scattered);
    ok(sqls_run(db, text));
    o.sort_memory_bytes = 1 << 20;
    ok(instar_create_index(db, &def, &o, &change));
    for (int64_t a = 7; a < 15000; a += 1500) {
        ok(alters_update(db, "t", "g", a, "changed"));
    }
    scene_await(db, change, INSTAR_OK, NULL);
    dbs_end(db);
}
