/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores and backups that were made by an earlier build, under tests/golden/format<N>/, with what
 * they hold in words. The present build opens those of its format, checks them, finds every row,
 * and ends the changes that were under way; another format is refused by its number, and so is a
 * process of another version beside one that has the store open: without a change to any byte.
 *
 * `make golden` writes those of the present format anew (INSTAR_GOLDEN_WRITE=1).
 */
#define _GNU_SOURCE /* asprintf */
#include "api/api_impl.h"
#include "support/alters.h"
#include "support/golden.h"
#include "support/sqls.h"

#include "store/backup.h"
#include "store/log.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER "tests/golden/format%u"
#define READY 1
#define LONG_BYTES 6000
#define FOREVER_S "3153600000" /* what is kept is not over while this file is */

static instar_options small_options(void)
{
    instar_options o = dbs_options();
    o.segment_bytes = 64 << 10;
    o.map_bytes = 64 << 20;
    o.trees_max = 64;
    o.nodes_max = 4;
    o.readers_max = 64;
    o.history_s = UINT64_C(3153600000);
    return o;
}

static instar *open_at(const char *path, uint32_t flags)
{
    instar_options o = small_options();
    instar *db = NULL;
    o.flags = flags;
    ok(instar_open(path, &o, &db));
    return db;
}

static void run_sql(instar *db, const char *text)
{
    int rc = sqls_run(db, text);
    if (rc != 0) {
        test_fail(__FILE__, __LINE__, "%s: %s", text, sqls_words());
    }
}

/* ---- how they are made -------------------------------------------------------------------- */

/* Each column type, and each kind of index and constraint. */
static void make_types(const char *path)
{
    static const char *const rows[] = {
        "1,true,-32768,-1,-9.999,-1.5,first,short,\\x00ff,1999-12-31 23:59:59.999999+00,"
        "1999-12-31,23:59:59,00000000-0000-0000-0000-000000000000,1",
        "2,false,32767,2147483647,999999999.999,1e300,Zürich,äöü,\\x,2026-01-01 00:00:00+00,"
        "0001-01-01,00:00:00,ffffffff-ffff-ffff-ffff-ffffffffffff,2",
        "3,null,null,null,null,null,null,null,null,null,null,null,null,null",
        "-9223372036854775808,true,0,-2147483648,0.001,NaN,,x,\\x0000,1970-01-01 00:00:00+00,"
        "9999-12-31,24:00:00,12345678-9abc-def0-1234-56789abcdef0,2",
        "9223372036854775807,false,1,0,0,-Infinity,LAST,y,\\xdeadbeef,"
        "1582-10-15 12:00:00+00,2000-02-29,12:34:56.789,00000000-0000-0000-0000-0000000000ff,1"};
    static char text[LONG_BYTES + 64];
    instar *db = open_at(path, INSTAR_OPEN_CREATE);
    run_sql(db,
            "CREATE TABLE parent (id bigint PRIMARY KEY, name text UNIQUE NOT NULL, more text);");
    run_sql(db, "CREATE TABLE every (a bigint, b boolean, s smallint, i int, n numeric(12,3),"
                " f double precision, t text, v varchar(10), y bytea, z timestamptz, d date,"
                " c time, u uuid, p bigint DEFAULT 1,"
                " PRIMARY KEY (a) WITH (a = DESC), UNIQUE (i),"
                " CONSTRAINT small CHECK (s IS NULL OR s >= -32768),"
                " CONSTRAINT up FOREIGN KEY (p) REFERENCES parent (id) ON DELETE RESTRICT);"
                "CREATE INDEX every_t ON every (lower(t) DESC NULLS LAST, d);"
                "CREATE UNIQUE INDEX every_u ON every (u) INCLUDE (n, v);"
                "CREATE INDEX every_some ON every (n DESC, f) WHERE b;"
                "COMMENT ON TABLE every IS 'each type';"
                "COMMENT ON COLUMN every.n IS 'rounded';"
                "COMMENT ON INDEX every_t IS 'by an expression';");
    ok(alters_insert(db, "parent", "id,name", "1,one"));
    ok(alters_insert(db, "parent", "id,name", "2,two"));
    for (size_t i = 0; i < BASE_ARRAY_LEN(rows); i++) {
        ok(alters_insert(db, "every", NULL, rows[i]));
    }
    (void)snprintf(text, sizeof(text), "3,three,");
    for (size_t i = 8; i < LONG_BYTES; i++) {
        text[i] = (char)('a' + i * i % 23);
    }
    ok(alters_insert(db, "parent", NULL, text));
    ok(instar_close(db));
}

