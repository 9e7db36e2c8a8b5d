/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every alteration at every one of its stages: the process that runs it is killed there, it is
 * cancelled there, rows are written there by transactions of both versions. One table of operations
 * drives all; a new one is a line in it.
 */
#include "support/alters.h"

#include <stdio.h>
#include <string.h>

struct operation {
    const char *text;
    bool validates;
    bool retires;
    bool fails;
    const char *schema; /* afterwards */
    const char *rows;   /* of all columns */
    const char *insert; /* a row 9 of all columns, and what it reads as */
};

/* t(a, b, c), primary key a, rows (1, 11, one) … (3, 13, null), an index t_b on b. */
#define BEFORE_SCHEMA "a int8 not null; b int8; c text"
#define BEFORE_ROWS "1,11,one;2,12,two;3,13,null"
static const struct operation operations[] = {
    {"rename-to t2", false, true, false, BEFORE_SCHEMA, BEFORE_ROWS, "9,19,x"},
    {"rename-column c d", false, true, false, "a int8 not null; b int8; d text", BEFORE_ROWS,
     "9,19,x"},
    {"rename-index t_b t_b2", false, true, false, BEFORE_SCHEMA, BEFORE_ROWS, "9,19,x"},
    {"add d int8", false, false, false, BEFORE_SCHEMA "; d int8",
     "1,11,one,null;2,12,two,null;3,13,null,null", "9,19,x,29"},
    {"add d int8 default 5", false, false, false, BEFORE_SCHEMA "; d int8 default 5",
     "1,11,one,5;2,12,two,5;3,13,null,5", "9,19,x,29"},
    {"add d text not-null default dd", false, false, false,
     BEFORE_SCHEMA "; d text not null default dd", "1,11,one,dd;2,12,two,dd;3,13,null,dd",
     "9,19,x,y"},
    {"drop c", false, true, false, "a int8 not null; b int8", "1,11;2,12;3,13", "9,19"},
    {"drop c , add c int8 default 1", false, true, false,
     "a int8 not null; b int8; c int8 default 1", "1,11,1;2,12,1;3,13,1", "9,19,29"},
    {"set-default b 5", false, false, false, "a int8 not null; b int8 default 5; c text",
     BEFORE_ROWS, "9,19,x"},
    {"set-not-null b", true, false, false, "a int8 not null; b int8 not null; c text", BEFORE_ROWS,
     "9,19,x"},
    {"set-not-null b , rename-column b bb , add d int8 default 5 , drop c", true, true, false,
     "a int8 not null; bb int8 not null; d int8 default 5", "1,11,5;2,12,5;3,13,5", "9,19,29"},
    {"check pos b > 10", true, false, false, BEFORE_SCHEMA "; check pos (b > 10)", BEFORE_ROWS,
     "9,19,x"},
    {"check pos b > 11", true, false, true, BEFORE_SCHEMA, BEFORE_ROWS, "9,19,x"},
    {"check-not-valid pos b > 11", false, false, false,
     BEFORE_SCHEMA "; check pos (b > 11) not valid", BEFORE_ROWS, "9,19,x"},
    {"check-not-valid - b > 10 , validate t_b_check , rename-column b bb", true, true, false,
     "a int8 not null; bb int8; c text; check t_b_check (bb > 10)", BEFORE_ROWS, "9,19,x"},
    {"add d int8 default 5 , check - d > 4 , set-not-null b", true, false, false,
     "a int8 not null; b int8 not null; c text; d int8 default 5; check t_d_check (d > 4)",
     "1,11,one,5;2,12,two,5;3,13,null,5", "9,19,x,29"},
    {"set-type b int4", true, false, false, "a int8 not null; b int4; c text", BEFORE_ROWS,
     "9,19,x"},
    {"set-type a int2", true, false, false, "a int2 not null; b int8; c text", BEFORE_ROWS,
     "9,19,x"},
    {"set-type c varchar(3)", true, false, false, "a int8 not null; b int8; c varchar(3)",
     BEFORE_ROWS, "9,19,x"},
    {"set-type b int4 , rename-column b bb , check - bb > 10 , set-not-null bb", true, true, false,
     "a int8 not null; bb int4 not null; c text; check t_bb_check (bb > 10)", BEFORE_ROWS,
     "9,19,x"},
    {"add d int4 default 5 , set-type d int8", false, false, false,
     BEFORE_SCHEMA "; d int8 default 5", "1,11,one,5;2,12,two,5;3,13,null,5", "9,19,x,29"},
    {"set-type c int4 using length(c) , add d int8", true, false, false,
     "a int8 not null; b int8; c int4; d int8", "1,11,3,null;2,12,3,null;3,13,null,null",
     "9,19,1,2"},
    {"set-type c varchar(2)", true, false, true, BEFORE_SCHEMA, BEFORE_ROWS, "9,19,x"},
    {"set-not-null c", true, false, true, BEFORE_SCHEMA, BEFORE_ROWS, "9,19,x"},
    {"rename-to t2 , rename-index t_b t_b2 , set-not-null c , add d int8", true, true, true,
     BEFORE_SCHEMA, BEFORE_ROWS, "9,19,x"},
};

