/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite in WAL mode, the one for several processes. Commits that wait: synchronous = FULL. Those
 * that do not: NORMAL, which syncs only at a checkpoint, so a power cut takes the last commits, as
 * it does with the other systems. Index builds block writers.
 */
#include "bench.h"

#include <sqlite3.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 60000
/* 2 GiB, as PostgreSQL has; memory mapped reads; sorting by both cores. */
#define PRAGMAS                                                                                \
    "pragma journal_mode = wal; pragma cache_size = -2097152; pragma mmap_size = 68719476736;" \
    "pragma threads = 2; pragma temp_store = memory;"

#define GET "select v, pad from t where k = ?"

struct session {
    sqlite3 *db;
    sqlite3_stmt *insert, *add, *update, *touch, *get, *range;
    char place[512];
};

static int failed(const struct session *s, const char *doing)
{
    fprintf(stderr, "bench: sqlite: %s: %s\n", doing, sqlite3_errmsg(s->db));
    return 1;
}

static int run(const struct session *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(s, sql);
}

static int prepare(const struct session *s, const char *sql, sqlite3_stmt **statement)
{
    if (*statement == NULL && sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                                 statement, NULL) != SQLITE_OK) {
        return failed(s, sql);
    }
    return 0;
}

static int open_session(const char *place, bool sync, void **session_out)
{
    struct session *s = calloc(1, sizeof(*s));
    int rc;

    if (sqlite3_open(place, &s->db) != SQLITE_OK) {
        return failed(s, "open");
    }
    (void)snprintf(s->place, sizeof(s->place), "%s", place);
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    rc = run(s, PRAGMAS);
    rc = rc ? rc : run(s, sync ? "pragma synchronous = full" : "pragma synchronous = normal");
    *session_out = s;
    return rc;
}

static void close_session(void *session)
{
    struct session *s = session;

    (void)sqlite3_finalize(s->insert);
    (void)sqlite3_finalize(s->add);
    (void)sqlite3_finalize(s->update);
    (void)sqlite3_finalize(s->touch);
    (void)sqlite3_finalize(s->get);
    (void)sqlite3_finalize(s->range);
    (void)sqlite3_close(s->db);
    free(s);
}

/* ---- writing ------------------------------------------------------------------------------ */

static int insert_row(const struct session *s, sqlite3_stmt *statement, uint64_t key)
{
    char pad[BENCH_PAD];
    int rc;

    bench_pad(key, pad);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)key);
    (void)sqlite3_bind_int64(statement, 2, bench_value(key));
    (void)sqlite3_bind_text(statement, 3, pad, BENCH_PAD, SQLITE_STATIC);
    rc = sqlite3_step(statement) == SQLITE_DONE ? 0 : failed(s, "insert");
    (void)sqlite3_reset(statement);
    return rc;
}

static int load(void *session, uint64_t rows)
{
    struct session *s = session;
    int rc =
        run(s, "create table t (k integer primary key, v integer not null, pad text not null);"
               "create table w (k integer primary key, v integer not null, pad text not null)");

    rc = rc ? rc : prepare(s, "insert into t values (?, ?, ?)", &s->insert);
    for (uint64_t key = 1; rc == 0 && key <= rows;) {
        rc = run(s, "begin");
        for (unsigned n = 0; rc == 0 && n < BENCH_BATCH && key <= rows; n++, key++) {
            rc = insert_row(s, s->insert, key);
        }
        rc = rc ? rc : run(s, "commit");
    }
    (void)sqlite3_finalize(s->insert);
    s->insert = NULL;
    return rc ? rc : run(s, "pragma wal_checkpoint(truncate); analyze");
}

static int insert(void *session, uint64_t key)
{
    struct session *s = session;
    int rc = prepare(s, "insert into w values (?, ?, ?)", &s->insert);

    return rc ? rc : insert_row(s, s->insert, key);
}

static int add(void *session, uint64_t key)
{
    struct session *s = session;
    int rc = prepare(s, "insert into t values (?, ?, ?)", &s->add);

    return rc ? rc : insert_row(s, s->add, key);
}

static int update(void *session, uint64_t key, int64_t v)
{
    struct session *s = session;
    int rc = prepare(s, "update t set v = ? where k = ?", &s->update);

    if (rc == 0) {
        (void)sqlite3_bind_int64(s->update, 1, v);
        (void)sqlite3_bind_int64(s->update, 2, (int64_t)key);
        rc = sqlite3_step(s->update) == SQLITE_DONE ? 0 : failed(s, "update");
        (void)sqlite3_reset(s->update);
    }
    return rc;
}

/* ---- reading ------------------------------------------------------------------------------ */

static int touch(void *session, uint64_t key)
{
    struct session *s = session;
    char pad[BENCH_PAD];
    int rc = prepare(s, "update t set pad = ? where k = ?", &s->touch);

    if (rc == 0) {
        bench_pad(key + 1, pad);
        (void)sqlite3_bind_text(s->touch, 1, pad, BENCH_PAD, SQLITE_STATIC);
        (void)sqlite3_bind_int64(s->touch, 2, (int64_t)key);
        rc = sqlite3_step(s->touch) == SQLITE_DONE ? 0 : failed(s, "update");
        (void)sqlite3_reset(s->touch);
    }
    return rc;
}

