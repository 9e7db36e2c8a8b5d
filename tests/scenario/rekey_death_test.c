/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runners that are killed while a primary key becomes another: another process goes on where they
 * were, there or back.
 */
#include "support/compounds.h"
#include "support/rekeys.h"

#include <string.h>

#define MANY 50000 /* more entries than the memory of the build holds */

struct victim {
    const struct rekeys_kind *kind;
    const char *point;
    uint64_t nth;
    bool fails;
};

static uint64_t submit(instar *db, const void *arg)
{
    const struct victim *v = arg;
    instar_change_options o = scene_options(30000);
    uint64_t change;

    o.sort_memory_bytes = 1 << 20;
    o.workers = 2;
    ok(compounds_submit(db, v->kind->change, &o, &change));
    return change;
}

static int count_row(void *arg, const instar_table_info *info)
{
    (void)info;
    (void)arg;
    return 0;
}

static uint64_t count_rows(instar *db)
{
    instar_check_summary sum;

    ok(instar_table_list(db, "t", count_row, NULL));
    ok(instar_check(db, NULL, NULL, &sum));
    expect_u64(sum.findings, 0);
    return sum.rows;
}

static void kill_and_finish(const struct victim *v)
{
    struct test_child keeper;
    const struct scene_death death = {v->point, v->nth, v->kind->name, submit, v};

    test_remove(dbs_path());
    bool small = strncmp(v->point, "build.", 6) != 0 && strncmp(v->point, "bulk.", 5) != 0;
    int64_t rows = small ? 300 : MANY;
    rekeys_make_t(v->kind, rows);
    scene_keeper(&keeper);
    if (v->fails) {
        instar *before = dbs_open(INSTAR_OPEN_NO_RUNNER);
        ok(rekeys_call(before, REKEYS_INSERT, 400, scene_plus_10(1)));
        ok(instar_close(before));
    }
    scene_kill(&death);
    instar *db = scene_take_over(&death, v->fails ? INSTAR_EFAILED : INSTAR_OK, NULL);
    cr_assert_str_eq(rekeys_key(db), v->fails ? rekeys_key_before(v->kind) : v->kind->after);
    rekeys_expect_indexes(db);
    expect_u64(count_rows(db), (uint64_t)rows + v->fails);
    dbs_end(db);
    scene_runner_end(&keeper);
}

/* Another process goes on where it was, and the new key becomes the table's. */
Test(rekey_death, runner_is_killed_on_the_way)
{
    static const struct victim victims[] = {
        {&rekeys_kinds[REKEYS_ALTER], "change.submitted", 1, false},
        {&rekeys_kinds[REKEYS_ALTER], "change.delete_only", 1, false},
        {&rekeys_kinds[REKEYS_ALTER], "change.cut", 1, false},
        {&rekeys_kinds[REKEYS_ALTER], "change.validated", 1, false},
        {&rekeys_kinds[REKEYS_ADD], "rekey.rows_delete_only", 1, false},
        {&rekeys_kinds[REKEYS_ADD], "rekey.rows_cut", 1, false},
        {&rekeys_kinds[REKEYS_ADD], "build.batch_scanned", 60, false},
        {&rekeys_kinds[REKEYS_ALTER], "build.spilled", 2, false},
        {&rekeys_kinds[REKEYS_ALTER], "bulk.committed", 6, false},
        {&rekeys_kinds[REKEYS_ALTER], "bulk.batch_written", 9, false},
        {&rekeys_kinds[REKEYS_ALTER], "build.loaded", 2, false},
        {&rekeys_kinds[REKEYS_ALTER], "rekey.rows_fold_end", 1, false},
        {&rekeys_kinds[REKEYS_ALTER], "rekey.rows_enforcing", 1, false},
        {&rekeys_kinds[REKEYS_ALTER], "rekey.swapped", 1, false},
        {&rekeys_kinds[REKEYS_DROP], "rekey.ids_added", 1, false},
        {&rekeys_kinds[REKEYS_DROP], "rekey.batch_filled", 2, false},
        {&rekeys_kinds[REKEYS_DROP], "rekey.filled", 1, false},
        {&rekeys_kinds[REKEYS_DROP], "rekey.swapped", 1, false},
        {&rekeys_kinds[REKEYS_ALTER], "change.lowered", 1, false},
        {&rekeys_kinds[REKEYS_ALTER], "change.absent", 1, false},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        kill_and_finish(&victims[i]);
    }
}

/* The same on the way back: nothing of it stays. */
Test(rekey_death, runner_is_killed_on_the_way_back)
{
    static const struct victim victims[] = {
        {&rekeys_kinds[REKEYS_ALTER], "change.turned_back", 1, true},
        {&rekeys_kinds[REKEYS_ADD], "change.withdrawn", 1, true},
        {&rekeys_kinds[REKEYS_ALTER], "change.absent", 1, true},
        {&rekeys_kinds[REKEYS_ADD], "change.purged", 1, true},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        kill_and_finish(&victims[i]);
    }
}