/* A place in the life of a change. */
struct place {
    const char *point;
    uint64_t nth; /* of it, when an index and rows were made in the same process before */
    bool validates, retires, fails;
    bool too_late; /* to cancel */
};
static const struct place places[] = {
    {"change.submitted", 1, false, false, false, false},
    {"change.claimed", 1, false, false, false, false},
    {"change.enforcing", 1, true, false, false, false},
    {"validate.snapshot", 1, true, false, false, false},
    {"change.validated", 1, true, false, false, false},
    {"change.altered", 1, false, false, false, true},
    {"change.retired", 1, false, true, false, true},
    {"change.turned_back", 1, true, false, true, true},
    {"change.relaxed", 1, true, false, true, true},
};

static bool applies(const struct operation *o, const struct place *p)
{
    bool after = strcmp(p->point, "change.altered") == 0 || p->retires ||
                 strcmp(p->point, "change.validated") == 0;

    return (!p->validates || o->validates) && (!p->retires || o->retires) &&
           (!p->fails || o->fails) && !(o->fails && after);
}

static const char *table_after(const struct operation *o)
{
    bool renamed = strstr(o->text, "rename-to t2") != NULL && !o->fails;

    return renamed ? "t2" : "t";
}

/* ---- before and after --------------------------------------------------------------------- */

static void make_in(instar *db)
{
    dbs_make_table(db, "t");
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(alters_insert(db, "t", NULL, "1,11,one"));
    ok(alters_insert(db, "t", NULL, "2,12,two"));
    ok(alters_insert(db, "t", NULL, "3,13,null"));
}

static void make_t(void)
{
    instar *db = dbs_open(0);

    make_in(db);
    ok(instar_close(db));
}

static int count_tables(void *arg, const instar_table_info *info)
{
    (void)info;
    (*(int *)arg)++;
    return 0;
}

/* The table is as the operation leaves it, and goes on working; nothing else is left. */
static void expect_after(instar *db, const struct operation *o, bool done)
{
    const char *table = done ? table_after(o) : "t";
    int tables = 0;
    uint64_t change;

    cr_assert_str_eq(alters_schema(db, table), done ? o->schema : BEFORE_SCHEMA, "%s", o->text);
    cr_assert_str_eq(alters_rows(db, table, NULL), done ? o->rows : BEFORE_ROWS, "%s", o->text);
    ok(instar_table_list(db, NULL, count_tables, &tables));
    cr_assert_eq(tables, 1);
    ok(alters_insert(db, table, NULL, done ? o->insert : "9,19,x"));
    dbs_check_sound(db);
    /* All names but those of the table and its index are free. */
    dbs_make_table(db, strcmp(table, "t") == 0 ? "t2" : "t");
    bool renamed = done && strstr(o->text, "rename-index") != NULL && !o->fails;
    ok(instar_drop_index(db, renamed ? "t_b2" : "t_b", NULL, &change));
    ok(instar_change_wait(db, change, 60000, NULL));
    ok(dbs_index(db, renamed ? "t_b" : "t_b2", table, "a", false, NULL));
    dbs_check_sound(db);
}

/* ---- killed ------------------------------------------------------------------------------- */

static uint64_t submit(instar *db, const void *steps)
{
    uint64_t change;

    ok(alters_submit(db, "t", steps, NULL, &change));
    return change;
}

static void kill_and_finish(const struct operation *o, const struct place *p)
{
    const struct scene_death death = {p->point, p->nth, o->text, submit, o->text};

    test_remove(dbs_path());
    make_t();
    scene_kill(&death);
    instar *db = scene_take_over(&death, o->fails ? INSTAR_EFAILED : INSTAR_OK, NULL);
    expect_after(db, o, true);
    ok(instar_close(db));
}

/* E5: another process finishes it, or undoes it, wherever the one that ran it was killed. */
Test(alter_stages, killed)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(operations); i++) {
        for (size_t k = 0; k < BASE_ARRAY_LEN(places); k++) {
            if (applies(&operations[i], &places[k])) {
                kill_and_finish(&operations[i], &places[k]);
            }
        }
    }
}

