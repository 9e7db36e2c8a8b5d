/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that were asked for while others wait for their turn: names that come free or are taken
 * meanwhile, steps that somebody else has taken, drops of what is only on its way. Nobody runs
 * changes until all are submitted.
 */
#include "support/moves.h"
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

/* The store again, without a runner. */
static instar *stop(instar *db)
{
    ok(instar_close(db));
    return dbs_open(INSTAR_OPEN_NO_RUNNER);
}

/* And with one. */
static instar *reopen(instar *db)
{
    ok(instar_close(db));
    return dbs_open(0);
}

/* t(a, b, c, d) with rows, an index on b and a unique constraint on c; p and q, to which d of the
 * rows can refer. */
static instar *begin(void)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "CREATE TABLE t (a int8 PRIMARY KEY, b int8, c int8, d int8);"
                    "CREATE INDEX t_b ON t (b); ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (c);"
                    "CREATE TABLE p (a int8 PRIMARY KEY); CREATE TABLE q (a int8 PRIMARY KEY)"));
    ok(moves_run(db, "insert p 1 ; insert q 1 ; insert t 1,11,21,1 ; insert t 2,12,22,1"));
    return stop(db);
}

static uint64_t submit(instar *db, const char *text)
{
    uint64_t change;
    int rc = sqls_submit(db, text, &change);

    cr_assert_eq(rc, INSTAR_OK, "%s: %s: %s", text, instar_error_name(rc), sqls_words());
    return change;
}

static void refused(instar *db, const char *text, int code, const char *wanted)
{
    uint64_t change;
    int rc = sqls_submit(db, text, &change);

    cr_expect(rc == code && sqls_say(wanted), "%s: %s: %s", text, instar_error_name(rc),
              sqls_words());
}

static void done(instar *db, uint64_t change)
{
    scene_await(db, change, INSTAR_OK, NULL);
}

static void failed(instar *db, uint64_t change, int code, const char *words)
{
    instar_change_info info;

    scene_await(db, change, INSTAR_EFAILED, &info);
    cr_expect(info.error == code && strstr(info.reason, words) != NULL, "%s: %s",
              instar_error_name(info.error), info.reason);
}

static int steer(instar *db, uint64_t change, uint32_t set, uint32_t clear)
{
    instar_change_steering steering;

    instar_change_steering_init(&steering);
    steering.set_flags = set;
    steering.clear_flags = clear;
    return instar_change_steer(db, change, &steering);
}

static bool shows(instar *db, const char *table, const char *words)
{
    return strstr(sqls_schema(db, table), words) != NULL;
}

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
    instar *db = begin();
    uint64_t first = submit(db, "CREATE INDEX i ON t (b)");

    fails(instar_change_get_failure(db, first, never, NULL), INSTAR_ESTATE);
    ok(instar_change_cancel(db, first));
    fails(steer(db, first, INSTAR_CHANGE_PAUSE, 0), INSTAR_ESTATE);
    expect(says("is being undone"));
    fails(steer(db, first, INSTAR_CHANGE_HOLD, 0), INSTAR_ESTATE);
    expect(says("is being undone"));
    refused(db, "CREATE INDEX i ON t (b)", INSTAR_ESTATE, "\"i\" is being");
    uint64_t second = submit(db, "CREATE INDEX IF NOT EXISTS i ON t (c)");
    expect(second != first);
    db = reopen(db);
    scene_await(db, first, INSTAR_ECANCELLED, NULL);
    fails(instar_change_get_failure(db, first, never, NULL), INSTAR_ESTATE);
    done(db, second);
    expect(shows(db, "t", "CREATE INDEX i ON t (c)"));
    dbs_end_sound(db);
}

/* The drop for which it waits is cancelled: then it is there, and that was asked for. */
Test(change_queue, create_behind_a_drop_that_is_cancelled)
{
    instar *db = begin();
    uint64_t drop = submit(db, "DROP INDEX t_b");
    uint64_t same = submit(db, "CREATE INDEX IF NOT EXISTS t_b ON t (b)");
    uint64_t other = submit(db, "CREATE INDEX IF NOT EXISTS t_b ON t (c)");

    ok(instar_change_cancel(db, drop));
    db = reopen(db);
    scene_await(db, drop, INSTAR_ECANCELLED, NULL);
    done(db, same);
    failed(db, other, INSTAR_EDEFINITION, "column 1 is b, not c");
    expect(shows(db, "t", "CREATE INDEX t_b ON t (b)"));
    dbs_end_sound(db);
}

