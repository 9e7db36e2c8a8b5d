/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands between BEGIN and COMMIT: one change. Alterations of one table that stand side by
 * side become one statement with all their steps (alter.c); with statements of other kinds, or
 * about other tables, they are the parts of a COMPOUND, which is submitted as instar_submit() takes
 * it.
 */
#include "ddl/ddl_impl.h"

#include <stdlib.h>
#include <string.h>

/* So begins what instar_submit() says of one of several statements. */
#define PART_WORD "statement "

static bool may_be_part(enum instar_sql_verb verb)
{
    return verb == INSTAR_SQL_CREATE_TABLE || verb == INSTAR_SQL_DROP_TABLE ||
           verb == INSTAR_SQL_CREATE_INDEX || verb == INSTAR_SQL_DROP_INDEX ||
           verb == INSTAR_SQL_ALTER_TABLE || verb == INSTAR_SQL_RENAME_INDEX ||
           verb == INSTAR_SQL_COMMENT_INDEX;
}

static int no_memory(instar_sql *sql, const struct ddl_piece *piece)
{
    return ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
}

/* ---- one option of several statements ----------------------------------------------------- */

/* Take over what `from` says of a field, when it says anything. False: `to` has another value. */
#define TAKE(field)                                                                        \
    (from->field == none.field || (to->field != none.field && to->field == from->field) || \
     (to->field == none.field && ((to->field = from->field), true)))

/* WITH (…) counts for the whole change; two statements may not differ. */
static bool take_options(instar_change_options *to, const instar_change_options *from)
{
    instar_change_options none;

    instar_change_options_init(&none);
    to->flags |= from->flags & ~(uint32_t)(INSTAR_CHANGE_IF_EXISTS | INSTAR_CHANGE_IF_NOT_EXISTS);
    return TAKE(fence_after_ms) && TAKE(workers) && TAKE(rows_per_second_max) &&
           TAKE(bytes_per_second_max) && TAKE(sort_memory_bytes) && TAKE(undo_window_s) &&
           TAKE(latency_target_ms);
}

static int gather_options(instar_sql *sql, const struct ddl_piece *piece,
                          const instar_sql_statement *to, const instar_sql_statement *from)
{
    return take_options((instar_change_options *)to->options, from->options)
               ? INSTAR_OK
               : ddl_fail(sql, INSTAR_EINVALID, piece->offset,
                          "not supported: another value of an option in WITH (…) than a statement "
                          "before it has: they are one change");
}

/* ---- putting it together ------------------------------------------------------------------ */

static const char *table_of(const instar_sql_statement *s)
{
    return s->index != NULL ? s->index->table
           : s->verb == INSTAR_SQL_ALTER_TABLE || s->verb == INSTAR_SQL_CREATE_TABLE ||
                   s->verb == INSTAR_SQL_DROP_TABLE
               ? s->name
               : NULL;
}

static int add_part(instar_sql *sql, const struct ddl_piece *piece, struct ddl_statement *group,
                    struct ddl_statement *part)
{
    size_t count = group->info.part_count;

    if (count == group->part_room) {
        size_t room = count == 0 ? 8 : count * 2;
        struct ddl_statement **parts = ddl_alloc(&sql->arena, room * sizeof(*parts));
        const instar_sql_statement **infos = ddl_alloc(&sql->arena, room * sizeof(*infos));

        if (parts == NULL || infos == NULL) {
            return no_memory(sql, piece);
        }
        if (count > 0) {
            memcpy(parts, group->parts, count * sizeof(*parts));
            memcpy(infos, group->info.parts, count * sizeof(*infos));
        }
        group->parts = parts;
        group->info.parts = infos;
        group->part_room = room;
    }
    /* It goes by the table, when a part names that; DROP INDEX does not. */
    bool told = false;
    for (size_t i = 0; i < count; i++) {
        told = told || table_of(&group->parts[i]->info) != NULL;
    }
    if (!told && table_of(&part->info) != NULL) {
        group->info.name = table_of(&part->info);
    }
    group->parts[count] = part;
    ((const instar_sql_statement **)group->info.parts)[count] = &part->info;
    group->info.part_count++;
    group->info.text_size = part->info.offset + part->info.text_size - group->info.offset;
    return gather_options(sql, piece, &group->info, &part->info);
}

