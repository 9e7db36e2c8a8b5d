/* SPDX-License-Identifier: Apache-2.0 */
/* A store with catalog, leases and tables, below the changes. */
#include "support/txns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- open and close ---------------------------------------------------------------------------
 */

void txns_make(const instar_options *options)
{
    struct store *s = stores_make(options);
    must(catalog_bootstrap(s, &test_err));
    stores_close(s);
}

struct txn_env *txns_open(const instar_options *options)
{
    struct txn_env *env = calloc(1, sizeof(*env));
    expect(env != NULL);
    env->store = stores_open(options);
    must(catalog_open(env->store, &env->catalog, &test_err));
    must(lease_open(env->store, &env->leases, &test_err));
    return env;
}

void txns_close(struct txn_env *env)
{
    txn_env_end(env);
    lease_close(env->leases);
    catalog_close(env->catalog);
    stores_close(env->store);
    free(env);
}

/* ---- versions ---------------------------------------------------------------------------------
 */

static struct store_txn *begin_sync(struct txn_env *env)
{
    return stores_begin(env->store, STORE_TXN_SYNC);
}

uint64_t txns_table(struct txn_env *env, const char *name, const char *columns, const char *key)
{
    struct catalog_table *table = tables_make(name, columns, key);
    struct store_txn *t = begin_sync(env);
    must(catalog_next_id(t, CATALOG_COUNTER_TABLE, &table->id, &test_err));
    must(catalog_next_id(t, CATALOG_COUNTER_TREE, &table->tree, &test_err));
    must(store_txn_tree_op(t, STORE_TREE_CREATE, table->tree, &test_err));
    uint64_t id = table->id;
    struct catalog_name value = {.kind = CATALOG_NAME_TABLE, .table = id};
    must(catalog_name_put(t, name, &value, &test_err));
    struct lease_publication what = {.table = id, .descriptor = table};
    must(lease_publish(env->leases, t, &what, NULL, NULL, &test_err));
    catalog_table_free(table);
    return id;
}

struct txn_env *txns_open_t(const instar_options *options, const char *columns, uint64_t *table_out)
{
    txns_make(options);
    struct txn_env *env = txns_open(options);
    *table_out = txns_table(env, "t", columns, "a");
    return env;
}

struct catalog_table *txns_current(struct txn_env *env, uint64_t table)
{
    struct catalog_table *copy = NULL;
    struct store_txn *t = stores_begin(env->store, STORE_TXN_READONLY);
    must(catalog_get_table(t, table, &copy, &test_err));
    store_txn_abort(t);
    return copy;
}

int txns_publish(struct txn_env *env, struct catalog_table *next, uint64_t create_tree, bool fence,
                 struct lease_blockers *blockers_out, struct base_err *err)
{
    struct store_txn *t = begin_sync(env);
    if (create_tree != 0) {
        must(store_txn_tree_op(t, STORE_TREE_CREATE, create_tree, &test_err));
    }
    struct lease_publication what = {
        .table = next->id, .descriptor = next, .drained_below = next->version - 1, .fence = fence};
    int rc = lease_publish(env->leases, t, &what, NULL, blockers_out, err);
    catalog_table_free(next);
    return rc;
}

void txns_set_state(struct catalog_index *index, const char *state)
{
    static const struct {
        const char *name;
        enum instar_stage stage;
    } states[] = {{"absent", INSTAR_STAGE_ABSENT},
                  {"delete-only", INSTAR_STAGE_DELETE_ONLY},
                  {"write-only", INSTAR_STAGE_WRITE_ONLY},
                  {"enforcing", INSTAR_STAGE_WRITE_ONLY},
                  {"public", INSTAR_STAGE_PUBLIC}};
    for (size_t i = 0; i < BASE_ARRAY_LEN(states); i++) {
        if (strcmp(states[i].name, state) == 0) {
            index->stage = states[i].stage;
            index->enforcing = index->unique && (strcmp(state, "enforcing") == 0 ||
                                                 states[i].stage == INSTAR_STAGE_PUBLIC);
            return;
        }
    }
    expect(false);
}

