/* SPDX-License-Identifier: Apache-2.0 */
/* What EXPLAIN says of statements about several tables as one change. */
#include "ddl/explain_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The table that a part names; NULL: it goes by an index. */
static const char *table_of(const instar_sql_statement *part)
{
    return part->verb == INSTAR_SQL_CREATE_INDEX ? part->index->table
           : part->verb == INSTAR_SQL_DROP_INDEX || part->verb == INSTAR_SQL_RENAME_INDEX ||
                   part->verb == INSTAR_SQL_COMMENT_INDEX
               ? NULL
               : part->name;
}

/* Is it another name of one table, by a rename among the parts before? */
static bool same_table(const instar_sql_statement *a, const instar_sql_statement *b)
{
    const char *one = table_of(a), *other = table_of(b);

    return one == NULL || other == NULL || strcmp(one, other) == 0 ||
           (a->verb == INSTAR_SQL_ALTER_TABLE && strcmp(ddl_name_after(a), other) == 0);
}

bool ddl_is_several(const instar_sql_statement *s)
{
    bool several = false;

    for (size_t i = 0; i < s->part_count; i++) {
        enum instar_sql_verb verb = s->parts[i]->verb;
        several = several || verb == INSTAR_SQL_CREATE_TABLE || verb == INSTAR_SQL_DROP_TABLE ||
                  (i > 0 && !same_table(s->parts[i - 1], s->parts[i]));
    }
    return several;
}

static bool makes(const instar_sql_statement *s, const char *table)
{
    for (size_t i = 0; table != NULL && i < s->part_count; i++) {
        if (s->parts[i]->verb == INSTAR_SQL_CREATE_TABLE && strcmp(s->parts[i]->name, table) == 0) {
            return true;
        }
    }
    return false;
}

/* Must a new table be known to writers before it has its name? */
static bool hides(const instar_sql_statement *s, const instar_sql_statement *part)
{
    bool own = makes(s, table_of(part)), any = false;

    for (size_t i = 0; part->verb == INSTAR_SQL_CREATE_TABLE && i < part->table->fkey_count; i++) {
        any = any || !makes(s, part->table->fkeys[i].parent);
    }
    for (size_t i = 0; i < part->step_count; i++) {
        const instar_fkey_def *fkey = part->steps[i].fkey;
        any = any || (part->steps[i].kind == INSTAR_ALTER_ADD_FOREIGN_KEY &&
                      makes(s, fkey->parent) != own);
    }
    return any;
}

struct parts {
    size_t made, dropped, remade;
    bool hides;
    uint64_t rows; /* of the tables that are altered, at most */
    struct needs needs;
};

/* What one part needs of the table that it is about. */
static int look_at(instar *db, const instar_sql_statement *s, const instar_sql_statement *part,
                   struct parts *p, struct needs *own)
{
    struct found found = {.name = part->name, .statement = part};
    instar_estimate cost = {.rows = 0};

    p->made += part->verb == INSTAR_SQL_CREATE_TABLE;
    p->dropped += part->verb == INSTAR_SQL_DROP_TABLE;
    p->hides = p->hides || hides(s, part);
    if (makes(s, table_of(part))) {
        return INSTAR_OK; /* it has no rows */
    }
    found.from = part->index != NULL ? part->index->table : NULL;
    int rc = instar_table_list(db, NULL, ddl_look, &found);
    ddl_add_need(own, part);
    if (rc == INSTAR_OK && part->verb == INSTAR_SQL_ALTER_TABLE) {
        rc = ddl_explain_cost(db, part, &cost);
        rc = rc == INSTAR_EUNKNOWN ? INSTAR_OK : rc; /* by then it has that name */
        own->rows = own->rows || found.rechecks;
        own->loses = found.loses;
        own->drops += found.uniques_dropped + cost.remade;
        own->builds += found.indexes_needed + cost.remade;
        own->unique += cost.remade_unique;
        p->remade += cost.remade;
    }
    p->rows = part->verb != INSTAR_SQL_DROP_TABLE && found.rows > p->rows ? found.rows : p->rows;
    return rc;
}