/* Rows in the trees, and others that only the log has: the process ends without closing. */
static void make_log(const char *path)
{
    instar *db = open_at(path, INSTAR_OPEN_CREATE);
    dbs_make_table(db, "t");
    ok(dbs_index(db, "t_b", "t", "b", true, NULL));
    for (int64_t a = 0; a < 20; a++) {
        ok(dbs_insert(db, "t", a, a * 10));
    }
    must(store_wait_applied(db->env.store, store_tail(db->env.store), STORE_URGE_SOON,
                            STORE_FOREVER, &test_err));
    for (int64_t a = 0; a < 20; a++) {
        ok(a % 3 == 0   ? dbs_delete(db, "t", a)
           : a % 3 == 1 ? dbs_update(db, "t", a, a * 10 + 1)
                        : dbs_insert(db, "t", a + 100, a * 10 + 2));
    }
    kill(getpid(), SIGKILL);
}

/* A change in the middle of its build, with commits behind its cut that are in the delta. */
static void make_building(const char *path)
{
    struct test_hold hold;
    instar_change_options o = scene_options(30000);
    instar *db = open_at(path, INSTAR_OPEN_CREATE);
    dbs_make_table(db, "t");
    scene_fill(db, "t", 0, 200, scene_scattered);
    test_hold_set(&hold, "build.loaded", 1);
    (void)dbs_submit_index(db, "t_b", "t", "b", true, &o);
    test_hold_await(&hold);
    for (int64_t a = 0; a < 10; a++) {
        ok(dbs_update(db, "t", a, -a));
        ok(dbs_insert(db, "t", 10000 + a, 1000000 + a));
        ok(dbs_delete(db, "t", 100 + a));
    }
    must(store_wait_applied(db->env.store, store_tail(db->env.store), STORE_URGE_SOON,
                            STORE_FOREVER, &test_err));
    kill(getpid(), SIGKILL);
}

/* Rows of several versions, dropped things that are kept, a table that got a primary key, one that
 * has none. */
static void make_versions(const char *path)
{
    instar *db = open_at(path, INSTAR_OPEN_CREATE);
    dbs_make_table(db, "t");
    ok(alters_insert(db, "t", "a,b,c", "1,10,one"));
    run_sql(db, "ALTER TABLE t ADD COLUMN d int DEFAULT 7, ADD COLUMN e date;");
    ok(alters_insert(db, "t", "a,b,c,e", "2,20,two,2026-02-03"));
    run_sql(
        db,
        "ALTER TABLE t ALTER COLUMN b TYPE numeric(20,2); ALTER TABLE t RENAME COLUMN d TO dd;");
    ok(alters_insert(db, "t", "a,b,c,dd", "3,30.25,three,8"));
    run_sql(db, "ALTER TABLE t DROP COLUMN c WITH (undo_window_s = " FOREVER_S ");");
    ok(alters_insert(db, "t", "a,b", "4,40"));
    run_sql(db, "ALTER TABLE t ALTER COLUMN dd SET NOT NULL, ALTER COLUMN dd SET DEFAULT 9;"
                "CREATE INDEX t_dd ON t (dd, b DESC);");
    ok(alters_insert(db, "t", "a", "5"));
    run_sql(db, "CREATE TABLE gone (x bigint PRIMARY KEY);");
    ok(alters_insert(db, "gone", NULL, "1"));
    run_sql(db, "DROP TABLE gone WITH (undo_window_s = " FOREVER_S ");"
                "CREATE TABLE plain (p text, q int); CREATE TABLE keyed (p text, q int);");
    for (const char *const *row = (const char *const[]){"x,1", "y,2", "z,null", NULL}; *row != NULL;
         row++) {
        ok(alters_insert(db, "plain", NULL, *row));
        ok(alters_insert(db, "keyed", NULL, *row));
    }
    run_sql(db, "ALTER TABLE keyed ADD PRIMARY KEY (p); CREATE INDEX keyed_q ON keyed (q);");
    ok(alters_insert(db, "keyed", NULL, "w,4"));
    ok(instar_close(db));
}

/* Of a store that is in use: the log goes with it. */
static void make_backup(const char *path)
{
    char store[400];
    (void)snprintf(store, sizeof(store), "%s.store", path);
    instar *db = open_at(store, INSTAR_OPEN_CREATE);
    dbs_make_table(db, "t");
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    for (int64_t a = 0; a < 30; a++) {
        ok(dbs_insert(db, "t", a, a % 5));
    }
    ok(instar_backup(db, path, NULL, NULL));
    ok(instar_close(db));
    test_remove(store);
}

static const struct golden {
    const char *name;
    void (*make)(const char *path);
    bool backup;
} goldens[] = {{"types", make_types, false},
               {"log", make_log, false},
               {"building", make_building, false},
               {"versions", make_versions, false},
               {"backup", make_backup, true}};

