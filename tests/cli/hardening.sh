#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Odd calls, odd names, odd files and streams that are closed or full: each gets an error that names
# the thing, or does what it says; nothing is taken for something else.
. "$(dirname "$0")/lib.sh.inc"
valid() { printf '%s' "$2" | python3 -m json.tool >/dev/null || fail "$1: no JSON: $2"; }

# Calls that mean nothing are refused, not guessed at.
expect 1 'no directory above' "$INSTAR" init "$scratch/none/db"
has 'no directory above' "$err" 'EINVALID.*|directory above does not exist'
expect 0 'init --json' "$INSTAR" init "$db" --json
valid 'init --json' "$out"
expect 0 '-h' "$INSTAR" -h
expect 0 'help COMMAND' "$INSTAR" help scan
has 'help COMMAND' "$out" '^usage: instar scan STORE TABLE'
expect 2 'help of what is none' "$INSTAR" help scam
expect 2 'no path' "$INSTAR" tables ''
expect 0 create "$INSTAR" create-table "$db" t id:int8 a:text b:int4 --key id
expect 2 'an option twice' "$INSTAR" scan "$db" t --limit 1 --limit 2
has 'an option twice' "$err" '--limit is given twice'
for limit in -1 ' -1' +1 1x '' 99999999999999999999 16777216T; do
    expect 2 "--limit '$limit'" "$INSTAR" scan "$db" t --limit "$limit"
done
expect 2 'beyond 32 bits' "$INSTAR" drop-table "$db" t --fence-after 4294967296
has 'beyond 32 bits' "$err" '4294967295'
for columns in '' a, ,a a,,b; do
    expect 2 "--columns '$columns'" "$INSTAR" scan "$db" t --columns "$columns"
done
expect 2 'an unknown type' "$INSTAR" create-table "$db" u a:txt --key a
has 'types are named' "$err" 'timestamptz'
expect 2 'an empty key column' "$INSTAR" create-table "$db" u a:int4 --key a,
expect 2 'neither asc nor desc' "$INSTAR" create-index "$db" i t a:down
has 'neither asc nor desc' "$err" "'a:down'"
expect 2 'insert and update' "$INSTAR" put "$db" t id=1 --insert --update
expect 2 'a negative key' "$INSTAR" get "$db" t -5
has 'a negative key' "$err" '-- -5'
expect 1 'a negative key' "$INSTAR" get "$db" t -- -5
has 'a negative key' "$err" 'id=-5'
expect 1 'an assignment without a name' "$INSTAR" put "$db" t =5
expect 1 'two names in one assignment' "$INSTAR" put "$db" t a,b=1
has 'two names in one assignment' "$err" 'no column a,b'
expect 1 'a bad key names its column' "$INSTAR" get "$db" t x
has 'a bad key names its column' "$err" 'id=x'
expect 1 'a bad bound names its column' "$INSTAR" scan "$db" t --from x
has 'a bad bound names its column' "$err" '--from: id=x'
expect 1 'echoed bytes' "$INSTAR" put "$db" t id=1 "a=$(printf 'x\377\033')" --json
valid 'echoed bytes' "$err"
# An error of the call itself is JSON too, wherever --json stands in it.
for call in "scam $db --json" "--json" "tables $db --jason --json" "tables --json $db --jason" \
    "scan $db t -5 --json" "scan $db t --json --limit" "scan $db t --limit 1 --limit 2 --json" \
    "scan $db --json" "tables --json"; do
    # shellcheck disable=SC2086
    expect 2 "$call" "$INSTAR" $call
    valid "$call" "$err"
    has "$call" "$err" '^\{"error": "USAGE".*"remedy": "[^"]'
    same "$call: nothing else is said" "$(printf '%s\n' "$err" | wc -l)" 1
