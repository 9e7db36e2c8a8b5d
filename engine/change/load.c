/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading the trees, one after the other: sorted appends in batches, each with the checkpoint in
 * its own transaction. What is at or below the checkpoint's last key is there already: it came from
 * a snapshot after the cut, and whatever changed it since is in the delta.
 */
#include "change/build_impl.h"

#include <string.h>

#define SNAPSHOT_NS ((uint64_t)1000000000)
#define AHEAD_BYTES ((size_t)4 << 20) /* of rows that are looked up before they are written */

#define LOOK_EVERY 64 /* rows */

/* A row that was looked up; its key and its record follow. */
struct ahead_row {
    uint32_t key_size;
    uint64_t value_size;
};

struct loading {
    struct built *x;
    struct store_bulk *bulk;
    struct base_buf value; /* of an entry that includes columns, or that is a whole row */
    /* Of an index of whole rows: where they are read. */
    struct txn_rows *rows;
    struct base_buf ahead; /* of ahead_row */
    uint64_t looked_up;
    struct store_txn *txn;
    uint64_t until_ns; /* of that snapshot */
    bool beyond;       /* what the checkpoint says is loaded */
    /* What was spilled, merged, and its next entry; NULL: nothing was, or all of it is loaded. */
    struct merge *runs;
    struct base_slice run_key;
    struct base_slice run_value;
};

static int commit_batch(struct loading *l, struct base_err *err)
{
    struct base_buf bytes = {0};
    struct store_bulk *bulk = l->bulk;
    struct base_slice last;
    int rc = store_bulk_last(bulk, &last, err);

    l->bulk = NULL;
    if (rc == 0 && last.size != 0) {
        gap_key_set(&l->x->ck->last, last);
    }
    rc = rc == 0 ? checkpoint_encode(l->x->ck, &bytes, err) : rc;
    if (rc == 0) {
        rc = store_bulk_progress(bulk, base_buf_slice(&bytes), err);
    }
    if (rc == 0) {
        rc = store_bulk_commit(bulk, err);
    } else {
        store_bulk_abort(bulk);
    }
    base_buf_free(&bytes);
    return rc;
}

static int begin_batch(struct loading *l, struct base_err *err)
{
    const struct build *b = l->x->build;

    return store_bulk_begin(b->store, l->x->tree, b->job->token,
                            job_is_steered(b->job, INSTAR_CHANGE_HURRY), &l->bulk, err);
}

int load_checkpoint(struct built *x, struct base_err *err)
{
    struct loading l = {.x = x};
    int rc = begin_batch(&l, err);

    return rc == 0 ? commit_batch(&l, err) : rc;
}

static void show_entries(struct build *b)
{
    uint64_t loaded = 0;

    for (size_t i = 0; i < b->count; i++) {
        loaded += b->all[i].ck->entries_loaded;
    }
    job_show_rows(b->job, loaded, b->entries_total);
}

/* Who was asked to stop or to stand still does so. */
static int look(struct loading *l, struct base_err *err)
{
    struct job *j = l->x->build->job;
    int rc = job_poll(j, err);

    if (l->txn != NULL && job_is_steered(j, INSTAR_CHANGE_PAUSE)) {
        store_txn_abort(l->txn); /* who stands still has no snapshot (CHANGE-6) */
        l->txn = NULL;
    }
    return rc == 0 ? job_stand_still(j, err) : rc;
}

static int end_batch(struct loading *l, struct base_err *err)
{
    struct build *b = l->x->build;
    int rc = commit_batch(l, err);

    if (rc == 0) {
        os_point("build.batch_loaded");
        job_keep_target(b->job, &b->load_breath);
        build_show_throttle(b);
        show_entries(b);
        rc = look(l, err);
    }
    return rc;
}

/* Key and value of an entry of the tree are those that are sorted. */
static bool is_as_sorted(const struct catalog_index *index)
{
    return !index->rows && index->include_count == 0;
}

/* From an entry as it is sorted to that of the tree: what is included goes from behind the key to
 * behind the front of the value. */
static int split_entry(struct loading *l, struct base_slice *key, struct base_slice *value,
                       struct base_err *err)
{
    const struct catalog_index *index = l->x->index;
    size_t size;