static const char *place(void)
{
    static char path[300];
    (void)snprintf(path, sizeof(path), "%s/golden", test_fast_dir());
    return path;
}

/* ---- what they hold ----------------------------------------------------------------------- */

static int await_change(void *arg, const instar_change_info *info)
{
    uint64_t *waiting = arg;
    bool ended = info->state != INSTAR_CHANGE_RUNNING && info->state != INSTAR_CHANGE_REVERTING;
    *waiting = ended ? *waiting : info->id;
    return 0;
}

/* As it is found; then again when what was under way has ended. */
static char *tell_store(const char *path)
{
    uint64_t waiting = 0;
    char *both = NULL;
    instar *db = open_at(path, INSTAR_OPEN_NO_RUNNER);
    char *found = golden_tell(db);
    ok(instar_close(db));
    db = open_at(path, 0);
    ok(instar_change_list(db, await_change, &waiting));
    if (waiting != 0) {
        ok(instar_change_wait(db, waiting, 60000, NULL));
    }
    char *ended = golden_tell(db);
    ok(instar_check(db, NULL, NULL, NULL));
    ok(instar_close(db));
    ok(instar_check_files(path, NULL, NULL, NULL));
    expect(asprintf(&both, "==== as it is found\n%s==== when all has ended\n%s", found, ended) > 0);
    free(found);
    free(ended);
    return both;
}

static char *tell_golden(const struct golden *g, const char *path)
{
    char restored[400];
    if (!g->backup) {
        return tell_store(path);
    }
    (void)snprintf(restored, sizeof(restored), "%s.restored", path);
    ok(instar_restore(path, restored, NULL));
    char *text = tell_store(restored);
    test_remove(restored);
    return text;
}

static void path_of(unsigned format, const struct golden *g, const char *ending, char path[300])
{
    (void)snprintf(path, 300, FOLDER "/%s.%s", format, g->name, ending);
}

static void be_maker(struct test_child *self, void *arg)
{
    const struct golden *g = arg;
    (void)self;
    g->make(place());
}

/* Some of them are killed. */
static void write_golden(const struct golden *g)
{
    struct test_child maker;
    char packed[300], text[300];
    test_remove(place());
    test_fork(&maker, be_maker, (void *)g);
    int status = test_wait(&maker);
    expect(status == 0 || status == -SIGKILL);
    path_of(FORMAT_VERSION, g, "zst", packed);
    path_of(FORMAT_VERSION, g, "txt", text);
    golden_pack(place(), packed);
    char *told = tell_golden(g, place());
    test_write_file(text, told, strlen(told));
    free(told);
}

/* All that an earlier build left is there, row by row and by each index. */
Test(golden, stores_of_this_format_hold_what_they_held)
{
    dbs_path();
    for (size_t i = 0; i < BASE_ARRAY_LEN(goldens); i++) {
        const struct golden *g = &goldens[i];
        char packed[300], text[300];
        size_t size;
        if (test_env_u64("INSTAR_GOLDEN_WRITE", 0) != 0) {
            write_golden(g);
        }
        path_of(FORMAT_VERSION, g, "zst", packed);
        path_of(FORMAT_VERSION, g, "txt", text);
        test_remove(place());
        golden_unpack(packed, place());
        char *told = tell_golden(g, place());
        char *wanted = (char *)test_read_file(text, &size);
        if (strlen(told) != size || memcmp(told, wanted, size) != 0) {
            test_fail(__FILE__, __LINE__, "%s holds not what %s says, but:\n%s", packed, text,
                      told);
        }
        free(told);
        base_free(wanted);
    }
}

/* ---- others ------------------------------------------------------------------------------- */

/* The file says another version of itself, with a checksum that holds. */
static void set_version(const char *file, uint32_t version)
{
    char path[400];
    size_t size;
    (void)snprintf(path, sizeof(path), "%s/%s", place(), file);
    uint8_t *bytes = test_read_file(path, &size);
    base_put_u32(bytes + 16, version);
    base_put_u64(bytes + size - 8, base_hash64(bytes, size - 8, 0));
    test_write_file(path, bytes, size);
    base_free(bytes);
}

static int note_finding(void *arg, const instar_finding *finding)
{
    (void)snprintf(arg, 512, "%s", finding->text);
    return 0;
}

