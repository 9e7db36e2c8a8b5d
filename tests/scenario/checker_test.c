/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker itself: what is damaged by hand is found, each thing once, with what, where and which
 * version wrote it; and looking changes nothing.
 */
#include "api/api_impl.h"
#include "support/dbs.h"
#include "support/tables.h"

#include <stdio.h>
#include <string.h>

#define ROWS 20

/* What a check found, counted by kind. */
struct found {
    uint32_t by_problem[16];
    char last[1024];
};

static int count(void *arg, const instar_finding *finding)
{
    struct found *f = arg;

    f->by_problem[finding->problem]++;
    (void)snprintf(f->last, sizeof(f->last), "%s", finding->text);
    expect(finding->table != NULL && strcmp(finding->table, "t") == 0);
    return 0;
}

static instar *damaged(void)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    for (int64_t i = 1; i <= ROWS; i++) {
        ok(dbs_insert(db, "t", i, i * 10));
    }
    ok(dbs_index(db, "t_b", "t", "b", true, NULL));
    dbs_check_clean(db);
    return db;
}

/* The descriptor as it is now, for reaching below the public interface. */
struct below {
    instar *db;
    struct store_txn *txn;
    const struct catalog_view *view;
    const struct catalog_table *table;
};

static void dig(struct below *b, instar *db)
{
    b->db = db;
    must(store_txn_begin(db->env.store, STORE_TXN_SYNC, &b->txn, &test_err));
    must(catalog_view_get(db->env.catalog, b->txn, &b->view, &test_err));
    must(catalog_view_table(b->view, "t", &b->table, &test_err));
}

static void cover(struct below *b)
{
    must(store_txn_commit(b->txn, NULL, NULL, &test_err));
    catalog_view_release(b->db->env.catalog, b->view);
}

/* Keys of a tree, the first `max`, copied. */
static size_t keys_of(struct below *b, uint64_t tree, struct base_buf *keys, size_t max)
{
    struct store_range all = {0};
    struct store_cursor *c = NULL;
    struct base_slice key, value;
    size_t n = 0;

    must(store_cursor_open(b->txn, tree, &all, STORE_READ_UNTRACKED, &c, &test_err));
    while (n < max && store_cursor_next(c, &key, &value, &test_err) == INSTAR_OK) {
        expect(base_buf_add(&keys[n++], key.data, key.size));
    }
    store_cursor_close(c);
    return n;
}

static void check_finds(instar *db, enum instar_problem problem, uint32_t times, struct found *f)
{
    instar_check_summary sum = {0};

    memset(f, 0, sizeof(*f));
    fails(instar_check(db, count, f, &sum), INSTAR_ECORRUPT);
    expect_u64(f->by_problem[problem], times);
    expect_u64(sum.findings, times);
    expect_u64(sum.rows, ROWS);
}

/* Three entries deleted by hand: three missing, and the report names the index and a row. */
Test(checker, missing_entries)
{
    struct base_buf keys[3] = {{0}, {0}, {0}};
    instar *db = damaged();
    struct below b;
    struct found f;

    dig(&b, db);
    expect_u64(keys_of(&b, b.table->indexes[0].tree, keys, 3), 3);
    for (int i = 0; i < 3; i++) {
        must(
            store_txn_delete(b.txn, b.table->indexes[0].tree, base_buf_slice(&keys[i]), &test_err));
        base_buf_free(&keys[i]);
    }
    cover(&b);
    check_finds(db, INSTAR_PROBLEM_ENTRY_MISSING, 3, &f);
    expect(strstr(f.last, "t_b") != NULL && strstr(f.last, "version") != NULL);
    /* Report only: a second look finds the same. */
    check_finds(db, INSTAR_PROBLEM_ENTRY_MISSING, 3, &f);
    ok(instar_close(db));
}

/* Two entries added by hand, for rows that do not exist: two dangling. */
Test(checker, dangling_entries)
{
    instar *db = damaged();
    uint8_t record[ROW_ENTRY_SIZE];
    struct below b;
    struct found f;

    dig(&b, db);
    for (int64_t i = 0; i < 2; i++) {
        instar_value values[3] = {{.type = INSTAR_INT8, .i = 1000 + i},
                                  {.type = INSTAR_INT8, .i = 5},
                                  {.type = INSTAR_NULL}};
        struct base_buf key = {0};

        tables_entry_key(b.table, &b.table->indexes[0], values, &key);
        row_entry_encode(b.table->version, base_buf_slice(&key), base_slice("", 0), record);
        must(store_txn_put(b.txn, b.table->indexes[0].tree, base_buf_slice(&key),
                           base_slice(record, sizeof(record)), &test_err));
        base_buf_free(&key);
    }
    cover(&b);
    check_finds(db, INSTAR_PROBLEM_ENTRY_DANGLING, 2, &f);
    ok(instar_close(db));
}

