/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steering changes, and what several requests for one name mean. The process that runs the changes
 * is held where it matters; this one submits, cancels and looks.
 */
#define _GNU_SOURCE /* gettid */
#include "api/api_impl.h"
#include "change/record.h"
#include "support/alters.h"
#include "support/scenes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A store with table t of some rows, and a process that is held at a point of the first build. */
static void scene_begin(struct scene_held *s, const char *point, uint64_t nth)
{
    scene_hold(s, point, nth);
    dbs_make_table(s->db, "t");
    scene_fill(s->db, "t", 1, 100, scene_plus_10);
}

static int submit(instar *db, const char *name, const char *column, bool unique, uint32_t flags,
                  uint64_t *change)
{
    instar_key_column part = {.name = column};
    instar_index_def def = {
        .name = name, .table = "t", .columns = &part, .column_count = 1, .unique = unique};
    instar_change_options o = scene_options(30000);

    o.flags = flags;
    return instar_create_index(db, &def, &o, change);
}

/* ---- one name, several requests ----------------------------------------------------------- */

/* K3: another definition of a name that is being built is refused at once, and the difference is
 * named; with and without IF NOT EXISTS. The same definition joins, or is told who is at it. */
Test(change_control, name_that_is_being_built)
{
    struct scene_held s;
    uint64_t change;
    uint64_t other;

    scene_begin(&s, "build.snapshot", 1);
    ok(submit(s.db, "t_b", "b", false, 0, &change));
    test_hold_await(&s.hold);
    fails(submit(s.db, "t_b", "c", false, 0, &other), INSTAR_EDEFINITION);
    expect(says("\"t_b\"") && says("c") && says("change"));
    expect_u64(other, 0);
    fails(submit(s.db, "t_b", "b", true, INSTAR_CHANGE_IF_NOT_EXISTS, &other), INSTAR_EDEFINITION);
    expect(says("unique"));
    fails(submit(s.db, "t_b", "b", false, 0, &other), INSTAR_EEXISTS);
    ok(submit(s.db, "t_b", "b", false, INSTAR_CHANGE_IF_NOT_EXISTS, &other));
    expect_u64(other, change);
    fails(submit(s.db, "t", "b", false, 0, &other), INSTAR_EEXISTS);
    test_hold_release(&s.hold);
    scene_await(s.db, change, INSTAR_OK, NULL);
    /* Now it exists. */
    ok(submit(s.db, "t_b", "b", false, INSTAR_CHANGE_IF_NOT_EXISTS, &other));
    expect_u64(other, 0);
    ok(instar_change_wait(s.db, 0, 0, NULL));
    fails(submit(s.db, "t_b", "b", true, INSTAR_CHANGE_IF_NOT_EXISTS, &other), INSTAR_EDEFINITION);
    expect(says("unique"));
    fails(submit(s.db, "t_b", "b", false, 0, &other), INSTAR_EEXISTS);
    scene_held_end(&s);
}

/* All who join get the verdict: here a failure. */
Test(change_control, joined_requests_share_the_verdict)
{
    struct scene_held s;
    uint64_t change;
    uint64_t other;
    instar_change_info info;

    scene_begin(&s, "build.snapshot", 1);
    ok(dbs_insert(s.db, "t", 500, 15)); /* row 5 has that value */
    ok(submit(s.db, "t_b", "b", true, 0, &change));
    test_hold_await(&s.hold);
    ok(submit(s.db, "t_b", "b", true, INSTAR_CHANGE_IF_NOT_EXISTS, &other));
    expect_u64(other, change);
    test_hold_release(&s.hold);
    scene_await(s.db, other, INSTAR_EFAILED, &info);
    expect(strstr(info.reason, "(b=15)") != NULL);
    scene_await(s.db, change, INSTAR_EFAILED, NULL);
    scene_held_end(&s);
}

/* While a name is being dropped: IF NOT EXISTS waits and then creates; without, it is refused. The
 * same for a build that is being undone. */
