/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the table: several workers, each over its own interval of primary keys, at snapshots of
 * its own. Every snapshot is after the cut and durable (store.md's rule: a scan of data that a
 * power cut takes back would leave an entry without its row); a sync transaction of this process,
 * begun after the claim or the cut was committed, is both.
 *
 * A snapshot is renewed about every second, and given up while the rate limit makes the worker
 * wait, or while the change is paused: so a long build holds no pages for long.
 */
#include "change/build_impl.h"

#include <stdio.h>

#define NS_PER_S 1000000000u
#define SNAPSHOT_NS ((uint64_t)NS_PER_S)
/* How often what was gathered goes into a run with a checkpoint, so that no more is lost when the
 * runner dies. Reading at full speed fills the memory within seconds and is as fast done again; a
 * limited build takes its time, and each second of it counts. */
#define SPILL_LIMITED_NS (2 * (uint64_t)NS_PER_S)
#define SPILL_UNLIMITED_NS (8 * (uint64_t)NS_PER_S)

/* How long a worker that waits may miss that it need not any more. */
#define LOOK_NS ((uint64_t)NS_PER_S / 20)

/* What a worker has at hand. */
struct reader {
    struct build *b;
    unsigned number;
    struct gap *gap;
    struct txn_rows **rows; /* one for each index, NULL where that is loaded */
    struct base_buf key;
    struct store_txn *txn;
    struct store_cursor *cursor;
    uint64_t until_ns; /* of the snapshot */
    uint64_t wait_ns;  /* before the batch that the limit has granted */
    bool granted;
    bool may_repeat; /* the next row may be the one before the interval */
};

/* ---- one snapshot ------------------------------------------------------------------------- */

static void close_snapshot(struct reader *r)
{
    if (r->txn != NULL) {
        store_cursor_close(r->cursor);
        store_txn_abort(r->txn);
        r->txn = NULL;
        r->cursor = NULL;
        atomic_fetch_sub(&r->b->reading, 1);
    }
}

static int open_snapshot(struct reader *r, struct base_err *err)
{
    struct gap *g = r->gap;
    struct store_range range = {.lower = gap_key_slice(&g->lower)};
    int rc = store_txn_begin(r->b->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &r->txn, err);

    if (rc != 0) {
        r->txn = NULL;
        return rc;
    }
    base_assert(store_txn_lsn(r->txn) >= r->b->scan_from_lsn);
    if (!g->endless) {
        range.upper = gap_key_slice(&g->upper);
    }
    rc =
        store_cursor_open(r->txn, r->b->table->tree, &range, STORE_READ_UNTRACKED, &r->cursor, err);
    if (rc != 0) {
        store_txn_abort(r->txn);
        r->txn = NULL;
        return rc;
    }
    atomic_fetch_add(&r->b->reading, 1);
    r->may_repeat = g->after;
    r->until_ns = os_now_ns() + SNAPSHOT_NS;
    os_point("build.snapshot");
    return 0;
}

/* ---- rows --------------------------------------------------------------------------------- */

static void halt(void *arg)
{
    struct build *b = arg;

    atomic_store(&b->halt, true);
    gaps_stop(b->gaps);
    os_plain_lock(&b->lock);
    os_cond_wake_all(&b->cond);
    os_plain_unlock(&b->lock);
}

/* One row's entry of one index, if it has one: the key, and behind it what it includes. No key is a
 * prefix of another, so both together sort as the keys do. SCAN_SPILL: no memory for it. */
static int gather(struct reader *r, struct built *x, struct txn_rows *rows, struct base_slice key,
                  struct base_slice record, struct base_err *err)
{
    struct txn_entry entry = {.key = &r->key, .include = &r->key};
    bool nomem = false;

