/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The versions of a table whose primary key becomes another: each step is one that the stage rules
 * allow, there and back from anywhere; what a step must not leave out is refused.
 */
#include "change/rekey_impl.h"
#include "support/tables.h"
#include "txn/txn.h"

#include <string.h>

#define CHANGE 77

typedef int (*version_fn)(const struct rekey_edit *e, struct catalog_table **next_out,
                          struct base_err *err);
static const version_fn to_key[] = {rekey_add_witness, rekey_raise, rekey_enforce,
                                    rekey_add_rows,    rekey_raise, rekey_enforce,
                                    rekey_swap,        rekey_lower, rekey_remove};
static const version_fn to_ids[] = {rekey_add_ids, rekey_enforce, rekey_add_rows, rekey_raise,
                                    rekey_enforce, rekey_swap,    rekey_lower,    rekey_remove};

static struct catalog_table *step(const struct catalog_table *now, version_fn fn,
                                  const struct rekey_request *request)
{
    const struct rekey_edit e = {.now = now, .request = request, .change = CHANGE};
    struct catalog_table *next = NULL;
    struct catalog_table *again;
    struct base_buf bytes = {0};

    must(fn(&e, &next, &test_err));
    if (next == NULL) {
        return NULL;
    }
    expect(catalog_table_step_allowed(now, next));
    must(catalog_table_encode(next, &bytes, &test_err));
    must(catalog_table_decode(base_buf_slice(&bytes), &again, &test_err));
    expect(catalog_table_step_allowed(now, again));
    catalog_table_free(again);
    base_buf_free(&bytes);
    return next;
}

static struct catalog_table *make(bool keyed)
{
    static const instar_column_def columns[] = {{.name = "a", .type = INSTAR_INT8},
                                                {.name = "b", .type = INSTAR_TEXT},
                                                {.name = "c", .type = INSTAR_INT8}};
    static const instar_key_column key[] = {{.name = "a", .descending = true}};
    static const instar_key_column parts[] = {{.name = "b"}, {.name = "c"}};
    static const char *const include[] = {"a"};
    const instar_table_def def = {
        .name = "t", .columns = columns, .column_count = 3, .key = key, .key_count = keyed ? 1 : 0};
    struct catalog_table *t;
    struct catalog_index *index;

    must(catalog_table_from_def(&def, &t, &test_err));
    t->id = 5;
    t->tree = 100;
    for (int i = 0; i < 2; i++) {
        instar_index_def x = {.name = i == 0 ? "u" : "p",
                              .table = "t",
                              .columns = parts,
                              .column_count = 2 - (size_t)i,
                              .unique = i == 0,
                              .include = include,
                              .include_count = 1,
                              .predicate = i == 1 ? "c > 5" : NULL};
        must(catalog_index_from_def(t, &x, &index, &test_err));
        index->tree = 101 + (uint64_t)i;
        index->stage = INSTAR_STAGE_PUBLIC;
        index->enforcing = index->unique;
    }
    return t;
}

static struct rekey_request request_of(const char *column)
{
    struct rekey_request r = {.key_count = column != NULL ? 1 : 0};

    r.key[0] = (instar_key_column){.name = column, .descending = true};
    return r;
}

/* From wherever it is: everything that the change has put there is taken away again. */
static void go_back(const struct catalog_table *now, const struct rekey_request *request,
                    const struct catalog_table *first)
{
    struct catalog_table *lowered = step(now, rekey_lower, request);
    struct catalog_table *removed = step(lowered, rekey_remove, request);

    expect_u64(removed->index_count, first->index_count);
    expect_u64(removed->column_count, first->column_count);
    expect(removed->tree == first->tree && removed->row_id == first->row_id);
    for (uint32_t i = 0; i < first->column_count; i++) {
        expect(!removed->columns[i].enforcing);
        expect(removed->columns[i].not_null == first->columns[i].not_null);
    }
    catalog_table_free(lowered);
    catalog_table_free(removed);
}

