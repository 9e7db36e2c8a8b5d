#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# repair mends a meta page and an index, and refuses to guess; dump saves what can be read from both
# ends of a damaged table, and says what it could not.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db" --segment-bytes 1M
for table in t u; do
    expect 0 create "$INSTAR" create-table "$db" $table id:int8 name:text --key id
done
(echo id,name; seq 1 4000 | sed 's/.*/&,name &/') >"$scratch/rows.csv"
expect 0 import "$INSTAR" import "$db" t "$scratch/rows.csv"
expect 0 import "$INSTAR" import "$db" u "$scratch/rows.csv"
expect 0 needle "$INSTAR" put "$db" t id=5000 name=needle-5
expect 0 index "$INSTAR" create-index "$db" by_name t name
"$INSTAR" export "$db" t >"$scratch/t.csv"
"$INSTAR" export "$db" u >"$scratch/u.csv"
cp -a "$db" "$scratch/whole"
again() {
    rm -rf "$db"
    cp -a "$scratch/whole" "$db"
}

# Nothing to do is no failure, and leaves no copy.
expect 0 'a whole store' "$INSTAR" repair "$db" --no-header
same 'a whole store' "$out" ''
[ ! -e "$db/data.mdb.before-repair" ] || fail 'a copy that nobody needs'

for page in 0 1; do
    again
    dd if=/dev/zero of="$db/data.mdb" bs=4096 seek=$page count=1 conv=notrunc status=none
    cp "$db/data.mdb" "$scratch/damaged"
    expect 1 "meta page $page" "$INSTAR" tables "$db"
    has "meta page $page" "$err" "data.mdb: page $page"
    expect 1 "meta page $page, check" "$INSTAR" check "$db"
    expect 0 "meta page $page, repair" "$INSTAR" repair "$db" --no-header
    has "meta page $page, repair" "$out" "^repaired.*meta page $page"
    cmp -s "$scratch/damaged" "$db/data.mdb.before-repair" || fail 'the copy differs'
    expect 0 "meta page $page, repaired" "$INSTAR" check "$db"
    cmp -s "$scratch/t.csv" <("$INSTAR" export "$db" t) || fail "meta page $page: rows are lost"
done
dd if=/dev/zero of="$db/data.mdb" bs=4096 seek=0 count=1 conv=notrunc status=none
expect 1 'a copy is there' "$INSTAR" repair "$db"
has 'a copy is there' "$err" 'move it away'
rm "$db/data.mdb.before-repair"
dd if=/dev/zero of="$db/data.mdb" bs=4096 seek=0 count=2 conv=notrunc status=none
expect 1 'both meta pages' "$INSTAR" repair "$db"
has 'both meta pages' "$err" 'neither meta page'

# A log that is damaged in its middle is refused; it is cut only where that was asked for, the
# segments are kept, and what is lost is said.
again
"$INSTAR" sql "$db" 'CREATE TABLE late (id int8 PRIMARY KEY)' >/dev/null
(echo id; seq 1 100000) >"$scratch/late.csv"
"$INSTAR" import "$db" late "$scratch/late.csv" --batch 1 >/dev/null 2>&1 &
writer=$!
until "$INSTAR" get "$db" late 40 >/dev/null 2>&1; do :; done
kill -KILL $writer
wait $writer 2>/dev/null
expect 0 'a log, damaged' python3 - "$db/log" <<'PY'
import os, struct, sys
# The commits of one row each are the last records: damage one of them, with twenty behind it.
places = []
for name in sorted(n for n in os.listdir(sys.argv[1]) if n.endswith(".seg")):
    path, start = os.path.join(sys.argv[1], name), int(name[:16], 16)
    data = open(path, "rb").read()
    places += [(path, at) for at in range(0, len(data) - 64, 8)
               if data[at] and struct.unpack_from("<Q", data, at + 8)[0] == start + at]
path, at = places[-21]
with open(path, "r+b") as file:
    file.seek(at + 66)
    byte = file.read(1)[0]
    file.seek(at + 66)
    file.write(bytes([byte ^ 1]))
PY
cp -r "$db/log" "$scratch/log"
for command in tables repair 'check --fast'; do
    expect 1 "a log, $command" "$INSTAR" ${command%% *} "$db" $(expr "$command" : '[a-z]* \(.*\)')
    has "a log, $command" "$out$err" 'not a torn tail'
done
diff -r "$scratch/log" "$db/log" >/dev/null || fail 'the log was changed without being asked'
expect 0 'a log, cut' "$INSTAR" repair "$db" --cut-log --no-header
has 'a log, cut' "$out" '^damaged.log.*not a torn tail'
has 'a log, cut' "$out" '^lost.log.all commits from [0-9]+ to at least [0-9]+'
has 'a log, cut' "$out" ', the last at about 2[0-9]+-'
has 'a log, cut' "$out" '; 21 of them left a trace, with 0 changes'
has 'a log, cut' "$out" '^kept.log.before-cut'
for file in "$db"/log.before-cut/*; do
    cmp -s "$file" "$scratch/log/${file##*/}" || fail "the copy differs: $file"
