/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and making a store in surroundings that are not as they should be. */
#include "store/control.h"
#include "store/log.h"
#include "support/stores.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int try_open(const char *path)
{
    instar_options o = stores_options();
    struct store *s = NULL;
    int rc = store_open(path, &o, &s, &test_err);
    if (rc == 0) {
        must(store_close(s, &test_err));
    }
    return rc;
}

static int try_create(const char *path)
{
    instar_options o = stores_options();
    return store_create(path, &o, &test_err);
}

static const char *inside(const char *name)
{
    static char path[400];
    snprintf(path, sizeof(path), "%s/%s", stores_path(), name);
    return path;
}

/* The error names the file and what is wrong with it. */
static void expect_words(const char *a, const char *b)
{
    expect(strstr(test_err.text, a) != NULL);
    expect(strstr(test_err.text, b) != NULL);
}

/* No directory, an empty one, and one without a store. */
Test(store_open, no_store)
{
    must_fail(try_open(stores_path()), INSTAR_ENOSTORE);
    expect(mkdir(stores_path(), 0700) == 0);
    must_fail(try_open(stores_path()), INSTAR_ENOSTORE);
    test_write_file(inside("something"), "x", 1);
    must_fail(try_open(stores_path()), INSTAR_ENOSTORE);
    must_fail(try_create(stores_path()), INSTAR_EEXISTS);
    expect_words("not empty", "something");
    uint8_t *kept = test_read_file(inside("something"), NULL);
    expect(kept[0] == 'x');
    base_free(kept);
}

/* An empty directory becomes a store; a store never does again. */
Test(store_open, create)
{
    expect(mkdir(stores_path(), 0700) == 0);
    must(try_create(stores_path()));
    must_fail(try_create(stores_path()), INSTAR_EEXISTS);
    must(try_open(stores_path()));
    must_fail(try_create(stores_path()), INSTAR_EEXISTS);
    must(try_open(stores_path()));
}

static void die_in_create(struct test_child *self, void *arg)
{
    (void)self;
    test_kill_at_point(arg, 1);
    try_create(stores_path());
}

/* A creator that dies leaves no store, and nothing that the next one stumbles over. */
Test(store_open, death_in_create)
{
    static const char *const points[] = {"create.marked", "create.made"};
    struct test_child child;
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        test_fork(&child, die_in_create, (void *)(uintptr_t)points[i]);
        expect(test_wait(&child) == -9);
        must_fail(try_open(stores_path()), INSTAR_ENOSTORE);
    }
    must(try_create(stores_path()));
    must(try_open(stores_path()));
}

static int fill(struct store *s, struct base_err *err)
{
    struct store_txn *t;
    int rc = store_txn_begin(s, STORE_TXN_SYNC, &t, err);
    if (rc != 0) {
        return rc;
    }
    rc = store_txn_tree_op(t, STORE_TREE_CREATE, 100, err);
    if (rc != 0) {
        store_txn_abort(t);
        return rc;
    }
    return store_txn_commit(t, NULL, NULL, err);
}

static int try_create_filled(void)
{
    instar_options o = stores_options();
    return store_create_filled(stores_path(), &o, fill, &test_err);
}

/* What stands in the store's directory; SIZE_MAX: there is none. */
static size_t entries(void)
{
    DIR *dir = opendir(stores_path());
    size_t count = 0;
    if (dir == NULL) {
        return SIZE_MAX;
    }
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count - 2;
}

/* The nth operation fails, and those after it if the disk stays full; what was made is taken back.
 * False: there are fewer operations. */
static bool create_without_space(const struct test_fault *fault, bool directory_is_there)
{
    if (directory_is_there) {
        expect(mkdir(stores_path(), 0700) == 0);
    }
    test_fault_set(fault);
    int rc = try_create_filled();
    bool fired = test_fault_fired() > 0;
    test_fault_set(NULL);
    if (rc == 0 || access(inside("format"), F_OK) == 0) {
        /* The operation could be done without, or came after the store was there: a sync of a
         * directory, which no disk that stays full refuses. */
        expect(rc == 0 || !fault->sticky);
    } else if (directory_is_there) {
        expect(entries() <= 1); /* the lock file, which another maker may hold */
    } else {
        expect(entries() == SIZE_MAX);
    }
    rc = rc == 0 ? 0 : try_create_filled();
    expect(rc == 0 || rc == INSTAR_EEXISTS);
    must(try_open(stores_path()));
    test_remove(stores_path());
    return fired;
}

