/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each call of the public interface gets no memory, at each of its requests in turn, once or from
 * then on: its own, LMDB's, zstd's, libpg_query's. It says ENOMEM, or does without; it leaves
 * nothing behind; and the same handle does the same thing next time. Threads of the library are not
 * touched, but that in which libpg_query works for the call: for the others, alloc_test.c.
 */
#include "api/api_impl.h"
#include "ddl/ddl_impl.h"
#include "support/sqls.h"

#include <instar_sql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#define ENOUGH 400 /* requests of one call, after which not each is refused */

/* Of the caller's thread, and that of libpg_query, which are never at work at once. */
static struct {
    bool on, lasts;
    uint64_t nth, seen, refused;
} shortage;
static _Thread_local bool is_caller;

static bool refuse(size_t size)
{
    (void)size;
    shortage.seen += shortage.on;
    if (!shortage.on ||
        (shortage.lasts ? shortage.seen < shortage.nth : shortage.seen != shortage.nth)) {
        return true;
    }
    shortage.refused++;
    return false;
}

static bool refuse_of_caller(size_t size)
{
    return !is_caller || refuse(size);
}

/* For what belongs to the test; the way back is to set shortage.on to the result. */
static bool pause_shortage(void)
{
    bool was = shortage.on;
    shortage.on = false;
    return was;
}

struct world {
    instar *db;
    instar_projection *all, *by_b;
    char other[300], backup[300], made[300]; /* a store that is closed; what calls make */
    uint64_t change;                         /* the latest */
    instar_sql_error error;                  /* of the latest text */
};

/* ---- the calls ---------------------------------------------------------------------------- */

static int call_create(struct world *w)
{
    return instar_create(w->made, NULL);
}

static void remove_made(struct world *w)
{
    test_remove(w->made);
}

static int call_open(struct world *w)
{
    instar_options o = dbs_options();
    instar *db = NULL;
    int rc = instar_open(w->other, &o, &db);
    return rc != INSTAR_OK ? rc : instar_close(db);
}

static int call_prepare(struct world *w)
{
    static const char *const columns[] = {"a", "b"};
    instar_projection *p = NULL;
    int rc = instar_projection_prepare(w->db, "t", columns, 2, "t_b", &p);
    instar_projection_free(p);
    return rc;
}

/* The nearest name is only a help. */
static int call_prepare_unknown(struct world *w)
{
    static const char *const columns[] = {"a", "d"};
    instar_projection *p = NULL;
    int rc = instar_projection_prepare(w->db, "t", columns, 2, NULL, &p);
    if (rc == INSTAR_EUNKNOWN) {
        rc = instar_projection_prepare(w->db, "t", columns, 1, "t_d", &p);
    }
    return rc == INSTAR_EUNKNOWN ? INSTAR_OK : rc;
}

static int write_all(instar_txn *txn, const struct world *w)
{
    instar_value row[] = {{.type = INSTAR_INT8, .i = 100},
                          {.type = INSTAR_INT8, .i = 100},
                          {.type = INSTAR_TEXT, .bytes = {"text", 4}}};
    instar_value got[3];
    int rc = instar_insert(txn, w->all, row);
    row[1].i = 101;
    rc = rc == INSTAR_OK ? instar_upsert(txn, w->all, row) : rc;
    row[1].i = 102;
    rc = rc == INSTAR_OK ? instar_update(txn, w->all, row, row) : rc;
    rc = rc == INSTAR_OK ? instar_get(txn, w->all, row, got) : rc;
    return rc;
}

static int call_write(struct world *w)
{
    instar_txn *txn = NULL;
    int rc = instar_begin(w->db, INSTAR_TXN_ASYNC, &txn);
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = write_all(txn, w);
    if (rc != INSTAR_OK) {
        instar_abort(txn);
        return rc;
    }
    return instar_commit(txn);
}

