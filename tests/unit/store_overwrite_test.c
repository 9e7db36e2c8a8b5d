/* SPDX-License-Identifier: Apache-2.0 */
/* What was deleted, updated or dropped is overwritten in all files, and nothing else is. */
#define _GNU_SOURCE
#include "support/stores.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEPT 3
#define DROPPED 4
#define ROWS 400
#define LONG 9000 /* of a value that has pages of its own */

static instar_options options;

static void write_rows(struct store *s, uint64_t tree, const char *mark)
{
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    for (int i = 0; i < ROWS; i++) {
        char key[32], value[LONG + 1];
        int used = snprintf(value, sizeof(value), "%s value %d;", mark, i);
        if (i % 100 == 0) {
            memset(value + used, '.', LONG - (size_t)used);
            value[LONG] = '\0';
        }
        snprintf(key, sizeof(key), "key %04d", i);
        stores_put(t, tree, key, value);
    }
    stores_commit(t);
}

/* Each second row deleted, each fourth updated, one tree dropped. */
static void setup(void)
{
    options = stores_options();
    struct store *s = stores_make(NULL);
    stores_tree_op(s, STORE_TREE_CREATE, KEPT);
    stores_tree_op(s, STORE_TREE_CREATE, DROPPED);
    write_rows(s, KEPT, "kept");
    write_rows(s, DROPPED, "dropped");
    stores_fold(s);
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    for (int i = 0; i < ROWS; i += 2) {
        char key[32];
        snprintf(key, sizeof(key), "key %04d", i);
        if (i % 4 == 0) {
            stores_delete(t, KEPT, key);
        } else {
            stores_put(t, KEPT, key, "updated");
        }
    }
    stores_commit(t);
    stores_tree_op(s, STORE_TREE_DROP, DROPPED);
    stores_close(s);
}

TestSuite(store_overwrite, .init = setup);

/* ---- what the files hold ------------------------------------------------------------------ */

static bool file_holds(const char *path, const char *text)
{
    size_t size;
    uint8_t *bytes = test_read_file(path, &size);
    bool found = memmem(bytes, size, text, strlen(text)) != NULL;
    base_free(bytes);
    return found;
}

static bool holds(const char *text)
{
    char path[600];
    struct dirent *entry;
    snprintf(path, sizeof(path), "%s/log", stores_path());
    DIR *dir = opendir(path);
    bool found = false;
    expect(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        snprintf(path, sizeof(path), "%s/log/%s", stores_path(), entry->d_name);
        found = found || (strstr(entry->d_name, ".seg") != NULL && file_holds(path, text));
    }
    (void)closedir(dir);
    snprintf(path, sizeof(path), "%s/data.mdb", stores_path());
    return found || file_holds(path, text);
}

/* Of all rows that were there once, those that may be found. */
static void expect_overwritten(void)
{
    for (int i = 0; i < ROWS; i++) {
        char text[40];
        snprintf(text, sizeof(text), "kept value %d;", i);
        cr_assert_eq(holds(text), i % 2 != 0, "%s", text);
    }
    expect(!holds("dropped value") && holds("updated"));
}

static void expect_whole(void)
{
    struct store_files sum;
    must(store_check_files(stores_path(), &options, NULL, NULL, &sum, &test_err));
    expect(sum.findings == 0);
    struct store *s = stores_open(NULL);
    stores_read(s, KEPT, "key 0002", "updated");
    stores_read(s, KEPT, "key 0005", "kept value 5;");
    stores_close(s);
}

static int overwrite(uint64_t *bytes_out)
{
    base_err_clear(&test_err);
    return store_overwrite(stores_path(), &options, bytes_out, &test_err);
}

/* ---- tests -------------------------------------------------------------------------------- */

Test(store_overwrite, nothing_deleted_is_left)
{
    uint64_t bytes;
    expect(holds("dropped value 1;") && holds("kept value 0;") && holds("kept value 2;"));
    must(overwrite(&bytes));
    expect(bytes > 0);
    expect_overwritten();
    expect_whole();
}

/* Where zeros are already nothing is written; what was written since then is. */
Test(store_overwrite, is_done_again)
{
    uint64_t first, second;
    must(overwrite(&first));
    struct store *s = stores_open(NULL);
    stores_write(s, KEPT, "key 0005", "another");
    stores_close(s);
    expect(holds("kept value 5;"));
    must(overwrite(&second));
    expect(!holds("kept value 5;") && holds("another") && second < first);
}

static void die_at(struct test_child *self, void *arg)
{
    uint64_t bytes;
    (void)self;
    test_kill_at_point(arg, 1);
    (void)overwrite(&bytes);
}

