/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts and fold-ends that are executed before the applier's turn: of the tree that is built nothing
 * from in front of the cut is seen again, and nothing behind it is missed, while the other trees
 * are folded up to an earlier place of the log, when they catch up, and after a death in between.
 */
#include "store/apply_impl.h"
#include "store/control.h"
#include "store/log.h"
#include "store/trees.h"
#include "support/stores.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OTHER 6
#define TOKEN 10
#define MANY 400

static struct store *s;
static uint64_t built; /* the tree that is built */

/* No second passes: so nothing is folded unasked. */
static void setup(void)
{
    built = 5;
    s = stores_make_tree(NULL, built);
    stores_tree_op(s, STORE_TREE_CREATE, OTHER);
    stores_fold(s);
    test_clock_start(os_now_ns());
}

static void teardown(void)
{
    test_clock_stop();
    stores_close(s);
}

TestSuite(store_ahead, .init = setup, .fini = teardown);

static uint64_t cut(uint64_t of)
{
    uint64_t lsn = stores_tree_op_synced(s, STORE_TREE_BEGIN_BUILD, of);
    must(stores_ahead(s, STORE_TREE_BEGIN_BUILD, of, lsn));
    return lsn;
}

static void load(uint64_t of, const char *keys, const char *value)
{
    struct store_bulk *b;
    must(store_build_claim(s, of, TOKEN, &test_err));
    must(store_bulk_begin(s, of, TOKEN, false, &b, &test_err));
    for (const char *at = keys; *at != '\0'; at++) {
        must(stores_append(b, base_slice(at, 1), stores_text(value), &test_err));
    }
    must(store_bulk_commit(b, &test_err));
    must(store_build_settle(s, of, TOKEN, &test_err));
}

static uint64_t end_build(uint64_t of)
{
    uint64_t lsn = stores_tree_op_synced(s, STORE_TREE_FOLD_END, of);
    must(stores_ahead(s, STORE_TREE_FOLD_END, of, lsn));
    return lsn;
}

/* In both directions, and key by key. */
static void expect_all(const char *forward, const char *reverse)
{
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    cr_expect_str_eq(stores_scan(t, built, false), forward);
    cr_expect_str_eq(stores_scan(t, built, true), reverse);
    for (char key[2] = "a"; key[0] <= 'i'; key[0]++) {
        char wanted[4] = {key[0], '=', '\0'};
        const char *at = strstr(forward, wanted);
        const char *value = stores_get(t, built, key);
        cr_expect(at == NULL ? value == NULL
                             : value != NULL && strncmp(at + 2, value, strlen(value)) == 0);
    }
    store_txn_abort(t);
}

static bool is_building(uint64_t of)
{
    struct store_tree_stat st;
    must(store_tree_stat(s, of, &st, &test_err));
    return st.building;
}

/* What the log did in front of the cut, to keys that are loaded and to others; between cut and
 * fold-end, folded or not; and behind that. OTHER's operations stay where they are. */
static uint64_t build(bool fold_between)
{
    stores_write(s, OTHER, "a", "1");
    stores_write(s, built, "a", "void");
    stores_write(s, built, "b", NULL);
    stores_write(s, built, "h", "void");
    cut(built);
    expect(is_building(built));
    stores_write(s, built, "c", "beside");
    stores_write(s, built, "d", NULL);
    if (fold_between) {
        stores_fold(s);
    }
    load(built, "abcde", "loaded");
    stores_write(s, built, "e", NULL);
    stores_write(s, built, "f", "beside");
    stores_write(s, built, "f", "later");
    uint64_t end = end_build(built);
    stores_write(s, built, "g", "behind");
    stores_write(s, built, "a", "behind");
    stores_write(s, OTHER, "b", "2");
    return end;
}

#define FORWARD "a=behind b=loaded c=beside f=later g=behind "
#define REVERSE "g=behind f=later c=beside b=loaded a=behind "

Test(store_ahead, a_build_ends_before_the_log_is_folded)
{
    struct trees_position position;
    uint64_t end = build(false);
    must(trees_position_get(s, &position, &test_err));
    expect(position.lo < end && position.hi >= end);
    expect(!is_building(built));
    expect_all(FORWARD, REVERSE);
    cr_assert_str_eq(stores_dump(s, OTHER), "a=1 b=2 ");
    stores_fold(s);
    expect(store_applied(s) > end);
    expect_all(FORWARD, REVERSE);
    cr_assert_str_eq(stores_dump(s, OTHER), "a=1 b=2 ");
}

