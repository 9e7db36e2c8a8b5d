/* SPDX-License-Identifier: Apache-2.0 */
/* The script of the workload, and the model of what it leaves. */
#include "support/oracle_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 60
#define COMMIT_BYTES 15000 /* below the limit of the smallest segments */

/* ---- operations of a commit, from its seed ------------------------------------------------ */

static void add_operation(struct operations *ops, uint64_t tree, const char *key, const void *value,
                          size_t value_size)
{
    struct operation *op = &ops->list[ops->count++];
    *op = (struct operation){.tree = tree, .value_size = value_size};
    snprintf(op->key, sizeof(op->key), "%s", key);
    op->key_size = strlen(op->key);
    if (value != NULL) {
        op->value = base_arena_copy(&ops->arena, value, value_size);
        expect(op->value != NULL);
    }
}

/* Sizes that fill segments of the smallest kind soon, with a few large ones among them. */
static size_t value_size(struct test_random *random, size_t most)
{
    size_t limit = test_random_chance(random, 10) ? most : most / 8;
    return 1 + (size_t)test_random_below(random, limit);
}

void oracle_operations(const struct oracle *o, const struct oracle_step *step,
                       const struct oracle_point *before, uint64_t mirror, struct operations *ops)
{
    struct test_random random = {.state = step->seed};
    uint8_t number[8];
    memset(ops, 0, sizeof(*ops));
    base_put_u64(number, step->number);
    add_operation(ops, ORACLE_BASE_TREE, "seq", number, sizeof(number));
    if (step->kind != ORACLE_WRITE) {
        return;
    }
    size_t trees = 0;
    while (trees < BASE_ARRAY_LEN(before->trees) && before->trees[trees] != 0) {
        trees++;
    }
    size_t count = 1 + (size_t)test_random_below(&random, ORACLE_OPS_MAX);
    size_t room = COMMIT_BYTES;
    for (size_t i = 0; i < count; i++) {
        uint64_t tree = before->trees[test_random_below(&random, trees)];
        if (tree == mirror) {
            tree = ORACLE_BASE_TREE;
        }
        char key[16];
        snprintf(key, sizeof(key), "k%03u", (unsigned)test_random_below(&random, KEYS));
        uint8_t *value = NULL;
        size_t size = 0;
        if (!test_random_chance(&random, 25)) {
            size = value_size(&random, o->value_bytes_max);
            size = size < room / 4 ? size : room / 4;
            room -= 2 * size; /* the mirror's too */
            value = base_arena_alloc(&ops->arena, size);
            expect(value != NULL);
            test_random_fill(&random, value, size);
        }
        add_operation(ops, tree, key, value, size);
        if (tree == ORACLE_BASE_TREE && mirror != 0) {
            add_operation(ops, mirror, key, value, size);
        }
    }
}

/* ---- the model ---------------------------------------------------------------------------- */

static int compare_row(const struct model_row *r, uint64_t tree, const char *key)
{
    if (r->tree != tree) {
        return r->tree < tree ? -1 : 1;
    }
    return strcmp(r->key, key);
}

static void set_row(struct model *m, uint64_t tree, const char *key, const uint64_t *hash)
{
    size_t at = 0;
    while (at < m->count && compare_row(&m->rows[at], tree, key) < 0) {
        at++;
    }
    bool there = at < m->count && compare_row(&m->rows[at], tree, key) == 0;
    if (hash == NULL) {
        if (there) {
            memmove(&m->rows[at], &m->rows[at + 1], (m->count - at - 1) * sizeof(*m->rows));
            m->count--;
        }
        return;
    }
    if (!there) {
        if (m->count == m->room) {
            m->room = m->room != 0 ? m->room * 2 : 256;
            m->rows = realloc(m->rows, m->room * sizeof(*m->rows));
            expect(m->rows != NULL);
        }
        memmove(&m->rows[at + 1], &m->rows[at], (m->count - at) * sizeof(*m->rows));
        m->count++;
        m->rows[at] = (struct model_row){.tree = tree};
        snprintf(m->rows[at].key, sizeof(m->rows[at].key), "%s", key);
    }
    m->rows[at].hash = *hash;
}

static void drop_rows(struct model *m, uint64_t tree)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (m->rows[i].tree != tree) {
            m->rows[kept++] = m->rows[i];
        }
    }
    m->count = kept;
}

static void add_tree(struct oracle_point *p, uint64_t tree)
{
    size_t i = 0;
    while (i < BASE_ARRAY_LEN(p->trees) && p->trees[i] != 0) {
        i++;
    }
    expect(i < BASE_ARRAY_LEN(p->trees));
    p->trees[i] = tree;
}

static void remove_tree(struct oracle_point *p, uint64_t tree)
{
    size_t kept = 0;
    for (size_t i = 0; i < BASE_ARRAY_LEN(p->trees); i++) {
        if (p->trees[i] != tree) {
            p->trees[kept++] = p->trees[i];
        }
    }
    while (kept < BASE_ARRAY_LEN(p->trees)) {
        p->trees[kept++] = 0;
    }
}

