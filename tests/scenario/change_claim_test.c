/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runner that loses its claim, as if it had been thought dead, and learns it late (CHANGE-1): it
 * stands still with a snapshot from before, while another process does the rest of the change. When
 * it goes on, whatever it was at, it finds a table that has moved on, does nothing more, and says
 * nothing.
 */
#define _GNU_SOURCE /* pthread_getname_np */
#include "api/api_impl.h"
#include "store/log.h"
#include "support/moves.h"
#include "support/scenes.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define OPENED 1
#define CLOSED 2
#define STANDS "test.stands"

/* ---- a thread that runs a change stands still ------------------------------------------------ */

static _Atomic uint64_t stand_at; /* which of its snapshots; 0: none */
static _Atomic bool stands;

static void count_snapshot(void *arg, const char *point)
{
    static _Thread_local uint64_t taken;
    static _Thread_local bool spent; /* a thread runs one change */
    char name[16];

    (void)arg;
    if (strcmp(point, "snapshot.trees_begun") != 0 || spent || stand_at == 0 ||
        pthread_getname_np(pthread_self(), name, sizeof(name)) != 0 ||
        strcmp(name, SCENE_CHANGE_THREAD) != 0 || ++taken != stand_at) {
        return;
    }
    spent = true;
    stands = true;
    os_point(STANDS);
}

/* Has it come to that snapshot, or to the end of the change? */
static bool await_standing(instar *db, uint64_t change)
{
    instar_change_info info;

    do {
        (void)instar_change_wait(db, change, 2, &info);
    } while (!stands && info.state == INSTAR_CHANGE_RUNNING);
    return stands;
}

/* No thread of this process runs a change any more. */
static bool has_quit(void)
{
    DIR *threads = opendir("/proc/self/task");
    const struct dirent *entry;
    bool any = false;

    expect(threads != NULL);
    while ((entry = readdir(threads)) != NULL) {
        char path[64];
        char name[32] = "";
        (void)snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", entry->d_name);
        FILE *f = fopen(path, "r");
        if (f != NULL) {
            any = any || (fgets(name, sizeof(name), f) != NULL &&
                          strcmp(name, SCENE_CHANGE_THREAD "\n") == 0);
            (void)fclose(f);
        }
    }
    expect(closedir(threads) == 0);
    return !any;
}

/* ---- who does the rest ----------------------------------------------------------------------- */

/* Opens the store, and closes it, as often as it is told to. */
static void run_now_and_then(struct test_child *self, void *arg)
{
    (void)arg;
    while (test_receive(self) != 0) {
        instar *db = dbs_open(0);
        test_send(self, OPENED);
        test_await(self, CLOSED);
        ok(instar_close(db));
        test_send(self, CLOSED);
    }
}

struct theft {
    const char *before; /* or NULL */
    const char *change;
    const char *after; /* undoes both */
};

static void steer(instar *db, uint64_t change, uint32_t set, uint32_t clear)
{
    instar_change_steering steering;

    instar_change_steering_init(&steering);
    steering.set_flags = set;
    steering.clear_flags = clear;
    steering.fence_after_ms = 0; /* who stands still may have a lease */
    ok(instar_change_steer(db, change, &steering));
}

/* What somebody else does with it before this process looks again. */
enum rest { DONE, BEGUN, UNDONE };

static const int verdicts[] = {
    [DONE] = INSTAR_OK, [BEGUN] = INSTAR_OK, [UNDONE] = INSTAR_ECANCELLED};

/* Returns what it came to: it may be past its last way back. */
static enum rest take_away(instar *db, struct test_child *other, uint64_t change, enum rest rest)
{
    steer(db, change, rest == BEGUN ? INSTAR_CHANGE_PAUSE : 0, 0);
    if (rest == UNDONE) {
        int rc = instar_change_cancel(db, change);
        expect(rc == INSTAR_OK || rc == INSTAR_ESTATE);
        rest = rc == INSTAR_OK ? UNDONE : DONE;
    }
    uint64_t claim = scene_claim(db, change, true);
    test_send(other, OPENED);
    test_await(other, OPENED);
    while (rest == BEGUN && scene_claim(db, change, false) == claim) {
        (void)instar_change_wait(db, change, 2, NULL);
    }
    if (rest != BEGUN) {
        scene_await(db, change, verdicts[rest], NULL);
    }
    return rest;
}

