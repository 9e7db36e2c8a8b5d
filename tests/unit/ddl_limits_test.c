/* SPDX-License-Identifier: Apache-2.0 */
/* ddl/text, ddl/worker: text that is too long, too deep or no text meets a limit, never a crash. */
#include "support/test.h"

#include <instar_sql.h>
#include <string.h>

static instar_sql_error error; /* of the last read */

static int read_bytes(const char *text, size_t size, const instar_sql_options *options)
{
    instar_sql *sql = NULL;
    int rc = instar_sql_read(text, size, options, &sql, &error);

    expect(rc == error.code);
    expect((rc == INSTAR_OK) == (sql != NULL));
    instar_sql_free(sql);
    return rc;
}

static int read_text(const char *text)
{
    return read_bytes(text, strlen(text), NULL);
}

static void expect_error(int rc, int code, const char *words)
{
    if (rc != code || strstr(error.text, words) == NULL) {
        test_fail(__FILE__, __LINE__, "%d '%s', wanted %d '%s'", rc, error.text, code, words);
    }
}

static void add(struct base_buf *b, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        expect(base_buf_add(b, text, strlen(text)));
    }
}

/* head, then left so many times, middle, right so many times, tail. */
struct shape {
    const char *head, *left, *middle, *right, *tail;
};

static int read_shape(const struct shape *s, size_t times, const instar_sql_options *options)
{
    struct base_buf b = {0};
    int rc;

    add(&b, s->head, 1);
    add(&b, s->left, times);
    add(&b, s->middle, 1);
    add(&b, s->right, times);
    add(&b, s->tail, 1);
    rc = read_bytes((const char *)b.data, b.size, options);
    base_buf_free(&b);
    return rc;
}

#define CHECK "create table t (a int check ("

/* Ways to a deep tree, with parentheses and without. */
static const struct shape shapes[] = {
    {CHECK, "(", "1", ")", "))"},
    {CHECK, "not ", "true", "", "))"},
    {CHECK, "- ", "1", "", "))"},
    {CHECK, "1 + ", "1", "", "))"},
    {CHECK, "", "1", " + 1", "))"},
    {CHECK, "(1 + ", "1", ")", "))"},
    {CHECK, "(", "1", " + 1)", "))"},
    {CHECK, "f(", "1", ")", "))"},
    {CHECK, "f(1, ", "1", ")", "))"},
    {CHECK, "array[", "1", "]", "))"},
    {CHECK, "", "a", "[1]", "))"},
    {CHECK, "", "a", "::int", "))"},
    {CHECK, "case when true then ", "1", " end", "))"},
    {CHECK, "(select ", "1", ")", "))"},
    {CHECK, "row(", "1", ")", "))"},
    {CHECK, "", "a", " collate \"C\"", "))"},
    {CHECK, "", "a", " is null", "))"},
    {CHECK, "", "a", " at time zone 'x'", "))"},
    {CHECK, "exists (select 1 where ", "true", ")", "))"},
    {"", "(", "select 1", ")", ""},
    {"", "", "select 1", " union select 1", ""},
    {"select * from ", "(", "a", " join b on true)", ""},
    {"", "with x as (", "select 1", ") select 1", ""},
    {"create index i on t ((", "(", "a", ")", "))"},
    {"", "explain ", "drop table t", "", ""},
    {"create table t (a ", "setof ", "int", "", ")"},
    {"/*", "/*", "", "*/", "*/ drop table t"},
    {"drop table a", "", "", ", b", ""},
    {"create table a", "", "", ".b", " ()"},
};

/* Few levels are answered for, many meet a limit; and at the highest limits too, nothing crashes.
 */
Test(ddl_limits, depth, .timeout = 120)
{
    instar_sql_options most;

    instar_sql_options_init(&most);
    most.nesting_max = 1000;
    most.expression_tokens_max = 10000;
    most.statement_bytes_max = 16 << 20;
    for (size_t i = 0; i < BASE_ARRAY_LEN(shapes); i++) {
        int rc = read_shape(&shapes[i], 30, NULL);

        expect(rc == INSTAR_OK || rc == INSTAR_EINVALID);
        for (size_t times = 100; times <= 100000; times = times * 3 / 2) {
            rc = read_shape(&shapes[i], times, NULL);
            expect(rc == INSTAR_OK || rc == INSTAR_EINVALID || rc == INSTAR_ELIMIT);
            rc = read_shape(&shapes[i], times, &most);
            expect(rc == INSTAR_OK || rc == INSTAR_EINVALID || rc == INSTAR_ELIMIT);
        }
        read_shape(&shapes[i], 9900, &most);
    }
    expect(read_shape(&shapes[0], 98, NULL) == INSTAR_OK);
    expect_error(read_shape(&shapes[0], 99, NULL), INSTAR_ELIMIT, "100 nested");
    expect(read_shape(&shapes[1], 990, NULL) == INSTAR_OK);
    expect_error(read_shape(&shapes[1], 1000, NULL), INSTAR_ELIMIT, "1000 words");
    expect_error(read_shape(&shapes[5], 1000, NULL), INSTAR_ELIMIT, "nested");
}

