/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random alterations, rows and transactions that straddle them, against a model in memory.
 *
 * The model has each row as values by column id; a column that a row lacks reads as the column's
 * missing value. A straddling transaction inserts before an alteration is submitted and commits
 * while it runs: its row has what its own version's columns and defaults say.
 */
#include "support/alters.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define IDS_MAX 64
#define COLUMNS_MAX 8
#define ROWS_MAX 64
#define NONE INT64_MIN        /* null */
#define LACKS (INT64_MIN + 1) /* the row is from before the column */

struct column {
    int id;
    char name[8];
    bool not_null;
    int64_t default_value;
    int64_t missing;
};
struct row {
    int64_t key;
    int64_t values[IDS_MAX];
};
struct model {
    struct column columns[COLUMNS_MAX]; /* without the key */
    int column_count;
    int next_id;
    struct row rows[ROWS_MAX];
    int row_count;
};

static struct test_random chance;

/* A text that grows. */
struct text {
    size_t size;
    char bytes[ROWS_MAX * 80];
};

static void put(struct text *t, const char *fmt, ...) BASE_PRINTF(2, 3);

static void put(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    t->size += (size_t)vsnprintf(t->bytes + t->size, sizeof(t->bytes) - t->size, fmt, args);
    va_end(args);
    expect(t->size < sizeof(t->bytes));
}

static void put_value(struct text *t, const char *before, int64_t v)
{
    v == NONE ? put(t, "%snull", before) : put(t, "%s%lld", before, (long long)v);
}

static int below(int limit)
{
    return (int)test_random_below(&chance, (uint64_t)limit);
}

static int64_t any_value(void)
{
    return below(4) == 0 ? NONE : below(100);
}

/* ---- the model ---------------------------------------------------------------------------- */

