/* SPDX-License-Identifier: Apache-2.0 */
/* Ordered reads over all that a snapshot is made of, against a model: own writes, memtables of
 * several segments, the tree; both directions, ranges, old snapshots. */
#include "support/stores.h"

#include <stdio.h>

#define T 3
#define KEYS 300

static struct store *s;

static void setup(void)
{
    instar_options o = stores_options();
    o.segment_bytes = 64 << 10; /* several segments come and go */
    o.txn_bytes_max = o.segment_bytes / 4;
    o.row_bytes_max = 4096;
    s = stores_make_tree(&o, T);
}

static void teardown(void)
{
    stores_close(s);
}

TestSuite(store_cursor, .init = setup, .fini = teardown);

/* A state of the tree: 0 is absent. */
struct model {
    uint32_t value[KEYS];
};

static struct base_slice key_of(int k, char text[8])
{
    /* Keys of different lengths, one a prefix of another. */
    int n = snprintf(text, 8, k % 3 == 0 ? "%03d" : k % 3 == 1 ? "%03dx" : "%03dxy", k);
    return base_slice(text, (size_t)n);
}

/* Some too long for a leaf of LMDB's. */
#define VALUE_MAX 2100
static size_t size_of(uint32_t value)
{
    return value % 20 == 0 ? VALUE_MAX : 64;
}

static void write_random(struct store_txn *t, struct model *m, struct test_random *r, int count)
{
    char text[8];
    for (int i = 0; i < count; i++) {
        int k = (int)test_random_below(r, KEYS);
        if (test_random_chance(r, 30)) {
            must(store_txn_delete(t, T, key_of(k, text), &test_err));
            m->value[k] = 0;
        } else {
            uint32_t v = 1 + (uint32_t)test_random_below(r, 1u << 30);
            uint8_t bytes[VALUE_MAX] = {0};
            base_put_u32(bytes, v);
            must(store_txn_put(t, T, key_of(k, text), base_slice(bytes, size_of(v)), &test_err));
            m->value[k] = v;
        }
    }
}

/* Walk [from, to) of the model and of the transaction side by side. to == KEYS: no upper end. */
static void compare(struct store_txn *t, const struct model *m, int from, int to, bool reverse)
{
    char lower[8];
    char upper[8];
    struct store_range range = {.lower = key_of(from, lower), .reverse = reverse};
    struct store_cursor *c;
    struct base_slice key;
    struct base_slice value;
    if (to < KEYS) {
        range.upper = key_of(to, upper);
    }
    must(store_cursor_open(t, T, &range, STORE_READ_NORMAL, &c, &test_err));
    memset(lower, 0, sizeof lower); /* it was copied */
    int step = reverse ? -1 : 1;
    for (int k = reverse ? to - 1 : from; k >= from && k < to; k += step) {
        char text[8];
        if (m->value[k] == 0) {
            continue;
        }
        must(store_cursor_next(c, &key, &value, &test_err));
        expect(base_slice_eq(key, key_of(k, text)));
        expect_u64(base_get_u32(value.data), m->value[k]);
        expect_u64(value.size, size_of(m->value[k]));
    }
    must_fail(store_cursor_next(c, &key, &value, &test_err), INSTAR_END);
    must_fail(store_cursor_next(c, &key, &value, &test_err), INSTAR_END);
    store_cursor_close(c);
    for (int k = from; k < to; k += 7) {
        char text[8];
        int rc = store_txn_get(t, T, key_of(k, text), STORE_READ_NORMAL, &value, &test_err);
        expect(rc == (m->value[k] != 0 ? 0 : INSTAR_ENOTFOUND));
        expect(rc != 0 || base_get_u32(value.data) == m->value[k]);
    }
}

static void compare_ranges(struct store_txn *t, const struct model *m, struct test_random *r)
{
    int from = (int)test_random_below(r, KEYS);
    int to = from + (int)test_random_below(r, (uint64_t)(KEYS - from) + 1);
    compare(t, m, 0, KEYS, false);
    compare(t, m, 0, KEYS, true);
    compare(t, m, from, to, test_random_chance(r, 50));
}

/* Whatever was committed, folded, or written by the transaction itself: scans and gets agree with
 * the model of their snapshot, also in snapshots held while the log goes on and is folded under
 * them. */
Test(store_cursor, agrees_with_a_model)
{
    enum { HELD = 4 };
    struct model now = {0};
    struct model held_model[HELD];
    struct store_txn *held[HELD] = {0};
    struct test_random r = test_random(1);
    for (int round = 0; round < 400; round++) {
        struct store_txn *t = stores_begin(s, test_random_chance(&r, 10) ? STORE_TXN_SYNC : 0);
        if (store_txn_lsn(t) == store_tail(s)) {
            write_random(t, &now, &r, 1 + (int)test_random_below(&r, 30));
            if (round % 8 == 0) {
                compare_ranges(t, &now, &r);
            }
        }
        stores_commit(t);
        if (test_random_chance(&r, 5)) {
            stores_fold(s);
        }
        int slot = (int)test_random_below(&r, HELD);
        if (round % 4 == 0) {
            if (held[slot] != NULL) {
                compare_ranges(held[slot], &held_model[slot], &r);
                store_txn_abort(held[slot]);
            }
            held[slot] = stores_begin(s, STORE_TXN_READONLY);
            held_model[slot] = now;
        }
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i] != NULL) {
            compare_ranges(held[i], &held_model[i], &r);
            store_txn_abort(held[i]);
        }
    }
    stores_fold(s);
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    compare_ranges(t, &now, &r);
    store_txn_abort(t);
}

