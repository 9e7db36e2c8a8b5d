/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WiredTiger 3.2. Its store belongs to one process, so clients are threads of it. Tables have
 * columns; an index is one of WiredTiger's own, filled when it is made, with nobody beside. Commits
 * that do not wait give their log record to the operating system (method=none), so that the death
 * of the process takes nothing, as with the other systems.
 */
#include "bench.h"

#include <wiredtiger.h>

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONNECTION                                                                  \
    "create,cache_size=2GB,session_max=100,statistics=(fast),checkpoint=(wait=60)," \
    "log=(enabled,file_max=100MB),transaction_sync=(enabled=true,method=%s)"
#define YIELDS 4 /* after so many conflicts in a row a writer sleeps */
#define BACK_OFF_NS 100000
#define TABLE "key_format=q,value_format=q92s,columns=(k,v,pad)"
_Static_assert(BENCH_PAD == 92, "as the table's format says");

/* The open store, shared by the sessions of this process. */
static struct {
    pthread_mutex_t lock;
    unsigned sessions;
    WT_CONNECTION *connection;
} store = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct session {
    WT_SESSION *session;
    WT_CURSOR *t, *w;
    char place[512];
};

static int check(int rc, const char *what)
{
    if (rc != 0) {
        fprintf(stderr, "bench: wiredtiger: %s: %s\n", what, wiredtiger_strerror(rc));
    }
    return rc != 0;
}

/* ---- open and close ----------------------------------------------------------------------- */

static int open_store(const char *place, bool sync)
{
    char words[300];

    (void)mkdir(place, 0700);
    (void)snprintf(words, sizeof(words), CONNECTION, sync ? "fsync" : "none");
    return wiredtiger_open(place, NULL, words, &store.connection);
}

static int leave(struct session *s)
{
    int rc = 0;

    if (s->session != NULL) {
        rc = s->session->close(s->session, NULL);
    }
    (void)pthread_mutex_lock(&store.lock);
    if (--store.sessions == 0) {
        int closed = store.connection->close(store.connection, NULL);

        rc = rc ? rc : closed;
    }
    (void)pthread_mutex_unlock(&store.lock);
    free(s);
    return check(rc, "close");
}

static int open_session(const char *place, bool sync, void **session_out)
{
    struct session *s = calloc(1, sizeof(*s));
    int rc = 0;

    (void)pthread_mutex_lock(&store.lock);
    if (store.sessions == 0) {
        rc = open_store(place, sync);
    }
    store.sessions += rc == 0;
    (void)pthread_mutex_unlock(&store.lock);
    if (rc != 0) {
        free(s);
        return check(rc, "open");
    }
    (void)snprintf(s->place, sizeof(s->place), "%s", place);
    rc = store.connection->open_session(store.connection, NULL, NULL, &s->session);
    rc = rc ? rc : s->session->create(s->session, "table:t", TABLE);
    rc = rc ? rc : s->session->create(s->session, "table:w", TABLE);
    rc = rc ? rc : s->session->open_cursor(s->session, "table:t", NULL, NULL, &s->t);
    rc = rc ? rc : s->session->open_cursor(s->session, "table:w", NULL, NULL, &s->w);
    if (rc != 0) {
        (void)leave(s);
        return check(rc, "open");
    }
    *session_out = s;
    return 0;
}

static void close_session(void *session)
{
    (void)leave(session);
}

/* ---- writing ------------------------------------------------------------------------------ */

static int put(WT_CURSOR *cursor, uint64_t key, int64_t v, uint64_t pad_of)
{
    char pad[BENCH_PAD + 1];
    int rc;

    bench_pad(pad_of, pad);
    pad[BENCH_PAD] = '\0';
    cursor->set_key(cursor, (int64_t)key);
    cursor->set_value(cursor, v, pad);
    rc = cursor->insert(cursor);
    return rc ? rc : cursor->reset(cursor);
}

