/* SPDX-License-Identifier: Apache-2.0 */
/* A way through the whole engine, in legs that can be run again. */
#include "support/course.h"

#include "api/api_impl.h"
#include "support/sqls.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_BYTES 1100
#define PASS_MAX 31
#define FOLD_WAIT_MS 10000
#define NS_PER_MS 1000000u

enum row_verb { ROW_UPSERT, ROW_DELETE };

struct course_book *course_book_new(void)
{
    struct course_book *book = test_shared(sizeof(*book));
    course_book_clear(book);
    return book;
}

void course_book_clear(struct course_book *book)
{
    *book = (struct course_book){.pass = 0};
    for (size_t i = 0; i < COURSE_ROWS; i++) {
        book->rows[i] = 1;
    }
}

static const char *path_of(const struct course *c, const char *name)
{
    static char paths[3][300];
    static size_t next;
    char *path = paths[next++ % BASE_ARRAY_LEN(paths)];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", c->dir, name);
    return path;
}

const char *course_store(const struct course *c)
{
    return path_of(c, "store");
}

void course_remove(const struct course *c)
{
    test_remove(course_store(c));
    test_remove(path_of(c, "backup"));
    test_remove(path_of(c, "restored"));
}

static instar_options small_options(void)
{
    instar_options o = dbs_options();
    o.flags = 0;
    o.segment_bytes = (uint64_t)64 << 10;
    o.map_bytes = (uint64_t)64 << 20;
    o.lock_timeout_ms = 2000;
    o.build_workers = 1;
    o.sort_memory_bytes = (uint64_t)1 << 20;
    return o;
}

int course_open(struct course *c)
{
    instar_options o = small_options();
    return instar_open(course_store(c), &o, &c->db);
}

/* ---- rows --------------------------------------------------------------------------------- */

struct row_work {
    instar_projection *projection;
    enum row_verb verb;
    int64_t key;
    uint32_t pass;
    bool found; /* there was something to write */
};

static const char *const columns[] = {"a", "b", "c"};

/* Long enough to be compressed, but not by much, so that log and pages fill. */
static void fill_text(char *text, int64_t key, uint32_t pass)
{
    uint64_t state = base_hash64(&key, sizeof(key), pass);
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        text[i] = (char)('0' + state / ((uint64_t)1 << 58));
    }
}

static int write_row(instar_txn *txn, void *arg)
{
    struct row_work *w = arg;
    char text[TEXT_BYTES];
    fill_text(text, w->key, w->pass);
    instar_value values[] = {{.type = INSTAR_INT8, .i = w->key},
                             {.type = INSTAR_INT8, .i = w->pass * 1000 + w->key},
                             {.type = INSTAR_TEXT, .bytes = {text, sizeof(text)}}};
    if (w->verb == ROW_UPSERT) {
        return instar_upsert(txn, w->projection, values);
    }
    int rc = instar_delete(txn, w->projection, values);
    w->found = rc != INSTAR_ENOTFOUND;
    return w->found ? rc : INSTAR_OK;
}

/* The row may be as before or as after until it is known; what an async commit did is known when it
 * has been flushed. Who finds nothing to delete has only read, which goes on in a store that has
 * stopped: a commit of which nobody knows may be there when it is opened again. */
static int run_row(struct course *c, struct row_work *w, unsigned flags)
{
    uint32_t *states = &c->book->rows[w->key];
    uint32_t before = *states;
    uint32_t after = w->verb == ROW_UPSERT ? (uint32_t)1 << w->pass : 1;
    *states |= after;
    w->found = true;
    int rc = instar_run(c->db, flags, write_row, w);
    if (rc == INSTAR_OK && (flags & INSTAR_TXN_ASYNC) == 0) {
        *states = w->found ? after : before;
    } else if (rc != INSTAR_OK && rc != INSTAR_ECOMMIT_UNKNOWN) {
        *states = before;
    }
    return rc;
}

/* Every `step`th row. The first failure is the leg's, but all rows are tried. */
static int write_rows(struct course *c, enum row_verb verb, int64_t step, unsigned flags)
{
    struct row_work w = {.verb = verb};
    int rc = instar_projection_prepare(c->db, "t", columns, 3, NULL, &w.projection);
    if (rc != INSTAR_OK) {
        return rc;
    }
    c->book->pass += verb == ROW_UPSERT;
    w.pass = c->book->pass;
    expect(w.pass <= PASS_MAX);
    for (w.key = 0; w.key < COURSE_ROWS && rc == INSTAR_OK; w.key += step) {
        rc = run_row(c, &w, flags);
    }
    instar_projection_free(w.projection);
    return rc;
}

static int leg_rows(struct course *c)
{
    return write_rows(c, ROW_UPSERT, 1, INSTAR_TXN_SYNC);
}

