/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging sorted runs: a loser tree, one comparison for each level and entry. Each inner node keeps
 * the run that lost there; the winner of all stands at the top. Equal keys come out once: a range
 * that was scanned twice, before and after its runner died, may have the same entry in two runs.
 */
#include "change/sort_impl.h"

#include <string.h>

struct source {
    struct run_reader *reader;
    struct base_slice key;
    struct base_slice value;
    uint64_t prefix;
    bool ended;
};
struct merge {
    struct source *sources;
    size_t count;
    size_t *losers; /* [1 … count - 1], inner nodes; [0] the winner */
    bool begun;
    struct base_buf last; /* the key that came out last */
};

static int advance(struct source *s, struct base_err *err)
{
    int rc = run_read_next(s->reader, &s->key, &s->value, err);

    if (rc == INSTAR_END) {
        s->ended = true;
        return 0;
    }
    if (rc == 0) {
        s->prefix = base_slice_prefix(s->key, 0);
    }
    return rc;
}

static bool before(const struct merge *m, size_t a, size_t b)
{
    const struct source *x = &m->sources[a];
    const struct source *y = &m->sources[b];

    if (x->ended || y->ended) {
        return !x->ended;
    }
    if (x->prefix != y->prefix) {
        return x->prefix < y->prefix;
    }
    return base_slice_cmp(x->key, y->key) < 0;
}

/* Play the matches below a node; leaves are count … 2 * count - 1. Returns the winner. */
static size_t play(struct merge *m, size_t node)
{
    if (node >= m->count) {
        return node - m->count;
    }
    size_t left = play(m, node * 2);
    size_t right = play(m, node * 2 + 1);
    bool right_wins = before(m, right, left);
    m->losers[node] = right_wins ? left : right;
    return right_wins ? right : left;
}

static void replay(struct merge *m, size_t winner)
{
    for (size_t node = (winner + m->count) / 2; node >= 1; node /= 2) {
        if (before(m, m->losers[node], winner)) {
            size_t loser = winner;
            winner = m->losers[node];
            m->losers[node] = loser;
        }
    }
    m->losers[0] = winner;
}

int merge_begin(struct run_reader *readers, size_t count, struct merge **merge_out,
                struct base_err *err)
{
    struct merge *m = base_alloc_zero(1, sizeof(*m));
    int rc = 0;

    *merge_out = NULL;
    base_assert(count > 0);
    if (m != NULL) {
        m->sources = base_alloc_zero(count, sizeof(*m->sources));
        m->losers = base_alloc_zero(count, sizeof(*m->losers));
        m->count = count;
    }
    if (m == NULL || m->sources == NULL || m->losers == NULL) {
        rc = base_err_set(err, INSTAR_ENOMEM, "merging sorted runs: out of memory");
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        m->sources[i].reader = &readers[i];
        rc = advance(&m->sources[i], err);
    }
    if (rc != 0) {
        merge_end(m);
        return rc;
    }
    m->losers[0] = play(m, 1);
    *merge_out = m;
    return 0;
}

static int remember(struct merge *m, struct base_slice key, struct base_err *err)
{
    m->last.size = 0;
    if (m->last.capacity < key.size && !base_buf_reserve(&m->last, key.size)) {
        return base_err_set(err, INSTAR_ENOMEM, "merging sorted runs: out of memory");
    }
    memcpy(m->last.data, key.data, key.size);
    m->last.size = key.size;
    return 0;
}

int merge_next(struct merge *m, struct base_slice *key_out, struct base_slice *value_out,
               struct base_err *err)
{
    for (;;) {
        struct source *s = &m->sources[m->losers[0]];
        if (m->begun) {
            int rc = advance(s, err);
            if (rc != 0) {
                return rc;
            }
            replay(m, m->losers[0]);
            s = &m->sources[m->losers[0]];
        }
        if (s->ended) {
            return INSTAR_END;
        }
        if (!m->begun || !base_slice_eq(s->key, base_buf_slice(&m->last))) {
            m->begun = true;
            *key_out = s->key;
            *value_out = s->value;
            return remember(m, s->key, err);
        }
    }
}

void merge_end(struct merge *m)
{
    if (m != NULL) {
        base_buf_free(&m->last);
        base_free(m->sources);
        base_free(m->losers);
        base_free(m);
    }
}
