/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a transaction that holds a change up for longer than it may: it is fenced, or
 * waited for, or the change gives up. And what is kept of a change: who stopped it and why, how
 * long it was thought to take, and for how long all that is known.
 */
#include "support/scenes.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_MS 50

/* A transaction that has written under the version before, and a change that waits for it. */
struct scene {
    instar *db;
    instar_projection *p;
    instar_txn *txn;
    uint64_t change;
};

static void begin(struct scene *s, uint32_t flags, uint32_t fence_after_ms)
{
    const char *columns[] = {"a", "b"};
    instar_value row[2] = {{.type = INSTAR_INT8, .i = 500}, {.type = INSTAR_INT8, .i = 1}};
    instar_change_options o = scene_options(fence_after_ms);

    o.flags = flags;
    test_remove(dbs_path());
    s->db = dbs_open(0);
    dbs_make_table(s->db, "t");
    scene_fill(s->db, "t", 1, 20, scene_plus_10);
    ok(instar_projection_prepare(s->db, "t", columns, 2, NULL, &s->p));
    ok(instar_begin(s->db, 0, &s->txn));
    ok(instar_insert(s->txn, s->p, row));
    s->change = dbs_submit_index(s->db, "t_b", "t", "b", false, &o);
}

static void end(struct scene *s)
{
    dbs_check_clean(s->db);
    instar_projection_free(s->p);
    ok(instar_close(s->db));
}

/* Look until it says so of what it waits for. */
static void await_words(const struct scene *s, const char *words)
{
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * UINT64_C(1000000000);
    instar_change_info info;

    do {
        expect(os_now_ns() < give_up);
        (void)instar_change_wait(s->db, s->change, 10, &info);
        expect(info.finished_us == 0);
    } while (strstr(info.waiting_for, words) == NULL);
}

static int steer(const struct scene *s, uint32_t set, uint32_t clear)
{
    return scene_steer(s->db, s->change, set, clear);
}

/* It gives up when the time is over: the transaction commits, the schema is as before, the reason
 * says who it was. */
Test(change_policy, gives_up)
{
    struct scene s;
    instar_change_info info;
    char self[32];

    begin(&s, INSTAR_CHANGE_GIVE_UP, DEADLINE_MS);
    await_words(&s, "it is not fenced"); /* on the way back */
    expect(scene_look(s.db, s.change).state == INSTAR_CHANGE_REVERTING);
    ok(instar_commit(s.txn));
    scene_await(s.db, s.change, INSTAR_EFAILED, &info);
    expect(info.error == INSTAR_EBLOCKED);
    snprintf(self, sizeof(self), "process %d,", (int)getpid());
    expect(strstr(info.reason, "gave up after 50 ms of waiting for node") != NULL);
    expect(strstr(info.reason, self) != NULL);
    ok(dbs_index(s.db, "t_b", "t", "b", true, NULL));
    end(&s);
}

/* The same while memory is refused to it, one request at a time, as it gives up: then it tries
 * again, or fails for that. */
Test(change_policy, gives_up_without_memory)
{
    uint64_t fired = 1;

    for (uint64_t nth = 1; fired != 0; nth++) {
        struct scene s;
        instar_change_info info;
        begin(&s, INSTAR_CHANGE_KEEP_WAITING, 1);
        await_words(&s, "overdue, but it is not fenced");
        test_shortage_set(&(struct test_shortage){.nth = nth, .thread = SCENE_CHANGE_THREAD});
        ok(steer(&s, INSTAR_CHANGE_GIVE_UP, 0));
        do {
            (void)instar_change_wait(s.db, s.change, 5, &info);
        } while (info.state == INSTAR_CHANGE_RUNNING);
        fired = test_shortage_fired();
        test_shortage_set(NULL);
        ok(instar_commit(s.txn));
        scene_await(s.db, s.change, INSTAR_EFAILED, &info);
        cr_expect(info.error == INSTAR_EBLOCKED || info.error == INSTAR_ENOMEM, "request %llu: %s",
                  (unsigned long long)nth, info.reason);
        expect(fired != 0 || nth > 10);
        end(&s);
    }
}

