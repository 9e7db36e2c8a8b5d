/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a submission refuses, with the code and the words: names of other things, or on their way
 * to become other things; statements of which a half is missing; and more of anything than fits.
 */
#include "support/sqls.h"

#include <instar_sql.h>
#include <stdio.h>
#include <string.h>

struct refusal {
    const char *sql;
    int code;
    const char *words;
};

/* Submit without waiting: nobody runs changes here. */
static int submit(instar *db, const char *text, char words[1024])
{
    instar_sql_error error = {0};
    instar_sql *sql = NULL;
    uint64_t change;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &error);

    if (rc == INSTAR_OK) {
        rc = instar_sql_submit(db, sql, 0, &change, &error);
    }
    instar_sql_free(sql);
    (void)snprintf(words, 1024, "%s", error.text);
    return rc;
}

static void expect_refusals(instar *db, const struct refusal *cases, size_t count)
{
    char words[1024];

    for (size_t i = 0; i < count; i++) {
        int rc = submit(db, cases[i].sql, words);
        cr_expect(rc == cases[i].code && strstr(words, cases[i].words) != NULL, "%s: %s: %s",
                  cases[i].sql, instar_error_name(rc), words);
    }
}

static instar *open_with_tables(void)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, "CREATE TABLE t (a int8 PRIMARY KEY, b int8, c text);"
                    "CREATE TABLE u (a int8 PRIMARY KEY, b int8); CREATE TABLE v (a int8);"
                    "CREATE INDEX t_b ON t (b)"));
    ok(instar_close(db));
    return dbs_open(INSTAR_OPEN_NO_RUNNER);
}

/* IF NOT EXISTS is for what is there as it is wanted; anything else of that name is told. */
Test(change_refuse, a_name_that_is_there)
{
    static const struct refusal cases[] = {
        {"CREATE INDEX t ON t (b)", INSTAR_EEXISTS, "there is a table named \"t\" already"},
        {"CREATE TABLE t_b (a int8)", INSTAR_EEXISTS, "there is an index named \"t_b\" already"},
        {"CREATE INDEX IF NOT EXISTS t ON t (b)", INSTAR_EDEFINITION, "it is a table"},
        {"CREATE TABLE IF NOT EXISTS t_b (a int8)", INSTAR_EDEFINITION, "it is an index"},
        {"CREATE INDEX IF NOT EXISTS t_b ON u (b)", INSTAR_EDEFINITION,
         "it is an index of table t"},
        {"CREATE INDEX IF NOT EXISTS t_b ON t (c)", INSTAR_EDEFINITION, "column 1 is b, not c"},
        {"CREATE TABLE IF NOT EXISTS u (a int8 PRIMARY KEY, b int4)", INSTAR_EDEFINITION,
         "column b is"},
    };
    instar *db = open_with_tables();

    expect_refusals(db, cases, BASE_ARRAY_LEN(cases));
    ok(instar_close(db));
}

