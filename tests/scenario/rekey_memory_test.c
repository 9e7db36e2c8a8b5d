/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that runs a change of the primary key gets no memory, once, at one of its requests
 * after the other. The new key is the table's or the old one is; either way nothing else is left,
 * and the table goes on.
 */
#include "support/compounds.h"
#include "support/rekeys.h"

#include <stdio.h>
#include <string.h>

#define INDEXES "t_a unique public; t_c public"

static void expect_key(instar *db, const char *key)
{
    const char *indexes = compounds_indexes(db, "t");

    cr_assert_str_eq(rekeys_key(db), key);
    expect(strstr(indexes, "t_a unique public") != NULL && strstr(indexes, "t_c public") != NULL);
    cr_assert_eq(strlen(indexes), strlen(INDEXES), "%s", indexes);
    cr_assert_str_eq(dbs_dump(db, "t", "t_a"), "1:11 2:12 3:13 ");
}

/* The change with its nth request refused. False: none was. */
static bool run_once(instar *db, const char *text, const char *key, uint64_t nth)
{
    uint64_t change;
    char before[256];

    snprintf(before, sizeof(before), "%s", rekeys_key(db));
    bool refused;
    scene_refuse_memory(nth);
    ok(compounds_submit(db, text, NULL, &change));
    int rc = scene_await_refusal(db, change, &refused);
    expect_key(db, rc == INSTAR_OK ? key : before);
    return refused;
}

/* E1: no request for memory may fail half a change. */
Test(rekey_memory, refused_once, .timeout = 300)
{
    static const char *const there = "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)";
    static const char *const back = "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)";
    instar *db = dbs_open(0);
    int refused = 0;
    bool more = true;

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 4, scene_plus_10);
    ok(dbs_index(db, "t_a", "t", "a", true, NULL));
    ok(dbs_index(db, "t_c", "t", "c,b", false, NULL));
    for (uint64_t nth = 1; more; nth += 1 + nth / 7) { /* less and less often */
        bool keyed_by_a = strcmp(rekeys_key(db), "a") == 0;
        more = run_once(db, keyed_by_a ? there : back, keyed_by_a ? "b" : "a", nth);
        refused += more;
    }
    cr_assert_gt(refused, 20);
    dbs_end(db);
}
