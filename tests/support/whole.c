/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files, read and written. */
#define _GNU_SOURCE
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint8_t *test_read_file(const char *path, size_t *size_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        test_fail(__FILE__, __LINE__, "cannot read %s: %s", path, strerror(errno));
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size + 1);
    if (data == NULL || read(fd, data, size) != (ssize_t)size) {
        test_fail(__FILE__, __LINE__, "cannot read %s", path);
    }
    close(fd);
    if (size_out != NULL) {
        *size_out = size;
    }
    return data;
}

void test_write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        test_fail(__FILE__, __LINE__, "cannot write %s: %s", path, strerror(errno));
    }
    close(fd);
}