    base_buf_clear(&r->key);
    int rc = txn_rows_entry(rows, x->index, key, record, &entry, err);
    if (rc == 0 && entry.inside &&
        !stream_add(&x->streams[r->number], &r->b->pool, base_buf_slice(&r->key), &nomem)) {
        rc = nomem ? base_err_set(err, INSTAR_ENOMEM, "gathering entries: out of memory")
                   : SCAN_SPILL;
    }
    return rc;
}

/* One row. INSTAR_END: the interval is read. SCAN_SPILL: no memory for an entry of it; it is the
 * next to be read, also for the indexes that had room: their runs may have an entry twice. */
static int read_row(struct reader *r, struct base_slice *key_out, struct base_err *err)
{
    struct build *b = r->b;
    struct base_slice record;
    bool again;
    int rc;

    do {
        rc = store_cursor_next(r->cursor, key_out, &record, err);
        again = r->may_repeat && rc == 0 && base_slice_eq(*key_out, gap_key_slice(&r->gap->lower));
        r->may_repeat = false;
    } while (again);
    for (size_t i = 0; rc == 0 && i < b->count; i++) {
        if (r->rows[i] != NULL) {
            rc = gather(r, &b->all[i], r->rows[i], *key_out, record, err);
        }
    }
    return rc;
}

/* As read_row, for some rows; the interval then begins behind them. */
static int read_batch(struct reader *r, uint32_t rows, struct base_err *err)
{
    struct base_slice key = {0};
    uint32_t done = 0;
    int rc = 0;

    while (done < rows && rc == 0) {
        rc = read_row(r, &key, err);
        done += rc == 0;
    }
    if (rc == SCAN_SPILL) {
        gap_key_set(&r->gap->lower, key);
        r->gap->after = false;
    } else if (rc == 0) {
        gap_key_set(&r->gap->lower, key);
        r->gap->after = true;
    }
    atomic_fetch_add_explicit(&r->b->rows, done, memory_order_relaxed);
    return rc;
}

/* Others have nothing to do: give them the upper half of what is left. */
static bool share(struct reader *r)
{
    struct gap *g = r->gap;
    struct gap_key middle;
    struct base_slice upper =
        g->endless ? gap_key_slice(&r->b->gaps->hint) : gap_key_slice(&g->upper);

    if (!gaps_wanted(r->b->gaps) || !gap_middle(gap_key_slice(&g->lower), upper, &middle)) {
        return false;
    }
    gaps_split(r->b->gaps, r->number, &middle);
    return true;
}

static bool paused(const struct build *b)
{
    return job_is_steered(b->job, INSTAR_CHANGE_PAUSE);
}

/* Batches, until the snapshot is to be renewed (0) or as read_row. */
static int read_on(struct reader *r, struct base_err *err)
{
    struct build *b = r->b;
    uint32_t rows = limit_batch(&b->limit);
    int rc = 0;

    while (!atomic_load_explicit(&b->halt, memory_order_relaxed) && !paused(b)) {
        if (!r->granted) {
            r->wait_ns = limit_take(&b->limit, os_now_ns(), rows);
            r->granted = true;
            if (r->wait_ns != 0) {
                break;
            }
        }
        r->granted = false;
        rc = read_batch(r, rows, err);
        os_point("build.batch_scanned");
        build_breathe(b, r->number);
        if (rc != 0 || share(r) || os_now_ns() >= r->until_ns) {
            break;
        }
    }
    return rc;
}

/* Until the limit grants the batch, or is another one; and while the change is paused. */
static void wait_turn(struct reader *r)
{
    struct build *b = r->b;
    uint64_t now = os_now_ns();
    uint64_t until = now + r->wait_ns;
    uint64_t rate = atomic_load(&b->limit.rate);

    os_plain_lock(&b->lock);
    while (!atomic_load(&b->halt) &&
           (paused(b) || (now < until && rate == atomic_load(&b->limit.rate)))) {
        uint64_t left = now < until ? until - now : LOOK_NS;
        os_cond_wait(&b->cond, &b->lock, left < LOOK_NS ? left : LOOK_NS);
        now = os_now_ns();
    }
    os_plain_unlock(&b->lock);
    r->wait_ns = 0;
}

