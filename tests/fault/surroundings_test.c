/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile surroundings of a whole process: little of what it needs, another user, a disk that is
 * only read, shared memory that is full or not there, a clock that jumps. Each call does what it
 * was asked, or is refused with the reason; nothing is lost, and all goes on when that is over.
 * What stands in the place of files: hostile_test.c.
 */
#define _GNU_SOURCE
#include "support/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STRANGER 12345
#define HANG_S 120
#define MIB ((rlim_t)1 << 20)

static uint64_t cases;

static void say(void)
{
    printf("%llu hostile surroundings\n", (unsigned long long)cases);
}

/* In a process of its own. */
static void alone(void (*fn)(struct test_child *self, void *arg), void *arg)
{
    struct test_child child;
    test_fork(&child, fn, arg);
    test_wait_ok(&child);
    cases++;
}

static void expect_words(const char *words)
{
    if (strstr(instar_error_text(), words) == NULL) {
        test_fail(__FILE__, __LINE__, "'%s' is not in: %s", words, instar_error_text());
    }
}

static void set_limit(int what, rlim_t value)
{
    struct rlimit limit;
    expect(getrlimit((__rlimit_resource_t)what, &limit) == 0);
    limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
    expect(setrlimit((__rlimit_resource_t)what, &limit) == 0);
}

/* ---- limits, in the middle of a course ---------------------------------------------------- */

struct limit {
    int what;
    const char *name;
    rlim_t value;
    int code; /* besides EFAILED, EBUSY */
};

static void arm_limit(const struct trial *t)
{
    const struct limit *l = t->arg;
    signal(SIGXFSZ, SIG_IGN);
    set_limit(l->what, l->value);
}

static uint64_t disarm_limit(const struct trial *t)
{
    const struct limit *l = t->arg;
    set_limit(l->what, RLIM_INFINITY);
    return 1;
}

static bool fits_limit(const struct trial *t, int code)
{
    const struct limit *l = t->arg;
    return code == l->code || code == INSTAR_EFAILED || code == INSTAR_EBUSY;
}

#if !defined(__SANITIZE_ADDRESS__)
static void open_with_little_space(struct test_child *self, void *arg)
{
    instar *db = NULL;
    (void)self;
    (void)arg;
    set_limit(RLIMIT_AS, 100 * MIB);
    fails(instar_open(dbs_path(), NULL, &db), INSTAR_ENOMEM);
    expect_words("4096 MiB of address space are needed (map_bytes)");
    expect_words("ulimit -v");
}

/* A map that does not fit says what it needs, and what can be done. */
Test(surroundings, address_space)
{
    instar *db = dbs_open(0);
    ok(instar_close(db));
    alone(open_with_little_space, NULL);
    say();
}
#endif

/* What a process may have is little, from its start on. RLIMIT_AS is not for sanitizers, which map
 * terabytes. */
Test(surroundings, limits, .timeout = 1800)
{
    static const struct limit limits[] = {
        {RLIMIT_NOFILE, "NOFILE", 8, INSTAR_ESLOTS},
        {RLIMIT_NOFILE, "NOFILE", 10, INSTAR_ESLOTS},
        {RLIMIT_NOFILE, "NOFILE", 12, INSTAR_ESLOTS},
        {RLIMIT_NOFILE, "NOFILE", 14, INSTAR_ESLOTS},
        {RLIMIT_NOFILE, "NOFILE", 17, INSTAR_ESLOTS},
        {RLIMIT_NOFILE, "NOFILE", 20, INSTAR_ESLOTS},
        {RLIMIT_FSIZE, "FSIZE", 1000, INSTAR_ENOSPACE},
        {RLIMIT_FSIZE, "FSIZE", 66000, INSTAR_ENOSPACE},
        {RLIMIT_FSIZE, "FSIZE", 100000, INSTAR_ENOSPACE},
        {RLIMIT_FSIZE, "FSIZE", 300000, INSTAR_ENOSPACE},
#if !defined(__SANITIZE_ADDRESS__)
        {RLIMIT_AS, "AS", 40 * MIB, INSTAR_ENOMEM},
        {RLIMIT_AS, "AS", 100 * MIB, INSTAR_ENOMEM},
        {RLIMIT_AS, "AS", 200 * MIB, INSTAR_ENOMEM},
        {RLIMIT_AS, "AS", 400 * MIB, INSTAR_ENOMEM},
#endif
    };
    struct course_book *book = course_book_new();
    for (size_t i = 0; i < BASE_ARRAY_LEN(limits); i++) {
        for (int recover = 0; recover < 2; recover++) {
            char name[80];
            (void)snprintf(name, sizeof(name), "RLIMIT_%s %llu%s", limits[i].name,
                           (unsigned long long)limits[i].value, recover ? ", after a kill" : "");
            struct trial t = {.name = name,
                              .recover = recover == 1,
                              .arm = arm_limit,
                              .disarm = disarm_limit,
                              .fits = fits_limit,
                              .arg = &limits[i]};
            (void)trial_run(&t, book);
            cr_assert_not(book->wrong, "%s", name);
            cases++;
        }
    }
    say();
}