/* The same for what a change is making; and what it makes, no other change may touch. */
Test(change_refuse, a_name_on_its_way)
{
    static const char *const on_their_way[] = {
        "CREATE TABLE n (a int8 PRIMARY KEY)", "CREATE INDEX i ON t (b)",
        "BEGIN; CREATE INDEX j ON t (b); CREATE INDEX k ON t (c); COMMIT", "DROP INDEX t_b"};
    static const struct refusal cases[] = {
        {"CREATE INDEX i ON t (b)", INSTAR_EEXISTS, "is creating \"i\" already"},
        {"CREATE TABLE n (a int8 PRIMARY KEY)", INSTAR_EEXISTS, "is creating \"n\" already"},
        {"CREATE INDEX IF NOT EXISTS i ON u (b)", INSTAR_EDEFINITION,
         "with another definition: it is an index of table t"},
        {"CREATE INDEX IF NOT EXISTS n ON t (b)", INSTAR_EDEFINITION,
         "with another definition: it is a table"},
        {"CREATE TABLE IF NOT EXISTS i (a int8)", INSTAR_EDEFINITION,
         "with another definition: it is an index"},
        {"CREATE TABLE IF NOT EXISTS n (a int4 PRIMARY KEY)", INSTAR_EDEFINITION,
         "with another definition: column a is"},
        {"CREATE INDEX IF NOT EXISTS j ON t (c)", INSTAR_EDEFINITION,
         "with another definition: column 1 is b, not c"},
        {"CREATE TABLE IF NOT EXISTS j (a int8)", INSTAR_EDEFINITION, "it is an index"},
        {"CREATE INDEX t_b ON t (c)", INSTAR_ESTATE, "\"t_b\" is being dropped by change"},
        {"CREATE TABLE t_b (a int8)", INSTAR_ESTATE, "\"t_b\" is being dropped by change"},
        {"BEGIN; CREATE INDEX IF NOT EXISTS i ON t (b); CREATE INDEX x ON t (c); COMMIT",
         INSTAR_ESTATE, "i"},
        {"BEGIN; CREATE INDEX IF NOT EXISTS t_b ON t (b); CREATE INDEX x ON t (c); COMMIT",
         INSTAR_ESTATE, "t_b"},
        {"BEGIN; CREATE TABLE IF NOT EXISTS n (a int8 PRIMARY KEY); ALTER TABLE u ADD f int8; "
         "COMMIT",
         INSTAR_ESTATE, "n"},
        {"BEGIN; CREATE TABLE n (a int8); ALTER TABLE u ADD f int8; COMMIT", INSTAR_EDEFINITION,
         "n"},
        {"BEGIN; DROP TABLE n; ALTER TABLE u ADD f int8; COMMIT", INSTAR_ESTATE, "n"},
        {"BEGIN; ALTER TABLE n ADD x int8; ALTER TABLE u ADD f int8; COMMIT", INSTAR_ESTATE, "n"},
        {"ALTER TABLE t RENAME TO n", INSTAR_ESTATE, "n"},
        {"ALTER INDEX t_b RENAME TO i", INSTAR_ESTATE, "t_b"},
        {"ALTER TABLE u ADD CONSTRAINT i UNIQUE (b)", INSTAR_EDEFINITION,
         "with another definition: it is an index of table t"},
        {"DROP INDEX t_b", INSTAR_ESTATE, "t_b"},
        {"ALTER TABLE u ADD FOREIGN KEY (b) REFERENCES n", INSTAR_ESTATE, "n"},
        {"COMMENT ON INDEX i IS 'x'", INSTAR_ESTATE, "i"},
    };
    char words[1024];
    instar *db = open_with_tables();

    for (size_t i = 0; i < BASE_ARRAY_LEN(on_their_way); i++) {
        cr_assert_eq(submit(db, on_their_way[i], words), INSTAR_OK, "%s", words);
    }
    expect_refusals(db, cases, BASE_ARRAY_LEN(cases));
    ok(instar_close(db));
}

/* ---- by the structures of instar.h --------------------------------------------------------- */

struct half {
    const char *what;
    instar_statement list[2];
    size_t count;
    int code;
    const char *words;
};

static void expect_halves(instar *db, const struct half *cases, size_t count)
{
    instar_change_options options;

    instar_change_options_init(&options);
    for (size_t i = 0; i < count; i++) {
        uint64_t change = 1;
        int rc = instar_submit(db, cases[i].list, cases[i].count, &options, &change);
        cr_expect(rc == cases[i].code && says(cases[i].words) && change == 0, "%s: %s: %s",
                  cases[i].what, instar_error_name(rc), instar_error_text());
    }
}

#define ALTER(step)                                                                          \
    {                                                                                        \
        .kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "t", .steps = &(step), .step_count = 1 \
    }
#define INDEX(def)                                             \
    {                                                          \
        .kind = INSTAR_STATEMENT_CREATE_INDEX, .index = &(def) \
    }
#define DROP_U                                           \
    {                                                    \
        .kind = INSTAR_STATEMENT_DROP_TABLE, .name = "u" \
    }

static const instar_key_column b = {.name = "b"};
static const instar_index_def whole = {.name = "x", .table = "t", .columns = &b, .column_count = 1};
static const instar_alteration no_unique = {.kind = INSTAR_ALTER_ADD_UNIQUE};
static const instar_alteration no_check = {.kind = INSTAR_ALTER_ADD_CHECK};
static const instar_alteration no_fkey = {.kind = INSTAR_ALTER_ADD_FOREIGN_KEY};
static const instar_alteration no_key = {.kind = INSTAR_ALTER_ADD_PRIMARY_KEY};
static const instar_alteration no_column = {.kind = INSTAR_ALTER_ADD_COLUMN};
static const instar_alteration no_name = {.kind = INSTAR_ALTER_DROP_COLUMN};
static const instar_alteration no_kind = {.kind = 99};
static const char long_name[] = "a_name_of_more_bytes_than_names_have_________________________"
                                "________________________________________________________________"
                                "________________________________________________________________";