static void walk(bool keyed, const char *column, const version_fn *versions, size_t count)
{
    const struct rekey_request request = request_of(column);
    struct catalog_table *first = make(keyed);
    struct catalog_table *now;
    bool swapped = false;

    must(catalog_table_copy(first, &now, &test_err));
    for (size_t i = 0; i < count; i++) {
        struct catalog_table *next = step(now, versions[i], &request);
        if (next == NULL) {
            continue;
        }
        swapped = swapped || versions[i] == rekey_swap;
        if (!swapped) {
            go_back(next, &request, first);
        }
        catalog_table_free(now);
        now = next;
    }
    expect_u64(now->index_count, 2);
    expect(catalog_table_index(now, "u")->tree != 101);
    expect(catalog_table_index(now, "u")->stage == INSTAR_STAGE_PUBLIC);
    expect(catalog_table_index(now, "p")->predicate != NULL && now->tree != 100);
    expect(catalog_keyed_by_row_id(now) == (column == NULL));
    expect((now->row_id != 0) == (column == NULL));
    expect_u64(now->column_count, column == NULL ? 4 : 3);
    catalog_table_free(first);
    catalog_table_free(now);
}

/* A key for a table without one, another key, and none. */
Test(change_rekey, steps_are_allowed_ones)
{
    walk(false, "c", to_key, BASE_ARRAY_LEN(to_key));
    walk(true, "b", to_key, BASE_ARRAY_LEN(to_key));
    walk(true, NULL, to_ids, BASE_ARRAY_LEN(to_ids));
}

/* The version before the swap, and that of it. */
static void before_swap(struct catalog_table **now_out, struct catalog_table **next_out)
{
    const struct rekey_request request = request_of("b");
    struct catalog_table *now = make(true);

    for (size_t i = 0; to_key[i] != rekey_swap; i++) {
        struct catalog_table *next = step(now, to_key[i], &request);
        if (next != NULL) {
            catalog_table_free(now);
            now = next;
        }
    }
    *now_out = now;
    *next_out = step(now, rekey_swap, &request);
}

static struct catalog_index *find(struct catalog_table *t, bool rows)
{
    for (uint32_t i = 0; i < t->index_count; i++) {
        struct catalog_index *x = &t->indexes[i];
        if (x->change == CHANGE && x->replaces == 0 && x->rows == rows) {
            return x;
        }
    }
    return NULL;
}

/* An entry of the tree of rows: its own key, which is held to the limit alone, and behind it that
 * by which the row is found. Without memory there is none. */
Test(change_rekey, entries_of_the_rows)
{
    static char text[INSTAR_KEY_BYTES_MAX];
    struct catalog_table *now, *next;
    struct base_buf key = {0}, record = {0}, made = {0}, wanted = {0};
    struct txn_entry entry = {.key = &made};
    struct txn_rows *rows;
    int rc;

    before_swap(&now, &next);
    const struct catalog_index *index = find(now, true);
    const struct row_layout *layout = catalog_table_layout(now, now->version);
    instar_value values[] = {{.type = INSTAR_INT8, .i = 1},
                             {.type = INSTAR_TEXT, .bytes = {text, 1}},
                             {.type = INSTAR_INT8, .i = 2}};
    memset(text, 'x', sizeof(text));
    must(row_key_encode(index->key_parts, &values[1], 1, &wanted, &test_err));
    /* The longest that is allowed, with which the whole is over the limit. */
    values[1].bytes.size = INSTAR_KEY_BYTES_MAX - (wanted.size - 1);
    for (size_t over = 0; over < 2; over++) {
        values[1].bytes.size += over;
        base_buf_clear(&key);
        base_buf_clear(&record);
        base_buf_clear(&wanted);
        must(row_key_encode(index->key_parts, &values[1], 1, &wanted, &test_err));
        expect_u64(wanted.size, INSTAR_KEY_BYTES_MAX + over);
        must(row_key_encode(now->key_parts, &values[0], 1, &key, &test_err));
        expect(base_buf_add(&wanted, key.data, key.size));
        must(row_encode(layout, now->version, base_buf_slice(&key), values, &record, &test_err));
        must(txn_rows_open(now, 10000, &rows, &test_err));
        /* The first request is for the key. */
        test_shortage_set(&(struct test_shortage){.nth = 1});
        must_fail(txn_rows_entry(rows, index, base_buf_slice(&key), base_buf_slice(&record), &entry,
                                 &test_err),
                  INSTAR_ENOMEM);
        test_shortage_set(NULL);
        base_buf_clear(&made);
        rc = txn_rows_entry(rows, index, base_buf_slice(&key), base_buf_slice(&record), &entry,
                            &test_err);
        expect(rc == (over ? INSTAR_ELIMIT : INSTAR_OK));
        expect(over || base_slice_eq(base_buf_slice(&made), base_buf_slice(&wanted)));
        txn_rows_close(rows);
        base_buf_free(&made);
    }
    base_buf_free(&key);
    base_buf_free(&record);
    base_buf_free(&made);
    base_buf_free(&wanted);
    catalog_table_free(now);
    catalog_table_free(next);
}

