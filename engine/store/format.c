/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format file: what is fixed when a store is made. It is written last, so its presence says
 * that the store is whole. Little-endian:
 *
 *    0  magic         "INSTAR STORE\n" and three zeros
 *   16  u32 version   of the whole store's format
 *   20  u32 size      of this file
 *   24  log id        16 bytes
 *   40  instance id   16 bytes
 *   56  u64 segment_bytes | u64 map_bytes
 *   72  u32 trees_max | u32 lease_slots | u32 readers_max | u32 nodes_max
 *   88  i64 created_us
 *   96  zeros
 *  120  u64 checksum  XXH3 of bytes 0 … 119
 */
#include "store/log.h"

#include <fcntl.h>
#include <string.h>

#define FORMAT_SIZE 128u

static const uint8_t magic[16] = "INSTAR STORE\n";

static void encode(uint8_t out[FORMAT_SIZE], const struct format *f)
{
    memset(out, 0, FORMAT_SIZE);
    memcpy(out, magic, 16);
    base_put_u32(out + 16, FORMAT_VERSION);
    base_put_u32(out + 20, FORMAT_SIZE);
    memcpy(out + 24, f->log_id, 16);
    memcpy(out + 40, f->instance_id, 16);
    base_put_u64(out + 56, f->segment_bytes);
    base_put_u64(out + 64, f->map_bytes);
    base_put_u32(out + 72, f->trees_max);
    base_put_u32(out + 76, f->lease_slots);
    base_put_u32(out + 80, f->readers_max);
    base_put_u32(out + 84, f->nodes_max);
    base_put_u64(out + 88, (uint64_t)f->created_us);
    base_put_u64(out + 120, base_hash64(out, 120, 0));
}

