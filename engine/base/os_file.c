/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: open, read, write, sync, size. Each system call is one attempt with the hooks around it;
 * an attempt that was interrupted is made again, and one that moved fewer bytes is continued.
 */
#define _GNU_SOURCE
#include "base/base.h"
#include "base/os_impl.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FILE_MODE 0600
#define ZEROS_SIZE ((size_t)64 << 10)

/* One openat without any retry. Result: descriptor or negative errno. */
static int open_once(int dirfd, const char *name, int flags)
{
    struct os_call call = {
        .op = OS_OP_OPEN, .fd = -1, .dirfd = dirfd, .name = name, .flags = flags};
    int rc = os_before(&call);
    if (rc < 0) {
        return rc;
    }
    return os_after(&call, os_result(openat(dirfd, name, flags, FILE_MODE)));
}

static int open_again(int dirfd, const char *name, int flags)
{
    int fd;
    do {
        fd = open_once(dirfd, name, flags);
    } while (fd == -EINTR);
    return fd;
}

/* The umask has taken bits from a new file's mode if it took any: give them back. */
static int give_mode(int dirfd, const char *name, int fd)
{
    struct stat st;
    int rc = os_fstat(fd, &st);
    if (rc == 0 && (st.st_mode & 07777) != FILE_MODE) {
        rc = os_result(fchmod(fd, FILE_MODE));
    }
    if (rc != 0) {
        os_close(fd);
        os_unlinkat(dirfd, name, 0);
    }
    return rc;
}

/* Creating is always tried with O_EXCL first: so we know whether the file is new. */
static int open_or_create(int dirfd, const char *name, int flags)
{
    for (;;) {
        int fd = open_again(dirfd, name, flags | O_EXCL);
        if (fd >= 0) {
            int rc = give_mode(dirfd, name, fd);
            return rc != 0 ? rc : fd;
        }
        if (fd != -EEXIST || (flags & O_EXCL) != 0) {
            return fd;
        }
        fd = open_again(dirfd, name, flags & ~O_CREAT);
        if (fd != -ENOENT) {
            return fd;
        }
        /* Removed between the two attempts: from the start. */
    }
}

int os_openat(int dirfd, const char *name, int flags, int *fd_out)
{
    *fd_out = -1;
    flags |= O_CLOEXEC | O_NOFOLLOW;
    int fd = (flags & O_CREAT) != 0 ? open_or_create(dirfd, name, flags)
                                    : open_again(dirfd, name, flags);
    if (fd < 0) {
        return fd;
    }
    *fd_out = fd;
    return 0;
}

int os_open_dir(const char *path, int *fd_out)
{
    return os_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, fd_out);
}

/* Linux has closed the descriptor even when close was interrupted: never again. */
int os_close(int fd)
{
    struct os_call call = {.op = OS_OP_CLOSE, .fd = fd};
    int refused = os_before(&call);
    int rc = os_after(&call, os_result(close(fd)));
    if (rc == -EINTR) {
        rc = 0;
    }
    return refused < 0 ? refused : rc;
}