static const instar_index_def misnamed = {
    .name = long_name, .table = "t", .columns = &b, .column_count = 1};
static const instar_index_def nameless = {.table = "t", .columns = &b, .column_count = 1};
static const instar_index_def homeless = {.name = "x", .columns = &b, .column_count = 1};
static const instar_index_def mistaken = {
    .name = "x", .table = long_name, .columns = &b, .column_count = 1};
static const instar_alteration no_constraint = {.kind = INSTAR_ALTER_DROP_CONSTRAINT};
static const instar_alteration key_of_nothing = {.kind = INSTAR_ALTER_ADD_PRIMARY_KEY,
                                                 .key_count = 1};
static const instar_unique_def long_unique = {
    .name = long_name, .columns = (const char *const[]){"b"}, .column_count = 1};
static const instar_unique_def unique_of_nothing = {.name = "x", .column_count = 1};
static const instar_alteration misnamed_unique = {.kind = INSTAR_ALTER_ADD_UNIQUE,
                                                  .unique = &long_unique};
static const instar_alteration columnless = {.kind = INSTAR_ALTER_ADD_UNIQUE,
                                             .unique = &unique_of_nothing};
static const instar_column_def x_column = {.name = "x", .type = INSTAR_INT8};
static const instar_column_def nameless_column = {.type = INSTAR_INT8};
static const instar_fkey_def fkey_of_nothing = {.parent = "u", .column_count = 1};
static const instar_fkey_def fkey_of_null = {
    .parent = "u", .columns = (const char *const[]){NULL}, .column_count = 1};
static const instar_alteration about_new[][2] = {
    {{.kind = INSTAR_ALTER_ADD_COLUMN, .column = &x_column},
     {.kind = INSTAR_ALTER_ADD_FOREIGN_KEY, .fkey = &fkey_of_nothing}},
    {{.kind = INSTAR_ALTER_ADD_COLUMN, .column = &x_column},
     {.kind = INSTAR_ALTER_ADD_FOREIGN_KEY, .fkey = &fkey_of_null}},
    {{.kind = INSTAR_ALTER_ADD_COLUMN, .column = &nameless_column},
     {.kind = INSTAR_ALTER_ADD_FOREIGN_KEY, .fkey = &fkey_of_null}}};
static const instar_column_def n_column = {.name = "b", .type = INSTAR_INT8};
static const instar_table_def n = {.name = "n", .columns = &n_column, .column_count = 1};
#define CREATE_N                                           \
    {                                                      \
        .kind = INSTAR_STATEMENT_CREATE_TABLE, .table = &n \
    }
#define ALTER_OF(of, all, count)                                                                  \
    {                                                                                             \
        .kind = INSTAR_STATEMENT_ALTER_TABLE, .name = (of), .steps = (all), .step_count = (count) \
    }
static const instar_alteration behind_a_rename[] = {
    {.kind = INSTAR_ALTER_RENAME_INDEX, .name = "t_b", .new_name = "t_x"},
    {.kind = INSTAR_ALTER_ADD_CHECK}};
static const instar_alteration dropped_behind_a_rename[] = {
    {.kind = INSTAR_ALTER_RENAME_INDEX, .name = "t_b", .new_name = "t_x"},
    {.kind = INSTAR_ALTER_DROP_CONSTRAINT}};
static const char *const many_names[INSTAR_INDEX_COLUMNS_MAX + 1];
static const instar_unique_def wide_unique = {
    .name = "x", .columns = many_names, .column_count = INSTAR_INDEX_COLUMNS_MAX + 1};
