/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a history: what they do, and how it is written down. */
#include "support/history.h"

#include "api/api_impl.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#define STAMP                                                                           \
    1000 /* + worker: its row; + 100: a row by which it waits for its predecessor's end \
          */
#define COLUMNS 5

enum { K, WRITER, BEFORE, G, U };

struct history_worker {
    instar *db;
    struct history *history;
    struct history_txn *now;
    uint32_t number; /* of the transaction */
    uint32_t worker;
    bool first; /* transaction of this process */
    struct test_random random;
    instar_projection *rows;
    instar_projection *by_group;
    uint32_t kind; /* of the transaction, and what it is about */
    uint8_t keys[2];
    uint8_t groups[2];
    uint8_t claim;
};

static _Thread_local struct history_worker *here; /* whose transaction this thread is in */

static const char *const columns[COLUMNS] = {"a", "b", "before", "g", "u"};

static instar_value number(int64_t i)
{
    return (instar_value){.type = INSTAR_INT8, .i = i};
}

static instar_value number_or_null(int64_t i)
{
    return i != 0 ? number(i) : (instar_value){.type = INSTAR_NULL};
}

static uint8_t small(const instar_value *value)
{
    return value->type == INSTAR_NULL ? 0 : (uint8_t)value->i;
}

struct history_txn *history_get(struct history *h, uint32_t n)
{
    if (n == 0 || n > HISTORY_WORKERS * HISTORY_TXNS_MAX ||
        (n - 1) % HISTORY_TXNS_MAX >= atomic_load(&h->count[(n - 1) / HISTORY_TXNS_MAX])) {
        return NULL;
    }
    return &h->txns[(n - 1) / HISTORY_TXNS_MAX][(n - 1) % HISTORY_TXNS_MAX];
}

/* ---- writing down -------------------------------------------------------------------------- */

static struct history_op *note(struct history_worker *w, enum history_verb verb, uint8_t key)
{
    expect(w->now->op_count < HISTORY_OPS_MAX);
    struct history_op *op = &w->now->ops[w->now->op_count++];

    *op = (struct history_op){.verb = (uint8_t)verb, .key = key};
    return op;
}

/* In the commit's critical section: the log's end is where its record will stand. A pad comes
 * before it; what other threads append is not of this transaction. */
void history_at_point(const char *name)
{
    struct history_worker *w = here;

    if (w != NULL && w->now != NULL && strcmp(name, "commit.mark_set") == 0) {
        atomic_store(&w->now->lsn, store_tail(w->db->env.store));
    }
}

static void at_point(void *arg, const char *name)
{
    (void)arg;
    history_at_point(name);
}

/* ---- the pieces of a transaction ----------------------------------------------------------- */

/* A row as it is, with the transaction's own writes not counted: none is read after it is written.
 */
static int look(struct history_worker *w, instar_txn *txn, uint8_t key, instar_value row[COLUMNS])
{
    instar_value k = number(key);
    int rc = instar_get(txn, w->rows, &k, row);

    if (rc != 0 && rc != INSTAR_ENOTFOUND) {
        return rc;
    }
    if (rc == INSTAR_ENOTFOUND) {
        row[WRITER] = number(0);
        row[G] = row[U] = (instar_value){.type = INSTAR_NULL};
    }
    note(w, HISTORY_READ, key)->version = (uint32_t)row[WRITER].i;
    return 0;
}

static int write(struct history_worker *w, instar_txn *txn, uint8_t key, instar_value row[COLUMNS])
{
    struct history_op *op = note(w, HISTORY_WRITE, key);

    op->version = (uint32_t)row[WRITER].i;
    op->g = small(&row[G]);
    op->u = small(&row[U]);
    row[K] = number(key);
    row[BEFORE] = row[WRITER];
    row[WRITER] = number(w->number);
    return instar_upsert(txn, w->rows, row);
}

static int rewrite(struct history_worker *w, instar_txn *txn, uint8_t key)
{
    instar_value row[COLUMNS];
    int rc = look(w, txn, key, row);

    return rc == 0 ? write(w, txn, key, row) : rc;
}