/* The first statement of a group becomes the first part of one. */
static int make_group(instar_sql *sql, const struct ddl_piece *piece, struct ddl_statement *first)
{
    struct ddl_statement *part = ddl_alloc(&sql->arena, sizeof(*part));
    instar_change_options *options = ddl_new_options(sql, 0);

    if (part == NULL || options == NULL) {
        return no_memory(sql, piece);
    }
    *part = *first;
    part->next = NULL;
    first->info = (instar_sql_statement){.verb = INSTAR_SQL_COMPOUND,
                                         .explain = part->info.explain,
                                         .line = part->info.line,
                                         .column = part->info.column,
                                         .offset = part->info.offset,
                                         .text = part->info.text,
                                         .name = part->info.name,
                                         .options = options};
    first->constants = NULL;
    return add_part(sql, piece, first, part);
}

/* The statement that was read last is none of the script any more. */
static struct ddl_statement *take_last(instar_sql *sql)
{
    struct ddl_statement *last = sql->last;

    sql->last = sql->group_first;
    sql->last->next = NULL;
    sql->end = &sql->last->next;
    sql->count--;
    return last;
}

static int refuse(instar_sql *sql, const struct ddl_piece *piece,
                  const struct ddl_statement *before, const char *why)
{
    return ddl_fail(sql, INSTAR_EINVALID, piece->offset, "not supported: %s and %s as one change%s",
                    instar_sql_verb_name(before->info.verb),
                    instar_sql_verb_name(sql->last->info.verb), why);
}

static int join(instar_sql *sql, const struct ddl_piece *piece, struct ddl_statement *group)
{
    struct ddl_statement *last = sql->last;
    bool parts = group->info.verb == INSTAR_SQL_COMPOUND;
    struct ddl_statement *before = parts ? group->parts[group->info.part_count - 1] : group;
    const char *why = ddl_cannot_join(before, last);
    int rc = INSTAR_OK;

    if (why == NULL) {
        rc = gather_options(sql, piece, &before->info, &last->info);
        if (rc == INSTAR_OK && parts) {
            rc = gather_options(sql, piece, &group->info, &last->info);
        }
        rc = rc == INSTAR_OK ? ddl_join(sql, before, take_last(sql)) : rc;
        group->info.text_size = last->info.offset + last->info.text_size - group->info.offset;
        return rc;
    }
    if (!may_be_part(before->info.verb) || !may_be_part(last->info.verb) || why[0] != '\0') {
        return refuse(sql, piece, before, why);
    }
    take_last(sql);
    rc = parts ? INSTAR_OK : make_group(sql, piece, group);
    return rc == INSTAR_OK ? add_part(sql, piece, group, last) : rc;
}

int ddl_group(instar_sql *sql, const struct ddl_piece *piece)
{
    if (sql->last->info.verb >= INSTAR_SQL_SHOW_CHANGES || sql->last->info.explain) {
        return ddl_fail(sql, INSTAR_EINVALID, piece->offset,
                        "not supported: %s between BEGIN and COMMIT: it is no schema change",
                        sql->last->info.explain ? "explain"
                                                : instar_sql_verb_name(sql->last->info.verb));
    }
    if (sql->group_first == NULL) {
        sql->group_first = sql->last;
        sql->last->info.explain = sql->group_explain;
        return INSTAR_OK;
    }
    return join(sql, piece, sql->group_first);
}

/* ---- submitting --------------------------------------------------------------------------- */

/* The steps of the ALTER TABLEs of one table, by whatever name it has by then, as one statement: so
 * each default gets the type that its column has by then. */
struct line {
    struct ddl_statement all;
    struct ddl_alteration made;
    const char *name; /* the table's, behind the last of them */
    size_t at;        /* steps that were handed out */
};

/* The line to which a part belongs: a new one where there is none. */
static struct line *find_line(struct line *lines, size_t *count, const instar_sql_statement *part)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(lines[i].name, part->name) == 0) {
            return &lines[i];
        }
    }
    lines[*count] = (struct line){.all.info.name = part->name};
    return &lines[(*count)++];
}

static int append(struct line *line, const struct ddl_statement *part)
{
    size_t old = line->all.info.step_count, more = part->info.step_count;
    instar_alteration *steps =
        ddl_realloc((void *)line->all.info.steps, (old + more) * sizeof(*steps));

    if (steps == NULL) {
        return INSTAR_ENOMEM;
    }
    line->all.info.steps = steps;
    struct ddl_constant *constants =
        ddl_realloc((void *)line->all.constants, (old + more) * sizeof(*constants));
    if (constants == NULL) {
        return INSTAR_ENOMEM;
    }
    line->all.constants = constants;
    memcpy(steps + old, part->info.steps, more * sizeof(*steps));
    memcpy(constants + old, part->constants, more * sizeof(*constants));
    line->all.info.step_count += more;
    line->name = ddl_name_after(&part->info);
    return INSTAR_OK;
}

