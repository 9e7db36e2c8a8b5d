/* SPDX-License-Identifier: Apache-2.0 */
/* What the device does: 256 bytes appended to a preallocated file, fdatasync after each. */
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES ((off_t)64 << 20)

int bench_device(const char *directory, uint64_t ms)
{
    char path[512], record[256];
    uint64_t begin, end, appends = 0;
    int fd;

    memset(record, 'r', sizeof(record));
    (void)snprintf(path, sizeof(path), "%s/raw", directory);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, FILE_BYTES) != 0 || fsync(fd) != 0) {
        perror(path);
        return 1;
    }
    begin = bench_now_ns();
    end = begin + ms * 1000000u;
    while (bench_now_ns() < end) {
        off_t at = (off_t)(appends * sizeof(record)) % FILE_BYTES;

        if (pwrite(fd, record, sizeof(record), at) != (ssize_t)sizeof(record) ||
            fdatasync(fd) != 0) {
            perror(path);
            return 1;
        }
        appends++;
    }
    bench_result("rate", (double)appends / bench_seconds_since(begin), "1/s");
    (void)close(fd);
    return unlink(path) == 0 ? 0 : 1;
}
