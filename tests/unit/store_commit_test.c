/* SPDX-License-Identifier: Apache-2.0 */
/* Commits: fences, proofs, conflicts, limits, back-pressure, and death inside the lock. */
#include "store/control.h"
#include "store/log.h"
#include "support/stores.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#define TREE 1
#define GO 1
#define SOON_MS 50u
#define NS_PER_MS UINT64_C(1000000)

static struct store *make_small(void)
{
    instar_options o = stores_options();
    o.segment_bytes = (uint64_t)64 << 10;
    o.txn_bytes_max = o.segment_bytes / 4;
    o.row_bytes_max = o.txn_bytes_max / 2;
    o.segments_pending = 2;
    o.segments_retained = 1;
    return stores_make(&o);
}

static int commit_with(struct store *s, const struct store_commit *how, uint64_t *lsn_out)
{
    struct store_txn *t = stores_begin(s, 0);
    stores_put(t, TREE, "key", "value");
    return store_txn_commit(t, how, lsn_out, &test_err);
}

/* A fence that does not hold refuses the commit with its own code, and nothing is written. */
Test(store_commit, fences)
{
    struct store *s = stores_make(NULL);
    _Atomic uint64_t word = 0x105;
    _Atomic uint64_t expiry = os_now_ns() + UINT64_C(3600) * 1000 * NS_PER_MS;
    struct store_fence fence = {&word, 0xff, 5, &expiry, INSTAR_ESCHEMA_CHANGED};
    struct store_commit how = {.fences = &fence, .fence_count = 1};
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    must(commit_with(s, &how, NULL));
    uint64_t tail = store_tail(s);
    atomic_store(&word, 0x106);
    must_fail(commit_with(s, &how, NULL), INSTAR_ESCHEMA_CHANGED);
    atomic_store(&word, 0x205);
    atomic_store(&expiry, os_now_ns() - 1);
    must_fail(commit_with(s, &how, NULL), INSTAR_ESCHEMA_CHANGED);
    expect_u64(store_tail(s), tail);
    atomic_store(&expiry, os_now_ns() + UINT64_C(3600) * 1000 * NS_PER_MS);
    must(commit_with(s, &how, NULL));
    stores_close(s);
}

struct proof {
    struct store *s;
    int verdict;
    uint64_t end_lsn;
    uint64_t tail;
};

static int prove(void *arg, uint64_t end_lsn, struct base_err *err)
{
    struct proof *p = arg;
    p->end_lsn = end_lsn;
    p->tail = store_tail(p->s);
    return p->verdict == 0 ? 0 : base_err_set(err, p->verdict, "not proven");
}

/* The proof runs when all else holds, knows the LSN that the commit will have, and may refuse. */
Test(store_commit, proofs)
{
    struct store *s = stores_make(NULL);
    struct proof proof = {.s = s};
    struct store_commit how = {.proof = prove, .proof_arg = &proof};
    uint64_t lsn;
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    uint64_t tail = store_tail(s);
    must(commit_with(s, &how, &lsn));
    expect_u64(proof.end_lsn, lsn);
    expect_u64(proof.tail, tail);
    expect_u64(store_tail(s), lsn);
    proof.verdict = INSTAR_EBLOCKED;
    must_fail(commit_with(s, &how, &lsn), INSTAR_EBLOCKED);
    expect_u64(store_tail(s), proof.tail);
    stores_close(s);
}

/* A publication moves the schema LSN, is durable when it returns, and wakes who waits for it; a
 * later opener finds its LSN again in the log. */
Test(store_commit, publications)
{
    struct store *s = stores_make(NULL);
    struct store_commit how = {.publication = true};
    uint64_t lsn;
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    uint32_t seen = store_event_seen(s, STORE_EVENT_SCHEMA);
    must(commit_with(s, &how, &lsn));
    expect_u64(store_schema_lsn(s), lsn);
    expect(store_durable(s) >= lsn);
    expect(store_event_seen(s, STORE_EVENT_SCHEMA) != seen);
    must(store_event_wait(s, STORE_EVENT_SCHEMA, seen, STORE_FOREVER));
    stores_write(s, TREE, "other", "value");
    expect_u64(store_schema_lsn(s), lsn);
    stores_close(s);
}

