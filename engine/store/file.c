/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening our files so that nobody can slip us another: below a directory that is held open, never
 * through a link, and only regular files of this user with a single name.
 */
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define COPY_CHUNK ((size_t)1 << 20)

int file_open(int dirfd, const char *name, int flags, int *fd_out, struct base_err *err)
{
    struct stat st;
    *fd_out = -1;
    /* Not to hang on a fifo: O_NONBLOCK means nothing for the regular file that we want. */
    int rc = os_openat(dirfd, name, flags | O_NONBLOCK, fd_out);
    if (rc == -ENOENT) {
        return base_err_set(err, INSTAR_ENOTFOUND, "%s: no such file", name);
    }
    if (rc == -ELOOP) {
        return base_err_set(err, INSTAR_EFOREIGN, "%s: is a symbolic link, expected a file of ours",
                            name);
    }
    if (rc == 0) {
        rc = os_fstat(*fd_out, &st);
    }
    if (rc == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1 &&
        (st.st_mode & 022) == 0) {
        return 0;
    }
    if (*fd_out >= 0) {
        os_close(*fd_out);
        *fd_out = -1;
    }
    if (rc == 0 && st.st_nlink == 0) { /* removed since it was opened */
        return base_err_set(err, INSTAR_ENOTFOUND, "%s: no such file", name);
    }
    if (rc == -EISDIR || rc == -ENXIO || (rc == 0 && !S_ISREG(st.st_mode))) {
        return base_err_set(err, INSTAR_EFOREIGN, "%s: is not a regular file", name);
    }
    if (rc != 0) {
        return base_err_errno(err, -rc, "%s: cannot be opened", name);
    }
    if (st.st_uid != geteuid()) {
        return base_err_set(err, INSTAR_EFOREIGN, "%s: belongs to user %u, expected %u", name,
                            (unsigned)st.st_uid, (unsigned)geteuid());
    }
    if (st.st_nlink != 1) {
        return base_err_set(err, INSTAR_EFOREIGN, "%s: has %lu names, expected one", name,
                            (unsigned long)st.st_nlink);
    }
    return base_err_set(err, INSTAR_EFOREIGN,
                        "%s: others may write to this file (mode %03o); chmod it to 600", name,
                        (unsigned)(st.st_mode & 0777));
}

static int check_dir(int fd, const char *name, struct base_err *err)
{
    struct stat st;
    int rc = os_fstat(fd, &st);
    if (rc != 0) {
        return base_err_errno(err, -rc, "%s: cannot be looked at", name);
    }
    if (st.st_uid != geteuid()) {
        return base_err_set(err, INSTAR_EFOREIGN, "%s: belongs to user %u, expected %u", name,
                            (unsigned)st.st_uid, (unsigned)geteuid());
    }
    if ((st.st_mode & 022) != 0) {
        return base_err_set(err, INSTAR_EFOREIGN,
                            "%s: others may write to this directory (mode %03o); chmod it to 700",
                            name, (unsigned)(st.st_mode & 0777));
    }
    return 0;
}

int file_open_dir(int dirfd, const char *name, bool create, int *fd_out, struct base_err *err)
{
    *fd_out = -1;
    int rc = os_openat(dirfd, name, O_RDONLY | O_DIRECTORY, fd_out);
    if (rc == -ENOENT && create) {
        rc = os_mkdirat(dirfd, name);
        if (rc == 0 || rc == -EEXIST) {
            rc = os_openat(dirfd, name, O_RDONLY | O_DIRECTORY, fd_out);
        }
    }
    if (rc == -ENOENT) {
        return base_err_set(err, INSTAR_ENOTFOUND, "%s: no such directory", name);
    }
    if (rc == -ELOOP || rc == -ENOTDIR) {
        return base_err_set(err, INSTAR_EFOREIGN, "%s: is not a plain directory", name);
    }
    if (rc != 0) {
        return base_err_errno(err, -rc, "%s: cannot be opened", name);
    }
    rc = check_dir(*fd_out, name, err);
    if (rc != 0) {
        os_close(*fd_out);
        *fd_out = -1;
    }
    return rc;
}

int file_remove(int dirfd, const char *name, struct base_err *err)
{
    int rc = os_unlinkat(dirfd, name, 0);
    if (rc != 0 && rc != -ENOENT) {
        return base_err_errno(err, -rc, "%s: cannot be removed", name);
    }
    return 0;
}

int file_make_allocated(int dirfd, const char *name, uint64_t size, int *fd_out,
                        struct base_err *err)
{
    *fd_out = -1;
    int rc = file_remove(dirfd, name, err);
    if (rc == 0) {
        rc = file_open(dirfd, name, O_RDWR | O_CREAT | O_EXCL, fd_out, err);
    }
    if (rc != 0) {
        return rc;
    }
    os_overwrite_in_place(*fd_out);
    rc = os_fallocate(*fd_out, 0, (off_t)size);
    if (rc != 0) {
        os_close(*fd_out);
        *fd_out = -1;
        os_unlinkat(dirfd, name, 0);
        return base_err_errno(err, -rc, "%s: cannot allocate %llu bytes", name,
                              (unsigned long long)size);
    }
    return 0;
}

int file_copy(int from, int to, const char *name, struct base_err *err)
{
    uint8_t *chunk = base_alloc(COPY_CHUNK);
    size_t got = COPY_CHUNK;
    int rc = 0;
    if (chunk == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "%s: no memory for a copy", name);
    }
    for (off_t at = 0; rc == 0 && got == COPY_CHUNK; at += (off_t)COPY_CHUNK) {
        rc = os_pread(from, chunk, COPY_CHUNK, at, &got);
        rc = rc == 0 && got > 0 ? os_pwrite(to, chunk, got, at) : rc;
    }
    rc = rc == 0 ? os_fdatasync(to) : rc;
    base_free(chunk);
    return rc == 0 ? 0 : base_err_errno(err, -rc, "%s: cannot be written", name);
}

void file_free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        base_free(names[i]);
    }
    base_free(names);
}