/* Cancelled, it waits for the transaction on its way back, too, and goes on looking what becomes of
 * it. */
Test(change_policy, waits_on_its_way_back)
{
    struct scene s;
    instar_change_info info;

    begin(&s, INSTAR_CHANGE_KEEP_WAITING, 1);
    await_words(&s, "overdue, but it is not fenced");
    ok(instar_change_cancel(s.db, s.change));
    do {
        (void)instar_change_wait(s.db, s.change, 5, &info);
    } while (info.state != INSTAR_CHANGE_REVERTING);
    await_words(&s, "overdue, but it is not fenced");
    fails(steer(&s, INSTAR_CHANGE_HOLD, 0), INSTAR_ESTATE);
    expect(says("is being undone"));
    dbs_make_table(s.db, "u"); /* of which all who run changes are told */
    await_words(&s, "overdue, but it is not fenced");
    ok(instar_commit(s.txn));
    scene_await(s.db, s.change, INSTAR_ECANCELLED, NULL);
    end(&s);
}

/* It waits on, long after the time is over, and says so; the transaction commits, the change ends.
 */
Test(change_policy, keeps_waiting)
{
    struct scene s;

    begin(&s, INSTAR_CHANGE_KEEP_WAITING, DEADLINE_MS);
    await_words(&s, "overdue, but it is not fenced");
    ok(instar_commit(s.txn));
    scene_await(s.db, s.change, INSTAR_OK, NULL);
    end(&s);
}

/* Without a word the transaction is fenced; so it is when what kept it from that is taken back. */
Test(change_policy, fences)
{
    struct scene s;

    begin(&s, 0, DEADLINE_MS);
    scene_await(s.db, s.change, INSTAR_OK, NULL);
    fails(instar_commit(s.txn), INSTAR_ESCHEMA_CHANGED);
    end(&s);
    begin(&s, INSTAR_CHANGE_KEEP_WAITING, DEADLINE_MS);
    await_words(&s, "overdue, but it is not fenced");
    ok(steer(&s, 0, INSTAR_CHANGE_KEEP_WAITING));
    scene_await(s.db, s.change, INSTAR_OK, NULL);
    fails(instar_commit(s.txn), INSTAR_ESCHEMA_CHANGED);
    end(&s);
}

/* The policies take each other's place, and are not had both. */
Test(change_policy, one_at_a_time)
{
    struct scene s;
    instar_change_options o = scene_options(DEADLINE_MS);
    instar_key_column part = {.name = "b"};
    instar_index_def def = {.name = "x", .table = "t", .columns = &part, .column_count = 1};
    uint64_t change;

    begin(&s, INSTAR_CHANGE_GIVE_UP, 60000);
    await_words(&s, "the change gives up in");
    fails(steer(&s, INSTAR_CHANGE_KEEP_WAITING | INSTAR_CHANGE_GIVE_UP, 0), INSTAR_EINVALID);
    ok(steer(&s, INSTAR_CHANGE_KEEP_WAITING, 0));
    expect(scene_look(s.db, s.change).flags == INSTAR_CHANGE_KEEP_WAITING);
    await_words(&s, "it is not fenced");
    o.flags = INSTAR_CHANGE_KEEP_WAITING | INSTAR_CHANGE_GIVE_UP;
    fails(instar_create_index(s.db, &def, &o, &change), INSTAR_EINVALID);
    ok(instar_commit(s.txn));
    scene_await(s.db, s.change, INSTAR_OK, NULL);
    end(&s);
}

/* ---- what is kept ------------------------------------------------------------------------- */

