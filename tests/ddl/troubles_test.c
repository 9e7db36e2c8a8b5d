/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation, and something that goes wrong at each of its points: no memory for what comes
 * next, a disk that is full, a cancel, a pause, a pause that ends in a cancel, the death of the
 * process that runs it, of one that submitted it, of one that waits for it and of one that writes,
 * a writer who stands still for longer than his lease, another change; and the first of these
 * deaths at each of its calls that touch a file. The change is complete, or all is as it
 * was and the statement can be run again; on its way back it is led point by point, and rows are
 * written there.
 */
#include "ddl/cases.h"
#include "ddl/stranger.h"
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

#define SHARE 40
#define CALLS_SHARE 384
#define CALLS 160    /* that a runner makes, about */
#define LEASE_MS 100 /* of who stands still; of who dies, far longer than anybody waits */
#define LONG_LEASE_MS 3600000
#define SECOND_NAME "t_second"
#define FEW 8

enum trouble {
    REFUSE,
    CANCEL,
    PAUSE,
    PAUSE_AND_CANCEL,
    KILL,
    KILL_SUBMITTER,
    KILL_WAITER,
    KILL_WRITER,
    KILL_COMMITTER,
    STOP_WRITER,
    FILL_DISK,
    SECOND,
    TROUBLES
};
static const char *const names[TROUBLES] = {"no memory",        "cancel",      "pause",
                                            "pause and cancel", "kill",        "kill submitter",
                                            "kill waiter",      "kill writer", "kill committer",
                                            "stop writer",      "full disk",   "second change"};

static int steer(struct scene *s, uint32_t set, uint32_t clear)
{
    return scene_steer(s->db, s->change, set, clear);
}

/* Is there no way back any more? */
static bool is_late(struct scene *s)
{
    int rc = steer(s, INSTAR_CHANGE_HOLD, 0);

    expect(rc == INSTAR_OK || rc == INSTAR_ESTATE);
    if (rc == INSTAR_OK) {
        ok(steer(s, 0, INSTAR_CHANGE_HOLD));
    }
    return rc == INSTAR_ESTATE;
}

static void stand_still(struct scene *s)
{
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * 1000000000ull;
    instar_change_info info;

    steps_free(&s->steps);
    do { /* returns at each thing that happens to the change */
        (void)instar_change_wait(s->db, s->change, 5, &info);
        if (os_now_ns() > give_up) {
            test_fail(__FILE__, __LINE__, "%s does not stand still behind %s, but at %s, %s",
                      s->operation->name, s->steps.point, info.stage, info.waiting_for);
        }
    } while (strstr(info.waiting_for, "pause") == NULL && info.finished_us == 0);
    scene_look_side(s);
    scene_write(s);
    s->base += 20;
}

static void verdict(struct scene *s, int rc, int wanted, const instar_change_info *info)
{
    if (rc != wanted) {
        test_fail(__FILE__, __LINE__, "%s, %s: %s in place of %s: %s", s->operation->name,
                  s->steps.point, instar_error_name(rc), instar_error_name(wanted), info->reason);
    }
}

/* The statement once more, and nothing goes wrong. */
static void again(struct scene *s)
{
    instar_change_info info;

    scene_expect(s, false);
    steps_help(&s->steps);
    scene_submit(s);
    int rc = scene_finish(s, false, &info);
    verdict(s, rc, s->operation->error != 0 ? INSTAR_EFAILED : INSTAR_OK, &info);
}

/* Before the point of no return a cancel is heard, unless the change fails before it hears. */
static void after_cancel(struct scene *s, bool heard, int rc, const instar_change_info *info)
{
    int otherwise = s->operation->error != 0 ? INSTAR_EFAILED : INSTAR_OK;

    if (heard && !(rc == INSTAR_EFAILED && s->operation->error != 0)) {
        verdict(s, rc, INSTAR_ECANCELLED, info);
        again(s);
    } else {
        verdict(s, rc, otherwise, info);
    }
}

/* A verdict whose rows found no memory: that is what was refused. */
static bool lacks_rows(const instar_change_info *info)
{
    size_t size = strlen(info->reason);
    return size > 2 && strcmp(info->reason + size - 2, ": ") == 0;
}

