/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured, once for all systems. Each process opens a session of its own. */
#include "workloads.h"

#include <stdio.h>

#define FRESH_READS 64 /* beside commits: so many reads of a snapshot, then a new one */

/* ---- load, reads -------------------------------------------------------------------------- */

static int load(const struct driver *d, const struct parameters *p)
{
    uint64_t begin = bench_now_ns();
    void *session;
    int rc = d->open(p->place, false, &session);

    if (rc != 0) {
        return rc;
    }
    rc = d->load(session, p->rows);
    if (rc == 0) {
        bench_result("rows_per_s", (double)p->rows / bench_seconds_since(begin), "1/s");
    }
    d->close(session);
    return rc;
}

/* A snapshot that stays keeps what commits leave behind: beside them, reads move on. */
static int move_on(const struct driver *d, void *session, const struct parameters *p)
{
    if (p->rate == 0) {
        return 0;
    }
    d->read_end(session);
    return d->read_begin(session);
}

static int point_reads(const struct driver *d, void *session, const struct parameters *p)
{
    uint64_t begin, end, reads = 0, random = 1;
    int64_t v = 0;
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < 1000; i++) { /* warm-up */
        rc = d->get(session, bench_random_key(&random, p->rows), &v);
    }
    begin = bench_now_ns();
    end = begin + p->ms * 1000000u;
    while (rc == 0 && ((reads & 63) != 0 || bench_now_ns() < end)) {
        uint64_t key = bench_random_key(&random, p->rows);

        rc = d->get(session, key, &v);
        rc = rc ? rc : bench_check_v(d->name, key, v);
        reads++;
        if (rc == 0 && reads % FRESH_READS == 0) {
            rc = move_on(d, session, p);
        }
    }
    if (rc == 0) {
        bench_result("reads_per_s", (double)reads / bench_seconds_since(begin), "1/s");
    }
    return rc;
}

static int checked_scan(const struct driver *d, void *session, const struct parameters *p)
{
    uint64_t rows = 0;
    int64_t found = 0, wanted = 0;
    int rc = d->scan(session, &rows, &found);

    for (uint64_t key = 1; key <= p->rows; key++) {
        wanted ^= bench_value(key) >> BENCH_LOW_BITS;
    }
    if (rc == 0 && (rows != p->rows || found != wanted)) {
        fprintf(stderr, "bench: %s: the scan found %llu rows that are not those loaded\n", d->name,
                (unsigned long long)rows);
        rc = 1;
    }
    return rc;
}

static int scans(const struct driver *d, void *session, const struct parameters *p)
{
    uint64_t begin, scanned = 0;
    int64_t found;

    if (checked_scan(d, session, p) != 0) { /* warm-up, and the check of what is found */
        return 1;
    }
    begin = bench_now_ns();
    do {
        uint64_t rows = 0;

        if (move_on(d, session, p) != 0 || d->scan(session, &rows, &found) != 0) {
            return 1;
        }
        scanned += rows;
    } while (bench_now_ns() < begin + p->ms * 1000000u);
    bench_result("rows_per_s", (double)scanned / bench_seconds_since(begin), "1/s");
    return 0;
}

/* ---- the foreground ----------------------------------------------------------------------- */

void bench_latencies(const struct hist *h, const char *prefix)
{
    static const struct {
        const char *name;
        double part;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
    char name[64];

    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s_us", prefix, quantiles[i].name);
        bench_result(name, (double)hist_quantile(h, quantiles[i].part) / 1000, "us");
    }
}

double bench_rate(const struct hist *h, size_t slices)
{
    return (double)h->count * 1e9 / (double)(slices * SLICE_NS);
}

size_t bench_slices(uint64_t ms)
{
    size_t slices = (size_t)(ms * 1000000u / SLICE_NS);

    return slices > 0 ? slices : 1;
}

struct foreground bench_foreground(const struct driver *d, const struct parameters *p,
                                   enum work work)
{
    return (struct foreground){.driver = d,
                               .place = p->place,
                               .processes = p->processes,
                               .sync = p->sync,
                               .work = work,
                               .rows = p->rows,
                               .rate = (double)p->rate};
}

/* ---- reads, with nobody else or beside commits -------------------------------------------- */

static int reading(const struct driver *d, const struct parameters *p,
                   int (*body)(const struct driver *, void *, const struct parameters *))
{
    void *session;
    int rc = d->open(p->place, p->sync, &session);

    if (rc != 0) {
        return rc;
    }
    rc = d->read_begin(session);
    if (rc == 0) {
        rc = body(d, session, p);
        d->read_end(session);
    }
    d->close(session);
    return rc;
}

