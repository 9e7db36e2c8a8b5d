/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw LMDB, the floor: no checksums, no schema. An index is the append of entries that were sorted
 * before, synced every 64 MiB. Commits that do not wait use MDB_NOSYNC, after which a power cut may
 * leave no database at all; Instar itself never uses it. It is here because it is the fastest that
 * LMDB can do.
 */
#include "kv.h"

#include <errno.h>
#include <lmdb.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SYNC_EVERY ((size_t)64 << 20)
#define HEAD_BYTES 12 /* what Instar keeps beside a row */
#define ROW_BYTES (HEAD_BYTES + KV_ROW_BYTES)
#define TABLE 1 /* each has a tree of its own */

struct session {
    MDB_env *env;
    MDB_dbi rows, commits;
    MDB_txn *reading;
    uint64_t row_count;
    char place[512];
};

static int check(int rc, const char *what)
{
    if (rc != 0) {
        fprintf(stderr, "bench: lmdb: %s: %s\n", what, mdb_strerror(rc));
    }
    return rc != 0;
}

static int64_t v_of(const MDB_val *row)
{
    return kv_v((const char *)row->mv_data + HEAD_BYTES);
}

static int open_tables(struct session *s)
{
    MDB_stat st;
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    if (rc != 0) {
        return rc;
    }
    rc = mdb_dbi_open(txn, "rows", MDB_CREATE, &s->rows);
    rc = rc ? rc : mdb_dbi_open(txn, "commits", MDB_CREATE, &s->commits);
    rc = rc ? rc : mdb_stat(txn, s->rows, &st);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    s->row_count = st.ms_entries;
    return mdb_txn_commit(txn);
}

static int open_session(const char *place, bool sync, void **session_out)
{
    struct session *s = calloc(1, sizeof(*s));
    int rc;

    (void)mkdir(place, 0700);
    rc = mdb_env_create(&s->env);
    rc = rc ? rc : mdb_env_set_mapsize(s->env, (size_t)64 << 30);
    rc = rc ? rc : mdb_env_set_maxdbs(s->env, 8);
    rc = rc ? rc : mdb_env_open(s->env, place, sync ? 0 : MDB_NOSYNC, 0600);
    rc = rc ? rc : open_tables(s);
    if (rc != 0) {
        mdb_env_close(s->env);
        free(s);
        return check(rc, "open");
    }
    (void)snprintf(s->place, sizeof(s->place), "%s", place);
    *session_out = s;
    return 0;
}

static void close_session(void *session)
{
    struct session *s = session;

    mdb_env_close(s->env);
    free(s);
}

/* ---- writing ------------------------------------------------------------------------------ */

static int end(MDB_txn *txn, int rc)
{
    if (rc == 0) {
        return mdb_txn_commit(txn);
    }
    mdb_txn_abort(txn);
    return rc;
}

static int put_rows(const struct session *s, MDB_dbi dbi, uint64_t from, uint64_t to,
                    unsigned flags)
{
    char key_bytes[KV_KEY_BYTES], row[ROW_BYTES] = {0};
    MDB_val k = {sizeof(key_bytes), key_bytes}, v = {sizeof(row), row};
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    if (rc != 0) {
        return check(rc, "begin");
    }
    for (uint64_t key = from; rc == 0 && key < to; key++) {
        kv_key(TABLE, key, key_bytes);
        kv_row(key, row + HEAD_BYTES);
        rc = mdb_put(txn, dbi, &k, &v, flags);
    }
    return check(end(txn, rc), "put");
}

static int append_batch(void *session, uint64_t from, uint64_t to)
{
    const struct session *s = session;

    return put_rows(s, s->rows, from, to, MDB_APPEND);
}

static int load(void *session, uint64_t rows)
{
    struct session *s = session;
    int rc = bench_in_batches(rows, append_batch, s);

    s->row_count = rows;
    return rc ? rc : check(mdb_env_sync(s->env, 1), "load");
}

static int insert(void *session, enum bench_table table, uint64_t from, uint64_t to)
{
    const struct session *s = session;

    return put_rows(s, table == BENCH_T ? s->rows : s->commits, from, to, 0);
}

static int update(void *session, uint64_t key, enum bench_edit edit, int64_t value)
{
    const struct session *s = session;
    char key_bytes[KV_KEY_BYTES], row[ROW_BYTES];
    MDB_val k = {sizeof(key_bytes), key_bytes}, v;
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    if (rc != 0) {
        return check(rc, "begin");
    }
    kv_key(TABLE, key, key_bytes);
    rc = mdb_get(txn, s->rows, &k, &v);
    if (rc == 0) {
        memcpy(row, v.mv_data, sizeof(row));
        kv_edit(key, edit, value, row + HEAD_BYTES);
        v = (MDB_val){sizeof(row), row};
        rc = mdb_put(txn, s->rows, &k, &v, 0);
    }
    return check(end(txn, rc), "update");
}

