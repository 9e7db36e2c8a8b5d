/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RocksDB, by its C interface. Its store belongs to one process, so clients are threads of it. Rows
 * are those of kv.h. A commit is a batch of puts; what reads first is an optimistic transaction.
 * Commits that do not wait are in the page cache when they return.
 *
 * It knows no indexes: one is a column family that is filled by puts past its log and flushed at
 * the end, which is what a program would do that has one built.
 */
#include "kv.h"

#include <rocksdb/c.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BYTES ((size_t)2 << 30) /* as PostgreSQL's shared_buffers */
#define BLOOM_BITS 10
#define OPTIONS_PREFIX "OPTIONS-"

/* The open store, shared by the sessions of this process. */
static struct {
    pthread_mutex_t lock;
    unsigned sessions;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_optimistictransactiondb_t *transactions;
    rocksdb_t *db;
} store = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct session {
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    rocksdb_optimistictransaction_options_t *optimistic;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_column_family_handle_t *index;
    uint64_t row_count;
    char place[512];
};

static int check(char *error, const char *what)
{
    if (error == NULL) {
        return 0;
    }
    fprintf(stderr, "bench: rocksdb: %s: %s\n", what, error);
    rocksdb_free(error);
    return 1;
}

/* ---- open and close ----------------------------------------------------------------------- */

static int open_store(const char *place)
{
    char *error = NULL;

    store.options = rocksdb_options_create();
    store.table = rocksdb_block_based_options_create();
    store.cache = rocksdb_cache_create_lru(CACHE_BYTES);
    rocksdb_block_based_options_set_block_cache(store.table, store.cache);
    rocksdb_block_based_options_set_filter_policy(store.table,
                                                  rocksdb_filterpolicy_create_bloom(BLOOM_BITS));
    rocksdb_options_set_block_based_table_factory(store.options, store.table);
    rocksdb_options_set_create_if_missing(store.options, 1);
    rocksdb_options_set_compression(store.options, rocksdb_no_compression);
    rocksdb_options_set_max_background_jobs(store.options, 2);
    store.transactions = rocksdb_optimistictransactiondb_open(store.options, place, &error);
    if (check(error, "open") != 0) {
        return 1;
    }
    store.db = rocksdb_optimistictransactiondb_get_base_db(store.transactions);
    return 0;
}

static void close_store(void)
{
    rocksdb_optimistictransactiondb_close_base_db(store.db);
    rocksdb_optimistictransactiondb_close(store.transactions);
    rocksdb_block_based_options_destroy(store.table);
    rocksdb_cache_destroy(store.cache);
    rocksdb_options_destroy(store.options);
}

static int open_session(const char *place, bool sync, void **session_out)
{
    struct session *s = calloc(1, sizeof(*s));
    int rc = 0;

    (void)pthread_mutex_lock(&store.lock);
    if (store.sessions == 0) {
        rc = open_store(place);
    }
    store.sessions += rc == 0;
    (void)pthread_mutex_unlock(&store.lock);
    if (rc != 0) {
        free(s);
        return rc;
    }
    (void)snprintf(s->place, sizeof(s->place), "%s", place);
    s->read = rocksdb_readoptions_create();
    s->write = rocksdb_writeoptions_create();
    s->optimistic = rocksdb_optimistictransaction_options_create();
    rocksdb_writeoptions_set_sync(s->write, sync);
    *session_out = s;
    return 0;
}

static void close_session(void *session)
{
    struct session *s = session;

    rocksdb_optimistictransaction_options_destroy(s->optimistic);
    rocksdb_writeoptions_destroy(s->write);
    rocksdb_readoptions_destroy(s->read);
    (void)pthread_mutex_lock(&store.lock);
    if (--store.sessions == 0) {
        close_store();
    }
    (void)pthread_mutex_unlock(&store.lock);
    free(s);
}

/* ---- writing ------------------------------------------------------------------------------ */

static int insert(void *session, enum bench_table table, uint64_t from, uint64_t to)
{
    const struct session *s = session;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    char k[KV_KEY_BYTES], row[KV_ROW_BYTES], *error = NULL;

    for (uint64_t key = from; key < to; key++) {
        kv_key(table == BENCH_T ? 't' : 'w', key, k);
        kv_row(key, row);
        rocksdb_writebatch_put(batch, k, sizeof(k), row, sizeof(row));
    }
    rocksdb_write(store.db, s->write, batch, &error);
    rocksdb_writebatch_destroy(batch);
    return check(error, "write");
}

/* NULL: tables t and w. */
static int flush(rocksdb_column_family_handle_t *family)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    char *error = NULL;

    rocksdb_flushoptions_set_wait(options, 1);
    if (family != NULL) {
        rocksdb_flush_cf(store.db, options, family, &error);
    } else {
        rocksdb_flush(store.db, options, &error);
    }
    rocksdb_flushoptions_destroy(options);
    return check(error, "flush");
}