/* A conflict with a commit that is not durable yet makes it durable before the error returns: so
 * the retry of a sync transaction reads it. */
Test(store_commit, conflict_drives_the_flush)
{
    struct store *s = stores_make_tree(NULL, TREE);
    struct store_txn *loser = stores_begin(s, STORE_TXN_SYNC);
    stores_put(loser, TREE, "key", "loser");
    uint64_t lsn = stores_write(s, TREE, "key", "winner");
    must_fail(store_txn_commit(loser, NULL, NULL, &test_err), INSTAR_ECONFLICT);
    expect(store_durable(s) >= lsn);
    struct store_txn *again = stores_begin(s, STORE_TXN_SYNC);
    stores_expect(again, TREE, "key", "winner");
    store_txn_abort(again);
    stores_close(s);
}

/* Whoever holds a snapshot while the log is retired behind it gets a retryable error, not a commit
 * that missed a conflict. */
Test(store_commit, old_snapshots_are_refused)
{
    struct store *s = make_small();
    static char value[4000];
    memset(value, 'v', sizeof(value) - 1);
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    struct store_txn *old = stores_begin(s, 0);
    stores_put(old, TREE, "old", "value");
    while (control_load(&s->ctl->floor) <= store_txn_lsn(old)) {
        stores_write(s, TREE, "key", value);
        stores_fold(s);
    }
    must_fail(store_txn_commit(old, NULL, NULL, &test_err), INSTAR_ESNAPSHOT_TOO_OLD);
    stores_close(s);
}

/* When the applier cannot keep up, commits wait outside the lock, at most as long as they may; the
 * error says for what. Then they go on. */
Test(store_commit, back_pressure)
{
    struct store *s = make_small();
    struct store_commit how = {0};
    static char value[4000];
    int rc = 0;
    memset(value, 'v', sizeof(value) - 1);
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    must(gate_enter(s, "test", STORE_FOREVER, &test_err)); /* nothing is folded meanwhile */
    for (int i = 0; i < 80 && rc == 0; i++) {
        struct store_txn *t = stores_begin(s, 0);
        how.deadline_ns = os_now_ns() + SOON_MS * NS_PER_MS;
        stores_put(t, TREE, "key", value);
        rc = store_txn_commit(t, &how, NULL, &test_err);
    }
    expect(rc == INSTAR_EBUSY);
    expect(strstr(test_err.text, "wait to be folded") != NULL);
    expect(store_tail(s) >= 2 * s->segment_bytes - 8192);
    stores_read(s, TREE, "key", value); /* reads go on */
    gate_leave(s);
    stores_write(s, TREE, "key", "small");
    for (int i = 0; i < 10; i++) {
        stores_write(s, TREE, "key", value);
    }
    stores_close(s);
}

/* No space for the next segment: commits that need it fail cleanly, reads go on, and when space is
 * freed commits go on without a new open. */
Test(store_commit, no_space)
{
    struct store *s = make_small();
    struct test_fault fault = {
        .op = OS_OP_ALLOCATE, .path = "/log/", .nth = 1, .error = ENOSPC, .sticky = true};
    static char value[4000];
    int rc = 0;
    int done = 0;
    memset(value, 'v', sizeof(value) - 1);
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    test_fault_set(&fault);
    for (; done < 80 && rc == 0; done++) {
        struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
        stores_put(t, TREE, "key", value);
        rc = store_txn_commit(t, NULL, NULL, &test_err);
    }
    expect(rc == INSTAR_ENOSPACE);
    expect(done > 4);
    stores_read(s, TREE, "key", value);
    must(store_poisoned(s, &test_err));
    test_fault_set(NULL);
    for (int i = 0; i < 20; i++) {
        stores_write(s, TREE, "key", value);
    }
    stores_close(s);
    s = stores_open(NULL);
    stores_read(s, TREE, "key", value);
    stores_close(s);
}

