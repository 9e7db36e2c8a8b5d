/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage table, by brute force: for each pair of stages that two versions may have side by side,
 * every sequence of up to four statements (M1 and M2 are made of such) over two rows and two
 * values, split in every way over the two versions; then long random ones with overlapping
 * transactions. After each the index must be what the later of the two stages relies on. Pairs that
 * skip a stage must be caught: if they were not, these tests would prove nothing.
 */
#include "support/txns.h"

#include <stdio.h>
#include <string.h>

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all;

static void setup(void)
{
    instar_options o = stores_options();
    o.segment_bytes = (uint64_t)8 << 20;
    o.txn_bytes_max = o.segment_bytes / 4;
    env = txns_open_t(&o, "a int8, b int8", &table);
    all = txns_projection(env, "t", NULL);
}

static void teardown(void)
{
    txn_projection_free(all);
    txns_close(env);
}

TestSuite(txn_stages, .init = setup, .fini = teardown);

/* ---- what must hold ----------------------------------------------------------------------- */

struct pair {
    const char *names[2];
    struct catalog_table *version[2];
    const struct catalog_index *index;
    bool complete; /* every row needs its entry */
    bool unique;   /* and no two rows are equal */
};

static void open_pair(struct pair *p, const char *one, const char *two, bool unique)
{
    txns_index(env, table, "i", "b", unique, "delete-only");
    struct catalog_table *now = txns_current(env, table);
    *p = (struct pair){.names = {one, two}};
    for (size_t i = 0; i < 2; i++) {
        p->version[i] = txns_forced(env, table, now->version + 1 + (uint32_t)i, "i", p->names[i]);
    }
    p->index = catalog_table_index(p->version[0], "i");
    p->complete = strcmp(one, "public") == 0 || strcmp(two, "public") == 0;
    p->unique = unique && p->complete;
    catalog_table_free(now);
}

static void close_pair(struct pair *p)
{
    catalog_table_free(p->version[0]);
    catalog_table_free(p->version[1]);
}

#define ROWS 3
#define VALUES 3

/* Row r (from 1) has model[r], 0: it is not there. Keys and values of a run lie apart from those of
 * all others, so nothing has to be cleared. */
struct run {
    const struct pair *pair;
    int64_t base;
    int64_t model[ROWS + 1];
};

static bool has_entry(struct store_txn *t, const struct run *run, int64_t row, int64_t value)
{
    instar_value parts[2] = {{.type = INSTAR_INT8, .i = run->base + value},
                             {.type = INSTAR_INT8, .i = run->base + row}};
    struct base_buf key = {0};
    struct base_slice found;
    const struct catalog_index *index = run->pair->index;
    must(row_key_encode(index->key_parts, parts, 2, &key, &test_err));
    int rc = store_txn_get(t, index->tree, base_buf_slice(&key), STORE_READ_UNTRACKED, &found,
                           &test_err);
    base_buf_free(&key);
    expect(rc == INSTAR_OK || rc == INSTAR_ENOTFOUND);
    return rc == INSTAR_OK;
}

/* NULL, or what is wrong. */
static const char *wrong(const struct run *run)
{
    const char *what = NULL;
    struct store_txn *t = stores_begin(env->store, STORE_TXN_READONLY);
    for (int64_t row = 1; row <= ROWS; row++) {
        for (int64_t value = 1; value <= VALUES; value++) {
            bool entry = has_entry(t, run, row, value);
            bool expected = run->model[row] == value;
            if (entry && !expected) {
                what = "an entry without its row";
            } else if (!entry && expected && run->pair->complete) {
                what = "a row without its entry";
            }
        }
        for (int64_t other = 1; other < row; other++) {
            if (run->pair->unique && run->model[row] != 0 && run->model[row] == run->model[other]) {
                what = "two rows with one value";
            }
        }
    }
    store_txn_abort(t);
    return what;
}

/* ---- statements --------------------------------------------------------------------------- */

enum verb { INSERT, UPDATE, DELETE, MOVE };

struct statement {
    enum verb verb;
    int64_t row;
    int64_t value; /* of a move: the row it goes to */
    size_t version;
};

