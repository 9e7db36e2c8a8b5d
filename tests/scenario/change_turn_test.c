/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change finds when its turn comes, behind others that it waited for: steps that somebody
 * else has taken or undone, tables that came or went.
 */
#include "api/api_impl.h"
#include "change/record.h"
#include "support/queues.h"

#include <stdio.h>
#include <string.h>

/* What IF [NOT] EXISTS leaves to do when its turn comes, may be nothing. */
Test(change_turn, nothing_is_left_to_do)
{
    static const char *const changes[] = {
        "ALTER TABLE t ADD f int8, ALTER b SET NOT NULL, DROP d",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS f int8, DROP COLUMN IF EXISTS d",
        "ALTER TABLE t ALTER b SET NOT NULL",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS f int8, ALTER b SET NOT NULL",
        "BEGIN; ALTER TABLE t ALTER b SET NOT NULL; CREATE INDEX i ON t (b, f); COMMIT",
        "BEGIN; ALTER TABLE t ADD COLUMN IF NOT EXISTS f int8; ALTER TABLE p ADD g int8; COMMIT",
        "BEGIN; ALTER TABLE t ALTER b SET NOT NULL; ALTER TABLE p ALTER g SET DEFAULT 1; COMMIT",
        "BEGIN; DROP INDEX t_b; ALTER TABLE t ALTER b SET NOT NULL; COMMIT"};
    uint64_t ids[BASE_ARRAY_LEN(changes)];
    instar *db = queues_begin();

    for (size_t i = 0; i < BASE_ARRAY_LEN(changes); i++) {
        int rc = sqls_submit(db, changes[i], &ids[i]);
        /* What needs a column that is only on its way is refused. */
        cr_expect(rc == INSTAR_OK || rc == INSTAR_EUNKNOWN, "%s: %s", changes[i], sqls_words());
    }
    db = queues_reopen(db);
    for (size_t i = 0; i < BASE_ARRAY_LEN(changes); i++) {
        if (ids[i] != 0) {
            queues_done(db, ids[i]);
        }
    }
    expect(queues_shows(db, "t", "b int8 NOT NULL") && queues_shows(db, "t", "f int8") &&
           !queues_shows(db, "t", "d int8"));
    dbs_end_sound(db);
}

/* t refers to p. */
static instar *begin_referring(void)
{
    instar *db = queues_begin();

    db = queues_reopen(db);
    ok(sqls_run(db, "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p"));
    return queues_stop(db);
}

/* More changes than one round of the runner knows, or runs: of one table one after the other, of
 * others beside each other. */
Test(change_turn, more_than_run_at_once)
{
    uint64_t ids[40];
    char text[64];
    instar *db = queues_begin();

    for (int i = 0; i < 40; i++) {
        (void)snprintf(
            text, sizeof(text),
            i % 2 == 0 ? "ALTER TABLE t ALTER b SET DEFAULT %d" : "CREATE TABLE n%d (a int8)", i);
        ids[i] = queues_submit(db, text);
    }
    db = queues_reopen(db);
    for (int i = 0; i < 40; i++) {
        queues_done(db, ids[i]);
    }
    expect(queues_shows(db, "t", "b int8 DEFAULT 38") && queues_shows(db, "n39", "a int8"));
    dbs_end_sound(db);
}

/* What is to be validated has been, by then. */
Test(change_turn, validated_by_another_one)
{
    instar *db = queues_begin();

    db = queues_reopen(db);
    ok(sqls_run(db, "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID"));
    db = queues_stop(db);
    uint64_t first = queues_submit(db, "ALTER TABLE t VALIDATE CONSTRAINT k");
    uint64_t second = queues_submit(db, "ALTER TABLE t VALIDATE CONSTRAINT k");
    expect(first != second);
    db = queues_reopen(db);
    queues_done(db, first);
    queues_done(db, second);
    expect(queues_shows(db, "t", "CONSTRAINT k CHECK (a > 0)") &&
           !queues_shows(db, "t", "NOT VALID"));
    dbs_end_sound(db);
}