/* A cursor sees own writes that come while it is open, ahead of it, and not behind it. */
Test(store_cursor, sees_later_writes_ahead)
{
    struct base_slice key;
    struct base_slice value;
    for (int round = 0; round < 4; round++) {
        bool reverse = round % 2 != 0;
        stores_write(s, T, "b", "1");
        stores_write(s, T, "d", "1");
        stores_write(s, T, "f", "1");
        if (round >= 2) {
            stores_fold(s); /* LMDB's rows lead */
        }
        struct store_txn *t = stores_begin(s, 0);
        struct store_range range = {.reverse = reverse};
        struct store_cursor *c;
        must(store_cursor_open(t, T, &range, STORE_READ_NORMAL, &c, &test_err));
        must(store_cursor_next(c, &key, &value, &test_err));
        expect(base_slice_eq(key, stores_text(reverse ? "f" : "b")));
        stores_put(t, T, reverse ? "g" : "a", "behind");
        stores_put(t, T, reverse ? "f" : "b", "here");
        stores_put(t, T, reverse ? "e" : "c", "ahead");
        stores_delete(t, T, "d");
        must(store_cursor_next(c, &key, &value, &test_err));
        expect(base_slice_eq(key, stores_text(reverse ? "e" : "c")));
        expect(base_slice_eq(value, stores_text("ahead")));
        must(store_cursor_next(c, &key, &value, &test_err));
        expect(base_slice_eq(key, stores_text(reverse ? "b" : "f")));
        must_fail(store_cursor_next(c, &key, &value, &test_err), INSTAR_END);
        store_cursor_close(c);
        store_txn_abort(t);
    }
}

/* Where a cursor has said that it has ended, nothing comes any more: what is written ahead of it
 * since then would be seen by this cursor and not count as read. */
Test(store_cursor, the_end_is_final)
{
    struct base_slice key;
    struct base_slice value;
    stores_write(s, T, "d", "1");
    for (int round = 0; round < 4; round++) {
        bool reverse = round % 2 != 0;
        if (round == 2) {
            stores_fold(s);
        }
        struct store_txn *t = stores_begin(s, 0);
        struct store_range range = {
            .lower = stores_text("b"), .upper = stores_text("g"), .reverse = reverse};
        struct store_cursor *c;
        must(store_cursor_open(t, T, &range, STORE_READ_NORMAL, &c, &test_err));
        must(store_cursor_next(c, &key, &value, &test_err));
        must_fail(store_cursor_next(c, &key, &value, &test_err), INSTAR_END);
        stores_put(t, T, reverse ? "c" : "e", "ahead");
        must_fail(store_cursor_next(c, &key, &value, &test_err), INSTAR_END);
        store_cursor_close(c);
        store_txn_abort(t);
    }
}

/* Empty ranges, ranges beyond all keys, and a tree that does not exist. */
Test(store_cursor, empty_ranges_end_at_once)
{
    static const struct {
        uint64_t tree;
        const char *lower;
        const char *upper;
    } cases[] = {{T, "b", "b"}, {T, "c", "b"}, {T, "x", NULL},
                 {T, "", "a"},  {T, "", ""},   {99, "", NULL}};
    stores_write(s, T, "b", "1");
    for (int fold = 0; fold < 2; fold++) {
        for (size_t i = 0; i < 2 * BASE_ARRAY_LEN(cases); i++) {
            const char *upper = cases[i / 2].upper;
            struct store_txn *t = stores_begin(s, 0);
            struct store_range range = {.lower = stores_text(cases[i / 2].lower),
                                        .upper = upper != NULL ? stores_text(upper)
                                                               : base_slice(NULL, 0),
                                        .reverse = i % 2 == 1};
            struct store_cursor *c;
            struct base_slice key;
            struct base_slice value;
            must(store_cursor_open(t, cases[i / 2].tree, &range, STORE_READ_NORMAL, &c, &test_err));
            must_fail(store_cursor_next(c, &key, &value, &test_err), INSTAR_END);
            store_cursor_close(c);
            store_txn_abort(t);
        }
        stores_fold(s);
    }
}

/* Many cursors of one transaction, also on one tree, do not disturb each other. */
Test(store_cursor, cursors_are_independent)
{
    enum { CURSORS = 20 };
    struct store_cursor *c[CURSORS];
    struct base_slice key;
    struct base_slice value;
    char text[8];
    for (int k = 0; k < 60; k++) {
        stores_write(s, T, base_slice_eq(key_of(k, text), key_of(k, text)) ? text : "", "v");
    }
    stores_fold(s);
    for (int round = 0; round < 3; round++) {
        struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
        struct store_range all = {0};
        for (int i = 0; i < CURSORS; i++) {
            must(store_cursor_open(t, T, &all, STORE_READ_NORMAL, &c[i], &test_err));
            for (int k = 0; k <= i; k++) {
                must(store_cursor_next(c[i], &key, &value, &test_err));
            }
        }
        for (int i = 0; i < CURSORS; i++) {
            must(store_cursor_next(c[i], &key, &value, &test_err));
            expect(base_slice_eq(key, key_of(i + 1, text)));
            store_cursor_close(c[i]);
        }
        store_txn_abort(t);
    }
}
