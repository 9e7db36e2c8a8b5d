/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building an index, between the cut and the fold-end:
 *
 *     claim --> scan <--> spill --> load --> fold --> settle        then the fold-end record
 *       |         (memory full,      ^         ^
 *       |          now and then)     |         |
 *       +-- checkpoint: gaps left ---+         |
 *       +-- checkpoint: all in runs -+         |
 *       +-- checkpoint: all loaded ------------+
 *
 * Why it is right. Every operation after the cut is in the delta, deletes included, and the delta
 * is folded over what was loaded. So whatever snapshot after the cut a row was read at, and however
 * often, its entry ends as the newest operation left it. What must hold is only BUILD-1: nothing is
 * left out; the checkpoint is written in the transaction of what it describes.
 *
 * The scan feeds all indexes of the change; they are loaded one after the other.
 *
 * A build that is over in two seconds gathers all in memory and loads it; if its runner dies it is
 * simply scanned again, and loading goes on behind the last key in the tree. A longer one writes
 * what it has into a run every two seconds.
 */
#include "change/build_impl.h"

#include <stdio.h>
#include <string.h>

/* One worker for so many rows: a thread for a few rows costs more than it brings. */
#define ROWS_PER_WORKER 20000u
/* Folding ends when so little is left, or when writers add about as fast as it takes: the rest is
 * folded at fold-end, with what the applier has not read of the log by then. */
#define FOLD_ENOUGH 50000u
#define FOLD_ROUNDS_MAX 20
#define RUNS_BESIDE_MEMORY 8 /* whose blocks take a sixteenth of the memory at most */
/* A build gets at least this, however much others have taken. */
#define SORT_MEMORY_MIN ((uint64_t)1 << 20)
#define WAIT_CLAIM_NS 100000000u

/* ---- memory ------------------------------------------------------------------------------- */

/* All builds of a process share the store's option: the first gets all it asks for, those beside it
 * what is left, and spill the more. */
static uint64_t take_memory(struct changes *c, uint64_t wanted)
{
    os_plain_lock(&c->lock);
    uint64_t most = store_options(c->store)->sort_memory_bytes;
    uint64_t taken = wanted != 0 && wanted < most ? wanted : most;
    taken = taken < c->sort_memory_left ? taken : c->sort_memory_left;
    taken = taken < SORT_MEMORY_MIN ? SORT_MEMORY_MIN : taken;
    c->sort_memory_left -= taken < c->sort_memory_left ? taken : c->sort_memory_left;
    os_plain_unlock(&c->lock);
    return taken;
}

static void give_memory(struct changes *c, uint64_t taken)
{
    os_plain_lock(&c->lock);
    uint64_t most = store_options(c->store)->sort_memory_bytes;
    c->sort_memory_left += taken;
    c->sort_memory_left = c->sort_memory_left < most ? c->sort_memory_left : most;
    os_plain_unlock(&c->lock);
}

/* ---- begin -------------------------------------------------------------------------------- */

/* One that is enforced was built before. */
static bool is_built_now(const struct catalog_index *index, uint64_t change)
{
    return index->change == change && !index->enforcing;
}

bool build_is_needed(const struct catalog_table *table, uint64_t change)
{
    bool any = false;

    for (uint32_t i = 0; i < table->index_count; i++) {
        any = any || is_built_now(&table->indexes[i], change);
    }
    return any;
}

int build_tree_ops(struct store_txn *t, const struct catalog_table *table, uint64_t change,
                   enum store_tree_op op, struct base_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        if (is_built_now(&table->indexes[i], change)) {
            rc = store_txn_tree_op(t, op, table->indexes[i].tree, err);
        }
    }
    return rc;
}

