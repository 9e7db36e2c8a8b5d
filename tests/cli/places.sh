#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad surroundings: a full disk, a read-only directory, empty files, foreign owners and links. Each
# is a clean error; what was there stays readable. Needs root, for the mounts.
. "$(dirname "$0")/lib.sh.inc"
trap 'umount "$scratch/small" "$scratch/ro" 2>/dev/null; rm -rf "$scratch"' EXIT

# A full disk: the import fails with the reason, what was imported is readable, and when there is
# space again writing goes on.
mkdir "$scratch/small"
mount -t tmpfs -o size=24m tmpfs "$scratch/small" || fail 'mounting needs root'
db=$scratch/small/db
expect 1 'no room for a store' "$INSTAR" init "$db"
has 'no room for a store' "$err" 'ENOSPACE'
same 'nothing is left of it' "$(ls -A "$scratch/small")" ''
mkdir "$db"
expect 1 'no room in a directory' "$INSTAR" init "$db"
expect 0 init "$INSTAR" init "$db" --segment-bytes 1M --map-bytes 64M
expect 0 create "$INSTAR" create-table "$db" t id:int8 pad:text --key id
head -c 2000000 /dev/zero >"$scratch/small/ballast"
pad=$(printf '%400s' x | tr ' ' x)
{
    echo id,pad
    for i in $(seq 1 60000); do echo "$i,$pad"; done
} >"$scratch/rows.csv"
expect 1 'full disk' "$INSTAR" import "$db" t "$scratch/rows.csv"
has 'full disk' "$err" 'ENOSPACE|EMAPFULL'
imported=${out%% *}
expect 0 'reads go on' "$INSTAR" scan "$db" t --columns id --no-header
same 'all that was imported is there' "$(printf '%s\n' "$out" | grep -c .)" "$imported"
rm "$scratch/small/ballast"
expect 0 'writes go on' "$INSTAR" put "$db" t id=100000 pad=after
expect 0 check "$INSTAR" check "$db"
umount "$scratch/small"

# A read-only directory: nothing is created, an existing store is not opened, both say why.
mkdir "$scratch/ro"
mount -t tmpfs -o size=24m tmpfs "$scratch/ro"
expect 0 init "$INSTAR" init "$scratch/ro/db" --segment-bytes 1M --map-bytes 64M
mount -o remount,ro "$scratch/ro"
expect 1 'init on read-only' "$INSTAR" init "$scratch/ro/other"
has 'init on read-only' "$err" 'EACCESS'
expect 1 'open on read-only' "$INSTAR" tables "$scratch/ro/db"
has 'open on read-only' "$err" 'EACCESS'
umount "$scratch/ro"

# Somebody else's file, and a link in place of a file of the store, are refused and left alone.
db=$scratch/db
expect 0 init "$INSTAR" init "$db"
echo victim >"$scratch/victim"
mv "$db/data.mdb" "$scratch/data.mdb"
ln -s "$scratch/victim" "$db/data.mdb"
expect 1 'a link as data.mdb' "$INSTAR" tables "$db"
same 'the victim stays' "$(cat "$scratch/victim")" victim
rm "$db/data.mdb"
mkfifo "$db/data.mdb"
expect 1 'a fifo as data.mdb' "$INSTAR" tables "$db"
rm "$db/data.mdb"
mv "$scratch/data.mdb" "$db/data.mdb"
expect 0 'whole again' "$INSTAR" tables "$db"
chown 12345 "$db/data.mdb"
expect 1 'a foreign owner' "$INSTAR" tables "$db"
chown 0 "$db/data.mdb"
for file in data.mdb format; do
    cp "$db/$file" "$scratch/saved"
    : >"$db/$file"
    expect 1 "an empty $file" "$INSTAR" tables "$db"
    has "an empty $file is named" "$err" "$file"
    cat "$scratch/saved" >"$db/$file"
done
expect 0 'whole again' "$INSTAR" check "$db"
finish