int format_write(int dirfd, const struct format *f, struct base_err *err)
{
    uint8_t bytes[FORMAT_SIZE];
    int fd;
    encode(bytes, f);
    int rc = file_remove(dirfd, FORMAT_FRESH, err);
    if (rc == 0) {
        rc = file_open(dirfd, FORMAT_FRESH, O_RDWR | O_CREAT | O_EXCL, &fd, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = os_pwrite(fd, bytes, sizeof(bytes), 0);
    if (rc == 0) {
        rc = os_fdatasync(fd);
    }
    os_close(fd);
    return rc == 0 ? 0 : base_err_errno(err, -rc, FORMAT_FRESH ": cannot be written");
}

int format_install(int dirfd, struct base_err *err)
{
    int rc = os_renameat(dirfd, FORMAT_FRESH, dirfd, FORMAT_NAME);
    if (rc == 0) {
        rc = os_fsync_dir(dirfd);
    }
    return rc == 0 ? 0 : base_err_errno(err, -rc, FORMAT_NAME ": cannot be written");
}

static int out_of_range(struct base_err *err, const char *field, uint64_t value)
{
    return base_err_set(err, INSTAR_EINVALID, "option %s: %llu is out of its range", field,
                        (unsigned long long)value);
}

static bool power_of_two_between(uint64_t v, uint64_t least, uint64_t most)
{
    return v >= least && v <= most && (v & (v - 1)) == 0;
}

int format_check(const struct format *f, struct base_err *err)
{
    if (!power_of_two_between(f->segment_bytes, 64 << 10, 1 << 30)) {
        return out_of_range(err, "segment_bytes", f->segment_bytes);
    }
    if (f->map_bytes < (1 << 20) || f->map_bytes > UINT64_C(64) << 40) {
        return out_of_range(err, "map_bytes", f->map_bytes);
    }
    if (f->trees_max < 16 || f->trees_max > 65536) {
        return out_of_range(err, "trees_max", f->trees_max);
    }
    if (f->lease_slots < 64 || f->lease_slots > 65536) {
        return out_of_range(err, "lease_slots", f->lease_slots);
    }
    if (f->readers_max < 64 || f->readers_max > 65536) {
        return out_of_range(err, "readers_max", f->readers_max);
    }
    if (f->nodes_max < 2 || f->nodes_max > 4096) {
        return out_of_range(err, "nodes_max", f->nodes_max);
    }
    return 0;
}

static int decode(const uint8_t *bytes, size_t size, struct format *f, struct base_err *err)
{
    if (size < 24 || memcmp(bytes, magic, 16) != 0) {
        return base_err_set(err, INSTAR_EFOREIGN,
                            FORMAT_NAME ": %s at offset 0, expected \"INSTAR STORE\"",
                            size < 24 ? "fewer than 24 bytes" : "other bytes");
    }
    uint32_t version = base_get_u32(bytes + 16);
    if (version != FORMAT_VERSION) {
        return base_err_set(err, INSTAR_EVERSION,
                            FORMAT_NAME ": version %u at offset 16, expected %u: %s", version,
                            FORMAT_VERSION,
                            version > FORMAT_VERSION ? "a newer release wrote it"
                                                     : "this release does not read it");
    }
    if (size != FORMAT_SIZE) {
        return base_err_set(err, INSTAR_ECORRUPT, FORMAT_NAME ": has %zu bytes, expected %u", size,
                            FORMAT_SIZE);
    }
    if (base_get_u32(bytes + 20) != FORMAT_SIZE) {
        return base_err_set(err, INSTAR_ECORRUPT, FORMAT_NAME ": size %u at offset 20, expected %u",
                            base_get_u32(bytes + 20), FORMAT_SIZE);
    }
    uint64_t found = base_hash64(bytes, 120, 0);
    if (base_get_u64(bytes + 120) != found) {
        return base_err_set(
            err, INSTAR_ECORRUPT, FORMAT_NAME ": checksum %016llx at offset 120, expected %016llx",
            (unsigned long long)base_get_u64(bytes + 120), (unsigned long long)found);
    }
    memcpy(f->log_id, bytes + 24, 16);
    memcpy(f->instance_id, bytes + 40, 16);
    f->segment_bytes = base_get_u64(bytes + 56);
    f->map_bytes = base_get_u64(bytes + 64);
    f->trees_max = base_get_u32(bytes + 72);
    f->lease_slots = base_get_u32(bytes + 76);
    f->readers_max = base_get_u32(bytes + 80);
    f->nodes_max = base_get_u32(bytes + 84);
    f->created_us = (int64_t)base_get_u64(bytes + 88);
    /* A good checksum is no defence against intent. */
    int rc = format_check(f, err);
    return rc == 0 ? 0
                   : base_err_set(err, INSTAR_ECORRUPT, FORMAT_NAME ": a size is out of its range");
}

int format_read(int dirfd, const char *path, const char *name, struct format *f_out,
                struct base_err *err)
{
    uint8_t bytes[FORMAT_SIZE + 1];
    size_t size;
    int fd;
    memset(f_out, 0, sizeof(*f_out));
    int rc = file_open(dirfd, name, O_RDONLY, &fd, err);
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, INSTAR_ENOSTORE, "%s: no store there (it has no file \"%s\")",
                            path, name);
    }
    if (rc != 0) {
        base_err_prefix(err, "%s", path);
        return rc;
    }
    rc = os_pread(fd, bytes, sizeof(bytes), 0, &size);
    os_close(fd);
    if (rc != 0) {
        return base_err_errno(err, -rc, "%s/%s: cannot be read", path, name);
    }
    rc = decode(bytes, size, f_out, err);
    if (rc != 0) {
        base_err_prefix(err, "%s", path);
    }
    return rc;
}

int format_options(const instar_options *given, const struct format *f, instar_options *out,
                   struct base_err *err)
{
    *out = *given;
    out->segment_bytes = f->segment_bytes;
    out->map_bytes = f->map_bytes;
    out->trees_max = f->trees_max;
    out->lease_slots = f->lease_slots;
    out->readers_max = f->readers_max;
    out->nodes_max = f->nodes_max;
    /* Limits that follow from the segment's size are drawn in, not refused: a program need not know
     * the store's sizes. */
    uint64_t quarter = f->segment_bytes / 4;
    if (out->txn_bytes_max == 0 || out->txn_bytes_max > quarter) {
        out->txn_bytes_max = quarter;
    }
    if (out->row_bytes_max == 0 || out->row_bytes_max > out->txn_bytes_max / 2) {
        out->row_bytes_max = out->txn_bytes_max / 2;
    }
    if (out->durability != INSTAR_SYNC && out->durability != INSTAR_ASYNC) {
        return out_of_range(err, "durability", out->durability);
    }
    if (out->segments_pending < 2 || out->segments_pending > 64) {
        return out_of_range(err, "segments_pending", out->segments_pending);
    }
    if (out->segments_retained < 1 || out->segments_retained > 64) {
        return out_of_range(err, "segments_retained", out->segments_retained);
    }
    if (out->lock_timeout_ms < 10 || out->lock_timeout_ms > 600000) {
        return out_of_range(err, "lock_timeout_ms", out->lock_timeout_ms);
    }
    return 0;
}