/* The indexes of the table that this change is making, each with its room. */
static int find_indexes(struct build *b, struct base_err *err)
{
    const struct catalog_table *table = b->table;

    b->all = base_alloc_zero(table->index_count + 1, sizeof(*b->all));
    if (b->all == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "index build: out of memory");
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        if (!is_built_now(index, b->job->rec.id)) {
            continue;
        }
        struct built *x = &b->all[b->count++];
        x->build = b;
        x->index = index;
        x->tree = index->tree;
        x->ck = base_alloc_zero(1, sizeof(*x->ck));
        x->streams = base_alloc_zero(GAPS_WORKERS_MAX, sizeof(*x->streams));
        if (x->ck == NULL || x->streams == NULL) {
            return base_err_set(err, INSTAR_ENOMEM, "index build: out of memory");
        }
    }
    /* Who has lost the claim may find that another one has built them: this one has no tree. */
    return b->count > 0 ? 0
                        : base_err_set(err, INSTAR_ESTATE,
                                       "change %llu has no index to build in table %s by now",
                                       (unsigned long long)b->job->id, table->name);
}

/* The table as this change published it last, and about how many rows there are. A later version
 * says that the claim is lost: then the trees are in other hands, which store_build_claim finds. */
static int read_table(struct build *b, struct base_err *err)
{
    struct job *j = b->job;
    struct store_txn *t;
    struct store_tree_stat stat;
    int rc = store_txn_begin(b->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);

    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(t, job_table(j), &b->table, err);
    store_txn_abort(t);
    if (rc == 0) {
        rc = find_indexes(b, err);
    }
    if (rc == 0) {
        rc = store_tree_guess(b->store, b->table->tree, &stat, err);
    }
    if (rc == 0) {
        b->rows_total = stat.entries;
        job_set_row_bytes(j, &stat);
        limit_set(&b->limit, job_rate(j));
    }
    return rc;
}

/* The last key of the table, for splitting what has no end. */
static int read_hint(struct build *b, struct base_err *err)
{
    struct store_range range = {.reverse = true};
    struct store_txn *t;
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice value;
    int rc = store_txn_begin(b->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);

    if (rc != 0) {
        return rc;
    }
    rc = store_cursor_open(t, b->table->tree, &range, STORE_READ_UNTRACKED, &cursor, err);
    if (rc == 0) {
        rc = store_cursor_next(cursor, &key, &value, err);
        if (rc == 0) {
            gap_key_set(&b->gaps->hint, key);
        }
        store_cursor_close(cursor);
    }
    store_txn_abort(t);
    return rc == INSTAR_END ? 0 : rc;
}

static void start_over(struct checkpoint *ck)
{
    ck->run_count = 0;
    ck->rows_done = 0;
    ck->gap_count = 1;
    ck->gaps[0] = (struct gap){.endless = true};
}

/* Go on where the last runner of this build was: or from the beginning. */
static int read_checkpoint(struct built *x, struct base_err *err)
{
    struct base_buf bytes = {0};
    struct base_err ignored;
    int rc = store_build_progress(x->build->store, x->tree, &bytes, err);

    if (rc == INSTAR_ENOTFOUND) {
        rc = 0;
        start_over(x->ck);
    } else if (rc == 0 && checkpoint_decode(base_buf_slice(&bytes), x->ck, &ignored) != 0) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "%s", ignored.text);
    }
    base_buf_free(&bytes);
    if (rc == 0 && x->ck->run_count > 0 && !x->ck->loaded) {
        struct run_reader readers[CHECKPOINT_RUNS_MAX];
        bool ok;
        rc = spill_open(x, readers, &ok, err);
        if (rc == 0 && ok) {
            spill_close(readers, x->ck->run_count);
        } else if (rc == 0) {
            /* Files are missing, as after a restart of the machine: what they held is read again.
             */
            start_over(x->ck);
        }
    }
    return rc;
}

static int claim_index(struct built *x, struct base_err *err)
{
    struct job *j = x->build->job;
    int rc = store_build_claim(x->build->store, x->tree, j->token, err);

    if (rc == 0) {
        rc = read_checkpoint(x, err);
    }
    if (rc == 0 && x->ck->token != j->token) {
        x->ck->token = j->token;
        x->ck->next_run = 0;
    }
    return rc;
}

