/* SPDX-License-Identifier: Apache-2.0 */
/* Trees that are being built: what commits write to them takes no room in the memtables, and is
 * there all the same once the tree can be read. */
#include "support/stores.h"

#include "store/control.h"
#include "store/log.h"

#include <signal.h>
#include <stdio.h>

#define T 5
#define OTHER 6
#define TOKEN 10

static struct store *s;

static void setup(void)
{
    s = stores_make_tree(NULL, T);
    stores_tree_op(s, STORE_TREE_CREATE, OTHER);
}

static void teardown(void)
{
    stores_close(s);
}

TestSuite(store_unread, .init = setup, .fini = teardown);

/* Does writing this key take room in the memtable? */
static bool takes_room(uint64_t tree, const char *key, const char *value)
{
    struct segment *seg;
    uint64_t start = segment_base(store_tail(s), s->segment_bytes);
    must(segment_pin(s, start, true, &seg, &test_err));
    uint32_t before = memtable_used(seg);
    stores_write(s, tree, key, value);
    expect_u64(segment_base(store_tail(s), s->segment_bytes), start);
    bool grew = memtable_used(seg) > before;
    segment_unpin_one(s, seg);
    return grew;
}

static void cut(uint64_t tree)
{
    stores_tree_op(s, STORE_TREE_BEGIN_BUILD, tree);
    stores_fold(s);
}

static void end_build(uint64_t tree)
{
    must(store_build_settle(s, tree, TOKEN, &test_err));
    stores_tree_op(s, STORE_TREE_FOLD_END, tree);
    stores_fold(s);
}

/* From the cut to fold-end, and only for that tree; nothing of it is lost, whether it was folded
 * before fold-end, by it, or came after it. */
Test(store_unread, operations_between_cut_and_fold_end)
{
    expect(takes_room(T, "a", "before"));
    cut(T);
    must(store_build_claim(s, T, TOKEN, &test_err));
    expect(!takes_room(T, "a", "1"));
    expect(!takes_room(T, "b", "1"));
    expect(takes_room(OTHER, "a", "1"));
    stores_fold(s);
    expect(!takes_room(T, "b", NULL));
    expect(!takes_room(T, "c", "1"));
    end_build(T);
    expect(takes_room(T, "d", "1"));
    expect(takes_room(T, "c", "2"));
    cr_assert_str_eq(stores_dump(s, T), "a=1 c=2 d=1 ");
    stores_read(s, T, "b", NULL);
    stores_fold(s);
    cr_assert_str_eq(stores_dump(s, T), "a=1 c=2 d=1 ");
    cr_assert_str_eq(stores_dump(s, OTHER), "a=1 ");
}

/* One transaction writes to both kinds of trees: the others' nodes are found. */
Test(store_unread, a_transaction_over_several_trees)
{
    uint64_t above = OTHER + 1;
    stores_tree_op(s, STORE_TREE_CREATE, above);
    cut(OTHER);
    must(store_build_claim(s, OTHER, TOKEN, &test_err));
    struct store_txn *t = stores_begin(s, 0);
    stores_put(t, T, "a", "1");
    stores_put(t, OTHER, "b", "2");
    stores_put(t, OTHER, "c", "3");
    stores_put(t, above, "d", "4");
    stores_commit(t);
    cr_assert_str_eq(stores_dump(s, T), "a=1 ");
    cr_assert_str_eq(stores_dump(s, above), "d=4 ");
    end_build(OTHER);
    cr_assert_str_eq(stores_dump(s, OTHER), "b=2 c=3 ");
}

/* A build that is given up leaves its place to others, and so does one that ends. */
Test(store_unread, places_come_back)
{
    for (uint64_t tree = 100; tree < 100 + 2 * CONTROL_UNREAD_MAX; tree++) {
        stores_tree_op(s, STORE_TREE_CREATE, tree);
        cut(tree);
        expect(!takes_room(tree, "a", "1"));
        if (tree % 2 == 0) {
            stores_tree_op(s, STORE_TREE_DROP, tree);
        } else {
            must(store_build_claim(s, tree, TOKEN, &test_err));
            end_build(tree);
            expect(takes_room(tree, "b", "1"));
            cr_assert_str_eq(stores_dump(s, tree), "a=1 b=1 ");
        }
    }
}

