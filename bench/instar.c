/* SPDX-License-Identifier: Apache-2.0 */
/* Instar's side of the benchmark, through the public interface alone. */
#include "bench.h"

#include <instar.h>

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 1000

static int failed(const char *doing, int rc)
{
    fprintf(stderr, "bench: %s: %s (%s)\n", doing, instar_error_text(), instar_error_name(rc));
    return 1;
}

static int open_store(const char *path, uint32_t flags, instar **db)
{
    instar_options options;

    instar_options_init(&options);
    options.flags = flags;
    return instar_open(path, &options, db);
}

/* ---- load --------------------------------------------------------------------------------- */

struct rows {
    instar_projection *projection;
    uint64_t next, end;
};

static void fill_row(uint64_t key, char pad[BENCH_PAD], instar_value values[3])
{
    bench_pad(key, pad);
    values[0] = (instar_value){.type = INSTAR_INT8, .i = (int64_t)key};
    values[1] = (instar_value){.type = INSTAR_INT8, .i = bench_value(key)};
    values[2] = (instar_value){.type = INSTAR_TEXT, .bytes = {pad, BENCH_PAD}};
}

static int insert_rows(instar_txn *txn, void *arg)
{
    const struct rows *rows = arg;
    instar_value values[3];
    char pad[BENCH_PAD];
    int rc = INSTAR_OK;

    for (uint64_t key = rows->next; rc == INSTAR_OK && key < rows->end; key++) {
        fill_row(key, pad, values);
        rc = instar_insert(txn, rows->projection, values);
    }
    return rc;
}

static int make_table(instar *db, const char *name)
{
    instar_column_def columns[] = {{"k", INSTAR_INT8, true, NULL},
                                   {"v", INSTAR_INT8, true, NULL},
                                   {"pad", INSTAR_TEXT, true, NULL}};
    instar_key_column key = {"k", false};
    instar_table_def def = {name, columns, 3, &key, 1};
    instar_change_options options;
    uint64_t change = 0;
    int rc;

    instar_change_options_init(&options);
    options.flags = INSTAR_CHANGE_IF_NOT_EXISTS;
    rc = instar_create_table(db, &def, &options, &change);
    return rc ? rc : instar_change_wait(db, change, 60000, NULL);
}

int bench_load(const char *store, uint64_t rows)
{
    struct rows part = {NULL, 1, 1};
    instar *db = NULL;
    uint64_t begin = bench_now_ns();
    int rc = open_store(store, INSTAR_OPEN_CREATE, &db);

    rc = rc ? rc : make_table(db, "t");
    rc = rc ? rc : make_table(db, "w");
    rc = rc ? rc : instar_projection_prepare(db, "t", NULL, 0, NULL, &part.projection);
    while (rc == INSTAR_OK && part.next <= rows) {
        part.end = part.next + BATCH <= rows + 1 ? part.next + BATCH : rows + 1;
        rc = instar_run(db, INSTAR_TXN_ASYNC, insert_rows, &part);
        part.next = part.end;
    }
    rc = rc ? rc : instar_flush(db);
    if (rc != INSTAR_OK) {
        return failed("load", rc);
    }
    bench_report("load_rows_per_s", (double)rows * 1e9 / (double)(bench_now_ns() - begin), "1/s");
    instar_projection_free(part.projection);
    return instar_close(db) == INSTAR_OK ? 0 : 1;
}

/* ---- index -------------------------------------------------------------------------------- */

static int build(instar *db, const char *name, bool unique)
{
    instar_key_column column = {"v", false};
    instar_index_def def = {name, "t", &column, 1, unique};
    uint64_t change = 0;
    int rc = instar_create_index(db, &def, NULL, &change);

    return rc ? rc : instar_change_wait(db, change, UINT32_MAX, NULL);
}

int bench_index(const char *store, const char *name, bool unique)
{
    instar *db = NULL;
    uint64_t begin;
    int rc = open_store(store, 0, &db);

    if (rc != INSTAR_OK) {
        return failed("open", rc);
    }
    bench_peak_start();
    begin = bench_now_ns();
    rc = build(db, name, unique);
    if (rc != INSTAR_OK) {
        return failed("create index", rc);
    }
    bench_report(unique ? "unique_index_s" : "index_s", (double)(bench_now_ns() - begin) / 1e9,
                 "s");
    bench_report("index_private_mib", (double)bench_peak_stop() / 1048576.0, "MiB");
    return instar_close(db) == INSTAR_OK ? 0 : 1;
}