/* Where the scan goes on: at the checkpoint that lags, which has all that is left by the others.
 * They are written in the order of the indexes, each with the gaps that are left then; so whoever
 * dies between two of them leaves the first ones ahead by one, and has read at least as much. What
 * a row then adds to an index that has it already is merged away. */
static void take_up_scan(struct build *b)
{
    const struct checkpoint *last = NULL;
    const struct checkpoint *any = b->all[0].ck;

    for (size_t i = 0; i < b->count; i++) {
        const struct checkpoint *ck = b->all[i].ck;
        if (!ck->loaded && (last == NULL || ck->rows_done < last->rows_done)) {
            last = ck;
        }
    }
    b->rows_saved = last != NULL ? last->rows_done : any->rows_done;
    atomic_store(&b->rows, b->rows_saved);
    for (size_t i = 0; last != NULL && i < last->gap_count; i++) {
        gaps_add(b->gaps, &last->gaps[i]);
    }
}

/* Not while there is something in the streams. */
static void choose_workers(struct build *b)
{
    unsigned wanted = crew_workers(b->job, b->rows_total / ROWS_PER_WORKER + 1);
    /* Each takes a chunk for each index before it has finished a row. */
    size_t room = b->pool.taken_max / 2 / b->count;

    b->workers = wanted < room ? wanted : (unsigned)room;
    base_assert(b->workers > 0);
}

static int begin(struct build *b, struct base_err *err)
{
    b->gaps = base_alloc(sizeof(*b->gaps));
    if (b->gaps == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "index build: out of memory");
    }
    gaps_init(b->gaps);
    int rc = read_table(b, err);
    for (size_t i = 0; rc == 0 && i < b->count; i++) {
        rc = claim_index(&b->all[i], err);
    }
    if (rc == 0) {
        rc = read_hint(b, err);
    }
    if (rc != 0) {
        return rc;
    }
    choose_workers(b);
    take_up_scan(b);
    build_show_throttle(b);
    return 0;
}

static void end(struct build *b)
{
    for (size_t i = 0; i < b->count; i++) {
        struct built *x = &b->all[i];
        for (unsigned k = 0; x->streams != NULL && k < b->workers; k++) {
            stream_clear(&x->streams[k], &b->pool);
        }
        base_free(x->streams);
        base_free(x->ck);
    }
    base_free(b->all);
    if (b->gaps != NULL) {
        gaps_destroy(b->gaps);
    }
    base_free(b->gaps);
    catalog_table_free(b->table);
    pool_destroy(&b->pool);
    limit_destroy(&b->limit);
    os_cond_destroy(&b->cond);
    os_plain_destroy(&b->lock);
}

/* ---- scan and load ------------------------------------------------------------------------ */

void build_breathe(void *arg, unsigned worker)
{
    struct build *b = arg;

    atomic_fetch_add_explicit(&b->stood_back_ns, job_breathe(b->job, &b->breaths[worker]),
                              memory_order_relaxed);
}

void build_show_throttle(struct build *b)
{
    uint64_t stood = atomic_load_explicit(&b->stood_back_ns, memory_order_relaxed);

    job_show_throttle(b->job, stood != b->stood_back_shown);
    b->stood_back_shown = stood;
}

/* Each run has a block in memory while it is merged. Beside what is gathered there is room for
 * some; where there are more, all goes into runs. */
static bool too_many_runs(const struct build *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (!b->all[i].ck->loaded && b->all[i].ck->run_count > RUNS_BESIDE_MEMORY) {
            return true;
        }
    }
    return false;
}

static void end_scan(struct build *b)
{
    /* What it really was. */
    b->rows_total = atomic_load(&b->rows);
    b->job->live.rows_total = b->rows_total;
    job_show_rows(b->job, b->rows_total, b->rows_total);
    os_point("build.scanned");
}

