/* SPDX-License-Identifier: Apache-2.0 */
/* Memtables: read as a plain model says, at any snapshot, and never trusted. */
#include "store/log.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#define SEGMENT ((uint64_t)1 << 20)
#define KEYS 40
#define COMMITS 400

/* A segment in plain memory. */
struct table {
    struct segment seg;
    uint8_t *bytes;
    uint64_t tail;
};

static void open_table(struct table *t)
{
    size_t size = memtable_size(SEGMENT);
    *t = (struct table){.bytes = base_alloc_zero(1, SEGMENT)};
    t->seg.bytes = t->bytes;
    t->seg.size = SEGMENT;
    t->seg.mem = base_alloc_zero(1, size);
    t->seg.mem_size = size;
    expect(t->bytes != NULL && t->seg.mem != NULL);
    memtable_format(t->seg.mem, size, 0, 5);
    expect(memtable_valid(t->seg.mem, size, 0, 5));
    expect(!memtable_valid(t->seg.mem, size, 0, 6));
    expect(!memtable_valid(t->seg.mem, size, SEGMENT, 5));
}

static void close_table(struct table *t)
{
    base_free(t->bytes);
    base_free(t->seg.mem);
}

/* Put a body into the log and the memtable; its LSN. */
static uint64_t commit_body(struct table *t, const struct base_buf *body)
{
    static struct memtable_plan plan[1000];
    size_t count;
    uint64_t bytes;
    uint64_t end = t->tail + record_room(body->size);
    must(memtable_plan_body(base_buf_slice(body), t->tail * 31, plan, BASE_ARRAY_LEN(plan), &count,
                            &bytes, &test_err));
    expect(bytes <= memtable_bytes_for(count));
    if (body->size > 0) {
        memcpy(t->bytes + t->tail + RECORD_HEADER, body->data, body->size);
    }
    uint32_t from = memtable_used(&t->seg);
    memtable_fill(&t->seg, plan, count, t->tail, end);
    expect_u64(memtable_used(&t->seg) - from, bytes);
    must(memtable_link(&t->seg, from, memtable_used(&t->seg)));
    t->tail = end;
    return end;
}

static uint64_t commit_one(struct table *t, uint64_t tree, const char *key, const char *value)
{
    struct base_buf body = {0};
    struct record_op op = {
        value != NULL ? RECORD_PUT : RECORD_DELETE, tree, {key, strlen(key)}, {0}};
    if (value != NULL) {
        op.value = base_slice(value, strlen(value));
    }
    expect(record_body_add(&body, &op));
    uint64_t lsn = commit_body(t, &body);
    base_buf_free(&body);
    return lsn;
}

static int get(const struct table *t, uint64_t tree, const char *key, uint64_t snapshot,
               struct memtable_hit *hit)
{
    return memtable_get(&t->seg, tree, base_slice(key, strlen(key)), snapshot, hit);
}

/* A read finds the newest version that its snapshot may see, deletes included. */
Test(store_memtable, versions)
{
    struct table t;
    struct memtable_hit hit;
    open_table(&t);
    uint64_t first = commit_one(&t, 1, "key", "one");
    uint64_t second = commit_one(&t, 1, "key", NULL);
    uint64_t third = commit_one(&t, 1, "key", "three");
    must_fail(get(&t, 1, "key", first - 1, &hit), INSTAR_ENOTFOUND);
    must(get(&t, 1, "key", second - 1, &hit));
    expect_u64(hit.lsn, first);
    expect(base_slice_eq(hit.value, base_slice("one", 3)));
    must(get(&t, 1, "key", second, &hit));
    expect(hit.deleted);
    must(get(&t, 1, "key", UINT64_MAX, &hit));
    expect_u64(hit.lsn, third);
    must_fail(get(&t, 2, "key", UINT64_MAX, &hit), INSTAR_ENOTFOUND);
    must_fail(get(&t, 1, "kez", UINT64_MAX, &hit), INSTAR_ENOTFOUND);
    close_table(&t);
}

