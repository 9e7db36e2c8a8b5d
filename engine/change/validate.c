/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for duplicates in a unique index that writers already enforce: neighbours in the tree
 * whose own columns are equal. From the drain on no commit adds one; so what is found was there
 * before.
 *
 * Each group of equal prefixes is read at one snapshot (over two it could show two rows of which
 * only one existed at a time). So a snapshot is renewed only where a group ends, and the index is
 * divided among workers only between prefixes. Prefixes that hold a null are no duplicates.
 */
#include "change/build_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000u
#define SNAPSHOT_NS ((uint64_t)NS_PER_S)
#define LOOK_NS ((uint64_t)NS_PER_S / 20) /* how long a worker may miss that it may go on */
#define BATCH 1024
#define SAMPLES_MAX 10
#define SAMPLE_ROWS 3 /* rows that are named of each key */
#define ENTRIES_PER_WORKER 50000u

/* One key that occurs more than once. */
struct sample {
    struct gap_key prefix;
    struct gap_key rows[SAMPLE_ROWS]; /* primary keys */
    uint64_t count;
};
struct validation {
    struct job *job;
    struct store *store;
    struct catalog_table *table;
    uint32_t index_id;
    const struct catalog_index *index;
    uint64_t from_lsn;
    struct gaps *gaps;
    _Atomic bool halt;
    _Atomic uint64_t entries;
    uint64_t total;
    struct os_plain_mutex lock;
    uint64_t duplicates;
    struct sample samples[SAMPLES_MAX]; /* the first ones, in order */
    size_t sample_count;
};
struct checker {
    struct validation *v;
    unsigned number;
    struct gap *gap;
    struct store_txn *txn;
    struct store_cursor *cursor;
    uint64_t until_ns;
    bool any;            /* a prefix has been read */
    bool null;           /* it holds a null */
    struct sample group; /* the prefix at hand, and its first rows */
};

/* ---- what was found ----------------------------------------------------------------------- */

/* A group has ended. */
static void end_group(struct checker *c)
{
    struct validation *v = c->v;

    if (!c->any || c->null || c->group.count < 2) {
        return;
    }
    os_plain_lock(&v->lock);
    v->duplicates++;
    size_t at = v->sample_count;
    while (at > 0 && base_slice_cmp(gap_key_slice(&c->group.prefix),
                                    gap_key_slice(&v->samples[at - 1].prefix)) < 0) {
        at--;
    }
    if (at < SAMPLES_MAX) {
        size_t last = v->sample_count < SAMPLES_MAX ? v->sample_count++ : SAMPLES_MAX - 1;
        memmove(&v->samples[at + 1], &v->samples[at], (last - at) * sizeof(v->samples[0]));
        v->samples[at] = c->group;
    }
    os_plain_unlock(&v->lock);
}

