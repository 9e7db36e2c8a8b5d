/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steering a change while it runs in another process: pause and resume, hold and release, retune.
 * What was asked is in the record, so it outlives whoever runs the change.
 */
#include "support/alters.h"
#include "support/scenes.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROWS 3000

static void steer(instar *db, uint64_t change, uint32_t set, uint32_t clear)
{
    ok(scene_steer(db, change, set, clear));
}

/* As fast as it can, and no pause any more. */
static void hasten(instar *db, uint64_t change)
{
    instar_change_steering s;

    instar_change_steering_init(&s);
    s.rows_per_second_max = 0;
    s.bytes_per_second_max = 0;
    s.clear_flags = INSTAR_CHANGE_PAUSE;
    ok(instar_change_steer(db, change, &s));
}

/* Until it stands still. */
static void await_pause(instar *db, uint64_t change, instar_change_info *info)
{
    do {
        instar_change_wait(db, change, 5, info);
        expect(info->state == INSTAR_CHANGE_RUNNING);
    } while (strstr(info->waiting_for, "resume") == NULL);
}

/* Until it has read some. */
static void await_rows(instar *db, uint64_t change, instar_change_info *info)
{
    do {
        instar_change_wait(db, change, 5, info);
        expect(info->state == INSTAR_CHANGE_RUNNING);
    } while (info->rows_done == 0);
}

static instar *begin(struct test_child *runner)
{
    scene_runner(runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, ROWS, scene_scattered);
    return db;
}

static void end(instar *db, struct test_child *runner)
{
    dbs_end(db);
    scene_runner_end(runner);
}

static uint64_t submit(instar *db, bool unique, uint32_t flags, uint64_t rate)
{
    instar_change_options o = scene_options(30000);

    o.flags = flags;
    o.rows_per_second_max = rate;
    return dbs_submit_index(db, "t_b", "t", "b", unique, &o);
}

/* What stands still holds no snapshot: nobody's does, while this process reads nothing. */
static void await_no_reader(instar *db)
{
    instar_stats stats = {.struct_size = sizeof(stats)};
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * UINT64_C(1000000000);

    do {
        ok(instar_stat(db, &stats));
        expect(os_now_ns() < give_up);
    } while (stats.readers != 0);
}

static bool public_now(instar *db, const char *index)
{
    instar_projection *p;
    instar_txn *t;
    instar_cursor *c;

    if (instar_projection_prepare(db, "t", NULL, 0, index, &p) != INSTAR_OK) {
        return false;
    }
    ok(instar_begin(db, INSTAR_TXN_READONLY, &t));
    int rc = instar_scan(t, p, NULL, &c);
    instar_abort(t);
    instar_projection_free(p);
    return rc == INSTAR_OK;
}

/* ---- pause -------------------------------------------------------------------------------- */

/* Wherever a build is when it is paused, it stands still soon, without a snapshot; writers go on;
 * resumed, it ends as if nothing had been. */
static void pause_at(const char *point, uint64_t nth, bool unique)
{
    struct test_child runner;
    struct test_hold hold;
    instar_change_info info;

    test_hold_set(&hold, point, nth);
    instar *db = begin(&runner);
    uint64_t change = submit(db, unique, 0, 0);
    test_hold_await(&hold);
    steer(db, change, INSTAR_CHANGE_PAUSE, 0);
    test_hold_release(&hold);
    await_pause(db, change, &info);
    await_no_reader(db);
    ok(dbs_insert(db, "t", ROWS + 1, -1));
    ok(dbs_delete(db, "t", 7));
    uint64_t rows = scene_look(db, change).rows_done;
    fails(instar_change_wait(db, change, 120, &info), INSTAR_EBUSY);
    expect_u64(info.rows_done, rows);
    expect(strstr(instar_error_text(), "resume") != NULL);
    expect((info.flags & INSTAR_CHANGE_PAUSE) != 0);
    steer(db, change, 0, INSTAR_CHANGE_PAUSE);
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.flags, 0);
    expect(public_now(db, "t_b"));
    end(db, &runner);
    test_hold_end(&hold);
}

Test(change_steer, pause_before_the_first_step)
{
    pause_at("change.claimed", 2, false); /* the first is that of the table */
}

