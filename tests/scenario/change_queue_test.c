/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that were asked for while others wait for their turn: names that come free or are taken
 * meanwhile, drops of what is only on its way. Nobody runs changes until all are submitted.
 */
#include "api/api_impl.h"
#include "change/record.h"
#include "support/queues.h"

#include <stdio.h>
#include <string.h>

/* ---- a name that comes free, or does not ---------------------------------------------------- */

static int never(void *arg, const instar_change_failure *failure)
{
    (void)arg;
    (void)failure;
    return 7;
}

/* A create that waits for one that was cancelled makes it anew. */
Test(change_queue, create_behind_a_cancelled_one)
{
    instar *db = queues_begin();
    uint64_t first = queues_submit(db, "CREATE INDEX i ON t (b)");

    fails(instar_change_get_failure(db, first, never, NULL), INSTAR_ESTATE);
    ok(instar_change_cancel(db, first));
    fails(scene_steer(db, first, INSTAR_CHANGE_PAUSE, 0), INSTAR_ESTATE);
    expect(says("is being undone"));
    fails(scene_steer(db, first, INSTAR_CHANGE_HOLD, 0), INSTAR_ESTATE);
    expect(says("is being undone"));
    queues_refused(db, "CREATE INDEX i ON t (b)", INSTAR_ESTATE, "\"i\" is being");
    uint64_t second = queues_submit(db, "CREATE INDEX IF NOT EXISTS i ON t (c)");
    expect(second != first);
    db = queues_reopen(db);
    scene_await(db, first, INSTAR_ECANCELLED, NULL);
    fails(instar_change_get_failure(db, first, never, NULL), INSTAR_ESTATE);
    queues_done(db, second);
    expect(queues_shows(db, "t", "CREATE INDEX i ON t (c)"));
    dbs_end_sound(db);
}

/* The drop for which it waits is cancelled: then it is there, and that was asked for. */
Test(change_queue, create_behind_a_drop_that_is_cancelled)
{
    instar *db = queues_begin();
    uint64_t drop = queues_submit(db, "DROP INDEX t_b");
    uint64_t same = queues_submit(db, "CREATE INDEX IF NOT EXISTS t_b ON t (b)");
    uint64_t other = queues_submit(db, "CREATE INDEX IF NOT EXISTS t_b ON t (c)");

    ok(instar_change_cancel(db, drop));
    db = queues_reopen(db);
    scene_await(db, drop, INSTAR_ECANCELLED, NULL);
    queues_done(db, same);
    queues_failed(db, other, INSTAR_EDEFINITION, "column 1 is b, not c");
    expect(queues_shows(db, "t", "CREATE INDEX t_b ON t (b)"));
    dbs_end_sound(db);
}

/* One that waits for a name has not got it. Another one that comes later may; it has its turn
 * behind the first, which cannot wait for it. */
Test(change_queue, name_taken_by_a_later_one)
{
    instar *db = queues_begin();
    instar_change_info info;
    uint64_t first = queues_submit(db, "CREATE INDEX i ON t (b)");

    ok(instar_change_cancel(db, first));
    uint64_t second = queues_submit(db, "CREATE INDEX IF NOT EXISTS i ON t (b) WITH (pause = on)");
    db = queues_reopen(db);
    scene_await(db, first, INSTAR_ECANCELLED, NULL);
    do {
        (void)instar_change_wait(db, second, 5, &info);
    } while (strstr(info.waiting_for, "pause") == NULL);
    uint64_t third = queues_submit(db, "CREATE INDEX i ON t (b)");
    ok(scene_steer(db, second, 0, INSTAR_CHANGE_PAUSE));
    queues_failed(db, second, INSTAR_ESTATE, "which came later");
    queues_done(db, third);
    dbs_end_sound(db);
}

/* The same of a table, which has no turn: who has the name, to make or to drop it, is waited for.
 */
