/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vacuum: one pass over a table that rewrites the rows of older layouts into the newest one.
 *
 *     drain ----------> rewrite ---------------------> rewritten ---> without old layouts
 *     nobody writes     batch by batch, in the order
 *     an older one      of the keys
 *
 * Why no old row is left: all writers write the newest layout from the drain on, and the table has
 * no other change meanwhile (CHANGE-4). So a row behind the place to which the pass has come, or
 * one that was written since, is of the newest layout; and the place only moves with the commit
 * that rewrote all before it.
 *
 * Why no row is lost: a batch is a transaction as all others. It writes what it read at its own
 * snapshot, and fails when somebody has written one of its rows since; then it is tried again, of
 * fewer rows, and finds that row written. The values stay as they are, so no index has to do with
 * it. Whoever has lost its claim fails as well (CHANGE-1).
 *
 * The place stands in the record and moves in the transaction of the batch: the next runner goes on
 * there. Batches that find nothing to do are not committed; so now and then the place is written
 * alone.
 */
#include "change/build_impl.h"
#include "change/edit_impl.h"

#include <stdio.h>

#define NS_PER_S 1000000000u
#define LOOK_ROWS 2048          /* in one batch, of which */
#define WRITE_ROWS 256          /* so many are written at most, */
#define WRITE_BYTES (96u << 10) /* or so much */
#define CHECKPOINT_ROWS 100000  /* that were looked at since the last commit */
#define RESERVE_AFTER 4         /* losses */
#define LOOK_NS 50000000u

struct pass {
    struct job *j;
    struct catalog_table *table;
    struct txn_rows *rows;
    struct limit limit;
    struct job_breath breath;
    struct gap_key place; /* the last key that is done; size 0: none */
    bool begun;
    struct base_buf record;
    uint64_t looked;      /* rows, in all */
    uint64_t uncommitted; /* of them, since the place was written */
    uint64_t total;
    uint32_t write_rows; /* as things stand */
    unsigned losses;     /* in a row */
};

/* ---- one batch ---------------------------------------------------------------------------- */

struct batch {
    struct store_txn *t;
    uint32_t looked;
    uint32_t written;
    size_t bytes;
    bool end;
    struct gap_key last;
};

static int look_at(struct pass *p, struct batch *b, struct base_slice key, struct base_slice record,
                   struct base_err *err)
{
    bool old;

    base_buf_clear(&p->record);
    int rc = txn_rows_rewrite(p->rows, key, record, &old, &p->record, err);
    /* Copied before the write, which may move what the cursor gave. */
    gap_key_set(&b->last, key);
    if (rc == 0 && old) {
        rc = store_txn_put(b->t, p->table->tree, gap_key_slice(&b->last),
                           base_buf_slice(&p->record), err);
        b->written++;
        b->bytes += key.size + p->record.size;
    }
    b->looked++;
    return rc;
}

/* Does one more row of this size fit into the transaction, beside the record? */
static bool has_room(const struct pass *p, const struct batch *b)
{
    size_t row = (size_t)store_options(p->j->store)->row_bytes_max + STORE_KEY_MAX;

    return b->written == 0 ||
           (b->written < p->write_rows && b->bytes < WRITE_BYTES &&
            store_txn_room(b->t, row + RECORD_STATEMENT_MAX + RECORD_REASON_MAX + 4096, 8));
}

static int read_rows(struct pass *p, struct batch *b, uint32_t most, struct base_err *err)
{
    uint8_t lower[STORE_KEY_MAX + 1];
    struct store_range range = {.reverse = false};
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice record;

    if (p->begun) { /* behind it: the key with a zero byte */
        memcpy(lower, p->place.bytes, p->place.size);
        lower[p->place.size] = 0;
        range.lower = base_slice(lower, p->place.size + 1u);
    }
    int rc = store_cursor_open(b->t, p->table->tree, &range, STORE_READ_UNTRACKED, &cursor, err);
    while (rc == 0 && b->looked < most && has_room(p, b)) {
        rc = store_cursor_next(cursor, &key, &record, err);
        if (rc == INSTAR_END) {
            b->end = true;
            rc = 0;
            break;
        }
        rc = rc == 0 ? look_at(p, b, key, record, err) : rc;
    }
    store_cursor_close(cursor);
    return rc;
}