static bool is_possible(const struct run *run, const struct statement *s)
{
    switch (s->verb) {
    case INSERT:
        return run->model[s->row] == 0;
    case MOVE:
        return run->model[s->row] != 0 && run->model[s->value] == 0;
    default:
        return run->model[s->row] != 0;
    }
}

static int execute(struct txn *t, const struct run *run, const struct statement *s)
{
    instar_value key = {.type = INSTAR_INT8, .i = run->base + s->row};
    instar_value row[2] = {key, {.type = INSTAR_INT8, .i = run->base + s->value}};
    switch (s->verb) {
    case INSERT:
        return txn_insert(t, all, row, &test_err);
    case UPDATE:
        return txn_update(t, all, &key, row, &test_err);
    case MOVE:
        row[0].i = run->base + s->value;
        row[1].i = run->base + run->model[s->row];
        return txn_update(t, all, &key, row, &test_err);
    default:
        return txn_delete(t, all, &key, &test_err);
    }
}

static void apply(struct run *run, const struct statement *s)
{
    switch (s->verb) {
    case MOVE:
        run->model[s->value] = run->model[s->row];
        run->model[s->row] = 0;
        break;
    case DELETE:
        run->model[s->row] = 0;
        break;
    default:
        run->model[s->row] = s->value;
    }
}

static struct txn *begin_as(const struct run *run, size_t version)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    txn_force_version(t, run->pair->version[version]);
    return t;
}

/* In a transaction of its own. A duplicate that is refused changes nothing. */
static void perform(struct run *run, const struct statement *s)
{
    struct txn *t = begin_as(run, s->version);
    must(execute(t, run, s));
    int rc = txn_commit(t, &test_err);
    if (rc == INSTAR_OK) {
        apply(run, s);
    } else {
        must_fail(rc, INSTAR_EUNIQUE);
    }
}

/* ---- every short sequence ----------------------------------------------------------------- */

#define LENGTH_MAX 4
#define BRUTE_ROWS 2
#define BRUTE_VALUES 2

struct brute {
    const struct pair *pair;
    int64_t runs;
    const char *found; /* the first thing wrong */
    struct statement sequence[LENGTH_MAX];
};

static void play(struct brute *b, size_t length)
{
    struct run run = {.pair = b->pair, .base = 1000 + 10 * b->runs++};
    for (size_t i = 0; i < length; i++) {
        if (is_possible(&run, &b->sequence[i])) { /* not after a duplicate was refused */
            perform(&run, &b->sequence[i]);
        }
    }
    const char *what = wrong(&run);
    if (what != NULL && b->found == NULL) {
        b->found = what;
    }
}

/* All statements that are possible in the model's state after the first `at`; sequences that differ
 * only in the names of rows and values are played once, by the order of first use. */
static void extend(struct brute *b, const struct run *state, size_t at, size_t length)
{
    static const enum verb verbs[] = {INSERT, UPDATE, DELETE};
    if (at == length || b->found != NULL) {
        if (b->found == NULL) {
            play(b, length);
        }
        return;
    }
    for (size_t i = 0; i < 2 * BRUTE_ROWS * (BRUTE_VALUES * 2 + 1); i++) {
        size_t rest = i / 2 / BRUTE_ROWS;
        enum verb verb = verbs[rest / BRUTE_VALUES];
        struct statement s = {.verb = verb,
                              .row = 1 + (int64_t)(i / 2 % BRUTE_ROWS),
                              .value = 1 + (int64_t)(rest % BRUTE_VALUES),
                              .version = i % 2};
        if (!is_possible(state, &s) || (at == 0 && (s.row > 1 || s.value > 1))) {
            continue;
        }
        struct run next = *state;
        apply(&next, &s);
        b->sequence[at] = s;
        extend(b, &next, at + 1, length);
    }
}

static const char *brute_force(const struct pair *p, size_t length, int64_t *runs_out)
{
    struct brute b = {.pair = p};
    for (size_t n = 1; n <= length && b.found == NULL; n++) {
        struct run empty = {.pair = p};
        extend(&b, &empty, 0, n);
    }
    *runs_out = b.runs;
    return b.found;
}

/* ---- long random sequences, overlapping --------------------------------------------------- */

