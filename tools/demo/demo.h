/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo: what its files share. One program in three roles, each its own process: the director,
 * which goes through the steps; writers, which insert, update and delete all the time; and runners,
 * which have the store open and so run the schema changes.
 */
#ifndef INSTAR_DEMO_H
#define INSTAR_DEMO_H

#include <instar.h>

#include <stdatomic.h>
#include <sys/types.h>

#define DEMO_WRITERS 4
#define DEMO_COLUMNS_MAX 64
#define DEMO_TABLE "entries"
#define DEMO_LEVEL 1 /* of every row, from the step on that adds it */

/* ---- figures (figures.c) ------------------------------------------------------------------ */

/* Log-linear buckets: 64 powers of two, 16 steps each; at most 6 % off. Nanoseconds. */
#define FIGURES_STEPS 16
#define FIGURES_BUCKETS (64 * FIGURES_STEPS)

/* One writer's figures, in memory that it shares with the director. Only the writer changes them.
 */
struct figures {
    _Atomic uint64_t commits;
    _Atomic uint64_t retries; /* lost races, run again */
    _Atomic uint64_t buckets[FIGURES_BUCKETS];
    _Atomic uint64_t longest_ns; /* since the director last set it to 0 */
};

/* What all roles see. */
struct stage {
    _Atomic bool stop;
    _Atomic uint32_t ready; /* writers that are at work */
    _Atomic uint32_t failed;
    struct figures writers[DEMO_WRITERS];
};
/* Map the file that holds it; `create`: make it first. NULL on failure, with a message. */
struct stage *stage_map(const char *path, bool create);

/* Sums at one moment; differences of two give a span. */
struct sample {
    uint64_t ns;
    uint64_t commits;
    uint64_t buckets[FIGURES_BUCKETS];
};
void figures_add(struct figures *figures, uint64_t ns);
void sample_take(struct stage *stage, struct sample *sample);
double sample_rate(const struct sample *from, const struct sample *to); /* commits per second */
double sample_percentile_ms(const struct sample *from, const struct sample *to, double percent);
uint64_t stage_longest_ns(struct stage *stage); /* and begin anew */
uint64_t now_ns(void);

/* ---- roles -------------------------------------------------------------------------------- */

/* What the data looks like. */
struct demo_data {
    char text[4096];
    const char *columns[DEMO_COLUMNS_MAX]; /* without id */
    size_t count;
    size_t indexed; /* position of the column that is indexed */
};

int writer_main(const char *store, const char *stage_path, const char *number,
                const struct demo_data *data);
int runner_main(const char *store, const char *stage_path);
int director_main(const char *tool, const char *scratch, const struct demo_data *data);

#endif
