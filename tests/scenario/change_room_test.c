/* SPDX-License-Identifier: Apache-2.0 */
/*
 * K12: changes in a store that is nearly full: what makes room goes through, and what finds none
 * turns back instead of trying for ever. The store's map is a few MiB; rows are put until it
 * refuses.
 */
#include "support/scenes.h"

#include <errno.h>
#include <string.h>

#define FILL_BYTES 2000
#define WAIT_MS 20000

static void make_small_store(void)
{
    instar_options o = dbs_options();

    o.segment_bytes = 64 << 10;
    o.map_bytes = 4 << 20;
    ok(instar_create(dbs_path(), &o));
}

/* One row of FILL_BYTES, and its code. */
static int put(instar *db, instar_projection *p, int64_t a)
{
    static char text[FILL_BYTES];
    instar_value row[3] = {{.type = INSTAR_INT8, .i = a}, {.type = INSTAR_INT8, .i = -a}};
    instar_txn *txn;

    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + (a * 7919 + (int64_t)(i * i)) % 26);
    }
    row[2].type = INSTAR_TEXT;
    row[2].bytes.data = text;
    row[2].bytes.size = sizeof(text);
    ok(instar_begin(db, INSTAR_TXN_ASYNC, &txn));
    int rc = instar_insert(txn, p, row);
    if (rc != INSTAR_OK) {
        instar_abort(txn);
        return rc;
    }
    return instar_commit(txn);
}

/* Until the store says that it is full; that text names the way out. */
static void fill_up(instar *db, int64_t from)
{
    instar_projection *p;
    int rc = INSTAR_OK;

    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &p));
    for (int64_t a = from; rc == INSTAR_OK; a++) {
        expect(a < from + 100000);
        rc = put(db, p, a);
    }
    fails(rc, INSTAR_EMAPFULL);
    expect(strstr(instar_error_text(), "deletes and drops") != NULL);
    instar_projection_free(p);
}

/* A full store still reads, refuses to make anything, and drops what is there; then there is room
 * again without opening it anew. */
Test(change_room, drop_makes_room)
{
    uint64_t id;
    instar_change_info info;

    make_small_store();
    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    dbs_make_table(db, "other");
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(dbs_insert(db, "other", 1, 10));
    fill_up(db, 1);
    fails(dbs_insert(db, "other", 2, 20), INSTAR_EMAPFULL);
    cr_assert_str_eq(dbs_dump(db, "other", NULL), "1:10 ");
    instar_key_column part = {.name = "b"};
    instar_index_def def = {
        .name = "other_b", .table = "other", .columns = &part, .column_count = 1};
    fails(instar_create_index(db, &def, NULL, &id), INSTAR_EMAPFULL);
    ok(dbs_drop_index(db, "t_b"));
    ok(instar_drop_table(db, "t", NULL, &id));
    ok(instar_change_wait(db, id, WAIT_MS, &info));
    int rc;
    do { /* the purge goes on after the verdict */
        rc = dbs_insert(db, "other", 2, 20);
    } while (rc == INSTAR_EMAPFULL);
    ok(rc);
    cr_assert_str_eq(dbs_dump(db, "other", NULL), "1:10 2:20 ");
    dbs_end(db);
}

/* A build that is held on its way, in a store that has become full meanwhile. */
static void hold_build(struct scene_held *h, const char *point)
{
    make_small_store();
    scene_hold(h, point, 1);
    dbs_make_table(h->db, "t");
    scene_fill(h->db, "t", 1, 100, scene_plus_10);
    instar_change_options o = scene_options(30000);
    h->change = dbs_submit_index(h->db, "t_b", "t", "b", false, &o);
    test_hold_await(&h->hold);
    fill_up(h->db, 1000);
}

static void end_held(struct scene_held *h)
{
    fails(dbs_drop_index(h->db, "t_b"), INSTAR_EUNKNOWN);
    scene_held_end(h);
}

/* A build without room fails and is undone, with the reason kept. */
Test(change_room, build_without_room_turns_back)
{
    struct scene_held h;
    instar_change_info info;

    /* Not while it reads: the pages that its snapshot keeps would be room when it is let go. */
    hold_build(&h, "change.cut");
    test_hold_release(&h.hold);
    fails(instar_change_wait(h.db, h.change, WAIT_MS, &info), INSTAR_EFAILED);
    fails(info.error, INSTAR_EMAPFULL);
    expect(strstr(info.reason, "map_bytes") != NULL);
    end_held(&h);
}

/* And a change can be cancelled in a store that is full. */
Test(change_room, cancel_without_room)
{
    struct scene_held h;

    hold_build(&h, "change.cut");
    ok(instar_change_cancel(h.db, h.change));
    test_hold_release(&h.hold);
    fails(instar_change_wait(h.db, h.change, WAIT_MS, NULL), INSTAR_ECANCELLED);
    end_held(&h);
}

/* ---- a full disk -------------------------------------------------------------------------- */

#define READY 1
#define ROOM 2

/* The process that would run it finds no room for a commit. */
static void run_without_room(struct test_child *self, void *arg)
{
    (void)arg;
    test_await(self, READY);
    test_fault_set(&(struct test_fault){
        .op = OS_OP_WRITE, .path = "/log/", .nth = 1, .error = ENOSPC, .sticky = true});
    instar *db = dbs_open(0);
    test_send(self, READY);
    test_await(self, ROOM);
    test_fault_set(NULL);
    test_until_told(self);
    ok(instar_close(db));
}

/* A change that cannot be begun on a full disk says what it waits for, and goes on when there is
 * room. */
Test(change_room, no_room_to_begin)
{
    struct test_child runner;
    instar_change_info info;
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * UINT64_C(1000000000);

    make_small_store();
    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    ok(instar_close(db));
    test_fork(&runner, run_without_room, NULL);
    db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    test_send(&runner, READY);
    test_await(&runner, READY);
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b", false, NULL);
    do { /* returns at each thing that happens to the change */
        fails(instar_change_wait(db, change, 5, &info), INSTAR_EBUSY);
        cr_assert(os_now_ns() < give_up, "nothing is said: %s", instar_error_text());
    } while (strstr(info.waiting_for, "No space left") == NULL);
    cr_assert_str_eq(info.stage, "queued");
    expect(info.retries > 0 && strstr(info.last_error, "No space left") != NULL);
    expect(says("No space left"));
    test_send(&runner, ROOM);
    ok(instar_change_wait(db, change, WAIT_MS, &info));
    cr_assert_str_eq(info.waiting_for, "");
    dbs_check_clean(db);
    ok(instar_close(db));
    test_send(&runner, 0);
    test_wait_ok(&runner);
}
