#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Wrong input gets an error that names the thing, exit code 1 or 2, and changes nothing.
. "$(dirname "$0")/lib.sh.inc"

expect 2 'no command' "$INSTAR"
expect 2 'unknown command' "$INSTAR" scam "$db"
has 'nearest command' "$err" 'no command .scam.; did you mean "scan"'
has 'and the list' "$err" '^  create-index '
expect 2 'help of an unknown command' "$INSTAR" help crate-table
has 'help of an unknown command' "$err" 'did you mean "create-table"'
expect 2 'nothing like a command' "$INSTAR" frobnicate "$db"
has 'nothing like a command' "$err" "^instar: no command 'frobnicate'$"
expect 2 'no store' "$INSTAR" tables
expect 2 'unknown option' "$INSTAR" tables "$db" --jason
has 'nearest option' "$err" 'no option .--jason.; did you mean "--json"'
expect 2 'an option of the command' "$INSTAR" scan "$db" t --limti=3
has 'an option of the command' "$err" "'--limti'; did you mean \"--limit\""
expect 2 'nothing like an option' "$INSTAR" scan "$db" t --frobnicate
has 'nothing like an option' "$err" "no option '--frobnicate'$"
expect 2 'an option that may be two' "$INSTAR" create-table "$db" t a:text --n
has 'an option that may be two' "$err" "'--n' may mean more than one thing"
expect 2 'an option without its value' "$INSTAR" scan "$db" t --limit
has 'an option without its value' "$err" "'--limit' needs a value"
expect 2 'a switch with a value' "$INSTAR" scan "$db" t --reverse=3
has 'a switch with a value' "$err" "'--reverse=3' takes no value"
expect 2 'a short option' "$INSTAR" scan "$db" t -q
has 'a short option' "$err" "no option '-q'"
expect 1 'no such store' "$INSTAR" tables "$scratch/none"
has 'no such store' "$err" 'ENOSTORE'
mkdir "$scratch/foreign"
echo hello >"$scratch/foreign/format"
expect 1 'a foreign store' "$INSTAR" tables "$scratch/foreign"
same 'is left alone' "$(cat "$scratch/foreign/format")" hello
expect 1 'a file in place of a store' "$INSTAR" tables "$scratch/foreign/format"

expect 0 init "$INSTAR" init "$db"
expect 0 create "$INSTAR" create-table "$db" files path:text size:int2 day:date --key path
expect 1 'table twice' "$INSTAR" create-table "$db" files path:text --key path
expect 2 'unknown type' "$INSTAR" create-table "$db" u a:txt --key a
expect 1 'unknown key column' "$INSTAR" create-table "$db" u path:text --key pth
has 'unknown key column' "$err" 'path'
expect 1 'unknown table' "$INSTAR" scan "$db" flies
has 'nearest table' "$err" 'files'
expect 1 'unknown column' "$INSTAR" put "$db" files path=x siz=1
has 'nearest column' "$err" 'size'
expect 1 'unknown index' "$INSTAR" drop-index "$db" nope
expect 1 'out of range' "$INSTAR" put "$db" files path=x size=40000
has 'out of range' "$err" 'ERANGE'
expect 1 'not a number' "$INSTAR" put "$db" files path=x size=many
expect 1 'bad UTF-8' "$INSTAR" put "$db" files "path=$(printf 'a\377b')"
has 'bad UTF-8' "$err" 'EENCODING'
expect 1 'bad date' "$INSTAR" put "$db" files path=x day=2026-02-30
long=$(printf '%600s' x | tr ' ' x)
expect 1 'key over the limit' "$INSTAR" put "$db" files "path=$long"
has 'key over the limit' "$err" 'ELIMIT'
has 'key over the limit names the limit' "$err" '511'
expect 1 'null in the key' "$INSTAR" put "$db" files path
expect 2 'key incomplete' "$INSTAR" put "$db" files size=1
expect 1 'no such change' "$INSTAR" wait "$db" 999
expect 2 'no number' "$INSTAR" wait "$db" x
expect 0 'nothing was written' "$INSTAR" scan "$db" files --no-header
same 'nothing was written' "$out" ''
expect 0 check "$INSTAR" check "$db"

for command in $("$INSTAR" --help | sed -n 's/^  \([a-z-]*\) .*/\1/p'); do
    expect 0 "$command --help" "$INSTAR" $command --help
    has "$command --help" "$out" '^usage: instar'
done
finish
