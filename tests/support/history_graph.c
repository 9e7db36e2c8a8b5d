/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge that does not know the log. A version names its writer and the one before it, so reads
 * and writes tell by themselves who came before whom:
 *   who wrote a version        before who read it            (wr)
 *   who wrote a version        before who replaced it        (ww)
 *   who read a version         before who replaced it        (rw)
 *   what a process did first   before what it did next
 * Serialisable means that nobody comes before himself. Under snapshot isolation rw may close a
 * circle, so there it is left out. After: Adya, Weak Consistency, 1999; the idea to have values
 * that tell their history from Kingsbury and Alvaro, Elle, 2020.
 */
#include "support/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS (HISTORY_WORKERS * HISTORY_TXNS_MAX + 1)

struct edge {
    uint32_t from, to;
};

struct graph {
    struct history *history;
    uint32_t (*next)[HISTORY_KEYS + 1]; /* who replaced this version of that key */
    struct edge *edges;
    size_t edge_count, edge_room;
    uint32_t *first; /* of a node in `to` */
    uint32_t *to;    /* sorted by from */
    uint32_t *low;   /* Tarjan's: 0 not seen yet */
    uint32_t *place; /* on the stack + 1 */
    uint32_t *stack; /* nodes of circles that are not closed yet */
    uint32_t *path;  /* of the search */
    uint32_t *at;    /* of a node on the path: the edge to follow next */
    char *words;
};

static bool wrong(struct graph *g, uint32_t number, const char *what, uint32_t key,
                  uint32_t version)
{
    snprintf(g->words, HISTORY_WORDS, "transaction %" PRIu32 ": %s: key %u, version %" PRIu32,
             number, what, (unsigned)key, version);
    return false;
}

/* ---- edges --------------------------------------------------------------------------------- */

static void add(struct graph *g, uint32_t from, uint32_t to)
{
    if (from == 0 || to == 0 || from == to) {
        return;
    }
    if (g->edge_count == g->edge_room) {
        g->edge_room = g->edge_room * 2 + 1024;
        g->edges = realloc(g->edges, g->edge_room * sizeof(*g->edges));
        expect(g->edges != NULL);
    }
    g->edges[g->edge_count++] = (struct edge){from, to};
}

static bool is_write(const struct history_op *op)
{
    return op->verb == HISTORY_WRITE || op->verb == HISTORY_REMOVE;
}

static bool is_committed(struct graph *g, uint32_t number)
{
    const struct history_txn *t = history_get(g->history, number);

    return t != NULL && atomic_load(&t->state) == HISTORY_COMMITTED;
}

/* Has a committed transaction made this version of the key? */
static bool was_made(struct graph *g, uint32_t version, uint8_t key)
{
    const struct history_txn *t = history_get(g->history, version);
    bool made = false;

    for (uint32_t i = 0; t != NULL && i < t->op_count; i++) {
        made |= t->ops[i].verb == HISTORY_WRITE && t->ops[i].key == key;
    }
    return made && is_committed(g, version);
}

static bool find_next(struct graph *g, uint32_t number, const struct history_txn *t)
{
    for (uint32_t i = 0; i < t->op_count; i++) {
        const struct history_op *op = &t->ops[i];
        if (!is_write(op) || op->version == 0) {
            continue;
        }
        if (g->next[op->version][op->key] != 0) {
            return wrong(g, number, "a version was replaced twice", op->key, op->version);
        }
        g->next[op->version][op->key] = number;
    }
    return true;
}

static bool find_edges(struct graph *g, uint32_t number, const struct history_txn *t)
{
    bool snapshot = g->history->snapshot;

    for (uint32_t i = 0; i < t->op_count; i++) {
        const struct history_op *op = &t->ops[i];
        if (op->verb == HISTORY_SCAN || op->version == 0) {
            continue;
        }
        if (!was_made(g, op->version, op->key)) {
            return wrong(g, number, "it saw what was never committed", op->key, op->version);
        }
        add(g, op->version, number);
        if (op->verb == HISTORY_READ && !snapshot) {
            add(g, number, g->next[op->version][op->key]);
        }
    }
    return true;
}

/* What a process did before? A reader of what is on disk may see less than one before it that read
 * what is not there yet; and a new process less than its predecessor did, by commits that nobody
 * waited for. */
static bool comes_before(const struct history_txn *t, const struct history_txn *next)
{
    bool both_read = (t->flags & next->flags & HISTORY_READONLY) != 0;

    if ((next->flags & HISTORY_FIRST) != 0) {
        return false;
    }
    return !both_read || (t->flags & HISTORY_ASYNC) == 0 || (next->flags & HISTORY_ASYNC) != 0;
}

