/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change would do, a line for each step, without doing it. The steps are those of the
 * engine's plans as instar_change_info shows them in `stage`.
 */
#include "ddl/explain_impl.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A check is made anew when it mentions the column; a text that only looks like the name does no
 * harm here. */
static bool is_checked(const instar_table_info *info, const char *column)
{
    for (size_t i = 0; i < info->check_count; i++) {
        if (strstr(info->checks[i].expression, column) != NULL) {
            return true;
        }
    }
    return false;
}

static void look_for_types(struct found *found, const instar_table_info *info,
                           const instar_sql_statement *s)
{
    for (size_t i = 0; s->verb == INSTAR_SQL_COMPOUND && i < s->part_count; i++) {
        look_for_types(found, info, s->parts[i]);
    }
    for (size_t i = 0; s->verb == INSTAR_SQL_ALTER_TABLE && i < s->step_count; i++) {
        const instar_alteration *step = &s->steps[i];

        for (size_t k = 0; step->kind == INSTAR_ALTER_SET_TYPE && k < info->column_count; k++) {
            const instar_column_info *column = &info->columns[k];
            if (strcmp(column->name, step->name) == 0) {
                found->loses = found->loses || step->expression != NULL ||
                               !ddl_type_widens(column, step->column);
                found->rechecks = found->rechecks || (ddl_type_is_other(column, step->column) &&
                                                      is_checked(info, column->name));
            }
        }
    }
}

/* How many steps of it drop that constraint. */
static size_t count_drops(const instar_sql_statement *s, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < s->step_count; i++) {
        count +=
            s->steps[i].kind == INSTAR_ALTER_DROP_CONSTRAINT && strcmp(s->steps[i].name, name) == 0;
    }
    for (size_t i = 0; i < s->part_count; i++) {
        count += count_drops(s->parts[i], name);
    }
    return count;
}

static bool is_integer(enum instar_type type)
{
    return type >= INSTAR_INT2 && type <= INSTAR_INT8;
}

/* Does it give a column of the primary key a type with other keys? */
static bool remakes_key(const instar_table_info *info, const instar_alteration *step)
{
    bool any = false;

    for (size_t i = 0; step->kind == INSTAR_ALTER_SET_TYPE && i < info->key_count; i++) {
        for (size_t k = 0; k < info->column_count; k++) {
            const instar_column_info *column = &info->columns[k];
            bool other = step->expression != NULL ||
                         (ddl_type_is_other(column, step->column) &&
                          !(is_integer(column->type) && is_integer(step->column->type)));
            any = any || (strcmp(info->key[i].name, step->name) == 0 &&
                          strcmp(column->name, step->name) == 0 && other);
        }
    }
    return any;
}

/* Does it drop the primary key, by whatever words, or add one? */
static void look_for_key(struct found *found, const instar_table_info *info,
                         const instar_sql_statement *s)
{
    size_t size = strlen(info->name);

    for (size_t i = 0; s->verb == INSTAR_SQL_COMPOUND && i < s->part_count; i++) {
        look_for_key(found, info, s->parts[i]);
    }

    for (size_t i = 0; s->verb == INSTAR_SQL_ALTER_TABLE && i < s->step_count; i++) {
        const instar_alteration *step = &s->steps[i];
        bool named = step->kind == INSTAR_ALTER_DROP_CONSTRAINT &&
                     strncmp(step->name, info->name, size) == 0 &&
                     strcmp(step->name + size, "_pkey") == 0;

        found->remakes_key = found->remakes_key || remakes_key(info, step);
        found->adds_key = found->adds_key || step->kind == INSTAR_ALTER_ADD_PRIMARY_KEY;
        found->drops_key = found->drops_key || named || step->kind == INSTAR_ALTER_DROP_PRIMARY_KEY;
    }
}

/* Does a key begin with these columns, in whatever order? */
static bool begins_with(const instar_key_column *key, size_t key_count, const instar_fkey_def *fkey)
{
    size_t found = 0;

    for (size_t i = 0; i < key_count && i < fkey->column_count; i++) {
        for (size_t k = 0; k < fkey->column_count; k++) {
            found += key[i].name != NULL && strcmp(key[i].name, fkey->columns[k]) == 0;
        }
    }
    return found == fkey->column_count;
}

