/* SPDX-License-Identifier: Apache-2.0 */
/* Projections, transactions and scans: arguments and handles checked, then handed down. */
#include "api/api_impl.h"

/* ---- projections -------------------------------------------------------------------------- */

static struct txn_projection *projection_inner(const instar_projection *projection)
{
    return (struct txn_projection *)(uintptr_t)projection->shell.inner;
}

int instar_projection_prepare(instar *db, const char *table, const char *const *columns,
                              size_t count, const char *index, instar_projection **projection_out)
{
    struct txn_projection *inner = NULL;
    instar_projection *projection;
    int rc = api_need(projection_out, "projection_out");

    if (rc != INSTAR_OK) {
        return rc;
    }
    *projection_out = NULL;
    rc = api_enter(db, API_MAGIC_DB, "store");
    if (rc == INSTAR_OK) {
        rc = api_need(table, "table");
    }
    if (rc == INSTAR_OK && count > 0) {
        rc = api_need(columns, "columns");
    }
    if (rc == INSTAR_OK) {
        rc = txn_projection_prepare(&db->env, table, columns, count, index, &inner, api_err());
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    projection = api_shell_new(API_MAGIC_PROJECTION, sizeof(*projection), &db->shell);
    if (projection == NULL) {
        txn_projection_free(inner);
        return base_err_set(api_err(), INSTAR_ENOMEM, "projection of %s: out of memory", table);
    }
    projection->shell.inner = inner;
    *projection_out = projection;
    return INSTAR_OK;
}

void instar_projection_free(instar_projection *projection)
{
    if (projection == NULL || api_enter(projection, API_MAGIC_PROJECTION, "projection") != 0) {
        return;
    }
    txn_projection_free(projection_inner(projection));
    api_shell_end(&projection->shell, API_MAGIC_PROJECTION);
}

size_t instar_projection_count(const instar_projection *projection)
{
    if (api_enter(projection, API_MAGIC_PROJECTION, "projection") != INSTAR_OK) {
        return 0;
    }
    return txn_projection_count(projection_inner(projection));
}

const char *instar_projection_column(const instar_projection *projection, size_t at)
{
    if (at >= instar_projection_count(projection)) {
        return NULL;
    }
    return txn_projection_column(projection_inner(projection), at);
}

enum instar_type instar_projection_type(const instar_projection *projection, size_t at)
{
    if (at >= instar_projection_count(projection)) {
        return INSTAR_NULL;
    }
    return txn_projection_type(projection_inner(projection), at);
}

/* ---- transactions ------------------------------------------------------------------------- */

static struct txn *txn_inner(const instar_txn *txn)
{
    return (struct txn *)(uintptr_t)txn->shell.inner;
}

static struct txn_cursor *cursor_inner(const instar_cursor *cursor)
{
    return (struct txn_cursor *)(uintptr_t)cursor->shell.inner;
}

/* The store's default stands where the caller names no durability. */
static int complete_flags(const instar *db, unsigned *flags)
{
    const unsigned durability = INSTAR_TXN_SYNC | INSTAR_TXN_ASYNC;
    const unsigned known = durability | INSTAR_TXN_READONLY | INSTAR_TXN_SNAPSHOT;

    if ((*flags & ~known) != 0) {
        return base_err_set(api_err(), INSTAR_EINVALID, "unknown transaction flags 0x%x",
                            *flags & ~known);
    }
    if ((*flags & durability) == durability) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "INSTAR_TXN_SYNC and INSTAR_TXN_ASYNC exclude each other");
    }
    if ((*flags & durability) == 0) {
        *flags |= db->durability == INSTAR_ASYNC ? INSTAR_TXN_ASYNC : INSTAR_TXN_SYNC;
    }
    return INSTAR_OK;
}

static int wrap_txn(instar *db, struct txn *inner, instar_txn **txn_out)
{
    instar_txn *txn = api_shell_new(API_MAGIC_TXN, sizeof(*txn), &db->shell);

    if (txn == NULL) {
        return base_err_set(api_err(), INSTAR_ENOMEM, "beginning a transaction: out of memory");
    }
    txn->shell.inner = inner;
    *txn_out = txn;
    return INSTAR_OK;
}

