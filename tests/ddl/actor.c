/* SPDX-License-Identifier: Apache-2.0 */
/* A transaction that writes rows by their keys, with the names of the version that it began on. */
#include "ddl/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 3000

static instar_projection *prepare(instar *db, const struct world_table *t, bool brief,
                                  const char *more)
{
    char names[WORLD_COLUMNS * WORLD_NAME];
    const char *list[WORLD_COLUMNS + 1];
    instar_projection *p;
    size_t count = 0;

    world_columns(t, brief, names, sizeof(names));
    for (char *rest = names; rest != NULL;) {
        list[count++] = strsep(&rest, ",");
    }
    if (more != NULL) {
        list[count++] = more;
    }
    ok(instar_projection_prepare(db, t->name, list, count, NULL, &p));
    return p;
}

/* What is in column a, which may be of another type by then. */
static int64_t key_of(const instar_value *value)
{
    char text[32] = "";

    if (value->type != INSTAR_TEXT) {
        return value->i;
    }
    memcpy(text, value->bytes.data,
           value->bytes.size < sizeof(text) ? value->bytes.size : sizeof(text) - 1);
    return strtoll(text, NULL, 10);
}

/* The row ids of all rows that it sees. */
static int64_t *take_ids(instar *db, struct scene_actor *x, const struct world_table *t)
{
    instar_projection *p = prepare(db, t, false, INSTAR_ROW_ID);
    int64_t *ids = calloc(KEYS_MAX, sizeof(*ids));
    instar_value values[WORLD_COLUMNS + 1];
    instar_cursor *cursor;

    expect(ids != NULL);
    ok(instar_scan(x->txn, p, NULL, &cursor));
    while (instar_cursor_next(cursor, values) == INSTAR_OK) {
        int64_t a = key_of(&values[0]);
        expect(a >= 0 && a < KEYS_MAX);
        ids[a] = values[instar_projection_count(p) - 1].i;
    }
    instar_cursor_close(cursor);
    instar_projection_free(p);
    return ids;
}

static void begin(struct scene *s, struct scene_actor *actor, size_t side, unsigned flags)
{
    const struct world_schema *schema = &s->world->schema[side];

    *actor = (struct scene_actor){.side = side};
    ok(instar_begin(s->db, flags, &actor->txn));
    for (int id = 1; id <= (int)schema->table_count; id++) {
        const struct world_table *t = world_table(schema, id);
        if (t == NULL) {
            continue;
        }
        actor->all[id] = prepare(s->db, t, false, NULL);
        actor->brief[id] = prepare(s->db, t, true, NULL);
        actor->ids[id] = t->key_count == 0 ? take_ids(s->db, actor, t) : NULL;
    }
}

void scene_actor_begin(struct scene *s, struct scene_actor *actor, size_t side)
{
    /* What it scans must not make it conflict: keys are what this is about. */
    begin(s, actor, side, INSTAR_TXN_SNAPSHOT);
}

void scene_reader_begin(struct scene *s, struct scene_actor *actor, size_t side)
{
    begin(s, actor, side, INSTAR_TXN_READONLY);
}

void scene_actor_close(struct scene_actor *actor)
{
    for (int id = 0; id <= WORLD_TABLES; id++) {
        instar_projection_free(actor->all[id]);
        instar_projection_free(actor->brief[id]);
        free(actor->ids[id]);
    }
    *actor = (struct scene_actor){.txn = NULL};
}

struct values {
    char texts[WORLD_COLUMNS][WORLD_VALUE];
    instar_value values[WORLD_COLUMNS];
    size_t count;
};

static int add_value(struct values *v, enum instar_type type, const char *text)
{
    char *own = v->texts[v->count];
    instar_value *value = &v->values[v->count++];

    (void)snprintf(own, WORLD_VALUE, "%s", text);
    *value = (instar_value){.type = INSTAR_NULL};
    return strcmp(own, "null") == 0 ? INSTAR_OK
                                    : instar_value_parse(type, own, strlen(own), NULL, 0, value);
}

