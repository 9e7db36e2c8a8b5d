/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One world: a copy of a store, some nodes, and a director who kills and stops them at times that
 * the seed has chosen. When all is done a last node ends what was begun, and looks at everything.
 */
#define _GNU_SOURCE
#include "sim/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEMPLATE_SEED 0x5eed
#define STEPS_MAX 4000000
#define WORLD_NS (600 * SIM_NS_PER_S)
#define TXN_NS (120 * SIM_NS_PER_S)
#define LEASE_ENDS_MS 28000 /* before a change fences whoever is in its way */
#define CHECKER 0           /* its node number; nobody else is there then */

enum role { ROLE_WORK, ROLE_MAKE, ROLE_CHECK, ROLE_TRY };

struct world {
    struct test_random random;
    struct history *history;
    struct sim_job *job; /* shared, as the history */
    struct sim_result *result;
    pid_t pids[SIM_NODES]; /* as the kernel knows them; 0: none */
    uint32_t next_pid;
    uint32_t deaths_left, freezes_left, sleeps_left;
    uint64_t gap;        /* steps between two events */
    uint64_t longest_ms; /* that anybody stands still */
    bool done[SIM_NODES];
    void (*fn)(void *arg); /* ROLE_TRY */
    void *arg;
};

/* ---- files --------------------------------------------------------------------------------- */

static uint32_t lane; /* of this process's worlds */

static const char *path_of(const char *name, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%s%u", test_fast_dir(), name, lane);
    return path;
}

const char *sim_path(void)
{
    static char path[320];

    return path_of("db", path, sizeof(path));
}

static const char *template_path(void)
{
    static char path[320];

    return path_of("template", path, sizeof(path));
}

static void copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
    int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
    int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 07777);
    off_t left = st->st_size;

    expect(from >= 0 && to >= 0);
    while (left > 0) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)left, 0);
        expect(n > 0);
        left -= n;
    }
    close(from);
    close(to);
}

static void copy_tree(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    char a[700], b[700];
    struct stat st;

    expect(dir != NULL && mkdir(to, 0700) == 0);
    int to_dir = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        expect(fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
        if (S_ISDIR(st.st_mode)) {
            (void)snprintf(a, sizeof(a), "%s/%s", from, e->d_name);
            (void)snprintf(b, sizeof(b), "%s/%s", to, e->d_name);
            copy_tree(a, b);
        } else {
            copy_file(dirfd(dir), to_dir, e->d_name, &st);
        }
    }
    close(to_dir);
    closedir(dir);
}

/* ---- processes ----------------------------------------------------------------------------- */

static void start(struct world *w, uint32_t node, enum role role)
{
    uint32_t thread = sim_thread_new(node);

    sim->threads[thread].slow = 1;
    sim->nodes[node] = (struct sim_node){.pid = 1000000 + w->next_pid++, .lives = true};
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    expect(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(TEST_FAILED);
        }
        sim_thread_enter(thread);
        if (role == ROLE_WORK) {
            sim_node_main(w->job, node);
        } else if (role == ROLE_MAKE) {
            sim_node_make();
        } else if (role == ROLE_CHECK) {
            sim_node_check(w->job);
        } else {
            w->fn(w->arg);
        }
        sim_node_leave();
    }
    w->pids[node] = pid;
}

/* Its locks are free when the kernel says that it is gone. */
static void await_end(struct world *w, uint32_t node)
{
    int status;

    while (waitpid(w->pids[node], &status, 0) < 0 && errno == EINTR) {
    }
    w->pids[node] = 0;
    if (w->job != NULL) {
        atomic_store(&w->job->changing[node], false);
    }
    sim_node_forget(node);
}

static void kill_node(struct world *w, uint32_t node)
{
    expect(kill(w->pids[node], SIGKILL) == 0);
    await_end(w, node);
}

static void wrong(struct world *w, const char *words)
{
    if (w->result->words[0] == '\0') {
        (void)snprintf(w->result->words, sizeof(w->result->words), "%s",
                       sim != NULL && sim->words[0] != '\0' ? sim->words : words);
    }
}

static void end_all(struct world *w)
{
    for (uint32_t i = 0; i < SIM_NODES; i++) {
        if (w->pids[i] != 0) {
            (void)kill(w->pids[i], SIGKILL);
            await_end(w, i);
        }
    }
}

/* ---- events -------------------------------------------------------------------------------- */

static uint64_t below(struct world *w, uint64_t limit)
{
    return test_random_below(&w->random, limit);
}

static void die(struct world *w, uint32_t node)
{
    kill_node(w, node);
    sim->nodes[node].back_ns = sim->now_ns + below(w, 3 * SIM_NS_PER_S);
    w->deaths_left--;
    w->result->kills++;
}

/* Mostly for longer than a lease, sometimes for less. */
static void freeze(struct world *w, uint32_t node)
{
    uint64_t ms = below(w, w->longest_ms);

    sim->nodes[node].frozen_until_ns = sim->now_ns + (1 + ms) * SIM_NS_PER_MS;
    w->freezes_left--;
    w->result->freezes++;
}