static int delete_row(instar_txn *txn, void *arg)
{
    const struct world *w = arg;
    instar_value key = {.type = INSTAR_INT8, .i = 100};
    return instar_delete(txn, w->all, &key);
}

static void delete_written(struct world *w)
{
    ok(instar_run(w->db, 0, delete_row, w));
}

static int call_run(struct world *w)
{
    return dbs_update(w->db, "t", 1, 11);
}

/* A statement that failed leaves the transaction as it was, or, where it had begun to write, says
 * that this must be aborted. */
static int call_statement(struct world *w)
{
    instar_value row[] = {{.type = INSTAR_INT8, .i = 100},
                          {.type = INSTAR_INT8, .i = 100},
                          {.type = INSTAR_TEXT, .bytes = {"text", 4}}};
    instar_txn *txn = NULL;
    bool keep = pause_shortage();
    ok(instar_begin(w->db, 0, &txn));
    shortage.on = keep;
    int rc = instar_insert(txn, w->all, row);
    keep = pause_shortage();
    expect(rc == INSTAR_OK || instar_error_text()[0] != '\0');
    int again = rc != INSTAR_OK ? instar_insert(txn, w->all, row) : rc;
    if (again == INSTAR_OK) {
        ok(instar_commit(txn));
        delete_written(w);
    } else {
        fails(again, INSTAR_ENOMEM);
        expect(strstr(instar_error_text(), "half way: abort it") != NULL);
        instar_abort(txn);
    }
    shortage.on = keep;
    return rc;
}

static int call_scan(struct world *w)
{
    instar_value lower = {.type = INSTAR_INT8, .i = 5}, row[3];
    instar_range range = {.lower = &lower, .lower_count = 1};
    instar_cursor *cursor = NULL;
    instar_txn *txn = NULL;
    int rc = instar_begin(w->db, INSTAR_TXN_READONLY, &txn);
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = instar_scan(txn, w->by_b, &range, &cursor);
    while (rc == INSTAR_OK) {
        rc = instar_cursor_next(cursor, row);
    }
    instar_cursor_close(cursor);
    instar_abort(txn);
    return rc == INSTAR_END ? INSTAR_OK : rc;
}

/* Read, submit and explain one statement; what came of it is waited for by whoever undoes it. */
static int run_sql(struct world *w, const char *text)
{
    instar_sql *sql = NULL;
    w->change = 0;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &w->error);
    if (rc == INSTAR_OK) {
        rc = instar_sql_submit(w->db, sql, 0, &w->change, &w->error);
    }
    expect(w->error.code == rc);
    instar_sql_free(sql);
    return rc;
}

static void undo_by(struct world *w, const char *text)
{
    ok(instar_change_wait(w->db, w->change, UINT32_MAX, NULL));
    if (sqls_run(w->db, text) != INSTAR_OK) {
        test_fail(__FILE__, __LINE__, "%s: %s", text, sqls_words());
    }
}

static int call_create_table(struct world *w)
{
    return run_sql(w, "CREATE TABLE n (a int8 PRIMARY KEY, b text DEFAULT 'x' UNIQUE, "
                      "CHECK (length(b) < 10))");
}

static void drop_new_table(struct world *w)
{
    undo_by(w, "DROP TABLE n");
}

static int call_create_index(struct world *w)
{
    return run_sql(w, "CREATE INDEX n ON t (lower(c), b DESC) INCLUDE (a) WHERE b > 3");
}

static void drop_new_index(struct world *w)
{
    undo_by(w, "DROP INDEX n");
}

static int call_index_that_exists(struct world *w)
{
    return run_sql(w, "CREATE INDEX IF NOT EXISTS t_c ON t (c)");
}

static int call_drop_index(struct world *w)
{
    return run_sql(w, "DROP INDEX t_c");
}

static void make_index_again(struct world *w)
{
    undo_by(w, "CREATE INDEX t_c ON t (c)");
}

