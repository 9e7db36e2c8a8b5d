#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tables are altered from the command line.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
expect 0 create "$INSTAR" create-table "$db" t id:int8 a:int4 note:text --key id
printf 'id,a,note\n1,10,x\n2,20,\n3,30,z\n' >"$scratch/rows.csv"
expect 0 import "$INSTAR" import "$db" t "$scratch/rows.csv"
expect 0 index "$INSTAR" create-index "$db" t_a t a

expect 0 add "$INSTAR" alter-table "$db" t add-column b int8 not-null default 5
has add "$out" 'done'
expect 0 scan "$INSTAR" scan "$db" t --no-header
same scan "$out" "1${tab}10${tab}x${tab}5
2${tab}20${tab}\\N${tab}5
3${tab}30${tab}z${tab}5"
expect 0 several "$INSTAR" alter-table "$db" t add-column c text default "it's" , \
    rename-column c d , set-default d other , drop-column note
expect 0 put "$INSTAR" put "$db" t id=4 a=40
expect 0 scan "$INSTAR" scan "$db" t --no-header
same scan "$out" "1${tab}10${tab}5${tab}it's
2${tab}20${tab}5${tab}it's
3${tab}30${tab}5${tab}it's
4${tab}40${tab}5${tab}other"
expect 0 schema "$INSTAR" schema "$db" t
has schema "$out" "b int8 NOT NULL DEFAULT '5'"
has schema "$out" "d text DEFAULT 'other'"
expect 0 changes "$INSTAR" changes "$db"
has changes "$out" 'alter table'
expect 0 'changes as JSON' "$INSTAR" changes "$db" --json
has 'the statement' "$out" 'ALTER TABLE t ADD COLUMN c text DEFAULT .it..s., RENAME COLUMN c TO d'

expect 0 'below zero' "$INSTAR" alter-table "$db" t -- set-default b -7
expect 0 put "$INSTAR" put "$db" t id=5
expect 0 get "$INSTAR" get "$db" t 5 --no-header
same 'below zero' "$out" "5${tab}\\N${tab}-7${tab}other"
expect 1 'not null' "$INSTAR" alter-table "$db" t set-not-null a
has 'names the row' "$out$err" '\(id=5\)'
expect 0 put "$INSTAR" put "$db" t id=5 a=50
expect 0 'not null' "$INSTAR" alter-table "$db" t set-not-null a , drop-default b
expect 1 'put' "$INSTAR" put "$db" t id=6 b=1
has 'put' "$err" 'ENOT_NULL'
expect 0 'drop' "$INSTAR" alter-table "$db" t drop-not-null a , drop-not-null b

expect 0 'rename index' "$INSTAR" rename-index "$db" t_a t_by_a
expect 0 'scan by it' "$INSTAR" scan "$db" t --index t_by_a --columns id --no-header --limit 1
expect 1 'the old name' "$INSTAR" rename-index "$db" t_a x
has 'the nearest' "$err" 't_by_a|EUNKNOWN'
expect 0 'if exists' "$INSTAR" rename-index "$db" t_a x --if-exists
expect 0 'rename' "$INSTAR" alter-table "$db" t rename-to people
expect 1 'the old name' "$INSTAR" scan "$db" t
expect 1 'slip' "$INSTAR" scan "$db" peopel
has 'slip' "$err" '"people"'

# What is wrong is refused, and named.
expect 2 'no step' "$INSTAR" alter-table "$db" people add c int8
has 'no step' "$err" "no step 'add': .*add-column"
expect 2 'no type' "$INSTAR" alter-table "$db" people add-column c int9
has 'no type' "$err" 'int9'
expect 2 'too few' "$INSTAR" alter-table "$db" people rename-column a
has 'too few' "$err" 'rename-column COL NEW'
expect 2 'too many' "$INSTAR" alter-table "$db" people drop-column a b
has 'too many' "$err" "'b'"
expect 2 'nothing behind a comma' "$INSTAR" alter-table "$db" people drop-column d ,
expect 2 'neither' "$INSTAR" alter-table "$db" people add-column c int8 unique
expect 1 'value' "$INSTAR" alter-table "$db" people set-default a many
has 'value' "$err" 'a=many'
expect 1 'slip' "$INSTAR" alter-table "$db" people set-default bb 1
has 'slip' "$err" 'no column "bb"'
expect 1 'slip' "$INSTAR" alter-table "$db" peple drop-column a
has 'slip' "$err" '"people"'
expect 1 'used by an index' "$INSTAR" alter-table "$db" people drop-column a
has 'used by an index' "$err" 't_by_a'
expect 0 'left out' "$INSTAR" alter-table "$db" people drop-column x , add-column b int8 \
    --if-exists --if-not-exists
expect 2 'no value' "$INSTAR" alter-table "$db" people add-column y int8 default
has 'no value' "$err" 'default needs a VALUE'
expect 0 'a rename left out' "$INSTAR" alter-table "$db" people --if-exists \
    rename-column nope b , set-default b 8
expect 0 'its default' "$INSTAR" schema "$db" people --json
has 'its default' "$out" '"b", "type": "int8", [^}]*"default": "?8'
expect 0 'no table' "$INSTAR" alter-table "$db" nope drop-column x --if-exists

# Types of columns.
expect 0 'types' "$INSTAR" create-table "$db" kinds id:int4 'code:varchar(3)' at:time n:text \
    --key id
expect 0 put "$INSTAR" put "$db" kinds id=1 code=abc at=12:30 n=17
expect 1 'too long' "$INSTAR" put "$db" kinds id=2 code=abcd
has 'too long' "$err" 'column code of table kinds: value too long for varchar\(3\)'
expect 0 'wider' "$INSTAR" alter-table "$db" kinds set-type id int8 , set-type code 'varchar(4)' , \
    set-default code abcd