/* How many indexes foreign keys of the statement lack. */
static size_t count_needed(const instar_table_info *info, const instar_sql_statement *s)
{
    size_t count = 0;

    for (size_t i = 0; i < s->step_count; i++) {
        const instar_fkey_def *fkey = s->steps[i].fkey;
        bool has = s->steps[i].kind != INSTAR_ALTER_ADD_FOREIGN_KEY ||
                   begins_with(info->key, info->key_count, fkey);

        for (size_t k = 0; !has && k < info->index_count; k++) {
            const instar_index_info *index = &info->indexes[k];
            has = index->stage == INSTAR_STAGE_PUBLIC && index->predicate == NULL &&
                  begins_with(index->columns, index->column_count, fkey);
        }
        count += has ? 0 : 1;
    }
    for (size_t i = 0; i < s->part_count; i++) {
        count += count_needed(info, s->parts[i]);
    }
    return count;
}

int ddl_look(void *arg, const instar_table_info *info)
{
    struct found *found = arg;
    bool from = found->from != NULL && strcmp(info->name, found->from) == 0;
    bool here = strcmp(info->name, found->name) == 0;

    for (size_t i = 0; i < info->index_count; i++) {
        if (strcmp(info->indexes[i].name, found->name) == 0) {
            found->has_index = true;
            found->unique = info->indexes[i].unique;
        }
        if (here && info->indexes[i].constraint) {
            found->uniques_dropped += count_drops(found->statement, info->indexes[i].name);
        }
    }
    if (here && found->uniques_dropped == 0) {
        look_for_key(found, info, found->statement);
    }
    found->indexes_needed += here ? count_needed(info, found->statement) : 0;
    found->has_from = found->has_from || from;
    found->has_table = found->has_table || here;
    if (from || here) {
        found->rows = info->rows;
        found->indexes = info->index_count;
        look_for_types(found, info, found->statement);
    }
    return 0;
}

/* ---- the steps ---------------------------------------------------------------------------- */

/* What DROP COLUMN in it is kept, and what is not. */
static void tell_kept(struct telling *t, const struct found *found, const instar_sql_statement *s)
{
    size_t columns = 0;

    for (size_t i = 0; found->window_s != 0 && i < s->step_count; i++) {
        columns += s->steps[i].kind == INSTAR_ALTER_DROP_COLUMN;
    }
    for (size_t i = 0; found->window_s != 0 && i < s->part_count; i++) {
        for (size_t k = 0; k < s->parts[i]->step_count; k++) {
            columns += s->parts[i]->steps[k].kind == INSTAR_ALTER_DROP_COLUMN;
        }
    }
    if (columns != 0) {
        ddl_tell(t,
                 "kept for %" PRIu64
                 " s: until then UNDO CHANGE brings the dropped column%s back, but "
                 "no index and no constraint that is dropped with %s",
                 found->window_s, columns == 1 ? "" : "s", columns == 1 ? "it" : "them");
    }
}

static void tell_create_index(struct telling *t, const struct found *found,
                              const instar_sql_statement *s)
{
    const instar_change_options *o = s->options;
    int step = 3;

    ddl_tell(t, "about %" PRIu64 " rows", found->rows);
    ddl_tell(t,
             "1. delete-only: publish, wait for transactions on the version before, at most "
             "%" PRIu32 " ms",
             o->fence_after_ms);
    ddl_tell(t, "2. write-only: the same; from here on every writer keeps the index");
    if (o->workers != 0 || o->rows_per_second_max != 0) {
        ddl_tell(t,
                 "3. build: one scan of the table; %" PRIu32 " threads, %" PRIu64
                 " rows/s (0: no limit)",
                 o->workers, o->rows_per_second_max);
    } else {
        ddl_tell(t, "3. build: one scan of the table, as fast as the writers leave room");
    }
    if (s->index->predicate != NULL) {
        ddl_tell(t, "   only rows for which WHERE is true get entries");
    }
    if (s->index->unique) {
        ddl_tell(
            t, "4. enforcing: publish and wait as before; from here on writers refuse duplicates");
        ddl_tell(
            t, "5. validate: one scan of the index; duplicates fail the change, which names them");
        step = 5;
    }
    ddl_tell(t, "%d. public: publish", step + 1);
    ddl_tell(t, "until then CANCEL CHANGE leaves the schema as it was; afterwards: drop index");
}

/* Does a step of this kind need a last version that takes away what it left? */
static bool leaves_something(uint32_t kind)
{
    return kind == INSTAR_ALTER_DROP_COLUMN || kind == INSTAR_ALTER_RENAME_TABLE ||
           kind == INSTAR_ALTER_RENAME_COLUMN || kind == INSTAR_ALTER_RENAME_INDEX;
}

