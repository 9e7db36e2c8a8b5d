/* SPDX-License-Identifier: Apache-2.0 */
/* ddl/map, ddl/type, ddl/control: what a script says becomes the requests of instar.h. */
#include "support/test.h"

#include <instar_sql.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static instar_sql *read_sql(const char *text)
{
    instar_sql *sql = NULL;
    instar_sql_error error;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &error);

    if (rc != INSTAR_OK) {
        test_fail(__FILE__, __LINE__, "%s: %u:%u %s", text, error.line, error.column, error.text);
    }
    expect(error.code == INSTAR_OK);
    return sql;
}

static void expect_text(const char *found, const char *wanted)
{
    if (found == NULL || strcmp(found, wanted) != 0) {
        test_fail(__FILE__, __LINE__, "found '%s', wanted '%s'", found, wanted);
    }
}

/* Every type is known by PostgreSQL's name and by the keywords of its grammar. */
Test(ddl_read, types)
{
    static const struct {
        const char *sql;
        enum instar_type type;
    } types[] = {
        {"bool", INSTAR_BOOL},
        {"boolean", INSTAR_BOOL},
        {"int2", INSTAR_INT2},
        {"smallint", INSTAR_INT2},
        {"int4", INSTAR_INT4},
        {"int", INSTAR_INT4},
        {"INTEGER", INSTAR_INT4},
        {"int8", INSTAR_INT8},
        {"bigint", INSTAR_INT8},
        {"float8", INSTAR_FLOAT8},
        {"double precision", INSTAR_FLOAT8},
        {"float", INSTAR_FLOAT8},
        {"text", INSTAR_TEXT},
        {"pg_catalog.text", INSTAR_TEXT},
        {"bytea", INSTAR_BYTEA},
        {"timestamptz", INSTAR_TIMESTAMPTZ},
        {"timestamp with time zone", INSTAR_TIMESTAMPTZ},
        {"date", INSTAR_DATE},
        {"uuid", INSTAR_UUID},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(types); i++) {
        char text[128];

        snprintf(text, sizeof(text), "CREATE TABLE t (a %s PRIMARY KEY)", types[i].sql);
        instar_sql *sql = read_sql(text);
        expect_u64(instar_sql_at(sql, 0)->table->columns[0].type, types[i].type);
        instar_sql_free(sql);
    }
}

/* Columns, NOT NULL, the key behind a column or at the end, and directions of the key. */
Test(ddl_read, create_table)
{
    instar_sql *sql = read_sql("CREATE TABLE IF NOT EXISTS Files (\n"
                               "  path text, \"Größe\" int8 NOT NULL, host int4 NULL,\n"
                               "  PRIMARY KEY (path, host) WITH (host = DESC, path = ASC)) "
                               "WITH (fence_after_ms = 70, backfill_workers = 3);"
                               "create table u (id int8 primary key)");
    const instar_sql_statement *s = instar_sql_at(sql, 0);

    expect_u64(instar_sql_count(sql), 2);
    expect_u64(s->verb, INSTAR_SQL_CREATE_TABLE);
    expect_text(s->name, "files");
    expect_text(s->table->name, "files");
    expect_u64(s->table->column_count, 3);
    expect_text(s->table->columns[1].name, "Größe");
    expect(s->table->columns[1].not_null && !s->table->columns[0].not_null);
    expect_u64(s->table->key_count, 2);
    expect_text(s->table->key[0].name, "path");
    expect_text(s->table->key[1].name, "host");
    expect(!s->table->key[0].descending && s->table->key[1].descending);
    expect_u64(s->options->flags, INSTAR_CHANGE_IF_NOT_EXISTS);
    expect_u64(s->options->fence_after_ms, 70);
    expect_u64(s->options->workers, 3);
    expect_u64(s->options->struct_size, sizeof(*s->options));
    s = instar_sql_at(sql, 1);
    expect_text(s->table->key[0].name, "id");
    expect_u64(s->options->flags, 0);
    expect_u64(s->line, 3);
    instar_sql_free(sql);
}

