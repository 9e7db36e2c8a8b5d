/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alterations one after another while three processes write without a pause. Those that name only
 * columns that stay must never notice; one that writes all columns as it finds them may be told
 * that they have changed, and nothing else. Whether an alteration meets writes on the version
 * before it, or follows the last one at once, is left to the seed.
 *
 * INSTAR_FIRE_ROUNDS gives the number of rounds, INSTAR_SEED the seed.
 */
#include "support/compounds.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define KEYS 20
#define WRITERS 2
#define ROUNDS 12
#define FIRST_INSERTED 1000 /* the keys of rows that come and go, so many of which */
#define KEPT 2000           /* are there at a time */
#define READY 1

struct shared {
    _Atomic bool stop;
    _Atomic uint64_t done[WRITERS];
    _Atomic uint32_t events;   /* woken when one of them moves */
    _Atomic uint64_t inserted; /* and not deleted again */
};

static struct shared *shared;

struct count {
    instar_projection *p;
    int64_t key;
};

static int count_up(instar_txn *txn, void *arg)
{
    const struct count *w = arg;
    instar_value row[2];
    instar_value key = {.type = INSTAR_INT8, .i = w->key};
    int rc = instar_get(txn, w->p, &key, row);

    if (rc == 0) {
        expect(row[0].i == row[1].i);
        row[0].i++;
        row[1].i++;
        rc = instar_update(txn, w->p, &key, row);
    }
    return rc;
}

/* Adds one to b and bb of its own keys. */
static void write_some(struct test_child *self, void *arg)
{
    const char *columns[] = {"b", "bb"};
    int number = *(int *)arg;
    struct count w = {0};

    test_until_told(self);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &w.p));
    test_send(self, READY);
    for (uint64_t i = 0; !atomic_load(&shared->stop); i++) {
        w.key = number * KEYS + (int64_t)(i % KEYS);
        ok(instar_run(db, INSTAR_TXN_ASYNC, count_up, &w));
        atomic_fetch_add(&shared->done[number], 1);
        atomic_fetch_add(&shared->events, 1);
        os_futex_wake_all(&shared->events);
    }
    instar_projection_free(w.p);
    ok(instar_close(db));
}

struct insert {
    instar_projection *p;
    int64_t key;
};

static int insert_all(instar_txn *txn, void *arg)
{
    const struct insert *w = arg;
    instar_value row[16];

    for (size_t i = 0; i < instar_projection_count(w->p); i++) {
        bool text = instar_projection_type(w->p, i) == INSTAR_TEXT;
        row[i] = (instar_value){.type = (uint8_t)instar_projection_type(w->p, i)};
        if (text) {
            row[i].bytes.data = "w";
            row[i].bytes.size = 1;
        } else {
            row[i].i = w->key;
        }
    }
    int rc = instar_insert(txn, w->p, row);
    if (rc == 0 && w->key - KEPT >= FIRST_INSERTED) {
        row[0].i = w->key - KEPT; /* the key's column is the first one */
        rc = instar_delete(txn, w->p, row);
    }
    return rc;
}

/* Inserts rows of all columns as it finds them, and deletes old ones: the faster it is, the more
 * often, but the table does not grow for ever. */
static void write_all(struct test_child *self, void *arg)
{
    struct insert w = {.key = FIRST_INSERTED};

    (void)arg;
    test_until_told(self);
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    test_send(self, READY);
    while (!atomic_load(&shared->stop)) {
        ok(instar_projection_prepare(db, "t", NULL, 0, NULL, &w.p));
        int rc = instar_run(db, INSTAR_TXN_ASYNC, insert_all, &w);
        if (rc == 0) {
            w.key++;
            atomic_fetch_add(&shared->inserted, w.key - KEPT <= FIRST_INSERTED);
        } else {
            expect(rc == INSTAR_EUNKNOWN || rc == INSTAR_ENOT_NULL || rc == INSTAR_ETYPE);
        }
        instar_projection_free(w.p);
    }
    ok(instar_close(db));
}

static void make_t(instar *db)
{
    instar_column_def columns[] = {{"a", INSTAR_INT8, true, NULL, 0},
                                   {"b", INSTAR_INT8, false, NULL, 0},
                                   {"bb", INSTAR_INT8, true, NULL, 0}};
    instar_key_column key = {.name = "a"};
    instar_table_def def = {
        .name = "t", .columns = columns, .column_count = 3, .key = &key, .key_count = 1};
    char row[64];

    dbs_create(db, &def);
    for (int i = 0; i < WRITERS * KEYS; i++) {
        snprintf(row, sizeof(row), "%d,0,0", i);
        ok(alters_insert(db, "t", NULL, row));
    }
}

