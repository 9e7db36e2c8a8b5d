# SPDX-License-Identifier: Apache-2.0
"""What bad input gets: each row of those tables names tests, and these are there."""
import re

from tidy_rules.tree import Finding

PAGE = "docs/reliability.md"
BEGIN, END = "<!-- bad input:", "<!-- end of bad input -->"
TEST = re.compile(r"^(?:Param)?Test\((\w+), (\w+)", re.MULTILINE)


def all_tests(tree):
    names = set()
    for path in tree.paths:
        if path.startswith("tests/") and path.endswith("_test.c"):
            names |= {"/".join(found) for found in TEST.findall((tree.root / path).read_text())}
    return names


def missing(tree, tests, name):
    """`suite/test`, or `cli/script.sh words of a case`."""
    if name.startswith("cli/"):
        script, _, words = name.partition(" ")
        path = f"tests/{script}"
        return path not in tree.paths or words not in (tree.root / path).read_text()
    return name not in tests


def bad_input(tree):
    if PAGE not in tree.paths:
        return
    tests, inside = all_tests(tree), False
    lines = (tree.root / PAGE).read_text().splitlines()
    for number, line in enumerate(lines, 1):
        inside = (inside or line.startswith(BEGIN)) and line != END
        heads = number < len(lines) and lines[number].startswith("|---")
        if not inside or not line.startswith("| ") or heads:
            continue
        names = re.findall(r"`((?:cli/|\w+/)[^`]*)`", line.rsplit(" | ", 1)[-1])
        if not names:
            yield Finding(PAGE, number, "no test is named", "name one, or write it")
        for name in names:
            if missing(tree, tests, name):
                yield Finding(PAGE, number, f"no test {name}", "name one that is there")


RULES = [bad_input]
