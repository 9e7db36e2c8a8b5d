/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ordered reads: a merge of up to three kinds of sources, the newest first:
 *
 *   the transaction's own writes | the pinned memtables, newest to oldest | the LMDB tree
 *
 * Each source stands on its next key that was not handed out yet. The least (in reverse: the
 * greatest) of them is next; of equal keys the newest source wins, and all that stand there move
 * on. A winner that is a delete is skipped. When nothing is pending and nothing written, the LMDB
 * cursor is all there is.
 *
 * Own writes may come while the cursor is open: then that source looks again for the first key
 * behind the last one that was handed out.
 *
 * CURSOR-1  While LMDB's source leads, no other stands before `rival`, or, without one, none has
 *           anything left. So what LMDB has before the rival is next, without another look at them.
 */
#include "store/txn_impl.h"

#include <string.h>

struct source {
    bool has;  /* key, value and deleted are set */
    bool used; /* handed out: to be moved on before the next choice */
    bool deleted;
    struct base_slice key;
    struct base_slice value;
    struct memtable_iter iter; /* of a memtable */
};

struct store_cursor {
    struct store_txn *t;
    uint64_t tree;
    enum store_read how;
    bool reverse;
    bool placed; /* the sources have been placed */
    bool ended;
    bool has_last;
    bool has_upper;
    bool leads; /* LMDB's source was handed out last, and no other with it */
    bool has_rival;
    struct base_slice rival; /* the next key of all others */
    struct base_slice last;  /* the last key that was dealt with */
    struct base_buf lower, upper;
    struct trees_cursor *base;
    const struct writeset_entry *own;
    uint64_t own_version;
    /* 0: own writes; 1 … count - 2: memtables, newest first; count - 1: LMDB */
    struct source *sources;
    size_t count, sources_size;
    struct store_cursor *next_idle;
};

void cursor_free_idle(struct store_txn *t)
{
    while (t->idle_cursors != NULL) {
        struct store_cursor *c = t->idle_cursors;
        t->idle_cursors = c->next_idle;
        base_buf_free(&c->lower);
        base_buf_free(&c->upper);
        base_free(c->sources);
        base_free(c);
    }
}

static void make_idle(struct store_cursor *c)
{
    c->next_idle = c->t->idle_cursors;
    c->t->idle_cursors = c;
}

static struct store_cursor *take_idle(struct store_txn *t)
{
    struct store_cursor *c = t->idle_cursors;
    if (c != NULL) {
        t->idle_cursors = c->next_idle;
        return c;
    }
    return base_alloc_zero(1, sizeof *c);
}

static int prepare(struct store_cursor *c, const struct store_range *range)
{
    size_t count = c->t->snap.pins.count + 2;
    if (count > c->sources_size) {
        struct source *sources = base_realloc(c->sources, count * sizeof *sources);
        if (sources == NULL) {
            return INSTAR_ENOMEM;
        }
        c->sources = sources;
        c->sources_size = count;
    }
    c->count = count;
    base_buf_clear(&c->lower);
    base_buf_clear(&c->upper);
    c->has_upper = range->upper.data != NULL;
    bool ok = base_buf_add(&c->lower, range->lower.data, range->lower.size) &&
              (!c->has_upper || base_buf_add(&c->upper, range->upper.data, range->upper.size));
    return ok ? 0 : INSTAR_ENOMEM;
}

int store_cursor_open(struct store_txn *t, uint64_t tree, const struct store_range *range,
                      enum store_read how, struct store_cursor **cursor_out, struct base_err *err)
{
    *cursor_out = NULL;
    struct store_cursor *c = take_idle(t);
    if (c == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a cursor");
    }
    c->t = t;
    c->tree = tree;
    c->how = how;
    c->reverse = range->reverse;
    c->placed = c->ended = c->has_last = c->leads = false;
    int rc = prepare(c, range);
    if (rc != 0) {
        make_idle(c);
        return base_err_set(err, rc, "no memory for a cursor");
    }
    rc = trees_cursor_open(t->snap.read, trees_data(tree), &c->base, err);
    if (rc != 0) {
        make_idle(c);
        return rc;
    }
    t->cursors++;
    *cursor_out = c;
    return 0;
}

/* ---- the sources --------------------------------------------------------------------------- */

static struct source *own_source(struct store_cursor *c)
{
    return &c->sources[0];
}

static struct source *base_source(struct store_cursor *c)
{
    return &c->sources[c->count - 1];
}

/* The end at which a walk begins: NULL data for a reverse walk without an upper end. */
static struct base_slice first_end(const struct store_cursor *c)
{
    if (!c->reverse) {
        return base_buf_slice(&c->lower);
    }
    return c->has_upper
               ? base_slice(c->upper.data != NULL ? c->upper.data : (uint8_t *)"", c->upper.size)
               : base_slice(NULL, 0);
}

