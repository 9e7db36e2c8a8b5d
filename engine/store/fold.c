/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folding: a part of the log, sorted by tree and key, is written to the trees. Only the last
 * operation of each key is written; sorted, each page is touched once.
 *
 *   lo          hi = to
 *    |  (lo, to]  |        several LMDB transactions, each with a part of the *keys*:
 *    |------------|        the first sets hi = to, the last sets lo = to
 *
 * So between them LMDB holds some keys as of `to` and others as of lo. Readers cannot tell: their S
 * is at least hi, and the memtables of (lo, S] have every key that was folded, the same or newer.
 * After a crash in between the part is folded again, which changes nothing.
 */
#include "store/apply_impl.h"

#include "store/admit.h"
#include "store/log.h"

#include <stdlib.h>

/* Two segments' operations fall on the pages of a large table hardly more often than one's: 5 M
 * rows changed at random, 64 MiB of log a segment, are written 0.6 times as many pages. */
#define FOLD_SEGMENTS 2
#define OPS_KEPT 4096 /* room from one fold to the next; of a large one it is given back */
#define PATIENCE_MAX 6
#define PATIENCE_CALM 4 /* on the way to where somebody waits, and is in no hurry */
#define CHECK_EVERY 32

static bool add_op(struct fold *f, const struct record_op *op)
{
    if (f->count == f->size) {
        size_t size = f->size == 0 ? OPS_KEPT : f->size * 2;
        struct fold_op *ops = base_realloc(f->ops, size * sizeof *ops);
        if (ops == NULL) {
            return false;
        }
        f->ops = ops;
        f->size = size;
    }
    f->ops[f->count] = (struct fold_op){.tree = op->tree,
                                        .prefix = base_slice_prefix(op->key, 0),
                                        .key = op->key.data,
                                        .order = (uint32_t)f->count,
                                        .key_size = (uint16_t)op->key.size,
                                        .deleted = op->op == RECORD_DELETE};
    f->count++;
    return true;
}

static bool is_wanted(const struct fold *f, uint64_t tree, uint64_t lsn)
{
    bool wanted = f->only == NULL;
    for (size_t i = 0; i < f->only_count; i++) {
        wanted = wanted || (f->only[i].tree == tree && lsn > f->only[i].cut);
    }
    return wanted;
}

static int add_record(struct fold *f, const struct record *rec, struct base_err *err)
{
    struct base_reader body = base_reader(rec->body);
    struct record_op op;
    int rc;
    while ((rc = record_body_next(&body, &op, err)) == 0) {
        if (op.op >= RECORD_TREE) {
            return base_err_set(err, INSTAR_ECORRUPT,
                                "log position %llu: a tree operation in a record of another kind",
                                (unsigned long long)rec->start);
        }
        if (is_wanted(f, op.tree, rec->end) && !add_op(f, &op)) {
            return base_err_set(err, INSTAR_ENOMEM, "no memory to apply the log");
        }
    }
    return rc == INSTAR_END ? 0 : rc;
}

/* Sign of a - b by tree and key. */
static int compare_keys(const struct fold_op *a, const struct fold_op *b)
{
    if (a->tree != b->tree) {
        return a->tree < b->tree ? -1 : 1;
    }
    if (a->prefix != b->prefix) {
        return a->prefix < b->prefix ? -1 : 1;
    }
    return base_slice_cmp(base_slice(a->key, a->key_size), base_slice(b->key, b->key_size));
}

