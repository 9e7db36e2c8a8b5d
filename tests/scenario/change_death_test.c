/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that runs a change is killed, at every place that matters; another one finishes it or
 * undoes it. Each ends with the checker, and scan by table = scan by index.
 */
#include "support/scenes.h"

#include "api/api_impl.h"
#include "change/job_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROWS 70000 /* more entries than the memory of the build holds */

enum work { BUILD, BUILD_DUPLICATES, DROP, DROP_TABLE };

struct victim {
    const char *point;
    uint64_t nth;
    enum work work;
};

static instar_change_options small_memory(void)
{
    instar_change_options o = scene_options(30000);

    o.sort_memory_bytes = 1 << 20;
    o.workers = 2;
    return o;
}

static int64_t with_duplicates(int64_t i)
{
    return i < 4 ? i / 2 : scene_scattered(i);
}

static uint64_t submit(instar *db, const void *arg)
{
    const struct victim *v = arg;
    instar_change_options o = small_memory();
    uint64_t change;

    if (v->work == DROP) {
        ok(instar_drop_index(db, "t_b", NULL, &change));
    } else if (v->work == DROP_TABLE) {
        ok(instar_drop_table(db, "t", NULL, &change));
    } else {
        change = dbs_submit_index(db, "t_b", "t", "b", v->work == BUILD_DUPLICATES, &o);
    }
    return change;
}

static void kill_and_finish(const struct victim *v, instar_change_info *info)
{
    const struct scene_death death = {v->point, v->nth, NULL, submit, v};

    scene_kill(&death);
    instar *db =
        scene_take_over(&death, v->work == BUILD_DUPLICATES ? INSTAR_EFAILED : INSTAR_OK, info);
    dbs_end(db);
}

static void fill(int64_t rows, int64_t (*b)(int64_t i), bool index)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 0, rows, b);
    if (index) {
        ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    }
    ok(instar_close(db));
}

static void drop_again(void)
{
    instar *db = dbs_open(0);

    ok(dbs_drop_index(db, "t_b"));
    ok(instar_close(db));
}

/* ---- builds ------------------------------------------------------------------------------- */

/* Killed while it builds: another process goes on from the last checkpoint, or reads again what was
 * only in memory. */
Test(change_death, builder_is_killed)
{
    static const struct victim victims[] = {
        {"change.submitted", 1, BUILD},     {"change.claimed", 1, BUILD},
        {"change.delete_only", 1, BUILD},   {"change.write_only", 1, BUILD},
        {"change.cut", 1, BUILD},           {"build.snapshot", 2, BUILD},
        {"build.range_done", 1, BUILD},     {"build.spilled", 1, BUILD},
        {"build.batch_scanned", 60, BUILD}, {"build.scanned", 1, BUILD},
        {"build.batch_loaded", 1, BUILD},   {"bulk.batch_written", 2, BUILD},
        {"bulk.committed", 3, BUILD},       {"build.loaded", 1, BUILD},
        {"build.folded", 1, BUILD},         {"ahead.written", 1, BUILD},
        {"ahead.committed", 1, BUILD},      {"ahead.looked", 1, BUILD},
        {"ahead.written", 2, BUILD},        {"ahead.committed", 2, BUILD},
        {"change.fold_end", 1, BUILD},      {"change.public", 1, BUILD}};
    struct test_child keeper;
    instar_change_info info;

    scene_keeper(&keeper);
    fill(ROWS, scene_scattered, false);
    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        kill_and_finish(&victims[i], &info);
        expect_u64(info.rows_done, ROWS);
        drop_again();
    }
    scene_runner_end(&keeper);
}

/* Nobody runs a change any more whose runner was killed after its last commit: what it showed goes
 * with the next round of any runner. */
Test(change_death, its_progress_goes)
{
    static const struct victim victim = {"change.public", 1, BUILD};
    const struct scene_death death = {victim.point, victim.nth, NULL, submit, &victim};
    struct test_child keeper;
    struct live seen;

    scene_keeper(&keeper);
    fill(100, scene_scattered, false);
    scene_kill(&death);
    instar *db = dbs_open(0);
    uint64_t change = scene_last_change(db);
    ok(dbs_index(db, "t_c", "t", "c", false, NULL));
    expect(!live_read(db->env.store, change, &seen));
    dbs_end(db);
    scene_runner_end(&keeper);
}

