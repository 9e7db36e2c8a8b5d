/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's records in a real store: descriptors, names, counters, and their damage. */
#include "support/stores.h"
#include "support/tables.h"

#include <string.h>

static struct store *make(void)
{
    struct store *s = stores_make(NULL);
    must(catalog_bootstrap(s, &test_err));
    return s;
}

static uint64_t next_id(struct store *s, enum catalog_counter counter)
{
    struct store_txn *t = stores_begin(s, 0);
    uint64_t id;
    must(catalog_next_id(t, counter, &id, &test_err));
    stores_commit(t);
    return id;
}

/* A new store gets the two trees and its counters; a second time nothing happens. */
Test(catalog_record, bootstrap_is_done_once)
{
    struct store *s = make();
    struct store_tree_stat stat;
    uint64_t tail = store_tail(s);
    must(catalog_bootstrap(s, &test_err));
    expect_u64(store_tail(s), tail);
    stores_fold(s);
    must(store_tree_stat(s, CATALOG_TREE, &stat, &test_err));
    expect(stat.exists);
    expect_u64(stat.entries, 3);
    must(store_tree_stat(s, CATALOG_CHANGE_TREE, &stat, &test_err));
    expect(stat.exists);
    expect_u64(next_id(s, CATALOG_COUNTER_TREE), CATALOG_FIRST_FREE_TREE);
    stores_close(s);
}

/* Ids rise by one, each counter for itself, and are kept over close and open. */
Test(catalog_record, ids_are_never_given_twice)
{
    struct store *s = make();
    expect_u64(next_id(s, CATALOG_COUNTER_TABLE), 1);
    expect_u64(next_id(s, CATALOG_COUNTER_TABLE), 2);
    expect_u64(next_id(s, CATALOG_COUNTER_CHANGE), 1);
    expect_u64(next_id(s, CATALOG_COUNTER_TREE), CATALOG_FIRST_FREE_TREE);
    stores_close(s);
    s = stores_open(NULL);
    must(catalog_bootstrap(s, &test_err));
    expect_u64(next_id(s, CATALOG_COUNTER_TABLE), 3);
    expect_u64(next_id(s, CATALOG_COUNTER_CHANGE), 2);
    expect_u64(next_id(s, CATALOG_COUNTER_TREE), CATALOG_FIRST_FREE_TREE + 1);
    stores_close(s);
}

/* Of two transactions that take an id at once, one gets it and the other a conflict. */
Test(catalog_record, one_id_goes_to_one)
{
    struct store *s = make();
    struct store_txn *a = stores_begin(s, STORE_TXN_SNAPSHOT);
    struct store_txn *b = stores_begin(s, STORE_TXN_SNAPSHOT);
    uint64_t id_a;
    uint64_t id_b;
    must(catalog_next_id(a, CATALOG_COUNTER_TREE, &id_a, &test_err));
    must(catalog_next_id(b, CATALOG_COUNTER_TREE, &id_b, &test_err));
    expect_u64(id_a, id_b);
    stores_commit(a);
    must_fail(store_txn_commit(b, NULL, NULL, &test_err), INSTAR_ECONFLICT);
    expect_u64(next_id(s, CATALOG_COUNTER_TREE), id_a + 1);
    stores_close(s);
}

/* A store that was never made ready has no counters, and says so. */
Test(catalog_record, missing_counter_is_corruption)
{
    struct store *s = stores_make(NULL);
    struct store_txn *t = stores_begin(s, 0);
    uint64_t id;
    must_fail(catalog_next_id(t, CATALOG_COUNTER_TREE, &id, &test_err), INSTAR_ECORRUPT);
    expect_u64(id, 0);
    store_txn_abort(t);
    stores_close(s);
}