static struct statement random_statement(struct test_random *r)
{
    struct statement s = {.verb = (enum verb)test_random_below(r, 4),
                          .row = 1 + (int64_t)test_random_below(r, ROWS),
                          .value = 1 + (int64_t)test_random_below(r, VALUES),
                          .version = test_random_below(r, 2)};
    return s;
}

/* Two transactions at a time, of whichever version, committed in random order. One that loses has
 * done nothing. */
static const char *random_run(const struct pair *p, struct test_random *r, int64_t number)
{
    struct run run = {.pair = p, .base = (int64_t)1 << 40};
    run.base += number * 10;
    for (int round = 0; round < 20; round++) {
        struct txn *t[2];
        struct statement s[2];
        bool did[2] = {false, false};
        for (size_t i = 0; i < 2; i++) {
            s[i] = random_statement(r);
            t[i] = begin_as(&run, s[i].version);
            did[i] = is_possible(&run, &s[i]);
            if (did[i]) {
                must(execute(t[i], &run, &s[i]));
            }
        }
        size_t first = test_random_below(r, 2);
        for (size_t n = 0; n < 2; n++) {
            size_t i = n == 0 ? first : 1 - first;
            int rc = txn_commit(t[i], &test_err);
            if (rc == INSTAR_OK && did[i]) {
                apply(&run, &s[i]);
            }
            expect(rc == INSTAR_OK || rc == INSTAR_ECONFLICT || rc == INSTAR_EUNIQUE);
        }
        const char *what = wrong(&run);
        if (what != NULL) {
            return what;
        }
    }
    return NULL;
}

static const char *random_runs(const struct pair *p, int64_t count)
{
    struct test_random r = test_random(3);
    const char *what = NULL;
    for (int64_t i = 0; i < count && what == NULL; i++) {
        what = random_run(p, &r, i);
    }
    return what;
}

/* ---- the pairs ---------------------------------------------------------------------------- */

static void expect_safe(const char *one, const char *two, bool unique)
{
    struct pair p;
    int64_t runs;
    open_pair(&p, one, two, unique);
    const char *what = brute_force(&p, LENGTH_MAX, &runs);
    cr_assert(what == NULL, "%s beside %s: %s", one, two, what);
    cr_assert_gt(runs, 500);
    what = random_runs(&p, 40);
    cr_assert(what == NULL, "%s beside %s, at random: %s", one, two, what);
    close_pair(&p);
}

static void expect_unsafe(const char *one, const char *two, bool unique)
{
    struct pair p;
    int64_t runs;
    open_pair(&p, one, two, unique);
    cr_assert(brute_force(&p, LENGTH_MAX, &runs) != NULL, "%s beside %s: nothing was found", one,
              two);
    cr_assert(random_runs(&p, 40) != NULL, "%s beside %s, at random: nothing was found", one, two);
    close_pair(&p);
}

Test(txn_stages, absent_beside_delete_only_is_safe)
{
    expect_safe("absent", "delete-only", false);
}

Test(txn_stages, delete_only_beside_write_only_is_safe)
{
    expect_safe("delete-only", "write-only", false);
}

Test(txn_stages, write_only_beside_public_is_safe)
{
    expect_safe("write-only", "public", false);
}

Test(txn_stages, write_only_beside_enforcing_is_safe)
{
    expect_safe("write-only", "enforcing", true);
}

Test(txn_stages, enforcing_beside_public_is_safe)
{
    expect_safe("enforcing", "public", true);
}

Test(txn_stages, delete_only_beside_enforcing_is_safe)
{
    expect_safe("delete-only", "enforcing", true);
}

/* The negative controls: a stage left out. */
Test(txn_stages, absent_beside_public_is_caught)
{
    expect_unsafe("absent", "public", false);
}

Test(txn_stages, absent_beside_write_only_is_caught)
{
    expect_unsafe("absent", "write-only", false);
}

Test(txn_stages, delete_only_beside_public_is_caught)
{
    expect_unsafe("delete-only", "public", false);
}

Test(txn_stages, unique_without_enforcing_is_caught)
{
    expect_unsafe("write-only", "public", true);
}
