/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL, by libpq over a unix socket, PLACE the socket's directory; prepared statements, one
 * statement a commit. Rows travel as text, as most programs have them. Commits that do not wait:
 * synchronous_commit = off. A scan is an aggregate in the server, which is to its advantage: it
 * sends one row.
 */
#include "bench.h"

#include <libpq-fe.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
    PGconn *connection;
    bool prepared;
};

static int failed(const struct session *s, const char *doing)
{
    fprintf(stderr, "bench: postgres: %s: %s", doing, PQerrorMessage(s->connection));
    return 1;
}

static bool good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static int run(const struct session *s, const char *sql)
{
    PGresult *result = PQexec(s->connection, sql);
    int rc = good(result) ? 0 : failed(s, sql);

    PQclear(result);
    return rc;
}

static int open_session(const char *place, bool sync, void **session_out)
{
    struct session *s = calloc(1, sizeof(*s));
    char words[600];

    (void)snprintf(words, sizeof(words), "host=%s user=bench dbname=postgres", place);
    s->connection = PQconnectdb(words);
    if (PQstatus(s->connection) != CONNECTION_OK) {
        return failed(s, "connect");
    }
    *session_out = s;
    return sync ? 0 : run(s, "set synchronous_commit = off");
}

static void close_session(void *session)
{
    struct session *s = session;

    PQfinish(s->connection);
    free(s);
}

/* ---- writing ------------------------------------------------------------------------------ */

static int prepare(struct session *s)
{
    static const char *const statements[][2] = {
        {"insert w", "insert into w values ($1::int8, $2::int8, $3)"},
        {"insert t", "insert into t values ($1::int8, $2::int8, $3)"},
        {"set pad", "update t set pad = $2 where k = $1::int8"},
        {"set v", "update t set v = $2::int8 where k = $1::int8"},
        {"get", "select v, pad from t where k = $1::int8"},
        {"get for update", "select v, pad from t where k = $1::int8 for update"},
        {"range", "select v, pad from t where k >= $1::int8 order by k limit $2::int8"}};

    for (size_t i = 0; !s->prepared && i < sizeof(statements) / sizeof(statements[0]); i++) {
        PGresult *result = PQprepare(s->connection, statements[i][0], statements[i][1], 0, NULL);
        int rc = good(result) ? 0 : failed(s, statements[i][0]);

        PQclear(result);
        if (rc != 0) {
            return rc;
        }
    }
    s->prepared = true;
    return 0;
}

#define LINE_MAX_BYTES 200

static int row_of_t(uint64_t key, char line[LINE_MAX_BYTES])
{
    char pad[BENCH_PAD];

    bench_pad(key, pad);
    return snprintf(line, LINE_MAX_BYTES, "%" PRIu64 "\t%" PRId64 "\t%.*s\n", key, bench_value(key),
                    BENCH_PAD, pad);
}

static int row_of_u(uint64_t key, char line[LINE_MAX_BYTES])
{
    char name[BENCH_NAME];

    bench_name(key, name);
    return snprintf(line, LINE_MAX_BYTES, "%" PRIu64 "\t%" PRId32 "\t%.*s\t%" PRId64 "\n", key,
                    bench_few(key), BENCH_NAME, name, bench_value(key));
}

struct copy {
    const struct session *session;
    const char *statement;
    int (*row)(uint64_t key, char line[LINE_MAX_BYTES]);
};

static int copy_rows(void *arg, uint64_t from, uint64_t to)
{
    const struct copy *copy = arg;
    const struct session *s = copy->session;
    PGresult *result = PQexec(s->connection, copy->statement);
    bool going = PQresultStatus(result) == PGRES_COPY_IN;

    PQclear(result);
    for (uint64_t key = from; going && key < to; key++) {
        char line[LINE_MAX_BYTES];
        int size = copy->row(key, line);

        going = PQputCopyData(s->connection, line, size) == 1;
    }
    if (!going || PQputCopyEnd(s->connection, NULL) != 1) {
        return failed(s, "copy");
    }
    for (int rc = 0;;) {
        result = PQgetResult(s->connection);
        if (result == NULL) {
            return rc;
        }
        rc = good(result) ? rc : failed(s, "copy");
        PQclear(result);
    }
}