static int call_alter(struct world *w)
{
    return run_sql(w, "ALTER TABLE t ADD COLUMN n int4 DEFAULT 7, ALTER b SET NOT NULL, "
                      "ADD CONSTRAINT b_small CHECK (b < 1000)");
}

static void alter_back(struct world *w)
{
    undo_by(w, "ALTER TABLE t DROP CONSTRAINT b_small, DROP COLUMN n, ALTER b DROP NOT NULL");
}

static int call_compound(struct world *w)
{
    return run_sql(w, "BEGIN; ALTER TABLE t ADD COLUMN n int4; CREATE INDEX n ON t (n); COMMIT");
}

static void compound_back(struct world *w)
{
    undo_by(w, "DROP INDEX n; ALTER TABLE t DROP COLUMN n");
}

static int take_line(void *arg, const char *line)
{
    (void)arg;
    (void)line;
    return 0;
}

/* What the grammar says of a text that it does not take is kept in memory, too. */
static int call_syntax_error(struct world *w)
{
    int rc = run_sql(w, "DROP TABLE t; CREATE TABLE n (a int8 b)");
    return rc == INSTAR_EINVALID ? INSTAR_OK : rc;
}

/* A statement for which the grammar's own memory grows several times. */
static int call_long_statement(struct world *w)
{
    char text[30000] = "CREATE INDEX n ON t ((b";
    size_t size = strlen(text);
    for (int i = 0; i < 400; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "+(b-%d*b)", i);
    }
    (void)snprintf(text + size, sizeof(text) - size, "))");
    int rc = run_sql(w, text);
    return rc == INSTAR_ELIMIT ? INSTAR_OK : rc;
}

static int call_explain(struct world *w)
{
    static const char *const text = "ALTER TABLE t ADD COLUMN n int4, ALTER b TYPE int4";
    instar_sql *sql = NULL;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &w->error);
    if (rc == INSTAR_OK) {
        rc = instar_sql_explain(w->db, sql, 0, take_line, NULL, &w->error);
    }
    instar_sql_free(sql);
    return rc;
}

static int take_table(void *arg, const instar_table_info *info)
{
    (void)arg;
    (void)info;
    return 0;
}

static int take_change(void *arg, const instar_change_info *info)
{
    (void)arg;
    (void)info;
    return 0;
}

static int take_node(void *arg, const instar_node_info *info)
{
    (void)arg;
    (void)info;
    return 0;
}

static int take_text(void *arg, const char *text, size_t size)
{
    (void)arg;
    (void)text;
    (void)size;
    return 0;
}

static int call_tables(struct world *w)
{
    return instar_table_list(w->db, NULL, take_table, NULL);
}

static int call_changes(struct world *w)
{
    return instar_change_list(w->db, take_change, NULL);
}

static int call_change(struct world *w)
{
    instar_change_info info;
    int rc = instar_change_get(w->db, 1, &info);
    return rc != INSTAR_OK ? rc : instar_change_wait(w->db, 1, 0, &info);
}

static int call_nodes(struct world *w)
{
    return instar_node_list(w->db, take_node, NULL);
}

static int call_stat(struct world *w)
{
    instar_stats stats = {.struct_size = sizeof(stats)};
    return instar_stat(w->db, &stats);
}

static int call_metrics(struct world *w)
{
    return instar_metrics(w->db, take_text, NULL);
}

static int call_estimate(struct world *w)
{
    instar_statement s = {.kind = INSTAR_STATEMENT_VACUUM, .name = "t"};
    instar_estimate e;
    return instar_estimate_cost(w->db, &s, 1, NULL, &e);
}

static int call_expression(struct world *w)
{
    instar_value value;
    char scratch[100];
    (void)w;
    return instar_expression_value("lower('A') || 'b'", scratch, sizeof(scratch), &value);
}

static int call_check(struct world *w)
{
    instar_check_summary sum;
    return instar_check(w->db, NULL, NULL, &sum);
}