static int scan(struct history_worker *w, instar_txn *txn, uint8_t group)
{
    instar_value bound = number(group);
    instar_range range = {.lower = &bound, .lower_count = 1, .upper = &bound, .upper_count = 1};
    struct history_op *head = note(w, HISTORY_SCAN, 0);
    instar_value row[COLUMNS];
    instar_cursor *cursor;
    int rc = instar_scan(txn, w->by_group, &range, &cursor);

    head->g = group;
    while (rc == 0 && (rc = instar_cursor_next(cursor, row)) == 0) {
        expect(small(&row[G]) == group);
        note(w, HISTORY_READ, (uint8_t)row[K].i)->version = (uint32_t)row[WRITER].i;
        head->count++;
    }
    if (rc == INSTAR_END) {
        instar_cursor_close(cursor);
        rc = 0;
    }
    return rc;
}

static int count_and_join(struct history_worker *w, instar_txn *txn)
{
    instar_value row[COLUMNS];
    uint32_t at = w->now->op_count;
    int rc = scan(w, txn, w->groups[0]);

    if (rc != 0 || w->now->ops[at].count >= 4) { /* the group is full */
        return rc;
    }
    rc = look(w, txn, w->keys[0], row);
    row[G] = number(w->groups[0]);
    return rc == 0 ? write(w, txn, w->keys[0], row) : rc;
}

static int claim(struct history_worker *w, instar_txn *txn)
{
    instar_value row[COLUMNS];
    int rc = look(w, txn, w->keys[0], row);

    row[U] = number_or_null(w->claim);
    return rc == 0 ? write(w, txn, w->keys[0], row) : rc;
}

static int remove_one(struct history_worker *w, instar_txn *txn)
{
    instar_value row[COLUMNS];
    instar_value k = number(w->keys[0]);
    int rc = look(w, txn, w->keys[0], row);

    if (rc != 0 || row[WRITER].i == 0) {
        return rc;
    }
    note(w, HISTORY_REMOVE, w->keys[0])->version = (uint32_t)row[WRITER].i;
    return instar_delete(txn, w->rows, &k);
}

static int read_only(struct history_worker *w, instar_txn *txn)
{
    instar_value row[COLUMNS];
    int rc = scan(w, txn, w->groups[0]);

    rc = rc == 0 ? look(w, txn, w->keys[0], row) : rc;
    rc = rc == 0 ? scan(w, txn, w->groups[1]) : rc;
    return rc == 0 ? look(w, txn, w->keys[1], row) : rc;
}

/* Reads one key, writes another: with its mirror image, a write skew. */
static int read_and_write(struct history_worker *w, instar_txn *txn)
{
    instar_value row[COLUMNS];
    int rc = look(w, txn, w->keys[1], row);

    return rc == 0 ? rewrite(w, txn, w->keys[0]) : rc;
}

static int write_two(struct history_worker *w, instar_txn *txn)
{
    int rc = rewrite(w, txn, w->keys[0]);

    return rc == 0 ? rewrite(w, txn, w->keys[1]) : rc;
}

static int stamp(struct history_worker *w, instar_txn *txn)
{
    instar_value row[COLUMNS] = {[K] = number(STAMP + w->worker), [WRITER] = number(w->number)};

    return instar_upsert(txn, w->rows, row);
}

static int (*const kinds[])(struct history_worker *w, instar_txn *txn) = {
    read_and_write, write_two, count_and_join, claim, remove_one};

/* Written down anew each time it is tried. */
static int body(instar_txn *txn, void *arg)
{
    struct history_worker *w = arg;
    bool reads = (w->now->flags & HISTORY_READONLY) != 0;

    w->now->op_count = 0;
    int rc = reads ? read_only(w, txn) : kinds[w->kind](w, txn);
    rc = rc == 0 && !reads ? stamp(w, txn) : rc;
    if (w->history->think_ns != 0) {
        os_sleep_ns(test_random_below(&w->random, w->history->think_ns));
    }
    /* Not before: the first use of a table may move it, when the schema has just changed. */
    w->now->snapshot = txn_lsn(txn->shell.inner);
    if (rc == 0) {
        atomic_store(&w->now->state, HISTORY_TRYING);
    }
    return rc;
}

