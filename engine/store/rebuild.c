/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebuilding memtables after a crash. Inserted one by one, nodes cost a search each, in memory that
 * is not in the cache; here the operations of a whole segment are gathered, sorted and linked in
 * order. Memory: some 70 bytes for each operation of one segment.
 *
 * Trees between their cut and their fold-end got no nodes (unread.c), so a segment may hold far
 * more operations on them than its memtable has room for. They get none here either. Which trees
 * these are at lo stands in the trees' states, and from there on in the log.
 */
#include "store/log.h"
#include "store/trees.h"

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

/* ---- trees that nobody reads -------------------------------------------------------------- */

static size_t find_unread(const struct rebuild *b, uint64_t tree)
{
    size_t count = b->unread.size / sizeof(tree);
    size_t i = 0;
    while (i < count && base_get_u64(b->unread.data + i * sizeof(tree)) != tree) {
        i++;
    }
    return i;
}

static bool is_unread(const struct rebuild *b, uint64_t tree)
{
    return find_unread(b, tree) < b->unread.size / sizeof(tree);
}

static void leave_unread(struct rebuild *b, uint64_t tree)
{
    size_t at = find_unread(b, tree) * sizeof(tree);
    if (at < b->unread.size) {
        b->unread.size -= sizeof(tree);
        memmove(b->unread.data + at, b->unread.data + b->unread.size, sizeof(tree));
    }
}

int rebuild_begin(struct rebuild *b, struct store *s, struct base_err *err)
{
    *b = (struct rebuild){.s = s};
    return trees_list_building(s, &b->unread, err);
}

/* A fold-end ends it before its own record, a cut begins it behind its own, as in commits. */
static int move_unread(struct rebuild *b, const struct record *record, bool ends,
                       struct base_err *err)
{
    struct base_reader body = base_reader(record->body);
    struct record_op op;
    while (record->kind == RECORD_TREE_OP && record_body_next(&body, &op, NULL) == 0) {
        if (ends && (op.op == RECORD_TREE + STORE_TREE_FOLD_END ||
                     op.op == RECORD_TREE + STORE_TREE_DROP)) {
            leave_unread(b, op.tree);
        }
        if (!ends && op.op == RECORD_TREE + STORE_TREE_BEGIN_BUILD && !is_unread(b, op.tree) &&
            !base_buf_add_u64(&b->unread, op.tree)) {
            return base_err_set(err, INSTAR_ENOMEM, "no memory to rebuild memtables");
        }
    }
    return 0;
}

/* ---- records ------------------------------------------------------------------------------ */

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
    rc = move_unread(b, record, true, err);
    if (rc == 0) {
        rc = plan_room(b, record->body.size, err);
    }
    if (rc == 0) {
        rc = memtable_plan_body(record->body, 0, b->plan, b->plan_room, &count, &bytes, err);
    }
    if (rc == 0) {
        rc = item_room(b, count, err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!is_unread(b, b->plan[i].tree)) {
            b->items[b->count++] = (struct memtable_item){b->plan[i], record->start, record->end};
        }
    }
    return rc == 0 ? move_unread(b, record, false, err) : rc;
}

int rebuild_end(struct rebuild *b, bool build, struct base_err *err)
{
    int rc = finish_segment(b, build, err);
    base_free(b->items);
    base_free(b->plan);
    base_buf_free(&b->unread);
    b->items = NULL;
    b->plan = NULL;
    return rc;
}
