#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Scripts of schema changes run, stop at what fails, and are printed back.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
expect 0 'text' "$INSTAR" sql "$db" 'create table t (id int8 primary key, a int4, b text)'
same 'text' "$out" 'change 1: create table t: done'
fill 2000 100

printf 'create index t_ab on t (a, b desc);\n-- twice\ncreate unique index t_b on t (b);\n' \
    >"$scratch/script.sql"
expect 0 'file' "$INSTAR" sql "$db" -f "$scratch/script.sql"
same 'file' "$out" 'change 2: create index t_ab: done
change 3: create index t_b: done'
run_stdin() { "$INSTAR" sql "$db" "$@" <"$scratch/script.sql"; }
expect 1 'standard input' run_stdin
has 'stops at the first error' "$err" 'line 1, column 1: .*t_ab'
has 'with its code' "$err" 'EEXISTS'
expect 0 scan "$INSTAR" scan "$db" t --index t_ab --from 5 --to 5 --limit 1 --columns id --no-header
same 'the index is used' "$out" 905

# A mistake anywhere in the text: nothing of it is done.
printf 'drop index t_ab;\ndrop table t;\n  create table v (a int4 primary key, b int4[]);\n' \
    >"$scratch/script.sql"
expect 1 'unsupported' "$INSTAR" sql "$db" --file "$scratch/script.sql"
has 'unsupported' "$err" 'line 3, column 41: not supported: an array'
same 'nothing done' "$out" ''
expect 1 'as JSON' "$INSTAR" sql "$db" --json -f "$scratch/script.sql"
has 'as JSON' "$err" '"error": "INSTAR_EINVALID", "line": 3, "column": 41, "offset": 71, "text'
expect 0 schema "$INSTAR" schema "$db" --sql
has 'still there' "$out" 'CREATE INDEX t_ab ON t \(a, b DESC\);'
expect 1 'no rows' "$INSTAR" sql "$db" 'select * from t'
has 'no rows' "$err" 'line 1, column 1: not supported: SELECT'
expect 1 'two as one' "$INSTAR" sql "$db" 'begin; drop index t_ab; drop table t; commit'
has 'two as one' "$err" 'line 1, column 25: table "t" is dropped in the change that creates, alters'

# A change that fails on the data ends the script; what came before stays.
printf 'drop index t_ab;\ncreate unique index t_a on t (a);\ndrop table t;\n' >"$scratch/script.sql"
expect 1 'fails on data' "$INSTAR" sql "$db" -f "$scratch/script.sql"
has 'the first is done' "$out" 'drop index t_ab: done'
has 'the second fails' "$out" 'create index t_a: failed'
has 'and names rows' "$out" 'id=1\b'
has 'and the place' "$err" 'stopped at the statement of line 2, column 1$'
expect 1 'fails on data, as JSON' "$INSTAR" sql "$db" --json \
    'drop index if exists no_such; create unique index t_a on t (a)'
same 'the place as JSON' "$err" '{"stopped": true, "line": 1, "column": 31}'
expect 0 tables "$INSTAR" tables "$db" --no-header
has 'the third is not done' "$out" '^t'

# Steering.
expect 0 'show' "$INSTAR" sql "$db" 'SHOW CHANGES' --no-header
same 'show' "$(printf '%s\n' "$out" | wc -l)" 6
expect 0 'show as JSON' "$INSTAR" sql "$db" 'show changes' --json
has 'show as JSON' "$out" '"id": 5, "state": "failed"'
expect 0 'wait' "$INSTAR" sql "$db" 'wait change 3'
has 'wait' "$out" 'create index t_b: done'
expect 1 'wait for a failed one' "$INSTAR" sql "$db" 'wait change 5; drop table t'
expect 1 'wait for none' "$INSTAR" sql "$db" 'drop table if exists no_such; wait change 77'
has 'the drop had nothing to do' "$out" 'nothing to do'
expect 0 'explain' "$INSTAR" sql "$db" 'explain drop table t'
has 'explain' "$out" 'about 2000 rows'
expect 0 'explain as JSON' "$INSTAR" sql "$db" 'explain drop table t' --json
has 'explain as JSON' "$out" '^\{"explain": "drop table t"\}'

