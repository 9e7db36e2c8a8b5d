/* SPDX-License-Identifier: Apache-2.0 */
/* How commits are slowed down when they come faster than the log is folded. */
#include "store/admit.h"
#include "store/apply_impl.h"
#include "store/control.h"
#include "store/memtable.h"
#include "support/stores.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define SEGMENT (UINT64_C(64) << 20)
#define MIB (UINT64_C(1) << 20)
#define NS_PER_S UINT64_C(1000000000)
#define TREE 1
#define COST (1000 * NS_PER_S) /* for a MiB: a commit of some bytes is due for a tenth */
#define WRITES_MAX 100000
#define ROWS 100
#define NS_PER_MIB (NS_PER_S / 16) /* 16 MiB are folded in a second */

/* A store of which nothing is there but the words that these functions share: four segments of 64
 * MiB may be pending, two are folded together. */
static struct store half;

static void make_half(void)
{
    half = (struct store){.segment_bytes = SEGMENT, .options = {.segments_pending = 4}};
    half.ctl = calloc(1, sizeof(*half.ctl));
    cr_assert_not_null(half.ctl);
    admit_folded(&half, 0, 4 * SEGMENT, 4 * SEGMENT / MIB * NS_PER_MIB);
}

static void free_half(void)
{
    free(half.ctl);
}

TestSuite(store_admit, .init = make_half, .fini = free_half);

/* What is let in when so many segments are written, and the fold of the first two has taken a part
 * of its time. */
static uint64_t rate_at(double written, double part)
{
    control_store(&half.ctl->tail, (uint64_t)(written * (double)SEGMENT));
    admit_folding(&half, 0, 2 * SEGMENT,
                  (uint64_t)(part * (double)(2 * SEGMENT / MIB * NS_PER_MIB)));
    return admit_rate(&half) / MIB;
}

/* What has come in the first half of the fold should not be more than half of what has room. */
Test(store_admit, what_comes_slowly_is_let_in)
{
    expect_u64(rate_at(2, 0), 0);
    expect_u64(rate_at(2.9, 0.5), 0);
    expect(rate_at(3.1, 0.5) != 0);
    expect_u64(rate_at(3.2, 0.95), 0);
}

/* The room is for all of the time that is left, at 16 MiB a second, less a fourth. */
Test(store_admit, the_room_is_shared_out)
{
    expect_u64(rate_at(2.001, 0), 11);
    expect_u64(rate_at(3, 0), 6);
    expect_u64(rate_at(3.5, 0), 3);
    expect_u64(rate_at(3.5, 0.5), 6);
    expect_u64(rate_at(4, 0), 0);
    expect_u64(atomic_load(&half.ctl->admit_cost), 10 * NS_PER_S);
}

/* A fold that takes longer than expected: what is left of the room must do. */
Test(store_admit, a_slow_fold_lets_less_and_less_in)
{
    expect_u64(rate_at(3.5, 1), 9);
    expect_u64(rate_at(3.6, 2), 3);
    expect_u64(rate_at(3.7, 4), 1);
}

/* While the applier folds the delta of a build that ends, the room must do for that and for the
 * fold behind it: however little of the log is pending. */
Test(store_admit, a_delta_goes_first)
{
    control_store(&half.ctl->tail, 2 * SEGMENT);
    admit_held_up(&half, 0, 0);
    expect_u64(admit_rate(&half) / MIB, 12);
    admit_held_up(&half, 0, 8 * NS_PER_S);
    expect_u64(admit_rate(&half) / MIB, 6);
    control_store(&half.ctl->tail, 3 * SEGMENT + SEGMENT / 2);
    admit_held_up(&half, 0, 8 * NS_PER_S);
    expect_u64(admit_rate(&half) / MIB, 1);
    control_store(&half.ctl->tail, SEGMENT / 64);
    admit_held_up(&half, 0, NS_PER_S);
    expect(admit_rate(&half) / MIB > 150);
}

/* A slower fold counts at once, a faster one bit by bit, a small one little. */
Test(store_admit, slow_folds_are_remembered)
{
    admit_folded(&half, 0, MIB, NS_PER_S);
    uint64_t expected = atomic_load(&half.ctl->fold_cost);
    expect(expected > NS_PER_MIB && expected < NS_PER_MIB * 5 / 4);
    admit_folded(&half, 0, 2 * SEGMENT, 2 * SEGMENT / MIB * NS_PER_S);
    expect_u64(atomic_load(&half.ctl->fold_cost), NS_PER_S);
    admit_folded(&half, 0, 2 * SEGMENT, 2 * SEGMENT / MIB * NS_PER_MIB);
    expected = atomic_load(&half.ctl->fold_cost);
    expect(expected > NS_PER_S * 8 / 10 && expected < NS_PER_S * 9 / 10);
}

/* Bytes are due one after the other; nobody waits for more than a tenth of a second, nobody past
 * his deadline, and what was not used is not saved up. */