/* The words of the one who cancelled it first are a part of the reason. */
Test(change_policy, cancelled_with_words)
{
    struct scene s;
    instar_change_info info;
    char many[1002];

    begin(&s, INSTAR_CHANGE_KEEP_WAITING, DEADLINE_MS);
    memset(many, 'x', sizeof(many) - 1);
    many[sizeof(many) - 1] = 0;
    fails(instar_change_cancel_because(s.db, s.change, many), INSTAR_ELIMIT);
    fails(instar_change_cancel_because(s.db, s.change, "\xff"), INSTAR_EENCODING);
    await_words(&s, "it is not fenced");
    ok(instar_change_cancel_because(s.db, s.change, "wrong column, ask Ann"));
    ok(instar_change_cancel_because(s.db, s.change, "later"));
    ok(instar_commit(s.txn));
    scene_await(s.db, s.change, INSTAR_ECANCELLED, &info);
    cr_assert_str_eq(info.reason,
                     "cancelled on request at stage delete-only: wrong column, ask Ann");
    end(&s);
}

/* Whoever waits for a stage returns there, and not before; a stage that its plan has not is named.
 */
Test(change_policy, wait_for_a_stage)
{
    struct scene s;
    instar_change_info info;

    begin(&s, INSTAR_CHANGE_HOLD | INSTAR_CHANGE_KEEP_WAITING, DEADLINE_MS);
    ok(instar_change_wait_stage(s.db, s.change, "delete-only", TEST_AWAIT_S * 1000, &info));
    expect(info.state == INSTAR_CHANGE_RUNNING);
    cr_assert_str_eq(info.stage, "delete-only");
    fails(instar_change_wait_stage(s.db, s.change, "write-only", 20, &info), INSTAR_EBUSY);
    fails(instar_change_wait_stage(s.db, s.change, "validate", 20, &info), INSTAR_EINVALID);
    expect(strstr(instar_error_text(), "create index) has no stage \"validate\"") != NULL);
    ok(instar_commit(s.txn));
    ok(instar_change_wait_stage(s.db, s.change, "build", TEST_AWAIT_S * 1000, &info));
    ok(instar_change_wait_stage(s.db, s.change, "fold", TEST_AWAIT_S * 1000, &info));
    ok(instar_change_wait_stage(s.db, s.change, "absent", 0, &info)); /* long past it */
    ok(steer(&s, 0, INSTAR_CHANGE_HOLD));
    ok(instar_change_wait_stage(s.db, s.change, NULL, TEST_AWAIT_S * 1000, &info));
    expect(info.state == INSTAR_CHANGE_DONE);
    end(&s);
}

/* What a change will take is learnt from those before it, of its kind. */
Test(change_policy, estimates_are_learnt)
{
    instar *db = dbs_open(0);
    instar_key_column parts[2] = {{.name = "b"}, {.name = "c"}};
    instar_index_def def = {.name = "t_b", .table = "t", .columns = parts, .column_count = 2};
    instar_statement wish = {.kind = INSTAR_STATEMENT_CREATE_INDEX, .index = &def};
    instar_change_info info;
    instar_estimate e;

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 1001, scene_scattered);
    ok(instar_estimate_cost(db, &wish, 1, NULL, &e));
    expect(e.duration_ms == UINT64_MAX && e.learnt_from == 0);
    uint64_t change = dbs_submit_index(db, "t_x", "t", "b", false, NULL);
    scene_await(db, change, INSTAR_OK, &info);
    expect(info.estimated_ms == UINT64_MAX);
    ok(instar_estimate_cost(db, &wish, 1, NULL, &e));
    expect_u64(e.learnt_from, 1);
    expect_u64(e.rows, 1000);
    expect(e.duration_ms >= 1 &&
           e.duration_ms <= 1 + (uint64_t)(info.finished_us - info.submitted_us) / 1000);
    expect(e.final_bytes > 1000 * 16 && e.final_bytes < 1000 * 200);
    expect_u64(e.temporary_bytes, 0);
    change = dbs_submit_index(db, "t_y", "t", "b", false, NULL);
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.estimated_ms, e.duration_ms);
    /* What reads no row says so: a column that comes, but not one that is to be NOT NULL. */
    const instar_column_def d = {.name = "d", .type = INSTAR_INT8};
    instar_alteration steps[2] = {{.kind = INSTAR_ALTER_ADD_COLUMN, .column = &d},
                                  {.kind = INSTAR_ALTER_SET_NOT_NULL, .name = "b"}};
    wish = (instar_statement){
        .kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "t", .steps = steps, .step_count = 1};
    ok(instar_estimate_cost(db, &wish, 1, NULL, &e));
    expect_u64(e.rows, 0);
    wish.step_count = 2;
    ok(instar_estimate_cost(db, &wish, 1, NULL, &e));
    expect_u64(e.rows, 1000);
    wish = (instar_statement){.kind = INSTAR_STATEMENT_CREATE_INDEX, .index = &def};
    def.table = "tt";
    fails(instar_estimate_cost(db, &wish, 1, NULL, &e), INSTAR_EUNKNOWN);
    fails(instar_estimate_cost(db, &wish, 0, NULL, &e), INSTAR_EINVALID);
    ok(instar_close(db));
}

