/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: whatever is done to a tree, its entries add up to it; what was changed behind its back
 * is seen, by the tree's id, and by nothing else. */
#include "store/trees.h"
#include "support/stores.h"

#include <stdio.h>

#define T 5
#define OTHER 6
#define KEYS 300

static struct store *s;

static void setup(void)
{
    s = stores_make_tree(NULL, T);
    stores_tree_op(s, STORE_TREE_CREATE, OTHER);
}

static void teardown(void)
{
    if (s != NULL) {
        stores_close(s);
    }
}

TestSuite(store_digest, .init = setup, .fini = teardown);

static struct found {
    unsigned pages, trees;
    uint64_t tree;
    char text[500];
} found;

static int on_page(void *arg, uint64_t page, const char *text)
{
    (void)arg, (void)page;
    found.pages++;
    (void)snprintf(found.text, sizeof(found.text), "%s", text);
    return 0;
}

static int on_tree(void *arg, uint64_t tree, const char *text)
{
    (void)arg;
    found.trees++;
    found.tree = tree;
    (void)snprintf(found.text, sizeof(found.text), "%s", text);
    return 0;
}

static void look(void)
{
    struct store_page_findings to = {.page = on_page, .tree = on_tree};
    uint64_t pages;
    found = (struct found){0};
    must(store_check_pages(s, &to, &pages, &test_err));
    expect(pages > 2);
}

static void adds_up(void)
{
    stores_fold(s);
    look();
    if (found.pages + found.trees > 0) {
        test_fail(__FILE__, __LINE__, "%u pages, %u trees: %s", found.pages, found.trees,
                  found.text);
    }
}

static void write_keys(uint64_t tree, unsigned from, unsigned to, const char *value)
{
    for (unsigned i = from; i < to; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%05u", i);
        (void)stores_write(s, tree, key, value);
    }
}

static void load(uint64_t token, unsigned from, unsigned to)
{
    struct store_bulk *b;
    must(store_bulk_begin(s, T, token, false, &b, &test_err));
    for (unsigned i = from; i < to; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%05u", i);
        must(stores_append(b, stores_text(key), stores_text("loaded"), &test_err));
    }
    must(store_bulk_commit(b, &test_err));
}

/* New, overwritten by as much and by more, by what needs pages of its own, and deleted. */
Test(store_digest, of_writes)
{
    static char lengthy[20000];
    memset(lengthy, 'x', sizeof(lengthy) - 1);
    write_keys(T, 0, KEYS, "one");
    write_keys(OTHER, 0, KEYS, "other");
    adds_up();
    write_keys(T, 0, 100, "two");
    write_keys(T, 100, 150, "something longer");
    adds_up();
    write_keys(T, 140, 160, lengthy);
    adds_up();
    write_keys(T, 150, 155, "short");
    write_keys(T, 155, 170, NULL);
    write_keys(T, KEYS, KEYS + 5, NULL); /* not there */
    adds_up();
    write_keys(T, 0, KEYS, NULL);
    adds_up();
    expect_u64(strlen(stores_dump(s, T)), 0);
}

/* Loaded past the log, with a delta beside it; cut once more; dropped. */
Test(store_digest, of_a_build)
{
    uint64_t left = 1;
    write_keys(T, 0, 50, "one");
    stores_tree_op(s, STORE_TREE_BEGIN_BUILD, T);
    adds_up();
    must(store_build_claim(s, T, 4, &test_err));
    load(4, 0, 100);
    write_keys(T, 50, 60, "newer");
    write_keys(T, 60, 70, NULL);
    adds_up();
    stores_tree_op(s, STORE_TREE_BEGIN_BUILD, T);
    adds_up();
    must(store_build_claim(s, T, 5, &test_err));
    load(5, 0, 100);
    load(5, 100, KEYS);
    write_keys(T, 50, 60, "newer");
    write_keys(T, 60, 70, NULL);
    while (left != 0) {
        must(store_build_fold(s, T, 5, false, &left, &test_err));
    }
    adds_up();
    must(store_build_settle(s, T, 5, &test_err));
    stores_tree_op(s, STORE_TREE_FOLD_END, T);
    adds_up();
    stores_read(s, T, "key00055", "newer");
    stores_tree_op(s, STORE_TREE_DROP, T);
    adds_up();
    stores_tree_op(s, STORE_TREE_CREATE, T + 10);
    write_keys(T + 10, 0, 10, "next");
    adds_up();
}

static void reopen(void)
{
    stores_close(s);
    s = stores_open(NULL);
}

/* Replace the only place where `from` stands in the data by `to`, as long. */
static void tamper(const char *from, const char *to)
{
    char path[300];
    size_t size, length = strlen(from), places = 0;
    (void)snprintf(path, sizeof(path), "%s/data.mdb", stores_path());
    uint8_t *bytes = test_read_file(path, &size);
    for (size_t at = 0; at + length <= size; at++) {
        if (memcmp(bytes + at, from, length) == 0) {
            memcpy(bytes + at, to, length);
            places++;
        }
    }
    expect(places > 0);
    test_write_file(path, bytes, size);
    base_free(bytes);
}

/* An entry that is another than the one that was written: nothing else can be held against it. */
Test(store_digest, names_the_tree)
{
    write_keys(T, 0, KEYS, "one");
    write_keys(OTHER, 0, KEYS, "theirs");
    adds_up();
    stores_close(s);
    s = NULL;
    tamper("key00123theirs", "key00123THEIRS");
    s = stores_open(NULL);
    look();
    expect(found.pages == 0 && found.trees == 1);
    expect_u64(found.tree, OTHER);
    expect(strstr(found.text, "data.mdb: page") != NULL);
    expect(strstr(found.text, "do not add up") != NULL);
    /* It is of no other tree, and stays however often the store is opened and written to. */
    write_keys(T, 0, 10, "two");
    write_keys(OTHER, 0, 10, "two");
    stores_fold(s);
    reopen();
    look();
    expect(found.pages == 0 && found.trees == 1);
    expect_u64(found.tree, OTHER);
}

/* A digest that is damaged itself, and one that is whole and not the last: refused before the
 * store is opened. */
Test(store_digest, of_digests)
{
    uint8_t sum[16] = {1};
    struct base_slice name = stores_text("t0000000000000005");
    uint64_t read = 7;
    expect(!trees_digest_read(name, base_slice(sum, sizeof(sum)), &read));
    expect_u64(read, 0);
    write_keys(T, 0, KEYS, "one");
    adds_up();
    stores_close(s);
    s = NULL;
    tamper("!gt0000000000000006", "!gt000000000000000z");
    struct base_err err = {0};
    instar_options options = stores_options();
    struct store *opened = NULL;
    must_fail(store_open(stores_path(), &options, &opened, &err), INSTAR_ECORRUPT);
    expect(strstr(err.text, "the main tree: an unreadable digest") != NULL);
}