static void after_refusal(struct scene *s, bool late, int rc, const instar_change_info *info)
{
    if (rc == INSTAR_EFAILED && info->error == INSTAR_ENOMEM) {
        expect(!late && steps_refused(&s->steps));
        again(s);
        return;
    }
    /* On its way back, or past the last step that can fail, it is tried again. */
    if (!late && steps_refused(&s->steps) && s->operation->error == 0) {
        test_fail(__FILE__, __LINE__, "%s, %s: no memory, and it went on, after %d retries: %s",
                  s->operation->name, s->steps.point, (int)info->retries, info->last_error);
    }
    if (steps_refused(&s->steps) && !(rc == INSTAR_EFAILED && lacks_rows(info))) {
        expect(info->retries > 0 && strstr(info->last_error, "memory") != NULL);
    }
    verdict(s, rc, s->operation->error != 0 ? INSTAR_EFAILED : INSTAR_OK, info);
}

static void pause(struct scene *s, bool cancels)
{
    instar_change_info info;
    int rc = steer(s, INSTAR_CHANGE_PAUSE, 0);
    bool heard = false;

    expect(rc == INSTAR_OK || rc == INSTAR_ESTATE);
    if (rc == INSTAR_OK) {
        stand_still(s);
        if (cancels) {
            rc = instar_change_cancel(s->db, s->change);
            heard = rc == INSTAR_OK;
            expect(heard || rc == INSTAR_ESTATE);
        }
        if (!heard) {
            rc = steer(s, 0, INSTAR_CHANGE_PAUSE);
            expect(rc == INSTAR_OK || rc == INSTAR_ESTATE);
        }
    }
    rc = scene_finish(s, false, &info);
    after_cancel(s, heard, rc, &info);
    fails(steer(s, INSTAR_CHANGE_PAUSE, 0), INSTAR_ESTATE);
}

/* Nobody is fenced: a lease ends with its process, or when its time is over. */
static void keep_waiting(struct scene *s)
{
    int rc = steer(s, INSTAR_CHANGE_KEEP_WAITING, 0);

    expect(rc == INSTAR_OK || rc == INSTAR_ESTATE);
}

static void stop_writer(struct scene *s)
{
    instar_change_info info;
    struct stranger x;

    keep_waiting(s);
    stranger_begin(s, &x, LEASE_MS);
    stranger_stand(s);
    s->base += 20;
    int rc = scene_finish(s, true, &info);
    verdict(s, rc, s->operation->error != 0 ? INSTAR_EFAILED : INSTAR_OK, &info);
    scene_look_side(s);
    stranger_go_on(s, &x);
}

/* What it wrote is nowhere, and nobody waits for its lease. */
static void kill_writer(struct scene *s, bool in_commit)
{
    instar_change_info info;
    struct stranger x;

    keep_waiting(s);
    stranger_begin(s, &x, LONG_LEASE_MS);
    stranger_die(s, &x, in_commit);
    s->base += 20;
    int rc = scene_finish(s, true, &info);
    verdict(s, rc, s->operation->error != 0 ? INSTAR_EFAILED : INSTAR_OK, &info);
}

static unsigned filled,
    met_full; /* cases, and those in which somebody wrote before the next point */

static void fill_disk(struct scene *s, bool late)
{
    instar_change_info info;

    steps_fill_disk(&s->steps);
    int rc = scene_finish(s, true, &info);
    filled++;
    met_full += steps_filled(&s->steps) > 0;
    if (rc == INSTAR_EFAILED && info.error == INSTAR_ENOSPACE) {
        expect(!late);
        again(s);
        return;
    }
    verdict(s, rc, s->operation->error != 0 ? INSTAR_EFAILED : INSTAR_OK, &info);
}

/* Another change of the table waits for its turn, and has it; or the first leaves it none. */
static void second_change(struct scene *s)
{
    instar_change_info info, other;
    uint64_t first = s->change, second = 0;
    int rc = scene_try(s, "CREATE INDEX " SECOND_NAME " ON t (b)");

    second = rc == INSTAR_OK ? s->change : 0;
    expect(rc == INSTAR_OK || s->words[0] != '\0');
    s->change = first;
    rc = scene_finish(s, false, &info);
    verdict(s, rc, s->operation->error != 0 ? INSTAR_EFAILED : INSTAR_OK, &info);
    if (second != 0) {
        steps_help(&s->steps);
        scene_old_end(s); /* of a table that the first has nothing to do with */
        rc = instar_change_wait(s->db, second, TEST_AWAIT_S * 1000, &other);
        expect(rc == INSTAR_OK || (rc == INSTAR_EFAILED && other.reason[0] != '\0'));
        ok(sqls_run(s->db, "DROP INDEX IF EXISTS " SECOND_NAME));
    }
}

