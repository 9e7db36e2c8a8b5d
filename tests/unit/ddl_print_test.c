/* SPDX-License-Identifier: Apache-2.0 */
/* ddl/print, ddl/script: a schema that is printed makes the same schema in another store. */
#include "support/dbs.h"

#include <instar_sql.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int print_table(void *arg, const instar_table_info *info)
{
    struct base_buf *b = arg;
    size_t size = instar_sql_format_table(info, NULL, 0);

    expect(base_buf_reserve(b, size + 1));
    expect_u64(instar_sql_format_table(info, (char *)b->data + b->size, size + 1), size);
    b->size += size;
    expect(b->data[b->size] == '\0');
    return 0;
}

/* The whole schema, with a final zero. Free with base_buf_free. */
static struct base_buf print_schema(instar *db)
{
    struct base_buf b = {0};

    ok(instar_table_list(db, NULL, print_table, &b));
    expect(base_buf_add(&b, "", 1));
    return b;
}

/* Submit each statement of a script and wait for it. */
static void run_script(instar *db, const char *text)
{
    instar_sql_options options;
    instar_sql_error error;
    instar_sql *sql;

    instar_sql_options_init(&options);
    options.statement_bytes_max = 1 << 20;
    if (instar_sql_read(text, strlen(text), &options, &sql, &error) != INSTAR_OK) {
        test_fail(__FILE__, __LINE__, "%u:%u %s\n%s", error.line, error.column, error.text, text);
    }
    for (size_t i = 0; i < instar_sql_count(sql); i++) {
        uint64_t change;

        if (instar_sql_submit(db, sql, i, &change, &error) != INSTAR_OK) {
            test_fail(__FILE__, __LINE__, "%u:%u %s", error.line, error.column, error.text);
        }
        ok(instar_change_wait(db, change, UINT32_MAX, NULL));
    }
    instar_sql_free(sql);
}

static instar *open_second(void)
{
    instar_options o = dbs_options();
    instar *db;

    o.flags |= INSTAR_OPEN_CREATE;
    ok(instar_open(test_path("second"), &o, &db));
    return db;
}

/* Print, make anew in a second store, print again. */
static void expect_round_trip(instar *db)
{
    struct base_buf first = print_schema(db), second;
    instar *other = open_second();

    run_script(other, (const char *)first.data);
    second = print_schema(other);
    if (strcmp((const char *)first.data, (const char *)second.data) != 0) {
        test_fail(__FILE__, __LINE__, "printed\n%s\nmade\n%s", (const char *)first.data,
                  (const char *)second.data);
    }
    base_buf_free(&first);
    base_buf_free(&second);
    ok(instar_close(other));
}

/* ---- chance ------------------------------------------------------------------------------- */

struct names {
    char text[32][INSTAR_NAME_BYTES_MAX + 1];
    size_t count;
};

/* Names that the grammar would fold, or take for words of its own, or that hold anything. */
static const char *new_name(struct test_random *r, struct names *names)
{
    static const char *const odd[] = {
        "select",  "Order",   "a b", "a\"b",   "ä",     "1a",   "a;b",      "-- a", "int8",
        "primary", "asc",     "a'b", "A",      "abort", "a\nb", "\x1b[31m", "\\",   "a\\\tb",
        "$$",      "U&\"a\"", "a.b", "/* a",   "null",  "a$b",  "none",     "name", "position",
        "x\"y",    "1",       "\"",  "change", "",      "table"};
    char *name = names->text[names->count];

    do {
        const char *begin = odd[test_random_below(r, BASE_ARRAY_LEN(odd))];

        snprintf(name, INSTAR_NAME_BYTES_MAX + 1, "%s%s%u", begin, begin[0] == '\0' ? "n" : "",
                 (unsigned)test_random_below(r, 100));
        if (test_random_chance(r, 50) && begin[0] != '\0') {
            snprintf(name, INSTAR_NAME_BYTES_MAX + 1, "%s", begin);
        }
        if (test_random_chance(r, 10)) {
            memset(name, 'x', INSTAR_NAME_BYTES_MAX);
            name[INSTAR_NAME_BYTES_MAX] = '\0';
        }
        size_t same = 0;
        while (same < names->count && strcmp(names->text[same], name) != 0) {
            same++;
        }
        if (same == names->count) {
            names->count++;
            return name;
        }
    } while (true);
}

