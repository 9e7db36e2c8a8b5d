/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for rows that break what is to hold: nulls in columns that are to be NOT NULL, values
 * that cannot become what a column's type is to be, checks that are false or cannot be evaluated,
 * and foreign keys that lead to nothing. Writers obey all of it already: from the drain on no write
 * makes such a row, so what is found was there before.
 *
 * All rows are read at one snapshot. Over several, a row that keeps its null (which an update of
 * its other columns may) could get another key meanwhile, and pass from what is still to be read to
 * what has been. A row and the one that it refers to are read at that same snapshot: so what is
 * found missing was missing beside it.
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
    uint32_t columns[INSTAR_COLUMNS_MAX]; /* positions of those about which something is to hold */
    size_t column_count;
    uint32_t needed[INSTAR_COLUMNS_MAX]; /* these, and those of checks, ascending */
    size_t needed_count;
    uint32_t slots[INSTAR_COLUMNS_MAX]; /* of a position that is needed: its place in */
    instar_value values[INSTAR_COLUMNS_MAX];
    const struct catalog_check *checks[CATALOG_CHECKS_MAX];
    size_t check_count;
    const struct catalog_fkey *fkeys[CATALOG_FKEYS_MAX];
    size_t fkey_count;
    struct kin kin;            /* the tables to which they lead */
    struct base_arena scratch; /* of one evaluation */
    uint64_t read;
    uint64_t total;
    uint64_t nulls;          /* those, */
    uint64_t lost;           /* values that cannot be cast, */
    uint64_t stray;          /* references to nothing, */
    uint64_t broken;         /* and all that is found */
    struct base_buf samples; /* in words */
    struct job_breath breath;
};

static void add(struct base_buf *out, const char *text)
{
    base_buf_add(out, text, strlen(text));
}

/* The same for programs; values: what a foreign key has there, NULL: nothing. */
static void note_sample(struct scan *s, enum instar_failure_kind kind, const char *name,
                        const struct base_buf *values, struct base_slice key)
{
    struct base_buf row = {0};

    txn_describe_key(s->table, key, &row);
    failure_add(&s->job->failure, kind, name, values, &row);
    base_buf_free(&row);
}

/* In the order of enum instar_failure_kind. */
static const char *const kind_words[] = {"", "index", "column", "column", "check", "foreign key"};

static void note(struct scan *s, enum instar_failure_kind kind, const char *name,
                 const struct base_buf *values, struct base_slice key)
{
    if (s->broken++ >= SAMPLES_MAX) {
        return;
    }
    note_sample(s, kind, name, values, key);
    add(&s->samples, s->broken == 1 ? "" : "; ");
    if (s->column_count + s->check_count + s->fkey_count > 1) {
        add(&s->samples, kind_words[kind]);
        add(&s->samples, " ");
        add(&s->samples, name);
        add(&s->samples, " of ");
    }
    add(&s->samples, "row ");
    txn_describe_key(s->table, key, &s->samples);
}

/* What is wrong with it, behind the row that was noted last. */
static void add_why(struct scan *s, const struct base_err *why)
{
    if (s->broken <= SAMPLES_MAX) {
        add(&s->samples, " (");
        add(&s->samples, why->text);
        add(&s->samples, ")");
    }
}

static int test_check(struct scan *s, const struct catalog_check *check, struct base_slice key,
                      struct base_err *err)
{
    instar_value *inputs;
    struct base_err why = {0};

    base_arena_reset(&s->scratch);
    inputs = base_arena_alloc(&s->scratch, (check->input_count + 1u) * sizeof(*inputs));
    if (inputs == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "validating: out of memory");
    }
    for (uint32_t i = 0; i < check->input_count; i++) {
        inputs[i] = s->values[s->slots[check->inputs[i]]];
    }
    int rc = catalog_check_row(s->table, check, inputs, &s->scratch, &why);
    if (rc == INSTAR_ENOMEM) {
        return base_err_set(err, rc, "%s", why.text);
    }
    if (rc != 0) {
        note(s, INSTAR_FAILURE_CHECK, check->name, NULL, key);
    }
    if (rc != 0 && rc != INSTAR_ECHECK) {
        add_why(s, &why);
    }
    return 0;
}

/* "(1, x)": values that refer to nothing. */
static void add_values(struct base_buf *out, const struct catalog_fkey *fkey,
                       const instar_value *values)
{
    char text[128];

    for (uint32_t i = 0; i < fkey->column_count; i++) {
        size_t size = instar_value_format(&values[i], text, sizeof(text));
        add(out, i == 0 ? "(" : ", ");
        base_buf_add_printable(out, text, size < sizeof(text) ? size : sizeof(text) - 1);
        add(out, size < sizeof(text) ? "" : "...");
        add(out, i + 1 == fkey->column_count ? ")" : "");
    }
}