/* Keys order by all their bytes, also where the first eight are equal or a key is a prefix. */
Test(store_memtable, key_order)
{
    static const char *const sorted[] = {
        "", "a", "aa", "abcdefgh", "abcdefgh1", "abcdefgh1x", "abcdefgh2", "abcdefgi", "b"};
    struct table t;
    struct memtable_iter it;
    open_table(&t);
    for (size_t i = BASE_ARRAY_LEN(sorted); i-- > 0;) {
        commit_one(&t, 5, sorted[i], "v");
    }
    memtable_iter_init(&it, &t.seg, 5, UINT64_MAX);
    int rc = memtable_iter_seek(&it, base_slice("", 0));
    for (size_t i = 0; i < BASE_ARRAY_LEN(sorted); i++) {
        expect(rc == 0);
        expect(base_slice_eq(it.key, base_slice(sorted[i], strlen(sorted[i]))));
        rc = memtable_iter_next(&it);
    }
    expect(rc == INSTAR_END);
    rc = memtable_iter_seek_before(&it, base_slice(NULL, 0));
    for (size_t i = BASE_ARRAY_LEN(sorted); i-- > 0;) {
        expect(rc == 0);
        expect(base_slice_eq(it.key, base_slice(sorted[i], strlen(sorted[i]))));
        rc = memtable_iter_prev(&it);
    }
    expect(rc == INSTAR_END);
    close_table(&t);
}

/* What the model holds: for each key of tree 1 and 2 the versions, by LSN. */
struct version {
    uint64_t lsn;
    uint64_t value; /* 0: deleted */
};
struct model {
    struct version versions[2][KEYS][COMMITS];
    size_t counts[2][KEYS];
    uint64_t lsns[COMMITS];
};

static void key_text(char out[8], size_t key)
{
    memset(out, 'k', 8);
    out[5] = (char)('0' + key / 10);
    out[6] = (char)('0' + key % 10);
    out[7] = '\0';
}

static uint64_t model_get(const struct model *m, size_t tree, size_t key, uint64_t snapshot)
{
    uint64_t value = 0;
    for (size_t i = 0; i < m->counts[tree][key]; i++) {
        if (m->versions[tree][key][i].lsn <= snapshot) {
            value = m->versions[tree][key][i].value;
        }
    }
    return value;
}

static void commit_by_chance(struct table *t, struct model *m, struct test_random *r, size_t n)
{
    struct base_buf body = {0};
    uint64_t values[2][KEYS];
    bool touched[2][KEYS] = {0};
    for (size_t tree = 0; tree < 2; tree++) {
        for (size_t key = 0; key < KEYS; key++) {
            char text[8];
            if (!test_random_chance(r, 5)) {
                continue;
            }
            key_text(text, key);
            touched[tree][key] = true;
            values[tree][key] = test_random_chance(r, 25) ? 0 : test_random_next(r) | 1;
            struct record_op op = {values[tree][key] == 0 ? RECORD_DELETE : RECORD_PUT,
                                   tree + 1,
                                   {text, 7},
                                   {&values[tree][key], 8}};
            expect(record_body_add(&body, &op));
        }
    }
    m->lsns[n] = commit_body(t, &body);
    for (size_t tree = 0; tree < 2; tree++) {
        for (size_t key = 0; key < KEYS; key++) {
            if (touched[tree][key]) {
                m->versions[tree][key][m->counts[tree][key]++] =
                    (struct version){m->lsns[n], values[tree][key]};
            }
        }
    }
    base_buf_free(&body);
}