/* A long list is no deep tree. */
Test(ddl_limits, width)
{
    const struct shape columns = {"create table t (id int8 primary key", "", "",
                                  ", a int8 not null", ")"};
    instar_sql_options small;

    expect(read_shape(&columns, 999, NULL) == INSTAR_OK);
    instar_sql_options_init(&small);
    small.expression_tokens_max = 12;
    expect(read_shape(&columns, 999, &small) == INSTAR_OK);
}

/* Each limit is named, counts exactly, and can be set. */
Test(ddl_limits, sizes)
{
    const struct shape padded = {"drop table t", " ", "x", "", ""};
    const struct shape many = {"", "drop table t;", "", "", ""};
    instar_sql_options o;

    expect_error(read_shape(&padded, 65536 - 13, NULL), INSTAR_EINVALID, "syntax error");
    expect_error(read_shape(&padded, 65536 - 12, NULL), INSTAR_ELIMIT, "65536 bytes");
    expect(error.line == 1 && error.column == 1);
    expect(read_shape(&many, 10000, NULL) == INSTAR_OK);
    expect_error(read_shape(&many, 10001, NULL), INSTAR_ELIMIT, "10000 statements");
    expect_u64(error.offset, 130000);
    instar_sql_options_init(&o);
    o.script_bytes_max = 12;
    expect(read_bytes("drop table t", 12, &o) == INSTAR_OK);
    expect_error(read_bytes("drop table t;", 13, &o), INSTAR_ELIMIT, "12 bytes");
    instar_sql_options_init(&o);
    o.nesting_max = 1001;
    expect_error(read_bytes("", 0, &o), INSTAR_EINVALID, "nesting_max is 1001");
    o.nesting_max = 0;
    expect_error(read_bytes("", 0, &o), INSTAR_EINVALID, "nesting_max is 0");
    o.struct_size = 0;
    expect_error(read_bytes("", 0, &o), INSTAR_EINVALID, "instar_sql_options_init");
}

/* A caller's older, shorter options leave the rest at its default. */
Test(ddl_limits, older_options)
{
    instar_sql_options o;

    instar_sql_options_init(&o);
    o.struct_size = offsetof(instar_sql_options, statement_bytes_max);
    o.statement_bytes_max = 1;
    expect(read_bytes("drop table t", 12, &o) == INSTAR_OK);
}

/* PostgreSQL's scanner would cut a name at 63 bytes and take what is left for another object. */
Test(ddl_limits, names)
{
#define TEN "aaaaaaaaaa"
#define SIXTY TEN TEN TEN TEN TEN TEN
    instar_sql *sql;

    expect(read_text("drop table " SIXTY "abc") == INSTAR_OK);
    expect_error(read_text("drop table " SIXTY "abcd"), INSTAR_ELIMIT, "at most 63 bytes");
    expect_u64(error.column, 12);
    expect(read_text("drop table \"" SIXTY "abc\"") == INSTAR_OK);
    expect_error(read_text("drop table \"" SIXTY "abcd\""), INSTAR_ELIMIT, "at most 63 bytes");
    expect(read_text("drop table \"" SIXTY "ab\"\"\"") == INSTAR_OK);
    expect_error(read_text("drop table \"" SIXTY "abü\""), INSTAR_ELIMIT, "at most 63 bytes");
    expect(read_text("drop table U&\"" SIXTY "ab\\0041\"") == INSTAR_OK);
    expect(read_text("drop table U&\"" SIXTY "a\\\\\\\\\"") == INSTAR_OK);
    expect_error(read_text("drop table U&\"" SIXTY "ab\\00fc\""), INSTAR_ELIMIT, "63 bytes");
    expect_error(read_text("drop table U&\"" SIXTY "\\+01F600\""), INSTAR_ELIMIT, "63 bytes");
    expect(instar_sql_read("drop table U&\"\\00fc\\+01F600\\0041B\"", 34, NULL, &sql, &error) == 0);
    expect(strcmp(instar_sql_at(sql, 0)->name, "\xc3\xbc\xf0\x9f\x98\x80"
                                               "AB") == 0);
    instar_sql_free(sql);
}

