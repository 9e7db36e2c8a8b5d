/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for nulls in columns that are to be NOT NULL, when writers obey that already: from the
 * drain on no write makes a null, so what is found was there before.
 *
 * All rows are read at one snapshot. Over several, a row that keeps its null (which an update of
 * its other columns may) could get another key meanwhile, and pass from what is still to be read to
 * what has been.
 */
#include "change/alter_impl.h"

#include <stdio.h>

#define BATCH 1024
#define SAMPLES_MAX 10

struct scan {
    struct job *job;
    struct store_txn *txn;
    struct catalog_table *table;
    struct txn_rows *rows;
    uint32_t columns[INSTAR_COLUMNS_MAX]; /* positions, ascending */
    instar_value values[INSTAR_COLUMNS_MAX];
    size_t column_count;
    uint64_t read;
    uint64_t total;
    uint64_t nulls;
    struct base_buf samples; /* in words */
    struct store_breath breath;
};

static void add(struct base_buf *out, const char *text)
{
    base_buf_add(out, text, strlen(text));
}

static void note(struct scan *s, uint32_t column, struct base_slice key)
{
    if (s->nulls++ >= SAMPLES_MAX) {
        return;
    }
    add(&s->samples, s->nulls == 1 ? "" : "; ");
    if (s->column_count > 1) {
        add(&s->samples, "column ");
        add(&s->samples, s->table->columns[column].name);
        add(&s->samples, " of ");
    }
    add(&s->samples, "row ");
    txn_describe_key(s->table, key, &s->samples);
}

static int read_row(struct scan *s, struct base_slice key, struct base_slice record,
                    struct base_err *err)
{
    int rc = txn_rows_columns(s->rows, key, record, s->columns, s->column_count, s->values, err);

    for (size_t i = 0; rc == 0 && i < s->column_count; i++) {
        if (s->values[i].type == INSTAR_NULL) {
            note(s, s->columns[i], key);
        }
    }
    return rc;
}

/* Between two batches: may it go on, and what do people see? */
static int pause(struct scan *s, struct base_err *err)
{
    if (!job_is_steered(s->job, INSTAR_CHANGE_HURRY)) {
        store_breathe(s->job->store, &s->breath);
    }
    job_show_rows(s->job, s->read, s->total);
    os_point("nulls.batch");
    int rc = job_poll(s->job, err);
    /* Who stands still holds no snapshot, and another one cannot be gone on with. */
    return rc == 0 && job_is_steered(s->job, INSTAR_CHANGE_PAUSE) ? JOB_AGAIN : rc;
}

static int read_rows(struct scan *s, struct base_err *err)
{
    struct store_range all = {.reverse = false};
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice record;
    int rc = store_cursor_open(s->txn, s->table->tree, &all, STORE_READ_UNTRACKED, &cursor, err);

    if (rc != 0) {
        return rc;
    }
    while ((rc = store_cursor_next(cursor, &key, &record, err)) == 0) {
        rc = read_row(s, key, record, err);
        s->read++;
        if (rc == 0 && s->read % BATCH == 0) {
            rc = pause(s, err);
        }
        if (rc != 0) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == INSTAR_END ? 0 : rc;
}

static int begin(struct scan *s, struct base_err *err)
{
    struct store *store = s->job->store;
    struct store_tree_stat stat;
    int rc = store_txn_begin(store, STORE_TXN_READONLY | STORE_TXN_SYNC, &s->txn, err);

    if (rc != 0) {
        s->txn = NULL;
        return rc;
    }
    base_assert(store_txn_lsn(s->txn) >= s->job->lsn); /* the drain is behind it */
    os_point("validate.snapshot");
    rc = catalog_get_table(s->txn, s->job->rec.table, &s->table, err);
    if (rc == 0) {
        rc = store_tree_stat(store, s->table->tree, &stat, err);
    }
    if (rc != 0) {
        return rc;
    }
    s->total = stat.entries;
    for (uint32_t i = 0; i < s->table->column_count; i++) {
        if (s->table->columns[i].enforcing) {
            s->columns[s->column_count++] = i;
        }
    }
    return txn_rows_open(s->table, (size_t)store_options(store)->row_bytes_max, &s->rows, err);
}

static int verdict(struct scan *s, struct base_err *err)
{
    struct change_record *r = &s->job->rec;
    struct base_buf text = {0};
    char head[256];

    if (s->nulls == 0) {
        return 0;
    }
    snprintf(head, sizeof(head), "table %s: ", s->table->name);
    add(&text, head);
    if (s->column_count == 1) {
        snprintf(head, sizeof(head),
                 "column %s is null in %llu row%s: ", s->table->columns[s->columns[0]].name,
                 (unsigned long long)s->nulls, s->nulls == 1 ? "" : "s");
    } else {
        snprintf(head, sizeof(head),
                 "columns that are to be NOT NULL hold %llu null%s: ", (unsigned long long)s->nulls,
                 s->nulls == 1 ? "" : "s");
    }
    add(&text, head);
    base_buf_add(&text, s->samples.data, s->samples.size);
    add(&text, s->nulls > SAMPLES_MAX ? "; …" : "");
    record_cut(&text, r->reason, sizeof(r->reason));
    r->duplicate_count = s->nulls;
    base_buf_free(&text);
    return base_err_set(err, INSTAR_ENOT_NULL, "%s", r->reason);
}

int nulls_run(struct job *j, struct base_err *err)
{
    struct scan *s = base_alloc_zero(1, sizeof(*s));

    if (s == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "validating: out of memory");
    }
    s->job = j;
    int rc = begin(s, err);
    if (rc == 0 && s->column_count != 0) {
        rc = read_rows(s, err);
    }
    if (rc == 0) {
        j->rows = s->read;
        job_show_rows(j, s->read, s->total);
        rc = verdict(s, err);
    }
    txn_rows_close(s->rows);
    catalog_table_free(s->table);
    if (s->txn != NULL) {
        store_txn_abort(s->txn);
    }
    base_buf_free(&s->samples);
    base_free(s);
    return rc;
}