/* They stand behind the row. */
static void note_stray(struct scan *s, const struct catalog_fkey *fkey, const instar_value *values,
                       struct base_slice key)
{
    struct base_buf words = {0};

    add_values(&words, fkey, values);
    s->stray++;
    note(s, INSTAR_FAILURE_FOREIGN_KEY, fkey->name, &words, key);
    if (s->broken <= SAMPLES_MAX) {
        add(&s->samples, " refers to ");
        base_buf_add(&s->samples, words.data, words.size);
    }
    base_buf_free(&words);
}

static const struct catalog_table *parent_of(const struct scan *s, const struct catalog_fkey *fkey)
{
    for (size_t i = 0; i < s->kin.count; i++) {
        if (s->kin.list[i].now->id == fkey->parent) {
            return s->kin.list[i].now;
        }
    }
    base_assert(fkey->parent == s->table->id); /* the change has claimed all others */
    return s->table;
}

static int test_fkey(struct scan *s, const struct catalog_fkey *fkey, struct base_slice key,
                     struct base_err *err)
{
    instar_value values[INSTAR_INDEX_COLUMNS_MAX];
    bool has;

    for (uint32_t i = 0; i < fkey->column_count; i++) {
        values[i] = s->values[s->slots[fkey->columns[i]]];
        if (values[i].type == INSTAR_NULL) {
            return 0;
        }
    }
    int rc = txn_parent_has(s->txn, parent_of(s, fkey), fkey, values, &has, err);
    if (rc == 0 && !has) {
        note_stray(s, fkey, values, key);
    }
    return rc;
}

/* A value of a column about which something is to hold. */
static int test_value(struct scan *s, uint32_t at, const instar_value *value, struct base_slice key,
                      struct base_err *err)
{
    const struct catalog_column *column = &s->table->columns[at];
    struct base_err why = {0};

    if (value->type == INSTAR_NULL) {
        if (column->enforcing) {
            s->nulls++;
            note(s, INSTAR_FAILURE_NOT_NULL, column->name, NULL, key);
        }
        if (column->made_by == NULL) {
            return 0;
        }
    }
    if (column->type_coming == INSTAR_NULL) {
        return 0;
    }
    base_arena_reset(&s->scratch);
    int rc = catalog_column_foresees(column, value, &s->scratch, &why);
    if (rc == INSTAR_ENOMEM) {
        return base_err_set(err, rc, "%s", why.text);
    }
    if (rc != 0) {
        s->lost++;
        note(s, INSTAR_FAILURE_TYPE, column->name, NULL, key);
        add_why(s, &why);
    }
    return 0;
}

static int read_row(struct scan *s, struct base_slice key, struct base_slice record,
                    struct base_err *err)
{
    int rc = txn_rows_columns(s->rows, key, record, s->needed, s->needed_count, s->values, err);

    for (size_t i = 0; rc == 0 && i < s->column_count; i++) {
        rc = test_value(s, s->columns[i], &s->values[s->slots[s->columns[i]]], key, err);
    }
    for (size_t i = 0; rc == 0 && i < s->check_count; i++) {
        rc = test_check(s, s->checks[i], key, err);
    }
    for (size_t i = 0; rc == 0 && i < s->fkey_count; i++) {
        rc = test_fkey(s, s->fkeys[i], key, err);
    }
    return rc;
}