static int load(void *session, uint64_t rows)
{
    struct session *s = session;
    struct copy copy = {s, "copy t from stdin", row_of_t};
    int rc = run(s, "create table t (k int8 primary key, v int8 not null, pad text not null);"
                    "create table w (k int8 primary key, v int8 not null, pad text not null)");

    rc = rc ? rc : bench_in_batches(rows, copy_rows, &copy);
    rc = rc ? rc : run(s, "vacuum analyze t");
    return rc ? rc : run(s, "checkpoint");
}

static int sql(void *session, const char *statement)
{
    return run(session, statement);
}

static int load_other(void *session, const char *table, uint64_t rows)
{
    struct session *s = session;
    char create[200], words[80], vacuum[80];
    struct copy copy = {s, words, row_of_u};
    int rc;

    (void)snprintf(create, sizeof(create), "create table %s " BENCH_OTHER, table);
    (void)snprintf(words, sizeof(words), "copy %s from stdin", table);
    (void)snprintf(vacuum, sizeof(vacuum), "vacuum analyze %s", table);
    rc = run(s, create);
    rc = rc ? rc : bench_in_batches(rows, copy_rows, &copy);
    rc = rc ? rc : run(s, vacuum);
    return rc ? rc : run(s, "checkpoint");
}

static int execute(struct session *s, const char *name, int count, const char *const *values,
                   PGresult **result_out)
{
    int rc = prepare(s);

    if (rc != 0) {
        return rc;
    }
    *result_out = PQexecPrepared(s->connection, name, count, values, NULL, NULL, 0);
    if (!good(*result_out)) {
        rc = failed(s, name);
        PQclear(*result_out);
    }
    return rc;
}

/* The statement's first value is the key; `rest` are the others. */
static int write_row(struct session *s, const char *name, uint64_t key, const char *const rest[2],
                     int count)
{
    char k_text[24];
    const char *values[] = {k_text, rest[0], rest[1]};
    PGresult *result;
    int rc;

    (void)snprintf(k_text, sizeof(k_text), "%" PRIu64, key);
    rc = execute(s, name, 1 + count, values, &result);
    if (rc == 0) {
        PQclear(result);
    }
    return rc;
}

static void pad_text(uint64_t key, char text[BENCH_PAD + 1])
{
    bench_pad(key, text);
    text[BENCH_PAD] = '\0';
}

static int insert_row(struct session *s, enum bench_table table, uint64_t key)
{
    char v_text[24], pad[BENCH_PAD + 1];
    const char *rest[2] = {v_text, pad};

    (void)snprintf(v_text, sizeof(v_text), "%" PRId64, bench_value(key));
    pad_text(key, pad);
    return write_row(s, table == BENCH_T ? "insert t" : "insert w", key, rest, 2);
}

static int insert(void *session, enum bench_table table, uint64_t from, uint64_t to)
{
    bool several = to - from > 1; /* one is a transaction by itself */
    int rc = several ? run(session, "begin") : 0;

    for (uint64_t key = from; rc == 0 && key < to; key++) {
        rc = insert_row(session, table, key);
    }
    return rc ? rc : several ? run(session, "commit") : 0;
}

static int set_v(struct session *s, uint64_t key, int64_t v)
{
    char v_text[24];
    const char *rest[2] = {v_text, NULL};

    (void)snprintf(v_text, sizeof(v_text), "%" PRId64, v);
    return write_row(s, "set v", key, rest, 1);
}

static int set_pad(struct session *s, uint64_t key)
{
    char pad[BENCH_PAD + 1];
    const char *rest[2] = {pad, NULL};

    pad_text(key + 1, pad);
    return write_row(s, "set pad", key, rest, 1);
}

