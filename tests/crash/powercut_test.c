/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power-cut campaign: workloads are recorded, the power is cut in all places of the record, and
 * each disk that may be left is recovered and compared with the model (powerlook.h says how).
 * INSTAR_POWERCUT_STATES sets how many states are looked at, in all; 500000 is a long run.
 */
#define _GNU_SOURCE
#include "support/powerlook.h"
#include "support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define STATES 2400
#else
#define STATES 24000
#endif

static uint64_t states_wanted(unsigned percent)
{
    return test_env_u64("INSTAR_POWERCUT_STATES", STATES) * percent / 100;
}

struct campaign {
    const char *name;
    oracle_script script;
    bool with_create;
    unsigned percent; /* of all states */
    uint64_t each;    /* at most so many states of one script */
};

/* A script of the shape for each round, other in each, until enough states have been seen. */
static void run(const struct campaign *c, struct powerlook *l)
{
    struct powercut_result sum = {0};
    uint64_t wanted = states_wanted(c->percent);
    for (uint64_t round = 0; sum.bad == 0 && sum.states < wanted; round++) {
        struct oracle o = {.stream = round, .value_bytes_max = 500 + 1500 * (round % 5)};
        struct powercut_result one;
        uint64_t left = wanted - sum.states;
        c->script(&o);
        oracle_ready(&o);
        l->oracle = &o;
        l->options = powerlook_options();
        struct trace *t = powerlook_record(&o, c->with_create);
        struct powercut job = {.trace = t,
                               .path = powerlook_state(),
                               .wanted = left < c->each ? left : c->each,
                               .stream = round,
                               .look = powerlook_look,
                               .arg = l};
        powercut_run(&job, &one);
        powerlook_add(&sum, &one);
        trace_free(t);
        oracle_free(&o);
        cr_assert_gt(one.cuts, 0);
    }
    powercut_print(c->name, &sum);
    cr_assert_eq(sum.bad, 0, "%s", sum.text);
}

/* Making a store and opening it first: there is none, or a whole one. */
Test(powercut, create)
{
    run(&(struct campaign){.name = "create",
                           .script = oracle_script_create,
                           .with_create = true,
                           .percent = 10,
                           .each = 400},
        &(struct powerlook){.finish_every = 7});
}

/* Commits, sync and async, over many segments, while the applier follows. */
Test(powercut, commits_and_segments)
{
    run(&(struct campaign){.name = "commits and segments",
                           .script = oracle_script_commits,
                           .percent = 20,
                           .each = 1000},
        &(struct powerlook){.finish_every = 19});
}

/* The applier urged on after every few commits: LMDB's part of the order. */
Test(powercut, apply)
{
    run(
        &(struct campaign){
            .name = "apply", .script = oracle_script_apply, .percent = 15, .each = 1000},
        &(struct powerlook){.finish_every = 19});
}

/* Trees made, built online, folded, dropped, and the store closed and opened, in any order. */
Test(powercut, trees)
{
    run(
        &(struct campaign){
            .name = "trees", .script = oracle_script_any, .percent = 20, .each = 1000},
        &(struct powerlook){.finish_every = 5});
}

/* Without shared memory control and memtables lie in the store. They are written through maps,
 * which nothing records: after a cut they are any old bytes, here none. */
Test(powercut, runtime_in_the_store)
{
    test_fault_set(&(struct test_fault){
        .op = OS_OP_OPEN, .name = "/dev/shm", .nth = 1, .error = ENOENT, .sticky = true});
    run(&(struct campaign){.name = "runtime directory in the store",
                           .script = oracle_script_any,
                           .percent = 5,
                           .each = 300},
        &(struct powerlook){.finish_every = 19});
    test_hooks_clear();
}

/* A second power cut, during the recovery from the first, and after it. */
Test(powercut, recovery)
{
    struct powerlook l = {.nest = true, .nest_states = 40};
    l.nested = test_shared(sizeof(*l.nested));
    run(&(struct campaign){.name = "recovery, first cut",
                           .script = oracle_script_recovery,
                           .percent = 1,
                           .each = 40},
        &l);
    powercut_print("recovery, second cut", l.nested);
    cr_assert_gt(l.nested->states, states_wanted(1));
}

/* After a kill the next process sees in the page cache what the disk may not hold. What it accepts
 * and shows must be on the disk before: so it writes it back, and syncs. */

static struct powercut_result cut_after_kill(const struct oracle *o, struct trace *before,
                                             uint64_t round, uint64_t wanted)
{
    struct powercut_result result = {0};
    struct powerlook l = {.oracle = o, .options = powerlook_options(), .finish_every = 19};
    uint64_t from = before->step;
    struct trace *after = powerlook_record_recovery(
        &l, powerlook_root(), powerlook_last_mark(before, POWERCUT_DURABLE),
        powerlook_last_mark(before, POWERCUT_ISSUED), result.text, sizeof(result.text));
    if (after == NULL) {
        result.bad = 1;
        return result;
    }
    struct trace *t = trace_join(before, after);
    struct powercut job = {.trace = t,
                           .path = powerlook_state(),
                           .from = from,
                           .wanted = wanted,
                           .stream = round,
                           .look = powerlook_look,
                           .arg = &l};
    powercut_run(&job, &result);
    trace_free(t);
    return result;
}

/* A process is killed at any of its operations; another one opens the store and goes on; then the
 * power is cut. */
Test(powercut, kill_and_recovery)
{
    struct powercut_result sum = {0};
    uint64_t wanted = states_wanted(15);
    uint64_t kills = 0;
    struct test_random random = test_random(77);
    for (uint64_t round = 0; sum.bad == 0 && sum.states < wanted; round++) {
        struct oracle o = {.stream = 500 + round, .value_bytes_max = 3000};
        struct powercut_result one = {0};
        (round % 2 != 0 ? oracle_script_burst : oracle_script_any)(&o);
        oracle_ready(&o);
        struct trace *t = powerlook_record_kill(&o, 1 + test_random_below(&random, 250));
        if (t != NULL) {
            kills++;
            uint64_t left = wanted - sum.states;
            one = cut_after_kill(&o, t, round, left < 150 ? left : 150);
        } else {
            /* Whoever comes next clears away what the killed one has left. */
            struct store *s = NULL;
            instar_options options = powerlook_options();
            must(store_open(powerlook_store(), &options, &s, &test_err));
            must(store_close(s, &test_err));
        }
        powerlook_add(&sum, &one);
        oracle_free(&o);
    }
    test_remove(powerlook_root());
    printf("%llu kills; ", (unsigned long long)kills);
    powercut_print("after a kill and a recovery", &sum);
    cr_assert_eq(sum.bad, 0, "%s", sum.text);
}
