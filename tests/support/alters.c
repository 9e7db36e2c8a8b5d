/* SPDX-License-Identifier: Apache-2.0 */
/* Alterations of a table from a line of text, and rows of any columns as text. */
#include "support/alters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 64

/* ---- alterations -------------------------------------------------------------------------- */

/* A value of the type that its text looks like: a number is int8, else it is text. */
static instar_value guess_value(char *text)
{
    char *end;
    instar_value v = {.type = INSTAR_INT8, .i = strtoll(text, &end, 10)};

    if (strcmp(text, "null") == 0) {
        return (instar_value){.type = INSTAR_NULL};
    }
    if (*end != 0 || end == text) {
        v = (instar_value){.type = INSTAR_TEXT, .bytes = {text, strlen(text)}};
    }
    return v;
}

static char *word(char **rest)
{
    char *w = *rest != NULL ? strsep(rest, " ") : NULL;

    return w;
}

/* "int4", "varchar(3)", "numeric(5,2)" */
static void parse_type(instar_column_def *def, const char *text)
{
    unsigned length = 0, scale = 0;

    def->type = instar_type_from_name(text);
    if (sscanf(text, "varchar(%u)", &length) == 1) {
        def->type = INSTAR_TEXT;
    } else if (sscanf(text, "numeric(%u,%u)", &length, &scale) == 2) {
        def->type = INSTAR_NUMERIC;
        length = INSTAR_DIGITS(length, scale);
    }
    def->length_max = length;
    expect(def->type != INSTAR_NULL);
}

static void parse_column(struct alters *a, char **rest)
{
    instar_column_def *def = &a->columns[a->count];
    char *w;

    *def = (instar_column_def){.name = word(rest)};
    parse_type(def, word(rest));
    while ((w = word(rest)) != NULL) {
        if (strcmp(w, "not-null") == 0) {
            def->not_null = true;
        } else {
            expect(strcmp(w, "default") == 0);
            w = word(rest);
            if (instar_value_parse(def->type, w, strlen(w), NULL, 0, &a->values[a->count]) != 0) {
                a->values[a->count] = guess_value(w);
            }
            def->default_value = &a->values[a->count];
        }
    }
    a->steps[a->count].column = def;
}

static void parse_step(struct alters *a, char *text)
{
    static const struct {
        const char *word;
        enum instar_alteration_kind kind;
    } kinds[] = {{"rename-to", INSTAR_ALTER_RENAME_TABLE},
                 {"rename-column", INSTAR_ALTER_RENAME_COLUMN},
                 {"rename-index", INSTAR_ALTER_RENAME_INDEX},
                 {"add", INSTAR_ALTER_ADD_COLUMN},
                 {"drop", INSTAR_ALTER_DROP_COLUMN},
                 {"set-default", INSTAR_ALTER_SET_DEFAULT},
                 {"drop-default", INSTAR_ALTER_DROP_DEFAULT},
                 {"set-not-null", INSTAR_ALTER_SET_NOT_NULL},
                 {"drop-not-null", INSTAR_ALTER_DROP_NOT_NULL},
                 {"check", INSTAR_ALTER_ADD_CHECK},
                 {"check-not-valid", INSTAR_ALTER_ADD_CHECK},
                 {"drop-constraint", INSTAR_ALTER_DROP_CONSTRAINT},
                 {"rename-constraint", INSTAR_ALTER_RENAME_CONSTRAINT},
                 {"validate", INSTAR_ALTER_VALIDATE_CONSTRAINT},
                 {"set-type", INSTAR_ALTER_SET_TYPE}};
    instar_alteration *step = &a->steps[a->count];
    char *rest = text;
    char *verb = word(&rest);

    *step = (instar_alteration){0};
    if (strcmp(verb, "if") == 0) {
        step->flags = INSTAR_ALTER_IF_EXISTS | INSTAR_ALTER_IF_NOT_EXISTS;
        verb = word(&rest);
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(kinds); i++) {
        step->kind = strcmp(verb, kinds[i].word) == 0 ? (uint32_t)kinds[i].kind : step->kind;
    }
    expect(step->kind != 0);
    if (step->kind == INSTAR_ALTER_ADD_COLUMN) {
        parse_column(a, &rest);
    } else if (step->kind == INSTAR_ALTER_RENAME_TABLE) {
        step->new_name = word(&rest);
    } else if (step->kind == INSTAR_ALTER_ADD_CHECK) {
        instar_check_def *def = &a->checks[a->count];
        const char *name = word(&rest);
        *def = (instar_check_def){.name = strcmp(name, "-") == 0 ? NULL : name,
                                  .not_valid = strcmp(verb, "check-not-valid") == 0,
                                  .expression = rest};
        step->check = def;
        rest = NULL;
    } else {
        bool renames =
            step->kind <= INSTAR_ALTER_RENAME_INDEX || step->kind == INSTAR_ALTER_RENAME_CONSTRAINT;
        step->name = word(&rest);
        step->new_name = renames ? word(&rest) : NULL;
        if (step->kind == INSTAR_ALTER_SET_TYPE) {
            a->columns[a->count] = (instar_column_def){0};
            parse_type(&a->columns[a->count], word(&rest));
            step->column = &a->columns[a->count];
            bool using = word(&rest) != NULL;
            step->flags |= using ? INSTAR_ALTER_EXPLICIT : 0;
            step->expression = rest;
            rest = NULL;
        }
        if (step->kind == INSTAR_ALTER_SET_DEFAULT) {
            a->values[a->count] = guess_value(word(&rest));
            step->value = &a->values[a->count];
        }
    }
    expect(word(&rest) == NULL);
    a->count++;
}

