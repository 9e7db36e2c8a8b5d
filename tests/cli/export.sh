#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# export writes CSV that import reads back into the same rows; metrics prints what Prometheus reads.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
for table in t copy; do
    expect 0 create "$INSTAR" create-table "$db" $table id:int8 name:text n:int4 b:bytea --key id
done
expect 0 put "$INSTAR" put "$db" t id=1 'name=a,b "c"' n=7 'b=\x00ff'
expect 0 'put null' "$INSTAR" put "$db" t id=2 name n=-1
expect 0 'put empty' "$INSTAR" put "$db" t id=3 name= n=0
expect 0 'put lines' "$INSTAR" put "$db" t id=4 "name=one
two"
expect 0 export "$INSTAR" export "$db" t --columns id,name
same 'export to a pipe' "$out" 'id,name
1,"a,b ""c"""
2,
3,""
4,"one
two"'
expect 0 'export to a file' "$INSTAR" export "$db" t "$scratch/t.csv"
same 'how many' "$out" '4 rows exported'
same 'mode of the file' "$(stat -c %a "$scratch/t.csv")" 600
expect 0 import "$INSTAR" import "$db" copy "$scratch/t.csv"
"$INSTAR" scan "$db" t --json >"$scratch/a"
"$INSTAR" scan "$db" copy --json >"$scratch/b"
cmp -s "$scratch/a" "$scratch/b" ||
    fail "the round trip changed rows: $(diff "$scratch/a" "$scratch/b")"
expect 0 'a part of it' "$INSTAR" export "$db" t --columns id --from 2 --limit 2 --reverse
same 'a part of it' "$out" 'id
4
3'

# Nothing that was there is lost, and no half of a file is left.
expect 1 'a file that exists' "$INSTAR" export "$db" t "$scratch/t.csv"
has 'a file that exists' "$err" "t.csv': File exists"
cmp -s <("$INSTAR" export "$db" t) "$scratch/t.csv" || fail 'the file that existed was changed'
expect 1 'no such directory' "$INSTAR" export "$db" t "$scratch/none/t.csv"
expect 1 'no such table' "$INSTAR" export "$db" tt "$scratch/tt.csv"
[ ! -e "$scratch/tt.csv" ] || fail 'a file without rows was left'
expect 1 'a full disk' "$INSTAR" export "$db" t /dev/full
expect 2 'CSV as JSON' "$INSTAR" export "$db" t --json
has 'CSV as JSON' "$err" 'scan --json'
expect 0 'JSON says how many' "$INSTAR" export "$db" t "$scratch/u.csv" --json
same 'JSON says how many' "$out" '{"exported": 4}'
for i in $(seq 10 40); do
    expect 0 "a long row" "$INSTAR" put "$db" t id=$i "name=$(printf "%0900d" "$i")"
done
ulimit_out=$(trap '' XFSZ; ulimit -f 4; "$INSTAR" export "$db" t "$scratch/v.csv" 2>&1) &&
    fail "a file over the limit: $ulimit_out"
[ ! -e "$scratch/v.csv" ] || fail 'half of a file was left'

# Every line is a comment or a figure with a number, every family is told before its figures.
expect 0 metrics "$INSTAR" metrics "$db"
printf '%s\n' "$out" | python3 -c '
import re, sys
families = set()
figures = {}
for line in sys.stdin.read().splitlines():
    if line.startswith("# TYPE "):
        name, kind = line.split()[2:]
        assert kind in ("counter", "gauge") and name not in families, line
        families.add(name)
    elif not line.startswith("# HELP "):
        label = "[a-z]+=\"[^\"]*\""
        m = re.fullmatch(f"(instar_[a-z_]+)(\\{{{label}(?:,{label})*\\}})? ([0-9]+)", line)
        assert m and m[1] in families, line
        figures[m[1] + (m[2] or "")] = int(m[3])
assert figures["instar_table_rows{table=\"t\"}"] >= 0, figures
assert figures["instar_changes{state=\"done\"}"] == 2, figures
assert figures["instar_nodes"] == 1 and figures["instar_log_tail_bytes_total"] > 0, figures' ||
    fail "metrics: $out"
expect 0 'metrics as JSON' "$INSTAR" metrics "$db" --json
printf '%s' "$out" | python3 -m json.tool >/dev/null || fail "metrics --json is no JSON: $out"
finish