static void random_value(struct test_random *r, enum instar_type type, instar_value *value,
                         uint8_t room[32])
{
    static const double floats[] = {0, -0.0, 1.5, -1e300, 5e-324, INFINITY, -INFINITY, NAN, 0.1};
    static const char texts[] = "a'\\b\n\"--\t\x7f\x01$$ \xc3\xa4;/*";
    uint64_t n = test_random_next(r) >> test_random_below(r, 64);
    int64_t i = test_random_chance(r, 50) ? -(int64_t)(n >> 1) : (int64_t)(n >> 1);
    size_t size = test_random_below(r, sizeof(texts));

    *value = (instar_value){.type = (uint8_t)type};
    switch (type) {
    case INSTAR_BOOL:
        value->b = (n & 1) != 0;
        break;
    case INSTAR_INT2:
        value->i = (int16_t)i;
        break;
    case INSTAR_INT4:
        value->i = (int32_t)i;
        break;
    case INSTAR_FLOAT8:
        value->f = floats[n % BASE_ARRAY_LEN(floats)];
        break;
    case INSTAR_DATE:
        value->i = i % 2000000;
        break;
    case INSTAR_TIMESTAMPTZ:
        value->i = i % INT64_C(100000000000000000);
        break;
    case INSTAR_TEXT:
        while (size < sizeof(texts) - 1 && ((unsigned char)texts[size] & 0xc0) == 0x80) {
            size--;
        }
        value->bytes.data = texts;
        value->bytes.size = size < sizeof(texts) ? size : sizeof(texts) - 1;
        break;
    case INSTAR_BYTEA:
        test_random_fill(r, room, 32);
        value->bytes.data = room;
        value->bytes.size = size;
        break;
    case INSTAR_TIME:
        value->i = (int64_t)((uint64_t)i % 86400000001u);
        break;
    case INSTAR_NUMERIC: /* as numeric(38,s) holds it */
        value->numeric.low = n;
        value->scale = (uint8_t)test_random_below(r, 39);
        break;
    case INSTAR_UUID:
        test_random_fill(r, value->uuid, sizeof(value->uuid));
        break;
    default:
        value->i = i;
    }
}

#define COLUMNS_MAX 8

/* "name" IS NOT NULL. */
static void is_not_null(const char *name, char text[256])
{
    size_t at = 0;

    text[at++] = '"';
    for (const char *p = name; *p != '\0'; p++) {
        text[at++] = *p;
        if (*p == '"') {
            text[at++] = *p;
        }
    }
    (void)snprintf(text + at, 256 - at, "\" IS NOT NULL");
}

/* Of the table's columns: in any order, partial, covering, or a UNIQUE. */
static void random_index(struct test_random *r, instar *db, const instar_table_def *table,
                         const char *name)
{
    const instar_column_def *columns = table->columns;
    size_t count = table->column_count;
    const char *include = columns[test_random_below(r, count)].name;
    bool constraint = test_random_chance(r, 30);
    instar_key_column part[] = {{.name = columns[test_random_below(r, count)].name,
                                 .descending = test_random_chance(r, 50),
                                 .nulls = (enum instar_nulls)test_random_below(r, 3)},
                                {.name = columns[0].name, .descending = test_random_chance(r, 50)}};
    instar_index_def index = {.name = name,
                              .table = table->name,
                              .columns = part,
                              .column_count = part[0].name == part[1].name ? 1 : 2,
                              .unique = constraint || test_random_chance(r, 50),
                              .include = &include,
                              .constraint = constraint};
    char predicate[256];
    uint64_t change;

    if (include != part[0].name && include != part[index.column_count - 1].name) {
        index.include_count = test_random_below(r, 2);
    }
    for (size_t i = 0; constraint && i < 2; i++) {
        part[i].descending = false;
        part[i].nulls = INSTAR_NULLS_DEFAULT;
    }
    if (!constraint && test_random_chance(r, 50)) {
        is_not_null(columns[count - 1].name, predicate);
        index.predicate = predicate;
    }
    ok(instar_create_index(db, &index, NULL, &change));
    ok(instar_change_wait(db, change, UINT32_MAX, NULL));
}

