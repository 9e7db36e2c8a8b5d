/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random transactions against a model in memory: inserts, upserts, updates (of keys too), deletes,
 * gets, with statements that fail in their midst, commits and aborts, two transactions at a time.
 * The table has a unique index and one of two columns; after each commit both say what the table
 * says, in their order.
 */
#include "support/txns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 12
#define VALUES 9

struct model {
    bool there[KEYS];
    int64_t b[KEYS]; /* 0: null; unique */
    int64_t c[KEYS]; /* 0: null */
};

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all, *ac, *by_b, *by_cb;

static void setup(void)
{
    instar_options o = stores_options();
    o.segment_bytes = (uint64_t)8 << 20;
    o.txn_bytes_max = o.segment_bytes / 4;
    txns_make(&o);
    env = txns_open(&o);
    table = txns_table(env, "t", "c int8, a int8, b int8", "a desc");
    txns_index(env, table, "t_b", "b", true, "public");
    txns_index(env, table, "t_cb", "c desc, b", false, "public");
    all = txns_columns(env, "t", "a, b, c", NULL);
    ac = txns_columns(env, "t", "c, a", NULL);
    by_b = txns_columns(env, "t", "a, b, c", "t_b");
    by_cb = txns_columns(env, "t", "a, b, c", "t_cb");
}

static void teardown(void)
{
    txn_projection_free(all);
    txn_projection_free(ac);
    txn_projection_free(by_b);
    txn_projection_free(by_cb);
    txns_close(env);
}

TestSuite(txn_model, .init = setup, .fini = teardown);

static instar_value number(int64_t i)
{
    return (instar_value){.type = i == 0 ? INSTAR_NULL : INSTAR_INT8, .i = i};
}

static instar_value key_of(int64_t a)
{
    return (instar_value){.type = INSTAR_INT8, .i = a};
}

static int64_t back(const instar_value *v)
{
    return v->type == INSTAR_NULL ? 0 : v->i;
}

/* ---- one statement on both ----------------------------------------------------------------- */

static int do_insert(struct txn *t, struct model *m, int64_t a, int64_t b, int64_t c)
{
    instar_value row[3] = {key_of(a), number(b), number(c)};
    int rc = txn_insert(t, all, row, &test_err);
    expect(rc == (m->there[a] ? INSTAR_EEXISTS : INSTAR_OK));
    if (rc == INSTAR_OK) {
        m->there[a] = true;
        m->b[a] = b;
        m->c[a] = c;
    }
    return rc;
}

/* Sets c only; an insert has b null. */
static void do_upsert(struct txn *t, struct model *m, int64_t a, int64_t c)
{
    instar_value row[2] = {number(c), key_of(a)};
    must(txn_upsert(t, ac, row, &test_err));
    m->b[a] = m->there[a] ? m->b[a] : 0;
    m->there[a] = true;
    m->c[a] = c;
}

static void do_update(struct txn *t, struct model *m, int64_t a, int64_t to, int64_t b, int64_t c)
{
    instar_value key = key_of(a);
    instar_value row[3] = {key_of(to), number(b), number(c)};
    int rc = txn_update(t, all, &key, row, &test_err);
    bool taken = to != a && m->there[to];
    expect(rc == (!m->there[a] ? INSTAR_ENOTFOUND : taken ? INSTAR_EEXISTS : INSTAR_OK));
    if (rc == INSTAR_OK) {
        m->there[a] = false;
        m->there[to] = true;
        m->b[to] = b;
        m->c[to] = c;
    }
}

static void do_delete(struct txn *t, struct model *m, int64_t a)
{
    instar_value key = key_of(a);
    int rc = txn_delete(t, all, &key, &test_err);
    expect(rc == (m->there[a] ? INSTAR_OK : INSTAR_ENOTFOUND));
    m->there[a] = false;
}

static void do_get(struct txn *t, const struct model *m, int64_t a)
{
    instar_value key = key_of(a);
    instar_value row[3];
    int rc = txn_get(t, all, &key, row, &test_err);
    expect(rc == (m->there[a] ? INSTAR_OK : INSTAR_ENOTFOUND));
    if (rc == INSTAR_OK) {
        expect(row[0].i == a && back(&row[1]) == m->b[a] && back(&row[2]) == m->c[a]);
    }
}

/* A statement that must fail and change nothing. */
static void do_wrong(struct txn *t, int64_t a)
{
    instar_value row[3] = {
        key_of(a), number(1), {.type = INSTAR_TEXT, .bytes = {.data = "x", .size = 1}}};
    must_fail(txn_upsert(t, all, row, &test_err), INSTAR_ETYPE);
}

static void do_random(struct txn *t, struct model *m, struct test_random *r)
{
    int64_t a = (int64_t)test_random_below(r, KEYS);
    int64_t to = (int64_t)test_random_below(r, KEYS);
    int64_t b = (int64_t)test_random_below(r, VALUES);
    int64_t c = (int64_t)test_random_below(r, 4);
    switch (test_random_below(r, 8)) {
    case 0:
    case 1:
        do_insert(t, m, a, b, c);
        break;
    case 2:
        do_upsert(t, m, a, c);
        break;
    case 3:
        do_update(t, m, a, a, b, c);
        break;
    case 4:
        do_update(t, m, a, to, b, c);
        break;
    case 5:
        do_delete(t, m, a);
        break;
    case 6:
        do_wrong(t, a);
        break;
    default:
        do_get(t, m, a);
    }
}

/* ---- what must be seen --------------------------------------------------------------------- */