/* Constants arrive as values of their column, negative numbers among them. */
Test(ddl_read, defaults)
{
    instar_sql *sql = read_sql(
        "create table t (id int8 primary key, a int4 default -17, b int8 default 9999999999,"
        "c int8 default -9223372036854775808, d int2 default 0, e float8 default -1.5e3,"
        "f text default 'a''b', g text default '', h text default E'a\\n\\'b', i bool default true,"
        "j bool default false, k bool default 'yes', l date default '1970-01-03'::date,"
        "m timestamptz default timestamptz '1970-01-01 00:00:01+00', n bytea default '\\x0102',"
        "o uuid default '00000000-0000-0000-0000-0000000000ff', p text default null,"
        "q int4 default '12', r float8 default 'NaN', s text default $x$a;b$x$, u int4 default 7)");
    const instar_column_def *c = instar_sql_at(sql, 0)->table->columns;

    expect(c[0].default_value == NULL);
    expect(c[1].default_value->i == -17 && c[1].default_value->type == INSTAR_INT4);
    expect(c[2].default_value->i == 9999999999);
    expect(c[3].default_value->i == INT64_MIN);
    expect(c[4].default_value->i == 0 && c[4].default_value->type == INSTAR_INT2);
    expect(c[5].default_value->f == -1500.0);
    expect_u64(c[6].default_value->bytes.size, 3);
    expect(memcmp(c[6].default_value->bytes.data, "a'b", 3) == 0);
    expect_u64(c[7].default_value->bytes.size, 0);
    expect(memcmp(c[8].default_value->bytes.data, "a\n'b", 4) == 0);
    expect(c[9].default_value->b && !c[10].default_value->b && c[11].default_value->b);
    expect(c[12].default_value->i == 2);
    expect(c[13].default_value->i == 1000000);
    expect(c[14].default_value->bytes.size == 2);
    expect(c[15].default_value->uuid[15] == 0xff);
    expect(c[16].default_value == NULL);
    expect(c[17].default_value->i == 12);
    expect(c[18].default_value->f != c[18].default_value->f);
    expect(memcmp(c[19].default_value->bytes.data, "a;b", 3) == 0);
    expect(c[20].default_value->i == 7);
    instar_sql_free(sql);
}

/* Several columns, directions, the order of nulls, and what WITH says. */
Test(ddl_read, create_index)
{
    instar_sql *sql =
        read_sql("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t USING btree"
                 " (a, b ASC NULLS LAST, c DESC, d DESC NULLS FIRST, e DESC NULLS LAST) WITH "
                 "(rows_per_second = 5000000000, sort_memory_bytes = 1048576);"
                 "create index j on t (a)");
    const instar_sql_statement *s = instar_sql_at(sql, 0);

    expect_u64(s->verb, INSTAR_SQL_CREATE_INDEX);
    expect_text(s->index->name, "i");
    expect_text(s->index->table, "t");
    expect(s->index->unique);
    static const enum instar_nulls nulls[] = {INSTAR_NULLS_DEFAULT, INSTAR_NULLS_LAST,
                                              INSTAR_NULLS_DEFAULT, INSTAR_NULLS_FIRST,
                                              INSTAR_NULLS_LAST};
    expect_u64(s->index->column_count, 5);
    for (size_t i = 0; i < 5; i++) {
        expect_text(s->index->columns[i].name, (const char *[]){"a", "b", "c", "d", "e"}[i]);
        expect(s->index->columns[i].descending == (i >= 2));
        expect(s->index->columns[i].nulls == nulls[i]);
    }
    expect_u64(s->options->flags, INSTAR_CHANGE_IF_NOT_EXISTS);
    expect_u64(s->options->rows_per_second_max, 5000000000);
    expect_u64(s->options->sort_memory_bytes, 1048576);
    expect(!instar_sql_at(sql, 1)->index->unique);
    instar_sql_free(sql);
    sql = read_sql("create index j on t (a) with (hurry, hold = true, pause = off)");
    expect_u64(instar_sql_at(sql, 0)->options->flags, INSTAR_CHANGE_HURRY | INSTAR_CHANGE_HOLD);
    instar_sql_free(sql);
}