/* Walk one tree in one direction and compare each step. */
static void compare_walk(const struct table *t, const struct model *m, size_t tree,
                         uint64_t snapshot, bool back)
{
    struct memtable_iter it;
    memtable_iter_init(&it, &t->seg, tree + 1, snapshot);
    int rc = back ? memtable_iter_seek_before(&it, base_slice(NULL, 0))
                  : memtable_iter_seek(&it, base_slice("", 0));
    for (size_t i = 0; i < KEYS; i++) {
        size_t key = back ? KEYS - 1 - i : i;
        char text[8];
        uint64_t value = model_get(m, tree, key, snapshot);
        bool known = m->counts[tree][key] > 0 && m->versions[tree][key][0].lsn <= snapshot;
        key_text(text, key);
        if (!known) {
            continue;
        }
        expect(rc == 0);
        expect(base_slice_eq(it.key, base_slice(text, 7)));
        expect(it.hit.deleted == (value == 0));
        expect(value == 0 || memcmp(it.hit.value.data, &value, 8) == 0);
        rc = back ? memtable_iter_prev(&it) : memtable_iter_next(&it);
    }
    expect(rc == INSTAR_END);
}

/* Random commits, read back at random snapshots, by key and in order both ways. */
Test(store_memtable, equals_a_model)
{
    static struct model m;
    struct table t;
    struct test_random r = test_random(1);
    open_table(&t);
    for (size_t n = 0; n < COMMITS; n++) {
        commit_by_chance(&t, &m, &r, n);
    }
    for (size_t n = 0; n < COMMITS; n += 7) {
        for (size_t tree = 0; tree < 2; tree++) {
            for (size_t key = 0; key < KEYS; key++) {
                struct memtable_hit hit;
                char text[8];
                key_text(text, key);
                uint64_t value = model_get(&m, tree, key, m.lsns[n]);
                int rc = get(&t, tree + 1, text, m.lsns[n], &hit);
                expect(rc == 0 || rc == INSTAR_ENOTFOUND);
                expect((rc == 0 && !hit.deleted) == (value != 0));
                expect(value == 0 || memcmp(hit.value.data, &value, 8) == 0);
            }
            compare_walk(&t, &m, tree, m.lsns[n], false);
            compare_walk(&t, &m, tree, m.lsns[n], true);
        }
    }
    close_table(&t);
}

/* Nodes that were made void are not there: older versions show through, in reads and in walks. */
Test(store_memtable, void_nodes_are_skipped)
{
    struct table t;
    struct memtable_hit hit;
    struct memtable_iter it;
    open_table(&t);
    uint64_t first = commit_one(&t, 1, "a", "old");
    uint32_t from = memtable_used(&t.seg);
    commit_one(&t, 1, "a", "new");
    commit_one(&t, 1, "b", "new");
    memtable_void(&t.seg, from);
    must(get(&t, 1, "a", UINT64_MAX, &hit));
    expect_u64(hit.lsn, first);
    must_fail(get(&t, 1, "b", UINT64_MAX, &hit), INSTAR_ENOTFOUND);
    memtable_iter_init(&it, &t.seg, 1, UINT64_MAX);
    must(memtable_iter_seek_before(&it, base_slice(NULL, 0)));
    expect(base_slice_eq(it.key, base_slice("a", 1)));
    must_fail(memtable_iter_next(&it), INSTAR_END);
    close_table(&t);
}

/* A key with very many versions costs a search, not a walk over all of them. */
Test(store_memtable, many_versions)
{
    struct table t;
    struct memtable_iter it;
    open_table(&t);
    commit_one(&t, 1, "a", "v");
    for (int i = 0; i < 5000; i++) {
        commit_one(&t, 1, "hot", "v");
    }
    commit_one(&t, 1, "z", "v");
    memtable_iter_init(&it, &t.seg, 1, UINT64_MAX);
    must(memtable_iter_seek(&it, base_slice("", 0)));
    must(memtable_iter_next(&it));
    must(memtable_iter_next(&it));
    expect(base_slice_eq(it.key, base_slice("z", 1)));
    must(memtable_iter_prev(&it));
    must(memtable_iter_prev(&it));
    expect(base_slice_eq(it.key, base_slice("a", 1)));
    close_table(&t);
}

/* Shared memory that somebody has overwritten gives an error, not a crash, a hang or an absence:
 * each word of each node in turn is set to something else. */
