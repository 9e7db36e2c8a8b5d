/* SPDX-License-Identifier: Apache-2.0 */
/* Views: which one a snapshot gets, what is shared, and how names are found. */
#include "support/stores.h"
#include "support/tables.h"

#include <string.h>

struct world {
    struct store *store;
    struct catalog *catalog;
};

static struct world begin(void)
{
    struct world w = {.store = stores_make(NULL)};
    must(catalog_bootstrap(w.store, &test_err));
    must(catalog_open(w.store, &w.catalog, &test_err));
    return w;
}

static void end(struct world *w)
{
    catalog_close(w->catalog);
    stores_close(w->store);
}

/* Publish a version of a table as lease/ does, but without proof: nobody else is here. */
static uint64_t publish(struct store *s, uint64_t id, const char *name, uint32_t version)
{
    struct store_commit how = {.publication = true};
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    struct catalog_table *table = tables_make(name, "a int8, b text", "a");
    uint64_t lsn;
    table->id = id;
    table->tree = CATALOG_FIRST_FREE_TREE + id;
    table->version = version;
    must(catalog_put_table(t, table, &test_err));
    must(store_txn_commit(t, &how, &lsn, &test_err));
    catalog_table_free(table);
    return lsn;
}

static void unpublish(struct store *s, uint64_t id)
{
    struct store_commit how = {.publication = true};
    struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
    must(catalog_delete_table(t, id, &test_err));
    must(store_txn_commit(t, &how, NULL, &test_err));
}

static const struct catalog_view *view_at(struct world *w, struct store_txn *t)
{
    const struct catalog_view *view;
    must(catalog_view_get(w->catalog, t, &view, &test_err));
    return view;
}

/* The view of a new transaction. */
static const struct catalog_view *view_now(struct world *w)
{
    struct store_txn *t = stores_begin(w->store, STORE_TXN_READONLY | STORE_TXN_SYNC);
    const struct catalog_view *view = view_at(w, t);
    store_txn_abort(t);
    return view;
}

/* A store without tables has an empty view. */
Test(catalog_view, empty_store)
{
    struct world w = begin();
    const struct catalog_view *view = view_now(&w);
    const struct catalog_table *table;
    expect_u64(view->table_count, 0);
    must_fail(catalog_view_table(view, "t", &table, &test_err), INSTAR_EUNKNOWN);
    cr_assert_null(table);
    cr_assert_null(catalog_view_table_by_id(view, 1));
    catalog_view_release(w.catalog, view);
    end(&w);
}

/* Between publications all transactions share one view; commits of other things do not change that.
 * A publication makes a new one, in which the tables that did not change are the same objects. */
Test(catalog_view, views_are_shared_until_a_publication)
{
    struct world w = begin();
    publish(w.store, 1, "one", 1);
    uint64_t lsn = publish(w.store, 2, "two", 1);
    const struct catalog_view *a = view_now(&w);
    expect_u64(a->schema_lsn, lsn);
    stores_write(w.store, 99, "key", "value");
    const struct catalog_view *b = view_now(&w);
    cr_assert_eq(a, b);
    lsn = publish(w.store, 2, "two", 2);
    const struct catalog_view *c = view_now(&w);
    cr_assert_neq(a, c);
    expect_u64(c->schema_lsn, lsn);
    cr_assert_eq(catalog_view_table_by_id(a, 1), catalog_view_table_by_id(c, 1));
    cr_assert_neq(catalog_view_table_by_id(a, 2), catalog_view_table_by_id(c, 2));
    expect_u64(catalog_view_table_by_id(a, 2)->version, 1);
    expect_u64(catalog_view_table_by_id(c, 2)->version, 2);
    catalog_view_release(w.catalog, a);
    catalog_view_release(w.catalog, b);
    expect_u64(catalog_view_table_by_id(c, 1)->version, 1);
    catalog_view_release(w.catalog, c);
    end(&w);
}