/* The change is taken away at its nth snapshot. False: it has no more. */
static bool steal(instar *db, struct test_child *other, const struct theft *t, uint64_t nth,
                  enum rest rest)
{
    struct test_hold hold;
    uint64_t change;

    if (t->before != NULL) {
        ok(sqls_run(db, t->before));
    }
    stands = false;
    test_hold_set(&hold, STANDS, 1);
    stand_at = nth;
    ok(sqls_submit(db, t->change, &change));
    bool stood = await_standing(db, change);
    stand_at = 0;
    if (stood) {
        test_hold_await(&hold);
        rest = take_away(db, other, change, rest);
        test_hold_release(&hold);
        while (!has_quit()) {
            os_sleep_ns(1000000);
        }
        if (rest == BEGUN) {
            expect(scene_look(db, change).state == INSTAR_CHANGE_RUNNING);
            steer(db, change, 0, INSTAR_CHANGE_PAUSE);
        }
        scene_await(db, change, verdicts[rest], NULL);
        test_send(other, CLOSED);
        test_await(other, CLOSED);
    } else {
        scene_await(db, change, INSTAR_OK, NULL);
    }
    test_hold_end(&hold);
    if (rest != UNDONE || !stood || t->before != NULL) {
        ok(sqls_run(db, t->after));
    }
    return stood;
}

static void steal_at_each_snapshot(const struct theft *t)
{
    const struct test_listener listener = {.point = count_snapshot};
    struct test_child other;
    uint64_t nth = 1;

    dbs_path();
    test_fork(&other, run_now_and_then, NULL);
    test_listener_set(&listener);
    instar *db = dbs_open(0);
    ok(sqls_run(db, "CREATE TABLE t (a int8 PRIMARY KEY, b int8, c int8); CREATE TABLE p (a int8 "
                    "PRIMARY KEY)"));
    ok(moves_run(db, "insert t 1,11,21 ; insert t 2,12,22 ; insert t 3,13,23 ; insert p 21 ; "
                     "insert p 22 ; insert p 23"));
    while (steal(db, &other, t, nth, DONE) && steal(db, &other, t, nth, BEGUN) &&
           steal(db, &other, t, nth, UNDONE)) {
        nth++;
    }
    expect(nth > 5);
    dbs_end_sound(db);
    test_listener_set(NULL);
    test_send(&other, 0);
    test_wait_ok(&other);
}

Test(change_claim, unique_index)
{
    steal_at_each_snapshot(&(struct theft){NULL, "CREATE UNIQUE INDEX i ON t (b)", "DROP INDEX i"});
}

Test(change_claim, alterations)
{
    steal_at_each_snapshot(&(struct theft){
        NULL,
        "ALTER TABLE t ALTER b SET NOT NULL, ADD CONSTRAINT k CHECK (c > 0), ADD CONSTRAINT r "
        "FOREIGN KEY (c) REFERENCES p",
        "ALTER TABLE t ALTER b DROP NOT NULL, DROP CONSTRAINT k, DROP CONSTRAINT r; DROP INDEX "
        "t_c_idx"});
}

Test(change_claim, primary_key)
{
    steal_at_each_snapshot(
        &(struct theft){NULL, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)",
                        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)"});
}

Test(change_claim, primary_key_that_goes)
{
    steal_at_each_snapshot(&(struct theft){NULL, "ALTER TABLE t DROP CONSTRAINT t_pkey",
                                           "ALTER TABLE t ADD PRIMARY KEY (a)"});
}

