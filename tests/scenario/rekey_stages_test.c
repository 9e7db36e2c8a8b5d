/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A primary key that becomes another, at each of its stages: of a table without one, from one key
 * to another, and back to row ids. Writers of both adjacent versions work beside it, it is
 * cancelled, its runner is killed. Each ends with the checker, scan by table = scan by index, and
 * with exactly the rows that were written.
 */
#include "support/compounds.h"
#include "support/rekeys.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READY 1
#define ROWS 40

/* ---- the cases ---------------------------------------------------------------------------- */

/* Where the runner is held, for the n-th time; from `swapped` on the new key is the table's. */
struct point {
    const char *name;
    uint64_t nth;
    bool swapped;
};
static const struct point to_key[] = {
    {"change.submitted", 1, false},      {"change.delete_only", 1, false},
    {"change.write_only", 1, false},     {"change.cut", 1, false},
    {"build.snapshot", 1, false},        {"build.loaded", 1, false},
    {"change.fold_end", 1, false},       {"change.enforcing", 1, false},
    {"change.validated", 1, false},      {"rekey.rows_delete_only", 1, false},
    {"rekey.rows_write_only", 1, false}, {"rekey.rows_cut", 1, false},
    {"build.snapshot", 2, false},        {"build.loaded", 2, false},
    {"rekey.rows_fold_end", 1, false},   {"rekey.rows_enforcing", 1, false},
    {"rekey.swapped", 1, true},          {"change.lowered", 1, true},
    {"change.absent", 1, true},          {"change.purged", 1, true},
};
static const struct point to_ids[] = {
    {"change.submitted", 1, false},       {"rekey.ids_added", 1, false},
    {"rekey.batch_filled", 1, false},     {"rekey.filled", 1, false},
    {"change.enforcing", 1, false},       {"change.validated", 1, false},
    {"rekey.rows_delete_only", 1, false}, {"rekey.rows_write_only", 1, false},
    {"rekey.rows_cut", 1, false},         {"build.snapshot", 1, false},
    {"build.loaded", 1, false},           {"rekey.rows_fold_end", 1, false},
    {"rekey.rows_enforcing", 1, false},   {"rekey.swapped", 1, true},
    {"change.lowered", 1, true},          {"change.absent", 1, true},
    {"change.purged", 1, true},
};

static const struct point *points_of(const struct rekeys_kind *kind, size_t *count_out)
{
    *count_out = kind->numbers ? BASE_ARRAY_LEN(to_ids) : BASE_ARRAY_LEN(to_key);
    return kind->numbers ? to_ids : to_key;
}

/* Each kind of change at each of its points but that of its submission. */
static void each_point(void (*fn)(const struct rekeys_kind *kind, const struct point *at))
{
    for (size_t k = 0; k < REKEYS_KINDS; k++) {
        size_t count;
        const struct point *points = points_of(&rekeys_kinds[k], &count);
        for (size_t i = 1; i < count; i++) {
            fn(&rekeys_kinds[k], &points[i]);
        }
    }
}

static instar_value number(int64_t i)
{
    return (instar_value){.type = INSTAR_INT8, .i = i};
}

/* Exactly the rows of the model. */
static void expect_model(instar *db)
{
    char wanted[8192] = "";
    size_t used = 0;

    for (int64_t a = 0; a < REKEYS_MODEL_MAX; a++) {
        if (rekeys_model[a] != 0) {
            used += (size_t)snprintf(wanted + used, sizeof(wanted) - used, "%lld:%lld ",
                                     (long long)a, (long long)rekeys_model[a]);
        }
    }
    cr_assert_str_eq(dbs_dump(db, "t", "t_a"), wanted);
}

/* ---- scenes ------------------------------------------------------------------------------- */

/* The change is held at the point. */
static void scene_begin(struct scene_held *s, const struct rekeys_kind *kind,
                        const struct point *point)
{
    test_remove(dbs_path());
    rekeys_make_t(kind, ROWS);
    scene_hold(s, point->name, point->nth);
    ok(compounds_submit(s->db, kind->change, NULL, &s->change));
    test_hold_await(&s->hold);
}

