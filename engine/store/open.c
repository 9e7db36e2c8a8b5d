/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing. Every process that has the store open holds a shared lock on the file
 * `lock`; it is an open-file-description lock, so it goes with the process, and closing some other
 * descriptor does not drop it.
 *
 *   exclusive lock   nobody else is there: recover, build control, make the lock a shared one
 *   shared lock      somebody is there: join their control. If it is not ready, its builder has
 *                    died: let go, and try for the exclusive lock again
 *   neither          an opener or the last closer is at work: again after a while
 *
 * One open per process (H-4): a list of device and inode numbers refuses a second one. An entry
 * made before a fork is the parent's and does not count.
 */
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define RETRY_NS ((uint64_t)2 * 1000 * 1000)
#define NS_PER_MS 1000000u

/* ---- one open per process ------------------------------------------------------------------ */

struct opened {
    uint64_t device, inode;
    pid_t pid;
    struct opened *next;
};
static struct os_plain_mutex opened_lock = {PTHREAD_MUTEX_INITIALIZER};
static struct opened *opened_first;

/* A child may open the store itself, whatever other threads did when it was forked. */
__attribute__((constructor)) static void guard_fork(void)
{
    os_plain_guard_fork(&opened_lock);
}

static int enter_opened(struct store *s, const char *path, struct base_err *err)
{
    struct opened *mine = base_alloc(sizeof(*mine));
    bool there = false;
    if (mine == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory");
    }
    *mine = (struct opened){.device = s->device, .inode = s->inode, .pid = s->pid};
    os_plain_lock(&opened_lock);
    for (const struct opened *o = opened_first; o != NULL; o = o->next) {
        there = there || (o->device == s->device && o->inode == s->inode && o->pid == s->pid);
    }
    if (!there) {
        mine->next = opened_first;
        opened_first = mine;
    }
    os_plain_unlock(&opened_lock);
    if (there) {
        base_free(mine);
        return base_err_set(err, INSTAR_EINUSE,
                            "%s: this process has it open already; share that handle", path);
    }
    return 0;
}

static void leave_opened(struct store *s)
{
    os_plain_lock(&opened_lock);
    for (struct opened **at = &opened_first; *at != NULL; at = &(*at)->next) {
        struct opened *o = *at;
        if (o->device == s->device && o->inode == s->inode && o->pid == s->pid) {
            *at = o->next;
            base_free(o);
            break;
        }
    }
    os_plain_unlock(&opened_lock);
}

/* ---- directory ---------------------------------------------------------------------------- */

int open_directory(const char *path, const instar_options *o, int *fd_out, struct base_err *err)
{
    bool network;
    *fd_out = -1;
    int rc = file_open_dir(AT_FDCWD, path, false, fd_out, err);
    if (rc != 0) {
        return rc == INSTAR_ENOTFOUND
                   ? base_err_set(err, INSTAR_ENOSTORE, "%s: no such directory", path)
                   : rc;
    }
    rc = os_fs_is_network(*fd_out, &network);
    if (rc != 0) {
        rc = base_err_errno(err, -rc, "%s: its file system cannot be looked at", path);
    } else if (network && (o->flags & INSTAR_OPEN_FORCE_NETWORK) == 0) {
        rc = base_err_set(err, INSTAR_EFOREIGN,
                          "%s: is on a network file system, which keeps neither locks nor order; "
                          "INSTAR_OPEN_FORCE_NETWORK opens it all the same",
                          path);
    }
    if (rc != 0) {
        os_close(*fd_out);
        *fd_out = -1;
    }
    return rc;
}

