/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a store, in a directory that is empty or not there yet:
 *
 *   directory -> lock -> creating -> log/ spill/ data.mdb -> all synced -> format.new
 *             -> opened and filled -> format -> creating removed
 *
 * The format file comes last, by rename, so there is a store exactly when it is there; until then
 * its maker holds the lock and nobody else can open it. An attempt that fails takes back what it
 * made. What a death in between leaves is told by the file `creating`: then the next attempt clears
 * it away. Without that file nothing in a directory that is not empty is touched.
 */
#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CREATING_NAME "creating"

struct create {
    const instar_options *options;
    int (*fill)(struct store *s, struct base_err *err); /* or NULL */
    struct restore *from;                               /* a backup that it is made from, or NULL */
};

/* What an attempt may have left, in the order in which it is cleared away: `creating` when nothing
 * else is left to be cleared. */
static const char *const own_dirs[] = {LOG_DIR, SPILL_DIR, RUNTIME_DIR};
static const char *const own_files[] = {"data.mdb",   "lock.mdb",    STOPPED_NAME,
                                        FORMAT_FRESH, CREATING_NAME, LOCK_NAME};
#define FILES_BUT_MARKS (BASE_ARRAY_LEN(own_files) - 2)

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

int open_parent(const char *path, int *fd_out, struct base_err *err)
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
    bool own = false;
    for (size_t i = 0; i < BASE_ARRAY_LEN(own_dirs); i++) {
        own = own || strcmp(name, own_dirs[i]) == 0;
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(own_files); i++) {
        own = own || strcmp(name, own_files[i]) == 0;
    }
    return own;
}

static int make_dir(int dirfd, const char *name, struct base_err *err)
{
    int fd;
    int rc = file_open_dir(dirfd, name, true, &fd, err);
    if (rc == 0) {
        rc = os_fsync_dir(fd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, "%s: cannot be synced", name);
        os_close(fd);
    }
    return rc;
}

static int remove_dir(int dirfd, const char *name, struct base_err *err)
{
    char **names;
    size_t count;
    int fd;
    int rc = file_open_dir(dirfd, name, false, &fd, NULL);
    if (rc != 0) {
        return rc == INSTAR_ENOTFOUND ? 0 : base_err_set(err, rc, "%s: cannot be opened", name);
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
    os_close(fd);
    if (rc == 0) {
        rc = os_unlinkat(dirfd, name, AT_REMOVEDIR);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, "%s: cannot be removed", name);
    }
    return rc;
}

/* Controls and memtables of an attempt; where they are follows from its ids. */
static void discard_runtime(int dirfd, const char *path)
{
    struct format f;
    struct stat st;
    if (format_read(dirfd, path, FORMAT_FRESH, &f, NULL) == 0 && os_fstat(dirfd, &st) == 0) {
        struct store s = {.dirfd = dirfd,
                          .runtime_fd = -1,
                          .device = (uint64_t)st.st_dev,
                          .inode = (uint64_t)st.st_ino};
        memcpy(s.log_id, f.log_id, 16);
        memcpy(s.instance_id, f.instance_id, 16);
        runtime_discard(&s);
    }
}

/* Clear away an attempt, but for its marks. */
static int discard(int dirfd, const char *path, struct base_err *err)
{
    int rc = 0;
    discard_runtime(dirfd, path);
    for (size_t i = 0; i < BASE_ARRAY_LEN(own_dirs) && rc == 0; i++) {
        rc = remove_dir(dirfd, own_dirs[i], err);
    }
    for (size_t i = 0; i < FILES_BUT_MARKS && rc == 0; i++) {
        rc = file_remove(dirfd, own_files[i], err);
    }
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

/* That of a backup: the same log, another instance of it. */
static int restored_format(const struct restore *from, struct format *f, struct base_err *err)
{
    *f = from->manifest.format;
    f->created_us = os_realtime_us();
    return os_random(f->instance_id, 16) == 0 ? 0
                                              : base_err_set(err, INSTAR_EIO, "no random bytes");
}

/* Alone in the directory: all of this may be made again. */
static int make_store(int dirfd, const char *path, const struct create *c, struct base_err *err)
{
    struct format f;
    instar_options complete;
    int rc = check_empty(dirfd, path, err);
    if (rc == 0) {
        rc = c->from != NULL ? restored_format(c->from, &f, err) : new_format(c->options, &f, err);
    }
    if (rc == 0) {
        rc = format_options(c->options, &f, &complete, err);
    }
    if (rc == 0) {
        rc = mark_creating(dirfd, err);
    }
    os_point("create.marked");
    if (rc == 0) {
        rc = discard(dirfd, path, err);
    }
    if (rc == 0) {
        rc = make_dir(dirfd, LOG_DIR, err);
    }
    if (rc == 0) {
        rc = make_dir(dirfd, SPILL_DIR, err);
    }
    if (rc == 0) {
        rc = c->from != NULL ? restore_files(c->from, dirfd, &f, err)
                             : trees_create(dirfd, &complete, f.log_id, err);
    }
    os_point("create.made");
    return rc == 0 ? format_write(dirfd, &f, err) : rc;
}

static int install(int dirfd, struct base_err *err)
{
    int rc = format_install(dirfd, err);
    os_point("create.formatted");
    if (rc == 0) {
        (void)file_remove(dirfd, CREATING_NAME, NULL);
        (void)os_fsync_dir(dirfd); /* if it is lost, the next open does not mind */
    }
    return rc;
}

/* Takes the lock over. */
static int fill_and_install(int dirfd, const char *path, const struct create *c, int lock,
                            struct base_err *err)
{
    struct store *s;
    int rc = open_fresh(path, c->options, lock, &s, err);
    if (rc != 0) {
        return rc;
    }
    rc = c->fill != NULL ? c->fill(s, err) : 0;
    if (rc == 0 && c->from != NULL && store_tail(s) != c->from->end) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "its log can be read up to %llu, expected %llu",
                          (unsigned long long)store_tail(s), (unsigned long long)c->from->end);
    }
    if (rc == 0) {
        /* A disk without room for it shows now, not when the store is there. */
        uint64_t limit_ns = (uint64_t)c->options->lock_timeout_ms * 1000000u;
        rc = store_wait_applied(s, store_tail(s), STORE_URGE_SOON, os_now_ns() + limit_ns, err);
    }
    if (rc == 0) {
        rc = install(dirfd, err);
    }
    int rc_close = store_close(s, rc == 0 ? err : NULL);
    return rc != 0 ? rc : rc_close;
}