/* One that waits for a name has not got it. Another one that comes later may; it has its turn
 * behind the first, which cannot wait for it. */
Test(change_queue, name_taken_by_a_later_one)
{
    instar *db = begin();
    instar_change_info info;
    uint64_t first = submit(db, "CREATE INDEX i ON t (b)");

    ok(instar_change_cancel(db, first));
    uint64_t second = submit(db, "CREATE INDEX IF NOT EXISTS i ON t (b) WITH (pause = on)");
    db = reopen(db);
    scene_await(db, first, INSTAR_ECANCELLED, NULL);
    do {
        (void)instar_change_wait(db, second, 5, &info);
    } while (strstr(info.waiting_for, "pause") == NULL);
    uint64_t third = submit(db, "CREATE INDEX i ON t (b)");
    ok(steer(db, second, 0, INSTAR_CHANGE_PAUSE));
    failed(db, second, INSTAR_ESTATE, "which came later");
    done(db, third);
    dbs_end_sound(db);
}

static void await_words(instar *db, uint64_t change, const char *words)
{
    instar_change_info info;

    do {
        (void)instar_change_wait(db, change, 5, &info);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (strstr(info.waiting_for, words) == NULL);
}

/* The same of a table, which has no turn: who has the name, to make or to drop it, is waited for.
 */
Test(change_queue, table_whose_name_is_taken)
{
    instar *db = begin();
    uint64_t drop = submit(db, "DROP TABLE p");
    uint64_t first = submit(db, "CREATE TABLE IF NOT EXISTS p (x int8) WITH (pause = on)");

    db = reopen(db);
    done(db, drop);
    await_words(db, first, "pause");
    uint64_t later = submit(db, "CREATE TABLE p (x int8) WITH (pause = on)");
    ok(steer(db, first, 0, INSTAR_CHANGE_PAUSE));
    await_words(db, first, "is at work on \"p\"");
    ok(steer(db, later, 0, INSTAR_CHANGE_PAUSE));
    done(db, later);
    done(db, first);
    expect(shows(db, "p", "x int8"));
    db = stop(db);
    drop = submit(db, "DROP TABLE q");
    first = submit(db, "CREATE TABLE IF NOT EXISTS q (x int8) WITH (pause = on)");
    db = reopen(db);
    done(db, drop);
    await_words(db, first, "pause");
    ok(sqls_run(db, "CREATE TABLE q (y int8)"));
    drop = submit(db, "DROP TABLE q WITH (pause = on)");
    ok(steer(db, first, 0, INSTAR_CHANGE_PAUSE));
    await_words(db, first, "is at work on \"q\"");
    ok(steer(db, drop, 0, INSTAR_CHANGE_PAUSE));
    done(db, drop);
    done(db, first);
    expect(shows(db, "q", "x int8"));
    dbs_end_sound(db);
}

/* It is cancelled before it has a name, or had to do anything. */
Test(change_queue, cancelled_before_its_turn)
{
    instar *db = begin();
    uint64_t drop = submit(db, "DROP INDEX t_b");
    uint64_t behind = submit(db, "CREATE INDEX IF NOT EXISTS t_b ON t (c)");
    uint64_t table = submit(db, "DROP TABLE p");
    uint64_t again = submit(db, "CREATE TABLE IF NOT EXISTS p (a int4 PRIMARY KEY, b int8 UNIQUE)");

    ok(instar_change_cancel(db, behind));
    ok(instar_change_cancel(db, again));
    db = reopen(db);
    done(db, drop);
    done(db, table);
    scene_await(db, behind, INSTAR_ECANCELLED, NULL);
    scene_await(db, again, INSTAR_ECANCELLED, NULL);
    ok(sqls_run(db, "CREATE INDEX t_b ON t (d); CREATE TABLE p (x int8 PRIMARY KEY)"));
    dbs_end_sound(db);
}

/* The names of the indexes that it brings are looked for when its turn has come. */
Test(change_queue, table_behind_one_that_is_dropped)
{
    instar *db = begin();
    uint64_t drop = submit(db, "DROP TABLE p");
    uint64_t table =
        submit(db, "CREATE TABLE IF NOT EXISTS p (a int4 PRIMARY KEY, b int8, UNIQUE (b))");

    db = reopen(db);
    done(db, drop);
    done(db, table);
    expect(shows(db, "p", "UNIQUE (b)"));
    db = stop(db);
    drop = submit(db, "DROP TABLE q");
    table = submit(db, "CREATE TABLE IF NOT EXISTS q (a int4, CONSTRAINT x UNIQUE (a))");
    uint64_t taken = submit(db, "CREATE INDEX x ON t (d)");
    db = reopen(db);
    done(db, drop);
    done(db, taken);
    instar_change_info info;
    int rc = instar_change_wait(db, table, TEST_AWAIT_S * 1000, &info);
    if (rc == INSTAR_EFAILED) { /* or the index was made later, and then its name was taken */
        expect(info.error == INSTAR_EEXISTS && strstr(info.reason, "\"x\"") != NULL);
    } else {
        fails(rc, INSTAR_OK);
    }
    db = stop(db);
    drop = submit(db, "DROP TABLE p");
    table = submit(db, "CREATE TABLE IF NOT EXISTS p (a int4, CONSTRAINT y UNIQUE (a))");
    taken = submit(db, "CREATE TABLE y (a int8)");
    db = reopen(db);
    done(db, drop);
    done(db, taken);
    failed(db, table, INSTAR_EEXISTS, "there is a table named \"y\" already");
    dbs_end_sound(db);
}

/* Whoever asks for a table that is being made gets that change; with another definition it is
 * told. */
Test(change_queue, table_that_is_being_made)
{
    instar *db = begin();
    uint64_t first = submit(db, "CREATE TABLE n (a int8 PRIMARY KEY, b int8)");

    refused(db, "CREATE TABLE IF NOT EXISTS n (a int8 PRIMARY KEY)", INSTAR_EDEFINITION,
            "is creating \"n\" with another definition");
    cr_expect_eq(submit(db, "CREATE TABLE IF NOT EXISTS n (a int8 PRIMARY KEY, b int8)"), first);
    db = reopen(db);
    done(db, first);
    dbs_end_sound(db);
}

/* ---- drops of what is on its way ------------------------------------------------------------ */

Test(change_queue, drop_of_what_is_on_its_way)
{
    instar *db = begin();
    uint64_t table = submit(db, "CREATE TABLE n (a int8 PRIMARY KEY, p int8 REFERENCES p, q int8 "
                                "REFERENCES q)");
    uint64_t drop = submit(db, "DROP TABLE n");
    uint64_t index = submit(db, "CREATE INDEX i ON t (d)");
    uint64_t drop_index = submit(db, "DROP INDEX i");

    db = reopen(db);
    scene_await(db, table, INSTAR_ECANCELLED, NULL);
    done(db, drop);
    scene_await(db, index, INSTAR_ECANCELLED, NULL);
    done(db, drop_index);
    ok(sqls_run(db, "DROP TABLE p; DROP TABLE q"));
    dbs_end_sound(db);
}

/* Whoever wants it gone if it is there waits with the others. */
Test(change_queue, drop_of_what_is_being_dropped)
{
    instar *db = begin();
    uint64_t drop = submit(db, "DROP INDEX t_b");

    expect_u64(submit(db, "DROP INDEX IF EXISTS t_b"), drop);
    refused(db, "DROP INDEX t_b", INSTAR_ESTATE, "\"t_b\" is being dropped by change");
    refused(db, "DROP TABLE t_b", INSTAR_EUNKNOWN, "an index, not a table");
    refused(db, "DROP INDEX t", INSTAR_EUNKNOWN, "a table, not an index");
    uint64_t table = submit(db, "DROP TABLE q");
    expect_u64(submit(db, "DROP TABLE IF EXISTS q"), table);
    ok(instar_change_cancel(db, drop));
    refused(db, "DROP INDEX IF EXISTS t_b", INSTAR_ESTATE, "\"t_b\" is being");
    /* A table may go whatever is done to it; drops of its parts go on. */
    uint64_t more = submit(db, "ALTER TABLE t ADD e int8");
    ok(instar_change_cancel(db, more));
    uint64_t all = submit(db, "DROP TABLE t");
    db = reopen(db);
    scene_await(db, more, INSTAR_ECANCELLED, NULL);
    done(db, all);
    done(db, table);
    dbs_end_sound(db);
}

Test(change_queue, table_dropped_behind_a_drop_of_its_index)
{
    instar *db = begin();
    uint64_t drop = submit(db, "DROP INDEX t_b");
    uint64_t all = submit(db, "DROP TABLE t");

    db = reopen(db);
    done(db, drop);
    done(db, all);
    dbs_end_sound(db);
}

/* ---- steps that somebody else has taken ----------------------------------------------------- */

/* What IF [NOT] EXISTS leaves to do when its turn comes, may be nothing. */
Test(change_queue, nothing_is_left_to_do)
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
    instar *db = begin();

    for (size_t i = 0; i < BASE_ARRAY_LEN(changes); i++) {
        int rc = sqls_submit(db, changes[i], &ids[i]);
        /* What needs a column that is only on its way is refused. */
        cr_expect(rc == INSTAR_OK || rc == INSTAR_EUNKNOWN, "%s: %s", changes[i], sqls_words());
    }
    db = reopen(db);
    for (size_t i = 0; i < BASE_ARRAY_LEN(changes); i++) {
        if (ids[i] != 0) {
            done(db, ids[i]);
        }
    }
    expect(shows(db, "t", "b int8 NOT NULL") && shows(db, "t", "f int8") &&
           !shows(db, "t", "d int8"));
    dbs_end_sound(db);
}

