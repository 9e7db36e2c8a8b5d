/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of several tables at each of their stages: nothing of them can be seen before the one
 * version step that shows all, writers of two versions of every table work beside them, they are
 * cancelled. Each ends with the checker.
 */
#include "support/severals.h"

#include <stdio.h>
#include <string.h>

struct scene {
    const struct several_case *c;
    struct scene_held held;
    char before[16384]; /* the schema */
};

/* The change is held at the point. */
static void scene_begin(struct scene *s, const struct several_case *c, const char *point)
{
    s->c = c;
    test_remove(dbs_path());
    instar *db = dbs_open(0);
    severals_make_tables(db);
    (void)snprintf(s->before, sizeof(s->before), "%s", severals_schema(db));
    ok(instar_close(db));
    scene_hold(&s->held, point, 1);
    s->held.change = severals_submit(s->held.db, c->sql);
    test_hold_await(&s->held.hold);
}

static void scene_end(struct scene *s)
{
    dbs_check_sound(s->held.db);
    scene_held_close(&s->held);
}

/* "enforcing" of a NOT NULL is no part of the statements, so the schema is as before to the letter;
 * at and behind the flip it is as it will be, but for indexes that are on their way out. */
Test(several_stages, seen_at_once_or_not_at_all)
{
    for (size_t k = 0; k < severals_count; k++) {
        const struct several_case *c = &severals_cases[k];
        for (size_t i = 1; i < BASE_ARRAY_LEN(c->before) && c->before[i] != NULL; i++) {
            struct scene s;

            scene_begin(&s, c, c->before[i]);
            expect_u64(severals_tables(s.held.db), 3);
            fails(sqls_run(s.held.db, "ALTER TABLE n ADD COLUMN y int8"), INSTAR_EUNKNOWN);
            fails(sqls_run(s.held.db, "DROP TABLE n"), INSTAR_ESTATE);
            ok(moves_run(s.held.db, "insert p 4,40 ; insert c 4,4,9 ; update c 1 1,3,9"));
            ok(moves_run(s.held.db, "insert d 2,2 ; delete d 1"));
            test_hold_release(&s.held.hold);
            scene_await(s.held.db, s.held.change, INSTAR_OK, NULL);
            expect(strcmp(severals_schema(s.held.db), s.before) != 0);
            scene_end(&s);
        }
        for (size_t i = 0; i < BASE_ARRAY_LEN(c->after) && c->after[i] != NULL; i++) {
            struct scene s;
            bool drops = strstr(c->sql, "DROP TABLE d") != NULL;

            scene_begin(&s, c, c->after[i]);
            expect(strstr(severals_schema(s.held.db), "CREATE TABLE n ") != NULL);
            expect((strstr(severals_schema(s.held.db), "CREATE TABLE d ") == NULL) == drops);
            ok(moves_run(s.held.db, strstr(severals_schema(s.held.db), "CREATE TABLE q ") != NULL
                                        ? "insert q 4,40 ; insert c 4,4,9"
                                    : strstr(severals_schema(s.held.db), "x int8 DEFAULT") != NULL
                                        ? "insert p 4,40 ; insert m 4 ; insert c 4,4,9,1,4"
                                        : "insert p 4,40 ; insert c 4,4,9"));
            test_hold_release(&s.held.hold);
            scene_await(s.held.db, s.held.change, INSTAR_OK, NULL);
            scene_end(&s);
        }
    }
}

/* Until the version step that shows all, a cancel leaves every table as it was, and no name taken.
 */
Test(several_stages, cancelled_at_each)
{
    for (size_t k = 0; k < severals_count; k++) {
        const struct several_case *c = &severals_cases[k];
        for (size_t i = 1; i < BASE_ARRAY_LEN(c->before) && c->before[i] != NULL; i++) {
            struct scene s;

            scene_begin(&s, c, c->before[i]);
            ok(instar_change_cancel(s.held.db, s.held.change));
            test_hold_release(&s.held.hold);
            scene_await(s.held.db, s.held.change, INSTAR_ECANCELLED, NULL);
            cr_assert_str_eq(severals_schema(s.held.db), s.before, "%s", c->before[i]);
            cr_assert_str_eq(severals_rows(s.held.db), "1;2;3 | 1,1;2,2");
            ok(sqls_run(s.held.db, "CREATE TABLE n (id int8 PRIMARY KEY); CREATE TABLE q (id int8);"
                                   "CREATE INDEX c_x ON c (p, w); DROP TABLE d; DROP INDEX c_w"));
            ok(moves_run(s.held.db, "delete c 1 ; delete p 1"));
            scene_end(&s);
        }
        struct scene s;

        scene_begin(&s, c, c->after[0]);
        int rc = instar_change_cancel(s.held.db, s.held.change);
        expect(rc == INSTAR_ESTATE);
        test_hold_release(&s.held.hold);
        scene_await(s.held.db, s.held.change, INSTAR_OK, NULL);
        scene_end(&s);
    }
}

