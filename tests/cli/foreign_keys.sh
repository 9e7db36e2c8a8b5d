# SPDX-License-Identifier: Apache-2.0
# Foreign keys through the tool: a script, the schema as SQL and back, import, what is refused.
. "$(dirname "$0")/lib.sh.inc"

expect 0 init "$INSTAR" init "$db"
expect 0 script "$INSTAR" sql "$db" 'CREATE TABLE p (id int8 PRIMARY KEY, v text UNIQUE);
    CREATE TABLE c (id int8 PRIMARY KEY, p int8 REFERENCES p ON DELETE RESTRICT, v text,
                    CONSTRAINT k FOREIGN KEY (v) REFERENCES p (v));
    ALTER TABLE p ADD CONSTRAINT back FOREIGN KEY (id) REFERENCES c NOT VALID'
expect 0 schema "$INSTAR" schema "$db" c
has schema "$out" 'CONSTRAINT c_p_fkey FOREIGN KEY \(p\) REFERENCES p \(id\) ON DELETE RESTRICT,'
expect 0 'schema as JSON' "$INSTAR" schema "$db" p --json
has 'schema as JSON' "$out" '"foreign_keys": \[\{"name": "back", "columns": \["id"\], "parent": "c"'

# Printed and read again: the same, though the tables refer to each other.
expect 0 'schema as SQL' "$INSTAR" schema "$db" --sql
printed=$out
printf '%s\n' "$out" >"$scratch/schema.sql"
expect 0 'another store' "$INSTAR" init "$scratch/again"
expect 0 'schema read' "$INSTAR" sql "$scratch/again" -f "$scratch/schema.sql"
expect 0 'schema printed again' "$INSTAR" schema "$scratch/again" --sql
same 'round trip' "$out" "$printed"

# Rows: what refers to nothing is refused by name.
expect 0 'a key back' "$INSTAR" sql "$db" 'ALTER TABLE p DROP CONSTRAINT back'
printf 'id,v\n1,a\n2,b\n' >"$scratch/p.csv"
printf 'id,p,v\n1,1,a\n2,,b\n' >"$scratch/c.csv"
printf 'id,p,v\n3,3,\n' >"$scratch/bad.csv"
expect 0 'import of p' "$INSTAR" import "$db" p "$scratch/p.csv"
expect 0 'import of c' "$INSTAR" import "$db" c "$scratch/c.csv"
expect 1 'import of what refers to nothing' "$INSTAR" import "$db" c "$scratch/bad.csv"
has 'its error' "$err" 'c_p_fkey of table c: \(p=3\) of row \(id=3\) is no key of table p'
expect 0 check "$INSTAR" check "$db"

# What is referred to stays, and the refusal names the constraint.
expect 1 'drop of p' "$INSTAR" drop-table "$db" p
has 'its error' "$err" 'foreign key "(k|c_p_fkey)" of table "c" refers to it'
expect 1 CASCADE "$INSTAR" sql "$db" \
    'ALTER TABLE c ADD FOREIGN KEY (id) REFERENCES p ON DELETE CASCADE'
has 'its place' "$err" 'line 1, column 59: not supported: ON DELETE CASCADE'
expect 0 explain "$INSTAR" sql "$db" 'EXPLAIN ALTER TABLE c ADD FOREIGN KEY (id) REFERENCES p'
has explain "$out" 'refers to table p'

# Saved from a store, they stand apart from the tables.
expect 0 dump "$INSTAR" dump "$db" "$scratch/saved"
same 'foreign keys apart' "$(grep -c REFERENCES "$scratch/saved/foreign-keys.sql")" 2
same 'not with the tables' "$(grep -c REFERENCES "$scratch/saved/schema.sql")" 0
expect 0 'drop of c' "$INSTAR" drop-table "$db" c
expect 0 'drop of p' "$INSTAR" drop-table "$db" p
finish