/* Without the witness, or while it is not enforced, or with nulls, or before all writers write the
 * rows: no swap. And not without leaving the old rows to those who still read them. */
Test(change_rekey, swaps_that_are_refused)
{
    struct catalog_table *now;
    struct catalog_table *next;

    before_swap(&now, &next);
    expect(catalog_table_step_allowed(now, next));
    find(now, false)->enforcing = false;
    expect(!catalog_table_step_allowed(now, next));
    find(now, false)->enforcing = true;
    find(now, true)->stage = INSTAR_STAGE_DELETE_ONLY;
    expect(!catalog_table_step_allowed(now, next));
    find(now, true)->stage = INSTAR_STAGE_WRITE_ONLY;
    now->columns[1].enforcing = false;
    expect(!catalog_table_step_allowed(now, next));
    next->columns[1].not_null = false;
    expect(!catalog_table_step_allowed(now, next));
    now->columns[1].enforcing = next->columns[1].not_null = true;
    expect(catalog_table_step_allowed(now, next));
    struct catalog_index *old = find(next, true);
    old->stage = INSTAR_STAGE_DELETE_ONLY;
    expect(!catalog_table_step_allowed(now, next));
    old->stage = INSTAR_STAGE_WRITE_ONLY;
    old->tree++;
    expect(!catalog_table_step_allowed(now, next));
    old->tree--;
    next->key[0].descending = false;
    expect(!catalog_table_step_allowed(now, next));
    next->key[0].descending = true;
    next->key_parts[0].type = INSTAR_BYTEA;
    expect(!catalog_table_step_allowed(now, next));
    next->key_parts[0].type = INSTAR_TEXT;
    next->key_parts[0].scale = 1;
    expect(!catalog_table_step_allowed(now, next));
    next->key_parts[0].scale = 0;
    find(now, false)->predicate = catalog_table_index(now, "p")->predicate;
    expect(!catalog_table_step_allowed(now, next));
    find(now, false)->predicate = NULL;
    expect(catalog_table_step_allowed(now, next));
    catalog_index_remove(next, old->name);
    expect(!catalog_table_step_allowed(now, next));
    catalog_table_free(now);
    catalog_table_free(next);
}

/* The same two versions with nothing but the witness and the two trees of rows. */
struct pair {
    struct catalog_table *now, *next;
    struct row_layout layouts[2];
    struct row_column columns[4];
    struct catalog_layout_map since[2];
};

static void keep_two(struct catalog_table *t, uint32_t a, uint32_t b)
{
    for (uint32_t i = 0; i < t->index_count;) {
        const struct catalog_index *x = &t->indexes[i];
        if (x->id == a || x->id == b) {
            i++;
        } else {
            catalog_index_remove(t, x->name);
        }
    }
    expect_u64(t->index_count, 2);
}

static void make_pair(struct pair *p)
{
    before_swap(&p->now, &p->next);
    uint32_t witness = find(p->now, false)->id;
    keep_two(p->now, witness, find(p->now, true)->id);
    keep_two(p->next, witness, find(p->next, true)->id);
    expect(catalog_table_step_allowed(p->now, p->next));
}

