/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forked workers; see workers.h. Where a store can be open in one process alone there is one child,
 * and the workers are its threads.
 */
#include "mix.h"
#include "workers.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define RING 64  /* slices of a worker */
#define LATER 10 /* slices, after which nobody writes into one any more */

struct shared {
    sem_t ready, go;
    _Atomic uint64_t begin_ns;
    _Atomic bool stop;
    _Atomic unsigned failed;
    _Atomic uint64_t private_bytes[WORKERS_MAX];
    _Atomic uint64_t commits[WORKERS_MAX]; /* in all, each worker writes its own */
    _Atomic uint64_t thread_ns[WORKERS_MAX];
    struct hist ring[][RING]; /* of each worker; emptied by the parent's thread */
};

struct workers {
    struct foreground f;
    struct shared *shared;
    size_t bytes;
    pid_t pids[WORKERS_MAX];
    unsigned children;
    unsigned started; /* workers */
    pthread_t gatherer;
    size_t gathered; /* slices */
    struct hist *slices;
};

/* ---- in a worker -------------------------------------------------------------------------- */

int work_named(const char *name, enum work *work_out)
{
    static const char *const names[] = {"insert", "add",    "update", "touch",  "modify", "ycsb-a",
                                        "ycsb-b", "ycsb-c", "ycsb-d", "ycsb-e", "ycsb-f"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            *work_out = (enum work)i;
            return 0;
        }
    }
    fprintf(stderr, "bench: no work '%s'; these are:", name);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        fprintf(stderr, " %s", names[i]);
    }
    fputc('\n', stderr);
    return 1;
}

static int commit(const struct foreground *f, void *session, uint64_t key, struct mix *mix)
{
    const struct driver *d = f->driver;
    uint64_t row;

    if (f->work >= WORK_YCSB_A && f->work <= WORK_YCSB_F) {
        return mix_step(mix, d, session, (unsigned)(f->work - WORK_YCSB_A), key);
    }
    row = bench_random_key(&mix->random, f->rows);
    switch (f->work) {
    case WORK_INSERT:
        return d->insert(session, BENCH_W, key, key + 1);
    case WORK_ADD:
        return d->insert(session, BENCH_T, key, key + 1);
    case WORK_UPDATE:
        return d->update(session, row, BENCH_SET_V,
                         bench_value(row) ^ (int64_t)(mix->random >> (64 - BENCH_LOW_BITS)));
    case WORK_MODIFY:
        return d->update(session, row, BENCH_CHANGE_V, 0);
    default:
        return d->update(session, row, BENCH_SET_PAD, 0);
    }
}

/* Have the store open, as a process that is not busy. */
static int stay(const struct workers *w)
{
    while (!atomic_load_explicit(&w->shared->stop, memory_order_relaxed)) {
        bench_sleep_until(bench_now_ns() + SLICE_NS / 10);
    }
    return 0;
}

static int loop(const struct workers *w, unsigned number, void *session)
{
    const struct foreground *f = &w->f;
    uint64_t begin = atomic_load(&w->shared->begin_ns);
    double due_ns = f->rate > 0 ? 1e9 * f->processes / f->rate : 0;
    /* Keys never used before, also by the next run: the clock's microseconds, and the number. */
    uint64_t key = (bench_now_ns() / 1000 << 6 | number) & INT64_MAX;
    struct mix mix;

    mix_start(&mix, f->rows, begin + number);
    for (uint64_t n = 0; !atomic_load_explicit(&w->shared->stop, memory_order_relaxed); n++) {
        uint64_t from = bench_now_ns(), end;
        size_t slice;

        if (due_ns > 0) {
            uint64_t due = begin + (uint64_t)((double)n * due_ns);

            if (due > from) {
                bench_sleep_until(due);
            }
            from = due;
        }
        key += WORKERS_MAX;
        if (commit(f, session, key, &mix) != 0) {
            return 1;
        }
        end = bench_now_ns();
        slice = (size_t)((end - begin) / SLICE_NS);
        hist_add(&w->shared->ring[number][slice % RING], end - from);
        atomic_store_explicit(&w->shared->commits[number], n + 1, memory_order_relaxed);
    }
    return 0;
}

