/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: their own writes, limits, what conflicts with what, and the sets behind it. */
#include "store/readset.h"
#include "store/writeset.h"
#include "support/stores.h"

#include <stdio.h>

#define T 7

static struct store *s;

static void setup(void)
{
    s = stores_make_tree(NULL, T);
}

static void teardown(void)
{
    stores_close(s);
}

TestSuite(store_txn, .init = setup, .fini = teardown);

/* ---- own writes ---------------------------------------------------------------------------- */

/* A transaction sees its own writes at once, others only after the commit. */
Test(store_txn, own_writes_are_seen)
{
    struct store_txn *a = stores_begin(s, 0);
    stores_put(a, T, "k", "1");
    stores_expect(a, T, "k", "1");
    stores_read(s, T, "k", NULL);
    stores_delete(a, T, "k");
    stores_expect(a, T, "k", NULL);
    stores_put(a, T, "k", "2");
    stores_commit(a);
    stores_read(s, T, "k", "2");
}

/* Of several writes of one key the last one counts, whatever came before it. */
Test(store_txn, writes_of_a_key_are_netted)
{
    struct store_txn *a = stores_begin(s, 0);
    for (int i = 0; i < 100; i++) {
        char text[64];
        snprintf(text, sizeof text, "%0*d", 1 + i % 40, i);
        stores_put(a, T, "k", text);
        stores_delete(a, T, "gone");
        stores_put(a, T, "gone", text);
    }
    stores_delete(a, T, "gone");
    stores_commit(a);
    stores_read(s, T, "k", "00000000000000000099");
    stores_read(s, T, "gone", NULL);
}

/* An aborted transaction leaves nothing, and one without writes commits at its snapshot. */
Test(store_txn, abort_leaves_nothing)
{
    uint64_t tail = store_tail(s);
    struct store_txn *a = stores_begin(s, 0);
    stores_put(a, T, "k", "1");
    store_txn_abort(a);
    stores_read(s, T, "k", NULL);
    struct store_txn *b = stores_begin(s, 0);
    stores_expect(b, T, "k", NULL);
    uint64_t lsn = store_txn_lsn(b);
    expect_u64(stores_commit(b), lsn);
    expect_u64(store_tail(s), tail);
}

/* Empty values are values. */
Test(store_txn, an_empty_value_is_a_value)
{
    struct store_txn *a = stores_begin(s, 0);
    must(store_txn_put(a, T, stores_text("k"), base_slice(NULL, 0), &test_err));
    stores_expect(a, T, "k", "");
    stores_commit(a);
    stores_read(s, T, "k", "");
    stores_fold(s);
    stores_read(s, T, "k", "");
}

/* Keys of 1 to 511 bytes; anything else is refused while it is gathered, and nothing changes. */
Test(store_txn, keys_have_limits)
{
    char key[600];
    memset(key, 'x', sizeof key);
    struct store_txn *a = stores_begin(s, 0);
    struct base_slice v = stores_text("v");
    must(store_txn_put(a, T, base_slice(key, 1), v, &test_err));
    must(store_txn_put(a, T, base_slice(key, 510), v, &test_err));
    must(store_txn_put(a, T, base_slice(key, 511), v, &test_err));
    must_fail(store_txn_put(a, T, base_slice(key, 512), v, &test_err), INSTAR_ELIMIT);
    must_fail(store_txn_put(a, T, base_slice(key, 0), v, &test_err), INSTAR_EINVALID);
    must_fail(store_txn_put(a, UINT64_MAX, base_slice(key, 1), v, &test_err), INSTAR_EINVALID);
    stores_commit(a);
    stores_fold(s);
    struct store_txn *b = stores_begin(s, STORE_TXN_READONLY);
    struct base_slice got;
    must(store_txn_get(b, T, base_slice(key, 511), STORE_READ_NORMAL, &got, &test_err));
    must_fail(store_txn_get(b, T, base_slice(key, 509), STORE_READ_NORMAL, &got, &test_err),
              INSTAR_ENOTFOUND);
    store_txn_abort(b);
}

/* The largest transaction is an option; what would pass it is refused and the rest stays as it was.
 */
