/* SPDX-License-Identifier: Apache-2.0 */
/* The workloads, by name; the same code for all systems. */
#ifndef INSTAR_BENCH_WORKLOADS_H
#define INSTAR_BENCH_WORKLOADS_H

#include "workers.h"

struct parameters {
    const char *place;
    uint64_t rows;
    uint64_t ms;       /* of a measurement */
    uint64_t rate;     /* commits per second of the foreground, 0: as fast as it can */
    uint64_t sort_mib; /* memory of a build for sorting, 0: the default */
    uint64_t settle;   /* measurements long: the foreground in front of a build, unmeasured */
    unsigned processes;
    const char *change; /* of the schema, by name */
    bool sync;
    bool unique;
    bool online;    /* an index by the way that lets writers go on, though there are none */
    bool hurry;     /* the build does not give way to commits */
    bool at_rate;   /* the foreground keeps half of the rate that it can reach */
    enum work work; /* of the foreground beside a build */
};

struct workload {
    const char *name; /* NULL ends the list */
    int (*run)(const struct driver *driver, const struct parameters *p);
};
extern const struct workload workloads[];

/* ---- what several of them use (workloads.c) ----------------------------------------------- */

#define WARM_UP_SLICES 5

struct foreground bench_foreground(const struct driver *d, const struct parameters *p,
                                   enum work work);
size_t bench_slices(uint64_t ms);
double bench_rate(const struct hist *h, size_t slices);
void bench_latencies(const struct hist *h, const char *prefix);

/* ---- builds.c ----------------------------------------------------------------------------- */

int bench_create_index(const struct driver *driver, const struct parameters *p);
int bench_create_index_under_load(const struct driver *driver, const struct parameters *p);
/* What the tables take on the disk with an index, and when it is built a second time. */
int bench_disk_after_build(const struct driver *driver, const struct parameters *p);
/* Set the foreground's rate to half of what it reaches when nothing limits it. */
int bench_half_rate(struct foreground *f, uint64_t ms);
void bench_print_slices(const struct workers *w, size_t from, size_t to);

/* ---- ddl.c -------------------------------------------------------------------------------- */

/* A schema change in SQL, p->change, or "load": its table. */
int bench_change(const struct driver *driver, const struct parameters *p);
/* The same while others commit, as a time line. */
int bench_change_under_load(const struct driver *driver, const struct parameters *p);
/* How long one step of a change takes, by which all processes move to the next version. */
int bench_roll_out(const struct driver *driver, const struct parameters *p);

#endif