/* ---- cancelled ---------------------------------------------------------------------------- */

static void cancel_at(const struct operation *o, const struct place *p)
{
    struct scene_held s;
    uint64_t change;

    test_remove(dbs_path());
    make_t();
    scene_hold(&s, p->point, p->nth);
    instar *db = s.db;
    ok(alters_submit(db, "t", o->text, NULL, &change));
    test_hold_await(&s.hold);
    int rc = instar_change_cancel(db, change);
    cr_assert_eq(rc, p->too_late ? INSTAR_ESTATE : INSTAR_OK, "%s at %s", o->text, p->point);
    test_hold_release(&s.hold);
    rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
    if (p->too_late) {
        cr_assert_eq(rc, o->fails ? INSTAR_EFAILED : INSTAR_OK, "%s at %s", o->text, p->point);
    } else {
        /* It may have found nulls before it saw that it is to stop. */
        bool found = o->fails && p->validates && rc == INSTAR_EFAILED;
        cr_assert(found || rc == INSTAR_ECANCELLED, "%s at %s", o->text, p->point);
        cr_assert_str_eq(alters_schema(db, "t"), BEFORE_SCHEMA);
        cr_assert_str_eq(alters_rows(db, "t", NULL), BEFORE_ROWS);
        /* It can be asked for again. */
        rc = alters_run(db, "t", o->text);
        cr_assert_eq(rc, o->fails ? INSTAR_EFAILED : INSTAR_OK, "%s again", o->text);
    }
    expect_after(db, o, true);
    scene_held_close(&s);
}

/* K4: cancelled before its last step it leaves all as it was, and can be asked for again; after it,
 * the cancel is refused. */
Test(alter_stages, cancelled)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(operations); i++) {
        for (size_t k = 0; k < BASE_ARRAY_LEN(places); k++) {
            /* Submitting is done by the other process. */
            if (k != 0 && applies(&operations[i], &places[k])) {
                cancel_at(&operations[i], &places[k]);
            }
        }
    }
}

/* ---- written to --------------------------------------------------------------------------- */

/* A row with this key for whatever columns the projection has: "20,30,w". */
static const char *row_for(instar_projection *p, int64_t key)
{
    static char row[256];
    size_t used = 0;

    for (size_t i = 0; i < instar_projection_count(p); i++) {
        bool text = instar_projection_type(p, i) == INSTAR_TEXT;
        char value[32];
        snprintf(value, sizeof(value), text ? "w" : "%lld", (long long)(i == 0 ? key : key + 10));
        used += (size_t)snprintf(row + used, sizeof(row) - used, "%s%s", i == 0 ? "" : ",", value);
    }
    return row;
}

static const char *table_now;

static int find_table(void *arg, const instar_table_info *info)
{
    (void)arg;
    table_now = strcmp(info->name, "t2") == 0 ? "t2" : "t";
    return 0;
}

/* Insert, update, delete, delete and insert again, change a key: by all columns as they are now. */
static void write_all(instar *db)
{
    static const char *const kept[] = {"2", "20", "21"};
    instar_txn *txn;

    ok(instar_table_list(db, NULL, find_table, NULL));
    instar_projection *p = alters_projection(db, table_now, NULL);
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, p, row_for(p, 20)));
    ok(alters_insert_in(txn, p, row_for(p, 22)));
    ok(alters_update_in(txn, p, 2, row_for(p, 2)));
    ok(alters_update_in(txn, p, 22, row_for(p, 21)));
    ok(instar_delete(txn, p, &(instar_value){.type = INSTAR_INT8, .i = 1}));
    ok(instar_delete(txn, p, &(instar_value){.type = INSTAR_INT8, .i = 3}));
    ok(instar_delete(txn, p, &(instar_value){.type = INSTAR_INT8, .i = 20}));
    ok(alters_insert_in(txn, p, row_for(p, 20)));
    ok(instar_commit(txn));
    instar_projection_free(p);
    dbs_check_sound(db);
    char keys[64] = "";
    for (size_t i = 0; i < BASE_ARRAY_LEN(kept); i++) {
        snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "%s%s", i == 0 ? "" : ";",
                 kept[i]);
    }
    cr_assert_str_eq(alters_rows(db, table_now, "a"), keys);
}