Test(store_txn, the_size_is_limited)
{
    static char value[100000];
    struct store_txn *a = stores_begin(s, 0);
    must(store_txn_put(a, T, stores_text("a"), base_slice(value, sizeof value), &test_err));
    must(store_txn_put(a, T, stores_text("b"), base_slice(value, sizeof value), &test_err));
    must_fail(store_txn_put(a, T, stores_text("c"), base_slice(value, sizeof value), &test_err),
              INSTAR_ELIMIT);
    must_fail(store_txn_put(a, T, stores_text("a"), base_slice(value, 2 * sizeof value - 1), NULL),
              INSTAR_ELIMIT);
    must(store_txn_put(a, T, stores_text("a"), base_slice(value, 10), &test_err));
    must(store_txn_put(a, T, stores_text("c"), base_slice(value, sizeof value), &test_err));
    stores_commit(a);
    struct store_txn *b = stores_begin(s, STORE_TXN_READONLY);
    struct base_slice got;
    must(store_txn_get(b, T, stores_text("a"), STORE_READ_NORMAL, &got, &test_err));
    expect_u64(got.size, 10);
    must(store_txn_get(b, T, stores_text("c"), STORE_READ_NORMAL, &got, &test_err));
    expect_u64(got.size, sizeof value);
    store_txn_abort(b);
}

/* A read-only transaction writes nothing. */
Test(store_txn, read_only_cannot_write)
{
    struct store_txn *a = stores_begin(s, STORE_TXN_READONLY);
    must_fail(store_txn_put(a, T, stores_text("k"), stores_text("v"), &test_err), INSTAR_EREADONLY);
    must_fail(store_txn_delete(a, T, stores_text("k"), &test_err), INSTAR_EREADONLY);
    must_fail(store_txn_tree_op(a, STORE_TREE_DROP, T, &test_err), INSTAR_EREADONLY);
    store_txn_abort(a);
}

/* Begin again takes a newer snapshot, but not once something was read or written. */
Test(store_txn, restart_takes_a_newer_snapshot)
{
    struct store_txn *a = stores_begin(s, 0);
    stores_write(s, T, "k", "1");
    uint64_t before = store_txn_lsn(a);
    must(store_txn_restart(a, &test_err));
    expect(store_txn_lsn(a) > before);
    expect(!store_txn_has_reads(a));
    stores_expect(a, T, "k", "1");
    expect(store_txn_has_reads(a));
    must_fail(store_txn_restart(a, &test_err), INSTAR_ESTATE);
    store_txn_abort(a);
}

/* A transaction beside another one has its very snapshot, whatever was committed since, as long as
 * the trees have not moved on. */
Test(store_txn, one_beside_another_has_its_snapshot)
{
    struct store_txn *beside;
    stores_write(s, T, "k", "1");
    struct store_txn *a = stores_begin(s, STORE_TXN_READONLY | STORE_TXN_SYNC);
    stores_write(s, T, "k", "2");
    must(store_txn_begin_beside(a, &beside, &test_err));
    expect_u64(store_txn_lsn(beside), store_txn_lsn(a));
    stores_expect(beside, T, "k", "1");
    stores_fold(s);
    stores_expect(beside, T, "k", "1");
    store_txn_abort(beside);
    must_fail(store_txn_begin_beside(a, &beside, &test_err), INSTAR_EBUSY);
    stores_expect(a, T, "k", "1");
    store_txn_abort(a);
}

/* A sync transaction reads what is durable, its commit is durable when it returns, and it sees the
 * async commits of its own process. */
Test(store_txn, sync_reads_and_writes_what_is_durable)
{
    stores_write(s, T, "k", "1");
    struct store_txn *a = stores_begin(s, STORE_TXN_SYNC);
    expect(store_txn_lsn(a) <= store_durable(s));
    stores_expect(a, T, "k", "1");
    stores_put(a, T, "k", "2");
    uint64_t lsn = stores_commit(a);
    expect(store_durable(s) >= lsn);
}

/* ---- conflicts ----------------------------------------------------------------------------- */

enum act { GET, GET_PROBE, GET_UNTRACKED, SCAN, SCAN_PROBE, SCAN_PART, SCAN_BACK, BLIND };