done
expect 1 'no such change' "$INSTAR" changes "$db" 99
expect 1 'change 0' "$INSTAR" changes "$db" 0
expect 2 'a sign' "$INSTAR" wait "$db" +1
expect 0 'nothing to drop' "$INSTAR" drop-table "$db" none --if-exists
same 'nothing to drop' "$out" 'nothing to do'
expect 0 'put --json' "$INSTAR" put "$db" t id=1 a=x --json
valid 'put --json' "$out"
expect 0 'delete --json' "$INSTAR" delete "$db" t 1 --json
valid 'delete --json' "$out"

# Names are shown so that they cannot be taken for something else.
expect 0 'odd names' "$INSTAR" create-table "$db" "$(printf 'e\033[31m')" 'a b:int4' 'c,d:text' \
    "e\"f:text:default=it's" --key 'a b'
expect 0 'odd names' "$INSTAR" schema "$db"
has 'quoted' "$out" '"c,d" text'
has 'doubled' "$out" '"e""f" text DEFAULT '"'it''s'"
printf '%s' "$out" | grep -q "$(printf '\033')" && fail 'a control character is shown'
expect 0 'odd names' "$INSTAR" schema "$db" --json
valid 'odd names' "$out"
expect 0 'a comma in a name' "$INSTAR" put "$db" "$(printf 'e\033[31m')" 'a b=1' 'c,d=x,y'
expect 0 'a long default' "$INSTAR" create-table "$db" long id:int4 \
    "d:text:default=$(printf '%500s' z | tr ' ' z)" --key id
expect 0 'a long default' "$INSTAR" schema "$db" long
has 'a long default is whole' "$out" "'z{500}'"

# What cannot be printed is a failure; a closed stream is no place in the store.
expect 0 put "$INSTAR" put "$db" t id=1 a=kept
for command in "scan $db t" "schema $db" "changes $db" "wait $db 1" "stat $db" help \
    "scan --help"; do
    # shellcheck disable=SC2086
    (exec >/dev/full; "$INSTAR" $command) 2>"$scratch/err" && fail "$command to a full device: 0"
    has "$command to a full device" "$(cat "$scratch/err")" 'standard output failed'
done
for command in "scan $db t" "get $db t 1" "get $db t 2"; do
    # shellcheck disable=SC2086
    (exec <&- >&- 2>&-; "$INSTAR" $command) && fail "$command without streams: 0"
done
(exec <&- >&- 2>&-; "$INSTAR" put "$db" t id=2 a=kept) || fail 'put without streams'
expect 0 'scan' "$INSTAR" scan "$db" t --columns id,a --no-header
same 'both rows' "$out" "1${tab}kept
2${tab}kept"
expect 0 check "$INSTAR" check "$db"

# CSV as spreadsheets and other programs leave it.
import() { # import CODE NAME BYTES [OPTION…]
    local code=$1 name=$2
    printf "$3" >"$scratch/x.csv"
    shift 3
    expect "$code" "$name" "$INSTAR" import "$db" t "$scratch/x.csv" "$@"
}
import 0 'a byte order mark' '\357\273\277id,a\n11,x\n'
import 0 'a byte order mark before a quote' '\357\273\277"id","a"\n12,x\n'
import 1 'half a byte order mark' '\357\273id\n13\n'
import 1 'a name that is empty' 'id,,b\n13,x,1\n'
has 'a name that is empty' "$err" 'line 1: .*column 2'
import 1 'a name with a zero byte' 'id\0x,a\n13,x\n'
has 'a name with a zero byte' "$err" 'zero byte'
import 1 'a name with a comma' '"id,a",b\n13,x\n'
has 'a name with a comma' "$err" 'no column id,a'
import 1 'an empty line' 'id,a\n13,x\n\n'
has 'an empty line' "$err" 'line 3: an empty line'
import 1 'the first bad line is named' 'id,a\n13,x\nmany,y\n'
same 'the first bad line alone is named' "$err" \
    'instar: import: line 2: table t has a row (id=13) already'