int os_pread(int fd, void *buf, size_t size, off_t offset, size_t *read_out)
{
    uint8_t *at = buf;
    size_t done = 0;
    *read_out = 0;
    while (done < size) {
        struct os_call call = {
            .op = OS_OP_READ, .fd = fd, .size = size - done, .offset = offset + (off_t)done};
        int limit = os_before(&call);
        if (limit > 0 && (size_t)limit < call.size) {
            call.size = (size_t)limit;
        }
        ssize_t got = limit;
        if (limit >= 0) {
            got = pread(fd, at + done, call.size, call.offset);
            got = got < 0 ? -errno : got;
            os_after(&call, (int)(got > INT32_MAX ? INT32_MAX : got));
        }
        if (got == -EINTR) {
            continue;
        }
        if (got < 0) {
            return (int)got;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    *read_out = done;
    return 0;
}

int os_pipe(int ends[2])
{
    int rc = os_result(pipe2(ends, O_CLOEXEC));
    if (rc != 0) {
        ends[0] = ends[1] = -1;
    }
    return rc;
}

int os_read_pipe(int fd, void *buf, size_t size, size_t *read_out)
{
    int got;
    *read_out = 0;
    do {
        struct os_call call = {.op = OS_OP_READ, .fd = fd, .size = size};
        got = os_before(&call);
        got = got < 0 ? got : os_after(&call, os_result(read(fd, buf, size)));
    } while (got == -EINTR);
    if (got < 0) {
        return got;
    }
    *read_out = (size_t)got;
    return 0;
}

int os_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    const uint8_t *at = buf;
    size_t done = 0;
    while (done < size) {
        struct os_call call = {.op = OS_OP_WRITE,
                               .fd = fd,
                               .data = at + done,
                               .size = size - done,
                               .offset = offset + (off_t)done};
        int limit = os_before(&call);
        if (limit > 0 && (size_t)limit < call.size) {
            call.size = (size_t)limit;
        }
        ssize_t put = limit;
        if (limit >= 0) {
            put = pwrite(fd, call.data, call.size, call.offset);
            put = put < 0 ? -errno : put;
            os_after(&call, (int)(put > INT32_MAX ? INT32_MAX : put));
        }
        if (put == -EINTR) {
            continue;
        }
        if (put < 0) {
            return (int)put;
        }
        if (put == 0) {
            return -EIO; /* no progress and no error: never loop on it */
        }
        done += (size_t)put;
    }
    return 0;
}

/* A failed sync is returned as it is, once: the caller must stop (I-6). */
int os_fdatasync(int fd)
{
    struct os_call call = {.op = OS_OP_SYNC, .fd = fd};
    int rc;
    do {
        rc = os_before(&call);
        if (rc >= 0) {
            rc = os_after(&call, os_result(fdatasync(fd)));
        }
    } while (rc == -EINTR);
    return rc;
}

int os_fsync_dir(int dirfd)
{
    struct os_call call = {.op = OS_OP_SYNC_DIR, .fd = dirfd, .dirfd = dirfd};
    int rc;
    do {
        rc = os_before(&call);
        if (rc >= 0) {
            rc = os_after(&call, os_result(fsync(dirfd)));
        }
    } while (rc == -EINTR);
    return rc;
}

static int allocate_once(int fd, off_t offset, off_t size)
{
    int rc = os_result(fallocate(fd, 0, offset, size));
    if (rc == -EOPNOTSUPP) {
        rc = -posix_fallocate(fd, offset, size);
    }
    return rc;
}

int os_fallocate(int fd, off_t offset, off_t size)
{
    struct os_call call = {.op = OS_OP_ALLOCATE, .fd = fd, .size = (size_t)size, .offset = offset};
    struct stat st;
    int rc = os_fstat(fd, &st);
    if (rc != 0) {
        return rc;
    }
    do {
        rc = os_before(&call);
        if (rc >= 0) {
            rc = os_after(&call, allocate_once(fd, offset, size));
        }
    } while (rc == -EINTR);
    if (rc < 0) {
        /* A file system may have grown the file before it ran out of space. */
        struct stat now;
        if (fstat(fd, &now) == 0 && now.st_size > st.st_size) {
            os_ftruncate(fd, st.st_size);
        }
        return rc;
    }
    return 0;
}

static int write_zeros(int fd, off_t offset, off_t size)
{
    static const uint8_t zeros[ZEROS_SIZE];
    while (size > 0) {
        size_t part = (size_t)size < sizeof(zeros) ? (size_t)size : sizeof(zeros);
        int rc = os_pwrite(fd, zeros, part, offset);
        if (rc != 0) {
            return rc;
        }
        offset += (off_t)part;
        size -= (off_t)part;
    }
    return 0;
}

int os_zero_range(int fd, off_t offset, off_t size)
{
    if (size <= 0) {
        return 0;
    }
    struct os_call call = {
        .op = OS_OP_ZERO_RANGE, .fd = fd, .size = (size_t)size, .offset = offset};
    int rc;
    do {
        rc = os_before(&call);
        if (rc >= 0) {
            rc = os_after(&call, os_result(fallocate(fd, FALLOC_FL_ZERO_RANGE, offset, size)));
        }
    } while (rc == -EINTR);
    /* A disk may be too full to change what is allocated, and not to overwrite it. */
    return rc == -EOPNOTSUPP || rc == -ENOSPC || rc == -EDQUOT ? write_zeros(fd, offset, size) : rc;
}

int os_ftruncate(int fd, off_t size)
{
    struct os_call call = {.op = OS_OP_TRUNCATE, .fd = fd, .offset = size};
    int rc;
    do {
        rc = os_before(&call);
        if (rc >= 0) {
            rc = os_after(&call, os_result(ftruncate(fd, size)));
        }
    } while (rc == -EINTR);
    return rc;
}

int os_fstat(int fd, struct stat *st)
{
    struct os_call call = {.op = OS_OP_STAT, .fd = fd};
    int rc = os_before(&call);
    return rc < 0 ? rc : os_after(&call, os_result(fstat(fd, st)));
}

static int seek_once(int fd, off_t offset, int whence, off_t *at_out)
{
    struct os_call call = {.op = OS_OP_READ, .fd = fd, .offset = offset};
    int rc = os_before(&call);
    if (rc < 0) {
        return rc;
    }
    off_t at = lseek(fd, offset, whence);
    *at_out = at;
    return os_after(&call, at < 0 ? -errno : 0);
}

int os_seek_data(int fd, off_t offset, off_t end, off_t *data_out, off_t *data_end_out)
{
    int rc;
    *data_out = offset;
    *data_end_out = end;
    do {
        rc = seek_once(fd, offset, SEEK_DATA, data_out);
        if (rc == 0) {
            rc = seek_once(fd, *data_out, SEEK_HOLE, data_end_out);
        }
    } while (rc == -EINTR);
    if (rc == -EINVAL || rc == -EOPNOTSUPP) {
        *data_out = offset;
        *data_end_out = end;
        return 0;
    }
    if (rc == -ENXIO || (rc == 0 && *data_out > end)) {
        *data_out = end;
        rc = 0;
    }
    *data_end_out = rc == 0 && *data_end_out < end ? *data_end_out : end;
    return rc;
}

void os_advise_random(int fd)
{
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* advice: nothing depends on it */
}
