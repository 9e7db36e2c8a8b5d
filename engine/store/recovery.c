/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: what the first opener does, alone in the store, before anything is shown to anybody.
 *
 *   1  verify   from lo, whose chain value the trees keep, follow the chain to the first record
 *               that does not hold: the stop. All in private memory.
 *   2  judge    is the stop a torn tail, or corruption? Corruption when a `control` of this boot,
 *               or any readable later record, names a durable position beyond it, or when the
 *               trees hold more (stop < hi). Nothing has been changed so far.
 *   3  repair   every record beyond the last durable position that can be trusted (a control of
 *               this boot, else lo) is verified again, and that very copy written back; the rest
 *               of the stop's segment is zeroed; synced; later segments deleted; the directory
 *               synced.
 *   4  rebuild  control and memtables, in the runtime directory; then control gets its name.
 *
 * Why write back: after a kill without a reboot the page cache may hold what the disk does not, and
 * after a failed write-back it never will. Why zeros: a dead record behind a torn one would be
 * accepted by a later recovery, if the application repeats its transaction byte for byte. Why all
 * of it is synced before anybody sees it: a second power cut must not bring back what was declared
 * dead.
 * Run again after a death at any point it does the same: each step leaves a log that reads alike.
 */
#include "store/log.h"

#include <errno.h>
#include <string.h>

#define CLEAR_CHUNK ((size_t)4096) /* of a segment, read at once */

struct recovery {
    struct store *s;
    struct trees_position trees;
    uint64_t trusted; /* durable for certain */
    uint64_t stop;
    uint64_t chain; /* at the stop */
    uint64_t schema;
};

static int corrupt(struct recovery *r, const char *why, uint64_t position, struct base_err *err)
{
    char words[BASE_ERR_TEXT_MAX];
    words[0] = '\0';
    if (err != NULL) {
        memcpy(words, err->text, sizeof(words));
    }
    return base_err_set(err, INSTAR_ECORRUPT,
                        "the log ends at %llu (%.200s), but %s %llu: not a torn tail; restore from "
                        "a copy, or cut the log there, and lose what follows",
                        (unsigned long long)r->stop, words, why, (unsigned long long)position);
}

/* ---- 1: verify ---------------------------------------------------------------------------- */

static int find_stop(struct recovery *r, struct base_err *err)
{
    struct scan c;
    struct record record;
    int rc;
    scan_init(&c, r->s, r->trees.lo, r->trees.chain, true);
    while ((rc = scan_next(&c, UINT64_MAX, &record, err)) == 0) {
        if (record.publication && record.kind != RECORD_VOID) {
            r->schema = record.end;
        }
    }
    r->stop = c.at;
    r->chain = c.chain;
    scan_done(&c);
    /* Both end the log; what cannot be read or mapped does not. */
    return rc == INSTAR_ECORRUPT || rc == INSTAR_ENOTFOUND ? 0 : rc;
}

/* ---- 2: judge ----------------------------------------------------------------------------- */

int recovery_segments(struct store *s, uint64_t **starts_out, size_t *count_out,
                      struct base_err *err)
{
    char **names;
    size_t count;
    *starts_out = NULL;
    *count_out = 0;
    int rc = os_list_dir(s->log_fd, &names, &count);
    if (rc != 0) {
        return base_err_errno(err, -rc, "log: cannot be listed");
    }
    uint64_t *starts = base_alloc((count + 1) * sizeof(*starts));
    for (size_t i = 0; starts != NULL && i < count; i++) {
        if (segment_name_parse(names[i], "seg", &starts[*count_out])) {
            (*count_out)++;
        }
    }
    file_free_names(names, count);
    *starts_out = starts;
    return starts != NULL ? 0 : base_err_set(err, INSTAR_ENOMEM, "no memory to list the log");
}

/* Does any readable record behind the stop say that it was durable? */
static int check_evidence(struct recovery *r, const uint64_t *starts, size_t count,
                          struct base_err *err)
{
    struct scan c;
    struct base_err own;
    uint64_t at_stop = segment_base(r->stop, r->s->segment_bytes);
    int rc = 0;
    scan_init(&c, r->s, r->stop, 0, false);
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct scan_traces traces = {0};
        if (starts[i] < at_stop) {
            continue;
        }
        base_err_clear(&own);
        rc = scan_evidence(&c, starts[i] == at_stop ? r->stop : starts[i], &traces, &own);
        if (rc == INSTAR_ECORRUPT && starts[i] > at_stop) {
            rc = 0; /* a later segment that was cut short goes anyway */
        }
        if (rc != 0) {
            base_err_set(err, rc, "%s", own.text);
        } else if (traces.durable > r->stop) {
            rc = corrupt(r, "a later record says that the log was durable up to", traces.durable,
                         err);
        }
    }
    scan_done(&c);
    return rc;
}

