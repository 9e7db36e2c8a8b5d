/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit, the steps of the store's protocol:
 *
 *   1  outside: encode, hash, plan the nodes; hold back while another one has the turn; validate up
 *      to T0 = tail
 *   2  lock, after long waiting with the turn; poisoned? room in segment and memtable? else seal,
 *      rotate, or wait outside
 *   3  S >= floor; the fences hold
 *   4  validate (T0, tail]; when that is more than 64 KiB, unlock and do it outside again
 *   5  the proof; append (append.c); unlock
 *   6  sync: wait for the flush that covers it
 *
 * So the lock is held for microseconds, whatever was scanned or written: nothing is allocated, no
 * file is made or mapped and no user code runs in it. Whenever something is missing in there, the
 * lock is left, the thing is fetched outside, and all checks are made again.
 *
 * Why S >= floor: validation reads the records behind S. Segments that are gone could hide the one
 * that matters.
 * Why a conflict with something not yet durable drives the flush: a retry of a sync transaction
 * would read the same durable snapshot and lose again, for ever if its winner was killed.
 */
#include "store/admit.h"
#include "store/log.h"

#include <string.h>

#define INSIDE_MAX ((uint64_t)64 << 10) /* log validated under the lock */
#define NS_PER_MS 1000000u
#define OVERDUE_NS ((uint64_t)20 * NS_PER_MS) /* of waiting for the lock */

struct commit {
    struct store *s;
    const struct commit_request *req;
    uint64_t deadline_ns;
    uint8_t *memory; /* frame: header and body; then the plan */
    struct append append;
    uint64_t node_bytes;
    uint64_t validated;       /* nothing in (S, validated] contradicts */
    struct segment_pins pins; /* of (S, validated] */
    struct segment *seg;      /* pinned: where the tail was */
    uint64_t prepare;         /* a segment that must be prepared first; with need_prepare */
    bool need_prepare;
    uint64_t overdue_ns; /* having waited until then it takes the turn */
    uint64_t turn;       /* its ticket, 0: not taken */
};

uint64_t commit_body_bytes_max(const struct store *s)
{
    return s->options.txn_bytes_max - RECORD_HEADER;
}

uint64_t commit_ops_max(const struct store *s)
{
    uint64_t room = memtable_capacity(s->segment_bytes) / 2;
    return (room - memtable_bytes_for(0)) / (memtable_bytes_for(1) - memtable_bytes_for(0));
}

/* ---- 1: outside --------------------------------------------------------------------------- */

static int count_ops(struct base_slice body, size_t *count_out, struct base_err *err)
{
    struct base_reader r = base_reader(body);
    struct record_op op;
    int rc;
    *count_out = 0;
    while ((rc = record_body_next(&r, &op, err)) == 0) {
        (*count_out)++;
    }
    return rc == INSTAR_END ? 0 : rc;
}

/* Heights must differ from commit to commit; nothing else depends on them. */
static uint64_t next_seed(const struct commit *c)
{
    uint64_t mix[2] = {control_load(&c->s->ctl->tail), c->s->node_nonce};
    return base_hash64(mix, sizeof(mix), c->append.body_hash);
}

static int prepare(struct commit *c, struct base_err *err)
{
    const struct commit_request *req = c->req;
    size_t count;
    if (req->body.size > commit_body_bytes_max(c->s)) {
        return base_err_set(err, INSTAR_ELIMIT, "transaction of %zu bytes, at most %llu fit",
                            req->body.size, (unsigned long long)commit_body_bytes_max(c->s));
    }
    int rc = count_ops(req->body, &count, err);
    if (rc != 0) {
        return rc;
    }
    size_t frame = record_room(req->body.size);
    c->memory = base_alloc(frame + (count + 1) * sizeof(struct memtable_plan));
    if (c->memory == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a record of %zu bytes", frame);
    }
    uint8_t *body = c->memory + RECORD_HEADER;
    if (req->body.size > 0) {
        memcpy(body, req->body.data, req->body.size);
    }
    struct memtable_plan *plan = (struct memtable_plan *)(c->memory + frame);
    c->append = (struct append){.kind = req->kind,
                                .publication = req->publication,
                                .body = {body, req->body.size},
                                .framed = true,
                                .plan = plan};
    c->append.body_hash = record_body_hash(c->append.body);
    rc = memtable_plan_body(c->append.body, next_seed(c), plan, count, &c->append.plan_count,
                            &c->node_bytes, err);
    uint64_t most = memtable_capacity(c->s->segment_bytes) / 2;
    if (rc == 0 && c->node_bytes > most) {
        rc = base_err_set(err, INSTAR_ELIMIT, "transaction of %zu operations, at most %llu fit",
                          count, (unsigned long long)commit_ops_max(c->s));
    }
    return rc;
}

