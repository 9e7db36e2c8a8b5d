/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schema changes that are the same words in all systems that know SQL. Table u has more columns:
 *
 *   k     int8, the primary key       few   int4, 100 different values
 *   name  text of 60 bytes, in no order    opt   int8, may be null, is not
 *
 * Each change is undone again, but drop-table: the next one finds what it found.
 */
#include "workloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OF_ROWS 1u      /* it reads all rows: rows per second are reported */
#define LOADS_X 2u      /* of a table x like u, with a tenth of its rows, made before */
#define CHANGE_SLICES 5 /* a change is over sooner: look at what comes behind it too */
#define STEPS 10        /* of which the roll-out's median is taken */

static const struct change {
    const char *name;
    const char *before; /* not timed; NULL: nothing */
    const char *timed;
    const char *after;
    unsigned flags;
} changes[] = {
    {"index-text", NULL, "create index by_name on u (name)", "drop index by_name", OF_ROWS},
    {"index-few", NULL, "create index by_few on u (few)", "drop index by_few", OF_ROWS},
    {"index-two-columns", NULL, "create index by_two on u (few, name desc)", "drop index by_two",
     OF_ROWS},
    {"three-indexes", NULL,
     "begin; create index by_few on u (few); create index by_opt on u (opt); "
     "create index by_both on u (few, opt desc); commit",
     "drop index by_few; drop index by_opt; drop index by_both", OF_ROWS},
    {"check", NULL, "alter table u add constraint positive check (opt >= 0)",
     "alter table u drop constraint positive", OF_ROWS},
    {"not-null", NULL, "alter table u alter column opt set not null",
     "alter table u alter column opt drop not null", OF_ROWS},
    {"add-column", NULL, "alter table t add column extra int8 not null default 7",
     "alter table t drop column extra", 0},
    {"drop-column", "alter table t add column extra int8 not null default 7",
     "alter table t drop column extra", NULL, 0},
    {"rename-column", NULL, "alter table t rename column pad to other",
     "alter table t rename column other to pad", 0},
    {"index-of-empty-table", "create table e (k int8 primary key, v int8)",
     "create index by_v_of_e on e (v)", "drop table e", 0},
    {"drop-table", NULL, "drop table u", NULL, 0},
    {"drop-other", NULL, "drop table x", NULL, LOADS_X},
    /* These are of the table that is written meanwhile. */
    {"index-pad-of-t", NULL, "create index by_pad on t (pad)", "drop index by_pad", OF_ROWS},
    {"three-indexes-of-t", NULL,
     "begin; create index by_v on t (v); create index by_pad on t (pad); "
     "create index by_both on t (v, pad desc); commit",
     "drop index by_v; drop index by_pad; drop index by_both", OF_ROWS},
    {"check-of-t", NULL, "alter table t add constraint positive check (v >= 0)",
     "alter table t drop constraint positive", OF_ROWS},
    {"not-null-of-t", "alter table t alter column pad drop not null",
     "alter table t alter column pad set not null", NULL, OF_ROWS},
};

static int missing(const struct driver *d, const char *what)
{
    fprintf(stderr, "bench: %s has no %s\n", d->name, what);
    return 1;
}

static const struct change *find(const char *name)
{
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        if (strcmp(changes[i].name, name) == 0) {
            return &changes[i];
        }
    }
    fprintf(stderr, "bench: no change '%s'\n", name);
    return NULL;
}

static int load_other(const struct driver *d, const struct parameters *p)
{
    uint64_t begin = bench_now_ns();
    void *session;
    int rc = d->open(p->place, false, &session);

    if (rc != 0) {
        return rc;
    }
    rc = d->load_other(session, "u", p->rows);
    if (rc == 0) {
        bench_result("rows_per_s", (double)p->rows / bench_seconds_since(begin), "1/s");
    }
    d->close(session);
    return rc;
}

static int timed(const struct driver *d, void *session, const char *statement, double *seconds_out)
{
    uint64_t begin = bench_now_ns();
    int rc = d->sql(session, statement);

    *seconds_out = bench_seconds_since(begin);
    return rc;
}