    if (index->include_count == 0) {
        return 0;
    }
    int rc = row_key_skip(index->key_parts, index->key_part_count, *key, &size, err);
    if (rc != 0) {
        return rc;
    }
    base_buf_clear(&l->value);
    if (!base_buf_add(&l->value, value->data, value->size) ||
        !base_buf_add(&l->value, (const uint8_t *)key->data + size, key->size - size)) {
        return base_err_set(err, INSTAR_ENOMEM, "loading entries: out of memory");
    }
    key->size = size;
    *value = base_buf_slice(&l->value);
    return 0;
}

/* ---- whole rows --------------------------------------------------------------------------- */

/* Rows are not sorted, only their keys: the old one behind the new one. Here each is looked up. Its
 * snapshot is later than that of the scan, and that is as good: a row that has gone by then, or has
 * another key, has done so by an operation that the delta has. */
static int open_rows(struct loading *l, struct base_err *err)
{
    const struct build *b = l->x->build;

    if (l->txn != NULL && os_now_ns() >= l->until_ns) {
        store_txn_abort(l->txn);
        l->txn = NULL;
    }
    if (l->rows == NULL) {
        size_t most = (size_t)store_options(b->store)->row_bytes_max;
        int rc = txn_rows_open(b->table, most, &l->rows, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (l->txn != NULL) {
        return 0;
    }
    int rc = store_txn_begin(b->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &l->txn, err);
    if (rc != 0) {
        l->txn = NULL;
        return rc;
    }
    base_assert(store_txn_lsn(l->txn) >= b->scan_from_lsn);
    l->until_ns = os_now_ns() + SNAPSHOT_NS;
    return 0;
}

static void close_rows(struct loading *l)
{
    store_txn_abort(l->txn);
    l->txn = NULL;
    txn_rows_close(l->rows);
    l->rows = NULL;
}

/* Is it in the tree already, from a runner before? Keys ascend, so those behind one that is not are
 * not, either. */
static bool is_loaded(struct loading *l, struct base_slice key)
{
    const struct checkpoint *ck = l->x->ck;

    l->beyond =
        l->beyond || ck->last.size == 0 || base_slice_cmp(key, gap_key_slice(&ck->last)) > 0;
    return !l->beyond;
}

/* A key that is not greater than the last one. It may come twice, as a row that was read twice. */
static int skip_entry(struct loading *l, struct base_slice key, struct base_err *err)
{
    struct base_slice last;

    base_err_clear(err);
    int rc = store_bulk_last(l->bulk, &last, err);
    if (rc == 0 && !base_slice_eq(key, last)) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "the entries of an index build do not ascend");
    }
    return rc;
}

static int append_entry(struct loading *l, struct base_slice key, struct base_slice value,
                        uint64_t hash, struct base_err *err)
{
    struct checkpoint *ck = l->x->ck;
    int rc = l->bulk == NULL ? begin_batch(l, err) : 0;

    if (rc == 0) {
        rc = store_bulk_append(l->bulk, key, value, hash, err);
    }
    if (rc != 0) {
        return rc == INSTAR_EEXISTS ? skip_entry(l, key, err) : rc;
    }
    ck->entries_loaded++;
    return store_bulk_full(l->bulk) ? end_batch(l, err) : 0;
}

/* Write the rows that were looked up: no row is looked for in a turn of the gate, as that may have
 * to wait for the disk each time. */
static int write_ahead(struct loading *l, struct base_err *err)
{
    const struct base_buf *ahead = &l->ahead;
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < ahead->size;) {
        struct ahead_row row;
        memcpy(&row, ahead->data + at, sizeof(row));
        at += sizeof(row);
        struct base_slice key = base_slice(ahead->data + at, row.key_size);
        at += row.key_size;
        struct base_slice value = base_slice(ahead->data + at, row.value_size);
        at += row.value_size;
        rc = is_loaded(l, key) ? 0 : append_entry(l, key, value, store_entry_hash(key, value), err);
    }
    base_buf_clear(&l->ahead);
    return rc == 0 && l->bulk != NULL ? end_batch(l, err) : rc;
}

