/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup of a live store: writers of all processes go on, and hold nothing up.
 *
 *   flush -> pin the log -> copy data.mdb -> copy the log from the copy's lo on -> manifest
 *
 * The copy is a snapshot of the trees at some moment t; folding the log into it from its lo on
 * gives the store as it was at any later moment, just as recovery does. Three things bound how far
 * one may go:
 *
 *   BACKUP-1  the pin keeps the log from the present lo on, and the copy's lo is not before that
 *   BACKUP-2  not before what was durable at t: hi is there, and a tree under construction holds
 *             what its builder had read by then
 *   BACKUP-3  not beyond a fold-end that was logged after t: what was loaded past the log between t
 *             and then is in neither. Fold-ends before the copy began were logged after all
 *             that was loaded for them; one that falls in between makes the copy begin again
 *
 * All that was acknowledged before the backup began is durable after the first step, so it lies
 * before t. A backup that was given up or failed removes what it made.
 */
#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>

#define COPIES_MAX 20
#define MOMENT_NS ((uint64_t)10 * 1000 * 1000)
#define AGAIN 1 /* a fold-end came in between */

struct backup {
    struct store *s;
    int dirfd;
    const instar_backup_options *options;
    struct backup_manifest manifest;
    struct trees_mark mark;
    uint64_t asked; /* durable before the copy began */
    uint64_t shown; /* durable when LMDB's snapshot had been taken; 0: not yet */
    uint64_t done, total;
    uint64_t moment_ns;
    struct backup_out out;
};

/* ---- what is noted on the way ------------------------------------------------------------- */

static int note_moment(struct backup *b, struct base_err *err)
{
    struct base_buf *all = &b->manifest.moments;
    uint64_t now = os_now_ns();
    if (now - b->moment_ns < MOMENT_NS) {
        return 0;
    }
    b->moment_ns = now;
    struct backup_moment moment = {.us = os_realtime_us(),
                                   .lsn = control_load(&b->s->ctl->durable)};
    size_t count = manifest_moments(&b->manifest);
    /* The clock may have been set back: what is noted ascends. */
    if (count > 0 && moment.us <= manifest_moment(&b->manifest, count - 1).us) {
        return 0;
    }
    return base_buf_add(all, &moment, sizeof(moment))
               ? 0
               : base_err_set(err, INSTAR_ENOMEM, "no memory to write a backup");
}

static int tell(struct backup *b, struct base_err *err)
{
    if (b->options->progress != NULL &&
        b->options->progress(b->options->arg, b->done, b->total) != 0) {
        return base_err_set(err, INSTAR_ECANCELLED, "given up on request");
    }
    return 0;
}

/* ---- fold-ends ---------------------------------------------------------------------------- */

static int has_fold_end(const struct record *r, bool *found_out, struct base_err *err)
{
    struct record_op op;
    struct base_reader body = base_reader(r->body);
    int rc = 0;
    *found_out = false;
    while (r->kind == RECORD_TREE_OP && rc == 0) {
        rc = record_body_next(&body, &op, err);
        *found_out = *found_out || (rc == 0 && op.op == RECORD_TREE + STORE_TREE_FOLD_END);
        if (rc == 0 && op.op < RECORD_TREE) {
            break; /* tree operations stand first */
        }
    }
    return rc == INSTAR_END ? 0 : rc;
}

/* Was a fold-end logged between the two looks at the log around LMDB's snapshot? */
static int look_between(struct backup *b, struct base_err *err)
{
    struct scan c;
    struct record r;
    bool found = false;
    int rc = 0;
    scan_init(&c, b->s, b->asked, 0, false);
    while (rc == 0 && !found) {
        rc = scan_next(&c, b->shown, &r, err);
        rc = rc == 0 ? has_fold_end(&r, &found, err) : rc;
    }
    scan_done(&c);
    rc = rc == INSTAR_END ? 0 : rc;
    return rc == 0 && found ? AGAIN : rc;
}

