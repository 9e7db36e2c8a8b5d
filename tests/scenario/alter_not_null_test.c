/* SPDX-License-Identifier: Apache-2.0 */
/* NOT NULL comes and goes while rows hold nulls and writers of two versions work. */
#include "support/alters.h"

#include <string.h>

/* Rows without nulls: it holds from then on. Taken back, nulls may come again. */
Test(alter_not_null, set_and_dropped)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_run(db, "t", "set-not-null b"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8 not null; c text");
    fails(alters_insert(db, "t", "a", "4"), INSTAR_ENOT_NULL);
    fails(alters_update(db, "t", "b", 1, "null"), INSTAR_ENOT_NULL);
    ok(alters_run(db, "t", "set-not-null b")); /* it is already */
    dbs_check_clean(db);
    ok(alters_run(db, "t", "drop-not-null b"));
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    ok(alters_insert(db, "t", "a", "4"));
    fails(alters_run(db, "t", "set-not-null b"), INSTAR_EFAILED);
    ok(alters_update(db, "t", "b", 4, "14"));
    ok(alters_run(db, "t", "set-not-null b , set-default b 5"));
    ok(alters_insert(db, "t", "a", "5"));
    cr_assert_str_eq(alters_rows(db, "t", "a,b"), "1,11;2,12;3,13;4,14;5,5");
    dbs_end(db);
}

/* Rows with nulls: the change fails, names up to ten of them and says how many there are; nothing
 * of it stays, and nulls may be written. */
Test(alter_not_null, rows_that_hold_nulls_are_named)
{
    instar_change_info info;
    instar *db = scene_open_t(0, 12);

    ok(alters_update(db, "t", "c", 3, "x"));
    info = alters_failure(db, "t", "rename-column b bb , set-not-null c , add d int8");
    expect(info.error == INSTAR_ENOT_NULL);
    expect_u64(info.duplicate_count, 11);
    cr_assert_str_eq(
        info.reason,
        "table t: column c is null in 11 rows: row (a=1); row (a=2); row (a=4); row "
        "(a=5); row (a=6); row (a=7); row (a=8); row (a=9); row (a=10); row (a=11); …");
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    ok(alters_update(db, "t", "c", 3, "null"));
    ok(alters_insert(db, "t", "a,b", "13,13"));
    /* Two columns: each null is named with its own. */
    ok(alters_insert(db, "t", "a,c", "14,x"));
    for (int64_t i = 1; i <= 13; i++) {
        ok(alters_update(db, "t", "c", i, "x"));
    }
    ok(alters_update(db, "t", "c", 2, "null"));
    info = alters_failure(db, "t", "set-not-null c , set-not-null b");
    cr_assert_str_eq(info.reason, "table t: columns that are to be NOT NULL hold 2 nulls: column c "
                                  "of row (a=2); column b of row (a=14)");
    dbs_end(db);
}

/* A column in which one row has a null and another one a value that does not fit. */
Test(alter_not_null, nulls_beside_values_that_do_not_fit)
{
    instar_change_info info;
    instar *db = scene_open_t(0, 2);

    ok(alters_update(db, "t", "b", 1, "100000"));
    ok(alters_update(db, "t", "b", 2, "null"));
    info = alters_failure(db, "t", "set-type b int2 , set-not-null b");
    cr_assert(strstr(info.reason,
                     "table t: constraints that are to hold are broken 2 times: column "
                     "b of row (a=1)") != NULL,
              "%s", info.reason);
    cr_assert_str_eq(alters_schema(db, "t"), "a int8 not null; b int8; c text");
    dbs_end(db);
}

/* Several workers share the rows: each null is counted once, and the first ten rows are named,
 * whoever came by them. */
Test(alter_not_null, workers_find_each_null_once)
{
    const int64_t rows = 160000;
    const instar_change_options options = {.struct_size = sizeof(options), .workers = 4};
    instar_change_info info;
    instar *db = scene_open_t(0, rows);
    uint64_t change;

    ok(alters_submit(db, "t", "set-not-null c", &options, &change));
    scene_await(db, change, INSTAR_EFAILED, &info);
    expect_u64(info.duplicate_count, (uint64_t)rows);
    cr_assert(strstr(info.reason, "in 160000 rows: row (a=1); row (a=2); row (a=3); row (a=4); row "
                                  "(a=5); row (a=6); row (a=7); row (a=8); row (a=9); row (a=10); "
                                  "…") != NULL,
              "%s", info.reason);
    ok(alters_submit(db, "t", "set-not-null b", &options, &change));
    scene_await(db, change, INSTAR_OK, &info);
    expect_u64(info.rows_done, (uint64_t)rows);
    dbs_end(db);
}

