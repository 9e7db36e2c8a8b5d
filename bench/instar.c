/* SPDX-License-Identifier: Apache-2.0 */
/* Instar, through the public interface alone, with its default options. */
#include "bench.h"

#include <instar_sql.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_MS 5 /* how long one look at a running change waits */
#define INDEX "by_v"
#define DISK_LOG_LEFT (UINT64_C(1) << 20)
#define DISK_CALM_NS UINT64_C(500000000) /* for so long no tree came or went */

struct session {
    instar *db;
    instar_projection *rows, *commits, *value, *pad; /* t, w, k and v of t, k and pad of t */
    instar_txn *reading;
    unsigned flags; /* of a transaction */
    bool hurry;     /* of a build, as sort_bytes */
    uint64_t sort_bytes;
    char place[512];
};

static int failed(const char *doing, int rc)
{
    fprintf(stderr, "bench: instar: %s: %s (%s)\n", doing, instar_error_text(),
            instar_error_name(rc));
    return 1;
}

static int prepare(struct session *s)
{
    static const char *const names[] = {"k", "v"}, *const others[] = {"k", "pad"};
    int rc = INSTAR_OK;

    if (s->rows == NULL) {
        rc = instar_projection_prepare(s->db, "t", NULL, 0, NULL, &s->rows);
        rc = rc ? rc : instar_projection_prepare(s->db, "w", NULL, 0, NULL, &s->commits);
        rc = rc ? rc : instar_projection_prepare(s->db, "t", names, 2, NULL, &s->value);
        rc = rc ? rc : instar_projection_prepare(s->db, "t", others, 2, NULL, &s->pad);
    }
    return rc;
}

static int open_session(const char *place, bool sync, void **session_out)
{
    struct session *s = calloc(1, sizeof(*s));
    instar_options options;
    int rc;

    instar_options_init(&options);
    options.flags = INSTAR_OPEN_CREATE;
    s->flags = sync ? INSTAR_TXN_SYNC : INSTAR_TXN_ASYNC;
    rc = instar_open(place, &options, &s->db);
    if (rc != INSTAR_OK) {
        free(s);
        return failed("open", rc);
    }
    (void)snprintf(s->place, sizeof(s->place), "%s", place);
    *session_out = s;
    return 0;
}

static void close_session(void *session)
{
    struct session *s = session;

    instar_projection_free(s->rows);
    instar_projection_free(s->commits);
    instar_projection_free(s->value);
    instar_projection_free(s->pad);
    (void)instar_close(s->db);
    free(s);
}

/* ---- writing ------------------------------------------------------------------------------ */

#define VALUES_MAX 4
#define TEXT_MAX BENCH_PAD

typedef void (*make_row)(uint64_t key, instar_value values[VALUES_MAX], char text[TEXT_MAX]);

static void row_of_t(uint64_t key, instar_value values[VALUES_MAX], char text[TEXT_MAX])
{
    bench_pad(key, text);
    values[0] = (instar_value){.type = INSTAR_INT8, .i = (int64_t)key};
    values[1] = (instar_value){.type = INSTAR_INT8, .i = bench_value(key)};
    values[2] = (instar_value){.type = INSTAR_TEXT, .bytes = {text, BENCH_PAD}};
}

static void row_of_u(uint64_t key, instar_value values[VALUES_MAX], char text[TEXT_MAX])
{
    bench_name(key, text);
    values[0] = (instar_value){.type = INSTAR_INT8, .i = (int64_t)key};
    values[1] = (instar_value){.type = INSTAR_INT4, .i = bench_few(key)};
    values[2] = (instar_value){.type = INSTAR_TEXT, .bytes = {text, BENCH_NAME}};
    values[3] = (instar_value){.type = INSTAR_INT8, .i = bench_value(key)};
}

struct part {
    instar *db;
    instar_projection *projection;
    make_row row;
    uint64_t from, to;
};

static int insert_rows(instar_txn *txn, void *arg)
{
    const struct part *part = arg;
    instar_value values[VALUES_MAX];
    char text[TEXT_MAX];
    int rc = INSTAR_OK;

    for (uint64_t key = part->from; rc == INSTAR_OK && key < part->to; key++) {
        part->row(key, values, text);
        rc = instar_insert(txn, part->projection, values);
    }
    return rc;
}

static int load_batch(void *arg, uint64_t from, uint64_t to)
{
    struct part *part = arg;

    part->from = from;
    part->to = to;
    return instar_run(part->db, INSTAR_TXN_ASYNC, insert_rows, part);
}

static int load_rows(struct part part, uint64_t rows)
{
    int rc = bench_in_batches(rows, load_batch, &part);

    return rc ? rc : instar_flush(part.db);
}

static int make_table(instar *db, const char *name)
{
    instar_column_def columns[] = {{"k", INSTAR_INT8, true, NULL, 0},
                                   {"v", INSTAR_INT8, true, NULL, 0},
                                   {"pad", INSTAR_TEXT, true, NULL, 0}};
    instar_key_column key = {.name = "k"};
    instar_table_def def = {
        .name = name, .columns = columns, .column_count = 3, .key = &key, .key_count = 1};
    uint64_t change = 0;
    int rc = instar_create_table(db, &def, NULL, &change);

    return rc ? rc : instar_change_wait(db, change, 60000, NULL);
}

