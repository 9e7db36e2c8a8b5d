/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories through the seam, and what faults do to them. */
#define _GNU_SOURCE
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_test_dir(void)
{
    int dir;
    cr_assert_eq(os_open_dir(test_dir(), &dir), 0);
    return dir;
}

static int create(int dir, const char *name)
{
    int fd;
    cr_assert_eq(os_openat(dir, name, O_RDWR | O_CREAT | O_EXCL, &fd), 0);
    return fd;
}

static mode_t mode_of(int dir, const char *name)
{
    struct stat st;
    cr_assert_eq(os_fstatat(dir, name, &st), 0);
    return st.st_mode & 07777;
}

static off_t size_of(int fd)
{
    struct stat st;
    cr_assert_eq(os_fstat(fd, &st), 0);
    return st.st_size;
}

/* New files are 0600 and new directories 0700 under any umask. */
Test(base_os_file, modes_do_not_depend_on_the_umask)
{
    static const mode_t umasks[] = {0, 022, 077, 0777};
    int dir = open_test_dir();
    for (size_t i = 0; i < BASE_ARRAY_LEN(umasks); i++) {
        umask(umasks[i]);
        int fd = create(dir, "file");
        cr_assert_eq(os_mkdirat(dir, "folder"), 0);
        cr_expect_eq(mode_of(dir, "file"), 0600);
        cr_expect_eq(mode_of(dir, "folder"), 0700);
        os_close(fd);
        cr_assert_eq(os_unlinkat(dir, "file", 0), 0);
        cr_assert_eq(os_unlinkat(dir, "folder", AT_REMOVEDIR), 0);
    }
    os_close(dir);
}

/* Opening with O_CREAT a file that is there opens it, and leaves its mode alone. */
Test(base_os_file, create_opens_what_exists)
{
    int dir = open_test_dir();
    int fd = create(dir, "file");
    cr_assert_eq(os_pwrite(fd, "abc", 3, 0), 0);
    cr_assert_eq(fchmod(fd, 0640), 0);
    os_close(fd);
    cr_assert_eq(os_openat(dir, "file", O_RDWR | O_CREAT, &fd), 0);
    cr_expect_eq(size_of(fd), 3);
    cr_expect_eq(mode_of(dir, "file"), 0640);
    cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    os_close(fd);
    cr_expect_eq(os_openat(dir, "file", O_RDWR | O_CREAT | O_EXCL, &fd), -EEXIST);
    cr_expect_eq(fd, -1);
    os_close(dir);
}

/* Links are never followed: not to files, not to directories, not by stat. */
Test(base_os_file, links_are_refused)
{
    int dir = open_test_dir();
    os_close(create(dir, "victim"));
    cr_assert_eq(symlinkat("victim", dir, "link"), 0);
    cr_assert_eq(symlinkat("nowhere", dir, "dangling"), 0);
    int fd;
    cr_expect_eq(os_openat(dir, "link", O_RDWR, &fd), -ELOOP);
    cr_expect_eq(os_openat(dir, "link", O_RDWR | O_CREAT, &fd), -ELOOP);
    cr_expect_eq(os_openat(dir, "dangling", O_RDWR | O_CREAT, &fd), -ELOOP);
    cr_assert_eq(symlink(test_dir(), test_path("dirlink")), 0);
    cr_expect_eq(os_open_dir(test_path("dirlink"), &fd), -ENOTDIR);
    struct stat st;
    cr_assert_eq(os_fstatat(dir, "link", &st), 0);
    cr_expect(S_ISLNK(st.st_mode));
    os_close(dir);
}

/* Reading gives what was written, and is short only at the end of the file. */
Test(base_os_file, reads_are_short_only_at_the_end)
{
    int dir = open_test_dir();
    int fd = create(dir, "file");
    char buf[16] = {0};
    size_t got;
    cr_assert_eq(os_pwrite(fd, "0123456789", 10, 5), 0);
    cr_assert_eq(os_pread(fd, buf, sizeof(buf), 5, &got), 0);
    cr_expect_eq(got, 10);
    cr_expect_eq(memcmp(buf, "0123456789", 10), 0);
    cr_assert_eq(os_pread(fd, buf, 5, 0, &got), 0);
    cr_expect_eq(memcmp(buf, "\0\0\0\0\0", 5), 0);
    cr_assert_eq(os_pread(fd, buf, 5, 100, &got), 0);
    cr_expect_eq(got, 0);
    os_close(fd);
    os_close(dir);
}