/* t refers to p. */
static instar *begin_referring(void)
{
    instar *db = begin();

    db = reopen(db);
    ok(sqls_run(db, "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p"));
    return stop(db);
}

/* More changes than one round of the runner knows, or runs: of one table one after the other, of
 * others beside each other. */
Test(change_queue, more_than_run_at_once)
{
    uint64_t ids[40];
    char text[64];
    instar *db = begin();

    for (int i = 0; i < 40; i++) {
        (void)snprintf(
            text, sizeof(text),
            i % 2 == 0 ? "ALTER TABLE t ALTER b SET DEFAULT %d" : "CREATE TABLE n%d (a int8)", i);
        ids[i] = submit(db, text);
    }
    db = reopen(db);
    for (int i = 0; i < 40; i++) {
        done(db, ids[i]);
    }
    expect(shows(db, "t", "b int8 DEFAULT 38") && shows(db, "n39", "a int8"));
    dbs_end_sound(db);
}

/* What is to be validated has been, by then. */
Test(change_queue, validated_by_another_one)
{
    instar *db = begin();

    db = reopen(db);
    ok(sqls_run(db, "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID"));
    db = stop(db);
    uint64_t first = submit(db, "ALTER TABLE t VALIDATE CONSTRAINT k");
    uint64_t second = submit(db, "ALTER TABLE t VALIDATE CONSTRAINT k");
    expect(first != second);
    db = reopen(db);
    done(db, first);
    done(db, second);
    expect(shows(db, "t", "CONSTRAINT k CHECK (a > 0)") && !shows(db, "t", "NOT VALID"));
    dbs_end_sound(db);
}