static int judge(struct recovery *r, const struct control_past *past, const uint64_t *starts,
                 size_t count, struct base_err *err)
{
    uint64_t base = segment_base(r->stop, r->s->segment_bytes);
    if (r->stop < r->trees.hi) {
        return corrupt(r, "the trees hold what was logged up to", r->trees.hi, err);
    }
    if (past->found && r->stop < past->durable) {
        return corrupt(r, "it was durable up to", past->durable, err);
    }
    bool there = false;
    for (size_t i = 0; i < count; i++) {
        there = there || starts[i] == base;
    }
    if (!there && r->stop != base) {
        return corrupt(r, "its segment is missing; the trees stand at", r->trees.lo, err);
    }
    return check_evidence(r, starts, count, err);
}

/* ---- 3: repair ---------------------------------------------------------------------------- */

static int sync_segment(struct segment *seg, struct base_err *err)
{
    int rc = os_fdatasync(seg->fd);
    return rc == 0 ? 0
                   : base_err_errno(err, -rc, "log segment at %llu: sync failed",
                                    (unsigned long long)seg->start);
}

/* The segment of a written record; the one before it is synced. */
static int move_to(struct recovery *r, uint64_t position, struct segment **dirty,
                   struct base_err *err)
{
    uint64_t start = segment_base(position, r->s->segment_bytes);
    int rc = 0;
    if (*dirty != NULL && (*dirty)->start != start) {
        rc = sync_segment(*dirty, err);
        segment_unpin_one(r->s, *dirty);
        *dirty = NULL;
    }
    if (rc == 0 && *dirty == NULL) {
        rc = segment_pin(r->s, start, false, dirty, err);
    }
    return rc;
}

/* Verify once more, write back what is not known to be on disk, and rebuild the memtables from the
 * same copy. */
static int write_back_all(struct recovery *r, struct base_err *err)
{
    struct scan c;
    struct record record;
    struct segment *dirty = NULL;
    struct rebuild rebuild;
    int rc = rebuild_begin(&rebuild, r->s, err);
    scan_init(&c, r->s, r->trees.lo, r->trees.chain, true);
    while (rc == 0 && (rc = scan_next(&c, r->stop, &record, err)) == 0) {
        if (record.end > r->trusted) {
            rc = move_to(r, record.start, &dirty, err);
            rc = rc == 0 ? scan_write_back(&c, &record, err) : rc;
        }
        if (rc == 0) {
            rc = rebuild_add(&rebuild, &record, err);
        }
    }
    if (rc == INSTAR_END && c.at != r->stop) {
        rc = base_err_set(err, INSTAR_EIO, "the log reads differently now");
    }
    rc = rc == INSTAR_END ? 0 : rc;
    if (dirty != NULL) {
        rc = rc == 0 ? sync_segment(dirty, err) : rc;
        segment_unpin_one(r->s, dirty);
    }
    int ended = rebuild_end(&rebuild, rc == 0, err);
    scan_done(&c);
    return rc != 0 ? rc : ended;
}

/* Is there nothing in the segment from `used` on? */
static bool is_clear(const struct segment *seg, uint64_t used)
{
    uint8_t bytes[CLEAR_CHUNK];
    for (uint64_t at = used; at < seg->size;) {
        size_t want = seg->size - at < sizeof(bytes) ? seg->size - at : sizeof(bytes);
        size_t got;
        if (os_pread(seg->fd, bytes, want, (off_t)at, &got) != 0 || got != want) {
            return false;
        }
        /* The first is 0, and each is like the one before it. */
        if (bytes[0] != 0 || memcmp(bytes, bytes + 1, want - 1) != 0) {
            return false;
        }
        at += want;
    }
    return true;
}

static int clear_rest(struct recovery *r, struct base_err *err)
{
    struct store *s = r->s;
    struct segment *seg;
    int rc = segment_pin(s, segment_base(r->stop, s->segment_bytes), false, &seg, err);
    if (rc != 0) {
        return rc;
    }
    uint64_t used = r->stop - seg->start;
    rc = os_zero_range(seg->fd, (off_t)used, (off_t)(s->segment_bytes - used));
    if ((rc == -EDQUOT || rc == -ENOSPC) && is_clear(seg, used)) {
        rc = 0; /* a full quota forbids even what would change nothing */
    }
    if (rc != 0) {
        rc = base_err_errno(err, -rc, "log position %llu: the rest cannot be zeroed",
                            (unsigned long long)r->stop);
    }
    os_point("recovery.zeroed");
    if (rc == 0) {
        rc = sync_segment(seg, err);
    }
    segment_unpin_one(s, seg);
    return rc;
}

