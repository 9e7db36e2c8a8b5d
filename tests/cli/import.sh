#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# import reads CSV by RFC 4180, reports a bad line with its number, and stops or skips as told.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
expect 0 create "$INSTAR" create-table "$db" t id:int8 name:text n:int4 --key id
printf 'id,name,n\r\n1,"a, ""b""",10\r\n2,"two\nlines",\r\n3,"",30\r\n4,,40' >"$scratch/good.csv"
expect 0 good "$INSTAR" import "$db" t "$scratch/good.csv"
same good "$out" '4 rows imported, 0 lines skipped'
expect 0 json "$INSTAR" scan "$db" t --json
printf '%s' "$out" | python3 -c '
import json, sys
rows = json.load(sys.stdin)
assert [r["name"] for r in rows] == ["a, \"b\"", "two\nlines", "", None], rows
assert [r["n"] for r in rows] == [10, None, 30, 40], rows' || fail 'values'

{
    printf 'id,name,n\n11,x,1\n12,"two\nlines",2\n13,x,many\n'
    printf '14,x\n15,"x"y,1\n16,x,6\n11,again,1\n'
} >"$scratch/bad.csv"
expect 1 stop "$INSTAR" import "$db" t "$scratch/bad.csv"
has 'the line is named' "$err" 'line 5: .*many'
has 'what was kept' "$out" '^2 rows imported'
expect 0 'rows before the bad line' "$INSTAR" scan "$db" t --from 11 --columns id --no-header
same 'rows before the bad line' "$out" "11
12"
expect 0 delete "$INSTAR" delete "$db" t 11
expect 0 delete "$INSTAR" delete "$db" t 12
expect 0 skip "$INSTAR" import "$db" t "$scratch/bad.csv" --on-error skip
same skip "$out" '3 rows imported, 4 lines skipped'
for line in 5 6 7 9; do has "line $line" "$err" "line $line:"; done
expect 0 upsert "$INSTAR" import "$db" t "$scratch/good.csv" --upsert --batch 2
expect 1 'exists' "$INSTAR" import "$db" t "$scratch/good.csv"
has 'exists' "$err" 'line 2:'
printf 'id,nam\n1,x\n' >"$scratch/column.csv"
expect 1 'unknown column' "$INSTAR" import "$db" t "$scratch/column.csv"
has 'nearest column' "$err" 'name'
printf 'id,name\n20,"open' >"$scratch/open.csv"
expect 1 'open quote' "$INSTAR" import "$db" t "$scratch/open.csv"
has 'open quote' "$err" 'line 2: the input ends inside a quoted field'
expect 1 'no file' "$INSTAR" import "$db" t "$scratch/none.csv"
expect 1 'empty file' "$INSTAR" import "$db" t /dev/null
expect 2 'unknown policy' "$INSTAR" import "$db" t "$scratch/good.csv" --on-error maybe
for id in 12 16; do expect 0 delete "$INSTAR" delete "$db" t $id; done
expect 0 unique "$INSTAR" create-index "$db" t_name t name --unique
printf 'id,name\n30,p\n31,q\n32,p\n' >"$scratch/dup.csv"
expect 1 'duplicate in a batch' "$INSTAR" import "$db" t "$scratch/dup.csv"
has 'duplicate names its line' "$err" 'line 4: .*t_name'
expect 0 check "$INSTAR" check "$db"
finish