/* Write the place and commit, where there is anything to write; the last batch is the step's. */
static int end_batch(struct pass *p, struct batch *b, struct base_err *err)
{
    struct job *j = p->j;
    bool others = store_tail(j->store) != p->breath.store.tail;
    uint64_t worked = os_now_ns() - p->breath.store.since_ns;
    uint64_t uncommitted = p->uncommitted + b->looked;

    if (!b->end && b->written == 0 && uncommitted < CHECKPOINT_ROWS) {
        store_txn_abort(b->t);
        p->uncommitted = uncommitted;
        return 0;
    }
    base_buf_clear(&j->rec.descriptor);
    if (!b->end && !base_buf_add(&j->rec.descriptor, b->last.bytes, b->last.size)) {
        store_txn_abort(b->t);
        return base_err_set(err, INSTAR_ENOMEM, "vacuum: out of memory");
    }
    j->rec.rows = p->looked + b->looked;
    if (b->end) {
        job_advance(j);
    }
    int rc = job_commit(j, b->t, err);
    if (rc == 0) {
        p->uncommitted = 0;
        os_point("vacuum.batch");
        if (!others) { /* our own commit is no reason to stand back, */
            p->breath.store.tail = store_tail(j->store);
        }
        p->breath.store.since_ns = os_now_ns() - worked; /* and waiting for its flush was no work */
    }
    return rc;
}

static int run_batch(struct pass *p, uint32_t most, bool *end_out, struct base_err *err)
{
    struct batch b = {.looked = 0};
    int rc = job_begin_rows(p->j, p->losses > RESERVE_AFTER, &b.t, err);

    if (rc != 0) {
        return rc;
    }
    base_assert(store_txn_lsn(b.t) >= p->j->token); /* the drain is behind it */
    p->breath.store.since_ns = os_now_ns();
    p->breath.store.tail = store_tail(p->j->store);
    rc = read_rows(p, &b, most, err);
    if (rc != 0) {
        store_txn_abort(b.t);
        return rc;
    }
    os_point("vacuum.read");
    rc = end_batch(p, &b, err);
    if (rc == INSTAR_ECONFLICT || rc == INSTAR_ESNAPSHOT_TOO_OLD) {
        p->losses++;
        p->write_rows = p->write_rows > 1 ? p->write_rows / 2 : 1;
        return rc;
    }
    if (rc == 0) {
        p->losses = 0;
        p->write_rows = p->write_rows < WRITE_ROWS ? p->write_rows * 2 : WRITE_ROWS;
        p->looked += b.looked;
        if (b.looked != 0) {
            p->place = b.last;
            p->begun = true;
        }
        *end_out = b.end;
    }
    return rc;
}

/* ---- the pass ----------------------------------------------------------------------------- */

/* Until the limit grants the batch, or is another one. */
static int take_turn(struct pass *p, uint32_t rows, struct base_err *err)
{
    struct job *j = p->j;
    uint64_t now = os_now_ns();
    uint64_t until = now + limit_take(&p->limit, now, rows);
    uint64_t rate = atomic_load(&p->limit.rate);
    int rc = 0;

    while (rc == 0 && now < until && rate == job_rate(j)) {
        uint64_t left = until - now;
        rc = job_wait(j, STORE_EVENT_CHANGE, j->event_seen, left < LOOK_NS ? left : LOOK_NS, err);
        rc = rc == 0 ? job_stand_still(j, err) : rc;
        now = os_now_ns();
    }
    return rc;
}

