/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB's system calls, bent to the seam of base/os: lmdb.syms renames them in a private copy of the
 * library that test programs link. LMDB looks at errno and at -1, and repeats what was interrupted,
 * so each of these is one attempt. Its byte-range locks, which tell it who lives, stay its own.
 *
 * Requests for memory go through a hook of the tests, zstd's too (zstd.syms).
 */
#define _GNU_SOURCE
#include "base/base.h"
#include "base/os_impl.h"
#include "support/hooks.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

int os_wrap_open(const char *path, int flags, ...);
int os_wrap_close(int fd);
ssize_t os_wrap_pread(int fd, void *buf, size_t size, off_t offset);
ssize_t os_wrap_pwrite(int fd, const void *buf, size_t size, off_t offset);
ssize_t os_wrap_write(int fd, const void *buf, size_t size);
ssize_t os_wrap_writev(int fd, const struct iovec *parts, int count);
int os_wrap_fdatasync(int fd);
int os_wrap_fsync(int fd);
int os_wrap_msync(void *addr, size_t size, int flags);
int os_wrap_ftruncate(int fd, off_t size);
void *os_wrap_mmap(void *addr, size_t size, int protection, int flags, int fd, off_t offset);
void *os_wrap_malloc(size_t size);
void *os_wrap_calloc(size_t count, size_t size);
void *os_wrap_realloc(void *p, size_t size);
int os_wrap_posix_memalign(void **p, size_t alignment, size_t size);
char *os_wrap_strdup(const char *text);
void *zstd_wrap_malloc(size_t size);
void *zstd_wrap_calloc(size_t count, size_t size);
#define LMDB_PAGE 4096

/* As libc gives it: -1 and errno. */
static int as_libc(int rc)
{
    if (rc >= 0) {
        return rc;
    }
    errno = -rc;
    return -1;
}

static int open_once(const char *path, int flags, mode_t mode)
{
    struct os_call call = {
        .op = OS_OP_OPEN, .fd = -1, .dirfd = AT_FDCWD, .name = path, .flags = flags};
    int rc = os_before(&call);
    return rc < 0 ? rc : os_after(&call, os_result(open(path, flags, mode)));
}

/* The hooks learn of a new file as they do from os_openat: by O_EXCL. */
int os_wrap_open(const char *path, int flags, ...)
{
    if ((flags & O_CREAT) == 0 || (flags & O_EXCL) != 0) {
        return as_libc(open_once(path, flags, 0600));
    }
    va_list args;
    va_start(args, flags);
    mode_t mode = va_arg(args, mode_t);
    va_end(args);
    int fd;
    do {
        fd = open_once(path, flags | O_EXCL, mode);
        if (fd == -EEXIST) {
            fd = open_once(path, flags & ~O_CREAT, mode);
        }
    } while (fd == -ENOENT && access(path, F_OK) == 0);
    return as_libc(fd);
}

int os_wrap_close(int fd)
{
    struct os_call call = {.op = OS_OP_CLOSE, .fd = fd};
    int refused = os_before(&call);
    int rc = os_after(&call, os_result(close(fd)));
    return as_libc(refused < 0 ? refused : rc);
}

ssize_t os_wrap_pread(int fd, void *buf, size_t size, off_t offset)
{
    struct os_call call = {.op = OS_OP_READ, .fd = fd, .size = size, .offset = offset};
    int limit = os_before(&call);
    if (limit < 0) {
        return as_libc(limit);
    }
    if (limit > 0 && (size_t)limit < size) {
        call.size = (size_t)limit;
    }
    return as_libc(os_after(&call, os_result(pread(fd, buf, call.size, offset))));
}

ssize_t os_wrap_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    struct os_call call = {
        .op = OS_OP_WRITE, .fd = fd, .data = buf, .size = size, .offset = offset};
    int limit = os_before(&call);
    if (limit < 0) {
        return as_libc(limit);
    }
    if (limit > 0 && (size_t)limit < size) {
        call.size = (size_t)limit;
    }
    return as_libc(os_after(&call, os_result(pwrite(fd, buf, call.size, offset))));
}