static void report_change(const struct change *c, const struct parameters *p, double seconds)
{
    bench_result("change_ms", seconds * 1e3, "ms");
    if ((c->flags & OF_ROWS) != 0) {
        bench_result("rows_per_s", (double)p->rows / seconds, "1/s");
    }
}

static int prepare(const struct driver *d, void *session, const struct change *c,
                   const struct parameters *p)
{
    if ((c->flags & LOADS_X) != 0) {
        return d->load_other(session, "x", p->rows / 10);
    }
    return c->before != NULL ? d->sql(session, c->before) : 0;
}

static int run_change(const struct driver *d, void *session, const struct change *c,
                      const struct parameters *p)
{
    double seconds = 0;
    int rc = prepare(d, session, c, p);

    rc = rc ? rc : timed(d, session, c->timed, &seconds);
    rc = rc ? rc : c->after != NULL ? d->sql(session, c->after) : 0;
    if (rc == 0) {
        report_change(c, p, seconds);
    }
    return rc;
}

/* ---- with processes that have used t once, and hold the store open ------------------------- */

struct idlers {
    struct workers *workers; /* NULL: none */
    void *session;           /* ours */
};

static int idlers_start(const struct driver *d, const struct parameters *p, struct idlers *out)
{
    struct foreground f = bench_foreground(d, p, WORK_ONCE);
    int rc;

    *out = (struct idlers){0};
    f.sync = true;
    if (p->processes > 0) {
        out->workers = workers_start(&f);
        if (out->workers == NULL) {
            return 1;
        }
        bench_clock_start(0); /* nothing is marked: nobody draws a time line */
    }
    rc = d->open(p->place, true, &out->session);
    if (rc != 0 && out->workers != NULL) {
        (void)workers_stop(out->workers);
        workers_free(out->workers);
    }
    return rc;
}

static int idlers_stop(const struct driver *d, struct idlers *at)
{
    int rc = 0;

    d->close(at->session);
    if (at->workers != NULL) {
        rc = workers_stop(at->workers);
        workers_free(at->workers);
    }
    return rc;
}

static int find_for(const struct driver *d, const struct parameters *p,
                    const struct change **change_out)
{
    if (d->sql == NULL || p->change == NULL) {
        return missing(d, "schema change by SQL");
    }
    *change_out = find(p->change);
    return *change_out == NULL;
}

int bench_change(const struct driver *d, const struct parameters *p)
{
    const struct change *c = NULL;
    struct idlers idlers;
    int rc;

    if (d->load_other != NULL && p->change != NULL && strcmp(p->change, "load") == 0) {
        return load_other(d, p);
    }
    rc = find_for(d, p, &c);
    rc = rc ? rc : idlers_start(d, p, &idlers);
    if (rc != 0) {
        return rc;
    }
    rc = run_change(d, idlers.session, c, p);
    return idlers_stop(d, &idlers) != 0 ? 1 : rc;
}

/* ---- the steps of a change ----------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* An index of an empty table goes through its stages with nothing to do in any of them: the time of
 * the drop by the number of versions that it published. */
static int one_roll_out(const struct driver *d, void *session, double *step_ms_out)
{
    uint32_t before = 0, after = 0;
    double seconds = 0;
    int rc = d->sql(session, "create index by_v_of_e on e (v)");

    rc = rc ? rc : d->version(session, "e", &before);
    rc = rc ? rc : timed(d, session, "drop index by_v_of_e", &seconds);
    rc = rc ? rc : d->version(session, "e", &after);
    if (rc == 0 && after <= before) {
        fprintf(stderr, "bench: %s: a change without a new version\n", d->name);
        rc = 1;
    }
    *step_ms_out = rc == 0 ? seconds * 1e3 / (after - before) : 0;
    return rc;
}