/* ---- taking it back ------------------------------------------------------------------------ */

/* What stands in the way is not ours, or is somebody else's by now: then it is left alone. The lock
 * file goes only together with the directory: another maker may be waiting with it in hand. */
static void take_back(int dirfd, const char *path, bool made)
{
    int lock;
    int rc = file_open(dirfd, LOCK_NAME, O_RDWR, &lock, NULL);
    if (rc != 0) {
        if (made && rc == INSTAR_ENOTFOUND) {
            (void)os_unlinkat(AT_FDCWD, path, AT_REMOVEDIR); /* if it is empty */
        }
        return;
    }
    if (os_lock_exclusive(lock) == 0 && check_empty(dirfd, path, NULL) == 0 &&
        discard(dirfd, path, NULL) == 0) {
        (void)os_fsync_dir(dirfd);
        (void)file_remove(dirfd, CREATING_NAME, NULL);
        if (made) {
            (void)file_remove(dirfd, LOCK_NAME, NULL);
            (void)os_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
        }
    }
    (void)os_unlock(lock);
    os_close(lock);
}

/* ---- create -------------------------------------------------------------------------------- */

/* Another maker is waited for: what it makes is there then, for this one too. */
static int lock_directory(int dirfd, const char *path, const instar_options *o, int *lock_out,
                          struct base_err *err)
{
    uint64_t deadline = os_now_ns() + (uint64_t)o->lock_timeout_ms * 1000000u;
    int rc = file_open(dirfd, LOCK_NAME, O_RDWR | O_CREAT, lock_out, err);
    if (rc != 0) {
        return rc;
    }
    os_overwrite_in_place(*lock_out); /* its note is written when the disk is full, too */
    while ((rc = os_lock_exclusive(*lock_out)) == -EAGAIN) {
        rc = check_empty(dirfd, path, err);
        if (rc == 0 && control_left_ns(deadline) == 0) {
            rc = base_err_set(err, INSTAR_EBUSY, "%s: another process is making a store there",
                              path);
        }
        if (rc != 0) {
            goto out_close;
        }
        os_sleep_ns(open_retry_ns());
    }
    if (rc == 0) {
        return 0;
    }
    rc = base_err_errno(err, -rc, "%s/" LOCK_NAME ": cannot be locked", path);
out_close:
    os_close(*lock_out);
    *lock_out = -1;
    return rc;
}

static int create_in(int dirfd, const char *path, const struct create *c, struct base_err *err)
{
    int lock;
    int rc = check_empty(dirfd, path, err); /* before the lock file would stand in it */
    if (rc == 0) {
        rc = lock_directory(dirfd, path, c->options, &lock, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = make_store(dirfd, path, c, err);
    if (rc == 0 && (c->fill != NULL || c->from != NULL)) {
        return fill_and_install(dirfd, path, c, lock, err);
    }
    if (rc == 0) {
        rc = install(dirfd, err);
    }
    (void)os_unlock(lock); /* a child forked meanwhile has it too */
    os_close(lock);
    return rc;
}

static int create(const char *path, const struct create *c, struct base_err *err)
{
    int parent;
    int dirfd;
    int rc = open_parent(path, &parent, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_mkdirat(AT_FDCWD, path);
    bool made = rc == 0;
    if (rc != 0 && rc != -EEXIST) {
        rc = refuse_path(path, -rc, "the directory cannot be made", err);
        goto out_parent;
    }
    rc = open_directory(path, c->options, &dirfd, err);
    if (rc != 0) {
        rc = rc == INSTAR_ENOSTORE ? INSTAR_EFOREIGN : rc;
        if (made) {
            (void)os_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
        }
        goto out_parent;
    }
    rc = create_in(dirfd, path, c, err);
    if (rc != 0) {
        take_back(dirfd, path, made);
    } else {
        rc = os_fsync_dir(parent);
        rc = rc == 0 ? 0
                     : base_err_errno(err, -rc, "%s: the directory above cannot be synced", path);
    }
    os_close(dirfd);
out_parent:
    os_close(parent);
    return rc;
}

int store_create_filled(const char *path, const instar_options *options,
                        int (*fill)(struct store *s, struct base_err *err), struct base_err *err)
{
    const struct create c = {.options = options, .fill = fill};
    return create(path, &c, err);
}

int store_create_from(const char *path, const instar_options *options, struct restore *from,
                      struct base_err *err)
{
    const struct create c = {.options = options, .from = from};
    return create(path, &c, err);
}

int store_create(const char *path, const instar_options *options, struct base_err *err)
{
    return store_create_filled(path, options, NULL, err);
}