static void scene_end(struct scene_held *s, const char *key)
{
    rekeys_expect_indexes(s->db);
    cr_assert_str_eq(rekeys_key(s->db), key);
    expect_model(s->db);
    dbs_check_clean(s->db);
    scene_held_close(s);
}

/* Insert two, update, delete, delete and insert again, move a value. */
static void write_some(instar *db, int64_t base)
{
    ok(rekeys_call(db, REKEYS_INSERT, base, 1000 + base));
    ok(rekeys_call(db, REKEYS_INSERT, base + 1, 1001 + base));
    ok(rekeys_call(db, REKEYS_UPDATE, 5, 2000 + base));
    ok(rekeys_call(db, REKEYS_UPDATE, 5, 2001 + base));
    ok(rekeys_call(db, REKEYS_UPDATE, 6, rekeys_model[6])); /* nothing changes */
    ok(rekeys_call(db, REKEYS_DELETE, 7, 0));
    ok(rekeys_call(db, REKEYS_DELETE, 8, 0));
    ok(rekeys_call(db, REKEYS_INSERT, 8, 3000 + base));
    ok(rekeys_call(db, REKEYS_INSERT, 7, rekeys_model[9] + 4000));
    ok(rekeys_call(db, REKEYS_DELETE, base + 1, 0));
    fails(rekeys_call(db, REKEYS_UPDATE, base + 1, 1), INSTAR_END);
}

static void write_at(const struct rekeys_kind *kind, const struct point *at)
{
    struct scene_held s;
    scene_begin(&s, kind, at);
    cr_assert_str_eq(rekeys_key(s.db), at->swapped ? kind->after : rekeys_key_before(kind),
                     "%s at %s", kind->name, at->name);
    write_some(s.db, 100);
    dbs_check_sound(s.db);
    scene_held_done(&s);
    write_some(s.db, 200);
    scene_end(&s, kind->after);
}

/* Who writes at whatever stage finds it in both trees, and the counts are exact. */
Test(rekey_stages, rows_written_at_each)
{
    each_point(write_at);
}

/* It stands still where it is, and goes on. */
Test(rekey_stages, paused_at_each)
{
    for (size_t i = 1; i < BASE_ARRAY_LEN(to_key); i++) {
        struct scene_held s;
        instar_change_info info;
        scene_begin(&s, &rekeys_kinds[i % 2], &to_key[i]);
        int rc = scene_steer(s.db, s.change, INSTAR_CHANGE_PAUSE, 0);
        bool paused = rc == INSTAR_OK;
        expect(paused || rc == INSTAR_ESTATE); /* it has ended */
        test_hold_release(&s.hold);
        if (paused) {
            do { /* returns at each thing that happens to the change */
                instar_change_wait(s.db, s.change, 5, &info);
            } while (strstr(info.waiting_for, "pause") == NULL && info.finished_us == 0);
            write_some(s.db, 100);
            rc = scene_steer(s.db, s.change, 0, INSTAR_CHANGE_PAUSE);
            expect(rc == INSTAR_OK || rc == INSTAR_ESTATE);
        } else {
            write_some(s.db, 100);
        }
        scene_await(s.db, s.change, INSTAR_OK, NULL);
        write_some(s.db, 200);
        scene_end(&s, "b");
    }
}

static void write_beside(const struct rekeys_kind *kind, const struct point *at)
{
    struct scene_held s;
    struct rekeys x;
    instar_txn *txn;
    instar_txn *loser;
    scene_begin(&s, kind, at);
    uint32_t version = dbs_version(s.db, "t");
    rekeys_open(s.db, &x);
    ok(instar_begin(s.db, 0, &txn));
    ok(rekeys_insert(txn, &x, 200, 2000));
    ok(rekeys_update(txn, &x, 3, 300));
    ok(rekeys_delete(txn, &x, 10));
    ok(instar_begin(s.db, 0, &loser));
    ok(rekeys_update(loser, &x, 4, 301));
    scene_release_beside(&s, version);
    ok(rekeys_call(s.db, REKEYS_INSERT, 201, 2001));
    ok(rekeys_call(s.db, REKEYS_UPDATE, 4, 400));
    ok(rekeys_call(s.db, REKEYS_DELETE, 11, 0));
    int rc = instar_commit(txn);
    if (rc == INSTAR_ECONFLICT && kind->numbers && at <= &to_ids[2]) {
        /* Giving row ids is a write like any other. */
        ok(rekeys_call(s.db, REKEYS_INSERT, 200, 2000));
        ok(rekeys_call(s.db, REKEYS_UPDATE, 3, 300));
        ok(rekeys_call(s.db, REKEYS_DELETE, 10, 0));
        rc = INSTAR_OK;
    }
    cr_assert_eq(rc, INSTAR_OK, "%s at %s: %s", kind->name, at->name, instar_error_text());
    rc = instar_commit(loser);
    cr_assert_eq(rc, INSTAR_ECONFLICT, "%s at %s: %s", kind->name, at->name, instar_error_text());
    rekeys_model[200] = 2000;
    rekeys_model[3] = 300;
    rekeys_model[10] = 0;
    rekeys_close(&x);
    scene_await(s.db, s.change, INSTAR_OK, NULL);
    scene_end(&s, kind->after);
}