/* ---- transactions -------------------------------------------------------------------------- */

static unsigned flags_of(const struct history_txn *t)
{
    return ((t->flags & HISTORY_READONLY) != 0 ? (unsigned)INSTAR_TXN_READONLY : 0) |
           ((t->flags & HISTORY_SNAPSHOT) != 0 ? (unsigned)INSTAR_TXN_SNAPSHOT : 0) |
           ((t->flags & HISTORY_ASYNC) != 0 ? INSTAR_TXN_ASYNC : INSTAR_TXN_SYNC);
}

static void choose(struct history_worker *w)
{
    bool reads = test_random_chance(&w->random, 25);

    w->now->flags = (w->first ? (uint32_t)HISTORY_FIRST : 0) |
                    (reads ? (uint32_t)HISTORY_READONLY : 0) |
                    (!reads && w->history->snapshot ? (uint32_t)HISTORY_SNAPSHOT : 0) |
                    (test_random_chance(&w->random, 50) ? (uint32_t)HISTORY_ASYNC : 0);
    w->kind = (uint32_t)test_random_below(&w->random, BASE_ARRAY_LEN(kinds));
    w->keys[0] = (uint8_t)(1 + test_random_below(&w->random, HISTORY_KEYS));
    w->keys[1] = (uint8_t)(1 + (w->keys[0] + test_random_below(&w->random, HISTORY_KEYS - 1)) %
                                   HISTORY_KEYS); /* another one */
    w->groups[0] = (uint8_t)(1 + test_random_below(&w->random, HISTORY_GROUPS));
    w->groups[1] = (uint8_t)(1 + test_random_below(&w->random, HISTORY_GROUPS));
    w->claim = (uint8_t)test_random_below(&w->random, HISTORY_CLAIMS + 1);
}

static int run_once(struct history_worker *w)
{
    instar_txn *txn;
    int rc = instar_begin(w->db, flags_of(w->now), &txn);

    if (rc != 0) {
        return rc;
    }
    rc = body(txn, w);
    if (rc != 0) {
        instar_abort(txn);
        return rc;
    }
    return instar_commit(txn);
}

static bool was_refused(int rc)
{
    return rc == INSTAR_ECONFLICT || rc == INSTAR_ESNAPSHOT_TOO_OLD || rc == INSTAR_EUNIQUE ||
           rc == INSTAR_ESCHEMA_CHANGED;
}

static void one(struct history_worker *w, uint32_t n)
{
    w->now = &w->history->txns[w->worker][n];
    w->number = w->worker * HISTORY_TXNS_MAX + n + 1;
    atomic_store(&w->now->state, HISTORY_OPEN);
    atomic_store(&w->history->count[w->worker], n + 1);
    choose(w);
    w->now->begun_ns = os_now_ns();
    int rc = test_random_chance(&w->random, 20) ? instar_run(w->db, flags_of(w->now), body, w)
                                                : run_once(w);
    w->now->ended_ns = os_now_ns();
    if (rc != 0 && !was_refused(rc)) {
        test_fail(__FILE__, __LINE__, "transaction %u: %s: %s", w->number, instar_error_name(rc),
                  instar_error_text());
    }
    atomic_store(&w->now->state, rc == 0 ? HISTORY_COMMITTED : HISTORY_ABORTED);
    atomic_fetch_add(&w->history->commits, rc == 0);
}

/* ---- a worker ------------------------------------------------------------------------------ */

struct settling {
    instar_projection *rows;
    uint32_t worker;
    instar_value row[COLUMNS];
    int found; /* the code of the read */
};

/* A commit: from then on the other one's is in the log, or never will be. */
static int commit_behind(instar_txn *txn, void *arg)
{
    struct settling *s = arg;
    instar_value row[COLUMNS] = {[K] = number(STAMP + 100 + s->worker), [WRITER] = number(0)};

    return instar_upsert(txn, s->rows, row);
}