/* Interrupted and short calls are completed: the caller sees neither. */
Test(base_os_file, interrupted_and_short_calls_are_completed)
{
    int dir = open_test_dir();
    int fd = create(dir, "file");
    char buf[10] = {0};
    size_t got;
    test_fault_set(
        &(struct test_fault){.op = OS_OP_WRITE, .nth = 1, .short_bytes = 3, .sticky = true});
    cr_expect_eq(os_pwrite(fd, "0123456789", 10, 0), 0);
    cr_expect_eq(test_fault_fired(), 4, "3 + 3 + 3 + 1 bytes");
    test_fault_set(
        &(struct test_fault){.op = OS_OP_READ, .nth = 1, .short_bytes = 4, .sticky = true});
    cr_expect_eq(os_pread(fd, buf, 10, 0, &got), 0);
    cr_expect_eq(got, 10);
    cr_expect_eq(memcmp(buf, "0123456789", 10), 0);
    static const int ops[] = {OS_OP_WRITE, OS_OP_READ, OS_OP_SYNC, OS_OP_ALLOCATE, OS_OP_TRUNCATE};
    for (size_t i = 0; i < BASE_ARRAY_LEN(ops); i++) {
        test_fault_set(&(struct test_fault){.op = ops[i], .nth = 1, .error = EINTR});
        cr_expect_eq(os_pwrite(fd, "x", 1, 0), 0);
        cr_expect_eq(os_pread(fd, buf, 1, 0, &got), 0);
        cr_expect_eq(os_fdatasync(fd), 0);
        cr_expect_eq(os_fallocate(fd, 0, 100), 0);
        cr_expect_eq(os_ftruncate(fd, 100), 0);
        cr_expect_eq(test_fault_fired(), 1, "%s", test_op_name(ops[i]));
    }
    test_hooks_clear();
    os_close(fd);
    os_close(dir);
}

static int call_each(int dir, int fd, int op)
{
    char byte = 0;
    size_t got;
    int other;
    struct stat st;
    void *at;
    switch (op) {
    case OS_OP_OPEN:
        return os_openat(dir, "other", O_RDWR | O_CREAT, &other);
    case OS_OP_READ:
        return os_pread(fd, &byte, 1, 0, &got);
    case OS_OP_WRITE:
        return os_pwrite(fd, &byte, 1, 0);
    case OS_OP_SYNC:
        return os_fdatasync(fd);
    case OS_OP_SYNC_DIR:
        return os_fsync_dir(dir);
    case OS_OP_ALLOCATE:
        return os_fallocate(fd, 0, 4096);
    case OS_OP_ZERO_RANGE:
        return os_zero_range(fd, 0, 10);
    case OS_OP_TRUNCATE:
        return os_ftruncate(fd, 5);
    case OS_OP_RENAME:
        return os_renameat(dir, "file", dir, "moved");
    case OS_OP_UNLINK:
        return os_unlinkat(dir, "file", 0);
    case OS_OP_MKDIR:
        return os_mkdirat(dir, "made");
    case OS_OP_SYMLINK:
        return os_symlinkat("file", dir, "link");
    case OS_OP_MAP:
        return os_map(fd, 4096, true, false, &at);
    case OS_OP_STAT:
        return os_fstat(fd, &st);
    case OS_OP_LOCK:
        return os_lock_exclusive(fd);
    default:
        return -EINVAL;
    }
}

/* Each kind of operation fails with the error that a test gives it, and has done nothing. */
Test(base_os_file, every_operation_can_be_made_to_fail)
{
    int dir = open_test_dir();
    int fd = create(dir, "file");
    cr_assert_eq(os_pwrite(fd, "0123456789", 10, 0), 0);
    for (int op = OS_OP_OPEN; op <= OS_OP_LOCK; op++) {
        if (op == OS_OP_CLOSE) {
            continue;
        }
        test_fault_set(&(struct test_fault){.op = op, .nth = 1, .error = EIO, .sticky = true});
        cr_expect_eq(call_each(dir, fd, op), -EIO, "%s", test_op_name(op));
        cr_expect_geq(test_fault_fired(), 1);
    }
    test_hooks_clear();
    struct stat st;
    cr_expect_eq(size_of(fd), 10);
    cr_expect_eq(os_fstatat(dir, "file", &st), 0);
    cr_expect_eq(os_fstatat(dir, "made", &st), -ENOENT);
    cr_expect_eq(os_fstatat(dir, "other", &st), -ENOENT);
    os_close(fd);
    os_close(dir);
}

