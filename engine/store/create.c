/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a store, in a directory that is empty or not there yet:
 *
 *   directory -> lock -> creating -> log/ spill/ data.mdb -> all synced -> format
 *             -> creating removed
 *
 * The format file comes last, by rename, so there is a store exactly when it is there. What a death
 * in between leaves is told by the file `creating`: then the next attempt clears it away. Without
 * that file nothing in a directory that is not empty is touched.
 */
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CREATING_NAME "creating"

static const char *const own_names[] = {LOCK_NAME,  CREATING_NAME, LOG_DIR,     SPILL_DIR,
                                        "data.mdb", "lock.mdb",    "format.new"};

/* A path that cannot be is the caller's mistake, not the disk's. */
static int refuse_path(const char *path, int number, const char *what, struct base_err *err)
{
    if (number == ENOENT || number == ENOTDIR) {
        return base_err_set(err, INSTAR_EINVALID,
                            "%.200s: the directory above does not exist; make it first", path);
    }
    if (number == ENAMETOOLONG) {
        return base_err_set(err, INSTAR_EINVALID, "%.200s...: the path is too long", path);
    }
    return base_err_errno(err, number, "%s: %s", path, what);
}

/* The name in the directory above, and that directory. */
static int open_parent(const char *path, int *fd_out, struct base_err *err)
{
    char *copy = base_strdup(path);
    *fd_out = -1;
    if (copy == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory");
    }
    size_t length = strlen(copy);
    while (length > 1 && copy[length - 1] == '/') {
        copy[--length] = '\0';
    }
    char *slash = strrchr(copy, '/');
    const char *parent = copy;
    if (slash == NULL) {
        parent = ".";
    } else if (slash == copy) {
        parent = "/";
    } else {
        *slash = '\0';
    }
    int rc = os_openat(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY, fd_out);
    if (rc == -ELOOP || rc == -ENOTDIR) {
        /* A link on the way is the user's own business; only the store itself may be none. */
        char with_dot[4096];
        if (strlen(parent) + 3 < sizeof(with_dot)) {
            memcpy(with_dot, parent, strlen(parent));
            memcpy(with_dot + strlen(parent), "/.", 3);
            rc = os_openat(AT_FDCWD, with_dot, O_RDONLY | O_DIRECTORY, fd_out);
        }
    }
    if (rc != 0) {
        rc = refuse_path(path, -rc, "the directory above cannot be opened", err);
    }
    base_free(copy);
    return rc;
}

