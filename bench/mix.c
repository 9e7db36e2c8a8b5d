/* SPDX-License-Identifier: Apache-2.0 */
/* See mix.h. Ranks are drawn by inverting the law's distribution, approximated by an integral. */
#include "mix.h"

#include <math.h>
#include <stdio.h>

#define THETA 0.99
#define EXACT 1000 /* terms of zeta that are added one by one */
#define SCAN_ROWS 100

enum letter { MIX_A, MIX_B, MIX_C, MIX_D, MIX_E, MIX_F };

/* The sum of 1 / i^THETA for i = 1 … n: the tail as an integral, each term in its middle. */
static double zeta(uint64_t n)
{
    double sum = 0;
    uint64_t exact = n < EXACT ? n : EXACT;

    for (uint64_t i = 1; i <= exact; i++) {
        sum += pow((double)i, -THETA);
    }
    return sum +
           (pow((double)n + 0.5, 1 - THETA) - pow((double)exact + 0.5, 1 - THETA)) / (1 - THETA);
}

void mix_start(struct mix *m, uint64_t rows, uint64_t seed)
{
    *m = (struct mix){.random = seed, .rows = rows, .zeta = zeta(rows)};
    m->eta = (1 - pow(2.0 / (double)rows, 1 - THETA)) / (1 - zeta(2) / m->zeta);
}

static double draw(struct mix *m)
{
    (void)bench_random_key(&m->random, 1);
    return (double)(m->random >> 11) / 9007199254740992.0; /* 53 bits */
}

/* 0 is the most popular one. */
static uint64_t rank_of(struct mix *m)
{
    double u = draw(m);
    uint64_t rank;

    if (u * m->zeta < 1) {
        return 0;
    }
    if (u * m->zeta < 1 + pow(0.5, THETA)) {
        return 1;
    }
    rank = (uint64_t)((double)m->rows * pow(m->eta * u - m->eta + 1, 1 / (1 - THETA)));
    return rank < m->rows ? rank : m->rows - 1;
}

/* Popular rows lie far apart. */
static uint64_t popular_key(struct mix *m)
{
    return 1 + (uint64_t)bench_value(rank_of(m) + 1) % m->rows;
}

static uint64_t latest_key(struct mix *m)
{
    uint64_t rank = rank_of(m);
    uint64_t kept = m->inserted < MIX_LATEST ? m->inserted : MIX_LATEST;

    return rank < kept ? m->latest[(m->inserted - 1 - rank) % MIX_LATEST] : m->rows - rank;
}

static int read_row(const struct driver *d, void *session, uint64_t key)
{
    int64_t v = 0;
    int rc = d->get(session, key, &v);

    return rc ? rc : bench_check_v(d->name, key, v);
}

/* A transaction of its own, in mix E of several rows. */
static int read_rows(struct mix *m, const struct driver *d, void *session, unsigned which)
{
    uint64_t key = which == MIX_D ? latest_key(m) : popular_key(m);
    int rc = d->reads_in_snapshot ? d->read_begin(session) : 0;

    if (rc != 0) {
        return rc;
    }
    rc = which == MIX_E ? d->read_range(session, key, 1 + (unsigned)(draw(m) * SCAN_ROWS))
                        : read_row(d, session, key);
    if (d->reads_in_snapshot) {
        d->read_end(session);
    }
    return rc;
}

static int insert_row(struct mix *m, const struct driver *d, void *session, uint64_t new_key)
{
    int rc = d->insert(session, BENCH_T, new_key, new_key + 1);

    m->latest[m->inserted++ % MIX_LATEST] = new_key;
    return rc;
}

int mix_step(struct mix *m, const struct driver *d, void *session, unsigned which, uint64_t new_key)
{
    static const unsigned percent_read[] = {50, 95, 100, 95, 95, 50};

    if (draw(m) * 100 < percent_read[which]) {
        return read_rows(m, d, session, which);
    }
    switch (which) {
    case MIX_D:
    case MIX_E:
        return insert_row(m, d, session, new_key);
    case MIX_F:
        return d->update(session, popular_key(m), BENCH_CHANGE_V, 0);
    default:
        return d->update(session, popular_key(m), BENCH_SET_PAD, 0);
    }
}

int mix_self_test(void)
{
    enum { ROWS = 100000, DRAWS = 400000 };
    static struct mix m;
    static unsigned drawn[ROWS];
    double half = 0, expected = 0;

    mix_start(&m, ROWS, 1);
    for (unsigned i = 0; i < DRAWS; i++) {
        drawn[rank_of(&m)]++;
    }
    for (unsigned i = 0; i < 100; i++) {
        half += drawn[i];
        expected += pow(i + 1, -THETA) / m.zeta;
    }
    half /= DRAWS;
    if (fabs(half - expected) > 0.02 || drawn[0] < drawn[1] || drawn[1] < drawn[10]) {
        fprintf(stderr, "bench: mix: the hundred most popular rows are %.3f of all, not %.3f\n",
                half, expected);
        return 1;
    }
    return 0;
}
