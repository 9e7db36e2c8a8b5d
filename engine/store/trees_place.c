/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where LMDB finds its two files. It wants the lock file beside the one with the data, and maps it:
 * each reader and each writer stores into it. On a disk such a store may need room that is not
 * there (btrfs writes each page elsewhere, a quota counts it anew) and ends the process by SIGBUS.
 * So the lock file lies where control lies, in shared memory, and LMDB is given a name there that
 * leads to both, for the moment in which it opens them:
 *
 *   data.mdb.<pid>       ->  /proc/self/fd/<the store's directory>/data.mdb
 *   data.mdb.<pid>-lock  ->  /proc/self/fd/<the lock file, held open>
 *
 * LMDB itself makes no file: whoever is alone makes the lock file anew, with all its room, and one
 * who joins finds it or is refused. Two lock files of one store would be two writers at once.
 *
 * The descriptor is closed behind LMDB's own: closing any of a file drops the locks of the process
 * (H-4).
 */
#include "store/log.h"
#include "store/trees_lmdb.h"

#include <fcntl.h>
#include <stdio.h>

#define LOCK_FILE "lock.mdb"

/* For each reader a line of the cache, and two for the head. */
uint64_t trees_lock_bytes(const instar_options *o)
{
    return ((uint64_t)o->readers_max + 2) * 64;
}

struct names {
    char data[32], lock[40];
};

static struct names names_of(const struct store *s)
{
    struct names n;
    snprintf(n.data, sizeof(n.data), TREES_FILE ".%d", (int)s->pid);
    snprintf(n.lock, sizeof(n.lock), "%s-lock", n.data);
    return n;
}

/* One that is there was left by a process of the same number, which was killed. */
static int make_link(int dirfd, const char *name, const char *to, struct base_err *err)
{
    int rc = os_symlinkat(to, dirfd, name);
    if (rc == -EEXIST && file_remove(dirfd, name, NULL) == 0) {
        rc = os_symlinkat(to, dirfd, name);
    }
    return rc == 0 ? 0 : base_err_errno(err, -rc, "%s: cannot be made", name);
}

static int make_links(const struct store *s, int lock_fd, struct base_err *err)
{
    struct names n = names_of(s);
    char to[64];
    snprintf(to, sizeof(to), "/proc/self/fd/%d/" TREES_FILE, s->dirfd);
    int rc = make_link(s->runtime_fd, n.data, to, err);
    snprintf(to, sizeof(to), "/proc/self/fd/%d", lock_fd);
    return rc == 0 ? make_link(s->runtime_fd, n.lock, to, err) : rc;
}

void trees_place_forget(const struct store *s)
{
    struct names n = names_of(s);
    /* Where they stay they are swept by the next who is alone. */
    (void)file_remove(s->runtime_fd, n.data, NULL);
    (void)file_remove(s->runtime_fd, n.lock, NULL);
}

int trees_place_take(const struct store *s, bool alone, struct trees_place *out,
                     struct base_err *err)
{
    *out = (struct trees_place){.lock_fd = -1};
    int rc = alone ? file_make_allocated(s->runtime_fd, LOCK_FILE, trees_lock_bytes(&s->options),
                                         &out->lock_fd, err)
                   : file_open(s->runtime_fd, LOCK_FILE, O_RDWR, &out->lock_fd, err);
    if (rc == INSTAR_ENOTFOUND) {
        rc = base_err_set(err, INSTAR_EBUSY,
                          LOCK_FILE ": is not there, but another process has the store open");
    }
    if (rc != 0) {
        base_err_prefix(err, "%s", s->runtime_path);
        return rc;
    }
    rc = make_links(s, out->lock_fd, err);
    if (rc != 0) {
        base_err_prefix(err, "%s", s->runtime_path);
        trees_place_forget(s);
        trees_place_leave(out);
        return rc;
    }
    snprintf(out->path, sizeof(out->path), "/proc/self/fd/%d/%s", s->runtime_fd, names_of(s).data);
    return 0;
}

void trees_place_leave(struct trees_place *p)
{
    if (p->lock_fd >= 0) {
        os_close(p->lock_fd);
        p->lock_fd = -1;
    }
}
