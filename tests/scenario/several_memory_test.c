/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that runs a change of several tables, and the one that submits it, get no memory,
 * once, at one of their requests after the other. All tables are as wanted, or all are as they
 * were.
 */
#define _GNU_SOURCE
#include "support/severals.h"

#include <instar_sql.h>
#include <pthread.h>
#include <stdatomic.h>
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

/* Requests of that thread until one is refused; below zero: none. */
static _Atomic int64_t left = -1;

static bool refuse_one(size_t size)
{
    char name[16] = "";

    (void)size;
    if (atomic_load(&left) < 0 || pthread_getname_np(pthread_self(), name, sizeof(name)) != 0 ||
        strcmp(name, "instar-change") != 0) {
        return true;
    }
    return atomic_fetch_sub(&left, 1) != 0;
}

/* Refuses one of this very thread. */
static pthread_t submitter;
static bool refuse_mine(size_t size)
{
    (void)size;
    return atomic_load(&left) < 0 || !pthread_equal(pthread_self(), submitter) ||
           atomic_fetch_sub(&left, 1) != 0;
}

static bool is_there(instar *db)
{
    return strstr(severals_schema(db), "CREATE TABLE n ") != NULL;
}

/* The change with its nth request refused. False: none was. */
static bool run_once(instar *db, int64_t nth, const char *schemas[2])
{
    instar_change_info info;
    bool there = is_there(db);

    atomic_store(&left, nth);
    uint64_t change = severals_submit(db, there ? BACK : THERE);
    int rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, &info);
    bool refused = atomic_exchange(&left, -1) < 0;
    cr_assert(rc == INSTAR_OK || (rc == INSTAR_EFAILED && info.error == INSTAR_ENOMEM), "%d: %s",
              (int)nth, instar_error_text());
    cr_assert(rc == INSTAR_OK || refused);
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

    base_alloc_hook = refuse_one;
    for (int64_t nth = 0; more; nth += 1 + nth / 7) { /* less and less often */
        more = run_once(db, nth, both);
        refused += more;
    }
    cr_assert_gt(refused, 20);
    base_alloc_hook = NULL;
    moves_check_clean(db);
    ok(instar_close(db));
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
    submitter = pthread_self();
    base_alloc_hook = refuse_mine;
    for (int64_t nth = 0; rc != INSTAR_OK; nth += 1 + nth / 20) {
        atomic_store(&left, nth);
        rc = instar_sql_submit(db, sql, 0, &change, NULL);
        expect(rc == INSTAR_OK || (rc == INSTAR_ENOMEM && change == 0));
    }
    atomic_store(&left, -1);
    base_alloc_hook = NULL;
    scene_await(db, change, INSTAR_OK, NULL);
    expect(is_there(db));
    instar_sql_free(sql);
    moves_check_clean(db);
    ok(instar_close(db));
}