Test(store_ahead, the_cut_may_be_folded_before_the_end)
{
    uint64_t end = build(true);
    expect(store_applied(s) < end);
    expect_all(FORWARD, REVERSE);
    stores_fold(s);
    expect_all(FORWARD, REVERSE);
}

static void build_and_be_killed(struct test_child *self, void *arg)
{
    (void)self;
    (void)arg;
    s = stores_open(NULL);
    test_clock_start(os_now_ns());
    (void)build(false);
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    (void)kill(getpid(), SIGKILL);
}

/* Enough for several turns, while a commit that waited for the disk is recent. */
static void write_many(char kind)
{
    static char value[4000];
    memset(value, kind, sizeof(value) - 1);
    for (int i = 0; i < MANY; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%03d", i);
        stores_write(s, built, key, i % 4 == 3 ? NULL : value);
    }
}

/* Before the first byte of it is written, recovery must know that the record was there. */
Test(store_ahead, a_cut_moves_hi)
{
    struct trees_position position;
    uint64_t lsn = cut(built);
    must(trees_position_get(s, &position, &test_err));
    expect(position.lo < lsn);
    expect_u64(position.hi, lsn);
}

/* The applier moves on between the look at the log and the end: what it brings into the delta is
 * older than what the log has behind it. */
static uint64_t folded_meanwhile;

static void fold_meanwhile(void *arg, const char *name)
{
    if (strcmp(name, arg) == 0 && store_applied(s) < folded_meanwhile) {
        must(store_wait_applied(s, folded_meanwhile, STORE_URGE_SOON, STORE_FOREVER, &test_err));
    }
}

Test(store_ahead, the_applier_moves_on_meanwhile)
{
    static const char *const points[] = {"ahead.looked", "ahead.committed"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        const struct test_listener listener = {.point = fold_meanwhile,
                                               .arg = (void *)(uintptr_t)points[i]};
        cut(built);
        load(built, "xy", "loaded");
        folded_meanwhile = stores_write(s, built, "x", "old");
        uint64_t bound = stores_tree_op(s, STORE_TREE_CREATE, 10 + i); /* it stops in front */
        write_many('l');
        stores_write(s, built, "x", "new");
        uint64_t end = stores_tree_op_synced(s, STORE_TREE_FOLD_END, built);
        test_listener_set(&listener);
        must(stores_ahead(s, STORE_TREE_FOLD_END, built, end));
        test_hooks_clear();
        expect(store_applied(s) >= folded_meanwhile && store_applied(s) < bound);
        stores_read(s, built, "x", "new");
        stores_read(s, built, "y", "loaded");
        stores_fold(s);
        stores_read(s, built, "x", "new");
        stores_read(s, built, "003", NULL);
    }
}

/* Recovery gives back what commits gave: no node of what lies in front of the end. */
Test(store_ahead, a_store_that_was_killed_after_it)
{
    struct test_child child;
    stores_close(s);
    test_clock_stop();
    test_fork(&child, build_and_be_killed, NULL);
    expect(test_wait(&child) == -9);
    s = stores_open(NULL);
    test_clock_start(os_now_ns());
    expect_all(FORWARD, REVERSE);
    stores_fold(s);
    expect_all(FORWARD, REVERSE);
}

/* What takes no room in the memtables takes none after recovery: there may be more than fits. */
static uint64_t nodes_bytes(void)
{
    struct segment *seg;
    must(segment_pin(s, segment_base(store_tail(s), s->segment_bytes), true, &seg, &test_err));
    uint64_t used = memtable_used(seg);
    segment_unpin_one(s, seg);
    return used;
}

static void be_ahead_and_be_killed(struct test_child *self, void *arg)
{
    uint64_t *used = arg;
    (void)self;
    s = stores_open(NULL);
    test_clock_start(os_now_ns());
    cut(built);
    load(built, "x", "loaded");
    stores_fold(s); /* recovery begins behind the cut */
    for (char key[3] = "a"; key[0] <= 'w'; key[0]++) {
        for (key[1] = 'a'; key[1] <= 'w'; key[1]++) {
            stores_write(s, built, key, "beside");
        }
    }
    end_build(built);
    *used = nodes_bytes();
    (void)kill(getpid(), SIGKILL);
}