/* The machine sleeps, and the clock goes on. */
static void sleep_all(struct world *w)
{
    sim->now_ns += below(w, w->longest_ms) * SIM_NS_PER_MS;
    w->sleeps_left--;
}

static bool trouble_left(const struct world *w)
{
    return w->deaths_left + w->freezes_left + w->sleeps_left > 0;
}

static void make_trouble(struct world *w)
{
    uint32_t node = (uint32_t)below(w, SIM_NODES);
    uint64_t kind =
        trouble_left(w) ? below(w, w->deaths_left + w->freezes_left + w->sleeps_left) : UINT64_MAX;

    if (w->pids[node] == 0 || sim->nodes[node].frozen_until_ns != 0) {
        return;
    }
    if (kind < w->deaths_left) {
        die(w, node);
    } else if (kind < w->deaths_left + w->freezes_left) {
        freeze(w, node);
    } else if (kind != UINT64_MAX) {
        sleep_all(w);
    }
}

static void bring_back(struct world *w)
{
    for (uint32_t i = 0; i < SIM_NODES; i++) {
        if (w->pids[i] == 0 && !w->done[i] && sim->nodes[i].back_ns <= sim->now_ns) {
            start(w, i, ROLE_WORK);
        }
    }
}

static uint64_t next_return_ns(const struct world *w)
{
    uint64_t first = SIM_NEVER;

    for (uint32_t i = 0; i < SIM_NODES; i++) {
        if (w->pids[i] == 0 && !w->done[i] && sim->nodes[i].back_ns < first) {
            first = sim->nodes[i].back_ns;
        }
    }
    return first;
}

static bool all_done(const struct world *w)
{
    for (uint32_t i = 0; i < SIM_NODES; i++) {
        if (!w->done[i]) {
            return false;
        }
    }
    return true;
}

/* ---- the director's part ------------------------------------------------------------------- */

/* Until all nodes have ended; false: something is wrong. */
static bool direct(struct world *w, uint64_t limit_ns)
{
    char words[200];

    while (!all_done(w)) {
        uint64_t gap = trouble_left(w) ? 1 + below(w, w->gap) : 20000;
        sim->at_step = sim->steps + (gap < 20000 ? gap : 20000);
        enum sim_call call = sim_direct(next_return_ns(w));
        switch (call) {
        case SIM_CALL_STEP:
            make_trouble(w);
            break;
        case SIM_CALL_NONE:
            break;
        case SIM_CALL_END:
            await_end(w, sim->ended);
            w->done[sim->ended] = true;
            break;
        case SIM_CALL_STUCK:
            wrong(w, "a deadlock: nobody can go on, and nobody waits for a time");
            return false;
        case SIM_CALL_LONG:
            wrong(w, "it does not end: too many steps");
            return false;
        case SIM_CALL_DIED:
            (void)snprintf(words, sizeof(words), "process %d ended by itself, status %#x",
                           (int)sim->died_pid, (unsigned)sim->died_status);
            for (uint32_t i = 0; i < SIM_NODES; i++) {
                w->pids[i] = w->pids[i] == sim->died_pid ? 0 : w->pids[i];
            }
            wrong(w, words);
            return false;
        case SIM_CALL_HANGS:
            wrong(w, "a thread waits or turns where the scheduler does not see it");
            return false;
        }
        if (sim->now_ns >= limit_ns) {
            wrong(w, "it does not end: too much time");
            return false;
        }
        bring_back(w);
    }
    return true;
}

/* One node alone, without trouble. */
static bool run_alone(struct world *w, enum role role)
{
    for (uint32_t i = 0; i < SIM_NODES; i++) {
        w->done[i] = i != CHECKER;
    }
    w->deaths_left = w->freezes_left = w->sleeps_left = 0;
    sim->stalls_percent = 0;
    start(w, CHECKER, role);
    return direct(w, sim->now_ns + WORLD_NS);
}

static void judge(struct world *w)
{
    char words[HISTORY_WORDS];

    history_judge_order(w->history, words);
    if (words[0] != '\0') {
        wrong(w, words);
    }
    for (uint32_t n = 1; n <= HISTORY_WORKERS * HISTORY_TXNS_MAX; n++) {
        const struct history_txn *t = history_get(w->history, n);
        if (t != NULL && atomic_load(&t->state) == HISTORY_COMMITTED && t->ended_ns != UINT64_MAX &&
            t->ended_ns - t->begun_ns > TXN_NS) {
            (void)snprintf(words, sizeof(words), "transaction %" PRIu32 " took %" PRIu64 " s", n,
                           (t->ended_ns - t->begun_ns) / SIM_NS_PER_S);
            wrong(w, words);
        }
    }
}