Test(change_steer, pause_while_rows_are_read)
{
    pause_at("build.batch_scanned", 1, false);
}

/* K10: several workers read, and are paused again and again; each time they stand still. No row is
 * left out, and none is read twice. */
Test(change_steer, pause_many_times_while_several_read)
{
    struct test_child runner;
    instar_change_options o = scene_options(30000);
    instar_change_info info;
    uint64_t seen = 0, rows = 45000;
    unsigned pauses = 0;

    instar *db = begin(&runner);
    scene_fill(db, "t", ROWS, (int64_t)rows + 1, scene_scattered);
    o.workers = 3;
    o.rows_per_second_max = 60000;
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b", true, &o);
    for (;;) {
        instar_change_wait(db, change, 5, &info);
        if (info.state != INSTAR_CHANGE_RUNNING ||
            (strcmp(info.stage, "build") != 0 && info.rows_done >= rows)) {
            break;
        }
        if (info.rows_done == seen || strcmp(info.stage, "build") != 0) {
            continue;
        }
        seen = info.rows_done;
        steer(db, change, INSTAR_CHANGE_PAUSE, 0);
        await_pause(db, change, &info);
        /* Behind the build other rows are counted. */
        expect(info.rows_done >= seen || strcmp(info.stage, "build") != 0);
        seen = info.rows_done;
        steer(db, change, 0, INSTAR_CHANGE_PAUSE);
        pauses++;
    }
    scene_await(db, change, INSTAR_OK, &info);
    expect(pauses >= 3);
    expect_u64(info.rows_done, rows);
    expect(public_now(db, "t_b"));
    end(db, &runner);
}

/* Nothing is read while it is paused, whatever rate it has. */
Test(change_steer, pause_of_a_slow_build)
{
    struct test_child runner;
    instar_change_info info;
    instar *db = begin(&runner);
    uint64_t change = submit(db, false, 0, 1000);

    await_rows(db, change, &info);
    steer(db, change, INSTAR_CHANGE_PAUSE, 0);
    await_pause(db, change, &info);
    await_no_reader(db);
    uint64_t rows = scene_look(db, change).rows_done;
    expect(rows < ROWS - 1);
    fails(instar_change_wait(db, change, 120, &info), INSTAR_EBUSY);
    expect_u64(info.rows_done, rows);
    hasten(db, change);
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.rows_done, ROWS - 1);
    end(db, &runner);
}

/* What others write meanwhile is told while rows are still read. */
Test(change_steer, entries_beside_a_slow_build_are_told)
{
    struct test_child runner;
    instar_change_info info;
    instar *db = begin(&runner);
    uint64_t change = submit(db, false, 0, 200);

    await_rows(db, change, &info);
    ok(dbs_insert(db, "t", ROWS + 1, -1));
    do {
        instar_change_wait(db, change, 5, &info);
        expect(info.rows_done < ROWS - 1);
    } while (info.delta_backlog == 0);
    hasten(db, change);
    scene_await(db, change, INSTAR_OK, NULL);
    end(db, &runner);
}

Test(change_steer, pause_when_all_are_read)
{
    pause_at("build.scanned", 1, false);
}

Test(change_steer, pause_while_entries_are_folded)
{
    pause_at("build.folded", 1, false);
}

Test(change_steer, pause_while_duplicates_are_looked_for)
{
    pause_at("validate.snapshot", 1, true);
}

/* Paused between two values that it compares, it goes on with the whole of the group at hand, at a
 * later snapshot: no value is taken for a second one of itself. */
Test(change_steer, pause_between_two_values)
{
    struct test_child runner;
    struct test_hold hold;
    instar_change_info info;

    test_hold_set(&hold, "validate.snapshot", 1);
    instar *db = begin(&runner);
    uint64_t change = submit(db, true, 0, 0);
    test_hold_await(&hold);
    steer(db, change, INSTAR_CHANGE_PAUSE, 0);
    scene_await_waiting(db, change, "validate", &info); /* it knows, and has read nothing yet */
    test_hold_release(&hold);
    await_rows(db, change, &info);
    expect(info.rows_done < ROWS);
    steer(db, change, 0, INSTAR_CHANGE_PAUSE);
    scene_await(db, change, INSTAR_OK, &info);
    expect(public_now(db, "t_b"));
    end(db, &runner);
    test_hold_end(&hold);
}

