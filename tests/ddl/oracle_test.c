/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle: between each two stages of each operation, random statements over few rows, split at
 * random over transactions of both versions, which overlap and commit in any order. After them, at
 * that very stage: each row is what the last who committed left there, and no one wrote a row that
 * he had not seen; each value belongs to a column and is what both schemas make of it; each index
 * has its entries and no others; what is enforced holds. That is, rows are the world's and the
 * checker finds nothing.
 *
 * Half of the runs also write rows that only one of the schemas allows. INSTAR_SEED is another run
 * of everything; INSTAR_DDL_CASE is one operation.
 */
#include "ddl/cases.h"
#include "ddl/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE 4
#define GROUPS 4 /* of rows; transactions of one meet */
#define ROWS 3
#define OLD 2    /* transactions from the version before, of each group */
#define EVENTS 6 /* in a group, at each stage */
#define FIRST 40 /* key */
#define WRITES 64
#define KEEPERS 8

struct player {
    struct scene_actor x; /* txn NULL: it has ended */
    struct world *world;  /* as it sees it */
    struct world *saw;    /* when it began */
    int table;
    int64_t keys[WRITES]; /* that it has written */
    size_t count;
    int64_t first;    /* key of its group */
    uint32_t version; /* of the table when it began */
};

struct game {
    struct scene s;
    struct test_random chance;
    bool wild;
    struct world_offence offences[WORLD_OFFENCES];
    size_t offence_count;
    struct player old[GROUPS][OLD];
    /* They hold up whatever the others hold up, until these have played: the change does not go on
     * under them because the last of them has ended by chance. */
    struct scene_actor keepers[KEEPERS];
    size_t keeper_count;
};

static int64_t below(struct game *g, int64_t limit)
{
    return (int64_t)test_random_below(&g->chance, (uint64_t)limit);
}

static int take_version(void *arg, const instar_table_info *info)
{
    *(uint32_t *)arg = info->version;
    return 0;
}

/* Of a table; 0: it has gone. */
static uint32_t version_of(struct game *g, int table)
{
    const struct world_table *t = world_table(&g->s.world->schema[g->s.side], table);
    uint32_t version = 0;

    if (t != NULL) {
        ok(instar_table_list(g->s.db, t->name, take_version, &version));
    }
    return version;
}

/* ---- one transaction ----------------------------------------------------------------------- */

static void begin(struct game *g, struct player *p, int group)
{
    const struct world_schema *schema = &g->s.world->schema[g->s.side];
    int table = 0;

    *p = (struct player){.first = FIRST + group * ROWS};
    for (int tries = 0; table == 0 && tries < 100; tries++) {
        int id = 1 + (int)below(g, (int64_t)schema->table_count);
        table = world_table(schema, id) != NULL ? id : 0;
    }
    if (table != 0) { /* else all tables are gone */
        scene_actor_begin(&g->s, &p->x, g->s.side);
        p->table = table;
        p->version = version_of(g, table);
        p->world = world_copy(g->s.world);
        p->saw = world_copy(g->s.world);
    }
}

static void leave(struct player *p)
{
    instar_abort(p->x.txn);
    scene_actor_close(&p->x);
    free(p->world);
    free(p->saw);
    *p = (struct player){.table = 0};
}

static void wrote(struct player *p, int64_t a)
{
    expect(p->count < WRITES);
    p->keys[p->count++] = a;
}

/* Is that an answer that a statement or a commit may get? */
static void allowed(struct game *g, const struct player *p, int rc)
{
    static const int codes[] = {INSTAR_ENOT_NULL, INSTAR_ECHECK,          INSTAR_ERANGE,
                                INSTAR_ETYPE,     INSTAR_EUNIQUE,         INSTAR_EREFERENCE,
                                INSTAR_ECONFLICT, INSTAR_ESCHEMA_CHANGED, INSTAR_ESNAPSHOT_TOO_OLD};

    for (size_t i = 0; i < BASE_ARRAY_LEN(codes); i++) {
        if (rc == codes[i]) {
            return;
        }
    }
    const struct world_table *t = world_table(&g->s.world->schema[p->x.side], p->table);
    bool wild_key = false; /* two rows got the same value that one of the schemas does not allow */
    for (size_t i = 0; g->wild && i < g->offence_count; i++) {
        wild_key = wild_key || (g->offences[i].table == p->table && g->offences[i].column == 0);
    }
    if (rc != INSTAR_EEXISTS || t->key_count == 0 || (t->key[0] == 0 && !wild_key)) {
        test_fail(__FILE__, __LINE__, "%s, %s: %s", g->s.operation->name, g->s.steps.point,
                  instar_error_text());
    }
}

