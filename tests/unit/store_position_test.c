/* SPDX-License-Identifier: Apache-2.0 */
/* How far the log is folded, and who waits for it. */
#include "support/stores.h"

#include "store/apply_impl.h"
#include "store/control.h"

#include <errno.h>

#define T 1

/* A fold that failed is told to who waits for it, until one has succeeded. */
Test(store_position, a_failure_is_over_when_a_fold_succeeds)
{
    struct store *s = stores_make_tree(NULL, T);
    stores_fold(s);
    test_fault_set(&(struct test_fault){
        .op = OS_OP_WRITE, .path = "data.mdb", .nth = 1, .error = ENOSPC, .sticky = true});
    uint64_t lsn = stores_write(s, T, "a", "1");
    uint64_t until_ns = os_now_ns() + UINT64_C(60000000000);
    must_fail(store_wait_applied(s, lsn, STORE_URGE_SOON, until_ns, &test_err), INSTAR_ENOSPACE);
    cr_assert(strstr(test_err.text, "cannot be folded") != NULL, "%s", test_err.text);
    test_fault_set(NULL);
    stores_await_folding(s, lsn);
    lsn = stores_write(s, T, "b", "2");
    must(store_wait_applied(s, lsn, STORE_URGE_SOON, until_ns, &test_err));
    stores_close(s);
}

/* Without being asked, the applier folds what has been pending for a while. */
Test(store_position, folds_when_idle)
{
    struct store *s = stores_make_tree(NULL, T);
    stores_await_folding(s, stores_write(s, T, "k", "1"));
    stores_close(s);
}

/* Close leaves nothing pending: the next open reads everything from the trees. What was folded is
 * not needed again: a log that ends at lo is a whole log. */
Test(store_position, close_folds_everything)
{
    struct store *s = stores_make_tree(NULL, T);
    stores_write(s, T, "k", "1");
    stores_close(s);
    s = stores_open(NULL);
    expect_u64(store_applied(s), store_tail(s));
    stores_read(s, T, "k", "1");
    stores_close(s);
}

/* Who waits for the applier has not committed anything: nobody gives way to it on the disk. */
Test(store_position, who_waits_for_folding_waits_for_no_flush)
{
    struct store *s = stores_make_tree(NULL, T);
    stores_fold(s);
    for (int i = 0; i < 20; i++) {
        uint64_t lsn = stores_write(s, T, "k", "1");
        uint64_t seen = atomic_load(&s->ctl->sync_wait_ns);
        must(store_wait_applied(s, lsn, STORE_URGE_CALM, STORE_FOREVER, &test_err));
        expect_u64(atomic_load(&s->ctl->sync_wait_ns), seen);
    }
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    uint64_t before = os_now_ns();
    stores_put(t, T, "k", "2");
    stores_commit(t);
    expect(atomic_load(&s->ctl->sync_wait_ns) >= before);
    stores_close(s);
}

/* A change commits again and again, and then waits for the applier: which must not make way for
 * the very change that waits for it. */
Test(store_position, who_commits_in_the_background_is_no_committer_that_waits)
{
    struct store *s = stores_make_tree(NULL, T);
    uint64_t seen = atomic_load(&s->ctl->sync_wait_ns);
    for (int i = 0; i < 3; i++) {
        struct store_txn *t = stores_begin(s, 0); /* something that the next one has to flush */
        stores_put(t, T, "k", "1");
        stores_commit(t);
        t = stores_begin(s, STORE_TXN_BACKGROUND);
        stores_put(t, T, "k", "2");
        uint64_t lsn = stores_commit(t);
        expect(store_durable(s) >= lsn);
        expect_u64(atomic_load(&s->ctl->sync_wait_ns), seen);
    }
    stores_close(s);
}

static void expect_urged(const struct store *s, uint64_t calm, uint64_t soon, uint64_t now)
{
    expect_u64(applier_urged(s, STORE_URGE_CALM), calm);
    expect_u64(applier_urged(s, STORE_URGE_SOON), soon);
    expect_u64(applier_urged(s, STORE_URGE_NOW), now);
}

/* What is urgent is asked for in the calmer ways too, and not the other way round; nobody takes
 * back what another one asked for. */
Test(store_position, who_urges_more_urges_less)
{
    struct store *s = stores_make(NULL);
    uint64_t at = store_tail(s) + 1000; /* where no log is yet */
    applier_urge(s, at + 10, STORE_URGE_SOON);
    expect(applier_urged(s, STORE_URGE_NOW) < at);
    applier_urge(s, at, STORE_URGE_NOW);
    expect_urged(s, at + 10, at + 10, at);
    applier_urge(s, at + 20, STORE_URGE_CALM);
    expect_urged(s, at + 20, at + 10, at);
    applier_urge(s, at, STORE_URGE_SOON);
    expect_urged(s, at + 20, at + 10, at);
    stores_close(s);
}

static unsigned patience(const struct fold *f)
{
    struct pace p;
    fold_pace_begin(f, false, &p);
    return p.patience;
}

/* The more urgent, the shorter the pauses of a fold; and while nobody asks, the fewer the more has
 * come since. */
Test(store_position, a_fold_has_patience)
{
    instar_options o = stores_options();
    o.segments_pending = 8;
    struct store *s = stores_make(&o);
    uint64_t room = fold_segments(s) * s->segment_bytes;
    uint64_t far = store_tail(s) + 10 * room;
    struct fold f = {.s = s, .from = far, .to = store_tail(s)};
    unsigned nobody = patience(&f);
    f.to = store_tail(s) - room / 2;
    expect(patience(&f) < nobody && patience(&f) > 1);
    f.to = store_tail(s) - room;
    expect_u64(patience(&f), 1);
    f.to = store_tail(s);
    applier_urge(s, far + 1, STORE_URGE_CALM);
    expect(patience(&f) > 1 && patience(&f) < nobody);
    f.to = store_tail(s) - 2 * room;
    expect_u64(patience(&f), 1);
    f.to = store_tail(s);
    applier_urge(s, far + 1, STORE_URGE_SOON);
    expect_u64(patience(&f), 1);
    stores_close(s);
}

/* Who is in a hurry need not wait for a fold that began calmly: each of its turns asks anew. */
Test(store_position, a_fold_that_goes_on_hurries)
{
    struct store *s = stores_make(NULL);
    struct fold f = {.s = s, .from = store_tail(s), .to = store_tail(s)};
    struct pace p;
    test_clock_start(os_now_ns()); /* so that it stays just now that another one waited */
    atomic_store(&s->ctl->sync_wait_ns, os_now_ns());
    fold_pace_begin(&f, false, &p);
    expect(p.gentle);
    applier_urge(s, f.from + 1, STORE_URGE_SOON);
    fold_pace_begin(&f, false, &p);
    expect(p.gentle);
    uint64_t gentle = p.bytes_max;
    applier_urge(s, f.from + 1, STORE_URGE_NOW);
    fold_pace_begin(&f, false, &p);
    expect(!p.gentle && p.bytes_max > gentle);
    uint64_t large = p.bytes_max;
    fold_pace_begin(&f, true, &p); /* where room is short, hurry or not */
    expect(!p.gentle && p.bytes_max < gentle && gentle < large);
    test_clock_stop();
    stores_close(s);
}