/* A transaction from before a publication sees the schema of its snapshot, however late it asks,
 * and does not disturb the cache; its view says by its LSN that it is not the latest. */
Test(catalog_view, old_snapshots_see_their_own_schema)
{
    struct world w = begin();
    publish(w.store, 1, "one", 1);
    struct store_txn *old = stores_begin(w.store, STORE_TXN_READONLY | STORE_TXN_SYNC);
    publish(w.store, 1, "one", 2);
    publish(w.store, 2, "two", 1);
    const struct catalog_view *now = view_now(&w);
    const struct catalog_view *then = view_at(&w, old);
    expect_u64(then->table_count, 1);
    expect_u64(then->tables[0]->version, 1);
    expect_u64(then->schema_lsn, store_txn_lsn(old));
    expect(then->schema_lsn != store_schema_lsn(w.store));
    expect_u64(now->table_count, 2);
    const struct catalog_view *again = view_now(&w);
    cr_assert_eq(again, now);
    unpublish(w.store, 1);
    const struct catalog_view *last = view_now(&w);
    expect_u64(last->table_count, 1);
    cr_assert_str_eq(last->tables[0]->name, "two");
    expect_u64(then->table_count, 1);
    catalog_view_release(w.catalog, now);
    catalog_view_release(w.catalog, then);
    catalog_view_release(w.catalog, again);
    catalog_view_release(w.catalog, last);
    store_txn_abort(old);
    end(&w);
}

/* A view that was cached before a transaction began does not hide a publication between the two. */
Test(catalog_view, cached_view_never_hides_a_publication)
{
    struct world w = begin();
    for (uint32_t version = 1; version <= 20; version++) {
        uint64_t lsn = publish(w.store, 1, "t", version);
        for (int i = 0; i < 3; i++) {
            struct store_txn *t = stores_begin(w.store, i == 0 ? STORE_TXN_SYNC : 0);
            const struct catalog_view *view = view_at(&w, t);
            expect_u64(view->tables[0]->version, version);
            expect_u64(view->schema_lsn, lsn);
            catalog_view_release(w.catalog, view);
            store_txn_abort(t);
        }
    }
    end(&w);
}

/* A view outlives the cache's interest in it, and the cache itself. */
Test(catalog_view, views_live_until_released)
{
    struct world w = begin();
    publish(w.store, 1, "one", 1);
    const struct catalog_view *view = view_now(&w);
    publish(w.store, 1, "one", 2);
    const struct catalog_view *next = view_now(&w);
    end(&w);
    cr_assert_str_eq(view->tables[0]->name, "one");
    expect_u64(view->tables[0]->version, 1);
    catalog_view_release(NULL, view);
    catalog_view_release(NULL, next);
}

/* Tables are found by name, in any number, and by id; a wrong name gets the nearest one. */
Test(catalog_view, tables_are_found_by_name_and_id)
{
    struct world w = begin();
    static const char *const names[] = {"zebra", "Alpha", "alpha", "m", "orders", "order_items"};
    const struct catalog_table *table;
    for (uint64_t id = 1; id <= BASE_ARRAY_LEN(names); id++) {
        publish(w.store, id, names[id - 1], 1);
    }
    const struct catalog_view *view = view_now(&w);
    expect_u64(view->table_count, BASE_ARRAY_LEN(names));
    for (uint64_t id = 1; id <= BASE_ARRAY_LEN(names); id++) {
        must(catalog_view_table(view, names[id - 1], &table, &test_err));
        expect_u64(table->id, id);
        cr_assert_eq(catalog_view_table_by_id(view, id), table);
    }
    for (uint32_t i = 1; i < view->table_count; i++) {
        cr_assert(strcmp(view->tables[i - 1]->name, view->tables[i]->name) < 0);
    }
    cr_assert_null(catalog_view_table_by_id(view, 0));
    cr_assert_null(catalog_view_table_by_id(view, 100));
    must_fail(catalog_view_table(view, "ordres", &table, &test_err), INSTAR_EUNKNOWN);
    cr_assert_str_eq(test_err.text, "there is no table \"ordres\"; did you mean \"orders\"?");
    must_fail(catalog_view_table(view, "customers", &table, &test_err), INSTAR_EUNKNOWN);
    cr_assert_str_eq(test_err.text, "there is no table \"customers\"");
    must_fail(catalog_view_table(view, NULL, &table, &test_err), INSTAR_EINVALID);
    catalog_view_release(w.catalog, view);
    end(&w);
}