/* A validation of NOT NULL needs one snapshot for all: paused, it gives that up and begins anew. */
Test(change_steer, pause_while_nulls_are_looked_for)
{
    struct test_child runner;
    struct test_hold hold;
    instar_change_info info;
    uint64_t change;
    instar_alteration step = {.kind = INSTAR_ALTER_SET_NOT_NULL, .name = "b"};

    test_hold_set(&hold, "nulls.batch", 1);
    instar *db = begin(&runner);
    ok(instar_alter_table(db, "t", &step, 1, NULL, &change));
    test_hold_await(&hold);
    steer(db, change, INSTAR_CHANGE_PAUSE, 0);
    test_hold_release(&hold);
    scene_await_waiting(db, change, "validate", &info);
    await_no_reader(db);
    steer(db, change, 0, INSTAR_CHANGE_PAUSE);
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.rows_done, ROWS - 1);
    end(db, &runner);
    test_hold_end(&hold);
}

/* The runner of a paused change dies: the next one adopts it and stands still too. Cancelled, it is
 * undone without being resumed. */
Test(change_steer, pause_outlives_the_runner_and_can_be_cancelled)
{
    struct test_child runner;
    struct test_child next;
    instar_change_info info;
    instar *db = begin(&runner);
    uint64_t change = submit(db, false, INSTAR_CHANGE_PAUSE, 0);

    scene_await_waiting(db, change, "absent", &info);
    uint32_t first = info.owner_pid;
    test_kill(&runner, SIGKILL);
    scene_runner(&next);
    do {
        scene_await_waiting(db, change, "absent", &info);
    } while (info.owner_pid == 0 || info.owner_pid == first);
    expect(strstr(info.waiting_for, "resume") != NULL);
    ok(instar_change_cancel(db, change));
    scene_await(db, change, INSTAR_ECANCELLED, NULL);
    end(db, &next);
}

static uint64_t submit_paused(instar *db, const void *arg)
{
    (void)arg;
    return submit(db, false, INSTAR_CHANGE_PAUSE, 0);
}

/* The same when it dies in the very moment in which it begins to stand still, and nobody else is
 * there: who opens the store next stands still too, until it is resumed. */
Test(change_steer, death_as_it_stands_still)
{
    static const struct scene_death death = {"job.stands_still", 1, NULL, submit_paused, NULL};
    instar_change_info info;
    instar *db = scene_open_t(0, ROWS);

    ok(instar_close(db));
    scene_kill(&death);
    db = dbs_open(0);
    uint64_t change = scene_last_change(db);
    await_pause(db, change, &info);
    expect(!public_now(db, "t_b"));
    steer(db, change, 0, INSTAR_CHANGE_PAUSE);
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.rows_done, ROWS);
    dbs_end(db);
}

/* ---- hold --------------------------------------------------------------------------------- */

/* All is done but the last step: the index is not there for readers, yet unique for writers. */
Test(change_steer, hold_and_release)
{
    struct test_child runner;
    struct test_child next;
    instar_change_info info;
    instar *db = begin(&runner);
    uint64_t change = submit(db, true, INSTAR_CHANGE_HOLD, 0);

    scene_await_waiting(db, change, "validated", &info);
    expect(strstr(info.waiting_for, "release") != NULL);
    expect_u64(info.step, info.steps);
    expect(!public_now(db, "t_b"));
    fails(dbs_insert(db, "t", ROWS + 5, scene_scattered(1)), INSTAR_EUNIQUE);
    ok(dbs_insert(db, "t", ROWS + 5, -5));
    test_kill(&runner, SIGKILL);
    scene_runner(&next);
    scene_await_waiting(db, change, "validated", &info);
    /* Released, but paused: it says what it waits for now. */
    steer(db, change, INSTAR_CHANGE_PAUSE, 0);
    steer(db, change, 0, INSTAR_CHANGE_HOLD);
    await_pause(db, change, &info);
    steer(db, change, 0, INSTAR_CHANGE_PAUSE);
    scene_await(db, change, INSTAR_OK, NULL);
    expect(public_now(db, "t_b"));
    end(db, &next);
}