Test(change_control, name_that_is_being_dropped)
{
    struct scene_held s;
    uint64_t drop;
    uint64_t change;

    scene_begin(&s, "change.delete_only", 2); /* that of the drop */
    ok(dbs_index(s.db, "t_b", "t", "b", false, NULL));
    ok(instar_drop_index(s.db, "t_b", NULL, &drop));
    test_hold_await(&s.hold);
    fails(submit(s.db, "t_b", "c", false, 0, &change), INSTAR_ESTATE);
    expect(says("being dropped"));
    ok(submit(s.db, "t_b", "c", true, INSTAR_CHANGE_IF_NOT_EXISTS, &change));
    expect(change > drop);
    expect(strcmp(scene_look(s.db, change).stage, "queued") == 0);
    test_hold_release(&s.hold);
    scene_await(s.db, change, INSTAR_OK, NULL);
    expect(scene_look(s.db, drop).state == INSTAR_CHANGE_DONE);
    scene_held_end(&s);
}

Test(change_control, table_that_is_being_dropped)
{
    struct scene_held s;
    uint64_t drop;
    uint64_t change;
    uint64_t other;
    instar_column_def columns[] = {{"a", INSTAR_INT8, true, NULL, 0},
                                   {"b", INSTAR_INT4, true, NULL, 0}};
    instar_key_column key = {.name = "a"};
    instar_table_def def = {
        .name = "t", .columns = columns, .column_count = 2, .key = &key, .key_count = 1};
    instar_change_options o = scene_options(30000);

    scene_begin(&s, "change.claimed", 2);
    ok(instar_drop_table(s.db, "t", NULL, &drop));
    test_hold_await(&s.hold);
    fails(instar_create_table(s.db, &def, NULL, &change), INSTAR_ESTATE);
    fails(submit(s.db, "t_b", "b", false, 0, &change), INSTAR_ESTATE);
    fails(instar_drop_table(s.db, "t", NULL, &change), INSTAR_ESTATE);
    o.flags = INSTAR_CHANGE_IF_EXISTS;
    ok(instar_drop_table(s.db, "t", &o, &change));
    expect_u64(change, drop);
    o.flags = INSTAR_CHANGE_IF_NOT_EXISTS;
    ok(instar_create_table(s.db, &def, &o, &change));
    ok(instar_create_table(s.db, &def, &o, &other));
    test_hold_release(&s.hold);
    scene_await(s.db, drop, INSTAR_OK, NULL);
    scene_await(s.db, change, INSTAR_OK, NULL);
    scene_await(s.db, other, INSTAR_OK, NULL);
    ok(instar_drop_index(s.db, "nothing",
                         &(instar_change_options){.struct_size = sizeof(o), .flags = 2}, &change));
    expect_u64(change, 0);
    fails(instar_drop_table(s.db, "tt", NULL, &change), INSTAR_EUNKNOWN);
    expect(says("\"t\""));
    scene_held_end(&s);
}

/* ---- drops in mid-build ------------------------------------------------------------------- */

/* B6: the index is dropped while it is being built: its creator learns it soon, and nothing is
 * left. */
Test(change_control, index_dropped_in_mid_build)
{
    struct scene_held s;
    uint64_t change;
    uint64_t drop;
    instar_change_info info;

    scene_begin(&s, "build.snapshot", 1);
    ok(submit(s.db, "t_b", "b", false, 0, &change));
    test_hold_await(&s.hold);
    ok(instar_drop_index(s.db, "t_b", NULL, &drop));
    test_hold_release(&s.hold);
    scene_await(s.db, change, INSTAR_ECANCELLED, &info);
    expect(strstr(info.reason, "drops") != NULL);
    scene_await(s.db, drop, INSTAR_OK, NULL);
    ok(dbs_index(s.db, "t_b", "t", "b", false, NULL));
    scene_held_end(&s);
}

/* The name belongs to the drop from then on: the build that turns back does not let go of it. */
Test(change_control, name_stays_with_the_drop_behind)
{
    struct scene_held s;
    instar_change_options o = scene_options(30000);
    uint64_t change;
    uint64_t drop;

    scene_begin(&s, "build.snapshot", 1);
    ok(submit(s.db, "t_b", "b", false, 0, &change));
    test_hold_await(&s.hold);
    o.flags = INSTAR_CHANGE_PAUSE;
    ok(instar_drop_index(s.db, "t_b", &o, &drop));
    test_hold_release(&s.hold);
    scene_await(s.db, change, INSTAR_ECANCELLED, NULL);
    fails(submit(s.db, "t_b", "c", false, 0, &change), INSTAR_ESTATE);
    ok(scene_steer(s.db, drop, 0, INSTAR_CHANGE_PAUSE));
    scene_await(s.db, drop, INSTAR_OK, NULL);
    ok(dbs_index(s.db, "t_b", "t", "c", false, NULL));
    scene_held_end(&s);
}

