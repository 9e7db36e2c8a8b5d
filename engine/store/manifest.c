/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of a backup, little-endian:
 *
 *    0  magic         "INSTAR BACKUP\n" and two zeros
 *   16  u32 version   of all of it
 *   20  u32 zero
 *   24  log id        16 bytes
 *   40  instance id   16 bytes, of the store that was copied
 *   56  u64 segment_bytes | u64 map_bytes
 *   72  u32 trees_max | u32 lease_slots | u32 readers_max | u32 nodes_max
 *   88  u64 lo | u64 first | u64 end
 *  112  for data.mdb, then for the log: u64 size, a u64 XXH3 of each chunk (seed: its number)
 *    …  u64 count of moments, each i64 microseconds since 1970 | u64 position
 *    …  u64 XXH3 of all before it
 */
#include "store/backup.h"

#include <fcntl.h>
#include <string.h>

#define MANIFEST_NAME "manifest"
#define MANIFEST_FRESH "manifest.new"
#define MANIFEST_VERSION FORMAT_VERSION /* of the trees and the log that are in it */
#define MANIFEST_LEAST 152u
#define MANIFEST_MOST ((off_t)1 << 30)

static const uint8_t magic[16] = "INSTAR BACKUP\n";

void manifest_free(struct backup_manifest *m)
{
    for (size_t i = 0; i < BACKUP_FILES; i++) {
        base_buf_free(&m->files[i].sums);
    }
    base_buf_free(&m->moments);
}

size_t manifest_moments(const struct backup_manifest *m)
{
    return m->moments.size / sizeof(struct backup_moment);
}

struct backup_moment manifest_moment(const struct backup_manifest *m, size_t at)
{
    struct backup_moment moment;
    memcpy(&moment, m->moments.data + at * sizeof(moment), sizeof(moment));
    return moment;
}

/* ---- writing ------------------------------------------------------------------------------ */

static bool encode(const struct backup_manifest *m, struct base_buf *out)
{
    const struct format *f = &m->format;
    bool ok = base_buf_add(out, magic, 16) && base_buf_add_u32(out, MANIFEST_VERSION) &&
              base_buf_add_u32(out, 0) && base_buf_add(out, f->log_id, 16) &&
              base_buf_add(out, f->instance_id, 16) && base_buf_add_u64(out, f->segment_bytes) &&
              base_buf_add_u64(out, f->map_bytes) && base_buf_add_u32(out, f->trees_max) &&
              base_buf_add_u32(out, f->lease_slots) && base_buf_add_u32(out, f->readers_max) &&
              base_buf_add_u32(out, f->nodes_max) && base_buf_add_u64(out, m->lo) &&
              base_buf_add_u64(out, m->first) && base_buf_add_u64(out, m->end);
    for (size_t i = 0; ok && i < BACKUP_FILES; i++) {
        ok = base_buf_add_u64(out, m->files[i].size) &&
             base_buf_add(out, m->files[i].sums.data, m->files[i].sums.size);
    }
    size_t count = manifest_moments(m);
    ok = ok && base_buf_add_u64(out, count);
    for (size_t i = 0; ok && i < count; i++) {
        struct backup_moment moment = manifest_moment(m, i);
        ok = base_buf_add_u64(out, (uint64_t)moment.us) && base_buf_add_u64(out, moment.lsn);
    }
    return ok && base_buf_add_u64(out, base_hash64(out->data, out->size, 0));
}

int manifest_write(int dirfd, const struct backup_manifest *m, struct base_err *err)
{
    struct base_buf bytes = {0};
    int fd = -1;
    int rc = 0;
    if (!encode(m, &bytes)) {
        rc = base_err_set(err, INSTAR_ENOMEM, "no memory for the manifest");
    }
    if (rc == 0) {
        rc = file_open(dirfd, MANIFEST_FRESH, O_RDWR | O_CREAT | O_EXCL, &fd, err);
    }
    if (rc == 0) {
        rc = os_pwrite(fd, bytes.data, bytes.size, 0);
        rc = rc == 0 ? os_fdatasync(fd) : rc;
        os_close(fd);
        rc = rc == 0 ? os_fsync_dir(dirfd) : rc;
        rc = rc == 0 ? os_renameat(dirfd, MANIFEST_FRESH, dirfd, MANIFEST_NAME) : rc;
        rc = rc == 0 ? os_fsync_dir(dirfd) : rc;
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, MANIFEST_NAME ": cannot be written");
    }
    base_buf_free(&bytes);
    return rc;
}

/* ---- reading ------------------------------------------------------------------------------ */

static int damaged(struct base_err *err, const char *what)
{
    return base_err_set(err, INSTAR_ECORRUPT, MANIFEST_NAME ": %s", what);
}

/* Positions and sizes that follow from each other. */
static bool makes_sense(const struct backup_manifest *m)
{
    return m->lo <= m->first && m->first <= m->end &&
           m->files[BACKUP_FILE_LOG].size == m->end - m->lo && m->files[BACKUP_FILE_TREES].size > 0;
}