/* A record that could not be written is void: the commit fails, the next one succeeds, and nothing
 * of it shows up after recovery. */
Test(store_commit, failed_write_is_void)
{
    struct store *s = stores_make(NULL);
    struct test_fault fault = {.op = OS_OP_WRITE, .path = ".seg", .nth = 1, .error = ENOSPC};
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    struct store_txn *t = stores_begin(s, 0);
    stores_put(t, TREE, "key", "never");
    test_fault_set(&fault);
    must_fail(store_txn_commit(t, NULL, NULL, &test_err), INSTAR_ENOSPACE);
    expect_u64(test_fault_fired(), 1);
    test_fault_set(NULL);
    expect_u64(atomic_load(&s->ctl->voids), 1);
    stores_read(s, TREE, "key", NULL);
    stores_write(s, TREE, "other", "value");
    must(store_verify(s, NULL, NULL, &test_err));
    stores_close(s);
    s = stores_open(NULL);
    stores_read(s, TREE, "key", NULL);
    stores_read(s, TREE, "other", "value");
    stores_close(s);
}

/* A transaction over the limit is refused, and nothing of it is written. */
Test(store_commit, limits)
{
    struct store *s = make_small();
    struct store_commit how = {0};
    struct commit_request req = {.kind = RECORD_BATCH, .how = &how};
    uint64_t lsn;
    uint8_t *body = base_alloc_zero(1, s->segment_bytes);
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    uint64_t tail = store_tail(s);
    req.body = base_slice(body, commit_body_bytes_max(s) + 1);
    req.snapshot = tail;
    must_fail(commit_run(s, &req, &lsn, &test_err), INSTAR_ELIMIT);
    struct base_buf ops = {0};
    for (uint64_t i = 0; i <= commit_ops_max(s) * 2; i++) {
        uint8_t key[8];
        base_put_be64(key, i);
        struct record_op op = {RECORD_DELETE, TREE, {key, 8}, {NULL, 0}};
        expect(record_body_add(&ops, &op));
    }
    req.body = base_buf_slice(&ops);
    must_fail(commit_run(s, &req, &lsn, &test_err), INSTAR_ELIMIT);
    expect_u64(store_tail(s), tail);
    base_buf_free(&ops);
    base_free(body);
    stores_close(s);
}

/* ---- death inside ------------------------------------------------------------------------- */

struct victim {
    const char *point;
    bool publication;
};

/* Forked while this process has no other thread, sanitizers need that; works when it is told to. */
static void die_in_commit(struct test_child *self, void *arg)
{
    const struct victim *v = arg;
    struct store_commit how = {.publication = v->publication};
    test_await(self, GO);
    struct store *s = stores_open(NULL);
    test_kill_at_point(v->point, 1);
    struct store_txn *t = stores_begin(s, 0);
    stores_put(t, TREE, "a", "victim");
    stores_put(t, TREE, "b", "victim");
    store_txn_commit(t, &how, NULL, &test_err);
    test_fail(__FILE__, __LINE__, "%s was not reached", v->point);
}

static void let_die(struct test_child *child)
{
    test_send(child, GO);
    expect(test_wait(child) == -SIGKILL);
}

static void expect_after_death(struct store *s, const char *value)
{
    struct store_txn *t = stores_begin(s, 0);
    stores_expect(t, TREE, "a", value);
    stores_expect(t, TREE, "b", value != NULL ? value : "old");
    store_txn_abort(t);
}

/* Killed before tail moved: never happened, for everybody and for ever, and the schema LSN with it.
 * After: it stays. In both cases the next commit succeeds at once. */