static void look(struct game *g, struct player *p)
{
    char *seen = scene_read(&p->x, p->table);
    char *wanted = world_rows(p->world, p->x.side, p->table);

    if (strcmp(seen, wanted) != 0) {
        test_fail(__FILE__, __LINE__, "%s, %s: a transaction sees\n%snot\n%s", g->s.operation->name,
                  g->s.steps.point, seen, wanted);
    }
    free(seen);
    free(wanted);
}

/* A new row, sometimes with a value that one of the schemas does not allow. */
static struct scene_write insertion(struct game *g, struct player *p, int64_t a, int version)
{
    const struct world_table *t = world_table(&p->world->schema[p->x.side], p->table);
    const struct world_offence *o =
        g->offence_count > 0 ? &g->offences[below(g, (int64_t)g->offence_count)] : NULL;

    if (!g->wild || o == NULL || below(g, 8) != 0 || o->table != p->table || o->column < 0 ||
        world_column(t, o->column) == NULL) {
        return (struct scene_write){below(g, 3) == 0 ? SCENE_INSERT_BRIEF : SCENE_INSERT, a, 0,
                                    version};
    }
    world_insert(p->world, p->x.side, p->table, a, version, false);
    (void)snprintf(world_find(p->world, p->table, a)->values[o->column], WORLD_VALUE, "%s",
                   o->value);
    return (struct scene_write){SCENE_INSERT_AS_IS, a, 0, version};
}

/* One statement. */
static void act(struct game *g, struct player *p)
{
    static const int versions[] = {0, 1, 2, 3, 10, 11}; /* the last are values of other rows */
    struct scene view = g->s;
    struct scene_write w = {.a = p->first + below(g, ROWS)};

    if (p->x.txn == NULL || p->count >= WRITES - 2) {
        return;
    }
    if (below(g, 5) == 0) {
        look(g, p);
        return;
    }
    view.world = p->world;
    w.version = versions[below(g, g->wild ? 6 : 4)];
    if (world_find(p->world, p->table, w.a) == NULL) {
        w = insertion(g, p, w.a, w.version);
    } else if (below(g, 4) == 0) {
        w.verb = SCENE_DELETE;
    } else {
        int64_t to = p->first + below(g, ROWS);
        w.verb = SCENE_UPDATE;
        w.to = world_find(p->world, p->table, to) == NULL ? to : w.a;
    }
    int rc = scene_write_row(&view, &p->x, p->table, &w);
    if (rc != INSTAR_OK) {
        allowed(g, p, rc);
        leave(p);
        return;
    }
    if (w.verb != SCENE_INSERT_AS_IS) {
        scene_tell(&view, p->x.side, p->table, &w, 1);
    }
    wrote(p, w.a);
    if (w.verb == SCENE_UPDATE && w.to != w.a) {
        if (p->x.ids[p->table] != NULL) {
            p->x.ids[p->table][w.to] = p->x.ids[p->table][w.a];
        }
        wrote(p, w.to);
    }
}

static bool same_row(const struct world_row *a, const struct world_row *b)
{
    return (a == NULL) == (b == NULL) &&
           (a == NULL || memcmp(a->values, b->values, sizeof(a->values)) == 0);
}

/* It put a row there that was new to it, and took it away again. What a transaction does to a key
 * is netted, and uniqueness is a matter of what is left: so where rows have ids, this is nothing.
 */
static bool is_nothing(const struct player *p, int64_t a)
{
    return world_find(p->world, p->table, a) == NULL && world_find(p->saw, p->table, a) == NULL;
}

/* It commits, or now and then it does not. */
static void end(struct game *g, struct player *p)
{
    if (p->x.txn == NULL || below(g, 10) == 0) {
        leave(p);
        return;
    }
    int rc = instar_commit(p->x.txn);
    p->x.txn = NULL;
    if (rc != INSTAR_OK) {
        allowed(g, p, rc);
    }
    for (size_t i = 0; rc == INSTAR_OK && i < p->count; i++) {
        int64_t a = p->keys[i];
        const struct world_row *now = world_find(g->s.world, p->table, a);
        if (!is_nothing(p, a) && !same_row(now, world_find(p->saw, p->table, a))) {
            test_fail(__FILE__, __LINE__, "%s, %s: row %d was written unseen", g->s.operation->name,
                      g->s.steps.point, (int)a);
        }
    }
    for (size_t i = 0; rc == INSTAR_OK && i < p->count; i++) {
        int64_t a = p->keys[i];
        if (!is_nothing(p, a)) {
            world_take(g->s.world, p->table, a, world_find(p->world, p->table, a));
        }
    }
    if (p->x.side > g->s.side) {
        world_fall_back(g->s.world);
    }
    leave(p);
}

/* ---- all of them --------------------------------------------------------------------------- */

static void end_old(struct game *g)
{
    for (int i = 0; i < GROUPS * OLD; i++) {
        end(g, &g->old[i / OLD][i % OLD]);
    }
    while (g->keeper_count > 0) {
        struct scene_actor *keeper = &g->keepers[--g->keeper_count];
        instar_abort(keeper->txn);
        scene_actor_close(keeper);
    }
}

