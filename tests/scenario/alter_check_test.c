/* SPDX-License-Identifier: Apache-2.0 */
/* CHECK constraints come and go while rows break them and writers of two versions work. */
#include "support/alters.h"

#include <string.h>

/* Rows that obey: it holds from then on, for inserts and for updates of what it is about; null is
 * no violation. Taken back, anything may be written again. */
Test(alter_check, added_and_dropped)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_run(db, "t", "check positive b > 0 AND (c IS NULL OR length(c) < 4)"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8; c text; check positive ((b > 0) AND ((c IS NULL) OR "
                     "(length(c) < 4)))");
    fails(alters_insert(db, "t", "a,b", "4,0"), INSTAR_ECHECK);
    expect(says("check positive of table t"));
    fails(alters_update(db, "t", "b", 1, "-1"), INSTAR_ECHECK);
    fails(alters_update(db, "t", "c", 1, "long"), INSTAR_ECHECK);
    ok(alters_insert(db, "t", "a,b", "4,null"));
    ok(alters_update(db, "t", "c", 4, "abc"));
    dbs_check_clean(db);
    fails(alters_run(db, "t", "check positive b > 1"), INSTAR_EEXISTS);
    fails(alters_run(db, "t", "drop-constraint positiv"), INSTAR_EUNKNOWN);
    expect(says("did you mean \"positive\"?"));
    ok(alters_run(db, "t", "if drop-constraint nothing"));
    ok(alters_run(db, "t", "drop-constraint positive"));
    ok(alters_update(db, "t", "b", 1, "-1"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    dbs_end(db);
}

/* Rows that break it: the change fails, names up to ten of them and says how many there are;
 * nothing of it stays. What cannot be evaluated breaks it too, and says why. */
Test(alter_check, rows_that_break_it_are_named)
{
    instar_change_info info;
    instar *db = scene_open_t(0, 12);

    info = alters_failure(db, "t", "rename-column b bb , check small bb < 12 , add d int8");
    expect(info.error == INSTAR_ECHECK);
    expect_u64(info.duplicate_count, 11);
    cr_assert_str_eq(
        info.reason,
        "table t: check small is violated by 11 rows: row (a=2); row (a=3); row (a=4); row (a=5); "
        "row (a=6); row (a=7); row (a=8); row (a=9); row (a=10); row (a=11); …");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    ok(alters_update(db, "t", "b", 3, "0"));
    ok(alters_update(db, "t", "b", 5, "null"));
    info = alters_failure(db, "t", "check ratio 100 / b > 0 , set-not-null b");
    cr_assert_str_eq(info.reason,
                     "table t: constraints that are to hold are broken 2 times: check ratio of row "
                     "(a=3) (check ratio of table t: division by zero); column b of row (a=5)");
    expect(info.error == INSTAR_ECHECK);
    ok(alters_update(db, "t", "b", 3, "1"));
    ok(alters_run(db, "t", "check ratio 100 / b > 0"));
    fails(alters_update(db, "t", "b", 1, "0"), INSTAR_ERANGE);
    expect(says("check ratio of table t: division by zero"));
    dbs_end(db);
}

/* NOT VALID binds what is written, not what is there: a row that breaks it may change elsewhere.
 * VALIDATE fails while such a row is left, and leaves the check as it was; then it succeeds. */
Test(alter_check, not_valid_and_validated_later)
{
    instar_change_info info;
    uint64_t change;
    instar *db = scene_open_t(0, 3);

    ok(alters_run(db, "t", "check-not-valid high b > 11"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8; c text; check high (b > 11) not valid");
    ok(alters_update(db, "t", "c", 1, "x"));
    fails(alters_update(db, "t", "b", 2, "5"), INSTAR_ECHECK);
    fails(alters_insert(db, "t", "a,b", "9,9"), INSTAR_ECHECK);
    ok(alters_run(db, "t", "check low b > 0")); /* asks nothing of the other one */
    ok(alters_run(db, "t", "drop-constraint low"));
    dbs_check_clean(db);
    info = alters_failure(db, "t", "validate high");
    cr_assert_str_eq(info.reason, "table t: check high is violated by 1 row: row (a=1)");
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8; c text; check high (b > 11) not valid");
    fails(alters_update(db, "t", "b", 2, "5"), INSTAR_ECHECK);
    ok(alters_update(db, "t", "b", 1, "15"));
    ok(alters_run(db, "t", "validate high"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8; c text; check high (b > 11)");
    ok(alters_submit(db, "t", "validate high", NULL, &change));
    expect_u64(change, 0);
    dbs_end(db);
}

/* Names: those that are made, renames, and one that replaces another of its name. A column that a
 * check is about can be renamed, and is not dropped before the check is. */
Test(alter_check, names_and_columns)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_run(db, "t", "check - b > 0 , check - b > 1 , check - b > a"));
    cr_assert_str_eq(
        alters_schema(db, "t"),
        "a int8 not null; b int8; c text; check t_b_check (b > 0); check t_b_check1 (b "
        "> 1); check t_check (b > a)");
    fails(alters_run(db, "t", "drop b"), INSTAR_ESTATE);
    expect(says("check \"t_b_check\" mentions it"));
    fails(alters_run(db, "t", "rename-constraint t_check t_b_check"), INSTAR_EEXISTS);
    ok(alters_run(db, "t", "rename-constraint t_check wide , rename-column b size"));
    fails(alters_insert(db, "t", "a,size", "9,5"), INSTAR_ECHECK);
    expect(says("check wide"));
    ok(alters_run(db, "t", "drop-constraint t_b_check , drop-constraint t_b_check1"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; size int8; c text; check wide (size > a)");
    /* In one change, and the same name. */
    ok(alters_run(db, "t", "drop-constraint wide , check wide size > a + 1"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; size int8; c text; check wide (size > (a + 1))");
    fails(alters_run(db, "t", "drop-constraint wide , check wide size > 12"), INSTAR_EFAILED);
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; size int8; c text; check wide (size > (a + 1))");
    ok(alters_run(db, "t", "drop-constraint wide , drop size"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; c text");
    ok(instar_check(db, NULL, NULL, NULL));
    ok(instar_close(db));
}

/* A check about columns that come with it is tested on what the rows get, and nothing is read. */
Test(alter_check, about_new_columns)
{
    instar *db = scene_open_t(0, 3);

    fails(alters_run(db, "t", "add d int8 default 5 , check - d > 5"), INSTAR_ECHECK);
    fails(alters_run(db, "t", "add d int8 default 5 , check - d > a"), INSTAR_EINVALID);
    ok(alters_run(db, "t", "add d int8 default 5 , check - d > 4"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8; c text; d int8 default 5; check t_d_check (d > 4)");
    fails(alters_update(db, "t", "d", 1, "4"), INSTAR_ECHECK);
    ok(alters_run(db, "t", "check mixed d > a"));
    dbs_end(db);
}

/* They stand as they were written, though one of them is enforced before the other's column is
 * there. */
Test(alter_check, order)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_run(db, "t", "add f int8 default 5 , check two f > 4 , check three b > 0"));
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8; c text; f int8 default 5; check two (f > 4); check "
                     "three (b > 0)");
    ok(alters_run(db, "t", "check four b < 99999 , add g int8 default 6 , check five g > 4"));
    expect(strstr(alters_schema(db, "t"), "three (b > 0); check four (b < 99999); check five") !=
           NULL);
    dbs_end(db);
}

/* What is no condition of this table is refused at once, with the place. */
Test(alter_check, refused_at_once)
{
    static const struct {
        const char *steps;
        int code;
        const char *words;
    } cases[] = {
        {"check x b >", INSTAR_EINVALID, "check (b >), byte 4: it ends too early"},
        {"check x bb > 1", INSTAR_EUNKNOWN, "no column \"bb\"; did you mean \"b\"?"},
        {"check x b + 1", INSTAR_ETYPE, "it gives int8, where bool is needed"},
        {"check x now() > 1", INSTAR_EUNKNOWN, "there is no function now"},
        {"check x c > 1", INSTAR_ETYPE, "> does not take text, int4"},
        {"validate x", INSTAR_EUNKNOWN, "no constraint \"x\""},
        {"rename-constraint x y", INSTAR_EUNKNOWN, "no constraint \"x\""},
    };
    instar *db = scene_open_t(0, 1);

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        fails(alters_run(db, "t", cases[i].steps), cases[i].code);
        cr_assert(says(cases[i].words), "%s: %s", cases[i].steps, instar_error_text());
    }
    ok(instar_close(db));
}

/* A table is made with checks; the same again is there already, another one differs. */
Test(alter_check, of_a_new_table)
{
    instar_column_def columns[] = {{"id", INSTAR_INT4, false, NULL, 0},
                                   {"qty", INSTAR_INT2, false, NULL, 0}};
    instar_key_column key = {.name = "id"};
    instar_check_def checks[] = {{.expression = "qty BETWEEN 1 AND 10"},
                                 {.name = "odd", .expression = "id % 2 = 1"}};
    instar_table_def def = {.name = "n",
                            .columns = columns,
                            .column_count = 2,
                            .key = &key,
                            .key_count = 1,
                            .checks = checks,
                            .check_count = 2};
    instar_change_options options;
    instar *db = dbs_open(0);
    uint64_t change;

    dbs_create(db, &def);
    cr_assert_str_eq(
        alters_schema(db, "n"),
        "id int4 not null; qty int2; check n_qty_check (qty BETWEEN 1 AND 10); check odd "
        "((id % 2) = 1)");
    fails(alters_insert(db, "n", NULL, "2,5"), INSTAR_ECHECK);
    ok(alters_insert(db, "n", NULL, "1,10"));
    instar_change_options_init(&options);
    options.flags = INSTAR_CHANGE_IF_NOT_EXISTS;
    ok(instar_create_table(db, &def, &options, &change));
    checks[1].expression = "id % 2 = 0";
    fails(instar_create_table(db, &def, &options, &change), INSTAR_EDEFINITION);
    expect(says("check odd is another one"));
    ok(instar_close(db));
    /* What was decoded from disk is enforced too. */
    db = dbs_open(0);
    fails(alters_insert(db, "n", NULL, "3,11"), INSTAR_ECHECK);
    ok(instar_check(db, NULL, NULL, NULL));
    ok(instar_close(db));
}

/* The change is held at the point. */
static void scene_begin(struct scene_held *s, const char *point, const char *steps, int64_t rows)
{
    scene_hold(s, point, 1);
    scene_make_t(s->db, rows);
    ok(alters_submit(s->db, "t", steps, NULL, &s->change));
    test_hold_await(&s->hold);
}

/* From enforcing on nobody writes what breaks it, though the rows are not validated yet. */
Test(alter_check, enforced_while_it_is_validated)
{
    struct scene_held s;

    scene_begin(&s, "validate.snapshot", "check positive b > 0", 3);
    cr_assert_str_eq(alters_schema(s.db, "t"),
                     "a int8 not null; b int8; c text; check positive (b > 0) not valid enforcing");
    fails(alters_insert(s.db, "t", "a,b", "4,0"), INSTAR_ECHECK);
    fails(alters_update(s.db, "t", "b", 1, "0"), INSTAR_ECHECK);
    ok(alters_insert(s.db, "t", "a,b", "4,14"));
    scene_held_done(&s);
    scene_held_end(&s);
}

/* Cancelled while it reads: a new check goes, one that was not valid stays as it was. */
Test(alter_check, cancelled_while_it_is_validated)
{
    struct scene_held s;

    scene_begin(&s, "nulls.batch", "check positive b > 0", 3000);
    scene_held_cancel(&s);
    cr_assert_str_eq(alters_schema(s.db, "t"), "a int8 not null; b int8; c text");
    ok(alters_insert(s.db, "t", "a,b", "6000,-1"));
    scene_held_end(&s);
}

/* A transaction that began before the check writes what breaks it: it is waited for, and its row is
 * found. */
Test(alter_check, writer_from_before_is_waited_for)
{
    alters_await_late_writer(&(struct alters_late){
        .row = "4,-4", .steps = "check positive b > 0", .stage = "enforcing", .later = "5,-5"});
}

/* The same for NOT VALID and VALIDATE close behind it: a writer that knows nothing of the check yet
 * cannot slip a row past the validation. */
Test(alter_check, writer_from_before_not_valid_is_waited_for)
{
    alters_await_late_writer(&(struct alters_late){.row = "4,-4",
                                                   .first = "check-not-valid positive b > 0",
                                                   .steps = "validate positive",
                                                   .stage = "unaltered"});
}

/* The same check is asked for twice at once: the second change finds it there, or, when the first
 * one was cancelled, does not take for granted what that one has not done. */
Test(alter_check, asked_for_twice)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct scene_held s;
        instar_change_info info;
        uint64_t second;

        scene_begin(&s, "validate.snapshot", "check positive b > 0", 3);
        ok(alters_submit(s.db, "t", "check positive b > 0", NULL, &second));
        if (cancelled) {
            ok(instar_change_cancel(s.db, s.change));
        }
        test_hold_release(&s.hold);
        scene_await(s.db, s.change, cancelled ? INSTAR_ECANCELLED : INSTAR_OK, NULL);
        scene_await(s.db, second, INSTAR_EFAILED, &info);
        cr_assert(strstr(info.reason, cancelled ? "ask for it again" : "already") != NULL, "%s",
                  info.reason);
        scene_held_end(&s);
        test_remove(dbs_path());
    }
}
