/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The corruption campaign. A store is made whose content is known; then, case after case, a copy of
 * it is damaged in one place and looked at by two processes: one checks it, one reads everything in
 * it, by key and by scans of tables and indexes. What must hold:
 *
 *   CORRUPT-1  no read gives a row a value that it never had
 *   CORRUPT-2  a read that fails names a file, a table or a position
 *   CORRUPT-3  where rows are missed or old, or a reader dies, the check finds something
 *   CORRUPT-4  the check comes to its end, whatever it is given
 *
 * A page of an earlier time with as many keys in the same range is a good page: the check sees it
 * where an index contradicts it, and else not. Such cases are counted (failure-model.md).
 * A commit at the very end of the log may go as a torn tail, when no whole record stands behind it:
 * nothing is left then that says it was there.
 *
 * Damages: a bit, a byte, a sector of zeros, a page or sector of an earlier time, one from another
 * place, an end that is cut off; in format, data.mdb and the log; and after a kill in
 * what lies in shared memory, whose files may also be others or not there. INSTAR_CORRUPT_CASES
 * sets how many, INSTAR_CORRUPT_FIRST from which on, and with INSTAR_CORRUPT_EVERY_BYTE each bit of
 * each header is tried, in place of one of each byte.
 */
#include "store/control.h"
#include "store/log.h"
#include "support/damage.h"
#include "support/dbs.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define CASES 150
#define STEP 6
#define LEFTOVERS 40
#define CONTROL_STEP 16
#else
#define CASES 700
#define STEP 1
#define LEFTOVERS 200
#define CONTROL_STEP 4
#endif
#define ROWS 400
#define LONG_EVERY 50 /* rows that take pages of their own */
#define LOGGED 12     /* commits that only the log has */
#define GENERATIONS 3
#define OLD 1000000 /* what is added to the first values */
#define PAGE 4096u
#define CONTROL_HEAD offsetof(struct store_control, writer)
#define CASE_LIMIT_MS 60000

/* ---- what the store holds ----------------------------------------------------------------- */

static int64_t value_of(int64_t a)
{
    return a * 7919 % 100003;
}

static size_t text_of(int64_t a, char out[12000])
{
    size_t size = a % LONG_EVERY == 0 ? 4200 + (size_t)(a % 7) * 500 : (size_t)(a % 60);
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)('a' + (a + (int64_t)i * 31) % 26);
    }
    return size;
}

struct row {
    instar_projection *table;
    int64_t a, b;
};

static int put_row(instar_txn *txn, void *arg)
{
    struct row *r = arg;
    char text[12000];
    size_t size = text_of(r->a, text);
    instar_value values[] = {{.type = INSTAR_INT8, .i = r->a},
                             {.type = INSTAR_INT8, .i = r->b},
                             {.type = INSTAR_TEXT, .bytes = {text, size}}};
    return instar_upsert(txn, r->table, values);
}

static void put(instar *db, instar_projection *table, int64_t a, int64_t b)
{
    struct row r = {table, a, b};
    ok(instar_run(db, 0, put_row, &r));
}

/* Shared with the processes that make and read the stores. */
struct world {
    uint64_t tails[LOGGED + 1]; /* of the log, before and after each of the last commits */
    _Atomic uint32_t logged;    /* commits that the reader found of those */
    _Atomic uint64_t missed;    /* rows, without any error */
    _Atomic uint64_t point_missed;
    _Atomic uint64_t errors;
    _Atomic uint64_t findings;
    _Atomic uint64_t old; /* rows with the value of an earlier time */
    _Atomic bool wrong;   /* a value that was never there */
    _Atomic bool unnamed; /* an error without a place */
    char words[1024];
};

static struct world *world;
static char base[GENERATIONS][300];
static char copy[300];

static instar_options small_options(void)
{
    instar_options o = dbs_options();
    o.segment_bytes = 64 << 10;
    o.map_bytes = 64 << 20;
    o.trees_max = 32;
    o.readers_max = 64;
    o.nodes_max = 4;
    return o;
}

static instar *open_at(const char *path)
{
    instar_options o = small_options();
    instar *db = NULL;
    ok(instar_open(path, &o, &db));
    return db;
}