int bench_roll_out(const struct driver *d, const struct parameters *p)
{
    double steps[STEPS];
    struct idlers idlers;
    int rc;

    if (d->sql == NULL || d->version == NULL) {
        return missing(d, "versions of a table");
    }
    rc = idlers_start(d, p, &idlers);
    if (rc != 0) {
        return rc;
    }
    rc = d->sql(idlers.session, "create table e (k int8 primary key, v int8)");
    for (unsigned i = 0; rc == 0 && i < STEPS; i++) {
        rc = one_roll_out(d, idlers.session, &steps[i]);
    }
    rc = rc ? rc : d->sql(idlers.session, "drop table e");
    if (rc == 0) {
        qsort(steps, STEPS, sizeof(steps[0]), compare_doubles);
        bench_result("step_ms", steps[STEPS / 2], "ms");
        bench_result("slowest_step_ms", steps[STEPS - 1], "ms");
    }
    return idlers_stop(d, &idlers) != 0 ? 1 : rc;
}

/* ---- while others commit ------------------------------------------------------------------- */

/* In slices: the foreground alone, from the change's begin, after it. */
struct windows {
    size_t idle_from, change_from, after_from, end;
    double change_s;
};

static void report_windows(const struct workers *w, const struct windows *at)
{
    static struct hist idle, during, after;
    double alone;

    workers_merge(w, at->idle_from, at->change_from, &idle);
    workers_merge(w, at->change_from, at->after_from, &during);
    workers_merge(w, at->after_from, at->end, &after);
    alone = bench_rate(&idle, at->change_from - at->idle_from);
    bench_result("idle_commits_per_s", alone, "1/s");
    if (alone > 0) {
        bench_result("kept_percent",
                     bench_rate(&during, at->after_from - at->change_from) * 100 / alone, "%");
        bench_result("after_percent", bench_rate(&after, at->end - at->after_from) * 100 / alone,
                     "%");
    }
    bench_latencies(&idle, "idle_");
    bench_latencies(&during, "during_");
    bench_print_slices(w, at->idle_from, at->end);
}

static int look_at_change(const struct driver *d, void *session, const struct change *c,
                          const struct parameters *p, struct workers *w)
{
    size_t window = bench_slices(p->ms);
    struct windows at = {.idle_from = workers_next_slice(w) + window};
    int rc;

    at.change_from = at.idle_from + window;
    rc = workers_wait(w, at.change_from);
    bench_mark(p->change);
    rc = rc ? rc : timed(d, session, c->timed, &at.change_s);
    bench_mark("done");
    at.after_from = workers_next_slice(w);
    if (at.after_from < at.change_from + CHANGE_SLICES) {
        at.after_from = at.change_from + CHANGE_SLICES;
    }
    at.end = at.after_from + window;
    if (rc == 0 && at.end >= SLICES_MAX) {
        fprintf(stderr, "bench: %s: the change took longer than a quarter of an hour\n", d->name);
        rc = 1;
    }
    rc = rc ? rc : workers_wait(w, at.end);
    rc |= workers_stop(w);
    rc = rc ? rc : c->after != NULL ? d->sql(session, c->after) : 0;
    if (rc == 0) {
        report_change(c, p, at.change_s);
        report_windows(w, &at);
    }
    return rc;
}

int bench_change_under_load(const struct driver *d, const struct parameters *p)
{
    struct foreground f = bench_foreground(d, p, p->work);
    const struct change *c = NULL;
    struct workers *w;
    void *session;
    int rc = find_for(d, p, &c);

    if (rc == 0 && p->at_rate) {
        rc = bench_half_rate(&f, p->ms);
    }
    w = rc == 0 ? workers_start(&f) : NULL; /* before this process has threads of the system's */
    if (w == NULL) {
        return 1;
    }
    rc = d->open(p->place, true, &session);
    if (rc == 0) {
        rc = prepare(d, session, c, p);
        if (rc == 0) {
            rc = look_at_change(d, session, c, p, w);
        } else {
            (void)workers_stop(w);
        }
        d->close(session);
    } else {
        (void)workers_stop(w);
    }
    workers_free(w);
    return rc;
}
