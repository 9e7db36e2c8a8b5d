#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# backup, restore and check: a copy of a store in use is whole, damage of it is refused by name, and
# what is asked for beyond it is answered with what there is.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db" --segment-bytes 1M
expect 0 create "$INSTAR" create-table "$db" t id:int8 name:text --key id
(echo id,name; seq 1 5000 | sed 's/.*/&,name &/') >"$scratch/rows.csv"
expect 0 import "$INSTAR" import "$db" t "$scratch/rows.csv"
expect 0 index "$INSTAR" create-index "$db" by_name t name

bk=$scratch/backup
expect 0 backup "$INSTAR" backup "$db" "$bk" --json
printf '%s' "$out" | python3 -c '
import json, sys
info, = json.load(sys.stdin)
assert info["first_lsn"] <= info["last_lsn"] and info["bytes"] > 0, info' || fail "backup: $out"
last=$(printf '%s' "$out" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["last_lsn"])')
same 'mode' "$(stat -c %a "$bk" "$bk/data.mdb" "$bk/log" "$bk/manifest" | tr '\n' ' ')" \
    '700 600 600 600 '
expect 1 'a target that exists' "$INSTAR" backup "$db" "$bk"
has 'a target that exists' "$err" 'exists already'
expect 0 'more rows' "$INSTAR" put "$db" t id=9999 name=late

expect 0 restore "$INSTAR" restore "$bk" "$scratch/new"
expect 0 'the new store' "$INSTAR" check "$scratch/new"
has 'the new store' "$err" '1 tables, 1 indexes, 5000 rows, 5000 entries'
expect 1 'what came later' "$INSTAR" get "$scratch/new" t 9999
"$INSTAR" export "$scratch/new" t >"$scratch/new.csv"
cmp -s "$scratch/rows.csv" "$scratch/new.csv" || fail 'the restored rows differ'
expect 0 'up to a position' "$INSTAR" restore "$bk" "$scratch/part" --to "$last"
expect 1 'beyond it' "$INSTAR" restore "$bk" "$scratch/none" --to 999999999999
has 'beyond it' "$err" "positions from [0-9]+ to $last"
expect 1 'before it' "$INSTAR" restore "$bk" "$scratch/none" --to '2001-02-03 04:05:06'
has 'before it' "$err" 'times from 20'
expect 2 'no time' "$INSTAR" restore "$bk" "$scratch/none" --to yesterday
expect 1 'a store that exists' "$INSTAR" restore "$bk" "$scratch/new"
expect 1 'no backup' "$INSTAR" restore "$db" "$scratch/none"

printf 'x' | dd of="$bk/data.mdb" bs=1 seek=9000 conv=notrunc status=none
expect 1 damage "$INSTAR" restore "$bk" "$scratch/none"
has damage "$err" 'data.mdb: damaged between byte 0'
rm "$bk/manifest"
expect 1 'not finished' "$INSTAR" restore "$bk" "$scratch/none"
has 'not finished' "$err" 'not finished'
[ ! -e "$scratch/none" ] || fail 'a failed restore has left something'

# Ctrl-C leaves nothing, or, where it came too late, the whole. (Not in the foreground timeout sends
# it to its group as well, and the second one ends the process.)
if ! timeout --foreground --preserve-status -s INT 0.02 "$INSTAR" backup "$db" "$scratch/given-up" \
    >/dev/null 2>&1; then
    [ ! -e "$scratch/given-up" ] || "$INSTAR" restore "$scratch/given-up" "$scratch/whole" ||
        fail 'a backup that was given up has left something'
fi

# The modes of check. A page that leads elsewhere is named, and never followed.
for mode in --fast --full --untrusted; do
    expect 0 "check $mode" "$INSTAR" check "$db" $mode
done
listed() { (cd "$db" && ls -lAR --time-style=full-iso); }
before=$(listed)
expect 0 'check without opening' "$INSTAR" check "$db" --untrusted
same 'check without opening changes nothing' "$(listed)" "$before"
expect 0 'no failure to check' "$INSTAR" check "$db" --after-io-error
expect 2 'two modes' "$INSTAR" check "$db" --fast --untrusted
page=$(($(stat -c %s "$scratch/new/data.mdb") / 4096 / 2))
printf '\377\377\377\377\377\377\377\377' |
    dd of="$scratch/new/data.mdb" bs=1 seek=$((page * 4096)) conv=notrunc status=none
for mode in --fast --full --untrusted; do
    expect 1 "damaged, $mode" "$INSTAR" check "$scratch/new" $mode --no-header
    has "damaged, $mode" "$out" "^file.*data.mdb: page $page \(byte $((page * 4096))\)"
done
expect 1 'damaged, as JSON' "$INSTAR" check "$scratch/new" --json
printf '%s' "$out" | python3 -c '
import json, sys
assert json.load(sys.stdin)[0]["problem"] == "file"' || fail "check --json: $out"
: >"$scratch/part/format"
expect 1 'no format' "$INSTAR" check "$scratch/part" --untrusted --no-header
has 'no format' "$out" 'format: fewer than 24 bytes'
finish