static const instar_unique_def empty_unique = {.name = "x", .columns = many_names};
static const instar_alteration too_wide = {.kind = INSTAR_ALTER_ADD_UNIQUE, .unique = &wide_unique};
static const instar_alteration empty = {.kind = INSTAR_ALTER_ADD_UNIQUE, .unique = &empty_unique};
static const struct half halves[] = {
    {"no constraint", {ALTER(no_constraint)}, 1, INSTAR_EINVALID, "name"},
    {"a long name of a dropped index",
     {{.kind = INSTAR_STATEMENT_DROP_INDEX, .name = long_name}},
     1,
     INSTAR_EINVALID,
     "index name"},
    {"a long name of an altered table",
     {ALTER_OF(long_name, &no_unique, 1)},
     1,
     INSTAR_EINVALID,
     "table name"},
    {"no check behind a rename", {ALTER_OF("t", behind_a_rename, 2)}, 1, INSTAR_EINVALID, "check"},
    {"no constraint behind a rename",
     {ALTER_OF("t", dropped_behind_a_rename, 2)},
     1,
     INSTAR_EINVALID,
     "name"},
    {"a unique of too many columns of a new table",
     {CREATE_N, ALTER_OF("n", &too_wide, 1)},
     2,
     INSTAR_ELIMIT,
     "columns"},
    {"a unique of 0 columns of a new table",
     {CREATE_N, ALTER_OF("n", &empty, 1)},
     2,
     INSTAR_EINVALID,
     "add unique: no definition"},
    {"no table of an index beside one",
     {INDEX(whole), INDEX(homeless)},
     2,
     INSTAR_EINVALID,
     "the table has no name"},
    {"no constraint beside an index",
     {ALTER(no_constraint), INDEX(whole)},
     2,
     INSTAR_EINVALID,
     "name"},
    {"a key of nothing", {ALTER_OF("v", &key_of_nothing, 1)}, 1, INSTAR_EINVALID, "no columns"},
    {"a key of nothing beside an index",
     {ALTER_OF("v", &key_of_nothing, 1), INDEX(whole)},
     2,
     INSTAR_EINVALID,
     "no columns"},
    {"a long name of a constraint",
     {ALTER(misnamed_unique)},
     1,
     INSTAR_EINVALID,
     "constraint name"},
    {"a unique of no columns", {ALTER(columnless)}, 1, INSTAR_EINVALID, "x"},
    {"no columns of a foreign key",
     {ALTER_OF("t", about_new[0], 2)},
     1,
     INSTAR_EINVALID,
     "foreign key"},
    {"no name of its column", {ALTER_OF("t", about_new[1], 2)}, 1, INSTAR_EINVALID, "name"},
    {"no name of a column", {ALTER_OF("t", about_new[2], 2)}, 1, INSTAR_EINVALID, "name"},
    {"no unique of a new table",
     {CREATE_N, ALTER_OF("n", &no_unique, 1)},
     2,
     INSTAR_EINVALID,
     "add unique: no definition"},
    {"a unique of no columns of a new table",
     {CREATE_N, ALTER_OF("n", &columnless, 1)},
     2,
     INSTAR_EINVALID,
     "add unique: no definition"},
    {"a long name of its constraint",
     {CREATE_N, ALTER_OF("n", &misnamed_unique, 1)},
     2,
     INSTAR_EINVALID,
     "constraint name"},
    {"no foreign key of a new table",
     {CREATE_N, ALTER_OF("n", &no_fkey, 1)},
     2,
     INSTAR_EINVALID,
     "CREATE TABLE"},
    {"no kind of its step",
     {CREATE_N, ALTER_OF("n", &no_kind, 1)},
     2,
     INSTAR_EINVALID,
     "CREATE TABLE"},
    {"a long name", {INDEX(misnamed)}, 1, INSTAR_EINVALID, "index name"},
    {"a long name beside one", {INDEX(whole), INDEX(misnamed)}, 2, INSTAR_EINVALID, "index name"},
    {"no name of an index", {INDEX(nameless)}, 1, INSTAR_EINVALID, "the index has no name"},
    {"no table of an index", {INDEX(homeless)}, 1, INSTAR_EINVALID, "the table has no name"},
    {"a long name of its table", {INDEX(mistaken)}, 1, INSTAR_EINVALID, "table name"},
    {"no statement", {{0}}, 0, INSTAR_EINVALID, "0"},
    {"no kind", {{.kind = 99}}, 1, INSTAR_EINVALID, "99"},
    {"no kind beside one", {INDEX(whole), {.kind = 99, .name = "t"}}, 2, INSTAR_EINVALID, "99"},
    {"no index", {{.kind = INSTAR_STATEMENT_CREATE_INDEX}}, 1, INSTAR_EMISUSE, "definition"},
    {"no index beside one",
     {INDEX(whole), {.kind = INSTAR_STATEMENT_CREATE_INDEX}},
     2,
     INSTAR_EMISUSE,
     "definition"},
    {"no table", {{.kind = INSTAR_STATEMENT_CREATE_TABLE}}, 1, INSTAR_EMISUSE, "definition"},
    {"no table beside one",
     {DROP_U, {.kind = INSTAR_STATEMENT_CREATE_TABLE}},
     2,
     INSTAR_EMISUSE,
     "definition"},
    {"no steps",
     {{.kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "t"}},
     1,
     INSTAR_EINVALID,
     "0 steps"},
    {"no steps beside an index",
     {INDEX(whole), {.kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "t"}},
     2,
     INSTAR_EINVALID,
     "0 steps"},
    {"a vacuum beside an index",
     {INDEX(whole), {.kind = INSTAR_STATEMENT_VACUUM, .name = "t"}},
     2,
     INSTAR_EINVALID,
     "vacuum"},
    {"no name of a dropped table beside an index",
     {INDEX(whole), {.kind = INSTAR_STATEMENT_DROP_TABLE}},
     2,
     INSTAR_EMISUSE,
     "name is NULL"},
    {"no name of a dropped index beside one",
     {INDEX(whole), {.kind = INSTAR_STATEMENT_DROP_INDEX}},
     2,
     INSTAR_EMISUSE,
     "name is NULL"},
    {"no name of a table beside an index",
     {INDEX(whole),
      {.kind = INSTAR_STATEMENT_ALTER_TABLE,
       .flags = INSTAR_CHANGE_IF_EXISTS,
       .steps = &no_kind,
       .step_count = 1}},
     2,
     INSTAR_EMISUSE,
     "name is NULL"},
    {"steps that are not there beside an index",
     {INDEX(whole), {.kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "t", .step_count = 1}},
     2,
     INSTAR_EMISUSE,
     "steps is NULL"},
    {"no unique", {ALTER(no_unique)}, 1, INSTAR_EINVALID, "add unique: no definition"},
    {"no unique beside an index",
     {ALTER(no_unique), INDEX(whole)},
     2,
     INSTAR_EINVALID,
     "add unique: no definition"},
    {"no check", {ALTER(no_check)}, 1, INSTAR_EINVALID, "check"},
    {"no foreign key", {ALTER(no_fkey)}, 1, INSTAR_EINVALID, "foreign key"},
    {"no foreign key beside an index",
     {ALTER(no_fkey), INDEX(whole)},
     2,
     INSTAR_EINVALID,
     "foreign key"},
    {"no primary key",
     {{.kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "v", .steps = &no_key, .step_count = 1}},
     1,
     INSTAR_EINVALID,
     "add primary key: no columns"},
    {"no column", {ALTER(no_column)}, 1, INSTAR_EINVALID, "column"},
    {"no name", {ALTER(no_name)}, 1, INSTAR_EINVALID, "name"},
    {"no kind of step", {ALTER(no_kind)}, 1, INSTAR_EINVALID, "99"},
};