static void scan(struct store_txn *t, enum store_read how, bool reverse, int steps)
{
    struct store_range range = {stores_text("c"), stores_text("m"), reverse};
    struct store_cursor *c;
    struct base_slice k;
    struct base_slice v;
    must(store_cursor_open(t, T, &range, how, &c, &test_err));
    while (steps-- > 0 && store_cursor_next(c, &k, &v, &test_err) == 0) {
    }
    store_cursor_close(c);
}

static void perform(struct store_txn *t, enum act act)
{
    struct base_slice v;
    switch (act) {
    case GET:
        store_txn_get(t, T, stores_text("e"), STORE_READ_NORMAL, &v, &test_err);
        break;
    case GET_PROBE:
        store_txn_get(t, T, stores_text("e"), STORE_READ_PROBE, &v, &test_err);
        break;
    case GET_UNTRACKED:
        store_txn_get(t, T, stores_text("e"), STORE_READ_UNTRACKED, &v, &test_err);
        break;
    case SCAN:
        scan(t, STORE_READ_NORMAL, false, 100);
        break;
    case SCAN_PROBE:
        scan(t, STORE_READ_PROBE, false, 100);
        break;
    case SCAN_PART:
        scan(t, STORE_READ_NORMAL, false, 2); /* d, f */
        break;
    case SCAN_BACK:
        scan(t, STORE_READ_NORMAL, true, 2); /* l, h */
        break;
    case BLIND:
        stores_put(t, T, "e", "mine");
        break;
    }
}

/* A transaction reads or writes, another one commits a change of `key`, then the first one commits.
 */
static int lost_against(enum act act, unsigned flags, const char *key, const char *value)
{
    struct store_txn *t = stores_begin(s, flags);
    perform(t, act);
    stores_put(t, T, "zz", "end");
    stores_write(s, T, key, value);
    return store_txn_commit(t, NULL, NULL, &test_err);
}

/* What was read must be unchanged under serializable; written keys and probes under both. */
Test(store_txn, conflict_matrix)
{
    static const struct {
        enum act act;
        const char *key;
        bool serializable, snapshot; /* does it conflict? */
    } cases[] = {
        {GET, "e", true, false},
        {GET, "ee", false, false},
        {GET_PROBE, "e", true, true},
        {GET_PROBE, "d", false, false},
        {GET_UNTRACKED, "e", false, false},
        {SCAN, "c", true, false},
        {SCAN, "e", true, false},
        {SCAN, "lzz", true, false},
        {SCAN, "m", false, false},
        {SCAN, "b", false, false},
        {SCAN_PROBE, "g", true, true},
        {SCAN_PROBE, "m", false, false},
        {SCAN_PART, "c", true, false},
        {SCAN_PART, "f", true, false},
        {SCAN_PART, "ff", false, false},
        {SCAN_PART, "h", false, false},
        {SCAN_BACK, "lz", true, false},
        {SCAN_BACK, "h", true, false},
        {SCAN_BACK, "gz", false, false},
        {SCAN_BACK, "m", false, false},
        {BLIND, "e", true, true},
        {BLIND, "f", false, false},
    };
    for (int fold = 0; fold < 2; fold++) {
        for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
            stores_write(s, T, "d", "0");
            stores_write(s, T, "f", "0");
            stores_write(s, T, "h", "0");
            stores_write(s, T, "l", "0");
            stores_write(s, T, "e", NULL);
            stores_write(s, T, "ff", NULL);
            stores_write(s, T, "gz", NULL);
            stores_write(s, T, "g", NULL);
            stores_write(s, T, "lz", NULL);
            stores_write(s, T, "lzz", NULL);
            stores_write(s, T, "c", NULL);
            if (fold) {
                stores_fold(s);
            }
            for (int snapshot = 0; snapshot < 2; snapshot++) {
                bool wanted = snapshot ? cases[i].snapshot : cases[i].serializable;
                int rc = lost_against(cases[i].act, snapshot ? STORE_TXN_SNAPSHOT : 0, cases[i].key,
                                      snapshot ? NULL : "theirs");
                if (rc != (wanted ? INSTAR_ECONFLICT : 0)) {
                    test_fail(__FILE__, __LINE__, "case %zu snapshot %d fold %d: %d", i, snapshot,
                              fold, rc);
                }
                if (snapshot == 0) { /* as it was, for the second round */
                    stores_write(s, T, cases[i].key,
                                 strchr("dfhl", cases[i].key[0]) && cases[i].key[1] == '\0' ? "0"
                                                                                            : NULL);
                }
            }
        }
    }
}