static bool read_sums(struct base_reader *r, struct backup_file *file)
{
    file->size = base_read_u64(r);
    uint64_t count = file->size / BACKUP_CHUNK + (file->size % BACKUP_CHUNK != 0);
    if (r->bad || count > base_reader_left(r) / 8) {
        r->bad = true;
        return true;
    }
    struct base_slice sums = base_read_bytes(r, (size_t)count * 8);
    return base_buf_add(&file->sums, sums.data, sums.size);
}

static bool read_moments(struct base_reader *r, struct backup_manifest *m)
{
    uint64_t count = base_read_u64(r);
    bool ok = true;
    if (count > base_reader_left(r) / 16) {
        r->bad = true;
    }
    for (uint64_t i = 0; ok && !r->bad && i < count; i++) {
        struct backup_moment moment = {.us = (int64_t)base_read_u64(r)};
        moment.lsn = base_read_u64(r);
        ok = base_buf_add(&m->moments, &moment, sizeof(moment));
    }
    return ok;
}

static int decode(struct base_slice bytes, struct backup_manifest *m, struct base_err *err)
{
    struct format *f = &m->format;
    if (bytes.size < MANIFEST_LEAST || memcmp(bytes.data, magic, 16) != 0) {
        return base_err_set(err, INSTAR_EFOREIGN,
                            MANIFEST_NAME ": other bytes at offset 0, expected \"INSTAR BACKUP\"");
    }
    struct base_reader r = base_reader(base_slice(bytes.data, bytes.size - 8));
    (void)base_read_bytes(&r, 16);
    uint32_t version = base_read_u32(&r);
    if (version != MANIFEST_VERSION) {
        return base_err_set(err, INSTAR_EVERSION,
                            MANIFEST_NAME ": version %u at offset 16, expected %u", version,
                            MANIFEST_VERSION);
    }
    if (base_hash64(bytes.data, bytes.size - 8, 0) !=
        base_get_u64((const uint8_t *)bytes.data + bytes.size - 8)) {
        return damaged(err, "its checksum, the last 8 bytes, does not hold");
    }
    (void)base_read_u32(&r);
    memcpy(f->log_id, base_read_bytes(&r, 16).data, 16);
    memcpy(f->instance_id, base_read_bytes(&r, 16).data, 16);
    f->segment_bytes = base_read_u64(&r);
    f->map_bytes = base_read_u64(&r);
    f->trees_max = base_read_u32(&r);
    f->lease_slots = base_read_u32(&r);
    f->readers_max = base_read_u32(&r);
    f->nodes_max = base_read_u32(&r);
    m->lo = base_read_u64(&r);
    m->first = base_read_u64(&r);
    m->end = base_read_u64(&r);
    bool ok = read_sums(&r, &m->files[BACKUP_FILE_TREES]) &&
              read_sums(&r, &m->files[BACKUP_FILE_LOG]) && read_moments(&r, m);
    if (!ok) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for the manifest");
    }
    if (r.bad || base_reader_left(&r) != 0 || !makes_sense(m)) {
        return damaged(err, "its lengths contradict each other");
    }
    return format_check(f, err) == 0 ? 0 : damaged(err, "a size is out of its range");
}

static int read_whole(int fd, struct base_buf *out, struct base_err *err)
{
    struct stat st;
    size_t got = 0;
    int rc = os_fstat(fd, &st);
    if (rc == 0 && (st.st_size < (off_t)MANIFEST_LEAST || st.st_size > MANIFEST_MOST)) {
        return base_err_set(err, INSTAR_EFOREIGN, MANIFEST_NAME ": has %lld bytes, which is none",
                            (long long)st.st_size);
    }
    if (rc == 0 && !base_buf_reserve(out, (size_t)st.st_size)) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for the manifest");
    }
    rc = rc == 0 ? os_pread(fd, out->data, (size_t)st.st_size, 0, &got) : rc;
    out->size = got;
    return rc == 0 ? 0 : base_err_errno(err, -rc, MANIFEST_NAME ": cannot be read");
}

int manifest_read(int dirfd, const char *path, struct backup_manifest *m_out, struct base_err *err)
{
    struct base_buf bytes = {0};
    int fd;
    *m_out = (struct backup_manifest){0};
    int rc = file_open(dirfd, MANIFEST_NAME, O_RDONLY, &fd, err);
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, INSTAR_ENOSTORE,
                            "%s: no backup there, or one that was not finished: it has no file "
                            "\"" MANIFEST_NAME "\"",
                            path);
    }
    if (rc == 0) {
        rc = read_whole(fd, &bytes, err);
        os_close(fd);
    }
    rc = rc == 0 ? decode(base_buf_slice(&bytes), m_out, err) : rc;
    base_buf_free(&bytes);
    if (rc != 0) {
        manifest_free(m_out);
        *m_out = (struct backup_manifest){0};
        base_err_prefix(err, "%s", path);
    }
    return rc;
}