uint64_t oracle_mix(uint64_t digest, uint64_t tree, struct base_slice key, uint64_t value_hash)
{
    uint64_t h = base_hash64(key.data, key.size, tree);
    return (digest ^ h ^ value_hash * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu + 1;
}

/* Trees in the order of the point's list, keys in theirs. */
static uint64_t digest_of(const struct model *m)
{
    uint64_t digest = 0;
    for (size_t t = 0; t < BASE_ARRAY_LEN(m->point.trees) && m->point.trees[t] != 0; t++) {
        for (size_t i = 0; i < m->count; i++) {
            const struct model_row *r = &m->rows[i];
            if (r->tree == m->point.trees[t]) {
                digest = oracle_mix(digest, r->tree, base_slice(r->key, strlen(r->key)), r->hash);
            }
        }
    }
    return digest;
}

static void advance(const struct oracle *o, const struct oracle_step *step, struct model *m)
{
    if (step->kind == ORACLE_DROP) {
        drop_rows(m, step->tree);
        remove_tree(&m->point, step->tree);
        m->mirror = m->mirror == step->tree ? 0 : m->mirror;
        m->point.mirror = m->point.mirror == step->tree ? 0 : m->point.mirror;
    } else if (step->kind == ORACLE_CREATE) {
        add_tree(&m->point, step->tree);
    } else if (step->kind == ORACLE_CUT) {
        m->mirror = step->tree;
        m->point.mirror = step->tree;
        for (size_t i = 0; i < m->count; i++) {
            struct model_row r = m->rows[i];
            if (r.tree == ORACLE_BASE_TREE && strcmp(r.key, "seq") != 0) {
                set_row(m, step->tree, r.key, &r.hash);
            }
        }
    } else if (step->kind == ORACLE_FOLD_END) {
        add_tree(&m->point, step->tree);
        m->point.mirror = 0;
    }
    struct operations ops;
    oracle_operations(o, step, &m->point, m->mirror, &ops);
    for (size_t i = 0; i < ops.count; i++) {
        const struct operation *op = &ops.list[i];
        uint64_t hash = base_hash64(op->value, op->value_size, 0);
        set_row(m, op->tree, op->key, op->value != NULL ? &hash : NULL);
    }
    base_arena_free(&ops.arena);
    m->point.digest = digest_of(m);
}

struct model oracle_model(const struct oracle *o, uint64_t number)
{
    struct model m = {0};
    for (size_t i = 0; i < o->step_count; i++) {
        if (o->steps[i].number != 0 && o->steps[i].number <= number) {
            advance(o, &o->steps[i], &m);
        }
    }
    return m;
}

/* ---- scripts ------------------------------------------------------------------------------ */

static bool is_commit(enum oracle_kind kind)
{
    return kind <= ORACLE_CUT || kind == ORACLE_FOLD_END;
}

void oracle_add(struct oracle *o, enum oracle_kind kind, uint64_t tree, bool sync)
{
    if (o->step_count == o->step_room) {
        o->step_room = o->step_room != 0 ? o->step_room * 2 : 64;
        o->steps = realloc(o->steps, o->step_room * sizeof(*o->steps));
        expect(o->steps != NULL);
    }
    struct test_random random = test_random(o->stream * 100000 + o->step_count);
    o->steps[o->step_count++] = (struct oracle_step){.kind = kind,
                                                     .number = is_commit(kind) ? ++o->commits : 0,
                                                     .tree = tree,
                                                     .seed = test_random_next(&random),
                                                     .sync = sync};
}

void oracle_add_writes(struct oracle *o, size_t count, unsigned async_percent)
{
    struct test_random random = test_random(o->stream * 100000 + 50000 + o->step_count);
    for (size_t i = 0; i < count; i++) {
        oracle_add(o, ORACLE_WRITE, 0, !test_random_chance(&random, async_percent));
    }
}

static void add_build(struct oracle *o, uint64_t tree, struct test_random *random)
{
    unsigned async_percent = (unsigned)test_random_below(random, 100);
    oracle_add(o, ORACLE_CUT, tree, true);
    for (int i = 0; i < 4; i++) {
        oracle_add_writes(o, test_random_below(random, 4), async_percent);
        oracle_add(o, i < 3 ? ORACLE_LOAD : ORACLE_FOLD, tree, false);
        if (test_random_chance(random, 30)) {
            oracle_add(o, ORACLE_APPLY, 0, false);
        }
    }
    oracle_add_writes(o, test_random_below(random, 4), async_percent);
    oracle_add(o, ORACLE_FOLD_END, tree, true);
}

void oracle_add_any(struct oracle *o, size_t steps)
{
    struct test_random random = test_random(o->stream * 100000 + 99999);
    uint64_t next = 100; /* tree ids are never used twice */
    uint64_t extra = 0;  /* a tree of its own */
    uint64_t mirror = 0;
    for (size_t i = 0; i < steps; i++) {
        switch (test_random_below(&random, 8)) {
        case 0:
            oracle_add(o, ORACLE_FLUSH, 0, false);
            break;
        case 1:
            oracle_add(o, ORACLE_APPLY, 0, false);
            break;
        case 2:
            oracle_add(o, ORACLE_REOPEN, 0, false);
            break;
        case 3: {
            bool there = extra != 0;
            extra = there ? extra : next++;
            oracle_add(o, there ? ORACLE_DROP : ORACLE_CREATE, extra,
                       test_random_chance(&random, 50));
            extra = there ? 0 : extra;
            break;
        }
        case 4:
            if (mirror != 0) {
                oracle_add(o, ORACLE_DROP, mirror, test_random_chance(&random, 50));
                mirror = 0;
            } else {
                mirror = next++;
                add_build(o, mirror, &random);
            }
            break;
        default:
            oracle_add_writes(o, 1 + test_random_below(&random, 8),
                              (unsigned)test_random_below(&random, 101));
            break;
        }
    }
}

void oracle_ready(struct oracle *o)
{
    struct model m = {0};
    o->points = calloc(o->commits + 1, sizeof(*o->points));
    expect(o->points != NULL);
    for (size_t i = 0; i < o->step_count; i++) {
        if (o->steps[i].number != 0) {
            advance(o, &o->steps[i], &m);
            o->points[o->steps[i].number] = m.point;
        }
    }
    free(m.rows);
}

void oracle_free(struct oracle *o)
{
    free(o->steps);
    free(o->points);
    *o = (struct oracle){0};
}