/* A statement of which a part is missing is refused before anything is looked up. */
Test(change_refuse, halves)
{
    instar *db = open_with_tables();

    expect_halves(db, halves, BASE_ARRAY_LEN(halves));
    ok(instar_close(db));
}

/* ---- too many ------------------------------------------------------------------------------ */

/* Something again and again, each time with its number, between two others. */
static const char *repeat(const char *first, const char *format, int count, const char *last)
{
    static char text[65536];
    int size = snprintf(text, sizeof(text), "%s", first);

    for (int i = 0; i < count; i++) {
        size += snprintf(text + size, sizeof(text) - (size_t)size, format, i);
        expect((size_t)size < sizeof(text) - 64);
    }
    (void)snprintf(text + size, sizeof(text) - (size_t)size, "%s", last);
    return text;
}

static void expect_over(instar *db, const char *text, const char *words)
{
    char told[1024];
    int rc = submit(db, text, told);

    cr_expect(rc == INSTAR_ELIMIT && strstr(told, words) != NULL, "%.80s: %s: %s", text,
              instar_error_name(rc), told);
}

static void expect_limit(instar *db, const char *format, int count, const char *words)
{
    expect_over(db, repeat("BEGIN; ", format, count, "COMMIT"), words);
}

Test(change_refuse, more_than_fits)
{
    instar *db = open_with_tables();
    instar_key_column key[INSTAR_INDEX_COLUMNS_MAX + 1];
    instar_alteration adds[1025];
    instar_column_def column = {.name = "x", .type = INSTAR_INT8};
    const instar_index_def index = {.name = "i", .table = "t", .columns = key, .column_count = 1};

    for (size_t i = 0; i < BASE_ARRAY_LEN(key); i++) {
        key[i] = (instar_key_column){.name = "b"};
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(adds); i++) {
        adds[i] = (instar_alteration){.kind = INSTAR_ALTER_ADD_COLUMN, .column = &column};
    }
    const instar_alteration long_key = {
        .kind = INSTAR_ALTER_ADD_PRIMARY_KEY, .key = key, .key_count = BASE_ARRAY_LEN(key)};
    const struct half cases[] = {
        {"many steps",
         {{.kind = INSTAR_STATEMENT_ALTER_TABLE,
           .name = "t",
           .steps = adds,
           .step_count = BASE_ARRAY_LEN(adds)}},
         1,
         INSTAR_ELIMIT,
         "1025 steps"},
        {"many steps beside an index",
         {INDEX(index),
          {.kind = INSTAR_STATEMENT_ALTER_TABLE,
           .name = "t",
           .steps = adds,
           .step_count = BASE_ARRAY_LEN(adds)}},
         2,
         INSTAR_ELIMIT,
         "1025 steps"},
        {"a long key",
         {{.kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "v", .steps = &long_key, .step_count = 1}},
         1,
         INSTAR_ELIMIT,
         "primary key of 17 columns, at most 16"},
    };
    expect_halves(db, cases, BASE_ARRAY_LEN(cases));
    /* As many as may be are looked at: the second of these is there already. */
    static const struct half fitting[] = {{"steps",
                                           {{.kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "t"}},
                                           1,
                                           INSTAR_EEXISTS,
                                           "step 2: table \"t\" has a column \"x\" already"}};
    struct half alone = fitting[0];
    alone.list[0].steps = adds;
    alone.list[0].step_count = BASE_ARRAY_LEN(adds) - 1;
    expect_halves(db, &alone, 1);
    struct half beside = alone;
    beside.list[1] = (instar_statement)INDEX(index);
    beside.count = 2;
    expect_halves(db, &beside, 1);
    expect_limit(db, "CREATE INDEX i%d ON t (b); ", 17, "more than 16 new indexes in one change");
    expect_limit(db, "DROP INDEX IF EXISTS i%d; ", 257, "at most 256");
    expect_limit(db, "CREATE TABLE n%d (a int8); ", 65, "more than 64 tables in one change");
    ok(instar_close(db));
}