/* Reads all tables of the version that there is now, while anybody is at work. */
static void keep(struct game *g)
{
    const struct world_schema *schema = &g->s.world->schema[g->s.side];
    bool any = false;

    for (int i = 0; i < GROUPS * OLD; i++) {
        any = any || g->old[i / OLD][i % OLD].x.txn != NULL;
    }
    if (!any || g->keeper_count == KEEPERS) {
        return;
    }
    struct scene_actor *keeper = &g->keepers[g->keeper_count++];
    scene_actor_begin(&g->s, keeper, g->s.side);
    for (int id = 1; id <= (int)schema->table_count; id++) {
        if (world_table(schema, id) != NULL) {
            free(scene_read(keeper, id));
        }
    }
}

/* I-7: whoever has written is at most one version behind. */
static void expect_two_versions(struct game *g)
{
    for (int i = 0; i < GROUPS * OLD; i++) {
        const struct player *p = &g->old[i / OLD][i % OLD];
        uint32_t now = p->count > 0 ? version_of(g, p->table) : 0;
        if (now > p->version + 1) {
            test_fail(__FILE__, __LINE__, "%s, %s: version %u beside version %u",
                      g->s.operation->name, g->s.steps.point, now, p->version);
        }
    }
}

static void play_group(struct game *g, int group)
{
    for (int event = 0; event < EVENTS; event++) {
        struct player *old = &g->old[group][below(g, OLD)];
        int64_t what = below(g, 5);
        if (what < 2) {
            struct player p;
            begin(g, &p, group);
            for (int64_t n = 1 + below(g, 3); n > 0; n--) {
                act(g, &p);
            }
            end(g, &p);
        } else if (what < 4) {
            act(g, old);
        } else {
            end(g, old);
        }
    }
}

/* Half of the time those from before stay on, until the change waits for them. */
static void play_stage(struct game *g, enum steps_event event)
{
    scene_look_side(&g->s);
    expect_two_versions(g);
    for (int group = 0; group < GROUPS; group++) {
        play_group(g, group);
    }
    if (event == STEPS_WAITING) {
        scene_check(&g->s);
        end_old(g); /* nobody holds the change up any more: it goes on */
        return;
    }
    if (below(g, 2) == 0) {
        end_old(g);
    }
    scene_check(&g->s);
    for (int i = 0; i < GROUPS * OLD; i++) {
        struct player *p = &g->old[i / OLD][i % OLD];
        if (p->x.txn == NULL && below(g, 4) != 0) {
            begin(g, p, i / OLD);
            act(g, p);
        }
    }
    keep(g);
}

static void play(const struct operation *o, uint64_t stream)
{
    static const int reasons[] = {INSTAR_EUNIQUE, INSTAR_ENOT_NULL, INSTAR_ECHECK, INSTAR_ERANGE,
                                  INSTAR_EREFERENCE};
    struct game g = {.chance = test_random(stream)};
    struct operation keyed = *o;
    enum steps_event event;
    instar_change_info info;
    bool allowed_to_fail = o->error != 0;

    if (o->keyless || strstr(o->sql, "t_pkey") != NULL) {
        /* Rows are known by a, whatever the key is. */
        keyed.setup = "CREATE UNIQUE INDEX t_a ON t (a)";
    }
    g.wild = below(&g, 2) == 0;
    scene_make(&g.s, &keyed);
    g.offence_count = world_offences(g.s.world, g.offences);
    scene_submit(&g.s);
    while (g.s.change != 0 && (event = scene_next(&g.s)) != STEPS_ENDED) {
        play_stage(&g, event);
    }
    scene_look_side(&g.s);
    for (int group = 0; group < GROUPS; group++) {
        play_group(&g, group);
    }
    end_old(&g);
    int rc = instar_change_wait(g.s.db, g.s.change, TEST_AWAIT_S * 1000, &info);
    for (size_t i = 0; rc == INSTAR_EFAILED && i < BASE_ARRAY_LEN(reasons); i++) {
        allowed_to_fail = allowed_to_fail || info.error == reasons[i];
    }
    if (rc != INSTAR_OK && !(rc == INSTAR_EFAILED && allowed_to_fail)) {
        test_fail(__FILE__, __LINE__, "%s: %s: %s", o->name, instar_error_name(rc), info.reason);
    }
    scene_expect(&g.s, rc == INSTAR_OK);
    scene_close(&g.s);
}

/* The stages of all operations. */
Test(ddl_oracle, any_two_stages_side_by_side, .timeout = 3600)
{
    for (size_t i = 0; i < operations_count; i++) {
        const char *name = operations[i].name;
        if (cases_take(name, SHARE)) {
            play(&operations[i], base_hash64(name, strlen(name), 0));
        }
    }
    cases_end();
}
