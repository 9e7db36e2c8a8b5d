/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each pair of versions that stand side by side while a primary key becomes another: random
 * transactions of both, over few rows and few values, so that they meet. Whatever commits has seen
 * each row that it writes as the last commit left it, whichever of the two versions that had; the
 * rows in the end are those of the model; and when the change holds, no two have one new key.
 *
 * INSTAR_ROUNDS gives the number of rounds over all pairs, INSTAR_SEED which of them.
 */
#include "support/compounds.h"
#include "support/rekeys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROWS 8   /* values of a: 1 … */
#define VALUES 9 /* values of b: 1 … */
#define TURNS 5

static const struct {
    const char *key, *change, *after;
} kinds[] = {
    {"", "ALTER TABLE t ADD PRIMARY KEY (b)", "b"},
    {", PRIMARY KEY (a)", "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)", "b"},
    {", PRIMARY KEY (a)", "ALTER TABLE t DROP CONSTRAINT t_pkey", INSTAR_ROW_ID},
    {", PRIMARY KEY (b)", "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)", "a"},
};
/* Behind each of these stands a version; while it is held there, another transaction begins. */
static const char *const points[][14] = {
    {"change.delete_only", "change.write_only", "change.cut", "change.fold_end", "change.enforcing",
     "change.validated", "rekey.rows_delete_only", "rekey.rows_write_only", "rekey.rows_fold_end",
     "rekey.rows_enforcing", "rekey.swapped", "change.lowered"},
    {"rekey.ids_added", "rekey.filled", "change.enforcing", "change.validated",
     "rekey.rows_delete_only", "rekey.rows_write_only", "rekey.rows_fold_end",
     "rekey.rows_enforcing", "rekey.swapped", "change.lowered"},
};

static struct test_random chance;

static int64_t below(int64_t limit)
{
    return (int64_t)test_random_below(&chance, (uint64_t)limit);
}

/* b of each a, 0: no such row. */
struct model {
    int64_t b[ROWS + 1];
};

/* A transaction, what it saw when it began, and what it leaves. */
struct actor {
    instar_txn *txn;
    struct rekeys x;
    struct model saw, leaves;
    bool touched[ROWS + 1];
    bool failed;
};

static void actor_begin(instar *db, struct actor *actor, const struct model *now)
{
    *actor = (struct actor){.saw = *now, .leaves = *now};
    rekeys_open(db, &actor->x);
    ok(instar_begin(db, 0, &actor->txn));
}

/* One write of a row as the transaction has it. */
static void actor_write(struct actor *actor)
{
    int64_t a = 1 + below(ROWS);
    int64_t b = 1 + below(VALUES);
    int64_t *row = &actor->leaves.b[a];
    bool deletes = *row != 0 && below(3) == 0;

    if (actor->failed) {
        return;
    }
    int rc = *row == 0 ? rekeys_insert(actor->txn, &actor->x, a, b)
             : deletes ? rekeys_delete(actor->txn, &actor->x, a)
                       : rekeys_update(actor->txn, &actor->x, a, b);
    /* The value is another row's key; or the schema has moved on, or the key is another. */
    actor->failed = rc != INSTAR_OK;
    cr_assert(rc == INSTAR_OK || rc == INSTAR_EEXISTS || rc == INSTAR_ESCHEMA_CHANGED ||
                  rc == INSTAR_EUNKNOWN,
              "%s, row %" PRId64 ", key %s", instar_error_text(), a, actor->x.key);
    *row = deletes ? 0 : b;
    actor->touched[a] = true;
}

static void actor_end(struct actor *actor, struct model *now)
{
    int rc = INSTAR_ECONFLICT;

    if (actor->failed) {
        instar_abort(actor->txn);
    } else {
        rc = instar_commit(actor->txn);
        cr_assert(rc == INSTAR_OK || rc == INSTAR_ECONFLICT || rc == INSTAR_EUNIQUE ||
                      rc == INSTAR_ESCHEMA_CHANGED,
                  "%s: %s", instar_error_name(rc), instar_error_text());
    }
    rekeys_close(&actor->x);
    for (int64_t a = 1; rc == INSTAR_OK && a <= ROWS; a++) {
        if (actor->touched[a]) {
            cr_assert_eq(now->b[a], actor->saw.b[a], "row %" PRId64 " was written unseen", a);
            now->b[a] = actor->leaves.b[a];
        }
    }
}

