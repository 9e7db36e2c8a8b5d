/* SPDX-License-Identifier: Apache-2.0 */
/* What is mended in the trees of a store that nobody has open, and what the check of its files says
 * of it. */
#include "support/stores.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define TREE 3
#define PAGE 4096
#define MAIN_DEPTH (88 + 6) /* in a meta page */
#define DEPTH_MAX 32

static instar_options options;

static void setup(void)
{
    options = stores_options();
    struct store *s = stores_make(NULL);
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    for (int i = 0; i < 4; i++) { /* both meta pages have trees */
        stores_write(s, TREE, "key", "value");
        stores_fold(s);
    }
    stores_close(s);
}

TestSuite(store_repair, .init = setup);

static const char *path_of(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", stores_path(), name);
    return path;
}

static void put(uint64_t at, const void *bytes, size_t size)
{
    int fd = open(path_of("data.mdb"), O_RDWR | O_CLOEXEC);
    expect(fd >= 0 && pwrite(fd, bytes, size, (off_t)at) == (ssize_t)size);
    close(fd);
}

static int repair(char text[400])
{
    base_err_clear(&test_err);
    return store_repair(stores_path(), &options, text, 400, &test_err);
}

static int keep_first(void *arg, enum instar_problem problem, const char *file, const char *text)
{
    (void)problem;
    (void)file;
    snprintf(arg, 400, "%s", text);
    return 1;
}

/* What the check of the files says first; "": nothing. */
static const char *finding(void)
{
    static char first[400];
    struct store_files sum;
    first[0] = '\0';
    int rc = store_check_files(stores_path(), &options, keep_first, first, &sum, &test_err);
    expect(rc == (first[0] != '\0') && sum.findings == (uint64_t)rc);
    return first;
}

/* Either meta page is made anew from the other one, the file as it was is kept; whole ones are left
 * alone. */
Test(store_repair, a_meta_page)
{
    char text[400];
    must(repair(text));
    expect(text[0] == '\0' && access(path_of("data.mdb.before-repair"), F_OK) != 0);
    for (int page = 0; page < 2; page++) {
        size_t size;
        put((uint64_t)page * PAGE + 16, "damaged", 7);
        uint8_t *damaged = test_read_file(path_of("data.mdb"), &size);
        expect(strstr(finding(), "another magic number") != NULL);
        must(repair(text));
        expect(strstr(text, page == 0 ? "meta page 0" : "meta page 1") != NULL);
        uint8_t *kept = test_read_file(path_of("data.mdb.before-repair"), NULL);
        expect(memcmp(damaged, kept, size) == 0);
        base_free(damaged);
        base_free(kept);
        cr_assert_str_eq(finding(), "");
        struct store *s = stores_open(NULL);
        stores_read(s, TREE, "key", "value");
        stores_close(s);
        expect(unlink(path_of("data.mdb.before-repair")) == 0);
    }
}

static void die_in_repair(struct test_child *self, void *arg)
{
    char text[400];
    (void)self;
    (void)arg;
    test_kill_at_point("repair.copied", 1);
    (void)repair(text);
}

/* Killed behind its copy it has changed nothing; and once that copy, which is the file, is moved
 * away, the next repair does it. */
Test(store_repair, death_behind_the_copy)
{
    struct test_child child;
    char text[400];
    size_t size;
    put(16, "damaged", 7);
    uint8_t *damaged = test_read_file(path_of("data.mdb"), &size);
    test_fork(&child, die_in_repair, NULL);
    expect(test_wait(&child) == -SIGKILL);
    static const char *const same[] = {"data.mdb", "data.mdb.before-repair"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(same); i++) {
        size_t now;
        uint8_t *bytes = test_read_file(path_of(same[i]), &now);
        expect(now == size && memcmp(bytes, damaged, size) == 0);
        base_free(bytes);
    }
    base_free(damaged);
    must_fail(repair(text), INSTAR_EEXISTS);
    expect(strstr(test_err.text, "move it away first") != NULL);
    expect(unlink(path_of("data.mdb.before-repair")) == 0);
    must(repair(text));
    cr_assert_str_eq(finding(), "");
    struct store *s = stores_open(NULL);
    stores_read(s, TREE, "key", "value");
    stores_close(s);
}

/* What an earlier repair has kept is not lost by the next one. */
Test(store_repair, an_earlier_copy_is_kept)
{
    char text[400];
    size_t size;
    put(16, "damaged", 7);
    test_write_file(path_of("data.mdb.before-repair"), "earlier", 7);
    must_fail(repair(text), INSTAR_EEXISTS);
    uint8_t *kept = test_read_file(path_of("data.mdb.before-repair"), &size);
    expect(size == 7 && memcmp(kept, "earlier", 7) == 0);
    base_free(kept);
    expect(finding()[0] != '\0');
}

/* Where neither page holds nothing is guessed. */
Test(store_repair, both_meta_pages)
{
    char text[400];
    put(16, "damaged", 7);
    put(PAGE + 16, "damaged", 7);
    must_fail(repair(text), INSTAR_ECORRUPT);
    expect(text[0] == '\0' && access(path_of("data.mdb.before-repair"), F_OK) != 0);
}

/* A tree may be as deep as LMDB walks, and no deeper: then its record is what is wrong, before
 * that what it leads to. */
Test(store_repair, depths_that_can_be)
{
    for (uint8_t depth = DEPTH_MAX - 1; depth <= DEPTH_MAX + 1; depth++) {
        uint8_t bytes[2] = {depth, 0};
        put(MAIN_DEPTH, bytes, 2);
        put(PAGE + MAIN_DEPTH, bytes, 2);
        expect((strstr(finding(), "its record has depth") != NULL) == (depth > DEPTH_MAX));
        expect(finding()[0] != '\0');
    }
}