static void own_set(struct store_cursor *c, const struct writeset_entry *e)
{
    struct source *src = own_source(c);
    src->used = false;
    src->has = e != NULL && e->tree == c->tree;
    c->own = src->has ? e : NULL;
    if (src->has) {
        src->key = writeset_key(e);
    }
}

/* Place the own source behind the last key, or at the beginning. */
static void own_place(struct store_cursor *c)
{
    const struct writeset *ws = &c->t->writes;
    const struct writeset_entry *e;
    c->own_version = ws->version;
    if (c->reverse) {
        struct base_slice end = c->has_last ? c->last : first_end(c);
        e = end.data != NULL ? writeset_before(ws, c->tree, end)
                             : writeset_before(ws, c->tree + 1, base_slice("", 0));
    } else if (c->has_last) {
        e = writeset_at_least(ws, c->tree, c->last);
        if (e != NULL && e->tree == c->tree && base_slice_eq(writeset_key(e), c->last)) {
            e = e->next[0];
        }
    } else {
        e = writeset_at_least(ws, c->tree, first_end(c));
    }
    own_set(c, e);
}

/* The result of a move of a memtable's iterator, or of LMDB's cursor: 0, INSTAR_END, or an error.
 */
static int settle(struct store_cursor *c, struct source *src, int rc, struct base_err *err)
{
    src->has = rc == 0;
    src->used = false;
    if (rc == 0 && src != base_source(c)) {
        src->key = src->iter.key;
        src->value = src->iter.hit.value;
        src->deleted = src->iter.hit.deleted;
    }
    if (rc == 0 || rc == INSTAR_END) {
        return 0;
    }
    if (src != base_source(c)) {
        store_poison_damaged(c->t->s, "a memtable's link leads nowhere");
        base_err_set(err, rc, "a memtable's link leads nowhere");
    }
    return rc;
}

static int base_place(struct store_cursor *c, struct base_err *err)
{
    struct source *src = base_source(c);
    struct base_slice end = first_end(c);
    int rc;
    if (!c->reverse) {
        src->key = end;
        rc = trees_cursor_move(c->base, TREES_AT_LEAST, &src->key, &src->value, err);
    } else if (end.data == NULL) {
        rc = trees_cursor_move(c->base, TREES_LAST, &src->key, &src->value, err);
    } else {
        src->key = end;
        rc = trees_cursor_move(c->base, TREES_AT_LEAST, &src->key, &src->value, err);
        if (rc == 0 || rc == INSTAR_END) {
            rc = trees_cursor_move(c->base, rc == 0 ? TREES_PREV : TREES_LAST, &src->key,
                                   &src->value, err);
        }
    }
    src->deleted = false;
    return settle(c, src, rc, err);
}

static int place(struct store_cursor *c, struct base_err *err)
{
    const struct snapshot *snap = &c->t->snap;
    c->t->has_reads = true;
    own_place(c);
    for (size_t i = 1; i + 1 < c->count; i++) {
        struct source *src = &c->sources[i];
        memtable_iter_init(&src->iter, snap->pins.seg[snap->pins.count - i], c->tree, snap->lsn);
        src->iter.after = snapshot_lo(snap, c->tree);
        int rc = c->reverse ? memtable_iter_seek_before(&src->iter, first_end(c))
                            : memtable_iter_seek(&src->iter, first_end(c));
        rc = settle(c, src, rc, err);
        if (rc != 0) {
            return rc;
        }
    }
    int rc = base_place(c, err);
    c->placed = rc == 0;
    return rc;
}

static int base_advance(struct store_cursor *c, struct base_err *err)
{
    struct source *src = base_source(c);
    int rc = trees_cursor_move(c->base, c->reverse ? TREES_PREV : TREES_NEXT, &src->key,
                               &src->value, err);
    return settle(c, src, rc, err);
}

