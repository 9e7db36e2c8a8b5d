/* SPDX-License-Identifier: Apache-2.0 */
/* The director's own state, shared by director.c (processes, figures, the whole) and steps.c. */
#ifndef INSTAR_DEMO_DIRECTOR_H
#define INSTAR_DEMO_DIRECTOR_H

#include "demo.h"

#define RUNNERS 2
#define STEPS_MAX 20
#define TICK_MS 100
#define IDLE_MS 4000

/* One line of the final table. */
struct step {
    char name[64];
    double seconds;
    double rate;
    double p99_ms;
    double longest_ms;
};

struct director {
    const char *tool;
    const struct demo_data *data;
    char store[512], csv[512], stage_path[512];
    struct stage *stage;
    instar *db;
    pid_t writers[DEMO_WRITERS];
    pid_t runners[RUNNERS];
    struct step steps[STEPS_MAX];
    size_t step_count;
    struct sample begin; /* of the step in hand */
    struct sample shown; /* when the live line was drawn last */
    bool terminal;
};

/* Something is not as it must be: say so. Returns -1. */
int wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
int wrong_call(const char *doing, int rc);

/* The live line: what goes on, and how the writers fare. In a pipe, a line per second. */
void draw(struct director *d, const char *what);
/* A step of the final table: what the writers did meanwhile. */
void step_begin(struct director *d);
void step_end(struct director *d, const char *name);
/* The same for one that was a change, by what it came to; 0, or -1 after wrong(). */
int step_end_change(struct director *d, const char *name, int rc);
/* And for one that was to fail for what rows hold, with this error: the reason is printed. */
int step_end_failed(struct director *d, const char *name, int rc, const instar_change_info *info,
                    int error);
/* Run `instar COMMAND STORE A B`; -1 when its exit code is not 0. */
int run_tool(struct director *d, const char *command, const char *a, const char *b);

/* Wait for a change, drawing the live line. Returns the verdict's code. */
int follow(struct director *d, uint64_t change, instar_change_info *info);

/* The steps, in order; 0, or -1 after wrong(). */
int step_import(struct director *d);
int step_idle(struct director *d);
int step_index(struct director *d);
int step_unique_fails(struct director *d);
int step_repair(struct director *d);
int step_unique(struct director *d);
int step_kill(struct director *d);
int step_drop(struct director *d);
int step_add_columns(struct director *d);
int step_not_null_fails(struct director *d);
int step_not_null(struct director *d);
int step_type(struct director *d);
int step_several(struct director *d);
int step_key(struct director *d);
int step_undo(struct director *d);
int step_vacuum(struct director *d);

#endif