/* A close that is made to fail says so, and the descriptor is closed all the same. */
Test(base_os_file, failed_close_still_closes)
{
    int dir = open_test_dir();
    int fd = create(dir, "file");
    test_fault_set(&(struct test_fault){.op = OS_OP_CLOSE, .nth = 1, .error = EIO});
    cr_expect_eq(os_close(fd), -EIO);
    test_hooks_clear();
    cr_expect_eq(fcntl(fd, F_GETFD), -1);
    os_close(dir);
}

/* A fault can be bound to a part of a file's path. */
Test(base_os_file, faults_can_be_bound_to_a_file)
{
    int dir = open_test_dir();
    int a = create(dir, "alpha.seg");
    int b = create(dir, "beta.seg");
    test_fault_set(&(struct test_fault){
        .op = OS_OP_WRITE, .path = "beta", .nth = 1, .error = ENOSPC, .sticky = true});
    cr_expect_eq(os_pwrite(a, "x", 1, 0), 0);
    cr_expect_eq(os_pwrite(b, "x", 1, 0), -ENOSPC);
    cr_expect_eq(test_fault_seen(), 1);
    test_hooks_clear();
    os_close(a);
    os_close(b);
    os_close(dir);
}

/* Allocating takes the blocks and grows the file; reading them gives zeros. */
Test(base_os_file, allocation_is_real)
{
    int dir = open_test_dir();
    int fd = create(dir, "file");
    cr_assert_eq(os_fallocate(fd, 0, 1 << 20), 0);
    struct stat st;
    cr_assert_eq(os_fstat(fd, &st), 0);
    cr_expect_eq(st.st_size, 1 << 20);
    cr_expect_geq((off_t)st.st_blocks * 512, 1 << 20);
    char last = 1;
    size_t got;
    cr_assert_eq(os_pread(fd, &last, 1, (1 << 20) - 1, &got), 0);
    cr_expect_eq(last, 0);
    os_close(fd);
    os_close(dir);
}

/* An allocation that does not fit fails, and the file is as long as before. */
Test(base_os_file, failed_allocation_leaves_the_size)
{
    int dir = open_test_dir();
    int fd = create(dir, "file");
    cr_assert_eq(os_pwrite(fd, "kept", 4, 0), 0);
    uint64_t free_bytes;
    cr_assert_eq(os_fs_free_bytes(fd, &free_bytes), 0);
    cr_expect_gt(free_bytes, 0);
    int rc = os_fallocate(fd, 0, (off_t)1 << 60);
    cr_expect(rc == -ENOSPC || rc == -EFBIG, "%s", strerror(-rc));
    cr_expect_eq(size_of(fd), 4);
    os_close(fd);
    os_close(dir);
}

/* A range that was zeroed reads as zeros, also where the file system cannot do it, or has no room
 * for it. */
Test(base_os_file, zero_range_zeroes_with_and_without_help)
{
    int dir = open_test_dir();
    static const int refusals[] = {0, EOPNOTSUPP, ENOSPC};
    for (size_t r = 0; r < BASE_ARRAY_LEN(refusals); r++) {
        int fd = create(dir, "file");
        uint8_t bytes[9000];
        memset(bytes, 0xee, sizeof(bytes));
        cr_assert_eq(os_pwrite(fd, bytes, sizeof(bytes), 0), 0);
        if (refusals[r] != 0) {
            test_fault_set(
                &(struct test_fault){.op = OS_OP_ZERO_RANGE, .nth = 1, .error = refusals[r]});
        }
        cr_assert_eq(os_zero_range(fd, 100, 8000), 0);
        cr_assert_eq(os_zero_range(fd, 8999, 0), 0);
        test_hooks_clear();
        size_t got;
        cr_assert_eq(os_pread(fd, bytes, sizeof(bytes), 0, &got), 0);
        cr_expect_eq(got, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++) {
            cr_assert_eq(bytes[i], i >= 100 && i < 8100 ? 0 : 0xee, "byte %zu", i);
        }
        os_close(fd);
        cr_assert_eq(os_unlinkat(dir, "file", 0), 0);
    }
    os_close(dir);
}

/* Names in a directory come sorted, without the two dots. */
Test(base_os_file, directory_is_listed_in_order)
{
    int dir = open_test_dir();
    char **names;
    size_t count;
    cr_assert_eq(os_list_dir(dir, &names, &count), 0);
    cr_expect_eq(count, 0);
    base_free(names);
    for (int i = 49; i >= 0; i--) {
        char name[32];
        snprintf(name, sizeof(name), "f%02d", i);
        os_close(create(dir, name));
    }
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(os_list_dir(dir, &names, &count), 0);
        cr_expect_eq(count, 50);
        for (size_t i = 0; i < count; i++) {
            char name[32];
            snprintf(name, sizeof(name), "f%02zu", i);
            cr_expect_str_eq(names[i], name);
            base_free(names[i]);
        }
        base_free(names);
    }
    os_close(dir);
}