/* An index is found with its table. */
Test(catalog_view, indexes_are_found_by_name)
{
    struct world w = begin();
    struct store_commit how = {.publication = true};
    struct store_txn *t = stores_begin(w.store, STORE_TXN_SYNC);
    struct catalog_table *table = tables_make("t", "a int8, b text", "a");
    const struct catalog_table *found;
    const struct catalog_index *index;
    table->id = 3;
    table->tree = 30;
    tables_add_index(table, "by_b", "b", false)->stage = INSTAR_STAGE_PUBLIC;
    must(catalog_put_table(t, table, &test_err));
    must(store_txn_commit(t, &how, NULL, &test_err));
    catalog_table_free(table);
    publish(w.store, 4, "u", 1);
    const struct catalog_view *view = view_now(&w);
    must(catalog_view_index(view, "by_b", &found, &index, &test_err));
    expect_u64(found->id, 3);
    cr_assert_eq(index, &found->indexes[0]);
    cr_assert_eq(index->stage, INSTAR_STAGE_PUBLIC);
    must_fail(catalog_view_index(view, "by_c", &found, &index, &test_err), INSTAR_EUNKNOWN);
    cr_assert_str_eq(test_err.text, "there is no index \"by_c\"; did you mean \"by_b\"?");
    cr_assert_null(found);
    cr_assert_null(index);
    catalog_view_release(w.catalog, view);
    end(&w);
}

/* A damaged descriptor is an error that names its table by id and name, and the cache takes no part
 * of it. */
Test(catalog_view, damaged_descriptor_is_named)
{
    static const uint8_t key[9] = {2, [8] = 2};
    struct world w = begin();
    publish(w.store, 1, "one", 1);
    publish(w.store, 2, "two", 1);
    publish(w.store, 3, "three", 1);
    struct store_commit how = {.publication = true};
    struct store_txn *t = stores_begin(w.store, STORE_TXN_SYNC);
    must(store_txn_put(t, CATALOG_TREE, base_slice(key, sizeof(key)),
                       base_slice("\1\2nonsense", 10), &test_err));
    must(catalog_name_put(t, "t2_index", &(struct catalog_name){CATALOG_NAME_INDEX, 2, 1, 0},
                          &test_err));
    must(
        catalog_name_put(t, "two", &(struct catalog_name){CATALOG_NAME_TABLE, 2, 0, 0}, &test_err));
    must(store_txn_commit(t, &how, NULL, &test_err));
    for (int i = 0; i < 2; i++) {
        const struct catalog_view *view;
        t = stores_begin(w.store, STORE_TXN_READONLY | STORE_TXN_SYNC);
        must_fail(catalog_view_get(w.catalog, t, &view, &test_err), INSTAR_ECORRUPT);
        cr_assert_not_null(strstr(test_err.text, "descriptor of table 2 (two)"));
        cr_assert_null(view);
        store_txn_abort(t);
    }
    publish(w.store, 2, "two", 2);
    const struct catalog_view *view = view_now(&w);
    expect_u64(view->table_count, 3);
    catalog_view_release(w.catalog, view);
    end(&w);
}