static int work(const struct workers *w, unsigned number)
{
    void *session = NULL;
    uint64_t used_ns;
    int rc = w->f.driver->open(w->f.place, w->f.sync, &session);

    if (rc != 0) {
        atomic_fetch_add(&w->shared->failed, 1);
    }
    if (rc == 0 && w->f.work == WORK_ONCE) {
        rc = w->f.driver->update(session, 1 + number, BENCH_SET_PAD, 0);
        if (rc != 0) {
            atomic_fetch_add(&w->shared->failed, 1);
        }
    }
    (void)sem_post(&w->shared->ready);
    while (sem_wait(&w->shared->go) != 0) {
    }
    used_ns = bench_thread_ns();
    if (rc == 0) {
        rc = w->f.work == WORK_ONCE ? stay(w) : loop(w, number, session);
    }
    atomic_store(&w->shared->thread_ns[number], bench_thread_ns() - used_ns);
    if (rc != 0) {
        atomic_fetch_add(&w->shared->failed, 1);
    }
    atomic_store(&w->shared->private_bytes[number], bench_private_bytes());
    if (session != NULL) {
        w->f.driver->close(session);
    }
    return rc;
}

struct seat {
    const struct workers *w;
    unsigned number;
    pthread_t thread;
    int rc;
};

static void *sit(void *arg)
{
    struct seat *seat = arg;

    seat->rc = work(seat->w, seat->number);
    return NULL;
}

static int work_as_threads(const struct workers *w)
{
    static struct seat seats[WORKERS_MAX];
    int rc = 0;

    for (unsigned i = 0; i < w->f.processes; i++) {
        seats[i] = (struct seat){.w = w, .number = i};
        if (pthread_create(&seats[i].thread, NULL, sit, &seats[i]) != 0) {
            perror("bench: thread");
            return 1; /* the others are waited for in vain: the run's time limit ends them */
        }
    }
    for (unsigned i = 0; i < w->f.processes; i++) {
        (void)pthread_join(seats[i].thread, NULL);
        rc |= seats[i].rc;
    }
    return rc;
}

/* ---- in the parent ------------------------------------------------------------------------ */

static void gather_slice(struct workers *w)
{
    size_t s = w->gathered++;

    for (unsigned i = 0; i < w->started; i++) {
        struct hist *h = &w->shared->ring[i][s % RING];

        hist_merge(&w->slices[s < SLICES_MAX ? s : SLICES_MAX - 1], h);
        memset(h, 0, sizeof(*h));
    }
}

static void *gather(void *arg)
{
    struct workers *w = arg;

    while (!atomic_load(&w->shared->stop)) {
        size_t next = workers_next_slice(w);

        bench_sleep_until(atomic_load(&w->shared->begin_ns) + next * SLICE_NS);
        while (w->gathered + LATER < next) {
            gather_slice(w);
        }
    }
    return arg;
}

static void release(struct workers *w)
{
    atomic_store(&w->shared->begin_ns, bench_now_ns());
    bench_clock_start(atomic_load(&w->shared->begin_ns));
    for (unsigned i = 0; i < w->started; i++) {
        (void)sem_post(&w->shared->go);
    }
    if (pthread_create(&w->gatherer, NULL, gather, w) != 0) {
        perror("bench: thread");
        exit(1);
    }
}

struct workers *workers_start(const struct foreground *f)
{
    struct workers *w = calloc(1, sizeof(*w));