Test(change_queue, table_whose_name_is_taken)
{
    instar *db = queues_begin();
    uint64_t drop = queues_submit(db, "DROP TABLE p");
    uint64_t first = queues_submit(db, "CREATE TABLE IF NOT EXISTS p (x int8) WITH (pause = on)");

    db = queues_reopen(db);
    queues_done(db, drop);
    queues_await_words(db, first, "pause");
    uint64_t later = queues_submit(db, "CREATE TABLE p (x int8) WITH (pause = on)");
    ok(scene_steer(db, first, 0, INSTAR_CHANGE_PAUSE));
    queues_await_words(db, first, "is at work on \"p\"");
    ok(scene_steer(db, later, 0, INSTAR_CHANGE_PAUSE));
    queues_done(db, later);
    queues_done(db, first);
    expect(queues_shows(db, "p", "x int8"));
    db = queues_stop(db);
    drop = queues_submit(db, "DROP TABLE q");
    first = queues_submit(db, "CREATE TABLE IF NOT EXISTS q (x int8) WITH (pause = on)");
    db = queues_reopen(db);
    queues_done(db, drop);
    queues_await_words(db, first, "pause");
    ok(sqls_run(db, "CREATE TABLE q (y int8)"));
    drop = queues_submit(db, "DROP TABLE q WITH (pause = on)");
    ok(scene_steer(db, first, 0, INSTAR_CHANGE_PAUSE));
    queues_await_words(db, first, "is at work on \"q\"");
    ok(scene_steer(db, drop, 0, INSTAR_CHANGE_PAUSE));
    queues_done(db, drop);
    queues_done(db, first);
    expect(queues_shows(db, "q", "x int8"));
    dbs_end_sound(db);
}

/* A record whose checksum is right, but which waits for another name than that of what it makes. */
Test(change_queue, name_of_something_else)
{
    struct change_record r;
    struct store_txn *t;
    instar *db = queues_begin();
    uint64_t drop = queues_submit(db, "DROP TABLE p");
    uint64_t create = queues_submit(db, "CREATE TABLE IF NOT EXISTS p (x int8)");

    must(store_txn_begin(db->env.store, STORE_TXN_SYNC, &t, &test_err));
    must(record_get(t, create, STORE_READ_NORMAL, &r, &test_err));
    r.object[0] = 'q';
    must(record_put(t, &r, &test_err));
    must(store_txn_commit(t, NULL, NULL, &test_err));
    record_free(&r);
    db = queues_reopen(db);
    scene_await(db, drop, INSTAR_OK, NULL);
    queues_failed(db, create, INSTAR_ECORRUPT, "is not called \"q\"");
    ok(sqls_run(db, "CREATE TABLE p (x int8)"));
    dbs_end_sound(db);
}

/* It is cancelled before it has a name, or had to do anything. */
Test(change_queue, cancelled_before_its_turn)
{
    instar *db = queues_begin();
    uint64_t drop = queues_submit(db, "DROP INDEX t_b");
    uint64_t behind = queues_submit(db, "CREATE INDEX IF NOT EXISTS t_b ON t (c)");
    uint64_t table = queues_submit(db, "DROP TABLE p");
    uint64_t again =
        queues_submit(db, "CREATE TABLE IF NOT EXISTS p (a int4 PRIMARY KEY, b int8 UNIQUE)");

    ok(instar_change_cancel(db, behind));
    ok(instar_change_cancel(db, again));
    db = queues_reopen(db);
    queues_done(db, drop);
    queues_done(db, table);
    scene_await(db, behind, INSTAR_ECANCELLED, NULL);
    scene_await(db, again, INSTAR_ECANCELLED, NULL);
    ok(sqls_run(db, "CREATE INDEX t_b ON t (d); CREATE TABLE p (x int8 PRIMARY KEY)"));
    dbs_end_sound(db);
}