/* ---- workers ------------------------------------------------------------------------------ */

static int read_gap(struct reader *r, struct base_err *err)
{
    int rc = 0;

    while (rc == 0 && !atomic_load_explicit(&r->b->halt, memory_order_relaxed)) {
        if (r->wait_ns != 0 || paused(r->b)) {
            wait_turn(r);
            continue;
        }
        rc = open_snapshot(r, err);
        if (rc == 0) {
            rc = read_on(r, err);
        }
        close_snapshot(r);
    }
    return rc;
}

/* What decodes rows for each index that is not loaded yet. */
static int open_rows(struct reader *r, struct base_err *err)
{
    struct build *b = r->b;
    size_t row_bytes_max = store_options(b->store)->row_bytes_max;
    int rc = 0;

    r->rows = base_alloc_zero(b->count, sizeof(struct txn_rows *));
    if (r->rows == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "index build: out of memory");
    }
    for (size_t i = 0; rc == 0 && i < b->count; i++) {
        if (!b->all[i].ck->loaded) {
            rc = txn_rows_open(b->table, row_bytes_max, &r->rows[i], err);
        }
    }
    return rc;
}

static void close_rows(struct reader *r)
{
    for (size_t i = 0; r->rows != NULL && i < r->b->count; i++) {
        txn_rows_close(r->rows[i]);
    }
    base_free(r->rows);
    base_buf_free(&r->key);
}

static int work(void *arg, unsigned worker, struct base_err *err)
{
    struct reader r = {.b = arg, .number = worker};
    struct build *b = r.b;
    int rc = open_rows(&r, err);

    while (rc == 0 && (r.gap = gaps_take(b->gaps, worker)) != NULL) {
        rc = read_gap(&r, err);
        gaps_release(b->gaps, worker, rc == INSTAR_END);
        if (rc == INSTAR_END) {
            os_point("build.range_done");
            rc = 0;
        } else if (rc == SCAN_SPILL) {
            atomic_store(&b->full, true);
            halt(b);
            rc = 0;
        }
    }
    close_rows(&r);
    return rc;
}

static int poll(void *arg, struct base_err *err)
{
    struct build *b = arg;
    uint64_t now = os_now_ns();
    uint64_t backlog = 0;

    for (size_t i = 0; i < b->count; i++) {
        struct store_tree_stat stat;
        if (store_tree_stat(b->store, b->all[i].tree, &stat, NULL) == 0) {
            backlog += stat.delta_entries;
        }
    }
    b->job->live.delta_backlog = backlog;
    build_show_throttle(b);
    int rc = job_poll(b->job, err);
    limit_set(&b->limit, job_rate(b->job));
    /* It stands still when nobody reads any more; the rows are all of them then. */
    bool still = atomic_load(&b->reading) == 0;
    job_show_rows(b->job, atomic_load(&b->rows), b->rows_total);
    if (still || !paused(b)) {
        job_show_paused(b->job);
    }
    uint64_t every_ns = b->limit.rate != 0 ? SPILL_LIMITED_NS : SPILL_UNLIMITED_NS;
    if (now - b->spilled_ns >= every_ns && atomic_load(&b->rows) > b->rows_saved && !paused(b)) {
        halt(b);
    }
    return rc;
}

int scan_run(struct build *b, struct base_err *err)
{
    struct crew crew = {.workers = b->workers,
                        .name = "instar-scan",
                        .work = work,
                        .halt = halt,
                        .poll = poll,
                        .arg = b};

    atomic_store(&b->halt, false);
    atomic_store(&b->full, false);
    gaps_resume(b->gaps);
    int rc = crew_run(&crew, err);
    job_show_rows(b->job, atomic_load(&b->rows), b->rows_total);
    if (rc == 0 && b->gaps->waiting_count > 0) {
        rc = SCAN_SPILL;
    }
    return rc;
}
