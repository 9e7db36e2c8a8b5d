#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random expressions, evaluated by the engine and by a PostgreSQL 15 of our own: the same verdict
and the same value for each of a few rows, or the seed and the expression that differ.

Each operand holds a column: PostgreSQL evaluates what is constant when it plans, and may find an
error there that no row ever meets.
"""
import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from harness import rivals  # noqa: E402

TYPES = {
    "int2": ["0", "1", "-1", "7", "200", "32767", "-32768"],
    "int4": ["0", "1", "-1", "42", "-5", "46341", "2147483647", "-2147483648"],
    "int8": ["0", "1", "-1", "9", "3037000500", "9223372036854775807", "-9223372036854775808"],
    "numeric": ["0", "1", "-1.50", "0.001", "-7", "12345.6789", "2.5", "-0.5", "100",
                "9223372036854775807.5", "99999999999999999999999999999999999999",
                "-0.00000000000000000001"],
    "float8": ["0", "-0", "1.5", "-2.5", "0.5", "1e300", "-1e-300", "5e-324", "2147483647.5",
               "9.3e18", "NaN", "Infinity", "-Infinity", "123456789.123"],
    "text": ["", "a", "abc", "Zürich", "12", " 7 ", "1e3", "true", " off ", "a%b_c", "ÀÉ", "-5",
             "99999999999", "a\\b", "NaN", "-0.25",
             "00000000-0000-0000-0000-00000000000a"],
    "bool": ["true", "false"],
    "bytea": ["\\x", "\\x00", "\\xff61", "\\x6162"],
    "date": ["2026-01-31", "1970-01-01", "0044-03-15 BC", "2000-02-29"],
    "uuid": ["00000000-0000-0000-0000-00000000000a", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "timestamptz": ["2026-01-01 00:00:00+00", "1999-12-31 23:59:59.999999+00"],
}
NUMBERS = ["int2", "int4", "int8", "numeric", "float8"]
INTEGERS = NUMBERS[:3]
PATTERNS = ["%", "a%", "%b%", "_", "%\\%%", "_bc", "a\\b", "%\\", "", "Z_rich", "%h", "a%_c",
            "\\_%"]
COLUMNS = [(f"{letter}{n}", kind) for kind, letter in zip(TYPES, "silnftbydux") for n in (1, 2)]
# What the words of the engine are in the codes of PostgreSQL. Of digits that have no room and are
# followed by something else it says the first, the engine the second.
CODES = [("division by zero", {"22012"}), ("out of range", {"22003", "22008"}),
         ("negative substring", {"22011"}), ("LIKE pattern", {"22025"}),
         ("not a", {"22P02", "22003"})]
# Where the engine refuses what PostgreSQL has room for; it is never another value.
LIMITS = ["more than 38 digits", "a numeric has no NaN"]


def literal(value):
    return "'" + value.replace("'", "''") + "'"


class Maker:
    """Expressions of a wanted type."""

    def __init__(self, chance):
        self.chance = chance

    def pick(self, *makers):
        return self.chance.choice(makers)()

    def column(self, kind):
        return self.chance.choice([name for name, of in COLUMNS if of == kind])

    def constant(self, kind):
        value = self.chance.choice(TYPES[kind])
        if kind == "int4" and value != "-2147483648":
            return f"({value})"
        if kind == "numeric" and "." in value:
            return f"({value})"
        return f"CAST({literal(value)} AS {kind})"

    def right(self, kind, depth):
        """Beside an operand that holds a column."""
        return self.constant(kind) if self.chance.random() < 0.4 else self.make(kind, depth)

    def comparable(self):
        kind = self.chance.choice(list(TYPES))
        other = self.chance.choice(NUMBERS) if kind in NUMBERS else kind
        return kind, other

    def make(self, kind, depth):
        if depth <= 0:
            return self.column(kind)
        depth -= 1
        choices = [lambda: self.column(kind), lambda: self.choice(kind, depth),
                   lambda: self.choice(kind, depth)]
        special = getattr(self, "make_" + kind, None)
        if special is not None:
            choices += [lambda: special(depth)] * 5
        if kind in NUMBERS:
            choices += [lambda: self.number(kind, depth)] * 5
        return self.pick(*choices)

    def choice(self, kind, depth):
        a, b = self.make(kind, depth), self.right(kind, depth)
        test, other = self.comparable()
        return self.pick(
            lambda: f"coalesce({a}, {b})", lambda: f"nullif({a}, {b})",
            lambda: f"greatest({a}, {b}, {self.column(kind)})", lambda: f"least({a}, {b})",
            lambda: f"CASE WHEN {self.make('bool', depth)} THEN {a} ELSE {b} END",
            lambda: f"CASE WHEN {self.make('bool', depth)} THEN {a} "
                    f"WHEN {self.make('bool', depth)} THEN {b} END",
            lambda: f"CASE {self.make(test, depth)} WHEN {self.right(other, depth)} THEN {a} "
                    f"WHEN {self.right(other, depth)} THEN NULL ELSE {b} END")

    def number(self, kind, depth):
        # The narrower one may stand on either side: the wider gives the type.
        narrow = self.chance.choice(NUMBERS[:NUMBERS.index(kind) + 1])
        a, b = self.make(kind, depth), self.right(narrow, depth)
        operators = "+ - * / %".split() if kind != "float8" else "+ - * /".split()
        operator = self.chance.choice(operators)
        wide = self.chance.choice([t for t in NUMBERS if t != kind])
        return self.pick(
            lambda: f"({a} {operator} {b})", lambda: f"({a} {operator} {b})",
            lambda: f"({self.make(narrow, depth)} {operator} {self.right(kind, depth)})",
            lambda: f"(- {a})", lambda: f"abs({a})",
            lambda: f"CAST({self.make(wide, depth)} AS {kind})",
            lambda: f"CAST({self.make('text', depth)} AS {kind})")

    def make_numeric(self, depth):
        digits = self.chance.choice(["5,2", "38,10", "10", "3,3", "20,0"])
        return f"CAST({self.make(self.chance.choice(NUMBERS), depth)} AS numeric({digits}))"

    def make_int4(self, depth):
        return self.pick(
            lambda: f"length({self.make('text', depth)})",
            lambda: f"char_length({self.make('text', depth)})",
            lambda: f"octet_length({self.make('text', depth)})",
            lambda: f"length({self.make('bytea', depth)})",
            lambda: f"CAST({self.make('bool', depth)} AS int4)",
            lambda: f"({self.column('date')} - {self.column('date')})")

    def make_date(self, depth):
        days = self.chance.choice([self.column("int2"), "(40)", "(-1000)"])
        return f"({self.make('date', depth)} {self.chance.choice('+-')} {days})"

    def make_text(self, depth):
        text = self.make("text", depth)
        small = self.chance.choice(["(1)", "(2)", "(-1)", "(0)", self.column("int2")])
        other = self.chance.choice([*NUMBERS, "bool", "uuid"])
        return self.pick(
            lambda: f"({text} || {self.right('text', depth)})", lambda: f"lower({text})",
            lambda: f"upper({text})", lambda: f"substr({text}, {small})",
            lambda: f"substr({text}, {small}, {self.column('int4')})",
            lambda: f"CAST({self.make(other, depth)} AS text)")

    def make_bytea(self, depth):
        return self.pick(
            lambda: f"({self.make('bytea', depth)} || {self.right('bytea', depth)})",
            lambda: f"substr({self.make('bytea', depth)}, {self.column('int2')}, (2))")

    def make_uuid(self, depth):
        return f"CAST({self.make('text', depth)} AS uuid)"

    def make_bool(self, depth):
        kind, other = self.comparable()
        a, b = self.make(kind, depth), self.right(other, depth)
        negated = self.chance.choice(["", "NOT "])
        x, y = self.make("bool", depth), self.make("bool", depth)
        items = ", ".join(self.constant(kind) for _ in range(self.chance.randint(1, 4)))
        nulls = self.chance.choice(["", ", NULL"])
        return self.pick(
            lambda: f"({a} {self.chance.choice('= <> < <= > >= !='.split())} {b})",
            lambda: f"({a} {self.chance.choice('= <> < <= > >='.split())} {b})",
            lambda: f"({a} IS {negated}DISTINCT FROM {b})",
            lambda: f"({x} AND {y})", lambda: f"({x} OR {y} OR {self.column('bool')})",
            lambda: f"(NOT {x})", lambda: f"({a} IS {negated}NULL)",
            lambda: f"({x} IS {negated}{self.chance.choice(['TRUE', 'FALSE', 'UNKNOWN'])})",
            lambda: f"({a} {negated}BETWEEN {b} AND {self.right(other, depth)})",
            lambda: f"({a} {negated}IN ({items}{nulls}))",
            lambda: f"({self.make('text', depth)} {negated}LIKE "
                    f"{literal(self.chance.choice(PATTERNS))})",
            lambda: f"({self.make('text', depth)} {negated}LIKE {self.column('text')})",
            lambda: f"CAST({self.make('int4', depth)} AS bool)",
            lambda: f"CAST({self.make('text', depth)} AS bool)")


def make_rows(chance, count):
    return [[None if chance.random() < 0.2 else chance.choice(TYPES[kind]) for _, kind in COLUMNS]
            for _ in range(count)]


def ask_engine(program, rows, expressions):
    lines = [" ".join(f"{name} {kind}" for name, kind in COLUMNS), str(len(rows))]
    lines += ["\t".join("\\N" if v is None else v for v in row) for row in rows]
    done = subprocess.run([program], input="\n".join(lines + expressions) + "\n", text=True,
                          stdout=subprocess.PIPE, check=True)
    return [line.split("\t") for line in done.stdout.split("\n")[:-1]]


EVALUATE = r"""
set timezone = 'UTC'; set client_min_messages = warning;
create table r (id int, {columns});
create table e (id int, e text);
create function evaluate(e text, row_id int) returns text language plpgsql as $$
declare v text;
begin
    execute format('select (%s)::text from (select * from r where id = $1 offset 0) r', e)
        into v using row_id;
    return coalesce(v, '\N');
