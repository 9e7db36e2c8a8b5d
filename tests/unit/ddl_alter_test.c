/* SPDX-License-Identifier: Apache-2.0 */
/* ddl/alter: ALTER TABLE and renames, alone and several as one change. */
#include "support/dbs.h"

#include <instar_sql.h>
#include <string.h>

static instar_sql *read_sql(const char *text)
{
    instar_sql *sql = NULL;
    instar_sql_error error;

    if (instar_sql_read(text, strlen(text), NULL, &sql, &error) != INSTAR_OK) {
        test_fail(__FILE__, __LINE__, "%s: %u:%u %s", text, error.line, error.column, error.text);
    }
    return sql;
}

static void expect_text(const char *found, const char *wanted)
{
    if (found == NULL || strcmp(found, wanted) != 0) {
        test_fail(__FILE__, __LINE__, "found '%s', wanted '%s'", found, wanted);
    }
}

/* ---- what it says ------------------------------------------------------------------------- */

/* Each subcommand is a step, in order. */
Test(ddl_alter, steps)
{
    instar_sql *sql = read_sql(
        "alter table t add column if not exists b int4 not null default -3, add c text,"
        "drop column if exists d, alter e set default 'x', alter column f drop default,"
        "alter g set not null, alter h drop not null, alter i set default null, drop j restrict");
    static const struct {
        uint32_t kind, flags;
        const char *name;
    } wanted[] = {
        {INSTAR_ALTER_ADD_COLUMN, INSTAR_ALTER_IF_NOT_EXISTS, NULL},
        {INSTAR_ALTER_ADD_COLUMN, 0, NULL},
        {INSTAR_ALTER_DROP_COLUMN, INSTAR_ALTER_IF_EXISTS, "d"},
        {INSTAR_ALTER_SET_DEFAULT, 0, "e"},
        {INSTAR_ALTER_DROP_DEFAULT, 0, "f"},
        {INSTAR_ALTER_SET_NOT_NULL, 0, "g"},
        {INSTAR_ALTER_DROP_NOT_NULL, 0, "h"},
        {INSTAR_ALTER_SET_DEFAULT, 0, "i"},
        {INSTAR_ALTER_DROP_COLUMN, 0, "j"},
    };
    const instar_sql_statement *s = instar_sql_at(sql, 0);

    expect_u64(s->verb, INSTAR_SQL_ALTER_TABLE);
    expect_text(s->name, "t");
    expect_u64(s->step_count, BASE_ARRAY_LEN(wanted));
    for (size_t i = 0; i < s->step_count; i++) {
        expect_u64(s->steps[i].kind, wanted[i].kind);
        expect_u64(s->steps[i].flags, wanted[i].flags);
        if (wanted[i].name != NULL) {
            expect_text(s->steps[i].name, wanted[i].name);
        }
    }
    expect_text(s->steps[0].column->name, "b");
    expect(s->steps[0].column->not_null && s->steps[0].column->default_value->i == -3);
    expect(s->steps[1].column->type == INSTAR_TEXT && s->steps[1].column->default_value == NULL);
    expect(s->steps[3].value->type == INSTAR_TEXT && s->steps[7].value == NULL);
    instar_sql_free(sql);
}

/* The renames, of what and to what. */
Test(ddl_alter, renames)
{
    instar_sql *sql = read_sql("alter table if exists t rename to u; alter table t rename a to b;"
                               "alter table t rename column \"A\" to c;"
                               "alter index if exists i rename to j");
    const instar_sql_statement *s = instar_sql_at(sql, 0);

    expect_u64(instar_sql_count(sql), 4);
    expect_u64(s->steps[0].kind, INSTAR_ALTER_RENAME_TABLE);
    expect_u64(s->options->flags, INSTAR_CHANGE_IF_EXISTS);
    expect_text(s->name, "t");
    expect_text(s->steps[0].new_name, "u");
    s = instar_sql_at(sql, 2);
    expect_u64(s->steps[0].kind, INSTAR_ALTER_RENAME_COLUMN);
    expect_text(s->steps[0].name, "A");
    expect_text(s->steps[0].new_name, "c");
    s = instar_sql_at(sql, 3);
    expect_u64(s->verb, INSTAR_SQL_RENAME_INDEX);
    expect_u64(s->options->flags, INSTAR_CHANGE_IF_EXISTS);
    expect_text(s->name, "i");
    expect_text(s->steps[0].new_name, "j");
    instar_sql_free(sql);
}