/* Wait until each writer has done something since. */
static void let_them_write(void)
{
    uint64_t since[WRITERS];

    for (int i = 0; i < WRITERS; i++) {
        since[i] = atomic_load(&shared->done[i]);
    }
    uint64_t give_up = os_now_ns() + TEST_AWAIT_S * 1000000000ull;
    for (int i = 0; i < WRITERS; i++) {
        for (;;) {
            uint32_t seen = atomic_load(&shared->events);
            if (atomic_load(&shared->done[i]) >= since[i] + 5) {
                break;
            }
            expect(os_now_ns() < give_up);
            os_futex_wait(&shared->events, seen, give_up - os_now_ns());
        }
    }
}

static uint64_t count_rows(const char *rows)
{
    uint64_t count = *rows != 0;

    for (const char *at = rows; *at != 0; at++) {
        count += *at == ';';
    }
    return count;
}

/* Nothing is lost, nothing is done twice, and no row is wrong. */
static void verify(instar *db)
{
    uint64_t done = 0;
    instar_txn *txn;
    instar_projection *p = alters_projection(db, "t", "b");
    instar_value upper = {.type = INSTAR_INT8, .i = WRITERS * KEYS - 1};
    instar_range range = {.upper = &upper, .upper_count = 1};
    instar_cursor *cursor;
    instar_value value;
    uint64_t sum = 0;

    for (int i = 0; i < WRITERS; i++) {
        done += atomic_load(&shared->done[i]);
    }
    ok(instar_begin(db, INSTAR_TXN_READONLY, &txn));
    ok(instar_scan(txn, p, &range, &cursor));
    while (instar_cursor_next(cursor, &value) == 0) {
        sum += (uint64_t)value.i;
    }
    instar_cursor_close(cursor);
    instar_abort(txn);
    instar_projection_free(p);
    expect_u64(sum, done);
    expect_u64(count_rows(alters_rows(db, "t", "a")),
               WRITERS * KEYS + atomic_load(&shared->inserted));
    instar_check_summary found;
    ok(instar_check(db, NULL, NULL, &found));
}

Test(alter_fire, writers_do_not_notice, .timeout = 3600)
{
    static const char *const steps[] = {
        "add d int8 not-null default 5",
        "rename-column d e",
        "set-default e 7",
        "drop-not-null e , add f text default x",
        "set-not-null f , drop-default e , set-type f varchar(3)",
        "set-not-null b , set-type b int4 , set-type a int4",
        "check same b = bb",
        "check-not-valid low b >= 0",
        "validate low , rename-constraint same equal",
        "drop-constraint equal , drop-constraint low",
        "set-type b int8 , set-type a int8 , set-type f text , set-type e text",
        "drop e , rename-column f d",
        "drop d , drop-not-null b , set-default b 0"};
    static int numbers[WRITERS] = {0, 1};
    struct test_child writers[WRITERS + 1];
    struct test_random chance = test_random(1);
    uint64_t rounds = test_env_u64("INSTAR_FIRE_ROUNDS", ROUNDS);
    uint64_t alterations = 0;

    dbs_path();
    shared = test_shared(sizeof(*shared));
    for (int i = 0; i < WRITERS; i++) {
        test_fork(&writers[i], write_some, &numbers[i]);
    }
    test_fork(&writers[WRITERS], write_all, NULL);
    instar *db = dbs_open(0);
    make_t(db);
    /* Made anew with each other type of b. */
    ok(compounds_run(db,
                     "CREATE INDEX t_i ON t (bb) INCLUDE (b); CREATE INDEX t_x ON t ((b + 1))"));
    for (int i = 0; i <= WRITERS; i++) {
        test_send(&writers[i], 0);
        test_await(&writers[i], READY);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < BASE_ARRAY_LEN(steps); i++) {
            ok(alters_run(db, "t", steps[i]));
            alterations++;
            if (test_random_chance(&chance, 75)) {
                let_them_write();
            }
        }
        if (round == 3) {
            ok(compounds_run(db, "DROP INDEX t_i; DROP INDEX t_x"));
        }
        if (round % 4 == 1) {
            ok(dbs_index(db, "t_b", "t", "b", false, NULL));
        } else if (round % 4 == 3) {
            ok(dbs_drop_index(db, "t_b"));
        }
    }
    atomic_store(&shared->stop, true);
    for (int i = 0; i <= WRITERS; i++) {
        test_wait_ok(&writers[i]);
    }
    expect(atomic_load(&shared->inserted) > 0);
    verify(db);
    ok(instar_close(db));
    fprintf(stderr, "%llu alterations\n", (unsigned long long)alterations);
}
