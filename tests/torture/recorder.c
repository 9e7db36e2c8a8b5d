/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder: stands before the C library in a program that is tortured, and gives every call
 * that may change a file to the tests' trace. Calls of the library, of LMDB and of the program
 * itself come by here alike; what the C library does inside (stdio) does not.
 *
 * The calls are made by syscall(), so nothing is looked up, and it does not matter who runs first.
 */
#define _GNU_SOURCE
#include "torture/torture.h"

#include "support/powercut.h"
#include "support/test.h"
#include "support/trace_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    char root[PATH_MAX];
    char work[PATH_MAX];
    struct torture_owner *owner;
    struct trace *trace; /* NULL: this process is not recorded (now) */
    struct test_listener listener;
    int output;
    pthread_mutex_t mutex; /* of printed */
    off_t printed;         /* bytes, as the last mark says */
} recorder = {.output = -1, .mutex = PTHREAD_MUTEX_INITIALIZER};

/* This thread works for the recorder: its calls are not the program's. */
static _Thread_local bool inside;

void test_listener_set(const struct test_listener *listener)
{
    recorder.listener = listener != NULL ? *listener : (struct test_listener){0};
}

/* ---- begin and end ------------------------------------------------------------------------ */

static const char *work_path(char path[PATH_MAX], const char *name)
{
    return snprintf(path, PATH_MAX, "%s/%s", recorder.work, name) < PATH_MAX ? path : "";
}

/* The child of a fork has a copy that leads nowhere. */
static void forget_in_child(void)
{
    recorder.trace = NULL;
}

__attribute__((constructor)) static void get_ready(void)
{
    const char *root = getenv(TORTURE_ROOT);
    const char *work = getenv(TORTURE_WORK);
    char path[PATH_MAX];
    if (root == NULL || work == NULL) {
        return;
    }
    (void)snprintf(recorder.root, sizeof(recorder.root), "%s", root);
    (void)snprintf(recorder.work, sizeof(recorder.work), "%s", work);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, work_path(path, TORTURE_OWNER), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void *at = mmap(NULL, sizeof(*recorder.owner), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    recorder.owner = at != MAP_FAILED ? at : NULL;
    recorder.output =
        (int)syscall(SYS_openat, AT_FDCWD, work_path(path, TORTURE_OUTPUT), O_RDONLY | O_CLOEXEC);
    pthread_atfork(NULL, NULL, forget_in_child);
}

/* What was printed by now had been seen when the power went. */
static void mark_output(void)
{
    struct stat st;
    pthread_mutex_lock(&recorder.mutex);
    if (fstat(recorder.output, &st) == 0 && st.st_size > recorder.printed) {
        recorder.printed = st.st_size;
        trace_mark(recorder.trace, POWERCUT_DURABLE, (uint64_t)st.st_size);
    }
    pthread_mutex_unlock(&recorder.mutex);
}

__attribute__((destructor)) static void save(void)
{
    char path[PATH_MAX];
    if (recorder.trace == NULL) {
        return;
    }
    inside = true;
    fflush(stdout);
    mark_output();
    trace_mark(recorder.trace, TORTURE_ENDED, 0);
    trace_stop();
    int fd = (int)syscall(SYS_openat, AT_FDCWD, work_path(path, TORTURE_TRACE),
                          O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        trace_save(recorder.trace, fd);
        atomic_store(&recorder.owner->closed, 1);
    }
}

/* Is there something below the root that this call may change? Then this process is recorded, if it
 * is the first. */
static void begin_with(int dirfd, const char *name)
{
    char path[PATH_MAX];
    size_t size = strlen(recorder.root);
    int32_t nobody = 0;
    if (recorder.owner == NULL || recorder.trace != NULL || inside) {
        return;
    }
    inside = true;
    if (trace_whole_path(dirfd, name, path) && strncmp(path, recorder.root, size) == 0 &&
        (path[size] == '/' || path[size] == '\0')) {
        if (atomic_compare_exchange_strong(&recorder.owner->pid, &nobody, (int32_t)getpid())) {
            recorder.trace = trace_start(recorder.root);
        } else {
            atomic_store(&recorder.owner->other, (int32_t)getpid());
        }
    }
    inside = false;
}

/* ---- calls -------------------------------------------------------------------------------- */

static bool before(const struct os_call *call)
{
    if (recorder.trace == NULL || inside) {
        return false;
    }
    inside = true;
    mark_output();
    recorder.listener.before(recorder.listener.arg, call);
    inside = false;
    return true;
}

/* Returns the result, as libc gives it. */
static long after(bool told, const struct os_call *call, long result)
{
    int saved = errno;
    if (told) {
        int rc = result >= 0 ? (int)(result < INT_MAX ? result : INT_MAX) : -saved;
        inside = true;
        mark_output(); /* nobody can have printed because of this call yet */
        recorder.listener.after(recorder.listener.arg, call, rc);
        inside = false;
    }
    errno = saved;
    return result;
}

static long open_once(int dirfd, const char *name, int flags, mode_t mode)
{
    struct os_call call = {
        .op = OS_OP_OPEN, .fd = -1, .dirfd = dirfd, .name = name, .flags = flags};
    bool told = before(&call);
    return after(told, &call, syscall(SYS_openat, dirfd, name, flags, mode));
}

/* The trace learns of a new file by O_EXCL. */
static int open_any(int dirfd, const char *name, int flags, mode_t mode)
{
    long fd;
    if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) != 0) {
        begin_with(dirfd, name);
    }
    if (recorder.trace == NULL || inside || (flags & O_CREAT) == 0 || (flags & O_EXCL) != 0) {
        return (int)open_once(dirfd, name, flags, mode);
    }
    do {
        fd = open_once(dirfd, name, flags | O_EXCL, mode);
        if (fd < 0 && errno == EEXIST) {
            fd = open_once(dirfd, name, flags & ~O_CREAT, mode);
        }
    } while (fd < 0 && errno == ENOENT && access(name, F_OK) == 0);
    return (int)fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

