/* SPDX-License-Identifier: Apache-2.0 */
/* An operation in a store of its own, and who works beside it. */
#include "ddl/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/sqls.h"

/* The key of a row that does not stay. */
#define OFFENDER 2900

static const struct world_schema *now(const struct scene *s)
{
    return &s->world->schema[s->side];
}

static int add_names(void *arg, const instar_table_info *info);

/* ---- making it ----------------------------------------------------------------------------- */

/* NULL: the reader refuses it, in these words. */
static instar_sql *read_sql(const char *text, instar_sql_error *error)
{
    instar_sql *sql = NULL;

    (void)instar_sql_read(text, strlen(text), NULL, &sql, error);
    return sql;
}

/* Rows of these keys, by the schema that is seen. */
static void fill(struct scene *s, int table, int64_t from, int64_t to)
{
    struct scene_actor x;

    scene_actor_begin(s, &x, s->side);
    for (int64_t a = from; a <= to; a++) {
        ok(scene_write_row(s, &x, table, &(struct scene_write){SCENE_INSERT, a, 0, 0}));
        world_insert(s->world, s->side, table, a, 0, false);
    }
    ok(instar_commit(x.txn));
    scene_actor_close(&x);
}

/* A new table has rows at once; others get one more with each statement, so that there are some of
 * every layout. */
static void fill_after(struct scene *s, const instar_sql_statement *statement)
{
    const struct world_schema *schema = &s->world->schema[WORLD_BEFORE];
    bool made = statement->verb == INSTAR_SQL_CREATE_TABLE;

    for (int id = 1; id <= (int)schema->table_count; id++) {
        if (made && id == (int)schema->table_count) {
            fill(s, id, 1, WORLD_FIRST_ROWS);
        } else if (world_table(schema, id) != NULL) {
            fill(s, id, 20 + schema->statements, 20 + schema->statements);
        }
    }
}

static void prepare(struct scene *s, const char *text)
{
    instar_sql_error error;
    instar_sql *sql = read_sql(text, &error);

    if (sql == NULL) {
        test_fail(__FILE__, __LINE__, "%s: %s", text, error.text);
    }
    for (size_t i = 0; i < instar_sql_count(sql); i++) {
        const instar_sql_statement *statement = instar_sql_at(sql, i);
        if (instar_sql_submit(s->db, sql, i, &s->before_it, &error) != INSTAR_OK) {
            test_fail(__FILE__, __LINE__, "%s: %s", text, error.text);
        }
        ok(instar_change_wait(s->db, s->before_it, TEST_AWAIT_S * 1000, NULL));
        world_change(s->world, statement);
        world_settle(s->world);
        fill_after(s, statement);
    }
    instar_sql_free(sql);
}

/* The text with a change's number in it. */
static void put_number(const char *text, uint64_t number, char *out, size_t size)
{
    const char *at = strstr(text, "%llu");
    int before = at != NULL ? (int)(at - text) : (int)strlen(text);

    if (at == NULL) {
        (void)snprintf(out, size, "%s", text);
    } else {
        (void)snprintf(out, size, "%.*s%llu%s", before, text, (unsigned long long)number, at + 4);
    }
}

void scene_make(struct scene *s, const struct operation *o)
{
    char table[] = OPERATIONS_TABLE;
    char *key = strstr(table, " PRIMARY KEY");

    *s = (struct scene){.operation = o, .world = world_shared(), .base = 100};
    test_remove(dbs_path());
    if (o->keyless) {
        (void)memset(key, ' ', strlen(" PRIMARY KEY"));
    }
    s->db = dbs_open(0);
    prepare(s, table);
    if (o->setup != NULL) {
        prepare(s, o->setup);
    }
    ok(instar_close(s->db));
    steps_begin(&s->steps);
    s->db = dbs_open(INSTAR_OPEN_NO_RUNNER);
    put_number(o->sql, s->before_it, s->sql, sizeof(s->sql));
    instar_sql *sql = read_sql(s->sql, &(instar_sql_error){.code = 0});
    if (sql != NULL) {
        world_change(s->world, instar_sql_at(sql, 0));
    }
    instar_sql_free(sql);
    (void)snprintf(s->before, sizeof(s->before), "%s", sqls_schema(s->db, NULL));
    ok(instar_table_list(s->db, NULL, add_names, s->names));
}

int scene_try(struct scene *s, const char *text)
{
    instar_sql_error error;
    instar_sql *sql = read_sql(text, &error);
    int rc = sql != NULL ? instar_sql_submit(s->db, sql, 0, &s->change, &error) : error.code;

    (void)snprintf(s->words, sizeof(s->words), "%s", error.text);
    instar_sql_free(sql);
    return rc;
}

