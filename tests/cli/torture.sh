#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# torture: a program that acknowledges what it has committed passes, one that acknowledges before is
# found, and the finding can be looked at again. The release build is tortured, as it is installed.
. "$(dirname "$0")/lib.sh.inc"

release=$INSTAR_BUILD/release
export LD_LIBRARY_PATH=$release
source=$(cd "$(dirname "$0")/../../docs/examples" && pwd)/ledger.c
include=$(cd "$(dirname "$0")/../../engine/include" && pwd)
tool=$release/instar
cd "$scratch" || exit 1
for flag in RIGHT TOO_EARLY; do
    expect 0 "compile $flag" gcc -Wall -Wextra -Werror -D$flag "-I$include" "$source" -o "$flag" \
        "-L$release" -linstar -lpthread
done

expect 0 'a program that is right' "$tool" torture --states 60 \
    --check './RIGHT verify {} {output}' -- ./RIGHT run {}
has 'a program that is right' "$out" '[1-9][0-9]* states looked at, .* 0 bad'
[ ! -e torture-finding ] || fail 'a finding of a program that is right'

expect 1 'acknowledged too early' "$tool" torture --states 60 \
    --check './TOO_EARLY verify {} {output}' -- ./TOO_EARLY run {}
has 'acknowledged too early' "$out" 'the check ended with status 1'
has 'acknowledged too early' "$out" 'were acknowledged'
has 'acknowledged too early' "$out" './TOO_EARLY verify torture-finding/state torture-finding/ack'
expect 1 'the walk again' "$tool" torture --trace torture-finding --states 60 \
    --check './TOO_EARLY verify {} {output}'
same 'the walk again' "$(diff -r torture-finding/state torture-again/state)" ''
expect 1 'the disk that was kept' ./TOO_EARLY verify torture-finding/state \
    torture-finding/acknowledged
expect 3 'an earlier finding' "$tool" torture --check true -- ./RIGHT run {}
has 'an earlier finding' "$err" 'is there already'
rm -rf torture-finding torture-again

# What was there before counts as being on the disk.
expect 0 'prepared' "$tool" torture --states 5 --prepare "$tool init {}/other >/dev/null" \
    --check 'test -f {}/other/format' -- ./RIGHT run {}

# What cannot be done is said, and what is wrong is not passed over.
expect 2 'no check' "$tool" torture -- ./RIGHT run {}
expect 0 'its help' "$tool" help torture
same 'its help' "$out" "$("$tool" torture --help 2>&1)"
expect 3 'nothing written' "$tool" torture --check true -- true {}
has 'nothing written' "$err" 'nothing was written'
expect 3 'it fails' "$tool" torture --check true -- ./RIGHT
has 'it fails' "$err" 'ended with status 2'
expect 3 'several processes' "$tool" torture --check true -- \
    sh -c 'mkdir "$1/a" && ./RIGHT run "$1/a"' sh {}
has 'several processes' "$err" 'several processes'
mkfifo nobody-writes
expect 1 'a check that hangs' "$tool" torture --limit 1 --check 'exec cat nobody-writes' \
    -- ./RIGHT run {}
has 'a check that hangs' "$out" 'signal 14'
finish