/* Names lead to what they stand for, until they are deleted. */
Test(catalog_record, names)
{
    struct store *s = make();
    struct store_txn *t = stores_begin(s, 0);
    struct catalog_name name = {CATALOG_NAME_INDEX, 5, 6, UINT64_MAX};
    struct catalog_name back;
    char longest[64];
    memset(longest, 'n', 63);
    longest[63] = 0;
    must(catalog_name_put(t, longest, &name, &test_err));
    must(catalog_name_put(t, "n", &name, &test_err));
    stores_commit(t);
    t = stores_begin(s, 0);
    must(catalog_name_get(t, longest, &back, &test_err));
    cr_assert_eq(back.kind, CATALOG_NAME_INDEX);
    expect_u64(back.table, 5);
    expect_u64(back.index, 6);
    expect_u64(back.change, UINT64_MAX);
    must_fail(catalog_name_get(t, "nn", &back, &test_err), INSTAR_ENOTFOUND);
    cr_assert_not_null(strstr(test_err.text, "\"nn\""));
    expect_u64(back.table, 0);
    must_fail(catalog_name_get(t, "", &back, &test_err), INSTAR_EINVALID);
    must_fail(catalog_name_put(t, NULL, &name, &test_err), INSTAR_EINVALID);
    must(catalog_name_delete(t, "n", &test_err));
    must_fail(catalog_name_get(t, "n", &back, &test_err), INSTAR_ENOTFOUND);
    stores_commit(t);
    stores_close(s);
}

/* Whoever went by a name that another changed meanwhile loses, under snapshot isolation too; so do
 * two who reserve the same new name. */
Test(catalog_record, names_are_validated_at_commit)
{
    struct store *s = make();
    struct catalog_name mine = {CATALOG_NAME_TABLE, 1, 0, 1};
    struct catalog_name back;
    for (int reads = 0; reads < 2; reads++) {
        const char *name = reads != 0 ? "read" : "written";
        struct store_txn *a = stores_begin(s, STORE_TXN_SNAPSHOT);
        struct store_txn *b = stores_begin(s, STORE_TXN_SNAPSHOT);
        must_fail(catalog_name_get(a, name, &back, &test_err), INSTAR_ENOTFOUND);
        must(catalog_name_put(a, reads != 0 ? "something else" : name, &mine, &test_err));
        must(catalog_name_put(b, name, &mine, &test_err));
        stores_commit(b);
        must_fail(store_txn_commit(a, NULL, NULL, &test_err), INSTAR_ECONFLICT);
    }
    stores_close(s);
}

static struct catalog_table *a_table(uint64_t id, const char *name)
{
    struct catalog_table *table = tables_make(name, "a int8, b text", "a");
    table->id = id;
    table->tree = CATALOG_FIRST_FREE_TREE + id;
    return table;
}

/* A descriptor is found by its id until it is deleted. */
Test(catalog_record, descriptors)
{
    struct store *s = make();
    struct catalog_table *table = a_table(7, "seven");
    struct catalog_table *back;
    struct store_txn *t = stores_begin(s, 0);
    must(catalog_put_table(t, table, &test_err));
    stores_commit(t);
    t = stores_begin(s, 0);
    must(catalog_get_table(t, 7, &back, &test_err));
    cr_assert_str_eq(back->name, "seven");
    cr_assert_eq(back->key_parts[0].type, INSTAR_INT8);
    catalog_table_free(back);
    must_fail(catalog_get_table(t, 8, &back, &test_err), INSTAR_ENOTFOUND);
    cr_assert_null(back);
    must(catalog_delete_table(t, 7, &test_err));
    must_fail(catalog_get_table(t, 7, &back, &test_err), INSTAR_ENOTFOUND);
    stores_commit(t);
    catalog_table_free(table);
    stores_close(s);
}

/* One whose rows would lie in the catalog's own tree is not written, wherever it was read. */
Test(catalog_record, descriptor_without_a_place_of_its_own)
{
    struct store *s = make();
    struct catalog_table *table = a_table(7, "seven");
    struct store_txn *t = stores_begin(s, 0);

    table->tree = CATALOG_TREE;
    must_fail(catalog_put_table(t, table, &test_err), INSTAR_ECORRUPT);
    table->tree = CATALOG_FIRST_FREE_TREE;
    table->id = 0;
    must_fail(catalog_put_table(t, table, &test_err), INSTAR_ECORRUPT);
    store_txn_abort(t);
    catalog_table_free(table);
    stores_close(s);
}