/* Does the expression have that name in it, as a word? */
static bool mentions(const char *expression, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = expression; (at = strstr(at, name)) != NULL; at++) {
        bool begins = at == expression || (at[-1] != '_' && !isalnum((unsigned char)at[-1]));
        if (begins && at[size] != '_' && !isalnum((unsigned char)at[size])) {
            return true;
        }
    }
    return false;
}

/* One about a column that comes with it is tested on the default alone. */
static bool is_of_new_column(const instar_sql_statement *s, const instar_check_def *check)
{
    bool any = false;

    for (size_t i = 0; i < s->step_count; i++) {
        any = any || (s->steps[i].kind == INSTAR_ALTER_ADD_COLUMN &&
                      mentions(check->expression, s->steps[i].column->name));
    }
    return any;
}

/* Must the rows that are there obey what this step asks for? */
static bool binds_rows(const instar_sql_statement *s, const instar_alteration *step)
{
    return (step->kind == INSTAR_ALTER_ADD_FOREIGN_KEY && !step->fkey->not_valid) ||
           step->kind == INSTAR_ALTER_SET_NOT_NULL ||
           step->kind == INSTAR_ALTER_VALIDATE_CONSTRAINT ||
           (step->kind == INSTAR_ALTER_ADD_CHECK && !step->check->not_valid &&
            !is_of_new_column(s, step->check));
}

static bool adds_unique(const instar_sql_statement *s)
{
    bool any = false;

    for (size_t i = 0; i < s->step_count; i++) {
        any = any || s->steps[i].kind == INSTAR_ALTER_ADD_UNIQUE;
    }
    return any;
}

/* Foreign keys that it adds: both tables are concerned. */
static void tell_fkeys(struct telling *t, const instar_sql_statement *s)
{
    for (size_t i = 0; i < s->step_count; i++) {
        if (s->steps[i].kind == INSTAR_ALTER_ADD_FOREIGN_KEY) {
            ddl_tell(
                t,
                "refers to table %s: it is published with it, and transactions that use either are "
                "waited for",
                s->steps[i].fkey->parent);
        }
    }
    for (size_t i = 0; i < s->part_count; i++) {
        tell_fkeys(t, s->parts[i]);
    }
}

static void tell_alter(struct telling *t, const struct found *found, const instar_sql_statement *s)
{
    bool validates = found->loses || found->rechecks, leaves = false;

    for (size_t i = 0; i < s->step_count; i++) {
        validates = validates || binds_rows(s, &s->steps[i]);
        leaves = leaves || leaves_something(s->steps[i].kind);
    }
    ddl_tell(t, "about %" PRIu64 " rows; none is rewritten", found->rows);
    tell_fkeys(t, s);
    if (validates) {
        ddl_tell(t,
                 "1. enforcing: publish, wait for transactions on the version before, at most "
                 "%" PRIu32 " ms; from here on writers refuse what breaks it",
                 s->options->fence_after_ms);
        ddl_tell(
            t,
            "2. validate: one scan of the table; rows that break it fail the change, which names "
            "them");
    }
    ddl_tell(t, "%d. public: publish all of it at once; no way back from here on",
             validates ? 3 : 1);
    if (leaves) {
        ddl_tell(t,
                 "%d. retired: wait for transactions on the version before, at most %" PRIu32
                 " ms; then old names and dropped columns are gone",
                 validates ? 4 : 2, s->options->fence_after_ms);
    }
}

/* Is it about nothing else? */
static bool is_key_alone(const struct found *found, const instar_sql_statement *s)
{
    return s->step_count == 1 || (s->step_count == 2 && found->drops_key && found->adds_key &&
                                  s->steps[1].kind == INSTAR_ALTER_ADD_PRIMARY_KEY);
}