static int leg_deletes(struct course *c)
{
    return write_rows(c, ROW_DELETE, 5, INSTAR_TXN_SYNC);
}

static int leg_async(struct course *c)
{
    int rc = write_rows(c, ROW_UPSERT, 1, INSTAR_TXN_ASYNC);
    if (rc == INSTAR_OK) {
        rc = instar_flush(c->db);
    }
    for (size_t i = 0; rc == INSTAR_OK && i < COURSE_ROWS; i++) {
        c->book->rows[i] = (uint32_t)1 << c->book->pass;
    }
    return rc;
}

/* ---- the other legs ----------------------------------------------------------------------- */

static int leg_create(struct course *c)
{
    instar_options o = small_options();
    int rc = instar_create(course_store(c), &o);
    return rc == INSTAR_EEXISTS ? INSTAR_OK : rc;
}

static int leg_close(struct course *c)
{
    instar *db = c->db;
    c->db = NULL;
    return instar_close(db);
}

static int seen_table(void *arg, const instar_table_info *info)
{
    (void)arg;
    (void)info;
    return 0;
}

/* The words of an error stand where the other statements leave theirs. */
static int leg_table(struct course *c)
{
    int rc = instar_table_list(c->db, "t", seen_table, NULL);
    return rc != INSTAR_EUNKNOWN
               ? rc
               : sqls_run(c->db, "CREATE TABLE t (a int8 PRIMARY KEY, b int8, c text, "
                                 "d int4 DEFAULT 5)");
}

static int leg_index(struct course *c)
{
    return sqls_run(c->db, "CREATE INDEX IF NOT EXISTS t_b ON t (d, b)");
}

static int leg_unique(struct course *c)
{
    return sqls_run(c->db, "CREATE UNIQUE INDEX IF NOT EXISTS t_u ON t (b)");
}

static int leg_alter(struct course *c)
{
    return sqls_run(c->db, "ALTER TABLE t ADD COLUMN IF NOT EXISTS e int4 DEFAULT 7, "
                           "ALTER b SET NOT NULL");
}

static int leg_type(struct course *c)
{
    return sqls_run(c->db, "ALTER TABLE t ALTER d TYPE int8, ALTER c TYPE varchar(1200)");
}

static int leg_drop(struct course *c)
{
    return sqls_run(c->db, "DROP INDEX IF EXISTS t_u");
}

static int leg_vacuum(struct course *c)
{
    return sqls_run(c->db, "VACUUM t");
}

static int leg_fold(struct course *c)
{
    struct store *s = c->db->env.store;
    uint64_t until = os_now_ns() + (uint64_t)FOLD_WAIT_MS * NS_PER_MS;
    base_err_clear(&test_err);
    return store_wait_applied(s, store_tail(s), STORE_URGE_SOON, until, &test_err);
}

static int leg_backup(struct course *c)
{
    test_remove(path_of(c, "backup"));
    return instar_backup(c->db, path_of(c, "backup"), NULL, NULL);
}

/* Of a backup that has failed nothing is left. */
static int leg_restore(struct course *c)
{
    if (access(path_of(c, "backup/manifest"), F_OK) != 0) {
        return INSTAR_OK;
    }
    test_remove(path_of(c, "restored"));
    int rc = instar_restore(path_of(c, "backup"), path_of(c, "restored"), NULL);
    test_remove(path_of(c, "restored"));
    return rc;
}

static int leg_overwrite(struct course *c)
{
    return instar_overwrite(course_store(c), NULL);
}

static int leg_check(struct course *c)
{
    instar_check_summary sum;
    return instar_check(c->db, NULL, NULL, &sum);
}

/* Where the words of a failure are. */
enum words { OF_CALL, OF_SQL, OF_STORE };

enum needs { ANYTHING, CLOSED, OPEN, TABLE };

static const struct leg {
    const char *name;
    int (*run)(struct course *c);
    enum words words;
    enum needs needs;
} legs[] = {
    {"create", leg_create, OF_CALL, CLOSED},      {"open", course_open, OF_CALL, CLOSED},
    {"table", leg_table, OF_SQL, OPEN},           {"rows", leg_rows, OF_CALL, TABLE},
    {"index", leg_index, OF_SQL, TABLE},          {"unique", leg_unique, OF_SQL, TABLE},
    {"deletes", leg_deletes, OF_CALL, TABLE},     {"rows again", leg_async, OF_CALL, TABLE},
    {"alter", leg_alter, OF_SQL, TABLE},          {"type", leg_type, OF_SQL, TABLE},
    {"fold", leg_fold, OF_STORE, OPEN},           {"backup", leg_backup, OF_CALL, OPEN},
    {"close", leg_close, OF_CALL, OPEN},          {"overwrite", leg_overwrite, OF_CALL, CLOSED},
    {"open again", course_open, OF_CALL, CLOSED}, {"vacuum", leg_vacuum, OF_SQL, TABLE},
    {"last rows", leg_rows, OF_CALL, TABLE},      {"drop", leg_drop, OF_SQL, TABLE},
    {"check", leg_check, OF_CALL, OPEN},          {"restore", leg_restore, OF_CALL, ANYTHING},
    {"close again", leg_close, OF_CALL, OPEN}};

