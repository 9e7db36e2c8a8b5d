/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creates that wait for a name, when it is somebody else's as their turn comes. Who has it is
 * waited for, unless that one has its turn behind the create: then neither would ever go on.
 */
#include "support/queues.h"

#include <string.h>

/* Two indexes of two tables wait for one name. One of them gets it, and goes back: the other one
 * waits for that, whichever was asked for first, and makes its own then. */
Test(change_name, one_of_two_gives_it_back)
{
    static const char *const creates[] = {
        "CREATE INDEX IF NOT EXISTS i ON t (b) WITH (pause = on)",
        "CREATE INDEX IF NOT EXISTS i ON u (b) WITH (pause = on)"};
    static const char *const tables[] = {"t", "u"};
    const char *columns[] = {"a", "b"};
    instar_value row[2] = {{.type = INSTAR_INT8, .i = 500}, {.type = INSTAR_INT8, .i = 1}};

    for (int gets = 0; gets < 2; gets++) {
        instar_projection *p;
        instar_txn *txn;
        instar_change_info info;
        uint64_t changes[2];
        test_remove(dbs_path());
        instar *db = dbs_open(0);
        dbs_make_table(db, "t");
        dbs_make_table(db, "u");
        dbs_make_table(db, "w");
        ok(dbs_index(db, "i", "w", "b", false, NULL));
        db = queues_stop(db);
        uint64_t drop = queues_submit(db, "DROP INDEX i");
        changes[0] = queues_submit(db, creates[0]);
        changes[1] = queues_submit(db, creates[1]);
        db = queues_reopen(db);
        queues_done(db, drop);
        ok(instar_projection_prepare(db, tables[gets], columns, 2, NULL, &p));
        ok(instar_begin(db, 0, &txn));
        ok(instar_insert(txn, p, row));
        ok(scene_steer(db, changes[gets], 0, INSTAR_CHANGE_PAUSE));
        scene_await_waiting(db, changes[gets], "delete-only", &info);
        ok(instar_change_cancel(db, changes[gets]));
        do {
            (void)instar_change_wait(db, changes[gets], 5, &info);
        } while (info.state != INSTAR_CHANGE_REVERTING);
        ok(scene_steer(db, changes[1 - gets], 0, INSTAR_CHANGE_PAUSE));
        queues_await_words(db, changes[1 - gets], "is at work on \"i\"");
        ok(instar_commit(txn));
        scene_await(db, changes[gets], INSTAR_ECANCELLED, NULL);
        queues_done(db, changes[1 - gets]);
        cr_assert_str_eq(dbs_dump(db, tables[1 - gets], "i"), "");
        instar_projection_free(p);
        dbs_end(db);
    }
}

/* A table that waits for its name, and another one that has taken it, refer to one table, so that
 * the one has its turn behind the other. */
Test(change_name, table_behind_it_has_it)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "CREATE TABLE p (a int8); CREATE TABLE q (a int8 PRIMARY KEY)"));
    db = queues_stop(db);
    uint64_t drop = queues_submit(db, "DROP TABLE p");
    uint64_t first =
        queues_submit(db, "CREATE TABLE IF NOT EXISTS p (x int8 REFERENCES q) WITH (pause = on)");
    db = queues_reopen(db);
    queues_done(db, drop);
    queues_await_words(db, first, "pause");
    uint64_t second = queues_submit(db, "CREATE TABLE p (x int8 REFERENCES q)");
    ok(scene_steer(db, first, 0, INSTAR_CHANGE_PAUSE));
    queues_failed(db, first, INSTAR_ESTATE, "which came later");
    queues_done(db, second);
    dbs_end_sound(db);
}