static int find(const struct model *m, const char *name)
{
    for (int i = 0; i < m->column_count; i++) {
        if (strcmp(m->columns[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static int64_t value_of(const struct row *r, const struct column *c)
{
    return r->values[c->id] == LACKS ? c->missing : r->values[c->id];
}

static bool add(struct model *m, const instar_column_def *def)
{
    if (find(m, def->name) >= 0 || m->column_count == COLUMNS_MAX) {
        return false;
    }
    const instar_value *v = def->default_value;
    struct column *c = &m->columns[m->column_count++];
    *c = (struct column){.id = m->next_id++, .not_null = def->not_null};
    snprintf(c->name, sizeof(c->name), "%s", def->name);
    c->default_value = v == NULL || v->type == INSTAR_NULL ? NONE : v->i;
    c->missing = c->default_value;
    for (int i = 0; i < m->row_count; i++) {
        m->rows[i].values[c->id] = LACKS;
    }
    return true;
}

static bool apply(struct model *m, const instar_alteration *step)
{
    if (step->kind == INSTAR_ALTER_ADD_COLUMN) {
        return add(m, step->column);
    }
    int at = find(m, step->name);
    if (at < 0) {
        return false;
    }
    struct column *c = &m->columns[at];
    switch (step->kind) {
    case INSTAR_ALTER_RENAME_COLUMN:
        if (find(m, step->new_name) >= 0) {
            return false;
        }
        snprintf(c->name, sizeof(c->name), "%s", step->new_name);
        return true;
    case INSTAR_ALTER_DROP_COLUMN:
        memmove(c, c + 1, (size_t)(m->column_count - at - 1) * sizeof(*c));
        m->column_count--;
        return true;
    case INSTAR_ALTER_SET_DEFAULT:
        c->default_value = step->value->type == INSTAR_NULL ? NONE : step->value->i;
        return true;
    case INSTAR_ALTER_DROP_DEFAULT:
        c->default_value = NONE;
        return true;
    default:
        c->not_null = step->kind == INSTAR_ALTER_SET_NOT_NULL;
        return true;
    }
}

/* May it hold? A column that is new must not rely on there being no rows. */
static bool holds(const struct model *before, const struct model *after)
{
    for (int i = 0; i < after->column_count; i++) {
        const struct column *c = &after->columns[i];
        bool is_new = c->id >= before->next_id;
        if (!c->not_null) {
            continue;
        }
        if (is_new && c->missing == NONE) {
            return false;
        }
        for (int r = 0; !is_new && r < after->row_count; r++) {
            if (value_of(&after->rows[r], c) == NONE) {
                return false;
            }
        }
    }
    return true;
}

/* The row that an insert at this version makes; `given`: which columns it names. False: refused. */
static bool make_row(const struct model *m, int64_t key, unsigned given, struct row *out,
                     struct text *text, struct text *names)
{
    bool ok = true;
    out->key = key;
    text->size = 0;
    names->size = 0;
    put(text, "%lld", (long long)key);
    put(names, "a");
    for (int i = 0; i < IDS_MAX; i++) {
        out->values[i] = LACKS;
    }
    for (int i = 0; i < m->column_count; i++) {
        const struct column *c = &m->columns[i];
        int64_t v = c->default_value;
        if ((given >> i & 1) != 0) {
            v = any_value();
            put(names, ",%s", c->name);
            put_value(text, ",", v);
        }
        out->values[c->id] = v;
        ok = ok && !(c->not_null && v == NONE);
    }
    return ok;
}

/* ---- the store ---------------------------------------------------------------------------- */

static void compare(instar *db, const struct model *m, const char *after)
{
    static struct text rows;
    static struct text schema;
    rows = (struct text){0};
    schema = (struct text){0};
    put(&schema, "a int8 not null");
    for (int i = 0; i < m->column_count; i++) {
        const struct column *c = &m->columns[i];
        put(&schema, "; %s int8%s", c->name, c->not_null ? " not null" : "");
        if (c->default_value != NONE) {
            put(&schema, " default %lld", (long long)c->default_value);
        }
    }
    cr_assert_str_eq(alters_schema(db, "t"), schema.bytes, "after %s", after);
    for (int r = 0; r < m->row_count; r++) {
        put(&rows, "%s%lld", r == 0 ? "" : ";", (long long)m->rows[r].key);
        for (int i = 0; i < m->column_count; i++) {
            put_value(&rows, ",", value_of(&m->rows[r], &m->columns[i]));
        }
    }
    cr_assert_str_eq(alters_rows(db, "t", NULL), rows.bytes, "after %s", after);
    instar_check_summary sum;
    ok(instar_check(db, NULL, NULL, &sum));
}

/* A random step in words. Names come from a small set, so that they meet. */
static void random_step(struct text *out)
{
    static const char *const kinds[] = {"add",           "add",          "drop",
                                        "rename-column", "set-default",  "drop-default",
                                        "set-not-null",  "drop-not-null"};
    const char *kind = kinds[below(8)];
    put(out, "%s c%d", kind, below(6));
    if (strcmp(kind, "add") == 0) {
        put(out, " int8%s", below(3) == 0 ? " not-null" : "");
        if (below(2) == 0) {
            put(out, " default %d", below(100));
        }
    } else if (strcmp(kind, "rename-column") == 0) {
        put(out, " c%d", below(6));
    } else if (strcmp(kind, "set-default") == 0) {
        put(out, " %d", below(100));
    }
}

static void change_rows(instar *db, struct model *m)
{
    static struct text text;
    static struct text names;
    for (int i = 0; i < 4; i++) {
        struct row row;
        int at = m->row_count > 0 ? below(m->row_count) : 0;
        if (m->row_count == 0 || (below(2) == 0 && m->row_count < ROWS_MAX - 8)) {
            int64_t key = m->row_count == 0 ? 0 : m->rows[m->row_count - 1].key + 1;
            bool fits = make_row(m, key, (unsigned)below(256), &row, &text, &names);
            int rc = alters_insert(db, "t", names.bytes, text.bytes);
            cr_assert_eq(rc, fits ? INSTAR_OK : INSTAR_ENOT_NULL, "%s", instar_error_text());
            if (fits) {
                m->rows[m->row_count++] = row;
            }
        } else if (below(3) == 0) {
            instar_projection *p = alters_projection(db, "t", "a");
            instar_txn *txn;
            ok(instar_begin(db, 0, &txn));
            ok(instar_delete(txn, p, &(instar_value){.type = INSTAR_INT8, .i = m->rows[at].key}));
            ok(instar_commit(txn));
            instar_projection_free(p);
            memmove(&m->rows[at], &m->rows[at + 1],
                    (size_t)(m->row_count - at - 1) * sizeof(m->rows[0]));
            m->row_count--;
        } else if (m->column_count > 0) {
            const struct column *c = &m->columns[below(m->column_count)];
            int64_t v = any_value();
            text.size = 0;
            put_value(&text, "", v);
            int rc = alters_update(db, "t", c->name, m->rows[at].key, text.bytes);
            cr_assert_eq(rc, v == NONE && c->not_null ? INSTAR_ENOT_NULL : INSTAR_OK);
            /* An update writes the whole row in the layout of its version. */
            for (int k = 0; rc == 0 && k < m->column_count; k++) {
                m->rows[at].values[m->columns[k].id] = value_of(&m->rows[at], &m->columns[k]);
            }
            if (rc == 0) {
                m->rows[at].values[c->id] = v;
            }
        }
    }
}

/* Submit; with a transaction that inserted before and commits while it runs. */
static void alter(instar *db, struct model *m, bool straddle)
{
    struct alters a;
    struct model after = *m;
    static struct text words;
    static struct text row_text;
    static struct text names;
    struct row row;
    instar_txn *txn = NULL;
    instar_projection *p = NULL;
    uint64_t change = 0;
    int steps = 1 + below(3);

    words.size = 0;
    for (int i = 0; i < steps; i++) {
        put(&words, "%s", i == 0 ? "" : " , ");
        random_step(&words);
    }
    if (straddle && m->row_count < ROWS_MAX - 8) {
        int64_t key = m->row_count == 0 ? 0 : m->rows[m->row_count - 1].key + 1;
        if (make_row(m, key, (unsigned)below(256), &row, &row_text, &names)) {
            p = alters_projection(db, "t", names.bytes);
            ok(instar_begin(db, 0, &txn));
            ok(alters_insert_in(txn, p, row_text.bytes));
        }
    }
    alters_parse(&a, words.bytes);
    bool possible = true;
    for (size_t i = 0; possible && i < a.count; i++) {
        possible = apply(&after, &a.steps[i]);
    }
    int rc = instar_alter_table(db, "t", a.steps, a.count, NULL, &change);
    if (txn != NULL) {
        ok(instar_commit(txn));
        m->rows[m->row_count++] = row;
        after.rows[after.row_count++] = row;
        instar_projection_free(p);
    }
    rc = rc != 0 ? rc : instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
    possible = possible && holds(m, &after);
    cr_assert_eq(rc == 0, possible, "%s: %s", words.bytes, rc != 0 ? instar_error_text() : "done");
    if (rc == 0) {
        *m = after;
    }
    compare(db, m, words.bytes);
}

/* Schema and rows are the model's after each of many alterations. */
Test(alter_model, random_alterations)
{
    uint64_t rounds = test_env_u64("INSTAR_ROUNDS", 6);

    chance = test_random(21);
    for (uint64_t round = 0; round < rounds; round++) {
        struct model *m = base_alloc_zero(1, sizeof(*m));
        instar_column_def column = {"a", INSTAR_INT8, true, NULL, 0};
        instar_key_column key = {.name = "a"};
        instar_table_def def = {
            .name = "t", .columns = &column, .column_count = 1, .key = &key, .key_count = 1};
        test_remove(dbs_path());
        instar *db = dbs_open(0);
        dbs_create(db, &def);
        while (m->next_id < IDS_MAX - 4) {
            change_rows(db, m);
            alter(db, m, below(2) == 0);
            if (below(20) == 0) {
                ok(instar_close(db));
                db = dbs_open(0);
                compare(db, m, "opening it again");
            }
        }
        ok(instar_close(db));
        base_free(m);
    }
}