/* A change has its turn in so many tables, is made of so many parts, and makes so many trees. */
Test(change_refuse, more_parts_than_fit)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db,
                "CREATE TABLE t (a int8 PRIMARY KEY, b int8); CREATE TABLE v (a int8, b int8)"));
    for (int i = 0; i < 18; i++) {
        char text[256];
        (void)snprintf(text, sizeof(text),
                       "CREATE TABLE p%d (a int8 PRIMARY KEY, b int8); CREATE INDEX v_%d ON v (b)",
                       i, i);
        ok(sqls_run(db, text));
    }
    expect_over(db,
                repeat("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p17",
                       ", ADD FOREIGN KEY (a) REFERENCES p%d", 16, ""),
                "foreign keys to more than 16 other tables");
    expect_over(db,
                repeat("CREATE TABLE n (a int8 PRIMARY KEY, FOREIGN KEY (a) REFERENCES p17",
                       ", FOREIGN KEY (a) REFERENCES p%d", 16, ")"),
                "foreign keys to more than 16 other tables");
    ok(sqls_run(db, repeat("ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (a) REFERENCES p17",
                           ", ADD CONSTRAINT r%d FOREIGN KEY (a) REFERENCES p%1$d", 15, "")));
    ok(sqls_run(db, "ALTER TABLE t ADD CONSTRAINT r15 FOREIGN KEY (a) REFERENCES p15"));
    expect_over(db, repeat("ALTER TABLE t DROP CONSTRAINT r", ", DROP CONSTRAINT r%d", 16, ""),
                "foreign keys to more than 16 other tables");
    expect_over(
        db,
        repeat("ALTER TABLE t ADD UNIQUE (b), DROP CONSTRAINT r", ", DROP CONSTRAINT r%d", 16, ""),
        "foreign keys to more than 16 other tables");
    expect_limit(db, "ALTER TABLE p%d ADD f int8; ", 18, "more than 17 tables that are there");
    expect_over(db,
                repeat("BEGIN; ",
                       "ALTER TABLE p%d ADD UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE "
                       "(b), ADD UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE (b), ADD "
                       "UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE "
                       "(b), ADD UNIQUE (b), ADD UNIQUE (b), ADD UNIQUE (b); ",
                       17, "COMMIT"),
                "272 parts of one change, at most 256");
    expect_over(db,
                repeat("ALTER TABLE t ADD UNIQUE (b)",
                       ", ADD CONSTRAINT k CHECK (b > %d), DROP CONSTRAINT k", 260, ""),
                "parts of one change, at most 256");
    expect_over(db,
                repeat("BEGIN; ", "CREATE INDEX i%d ON t (b); ", 16,
                       "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b); COMMIT"),
                "rows by another primary key and 16 indexes");
    expect_over(db, "ALTER TABLE v ALTER b TYPE text",
                "more than 16 indexes to be made, or made anew");
    expect_over(db, "ALTER TABLE v ADD PRIMARY KEY (a)", "18 indexes");
    ok(instar_close(db));
}