/* A drop is held while it can still be taken back. */
Test(change_steer, hold_of_a_drop)
{
    struct test_child runner;
    instar_change_info info;
    instar_change_options o = scene_options(30000);
    uint64_t change;
    instar *db = begin(&runner);

    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    o.flags = INSTAR_CHANGE_HOLD;
    ok(instar_drop_index(db, "t_b", &o, &change));
    scene_await_waiting(db, change, "write-only", &info);
    ok(dbs_update(db, "t", 3, 33));
    ok(instar_change_cancel(db, change));
    scene_await(db, change, INSTAR_ECANCELLED, NULL);
    expect(public_now(db, "t_b"));
    ok(instar_drop_table(db, "t", &o, &change));
    scene_await_waiting(db, change, "public", &info);
    ok(dbs_update(db, "t", 4, 44));
    steer(db, change, 0, INSTAR_CHANGE_HOLD);
    scene_await(db, change, INSTAR_OK, NULL);
    end(db, &runner);
}

#define WIDE_ROWS 2000
#define WIDE_BYTES 4000 /* of what does not become much less */

static int insert_wide(instar_txn *txn, void *arg)
{
    static char text[WIDE_BYTES];
    const int64_t *from = ((void **)arg)[1];

    for (int64_t a = *from; a < *from + 20; a++) {
        struct test_random chance = test_random((uint64_t)a + 1);
        for (size_t i = 0; i < sizeof(text); i++) {
            text[i] = (char)(' ' + test_random_below(&chance, 64));
        }
        int rc = scene_insert(txn, ((void **)arg)[0], a, text, sizeof(text));
        if (rc != INSTAR_OK) {
            return rc;
        }
    }
    return INSTAR_OK;
}

/* The same while rows are looked up that are to stand under another primary key, and written: many
 * of them at a time, which takes more than one batch. */
Test(change_steer, pause_while_whole_rows_are_loaded)
{
    const instar_key_column key = {.name = "b"};
    instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_DROP_PRIMARY_KEY},
        {.kind = INSTAR_ALTER_ADD_PRIMARY_KEY, .key = &key, .key_count = 1}};
    struct test_child runner;
    struct test_hold hold;
    instar_change_info info;
    instar_projection *p;
    uint64_t change;

    test_hold_set(&hold, "build.batch_loaded", 2); /* the first one is of the witness */
    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &p));
    for (int64_t from = 0; from < WIDE_ROWS; from += 20) {
        void *arg[2] = {p, &from};
        ok(instar_run(db, INSTAR_TXN_ASYNC, insert_wide, arg));
    }
    instar_projection_free(p);
    ok(instar_flush(db));
    ok(instar_alter_table(db, "t", steps, 2, NULL, &change));
    test_hold_await(&hold);
    steer(db, change, INSTAR_CHANGE_PAUSE, 0);
    test_hold_release(&hold);
    await_pause(db, change, &info);
    await_no_reader(db);
    steer(db, change, 0, INSTAR_CHANGE_PAUSE);
    scene_await(db, change, INSTAR_OK, NULL);
    end(db, &runner);
    test_hold_end(&hold);
}

/* ---- retune ------------------------------------------------------------------------------- */

/* A build that would take an hour is given its head. */
Test(change_steer, retune)
{
    struct test_child runner;
    instar_change_info info;
    instar_change_steering s;
    instar *db = begin(&runner);
    uint64_t change = submit(db, false, 0, 1);

    do {
        instar_change_wait(db, change, 5, &info);
    } while (strstr(info.throttle, "1 rows/s") == NULL || info.rows_done == 0);
    instar_change_steering_init(&s);
    s.rows_per_second_max = 0;
    s.workers = 2;
    s.set_flags = INSTAR_CHANGE_HURRY;
    ok(instar_change_steer(db, change, &s));
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.rows_done, ROWS - 1);
    expect_u64(info.flags, INSTAR_CHANGE_HURRY);
    end(db, &runner);
}

static void slow_sync(void *arg, const struct os_call *call)
{
    (void)arg;
    if (call->op == OS_OP_SYNC) {
        os_sleep_ns(5 * UINT64_C(1000000));
    }
}

