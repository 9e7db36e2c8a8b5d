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
 *
 * Several workers share the rows by intervals of keys. The first one has the snapshot; the others
 * begin beside it, at the very same position. Where that is not possible any more, because the log
 * was folded meanwhile, there are fewer.
 */
#include "change/alter_impl.h"
#include "change/findings_impl.h"

#include <stdio.h>
#include <string.h>

#define BATCH 1024
#define ROWS_PER_WORKER 50000u
#define BOUNDS_MAX (INSTAR_COLUMNS_MAX + 64)

/* What all workers share. */
struct scan {
    struct job *job;
    struct store_txn *txn; /* the first worker's */
    struct catalog_table *table;
    uint32_t columns[INSTAR_COLUMNS_MAX]; /* positions of those about which something is to hold */
    size_t column_count;
    uint32_t needed[INSTAR_COLUMNS_MAX]; /* these, and those of checks, ascending */
    size_t needed_count;
    uint32_t slots[INSTAR_COLUMNS_MAX]; /* of a position that is needed: its place in values */
    const struct catalog_check *checks[CATALOG_CHECKS_MAX];
    size_t check_count;
    const struct catalog_fkey *fkeys[CATALOG_FKEYS_MAX];
    size_t fkey_count;
    struct kin kin; /* the tables to which they lead */
    /* A row within these bounds breaks nothing: so it is neither decoded nor evaluated. */
    bool by_bounds;
    struct row_bound bounds[BOUNDS_MAX];
    size_t bound_count;
    struct gaps gaps;
    struct findings findings;
    struct os_plain_mutex lock; /* of job and what is shown */
    _Atomic bool halt;
    _Atomic uint64_t read;
    _Atomic uint64_t stood_back_ns;
    uint64_t stood_back_shown;
    uint64_t total;
};

struct worker {
    struct scan *s;
    unsigned number;
    struct store_txn *txn;
    struct txn_rows *rows;
    struct gap *gap;
    struct store_cursor *cursor;
    instar_value values[INSTAR_COLUMNS_MAX];
    struct base_arena scratch; /* of one evaluation */
    struct job_breath breath;
};

/* ---- one row ------------------------------------------------------------------------------ */

static int test_check(struct worker *w, const struct catalog_check *check, struct base_slice key,
                      struct base_err *err)
{
    const struct scan *s = w->s;
    instar_value *inputs;
    struct base_err why; /* a kilobyte is not cleared for each row */

    base_err_clear(&why);
    base_arena_reset(&w->scratch);
    inputs = base_arena_alloc(&w->scratch, (check->input_count + 1u) * sizeof(*inputs));
    if (inputs == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "validating: out of memory");
    }
    for (uint32_t i = 0; i < check->input_count; i++) {
        inputs[i] = w->values[s->slots[check->inputs[i]]];
    }
    int rc = catalog_check_row(s->table, check, inputs, &w->scratch, &why);
    if (rc == INSTAR_ENOMEM) {
        return base_err_set(err, rc, "%s", why.text);
    }
    if (rc != 0) {
        findings_add(&w->s->findings,
                     &(struct finding_told){.kind = INSTAR_FAILURE_CHECK,
                                            .name = check->name,
                                            .row = key,
                                            .why = rc != INSTAR_ECHECK ? why.text : NULL});
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
        base_buf_add(out, i == 0 ? "(" : ", ", i == 0 ? 1 : 2);
        base_buf_add_printable(out, text, size < sizeof(text) ? size : sizeof(text) - 1);
        base_buf_add(out, "...", size < sizeof(text) ? 0 : 3);
    }
    base_buf_add(out, ")", 1);
}