/* All that the seed decides about this world. */
static void choose_world(struct world *w)
{
    static const uint32_t leases_ms[] = {50, 200, 1000, 2000, 60000};
    static const uint32_t ticks_ns[] = {200, 2000, 20000, 200000};

    sim->switch_one_in = 2u << below(w, 5);
    sim->leap_one_in = below(w, 2) == 0 ? UINT32_MAX : 20u << below(w, 6);
    sim->tick_ns = ticks_ns[below(w, BASE_ARRAY_LEN(ticks_ns))];
    sim->stalls_percent = 20 * (uint32_t)below(w, 4);
    sim->steps_max = STEPS_MAX;
    w->job->lease_ms = leases_ms[below(w, BASE_ARRAY_LEN(leases_ms))];
    /* Nobody lives to see the end of a long lease: what only that would end is found so. */
    bool lasting = w->job->lease_ms > LEASE_ENDS_MS;
    w->longest_ms = lasting ? 1000 : 3 * (uint64_t)w->job->lease_ms;
    w->job->change_limit_ms = lasting ? LEASE_ENDS_MS : 4 * LEASE_ENDS_MS;
    sim->stall_ns = below(w, w->longest_ms) * SIM_NS_PER_MS;
    w->job->build_workers = 1 + (uint32_t)below(w, 2);
    w->job->pause_ns = UINT64_C(1000) << below(w, 18);
    w->history->think_ns = below(w, 2) == 0 ? UINT64_C(1000) << below(w, 18) : 0;
    w->job->fence_ms = below(w, 2) == 0 ? (1u << below(w, 10)) - 1 : UINT32_MAX;
    w->job->builds_only = below(w, 2) == 0;
    w->job->changes_left = 1 + (uint32_t)below(w, 6);
    w->history->limit = 4 + (uint32_t)below(w, 30);
    w->history->snapshot = below(w, 4) == 0;
    w->deaths_left = (uint32_t)below(w, 4);
    w->freezes_left = (uint32_t)below(w, 4);
    w->sleeps_left = (uint32_t)below(w, 3);
    w->gap = 200u << below(w, 6);
}

void sim_try(uint64_t seed, void (*fn)(void *arg), void *arg, struct sim_result *result_out)
{
    struct world w = {.result = result_out, .fn = fn, .arg = arg};

    *result_out = (struct sim_result){.worlds = 1};
    sim_begin(seed);
    (void)run_alone(&w, ROLE_TRY);
    end_all(&w);
    result_out->trace = sim->trace;
    result_out->lived_ns = sim->now_ns - SIM_BEGIN_NS;
    sim_finish();
}

/* One processor, on which one thread at a time runs: handing a turn over is then a mere switch. */
static void stay_on_one(void)
{
    cpu_set_t all, one;
    uint32_t left = lane;

    if (sched_getaffinity(0, sizeof(all), &all) != 0) {
        return;
    }
    left %= (uint32_t)CPU_COUNT(&all);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &all) && left-- == 0) {
            CPU_SET(i, &one);
            (void)sched_setaffinity(0, sizeof(one), &one);
            return;
        }
    }
}

void sim_make_template(uint32_t own_lane)
{
    struct sim_result result = {.steps = 0};
    struct world w = {.random.state = TEMPLATE_SEED, .result = &result};

    lane = own_lane;
    stay_on_one();
    test_remove(sim_path());
    test_remove(template_path());
    sim_begin(TEMPLATE_SEED);
    bool made = run_alone(&w, ROLE_MAKE);
    end_all(&w);
    sim_finish();
    if (!made) {
        test_fail(__FILE__, __LINE__, "making the store: %s", result.words);
    }
    if (rename(sim_path(), template_path()) != 0) {
        test_fail(__FILE__, __LINE__, "rename: %s", strerror(errno));
    }
}

void sim_leave_template(void)
{
    test_remove(template_path());
}

void sim_run_world(uint64_t seed, struct sim_result *result_out)
{
    struct world w = {.random.state = seed * 0xbf58476d1ce4e5b9u, .result = result_out};

    *result_out = (struct sim_result){.worlds = 1};
    w.history = test_shared(sizeof(*w.history));
    w.job = test_shared(sizeof(*w.job));
    w.job->history = w.history;
    test_remove(sim_path());
    copy_tree(template_path(), sim_path());
    sim_begin(seed);
    choose_world(&w);
    for (uint32_t i = 0; i < SIM_NODES; i++) {
        start(&w, i, ROLE_WORK);
    }
    bool right = direct(&w, sim->now_ns + WORLD_NS) && run_alone(&w, ROLE_CHECK);
    end_all(&w);
    result_out->steps = sim->steps;
    result_out->turns = sim->turns;
    result_out->trace = sim->trace;
    result_out->lived_ns = sim->now_ns - SIM_BEGIN_NS;
    result_out->commits = atomic_load(&w.history->commits);
    result_out->changes = atomic_load(&w.job->changes);
    sim_finish();
    if (right) {
        judge(&w);
    }
    test_remove(sim_path());
    munmap(w.history, sizeof(*w.history));
    munmap(w.job, sizeof(*w.job));
}