/* Where commits take longer than the target a build stands back, and says why. */
Test(change_steer, stands_back_for_commits)
{
    struct test_child runner;
    struct test_listener slow = {.before = slow_sync};
    instar_change_info info;
    instar_change_steering s;
    instar *db = begin(&runner);
    uint64_t change = submit(db, false, 0, 10); /* it is still there meanwhile */
    int64_t row = ROWS;
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * UINT64_C(1000000000);

    instar_change_steering_init(&s);
    s.latency_target_ms = 1;
    ok(instar_change_steer(db, change, &s));
    test_listener_set(&slow);
    do {
        expect(os_now_ns() < give_up);
        ok(dbs_insert(db, "t", ++row, 0));
        instar_change_wait(db, change, 5, &info);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (strstr(info.throttle, "the target is 1 ms") == NULL);
    test_listener_set(NULL);
    s.latency_target_ms = 0;
    s.rows_per_second_max = 0;
    ok(instar_change_steer(db, change, &s));
    scene_await(db, change, INSTAR_OK, &info);
    end(db, &runner);
}

/* A limit in bytes is one in rows of the mean size; the lower one counts. */
Test(change_steer, retune_bytes)
{
    struct test_child runner;
    instar_change_info info;
    instar_change_steering s;
    instar *db = begin(&runner);
    uint64_t change = submit(db, false, 0, ROWS / 10); /* so that it is not over by then */

    instar_change_steering_init(&s);
    s.bytes_per_second_max = 1; /* less than a row: one a second */
    ok(instar_change_steer(db, change, &s));
    do {
        instar_change_wait(db, change, 5, &info);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (strstr(info.throttle, "1 bytes/s") == NULL);
    hasten(db, change);
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.rows_done, ROWS - 1);
    end(db, &runner);
}

/* ---- who asked, and who has not come along ------------------------------------------------ */

Test(change_steer, who_asked_and_who_is_behind)
{
    struct test_child runner;
    instar_change_info info;
    instar_change_options o = scene_options(30000);
    instar *db = begin(&runner);
    instar_projection *p = alters_projection(db, "t", "a,b");
    char program[sizeof(info.asked_by)];
    instar_txn *old;
    uint64_t change;

    ok(instar_begin(db, 0, &old));
    ok(alters_update_in(old, p, 4, "4,44"));
    ok(alters_submit(db, "t", "add late int8", &o, &change));
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.asked_pid, (uint64_t)getpid());
    expect_u64(info.asked_uid, (uint64_t)geteuid());
    os_program(program, sizeof(program));
    expect(strcmp(info.asked_by, program) == 0);
    expect_u64(info.behind, 1);
    ok(instar_commit(old));
    ok(instar_change_get(db, change, &info));
    expect_u64(info.behind, 0);
    instar_projection_free(p);
    end(db, &runner);
}

/* ---- what is refused ---------------------------------------------------------------------- */

Test(change_steer, refused)
{
    struct test_child runner;
    struct test_hold hold;
    instar_change_steering s;
    uint64_t change;

    test_hold_set(&hold, "change.absent", 1);
    instar *db = begin(&runner);
    instar_change_steering_init(&s);
    fails(instar_change_steer(db, 77, &s), INSTAR_EUNKNOWN);
    fails(instar_change_steer(db, 1, NULL), INSTAR_EMISUSE);
    fails(instar_change_steer(db, 1, &s), INSTAR_ESTATE); /* create table: done */
    expect(strstr(instar_error_text(), "has ended") != NULL);
    s.set_flags = INSTAR_CHANGE_IF_EXISTS;
    fails(instar_change_steer(db, 1, &s), INSTAR_EINVALID);
    s.set_flags = s.clear_flags = INSTAR_CHANGE_HOLD;
    fails(instar_change_steer(db, 1, &s), INSTAR_EINVALID);
    instar_change_steering_init(&s);
    s.workers = 65;
    fails(instar_change_steer(db, 1, &s), INSTAR_EINVALID);
    s.struct_size--;
    fails(instar_change_steer(db, 1, &s), INSTAR_EINVALID);
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(instar_drop_index(db, "t_b", NULL, &change));
    test_hold_await(&hold); /* only the purge is left */
    fails(scene_steer(db, change, INSTAR_CHANGE_HOLD, 0), INSTAR_ESTATE);
    expect(strstr(instar_error_text(), "past the point") != NULL);
    test_hold_release(&hold);
    scene_await(db, change, INSTAR_OK, NULL);
    end(db, &runner);
    test_hold_end(&hold);
}