/* The names of the indexes that it brings are looked for when its turn has come. */
Test(change_queue, table_behind_one_that_is_dropped)
{
    instar *db = queues_begin();
    uint64_t drop = queues_submit(db, "DROP TABLE p");
    uint64_t table =
        queues_submit(db, "CREATE TABLE IF NOT EXISTS p (a int4 PRIMARY KEY, b int8, UNIQUE (b))");

    db = queues_reopen(db);
    queues_done(db, drop);
    queues_done(db, table);
    expect(queues_shows(db, "p", "UNIQUE (b)"));
    db = queues_stop(db);
    drop = queues_submit(db, "DROP TABLE q");
    table = queues_submit(db, "CREATE TABLE IF NOT EXISTS q (a int4, CONSTRAINT x UNIQUE (a))");
    uint64_t taken = queues_submit(db, "CREATE INDEX x ON t (d)");
    db = queues_reopen(db);
    queues_done(db, drop);
    queues_done(db, taken);
    instar_change_info info;
    int rc = instar_change_wait(db, table, TEST_AWAIT_S * 1000, &info);
    if (rc == INSTAR_EFAILED) { /* or the index was made later, and then its name was taken */
        expect(info.error == INSTAR_EEXISTS && strstr(info.reason, "\"x\"") != NULL);
    } else {
        fails(rc, INSTAR_OK);
    }
    db = queues_stop(db);
    drop = queues_submit(db, "DROP TABLE p");
    table = queues_submit(db, "CREATE TABLE IF NOT EXISTS p (a int4, CONSTRAINT y UNIQUE (a))");
    taken = queues_submit(db, "CREATE TABLE y (a int8)");
    db = queues_reopen(db);
    queues_done(db, drop);
    queues_done(db, taken);
    queues_failed(db, table, INSTAR_EEXISTS, "there is a table named \"y\" already");
    dbs_end_sound(db);
}

/* Whoever asks for a table that is being made gets that change; with another definition it is
 * told. */
Test(change_queue, table_that_is_being_made)
{
    instar *db = queues_begin();
    uint64_t first = queues_submit(db, "CREATE TABLE n (a int8 PRIMARY KEY, b int8)");

    queues_refused(db, "CREATE TABLE IF NOT EXISTS n (a int8 PRIMARY KEY)", INSTAR_EDEFINITION,
                   "is creating \"n\" with another definition");
    cr_expect_eq(queues_submit(db, "CREATE TABLE IF NOT EXISTS n (a int8 PRIMARY KEY, b int8)"),
                 first);
    db = queues_reopen(db);
    queues_done(db, first);
    dbs_end_sound(db);
}

/* ---- drops of what is on its way ------------------------------------------------------------ */

Test(change_queue, drop_of_what_is_on_its_way)
{
    instar *db = queues_begin();
    uint64_t table =
        queues_submit(db, "CREATE TABLE n (a int8 PRIMARY KEY, p int8 REFERENCES p, q int8 "
                          "REFERENCES q)");
    uint64_t drop = queues_submit(db, "DROP TABLE n");
    uint64_t index = queues_submit(db, "CREATE INDEX i ON t (d)");
    uint64_t drop_index = queues_submit(db, "DROP INDEX i");

    db = queues_reopen(db);
    scene_await(db, table, INSTAR_ECANCELLED, NULL);
    queues_done(db, drop);
    scene_await(db, index, INSTAR_ECANCELLED, NULL);
    queues_done(db, drop_index);
    ok(sqls_run(db, "DROP TABLE p; DROP TABLE q"));
    dbs_end_sound(db);
}