# Indexes and alterations as one change: its plan, its verdict, the place of what is wrong in it.
expect 0 'explain several' "$INSTAR" sql "$db" 'explain begin; create index t_x on t (b, a);
    drop index t_b; alter table t add x int4 not null default 5; commit'
has 'explain several' "$out" '^3\. build: one scan of the table for 1 index$'
has 'explain several' "$out" '^4\. public: publish all of it at once; no way back'
has 'explain several' "$out" '^7\. purge'
expect 1 'one of several' "$INSTAR" sql "$db" 'begin; create index t_x on t (b);
  create index t_y on t (nope); commit'
has 'one of several' "$err" 'line 2, column 3: index "t_y": no column "nope"'
expect 0 'several' "$INSTAR" sql "$db" 'begin; create index t_x on t (b);
    alter table t add x int4 not null default 5; create index t_y on t (x); commit'
has 'several' "$out" 'compound t: done'
expect 0 'several dropped' "$INSTAR" sql "$db" 'begin; drop index t_x; drop index t_y;
    alter table t drop x; commit'

# Several tables as one change.
expect 0 'several tables' "$INSTAR" sql "$db" 'begin; create table one (id int8 primary key);
    create table two (id int8, one int8 references one); alter table two add unique (one); commit'
has 'several tables' "$out" 'several tables one: done'
expect 0 explain "$INSTAR" sql "$db" 'explain begin; drop table two; drop table one; commit'
has explain "$out" '2 statements about several tables: 0 made, 2 dropped'
expect 0 'several tables' "$INSTAR" sql "$db" 'begin; drop table one; drop table two; commit'
expect 0 changes "$INSTAR" changes "$db"
has changes "$out" 'several tables'

# Altering, several statements as one change.
expect 0 'alter' "$INSTAR" sql "$db" 'begin; alter table t add c int4 not null default 5;
    alter table t rename a to aa; alter table t rename aa to a;
    alter index t_b rename to t_by_b; commit'
has 'alter' "$out" '^change [0-9]+: compound t: done$'
expect 0 'get' "$INSTAR" get "$db" t 7 --no-header
same 'get' "$out" "7${tab}7${tab}b7${tab}5"
expect 1 'alter fails' "$INSTAR" sql "$db" 'drop table if exists no_such;
  alter table t alter a set default now()'
has 'alter fails' "$err" 'line 2, column 37: not supported: .*now'
expect 1 'type of a default' "$INSTAR" sql "$db" "alter table t alter a set default 'x'"
has 'type of a default' "$err" "line 1, column 1: 'x' as int4: not an integer"
expect 0 'explain alter' "$INSTAR" sql "$db" 'explain alter table t alter a set not null'
has 'explain alter' "$out" 'validate: one scan'
expect 0 'alter back' "$INSTAR" sql "$db" 'alter table t drop c; alter index t_by_b rename to t_b'

# Ctrl-C leaves the change running and the rest of the script undone.
printf 'create index t_slow on t (b, a) with (rows_per_second = 400);\ndrop table t;' \
    >"$scratch/script.sql"
"$INSTAR" sql "$db" -f "$scratch/script.sql" >"$scratch/sql.out" 2>"$scratch/sql.err" &
runner=$!
until "$INSTAR" changes "$db" --running --no-header | grep -q "${tab}build${tab}"; do
    kill -0 "$runner" 2>/dev/null || { fail "the script ended: $(cat "$scratch/sql.err")"; break; }
done
id=$("$INSTAR" changes "$db" --running --no-header | cut -f1)
expect 0 'pause' "$INSTAR" sql "$db" "pause change $id"
same 'pause' "$out" "change $id: to stand still"
until "$INSTAR" changes "$db" "$id" --no-header | grep -q paused; do
    kill -0 "$runner" 2>/dev/null || { fail "the script ended: $(cat "$scratch/sql.err")"; break; }