void alters_parse(struct alters *a, const char *text)
{
    char *at = a->text;

    a->count = 0;
    expect(strlen(text) < sizeof(a->text));
    snprintf(a->text, sizeof(a->text), "%s", text);
    while (at != NULL) {
        char *next = strstr(at, " , ");
        if (next != NULL) {
            *next = 0;
            next += 3;
        }
        expect(a->count < ALTERS_STEPS_MAX);
        parse_step(a, at);
        at = next;
    }
}

int alters_submit(instar *db, const char *table, const char *text,
                  const instar_change_options *options, uint64_t *change)
{
    struct alters a;

    alters_parse(&a, text);
    return instar_alter_table(db, table, a.steps, a.count, options, change);
}

int alters_run(instar *db, const char *table, const char *text)
{
    uint64_t change;
    int rc = alters_submit(db, table, text, NULL, &change);

    return rc != 0 ? rc : instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL);
}

/* ---- rows --------------------------------------------------------------------------------- */

instar_projection *alters_projection(instar *db, const char *table, const char *columns)
{
    const char *names[COLUMNS_MAX];
    char list[512];
    char *rest = list;
    size_t count = 0;
    instar_projection *p = NULL;

    snprintf(list, sizeof(list), "%s", columns != NULL ? columns : "");
    while (columns != NULL && rest != NULL) {
        expect(count < COLUMNS_MAX);
        names[count++] = strsep(&rest, ",");
    }
    ok(instar_projection_prepare(db, table, columns != NULL ? names : NULL, count, NULL, &p));
    return p;
}

/* A row as text, and the bytes of its values. */
#define ROW_BYTES_MAX 16384
struct row_text {
    char text[ROW_BYTES_MAX];
    char bytes[ROW_BYTES_MAX];
};

/* "1,x,null" as values of the projection's types. */
static size_t parse_row(instar_projection *p, const char *row, struct row_text *list,
                        instar_value values[COLUMNS_MAX])
{
    char *rest = list->text;
    size_t count = 0;

    expect(snprintf(list->text, sizeof(list->text), "%s", row) < ROW_BYTES_MAX);
    while (rest != NULL) {
        char *item = strsep(&rest, ",");
        expect(count < COLUMNS_MAX);
        instar_value *v = &values[count];
        *v = (instar_value){.type = INSTAR_NULL};
        if (strcmp(item, "null") != 0) {
            ok(instar_value_parse(instar_projection_type(p, count), item, strlen(item),
                                  list->bytes + (item - list->text), strlen(item) + 1, v));
        }
        count++;
    }
    expect_u64(count, instar_projection_count(p));
    return count;
}

int alters_insert_in(instar_txn *txn, instar_projection *p, const char *row)
{
    instar_value values[COLUMNS_MAX];
    struct row_text list;

    parse_row(p, row, &list, values);
    return instar_insert(txn, p, values);
}

int alters_update_in(instar_txn *txn, instar_projection *p, int64_t key, const char *row)
{
    instar_value values[COLUMNS_MAX];
    instar_value k = {.type = INSTAR_INT8, .i = key};
    struct row_text list;

    parse_row(p, row, &list, values);
    return instar_update(txn, p, &k, values);
}

struct write {
    instar_projection *p;
    const char *row;
    int64_t key;
    bool update;
};

static int write_row(instar_txn *txn, void *arg)
{
    const struct write *w = arg;

    return w->update ? alters_update_in(txn, w->p, w->key, w->row)
                     : alters_insert_in(txn, w->p, w->row);
}