/* What has nothing to do as the table stands has something to do behind the change before it. */
Test(change_turn, nothing_to_do_before_its_turn)
{
    static const struct {
        const char *first, *second, *there, *gone;
    } cases[] = {
        {"ALTER TABLE t DROP d", "ALTER TABLE t ADD COLUMN IF NOT EXISTS d int8", "d int8", NULL},
        {"ALTER TABLE t ADD e int8", "ALTER TABLE t DROP COLUMN IF EXISTS e", "d int8", "e int8"},
        {"ALTER TABLE t ALTER b SET NOT NULL", "ALTER TABLE t ALTER b DROP NOT NULL", "b int8,",
         NULL},
        {"ALTER TABLE t ALTER b SET DEFAULT 7", "ALTER TABLE t ALTER b DROP DEFAULT", "b int8,",
         NULL},
        {"COMMENT ON COLUMN t.b IS 'x'", "COMMENT ON COLUMN t.b IS NULL", "b int8,", "COMMENT"},
        {"COMMENT ON INDEX t_b IS 'x'", "COMMENT ON INDEX t_b IS NULL", "b int8,", "COMMENT"},
        {"ALTER TABLE t DROP d",
         "BEGIN; ALTER TABLE t ADD COLUMN IF NOT EXISTS d int8; CREATE INDEX t_a ON t (a); COMMIT",
         "d int8", NULL},
        {"ALTER TABLE t DROP d",
         "BEGIN; ALTER TABLE t ADD COLUMN IF NOT EXISTS d int8; ALTER TABLE p ADD z int8; COMMIT",
         "d int8", NULL},
        {"ALTER TABLE t ALTER b SET NOT NULL; ", "ALTER TABLE t ALTER b DROP NOT NULL, ADD f int8",
         "f int8", "b int8 NOT NULL"},
        {"ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)", "ALTER TABLE t ALTER b DROP DEFAULT",
         "CHECK (a > 0)", "DEFAULT"},
        {"ALTER TABLE t ALTER b SET DEFAULT 9", "ALTER TABLE t VALIDATE CONSTRAINT k",
         "CHECK (a > 0)", "NOT VALID"},
        {"ALTER TABLE t DROP CONSTRAINT k; ", "ALTER TABLE t DROP CONSTRAINT IF EXISTS k", "f int8",
         "CHECK"},
        {"ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)",
         "BEGIN; ALTER TABLE t DROP CONSTRAINT IF EXISTS k; DROP INDEX t_a; COMMIT", "f int8",
         "CHECK"},
    };
    instar *db = queues_begin();

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        uint64_t first = queues_submit(db, cases[i].first);
        uint64_t second = queues_submit(db, cases[i].second);
        cr_expect(second != 0, "%s", cases[i].second);
        db = queues_reopen(db);
        scene_await(db, first, INSTAR_OK, NULL);
        scene_await(db, second, INSTAR_OK, NULL);
        cr_expect(queues_shows(db, "t", cases[i].there), "%zu: %s", i, sqls_schema(db, "t"));
        cr_expect(cases[i].gone == NULL || !queues_shows(db, "t", cases[i].gone), "%zu: %s", i,
                  sqls_schema(db, "t"));
        ok(instar_close(db));
        db = dbs_open(INSTAR_OPEN_NO_RUNNER);
        expect_u64(queues_submit(db, "ALTER TABLE t ADD COLUMN IF NOT EXISTS c int8"), 0);
    }
    dbs_end_sound(db);
}

/* Rows must obey what they had to obey already when it was submitted, but not any more. */
Test(change_turn, validated_behind_what_gave_it_up)
{
    static const char *const seconds[] = {
        "ALTER TABLE t ALTER b SET NOT NULL", "ALTER TABLE t ALTER b SET NOT NULL, ADD x int8",
        "BEGIN; ALTER TABLE t ALTER b SET NOT NULL; CREATE INDEX t_i ON t (a); COMMIT",
        "BEGIN; ALTER TABLE t ALTER b SET NOT NULL; ALTER TABLE p ADD x int8; COMMIT"};
    instar *db = queues_begin();

    for (size_t i = 0; i < BASE_ARRAY_LEN(seconds); i++) {
        db = queues_reopen(db);
        ok(sqls_run(db, "ALTER TABLE t ALTER b SET NOT NULL"));
        ok(instar_close(db));
        db = dbs_open(INSTAR_OPEN_NO_RUNNER);
        uint64_t first = queues_submit(db, "ALTER TABLE t ALTER b DROP NOT NULL");
        uint64_t second = queues_submit(db, seconds[i]);
        ok(scene_steer(db, second, INSTAR_CHANGE_PAUSE, 0));
        db = queues_reopen(db);
        scene_await(db, first, INSTAR_OK, NULL);
        ok(moves_run(db, "insert t 3,null,23,1"));
        ok(scene_steer(db, second, 0, INSTAR_CHANGE_PAUSE));
        queues_failed(db, second, INSTAR_ENOT_NULL, "column b is null in 1 row");
        expect(queues_shows(db, "t", "b int8,") && !queues_shows(db, "t", "x int8") &&
               !queues_shows(db, "t", "t_i"));
        ok(moves_run(db, "delete t 3"));
        ok(instar_close(db));
        db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    }
    dbs_end_sound(db);
}