/* ---- the trees ---------------------------------------------------------------------------- */

static int take_trees(void *arg, struct base_slice bytes, struct base_err *err)
{
    struct backup *b = arg;
    int rc = 0;
    if (b->shown == 0) {
        b->shown = control_load(&b->s->ctl->durable);
        os_point("backup.begun");
        rc = look_between(b, err);
    }
    rc = rc == 0 ? note_moment(b, err) : rc;
    rc = rc == 0 ? backup_out_add(&b->out, bytes, err) : rc;
    b->done += bytes.size;
    return rc == 0 ? tell(b, err) : rc;
}

static int copy_trees_once(struct backup *b, struct base_err *err)
{
    b->shown = 0;
    b->done = 0;
    b->moment_ns = 0;
    base_buf_clear(&b->manifest.moments);
    b->asked = control_load(&b->s->ctl->durable);
    int rc = backup_out_begin(&b->out, b->dirfd, BACKUP_TREES,
                              &b->manifest.files[BACKUP_FILE_TREES], err);
    rc = rc == 0 ? trees_copy(b->s, take_trees, b, err) : rc;
    int ended = backup_out_end(&b->out, rc == 0, err);
    return rc != 0 ? rc : ended;
}

static int copy_trees(struct backup *b, struct base_err *err)
{
    bool building = false;
    int rc = AGAIN;
    for (int i = 0; i < COPIES_MAX && rc == AGAIN; i++) {
        rc = copy_trees_once(b, err);
    }
    if (rc == AGAIN) {
        return base_err_set(err, INSTAR_EBUSY, "indexes are completed faster than a copy begins");
    }
    if (rc == 0) {
        rc = trees_look_at(b->dirfd, &b->s->options, &b->mark, &building, err);
    }
    if (rc == 0) {
        b->manifest.lo = b->mark.lo;
        b->manifest.first = building ? b->shown : b->mark.hi;
    }
    return rc;
}

/* ---- the log ------------------------------------------------------------------------------ */

/* Up to what is durable by now, or up to a fold-end that the copy cannot follow. */
static int copy_records(struct backup *b, struct base_err *err)
{
    struct scan c;
    struct record r;
    bool stop = false;
    uint64_t limit = control_load(&b->s->ctl->durable);
    int rc = 0;
    b->total = b->done + (limit - b->mark.lo);
    b->manifest.end = b->mark.lo;
    scan_init(&c, b->s, b->mark.lo, b->mark.chain, true);
    while (rc == 0) {
        rc = scan_next(&c, limit, &r, err);
        if (rc == 0 && r.end > b->shown) {
            rc = has_fold_end(&r, &stop, err);
        }
        if (rc != 0 || stop) {
            break;
        }
        size_t size = (size_t)(r.end - r.start);
        rc = backup_out_add(&b->out, base_slice(c.buffer + (r.start - c.buffer_at), size), err);
        b->done += size;
        b->manifest.end = r.end;
        rc = rc == 0 ? tell(b, err) : rc;
    }
    scan_done(&c);
    if (rc == INSTAR_ENOTFOUND) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "the log at %llu: its segment is missing",
                          (unsigned long long)b->manifest.end);
    }
    return rc == INSTAR_END ? 0 : rc;
}

static int copy_log(struct backup *b, struct base_err *err)
{
    int rc =
        backup_out_begin(&b->out, b->dirfd, BACKUP_LOG, &b->manifest.files[BACKUP_FILE_LOG], err);
    rc = rc == 0 ? copy_records(b, err) : rc;
    int ended = backup_out_end(&b->out, rc == 0, err);
    rc = rc != 0 ? rc : ended;
    if (rc == 0 && b->manifest.end < b->shown) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "the log ends at %llu, but %llu was durable",
                          (unsigned long long)b->manifest.end, (unsigned long long)b->shown);
    }
    b->moment_ns = 0;
    return rc == 0 ? note_moment(b, err) : rc;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static void describe(struct backup *b)
{
    const instar_options *o = &b->s->options;
    struct format *f = &b->manifest.format;
    *f = (struct format){.segment_bytes = o->segment_bytes,
                         .map_bytes = o->map_bytes,
                         .trees_max = o->trees_max,
                         .lease_slots = o->lease_slots,
                         .readers_max = o->readers_max,
                         .nodes_max = o->nodes_max};
    memcpy(f->log_id, b->s->log_id, 16);
    memcpy(f->instance_id, b->s->instance_id, 16);
}