/* A store that cannot be made for want of space leaves nothing behind, wherever it fails; made
 * again where there is space, it is a store. */
Test(store_open, create_without_space)
{
    static const int writing[] = {OS_OP_WRITE, OS_OP_ALLOCATE, OS_OP_MKDIR, OS_OP_SYMLINK};
    uint64_t n = 1;
    while (create_without_space(&(struct test_fault){.op = TEST_ANY_OP, .nth = n, .error = ENOSPC},
                                n % 2 == 0)) {
        n++;
    }
    expect(n > 50);
    for (size_t i = 0; i < BASE_ARRAY_LEN(writing); i++) {
        struct test_fault full = {.op = writing[i], .nth = 1, .error = ENOSPC, .sticky = true};
        while (create_without_space(&full, i % 2 == 0)) {
            full.nth++;
        }
        expect(full.nth > 1);
    }
}

static void create_first(struct test_child *self, void *arg)
{
    (void)self;
    (void)arg;
    must(try_create_filled());
}

/* Says so when it finds the directory locked. */
static void note_refusal(void *arg, const struct os_call *call, int result)
{
    if (call->op == OS_OP_LOCK && result == -EAGAIN) {
        test_send(arg, 1);
    }
}

static void create_second(struct test_child *self, void *arg)
{
    struct test_listener listener = {.after = note_refusal, .arg = self};
    (void)arg;
    test_hooks_clear(); /* this one is not to be held */
    test_listener_set(&listener);
    must_fail(try_create_filled(), INSTAR_EEXISTS);
    expect_words("there is a store already", stores_path());
    test_listener_set(NULL);
    must(try_open(stores_path()));
}

/* It has made the store's directory and stands still. */
static void hold_a_maker(struct test_child *first, struct test_hold *hold)
{
    test_hold_set(hold, "create.made", 1);
    stores_path();
    test_fork(first, create_first, NULL);
    test_hold_await(hold);
}

/* Of two makers at once the second one waits for the first, and finds its store. */
Test(store_open, two_makers)
{
    struct test_child first, second;
    struct test_hold hold;
    hold_a_maker(&first, &hold);
    test_fork(&second, create_second, NULL);
    test_await(&second, 1);
    test_hold_release(&hold);
    test_wait_ok(&first);
    test_wait_ok(&second);
    test_hold_end(&hold);
}

static void create_beside(struct test_child *self, void *arg)
{
    instar_options o = stores_options();
    (void)self;
    (void)arg;
    test_hooks_clear();
    o.lock_timeout_ms = 50;
    must_fail(store_create_filled(stores_path(), &o, fill, &test_err), INSTAR_EBUSY);
    expect_words("another process is making a store there", stores_path());
}

/* A maker that takes longer than the second one waits: that one is told to try again, and leaves
 * what is half made alone. */
Test(store_open, a_maker_that_takes_long)
{
    struct test_child first, second;
    struct test_hold hold;
    hold_a_maker(&first, &hold);
    test_fork(&second, create_beside, NULL);
    test_wait_ok(&second);
    test_hold_release(&hold);
    test_wait_ok(&first);
    test_hold_end(&hold);
    must(try_open(stores_path()));
}

