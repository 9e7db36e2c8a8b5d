/* SPDX-License-Identifier: Apache-2.0 */
/* The process that runs a change of several tables is killed at each of its points: another one
 * finishes it, or undoes it, in all tables. */
#include "support/severals.h"

#include <stdio.h>
#include <string.h>

struct victim {
    const char *sql;
    const char *point;
};

static uint64_t submit(instar *db, const void *sql)
{
    return severals_submit(db, sql);
}

/* spoil: what makes it fail, or NULL. The schema that is left. */
static const char *kill_and_finish(const struct victim *v, const char *spoil)
{
    struct test_child keeper;
    const struct scene_death death = {.point = v->point, .submit = submit, .arg = v->sql};
    static char before[16384];

    test_remove(dbs_path());
    instar *db = dbs_open(0);
    severals_make_tables(db);
    if (spoil != NULL) {
        ok(moves_run(db, spoil));
    }
    (void)snprintf(before, sizeof(before), "%s", severals_schema(db));
    ok(instar_close(db));
    scene_keeper(&keeper);
    scene_kill(&death);
    db = scene_take_over(&death, spoil != NULL ? INSTAR_EFAILED : INSTAR_OK, NULL);
    static char after[16384];
    (void)snprintf(after, sizeof(after), "%s", severals_schema(db));
    cr_assert((strcmp(before, after) == 0) == (spoil != NULL), "%s: %s", v->point, after);
    dbs_end_sound(db);
    scene_runner_end(&keeper);
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