/* With a rate, p->processes others commit beside the reader at that rate, all together. */
static int read_beside(const struct driver *d, const struct parameters *p,
                       int (*body)(const struct driver *, void *, const struct parameters *))
{
    static struct hist h;
    struct foreground f = bench_foreground(d, p, p->work);
    struct workers *w;
    size_t from, to;
    int rc;

    if (p->rate == 0) {
        return reading(d, p, body);
    }
    w = workers_start(&f);
    if (w == NULL) {
        return 1;
    }
    rc = workers_wait(w, WARM_UP_SLICES);
    from = workers_next_slice(w);
    rc = rc ? rc : reading(d, p, body);
    to = workers_next_slice(w);
    rc |= workers_stop(w);
    if (rc == 0) {
        workers_merge(w, from, to, &h);
        bench_result("commits_per_s", bench_rate(&h, to - from), "1/s");
    }
    workers_free(w);
    return rc;
}

static int point_read(const struct driver *d, const struct parameters *p)
{
    return read_beside(d, p, point_reads);
}

static int scan_all(const struct driver *d, const struct parameters *p)
{
    return read_beside(d, p, scans);
}

/* ---- commits ------------------------------------------------------------------------------ */

static int commits(const struct driver *d, const struct parameters *p)
{
    static struct hist h;
    struct foreground f = bench_foreground(d, p, p->work);
    size_t to = WARM_UP_SLICES + bench_slices(p->ms);
    struct workers *w;
    int rc;

    w = workers_start(&f);
    if (w == NULL) {
        return 1;
    }
    rc = workers_wait(w, to);
    rc |= workers_stop(w);
    if (rc == 0) {
        workers_merge(w, WARM_UP_SLICES, to, &h);
        bench_result("commits_per_s", bench_rate(&h, bench_slices(p->ms)), "1/s");
        bench_latencies(&h, "");
        bench_result("thread_us", workers_thread_ns(w) / 1000, "us");
        bench_result("private_mib", (double)workers_private_bytes(w) / 1048576.0, "MiB");
    }
    workers_free(w);
    return rc;
}

/* What a commit costs, and what each further row in it: transactions of one row and of many, turn
 * by turn, in the processor time of this thread. */
static int row_cost(const struct driver *d, const struct parameters *p)
{
    enum { MANY = 100, FEW_TIMES = 200 };
    uint64_t key = bench_now_ns() & INT64_MAX, end, turns = 0, of_one = 0, of_many = 0;
    void *session;
    int rc = d->open(p->place, p->sync, &session);

    if (rc != 0) {
        return rc;
    }
    end = bench_now_ns() + p->ms * 1000000u;
    for (; rc == 0 && bench_now_ns() < end; turns++) {
        uint64_t begin = bench_thread_ns();

        for (unsigned i = 0; rc == 0 && i < FEW_TIMES; i++, key++) {
            rc = d->insert(session, BENCH_W, key, key + 1);
        }
        of_one += bench_thread_ns() - begin;
        begin = bench_thread_ns();
        for (unsigned i = 0; rc == 0 && i < FEW_TIMES / 10; i++, key += MANY) {
            rc = d->insert(session, BENCH_W, key, key + MANY);
        }
        of_many += bench_thread_ns() - begin;
    }
    if (rc == 0) {
        double one = (double)of_one / (double)(turns * FEW_TIMES);
        double many = (double)of_many / (double)(turns * (FEW_TIMES / 10));

        bench_result("one_row_us", one / 1000, "us");
        bench_result("further_row_us", (many - one) / (MANY - 1) / 1000, "us");
    }
    d->close(session);
    return rc;
}

/* ---- opening ------------------------------------------------------------------------------ */

static int open_and_close(const struct driver *d, const struct parameters *p)
{
    uint64_t begin = bench_now_ns();
    void *session;
    int rc = d->open(p->place, true, &session);

    if (rc == 0) {
        bench_result("open_ms", bench_seconds_since(begin) * 1e3, "ms");
        d->close(session);
    }
    return rc;
}

/* Writers are killed in the midst of commits that nobody waited for. */
static int open_after_kill(const struct driver *d, const struct parameters *p)
{
    struct foreground f = bench_foreground(d, p, WORK_INSERT);
    struct workers *w = workers_start(&f);
    int rc;

    if (w == NULL) {
        return 1;
    }
    rc = workers_wait(w, bench_slices(p->ms));
    workers_kill(w);
    workers_free(w);
    return rc ? rc : open_and_close(d, p);
}

static int settings(const struct driver *d, const struct parameters *p)
{
    void *session;
    int rc = d->open(p->place, p->sync, &session);

    if (rc == 0) {
        rc = d->settings(session);
        d->close(session);
    }
    return rc;
}

const struct workload workloads[] = {{"load", load},
                                     {"point-read", point_read},
                                     {"scan", scan_all},
                                     {"commits", commits},
                                     {"row-cost", row_cost},
                                     {"create-index", bench_create_index},
                                     {"create-index-under-load", bench_create_index_under_load},
                                     {"disk-after-build", bench_disk_after_build},
                                     {"change", bench_change},
                                     {"change-under-load", bench_change_under_load},
                                     {"roll-out", bench_roll_out},
                                     {"open", open_and_close},
                                     {"open-after-kill", open_after_kill},
                                     {"settings", settings},
                                     {NULL, NULL}};