Test(store_admit, commits_take_their_turns)
{
    uint64_t begun = os_now_ns();
    atomic_store(&half.ctl->admit_cost, NS_PER_S / 4);
    admit_wait(&half, MIB / 64, UINT64_MAX); /* 3.9 ms of the rate */
    uint64_t due = atomic_load(&half.ctl->admit_due_ns);
    expect(due >= begun + NS_PER_S / 256 - NS_PER_S / 1000);
    admit_wait(&half, 16 * MIB, UINT64_MAX);
    expect(os_now_ns() >= due);
    expect_u64(atomic_load(&half.ctl->admit_due_ns), due + 4 * NS_PER_S);
    begun = os_now_ns();
    admit_wait(&half, 0, begun + NS_PER_S / 100);
    expect(os_now_ns() >= begun + NS_PER_S / 100);
    expect(atomic_load(&half.ctl->admit_due_ns) <= os_now_ns() + NS_PER_S / 10);
}

/* Rows that are small fill the memtable of a segment before its log: that is what they take. */
Test(store_admit, small_rows_take_of_the_memtable)
{
    struct store *s = stores_make_tree(NULL, TREE);
    uint64_t begun, due, tail, cost = 100 * NS_PER_S;
    do { /* the applier takes the cost back */
        struct store_txn *t = stores_begin(s, 0);
        for (int i = 0; i < ROWS; i++) {
            char key[16];
            (void)snprintf(key, sizeof(key), "%d", i);
            stores_put(t, TREE, key, "");
        }
        atomic_store(&s->ctl->admit_due_ns, 0);
        atomic_store(&s->ctl->admit_cost, cost);
        tail = store_tail(s);
        begun = os_now_ns();
        stores_commit(t);
        due = atomic_load(&s->ctl->admit_due_ns);
    } while (due == 0);
    uint64_t nodes = memtable_bytes_for(ROWS) - memtable_bytes_for(0);
    expect(store_tail(s) - tail < nodes);
    expect(due + NS_PER_S / 100 > begun + nodes * cost / MIB);
    stores_close(s);
}

/* With nothing to fold, or none who can, all commits go on. */
Test(store_admit, no_fold_no_limit)
{
    expect(rate_at(3, 0) != 0);
    uint64_t due = atomic_load(&half.ctl->admit_due_ns);
    admit_all(&half);
    expect_u64(admit_rate(&half), 0);
    admit_wait(&half, 16 * MIB, UINT64_MAX);
    expect_u64(atomic_load(&half.ctl->admit_due_ns), due);
}

/* The log fills faster than it is folded: the rate is told, and falls away when all is folded. */
Test(store_admit, a_store_tells_its_limit)
{
    instar_stats stats = {.struct_size = sizeof(stats)};
    struct store *s = stores_make(NULL);
    while (stats.commit_limit == 0) { /* the applier has nothing to fold, and takes it back */
        atomic_store(&s->ctl->admit_cost, NS_PER_S);
        store_stat(s, &stats);
    }
    expect_u64(stats.commit_limit, MIB);
    stores_tree_op(s, STORE_TREE_CREATE, 1);
    stores_await_folding(s, stores_write(s, 1, "k", "1"));
    while (atomic_load(&s->ctl->admit_cost) != 0) {
        uint32_t seen = atomic_load(&s->ctl->urge.seen);
        control_sleep(&s->ctl->urge, seen, UINT64_MAX, NS_PER_S / 100);
    }
    stores_close(s);
}

/* ---- death of one who waits ---------------------------------------------------------------- */

static void die_as_it_waits(struct test_child *self, void *arg)
{
    (void)arg;
    test_until_told(self);
    struct store *s = stores_open(NULL);
    test_kill_at_point("admit.waits", 1);
    for (int i = 0; i < WRITES_MAX; i++) {
        atomic_store(&s->ctl->admit_cost, COST); /* the applier takes it back */
        stores_write(s, TREE, i % 2 == 0 ? "even" : "odd", "value");
    }
    test_fail(__FILE__, __LINE__, "it did not wait");
}

/* Who dies as he waits to be let in has committed nothing of what he waits for, holds nothing, and
 * what he has taken of the rate passes with time. */
Test(store_admit, death_of_one_who_waits)
{
    struct test_child victim;
    stores_path();
    test_fork(&victim, die_as_it_waits, NULL);
    struct store *s = stores_make_tree(NULL, TREE);
    stores_write(s, TREE, "before", "value");
    test_send(&victim, 0);
    expect(test_wait(&victim) == -SIGKILL);
    stores_read(s, TREE, "before", "value");
    stores_write(s, TREE, "after", "value");
    must(store_verify(s, NULL, NULL, &test_err));
    stores_close(s);
    s = stores_open(NULL);
    stores_read(s, TREE, "before", "value");
    stores_read(s, TREE, "after", "value");
    stores_close(s);
}