/* An index that another change makes has a name of which only that one disposes. */
Test(change_turn, index_on_its_way_is_not_renamed)
{
    instar *db = queues_begin();
    uint64_t first = queues_submit(db, "CREATE INDEX i ON t (b)");
    uint64_t second = queues_submit(db, "ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)");
    instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_RENAME_INDEX, .flags = INSTAR_ALTER_IF_EXISTS, .new_name = "j"},
        {.kind = INSTAR_ALTER_DROP_DEFAULT, .name = "b"}};
    uint64_t change;

    fails(instar_alter_table(db, "t", steps, 2, NULL, &change), INSTAR_EINVALID); /* of no name */
    steps[0].name = "i";
    fails(instar_alter_table(db, "t", steps, 2, NULL, &change), INSTAR_ESTATE);
    expect(says("\"i\" is being created"));
    steps[0].name = "u";
    steps[0].kind = INSTAR_ALTER_RENAME_CONSTRAINT;
    fails(instar_alter_table(db, "t", steps, 2, NULL, &change), INSTAR_ESTATE);
    expect(says("\"u\" is being"));
    db = queues_reopen(db);
    scene_await(db, first, INSTAR_OK, NULL);
    scene_await(db, second, INSTAR_OK, NULL);
    ok(instar_alter_table(db, "t", steps, 2, NULL, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    expect(queues_shows(db, "t", "CONSTRAINT j UNIQUE (a)"));
    dbs_end_sound(db);
}

/* What is no index of the table, or not any more by then, is left out. */
Test(change_turn, what_is_no_index_of_the_table_is_not_renamed)
{
    static const char *const names[] = {"p", "q_v", "t_b"};
    instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_RENAME_INDEX, .flags = INSTAR_ALTER_IF_EXISTS, .new_name = "j"},
        {.kind = INSTAR_ALTER_SET_NOT_NULL, .name = "b"}};
    const instar_statement both[] = {
        {.kind = INSTAR_STATEMENT_DROP_INDEX, .name = "t_b"},
        {.kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "t", .steps = steps, .step_count = 2}};
    instar *db = queues_reopen(queues_begin());
    uint64_t change;

    ok(sqls_run(db, "ALTER TABLE q ADD v int8; CREATE INDEX q_v ON q (v)"));
    for (size_t i = 0; i < BASE_ARRAY_LEN(names); i++) {
        steps[0].name = names[i];
        bool last = i + 1 == BASE_ARRAY_LEN(names);
        ok(last ? instar_submit(db, both, 2, NULL, &change)
                : instar_alter_table(db, "t", steps, 2, NULL, &change));
        scene_await(db, change, INSTAR_OK, NULL);
        expect(queues_shows(db, "t", "b int8 NOT NULL"));
        expect(queues_shows(db, "t", "CREATE INDEX t_b") == !last);
        ok(sqls_run(db, "ALTER TABLE t ALTER b DROP NOT NULL"));
    }
    expect(queues_shows(db, "q", "CREATE INDEX q_v"));
    dbs_end_sound(db);
}

/* A table is dropped while a change of it can only end: it does, and then the table goes. */
Test(change_turn, dropped_behind_one_that_cannot_go_back)
{
    struct test_hold hold;
    instar *db = queues_reopen(queues_begin());

    test_hold_set(&hold, "change.altered", 1);
    uint64_t first = queues_submit(db, "ALTER TABLE t DROP COLUMN d");
    test_hold_await(&hold);
    uint64_t drop = queues_submit(db, "DROP TABLE t");
    test_hold_release(&hold);
    queues_done(db, first);
    queues_done(db, drop);
    test_hold_end(&hold);
    dbs_end_sound(db);
}