static void fill(instar *db, int64_t from, int64_t to, int64_t off)
{
    static const char *const tables[] = {"t", "u"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(tables); i++) {
        instar_projection *table = NULL;
        ok(instar_projection_prepare(db, tables[i], NULL, 0, NULL, &table));
        for (int64_t a = from; a <= to; a++) {
            put(db, table, a, value_of(a) + off);
        }
        instar_projection_free(table);
    }
}

/* Generations: rows get their values late, so that a page of an earlier one is wrong now. */
static void make_generation(struct test_child *self, void *arg)
{
    int generation = *(int *)arg;
    instar *db = open_at(base[GENERATIONS - 1]);
    (void)self;
    if (generation == 0) {
        dbs_make_table(db, "t");
        dbs_make_table(db, "u");
        fill(db, 1, ROWS, OLD);
        ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    } else {
        fill(db, generation == 1 ? 1 : ROWS / 2 + 1, generation == 1 ? ROWS / 2 : ROWS, 0);
    }
    ok(instar_close(db));
}

/* Commits that stay in the log: the process is killed before they are folded. */
static void log_and_die(struct test_child *self, void *arg)
{
    instar *db = open_at(base[GENERATIONS - 1]);
    instar_stats stats = {.struct_size = sizeof(stats)};
    instar_projection *table = NULL;
    (void)self;
    (void)arg;
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &table));
    ok(instar_stat(db, &stats));
    world->tails[0] = stats.log_tail;
    for (int64_t i = 1; i <= LOGGED; i++) {
        put(db, table, ROWS + i, value_of(ROWS + i));
        ok(instar_stat(db, &stats));
        world->tails[i] = stats.log_tail;
    }
    kill(getpid(), SIGKILL);
}

/* ---- files -------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    size_t size;
    uint8_t *bytes = test_read_file(from, &size);
    test_write_file(to, bytes, size);
    expect(chmod(to, 0600) == 0);
    base_free(bytes);
}

static void copy_folder(const char *from, const char *to)
{
    char a[700], b[700];
    DIR *dir = opendir(from);
    expect(dir != NULL && mkdir(to, 0700) == 0);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        (void)snprintf(a, sizeof(a), "%s/%.255s", from, e->d_name);
        (void)snprintf(b, sizeof(b), "%s/%.255s", to, e->d_name);
        expect(stat(a, &st) == 0);
        if (S_ISDIR(st.st_mode)) {
            copy_folder(a, b);
        } else {
            copy_file(a, b);
        }
    }
    (void)closedir(dir);
}

static void make_base(void)
{
    struct test_child child;
    for (int i = 0; i < GENERATIONS; i++) {
        (void)snprintf(base[i], sizeof(base[i]), "%s/base%d", test_fast_dir(), i);
    }
    (void)snprintf(copy, sizeof(copy), "%s/copy", test_fast_dir());
    for (int i = 0; i < GENERATIONS; i++) {
        test_fork(&child, make_generation, &i);
        test_wait_ok(&child);
        if (i < GENERATIONS - 1) {
            copy_folder(base[GENERATIONS - 1], base[i]);
        }
    }
    test_fork(&child, log_and_die, NULL);
    expect(test_wait(&child) == -SIGKILL);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void note_error(void)
{
    static const char *const places[] = {"data.mdb", "log",      "table",  "format",
                                         "tree",     "control",  "row",    "lock",
                                         "catalog",  "memtable", "schema", "has stopped"};
    const char *text = instar_error_text();
    bool named = false;
    for (size_t i = 0; i < BASE_ARRAY_LEN(places); i++) {
        named = named || strstr(text, places[i]) != NULL;
    }
    if (!named) {
        world->unnamed = true;
        (void)snprintf(world->words, sizeof(world->words), "%s", text);
    }
    world->errors++;
}

static void wrong_row(const char *how, const instar_value *row)
{
    world->wrong = true;
    (void)snprintf(world->words, sizeof(world->words), "%s: row %lld with b = %lld", how,
                   (long long)row[0].i, (long long)row[1].i);
}

static void compare_row(const char *how, const instar_value *row)
{
    char text[12000];
    int64_t a = row[0].i;
    bool old = a >= 1 && a <= ROWS && row[1].type == INSTAR_INT8 && row[1].i == value_of(a) + OLD;
    world->old += old;
    if (a < 1 || a > ROWS + LOGGED || row[1].type != INSTAR_INT8 ||
        (row[1].i != value_of(a) && !old) || row[2].type != INSTAR_TEXT ||
        row[2].bytes.size != text_of(a, text) ||
        memcmp(row[2].bytes.data, text, row[2].bytes.size) != 0) {
        wrong_row(how, row);
    }
}

static bool seen[ROWS + LOGGED + 1];

static void scan_all(instar_txn *txn, instar *db, const char *table, const char *index)
{
    instar_projection *p = NULL;
    instar_cursor *cursor = NULL;
    instar_value row[3];
    instar_value last = {0}; /* by an index: see the stale pages in failure-model.md */
    uint32_t count = 0;
    bool main_table = strcmp(table, "t") == 0;
    memset(seen, 0, sizeof(seen));
    int rc = instar_projection_prepare(db, table, NULL, 0, index, &p);
    rc = rc == INSTAR_OK ? instar_scan(txn, p, NULL, &cursor) : rc;
    while (rc == INSTAR_OK && (rc = instar_cursor_next(cursor, row)) == INSTAR_OK) {
        compare_row(index != NULL ? index : table, row);
        count++;
        if (last.type != INSTAR_NULL && row[0].i <= last.i) {
            wrong_row("out of its turn", row);
        }
        if (count > 4 * (ROWS + LOGGED)) {
            wrong_row("for ever", row);
        }
        if (world->wrong) {
            break;
        }
        last = index == NULL ? row[0] : (instar_value){0};
        if (row[0].i > 0 && row[0].i <= ROWS + LOGGED) {
            world->old += seen[row[0].i]; /* by an entry of an earlier time */
            seen[row[0].i] = true;
        }
    }
    instar_cursor_close(cursor);
    instar_projection_free(p);
    if (rc != INSTAR_END) {
        note_error();
        return;
    }
    for (int64_t a = 1; a <= ROWS; a++) {
        world->missed += !seen[a];
    }
    uint32_t logged = 0;
    while (main_table && logged < LOGGED && seen[ROWS + logged + 1]) {
        logged++;
    }
    for (uint32_t i = logged; i < LOGGED; i++) {
        world->missed += seen[ROWS + i + 1]; /* not a prefix */
    }
    world->logged = main_table && logged < world->logged ? logged : world->logged;
}

