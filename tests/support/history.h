/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history: transactions of several processes, written down as they happen, and judged afterwards.
 *
 * Table t(a, b, before, g, u): each write of row a leaves the number of its transaction in b, and
 * that of the version it replaces in `before`. So what a transaction read names who wrote it, and
 * the versions of a key form a chain without any clock. Index t_g on (g, a) is for
 * scans of a group, unique index t_u on (u) for claims. Every writing transaction also writes a row
 * of its worker, by which its successor learns what became of it after a kill.
 */
#ifndef INSTAR_TEST_HISTORY_H
#define INSTAR_TEST_HISTORY_H

#include "support/dbs.h"

#define HISTORY_WORKERS 5
#define HISTORY_KEYS 12
#define HISTORY_GROUPS 4
#define HISTORY_CLAIMS 8
#define HISTORY_OPS_MAX 56
#define HISTORY_TXNS_MAX 8000 /* of one worker */
#define HISTORY_WORDS 400

enum history_state {
    HISTORY_NONE = 0,
    HISTORY_OPEN,      /* not yet at its commit */
    HISTORY_TRYING,    /* in commit: a kill leaves this, until a successor has looked */
    HISTORY_COMMITTED, /* acknowledged, or found so */
    HISTORY_ABORTED
};

enum history_flag {
    HISTORY_READONLY = 1,
    HISTORY_SNAPSHOT = 2, /* snapshot isolation */
    HISTORY_ASYNC = 4,
    HISTORY_FIRST = 8 /* of its process */
};

enum history_verb {
    HISTORY_READ = 1, /* version `version` of `key`; 0: no such row */
    HISTORY_SCAN,     /* of group `g`; the rows follow, READ each, `count` of them */
    HISTORY_WRITE,    /* `key` in place of `version`, with g and u */
    HISTORY_REMOVE    /* `key`, which had `version` */
};

struct history_op {
    uint8_t verb;
    uint8_t key;
    uint8_t g; /* 0: null */
    uint8_t u; /* 0: null */
    uint32_t version;
    uint32_t count;
};

struct history_txn {
    _Atomic uint32_t state;
    uint32_t flags;
    uint64_t snapshot;    /* the log's position up to which it saw */
    _Atomic uint64_t lsn; /* where its record stands, when it has one */
    uint64_t begun_ns, ended_ns;
    uint32_t op_count;
    struct history_op ops[HISTORY_OPS_MAX];
};

/* Shared by the test and all workers. Transaction n of worker w is number w * TXNS_MAX + n + 1. */
struct history {
    _Atomic uint32_t count[HISTORY_WORKERS];
    _Atomic uint64_t commits;
    uint32_t limit;    /* of transactions of one worker */
    bool snapshot;     /* writers run under snapshot isolation */
    uint64_t think_ns; /* the longest, of a transaction before its commit; 0: it does not */
    struct history_txn txns[HISTORY_WORKERS][HISTORY_TXNS_MAX];
};

struct history_job {
    struct history *history;
    uint32_t worker;
    uint64_t stream;   /* of chance */
    const char *point; /* to be killed at, or NULL */
    uint64_t nth;
};

/* ---- the work (history_work.c) ------------------------------------------------------------- */

void history_make_t(instar *db);
/* Works until it is killed, or has done so many transactions. */
void history_work(struct test_child *self, void *job);
/* The same in pieces, for a thread of a process that has the store open: its transactions one by
 * one; false: all are done. The first thing it does is to settle what its predecessor left. */
struct history_worker;
struct history_worker *history_worker_open(instar *db, struct history *h, uint32_t worker,
                                           struct test_random random);
bool history_worker_next(struct history_worker *w);
void history_worker_close(struct history_worker *w);
/* To be told of each point, by the thread that is there. */
void history_at_point(const char *name);
/* What became of a transaction that was killed in its commit. */
void history_settle(instar *db, struct history *h, uint32_t worker);

/* ---- the judges ---------------------------------------------------------------------------- */

/* NULL: it was never begun. */
struct history_txn *history_get(struct history *h, uint32_t number);

/* By the log's order: each transaction, done alone at its place, sees what it saw; a unique value
 * is never there twice; who began after an acknowledgement stands behind it. In words_out what does
 * not hold, "" when all does (history_order.c). */
void history_judge_order(struct history *h, char words_out[HISTORY_WORDS]);
/* Without the log: versions tell who came before whom, and nobody comes before himself. Nobody read
 * what was never committed, no version was replaced twice (history_graph.c). */
void history_judge_graph(struct history *h, char words_out[HISTORY_WORDS]);

#endif