static void expect_refusal(const struct golden *g, uint32_t version)
{
    char words[64], text[512] = "";
    instar_options o = small_options();
    instar_log_cut cut;
    instar *db = NULL;
    uint64_t before = golden_sum(place());
    (void)snprintf(words, sizeof(words), "version %u", version);
    if (g->backup) {
        char restored[400];
        (void)snprintf(restored, sizeof(restored), "%s.restored", place());
        fails(instar_restore(place(), restored, NULL), INSTAR_EVERSION);
        expect(access(restored, F_OK) != 0);
    } else {
        fails(instar_open(place(), &o, &db), INSTAR_EVERSION);
    }
    cr_assert(says(words), "%s", instar_error_text());
    if (!g->backup) {
        cr_assert(version < FORMAT_VERSION || says("newer"), "%s", instar_error_text());
        fails(instar_repair(place(), NULL, NULL), INSTAR_EVERSION);
        fails(instar_cut_log(place(), &cut), INSTAR_EVERSION);
        fails(instar_overwrite(place(), NULL), INSTAR_EVERSION);
        fails(instar_check_after_io_error(place()), INSTAR_EVERSION);
        fails(instar_check_files(place(), note_finding, text, NULL), INSTAR_ECORRUPT);
        cr_assert(strstr(text, words) != NULL, "%s", text);
    }
    expect_u64(golden_sum(place()), before);
}

/* A store, and a backup, of a later or an unknown format is refused, its number named; no byte of
 * it is touched. */
Test(golden, another_format_is_refused_by_its_number)
{
    static const uint32_t versions[] = {FORMAT_VERSION + 1, 4711, 0};
    for (size_t i = 0; i < BASE_ARRAY_LEN(goldens); i++) {
        const struct golden *g = &goldens[i];
        char packed[300];
        path_of(FORMAT_VERSION, g, "zst", packed);
        test_remove(place());
        golden_unpack(packed, place());
        for (size_t k = 0; k < BASE_ARRAY_LEN(versions); k++) {
            set_version(g->backup ? "manifest" : "format", versions[k]);
            expect_refusal(g, versions[k]);
        }
    }
}

/* So are those that builds of earlier formats have made; no store here was ever of use to anybody,
 * so none is converted. */
Test(golden, earlier_formats_are_refused_by_their_number)
{
    unsigned seen = 0;
    for (unsigned format = 1; format < FORMAT_VERSION; format++) {
        for (size_t i = 0; i < BASE_ARRAY_LEN(goldens); i++) {
            char packed[300];
            path_of(format, &goldens[i], "zst", packed);
            test_remove(place());
            if (access(packed, F_OK) == 0) {
                golden_unpack(packed, place());
                expect_refusal(&goldens[i], format);
                seen++;
            }
        }
    }
    cr_assert(seen > 0, "there are none");
}

/* ---- processes of two versions ------------------------------------------------------------ */

/* The store is open; its control says what it is told. */
static void be_other(struct test_child *self, void *arg)
{
    instar *db = open_at(place(), INSTAR_OPEN_NO_RUNNER);
    struct store_control *ctl = db->env.store->ctl;
    uint32_t layout = ctl->layout, signature = ctl->signature;
    (void)arg;
    test_send(self, READY);
    for (uint64_t word = test_receive(self); word != 0; word = test_receive(self)) {
        ctl->layout = word == 1 ? layout + 1 : layout;
        ctl->signature = word == 2 ? signature + 1 : signature;
        test_send(self, READY);
    }
    ctl->layout = layout;
    ctl->signature = signature;
    ok(instar_close(db));
}

static void be_still(struct test_child *child)
{
    int status;
    test_kill(child, SIGSTOP);
    expect(waitpid(child->pid, &status, WUNTRACED) == child->pid && WIFSTOPPED(status));
}

/* A process whose shared memory has another layout, or another build of it, is not joined: the
 * difference is named, and the one that is there goes on. */
Test(golden, a_node_of_another_version_is_not_joined)
{
    static const char *const words[] = {"", "layout of shared memory", "build of the library"};
    struct test_child other;
    instar_options o = small_options();
    char packed[300];
    instar *db = NULL;
    path_of(FORMAT_VERSION, &goldens[0], "zst", packed);
    golden_unpack(packed, place());
    test_fork(&other, be_other, NULL);
    test_await(&other, READY);
    for (uint64_t word = 1; word <= 2; word++) {
        test_send(&other, word);
        test_await(&other, READY);
        be_still(&other); /* what it does to its files by itself would be seen, too */
        uint64_t before = golden_sum(place());
        fails(instar_open(place(), &o, &db), INSTAR_EFOREIGN);
        cr_assert(says(words[word]), "%s", instar_error_text());
        expect_u64(golden_sum(place()), before);
        test_kill(&other, SIGCONT);
    }
    test_send(&other, 3);
    test_await(&other, READY);
    db = open_at(place(), INSTAR_OPEN_NO_RUNNER);
    ok(instar_close(db));
    test_send(&other, 0);
    test_wait_ok(&other);
}