Test(store_ahead, recovery_makes_no_nodes_of_it)
{
    enum { NODES = 23 * 23, NODE_BYTES = 48 };
    struct test_child child;
    uint64_t *used = test_shared(sizeof(*used));
    stores_close(s);
    test_clock_stop();
    test_fork(&child, be_ahead_and_be_killed, used);
    expect(test_wait(&child) == -9);
    s = stores_open(NULL);
    test_clock_start(os_now_ns());
    expect(nodes_bytes() < *used + NODES * NODE_BYTES / 2);
    stores_read(s, built, "aa", "beside");
    stores_fold(s);
    stores_read(s, built, "aa", "beside");
}

/* The tree is ahead, is cut again, and all die: recovery knows it once, as one that is built. */
static void cut_again_and_be_killed(struct test_child *self, void *arg)
{
    uint64_t *end = arg;
    (void)self;
    s = stores_open(NULL);
    test_clock_start(os_now_ns());
    (void)build(false);
    cut(built);
    load(built, "xy", "again");
    stores_write(s, built, "x", "beside");
    *end = stores_tree_op(s, STORE_TREE_FOLD_END, built);
    stores_tree_op(s, STORE_TREE_CREATE, 7); /* the applier stops in front of that */
    stores_write(s, built, "y", "behind");
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    (void)kill(getpid(), SIGKILL);
}

Test(store_ahead, killed_after_another_cut)
{
    struct test_child child;
    uint64_t *end = test_shared(sizeof(*end));
    stores_close(s);
    test_clock_stop();
    test_fork(&child, cut_again_and_be_killed, end);
    expect(test_wait(&child) == -9);
    s = stores_open(NULL);
    test_clock_start(os_now_ns());
    must(store_wait_applied(s, *end, STORE_URGE_SOON, STORE_FOREVER, &test_err));
    expect_u64(store_applied(s), *end);
    cr_assert_str_eq(stores_dump(s, built), "x=beside y=behind ");
    stores_fold(s);
    cr_assert_str_eq(stores_dump(s, built), "x=beside y=behind ");
}

/* The creation waits in front of the cut. */
Test(store_ahead, a_tree_that_is_not_there_yet)
{
    enum { NEW = 7 };
    stores_tree_op(s, STORE_TREE_CREATE, NEW);
    stores_write(s, NEW, "a", "void");
    uint64_t lsn = cut(NEW);
    expect(store_applied(s) < lsn);
    load(NEW, "b", "loaded");
    end_build(NEW);
    cr_assert_str_eq(stores_dump(s, NEW), "b=loaded ");
    stores_fold(s);
    cr_assert_str_eq(stores_dump(s, NEW), "b=loaded ");
}

/* What came too late does nothing: its turn was there, or a later cut was executed. */
Test(store_ahead, too_late)
{
    uint64_t first = stores_tree_op_synced(s, STORE_TREE_BEGIN_BUILD, built);
    uint64_t first_end = stores_tree_op_synced(s, STORE_TREE_FOLD_END, built);
    cut(built);
    load(built, "a", "loaded");
    must(stores_ahead(s, STORE_TREE_BEGIN_BUILD, built, first));
    must_fail(stores_ahead(s, STORE_TREE_FOLD_END, built, first_end), INSTAR_EBUSY);
    expect(is_building(built));
    stores_fold(s);
    expect(is_building(built));
    must(stores_ahead(s, STORE_TREE_BEGIN_BUILD, built, first));
    must(stores_ahead(s, STORE_TREE_FOLD_END, built, first_end));
    expect(is_building(built));
    uint64_t end = end_build(built);
    stores_fold(s);
    must(stores_ahead(s, STORE_TREE_FOLD_END, built, end));
    cr_assert_str_eq(stores_dump(s, built), "a=loaded ");
}