/* What has nothing to do as the table stands has something to do behind the change before it. */
Test(change_queue, nothing_to_do_before_its_turn)
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
        {"ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)",
         "BEGIN; ALTER TABLE t DROP CONSTRAINT IF EXISTS k; DROP INDEX t_a; COMMIT", "f int8",
         "CHECK"},
    };
    instar *db = begin();

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        uint64_t first = submit(db, cases[i].first);
        uint64_t second = submit(db, cases[i].second);
        cr_expect(second != 0, "%s", cases[i].second);
        db = reopen(db);
        scene_await(db, first, INSTAR_OK, NULL);
        scene_await(db, second, INSTAR_OK, NULL);
        cr_expect(shows(db, "t", cases[i].there), "%zu: %s", i, sqls_schema(db, "t"));
        cr_expect(cases[i].gone == NULL || !shows(db, "t", cases[i].gone), "%zu: %s", i,
                  sqls_schema(db, "t"));
        ok(instar_close(db));
        db = dbs_open(INSTAR_OPEN_NO_RUNNER);
        expect_u64(submit(db, "ALTER TABLE t ADD COLUMN IF NOT EXISTS c int8"), 0);
    }
    dbs_end_sound(db);
}

/* Rows must obey what they had to obey already when it was submitted, but not any more. */
Test(change_queue, validated_behind_what_gave_it_up)
{
    static const char *const seconds[] = {
        "ALTER TABLE t ALTER b SET NOT NULL", "ALTER TABLE t ALTER b SET NOT NULL, ADD x int8",
        "BEGIN; ALTER TABLE t ALTER b SET NOT NULL; CREATE INDEX t_i ON t (a); COMMIT",
        "BEGIN; ALTER TABLE t ALTER b SET NOT NULL; ALTER TABLE p ADD x int8; COMMIT"};
    instar *db = begin();

    for (size_t i = 0; i < BASE_ARRAY_LEN(seconds); i++) {
        db = reopen(db);
        ok(sqls_run(db, "ALTER TABLE t ALTER b SET NOT NULL"));
        ok(instar_close(db));
        db = dbs_open(INSTAR_OPEN_NO_RUNNER);
        uint64_t first = submit(db, "ALTER TABLE t ALTER b DROP NOT NULL");
        uint64_t second = submit(db, seconds[i]);
        ok(steer(db, second, INSTAR_CHANGE_PAUSE, 0));
        db = reopen(db);
        scene_await(db, first, INSTAR_OK, NULL);
        ok(moves_run(db, "insert t 3,null,23,1"));
        ok(steer(db, second, 0, INSTAR_CHANGE_PAUSE));
        failed(db, second, INSTAR_ENOT_NULL, "column b is null in 1 row");
        expect(shows(db, "t", "b int8,") && !shows(db, "t", "x int8") && !shows(db, "t", "t_i"));
        ok(moves_run(db, "delete t 3"));
        ok(instar_close(db));
        db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    }
    dbs_end_sound(db);
}