/* The same when no process is left: runs in files are gone then, and the store is recovered. */
Test(change_death, builder_was_the_only_process)
{
    static const struct victim victims[] = {{"build.spilled", 1, BUILD},
                                            {"build.loaded", 1, BUILD},
                                            {"change.cut", 1, BUILD},
                                            {"change.fold_end", 1, BUILD}};
    instar_change_info info;

    fill(ROWS, scene_scattered, false);
    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        kill_and_finish(&victims[i], &info);
        expect_u64(info.rows_done, ROWS);
        drop_again();
    }
}

/* Whoever takes over cannot read a run that the other one has left: the change fails with the
 * reason, and can be made once more. */
Test(change_death, runs_that_cannot_be_read)
{
    static const struct victim victim = {"build.spilled", 2, BUILD};
    const struct scene_death death = {victim.point, victim.nth, NULL, submit, &victim};
    struct test_child keeper;
    instar_change_info info;

    scene_keeper(&keeper);
    fill(2 * ROWS, scene_scattered, false);
    scene_kill(&death);
    test_fault_set(
        &(struct test_fault){.op = OS_OP_READ, .path = "/spill/", .nth = 1, .error = EIO});
    instar *db = scene_take_over(&death, INSTAR_EFAILED, &info);
    expect(info.error == INSTAR_EIO && test_fault_fired() == 1);
    test_fault_set(NULL);
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    dbs_end(db);
    scene_runner_end(&keeper);
}

/* Killed while it validates, finds duplicates or takes the index away again: the verdict and the
 * reason are the same. */
Test(change_death, killed_on_the_way_back)
{
    static const struct victim victims[] = {
        {"change.write_only", 2, BUILD_DUPLICATES},  {"validate.snapshot", 1, BUILD_DUPLICATES},
        {"change.turned_back", 1, BUILD_DUPLICATES}, {"change.delete_only", 2, BUILD_DUPLICATES},
        {"change.absent", 1, BUILD_DUPLICATES},      {"change.purged", 1, BUILD_DUPLICATES}};
    struct test_child keeper;
    instar_change_info info;

    scene_keeper(&keeper);
    fill(200, with_duplicates, false);
    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        kill_and_finish(&victims[i], &info);
        expect_u64(info.duplicate_count, 2);
        expect(strstr(info.reason, "(b=0) of row (a=0), row (a=1)") != NULL);
        expect(strstr(info.reason, "(b=1) of row (a=2), row (a=3)") != NULL);
    }
    scene_runner_end(&keeper);
}

/* ---- drops -------------------------------------------------------------------------------- */

Test(change_death, killed_while_dropping)
{
    static const struct victim victims[] = {
        {"change.claimed", 1, DROP},         {"change.write_only", 1, DROP},
        {"change.delete_only", 1, DROP},     {"change.absent", 1, DROP},
        {"change.purged", 1, DROP},          {"change.claimed", 1, DROP_TABLE},
        {"change.published", 1, DROP_TABLE}, {"change.purged", 1, DROP_TABLE}};
    struct test_child keeper;
    instar_change_info info;

    scene_keeper(&keeper);
    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        fill(200, scene_scattered, true);
        kill_and_finish(&victims[i], &info);
        if (victims[i].work == DROP) {
            instar *db = dbs_open(0);
            ok(scene_drop_table(db, "t"));
            ok(instar_close(db));
        }
    }
    scene_runner_end(&keeper);
}

/* ---- from outside ------------------------------------------------------------------------- */

/* Two processes that run changes. The one that builds, slowly, is killed from outside when its
 * progress is between 20 and 80 %. The other one takes over; what anyone sees of the progress never
 * falls. */