/* A drop in mid-build, and a new cut of a tree that is ahead. */
Test(store_ahead, cut_again_and_dropped)
{
    (void)build(false);
    stores_write(s, built, "b", "void");
    cut(built);
    expect(is_building(built));
    load(built, "x", "again");
    end_build(built);
    cr_assert_str_eq(stores_dump(s, built), "x=again ");
    stores_tree_op(s, STORE_TREE_DROP, built);
    stores_fold(s);
    cr_assert_str_eq(stores_dump(s, built), "");
    cr_assert_str_eq(stores_dump(s, OTHER), "a=1 b=2 ");
}

/* The list has its end: then the applier's turn is waited for. */
Test(store_ahead, more_trees_than_can_be_ahead)
{
    uint64_t ends[TREES_AHEAD_MAX + 1];
    stores_write(s, OTHER, "a", "1");
    for (uint64_t i = 0; i <= TREES_AHEAD_MAX; i++) {
        stores_tree_op(s, STORE_TREE_CREATE, 20 + i);
        cut(20 + i);
        load(20 + i, "a", "loaded");
    }
    for (uint64_t i = 0; i <= TREES_AHEAD_MAX; i++) {
        ends[i] = stores_tree_op_synced(s, STORE_TREE_FOLD_END, 20 + i);
    }
    for (uint64_t i = 0; i < TREES_AHEAD_MAX; i++) {
        must(stores_ahead(s, STORE_TREE_FOLD_END, 20 + i, ends[i]));
    }
    must_fail(stores_ahead(s, STORE_TREE_FOLD_END, 20 + TREES_AHEAD_MAX, ends[TREES_AHEAD_MAX]),
              INSTAR_ELIMIT);
    expect(!is_building(20) && is_building(20 + TREES_AHEAD_MAX));
    stores_fold(s);
    for (uint64_t i = 0; i <= TREES_AHEAD_MAX; i++) {
        expect(!is_building(20 + i));
        cr_assert_str_eq(stores_dump(s, 20 + i), "a=loaded ");
    }
}

/* ---- much of it -------------------------------------------------------------------------- */

static instar_options large(void)
{
    instar_options o = stores_options();
    o.segment_bytes = (uint64_t)64 << 20;
    o.txn_bytes_max = o.segment_bytes / 4;
    return o;
}

static void setup_large(void)
{
    instar_options o = large();
    built = 5;
    s = stores_make_tree(&o, built);
    stores_tree_op(s, STORE_TREE_CREATE, OTHER);
    stores_fold(s);
    test_clock_start(os_now_ns());
}

#define PART_KEYS 60000u
#define ROUNDS (FOLD_OPS_MAX / PART_KEYS + 2)

/* All keys, again and again. The LSN of the last. */
static uint64_t write_rounds(void)
{
    uint64_t lsn = 0;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        char key[8], value[8];
        struct store_txn *t = stores_begin(s, 0);
        snprintf(value, sizeof value, "%02u", round);
        for (unsigned i = 0; i < PART_KEYS; i++) {
            snprintf(key, sizeof key, "%05u", i);
            stores_put(t, built, key, value);
        }
        lsn = stores_commit(t);
    }
    return lsn;
}

/* Each key has its last value. */
static void expect_last_round(void)
{
    struct store_tree_stat st;
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    for (unsigned i = 0; i < PART_KEYS; i += 7) {
        char key[8];
        snprintf(key, sizeof key, "%05u", i);
        expect_u64(strtoul(stores_get(t, built, key), NULL, 10), ROUNDS);
    }
    store_txn_abort(t);
    must(store_tree_stat(s, built, &st, &test_err));
    expect(!st.building);
    expect_u64(st.entries, PART_KEYS + 3);
}

/* More than is gathered at once: the parts follow one another, so each key has its last value. */
Test(store_ahead_parts, more_than_one_fold, .init = setup_large, .fini = teardown)
{
    cut(built);
    load(built, "abc", "loaded");
    write_rounds();
    uint64_t end = end_build(built);
    expect(store_applied(s) < end);
    expect_last_round();
}

/* The applier brings all of it into the delta when the log is looked at; then the runner dies. */
static void fold_and_die(void *arg, const char *name)
{
    unsigned *left = arg;
    fold_meanwhile((void *)(uintptr_t) "ahead.looked", name);
    if (strcmp(name, "ahead.committed") == 0 && (*left)-- == 0) {
        (void)kill(getpid(), SIGKILL);
    }
}