/* Drops, and the statements that PostgreSQL does not have. */
Test(ddl_read, drops_and_steering)
{
    instar_sql *sql = read_sql("drop table if exists t; DROP INDEX CONCURRENTLY i RESTRICT;\n"
                               "show changes; Wait Change 12 ; cancel change 18446744073;"
                               "EXPLAIN drop index \"I\"");
    const instar_sql_statement *s = instar_sql_at(sql, 0);

    expect_u64(instar_sql_count(sql), 6);
    expect_u64(s->verb, INSTAR_SQL_DROP_TABLE);
    expect_u64(s->options->flags, INSTAR_CHANGE_IF_EXISTS);
    expect_u64(instar_sql_at(sql, 1)->verb, INSTAR_SQL_DROP_INDEX);
    expect_text(instar_sql_at(sql, 1)->name, "i");
    expect_u64(instar_sql_at(sql, 2)->verb, INSTAR_SQL_SHOW_CHANGES);
    expect_u64(instar_sql_at(sql, 3)->change, 12);
    expect_u64(instar_sql_at(sql, 4)->verb, INSTAR_SQL_CANCEL_CHANGE);
    expect_u64(instar_sql_at(sql, 4)->change, 18446744073);
    s = instar_sql_at(sql, 5);
    expect(s->explain && s->verb == INSTAR_SQL_DROP_INDEX);
    expect_text(s->name, "I");
    expect(instar_sql_at(sql, 6) == NULL);
    instar_sql_free(sql);
    sql = read_sql("pause change 7; resume change 7; hold change 7; release change 7");
    expect_u64(instar_sql_count(sql), 4);
    for (size_t i = 0; i < 4; i++) {
        expect_u64(instar_sql_at(sql, i)->verb, INSTAR_SQL_PAUSE_CHANGE + i);
        expect_u64(instar_sql_at(sql, i)->change, 7);
    }
    expect_u64(instar_sql_at(sql, 0)->steering->set_flags, INSTAR_CHANGE_PAUSE);
    expect_u64(instar_sql_at(sql, 1)->steering->clear_flags, INSTAR_CHANGE_PAUSE);
    expect_u64(instar_sql_at(sql, 2)->steering->set_flags, INSTAR_CHANGE_HOLD);
    expect_u64(instar_sql_at(sql, 3)->steering->clear_flags, INSTAR_CHANGE_HOLD);
    instar_sql_free(sql);
}

/* WITH at the end of statements for which the grammar has none; it is a part of their text. A WITH
 * of the grammar's own, or a word in a constant, is none. */
Test(ddl_read, with_at_the_end)
{
    instar_sql *sql = read_sql(
        "drop table t with (undo_window_s = 3600, Fence_After_Ms = 5) ;"
        "ALTER TABLE t DROP COLUMN b, DROP c WITH (undo_window_s=0,hurry,keep_waiting = off);"
        "VACUUM t WITH (rows_per_second = 5000000000, latency_target_ms = 7);"
        "alter table t add column d text default ' with (hurry)';"
        "ALTER TABLE t ADD COLUMN \"with\" int8;"
        "BEGIN; DROP INDEX i; ALTER TABLE t DROP COLUMN e WITH (undo_window_s = 9); COMMIT");
    const instar_sql_statement *s = instar_sql_at(sql, 0);

    expect_u64(instar_sql_count(sql), 6);
    expect(s->verb == INSTAR_SQL_DROP_TABLE && strcmp(s->name, "t") == 0);
    expect(s->options->undo_window_s == 3600 && s->options->fence_after_ms == 5);
    expect(s->text_size > 50 && s->text[s->text_size - 1] == ')');
    s = instar_sql_at(sql, 1);
    expect(s->step_count == 2 && s->options->undo_window_s == 0);
    expect_u64(s->options->flags, INSTAR_CHANGE_HURRY);
    s = instar_sql_at(sql, 2);
    expect(s->verb == INSTAR_SQL_VACUUM && s->options->rows_per_second_max == 5000000000);
    expect(s->options->latency_target_ms == 7 && s->options->undo_window_s == UINT64_MAX);
    expect_u64(instar_sql_at(sql, 3)->options->flags, 0);
    expect_text(instar_sql_at(sql, 4)->steps[0].column->name, "with");
    s = instar_sql_at(sql, 5);
    expect(s->verb == INSTAR_SQL_COMPOUND && s->options->undo_window_s == 9);
    instar_sql_free(sql);
}

/* UNDO CHANGE: names as the grammar would have them. */
Test(ddl_read, undo)
{
    instar_sql *sql = read_sql("undo change 7; UNDO CHANGE 8 RENAME TO Old DROP NOT NULL "
                               "WITH (fence_after_ms = 1);"
                               "EXPLAIN UNDO CHANGE 9 DROP NOT NULL RENAME TO \"a \"\"b\"");
    const instar_sql_statement *s = instar_sql_at(sql, 0);

    expect(s->verb == INSTAR_SQL_UNDO_CHANGE && s->change == 7 && s->new_name == NULL);
    expect_u64(s->options->flags, 0);
    s = instar_sql_at(sql, 1);
    expect_text(s->new_name, "old");
    expect(s->options->flags == INSTAR_CHANGE_NULLABLE && s->options->fence_after_ms == 1);
    s = instar_sql_at(sql, 2);
    expect_text(s->new_name, "a \"b");
    expect(s->explain && s->change == 9 && s->options->flags == INSTAR_CHANGE_NULLABLE);
    instar_sql_free(sql);
}