import 1 'upsert without the key' 'a\nx\n' --upsert
has 'upsert without the key' "$err" 'column id of the primary key'
import 1 'bad lines as JSON' 'id,a\n13,x\n' --json
valid 'bad lines as JSON' "$err"
expect 1 'a directory' "$INSTAR" import "$db" t "$scratch"
has 'a directory' "$err" 'directory'

# One SIGINT ends an import that waits for its input, wherever it waits: for the header, for the
# next row, inside one. `interrupted NAME BYTES` feeds a named pipe and leaves it open.
mkfifo "$scratch/fifo"
ends_with() { # ends_with CODE NAME PID
    local code=0
    timeout 60 tail --pid="$3" -f /dev/null || kill -KILL "$3"
    wait "$3" || code=$?
    same "$2" "$code" "$1"
    same "$2: no failure is told" "$(cat "$scratch/err")" ''
}
interrupted() {
    "$INSTAR" import "$db" t "$scratch/fifo" >"$scratch/out" 2>"$scratch/err" &
    exec 3>"$scratch/fifo" # returns when the import has opened it
    # shellcheck disable=SC2059
    printf "$2" >&3
    kill -INT "$!"
    ends_with 130 "$1" "$!"
    exec 3>&-
}
interrupted 'a pipe without a header' ''
interrupted 'a pipe with half a header' 'id,'
interrupted 'a pipe without rows' 'id,a\n'
interrupted 'a pipe with half a row' 'id,a\n501,x\n502,'

# Also one that comes in the last instant before the wait, when nothing looks for it any more.
cat >"$scratch/stop.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    static int calls;
    int (*real)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);

    real = (__typeof__(real))dlsym(RTLD_NEXT, "ppoll");
    if (++calls == atoi(getenv("STOP_AT"))) {
        kill(getpid(), SIGINT);
    }
    return real(fds, count, timeout, mask);
}
END
${CC:-gcc} -shared -fPIC -o "$scratch/stop.so" "$scratch/stop.c" -ldl || fail 'no stop.so'
for at in 1 2; do
    exec 4<>"$scratch/fifo"
    [ "$at" = 1 ] || printf 'id,a\n503,x\n' >&4
    # A preloaded library does not go with the sanitizers.
    STOP_AT=$at LD_PRELOAD=$scratch/stop.so "$INSTAR_BUILD/release/instar" import "$db" t - <&4 \
        >"$scratch/out" 2>"$scratch/err" &
    ends_with 130 "stopped before wait $at" "$!"
    exec 4>&-
done
same 'what was read is kept' "$(cat "$scratch/out")" '1 rows imported, 0 lines skipped'

# A map that is nearly full keeps no change from ending: a build is reverted with the reason, and
# what makes room goes through.
expect 0 'a small store' "$INSTAR" init "$scratch/small" --segment-bytes 64K --map-bytes 1M
expect 0 create "$INSTAR" create-table "$scratch/small" t id:int8 pad:text --key id
pad=$(printf '%100s' x | tr ' ' x)
{
    echo id,pad
    for i in $(seq 1 20000); do echo "$i,$i-$pad"; done
} >"$scratch/rows.csv"
expect 1 'until it is full' "$INSTAR" import "$scratch/small" t "$scratch/rows.csv"
has 'until it is full' "$err" 'EMAPFULL'
expect 1 'no room for an index' timeout 30 "$INSTAR" create-index "$scratch/small" i t pad
has 'no room for an index' "$out$err" 'map_bytes'
expect 0 'nothing is left running' "$INSTAR" changes "$scratch/small" --running --no-header
same 'nothing is left running' "$out" ''
expect 0 'drop' timeout 30 "$INSTAR" drop-table "$scratch/small" t
expect 0 'room again' timeout 30 "$INSTAR" create-table "$scratch/small" t id:int8 --key id
expect 0 check "$INSTAR" check "$scratch/small"
finish