/* ---- clocks ------------------------------------------------------------------------------- */

static _Atomic int64_t wall_us, slept_ns;
static _Atomic uint64_t looked;

/* Every thousandth look finds it an hour away, or back. */
static int64_t jumping_wall(void *arg)
{
    uint64_t n = atomic_fetch_add(&looked, 1);
    struct timespec now;
    (void)arg;
    clock_gettime(CLOCK_REALTIME, &now);
    if (n % 7 == 0) {
        atomic_fetch_add(&wall_us, (int64_t)3600 * 1000000 * (n % 14 == 0 ? 1 : -2));
    }
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + atomic_load(&wall_us);
}

/* The machine sleeps for two minutes, now and then. */
static uint64_t sleeping_machine(void *arg)
{
    uint64_t n = atomic_fetch_add(&looked, 1);
    struct timespec now;
    (void)arg;
    clock_gettime(CLOCK_BOOTTIME, &now);
    if (n % 997 == 0) {
        atomic_fetch_add(&slept_ns, (int64_t)120 * 1000000000);
    }
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec +
           (uint64_t)atomic_load(&slept_ns);
}

static void arm_clock(const struct trial *t)
{
    static struct os_hooks hooks;
    const bool *sleeps = t->arg;
    hooks = *os_hooks_now; /* with the pretended boot */
    hooks.realtime_us = jumping_wall;
    hooks.boottime_ns = *sleeps ? sleeping_machine : NULL;
    os_hooks_set(&hooks);
}

static uint64_t disarm_clock(const struct trial *t)
{
    (void)t;
    test_boot_set(1);
    return 1;
}

/* A deadline that has passed is a delay; nothing else may come of a clock. */
static bool fits_clock(const struct trial *t, int code)
{
    const bool *sleeps = t->arg;
    return *sleeps && (instar_error_class(code) == INSTAR_CLASS_RETRY ||
                       code == INSTAR_ECOMMIT_UNKNOWN || code == INSTAR_EFAILED);
}

/* Clocks that jump delay, and do nothing else; the wall clock does not even that. */
Test(surroundings, clocks, .timeout = 1800)
{
    struct course_book *book = course_book_new();
    for (int i = 0; i < 4; i++) {
        bool sleeps = i % 2 == 1;
        struct trial t = {.name = sleeps ? "a machine that sleeps" : "a wall clock that jumps",
                          .recover = i >= 2,
                          .arm = arm_clock,
                          .disarm = disarm_clock,
                          .fits = fits_clock,
                          .arg = &sleeps};
        (void)trial_run(&t, book);
        cr_assert_not(book->wrong, "%s", t.name);
        cases++;
    }
    say();
}

/* ---- mounts ------------------------------------------------------------------------------- */