int bench_drop(const char *store, const char *name)
{
    instar *db = NULL;
    uint64_t change = 0, begin;
    int rc = open_store(store, 0, &db);

    if (rc != INSTAR_OK) {
        return failed("open", rc);
    }
    begin = bench_now_ns();
    rc = instar_drop_index(db, name, NULL, &change);
    rc = rc ? rc : instar_change_wait(db, change, UINT32_MAX, NULL);
    if (rc != INSTAR_OK) {
        return failed("drop index", rc);
    }
    bench_report("drop_index_s", (double)(bench_now_ns() - begin) / 1e9, "s");
    return instar_close(db) == INSTAR_OK ? 0 : 1;
}

/* ---- commits ------------------------------------------------------------------------------ */

/* A worker process inserts rows of its own into table w (or updates table t), a row per commit. */
struct worker {
    const char *store;
    struct bench_shared *shared;
    int number;
    bool sync;
    const char *table;
};

static int worker_loop(const struct worker *w, instar *db)
{
    unsigned flags = w->sync ? INSTAR_TXN_SYNC : INSTAR_TXN_ASYNC;
    struct rows part = {NULL, 0, 0};
    int rc = instar_projection_prepare(db, w->table, NULL, 0, NULL, &part.projection);

    /* Keys never used before, also in the next run: the clock's nanoseconds, and the number. */
    part.next = (bench_now_ns() << 6 | (uint64_t)w->number) & INT64_MAX;
    atomic_fetch_add(&w->shared->ready, 1);
    while (rc == INSTAR_OK && !atomic_load(&w->shared->go)) {
        bench_wait_ms(1);
    }
    while (rc == INSTAR_OK && !atomic_load(&w->shared->stop)) {
        part.end = part.next + 1;
        rc = instar_run(db, flags, insert_rows, &part);
        part.next += 1u << 6;
        atomic_fetch_add_explicit(&w->shared->worker[w->number].commits, 1, memory_order_relaxed);
    }
    instar_projection_free(part.projection);
    return rc;
}

static pid_t start_worker(const struct worker *w)
{
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        instar *db = NULL;
        int rc = open_store(w->store, INSTAR_OPEN_NO_RUNNER, &db);

        rc = rc ? rc : worker_loop(w, db);
        if (rc != INSTAR_OK) {
            (void)failed("worker", rc);
            atomic_fetch_add(&w->shared->failed, 1);
            atomic_fetch_add(&w->shared->ready, 1);
        }
        bench_report("worker_private_mib",
                     (double)bench_private_bytes((uint64_t)getpid()) / 1048576.0, "MiB");
        (void)instar_close(db);
        _exit(rc == INSTAR_OK ? 0 : 1);
    }
    return pid;
}

static int start_workers(struct worker *w, int processes, pid_t *pids)
{
    for (int i = 0; i < processes; i++) {
        w->number = i;
        pids[i] = start_worker(w);
    }
    while (atomic_load(&w->shared->ready) < (uint32_t)processes) {
        bench_wait_ms(1);
    }
    atomic_store(&w->shared->go, true);
    return atomic_load(&w->shared->failed) == 0 ? 0 : 1;
}

static int stop_workers(struct bench_shared *shared, int processes, const pid_t *pids)
{
    int bad = 0, status;

    atomic_store(&shared->stop, true);
    for (int i = 0; i < processes; i++) {
        if (waitpid(pids[i], &status, 0) != pids[i] || status != 0) {
            bad = 1;
        }
    }
    return bad;
}

/* Commits per second over a span. */
static double rate_over(struct bench_shared *shared, uint64_t ms)
{
    uint64_t begin = bench_now_ns(), before = bench_shared_commits(shared);

    bench_wait_ms(ms);
    return (double)(bench_shared_commits(shared) - before) * 1e9 / (double)(bench_now_ns() - begin);
}

int bench_commits(const char *store, int processes, uint64_t seconds, bool sync)
{
    struct bench_shared *shared = bench_shared_new();
    struct worker w = {store, shared, 0, sync, "w"};
    pid_t pids[BENCH_PROCESSES_MAX];
    char name[64];
    double rate;

    if (processes < 1 || processes > BENCH_PROCESSES_MAX ||
        start_workers(&w, processes, pids) != 0) {
        return 1;
    }
    bench_wait_ms(500); /* warm-up, as for every rival */
    rate = rate_over(shared, seconds * 1000);
    if (stop_workers(shared, processes, pids) != 0) {
        return 1;
    }
    (void)snprintf(name, sizeof(name), "%s_commits_%d", sync ? "sync" : "async", processes);
    bench_report(name, rate, "1/s");
    return 0;
}

