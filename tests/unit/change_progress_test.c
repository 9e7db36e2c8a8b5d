/* SPDX-License-Identifier: Apache-2.0 */
/* Live progress in shared memory. */
#include "support/stores.h"

#include <stdio.h>

#include "change/job_impl.h"

/* What a runner shows is seen under the change's id only, and goes when the change has ended. */
Test(change_progress, is_seen_by_id)
{
    struct store *s = stores_make(NULL);
    struct live live = {.rows_done = 5, .rows_total = 10, .stage = "build"};
    struct live seen;
    size_t a = live_open(s, 1, &seen);
    size_t b = live_open(s, 2, &seen);

    cr_assert(a != b);
    live_write(s, a, 1, &live);
    live.rows_done = 6;
    live_write(s, b, 2, &live);
    cr_assert(live_read(s, 1, &seen) && seen.rows_done == 5);
    cr_assert(live_read(s, 2, &seen) && seen.rows_done == 6);
    cr_assert_str_eq(seen.stage, "build");
    cr_assert(!live_read(s, 3, &seen));
    live_close(s, a, 1);
    cr_assert(!live_read(s, 1, &seen));
    /* A runner that has lost its change writes into nobody's slot. */
    size_t c = live_open(s, 9, &seen);
    cr_assert_eq(c, a);
    live.rows_done = 99;
    live_write(s, a, 1, &live);
    cr_assert(live_read(s, 9, &seen) && seen.rows_done == 0);
    live_close(s, a, 1);
    cr_assert(live_read(s, 9, &seen));
    stores_close(s);
}

/* The next runner of a change finds what the last one showed: rows never fall. */
Test(change_progress, is_taken_over)
{
    struct store *s = stores_make(NULL);
    struct live live = {.rows_done = 5, .stage = "build"};
    struct live seen;
    size_t a = live_open(s, 1, &seen);

    live_write(s, a, 1, &live);
    cr_assert_eq(live_open(s, 1, &seen), a);
    cr_assert_eq(seen.rows_done, 5);
    cr_assert_str_eq(seen.stage, "build");
    stores_close(s);
}

/* When all slots are taken, a change runs without. */
Test(change_progress, without_a_slot)
{
    struct store *s = stores_make(NULL);
    struct live seen;
    uint64_t id = 1;

    while (live_open(s, id, &seen) != LIVE_NONE) {
        cr_assert(++id < 1000);
    }
    live_write(s, LIVE_NONE, id, &seen);
    cr_assert(!live_read(s, id, &seen));
    live_close(s, LIVE_NONE, id);
    stores_close(s);
}

struct shower {
    struct store *s;
    size_t slot;
    _Atomic bool stop;
};

static void *write_on(void *arg)
{
    struct shower *w = arg;
    struct live live = {0};

    while (!atomic_load(&w->stop)) {
        live.rows_done++;
        live.rows_total = live.rows_done * 2;
        live.delta_backlog = live.rows_done * 3;
        snprintf(live.waiting_for, sizeof(live.waiting_for), "%llu",
                 (unsigned long long)live.rows_done);
        live_write(w->s, w->slot, 1, &live);
    }
    return NULL;
}

/* A reader never sees a half of one and a half of the other. */
Test(change_progress, is_read_whole)
{
    struct shower w = {.s = stores_make(NULL)};
    struct live seen;
    struct os_thread thread;
    int whole = 0;

    w.slot = live_open(w.s, 1, &seen);
    cr_assert_eq(os_thread_start(&thread, "shower", write_on, &w), 0);
    while (whole < 20000) {
        char wanted[24];
        if (!live_read(w.s, 1, &seen) || seen.rows_done == 0) {
            continue;
        }
        snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)seen.rows_done);
        cr_assert_eq(seen.rows_total, seen.rows_done * 2);
        cr_assert_eq(seen.delta_backlog, seen.rows_done * 3);
        cr_assert_str_eq(seen.waiting_for, wanted);
        whole++;
    }
    atomic_store(&w.stop, true);
    os_thread_join(&thread);
    stores_close(w.s);
}