/* A table is dropped while one change of it is on its way back already, for another reason. */
Test(change_turn, dropped_behind_one_that_is_cancelled)
{
    instar *db = queues_begin();
    uint64_t first = queues_submit(db, "CREATE INDEX i ON t (b)");
    uint64_t second = queues_submit(db, "CREATE INDEX k ON t (c)");

    ok(instar_change_cancel(db, first));
    uint64_t drop = queues_submit(db, "DROP TABLE t");
    db = queues_reopen(db);
    scene_await(db, first, INSTAR_ECANCELLED, NULL);
    scene_await(db, second, INSTAR_ECANCELLED, NULL);
    queues_done(db, drop);
    dbs_end_sound(db);
}

#define LEAD_ELSEWHERE \
    "ALTER TABLE t DROP CONSTRAINT r, ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES q"

/* A foreign key of that name is another one by then: it leads to a table that the change does not
 * have its turn in. */
Test(change_turn, foreign_key_that_is_another_one)
{
    instar *db = begin_referring();
    uint64_t first = queues_submit(db, LEAD_ELSEWHERE);
    uint64_t second = queues_submit(db, "ALTER TABLE t DROP CONSTRAINT r");
    uint64_t third =
        queues_submit(db, "BEGIN; ALTER TABLE t DROP CONSTRAINT r; ALTER TABLE p ADD g int8; "
                          "COMMIT");
    uint64_t fourth = queues_submit(db, "DROP TABLE t");
    db = queues_reopen(db);
    scene_await(db, first, INSTAR_ECANCELLED, NULL);
    queues_done(db, fourth);
    (void)instar_change_wait(db, second, TEST_AWAIT_S * 1000, NULL);
    (void)instar_change_wait(db, third, TEST_AWAIT_S * 1000, NULL);
    dbs_end_sound(db);
}

Test(change_turn, foreign_key_that_leads_elsewhere)
{
    instar *db = begin_referring();
    uint64_t first = queues_submit(db, LEAD_ELSEWHERE);
    uint64_t second = queues_submit(db, "ALTER TABLE t DROP CONSTRAINT r");
    db = queues_reopen(db);
    queues_done(db, first);
    queues_failed(db, second, INSTAR_ESTATE, "came or went since this change was submitted");
    expect(queues_shows(db, "t", "REFERENCES q"));
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT r, ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES "
                    "p, ADD FOREIGN KEY (d) REFERENCES q"));
    dbs_end_sound(db);
}

/* A table that is dropped beside others is referred to by then. */
Test(change_turn, dropped_table_that_is_referred_to)
{
    instar *db = queues_begin();
    uint64_t first =
        queues_submit(db, "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p");
    uint64_t second = queues_submit(db, "BEGIN; DROP TABLE p; ALTER TABLE q ADD g int8; COMMIT");
    uint64_t third = queues_submit(db, "DROP TABLE q WITH (undo_window_s = 3600)");
    char text[64];

    (void)snprintf(text, sizeof(text), "UNDO CHANGE %llu", (unsigned long long)third);
    queues_refused(db, text, INSTAR_ESTATE, "has not ended");
    db = queues_reopen(db);
    queues_done(db, first);
    queues_failed(db, second, INSTAR_ESTATE, "refers to it; drop that first");
    queues_done(db, third);
    expect(queues_shows(db, "t", "REFERENCES p"));
    dbs_end_sound(db);
}

/* And so is one of which the one that refers to it stays in the change: altered in another way, or
 * as what a new table refers to. */
Test(change_turn, dropped_table_that_a_member_refers_to)
{
    instar *db = queues_begin();
    uint64_t first =
        queues_submit(db, "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p, ADD "
                          "CONSTRAINT s FOREIGN KEY (d) REFERENCES q");
    uint64_t second = queues_submit(db, "BEGIN; DROP TABLE p; ALTER TABLE t ADD f int8; COMMIT");
    uint64_t third = queues_submit(db, "BEGIN; DROP TABLE q; CREATE TABLE n (a int8 REFERENCES t); "
                                       "COMMIT");

    db = queues_reopen(db);
    queues_done(db, first);
    queues_failed(db, second, INSTAR_ESTATE, "refers to it; drop that first");
    queues_failed(db, third, INSTAR_ESTATE, "refers to it; drop that first");
    expect(queues_shows(db, "t", "REFERENCES p") && queues_shows(db, "t", "REFERENCES q"));
    dbs_end_sound(db);
}

