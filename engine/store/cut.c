/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting the log on request. Recovery refuses a log whose middle is damaged (recovery.c, step 2):
 * it cannot know whether an older copy of the store would be better. An operator who has none may
 * have the log end at its last whole record; all commits behind that are lost, be they readable or
 * not, since each may have built on the one that is not.
 *
 *   look     what recovery would say, without changing anything. A log that it takes is left alone.
 *   refuse   where a cut would not leave the state of one moment: the trees hold something that was
 *            logged behind it, or a tree is being built, of rows that may have been read there.
 *   copy     the segments that will change, to log.before-cut, synced before anything changes.
 *   forget   an earlier `control` of this boot, which says that the lost part was durable.
 *   cut      the rest of the last record's segment is zeroed, later segments are deleted; synced.
 *
 * A death on the way leaves a log that is refused as before, or one that is cut: the copy is there
 * in any case. The next open does what it does after every crash.
 */
#include "store/log.h"
#include "store/trees.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define COPY_NAME "log.before-cut"
#define COPY_FRESH "log.before-cut.new"

struct cut {
    struct store *s;
    struct trees_position position;
    struct control_past past;
    uint64_t stop;
    uint64_t *starts; /* of the segments that are there, ascending */
    size_t count;
    instar_log_cut *out;
};

static uint64_t stop_base(const struct cut *c)
{
    return segment_base(c->stop, c->s->segment_bytes);
}

/* ---- look --------------------------------------------------------------------------------- */

/* Recovery's verdict: true when it refuses; the reason goes to the result. */
static int look(struct cut *c, bool *damaged_out, struct base_err *err)
{
    struct base_err own = {0};
    int rc = recovery_look(c->s, &c->position, &c->past, &c->stop, &own);
    segment_close_all(c->s);
    *damaged_out = rc == INSTAR_ECORRUPT;
    if (rc != 0 && rc != INSTAR_ECORRUPT) {
        return base_err_set(err, rc, "%s", own.text);
    }
    if (rc != 0) {
        (void)snprintf(c->out->reason, sizeof(c->out->reason), "%.500s", own.text);
    }
    return 0;
}

static int refuse(const struct cut *c, bool building, struct base_err *err)
{
    if (c->stop < c->position.hi) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "the log cannot be cut at %llu: the trees hold a part of what was "
                            "logged up to %llu; restore from a backup",
                            (unsigned long long)c->stop, (unsigned long long)c->position.hi);
    }
    if (building) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "the log cannot be cut at %llu: an index is being built, of rows that "
                            "may have been written behind that; restore from a backup",
                            (unsigned long long)c->stop);
    }
    return 0;
}

static int get_position(struct cut *c, bool *building_out, struct base_err *err)
{
    struct trees_mark mark = {0};
    int rc = files_position(c->s->dirfd, false, &mark, building_out, err);
    if (rc == 0 && memcmp(mark.log_id, c->s->log_id, sizeof(mark.log_id)) != 0) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "data.mdb and the log are of different stores");
    }
    c->position = (struct trees_position){mark.lo, mark.hi, mark.chain};
    return rc;
}

/* What is known of all that stands behind the stop. */
static int count_loss(struct cut *c, struct base_err *err)
{
    struct scan scan;
    struct scan_traces traces = {.durable = c->past.durable};
    int rc = 0;
    scan_init(&scan, c->s, c->stop, 0, false);
    for (size_t i = 0; i < c->count && rc == 0; i++) {
        if (c->starts[i] >= stop_base(c)) {
            rc =
                scan_evidence(&scan, c->starts[i] > c->stop ? c->starts[i] : c->stop, &traces, err);
            rc = rc == INSTAR_ECORRUPT ? 0 : rc; /* one that was cut short says less */
        }
    }
    scan_done(&scan);
    segment_close_all(c->s);
    c->out->from_lsn = c->out->to_lsn = c->stop;
    if (traces.end > c->stop) {
        c->out->to_lsn = traces.end;
    }
    if (traces.durable > c->out->to_lsn) {
        c->out->to_lsn = traces.durable;
    }
    c->out->commits = traces.commits;
    c->out->schema_changes = traces.publications;
    return rc;
}

/* ---- copy --------------------------------------------------------------------------------- */

static int64_t written_us(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
}

static int copy_segment(struct cut *c, int copies, uint64_t start, struct base_err *err)
{
    char name[SEGMENT_NAME_SIZE];
    struct stat st;
    int from;
    int to;
    segment_name(name, start, "seg");
    int rc = file_open(c->s->log_fd, name, O_RDONLY, &from, err);
    if (rc != 0) {
        return rc;
    }
    if (os_fstat(from, &st) == 0 && written_us(&st) > c->out->last_written_us) {
        c->out->last_written_us = written_us(&st);
    }
    rc = file_open(copies, name, O_RDWR | O_CREAT | O_EXCL, &to, err);
    if (rc == 0) {
        rc = file_copy(from, to, name, err);
        os_close(to);
    }
    os_close(from);
    return rc;
}

static void remove_fresh(struct store *s)
{
    char **names;
    size_t count;
    int fd;
    if (file_open_dir(s->dirfd, COPY_FRESH, false, &fd, NULL) != 0) {
        return;
    }
    if (os_list_dir(fd, &names, &count) == 0) {
        for (size_t i = 0; i < count; i++) {
            (void)file_remove(fd, names[i], NULL);
        }
        file_free_names(names, count);
    }
    os_close(fd);
    (void)os_unlinkat(s->dirfd, COPY_FRESH, AT_REMOVEDIR);
}

