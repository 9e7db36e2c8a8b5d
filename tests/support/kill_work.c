/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that are killed: what they do until then. */
#include "support/kill.h"

#include <stdio.h>
#include <string.h>

struct worker {
    struct store *s;
    struct kill_world *world;
    struct kill_record *record;
    uint32_t number;
    struct test_random random;
};

static bool to_be_retried(int rc)
{
    return rc == INSTAR_ECONFLICT || rc == INSTAR_ESNAPSHOT_TOO_OLD;
}

/* ---- one transaction ---------------------------------------------------------------------- */

static void put_number(struct worker *w, struct store_txn *t, uint32_t key, uint64_t number)
{
    char text[16];
    uint8_t value[KILL_VALUE_MAX];
    if (number == 0) {
        must(store_txn_delete(t, KILL_TREE_OWN, kill_key(text, w->number, key), &test_err));
    } else {
        size_t size = kill_value(value, number);
        must(store_txn_put(t, KILL_TREE_OWN, kill_key(text, w->number, key),
                           base_slice(value, size), &test_err));
    }
}

static void write_keys(struct worker *w, struct store_txn *t, struct kill_expected *next, bool all)
{
    uint64_t count = all ? KILL_KEYS : 1 + test_random_below(&w->random, 4);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t key = all ? (uint32_t)i : (uint32_t)test_random_below(&w->random, KILL_KEYS);
        bool gone = test_random_chance(&w->random, 20);
        next->keys[key] = gone ? 0 : next->stamp * KILL_KEYS + key + 1;
        put_number(w, t, key, next->keys[key]);
    }
    put_number(w, t, KILL_STAMP, next->stamp);
}

static void write_pair(struct worker *w, struct store_txn *t, uint64_t number)
{
    char name[16];
    uint8_t value[8];
    base_put_u64(value, number);
    for (int half = 0; half < 2; half++) {
        int size = snprintf(name, sizeof(name), "%02u %c", w->number, 'a' + half);
        must(store_txn_put(t, KILL_TREE_PAIRS, base_slice(name, (size_t)size), base_slice(value, 8),
                           &test_err));
    }
}

static void add_to_counter(struct store_txn *t, struct kill_expected *next)
{
    struct base_slice key = base_slice("c", 1);
    struct base_slice value;
    uint8_t bytes[8];
    uint64_t count = 0;
    int rc = store_txn_get(t, KILL_TREE_COUNTER, key, STORE_READ_NORMAL, &value, &test_err);
    if (rc != INSTAR_ENOTFOUND) {
        test_must(__FILE__, __LINE__, "commit", rc, 0);
        count = base_get_u64(value.data);
    }
    base_put_u64(bytes, count + 1);
    must(store_txn_put(t, KILL_TREE_COUNTER, key, base_slice(bytes, 8), &test_err));
    next->added++;
}

/* Try once. The record says beforehand what may come, and afterwards what is. */
static int try_once(struct worker *w, unsigned flags, bool all)
{
    struct store_txn *t;
    struct kill_expected next = w->record->is;
    must(store_txn_begin(w->s, flags, &t, &test_err));
    next.stamp++;
    write_keys(w, t, &next, all);
    write_pair(w, t, next.stamp);
    if (test_random_chance(&w->random, 30)) {
        add_to_counter(t, &next);
    }
    w->record->may_be = next;
    atomic_store(&w->record->doubt, KILL_TRYING);
    int rc = store_txn_commit(t, NULL, NULL, &test_err);
    if (to_be_retried(rc)) {
        atomic_store(&w->record->doubt, KILL_SETTLED); /* it was refused: nothing was written */
        return rc;
    }
    test_must(__FILE__, __LINE__, "commit", rc, 0);
    atomic_store(&w->record->doubt, KILL_PROMISED);
    w->record->is = next;
    atomic_store(&w->record->doubt, KILL_SETTLED);
    atomic_fetch_add(&w->record->commits, 1);
    atomic_fetch_add(&w->world->events, 1);
    os_futex_wake_all(&w->world->events);
    return 0;
}

static void write_one(struct worker *w)
{
    unsigned flags = test_random_chance(&w->random, 50) ? STORE_TXN_SYNC : 0;
    bool all = test_random_chance(&w->random, 10);
    for (int losses = 0; try_once(w, flags, all) != 0; losses++) {
        if (losses >= 1) {
            flags |= STORE_TXN_RESERVED;
        }
    }
}

/* What was promised to us is visible to us, and no transaction is seen in part. */
static void read_all(struct worker *w)
{
    struct store_txn *t;
    unsigned flags = test_random_chance(&w->random, 50) ? STORE_TXN_SYNC : 0;
    must(store_txn_begin(w->s, flags | STORE_TXN_READONLY, &t, &test_err));
    kill_check_worker(t, w->world, w->number);
    kill_check_pairs(t);
    store_txn_abort(t);
}

/* After a kill: whatever our predecessor left is either in the log by now, or void. */
static void take_over(struct worker *w)
{
    struct store_txn *t;
    must(store_flush(w->s, store_tail(w->s), STORE_FOREVER, &test_err));
    int rc;
    do {
        must(store_txn_begin(w->s, STORE_TXN_SYNC, &t, &test_err));
        char name[16];
        int size = snprintf(name, sizeof(name), "%02u +", w->number);
        must(store_txn_put(t, KILL_TREE_COUNTER, base_slice(name, (size_t)size), base_slice("", 0),
                           &test_err));
        rc = store_txn_commit(t, NULL, NULL, &test_err);
    } while (to_be_retried(rc));
    test_must(__FILE__, __LINE__, "commit", rc, 0);
    must(store_txn_begin(w->s, STORE_TXN_READONLY | STORE_TXN_SYNC, &t, &test_err));
    kill_settle(t, w->world, w->number);
    kill_check_worker(t, w->world, w->number);
    store_txn_abort(t);
}

void kill_work(struct test_child *self, void *arg)
{
    struct kill_job *job = arg;
    struct worker w = {.world = job->world,
                       .record = &job->world->workers[job->worker],
                       .number = job->worker,
                       .random = test_random(job->stream)};
    (void)self;
    if (job->point != NULL) {
        test_kill_at_point(job->point, job->nth);
    }
    must(store_open(job->world->path, &job->options, &w.s, &test_err));
    take_over(&w);
    for (;;) {
        uint64_t what = test_random_below(&w.random, 100);
        if (job->builder && what < 10) {
            kill_build(w.s, w.world, &w.random);
        } else if (what < 90) {
            write_one(&w);
        } else if (what < 98) {
            read_all(&w);
        } else {
            must(store_wait_applied(w.s, store_tail(w.s), STORE_URGE_SOON, STORE_FOREVER,
                                    &test_err));
        }
    }
}