/* RETUNE says what is to be different; all else stays as it is. */
Test(ddl_read, retune)
{
    instar_sql *sql =
        read_sql("retune change 8 with (rows_per_second = 5000000000, hurry = off);"
                 "RETUNE CHANGE 8 WITH (backfill_workers=3,Fence_After_Ms=0,hurry=on)");
    const instar_change_steering *s = instar_sql_at(sql, 0)->steering;

    expect_u64(instar_sql_at(sql, 0)->verb, INSTAR_SQL_RETUNE_CHANGE);
    expect_u64(s->rows_per_second_max, 5000000000);
    expect_u64(s->clear_flags, INSTAR_CHANGE_HURRY);
    expect(s->workers == UINT32_MAX && s->fence_after_ms == UINT32_MAX && s->set_flags == 0);
    s = instar_sql_at(sql, 1)->steering;
    expect(s->workers == 3 && s->fence_after_ms == 0 && s->rows_per_second_max == UINT64_MAX);
    expect_u64(s->set_flags, INSTAR_CHANGE_HURRY);
    instar_sql_free(sql);
}

/* Semicolons in strings, names and comments end nothing; empty statements are none. */
Test(ddl_read, splitting)
{
    instar_sql *sql = read_sql(";; -- one; two\n/* a /* nested; */ ; */"
                               "create table \"a;b\" (c text default 'x;''y' primary key);;"
                               "create table d (c text default $$;$$, e text default $q$;$$;$q$,"
                               "f text default E'\\';', primary key (c)) ; -- end");

    expect_u64(instar_sql_count(sql), 2);
    expect_text(instar_sql_at(sql, 0)->name, "a;b");
    expect(memcmp(instar_sql_at(sql, 0)->text, "create table \"a;b\"", 18) == 0);
    expect_u64(instar_sql_at(sql, 0)->text_size,
               strlen("create table \"a;b\" (c text default 'x;''y' primary key)"));
    expect_u64(instar_sql_at(sql, 1)->table->column_count, 3);
    instar_sql_free(sql);
    sql = read_sql("");
    expect_u64(instar_sql_count(sql), 0);
    instar_sql_free(sql);
    sql = read_sql("  ; /* */ ;; ");
    expect_u64(instar_sql_count(sql), 0);
    instar_sql_free(sql);
}

/* What stands alone between BEGIN and COMMIT is one change, as it is without them. */
Test(ddl_read, begin_and_commit)
{
    instar_sql *sql = read_sql("begin; commit; BEGIN WORK; drop table t; END; START TRANSACTION;"
                               "drop index i; COMMIT");

    expect_u64(instar_sql_count(sql), 2);
    instar_sql_free(sql);
}

static void *read_often(void *arg)
{
    for (int i = 0; i < 300; i++) {
        instar_sql_free(read_sql(arg));
    }
    return NULL;
}

/* Many threads read at once. */
Test(ddl_read, threads)
{
    static char text[] = "create table t (id int8 primary key, b text default 'x')";
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) {
        expect(pthread_create(&threads[i], NULL, read_often, text) == 0);
    }
    for (int i = 0; i < 4; i++) {
        expect(pthread_join(threads[i], NULL) == 0);
    }
}

/* libpg_query would take a thread-local key for each thread that it runs in and keep it; the keys
 * of the host are not used up by reading from many threads. */
Test(ddl_read, leaves_thread_keys)
{
    static char text[] = "drop table t";
    pthread_key_t keys[1100];
    int before = 0, after = 0;

    instar_sql_free(read_sql(text));
    while (before < (int)BASE_ARRAY_LEN(keys) && pthread_key_create(&keys[before], NULL) == 0) {
        before++;
    }
    for (int i = 0; i < before; i++) {
        (void)pthread_key_delete(keys[i]);
    }
    for (int i = 0; i < 20; i++) {
        pthread_t thread;

        expect(pthread_create(&thread, NULL, read_often, text) == 0);
        expect(pthread_join(thread, NULL) == 0);
    }
    while (after < (int)BASE_ARRAY_LEN(keys) && pthread_key_create(&keys[after], NULL) == 0) {
        after++;
    }
    expect_u64((uint64_t)after, (uint64_t)before);
}

/* A child of fork() reads too, although the parent's thread is not in it. */
Test(ddl_read, fork)
{
    int status = -1;

    instar_sql_free(read_sql("drop table t"));
    pid_t child = fork();
    if (child == 0) {
        instar_sql_free(read_sql("drop table t"));
        _exit(0);
    }
    expect(waitpid(child, &status, 0) == child);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
