/* SPDX-License-Identifier: Apache-2.0 */
/* Two processes around a schema change. */
#include "support/scenes.h"

#include "api/api_impl.h"
#include "change/record.h"

#include <signal.h>
#include <string.h>

#define READY 1
#define BATCH 1000

static void stay_open(struct test_child *self, void *arg)
{
    const uint32_t *flags = arg;
    instar *db = dbs_open(*flags);
    test_send(self, READY);
    test_until_told(self);
    ok(instar_close(db));
}

static void start(struct test_child *c, uint32_t flags)
{
    dbs_path(); /* the directory is this process's */
    test_fork(c, stay_open, &flags);
    test_await(c, READY);
}

void scene_runner(struct test_child *c)
{
    start(c, 0);
}

void scene_keeper(struct test_child *c)
{
    start(c, INSTAR_OPEN_NO_RUNNER);
}

void scene_runner_end(struct test_child *c)
{
    test_send(c, 0);
    test_wait_ok(c);
}

struct batch {
    instar_projection *p;
    int64_t from, to;
    int64_t (*b)(int64_t i);
};

static int insert_batch(instar_txn *txn, void *arg)
{
    const struct batch *w = arg;

    for (int64_t i = w->from; i < w->to; i++) {
        instar_value row[2] = {{.type = INSTAR_INT8, .i = i}, {.type = INSTAR_INT8, .i = w->b(i)}};
        int rc = instar_insert(txn, w->p, row);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

void scene_fill(instar *db, const char *table, int64_t from, int64_t to, int64_t (*b)(int64_t i))
{
    const char *columns[] = {"a", "b"};
    struct batch w = {.b = b};

    ok(instar_projection_prepare(db, table, columns, 2, NULL, &w.p));
    for (w.from = from; w.from < to; w.from = w.to) {
        w.to = w.from + BATCH < to ? w.from + BATCH : to;
        ok(instar_run(db, INSTAR_TXN_ASYNC, insert_batch, &w));
    }
    instar_projection_free(w.p);
    ok(instar_flush(db));
}

void scene_make_t(instar *db, int64_t rows)
{
    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, rows + 1, scene_plus_10);
}

instar *scene_open_t(uint32_t flags, int64_t rows)
{
    instar *db = dbs_open(flags);

    scene_make_t(db, rows);
    return db;
}

int scene_insert(instar_txn *txn, instar_projection *p, int64_t a, const char *text, size_t size)
{
    const instar_value row[3] = {{.type = INSTAR_INT8, .i = a},
                                 {.type = INSTAR_INT8, .i = scene_scattered(a)},
                                 {.type = INSTAR_TEXT, .bytes = {text, size}}};

    return instar_insert(txn, p, row);
}

int64_t scene_plus_10(int64_t i)
{
    return i + 10;
}

int64_t scene_scattered(int64_t i)
{
    return (int64_t)((uint64_t)i * 0x9e3779b97f4a7c15u);
}

instar_change_options scene_options(uint32_t fence_after_ms)
{
    instar_change_options o;

    instar_change_options_init(&o);
    o.fence_after_ms = fence_after_ms;
    return o;
}

int scene_steer(instar *db, uint64_t change, uint32_t set, uint32_t clear)
{
    instar_change_steering steering;

    instar_change_steering_init(&steering);
    steering.set_flags = set;
    steering.clear_flags = clear;
    return instar_change_steer(db, change, &steering);
}

int scene_drop_table(instar *db, const char *table)
{
    uint64_t change;
    int rc = instar_drop_table(db, table, NULL, &change);

    return rc != 0 ? rc : instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
}

void scene_await(instar *db, uint64_t change, int code, instar_change_info *info)
{
    instar_change_info seen;

    fails(instar_change_wait(db, change, TEST_AWAIT_S * 1000, &seen), code);
    if (info != NULL) {
        *info = seen;
    }
}

instar_change_info scene_look(instar *db, uint64_t change)
{
    instar_change_info info;

    ok(instar_change_get(db, change, &info));
    return info;
}

void scene_await_waiting(instar *db, uint64_t change, const char *stage, instar_change_info *info)
{
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * 1000000000ull;

    for (;;) {
        /* Returns at each thing that happens to the change, at the latest after a moment. */
        instar_change_wait(db, change, 5, info);
        if (info->waiting_for[0] != 0 && strcmp(info->stage, stage) == 0) {
            return;
        }
        if (os_now_ns() > give_up) {
            test_fail(__FILE__, __LINE__, "change %llu never waited at %s; it is at %s",
                      (unsigned long long)change, stage, info->stage);
        }
    }
}

void scene_await_purge(instar *db, uint64_t change)
{
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * 1000000000ull;
    instar_change_info info = scene_look(db, change);

    while (info.taken_by == 0) {
        expect(os_now_ns() < give_up);
        os_sleep_ns(1000000);
        info = scene_look(db, change);
    }
    scene_await(db, info.taken_by, INSTAR_OK, &info);
    expect(strcmp(info.kind, "purge") == 0);
}

static int note_id(void *arg, const instar_change_info *info)
{
    *(uint64_t *)arg = info->id;
    return 0;
}

uint64_t scene_last_change(instar *db)
{
    uint64_t change = 0;

    ok(instar_change_list(db, note_id, &change));
    return change;
}

void scene_refuse_memory(uint64_t nth)
{
    test_shortage_set(&(struct test_shortage){.nth = nth, .thread = SCENE_CHANGE_THREAD});
}

int scene_await_refusal(instar *db, uint64_t change, bool *refused_out)
{
    instar_change_info info;
    int rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, &info);

    test_shortage_set(NULL);
    *refused_out = test_shortage_fired() > 0;
    if (rc != INSTAR_OK && (rc != INSTAR_EFAILED || info.error != INSTAR_ENOMEM)) {
        test_fail(__FILE__, __LINE__, "%s: %s", info.statement, instar_error_text());
    }
    expect(rc == INSTAR_OK || *refused_out);
    return rc;
}