static void get_each(instar_txn *txn, instar *db)
{
    instar_projection *p = NULL;
    if (instar_projection_prepare(db, "t", NULL, 0, NULL, &p) != INSTAR_OK) {
        note_error();
        return;
    }
    for (int64_t a = 1; a <= ROWS; a += 3) {
        instar_value key = {.type = INSTAR_INT8, .i = a};
        instar_value row[3];
        int rc = instar_get(txn, p, &key, row);
        if (rc == INSTAR_OK) {
            compare_row("get", row);
        } else if (rc == INSTAR_ENOTFOUND) {
            world->point_missed++;
        } else {
            note_error();
        }
    }
    instar_projection_free(p);
}

static void silence(void)
{
    int fd = open("/dev/null", O_WRONLY);
    (void)dup2(fd, STDERR_FILENO);
    (void)alarm(CASE_LIMIT_MS / 1000);
}

static void read_all(struct test_child *self, void *arg)
{
    instar_options o = small_options();
    instar *db = NULL;
    instar_txn *txn = NULL;
    (void)self;
    (void)arg;
    silence();
    /* LMDB may die of a page that nobody sees before it does: of the signal, as everywhere. */
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGBUS, SIG_DFL);
    o.flags = INSTAR_OPEN_NO_RUNNER;
    int rc = instar_open(copy, &o, &db);
    rc = rc == INSTAR_OK ? instar_begin(db, INSTAR_TXN_READONLY, &txn) : rc;
    if (rc != INSTAR_OK) {
        note_error();
    } else {
        scan_all(txn, db, "t", NULL);
        scan_all(txn, db, "t", "t_b");
        scan_all(txn, db, "u", NULL);
        get_each(txn, db);
    }
    instar_abort(txn);
    if (db != NULL && instar_close(db) != INSTAR_OK) {
        note_error();
    }
}

