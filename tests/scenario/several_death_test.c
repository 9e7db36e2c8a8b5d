/* SPDX-License-Identifier: Apache-2.0 */
/* The process that runs a change of several tables is killed at each of its points: another one
 * finishes it, or undoes it, in all tables. */
#include "support/severals.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define READY 1

static void keep_open(struct test_child *self, void *arg)
{
    (void)arg;
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    test_send(self, READY);
    test_receive(self);
    ok(instar_close(db));
}

struct victim {
    const char *sql;
    const char *point;
};

/* Submits and waits; killed on the way. */
static void be_killed(struct test_child *self, void *arg)
{
    const struct victim *v = arg;

    (void)self;
    test_kill_at_point(v->point, 1);
    instar *db = dbs_open(0);
    uint64_t change = severals_submit(db, v->sql);
    instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
    instar_close(db); /* the verdict is seen before the runner has passed its last point */
    test_fail(__FILE__, __LINE__, "%s was not reached", v->point);
}

static int last_id(void *arg, const instar_change_info *info)
{
    *(uint64_t *)arg = info->id;
    return 0;
}

/* spoil: what makes it fail, or NULL. The schema that is left. */
static const char *kill_and_finish(const struct victim *v, const char *spoil)
{
    struct test_child keeper;
    struct test_child victim;
    static char before[16384];
    instar_change_info info;
    uint64_t change = 0;

    test_remove(dbs_path());
    instar *db = dbs_open(0);
    severals_make_tables(db);
    if (spoil != NULL) {
        ok(moves_run(db, spoil));
    }
    (void)snprintf(before, sizeof(before), "%s", severals_schema(db));
    ok(instar_close(db));
    test_fork(&keeper, keep_open, NULL);
    test_await(&keeper, READY);
    test_fork(&victim, be_killed, (void *)v);
    cr_assert_eq(test_wait(&victim), -SIGKILL, "%s", v->point);
    db = dbs_open(0);
    ok(instar_change_list(db, last_id, &change));
    int rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, &info);
    cr_assert_eq(rc, spoil != NULL ? INSTAR_EFAILED : INSTAR_OK, "%s: %s", v->point,
                 instar_error_text());
    static char after[16384];
    (void)snprintf(after, sizeof(after), "%s", severals_schema(db));
    cr_assert((strcmp(before, after) == 0) == (spoil != NULL), "%s: %s", v->point, after);
    moves_check_clean(db);
    ok(instar_close(db));
    test_send(&keeper, 0);
    test_wait_ok(&keeper);
    return after;
}

/* Whatever was done until then, all of it is there in the end, the same each time. */
Test(several_death, finished_by_another)
{
    for (size_t k = 0; k < severals_count; k++) {
        const struct several_case *c = &severals_cases[k];
        char wanted[16384] = "";

        for (size_t i = 0; i < BASE_ARRAY_LEN(c->before) + BASE_ARRAY_LEN(c->after); i++) {
            size_t behind = i - BASE_ARRAY_LEN(c->before);
            const char *point = i < BASE_ARRAY_LEN(c->before) ? c->before[i] : c->after[behind];
            if (point == NULL) {
                continue;
            }
            const struct victim v = {c->sql, point};
            const char *found = kill_and_finish(&v, NULL);
            if (wanted[0] == '\0') {
                (void)snprintf(wanted, sizeof(wanted), "%s", found);
            }
            cr_assert_str_eq(found, wanted, "%s", point);
        }
    }
}

/* On the way back: nothing of it stays in any table. */
Test(several_death, undone_by_another)
{
    static const struct victim victims[] = {
        {NULL, "change.turned_back"}, {NULL, "change.withdrawn"}, {NULL, "change.absent"},
        {NULL, "change.retired"},     {NULL, "change.purged"},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(victims); i++) {
        struct victim v = {severals_cases[3].sql, victims[i].point};
        (void)kill_and_finish(&v, "insert p 9,10"); /* not unique */
    }
    const struct victim hidden = {"CREATE TABLE n (id int8 PRIMARY KEY, p int8 REFERENCES p);"
                                  "ALTER TABLE c ALTER w SET NOT NULL",
                                  "change.absent"};
    (void)kill_and_finish(&hidden, "insert c 9,1,null");
}