uint64_t scene_claim(instar *db, uint64_t change, bool drop)
{
    struct change_record r;
    struct store_txn *t;
    int rc;

    do {
        must(store_txn_begin(db->env.store, STORE_TXN_SYNC, &t, &test_err));
        must(record_get(t, change, STORE_READ_PROBE, &r, &test_err));
        uint64_t claim = r.owner.claim;
        if (drop) {
            r.owner = (struct change_owner){.claim = claim};
            must(record_put(t, &r, &test_err));
        }
        record_free(&r);
        base_err_clear(&test_err);
        rc = store_txn_commit(t, NULL, NULL, &test_err);
        if (rc == INSTAR_OK) {
            return claim;
        }
        expect(rc == INSTAR_ECONFLICT);
    } while (true);
}

/* ---- held and killed ---------------------------------------------------------------------- */

void scene_hold(struct scene_held *h, const char *point, uint64_t nth)
{
    test_hold_set(&h->hold, point, nth);
    scene_runner(&h->runner);
    h->db = dbs_open(INSTAR_OPEN_NO_RUNNER);
}

void scene_held_done(struct scene_held *h)
{
    test_hold_release(&h->hold);
    scene_await(h->db, h->change, INSTAR_OK, NULL);
}

void scene_held_cancel(struct scene_held *h)
{
    ok(instar_change_cancel(h->db, h->change));
    test_hold_release(&h->hold);
    scene_await(h->db, h->change, INSTAR_ECANCELLED, NULL);
}

void scene_release_beside(struct scene_held *h, uint32_t version)
{
    instar_change_info info = {.finished_us = 0};

    test_hold_release(&h->hold);
    while (dbs_version(h->db, "t") == version && info.finished_us == 0 &&
           info.waiting_for[0] == 0) {
        /* Returns at each thing that happens to the change. */
        (void)instar_change_wait(h->db, h->change, 5, &info);
    }
    expect(dbs_version(h->db, "t") <= version + 1);
}

void scene_held_close(struct scene_held *h)
{
    ok(instar_close(h->db));
    scene_runner_end(&h->runner);
    test_hold_end(&h->hold);
}

void scene_held_end(struct scene_held *h)
{
    dbs_check_clean(h->db);
    scene_held_close(h);
}

static void be_killed(struct test_child *self, void *arg)
{
    const struct scene_death *d = arg;

    (void)self;
    test_kill_at_point(d->point, d->nth != 0 ? d->nth : 1);
    instar *db = dbs_open(0);
    uint64_t change = d->submit(db, d->arg);
    if (change != 0) {
        (void)instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
    }
    (void)instar_close(db); /* the verdict is seen before the runner has passed its last point */
    test_fail(__FILE__, __LINE__, "%s was not reached", d->point);
}

void scene_kill(const struct scene_death *d)
{
    struct test_child child;

    dbs_path();
    test_fork(&child, be_killed, (void *)(uintptr_t)d);
    int status = test_wait(&child);
    if (status != -SIGKILL) {
        test_fail(__FILE__, __LINE__, "%s at %s: ends with %d",
                  d->what != NULL ? d->what : "killed", d->point, status);
    }
}

instar *scene_take_over(const struct scene_death *d, int code, instar_change_info *info)
{
    instar *db = dbs_open(0);
    int rc = instar_change_wait(db, scene_last_change(db), TEST_AWAIT_S * 1000, info);

    if (rc != code) {
        test_fail(__FILE__, __LINE__, "%s at %s: %s: %s", d->what != NULL ? d->what : "killed",
                  d->point, instar_error_name(rc), instar_error_text());
    }
    return db;
}