/* A table that is dropped beside others refers to another one by then, which would go on saying so.
 */
Test(change_turn, dropped_table_that_refers_by_then)
{
    instar *db = queues_begin();
    uint64_t first =
        queues_submit(db, "BEGIN; CREATE TABLE m (a int8 PRIMARY KEY); ALTER TABLE p ADD d "
                          "int8 REFERENCES m; COMMIT");
    uint64_t second = queues_submit(db, "BEGIN; DROP TABLE p; ALTER TABLE t DROP d; COMMIT");

    db = queues_reopen(db);
    queues_done(db, first);
    queues_failed(db, second, INSTAR_ESTATE, "came or went since this change was submitted");
    ok(sqls_run(db, "BEGIN; DROP TABLE p; ALTER TABLE t DROP d; COMMIT; DROP TABLE m"));
    dbs_end_sound(db);
}

/* The table to which a foreign key leads that goes has gone by then, and the foreign key with it:
 * who only wanted that gone has nothing to do there. */
Test(change_turn, parent_that_has_gone_by_then)
{
    static const struct {
        const char *change;
        bool drops;
    } cases[] = {{"DROP TABLE t", true},
                 {"ALTER TABLE t DROP CONSTRAINT IF EXISTS r, ADD e int8", false},
                 {"BEGIN; DROP TABLE t; ALTER TABLE q ADD g int8; COMMIT", true},
                 {"BEGIN; ALTER TABLE t DROP CONSTRAINT IF EXISTS r, ADD e int8; ALTER TABLE q "
                  "ADD g int8; COMMIT",
                  false}};

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        test_remove(dbs_path());
        instar *db = begin_referring();
        uint64_t first =
            queues_submit(db, "BEGIN; DROP TABLE p; ALTER TABLE t DROP CONSTRAINT r; COMMIT");
        uint64_t second = queues_submit(db, cases[i].change);
        db = queues_reopen(db);
        scene_await(db, first, INSTAR_OK, NULL);
        scene_await(db, second, INSTAR_OK, NULL);
        cr_expect(cases[i].drops != queues_shows(db, NULL, "e int8"), "%s", cases[i].change);
        dbs_end_sound(db);
    }
}

/* A unique constraint that is dropped is referred to by then. */
Test(change_turn, dropped_key_that_is_referred_to)
{
    static const char *const changes[] = {
        "BEGIN; ALTER TABLE t DROP CONSTRAINT t_u; ALTER TABLE q ADD g int8; COMMIT",
        "ALTER TABLE t DROP CONSTRAINT t_u"};

    for (size_t i = 0; i < BASE_ARRAY_LEN(changes); i++) {
        test_remove(dbs_path());
        instar *db = queues_begin();
        uint64_t first = queues_submit(db, "CREATE TABLE n (x int8 REFERENCES t (c))");
        uint64_t second = queues_submit(db, changes[i]);
        db = queues_reopen(db);
        queues_done(db, first);
        queues_failed(db, second, INSTAR_ESTATE, "foreign key");
        expect(queues_shows(db, "t", "t_u UNIQUE (c)"));
        dbs_end_sound(db);
    }
}

/* Two foreign keys that come in one change, to two tables. */
Test(change_turn, foreign_keys_to_two_tables)
{
    instar *db = queues_begin();

    db = queues_reopen(db);
    ok(sqls_run(db, "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p, ADD CONSTRAINT s "
                    "FOREIGN KEY (d) REFERENCES q"));
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT r, DROP CONSTRAINT s"));
    ok(sqls_run(db, "BEGIN; ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p, ADD "
                    "CONSTRAINT s FOREIGN KEY (d) REFERENCES q; CREATE TABLE n (a int8, "
                    "CONSTRAINT n_u UNIQUE (a)); ALTER TABLE n ADD CONSTRAINT n_v UNIQUE (a); "
                    "COMMENT ON TABLE n IS 'new'; COMMIT"));
    dbs_end_sound(db);
}
