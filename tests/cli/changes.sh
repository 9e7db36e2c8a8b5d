#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Indexes are created, joined, refused, followed, cancelled and dropped from the command line.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
expect 0 create "$INSTAR" create-table "$db" t id:int8 a:int4 b:text --key id
fill 2000 100

expect 0 'create index' "$INSTAR" create-index "$db" t_ab t a b:desc
has 'create index' "$out" 'done'
expect 0 'scan by index' "$INSTAR" scan "$db" t --index t_ab --from 5 --to 5 --limit 2 \
    --columns id,b --no-header
same 'scan by index' "$out" "905${tab}b905
805${tab}b805"
expect 0 'scan all by index' "$INSTAR" scan "$db" t --index t_ab --columns id --no-header
same 'as many rows as the table' "$(printf '%s\n' "$out" | sort -n | uniq | wc -l)" 2000

expect 0 'if not exists' "$INSTAR" create-index "$db" t_ab t a b:desc --if-not-exists
expect 1 'another definition' "$INSTAR" create-index "$db" t_ab t a --if-not-exists
has 'another definition' "$err" 'EDEFINITION'
expect 1 'exists' "$INSTAR" create-index "$db" t_ab t a b:desc
has 'exists' "$err" 'EEXISTS'

expect 1 'unique fails' "$INSTAR" create-index "$db" t_a t a --unique
has 'says so' "$out" 'failed'
has 'names rows' "$out" 'id=1\b'
has 'total' "$out" '100'
expect 0 schema "$INSTAR" schema "$db" t
printf '%s' "$out" | grep -q t_a && ! printf '%s' "$out" | grep -q 't_a ' || true
has 'the other index stays' "$out" 'CREATE INDEX t_ab ON t \(a, b DESC\);'
printf '%s' "$out" | grep -qE 't_a ON' && fail 'a failed index is left behind'
expect 0 'expression' "$INSTAR" create-index "$db" t_expr t '(id + 1):desc' b
expect 1 'unknown column' "$INSTAR" create-index "$db" t_bad t '(nosuch + 1)'
has "names it" "$err" "no column \"nosuch\""
expect 2 'no end of the expression' "$INSTAR" create-index "$db" t_bad t '(id + 1'
expect 0 'drop it' "$INSTAR" drop-index "$db" t_expr
expect 0 'partial' "$INSTAR" create-index "$db" t_part t b:desc:nulls-last --where 'id <= 3' \
    --include a,id
has 'partial' "$("$INSTAR" schema "$db" t)" \
    't_part ON t \(b DESC NULLS LAST\) INCLUDE \(a, id\) WHERE \(id <= 3\);'
expect 0 'scan of it' "$INSTAR" scan "$db" t --index t_part --columns id --no-header
same 'rows inside' "$(printf '%s\n' "$out" | wc -l)" 3
expect 0 'unique succeeds' "$INSTAR" create-index "$db" t_b t b --unique
expect 1 'duplicate' "$INSTAR" put "$db" t id=5000 b=b1
has 'duplicate' "$err" 'EUNIQUE.*|t_b'

# A change that nobody runs waits for a process that does; Ctrl-C leaves it running.
expect 0 'no wait' "$INSTAR" create-index "$db" t_slow t b a --rate 400 --no-wait
id=$out
"$INSTAR" wait "$db" "$id" >"$scratch/wait.out" 2>"$scratch/wait.err" &
waiter=$!
until "$INSTAR" changes "$db" "$id" --no-header | grep -q "${tab}build${tab}"; do
    kill -0 "$waiter" 2>/dev/null || { fail "the waiter ended: $(cat "$scratch/wait.err")"; break; }
done
expect 1 'other columns' "$INSTAR" create-index "$db" t_slow t a
has 'other columns' "$err" 'EDEFINITION'
kill -INT "$waiter"
wait "$waiter"
same 'interrupted' "$?" 130
has 'how to follow' "$(cat "$scratch/wait.err")" "instar wait $db $id"
has 'how to cancel' "$(cat "$scratch/wait.err")" "instar cancel $db $id"
expect 0 'still running' "$INSTAR" changes "$db" --running --no-header
has 'still running' "$out" "^$id${tab}running"
expect 0 cancel "$INSTAR" cancel "$db" "$id"
has cancel "$out" 'cancelled'
expect 1 'cancel twice' "$INSTAR" cancel "$db" "$id"
has 'cancel twice' "$err" 'ESTATE'
expect 0 'again' "$INSTAR" create-index "$db" t_slow t b a
expect 0 'drop' "$INSTAR" drop-index "$db" t_slow
expect 1 'drop twice' "$INSTAR" drop-index "$db" t_slow
expect 0 'drop if exists' "$INSTAR" drop-index "$db" t_slow --if-exists
expect 0 check "$INSTAR" check "$db"
expect 0 'drop table' "$INSTAR" drop-table "$db" t
expect 0 tables "$INSTAR" tables "$db" --no-header
same 'no table' "$out" ''
expect 0 check "$INSTAR" check "$db"

# A terminal shows what an operator looks at, so that a line fits; a pipe and --json show all.
cat >"$scratch/terminal.py" <<'END'
import os, pty, subprocess, sys
here, there = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=there)
os.close(there)
try:
    while data := os.read(here, 65536):
        sys.stdout.buffer.write(data.replace(b"\r", b""))
except OSError:  # the other end is closed
    pass
sys.exit(child.wait())
END
expect 0 'on a terminal' timeout 60 python3 "$scratch/terminal.py" "$INSTAR" changes "$db"
same 'on a terminal' "$(printf '%s' "$out" | head -1 | xargs)" \
    "id state stage rows_done rows_total eta_s waiting_for statement reason undo_until \
asked_by behind"
expect 0 'in a pipe' "$INSTAR" changes "$db"
same 'in a pipe' "$(printf '%s' "$out" | head -1 | tr "$tab" '\n' | wc -l)" 31
expect 0 'as JSON' "$INSTAR" changes "$db" --json
columns=$(printf '%s' "$out" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)[0]))')
same 'as JSON' "$columns" 31
has 'who asked' "$out" '"asked_by": "instar"'
has 'all have come along' "$out" '"behind": 0'
finish
