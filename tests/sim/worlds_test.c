/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worlds of a few processes whose threads run one at a time, in an order that a seed decides, in a
 * time of their own.
 *
 * INSTAR_SIM_WORLDS   how many
 * INSTAR_SIM_LANES    in so many processes side by side; 0: one for each processor
 * INSTAR_SIM_WORLD    the number of the only one, which is run twice
 * INSTAR_SIM_FROM, INSTAR_SIM_TO    steps of it that are told
 */
#include "sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define WORLDS 40
#else
#define WORLDS 200
#endif
#define AGAIN_EACH 20 /* one world in so many is run twice */
#define LANES_MAX 16

struct lanes {
    uint64_t first, worlds;
    uint32_t count;
    _Atomic bool stop; /* somebody has found something */
    struct sim_result sums[LANES_MAX];
};

struct lane {
    struct lanes *all;
    uint32_t number;
};

static void add(struct sim_result *sum, const struct sim_result *r)
{
    sum->worlds += r->worlds;
    sum->steps += r->steps;
    sum->turns += r->turns;
    sum->commits += r->commits;
    sum->changes += r->changes;
    sum->kills += r->kills;
    sum->freezes += r->freezes;
    sum->lived_ns += r->lived_ns;
}

static void run_one(uint64_t number, bool twice, struct sim_result *sum)
{
    struct sim_result r, again;

    sim_run_world(number, &r);
    add(sum, &r);
    if (r.words[0] != '\0') {
        sum->failed = number;
        memcpy(sum->words, r.words, sizeof(sum->words));
    } else if (twice) {
        sim_run_world(number, &again);
        if (again.trace != r.trace) {
            sum->failed = number;
            (void)snprintf(sum->words, sizeof(sum->words), "it is another one when run again");
        }
    }
}

static void run_lane(struct test_child *self, void *arg)
{
    const struct lane *lane = arg;
    struct lanes *all = lane->all;
    struct sim_result *sum = &all->sums[lane->number];

    (void)self;
    sim_make_template(lane->number);
    for (uint64_t i = lane->number; i < all->worlds && !atomic_load(&all->stop); i += all->count) {
        run_one(all->first + i, i / all->count % AGAIN_EACH == 0, sum);
        if (sum->failed != 0) {
            atomic_store(&all->stop, true);
        }
    }
    sim_leave_template();
}

static void run_worlds(struct lanes *all)
{
    struct test_child children[LANES_MAX];
    struct lane lanes[LANES_MAX];

    (void)test_fast_dir(); /* one for all, which only this process removes */
    for (uint32_t i = 0; i < all->count; i++) {
        lanes[i] = (struct lane){all, i};
        test_fork(&children[i], run_lane, &lanes[i]);
    }
    for (uint32_t i = 0; i < all->count; i++) {
        test_wait_ok(&children[i]);
    }
}

static uint32_t lane_count(void)
{
    uint64_t count = test_env_u64("INSTAR_SIM_LANES", 1);

    count = count != 0 ? count : os_cpu_count();
    return count < LANES_MAX ? (uint32_t)count : LANES_MAX;
}

Test(worlds, keep_what_was_promised, .timeout = 3000)
{
    struct sim_result sum = {.steps = 0};
    uint64_t only = test_env_u64("INSTAR_SIM_WORLD", 0);
    struct lanes *all = test_shared(sizeof(*all));

    all->count = only != 0 ? 1 : lane_count();
    all->worlds = only != 0 ? 1 : test_env_u64("INSTAR_SIM_WORLDS", WORLDS);
    all->first = only != 0 ? only : (test_seed() - 1) * all->worlds + 1;
    run_worlds(all);
    for (uint32_t i = 0; i < all->count; i++) {
        const struct sim_result *r = &all->sums[i];
        add(&sum, r);
        cr_assert_eq(r->failed, 0, "world %" PRIu64 ": %s\nreplay: INSTAR_SIM_WORLD=%" PRIu64,
                     r->failed, r->words, r->failed);
    }
    fprintf(stderr,
            "%" PRIu64 " worlds: %" PRIu64 " steps, %" PRIu64 " turns, %" PRIu64
            " commits, %" PRIu64 " changes, %" PRIu64 " kills, %" PRIu64 " freezes, %" PRIu64
            " s of their time\n",
            sum.worlds, sum.steps, sum.turns, sum.commits, sum.changes, sum.kills, sum.freezes,
            sum.lived_ns / SIM_NS_PER_S);
    expect_u64(sum.worlds, all->worlds);
    munmap(all, sizeof(*all));
}
