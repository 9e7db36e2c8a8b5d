/* SPDX-License-Identifier: Apache-2.0 */
/* What programs are told of a change that failed on rows: kind, name, values, rows, and how many.
 */
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

/* "code sqlstate count: kind name key row; …" */
static char told[4096];

static int tell(void *arg, const instar_change_failure *f)
{
    size_t used = (size_t)snprintf(told, sizeof(told), "%s %s %llu:", instar_error_name(f->code),
                                   instar_error_sqlstate(f->code), (unsigned long long)f->count);
    for (size_t i = 0; i < f->sample_count && used < sizeof(told); i++) {
        const instar_failure_sample *s = &f->samples[i];
        used += (size_t)snprintf(told + used, sizeof(told) - used, "%s %d %s %s %s",
                                 i > 0 ? ";" : "", (int)s->kind, s->name, s->key, s->row);
    }
    expect(f->reason[0] != '\0');
    return *(int *)arg;
}

/* The change that was submitted last. */
static int take_last(void *arg, const instar_change_info *info)
{
    *(uint64_t *)arg = info->id;
    return 0;
}

static uint64_t last_change(instar *db)
{
    uint64_t id = 0;
    ok(instar_change_list(db, take_last, &id));
    return id;
}

static const char *failure_of(instar *db, const char *sql)
{
    int nothing = 0;
    fails(sqls_run(db, sql), INSTAR_EFAILED);
    ok(instar_change_get_failure(db, last_change(db), tell, &nothing));
    return told;
}

Test(change_failure, of_each_kind)
{
    instar *db = scene_open_t(0, 4);

    ok(alters_update(db, "t", "b", 2, "11"));
    ok(alters_update(db, "t", "c", 3, "x"));
    cr_assert_str_eq(failure_of(db, "create unique index u on t (b)"),
                     "INSTAR_EUNIQUE 23505 1: 1 u (b=11) (a=1); 1 u (b=11) (a=2)");
    cr_assert_str_eq(failure_of(db, "alter table t alter c set not null"),
                     "INSTAR_ENOT_NULL 23502 3: 2 c  (a=1); 2 c  (a=2); 2 c  (a=4)");
    cr_assert_str_eq(failure_of(db, "alter table t alter c type int8 using c::int8"),
                     "INSTAR_ERANGE 22003 1: 3 c  (a=3)");
    cr_assert_str_eq(failure_of(db, "alter table t add constraint k check (b > 12)"),
                     "INSTAR_ECHECK 23514 2: 4 k  (a=1); 4 k  (a=2)");
    ok(sqls_run(db, "create table p (a int8 primary key, b int8)"));
    cr_assert_str_eq(failure_of(db, "alter table t add constraint f foreign key (b) references p"),
                     "INSTAR_EREFERENCE 23503 4: 5 f (11) (a=1); 5 f (11) (a=2); 5 f (13) (a=3); "
                     "5 f (14) (a=4)");
    dbs_end(db);
}

/* It outlives the process's handle; what the function returns is returned; a change that has not
 * failed on rows has none. */
Test(change_failure, is_kept)
{
    instar *db = scene_open_t(0, 4);
    int answer = 7;

    failure_of(db, "alter table t add constraint k check (b > 13)");
    uint64_t failed = last_change(db);
    ok(instar_close(db));
    told[0] = '\0';
    instar_options o = dbs_options();
    ok(instar_open(dbs_path(), &o, &db));
    cr_assert_eq(instar_change_get_failure(db, failed, tell, &answer), 7);
    cr_assert_str_eq(told, "INSTAR_ECHECK 23514 3: 4 k  (a=1); 4 k  (a=2); 4 k  (a=3)");
    ok(sqls_run(db, "create index i on t (b)"));
    fails(instar_change_get_failure(db, last_change(db), tell, &answer), INSTAR_ESTATE);
    fails(instar_change_get_failure(db, 1000, tell, &answer), INSTAR_EUNKNOWN);
    fails(instar_change_get_failure(db, failed, NULL, &answer), INSTAR_EMISUSE);
    ok(instar_close(db));
}

/* Of many there are ten. */
Test(change_failure, is_bounded)
{
    instar *db = dbs_open(0);
    size_t samples = 1;

    dbs_make_table(db, "t");
    scene_fill(db, "t", 1, 101, scene_plus_10);
    failure_of(db, "alter table t add constraint k check (b < 0)");
    for (const char *p = told; (p = strchr(p, ';')) != NULL; p++) {
        samples++;
    }
    expect_u64(samples, 10);
    expect(strstr(told, " 100:") != NULL);
    ok(instar_close(db));
}
