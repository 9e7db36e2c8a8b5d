#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tables without primary key, and primary keys that come, change and go.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
expect 0 'no key' "$INSTAR" create-table "$db" t a:int8 b:text:default=x
expect 1 'a column of that name' "$INSTAR" sql "$db" 'create table u ("@row_id" int)'
has 'a column of that name' "$out$err" 'row ids'
printf 'a,b\n1,one\n2,two\n2,two\n' >"$scratch/rows.csv"
expect 0 import "$INSTAR" import "$db" t "$scratch/rows.csv"
expect 1 'upsert' "$INSTAR" import "$db" t "$scratch/rows.csv" --upsert
has 'upsert' "$err" '@row_id'
expect 0 put "$INSTAR" put "$db" t a=3
expect 0 scan "$INSTAR" scan "$db" t --no-header
same 'no row id' "$out" "1${tab}one
2${tab}two
2${tab}two
3${tab}x"
expect 0 'with it' "$INSTAR" scan "$db" t --no-header --columns @row_id,a --limit 1
id=${out%%"$tab"*}
expect 0 get "$INSTAR" get "$db" t "$id" --no-header
same get "$out" "1${tab}one"
expect 0 'from it on' "$INSTAR" scan "$db" t --no-header --from "$((id + 2))" --columns a
same 'from it on' "$out" "2
3"
expect 0 update "$INSTAR" put "$db" t --update "@row_id=$id" b=uno
expect 2 'update without it' "$INSTAR" put "$db" t --update a=5
expect 1 'insert with it' "$INSTAR" put "$db" t "@row_id=7" a=5
has 'insert with it' "$err" 'given by the engine|no primary key'
expect 0 delete "$INSTAR" delete "$db" t "$((id + 1))"
expect 1 'deleted' "$INSTAR" get "$db" t "$((id + 1))"
expect 0 index "$INSTAR" create-index "$db" t_b t b
expect 0 export "$INSTAR" export "$db" t
same export "$out" "a,b
1,uno
2,two
3,x"
expect 0 schema "$INSTAR" schema "$db" --sql
printf '%s\n' "$out" >"$scratch/schema.sql"
expect 0 'another store' "$INSTAR" init "$scratch/other"
expect 0 'made of it' "$INSTAR" sql "$scratch/other" -f "$scratch/schema.sql"
expect 0 'again' "$INSTAR" schema "$scratch/other" --sql
same 'the same' "$out" "$(cat "$scratch/schema.sql")"
expect 0 json "$INSTAR" schema "$db" t --json
has json "$out" '"primary_key": \[\]'

expect 0 explain "$INSTAR" sql "$db" 'explain alter table t add primary key (a)'
has explain "$out" '7. complete: publish the new key; no way back'
expect 0 'add' "$INSTAR" sql "$db" 'alter table t add primary key (a)'
expect 1 'row ids are gone' "$INSTAR" scan "$db" t --columns @row_id
expect 0 get "$INSTAR" get "$db" t 3 --no-header
same get "$out" "3${tab}x"
expect 0 duplicates "$INSTAR" put "$db" t a=4 b=two
expect 1 'duplicates' "$INSTAR" sql "$db" \
    'alter table t drop constraint t_pkey, add primary key (b)'
has 'names the rows' "$out$err" "b='?two'?.*a=2.*a=4"
expect 0 'other key' "$INSTAR" sql "$db" \
    'alter table t drop constraint t_pkey, add primary key (b, a) with (a = desc)'
expect 0 schema "$INSTAR" schema "$db" --sql
has schema "$out" 'PRIMARY KEY \(b, a\) WITH \(a = DESC\)'
expect 0 scan "$INSTAR" scan "$db" t --no-header
same scan "$out" "4${tab}two
2${tab}two
1${tab}uno
3${tab}x"
expect 1 'a second one' "$INSTAR" sql "$db" 'alter table t add primary key (a)'
has 'a second one' "$out$err" 'already'
expect 0 'none' "$INSTAR" sql "$db" 'alter table t drop constraint t_pkey'
expect 0 schema "$INSTAR" schema "$db" t
has schema "$out" 'no primary key'
expect 0 changes "$INSTAR" changes "$db"
has changes "$out" 'alter primary key'
expect 0 check "$INSTAR" check "$db"
has check "$out$err" '0 findings'
finish