static void note_stray(struct worker *w, const struct catalog_fkey *fkey,
                       const instar_value *values, struct base_slice key)
{
    struct base_buf words = {0};

    add_values(&words, fkey, values);
    findings_add(&w->s->findings, &(struct finding_told){.kind = INSTAR_FAILURE_FOREIGN_KEY,
                                                         .name = fkey->name,
                                                         .row = key,
                                                         .values = &words});
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

static int test_fkey(struct worker *w, const struct catalog_fkey *fkey, struct base_slice key,
                     struct base_err *err)
{
    instar_value values[INSTAR_INDEX_COLUMNS_MAX];
    bool has;

    for (uint32_t i = 0; i < fkey->column_count; i++) {
        values[i] = w->values[w->s->slots[fkey->columns[i]]];
        if (values[i].type == INSTAR_NULL) {
            return 0;
        }
    }
    int rc = txn_parent_has(w->txn, parent_of(w->s, fkey), fkey, values, &has, err);
    if (rc == 0 && !has) {
        note_stray(w, fkey, values, key);
    }
    return rc;
}

static int test_cast(struct worker *w, const struct catalog_column *column,
                     const instar_value *value, struct base_slice key, struct base_err *err)
{
    struct base_err why = {0};

    base_arena_reset(&w->scratch);
    int rc = catalog_column_foresees(column, value, &w->scratch, &why);
    if (rc == INSTAR_ENOMEM) {
        return base_err_set(err, rc, "%s", why.text);
    }
    if (rc != 0) {
        findings_add(&w->s->findings, &(struct finding_told){.kind = INSTAR_FAILURE_TYPE,
                                                             .name = column->name,
                                                             .row = key,
                                                             .why = why.text});
    }
    return 0;
}

/* A value of a column about which something is to hold. */
static int test_value(struct worker *w, uint32_t at, const instar_value *value,
                      struct base_slice key, struct base_err *err)
{
    const struct catalog_column *column = &w->s->table->columns[at];

    if (value->type == INSTAR_NULL) {
        if (column->enforcing) {
            findings_add(&w->s->findings, &(struct finding_told){.kind = INSTAR_FAILURE_NOT_NULL,
                                                                 .name = column->name,
                                                                 .row = key});
        }
        if (column->made_by == NULL) {
            return 0;
        }
    }
    return column->type_coming == INSTAR_NULL ? 0 : test_cast(w, column, value, key, err);
}

static int read_row(struct worker *w, struct base_slice key, struct base_slice record,
                    struct base_err *err)
{
    const struct scan *s = w->s;

    if (s->by_bounds && txn_rows_as_expected(w->rows, key, record)) {
        return 0;
    }
    int rc = txn_rows_columns(w->rows, key, record, s->needed, s->needed_count, w->values, err);

    for (size_t i = 0; rc == 0 && i < s->column_count; i++) {
        rc = test_value(w, s->columns[i], &w->values[s->slots[s->columns[i]]], key, err);
    }
    for (size_t i = 0; rc == 0 && i < s->check_count; i++) {
        rc = test_check(w, s->checks[i], key, err);
    }
    for (size_t i = 0; rc == 0 && i < s->fkey_count; i++) {
        rc = test_fkey(w, s->fkeys[i], key, err);
    }
    return rc;
}

/* ---- a worker ----------------------------------------------------------------------------- */

static void halt(void *arg)
{
    struct scan *s = arg;

    atomic_store(&s->halt, true);
    gaps_stop(&s->gaps);
}

static int show(void *arg, struct base_err *err)
{
    struct scan *s = arg;

    (void)err;
    os_plain_lock(&s->lock);
    uint64_t stood = atomic_load_explicit(&s->stood_back_ns, memory_order_relaxed);
    job_show_throttle(s->job, stood != s->stood_back_shown);
    job_show_rows(s->job, atomic_load(&s->read), s->total);
    s->stood_back_shown = stood;
    os_plain_unlock(&s->lock);
    return 0;
}

/* Between two batches: may it go on? */
static int pause(struct worker *w, struct base_err *err)
{
    struct scan *s = w->s;
    uint64_t slept = job_breathe(s->job, &w->breath);

    atomic_fetch_add_explicit(&s->stood_back_ns, slept, memory_order_relaxed);
    os_point("nulls.batch");
    os_plain_lock(&s->lock);
    int rc = job_poll(s->job, err);
    os_plain_unlock(&s->lock);
    /* Who stands still holds no snapshot, and another one cannot be gone on with. */
    return rc == 0 && job_is_steered(s->job, INSTAR_CHANGE_PAUSE) ? JOB_AGAIN : rc;
}

static int open_cursor(struct worker *w, struct base_err *err)
{
    struct gap *g = w->gap;
    struct store_range range = {.lower = gap_key_slice(&g->lower)};

    if (!g->endless) {
        range.upper = gap_key_slice(&g->upper);
    }
    return store_cursor_open(w->txn, w->s->table->tree, &range, STORE_READ_UNTRACKED, &w->cursor,
                             err);
}

/* Some rows; the interval then begins behind them. INSTAR_END: it is read. */
static int read_batch(struct worker *w, struct base_err *err)
{
    struct base_slice key = {0};
    struct base_slice record;
    uint64_t done = 0;
    bool after = w->gap->after;
    int rc = 0;

    while (done < BATCH && (rc = store_cursor_next(w->cursor, &key, &record, err)) == 0) {
        bool again = after && base_slice_eq(key, gap_key_slice(&w->gap->lower));
        after = false; /* only the first key can be that one */
        if (again) {
            continue;
        }
        rc = read_row(w, key, record, err);
        if (rc != 0) {
            break;
        }
        done++;
    }
    atomic_fetch_add_explicit(&w->s->read, done, memory_order_relaxed);
    if (rc == 0) {
        gap_key_set(&w->gap->lower, key);
        w->gap->after = true;
    }
    return rc;
}

/* Others have nothing to do: give them the upper half of what is left. */
static bool share(struct worker *w)
{
    struct scan *s = w->s;
    struct gap_key middle;
    struct base_slice upper =
        w->gap->endless ? gap_key_slice(&s->gaps.hint) : gap_key_slice(&w->gap->upper);

    if (!gaps_wanted(&s->gaps) || !gap_middle(gap_key_slice(&w->gap->lower), upper, &middle)) {
        return false;
    }
    gaps_split(&s->gaps, w->number, &middle);
    return true;
}

/* One interval, as far as it stays this worker's. */
static int read_gap(struct worker *w, struct base_err *err)
{
    int rc = 0;

    while (rc == 0 && !atomic_load_explicit(&w->s->halt, memory_order_relaxed)) {
        bool shared = false;
        rc = open_cursor(w, err);
        while (rc == 0 && !shared && !atomic_load_explicit(&w->s->halt, memory_order_relaxed)) {
            rc = read_batch(w, err);
            if (rc == 0) {
                rc = pause(w, err);
            }
            if (rc == 0) {
                shared = share(w);
            }
        }
        store_cursor_close(w->cursor);
        w->cursor = NULL;
    }
    return rc;
}

static int read_gaps(struct worker *w, struct base_err *err)
{
    struct gaps *gaps = &w->s->gaps;
    int rc = 0;

    while (rc == 0 && (w->gap = gaps_take(gaps, w->number)) != NULL) {
        rc = read_gap(w, err);
        gaps_release(gaps, w->number, rc == INSTAR_END);
        rc = rc == INSTAR_END ? 0 : rc;
    }
    return rc;
}

static int work(void *arg, unsigned number, struct base_err *err)
{
    struct scan *s = arg;
    struct store *store = s->job->store;
    struct worker *w = base_alloc_zero(1, sizeof(*w));

    if (w == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "validating: out of memory");
    }
    w->s = s;
    w->number = number;
    w->txn = s->txn;
    int rc = number == 0 ? 0 : store_txn_begin_beside(s->txn, &w->txn, err);
    if (rc == 0) {
        rc = txn_rows_open(s->table, (size_t)store_options(store)->row_bytes_max, &w->rows, err);
    }
    if (rc == 0) {
        rc = txn_rows_expect(w->rows, s->bounds, s->bound_count, err);
    }
    if (rc == 0) {
        rc = read_gaps(w, err);
    }
    txn_rows_close(w->rows);
    if (number != 0 && w->txn != NULL) {
        store_txn_abort(w->txn);
    }
    base_arena_free(&w->scratch);
    base_free(w);
    return rc == INSTAR_EBUSY && number != 0 ? 0 : rc; /* the first one does it all */
}

