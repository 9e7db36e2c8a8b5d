/* SPDX-License-Identifier: Apache-2.0 */
/* What EXPLAIN says of statements about several tables as one change. */
#include "ddl/explain_impl.h"

#include <inttypes.h>
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
    size_t made, dropped;
    bool hides;
    uint64_t rows; /* of the tables that are altered, at most */
    struct needs needs;
};

static int look_at(instar *db, const instar_sql_statement *s, const instar_sql_statement *part,
                   struct parts *p)
{
    struct found found = {.name = part->name, .statement = part};
    int rc = INSTAR_OK;

    p->made += part->verb == INSTAR_SQL_CREATE_TABLE;
    p->dropped += part->verb == INSTAR_SQL_DROP_TABLE;
    p->hides = p->hides || hides(s, part);
    if (makes(s, table_of(part))) {
        return INSTAR_OK; /* it has no rows */
    }
    found.from = part->index != NULL ? part->index->table : NULL;
    rc = instar_table_list(db, NULL, ddl_look, &found);
    ddl_add_need(&p->needs, part);
    if (part->verb == INSTAR_SQL_ALTER_TABLE) {
        p->needs.rows = p->needs.rows || found.narrows;
        p->needs.drops += found.uniques_dropped;
        p->needs.builds += found.indexes_needed;
    }
    p->rows = part->verb != INSTAR_SQL_DROP_TABLE && found.rows > p->rows ? found.rows : p->rows;
    return rc;
}

void ddl_tell_several(struct telling *t, instar *db, const instar_sql_statement *s)
{
    uint32_t wait_ms = s->options->fence_after_ms;
    struct parts p = {.made = 0};
    int step = 0;

    for (size_t i = 0; i < s->part_count; i++) {
        if (look_at(db, s, s->parts[i], &p) != INSTAR_OK) {
            ddl_tell(t, "note: %s", instar_error_text());
        }
    }
    ddl_tell(t,
             "%zu statements about several tables: %zu made, %zu dropped; at most about %" PRIu64
             " rows in one that is altered, none is rewritten",
             s->part_count, p.made, p.dropped, p.rows);
    if (p.hides) {
        ddl_tell(t,
                 "%d. absent: publish new tables, without names yet, to the writers of those that "
                 "they refer to",
                 ++step);
    }
    ddl_tell_going_up(t, &p.needs, wait_ms, &step);
    ddl_tell(t,
             "%d. public: publish the next version of every table in one commit, wait for "
             "transactions on the versions before the last, at most %" PRIu32
             " ms; no way back from here on",
             ++step, wait_ms);
    if (p.needs.drops > 0) {
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
