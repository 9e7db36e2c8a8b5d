/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schema changes that are the same words in all systems that know SQL. Table u has more columns:
 *
 *   k     int8, the primary key       few   int4, 100 different values
 *   name  text of 60 bytes, in no order    opt   int8, may be null, is not
 *
 * Each change is undone again, but the last: the next one finds what it found.
 */
#include "workloads.h"

#include <stdio.h>
#include <string.h>

#define OF_ROWS (UINT64_C(1) << 0) /* it reads all rows: rows per second are reported */

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
};

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
    rc = d->load_other(session, p->rows);
    if (rc == 0) {
        bench_result("rows_per_s", (double)p->rows * 1e9 / (double)(bench_now_ns() - begin), "1/s");
    }
    d->close(session);
    return rc;
}

static int run_change(const struct driver *d, void *session, const struct change *c,
                      const struct parameters *p)
{
    double seconds;
    uint64_t begin;
    int rc = c->before != NULL ? d->sql(session, c->before) : 0;

    begin = bench_now_ns();
    rc = rc ? rc : d->sql(session, c->timed);
    seconds = (double)(bench_now_ns() - begin) / 1e9;
    rc = rc ? rc : c->after != NULL ? d->sql(session, c->after) : 0;
    if (rc == 0) {
        bench_result("change_ms", seconds * 1e3, "ms");
    }
    if (rc == 0 && (c->flags & OF_ROWS) != 0) {
        bench_result("rows_per_s", (double)p->rows / seconds, "1/s");
    }
    return rc;
}

/* With processes=N others, which have used t once and hold the store open. */
int bench_change(const struct driver *d, const struct parameters *p)
{
    struct foreground f = {.driver = d,
                           .place = p->place,
                           .processes = p->processes,
                           .sync = true,
                           .work = WORK_ONCE,
                           .rows = p->rows};
    const struct change *c;
    struct workers *others = NULL;
    void *session;
    int rc;

    if (d->sql == NULL || p->change == NULL) {
        fprintf(stderr, "bench: %s: no change by SQL\n", d->name);
        return 1;
    }
    if (strcmp(p->change, "load") == 0) {
        return load_other(d, p);
    }
    c = find(p->change);
    if (c == NULL) {
        return 1;
    }
    if (p->processes > 0) {
        others = workers_start(&f);
        if (others == NULL) {
            return 1;
        }
    }
    rc = d->open(p->place, true, &session);
    if (rc == 0) {
        rc = run_change(d, session, c, p);
        d->close(session);
    }
    if (others != NULL) {
        rc |= workers_stop(others);
        workers_free(others);
    }
    return rc;
}
