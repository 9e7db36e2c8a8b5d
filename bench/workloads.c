/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured, once for all systems. Each process opens a session of its own. */
#include "workloads.h"

#include <stdio.h>

#define WARM_UP_SLICES 5
/* Before the idle window in front of a build the foreground runs for so many windows: until the
 * system also does in the background what these commits leave it to do (our applier, a checkpoint).
 * A window that begins with an empty log would lend its work to the build. */
#define SETTLE_WINDOWS 2

static int missing(const struct driver *d)
{
    fprintf(stderr, "bench: %s has no such operation\n", d->name);
    return 1;
}

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
        bench_result("rows_per_s", (double)p->rows * 1e9 / (double)(bench_now_ns() - begin), "1/s");
    }
    d->close(session);
    return rc;
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
        if (rc == 0 && v >> BENCH_LOW_BITS != bench_value(key) >> BENCH_LOW_BITS) {
            fprintf(stderr, "bench: %s: row %llu is another one\n", d->name,
                    (unsigned long long)key);
            rc = 1;
        }
        reads++;
    }
    if (rc == 0) {
        bench_result("reads_per_s", (double)reads * 1e9 / (double)(bench_now_ns() - begin), "1/s");
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

        if (d->scan(session, &rows, &found) != 0) {
            return 1;
        }
        scanned += rows;
    } while (bench_now_ns() < begin + p->ms * 1000000u);
    bench_result("rows_per_s", (double)scanned * 1e9 / (double)(bench_now_ns() - begin), "1/s");
    return 0;
}