/* Files and directories are for their owner alone, whatever the umask says. */
Test(store_open, modes)
{
    static const char *const files[] = {"format", "data.mdb", "lock"};
    static const char *const dirs[] = {".", "log", "spill"};
    struct stat st;
    mode_t masks[] = {0, 077};
    for (size_t m = 0; m < BASE_ARRAY_LEN(masks); m++) {
        mode_t old = umask(masks[m]);
        must(try_create(stores_path()));
        must(try_open(stores_path()));
        umask(old);
        for (size_t i = 0; i < BASE_ARRAY_LEN(files); i++) {
            expect(stat(inside(files[i]), &st) == 0 && (st.st_mode & 07777) == 0600);
        }
        for (size_t i = 0; i < BASE_ARRAY_LEN(dirs); i++) {
            expect(stat(inside(dirs[i]), &st) == 0 && (st.st_mode & 07777) == 0700);
        }
        test_remove(stores_path());
    }
}

/* A file that is no store's, a newer store's, a damaged one, a short one, an empty one: each is
 * refused with what was expected and what was found, and is not touched. */
Test(store_open, format_files)
{
    uint8_t bytes[128];
    uint8_t *good;
    size_t size;
    must(try_create(stores_path()));
    good = test_read_file(inside("format"), &size);
    expect_u64(size, sizeof(bytes));
    struct {
        size_t at;
        uint8_t value;
        size_t size;
        int code;
        const char *words;
    } cases[] = {{0, 'X', 128, INSTAR_EFOREIGN, "expected \"INSTAR STORE\""},
                 {16, 3, 128, INSTAR_EVERSION, "version 3 at offset 16, expected 2: a newer"},
                 {16, 1, 128, INSTAR_EVERSION, "version 1 at offset 16, expected 2: this release"},
                 {60, 0xff, 128, INSTAR_ECORRUPT, "checksum"},
                 {0, 'I', 127, INSTAR_ECORRUPT, "has 127 bytes, expected 128"},
                 {0, 'I', 20, INSTAR_EFOREIGN, "fewer than 24 bytes"},
                 {0, 'I', 0, INSTAR_EFOREIGN, "fewer than 24 bytes"}};
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        memcpy(bytes, good, sizeof(bytes));
        bytes[cases[i].at] = cases[i].value;
        test_write_file(inside("format"), bytes, cases[i].size);
        must_fail(try_open(stores_path()), cases[i].code);
        expect_words("format", cases[i].words);
        uint8_t *after = test_read_file(inside("format"), &size);
        expect(size == cases[i].size && memcmp(after, bytes, size) == 0);
        base_free(after);
    }
    test_write_file(inside("format"), good, sizeof(bytes));
    must(try_open(stores_path()));
    base_free(good);
}

/* A good checksum does not make absurd sizes good. */
Test(store_open, absurd_sizes)
{
    size_t size;
    must(try_create(stores_path()));
    uint8_t *bytes = test_read_file(inside("format"), &size);
    base_put_u64(bytes + 56, UINT64_C(1) << 40); /* segment_bytes */
    base_put_u64(bytes + 120, base_hash64(bytes, 120, 0));
    test_write_file(inside("format"), bytes, size);
    must_fail(try_open(stores_path()), INSTAR_ECORRUPT);
    expect_words("format", "out of its range");
    base_free(bytes);
}

/* Links, fifos, directories, and files with two names are not ours. */
Test(store_open, strange_files)
{
    static const char *const names[] = {"format", "lock", "data.mdb"};
    char away[400];
    snprintf(away, sizeof(away), "%s/away", test_fast_dir());
    must(try_create(stores_path()));
    for (size_t i = 0; i < BASE_ARRAY_LEN(names); i++) {
        expect(rename(inside(names[i]), away) == 0);
        expect(symlink(away, inside(names[i])) == 0);
        must_fail(try_open(stores_path()), INSTAR_EFOREIGN);
        expect_words(names[i], "");
        expect(unlink(inside(names[i])) == 0);
        expect(mkfifo(inside(names[i]), 0600) == 0);
        must_fail(try_open(stores_path()), INSTAR_EFOREIGN);
        expect(unlink(inside(names[i])) == 0);
        expect(link(away, inside(names[i])) == 0);
        must_fail(try_open(stores_path()), INSTAR_EFOREIGN);
        expect(unlink(away) == 0);
        must(try_open(stores_path()));
    }
    expect(rename(stores_path(), away) == 0);
    expect(symlink(away, stores_path()) == 0);
    must_fail(try_open(stores_path()), INSTAR_EFOREIGN);
}