/* Statements about one table, of which one takes away what another one is about. */
Test(change_refuse, statements_that_do_not_fit)
{
    static const struct refusal cases[] = {
        {"BEGIN; ALTER TABLE t ALTER b TYPE text; ALTER INDEX t_b RENAME TO x; COMMIT",
         INSTAR_EINVALID, "is renamed in the change that gives a column of it another type"},
        {"BEGIN; ALTER INDEX t_b RENAME TO x; ALTER TABLE t ALTER b TYPE text; COMMIT",
         INSTAR_EINVALID, "is renamed in the change that gives a column of it another type"},
        {"BEGIN; ALTER TABLE IF EXISTS nothing ADD x int8; ALTER TABLE t ADD b int8; COMMIT",
         INSTAR_EEXISTS, "table \"t\" has a column \"b\" already"},
        {"BEGIN; DROP TABLE u; ALTER TABLE u ADD x int8; COMMIT", INSTAR_EUNKNOWN,
         "table \"u\" is dropped in the same change"},
        {"BEGIN; DROP TABLE t; DROP INDEX t_b; COMMIT", INSTAR_EUNKNOWN,
         "goes with its table, which is dropped"},
        {"BEGIN; ALTER TABLE u RENAME TO w; DROP TABLE u; COMMIT", INSTAR_EINVALID,
         "is dropped in the change that renames it"},
        {"BEGIN; ALTER TABLE u RENAME TO w; ALTER TABLE u ADD x int8; COMMIT", INSTAR_EUNKNOWN,
         "has another name by then"},
        {"BEGIN; ALTER TABLE u RENAME TO w; ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES u; COMMIT",
         INSTAR_EUNKNOWN, "is renamed to \"w\" in the same change"},
        {"BEGIN; CREATE TABLE n (a int8); CREATE INDEX x ON n (a); CREATE INDEX x ON t (b); COMMIT",
         INSTAR_EEXISTS, "the change gives the name \"x\" twice"},
        {"BEGIN; CREATE INDEX x ON t (b); CREATE TABLE x (a int8); COMMIT", INSTAR_EEXISTS,
         "\"x\""},
        {"BEGIN; CREATE TABLE n (a int8); CREATE INDEX t_b ON n (a); COMMIT", INSTAR_EEXISTS,
         "\"t_b\" already"},
        {"BEGIN; CREATE TABLE n (a int8); ALTER TABLE n ADD x int8, ADD UNIQUE (a); COMMIT",
         INSTAR_EINVALID, "step 1: table \"n\" is created in the same change"},
    };
    instar *db = open_with_tables();

    expect_refusals(db, cases, BASE_ARRAY_LEN(cases));
    ok(instar_close(db));
}
