/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole store, edited: it is looked at without LMDB, and where that finds nothing, or data.mdb is
 * as it was, it is opened, and everything in it is read and checked. Each call gives what it should
 * or an error with words; nothing ends the process. What only data.mdb's pages say is believed
 * after the look at the files alone, as `instar check` does it.
 *
 * Input: u8 flags (1: repair checksums) | edits, each a u8 kind:
 *   0 data.mdb, 1 format, 2 the log    u24 offset | u8 size | bytes that are written there
 *   3 a record behind the log          u8 flags | u16 size | its body
 *   4 a record of one operation        u8 tree | u8 operation | u8 size, key | u16 size, value
 *   5 an end cut off                   u8 file, as above | u24 size
 * With 1, the checksums of format, of the records of the log and of the value of an operation are
 * made to hold.
 */
#define _GNU_SOURCE
#include "catalog/catalog.h"
#include "store/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <instar_sql.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPAIR 1
#define BYTES_MAX ((size_t)32 << 10)
#define EDITS_MAX 64
#define SEGMENT ((uint64_t)64 << 10)
#define ROWS 60
#define COLUMNS_MAX 64

enum file_id { DATA, FORMAT, LOG, FILES };
struct content {
    uint8_t *bytes;
    size_t size, room;
};
/* As it was made, and as edited. The log is the segments that there are, one after the other. */
static struct content base[FILES], now[FILES];
static uint64_t log_start;
static struct format made;
static char dir[64];

static void ok(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "the store cannot be made: %s\n", instar_error_text());
        abort();
    }
}

/* ---- files -------------------------------------------------------------------------------- */

static void path_of(enum file_id id, uint64_t start, char path[128])
{
    char name[SEGMENT_NAME_SIZE];
    if (id == LOG) {
        segment_name(name, start, "seg");
        snprintf(path, 128, "%s/db/log/%s", dir, name);
    } else {
        snprintf(path, 128, "%s/db/%s", dir, id == DATA ? "data.mdb" : "format");
    }
}

static bool read_into(struct content *c, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return false;
    }
    for (size_t got = 1; got > 0; c->size += got) {
        if (c->room - c->size < SEGMENT) {
            c->room += 8 * SEGMENT;
            c->bytes = realloc(c->bytes, c->room);
            base_assert(c->bytes != NULL);
        }
        got = fread(c->bytes + c->size, 1, SEGMENT, f);
    }
    (void)fclose(f);
    return true;
}

static void write_file(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    base_assert(fd >= 0);
    int rc = os_pwrite(fd, bytes, size, 0);
    base_assert(rc == 0);
    (void)close(fd);
}