Test(store_memtable, broken_links_are_errors)
{
    struct table t;
    struct memtable_hit hit;
    open_table(&t);
    uint32_t from = memtable_used(&t.seg);
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key %02d", i);
        commit_one(&t, 1, key, "value");
    }
    uint32_t to = memtable_used(&t.seg);
    static const uint32_t bad[] = {1, 8, 0x7ffffff8, 0xffffffff};
    size_t errors = 0, unseen = 0;
    for (uint32_t at = from; at + 4 <= to; at += 4) {
        uint8_t *word = (uint8_t *)t.seg.mem + at;
        uint32_t before = base_get_u32(word);
        for (size_t i = 0; i <= BASE_ARRAY_LEN(bad); i++) {
            base_put_u32(word, i < BASE_ARRAY_LEN(bad) ? bad[i] : from); /* from: a cycle */
            int rc = get(&t, 1, "key 49", UINT64_MAX, &hit);
            expect(rc == 0 || rc == INSTAR_ENOTFOUND || rc == INSTAR_ECORRUPT);
            errors += rc == INSTAR_ECORRUPT;
            struct memtable_iter it;
            memtable_iter_init(&it, &t.seg, 1, UINT64_MAX);
            rc = memtable_iter_seek(&it, base_slice("", 0));
            for (int step = 0; rc == 0 && step < 100; step++) {
                rc = memtable_iter_next(&it);
            }
            errors += rc == INSTAR_ECORRUPT;
            /* Where none is visible all are passed by, which must end, too. */
            memtable_iter_init(&it, &t.seg, 1, 0);
            rc = memtable_iter_seek(&it, base_slice("", 0));
            expect(rc == INSTAR_END || rc == INSTAR_ECORRUPT);
            unseen += rc == INSTAR_ECORRUPT;
        }
        base_put_u32(word, before);
    }
    expect(errors > 100 && unseen > 100);
    must(get(&t, 1, "key 49", UINT64_MAX, &hit));
    close_table(&t);
}

/* Operations out of order, or more than there is room for, are refused before anything is linked.
 */
Test(store_memtable, plans_are_checked)
{
    struct memtable_plan plan[2];
    struct base_buf body = {0};
    struct record_op b = {RECORD_PUT, 1, {"b", 1}, {"", 0}};
    struct record_op a = {RECORD_PUT, 1, {"a", 1}, {"", 0}};
    struct record_op c = {RECORD_DELETE, 2, {"a", 1}, {NULL, 0}};
    size_t count;
    uint64_t bytes;
    expect(record_body_add(&body, &b) && record_body_add(&body, &a));
    must_fail(memtable_plan_body(base_buf_slice(&body), 0, plan, 2, &count, &bytes, &test_err),
              INSTAR_EINVALID);
    base_buf_clear(&body);
    expect(record_body_add(&body, &b) && record_body_add(&body, &b));
    must_fail(memtable_plan_body(base_buf_slice(&body), 0, plan, 2, &count, &bytes, &test_err),
              INSTAR_EINVALID);
    base_buf_clear(&body);
    expect(record_body_add(&body, &a) && record_body_add(&body, &b) && record_body_add(&body, &c));
    must_fail(memtable_plan_body(base_buf_slice(&body), 0, plan, 2, &count, &bytes, &test_err),
              INSTAR_ELIMIT);
    base_buf_free(&body);
}

/* The bound of what nodes take holds for any run of heights. */
Test(store_memtable, sizes_are_bounded)
{
    static struct memtable_plan plan[512];
    struct base_buf body = {0};
    size_t count;
    uint64_t bytes;
    for (int i = 0; i < 512; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%04d", i);
        struct record_op op = {RECORD_DELETE, 1, {key, 4}, {NULL, 0}};
        expect(record_body_add(&body, &op));
        struct test_random r = test_random((uint64_t)i);
        must(memtable_plan_body(base_buf_slice(&body), test_random_next(&r), plan, 512, &count,
                                &bytes, &test_err));
        expect(bytes <= memtable_bytes_for(count));
        must(memtable_plan_body(base_buf_slice(&body), 0, plan, 512, &count, &bytes, &test_err));
        expect(bytes <= memtable_bytes_for(count));
    }
    base_buf_free(&body);
}