/* A directory that others may write to could be changed under us. */
Test(store_open, open_directories)
{
    must(try_create(stores_path()));
    expect(chmod(stores_path(), 0770) == 0);
    must_fail(try_open(stores_path()), INSTAR_EFOREIGN);
    expect_words("others may write", "chmod");
    expect(chmod(stores_path(), 0755) == 0);
    must(try_open(stores_path()));
}

/* A second open in one process is refused, and harms nothing: another process cannot get in
 * between. */
Test(store_open, twice_in_one_process)
{
    struct store *s = stores_make(NULL);
    char other[400];
    must_fail(try_open(stores_path()), INSTAR_EINUSE);
    snprintf(other, sizeof(other), "%s/.", stores_path());
    must_fail(try_open(other), INSTAR_EINUSE);
    stores_tree_op(s, STORE_TREE_CREATE, 1);
    stores_write(s, 1, "key", "value");
    stores_read(s, 1, "key", "value");
    stores_close(s);
    must(try_open(stores_path()));
}

static void open_in_child(struct test_child *self, void *arg)
{
    (void)self;
    (void)arg;
    struct store *s = stores_open(NULL);
    stores_write(s, 1, "child", "value");
    stores_close(s);
}

/* After a fork the child may open the store itself, and the parent's handle works on. */
Test(store_open, fork_and_open)
{
    struct store *s = stores_make(NULL);
    struct test_child child;
    stores_tree_op(s, STORE_TREE_CREATE, 1);
    stores_fold(s); /* then the store's threads are idle, and hold no lock of a sanitizer */
    test_fork(&child, open_in_child, NULL);
    test_wait_ok(&child);
    stores_read(s, 1, "child", "value");
    stores_write(s, 1, "parent", "value");
    stores_close(s);
}

/* Without permission to write there is a clear error, and the store is as it was. */
Test(store_open, read_only_directory)
{
    struct test_fault fault = {
        .op = OS_OP_OPEN, .path = "lock", .nth = 1, .error = EROFS, .sticky = true};
    must(try_create(stores_path()));
    test_fault_set(&fault);
    must_fail(try_open(stores_path()), INSTAR_EACCESS);
    expect_words("lock", "");
    test_fault_set(NULL);
    must(try_open(stores_path()));
}

/* The options of the store come from where it was made; a program's own are checked. */
Test(store_open, options)
{
    instar_options o = stores_options();
    struct store *s;
    must(try_create(stores_path()));
    o.segment_bytes = (uint64_t)64 << 20;
    o.txn_bytes_max = (uint64_t)16 << 20;
    o.trees_max = 4096;
    must(store_open(stores_path(), &o, &s, &test_err));
    expect_u64(store_options(s)->segment_bytes, (uint64_t)1 << 20);
    expect_u64(store_options(s)->txn_bytes_max, (uint64_t)1 << 18);
    expect_u64(store_options(s)->trees_max, 64);
    must(store_close(s, &test_err));
    o.segments_pending = 1;
    must_fail(store_open(stores_path(), &o, &s, &test_err), INSTAR_EINVALID);
    expect_words("segments_pending", "1");
}

#define OPENERS 6

static void open_and_close(struct test_child *self, void *arg)
{
    test_await(self, 1);
    for (int i = 0; i < 10; i++) {
        struct store *s = stores_open(NULL);
        stores_write(s, 1, arg, "value");
        stores_close(s);
    }
}

/* Processes that open and close at once find each other: the first recovers, others join, the last
 * one cleans up, over and over. */
Test(store_open, many_openers)
{
    struct test_child children[OPENERS];
    char keys[OPENERS][2] = {0};
    struct store *s = stores_make_tree(NULL, 1);
    stores_close(s);
    for (int i = 0; i < OPENERS; i++) {
        keys[i][0] = (char)('a' + i);
        test_fork(&children[i], open_and_close, keys[i]);
    }
    for (int i = 0; i < OPENERS; i++) {
        test_send(&children[i], 1);
    }
    for (int i = 0; i < OPENERS; i++) {
        test_wait_ok(&children[i]);
    }
    s = stores_open(NULL);
    for (int i = 0; i < OPENERS; i++) {
        stores_read(s, 1, keys[i], "value");
    }
    stores_close(s);
}