static int copy_pinned(struct backup *b, struct base_err *err)
{
    uint64_t from;
    uint64_t limit_ns = (uint64_t)b->s->options.lock_timeout_ms * 1000000u;
    int rc = flush_to(b->s, control_load(&b->s->ctl->tail), os_now_ns() + limit_ns, true, err);
    rc = rc == 0 ? log_pin(b->s, &from, err) : rc;
    if (rc != 0) {
        return rc;
    }
    b->total = trees_bytes(b->s) + (control_load(&b->s->ctl->durable) - from);
    rc = copy_trees(b, err);
    os_point("backup.trees_copied");
    rc = rc == 0 ? copy_log(b, err) : rc;
    log_unpin(b->s);
    os_point("backup.log_copied");
    return rc == 0 ? manifest_write(b->dirfd, &b->manifest, err) : rc;
}

static void take_back(const char *path, int dirfd)
{
    static const char *const names[] = {BACKUP_TREES, BACKUP_LOG, "manifest.new", "manifest"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(names); i++) {
        (void)file_remove(dirfd, names[i], NULL);
    }
    (void)os_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

/* A directory of our own, which was not there. */
static int make_target(const char *path, int *dirfd_out, int *parent_out, struct base_err *err)
{
    *dirfd_out = -1;
    int rc = open_parent(path, parent_out, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_mkdirat(AT_FDCWD, path);
    if (rc == 0) {
        rc = file_open_dir(AT_FDCWD, path, false, dirfd_out, err);
        if (rc != 0) {
            (void)os_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
        }
    } else if (rc == -EEXIST) {
        rc = base_err_set(err, INSTAR_EEXISTS, "%s: exists already; a backup makes it anew", path);
    } else {
        rc = base_err_errno(err, -rc, "%s: the directory cannot be made", path);
    }
    if (rc != 0) {
        os_close(*parent_out);
    }
    return rc;
}

void manifest_info(const struct backup_manifest *m, instar_backup_info *out)
{
    size_t count = manifest_moments(m);
    *out = (instar_backup_info){.first_lsn = m->first, .last_lsn = m->end};
    for (size_t i = 0; i < BACKUP_FILES; i++) {
        out->bytes += m->files[i].size;
    }
    if (count > 0) {
        out->first_us = manifest_moment(m, 0).us;
        out->last_us = manifest_moment(m, count - 1).us;
    }
}

int store_backup(struct store *s, const char *path, const instar_backup_options *options,
                 instar_backup_info *info_out, struct base_err *err)
{
    struct backup b = {.s = s, .options = options, .out = {.fd = -1}};
    int parent;
    *info_out = (instar_backup_info){0};
    if (atomic_exchange(&s->backing_up, true)) {
        return base_err_set(err, INSTAR_EBUSY, "this process is making a backup already");
    }
    int rc = make_target(path, &b.dirfd, &parent, err);
    if (rc == 0) {
        describe(&b);
        rc = copy_pinned(&b, err);
        if (rc == 0) {
            rc = os_fsync_dir(parent);
            rc = rc == 0 ? 0 : base_err_errno(err, -rc, "the directory above cannot be synced");
        }
        if (rc == 0) {
            manifest_info(&b.manifest, info_out);
        } else {
            take_back(path, b.dirfd);
            base_err_prefix(err, "%s", path);
        }
        os_close(b.dirfd);
        os_close(parent);
    }
    manifest_free(&b.manifest);
    atomic_store(&s->backing_up, false);
    return rc;
}