void scene_submit(struct scene *s)
{
    if (scene_try(s, s->sql) != INSTAR_OK) {
        test_fail(__FILE__, __LINE__, "%s: %s", s->sql, s->words);
    }
}

enum steps_event scene_next(struct scene *s)
{
    return steps_next(&s->steps, s->db, s->change);
}

int scene_finish(struct scene *s, bool working, instar_change_info *info)
{
    enum steps_event event;

    *info = (instar_change_info){.id = s->change};
    if (s->change == 0) {
        return INSTAR_OK; /* there was nothing to do */
    }
    if (!working) {
        steps_free(&s->steps);
    }
    while ((event = scene_next(s)) != STEPS_ENDED) {
        if (working) {
            scene_work(s, event);
        }
        if (event == STEPS_WAITING) {
            scene_old_end(s);
        }
    }
    return instar_change_wait(s->db, s->change, TEST_AWAIT_S * 1000, info);
}

/* ---- looking ------------------------------------------------------------------------------- */

struct comparison {
    const struct world_schema *schema;
    size_t tables;
    bool same;
};

static bool same_column(const struct world_column *c, const instar_column_info *info)
{
    char value[WORLD_VALUE] = "null";

    if (info->has_default) {
        (void)instar_value_format(&info->default_value, value, sizeof(value));
    }
    return strcmp(c->name, info->name) == 0 && c->type == info->type &&
           c->length_max == info->length_max && strcmp(c->otherwise, value) == 0;
}

static bool same_key(const struct world_table *t, const instar_table_info *info)
{
    if (t->key_count == 0) {
        return info->key_count == 1 && strcmp(info->key[0].name, INSTAR_ROW_ID) == 0;
    }
    bool same = info->key_count == t->key_count;
    for (size_t i = 0; same && i < t->key_count; i++) {
        same = strcmp(world_column(t, t->key[i])->name, info->key[i].name) == 0;
    }
    return same;
}

static int compare_table(void *arg, const instar_table_info *info)
{
    struct comparison *c = arg;
    size_t column = 0;

    c->tables++;
    for (size_t i = 0; i < c->schema->table_count; i++) {
        const struct world_table *t = &c->schema->tables[i];
        if (t->dropped != 0 || strcmp(t->name, info->name) != 0) {
            continue;
        }
        for (size_t k = 0; k < t->column_count; k++) {
            if (t->columns[k].dropped == 0) {
                c->same = c->same && column < info->column_count &&
                          same_column(&t->columns[k], &info->columns[column]);
                column++;
            }
        }
        c->same = c->same && column == info->column_count && same_key(t, info);
        return 0;
    }
    c->same = false;
    return 0;
}

static bool is_like(struct scene *s, size_t side)
{
    struct comparison c = {.schema = &s->world->schema[side], .same = true};
    size_t tables = 0;

    ok(instar_table_list(s->db, NULL, compare_table, &c));
    for (size_t i = 0; i < c.schema->table_count; i++) {
        tables += c.schema->tables[i].dropped == 0;
    }
    return c.same && c.tables == tables;
}

static int first_difference(struct scene *s, struct scene_actor *x)
{
    const struct world_schema *schema = &s->world->schema[x->side];

    for (int id = 1; id <= (int)schema->table_count; id++) {
        if (world_table(schema, id) == NULL) {
            continue;
        }
        char *seen = scene_read(x, id);
        char *wanted = world_rows(s->world, x->side, id);
        bool same = strcmp(seen, wanted) == 0;
        free(seen);
        free(wanted);
        if (!same) {
            return id;
        }
    }
    return 0;
}

static bool reads_like(struct scene *s, size_t side)
{
    struct scene_actor x;

    scene_actor_begin(s, &x, side);
    int table = first_difference(s, &x);
    instar_abort(x.txn);
    scene_actor_close(&x);
    return table == 0;
}

size_t scene_look_side(struct scene *s)
{
    bool before = is_like(s, WORLD_BEFORE), after = is_like(s, WORLD_AFTER);
    size_t side = after && !before ? WORLD_AFTER : WORLD_BEFORE;

    if (!before && !after) {
        test_fail(__FILE__, __LINE__, "%s, %s: half of it is seen:\n%s", s->operation->name,
                  s->steps.point, sqls_schema(s->db, NULL));
    }
    if (before && after) { /* only rows can tell */
        side = reads_like(s, s->side) ? s->side : 1 - s->side;
    }
    if (side < s->side) {
        world_fall_back(s->world);
    }
    s->alike = before && after;
    s->side = side;
    return side;
}