/* Steps from absent to public, as a number; enforcing is a step of unique indexes only. */
static int level_of(const struct catalog_index *index)
{
    if (index->stage == INSTAR_STAGE_PUBLIC) {
        return 4;
    }
    return index->enforcing ? 3 : (int)index->stage;
}

static void one_step(struct txn_env *env, uint64_t table, const char *name, const char *columns,
                     bool unique, bool up)
{
    static const char *const names[] = {"absent", "delete-only", "write-only", "enforcing",
                                        "public"};
    uint64_t tree = 0;
    struct catalog_table *next = txns_current(env, table);
    next->version++;
    struct catalog_index *index = catalog_table_index(next, name);
    if (index == NULL) {
        index = tables_add_index(next, name, columns, unique);
        struct store_txn *t = begin_sync(env);
        must(catalog_next_id(t, CATALOG_COUNTER_TREE, &tree, &test_err));
        stores_commit(t);
        index->tree = tree;
    }
    int to = level_of(index) + (up ? 1 : -1);
    if (to == 3 && !unique) {
        to += up ? 1 : -1;
    }
    if (to == 0) {
        catalog_index_remove(next, name);
    } else {
        txns_set_state(index, names[to]);
    }
    must(catalog_table_finish(next, &test_err));
    must(txns_publish(env, next, tree, false, NULL, &test_err));
}

void txns_index(struct txn_env *env, uint64_t table, const char *name, const char *columns,
                bool unique, const char *state)
{
    struct catalog_index wanted = {.unique = unique};
    txns_set_state(&wanted, state);
    for (;;) {
        struct catalog_table *now = txns_current(env, table);
        const struct catalog_index *index = catalog_table_index(now, name);
        int from = index != NULL ? level_of(index) : 0;
        catalog_table_free(now);
        if (from == level_of(&wanted)) {
            return;
        }
        one_step(env, table, name, columns, unique, from < level_of(&wanted));
    }
}

struct catalog_table *txns_forced(struct txn_env *env, uint64_t table, uint32_t version,
                                  const char *index, const char *state)
{
    struct catalog_table *copy = txns_current(env, table);
    copy->version = version;
    txns_set_state(catalog_table_index(copy, index), state);
    must(catalog_table_finish(copy, &test_err));
    return copy;
}

uint64_t txns_tree_op(struct txn_env *env, uint64_t table, uint32_t drained_below,
                      enum store_tree_op op, uint64_t tree)
{
    uint64_t lsn = 0;
    struct store_txn *t = begin_sync(env);
    must(store_txn_tree_op(t, op, tree, &test_err));
    struct lease_publication what = {.table = table, .drained_below = drained_below};
    must(lease_publish(env->leases, t, &what, &lsn, NULL, &test_err));
    return lsn;
}

/* ---- rows -------------------------------------------------------------------------------------
 */

struct txn *txns_begin(struct txn_env *env, unsigned flags)
{
    struct txn *t = NULL;
    must(txn_begin(env, flags, &t, &test_err));
    return t;
}

struct txn_projection *txns_projection(struct txn_env *env, const char *table, const char *index)
{
    struct txn_projection *p = NULL;
    must(txn_projection_prepare(env, table, NULL, 0, index, &p, &test_err));
    return p;
}

/* Values of a line of text, and the text they lie in. */
struct line {
    struct tables_items items;
    char scratch[TABLES_TEXT_MAX];
    instar_value value[TABLES_ITEMS_MAX];
};

struct txn_projection *txns_columns(struct txn_env *env, const char *table, const char *columns,
                                    const char *index)
{
    struct txn_projection *p = NULL;
    struct tables_items names;
    tables_split(&names, columns);
    must(txn_projection_prepare(env, table, (const char *const *)names.item, names.count, index, &p,
                                &test_err));
    return p;
}