/* Between two batches: may it go on, and what do people see? */
static int pause(struct scan *s, struct base_err *err)
{
    job_show_throttle(s->job, job_breathe(s->job, &s->breath) != 0);
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

/* What must be read of a row. */
static void choose(struct scan *s)
{
    bool needed[INSTAR_COLUMNS_MAX] = {false};

    for (uint32_t i = 0; i < s->table->column_count; i++) {
        const struct catalog_column *c = &s->table->columns[i];
        if (c->enforcing || c->type_coming != INSTAR_NULL) {
            s->columns[s->column_count++] = i;
            needed[i] = true;
        }
    }
    for (uint32_t i = 0; i < s->table->check_count; i++) {
        const struct catalog_check *check = &s->table->checks[i];
        if (catalog_check_is_pending(check)) {
            s->checks[s->check_count++] = check;
            for (uint32_t k = 0; k < check->input_count; k++) {
                needed[check->inputs[k]] = true;
            }
        }
    }
    for (uint32_t i = 0; i < s->table->fkey_count; i++) {
        const struct catalog_fkey *fkey = &s->table->fkeys[i];
        if (catalog_fkey_is_pending(fkey)) {
            s->fkeys[s->fkey_count++] = fkey;
            for (uint32_t k = 0; k < fkey->column_count; k++) {
                needed[fkey->columns[k]] = true;
            }
        }
    }
    for (uint32_t i = 0; i < s->table->column_count; i++) {
        if (needed[i]) {
            s->slots[i] = (uint32_t)s->needed_count;
            s->needed[s->needed_count++] = i;
        }
    }
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
    rc = catalog_get_table(s->txn, job_table(s->job), &s->table, err);
    if (rc == 0) {
        rc = kin_open_parents(&s->kin, s->txn, s->table, err);
    }
    if (rc == 0) {
        rc = store_tree_stat(store, s->table->tree, &stat, err);
    }
    if (rc != 0) {
        return rc;
    }
    s->total = stat.entries;
    choose(s);
    return txn_rows_open(s->table, (size_t)store_options(store)->row_bytes_max, &s->rows, err);
}

/* The sentence in front of the samples. */
static void add_head(const struct scan *s, struct base_buf *text)
{
    const struct catalog_column *column = &s->table->columns[s->columns[0]]; /* if there is one */
    char head[320];
    char type[CATALOG_TYPE_TEXT_MAX];
    unsigned long long n = s->broken;
    const char *plural = n == 1 ? "" : "s";
    bool alone = s->column_count == 1 && s->check_count + s->fkey_count == 0;

    snprintf(head, sizeof(head), "table %s: ", s->table->name);
    add(text, head);
    if (alone && s->nulls == n) {
        snprintf(head, sizeof(head), "column %s is null in %llu row%s: ", column->name, n, plural);
    } else if (alone && s->lost == n) {
        snprintf(head, sizeof(head), "column %s cannot become %s in %llu row%s: ", column->name,
                 catalog_type_text(column->type_coming, column->length_coming, type), n, plural);
    } else if (s->column_count + s->check_count == 0 && s->fkey_count == 1) {
        snprintf(head, sizeof(head),
                 "foreign key %s: %llu row%s to what table %s has not: ", s->fkeys[0]->name, n,
                 n == 1 ? " refers" : "s refer", parent_of(s, s->fkeys[0])->name);
    } else if (s->column_count + s->fkey_count == 0 && s->check_count == 1) {
        snprintf(head, sizeof(head), "check %s is violated by %llu row%s: ", s->checks[0]->name, n,
                 plural);
    } else if (s->nulls == n) {
        snprintf(head, sizeof(head), "columns that are to be NOT NULL hold %llu null%s: ", n,
                 plural);
    } else if (s->lost == n) {
        snprintf(head, sizeof(head), "%llu value%s cannot become of the types that are to be: ", n,
                 plural);
    } else {
        snprintf(head, sizeof(head), "constraints that are to hold are broken %llu time%s: ", n,
                 plural);
    }
    add(text, head);
}

static int verdict(struct scan *s, struct base_err *err)
{
    struct change_record *r = &s->job->rec;
    struct base_buf text = {0};

    if (s->broken == 0) {
        return 0;
    }
    add_head(s, &text);
    base_buf_add(&text, s->samples.data, s->samples.size);
    add(&text, s->broken > SAMPLES_MAX ? "; …" : "");
    record_cut(&text, r->reason, sizeof(r->reason));
    r->duplicate_count = s->broken;
    base_buf_free(&text);
    return base_err_set(err,
                        s->nulls == s->broken   ? INSTAR_ENOT_NULL
                        : s->lost == s->broken  ? INSTAR_ERANGE
                        : s->stray == s->broken ? INSTAR_EREFERENCE
                                                : INSTAR_ECHECK,
                        "%s", r->reason);
}

int nulls_run(struct job *j, struct base_err *err)
{
    struct scan *s = base_alloc_zero(1, sizeof(*s));

    if (s == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "validating: out of memory");
    }
    s->job = j;
    int rc = begin(s, err);
    if (rc == 0 && s->column_count + s->check_count + s->fkey_count != 0) {
        rc = read_rows(s, err);
    }
    if (rc == 0) {
        j->rows = s->read;
        job_show_rows(j, s->read, s->total);
        rc = verdict(s, err);
    }
    txn_rows_close(s->rows);
    kin_close(&s->kin);
    catalog_table_free(s->table);
    if (s->txn != NULL) {
        store_txn_abort(s->txn);
    }
    base_buf_free(&s->samples);
    base_arena_free(&s->scratch);
    base_free(s);
    return rc;
}