Test(change_control, table_dropped_in_mid_build)
{
    struct scene_held s;
    uint64_t change;
    uint64_t behind;
    uint64_t drop;

    scene_begin(&s, "build.snapshot", 1);
    ok(submit(s.db, "t_b", "b", false, 0, &change));
    ok(submit(s.db, "t_c", "c", false, 0, &behind)); /* queued */
    test_hold_await(&s.hold);
    ok(instar_drop_table(s.db, "t", NULL, &drop));
    test_hold_release(&s.hold);
    scene_await(s.db, change, INSTAR_ECANCELLED, NULL);
    scene_await(s.db, behind, INSTAR_ECANCELLED, NULL);
    scene_await(s.db, drop, INSTAR_OK, NULL);
    fails(dbs_insert(s.db, "t", 1000, 1), INSTAR_EUNKNOWN);
    dbs_make_table(s.db, "t");
    scene_held_end(&s);
}

/* ---- cancel ------------------------------------------------------------------------------- */

/* K5: a change that waits for a transaction is cancelled: the call returns at once, and says for
 * whom it waits. When the transaction ends, all is as it was. */
Test(change_control, cancel_while_waiting)
{
    struct scene_held s;
    uint64_t change;
    instar_change_info info;
    instar_txn *txn;
    instar_projection *p;
    const char *columns[] = {"a", "b"};
    instar_value row[2] = {{.type = INSTAR_INT8, .i = 500}, {.type = INSTAR_INT8, .i = 1}};
    char self[32];

    scene_begin(&s, "change.waiting", 1);
    ok(instar_projection_prepare(s.db, "t", columns, 2, NULL, &p));
    ok(instar_begin(s.db, 0, &txn));
    ok(instar_insert(txn, p, row));
    ok(submit(s.db, "t_b", "b", false, 0, &change));
    test_hold_await(&s.hold);
    test_hold_release(&s.hold);
    scene_await_waiting(s.db, change, "delete-only", &info);
    snprintf(self, sizeof(self), "process %d,", (int)getpid());
    expect(strstr(info.waiting_for, self) != NULL);
    uint64_t began = os_now_ns();
    ok(instar_change_cancel(s.db, change));
    expect(os_now_ns() - began < 5000000000u);
    ok(instar_change_cancel(s.db, change)); /* asked already */
    do {
        fails(instar_change_wait(s.db, change, 5, &info), INSTAR_EBUSY);
    } while (info.state == INSTAR_CHANGE_RUNNING);
    /* On its way back it counts as having reached nothing. */
    fails(instar_change_wait_stage(s.db, change, "delete-only", 20, &info), INSTAR_EBUSY);
    expect(info.state == INSTAR_CHANGE_REVERTING);
    ok(instar_commit(txn));
    scene_await(s.db, change, INSTAR_ECANCELLED, &info);
    expect(strstr(info.reason, "on request") != NULL);
    fails(instar_change_cancel(s.db, change), INSTAR_ESTATE);
    fails(instar_change_cancel(s.db, 999), INSTAR_EUNKNOWN);
    ok(dbs_index(s.db, "t_b", "t", "b", false, NULL));
    instar_projection_free(p);
    scene_held_end(&s);
}

/* L6: a runner loses its claim while it waits for a transaction. It does nothing more by it, least
 * of all undo anything: the change is claimed anew, by it or by another one, and goes on where it
 * was. */