exception when others then return '!' || sqlstate || ' ' || sqlerrm;
end $$;
"""


def copied(value):
    """In the form of COPY."""
    return "\\N" if value is None else value.replace("\\", "\\\\")


def ask_postgres(server, rows, expressions):
    script = EVALUATE.format(columns=", ".join(f"{n} {k}" for n, k in COLUMNS))
    script += "copy r from stdin;\n"
    script += "".join("\t".join([str(i), *map(copied, row)]) + "\n" for i, row in enumerate(rows))
    script += "\\.\ncopy e from stdin;\n"
    script += "".join(f"{i}\t{copied(e)}\n" for i, e in enumerate(expressions)) + "\\.\n"
    script += ("select string_agg(replace(replace(evaluate(e, r.id), E'\\n', ' '), E'\\t', ' '), "
               "E'\\t' order by r.id) from e, r group by e.id, e order by e.id;\n")
    done = subprocess.run([f"{rivals.PG_BIN}/psql", "-h", server.place, "-U", "bench", "-d",
                           "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1"], input=script, text=True,
                          stdout=subprocess.PIPE, check=True)
    return [line.split("\t") for line in done.stdout.split("\n")[:-1]]


def agree(ours, theirs):
    if ours.startswith("!") and any(words in ours for words in LIMITS):
        return True
    if not ours.startswith("!") or not theirs.startswith("!"):
        return ours == theirs
    return any(words in ours and theirs[1:6] in codes for words, codes in CODES)


def compare(server, program, seed, count, row_count):
    chance = random.Random(seed)
    maker = Maker(chance)
    rows = make_rows(chance, row_count)
    expressions = [maker.make(chance.choice(list(TYPES)), chance.randint(1, 4))
                   for _ in range(count)]
    ours = ask_engine(program, rows, expressions)
    theirs = ask_postgres(server, rows, expressions)
    assert len(ours) == len(theirs) == count, (len(ours), len(theirs))
    failures = [0, 0]
    for expression, a, b in zip(expressions, ours, theirs):
        failures[0] += sum(x.startswith("!") for x in b)
        wrong = [i for i in range(row_count) if not agree(a[i] if i < len(a) else a[0], b[i])]
        if wrong:
            failures[1] += 1
            at = wrong[0]
            print(f"differs: {expression}\n  row {at}: "
                  f"{dict((n, v) for (n, _), v in zip(COLUMNS, rows[at]) if n in expression)}\n"
                  f"  engine:     {a[at] if at < len(a) else a[0]}\n  PostgreSQL: {b[at]}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="tests/bin/evaluate of a build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=6)
    args = parser.parse_args()
    # The server runs as another user: every folder above must let it pass.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        pathlib.Path(scratch).chmod(0o755)
        server = rivals.Postgres(scratch, {"shared_buffers": "128MB", "fsync": "off"})
        try:
            server.start()
            errors, different = compare(server, args.program, args.seed, args.count, args.rows)
        finally:
            server.stop()
    print(f"seed {args.seed}: {args.count} expressions over {args.rows} rows, {errors} evaluations "
          f"are errors, {different} expressions differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
