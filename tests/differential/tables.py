# SPDX-License-Identifier: Apache-2.0
"""What a stream knows of its tables, and how PostgreSQL is asked about them."""
from domains import INTEGERS, TEXTS


def literal(value):
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


class Table:
    def __init__(self, name, columns, key):
        self.name, self.columns, self.key = name, dict(columns), key  # columns: name -> type
        self.indexes = {}  # name -> Index
        self.uniques = set()  # names of indexes that are UNIQUE constraints
        self.checks = {}  # name -> column
        self.loose = set()  # checks that are not valid: an update may differ
        self.plain = set()  # columns that never had a default
        self.key_name = name + "_pkey"  # PostgreSQL keeps it when the table is renamed
        self.fkeys = {}  # name -> ForeignKey
        self.kept = set()  # columns to which a foreign key referred: they keep their type

    def used(self):
        return {c for index in self.indexes.values() for c in index.used()} | set(
            self.checks.values()) | set(self.key) | {f.column for f in self.fkeys.values()}

    def bound(self):
        """Columns whose type an expression or a foreign key holds."""
        return {c for index in self.indexes.values() for c in index.holds()} | self.kept | {
            f.column for f in self.fkeys.values()}

    def kin(self, column, other, theirs):
        """May the other table's column refer to this one?"""
        a, b = self.columns[column], other.columns[theirs]
        return a == b or (a in INTEGERS and b in INTEGERS) or (a in TEXTS and b in TEXTS)

    def serving(self, column):
        """The indexes by which rows with a value of the column are found."""
        return [i for i in self.indexes.values()
                if i.parts[0][:2] == (column, "{}") and not i.where]

    def free(self, tables):
        """Names of indexes that no foreign key needs: that of a child is not needed there."""
        needed = {id(f.key) for t in tables for f in t.fkeys.values()} | {
            id(i) for f in self.fkeys.values() for i in self.serving(f.column)}
        return {n for n, i in self.indexes.items() if id(i) not in needed}


class ForeignKey:
    def __init__(self, column, parent, key):
        self.column, self.parent, self.key = column, parent, key  # key: an Index, or None


class Index:
    def __init__(self, parts, also=(), where=None, unique=False):
        self.unique = unique
        self.parts = parts  # (column, what is computed of it with {} for it, words behind it)
        self.also = list(also)  # columns that are included, or of the predicate
        self.where = where  # (column, condition with {} for it), or None

    def used(self):
        return [c for c, _, _ in self.parts] + self.also

    def holds(self):
        """Columns of expressions, which may have no meaning for another type."""
        return [c for c, form, _ in self.parts if form != "{}"] + (
            [self.where[0]] if self.where else [])

    def rename(self, old, new):
        self.parts = [(new if c == old else c, *rest) for c, *rest in self.parts]
        self.also = [new if c == old else c for c in self.also]
        if self.where and self.where[0] == old:
            self.where = (new, self.where[1])


def ordered(table, column, form="{}"):
    is_text = table.columns[column] in TEXTS and form != "length({})"
    return form.format(column) + (' collate "C"' if is_text else "")


def rows_of(table, columns, order, where=None):
    shown = " || ',' || ".join(f"coalesce({c}::text, '\\N')" for c in columns)
    order = ", ".join([*order, *(ordered(table, c) for c in table.key)])
    text = (f"select coalesce(string_agg({shown}, E'\\t' order by {order}), '') from {table.name}"
            + (f" where {where[1].format(where[0])}" if where else ""))
    return f"select look({literal(text)})"


def comments_of(table):
    name = f"{literal(table.name)}::regclass"
    text = f"""select coalesce(string_agg(x, E'\\t' order by x collate "C"), '') from (
        select 't=' || obj_description({name}, 'pg_class') x
        union all select 'c ' || attname || '=' || col_description(attrelid, attnum)
            from pg_attribute where attrelid = {name} and attnum > 0 and not attisdropped
        union all select 'i ' || relname || '=' || obj_description(indexrelid, 'pg_class')
            from pg_index join pg_class c on c.oid = indexrelid where indrelid = {name}
        union all select 'k ' || conname || '=' || obj_description(oid, 'pg_constraint')
            from pg_constraint where conrelid = {name}) q where x is not null"""
    return f"select look({literal(' '.join(text.split()))})"