/* Listing without memory fails and leaves nothing behind, whichever request fails. */
Test(base_os_file, listing_without_memory_fails_cleanly)
{
    int dir = open_test_dir();
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof(name), "f%02d", i);
        os_close(create(dir, name));
    }
    char **names = NULL;
    size_t count = 0;
    int rc = -ENOMEM;
    for (size_t n = 1; rc != 0; n++) {
        test_shortage_set(&(struct test_shortage){.nth = n, .sticky = true});
        rc = os_list_dir(dir, &names, &count);
        test_shortage_set(NULL);
        cr_assert(rc == 0 || (rc == -ENOMEM && names == NULL && count == 0));
        cr_assert_leq(n, 100);
    }
    for (size_t i = 0; i < count; i++) {
        base_free(names[i]);
    }
    base_free(names);
    os_close(dir);
}

/* Renaming replaces the target; unlinking what is not there is an error. */
Test(base_os_file, rename_and_unlink)
{
    int dir = open_test_dir();
    os_close(create(dir, "a"));
    os_close(create(dir, "b"));
    cr_expect_eq(os_renameat(dir, "a", dir, "b"), 0);
    struct stat st;
    cr_expect_eq(os_fstatat(dir, "a", &st), -ENOENT);
    cr_expect_eq(os_unlinkat(dir, "b", 0), 0);
    cr_expect_eq(os_unlinkat(dir, "b", 0), -ENOENT);
    cr_expect_eq(os_fsync_dir(dir), 0);
    os_close(dir);
}

/* Shared memory is known as tmpfs, and neither it nor the test's disk as a network. */
Test(base_os_file, file_systems_are_told_apart)
{
    int dir = open_test_dir();
    bool network = true;
    cr_assert_eq(os_fs_is_network(dir, &network), 0);
    cr_expect_not(network);
    os_close(dir);
    if (access("/dev/shm", F_OK) == 0) {
        bool tmpfs = false;
        cr_assert_eq(os_open_dir("/dev/shm", &dir), 0);
        cr_assert_eq(os_fs_is_tmpfs(dir, &tmpfs), 0);
        cr_expect(tmpfs);
        os_close(dir);
    }
    bool proc_is_tmpfs = true;
    cr_assert_eq(os_open_dir("/proc", &dir), 0);
    cr_assert_eq(os_fs_is_tmpfs(dir, &proc_is_tmpfs), 0);
    cr_expect_not(proc_is_tmpfs);
    os_close(dir);
}

/* What is stored through a writable map is in the file, with and without touching it first. */
Test(base_os_file, maps_show_the_file)
{
    int dir = open_test_dir();
    int fd = create(dir, "file");
    cr_assert_eq(os_fallocate(fd, 0, 8192), 0);
    for (int prefault = 0; prefault < 2; prefault++) {
        void *at;
        cr_assert_eq(os_map(fd, 8192, true, prefault != 0, &at), 0);
        memset((char *)at + 5000, 'a' + prefault, 10);
        char buf[10];
        size_t got;
        cr_assert_eq(os_pread(fd, buf, 10, 5000, &got), 0);
        cr_expect_eq(buf[9], 'a' + prefault);
        cr_expect_eq(os_unmap(at, 8192), 0);
    }
    void *at = &fd;
    cr_expect_eq(os_map(-1, 4096, false, false, &at), -EBADF);
    cr_expect_null(at);
    os_close(fd);
    os_close(dir);
}

struct seen {
    int created;
    int opened;
};

static void watch(void *arg, const struct os_call *call, int result)
{
    struct seen *seen = arg;
    if (call->op == OS_OP_OPEN && result >= 0) {
        *((call->flags & O_EXCL) != 0 ? &seen->created : &seen->opened) += 1;
    }
}

/* A listener can tell a file that was created from one that was there. */
Test(base_os_file, listeners_see_what_was_created)
{
    int dir = open_test_dir();
    struct seen seen = {0};
    test_listener_set(&(struct test_listener){.after = watch, .arg = &seen});
    int fd;
    cr_assert_eq(os_openat(dir, "file", O_RDWR | O_CREAT, &fd), 0);
    os_close(fd);
    cr_expect(seen.created == 1 && seen.opened == 0);
    cr_assert_eq(os_openat(dir, "file", O_RDWR | O_CREAT, &fd), 0);
    os_close(fd);
    cr_expect(seen.created == 1 && seen.opened == 1);
    test_hooks_clear();
    os_close(dir);
}