static bool build(struct graph *g)
{
    bool right = true;
    uint32_t last = 0;

    for (uint32_t n = 1; right && n < NUMBERS; n++) {
        right = !is_committed(g, n) || find_next(g, n, history_get(g->history, n));
    }
    for (uint32_t n = 1; right && n < NUMBERS; n++) {
        last = (n - 1) % HISTORY_TXNS_MAX == 0 ? 0 : last;
        if (is_committed(g, n)) {
            right = find_edges(g, n, history_get(g->history, n));
            if (last != 0 &&
                comes_before(history_get(g->history, last), history_get(g->history, n))) {
                add(g, last, n);
            }
            last = n;
        }
    }
    return right;
}

/* ---- circles ------------------------------------------------------------------------------- */

static void sort_edges(struct graph *g)
{
    for (size_t i = 0; i < g->edge_count; i++) {
        g->first[g->edges[i].from + 1]++;
    }
    for (uint32_t n = 1; n <= NUMBERS; n++) {
        g->first[n] += g->first[n - 1];
    }
    memcpy(g->at, g->first, NUMBERS * sizeof(*g->at));
    for (size_t i = 0; i < g->edge_count; i++) {
        g->to[g->at[g->edges[i].from]++] = g->edges[i].to;
    }
    memcpy(g->at, g->first, NUMBERS * sizeof(*g->at));
}

static bool tell_circle(struct graph *g, const uint32_t *nodes, size_t count)
{
    int used =
        snprintf(g->words, HISTORY_WORDS, "%zu transactions each come before the others:", count);

    for (size_t i = 0; i < count && i < 8; i++) {
        used += snprintf(g->words + used, HISTORY_WORDS - (size_t)used, " %" PRIu32, nodes[i]);
    }
    return false;
}

/* Tarjan, Depth-First Search and Linear Graph Algorithms, 1972; with a stack of its own. */
static bool search_from(struct graph *g, uint32_t root, uint32_t *seen, uint32_t *stacked)
{
    size_t depth = 0;
    bool right = true;

    g->path[depth++] = root;
    while (right && depth > 0) {
        uint32_t n = g->path[depth - 1];
        if (g->low[n] == 0) {
            g->low[n] = ++*seen;
            g->place[n] = g->low[n];
            g->stack[(*stacked)++] = n;
        }
        if (g->at[n] < g->first[n + 1]) {
            uint32_t to = g->to[g->at[n]];
            if (g->low[to] == 0) {
                g->path[depth++] = to;
                continue;
            }
            g->at[n]++;
            if (g->place[to] != 0 && g->low[to] < g->low[n]) { /* still on the stack */
                g->low[n] = g->low[to];
            }
            continue;
        }
        depth--;
        if (g->low[n] == g->place[n]) {
            uint32_t from = *stacked;
            while (g->stack[from - 1] != n) {
                from--;
            }
            from--;
            right = *stacked - from == 1 || tell_circle(g, g->stack + from, *stacked - from);
            while (*stacked > from) {
                g->place[g->stack[--*stacked]] = 0;
            }
        }
    }
    return right;
}

static void search(struct graph *g)
{
    uint32_t seen = 0, stacked = 0;
    bool right = true;

    sort_edges(g);
    for (uint32_t n = 1; right && n < NUMBERS; n++) {
        right = g->low[n] != 0 || search_from(g, n, &seen, &stacked);
    }
}

static uint32_t *numbers(void)
{
    uint32_t *made = calloc(NUMBERS + 2, sizeof(*made));

    expect(made != NULL);
    return made;
}

void history_judge_graph(struct history *h, char words_out[HISTORY_WORDS])
{
    struct graph g = {.history = h, .words = words_out};

    words_out[0] = '\0';
    g.next = calloc(NUMBERS, sizeof(*g.next));
    expect(g.next != NULL);
    uint32_t **arrays[] = {&g.first, &g.low, &g.place, &g.stack, &g.path, &g.at};
    for (size_t i = 0; i < BASE_ARRAY_LEN(arrays); i++) {
        *arrays[i] = numbers();
    }
    if (build(&g)) {
        g.to = calloc(g.edge_count + 1, sizeof(*g.to));
        expect(g.to != NULL);
        search(&g);
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(arrays); i++) {
        free(*arrays[i]);
    }
    free(g.to);
    free(g.edges);
    free(g.next);
}