/* An index that another change makes has a name of which only that one disposes. */
Test(change_queue, index_on_its_way_is_not_renamed)
{
    instar *db = begin();
    uint64_t first = submit(db, "CREATE INDEX i ON t (b)");
    uint64_t second = submit(db, "ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)");
    instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_RENAME_INDEX, .flags = INSTAR_ALTER_IF_EXISTS, .new_name = "j"},
        {.kind = INSTAR_ALTER_DROP_DEFAULT, .name = "b"}};
    uint64_t change;

    steps[0].name = "i";
    fails(instar_alter_table(db, "t", steps, 2, NULL, &change), INSTAR_ESTATE);
    expect(says("\"i\" is being created"));
    steps[0].name = "u";
    steps[0].kind = INSTAR_ALTER_RENAME_CONSTRAINT;
    fails(instar_alter_table(db, "t", steps, 2, NULL, &change), INSTAR_ESTATE);
    expect(says("\"u\" is being"));
    db = reopen(db);
    scene_await(db, first, INSTAR_OK, NULL);
    scene_await(db, second, INSTAR_OK, NULL);
    ok(instar_alter_table(db, "t", steps, 2, NULL, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    expect(shows(db, "t", "CONSTRAINT j UNIQUE (a)"));
    dbs_end_sound(db);
}

/* A foreign key of that name is another one by then: it leads to a table that the change does not
 * have its turn in. */
Test(change_queue, foreign_key_that_is_another_one)
{
    instar *db = begin_referring();
    uint64_t first = submit(db, "ALTER TABLE t DROP CONSTRAINT r, ADD CONSTRAINT r FOREIGN KEY (d) "
                                "REFERENCES q");
    uint64_t second = submit(db, "ALTER TABLE t DROP CONSTRAINT r");
    uint64_t third = submit(db, "BEGIN; ALTER TABLE t DROP CONSTRAINT r; ALTER TABLE p ADD g int8; "
                                "COMMIT");
    uint64_t fourth = submit(db, "DROP TABLE t");
    db = reopen(db);
    scene_await(db, first, INSTAR_ECANCELLED, NULL);
    done(db, fourth);
    (void)instar_change_wait(db, second, TEST_AWAIT_S * 1000, NULL);
    (void)instar_change_wait(db, third, TEST_AWAIT_S * 1000, NULL);
    dbs_end_sound(db);
}

Test(change_queue, foreign_key_that_leads_elsewhere)
{
    instar *db = begin_referring();
    uint64_t first = submit(db, "ALTER TABLE t DROP CONSTRAINT r, ADD CONSTRAINT r FOREIGN KEY (d) "
                                "REFERENCES q");
    uint64_t second = submit(db, "ALTER TABLE t DROP CONSTRAINT r");
    db = reopen(db);
    done(db, first);
    failed(db, second, INSTAR_ESTATE, "came or went since this change was submitted");
    expect(shows(db, "t", "REFERENCES q"));
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT r, ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES "
                    "p, ADD FOREIGN KEY (d) REFERENCES q"));
    dbs_end_sound(db);
}

