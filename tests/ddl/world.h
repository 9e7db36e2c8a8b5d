/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world: what tables and rows have to be, worked out without the engine. Values are texts. There
 * are two schemas, that before a change and that after it, and a row knows by which of them it was
 * written: read by the later one it is brought there, column by column.
 *
 * Statements are taken as the SQL reader gives them; all that they mean stands here once more, in
 * the plainest form. What a value of a row is, its key and the number of its version decide, so
 * that a test names rows, never values.
 */
#ifndef INSTAR_TEST_WORLD_H
#define INSTAR_TEST_WORLD_H

#include <instar_sql.h>

#include "support/dbs.h"

#define WORLD_VALUE 32
#define WORLD_NAME 64
#define WORLD_TABLES 4
#define WORLD_COLUMNS 12
#define WORLD_RULES 12
#define WORLD_ROWS 768
/* Rows that a table has from its first moment: keys from 1 to this. */
#define WORLD_FIRST_ROWS 8

/* What rows hold in a column. By the name that it was made with: a is the key, d has few values, e
 * is null in some rows; the others have a value of their own in each row. */
enum world_fill { WORLD_KEY, WORLD_NUMBER, WORLD_FEW, WORLD_WORD, WORLD_MAYBE };

struct world_column {
    char name[WORLD_NAME];
    int id; /* never given twice in a table */
    enum instar_type type;
    uint32_t length_max;
    enum world_fill fill;
    bool not_null;
    char otherwise[WORLD_VALUE]; /* the default, or "null" */
    char missing[WORLD_VALUE];   /* of rows from before it was added */
    char using[WORLD_NAME];      /* what makes its values of those before, or "" */
    unsigned dropped;            /* kept for an undo since that statement; 0: it is there */
};

enum world_rule_kind { WORLD_CHECK, WORLD_UNIQUE, WORLD_REFERENCE };
struct world_rule {
    enum world_rule_kind kind;
    char name[WORLD_NAME];
    char text[WORLD_NAME]; /* of a check */
    int column;            /* that it is about, or the first of them */
};

struct world_table {
    char name[WORLD_NAME];
    int id;
    unsigned dropped; /* as of a column */
    struct world_column columns[WORLD_COLUMNS];
    size_t column_count;
    int next_column;
    int key[4]; /* ids of columns */
    size_t key_count;
    struct world_rule rules[WORLD_RULES];
    size_t rule_count;
};

struct world_schema {
    struct world_table tables[WORLD_TABLES];
    size_t table_count;
    unsigned statements;
    bool impossible; /* a statement named what is not there, or what is there already */
};

struct world_row {
    int table; /* its id; 0: there is none here */
    int64_t a;
    size_t side; /* by which schema it was written */
    char values[WORLD_COLUMNS][WORLD_VALUE];
};

enum { WORLD_BEFORE, WORLD_AFTER };
struct world {
    struct world_schema schema[2];
    struct world_row rows[WORLD_ROWS];
    size_t row_count; /* with those that are gone */
};

/* An empty one, which processes that are forked see as this one does. */
struct world *world_shared(void);
void world_unshare(struct world *w);
/* What the statement makes of the schema before it becomes the one after it. */
void world_change(struct world *w, const instar_sql_statement *s);
/* From now on the schema after is the one before, for all rows. */
void world_settle(struct world *w);
/* The one after was seen, and is taken back: what it had more is kept in the rows, unseen. */
void world_fall_back(struct world *w);

/* Tables and columns that users see; NULL: there is none of that id. */
const struct world_table *world_table(const struct world_schema *s, int id);
const struct world_column *world_column(const struct world_table *t, int id);
/* Names of the visible columns, "a,b,c"; `brief`: without those that have a default. */
void world_columns(const struct world_table *t, bool brief, char *text, size_t size);

/* A world of its own, the same as this one. Free it. */
struct world *world_copy(const struct world *w);
/* What that row is in another world, it is in this one; NULL: it is not there. */
void world_take(struct world *w, int table, int64_t a, const struct world_row *row);
struct world_row *world_find(struct world *w, int table, int64_t a);
/* What a column of the row is by that schema, which is not older than its row. */
void world_value(const struct world *w, const struct world_row *row, size_t side,
                 const struct world_column *c, char value[WORLD_VALUE]);
/* What a row with this key and number of its version is to hold there. */
void world_fill_value(const struct world_column *c, int64_t a, int version,
                      char value[WORLD_VALUE]);
void world_insert(struct world *w, size_t side, int table, int64_t a, int version, bool brief);
/* Row a becomes row `to`, of that version. */
void world_update(struct world *w, size_t side, int table, int64_t a, int64_t to, int version);
void world_delete(struct world *w, int table, int64_t a);
/* All rows by that schema, a line for each, sorted. Free it. */
char *world_rows(const struct world *w, size_t side, int table);

/* The value of an expression of one column: a column, numbers, texts and length(), and one operator
 * between two of these. */
void world_evaluate(const char *expression, const char *value, char out[WORLD_VALUE]);

/* A row that only one of the schemas refuses. */
struct world_offence {
    int table;
    size_t side;       /* that refuses it */
    int column;        /* whose value it is, or -1: all but the key are those of row 2 */
    const char *value; /* a constant */
    char what[2 * WORLD_NAME];
};
#define WORLD_OFFENCES 8
size_t world_offences(const struct world *w, struct world_offence offences[WORLD_OFFENCES]);

#endif
