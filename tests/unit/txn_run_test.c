/* SPDX-License-Identifier: Apache-2.0 */
/* Running a transaction until it succeeds: what is run again, what is not. */
#include "support/txns.h"

#include <string.h>

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all;

static void setup(void)
{
    env = txns_open_t(NULL, "a int8, b int8", &table);
    all = txns_projection(env, "t", NULL);
    txns_put_row(env, all, "1,0");
}

static void teardown(void)
{
    txn_projection_free(all);
    txns_close(env);
}

TestSuite(txn_run, .init = setup, .fini = teardown);

struct work {
    int runs;
    int lose; /* how many runs are made to lose */
    int code; /* what fn returns, after that many runs */
    bool fence;
};

/* Add one to row 1; the first `lose` times somebody else is faster. */
static int add_one(struct txn *t, void *arg)
{
    struct work *w = arg;
    instar_value values[2] = {{.type = INSTAR_INT8, .i = 1}};
    w->runs++;
    int rc = txn_get(t, all, values, values, &test_err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    values[1].i++;
    rc = txn_update(t, all, values, values, &test_err);
    if (rc == INSTAR_OK && w->runs <= w->lose) {
        if (w->fence) {
            for (int i = 0; i < 2; i++) {
                struct catalog_table *next = txns_current(env, table);
                next->version++;
                must(txns_publish(env, next, 0, true, NULL, &test_err));
            }
        } else {
            txns_change_row(env, all, "1", "1,0");
        }
    }
    return rc == INSTAR_OK && w->runs > w->lose ? w->code : rc;
}

static int run(struct work *w)
{
    return txn_run(env, INSTAR_TXN_ASYNC, add_one, w, &test_err);
}

/* Without a conflict it runs once. */
Test(txn_run, once_when_all_is_well)
{
    struct work w = {0};
    must(run(&w));
    cr_assert_eq(w.runs, 1);
    cr_assert_str_eq(txns_dump(env, all), "1,1 ");
}

/* After losses it runs again, also with the turn. */
Test(txn_run, again_after_a_loss)
{
    struct work w = {.lose = 9};
    must(run(&w));
    cr_assert_eq(w.runs, 10);
    cr_assert_str_eq(txns_dump(env, all), "1,1 ");
}

/* A lost lease is a loss like others. */
Test(txn_run, again_after_a_lost_lease)
{
    struct work w = {.lose = 3, .fence = true};
    must(run(&w));
    cr_assert_eq(w.runs, 4);
    cr_assert_str_eq(txns_dump(env, all), "1,1 ");
}

/* What fn returns is returned as it is, and nothing was written: errors, and numbers of its own. */
Test(txn_run, other_codes_come_back_at_once)
{
    static const int codes[] = {
        INSTAR_EUNIQUE, INSTAR_ENOTFOUND, INSTAR_ECOMMIT_UNKNOWN, INSTAR_ECORRUPT, 42, -1000};
    for (size_t i = 0; i < BASE_ARRAY_LEN(codes); i++) {
        struct work w = {.code = codes[i]};
        cr_assert_eq(run(&w), codes[i]);
        cr_assert_eq(w.runs, 1);
    }
    cr_assert_str_eq(txns_dump(env, all), "1,0 ");
}

/* Bad flags are no reason to try again. */
Test(txn_run, bad_flags_come_back_at_once)
{
    struct work w = {0};
    must_fail(txn_run(env, 1u << 30, add_one, &w, &test_err), INSTAR_EINVALID);
    cr_assert_eq(w.runs, 0);
}

static int always_lose(struct txn *t, void *arg)
{
    struct work *w = arg;
    (void)t;
    w->runs++;
    test_clock_advance(UINT64_C(1000000000));
    return INSTAR_ECONFLICT;
}

/* It gives up after thirty seconds, with the last code. */
Test(txn_run_alone, it_gives_up_in_the_end)
{
    struct work w = {0};
    test_clock_start(UINT64_C(1000) * 1000000000);
    setup();
    must_fail(txn_run(env, INSTAR_TXN_ASYNC, always_lose, &w, &test_err), INSTAR_ECONFLICT);
    cr_assert_eq(w.runs, 30);
    teardown();
}

/* ---- threads ------------------------------------------------------------------------------ */

#define THREADS 3
#define ROUNDS 200

static void *add_many(void *arg)
{
    struct base_err err = {0};
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct work w = {0};
        expect(txn_run(env, INSTAR_TXN_ASYNC, add_one, &w, &err) == INSTAR_OK);
    }
    return NULL;
}

/* Threads that all change one row: every change counts, and all of them get through. */
Test(txn_run, no_change_is_lost)
{
    struct os_thread threads[THREADS];
    struct txn *t;
    for (size_t i = 0; i < THREADS; i++) {
        cr_assert_eq(os_thread_start(&threads[i], "add", add_many, NULL), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        os_thread_join(&threads[i]);
    }
    t = txns_begin(env, INSTAR_TXN_READONLY | INSTAR_TXN_ASYNC);
    cr_assert_str_eq(txns_get(t, all, "1"), "1,600");
    txn_abort(t);
}