/* Between two rows. */
static int look_around(struct loading *l, struct base_err *err)
{
    if (l->looked_up++ % LOOK_EVERY != 0) {
        return 0;
    }
    base_assert(l->bulk == NULL); /* a batch is open only while such rows are written */
    return look(l, err);
}

/* The row of the old key, under the new one; there may be none any more. */
static int look_up_row(struct loading *l, struct base_slice key, struct base_slice old,
                       struct base_err *err)
{
    const struct built *x = l->x;
    struct txn_copy copy = {.key = key, .record = &l->value};
    struct ahead_row row = {.key_size = (uint32_t)key.size};
    struct base_slice record;
    int rc = look_around(l, err);

    rc = rc == 0 ? open_rows(l, err) : rc;
    if (rc == 0) {
        rc = store_txn_get(l->txn, x->build->table->tree, old, STORE_READ_UNTRACKED, &record, err);
    }
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        return 0;
    }
    if (rc == 0) {
        rc = txn_rows_record(l->rows, x->index, old, record, &copy, err);
    }
    if (rc != 0 || copy.moved) {
        return rc;
    }
    row.value_size = l->value.size;
    if (!base_buf_add(&l->ahead, &row, sizeof(row)) ||
        !base_buf_add(&l->ahead, key.data, key.size) ||
        !base_buf_add(&l->ahead, l->value.data, l->value.size)) {
        return base_err_set(err, INSTAR_ENOMEM, "loading rows: out of memory");
    }
    return 0;
}

static int load_row(struct loading *l, struct base_slice entry, struct base_err *err)
{
    const struct catalog_index *index = l->x->index;
    size_t size;
    int rc = row_key_skip(index->key_parts, index->part_count, entry, &size, err);

    if (rc != 0 || is_loaded(l, base_slice(entry.data, size))) {
        return rc;
    }
    rc = look_up_row(l, base_slice(entry.data, size),
                     base_slice((const uint8_t *)entry.data + size, entry.size - size), err);
    return rc == 0 && l->ahead.size >= AHEAD_BYTES ? write_ahead(l, err) : rc;
}

/* A row that was read twice may come with different columns included. Either will do: what was
 * written in between is in the delta. */
static int load_entry(struct loading *l, struct base_slice key, struct base_slice value,
                      struct base_err *err)
{
    if (l->x->index->rows) {
        return load_row(l, key, err);
    }
    int rc = split_entry(l, &key, &value, err);
    return rc != 0 || is_loaded(l, key)
               ? rc
               : append_entry(l, key, value, store_entry_hash(key, value), err);
}

/* ---- from runs and memory ----------------------------------------------------------------- */

static int next_of_runs(struct loading *l, struct base_err *err)
{
    int rc = merge_next(l->runs, &l->run_key, &l->run_value, err);

    if (rc == INSTAR_END) {
        merge_end(l->runs);
        l->runs = NULL;
        rc = 0;
    }
    return rc;
}

/* What the runs have up to a key; NULL: all of it. */
static int load_runs(struct loading *l, const struct base_slice *upto, struct base_err *err)
{
    int rc = 0;

    while (rc == 0 && l->runs != NULL && (upto == NULL || base_slice_cmp(l->run_key, *upto) <= 0)) {
        rc = load_entry(l, l->run_key, l->run_value, err);
        rc = rc == 0 ? next_of_runs(l, err) : rc;
    }
    return rc;
}

static int load_block(void *arg, const struct sort_block *block, struct base_err *err)
{
    struct loading *l = arg;
    struct base_slice key;
    struct base_slice value;
    bool bad = false;
    int rc = 0;

    for (size_t at = 0, n = 0;
         rc == 0 && sort_block_next(block->data, block->size, &at, &key, &value, &bad); n++) {
        rc = load_runs(l, &key, err);
        if (rc == 0 && block->hashes == NULL) {
            rc = load_entry(l, key, value, err);
        } else if (rc == 0 && !is_loaded(l, key)) {
            rc = append_entry(l, key, value, block->hashes[n], err);
        }
    }
    base_assert(!bad);
    return rc;
}