/* ---- validation --------------------------------------------------------------------------- */

static int too_old(const struct commit *c, struct base_err *err)
{
    return base_err_set(err, INSTAR_ESNAPSHOT_TOO_OLD,
                        "the log since snapshot %llu is gone (kept from %llu on); raise "
                        "segments_retained for transactions that last so long",
                        (unsigned long long)c->req->snapshot,
                        (unsigned long long)control_load(&c->s->ctl->floor));
}

static int check_record(const struct commit *c, const struct record *r, struct base_err *err)
{
    if (r->kind == RECORD_PAD || r->kind == RECORD_VOID) {
        return 0;
    }
    struct base_reader reader = base_reader(r->body);
    struct record_op op;
    int rc;
    while ((rc = record_body_next(&reader, &op, err)) == 0) {
        if (c->req->conflicts(c->req->arg, &op)) {
            return base_err_set(err, INSTAR_ECONFLICT,
                                "conflict with the commit at log position %llu",
                                (unsigned long long)r->end);
        }
    }
    return rc == INSTAR_END ? 0 : rc;
}

/* Look at every record of (validated, to], in pinned segments. On a conflict validated is the end
 * of the record that contradicts. */
static int validate(struct commit *c, uint64_t to, struct base_err *err)
{
    uint64_t segment_bytes = c->s->segment_bytes;
    size_t i = 0;
    while (c->validated < to) {
        while (c->pins.seg[i]->start + segment_bytes <= c->validated) {
            i++;
            base_assert(i < c->pins.count);
        }
        const struct segment *seg = c->pins.seg[i];
        struct record r;
        struct record_sums sums;
        struct record_place place = record_place(c->s, c->validated);
        if (!record_header_read(seg->bytes + (c->validated - seg->start), &place, &r, &sums)) {
            store_poison_damaged(c->s, "a published record's header does not verify");
            return base_err_set(err, INSTAR_ECORRUPT, "log position %llu: no record header there",
                                (unsigned long long)c->validated);
        }
        c->validated = r.end;
        int rc = check_record(c, &r, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static bool pinned_to(const struct commit *c, uint64_t to)
{
    if (c->validated >= to) {
        return true;
    }
    const struct segment_pins *p = &c->pins;
    return p->count > 0 && p->seg[p->count - 1]->start + c->s->segment_bytes >= to &&
           p->seg[0]->start <= c->validated;
}

static int validate_outside(struct commit *c, struct base_err *err)
{
    uint64_t to = control_load(&c->s->ctl->tail);
    if (c->req->conflicts == NULL) {
        c->validated = UINT64_MAX;
    }
    if (c->req->snapshot < control_load(&c->s->ctl->floor)) {
        return too_old(c, err);
    }
    if (!pinned_to(c, to)) {
        segment_unpin(c->s, &c->pins);
        int rc = segment_pin_log(c->s, c->validated, to, &c->pins, err);
        if (rc != 0) {
            return rc == INSTAR_ENOTFOUND ? too_old(c, err) : rc;
        }
    }
    return validate(c, to, err);
}

/* ---- 2 to 5: inside ----------------------------------------------------------------------- */

/* INSTAR_END: leave the lock and get ready again. */
static int make_room(struct commit *c, struct base_err *err)
{
    struct store *s = c->s;
    uint64_t tail = control_load(&s->ctl->tail);
    uint64_t start = segment_base(tail, s->segment_bytes);
    if (!rotate_ready(s, tail)) {
        c->prepare = start;
        c->need_prepare = true;
        return INSTAR_END;
    }
    if (c->seg == NULL || c->seg->start != start) {
        return INSTAR_END;
    }
    uint64_t left = start + s->segment_bytes - tail;
    uint64_t need = record_room(c->append.body.size);
    if ((need == left || need + RECORD_HEADER <= left) && c->node_bytes <= memtable_room(c->seg)) {
        return 0;
    }
    if (!rotate_ready(s, start + s->segment_bytes)) {
        c->prepare = start + s->segment_bytes;
        c->need_prepare = true;
        return INSTAR_END;
    }
    int rc = append_pad(s, c->seg, err);
    return rc != 0 ? rc : INSTAR_END;
}

static int check_fences(const struct store_commit *how, struct base_err *err)
{
    for (size_t i = 0; i < how->fence_count; i++) {
        const struct store_fence *f = &how->fences[i];
        uint64_t found = atomic_load_explicit(f->word, memory_order_acquire) & f->mask;
        if (found != f->expect) {
            return base_err_set(err, f->code, "what the commit depends on was taken back");
        }
        if (f->expiry_ns != NULL &&
            os_now_ns() >= atomic_load_explicit(f->expiry_ns, memory_order_acquire)) {
            return base_err_set(err, f->code, "what the commit depends on has expired");
        }
    }
    return 0;
}

static int commit_locked(struct commit *c, uint64_t *end_out, struct base_err *err)
{
    struct store *s = c->s;
    const struct store_commit *how = c->req->how;
    uint64_t tail = control_load(&s->ctl->tail);
    int rc = make_room(c, err);
    if (rc == 0 && c->req->snapshot < control_load(&s->ctl->floor)) {
        rc = too_old(c, err);
    }
    if (rc == 0) {
        rc = check_fences(how, err);
    }
    if (rc == 0 && c->validated < tail) {
        if (tail - c->validated > INSIDE_MAX || !pinned_to(c, tail)) {
            return INSTAR_END;
        }
        rc = validate(c, tail, err);
    }
    if (rc == 0 && how->proof != NULL) {
        rc = how->proof(how->proof_arg, tail + record_room(c->append.body.size), err);
    }
    if (rc == 0) {
        rc = append_record(s, c->seg, &c->append, end_out, err);
    }
    if (rc == 0) {
        atomic_fetch_add_explicit(&s->ctl->commits, 1, memory_order_relaxed);
        atomic_store_explicit(&s->committed_in, c->seg->start, memory_order_relaxed);
    }
    return rc;
}

/* What was missing inside. */
static int get_ready(struct commit *c, struct base_err *err)
{
    struct store *s = c->s;
    if (c->need_prepare) {
        int rc = rotate_prepare(s, c->prepare, c->deadline_ns, err);
        if (rc != 0) {
            return rc;
        }
        c->need_prepare = false;
    }
    uint64_t start = segment_base(control_load(&s->ctl->tail), s->segment_bytes);
    if (c->seg != NULL && c->seg->start == start) {
        return 0;
    }
    if (c->seg != NULL) {
        segment_unpin_one(s, c->seg);
        c->seg = NULL;
        control_wake(&s->ctl->background); /* the next one is to be prepared */
        control_wake(&s->ctl->urge);
    }
    if (start > control_load(&s->ctl->prepared)) {
        return 0; /* commit_locked will ask for it */
    }
    int rc = segment_pin(s, start, true, &c->seg, err);
    /* Both may be gone when the tail has moved on far; then look again. */
    return rc == INSTAR_ENOTFOUND ? 0 : rc;
}

/* Enter the lock. Whoever runs takes it again before one who was woken for it gets a processor: so
 * with many more processes than processors some would wait for very long, and find too much log to
 * be validated each time. Such a one takes the turn, and the others hold back until it is through.
 */
static int enter(struct commit *c, struct base_err *err)
{
    bool has_turn = c->turn != 0 || c->req->turn != 0;
    while (!has_turn && c->overdue_ns < c->deadline_ns) {
        int rc = control_writer_enter(c->s, "commit", c->overdue_ns, err);
        if (rc != INSTAR_EBUSY) {
            return rc;
        }
        base_err_clear(err);
        c->turn = turn_try(c->s);
        os_point("commit.overdue");
        has_turn = c->turn != 0;
        c->overdue_ns = os_now_ns() + OVERDUE_NS;
    }
    return control_writer_enter(c->s, "commit", c->deadline_ns, err);
}

static int append_valid(struct commit *c, uint64_t *end_out, struct base_err *err)
{
    struct store *s = c->s;
    c->overdue_ns = os_now_ns() + OVERDUE_NS;
    for (;;) {
        int rc = validate_outside(c, err);
        if (rc == 0) {
            rc = get_ready(c, err);
        }
        if (rc == 0) {
            rc = enter(c, err);
        }
        if (rc != 0) {
            return rc;
        }
        rc = commit_locked(c, end_out, err);
        control_writer_leave(s);
        if (rc != INSTAR_END) {
            return rc;
        }
        if (control_left_ns(c->deadline_ns) == 0) {
            return base_err_set(err, INSTAR_EBUSY, "commit: no room in the log in time");
        }
    }
}

/* ---- 6: after ----------------------------------------------------------------------------- */

static void note_async(struct store *s, uint64_t lsn)
{
    uint64_t old = atomic_load_explicit(&s->own_async_lsn, memory_order_relaxed);
    while (old < lsn && !atomic_compare_exchange_weak(&s->own_async_lsn, &old, lsn)) {
    }
}

/* A segment ends when it is full or its memtable is: what a commit takes of it, in bytes of log. */
static uint64_t share_of_segment(const struct commit *c)
{
    uint64_t segment = c->s->segment_bytes;
    uint64_t log = record_room(c->append.body.size);
    uint64_t nodes = c->node_bytes * segment / memtable_capacity(segment);
    return log > nodes ? log : nodes;
}

static int finish(struct commit *c, int rc, uint64_t end, struct base_err *err)
{
    struct store *s = c->s;
    if (rc == INSTAR_ECONFLICT) {
        atomic_fetch_add_explicit(&s->ctl->conflicts, 1, memory_order_relaxed);
        if (c->validated > control_load(&s->ctl->durable)) {
            flush_to(s, c->validated, c->deadline_ns, c->req->waits, NULL);
        }
        return rc;
    }
    if (rc != 0) {
        return rc;
    }
    os_point("commit.appended");
    if (!c->req->sync && !c->req->publication) {
        note_async(s, end);
        return 0;
    }
    struct base_err why;
    base_err_clear(&why);
    if (flush_to(s, end, c->deadline_ns, c->req->waits, &why) != 0) {
        return base_err_set(err, INSTAR_ECOMMIT_UNKNOWN,
                            "the commit is in the log at %llu, but not known to be on disk: %s",
                            (unsigned long long)end, why.text);
    }
    os_point("commit.durable");
    return 0;
}

int commit_run(struct store *s, const struct commit_request *req, uint64_t *lsn_out,
               struct base_err *err)
{
    uint64_t end = 0;
    struct commit c = {.s = s, .req = req, .validated = req->snapshot};
    c.deadline_ns = req->how->deadline_ns != 0
                        ? req->how->deadline_ns
                        : os_now_ns() + (uint64_t)s->options.lock_timeout_ms * NS_PER_MS;
    *lsn_out = 0;
    int rc = store_poisoned(s, err);
    if (rc == 0) {
        rc = prepare(&c, err);
    }
    if (rc == 0) {
        turn_hold(s, req->turn, c.deadline_ns);
        if (req->kind == RECORD_BATCH && req->turn == 0) {
            admit_wait(s, share_of_segment(&c), c.deadline_ns);
        }
        rc = append_valid(&c, &end, err);
        turn_end(s, c.turn);
    }
    segment_unpin(s, &c.pins);
    if (c.seg != NULL) {
        segment_unpin_one(s, c.seg);
    }
    base_free(c.memory);
    rc = finish(&c, rc, end, err);
    if (rc == 0 || rc == INSTAR_ECOMMIT_UNKNOWN) {
        *lsn_out = end;
    }
    return rc;
}
