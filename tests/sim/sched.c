/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler. Threads are real ones, in several processes, but each runs only while it has the
 * turn: a word of its own, at which all others sleep. Whoever has it decides who is next, by the
 * shared chance, so the order of all steps follows from the seed alone.
 *
 *      READY ──(chosen)──► has the turn ──► READY      at any step
 *        ▲                    │
 *        └──(woken, time)── WAITING
 *
 * Time stands still but for a little at each step, and for leaps: when nobody is ready, to the
 * first moment for which somebody waits; and now and then while somebody is, who then was slow.
 */
#define _GNU_SOURCE
#include "sim/sim.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY UINT32_MAX
#define LOOK_NS 50000000L /* real time after which the director looks at the processes */
#define LOOKS_MAX 1200

struct sim *sim;
static _Thread_local uint32_t self = NOBODY;

/* The call itself: the name alone is bent to this scheduler. */
long __real_syscall(long number, ...);

void sim_begin(uint64_t seed)
{
    void *shared = test_shared(sizeof(*sim));
    struct test_random r = {.state = seed * 0x9e3779b97f4a7c15u};

    sim = shared;
    sim->choice.state = test_random_next(&r);
    sim->bytes.state = test_random_next(&r);
    sim->now_ns = SIM_BEGIN_NS;
    sim->high = 1;
    sim->switch_one_in = 1;
    sim->leap_one_in = UINT32_MAX;
    sim->tick_ns = 1000;
    sim->at_step = sim->steps_max = SIM_NEVER;
    sim->trace_from = test_env_u64("INSTAR_SIM_FROM", SIM_NEVER);
    sim->trace_to = test_env_u64("INSTAR_SIM_TO", SIM_NEVER);
    sim->threads[SIM_DIRECTOR] = (struct sim_thread){.state = SIM_WAITING, .node = NOBODY};
    self = SIM_DIRECTOR;
}

void sim_finish(void)
{
    munmap(sim, sizeof(*sim));
    sim = NULL;
    self = NOBODY;
}

bool sim_is_scheduled(void)
{
    return self != NOBODY && self != SIM_DIRECTOR;
}

uint32_t sim_node(void)
{
    return sim->threads[self].node;
}

void sim_fail(const char *fmt, ...)
{
    va_list args;

    if (sim->words[0] == '\0') {
        va_start(args, fmt);
        (void)vsnprintf(sim->words, sizeof(sim->words), fmt, args);
        va_end(args);
    }
    self = NOBODY; /* keeping them takes a lock, which is no step of the world */
    test_keep_counts();
    _exit(TEST_FAILED);
}

/* ---- turns --------------------------------------------------------------------------------- */

static void sleep_until_turn(struct sim_thread *t)
{
    while (atomic_load(&t->turn) == 0) {
        (void)__real_syscall(SYS_futex, &t->turn, FUTEX_WAIT, 0, NULL, NULL, 0);
    }
    atomic_store(&t->turn, 0);
}

