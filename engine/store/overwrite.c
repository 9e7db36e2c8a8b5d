/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overwriting what nothing refers to any more. LMDB leaves deleted rows where they were, in pages
 * that are free and in the free room of others; the log has all that was written lately.
 *
 *   purge   opened as by any other process, and closed as by the last one: what was dropped is
 *           emptied, and all of the log is in the trees
 *   metas   the older meta page becomes one of the newer one's snapshot, so that no page of the
 *           snapshot before is needed
 *   trees   each byte of data.mdb that a walk of all pages finds in no node and no value
 *   log     each byte, since a recovery begins behind all of them
 *
 * Each step is on the disk before the next one begins, and each writes only what no later open
 * reads: a death on the way leaves a store in which less was overwritten.
 */
#include "store/log.h"
#include "store/pages.h"
#include "store/trees.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TREES "data.mdb"
#define CHUNK ((size_t)64 << 10)
#define POLL_NS ((uint64_t)10000000)
#define TRIES 3

struct overwriting {
    struct store *s;
    int fd;
    uint8_t *bytes; /* a chunk of the file */
    uint8_t *zeros;
    uint64_t done;
    bool more; /* than the trees hold is in the log */
    struct base_err *err;
};

/* ---- purge -------------------------------------------------------------------------------- */

struct dead {
    struct store *s;
    uint64_t entries;
    struct base_err *err;
};

static int add_dead(void *arg, uint64_t tree, bool dead)
{
    struct dead *d = arg;
    struct store_tree_stat stat;
    int rc = dead ? store_tree_stat(d->s, tree, &stat, d->err) : 0;
    d->entries += dead && rc == 0 ? stat.entries + 1 : 0;
    return rc;
}

/* As long as they become fewer. */
static int await_purge(struct store *s, struct base_err *err)
{
    uint64_t before = UINT64_MAX, deadline = 0;
    for (;;) {
        struct dead d = {.s = s, .err = err};
        int rc = store_tree_list(s, add_dead, &d, err);
        rc = rc == 0 ? store_poisoned(s, err) : rc;
        if (rc != 0 || d.entries == 0) {
            return rc;
        }
        if (d.entries < before) {
            before = d.entries;
            deadline = os_now_ns() + (uint64_t)s->options.lock_timeout_ms * 1000000u;
        }
        if (os_now_ns() > deadline) {
            return base_err_set(err, INSTAR_EBUSY, "what was dropped is not emptied: %llu entries",
                                (unsigned long long)d.entries);
        }
        os_sleep_ns(POLL_NS);
    }
}

static int settle(const char *path, const instar_options *options, struct base_err *err)
{
    struct store *s;
    int rc = store_open(path, options, &s, err);
    if (rc != 0) {
        return rc;
    }
    rc = await_purge(s, err);
    int closed = store_close(s, rc == 0 ? err : NULL);
    return rc != 0 ? rc : closed;
}

/* ---- zeros -------------------------------------------------------------------------------- */

/* Where zeros are already, nothing is written. */
static int overwrite(void *arg, uint64_t at, uint64_t size)
{
    struct overwriting *o = arg;
    int rc = 0;
    while (rc == 0 && size > 0) {
        size_t part = size < CHUNK ? (size_t)size : CHUNK, got = 0;
        rc = os_pread(o->fd, o->bytes, part, (off_t)at, &got);
        if (rc == 0 && memcmp(o->bytes, o->zeros, got) != 0) {
            rc = os_pwrite(o->fd, o->zeros, got, (off_t)at);
            o->done += got;
        }
        at += part;
        size -= part;
    }
    return rc == 0 ? 0 : base_err_errno(o->err, -rc, "cannot be overwritten");
}

/* What a failed sync has lost the page cache still shows, here as to a commit: so nobody opens the
 * store before it was compared with the disk, or the machine was started anew. */
static int sync_all(struct overwriting *o)
{
    int rc = os_fdatasync(o->fd);
    if (rc == 0) {
        return 0;
    }
    stopped_mark(o->s, "zeros could not be synced");
    return base_err_errno(o->err, -rc, "cannot be synced");
}

static int sync_and_close(struct overwriting *o, int rc)
{
    rc = rc == 0 ? sync_all(o) : rc;
    os_close(o->fd);
    return rc;
}

/* ---- metas, trees ------------------------------------------------------------------------- */

