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

struct session {
    sqlite3 *db;
    sqlite3_stmt *insert[2], *set_v, *set_pad, *get, *range; /* insert: by table */
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

    (void)sqlite3_finalize(s->insert[BENCH_T]);
    (void)sqlite3_finalize(s->insert[BENCH_W]);
    (void)sqlite3_finalize(s->set_v);
    (void)sqlite3_finalize(s->set_pad);
    (void)sqlite3_finalize(s->get);
    (void)sqlite3_finalize(s->range);
    (void)sqlite3_close(s->db);
    free(s);
}

/* ---- writing ------------------------------------------------------------------------------ */

/* A statement that finds nothing to return. */
static int step(const struct session *s, sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement) == SQLITE_DONE ? 0 : failed(s, sqlite3_sql(statement));

    (void)sqlite3_reset(statement);
    return rc;
}

static int insert_row(const struct session *s, sqlite3_stmt *statement, uint64_t key)
{
    char pad[BENCH_PAD];

    bench_pad(key, pad);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)key);
    (void)sqlite3_bind_int64(statement, 2, bench_value(key));
    (void)sqlite3_bind_text(statement, 3, pad, BENCH_PAD, SQLITE_STATIC);
    return step(s, statement);
}

static int insert(void *session, enum bench_table table, uint64_t from, uint64_t to)
{
    static const char *const statements[] = {
        [BENCH_T] = "insert into t values (?, ?, ?)", [BENCH_W] = "insert into w values (?, ?, ?)"};
    struct session *s = session;
    bool several = to - from > 1; /* one is a transaction by itself */
    int rc = prepare(s, statements[table], &s->insert[table]);

    rc = rc ? rc : several ? run(s, "begin") : 0;
    for (uint64_t key = from; rc == 0 && key < to; key++) {
        rc = insert_row(s, s->insert[table], key);
    }
    return rc ? rc : several ? run(s, "commit") : 0;
}

static int load_batch(void *session, uint64_t from, uint64_t to)
{
    return insert(session, BENCH_T, from, to);
}

static int load(void *session, uint64_t rows)
{
    struct session *s = session;
    int rc =
        run(s, "create table t (k integer primary key, v integer not null, pad text not null);"
               "create table w (k integer primary key, v integer not null, pad text not null)");

    rc = rc ? rc : bench_in_batches(rows, load_batch, s);
    return rc ? rc : run(s, "pragma wal_checkpoint(truncate); analyze");
}

static int set_v(struct session *s, uint64_t key, int64_t v)
{
    int rc = prepare(s, "update t set v = ? where k = ?", &s->set_v);

    if (rc == 0) {
        (void)sqlite3_bind_int64(s->set_v, 1, v);
        (void)sqlite3_bind_int64(s->set_v, 2, (int64_t)key);
        rc = step(s, s->set_v);
    }
    return rc;
}

static int set_pad(struct session *s, uint64_t key)
{
    char pad[BENCH_PAD];
    int rc = prepare(s, "update t set pad = ? where k = ?", &s->set_pad);

    if (rc == 0) {
        bench_pad(key + 1, pad);
        (void)sqlite3_bind_text(s->set_pad, 1, pad, BENCH_PAD, SQLITE_STATIC);
        (void)sqlite3_bind_int64(s->set_pad, 2, (int64_t)key);
        rc = step(s, s->set_pad);
    }
    return rc;
}

static int get(void *session, uint64_t key, int64_t *v_out)
{
    struct session *s = session;
    int rc = prepare(s, "select v, pad from t where k = ?", &s->get);

    if (rc != 0) {
        return rc;
    }
    (void)sqlite3_bind_int64(s->get, 1, (int64_t)key);
    rc = 1;
    if (sqlite3_step(s->get) == SQLITE_ROW) {
        *v_out = sqlite3_column_int64(s->get, 0);
        rc = sqlite3_column_bytes(s->get, 1) == BENCH_PAD ? 0 : 1;
    }
    (void)sqlite3_reset(s->get);
    return rc ? failed(s, "get") : 0;
}

/* It writes later on, so it begins as a writer: one that has read first could not wait its turn. */
static int change_v(struct session *s, uint64_t key)
{
    int64_t v = 0;
    int rc = run(s, "begin immediate");

    if (rc == 0) {
        rc = get(s, key, &v);
        rc = rc ? rc : set_v(s, key, bench_changed(v));
        rc = run(s, rc == 0 ? "commit" : "rollback") ? 1 : rc;
    }
    return rc;
}

static int update(void *session, uint64_t key, enum bench_edit edit, int64_t v)
{
    return edit == BENCH_SET_V     ? set_v(session, key, v)
           : edit == BENCH_SET_PAD ? set_pad(session, key)
                                   : change_v(session, key);
}

/* ---- reading ------------------------------------------------------------------------------ */

static int read_begin(void *session)
{
    return run(session, "begin");
}

static void read_end(void *session)
{
    (void)run(session, "rollback");
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
    *seconds_out = bench_seconds_since(begin);
    return rc;
}

static int drop_index(void *session, double *seconds_out)
{
    struct session *s = session;
    uint64_t begin = bench_now_ns();
    int rc = run(s, "drop index by_v");

    *seconds_out = bench_seconds_since(begin);
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
                                     .update = update,
                                     .read_begin = read_begin,
                                     .read_end = read_end,
                                     .get = get,
                                     .read_range = read_range,
                                     .scan = scan,
                                     .create_index = create_index,
                                     .drop_index = drop_index,
                                     .disk = disk,
                                     .settings = settings};
