/* SPDX-License-Identifier: Apache-2.0 */
/* Schema changes as SQL text, and scans as text. */
#include "support/sqls.h"

#include <instar_sql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 16

static char words[2048];
static uint32_t wait_ms = 120000;
static uint32_t fence_ms = UINT32_MAX;

void sqls_patience(uint32_t ms)
{
    wait_ms = ms;
}

void sqls_fence(uint32_t ms)
{
    fence_ms = ms;
}

const char *sqls_words(void)
{
    return words;
}

bool sqls_say(const char *wanted)
{
    return strstr(words, wanted) != NULL;
}

static int run_one(instar *db, const instar_sql *sql, size_t at)
{
    instar_sql_error error = {0};
    instar_change_info info = {0};
    uint64_t change = 0;
    int rc = instar_sql_submit(db, sql, at, &change, &error);

    if (rc != INSTAR_OK) {
        (void)snprintf(words, sizeof(words), "%s", error.text);
        return rc;
    }
    if (change != 0 && fence_ms != UINT32_MAX) { /* 0: there was nothing to do */
        instar_change_steering steering;
        instar_change_steering_init(&steering);
        steering.fence_after_ms = fence_ms;
        rc = instar_change_steer(db, change, &steering);
        if (rc != INSTAR_OK && rc != INSTAR_ESTATE) { /* it may have ended by now */
            test_fail(__FILE__, __LINE__, "steering change %llu: %s: %s",
                      (unsigned long long)change, instar_error_name(rc), instar_error_text());
        }
    }
    rc = instar_change_wait(db, change, wait_ms, &info);
    if (rc != INSTAR_OK) {
        (void)snprintf(words, sizeof(words), "%s",
                       rc == INSTAR_EFAILED ? info.reason : instar_error_text());
    }
    return rc;
}

int sqls_submit(instar *db, const char *text, uint64_t *change_out)
{
    instar_sql_error error = {0};
    instar_sql *sql = NULL;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &error);

    *change_out = 0;
    rc = rc == INSTAR_OK ? instar_sql_submit(db, sql, 0, change_out, &error) : rc;
    instar_sql_free(sql);
    (void)snprintf(words, sizeof(words), "%s", error.text);
    return rc;
}

int sqls_run(instar *db, const char *text)
{
    instar_sql_error error = {0};
    instar_sql *sql = NULL;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &error);

    (void)snprintf(words, sizeof(words), "%s", error.text);
    for (size_t i = 0; rc == INSTAR_OK && i < instar_sql_count(sql); i++) {
        rc = run_one(db, sql, i);
    }
    instar_sql_free(sql);
    return rc;
}

static int add_line(void *arg, const char *line)
{
    FILE *f = arg;

    fprintf(f, "%s\n", line);
    return 0;
}

const char *sqls_explain(instar *db, const char *text)
{
    static char told[4096];
    instar_sql *sql = NULL;
    FILE *f = fmemopen(told, sizeof(told), "w");

    ok(instar_sql_read(text, strlen(text), NULL, &sql, NULL));
    ok(instar_sql_explain(db, sql, 0, add_line, f, NULL));
    (void)fclose(f);
    instar_sql_free(sql);
    return told;
}

static int print_table(void *arg, const instar_table_info *info)
{
    char *text = arg;
    size_t used = strlen(text);

    used += instar_sql_format_table(info, text + used, SQLS_SCHEMA - used);
    expect(used < SQLS_SCHEMA);
    expect(used + instar_sql_format_fkeys(info, text + used, SQLS_SCHEMA - used) < SQLS_SCHEMA);
    return 0;
}

const char *sqls_schema(instar *db, const char *table)
{
    static char text[SQLS_SCHEMA];

    text[0] = '\0';
    ok(instar_table_list(db, table, print_table, text));
    return text;
}

/* ---- scans -------------------------------------------------------------------------------- */

static instar_projection *prepare(instar *db, const char *table, const char *columns,
                                  const char *index)
{
    const char *names[COLUMNS_MAX];
    char list[512], *rest = NULL;
    instar_projection *p = NULL;
    size_t count = 0;

    (void)snprintf(list, sizeof(list), "%s", columns);
    for (char *name = strtok_r(list, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        names[count++] = name;
    }
    ok(instar_projection_prepare(db, table, names, count, index, &p));
    return p;
}

const char *sqls_scan(instar *db, const char *table, const char *columns, const char *index,
                      const instar_range *range)
{
    static char text[65536];
    instar_projection *p = prepare(db, table, columns, index);
    size_t count = instar_projection_count(p), rows = 0;
    instar_value values[COLUMNS_MAX];
    instar_cursor *cursor = NULL;
    instar_txn *txn = NULL;
    FILE *f = fmemopen(text, sizeof(text), "w");
    int rc;

    ok(instar_begin(db, INSTAR_TXN_READONLY, &txn));
    ok(instar_scan(txn, p, range, &cursor));
    while ((rc = instar_cursor_next(cursor, values)) == INSTAR_OK) {
        fprintf(f, "%s", rows++ > 0 ? ";" : "");
        for (size_t i = 0; i < count; i++) {
            char value[256] = "null";

            if (values[i].type != INSTAR_NULL) {
                (void)instar_value_format(&values[i], value, sizeof(value));
            }
            fprintf(f, "%s%s", i > 0 ? "," : "", value);
        }
    }
    fails(rc, INSTAR_END);
    (void)fclose(f);
    text[rows == 0 ? 0 : strlen(text)] = '\0';
    instar_cursor_close(cursor);
    instar_abort(txn);
    instar_projection_free(p);
    return text;
}

void sqls_errors_from_write_only_on(const instar_index_def *def)
{
    struct test_child runner;
    instar_change_options o = scene_options(30000);
    instar_change_info info;
    uint64_t change;

    scene_runner(&runner);
    instar *db = scene_open_t(INSTAR_OPEN_NO_RUNNER, 3);
    ok(alters_insert(db, "t", "a,b", "4,0"));
    ok(alters_insert(db, "t", "a,b", "5,0"));
    o.flags = INSTAR_CHANGE_HOLD;
    o.rows_per_second_max = 1;
    ok(instar_create_index(db, def, &o, &change));
    do {
        info = scene_look(db, change);
        expect(info.state == INSTAR_CHANGE_RUNNING);
    } while (strcmp(info.stage, "build") != 0);
    fails(alters_insert(db, "t", "a,b", "6,0"), INSTAR_ERANGE);
    fails(alters_update(db, "t", "b", 1, "0"), INSTAR_ERANGE);
    ok(dbs_delete(db, "t", 4));
    ok(alters_update(db, "t", "b", 5, "1"));
    ok(instar_change_cancel(db, change));
    scene_await(db, change, INSTAR_ECANCELLED, NULL);
    ok(alters_insert(db, "t", "a,b", "6,0"));
    dbs_end(db);
    scene_runner_end(&runner);
}