static void tell_key(struct telling *t, const struct found *found, const instar_sql_statement *s)
{
    uint32_t wait_ms = s->options->fence_after_ms;

    ddl_tell(t, "about %" PRIu64 " rows and %zu indexes; all are written once more", found->rows,
             found->indexes);
    if (found->adds_key) {
        ddl_tell(
            t,
            "1. delete-only, write-only: publish a unique index on the new key, wait each time "
            "for transactions on the version before, at most %" PRIu32 " ms",
            wait_ms);
        ddl_tell(t, "2. build: one scan of the table for it");
        ddl_tell(t,
                 "3. enforcing: from here on writers refuse duplicates and nulls in the new key");
        ddl_tell(t,
                 "4. validate: one scan of it, and of the table for nulls; what is found fails the "
                 "change, which names it");
    } else {
        ddl_tell(
            t,
            "1. row ids: publish the hidden column, wait for transactions on the version before, "
            "at most %" PRIu32 " ms; from here on writers give ids",
            wait_ms);
        ddl_tell(t, "2. numbering: every row that nobody writes is updated once, to have an id");
        ddl_tell(t, "3. enforcing: publish and wait as before");
        ddl_tell(t, "4. validate: one scan of the table");
    }
    ddl_tell(t,
             "5. rows delete-only, rows write-only: publish a second tree of rows and each index "
             "once more; from here on every writer keeps both");
    ddl_tell(t, "6. rows build: one scan of the table for all of them");
    ddl_tell(t, "7. complete: publish the new key; no way back from here on");
    ddl_tell(t, "8. swapped, lowered: publish what was there before delete-only, then gone");
    ddl_tell(t, "9. purge: give the space back; no row is read");
}

void ddl_add_need(struct needs *n, const instar_sql_statement *s)
{
    n->builds += s->verb == INSTAR_SQL_CREATE_INDEX;
    n->unique += s->verb == INSTAR_SQL_CREATE_INDEX && s->index->unique;
    n->drops += s->verb == INSTAR_SQL_DROP_INDEX;
    n->leaves = n->leaves || s->verb == INSTAR_SQL_RENAME_INDEX;
    for (size_t i = 0; s->verb == INSTAR_SQL_ALTER_TABLE && i < s->step_count; i++) {
        n->rows = n->rows || binds_rows(s, &s->steps[i]);
        n->leaves = n->leaves || leaves_something(s->steps[i].kind);
        n->builds += s->steps[i].kind == INSTAR_ALTER_ADD_UNIQUE;
        n->unique += s->steps[i].kind == INSTAR_ALTER_ADD_UNIQUE;
    }
}

void ddl_settle_types(struct needs *n)
{
    if (n->builds == 0) {
        n->rows = n->rows || n->loses;
        n->loses = false;
    }
}

/* The first step that waits has the words for it. */
static void tell_wait(struct telling *t, const char *stage, uint32_t wait_ms, const char *then,
                      int *step)
{
    if (++*step == 1) {
        ddl_tell(t,
                 "1. %s: publish, wait for transactions on the version before, at most %" PRIu32
                 " ms%s",
                 stage, wait_ms, then);
    } else {
        ddl_tell(t, "%d. %s: publish and wait as before%s", *step, stage, then);
    }
}

void ddl_tell_foreseen(struct telling *t, const struct needs *n, uint32_t wait_ms, int *step)
{
    if (n->loses) {
        tell_wait(t, "foreseen", wait_ms, "; from here on writers refuse what cannot be cast",
                  step);
        ddl_tell(t,
                 "%d. cast: one scan of the table; what is found fails the whole change, which "
                 "names it",
                 ++*step);
    }
}

void ddl_tell_going_up(struct telling *t, const struct needs *n, uint32_t wait_ms, int *step)
{
    if (n->builds > 0) {
        tell_wait(t, "delete-only", wait_ms, "", step);
        tell_wait(t, "write-only", wait_ms, "; from here on every writer keeps the new indexes",
                  step);
        ddl_tell(t, "%d. build: one scan of the table for %s%zu index%s", ++*step,
                 n->by_key ? "rows by the new key and " : "", n->builds - n->by_key,
                 n->builds - n->by_key == 1 ? "" : "es");
    }
    if (n->unique > 0 || n->rows) {
        tell_wait(t, "enforcing", wait_ms,
                  n->unique == 0 ? "; from here on writers refuse what breaks it"
                  : n->rows      ? "; from here on writers refuse duplicates and what breaks it"
                                 : "; from here on writers refuse duplicates",
                  step);
        ddl_tell(t, "%d. validate:%s%s; what is found fails the whole change, which names it",
                 ++*step, n->unique > 0 ? " one scan of each unique index" : "",
                 n->rows ? (n->unique > 0 ? ", one of the table" : " one scan of the table") : "");
    }
}