static int read_entry(struct checker *c, struct base_slice key, struct base_err *err)
{
    const struct catalog_index *index = c->v->index;
    struct sample *g = &c->group;
    size_t size;
    int rc = row_key_skip(index->key_parts, index->part_count, key, &size, err);

    if (rc != 0) {
        return base_err_prefix(err, "index %s of table %s",
                               catalog_index_called(c->v->table, index), c->v->table->name);
    }
    struct base_slice prefix = base_slice(key.data, size);
    if (!c->any || !base_slice_eq(prefix, gap_key_slice(&g->prefix))) {
        end_group(c);
        c->any = true;
        c->null = row_key_has_null(index->key_parts, index->part_count, key);
        gap_key_set(&g->prefix, prefix);
        g->count = 0;
    }
    if (g->count < SAMPLE_ROWS) {
        gap_key_set(&g->rows[g->count],
                    base_slice((const uint8_t *)key.data + size, key.size - size));
    }
    g->count++;
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

static void halt(void *arg)
{
    struct validation *v = arg;

    atomic_store(&v->halt, true);
    gaps_stop(v->gaps);
}

static void close_snapshot(struct checker *c)
{
    store_cursor_close(c->cursor);
    store_txn_abort(c->txn);
    c->txn = NULL;
    c->cursor = NULL;
}

static int open_cursor(struct store_txn *t, const struct validation *v, struct base_slice lower,
                       struct base_slice upper, struct store_cursor **cursor_out,
                       struct base_err *err)
{
    struct store_range range = {.lower = lower, .upper = upper};

    return store_cursor_open(t, v->index->tree, &range, STORE_READ_UNTRACKED, cursor_out, err);
}

static int open_snapshot(struct checker *c, struct base_err *err)
{
    struct gap *g = c->gap;
    int rc = store_txn_begin(c->v->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &c->txn, err);

    if (rc != 0) {
        c->txn = NULL;
        return rc;
    }
    base_assert(store_txn_lsn(c->txn) >= c->v->from_lsn);
    rc = open_cursor(c->txn, c->v, gap_key_slice(&g->lower),
                     g->endless ? base_slice(NULL, 0) : gap_key_slice(&g->upper), &c->cursor, err);
    if (rc != 0) {
        store_txn_abort(c->txn);
        c->txn = NULL;
    }
    c->until_ns = os_now_ns() + SNAPSHOT_NS;
    c->any = false;
    os_point("validate.snapshot");
    return rc;
}

/* Give away what is left from about the middle on, cut between two prefixes. */
static int share(struct checker *c, bool *shared_out, struct base_err *err)
{
    struct validation *v = c->v;
    struct gap *g = c->gap;
    struct base_slice upper = g->endless ? gap_key_slice(&v->gaps->hint) : gap_key_slice(&g->upper);
    struct gap_key middle;
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice value;
    size_t size;

    *shared_out = false;
    if (!gaps_wanted(v->gaps) || !gap_middle(gap_key_slice(&c->group.prefix), upper, &middle)) {
        return 0;
    }
    int rc = open_cursor(c->txn, v, gap_key_slice(&middle), upper, &cursor, err);
    if (rc != 0) {
        return rc;
    }
    rc = store_cursor_next(cursor, &key, &value, err);
    if (rc == 0) {
        rc = row_key_skip(v->index->key_parts, v->index->part_count, key, &size, err);
    }
    if (rc == 0) {
        gap_key_set(&middle, base_slice(key.data, size));
    }
    store_cursor_close(cursor);
    if (rc == 0 && base_slice_cmp(gap_key_slice(&middle), gap_key_slice(&c->group.prefix)) > 0 &&
        base_slice_cmp(gap_key_slice(&middle), upper) < 0) {
        gaps_split(v->gaps, c->number, &middle);
        *shared_out = true;
    }
    return rc == INSTAR_END ? 0 : rc;
}

/* Stop in front of the group at hand: the next snapshot reads it from its beginning. Not possible
 * while nothing but it has been read. */
static bool step_back(struct checker *c)
{
    struct gap *g = c->gap;

    if (!c->any || base_slice_cmp(gap_key_slice(&c->group.prefix), gap_key_slice(&g->lower)) <= 0) {
        return false;
    }
    g->lower = c->group.prefix;
    return true;
}

static int read_batch(struct checker *c, struct base_err *err)
{
    struct base_slice key;
    struct base_slice value;
    uint64_t entries = 0;
    int rc = 0;

    while (entries < BATCH && (rc = store_cursor_next(c->cursor, &key, &value, err)) == 0) {
        rc = read_entry(c, key, err);
        if (rc != 0) {
            break;
        }
        entries++;
    }
    atomic_fetch_add_explicit(&c->v->entries, entries, memory_order_relaxed);
    return rc;
}

/* A worker, while the change is paused. The crew's own thread notices when it is not any more. */
static void stand_still(const struct validation *v)
{
    while (job_is_steered(v->job, INSTAR_CHANGE_PAUSE) &&
           !atomic_load_explicit(&v->halt, memory_order_relaxed)) {
        store_event_wait(v->store, STORE_EVENT_CHANGE,
                         store_event_seen(v->store, STORE_EVENT_CHANGE), LOOK_NS);
    }
}

/* One interval. */
static int read_gap(struct checker *c, struct base_err *err)
{
    int rc = 0;

    while (rc == 0 && !atomic_load_explicit(&c->v->halt, memory_order_relaxed)) {
        bool renew = false;
        stand_still(c->v);
        rc = open_snapshot(c, err);
        while (rc == 0 && !renew && !atomic_load_explicit(&c->v->halt, memory_order_relaxed)) {
            rc = read_batch(c, err);
            if (rc == 0) {
                bool old =
                    os_now_ns() >= c->until_ns || job_is_steered(c->v->job, INSTAR_CHANGE_PAUSE);
                renew = old && step_back(c);
            }
            if (rc == 0 && !renew && gaps_wanted(c->v->gaps)) {
                bool shared = false;
                rc = share(c, &shared, err);
                renew = shared && step_back(c);
                /* If it cannot step back it has read one group only: the cursor's old end is
                 * beyond the new one, and must not be reached. */
                if (shared && !renew) {
                    c->gap->lower = c->group.prefix;
                    renew = true;
                }
            }
        }
        if (rc == INSTAR_END) {
            end_group(c);
        }
        close_snapshot(c);
    }
    return rc;
}

static int work(void *arg, unsigned worker, struct base_err *err)
{
    struct checker c = {.v = arg, .number = worker};
    struct validation *v = c.v;
    int rc = 0;

    while (rc == 0 && (c.gap = gaps_take(v->gaps, worker)) != NULL) {
        rc = read_gap(&c, err);
        gaps_release(v->gaps, worker, rc == INSTAR_END);
        rc = rc == INSTAR_END ? 0 : rc;
    }
    return rc;
}

static int poll(void *arg, struct base_err *err)
{
    struct validation *v = arg;

    job_show_rows(v->job, atomic_load(&v->entries), v->total);
    job_show_paused(v->job);
    return job_poll(v->job, err);
}

/* ---- begin and verdict -------------------------------------------------------------------- */

static int begin(struct validation *v, struct base_err *err)
{
    struct store_range range = {.reverse = true};
    struct store_txn *t;
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice value;
    struct store_tree_stat stat;
    int rc = store_txn_begin(v->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);

    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(t, job_table(v->job), &v->table, err);
    if (rc == 0) {
        v->index = catalog_table_index_by_id(v->table, v->index_id);
        /* It was there a moment ago, and is, unless the claim is lost. */
        rc = v->index != NULL
                 ? store_cursor_open(t, v->index->tree, &range, STORE_READ_UNTRACKED, &cursor, err)
                 : base_err_set(err, INSTAR_ESTATE,
                                "change %llu has no unique index %u in table %s by now",
                                (unsigned long long)v->job->id, v->index_id, v->table->name);
    }
    if (rc == 0) {
        rc = store_cursor_next(cursor, &key, &value, err);
        if (rc == 0) {
            gap_key_set(&v->gaps->hint, key);
        }
        rc = rc == INSTAR_END ? 0 : rc;
        store_cursor_close(cursor);
    }
    store_txn_abort(t);
    if (rc == 0) {
        rc = store_tree_stat(v->store, v->index->tree, &stat, err);
    }
    if (rc == 0) {
        v->total = stat.entries;
        gaps_add(v->gaps, &(struct gap){.endless = true});
    }
    return rc;
}

static void describe_sample(const struct validation *v, const struct sample *s,
                            struct base_buf *out)
{
    char more[64];
    uint8_t key[2 * STORE_KEY_MAX];
    size_t shown = s->count < SAMPLE_ROWS ? (size_t)s->count : SAMPLE_ROWS;

    memcpy(key, s->prefix.bytes, s->prefix.size);
    memcpy(key + s->prefix.size, s->rows[0].bytes, s->rows[0].size);
    txn_describe_entry(v->table, v->index,
                       base_slice(key, (size_t)s->prefix.size + s->rows[0].size), out);
    for (size_t i = 1; i < shown; i++) {
        base_buf_add(out, ", row ", 6);
        txn_describe_key(v->table, gap_key_slice(&s->rows[i]), out);
    }
    if (s->count > shown) {
        int n =
            snprintf(more, sizeof(more), " and %llu more", (unsigned long long)(s->count - shown));
        base_buf_add(out, more, (size_t)n);
    }
}

/* The same for programs, a sample for each row. */
static void note_sample(const struct validation *v, const struct sample *s)
{
    size_t shown = s->count < SAMPLE_ROWS ? (size_t)s->count : SAMPLE_ROWS;
    struct base_buf key = {0};

    txn_describe_prefix(v->table, v->index, gap_key_slice(&s->prefix), &key);
    for (size_t i = 0; i < shown; i++) {
        struct base_buf row = {0};
        txn_describe_key(v->table, gap_key_slice(&s->rows[i]), &row);
        failure_add(&v->job->failure, INSTAR_FAILURE_UNIQUE,
                    catalog_index_called(v->table, v->index), &key, &row);
        base_buf_free(&row);
    }
    base_buf_free(&key);
}

static int verdict(struct validation *v, struct base_err *err)
{
    struct change_record *r = &v->job->rec;
    struct base_buf text = {0};
    char head[256];

    if (v->duplicates == 0) {
        return 0;
    }
    int n = snprintf(head, sizeof(head), "unique index %s of table %s: %llu key%s more than once: ",
                     catalog_index_called(v->table, v->index), v->table->name,
                     (unsigned long long)v->duplicates, v->duplicates == 1 ? " occurs" : "s occur");
    bool room = base_buf_add(&text, head, (size_t)n);
    for (size_t i = 0; i < v->sample_count; i++) {
        note_sample(v, &v->samples[i]);
        if (room) {
            base_buf_add(&text, "; ", i == 0 ? 0 : 2);
            describe_sample(v, &v->samples[i], &text);
        }
    }
    if (room && v->duplicates > v->sample_count) {
        base_buf_add(&text, "; …", strlen("; …"));
    }
    /* Without memory it says what and how many, if not which. */
    record_cut(room ? base_buf_slice(&text) : base_slice(head, (size_t)n), r->reason,
               sizeof(r->reason));
    r->duplicate_count = v->duplicates;
    base_buf_free(&text);
    return base_err_set(err, INSTAR_EUNIQUE, "%s", r->reason);
}

static int validate_index(struct job *j, uint32_t index, struct base_err *err)
{
    struct validation *v = base_alloc_zero(1, sizeof(*v));
    struct gaps *gaps = base_alloc(sizeof(*gaps));

    if (v == NULL || gaps == NULL) {
        base_free(v);
        base_free(gaps);
        return base_err_set(err, INSTAR_ENOMEM, "validating: out of memory");
    }
    gaps_init(gaps);
    os_plain_init(&v->lock);
    v->job = j;
    v->index_id = index;
    v->store = j->store;
    v->from_lsn = j->lsn;
    v->gaps = gaps;
    int rc = begin(v, err);
    if (rc == 0) {
        struct crew crew = {.workers = crew_workers(j, v->total / ENTRIES_PER_WORKER + 1),
                            .name = "instar-validate",
                            .work = work,
                            .halt = halt,
                            .poll = poll,
                            .arg = v};
        rc = crew_run(&crew, err);
    }
    if (rc == 0) {
        job_show_rows(j, atomic_load(&v->entries), v->total);
        rc = verdict(v, err);
    }
    os_plain_destroy(&v->lock);
    gaps_destroy(gaps);
    base_free(gaps);
    catalog_table_free(v->table);
    base_free(v);
    return rc;
}

/* The rows by the new key, where the primary key changes; NULL: there are none yet. */
static const struct catalog_index *rows_of(const struct catalog_table *table, uint64_t change)
{
    for (uint32_t i = 0; i < table->index_count; i++) {
        if (table->indexes[i].rows && table->indexes[i].change == change) {
            return &table->indexes[i];
        }
    }
    return NULL;
}

/* The unique indexes that the change makes. Where there are rows by a new key their witness was
 * looked at before. */
static int list_indexes(struct job *j, uint32_t ids[CATALOG_INDEXES_MAX], size_t *count_out,
                        struct base_err *err)
{
    struct catalog_table *table = NULL;
    struct store_txn *t;
    int rc = store_txn_begin(j->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);

    *count_out = 0;
    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(t, job_table(j), &table, err);
    store_txn_abort(t);
    const struct catalog_index *rows = rc == 0 ? rows_of(table, j->id) : NULL;
    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        bool seen = rows != NULL && index->keyed_by != rows->id;
        if (index->change == j->id && catalog_must_probe(index) && !seen) {
            ids[(*count_out)++] = index->id;
        }
    }
    catalog_table_free(table);
    return rc;
}

int validate_run(struct job *j, struct base_err *err)
{
    uint32_t ids[CATALOG_INDEXES_MAX];
    size_t count;
    int rc = list_indexes(j, ids, &count, err);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = validate_index(j, ids[i], err);
    }
    return rc;
}
