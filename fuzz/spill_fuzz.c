/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorted runs of a build: any file is refused, or is read to its end in bounded memory; what was
 * read is written as another run, and merged with itself it is the same once more.
 *
 * Input: u8 flags (1: repair the checksums of the blocks, and the head) | u8 entries that the
 * checkpoint claims | the file.
 */
#define _GNU_SOURCE
#include "change/sort_impl.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPAIR 1
#define ID 77
#define BYTES_MAX ((size_t)256 << 10)
#define BLOCK_BYTES 512 /* of the run that is written again */

/* As in change/run.c: the head, then blocks. */
static void repair(uint8_t *bytes, size_t size)
{
    size_t at = RUN_HEAD;
    if (size >= RUN_HEAD) {
        base_put_u64(bytes, 0x314e555254534e49u & UINT32_MAX);
        base_put_u64(bytes + 8, ID);
    }
    while (at <= size && size - at >= RUN_BLOCK_HEAD) {
        uint32_t payload = base_get_u32(bytes + at);
        if (payload > size - at - RUN_BLOCK_HEAD) {
            return;
        }
        base_put_u64(bytes + at + 8, base_hash64(bytes + at + RUN_BLOCK_HEAD, payload,
                                                 base_hash64(bytes + at, 8, ID ^ at)));
        at += RUN_BLOCK_HEAD + payload;
    }
}

/* Read all of it; into another run, if there is one. */
static int read_run(int fd, const struct run *run, struct run_writer *into)
{
    struct run_reader reader;
    struct base_slice key, value;
    int rc = run_read_begin(&reader, fd, run, NULL);
    while (rc == 0 && (rc = run_read_next(&reader, &key, &value, NULL)) == 0) {
        base_assert(value.size == SORT_VALUE_SIZE && key.size <= UINT16_MAX);
        if (into != NULL) {
            rc = run_write_add(into, key, value, NULL);
            base_assert(rc == 0);
        }
    }
    base_assert(reader.room <= RUN_BLOCK_MAX);
    run_read_end(&reader);
    return rc;
}

/* The same run twice gives the entries of one, when they are in order as those of a run are. */
static void merge_twice(int fd, const struct run *run)
{
    struct run_reader readers[2];
    struct merge *m;
    struct base_slice key, value;
    uint64_t entries = 0;
    for (size_t i = 0; i < 2; i++) {
        int rc = run_read_begin(&readers[i], fd, run, NULL);
        base_assert(rc == 0);
    }
    int rc = merge_begin(readers, 2, &m, NULL);
    base_assert(rc == 0);
    while ((rc = merge_next(m, &key, &value, NULL)) == 0) {
        entries++;
    }
    base_assert(rc == INSTAR_END && entries <= 2 * run->entries);
    merge_end(m);
    run_read_end(&readers[0]);
    run_read_end(&readers[1]);
}

static void run_again(int fd, const struct run *run)
{
    struct run_writer writer;
    struct run again;
    int other = memfd_create("run", MFD_CLOEXEC);
    if (other < 0) {
        return;
    }
    int rc = run_write_begin(&writer, other, ID + 1, BLOCK_BYTES, NULL);
    base_assert(rc == 0);
    rc = read_run(fd, run, &writer);
    base_assert(rc == INSTAR_END || rc == INSTAR_ECORRUPT);
    if (rc == INSTAR_END) {
        rc = run_write_end(&writer, &again, NULL);
        base_assert(rc == 0 && again.entries == run->entries);
        rc = read_run(other, &again, NULL);
        base_assert(rc == INSTAR_END);
        merge_twice(other, &again);
    } else {
        run_write_abort(&writer);
    }
    (void)close(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > BYTES_MAX) {
        return 0;
    }
    uint8_t *bytes = malloc(size);
    int fd = memfd_create("run", MFD_CLOEXEC);
    if (bytes != NULL && fd >= 0) {
        struct run run = {.id = ID, .bytes = size - 2, .entries = data[1]};
        memcpy(bytes, data + 2, size - 2);
        if ((data[0] & REPAIR) != 0) {
            repair(bytes, size - 2);
        }
        int rc = os_pwrite(fd, bytes, size - 2, 0);
        if (rc == 0) {
            run_again(fd, &run);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(bytes);
    return 0;
}
