/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All pairs of operations in one change: it is what the two are one after the other, or it is
 * refused or fails, and nothing has happened. And each operation while a change of another table is
 * in mid-way: neither notices the other.
 */
#include "ddl/cases.h"
#include "ddl/scene.h"
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

#define SHARE 80
#define SHARE_BESIDE 8
#define TEXT 512

struct pair {
    struct operation operation;
    char name[TEXT];
    char setup[TEXT];
    char sql[TEXT];
    const char *first;
    const char *second;
};

/* What the first needs comes before the second's; a parent is made once. */
static void add_setup(char setup[TEXT], const char *more)
{
    const char *rest = more;

    if (more != NULL && strncmp(more, "CREATE TABLE p", 14) == 0 &&
        strstr(setup, "TABLE p") != NULL) {
        rest = strchr(more, ';');
        rest = rest != NULL ? rest + 1 : NULL;
    }
    if (rest != NULL && strstr(setup, rest) == NULL) {
        size_t used = strlen(setup);
        (void)snprintf(setup + used, TEXT - used, "%s%s", used > 0 ? ";" : "", rest);
    }
}

/* Does each need another thing by the same name? What the first one makes serves both. */
static bool meet(const struct operation *a, const struct operation *b)
{
    static const char *const names[] = {" k ", " r ", " f ", " t_c ", " t_d ", " t_i ", " t_u "};

    if (a->setup == NULL || b->setup == NULL || strstr(a->setup, b->setup) != NULL) {
        return false;
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(names); i++) {
        if (strstr(a->setup, names[i]) != NULL && strstr(b->setup, names[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool make_pair(struct pair *p, const struct operation *a, const struct operation *b)
{
    *p = (struct pair){.first = a->sql, .second = b->sql};
    if (a->alone || b->alone || strncmp(a->sql, "BEGIN", 5) == 0 ||
        strncmp(b->sql, "BEGIN", 5) == 0 || meet(a, b)) {
        return false;
    }
    (void)snprintf(p->name, sizeof(p->name), "%s + %s", a->name, b->name);
    add_setup(p->setup, a->setup);
    add_setup(p->setup, b->setup);
    (void)snprintf(p->sql, sizeof(p->sql), "BEGIN; %s; %s; COMMIT", a->sql, b->sql);
    p->operation = (struct operation){.name = p->name,
                                      .setup = p->setup[0] != '\0' ? p->setup : NULL,
                                      .sql = p->sql,
                                      .error = a->error != 0 ? a->error : b->error,
                                      .rewrites = a->rewrites || b->rewrites,
                                      .keyless = a->keyless || b->keyless};
    return true;
}

/* The one, then the other: did both succeed, and what is the schema then? */
static bool apart(const struct pair *p, char schema[8192])
{
    struct operation first = p->operation;
    instar_change_info info;
    struct scene s;

    first.sql = p->first;
    scene_make(&s, &first);
    bool done = scene_try(&s, p->first) == INSTAR_OK && scene_finish(&s, false, &info) == INSTAR_OK;
    steps_free(&s.steps);
    steps_help(&s.steps);
    done = done && sqls_run(s.db, p->second) == INSTAR_OK;
    (void)snprintf(schema, 8192, "%s", sqls_schema(s.db, NULL));
    scene_close(&s);
    return done;
}

/* A word for what became of it. */
static const char *together(struct scene *s, int *code)
{
    instar_change_info info;

    *code = scene_try(s, s->sql);
    if (*code != INSTAR_OK) {
        return "refused";
    }
    *code = scene_finish(s, false, &info);
    return *code == INSTAR_OK ? "done" : "failed";
}

static void try_pair(const struct pair *p)
{
    static char wanted[8192];
    int code;
    struct scene s;

    bool both = apart(p, wanted);
    scene_make(&s, &p->operation);
    const char *verdict = together(&s, &code);
    bool done = strcmp(verdict, "done") == 0;
    fprintf(stderr, "  %s (%s), one after the other: %s\n", verdict, instar_error_name(code),
            both ? "done" : "not");
    if (done && (s.world->schema[WORLD_AFTER].impossible ||
                 (both && strcmp(sqls_schema(s.db, NULL), wanted) != 0))) {
        test_fail(__FILE__, __LINE__, "%s: the schema is\n%snot\n%s", p->name,
                  sqls_schema(s.db, NULL), wanted);
    }
    /* A rule that the second takes away again was not tested. */
    if (done && !both && p->operation.error == 0) {
        test_fail(__FILE__, __LINE__, "%s: done together, but not one after the other", p->name);
    }
    if (!done && both && code != INSTAR_EINVALID && code != INSTAR_ESTATE) {
        test_fail(__FILE__, __LINE__, "%s: %s together, but not one after the other: %s", p->name,
                  verdict, s.words);
    }
    scene_expect(&s, done);
    scene_close(&s);
}

Test(ddl_pairs, in_one_change, .timeout = 3600)
{
    struct pair p;

    for (size_t i = 0; i < operations_count; i++) {
        for (size_t k = 0; k < operations_count; k++) {
            if (make_pair(&p, &operations[i], &operations[k]) && cases_take(p.name, SHARE)) {
                try_pair(&p);
            }
        }
    }
    cases_end();
}

/* ---- beside another table ------------------------------------------------------------------ */

#define OTHER "CREATE TABLE z (a int8 PRIMARY KEY, b int8)"

static void beside(const struct operation *o)
{
    char setup[TEXT];
    struct operation more = *o;
    instar_change_info info;
    struct scene s;

    (void)snprintf(setup, sizeof(setup), OTHER "%s%s", o->setup != NULL ? ";" : "",
                   o->setup != NULL ? o->setup : "");
    more.setup = setup;
    scene_make(&s, &more);
    steps_free(&s.steps);
    ok(scene_try(&s, "CREATE UNIQUE INDEX z_b ON z (b) WITH (hold = on)"));
    uint64_t other = s.change;
    scene_await_waiting(s.db, other, "validated", &info);
    expect(strstr(info.waiting_for, "release") != NULL);
    steps_lead(&s.steps);
    scene_submit(&s);
    int rc = scene_finish(&s, true, &info);
    cr_assert_eq(rc, o->error != 0 ? INSTAR_EFAILED : INSTAR_OK, "%s: %s", o->name, info.reason);
    scene_old_end(&s);
    steps_free(&s.steps);
    steps_help(&s.steps);
    ok(scene_steer(s.db, other, 0, INSTAR_CHANGE_HOLD));
    scene_await(s.db, other, INSTAR_OK, NULL);
    (void)snprintf(s.before, sizeof(s.before), "%s", sqls_schema(s.db, NULL));
    scene_expect(&s, o->error == 0);
    expect(strstr(sqls_schema(s.db, NULL), "CREATE UNIQUE INDEX z_b ON z (b)") != NULL);
    scene_close(&s);
}

Test(ddl_pairs, beside_a_change_of_another_table, .timeout = 3600)
{
    for (size_t i = 0; i < operations_count; i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), "%s beside", operations[i].name);
        if (cases_take(name, SHARE_BESIDE)) {
            beside(&operations[i]);
        }
    }
    cases_end();
}