static void each_file(const char *folder, void (*fn)(const char *path))
{
    char path[400];
    const struct dirent *e;
    DIR *d = opendir(folder);
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
            fn(path);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

static void unlink_file(const char *path)
{
    (void)unlink(path);
}

/* What this process's opens have left in shared memory: evidence of a log that is no more. */
static void forget_runtime(void)
{
    uint8_t id[48];
    char name[RUNTIME_NAME_SIZE], path[128];
    struct stat st;
    snprintf(path, sizeof(path), "%s/db", dir);
    if (stat(path, &st) != 0) {
        return;
    }
    memcpy(id, made.log_id, 16);
    memcpy(id + 16, made.instance_id, 16);
    base_put_u64(id + 32, st.st_dev);
    base_put_u64(id + 40, st.st_ino);
    runtime_shm_name(id, name);
    snprintf(path, sizeof(path), "/dev/shm/%s", name);
    each_file(path, unlink_file);
    (void)rmdir(path);
}

static void remove_all(void)
{
    static const char *const folders[] = {"/db/log", "/db/spill", "/db/run", "/db", ""};
    char path[128];
    forget_runtime();
    for (size_t i = 0; i < BASE_ARRAY_LEN(folders); i++) {
        snprintf(path, sizeof(path), "%s%s", dir, folders[i]);
        each_file(path, unlink_file);
        (void)rmdir(path);
    }
}

/* ---- the store as it is made -------------------------------------------------------------- */

static const char schema[] =
    "CREATE TABLE t (a bigint PRIMARY KEY, b bigint, c text, d numeric(10,2) DEFAULT 1.5,"
    " CHECK (b IS NULL OR b >= 0));"
    "CREATE UNIQUE INDEX by_c ON t (c);"
    "CREATE INDEX by_b ON t (lower(c), b DESC) WHERE b > 3;"
    "CREATE TABLE u (x int PRIMARY KEY, y bigint REFERENCES t (a));"
    "CREATE TABLE v (p text);";
static const char alters[] = "ALTER TABLE t ADD COLUMN e uuid, ALTER COLUMN b TYPE int;"
                             "DROP TABLE v;";

static void run_sql(instar *db, const char *text)
{
    instar_sql *sql;
    instar_sql_error error;
    uint64_t change = 0;
    ok(instar_sql_read(text, strlen(text), NULL, &sql, &error));
    for (size_t i = 0; i < instar_sql_count(sql); i++) {
        ok(instar_sql_submit(db, sql, i, &change, &error));
        ok(instar_change_wait(db, change, 60000, NULL));
    }
    instar_sql_free(sql);
}

static int put_rows(instar_txn *txn, void *arg)
{
    const char *const three[] = {"a", "b", "c"};
    instar *db = ((void **)arg)[0];
    int64_t from = *(int64_t *)((void **)arg)[1];
    instar_projection *t = NULL;
    char text[32];
    int rc = instar_projection_prepare(db, "t", three, 3, NULL, &t);
    for (int64_t a = from; rc == 0 && a < from + ROWS; a++) {
        snprintf(text, sizeof(text), "Row %lld", (long long)a);
        instar_value values[] = {{.type = INSTAR_INT8, .i = a},
                                 {.type = from == 0 ? INSTAR_INT8 : INSTAR_INT4, .i = a % 7},
                                 {.type = INSTAR_TEXT, .bytes = {text, strlen(text)}}};
        rc = instar_insert(txn, t, values);
    }
    instar_projection_free(t);
    return rc;
}

static instar_options options_of(uint32_t flags)
{
    instar_options o;
    instar_options_init(&o);
    o.flags = flags;
    o.segment_bytes = SEGMENT;
    o.map_bytes = 16 << 20;
    o.trees_max = 32;
    o.nodes_max = 2;
    o.lease_slots = 64;
    o.readers_max = 64;
    o.lock_timeout_ms = 500;
    return o;
}

/* Rows of two versions, the later ones in the log alone. */
static void make_store(const char *path)
{
    instar_options o = options_of(INSTAR_OPEN_CREATE);
    instar *db = NULL;
    int64_t from = 0;
    ok(instar_open(path, &o, &db));
    void *arg[] = {db, &from};
    run_sql(db, schema);
    ok(instar_run(db, 0, put_rows, arg));
    run_sql(db, alters);
    from = ROWS;
    ok(instar_run(db, 0, put_rows, arg));
    ok(instar_close(db));
}

static uint64_t log_starts[EDITS_MAX];
static size_t log_count;

static void note_segment(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    uint64_t start;
    if (segment_name_parse(name, "seg", &start) && log_count < EDITS_MAX) {
        log_starts[log_count++] = start;
    }
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void make_once(void)
{
    char path[128];
    struct base_err err = {0};
    int dirfd;
    if (dir[0] != '\0') {
        return;
    }
    snprintf(dir, sizeof(dir), "/dev/shm/instar-fuzz-XXXXXX");
    base_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/db", dir);
    make_store(path);
    ok(os_open_dir(path, &dirfd));
    ok(format_read(dirfd, path, FORMAT_NAME, &made, &err));
    os_close(dirfd);
    (void)atexit(remove_all);
    snprintf(path, sizeof(path), "%s/db/log", dir);
    each_file(path, note_segment);
    qsort(log_starts, log_count, sizeof(*log_starts), by_number);
    base_assert(log_count > 0);
    log_start = log_starts[0];
    for (enum file_id id = DATA; id < FILES; id++) {
        for (size_t i = 0; i < (id == LOG ? log_count : 1); i++) {
            path_of(id, log_starts[i], path);
            bool there = read_into(&base[id], path);
            base_assert(there);
        }
        now[id].room = base[id].size + BYTES_MAX + 2 * SEGMENT;
        now[id].bytes = malloc(now[id].room);
        base_assert(now[id].bytes != NULL);
    }
}

/* ---- edits -------------------------------------------------------------------------------- */

/* The place behind the last record, and the chain there. */
static size_t log_end(uint64_t *chain_out)
{
    struct content *log = &now[LOG];
    struct record r;
    struct record_sums sums;
    size_t at = 0;
    *chain_out = 0;
    while (log->size - at >= RECORD_HEADER) {
        struct record_place place = {log_start + at, SEGMENT, made.log_id};
        if (!record_header_read(log->bytes + at, &place, &r, &sums)) {
            break;
        }
        *chain_out = r.chain;
        at = (size_t)(r.end - log_start);
    }
    return at;
}

static void add_record(uint8_t flags, struct base_slice body)
{
    uint64_t chain;
    size_t at = log_end(&chain);
    uint64_t room = record_room(body.size);
    if (at + room + RECORD_HEADER > now[LOG].size ||
        at % SEGMENT + room + RECORD_HEADER > SEGMENT) {
        return;
    }
    struct record r = {.start = log_start + at,
                       .end = log_start + at + room,
                       .kind = (enum record_kind)(1 + (flags >> 1) % 5),
                       .publication = (flags & 1) != 0,
                       .durable_when_written = log_start + at,
                       .chain = chain,
                       .body = body};
    memset(now[LOG].bytes + at, 0, room);
    (void)record_header_make(now[LOG].bytes + at, &r, made.log_id, record_body_hash(body));
    if (body.size > 0) {
        memcpy(now[LOG].bytes + at + RECORD_HEADER, body.data, body.size);
    }
}

/* The checksum that each kind of value has: see catalog/record.c, change/record.c, row/record.c. */
static void repair_value(const struct record_op *op, uint8_t *value, size_t size)
{
    if (op->tree == CATALOG_TREE && size >= 6) {
        uint64_t seed = base_hash64(op->key.data, op->key.size, (uint64_t)value[0] << 8 | value[1]);
        base_put_u32(value + 2, base_hash32(value + 6, size - 6, seed));
    } else if (op->tree == CATALOG_CHANGE_TREE && size > 8 && op->key.size == 8) {
        base_put_u64(value + size - 8, base_hash64(value, size - 8, base_get_be64(op->key.data)));
    } else if (op->tree > CATALOG_CHANGE_TREE && size >= 6) {
        struct base_reader r = base_reader(base_slice(value, size));
        uint8_t flags = base_read_u8(&r);
        uint64_t version = base_read_varint(&r);
        size_t at = (size_t)(r.at - value);
        if (!r.bad && size - at >= 4) {
            uint64_t seed =
                base_hash64(op->key.data, op->key.size, (uint64_t)(uint32_t)version << 8 | flags);
            base_put_u32(value + at, base_hash32(value + at + 4, size - at - 4, seed));
        }
    }
}

static void add_op(struct base_reader *r, bool repairs)
{
    static uint8_t value[UINT16_MAX];
    struct base_buf body = {0};
    struct record_op op = {.tree = base_read_u8(r), .op = base_read_u8(r)};
    op.key = base_read_bytes(r, base_read_u8(r));
    struct base_slice bytes = base_read_bytes(r, base_read_u16(r));
    if (r->bad) {
        return;
    }
    if (bytes.size > 0) {
        memcpy(value, bytes.data, bytes.size);
    }
    if (repairs) {
        repair_value(&op, value, bytes.size);
    }
    op.value = base_slice(value, bytes.size);
    if (record_body_add(&body, &op)) {
        add_record((uint8_t)(op.tree <= CATALOG_CHANGE_TREE), base_buf_slice(&body));
    }
    base_buf_free(&body);
}

static uint32_t read_u24(struct base_reader *r)
{
    uint32_t low = base_read_u16(r);
    return low | (uint32_t)base_read_u8(r) << 16;
}

static void edit(struct base_reader *r, bool repairs)
{
    unsigned kind = base_read_u8(r);
    if (kind < FILES) {
        size_t at = read_u24(r);
        struct base_slice bytes = base_read_bytes(r, base_read_u8(r));
        if (!r->bad && bytes.size > 0 && at < now[kind].size && bytes.size <= now[kind].size - at) {
            memcpy(now[kind].bytes + at, bytes.data, bytes.size);
        }
    } else if (kind == 3) {
        uint8_t flags = base_read_u8(r);
        struct base_slice body = base_read_bytes(r, base_read_u16(r));
        if (!r->bad) {
            add_record(flags, body);
        }
    } else if (kind == 4) {
        add_op(r, repairs);
    } else {
        unsigned id = base_read_u8(r) % FILES;
        size_t size = read_u24(r);
        if (!r->bad && kind == 5 && size < now[id].size) {
            now[id].size = size;
        }
        r->bad = r->bad || kind > 5;
    }
}

/* Records as far as their lengths lead, each with the sums that it needs. */
static void repair_log(void)
{
    struct content *log = &now[LOG];
    uint64_t chain = 0;
    size_t at = 0;
    while (log->size - at >= RECORD_HEADER) {
        uint8_t *head = log->bytes + at;
        uint64_t length = base_get_u32(head);
        if (length < RECORD_HEADER || length > log->size - at || head[4] == 0) {
            return;
        }
        struct base_slice body = {head + RECORD_HEADER, length - RECORD_HEADER};
        bool plain = head[4] != RECORD_PAD && head[4] != RECORD_VOID;
        base_put_u64(head + 40, plain ? record_body_hash(body) : 0);
        if (at > 0) {
            base_put_u64(head + 48, chain);
        }
        chain = base_hash64(head, 56, 0);
        base_put_u64(head + 56, chain);
        at += (size_t)record_room(body.size);
        if (at > log->size) {
            return;
        }
    }
}

/* Of what the last input has left: the mark of a store that has stopped. */
static void unlink_others(const char *path)
{
    if (strncmp(strrchr(path, '/') + 1, "lock", 4) != 0) {
        (void)unlink(path);
    }
}

static void write_all(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/db", dir);
    each_file(path, unlink_others);
    for (enum file_id id = DATA; id < LOG; id++) {
        path_of(id, 0, path);
        write_file(path, now[id].bytes, now[id].size);
    }
    snprintf(path, sizeof(path), "%s/db/log", dir);
    each_file(path, unlink_file);
    for (size_t at = 0; at < now[LOG].size; at += SEGMENT) {
        size_t left = now[LOG].size - at;
        path_of(LOG, log_start + at, path);
        write_file(path, now[LOG].bytes + at, left < SEGMENT ? left : SEGMENT);
    }
    forget_runtime();
}

/* ---- looking ------------------------------------------------------------------------------ */

static int count(void *arg, const instar_finding *finding)
{
    base_assert(finding->text != NULL && finding->text[0] != '\0');
    return ++*(uint64_t *)arg > 1000 ? INSTAR_ECANCELLED : 0;
}

static void expect_words(int rc)
{
    base_assert(rc == INSTAR_OK || rc == INSTAR_END || instar_error_text()[0] != '\0');
}

static void read_by(instar *db, const char *table, const char *index)
{
    instar_value values[COLUMNS_MAX];
    instar_projection *p = NULL;
    instar_txn *txn = NULL;
    instar_cursor *cursor = NULL;
    int rc = instar_projection_prepare(db, table, NULL, 0, index, &p);
    expect_words(rc);
    if (rc == 0 && instar_projection_count(p) <= COLUMNS_MAX &&
        instar_begin(db, INSTAR_TXN_READONLY, &txn) == 0) {
        rc = instar_scan(txn, p, NULL, &cursor);
        expect_words(rc);
        for (unsigned n = 0; rc == 0 && n < 10 * ROWS; n++) {
            rc = instar_cursor_next(cursor, values);
            expect_words(rc);
        }
        instar_cursor_close(cursor);
        instar_abort(txn);
    }
    instar_projection_free(p);
}

static int read_table(void *arg, const instar_table_info *info)
{
    read_by(arg, info->name, NULL);
    for (size_t i = 0; i < info->index_count; i++) {
        read_by(arg, info->name, info->indexes[i].name);
    }
    return 0;
}

static int read_change(void *arg, const instar_change_info *info)
{
    instar_change_info again;
    (void)instar_change_get(arg, info->id, &again);
    return 0;
}

/* A write, for the leases and what hangs on them. */
static int touch(instar_txn *txn, void *arg)
{
    instar_projection *u = NULL;
    const instar_value values[] = {{.type = INSTAR_INT4, .i = 1}, {.type = INSTAR_INT8, .i = 5}};
    int rc = instar_projection_prepare(arg, "u", NULL, 0, NULL, &u);
    rc = rc == 0 && instar_projection_count(u) == 2 ? instar_upsert(txn, u, values) : rc;
    instar_projection_free(u);
    return rc;
}

static void use_open(instar *db)
{
    uint64_t findings = 0;
    expect_words(instar_table_list(db, NULL, read_table, db));
    expect_words(instar_change_list(db, read_change, db));
    expect_words(instar_run(db, 0, touch, db));
    expect_words(instar_check(db, count, &findings, NULL));
}

static void look(bool believed)
{
    char path[128];
    uint64_t findings = 0;
    instar *db = NULL;
    instar_options o = options_of(INSTAR_OPEN_NO_RUNNER);
    snprintf(path, sizeof(path), "%s/db", dir);
    int rc = instar_check_files(path, count, &findings, NULL);
    expect_words(rc);
    if (rc != 0 && !believed) {
        return;
    }
    rc = instar_open(path, &o, &db);
    expect_words(rc);
    if (rc == 0) {
        use_open(db);
        (void)instar_close(db);
    }
}

/* The lowest descriptor that is free: where one is left open, it rises. */
static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    base_assert(fd >= 0);
    (void)close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > BYTES_MAX) {
        return 0;
    }
    make_once();
    for (enum file_id id = DATA; id < FILES; id++) {
        memcpy(now[id].bytes, base[id].bytes, base[id].size);
        now[id].size = base[id].size;
    }
    struct base_reader r = base_reader(base_slice(data + 1, size - 1));
    bool repairs = (data[0] & REPAIR) != 0;
    for (unsigned i = 0; i < EDITS_MAX && !r.bad && base_reader_left(&r) > 0; i++) {
        edit(&r, repairs);
    }
    if (repairs && now[FORMAT].size == base[FORMAT].size) {
        base_put_u64(now[FORMAT].bytes + 120, base_hash64(now[FORMAT].bytes, 120, 0));
    }
    if (repairs) {
        repair_log();
    }
    write_all();
    int before = lowest_free();
    look(now[DATA].size == base[DATA].size &&
         memcmp(now[DATA].bytes, base[DATA].bytes, base[DATA].size) == 0);
    base_assert(lowest_free() == before);
    return 0;
}