/* What the leg needs is there. */
static bool possible(const struct course *c, const struct leg *leg)
{
    if (leg->needs == CLOSED) {
        return c->db == NULL;
    }
    return leg->needs == ANYTHING || (c->db != NULL && (leg->needs == OPEN || !c->no_table));
}

static const char *words_of(const struct leg *leg)
{
    switch (leg->words) {
    case OF_SQL:
        return sqls_words()[0] != '\0' ? sqls_words() : instar_error_text();
    case OF_STORE:
        return test_err.text;
    default:
        return instar_error_text();
    }
}

void course_run(struct course *c)
{
    bool created = true;
    c->no_table = true;
    for (size_t i = 0; i < BASE_ARRAY_LEN(legs) && created; i++) {
        if (!possible(c, &legs[i])) {
            continue;
        }
        *api_err() = (struct base_err){.code = 0}; /* no words of an earlier leg */
        int rc = legs[i].run(c);
        if (rc != INSTAR_OK) {
            c->book->failed++;
            c->failed(c, legs[i].name, rc, words_of(&legs[i]));
        }
        created = rc == INSTAR_OK || legs[i].run != leg_create;
        if (legs[i].run == leg_table) {
            c->no_table = rc != INSTAR_OK;
        }
    }
}

/* ---- looking ------------------------------------------------------------------------------ */

static int await_change(void *arg, const instar_change_info *info)
{
    struct course *c = arg;
    instar_change_info now;
    int rc = instar_change_wait(c->db, info->id, TEST_AWAIT_S * 1000, &now);
    if (rc == INSTAR_EBUSY) {
        test_fail(__FILE__, __LINE__, "change %llu (%s) does not end: stage %s, waits for %s",
                  (unsigned long long)info->id, info->statement, now.stage, now.waiting_for);
    }
    return 0;
}

static void look_at_row(const struct course *c, const instar_value *row, bool *seen)
{
    char text[TEXT_BYTES];
    int64_t key = row[0].i;
    uint32_t pass = (uint32_t)(row[1].i / 1000);
    expect(key >= 0 && key < COURSE_ROWS && row[1].i % 1000 == key && !seen[key]);
    fill_text(text, key, pass);
    expect(row[2].bytes.size == TEXT_BYTES && memcmp(row[2].bytes.data, text, TEXT_BYTES) == 0);
    if (pass > PASS_MAX || (c->book->rows[key] >> pass & 1) == 0) {
        test_fail(__FILE__, __LINE__, "row %ld is of pass %u, known is %x", key, pass,
                  c->book->rows[key]);
    }
    seen[key] = true;
}

static void look_at_rows(struct course *c)
{
    bool seen[COURSE_ROWS] = {false};
    instar_projection *projection = NULL;
    instar_cursor *cursor = NULL;
    instar_txn *txn = NULL;
    instar_value row[3];
    int rc = instar_projection_prepare(c->db, "t", columns, 3, NULL, &projection);
    if (rc != INSTAR_EUNKNOWN) {
        ok(rc);
        ok(instar_begin(c->db, INSTAR_TXN_READONLY, &txn));
        ok(instar_scan(txn, projection, NULL, &cursor));
        while ((rc = instar_cursor_next(cursor, row)) == INSTAR_OK) {
            look_at_row(c, row, seen);
        }
        fails(rc, INSTAR_END);
        instar_cursor_close(cursor);
        instar_abort(txn);
        instar_projection_free(projection);
    }
    for (size_t i = 0; i < COURSE_ROWS; i++) {
        if (!seen[i] && (c->book->rows[i] & 1) == 0) {
            test_fail(__FILE__, __LINE__, "row %zu is gone, known is %x", i, c->book->rows[i]);
        }
    }
}

void course_settle(struct course *c)
{
    ok(instar_change_list(c->db, await_change, c));
}

void course_look(struct course *c, bool whole)
{
    course_settle(c);
    look_at_rows(c);
    dbs_check_clean(c->db);
    if (whole) {
        const char *schema = sqls_schema(c->db, "t");
        static const char *const parts[] = {" b int8 NOT NULL", " c varchar(1200)",
                                            " d int8 DEFAULT 5", " e int4 DEFAULT 7", "INDEX t_b"};
        for (size_t i = 0; i < BASE_ARRAY_LEN(parts); i++) {
            if (strstr(schema, parts[i]) == NULL) {
                test_fail(__FILE__, __LINE__, "%s is not in: %s", parts[i], schema);
            }
        }
    }
}
