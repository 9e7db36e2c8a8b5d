/* SPDX-License-Identifier: Apache-2.0 */
/* Directories: names made, moved, removed and listed, and what kind of file system they are on. */
#include "base/base.h"
#include "base/os_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DIR_MODE 0700

int os_renameat(int dirfd, const char *from, int dirfd2, const char *to)
{
    struct os_call call = {
        .op = OS_OP_RENAME, .fd = -1, .dirfd = dirfd, .dirfd2 = dirfd2, .name = from, .name2 = to};
    int rc = os_before(&call);
    return rc < 0 ? rc : os_after(&call, os_result(renameat(dirfd, from, dirfd2, to)));
}

int os_unlinkat(int dirfd, const char *name, int flags)
{
    struct os_call call = {
        .op = OS_OP_UNLINK, .fd = -1, .dirfd = dirfd, .name = name, .flags = flags};
    int rc = os_before(&call);
    return rc < 0 ? rc : os_after(&call, os_result(unlinkat(dirfd, name, flags)));
}

int os_mkdirat(int dirfd, const char *name)
{
    struct os_call call = {.op = OS_OP_MKDIR, .fd = -1, .dirfd = dirfd, .name = name};
    int rc = os_before(&call);
    if (rc < 0) {
        return rc;
    }
    rc = os_after(&call, os_result(mkdirat(dirfd, name, DIR_MODE)));
    struct stat st;
    if (rc == 0 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
        (st.st_mode & 0777) != DIR_MODE) {
        rc = os_result(fchmodat(dirfd, name, DIR_MODE, 0)); /* what the umask took */
    }
    return rc;
}

int os_symlinkat(const char *to, int dirfd, const char *name)
{
    struct os_call call = {
        .op = OS_OP_SYMLINK, .fd = -1, .dirfd = dirfd, .name = name, .name2 = to};
    int rc = os_before(&call);
    return rc < 0 ? rc : os_after(&call, os_result(symlinkat(to, dirfd, name)));
}

int os_fstatat(int dirfd, const char *name, struct stat *st)
{
    struct os_call call = {.op = OS_OP_STAT, .fd = -1, .dirfd = dirfd, .name = name};
    int rc = os_before(&call);
    return rc < 0 ? rc : os_after(&call, os_result(fstatat(dirfd, name, st, AT_SYMLINK_NOFOLLOW)));
}

struct name_list {
    char **names;
    size_t count;
    size_t capacity;
};

static void free_list(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        base_free(list->names[i]);
    }
    base_free(list->names);
}

static bool add_name(struct name_list *list, const char *name)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity != 0 ? list->capacity * 2 : 16;
        char **names = base_realloc(list->names, capacity * sizeof(*names));
        if (names == NULL) {
            return false;
        }
        list->names = names;
        list->capacity = capacity;
    }
    char *copy = base_strdup(name);
    if (copy == NULL) {
        return false;
    }
    list->names[list->count++] = copy;
    return true;
}

static int read_names(DIR *dir, struct name_list *list)
{
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            return -errno;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (!add_name(list, entry->d_name)) {
            return -ENOMEM;
        }
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int os_list_dir(int dirfd, char ***names_out, size_t *count_out)
{
    struct name_list list = {0};
    *names_out = NULL;
    *count_out = 0;
    /* A descriptor of its own: the stream moves and closes it. */
    int fd;
    int rc = os_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, &fd);
    if (rc != 0) {
        return rc;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        rc = -errno;
        os_close(fd);
        return rc;
    }
    rc = read_names(dir, &list);
    closedir(dir);
    if (rc != 0) {
        free_list(&list);
        return rc;
    }
    if (list.count != 0) {
        qsort(list.names, list.count, sizeof(*list.names), compare_names);
    }
    *names_out = list.names;
    *count_out = list.count;
    return 0;
}

/* Those of linux/magic.h's neighbours that have no name there. */
#define MAGIC_CIFS 0xff534d42u
#define MAGIC_LUSTRE 0x0bd00bd0u
#define MAGIC_GFS2 0x01161970u
#define MAGIC_NCP 0x564cu

/* The answer depends on the magic number alone, which is compared as 32 bits everywhere. */
static bool is_network(uint32_t magic)
{
    static const uint32_t magics[] = {
        NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,   SMB2_SUPER_MAGIC, MAGIC_CIFS,       V9FS_MAGIC,
        FUSE_SUPER_MAGIC, AFS_SUPER_MAGIC,   AFS_FS_MAGIC,     CEPH_SUPER_MAGIC, CODA_SUPER_MAGIC,
        MAGIC_NCP,        OCFS2_SUPER_MAGIC, MAGIC_LUSTRE,     MAGIC_GFS2};
    for (size_t i = 0; i < BASE_ARRAY_LEN(magics); i++) {
        if (magic == magics[i]) {
            return true;
        }
    }
    return false;
}

static int file_system(int fd, struct statfs *fs)
{
    struct os_call call = {.op = OS_OP_STAT, .fd = fd};
    int rc;
    do {
        rc = os_before(&call);
        if (rc >= 0) {
            rc = os_after(&call, os_result(fstatfs(fd, fs)));
        }
    } while (rc == -EINTR);
    return rc;
}

int os_fs_is_network(int fd, bool *network_out)
{
    struct statfs fs;
    *network_out = false;
    int rc = file_system(fd, &fs);
    if (rc == 0) {
        *network_out = is_network((uint32_t)fs.f_type);
    }
    return rc;
}

int os_fs_is_tmpfs(int fd, bool *tmpfs_out)
{
    struct statfs fs;
    *tmpfs_out = false;
    int rc = file_system(fd, &fs);
    if (rc == 0) {
        *tmpfs_out = (uint32_t)fs.f_type == TMPFS_MAGIC || (uint32_t)fs.f_type == RAMFS_MAGIC;
    }
    return rc;
}

int os_fs_free_bytes(int fd, uint64_t *free_out)
{
    struct statfs fs;
    *free_out = 0;
    int rc = file_system(fd, &fs);
    if (rc == 0) {
        *free_out = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    }
    return rc;
}

void os_overwrite_in_place(int fd)
{
    struct statfs fs;
    int flags;
    if (file_system(fd, &fs) == 0 && (uint32_t)fs.f_type == BTRFS_SUPER_MAGIC &&
        ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
}
