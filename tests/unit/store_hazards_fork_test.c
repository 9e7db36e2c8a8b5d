/* SPDX-License-Identifier: Apache-2.0 */
/* Forks of a process that has a store open, at moments that hurt: what the child inherits, and what
 * it must be able to do itself. */
#include "support/dbs.h"
#include "support/stores.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- what a child inherits ----------------------------------------------------------------- */

static void stay(struct test_child *self, void *arg)
{
    (void)arg;
    test_send(self, 1);
    test_receive(self);
}

static void open_and_write(struct test_child *self, void *arg)
{
    (void)self;
    instar_options o = stores_options();
    struct store *s;
    o.lock_timeout_ms = 500;
    must(store_open(stores_path(), &o, &s, &test_err));
    stores_write(s, 1, arg, "value");
    stores_close(s);
}

static void another_writes(const char *key)
{
    struct test_child c;
    test_fork(&c, open_and_write, (void *)(uintptr_t)key);
    test_wait_ok(&c);
}

/* A child that goes on living has the open files of its parent, but keeps none of its locks: after
 * the parent has closed the store, others open it. */
Test(store_hazards_fork, an_idle_child_keeps_nobody_out)
{
    struct store *s = stores_make(NULL);
    struct test_child child;
    stores_tree_op(s, STORE_TREE_CREATE, 1);
    test_fork(&child, stay, NULL);
    test_await(&child, 1);
    stores_close(s);
    another_writes("other");
    s = stores_open(NULL);
    stores_read(s, 1, "other", "value");
    stores_close(s);
    test_send(&child, 1);
    test_wait_ok(&child);
}

static int until[2]; /* closed by the test at its end */

static void stay_until_closed(struct test_child *self, void *arg)
{
    char none;
    (void)arg;
    prctl(PR_SET_PDEATHSIG, 0);
    close(until[1]);
    test_send(self, 1);
    expect(read(until[0], &none, 1) == 0);
}

static void fork_one_that_stays(struct test_child *self, void *arg)
{
    (void)arg;
    struct test_child grandchild;
    struct store *s = stores_open(NULL);
    stores_write(s, 1, "first", "value");
    test_fork(&grandchild, stay_until_closed, NULL);
    test_await(&grandchild, 1);
    test_send(self, (uint64_t)grandchild.pid);
    test_receive(self);
}

/* The same when the parent was killed: then the child has its lock, but others can join. */
Test(store_hazards_fork, the_child_of_a_killed_process_keeps_nobody_out)
{
    struct store *s = stores_make(NULL);
    struct test_child child;
    stores_tree_op(s, STORE_TREE_CREATE, 1);
    stores_close(s);
    expect(pipe(until) == 0);
    test_fork(&child, fork_one_that_stays, NULL);
    pid_t grandchild = (pid_t)test_receive(&child);
    test_kill(&child, SIGKILL);
    expect(kill(grandchild, 0) == 0);
    another_writes("other");
    s = stores_open(NULL);
    stores_read(s, 1, "first", "value");
    stores_read(s, 1, "other", "value");
    stores_close(s);
    expect(kill(grandchild, 0) == 0);
    close(until[0]);
    close(until[1]);
}

/* ---- a fork amid other threads ------------------------------------------------------------- */

/* Not under the address sanitizer, whose own allocator does not survive such a fork. There is a
 * test of the locks alone in base_os_lock. */
#if !defined(__SANITIZE_ADDRESS__)
#define THREADS 3
#define FORKS 40

static _Atomic bool done;

static void *begin_and_end(void *arg)
{
    while (!atomic_load(&done)) {
        instar_txn *t;
        ok(instar_begin(arg, INSTAR_TXN_READONLY, &t));
        instar_abort(t);
    }
    return NULL;
}

static void open_anew(struct test_child *self, void *arg)
{
    instar_txn *t;
    (void)self;
    fails(instar_begin(arg, 0, &t), INSTAR_EFORKED);
    instar *own = dbs_open(0);
    ok(instar_begin(own, 0, &t));
    instar_abort(t);
    ok(instar_close(own));
}

/* Other threads may be anywhere when a process forks: the child, which has none of them, still
 * opens the store for itself, and never waits for a lock that one of them held. */
Test(store_hazards_fork, a_fork_amid_transactions)
{
    pthread_t threads[THREADS];
    struct test_child child;
    instar *db = dbs_open(0);
    for (int i = 0; i < THREADS; i++) {
        expect(pthread_create(&threads[i], NULL, begin_and_end, db) == 0);
    }
    for (int i = 0; i < FORKS; i++) {
        test_fork(&child, open_anew, db);
        test_wait_ok(&child);
    }
    atomic_store(&done, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ok(instar_close(db));
}
#endif