/* Also for pipes, which have no offset: LMDB copies into those. */
ssize_t os_wrap_write(int fd, const void *buf, size_t size)
{
    off_t offset = lseek(fd, 0, SEEK_CUR);
    struct os_call call = {
        .op = OS_OP_WRITE, .fd = fd, .data = buf, .size = size, .offset = offset >= 0 ? offset : 0};
    int limit = os_before(&call);
    if (limit < 0) {
        return as_libc(limit);
    }
    if (limit > 0 && (size_t)limit < size) {
        call.size = (size_t)limit;
    }
    return as_libc(os_after(&call, os_result(write(fd, buf, call.size))));
}

/* The hooks take one piece of memory, so the parts are put together. */
ssize_t os_wrap_writev(int fd, const struct iovec *parts, int count)
{
    struct base_buf whole = {0};
    for (int i = 0; i < count; i++) {
        if (!base_buf_add(&whole, parts[i].iov_base, parts[i].iov_len)) {
            base_buf_free(&whole);
            return as_libc(-ENOMEM);
        }
    }
    ssize_t rc = os_wrap_write(fd, whole.data, whole.size);
    int saved = errno;
    base_buf_free(&whole);
    errno = saved;
    return rc;
}

static int sync_with(int fd, int (*sync)(int fd))
{
    struct os_call call = {.op = OS_OP_SYNC, .fd = fd};
    int rc = os_before(&call);
    return as_libc(rc < 0 ? rc : os_after(&call, os_result(sync(fd))));
}

int os_wrap_fdatasync(int fd)
{
    return sync_with(fd, fdatasync);
}

int os_wrap_fsync(int fd)
{
    return sync_with(fd, fsync);
}

/* Only with MDB_WRITEMAP, which is never used. */
int os_wrap_msync(void *addr, size_t size, int flags)
{
    (void)addr;
    (void)size;
    (void)flags;
    abort();
}

int os_wrap_ftruncate(int fd, off_t size)
{
    struct os_call call = {.op = OS_OP_TRUNCATE, .fd = fd, .offset = size};
    int rc = os_before(&call);
    return as_libc(rc < 0 ? rc : os_after(&call, os_result(ftruncate(fd, size))));
}

void *os_wrap_mmap(void *addr, size_t size, int protection, int flags, int fd, off_t offset)
{
    struct os_call call = {.op = OS_OP_MAP,
                           .fd = fd,
                           .size = size,
                           .offset = offset,
                           .flags = (protection & PROT_WRITE) != 0};
    int rc = os_before(&call);
    if (rc < 0) {
        errno = -rc;
        return MAP_FAILED;
    }
    void *at = mmap(addr, size, protection, flags, fd, offset);
    os_after(&call, at == MAP_FAILED ? -errno : 0);
    return at;
}

/* LMDB never gives back a single page: it keeps them for the next transaction that writes. */
static _Atomic uint64_t kept;

bool (*_Atomic test_libs_alloc_hook)(size_t size);

static bool refused(size_t size)
{
    bool (*hook)(size_t size) = test_libs_alloc_hook;
    bool is = hook != NULL && !hook(size);
    errno = is ? ENOMEM : errno;
    return is;
}

void *os_wrap_malloc(size_t size)
{
    void *p = refused(size) ? NULL : malloc(size);
    if (p != NULL && size == LMDB_PAGE) {
        atomic_fetch_add(&kept, malloc_usable_size(p) + sizeof(size_t));
    }
    return p;
}

void *os_wrap_calloc(size_t count, size_t size)
{
    return refused(count * size) ? NULL : calloc(count, size);
}

void *os_wrap_realloc(void *p, size_t size)
{
    return refused(size) ? NULL : realloc(p, size);
}

int os_wrap_posix_memalign(void **p, size_t alignment, size_t size)
{
    return refused(size) ? ENOMEM : posix_memalign(p, alignment, size);
}

char *os_wrap_strdup(const char *text)
{
    return refused(strlen(text) + 1) ? NULL : strdup(text);
}

void *zstd_wrap_malloc(size_t size)
{
    return refused(size) ? NULL : malloc(size);
}

void *zstd_wrap_calloc(size_t count, size_t size)
{
    return refused(count * size) ? NULL : calloc(count, size);
}

uint64_t test_lmdb_kept(void)
{
    return atomic_load(&kept);
}