static int compare_ops(const void *a, const void *b)
{
    const struct fold_op *x = a;
    const struct fold_op *y = b;
    int order = compare_keys(x, y);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static int walk(struct fold *f, struct log_reader *reader, uint64_t limit, struct base_err *err)
{
    struct record rec;
    int rc;
    while ((rc = log_reader_next(reader, limit, &rec, err)) == 0) {
        bool data = rec.kind == RECORD_BATCH || rec.kind == RECORD_PUBLICATION;
        if (rec.kind == RECORD_TREE_OP && f->only == NULL) {
            if (f->to != f->from) {
                return 0; /* its turn comes when all before it is folded */
            }
            f->has_tree_op = true;
            f->body = rec.body;
        } else if (data) {
            rc = add_record(f, &rec, err);
            if (rc != 0) {
                return rc;
            }
        }
        f->to = rec.end;
        f->chain = rec.chain;
        if (f->has_tree_op || f->count >= FOLD_OPS_MAX) {
            return 0;
        }
    }
    return rc == INSTAR_END ? 0 : rc;
}

uint64_t fold_segments(const struct store *s)
{
    bool alone = s->options.segments_pending < 2 * FOLD_SEGMENTS || atomic_load(&s->room_is_short);
    return alone ? 1 : FOLD_SEGMENTS;
}

int fold_collect(struct fold *f, struct store *s, const struct trees_mark *mark, uint64_t limit,
                 struct base_err *err)
{
    uint64_t end = segment_base(mark->lo, s->segment_bytes) + fold_segments(s) * s->segment_bytes;
    f->only = NULL;
    f->only_count = 0;
    return fold_collect_only(f, s, mark, limit < end ? limit : end, err);
}

int fold_collect_only(struct fold *f, struct store *s, const struct trees_mark *mark,
                      uint64_t limit, struct base_err *err)
{
    f->s = s;
    f->has_tree_op = false;
    f->to = mark->lo;
    f->chain = mark->chain;
    f->pins.count = 0;
    int rc = limit > f->to ? segment_pin_log(s, f->to, limit, &f->pins, err) : 0;
    return rc == 0 ? fold_collect_more(f, limit, err) : rc;
}

int fold_collect_more(struct fold *f, uint64_t limit, struct base_err *err)
{
    uint64_t began_ns = os_now_ns();
    struct log_reader reader;
    f->count = 0;
    f->from = f->to;
    if (limit <= f->from) {
        return 0;
    }
    log_reader_init(&reader, f->s, f->from, f->chain);
    int rc = walk(f, &reader, limit, err);
    log_reader_done(&reader);
    if (rc == 0 && f->count > 1) {
        qsort(f->ops, f->count, sizeof *f->ops, compare_ops);
    }
    f->worked_ns = os_now_ns() - began_ns;
    if (rc != 0) {
        fold_done(f);
    }
    return rc;
}

static void unpin(struct fold *f)
{
    if (f->pins.count != 0) {
        segment_unpin(f->s, &f->pins);
        f->pins.count = 0;
    }
}

static void free_ops(struct fold *f)
{
    base_free(f->ops);
    f->ops = NULL;
    f->size = 0;
}

void fold_done(struct fold *f)
{
    unpin(f);
    if (f->size > OPS_KEPT) {
        free_ops(f);
    }
}

void fold_free(struct fold *f)
{
    unpin(f);
    free_ops(f);
}

/* ---- where an operation goes --------------------------------------------------------------- */

int fold_target_set(struct fold_target *t, struct trees_write *w, uint64_t tree,
                    const struct fold *f, struct base_err *err)
{
    if (t->known && t->tree == tree) {
        return 0;
    }
    struct trees_state state;
    fold_target_close(t);
    int rc = trees_write_state(w, tree, &state, err);
    if (rc == INSTAR_ENOTFOUND ||
        (rc == 0 && state.stage != TREES_LIVE && state.stage != TREES_BUILDING) ||
        (rc == 0 && f->to < state.changed)) {
        rc = 0; /* dropped, never made, or in the tree, or void, before its turn: skip */
    } else if (rc == 0) {
        t->delta = state.stage == TREES_BUILDING && f->only == NULL;
        rc = trees_write_cursor(w, t->delta ? trees_delta(tree) : trees_data(tree), &t->to, err);
    }
    t->tree = tree;
    t->known = rc == 0;
    return rc;
}

int fold_target_write(struct fold_target *t, struct base_slice key, bool deleted,
                      struct base_slice value, struct base_err *err)
{
    if (t->to == NULL) {
        return 0;
    }
    if (t->delta) {
        return delta_put(t->to, key, deleted, value, err);
    }
    if (deleted) {
        int rc = trees_cursor_delete(t->to, key, err);
        return rc == INSTAR_ENOTFOUND ? 0 : rc;
    }
    return trees_cursor_put(t->to, key, base_slice(NULL, 0), value, err);
}

void fold_target_close(struct fold_target *t)
{
    trees_cursor_close(t->to);
    *t = (struct fold_target){0};
}

/* ---- batches ------------------------------------------------------------------------------- */

/* The value stands behind its key, as `varint size | bytes`. */
static struct base_slice value_of(const struct fold *f, const struct fold_op *op)
{
    const uint8_t *at = op->key + op->key_size;
    if (op->deleted) {
        return base_slice(NULL, 0);
    }
    /* The body was walked before, so the size is there and in bounds. */
    size_t i = 0;
    while (at < f->pins.seg[i]->bytes || at > f->pins.seg[i]->bytes + f->s->segment_bytes) {
        i++;
        base_assert(i < f->pins.count);
    }
    const uint8_t *end = f->pins.seg[i]->bytes + f->s->segment_bytes;
    struct base_reader r = base_reader(base_slice(at, (size_t)(end - at)));
    return base_read_blob(&r);
}

int fold_pour(const struct fold *f, struct trees_write *w, const struct pace *pace, size_t *at,
              struct base_err *err)
{
    struct fold_target target = {0};
    int rc = 0;
    size_t i = *at;
    for (unsigned n = 1; rc == 0 && i < f->count; n++, i++) {
        const struct fold_op *op = &f->ops[i];
        if (i + 1 < f->count && compare_keys(op, op + 1) == 0) {
            continue; /* a later one of the same key follows */
        }
        rc = fold_target_set(&target, w, op->tree, f, err);
        if (rc == 0) {
            rc = fold_target_write(&target, base_slice(op->key, op->key_size), op->deleted,
                                   value_of(f, op), err);
        }
        if (rc == 0 && n % CHECK_EVERY == 0 && pace_full(pace, trees_write_bytes(w))) {
            i++;
            break;
        }
    }
    fold_target_close(&target);
    *at = i;
    return rc;
}

/* One LMDB transaction, inside the gate. */
static int write_batch(const struct fold *f, const struct pace *pace, size_t *at,
                       struct trees_mark *mark, struct base_err *err)
{
    struct trees_write *w;
    size_t next = *at;
    int rc = trees_write_begin(f->s->trees, false, &w, err);
    if (rc != 0) {
        return rc;
    }
    struct trees_mark *m = trees_write_mark(w);
    base_assert(m->lo == f->from); /* the role is ours alone */
    rc = fold_pour(f, w, pace, &next, err);
    if (rc != 0) {
        trees_write_abort(w);
        return rc;
    }
    m->hi = m->hi > f->to ? m->hi : f->to;
    if (next == f->count) {
        m->lo = f->to;
        m->chain = f->chain;
    }
    struct trees_mark written = *m;
    os_point("apply.batch_written");
    rc = trees_write_commit(w, err);
    if (rc == 0) {
        os_point("apply.committed");
        *mark = written;
        *at = next;
    }
    return rc;
}

bool fold_behind(const struct store *s, uint64_t lo)
{
    uint64_t pending = store_tail(s) - lo;
    return pending > s->segment_bytes * (s->options.segments_pending * 3 / 4);
}

/* How many times as long as its work the applier pauses. As long as nobody waits for the fold it
 * has until the next segments are full. So its pages are spread over that time, and commits are not
 * slow for some seconds and fast for some. */
static unsigned patience(const struct fold *f)
{
    uint64_t come = store_tail(f->s) - f->to;
    uint64_t room = fold_segments(f->s) * f->s->segment_bytes;
    if (applier_urged(f->s, STORE_URGE_SOON) > f->from) {
        return 1;
    }
    if (applier_urged(f->s, STORE_URGE_CALM) > f->from) {
        return come < 2 * room ? PATIENCE_CALM : 1;
    }
    return come < room ? 1 + (unsigned)((PATIENCE_MAX - 1) * (room - come) / room) : 1;
}

void fold_pace_begin(const struct fold *f, bool small, struct pace *p)
{
    bool hurry = fold_behind(f->s, f->from) || applier_urged(f->s, STORE_URGE_NOW) > f->from;
    pace_begin(f->s, small ? PACE_SMALL : hurry ? PACE_HURRY : PACE_POLITE, p);
    p->patience = patience(f);
}

int fold_apply(struct fold *f, bool small, struct trees_mark *mark, struct base_err *err)
{
    size_t at = 0;
    while (mark->lo < f->to) {
        struct pace pace;
        int rc = gate_enter(f->s, "apply the log", trees_deadline(f->s), err);
        if (rc != 0) {
            return rc;
        }
        fold_pace_begin(f, small, &pace);
        rc = write_batch(f, &pace, &at, mark, err);
        gate_leave(f->s);
        if (rc != 0) {
            return rc;
        }
        if (mark->lo == f->to) {
            control_set_applied(f->s, mark->lo);
        }
        f->worked_ns += os_now_ns() - pace.began_ns;
        admit_folding(f->s, f->from, f->to, f->worked_ns);
        pace_pause(f->s, &pace);
    }
    admit_folded(f->s, f->from, f->to, f->worked_ns);
    return 0;
}
