/* SPDX-License-Identifier: Apache-2.0 */
/* Projections: names, what is refused, and what happens when the table moves on. */
#include "support/txns.h"
#include "txn/txn_impl.h"

#include <string.h>

static struct txn_env *env;
static uint64_t table;

static void setup(void)
{
    txns_make(NULL);
    env = txns_open(NULL);
    table = txns_table(env, "people", "id int8, name text, age int8", "id");
    txns_index(env, table, "people_name", "name", false, "public");
}

static void teardown(void)
{
    txns_close(env);
}

TestSuite(txn_projection, .init = setup, .fini = teardown);

static int prepare(const char *name, const char *const *columns, size_t count, const char *index)
{
    struct txn_projection *p = NULL;
    int rc = txn_projection_prepare(env, name, columns, count, index, &p, &test_err);
    cr_assert((p == NULL) == (rc != INSTAR_OK));
    txn_projection_free(p);
    return rc;
}

static void expect_text(const char *part)
{
    cr_assert(strstr(test_err.text, part) != NULL, "\"%s\" is not in: %s", part, test_err.text);
}

/* Without columns: all, in the table's order. */
Test(txn_projection, no_names_are_all_columns)
{
    struct txn_projection *p = txns_projection(env, "people", NULL);
    cr_assert_eq(txn_projection_count(p), 3);
    cr_assert_str_eq(txn_projection_column(p, 1), "name");
    cr_assert_eq(txn_projection_type(p, 1), INSTAR_TEXT);
    cr_assert(txn_projection_column(p, 3) == NULL);
    cr_assert_eq(txn_projection_type(p, 3), INSTAR_NULL);
    txn_projection_free(p);
    txn_projection_free(NULL);
}

/* Unknown names are refused with the nearest one. */
Test(txn_projection, unknown_names_come_with_the_nearest)
{
    const char *nam = "nam", *twice[] = {"id", "id"}, *null[] = {"id", NULL};
    must_fail(prepare("peple", NULL, 0, NULL), INSTAR_EUNKNOWN);
    expect_text("people");
    must_fail(prepare("people", &nam, 1, NULL), INSTAR_EUNKNOWN);
    expect_text("no column nam; did you mean name?");
    must_fail(prepare("people", NULL, 0, "people_nam"), INSTAR_EUNKNOWN);
    expect_text("no index people_nam; did you mean people_name?");
    must_fail(prepare("people", twice, 2, NULL), INSTAR_EINVALID);
    expect_text("named twice");
    must_fail(prepare("people", null, 2, NULL), INSTAR_EINVALID);
    must_fail(prepare("", NULL, 0, NULL), INSTAR_EINVALID);
    must_fail(prepare("people", NULL, 0, ""), INSTAR_EINVALID);
    must_fail(prepare("people", &nam, INSTAR_COLUMNS_MAX + 1, NULL), INSTAR_EINVALID);
}

/* Versions come and go without notice to what does not name the things that change; an index that
 * is named and goes is a clear error. */
Test(txn_projection, versions_pass_by_what_is_not_named)
{
    struct txn_projection *plain = txns_projection(env, "people", NULL);
    struct txn_projection *by_name = txns_projection(env, "people", "people_name");
    txns_put_row(env, plain, "1,x,30");
    txns_index(env, table, "people_age", "age", false, "write-only");
    txns_put_row(env, plain, "2,y,31");
    cr_assert_str_eq(txns_dump(env, by_name), "1,x,30 2,y,31 ");
    txns_index(env, table, "people_name", "name", false, "absent");
    txns_put_row(env, plain, "3,z,32");
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    cr_assert_str_eq(txns_scan(t, by_name, NULL, NULL, false), "INSTAR_EUNKNOWN");
    expect_text("people_name");
    txn_abort(t);
    txn_projection_free(plain);
    txn_projection_free(by_name);
}

/* Two transactions of two versions use one projection in turns; and resolutions of versions that
 * have passed do not pile up. */