static int run_pass(struct pass *p, struct base_err *err)
{
    struct job *j = p->j;
    bool end = false;
    int rc = 0;

    while (rc == 0 && !end) {
        rc = job_stand_still(j, err);
        limit_set(&p->limit, job_rate(j));
        uint32_t most = atomic_load(&p->limit.rate) != 0 ? limit_batch(&p->limit) : LOOK_ROWS;
        rc = rc == 0 ? take_turn(p, most, err) : rc;
        rc = rc == 0 ? run_batch(p, most, &end, err) : rc;
        if (rc == INSTAR_ECONFLICT || rc == INSTAR_ESNAPSHOT_TOO_OLD) {
            base_err_clear(err);
            rc = job_poll(j, err);
            continue;
        }
        if (rc == 0 && !end) {
            job_show_throttle(j, job_breathe(j, &p->breath) != 0);
        }
        job_show_rows(j, p->looked, p->total);
    }
    return rc;
}

/* The table as it stands, and where the pass has come to. */
static int open_pass(struct pass *p, struct base_err *err)
{
    struct job *j = p->j;
    struct store_tree_stat stat;
    struct store_txn *t;
    int rc = job_begin(j, &t, err);

    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(t, j->rec.table, &p->table, err);
    store_txn_abort(t);
    if (rc == 0 && j->rec.descriptor.size > STORE_KEY_MAX) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "change %llu: a place of %zu bytes",
                          (unsigned long long)j->id, j->rec.descriptor.size);
    }
    if (rc == 0 && j->rec.descriptor.size != 0) {
        gap_key_set(&p->place, base_buf_slice(&j->rec.descriptor));
        p->begun = true;
    }
    if (rc == 0) {
        p->looked = j->rec.rows;
        rc = store_tree_stat(j->store, p->table->tree, &stat, err);
    }
    if (rc == 0) {
        p->total = stat.entries;
        job_set_row_bytes(j, &stat);
        rc = txn_rows_open(p->table, (size_t)store_options(j->store)->row_bytes_max, &p->rows, err);
    }
    return rc;
}

int vacuum_rewrite(struct job *j, struct base_err *err)
{
    struct pass *p = base_alloc_zero(1, sizeof(*p));

    if (p == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "vacuum: out of memory");
    }
    p->j = j;
    p->write_rows = WRITE_ROWS;
    limit_init(&p->limit, job_rate(j));
    int rc = open_pass(p, err);
    if (rc == 0) {
        rc = run_pass(p, err);
    }
    txn_rows_close(p->rows);
    catalog_table_free(p->table);
    limit_destroy(&p->limit);
    base_buf_free(&p->record);
    base_free(p);
    return rc;
}

/* ---- before and after --------------------------------------------------------------------- */

int vacuum_begin(struct job *j, struct base_err *err)
{
    struct edit e;
    int rc = edit_begin(&e, j, err);

    if (rc == 0) {
        rc = edit_open(&e, err);
    }
    if (rc != 0) {
        return edit_publish(&e, rc, err);
    }
    j->rec.version = e.now->version;
    edit_free(&e);
    job_advance(j);
    return step_publish(
        j, e.t, &(struct lease_publication){.table = j->rec.table, .drained_below = j->rec.version},
        e.seen, err);
}

int vacuum_prune(struct job *j, struct base_err *err)
{
    struct edit e;
    int rc = edit_begin(&e, j, err);

    if (rc == 0) {
        rc = edit_open(&e, err);
    }
    if (rc == 0 && e.now->version != j->rec.version) {
        rc = base_err_set(err, INSTAR_ESTATE,
                          "table %s has another version since its rows were "
                          "rewritten",
                          e.now->name);
    }
    bool any = rc == 0 && catalog_has_old_layouts(e.now);
    if (any) {
        rc = catalog_table_copy(e.now, &e.next, err);
    }
    if (e.next != NULL) {
        rc = catalog_prune_layouts(e.next, err);
    }
    return edit_publish(&e, rc, err);
}