done
expect 0 'a log, checked' "$INSTAR" check "$db"
expect 0 'a log, its rows' "$INSTAR" get "$db" late 10
cmp -s "$scratch/t.csv" <("$INSTAR" export "$db" t) || fail 'a log, cut: rows of before are lost'
expect 0 'a log, whole' "$INSTAR" repair "$db" --cut-log --no-header
has 'a log, whole' "$out" 'nothing was cut'

# damage WORDS PROBLEM: change a byte in the data, where check calls it by that name.
damage() {
    INSTAR=$INSTAR python3 - "$db/data.mdb" "$1" "$2" <<'PY'
import os, re, subprocess, sys
path, words, problem = sys.argv[1], sys.argv[2].encode(), sys.argv[3]
data = open(path, "rb").read()
for found in re.finditer(re.escape(words), data):
    at = found.end() - 1
    def put(byte):
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes([byte]))
    put(data[at] + 1)
    run = subprocess.run([os.environ["INSTAR"], "check", os.path.dirname(path), "--no-header"],
                         capture_output=True, text=True)
    lines = run.stdout.splitlines()
    if lines and all(line.split("\t")[0] in problem.split("|") for line in lines):
        sys.exit(0)
    put(data[at])
sys.exit("nothing there that check calls " + problem)
PY
}

