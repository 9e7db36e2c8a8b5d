/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL text: any bytes are refused with a place inside the text, or give statements that hold
 * together: each has its name and request, and its text lies where it says.
 *
 * Input: u8 which limits (odd: low ones) | the text.
 */
#include "base/base.h"

#include <instar_sql.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_key(const instar_key_column *key, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        base_assert((key[i].name != NULL) != (key[i].expression != NULL));
        base_assert(key[i].name == NULL || strlen(key[i].name) <= INSTAR_NAME_BYTES_MAX);
        base_assert(key[i].expression == NULL || key[i].expression[0] != '\0');
    }
}

static void use_fkey(const instar_fkey_def *fkey)
{
    base_assert(fkey->column_count > 0 && fkey->parent[0] != '\0');
    base_assert(fkey->on_delete <= INSTAR_FKEY_RESTRICT && fkey->on_update <= INSTAR_FKEY_RESTRICT);
    for (size_t i = 0; i < fkey->column_count; i++) {
        base_assert(strlen(fkey->columns[i]) <= INSTAR_NAME_BYTES_MAX);
    }
    for (size_t i = 0; i < fkey->parent_column_count; i++) {
        base_assert(strlen(fkey->parent_columns[i]) <= INSTAR_NAME_BYTES_MAX);
    }
}

static void use_table(const instar_table_def *table)
{
    char text[64];

    use_key(table->key, table->key_count); /* without one, rows go by row ids */
    for (size_t i = 0; i < table->fkey_count; i++) {
        use_fkey(&table->fkeys[i]);
    }
    for (size_t i = 0; i < table->column_count; i++) {
        const instar_column_def *column = &table->columns[i];

        base_assert(strlen(column->name) <= INSTAR_NAME_BYTES_MAX);
        base_assert(instar_type_name(column->type) != NULL);
        if (column->default_value != NULL) {
            base_assert(column->default_value->type == column->type);
            (void)instar_value_format(column->default_value, text, sizeof(text));
        }
    }
}

static void use_steps(const instar_sql_statement *s)
{
    base_assert(s->step_count > 0);
    for (size_t i = 0; i < s->step_count; i++) {
        const instar_alteration *step = &s->steps[i];
        uint32_t kind = step->kind;
        bool checks = kind == INSTAR_ALTER_ADD_CHECK;
        bool unique = kind == INSTAR_ALTER_ADD_UNIQUE;
        bool refers = kind == INSTAR_ALTER_ADD_FOREIGN_KEY;
        bool comments =
            kind >= INSTAR_ALTER_COMMENT_TABLE && kind <= INSTAR_ALTER_COMMENT_CONSTRAINT;
        bool keys = kind == INSTAR_ALTER_ADD_PRIMARY_KEY || kind == INSTAR_ALTER_DROP_PRIMARY_KEY;
        bool adds = kind == INSTAR_ALTER_ADD_COLUMN || checks || unique || refers || keys;
        bool renames = kind <= INSTAR_ALTER_RENAME_INDEX || kind == INSTAR_ALTER_RENAME_CONSTRAINT;

        base_assert(kind >= INSTAR_ALTER_RENAME_TABLE &&
                    (kind <= INSTAR_ALTER_SET_TYPE || unique || refers || keys || comments));
        base_assert(refers == (step->fkey != NULL));
        if (refers) {
            use_fkey(step->fkey);
        }
        if (kind == INSTAR_ALTER_ADD_PRIMARY_KEY) {
            use_key(step->key, step->key_count);
        }
        base_assert((kind == INSTAR_ALTER_ADD_COLUMN || kind == INSTAR_ALTER_SET_TYPE) ==
                    (step->column != NULL));
        base_assert(checks == (step->check != NULL) && unique == (step->unique != NULL));
        base_assert(adds || kind == INSTAR_ALTER_RENAME_TABLE ||
                    kind == INSTAR_ALTER_COMMENT_TABLE || step->name != NULL);
        base_assert(renames == (step->new_name != NULL));
    }
}

static void use_statement(const instar_sql_statement *s, const char *text, size_t size)
{
    base_assert(s->offset <= size && s->text_size <= size - s->offset);
    base_assert(memcmp(s->text, text + s->offset, s->text_size) == 0);
    base_assert(s->line > 0 && s->column > 0);
    base_assert(instar_sql_verb_name(s->verb)[0] != '?');
    if (s->verb < INSTAR_SQL_SHOW_CHANGES) {
        base_assert(s->name != NULL && s->options->struct_size == sizeof(*s->options));
    }
    if (s->verb == INSTAR_SQL_ALTER_TABLE || s->verb == INSTAR_SQL_RENAME_INDEX ||
        s->verb == INSTAR_SQL_COMMENT_INDEX) {
        use_steps(s);
    }
    base_assert((s->verb >= INSTAR_SQL_PAUSE_CHANGE) == (s->steering != NULL));
    if (s->verb == INSTAR_SQL_CREATE_TABLE) {
        use_table(s->table);
    }
    if (s->verb == INSTAR_SQL_CREATE_INDEX) {
        use_key(s->index->columns, s->index->column_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    instar_sql_options options;
    instar_sql_error error;
    instar_sql *sql;

    instar_sql_options_init(&options);
    if (size == 0) {
        return 0;
    }
    if ((data[0] & 1) != 0) {
        options.statement_bytes_max = 200;
        options.statements_max = 3;
        options.nesting_max = 4;
        options.expression_tokens_max = 20;
    }
    const char *text = (const char *)data + 1;
    int rc = instar_sql_read(text, size - 1, &options, &sql, &error);

    base_assert((rc == INSTAR_OK) == (sql != NULL));
    base_assert(rc == INSTAR_OK || (error.code == rc && error.text[0] != '\0'));
    base_assert(error.offset <= size - 1);
    for (size_t i = 0; i < instar_sql_count(sql); i++) {
        use_statement(instar_sql_at(sql, i), text, size - 1);
    }
    instar_sql_free(sql);
    return 0;
}
