/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a backup beside its manifest: written front to back, with a checksum for each chunk;
 * and read again, where nothing is handed on that does not verify. */
#include "store/backup.h"

#include <fcntl.h>

int backup_out_begin(struct backup_out *o, int dirfd, const char *name, struct backup_file *file,
                     struct base_err *err)
{
    *o = (struct backup_out){.name = name, .fd = -1, .file = file};
    base_buf_clear(&file->sums);
    file->size = 0;
    o->chunk = base_alloc(BACKUP_CHUNK);
    if (o->chunk == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to write a backup");
    }
    int rc = file_remove(dirfd, name, err); /* of an earlier try */
    return rc == 0 ? file_open(dirfd, name, O_RDWR | O_CREAT | O_EXCL, &o->fd, err) : rc;
}

static int put_chunk(struct backup_out *o, struct base_err *err)
{
    struct backup_file *file = o->file;
    if (o->filled == 0) {
        return 0;
    }
    uint64_t sum = base_hash64(o->chunk, o->filled, file->size / BACKUP_CHUNK);
    if (!base_buf_add_u64(&file->sums, sum)) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to write a backup");
    }
    int rc = os_pwrite(o->fd, o->chunk, o->filled, (off_t)file->size);
    if (rc != 0) {
        return base_err_errno(err, -rc, "%s: cannot be written", o->name);
    }
    file->size += o->filled;
    o->filled = 0;
    return 0;
}

int backup_out_add(struct backup_out *o, struct base_slice bytes, struct base_err *err)
{
    const uint8_t *at = bytes.data;
    int rc = 0;
    while (rc == 0 && bytes.size > 0) {
        size_t some = BACKUP_CHUNK - o->filled;
        some = some < bytes.size ? some : bytes.size;
        memcpy(o->chunk + o->filled, at, some);
        o->filled += some;
        at += some;
        bytes.size -= some;
        rc = o->filled == BACKUP_CHUNK ? put_chunk(o, err) : 0;
    }
    return rc;
}

int backup_out_end(struct backup_out *o, bool whole, struct base_err *err)
{
    int rc = whole ? put_chunk(o, err) : 0;
    if (whole && rc == 0) {
        rc = os_fdatasync(o->fd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, "%s: cannot be synced", o->name);
    }
    if (o->fd >= 0) {
        os_close(o->fd);
    }
    base_free(o->chunk);
    *o = (struct backup_out){.fd = -1};
    return rc;
}

static int read_chunk(const struct backup_in *in, int fd, uint64_t at, uint8_t *chunk, size_t size,
                      struct base_err *err)
{
    size_t got;
    int rc = os_pread(fd, chunk, size, (off_t)at, &got);
    if (rc != 0) {
        return base_err_errno(err, -rc, "%s: cannot be read at byte %llu", in->name,
                              (unsigned long long)at);
    }
    if (got != size) {
        return base_err_set(err, INSTAR_ECORRUPT, "%s: ends at byte %llu, expected %llu", in->name,
                            (unsigned long long)(at + got), (unsigned long long)in->file->size);
    }
    uint64_t number = at / BACKUP_CHUNK;
    if (base_hash64(chunk, size, number) != base_get_u64(in->file->sums.data + number * 8)) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "%s: damaged between byte %llu and %llu: the checksum does not hold",
                            in->name, (unsigned long long)at, (unsigned long long)(at + size));
    }
    return 0;
}

int backup_in_read(const struct backup_in *in, struct base_err *err)
{
    struct stat st;
    int fd;
    uint8_t *chunk = base_alloc(BACKUP_CHUNK);
    if (chunk == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to read a backup");
    }
    int rc = file_open(in->dirfd, in->name, O_RDONLY, &fd, err);
    if (rc != 0) {
        base_free(chunk);
        return rc == INSTAR_ENOTFOUND
                   ? base_err_set(err, INSTAR_ECORRUPT, "%s: is missing", in->name)
                   : rc;
    }
    rc = os_fstat(fd, &st);
    rc = rc == 0 ? 0 : base_err_errno(err, -rc, "%s: cannot be looked at", in->name);
    if (rc == 0 && (uint64_t)st.st_size > in->file->size) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "%s: has %lld bytes, expected %llu", in->name,
                          (long long)st.st_size, (unsigned long long)in->file->size);
    }
    for (uint64_t at = 0; rc == 0 && at < in->file->size; at += BACKUP_CHUNK) {
        uint64_t left = in->file->size - at;
        size_t size = left < BACKUP_CHUNK ? (size_t)left : BACKUP_CHUNK;
        rc = read_chunk(in, fd, at, chunk, size, err);
        rc = rc == 0 ? in->sink(in->arg, at, base_slice(chunk, size), err) : rc;
    }
    os_close(fd);
    base_free(chunk);
    return rc;
}