static int print_finding(void *arg, const instar_finding *finding)
{
    (void)arg;
    fprintf(stderr, "finding: %s\n", finding->text);
    return 0;
}

void scene_check(struct scene *s)
{
    struct scene_actor x;

    scene_actor_begin(s, &x, s->side);
    int table = first_difference(s, &x);
    if (table != 0) {
        test_fail(__FILE__, __LINE__, "%s, %s: rows are\n%snot\n%s", s->operation->name,
                  s->steps.point, scene_read(&x, table), world_rows(s->world, s->side, table));
    }
    instar_abort(x.txn);
    scene_actor_close(&x);
    int rc = instar_check(s->db, print_finding, NULL, NULL);
    if (rc != INSTAR_OK) {
        test_fail(__FILE__, __LINE__, "%s, %s: %s", s->operation->name, s->steps.point,
                  instar_error_text());
    }
}

/* ---- work beside it ------------------------------------------------------------------------ */

/* What rows break, writers are refused, too, for as long as it is enforced. */
static bool is_refused(struct scene *s, int rc)
{
    s->refused += rc != INSTAR_OK;
    if (rc != INSTAR_OK && rc != s->operation->error) {
        test_fail(__FILE__, __LINE__, "%s, %s: %s", s->operation->name, s->steps.point,
                  instar_error_text());
    }
    return rc != INSTAR_OK;
}

/* Does it, and ends the transaction: false, and it is gone, when it was refused. */
static bool write_rows(struct scene *s, struct scene_actor *x, int table,
                       const struct scene_write *writes, size_t count)
{
    int rc = INSTAR_OK;

    for (size_t i = 0; rc == INSTAR_OK && i < count; i++) {
        rc = scene_write_row(s, x, table, &writes[i]);
    }
    if (rc == INSTAR_OK) {
        rc = instar_commit(x->txn);
    } else {
        instar_abort(x->txn);
    }
    return !is_refused(s, rc);
}

void scene_tell(struct scene *s, size_t side, int table, const struct scene_write *writes,
                size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct scene_write *w = &writes[i];
        if (w->verb == SCENE_UPDATE) {
            world_update(s->world, side, table, w->a, w->to, w->version);
        } else if (w->verb == SCENE_DELETE) {
            world_delete(s->world, table, w->a);
        } else {
            world_insert(s->world, side, table, w->a, w->version, w->verb == SCENE_INSERT_BRIEF);
        }
    }
}

/* In a transaction of its own. */
static bool write_now(struct scene *s, int table, const struct scene_write *writes, size_t count)
{
    struct scene_actor x;

    scene_actor_begin(s, &x, s->side);
    bool done = write_rows(s, &x, table, writes, count);
    scene_actor_close(&x);
    if (done) {
        scene_tell(s, s->side, table, writes, count);
    }
    return done;
}

/* Somebody who begins now. Each row is written at one point only, but for rows 5 and 7, so that
 * nothing that a later write mends stays unseen. Version 3 has the same d as
 * version 0: an index on that alone keeps its key then. */
static void write_table(struct scene *s, int table)
{
    int64_t a = s->base;
    int version = (int)(a / 20 % 2) * 3;
    const struct scene_write first[] = {{SCENE_INSERT, a, 0, 0},
                                        {SCENE_INSERT, a + 1, 0, 0},
                                        {SCENE_INSERT_BRIEF, a + 2, 0, 0},
                                        {SCENE_INSERT, a + 4, 0, 0}};
    const struct scene_write second[] = {
        {SCENE_UPDATE, a, a, 3}, {SCENE_UPDATE, a + 1, a + 3, 1}, {SCENE_DELETE, a + 4, 0, 0}};
    const struct scene_write third[] = {{SCENE_DELETE, a + 3, 0, 0}, {SCENE_INSERT, a + 3, 0, 2}};
    const struct scene_write of_before[] = {{SCENE_UPDATE, 5, 5, version},
                                            {SCENE_UPDATE, 7, 7, version * 4}}; /* e stays null */

    if (write_now(s, table, first, BASE_ARRAY_LEN(first)) &&
        write_now(s, table, second, BASE_ARRAY_LEN(second))) {
        expect(write_now(s, table, third, BASE_ARRAY_LEN(third)));
    }
    if (world_find(s->world, table, 5) != NULL) {
        (void)write_now(s, table, &of_before[0], 1);
        (void)write_now(s, table, &of_before[1], 1);
    }
}