/* What a load leaves to be done in the background is part of it, as vacuum is elsewhere. */
static void settle(void)
{
    uint64_t pending = 0, running = 0;

    do {
        bench_sleep_until(bench_now_ns() + 1000000);
        (void)rocksdb_property_int(store.db, "rocksdb.compaction-pending", &pending);
        (void)rocksdb_property_int(store.db, "rocksdb.num-running-compactions", &running);
    } while (pending + running > 0);
}

static int load_batch(void *session, uint64_t from, uint64_t to)
{
    return insert(session, BENCH_T, from, to);
}

static int load(void *session, uint64_t rows)
{
    int rc = bench_in_batches(rows, load_batch, session);

    rc = rc ? rc : flush(NULL);
    if (rc == 0) {
        settle();
    }
    return rc;
}

/* *conflict_out: somebody else was first, and it is to be done again. */
static int try_update(const struct session *s, uint64_t key, enum bench_edit edit, int64_t v,
                      bool *conflict_out)
{
    rocksdb_transaction_t *txn =
        rocksdb_optimistictransaction_begin(store.transactions, s->write, s->optimistic, NULL);
    char k[KV_KEY_BYTES], row[KV_ROW_BYTES], *error = NULL, *found;
    size_t size = 0;

    kv_key('t', key, k);
    found = rocksdb_transaction_get_for_update(txn, s->read, k, sizeof(k), &size, 1, &error);
    if (error == NULL && found != NULL && size == sizeof(row)) {
        memcpy(row, found, sizeof(row));
        kv_edit(key, edit, v, row);
        rocksdb_transaction_put(txn, k, sizeof(k), row, sizeof(row), &error);
    }
    if (error == NULL && found != NULL) {
        rocksdb_transaction_commit(txn, &error);
        *conflict_out = error != NULL && strstr(error, "busy") != NULL;
    }
    rocksdb_transaction_destroy(txn);
    if (*conflict_out) {
        rocksdb_free(error);
        error = NULL;
    }
    if (error == NULL && found == NULL) {
        fprintf(stderr, "bench: rocksdb: no row %llu\n", (unsigned long long)key);
        return 1;
    }
    rocksdb_free(found);
    return check(error, "update");
}

static int update(void *session, uint64_t key, enum bench_edit edit, int64_t v)
{
    bool conflict;
    int rc;

    do {
        conflict = false;
        rc = try_update(session, key, edit, v, &conflict);
        if (conflict) {
            (void)sched_yield();
        }
    } while (rc == 0 && conflict);
    return rc;
}

/* ---- reading ------------------------------------------------------------------------------ */

static int read_begin(void *session)
{
    struct session *s = session;

    s->snapshot = rocksdb_create_snapshot(store.db);
    rocksdb_readoptions_set_snapshot(s->read, s->snapshot);
    return 0;
}

static void read_end(void *session)
{
    struct session *s = session;

    rocksdb_readoptions_set_snapshot(s->read, NULL);
    rocksdb_release_snapshot(store.db, s->snapshot);
}

static int get(void *session, uint64_t key, int64_t *v_out)
{
    const struct session *s = session;
    char k[KV_KEY_BYTES], *error = NULL;
    rocksdb_pinnableslice_t *found;
    const char *row;
    size_t size = 0;

    kv_key('t', key, k);
    found = rocksdb_get_pinned(store.db, s->read, k, sizeof(k), &error);
    if (error != NULL) {
        return check(error, "get");
    }
    row = rocksdb_pinnableslice_value(found, &size);
    if (row != NULL && size == KV_ROW_BYTES) {
        *v_out = kv_v(row);
    }
    rocksdb_pinnableslice_destroy(found);
    if (size != KV_ROW_BYTES) {
        fprintf(stderr, "bench: rocksdb: no row %llu\n", (unsigned long long)key);
        return 1;
    }
    return 0;
}

/* Up to `count` rows of t from key on. */
static int walk(const struct session *s, uint64_t key, uint64_t count, uint64_t *rows_out,
                int64_t *xor_out)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator(store.db, s->read);
    char k[KV_KEY_BYTES], *error = NULL;

    *rows_out = 0;
    *xor_out = 0;
    kv_key('t', key, k);
    for (rocksdb_iter_seek(it, k, sizeof(k)); *rows_out < count && rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        size_t size;

        if (rocksdb_iter_key(it, &size)[0] != 't') {
            break;
        }
        *xor_out ^= kv_v(rocksdb_iter_value(it, &size)) >> BENCH_LOW_BITS;
        ++*rows_out;
    }
    rocksdb_iter_get_error(it, &error);
    rocksdb_iter_destroy(it);
    return check(error, "scan");
}

