/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that runs an alteration gets no memory, once, at each of its requests in turn. The
 * change is complete or it failed and left all as it was; either way the table goes on.
 */
#include "support/alters.h"

#include <stdio.h>
#include <string.h>

#define BEFORE "a int8 not null; b int8; c text"

/* More than one of the alterations makes; a few come before the thread has its name. */
#define REQUESTS 90

/* The change with its nth request refused. False: none was. */
static bool run_once(instar *db, const char *text, const char *back, const char *after,
                     uint64_t nth)
{
    uint64_t change;

    bool refused;
    scene_refuse_memory(nth);
    ok(alters_submit(db, "t", text, NULL, &change));
    int rc = scene_await_refusal(db, change, &refused);
    cr_assert_str_eq(alters_schema(db, "t"), rc == INSTAR_OK ? after : BEFORE, "%s, %d", text,
                     (int)nth);
    if (rc == INSTAR_OK) {
        ok(alters_run(db, "t", back));
    }
    cr_assert_str_eq(alters_schema(db, "t"), BEFORE);
    cr_assert_str_eq(alters_rows(db, "t", "a,b"), "1,11;2,12;3,13");
    return refused;
}

/* E1: no request for memory may fail half a change. */
Test(alter_memory, refused_once)
{
    static const struct {
        const char *text, *back, *after;
    } operations[] = {{"add d int8 default 5", "drop d", BEFORE "; d int8 default 5"},
                      {"rename-column c cc , set-not-null b",
                       "rename-column cc c , drop-not-null b",
                       "a int8 not null; b int8 not null; cc text"},
                      {"rename-index i j , add d text default x , set-default b 3",
                       "rename-index j i , drop d , drop-default b",
                       "a int8 not null; b int8 default 3; c text; d text default x"}};
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 4, scene_plus_10);
    ok(dbs_index(db, "i", "t", "b", false, NULL));
    for (size_t i = 0; i < BASE_ARRAY_LEN(operations); i++) {
        int refused = 0;
        for (uint64_t nth = 1; nth <= REQUESTS; nth++) {
            refused +=
                run_once(db, operations[i].text, operations[i].back, operations[i].after, nth);
        }
        cr_assert_gt(refused, 10);
    }
    dbs_end(db);
}

/* The same where indexes are made anew: on the way they are built, validated, and change places. */
Test(alter_memory, refused_once_beside_indexes)
{
    int refused = 0;
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 4, scene_plus_10);
    ok(dbs_index(db, "i", "t", "b", true, NULL));
    ok(dbs_index(db, "j", "t", "c,b desc", false, NULL));
    for (uint64_t nth = 1; nth <= 900; nth += 9) {
        refused += run_once(db, "set-type b text", "set-type b int8 using",
                            "a int8 not null; b text; c text", nth);
    }
    cr_assert_gt(refused, 30);
    dbs_end(db);
}