static bool is_unique(const struct model *m)
{
    for (size_t i = 0; i < KEYS; i++) {
        for (size_t j = 0; j < i; j++) {
            if (m->there[i] && m->there[j] && m->b[i] != 0 && m->b[i] == m->b[j]) {
                return false;
            }
        }
    }
    return true;
}

/* Null last ascending, first descending. */
static int compare_numbers(int64_t x, int64_t y, bool descending)
{
    int order = x == y ? 0 : x == 0 ? 1 : y == 0 ? -1 : x < y ? -1 : 1;
    return descending ? -order : order;
}

struct ordered {
    int64_t a, b, c;
};

static int compare_by_key(const void *x, const void *y)
{
    const struct ordered *p = x, *q = y;
    return p->a < q->a ? 1 : p->a > q->a ? -1 : 0;
}

static int compare_by_b(const void *x, const void *y)
{
    const struct ordered *p = x, *q = y;
    int order = compare_numbers(p->b, q->b, false);
    return order != 0 ? order : compare_by_key(x, y);
}

static int compare_by_cb(const void *x, const void *y)
{
    const struct ordered *p = x, *q = y;
    int order = compare_numbers(p->c, q->c, true);
    return order != 0 ? order : compare_by_b(x, y);
}

static void check_scan(struct txn *t, const struct model *m, struct txn_projection *p,
                       int (*compare)(const void *, const void *), bool reverse)
{
    struct ordered rows[KEYS];
    size_t count = 0;
    instar_value values[3];
    instar_range range = {.reverse = reverse};
    struct txn_cursor *c;
    for (int64_t a = 0; a < KEYS; a++) {
        if (m->there[a]) {
            rows[count++] = (struct ordered){a, m->b[a], m->c[a]};
        }
    }
    qsort(rows, count, sizeof(rows[0]), compare);
    must(txn_scan(t, p, &range, &c, &test_err));
    for (size_t i = 0; i < count; i++) {
        const struct ordered *row = &rows[reverse ? count - 1 - i : i];
        must(txn_cursor_next(c, values, &test_err));
        expect(values[0].i == row->a && back(&values[1]) == row->b && back(&values[2]) == row->c);
    }
    must_fail(txn_cursor_next(c, values, &test_err), INSTAR_END);
    txn_cursor_close(c);
}

static void check_all(struct txn *t, const struct model *m, bool reverse)
{
    check_scan(t, m, all, compare_by_key, reverse);
    check_scan(t, m, by_b, compare_by_b, reverse);
    check_scan(t, m, by_cb, compare_by_cb, reverse);
}

static void check_new_snapshot(const struct model *m, bool reverse)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY | INSTAR_TXN_ASYNC);
    check_all(t, m, reverse);
    txn_abort(t);
}

/* ---- runs ---------------------------------------------------------------------------------- */

/* One transaction at a time: what it sees, and what is left when it commits, aborts, or is refused
 * as a duplicate. */
Test(txn_model, one_at_a_time)
{
    struct test_random r = test_random(5);
    struct model committed = {0};
    for (int i = 0; i < 400; i++) {
        struct model m = committed;
        struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
        for (uint64_t n = test_random_below(&r, 8); n > 0; n--) {
            do_random(t, &m, &r);
        }
        check_all(t, &m, i % 2 == 0);
        if (test_random_chance(&r, 20)) {
            txn_abort(t);
        } else {
            int rc = txn_commit(t, &test_err);
            /* Only duplicates that it wrote itself can be there. */
            expect(rc == (is_unique(&m) ? INSTAR_OK : INSTAR_EUNIQUE));
            if (rc == INSTAR_OK) {
                committed = m;
            }
        }
        check_new_snapshot(&committed, i % 3 == 0);
    }
}

/* Two at a time, of random isolation. Each works on the model of its snapshot. Whoever commits
 * second after the other wrote commits only if the outcome is that of one after the other. */
Test(txn_model, two_at_a_time)
{
    struct test_random r = test_random(6);
    struct model committed = {0};
    unsigned both = 0;
    for (int i = 0; i < 400; i++) {
        struct txn *t[2];
        struct model m[2] = {committed, committed};
        struct model before = committed;
        uint64_t seeds[2] = {test_random_next(&r), test_random_next(&r)};
        uint64_t counts[2] = {test_random_below(&r, 3), test_random_below(&r, 3)};
        unsigned done = 0;
        for (size_t k = 0; k < 2; k++) {
            struct test_random own = {.state = seeds[k] | 1};
            t[k] = txns_begin(env, INSTAR_TXN_ASYNC);
            for (uint64_t n = 0; n < counts[k]; n++) {
                do_random(t[k], &m[k], &own);
            }
        }
        for (size_t k = 0; k < 2; k++) {
            int rc = txn_commit(t[k], &test_err);
            expect(rc == INSTAR_OK || rc == INSTAR_ECONFLICT || rc == INSTAR_EUNIQUE);
            if (rc != INSTAR_OK) {
                continue;
            }
            done++;
            /* Serial: rows that it changed, on what is there now. */
            for (size_t a = 0; a < KEYS; a++) {
                bool same = m[k].there[a] == before.there[a] && m[k].b[a] == before.b[a] &&
                            m[k].c[a] == before.c[a];
                if (!same) {
                    committed.there[a] = m[k].there[a];
                    committed.b[a] = m[k].b[a];
                    committed.c[a] = m[k].c[a];
                }
            }
            expect(is_unique(&committed));
        }
        both += done == 2 ? 1 : 0;
        check_new_snapshot(&committed, i % 2 == 0);
    }
    cr_assert_gt(both, 50, "hardly any two passed side by side: %u", both);
}