/* In the later version an expression makes the column anew. */
static void make_column(struct pair *p, uint32_t at)
{
    struct catalog_table *next = p->next;

    expect(next->layout_count == 1 && next->layouts[0].column_count < BASE_ARRAY_LEN(p->columns));
    p->layouts[0] = p->layouts[1] = next->layouts[0];
    memcpy(p->columns, next->layouts[0].columns,
           next->layouts[0].column_count * sizeof(p->columns[0]));
    p->columns[at].is_made = true;
    p->layouts[1].columns = p->columns;
    p->since[0] = next->layout_map[0];
    p->since[1] = next->layout_map[0];
    p->since[1].first_version = next->version;
    p->since[1].layout = 1;
    next->layouts = p->layouts;
    next->layout_map = p->since;
    next->layout_count = next->layout_map_count = 2;
    p->now->columns[at].type_coming = p->now->columns[at].type;
}

static void free_pair(struct pair *p)
{
    catalog_table_free(p->now);
    catalog_table_free(p->next);
}

/* Where the values of the new key are made anew, its rows have the coming ones; where those of the
 * old key are, its rows have the past ones. */
Test(change_rekey, swaps_of_keys_that_are_made)
{
    struct pair p;

    make_pair(&p);
    find(p.next, false)->sight = CATALOG_SIGHT_PAST;
    expect(catalog_table_step_allowed(p.now, p.next));
    make_column(&p, 1);
    expect(!catalog_table_step_allowed(p.now, p.next));
    find(p.now, false)->sight = find(p.now, true)->sight = CATALOG_SIGHT_COMING;
    find(p.next, false)->sight = CATALOG_SIGHT_NOW;
    expect(catalog_table_step_allowed(p.now, p.next));
    free_pair(&p);
    make_pair(&p);
    find(p.next, false)->sight = CATALOG_SIGHT_PAST;
    make_column(&p, 0);
    expect(!catalog_table_step_allowed(p.now, p.next));
    find(p.next, true)->sight = CATALOG_SIGHT_PAST;
    expect(catalog_table_step_allowed(p.now, p.next));
    free_pair(&p);
}

/* A witness that has just gone is none, though it is still there behind the others. */
Test(change_rekey, swap_without_a_witness)
{
    struct pair p;

    make_pair(&p);
    for (int i = 0; i < 2; i++) {
        struct catalog_index *x = (i == 0 ? p.now : p.next)->indexes;
        struct catalog_index first = x[0];
        if (!first.rows) {
            x[0] = x[1];
            x[1] = first;
        }
    }
    expect(catalog_table_step_allowed(p.now, p.next));
    p.now->index_count--;
    p.next->index_count--;
    expect(!catalog_table_step_allowed(p.now, p.next));
    free_pair(&p);
}

/* What the record holds comes back; bytes that are cut or changed are refused or harmless. */
Test(change_rekey, the_request_comes_back)
{
    struct rekey_request r = request_of("größe");
    struct rekey_request got;
    struct test_random chance = test_random(1);
    struct base_buf bytes = {0};

    r.key[1] = (instar_key_column){.name = "b"};
    r.key_count = 2;
    r.trees[0] = 17;
    r.trees[1] = UINT64_MAX;
    r.tree_count = 2;
    must(rekey_encode(&r, &bytes, &test_err));
    must(rekey_decode(base_buf_slice(&bytes), &got, &test_err));
    expect_u64(got.key_count, 2);
    cr_assert_str_eq(got.key[0].name, "größe");
    expect(got.key[0].descending && !got.key[1].descending);
    expect(got.tree_count == 2 && got.trees[1] == UINT64_MAX);
    for (size_t i = 0; i < bytes.size; i++) {
        must_fail(rekey_decode(base_slice(bytes.data, i), &got, &test_err), INSTAR_ECORRUPT);
    }
    for (int i = 0; i < 5000; i++) {
        size_t at = test_random_below(&chance, bytes.size);
        uint8_t before = bytes.data[at];
        bytes.data[at] = (uint8_t)test_random_next(&chance);
        int rc = rekey_decode(base_buf_slice(&bytes), &got, &test_err);
        expect(rc == 0 || rc == INSTAR_ECORRUPT);
        expect(got.key_count <= INSTAR_INDEX_COLUMNS_MAX);
        bytes.data[at] = before;
    }
    base_buf_free(&bytes);
}
