/* SPDX-License-Identifier: Apache-2.0 */
/*
 * powercut: walks through what a disk may hold after a power cut at any place of a trace, and has
 * each such state looked at.
 *
 * The power is cut just before each step that makes something durable, and at the end. Cuts at
 * other places give no new states: what is pending there is a part of what is pending at the next
 * of these, where each part of it is taken as lost. At a cut are taken: all parts of the pending
 * operations when they are at most 10, else 64 by chance; each prefix of them: what a cut after
 * each single operation leaves on an orderly disk; for each pending write, tears at 8, 512 and
 * 4,096 bytes, as a prefix and in pieces. States that have the same files and the same promises
 * count once.
 */
#ifndef INSTAR_TEST_POWERCUT_H
#define INSTAR_TEST_POWERCUT_H

#include "support/trace.h"

/* Marks that the workload puts into the trace. MOST: what may be there from before the trace. */
enum { POWERCUT_CREATED = 1, POWERCUT_ISSUED, POWERCUT_DURABLE, POWERCUT_MOST };

/* One state: the files are in `path`. */
struct powercut_state {
    const char *path;
    uint64_t number;  /* of the state, also for its boot id */
    uint64_t issued;  /* commits that had begun */
    uint64_t durable; /* commits that had been promised */
    bool created;     /* that the store exists had been promised */
};

struct powercut {
    const struct trace *trace;
    const char *path; /* where states are written; removed after each */
    uint64_t from;    /* the first step to cut at */
    uint64_t wanted;  /* states, about; UINT64_MAX all */
    uint64_t stream;  /* of chance */
    /* false: text says what is wrong. Runs in a process of its own, which may also crash. */
    bool (*look)(void *arg, const struct powercut_state *state, char *text, size_t text_size);
    void *arg;
    bool quiet; /* do not report a bad state: it is looked for */
};

struct powercut_result {
    uint64_t states; /* looked at, all different */
    uint64_t same;   /* skipped because they had been looked at */
    uint64_t cuts;
    uint64_t bad;    /* 0 or 1: the first one ends the walk */
    char text[1024]; /* of the bad one */
};

void powercut_run(const struct powercut *job, struct powercut_result *result_out);
/* The counts, in one line. */
void powercut_print(const char *what, const struct powercut_result *result);

#endif
