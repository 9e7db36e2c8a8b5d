/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The critical section of a commit, and what its successor does when it died inside.
 *
 *   mark set -> record written -> nodes filled -> nodes linked -> (schema LSN) -> chain -> tail
 *            -> mark cleared
 *
 * Killed before tail moved: the record was seen by nobody. Its bytes may be on disk whole, so they
 * cannot be given out again: a void header of exactly that length takes its place, chained to the
 * value in the mark (not to a page that may have been evicted), and nodes that were linked become
 * VOID. Killed after: the record is visible, others may have built on it; only the mark goes.
 * The same path serves a write that failed: it becomes void, so a commit that returned an error can
 * never show up after a crash.
 */
#include "store/log.h"

#include <string.h>

#define ZERO_AHEAD ((uint64_t)64 << 10)

static void set_mark(struct store_control *ctl, const struct segment *seg, uint64_t start,
                     uint64_t end)
{
    struct control_mark *m = &ctl->mark;
    base_assert(atomic_load_explicit(&m->valid, memory_order_relaxed) == 0);
    m->arena = memtable_used(seg);
    atomic_store_explicit(&m->start, start, memory_order_relaxed);
    atomic_store_explicit(&m->end, end, memory_order_relaxed);
    atomic_store_explicit(&m->chain, control_load(&ctl->chain), memory_order_relaxed);
    atomic_store_explicit(&m->schema, control_load(&ctl->schema), memory_order_relaxed);
    atomic_store_explicit(&m->valid, 1, memory_order_release);
    os_point("commit.mark_set");
}

static void clear_mark(struct store_control *ctl)
{
    atomic_store_explicit(&ctl->mark.valid, 0, memory_order_release);
}

/* chain, then tail: whoever finds the mark with end <= tail knows that chain holds too. */
static void publish(struct store_control *ctl, uint64_t chain, uint64_t end)
{
    control_store(&ctl->chain, chain);
    os_point("commit.chain_set");
    control_store(&ctl->tail, end);
    os_point("commit.tail_set");
    clear_mark(ctl);
}

/* A record that begins a stretch of ZERO_AHEAD writes zeros up to that stretch's end, where zeros
 * are already. A block that was only allocated changes the file's extents when it is written first,
 * and then its flush has those to write too, one block after the other: half of all flushes under
 * load. So it is one in many. It also brings the pages into the cache, so that whoever reads the
 * log through its map faults in many at once. */
static int write_zeros_ahead(struct segment *seg, uint64_t start, uint64_t end)
{
    static const uint8_t zeros[ZERO_AHEAD];
    uint64_t from = end - seg->start;
    uint64_t to = (from + ZERO_AHEAD - 1) / ZERO_AHEAD * ZERO_AHEAD;
    bool begins = (start - seg->start + ZERO_AHEAD - 1) / ZERO_AHEAD < to / ZERO_AHEAD;
    if (!begins || to <= from || to > seg->size) {
        return 0;
    }
    return os_pwrite(seg->fd, zeros, to - from, (off_t)from);
}

/* Bytes that fill up to a multiple of 8 are never written: they are zeros since the file was made.
 */
static int write_record(struct segment *seg, const struct append *a, uint64_t start,
                        uint8_t header[RECORD_HEADER])
{
    off_t offset = (off_t)(start - seg->start);
    bool has_body = a->kind != RECORD_PAD && a->kind != RECORD_VOID;
    if (has_body && a->framed) {
        uint8_t *frame = (uint8_t *)(uintptr_t)a->body.data - RECORD_HEADER;
        memcpy(frame, header, RECORD_HEADER);
        return os_pwrite(seg->fd, frame, RECORD_HEADER + a->body.size, offset);
    }
    int rc = has_body ? os_pwrite(seg->fd, a->body.data, a->body.size, offset + RECORD_HEADER) : 0;
    return rc != 0 ? rc : os_pwrite(seg->fd, header, RECORD_HEADER, offset);
}

/* What the mark describes never happened. */
static int make_void(struct store *s, struct segment *seg, struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    uint8_t header[RECORD_HEADER];
    uint64_t start = atomic_load(&ctl->mark.start);
    uint64_t end = atomic_load(&ctl->mark.end);
    memtable_void(seg, ctl->mark.arena);
    control_store(&ctl->schema, atomic_load(&ctl->mark.schema));
    struct record r = {
        .start = start,
        .end = end,
        .kind = RECORD_VOID,
        .durable_when_written = control_load(&ctl->durable),
        .chain = atomic_load(&ctl->mark.chain),
        .body = {NULL, end - start - RECORD_HEADER},
    };
    uint64_t chain = record_header_make(header, &r, s->log_id, 0);
    int rc = os_pwrite(seg->fd, header, RECORD_HEADER, (off_t)(start - seg->start));
    if (rc != 0) {
        return base_err_errno(err, -rc, "log position %llu: cannot be made void",
                              (unsigned long long)start);
    }
    os_point("commit.void_written");
    atomic_fetch_add_explicit(&ctl->voids, 1, memory_order_relaxed);
    publish(ctl, chain, end);
    return 0;
}