static int scan(struct build *b, struct base_err *err)
{
    int rc = 0;

    job_show_stage(b->job, "build");
    job_show_rows(b->job, b->rows_saved, b->rows_total);
    while ((rc = scan_run(b, err)) == SCAN_SPILL) {
        rc = spill_write(b, err);
        if (rc != 0) {
            return rc;
        }
        choose_workers(b);
    }
    if (rc == 0 && too_many_runs(b)) {
        rc = spill_write(b, err); /* the rest */
    }
    if (rc == 0) {
        end_scan(b);
    }
    return rc;
}

/* ---- fold --------------------------------------------------------------------------------- */

/* A batch of each delta. *left_out: entries that are left in all of them. */
static int fold_each(struct build *b, uint64_t *left_out, struct base_err *err)
{
    struct job *j = b->job;
    int rc = 0;

    *left_out = 0;
    for (size_t i = 0; rc == 0 && i < b->count; i++) {
        uint64_t left = 0;
        rc = store_build_fold(b->store, b->all[i].tree, j->token,
                              job_is_steered(j, INSTAR_CHANGE_HURRY), &left, err);
        *left_out += left;
    }
    return rc;
}

/* Fold until little is left, or until it does not get much less. */
static int fold(struct build *b, struct base_err *err)
{
    struct job *j = b->job;
    uint64_t least = UINT64_MAX;
    int rounds = 0;
    int rc = 0;

    job_show_stage(j, "fold");
    while (rc == 0 && rounds < FOLD_ROUNDS_MAX) {
        uint64_t left = 0;
        rc = fold_each(b, &left, err);
        if (rc != 0) {
            break;
        }
        os_point("build.folded");
        j->live.delta_backlog = left;
        job_show_rows(j, 0, 0);
        if (left <= FOLD_ENOUGH) {
            break;
        }
        bool less = left < least - least / 8;
        rounds = less ? 0 : rounds + 1;
        least = less ? left : least;
        rc = job_poll(j, err);
        rc = rc == 0 ? job_stand_still(j, err) : rc;
    }
    if (rc == 0) { /* settled is all that was committed before, whatever tree it is of */
        rc = store_build_settle(b->store, b->all[0].tree, j->token, err);
    }
    return rc;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static bool all_loaded(const struct build *b)
{
    bool all = true;

    for (size_t i = 0; i < b->count; i++) {
        all = all && b->all[i].ck->loaded;
    }
    return all;
}

static int run(struct build *b, struct base_err *err)
{
    int rc = 0;

    if (!all_loaded(b)) {
        rc = scan(b, err);
        if (rc == 0) {
            rc = load_run(b, err);
        }
    }
    if (rc == 0) {
        b->job->rows = 0;
        for (size_t i = 0; i < b->count; i++) {
            const struct built *x = &b->all[i];
            b->job->rows = x->ck->rows_done > b->job->rows ? x->ck->rows_done : b->job->rows;
            spill_remove(b->store, x->tree, x->ck);
        }
        rc = fold(b, err);
    }
    return rc;
}

int build_run(struct job *j, struct base_err *err)
{
    struct build b = {.job = j, .store = j->store, .scan_from_lsn = j->lsn};
    uint64_t memory = take_memory(j->c, j->rec.sort_memory_bytes);

    b.budget_bytes = (size_t)memory;
    b.spilled_ns = os_now_ns();
    pool_init(&b.pool, b.budget_bytes);
    limit_init(&b.limit, job_rate(j));
    os_plain_init(&b.lock);
    os_cond_init(&b.cond);
    int rc = begin(&b, err);
    if (rc == 0) {
        rc = run(&b, err);
    }
    end(&b);
    give_memory(j->c, memory);
    return rc;
}

void build_forget(struct store *store, uint64_t tree)
{
    struct base_buf bytes = {0};
    struct checkpoint *ck = base_alloc(sizeof(*ck));

    if (ck != NULL && store_build_progress(store, tree, &bytes, NULL) == 0 &&
        checkpoint_decode(base_buf_slice(&bytes), ck, NULL) == 0) {
        spill_remove(store, tree, ck);
    }
    base_buf_free(&bytes);
    base_free(ck);
}