static void parse_one(struct line *line, size_t at, enum instar_type type)
{
    const char *item = line->items.item[at];
    char *scratch = line->scratch + (item - line->items.text);
    if (strcmp(item, "null") == 0) {
        line->value[at] = (instar_value){.type = INSTAR_NULL};
        return;
    }
    must(row_value_parse(type, base_slice(item, strlen(item)), scratch, strlen(item) + 1,
                         &line->value[at], &test_err));
}

/* Values for the projection's columns, in its order. */
static void parse_row(struct line *line, const struct txn_projection *p, const char *text)
{
    tables_split(&line->items, text);
    expect_u64(line->items.count, txn_projection_count(p));
    for (size_t i = 0; i < line->items.count; i++) {
        parse_one(line, i, txn_projection_type(p, i));
    }
}

/* Keys and bounds: the types are guessed, integers or text, which is all that these tests use. */
static void parse_key(struct line *line, const char *text)
{
    tables_split(&line->items, text);
    for (size_t i = 0; i < line->items.count; i++) {
        char *end;
        long number = strtol(line->items.item[i], &end, 10);
        if (strcmp(line->items.item[i], "null") == 0) {
            line->value[i] = (instar_value){.type = INSTAR_NULL};
        } else if (*end == '\0' && end != line->items.item[i]) {
            line->value[i] = (instar_value){.type = INSTAR_INT8, .i = number};
        } else {
            line->value[i] = (instar_value){
                .type = INSTAR_TEXT,
                .bytes = {.data = line->items.item[i], .size = strlen(line->items.item[i])}};
        }
    }
}

int txns_insert(struct txn *t, struct txn_projection *p, const char *row)
{
    struct line line;
    parse_row(&line, p, row);
    return txn_insert(t, p, line.value, &test_err);
}

int txns_upsert(struct txn *t, struct txn_projection *p, const char *row)
{
    struct line line;
    parse_row(&line, p, row);
    return txn_upsert(t, p, line.value, &test_err);
}

int txns_update(struct txn *t, struct txn_projection *p, const char *key, const char *row)
{
    struct line line;
    struct line key_line;
    parse_key(&key_line, key);
    parse_row(&line, p, row);
    return txn_update(t, p, key_line.value, line.value, &test_err);
}

int txns_delete(struct txn *t, struct txn_projection *p, const char *key)
{
    struct line line;
    parse_key(&line, key);
    return txn_delete(t, p, line.value, &test_err);
}

static void append(char *text, size_t size, const char *more)
{
    size_t used = strlen(text);
    expect(used + strlen(more) < size);
    memcpy(text + used, more, strlen(more) + 1);
}

static void add_row(char *text, size_t size, const instar_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(text);
        expect(used + 64 < size);
        if (i > 0) {
            text[used++] = ',';
        }
        if (values[i].type == INSTAR_NULL) {
            snprintf(text + used, size - used, "null");
        } else {
            row_value_format(&values[i], text + used, size - used);
        }
    }
}

const char *txns_get(struct txn *t, struct txn_projection *p, const char *key)
{
    static char text[TABLES_TEXT_MAX];
    instar_value values[TABLES_ITEMS_MAX];
    struct line line;
    parse_key(&line, key);
    text[0] = '\0';
    int rc = txn_get(t, p, line.value, values, &test_err);
    if (rc != INSTAR_OK) {
        return base_error_name(rc);
    }
    add_row(text, sizeof(text), values, txn_projection_count(p));
    return text;
}