static int publish_copy(struct store *s, int copies, struct base_err *err)
{
    int rc = os_fsync_dir(copies);
    rc = rc == 0 ? os_renameat(s->dirfd, COPY_FRESH, s->dirfd, COPY_NAME) : rc;
    rc = rc == 0 ? os_fsync_dir(s->dirfd) : rc;
    return rc == 0 ? 0 : base_err_errno(err, -rc, COPY_NAME ": cannot be made");
}

static int copy(struct cut *c, struct base_err *err)
{
    struct store *s = c->s;
    struct stat st;
    int copies;
    if (os_fstatat(s->dirfd, COPY_NAME, &st) == 0) {
        return base_err_set(err, INSTAR_EEXISTS,
                            COPY_NAME ": an earlier cut has left it; move it away first");
    }
    remove_fresh(s);
    int rc = file_open_dir(s->dirfd, COPY_FRESH, true, &copies, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < c->count && rc == 0; i++) {
        if (c->starts[i] >= stop_base(c)) {
            rc = copy_segment(c, copies, c->starts[i], err);
        }
    }
    rc = rc == 0 ? publish_copy(s, copies, err) : rc;
    os_close(copies);
    if (rc != 0) {
        remove_fresh(s);
    }
    return rc;
}

/* ---- cut ---------------------------------------------------------------------------------- */

/* A file that was cut short hides the whole records in it: zeros make it one that can be read. */
static int lengthen(struct cut *c, struct base_err *err)
{
    struct store *s = c->s;
    char name[SEGMENT_NAME_SIZE];
    struct stat st;
    int fd;
    segment_name(name, stop_base(c), "seg");
    int rc = file_open(s->log_fd, name, O_RDWR, &fd, err);
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        return segment_make_file(s, stop_base(c), err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = os_fstat(fd, &st);
    if (rc == 0 && (uint64_t)st.st_size != s->segment_bytes) {
        rc = os_ftruncate(fd, (off_t)s->segment_bytes); /* what is behind a segment is nothing */
        rc = rc == 0 ? os_fallocate(fd, 0, (off_t)s->segment_bytes) : rc;
        rc = rc == 0 ? os_fdatasync(fd) : rc;
    }
    os_close(fd);
    return rc == 0 ? 0 : base_err_errno(err, -rc, "log/%s: cannot be given its size", name);
}

static int clear_rest(struct cut *c, struct base_err *err)
{
    struct store *s = c->s;
    char name[SEGMENT_NAME_SIZE];
    uint64_t used = c->stop - stop_base(c);
    int fd;
    segment_name(name, stop_base(c), "seg");
    int rc = file_open(s->log_fd, name, O_RDWR, &fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_zero_range(fd, (off_t)used, (off_t)(s->segment_bytes - used));
    rc = rc == 0 ? os_fdatasync(fd) : rc;
    os_close(fd);
    return rc == 0 ? 0 : base_err_errno(err, -rc, "log/%s: cannot be cut", name);
}

static int forget(struct cut *c, struct base_err *err)
{
    struct control_past left;
    runtime_forget(c->s);
    int rc = runtime_past(c->s, &left, err);
    if (rc == 0 && left.found) {
        rc = base_err_set(err, INSTAR_EIO,
                          "what the last process has left in shared memory cannot be removed; "
                          "move " COPY_NAME " away, and try again");
    }
    os_point("cut.forgotten");
    return rc;
}

static int cut_here(struct cut *c, struct base_err *err)
{
    struct store *s = c->s;
    int rc = forget(c, err);
    rc = rc == 0 ? clear_rest(c, err) : rc;
    os_point("cut.zeroed");
    for (size_t i = c->count; i > 0 && rc == 0; i--) {
        char name[SEGMENT_NAME_SIZE];
        if (c->starts[i - 1] > stop_base(c)) {
            segment_name(name, c->starts[i - 1], "seg");
            rc = file_remove(s->log_fd, name, err);
            os_point("cut.removed");
        }
    }
    if (rc == 0) {
        rc = os_fsync_dir(s->log_fd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, LOG_DIR ": directory cannot be synced");
    }
    return rc;
}

static int cut_alone(struct cut *c, struct base_err *err)
{
    bool building = false;
    bool damaged = false;
    int rc = stopped_check(c->s, err);
    rc = rc == 0 ? runtime_past(c->s, &c->past, err) : rc;
    rc = rc == 0 ? stopped_past(&c->past, err) : rc;
    rc = rc == 0 ? get_position(c, &building, err) : rc;
    rc = rc == 0 ? look(c, &damaged, err) : rc;
    if (rc != 0 || !damaged) {
        return rc;
    }
    rc = refuse(c, building, err);
    rc = rc == 0 ? recovery_segments(c->s, &c->starts, &c->count, err) : rc;
    rc = rc == 0 ? copy(c, err) : rc;
    os_point("cut.copied");
    rc = rc == 0 ? lengthen(c, err) : rc;
    rc = rc == 0 ? look(c, &damaged, err) : rc; /* there may be more of it now */
    rc = rc == 0 ? count_loss(c, err) : rc;
    return rc == 0 ? cut_here(c, err) : rc;
}

int store_cut_log(const char *path, const instar_options *options, instar_log_cut *cut_out,
                  struct base_err *err)
{
    struct cut c = {.out = cut_out};
    *cut_out = (instar_log_cut){0};
    int rc = open_store_files(path, options, &c.s, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_lock_exclusive(c.s->lock_fd);
    if (rc != 0) {
        rc = rc == -EAGAIN ? base_err_set(err, INSTAR_EBUSY, "a process has the store open")
                           : base_err_errno(err, rc, "keeping others out of the store");
    } else {
        rc = cut_alone(&c, err);
    }
    if (rc != 0) {
        base_err_prefix(err, "%s", path);
    }
    base_free(c.starts);
    open_free(c.s);
    return rc;
}