Test(change_death, taken_over_by_a_living_process)
{
    struct test_child runners[2];
    instar_change_options o = scene_options(30000);
    instar_change_info info;
    uint64_t seen = 0;
    uint32_t killed = 0;
    uint64_t change;

    scene_runner(&runners[0]);
    scene_runner(&runners[1]);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 0, 30000, scene_scattered);
    o.rows_per_second_max = 10000;
    change = dbs_submit_index(db, "t_b", "t", "b", true, &o);
    for (;;) {
        instar_change_wait(db, change, 10, &info);
        if (info.state != INSTAR_CHANGE_RUNNING) {
            break;
        }
        if (strcmp(info.stage, "build") != 0) {
            continue;
        }
        expect(info.rows_done >= seen);
        seen = info.rows_done;
        expect(seen == 0 || strstr(info.throttle, "10000 rows/s") != NULL);
        if (killed == 0 && info.rows_done * 10 > info.rows_total * 4) {
            expect(info.rows_done * 10 < info.rows_total * 8);
            killed = info.owner_pid;
            expect(killed != 0);
            for (int i = 0; i < 2; i++) {
                if ((uint32_t)runners[i].pid == killed) {
                    test_kill(&runners[i], SIGKILL);
                    runners[i].pid = 0;
                }
            }
        }
    }
    scene_await(db, change, INSTAR_OK, &info);
    expect(killed != 0);
    expect_u64(info.rows_done, 30000);
    dbs_end(db);
    for (int i = 0; i < 2; i++) {
        if (runners[i].pid != 0) {
            scene_runner_end(&runners[i]);
        }
    }
}

/* The process that runs a change closes its store: another one goes on at once, nothing is lost. */
Test(change_death, handed_on_when_the_runner_closes)
{
    struct test_child runners[2];
    struct test_hold hold;
    instar_change_options o = scene_options(30000);
    instar_change_info info;

    test_hold_set(&hold, "none", 1);
    scene_runner(&runners[0]);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 0, 10000, scene_scattered);
    o.rows_per_second_max = 10000;
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b", false, &o);
    do {
        instar_change_wait(db, change, 5, &info);
    } while (strcmp(info.stage, "build") != 0 || info.rows_done < 500);
    scene_runner_end(&runners[0]);
    info = scene_look(db, change);
    expect(info.state == INSTAR_CHANGE_RUNNING && info.owner_pid == 0);
    ok(instar_close(db));
    db = dbs_open(0);
    scene_await(db, change, INSTAR_OK, &info);
    dbs_end(db);
    test_hold_end(&hold);
}

struct owners {
    uint32_t own, others;
};

static int count_changes(void *arg, const instar_node_info *info)
{
    struct owners *o = arg;

    *(info->self ? &o->own : &o->others) += info->changes;
    return 0;
}

/* Of two processes that run changes one closes its store: it gives up its own, and what the other
 * one runs is left to that. */
Test(change_death, closes_beside_another_runner)
{
    struct test_child other;
    struct test_hold hold;
    instar_change_options o = scene_options(30000);
    instar_change_info info;
    struct owners owners = {0};

    test_hold_set(&hold, "change.claimed", 3); /* behind the tables' */
    scene_runner(&other);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    dbs_make_table(db, "t");
    dbs_make_table(db, "u");
    uint64_t theirs = dbs_submit_index(db, "u_b", "u", "b", false, &o);
    test_hold_await(&hold); /* it looks for no other change */
    ok(instar_close(db));
    db = dbs_open(0);
    o.flags = INSTAR_CHANGE_PAUSE;
    uint64_t ours = dbs_submit_index(db, "t_b", "t", "b", false, &o);
    do {
        (void)instar_change_wait(db, ours, 5, &info);
    } while (info.waiting_for[0] == 0);
    expect_u64(info.owner_pid, (uint64_t)getpid());
    ok(instar_node_list(db, count_changes, &owners));
    expect(owners.own == 1 && owners.others == 1);
    ok(instar_close(db));
    db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    info = scene_look(db, ours);
    expect(info.state == INSTAR_CHANGE_RUNNING && info.owner_pid == 0);
    expect_u64(scene_look(db, theirs).owner_pid, (uint64_t)other.pid);
    test_hold_release(&hold);
    ok(scene_steer(db, ours, 0, INSTAR_CHANGE_PAUSE));
    scene_await(db, ours, INSTAR_OK, NULL);
    scene_await(db, theirs, INSTAR_OK, NULL);
    dbs_end(db);
    scene_runner_end(&other);
    test_hold_end(&hold);
}