Test(store_commit, death_inside)
{
    static const struct {
        const char *point;
        bool visible;
    } cases[] = {{"commit.mark_set", false},     {"commit.record_written", false},
                 {"commit.nodes_filled", false}, {"commit.nodes_linked", false},
                 {"commit.schema_set", false},   {"commit.chain_set", false},
                 {"commit.tail_set", true},      {"commit.appended", true},
                 {"flush.loaded", true},         {"flush.synced", true},
                 {"commit.durable", true}};
    struct test_child children[BASE_ARRAY_LEN(cases)];
    stores_path();
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        struct victim victim = {cases[i].point, true};
        test_fork(&children[i], die_in_commit, &victim);
    }
    struct store *s = stores_make_tree(NULL, TREE);
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        uint64_t voids = atomic_load(&s->ctl->voids);
        stores_write(s, TREE, "a", NULL);
        stores_write(s, TREE, "b", "old");
        uint64_t schema = store_schema_lsn(s);
        let_die(&children[i]);
        stores_write(s, TREE, "c", "next");
        expect_after_death(s, cases[i].visible ? "victim" : NULL);
        expect_u64(atomic_load(&s->ctl->voids) - voids, cases[i].visible ? 0 : 1);
        expect((store_schema_lsn(s) != schema) == cases[i].visible);
        must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
        must(store_verify(s, NULL, NULL, &test_err));
        stores_fold(s);
        expect_after_death(s, cases[i].visible ? "victim" : NULL);
    }
    stores_close(s);
}

/* A publication whose committer died before its flush is seen by nobody before it is durable: an
 * asynchronous transaction that could see it drives the flush. */
Test(store_commit, publication_without_its_flush)
{
    struct test_child child;
    struct victim victim = {"commit.appended", true};
    stores_path();
    test_fork(&child, die_in_commit, &victim);
    struct store *s = stores_make_tree(NULL, TREE);
    stores_write(s, TREE, "a", NULL);
    uint64_t schema = store_schema_lsn(s);
    let_die(&child);
    struct store_txn *t = stores_begin(s, 0);
    stores_expect(t, TREE, "a", "victim");
    expect(store_schema_lsn(s) > schema && store_durable(s) >= store_schema_lsn(s));
    store_txn_abort(t);
    stores_close(s);
}

/* The successor that dies while it makes the record void is succeeded in turn. */
Test(store_commit, death_of_the_successor)
{
    static const char *const points[] = {"commit.nodes_linked", "control.owner_dead",
                                         "commit.void_written"};
    struct test_child children[BASE_ARRAY_LEN(points)];
    stores_path();
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        struct victim victim = {points[i], false};
        test_fork(&children[i], die_in_commit, &victim);
    }
    struct store *s = stores_make_tree(NULL, TREE);
    stores_write(s, TREE, "b", "old");
    for (size_t i = 0; i < BASE_ARRAY_LEN(points); i++) {
        let_die(&children[i]);
    }
    stores_write(s, TREE, "c", "next");
    expect_after_death(s, NULL);
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    must(store_verify(s, NULL, NULL, &test_err));
    stores_close(s);
}

/* A successor that cannot settle what it finds fails, and leaves it to the next: nothing is lost.
 */
Test(store_commit, failure_of_the_successor)
{
    struct test_child child;
    struct victim victim = {"commit.nodes_linked", false};
    struct test_fault fault = {.op = OS_OP_WRITE, .path = ".seg", .nth = 1, .error = EIO};
    stores_path();
    test_fork(&child, die_in_commit, &victim);
    struct store *s = stores_make_tree(NULL, TREE);
    stores_write(s, TREE, "b", "old");
    let_die(&child);
    test_fault_set(&fault);
    must_fail(commit_with(s, &(struct store_commit){0}, NULL), INSTAR_EIO);
    test_fault_set(NULL);
    must(store_poisoned(s, &test_err));
    stores_write(s, TREE, "c", "next");
    expect_after_death(s, NULL);
    must(store_flush(s, store_tail(s), STORE_FOREVER, &test_err));
    must(store_verify(s, NULL, NULL, &test_err));
    stores_close(s);
}

