/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row ids for the rows of a table that had a primary key until now. From the version on that has
 * the column, and once that has drained, whoever writes a row gives it an id; so it is enough to
 * write those that nobody writes: each is updated with the values that it has, in transactions of
 * some rows each, as an application would do it. A row that has gone meanwhile, or was written,
 * needs nothing.
 *
 * What was done is not recorded: whoever goes on reads the table again and leaves out what has an
 * id.
 */
#include "change/build_impl.h"
#include "change/rekey_impl.h"

#include <string.h>

#define BATCH 128u         /* rows of a transaction */
#define BATCH_BYTES 65536u /* of the keys */
#define READ_AT_ONCE 4096u /* rows that are looked at by one snapshot */
#define LOOK_NS 50000000u  /* how long one who waits for the limit may miss that it is another */

struct fill {
    struct job *j;
    struct catalog_table *table;
    struct txn_rows *rows;
    struct txn_projection *projection; /* the key's columns, in its order */
    struct base_buf keys;              /* of rows that have none: u16 size and bytes */
    struct base_buf last;              /* key that was looked at last */
    struct base_arena scratch;
    uint64_t done, total;
    struct limit limit;
    struct store_breath breath;
};

static int open_all(struct fill *f, struct base_err *err)
{
    const char *names[INSTAR_INDEX_COLUMNS_MAX];
    struct store *store = f->j->store;
    struct store_tree_stat stat = {0};
    struct store_txn *t;
    int rc = store_txn_begin(store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);

    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(t, job_table(f->j), &f->table, err);
    store_txn_abort(t);
    if (rc == 0 && (f->table->row_id == 0 || catalog_keyed_by_row_id(f->table))) {
        return INSTAR_END; /* of several tables: not this one */
    }
    if (rc == 0) {
        rc = store_tree_guess(store, f->table->tree, &stat, err);
    }
    if (rc == 0) {
        f->total = stat.entries;
        job_set_row_bytes(f->j, &stat);
        rc = txn_rows_open(f->table, (size_t)store_options(store)->row_bytes_max, &f->rows, err);
    }
    for (uint32_t i = 0; rc == 0 && i < f->table->key_count; i++) {
        names[i] = f->table->columns[f->table->key[i].column].name;
    }
    if (rc == 0) {
        rc = txn_projection_prepare(f->j->c->env, f->table->name, names, f->table->key_count, NULL,
                                    &f->projection, err);
    }
    return rc;
}

static void close_all(struct fill *f)
{
    limit_destroy(&f->limit);
    txn_projection_free(f->projection);
    txn_rows_close(f->rows);
    catalog_table_free(f->table);
    base_buf_free(&f->keys);
    base_buf_free(&f->last);
    base_arena_free(&f->scratch);
}

/* Note the row if it has no id. */
static int look_at(struct fill *f, struct base_slice key, struct base_slice record,
                   struct base_err *err)
{
    uint32_t column = f->table->row_id_at;
    uint16_t size = (uint16_t)key.size;
    instar_value id;
    int rc = txn_rows_columns(f->rows, key, record, &column, 1, &id, err);

    base_buf_clear(&f->last);
    if (rc == 0 && !base_buf_add(&f->last, key.data, key.size)) {
        rc = base_err_set(err, INSTAR_ENOMEM, "numbering rows: out of memory");
    }
    if (rc == 0 && id.type == INSTAR_NULL &&
        (!base_buf_add(&f->keys, &size, sizeof(size)) ||
         !base_buf_add(&f->keys, key.data, key.size))) {
        rc = base_err_set(err, INSTAR_ENOMEM, "numbering rows: out of memory");
    }
    f->done += rc == 0;
    return rc;
}