/* "(1,2": exclusive. */
static size_t parse_bound(struct line *line, const char *text, bool *exclusive_out)
{
    char plain[TABLES_TEXT_MAX];
    size_t size;
    *exclusive_out = false;
    if (text == NULL) {
        return 0;
    }
    *exclusive_out = text[0] == '(' || text[strlen(text) - 1] == ')';
    snprintf(plain, sizeof(plain), "%s", text[0] == '(' ? text + 1 : text);
    size = strlen(plain);
    if (plain[size - 1] == ')') {
        plain[size - 1] = '\0';
    }
    parse_key(line, plain);
    return line->items.count;
}

const char *txns_scan(struct txn *t, struct txn_projection *p, const char *lower, const char *upper,
                      bool reverse)
{
    static char text[64 * TABLES_TEXT_MAX];
    instar_value values[TABLES_ITEMS_MAX];
    struct line from;
    struct line to;
    struct txn_cursor *c = NULL;
    instar_range range = {.lower = from.value, .upper = to.value, .reverse = reverse};
    range.lower_count = parse_bound(&from, lower, &range.lower_exclusive);
    range.upper_count = parse_bound(&to, upper, &range.upper_exclusive);
    text[0] = '\0';
    int rc = txn_scan(t, p, &range, &c, &test_err);
    while (rc == INSTAR_OK) {
        rc = txn_cursor_next(c, values, &test_err);
        if (rc == INSTAR_OK) {
            add_row(text, sizeof(text), values, txn_projection_count(p));
            append(text, sizeof(text), " ");
        }
    }
    txn_cursor_close(c);
    return rc == INSTAR_END ? text : base_error_name(rc);
}

void txns_put_row(struct txn_env *env, struct txn_projection *p, const char *row)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_insert(t, p, row));
    must(txn_commit(t, &test_err));
}

void txns_change_row(struct txn_env *env, struct txn_projection *p, const char *key,
                     const char *row)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_update(t, p, key, row));
    must(txn_commit(t, &test_err));
}

void txns_delete_row(struct txn_env *env, struct txn_projection *p, const char *key)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    must(txns_delete(t, p, key));
    must(txn_commit(t, &test_err));
}

const char *txns_dump(struct txn_env *env, struct txn_projection *p)
{
    struct txn *t = txns_begin(env, INSTAR_TXN_READONLY | INSTAR_TXN_ASYNC);
    const char *text = txns_scan(t, p, NULL, NULL, false);
    txn_abort(t);
    return text;
}

/* ---- entries and the oracle -------------------------------------------------------------------
 */

static const struct store_range whole = {.lower = {"", 0}};

static void add_entry(char *text, size_t size, const struct catalog_index *index,
                      struct base_slice key)
{
    instar_value values[TABLES_ITEMS_MAX];
    struct base_arena arena = {0};
    must(row_key_decode(index->key_parts, index->key_part_count, &key, &arena, values, &test_err));
    for (uint32_t i = 0; i < index->key_part_count; i++) {
        add_row(text, size, &values[i], 1);
        const char *behind = i + 1 == index->key_part_count ? " " : ",";
        append(text, size, i + 1 == index->part_count ? ":" : behind);
    }
    base_arena_free(&arena);
}

int txns_entry_key(struct txn_rows *rows, const struct catalog_index *index, struct base_slice key,
                   struct base_slice record, struct base_buf *out, struct base_err *err)
{
    struct txn_entry entry = {.key = out};
    int rc = txn_rows_entry(rows, index, key, record, &entry, err);
    expect(rc != INSTAR_OK || entry.inside);
    return rc;
}

const char *txns_entries(struct txn_env *env, const struct catalog_table *table, const char *name)
{
    static char text[64 * TABLES_TEXT_MAX];
    struct base_slice key;
    struct base_slice value;
    struct store_cursor *c = NULL;
    const struct catalog_index *index = catalog_table_index(table, name);
    struct store_txn *t = stores_begin(env->store, STORE_TXN_READONLY);
    text[0] = '\0';
    must(store_cursor_open(t, index->tree, &whole, STORE_READ_NORMAL, &c, &test_err));
    while (store_cursor_next(c, &key, &value, &test_err) == INSTAR_OK) {
        uint32_t version;
        must(row_entry_decode(key, value, &version, &test_err));
        add_entry(text, sizeof(text), index, key);
    }
    store_cursor_close(c);
    store_txn_abort(t);
    return text;
}

