# SPDX-License-Identifier: Apache-2.0
# docs/ddl.md says of every operation of an expression what the engine's own list says.
. "$(dirname "$0")/lib.sh.inc"

root=$(dirname "$0")/../..
count=0
while IFS= read -r words; do
    count=$((count + 1))
    grep -qF "| $words |" "$root/docs/ddl.md" || fail "docs/ddl.md has no operation: $words"
done <<LIST
$(sed -n 's/^X([A-Z_]*, [0-9]*, [A-Z_]*, [A-Z0-9]*, [A-Z0-9]*, "[^"]*", "\(.*\)")$/\1/p' \
    "$root/engine/row/expr.def" | grep -v -e '^a constant$' -e '^a column of the row$' |
    sed 's/\\\\/\\/g')
LIST
[ "$count" -gt 40 ] || fail "only $count operations were found in engine/row/expr.def"
finish