static bool is_own_name(const char *name)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(own_names); i++) {
        if (strcmp(name, own_names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int clear_dir(int dirfd, const char *name, struct base_err *err)
{
    char **names;
    size_t count;
    int fd;
    int rc = file_open_dir(dirfd, name, true, &fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_list_dir(fd, &names, &count);
    if (rc != 0) {
        rc = base_err_errno(err, -rc, "%s: cannot be listed", name);
    } else {
        for (size_t i = 0; i < count && rc == 0; i++) {
            rc = file_remove(fd, names[i], err);
        }
        file_free_names(names, count);
    }
    if (rc == 0) {
        rc = os_fsync_dir(fd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, "%s: cannot be synced", name);
    }
    os_close(fd);
    return rc;
}

/* Is the directory empty, or one that an earlier attempt has left? */
static int check_empty(int dirfd, const char *path, struct base_err *err)
{
    char **names;
    size_t count;
    bool creating = false;
    bool format = false;
    const char *other = NULL;
    bool only_lock = true;
    int rc = os_list_dir(dirfd, &names, &count);
    if (rc != 0) {
        return base_err_errno(err, -rc, "%s: cannot be listed", path);
    }
    for (size_t i = 0; i < count; i++) {
        creating = creating || strcmp(names[i], CREATING_NAME) == 0;
        format = format || strcmp(names[i], FORMAT_NAME) == 0;
        only_lock = only_lock && strcmp(names[i], LOCK_NAME) == 0;
        other = is_own_name(names[i]) ? other : names[i];
    }
    if (format) {
        rc = base_err_set(err, INSTAR_EEXISTS, "%s: there is a store already", path);
    } else if (other != NULL || (!creating && !only_lock)) {
        rc = base_err_set(err, INSTAR_EEXISTS, "%s: the directory is not empty (\"%s\")", path,
                          other != NULL ? other : names[0]);
    }
    file_free_names(names, count);
    return rc;
}

static int mark_creating(int dirfd, struct base_err *err)
{
    int fd;
    int rc = file_open(dirfd, CREATING_NAME, O_RDWR | O_CREAT, &fd, err);
    if (rc == 0) {
        os_close(fd);
        rc = os_fsync_dir(dirfd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, "the directory cannot be synced");
    }
    return rc;
}

static int new_format(const instar_options *o, struct format *f, struct base_err *err)
{
    *f = (struct format){
        .segment_bytes = o->segment_bytes,
        .map_bytes = o->map_bytes,
        .trees_max = o->trees_max,
        .lease_slots = o->lease_slots,
        .readers_max = o->readers_max,
        .nodes_max = o->nodes_max,
        .created_us = os_realtime_us(),
    };
    if (os_random(f->log_id, 16) != 0 || os_random(f->instance_id, 16) != 0) {
        return base_err_set(err, INSTAR_EIO, "no random bytes");
    }
    return format_check(f, err);
}

/* Alone in the directory: everything but the last step may be made again. */
static int make_store(int dirfd, const char *path, const instar_options *options,
                      struct base_err *err)
{
    struct format f;
    instar_options complete;
    int rc = check_empty(dirfd, path, err);
    if (rc == 0) {
        rc = new_format(options, &f, err);
    }
    if (rc == 0) {
        rc = format_options(options, &f, &complete, err);
    }
    if (rc == 0) {
        rc = mark_creating(dirfd, err);
    }
    os_point("create.marked");
    if (rc == 0) {
        rc = file_remove(dirfd, "data.mdb", err);
    }
    if (rc == 0) {
        rc = file_remove(dirfd, "lock.mdb", err);
    }
    if (rc == 0) {
        rc = clear_dir(dirfd, LOG_DIR, err);
    }
    if (rc == 0) {
        rc = clear_dir(dirfd, SPILL_DIR, err);
    }
    if (rc == 0) {
        rc = trees_create(dirfd, &complete, f.log_id, err);
    }
    os_point("create.made");
    if (rc == 0) {
        rc = format_write(dirfd, &f, err);
    }
    os_point("create.formatted");
    if (rc == 0) {
        rc = file_remove(dirfd, CREATING_NAME, NULL);
        (void)os_fsync_dir(dirfd); /* if it is lost, the next open does not mind */
        rc = 0;
    }
    return rc;
}

int store_create(const char *path, const instar_options *options, struct base_err *err)
{
    int parent;
    int dirfd;
    int lock = -1;
    int rc = open_parent(path, &parent, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_mkdirat(AT_FDCWD, path);
    if (rc != 0 && rc != -EEXIST) {
        rc = refuse_path(path, -rc, "the directory cannot be made", err);
        goto out_parent;
    }
    rc = open_directory(path, options, &dirfd, err);
    if (rc != 0) {
        rc = rc == INSTAR_ENOSTORE ? INSTAR_EFOREIGN : rc;
        goto out_parent;
    }
    rc = file_open(dirfd, LOCK_NAME, O_RDWR | O_CREAT, &lock, err);
    if (rc != 0) {
        goto out_dir;
    }
    rc = os_lock_exclusive(lock);
    if (rc != 0) {
        rc = rc == -EAGAIN ? base_err_set(err, INSTAR_EEXISTS, "%s: is in use", path)
                           : base_err_errno(err, -rc, "%s/" LOCK_NAME ": cannot be locked", path);
        goto out_lock;
    }
    rc = make_store(dirfd, path, options, err);
    if (rc == 0) {
        rc = os_fsync_dir(parent);
        rc = rc == 0 ? 0
                     : base_err_errno(err, -rc, "%s: the directory above cannot be synced", path);
    }
out_lock:
    (void)os_unlock(lock); /* a child forked meanwhile has it too */
    os_close(lock);
out_dir:
    os_close(dirfd);
out_parent:
    os_close(parent);
    return rc;
}