/* A transaction of the version before goes on beside the next one, and the one behind that waits
 * for it. Where both write one row, one of them is refused. */
Test(rekey_stages, writers_of_two_versions)
{
    each_point(write_beside);
}

static void cancel_at(const struct rekeys_kind *kind, const struct point *at)
{
    struct scene_held s;
    scene_begin(&s, kind, at);
    if (at->swapped) {
        fails(instar_change_cancel(s.db, s.change), INSTAR_ESTATE);
        scene_held_done(&s);
        scene_end(&s, kind->after);
        return;
    }
    ok(instar_change_cancel(s.db, s.change));
    write_some(s.db, 100);
    test_hold_release(&s.hold);
    scene_await(s.db, s.change, INSTAR_ECANCELLED, NULL);
    cr_assert_str_eq(alters_schema(s.db, "t"), "a int8 not null; b int8; c text; e int8 default 5",
                     "%s at %s", kind->name, at->name);
    write_some(s.db, 200);
    ok(dbs_drop_index(s.db, "t_c")); /* its name is free to use again */
    ok(compounds_run(s.db, "CREATE INDEX t_c ON t (c)"));
    ok(alters_insert(s.db, "t", "a,b", "300,null"));
    ok(rekeys_call(s.db, REKEYS_DELETE, 300, 0));
    scene_end(&s, rekeys_key_before(kind));
}

/* Until the swap a cancel leaves the table as it was. */
Test(rekey_stages, cancelled_at_each)
{
    each_point(cancel_at);
}

/* Held before the swap; then released. Meanwhile its indexes are nobody else's. */
Test(rekey_stages, held_and_released)
{
    struct test_child runner;
    instar_change_options options = scene_options(30000);
    instar_change_info info;
    uint64_t change;
    uint64_t other;

    rekeys_make_t(&rekeys_kinds[REKEYS_ALTER], ROWS);
    scene_runner(&runner);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    options.flags = INSTAR_CHANGE_HOLD;
    ok(compounds_submit(db, rekeys_kinds[REKEYS_ALTER].change, &options, &change));
    scene_await_waiting(db, change, "complete", &info);
    expect(strstr(info.waiting_for, "release") != NULL);
    fails(instar_drop_index(db, "t_c", NULL, &other), INSTAR_ESTATE);
    fails(compounds_submit(db, "ALTER INDEX t_c RENAME TO t_d", NULL, &other), INSTAR_ESTATE);
    fails(compounds_submit(db, "ALTER TABLE t DROP CONSTRAINT t_pkey", NULL, &other),
          INSTAR_ESTATE);
    fails(rekeys_call(db, REKEYS_INSERT, 100, rekeys_model[1]), INSTAR_EUNIQUE);
    fails(alters_insert(db, "t", "a,b", "300,null"), INSTAR_ENOT_NULL);
    write_some(db, 100);
    ok(scene_steer(db, change, 0, INSTAR_CHANGE_HOLD));
    scene_await(db, change, INSTAR_OK, NULL);
    fails(rekeys_call(db, REKEYS_INSERT, 110, rekeys_model[1]), INSTAR_EEXISTS);
    cr_assert_str_eq(alters_schema(db, "t"),
                     "a int8 not null; b int8 not null; c text; e int8 default 5");
    expect_model(db);
    dbs_end(db);
    scene_runner_end(&runner);
}

