#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random streams of schema changes and writes, done to a store and, step by step, to SQLite: the
same verdicts, the same rows, the same order by each index; or the seed and the first step that
differs.

What SQLite has not (ALTER of a type or a constraint, other types than int8 and text) is the matter
of stream.py. Where the two are known to differ by design a stream does not go: a table to which a
foreign key leads is not dropped, and a column that anything mentions neither; a check of a new
column holds for its default, for the engine does not ask whether there are rows.
"""
import argparse
import collections
import pathlib
import random
import sqlite3
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from engine import Engine  # noqa: E402
from tables import literal  # noqa: E402

KEYS = {"int8": [str(n) for n in range(-5, 25)], "text": [f"k{n}" for n in range(30)]}
VALUES = {"int8": ["0", "1", "2", "3", "9", "-7", "9223372036854775807", "-9223372036854775808"],
          "text": ["", "a", "b", "ab", "Zürich", "zz"]}
CHECKS = {"int8": ["{} >= 0", "{} < 10", "{} IS NOT NULL", "{} <> 2", "{} BETWEEN -7 AND 9"],
          "text": ["length({}) < 3", "{} <> 'b'", "substr({}, 1, 1) = 'a'",
                   "{} IN ('a', 'b', 'ab', '')"]}
FORMS = {"int8": ["({} % 3)", "({} = 3)"], "text": ["length({})", "coalesce({}, 'b')"]}
# What SQLite says, and the codes that mean it. Of several that are broken either may be told.
BROKEN = {"UNIQUE": {"INSTAR_EEXISTS", "INSTAR_EUNIQUE"}, "NOT NULL": {"INSTAR_ENOT_NULL"},
          "CHECK": {"INSTAR_ECHECK"}, "FOREIGN KEY": {"INSTAR_EREFERENCE"}}
CONSTRAINTS = set().union(*BROKEN.values())
UNKNOWN = ("no such table", "no such column", "no such index", "has no column")
THERE = ("already exists", "already another table", "duplicate column")
SHOWN = "coalesce(cast({} as text), '\\N')"


class Differs(Exception):
    pass


class Table:
    def __init__(self, name, columns, key):
        self.name, self.columns, self.key = name, columns, key
        self.indexes = {}  # name -> [(column, form, words)], condition or None
        self.bound = {key}  # columns that something mentions
        self.referred = False


class Stream:
    def __init__(self, seed, program, place, length):
        self.chance = random.Random(seed)
        self.tables, self.number, self.steps = [], 0, []
        self.kinds, self.refused = collections.Counter(), 0
        self.lite = sqlite3.connect(":memory:", isolation_level=None)
        self.lite.execute("pragma foreign_keys = on")
        self.engine = Engine(program, place)
        for _ in range(length):
            self.step()
        self.both("check", "select 'ok'")
        for table in self.tables:
            self.look(table)
        self.engine.close()

    # ---- both ---------------------------------------------------------------------------------

    def do_lite(self, sql, must_find):
        try:
            cursor = self.lite.execute(sql)
            if sql.startswith("select"):
                return "\t".join(row[0] for row in cursor)
            return "!none" if must_find and cursor.rowcount == 0 else "ok"
        except sqlite3.Error as error:
            return f"!{error}"

    def both(self, line, sql, must_find=False):
        """True: both have done it."""
        ours, theirs = self.engine.ask(line), self.do_lite(sql, must_find)
        self.kinds[line.split("\t")[0]] += 1
        self.steps.append((line, ours))
        if not self.agree(ours, theirs):
            before = "".join(f"\n    {line}    -- {answer[:60]}" for line, answer in self.steps)
            raise Differs(f"step {len(self.steps)}: {line}\n  engine: {ours}\n  SQLite: {theirs}"
                          f"\n  which did: {sql}\n  all:{before}")
        self.refused += ours.startswith("!")
        return not ours.startswith("!")

    @staticmethod
    def agree(ours, theirs):
        if not ours.startswith("!") or not theirs.startswith("!"):
            return ours == theirs
        code = ours[1:].split(" ")[0]
        if theirs == "!none":
            return code == "INSTAR_ENOTFOUND"
        if "constraint failed" in theirs:
            return code in CONSTRAINTS
        if any(words in theirs for words in UNKNOWN):
            return code == "INSTAR_EUNKNOWN"
        return any(words in theirs for words in THERE) and code == "INSTAR_EEXISTS"

    def ddl(self, text, lite=None):
        return self.both(f"ddl\t{text}", lite or text)

    # ---- schema -------------------------------------------------------------------------------

    def fresh(self, letter):
        self.number += 1
        return f"{letter}{self.number}"

    def step(self):
        if not self.tables:
            self.create_table()
            return
        self.chance.choices(
            [self.insert, self.update, self.delete, self.create_index, self.drop_index,
             self.add_column, self.drop_column, self.rename_column, self.rename_table,
             self.drop_table, self.another_table, self.stumble, self.look],
            [40, 15, 9, 10, 4, 5, 3, 3, 2, 1, 2, 2, 4])[0](self.chance.choice(self.tables))

    def another_table(self, _table):
        if len(self.tables) < 4:
            self.create_table()

    def create_table(self):
        chance = self.chance
        table = Table(self.fresh("t"), {}, self.fresh("c"))
        table.columns[table.key] = chance.choice(list(KEYS))
        parts = [f"{table.key} {table.columns[table.key]} NOT NULL PRIMARY KEY"]
        parents = []
        for _ in range(chance.randint(1, 4)):
            name, extras = self.fresh("c"), ""
            parent = chance.choice(self.tables) if self.tables and chance.random() < 0.4 else None
            kind = parent.columns[parent.key] if parent else chance.choice(list(VALUES))
            if parent:
                parents.append(parent)
                extras = f" REFERENCES {parent.name}"
            elif chance.random() < 0.6:
                extras = self.extras(name, kind)
            if chance.random() < 0.2:
                extras += " UNIQUE"
            if "UNIQUE" in extras or "CHECK" in extras or parent:
                table.bound.add(name)
            table.columns[name] = kind
            parts.append(f"{name} {kind}{extras}")
        text = f"CREATE TABLE {table.name} ({', '.join(parts)})"
        lite = text.replace(" int8", " INT") + " STRICT, WITHOUT ROWID"
        if self.ddl(text, lite):
            self.tables.append(table)
            for parent in parents:
                parent.referred = True

    def extras(self, name, kind, new=False):
        chance = self.chance
        value = chance.choice(VALUES[kind])
        value = literal(value) if kind == "text" else value
        text = f" DEFAULT {value}" if chance.random() < 0.6 else ""
        check = chance.choice(CHECKS[kind])
        holds = f"select coalesce(({check.format(value if text else 'null')}), 1)"
        text += " NOT NULL" if text and chance.random() < 0.4 else ""
        if chance.random() < 0.3 and (not new or self.lite.execute(holds).fetchone()[0]):
            text += f" CHECK ({check.format(name)})"
        return text

    def create_index(self, table):
        chance = self.chance
        columns = chance.sample(sorted(table.columns), min(len(table.columns),
                                                           chance.choice([1, 1, 2, 3])))
        parts = [(c, "{}" if chance.random() < 0.75 else chance.choice(FORMS[table.columns[c]]),
                  chance.choice(["", "", " DESC"])) for c in columns]
        where = None
        if chance.random() < 0.3:
            column = chance.choice(sorted(table.columns))
            where = chance.choice(CHECKS[table.columns[column]]).format(column)
            columns.append(column)
        name, unique = self.fresh("i"), "UNIQUE " if chance.random() < 0.4 else ""
        listed = ", ".join(form.format(c) + words for c, form, words in parts)
        if self.ddl(f"CREATE {unique}INDEX {name} ON {table.name} ({listed})"
                    + (f" WHERE {where}" if where else "")):
            table.indexes[name] = parts, where, set(columns)

    def drop_index(self, table):
        if table.indexes:
            name = self.chance.choice(sorted(table.indexes))
            if self.ddl(f"DROP INDEX {name}"):
                table.indexes.pop(name)

    def add_column(self, table):
        name, kind = self.fresh("c"), self.chance.choice(list(VALUES))
        extras = self.extras(name, kind, new=True)
        text = f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}{extras}"
        if self.ddl(text, text.replace(" int8", " INT")):
            table.columns[name] = kind
            if "CHECK" in extras:
                table.bound.add(name)

    def drop_column(self, table):
        used = table.bound.union(*(columns for _, _, columns in table.indexes.values()))
        free = sorted(set(table.columns) - used)
        if free:
            name = self.chance.choice(free)
            if self.ddl(f"ALTER TABLE {table.name} DROP COLUMN {name}"):
                table.columns.pop(name)

    def rename_column(self, table):
        """Where no index is: those are remembered by the names of their columns."""
        free = sorted(set(table.columns).difference(
            *(columns for _, _, columns in table.indexes.values())))
        if free:
            old, new = self.chance.choice(free), self.fresh("c")
            if self.ddl(f"ALTER TABLE {table.name} RENAME COLUMN {old} TO {new}"):
                table.columns = {new if c == old else c: k for c, k in table.columns.items()}
                table.key = new if table.key == old else table.key
                table.bound = {new if c == old else c for c in table.bound}

    def rename_table(self, table):
        name = self.fresh("t")
        if self.ddl(f"ALTER TABLE {table.name} RENAME TO {name}"):
            table.name = name

    def drop_table(self, table):
        if not table.referred and self.ddl(f"DROP TABLE {table.name}"):
            self.tables.remove(table)

    def stumble(self, table):
        other = self.chance.choice("uvw") + "99"
        self.ddl(self.chance.choice([
            f"CREATE INDEX {other} ON {table.name} (none_such)", f"DROP TABLE {other}",
            f"DROP INDEX {other}", f"DROP INDEX IF EXISTS {other}",
            f"ALTER TABLE {table.name} DROP COLUMN {other}",
            f"ALTER TABLE {table.name} RENAME COLUMN {other} TO {other}{other}",
            f"ALTER TABLE {table.name} ADD COLUMN {table.key} text",
            f"ALTER TABLE {other} ADD COLUMN x text"]))

    # ---- rows ---------------------------------------------------------------------------------

    def value(self, table, column):
        kind = table.columns[column]
        if column == table.key or self.chance.random() < 0.3:
            return self.chance.choice(KEYS[kind])
        return None if self.chance.random() < 0.15 else self.chance.choice(VALUES[kind])

    @staticmethod
    def fields(row):
        return ["\\N" if value is None else value for _, value in row]

    @staticmethod
    def literal(table, column, value):
        return value if value is not None and table.columns[column] == "int8" else literal(value)

    def insert(self, table):
        row = [(c, self.value(table, c)) for c in table.columns
               if c == table.key or self.chance.random() < 0.8]
        names = ",".join(c for c, _ in row)
        values = ", ".join(self.literal(table, c, v) for c, v in row)
        self.both("\t".join(["insert", table.name, names, *self.fields(row)]),
                  f"insert into {table.name} ({names}) values ({values})")

    def update(self, table):
        key = [(table.key, self.value(table, table.key))]
        names = self.chance.sample(list(table.columns), self.chance.randint(1, len(table.columns)))
        row = [(c, self.value(table, c)) for c in names]
        sets = ", ".join(f"{c} = {self.literal(table, c, v)}" for c, v in row)
        where = self.literal(table, *key[0])
        self.both("\t".join(["update", table.name, table.key, ",".join(names),
                             *self.fields(key + row)]),
                  f"update {table.name} set {sets} where {table.key} = {where}", True)

    def delete(self, table):
        value = self.value(table, table.key)
        self.both("\t".join(["delete", table.name, table.key, value]),
                  f"delete from {table.name} where {table.key} = "
                  f"{self.literal(table, table.key, value)}", True)

    def rows(self, table, columns, order, where):
        shown = " || ',' || ".join(SHOWN.format(c) for c in columns)
        return (f"select {shown} from {table.name}" + (f" where {where}" if where else "")
                + f" order by {', '.join([*order, table.key])}")

    def look(self, table):
        self.both(f"dump\t{table.name}", self.rows(table, table.columns, [], None))
        for name, (parts, where, _) in table.indexes.items():
            order = [form.format(c) + (" DESC NULLS FIRST" if words else " ASC NULLS LAST")
                     for c, form, words in parts]
            columns = list(dict.fromkeys([table.key, *(c for c, _, _ in parts)]))
            self.both("\t".join(["scan", table.name, name, ",".join(columns)]),
                      self.rows(table, columns, order, where))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="tests/bin/stream of a build")
    parser.add_argument("--seed", type=int, default=1, help="of the first stream")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--length", type=int, default=200, help="steps of a stream")
    args = parser.parse_args()
    kinds, refused, different = collections.Counter(), 0, 0
    for seed in range(args.seed, args.seed + args.count):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            try:
                stream = Stream(seed, args.program, f"{place}/db", args.length)
                kinds += stream.kinds
                refused += stream.refused
            except Differs as differs:
                print(f"differs: seed {seed}, {differs}")
                different += 1
    told = ", ".join(f"{n} {k}" for k, n in sorted(kinds.items()))
    print(f"seeds {args.seed} to {args.seed + args.count - 1}: {args.count} streams beside SQLite "
          f"{sqlite3.sqlite_version}, {sum(kinds.values())} steps ({told}), {refused} refused by "
          f"both, {different} streams differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