static int overwrite_pages(struct overwriting *o)
{
    struct pages p = {.fd = o->fd, .unused = overwrite, .arg = o};
    int rc = pages_metas(&p, o->err);
    rc = rc == 0 ? pages_meta_copy(p.fd, &p.meta, 1 - (p.meta.txn & 1), o->err) : rc;
    rc = rc == 0 ? sync_all(o) : rc;
    os_point("overwrite.metas");
    rc = rc == 0 ? pages_walk(&p, o->err) : rc;
    return rc == 0 && p.findings > 0
               ? base_err_set(o->err, INSTAR_ECORRUPT, "changes while it is read")
               : rc;
}

static int overwrite_trees(struct overwriting *o)
{
    int rc = file_open(o->s->dirfd, TREES, O_RDWR, &o->fd, o->err);
    if (rc != 0) {
        return rc;
    }
    rc = sync_and_close(o, overwrite_pages(o));
    if (rc != 0) {
        base_err_prefix(o->err, TREES);
    }
    os_point("overwrite.trees");
    return rc;
}

/* ---- log ---------------------------------------------------------------------------------- */

static int overwrite_segment(struct overwriting *o, uint64_t start)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, start, "seg");
    int rc = file_open(o->s->log_fd, name, O_RDWR, &o->fd, o->err);
    if (rc != 0) {
        return rc;
    }
    rc = sync_and_close(o, overwrite(o, 0, o->s->segment_bytes));
    if (rc != 0) {
        base_err_prefix(o->err, "log/%s", name);
    }
    os_point("overwrite.segment");
    return rc;
}

static int overwrite_log(struct overwriting *o)
{
    uint64_t *starts;
    size_t count;
    int rc = recovery_segments(o->s, &starts, &count, o->err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = overwrite_segment(o, starts[i]);
    }
    base_free(starts);
    return rc;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Our close may not have come to it; and whoever came in between may have died. */
static int all_is_folded(struct overwriting *o)
{
    struct store *s = o->s;
    struct base_err *err = o->err;
    struct control_past past;
    struct trees_mark mark;
    uint64_t stop = 0;
    bool building;
    int rc = stopped_check(s, err);
    rc = rc == 0 ? runtime_past(s, &past, err) : rc;
    rc = rc == 0 ? files_position(s->dirfd, true, &mark, &building, err) : rc;
    if (rc == 0) {
        struct trees_position position = {mark.lo, mark.hi, mark.chain};
        rc = recovery_look(s, &position, &past, &stop, err);
        segment_close_all(s);
    }
    o->more = rc == 0 && (past.found || mark.lo != stop || mark.hi != stop);
    if (o->more) {
        rc = base_err_set(err, INSTAR_EBUSY,
                          "not all of the log could be folded, or a process has died meanwhile");
    }
    return rc;
}

static int overwrite_alone(struct overwriting *o)
{
    int rc = os_lock_exclusive(o->s->lock_fd);
    if (rc != 0) {
        return rc == -EAGAIN ? base_err_set(o->err, INSTAR_EBUSY, "a process has the store open")
                             : base_err_errno(o->err, -rc, "keeping others out of the store");
    }
    rc = all_is_folded(o);
    rc = rc == 0 ? overwrite_trees(o) : rc;
    return rc == 0 ? overwrite_log(o) : rc;
}

static int overwrite_files(struct overwriting *o)
{
    o->bytes = base_alloc(CHUNK);
    o->zeros = base_alloc_zero(1, CHUNK);
    int rc = o->bytes != NULL && o->zeros != NULL
                 ? overwrite_alone(o)
                 : base_err_set(o->err, INSTAR_ENOMEM, "no memory to overwrite anything");
    base_free(o->bytes);
    base_free(o->zeros);
    return rc;
}

static int try_once(struct overwriting *o, const char *path, const instar_options *options)
{
    o->more = false;
    int rc = settle(path, options, o->err);
    rc = rc == 0 ? open_store_files(path, options, &o->s, o->err) : rc;
    if (rc != 0) {
        return rc;
    }
    rc = overwrite_files(o);
    if (rc != 0) {
        base_err_prefix(o->err, "%s", path);
    }
    open_free(o->s);
    return rc;
}

int store_overwrite(const char *path, const instar_options *options, uint64_t *bytes_out,
                    struct base_err *err)
{
    struct overwriting o = {.err = err};
    int rc = try_once(&o, path, options);
    for (int tries = 1; o.more && tries < TRIES; tries++) {
        base_err_clear(err);
        rc = try_once(&o, path, options);
    }
    *bytes_out = o.done;
    return rc;
}