static bool is_mount(const char *path)
{
    struct statx st;

    return statx(AT_FDCWD, path, 0, 0, &st) == 0 &&
           (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* From now on, what this process mounts at the place is its own. In a chroot "/" is no mount of
 * which one could say so; then the place becomes one. */
static void own_mounts(const char *place)
{
    expect(unshare(CLONE_NEWNS) == 0);
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) {
        return;
    }
    expect(errno == EINVAL);
    expect(is_mount(place) || mount(place, place, NULL, MS_BIND | MS_REC, NULL) == 0);
    expect(mount("none", place, NULL, MS_REC | MS_PRIVATE, NULL) == 0);
}

/* In a process with mounts of its own at the place. What it had to mount for all goes again. */
static void alone_at(const char *place, void (*fn)(struct test_child *self, void *arg), void *arg)
{
    bool before = is_mount(place);

    alone(fn, arg);
    if (!before && is_mount(place)) {
        expect(umount2(place, MNT_DETACH) == 0);
    }
}

static void never(struct course *c, const char *leg, int code, const char *words)
{
    (void)c;
    test_fail(__FILE__, __LINE__, "%s: %s: %s", leg, instar_error_name(code), words);
}

/* The whole course, in a directory on the disk. */
static void run_course(const char *dir)
{
    struct course c = {.dir = dir, .book = course_book_new(), .failed = never};
    alarm(HANG_S);
    course_run(&c);
    ok(course_open(&c));
    course_look(&c, true);
    ok(instar_close(c.db));
}

static void with_full_shm(struct test_child *self, void *arg)
{
    (void)self;
    own_mounts("/dev/shm");
    expect(mount("none", "/dev/shm", "tmpfs", 0, "size=64k") == 0);
    test_write_file("/dev/shm/ballast", "x", 1);
    run_course(arg);
}

static void without_shm(struct test_child *self, void *arg)
{
    (void)self;
    own_mounts("/dev");
    expect(mount("none", "/dev", "tmpfs", 0, "size=64k") == 0);
    expect(access("/dev/shm", F_OK) != 0);
    run_course(arg);
}

static void with_read_only_shm(struct test_child *self, void *arg)
{
    (void)self;
    own_mounts("/dev/shm");
    expect(mount("none", "/dev/shm", "tmpfs", MS_RDONLY, "size=64m") == 0);
    run_course(arg);
}

/* What is shared in memory lies in the store's own directory when there is no room for it. */
Test(surroundings, shared_memory)
{
    test_needs_root("mounts");
    char *dir = strdup(test_dir());
    alone_at("/dev/shm", with_full_shm, dir);
    course_remove(&(struct course){.dir = dir});
    alone_at("/dev", without_shm, dir);
    course_remove(&(struct course){.dir = dir});
    alone_at("/dev/shm", with_read_only_shm, dir);
    free(dir);
    say();
}

static void make_small(const char *dir, instar **db_out)
{
    char path[300];
    instar_options o = dbs_options();
    (void)snprintf(path, sizeof(path), "%s/db", dir);
    ok(instar_open(path, &o, db_out));
}

static void on_read_only_disk(struct test_child *self, void *arg)
{
    const char *dir = arg;
    char path[300], other[300];
    instar *db = NULL;
    instar_check_summary sum;
    instar_backup_info info;
    instar_log_cut cut;
    (void)self;
    own_mounts(dir);
    (void)snprintf(path, sizeof(path), "%s/db", dir);
    (void)snprintf(other, sizeof(other), "%s/backup", dir);
    expect(mount("none", dir, "tmpfs", 0, "size=64m") == 0);
    make_small(dir, &db);
    dbs_make_table(db, "t");
    ok(instar_backup(db, other, NULL, NULL));
    ok(instar_close(db));
    expect(mount("none", dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    fails(instar_open(path, NULL, &db), INSTAR_EACCESS);
    expect_words("Read-only file system");
    fails(instar_check_files(path, NULL, NULL, &sum), INSTAR_EACCESS);
    fails(instar_repair(path, NULL, NULL), INSTAR_EACCESS);
    fails(instar_cut_log(path, &cut), INSTAR_EACCESS);
    fails(instar_overwrite(path, NULL), INSTAR_EACCESS);
    fails(instar_create(test_path("%s", "none/none"), NULL), INSTAR_EINVALID);
    ok(instar_backup_look(other, &info));
    (void)snprintf(path, sizeof(path), "%s/restored", dir);
    fails(instar_restore(other, path, NULL), INSTAR_EACCESS);
    expect_words("Read-only file system");
    expect(mount("none", dir, NULL, MS_REMOUNT, NULL) == 0);
    make_small(dir, &db);
    dbs_end(db);
}

/* A disk that is only read: each call says so, and what can be done without writing works. */
Test(surroundings, read_only_disk)
{
    test_needs_root("mounts");
    char *dir = strdup(test_dir());
    alone_at(dir, on_read_only_disk, dir);
    free(dir);
    say();
}

/* ---- users -------------------------------------------------------------------------------- */

static void as_stranger(struct test_child *self, void *arg)
{
    const char *path = arg;
    instar *db = NULL;
    instar_check_summary sum;
    (void)self;
    expect(setegid(STRANGER) == 0 && seteuid(STRANGER) == 0);
    fails(instar_open(path, NULL, &db), INSTAR_EACCESS);
    expect_words(path);
    fails(instar_check_files(path, NULL, NULL, &sum), INSTAR_EACCESS);
    fails(instar_repair(path, NULL, NULL), INSTAR_EACCESS);
    fails(instar_check_after_io_error(path), INSTAR_EACCESS);
}

/* The modes let the stranger in; the owner counts all the same. */
static void as_stranger_with_open_modes(struct test_child *self, void *arg)
{
    const char *path = arg;
    instar *db = NULL;
    (void)self;
    expect(setegid(STRANGER) == 0 && seteuid(STRANGER) == 0);
    fails(instar_open(path, NULL, &db), INSTAR_EFOREIGN);
    expect_words("belongs to user 0, expected 12345");
}

/* Somebody else's store is refused, whatever its modes. */
Test(surroundings, another_user)
{
    instar *db = NULL;
    struct stat st;
    test_needs_root("another user");
    (void)umask(0);
    db = dbs_open(0);
    dbs_make_table(db, "t");
    ok(instar_close(db));
    char *path = strdup(dbs_path());
    expect(chmod(test_fast_dir(), 0755) == 0);
    alone(as_stranger, path);
    expect(chmod(path, 0755) == 0);
    alone(as_stranger_with_open_modes, path);
    expect(stat(path, &st) == 0 && st.st_uid == 0);
    expect(chmod(path, 0700) == 0);
    db = dbs_open(0);
    dbs_end(db);
    free(path);
    say();
}
