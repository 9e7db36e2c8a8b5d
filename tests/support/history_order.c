/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge that knows the log's order. Every writer took effect where its record stands, and every
 * reader where its snapshot ends; so there is one order to try, and each transaction is done alone
 * in it. Under snapshot isolation a writer's reads belong where its snapshot ends.
 */
#include "support/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    uint32_t version; /* 0: there is none */
    uint8_t g, u;
};

struct event {
    uint64_t at;
    uint32_t number;
    bool reads, writes;
};

struct judge {
    struct history *history;
    struct event *events;
    size_t count;
    struct row rows[HISTORY_KEYS + 1];
    char *words;
};

static bool wrong(struct judge *j, uint32_t number, const char *what, uint32_t key, uint32_t got,
                  uint32_t wanted)
{
    const struct history_txn *t = history_get(j->history, number);

    snprintf(j->words, HISTORY_WORDS,
             "transaction %" PRIu32 " (flags %" PRIu32 ", from %" PRIu64 " to %" PRIu64
             "): %s: key %u: %u in place of %u",
             number, t->flags, t->snapshot, atomic_load(&t->lsn), what, (unsigned)key,
             (unsigned)got, (unsigned)wanted);
    return false;
}

/* ---- one transaction at its place ---------------------------------------------------------- */

/* The rows of a group come in the order of their keys, all of them and no others. */
static bool judge_scan(struct judge *j, uint32_t number, const struct history_op *head)
{
    const struct history_op *op = head + 1;
    uint32_t left = head->count;

    for (uint8_t key = 1; key <= HISTORY_KEYS; key++) {
        const struct row *row = &j->rows[key];
        if (row->version == 0 || row->g != head->g) {
            continue;
        }
        if (left == 0 || op->key != key || op->version != row->version) {
            return wrong(j, number, "a scan misses a version", key, left == 0 ? 0 : op->version,
                         row->version);
        }
        op++;
        left--;
    }
    return left == 0 || wrong(j, number, "a scan has one too many", op->key, op->version, 0);
}

static bool judge_reads(struct judge *j, uint32_t number, const struct history_txn *t)
{
    bool right = true;

    for (uint32_t i = 0; right && i < t->op_count; i++) {
        const struct history_op *op = &t->ops[i];
        if (op->verb == HISTORY_SCAN) {
            right = judge_scan(j, number, op);
            i += op->count;
        } else if (op->verb == HISTORY_READ && op->version != j->rows[op->key].version) {
            right = wrong(j, number, "it read another version", op->key, op->version,
                          j->rows[op->key].version);
        }
    }
    return right;
}

static bool judge_claim(struct judge *j, uint32_t number, uint8_t key)
{
    for (uint8_t other = 1; other <= HISTORY_KEYS; other++) {
        if (other != key && j->rows[other].version != 0 && j->rows[key].u != 0 &&
            j->rows[other].u == j->rows[key].u) {
            return wrong(j, number, "a unique value is there twice", key, j->rows[key].u, other);
        }
    }
    return true;
}

static bool do_writes(struct judge *j, uint32_t number, const struct history_txn *t)
{
    bool right = true;

    for (uint32_t i = 0; right && i < t->op_count; i++) {
        const struct history_op *op = &t->ops[i];
        if (op->verb != HISTORY_WRITE && op->verb != HISTORY_REMOVE) {
            continue;
        }
        struct row *row = &j->rows[op->key];
        if (row->version != op->version) {
            right =
                wrong(j, number, "it replaced another version", op->key, op->version, row->version);
        }
        *row = op->verb == HISTORY_REMOVE ? (struct row){0}
                                          : (struct row){.version = number, .g = op->g, .u = op->u};
    }
    for (uint32_t i = 0; right && i < t->op_count; i++) {
        right = t->ops[i].verb != HISTORY_WRITE || judge_claim(j, number, t->ops[i].key);
    }
    return right;
}

/* ---- the order ----------------------------------------------------------------------------- */

/* A snapshot that ends where a record begins does not see it. */
static int compare_events(const void *a, const void *b)
{
    const struct event *x = a;
    const struct event *y = b;

    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    return (int)x->writes - (int)y->writes;
}