/* What an error shows a part of is cut between two characters. */
Test(ddl_limits, parts)
{
#define UMLAUTS                                                                        \
    "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü" \
    "üü"
    expect_error(read_text("drop table a" UMLAUTS), INSTAR_ELIMIT, "ü…'");
    expect(base_utf8_valid(error.text, strlen(error.text)));
    expect_error(read_text("create table t (k int4 primary key default 'a" UMLAUTS "')"),
                 INSTAR_ETYPE, "ü' as int4");
    expect(base_utf8_valid(error.text, strlen(error.text)));
    expect(read_text("wait change 'a" UMLAUTS "'") == INSTAR_EINVALID);
    expect(base_utf8_valid(error.text, strlen(error.text)));
}

/* Bytes that are no text. */
Test(ddl_limits, encoding)
{
    expect_error(read_bytes("drop table t;\0", 14, NULL), INSTAR_EENCODING, "zero byte");
    expect_u64(error.offset, 13);
    expect(read_bytes("drop table \xff", 12, NULL) == INSTAR_EENCODING);
    expect(read_bytes("-- \xc3", 4, NULL) == INSTAR_EENCODING);
    expect_error(read_text("create table t (a text primary key default E'\\xff')"), INSTAR_EINVALID,
                 "encoding");
    expect(read_text("create table t (a text primary key default E'\\000')") == INSTAR_EINVALID);
    expect(read_bytes(NULL, 0, NULL) == INSTAR_OK);
    expect(read_bytes(NULL, 1, NULL) == INSTAR_EMISUSE);
    expect(instar_sql_read("", 0, NULL, NULL, NULL) == INSTAR_EMISUSE);
    instar_sql_free(NULL);
}

/* Places count lines and characters, wherever the trouble is. */
Test(ddl_limits, places)
{
    expect(read_text("drop table a;\r\n  drop\n table \"üö\" casc;") == INSTAR_EINVALID);
    expect(error.line == 3 && error.column == 13);
    expect_u64(error.offset, 36);
    expect(read_text("\n\n\tdrop table 'x'") == INSTAR_EINVALID);
    expect(error.line == 3 && error.column == 13);
    expect(read_text("create table t (\"ü\" text default 'ü', b varchar)") == INSTAR_EINVALID);
    expect(error.line == 1 && error.column == 41);
    expect(read_text("drop") == INSTAR_EINVALID);
    expect(error.column == 5);
}

/* Words of the grammar, and bits that begin or end what others end or begin. */
static const char *const words[] = {
    "create", "table",    "index", "t",       "a",       "int",    "primary", "key",     "(",
    ")",      ",",        ";",     "'x'",     "\"q\"",   "not",    "null",    "default", "1",
    "-",      "unique",   "on",    "with",    "=",       "drop",   "if",      "exists",  "begin",
    "commit", "explain",  "show",  "changes", "wait",    "change", "7",       "/*",      "*/",
    "--",     "\n",       "$$",    "E'\\'",   "cascade", "asc",    "desc",    "nulls",   "first",
    "last",   "U&\"\\00", "\"",    "'",       "::",      ".",      "[",       "]",       "check",
    "alter",  "column",   "add",   "rename",  "to",      "set"};

/* Any bytes made from words of the grammar are answered for. */
Test(ddl_limits, word_salad, .timeout = 120)
{
    struct test_random r = test_random(1);

    for (int i = 0; i < 3000; i++) {
        struct base_buf b = {0};
        size_t count = test_random_below(&r, 40);

        for (size_t w = 0; w < count; w++) {
            add(&b, words[test_random_below(&r, BASE_ARRAY_LEN(words))], 1);
            add(&b, " ", test_random_below(&r, 2));
        }
        int rc = read_bytes((const char *)b.data, b.size, NULL);
        expect(rc == INSTAR_OK || error.text[0] != '\0');
        expect(error.offset <= b.size);
        base_buf_free(&b);
    }
}
