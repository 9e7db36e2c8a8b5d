/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table as the statements that make it anew. What is printed is read back by script.c as the same
 * request: names that the grammar would fold or take for its own words are quoted, constants are in
 * the form that instar_value_parse() reads.
 */
#include "ddl/ddl_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What snprintf does, piece by piece. */
struct sink {
    char *text;
    size_t room, size;
    const instar_table_info *info;
};

static void put(struct sink *sink, const char *text, size_t size)
{
    if (sink->size < sink->room) {
        size_t left = sink->room - sink->size;

        memcpy(sink->text + sink->size, text, size < left ? size : left);
    }
    sink->size += size;
}

static void say(struct sink *sink, const char *text)
{
    put(sink, text, strlen(text));
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static bool has_control(const char *text, size_t size)
{
    size_t at = 0;

    while (at < size && !is_control(text[at])) {
        at++;
    }
    return at < size;
}

/* Control characters are written as escapes: a schema that is shown does nothing to a terminal. */
static void put_name(struct sink *sink, const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
    bool escape = has_control(name, strlen(name));

    if (strspn(name, plain) == strlen(name) && (name[0] < '0' || name[0] > '9') &&
        !ddl_needs_quotes(name)) {
        say(sink, name);
        return;
    }
    say(sink, escape ? "U&\"" : "\"");
    for (const char *p = name; *p != '\0'; p++) {
        char code[8];

        if (is_control(*p)) {
            (void)snprintf(code, sizeof(code), "\\%04x", (unsigned char)*p);
            say(sink, code);
            continue;
        }
        put(sink, p, 1);
        if (*p == '"' || (escape && *p == '\\')) {
            put(sink, p, 1);
        }
    }
    say(sink, "\"");
}

static void put_string(struct sink *sink, const char *text, size_t size)
{
    bool escape = has_control(text, size);

    say(sink, escape ? "E'" : "'");
    for (size_t i = 0; i < size; i++) {
        char code[8];

        if (is_control(text[i])) {
            (void)snprintf(code, sizeof(code), "\\x%02x", (unsigned char)text[i]);
            say(sink, code);
            continue;
        }
        put(sink, text + i, 1);
        if (text[i] == '\'' || (escape && text[i] == '\\')) {
            put(sink, text + i, 1);
        }
    }
    say(sink, "'");
}

static void put_bytes(struct sink *sink, const unsigned char *data, size_t size)
{
    say(sink, "'\\x");
    for (size_t i = 0; i < size; i++) {
        char code[4];

        (void)snprintf(code, sizeof(code), "%02x", data[i]);
        say(sink, code);
    }
    say(sink, "'");
}

static void put_value(struct sink *sink, const instar_value *value)
{
    char small[64];
    size_t size = instar_value_format(value, small, sizeof(small));
    bool plain = value->type == INSTAR_BOOL || value->type == INSTAR_INT2 ||
                 value->type == INSTAR_INT4 || value->type == INSTAR_INT8 ||
                 value->type == INSTAR_NUMERIC;

    if (plain) {
        put(sink, small, size);
    } else if (value->type == INSTAR_TEXT) {
        put_string(sink, value->bytes.data, value->bytes.size);
    } else if (value->type == INSTAR_BYTEA) {
        put_bytes(sink, value->bytes.data, value->bytes.size);
    } else {
        put_string(sink, small, size < sizeof(small) ? size : sizeof(small) - 1);
    }
}

static void put_type(struct sink *sink, enum instar_type type, uint32_t length_max)
{
    char text[48];

    (void)instar_type_format(type, length_max, text, sizeof(text));
    say(sink, text);
}

static void put_key(struct sink *sink, const instar_table_info *info)
{
    const char *separator = " WITH (";
    bool directed = false;

    if (info->key_count == 1 && strcmp(info->key[0].name, INSTAR_ROW_ID) == 0) {
        return; /* it has none */
    }
    say(sink, ",\n    PRIMARY KEY (");
    for (size_t i = 0; i < info->key_count; i++) {
        say(sink, i > 0 ? ", " : "");
        put_name(sink, info->key[i].name);
    }
    say(sink, ")");
    for (size_t i = 0; i < info->key_count; i++) {
        if (info->key[i].descending) {
            say(sink, separator);
            put_name(sink, info->key[i].name);
            say(sink, " = DESC");
            separator = ", ";
            directed = true;
        }
    }
    say(sink, directed ? ")" : "");
}

/* An expression in the engine's words: capitals are keywords, what stands before a parenthesis is a
 * function, what stands behind AS a type; the rest are columns, which may need quotes here that
 * they did not need there. */
static void put_expression(struct sink *sink, const char *text)
{
    struct ddl_lexer lexer = {text, text + strlen(text), NULL};
    struct ddl_token token;
    const char *done = text;
    bool after_as = false;

    while (ddl_next(&lexer, &token)) {
        bool quoted = token.kind == DDL_QUOTED;
        bool word = token.kind == DDL_WORD && (*token.at < 'A' || *token.at > 'Z') && !after_as &&
                    token.at[token.size] != '(';
        char name[INSTAR_NAME_BYTES_MAX + 1];
        size_t size = 0;

        for (size_t i = quoted ? 1 : 0; i < token.size - (quoted ? 1 : 0); i++) {
            bool twice = quoted && token.at[i] == '"'; /* one of two */
            if (size < sizeof(name) - 1) {
                name[size++] = token.at[i];
            }
            i += twice ? 1 : 0;
        }
        name[size] = '\0';
        put(sink, done, (size_t)(token.at - done));
        done = token.at + token.size;
        if (quoted || word) {
            put_name(sink, name);
        } else {
            put(sink, token.at, token.size);
        }
        after_as = ddl_is(&token, "AS");
    }
    say(sink, done);
}

static void put_check(struct sink *sink, const instar_check_info *check)
{
    say(sink, "CONSTRAINT ");
    put_name(sink, check->name);
    say(sink, " CHECK (");
    put_expression(sink, check->expression);
    say(sink, ")");
}

/* What is not valid may be broken by rows: it is added as such, for what is written. */
static void put_not_valid(struct sink *sink, const instar_table_info *info,
                          const instar_check_info *check)
{
    say(sink, "ALTER TABLE ");
    put_name(sink, info->name);
    say(sink, " ADD ");
    put_check(sink, check);
    say(sink, " NOT VALID;\n");
}

static void put_includes(struct sink *sink, const instar_index_info *index)
{
    for (size_t i = 0; i < index->include_count; i++) {
        say(sink, i > 0 ? ", " : " INCLUDE (");
        put_name(sink, index->include[i]);
    }
    say(sink, index->include_count > 0 ? ")" : "");
}

/* Of an index's key. */
static void put_part(struct sink *sink, const instar_key_column *part)
{
    if (part->name != NULL) {
        put_name(sink, part->name);
        return;
    }
    say(sink, "(");
    put_expression(sink, part->expression);
    say(sink, ")");
}

static bool is_unique(const instar_index_info *index)
{
    return index->constraint && index->stage == INSTAR_STAGE_PUBLIC;
}

static void put_unique(struct sink *sink, const instar_index_info *index)
{
    say(sink, "CONSTRAINT ");
    put_name(sink, index->name);
    for (size_t i = 0; i < index->column_count; i++) {
        say(sink, i > 0 ? ", " : " UNIQUE (");
        put_name(sink, index->columns[i].name);
    }
    say(sink, ")");
    put_includes(sink, index);
}

/* As many UNIQUE constraints as a new table can have, or the others: of these each is added. */
static void put_uniques(struct sink *sink, const instar_table_info *info, bool inside)
{
    size_t count = 0;

    for (size_t i = 0; i < info->index_count; i++) {
        if (!is_unique(&info->indexes[i]) || (++count <= INSTAR_TABLE_UNIQUES_MAX) != inside) {
            continue;
        }
        if (inside) {
            say(sink, ",\n    ");
        } else {
            say(sink, "ALTER TABLE ");
            put_name(sink, info->name);
            say(sink, " ADD ");
        }
        put_unique(sink, &info->indexes[i]);
        say(sink, inside ? "" : ";\n");
    }
}

static void put_table(struct sink *sink, const instar_table_info *info)
{
    say(sink, "CREATE TABLE ");
    put_name(sink, info->name);
    say(sink, " (\n");
    for (size_t i = 0; i < info->column_count; i++) {
        const instar_column_info *column = &info->columns[i];

        say(sink, i > 0 ? ",\n    " : "    ");
        put_name(sink, column->name);
        say(sink, " ");
        put_type(sink, column->type, column->length_max);
        say(sink, column->not_null ? " NOT NULL" : "");
        if (column->has_default && column->default_value.type != INSTAR_NULL) {
            say(sink, " DEFAULT ");
            put_value(sink, &column->default_value);
        }
    }
    for (size_t i = 0; i < info->check_count; i++) {
        if (info->checks[i].valid) {
            say(sink, ",\n    ");
            put_check(sink, &info->checks[i]);
        }
    }
    put_uniques(sink, info, true);
    put_key(sink, info);
    say(sink, "\n);\n");
}

static void put_index(struct sink *sink, const instar_table_info *info,
                      const instar_index_info *index)
{
    if (index->stage != INSTAR_STAGE_PUBLIC) {
        char text[96];

        (void)snprintf(text, sizeof(text), "-- change %" PRIu64 " is at work on another index\n",
                       index->change);
        say(sink, text);
        return;
    }
    say(sink, index->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    put_name(sink, index->name);
    say(sink, " ON ");
    put_name(sink, info->name);
    for (size_t i = 0; i < index->column_count; i++) {
        say(sink, i > 0 ? ", " : " (");
        put_part(sink, &index->columns[i]);
        say(sink, index->columns[i].descending ? " DESC" : "");
        say(sink, index->columns[i].nulls == INSTAR_NULLS_FIRST  ? " NULLS FIRST"
                  : index->columns[i].nulls == INSTAR_NULLS_LAST ? " NULLS LAST"
                                                                 : "");
    }
    say(sink, ")");
    put_includes(sink, index);
    if (index->predicate != NULL) {
        say(sink, " WHERE (");
        put_expression(sink, index->predicate);
        say(sink, ")");
    }
    say(sink, ";\n");
}

/* ---- comments ----------------------------------------------------------------------------- */

/* What ("COLUMN ") and the names: before and behind the point, or before and behind ON. */
static void put_comment(struct sink *sink, const char *what, const char *name, const char *behind,
                        const char *comment)
{
    if (comment == NULL) {
        return;
    }
    say(sink, "COMMENT ON ");
    say(sink, what);
    put_name(sink, name);
    if (behind != NULL) {
        say(sink, strcmp(what, "COLUMN ") == 0 ? "." : " ON ");
        put_name(sink, behind);
    }
    say(sink, " IS ");
    put_string(sink, comment, strlen(comment));
    say(sink, ";\n");
}

/* All but those of foreign keys. */
static void put_comments(struct sink *sink, const instar_table_info *info)
{
    put_comment(sink, "TABLE ", info->name, NULL, info->comment);
    for (size_t i = 0; i < info->column_count; i++) {
        put_comment(sink, "COLUMN ", info->name, info->columns[i].name, info->columns[i].comment);
    }
    for (size_t i = 0; i < info->check_count; i++) {
        put_comment(sink, "CONSTRAINT ", info->checks[i].name, info->name, info->checks[i].comment);
    }
    for (size_t i = 0; i < info->index_count; i++) {
        const instar_index_info *index = &info->indexes[i];

        if (index->stage == INSTAR_STAGE_PUBLIC) {
            put_comment(sink, index->constraint ? "CONSTRAINT " : "INDEX ", index->name,
                        index->constraint ? info->name : NULL, index->comment);
        }
    }
}

static void put_all(struct sink *sink)
{
    put_table(sink, sink->info);
    for (size_t i = 0; i < sink->info->check_count; i++) {
        if (!sink->info->checks[i].valid) {
            put_not_valid(sink, sink->info, &sink->info->checks[i]);
        }
    }
    put_uniques(sink, sink->info, false);
    for (size_t i = 0; i < sink->info->index_count; i++) {
        if (!is_unique(&sink->info->indexes[i])) {
            put_index(sink, sink->info, &sink->info->indexes[i]);
        }
    }
    put_comments(sink, sink->info);
}

/* ---- foreign keys ------------------------------------------------------------------------- */

static void put_names(struct sink *sink, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        say(sink, i > 0 ? ", " : " (");
        put_name(sink, names[i]);
    }
    say(sink, ")");
}

static void put_fkeys(struct sink *sink)
{
    for (size_t i = 0; i < sink->info->fkey_count; i++) {
        const instar_fkey_info *fkey = &sink->info->fkeys[i];

        say(sink, "ALTER TABLE ");
        put_name(sink, sink->info->name);
        say(sink, " ADD CONSTRAINT ");
        put_name(sink, fkey->name);
        say(sink, " FOREIGN KEY");
        put_names(sink, fkey->columns, fkey->column_count);
        say(sink, " REFERENCES ");
        put_name(sink, fkey->parent);
        put_names(sink, fkey->parent_columns, fkey->column_count);
        say(sink, fkey->on_delete == INSTAR_FKEY_RESTRICT ? " ON DELETE RESTRICT" : "");
        say(sink, fkey->on_update == INSTAR_FKEY_RESTRICT ? " ON UPDATE RESTRICT" : "");
        say(sink, fkey->valid ? ";\n" : " NOT VALID;\n");
        put_comment(sink, "CONSTRAINT ", fkey->name, sink->info->name, fkey->comment);
    }
}

/* ---- all of it ---------------------------------------------------------------------------- */

static size_t format(const instar_table_info *info, void (*fn)(struct sink *sink), char *text_out,
                     size_t size)
{
    struct sink sink = {.text = text_out, .room = size, .info = info};

    if (info != NULL) {
        fn(&sink);
    }
    if (size > 0) {
        text_out[sink.size < size ? sink.size : size - 1] = '\0';
    }
    return sink.size;
}

size_t instar_sql_format_fkeys(const instar_table_info *info, char *text_out, size_t size)
{
    return format(info, put_fkeys, text_out, size);
}

size_t instar_sql_format_table(const instar_table_info *info, char *text_out, size_t size)
{
    return format(info, put_all, text_out, size);
}
