/* SPDX-License-Identifier: Apache-2.0 */
/* api/handle: a wrong handle gets an answer, never a crash. */
#include "support/dbs.h"

#include <string.h>

/* NULL handles and NULL pointers are misuse, in every function that takes them. */
Test(api_handle, null_is_misuse)
{
    instar_txn *txn;
    instar *db;
    uint64_t id;

    fails(instar_begin(NULL, 0, &txn), INSTAR_EMISUSE);
    fails(instar_commit(NULL), INSTAR_EMISUSE);
    fails(instar_flush(NULL), INSTAR_EMISUSE);
    fails(instar_open(NULL, NULL, &db), INSTAR_EMISUSE);
    fails(instar_open("x", NULL, NULL), INSTAR_EMISUSE);
    fails(instar_drop_index(NULL, "x", NULL, &id), INSTAR_EMISUSE);
    fails(instar_check(NULL, NULL, NULL, NULL), INSTAR_EMISUSE);
    fails(instar_cursor_next(NULL, NULL), INSTAR_EMISUSE);
    instar_abort(NULL);
    instar_cursor_close(NULL);
    instar_projection_free(NULL);
    ok(instar_close(NULL));
    db = dbs_open(0);
    fails(instar_begin(db, 0, NULL), INSTAR_EMISUSE);
    fails(instar_run(db, 0, NULL, NULL), INSTAR_EMISUSE);
    fails(instar_change_list(db, NULL, NULL), INSTAR_EMISUSE);
    fails(instar_create_table(db, NULL, NULL, &id), INSTAR_EMISUSE);
    ok(instar_close(db));
}

/* A handle that has ended is recognised, whatever kind it is, and is not taken for another kind. */
Test(api_handle, ended_is_misuse)
{
    instar *db = dbs_open(0);
    instar_projection *p;
    instar_cursor *c;
    instar_txn *txn;
    instar_value row[3];

    dbs_make_table(db, "t");
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &p));
    ok(instar_begin(db, 0, &txn));
    ok(instar_scan(txn, p, NULL, &c));
    fails(instar_commit((instar_txn *)c), INSTAR_EMISUSE);
    fails(instar_cursor_next(c, row), INSTAR_END);
    expect(strstr(instar_error_text(), "no more rows") != NULL);
    fails(instar_flush((instar *)txn), INSTAR_EMISUSE);
    instar_cursor_close(c);
    fails(instar_cursor_next(c, row), INSTAR_EMISUSE);
    expect(strstr(instar_error_text(), "ended") != NULL);
    ok(instar_commit(txn));
    fails(instar_commit(txn), INSTAR_EMISUSE);
    instar_abort(txn);
    fails(instar_get(txn, p, row, row), INSTAR_EMISUSE);
    instar_projection_free(p);
    ok(instar_begin(db, 0, &txn));
    fails(instar_get(txn, p, row, row), INSTAR_EMISUSE);
    instar_abort(txn);
    ok(instar_close(db));
    fails(instar_close(db), INSTAR_EMISUSE);
    fails(instar_begin(db, 0, &txn), INSTAR_EMISUSE);
}

/* Closing the store ends what was left open, and late calls on it are misuse. */
Test(api_handle, close_ends_what_is_open)
{
    instar *db = dbs_open(0);
    instar_projection *p;
    instar_cursor *c;
    instar_txn *txn;
    instar_value row[3];

    dbs_make_table(db, "t");
    ok(dbs_insert(db, "t", 1, 10));
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &p));
    ok(instar_begin(db, 0, &txn));
    ok(instar_scan(txn, p, NULL, &c));
    ok(instar_cursor_next(c, row));
    ok(instar_close(db));
    fails(instar_cursor_next(c, row), INSTAR_EMISUSE);
    fails(instar_commit(txn), INSTAR_EMISUSE);
    instar_projection_free(p);
    db = dbs_open(0);
    cr_assert_str_eq(dbs_dump(db, "t", NULL), "1:10 ");
    ok(instar_close(db));
}

struct forked {
    instar *db;
    instar_txn *txn;
    instar_projection *p;
};

static void in_child(struct test_child *self, void *arg)
{
    struct forked *f = arg;
    instar_value key = {.type = INSTAR_INT8, .i = 1}, row[3];
    instar_txn *txn;
    instar *own;
    instar_options o = dbs_options();

    (void)self;
    fails(instar_begin(f->db, 0, &txn), INSTAR_EFORKED);
    fails(instar_get(f->txn, f->p, &key, row), INSTAR_EFORKED);
    fails(instar_commit(f->txn), INSTAR_EFORKED);
    fails(instar_close(f->db), INSTAR_EFORKED);
    instar_projection_free(f->p);
    ok(instar_open(dbs_path(), &o, &own));
    ok(dbs_insert(own, "t", 2, 20));
    ok(instar_close(own));
}

/* After fork() the child's calls on the parent's handles are refused; it may open the store itself,
 * and the parent goes on. */
Test(api_handle, fork_is_recognised)
{
    struct forked f = {0};
    struct test_child child;

    f.db = dbs_open(0);
    dbs_make_table(f.db, "t");
    ok(dbs_insert(f.db, "t", 1, 10));
    ok(instar_projection_prepare(f.db, "t", NULL, 0, NULL, &f.p));
    ok(instar_begin(f.db, 0, &f.txn));
    test_fork(&child, in_child, &f);
    test_wait_ok(&child);
    ok(instar_commit(f.txn));
    instar_projection_free(f.p);
    cr_assert_str_eq(dbs_dump(f.db, "t", NULL), "1:10 2:20 ");
    ok(instar_close(f.db));
}

static int end_it(instar_txn *txn, void *arg)
{
    *(int *)arg = instar_commit(txn);
    return INSTAR_OK;
}

/* fn of instar_run must not end the transaction. */
Test(api_handle, run_ends_its_transaction_itself)
{
    instar *db = dbs_open(0);
    int found = 0;

    ok(instar_run(db, 0, end_it, &found));
    fails(found, INSTAR_EMISUSE);
    ok(instar_close(db));
}

static int close_it(instar_txn *txn, void *arg)
{
    (void)txn;
    return instar_close(*(instar **)arg);
}

/* Nor may it close the store: that is refused, and all goes on. */
Test(api_handle, run_does_not_close_the_store)
{
    instar *db = dbs_open(0);

    fails(instar_run(db, 0, close_it, &db), INSTAR_EMISUSE);
    expect(strstr(instar_error_text(), "instar_run") != NULL);
    dbs_make_table(db, "t");
    ok(instar_close(db));
}

/* A projection of one store does not work in a transaction of another. */
Test(api_handle, projection_of_another_store)
{
    instar *db = dbs_open(0), *other;
    instar_options o = dbs_options();
    instar_projection *p;
    instar_txn *txn;
    instar_value row[3] = {{.type = INSTAR_INT8, .i = 1}};

    ok(instar_open(test_path("other"), &o, &other));
    dbs_make_table(db, "t");
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &p));
    ok(instar_begin(other, 0, &txn));
    fails(instar_insert(txn, p, row), INSTAR_EMISUSE);
    instar_abort(txn);
    instar_projection_free(p);
    ok(instar_close(other));
    ok(instar_close(db));
}
