/* SPDX-License-Identifier: Apache-2.0 */
/* Writers of both ends of a foreign key, side by side: of a row and a delete of what it refers to,
 * one fails, whichever commits first and under any isolation. */
#include "support/moves.h"

#include <stdio.h>
#include <string.h>

#define READY 1
#define GO 2

/* p(id, v) with 5 rows, c(id, p, v) that refers to both of its keys. */
static void make_tables(instar *db)
{
    ok(sqls_run(db, "create table p (id int8 primary key, v int8 unique);"
                    "create table c (id int8 primary key, p int8 references p, v int8 references p "
                    "(v))"));
    ok(moves_run(db, "insert p 1,10 ; insert p 2,20 ; insert p 3,30 ; insert p 4,40 ; insert p "
                     "5,50"));
}

/* Two transactions see the same; the second one to commit fails. */
static void race(unsigned flags, const char *child, const char *parent, bool child_first, int code)
{
    instar_txn *a;
    instar_txn *b;

    test_remove(dbs_path());
    instar *db = dbs_open(0);
    make_tables(db);
    ok(instar_begin(db, flags, &a));
    ok(instar_begin(db, flags, &b));
    ok(moves_do(db, a, child_first ? child : parent));
    ok(moves_do(db, b, child_first ? parent : child));
    ok(instar_commit(a));
    fails(instar_commit(b), code);
    dbs_end_sound(db);
}

/* A conflict is run again, and then sees what stands against it. */
Test(foreign_key_race, insert_and_delete)
{
    static const char *const children[] = {"insert c 1,1,null", "insert c 1,null,10"};

    for (unsigned i = 0; i < 8; i++) {
        race((i & 1) != 0 ? INSTAR_TXN_SNAPSHOT : 0, children[(i >> 1) & 1], "delete p 1",
             (i & 4) != 0, INSTAR_ECONFLICT);
    }
}

Test(foreign_key_race, insert_and_change_of_the_key)
{
    race(INSTAR_TXN_SNAPSHOT, "insert c 1,null,10", "update p 1 1,11", true, INSTAR_ECONFLICT);
    race(INSTAR_TXN_SNAPSHOT, "insert c 1,null,10", "update p 1 1,11", false, INSTAR_ECONFLICT);
    race(INSTAR_TXN_SNAPSHOT, "insert c 1,1,null", "update p 1 7,10", true, INSTAR_ECONFLICT);
    race(INSTAR_TXN_SNAPSHOT, "insert c 1,1,null", "update p 1 7,10", false, INSTAR_ECONFLICT);
    /* An update of the rest: the entry of the unique key is left alone, the row is not. */
    race(INSTAR_TXN_SNAPSHOT, "insert c 1,null,10", "update p 1 7,10", true, INSTAR_OK);
    race(INSTAR_TXN_SNAPSHOT, "insert c 1,1,null", "update p 1 1,11", true, INSTAR_OK);
}

/* ---- processes ---------------------------------------------------------------------------- */

#define ROUNDS 300
#define LAPS 20

struct role {
    bool child;
    uint32_t seed;
    int laps; /* of its rounds; all set out together in each */
};

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* Insert and delete rows of one end at random; what is refused by the other end is no failure. */
static void work(struct test_child *self, void *arg)
{
    struct role *role = arg;
    uint64_t done = 0;

    test_await(self, READY);
    instar *db = dbs_open(0);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % (ROUNDS / role->laps) == 0) {
            test_send(self, READY);
            test_await(self, GO);
        }
        unsigned id = next(&role->seed) % 12 + 1;
        unsigned other = next(&role->seed) % 5 + 1;
        char text[128];
        if (role->child) {
            bool insert = next(&role->seed) % 3 != 0;
            snprintf(text, sizeof(text), insert ? "insert c %u,%u,%u" : "delete c %u", id, other,
                     other * 10);
        } else {
            bool insert = next(&role->seed) % 2 != 0;
            snprintf(text, sizeof(text), insert ? "insert p %u,%u" : "delete p %u", other,
                     other * 10);
        }
        int rc = moves_run(db, text);
        done += rc == 0;
        cr_assert(rc == 0 || rc == INSTAR_EEXISTS || rc == INSTAR_ENOTFOUND ||
                      rc == INSTAR_EREFERENCE,
                  "%s: %s", text, instar_error_text());
    }
    ok(instar_close(db));
    test_send(self, done);
}

/* They set out together: an end that has come to its own would leave nothing to do for the other.
 */
static void go(struct test_child children[4])
{
    for (unsigned i = 0; i < 4; i++) {
        test_await(&children[i], READY);
    }
    for (unsigned i = 0; i < 4; i++) {
        test_send(&children[i], GO);
    }
}

/* Two processes on each end are at work from now on, with chances from the first on. */
static instar *begin_on_both_ends(struct test_child children[4], unsigned first, int laps)
{
    struct role roles[4];

    (void)dbs_path(); /* the children's too */
    for (unsigned i = 0; i < 4; i++) {
        roles[i] = (struct role){i % 2 == 0, first + i, laps};
        test_fork(&children[i], work, &roles[i]);
    }
    instar *db = dbs_open(0);
    make_tables(db);
    for (unsigned i = 0; i < 4; i++) {
        test_send(&children[i], READY);
    }
    go(children);
    return db;
}

/* Two processes on each end, many times: in the end no row refers to nothing. */
Test(foreign_key_race, processes_on_both_ends)
{
    struct test_child children[4];
    uint64_t done[4];
    instar *db = begin_on_both_ends(children, 1, LAPS);

    for (int lap = 1; lap < LAPS; lap++) {
        go(children);
    }
    for (unsigned i = 0; i < 4; i++) {
        done[i] = test_receive(&children[i]);
        test_wait_ok(&children[i]);
    }
    expect(done[0] + done[2] > 0 && done[1] + done[3] > 0);
    dbs_end_sound(db);
}

/* The same while the foreign key comes and goes: validation and writers of both versions agree. */
Test(foreign_key_race, processes_while_it_comes_and_goes)
{
    struct test_child children[4];
    instar *db = begin_on_both_ends(children, 11, 1);
    unsigned added = 0;

    for (unsigned i = 0; i < 20; i++) {
        ok(sqls_run(db, "alter table c drop constraint c_p_fkey"));
        int rc = sqls_run(db, "alter table c add foreign key (p) references p");
        if (rc == INSTAR_EFAILED) { /* a row came, or went, in between: NOT VALID does not mind */
            ok(sqls_run(db, "alter table c add foreign key (p) references p not valid"));
        }
        added += rc == 0;
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)test_receive(&children[i]);
        test_wait_ok(&children[i]);
    }
    dbs_end_sound(db);
    (void)added;
}
