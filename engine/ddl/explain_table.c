/* SPDX-License-Identifier: Apache-2.0 */
/* What EXPLAIN says of changes that concern a table as a whole, and of comments. */
#include "ddl/explain_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ddl_tell(struct telling *t, const char *format, ...)
{
    char line[512];
    va_list args;

    if (t->stopped != 0) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    t->stopped = t->fn(t->arg, line);
}

void ddl_tell_create_table(struct telling *t, const instar_sql_statement *s)
{
    bool refers = false;

    for (size_t i = 0; i < s->table->fkey_count; i++) {
        refers = refers || strcmp(s->table->fkeys[i].parent, s->table->name) != 0;
    }
    if (refers) {
        ddl_tell(
            t, "1. absent: publish the table, without a name yet, to the writers of those that it "
               "refers to");
        ddl_tell(t,
                 "2. hidden: wait for transactions that use those, at most %" PRIu32
                 " ms; publish the "
                 "name; no row is read, no way back from here on",
                 s->options->fence_after_ms);
    } else {
        ddl_tell(t, "1. absent: publish the table; it waits for nobody and reads no row");
    }
    ddl_tell(t, "undo: drop table");
}

void ddl_tell_drop_table(struct telling *t, const struct found *found,
                         const instar_change_options *options)
{
    ddl_tell(t, "about %" PRIu64 " rows and %zu indexes", found->rows, found->indexes);
    ddl_tell(
        t,
        "1. public: publish that the table is gone; wait for transactions that use it, at most "
        "%" PRIu32 " ms; no way back from here on",
        options->fence_after_ms);
    if (found->window_s != 0) {
        ddl_tell(t,
                 "kept for %" PRIu64
                 " s: until then UNDO CHANGE brings the table back with all its "
                 "indexes; then it is purged",
                 found->window_s);
    } else {
        ddl_tell(t, "2. purge: give the space back; no row is read");
    }
}

void ddl_tell_vacuum(struct telling *t, const struct found *found,
                     const instar_change_options *options)
{
    ddl_tell(t, "about %" PRIu64 " rows", found->rows);
    ddl_tell(t,
             "1. drain: wait for transactions on versions before the present one, at most %" PRIu32
             " ms",
             options->fence_after_ms);
    ddl_tell(
        t,
        "2. rewrite: read all rows and write those of older layouts anew, in small transactions "
        "that stand back for commits%s",
        options->rows_per_second_max != 0 || options->bytes_per_second_max != 0
            ? ", at the rate that is asked for"
            : "");
    ddl_tell(t, "3. rewritten: publish the table without its older layouts");
    ddl_tell(
        t, "CANCEL CHANGE leaves the rows that were rewritten; nothing to do when all rows are of "
           "the newest layout");
}

void ddl_tell_undo(struct telling *t, instar *db, const instar_sql_statement *s)
{
    instar_change_info info;
    int rc = instar_change_get(db, s->change, &info);

    if (rc != INSTAR_OK) {
        ddl_tell(t, "note: %s", instar_error_text());
        return;
    }
    ddl_tell(t, "it was: %.400s", info.statement);
    if (info.undo_until_us == 0) {
        ddl_tell(t, "note: it keeps nothing to bring back, or not any more");
    }
    ddl_tell(
        t,
        "1. kept: publish %s as before the drop; wait for transactions on the version before, at "
        "most %" PRIu32 " ms",
        strcmp(info.kind, "drop table") == 0 ? "the table" : "the dropped columns",
        s->options->fence_after_ms);
    if (strcmp(info.kind, "drop table") != 0 && (s->options->flags & INSTAR_CHANGE_NULLABLE) == 0) {
        ddl_tell(
            t, "2. enforcing, validate, validated: only for NOT NULL; one scan of the table, rows "
               "with null fail the undo");
    }
    ddl_tell(t, "undo: drop it again");
}

bool ddl_only_comments(const instar_sql_statement *s)
{
    size_t count = 0;

    for (size_t i = 0; i < s->step_count; i++) {
        count += s->steps[i].kind >= INSTAR_ALTER_COMMENT_TABLE &&
                 s->steps[i].kind <= INSTAR_ALTER_COMMENT_CONSTRAINT;
    }
    return count > 0 && count == s->step_count;
}

void ddl_tell_comment(struct telling *t)
{
    ddl_tell(t,
             "1. public: publish the comment; metadata only: no row is read, nothing that reads or "
             "writes depends on it");
}