/* ---- begin -------------------------------------------------------------------------------- */

/* The bounds of a check, if it is made of nothing else. No column is to have another type, so they
 * are of the values as they are. */
static bool bound_check(struct scan *s, const struct catalog_check *check)
{
    struct row_bound *own = s->bounds + s->bound_count;
    const struct row_expr_column *columns;
    size_t count;

    if (!row_expr_bounds(check->expr, own, BOUNDS_MAX - s->bound_count, &count)) {
        return false;
    }
    (void)row_expr_columns(check->expr, &columns);
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = own[i].position;
        own[i].position = check->inputs[slot];
        base_assert(s->table->columns[own[i].position].type == columns[slot].type);
    }
    s->bound_count += count;
    return true;
}

/* After what must be read: the bounds that say all of it, if there are such. */
static void choose_bounds(struct scan *s)
{
    s->by_bounds = s->fkey_count == 0;
    for (size_t i = 0; i < s->column_count; i++) {
        const struct catalog_column *c = &s->table->columns[s->columns[i]];
        s->by_bounds = s->by_bounds && c->type_coming == INSTAR_NULL;
        s->bounds[s->bound_count++].position = s->columns[i];
    }
    for (size_t i = 0; s->by_bounds && i < s->check_count; i++) {
        s->by_bounds = bound_check(s, s->checks[i]);
    }
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
    choose_bounds(s);
}