/* steps: of an ALTER TABLE, with their values; those of the part come first. */
static void fill(instar_statement *to, const instar_sql_statement *from,
                 const instar_alteration *steps)
{
    *to = (instar_statement){.flags = from->options->flags &
                                      (INSTAR_CHANGE_IF_EXISTS | INSTAR_CHANGE_IF_NOT_EXISTS),
                             .name = from->name,
                             .table = from->table,
                             .index = from->index};
    switch (from->verb) {
    case INSTAR_SQL_CREATE_TABLE:
        to->kind = INSTAR_STATEMENT_CREATE_TABLE;
        break;
    case INSTAR_SQL_DROP_TABLE:
        to->kind = INSTAR_STATEMENT_DROP_TABLE;
        break;
    case INSTAR_SQL_CREATE_INDEX:
        to->kind = INSTAR_STATEMENT_CREATE_INDEX;
        break;
    case INSTAR_SQL_DROP_INDEX:
        to->kind = INSTAR_STATEMENT_DROP_INDEX;
        break;
    case INSTAR_SQL_RENAME_INDEX:
        to->kind = INSTAR_STATEMENT_RENAME_INDEX;
        to->new_name = from->steps[0].new_name;
        break;
    case INSTAR_SQL_COMMENT_INDEX:
        to->kind = INSTAR_STATEMENT_COMMENT_INDEX;
        to->comment = from->steps[0].comment;
        break;
    default:
        to->kind = INSTAR_STATEMENT_ALTER_TABLE;
        to->steps = steps;
        to->step_count = from->step_count;
    }
}

const instar_sql_statement *ddl_failed_part(const instar_sql_statement *group, const char **text)
{
    char *end = NULL;
    bool numbered = group->part_count > 0 && strncmp(*text, PART_WORD, strlen(PART_WORD)) == 0;
    unsigned long number = numbered ? strtoul(*text + strlen(PART_WORD), &end, 10) : 0;

    if (number < 1 || number > group->part_count || strncmp(end, ": ", 2) != 0) {
        return group;
    }
    *text = end + 2;
    return group->parts[number - 1];
}

/* Each line with the values of its defaults. */
static int make_lines(instar *db, const struct ddl_statement *s, struct line *lines, size_t *count,
                      char words[DDL_WORDS_SIZE])
{
    int rc = INSTAR_OK;

    for (size_t i = 0; rc == INSTAR_OK && i < s->info.part_count; i++) {
        if (s->info.parts[i]->verb == INSTAR_SQL_ALTER_TABLE) {
            rc = append(find_line(lines, count, s->info.parts[i]), s->parts[i]);
        }
    }
    for (size_t i = 0; rc == INSTAR_OK && i < *count; i++) {
        rc = ddl_alteration_make(db, &lines[i].all, &lines[i].made, words);
        /* A table that the change makes; or the engine says what that means, by its own words. */
        rc = rc == INSTAR_EUNKNOWN ? INSTAR_OK : rc;
    }
    return rc;
}

static const instar_alteration *next_steps(struct line *lines, size_t count,
                                           const instar_sql_statement *part)
{
    for (size_t i = 0; i < count; i++) {
        struct line *line = &lines[i];
        const instar_alteration *steps = line->made.count > 0 && line->made.steps[0].kind != 0
                                             ? line->made.steps
                                             : line->all.info.steps;

        if (line->all.info.name != NULL && strcmp(line->all.info.name, part->name) == 0) {
            steps += line->at;
            line->at += part->step_count;
            line->all.info.name = ddl_name_after(part); /* by which the next one goes */
            return steps;
        }
    }
    return NULL;
}

int ddl_submit_group(instar *db, const struct ddl_statement *s, uint64_t *change_out,
                     char words[DDL_WORDS_SIZE])
{
    size_t count = s->info.part_count, line_count = 0;
    instar_statement *statements = ddl_calloc(count, sizeof(*statements));
    struct line *lines = ddl_calloc(count, sizeof(*lines));
    int rc = statements != NULL && lines != NULL ? INSTAR_OK : INSTAR_ENOMEM;

    if (rc == INSTAR_OK) {
        rc = make_lines(db, s, lines, &line_count, words);
    }
    for (size_t i = 0; rc == INSTAR_OK && i < count; i++) {
        const instar_sql_statement *part = s->info.parts[i];

        fill(&statements[i], part,
             part->verb == INSTAR_SQL_ALTER_TABLE ? next_steps(lines, line_count, part) : NULL);
    }
    if (rc == INSTAR_OK) {
        rc = instar_submit(db, statements, count, s->info.options, change_out);
    }
    for (size_t i = 0; i < line_count; i++) {
        ddl_alteration_free(&lines[i].made);
        free((void *)lines[i].all.info.steps);
        free((void *)lines[i].all.constants);
    }
    free(lines);
    free(statements);
    return rc;
}
