# SPDX-License-Identifier: Apache-2.0
"""Types of columns in a stream: their values, and what a table may say about them."""

KEYS = {
    "int8": [str(n) for n in range(30)], "int4": [str(n) for n in range(-5, 25)],
    "text": [f"k{n}" for n in range(30)],
    "numeric(6,2)": [f"{n - 9}.{n * 7 % 100:02}" for n in range(30)],
    "date": [f"2026-01-{n:02}" for n in range(1, 31)],
}
VALUES = {
    "int2": ["0", "1", "2", "3", "-1", "7", "32767"],
    "int4": ["0", "1", "2", "3", "-5", "42", "2147483647"],
    "int8": ["0", "1", "2", "3", "9", "-7", "9223372036854775807"],
    "float8": ["0", "1.5", "-2.5", "1e300", "0.1", "NaN", "Infinity"],
    "text": ["", "a", "b", "ab", "Zürich", "zz"],
    "bool": ["true", "false"],
    "date": ["2026-01-31", "1970-01-01", "2000-02-29"],
    "bytea": ["\\x", "\\x00", "\\xff61"], "time": ["00:00:00", "12:34:56.789", "24:00:00"],
    "varchar(2)": ["", "a", "zz", "abc"], "varchar(9)": ["", "12", "Zürich", "true"],
    "numeric(6,2)": ["0", "1.5", "-2.255", "9999.994", "9999.995", "0.005", "42", "1e3"],
    "numeric(12,5)": ["0.00001", "-7", "3.14159265", "9999.99", "1234567.5", "-0.000004"],
}
CHECKS = {
    "int2": ["{} > 0", "{} <> 2", "{} < 100"], "int4": ["{} > -6", "{} <> 3", "{} % 2 = 0"],
    "int8": ["{} >= 0", "{} < 10", "{} IS NOT NULL"], "float8": ["{} > -2", "{} < 1000"],
    "text": ["length({}) < 3", "{} <> 'b'", "{} LIKE '%a%'"], "bool": ["{}", "NOT {}"],
    "date": ["{} > '1980-01-01'::date"], "bytea": ["length({}) > 0"],
    "numeric(6,2)": ["{} > -2.25", "{} <> 1.50", "{} % 2 < 1.5"],
    "numeric(12,5)": ["{} / 3 < 1000", "{} BETWEEN -7 AND 9999.99", "{} + 7.5 >= 0.1"],
    "time": ["{} < '20:00'::time"], "varchar(2)": ["{} <> 'zz'"], "varchar(9)": ["length({}) > 0"],
}
# What an index may compute of a column.
FORMS = {
    "int2": ["({} % 3)"], "int4": ["({} % 3)", "({} + 1)"], "int8": ["(0 - {})", "({} = 3)"],
    "float8": ["({} / 2)"], "text": ["length({})", "({} || 'x')", "coalesce({}, 'b')"],
    "bool": ["(NOT {})", "({} IS NULL)"], "date": ["({} > '1980-01-01'::date)"],
    "bytea": ["length({})"], "time": ["({} < '20:00'::time)"],
    "varchar(2)": ["length({})"], "varchar(9)": ["substr({}, 1, 1)"],
    "numeric(6,2)": ["({} % 3)", "({} * 1.50)"], "numeric(12,5)": ["({} / 7)", "(- {})"],
}
DIRECTIONS = ["", "", "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST", " DESC NULLS FIRST"]
INTEGERS = ["int2", "int4", "int8"]
NUMBERS = [*INTEGERS, "float8"]
NUMERICS = ["numeric(6,2)", "numeric(12,5)"]
TEXTS = ["varchar(2)", "varchar(9)", "text"]