#define OPEN_LIKE(symbol)                                                   \
    int before_##symbol(const char *name, int flags, ...) __asm__(#symbol); \
    int before_##symbol(const char *name, int flags, ...)                   \
    {                                                                       \
        va_list args;                                                       \
        va_start(args, flags);                                              \
        mode_t mode = mode_of(flags, args);                                 \
        va_end(args);                                                       \
        return open_any(AT_FDCWD, name, flags, mode);                       \
    }
#define OPENAT_LIKE(symbol)                                                            \
    int before_##symbol(int dirfd, const char *name, int flags, ...) __asm__(#symbol); \
    int before_##symbol(int dirfd, const char *name, int flags, ...)                   \
    {                                                                                  \
        va_list args;                                                                  \
        va_start(args, flags);                                                         \
        mode_t mode = mode_of(flags, args);                                            \
        va_end(args);                                                                  \
        return open_any(dirfd, name, flags, mode);                                     \
    }
OPEN_LIKE(open)
OPEN_LIKE(open64)
OPENAT_LIKE(openat)
OPENAT_LIKE(openat64)

/* A function that stands before the one of that name. */
#define BEFORE(type, symbol, ...)                       \
    type before_##symbol(__VA_ARGS__) __asm__(#symbol); \
    type before_##symbol(__VA_ARGS__)

BEFORE(int, close, int fd)
{
    struct os_call call = {.op = OS_OP_CLOSE, .fd = fd};
    bool told = before(&call);
    return (int)after(told, &call, syscall(SYS_close, fd));
}

static ssize_t write_at(int fd, const void *data, size_t size, off_t offset)
{
    struct os_call call = {
        .op = OS_OP_WRITE, .fd = fd, .data = data, .size = size, .offset = offset};
    bool told = before(&call);
    return after(told, &call, syscall(SYS_pwrite64, fd, data, size, offset));
}

BEFORE(ssize_t, pwrite, int fd, const void *data, size_t size, off_t offset)
{
    return write_at(fd, data, size, offset);
}

BEFORE(ssize_t, pwrite64, int fd, const void *data, size_t size, off_t offset)
{
    return write_at(fd, data, size, offset);
}

/* Where it goes is known before: at the end, or where the descriptor stands. */
BEFORE(ssize_t, write, int fd, const void *data, size_t size)
{
    struct stat st;
    off_t at = recorder.trace != NULL && !inside ? lseek(fd, 0, SEEK_CUR) : -1;
    if (at >= 0 && (fcntl(fd, F_GETFL) & O_APPEND) != 0 && fstat(fd, &st) == 0) {
        at = st.st_size;
    }
    struct os_call call = {.op = OS_OP_WRITE, .fd = fd, .data = data, .size = size, .offset = at};
    bool told = at >= 0 && before(&call);
    return after(told, &call, syscall(SYS_write, fd, data, size));
}

