/* SPDX-License-Identifier: Apache-2.0 */
#include "support/rekeys.h"
#include "support/compounds.h"

#include <stdio.h>
#include <string.h>

static int take_key(void *arg, const instar_table_info *info)
{
    char *text = arg;

    text[0] = 0;
    for (size_t i = 0; i < info->key_count; i++) {
        strncat(text, i > 0 ? "," : "", 2);
        strncat(text, info->key[i].name, INSTAR_NAME_BYTES_MAX);
    }
    return 0;
}

const char *rekeys_key(instar *db)
{
    static char name[256];

    ok(instar_table_list(db, "t", take_key, name));
    return name;
}

static instar_value number(int64_t i)
{
    return (instar_value){.type = INSTAR_INT8, .i = i};
}

void rekeys_open(instar *db, struct rekeys *x)
{
    const char *columns[] = {"a", "b", INSTAR_ROW_ID};
    int rc;

    do { /* until the key stood still meanwhile */
        *x = (struct rekeys){.p = NULL};
        snprintf(x->key, sizeof(x->key), "%s", rekeys_key(db));
        size_t count = strcmp(x->key, INSTAR_ROW_ID) == 0 ? 3 : 2;
        rc = instar_projection_prepare(db, "t", columns, count, NULL, &x->p);
        rc = rc == 0 ? instar_projection_prepare(db, "t", columns, count, "t_a", &x->by_a) : rc;
        expect(rc == 0 || rc == INSTAR_EUNKNOWN);
        if (rc == 0 && strcmp(x->key, rekeys_key(db)) != 0) {
            rc = INSTAR_EUNKNOWN;
        }
        if (rc != 0) {
            rekeys_close(x);
        }
    } while (rc != 0);
}

void rekeys_close(struct rekeys *x)
{
    instar_projection_free(x->p);
    instar_projection_free(x->by_a);
    x->p = NULL;
    x->by_a = NULL;
}

int rekeys_find(instar_txn *txn, struct rekeys *x, int64_t a, instar_value values[3])
{
    instar_value bound = number(a);
    instar_range range = {.lower = &bound, .lower_count = 1, .upper = &bound, .upper_count = 1};
    instar_cursor *cursor;
    int rc = instar_scan(txn, x->by_a, &range, &cursor);

    if (rc == 0) {
        rc = instar_cursor_next(cursor, values);
        instar_cursor_close(cursor);
    }
    return rc;
}

static void key_of(const struct rekeys *x, const instar_value values[3], instar_value key[4])
{
    if (strcmp(x->key, INSTAR_ROW_ID) == 0) {
        key[0] = values[2];
        return;
    }
    for (size_t i = 0; i < 4; i++) { /* names of one letter, and commas */
        char name = x->key[2 * i];
        key[i] = name == 'a' ? values[0] : name == 'b' ? values[1] : number(3);
        if (x->key[2 * i + 1] == 0) {
            return;
        }
    }
}

/* The row that has it, and its key. */
static int find_key(instar_txn *txn, struct rekeys *x, int64_t a, instar_value values[3],
                    instar_value key[4])
{
    int rc = rekeys_find(txn, x, a, values);

    if (rc == 0) {
        key_of(x, values, key);
    }
    return rc;
}

int rekeys_update(instar_txn *txn, struct rekeys *x, int64_t a, int64_t b)
{
    instar_value values[3];
    instar_value key[4];
    int rc = find_key(txn, x, a, values, key);

    values[1] = number(b);
    return rc != 0 ? rc : instar_update(txn, x->p, key, values);
}

int rekeys_delete(instar_txn *txn, struct rekeys *x, int64_t a)
{
    instar_value values[3];
    instar_value key[4];
    int rc = find_key(txn, x, a, values, key);

    return rc != 0 ? rc : instar_delete(txn, x->p, key);
}

int rekeys_insert(instar_txn *txn, struct rekeys *x, int64_t a, int64_t b)
{
    const instar_value values[3] = {number(a), number(b), {.type = INSTAR_NULL}};

    return instar_insert(txn, x->p, values);
}

struct call {
    struct rekeys *x;
    enum rekeys_verb verb;
    int64_t a, b;
};

static int do_call(instar_txn *txn, void *arg)
{
    struct call *c = arg;

    return c->verb == REKEYS_INSERT   ? rekeys_insert(txn, c->x, c->a, c->b)
           : c->verb == REKEYS_UPDATE ? rekeys_update(txn, c->x, c->a, c->b)
                                      : rekeys_delete(txn, c->x, c->a);
}

int rekeys_run(instar *db, struct rekeys *x, enum rekeys_verb verb, int64_t a, int64_t b)
{
    struct call c = {x, verb, a, b};
    int rc;

    while ((rc = instar_run(db, 0, do_call, &c)) == INSTAR_EUNKNOWN) {
        rekeys_close(x);
        rekeys_open(db, x);
    }
    return rc;
}

/* ---- the cases ---------------------------------------------------------------------------- */

const struct rekeys_kind rekeys_kinds[REKEYS_KINDS] = {
    {"add", "", "ALTER TABLE t ADD PRIMARY KEY (b)", "b", false},
    {"alter", ", PRIMARY KEY (a)",
     "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b) WITH (b = DESC)", "b", false},
    {"drop", ", PRIMARY KEY (a)", "ALTER TABLE t DROP CONSTRAINT t_pkey", INSTAR_ROW_ID, true},
};

int64_t rekeys_model[REKEYS_MODEL_MAX];

const char *rekeys_key_before(const struct rekeys_kind *kind)
{
    return kind->key[0] == 0 ? INSTAR_ROW_ID : "a";
}

void rekeys_make_t(const struct rekeys_kind *kind, int64_t rows)
{
    char text[256];
    instar *db = dbs_open(0);

    snprintf(text, sizeof(text),
             "CREATE TABLE t (a int8 NOT NULL, b int8, c text, e int8 DEFAULT 5%s)", kind->key);
    ok(compounds_run(db, text));
    ok(compounds_run(db, "CREATE UNIQUE INDEX t_a ON t (a)"));
    ok(compounds_run(db, "CREATE INDEX t_c ON t (c DESC, (a + e)) INCLUDE (b) WHERE e = 5"));
    ok(compounds_run(db, "ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (b, a)"));
    scene_fill(db, "t", 1, rows + 1, scene_plus_10);
    memset(rekeys_model, 0, sizeof(rekeys_model));
    for (int64_t i = 1; i <= rows && i < REKEYS_MODEL_MAX; i++) {
        rekeys_model[i] = scene_plus_10(i);
    }
    ok(instar_close(db));
}

#define INDEXES "t_a unique public; t_c public; t_u unique public"

void rekeys_expect_indexes(instar *db)
{
    const char *text = compounds_indexes(db, "t");

    cr_assert_eq(strlen(text), strlen(INDEXES), "%s", text);
    expect(strstr(text, "t_a unique public") != NULL && strstr(text, "t_c public") != NULL &&
           strstr(text, "t_u unique public") != NULL);
}

/* In a transaction of its own, by whatever key the table has then. */
int rekeys_call(instar *db, enum rekeys_verb verb, int64_t a, int64_t b)
{
    struct rekeys x;

    rekeys_open(db, &x);
    int rc = rekeys_run(db, &x, verb, a, b);
    rekeys_close(&x);
    if (rc == 0) {
        rekeys_model[a] = verb == REKEYS_DELETE ? 0 : b;
    }
    return rc;
}
