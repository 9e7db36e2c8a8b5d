/* SPDX-License-Identifier: Apache-2.0 */
/* Surroundings that are hostile or just wrong: file systems, namespaces, limits of the process,
 * other people's files and modes, files that were cut or wiped. Each is refused with the reason. */
#define _GNU_SOURCE
#include "store/control.h"
#include "store/trees.h"
#include "support/stores.h"

#include <errno.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define T 3
#define PAGE 4096

static int try_open(instar_options *o)
{
    instar_options usual = stores_options();
    struct store *s = NULL;
    int rc = store_open(stores_path(), o != NULL ? o : &usual, &s, &test_err);
    if (rc == 0) {
        must(store_close(s, &test_err));
    }
    return rc;
}

static void expect_words(const char *words)
{
    if (strstr(test_err.text, words) == NULL) {
        test_fail(__FILE__, __LINE__, "'%s' is not in: %s", words, test_err.text);
    }
}

static const char *inside(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", stores_path(), name);
    return path;
}

static void make_closed(void)
{
    struct store *s = stores_make_tree(NULL, T);
    stores_write(s, T, "k", "value");
    stores_close(s);
}

/* ---- file systems -------------------------------------------------------------------------- */

/* What this program's fstatfs says in place of the truth; 0: the truth. */
static uint32_t pretended;

int fstatfs(int fd, struct statfs *fs)
{
    int rc = (int)syscall(SYS_fstatfs, fd, fs);
    if (rc == 0 && pretended != 0) {
        fs->f_type = (__fsword_t)pretended;
    }
    return rc;
}

/* Network file systems keep neither locks nor order: refused unless forced (H-26). */
Test(store_hazards_places, network_file_systems)
{
    static const uint32_t magics[] = {NFS_SUPER_MAGIC, 0xff534d42 /* cifs */, SMB2_SUPER_MAGIC,
                                      V9FS_MAGIC,      FUSE_SUPER_MAGIC,      CEPH_SUPER_MAGIC};
    instar_options o = stores_options();
    make_closed();
    for (size_t i = 0; i < BASE_ARRAY_LEN(magics); i++) {
        pretended = magics[i];
        must_fail(try_open(NULL), INSTAR_EFOREIGN);
        expect_words("network file system");
        o.flags = 0;
        must_fail(store_create(test_path("new%zu", i), &o, &test_err), INSTAR_EFOREIGN);
        o.flags = INSTAR_OPEN_FORCE_NETWORK;
        must(try_open(&o));
    }
    pretended = EXT4_SUPER_MAGIC;
    must(try_open(NULL));
}

/* ---- namespaces ---------------------------------------------------------------------------- */