int instar_begin(instar *db, unsigned flags, instar_txn **txn_out)
{
    struct txn *inner = NULL;
    int rc = api_need(txn_out, "txn_out");

    if (rc != INSTAR_OK) {
        return rc;
    }
    *txn_out = NULL;
    rc = api_enter(db, API_MAGIC_DB, "store");
    if (rc == INSTAR_OK) {
        rc = complete_flags(db, &flags);
    }
    if (rc == INSTAR_OK) {
        rc = txn_begin(&db->env, flags, &inner, api_err());
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = wrap_txn(db, inner, txn_out);
    if (rc != INSTAR_OK) {
        txn_abort(inner);
    }
    return rc;
}

static void end_cursor(instar_cursor *cursor)
{
    txn_cursor_close(cursor_inner(cursor));
    api_shell_end(&cursor->shell, API_MAGIC_CURSOR);
}

/* End a transaction's cursors: API-2. */
static void end_cursors(instar_txn *txn)
{
    struct api_shell *child;

    while ((child = api_shell_child(&txn->shell)) != NULL) {
        end_cursor((instar_cursor *)child);
    }
}

/* The caller's own commit and abort: not for a transaction that instar_run will end. */
static int enter_end(instar_txn *txn)
{
    int rc = api_enter_alone(txn, API_MAGIC_TXN, "transaction");

    if (rc == INSTAR_OK && txn->borrowed) {
        api_leave(txn);
        rc = base_err_set(api_err(), INSTAR_EMISUSE,
                          "instar_run() ends this transaction: return 0 to commit, or an error");
    }
    return rc;
}

int instar_commit(instar_txn *txn)
{
    int rc = enter_end(txn);

    if (rc != INSTAR_OK) {
        return rc;
    }
    end_cursors(txn);
    rc = txn_commit(txn_inner(txn), api_err());
    api_shell_end(&txn->shell, API_MAGIC_TXN);
    return rc;
}

void instar_abort(instar_txn *txn)
{
    if (txn == NULL || enter_end(txn) != INSTAR_OK) {
        return;
    }
    end_cursors(txn);
    txn_abort(txn_inner(txn));
    api_shell_end(&txn->shell, API_MAGIC_TXN);
}

/* What instar_run carries through txn_run. */
struct run_call {
    instar *db;
    int (*fn)(instar_txn *txn, void *arg);
    void *arg;
};

static int run_once(struct txn *inner, void *arg)
{
    struct run_call *call = arg;
    instar_txn *txn = NULL;
    int rc = wrap_txn(call->db, inner, &txn);

    if (rc != INSTAR_OK) {
        return rc;
    }
    txn->borrowed = true;
    rc = call->fn(txn, call->arg);
    end_cursors(txn);
    api_shell_end(&txn->shell, API_MAGIC_TXN);
    return rc;
}

int instar_run(instar *db, unsigned flags, int (*fn)(instar_txn *txn, void *arg), void *arg)
{
    struct run_call call = {db, fn, arg};
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc == INSTAR_OK && fn == NULL) {
        rc = base_err_set(api_err(), INSTAR_EMISUSE, "fn is NULL");
    }
    if (rc == INSTAR_OK) {
        rc = complete_flags(db, &flags);
    }
    if (rc == INSTAR_OK) {
        rc = txn_run(&db->env, flags, run_once, &call, api_err());
    }
    return rc;
}

/* ---- rows --------------------------------------------------------------------------------- */

/* Enter a transaction for one row call; both handles and the pointer must be good, and of one
 * store. */
static int enter_rows(instar_txn *txn, const instar_projection *projection, const void *given,
                      const char *what)
{
    int rc = api_enter(projection, API_MAGIC_PROJECTION, "projection");

    if (rc == INSTAR_OK) {
        rc = api_need(given, what);
    }
    if (rc == INSTAR_OK) {
        rc = api_enter_alone(txn, API_MAGIC_TXN, "transaction");
    }
    if (rc == INSTAR_OK && txn->shell.owner != projection->shell.owner) {
        api_leave(txn);
        rc = base_err_set(api_err(), INSTAR_EMISUSE,
                          "the projection belongs to another store than the transaction");
    }
    return rc;
}

int instar_insert(instar_txn *txn, instar_projection *projection, const instar_value *values)
{
    int rc = enter_rows(txn, projection, values, "values");

    if (rc == INSTAR_OK) {
        rc = txn_insert(txn_inner(txn), projection_inner(projection), values, api_err());
        api_leave(txn);
    }
    return rc;
}