static void random_table(struct test_random *r, instar *db, struct names *objects)
{
    instar_column_def columns[COLUMNS_MAX] = {0};
    instar_value values[COLUMNS_MAX];
    uint8_t rooms[COLUMNS_MAX][32];
    instar_key_column key[3];
    struct names names = {.count = 0};
    size_t count = 1 + test_random_below(r, COLUMNS_MAX), indexes = test_random_below(r, 4);
    size_t key_count = 1 + test_random_below(r, count < 3 ? count : 3);

    for (size_t i = 0; i < count; i++) {
        columns[i].name = new_name(r, &names);
        columns[i].type = (enum instar_type)(1 + test_random_below(r, INSTAR_TYPE_COUNT - 1));
        columns[i].not_null = test_random_chance(r, 40);
        if (test_random_chance(r, 60)) {
            random_value(r, columns[i].type, &values[i], rooms[i]);
            columns[i].default_value = &values[i];
        }
        if (columns[i].type == INSTAR_NUMERIC) {
            unsigned scale = columns[i].default_value != NULL ? values[i].scale : 2;

            columns[i].length_max = INSTAR_DIGITS(38, scale);
        }
    }
    for (size_t i = 0; i < key_count; i++) { /* from the end, so that order matters */
        key[i] = (instar_key_column){.name = columns[count - 1 - i].name,
                                     .descending = test_random_chance(r, 30)};
    }
    instar_table_def def = {.name = new_name(r, objects),
                            .columns = columns,
                            .column_count = count,
                            .key = key,
                            .key_count = key_count};

    dbs_create(db, &def);
    for (size_t i = 0; i < indexes; i++) {
        random_index(r, db, &def, new_name(r, objects));
    }
}

/* Random schemas, with names and constants that need quoting, survive the way through SQL. */
Test(ddl_print, round_trip, .timeout = 120)
{
    struct test_random r = test_random(1);

    for (int round = 0; round < 12; round++) {
        instar *db = dbs_open(0);
        struct names objects = {.count = 0};

        for (size_t t = test_random_below(&r, 5); t-- > 0;) {
            random_table(&r, db, &objects);
        }
        expect_round_trip(db);
        ok(instar_close(db));
        test_remove(dbs_path());
        test_remove(test_path("second"));
    }
}

/* What is printed, word for word. */
Test(ddl_print, words)
{
    static const char wanted[] = "CREATE TABLE \"Files\" (\n"
                                 "    id int8 NOT NULL DEFAULT 7,\n"
                                 "    \"order\" text DEFAULT 'it''s \\',\n"
                                 "    raw bytea DEFAULT '\\x00ff',\n"
                                 "    lines text NOT NULL DEFAULT E'a\\x0ab\\\\',\n"
                                 "    ratio float8 DEFAULT '-0.5',\n"
                                 "    CONSTRAINT \"unique\" UNIQUE (ratio, raw) INCLUDE (lines),\n"
                                 "    PRIMARY KEY (id, lines) WITH (lines = DESC)\n"
                                 ");\n"
                                 "CREATE UNIQUE INDEX u ON \"Files\" (\"order\" DESC, id);\n"
                                 "CREATE INDEX v ON \"Files\" (id DESC NULLS LAST) INCLUDE (raw, "
                                 "\"order\") WHERE ((\"order\" IS NOT NULL) AND (id > 5));\n";
    instar *db = dbs_open(0);
    struct base_buf b;

    run_script(db, wanted);
    b = print_schema(db);
    expect(strcmp((const char *)b.data, wanted) == 0);
    base_buf_free(&b);
    ok(instar_close(db));
}

/* Cut where there is no room, with a final zero, and the whole length told. */
static int print_cut(void *arg, const instar_table_info *info)
{
    char room[10] = "#########";

    (void)arg;
    expect(instar_sql_format_table(info, room, 4) > 20);
    expect(memcmp(room, "CRE\0#####", 9) == 0);
    expect(instar_sql_format_table(NULL, room, 4) == 0 && room[0] == '\0');
    return 0;
}

Test(ddl_print, cut)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(instar_table_list(db, NULL, print_cut, NULL));
    ok(instar_close(db));
}

