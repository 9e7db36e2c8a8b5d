/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw LMDB, the floor: appending presorted index entries synced every 64 MiB, durable commits of
 * one row, point reads. Commits that do not wait are measured with MDB_NOSYNC, which Instar itself
 * never uses: it is here because it is the fastest that LMDB can do.
 */
#include "bench.h"

#include <lmdb.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYNC_EVERY ((size_t)64 << 20)

static int check(int rc, const char *what)
{
    if (rc != 0) {
        fprintf(stderr, "bench: lmdb: %s: %s\n", what, mdb_strerror(rc));
        exit(1);
    }
    return rc;
}

static MDB_env *open_env(const char *directory, unsigned flags)
{
    MDB_env *env = NULL;

    check(mdb_env_create(&env), "create");
    check(mdb_env_set_mapsize(env, (size_t)64 << 30), "map size");
    check(mdb_env_set_maxdbs(env, 8), "databases");
    check(mdb_env_open(env, directory, flags, 0600), "open");
    return env;
}

static void put_be64(unsigned char *at, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(at, &v, sizeof(v));
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Entries like Instar's: 9 bytes of value and 9 of key with their markers, 8 bytes of tag. */
static void append_index(MDB_env *env, uint64_t rows)
{
    uint64_t *values = malloc(rows * sizeof(*values));
    unsigned char key[18] = {0}, tag[8] = {0};
    MDB_val k = {sizeof(key), key}, v = {sizeof(tag), tag};
    size_t bytes = 0;
    MDB_txn *txn;
    MDB_dbi dbi;
    uint64_t begin;

    for (uint64_t i = 0; values != NULL && i < rows; i++) {
        values[i] = (uint64_t)bench_value(i + 1);
    }
    if (values == NULL) {
        exit(1);
    }
    qsort(values, rows, sizeof(*values), compare_u64);
    begin = bench_now_ns();
    check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    check(mdb_dbi_open(txn, "index", MDB_CREATE, &dbi), "open");
    for (uint64_t i = 0; i < rows; i++) {
        put_be64(key + 1, values[i]);
        put_be64(key + 10, i);
        check(mdb_put(txn, dbi, &k, &v, MDB_APPEND), "append");
        bytes += sizeof(key) + sizeof(tag);
        if (bytes >= SYNC_EVERY) {
            check(mdb_txn_commit(txn), "commit");
            check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
            bytes = 0;
        }
    }
    check(mdb_txn_commit(txn), "commit");
    bench_report("lmdb_index_append_s", (double)(bench_now_ns() - begin) / 1e9, "s");
    free(values);
}

static void load_rows(MDB_env *env, MDB_dbi *dbi, uint64_t rows)
{
    unsigned char key[9] = {0};
    char row[BENCH_PAD + 8 + 12];
    MDB_val k = {sizeof(key), key}, v = {sizeof(row), row};
    MDB_txn *txn;

    memset(row, 0, sizeof(row));
    check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    check(mdb_dbi_open(txn, "rows", MDB_CREATE, dbi), "open");
    for (uint64_t i = 1; i <= rows; i++) {
        put_be64(key + 1, i);
        bench_pad(i, row + 20);
        check(mdb_put(txn, *dbi, &k, &v, MDB_APPEND), "append");
        if (i % 500000 == 0) {
            check(mdb_txn_commit(txn), "commit");
            check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
        }
    }
    check(mdb_txn_commit(txn), "commit");
}

static void read_points(MDB_env *env, MDB_dbi dbi, uint64_t rows, uint64_t seconds)
{
    uint64_t begin = bench_now_ns(), end = begin + seconds * 1000000000u, reads = 0, at = 1;
    unsigned char key[9] = {0};
    MDB_val k = {sizeof(key), key}, v;
    MDB_txn *txn;

    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
    while ((reads & 1023) != 0 || bench_now_ns() < end) {
        at = at * 6364136223846793005u + 1442695040888963407u;
        put_be64(key + 1, 1 + (at >> 16) % rows);
        check(mdb_get(txn, dbi, &k, &v), "get");
        reads++;
    }
    mdb_txn_abort(txn);
    bench_report("lmdb_point_reads", (double)reads * 1e9 / (double)(bench_now_ns() - begin), "1/s");
}

static void read_scan(MDB_env *env, MDB_dbi dbi)
{
    uint64_t begin = bench_now_ns(), rows = 0;
    MDB_cursor *cursor;
    MDB_val k, v;
    MDB_txn *txn;

    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
    check(mdb_cursor_open(txn, dbi, &cursor), "cursor");
    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
        rows++;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    bench_report("lmdb_scan_rows", (double)rows * 1e9 / (double)(bench_now_ns() - begin), "1/s");
}

static void commit_rows(MDB_env *env, const char *name, uint64_t seconds)
{
    uint64_t begin = bench_now_ns(), end = begin + seconds * 1000000000u, commits = 0;
    unsigned char key[9] = {0};
    char row[BENCH_PAD + 8 + 12];
    MDB_val k = {sizeof(key), key}, v = {sizeof(row), row};
    MDB_txn *txn;
    MDB_dbi dbi;

    memset(row, 0, sizeof(row));
    check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    check(mdb_dbi_open(txn, "commits", MDB_CREATE, &dbi), "open");
    check(mdb_txn_commit(txn), "commit");
    while (bench_now_ns() < end) {
        put_be64(key + 1, begin + commits);
        check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
        check(mdb_put(txn, dbi, &k, &v, 0), "put");
        check(mdb_txn_commit(txn), "commit");
        commits++;
    }
    bench_report(name, (double)commits * 1e9 / (double)(bench_now_ns() - begin), "1/s");
}

int bench_lmdb(const char *directory, uint64_t rows, uint64_t seconds)
{
    MDB_env *env = open_env(directory, 0);
    MDB_dbi dbi;

    append_index(env, rows);
    load_rows(env, &dbi, rows);
    read_scan(env, dbi);
    read_points(env, dbi, rows, seconds);
    commit_rows(env, "lmdb_sync_commits_1", seconds);
    mdb_env_close(env);
    env = open_env(directory, MDB_NOSYNC);
    commit_rows(env, "lmdb_nosync_commits_1", seconds);
    mdb_env_close(env);
    return 0;
}