struct check {
    struct store_txn *t;
    struct txn_rows *rows;
    const struct catalog_table *table;
    char *text;
    size_t size;
};

static void complain(struct check *c, const struct catalog_index *index, struct base_slice key,
                     const char *what)
{
    struct base_buf b = {0};
    size_t used = strlen(c->text);
    txn_describe_entry(c->table, index, key, &b);
    snprintf(c->text + used, c->size - used, "%s: %.*s %s; ", index->name, (int)b.size, b.data,
             what);
    base_buf_free(&b);
}

/* Every entry has its row, and the row has that value. */
static void check_entries(struct check *c, const struct catalog_index *index)
{
    struct base_slice key;
    struct base_slice value;
    struct store_cursor *cursor = NULL;
    struct base_buf again = {0};
    must(store_cursor_open(c->t, index->tree, &whole, STORE_READ_NORMAL, &cursor, &test_err));
    while (store_cursor_next(cursor, &key, &value, &test_err) == INSTAR_OK) {
        struct base_slice record;
        size_t used = 0;
        must(row_key_skip(index->key_parts, index->part_count, key, &used, &test_err));
        struct base_slice row = base_slice((const char *)key.data + used, key.size - used);
        if (store_txn_get(c->t, c->table->tree, row, STORE_READ_NORMAL, &record, &test_err) != 0) {
            complain(c, index, key, "has no row");
            continue;
        }
        base_buf_clear(&again);
        must(txns_entry_key(c->rows, index, row, record, &again, &test_err));
        if (!base_slice_eq(key, base_buf_slice(&again))) {
            complain(c, index, key, "does not have its row's value");
        }
    }
    store_cursor_close(cursor);
    base_buf_free(&again);
}

/* Every row has its entry. */
static void check_rows(struct check *c, const struct catalog_index *index)
{
    struct base_slice key;
    struct base_slice record;
    struct base_slice value;
    struct store_cursor *cursor = NULL;
    struct base_buf entry = {0};
    must(store_cursor_open(c->t, c->table->tree, &whole, STORE_READ_NORMAL, &cursor, &test_err));
    while (store_cursor_next(cursor, &key, &record, &test_err) == INSTAR_OK) {
        base_buf_clear(&entry);
        must(txns_entry_key(c->rows, index, key, record, &entry, &test_err));
        if (store_txn_get(c->t, index->tree, base_buf_slice(&entry), STORE_READ_NORMAL, &value,
                          &test_err) != 0) {
            complain(c, index, base_buf_slice(&entry), "is missing");
        }
    }
    store_cursor_close(cursor);
    base_buf_free(&entry);
}

const char *txns_wrong(struct txn_env *env, const struct catalog_table *table, const char *complete)
{
    static char text[4 * TABLES_TEXT_MAX];
    struct check c = {.table = table, .text = text, .size = sizeof(text)};
    struct catalog_table *any = NULL;
    text[0] = '\0';
    /* Rows may carry the tag of any version that a test forced. */
    must(catalog_table_copy(table, &any, &test_err));
    any->version = UINT32_MAX;
    c.t = stores_begin(env->store, STORE_TXN_READONLY);
    must(txn_rows_open(any, store_options(env->store)->row_bytes_max, &c.rows, &test_err));
    for (uint32_t i = 0; i < table->index_count; i++) {
        check_entries(&c, &table->indexes[i]);
        if (complete != NULL && strcmp(complete, table->indexes[i].name) == 0) {
            check_rows(&c, &table->indexes[i]);
        }
    }
    txn_rows_close(c.rows);
    store_txn_abort(c.t);
    catalog_table_free(any);
    return text;
}