void ddl_tell_new_key(struct telling *t, bool numbers, uint32_t wait_ms, int *step)
{
    if (numbers) {
        ddl_tell(t,
                 "%d. row ids: publish the hidden column, wait for transactions on the version "
                 "before, at most %" PRIu32 " ms; from here on writers give ids",
                 ++*step, wait_ms);
        ddl_tell(t, "%d. numbering: every row that nobody writes is updated once, to have an id",
                 ++*step);
    } else {
        ddl_tell(t,
                 "%d. key delete-only, key write-only: publish a unique index on the new key, wait "
                 "each time for transactions on the version before, at most %" PRIu32 " ms",
                 ++*step, wait_ms);
        ddl_tell(t, "%d. key build: one scan of the table for it", ++*step);
    }
    ddl_tell(t, "%d. key enforcing: from here on writers refuse %snulls in the new key", ++*step,
             numbers ? "" : "duplicates and ");
    ddl_tell(t,
             "%d. key validate: one scan %sof the table; what is found fails the whole change, "
             "which names it",
             ++*step, numbers ? "" : "of it, and one ");
}

/* What it is about, in front of the steps. */
static void tell_compound_size(struct telling *t, const struct found *found,
                               const instar_sql_statement *s, bool by_key)
{
    const char *rewritten = by_key ? "all are written once more" : "none is rewritten";

    if (s->part_count > 0) {
        ddl_tell(t, "%zu statements, about %" PRIu64 " rows; %s", s->part_count, found->rows,
                 rewritten);
    } else { /* an ALTER TABLE, for its UNIQUE or what a foreign key needs */
        ddl_tell(t, "about %" PRIu64 " rows; %s", found->rows, rewritten);
    }
    tell_fkeys(t, s);
    if (by_key) {
        ddl_tell(t, "another primary key: rows and %zu index%s made anew beside the old",
                 found->remade, found->remade == 1 ? "" : "es");
    } else if (found->remade > 0) {
        ddl_tell(t, "%zu index%s of a column that changes its type, made anew beside the old",
                 found->remade, found->remade == 1 ? "" : "es");
    }
}

static void tell_compound(struct telling *t, const struct found *found,
                          const instar_sql_statement *s)
{
    uint32_t wait_ms = s->options->fence_after_ms;
    bool by_key = found->adds_key || found->drops_key || found->remakes_key;
    struct needs n = {.rows = found->rechecks,
                      .loses = found->loses,
                      .drops = found->uniques_dropped + found->remade + by_key,
                      .builds = found->indexes_needed + found->remade + by_key,
                      .unique = found->remade_unique,
                      .by_key = by_key};
    int step = 0;

    for (size_t i = 0; i < s->part_count; i++) {
        ddl_add_need(&n, s->parts[i]);
    }
    if (s->part_count == 0) {
        ddl_add_need(&n, s);
    }
    tell_compound_size(t, found, s, by_key);
    ddl_settle_types(&n);
    ddl_tell_foreseen(t, &n, wait_ms, &step);
    if (by_key) {
        ddl_tell_new_key(t, found->drops_key && !found->adds_key, wait_ms, &step);
    }
    ddl_tell_going_up(t, &n, wait_ms, &step);
    ddl_tell(t, "%d. public: publish all of it at once; no way back from here on", ++step);
    if (n.drops > 0) {
        ddl_tell(t,
                 "%d. delete-only: publish what is dropped, wait for transactions on the version "
                 "before, at most %" PRIu32 " ms",
                 ++step, wait_ms);
        ddl_tell(t, "%d. absent: the same; old names and dropped columns are gone", ++step);
        ddl_tell(t, "%d. purge: give the space back; no row is read", ++step);
    } else if (n.leaves) {
        ddl_tell(t,
                 "%d. retired: wait for transactions on the version before, at most %" PRIu32
                 " ms; then old names and dropped columns are gone",
                 ++step, wait_ms);
    }
}

static void tell_drop_index(struct telling *t, const struct found *found,
                            const instar_change_options *options)
{
    ddl_tell(t,
             "1. write-only: publish, wait for transactions on the version before, at most "
             "%" PRIu32 " ms%s",
             options->fence_after_ms, found->unique ? "; writers still refuse duplicates" : "");
    ddl_tell(t, "2. delete-only: the same; no way back from here on");
    ddl_tell(t, "3. absent: the same");
    ddl_tell(t, "4. purge: give the space back; no row is read");
}

/* ---- all ---------------------------------------------------------------------------------- */