Test(change_control, claim_lost_while_waiting)
{
    struct scene_held s;
    struct test_child other;
    uint64_t change;
    instar_change_info info;
    instar_txn *txn;
    instar_projection *p;
    const char *columns[] = {"a", "b"};
    instar_value row[2] = {{.type = INSTAR_INT8, .i = 500}, {.type = INSTAR_INT8, .i = 1}};

    scene_runner(&other);
    scene_begin(&s, "none", 1);
    ok(instar_projection_prepare(s.db, "t", columns, 2, NULL, &p));
    ok(instar_begin(s.db, 0, &txn));
    ok(instar_insert(txn, p, row));
    ok(submit(s.db, "t_b", "b", false, 0, &change));
    scene_await_waiting(s.db, change, "delete-only", &info);
    uint64_t claim = scene_claim(s.db, change, true);
    do { /* returns at each thing that happens to the change */
        instar_change_wait(s.db, change, 5, &info);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (scene_claim(s.db, change, false) == claim);
    ok(instar_commit(txn));
    scene_await(s.db, change, INSTAR_OK, &info);
    expect(strstr(dbs_dump(s.db, "t", "t_b"), "500:1 ") != NULL);
    instar_projection_free(p);
    scene_held_end(&s);
    scene_runner_end(&other);
}

/* Two changes are free when a runner looks for them. While it claims the one, another process
 * claims the other: it comes to that, sees that somebody alive has it, and leaves it to him. */
Test(change_control, claimed_by_another_since_it_looked)
{
    static const char *const tables[] = {"t", "u", "w"};
    static const char *const names[] = {"t_b", "u_b"};
    uint64_t changes[3];
    struct test_hold first, second;
    struct test_child one, other;
    instar *db = dbs_open(0);

    for (size_t i = 0; i < 3; i++) {
        dbs_make_table(db, tables[i]);
    }
    ok(instar_close(db));
    db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    for (size_t i = 0; i < 2; i++) {
        changes[i] = dbs_submit_index(db, names[i], tables[i], "b", false, NULL);
    }
    ok(instar_close(db));
    test_hold_set(&first, "change.claimed", 1);
    scene_runner(&one);
    test_hold_await(&first);
    test_hold_set(&second, "change.claimed", 1);
    scene_runner(&other);
    test_hold_await(&second);
    db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    test_hold_release(&first);
    scene_await(db, changes[0], INSTAR_OK, NULL);
    /* It has looked once more, since the other one does nothing. */
    changes[2] = dbs_submit_index(db, "w_b", "w", "b", false, NULL);
    scene_await(db, changes[2], INSTAR_OK, NULL);
    expect_u64(scene_claim(db, changes[1], false), 1);
    test_hold_release(&second);
    scene_await(db, changes[1], INSTAR_OK, NULL);
    dbs_end(db);
    scene_runner_end(&one);
    scene_runner_end(&other);
    test_hold_end(&first);
    test_hold_end(&second);
}

/* ---- who loses ---------------------------------------------------------------------------- */

static void submit_when_told(struct test_child *self, void *arg)
{
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    const instar_column_def column = {.name = "a", .type = INSTAR_INT8};
    char name[16];
    unsigned made = 0;

    (void)arg;
    while (test_receive(self) != 0) {
        uint64_t change;
        (void)snprintf(name, sizeof(name), "n%u", made++);
        const instar_table_def def = {.name = name, .columns = &column, .column_count = 1};
        ok(instar_create_table(db, &def, NULL, &change));
        test_send(self, made);
    }
    ok(instar_close(db));
}

struct rival {
    struct test_child child;
    pid_t loser; /* the thread */
    uint64_t wins;
    bool ended;
};

/* Whatever snapshot the loser takes, another submission is committed behind it, until it asks for a
 * turn that nobody can take away. */
static void win(void *arg, const char *point)
{
    struct rival *r = arg;

    if (gettid() == r->loser && strcmp(point, "turn.taken") == 0) {
        r->ended = true;
    } else if (gettid() == r->loser && !r->ended && strcmp(point, "snapshot.trees_begun") == 0) {
        test_send(&r->child, 1);
        r->wins = test_receive(&r->child);
    }
}

/* A submission that loses to others again and again has its turn in the end. */
Test(change_control, submission_that_loses)
{
    struct rival rival = {.loser = gettid()};
    const struct test_listener listener = {.point = win, .arg = &rival};
    uint64_t change;

    dbs_path();
    test_fork(&rival.child, submit_when_told, NULL);
    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    ok(instar_close(db));
    db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    test_listener_set(&listener);
    ok(submit(db, "t_b", "b", false, 0, &change));
    test_listener_set(NULL);
    expect(rival.ended && rival.wins >= 5);
    test_send(&rival.child, 0);
    test_wait_ok(&rival.child);
    ok(instar_close(db));
    db = dbs_open(0);
    scene_await(db, change, INSTAR_OK, NULL);
    scene_await(db, scene_last_change(db), INSTAR_OK, NULL);
    expect(strcmp(dbs_dump(db, "t", "t_b"), "") == 0);
    ok(instar_close(db));
}

/* A cancel at every stage of a build leaves the table without the index, and the statement can be
 * run again. */
Test(change_control, cancel_at_each_stage)
{
    static const struct {
        const char *point;
        uint64_t nth;
    } places[] = {{"change.claimed", 2},  {"change.published", 2}, {"change.published", 3},
                  {"change.cut", 1},      {"build.snapshot", 1},   {"build.loaded", 1},
                  {"change.fold_end", 1}, {"change.published", 4}, {"validate.snapshot", 1},
                  {"change.validated", 1}};

    for (size_t i = 0; i < BASE_ARRAY_LEN(places); i++) {
        struct scene_held s;
        uint64_t change;
        test_remove(dbs_path());
        scene_begin(&s, places[i].point, places[i].nth);
        ok(submit(s.db, "t_b", "b", true, 0, &change));
        test_hold_await(&s.hold);
        ok(instar_change_cancel(s.db, change));
        test_hold_release(&s.hold);
        scene_await(s.db, change, INSTAR_ECANCELLED, NULL);
        fails(dbs_drop_index(s.db, "t_b"), INSTAR_EUNKNOWN);
        dbs_check_clean(s.db);
        ok(dbs_index(s.db, "t_b", "t", "b", true, NULL));
        scene_held_end(&s);
    }
}

/* A drop can be cancelled as long as the index is whole, and not after; the text names the stage.
 */
Test(change_control, cancel_of_a_drop)
{
    static const struct {
        const char *point;
        uint64_t nth;
        bool possible;
    } places[] = {{"change.claimed", 3, true},
                  {"change.write_only", 3, true},
                  {"change.delete_only", 2, false}};

    for (size_t i = 0; i < BASE_ARRAY_LEN(places); i++) {
        struct scene_held s;
        uint64_t drop;
        test_remove(dbs_path());
        /* The index goes through write-only twice (enforcing), and delete-only once. */
        scene_begin(&s, places[i].point, places[i].nth);
        ok(dbs_index(s.db, "t_b", "t", "b", true, NULL));
        ok(instar_drop_index(s.db, "t_b", NULL, &drop));
        test_hold_await(&s.hold);
        if (places[i].possible) {
            ok(instar_change_cancel(s.db, drop));
            test_hold_release(&s.hold);
            scene_await(s.db, drop, INSTAR_ECANCELLED, NULL);
            fails(dbs_insert(s.db, "t", 700, 11), INSTAR_EUNIQUE);
            expect(strstr(dbs_dump(s.db, "t", "t_b"), "1:11 ") != NULL);
            ok(dbs_drop_index(s.db, "t_b"));
        } else {
            fails(instar_change_cancel(s.db, drop), INSTAR_ESTATE);
            expect(says("no return") && says("delete-only"));
            test_hold_release(&s.hold);
            scene_await(s.db, drop, INSTAR_OK, NULL);
        }
        scene_held_end(&s);
    }
}

/* ---- what nobody may see ------------------------------------------------------------------ */

/* U3: an index that is not finished cannot be used or finished by any call: not named, not joined
 * into public, not made public by dropping or cancelling. */
Test(change_control, unfinished_index_is_never_public)
{
    struct scene_held s;
    uint64_t change;
    uint64_t other;
    instar_projection *p = NULL;

    scene_begin(&s, "build.snapshot", 1);
    ok(submit(s.db, "t_b", "b", false, 0, &change));
    test_hold_await(&s.hold);
    fails(instar_projection_prepare(s.db, "t", NULL, 0, "t_b", &p), INSTAR_EUNKNOWN);
    ok(submit(s.db, "t_b", "b", false, INSTAR_CHANGE_IF_NOT_EXISTS, &other));
    fails(instar_change_wait(s.db, other, 0, NULL), INSTAR_EBUSY);
    fails(instar_projection_prepare(s.db, "t", NULL, 0, "t_b", &p), INSTAR_EUNKNOWN);
    ok(instar_change_cancel(s.db, change));
    fails(instar_projection_prepare(s.db, "t", NULL, 0, "t_b", &p), INSTAR_EUNKNOWN);
    test_hold_release(&s.hold);
    scene_await(s.db, change, INSTAR_ECANCELLED, NULL);
    fails(instar_projection_prepare(s.db, "t", NULL, 0, "t_b", &p), INSTAR_EUNKNOWN);
    scene_held_end(&s);
}

static void expect_scan(instar_txn *txn, instar_projection *p)
{
    instar_cursor *c;
    instar_value row[2];

    ok(instar_scan(txn, p, NULL, &c));
    for (int64_t a = 1; a < 100; a++) {
        ok(instar_cursor_next(c, row));
        expect(row[0].i == a && row[1].i == a + 10);
    }
    fails(instar_cursor_next(c, row), INSTAR_END);
    instar_cursor_close(c);
}

/* L7: a reader keeps its snapshot while the index that it uses is dropped and purged, another is
 * added, and the table changes. Its results never change, and the changes do not wait for it. */
Test(change_control, reader_outlives_its_index)
{
    struct scene_held s;
    instar_txn *txn;
    instar_projection *p;
    const char *columns[] = {"a", "b"};

    scene_begin(&s, "none", 1);
    ok(dbs_index(s.db, "t_b", "t", "b", false, NULL));
    ok(instar_projection_prepare(s.db, "t", columns, 2, "t_b", &p));
    ok(instar_begin(s.db, INSTAR_TXN_READONLY, &txn));
    expect_scan(txn, p);
    ok(dbs_drop_index(s.db, "t_b"));
    expect_scan(txn, p);
    ok(dbs_index(s.db, "t_b2", "t", "b desc", true, NULL));
    ok(dbs_delete(s.db, "t", 50));
    ok(dbs_update(s.db, "t", 51, 5100));
    expect_scan(txn, p);
    ok(scene_drop_table(s.db, "t"));
    expect_scan(txn, p);
    instar_abort(txn);
    instar_projection_free(p);
    scene_held_end(&s);
}

/* Changes of one table queue in the order of their ids; those of another do not wait for them. */
Test(change_control, one_change_per_table_at_a_time)
{
    struct scene_held s;
    uint64_t first;
    uint64_t second;

    scene_begin(&s, "build.snapshot", 1);
    dbs_make_table(s.db, "other");
    ok(submit(s.db, "t_b", "b", false, 0, &first));
    ok(submit(s.db, "t_c", "c", false, 0, &second));
    test_hold_await(&s.hold);
    ok(dbs_index(s.db, "other_b", "other", "b", false, NULL));
    expect(strcmp(scene_look(s.db, second).stage, "queued") == 0);
    expect(strcmp(scene_look(s.db, first).stage, "build") == 0);
    test_hold_release(&s.hold);
    scene_await(s.db, second, INSTAR_OK, NULL);
    expect(scene_look(s.db, first).state == INSTAR_CHANGE_DONE);
    scene_held_end(&s);
}

/* Without a process that runs changes, one waits in the queue; wait says so; the first runner that
 * comes does it. */
Test(change_control, nobody_runs_changes)
{
    struct test_child runner;
    struct test_hold hold;
    uint64_t change;
    instar_change_info info;

    test_hold_set(&hold, "none", 1);
    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 100, scene_plus_10);
    scene_runner_end(&runner);
    ok(submit(db, "t_b", "b", false, 0, &change));
    fails(instar_change_wait(db, change, 20, &info), INSTAR_EBUSY);
    expect(strcmp(info.stage, "queued") == 0 && info.owner_pid == 0);
    ok(instar_close(db));
    db = dbs_open(0);
    scene_await(db, change, INSTAR_OK, &info);
    dbs_end(db);
    test_hold_end(&hold);
}

/* There is room in shared memory to show what 128 changes do; one that has ended gives its own
 * back.
 */
Test(change_control, shown_after_many_changes)
{
    instar *db = dbs_open(0);
    instar_change_info info;
    instar_txn *txn;
    uint64_t change;

    dbs_make_table(db, "t");
    for (int i = 0; i < 80; i++) {
        dbs_make_table(db, "v");
        ok(scene_drop_table(db, "v"));
    }
    instar_projection *p = alters_projection(db, "t", "a,b");
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, p, "1,2"));
    ok(alters_submit(db, "t", "set-not-null b", NULL, &change));
    scene_await_waiting(db, change, "enforcing", &info);
    ok(instar_commit(txn));
    scene_await(db, change, INSTAR_OK, &info);
    instar_projection_free(p);
    ok(instar_close(db));
}