static int insert(void *session, enum bench_table table, uint64_t from, uint64_t to)
{
    const struct session *s = session;
    int rc = s->session->begin_transaction(s->session, NULL);

    for (uint64_t key = from; rc == 0 && key < to; key++) {
        rc = put(table == BENCH_T ? s->t : s->w, key, bench_value(key), key);
    }
    rc = rc ? rc : s->session->commit_transaction(s->session, NULL);
    return check(rc, "insert");
}

static int load_batch(void *session, uint64_t from, uint64_t to)
{
    return insert(session, BENCH_T, from, to);
}

static int load(void *session, uint64_t rows)
{
    const struct session *s = session;
    int rc = bench_in_batches(rows, load_batch, session);

    return rc ? rc : check(s->session->checkpoint(s->session, NULL), "checkpoint");
}

static int find(WT_CURSOR *cursor, uint64_t key, int64_t *v_out, const char **pad_out)
{
    int rc;

    cursor->set_key(cursor, (int64_t)key);
    rc = cursor->search(cursor);
    return rc ? rc : cursor->get_value(cursor, v_out, pad_out);
}

static int edit_row(const struct session *s, uint64_t key, enum bench_edit edit, int64_t v)
{
    const char *old_pad = NULL;
    int64_t old = 0;
    int rc = find(s->t, key, &old, &old_pad);

    if (rc != 0) {
        return rc;
    }
    if (edit == BENCH_SET_PAD) {
        return put(s->t, key, old, key + 1);
    }
    s->t->set_value(s->t, edit == BENCH_SET_V ? v : bench_changed(old), old_pad);
    return s->t->update(s->t);
}

/* Until nobody else was first. */
static int update(void *session, uint64_t key, enum bench_edit edit, int64_t v)
{
    const struct session *s = session;
    unsigned lost = 0;
    int rc;

    do {
        rc = s->session->begin_transaction(s->session, "isolation=snapshot");
        if (rc != 0) {
            break;
        }
        rc = edit_row(s, key, edit, v);
        if (rc == 0) {
            rc = s->session->commit_transaction(s->session, NULL);
        } else {
            (void)s->session->rollback_transaction(s->session, NULL);
        }
        (void)s->t->reset(s->t);
        if (rc == WT_ROLLBACK && ++lost > YIELDS) { /* who has the row may have no processor */
            bench_sleep_until(bench_now_ns() + BACK_OFF_NS);
        } else if (rc == WT_ROLLBACK) {
            (void)sched_yield();
        }
    } while (rc == WT_ROLLBACK);
    return check(rc, "update");
}

/* ---- reading ------------------------------------------------------------------------------ */

static int read_begin(void *session)
{
    const struct session *s = session;

    return check(s->session->begin_transaction(s->session, "isolation=snapshot"), "begin");
}

static void read_end(void *session)
{
    const struct session *s = session;

    (void)s->session->rollback_transaction(s->session, NULL);
}

static int get(void *session, uint64_t key, int64_t *v_out)
{
    const struct session *s = session;
    const char *pad;
    int rc = find(s->t, key, v_out, &pad);

    return check(rc ? rc : s->t->reset(s->t), "get");
}

/* Up to `count` rows of t from key on. */
static int walk(const struct session *s, uint64_t key, uint64_t count, uint64_t *rows_out,
                int64_t *xor_out)
{
    int exact = 0, rc;

    *rows_out = 0;
    *xor_out = 0;
    s->t->set_key(s->t, (int64_t)key);
    rc = s->t->search_near(s->t, &exact);
    if (rc == 0 && exact < 0) {
        rc = s->t->next(s->t);
    }
    while (rc == 0 && *rows_out < count) {
        const char *pad;
        int64_t v;

        rc = s->t->get_value(s->t, &v, &pad);
        if (rc == 0) {
            *xor_out ^= v >> BENCH_LOW_BITS;
            ++*rows_out;
            rc = s->t->next(s->t);
        }
    }
    (void)s->t->reset(s->t);
    return check(rc == WT_NOTFOUND ? 0 : rc, "scan");
}