/* Two that each read what the other writes: serializable lets one through, snapshot both. */
Test(store_txn, write_skew)
{
    for (int snapshot = 0; snapshot < 2; snapshot++) {
        unsigned flags = snapshot ? STORE_TXN_SNAPSHOT : 0;
        struct store_txn *a = stores_begin(s, flags);
        struct store_txn *b = stores_begin(s, flags);
        stores_get(a, T, "x");
        stores_get(b, T, "y");
        stores_put(a, T, "y", "a");
        stores_put(b, T, "x", "b");
        stores_commit(a);
        must_fail(store_txn_commit(b, NULL, NULL, &test_err), snapshot ? 0 : INSTAR_ECONFLICT);
    }
}

/* A tree is part of the key: the same key in another tree is no conflict. */
Test(store_txn, other_trees_do_not_conflict)
{
    stores_tree_op(s, STORE_TREE_CREATE, T + 1);
    struct store_txn *a = stores_begin(s, 0);
    stores_get(a, T, "k");
    stores_scan(a, T, false);
    stores_put(a, T, "k", "1");
    stores_write(s, T + 1, "k", "1");
    stores_commit(a);
}

/* ---- the sets ------------------------------------------------------------------------------ */

/* The write set against a plain table: find, first at or after, last before, counts. */
Test(store_sets, write_set_is_a_sorted_map)
{
    enum { KEYS = 256 };
    struct writeset ws = {.bytes_max = 1 << 20, .count_max = 1 << 20};
    int value[KEYS];
    struct test_random r = test_random(11);
    memset(value, 0, sizeof value); /* 0: none, -1: deleted */
    for (int i = 0; i < 4000; i++) {
        int k = (int)test_random_below(&r, KEYS);
        uint8_t key[2] = {(uint8_t)k, 1};
        int v = test_random_chance(&r, 20) ? -1 : 1 + (int)test_random_below(&r, 1000);
        must(writeset_set(&ws, (uint64_t)k % 3, base_slice(key, 1 + (size_t)k % 2),
                          v < 0 ? base_slice(NULL, 0) : base_slice(&v, sizeof v), &test_err));
        value[k] = v;
    }
    size_t count = 0;
    for (int k = 0; k < KEYS; k++) {
        uint8_t key[2] = {(uint8_t)k, 1};
        struct base_slice slice = base_slice(key, 1 + (size_t)k % 2);
        struct writeset_entry *e = writeset_find(&ws, (uint64_t)k % 3, slice);
        expect((e != NULL) == (value[k] != 0));
        if (e != NULL) {
            count++;
            expect(e->deleted == (value[k] < 0));
            expect(e->deleted || memcmp(e->value, &value[k], sizeof value[k]) == 0);
            expect(writeset_at_least(&ws, (uint64_t)k % 3, slice) == e);
            expect(writeset_before(&ws, (uint64_t)k % 3, slice) == e->prev);
        }
    }
    expect_u64(count, ws.count);
    const struct writeset_entry *before = NULL;
    for (const struct writeset_entry *e = ws.head[0]; e != NULL; before = e, e = e->next[0]) {
        expect(e->prev == before);
        expect(
            before == NULL || before->tree < e->tree ||
            (before->tree == e->tree && base_slice_cmp(writeset_key(before), writeset_key(e)) < 0));
    }
    writeset_free(&ws);
}

/* When the write set's memory cannot grow, the set stays as it was. */
Test(store_sets, write_set_without_memory_is_unchanged)
{
    static char big[5000];
    struct writeset ws = {.bytes_max = 1 << 20, .count_max = 1 << 20};
    must(writeset_set(&ws, 1, stores_text("a"), stores_text("1"), &test_err));
    test_shortage_set(&(struct test_shortage){.nth = 1, .sticky = true});
    int rc = writeset_set(&ws, 1, stores_text("b"), base_slice(big, sizeof big), NULL);
    test_shortage_set(NULL);
    expect(rc == INSTAR_ENOMEM);
    expect(writeset_find(&ws, 1, stores_text("b")) == NULL);
    expect_u64(ws.count, 1);
    writeset_free(&ws);
}