/* The last key, for dividing the rows. */
static int find_end(struct scan *s, struct base_err *err)
{
    struct store_range range = {.reverse = true};
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice record;
    int rc = store_cursor_open(s->txn, s->table->tree, &range, STORE_READ_UNTRACKED, &cursor, err);

    if (rc != 0) {
        return rc;
    }
    rc = store_cursor_next(cursor, &key, &record, err);
    if (rc == 0) {
        gap_key_set(&s->gaps.hint, key);
    }
    store_cursor_close(cursor);
    return rc == INSTAR_END ? 0 : rc;
}

static int begin(struct scan *s, struct base_err *err)
{
    struct store *store = s->job->store;
    struct store_tree_stat stat;
    int rc = store_txn_begin(store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &s->txn, err);

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
        rc = store_tree_guess(store, s->table->tree, &stat, err);
    }
    if (rc == 0) {
        rc = find_end(s, err);
    }
    if (rc == 0) {
        s->total = stat.entries;
        choose(s);
        gaps_add(&s->gaps, &(struct gap){.endless = true});
    }
    return rc;
}

/* ---- the verdict -------------------------------------------------------------------------- */

/* The sentence in front of the samples. Does it name the column or constraint of all of them? */
static bool add_head(const struct scan *s, struct base_buf *text)
{
    const struct catalog_column *column = &s->table->columns[s->columns[0]]; /* if there is one */
    char head[320];
    char type[CATALOG_TYPE_TEXT_MAX];
    const struct findings *f = &s->findings;
    unsigned long long n = f->broken;
    const char *plural = n == 1 ? "" : "s";
    bool alone = s->column_count == 1 && s->check_count + s->fkey_count == 0;
    bool names = true;

    snprintf(head, sizeof(head), "table %s: ", s->table->name);
    base_buf_add(text, head, strlen(head));
    if (alone && f->of_kind[INSTAR_FAILURE_NOT_NULL] == n) {
        snprintf(head, sizeof(head), "column %s is null in %llu row%s: ", column->name, n, plural);
    } else if (alone && f->of_kind[INSTAR_FAILURE_TYPE] == n) {
        snprintf(head, sizeof(head), "column %s cannot become %s in %llu row%s: ", column->name,
                 catalog_type_text(column->type_coming, column->length_coming, type), n, plural);
    } else if (s->column_count + s->check_count == 0 && s->fkey_count == 1) {
        snprintf(head, sizeof(head),
                 "foreign key %s: %llu row%s to what table %s has not: ", s->fkeys[0]->name, n,
                 n == 1 ? " refers" : "s refer", parent_of(s, s->fkeys[0])->name);
    } else if (s->column_count + s->fkey_count == 0 && s->check_count == 1) {
        snprintf(head, sizeof(head), "check %s is violated by %llu row%s: ", s->checks[0]->name, n,
                 plural);
    } else if (f->of_kind[INSTAR_FAILURE_NOT_NULL] == n) {
        names = false;
        snprintf(head, sizeof(head), "columns that are to be NOT NULL hold %llu null%s: ", n,
                 plural);
    } else if (f->of_kind[INSTAR_FAILURE_TYPE] == n) {
        names = false;
        snprintf(head, sizeof(head), "%llu value%s cannot become of the types that are to be: ", n,
                 plural);
    } else {
        names = false;
        snprintf(head, sizeof(head), "constraints that are to hold are broken %llu time%s: ", n,
                 plural);
    }
    base_buf_add(text, head, strlen(head));
    return names;
}

