/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB's sharp edges as the store meets them: handles shared by threads, trees dropped by other
 * processes, names that go, readers that are killed; and the entries of the main tree. */
#include "store/trees_lmdb.h"
#include "support/stores.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define T 3

TestSuite(store_trees);

/* ---- entries ------------------------------------------------------------------------------- */

/* The mark and a tree's state read back as they were written; any other size is corruption. */
Test(store_trees, entries_read_back)
{
    struct trees_mark m = {.lo = 5, .hi = 9, .chain = 77, .older_lo = 4, .epoch = 3, .serial = 8};
    struct trees_mark back;
    struct base_buf buf = {0};
    m.log_id[15] = 9;
    m.ahead_count = 2;
    m.ahead[0] = (struct trees_ahead){7, 6};
    m.ahead[1] = (struct trees_ahead){8, 9};
    trees_mark_encode(&m, &buf);
    must(trees_mark_decode(base_buf_slice(&buf), &back, &test_err));
    expect(memcmp(&m, &back, sizeof m) == 0);
    for (size_t size = 0; size < buf.size; size++) {
        must_fail(trees_mark_decode(base_slice(buf.data, size), &back, &test_err), INSTAR_ECORRUPT);
    }
    for (size_t bit = 0; bit < buf.size * 8; bit++) {
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        must_fail(trees_mark_decode(base_buf_slice(&buf), &back, &test_err), INSTAR_ECORRUPT);
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    static const uint64_t wrong[][2] = {{0, 10} /* lo > hi */, {88, 5} /* <= lo */, {104, 10}};
    for (size_t i = 0; i < BASE_ARRAY_LEN(wrong); i++) {
        uint64_t right = base_get_u64(buf.data + wrong[i][0]);
        base_put_u64(buf.data + wrong[i][0], wrong[i][1]);
        base_put_u64(buf.data + buf.size - 8, base_hash64(buf.data, buf.size - 8, 0));
        must_fail(trees_mark_decode(base_buf_slice(&buf), &back, &test_err), INSTAR_ECORRUPT);
        base_put_u64(buf.data + wrong[i][0], right);
    }
    m.lo = m.ahead[0].lsn; /* it has caught up */
    trees_mark_encode(&m, &buf);
    must(trees_mark_decode(base_buf_slice(&buf), &back, &test_err));
    expect(back.ahead_count == 1 && back.ahead[0].tree == 8);
    expect(trees_mark_lo(&back, 8) == 9 && trees_mark_lo(&back, 7) == m.lo);
    base_buf_free(&buf);

    struct trees_state st = {.stage = TREES_BUILDING, .delta = true, .cut = 4, .token = 6};
    struct trees_state got;
    uint8_t bytes[TREES_STATE_BYTES];
    trees_state_encode(&st, 1, bytes);
    must(trees_state_decode(base_slice(bytes, sizeof bytes), 1, &got, &test_err));
    expect(got.stage == st.stage && got.delta && got.cut == 4 && got.token == 6);
    must_fail(trees_state_decode(base_slice(bytes, 31), 1, &got, &test_err), INSTAR_ECORRUPT);
    must_fail(trees_state_decode(base_slice(bytes, 32), 2, &got, &test_err), INSTAR_ECORRUPT);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        must_fail(trees_state_decode(base_slice(bytes, 32), 1, &got, &test_err), INSTAR_ECORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    must(trees_state_decode(base_slice(bytes, 32), 1, &got, &test_err));
}

/* Names of states, and nothing else, give the tree's id back. */
Test(store_trees, names_give_ids)
{
    static const char *const others[] = {"!position",          "t0000000000000001",
                                         "!s000000000000001",  "!s000000000000000G",
                                         "!p0000000000000001", "!sffffffffffffffff"};
    static const uint64_t ids[] = {0, 1, 10, 0xabcdef, TREES_ID_MAX};
    char name[TREES_META_MAX];
    uint64_t tree;
    for (size_t i = 0; i < BASE_ARRAY_LEN(ids); i++) {
        trees_state_name(name, ids[i]);
        expect(trees_state_id(stores_text(name), &tree));
        expect_u64(tree, ids[i]);
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(others); i++) {
        expect(!trees_state_id(stores_text(others[i]), &tree));
    }
}

/* The handle table against a plain list, with removals. */
Test(store_trees, handle_table_is_a_map)
{
    enum { IDS = 60 };
    struct handles h;
    uint32_t handle[IDS] = {0}; /* 0: none */
    struct test_random r = test_random(4);
    must(handles_init(&h, 64, &test_err));
    for (int i = 0; i < 5000; i++) {
        uint64_t id = test_random_below(&r, IDS);
        if (handle[id] != 0 && test_random_chance(&r, 60)) {
            handles_remove(&h, id * 64);
            handle[id] = 0;
        } else {
            handle[id] = 1 + (uint32_t)i;
            must(handles_add(&h, id * 64, handle[id], &test_err));
        }
        size_t count = 0;
        for (uint64_t k = 0; k < IDS; k++) {
            uint32_t got;
            bool found = handles_find(&h, k * 64, &got);
            expect(found == (handle[k] != 0));
            expect(!found || got == handle[k]);
            count += found;
        }
        expect_u64(count, h.count);
    }
    handles_free(&h);
}

/* ---- files --------------------------------------------------------------------------------- */

static int make_trees(const char *path, struct store *s)
{
    s->options = stores_options();
    expect(os_open_dir(path, &s->dirfd) == 0);
    expect(os_mkdirat(s->dirfd, "run") == 0);
    expect(os_open_dir(test_path("run"), &s->runtime_fd) == 0);
    return trees_create(s->dirfd, &s->options, s->log_id, &test_err);
}

/* What LMDB would open must be a plain file with one name: links are refused, and left alone. */
Test(store_trees, links_are_refused)
{
    struct store s = {0};
    const char *dir = test_dir();
    must(make_trees(dir, &s));
    must(trees_open(&s, true, &test_err));
    trees_close(&s);
    struct stat st;
    expect(stat(test_path("data.mdb"), &st) == 0);
    expect((st.st_mode & 0777) == 0600);

    expect(link(test_path("data.mdb"), test_path("other")) == 0);
    must_fail(trees_open(&s, true, &test_err), INSTAR_EFOREIGN);
    expect(unlink(test_path("data.mdb")) == 0);
    test_write_file(test_path("victim"), "", 0);
    expect(symlink(test_path("victim"), test_path("data.mdb")) == 0);
    must_fail(trees_open(&s, true, &test_err), INSTAR_EFOREIGN);
    expect(stat(test_path("victim"), &st) == 0);
    expect_u64((uint64_t)st.st_size, 0);
    must_fail(trees_create(s.dirfd, &s.options, s.log_id, &test_err), INSTAR_EEXISTS);
    expect(unlink(test_path("data.mdb")) == 0);
    must_fail(trees_open(&s, true, &test_err), INSTAR_ECORRUPT); /* missing, not made anew */
    os_close(s.runtime_fd);
    os_close(s.dirfd);
}

/* Trees of another log are refused. */
Test(store_trees, another_log_is_refused)
{
    struct store s = {0};
    must(make_trees(test_dir(), &s));
    s.log_id[3] ^= 1;
    must_fail(trees_open(&s, true, &test_err), INSTAR_EFOREIGN);
    os_close(s.runtime_fd);
    os_close(s.dirfd);
}

static void put_mark(struct store *s, struct base_slice bytes)
{
    MDB_val key = trees_val(stores_text(TREES_POSITION_NAME));
    MDB_val value = trees_val(bytes);
    MDB_txn *txn;
    must(gate_enter(s, "damage", STORE_FOREVER, &test_err));
    expect(mdb_txn_begin(s->trees->env, NULL, 0, &txn) == 0);
    expect(mdb_put(txn, s->trees->main, &key, &value, 0) == 0);
    expect(mdb_txn_commit(txn) == 0);
    gate_leave(s);
}

/* Nothing is written where the position of the trees cannot be read; and nobody is kept out. */
Test(store_trees, without_a_position_nothing_is_written)
{
    struct store *s = stores_make(NULL);
    struct trees_write *w;
    struct base_buf bytes = {0};
    /* What the applier looks at when it begins is behind it then. */
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_fold(s);
    must(gate_enter(s, "look", STORE_FOREVER, &test_err));
    must(trees_write_begin(s->trees, false, &w, &test_err));
    trees_mark_encode(trees_write_mark(w), &bytes);
    trees_write_abort(w);
    gate_leave(s);
    expect(bytes.size > 0);
    bytes.data[0] ^= 1;
    put_mark(s, base_buf_slice(&bytes));
    bytes.data[0] ^= 1;
    must(gate_enter(s, "write", STORE_FOREVER, &test_err));
    must_fail(trees_write_begin(s->trees, false, &w, &test_err), INSTAR_ECORRUPT);
    expect(w == NULL);
    gate_leave(s);
    put_mark(s, base_buf_slice(&bytes));
    base_buf_free(&bytes);
    stores_write(s, T, "k", "1");
    stores_fold(s);
    stores_read(s, T, "k", "1");
    stores_close(s);
}

/* A cursor that was closed serves who next opens one of its tree: that asks for no memory, also
 * where one of another tree was closed since. */
Test(store_trees, cursors_are_used_again)
{
    struct store *s = stores_make(NULL);
    struct trees_read *r;
    struct trees_cursor *c;
    struct base_slice key;
    struct base_slice value;
    for (uint64_t tree = T; tree < T + 2; tree++) {
        stores_tree_op(s, STORE_TREE_CREATE, tree);
        stores_write(s, tree, tree == T ? "a" : "b", "1");
    }
    stores_fold(s);
    must(trees_read_begin(s->trees, &r, &test_err));
    for (uint64_t tree = T; tree < T + 2; tree++) {
        must(trees_cursor_open(r, trees_data(tree), &c, &test_err));
        trees_cursor_close(c);
    }
    test_shortage_set(&(struct test_shortage){.nth = 1, .sticky = true, .mine = true});
    for (uint64_t tree = T; tree < T + 2; tree++) {
        must(trees_cursor_open(r, trees_data(tree), &c, &test_err));
        must(trees_cursor_move(c, TREES_FIRST, &key, &value, &test_err));
        expect(base_slice_eq(key, stores_text(tree == T ? "a" : "b")));
        trees_cursor_close(c);
    }
    test_shortage_set(NULL);
    trees_read_end(s->trees, r);
    stores_close(s);
}

#define LEAVES_KEYS 30000
#define LEAVES_ROUNDS 3

/* Keys in no order, folded in rounds: the leaves lie anywhere, below branches of two levels. */
static void scatter(struct store *s, uint64_t tree)
{
    struct store_txn *t = NULL;
    for (unsigned i = 0; i < LEAVES_KEYS; i++) {
        char key[32];
        t = i % 1000 == 0 ? stores_begin(s, 0) : t;
        (void)snprintf(key, sizeof(key), "%024u", (unsigned)(i * 7919ull % LEAVES_KEYS));
        stores_put(t, tree, key, "some value of it, so that a leaf is full soon");
        if (i % 1000 == 999) {
            stores_commit(t);
        }
        if (i % (LEAVES_KEYS / LEAVES_ROUNDS) == LEAVES_KEYS / LEAVES_ROUNDS - 1) {
            stores_fold(s);
        }
    }
}

/* Wherever a walk stands, the leaf that it will come to is told, but behind the last of a branch.
 * Of what is no leaf of the tree nothing is told. */
Test(store_trees, the_next_leaf_is_known)
{
    struct store *s = stores_make_tree(NULL, T);
    const uint8_t *leaf = NULL;
    const uint8_t *told = NULL;
    unsigned leaves = 0;
    unsigned untold = 0;
    struct trees_read *r;
    struct trees_cursor *c;
    struct base_slice key;
    struct base_slice value;

    scatter(s, T);
    must(trees_read_begin(s->trees, &r, &test_err));
    must(trees_cursor_open(r, trees_data(T), &c, &test_err));
    for (int rc = trees_cursor_move(c, TREES_FIRST, &key, &value, &test_err); rc == 0;
         rc = trees_cursor_move(c, TREES_NEXT, &key, &value, &test_err)) {
        const uint8_t *page = trees_page_of(key.data, r->page_bytes);
        if (page == leaf) {
            continue;
        }
        expect(told == NULL || told == page);
        untold += told == NULL;
        leaves++;
        leaf = page;
        told = trees_next_leaf(c, leaf, key);
        cr_assert_null(trees_next_leaf(c, r->map, key));
        expect(trees_next_leaf(c, leaf, key) == told);
    }
    cr_assert_null(told);
    expect(leaves > 400 && untold >= 3 && untold < leaves / 20);
    trees_cursor_close(c);
    trees_read_end(s->trees, r);
    stores_close(s);
}

static int walk(struct trees_cursor *c)
{
    struct base_slice key;
    struct base_slice value;
    int rc = trees_cursor_move(c, TREES_FIRST, &key, &value, &test_err);
    while (rc == 0) {
        rc = trees_cursor_move(c, TREES_NEXT, &key, &value, &test_err);
    }
    return rc;
}

/* Where the first leaf's parent says which one is its third child, in the file. */
static off_t third_child(struct store *s)
{
    struct trees_read *r;
    struct trees_cursor *c;
    struct base_slice key;
    struct base_slice value;
    must(trees_read_begin(s->trees, &r, &test_err));
    must(trees_cursor_open(r, trees_data(T), &c, &test_err));
    must(trees_cursor_move(c, TREES_FIRST, &key, &value, &test_err));
    cr_assert_not_null(trees_next_leaf(c, trees_page_of(key.data, r->page_bytes), key));
    const uint8_t *parent = c->leaf.parent;
    off_t at = (off_t)(parent - r->map) + base_get_u16(parent + 16 + 2 * 2);
    trees_cursor_close(c);
    trees_read_end(s->trees, r);
    return at;
}

/* A branch leads out of the file, but not out of the map: an error of the walk, and no signal. */
Test(store_trees, a_branch_that_leads_out_of_the_file)
{
    static const uint8_t beyond[6] = {[2] = 2}; /* page 131,072 */
    struct store *s = stores_make_tree(NULL, T);
    struct trees_read *r;
    struct trees_cursor *c;
    char path[400];

    scatter(s, T);
    off_t at = third_child(s);
    (void)snprintf(path, sizeof(path), "%s/" TREES_FILE, stores_path());
    stores_close(s);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    expect(pwrite(fd, beyond, sizeof(beyond), at) == (ssize_t)sizeof(beyond));
    expect(close(fd) == 0);
    s = stores_open(NULL);
    must(trees_read_begin(s->trees, &r, &test_err));
    must(trees_cursor_open(r, trees_data(T), &c, &test_err));
    must_fail(walk(c), INSTAR_ECORRUPT);
    trees_cursor_close(c);
    trees_read_end(s->trees, r);
    stores_close(s);
}

/* ---- processes ----------------------------------------------------------------------------- */

static void expect_tree(struct store *s, uint64_t tree)
{
    char value[32];
    snprintf(value, sizeof value, "%llu", (unsigned long long)tree);
    stores_read(s, tree, "k", value);
}

static void make_tree(struct store *s, uint64_t tree)
{
    char value[32];
    snprintf(value, sizeof value, "%llu", (unsigned long long)tree);
    stores_tree_op(s, STORE_TREE_CREATE, tree);
    stores_write(s, tree, "k", value);
    stores_fold(s);
}

/* Opens the store, and reads the trees it is told to. 0 ends it. */
static void read_on_request(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    test_send(self, 1);
    for (uint64_t tree; (tree = test_receive(self)) != 0;) {
        expect_tree(s, tree);
        test_send(self, tree);
    }
    stores_close(s);
}

/* Trees made and dropped by one process while another one reads: each read gives its own tree,
 * though LMDB's handle numbers are used again (H-1, H-2, H-3). */
Test(store_trees, handles_of_two_processes)
{
    struct test_child child;
    instar_options o = stores_options();
    must(store_create(stores_path(), &o, &test_err));
    test_fork(&child, read_on_request, NULL);
    test_await(&child, 1);
    struct store *s = stores_open(NULL);
    for (uint64_t tree = 10; tree < 60; tree++) {
        make_tree(s, tree);
        if (tree % 3 == 0) { /* not all are ever opened by the child */
            test_send(&child, tree);
            test_await(&child, tree);
        }
        if (tree > 12) {
            stores_tree_op(s, STORE_TREE_DROP, tree - 2);
        }
        expect_tree(s, tree);
        expect_tree(s, 10);
    }
    test_send(&child, 10);
    test_await(&child, 10);
    test_send(&child, 0);
    test_wait_ok(&child);
    stores_close(s);
}

/* A process whose handles are of trees that another one dropped and whose names are gone takes over
 * as applier: operations on them are skipped, new trees work (H-1 is a crash). */
static void drop_and_be_killed(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    test_send(self, 1);
    test_await(self, 2);
    for (uint64_t tree = 10; tree < 20; tree++) {
        stores_tree_op(s, STORE_TREE_DROP, tree);
    }
    stores_fold(s);
    uint64_t limit = os_now_ns() + (uint64_t)10 * 1000000000;
    /* Until the names are gone: at some moment without readers, which is announced nowhere. */
    for (size_t names = 1; names != 0;) {
        struct trees_read *r;
        struct base_slice v;
        char name[TREES_META_MAX];
        trees_state_name(name, 10);
        must(trees_read_begin(s->trees, &r, &test_err));
        names = trees_read_meta(r, name, &v, &test_err) == 0;
        trees_read_end(s->trees, r);
        expect(os_now_ns() < limit);
        os_sleep_ns(10000000);
    }
    test_send(self, 3);
    test_receive(self);
}

Test(store_trees, stale_handles_do_not_crash_a_writer)
{
    struct test_child child;
    instar_options o = stores_options();
    must(store_create(stores_path(), &o, &test_err));
    test_fork(&child, drop_and_be_killed, NULL);
    test_await(&child, 1); /* the child has the applier's role */
    struct store *s = stores_open(NULL);
    for (uint64_t tree = 10; tree < 20; tree++) {
        make_tree(s, tree);
        expect_tree(s, tree); /* opens the handle here */
    }
    test_send(&child, 2);
    test_await(&child, 3);
    test_kill(&child, SIGKILL);
    for (uint64_t tree = 10; tree < 20; tree++) {
        stores_write(s, tree, "k", "late");
        stores_write(s, tree, "l", NULL);
    }
    make_tree(s, 20);
    stores_fold(s);
    expect_tree(s, 20);
    for (uint64_t tree = 10; tree < 20; tree++) {
        stores_read(s, tree, "k", NULL);
    }
    stores_close(s);
}

/* More trees over time than handles at once: slots of dropped trees are used again. */
Test(store_trees, handles_are_used_again)
{
    struct store *s;
    instar_options o = stores_options();
    o.trees_max = 16;
    s = stores_make(&o);
    make_tree(s, 1);
    for (uint64_t tree = 10; tree < 110; tree++) {
        stores_tree_op(s, STORE_TREE_CREATE, tree);
        stores_tree_op(s, STORE_TREE_BEGIN_BUILD, tree);
        stores_tree_op(s, STORE_TREE_DROP, tree);
        if (tree % 8 == 0) {
            stores_fold(s);
        }
    }
    stores_fold(s);
    make_tree(s, 200);
    expect_tree(s, 200);
    expect_tree(s, 1);
    stores_close(s);
}

/* ---- killed readers ------------------------------------------------------------------------ */

static void read_until_killed(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    stores_begin(s, STORE_TXN_READONLY);
    test_send(self, 1);
    test_receive(self);
}

/* The pages that a killed reader kept are used again once it is noticed (H-6). */
Test(store_trees, killed_readers_keep_nothing)
{
    struct test_child child;
    instar_options o = stores_options();
    must(store_create(stores_path(), &o, &test_err));
    test_fork(&child, read_until_killed, NULL);
    test_await(&child, 1);
    struct store *s = stores_open(NULL);
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_churn(s, T, 40);
    test_kill(&child, SIGKILL);
    trees_reap_readers(s);
    stores_churn(s, T, 10);
    uint64_t before = stores_used_bytes(s);
    stores_churn(s, T, 60);
    expect(stores_used_bytes(s) <= before + before / 5);
    stores_close(s);
}

/* More snapshots than reader slots is an error that says so; when they end, all is well. */
Test(store_trees, too_many_snapshots)
{
    enum { MANY = 200 };
    static struct store_txn *t[MANY];
    instar_options o = stores_options();
    o.readers_max = 64;
    struct store *s = stores_make(&o);
    int n = 0;
    int rc = 0;
    while (n < MANY && (rc = store_txn_begin(s, STORE_TXN_READONLY, &t[n], &test_err)) == 0) {
        n++;
    }
    expect(rc == INSTAR_ESLOTS);
    expect(strstr(test_err.text, "readers_max") != NULL);
    expect(n > 50);
    while (n > 0) {
        store_txn_abort(t[--n]);
    }
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_fold(s);
    stores_close(s);
}

/* ---- failures ------------------------------------------------------------------------------ */

/* A store whose map is soon full. */
static struct store *make_small(void)
{
    instar_options o = stores_options();
    o.segment_bytes = 64 << 10;
    o.txn_bytes_max = o.segment_bytes / 4;
    o.row_bytes_max = 4096;
    o.map_bytes = 4 << 20;
    return stores_make(&o);
}

/* Put so many values, or until a commit fails; how many were put. */
static int fill_some(struct store *s, int most, int *rc_out)
{
    static char value[4000];
    int i = 0;
    for (*rc_out = 0; *rc_out == 0 && i < most; i++) {
        char key[16];
        struct store_txn *t = stores_begin(s, 0);
        snprintf(key, sizeof key, "k%05d", i);
        must(store_txn_put(t, T, stores_text(key), base_slice(value, sizeof value), &test_err));
        *rc_out = store_txn_commit(t, NULL, NULL, &test_err);
    }
    return *rc_out != 0 ? i - 1 : i;
}

static int fill(struct store *s, int *rc_out)
{
    return fill_some(s, 20000, rc_out);
}

/* Delete them again. */
static void unfill(struct store *s, int count)
{
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%05d", i);
        stores_write(s, T, key, NULL);
    }
}

/* A map that fills up refuses puts with a reason while there is still room for deletes; after them
 * it can be filled again, as far as before, any number of times (H-10). */
Test(store_trees, a_full_map_can_be_emptied)
{
    struct store *s = make_small();
    int first = 0;
    stores_tree_op(s, STORE_TREE_CREATE, T);
    for (int round = 0; round < 5; round++) {
        int rc;
        int count = fill(s, &rc);
        expect(rc == INSTAR_EMAPFULL);
        expect(strstr(test_err.text, "map_bytes") != NULL);
        first = round == 0 ? count : first;
        expect(count > 300 && count >= first - first / 4);
        stores_fold(s); /* what was accepted can be folded */
        struct store_txn *t = stores_begin(s, STORE_TXN_LAST_ROOM);
        stores_put(t, T, "note", "made it");
        stores_commit(t);
        unfill(s, count);
        stores_fold(s);
        cr_assert_str_eq(stores_dump(s, T), "note=made it ");
    }
    stores_close(s);
}

/* Pages that an old reader keeps are no room: puts are refused while what was accepted still fits;
 * when the reader is gone there is room again. */
Test(store_trees, pages_that_a_reader_keeps_are_no_room)
{
    struct store *s = make_small();
    int rc;
    stores_tree_op(s, STORE_TREE_CREATE, T);
    int most = fill(s, &rc);
    expect(rc == INSTAR_EMAPFULL);
    unfill(s, most);
    stores_fold(s);
    stores_write(s, T, "seen", "kept");
    stores_fold(s);
    struct store_txn *reader = stores_begin(s, STORE_TXN_READONLY);
    struct base_slice value;
    must(store_txn_get(reader, T, base_slice("seen", 4), STORE_READ_NORMAL, &value, &test_err));
    int count = fill_some(s, 30, &rc);
    while (rc == 0) { /* the same rows again and again: what they leave behind is the reader's */
        unfill(s, count);
        stores_fold(s);
        count = fill_some(s, 30, &rc);
    }
    expect(rc == INSTAR_EMAPFULL);
    expect(strstr(test_err.text, "nearly") != NULL);
    stores_fold(s);
    struct store_txn *t = stores_begin(s, STORE_TXN_LAST_ROOM);
    stores_put(t, T, "note", "made it");
    stores_commit(t);
    stores_fold(s);
    struct store_txn *refused = stores_begin(s, 0);
    stores_put(refused, T, "again", "room");
    must_fail(store_txn_commit(refused, NULL, NULL, &test_err), INSTAR_EMAPFULL);
    store_txn_abort(reader);
    uint64_t give_up_ns = os_now_ns() + UINT64_C(10) * 1000000000;
    do { /* nothing is folded meanwhile: who is refused looks for room himself */
        refused = stores_begin(s, 0);
        stores_put(refused, T, "again", "room");
        rc = store_txn_commit(refused, NULL, NULL, &test_err);
    } while (rc == INSTAR_EMAPFULL && os_now_ns() < give_up_ns);
    must(rc);
    stores_close(s);
}

/* A full disk stops folding with a reason, not reading; when there is room again all goes on. */
Test(store_trees, a_full_disk_is_survived)
{
    struct store *s = stores_make(NULL);
    struct test_fault fault = {
        .op = OS_OP_WRITE, .path = "data.mdb", .nth = 1, .error = 28 /* ENOSPC */, .sticky = true};
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_fold(s);
    test_fault_set(&fault);
    stores_write(s, T, "k", "1");
    must_fail(store_wait_applied(s, store_tail(s), STORE_URGE_SOON, STORE_FOREVER, &test_err),
              INSTAR_ENOSPACE);
    must(store_poisoned(s, &test_err));
    stores_read(s, T, "k", "1");
    expect(test_fault_fired() > 0);
    test_fault_set(NULL);
    stores_await_folding(s, store_tail(s)); /* it tries again by itself */
    stores_read(s, T, "k", "1");
    stores_close(s);
}

/* A failed sync of the trees stops the store for all: no commit after it succeeds. */
Test(store_trees, a_failed_sync_poisons)
{
    struct store *s = stores_make(NULL);
    struct test_fault fault = {
        .op = OS_OP_SYNC, .path = "data.mdb", .nth = 1, .error = 5 /* EIO */, .sticky = true};
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_write(s, T, "k", "1");
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    test_fault_set(&fault);
    must_fail(store_wait_applied(s, store_tail(s), STORE_URGE_SOON, STORE_FOREVER, &test_err),
              INSTAR_ESTOPPED);
    struct store_txn *t = stores_begin(s, 0);
    stores_expect(t, T, "k", "1");
    stores_put(t, T, "k", "2");
    must_fail(store_txn_commit(t, NULL, NULL, &test_err), INSTAR_ESTOPPED);
    test_fault_set(NULL);
    store_close(s, &test_err);
}