/* What an insert is to hold, or what an update makes of the row. */
static int add_row(struct scene *s, const struct scene_actor *x, int table,
                   const struct scene_write *w, struct values *v)
{
    const struct world_table *t = world_table(&s->world->schema[x->side], table);
    const struct world_row *row =
        w->verb == SCENE_INSERT_AS_IS ? world_find(s->world, table, w->a) : NULL;
    int rc = INSTAR_OK;

    v->count = 0;
    for (size_t i = 0; rc == INSTAR_OK && i < t->column_count; i++) {
        const struct world_column *c = &t->columns[i];
        char text[WORLD_VALUE];
        if (c->dropped != 0 ||
            (w->verb == SCENE_INSERT_BRIEF && strcmp(c->otherwise, "null") != 0)) {
            continue;
        }
        if (row != NULL) {
            world_value(s->world, row, x->side, c, text);
        } else {
            world_fill_value(c, w->verb == SCENE_UPDATE ? w->to : w->a, w->version, text);
        }
        rc = add_value(v, c->type, text);
    }
    return rc;
}

static void add_key(struct scene *s, struct scene_actor *x, int table, int64_t a, struct values *v)
{
    const struct world_table *t = world_table(&s->world->schema[x->side], table);
    const struct world_row *row = world_find(s->world, table, a);

    v->count = 0;
    if (t->key_count == 0) {
        v->values[v->count++] = (instar_value){.type = INSTAR_INT8, .i = x->ids[table][a]};
    }
    for (size_t i = 0; i < t->key_count; i++) {
        const struct world_column *c = world_column(t, t->key[i]);
        char text[WORLD_VALUE];
        expect(row != NULL);
        world_value(s->world, row, x->side, c, text);
        ok(add_value(v, c->type, text));
    }
}

static int insert(struct scene *s, struct scene_actor *x, int table, const struct scene_write *w)
{
    bool brief = w->verb == SCENE_INSERT_BRIEF;
    struct values row;
    int rc = add_row(s, x, table, w, &row);

    if (rc == INSTAR_OK) {
        rc = instar_insert(x->txn, brief ? x->brief[table] : x->all[table], row.values);
    }
    if (rc == INSTAR_OK && x->ids[table] != NULL) {
        ok(instar_row_id(x->txn, &x->ids[table][w->a]));
    }
    return rc;
}

int scene_write_row(struct scene *s, struct scene_actor *x, int table, const struct scene_write *w)
{
    struct values key, row;

    if (w->verb == SCENE_INSERT || w->verb == SCENE_INSERT_BRIEF || w->verb == SCENE_INSERT_AS_IS) {
        return insert(s, x, table, w);
    }
    add_key(s, x, table, w->a, &key);
    if (w->verb == SCENE_DELETE) {
        return instar_delete(x->txn, x->all[table], key.values);
    }
    int rc = add_row(s, x, table, w, &row);
    return rc != INSTAR_OK ? rc : instar_update(x->txn, x->all[table], key.values, row.values);
}

char *scene_read(struct scene_actor *x, int table)
{
    instar_projection *p = x->all[table];
    instar_value values[WORLD_COLUMNS];
    instar_cursor *cursor;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    int rc;

    expect(f != NULL);
    ok(instar_scan(x->txn, p, NULL, &cursor));
    while ((rc = instar_cursor_next(cursor, values)) == INSTAR_OK) {
        for (size_t i = 0; i < instar_projection_count(p); i++) {
            char value[WORLD_VALUE] = "null";
            if (values[i].type != INSTAR_NULL) {
                (void)instar_value_format(&values[i], value, sizeof(value));
            }
            fprintf(f, "%s%s", i > 0 ? "," : "", value);
        }
        fprintf(f, "\n");
    }
    fails(rc, INSTAR_END);
    instar_cursor_close(cursor);
    (void)fclose(f);
    return test_sorted(text, "\n");
}
