/* SPDX-License-Identifier: Apache-2.0 */
/* The workloads, by name; the same code for all systems. */
#ifndef INSTAR_BENCH_WORKLOADS_H
#define INSTAR_BENCH_WORKLOADS_H

#include "workers.h"

struct parameters {
    const char *place;
    uint64_t rows;
    uint64_t ms; /* of a measurement */
    unsigned processes;
    const char *change; /* of the schema, by name */
    bool sync;
    bool unique;
    bool online;    /* an index by the way that lets writers go on, though there are none */
    bool at_rate;   /* the foreground keeps half of the rate that it can reach */
    enum work work; /* of the foreground beside a build */
};

struct workload {
    const char *name; /* NULL ends the list */
    int (*run)(const struct driver *driver, const struct parameters *p);
};
extern const struct workload workloads[];

/* A schema change in SQL, p->change, or "load": its table (ddl.c). */
int bench_change(const struct driver *driver, const struct parameters *p);

#endif