static int call_check_files(struct world *w)
{
    instar_check_summary sum;
    return instar_check_files(w->other, NULL, NULL, &sum);
}

static int take_words(void *arg, const char *text)
{
    (void)arg;
    (void)text;
    return 0;
}

static int call_repair(struct world *w)
{
    return instar_repair(w->other, take_words, NULL);
}

static int call_cut_log(struct world *w)
{
    instar_log_cut cut;
    return instar_cut_log(w->other, &cut);
}

static int call_overwrite(struct world *w)
{
    return instar_overwrite(w->other, NULL);
}

static int call_after_io_error(struct world *w)
{
    return instar_check_after_io_error(w->other);
}

static int call_backup(struct world *w)
{
    return instar_backup(w->db, w->made, NULL, NULL);
}

static int call_look(struct world *w)
{
    instar_backup_info info;
    return instar_backup_look(w->backup, &info);
}

static int call_restore(struct world *w)
{
    return instar_restore(w->backup, w->made, NULL);
}

static const struct call {
    const char *name;
    int (*call)(struct world *w);
    void (*undo)(struct world *w);
} calls[] = {{"create", call_create, remove_made},
             {"open and close", call_open, NULL},
             {"prepare", call_prepare, NULL},
             {"prepare unknown", call_prepare_unknown, NULL},
             {"write and commit", call_write, delete_written},
             {"one statement", call_statement, NULL},
             {"run", call_run, NULL},
             {"scan", call_scan, NULL},
             {"create table", call_create_table, drop_new_table},
             {"create index", call_create_index, drop_new_index},
             {"create index that exists", call_index_that_exists, NULL},
             {"drop index", call_drop_index, make_index_again},
             {"alter", call_alter, alter_back},
             {"several statements", call_compound, compound_back},
             {"syntax error", call_syntax_error, NULL},
             {"long statement", call_long_statement, NULL},
             {"explain", call_explain, NULL},
             {"tables", call_tables, NULL},
             {"changes", call_changes, NULL},
             {"a change", call_change, NULL},
             {"nodes", call_nodes, NULL},
             {"stat", call_stat, NULL},
             {"metrics", call_metrics, NULL},
             {"estimate", call_estimate, NULL},
             {"expression", call_expression, NULL},
             {"check", call_check, NULL},
             {"check files", call_check_files, NULL},
             {"repair", call_repair, NULL},
             {"cut the log", call_cut_log, NULL},
             {"overwrite", call_overwrite, NULL},
             {"check after I/O error", call_after_io_error, NULL},
             {"backup", call_backup, remove_made},
             {"look at a backup", call_look, NULL},
             {"restore", call_restore, remove_made}};

/* ---- refusing ----------------------------------------------------------------------------- */

/* The call with its nth request refused. False: there was none. */
static bool refuse_nth(struct world *w, const struct call *c, uint64_t nth)
{
    shortage.nth = nth;
    shortage.seen = shortage.refused = 0;
    shortage.on = true;
    w->error.code = INSTAR_OK;
    *api_err() = (struct base_err){.code = 0}; /* no words of an earlier call */
    int rc = c->call(w);
    shortage.on = false;
    if (rc != INSTAR_OK && rc != INSTAR_ENOMEM) {
        test_fail(__FILE__, __LINE__, "%s, request %llu: %s: %s", c->name, (unsigned long long)nth,
                  instar_error_name(rc),
                  w->error.code != INSTAR_OK ? w->error.text : instar_error_text());
    }
    bool looked = c->call == call_statement; /* it has gone on since */
    const char *words = w->error.code != INSTAR_OK ? w->error.text : instar_error_text();
    if (rc != INSTAR_OK && !looked && words[0] == '\0') {
        test_fail(__FILE__, __LINE__, "%s, request %llu: no words", c->name,
                  (unsigned long long)nth);
    }
    expect(rc == INSTAR_OK || shortage.refused > 0);
    if (rc == INSTAR_OK && c->undo != NULL) {
        c->undo(w);
    }
    return shortage.refused > 0;
}

