/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is killed while it makes a store, anew or from a backup: what it leaves is no store,
 * and in nobody's way; or it is one, and whole.
 */
#include "support/dbs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static char backup[300], made[300];

struct making {
    const char *point;
    int (*make)(void);
    bool formatted; /* it is a store by then */
};

static int create(void)
{
    instar_options o = dbs_options();
    return instar_create(made, &o);
}

static int restore(void)
{
    return instar_restore(backup, made, NULL);
}

static void be_killed(struct test_child *self, void *arg)
{
    const struct making *m = arg;
    (void)self;
    test_kill_at_point(m->point, 1);
    (void)m->make();
}

static void make_backup(void)
{
    (void)snprintf(backup, sizeof(backup), "%s/backup", test_fast_dir());
    (void)snprintf(made, sizeof(made), "%s/made", test_fast_dir());
    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    ok(dbs_insert(db, "t", 1, 10));
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(dbs_insert(db, "t", 2, 20)); /* the log of the backup has it */
    ok(instar_backup(db, backup, NULL, NULL));
    ok(instar_close(db));
}

static void expect_whole(const struct making *m)
{
    instar *db = NULL;
    ok(instar_open(made, NULL, &db));
    if (m->make == restore) {
        expect(strcmp(dbs_dump(db, "t", "t_b"), "1:10 2:20 ") == 0);
    } else {
        dbs_make_table(db, "t");
    }
    ok(dbs_insert(db, "t", 3, 30));
    dbs_check_clean(db);
    ok(instar_close(db));
}

/* Killed before its format stands there: no store, and the next maker clears it away. Killed behind
 * that: a store. */
Test(making, death_at_each_point)
{
    static const struct making makings[] = {
        {"create.marked", create, false},       {"create.made", create, false},
        {"create.formatted", create, true},     {"create.marked", restore, false},
        {"restore.trees_made", restore, false}, {"restore.log_made", restore, false},
        {"create.made", restore, false},        {"create.formatted", restore, true}};
    make_backup();
    for (size_t i = 0; i < BASE_ARRAY_LEN(makings); i++) {
        const struct making *m = &makings[i];
        struct test_child child;
        instar *db = NULL;
        test_fork(&child, be_killed, (void *)(uintptr_t)m);
        expect(test_wait(&child) == -SIGKILL);
        if (m->formatted) {
            fails(m->make(), INSTAR_EEXISTS);
        } else {
            fails(instar_open(made, NULL, &db), INSTAR_ENOSTORE);
            ok(m->make());
        }
        expect_whole(m);
        test_remove(made);
    }
}