/* The names that decide whether there is anything to do. */
static void tell_names(struct telling *t, const struct found *found, enum instar_sql_verb verb)
{
    bool table = verb == INSTAR_SQL_DROP_TABLE || verb == INSTAR_SQL_ALTER_TABLE ||
                 verb == INSTAR_SQL_VACUUM;

    if (verb == INSTAR_SQL_COMPOUND || verb == INSTAR_SQL_UNDO_CHANGE) {
        return; /* each part has its own; it goes by no name */
    }

    if (verb == INSTAR_SQL_CREATE_TABLE || verb == INSTAR_SQL_CREATE_INDEX) {
        if (found->has_table || found->has_index) {
            ddl_tell(t, "note: the name %s is taken", found->name);
        }
    } else if (table ? !found->has_table : !found->has_index) {
        ddl_tell(t, "note: there is no %s %s", table ? "table" : "index", found->name);
    }
    if (found->from != NULL && !found->has_from) {
        ddl_tell(t, "note: there is no table %s", found->from);
    }
}

static void tell_all(struct telling *t, instar *db, const struct found *found,
                     const instar_sql_statement *s)
{
    ddl_tell(t, "%s %s", instar_sql_verb_name(s->verb), s->name);
    tell_names(t, found, s->verb);
    switch (s->verb) {
    case INSTAR_SQL_CREATE_TABLE:
        ddl_tell_create_table(t, s);
        break;
    case INSTAR_SQL_DROP_TABLE:
        ddl_tell_drop_table(t, found, s->options);
        break;
    case INSTAR_SQL_CREATE_INDEX:
        tell_create_index(t, found, s);
        break;
    case INSTAR_SQL_ALTER_TABLE:
        if ((found->drops_key || found->adds_key) && is_key_alone(found, s)) {
            tell_key(t, found, s);
        } else if (ddl_only_comments(s)) {
            ddl_tell_comment(t);
        } else if (found->uniques_dropped + found->indexes_needed + found->remade > 0 ||
                   found->drops_key || found->adds_key || found->remakes_key || adds_unique(s)) {
            tell_compound(t, found, s);
        } else {
            tell_alter(t, found, s);
        }
        break;
    case INSTAR_SQL_COMPOUND:
        if (ddl_is_several(s)) {
            ddl_tell_several(t, db, s);
        } else {
            tell_compound(t, found, s);
        }
        break;
    case INSTAR_SQL_VACUUM:
        ddl_tell_vacuum(t, found, s->options);
        break;
    case INSTAR_SQL_UNDO_CHANGE:
        ddl_tell_undo(t, db, s);
        break;
    case INSTAR_SQL_RENAME_INDEX:
        ddl_tell(t, "1. public: publish the new name; the old one works until nobody can use it");
        break;
    case INSTAR_SQL_COMMENT_INDEX:
        ddl_tell_comment(t);
        break;
    default:
        tell_drop_index(t, found, s->options);
    }
    tell_kept(t, found, s);
}

int instar_sql_explain(instar *db, const instar_sql *sql, size_t at,
                       int (*fn)(void *arg, const char *line), void *arg,
                       instar_sql_error *error_out)
{
    const instar_sql_statement *s = instar_sql_at(sql, at);
    struct telling t = {fn, arg, 0};
    struct found found = {.name = NULL};
    instar_estimate cost;
    int rc, rc_cost = INSTAR_EUNKNOWN;

    if (error_out != NULL) {
        *error_out = (instar_sql_error){.code = INSTAR_OK};
    }
    if (s == NULL || fn == NULL) {
        return INSTAR_EMISUSE;
    }
    if (s->verb >= INSTAR_SQL_SHOW_CHANGES) {
        return ddl_fail_statement(s, INSTAR_EINVALID, "this is no schema change", error_out);
    }
    found.name = s->name;
    found.statement = s;
    found.from = s->index != NULL ? s->index->table : NULL;
    rc = instar_table_list(db, NULL, ddl_look, &found);
    if (rc != INSTAR_OK) {
        return ddl_fail_statement(s, rc, ddl_reason(rc), error_out);
    }
    if (s->verb != INSTAR_SQL_UNDO_CHANGE) {
        rc_cost = ddl_explain_cost(db, s, &cost);
    }
    if (rc_cost != INSTAR_OK && rc_cost != INSTAR_EUNKNOWN) {
        return ddl_fail_statement(s, rc_cost, ddl_reason(rc_cost), error_out);
    }
    if (rc_cost == INSTAR_OK) {
        found.window_s = cost.undo_window_s;
        found.remade = cost.remade;
        found.remade_unique = cost.remade_unique;
    }
    tell_all(&t, db, &found, s);
    if (rc_cost == INSTAR_OK) {
        ddl_tell_cost(&t, &cost);
    }
    return t.stopped;
}