int alters_insert(instar *db, const char *table, const char *columns, const char *row)
{
    struct write w = {.p = alters_projection(db, table, columns), .row = row};
    int rc = instar_run(db, INSTAR_TXN_ASYNC, write_row, &w);

    instar_projection_free(w.p);
    return rc;
}

int alters_update(instar *db, const char *table, const char *columns, int64_t key, const char *row)
{
    struct write w = {
        .p = alters_projection(db, table, columns), .row = row, .key = key, .update = true};
    int rc = instar_run(db, INSTAR_TXN_ASYNC, write_row, &w);

    instar_projection_free(w.p);
    return rc;
}

static FILE *open_text(char **text)
{
    static size_t size;

    free(*text);
    *text = NULL;
    FILE *f = open_memstream(text, &size);
    expect(f != NULL);
    return f;
}

static void print_value(FILE *f, const instar_value *v)
{
    char text[256];

    instar_value_format(v, text, sizeof(text));
    fprintf(f, "%s", v->type == INSTAR_NULL ? "null" : text);
}

const char *alters_rows_in(instar_txn *txn, instar_projection *p)
{
    static _Thread_local char *last;
    FILE *f = open_text(&last);
    instar_value values[COLUMNS_MAX];
    instar_cursor *cursor;
    int rc;

    ok(instar_scan(txn, p, NULL, &cursor));
    for (bool first = true; (rc = instar_cursor_next(cursor, values)) == 0; first = false) {
        fprintf(f, "%s", first ? "" : ";");
        for (size_t i = 0; i < instar_projection_count(p); i++) {
            fprintf(f, "%s", i == 0 ? "" : ",");
            print_value(f, &values[i]);
        }
    }
    fails(rc, INSTAR_END);
    instar_cursor_close(cursor);
    (void)fclose(f);
    return last;
}

const char *alters_rows(instar *db, const char *table, const char *columns)
{
    instar_projection *p = alters_projection(db, table, columns);
    instar_txn *txn;

    ok(instar_begin(db, INSTAR_TXN_READONLY, &txn));
    const char *rows = alters_rows_in(txn, p);
    instar_abort(txn);
    instar_projection_free(p);
    return rows;
}

static int print_table(void *arg, const instar_table_info *info)
{
    FILE *f = arg;

    for (size_t i = 0; i < info->column_count; i++) {
        const instar_column_info *c = &info->columns[i];
        char type[48];
        instar_type_format(c->type, c->length_max, type, sizeof(type));
        fprintf(f, "%s%s %s%s%s", i == 0 ? "" : "; ", c->name, type, c->not_null ? " not null" : "",
                c->enforcing ? " enforcing" : "");
        if (c->type_coming != INSTAR_NULL) {
            instar_type_format(c->type_coming, c->length_coming, type, sizeof(type));
            fprintf(f, " becoming %s", type);
        }
        if (c->has_default) {
            fprintf(f, " default ");
            print_value(f, &c->default_value);
        }
    }
    for (size_t i = 0; i < info->check_count; i++) {
        const instar_check_info *c = &info->checks[i];
        fprintf(f, "; check %s (%s)%s%s", c->name, c->expression, c->valid ? "" : " not valid",
                c->enforcing ? " enforcing" : "");
    }
    return 0;
}

const char *alters_schema(instar *db, const char *table)
{
    static _Thread_local char *last;
    FILE *f = open_text(&last);

    ok(instar_table_list(db, table, print_table, f));
    (void)fclose(f);
    return last;
}

instar_change_info alters_failure(instar *db, const char *table, const char *text)
{
    instar_change_info info;
    uint64_t change;

    ok(alters_submit(db, table, text, NULL, &change));
    scene_await(db, change, INSTAR_EFAILED, &info);
    return info;
}

void alters_await_late_writer(const struct alters_late *late)
{
    struct test_child runner;
    instar_change_info info;
    instar_txn *txn;
    uint64_t change;

    scene_runner(&runner);
    instar *db = scene_open_t(INSTAR_OPEN_NO_RUNNER, 3);
    instar_projection *p = alters_projection(db, "t", "a,b");
    ok(instar_begin(db, 0, &txn));
    ok(alters_insert_in(txn, p, late->row));
    if (late->first != NULL) {
        ok(alters_run(db, "t", late->first));
    }
    ok(alters_submit(db, "t", late->steps, NULL, &change));
    scene_await_waiting(db, change, late->stage, &info);
    ok(instar_commit(txn));
    scene_await(db, change, INSTAR_EFAILED, &info);
    expect(strstr(info.reason, "row (a=4)") != NULL);
    if (late->later != NULL) {
        ok(alters_insert(db, "t", "a,b", late->later));
    }
    instar_projection_free(p);
    dbs_end(db);
    scene_runner_end(&runner);
}