static void make(struct scene *s, enum trouble trouble)
{
    instar_change_info info;
    bool late = is_late(s), heard;
    int rc;

    switch (trouble) {
    case REFUSE:
        steps_refuse_memory(&s->steps);
        rc = scene_finish(s, true, &info);
        after_refusal(s, late, rc, &info);
        break;
    case CANCEL:
        heard = instar_change_cancel(s->db, s->change) == INSTAR_OK;
        rc = scene_finish(s, true, &info);
        after_cancel(s, heard, rc, &info);
        break;
    case KILL:
        steps_kill(&s->steps);
        rc = scene_finish(s, false, &info);
        verdict(s, rc, s->operation->error != 0 ? INSTAR_EFAILED : INSTAR_OK, &info);
        break;
    case KILL_SUBMITTER:
    case KILL_WAITER:
        steps_kill_guest(&s->steps);
        rc = scene_finish(s, true, &info);
        verdict(s, rc, s->operation->error != 0 ? INSTAR_EFAILED : INSTAR_OK, &info);
        break;
    case KILL_WRITER:
    case KILL_COMMITTER:
        kill_writer(s, trouble == KILL_COMMITTER);
        break;
    case STOP_WRITER:
        stop_writer(s);
        break;
    case FILL_DISK:
        fill_disk(s, late);
        break;
    case SECOND:
        second_change(s);
        break;
    default:
        pause(s, trouble == PAUSE_AND_CANCEL);
        break;
    }
}

static void end(struct scene *s)
{
    scene_expect(s, s->operation->error == 0);
    scene_close(s);
}

/* Trouble at the nth point. */
static void run(const struct operation *o, size_t nth, enum trouble trouble)
{
    enum steps_event event = STEPS_AT_POINT;
    struct scene s;

    scene_make(&s, o);
    if (trouble == KILL_SUBMITTER) {
        s.change = steps_guest(&s.steps, s.sql, 0);
    } else {
        scene_submit(&s);
    }
    if (trouble == KILL_WAITER) {
        (void)steps_guest(&s.steps, NULL, s.change);
    }
    for (size_t i = 0; i < nth && event == STEPS_AT_POINT; i++) {
        if (o->rewrites && i > 0) {
            scene_work(&s, event); /* some points are there because of somebody who wrote */
        }
        event = scene_next(&s);
    }
    expect(event == STEPS_AT_POINT);
    scene_work(&s, event);
    make(&s, trouble);
    end(&s);
}

/* E1, E2, E5, K4. Who dies holds nobody up, and who runs the change ends it. */
Test(ddl_troubles, at_each_point, .timeout = 3600)
{
    for (size_t i = 0; i < operations_count; i++) {
        size_t points = cases_points(&operations[i]);
        for (size_t nth = 1; nth <= points; nth++) {
            for (int t = 0; t < TROUBLES; t++) {
                char name[128];
                (void)snprintf(name, sizeof(name), "%s %zu %s", operations[i].name, nth, names[t]);
                if (cases_take(name, SHARE)) {
                    run(&operations[i], nth, (enum trouble)t);
                }
            }
        }
    }
    fprintf(stderr, "%u of %u found the disk full\n", met_full, filled);
    cr_assert(filled < FEW || met_full >= filled / 2);
    cases_end();
}

/* What a runner executes before the applier's turn fails like any other work of its own. */
Test(ddl_troubles, no_memory_for_tree_operations)
{
    static const char *const points[] = {"change.cut", "change.fold_end"};
    for (size_t i = 0; i < operations_count; i++) {
        for (size_t k = 0; k < BASE_ARRAY_LEN(points); k++) {
            if (strcmp(operations[i].name, "create_index_descending") == 0) {
                run(&operations[i], cases_point(&operations[i], points[k]), REFUSE);
            }
        }
    }
}

/* E5: wherever it dies, another process goes on. */
Test(ddl_troubles, killed_at_each_call, .timeout = 3600)
{
    for (size_t i = 0; i < operations_count; i++) {
        for (uint64_t nth = 1; cases_points(&operations[i]) > 0 && nth <= CALLS; nth++) {
            char name[128];
            instar_change_info info;
            struct scene s;
            (void)snprintf(name, sizeof(name), "%s call %d", operations[i].name, (int)nth);
            if (!cases_take(name, CALLS_SHARE)) {
                continue;
            }
            scene_make(&s, &operations[i]);
            steps_free(&s.steps);
            steps_kill_at_call(&s.steps, nth);
            scene_submit(&s);
            int rc = scene_finish(&s, false, &info);
            verdict(&s, rc, operations[i].error != 0 ? INSTAR_EFAILED : INSTAR_OK, &info);
            end(&s);
        }
    }
    cases_end();
}
