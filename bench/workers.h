/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The foreground: processes that commit, one row at a time, and note the time that each commit took
 * in the tenth of a second in which it ended. Each writes a ring of slices of its own, in memory
 * that all share, so that measuring costs it no shared cache line; a thread of the parent gathers
 * them.
 */
#ifndef INSTAR_BENCH_WORKERS_H
#define INSTAR_BENCH_WORKERS_H

#include "bench.h"
#include "hist.h"

#include <stddef.h>

#define SLICE_NS UINT64_C(100000000)
#define SLICES_MAX 9000 /* fifteen minutes; the last one takes all that comes later */
#define WORKERS_MAX 64

/* What a client does again and again. */
enum work {
    WORK_INSERT, /* into w */
    WORK_ADD,    /* into t */
    WORK_UPDATE, /* BENCH_SET_V */
    WORK_TOUCH,  /* BENCH_SET_PAD */
    WORK_MODIFY, /* BENCH_CHANGE_V */
    WORK_YCSB_A, /* the mixes of mix.h */
    WORK_YCSB_B,
    WORK_YCSB_C,
    WORK_YCSB_D,
    WORK_YCSB_E,
    WORK_YCSB_F,
    WORK_ONCE /* BENCH_SET_PAD, once */
};
/* The work by name; 0, or 1 when there is none. */
int work_named(const char *name, enum work *work_out);

struct foreground {
    const struct driver *driver;
    const char *place;
    unsigned processes;
    bool sync;
    enum work work;
    uint64_t rows;
    /* Commits per second of all together, 0: as fast as they can. At a rate a commit's time counts
     * from when it was due, so that a stall is felt by all that would have come meanwhile. */
    double rate;
};

struct workers;
/* All are ready, and begin at the same moment: slice 0. NULL when one has failed. */
struct workers *workers_start(const struct foreground *f);
/* Wait until slice `slice` begins; 0, or 1 when a worker has failed meanwhile. */
int workers_wait(const struct workers *w, size_t slice);
/* The first slice that has not begun yet. */
size_t workers_next_slice(const struct workers *w);
/* Stop and end them: 0, or 1 when one has failed. The slices stay. */
int workers_stop(struct workers *w);
/* Processor time of the clients' own threads for each commit. */
double workers_thread_ns(const struct workers *w);
/* End them in the midst of what they do. */
void workers_kill(struct workers *w);
/* The most private memory that one of them had at its end. */
uint64_t workers_private_bytes(const struct workers *w);
/* Slices from … to - 1 of all workers together. After workers_stop. */
void workers_merge(const struct workers *w, size_t from, size_t to, struct hist *out);
void workers_free(struct workers *w);

#endif
