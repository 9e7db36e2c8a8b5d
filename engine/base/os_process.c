/* SPDX-License-Identifier: Apache-2.0 */
/* What a process can say of itself and of the machine it runs on. */
#define _GNU_SOURCE
#include "base/base.h"
#include "base/os_impl.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

/* 0: ask the kernel again. A child of fork starts with 0. */
static _Atomic pid_t known_pid;

static void forget_pid(void)
{
    atomic_store_explicit(&known_pid, 0, memory_order_relaxed);
}

__attribute__((constructor)) static void watch_fork(void)
{
    pthread_atfork(NULL, NULL, forget_pid);
}

pid_t os_pid(void)
{
    pid_t pid = atomic_load_explicit(&known_pid, memory_order_relaxed);
    if (pid == 0) {
        pid = getpid();
        atomic_store_explicit(&known_pid, pid, memory_order_relaxed);
    }
    return pid;
}

uid_t os_user(void)
{
    return geteuid();
}

void os_program(char *name, size_t size)
{
    const char *from = program_invocation_short_name;
    size_t at = 0;

    for (; at + 1 < size && from[at] != '\0'; at++) {
        name[at] = from[at] >= ' ' && from[at] <= '~' ? from[at] : '?';
    }
    name[at] = '\0';
}

int os_random(void *buf, size_t size)
{
    uint8_t *at = buf;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" */
static bool parse_uuid(const char *text, size_t size, uint8_t id[16])
{
    size_t digits = 0;
    memset(id, 0, 16);
    for (size_t i = 0; i < size && digits < 32; i++) {
        if (text[i] == '-') {
            continue;
        }
        int value = hex_digit(text[i]);
        if (value < 0) {
            return false;
        }
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | value);
        digits++;
    }
    return digits == 32;
}

int os_boot_id(uint8_t id[16])
{
    const struct os_hooks *hooks = os_hooks_get();
    if (hooks != NULL && hooks->boot_id != NULL) {
        return hooks->boot_id(hooks->arg, id);
    }
    memset(id, 0, 16);
    int fd;
    int rc = os_openat(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY, &fd);
    if (rc != 0) {
        return rc;
    }
    char text[64];
    size_t size;
    rc = os_pread(fd, text, sizeof(text), 0, &size);
    os_close(fd);
    if (rc != 0) {
        return rc;
    }
    return parse_uuid(text, size, id) ? 0 : -EIO;
}

int os_pid_namespace(uint64_t *inode_out)
{
    struct stat st;
    *inode_out = 0;
    int rc = os_result(stat("/proc/self/ns/pid", &st));
    if (rc == 0) {
        *inode_out = (uint64_t)st.st_ino;
    }
    return rc;
}

uint64_t os_file_size_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return (uint64_t)limit.rlim_cur;
}

unsigned os_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        return (unsigned)CPU_COUNT(&set);
    }
    long count = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than the set has room for */
    return count > 0 ? (unsigned)count : 1;
}
