/* SPDX-License-Identifier: Apache-2.0 */
/* Does the foreground notice what it is for? A system that stands still once, and one that fails.
 */
#include "selftest.h"
#include "workers.h"

#include <stdio.h>

#define STALL_NS UINT64_C(300000000)
#define SLOW_NS UINT64_C(50000000)
#define RATE 1000
#define SLICES 6

static int open_nothing(const char *place, bool sync, void **session_out)
{
    static uint64_t commits;

    (void)place;
    (void)sync;
    commits = 0;
    *session_out = &commits;
    return 0;
}

static void close_nothing(void *session)
{
    (void)session;
}

static int stall_once(void *session, enum bench_table table, uint64_t from, uint64_t to)
{
    uint64_t *commits = session;

    (void)table;
    (void)from;
    (void)to;
    if (++*commits == 100) {
        bench_sleep_until(bench_now_ns() + STALL_NS);
    }
    return 0;
}

static int fail_later(void *session, enum bench_table table, uint64_t from, uint64_t to)
{
    uint64_t *commits = session;

    (void)table;
    (void)from;
    (void)to;
    return ++*commits == 100;
}

/* How many commits took long; UINT64_MAX when the foreground has failed. */
static uint64_t slow_ones(int (*insert)(void *session, enum bench_table table, uint64_t from,
                                        uint64_t to),
                          double rate, unsigned threads)
{
    static struct hist h;
    const struct driver driver = {.name = "none",
                                  .one_process = threads > 1,
                                  .open = open_nothing,
                                  .close = close_nothing,
                                  .insert = insert};
    struct foreground f = {
        .driver = &driver, .place = "", .processes = threads, .rows = 1, .rate = rate};
    struct workers *w = workers_start(&f);
    uint64_t slow = 0;
    int rc = workers_wait(w, SLICES);

    rc |= workers_stop(w);
    workers_merge(w, 0, SLICES_MAX, &h);
    workers_free(w);
    while (slow < h.count &&
           hist_quantile(&h, (double)(h.count - slow) / (double)h.count) > SLOW_NS) {
        slow++;
    }
    return rc != 0 ? UINT64_MAX : slow;
}

int workers_self_test(void)
{
    uint64_t closed = slow_ones(stall_once, 0, 1);
    uint64_t open = slow_ones(stall_once, RATE, 1);
    uint64_t felt = (STALL_NS - SLOW_NS) * RATE / UINT64_C(1000000000);

    if (closed == UINT64_MAX || open == UINT64_MAX || open < closed + felt / 2) {
        fprintf(
            stderr,
            "bench: a stall of %d ms was felt by %llu commits, at a fixed rate by %llu of %llu\n",
            (int)(STALL_NS / 1000000), (unsigned long long)closed, (unsigned long long)open,
            (unsigned long long)felt);
        return 1;
    }
    if (slow_ones(fail_later, 0, 1) != UINT64_MAX || slow_ones(fail_later, 0, 2) != UINT64_MAX) {
        fprintf(stderr, "bench: a commit that failed was not noticed\n");
        return 1;
    }
    return 0;
}