/* Alterations of one table side by side between BEGIN and COMMIT are one, under the names they
 * give; an index goes by its own name, and so is a part of its own. */
Test(ddl_alter, joined)
{
    static const char text[] = "begin; alter table t drop a; alter table t rename to u;"
                               "alter table u add b int, alter c set default 5;"
                               "alter index i rename to j; commit; alter table t drop d";
    instar_sql *sql = read_sql(text);
    const instar_sql_statement *s = instar_sql_at(sql, 0);

    expect_u64(instar_sql_count(sql), 2);
    expect_u64(s->verb, INSTAR_SQL_COMPOUND);
    expect_u64(s->part_count, 2);
    expect_u64(s->parts[0]->step_count, 4);
    expect_u64(s->parts[1]->verb, INSTAR_SQL_RENAME_INDEX);
    expect_text(s->name, "t");
    for (size_t i = 0; i < 4; i++) {
        expect_u64(s->parts[0]->steps[i].kind,
                   ((const uint32_t[]){INSTAR_ALTER_DROP_COLUMN, INSTAR_ALTER_RENAME_TABLE,
                                       INSTAR_ALTER_ADD_COLUMN, INSTAR_ALTER_SET_DEFAULT})[i]);
    }
    expect(memcmp(s->text, "alter table t drop a;", 21) == 0);
    expect(memcmp(s->text + s->text_size - 11, "rename to j", 11) == 0);
    expect_u64(instar_sql_at(sql, 1)->step_count, 1);
    instar_sql_free(sql);
}

/* ---- what it does ------------------------------------------------------------------------- */

static instar_sql_error error;
static uint64_t change;

/* Submit a script of one change, and wait for it: the code of the one or of the other. */
static int run(instar *db, const char *text)
{
    instar_sql *sql = read_sql(text);
    int rc;

    expect_u64(instar_sql_count(sql), 1);
    rc = instar_sql_submit(db, sql, 0, &change, &error);
    rc = rc == INSTAR_OK ? instar_change_wait(db, change, UINT32_MAX, NULL) : rc;
    instar_sql_free(sql);
    return rc;
}

static int print_table(void *arg, const instar_table_info *info)
{
    expect(instar_sql_format_table(info, arg, 1024) < 1024);
    return 0;
}

static void expect_schema(instar *db, const char *wanted)
{
    char found[1024] = "";

    ok(instar_table_list(db, NULL, print_table, found));
    expect_text(found, wanted);
}

/* A default gets the type of its column, as the steps before leave it. */
Test(ddl_alter, defaults)
{
    instar *db = dbs_open(0);

    expect(run(db, "create table t (id int8 primary key, a int2, b text, c timestamptz, d bytea,"
                   "e float8, f bool, g uuid, h date)") == INSTAR_OK);
    expect(run(db, "alter table t alter a set default -7, alter b set default '7',"
                   "alter c set default '2026-01-31 00:00:00+01', alter d set default '\\x0a',"
                   "alter e set default 1, alter f set default true,"
                   "alter h set default '2026-02-01'::date") == INSTAR_OK);
    expect(run(db, "alter table t rename a to aa; ") == INSTAR_OK);
    expect(run(db,
               "begin; alter table t rename aa to z; alter table t alter z set default '8';"
               "alter table t add y int4, alter y set default 9, drop b;"
               "alter table t add b date, alter b set default '2026-03-01'; commit") == INSTAR_OK);
    expect_schema(db, "CREATE TABLE t (\n"
                      "    id int8 NOT NULL,\n"
                      "    z int2 DEFAULT 8,\n"
                      "    c timestamptz DEFAULT '2026-01-30 23:00:00+00',\n"
                      "    d bytea DEFAULT '\\x0a',\n"
                      "    e float8 DEFAULT '1',\n"
                      "    f bool DEFAULT true,\n"
                      "    g uuid,\n"
                      "    h date DEFAULT '2026-02-01',\n"
                      "    y int4 DEFAULT 9,\n"
                      "    b date DEFAULT '2026-03-01',\n"
                      "    PRIMARY KEY (id)\n"
                      ");\n");
    expect(run(db, "alter table t alter h set default null, alter y drop default") == INSTAR_OK);
    ok(instar_close(db));
}