static int read_range(void *session, uint64_t key, unsigned count)
{
    uint64_t rows;
    int64_t sum = 0;
    int rc = walk(session, key, count, &rows, &sum);

    bench_use(sum);
    return rc;
}

static int scan(void *session, uint64_t *rows_out, int64_t *xor_out)
{
    return walk(session, 0, UINT64_MAX, rows_out, xor_out);
}

/* ---- indexes ------------------------------------------------------------------------------ */

static int put_entries(struct session *s)
{
    rocksdb_writeoptions_t *past_log = rocksdb_writeoptions_create();
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    rocksdb_iterator_t *it = rocksdb_create_iterator(store.db, s->read);
    char entry[16], *error = NULL;
    unsigned held = 0;

    rocksdb_writeoptions_disable_WAL(past_log, 1);
    for (rocksdb_iter_seek(it, "t", 1); error == NULL; rocksdb_iter_next(it)) {
        size_t size;
        bool more = rocksdb_iter_valid(it) && rocksdb_iter_key(it, &size)[0] == 't';

        if (more) {
            kv_put_be64(entry, (uint64_t)kv_v(rocksdb_iter_value(it, &size)));
            memcpy(entry + 8, rocksdb_iter_key(it, &size) + 1, 8);
            rocksdb_writebatch_put_cf(batch, s->index, entry, sizeof(entry), "", 0);
            held++;
        }
        if (held == BENCH_BATCH || !more) {
            rocksdb_write(store.db, past_log, batch, &error);
            rocksdb_writebatch_clear(batch);
            held = 0;
        }
        if (!more) {
            break;
        }
    }
    rocksdb_iter_destroy(it);
    rocksdb_writebatch_destroy(batch);
    rocksdb_writeoptions_destroy(past_log);
    return check(error, "index");
}

static int create_index(void *session, bool unique, bool online, double *seconds_out)
{
    struct session *s = session;
    uint64_t begin = bench_now_ns();
    char *error = NULL;
    int rc;

    if (unique || online) {
        fprintf(stderr, "bench: rocksdb: no such index\n");
        return 1;
    }
    s->index = rocksdb_create_column_family(store.db, store.options, "index", &error);
    rc = check(error, "column family");
    rc = rc ? rc : put_entries(s);
    rc = rc ? rc : flush(s->index);
    *seconds_out = bench_seconds_since(begin);
    return rc;
}

static int drop_index(void *session, double *seconds_out)
{
    struct session *s = session;
    uint64_t begin = bench_now_ns();
    char *error = NULL;

    rocksdb_drop_column_family(store.db, s->index, &error);
    rocksdb_column_family_handle_destroy(s->index);
    s->index = NULL;
    *seconds_out = bench_seconds_since(begin);
    return check(error, "drop");
}

/* ---- looking ------------------------------------------------------------------------------ */

static int disk(void *session, uint64_t *tables_out, uint64_t *log_out)
{
    const struct session *s = session;
    uint64_t all;
    int rc = flush(NULL);

    /* Tables and logs are numbered alike and differ in what their names end with. */
    all = bench_files_bytes(s->place, "0");
    *log_out = bench_files_ending(s->place, ".log");
    *tables_out = all - *log_out;
    return rc;
}

/* RocksDB writes down what it works with: NAME=VALUE, a line each, in its newest OPTIONS file. */
static int settings(void *session)
{
    static const char *const names[] = {"rocksdb_version", "use_fsync",     "manual_wal_flush",
                                        "compression",     "filter_policy", "max_background_jobs"};
    const struct session *s = session;
    char path[600], line[512];
    FILE *file = bench_last_file(s->place, OPTIONS_PREFIX, path, sizeof(path)) == 0
                     ? fopen(path, "re")
                     : NULL;

    if (file == NULL) {
        perror("bench: rocksdb: no OPTIONS file");
        return 1;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        char *name = line + strspn(line, " "), *equals = strchr(name, '=');

        if (equals == NULL) {
            continue;
        }
        *equals = '\0';
        equals[1 + strcspn(equals + 1, "\n")] = '\0';
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (strcmp(name, names[i]) == 0) {
                bench_setting(i == 0 ? "version" : name, equals + 1);
            }
        }
    }
    (void)fclose(file);
    (void)snprintf(line, sizeof(line), "%zu", rocksdb_cache_get_capacity(store.cache));
    bench_setting("block_cache", line);
    bench_setting("sync", rocksdb_writeoptions_get_sync(s->write) ? "1" : "0");
    return 0;
}

const struct driver rocksdb_driver = {.name = "rocksdb",
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