static void build_in_parts(struct test_child *self, void *arg)
{
    instar_options o = large();
    const struct test_listener listener = {.point = fold_and_die, .arg = arg};
    (void)self;
    s = stores_open(&o);
    test_clock_start(os_now_ns());
    cut(built);
    load(built, "abc", "loaded");
    folded_meanwhile = write_rounds();
    stores_tree_op(s, STORE_TREE_CREATE, built + 100); /* it stops in front */
    uint64_t end = stores_tree_op_synced(s, STORE_TREE_FOLD_END, built);
    test_listener_set(&listener);
    (void)stores_ahead(s, STORE_TREE_FOLD_END, built, end);
}

Test(store_ahead_parts, a_death_between_two_parts, .init = setup_large, .fini = teardown)
{
    instar_options o = large();
    stores_close(s);
    test_clock_stop();
    for (unsigned commits = 1; commits <= 3; commits++) {
        struct test_child child;
        unsigned left = commits;
        test_fork(&child, build_in_parts, &left);
        expect(test_wait(&child) == -9);
        s = stores_open(&o);
        stores_fold(s);
        expect_last_round();
        stores_tree_op(s, STORE_TREE_DROP, built++);
        stores_tree_op(s, STORE_TREE_CREATE, built);
        stores_fold(s);
        stores_close(s);
    }
    s = stores_open(&o);
    test_clock_start(os_now_ns());
}

/* What was dropped before a cut is asked for: its pages are needed soon. Nothing else is. */
Test(store_ahead, a_cut_asks_for_the_drops_before_it)
{
    uint64_t before = applier_urged(s, STORE_URGE_CALM);
    stores_write(s, OTHER, "a", "1");
    cut(built);
    expect_u64(applier_urged(s, STORE_URGE_CALM), before);
    load(built, "abc", "loaded");
    end_build(built);
    uint64_t dropped = stores_tree_op(s, STORE_TREE_DROP, OTHER);
    expect_u64(applier_urged(s, STORE_URGE_CALM), before);
    cut(built);
    expect_u64(applier_urged(s, STORE_URGE_CALM), dropped);
}

/* ---- deaths ------------------------------------------------------------------------------- */

static const char *point;
static uint64_t nth;

static void build_and_die(struct test_child *self, void *arg)
{
    (void)self;
    (void)arg;
    s = stores_open(NULL);
    test_clock_start(os_now_ns());
    write_many('v'); /* void */
    test_kill_at_point(point, nth);
    cut(built);
    load(built, "x", "loaded");
    write_many('d');
    stores_fold(s); /* the delta */
    write_many('l');
    end_build(built);
}

/* Where the death was in the cut, the build goes on from there. */
static void finish(bool in_cut)
{
    struct store_tree_stat st;
    s = stores_open(NULL);
    stores_fold(s);
    if (in_cut) {
        expect(is_building(built));
        load(built, "x", "loaded");
        stores_tree_op(s, STORE_TREE_FOLD_END, built);
        stores_fold(s);
    }
    must(store_tree_stat(s, built, &st, &test_err));
    expect(!st.building);
    expect_u64(st.delta_entries, 0);
    expect_u64(st.entries, in_cut ? 1 : 1 + MANY / 4 * 3);
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    stores_expect(t, built, "x", "loaded");
    for (int i = 0; !in_cut && i < MANY; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%03d", i);
        const char *value = stores_get(t, built, key);
        cr_assert(i % 4 == 3 ? value == NULL : value != NULL && value[0] == 'l');
    }
    store_txn_abort(t);
}

/* The applier, in its turn, makes good what a killed runner has begun, be it once or in parts. */
Test(store_ahead, whoever_dies_in_it_leaves_it_to_the_applier)
{
    static const char *const points[] = {"ahead.written", "ahead.committed"};
    stores_close(s);
    test_clock_stop();
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        for (nth = 1; nth <= 4; nth++) {
            struct test_child child;
            point = points[i];
            test_fork(&child, build_and_die, NULL);
            expect(test_wait(&child) == -9);
            finish(nth == 1);
            stores_tree_op(s, STORE_TREE_DROP, built++);
            stores_tree_op(s, STORE_TREE_CREATE, built);
            stores_fold(s);
            stores_close(s);
        }
    }
    s = stores_open(NULL);
    test_clock_start(os_now_ns());
}