static void give_turn(uint32_t to)
{
    struct sim_thread *t = &sim->threads[to];

    sim->running = to;
    atomic_store(&t->turn, 1);
    (void)__real_syscall(SYS_futex, &t->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool is_frozen(const struct sim_thread *t)
{
    return t->node < SIM_NODES && sim->nodes[t->node].frozen_until_ns != 0;
}

/* Those whose time has come. */
static void look_at_time(void)
{
    for (uint32_t i = 0; i < SIM_NODES; i++) {
        if (sim->nodes[i].frozen_until_ns <= sim->now_ns) {
            sim->nodes[i].frozen_until_ns = 0;
        }
    }
    for (uint32_t i = 0; i < sim->high; i++) {
        struct sim_thread *t = &sim->threads[i];
        if (t->state == SIM_WAITING && t->until_ns <= sim->now_ns) {
            t->state = SIM_READY;
            t->timed_out = true;
        }
    }
}

/* To the first moment for which anybody waits; false: for none, or none that is so near. */
static bool leap(uint64_t most_ns)
{
    uint64_t first = SIM_NEVER;

    for (uint32_t i = 0; i < SIM_NODES; i++) {
        uint64_t until_ns = sim->nodes[i].frozen_until_ns;
        first = until_ns != 0 && until_ns < first ? until_ns : first;
    }
    for (uint32_t i = 0; i < sim->high; i++) {
        const struct sim_thread *t = &sim->threads[i];
        if (t->state == SIM_WAITING && t->until_ns < first && !is_frozen(t)) {
            first = t->until_ns;
        }
    }
    if (first == SIM_NEVER || (first > sim->now_ns && first - sim->now_ns > most_ns)) {
        return false;
    }
    sim->now_ns = first > sim->now_ns ? first : sim->now_ns;
    look_at_time();
    return true;
}

static uint32_t choose_ready(void)
{
    uint32_t ready[SIM_THREADS];
    uint32_t count = 0;

    if (sim->threads[SIM_DIRECTOR].state == SIM_READY) {
        return SIM_DIRECTOR;
    }
    for (uint32_t i = 1; i < sim->high; i++) {
        const struct sim_thread *t = &sim->threads[i];
        if (t->state == SIM_READY && !is_frozen(t)) {
            ready[count++] = i;
        }
    }
    if (count == 0) {
        return NOBODY;
    }
    uint32_t chosen = ready[test_random_below(&sim->choice, count)];
    if (sim->threads[chosen].slow > 1 &&
        test_random_below(&sim->choice, sim->threads[chosen].slow) != 0) {
        chosen = ready[test_random_below(&sim->choice, count)];
    }
    return chosen;
}

static uint32_t choose(void)
{
    uint32_t next;

    sim->turns++;
    if (test_random_below(&sim->choice, sim->leap_one_in) == 0) {
        (void)leap(SIM_NS_PER_MS << test_random_below(&sim->choice, 10));
    }
    look_at_time();
    while ((next = choose_ready()) == NOBODY) {
        if (!leap(SIM_NEVER)) {
            sim->call = SIM_CALL_STUCK;
            return SIM_DIRECTOR;
        }
    }
    return next;
}

/* Somebody else goes on, and this thread when it has its turn again. */
static void pass_to(uint32_t next)
{
    if (next != self) {
        give_turn(next);
        sleep_until_turn(&sim->threads[self]);
    }
}

static void call_director(enum sim_call call)
{
    sim->call = call;
    pass_to(SIM_DIRECTOR);
}

/* ---- steps --------------------------------------------------------------------------------- */

static void trace(const char *what, uint64_t detail)
{
    uint64_t h = sim->trace ^ ((uint64_t)self << 56) ^ sim->now_ns;

    for (const char *c = what; *c != '\0'; c++) {
        h = (h ^ (uint8_t)*c) * 0x100000001b3u;
    }
    h = (h ^ detail) * 0x9e3779b97f4a7c15u;
    sim->trace = h ^ (h >> 29);
    if (sim->steps >= sim->trace_from && sim->steps <= sim->trace_to) {
        fprintf(stderr, "%10llu  %12.6f s  node %d thread %2u  %-24s %llx\n",
                (unsigned long long)sim->steps,
                (double)(sim->now_ns - SIM_BEGIN_NS) / (double)SIM_NS_PER_S,
                (int)sim->threads[self].node, self, what, (unsigned long long)detail);
    }
}

/* It gets no processor for a while, short or long. */
static void stall(void)
{
    uint64_t ns = sim->stall_ns >> test_random_below(&sim->choice, 12);

    (void)sim_wait((struct sim_key){0, 0}, 0,
                   sim->now_ns + test_random_below(&sim->choice, ns + 1));
}

void sim_step(const char *what, uint64_t detail)
{
    if (!sim_is_scheduled()) {
        return;
    }
    sim->steps++;
    sim->now_ns += 1 + test_random_below(&sim->choice, sim->tick_ns);
    trace(what, detail);
    if (sim->steps > sim->steps_max) {
        call_director(SIM_CALL_LONG);
    } else if (sim->steps >= sim->at_step) {
        sim->at_step = SIM_NEVER;
        call_director(SIM_CALL_STEP);
    } else if (test_random_below(&sim->choice, sim->threads[self].stall_one_in) == 0) {
        stall();
    } else if (test_random_below(&sim->choice, sim->switch_one_in) == 0) {
        pass_to(choose());
    }
}

static bool same_key(const struct sim_key *a, const struct sim_key *b)
{
    return a->where == b->where && a->at == b->at;
}

bool sim_wait(struct sim_key key, uint32_t group, uint64_t until_ns)
{
    struct sim_thread *t = &sim->threads[self];

    sim->steps++;
    trace("wait", until_ns);
    t->key = key;
    t->group = group;
    t->until_ns = until_ns;
    t->timed_out = false;
    t->state = SIM_WAITING;
    pass_to(choose());
    return !t->timed_out;
}

int sim_wake(struct sim_key key, uint32_t group, int count)
{
    int woken = 0;
    uint32_t waiting[SIM_THREADS];
    uint32_t left = 0;

    for (uint32_t i = 1; i < sim->high; i++) {
        const struct sim_thread *t = &sim->threads[i];
        if (t->state == SIM_WAITING && same_key(&t->key, &key) && (t->group & group) != 0) {
            waiting[left++] = i;
        }
    }
    while (left > 0 && woken < count) {
        uint32_t at = (uint32_t)test_random_below(&sim->choice, left);
        sim->threads[waiting[at]].state = SIM_READY;
        waiting[at] = waiting[--left];
        woken++;
    }
    return woken;
}

/* ---- threads come and go ------------------------------------------------------------------- */

uint32_t sim_thread_new(uint32_t node)
{
    for (uint32_t i = 1; i < SIM_THREADS; i++) {
        struct sim_thread *t = &sim->threads[i];
        if (t->state == SIM_FREE) {
            *t = (struct sim_thread){
                .state = SIM_READY, .node = node, .slow = 1, .stall_one_in = UINT32_MAX};
            if (test_random_chance(&sim->choice, 20)) {
                t->slow = 2u << test_random_below(&sim->choice, 6);
            }
            if (test_random_chance(&sim->choice, sim->stalls_percent)) {
                t->stall_one_in = 50u << test_random_below(&sim->choice, 6);
            }
            sim->high = i >= sim->high ? i + 1 : sim->high;
            return i;
        }
    }
    sim_fail("more than %d threads", SIM_THREADS);
}

void sim_thread_enter(uint32_t thread)
{
    self = thread;
    sleep_until_turn(&sim->threads[thread]);
}

void sim_thread_leave(void)
{
    trace("leave", 0);
    sim->threads[self].state = SIM_ENDED;
    (void)sim_wake((struct sim_key){.where = SIM_ENDS, .at = self}, UINT32_MAX, 1);
    give_turn(choose());
    self = NOBODY;
}

void sim_node_leave(void)
{
    trace("leave", 1);
    sim->threads[self].state = SIM_ENDED;
    sim->ended = sim->threads[self].node;
    sim->call = SIM_CALL_END;
    fflush(NULL);
    self = NOBODY;
    test_keep_counts();
    give_turn(SIM_DIRECTOR);
    _exit(0);
}

void sim_node_forget(uint32_t node)
{
    sim->nodes[node].lives = false;
    sim->nodes[node].frozen_until_ns = 0;
    for (uint32_t i = 1; i < sim->high; i++) {
        struct sim_thread *t = &sim->threads[i];
        if (t->state != SIM_FREE && t->node == node) {
            *t = (struct sim_thread){.state = SIM_FREE};
        }
    }
    /* What they held is free now: who waits for anything that processes share looks again. */
    for (uint32_t i = 1; i < sim->high; i++) {
        struct sim_thread *t = &sim->threads[i];
        if (t->state == SIM_WAITING && (t->key.where & SIM_SHARED) != 0) {
            t->state = SIM_READY;
        }
    }
}

/* ---- the director -------------------------------------------------------------------------- */

/* Its turn, or what became of a process that will never give it. */
static enum sim_call await_turn(struct sim_thread *t)
{
    struct timespec look = {.tv_nsec = LOOK_NS};

    for (int looks = 0; atomic_load(&t->turn) == 0; looks++) {
        uint64_t steps = sim->steps;
        long rc = __real_syscall(SYS_futex, &t->turn, FUTEX_WAIT, 0, &look, NULL, 0);
        if (rc == 0 || errno != ETIMEDOUT) {
            continue;
        }
        sim->died_pid = waitpid(-1, &sim->died_status, WNOHANG);
        if (sim->died_pid > 0) {
            return SIM_CALL_DIED;
        }
        looks = sim->steps != steps ? 0 : looks;
        if (looks > LOOKS_MAX) {
            return SIM_CALL_HANGS;
        }
    }
    atomic_store(&t->turn, 0);
    return sim->call;
}

enum sim_call sim_direct(uint64_t until_ns)
{
    struct sim_thread *t = &sim->threads[SIM_DIRECTOR];

    sim->call = SIM_CALL_NONE;
    t->until_ns = until_ns;
    t->state = SIM_WAITING;
    uint32_t next = choose();
    if (next == SIM_DIRECTOR) {
        return sim->call;
    }
    give_turn(next);
    return await_turn(t);
}