/* The read set never misses what it was given, however many ranges and keys that is. */
Test(store_sets, read_set_misses_nothing)
{
    struct readset rs = {0};
    struct test_random r = test_random(12);
    for (int round = 0; round < 3; round++) {
        enum { RANGES = 9000, POINTS = 3000 };
        static uint32_t from[RANGES], to[RANGES], point[POINTS];
        for (int i = 0; i < RANGES; i++) {
            uint8_t lower[4];
            uint8_t upper[4];
            from[i] = (uint32_t)test_random_below(&r, 1u << 30);
            to[i] = from[i] + 1 + (uint32_t)test_random_below(&r, 1u << 12);
            base_put_u32(lower, __builtin_bswap32(from[i]));
            base_put_u32(upper, __builtin_bswap32(to[i]));
            struct readset_range range = {(uint64_t)i % 5, base_slice(lower, 4),
                                          base_slice(upper, 4), i % 2 == 0};
            must(readset_add_range(&rs, &range, &test_err));
        }
        for (int i = 0; i < POINTS; i++) {
            uint8_t key[4];
            point[i] = (uint32_t)test_random_next(&r);
            base_put_u32(key, point[i]);
            must(readset_add_point(&rs, 9, base_slice(key, 4), &test_err));
        }
        readset_prepare(&rs);
        for (int i = 0; i < RANGES; i++) {
            uint8_t key[4];
            base_put_u32(key, __builtin_bswap32(from[i]));
            expect(readset_hit(&rs, (uint64_t)i % 5, base_slice(key, 4)));
            base_put_u32(key, __builtin_bswap32(to[i] - (i % 2 == 0 ? 0 : 1)));
            expect(readset_hit(&rs, (uint64_t)i % 5, base_slice(key, 4)));
        }
        for (int i = 0; i < POINTS; i++) {
            uint8_t key[4];
            base_put_u32(key, point[i]);
            expect(readset_hit(&rs, 9, base_slice(key, 4)));
        }
        expect(!readset_hit(&rs, 10, stores_text("k")));
        expect(!readset_hit(&rs, 9, stores_text("another")));
        readset_reset(&rs);
        expect(!readset_hit(&rs, 9, stores_text("k")));
    }
    readset_free(&rs);
}

/* What could not be kept, for want of memory, counts as if everything had been read. */
Test(store_sets, read_set_that_lost_a_range_hits_all)
{
    struct readset rs = {0};
    struct readset_range range = {1, stores_text("a"), stores_text("b"), false};
    must(readset_add_range(&rs, &range, &test_err));
    range.tree = 2;
    size_t refused = 0;
    test_shortage_set(&(struct test_shortage){.nth = 1, .sticky = true});
    for (int i = 0; refused == 0 && i < 10000; i++) {
        char lower[64];
        snprintf(lower, sizeof lower, "%050d", i);
        range.lower = range.upper = stores_text(lower);
        refused = readset_add_range(&rs, &range, &test_err) == INSTAR_ENOMEM;
    }
    test_shortage_set(NULL);
    expect(refused == 1);
    readset_prepare(&rs);
    expect(readset_hit(&rs, 9, stores_text("never read")));
    readset_reset(&rs);
    expect(!readset_hit(&rs, 9, stores_text("never read")));
    readset_free(&rs);
}

/* Its memory is bounded: a million keys become a whole tree, which hits more, not less. */
Test(store_sets, read_set_is_bounded)
{
    struct readset rs = {0};
    for (uint32_t i = 0; i < 600000; i++) {
        must(readset_add_point(&rs, 3, base_slice(&i, sizeof i), &test_err));
    }
    readset_prepare(&rs);
    expect(rs.points_size <= (1u << 19));
    for (uint32_t i = 0; i < 600000; i += 1000) {
        expect(readset_hit(&rs, 3, base_slice(&i, sizeof i)));
    }
    expect(readset_hit(&rs, 3, stores_text("never read")));
    readset_free(&rs);
}