/* What the parts need that are about the table of the first of them; they are taken. */
static void gather(const instar_sql_statement *s, size_t first, struct needs *own, bool *taken,
                   struct needs *all)
{
    const char *table = table_of(s->parts[first]);
    struct needs n = {.builds = 0};

    for (size_t i = first; i < s->part_count; i++) {
        const char *other = table_of(s->parts[i]);
        bool same = i == first || (table != NULL && other != NULL && strcmp(table, other) == 0);
        if (same && !taken[i]) {
            taken[i] = true;
            n.builds += own[i].builds;
            n.unique += own[i].unique;
            n.drops += own[i].drops;
            n.rows = n.rows || own[i].rows;
            n.leaves = n.leaves || own[i].leaves;
            n.loses = n.loses || own[i].loses;
        }
    }
    ddl_settle_types(&n);
    all->builds += n.builds;
    all->unique += n.unique;
    all->drops += n.drops;
    all->rows = all->rows || n.rows;
    all->leaves = all->leaves || n.leaves;
    all->loses = all->loses || n.loses;
}

/* Table by table: what is validated before an index is built depends on whether there is one. */
static int look_at_all(instar *db, const instar_sql_statement *s, struct parts *p)
{
    struct needs *own = ddl_calloc(s->part_count, sizeof(*own));
    bool *taken = ddl_calloc(s->part_count, sizeof(*taken));
    int rc = own != NULL && taken != NULL ? INSTAR_OK : INSTAR_ENOMEM;

    for (size_t i = 0; rc == INSTAR_OK && i < s->part_count; i++) {
        rc = look_at(db, s, s->parts[i], p, &own[i]);
    }
    for (size_t i = 0; rc == INSTAR_OK && i < s->part_count; i++) {
        if (!taken[i]) {
            gather(s, i, own, taken, &p->needs);
        }
    }
    free(own);
    free(taken);
    return rc;
}

void ddl_tell_several(struct telling *t, instar *db, const instar_sql_statement *s)
{
    uint32_t wait_ms = s->options->fence_after_ms;
    struct parts p = {.made = 0};
    int rc = look_at_all(db, s, &p);
    int step = 0;

    if (rc != INSTAR_OK) {
        ddl_tell(t, "note: %s", ddl_reason(rc));
    }
    ddl_tell(t,
             "%zu statements about several tables: %zu made, %zu dropped; at most about %" PRIu64
             " rows in one that is altered, none is rewritten",
             s->part_count, p.made, p.dropped, p.rows);
    if (p.remade > 0) {
        ddl_tell(t, "%zu index%s of a column that changes its type, made anew beside the old",
                 p.remade, p.remade == 1 ? "" : "es");
    }
    ddl_tell_foreseen(t, &p.needs, wait_ms, &step);
    if (p.hides) {
        ddl_tell(t,
                 "%d. absent: publish new tables, without names yet, to the writers of those that "
                 "they refer to; wait for transactions on the version before, at most %" PRIu32
                 " ms",
                 ++step, wait_ms);
    }
    ddl_tell_going_up(t, &p.needs, wait_ms, &step);
    ddl_tell(t,
             "%d. public: publish the next version of every table in one commit, wait for "
             "transactions on the versions before the last, at most %" PRIu32
             " ms; no way back from here on",
             ++step, wait_ms);
    if (p.needs.drops + p.dropped > 0) {
        ddl_tell(t, "%d. delete-only, absent: publish what is dropped, wait each time as before",
                 ++step);
    } else if (p.needs.leaves) {
        ddl_tell(t, "%d. retired: wait as before; then old names and dropped columns are gone",
                 ++step);
    }
    if (p.needs.drops + p.dropped > 0) {
        ddl_tell(t, "%d. purge: give the space back; no row is read", ++step);
    }
}