static void refuse_each(struct world *w, const struct call *c, uint64_t *total)
{
    uint64_t done = 0;
    for (int lasts = 0; lasts < 2; lasts++) {
        shortage.lasts = lasts != 0;
        for (uint64_t nth = 1; refuse_nth(w, c, nth); nth += nth < ENOUGH ? 1 : 1 + nth / 16) {
            done++;
        }
    }
    if (c->call(w) != INSTAR_OK) { /* with all the memory that it wants */
        test_fail(__FILE__, __LINE__, "%s: %s", c->name, instar_error_text());
    }
    if (c->undo != NULL) {
        c->undo(w);
    }
    printf("%s: %llu requests refused\n", c->name, (unsigned long long)done);
    *total += done;
#if defined(__SANITIZE_ADDRESS__)
    expect(__lsan_do_recoverable_leak_check() == 0);
#endif
}

/* A row that is compressed, in a table that comes before the other one. */
static int insert_long(instar_txn *txn, void *arg)
{
    static char text[3000];
    memset(text, 'x', sizeof(text));
    const instar_value row[] = {{.type = INSTAR_INT8, .i = 1},
                                {.type = INSTAR_INT8, .i = 1},
                                {.type = INSTAR_TEXT, .bytes = {text, sizeof(text)}}};
    return instar_insert(txn, arg, row);
}

static void make_long(instar *db)
{
    instar_projection *p = NULL;
    ok(sqls_run(db, "CREATE TABLE long (a int8 PRIMARY KEY, b int8, c text)"));
    ok(instar_projection_prepare(db, "long", NULL, 0, NULL, &p));
    ok(instar_run(db, 0, insert_long, p));
    instar_projection_free(p);
}

static void begin(struct world *w)
{
    instar_options o = dbs_options();
    instar *other = NULL;
    (void)snprintf(w->other, sizeof(w->other), "%s/other", test_fast_dir());
    (void)snprintf(w->backup, sizeof(w->backup), "%s/backup", test_fast_dir());
    (void)snprintf(w->made, sizeof(w->made), "%s/made", test_fast_dir());
    ok(instar_open(w->other, &o, &other));
    dbs_make_table(other, "t");
    ok(instar_close(other));
    w->db = dbs_open(0);
    make_long(w->db);
    dbs_make_table(w->db, "t");
    for (int64_t i = 1; i < 20; i++) {
        ok(dbs_insert(w->db, "t", i, i + 10));
    }
    ok(dbs_index(w->db, "t_b", "t", "b", true, NULL));
    ok(dbs_index(w->db, "t_c", "t", "c", false, NULL));
    ok(instar_backup(w->db, w->backup, NULL, NULL));
    ok(instar_projection_prepare(w->db, "t", NULL, 0, NULL, &w->all));
    ok(instar_projection_prepare(w->db, "t", NULL, 0, "t_b", &w->by_b));
}

/* Refused memory is an error of the call that wanted it, and of nothing else. */
Test(allocation_calls, each_of_each_call, .timeout = 3600)
{
    struct world w = {.change = 0};
    uint64_t total = 0;
    begin(&w);
    is_caller = true;
    base_alloc_hook = refuse_of_caller;
    test_libs_alloc_hook = refuse_of_caller;
    ddl_alloc_hook = refuse;
    for (size_t i = 0; i < BASE_ARRAY_LEN(calls); i++) {
        refuse_each(&w, &calls[i], &total);
    }
    base_alloc_hook = NULL;
    test_libs_alloc_hook = NULL;
    ddl_alloc_hook = NULL;
    printf("%llu requests of %zu calls refused\n", (unsigned long long)total,
           BASE_ARRAY_LEN(calls));
    cr_assert_gt(total, 300);
    dbs_check_clean(w.db);
    instar_projection_free(w.by_b);
    instar_projection_free(w.all);
    ok(instar_close(w.db));
}