/* Two descriptors of one name would make the name ambiguous: that is corruption, not a guess. */
Test(catalog_view, one_name_for_two_tables_is_corruption)
{
    struct world w = begin();
    publish(w.store, 1, "same", 1);
    publish(w.store, 2, "same", 1);
    struct store_txn *t = stores_begin(w.store, STORE_TXN_READONLY | STORE_TXN_SYNC);
    const struct catalog_view *view;
    must_fail(catalog_view_get(w.catalog, t, &view, &test_err), INSTAR_ECORRUPT);
    cr_assert_not_null(strstr(test_err.text, "both named \"same\""));
    store_txn_abort(t);
    end(&w);
}

/* Each allocation of a load may fail: the error is told, nothing is lost, and the next load works.
 */
Test(catalog_view, every_allocation_may_fail)
{
    struct world w = begin();
    for (uint64_t id = 1; id <= 20; id++) {
        char name[] = {(char)('a' + id), 0};
        publish(w.store, id, name, 1);
    }
    struct store_txn *t = stores_begin(w.store, STORE_TXN_READONLY | STORE_TXN_SYNC);
    int failures = 0;
    int rc = INSTAR_ENOMEM;
    for (size_t n = 1; rc == INSTAR_ENOMEM; n++) {
        const struct catalog_view *view;
        test_shortage_set(&(struct test_shortage){.nth = n, .mine = true});
        rc = catalog_view_get(w.catalog, t, &view, &test_err);
        test_shortage_set(NULL);
        failures += rc != 0;
        expect((rc == 0) == (view != NULL));
        catalog_view_release(w.catalog, view);
    }
    must(rc);
    expect(failures > 40);
    store_txn_abort(t);
    end(&w);
}

static void publish_in_child(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    for (uint32_t version = 1; version <= 5; version++) {
        test_await(self, version);
        test_send(self, publish(s, 1, "t", version));
    }
    stores_close(s);
}

/* What another process publishes is seen by the next transaction here: two handles, two caches. */
Test(catalog_view, publications_of_other_processes_are_seen)
{
    instar_options o = stores_options();
    struct test_child child;
    struct world w = {0};
    must(store_create(stores_path(), &o, &test_err));
    test_fork(&child, publish_in_child, NULL);
    w.store = stores_open(NULL);
    must(catalog_bootstrap(w.store, &test_err));
    must(catalog_open(w.store, &w.catalog, &test_err));
    for (uint32_t version = 1; version <= 5; version++) {
        test_send(&child, version);
        uint64_t lsn = test_receive(&child);
        const struct catalog_view *view = view_now(&w);
        expect_u64(view->schema_lsn, lsn);
        expect_u64(view->tables[0]->version, version);
        catalog_view_release(w.catalog, view);
    }
    test_wait_ok(&child);
    end(&w);
}

#define READERS 4
#define VERSIONS 200

struct race {
    struct world *w;
    _Atomic uint32_t published;
};

/* Take views until the last version is out: none is older than what was out before it began. */
static void *read_views(void *arg)
{
    struct race *race = arg;
    uint32_t version = 0;
    while (version < VERSIONS) {
        uint32_t before = atomic_load(&race->published);
        const struct catalog_view *view = view_now(race->w);
        version = view->table_count != 0 ? view->tables[0]->version : 0;
        expect(version >= before);
        catalog_view_release(race->w->catalog, view);
    }
    return NULL;
}

/* Threads that take and release views while versions are published see each in order, and leave no
 * view behind. */
Test(catalog_view, threads_share_views)
{
    struct world w = begin();
    struct race race = {.w = &w};
    struct os_thread threads[READERS];
    for (size_t i = 0; i < READERS; i++) {
        must(os_thread_start(&threads[i], "reader", read_views, &race));
    }
    for (uint32_t version = 1; version <= VERSIONS; version++) {
        publish(w.store, 1, "t", version);
        atomic_store(&race.published, version);
    }
    for (size_t i = 0; i < READERS; i++) {
        os_thread_join(&threads[i]);
    }
    end(&w);
}