/* As the tool's check does it. */
static void check_all(struct test_child *self, void *arg)
{
    instar_options o = small_options();
    instar_check_summary sum = {0};
    instar *db = NULL;
    (void)self;
    (void)arg;
    silence();
    o.flags = INSTAR_OPEN_NO_RUNNER;
    int rc = instar_check_files(copy, NULL, NULL, &sum);
    world->findings += sum.findings + (rc != INSTAR_OK);
    if (rc == INSTAR_OK) {
        rc = instar_open(copy, &o, &db);
        rc = rc == INSTAR_OK ? instar_check(db, NULL, NULL, &sum) : rc;
        world->findings += sum.findings + (rc != INSTAR_OK);
        if (db != NULL && instar_close(db) != INSTAR_OK) {
            world->findings++;
        }
    }
}

/* ---- judging ------------------------------------------------------------------------------ */

struct tally {
    uint64_t cases, refused, found, harmless, torn, reader_deaths, unseen_points;
};

/* May commits be missing at the end of the log? Only where damage reaches up to the last record. */
static bool may_be_torn(const struct damage *d, uint32_t logged)
{
    return d->log && d->to > world->tails[LOGGED - 1] && world->tails[logged + 1] > d->from;
}

static void judge(const struct damage *d, int reader, int checker, struct tally *t)
{
    bool dead = reader < 0;
    bool lost = world->missed > 0 || (world->logged < LOGGED && !may_be_torn(d, world->logged));
    if (world->wrong) {
        test_fail(__FILE__, __LINE__, "%s: wrong data: %s", d->what, world->words);
    }
    if (world->old > 0 && world->findings == 0) {
        test_fail(__FILE__, __LINE__, "%s: old data, and the check finds nothing", d->what);
    }
    if (world->unnamed) {
        test_fail(__FILE__, __LINE__, "%s: an error without a place: %s", d->what, world->words);
    }
    if (checker != 0) {
        test_fail(__FILE__, __LINE__, "%s: the check ended with %d", d->what, checker);
    }
    if (reader > 0 || reader == -SIGALRM) {
        test_fail(__FILE__, __LINE__, "%s: the reader ended with %d", d->what, reader);
    }
    if ((dead || lost || world->point_missed > 0 || world->errors > 0) && world->findings == 0) {
        test_fail(__FILE__, __LINE__,
                  "%s: the check finds nothing; the reader: %d, %llu rows missed, %llu by key, %u "
                  "of the log, %llu errors",
                  d->what, reader, (unsigned long long)world->missed,
                  (unsigned long long)world->point_missed, world->logged,
                  (unsigned long long)world->errors);
    }
    t->cases++;
    t->reader_deaths += dead;
    t->torn += world->logged < LOGGED && !lost && world->findings == 0;
    t->found += world->findings > 0;
    t->refused += world->errors > 0;
    t->harmless += world->findings == 0 && world->errors == 0;
    t->unseen_points +=
        !dead && world->errors == 0 && (world->missed > 0 || world->point_missed > 0);
}

static void forget(void)
{
    world->logged = LOGGED;
    world->missed = world->point_missed = world->errors = world->findings = world->old = 0;
    world->wrong = world->unnamed = false;
    world->words[0] = '\0';
}

static void look_at(const struct damage *d, struct tally *t)
{
    static char again[310];
    struct test_child child;
    (void)snprintf(again, sizeof(again), "%s.again", copy);
    copy_folder(copy, again);
    forget();
    test_fork(&child, read_all, NULL);
    int reader = test_wait(&child);
    test_remove(copy);
    expect(rename(again, copy) == 0);
    test_fork(&child, check_all, NULL);
    int checker = test_wait(&child);
    judge(d, reader, checker, t);
}

static void tell(const struct tally *t)
{
    fprintf(stderr,
            "%llu corruptions: the check found %llu, a reader met %llu, nobody could %llu (%llu "
            "torn tails); reads that missed rows without an error in %llu, readers that died in "
            "%llu\n",
            (unsigned long long)t->cases, (unsigned long long)t->found,
            (unsigned long long)t->refused, (unsigned long long)t->harmless,
            (unsigned long long)t->torn, (unsigned long long)t->unseen_points,
            (unsigned long long)t->reader_deaths);
}

