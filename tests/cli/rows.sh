#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# put, get, delete and scan write and show rows: tab-separated in a pipe, objects with --json.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
expect 1 'init twice' "$INSTAR" init "$db"
has 'init twice' "$err" 'EEXISTS'
expect 0 create "$INSTAR" create-table "$db" t id:int8 name:text 'n:int4:not-null:default=7' \
    b:bytea at:timestamptz --key id
expect 0 put "$INSTAR" put "$db" t id=1 'name=a	b\c' 'b=\x00ff' 'at=2026-01-31 12:00:00+00'
expect 0 'put null' "$INSTAR" put "$db" t id=2 name
expect 0 get "$INSTAR" get "$db" t 1 --columns name,n
same 'get in a pipe' "$out" "name${tab}n
a\\tb\\\\c${tab}7"
expect 0 scan "$INSTAR" scan "$db" t --no-header --columns id,name
same 'null in a pipe' "$out" "1${tab}a\\tb\\\\c
2${tab}\\N"
expect 0 json "$INSTAR" scan "$db" t --json
printf '%s' "$out" | python3 -c '
import json, sys
rows = json.load(sys.stdin)
assert rows[0]["id"] == 1 and rows[0]["name"] == "a\tb\\c" and rows[0]["b"] == "\\x00ff", rows
assert rows[1]["name"] is None and rows[1]["n"] == 7, rows' || fail 'json rows'
expect 0 'put sets what is named' "$INSTAR" put "$db" t id=1 n=8
expect 0 get "$INSTAR" get "$db" t 1 --no-header --columns name,n
same 'the other columns stay' "$out" "a\\tb\\\\c${tab}8"
expect 1 'insert what exists' "$INSTAR" put "$db" t id=1 --insert
has 'insert what exists' "$err" 'EEXISTS'
expect 1 'update what does not exist' "$INSTAR" put "$db" t id=9 n=1 --update
expect 0 delete "$INSTAR" delete "$db" t 2
expect 1 'get what is gone' "$INSTAR" get "$db" t 2
has 'get what is gone' "$err" 'ENOTFOUND'
for i in 3 4 5; do expect 0 put "$INSTAR" put "$db" t id=$i name=x$i; done
expect 0 range "$INSTAR" scan "$db" t --from 3 --to 4 --columns id --no-header
same range "$out" "3
4"
expect 0 reverse "$INSTAR" scan "$db" t --reverse --limit 2 --columns id --no-header
same reverse "$out" "5
4"
expect 0 check "$INSTAR" check "$db"
for command in tables schema changes nodes check stat; do
    expect 0 "$command --json" "$INSTAR" $command "$db" --json
    printf '%s' "$out" | python3 -m json.tool >/dev/null || fail "$command --json is no JSON: $out"
done
finish