static void stop_in_commit(struct test_child *self, void *arg)
{
    test_await(self, GO);
    struct store *s = stores_open(NULL);
    test_send(self, (uint64_t)os_pid());
    atomic_store(&((struct test_hold *)arg)->left, 1);
    stores_write(s, TREE, "key", "held");
    stores_close(s);
}

/* A process that stands still inside the lock is named by those who wait for it in vain; reads go
 * on, and so does everything when it goes on. */
Test(store_commit, a_stopped_holder_is_named)
{
    struct store_commit how = {0};
    struct test_child child;
    struct test_hold *hold = test_shared(sizeof(*hold));
    char pid[32];
    stores_path();
    test_hold_set(hold, "commit.mark_set", 0); /* makes its pipes; another process arms it */
    test_fork(&child, stop_in_commit, hold);
    struct store *s = stores_make_tree(NULL, TREE);
    test_send(&child, GO);
    snprintf(pid, sizeof(pid), "process %llu ", (unsigned long long)test_receive(&child));
    test_hold_await(hold);
    struct store_txn *t = stores_begin(s, 0);
    stores_put(t, TREE, "mine", "value");
    how.deadline_ns = os_now_ns() + SOON_MS * NS_PER_MS;
    must_fail(store_txn_commit(t, &how, NULL, &test_err), INSTAR_EBUSY);
    expect(strstr(test_err.text, pid) != NULL);
    stores_read(s, TREE, "mine", NULL);
    test_hold_release(hold);
    stores_write(s, TREE, "mine", "value");
    test_wait_ok(&child);
    test_hold_end(hold);
    munmap(hold, sizeof(*hold));
    stores_close(s);
}

/* The turn holds back others until its holder has committed. */
Test(store_commit, the_turn)
{
    struct store *s = stores_make(NULL);
    struct store_commit how = {0};
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    struct store_txn *first = stores_begin(s, STORE_TXN_RESERVED | STORE_TXN_SYNC);
    stores_put(first, TREE, "key", "first");
    struct store_txn *other = stores_begin(s, 0);
    stores_put(other, TREE, "other", "value");
    /* It waits for the turn, at most as long as the turn lasts by itself, and then goes on. */
    uint64_t end_ns = atomic_load(&s->ctl->turn_ticket) & ~UINT64_C(0xfff);
    must(store_txn_commit(other, &how, NULL, &test_err));
    expect(os_now_ns() >= end_ns);
    must(store_txn_commit(first, NULL, NULL, &test_err));
    first = stores_begin(s, STORE_TXN_RESERVED | STORE_TXN_SYNC);
    stores_put(first, TREE, "key", "second");
    must(store_txn_commit(first, NULL, NULL, &test_err));
    expect_u64(atomic_load(&s->ctl->turn_ticket), 0);
    stores_close(s);
}

/* A record with a good checksum and a tree operation that its kind does not allow is corruption,
 * and the store stops; it is not folded. */
Test(store_commit, a_tree_operation_in_a_batch)
{
    struct store *s = stores_make(NULL);
    struct store_commit how = {0};
    struct base_buf body = {0};
    struct record_op op = {.op = RECORD_TREE + STORE_TREE_CREATE, .tree = 99};
    uint64_t lsn;
    expect(record_body_add(&body, &op));
    struct commit_request req = {.kind = RECORD_BATCH,
                                 .how = &how,
                                 .sync = true,
                                 .snapshot = store_tail(s),
                                 .body = base_buf_slice(&body)};
    must(commit_run(s, &req, &lsn, &test_err));
    int rc = store_wait_applied(s, lsn, STORE_URGE_SOON, os_now_ns() + UINT64_C(60) * 1000000000,
                                &test_err);
    expect(rc == INSTAR_ESTOPPED || rc == INSTAR_ECORRUPT);
    expect(strstr(test_err.text, "tree operation") != NULL);
    base_buf_free(&body);
    (void)store_close(s, NULL);
}
