/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation asked for while another one of the same table waits to be run: it was planned for
 * a table that is another one when its turn comes. It is then what it had been, asked for
 * afterwards; or it is refused or fails, and nothing of it is left.
 */
#include "ddl/cases.h"
#include "support/sqls.h"

#include <instar_sql.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define SHARE 160
#else
#define SHARE 20
#endif

/* What both need; rows of t refer to those of p. */
static void prepare(instar *db, const char *setup)
{
    const char *rest = strchr(setup, ';');

    if (strncmp(setup, "CREATE TABLE p", 14) == 0) {
        char first[128];
        size_t size = rest != NULL ? (size_t)(rest - setup) : strlen(setup);
        (void)snprintf(first, sizeof(first), "%.*s", (int)size, setup);
        ok(sqls_run(db, first));
        ok(alters_insert(db, "p", "a,b", "1,1"));
        ok(alters_insert(db, "p", "a,b", "2,2"));
        setup = rest != NULL ? rest + 1 : "";
    }
    ok(sqls_run(db, setup));
}

static instar *begin(const struct operation *a, const struct operation *b, uint32_t flags)
{
    const char *setup = a->setup != NULL ? a->setup : b->setup;

    test_remove(dbs_path());
    instar *db = dbs_open(0);
    ok(sqls_run(db, OPERATIONS_TABLE));
    ok(alters_insert(db, "t", "a,b,c,d", "1,11,x1,2"));
    ok(alters_insert(db, "t", "a,b,c,d", "2,12,x2,1"));
    ok(alters_insert(db, "t", "a,b,c,d", "3,13,x3,2"));
    if (setup != NULL) {
        prepare(db, setup);
    }
    ok(instar_close(db));
    return dbs_open(flags);
}

static int print_finding(void *arg, const instar_finding *finding)
{
    (void)arg;
    fprintf(stderr, "finding: %s\n", finding->text);
    return 0;
}

static int submit(instar *db, const char *text, uint64_t *change_out)
{
    instar_sql_error error;
    instar_sql *sql = NULL;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &error);

    *change_out = 0;
    rc = rc == INSTAR_OK ? instar_sql_submit(db, sql, 0, change_out, &error) : rc;
    if (rc != INSTAR_OK) {
        fprintf(stderr, "  %s\n", error.text);
    }
    instar_sql_free(sql);
    return rc;
}

static int verdict(instar *db, int rc, uint64_t change, instar_change_info *info)
{
    *info = (instar_change_info){.id = change};
    if (rc == INSTAR_OK && change != 0) {
        rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, info);
        rc = rc == INSTAR_EFAILED ? info->error : rc;
    }
    return rc;
}

struct outcome {
    int first, second; /* codes */
    bool same;         /* both are one change */
    bool nothing;      /* the second had nothing to do when it was asked for */
    char words[256];   /* of the second */
    char between[SQLS_SCHEMA];
    char schema[SQLS_SCHEMA];
};

/* The first, and the second when it has ended. */
static void apart(const struct operation *a, const struct operation *b, struct outcome *o)
{
    instar *db = begin(a, b, 0);
    instar_change_info info;
    uint64_t change;

    int rc = submit(db, a->sql, &change);
    o->first = verdict(db, rc, change, &info);
    (void)snprintf(o->between, SQLS_SCHEMA, "%s", sqls_schema(db, NULL));
    rc = submit(db, b->sql, &change);
    o->second = verdict(db, rc, change, &info);
    (void)snprintf(o->schema, SQLS_SCHEMA, "%s", sqls_schema(db, NULL));
    ok(instar_close(db));
}

/* Both before anybody runs either. */
static void queued(const struct operation *a, const struct operation *b, struct outcome *o)
{
    instar *db = begin(a, b, INSTAR_OPEN_NO_RUNNER);
    instar_check_summary sum;
    instar_change_info info;
    uint64_t first, second;

    o->first = submit(db, a->sql, &first);
    o->second = submit(db, b->sql, &second);
    o->same = first == second;
    o->nothing = o->second == INSTAR_OK && second == 0;
    ok(instar_close(db));
    db = dbs_open(0);
    o->first = verdict(db, o->first, first, &info);
    o->second = verdict(db, o->second, second, &info);
    (void)snprintf(o->words, sizeof(o->words), "%.250s", info.reason);
    (void)snprintf(o->schema, SQLS_SCHEMA, "%s", sqls_schema(db, NULL));
    ok(instar_check(db, print_finding, NULL, &sum));
    expect_u64(sum.findings, 0);
    ok(instar_close(db));
}

/* The index that a foreign key lacks comes with it, also where a change before it brings one. */
static void leave_out_index(char schema[SQLS_SCHEMA])
{
    static const char line[] = "CREATE INDEX t_d_idx ON t (d);\n";
    char *at = strstr(schema, line);

    if (at != NULL) {
        memmove(at, at + strlen(line), strlen(at + strlen(line)) + 1);
    }
}

/* A name that was given by itself has a number where another change held it then. */
static void leave_out_numbers(char schema[SQLS_SCHEMA])
{
    for (char *at = schema; (at = strstr(at, "_key1 ")) != NULL; at++) {
        memmove(at + 4, at + 5, strlen(at + 5) + 1);
    }
}

static void try_pair(const char *name, const struct operation *a, const struct operation *b)
{
    static struct outcome one, both;

    apart(a, b, &one);
    queued(a, b, &both);
    fprintf(stderr, "  %s, %s; queued %s, %s %s\n", instar_error_name(one.first),
            instar_error_name(one.second), instar_error_name(both.first),
            instar_error_name(both.second), both.words);
    if (both.same || (both.first == INSTAR_ECANCELLED && strncmp(b->sql, "DROP ", 5) == 0)) {
        return; /* it has joined the first, or takes away what that was about */
    }
    cr_assert_eq(both.first, one.first, "%s: the first: %s, and alone %s", name,
                 instar_error_name(both.first), instar_error_name(one.first));
    bool done = both.second == INSTAR_OK && !both.nothing;
    char *wanted = done ? one.schema : one.between;
    leave_out_index(wanted);
    leave_out_index(both.schema);
    leave_out_numbers(both.schema);
    cr_assert_str_eq(both.schema, wanted, "%s: the schema is\n%snot\n%s", name, both.schema,
                     wanted);
}

/* What the first needs must not be what the second asks for: that would have nothing to do then. */
static bool fit(const struct operation *a, const struct operation *b)
{
    bool alike = a->setup == NULL || strncmp(a->setup, "CREATE TABLE p", 14) == 0;

    return strstr(a->sql, "%llu") == NULL && strstr(b->sql, "%llu") == NULL && !a->keyless &&
           !b->keyless &&
           (b->setup == NULL ? alike : a->setup == NULL || strcmp(a->setup, b->setup) == 0);
}

Test(ddl_queue, planned_for_another_table, .timeout = 3600)
{
    for (size_t i = 0; i < operations_count; i++) {
        for (size_t k = 0; k < operations_count; k++) {
            const struct operation *a = &operations[i], *b = &operations[k];
            char name[128];
            (void)snprintf(name, sizeof(name), "%s, then %s", a->name, b->name);
            if (fit(a, b) && cases_take(name, SHARE)) {
                try_pair(name, a, b);
            }
        }
    }
    cases_end();
}