static int look_for_stamp(instar_txn *txn, void *arg)
{
    struct settling *s = arg;

    s->row[K] = number(STAMP + s->worker);
    s->found = instar_get(txn, s->rows, &s->row[K], s->row);
    return s->found == INSTAR_ENOTFOUND ? 0 : s->found;
}

void history_settle(instar *db, struct history *h, uint32_t worker)
{
    uint32_t n = atomic_load(&h->count[worker]);
    struct history_txn *last = n > 0 ? &h->txns[worker][n - 1] : NULL;
    struct settling s = {.worker = worker};

    if (last == NULL || atomic_load(&last->state) == HISTORY_COMMITTED ||
        atomic_load(&last->state) == HISTORY_ABORTED) {
        return;
    }
    if (atomic_load(&last->state) != HISTORY_TRYING || (last->flags & HISTORY_READONLY) != 0) {
        atomic_store(&last->state, HISTORY_ABORTED);
        return;
    }
    ok(instar_projection_prepare(db, "t", columns, COLUMNS, NULL, &s.rows));
    ok(instar_run(db, INSTAR_TXN_SYNC, commit_behind, &s));
    ok(instar_run(db, INSTAR_TXN_READONLY | INSTAR_TXN_SYNC, look_for_stamp, &s));
    bool happened = s.found == 0 && s.row[WRITER].i == worker * HISTORY_TXNS_MAX + n;
    instar_projection_free(s.rows);
    last->ended_ns = UINT64_MAX; /* nobody was told */
    atomic_store(&last->state, happened ? HISTORY_COMMITTED : HISTORY_ABORTED);
}

struct history_worker *history_worker_open(instar *db, struct history *h, uint32_t worker,
                                           struct test_random random)
{
    struct history_worker *w = calloc(1, sizeof(*w));

    expect(w != NULL);
    *w = (struct history_worker){
        .db = db, .history = h, .worker = worker, .random = random, .first = true};
    history_settle(db, h, worker);
    ok(instar_projection_prepare(db, "t", columns, COLUMNS, NULL, &w->rows));
    ok(instar_projection_prepare(db, "t", columns, COLUMNS, "t_g", &w->by_group));
    return w;
}

bool history_worker_next(struct history_worker *w)
{
    uint32_t n = atomic_load(&w->history->count[w->worker]);

    if (n >= w->history->limit) {
        return false;
    }
    here = w;
    one(w, n);
    here = NULL;
    w->first = false;
    return true;
}

void history_worker_close(struct history_worker *w)
{
    instar_projection_free(w->rows);
    instar_projection_free(w->by_group);
    free(w);
}

void history_work(struct test_child *self, void *arg)
{
    const struct history_job *job = arg;
    struct test_listener listener = {.point = at_point};
    instar *db = dbs_open(0);
    struct history_worker *w =
        history_worker_open(db, job->history, job->worker, test_random(job->stream));

    (void)self;
    test_listener_set(&listener);
    test_kill_at_point(job->point, job->nth);
    while (history_worker_next(w)) {
    }
    test_kill_at_point(NULL, 0);
    test_listener_set(NULL);
    history_worker_close(w);
    ok(instar_close(db));
}

void history_make_t(instar *db)
{
    uint64_t change;
    instar_column_def defs[COLUMNS] = {{.name = "a", .type = INSTAR_INT8, .not_null = true},
                                       {.name = "b", .type = INSTAR_INT8, .not_null = true},
                                       {.name = "before", .type = INSTAR_INT8},
                                       {.name = "g", .type = INSTAR_INT8},
                                       {.name = "u", .type = INSTAR_INT8}};
    instar_key_column key = {.name = "a"};
    instar_table_def def = {
        .name = "t", .columns = defs, .column_count = COLUMNS, .key = &key, .key_count = 1};

    ok(instar_create_table(db, &def, NULL, &change));
    ok(instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL));
    ok(dbs_index(db, "t_g", "t", "g,a", false, NULL));
    ok(dbs_index(db, "t_u", "t", "u", true, NULL));
}