static void act(instar *db, struct model *now)
{
    struct actor actor;
    actor_begin(db, &actor, now);
    for (int64_t n = 1 + below(3); n > 0; n--) {
        actor_write(&actor);
    }
    actor_end(&actor, now);
}

static void expect_rows(instar *db, const struct model *now, bool distinct)
{
    char wanted[512] = "";
    size_t used = 0;
    bool seen[VALUES + ROWS + 1] = {false};

    for (int64_t a = 1; a <= ROWS; a++) {
        int64_t b = now->b[a];
        if (b != 0) {
            used += (size_t)snprintf(wanted + used, sizeof(wanted) - used,
                                     "%" PRId64 ":%" PRId64 " ", a, b);
            expect(!distinct || !seen[b]);
            seen[b] = true;
        }
    }
    cr_assert_str_eq(dbs_dump(db, "t", "t_a"), wanted);
    dbs_check_clean(db);
}

static int64_t same(int64_t i)
{
    return i;
}

static void make_t(const char *key, struct model *now)
{
    char text[256];
    test_remove(dbs_path());
    instar *db = dbs_open(0);

    snprintf(text, sizeof(text), "CREATE TABLE t (a int8 NOT NULL, b int8 NOT NULL, c text%s)",
             key);
    ok(compounds_run(db, text));
    ok(compounds_run(db, "CREATE UNIQUE INDEX t_a ON t (a)"));
    ok(compounds_run(db, "CREATE INDEX t_b ON t (b DESC) INCLUDE (a) WHERE b % 2 = 1"));
    *now = (struct model){.b = {0}};
    for (int64_t a = 1; a <= ROWS; a += 2) {
        now->b[a] = a;
        scene_fill(db, "t", a, a + 1, same);
    }
    ok(instar_close(db));
}

static void scene(size_t kind, const char *point)
{
    struct scene_held s;
    struct actor old;
    struct model now;
    instar_change_info info;
    uint64_t change;
    uint64_t rounds = 0;

    make_t(kinds[kind].key, &now);
    scene_hold(&s, point, 1);
    instar *db = s.db;
    ok(compounds_submit(db, kinds[kind].change, NULL, &change));
    test_hold_await(&s.hold);
    act(db, &now);
    actor_begin(db, &old, &now);
    actor_write(&old); /* it has its lease */
    test_hold_release(&s.hold);
    do { /* until the version behind the next waits for it, or there is none */
        instar_change_wait(db, change, 5, &info);
    } while (info.waiting_for[0] == 0 && info.finished_us == 0 && rounds++ < 400);
    for (int turn = 0; turn < TURNS; turn++) {
        act(db, &now);
        if (below(2) == 0) {
            actor_write(&old);
        }
    }
    actor_end(&old, &now);
    act(db, &now);
    int rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, &info);
    cr_assert(rc == INSTAR_OK || (rc == INSTAR_EFAILED && info.error == INSTAR_EUNIQUE), "%s: %s",
              point, instar_error_text());
    expect(rc != INSTAR_OK || strcmp(rekeys_key(db), kinds[kind].after) == 0);
    expect_rows(db, &now, strcmp(rekeys_key(db), "b") == 0);
    scene_held_close(&s);
}

Test(rekey_pairs, nothing_is_written_unseen, .timeout = 3600)
{
    uint64_t rounds = test_env_u64("INSTAR_ROUNDS", 1);

    chance = test_random(test_seed());
    for (uint64_t round = 0; round < rounds; round++) {
        for (size_t kind = 0; kind < BASE_ARRAY_LEN(kinds); kind++) {
            const char *const *list = points[strcmp(kinds[kind].after, INSTAR_ROW_ID) == 0];
            for (size_t i = 0; list[i] != NULL; i++) {
                scene(kind, list[i]);
            }
        }
    }
}