/* A table that the change has made has rows at once, as those of the setup. Others may refer to
 * them. */
static void fill_new(struct scene *s)
{
    for (int id = 1; id <= (int)now(s)->table_count; id++) {
        if (world_table(now(s), id) != NULL && world_find(s->world, id, 1) == NULL) {
            fill(s, id, 1, WORLD_FIRST_ROWS);
        }
    }
}

void scene_write(struct scene *s)
{
    fill_new(s);
    for (int id = 1; id <= (int)now(s)->table_count; id++) {
        if (world_table(now(s), id) != NULL) {
            write_table(s, id);
        }
    }
}

/* It ended, or came to nothing. */
static void old_forget(struct scene *s)
{
    for (int id = 1; id <= WORLD_TABLES; id++) {
        free(s->old_rows[id]);
        s->old_rows[id] = NULL;
    }
    instar_abort(s->old.txn);
    instar_abort(s->reader.txn);
    scene_actor_close(&s->reader);
    scene_actor_close(&s->old);
}

void scene_old_begin(struct scene *s)
{
    s->old_base = s->base;
    scene_reader_begin(s, &s->reader, s->side);
    scene_actor_begin(s, &s->old, s->side);
    for (int id = 1; id <= (int)now(s)->table_count; id++) {
        if (world_table(now(s), id) != NULL) {
            s->old_rows[id] = world_rows(s->world, s->side, id);
        }
    }
    /* By its first write it has its lease. */
    const struct scene_write first = {SCENE_INSERT, s->base + 10, 0, 0};
    int rc = INSTAR_OK;
    for (int id = 1; rc == INSTAR_OK && id <= WORLD_TABLES; id++) {
        rc = s->old_rows[id] != NULL ? scene_write_row(s, &s->old, id, &first) : INSTAR_OK;
    }
    if (is_refused(s, rc)) {
        old_forget(s);
    }
}

/* What it does to a table when it goes on, on the version of when it began: the number of writes.
 */
static size_t old_writes(struct scene *s, int table, struct scene_write writes[8])
{
    int64_t a = s->old_base;
    int version = (int)(a / 20 % 2) * 3;
    size_t count = 0;

    writes[count++] = (struct scene_write){SCENE_INSERT_BRIEF, a + 11, 0, 0};
    if (world_find(s->world, table, a + 2) != NULL) {
        writes[count++] = (struct scene_write){SCENE_UPDATE, a, a, 6};
        writes[count++] = (struct scene_write){SCENE_DELETE, a + 2, 0, 0};
    }
    if (world_find(s->world, table, 6) != NULL) {
        writes[count++] = (struct scene_write){SCENE_UPDATE, 6, 6, version};
        writes[count++] = (struct scene_write){SCENE_DELETE, 8, 0, 0};
        writes[count++] = (struct scene_write){SCENE_INSERT, 8, 0, version};
    }
    return count;
}

static void reader_end(struct scene *s, int table)
{
    char *seen = scene_read(&s->reader, table);

    if (strcmp(seen, s->old_rows[table]) != 0) {
        test_fail(__FILE__, __LINE__, "%s, %s: a reader from before sees\n%snot\n%s",
                  s->operation->name, s->steps.point, seen, s->old_rows[table]);
    }
    free(seen);
}

void scene_old_end(struct scene *s)
{
    struct scene_write writes[WORLD_TABLES + 1][8];
    size_t counts[WORLD_TABLES + 1] = {0};
    int rc = INSTAR_OK;

    if (s->old.txn == NULL) {
        return;
    }
    for (int id = 1; id <= WORLD_TABLES; id++) {
        if (s->old_rows[id] != NULL) {
            reader_end(s, id);
            counts[id] = old_writes(s, id, writes[id]);
        }
        for (size_t i = 0; rc == INSTAR_OK && i < counts[id]; i++) {
            rc = scene_write_row(s, &s->old, id, &writes[id][i]);
        }
    }
    if (rc == INSTAR_OK) {
        rc = instar_commit(s->old.txn);
        s->old.txn = NULL;
    }
    bool lost = rc == INSTAR_ECONFLICT && s->operation->rewrites;
    bool done = !lost && !is_refused(s, rc);
    for (int id = 1; id <= WORLD_TABLES; id++) {
        if (done && counts[id] > 0) {
            world_insert(s->world, s->old.side, id, s->old_base + 10, 0, false);
            scene_tell(s, s->old.side, id, writes[id], counts[id]);
        }
    }
    if (s->old.side > s->side) {
        world_fall_back(s->world);
    }
    old_forget(s);
}

