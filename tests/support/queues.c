/* SPDX-License-Identifier: Apache-2.0 */
#include "support/queues.h"

#include <string.h>

instar *queues_stop(instar *db)
{
    ok(instar_close(db));
    return dbs_open(INSTAR_OPEN_NO_RUNNER);
}

instar *queues_reopen(instar *db)
{
    ok(instar_close(db));
    return dbs_open(0);
}

instar *queues_begin(void)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "CREATE TABLE t (a int8 PRIMARY KEY, b int8, c int8, d int8);"
                    "CREATE INDEX t_b ON t (b); ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (c);"
                    "CREATE TABLE p (a int8 PRIMARY KEY); CREATE TABLE q (a int8 PRIMARY KEY)"));
    ok(moves_run(db, "insert p 1 ; insert q 1 ; insert t 1,11,21,1 ; insert t 2,12,22,1"));
    return queues_stop(db);
}

uint64_t queues_submit(instar *db, const char *text)
{
    uint64_t change;
    int rc = sqls_submit(db, text, &change);

    cr_assert_eq(rc, INSTAR_OK, "%s: %s: %s", text, instar_error_name(rc), sqls_words());
    return change;
}

void queues_refused(instar *db, const char *text, int code, const char *wanted)
{
    uint64_t change;
    int rc = sqls_submit(db, text, &change);

    cr_expect(rc == code && sqls_say(wanted), "%s: %s: %s", text, instar_error_name(rc),
              sqls_words());
}

void queues_done(instar *db, uint64_t change)
{
    scene_await(db, change, INSTAR_OK, NULL);
}

void queues_failed(instar *db, uint64_t change, int code, const char *words)
{
    instar_change_info info;

    scene_await(db, change, INSTAR_EFAILED, &info);
    cr_expect(info.error == code && strstr(info.reason, words) != NULL, "%s: %s",
              instar_error_name(info.error), info.reason);
}

bool queues_shows(instar *db, const char *table, const char *words)
{
    return strstr(sqls_schema(db, table), words) != NULL;
}

void queues_await_words(instar *db, uint64_t change, const char *words)
{
    instar_change_info info;

    do {
        (void)instar_change_wait(db, change, 5, &info);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (strstr(info.waiting_for, words) == NULL);
}
