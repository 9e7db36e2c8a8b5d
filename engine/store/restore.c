/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new store from a backup: the trees as they were copied, the log up to the commit that was asked
 * for, and recovery does the rest when the store is opened first. Every byte is verified on its
 * way; what was made of a backup that turns out to be damaged is removed again.
 *
 * The new store has the log's identity and an instance of its own, so nothing that the original has
 * in shared memory is taken for its.
 */
#include "store/backup.h"

#include <fcntl.h>

/* ---- up to where -------------------------------------------------------------------------- */

static int out_of_range(const struct restore *r, struct base_err *err)
{
    return base_err_set(err, INSTAR_EINVALID, "%s can be restored to positions from %llu to %llu",
                        r->path, (unsigned long long)r->manifest.first,
                        (unsigned long long)r->manifest.end);
}

/* The last moment not after that time; what was committed between two moments falls to the later.
 */
static int choose_time(struct restore *r, int64_t us, struct base_err *err)
{
    const struct backup_manifest *m = &r->manifest;
    size_t count = manifest_moments(m);
    if (count == 0 || us < manifest_moment(m, 0).us || us > manifest_moment(m, count - 1).us) {
        return out_of_range(r, err);
    }
    for (size_t i = 0; i < count && manifest_moment(m, i).us <= us; i++) {
        r->end = manifest_moment(m, i).lsn;
    }
    r->end = r->end > m->end ? m->end : r->end;
    return r->end < m->first ? out_of_range(r, err) : 0;
}

static int choose_end(struct restore *r, const instar_restore_options *o, struct base_err *err)
{
    r->end = r->manifest.end;
    if (o->to_us != INT64_MAX) {
        return choose_time(r, o->to_us, err);
    }
    if (o->to_lsn != UINT64_MAX) {
        r->end = o->to_lsn;
        return r->end < r->manifest.first || r->end > r->manifest.end ? out_of_range(r, err) : 0;
    }
    return 0;
}

/* ---- the files ---------------------------------------------------------------------------- */

static int tell(struct restore *r, size_t more, struct base_err *err)
{
    const struct backup_file *files = r->manifest.files;
    uint64_t total = files[BACKUP_FILE_TREES].size + files[BACKUP_FILE_LOG].size;
    r->done += more;
    if (r->options->progress != NULL &&
        r->options->progress(r->options->arg, r->done, total) != 0) {
        return base_err_set(err, INSTAR_ECANCELLED, "given up on request");
    }
    return 0;
}

struct filling {
    struct restore *r;
    struct store shell; /* what is needed of a store to make segments */
    int fd;             /* of the file, or segment, in hand; -1: none */
    uint64_t start;     /* of that segment */
};

static int put_trees(void *arg, uint64_t at, struct base_slice bytes, struct base_err *err)
{
    struct filling *f = arg;
    int rc = os_pwrite(f->fd, bytes.data, bytes.size, (off_t)at);
    return rc == 0 ? tell(f->r, bytes.size, err)
                   : base_err_errno(err, -rc, "data.mdb: cannot be written");
}

static int sync_and_close(int *fd, struct base_err *err)
{
    int rc = *fd >= 0 ? os_fdatasync(*fd) : 0;
    if (*fd >= 0) {
        os_close(*fd);
        *fd = -1;
    }
    return rc == 0 ? 0 : base_err_errno(err, -rc, "the new store cannot be synced");
}

static int fill_trees(struct restore *r, int dirfd, struct base_err *err)
{
    struct filling f = {.r = r, .fd = -1};
    struct backup_in in = {r->dirfd, BACKUP_TREES, &r->manifest.files[BACKUP_FILE_TREES], put_trees,
                           &f};
    int rc = file_open(dirfd, "data.mdb", O_RDWR | O_CREAT | O_EXCL, &f.fd, err);
    rc = rc == 0 ? backup_in_read(&in, err) : rc;
    int closed = sync_and_close(&f.fd, rc == 0 ? err : NULL);
    return rc != 0 ? rc : closed;
}

/* Stand in the segment that holds this byte of the log. */
static int move_to(struct filling *f, uint64_t lsn, struct base_err *err)
{
    uint64_t start = segment_base(lsn, f->shell.segment_bytes);
    char name[SEGMENT_NAME_SIZE];
    if (f->fd >= 0 && f->start == start) {
        return 0;
    }
    int rc = sync_and_close(&f->fd, err);
    rc = rc == 0 ? segment_make_file(&f->shell, start, err) : rc;
    segment_name(name, start, "seg");
    rc = rc == 0 ? file_open(f->shell.log_fd, name, O_RDWR, &f->fd, err) : rc;
    f->start = start;
    return rc;
}