void scene_work(struct scene *s, enum steps_event event)
{
    scene_look_side(s);
    scene_write(s);
    if (event == STEPS_AT_POINT) {
        scene_old_end(s);
        scene_check(s);
        scene_old_begin(s);
    } else {
        scene_check(s); /* the one from before holds the change up: it ends last */
    }
    s->base += 20;
}

/* ---- rows that are refused ----------------------------------------------------------------- */

int scene_offend(struct scene *s, const struct world_offence *o)
{
    const struct scene_write insert = {SCENE_INSERT_AS_IS, OFFENDER, 0, 0};
    const struct scene_write delete = {SCENE_DELETE, OFFENDER, 0, 0};
    struct world *w = s->world;
    struct scene_actor x;

    const struct world_table *t = world_table(now(s), o->table);
    if (t == NULL || (o->column >= 0 && world_column(t, o->column) == NULL)) {
        return INSTAR_EUNKNOWN;
    }
    world_insert(w, s->side, o->table, OFFENDER, 0, false);
    struct world_row *row = world_find(w, o->table, OFFENDER);
    const struct world_row *like = world_find(w, o->table, 2);
    for (size_t i = 0; i < t->column_count; i++) {
        const struct world_column *c = &t->columns[i];
        if (c->id == o->column) {
            (void)snprintf(row->values[c->id], WORLD_VALUE, "%s", o->value);
        } else if (o->column < 0 && c->fill != WORLD_KEY) {
            world_value(w, like, s->side, c, row->values[c->id]);
        }
    }
    scene_actor_begin(s, &x, s->side);
    int rc = scene_write_row(s, &x, o->table, &insert);
    if (rc == INSTAR_OK) {
        rc = instar_commit(x.txn);
    } else {
        instar_abort(x.txn);
    }
    scene_actor_close(&x);
    if (rc == INSTAR_OK) {
        scene_actor_begin(s, &x, s->side);
        ok(scene_write_row(s, &x, o->table, &delete));
        ok(instar_commit(x.txn));
        scene_actor_close(&x);
    }
    world_delete(w, o->table, OFFENDER);
    return rc;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* ---- names --------------------------------------------------------------------------------- */

/* Of tables and indexes, each with a blank behind it. */
static int add_names(void *arg, const instar_table_info *info)
{
    char *names = arg;
    size_t used = strlen(names);

    used += (size_t)snprintf(names + used, SCENE_NAMES - used, "%s ", info->name);
    for (size_t i = 0; i < info->index_count; i++) {
        used += (size_t)snprintf(names + used, SCENE_NAMES - used, "%s ", info->indexes[i].name);
    }
    expect(used < SCENE_NAMES);
    return 0;
}

/* What has gone has left its name to others. */
static void expect_free_names(struct scene *s)
{
    char now[SCENE_NAMES] = " ", before[SCENE_NAMES];
    char *rest = NULL;

    ok(instar_table_list(s->db, NULL, add_names, now));
    (void)snprintf(before, sizeof(before), "%s", s->names);
    for (char *name = strtok_r(before, " ", &rest); name != NULL;
         name = strtok_r(NULL, " ", &rest)) {
        char word[WORLD_NAME + 8], text[3 * WORLD_NAME];
        (void)snprintf(word, sizeof(word), " %s ", name);
        if (strstr(now, word) == NULL) {
            (void)snprintf(text, sizeof(text), "CREATE TABLE %s (a int8); DROP TABLE %s", name,
                           name);
            steps_free(&s->steps);
            steps_help(&s->steps);
            if (sqls_run(s->db, text) != INSTAR_OK) {
                test_fail(__FILE__, __LINE__, "%s: %s", s->operation->name, sqls_words());
            }
        }
    }
}

void scene_expect(struct scene *s, bool done)
{
    scene_old_end(s);
    scene_look_side(s);
    if (done && !is_like(s, WORLD_AFTER)) {
        test_fail(__FILE__, __LINE__, "%s: the schema is\n%s", s->operation->name,
                  sqls_schema(s->db, NULL));
    }
    if (!done && strcmp(sqls_schema(s->db, NULL), s->before) != 0) {
        test_fail(__FILE__, __LINE__, "%s: the schema is\n%snot\n%s", s->operation->name,
                  sqls_schema(s->db, NULL), s->before);
    }
    scene_check(s);
    scene_write(s);
    s->base += 20;
    scene_check(s);
    if (done) {
        expect_free_names(s);
    }
}

void scene_close(struct scene *s)
{
    ok(instar_close(s->db));
    steps_end(&s->steps);
    world_unshare(s->world);
}