/* Move on every source whose key was handed out. */
static int advance(struct store_cursor *c, struct base_err *err)
{
    if (c->own_version != c->t->writes.version) {
        own_place(c);
    } else if (own_source(c)->used) {
        own_set(c, c->reverse ? c->own->prev : c->own->next[0]);
    }
    for (size_t i = 1; i + 1 < c->count; i++) {
        struct source *src = &c->sources[i];
        if (src->used) {
            int rc = c->reverse ? memtable_iter_prev(&src->iter) : memtable_iter_next(&src->iter);
            rc = settle(c, src, rc, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return base_source(c)->used ? base_advance(c, err) : 0;
}

/* The source that is next, and mark all that stand on its key; NULL: none is left. */
static struct source *choose(struct store_cursor *c)
{
    struct source *best = NULL;
    for (size_t i = 0; i < c->count; i++) {
        struct source *src = &c->sources[i];
        if (!src->has) {
            continue;
        }
        int order = best != NULL ? base_slice_cmp(src->key, best->key) : -1;
        if (best != NULL && c->reverse) {
            order = -order;
        }
        if (order < 0) {
            for (size_t k = 0; k < i; k++) {
                c->sources[k].used = false;
            }
            best = src;
        }
        src->used = order <= 0;
    }
    return best;
}

static inline bool in_range(const struct store_cursor *c, struct base_slice key)
{
    if (c->reverse) {
        return !base_slice_before(key, base_buf_slice(&c->lower));
    }
    return !c->has_upper || base_slice_before(key, base_buf_slice(&c->upper));
}

/* Does a key come before another one on this walk? */
static bool before(const struct store_cursor *c, struct base_slice a, struct base_slice b)
{
    return c->reverse ? base_slice_before(b, a) : base_slice_before(a, b);
}

/* Whether LMDB's source leads, when src was chosen: and up to which key. */
static void follow(struct store_cursor *c, const struct source *src)
{
    c->leads = src == base_source(c);
    c->has_rival = false;
    for (size_t i = 0; c->leads && i + 1 < c->count; i++) {
        const struct source *other = &c->sources[i];
        c->leads = !other->used;
        if (other->has && (!c->has_rival || before(c, other->key, c->rival))) {
            c->has_rival = true;
            c->rival = other->key;
        }
    }
}

/* The next of all sources. moved: they have been moved on. */
BASE_APART static int next_of_all(struct store_cursor *c, bool moved, struct base_slice *key_out,
                                  struct base_slice *value_out, struct base_err *err)
{
    *key_out = base_slice(NULL, 0);
    *value_out = base_slice(NULL, 0);
    if (c->ended) {
        return INSTAR_END;
    }
    for (;; moved = false) {
        int rc = 0;
        if (!moved) {
            rc = c->placed ? advance(c, err) : place(c, err);
        }
        if (rc != 0) {
            return rc;
        }
        c->leads = false;
        struct source *src = choose(c);
        if (src == NULL || !in_range(c, src->key)) {
            c->ended = true;
            return INSTAR_END;
        }
        c->last = src->key;
        c->has_last = true;
        follow(c, src);
        bool own = src == own_source(c);
        if (own ? c->own->deleted : src->deleted) {
            continue;
        }
        *key_out = src->key;
        *value_out = own ? base_slice(c->own->value, c->own->value_size) : src->value;
        return 0;
    }
}

int store_cursor_next(struct store_cursor *c, struct base_slice *key_out,
                      struct base_slice *value_out, struct base_err *err)
{
    if (!c->leads || c->own_version != c->t->writes.version) {
        return next_of_all(c, false, key_out, value_out, err);
    }
    int rc =
        trees_cursor_move(c->base, c->reverse ? TREES_PREV : TREES_NEXT, key_out, value_out, err);
    if (rc == 0 && (!c->has_rival || before(c, *key_out, c->rival)) && in_range(c, *key_out)) {
        c->last = *key_out; /* the source still has an entry, and it is used */
        return 0;
    }
    struct source *src = base_source(c);
    c->leads = false;
    src->key = *key_out;
    src->value = *value_out;
    rc = settle(c, src, rc, err);
    if (rc == 0) {
        return next_of_all(c, true, key_out, value_out, err);
    }
    *key_out = base_slice(NULL, 0);
    *value_out = base_slice(NULL, 0);
    return rc;
}

/* ---- end ----------------------------------------------------------------------------------- */

/* What was seen: from the end where the walk began to the last key, or all of the range. */
static void track(struct store_cursor *c)
{
    struct base_slice lower = base_buf_slice(&c->lower);
    struct base_slice upper =
        c->has_upper
            ? base_slice(c->upper.data != NULL ? c->upper.data : (uint8_t *)"", c->upper.size)
            : base_slice(NULL, 0);
    struct readset_range seen = {.tree = c->tree, .lower = lower, .upper = upper};
    if (!c->ended && c->has_last) {
        if (c->reverse) {
            seen.lower = c->last;
        } else {
            seen.upper = c->last;
            seen.closed = true;
        }
    }
    /* If memory runs out, everything counts as read from here on. */
    (void)readset_add_range(&c->t->reads, &seen, NULL);
}

void store_cursor_close(struct store_cursor *c)
{
    if (c == NULL) {
        return;
    }
    if (c->placed && txn_tracks(c->t, c->how)) {
        track(c);
    }
    trees_cursor_close(c->base);
    c->base = NULL;
    base_assert(c->t->cursors > 0);
    c->t->cursors--;
    make_idle(c);
}