/* What cannot be is refused, with the place of the statement, and changes nothing. */
Test(ddl_alter, refusals)
{
    static const struct {
        const char *sql;
        int code;
        const char *words;
    } refused[] = {
        {"alter table t alter b set default 'x'", INSTAR_ETYPE, "'x' as int8"},
        {"alter table t alter b set default true", INSTAR_ETYPE, "no int8"},
        {"alter table t alter b set default 1e30", INSTAR_ERANGE, "bigint out of range"},
        {"alter table t alter c set default 5", INSTAR_ETYPE, "no text"},
        {"alter table t alter b set default '5'::text", INSTAR_EINVALID, "a cast"},
        {"alter table t alter b set default 99999999999999999999", INSTAR_ERANGE, "bigint"},
        {"alter table t alter bb set default 5", INSTAR_EUNKNOWN, "\"b\""},
        {"alter table tt alter b set default 5", INSTAR_EUNKNOWN, "\"t\""},
        {"alter table t drop bb", INSTAR_EUNKNOWN, "\"b\""},
        {"alter table t drop a", INSTAR_ESTATE, "primary key"},
        {"alter table t add b int4", INSTAR_EEXISTS, "b"},
        {"alter table t rename b to c", INSTAR_EEXISTS, "c"},
        {"alter index i rename to j", INSTAR_EUNKNOWN, "i"},
    };
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    for (size_t i = 0; i < BASE_ARRAY_LEN(refused); i++) {
        int rc = run(db, refused[i].sql);

        if (rc != refused[i].code || strstr(error.text, refused[i].words) == NULL ||
            error.line != 1 || change != 0) {
            test_fail(__FILE__, __LINE__, "%s: %d '%s'", refused[i].sql, rc, error.text);
        }
    }
    expect(run(db, "alter table if exists tt alter b set default 5") == INSTAR_OK && change == 0);
    expect(run(db, "alter table t drop column if exists zz") == INSTAR_OK && change == 0);
    expect(run(db, "alter index if exists i rename to j") == INSTAR_OK && change == 0);
    expect_schema(db, "CREATE TABLE t (\n"
                      "    a int8 NOT NULL,\n"
                      "    b int8,\n"
                      "    c text,\n"
                      "    PRIMARY KEY (a)\n"
                      ");\n");
    ok(instar_close(db));
}

/* Renames of table, column and index as one change: nobody sees one without the others. */
Test(ddl_alter, one_change)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    ok(dbs_index(db, "i", "t", "b", false, NULL));
    expect(run(db, "begin; alter index i rename to j; commit") == INSTAR_OK);
    expect(run(db, "begin; alter table t rename to u; alter table u rename b to bb;"
                   "alter index j rename to i; commit") == INSTAR_OK);
    expect_schema(db, "CREATE TABLE u (\n"
                      "    a int8 NOT NULL,\n"
                      "    bb int8,\n"
                      "    c text,\n"
                      "    PRIMARY KEY (a)\n"
                      ");\n"
                      "CREATE INDEX i ON u (bb);\n");
    /* IF EXISTS of an index is its own. */
    expect(run(db, "begin; alter table u add d int4; alter index if exists none rename to n;"
                   "alter index if exists i rename to k; commit") == INSTAR_OK);
    expect(run(db, "begin; alter table if exists u drop d; alter index if exists none rename to n;"
                   "commit") == INSTAR_OK);
    expect_schema(db, "CREATE TABLE u (\n"
                      "    a int8 NOT NULL,\n"
                      "    bb int8,\n"
                      "    c text,\n"
                      "    PRIMARY KEY (a)\n"
                      ");\n"
                      "CREATE INDEX k ON u (bb);\n");
    /* One of them is impossible: then none is done. */
    expect(run(db, "begin; alter table u rename bb to b; alter table u drop nothing; commit") ==
           INSTAR_EUNKNOWN);
    ok(instar_check(db, NULL, NULL, NULL));
    ok(instar_close(db));
}

/* SET NOT NULL that meets a null fails as a change, and names the row. */
Test(ddl_alter, not_null)
{
    instar *db = dbs_open(0);
    instar_change_info info;

    dbs_make_table(db, "t");
    ok(dbs_insert(db, "t", 1, 10));
    expect(run(db, "alter table t alter c set not null") == INSTAR_EFAILED);
    ok(instar_change_get(db, change, &info));
    expect(strstr(info.reason, "a=1") != NULL);
    expect(run(db, "alter table t alter b set not null") == INSTAR_OK);
    ok(instar_close(db));
}
