#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vacuum --overwrite: no file of the store holds what was deleted, updated or dropped, whatever was
# is there, and the store goes on.
. "$(dirname "$0")/lib.sh.inc"

secret=s3cr3t-of
rows() { # MARK COUNT: rows with a secret each, some so long that they get pages of their own
    echo id,name
    seq 1 "$2" | awk -v mark="$1" '{
        printf "%d,\"%s %s row %d;", $1, "'$secret'", mark, $1
        if ($1 % 50 == 0) { for (i = 0; i < 900; i++) printf " %s-%d", "'$secret'", i * $1 }
        print "\"" }'
}
# Which rows of a table stand somewhere in the files, deleted or not.
found() { grep -rahoE "$secret $1 row [0-9]+;" "$db" | sort -u; }

expect 0 init "$INSTAR" init "$db" --segment-bytes 1M
for table in kept deleted narrowed dropped; do
    expect 0 "create $table" "$INSTAR" create-table "$db" $table id:int8 name:text --key id
    rows $table 3000 >"$scratch/rows.csv"
    expect 0 "import $table" "$INSTAR" import "$db" $table "$scratch/rows.csv"
done
expect 0 'drop a table' "$INSTAR" drop-table "$db" dropped
expect 0 'drop a column' "$INSTAR" alter-table "$db" narrowed drop-column name
expect 0 'vacuum' "$INSTAR" vacuum "$db" narrowed
expect 0 'update' "$INSTAR" put "$db" deleted id=3000 name=other
for id in $(seq 1 5 500) 50 2000; do
    expect 0 delete "$INSTAR" delete "$db" deleted "$id"
done
"$INSTAR" export "$db" kept >"$scratch/kept.csv"
"$INSTAR" export "$db" deleted >"$scratch/deleted.csv"
grep -hoE "$secret deleted row [0-9]+;" "$scratch/deleted.csv" | sort -u >"$scratch/left"

[ "$(wc -l <"$scratch/left")" = 2897 ] || fail 'not as many rows are left as should be'
[ -n "$(found narrowed)" ] && [ -n "$(found dropped)" ] &&
    [ -n "$(found deleted | comm -23 - "$scratch/left")" ] ||
    fail 'nothing is there to be overwritten: the test would pass by itself'

expect 2 'no table' "$INSTAR" vacuum "$db"
has 'no table' "$err" 'TABLE, or give --overwrite'
expect 2 'a table' "$INSTAR" vacuum "$db" kept --overwrite
has 'a table' "$err" 'vacuum the table first'

# Not beside another process, which is one as soon as it reads its rows.
mkfifo "$scratch/fifo"
"$INSTAR" import "$db" kept "$scratch/fifo" >/dev/null 2>&1 &
exec 3>"$scratch/fifo"
expect 1 'beside another' "$INSTAR" vacuum "$db" --overwrite
has 'beside another' "$err" 'a process has the store open'
[ -n "$(found dropped)" ] || fail 'refused, and done all the same'
exec 3>&-
wait

expect 0 overwrite "$INSTAR" vacuum "$db" --overwrite --no-header
[ "$out" -gt 500000 ] || fail "only $out bytes were overwritten"
same 'a dropped column' "$(found narrowed)" ''
same 'a dropped table' "$(found dropped)" ''
same 'deleted rows' "$(found deleted | comm -23 - "$scratch/left")" ''
[ "$(found deleted | wc -l)" -gt 2800 ] || fail 'rows are gone from the files that are there'
expect 0 again "$INSTAR" vacuum "$db" --overwrite --no-header
[ "$out" -lt 500000 ] || fail "$out bytes were overwritten again"

# The store is whole, and goes on.
expect 0 check "$INSTAR" check "$db"
for table in kept deleted; do
    "$INSTAR" export "$db" $table | cmp -s - "$scratch/$table.csv" || fail "$table: rows differ"
done
expect 0 'index' "$INSTAR" create-index "$db" by_id kept id
expect 0 'put' "$INSTAR" put "$db" narrowed id=1
expect 0 'backup' "$INSTAR" backup "$db" "$scratch/backup"
expect 0 'restore' "$INSTAR" restore "$scratch/backup" "$scratch/second"
expect 0 'check of the restored' "$INSTAR" check "$scratch/second"
expect 0 'check at last' "$INSTAR" check "$db"

expect 1 'no store' "$INSTAR" vacuum "$scratch/nothing" --overwrite
has 'no store' "$err" 'no such directory|no store'
finish