/* A table that is dropped beside others is referred to by then. */
Test(change_queue, dropped_table_that_is_referred_to)
{
    instar *db = begin();
    uint64_t first = submit(db, "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p");
    uint64_t second = submit(db, "BEGIN; DROP TABLE p; ALTER TABLE q ADD g int8; COMMIT");
    uint64_t third = submit(db, "DROP TABLE q WITH (undo_window_s = 3600)");
    char text[64];

    (void)snprintf(text, sizeof(text), "UNDO CHANGE %llu", (unsigned long long)third);
    refused(db, text, INSTAR_ESTATE, "has not ended");
    db = reopen(db);
    done(db, first);
    failed(db, second, INSTAR_ESTATE, "refers to it; drop that first");
    done(db, third);
    expect(shows(db, "t", "REFERENCES p"));
    dbs_end_sound(db);
}

/* And so is one of which the one that refers to it stays in the change: altered in another way, or
 * as what a new table refers to. */
Test(change_queue, dropped_table_that_a_member_refers_to)
{
    instar *db = begin();
    uint64_t first = submit(db, "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p, ADD "
                                "CONSTRAINT s FOREIGN KEY (d) REFERENCES q");
    uint64_t second = submit(db, "BEGIN; DROP TABLE p; ALTER TABLE t ADD f int8; COMMIT");
    uint64_t third = submit(db, "BEGIN; DROP TABLE q; CREATE TABLE n (a int8 REFERENCES t); "
                                "COMMIT");

    db = reopen(db);
    done(db, first);
    failed(db, second, INSTAR_ESTATE, "refers to it; drop that first");
    failed(db, third, INSTAR_ESTATE, "refers to it; drop that first");
    expect(shows(db, "t", "REFERENCES p") && shows(db, "t", "REFERENCES q"));
    dbs_end_sound(db);
}

/* A table that is dropped beside others refers to another one by then, which would go on saying so.
 */
Test(change_queue, dropped_table_that_refers_by_then)
{
    instar *db = begin();
    uint64_t first = submit(db, "BEGIN; CREATE TABLE m (a int8 PRIMARY KEY); ALTER TABLE p ADD d "
                                "int8 REFERENCES m; COMMIT");
    uint64_t second = submit(db, "BEGIN; DROP TABLE p; ALTER TABLE t DROP d; COMMIT");

    db = reopen(db);
    done(db, first);
    failed(db, second, INSTAR_ESTATE, "came or went since this change was submitted");
    ok(sqls_run(db, "BEGIN; DROP TABLE p; ALTER TABLE t DROP d; COMMIT; DROP TABLE m"));
    dbs_end_sound(db);
}

/* The table to which a foreign key leads that goes has gone by then, and the foreign key with it:
 * who only wanted that gone has nothing to do there. */
Test(change_queue, parent_that_has_gone_by_then)
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
        uint64_t first = submit(db, "BEGIN; DROP TABLE p; ALTER TABLE t DROP CONSTRAINT r; COMMIT");
        uint64_t second = submit(db, cases[i].change);
        db = reopen(db);
        scene_await(db, first, INSTAR_OK, NULL);
        scene_await(db, second, INSTAR_OK, NULL);
        cr_expect(cases[i].drops != shows(db, NULL, "e int8"), "%s", cases[i].change);
        dbs_end_sound(db);
    }
}