/* The bytes of a record as they stand, to change them. */
static void read_raw(struct store *s, struct base_slice key, struct base_buf *out)
{
    struct store_txn *t = stores_begin(s, 0);
    struct base_slice value;
    must(store_txn_get(t, CATALOG_TREE, key, STORE_READ_NORMAL, &value, &test_err));
    base_buf_clear(out);
    expect(base_buf_add(out, value.data, value.size));
    store_txn_abort(t);
}

/* The error of reading table 7 with these bytes as its record. */
static int read_with(struct store *s, struct base_slice key, struct base_slice record)
{
    struct store_txn *t = stores_begin(s, 0);
    struct catalog_table *back;
    must(store_txn_put(t, CATALOG_TREE, key, record, &test_err));
    int rc = catalog_get_table(t, 7, &back, &test_err);
    catalog_table_free(back);
    store_txn_abort(t);
    return rc;
}

/* Every changed bit of a record, every cut, and a record that stands under another key, is found.
 */
Test(catalog_record, damage_is_found)
{
    static const uint8_t key7[9] = {2, [8] = 7};
    static const uint8_t key8[9] = {2, [8] = 8};
    struct store *s = make();
    struct catalog_table *table = a_table(7, "seven");
    struct base_slice key = base_slice(key7, sizeof(key7));
    struct base_buf b = {0};
    struct store_txn *t = stores_begin(s, 0);
    must(catalog_put_table(t, table, &test_err));
    table->id = 8;
    must(catalog_put_table(t, table, &test_err));
    stores_commit(t);
    read_raw(s, key, &b);
    must(read_with(s, key, base_buf_slice(&b)));
    for (size_t bit = 0; bit < b.size * 8; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        must_fail(read_with(s, key, base_buf_slice(&b)), INSTAR_ECORRUPT);
        b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t size = 0; size < b.size; size++) {
        must_fail(read_with(s, key, base_slice(b.data, size)), INSTAR_ECORRUPT);
    }
    read_raw(s, base_slice(key8, sizeof(key8)), &b);
    must_fail(read_with(s, key, base_buf_slice(&b)), INSTAR_ECORRUPT);
    cr_assert_not_null(strstr(test_err.text, "descriptor of table 7"));
    cr_assert_not_null(strstr(test_err.text, "checksum"));
    base_buf_free(&b);
    catalog_table_free(table);
    stores_close(s);
}

static void boot_in_child(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    test_send(self, 1);
    test_await(self, 2);
    must(catalog_bootstrap(s, &test_err));
    uint64_t id = 0;
    int rc = INSTAR_ECONFLICT;
    while (rc == INSTAR_ECONFLICT) {
        struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
        must(catalog_next_id(t, CATALOG_COUNTER_TABLE, &id, &test_err));
        rc = store_txn_commit(t, NULL, NULL, &test_err);
    }
    expect(rc == 0);
    test_send(self, id);
    stores_close(s);
}

/* Several processes may make the catalog at once: it is made once, and all go on with it. */
Test(catalog_record, processes_may_bootstrap_at_once)
{
    instar_options o = stores_options();
    struct test_child children[3];
    uint64_t seen = 0;
    must(store_create(stores_path(), &o, &test_err));
    for (size_t i = 0; i < BASE_ARRAY_LEN(children); i++) {
        test_fork(&children[i], boot_in_child, NULL);
        test_await(&children[i], 1);
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(children); i++) {
        test_send(&children[i], 2);
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(children); i++) {
        seen |= UINT64_C(1) << test_receive(&children[i]);
        test_wait_ok(&children[i]);
    }
    expect_u64(seen, 1 << 1 | 1 << 2 | 1 << 3);
}