/* Whoever dies on the way leaves a whole store, and the next one does it all. */
Test(store_overwrite, death_on_the_way)
{
    static const char *const points[] = {"overwrite.metas", "overwrite.trees", "overwrite.segment"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        struct test_child child;
        uint64_t bytes;
        test_fork(&child, die_at, (void *)points[i]);
        cr_assert_eq(test_wait(&child), -SIGKILL, "%s", points[i]);
        expect_whole();
        must(overwrite(&bytes));
        expect_overwritten();
        test_remove(stores_path());
        setup();
    }
}

#define PIECES 200
#define PAGES 3 /* of an overflow, at most */

/* What the process had in its memory, and has freed, is in no file. All threads share a heap; what
 * is freed there has the size of one page or several, and does not become one with its neighbours,
 * so that LMDB's pages get it. */
Test(store_overwrite, no_heap_in_files)
{
    char *pieces[PAGES * PIECES], *between[PAGES * PIECES];
    (void)mallopt(M_ARENA_MAX, 1);
    for (size_t i = 0; i < BASE_ARRAY_LEN(pieces); i++) {
        size_t size = 4096 * (1 + i % PAGES);
        pieces[i] = base_alloc(size);
        between[i] = base_alloc(64);
        for (size_t at = 0; at < size; at += 16) {
            memcpy(pieces[i] + at, "a heap's secret;", 16);
        }
        __asm__ volatile("" : : "r"(pieces[i]) : "memory"); /* or it would not be written */
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(pieces); i++) {
        base_free(pieces[i]);
    }
    struct store *s = stores_open(NULL);
    for (int i = 0; i < 3; i++) {
        write_rows(s, KEPT, "again");
        stores_fold(s);
    }
    stores_close(s);
    for (size_t i = 0; i < BASE_ARRAY_LEN(between); i++) {
        base_free(between[i]);
    }
    expect(!holds("a heap's secret"));
}

/* No page is needed of the snapshot before: either meta page tells all that the other one does. */
Test(store_overwrite, either_meta_page_tells_all)
{
    for (off_t page = 0; page < 2; page++) {
        char path[600], text[400];
        uint64_t bytes;
        must(overwrite(&bytes));
        snprintf(path, sizeof(path), "%s/data.mdb", stores_path());
        int fd = open(path, O_RDWR | O_CLOEXEC);
        expect(fd >= 0 && pwrite(fd, "damaged", 7, page * 4096 + 16) == 7);
        close(fd);
        must(store_repair(stores_path(), &options, text, sizeof(text), &test_err));
        expect(strstr(text, page == 0 ? "meta page 0" : "meta page 1") != NULL);
        expect_whole();
        test_remove(stores_path());
        setup(); /* for the repair has done the same as what is tried here */
    }
}

static void have_it_open(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    test_send(self, 1);
    test_until_told(self);
    stores_close(s);
}

Test(store_overwrite, not_beside_another)
{
    uint64_t bytes;
    struct test_child child;
    struct store *s = stores_open(NULL);
    must_fail(overwrite(&bytes), INSTAR_EINUSE);
    stores_close(s);
    test_fork(&child, have_it_open, NULL);
    test_await(&child, 1);
    must_fail(overwrite(&bytes), INSTAR_EBUSY);
    expect(strstr(test_err.text, "has the store open") != NULL && bytes == 0);
    test_send(&child, 0);
    test_wait_ok(&child);
    must(overwrite(&bytes));
    expect_overwritten();
}

static void damage(bool head)
{
    char path[600];
    struct store *s = stores_open(NULL); /* all is folded, and the tree dropped */
    stores_close(s);
    snprintf(path, sizeof(path), "%s/data.mdb", stores_path());
    size_t size;
    uint8_t *file = test_read_file(path, &size);
    uint8_t *at = memmem(file, size, "kept value 5;", 13);
    expect(at != NULL);
    size_t byte = (size_t)(at - file), to = head ? byte / 4096 * 4096 : byte;
    base_free(file);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    expect(fd >= 0 && pwrite(fd, "damaged", 7, (off_t)to) == 7);
    close(fd);
}

/* What would be overwritten is known from the pages, and may help to mend what is damaged: so all
 * of them must hold, and what stands on them must be what was written. */
Test(store_overwrite, damaged_stores_are_left_alone)
{
    for (int head = 0; head < 2; head++) {
        uint64_t bytes;
        damage(head != 0);
        must_fail(overwrite(&bytes), INSTAR_ECORRUPT);
        expect(bytes == 0 && holds("kept value 0;"));
        expect(strstr(test_err.text, head != 0 ? "says that it is page" : "digest") != NULL);
        test_remove(stores_path());
        setup();
    }
}