/* More builds at once than there are places: the rest takes room, and nothing is lost. */
Test(store_unread, more_builds_than_places)
{
    for (uint64_t i = 0; i <= CONTROL_UNREAD_MAX; i++) {
        stores_tree_op(s, STORE_TREE_CREATE, 100 + i);
        cut(100 + i);
        must(store_build_claim(s, 100 + i, TOKEN, &test_err));
        expect(takes_room(100 + i, "a", "1") == (i == CONTROL_UNREAD_MAX));
    }
    for (uint64_t i = 0; i <= CONTROL_UNREAD_MAX; i++) {
        end_build(100 + i);
        cr_assert_str_eq(stores_dump(s, 100 + i), "a=1 ");
    }
}

/* Kill a process at a point of the commit of this tree operation; the store stays open here. */
struct attempt {
    enum store_tree_op op;
    const char *point;
};

static void die_there(struct test_child *self, void *arg)
{
    const struct attempt *a = arg;
    struct store *mine = stores_open(NULL);
    test_send(self, 1);
    test_await(self, 2);
    test_kill_at_point(a->point, 1);
    stores_tree_op(mine, a->op, T);
}

/* Whoever commits the cut or fold-end may die at any point of it: what is written afterwards is
 * there in the end. */
Test(store_unread_death, in_the_commit_of_a_tree_operation)
{
    static const char *const points[] = {"commit.mark_set",     "commit.record_written",
                                         "commit.nodes_filled", "commit.nodes_linked",
                                         "commit.chain_set",    "commit.tail_set"};
    for (size_t i = 0; i < 2 * BASE_ARRAY_LEN(points); i++) {
        struct attempt a = {i % 2 == 0 ? STORE_TREE_BEGIN_BUILD : STORE_TREE_FOLD_END,
                            points[i / 2]};
        struct test_child child;
        test_remove(stores_path());
        instar_options o = stores_options();
        must(store_create(stores_path(), &o, &test_err));
        test_fork(&child, die_there, &a); /* before the store is open here */
        test_await(&child, 1);
        s = stores_open(NULL);
        stores_tree_op(s, STORE_TREE_CREATE, T);
        if (a.op == STORE_TREE_FOLD_END) {
            cut(T);
        }
        stores_write(s, T, "a", "1");
        stores_fold(s);
        test_send(&child, 2);
        cr_assert_eq(test_wait(&child), -SIGKILL);
        stores_write(s, T, "b", "2");
        stores_fold(s);
        struct store_tree_stat st;
        must(store_tree_stat(s, T, &st, &test_err));
        if (st.building) {
            must(store_build_claim(s, T, TOKEN, &test_err));
            end_build(T);
        }
        stores_write(s, T, "c", "3");
        bool begun = a.op == STORE_TREE_BEGIN_BUILD && strcmp(a.point, "commit.tail_set") == 0;
        cr_assert_str_eq(stores_dump(s, T), begun ? "b=2 c=3 " : "a=1 b=2 c=3 ");
        stores_close(s);
    }
}

static void write_on_and_die(struct test_child *self, void *arg)
{
    char key[16];
    (void)self;
    (void)arg;
    s = stores_open(NULL);
    cut(T);
    for (int i = 0; i < 20; i++) {
        struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
        for (int k = 0; k < 4000; k++) {
            (void)snprintf(key, sizeof(key), "%d", i * 4000 + k);
            stores_put(t, T, key, "");
        }
        stores_commit(t);
    }
    kill(os_pid(), SIGKILL);
}

/* A segment may hold far more of such operations than its memtable has room for; recovery after a
 * kill finds room all the same, and nothing is lost. */
Test(store_unread, recovery_amid_a_build)
{
    struct test_child child;
    char key[16];
    stores_close(s);
    test_fork(&child, write_on_and_die, NULL);
    expect(test_wait(&child) == -SIGKILL);
    s = stores_open(NULL);
    must(store_build_claim(s, T, TOKEN, &test_err));
    end_build(T);
    for (int i = 0; i < 20 * 4000; i += 777) {
        (void)snprintf(key, sizeof(key), "%d", i);
        stores_read(s, T, key, "");
    }
}
