#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Dropped tables and columns come back from the command line; vacuum.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
expect 0 create "$INSTAR" create-table "$db" t id:int8 a:int4 b:text --key id
fill 500 10
expect 0 index "$INSTAR" create-index "$db" t_a t a
expect 0 schema "$INSTAR" schema "$db" t --sql
schema=$out
expect 0 before "$INSTAR" scan "$db" t --index t_a
before=$out

# A table: until when is told, the tables do not list it, and it comes back with its index.
expect 2 'not a number' "$INSTAR" drop-table "$db" t --undo-window 1h
expect 0 'drop' "$INSTAR" drop-table "$db" t --undo-window 3600
has 'until when' "$out" 'it can be undone until 20.*: instar undo .* [0-9]+'
id=$(printf '%s\n' "$out" | sed -n 's/.* //p' | tail -1)
expect 0 'tables' "$INSTAR" tables "$db" --no-header
same 'no table' "$out" ''
expect 0 'changes' "$INSTAR" changes "$db" "$id" --json
has 'undo_until' "$out" '"undo_until": "20'
expect 0 'check' "$INSTAR" check "$db"
expect 0 'undo' "$INSTAR" undo "$db" "$id"
has 'undo' "$out" 'undo t: done'
expect 0 schema "$INSTAR" schema "$db" t --sql
same 'the same schema' "$out" "$schema"
expect 0 after "$INSTAR" scan "$db" t --index t_a
same 'the same rows' "$out" "$before"
expect 1 'undo again' "$INSTAR" undo "$db" "$id"
has 'undo again' "$err" 'was undone by change [0-9]+.*|ESTATE'

# The name is taken: another one.
expect 0 'drop' "$INSTAR" drop-table "$db" t --undo-window 3600
id=$(printf '%s\n' "$out" | sed -n 's/.* //p' | tail -1)
expect 0 create "$INSTAR" create-table "$db" t id:int8 --key id
expect 1 'taken' "$INSTAR" undo "$db" "$id"
has 'taken' "$err" 'EEXISTS'
expect 0 'as' "$INSTAR" undo "$db" "$id" --as old
expect 0 'rows' "$INSTAR" scan "$db" old --index t_a
same 'the same rows' "$out" "$before"

# A column, and what is no change of that kind.
expect 0 'drop column' "$INSTAR" alter-table "$db" old drop-column b --undo-window 3600
id=$(printf '%s\n' "$out" | sed -n 's/.* //p' | tail -1)
expect 0 put "$INSTAR" put "$db" old id=501 a=1
expect 0 undo "$INSTAR" undo "$db" "$id"
expect 0 get "$INSTAR" get "$db" old 500 --no-header
same 'its value' "$out" "500${tab}0${tab}b500"
expect 1 'no such change' "$INSTAR" undo "$db" 4711
has 'no such change' "$err" 'EUNKNOWN'
expect 2 'no number' "$INSTAR" undo "$db" x
expect 1 'nothing kept' "$INSTAR" undo "$db" 1
has 'nothing kept' "$err" 'keeps nothing'

# Vacuum: rows of older layouts; then there is nothing to do.
expect 0 'alter' "$INSTAR" alter-table "$db" old add-column d int8 default 4 , drop-column b
expect 0 'rows' "$INSTAR" scan "$db" old
before=$out
expect 0 'vacuum' "$INSTAR" vacuum "$db" old --json
has 'vacuum' "$out" '"kind": "vacuum".*"rows": 501'
expect 0 'rows' "$INSTAR" scan "$db" old
same 'the same rows' "$out" "$before"
expect 0 'vacuum again' "$INSTAR" vacuum "$db" old
same 'nothing to do' "$out" 'nothing to do'
expect 1 'no such table' "$INSTAR" vacuum "$db" none
has 'no such table' "$err" 'EUNKNOWN'

# By SQL.
expect 0 'sql' "$INSTAR" sql "$db" 'DROP TABLE old WITH (undo_window_s = 600)'
id=$(printf '%s\n' "$out" | sed -n 's/.* //p' | tail -1)
expect 0 'explain' "$INSTAR" sql "$db" "EXPLAIN UNDO CHANGE $id"
has 'explain' "$out" 'it was: DROP TABLE old'
expect 0 'undo' "$INSTAR" sql "$db" "UNDO CHANGE $id; VACUUM old"
has 'undo' "$out" 'undo old: done'
has 'vacuum' "$out" 'nothing to do'
expect 0 'check' "$INSTAR" check "$db"

finish