/* The lock is taken over from the maker of the store, when lock_fd is one. */
static int open_files(struct store *s, const char *path, const instar_options *given,
                      struct base_err *err)
{
    bool fresh = s->lock_fd >= 0;
    struct format f;
    struct stat st;
    int rc = open_directory(path, given, &s->dirfd, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_fstat(s->dirfd, &st);
    if (rc != 0) {
        return base_err_errno(err, -rc, "%s: cannot be looked at", path);
    }
    s->device = (uint64_t)st.st_dev;
    s->inode = (uint64_t)st.st_ino;
    rc = format_read(s->dirfd, path, fresh ? FORMAT_FRESH : FORMAT_NAME, &f, err);
    if (rc == 0) {
        rc = format_options(given, &f, &s->options, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (os_file_size_limit() < f.segment_bytes) {
        /* A commit would fail inside a record, and so would the attempt to make it void. */
        return base_err_set(err, INSTAR_ENOSPACE,
                            "%s: this process may write files of %llu bytes (ulimit -f), a segment "
                            "of the log has %llu",
                            path, (unsigned long long)os_file_size_limit(),
                            (unsigned long long)f.segment_bytes);
    }
    memcpy(s->log_id, f.log_id, 16);
    memcpy(s->instance_id, f.instance_id, 16);
    s->segment_bytes = f.segment_bytes;
    if (!fresh) {
        rc = file_open(s->dirfd, LOCK_NAME, O_RDWR | O_CREAT, &s->lock_fd, err);
    }
    if (rc == 0) {
        rc = file_open_dir(s->dirfd, LOG_DIR, false, &s->log_fd, err);
        rc = rc == INSTAR_ENOTFOUND
                 ? base_err_set(err, INSTAR_ECORRUPT, LOG_DIR ": the directory is missing")
                 : rc;
    }
    if (rc != 0) {
        base_err_prefix(err, "%s", path);
    }
    return rc;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        os_close(*fd);
        *fd = -1;
    }
}

/* ---- open --------------------------------------------------------------------------------- */

static int recover_alone(struct store *s, const struct control_past *past, struct base_err *err)
{
    int rc = trees_open(s, true, err);
    if (rc != 0) {
        return rc;
    }
    rc = spill_remove_all(s, err);
    if (rc == 0) {
        rc = recovery_run(s, past, err);
    }
    if (rc == 0) {
        rc = os_lock_shared(s->lock_fd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, LOCK_NAME ": cannot be shared");
    }
    if (rc != 0) {
        trees_close(s);
    }
    return rc;
}

/* With the exclusive lock. */
static int open_alone(struct store *s, struct base_err *err)
{
    struct control_past past;
    int rc = stopped_check(s, err);
    if (rc == 0) {
        rc = runtime_past(s, &past, err);
    }
    if (rc == 0) {
        rc = stopped_past(&past, err);
    }
    if (rc == 0) {
        rc = runtime_make(s, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = recover_alone(s, &past, err);
    if (rc != 0) {
        runtime_give_up(s);
    }
    return rc;
}

/* With the shared lock. EBUSY: the control that is there cannot be joined, and may soon be
 * replaced. */
static int open_joined(struct store *s, struct base_err *err)
{
    uint64_t builder;
    int rc = runtime_join(s, &builder, err);
    if (rc == 0) {
        rc = control_join(s, builder, err);
    }
    if (rc == 0) {
        rc = store_poisoned(s, err);
    }
    return rc == 0 ? trees_open(s, false, err) : rc;
}

static void forget_join(struct store *s)
{
    control_close(s);
    close_fd(&s->runtime_fd);
}

uint64_t open_retry_ns(void)
{
    uint8_t byte = 0;
    (void)os_random(&byte, 1);
    return RETRY_NS + RETRY_NS * byte / 64;
}

static int enter(struct store *s, struct base_err *err)
{
    uint64_t deadline = os_now_ns() + (uint64_t)s->options.lock_timeout_ms * NS_PER_MS;
    for (;;) {
        base_err_set(err, INSTAR_EBUSY, "another opener or closer is at work");
        int rc = os_lock_exclusive(s->lock_fd);
        if (rc == 0) {
            base_err_clear(err);
            return open_alone(s, err);
        }
        if (rc == -EAGAIN) {
            rc = os_lock_shared(s->lock_fd);
        }
        if (rc == 0) {
            rc = open_joined(s, err);
            if (rc != INSTAR_EBUSY) {
                return rc;
            }
            forget_join(s);
            os_unlock(s->lock_fd);
        } else if (rc != -EAGAIN) {
            return base_err_errno(err, -rc, LOCK_NAME ": cannot be locked");
        }
        if (control_left_ns(deadline) == 0) {
            return err != NULL ? err->code : INSTAR_EBUSY;
        }
        os_sleep_ns(open_retry_ns());
    }
}

void open_free(struct store *s)
{
    segment_close_all(s);
    control_close(s);
    close_fd(&s->runtime_fd);
    close_fd(&s->log_fd);
    if (s->lock_fd >= 0) {
        /* The last thing that others wait for. Closing is not enough: a child that was forked
         * meanwhile has the same open file description, and would keep the lock. */
        (void)os_unlock(s->lock_fd);
    }
    close_fd(&s->lock_fd);
    close_fd(&s->dirfd);
    os_plain_destroy(&s->segments_lock);
    os_plain_destroy(&s->writers_lock);
    base_free(s);
}

static int open_shell(const char *path, const instar_options *options, int lock_fd,
                      struct store **store_out, struct base_err *err)
{
    *store_out = NULL;
    struct store *s = base_alloc_zero(1, sizeof(*s));
    if (s == NULL) {
        close_fd(&lock_fd);
        return base_err_set(err, INSTAR_ENOMEM, "no memory to open a store");
    }
    s->dirfd = s->log_fd = s->runtime_fd = -1;
    s->lock_fd = lock_fd;
    s->pid = os_pid();
    os_plain_init(&s->segments_lock);
    os_plain_init(&s->writers_lock);
    int rc = open_files(s, path, options, err);
    if (rc != 0) {
        open_free(s);
        return rc;
    }
    *store_out = s;
    return 0;
}

int open_store_files(const char *path, const instar_options *options, struct store **store_out,
                     struct base_err *err)
{
    return open_shell(path, options, -1, store_out, err);
}

/* Folding into a damaged tree could end the process, and would change what is to be saved. */
static bool salvages(const struct store *s)
{
    return (s->options.flags & INSTAR_OPEN_SALVAGE) != 0;
}

static int open_and_enter(const char *path, const instar_options *options, int lock_fd,
                          struct store **store_out, struct base_err *err)
{
    struct store *s;
    *store_out = NULL;
    int rc = open_shell(path, options, lock_fd, &s, err);
    if (rc != 0) {
        return rc;
    }
    rc = enter_opened(s, path, err);
    if (rc != 0) {
        goto out_free;
    }
    rc = enter(s, err);
    if (rc != 0) {
        goto out_opened;
    }
    rc = node_open(s, err);
    if (rc != 0) {
        goto out_trees;
    }
    rc = salvages(s) ? 0 : applier_start(s, err);
    if (rc != 0) {
        goto out_node;
    }
    *store_out = s;
    return 0;
out_node:
    node_close(s);
out_trees:
    trees_close(s);
out_opened:
    leave_opened(s);
out_free:
    open_free(s);
    return rc;
}

int store_open(const char *path, const instar_options *options, struct store **store_out,
               struct base_err *err)
{
    return open_and_enter(path, options, -1, store_out, err);
}

int open_fresh(const char *path, const instar_options *options, int lock_fd,
               struct store **store_out, struct base_err *err)
{
    return open_and_enter(path, options, lock_fd, store_out, err);
}

/* ---- close -------------------------------------------------------------------------------- */

/* Segments that were made ahead; nothing is in them. */
static void remove_unused(struct store *s)
{
    uint64_t tail = control_load(&s->ctl->tail);
    uint64_t prepared = control_load(&s->ctl->prepared);
    uint64_t start = segment_base(tail, s->segment_bytes);
    start = start == tail ? start : start + s->segment_bytes;
    for (; start <= prepared; start += s->segment_bytes) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(name, start, "seg");
        file_remove(s->log_fd, name, NULL);
    }
}

int store_close(struct store *s, struct base_err *err)
{
    uint64_t limit_ns = (uint64_t)s->options.lock_timeout_ms * NS_PER_MS;
    int rc = flush_to(s, control_load(&s->ctl->tail), os_now_ns() + limit_ns, true, err);
    bool last = os_lock_exclusive(s->lock_fd) == 0;
    bool clean = last && rc == 0 && !salvages(s);
    if (clean) {
        /* Nobody can come in now. All in the trees makes the next open short. */
        uint64_t tail = control_load(&s->ctl->tail);
        clean = store_wait_applied(s, tail, STORE_URGE_NOW, os_now_ns() + limit_ns, NULL) == 0;
    }
    atomic_store(&s->closing, true); /* what the threads look at */
    applier_stop(s);
    node_close(s);
    trees_close(s);
    if (clean && store_poisoned(s, NULL) == 0) {
        remove_unused(s);
        runtime_remove(s);
    }
    leave_opened(s);
    open_free(s);
    return rc;
}