expect 1 'asks' "$INSTAR" alter-table "$db" kinds set-type n int4
has 'asks' "$err" 'say USING n::int4'
expect 0 'put' "$INSTAR" put "$db" kinds id=3000000000 n=x
expect 1 'fails' "$INSTAR" alter-table "$db" kinds set-type n int4 using
has 'fails' "$out$err" "column n cannot become int4 in 1 row: row \(id=3000000000\) \('x': "
expect 0 'put' "$INSTAR" put "$db" kinds id=3000000000 n=18
expect 0 'using' "$INSTAR" alter-table "$db" kinds set-type n int4 using
expect 0 scan "$INSTAR" scan "$db" kinds --no-header
same scan "$out" "1${tab}abc${tab}12:30:00${tab}17
3000000000${tab}abcd${tab}\\N${tab}18"
expect 0 schema "$INSTAR" schema "$db" kinds
has schema "$out" 'code varchar\(4\) DEFAULT'
expect 0 'as SQL' "$INSTAR" schema "$db" --sql
has 'as SQL' "$out" "code varchar\(4\) DEFAULT 'abcd'"
expect 2 'no type' "$INSTAR" alter-table "$db" kinds set-type n 'varchar(x)'
has 'no type' "$err" 'varchar\(n\)'
# Exact decimals.
expect 0 'numeric' "$INSTAR" create-table "$db" prices id:int4 \
    'price:numeric(7,2):not-null:default=0.1' 'rate:decimal(4,3)' --key id
expect 0 put "$INSTAR" put "$db" prices id=1 price=12.345 rate=-0.0005
expect 0 put "$INSTAR" put "$db" prices id=2
expect 1 'no room' "$INSTAR" put "$db" prices id=3 price=99999.995
has 'no room' "$err" 'column price of table prices: 99999.995 is out of range for numeric\(7,2\)'
expect 1 'no number' "$INSTAR" put "$db" prices id=3 price=NaN
has 'no number' "$err" 'no NaN'
expect 0 scan "$INSTAR" scan "$db" prices --no-header
same scan "$out" "1${tab}12.35${tab}-0.001
2${tab}0.10${tab}\\N"
expect 0 'as JSON' "$INSTAR" scan "$db" prices --json
has 'as JSON' "$out" '"price": ?12.35, "rate": ?-0.001'
expect 0 'an index' "$INSTAR" create-index "$db" by_price prices price:desc
expect 0 'a range' "$INSTAR" scan "$db" prices --index by_price --from 12.350 --no-header
expect 0 'more digits' "$INSTAR" alter-table "$db" prices set-type price 'numeric(9,2)'
expect 0 'another scale' "$INSTAR" alter-table "$db" prices set-type price 'numeric(9,3)'
expect 0 'by the index that followed' "$INSTAR" scan "$db" prices --index by_price \
    --from 12.35 --no-header
has 'by the index that followed' "$out" '12\.350'
expect 0 'and back' "$INSTAR" alter-table "$db" prices set-type price 'numeric(9,2)'
expect 0 'rounded' "$INSTAR" alter-table "$db" prices set-type rate 'numeric(3,1)'
expect 0 'a check' "$INSTAR" sql "$db" \
    'ALTER TABLE prices ADD CONSTRAINT positive CHECK (price > 0.05)'
expect 0 'as SQL' "$INSTAR" schema "$db" --sql
has 'as SQL' "$out" 'price numeric\(9,2\) NOT NULL DEFAULT 0.10'
has 'as SQL' "$out" 'CHECK \(price > 0.05\)'
printf '%s\n' "$out" >"$scratch/schema.sql"
expect 0 init "$INSTAR" init "$db.copy"
expect 0 'made anew' "$INSTAR" sql "$db.copy" -f "$scratch/schema.sql"
cmp -s <("$INSTAR" schema "$db.copy" --sql) "$scratch/schema.sql" || fail 'the schema is another'
expect 0 'export' "$INSTAR" export "$db" prices "$scratch/prices.csv"
has 'export' "$(cat "$scratch/prices.csv")" '^1,12.35,0.0$'
expect 0 'import' "$INSTAR" import "$db.copy" prices "$scratch/prices.csv"
cmp -s <("$INSTAR" export "$db.copy" prices) "$scratch/prices.csv" || fail 'the rows are others'
expect 2 'no digits' "$INSTAR" alter-table "$db" prices add-column x numeric
has 'no digits' "$err" 'numeric\(p,s\)'
expect 0 drop "$INSTAR" drop-table "$db" prices
expect 0 changes "$INSTAR" changes "$db" --json
has 'the statement' "$out" 'ALTER TABLE kinds ALTER COLUMN n TYPE int4 USING n::int4'

# Comments are shown, by every form of the schema.
expect 0 comment "$INSTAR" sql "$db" \
    "COMMENT ON COLUMN kinds.n IS 'it''s n'; COMMENT ON TABLE kinds IS 'k'"
expect 0 schema "$INSTAR" schema "$db" kinds
has schema "$out" "^COMMENT ON COLUMN kinds.n IS 'it''s n';"
expect 0 'as SQL' "$INSTAR" schema "$db" kinds --sql
has 'as SQL' "$out" "^COMMENT ON TABLE kinds IS 'k';"
expect 0 'as JSON' "$INSTAR" schema "$db" kinds --json
has 'as JSON' "$out" '"comment": "it.s n"'
expect 0 explain "$INSTAR" sql "$db" "EXPLAIN COMMENT ON TABLE kinds IS 'x'"
has explain "$out" 'metadata only'
expect 0 check "$INSTAR" check "$db"
finish