void load_entry_value(void *arg, struct base_slice key, uint8_t value[SORT_VALUE_SIZE])
{
    const struct built *x = arg;
    struct base_slice include = base_slice("", 0);
    size_t size = key.size;

    if (x->index->rows) { /* looked up when it is loaded */
        memset(value, 0, SORT_VALUE_SIZE);
        return;
    }
    _Static_assert(SORT_VALUE_SIZE == ROW_ENTRY_SIZE, "the value is the front of an index entry's");
    if (x->index->include_count > 0) {
        int rc = row_key_skip(x->index->key_parts, x->index->key_part_count, key, &size, NULL);
        base_assert(rc == 0); /* we made it */
        include = base_slice((const uint8_t *)key.data + size, key.size - size);
    }
    row_entry_encode(x->build->table->version, base_slice(key.data, size), include, value);
}

static int load_memory(struct loading *l, struct base_err *err)
{
    struct build *b = l->x->build;
    struct drain d = {.pool = &b->pool,
                      .streams = l->x->streams,
                      .stream_count = b->workers,
                      .workers = b->workers,
                      .budget_bytes = b->budget_bytes,
                      .value = load_entry_value,
                      .value_arg = l->x,
                      .hash = is_as_sorted(l->x->index) ? store_entry_hash : NULL,
                      .consume = load_block,
                      .consume_arg = l,
                      .poll = job_poll,
                      .poll_arg = b->job,
                      .breathe = build_breathe,
                      .breathe_arg = b};

    return drain_run(&d, err);
}

/* What was spilled, and among it what is in memory. */
static int load_merged(struct loading *l, struct base_err *err)
{
    struct checkpoint *ck = l->x->ck;
    struct run_reader readers[CHECKPOINT_RUNS_MAX];
    bool ok;
    int rc = spill_open(l->x, readers, &ok, err);

    if (rc != 0 || !ok) {
        return rc != 0 ? rc
                       : base_err_set(err, INSTAR_ECORRUPT,
                                      "a sorted run of the index build "
                                      "is gone");
    }
    rc = merge_begin(readers, ck->run_count, &l->runs, err);
    rc = rc == 0 ? next_of_runs(l, err) : rc;
    if (rc == 0 && built_gathered(l->x) != 0) {
        rc = load_memory(l, err);
    }
    rc = rc == 0 ? load_runs(l, NULL, err) : rc;
    merge_end(l->runs);
    l->runs = NULL;
    spill_close(readers, ck->run_count);
    return rc;
}

static int load_index(struct built *x, struct base_err *err)
{
    struct loading l = {.x = x};
    int rc = x->ck->run_count > 0 ? load_merged(&l, err) : load_memory(&l, err);

    rc = rc == 0 ? write_ahead(&l, err) : rc;
    if (rc == 0) {
        /* The last batch says that only the delta is left. */
        x->ck->loaded = true;
        x->ck->gap_count = 0;
        x->ck->rows_done = x->build->rows_total;
        base_assert(l.bulk == NULL); /* write_ahead has ended it */
        rc = load_checkpoint(x, err);
    } else if (rc == INSTAR_ECORRUPT && x->ck->run_count > 0) {
        base_err_prefix(err, "building index %s", catalog_index_called(x->build->table, x->index));
    }
    store_bulk_abort(l.bulk);
    close_rows(&l);
    base_buf_free(&l.ahead);
    base_buf_free(&l.value);
    return rc;
}

/* Entries in memory and in runs. */
static uint64_t gathered(const struct built *x)
{
    uint64_t entries = built_gathered(x);

    for (size_t i = 0; i < x->ck->run_count; i++) {
        entries += x->ck->runs[i].run.entries;
    }
    return entries;
}

int load_run(struct build *b, struct base_err *err)
{
    int rc = 0;

    b->entries_total = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct built *x = &b->all[i];
        b->entries_total += x->ck->loaded ? x->ck->entries_loaded : gathered(x);
    }
    job_show_stage(b->job, "load");
    show_entries(b);
    for (size_t i = 0; rc == 0 && i < b->count; i++) {
        if (!b->all[i].ck->loaded) {
            rc = load_index(&b->all[i], err);
        }
    }
    if (rc == 0) {
        show_entries(b);
        os_point("build.loaded");
    }
    return rc;
}