/* Rows of an older layout are null in a column that came without a default. */
Test(alter_not_null, rows_from_before_the_column)
{
    instar *db = scene_open_t(0, 3);

    ok(alters_run(db, "t", "add d int8"));
    ok(alters_insert(db, "t", "a,d", "4,4"));
    fails(alters_run(db, "t", "set-not-null d"), INSTAR_EFAILED);
    expect(says("3 rows") && says("(a=3)") && !says("(a=4)"));
    ok(alters_run(db, "t", "add e int8 default 1"));
    ok(alters_run(db, "t", "set-not-null e"));
    dbs_check_clean(db);
    ok(alters_run(db, "t", "drop b")); /* columns have other places than in the layout then */
    ok(alters_insert(db, "t", "a,c,d", "5,x,5"));
    fails(alters_run(db, "t", "set-not-null d"), INSTAR_EFAILED);
    expect(says("3 rows") && says("(a=3)") && !says("(a=5)"));
    fails(alters_run(db, "t", "set-not-null c"), INSTAR_EFAILED);
    expect(says("4 rows") && says("(a=4)") && !says("(a=5)"));
    ok(instar_close(db));
}

/* SET NOT NULL of b is held at the point. */
static void scene_begin(struct scene_held *s, const char *point, int64_t rows)
{
    scene_hold(s, point, 1);
    scene_make_t(s->db, rows);
    ok(alters_submit(s->db, "t", "set-not-null b", NULL, &s->change));
    test_hold_await(&s->hold);
}

/* From enforcing on nobody writes a null, though the rows are not validated yet. */
Test(alter_not_null, enforced_while_it_is_validated)
{
    struct scene_held s;

    scene_begin(&s, "validate.snapshot", 3);
    cr_assert_str_eq(alters_schema(s.db, "t"), "a int8 not null; b int8 enforcing; c text");
    fails(alters_insert(s.db, "t", "a", "4"), INSTAR_ENOT_NULL);
    fails(alters_update(s.db, "t", "b", 1, "null"), INSTAR_ENOT_NULL);
    ok(alters_insert(s.db, "t", "a,b", "4,14"));
    scene_held_done(&s);
    cr_assert_str_eq(alters_rows(s.db, "t", "a,b"), "1,11;2,12;3,13;4,14");
    scene_held_end(&s);
}

/* Two changes ask for it, and the first has done it when the second comes to its turn: what that
 * has besides is done. */
Test(alter_not_null, done_by_the_change_before)
{
    uint64_t behind;
    struct scene_held s;

    test_hold_set(&s.hold, "change.claimed", 2); /* the first made the table */
    scene_runner(&s.runner);
    s.db = scene_open_t(INSTAR_OPEN_NO_RUNNER, 3);
    ok(alters_submit(s.db, "t", "set-not-null b", NULL, &s.change));
    test_hold_await(&s.hold);
    ok(alters_submit(s.db, "t", "set-not-null b , set-default b 5", NULL, &behind));
    scene_held_done(&s);
    scene_await(s.db, behind, INSTAR_OK, NULL);
    cr_assert_str_eq(alters_schema(s.db, "t"),
                     "a int8 not null; b int8 not null default 5; c text");
    scene_held_end(&s);
}

/* A row keeps the null that it had, and is given a key that was read already: it is found all the
 * same, because all rows are read at one snapshot. */
Test(alter_not_null, null_that_moves_is_found)
{
    struct scene_held s;
    instar_change_info info;

    scene_hold(&s, "nulls.batch", 1);
    scene_make_t(s.db, 3000);
    instar *db = s.db;
    uint64_t change;
    ok(alters_update(db, "t", "b", 2900, "null"));
    ok(alters_submit(db, "t", "set-not-null b", NULL, &change));
    test_hold_await(&s.hold);
    ok(alters_update(db, "t", "b,c", 2900, "null,x")); /* it need not be mended by this */
    ok(alters_update(db, "t", "a", 2900, "0"));
    test_hold_release(&s.hold);
    scene_await(db, change, INSTAR_EFAILED, &info);
    expect(strstr(info.reason, "in 1 row: row (a=2900)") != NULL);
    scene_held_end(&s);
}

/* A transaction that began before NOT NULL was enforced writes a null: it is waited for, and its
 * row is found. */
Test(alter_not_null, writer_from_before_is_waited_for)
{
    alters_await_late_writer(&(struct alters_late){
        .row = "4,null", .steps = "set-not-null b", .stage = "enforcing", .later = "5,null"});
}

/* Cancelled while it reads: it stops within a batch. */
Test(alter_not_null, cancelled_while_it_is_validated)
{
    struct scene_held s;
    instar_change_info info;

    scene_begin(&s, "nulls.batch", 5000);
    ok(instar_change_cancel(s.db, s.change));
    test_hold_release(&s.hold);
    scene_await(s.db, s.change, INSTAR_ECANCELLED, &info);
    cr_assert_str_eq(alters_schema(s.db, "t"), "a int8 not null; b int8; c text");
    ok(alters_insert(s.db, "t", "a", "6000"));
    scene_held_end(&s);
}

/* The table is dropped in mid-validation: the change is cancelled, and says by which. */
Test(alter_not_null, table_dropped_in_mid_validation)
{
    struct scene_held s;
    instar_change_info info;
    uint64_t drop;

    scene_begin(&s, "validate.snapshot", 3);
    ok(instar_drop_table(s.db, "t", NULL, &drop));
    test_hold_release(&s.hold);
    scene_await(s.db, s.change, INSTAR_ECANCELLED, &info);
    expect(strstr(info.reason, "drops table t") != NULL);
    scene_await(s.db, drop, INSTAR_OK, NULL);
    scene_held_end(&s);
}