/* A transaction may have two rows with one value on its way, as UNIQUE allows: in the tree of rows
 * by that value they take each other's place, and in the end each has its own. */
Test(rekey_stages, two_rows_swap_their_values)
{
    static const struct point held[] = {{"rekey.rows_write_only", 1, false},
                                        {"rekey.rows_fold_end", 1, false},
                                        {"rekey.rows_enforcing", 1, false}};

    for (size_t i = 0; i < BASE_ARRAY_LEN(held); i++) {
        struct scene_held s;
        struct rekeys x;
        instar_txn *txn;
        scene_begin(&s, &rekeys_kinds[i % 2], &held[i]);
        rekeys_open(s.db, &x);
        ok(instar_begin(s.db, 0, &txn));
        ok(rekeys_update(txn, &x, 3, rekeys_model[4])); /* as 4 has it */
        ok(rekeys_update(txn, &x, 4, rekeys_model[3]));
        ok(rekeys_update(txn, &x, 5, rekeys_model[6])); /* as 6 has it, */
        ok(rekeys_update(txn, &x, 5, 555));             /* and no more */
        ok(rekeys_update(txn, &x, 7, rekeys_model[8]));
        ok(rekeys_delete(txn, &x, 8));
        ok(instar_commit(txn));
        rekeys_close(&x);
        int64_t three = rekeys_model[3];
        rekeys_model[3] = rekeys_model[4];
        rekeys_model[4] = three;
        rekeys_model[5] = 555;
        rekeys_model[7] = rekeys_model[8];
        rekeys_model[8] = 0;
        scene_held_done(&s);
        scene_end(&s, "b");
    }
}

/* A drop of the table cancels it, and leaves no tree behind. */
Test(rekey_stages, table_is_dropped_in_the_middle)
{
    static const struct point held[] = {{"build.loaded", 1, false},
                                        {"build.loaded", 2, false},
                                        {"rekey.rows_fold_end", 1, false},
                                        {"rekey.swapped", 1, true}};

    for (size_t i = 0; i < BASE_ARRAY_LEN(held); i++) {
        struct scene_held s;
        uint64_t drop;
        scene_begin(&s, &rekeys_kinds[i % 2], &held[i]);
        ok(instar_drop_table(s.db, "t", NULL, &drop));
        test_hold_release(&s.hold);
        scene_await(s.db, s.change, held[i].swapped ? INSTAR_OK : INSTAR_ECANCELLED, NULL);
        scene_await(s.db, drop, INSTAR_OK, NULL);
        ok(compounds_run(s.db, "CREATE TABLE t (a int8, b int8, c text, PRIMARY KEY (a))"));
        ok(compounds_run(s.db, "CREATE INDEX t_c ON t (c)"));
        dbs_check_clean(s.db); /* names stray trees */
        ok(instar_close(s.db));
        scene_runner_end(&s.runner);
        test_hold_end(&s.hold);
    }
}

/* ---- what cannot be a key ----------------------------------------------------------------- */

/* Duplicates, nulls and keys that are too long fail the change, which names them, and leave nothing
 * behind. */