static int reading(const struct driver *d, const struct parameters *p,
                   int (*body)(const struct driver *, void *, const struct parameters *))
{
    void *session;
    int rc = d->open(p->place, true, &session);

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

static int point_read(const struct driver *d, const struct parameters *p)
{
    return reading(d, p, point_reads);
}

static int scan_all(const struct driver *d, const struct parameters *p)
{
    return reading(d, p, scans);
}

/* ---- commits ------------------------------------------------------------------------------ */

static void latencies(const struct hist *h, const char *prefix)
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

static double rate_of(const struct hist *h, size_t slices)
{
    return (double)h->count * 1e9 / (double)(slices * SLICE_NS);
}

static size_t slices_of(uint64_t ms)
{
    size_t slices = (size_t)(ms * 1000000u / SLICE_NS);

    return slices > 0 ? slices : 1;
}

static struct foreground foreground_of(const struct driver *d, const struct parameters *p,
                                       enum work work)
{
    return (struct foreground){.driver = d,
                               .place = p->place,
                               .processes = p->processes,
                               .sync = p->sync,
                               .work = work,
                               .rows = p->rows};
}

static int commits(const struct driver *d, const struct parameters *p)
{
    static struct hist h;
    struct foreground f = foreground_of(d, p, WORK_INSERT);
    size_t to = WARM_UP_SLICES + slices_of(p->ms);
    struct workers *w = workers_start(&f);
    int rc;

    if (w == NULL) {
        return 1;
    }
    rc = workers_wait(w, to);
    rc |= workers_stop(w);
    if (rc == 0) {
        workers_merge(w, WARM_UP_SLICES, to, &h);
        bench_result("commits_per_s", rate_of(&h, slices_of(p->ms)), "1/s");
        latencies(&h, "");
        bench_result("private_mib", (double)workers_private_bytes(w) / 1048576.0, "MiB");
    }
    workers_free(w);
    return rc;
}

/* ---- indexes ------------------------------------------------------------------------------ */

static int drop_again(const struct driver *d, void *session, const char *metric)
{
    double seconds = 0;
    int rc = d->drop_index != NULL ? d->drop_index(session, &seconds) : missing(d);

    if (rc == 0) {
        bench_result(metric, seconds, "s");
    }
    return rc;
}

/* The index is built and dropped again, so that the next call finds what this one found. */
static int create_index(const struct driver *d, const struct parameters *p)
{
    double seconds = 0;
    void *session;
    int rc = d->open(p->place, true, &session);

    if (rc != 0) {
        return rc;
    }
    bench_peak_start();
    rc = d->create_index != NULL ? d->create_index(session, p->unique, p->online, &seconds)
                                 : missing(d);
    if (rc == 0) {
        bench_result("build_s", seconds, "s");
        bench_result("private_mib", (double)bench_peak_stop() / 1048576.0, "MiB");
        rc = drop_again(d, session, "drop_s");
    }
    d->close(session);
    return rc;
}

static void print_slices(const struct workers *w, size_t from, size_t to)
{
    static struct hist h;

    for (size_t s = from; s < to; s++) {
        workers_merge(w, s, s + 1, &h);
        printf("slice %llu %llu %.1f %.1f %.1f %.1f\n",
               (unsigned long long)(s * SLICE_NS / 1000000u), (unsigned long long)h.count,
               (double)hist_quantile(&h, 0.5) / 1000, (double)hist_quantile(&h, 0.99) / 1000,
               (double)hist_quantile(&h, 0.999) / 1000, (double)h.max_ns / 1000);
    }
}

/* In slices. Idle is before the build and again after the drop: what the device and the folding of
 * the log allow swings over tens of seconds, and one side alone may meet a good or a bad moment. */
struct phases {
    size_t idle_from, build_from, built_to, again_from, end;
    double build_s, drop_s;
};

static void report_phases(const struct workers *w, const struct phases *at)
{
    static struct hist idle, again, during, after;
    double without = 0, kept = 0, with = 0;

    workers_merge(w, at->idle_from, at->build_from, &idle);
    workers_merge(w, at->again_from, at->end, &again);
    hist_merge(&idle, &again);
    workers_merge(w, at->build_from, at->built_to, &during);
    workers_merge(w, at->built_to, at->again_from, &after);
    without = rate_of(&idle, at->build_from - at->idle_from + at->end - at->again_from);
    kept = rate_of(&during, at->built_to - at->build_from);
    with = rate_of(&after, at->again_from - at->built_to);
    bench_result("build_s", at->build_s, "s");
    bench_result("drop_s", at->drop_s, "s");
    bench_result("idle_commits_per_s", without, "1/s");
    bench_result("during_commits_per_s", kept, "1/s");
    bench_result("kept_percent", without > 0 ? kept * 100 / without : 0, "%");
    bench_result("with_index_percent", without > 0 ? with * 100 / without : 0, "%");
    latencies(&idle, "idle_");
    latencies(&during, "during_");
    print_slices(w, at->idle_from, at->end);
}

/* Half of what the foreground reaches when nothing limits it. */
static int half_rate(struct foreground *f, uint64_t ms)
{
    static struct hist h;
    size_t to = WARM_UP_SLICES + slices_of(ms);
    struct workers *w = workers_start(f);
    int rc;

    if (w == NULL) {
        return 1;
    }
    rc = workers_wait(w, to);
    rc |= workers_stop(w);
    workers_merge(w, WARM_UP_SLICES, to, &h);
    f->rate = rate_of(&h, to - WARM_UP_SLICES) / 2;
    workers_free(w);
    return rc;
}

/* The foreground alone, during the build, with the index, and alone again. */
static int measure_phases(const struct driver *d, void *session, const struct parameters *p,
                          struct workers *w)
{
    size_t settled = WARM_UP_SLICES + SETTLE_WINDOWS * slices_of(p->ms);
    struct phases at = {.idle_from = settled, .build_from = settled + slices_of(p->ms)};
    int rc = workers_wait(w, at.build_from);

    bench_mark("create index");
    rc |= d->create_index(session, p->unique, true, &at.build_s);
    bench_mark("public");
    at.built_to = workers_next_slice(w);
    rc = rc ? rc : workers_wait(w, at.built_to + slices_of(p->ms));
    bench_mark("drop index");
    rc = rc ? rc : d->drop_index(session, &at.drop_s);
    bench_mark("dropped");
    at.again_from = workers_next_slice(w);
    at.end = at.again_from + slices_of(p->ms);
    if (rc == 0 && at.end >= SLICES_MAX) {
        fprintf(stderr, "bench: %s: the build took longer than a quarter of an hour\n", d->name);
        rc = 1;
    }
    rc = rc ? rc : workers_wait(w, at.end);
    rc |= workers_stop(w);
    if (rc == 0) {
        report_phases(w, &at);
    }
    return rc;
}

static int create_index_under_load(const struct driver *d, const struct parameters *p)
{
    struct foreground f = foreground_of(d, p, p->work);
    struct workers *w;
    void *session;
    int rc;

    if (d->create_index == NULL || d->drop_index == NULL || d->add == NULL || d->update == NULL ||
        d->touch == NULL) {
        return missing(d);
    }
    if (p->at_rate && half_rate(&f, p->ms) != 0) {
        return 1;
    }
    w = workers_start(&f); /* before this process has threads of the system's */
    if (w == NULL) {
        return 1;
    }
    rc = d->open(p->place, true, &session);
    if (rc != 0) {
        (void)workers_stop(w);
        workers_free(w);
        return rc;
    }
    rc = measure_phases(d, session, p, w);
    workers_free(w);
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
        bench_result("open_ms", (double)(bench_now_ns() - begin) / 1e6, "ms");
        d->close(session);
    }
    return rc;
}

/* Writers are killed in the midst of commits that nobody waited for. */
static int open_after_kill(const struct driver *d, const struct parameters *p)
{
    struct foreground f = foreground_of(d, p, WORK_INSERT);
    struct workers *w = workers_start(&f);
    int rc;

    if (w == NULL) {
        return 1;
    }
    rc = workers_wait(w, slices_of(p->ms));
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
                                     {"create-index", create_index},
                                     {"create-index-under-load", create_index_under_load},
                                     {"change", bench_change},
                                     {"open", open_and_close},
                                     {"open-after-kill", open_after_kill},
                                     {"settings", settings},
                                     {NULL, NULL}};
