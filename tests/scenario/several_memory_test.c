/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that runs a change of several tables, and the one that submits it, get no memory,
 * once, at one of their requests after the other. All tables are as wanted, or all are as they
 * were.
 */
#include "support/severals.h"

#include <instar_sql.h>
#include <stdio.h>
#include <string.h>

#define THERE                                                                                \
    "CREATE TABLE n (id int8 PRIMARY KEY, p int8 REFERENCES p); ALTER TABLE c ADD COLUMN x " \
    "int8 DEFAULT 5, ALTER w SET NOT NULL; CREATE UNIQUE INDEX c_x ON c (x, id);"            \
    "DROP INDEX c_w; DROP TABLE d; ALTER TABLE p RENAME COLUMN v TO z"
#define BACK                                                                         \
    "CREATE TABLE d (id int8 PRIMARY KEY, p int8 REFERENCES p); DROP INDEX c_x;"     \
    "ALTER TABLE c DROP COLUMN x, ALTER w DROP NOT NULL; CREATE INDEX c_w ON c (w);" \
    "DROP TABLE n; ALTER TABLE p RENAME COLUMN z TO v"

static bool is_there(instar *db)
{
    return strstr(severals_schema(db), "CREATE TABLE n ") != NULL;
}

/* The change with its nth request refused. False: none was. */
static bool run_once(instar *db, uint64_t nth, const char *schemas[2])
{
    bool there = is_there(db);

    bool refused;
    scene_refuse_memory(nth);
    uint64_t change = severals_submit(db, there ? BACK : THERE);
    int rc = scene_await_refusal(db, change, &refused);
    cr_assert_str_eq(severals_schema(db), schemas[is_there(db)], "%d", (int)nth);
    expect(is_there(db) == (rc == INSTAR_OK ? !there : there));
    return refused;
}

static instar *open_both(char schemas[2][16384])
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    severals_make_tables(db);
    for (int i = 0; i < 2; i++) { /* what comes back stands in another order than at first */
        scene_await(db, severals_submit(db, THERE), INSTAR_OK, NULL);
        (void)snprintf(schemas[1], 16384, "%s", severals_schema(db));
        scene_await(db, severals_submit(db, BACK), INSTAR_OK, NULL);
        (void)snprintf(schemas[0], 16384, "%s", severals_schema(db));
    }
    return db;
}

/* E1: no request for memory may fail half a change. */
Test(several_memory, refused_once, .timeout = 300)
{
    static char schemas[2][16384];
    const char *both[2] = {schemas[0], schemas[1]};
    instar *db = open_both(schemas);
    int refused = 0;
    bool more = true;

    for (uint64_t nth = 1; more; nth += 1 + nth / 7) { /* less and less often */
        more = run_once(db, nth, both);
        refused += more;
    }
    cr_assert_gt(refused, 20);
    dbs_end_sound(db);
}

/* A submission that gets none submits nothing, and takes no name. */
Test(several_memory, refused_at_submission, .timeout = 300)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);
    instar_sql *sql = NULL;
    const char *text = "BEGIN; " THERE "; COMMIT";
    uint64_t change = 0;
    int rc = INSTAR_ENOMEM;

    severals_make_tables(db);
    ok(instar_sql_read(text, strlen(text), NULL, &sql, NULL));
    for (uint64_t nth = 1; rc != INSTAR_OK; nth += 1 + nth / 20) {
        test_shortage_set(&(struct test_shortage){.nth = nth, .mine = true});
        rc = instar_sql_submit(db, sql, 0, &change, NULL);
        expect(rc == INSTAR_OK || (rc == INSTAR_ENOMEM && change == 0));
    }
    test_shortage_set(NULL);
    scene_await(db, change, INSTAR_OK, NULL);
    expect(is_there(db));
    instar_sql_free(sql);
    dbs_end_sound(db);
}