Test(rekey_stages, rows_that_break_the_key_are_named)
{
    static const struct {
        const char *b, *c, *key, *reason;
        int code;
    } cases[] = {
        {"12", "x", "b", "t_pkey", INSTAR_EUNIQUE},
        {"null", "x", "b", "column b is null", INSTAR_ENOT_NULL},
        {"99", NULL, "c", "limit", INSTAR_ELIMIT},
    };
    char long_text[1024];

    memset(long_text, 'x', 600);
    long_text[600] = 0;
    for (size_t i = 0; i < 2 * BASE_ARRAY_LEN(cases); i++) {
        const struct rekeys_kind *kind = &rekeys_kinds[i % 2];
        char text[2048];
        instar_change_info info;
        uint64_t change;
        test_remove(dbs_path());
        rekeys_make_t(kind, 0);
        instar *db = dbs_open(0);
        snprintf(text, sizeof(text), "1,%s,%s", cases[i / 2].b,
                 cases[i / 2].c != NULL ? cases[i / 2].c : long_text);
        ok(compounds_run(db, "DROP INDEX t_c"));
        ok(alters_insert(db, "t", "a,b,c", text));
        ok(alters_insert(db, "t", "a,b,c", "2,12,y"));
        snprintf(text, sizeof(text), "ALTER TABLE t %sADD PRIMARY KEY (%s)",
                 i % 2 == 1 ? "DROP CONSTRAINT t_pkey, " : "", cases[i / 2].key);
        ok(compounds_submit(db, text, NULL, &change));
        fails(instar_change_wait(db, change, TEST_AWAIT_S * 1000, &info), INSTAR_EFAILED);
        cr_assert_eq(info.error, cases[i / 2].code, "%s: %s", text, info.reason);
        expect(strstr(info.reason, cases[i / 2].reason) != NULL);
        cr_assert_str_eq(alters_schema(db, "t"),
                         "a int8 not null; b int8; c text; e int8 default 5");
        cr_assert_str_eq(compounds_indexes(db, "t"), "t_a unique public; t_u unique public");
        cr_assert_str_eq(rekeys_key(db), rekeys_key_before(kind));
        dbs_end(db);
    }
}

/* What makes no sense is refused before anything begins. */
Test(rekey_stages, refused_at_once)
{
    static const struct {
        enum { BEFORE_ADD, BEFORE_ALTER } kind;
        const char *text;
        int code;
        const char *words;
    } cases[] = {
        {BEFORE_ADD, "ALTER TABLE t DROP PRIMARY KEY", INSTAR_EINVALID, ""},
        {BEFORE_ADD, "ALTER TABLE t DROP CONSTRAINT t_pkey", INSTAR_EUNKNOWN, "t_pkey"},
        {BEFORE_ADD, "ALTER TABLE t ADD PRIMARY KEY (x)", INSTAR_EUNKNOWN, "\"x\""},
        {BEFORE_ADD, "ALTER TABLE t ADD PRIMARY KEY (a, a)", INSTAR_EINVALID, "twice"},
        {BEFORE_ADD, "ALTER TABLE t ADD PRIMARY KEY (a), ADD PRIMARY KEY (b)", INSTAR_EINVALID,
         "changes twice in one change"},
        {BEFORE_ADD, "ALTER TABLE t ADD PRIMARY KEY (d), ADD COLUMN d int8", INSTAR_EUNKNOWN,
         "\"d\""},
        {BEFORE_ADD, "ALTER TABLE t ADD COLUMN d int8 DEFAULT 1, ADD PRIMARY KEY (a, d)",
         INSTAR_EINVALID, "column \"d\" is added in the same change"},
        {BEFORE_ADD, "ALTER TABLE t ADD PRIMARY KEY (a); ALTER INDEX t_u RENAME TO t_v",
         INSTAR_EINVALID, "index \"t_u\" is renamed in the change"},
        {BEFORE_ADD, "ALTER TABLE t ADD PRIMARY KEY (a), DROP COLUMN a", INSTAR_ESTATE,
         "it is of the primary key"},
        {BEFORE_ADD, "ALTER TABLE t ADD COLUMN \"" INSTAR_ROW_ID "\" int8", INSTAR_EINVALID,
         "row ids"},
        {BEFORE_ADD, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)", INSTAR_EUNKNOWN,
         "no primary key"},
        {BEFORE_ADD, "ALTER TABLE t DROP CONSTRAINT IF EXISTS t_pkey", INSTAR_OK, ""},
        {BEFORE_ADD, "ALTER TABLE t DROP CONSTRAINT IF EXISTS t_pkey, ADD PRIMARY KEY (a)",
         INSTAR_OK, ""},
        {BEFORE_ALTER, "ALTER TABLE t ADD PRIMARY KEY (b)", INSTAR_EEXISTS, "already"},
        {BEFORE_ALTER, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)", INSTAR_EEXISTS,
         "already"},
        {BEFORE_ALTER,
         "ALTER TABLE t ADD COLUMN d int8, DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)",
         INSTAR_EEXISTS, "already"},
        {BEFORE_ALTER, "ALTER TABLE t ADD COLUMN d int8, ADD PRIMARY KEY (b)", INSTAR_EEXISTS,
         "already"},
        {BEFORE_ALTER, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD d int8, DROP CONSTRAINT t_pkey",
         INSTAR_EUNKNOWN, "no primary key"},
        {BEFORE_ALTER,
         "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b); ALTER TABLE t DROP CONSTRAINT "
         "t_pkey",
         INSTAR_EINVALID, "changes twice in one change"},
        {BEFORE_ALTER,
         "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD COLUMN s int8 REFERENCES t (b), ADD PRIMARY "
         "KEY (b)",
         INSTAR_EINVALID, "b"},
        {BEFORE_ALTER, "ALTER TABLE t DROP COLUMN a", INSTAR_ESTATE, "primary key"},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        uint64_t change;
        test_remove(dbs_path());
        rekeys_make_t(&rekeys_kinds[cases[i].kind], 1);
        instar *db = dbs_open(0);
        int rc = compounds_submit(db, cases[i].text, NULL, &change);
        cr_assert_eq(rc, cases[i].code, "%s: %s", cases[i].text, compounds_error());
        expect(rc == INSTAR_OK || strstr(compounds_error(), cases[i].words) != NULL);
        ok(instar_close(db));
    }
}

