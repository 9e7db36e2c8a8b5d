/* SPDX-License-Identifier: Apache-2.0 */
/* Directories and files of a test. */
#define _GNU_SOURCE
#include "store/log.h"
#include "support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char path[256];
    pid_t owner; /* only who made it removes it: not its children */
};

static struct place on_disk;
static struct place in_memory;
static struct base_arena paths;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        fprintf(stderr, "cannot remove %s: %s\n", path, strerror(errno));
    }
}

/* A store that was killed, and not opened again, has left a directory in shared memory. Its name is
 * made of what the format file says, and of where the store is. */
static int remove_runtime(const char *path, const struct stat *file, int kind, struct FTW *ftw)
{
    uint8_t format[128];
    uint8_t id[48];
    char name[RUNTIME_NAME_SIZE];
    char other[512];
    struct stat st;
    if (kind != FTW_F || !S_ISREG(file->st_mode) || strcmp(path + ftw->base, FORMAT_NAME) != 0) {
        return 0;
    }
    snprintf(other, sizeof(other), "%.*s.", ftw->base, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, format, sizeof(format)) == (ssize_t)sizeof(format) &&
        stat(other, &st) == 0) {
        memcpy(id, format + 24, 32);
        base_put_u64(id + 32, (uint64_t)st.st_dev);
        base_put_u64(id + 40, (uint64_t)st.st_ino);
        runtime_shm_name(id, name);
        snprintf(other, sizeof(other), "/dev/shm/%s", name);
        remove_tree(other);
    }
    if (fd >= 0) {
        close(fd);
    }
    return 0;
}

void test_remove(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        (void)nftw(path, remove_runtime, 16, FTW_PHYS);
    }
    remove_tree(path);
}

static void leave(struct place *place)
{
    if (place->owner == getpid()) {
        test_remove(place->path);
        place->owner = 0;
    }
}

static void leave_all(void)
{
    leave(&on_disk);
    leave(&in_memory);
    base_arena_free(&paths);
}

/* What tests that were killed have left: the name says whose it was. Only in shared memory, which
 * no runner cleans up. */
static void sweep(const char *parent)
{
    DIR *dir = opendir(parent);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        int pid;
        char path[512];
        if (sscanf(entry->d_name, "instar-test-%d-", &pid) == 1 && kill(pid, 0) != 0 &&
            errno == ESRCH) {
            snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name);
            test_remove(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static const char *enter(struct place *place, const char *parent)
{
    if (place->path[0] == '\0') {
        snprintf(place->path, sizeof(place->path), "%s/instar-test-%d-XXXXXX", parent,
                 (int)getpid());
        if (mkdtemp(place->path) == NULL) {
            fprintf(stderr, "cannot make a directory in %s: %s\n", parent, strerror(errno));
            abort();
        }
        place->owner = getpid();
        atexit(leave_all);
    }
    return place->path;
}

const char *test_dir(void)
{
    const char *parent = getenv("TMPDIR");
    return enter(&on_disk, parent != NULL && parent[0] != '\0' ? parent : "/tmp");
}

const char *test_fast_dir(void)
{
    if (access("/dev/shm", W_OK) != 0) {
        return test_dir();
    }
    if (in_memory.path[0] == '\0') {
        sweep("/dev/shm");
    }
    return enter(&in_memory, "/dev/shm");
}

const char *test_path(const char *fmt, ...)
{
    char name[512];
    char path[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof(name), fmt, args);
    va_end(args);
    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    return base_arena_strdup(&paths, path);
}

size_t test_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;
    expect(dir != NULL);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}