/* A byte of a row is flipped: that row is reported, and its entry is not blamed. */
Test(checker, flipped_byte)
{
    struct base_buf keys[5] = {{0}, {0}, {0}, {0}, {0}};
    struct base_buf record = {0};
    struct base_slice value;
    instar *db = damaged();
    struct below b;
    struct found f;

    dig(&b, db);
    expect_u64(keys_of(&b, b.table->tree, keys, 5), 5);
    must(store_txn_get(b.txn, b.table->tree, base_buf_slice(&keys[4]), STORE_READ_NORMAL, &value,
                       &test_err));
    expect(base_buf_add(&record, value.data, value.size));
    record.data[record.size - 1] ^= 1;
    must(store_txn_put(b.txn, b.table->tree, base_buf_slice(&keys[4]), base_buf_slice(&record),
                       &test_err));
    cover(&b);
    check_finds(db, INSTAR_PROBLEM_ROW_UNREADABLE, 1, &f);
    expect(strstr(f.last, "5") != NULL);
    for (int i = 0; i < 5; i++) {
        base_buf_free(&keys[i]);
    }
    base_buf_free(&record);
    ok(instar_close(db));
}

/* A row of a version that does not exist yet is reported as such. */
Test(checker, newer_version)
{
    instar *db = damaged();
    struct base_buf key = {0}, record = {0};
    instar_value values[3] = {
        {.type = INSTAR_INT8, .i = 3}, {.type = INSTAR_INT8, .i = 30}, {.type = INSTAR_NULL}};
    struct below b;
    struct found f;

    dig(&b, db);
    must(row_key_encode(b.table->key_parts, values, 1, &key, &test_err));
    must(row_encode(catalog_table_layout(b.table, b.table->version), b.table->version + 7,
                    base_buf_slice(&key), values, &record, &test_err));
    must(store_txn_put(b.txn, b.table->tree, base_buf_slice(&key), base_buf_slice(&record),
                       &test_err));
    cover(&b);
    check_finds(db, INSTAR_PROBLEM_VERSION, 1, &f);
    base_buf_free(&key);
    base_buf_free(&record);
    ok(instar_close(db));
}

/* Two rows with equal values under a unique index, both with entries: reported as a constraint. */
Test(checker, broken_constraint)
{
    instar *db = damaged();
    struct base_buf key = {0}, record = {0}, entry = {0}, old = {0};
    uint8_t tag[ROW_ENTRY_SIZE];
    instar_value was[3] = {
        {.type = INSTAR_INT8, .i = 3}, {.type = INSTAR_INT8, .i = 30}, {.type = INSTAR_NULL}};
    instar_value is[3] = {
        {.type = INSTAR_INT8, .i = 3}, {.type = INSTAR_INT8, .i = 40}, {.type = INSTAR_NULL}};
    const struct catalog_index *index;
    struct below b;
    struct found f;

    dig(&b, db);
    index = &b.table->indexes[0];
    must(row_key_encode(b.table->key_parts, is, 1, &key, &test_err));
    must(row_encode(catalog_table_layout(b.table, b.table->version), b.table->version,
                    base_buf_slice(&key), is, &record, &test_err));
    tables_entry_key(b.table, index, was, &old);
    tables_entry_key(b.table, index, is, &entry);
    row_entry_encode(b.table->version, base_buf_slice(&entry), base_slice("", 0), tag);
    must(store_txn_put(b.txn, b.table->tree, base_buf_slice(&key), base_buf_slice(&record),
                       &test_err));
    must(store_txn_delete(b.txn, index->tree, base_buf_slice(&old), &test_err));
    must(store_txn_put(b.txn, index->tree, base_buf_slice(&entry), base_slice(tag, sizeof(tag)),
                       &test_err));
    cover(&b);
    check_finds(db, INSTAR_PROBLEM_CONSTRAINT, 1, &f);
    base_buf_free(&key);
    base_buf_free(&record);
    base_buf_free(&entry);
    base_buf_free(&old);
    ok(instar_close(db));
}