static int get(void *session, uint64_t key, int64_t *v_out)
{
    struct session *s = session;
    int rc = 1;

    (void)sqlite3_bind_int64(s->get, 1, (int64_t)key);
    if (sqlite3_step(s->get) == SQLITE_ROW) {
        *v_out = sqlite3_column_int64(s->get, 0);
        rc = sqlite3_column_bytes(s->get, 1) == BENCH_PAD ? 0 : 1;
    }
    (void)sqlite3_reset(s->get);
    return rc ? failed(s, "get") : 0;
}

/* It writes later on, so it begins as a writer: one that has read first could not wait its turn. */
static int modify(void *session, uint64_t key)
{
    struct session *s = session;
    int64_t v = 0;
    int rc = prepare(s, GET, &s->get);

    rc = rc ? rc : run(s, "begin immediate");
    if (rc == 0) {
        rc = get(session, key, &v);
        rc = rc ? rc : update(session, key, bench_changed(v));
        rc = run(s, rc == 0 ? "commit" : "rollback") ? 1 : rc;
    }
    return rc;
}

static int read_begin(void *session)
{
    struct session *s = session;
    int rc = prepare(s, GET, &s->get);

    return rc ? rc : run(s, "begin");
}

static void read_end(void *session)
{
    struct session *s = session;

    (void)run(s, "rollback");
}

static int read_one(void *session, uint64_t key, int64_t *v_out)
{
    struct session *s = session;
    int rc = prepare(s, GET, &s->get);

    return rc ? rc : get(session, key, v_out);
}

static int read_range(void *session, uint64_t key, unsigned count)
{
    struct session *s = session;
    int64_t sum = 0;
    int rc = prepare(s, "select v, pad from t where k >= ? order by k limit ?", &s->range);

    if (rc != 0) {
        return rc;
    }
    (void)sqlite3_bind_int64(s->range, 1, (int64_t)key);
    (void)sqlite3_bind_int64(s->range, 2, count);
    while ((rc = sqlite3_step(s->range)) == SQLITE_ROW) {
        sum ^= sqlite3_column_int64(s->range, 0) + sqlite3_column_bytes(s->range, 1);
    }
    (void)sqlite3_reset(s->range);
    bench_use(sum);
    return rc == SQLITE_DONE ? 0 : failed(s, "range");
}

static int scan(void *session, uint64_t *rows_out, int64_t *xor_out)
{
    struct session *s = session;
    sqlite3_stmt *statement = NULL;
    int rc = prepare(s, "select v, pad from t", &statement);

    *rows_out = 0;
    *xor_out = 0;
    while (rc == 0 && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        ++*rows_out;
        *xor_out ^= sqlite3_column_int64(statement, 0) >> BENCH_LOW_BITS;
        rc = 0;
    }
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? 0 : failed(s, "scan");
}

/* ---- indexes ------------------------------------------------------------------------------ */

static int create_index(void *session, bool unique, bool online, double *seconds_out)
{
    struct session *s = session;
    uint64_t begin = bench_now_ns();
    int rc;

    if (online) {
        return failed(s, "no index beside writers");
    }
    rc = run(s, unique ? "create unique index by_v on t (v)" : "create index by_v on t (v)");
    *seconds_out = (double)(bench_now_ns() - begin) / 1e9;
    return rc;
}

static int drop_index(void *session, double *seconds_out)
{
    struct session *s = session;
    uint64_t begin = bench_now_ns();
    int rc = run(s, "drop index by_v");

    *seconds_out = (double)(bench_now_ns() - begin) / 1e9;
    return rc;
}

static int disk(void *session, uint64_t *tables_out, uint64_t *log_out)
{
    const struct session *s = session;
    char wal[600];
    int rc = run(s, "pragma wal_checkpoint(truncate)");

    (void)snprintf(wal, sizeof(wal), "%s-wal", s->place);
    *tables_out = bench_file_bytes(s->place);
    *log_out = bench_file_bytes(wal);
    return rc;
}

/* ---- settings ----------------------------------------------------------------------------- */

static int print_setting(void *arg, int columns, char **values, char **names)
{
    (void)columns;
    (void)names;
    bench_setting(arg, values[0] != NULL ? values[0] : "");
    return 0;
}

static int settings(void *session)
{
    static const char *const names[] = {"journal_mode", "synchronous", "cache_size", "mmap_size",
                                        "threads",      "temp_store",  "page_size"};
    struct session *s = session;

    bench_setting("version", sqlite3_libversion());
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char sql[64];

        (void)snprintf(sql, sizeof(sql), "pragma %s", names[i]);
        if (sqlite3_exec(s->db, sql, print_setting, (void *)(uintptr_t)names[i], NULL) !=
            SQLITE_OK) {
            return failed(s, sql);
        }
    }
    return 0;
}

const struct driver sqlite_driver = {.name = "sqlite",
                                     .open = open_session,
                                     .close = close_session,
                                     .load = load,
                                     .insert = insert,
                                     .add = add,
                                     .update = update,
                                     .touch = touch,
                                     .modify = modify,
                                     .read = read_one,
                                     .read_range = read_range,
                                     .read_begin = read_begin,
                                     .read_end = read_end,
                                     .get = get,
                                     .scan = scan,
                                     .create_index = create_index,
                                     .drop_index = drop_index,
                                     .disk = disk,
                                     .settings = settings};