    if (w == NULL || f->processes < 1 || f->processes > WORKERS_MAX) {
        fprintf(stderr, "bench: 1 to %d processes\n", WORKERS_MAX);
        exit(1);
    }
    w->f = *f;
    w->bytes = sizeof(struct shared) + f->processes * sizeof(w->shared->ring[0]);
    w->shared = mmap(NULL, w->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    w->slices = calloc(SLICES_MAX, sizeof(w->slices[0]));
    if (w->shared == MAP_FAILED || w->slices == NULL || sem_init(&w->shared->ready, 1, 0) != 0 ||
        sem_init(&w->shared->go, 1, 0) != 0) {
        perror("bench: shared memory");
        exit(1);
    }
    (void)fflush(NULL);
    w->started = f->processes;
    for (unsigned children = f->driver->one_process ? 1 : f->processes; w->children < children;
         w->children++) {
        pid_t pid = fork();

        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would tell it to stop */
            _exit(f->driver->one_process ? work_as_threads(w) : work(w, w->children));
        }
        if (pid < 0) {
            perror("bench: fork");
            exit(1);
        }
        w->pids[w->children] = pid;
    }
    for (unsigned i = 0; i < w->started; i++) {
        while (sem_wait(&w->shared->ready) != 0) {
        }
    }
    if (atomic_load(&w->shared->failed) != 0) {
        atomic_store(&w->shared->stop, true);
        release(w);
        (void)workers_stop(w);
        workers_free(w);
        return NULL;
    }
    release(w);
    return w;
}

int workers_wait(const struct workers *w, size_t slice)
{
    bench_sleep_until(atomic_load(&w->shared->begin_ns) + slice * SLICE_NS);
    return atomic_load(&w->shared->failed) != 0;
}

size_t workers_next_slice(const struct workers *w)
{
    return (size_t)((bench_now_ns() - atomic_load(&w->shared->begin_ns)) / SLICE_NS) + 1;
}

/* Has every commit found its slice? One that was being counted when its process was killed may
 * have not. */
static int check_count(const struct workers *w)
{
    uint64_t gathered = 0, made = 0;

    for (size_t s = 0; s < SLICES_MAX; s++) {
        gathered += w->slices[s].count;
    }
    for (unsigned i = 0; i < w->started; i++) {
        made += atomic_load(&w->shared->commits[i]);
    }
    if (gathered != made) {
        fprintf(stderr, "bench: %llu commits were made, %llu counted\n", (unsigned long long)made,
                (unsigned long long)gathered);
    }
    return gathered != made;
}

int workers_stop(struct workers *w)
{
    int bad = 0;

    atomic_store(&w->shared->stop, true);
    for (unsigned i = 0; i < w->children; i++) {
        int status = 0;

        bad |= waitpid(w->pids[i], &status, 0) != w->pids[i] || status != 0;
    }
    bench_clock_start(0);
    (void)pthread_join(w->gatherer, NULL);
    for (size_t end = workers_next_slice(w); w->gathered < end;) {
        gather_slice(w);
    }
    return bad != 0 ? bad : check_count(w);
}

void workers_kill(struct workers *w)
{
    for (unsigned i = 0; i < w->children; i++) {
        (void)kill(w->pids[i], SIGKILL);
    }
    (void)workers_stop(w);
}

uint64_t workers_private_bytes(const struct workers *w)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < w->started; i++) {
        uint64_t bytes = atomic_load(&w->shared->private_bytes[i]);

        most = bytes > most ? bytes : most;
    }
    return most;
}

double workers_thread_ns(const struct workers *w)
{
    uint64_t used = 0, commits = 0;

    for (unsigned i = 0; i < w->started; i++) {
        used += atomic_load(&w->shared->thread_ns[i]);
        commits += atomic_load(&w->shared->commits[i]);
    }
    return commits > 0 ? (double)used / (double)commits : 0;
}

void workers_merge(const struct workers *w, size_t from, size_t to, struct hist *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t s = from; s < to && s < SLICES_MAX; s++) {
        hist_merge(out, &w->slices[s]);
    }
}

void workers_free(struct workers *w)
{
    (void)munmap(w->shared, w->bytes);
    free(w->slices);
    free(w);
}
