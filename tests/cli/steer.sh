#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A running change is paused, resumed, held, released and retuned from the command line, as commands
# and as SQL.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
expect 0 create "$INSTAR" create-table "$db" t id:int8 a:int4 --key id
{
    echo id,a
    for i in $(seq 1 2000); do echo "$i,$((i % 100))"; done
} >"$scratch/rows.csv"
expect 0 import "$INSTAR" import "$db" t "$scratch/rows.csv"

# One row a second: it would take half an hour. Nobody runs it until somebody waits for it.
expect 0 'create index' "$INSTAR" create-index "$db" t_a t a --rate 1 --no-wait
id=$out
expect 0 pause "$INSTAR" pause "$db" "$id"
same pause "$out" "change $id: to stand still"
expect 1 'a paused change' "$INSTAR" wait "$db" "$id" --timeout 300
has 'a paused change' "$err" 'somebody to resume it'
expect 0 hold "$INSTAR" sql "$db" "hold change $id" --json
same hold "$out" "{\"change\": $id, \"pause\": true, \"hold\": true, \"hurry\": false, \
\"blockers\": \"fence\"}"
expect 0 retune "$INSTAR" retune "$db" "$id" --rate 0 --workers 2 --hurry
has retune "$out" 'in a hurry'
expect 0 'bytes' "$INSTAR" retune "$db" "$id" --bytes-rate 1000000
expect 2 'nothing' "$INSTAR" retune "$db" "$id"
has 'nothing' "$err" '--bytes-rate'
expect 0 'retune by SQL' "$INSTAR" sql "$db" "retune change $id with (keep_waiting = on)" --json
has 'retune by SQL' "$out" '"blockers": "keep-waiting"'
expect 0 'another policy' "$INSTAR" retune "$db" "$id" --give-up
has 'another policy' "$out" 'gives up when it is held up'
expect 1 'two policies' "$INSTAR" retune "$db" "$id" --give-up --keep-waiting
has 'two policies' "$err" 'not both'
expect 0 'the first one' "$INSTAR" retune "$db" "$id" --fence --json
has 'the first one' "$out" '"blockers": "fence"'
expect 0 resume "$INSTAR" sql "$db" "resume change $id"
expect 1 'a held change' "$INSTAR" wait "$db" "$id" --timeout 2000
has 'a held change' "$err" 'somebody to release it'
expect 0 'a stage' "$INSTAR" wait "$db" "$id" --stage build
same 'a stage' "$out" "change $id: create index t_a: running, at stage fold"
expect 1 'no such stage' "$INSTAR" wait "$db" "$id" --stage purge
has 'no such stage' "$err" 'has no stage "purge"'
expect 0 'schema' "$INSTAR" schema "$db" t
has 'not public yet' "$out" 'write-only'
expect 0 changes "$INSTAR" changes "$db" "$id" --json
has changes "$out" '"step": 5, "steps": 5'
expect 0 release "$INSTAR" release "$db" "$id"
same release "$out" "change $id: to go on, in a hurry"
expect 0 'wait' "$INSTAR" wait "$db" "$id"
expect 0 'scan' "$INSTAR" scan "$db" t --index t_a --from 5 --to 5 --columns id --no-header
same 'rows' "$(printf '%s\n' "$out" | wc -l)" 20

expect 0 'another index' "$INSTAR" create-index "$db" t_b t a --rate 1 --no-wait
id=$out
expect 0 'cancel' "$INSTAR" sql "$db" "cancel change $id reason 'it''s the wrong one'"
has 'cancel' "$out" "it's the wrong one"
expect 0 'a third index' "$INSTAR" create-index "$db" t_b t a --rate 1 --no-wait
id=$out
expect 0 'cancel' "$INSTAR" cancel "$db" "$id" --reason 'and so is this'
has 'cancel' "$out" 'on request at stage'
has 'cancel' "$out" ': and so is this'
expect 0 'cost' "$INSTAR" sql "$db" 'explain create index t_c on t (a)'
has 'cost' "$out" 'reads about 2000 rows'
has 'cost' "$out" 'as the last 1 of its kind took'
expect 0 'estimated' "$INSTAR" changes "$db" --json
has 'estimated' "$out" '"estimated_ms": '

expect 1 'one that has ended' "$INSTAR" pause "$db" "$id"
has 'one that has ended' "$err" 'has ended'
expect 1 'unknown' "$INSTAR" pause "$db" 999
has unknown "$err" 'EUNKNOWN'
expect 2 'no number' "$INSTAR" pause "$db" x
expect 2 'nothing to retune' "$INSTAR" retune "$db" 1
expect 1 'both' "$INSTAR" retune "$db" "$id" --hurry --no-hurry
has both "$err" 'both set and cleared'
expect 2 'workers' "$INSTAR" retune "$db" "$id" --workers many
expect 2 'fence' "$INSTAR" retune "$db" "$id" --hurry --fence-after 4294967295
has fence "$err" '4294967295 is too much'
expect 0 check "$INSTAR" check "$db"
finish
