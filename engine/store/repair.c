/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The repair of a meta page that does not hold, from the other one. LMDB needs both to open, but
 * one tells all: the snapshot of the older one is whole, since the transaction after it does not
 * touch its pages, and the log is kept from there on (TREES-9). So if the newer one is lost,
 * recovery folds again what it held, as after a torn write.
 *
 * What was there is kept: the whole file is copied first, under the name data.mdb.before-repair.
 */
#include "store/log.h"
#include "store/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define TREES "data.mdb"
#define TREES_BEFORE "data.mdb.before-repair"

struct metas {
    struct pages_meta page[2];
    bool good[2];
    const char *what[2];
};

static int read_metas(int fd, struct metas *m, struct base_err *err)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < 2; i++) {
        uint8_t bytes[PAGES_META_BYTES] = {0};
        size_t got;
        uint64_t at = i == 0 ? 0 : m->good[0] ? m->page[0].page_bytes : 4096;
        rc = os_pread(fd, bytes, sizeof(bytes), (off_t)at, &got);
        m->what[i] = "is missing";
        m->good[i] =
            rc == 0 && got == sizeof(bytes) && pages_meta_read(bytes, i, &m->page[i], &m->what[i]);
    }
    return rc == 0 ? 0 : base_err_errno(err, -rc, TREES ": cannot be read");
}

static int keep_copy(int dirfd, int fd, struct base_err *err)
{
    struct stat st;
    int copy;
    if (os_fstatat(dirfd, TREES_BEFORE, &st) == 0) {
        return base_err_set(err, INSTAR_EEXISTS,
                            TREES_BEFORE ": an earlier repair has left it; move it away first");
    }
    int rc = file_open(dirfd, TREES_BEFORE, O_RDWR | O_CREAT | O_EXCL, &copy, err);
    if (rc != 0) {
        return rc;
    }
    rc = file_copy(fd, copy, TREES_BEFORE, err);
    os_close(copy);
    if (rc == 0) {
        rc = os_fsync_dir(dirfd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, "the directory cannot be synced");
    }
    if (rc != 0) {
        (void)file_remove(dirfd, TREES_BEFORE, NULL);
    }
    return rc;
}

static int write_meta(int fd, const struct pages_meta *good, uint64_t bad, struct base_err *err)
{
    int rc = pages_meta_copy(fd, good, bad, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_fdatasync(fd);
    return rc == 0 ? 0 : base_err_errno(err, -rc, TREES ": cannot be synced");
}

static int repair(int dirfd, char *text, size_t size, struct base_err *err)
{
    struct metas m = {0};
    int fd;
    int rc = file_open(dirfd, TREES, O_RDWR, &fd, err);
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, INSTAR_ECORRUPT, TREES " is missing: nothing to repair it from");
    }
    if (rc != 0) {
        return rc;
    }
    rc = read_metas(fd, &m, err);
    if (rc == 0 && !m.good[0] && !m.good[1]) {
        rc =
            base_err_set(err, INSTAR_ECORRUPT,
                         TREES ": neither meta page can be used (page 0 %s, page 1 %s): nothing to "
                               "repair it from",
                         m.what[0], m.what[1]);
    } else if (rc == 0 && (!m.good[0] || !m.good[1])) {
        uint64_t bad = m.good[0] ? 1 : 0;
        rc = keep_copy(dirfd, fd, err);
        os_point("repair.copied");
        rc = rc == 0 ? write_meta(fd, &m.page[1 - bad], bad, err) : rc;
        snprintf(text, size,
                 TREES ": meta page %llu, which %s, was made anew from the other one; the file as "
                       "it was is " TREES_BEFORE,
                 (unsigned long long)bad, m.what[bad]);
    }
    os_close(fd);
    return rc;
}

/* What another release wrote is not ours to mend; a format file that is damaged is no reason not to
 * mend the trees. */
static int refuse_other_format(int dirfd, const char *path, struct base_err *err)
{
    struct format format;
    struct base_err own = {0};
    int rc = format_read(dirfd, path, FORMAT_NAME, &format, &own);
    return rc == INSTAR_EVERSION ? base_err_set(err, rc, "%s", own.text) : 0;
}

int store_repair(const char *path, const instar_options *options, char *text, size_t size,
                 struct base_err *err)
{
    int dirfd, lock = -1;
    text[0] = '\0';
    int rc = open_directory(path, options, &dirfd, err);
    if (rc != 0) {
        return rc;
    }
    rc = refuse_other_format(dirfd, path, err);
    if (rc != 0) {
        os_close(dirfd);
        return rc;
    }
    rc = files_keep_out(dirfd, path, &lock, err);
    if (rc == 0) {
        rc = repair(dirfd, text, size, err);
    }
    if (rc != 0) {
        base_err_prefix(err, "%s", path);
    }
    if (lock >= 0) {
        (void)os_unlock(lock);
        os_close(lock);
    }
    os_close(dirfd);
    return rc;
}