/* A transaction on the versions before goes on beside the next ones, in all tables; the step behind
 * that waits for it. */
Test(several_stages, writers_of_two_versions)
{
    const struct several_case *c = &severals_cases[3];

    for (size_t i = 1; i < BASE_ARRAY_LEN(c->before) && c->before[i] != NULL; i++) {
        struct scene s;
        instar_txn *txn;
        instar_change_info info;

        scene_begin(&s, c, c->before[i]);
        ok(instar_begin(s.held.db, 0, &txn));
        ok(moves_do(s.held.db, txn,
                    "insert p 5,50 ; insert c 5,5,9 ; update c 2 2,1,8 ; insert d 5,1"));
        test_hold_release(&s.held.hold);
        do {
            info = scene_look(s.held.db, s.held.change);
            /* Returns at each thing that happens to the change. */
            instar_change_wait(s.held.db, s.held.change, 5, NULL);
        } while (info.waiting_for[0] == '\0' && info.finished_us == 0);
        expect(info.finished_us == 0);
        ok(instar_commit(txn));
        scene_await(s.held.db, s.held.change, INSTAR_OK, NULL);
        cr_assert_str_eq(severals_rows(s.held.db), "1;2;3;5 | 1,1;2,1;5,5");
        cr_assert_str_eq(sqls_scan(s.held.db, "c", "x,w,id", "c_x", NULL), "5,7,1;5,8,2;5,9,5");
        scene_end(&s);
    }
}

/* Who deletes a key on the version before the new table has its name, which refers to it, cannot
 * leave a row behind that refers to nothing. */
Test(several_stages, writer_of_a_parent_on_the_version_before)
{
    struct scene s;
    instar_txn *txn;

    scene_begin(&s, &severals_cases[1], "change.hidden");
    ok(instar_begin(s.held.db, INSTAR_TXN_SNAPSHOT, &txn));
    ok(moves_do(s.held.db, txn, "delete p 3"));
    test_hold_release(&s.held.hold);
    scene_await(s.held.db, s.held.change, INSTAR_OK, NULL);
    ok(moves_run(s.held.db, "insert n 1,3,null"));
    fails(instar_commit(txn), INSTAR_ECONFLICT);
    scene_end(&s);
}

/* A writer of a parent who does not know the new table is waited for before that has its name,
 * though the parent gets no other version in that step. */
Test(several_stages, writer_of_a_parent_from_before_is_waited_for)
{
    static const struct several_case made = {
        .sql = "CREATE TABLE n (id int8 PRIMARY KEY, p int8 REFERENCES p, m int8);"
               "CREATE TABLE m (id int8 PRIMARY KEY)"};
    struct scene s;
    instar_txn *txn;
    instar_change_info info;

    scene_begin(&s, &made, "change.claimed");
    ok(instar_begin(s.held.db, INSTAR_TXN_SNAPSHOT, &txn));
    ok(moves_do(s.held.db, txn, "delete p 3"));
    test_hold_release(&s.held.hold);
    scene_await_waiting(s.held.db, s.held.change, "hidden", &info);
    fails(sqls_run(s.held.db, "ALTER TABLE n ADD COLUMN y int8"), INSTAR_EUNKNOWN);
    ok(instar_commit(txn));
    scene_await(s.held.db, s.held.change, INSTAR_OK, NULL);
    fails(moves_run(s.held.db, "insert n 1,3,null"), INSTAR_EREFERENCE);
    scene_end(&s);
}

/* Another change of one of the tables waits for its turn; one that needs a name is refused. */
Test(several_stages, other_changes_wait)
{
    struct scene s;
    uint64_t other;

    scene_begin(&s, &severals_cases[3], "change.cut");
    other = severals_submit(s.held.db, "ALTER TABLE p ADD COLUMN y int8; CREATE TABLE o (id int8)");
    fails(sqls_run(s.held.db, "DROP TABLE d"), INSTAR_ESTATE);
    expect(sqls_say("\"d\" is being changed by change"));
    fails(sqls_run(s.held.db, "CREATE TABLE m (id int8)"), INSTAR_ESTATE);
    fails(sqls_run(s.held.db, "CREATE INDEX c_x ON c (w)"), INSTAR_ESTATE);
    cr_assert_str_eq(scene_look(s.held.db, other).stage, "queued");
    test_hold_release(&s.held.hold);
    scene_await(s.held.db, s.held.change, INSTAR_OK, NULL);
    scene_await(s.held.db, other, INSTAR_OK, NULL);
    scene_end(&s);
}