/* A unique constraint that is dropped is referred to by then. */
Test(change_queue, dropped_key_that_is_referred_to)
{
    static const char *const changes[] = {
        "BEGIN; ALTER TABLE t DROP CONSTRAINT t_u; ALTER TABLE q ADD g int8; COMMIT",
        "ALTER TABLE t DROP CONSTRAINT t_u"};

    for (size_t i = 0; i < BASE_ARRAY_LEN(changes); i++) {
        test_remove(dbs_path());
        instar *db = begin();
        uint64_t first = submit(db, "CREATE TABLE n (x int8 REFERENCES t (c))");
        uint64_t second = submit(db, changes[i]);
        db = reopen(db);
        done(db, first);
        failed(db, second, INSTAR_ESTATE, "foreign key");
        expect(shows(db, "t", "t_u UNIQUE (c)"));
        dbs_end_sound(db);
    }
}

/* Two foreign keys that come in one change, to two tables. */
Test(change_queue, foreign_keys_to_two_tables)
{
    instar *db = begin();

    db = reopen(db);
    ok(sqls_run(db, "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p, ADD CONSTRAINT s "
                    "FOREIGN KEY (d) REFERENCES q"));
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT r, DROP CONSTRAINT s"));
    ok(sqls_run(db, "BEGIN; ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p, ADD "
                    "CONSTRAINT s FOREIGN KEY (d) REFERENCES q; CREATE TABLE n (a int8, "
                    "CONSTRAINT n_u UNIQUE (a)); ALTER TABLE n ADD CONSTRAINT n_v UNIQUE (a); "
                    "COMMENT ON TABLE n IS 'new'; COMMIT"));
    dbs_end_sound(db);
}

/* ---- names that move ------------------------------------------------------------------------ */

/* Two names are swapped in one change; and where that fails, each is with its own. */
Test(change_queue, swapped_names)
{
    instar *db = begin();

    db = reopen(db);
    ok(sqls_run(db, "CREATE INDEX t_d ON t (d)"));
    fails(sqls_run(db, "BEGIN; ALTER INDEX t_b RENAME TO x; ALTER INDEX t_d RENAME TO t_b; ALTER "
                       "INDEX x RENAME TO t_d; ALTER TABLE t ADD CHECK (a > 1); COMMIT"),
          INSTAR_EFAILED);
    expect(shows(db, "t", "INDEX t_b ON t (b)") && shows(db, "t", "INDEX t_d ON t (d)"));
    ok(sqls_run(db, "BEGIN; ALTER INDEX t_b RENAME TO x; ALTER INDEX t_d RENAME TO t_b; ALTER "
                    "INDEX x RENAME TO t_d; COMMIT"));
    expect(shows(db, "t", "INDEX t_b ON t (d)") && shows(db, "t", "INDEX t_d ON t (b)"));
    /* Beside a name that stays as an alias for a version. */
    ok(sqls_run(db, "BEGIN; ALTER INDEX t_b RENAME TO x; ALTER INDEX t_d RENAME TO t_b; ALTER "
                    "INDEX x RENAME TO t_d; ALTER TABLE t RENAME TO s; COMMIT"));
    expect(shows(db, "s", "INDEX t_b ON s (b)") && shows(db, "s", "INDEX t_d ON s (d)"));
    ok(sqls_run(db, "ALTER TABLE s RENAME TO t"));
    db = stop(db);
    uint64_t rename = submit(db, "ALTER TABLE t RENAME CONSTRAINT t_u TO t_v");
    refused(db, "ALTER TABLE t RENAME CONSTRAINT t_u TO t_w", INSTAR_ESTATE, "t_u");
    refused(db, "ALTER TABLE t RENAME CONSTRAINT t_u TO t_b", INSTAR_EEXISTS, "t_b");
    refused(db, "BEGIN; ALTER TABLE t RENAME TO w; DROP INDEX t_b; DROP INDEX t_b; COMMIT",
            INSTAR_EUNKNOWN, "has gone by a statement before");
    db = reopen(db);
    done(db, rename);
    dbs_end_sound(db);
}