static int read_range(void *session, uint64_t key, unsigned count)
{
    uint64_t rows;
    int64_t sum;
    int rc = walk(session, key, count, &rows, &sum);

    bench_use(sum);
    return rc;
}

static int scan(void *session, uint64_t *rows_out, int64_t *xor_out)
{
    return walk(session, 0, UINT64_MAX, rows_out, xor_out);
}

/* ---- indexes ------------------------------------------------------------------------------ */

/* Nobody may have the table open meanwhile: the cursors go, and come back. */
static int alone(struct session *s, int (*fn)(WT_SESSION *session), double *seconds_out)
{
    uint64_t begin = bench_now_ns();
    int rc = s->t->close(s->t);

    s->t = NULL;
    rc = rc ? rc : fn(s->session);
    *seconds_out = bench_seconds_since(begin);
    rc = rc ? rc : s->session->open_cursor(s->session, "table:t", NULL, NULL, &s->t);
    return check(rc, "index");
}

static int create(WT_SESSION *session)
{
    int rc = session->create(session, "index:t:v", "columns=(v)");

    return rc ? rc : session->checkpoint(session, NULL); /* the entries are not in the log */
}

static int drop(WT_SESSION *session)
{
    return session->drop(session, "index:t:v", NULL);
}

static int create_index(void *session, bool unique, bool online, double *seconds_out)
{
    if (unique || online) {
        fprintf(stderr, "bench: wiredtiger: no such index\n");
        return 1;
    }
    return alone(session, create, seconds_out);
}

static int drop_index(void *session, double *seconds_out)
{
    return alone(session, drop, seconds_out);
}

/* ---- looking ------------------------------------------------------------------------------ */

static int disk(void *session, uint64_t *tables_out, uint64_t *log_out)
{
    const struct session *s = session;
    int rc = s->session->checkpoint(s->session, NULL);

    *tables_out = bench_files_bytes(s->place, "t.") + bench_files_bytes(s->place, "t_");
    *log_out = bench_files_bytes(s->place, "WiredTigerLog.");
    return check(rc, "checkpoint");
}

static int statistic(const struct session *s, int which, int64_t *value_out)
{
    WT_CURSOR *cursor;
    const char *words, *text;
    int rc = s->session->open_cursor(s->session, "statistics:", NULL, NULL, &cursor);

    if (rc != 0) {
        return rc;
    }
    cursor->set_key(cursor, which);
    rc = cursor->search(cursor);
    rc = rc ? rc : cursor->get_value(cursor, &words, &text, value_out);
    (void)cursor->close(cursor);
    return rc;
}

/* It does not tell how it was opened, but counts what it does: a commit, and did its log record go
 * to the operating system, and to the disk? */
static int settings(void *session)
{
    static const struct {
        const char *name;
        int statistic;
    } counted[] = {{"writes_at_commit", WT_STAT_CONN_LOG_WRITES},
                   {"syncs_at_commit", WT_STAT_CONN_LOG_SYNC}};
    const struct session *s = session;
    int64_t before[2] = {0}, after[2] = {0}, cache = 0;
    uint64_t unused = bench_now_ns();
    int major, minor, patch, rc;
    char text[40];

    (void)wiredtiger_version(&major, &minor, &patch);
    (void)snprintf(text, sizeof(text), "%d.%d.%d", major, minor, patch);
    bench_setting("version", text);
    rc = statistic(s, WT_STAT_CONN_CACHE_BYTES_MAX, &cache);
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        rc = statistic(s, counted[i].statistic, &before[i]);
    }
    rc = rc ? rc : insert(session, BENCH_W, unused, unused + 1);
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        rc = statistic(s, counted[i].statistic, &after[i]);
        bench_setting(counted[i].name, after[i] > before[i] ? "1" : "0");
    }
    (void)snprintf(text, sizeof(text), "%" PRId64, cache);
    bench_setting("cache_size", text);
    return check(rc, "statistics");
}

const struct driver wiredtiger_driver = {.name = "wiredtiger",
                                         .one_process = true,
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
