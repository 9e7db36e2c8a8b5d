/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebuilding memtables after a crash. Inserted one by one, nodes cost a search each, in memory that
 * is not in the cache; here the operations of a whole segment are gathered, sorted and linked in
 * order. Memory: some 70 bytes for each operation of one segment.
 */
#include "store/log.h"

static int plan_room(struct rebuild *b, size_t body_size, struct base_err *err)
{
    size_t most = body_size / 3 + 1; /* an operation takes at least three bytes */
    if (most <= b->plan_room) {
        return 0;
    }
    base_free(b->plan);
    b->plan_room = 0;
    b->plan = base_alloc(most * sizeof(*b->plan));
    if (b->plan == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to rebuild memtables");
    }
    b->plan_room = most;
    return 0;
}

static int item_room(struct rebuild *b, size_t more, struct base_err *err)
{
    if (b->count + more <= b->room) {
        return 0;
    }
    size_t room = b->room * 2 > b->count + more ? b->room * 2 : b->count + more + 1024;
    struct memtable_item *items = base_realloc(b->items, room * sizeof(*items));
    if (items == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to rebuild memtables");
    }
    b->items = items;
    b->room = room;
    return 0;
}

static int finish_segment(struct rebuild *b, bool build, struct base_err *err)
{
    int rc = 0;
    if (b->seg != NULL) {
        rc = build ? memtable_build(b->seg, b->items, b->count, err) : 0;
        segment_unpin_one(b->s, b->seg);
    }
    b->seg = NULL;
    b->count = 0;
    return rc;
}

int rebuild_add(struct rebuild *b, const struct record *record, struct base_err *err)
{
    uint64_t start = segment_base(record->start, b->s->segment_bytes);
    size_t count;
    uint64_t bytes;
    int rc = 0;
    if (b->seg == NULL || b->seg->start != start) {
        rc = finish_segment(b, true, err);
        rc = rc == 0 ? segment_pin(b->s, start, true, &b->seg, err) : rc;
    }
    if (rc != 0 || record->kind == RECORD_PAD || record->kind == RECORD_VOID) {
        return rc;
    }
    rc = plan_room(b, record->body.size, err);
    if (rc == 0) {
        rc = memtable_plan_body(record->body, 0, b->plan, b->plan_room, &count, &bytes, err);
    }
    if (rc == 0) {
        rc = item_room(b, count, err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        b->items[b->count++] = (struct memtable_item){b->plan[i], record->start, record->end};
    }
    return rc;
}

int rebuild_end(struct rebuild *b, bool build, struct base_err *err)
{
    int rc = finish_segment(b, build, err);
    base_free(b->items);
    base_free(b->plan);
    b->items = NULL;
    b->plan = NULL;
    return rc;
}