BEFORE(ssize_t, writev, int fd, const struct iovec *parts, int count)
{
    size_t size = 0;
    size_t done = 0;
    if (recorder.trace == NULL || inside) {
        return syscall(SYS_writev, fd, parts, count);
    }
    for (int i = 0; i < count; i++) {
        size += parts[i].iov_len;
    }
    uint8_t *whole = malloc(size + 1);
    expect(whole != NULL);
    for (int i = 0; i < count; i++) {
        memcpy(whole + done, parts[i].iov_base, parts[i].iov_len);
        done += parts[i].iov_len;
    }
    ssize_t rc = before_write(fd, whole, size);
    int saved = errno;
    free(whole);
    errno = saved;
    return rc;
}

static int sync_by(int fd, long number)
{
    struct os_call call = {.op = OS_OP_SYNC, .fd = fd, .dirfd = fd};
    bool told = before(&call);
    return (int)after(told, &call, syscall(number, fd));
}

BEFORE(int, fsync, int fd)
{
    return sync_by(fd, SYS_fsync);
}

BEFORE(int, fdatasync, int fd)
{
    return sync_by(fd, SYS_fdatasync);
}

static int set_size(int fd, off_t size)
{
    struct os_call call = {.op = OS_OP_TRUNCATE, .fd = fd, .offset = size};
    bool told = before(&call);
    return (int)after(told, &call, syscall(SYS_ftruncate, fd, size));
}

BEFORE(int, ftruncate, int fd, off_t size)
{
    return set_size(fd, size);
}

BEFORE(int, ftruncate64, int fd, off_t size)
{
    return set_size(fd, size);
}

static int allocate(int fd, int mode, off_t offset, off_t size)
{
    bool zeros = (mode & (FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE)) != 0;
    struct os_call call = {.op = zeros ? OS_OP_ZERO_RANGE : OS_OP_ALLOCATE,
                           .fd = fd,
                           .size = (size_t)size,
                           .offset = offset};
    bool grows = zeros || (mode & FALLOC_FL_KEEP_SIZE) == 0;
    bool told = grows && before(&call);
    return (int)after(told, &call, syscall(SYS_fallocate, fd, mode, offset, size));
}

BEFORE(int, fallocate, int fd, int mode, off_t offset, off_t size)
{
    return allocate(fd, mode, offset, size);
}

BEFORE(int, fallocate64, int fd, int mode, off_t offset, off_t size)
{
    return allocate(fd, mode, offset, size);
}

/* Where the file system cannot, the C library would write zeros; the caller is told instead. */
BEFORE(int, posix_fallocate, int fd, off_t offset, off_t size)
{
    return allocate(fd, 0, offset, size) == 0 ? 0 : errno;
}

BEFORE(int, posix_fallocate64, int fd, off_t offset, off_t size)
{
    return allocate(fd, 0, offset, size) == 0 ? 0 : errno;
}

BEFORE(int, renameat, int dirfd, const char *from, int dirfd2, const char *to)
{
    struct os_call call = {
        .op = OS_OP_RENAME, .fd = -1, .dirfd = dirfd, .name = from, .dirfd2 = dirfd2, .name2 = to};
    begin_with(dirfd, from);
    bool told = before(&call);
    return (int)after(told, &call, syscall(SYS_renameat2, dirfd, from, dirfd2, to, 0));
}

BEFORE(int, rename, const char *from, const char *to)
{
    return before_renameat(AT_FDCWD, from, AT_FDCWD, to);
}

BEFORE(int, unlinkat, int dirfd, const char *name, int flags)
{
    struct os_call call = {
        .op = OS_OP_UNLINK, .fd = -1, .dirfd = dirfd, .name = name, .flags = flags};
    begin_with(dirfd, name);
    bool told = before(&call);
    return (int)after(told, &call, syscall(SYS_unlinkat, dirfd, name, flags));
}

BEFORE(int, unlink, const char *name)
{
    return before_unlinkat(AT_FDCWD, name, 0);
}

BEFORE(int, rmdir, const char *name)
{
    return before_unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

BEFORE(int, mkdirat, int dirfd, const char *name, mode_t mode)
{
    struct os_call call = {.op = OS_OP_MKDIR, .fd = -1, .dirfd = dirfd, .name = name};
    begin_with(dirfd, name);
    bool told = before(&call);
    return (int)after(told, &call, syscall(SYS_mkdirat, dirfd, name, mode));
}

BEFORE(int, mkdir, const char *name, mode_t mode)
{
    return before_mkdirat(AT_FDCWD, name, mode);
}