Test(change_claim, several_tables)
{
    steal_at_each_snapshot(&(struct theft){
        NULL,
        "BEGIN; ALTER TABLE t ADD e int8; CREATE UNIQUE INDEX i ON t (b, e); ALTER TABLE p ADD "
        "f int8; CREATE TABLE n (a int8 PRIMARY KEY, b int8 REFERENCES p); COMMIT",
        "BEGIN; DROP INDEX i; ALTER TABLE t DROP e; ALTER TABLE p DROP f; DROP TABLE n; COMMIT"});
}

Test(change_claim, vacuum)
{
    steal_at_each_snapshot(
        &(struct theft){"ALTER TABLE t ADD e int8", "VACUUM t", "ALTER TABLE t DROP e"});
}

/* ---- who looks for work ---------------------------------------------------------------------- */

static _Atomic unsigned looks;
static _Atomic uint64_t durable_then; /* at the last look */

static void count_look(void *arg, const char *point)
{
    instar *const *db = arg;
    char name[16];

    if (strcmp(point, "txn.lsn_chosen") == 0 &&
        pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
        strcmp(name, "instar-runner") == 0) {
        durable_then = store_durable((*db)->env.store);
        atomic_fetch_add(&looks, 1);
    }
}

static int insert_next(instar_txn *txn, void *arg)
{
    static int64_t next = 1000;
    instar_value row[2] = {{.type = INSTAR_INT8, .i = next}, {.type = INSTAR_INT8, .i = next}};

    next++;
    return instar_insert(txn, arg, row);
}

/* Every process looks for changes that nobody runs, several times a second. It does not wait for
 * the disk then, though its own commits are not durable yet: the applier would give way to it. */
Test(change_claim, who_looks_for_work_waits_for_no_flush)
{
    instar *db = scene_open_t(0, 4);
    const struct test_listener listener = {.point = count_look, .arg = &db};
    struct store *s = db->env.store;
    const char *columns[] = {"a", "b"};
    instar_projection *p;

    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &p));
    test_listener_set(&listener);
    for (int i = 0; i < 20; i++) {
        ok(instar_run(db, INSTAR_TXN_ASYNC, insert_next, p));
        uint64_t seen = atomic_load(&s->ctl->sync_wait_ns);
        unsigned before = looks;
        store_event_bump(s, STORE_EVENT_CHANGE);
        while (looks == before) {
            os_sleep_ns(100000);
        }
        cr_assert_eq(atomic_load(&s->ctl->sync_wait_ns), seen);
    }
    test_listener_set(NULL);
    instar_projection_free(p);
    dbs_end(db);
}

struct submission {
    instar *db;
    uint64_t change;
};

static void *submit(void *arg)
{
    struct submission *s = arg;

    s->change = dbs_submit_index(s->db, "t_b", "t", "b", false, NULL);
    return NULL;
}

/* A change that somebody finds before it is durable is claimed when it is, and no sooner. */
Test(change_claim, who_finds_a_change_claims_it_when_it_is_durable)
{
    struct submission s = {.db = scene_open_t(0, 4)};
    const struct test_listener listener = {.point = count_look, .arg = &s.db};
    struct os_thread thread;
    struct test_hold hold;
    instar_change_info info;

    test_listener_set(&listener);
    test_hold_set(&hold, "commit.appended", 1);
    cr_assert_eq(os_thread_start(&thread, "submitter", submit, &s), 0);
    test_hold_await(&hold);
    uint64_t submitted = store_tail(s.db->env.store);
    unsigned before = looks;
    store_event_bump(s.db->env.store, STORE_EVENT_CHANGE);
    while (looks < before + 2) { /* the second one is the claim */
        os_sleep_ns(100000);
    }
    expect(durable_then >= submitted);
    test_hold_release(&hold);
    os_thread_join(&thread);
    test_hold_end(&hold);
    test_listener_set(NULL);
    ok(instar_change_wait(s.db, s.change, TEST_AWAIT_S * 1000, &info));
    expect_u64(info.retries, 0);
    dbs_end(s.db);
}