/* A projection that was prepared for the old key does not take it for the new one. */
Test(rekey_stages, old_keys_are_no_new_ones)
{
    struct rekeys x;
    instar_txn *txn;
    instar_value key = number(11); /* of row 1 by the new key, of row 11 by the old one */
    instar_value values[3] = {number(1), number(2)};

    rekeys_make_t(&rekeys_kinds[REKEYS_ALTER], ROWS);
    instar *db = dbs_open(0);
    rekeys_open(db, &x);
    ok(compounds_run(db, rekeys_kinds[REKEYS_ALTER].change));
    ok(instar_begin(db, 0, &txn));
    fails(instar_get(txn, x.p, &key, values), INSTAR_EUNKNOWN);
    values[0] = number(1);
    values[1] = number(2);
    fails(instar_update(txn, x.p, &key, values), INSTAR_EUNKNOWN);
    fails(instar_upsert(txn, x.p, values), INSTAR_EUNKNOWN);
    fails(instar_delete(txn, x.p, &key), INSTAR_EUNKNOWN);
    ok(instar_insert(txn, x.p, (const instar_value[]){number(99), number(999)}));
    ok(rekeys_find(txn, &x, 99, values));
    ok(instar_commit(txn));
    rekeys_model[99] = 999;
    expect_model(db);
    rekeys_close(&x);
    dbs_end(db);
}

/* ---- there and back ----------------------------------------------------------------------- */

/* One key after the other, and no key, with writes between: the rows stay, ids of columns and trees
 * are never used twice. */
Test(rekey_stages, one_after_the_other)
{
    static const char *const changes[] = {
        "ALTER TABLE t ADD PRIMARY KEY (a)",
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY (b, a)",
        "ALTER TABLE t DROP CONSTRAINT t_pkey",
        "ALTER TABLE t ADD COLUMN d int8 NOT NULL DEFAULT 3",
        "ALTER TABLE t ADD PRIMARY KEY (d, b)",
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b) WITH (b = DESC)",
        "ALTER TABLE t DROP COLUMN d",
        "ALTER TABLE t DROP CONSTRAINT t_pkey",
    };

    rekeys_make_t(&rekeys_kinds[REKEYS_ADD], ROWS);
    instar *db = dbs_open(0);
    for (size_t i = 0; i < BASE_ARRAY_LEN(changes); i++) {
        ok(compounds_run(db, changes[i]));
        rekeys_expect_indexes(db);
        expect_model(db);
        dbs_check_clean(db);
        for (int64_t a = 100; a < 110; a++) {
            ok(rekeys_call(db, REKEYS_INSERT, a, 5000 + 10 * (int64_t)i + a));
        }
        for (int64_t a = 100; a < 110; a++) {
            ok(rekeys_call(db, a % 2 == 0 ? REKEYS_DELETE : REKEYS_UPDATE, a, 9000 + a));
        }
        for (int64_t a = 101; a < 110; a += 2) {
            ok(rekeys_call(db, REKEYS_DELETE, a, 0));
        }
    }
    ok(instar_close(db));
    db = dbs_open(0);
    expect_model(db);
    dbs_end(db);
}