/* A record that could not be written becomes void now, or, where the disk has no room for that
 * either, before the next one is written: the mark stays. Until then a crash finds it as a torn
 * tail, for its header is not there. */
static void give_up(struct store *s, struct segment *seg, uint64_t start,
                    const uint8_t header[RECORD_HEADER])
{
    int rc = make_void(s, seg, NULL);
    bool torn = memcmp(seg->bytes + (start - seg->start), header, RECORD_HEADER) != 0;
    if (rc != 0 && !(rc == INSTAR_ENOSPACE && torn)) {
        store_poison(s, "a record could be neither written nor made void");
    }
}

static void note_drop(struct store_control *ctl, const struct append *a, uint64_t end)
{
    struct base_reader body = base_reader(a->body);
    struct record_op op;
    while (a->kind == RECORD_TREE_OP && record_body_next(&body, &op, NULL) == 0) {
        if (op.op == RECORD_TREE + STORE_TREE_DROP) {
            atomic_store_explicit(&ctl->dropped, end, memory_order_relaxed);
        }
    }
}

int append_record(struct store *s, struct segment *seg, const struct append *a, uint64_t *end_out,
                  struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    uint8_t header[RECORD_HEADER];
    uint64_t start = control_load(&ctl->tail);
    uint64_t end = start + record_room(a->body.size);
    *end_out = end;
    base_assert(seg->start == segment_base(start, s->segment_bytes));
    base_assert(end == seg->start + s->segment_bytes ||
                end + RECORD_HEADER <= seg->start + s->segment_bytes);
    struct record r = {
        .start = start,
        .end = end,
        .kind = a->kind,
        .publication = a->publication,
        .durable_when_written = control_load(&ctl->durable),
        .chain = control_load(&ctl->chain),
        .body = a->body,
    };
    set_mark(ctl, seg, start, end);
    uint64_t chain = record_header_make(header, &r, s->log_id, a->body_hash);
    int rc = write_zeros_ahead(seg, start, end);
    rc = rc == 0 ? write_record(seg, a, start, header) : rc;
    if (rc != 0) {
        base_err_errno(err, -rc, "log position %llu: cannot be written", (unsigned long long)start);
        give_up(s, seg, start, header);
        return base_err_errno(err, -rc, "log position %llu: cannot be written",
                              (unsigned long long)start);
    }
    os_point("commit.record_written");
    uint32_t from = memtable_used(seg);
    unread_before(ctl, a);
    unread_fill(ctl, seg, a, start, end);
    os_point("commit.nodes_filled");
    rc = memtable_link(seg, from, memtable_used(seg));
    if (rc != 0) {
        make_void(s, seg, NULL);
        store_poison_damaged(s, "a memtable's link leads nowhere");
        return base_err_set(err, rc, "a memtable's link leads nowhere");
    }
    os_point("commit.nodes_linked");
    if (a->publication) {
        control_store(&ctl->schema, end); /* before tail: see store_schema_lsn */
        os_point("commit.schema_set");
    }
    publish(ctl, chain, end);
    unread_after(ctl, a);
    note_drop(ctl, a, end);
    return 0;
}

int append_pad(struct store *s, struct segment *seg, struct base_err *err)
{
    uint64_t tail = control_load(&s->ctl->tail);
    uint64_t end;
    struct append a = {
        .kind = RECORD_PAD,
        .body = {NULL, seg->start + s->segment_bytes - tail - RECORD_HEADER},
    };
    int rc = append_record(s, seg, &a, &end, err);
    os_point("rotate.sealed");
    return rc;
}

int append_settle(struct store *s, struct base_err *err)
{
    struct store_control *ctl = s->ctl;
    struct segment *seg;
    if (atomic_load_explicit(&ctl->mark.valid, memory_order_acquire) == 0) {
        return 0;
    }
    uint64_t start = atomic_load(&ctl->mark.start);
    uint64_t end = atomic_load(&ctl->mark.end);
    int rc = segment_pin(s, segment_base(start, s->segment_bytes), true, &seg, err);
    if (rc != 0) {
        return rc;
    }
    if (end > control_load(&ctl->tail)) {
        rc = make_void(s, seg, err);
    } else {
        struct record r;
        struct record_sums sums;
        struct record_place place = record_place(s, start);
        if (record_header_read(seg->bytes + (start - seg->start), &place, &r, &sums)) {
            control_store(&ctl->chain, r.chain);
            clear_mark(ctl);
        } else {
            rc = base_err_set(err, INSTAR_ECORRUPT, "log position %llu: no record header there",
                              (unsigned long long)start);
        }
    }
    segment_unpin_one(s, seg);
    return rc;
}