done
expect 0 'retune' "$INSTAR" sql "$db" "retune change $id with (rows_per_second = 300)"
same 'retune' "$out" "change $id: to stand still"
expect 0 'resume as JSON' "$INSTAR" sql "$db" "resume change $id" --json
has 'resume as JSON' "$out" "\"change\": $id, \"pause\": false"
kill -INT "$runner"
wait "$runner"
same 'interrupted' "$?" 130
has 'how to follow' "$(cat "$scratch/sql.err")" "instar wait $db"
expect 0 'cancel' "$INSTAR" sql "$db" "cancel change $id"
has 'cancel' "$out" 'create index t_slow: cancelled'
expect 1 'cancel twice' "$INSTAR" sql "$db" "cancel change $id"
has 'cancel twice' "$err" 'ESTATE'

# A schema that is printed makes the same one in another store.
expect 0 'odd names' "$INSTAR" sql "$db" "create table \"Select it's\" (\"a\"\"b\" text default
    'it''s', k int8 default -5, primary key (k, \"a\"\"b\") with (k = desc));
    create unique index \"order\" on \"Select it's\" (\"a\"\"b\" desc);
    alter table \"Select it's\" add check (k < 10 and \"a\"\"b\" <> 'it''s'),
    add constraint \"user\" check (k <> 3) not valid,
    add constraint \"check\" unique (k) include (\"a\"\"b\");
    create index part on \"Select it's\" (k nulls first) include (\"a\"\"b\")
    where \"a\"\"b\" like 'x%'"
expect 0 'print' "$INSTAR" schema "$db" --sql
printf '%s\n' "$out" >"$scratch/schema.sql"
expect 0 'init other' "$INSTAR" init "$scratch/other"
expect 0 'make anew' "$INSTAR" sql "$scratch/other" -f "$scratch/schema.sql"
expect 0 'print again' "$INSTAR" schema "$scratch/other" --sql
same 'the same schema' "$out" "$(cat "$scratch/schema.sql")"
expect 2 'sql and json' "$INSTAR" schema "$db" --sql --json

# Checks are shown, and hold.
expect 0 'checks' "$INSTAR" schema "$db"
has 'checks' "$out" "CONSTRAINT \"Select it's_check\" CHECK \\(\\(k < 10\\) AND"
has 'checks' "$out" 'CONSTRAINT user CHECK \(k <> 3\), -- not valid'
expect 0 'checks as json' "$INSTAR" schema "$db" --json
has 'checks as json' "$out" '"expression": "k <> 3", "valid": false, "enforcing": false'
expect 1 'a check' "$INSTAR" put "$db" "Select it's" 'a"b=x' k=3
has 'a check' "$err" 'violates check user'
expect 1 'a function' "$INSTAR" sql "$db" 'create table f (a int primary key check (a > pow(a, 2)))'
has 'a function' "$err" 'not supported: the function pow'

# So are UNIQUE constraints, predicates and what is included.
expect 0 'constraints' "$INSTAR" schema "$db"
has 'constraints' "$out" "ADD CONSTRAINT check UNIQUE \\(k\\) INCLUDE \\(\"a\"\"b\"\\);"
has 'a predicate' "$out" \
    "INDEX part .*\\(k NULLS FIRST\\) INCLUDE \\(\"a\"\"b\"\\) WHERE \\(\"a\"\"b\" LIKE 'x%'\\);"
expect 0 'constraints as json' "$INSTAR" schema "$db" --json
has 'constraints as json' "$out" '"unique": true, "constraint": true'
has 'a predicate as json' "$out" '"include": \["a\\"b"\], "where": "\\"a\\"\\"b\\" LIKE'
expect 1 'index of a constraint' "$INSTAR" drop-index "$db" check
has 'index of a constraint' "$err" 'DROP CONSTRAINT drops it'

# Wrong calls.
expect 2 'text and file' "$INSTAR" sql "$db" 'drop table t' -f "$scratch/schema.sql"
expect 1 'no file' "$INSTAR" sql "$db" -f "$scratch/none"
has 'no file' "$err" 'none: No such file'
expect 1 'a directory' "$INSTAR" sql "$db" -f "$scratch"
expect 1 'too long' "$INSTAR" sql "$db" --statement-bytes 5 'drop table t'
has 'too long' "$err" 'ELIMIT'
expect 0 'nothing' "$INSTAR" sql "$db" ' -- nothing'
run_empty() { "$INSTAR" sql "$db" </dev/null; }
expect 0 'empty' run_empty
expect 0 check "$INSTAR" check "$db"
finish
