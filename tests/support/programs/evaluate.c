/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluates expressions over rows, for tests/differential/expression.py.
 *
 * Input, a line each: the columns "name type name type …"; the number of rows; the rows, values
 * between tabs, \N for null; then expressions to the end. Output, a line for each expression: what
 * it gives for each row between tabs, \N for null, "!" and words for a failure. Where it does not
 * compile there is one "!!" and words.
 */
#include "row/row.h"

#include <stdio.h>
#include <stdlib.h>

#define COLUMNS_MAX 64
#define ROWS_MAX 64
#define LINE_MAX_BYTES 65536

static struct {
    char *name;
    enum instar_type type;
} columns[COLUMNS_MAX];
static size_t column_count;
static instar_value rows[ROWS_MAX][COLUMNS_MAX];
static size_t row_count;
static struct base_arena kept;

static void die(const char *what)
{
    fprintf(stderr, "evaluate: %s\n", what);
    exit(1);
}

/* A line without its end; NULL: there is none. */
static char *read_line(void)
{
    static char line[LINE_MAX_BYTES];

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return NULL;
    }
    line[strcspn(line, "\n")] = 0;
    return line;
}

static void read_columns(void)
{
    char *rest = read_line();
    char *word;

    while (rest != NULL && (word = strsep(&rest, " ")) != NULL && column_count < COLUMNS_MAX) {
        char *type = strsep(&rest, " ");
        columns[column_count].name = base_arena_strdup(&kept, word);
        columns[column_count].type = type != NULL ? row_type_from_name(type) : INSTAR_NULL;
        if (columns[column_count++].type == INSTAR_NULL) {
            die("a column without a type");
        }
    }
}

static void read_rows(void)
{
    char *line = read_line();

    row_count = line != NULL ? strtoul(line, NULL, 10) : 0;
    if (row_count > ROWS_MAX) {
        die("too many rows");
    }
    for (size_t i = 0; i < row_count; i++) {
        char *rest = read_line();
        for (size_t c = 0; c < column_count; c++) {
            char *text = rest != NULL ? strsep(&rest, "\t") : NULL;
            struct base_err err = {0};
            if (text == NULL) {
                die("a row that is too short");
            }
            size_t size = strlen(text);
            char *scratch = base_arena_copy(&kept, text, size + 1);
            char *copy = base_arena_copy(&kept, text, size + 1);
            if (strcmp(text, "\\N") != 0 &&
                row_value_parse(columns[c].type, base_slice(copy, size), scratch, size, &rows[i][c],
                                &err) != 0) {
                die(err.text);
            }
        }
    }
}

static bool find(void *arg, const char *name, struct row_expr_column *column_out,
                 struct base_err *err)
{
    (void)arg;
    (void)err;
    for (uint32_t i = 0; i < column_count; i++) {
        if (strcmp(columns[i].name, name) == 0) {
            *column_out = (struct row_expr_column){i + 1, columns[i].type};
            return true;
        }
    }
    return false;
}

static void print_value(const instar_value *value)
{
    size_t size = row_value_format(value, NULL, 0);
    char *text = base_alloc(size + 1);

    if (text == NULL) {
        die("no memory");
    }
    row_value_format(value, text, size + 1);
    fputs(value->type == INSTAR_NULL ? "\\N" : text, stdout);
    base_free(text);
}

static void evaluate(const struct row_expr *expr)
{
    const struct row_expr_column *used;
    size_t count = row_expr_columns(expr, &used);

    for (size_t i = 0; i < row_count; i++) {
        instar_value inputs[COLUMNS_MAX] = {0};
        struct base_arena arena = {0};
        struct base_err err = {0};
        instar_value value;
        for (size_t c = 0; c < count; c++) {
            inputs[c] = rows[i][used[c].id - 1];
        }
        fputs(i > 0 ? "\t" : "", stdout);
        if (row_expr_eval(expr, inputs, &arena, &value, &err) != 0) {
            printf("!%s", err.text);
        } else {
            print_value(&value);
        }
        base_arena_free(&arena);
    }
}

int main(void)
{
    static const struct row_expr_scope scope = {.find = find};
    char *line;

    read_columns();
    read_rows();
    while ((line = read_line()) != NULL) {
        struct base_arena arena = {0};
        struct base_err err = {0};
        struct row_expr *expr;
        if (row_expr_compile(base_slice(line, strlen(line)), &scope, &arena, &expr, NULL, &err) !=
            0) {
            printf("!!%s", err.text);
        } else {
            evaluate(expr);
        }
        putchar('\n');
        base_arena_free(&arena);
    }
    base_arena_free(&kept);
    return fflush(stdout) == 0 ? 0 : 1;
}