static bool collect(struct judge *j)
{
    for (uint32_t n = 1; n <= HISTORY_WORKERS * HISTORY_TXNS_MAX; n++) {
        const struct history_txn *t = history_get(j->history, n);
        if (t == NULL || atomic_load(&t->state) != HISTORY_COMMITTED) {
            continue;
        }
        uint64_t lsn = atomic_load(&t->lsn);
        if ((t->flags & HISTORY_READONLY) != 0) {
            j->events[j->count++] = (struct event){t->snapshot, n, true, false};
            continue;
        }
        if (lsn == 0 || lsn < t->snapshot) {
            return wrong(j, n, "it stands before what it saw", 0, (uint32_t)lsn,
                         (uint32_t)t->snapshot);
        }
        bool early = (t->flags & HISTORY_SNAPSHOT) != 0;
        if (early) {
            j->events[j->count++] = (struct event){t->snapshot, n, true, false};
        }
        j->events[j->count++] = (struct event){lsn, n, !early, true};
    }
    qsort(j->events, j->count, sizeof(*j->events), compare_events);
    return true;
}

static bool judge_all(struct judge *j)
{
    bool right = true;

    for (size_t i = 0; right && i < j->count; i++) {
        const struct event *e = &j->events[i];
        const struct history_txn *t = history_get(j->history, e->number);
        if (i > 0 && e->writes && j->events[i - 1].writes && j->events[i - 1].at == e->at) {
            right = wrong(j, e->number, "two stand in one place", 0, j->events[i - 1].number, 0);
        }
        right = right && (!e->reads || judge_reads(j, e->number, t));
        right = right && (!e->writes || do_writes(j, e->number, t));
    }
    return right;
}

/* ---- real time ----------------------------------------------------------------------------- */

struct moment {
    uint64_t at_ns;
    bool begins;
    uint32_t number;
};

static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a;
    const struct moment *y = b;

    if (x->at_ns != y->at_ns) {
        return x->at_ns < y->at_ns ? -1 : 1;
    }
    return (int)y->begins - (int)x->begins; /* at one moment: they were there together */
}

/* Who begins after an acknowledgement stands behind it, and sees it: a reader of what is on disk
 * only when it was acknowledged as being there. */
static bool judge_time(struct judge *j)
{
    struct moment *moments =
        calloc(2 * (size_t)HISTORY_WORKERS * HISTORY_TXNS_MAX, sizeof *moments);
    uint64_t told = 0, told_durable = 0;
    size_t count = 0;
    bool right = true;

    expect(moments != NULL);
    for (uint32_t n = 1; n <= HISTORY_WORKERS * HISTORY_TXNS_MAX; n++) {
        const struct history_txn *t = history_get(j->history, n);
        if (t != NULL && atomic_load(&t->state) == HISTORY_COMMITTED) {
            moments[count++] = (struct moment){t->begun_ns, true, n};
            moments[count++] = (struct moment){t->ended_ns, false, n};
        }
    }
    qsort(moments, count, sizeof(*moments), compare_moments);
    for (size_t i = 0; right && i < count; i++) {
        const struct moment *m = &moments[i];
        const struct history_txn *t = history_get(j->history, m->number);
        bool reads = (t->flags & HISTORY_READONLY) != 0;
        uint64_t lsn = atomic_load(&t->lsn);
        if (m->begins) {
            bool all = !reads || (t->flags & HISTORY_ASYNC) != 0;
            uint64_t floor = all ? told : told_durable;
            if ((reads ? t->snapshot : lsn) <= floor) {
                right = wrong(j, m->number, "it stands before one that had been acknowledged", 0,
                              (uint32_t)(reads ? t->snapshot : lsn), (uint32_t)floor);
            }
        } else if (!reads && m->at_ns != UINT64_MAX) {
            told = lsn > told ? lsn : told;
            told_durable =
                (t->flags & HISTORY_ASYNC) == 0 && lsn > told_durable ? lsn : told_durable;
        }
    }
    free(moments);
    return right;
}

void history_judge_order(struct history *h, char words_out[HISTORY_WORDS])
{
    struct judge j = {.history = h, .words = words_out};

    words_out[0] = '\0';
    j.events = calloc(2 * (size_t)HISTORY_WORKERS * HISTORY_TXNS_MAX, sizeof(*j.events));
    expect(j.events != NULL);
    if (collect(&j) && judge_all(&j)) {
        (void)judge_time(&j);
    }
    free(j.events);
}
