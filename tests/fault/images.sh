#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk that is full, of each file system, as an image, and a full quota of a btrfs subvolume:
# writes and a backup fail, a change fails or waits, with the reason, reads go on, and all else when
# there is room. A part of `make campaign-hostile`: it needs root, loop devices, and mkfs of each
# (tools/setup --bench).
. "$(dirname "$0")/../cli/lib.sh.inc"
trap 'umount "$scratch/disk" 2>/dev/null; rm -rf "$scratch"' EXIT

disk=$scratch/disk
pad=$(printf '%400s' x | tr ' ' x)
reason='[Nn]o space left|quota exceeded'
mkdir "$disk"
{
    echo id,pad
    for i in $(seq 1 40000); do echo "$i,$i$pad"; done
} >"$scratch/rows.csv"

full() { # full FILESYSTEM OPTION…: a new one, with 12 MB of it free, for everybody
    local free system=${1%-quota}
    truncate -s 400M "$scratch/image"
    "mkfs.$system" "${@:2}" "$scratch/image" >/dev/null 2>&1 ||
        fail "mkfs.$system (tools/setup --bench)"
    mount -o loop "$scratch/image" "$disk" || fail "$1: mounting needs root and a loop device"
    if [ "$1" = btrfs-quota ]; then
        btrfs quota enable "$disk" && btrfs subvolume create "$disk/of" >/dev/null &&
            btrfs qgroup limit 12M "$disk/of" || fail "$1: no quota"
        return
    fi
    mkdir "$disk/of"
    free=$(df --output=avail -B1 "$disk" | tail -1)
    fallocate -l $((free - 12000000)) "$disk/ballast"
}

room() { # room KIND: there is some again
    if [ "$1" = btrfs-quota ]; then
        btrfs qgroup limit none "$disk/of"
    else
        rm "$disk/ballast"
    fi
}

made=0
db=$disk/of/db
for kind in ext4 xfs btrfs btrfs-quota; do
    # shellcheck disable=SC2046
    full "$kind" $([ "$kind" = ext4 ] && echo -m 0)
    expect 0 "$kind: init" "$INSTAR" init "$db" --segment-bytes 1M --map-bytes 256M
    expect 0 "$kind: create" "$INSTAR" create-table "$db" t id:int8 pad:text --key id
    expect 1 "$kind: full" "$INSTAR" import "$db" t "$scratch/rows.csv"
    has "$kind: full" "$err" 'ENOSPACE'
    has "$kind: full" "$err" "$reason"
    imported=${out%% *}
    expect 1 "$kind: a backup" "$INSTAR" backup "$db" "$disk/of/backup"
    has "$kind: a backup" "$err" 'ENOSPACE'
    [ ! -e "$disk/of/backup" ] || fail "$kind: a backup has left something"
    "$INSTAR" create-index "$db" by_pad t pad >"$scratch/index" 2>&1 &
    until "$INSTAR" changes "$db" --no-header | grep -qE "$reason" || ! kill -0 $! 2>/dev/null; do
        :
    done
    expect 0 "$kind: reads go on" "$INSTAR" scan "$db" t --columns id --no-header
    same "$kind: all that was imported is there" "$(printf '%s\n' "$out" | grep -c .)" "$imported"
    room "$kind"
    expect 0 "$kind: writes go on" "$INSTAR" put "$db" t id=100000 pad=after
    wait $! || has "$kind: an index" "$(cat "$scratch/index")" "$reason"
    expect 0 "$kind: changes go on" "$INSTAR" create-index "$db" by_id t id pad
    expect 0 "$kind: check" "$INSTAR" check "$db"
    expect 0 "$kind: nothing is left running" "$INSTAR" changes "$db" --running --no-header
    same "$kind: nothing is left running" "$out" ''
    umount "$disk"
    rm "$scratch/image"
    made=$((made + 1))
done
echo "$made full disks"
finish