static void begin(void)
{
    world = test_shared(sizeof(*world));
    make_base();
}

/* One damage at a time, wherever: right data, or an error, and the check knows. */
Test(corrupt, no_read_is_wrong_and_the_check_knows)
{
    struct tally t = {0};
    uint64_t wanted = test_env_u64("INSTAR_CORRUPT_CASES", CASES);
    const struct damage_place place = {copy, {base[0], base[1]}, GENERATIONS - 1};
    begin();
    for (uint64_t i = test_env_u64("INSTAR_CORRUPT_FIRST", 0); t.cases < wanted; i++) {
        struct test_random r = test_random(100 + i);
        struct damage d;
        copy_folder(base[GENERATIONS - 1], copy);
        if (damage_copy(&r, &place, &d)) {
            size_t size = strlen(d.what);
            (void)snprintf(d.what + size, sizeof(d.what) - size,
                           " (INSTAR_CORRUPT_FIRST=%llu INSTAR_CORRUPT_CASES=1)",
                           (unsigned long long)i);
            look_at(&d, &t);
        }
        test_remove(copy);
    }
    tell(&t);
    expect(t.found > t.cases / 4 || t.cases < 50);
}

/* No damage: nothing is found, nothing is missed. */
Test(corrupt, a_whole_store_is_found_whole)
{
    struct tally t = {0};
    struct damage d = {.what = "nothing"};
    begin();
    copy_folder(base[GENERATIONS - 1], copy);
    look_at(&d, &t);
    expect(t.harmless == 1 && world->missed == 0 && world->point_missed == 0);
    test_remove(copy);
}

/* Of a file: where it begins, and where that is in the log, if it is there. */
struct header {
    char name[64];
    size_t at, size;
    bool log;
    uint64_t lsn;
};

/* A bit of a header, at this byte of it. */
static void flip(const struct header *h, size_t byte, unsigned bit, struct tally *t)
{
    struct damage d = {.log = h->log, .from = h->lsn + byte, .to = h->lsn + byte + 1};
    size_t size, at = h->at + byte;
    copy_folder(base[GENERATIONS - 1], copy);
    (void)snprintf(d.path, sizeof(d.path), "%s/%s", copy, h->name);
    (void)snprintf(d.what, sizeof(d.what), "%s, bit %u of byte %zu", h->name, bit, at);
    uint8_t *bytes = test_read_file(d.path, &size);
    expect(at < size);
    bytes[at] ^= (uint8_t)(1u << bit);
    test_write_file(d.path, bytes, size);
    base_free(bytes);
    look_at(&d, t);
    test_remove(copy);
}

/* Of the commit behind that one. */
static struct header record_header(uint32_t commit)
{
    uint64_t lsn = world->tails[commit], segment = small_options().segment_bytes;
    struct header h = {.at = lsn % segment, .size = RECORD_HEADER, .log = true, .lsn = lsn};
    (void)snprintf(h.name, sizeof(h.name), "log/%016llx.seg",
                   (unsigned long long)(lsn - lsn % segment));
    return h;
}

/* Each byte of the format file, of both meta pages, and of the first, a middle
 * and the last record that only the log has: a bit of it or each one. */
Test(corrupt, every_byte_of_every_header)
{
    struct test_random r = test_random(99);
    struct tally t = {0};
    bool all = test_env_u64("INSTAR_CORRUPT_EVERY_BYTE", 0) != 0;
    begin();
    const struct header headers[] = {{.name = "format", .size = 128},
                                     {.name = "data.mdb", .size = 152},
                                     {.name = "data.mdb", .at = PAGE, .size = 152},
                                     record_header(0),
                                     record_header(LOGGED / 2),
                                     record_header(LOGGED - 1)};
    for (size_t h = 0; h < BASE_ARRAY_LEN(headers); h++) {
        for (size_t i = 0; i < headers[h].size; i += all ? 1 : STEP) {
            for (unsigned bit = 0; all && bit < 8; bit++) {
                flip(&headers[h], i, bit, &t);
            }
            if (!all) {
                flip(&headers[h], i, (unsigned)test_random_below(&r, 8), &t);
            }
        }
    }
    tell(&t);
    expect(t.found > t.cases / 4);
}