/* Whoever wants it gone if it is there waits with the others. */
Test(change_queue, drop_of_what_is_being_dropped)
{
    instar *db = queues_begin();
    uint64_t drop = queues_submit(db, "DROP INDEX t_b");

    expect_u64(queues_submit(db, "DROP INDEX IF EXISTS t_b"), drop);
    queues_refused(db, "DROP INDEX t_b", INSTAR_ESTATE, "\"t_b\" is being dropped by change");
    queues_refused(db, "DROP TABLE t_b", INSTAR_EUNKNOWN, "an index, not a table");
    queues_refused(db, "DROP INDEX t", INSTAR_EUNKNOWN, "a table, not an index");
    uint64_t table = queues_submit(db, "DROP TABLE q");
    expect_u64(queues_submit(db, "DROP TABLE IF EXISTS q"), table);
    ok(instar_change_cancel(db, drop));
    queues_refused(db, "DROP INDEX IF EXISTS t_b", INSTAR_ESTATE, "\"t_b\" is being");
    /* A table may go whatever is done to it; drops of its parts go on. */
    uint64_t more = queues_submit(db, "ALTER TABLE t ADD e int8");
    ok(instar_change_cancel(db, more));
    uint64_t all = queues_submit(db, "DROP TABLE t");
    db = queues_reopen(db);
    scene_await(db, more, INSTAR_ECANCELLED, NULL);
    queues_done(db, all);
    queues_done(db, table);
    dbs_end_sound(db);
}

Test(change_queue, table_dropped_behind_a_drop_of_its_index)
{
    instar *db = queues_begin();
    uint64_t drop = queues_submit(db, "DROP INDEX t_b");
    uint64_t all = queues_submit(db, "DROP TABLE t");

    db = queues_reopen(db);
    queues_done(db, drop);
    queues_done(db, all);
    dbs_end_sound(db);
}

/* ---- names that move ------------------------------------------------------------------------ */

/* Two names are swapped in one change; and where that fails, each is with its own. */
Test(change_queue, swapped_names)
{
    instar *db = queues_begin();

    db = queues_reopen(db);
    ok(sqls_run(db, "CREATE INDEX t_d ON t (d)"));
    fails(sqls_run(db, "BEGIN; ALTER INDEX t_b RENAME TO x; ALTER INDEX t_d RENAME TO t_b; ALTER "
                       "INDEX x RENAME TO t_d; ALTER TABLE t ADD CHECK (a > 1); COMMIT"),
          INSTAR_EFAILED);
    expect(queues_shows(db, "t", "INDEX t_b ON t (b)") &&
           queues_shows(db, "t", "INDEX t_d ON t (d)"));
    ok(sqls_run(db, "BEGIN; ALTER INDEX t_b RENAME TO x; ALTER INDEX t_d RENAME TO t_b; ALTER "
                    "INDEX x RENAME TO t_d; COMMIT"));
    expect(queues_shows(db, "t", "INDEX t_b ON t (d)") &&
           queues_shows(db, "t", "INDEX t_d ON t (b)"));
    /* Beside a name that stays as an alias for a version. */
    ok(sqls_run(db, "BEGIN; ALTER INDEX t_b RENAME TO x; ALTER INDEX t_d RENAME TO t_b; ALTER "
                    "INDEX x RENAME TO t_d; ALTER TABLE t RENAME TO s; COMMIT"));
    expect(queues_shows(db, "s", "INDEX t_b ON s (b)") &&
           queues_shows(db, "s", "INDEX t_d ON s (d)"));
    ok(sqls_run(db, "ALTER TABLE s RENAME TO t"));
    db = queues_stop(db);
    uint64_t rename = queues_submit(db, "ALTER TABLE t RENAME CONSTRAINT t_u TO t_v");
    queues_refused(db, "ALTER TABLE t RENAME CONSTRAINT t_u TO t_w", INSTAR_ESTATE, "t_u");
    queues_refused(db, "ALTER TABLE t RENAME CONSTRAINT t_u TO t_b", INSTAR_EEXISTS, "t_b");
    queues_refused(db, "BEGIN; ALTER TABLE t RENAME TO w; DROP INDEX t_b; DROP INDEX t_b; COMMIT",
                   INSTAR_EUNKNOWN, "has gone by a statement before");
    db = queues_reopen(db);
    queues_done(db, rename);
    dbs_end_sound(db);
}