/* The next rows. INSTAR_END: there are no more. */
static int read_some(struct fill *f, struct base_err *err)
{
    struct store_range range = {.lower = base_buf_slice(&f->last)};
    struct store_cursor *cursor;
    struct store_txn *t;
    struct base_slice key;
    struct base_slice record;
    struct base_buf from = {0};
    int rc = store_txn_begin(f->j->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);

    if (rc != 0) {
        return rc;
    }
    base_buf_clear(&f->keys);
    if (!base_buf_add(&from, f->last.data, f->last.size)) {
        rc = base_err_set(err, INSTAR_ENOMEM, "numbering rows: out of memory");
    }
    range.lower = base_buf_slice(&from);
    if (rc == 0) {
        rc = store_cursor_open(t, f->table->tree, &range, STORE_READ_UNTRACKED, &cursor, err);
    }
    if (rc == 0) {
        for (uint32_t i = 0; rc == 0 && i < READ_AT_ONCE && f->keys.size < BATCH_BYTES; i++) {
            rc = store_cursor_next(cursor, &key, &record, err);
            if (rc == 0 && (from.size == 0 || !base_slice_eq(key, base_buf_slice(&from)))) {
                rc = look_at(f, key, record, err);
            }
        }
        store_cursor_close(cursor);
    }
    store_txn_abort(t);
    base_buf_free(&from);
    return rc;
}

/* ---- writing ------------------------------------------------------------------------------ */

struct batch {
    struct fill *f;
    size_t from, to; /* in f->keys */
    struct base_err *err;
};

/* In txn_run: may be done more than once. */
static int write_batch(struct txn *t, void *arg)
{
    struct batch *b = arg;
    struct fill *f = b->f;
    const struct catalog_table *table = f->table;
    instar_value values[INSTAR_INDEX_COLUMNS_MAX];
    int rc = 0;

    for (size_t at = b->from; rc == 0 && at < b->to;) {
        uint16_t size;
        memcpy(&size, f->keys.data + at, sizeof(size));
        struct base_slice key = base_slice(f->keys.data + at + sizeof(size), size);
        base_arena_reset(&f->scratch);
        rc = row_key_decode(table->key_parts, table->key_count, &key, &f->scratch, values, b->err);
        rc = rc == 0 ? txn_update(t, f->projection, values, values, b->err) : rc;
        if (rc == INSTAR_ENOTFOUND) {
            base_err_clear(b->err);
            rc = 0;
        }
        at += sizeof(size) + size;
    }
    return rc;
}

/* So many rows were written: others go first, and nobody is asked for more than the limit. */
static int give_way(struct fill *f, uint32_t rows, struct base_err *err)
{
    struct job *j = f->j;
    int rc = job_poll(j, err);

    limit_set(&f->limit, job_rate(j));
    uint64_t until = os_now_ns() + limit_take(&f->limit, os_now_ns(), rows);
    while (rc == 0 && os_now_ns() < until && job_rate(j) != 0) {
        uint64_t left = until - os_now_ns();
        os_sleep_ns(left < LOOK_NS ? left : LOOK_NS);
        rc = job_poll(j, err);
    }
    if (rc == 0 && !job_is_steered(j, INSTAR_CHANGE_HURRY)) {
        store_breathe(j->store, &f->breath);
    }
    return rc == 0 ? job_stand_still(j, err) : rc;
}

static int write_some(struct fill *f, struct base_err *err)
{
    struct batch b = {.f = f, .err = err};
    struct txn_env *env = f->j->c->env;
    int rc = 0;

    while (rc == 0 && b.from < f->keys.size) {
        uint32_t rows = 0;
        for (b.to = b.from; rows < BATCH && b.to < f->keys.size; rows++) {
            uint16_t size;
            memcpy(&size, f->keys.data + b.to, sizeof(size));
            b.to += sizeof(size) + size;
        }
        rc = txn_run(env, INSTAR_TXN_ASYNC, write_batch, &b, err);
        b.from = b.to;
        os_point("rekey.batch_filled");
        rc = rc == 0 ? give_way(f, rows, err) : rc;
    }
    return rc;
}

int rekey_fill(struct job *j, struct base_err *err)
{
    struct fill f = {.j = j};
    limit_init(&f.limit, job_rate(j));
    int rc = open_all(&f, err);

    while (rc == 0) {
        rc = read_some(&f, err);
        bool end = rc == INSTAR_END;
        if (rc == 0 || end) {
            rc = write_some(&f, err);
            job_show_rows(j, f.done, f.total);
            rc = rc == 0 && end ? INSTAR_END : rc;
        }
    }
    rc = rc == INSTAR_END ? 0 : rc;
    j->rows = f.done;
    close_all(&f);
    return rc;
}