/* What a spill file's name may not be, and that the first opener finds none. */
Test(store_open, spill_files)
{
    struct store *s = stores_make(NULL);
    int fd;
    must_fail(store_spill_create(s, "../format", &fd, &test_err), INSTAR_EINVALID);
    must_fail(store_spill_create(s, "", &fd, &test_err), INSTAR_EINVALID);
    must_fail(store_spill_open(s, "run-1", &fd, &test_err), INSTAR_ENOTFOUND);
    must(store_spill_create(s, "run-1", &fd, &test_err));
    must(os_pwrite(fd, "x", 1, 0));
    os_close(fd);
    must(store_spill_open(s, "run-1", &fd, &test_err));
    os_close(fd);
    must(store_spill_create(s, "run-2", &fd, &test_err));
    os_close(fd);
    must(store_spill_remove(s, "run-2", &test_err));
    must(store_spill_remove(s, "run-2", &test_err));
    stores_close(s);
    s = stores_open(NULL);
    must_fail(store_spill_open(s, "run-1", &fd, &test_err), INSTAR_ENOTFOUND);
    stores_close(s);
}

/* LMDB's lock file, which is mapped and written to, has its room from the start, and is not among
 * the store's files but in shared memory: on a disk that is full it would be a SIGBUS. */
Test(store_open, the_lock_file_has_its_room)
{
    struct stat st;
    char path[300], link[300];
    must(try_create(stores_path()));
    for (int anew = 0; anew < 2; anew++) {
        struct store *s = stores_open(NULL);
        (void)snprintf(path, sizeof(path), "%s/lock.mdb", s->runtime_path);
        expect(strcmp(s->runtime_path, "run") != 0);
        expect(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
        expect(st.st_size > 64 * (off_t)stores_options().readers_max);
        expect((uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size);
        expect(access(inside("lock.mdb"), F_OK) != 0);
        (void)snprintf(link, sizeof(link), "%s/data.mdb.%d", s->runtime_path, (int)getpid());
        expect(lstat(link, &st) != 0); /* only while LMDB opens its files */
        stores_close(s);
        expect(access(path, F_OK) != 0);
    }
}

/* An opening that fails leaves nothing in shared memory. */
Test(store_open, a_failed_open_leaves_nothing)
{
    char path[300];
    struct store *s = stores_make(NULL);
    (void)snprintf(path, sizeof(path), "%s", s->runtime_path);
    stores_close(s);
    for (uint64_t n = 1, fired = 1; fired > 0; n++) {
        test_fault_set(
            &(struct test_fault){.op = OS_OP_MAP, .path = "data.mdb", .nth = n, .error = ENOMEM});
        int rc = try_open(stores_path());
        fired = test_fault_fired();
        test_fault_set(NULL);
        expect(rc == 0 || rc == INSTAR_ENOMEM);
        expect((rc == 0) == (fired == 0));
        expect(access(path, F_OK) != 0);
        expect(n > 1 || fired == 1);
    }
}

/* LMDB's file is mapped by a descriptor that cannot write: otherwise the kernel would walk the page
 * tables of every process for each page that a fold writes. */
Test(store_open, the_map_is_by_a_descriptor_that_cannot_write)
{
    struct store *s = stores_make(NULL);
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool ours = false;
    int found = 0;
    cr_assert_not_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (strchr(line, '-') != NULL && strstr(line, " r--s ") != NULL) {
            ours = strstr(line, "/data.mdb") != NULL;
        } else if (ours && strncmp(line, "VmFlags:", 8) == 0) {
            ours = false;
            found++;
            cr_assert(strstr(line, " sh") == NULL && strstr(line, " mw") == NULL, "%s", line);
        }
    }
    (void)fclose(maps);
    expect(found == 1);
    stores_close(s);
}