/* Later segments, the temporary files of dead preparers, and what both metas have folded. */
static int remove_segments(struct recovery *r, struct base_err *err)
{
    struct store *s = r->s;
    uint64_t keep_to = segment_base(r->stop, s->segment_bytes);
    uint64_t older_lo;
    char **names;
    size_t count;
    int rc = trees_older_lo(s, &older_lo, err);
    if (rc != 0) {
        return rc;
    }
    uint64_t keep_from = segment_base(older_lo, s->segment_bytes);
    rc = os_list_dir(s->log_fd, &names, &count);
    if (rc != 0) {
        return base_err_errno(err, -rc, "log: cannot be listed");
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        uint64_t start;
        if (segment_name_parse(names[i], "new", &start) ||
            (segment_name_parse(names[i], "seg", &start) &&
             (start > keep_to || start < keep_from))) {
            rc = file_remove(s->log_fd, names[i], err);
            os_point("recovery.removed");
        }
    }
    file_free_names(names, count);
    if (rc == 0) {
        rc = os_fsync_dir(s->log_fd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, "log: directory cannot be synced");
    }
    return rc;
}

/* ---- 4: rebuild --------------------------------------------------------------------------- */

static int make_files(struct recovery *r, struct base_err *err)
{
    struct store *s = r->s;
    uint64_t last = segment_base(r->stop, s->segment_bytes);
    int rc = r->stop == last ? segment_make_file(s, last, err) : 0;
    for (uint64_t start = segment_base(r->trees.lo, s->segment_bytes); rc == 0 && start <= last;
         start += s->segment_bytes) {
        rc = segment_make_mem(s, start, s->ctl->builder, err);
    }
    return rc;
}

static void set_positions(struct recovery *r)
{
    struct store_control *ctl = r->s->ctl;
    control_store(&ctl->floor, r->trees.lo);
    control_store(&ctl->lo, r->trees.lo);
    control_store(&ctl->tail, r->stop);
    control_store(&ctl->chain, r->chain);
    control_store(&ctl->durable, r->stop);
    control_store(&ctl->schema, r->schema);
    control_store(&ctl->prepared, segment_base(r->stop, r->s->segment_bytes));
}

static int recover(struct recovery *r, const struct control_past *past, struct base_err *err)
{
    struct store *s = r->s;
    uint64_t *starts;
    size_t count;
    uint64_t builder = 0;
    int rc = find_stop(r, err);
    if (rc == 0) {
        rc = recovery_segments(s, &starts, &count, err);
        if (rc == 0) {
            rc = judge(r, past, starts, count, err);
        }
        base_free(starts);
    }
    if (rc == 0 && os_random(&builder, sizeof(builder)) != 0) {
        rc = base_err_set(err, INSTAR_EIO, "no random bytes");
    }
    os_point("recovery.judged");
    if (rc == 0) {
        rc = runtime_note(s, &builder, err);
    }
    if (rc == 0) {
        rc = control_build(s, builder, err);
    }
    if (rc == 0) {
        set_positions(r); /* nobody sees them before it is published */
        rc = make_files(r, err);
    }
    if (rc == 0) {
        rc = write_back_all(r, err);
    }
    os_point("recovery.written_back");
    if (rc == 0) {
        rc = clear_rest(r, err);
    }
    if (rc == 0) {
        rc = remove_segments(r, err);
    }
    /* No map of a removed file may stay: the next segment made will have its name. */
    segment_close_all(s);
    os_point("recovery.repaired");
    return rc;
}

int recovery_look(struct store *s, const struct trees_position *position,
                  const struct control_past *past, uint64_t *stop_out, struct base_err *err)
{
    struct recovery r = {.s = s, .trees = *position};
    uint64_t *starts = NULL;
    size_t count = 0;
    int rc = find_stop(&r, err);
    rc = rc == 0 ? recovery_segments(s, &starts, &count, err) : rc;
    rc = rc == 0 ? judge(&r, past, starts, count, err) : rc;
    base_free(starts);
    *stop_out = r.stop;
    return rc;
}

int recovery_run(struct store *s, const struct control_past *past, struct base_err *err)
{
    struct recovery r = {.s = s};
    int rc = trees_position_get(s, &r.trees, err);
    if (rc != 0) {
        return rc;
    }
    r.trusted = past->found && past->durable > r.trees.lo ? past->durable : r.trees.lo;
    r.schema = r.trees.lo; /* the last publication in the log is derived again; else not later */
    rc = recover(&r, past, err);
    if (rc == 0) {
        base_err_clear(err);
        rc = control_publish(s, err);
    }
    if (rc == 0) {
        runtime_settle(s);
    }
    return rc;
}