int instar_row_id(instar_txn *txn, int64_t *id_out)
{
    int rc = api_need(id_out, "id_out");

    if (rc == INSTAR_OK) {
        *id_out = 0;
        rc = api_enter_alone(txn, API_MAGIC_TXN, "transaction");
    }
    if (rc == INSTAR_OK) {
        *id_out = txn_row_id(txn_inner(txn));
        api_leave(txn);
    }
    return rc;
}

int instar_upsert(instar_txn *txn, instar_projection *projection, const instar_value *values)
{
    int rc = enter_rows(txn, projection, values, "values");

    if (rc == INSTAR_OK) {
        rc = txn_upsert(txn_inner(txn), projection_inner(projection), values, api_err());
        api_leave(txn);
    }
    return rc;
}

int instar_update(instar_txn *txn, instar_projection *projection, const instar_value *key,
                  const instar_value *values)
{
    int rc = api_need(values, "values");

    if (rc == INSTAR_OK) {
        rc = enter_rows(txn, projection, key, "key");
    }
    if (rc == INSTAR_OK) {
        rc = txn_update(txn_inner(txn), projection_inner(projection), key, values, api_err());
        api_leave(txn);
    }
    return rc;
}

int instar_delete(instar_txn *txn, instar_projection *projection, const instar_value *key)
{
    int rc = enter_rows(txn, projection, key, "key");

    if (rc == INSTAR_OK) {
        rc = txn_delete(txn_inner(txn), projection_inner(projection), key, api_err());
        api_leave(txn);
    }
    return rc;
}

int instar_get(instar_txn *txn, instar_projection *projection, const instar_value *key,
               instar_value *values_out)
{
    int rc = api_need(values_out, "values_out");

    if (rc == INSTAR_OK) {
        rc = enter_rows(txn, projection, key, "key");
    }
    if (rc == INSTAR_OK) {
        rc = txn_get(txn_inner(txn), projection_inner(projection), key, values_out, api_err());
        api_leave(txn);
    }
    return rc;
}

int instar_scan(instar_txn *txn, instar_projection *projection, const instar_range *range,
                instar_cursor **cursor_out)
{
    struct txn_cursor *inner = NULL;
    instar_cursor *cursor;
    int rc = api_need(cursor_out, "cursor_out");

    if (rc != INSTAR_OK) {
        return rc;
    }
    *cursor_out = NULL;
    rc = enter_rows(txn, projection, projection, "projection");
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = txn_scan(txn_inner(txn), projection_inner(projection), range, &inner, api_err());
    if (rc != INSTAR_OK) {
        goto leave;
    }
    cursor = api_shell_new(API_MAGIC_CURSOR, sizeof(*cursor), &txn->shell);
    if (cursor == NULL) {
        txn_cursor_close(inner);
        rc = base_err_set(api_err(), INSTAR_ENOMEM, "opening a scan: out of memory");
        goto leave;
    }
    cursor->shell.inner = inner;
    *cursor_out = cursor;
leave:
    api_leave(txn);
    return rc;
}

static int next_row(instar_cursor *cursor, instar_value *values_out)
{
    int rc = txn_cursor_next(cursor_inner(cursor), values_out, api_err());

    return rc != INSTAR_END ? rc : base_err_set(api_err(), rc, "the scan has no more rows");
}

int instar_cursor_next(instar_cursor *cursor, instar_value *values_out)
{
    struct api_shell *txn;
    int rc;

    /* The same questions as below, for the millions of times that there is nothing to say. The
     * transaction is of the cursor's process. */
    if (values_out != NULL && api_is_live(&cursor->shell, API_MAGIC_CURSOR) &&
        api_is(cursor->shell.owner, API_MAGIC_TXN) && api_take(cursor->shell.owner)) {
        txn = cursor->shell.owner;
        rc = next_row(cursor, values_out);
        api_leave(txn);
        return rc;
    }
    rc = api_need(values_out, "values_out");

    if (rc == INSTAR_OK) {
        rc = api_enter(cursor, API_MAGIC_CURSOR, "cursor");
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    txn = cursor->shell.owner;
    rc = api_enter_alone(txn, API_MAGIC_TXN, "transaction");
    if (rc == INSTAR_OK) {
        rc = next_row(cursor, values_out);
        api_leave(txn);
    }
    return rc;
}

void instar_cursor_close(instar_cursor *cursor)
{
    if (cursor == NULL || api_enter(cursor, API_MAGIC_CURSOR, "cursor") != INSTAR_OK) {
        return;
    }
    end_cursor(cursor);
}
