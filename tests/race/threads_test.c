/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process, many threads: they write and read through one handle, prepare projections and free
 * them, list what there is, while the schema changes under them and segment after segment is
 * folded. All of memtables, lease slots, views of the catalog and progress of changes are between
 * them; `make campaign-sanitizers` runs this under ThreadSanitizer.
 */
#define _GNU_SOURCE /* asprintf */
#include "support/sqls.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS 2
#else
#define ROUNDS 5
#endif
#define WRITERS 3
#define KEYS 30 /* of each */

struct world {
    instar *db;
    _Atomic bool stop;
    _Atomic uint64_t commits;
};

struct writer {
    struct world *world;
    struct os_thread thread;
    int64_t first;
    int64_t rows[KEYS]; /* b, -1: absent */
    uint64_t tries;
};

struct write {
    instar_projection *t;
    int64_t key, before, after;
};

static int write_row(instar_txn *txn, void *arg)
{
    const struct write *w = arg;
    instar_value row[2] = {{.type = INSTAR_INT8, .i = w->key},
                           {.type = INSTAR_INT8, .i = w->after}};
    instar_value found[2];
    int rc = instar_get(txn, w->t, row, found);
    expect(w->before < 0 ? rc == INSTAR_ENOTFOUND : rc == 0 && found[1].i == w->before);
    if (w->after < 0) {
        return instar_delete(txn, w->t, row);
    }
    return w->before < 0 ? instar_insert(txn, w->t, row) : instar_update(txn, w->t, row, row);
}

static void *write_rows(void *arg)
{
    static const char *const columns[] = {"a", "b"};
    struct writer *me = arg;
    struct test_random r = test_random((uint64_t)me->first);
    while (!atomic_load(&me->world->stop)) {
        struct write w = {0};
        size_t at = test_random_below(&r, KEYS);
        unsigned flags = test_random_chance(&r, 80) ? INSTAR_TXN_ASYNC : 0;
        ok(instar_projection_prepare(me->world->db, "t", columns, 2, NULL, &w.t));
        w.key = me->first + (int64_t)at;
        w.before = me->rows[at];
        w.after = w.before >= 0 && test_random_chance(&r, 30) ? -1 : (int64_t)++me->tries;
        ok(instar_run(me->world->db, flags, write_row, &w));
        me->rows[at] = w.after;
        atomic_fetch_add(&me->world->commits, 1);
        instar_projection_free(w.t);
    }
    return NULL;
}

static int look_at_table(void *arg, const instar_table_info *info)
{
    (void)arg;
    expect(info->column_count >= 3);
    return 0;
}

static int look_at_node(void *arg, const instar_node_info *info)
{
    (void)arg;
    expect(info->self);
    return 0;
}

static int look_at_change(void *arg, const instar_change_info *info)
{
    instar_change_info again;
    ok(instar_change_get(arg, info->id, &again));
    return 0;
}

/* Scans, and everything that tells how things stand. */
static void *look_around(void *arg)
{
    struct world *world = arg;
    while (!atomic_load(&world->stop)) {
        (void)dbs_dump(world->db, "t", NULL);
        ok(instar_table_list(world->db, NULL, look_at_table, NULL));
        ok(instar_change_list(world->db, look_at_change, world->db));
        ok(instar_node_list(world->db, look_at_node, NULL));
    }
    return NULL;
}

static void change_schema(instar *db)
{
    static const char *const changes[] = {
        "CREATE INDEX i ON t (b);",
        "ALTER TABLE t ADD COLUMN d bigint DEFAULT 3;",
        "CREATE INDEX j ON t (d, b) WHERE b % 2 = 0;",
        "DROP INDEX i;",
        "DROP INDEX j;",
        "ALTER TABLE t DROP COLUMN d;",
        "VACUUM t;",
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(changes); i++) {
        int rc = sqls_run(db, changes[i]);
        cr_assert_eq(rc, 0, "%s: %s", changes[i], sqls_words());
    }
}

/* The rows of a writer are in the dump, and no others of its keys. */
static void look_for_rows(const struct writer *w, const char *dump)
{
    char any[32], wanted[64];
    for (int64_t k = 0; k < KEYS; k++) {
        (void)snprintf(any, sizeof(any), " %" PRId64 ":", w->first + k);
        (void)snprintf(wanted, sizeof(wanted), "%s%" PRId64 " ", any, w->rows[k]);
        cr_assert(w->rows[k] < 0 ? strstr(dump, any) == NULL : strstr(dump, wanted) != NULL,
                  "row%s", wanted);
    }
}

/* Nothing is lost, and the checker finds nothing. */
Test(threads, share_a_handle_while_the_schema_changes)
{
    struct world world = {.db = dbs_open(0)};
    struct writer writers[WRITERS];
    struct os_thread looker;
    char *dump = NULL;
    dbs_make_table(world.db, "t");
    for (int64_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.world = &world, .first = i * KEYS};
        memset(writers[i].rows, 0xff, sizeof(writers[i].rows));
        must(os_thread_start(&writers[i].thread, "writer", write_rows, &writers[i]));
    }
    must(os_thread_start(&looker, "looker", look_around, &world));
    for (int round = 0; round < ROUNDS; round++) {
        change_schema(world.db);
    }
    atomic_store(&world.stop, true);
    os_thread_join(&looker);
    for (size_t i = 0; i < WRITERS; i++) {
        os_thread_join(&writers[i].thread);
        expect(writers[i].tries > 0);
    }
    expect(asprintf(&dump, " %s", dbs_dump(world.db, "t", NULL)) > 0);
    for (size_t i = 0; i < WRITERS; i++) {
        look_for_rows(&writers[i], dump);
    }
    free(dump);
    dbs_check_clean(world.db);
    ok(instar_close(world.db));
}