/* ---- submitting --------------------------------------------------------------------------- */

static int submit(instar *db, const char *text, uint64_t *change, instar_sql_error *error)
{
    instar_sql *sql;
    int rc;

    ok(instar_sql_read(text, strlen(text), NULL, &sql, NULL));
    rc = instar_sql_submit(db, sql, instar_sql_count(sql) - 1, change, error);
    instar_sql_free(sql);
    return rc;
}

/* A failure has the engine's code and words, and the place of its statement. */
Test(ddl_submit, failures)
{
    instar *db = dbs_open(0);
    instar_sql_error error;
    uint64_t change;

    dbs_make_table(db, "t");
    expect(submit(db, "show changes;\n  drop table tt", &change, &error) == INSTAR_EUNKNOWN);
    expect(error.code == INSTAR_EUNKNOWN && error.line == 2 && error.column == 3);
    expect(strstr(error.text, "\"t\"?") != NULL);
    expect(change == 0);
    expect(submit(db, "drop table if exists tt", &change, &error) == INSTAR_OK && change == 0);
    expect(submit(db, "create index i on t (x)", &change, &error) == INSTAR_EUNKNOWN);
    expect(submit(db, "create table t (a int8 primary key)", &change, NULL) == INSTAR_EEXISTS);
    expect(submit(db, "create table if not exists t (a int8 primary key)", &change, &error) ==
           INSTAR_EDEFINITION);
    expect(submit(db, "cancel change 99", &change, &error) == INSTAR_EUNKNOWN && change == 0);
    expect(submit(db, "explain drop table t", &change, &error) == INSTAR_EINVALID);
    expect(submit(db, "wait change 99", &change, &error) == INSTAR_OK && change == 99);
    expect(submit(db, "show changes", &change, &error) == INSTAR_OK && change == 0);
    expect(instar_sql_submit(db, NULL, 0, &change, &error) == INSTAR_EINVALID);
    ok(instar_close(db));
}

static int count_lines(void *arg, const char *line)
{
    struct base_buf *b = arg;

    expect(base_buf_add(b, line, strlen(line)) && base_buf_add(b, "\n", 1));
    return b->size > 100000 ? 7 : 0;
}

static const char *explain(instar *db, const char *text)
{
    static struct base_buf b;
    instar_sql_error error;
    instar_sql *sql;

    base_buf_free(&b);
    ok(instar_sql_read(text, strlen(text), NULL, &sql, NULL));
    ok(instar_sql_explain(db, sql, 0, count_lines, &b, &error));
    expect(base_buf_add(&b, "", 1));
    instar_sql_free(sql);
    return (const char *)b.data;
}

/* The steps of a change, and names that stand in its way; nothing is done. */
Test(ddl_submit, explain)
{
    instar *db = dbs_open(0);
    const char *text;

    dbs_make_table(db, "t");
    text = explain(db, "explain create unique index i on t (b) with (fence_after_ms = 5)");
    expect(strstr(text, "create index i\n") == text);
    expect(strstr(text, "at most 5 ms") != NULL && strstr(text, "5. validate") != NULL);
    expect(strstr(explain(db, "explain create index i on t (b)"), "validate") == NULL);
    expect(strstr(explain(db, "explain create index i on x (b)"), "there is no table x") != NULL);
    expect(strstr(explain(db, "explain create table t (a int primary key)"), "is taken") != NULL);
    expect(strstr(explain(db, "explain drop table t"), "no way back") != NULL);
    expect(strstr(explain(db, "explain drop index t"), "there is no index t") != NULL);
    text = explain(db, "explain alter table t alter b set not null");
    expect(strstr(text, "3. public") != NULL && strstr(text, "no way back") != NULL);
    expect(strstr(text, "old names") == NULL);
    expect(strstr(explain(db, "explain alter table t drop b"), "2. retired: wait") != NULL);
    expect(strstr(explain(db, "explain alter table t rename b to d"), "2. retired: wait") != NULL);
    ok(dbs_index(db, "i", "t", "b", true, NULL));
    expect(strstr(explain(db, "explain drop index i"), "still refuse duplicates") != NULL);
    ok(instar_close(db));
}