/* ---- history ------------------------------------------------------------------------------ */

static int64_t days;

static int64_t later(void *arg)
{
    (void)arg;
    return INT64_C(1800000000000000) + days * 86400 * 1000000;
}

static int count(void *arg, const instar_change_info *info)
{
    (void)info;
    ++*(size_t *)arg;
    return 0;
}

static size_t known(instar *db)
{
    size_t changes = 0;

    ok(instar_change_list(db, count, &changes));
    return changes;
}

/* Two weeks after its end a change is forgotten, by whoever opens the store next; one that has
 * waited for longer is not. */
Test(change_policy, history_is_kept_for_two_weeks)
{
    static const struct os_hooks hooks = {.realtime_us = later};
    instar_change_info info;

    os_hooks_set(&hooks);
    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    ok(instar_close(db));
    db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    uint64_t waits = dbs_submit_index(db, "t_b", "t", "b", false, NULL);
    ok(instar_close(db));
    days = 13;
    db = dbs_open(0);
    scene_await(db, waits, INSTAR_OK, &info); /* its runner has looked for old ones before */
    expect_u64(known(db), 2);
    ok(instar_close(db));
    days = 15;
    db = dbs_open(0);
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * UINT64_C(1000000000);
    while (known(db) != 1) {
        expect(os_now_ns() < give_up);
    }
    fails(instar_change_get(db, 1, &info), INSTAR_EUNKNOWN);
    ok(instar_change_get(db, waits, &info));
    ok(instar_close(db));
    os_hooks_set(NULL);
}

/* A drop whose data may still come back is not forgotten, however long ago it was. */
Test(change_policy, what_may_come_back_is_not_forgotten)
{
    static const struct os_hooks hooks = {.realtime_us = later};
    instar_change_options o = scene_options(30000);
    uint64_t drop, undo;

    os_hooks_set(&hooks);
    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    ok(dbs_insert(db, "t", 1, 2));
    o.undo_window_s = 100 * 86400;
    ok(instar_drop_table(db, "t", &o, &drop));
    scene_await(db, drop, INSTAR_OK, NULL);
    ok(instar_close(db));
    days = 20;
    db = dbs_open(0);
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * UINT64_C(1000000000);
    while (known(db) != 1) { /* that of the table goes */
        expect(os_now_ns() < give_up);
    }
    ok(instar_change_undo(db, drop, NULL, NULL, &undo));
    scene_await(db, undo, INSTAR_OK, NULL);
    cr_assert_str_eq(dbs_dump(db, "t", NULL), "1:2 ");
    dbs_end(db);
    os_hooks_set(NULL);
}