static void write_at(const struct operation *o, const struct place *p, bool straddle)
{
    struct scene_held s;
    instar_txn *old = NULL;
    instar_projection *old_columns = NULL;
    uint64_t change;

    test_remove(dbs_path());
    make_t();
    scene_hold(&s, p->point, p->nth);
    instar *db = s.db;
    if (straddle) {
        old_columns = alters_projection(db, "t", NULL);
        ok(instar_begin(db, 0, &old));
        ok(alters_insert_in(old, old_columns, "30,40,old"));
    }
    ok(alters_submit(db, "t", o->text, NULL, &change));
    test_hold_await(&s.hold);
    write_all(db);
    if (straddle) {
        /* One version behind by now, and it has read nothing that others wrote. */
        ok(alters_insert_in(old, old_columns, "31,41,old"));
        ok(instar_commit(old));
        instar_projection_free(old_columns);
    }
    test_hold_release(&s.hold);
    int rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
    /* write_all left no nulls. */
    cr_assert(rc == INSTAR_OK || (o->fails && rc == INSTAR_EFAILED), "%s at %s: %s", o->text,
              p->point, instar_error_text());
    ok(instar_table_list(db, NULL, find_table, NULL));
    cr_assert_str_eq(alters_rows(db, table_now, "a"), straddle ? "2;20;21;30;31" : "2;20;21");
    dbs_check_sound(db);
    scene_held_close(&s);
}

/* E3: at each stage, rows are written by whoever is on the newest version, and where it can be by a
 * transaction of the version before. */
Test(alter_stages, written_to)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(operations); i++) {
        for (size_t k = 0; k < BASE_ARRAY_LEN(places); k++) {
            const struct operation *o = &operations[i];
            const struct place *p = &places[k];
            if (k == 0 || !applies(o, p)) {
                continue;
            }
            bool first = strcmp(p->point, "change.claimed") == 0 ||
                         strcmp(p->point, "change.enforcing") == 0 ||
                         (strcmp(p->point, "change.altered") == 0 && !o->validates);
            write_at(o, p, first);
        }
    }
}

/* ---- pairs -------------------------------------------------------------------------------- */

/* What the table looks like, with its rows. */
static void describe(instar *db, char *text, size_t size)
{
    ok(instar_table_list(db, NULL, find_table, NULL));
    snprintf(text, size, "%s: %s | %s", table_now, alters_schema(db, table_now),
             alters_rows(db, table_now, NULL));
}

/* In one change what is undone again is not validated. */
static bool is_undone(const char *first, const char *second)
{
    return strcmp(first, "set-not-null c") == 0 &&
           (strcmp(second, "drop c") == 0 || strcmp(second, "drop-not-null c") == 0);
}

static void try_pair(instar *db, const char *first, const char *second)
{
    char both[128];
    char together[512];
    char apart[512];

    make_in(db);
    snprintf(both, sizeof(both), "%s , %s", first, second);
    int rc = alters_run(db, "t", both);
    describe(db, together, sizeof(together));
    if (rc != 0) {
        cr_assert_str_eq(together, "t: " BEFORE_SCHEMA " | " BEFORE_ROWS, "%s", both);
    }
    ok(scene_drop_table(db, table_now));
    make_in(db);
    int rc_apart = alters_run(db, "t", first);
    ok(instar_table_list(db, NULL, find_table, NULL));
    if (rc_apart == 0) {
        rc_apart = alters_run(db, table_now, second);
    }
    cr_assert((rc == 0) == (rc_apart == 0) || is_undone(first, second), "%s: %d, %d", both, rc,
              rc_apart);
    describe(db, apart, sizeof(apart));
    if (rc == 0 && rc_apart == 0) {
        cr_assert_str_eq(together, apart, "%s", both);
    }
    ok(scene_drop_table(db, table_now));
}

/* Two operations in one change are what they are one after the other, or neither is done. */
Test(alter_stages, pairs_in_one_change)
{
    static const char *const steps[] = {"rename-to t2",
                                        "rename-column b x",
                                        "rename-column c x",
                                        "rename-index t_b t_b2",
                                        "add x int8",
                                        "add c int8",
                                        "add d int8 default 5",
                                        "add d text not-null default dd",
                                        "drop c",
                                        "drop d",
                                        "set-default b 5",
                                        "set-default d 6",
                                        "drop-default d",
                                        "set-not-null b",
                                        "set-not-null c",
                                        "set-not-null d",
                                        "drop-not-null b",
                                        "rename-column d e"};

    instar *db = dbs_open(0);
    for (size_t i = 0; i < BASE_ARRAY_LEN(steps); i++) {
        for (size_t k = 0; k < BASE_ARRAY_LEN(steps); k++) {
            try_pair(db, steps[i], steps[k]);
        }
    }
    dbs_end_sound(db);
}