static int put_log(void *arg, uint64_t at, struct base_slice bytes, struct base_err *err)
{
    struct filling *f = arg;
    const uint8_t *from = bytes.data;
    uint64_t lsn = f->r->manifest.lo + at;
    uint64_t end = lsn + bytes.size;
    int rc = tell(f->r, bytes.size, err);
    end = end > f->r->end ? f->r->end : end;
    while (rc == 0 && lsn < end) {
        rc = move_to(f, lsn, err);
        uint64_t until = f->start + f->shell.segment_bytes;
        until = until < end ? until : end;
        if (rc == 0) {
            rc = os_pwrite(f->fd, from, (size_t)(until - lsn), (off_t)(lsn - f->start));
            rc = rc == 0 ? 0 : base_err_errno(err, -rc, "the log cannot be written");
        }
        from += until - lsn;
        lsn = until;
    }
    return rc;
}

static int fill_log(struct restore *r, int dirfd, const struct format *f, struct base_err *err)
{
    struct filling fill = {.r = r, .fd = -1, .shell = {.segment_bytes = f->segment_bytes}};
    struct backup_in in = {r->dirfd, BACKUP_LOG, &r->manifest.files[BACKUP_FILE_LOG], put_log,
                           &fill};
    int rc = file_open_dir(dirfd, LOG_DIR, false, &fill.shell.log_fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = move_to(&fill, r->manifest.lo, err);
    rc = rc == 0 ? backup_in_read(&in, err) : rc;
    rc = rc == 0 ? move_to(&fill, r->end, err) : rc; /* where the next record goes */
    int closed = sync_and_close(&fill.fd, rc == 0 ? err : NULL);
    os_close(fill.shell.log_fd);
    return rc != 0 ? rc : closed;
}

/* Only whole records: the last one that ends at or before what was asked for. */
static int cut_to_record(struct restore *r, int log_fd, struct base_err *err)
{
    const struct format *f = &r->manifest.format;
    uint64_t at = r->manifest.lo;
    int rc = 0;
    while (rc == 0 && at < r->end) {
        uint8_t header[RECORD_HEADER];
        struct record_place place = {at, f->segment_bytes, f->log_id};
        struct record record = {0};
        struct record_sums sums;
        size_t got;
        rc = os_pread(log_fd, header, sizeof(header), (off_t)(at - r->manifest.lo), &got);
        if (rc != 0) {
            rc = base_err_errno(err, -rc, BACKUP_LOG ": cannot be read");
        } else if (got != sizeof(header) || !record_header_read(header, &place, &record, &sums)) {
            rc = base_err_set(err, INSTAR_ECORRUPT, BACKUP_LOG ": no record at byte %llu",
                              (unsigned long long)(at - r->manifest.lo));
        } else if (record.end > r->end) {
            break;
        }
        at = record.end;
    }
    r->end = rc == 0 ? at : r->end;
    return rc;
}

int restore_files(struct restore *r, int dirfd, const struct format *f, struct base_err *err)
{
    int fd;
    int rc = file_open(r->dirfd, BACKUP_LOG, O_RDONLY, &fd, err);
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, INSTAR_ECORRUPT, BACKUP_LOG ": is missing from the backup");
    }
    if (rc == 0) {
        rc = cut_to_record(r, fd, err);
        os_close(fd);
    }
    rc = rc == 0 ? fill_trees(r, dirfd, err) : rc;
    os_point("restore.trees_made");
    rc = rc == 0 ? fill_log(r, dirfd, f, err) : rc;
    os_point("restore.log_made");
    if (rc == 0) {
        rc = os_fsync_dir(dirfd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, "the new directory cannot be synced");
    }
    return rc;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int open_backup(const char *path, struct restore *r, struct base_err *err)
{
    int rc = file_open_dir(AT_FDCWD, path, false, &r->dirfd, err);
    if (rc != 0) {
        return rc == INSTAR_ENOTFOUND
                   ? base_err_set(err, INSTAR_ENOSTORE, "%s: no such directory", path)
                   : rc;
    }
    rc = manifest_read(r->dirfd, path, &r->manifest, err);
    if (rc != 0) {
        os_close(r->dirfd);
    }
    return rc;
}

int store_backup_look(const char *path, instar_backup_info *info_out, struct base_err *err)
{
    struct restore r = {.path = path};
    int rc = open_backup(path, &r, err);
    if (rc == 0) {
        manifest_info(&r.manifest, info_out);
        manifest_free(&r.manifest);
        os_close(r.dirfd);
    }
    return rc;
}

int store_restore(const char *backup, const char *path, const instar_options *options,
                  const instar_restore_options *how, struct base_err *err)
{
    const instar_backup_options told = {.progress = how->progress, .arg = how->arg};
    struct restore r = {.path = backup, .options = &told};
    int rc = open_backup(backup, &r, err);
    if (rc != 0) {
        return rc;
    }
    rc = choose_end(&r, how, err);
    if (rc == 0) {
        rc = store_create_from(path, options, &r, err);
        if (rc == INSTAR_ECORRUPT) {
            base_err_prefix(err, "%s", backup);
        }
    }
    manifest_free(&r.manifest);
    os_close(r.dirfd);
    return rc;
}