# stale WORDS: replace the leaves of the data that have these words, or where there are none, that
# have digests, by those of "$scratch/old" that have the same keys, as a disk does that has
# forgotten a write.
stale() {
    python3 - "$db/data.mdb" "$scratch/old/data.mdb" "$1" <<'PY'
import struct, sys
PAGE = 4096
def leaves(path):
    data = open(path, "rb").read()
    for at in range(2 * PAGE, len(data), PAGE):
        page = data[at:at + PAGE]
        number, flags, lower = struct.unpack_from("<Q2xHH", page)
        if number * PAGE != at or flags != 2 or not 16 < lower <= PAGE:
            continue
        keys = []
        for i in range((lower - 16) // 2):
            node = struct.unpack_from("<H", page, 16 + 2 * i)[0]
            size = struct.unpack_from("<H", page, node + 6)[0]
            keys.append(page[node + 8:node + 8 + size])
        yield at, tuple(keys), page
words = sys.argv[3].encode()
old = {keys: page for at, keys, page in leaves(sys.argv[2])}
done = 0
with open(sys.argv[1], "r+b") as file:
    for at, keys, page in leaves(sys.argv[1]):
        other = old.get(keys)
        digests = b"!position" not in keys and any(key[:2] == b"!g" for key in keys)
        right = words in page if words else digests
        if other and other[16:] != page[16:] and right:
            file.seek(at)
            file.write(page[:8] + other[8:])
            done += 1
sys.exit(0 if done else "no such leaf")
PY
}

# A page of an earlier time is whole, in its place, and has the same keys. Nothing else contradicts
# it in a table without an index; an index is made anew, but not from rows that are older than it.
again
for i in $(seq 120); do echo "CREATE TABLE many$i (id int8 PRIMARY KEY);"; done >"$scratch/many.sql"
expect 0 'many tables' "$INSTAR" sql "$db" -f "$scratch/many.sql"
expect 0 'old rows' "$INSTAR" check "$db"
cp -r "$db" "$scratch/old"
sed '2,$s/name/NAME/' "$scratch/rows.csv" >"$scratch/new.csv"
for table in t u; do
    expect 0 'new rows' "$INSTAR" import "$db" $table "$scratch/new.csv" --upsert
done
expect 0 'new rows' "$INSTAR" check "$db"
cp -r "$db" "$scratch/newer"
stale 'NAME 2000' || fail 'no page of an earlier time'
expect 1 'old rows' "$INSTAR" check "$db" --no-header
has 'old rows' "$out" "^digest${tab}u.*do not add up to its digest"
expect 1 'old rows, fast' "$INSTAR" check "$db" --no-header --fast
has 'old rows, fast' "$out" "^digest.*data.mdb.*do not add up to its digest"
expect 1 'old rows, repair' "$INSTAR" repair "$db" --no-header
has 'old rows, repair' "$out" '^found.*by_name.*left as it is'
rm -rf "$db"
cp -r "$scratch/newer" "$db"
stale '' || fail 'no digests of an earlier time'
expect 1 'old digests' "$INSTAR" tables "$db"
has 'old digests' "$err" 'the main tree: its digests do not add up'

again
damage needle-5 'entry-unreadable|entry-missing|digest' || fail 'no entry was damaged'
expect 1 'an entry' "$INSTAR" check "$db"
expect 0 'an index' "$INSTAR" repair "$db" --no-header
has 'an index' "$out" '^repaired.*by_name'
has 'an index' "$out" '^kept.before-repair'
expect 0 'the store as it was' "$INSTAR" restore "$db/before-repair" "$scratch/as-it-was"
expect 1 'the store as it was' "$INSTAR" check "$scratch/as-it-was" --no-header
has 'the store as it was' "$out" "by_name"
expect 0 'an index, repaired' "$INSTAR" check "$db"
has 'an index, repaired' "$err" '1 indexes'
expect 0 'its name' "$INSTAR" schema "$db"
has 'its name' "$out" 'by_name'

again
damage needle-5 'entry-unreadable|entry-missing|digest' || fail 'no entry was damaged'
mkdir "$db/before-repair"
expect 1 'a backup is there' "$INSTAR" repair "$db"
has 'a backup is there' "$err" 'move it away'
expect 1 'and nothing is changed' "$INSTAR" check "$db"
expect 0 'its name' "$INSTAR" schema "$db"
has 'its name' "$out" ' by_name '

again
damage needle-5 'row-unreadable|entry-dangling|digest' || fail 'no row was damaged'
expect 1 'a row' "$INSTAR" repair "$db"
has 'a row' "$err" 'instar dump'
expect 1 'dump without a row' "$INSTAR" dump "$db" "$scratch/dump" --no-header
has 'dump without a row' "$out" "^t${tab}.*t.csv${tab}4000${tab}1"
has 'dump without a row' "$out" "^u${tab}.*u.csv${tab}4000${tab}0${tab}t"
has 'dump without a row' "$err" 'left out: .*5000'
cmp -s "$scratch/u.csv" "$scratch/dump/u.csv" || fail 'the table that is whole was not saved whole'
same 'the rest' "$(grep -v 5000 "$scratch/t.csv" | cmp - "$scratch/dump/t.csv" 2>&1)" ''
expect 0 'a new store' "$INSTAR" init "$scratch/new"
expect 0 'its schema' "$INSTAR" sql "$scratch/new" --file "$scratch/dump/schema.sql"
expect 0 'its rows' "$INSTAR" import "$scratch/new" t "$scratch/dump/t.csv"
expect 0 'its check' "$INSTAR" check "$scratch/new"
expect 1 'a directory that exists' "$INSTAR" dump "$db" "$scratch/dump"

# What only the log has is saved too, and the trees stay as they were.
again
(echo id,name; seq 10001 90000 | sed 's/.*/&,late/') >"$scratch/late.csv"
"$INSTAR" import "$db" u "$scratch/late.csv" --batch 1 >/dev/null 2>&1 &
writer=$!
until "$INSTAR" get "$db" u 10020 >/dev/null 2>&1; do :; done
kill -KILL $writer
wait $writer 2>/dev/null
rm -rf "$scratch/dump"
expect 0 'dump of a store that was left' "$INSTAR" dump "$db" "$scratch/dump"
"$INSTAR" export "$db" u >"$scratch/late.csv"
grep -q '^10020,late' "$scratch/late.csv" || fail 'the writer has written nothing'
cmp -s "$scratch/late.csv" "$scratch/dump/u.csv" || fail 'what the log has was not saved'

# A leaf in the middle of t: the rows before and behind it are saved.
again
page=$(python3 - "$db/data.mdb" <<'PY'
import struct, sys
data = open(sys.argv[1], "rb").read()
# The last page that holds this row in full is the one in use: earlier ones were freed.
hits = [p for p in range(2, len(data) // 4096)
        if struct.unpack_from("<H", data, p * 4096 + 10)[0] == 2
        and b"name 2000" in data[p * 4096:p * 4096 + 4096]]
print(" ".join(map(str, hits)))
PY
)
lost=
for p in $page; do
    again
    dd if=/dev/zero of="$db/data.mdb" bs=4096 seek="$p" count=1 conv=notrunc status=none
    rm -rf "$scratch/dump"
    if ! "$INSTAR" dump "$db" "$scratch/dump" --no-header >"$scratch/out" 2>"$scratch/err"; then
        lost=$p
        break
    fi
done
[ -n "$lost" ] || fail 'no leaf of a table was found'
python3 - "$scratch" <<'PY' || fail "a leaf: $(cat "$scratch/out" "$scratch/err")"
import csv, sys
whole = {tuple(r) for r in csv.reader(open(sys.argv[1] + "/t.csv"))}
for table in ("t", "u"):
    rows = [tuple(r) for r in csv.reader(open(f"{sys.argv[1]}/dump/{table}.csv"))]
    assert len(rows) == len(set(rows)), "a row twice"
    assert set(rows) <= whole
    ids = {int(r[0]) for r in rows[1:]}
    assert {1, 4000} <= ids and len(ids) > 3500, len(ids)
PY
finish