static int verdict(struct scan *s, struct base_err *err)
{
    struct change_record *r = &s->job->rec;
    const struct findings *f = &s->findings;
    struct base_buf text = {0};

    if (f->broken == 0) {
        return 0;
    }
    bool names = add_head(s, &text);
    findings_describe(f, s->table, !names, &text, &s->job->failure);
    record_cut(base_buf_slice(&text), r->reason, sizeof(r->reason));
    r->duplicate_count = f->broken;
    base_buf_free(&text);
    return base_err_set(err,
                        f->of_kind[INSTAR_FAILURE_NOT_NULL] == f->broken      ? INSTAR_ENOT_NULL
                        : f->of_kind[INSTAR_FAILURE_TYPE] == f->broken        ? INSTAR_ERANGE
                        : f->of_kind[INSTAR_FAILURE_FOREIGN_KEY] == f->broken ? INSTAR_EREFERENCE
                                                                              : INSTAR_ECHECK,
                        "%s", r->reason);
}

static int read_all(struct scan *s, struct base_err *err)
{
    struct crew crew = {.workers = crew_workers(s->job, s->total / ROWS_PER_WORKER + 1),
                        .name = "instar-validate",
                        .work = work,
                        .halt = halt,
                        .poll = show,
                        .arg = s};

    return crew_run(&crew, err);
}

int nulls_run(struct job *j, struct base_err *err)
{
    struct scan *s = base_alloc_zero(1, sizeof(*s));

    if (s == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "validating: out of memory");
    }
    s->job = j;
    gaps_init(&s->gaps);
    findings_init(&s->findings);
    os_plain_init(&s->lock);
    int rc = begin(s, err);
    if (rc == 0 && s->column_count + s->check_count + s->fkey_count != 0) {
        rc = read_all(s, err);
    }
    if (rc == 0) {
        j->rows = atomic_load(&s->read);
        job_show_rows(j, j->rows, s->total);
        rc = verdict(s, err);
    }
    kin_close(&s->kin);
    findings_free(&s->findings);
    catalog_table_free(s->table);
    store_txn_abort(s->txn);
    os_plain_destroy(&s->lock);
    gaps_destroy(&s->gaps);
    base_free(s);
    return rc;
}