/* Opens the store as the first process of another pid namespace. */
static void open_in_another_namespace(struct test_child *self, void *arg)
{
    int status;
    (void)self;
    (void)arg;
    expect(unshare(CLONE_NEWPID) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        must_fail(try_open(NULL), INSTAR_EFOREIGN);
        expect_words("pid namespace");
        _exit(0);
    }
    expect(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Two pid namespaces give the same number to different processes, and LMDB knows its readers by
 * number: whoever comes from another one is refused (H-9). */
Test(store_hazards_places, another_pid_namespace)
{
    struct test_child child;
    test_needs_root("a pid namespace");
    struct store *s = stores_make(NULL);
    test_fork(&child, open_in_another_namespace, NULL);
    test_wait_ok(&child);
    stores_tree_op(s, STORE_TREE_CREATE, T);
    stores_close(s);
}

/* ---- options of another -------------------------------------------------------------------- */

static void write_with_small_map(struct test_child *self, void *arg)
{
    struct store *s;
    instar_options o = stores_options();
    (void)self;
    (void)arg;
    o.map_bytes = 2 << 20;
    must(store_open(stores_path(), &o, &s, &test_err));
    expect_u64(store_options(s)->map_bytes, stores_options().map_bytes);
    stores_read(s, T, "k", "value");
    stores_write(s, T, "small", "value");
    stores_close(s);
}

/* The size of LMDB's map is the store's: a process that asks for another one gets the same (H-11).
 */
Test(store_hazards_places, another_map_size)
{
    struct test_child child;
    struct store *s = stores_make_tree(NULL, T);
    stores_write(s, T, "k", "value");
    test_fork(&child, write_with_small_map, NULL);
    test_wait_ok(&child);
    stores_fold(s);
    stores_read(s, T, "small", "value");
    stores_close(s);
    test_fork(&child, write_with_small_map, NULL);
    test_wait_ok(&child);
}

/* ---- links and modes ----------------------------------------------------------------------- */

/* A link in place of a file is refused and not followed; and a file that others may write to is
 * refused, since whoever writes there steers every process that has it open (H-19, H-20). */
Test(store_hazards_places, links_and_modes)
{
    static const char *const names[] = {"format", "data.mdb", "lock"};
    char victim[400];
    struct stat st;
    make_closed();
    snprintf(victim, sizeof victim, "%s/victim", test_fast_dir());
    test_write_file(victim, "", 0);
    test_remove(inside("lock"));
    expect(symlink(victim, inside("lock")) == 0);
    must_fail(try_open(NULL), INSTAR_EFOREIGN);
    expect_words("lock");
    expect(stat(victim, &st) == 0 && st.st_size == 0);
    test_remove(inside("lock"));
    must(try_open(NULL)); /* it is made anew */
    for (size_t i = 0; i < BASE_ARRAY_LEN(names); i++) {
        expect(chmod(inside(names[i]), 0620) == 0);
        must_fail(try_open(NULL), INSTAR_EFOREIGN);
        expect_words(names[i]);
        expect_words("chmod it to 600");
        expect(chmod(inside(names[i]), 0644) == 0);
        must(try_open(NULL));
    }
}

/* ---- files that were cut or wiped ---------------------------------------------------------- */

/* With one of LMDB's two meta pages wiped the store is refused, and nothing is written (H-15). */
Test(store_hazards_places, a_wiped_meta_page)
{
    size_t size;
    make_closed();
    uint8_t *good = test_read_file(inside("data.mdb"), &size);
    uint8_t *bad = base_alloc(size);
    for (int meta = 0; meta < 2; meta++) {
        memcpy(bad, good, size);
        memset(bad + meta * PAGE, 0, PAGE);
        test_write_file(inside("data.mdb"), bad, size);
        must_fail(try_open(NULL), INSTAR_ECORRUPT);
        expect_words("data.mdb");
        size_t after_size;
        uint8_t *after = test_read_file(inside("data.mdb"), &after_size);
        expect(after_size == size && memcmp(after, bad, size) == 0);
        base_free(after);
    }
    test_write_file(inside("data.mdb"), good, size);
    must(try_open(NULL));
    base_free(bad);
    base_free(good);
}

/* Trees with some free pages between them. */
static void make_with_pages(void)
{
    char key[16];
    static char value[1000];
    struct store *s = stores_make(NULL);
    memset(value, 'v', sizeof value - 1);
    for (uint64_t tree = T; tree < T + 3; tree++) {
        stores_tree_op(s, STORE_TREE_CREATE, tree);
        for (int i = 0; i < 60; i++) {
            snprintf(key, sizeof key, "%03d", i);
            stores_write(s, tree, key, value);
        }
        stores_fold(s);
    }
    stores_tree_op(s, STORE_TREE_DROP, T + 1);
    stores_fold(s);
    stores_close(s);
}

/* Wherever data.mdb was cut off, opening it is refused with the place, and leaves it alone; it is
 * not SIGBUS, not even later, for what was cut off and not missed was free. */
Test(store_hazards_places, a_cut_data_file)
{
    static const size_t odd[] = {0, 1, 100, PAGE, 2 * PAGE - 1, 2 * PAGE + 1};
    size_t size;
    size_t refused = 0;
    struct stat st;
    make_with_pages();
    uint8_t *good = test_read_file(inside("data.mdb"), &size);
    struct store *s = stores_open(NULL);
    char *want_a = base_strdup(stores_dump(s, T));
    char *want_b = base_strdup(stores_dump(s, T + 2));
    stores_close(s);
    expect(size > 40 * PAGE);
    for (size_t i = 0; i < BASE_ARRAY_LEN(odd) + size / PAGE - 2; i++) {
        size_t cut = i < BASE_ARRAY_LEN(odd) ? odd[i] : (i - BASE_ARRAY_LEN(odd) + 2) * PAGE;
        instar_options o = stores_options();
        test_write_file(inside("data.mdb"), good, cut);
        int rc = store_open(stores_path(), &o, &s, &test_err);
        if (rc == 0) {
            cr_assert_str_eq(stores_dump(s, T), want_a);
            cr_assert_str_eq(stores_dump(s, T + 2), want_b);
            stores_close(s);
            continue;
        }
        expect(rc == INSTAR_ECORRUPT);
        expect_words("data.mdb");
        refused++;
        expect(stat(inside("data.mdb"), &st) == 0 && (size_t)st.st_size == cut);
    }
    expect(refused >= 10);
    test_write_file(inside("data.mdb"), good, size);
    must(try_open(NULL));
    base_free(want_a);
    base_free(want_b);
    base_free(good);
}

/* LMDB itself leaves a file that is shorter than it counts, when pages at the end were taken and
 * given back by one transaction: that is no damage. */
Test(store_hazards_places, a_short_data_file)
{
    struct trees_write *w;
    struct trees_cursor *c;
    struct trees_usage usage;
    struct stat st;
    static uint8_t value[50 * PAGE];
    struct base_slice big = base_slice(value, sizeof value);
    make_closed();
    struct store *s = stores_open(NULL);
    must(gate_enter(s, "test", STORE_FOREVER, &test_err));
    must(trees_write_begin(s->trees, false, &w, &test_err));
    must(trees_write_cursor(w, trees_data(T), &c, &test_err));
    must(trees_cursor_put(c, stores_text("z"), big, base_slice(NULL, 0), &test_err));
    must(trees_cursor_delete(c, stores_text("z"), &test_err));
    trees_cursor_close(c);
    must(trees_write_commit(w, &test_err));
    gate_leave(s);
    trees_usage_get(s->trees, &usage);
    stores_close(s);
    expect(stat(inside("data.mdb"), &st) == 0);
    expect((uint64_t)st.st_size < usage.used_bytes);
    s = stores_open(NULL);
    stores_read(s, T, "k", "value");
    stores_close(s);
}

/* ---- the shared file ----------------------------------------------------------------------- */

static char control_path[512];

static void write_and_be_killed(struct test_child *self, void *arg)
{
    struct store *s = stores_open(NULL);
    (void)arg;
    stores_write(s, T, "k", "value");
    snprintf(control_path, sizeof control_path, "%s/control", s->runtime_path);
    test_send(self, strlen(control_path));
    for (const char *at = control_path; *at != '\0'; at++) {
        test_send(self, (uint64_t)(unsigned char)*at);
    }
    test_receive(self);
}

/* What a killed process left in place of the shared file may be anything: the next opener makes its
 * own, and nothing is lost. */
Test(store_hazards_places, garbage_as_control)
{
    static uint8_t garbage[1 << 16];
    static const size_t sizes[] = {0, 1, 100, 4096, sizeof(struct store_control), sizeof garbage};
    struct test_random r = test_random(1);
    struct test_child child;
    make_closed();
    for (size_t i = 0; i < BASE_ARRAY_LEN(sizes); i++) {
        test_fork(&child, write_and_be_killed, NULL);
        size_t length = test_receive(&child);
        for (size_t k = 0; k < length; k++) {
            control_path[k] = (char)test_receive(&child);
        }
        test_kill(&child, SIGKILL);
        test_random_fill(&r, garbage, sizeof garbage);
        test_write_file(control_path, garbage, sizes[i]);
        struct store *s = stores_open(NULL);
        stores_read(s, T, "k", "value");
        stores_write(s, T, "k", "next");
        stores_close(s);
    }
}

/* Memtables that a killed process left go before new ones are made: one of them, taken for the next
 * segment's, would fail all commits. While they cannot be listed the store is not opened. */
Test(store_hazards_places, leftovers_that_cannot_be_listed)
{
    struct test_child child;
    char runtime[64];
    make_closed();
    test_fork(&child, write_and_be_killed, NULL);
    for (size_t length = test_receive(&child); length > 0; length--) {
        (void)test_receive(&child);
    }
    test_kill(&child, SIGKILL);
    snprintf(runtime, sizeof runtime, "/dev/shm/instar-%u-", (unsigned)geteuid());
    test_fault_set(&(struct test_fault){
        .op = OS_OP_OPEN, .path = runtime, .name = ".", .nth = 1, .error = EMFILE});
    must_fail(try_open(NULL), INSTAR_ESLOTS);
    expect_words("shared memory cannot be listed");
    expect_u64(test_fault_fired(), 1);
    test_hooks_clear();
    must(try_open(NULL));
}

/* While others have the store open, a process that finds garbage in place of their file gets an
 * error, and they go on. */
static void open_shortly(struct test_child *self, void *arg)
{
    instar_options o = stores_options();
    o.lock_timeout_ms = 50;
    (void)self;
    (void)arg;
    int rc = try_open(&o);
    expect(rc != 0 && test_err.text[0] != '\0');
}

Test(store_hazards_places, garbage_as_control_of_others)
{
    static uint8_t garbage[1 << 16];
    static const size_t sizes[] = {0, 100, sizeof(struct store_control), sizeof garbage};
    struct test_random r = test_random(2);
    struct test_child child;
    char away[520];
    struct store *s = stores_make_tree(NULL, T);
    snprintf(control_path, sizeof control_path, "%s/control", s->runtime_path);
    snprintf(away, sizeof away, "%s.away", control_path);
    expect(rename(control_path, away) == 0);
    for (size_t i = 0; i < BASE_ARRAY_LEN(sizes); i++) {
        test_random_fill(&r, garbage, sizeof garbage);
        test_remove(control_path);
        test_write_file(control_path, garbage, sizes[i]);
        test_fork(&child, open_shortly, NULL);
        test_wait_ok(&child);
    }
    expect(rename(away, control_path) == 0);
    stores_write(s, T, "k", "value");
    stores_close(s);
    must(try_open(NULL));
}

/* ---- limits of the process ----------------------------------------------------------------- */

static void set_limit(int what, rlim_t value)
{
    struct rlimit limit;
    expect(getrlimit((__rlimit_resource_t)what, &limit) == 0);
    limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
    expect(setrlimit((__rlimit_resource_t)what, &limit) == 0);
}

/* Too few descriptors to open: an error that says so, at whichever step, and nothing is harmed. */
Test(store_hazards_places, few_descriptors_to_open)
{
    int opened = 0;
    int refused = 0;
    make_closed();
    int first = dup(0);
    expect(first >= 0 && close(first) == 0);
    for (int n = 0; n < 30; n++) {
        set_limit(RLIMIT_NOFILE, (rlim_t)(first + n));
        int rc = try_open(NULL);
        if (rc == 0) {
            opened++;
        } else {
            refused++;
            expect(rc == INSTAR_ESLOTS);
            expect_words("Too many open files");
        }
    }
    expect(opened > 0 && refused > 0);
    set_limit(RLIMIT_NOFILE, 1024);
    struct store *s = stores_open(NULL);
    stores_read(s, T, "k", "value");
    stores_close(s);
}

/* A process that has no descriptor left for the next segment cannot commit, and says why. The store
 * is not stopped for it: others write on, and so does this one when it has some again. */
Test(store_hazards_places, few_descriptors_to_write)
{
    static char value[100000];
    struct store_commit how = {0};
    int refused = 0;
    struct store *s = stores_make_tree(NULL, T);
    stores_fold(s);
    set_limit(RLIMIT_NOFILE, 3);
    for (int i = 0; i < 60 && refused < 3; i++) {
        struct store_txn *t = stores_begin(s, i % 2 == 0 ? STORE_TXN_SYNC : 0);
        must(store_txn_put(t, T, stores_text("big"), base_slice(value, sizeof value), &test_err));
        how.deadline_ns = os_now_ns() + 200000000;
        int rc = store_txn_commit(t, &how, NULL, &test_err);
        expect(rc == 0 || rc == INSTAR_ESLOTS || rc == INSTAR_EBUSY ||
               rc == INSTAR_ECOMMIT_UNKNOWN);
        refused += rc != 0;
    }
    expect(refused == 3);
    must(store_poisoned(s, &test_err));
    set_limit(RLIMIT_NOFILE, 1024);
    stores_write(s, T, "k", "value");
    stores_fold(s);
    stores_close(s);
    s = stores_open(NULL);
    stores_read(s, T, "k", "value");
    stores_close(s);
}

/* A limit on file sizes below a segment is refused at open, before it can break a commit in the
 * middle; one that the trees reach is a full disk. */
Test(store_hazards_places, a_limit_on_file_sizes)
{
    static char value[100000];
    make_closed();
    set_limit(RLIMIT_FSIZE, 100000);
    must_fail(try_open(NULL), INSTAR_ENOSPACE);
    expect_words("ulimit -f");
    set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
    signal(SIGXFSZ, SIG_IGN);
    struct store *s = stores_open(NULL);
    set_limit(RLIMIT_FSIZE, (rlim_t)2 << 20);
    int rc = 0;
    for (int i = 0; i < 200 && rc == 0; i++) {
        char key[16];
        struct store_txn *t = stores_begin(s, 0);
        snprintf(key, sizeof key, "%03d", i);
        must(store_txn_put(t, T, stores_text(key), base_slice(value, sizeof value), &test_err));
        rc = store_txn_commit(t, NULL, NULL, &test_err);
    }
    expect(rc == INSTAR_ENOSPACE);
    must(store_poisoned(s, &test_err));
    stores_read(s, T, "k", "value");
    set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
    stores_await_folding(s, store_durable(s));
    stores_write(s, T, "after", "value");
    stores_close(s);
}

/* ---- what gets into files ------------------------------------------------------------------ */

/* Memory that the program had used before is not written to any file (H-27). */
Test(store_hazards_places, no_old_memory_in_files)
{
    static const char secret[] = "a secret of the program";
    enum { BLOCKS = 64, BLOCK = 16384 };
    char *blocks[BLOCKS];
    char command[700];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK);
        expect(blocks[i] != NULL);
        for (size_t at = 0; at + sizeof secret < BLOCK; at += sizeof secret) {
            memcpy(blocks[i] + at, secret, sizeof secret);
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    make_with_pages();
    snprintf(command, sizeof command, "! grep -rqaF '%s' '%s'", secret, stores_path());
    expect(system(command) == 0);
}