static void commit_and_die(struct test_child *self, void *arg)
{
    instar_options o = small_options();
    instar_stats stats = {.struct_size = sizeof(stats)};
    instar_projection *table = NULL;
    instar *db = NULL;
    (void)self;
    (void)arg;
    ok(instar_open(copy, &o, &db));
    ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &table));
    put(db, table, 1, value_of(1));
    ok(instar_stat(db, &stats));
    (void)snprintf(world->words, sizeof(world->words), "%s", stats.runtime_path);
    kill(getpid(), SIGKILL);
}

/* Of what lies in a directory, the nth whose name ends so. False: there are fewer. */
static bool nth_file(const char *folder, const char *ending, uint64_t nth, char path[700])
{
    DIR *dir = opendir(folder);
    bool found = false;
    expect(dir != NULL);
    for (struct dirent *e = readdir(dir); e != NULL && !found; e = readdir(dir)) {
        size_t size = strlen(e->d_name), end = strlen(ending);
        if (size >= end && strcmp(e->d_name + size - end, ending) == 0 && nth-- == 0) {
            (void)snprintf(path, 700, "%.400s/%.255s", folder, e->d_name);
            found = true;
        }
    }
    (void)closedir(dir);
    return found;
}

/* A store whose process has been killed, with what that has left. */
static void make_leftovers(void)
{
    struct test_child child;
    copy_folder(base[GENERATIONS - 1], copy);
    test_fork(&child, commit_and_die, NULL);
    expect(test_wait(&child) == -SIGKILL);
}

/* It is opened, read, closed and checked. `control` is evidence for the next opener: damage of it
 * may have the store refused, with a reason, until a reboot. Memtables are made anew from the log,
 * the note in `lock` by who is alone. */
static void look_at_leftovers(const struct damage *d, struct tally *t)
{
    struct test_child child;
    forget();
    test_fork(&child, read_all, NULL);
    int reader = test_wait(&child);
    test_fork(&child, check_all, NULL);
    int checker = test_wait(&child);
    judge(d, reader, checker, t);
    expect(world->errors == 0 || strstr(d->what, "control") != NULL);
    expect(world->errors > 0 || (world->missed == 0 && world->logged == LOGGED && world->old == 0));
    test_remove(copy);
}

static bool choose_leftover(struct test_random *r, struct damage *d)
{
    uint64_t draw = test_random_below(r, 100);
    return draw < 50   ? nth_file(world->words, "control", 0, d->path)
           : draw < 80 ? nth_file(world->words, ".mem", test_random_below(r, 3), d->path)
           : draw < 90 ? nth_file(world->words, "lock.mdb", 0, d->path)
                       : nth_file(copy, "lock", 0, d->path);
}

/* What a killed process leaves beside the store's files, damaged: nothing is lost by it. */
Test(corrupt, what_a_dead_process_leaves)
{
    struct test_random r = test_random(98);
    struct tally t = {0};
    begin();
    while (t.cases < LEFTOVERS) {
        struct damage d = {.log = false};
        make_leftovers();
        if (choose_leftover(&r, &d) && damage_leftover(&r, &d)) {
            look_at_leftovers(&d, &t);
        } else {
            test_remove(copy);
        }
    }
    tell(&t);
}

/* The same of each byte of what stands in control before its locks: a bit of it. */
Test(corrupt, every_byte_of_control)
{
    struct test_random r = test_random(97);
    struct tally t = {0};
    size_t step = test_env_u64("INSTAR_CORRUPT_EVERY_BYTE", 0) != 0 ? 1 : CONTROL_STEP;
    begin();
    for (size_t at = 0; at < CONTROL_HEAD; at += step) {
        struct damage d = {.log = false};
        size_t size, byte = at + test_random_below(&r, step);
        make_leftovers();
        expect(nth_file(world->words, "control", 0, d.path));
        uint8_t *bytes = test_read_file(d.path, &size);
        bytes[byte] ^= (uint8_t)(1u << test_random_below(&r, 8));
        test_write_file(d.path, bytes, size);
        base_free(bytes);
        (void)snprintf(d.what, sizeof(d.what), "control, byte %zu", byte);
        look_at_leftovers(&d, &t);
    }
    tell(&t);
    expect(step > 1 || t.refused > 0); /* a durable position beyond the log's end */
}
