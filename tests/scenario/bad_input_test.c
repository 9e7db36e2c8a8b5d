/* SPDX-License-Identifier: Apache-2.0 */
/* Bad input through the public interface: refused at the call that brings it, by name, and nothing
 * of it is left to fail later. The whole list is in docs/reliability.md. */
#include "support/sqls.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ---- handles ------------------------------------------------------------------------------ */

static int commit_code;

static void *commit_elsewhere(void *txn)
{
    commit_code = instar_commit(txn);
    return NULL;
}

/* A transaction that another thread is in is misuse, and the other one does not notice. */
Test(bad_input, transaction_of_another_thread)
{
    instar *db = dbs_open(0);
    instar_projection *p = NULL;
    instar_txn *txn = NULL;
    struct test_hold hold;
    pthread_t thread;
    instar_value row[] = {
        {.type = INSTAR_INT8, .i = 1}, {.type = INSTAR_INT8, .i = 2}, {.type = INSTAR_NULL}};

    dbs_make_table(db, "t");
    ok(instar_close(db));
    db = dbs_open(INSTAR_OPEN_NO_RUNNER); /* nobody else commits */
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &p));
    ok(instar_begin(db, 0, &txn));
    ok(instar_insert(txn, p, row));
    test_hold_set(&hold, "commit.mark_set", 1);
    expect(pthread_create(&thread, NULL, commit_elsewhere, txn) == 0);
    test_hold_await(&hold);
    fails(instar_get(txn, p, row, row), INSTAR_EMISUSE);
    expect(strstr(instar_error_text(), "thread") != NULL);
    fails(instar_commit(txn), INSTAR_EMISUSE);
    test_hold_release(&hold);
    expect(pthread_join(thread, NULL) == 0);
    ok(commit_code);
    test_hold_end(&hold);
    instar_projection_free(p);
    cr_assert_str_eq(dbs_dump(db, "t", NULL), "1:2 ");
    ok(instar_close(db));
}

/* ---- values ------------------------------------------------------------------------------- */

#define COLUMNS 8

/* One wrong value in a row that is right otherwise. */
static void refuse_value(instar_txn *txn, instar_projection *p, size_t at, instar_value wrong,
                         int code)
{
    instar_value row[COLUMNS] = {{.type = INSTAR_INT8, .i = 1}};
    char column[64];

    for (size_t i = 1; i < COLUMNS; i++) {
        row[i].type = INSTAR_NULL;
    }
    row[at] = wrong;
    (void)snprintf(column, sizeof(column), "column %s", instar_projection_column(p, at));
    fails(instar_insert(txn, p, row), code);
    if (strstr(instar_error_text(), column) == NULL) {
        test_fail(__FILE__, __LINE__, "'%s' is not in: %s", column, instar_error_text());
    }
}

/* A value that its column cannot hold is refused by the statement, which names the column: never at
 * commit, and never when it is folded into the trees. */
Test(bad_input, values_that_do_not_fit)
{
    instar *db = dbs_open(0);
    instar_projection *p = NULL;
    instar_txn *txn = NULL;
    instar_value good[COLUMNS] = {{.type = INSTAR_INT8, .i = 1}};

    ok(sqls_run(db, "CREATE TABLE v (a int8 PRIMARY KEY, i2 int2, i4 int4, d date, t time, "
                    "v varchar(3), b bool, f float8); CREATE INDEX v_all ON v (i2, i4, d, t, f)"));
    ok(instar_projection_prepare(db, "v", NULL, 0, NULL, &p));
    ok(instar_begin(db, 0, &txn));
    refuse_value(txn, p, 1, (instar_value){.type = INSTAR_INT2, .i = 32768}, INSTAR_ERANGE);
    refuse_value(txn, p, 1, (instar_value){.type = INSTAR_INT2, .i = -32769}, INSTAR_ERANGE);
    refuse_value(txn, p, 2, (instar_value){.type = INSTAR_INT4, .i = INT64_C(1) << 31},
                 INSTAR_ERANGE);
    refuse_value(txn, p, 3, (instar_value){.type = INSTAR_DATE, .i = INT64_MAX}, INSTAR_ERANGE);
    refuse_value(txn, p, 3, (instar_value){.type = INSTAR_DATE, .i = INT64_MIN}, INSTAR_ERANGE);
    refuse_value(txn, p, 4, (instar_value){.type = INSTAR_TIME, .i = INT64_C(86400000001)},
                 INSTAR_ERANGE);
    refuse_value(txn, p, 4, (instar_value){.type = INSTAR_TIME, .i = -1}, INSTAR_ERANGE);
    refuse_value(txn, p, 5, (instar_value){.type = INSTAR_TEXT, .bytes = {"four", 4}},
                 INSTAR_ERANGE);
    refuse_value(txn, p, 5, (instar_value){.type = INSTAR_TEXT, .bytes = {"\xc3", 1}},
                 INSTAR_EENCODING);
    refuse_value(txn, p, 6, (instar_value){.type = INSTAR_INT8, .i = 1}, INSTAR_ETYPE);
    refuse_value(txn, p, 7, (instar_value){.type = INSTAR_TEXT, .bytes = {"1", 1}}, INSTAR_ETYPE);
    for (size_t i = 1; i < COLUMNS; i++) {
        good[i].type = INSTAR_NULL;
    }
    ok(instar_insert(txn, p, good));
    ok(instar_commit(txn));
    instar_projection_free(p);
    dbs_end(db);
}

