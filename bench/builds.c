/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes on t's v: alone, beside writers, and what they take on the disk. */
#include "workloads.h"

#include <stdio.h>

#define DROP_SLICES 10 /* behind the drop: what it leaves to be done in the background */

static int drop_again(const struct driver *d, void *session, const char *metric)
{
    double seconds = 0;
    int rc = d->drop_index(session, &seconds);

    if (rc == 0) {
        bench_result(metric, seconds, "s");
    }
    return rc;
}

static void set_options(const struct driver *d, void *session, const struct parameters *p)
{
    if (d->build_options != NULL) {
        d->build_options(session, p->hurry, p->sort_mib << 20);
    }
}

/* WiredTiger commits each entry of an index, and RocksDB puts them past its log: where nobody else
 * can be there, a build makes all of it durable at its end instead. */
static int open_to_build(const struct driver *d, const struct parameters *p, void **session_out)
{
    return d->open(p->place, !d->one_process, session_out);
}

/* The index is built and dropped again, so that the next call finds what this one found. */
int bench_create_index(const struct driver *d, const struct parameters *p)
{
    double seconds = 0;
    void *session;
    int rc = open_to_build(d, p, &session);

    if (rc != 0) {
        return rc;
    }
    set_options(d, session, p);
    bench_peak_start();
    rc = d->create_index(session, p->unique, p->online, &seconds);
    if (rc == 0) {
        bench_result("build_s", seconds, "s");
        bench_result("build_rows_per_s", (double)p->rows / seconds, "1/s");
        bench_result("private_mib", (double)bench_peak_stop() / 1048576.0, "MiB");
        rc = drop_again(d, session, "drop_s");
    }
    d->close(session);
    return rc;
}

void bench_print_slices(const struct workers *w, size_t from, size_t to)
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
    size_t idle_from, build_from, built_to, drop_from, again_from, end;
    double build_s, drop_s;
};

static void report_phases(const struct workers *w, const struct phases *at)
{
    static struct hist idle, again, during, after, dropping;
    double without = 0, kept = 0, with = 0;

    workers_merge(w, at->idle_from, at->build_from, &idle);
    workers_merge(w, at->again_from, at->end, &again);
    hist_merge(&idle, &again);
    workers_merge(w, at->build_from, at->built_to, &during);
    workers_merge(w, at->built_to, at->again_from, &after);
    workers_merge(w, at->drop_from, at->again_from + DROP_SLICES, &dropping);
    without = bench_rate(&idle, at->build_from - at->idle_from + at->end - at->again_from);
    kept = bench_rate(&during, at->built_to - at->build_from);
    with = bench_rate(&after, at->again_from - at->built_to);
    bench_result("build_s", at->build_s, "s");
    bench_result("drop_s", at->drop_s, "s");
    bench_result("idle_commits_per_s", without, "1/s");
    bench_result("during_commits_per_s", kept, "1/s");
    bench_result("kept_percent", without > 0 ? kept * 100 / without : 0, "%");
    bench_result("with_index_percent", without > 0 ? with * 100 / without : 0, "%");
    bench_latencies(&idle, "idle_");
    bench_latencies(&during, "during_");
    bench_latencies(&dropping, "dropping_");
    bench_print_slices(w, at->idle_from, at->end);
}

int bench_half_rate(struct foreground *f, uint64_t ms)
{
    static struct hist h;
    size_t to = WARM_UP_SLICES + bench_slices(ms);
    struct workers *w = workers_start(f);
    int rc;

    if (w == NULL) {
        return 1;
    }
    rc = workers_wait(w, to);
    rc |= workers_stop(w);
    workers_merge(w, WARM_UP_SLICES, to, &h);
    f->rate = bench_rate(&h, to - WARM_UP_SLICES) / 2;
    workers_free(w);
    return rc;
}

/* The foreground alone, during the build, with the index, and alone again. Before all that it runs
 * unmeasured, until the system also does in the background what these commits leave it to do (our
 * applier, a checkpoint): a window that begins with an empty log would lend its work to the build.
 */
static int measure_phases(const struct driver *d, void *session, const struct parameters *p,
                          struct workers *w)
{
    size_t settled = WARM_UP_SLICES + p->settle * bench_slices(p->ms);
    struct phases at = {.idle_from = settled, .build_from = settled + bench_slices(p->ms)};
    int rc = workers_wait(w, at.build_from);

    bench_mark("create index");
    rc |= d->create_index(session, p->unique, true, &at.build_s);
    bench_mark("public");
    at.built_to = workers_next_slice(w);
    rc = rc ? rc : workers_wait(w, at.built_to + bench_slices(p->ms));
    at.drop_from = workers_next_slice(w) - 1;
    bench_mark("drop index");
    rc = rc ? rc : d->drop_index(session, &at.drop_s);
    bench_mark("dropped");
    at.again_from = workers_next_slice(w);
    at.end = at.again_from + bench_slices(p->ms);
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

int bench_create_index_under_load(const struct driver *d, const struct parameters *p)
{
    struct foreground f = bench_foreground(d, p, p->work);
    struct workers *w;
    void *session;
    int rc;

    if (p->at_rate && bench_half_rate(&f, p->ms) != 0) {
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
    set_options(d, session, p);
    rc = measure_phases(d, session, p, w);
    workers_free(w);
    d->close(session);
    return rc;
}

/* ---- disk --------------------------------------------------------------------------------- */

static int build_and_look(const struct driver *d, void *session, uint64_t *tables_out,
                          uint64_t *log_out)
{
    double seconds = 0;
    int rc = d->create_index(session, false, false, &seconds);

    return rc ? rc : d->disk(session, tables_out, log_out);
}

/* When the index that was dropped has been purged, the same again must find room in the file. */
int bench_disk_after_build(const struct driver *d, const struct parameters *p)
{
    uint64_t first = 0, dropped = 0, second = 0, log = 0;
    double seconds = 0;
    void *session;
    int rc = open_to_build(d, p, &session);

    if (rc != 0) {
        return rc;
    }
    rc = build_and_look(d, session, &first, &log);
    rc = rc ? rc : d->drop_index(session, &seconds);
    rc = rc ? rc : d->disk(session, &dropped, &log);
    rc = rc ? rc : build_and_look(d, session, &second, &log);
    rc = rc ? rc : d->drop_index(session, &seconds);
    if (rc == 0) {
        bench_result("bytes_per_row", (double)first / (double)p->rows, "B");
        bench_result("built_again_percent", (double)second * 100 / (double)first, "%");
        bench_result("log_mib", (double)log / 1048576, "MiB");
    }
    d->close(session);
    return rc;
}
