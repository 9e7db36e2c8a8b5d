/* SPDX-License-Identifier: Apache-2.0 */
/* ddl/clause, ddl/tree: what is not supported is refused by name and place; nothing is ignored. */
#include "support/test.h"

#include <instar_sql.h>
#include <stdio.h>
#include <string.h>

#define KEY "id int8 primary key"

/* A statement, what the refusal names, and the text at its place. */
static const struct refused {
    const char *sql, *words, *at;
} refused[] = {
    /* rows */
    {"select 1", "SELECT", "select"},
    {"select * from t where a = 1", "SELECT", "select"},
    {"with x as (select 1) select * from x", "SELECT", "with"},
    {"values (1)", "SELECT", "values"},
    {"table t", "SELECT", "table"},
    {"insert into t values (1)", "INSERT", "insert"},
    {"update t set a = 1", "UPDATE", "update"},
    {"delete from t", "DELETE", "delete"},
    {"merge into t using u on t.a = u.a when matched then delete", "MERGE", "merge"},
    {"copy t from stdin", "COPY", "copy"},
    {"truncate t", "TRUNCATE", "truncate"},
    /* other statements, by their first words */
    {"create view v as select 1", "CREATE VIEW", "create"},
    {"create or replace view v as select 1", "CREATE OR REPLACE VIEW", "create"},
    {"create materialized view v as select 1", "CREATE TABLE AS", "as select"},
    {"create table t as select 1", "CREATE TABLE AS", "as select"},
    {"select 1 into t", "SELECT", "select"},
    {"create sequence s", "CREATE SEQUENCE", "create"},
    {"create schema s", "CREATE SCHEMA", "create"},
    {"create type e as enum ('a')", "CREATE TYPE", "create"},
    {"create domain d as int", "CREATE DOMAIN", "create"},
    {"create extension x", "CREATE EXTENSION", "create"},
    {"create role r", "CREATE ROLE", "create"},
    {"create database d", "CREATE DATABASE", "create"},
    {"create function f() returns int language sql as 'select 1; select 2'", "CREATE FUNCTION",
     "create"},
    {"create function f() returns int begin atomic select 1; select 2; end", "CREATE FUNCTION",
     "create"},
    {"create or replace procedure p() language sql as ''", "CREATE OR REPLACE PROCEDURE", "create"},
    {"create trigger g after insert on t execute function f()", "CREATE TRIGGER", "create"},
    {"create rule r as on insert to t do nothing", "CREATE RULE", "create"},
    {"create policy p on t", "CREATE POLICY", "create"},
    {"create statistics s on a, b from t", "CREATE STATISTICS", "create"},
    {"create foreign table t (a int) server s", "CREATE FOREIGN TABLE", "create"},
    {"drop view v", "DROP VIEW", "drop"},
    {"drop sequence s", "DROP SEQUENCE", "drop"},
    {"drop schema s", "DROP SCHEMA", "drop"},
    {"drop type e", "DROP TYPE", "drop"},
    {"drop function f", "DROP FUNCTION", "drop"},
    {"drop database d", "DROP DATABASE", "drop"},
    {"drop materialized view v", "DROP MATERIALIZED VIEW", "drop"},
    {"drop role r", "DROP ROLE", "drop"},
    {"alter sequence s restart", "ALTER SEQUENCE", "alter"},
    {"alter view v rename to w", "ALTER VIEW", "alter"},
    {"grant select on t to public", "GRANT", "grant"},
    {"revoke all on t from public", "REVOKE", "revoke"},
    {"vacuum t", "VACUUM", "vacuum"},
    {"analyze t", "ANALYZE", "analyze"},
    {"reindex index i", "REINDEX", "reindex"},
    {"cluster t", "CLUSTER", "cluster"},
    {"checkpoint", "CHECKPOINT", "checkpoint"},
    {"lock table t", "LOCK", "lock"},
    {"set work_mem = 1", "SET", "set"},
    {"reset all", "RESET", "reset"},
    {"show all", "SHOW", "show"},
    {"listen x", "LISTEN", "listen"},
    {"notify x", "NOTIFY", "notify"},
    {"prepare p as select 1", "PREPARE", "prepare"},
    {"execute p", "EXECUTE", "execute"},
    {"do 'begin end'", "DO", "do"},
    {"call p()", "CALL", "call"},
    {"declare c cursor for select 1", "DECLARE", "declare"},
    {"discard all", "DISCARD", "discard"},
    {"security label on table t is 'x'", "SECURITY", "security"},
    {"comment on table t is 'x'", "COMMENT", "comment"},
    {"import foreign schema s from server x into y", "IMPORT", "import"},
    {"refresh materialized view v", "REFRESH", "refresh"},
    {"reassign owned by a to b", "REASSIGN", "reassign"},
    /* transactions */
    {"rollback", "ROLLBACK", "rollback"},
    {"begin; abort", "ABORT", "abort"},
    {"begin; savepoint s", "SAVEPOINT", "savepoint"},
    {"begin; release s", "RELEASE", "release"},
    {"begin; rollback to s", "ROLLBACK", "rollback to"},
    {"prepare transaction 'x'", "PREPARE", "prepare"},
    {"commit prepared 'x'", "COMMIT", "commit"},
    {"begin isolation level serializable", "an option of BEGIN", "isolation"},
    {"begin; commit and chain", "AND CHAIN", "and"},
    {"begin; drop table a; drop table b; commit", "as one change", "drop table b"},
    {"begin; drop table a; drop index b; commit", "as one change", "drop index b"},
    {"begin; drop table a; select 1; commit", "SELECT", "select"},
    {"begin; show changes; commit", "between BEGIN and COMMIT", "show"},
    {"begin; wait change 1; commit", "between BEGIN and COMMIT", "wait"},
    {"begin; explain drop table t; commit", "between BEGIN and COMMIT", "drop"},
    {"begin; begin", "BEGIN inside", "begin"},
    {"commit", "COMMIT without", "commit"},
    {"drop table t; begin; drop table t", "BEGIN without", "begin"},
    /* names */
    {"create table s.t (" KEY ")", "a name with a schema", "s.t"},
    {"create table d.s.t (" KEY ")", "a name with a database", "d.s.t"},
    {"create index i on s.t (a)", "a name with a schema", "s.t"},
    {"drop table s.t", "a name with a schema", "drop"},
    {"drop index s.i", "a name with a schema", "drop"},
    /* CREATE TABLE */
    {"create temp table t (" KEY ")", "TEMPORARY", "temp"},
    {"create temporary table t (" KEY ")", "TEMPORARY", "temporary"},
    {"create unlogged table t (" KEY ")", "UNLOGGED", "unlogged"},
    {"create table t (" KEY ") inherits (u)", "INHERITS", "inherits"},
    {"create table t (" KEY ") partition by range (id)", "PARTITION BY", "partition"},
    {"create table t partition of u for values in (1)", "PARTITION OF", "partition"},
    {"create table t of ty", "OF a type", "of"},
    {"create table t (" KEY ") tablespace s", "TABLESPACE", "tablespace"},
    {"create table t (" KEY ") using heap", "USING", "using"},
    {"create table t (" KEY ") on commit drop", "ON COMMIT", "on commit"},
    {"create table t (" KEY ") with (fillfactor = 70)", "fillfactor", "fillfactor"},
    {"create table t (" KEY ") with (latency_target_ms = 5)", "latency_target_ms", "latency"},
    {"create table t (" KEY ") with (toast.fence_after_ms = 5)", "an option's prefix", "toast"},
    {"create table t (like u)", "LIKE", "like"},
    {"create table t (a int)", "without PRIMARY KEY", "create"},
    {"create table t ()", "without PRIMARY KEY", "create"},
    {"create table t (" KEY ", primary key (id))", "one primary key", "primary key (id)"},
    /* columns */
    {"create table t (a int collate \"C\", " KEY ")", "COLLATE", "collate"},
    {"create table t (a text compression lz4, " KEY ")", "COMPRESSION", "compression"},
    {"create table t (a int unique, " KEY ")", "UNIQUE", "unique"},
    {"create table t (a int check (a > 0), " KEY ")", "CHECK", "check"},
    {"create table t (a int references u, " KEY ")", "FOREIGN KEY", "references"},
    {"create table t (a int generated always as identity, " KEY ")", "IDENTITY", "generated"},
    {"create table t (a int generated always as (1) stored, " KEY ")", "GENERATED", "generated"},
    {"create table t (a int constraint c not null, " KEY ")", "a name for a constraint",
     "constraint"},
    {"create table t (a int constraint c default 1, " KEY ")", "a name for a constraint",
     "constraint"},
    {"create table t (id int8 constraint c primary key)", "a name for a constraint", "constraint"},
    {"create table t (id int8 primary key deferrable)", "DEFERRABLE", "deferrable"},
    {"create table t (id int8 primary key not deferrable)", "NOT DEFERRABLE", "not deferrable"},
    {"create table t (id int8 primary key initially deferred)", "INITIALLY DEFERRED", "initially"},
    {"create table t (id int8 primary key initially immediate)", "INITIALLY IMMEDIATE",
     "initially"},
    {"create table t (id int8 primary key using index tablespace s)", "TABLESPACE", "using"},
    {"create table t (id int8 primary key with (fillfactor = 70))", "fillfactor", "fillfactor"},
    {"create table t (id int8 primary key with (id = up))", "COLUMN = ASC", "id = up"},
    {"create table t (a int null not null, " KEY ")", "both NULL and NOT NULL", "a int"},
    {"create table t (a int default 1 default 2, " KEY ")", "two defaults", "default 2"},
    {"create table t (a, " KEY ")", "syntax error", "int8"},
    /* constraints of the table */
    {"create table t (" KEY ", unique (id))", "UNIQUE", "unique"},
    {"create table t (" KEY ", check (id > 0))", "CHECK", "check"},
    {"create table t (" KEY ", check (id > 0) not valid)", "CHECK", "check"},
    {"create table t (" KEY ", check (id > 0) no inherit)", "CHECK", "check"},
    {"create table t (" KEY ", foreign key (id) references u)", "FOREIGN KEY", "foreign"},
    {"create table t (" KEY ", exclude using gist (id with =))", "EXCLUDE", "exclude"},
    {"create table t (id int8, constraint c primary key (id))", "a name for a constraint",
     "constraint"},
    {"create table t (id int8, primary key (id) include (id))", "INCLUDE", "include"},
    {"create table t (id int8, primary key (id) deferrable)", "DEFERRABLE", "deferrable"},
    {"create table t (id int8, primary key (id) deferrable initially deferred)", "DEFER",
     "deferrable"},
    {"create table t (id int8, primary key using index i)", "USING INDEX", "using"},
    /* types */
    {"create table t (a varchar(3), " KEY ")", "the type varchar", "varchar"},
    {"create table t (a char, " KEY ")", "the type bpchar", "char"},
    {"create table t (a numeric(3, 2), " KEY ")", "the type numeric", "numeric"},
    {"create table t (a real, " KEY ")", "the type float4", "real"},
    {"create table t (a serial, " KEY ")", "the type serial", "serial"},
    {"create table t (a jsonb, " KEY ")", "the type jsonb", "jsonb"},
    {"create table t (a timestamp, " KEY ")", "the type timestamp", "timestamp"},
    {"create table t (a time, " KEY ")", "the type time", "time"},
    {"create table t (a interval, " KEY ")", "the type interval", "interval"},
    {"create table t (a \"INT4\", " KEY ")", "the type INT4", "\"INT4\""},
    {"create table t (a \"integer\", " KEY ")", "the type integer", "\"integer\""},
    {"create table t (a s.int4, " KEY ")", "the type of another schema", "s.int4"},
    {"create table t (a int[], " KEY ")", "an array", "int[]"},
    {"create table t (a setof int, " KEY ")", "SETOF", "setof"},
    {"create table t (a u.b%type, " KEY ")", "syntax error", "%type"},
    {"create table t (a timestamptz(3), " KEY ")", "precision", "(3)"},
    {"create table t (a interval year, " KEY ")", "the type interval", "interval"},
    /* defaults */
    {"create table t (a int default 1 + 1, " KEY ")", "no constant", "+"},
    {"create table t (a timestamptz default now(), " KEY ")", "no constant", "now"},
    {"create table t (a timestamptz default current_timestamp, " KEY ")", "no constant",
     "current_timestamp"},
    {"create table t (a int default b, " KEY ")", "no constant", "b"},
    {"create table t (a int default (select 1), " KEY ")", "no constant", "(select"},
    {"create table t (a int default '1'::int8, " KEY ")", "a cast to another type", "::"},
    {"create table t (a int default '1'::s.int4, " KEY ")", "another schema", "s.int4"},
    {"create table t (a int default 1.5, " KEY ")", "1.5", "1.5"},
    {"create table t (a int default 3000000000, " KEY ")", "3000000000", "3000000000"},
    {"create table t (a int2 default 40000, " KEY ")", "40000", "40000"},
    {"create table t (a int default 'x', " KEY ")", "x", "'x'"},
    {"create table t (a bool default 1, " KEY ")", "bool", "1"},
    {"create table t (a text default 1, " KEY ")", "text", "1"},
    {"create table t (a int default true, " KEY ")", "int4", "true"},
    {"create table t (a text default b'1', " KEY ")", "text", "b'1'"},
    {"create table t (a int default x'1', " KEY ")", "int4", "x'1'"},
    {"create table t (a date default '2026-02-30', " KEY ")", "2026-02-30", "'2026"},
    /* CREATE INDEX */
    {"create index on t (a)", "an index without name", "create"},
    {"create index i on only t (a)", "ONLY", "only"},
    {"create index i on t using hash (a)", "btree", "using"},
    {"create index i on t (lower(a))", "an expression", "lower"},
    {"create index i on t ((a + 1))", "an expression", "+"},
    {"create index i on t (a collate \"C\")", "COLLATE", "collate"},
    {"create index i on t (a text_ops)", "an operator class", "create"},
    {"create index i on t (a text_ops (x = 1))", "an operator class", "create"},
    {"create index i on t (a nulls first)", "NULLS FIRST", "first"},
    {"create index i on t (a asc nulls first)", "NULLS FIRST", "first"},
    {"create index i on t (a desc nulls last)", "NULLS LAST", "last"},
    {"create index i on t (a) include (b)", "INCLUDE", "include"},
    {"create index i on t (a) where a > 1", "WHERE", "where"},
    {"create index i on t (a) tablespace s", "TABLESPACE", "tablespace"},
    {"create unique index i on t (a) nulls not distinct", "NULLS NOT DISTINCT", "distinct"},
    {"create index i on t (a) with (fillfactor = 70)", "fillfactor", "fillfactor"},
    {"create index i on t (a) with (backfill_workers)", "whole number", "backfill_workers"},
    {"create index i on t (a) with (backfill_workers = -1)", "whole number", "backfill_workers"},
    {"create index i on t (a) with (backfill_workers = 1.5)", "whole number", "backfill_workers"},
    {"create index i on t (a) with (backfill_workers = many)", "whole number", "backfill_workers"},
    {"create index i on t (a) with (backfill_workers = 5000000000)", "whole number",
     "backfill_workers"},
    {"create index i on t (a) with (fence_after_ms = 1, fence_after_ms = 2)", "given twice",
     "fence_after_ms = 2"},
    /* DROP */
    {"drop table a, b", "several objects", "drop"},
    {"drop index a, b", "several objects", "drop"},
    {"drop table t cascade", "CASCADE", "cascade"},
    {"drop index i cascade", "CASCADE", "cascade"},
    /* steering */
    {"pause change 1", "PAUSE", "pause"},
    {"resume change 1", "RESUME", "resume"},
    {"cancel change 1 reason 'x'", "REASON", "reason"},
    {"cancel change 1 now", "the end of the statement", "now"},
    {"cancel 1", "expected CHANGE", "1"},
    {"wait change x", "the number of a change", "x"},
    {"wait change 1.5", "the number of a change", "1.5"},
    {"wait change -1", "the number of a change", "-"},
    {"wait change 99999999999999999999", "the number of a change", "9999"},
    {"show changes now", "the end of the statement", "now"},
    {"explain select 1", "SELECT", "select"},
    {"explain (analyze) drop table t", "an option of EXPLAIN", "(analyze"},
    {"explain analyze drop table t", "an option of EXPLAIN", "analyze"},
    {"explain wait change 1", "syntax error", "wait"},
    {"explain begin", "EXPLAIN of what is no change", "explain"},
    /* no SQL at all */
    {"crate table t (" KEY ")", "syntax error", "crate"},
    {"create table t (" KEY "; drop table t", "syntax error", ";"},
    {"create table t (" KEY ") drop table t", "syntax error", "drop"},
    {"create table t (a int default 'x, " KEY ")", "unterminated", "'x"},
    {"create table \"\" (" KEY ")", "zero-length", "\"\""},
    {"create table t (" KEY ") /* ", "unterminated", "/*"},
};

/* Each is refused, names what it refuses, and says where that stands. The statement before it is
 * not mapped either: a script is read in full or not at all. */
Test(ddl_refuse, by_name_and_place)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < BASE_ARRAY_LEN(refused); i++) {
        const struct refused *r = &refused[i];
        instar_sql_error error;
        instar_sql *sql = NULL;
        char text[512];
        int rc;

        snprintf(text, sizeof(text), "drop table \"ü\";\n %s", r->sql);
        rc = instar_sql_read(text, strlen(text), NULL, &sql, &error);
        if (rc == INSTAR_OK || sql != NULL || rc != error.code ||
            strstr(error.text, r->words) == NULL || error.offset > strlen(text) ||
            strncmp(text + error.offset, r->at, strlen(r->at)) != 0 ||
            (error.offset > 18 && error.line != 2) ||
            (error.line == 2 && error.offset != error.column - 1 + 17)) {
            fprintf(stderr, "%s\n    %d %u:%u '%s' at '%.20s', wanted '%s' at '%s'\n", r->sql, rc,
                    error.line, error.column, error.text, text + error.offset, r->words, r->at);
            wrong++;
            instar_sql_free(sql);
        }
    }
    expect_u64(wrong, 0);
}