static int load(void *session, uint64_t rows)
{
    struct session *s = session;
    int rc = make_table(s->db, "t");

    rc = rc ? rc : make_table(s->db, "w");
    rc = rc ? rc : prepare(s);
    rc = rc ? rc : load_rows((struct part){s->db, s->rows, row_of_t, 0, 0}, rows);
    return rc ? failed("load", rc) : 0;
}

static int insert(void *session, enum bench_table table, uint64_t from, uint64_t to)
{
    struct session *s = session;
    int rc = prepare(s);
    struct part part = {s->db, table == BENCH_T ? s->rows : s->commits, row_of_t, from, to};

    rc = rc ? rc : instar_run(s->db, s->flags, insert_rows, &part);
    return rc ? failed("insert", rc) : 0;
}

struct edit {
    instar_projection *projection;
    bool reads; /* v, before it is changed */
    instar_value key, values[2];
};

static int edit_row(instar_txn *txn, void *arg)
{
    struct edit *edit = arg;
    int rc = INSTAR_OK;

    if (edit->reads) {
        rc = instar_get(txn, edit->projection, &edit->key, edit->values);
        edit->values[1].i = bench_changed(edit->values[1].i);
    }
    return rc ? rc : instar_update(txn, edit->projection, &edit->key, edit->values);
}

static int update(void *session, uint64_t key, enum bench_edit kind, int64_t v)
{
    struct session *s = session;
    instar_value k = {.type = INSTAR_INT8, .i = (int64_t)key};
    struct edit edit = {.reads = kind == BENCH_CHANGE_V, .key = k, .values[0] = k};
    char pad[BENCH_PAD];
    int rc = prepare(s);

    if (kind == BENCH_SET_PAD) {
        bench_pad(key + 1, pad);
        edit.projection = s->pad;
        edit.values[1] = (instar_value){.type = INSTAR_TEXT, .bytes = {pad, BENCH_PAD}};
    } else {
        edit.projection = s->value;
        edit.values[1] = (instar_value){.type = INSTAR_INT8, .i = v};
    }
    rc = rc ? rc : instar_run(s->db, s->flags, edit_row, &edit);
    return rc ? failed("update", rc) : 0;
}

/* ---- in SQL ------------------------------------------------------------------------------- */

/* Wait, and mark each stage that is seen where somebody looks at marks. */
static int follow(instar *db, uint64_t change)
{
    char stage[sizeof(((instar_change_info *)0)->stage)] = "";
    instar_change_info info;
    int rc;

    if (!bench_marking()) {
        return instar_change_wait(db, change, UINT32_MAX, NULL);
    }
    do {
        rc = instar_change_wait(db, change, WATCH_MS, &info);
        if (rc == INSTAR_EBUSY && strcmp(stage, info.stage) != 0) {
            (void)snprintf(stage, sizeof(stage), "%s", info.stage);
            bench_mark(stage);
        }
    } while (rc == INSTAR_EBUSY);
    return rc;
}

static int sql(void *session, const char *statement)
{
    struct session *s = session;
    instar_sql_error error = {0};
    instar_sql *script = NULL;
    uint64_t change;
    int rc = instar_sql_read(statement, strlen(statement), NULL, &script, &error);

    for (size_t i = 0; rc == INSTAR_OK && i < instar_sql_count(script); i++) {
        rc = instar_sql_submit(s->db, script, i, &change, &error);
        if (rc == INSTAR_OK) {
            rc = follow(s->db, change);
            rc = rc ? failed(statement, rc) : 0;
        }
    }
    if (error.code != INSTAR_OK) {
        fprintf(stderr, "bench: instar: %s: %s\n", statement, error.text);
    }
    instar_sql_free(script);
    return rc;
}