static int insert_float(instar *db, int64_t a, double f)
{
    instar_projection *p = NULL;
    instar_txn *txn = NULL;
    instar_value row[] = {{.type = INSTAR_INT8, .i = a}, {.type = INSTAR_FLOAT8, .f = f}};

    ok(instar_projection_prepare(db, "n", NULL, 0, NULL, &p));
    ok(instar_begin(db, 0, &txn));
    ok(instar_insert(txn, p, row));
    int rc = instar_commit(txn);
    instar_projection_free(p);
    return rc;
}

/* NaN has a place, behind all numbers, and is equal to itself; so are both zeros. */
Test(bad_input, nan_has_its_place)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "CREATE TABLE n (a int8 PRIMARY KEY, b float8 UNIQUE)"));
    ok(insert_float(db, 1, (double)NAN));
    ok(insert_float(db, 2, (double)INFINITY));
    ok(insert_float(db, 3, -0.0));
    ok(insert_float(db, 4, -(double)INFINITY));
    fails(insert_float(db, 5, -(double)NAN), INSTAR_EUNIQUE);
    fails(insert_float(db, 6, 0.0), INSTAR_EUNIQUE);
    cr_assert_str_eq(sqls_scan(db, "n", "a", "n_b_key", NULL), "4;3;2;1");
    dbs_end(db);
}

/* ---- names -------------------------------------------------------------------------------- */

static void refuse_sql(instar *db, const char *text, int code, const char *words)
{
    fails(sqls_run(db, text), code);
    if (!sqls_say(words)) {
        test_fail(__FILE__, __LINE__, "%s: '%s' is not in: %s", text, words, sqls_words());
    }
}

/* A name that is not there is refused with the nearest one that is; one that would mean two things
 * is refused, too; nothing is guessed. */
Test(bad_input, names)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "orders");
    ok(dbs_index(db, "orders_b", "orders", "b", false, NULL));
    refuse_sql(db, "ALTER TABLE order ADD COLUMN d int4", INSTAR_EINVALID, "syntax error");
    refuse_sql(db, "ALTER TABLE ordes ADD COLUMN d int4", INSTAR_EUNKNOWN, "orders");
    refuse_sql(db, "DROP INDEX order_b", INSTAR_EUNKNOWN, "orders_b");
    refuse_sql(db, "ALTER TABLE orders ADD COLUMN d itn4", INSTAR_EINVALID, "itn4");
    refuse_sql(db, "CREATE INDEX x ON orders (bb)", INSTAR_EUNKNOWN, "\"b\"");
    refuse_sql(db, "ALTER TABLE orders RENAME COLUMN b TO c", INSTAR_EEXISTS, "c");
    refuse_sql(db, "ALTER TABLE orders RENAME TO orders_b", INSTAR_EEXISTS, "orders_b");
    refuse_sql(db, "ALTER INDEX orders_b RENAME TO orders", INSTAR_EEXISTS, "orders");
    refuse_sql(db, "ALTER TABLE orders ADD COLUMN b int4", INSTAR_EEXISTS, "b");
    dbs_end(db);
}