static int get_by(struct session *s, const char *statement, uint64_t key, int64_t *v_out)
{
    char k_text[24];
    const char *values[] = {k_text};
    PGresult *result;
    int rc;

    (void)snprintf(k_text, sizeof(k_text), "%" PRIu64, key);
    rc = execute(s, statement, 1, values, &result);
    if (rc != 0) {
        return rc;
    }
    rc = PQntuples(result) == 1 ? 0 : failed(s, statement);
    if (rc == 0) {
        *v_out = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    }
    PQclear(result);
    return rc;
}

static int change_v(struct session *s, uint64_t key)
{
    int64_t v = 0;
    int rc = run(s, "begin");

    rc = rc ? rc : get_by(s, "get for update", key, &v);
    rc = rc ? rc : set_v(s, key, bench_changed(v));
    return run(s, rc == 0 ? "commit" : "rollback") ? 1 : rc;
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
    return run(session, "begin isolation level repeatable read read only");
}

static void read_end(void *session)
{
    (void)run(session, "rollback");
}

static int get(void *session, uint64_t key, int64_t *v_out)
{
    return get_by(session, "get", key, v_out);
}

static int read_range(void *session, uint64_t key, unsigned count)
{
    char k_text[24], count_text[24];
    const char *values[] = {k_text, count_text};
    PGresult *result;
    int rc;

    (void)snprintf(k_text, sizeof(k_text), "%" PRIu64, key);
    (void)snprintf(count_text, sizeof(count_text), "%u", count);
    rc = execute(session, "range", 2, values, &result);
    if (rc == 0) {
        PQclear(result);
    }
    return rc;
}

static int scan(void *session, uint64_t *rows_out, int64_t *xor_out)
{
    const struct session *s = session;
    PGresult *result = PQexec(s->connection, "select count(pad), bit_xor(v >> 8) from t");
    int rc = good(result) ? 0 : failed(s, "scan");

    if (rc == 0) {
        *rows_out = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        *xor_out = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    }
    PQclear(result);
    return rc;
}
_Static_assert(BENCH_LOW_BITS == 8, "as the aggregate above says");

/* ---- indexes ------------------------------------------------------------------------------ */

static int create_index(void *session, bool unique, bool online, double *seconds_out)
{
    uint64_t begin = bench_now_ns();
    char sql[100];
    int rc;

    (void)snprintf(sql, sizeof(sql), "create %s index %s by_v on t (v)", unique ? "unique" : "",
                   online ? "concurrently" : "");
    rc = run(session, sql);
    *seconds_out = bench_seconds_since(begin);
    return rc;
}

static int drop_index(void *session, double *seconds_out)
{
    uint64_t begin = bench_now_ns();
    int rc = run(session, "drop index by_v");

    *seconds_out = bench_seconds_since(begin);
    return rc;
}

static int disk(void *session, uint64_t *tables_out, uint64_t *log_out)
{
    const struct session *s = session;
    PGresult *result = PQexec(s->connection, "select pg_total_relation_size('t'), "
                                             "(select sum(size) from pg_ls_waldir())");
    int rc = good(result) ? 0 : failed(s, "size");

    if (rc == 0) {
        *tables_out = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        *log_out = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
    }
    PQclear(result);
    return rc;
}

static int settings(void *session)
{
    static const char *const names[] = {"fsync",
                                        "synchronous_commit",
                                        "full_page_writes",
                                        "wal_sync_method",
                                        "shared_buffers",
                                        "maintenance_work_mem",
                                        "max_parallel_maintenance_workers",
                                        "max_wal_size",
                                        "autovacuum"};
    const struct session *s = session;

    bench_setting("version", PQparameterStatus(s->connection, "server_version"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char sql[80];
        PGresult *result;

        (void)snprintf(sql, sizeof(sql), "show %s", names[i]);
        result = PQexec(s->connection, sql);
        if (!good(result)) {
            return failed(s, sql);
        }
        bench_setting(names[i], PQgetvalue(result, 0, 0));
        PQclear(result);
    }
    return 0;
}

const struct driver postgres_driver = {.name = "postgres",
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
                                       .sql = sql,
                                       .load_other = load_other,
                                       .disk = disk,
                                       .settings = settings};