/* Writers first alone, then during builds; the runner is this process. */
int bench_foreground(const char *store, int processes, uint64_t seconds, bool sync)
{
    struct bench_shared *shared = bench_shared_new();
    struct worker w = {store, shared, 0, sync, "t"};
    pid_t pids[BENCH_PROCESSES_MAX];
    uint64_t begin, before;
    double idle, during, took;
    instar *db = NULL;
    char name[64];
    int rc;

    if (start_workers(&w, processes, pids) != 0) {
        return 1;
    }
    rc = open_store(store, 0, &db);
    bench_wait_ms(500);
    idle = rate_over(shared, seconds * 1000);
    begin = bench_now_ns();
    before = bench_shared_commits(shared);
    rc = rc ? rc : build(db, "foreground", false);
    took = (double)(bench_now_ns() - begin) / 1e9;
    during = (double)(bench_shared_commits(shared) - before) / took;
    if (rc != INSTAR_OK) {
        (void)failed("build under load", rc);
    }
    rc = stop_workers(shared, processes, pids) != 0 ? 1 : rc;
    if (rc != INSTAR_OK || instar_close(db) != INSTAR_OK) {
        return 1;
    }
    (void)snprintf(name, sizeof(name), "%s_%d", sync ? "sync" : "async", processes);
    printf("foreground_idle_%s %.6g 1/s\n", name, idle);
    printf("foreground_during_%s %.6g 1/s\n", name, during);
    printf("foreground_kept_%s %.6g %%\n", name, during * 100 / idle);
    printf("foreground_build_%s %.6g s\n", name, took);
    return bench_drop(store, "foreground");
}

/* ---- reads -------------------------------------------------------------------------------- */

static int read_points(instar *db, instar_projection *p, uint64_t rows, uint64_t seconds)
{
    uint64_t begin = bench_now_ns(), end = begin + seconds * 1000000000u, reads = 0, key = 1;
    instar_value k = {.type = INSTAR_INT8}, values[3];
    instar_txn *txn = NULL;
    int rc = instar_begin(db, INSTAR_TXN_READONLY, &txn);

    while (rc == INSTAR_OK && ((reads & 1023) != 0 || bench_now_ns() < end)) {
        key = key * 6364136223846793005u + 1442695040888963407u;
        k.i = (int64_t)(1 + (key >> 16) % rows);
        rc = instar_get(txn, p, &k, values);
        reads++;
    }
    instar_abort(txn);
    bench_report("point_reads", (double)reads * 1e9 / (double)(bench_now_ns() - begin), "1/s");
    return rc;
}

static int read_scan(instar *db, instar_projection *p)
{
    uint64_t begin = bench_now_ns(), rows = 0;
    instar_cursor *cursor = NULL;
    instar_value values[3];
    instar_txn *txn = NULL;
    int rc = instar_begin(db, INSTAR_TXN_READONLY, &txn);

    rc = rc ? rc : instar_scan(txn, p, NULL, &cursor);
    while (rc == INSTAR_OK && (rc = instar_cursor_next(cursor, values)) == INSTAR_OK) {
        rows++;
    }
    instar_cursor_close(cursor);
    instar_abort(txn);
    bench_report("scan_rows", (double)rows * 1e9 / (double)(bench_now_ns() - begin), "1/s");
    return rc == INSTAR_END ? INSTAR_OK : rc;
}

int bench_read(const char *store, uint64_t rows, uint64_t seconds)
{
    instar_projection *p = NULL;
    instar *db = NULL;
    int rc = open_store(store, 0, &db);

    rc = rc ? rc : instar_projection_prepare(db, "t", NULL, 0, NULL, &p);
    rc = rc ? rc : read_scan(db, p);
    rc = rc ? rc : read_points(db, p, rows, seconds);
    if (rc != INSTAR_OK) {
        return failed("read", rc);
    }
    instar_projection_free(p);
    return instar_close(db) == INSTAR_OK ? 0 : 1;
}

/* ---- opening ------------------------------------------------------------------------------ */

int bench_open(const char *store)
{
    uint64_t begin = bench_now_ns();
    instar *db = NULL;
    int rc = open_store(store, 0, &db);

    if (rc != INSTAR_OK) {
        return failed("open", rc);
    }
    bench_report("open_clean_ms", (double)(bench_now_ns() - begin) / 1e6, "ms");
    return instar_close(db) == INSTAR_OK ? 0 : 1;
}

/* Open after a kill in the midst of commits. */
int bench_killed_open(const char *store, uint64_t seconds)
{
    struct bench_shared *shared = bench_shared_new();
    struct worker w = {store, shared, 0, false, "w"};
    instar *db = NULL;
    pid_t pid[1];
    uint64_t begin;
    int rc;

    if (start_workers(&w, 1, pid) != 0) {
        return 1;
    }
    bench_wait_ms(seconds * 1000);
    (void)kill(pid[0], SIGKILL);
    (void)waitpid(pid[0], NULL, 0);
    begin = bench_now_ns();
    rc = open_store(store, 0, &db);
    if (rc != INSTAR_OK) {
        return failed("open after a kill", rc);
    }
    bench_report("open_killed_ms", (double)(bench_now_ns() - begin) / 1e6, "ms");
    return instar_close(db) == INSTAR_OK ? 0 : 1;
}