/* ---- reading ------------------------------------------------------------------------------ */

static int read_begin(void *session)
{
    struct session *s = session;

    return check(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->reading), "begin");
}

static void read_end(void *session)
{
    struct session *s = session;

    mdb_txn_abort(s->reading);
}

static int get(void *session, uint64_t key, int64_t *v_out)
{
    const struct session *s = session;
    char key_bytes[KV_KEY_BYTES];
    MDB_val k = {sizeof(key_bytes), key_bytes}, v;
    int rc;

    kv_key(TABLE, key, key_bytes);
    rc = mdb_get(s->reading, s->rows, &k, &v);
    if (rc == 0) {
        *v_out = v_of(&v);
    }
    return check(rc, "get");
}

/* Up to `count` rows of t from key on. */
static int walk(const struct session *s, uint64_t key, uint64_t count, uint64_t *rows_out,
                int64_t *xor_out)
{
    char key_bytes[KV_KEY_BYTES];
    MDB_val k = {sizeof(key_bytes), key_bytes}, v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(s->reading, s->rows, &cursor);

    *rows_out = 0;
    *xor_out = 0;
    if (rc != 0) {
        return check(rc, "cursor");
    }
    kv_key(TABLE, key, key_bytes);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && *rows_out < count) {
        *xor_out ^= v_of(&v) >> BENCH_LOW_BITS;
        ++*rows_out;
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return check(rc == MDB_NOTFOUND ? 0 : rc, "scan");
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

static int compare_u64(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Entries like Instar's: 9 bytes of value and 9 of key with their markers, 8 bytes of tag. */
static int append_entries(struct session *s, const uint64_t *values)
{
    char key[18] = {0}, tag[8] = {0};
    MDB_val k = {sizeof(key), key}, v = {sizeof(tag), tag};
    size_t bytes = 0;
    MDB_txn *txn;
    MDB_dbi dbi;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    rc = rc ? rc : mdb_dbi_open(txn, "index", MDB_CREATE, &dbi);
    for (uint64_t i = 0; rc == 0 && i < s->row_count; i++) {
        kv_put_be64(key + 1, values[i]);
        kv_put_be64(key + 10, i);
        rc = mdb_put(txn, dbi, &k, &v, MDB_APPEND);
        bytes += sizeof(key) + sizeof(tag);
        if (rc == 0 && bytes >= SYNC_EVERY) {
            rc = mdb_txn_commit(txn);
            rc = rc ? rc : mdb_txn_begin(s->env, NULL, 0, &txn);
            bytes = 0;
        }
    }
    return rc ? rc : mdb_txn_commit(txn);
}

static int create_index(void *session, bool unique, bool online, double *seconds_out)
{
    struct session *s = session;
    uint64_t *values = malloc((s->row_count + 1) * sizeof(*values)), begin;
    int rc;

    if (unique || online || values == NULL) {
        free(values);
        return check(ENOMEM, "such an index");
    }
    for (uint64_t i = 0; i < s->row_count; i++) {
        values[i] = (uint64_t)bench_value(i + 1);
    }
    qsort(values, s->row_count, sizeof(*values), compare_u64);
    begin = bench_now_ns();
    rc = append_entries(s, values);
    *seconds_out = bench_seconds_since(begin);
    free(values);
    return check(rc, "append");
}

static int drop_index(void *session, double *seconds_out)
{
    struct session *s = session;
    uint64_t begin = bench_now_ns();
    MDB_txn *txn;
    MDB_dbi dbi;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    rc = rc ? rc : mdb_dbi_open(txn, "index", 0, &dbi);
    rc = rc ? rc : mdb_drop(txn, dbi, 1);
    rc = rc ? rc : mdb_txn_commit(txn);
    *seconds_out = bench_seconds_since(begin);
    return check(rc, "drop");
}

static int disk(void *session, uint64_t *tables_out, uint64_t *log_out)
{
    const struct session *s = session;

    *tables_out = bench_files_bytes(s->place, "data.mdb");
    *log_out = 0;
    return 0;
}

static int settings(void *session)
{
    struct session *s = session;
    unsigned flags = 0;
    char text[32];
    int major, minor, patch;

    (void)mdb_version(&major, &minor, &patch);
    (void)snprintf(text, sizeof(text), "%d.%d.%d", major, minor, patch);
    bench_setting("version", text);
    (void)mdb_env_get_flags(s->env, &flags);
    bench_setting("nosync", (flags & MDB_NOSYNC) != 0 ? "1" : "0");
    bench_setting("nometasync", (flags & MDB_NOMETASYNC) != 0 ? "1" : "0");
    bench_setting("writemap", (flags & MDB_WRITEMAP) != 0 ? "1" : "0");
    return 0;
}

const struct driver lmdb_driver = {.name = "lmdb",
                                   .reads_in_snapshot = true,
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