static int load_other(void *session, const char *table, uint64_t rows)
{
    struct session *s = session;
    instar_projection *projection = NULL;
    char statement[200];
    int rc;

    (void)snprintf(statement, sizeof(statement), "create table %s " BENCH_OTHER, table);
    rc = sql(s, statement);
    if (rc != 0) {
        return rc;
    }
    rc = instar_projection_prepare(s->db, table, NULL, 0, NULL, &projection);
    rc = rc ? rc : load_rows((struct part){s->db, projection, row_of_u, 0, 0}, rows);
    instar_projection_free(projection);
    return rc ? failed("load", rc) : 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

static int read_begin(void *session)
{
    struct session *s = session;
    int rc = prepare(s);

    rc = rc ? rc : instar_begin(s->db, s->flags | INSTAR_TXN_READONLY, &s->reading);
    return rc ? failed("begin", rc) : 0;
}

static void read_end(void *session)
{
    struct session *s = session;

    instar_abort(s->reading);
    s->reading = NULL;
}

static int get(void *session, uint64_t key, int64_t *v_out)
{
    struct session *s = session;
    instar_value k = {.type = INSTAR_INT8, .i = (int64_t)key}, values[3];
    int rc = instar_get(s->reading, s->rows, &k, values);

    if (rc != INSTAR_OK) {
        return failed("get", rc);
    }
    *v_out = values[1].i;
    return 0;
}

/* Up to `count` rows of t in this range; NULL: of all. */
static int walk(const struct session *s, const instar_range *range, uint64_t count,
                uint64_t *rows_out, int64_t *xor_out)
{
    instar_cursor *cursor = NULL;
    instar_value values[3];
    int rc = instar_scan(s->reading, s->rows, range, &cursor);

    *rows_out = 0;
    *xor_out = 0;
    while (rc == INSTAR_OK && *rows_out < count &&
           (rc = instar_cursor_next(cursor, values)) == INSTAR_OK) {
        ++*rows_out;
        *xor_out ^= values[1].i >> BENCH_LOW_BITS;
    }
    instar_cursor_close(cursor);
    return rc == INSTAR_OK || rc == INSTAR_END ? 0 : failed("scan", rc);
}

static int read_range(void *session, uint64_t key, unsigned count)
{
    instar_value from = {.type = INSTAR_INT8, .i = (int64_t)key};
    instar_range range = {.lower = &from, .lower_count = 1};
    uint64_t rows;
    int64_t sum;
    int rc = walk(session, &range, count, &rows, &sum);

    bench_use(sum);
    return rc;
}

static int scan(void *session, uint64_t *rows_out, int64_t *xor_out)
{
    return walk(session, NULL, UINT64_MAX, rows_out, xor_out);
}

/* ---- indexes ------------------------------------------------------------------------------ */

static int create_index(void *session, bool unique, bool online, double *seconds_out)
{
    struct session *s = session;
    instar_key_column column = {.name = "v"};
    instar_index_def def = {
        .name = INDEX, .table = "t", .columns = &column, .column_count = 1, .unique = unique};
    uint64_t begin = bench_now_ns(), change = 0;
    instar_change_options options;
    int rc;

    (void)online; /* there is no other way */
    instar_change_options_init(&options);
    options.flags = s->hurry ? INSTAR_CHANGE_HURRY : 0;
    options.sort_memory_bytes = s->sort_bytes;
    rc = instar_create_index(s->db, &def, &options, &change);
    rc = rc ? rc : follow(s->db, change);
    *seconds_out = bench_seconds_since(begin);
    return rc ? failed("create index", rc) : 0;
}

static int drop_index(void *session, double *seconds_out)
{
    struct session *s = session;
    uint64_t begin = bench_now_ns(), change = 0;
    int rc = instar_drop_index(s->db, INDEX, NULL, &change);

    rc = rc ? rc : instar_change_wait(s->db, change, UINT32_MAX, NULL);
    *seconds_out = bench_seconds_since(begin);
    return rc ? failed("drop index", rc) : 0;
}

static void build_options(void *session, bool hurry, uint64_t sort_bytes)
{
    struct session *s = session;

    s->hurry = hurry;
    s->sort_bytes = sort_bytes;
}

/* ---- looking ------------------------------------------------------------------------------ */

static int note_version(void *arg, const instar_table_info *info)
{
    *(uint32_t *)arg = info->version;
    return INSTAR_OK;
}

static int version(void *session, const char *table, uint32_t *version_out)
{
    const struct session *s = session;
    int rc = instar_table_list(s->db, table, note_version, version_out);

    return rc ? failed("version", rc) : 0;
}

/* What was dropped is purged when the number of trees stands still, and what was written is in the
 * trees when the log is applied, but for the few records of the last change. */
static int disk(void *session, uint64_t *tables_out, uint64_t *log_out)
{
    const struct session *s = session;
    char path[600];
    instar_stats stats = {.struct_size = sizeof(stats)};
    uint64_t trees = 0, since = 0, now;
    int rc = instar_flush(s->db);

    do {
        bench_sleep_until(bench_now_ns() + 1000000);
        rc = rc ? rc : instar_stat(s->db, &stats);
        now = bench_now_ns();
        since = stats.tree_count != trees ? now : since;
        trees = stats.tree_count;
    } while (rc == INSTAR_OK &&
             (now - since < DISK_CALM_NS || stats.log_tail - stats.log_applied > DISK_LOG_LEFT));
    (void)snprintf(path, sizeof(path), "%s/data.mdb", s->place);
    *tables_out = bench_file_bytes(path);
    *log_out = stats.log_bytes;
    return rc ? failed("stat", rc) : 0;
}

static int settings(void *session)
{
    (void)session;
    bench_setting("version", instar_version());
    return 0;
}

const struct driver instar_driver = {.name = "instar",
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
                                     .sql = sql,
                                     .load_other = load_other,
                                     .build_options = build_options,
                                     .version = version,
                                     .disk = disk,
                                     .settings = settings};