Test(txn_projection, two_versions_at_once)
{
    struct txn_projection *p = txns_projection(env, "people", "people_name");
    for (int i = 0; i < 20; i++) {
        struct txn *old = txns_begin(env, INSTAR_TXN_READONLY);
        cr_assert_str_eq(txns_scan(old, p, NULL, NULL, false), "");
        struct catalog_table *next = txns_current(env, table);
        next->version++;
        must(txns_publish(env, next, 0, false, NULL, &test_err));
        struct txn *new = txns_begin(env, INSTAR_TXN_READONLY);
        cr_assert_str_eq(txns_scan(new, p, NULL, NULL, false), "");
        cr_assert_str_eq(txns_scan(old, p, NULL, NULL, false), "");
        cr_assert(p->cached[0] != NULL && p->cached[1] != NULL);
        cr_assert_eq(p->cached[0]->refs, 2);
        txn_abort(old);
        txn_abort(new);
        cr_assert_eq(p->cached[0]->refs, 1);
        cr_assert_eq(p->refs, 1);
    }
    txn_projection_free(p);
}

/* It may be freed while a transaction that used it is still open. */
Test(txn_projection, it_may_be_freed_before_the_commit)
{
    struct txn_projection *p = txns_projection(env, "people", NULL);
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_insert(t, p, "1,x,1"));
    txn_projection_free(p);
    must(txn_commit(t, &test_err));
    p = txns_projection(env, "people", NULL);
    cr_assert_str_eq(txns_dump(env, p), "1,x,1 ");
    txn_projection_free(p);
}

/* A table that was dropped and made again under its name, with other columns in other places. */
Test(txn_projection, a_name_may_come_back_as_another_table)
{
    struct txn_projection *p = txns_columns(env, "people", "id, age", NULL);
    txns_put_row(env, p, "1,30");
    struct catalog_table *now = txns_current(env, table);
    struct store_txn *st = stores_begin(env->store, STORE_TXN_SYNC);
    must(catalog_name_delete(st, "people", &test_err));
    struct lease_publication what = {.table = table, .remove = true, .drained_below = now->version};
    must(lease_publish(env->leases, st, &what, NULL, NULL, &test_err));
    catalog_table_free(now);
    txns_table(env, "people", "age int8, size int8, id int8", "id");
    txns_put_row(env, p, "2,40");
    cr_assert_str_eq(txns_dump(env, p), "2,40 ");
    txn_projection_free(p);
}

/* ---- threads ------------------------------------------------------------------------------ */

struct shared {
    struct txn_projection *p;
    _Atomic bool stop;
};

static void *read_on(void *arg)
{
    struct shared *s = arg;
    instar_value values[3];
    while (!atomic_load(&s->stop)) {
        struct txn_cursor *c;
        struct txn *t;
        must(txn_begin(env, INSTAR_TXN_READONLY | INSTAR_TXN_ASYNC, &t, &test_err));
        must(txn_scan(t, s->p, NULL, &c, &test_err));
        must(txn_cursor_next(c, values, &test_err));
        must_fail(txn_cursor_next(c, values, &test_err), INSTAR_END);
        txn_cursor_close(c);
        txn_abort(t);
    }
    return NULL;
}

/* Threads share a projection while versions go by. */
Test(txn_projection, threads_share_it)
{
    struct os_thread threads[2];
    struct shared s = {.p = txns_projection(env, "people", "people_name")};
    txns_put_row(env, s.p, "1,x,1");
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(os_thread_start(&threads[i], "read", read_on, &s), 0);
    }
    for (int i = 0; i < 100; i++) {
        struct catalog_table *next = txns_current(env, table);
        next->version++;
        must(txns_publish(env, next, 0, false, NULL, &test_err));
    }
    atomic_store(&s.stop, true);
    for (size_t i = 0; i < 2; i++) {
        os_thread_join(&threads[i]);
    }
    cr_assert_eq(s.p->refs, 1);
    txn_projection_free(s.p);
}
